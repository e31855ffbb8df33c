"""What the store keeps, as values. Nothing in here is about a person: references are random, digests are salted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from mdl.pki import Certificate
from mdl.status import IdentifierListInfo, ListKind, StatusListInfo, StatusReference

__all__ = [
    "Batch",
    "CertificateRecord",
    "CredentialRecord",
    "CredentialState",
    "CrlRecord",
    "Reservation",
    "Role",
    "Settings",
    "SignerRecord",
    "SignerState",
    "StatusListRecord",
    "StatusPlace",
    "StatusPlan",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What was decided about the authority.

    Attributes:
        version: Counted from 1; each change makes the next one.
        document: The decisions, plain JSON values.
    """

    version: int
    document: Mapping[str, Any]


class Role(StrEnum):
    """What a key or a certificate is for."""

    IACA = "iaca"
    LINK = "link"
    DOCUMENT_SIGNER = "document-signer"
    STATUS_SIGNER = "status-signer"
    JWS_SIGNER = "jws-signer"
    OCSP_SIGNER = "ocsp-signer"
    VICAL_SIGNER = "vical-signer"
    READER_CA = "reader-ca"
    READER = "reader"
    VICAL_CA = "vical-ca"
    AUDIT = "audit"
    """Signs checkpoints of the audit log; it has no certificate."""


class SignerState(StrEnum):
    """What a key may be used for."""

    PREPARED = "prepared"
    """Made, without a certificate yet."""
    ACTIVE = "active"
    RETIRED = "retired"
    """Signs nothing any more; what it signed stays good."""
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerRecord:
    """A key of this authority in its token.

    Attributes:
        key: Its label in the token; unique.
        role: What it is for.
        state: What it may be used for.
        public_key: Its SubjectPublicKeyInfo, DER.
        certificate: SHA-256 of its certificate, or None.
        made_at: When it was made.
    """

    key: str
    role: Role
    state: SignerState
    public_key: bytes
    certificate: bytes | None
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecord:
    """A certificate that this authority issued.

    Attributes:
        certificate: The certificate.
        role: What it is for.
        issuer: SHA-256 of the issuer's certificate; its own where it is self-signed.
        key: Label of its key, or None where the key is not in this authority's token.
        issued_at: When it was recorded.
        revoked_at: When it was revoked, or None.
        reason: Why, a CRL reason code (RFC 5280 5.3.1), or None.
    """

    certificate: Certificate
    role: Role
    issuer: bytes
    key: str | None
    issued_at: datetime
    revoked_at: datetime | None = None
    reason: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlRecord:
    """A CRL that was signed.

    Attributes:
        issuer: SHA-256 of the issuer's certificate.
        number: Its number; unique and growing for each issuer, with gaps where a signing failed.
        der: The CRL.
        this_update: When it was signed.
        next_update: When its successor is due.
    """

    issuer: bytes
    number: int
    der: bytes = field(repr=False)
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPlan:
    """How places in status lists are given out.

    Attributes:
        uri: Where a list will be found; ``{list}`` stands for its id, which is random.
        kind: Which kind of list.
        bits: Width of a status, 1, 2, 4 or 8; ISO mdocs have 1.
        size: Places in a list (indices, or identifiers at most).
        share: Share of the places that are given out before the next list is opened, above 0 and at most 0.9: free
            places are drawn at random, and the last ones would take long to find.
        decoys: Share of the places that are taken for no credential when a list is opened, so that the number of
            revoked credentials does not show.
    """

    uri: str
    kind: ListKind = ListKind.STATUS_LIST
    bits: int = 1
    size: int = 1 << 20
    share: float = 0.75
    decoys: float = 0.0

    def __post_init__(self) -> None:
        if (
            self.uri.count("{list}") != 1
            or self.bits not in (1, 2, 4, 8)
            or not 8 <= self.size <= 1 << 28
            or not 0 < self.share <= 0.9
            or not 0 <= self.decoys < self.share
        ):
            msg = "no plan by which places in status lists could be given out"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListRecord:
    """A status list or identifier list.

    Attributes:
        list_id: Its id, 16 hex digits, random.
        kind: Which kind.
        uri: Where it is found.
        bits: Width of a status.
        size: How many places it has.
        limit: How many of them are given out at most.
        used: How many of them are taken, decoys included.
        revision: How often it was signed, or was about to be; it only grows.
        issuer: SHA-256 of the root whose document signers' credentials have their places in it. A list has one: a
            reader believes only a list signer of the root that issued the document signer.
        opened_at: When it was opened.
        retired_at: Since when it is signed and published no more, or None.
        place: Where it lies in a published tree, or None for the path of its address.
    """

    list_id: str
    kind: ListKind
    uri: str
    bits: int
    size: int
    limit: int
    used: int
    revision: int
    issuer: bytes
    opened_at: datetime
    retired_at: datetime | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPlace:
    """A credential's place in a list, its own for ever. One of `index` and `identifier` is given.

    Attributes:
        list_id: The list.
        uri: Where the list is found.
        index: The place in a status list.
        identifier: The identifier in an identifier list.
    """

    list_id: str
    uri: str
    index: int | None = None
    identifier: bytes | None = None

    def reference(self, certificate: bytes | None = None) -> StatusReference:
        """The ``status`` member of the security object.

        Args:
            certificate: DER of the certificate whose key signs the top of the list's chain, or None for the root.
        """
        if self.index is not None:
            return StatusReference(status_list=StatusListInfo(index=self.index, uri=self.uri, certificate=certificate))
        identifier = self.identifier or b""
        info = IdentifierListInfo(identifier=identifier, uri=self.uri, certificate=certificate)
        return StatusReference(identifier_list=info)


class CredentialState(StrEnum):
    """How far a credential is."""

    RESERVED = "reserved"
    """About to be signed, or its signing was broken off: nobody has it."""
    ISSUED = "issued"
    ABANDONED = "abandoned"
    """Never handed out; its place in a list stays taken."""
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """What is asked of the store for one credential.

    Attributes:
        valid_from: Start of its validity.
        valid_until: End of its validity, inclusive.
        order_key: What tells a repeated order from a new one, or None: the store keeps a salted digest of it. An order
            number is best; of a name or a licence number somebody with the store could guess the digest.
        content: SHA-256 of what is ordered, or None for nothing that could be compared. The store keeps a keyed digest
            of it until the credential has expired, so that an order key stands for one order only.
        has_status: Whether its status is told somewhere else: then it takes no place.
    """

    valid_from: datetime
    valid_until: datetime
    order_key: str | None = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    has_status: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialRecord:
    """A credential, as far as the authority remembers it.

    Attributes:
        reference: How it is named, 16 random bytes.
        batch: The batch that it is of, 16 random bytes.
        signer: SHA-256 of the document signer's certificate.
        doctype: Its document type.
        valid_from: Start of its validity.
        valid_until: End of its validity, inclusive.
        place: Where its status is told, or None.
        state: How far it is.
        state_at: Since when.
        reason: Why it was revoked, a CRL reason code, or None.
    """

    reference: bytes
    batch: bytes
    signer: bytes
    doctype: str
    valid_from: datetime
    valid_until: datetime
    place: StatusPlace | None
    state: CredentialState
    state_at: datetime
    reason: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Credentials that are signed together.

    Attributes:
        reference: How the batch is named, 16 random bytes.
        credentials: One for each reservation, in their order. One whose `batch` is another was issued before, on the
            same order: it is not to be signed again.
    """

    reference: bytes
    credentials: tuple[CredentialRecord, ...]

    def is_repeated(self, credential: CredentialRecord) -> bool:
        """Whether a credential of this batch was issued before."""
        return credential.batch != self.reference

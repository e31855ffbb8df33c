"""Which key of an authority does what, and until when: roles, generations of roots, the document signer for an order.

Everything here is an answer from the store at a moment that is given; nothing is changed.

    a root certifies        from the moment that its founding or re-key set, until a newer one does
    a root is in service    as long as a certificate under it can be valid: so long its CRLs are needed
    a document signer       signs what ends before its certificate does, newest first
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from issuer.store import CertificateRecord, Reader, Role, SignerState
from mdl.cbor import TDate
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    IACA_LINK,
    JWS_SIGNER,
    OCSP_SIGNER,
    READER_AUTHENTICATION,
    READER_CA,
    REVOCATION_LIST_SIGNER,
    VICAL_SIGNER,
    AttributeId,
    Certificate,
    CertificateRequest,
    KeyPurpose,
    Profile,
    Subject,
)

__all__ = [
    "CA_ROLES",
    "CERTIFIED",
    "Certified",
    "DocumentSigner",
    "Roots",
    "SigningKey",
    "active_signer",
    "check_asked_role",
    "choose_document_signer",
    "common_name_of",
    "document_signers",
    "signer_subject",
    "with_start",
]


_LONGEST_NAME: Final = 64
"""Characters of a common name (RFC 5280 Appendix A, ub-common-name)."""


# --- Roles -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What the certificates of a role are.

    Attributes:
        role: The role.
        profile: The profile of its certificates.
        name: Short name: of the role on the command line, of its keys' labels and of its files.
        suffix: What a common name ends with where none is given.
        issuer: Whose certificate signs it; None for a root.
    """

    role: Role
    profile: Profile
    name: str
    suffix: str
    issuer: Role | None


CERTIFIED: Final[Mapping[Role, Certified]] = MappingProxyType({
    role: Certified(role=role, profile=profile, name=name, suffix=suffix, issuer=issuer)
    for role, profile, name, suffix, issuer in (
        (Role.IACA, IACA, "iaca", "IACA", None),
        (Role.LINK, IACA_LINK, "link", "IACA", Role.IACA),
        (Role.DOCUMENT_SIGNER, DOCUMENT_SIGNER, "ds", "DS", Role.IACA),
        (Role.STATUS_SIGNER, REVOCATION_LIST_SIGNER, "revocation-list", "Revocation List Signer", Role.IACA),
        (Role.JWS_SIGNER, JWS_SIGNER, "jws", "JWS Signer", Role.IACA),
        (Role.OCSP_SIGNER, OCSP_SIGNER, "ocsp", "OCSP Signer", Role.IACA),
        (Role.READER_CA, READER_CA, "reader-ca", "Reader CA", None),
        (Role.READER, READER_AUTHENTICATION, "reader", "Reader", Role.READER_CA),
        (Role.VICAL_CA, READER_CA, "vical-ca", "VICAL CA", None),
        (Role.VICAL_SIGNER, VICAL_SIGNER, "vical", "VICAL Signer", Role.VICAL_CA),
    )
})  # fmt: skip
"""The roles whose keys have certificates, and who signs whom."""

CA_ROLES: Final = tuple(role for role, one in CERTIFIED.items() if one.issuer is None)
"""The roles that sign certificates and CRLs."""

# What a request may ask for in extendedKeyUsage, by the role that this means; list signers have no number yet.
_PURPOSES: Final[Mapping[Role, frozenset[str]]] = {
    Role.IACA: frozenset({KeyPurpose.IACA}),
    Role.LINK: frozenset({KeyPurpose.IACA_LINK}),
    Role.DOCUMENT_SIGNER: frozenset({KeyPurpose.MDL_DOCUMENT_SIGNER, KeyPurpose.MDOC_SIGNER}),
    Role.JWS_SIGNER: frozenset({KeyPurpose.MDL_JWS_SIGNER}),
    Role.OCSP_SIGNER: frozenset({KeyPurpose.OCSP_SIGNING}),
    Role.READER: frozenset({KeyPurpose.MDOC_READER_AUTHENTICATION, KeyPurpose.MDOC_READER}),
    Role.VICAL_SIGNER: frozenset({KeyPurpose.VICAL_SIGNER}),
}


def check_asked_role(request: CertificateRequest, role: Role, *, file: str | None = None) -> None:
    """Refuse to certify a request for a role that it was not made for, as far as it says what it was made for.

    A request has no field for that. Three signs speak, and each one that does has to speak for the role: the extended
    key usages that it asks for; the end of its common name, as `signer_subject` writes it; the name of its file, as
    requests are called here. A request without any sign is taken for whatever role is named.

    Args:
        request: The request.
        role: What its key shall be certified for.
        file: The file that it came in, where whoever carried it has named one.

    Raises:
        IssuanceError: It was made for another role (code ``request.role``).
    """
    others = frozenset().union(*(known for one, known in _PURPOSES.items() if one is not role))
    ours, asked = _PURPOSES.get(role, frozenset()), frozenset(request.purposes)
    if asked & others or (asked and ours and not asked & ours):
        _refuse_role("it asks for the purpose of another (extendedKeyUsage)", role)
    name = (request.subject.common_name or "").casefold()
    endings = [(f" {one.suffix}", kind) for kind, one in CERTIFIED.items()]
    if role not in _named(name, endings, r".*{}(?: [0-9]+)?", role):
        _refuse_role("its common name is that of another", role)
    stem = "" if file is None else file.rpartition("/")[2].casefold()
    words = [(word, kind) for kind, one in CERTIFIED.items() for word in (one.name, kind.value)]
    if role not in _named(stem, words, r"{}(?:-[0-9a-f]+)?(?:\.[a-z0-9]+)?", role):
        _refuse_role("its file has the name of another's", role)


def _named(text: str, words: Iterable[tuple[str, Role]], pattern: str, otherwise: Role) -> set[Role]:
    """The roles whose word a text has in that place; what it is taken for where it has none."""
    found = {kind for word, kind in words if re.fullmatch(pattern.format(re.escape(word.casefold())), text, re.DOTALL)}
    return found or {otherwise}


def _refuse_role(sign: str, role: Role) -> None:
    message = (
        f"the request was not made for the role {role.value}: {sign}; name the role that it was made for, or have a "
        "request made for this one"
    )
    raise IssuanceError(message, code="request.role")


# --- Roots -----------------------------------------------------------------------------------------------------------


class Roots:
    """The roots of an authority in all their generations, as the store has them at one moment."""

    def __init__(self, reader: Reader) -> None:
        """Read them.

        Raises:
            DecodeError: The store is damaged.
        """
        self._certificates = reader.certificates()
        settings = reader.settings()
        document = {} if settings is None else settings.document
        self._starts = _starts(document)
        if not any(one.role is Role.IACA for one in self._certificates):
            raise DecodeError("the store has no root: restore it from a backup", code="store.damaged")

    @property
    def certificates(self) -> tuple[CertificateRecord, ...]:
        """Every certificate of the authority in the order in which they were issued."""
        return self._certificates

    def of(self, role: Role) -> tuple[CertificateRecord, ...]:
        """The roots of a role, oldest first, revoked and expired ones too."""
        return tuple(one for one in self._certificates if one.role is role)

    def certifies_from(self, root: CertificateRecord) -> datetime:
        """From when on certificates are issued under a root."""
        return self._starts.get(root.certificate.fingerprint, root.certificate.not_before)

    def certifying(self, role: Role, at: datetime) -> CertificateRecord:
        """The root under which certificates are issued at a moment: the newest whose turn has come.

        Raises:
            LocalProtocolError: There is none of that role (code ``authority.no_ca``).
        """
        usable = [one for one in self.of(role) if one.revoked_at is None]
        started = [one for one in usable if self.certifies_from(one) <= at]
        if not usable:
            name = CERTIFIED[role].name
            message = f"there is no {CERTIFIED[role].suffix} yet: make one with mdl issuer certify --role {name}"
            raise LocalProtocolError(message, code="authority.no_ca")
        return started[-1] if started else usable[0]

    def in_service(self, at: datetime) -> tuple[CertificateRecord, ...]:
        """The roots whose CRLs are needed: a certificate under them is, or may yet be, valid.

        Spec:
            pki.md §4: after a re-key the old key's CRL goes on until its last end entity expires.
        """
        return tuple(
            one
            for role in CA_ROLES
            for one in self.of(role)
            if one.revoked_at is None
            and one.certificate.not_after >= at
            and (one == self.of(role)[-1] or one == self.certifying(role, at) or self.last_end(one) >= at)
        )

    def given_up(self, at: datetime) -> tuple[CertificateRecord, ...]:
        """The roots that were given up, and under which something may still be valid: their last CRLs stay."""
        return tuple(
            one
            for one in self._certificates
            if one.role in CA_ROLES and one.revoked_at is not None and self.last_end(one) >= at
        )

    def last_end(self, root: CertificateRecord) -> datetime:
        """When the last certificate under a root expires; the start of the root's validity if there is none."""
        own = root.certificate.fingerprint
        ends = (
            one.certificate.not_after
            for one in self._certificates
            if one.issuer == own and one.certificate.fingerprint != own
        )
        return max(ends, default=root.certificate.not_before)

    def issuer_of(self, record: CertificateRecord) -> CertificateRecord:
        """The root that signed a certificate.

        Raises:
            DecodeError: The store does not have it.
        """
        for one in self._certificates:
            if one.certificate.fingerprint == record.issuer:
                return one
        raise DecodeError("the store lacks the issuer of a certificate: restore it", code="store.damaged")

    def stem(self, record: CertificateRecord) -> str:
        """What a certificate's files are called, without the ending: unique and for good."""
        fingerprint = record.certificate.fingerprint
        if record.role is Role.IACA:
            return _generation("iaca", [one.certificate.fingerprint for one in self.of(Role.IACA)].index(fingerprint))
        if record.role is Role.LINK:
            roots = [one.certificate.public_key for one in self.of(Role.IACA)]
            if record.certificate.public_key in roots:
                return f"{_generation('iaca', roots.index(record.certificate.public_key))}-link"
        if record.key is not None:
            return record.key
        return f"{CERTIFIED[record.role].name}-{record.certificate.serial:040x}"


def _generation(name: str, index: int) -> str:
    return name if index == 0 else f"{name}-{index + 1}"


def _starts(document: Mapping[str, Any]) -> dict[bytes, datetime]:
    """From when on each root certifies, as the settings say it."""
    kept = document.get("certifies_from", {})
    try:
        return {
            bytes.fromhex(fingerprint): datetime.fromisoformat(time).astimezone(UTC)
            for fingerprint, time in kept.items()
        }
    except (AttributeError, TypeError, ValueError) as exc:
        message = "the settings do not say since when a root certifies: restore the store"
        raise DecodeError(message, code="store.damaged", path="certifies_from") from exc


def with_start(document: Mapping[str, Any], root: Certificate, start: datetime) -> dict[str, Any]:
    """Settings in which a root certifies from a moment on."""
    kept = dict(document.get("certifies_from", {}))
    return {**document, "certifies_from": {**kept, root.fingerprint.hex(): TDate.of(start).text}}


# --- Signers ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key in the token that signs something else than credentials.

    Attributes:
        key: Its label.
        record: Its certificate.
    """

    key: str
    record: CertificateRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentSigner:
    """A document signer whose key is in the token.

    Attributes:
        key: Its key's label.
        certificate: Its certificate.
        state: What it may be used for.
    """

    key: str
    certificate: Certificate
    state: SignerState

    def may_sign(self, *, signed: datetime, valid_until: datetime) -> bool:
        """Whether a credential of these times is its to sign: the credential does not outlive it."""
        certificate = self.certificate
        return (
            self.state is SignerState.ACTIVE
            and certificate.not_before <= signed
            and valid_until <= certificate.not_after
        )


def document_signers(reader: Reader, *, state: SignerState | None = None) -> tuple[DocumentSigner, ...]:
    """The document signers of the token in the order in which they were made, of one state if it is given."""
    return tuple(
        DocumentSigner(key=one.key, certificate=reader.certificate(one.certificate).certificate, state=one.state)
        for one in reader.signers(Role.DOCUMENT_SIGNER, state=state)
        if one.certificate is not None
    )


def choose_document_signer(
    signers: Iterable[DocumentSigner], *, signed: datetime, valid_until: datetime
) -> DocumentSigner | None:
    """The newest document signer that may sign credentials of these times, or None.

    Args:
        signers: In the order in which they were made.
        signed: The earliest time at which one of them is signed.
        valid_until: The latest end of their validity.

    Spec:
        pki.md §4: no security object outlives its document signer.
    """
    fitting = [one for one in signers if one.may_sign(signed=signed, valid_until=valid_until)]
    return fitting[-1] if fitting else None


def active_signer(reader: Reader, role: Role, *, at: datetime, issuer: bytes | None = None) -> SigningKey:
    """The newest key of a role that may sign at a moment.

    Args:
        reader: The store.
        role: What the key is for.
        at: The moment.
        issuer: SHA-256 of the root that shall have certified it; None for any.

    Raises:
        LocalProtocolError: There is none (code ``authority.no_signer``).
    """
    for one in reversed(reader.signers(role, state=SignerState.ACTIVE)):
        if one.certificate is None:
            continue
        record = reader.certificate(one.certificate)
        valid = record.certificate.not_before <= at <= record.certificate.not_after
        if valid and record.revoked_at is None and issuer in (None, record.issuer):
            return SigningKey(key=one.key, record=record)
    name = CERTIFIED[role].name
    message = (
        f"there is no {CERTIFIED[role].profile.title} at that time: make one with mdl issuer certify --role {name}"
    )
    raise LocalProtocolError(message, code="authority.no_signer")


def signer_subject(root: Certificate, role: Role, common_name: str | None, number: int) -> Subject:
    """The name of a certificate under a root, or of a root beside it, with the root's country, state, organization."""
    name = root.subject
    owner = name.common_name or ""
    for suffix in (CERTIFIED[one].suffix for one in CA_ROLES):
        owner = owner.removesuffix(f" {suffix}")
    return Subject(
        country=name.country or "",
        state=name.state,
        organization=name.only(AttributeId.ORGANIZATION),
        common_name=common_name_of(owner, role, number) if common_name is None else common_name,
    )


def common_name_of(owner: str, role: Role, number: int | None = None) -> str:
    """The name of a certificate where none is given: its owner's, cut so that the whole has 64 characters at most."""
    ending = f" {CERTIFIED[role].suffix}" + ("" if number is None else f" {number}")
    return f"{owner[: _LONGEST_NAME - len(ending)].rstrip()}{ending}"

"""Certificate revocation lists as immutable views over the DER that was received."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self

from mdl.errors import DecodeError, VerificationError
from mdl.keys import PublicKey
from mdl.pki import structures as der_types
from mdl.pki.certificate import (
    AlgorithmIdentifier,
    AuthorityCertificate,
    Certificate,
    Extension,
    ExtensionId,
    Name,
    NameForm,
    algorithm_of,
    authority_key_of,
    extensions_of,
    general_name_of,
    is_pem,
    pem_blocks,
    time_of,
    to_pem,
    verify_x509_signature,
)
from mdl.pki.encoding import CRL, explain

MAX_CRL_SIZE: Final = 8_388_608
"""Largest CRL that is decoded, in bytes, inclusive: some two hundred thousand entries."""

_MALFORMED: Final = "crl.malformed"
_ENTRIES_AT_A_TIME: Final = 1024
_TIMES: Final = frozenset((0x17, 0x18))
_REASON: Final = "2.5.29.21"
_CERTIFICATE_ISSUER: Final = "2.5.29.29"
_DIRECTORY_NAME: Final = b"\xa4"


class Listing(StrEnum):
    """What a CRL's entry says of a certificate."""

    REVOKED = "revoked"
    """It is revoked, for good, whatever the reason."""
    SUSPENDED = "suspended"
    """It is on hold (reason certificateHold): the newest list decides whether it still is."""
    REMOVED = "removed"
    """It is on hold no more (reason removeFromCRL, which is for delta CRLs)."""


# certificateHold and removeFromCRL, as DER; every other reason is one for good.
_REASONS: Final = {b"\x0a\x01\x06": Listing.SUSPENDED, b"\x0a\x01\x08": Listing.REMOVED}
# Which counts where a number is listed twice: the first of these.
_GRAVITY: Final = (Listing.REVOKED, Listing.SUSPENDED, Listing.REMOVED, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlScope:
    """Which certificates a CRL is about, by its issuingDistributionPoint.

    Attributes:
        uris: The addresses that it names; None where it names no distribution point, and so speaks for all of them.
        of_end_entities: Whether it is about end entities only.
        of_cas: Whether it is about CAs only.
        is_open: Whether its silence means nothing: it is for some reasons, for attribute certificates or for
            certificates of other issuers, its distribution point is no address, or the extension is malformed.
        is_indirect: Whether its entries may name certificates of other issuers.
        key: What tells one scope from another: the extension's value, empty where it has none.
    """

    uris: frozenset[str] | None = None
    of_end_entities: bool = False
    of_cas: bool = False
    is_open: bool = False
    is_indirect: bool = False
    key: bytes = b""

    def covers(self, certificate: Certificate) -> bool:
        """Whether the CRL would list that certificate if it were revoked.

        Spec:
            RFC 5280 5.2.5 and 6.3.3; pki.md §4.
        """
        constraints = certificate.basic_constraints
        is_ca = constraints is not None and constraints.ca
        if self.is_open or (self.of_end_entities and is_ca) or (self.of_cas and not is_ca):
            return False
        return self.uris is None or any(
            name.form is NameForm.URI and name.value in self.uris
            for point in certificate.crl_distribution_points
            if not (point.has_reasons or point.has_crl_issuer)
            for name in point.names
        )


@dataclass(frozen=True, slots=True, repr=False)
class CrlEnvelope:
    """A CRL whose entries have not been read: enough to see whose it is, and to verify its signature first.

    Attributes:
        der: The CRL as received.
        tbs: The signed body, as received.
        version: 1 or 2.
        inner_algorithm: The signature algorithm inside the signed body.
        algorithm: The signature algorithm beside the signature.
        signature: The signature, DER for ECDSA.
        issuer: The issuer name.
        this_update: When it was issued, aware UTC.
        next_update: When the next one comes, aware UTC, or None.
        extensions: All extensions by object identifier; no identifier occurs twice.
        authority_key_identifier: The keyIdentifier member of the extension, or None.
        authority_certificate: The other members of the extension, or None.
        number: The cRLNumber, or None.
        scope: Which certificates it is about.

    Raises:
        DecodeError: Not one whole CRL in strict DER as far as its entries, or a known extension is malformed
            (``crl.malformed``, ``crl.size``, ``crl.extension.*``).
    """

    der: bytes
    tbs: bytes = field(init=False, compare=False)
    version: int = field(init=False, compare=False)
    inner_algorithm: AlgorithmIdentifier = field(init=False, compare=False)
    algorithm: AlgorithmIdentifier = field(init=False, compare=False)
    signature: bytes = field(init=False, compare=False)
    issuer: Name = field(init=False, compare=False)
    this_update: datetime = field(init=False, compare=False)
    next_update: datetime | None = field(init=False, compare=False)
    extensions: Mapping[str, Extension] = field(init=False, compare=False)
    authority_key_identifier: bytes | None = field(init=False, compare=False)
    authority_certificate: AuthorityCertificate | None = field(init=False, compare=False)
    number: int | None = field(init=False, compare=False)
    scope: CrlScope = field(init=False, compare=False)
    _deviating: tuple[str, ...] = field(init=False, compare=False)
    _entries: bytes | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.der) > MAX_CRL_SIZE:
            raise DecodeError(f"a CRL of more than {MAX_CRL_SIZE} bytes", code="crl.size")
        try:
            self._open()
        except DecodeError as exc:
            raise explain(exc, self.der, CRL) from exc.__cause__

    def _open(self) -> None:
        outer = der_types.decode(der_types.Signed, self.der, code=_MALFORMED, path="")
        if outer.signature.padding_bits():
            raise DecodeError("a signature is whole bytes", code=_MALFORMED, path="signature")
        tbs = der_types.encoded(outer.body)
        rest, entries = _without_entries(tbs)
        body = der_types.decode(der_types.TbsCertList, rest, code=_MALFORMED, path="tbsCertList")
        if body.version not in (None, 1):
            raise DecodeError("no such version", code=_MALFORMED, path="tbsCertList.version")
        this_update, in_order = time_of(body.this_update, code=_MALFORMED, path="thisUpdate")
        deviating = [] if in_order else ["thisUpdate"]
        next_update = None
        if body.next_update is not None:
            next_update, in_order = time_of(body.next_update, code=_MALFORMED, path="nextUpdate")
            deviating += [] if in_order else ["nextUpdate"]
        extensions = extensions_of(body.extensions, code="crl.extension", path="crlExtensions")
        authority = authority_key_of(extensions)
        number = extensions.get(ExtensionId.CRL_NUMBER)
        point = extensions.get(ExtensionId.ISSUING_DISTRIBUTION_POINT)
        for name, value in (
            ("tbs", tbs),
            ("version", 1 if body.version is None else 2),
            ("inner_algorithm", algorithm_of(body.signature, code=_MALFORMED, path="tbsCertList.signature")),
            ("algorithm", algorithm_of(outer.algorithm, code=_MALFORMED, path="signatureAlgorithm")),
            ("signature", outer.signature.as_bytes()),
            ("issuer", Name(der_types.encoded(body.issuer))),
            ("this_update", this_update),
            ("next_update", next_update),
            ("extensions", MappingProxyType(extensions)),
            ("authority_key_identifier", authority.key_identifier),
            ("authority_certificate", authority.certificate),
            ("number", None if number is None else _number(number.value)),
            ("scope", CrlScope() if point is None else _scope(point.value)),
            ("_deviating", tuple(deviating)),
            ("_entries", entries),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def decode_any(cls, data: bytes) -> Self:
        """Decode one CRL, DER or PEM; distribution points owe DER, and some serve PEM.

        Raises:
            DecodeError: None, several, or a malformed one (``crl.pem`` or as for the class).
        """
        if data.lstrip()[:1] == b"<":
            raise DecodeError("an HTML or XML page, and no CRL", code=_MALFORMED)
        if not is_pem(data):
            return cls(data)
        found = pem_blocks(data, "X509 CRL", code="crl.pem")
        if len(found) != 1:
            raise DecodeError(f"{len(found)} CRLs where one is expected", code="crl.pem")
        return cls(found[0])

    @property
    def is_delta(self) -> bool:
        """Whether it only says what has changed since another one."""
        return ExtensionId.DELTA_CRL_INDICATOR in self.extensions

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER, 32 bytes."""
        return hashlib.sha256(self.der).digest()

    def verify_signature(self, issuer_key: PublicKey) -> None:
        """Check the signature under the issuer's key.

        Raises:
            VerificationError: It does not verify (``signature.invalid``), its algorithm is not ECDSA with SHA-2 on a
                key to match (``signature.algorithm``), or its two algorithm identifiers differ
                (``signature.algorithm_mismatch``).
        """
        if self.algorithm != self.inner_algorithm:
            raise VerificationError(
                "the two signature algorithm identifiers differ", code="signature.algorithm_mismatch"
            )
        verify_x509_signature(issuer_key, self.algorithm, self.tbs, self.signature)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.fingerprint.hex()[:16]}…)"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.der,)


@dataclass(frozen=True, slots=True, repr=False)
class Crl(CrlEnvelope):
    """A CRL, a view over its DER.

    Attributes:
        owner: By which name the issuer is known beside the one in the CRL, for entries that name a certificate issuer.
        deviating_times: Names of the times that are not in the form that RFC 5280 5.1.2.4 asks for in their year.
        revoked: The time of revocation by serial number; the earliest where a number is listed twice.
        has_empty_list: Whether there is a list of revoked certificates without an entry.
        entry_extensions: Whether critical, by object identifier, over all entries.

    Raises:
        DecodeError: Not one whole CRL in strict DER, or a known extension inside is malformed
            (``crl.malformed``, ``crl.size``, ``crl.extension.*``).
    """

    owner: Name | None = field(default=None, kw_only=True, compare=False)
    deviating_times: tuple[str, ...] = field(init=False, compare=False)
    revoked: Mapping[int, datetime] = field(init=False, compare=False)
    has_empty_list: bool = field(init=False, compare=False)
    entry_extensions: Mapping[str, bool] = field(init=False, compare=False)
    # What the entries say of the certificates that are not simply revoked; None: they are another issuer's.
    _listings: Mapping[int, Listing | None] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        CrlEnvelope.__post_init__(self)
        try:
            self._read_entries()
        except DecodeError as exc:
            raise explain(exc, self.der, CRL) from exc.__cause__

    def _read_entries(self) -> None:
        deviating = dict.fromkeys(self._deviating)
        revoked: dict[int, datetime] = {}
        entry_extensions: dict[str, bool] = {}
        listings: dict[int, Listing | None] = {}
        moments: dict[datetime, datetime] = {}  # most entries share few of them
        is_own = True
        for entry in _entries_of(self._entries):
            revoked_at, in_order = time_of(entry.revoked_at, code=_MALFORMED, path="revocationDate")
            if not in_order:
                deviating["revocationDate"] = None
            revoked_at = moments.setdefault(revoked_at, revoked_at)
            listing: Listing | None = Listing.REVOKED
            if entry.extensions is not None:
                found = extensions_of(entry.extensions, code="crl.extension", path="crlEntryExtensions")
                for oid, extension in found.items():
                    entry_extensions[oid] = entry_extensions.get(oid, False) or extension.critical
                if _CERTIFICATE_ISSUER in found and self.scope.is_indirect:
                    is_own = self._is_own(found[_CERTIFICATE_ISSUER].value)
                if _REASON in found:
                    listing = _REASONS.get(found[_REASON].value, Listing.REVOKED)
            if not is_own:
                listing = None
            before = revoked.get(entry.serial)
            if before is None:
                revoked[entry.serial] = revoked_at
                if listing is not Listing.REVOKED:
                    listings[entry.serial] = listing
            else:
                revoked[entry.serial] = min(revoked_at, before)
                if entry.serial in listings:
                    listings[entry.serial] = min(listing, listings[entry.serial], key=_GRAVITY.index)
                    if listings[entry.serial] is Listing.REVOKED:
                        del listings[entry.serial]
        for name, value in (
            ("deviating_times", tuple(deviating)),
            ("revoked", MappingProxyType(revoked)),
            ("has_empty_list", self._entries is not None and not revoked),
            ("entry_extensions", MappingProxyType(entry_extensions)),
            ("_listings", MappingProxyType(listings)),
            ("_entries", None),
        ):
            object.__setattr__(self, name, value)

    def _is_own(self, value: bytes) -> bool:
        """Whether a certificateIssuer names the issuer, or nobody who can be told: then it hides no entry."""
        try:
            elements = der_types.decode(der_types.GeneralNames, der_types.enclosed(value), code=_MALFORMED, path="")
            names = [Name(bytes(one.data)) for one in elements.items if one.tag_bytes == _DIRECTORY_NAME]
        except DecodeError:
            return True
        own = [self.issuer] if self.owner is None else [self.issuer, self.owner]
        return not names or any(name.resembles(one) for name in names for one in own)

    def __reduce__(self) -> tuple[Any, ...]:
        return _crl, (self.der, self.owner)

    @classmethod
    def decode(cls, der: bytes, *, owner: Name | None = None) -> Crl:
        """Decode a DER CRL.

        Args:
            der: The CRL.
            owner: See the class.

        Raises:
            DecodeError: See the class.
        """
        return cls(der, owner=owner)

    def listing(self, serial: int) -> Listing | None:
        """What the list says of the issuer's certificate with that serial number, or None where it says nothing.

        removeFromCRL says that a certificate is no longer on hold in a delta CRL only: a complete one that lists a
        certificate with it lists it still. In an indirect CRL, what stands behind an entry that names another
        certificate issuer is about that one's certificates; in any other, all entries are about the issuer's own.

        Spec:
            RFC 5280 5.3.1, 5.3.3; pki.md §4.
        """
        if serial not in self.revoked:
            return None
        found = self._listings.get(serial, Listing.REVOKED)
        return Listing.REVOKED if found is Listing.REMOVED and not self.is_delta else found

    @property
    def revoked_for_good(self) -> frozenset[int]:
        """The serial numbers of which `listing` says that they are revoked."""
        rest = frozenset(one for one in self._listings if self.listing(one) is not Listing.REVOKED)
        return frozenset(self.revoked) - rest

    @property
    def pem(self) -> str:
        """The CRL as PEM text, ending in a newline."""
        return to_pem(self.der, "X509 CRL")

    def is_revoked(self, serial: int) -> datetime | None:
        """When the certificate with that serial number was revoked, or None where it is not listed.

        This reads the list and nothing else: verify the signature and lint the CRL first.
        """
        return self.revoked.get(serial)


def _crl(der: bytes, owner: Name | None) -> Crl:
    return Crl(der, owner=owner)


def _without_entries(tbs: bytes) -> tuple[bytes, bytes | None]:
    """The signed body without its list of entries, and that list as received; the rest is for the strict decoder.

    What is not laid out as a CRL's body is given back whole, and the decoder refuses it.
    """
    start, _ = _extent(tbs, 0)
    at = start
    times = 0
    while 0 < at < len(tbs):
        tag = tbs[at]
        times += tag in _TIMES
        _, end = _extent(tbs, at)
        if tag == 0x30 and times:
            return der_types.enclosed(tbs[start:at] + tbs[end:]), tbs[at:end]
        at = end
    return tbs, None


def _extent(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the element at that place begins and ends; the end of the data where there is none."""
    head = data[at : at + 2]
    if len(head) < 2 or head[0] & 0x1F == 0x1F:
        return len(data), len(data)
    size, start = head[1], at + 2
    if size >= 0x80:
        octets = data[start : start + size - 0x80]
        start += len(octets)
        size = int.from_bytes(octets)
    return start, min(start + size, len(data))


def _entries_of(entries: bytes | None) -> Iterator[der_types.RevokedFields]:
    """Decode the entries, some at a time: all at once would take twenty times the room of their bytes."""
    if entries is None:
        return
    at, end = _extent(entries, 0)
    if der_types.enclosed(entries[at:end]) != entries:
        raise DecodeError("the list of entries is not DER", code=_MALFORMED, path="revokedCertificates")
    while at < end:
        first = at
        for _ in range(_ENTRIES_AT_A_TIME):
            _, at = _extent(entries, at)
            if at >= end:
                break
        some = der_types.enclosed(der_types.enclosed(entries[first:at]))
        yield from der_types.decode(der_types.RevokedEntries, some, code=_MALFORMED, path="revokedCertificates").items


def _scope(value: bytes) -> CrlScope:
    """What an issuingDistributionPoint says; a malformed one still leaves the CRL its entries."""
    code = "crl.extension.malformed"
    try:
        fields = der_types.decode(der_types.IssuingDistributionPointFields, value, code=code, path="")
        uris: frozenset[str] | None = None
        is_open = fields.some_reasons is not None or fields.indirect or fields.of_attributes
        if fields.name is not None:
            names = [
                general_name_of(name, ExtensionId.ISSUING_DISTRIBUTION_POINT) for name in fields.name.full_name or ()
            ]
            uris = frozenset(name.value for name in names if name.form is NameForm.URI)
            is_open = is_open or not uris
    except DecodeError:
        return CrlScope(is_open=True, key=value)
    return CrlScope(
        uris=uris,
        of_end_entities=fields.of_end_entities,
        of_cas=fields.of_cas,
        is_open=is_open,
        is_indirect=fields.indirect,
        key=value,
    )


def _number(value: bytes) -> int:
    return der_types.decode(int, value, code="crl.extension.malformed", path=f"extensions[{ExtensionId.CRL_NUMBER}]")

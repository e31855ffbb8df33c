"""The VICAL: the signed list of the roots of many issuing authorities.

`Vical.decode` decodes a list as views over the received bytes, and verifies nothing. Deviations of lists in use are
tolerated and reported (`TOLERATED`); contradictions between an entry and its certificate are reported too
(`CONTRADICTIONS`). A malformed entry becomes a `MalformedInfo`, so that the roots of the other entries are not lost.
`reader.vical` decides whether a list is accepted.

The provider's side is strict: `CertificateInfo.of` makes an entry out of a certificate, and `prepare_vical` →
``to_be_signed`` → `PreparedVical.complete` makes the list.

Spec:
    18013-5 first edition C.1.7.1 (structure) and C.1.7.2 (signer); pki.md §5.1 and §5.2. ``notAfter`` and ``vicalURL``
    are of the draft of the second edition.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from mdl.cbor import Limits, Tag, TDate, decode, decode_view, encode
from mdl.cose import X5CHAIN, CoseSign1, decode_sign1, protected_header, sig_structure
from mdl.errors import DecodeError, MdlError, ProfileError, SigningError, VerificationError
from mdl.keys import PublicKey, Signer, signature_of
from mdl.pki import IACA, VICAL_SIGNER, Certificate, Finding, Severity, lint_certificate

__all__ = [
    "CONTRADICTIONS",
    "MAX_VICAL_SIZE",
    "TOLERATED",
    "VICAL_ALGORITHMS",
    "VICAL_VERSION",
    "CertificateInfo",
    "MalformedInfo",
    "PreparedVical",
    "Vical",
    "VicalDeviation",
    "build_vical",
    "prepare_vical",
]

VICAL_VERSION: Final = "1.0"
"""The version of the list's structure."""

VICAL_ALGORITHMS: Final = frozenset({"ES256", "ES384", "ES512"})
"""The COSE algorithms that may sign a list."""

MAX_VICAL_SIZE: Final = 4 * 1024 * 1024
"""Largest list that is decoded, in bytes, inclusive."""

TOLERATED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "message.tagged": "the message stands under tag 18",
        "x5chain.protected": "the signer's certificates stand in the protected header",
        "issue_id.negative": "vicalIssueID is less than zero",
        "issue_id.missing": "the list has no vicalIssueID, so that an older one cannot be told by it",
        "next_update.missing": "the list does not say when the next one comes",
        "entries.empty": "the list has no entry",
        "date.form": "a date is not in the one form that the standard allows",
        "date.twelve_hours": "a date of the entry has its hour on a clock of twelve hours",
        "member.capital": "the name of a member begins with a capital letter",
        "member.unknown": "a member that this version does not know",
        "serial.negative": "the serial number is positive, but written as a negative bignum",
        "serial.integer": "the serial number is an integer, not a bignum",
        "serial.padded": "the serial number has leading zeros",
        "ski.wrapped": "ski holds the key identifier inside its DER OCTET STRING",
        "text.empty": "a text is empty, which says no more than leaving it out",
        "state.form": "stateOrProvinceName is no ISO 3166-2 code",
        "state.short_form": "entry and certificate name the same state, one of them without its country",
    }
)
"""Deviations from the standard that do not refuse a list: code to meaning."""

CONTRADICTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "serial.mismatch": "serialNumber is not the certificate's",
        "ski.mismatch": "ski is not the certificate's key identifier",
        "issuer.mismatch": "issuer is not the certificate's",
        "subject.mismatch": "subject is not the certificate's",
        "not_before.mismatch": "notBefore is not the certificate's",
        "not_after.mismatch": "notAfter is not the certificate's",
        "country.mismatch": "issuingCountry is not the country of the certificate",
        "state.mismatch": "stateOrProvinceName is not the state or province of the certificate",
    }
)
"""Contradictions between an entry and its certificate: code to meaning. None of them may be tolerated."""

_CLAUSE: Final = "18013-5 C.1.7.1"
_STRUCTURE: Final = "vical.structure"
_ENTRY: Final = "vical.entry"
# A list of thousands of roots is somebody's attempt to keep us busy: each entry costs a signature verification.
_LIMITS: Final = Limits(max_bytes=MAX_VICAL_SIZE, max_depth=16, max_entries=2048, max_items=1 << 17)
_TAG_SIGN1: Final = 18
_POSITIVE_BIGNUM: Final = 2
_NEGATIVE_BIGNUM: Final = 3
_COUNTRY: Final = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,3})?\Z")
_STATE: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}\Z")
_CAPITALS: Final = {"certificateProfile": "CertificateProfile", "extensions": "Extensions"}
_LIST_MEMBERS: Final = frozenset(
    (
        *("version", "vicalProvider", "date", "vicalIssueID", "nextUpdate", "notAfter", "vicalURL"),
        *("certificateInfos", "extensions"),
    )
)
_ENTRY_MEMBERS: Final = frozenset(
    (
        *("certificate", "serialNumber", "ski", "docType", "certificateProfile", "issuingAuthority", "issuingCountry"),
        *("stateOrProvinceName", "issuer", "subject", "notBefore", "notAfter", "extensions"),
        *_CAPITALS.values(),
    )
)
_NO_MEMBERS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class VicalDeviation:
    """A deviation of a list from the standard, or a contradiction to one of its certificates.

    Attributes:
        code: A key of `TOLERATED` or of `CONTRADICTIONS`.
        path: The place in the list, for example ``certificateInfos[3].ski``.
    """

    code: str
    path: str

    @property
    def meaning(self) -> str:
        """The meaning of the code, in words."""
        return TOLERATED.get(self.code) or CONTRADICTIONS[self.code]


class _Members:
    """The members of one map; collects the tolerated deviations."""

    def __init__(self, value: Any, path: str, code: str) -> None:
        if not isinstance(value, Mapping):
            raise _fail(path, "not a map", code)
        for name in value:
            if type(name) is not str:
                raise _fail(path, "a member's name is not text", code)
        self._value = value
        self._path = path
        self._code = code
        self.deviations: list[VicalDeviation] = []

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def tolerate(self, code: str, name: str) -> None:
        self.deviations.append(VicalDeviation(code=code, path=self.path(name)))

    def fail(self, name: str, what: str) -> DecodeError:
        return _fail(self.path(name), what, self._code)

    def get(self, name: str, kind: type) -> Any:
        """The member of that name, or None if it is absent."""
        value = self._value.get(name)
        capital = _CAPITALS.get(name)
        if capital is not None and capital in self._value:
            if name in self._value:
                raise self.fail(name, "stands there twice, with and without a capital letter")
            name, value = capital, self._value[capital]
            self.tolerate("member.capital", capital)
        if name not in self._value:
            return None
        if type(value) is not kind and not (kind is dict and isinstance(value, Mapping)):
            raise self.fail(name, "of the wrong type")
        return value

    def need(self, name: str, kind: type) -> Any:
        """The member of that name, which must be there."""
        value = self.get(name, kind)
        if value is None:
            raise self.fail(name, "missing")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.get(name, list)
        if values is None:
            return ()
        if not all(type(one) is str for one in values):
            raise self.fail(name, "not a list of text")
        if "" in values:
            self.tolerate("text.empty", name)
        return tuple(filter(None, values))

    def text(self, name: str) -> str | None:
        """The text of that name; None if it is absent, or empty (a tolerated deviation)."""
        value: str | None = self.get(name, str)
        if value == "":
            self.tolerate("text.empty", name)
        return value or None

    def moment(self, name: str) -> datetime | None:
        value = self.get(name, TDate)
        if value is None:
            return None
        try:
            moment: datetime = value.datetime
        except DecodeError as exc:
            raise self.fail(name, "no date and time") from exc
        if not value.is_strict:
            self.tolerate("date.form", name)
        return moment

    def extensions(self) -> Mapping[str, Any]:
        value = self.get("extensions", dict)
        if value is None:
            return _NO_MEMBERS
        if not all(type(name) is str for name in value):
            raise self.fail("extensions", "a name that is not text")
        return MappingProxyType(dict(value))

    def unknown(self, known: frozenset[str]) -> tuple[str, ...]:
        names = tuple(name for name in self._value if name not in known)
        self.deviations += [VicalDeviation(code="member.unknown", path=self._path) for _ in names]
        return names


def _fail(path: str, what: str, code: str) -> DecodeError:
    return DecodeError(what, code=code, path=path, clause=_CLAUSE)


# --- entries ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateInfo:
    """One root of the list, with its scope.

    Attributes:
        certificate: The root.
        serial: ``serialNumber``.
        ski: ``ski``, without the DER wrapping that some lists have.
        doctypes: ``docType``: the document types whose signers the root may issue; at least one.
        profiles: ``certificateProfile``: URNs or object identifiers.
        issuing_authority: ``issuingAuthority``, or None if absent, like all that follow.
        issuing_country: ``issuingCountry``: ISO 3166-1 alpha-2, or ISO 3166-2.
        state: ``stateOrProvinceName``.
        issuer: ``issuer``, the DER of a name.
        subject: ``subject``, the DER of a name.
        not_before: ``notBefore``.
        not_after: ``notAfter``.
        extensions: ``extensions``; empty where absent.
        unknown: Names of other members, which are reserved and ignored.
        path: The place of the entry in its list; empty for an entry that was built here.
        deviations: Tolerated deviations.
    """

    certificate: Certificate
    serial: int
    ski: bytes
    doctypes: tuple[str, ...]
    profiles: tuple[str, ...] = ()
    issuing_authority: str | None = None
    issuing_country: str | None = None
    state: str | None = None
    issuer: bytes | None = None
    subject: bytes | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    extensions: Mapping[str, Any] = field(default_factory=lambda: _NO_MEMBERS)
    unknown: tuple[str, ...] = ()
    path: str = ""
    deviations: tuple[VicalDeviation, ...] = ()

    @classmethod
    def from_value(cls, value: Any, path: str) -> CertificateInfo:
        """Read the decoded map of one entry.

        Raises:
            DecodeError: The map is no entry (code ``vical.entry``), or its certificate does not decode
                (``certificate.…``).
        """
        members = _Members(value, path, _ENTRY)
        der = members.need("certificate", bytes)
        try:
            certificate = Certificate(der)
        except DecodeError as exc:
            exc.path = members.path("certificate") + (f".{exc.path}" if exc.path else "")
            raise
        members.need("docType", list)
        doctypes = members.texts("docType")
        if not doctypes:
            raise members.fail("docType", "no document type")
        state = members.text("stateOrProvinceName")
        if state is not None and not _STATE.match(state):
            members.tolerate("state.form", "stateOrProvinceName")
        country = members.text("issuingCountry")
        for name, place in (("stateOrProvinceName", state), ("issuingCountry", _subdivision(country))):
            if _is_short_form(place, certificate):
                members.tolerate("state.short_form", name)
        serial, ski = _serial(value, certificate, members), _ski(certificate, members)
        profiles = members.texts("certificateProfile")
        not_before, not_after = members.moment("notBefore"), members.moment("notAfter")
        for name, listed, real in (
            ("notBefore", not_before, certificate.not_before),
            ("notAfter", not_after, certificate.not_after),
        ):
            if listed is not None and listed != real and listed == _on_twelve_hours(real):
                members.tolerate("date.twelve_hours", name)
        authority = members.text("issuingAuthority")
        extensions = members.extensions()
        unknown = members.unknown(_ENTRY_MEMBERS)
        return cls(
            certificate=certificate,
            serial=serial,
            ski=ski,
            doctypes=doctypes,
            profiles=profiles,
            issuing_authority=authority,
            issuing_country=country,
            state=state,
            issuer=members.get("issuer", bytes),
            subject=members.get("subject", bytes),
            not_before=not_before,
            not_after=not_after,
            extensions=extensions,
            unknown=unknown,
            path=path,
            deviations=tuple(members.deviations),
        )

    @classmethod
    def of(
        cls,
        certificate: Certificate,
        *,
        doctypes: Iterable[str],
        issuing_authority: str | None = None,
        profiles: Iterable[str] = (),
    ) -> CertificateInfo:
        """Build the entry of a root. Members that repeat the certificate are taken from it.

        Args:
            certificate: The IACA root.
            doctypes: The document types whose signers it may issue.
            issuing_authority: The authority's name.
            profiles: URNs or object identifiers of certificate profiles.

        Raises:
            ProfileError: The certificate breaks the profile of an IACA root (code ``vical.root``).
            ValueError: There is no document type, or a text is empty.

        Spec:
            18013-5 C.1.7.1; pki.md §5.1: ``docType`` names at least one.
        """
        if isinstance(doctypes, str) or isinstance(profiles, str):
            msg = "document types and profiles are several texts, not one"
            raise TypeError(msg)
        doctypes, profiles = tuple(doctypes), tuple(profiles)
        if not doctypes or not all(doctypes) or not all(profiles):
            msg = "an entry names at least one document type, and no empty text"
            raise ValueError(msg)
        _require(lint_certificate(certificate, IACA), "the root breaks its profile", "vical.root")
        return cls(
            certificate=certificate,
            serial=certificate.serial,
            ski=_key_identifier(certificate),
            doctypes=doctypes,
            profiles=profiles,
            issuing_authority=issuing_authority,
            issuing_country=certificate.country,
            state=certificate.state,
            issuer=certificate.issuer.der,
            subject=certificate.subject.der,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )

    @property
    def country(self) -> str | None:
        """The country of ``issuingCountry``: of an ISO 3166-2 code its first part."""
        found = _COUNTRY.match(self.issuing_country or "")
        return found[1] if found else self.issuing_country

    @property
    def jurisdiction(self) -> str | None:
        """The state or province: ``stateOrProvinceName``, or ``issuingCountry`` where that is an ISO 3166-2 code.

        If the certificate has the same place in the other form, AK for US-AK, the certificate's form is returned.
        """
        place = _subdivision(self.issuing_country) if self.state is None else self.state
        return self.certificate.state if _is_short_form(place, self.certificate) else place

    @property
    def contradictions(self) -> tuple[VicalDeviation, ...]:
        """The contradictions between the entry and its certificate; empty if there are none."""
        return tuple(self._contradictions())

    def _contradictions(self) -> Iterator[VicalDeviation]:
        certificate = self.certificate
        for code, member, listed, real in (
            ("serial", "serialNumber", self.serial, certificate.serial),
            ("ski", "ski", self.ski, _key_identifier(certificate)),
            ("issuer", "issuer", self.issuer, certificate.issuer.der),
            ("subject", "subject", self.subject, certificate.subject.der),
            ("country", "issuingCountry", self.country, certificate.country),
        ):
            if listed is not None and listed != real:
                yield self._contradiction(code, member)
        for code, member, moment, limit in (
            ("not_before", "notBefore", self.not_before, certificate.not_before),
            ("not_after", "notAfter", self.not_after, certificate.not_after),
        ):
            if moment is not None and moment != limit and moment != _on_twelve_hours(limit):
                yield self._contradiction(code, member)
        for member, place in (
            ("stateOrProvinceName", self.state),
            ("issuingCountry", _subdivision(self.issuing_country)),
        ):
            if None in (place, certificate.state) or place == certificate.state or _is_short_form(place, certificate):
                continue
            yield self._contradiction("state", member)

    def _contradiction(self, code: str, member: str) -> VicalDeviation:
        path = f"{self.path}.{member}" if self.path else member
        return VicalDeviation(code=f"{code}.mismatch", path=path)

    def to_cbor(self) -> dict[str, Any]:
        """The entry's map, in the form of the standard; members that are not known are not written."""
        members: dict[str, Any] = {
            "certificate": self.certificate.der,
            "serialNumber": Tag(_POSITIVE_BIGNUM, self.serial.to_bytes((self.serial.bit_length() + 7) // 8)),
            "ski": self.ski,
            "docType": list(self.doctypes),
            "certificateProfile": list(self.profiles) or None,
            "issuingAuthority": self.issuing_authority,
            "issuingCountry": self.issuing_country,
            "stateOrProvinceName": self.state,
            "issuer": self.issuer,
            "subject": self.subject,
            "notBefore": None if self.not_before is None else TDate.of(self.not_before),
            "notAfter": None if self.not_after is None else TDate.of(self.not_after),
            "extensions": dict(self.extensions) or None,
        }
        return {name: value for name, value in members.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedInfo:
    """A malformed entry, and its defect.

    Attributes:
        code: The code of the `DecodeError`, for example ``vical.entry`` or ``certificate.malformed``.
        path: The place, for example ``certificateInfos[3].docType``.
        message: The defect, in words.
    """

    code: str
    path: str
    message: str


def _key_identifier(certificate: Certificate) -> bytes:
    """The value that ``ski`` must have: the certificate's own, or if it has none, by method 1 of RFC 5280."""
    own = certificate.subject_key_identifier
    return hashlib.sha1(certificate.key_bits, usedforsecurity=False).digest() if own is None else own


def _on_twelve_hours(moment: datetime) -> datetime:
    """The time as a twelve-hour clock shows it."""
    return moment.replace(hour=moment.hour % 12 or 12)


def _serial(value: Mapping[str, Any], certificate: Certificate, members: _Members) -> int:
    name = "serialNumber"
    found = value.get(name)
    if type(found) is int:
        members.tolerate("serial.integer", name)
        return found
    if type(found) is not Tag or type(found.value) is not bytes:
        raise members.fail(name, "missing, or no bignum")
    number = int.from_bytes(found.value)
    if found.number == _NEGATIVE_BIGNUM:
        # The octets of a positive number, taken for a two's complement or put under the wrong tag.
        serial, signed = certificate.serial, -1 - number
        if serial > 0 and (number == serial or signed == serial - (1 << 8 * ((serial.bit_length() + 7) // 8))):
            members.tolerate("serial.negative", name)
            return serial
        return signed
    if found.number != _POSITIVE_BIGNUM:
        raise members.fail(name, "missing, or no bignum")
    if found.value[:1] == b"\0":
        members.tolerate("serial.padded", name)
    return number


def _ski(certificate: Certificate, members: _Members) -> bytes:
    found: bytes = members.need("ski", bytes)
    bare = _key_identifier(certificate)
    if found != bare:
        # The extension's value is an OCTET STRING, and X.509 puts extension values into another one.
        inner = b"\x04" + bytes((len(bare),)) + bare if len(bare) < 0x80 else b""
        if inner and found in (inner, b"\x04" + bytes((len(inner),)) + inner):
            members.tolerate("ski.wrapped", "ski")
            return bare
    return found


# --- the list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Vical:
    """A list as received; nothing is verified.

    Attributes:
        data: The list as received.
        message: The COSE_Sign1; its payload is as received.
        x5chain: The signer's certificate, then others on the way to the provider's root, DER; not covered by the
            signature.
        version: ``version``.
        provider: ``vicalProvider``.
        date: ``date``: the time of issue.
        issue_id: ``vicalIssueID``, or None; a negative number is a tolerated deviation.
        next_update: ``nextUpdate``, or None.
        not_after: ``notAfter``: the end of its use, or None.
        url: ``vicalURL``: the address of the newest list, or None.
        entries: ``certificateInfos``, in order.
        extensions: ``extensions``; empty where absent.
        unknown: Names of other members.
        own_deviations: Tolerated deviations of the list itself; `deviations` has those of the entries too.
    """

    data: bytes
    message: CoseSign1
    x5chain: tuple[bytes, ...]
    version: str
    provider: str
    date: datetime
    issue_id: int | None
    next_update: datetime | None
    not_after: datetime | None
    url: str | None
    entries: tuple[CertificateInfo | MalformedInfo, ...]
    extensions: Mapping[str, Any]
    unknown: tuple[str, ...]
    own_deviations: tuple[VicalDeviation, ...]

    @classmethod
    def decode(cls, data: bytes) -> Vical:
        """Read a list: a COSE_Sign1, with or without its tag.

        Raises:
            DecodeError: The bytes are no such list (codes ``cbor.…``, ``cose.…``, ``vical.structure``).
        """
        value = decode_view(data, limits=_LIMITS, keep_raw=False)
        message = decode_sign1(value, path="vical")
        if message.payload is None:
            raise _fail("vical", "the payload is detached", _STRUCTURE)
        try:
            payload = decode(message.payload, limits=_LIMITS)
        except DecodeError as exc:
            exc.path = "payload"
            raise
        members = _Members(payload, "", _STRUCTURE)
        if type(value) is Tag and value.number == _TAG_SIGN1:
            members.tolerate("message.tagged", "vical")
        if X5CHAIN in message.protected_map:
            members.tolerate("x5chain.protected", "vical")
        date = members.moment("date")
        if date is None:
            raise members.fail("date", "missing")
        issue_id = members.get("vicalIssueID", int)
        if issue_id is None:
            members.tolerate("issue_id.missing", "vicalIssueID")
        elif issue_id < 0:
            members.tolerate("issue_id.negative", "vicalIssueID")
        next_update = members.moment("nextUpdate")
        if next_update is None:
            members.tolerate("next_update.missing", "nextUpdate")
        listed = members.need("certificateInfos", list)
        if not listed:
            members.tolerate("entries.empty", "certificateInfos")
        return cls(
            data=data,
            message=message,
            x5chain=message.x5chain,
            version=members.need("version", str),
            provider=members.need("vicalProvider", str),
            date=date,
            issue_id=issue_id,
            next_update=next_update,
            not_after=members.moment("notAfter"),
            url=members.get("vicalURL", str),
            entries=tuple(_entry(one, f"certificateInfos[{index}]") for index, one in enumerate(listed)),
            extensions=members.extensions(),
            unknown=members.unknown(_LIST_MEMBERS | {"Extensions"}),
            own_deviations=tuple(members.deviations),
        )

    @property
    def deviations(self) -> tuple[VicalDeviation, ...]:
        """Tolerated deviations of the list and its entries."""
        inner = (one.deviations for one in self.entries if isinstance(one, CertificateInfo))
        return self.own_deviations + tuple(deviation for found in inner for deviation in found)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the list as received, 32 bytes."""
        return hashlib.sha256(self.data).digest()


def _subdivision(country: str | None) -> str | None:
    """The ISO 3166-2 code in the place of a country, or None."""
    found = _COUNTRY.match(country or "")
    return country if found and found[2] else None


def _is_short_form(place: str | None, certificate: Certificate) -> bool:
    """Whether a place and the certificate's state differ only in the country in front of one of them."""
    country, state = certificate.country, certificate.state
    if place is None or country is None or state is None:
        return False
    return place == f"{country}-{state}" or state == f"{country}-{place}"


def _entry(value: Any, path: str) -> CertificateInfo | MalformedInfo:
    try:
        return CertificateInfo.from_value(value, path)
    except DecodeError as exc:
        return MalformedInfo(code=exc.code, path=exc.path, message=exc.message)
    except Exception as exc:  # noqa: BLE001 - an error of ours over one entry must not take the others' roots away
        return MalformedInfo(code=_ENTRY, path=path, message=f"it could not be read ({type(exc).__name__})")


# --- issuing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreparedVical:
    """A complete list without its signature.

    Attributes:
        to_be_signed: The encoded Sig_structure, which the provider's signer has to sign as a whole.
    """

    to_be_signed: bytes
    _protected: bytes
    _x5chain: tuple[bytes, ...]
    _payload: bytes
    _key: PublicKey

    def complete(self, signature: bytes) -> bytes:
        """Verify the signature, and return the encoded list with it.

        Args:
            signature: The raw signature over `to_be_signed`: r and s side by side.

        Raises:
            SigningError: The signature does not verify under the signer's key (code ``signing.wrong_signature``).
        """
        try:
            self._key.verify(signature, self.to_be_signed)
        except VerificationError as exc:
            msg = "the custodian's signature does not verify with the VICAL signer's key; nothing was issued"
            raise SigningError(msg, code="signing.wrong_signature") from exc
        chain = self._x5chain[0] if len(self._x5chain) == 1 else list(self._x5chain)
        return CoseSign1(self._protected, {}, {X5CHAIN: chain}, self._payload, signature).encode()


def prepare_vical(
    entries: Sequence[CertificateInfo],
    *,
    provider: str,
    date: datetime,
    issue_id: int,
    next_update: datetime,
    not_after: datetime | None = None,
    url: str | None = None,
    x5chain: Sequence[Certificate],
) -> PreparedVical:
    """Prepare a list for signing.

    Args:
        entries: The entries, as `CertificateInfo.of` builds them; at least one, each root once.
        provider: The provider's name.
        date: The time of issue, aware; cut to the second.
        issue_id: A number that grows with every list.
        next_update: The latest time of the next list, aware.
        not_after: The end of its use, aware, or None; of the second edition (draft).
        url: The address of the newest list, or None; of the second edition (draft).
        x5chain: The signer's certificate, then the CAs between it and the provider's root; not the root.

    Raises:
        ProfileError: The signer's certificate (code ``vical.signer``) or that of an entry (``vical.root``) breaks its
            profile, or is not valid at `date`.
        ValueError: There is no entry, an entry contradicts its certificate, a root occurs twice, the chain is empty,
            broken or has the root in it, or the times are naive or not in order.

    Spec:
        18013-5 C.1.7.1 and C.1.7.2; pki.md §5.1: never an empty list, always a number.
    """
    times = (date, next_update) if not_after is None else (date, next_update, not_after)
    if any(one.utcoffset() is None for one in times):
        msg = "the times of a list are aware datetimes"
        raise ValueError(msg)
    date, next_update = date.replace(microsecond=0), next_update.replace(microsecond=0)
    _check_entries(entries, at=date)
    _check_chain(x5chain)
    if not provider or issue_id < 0 or not next_update > date or not (not_after is None or not_after >= next_update):
        msg = "a list names its provider, is numbered from 0, and its times are in order"
        raise ValueError(msg)
    signer = x5chain[0]
    issuer = x5chain[1] if len(x5chain) > 1 else None
    findings = lint_certificate(signer, VICAL_SIGNER, issuer=issuer, at=date)
    _require(findings, "the signer's certificate breaks its profile", "vical.signer")
    protected = protected_header(signer.public_key.algorithm.cose_id)
    members: dict[str, Any] = {
        "version": VICAL_VERSION,
        "vicalProvider": provider,
        "date": TDate.of(date),
        "vicalIssueID": issue_id,
        "nextUpdate": TDate.of(next_update),
        "notAfter": None if not_after is None else TDate.of(not_after),
        "vicalURL": url,
        "certificateInfos": [one.to_cbor() for one in entries],
    }
    payload = encode({name: value for name, value in members.items() if value is not None})
    chain = tuple(one.der for one in x5chain)
    return PreparedVical(sig_structure(protected, payload), protected, chain, payload, signer.public_key)


def build_vical(
    entries: Sequence[CertificateInfo],
    signer: Signer,
    *,
    provider: str,
    date: datetime,
    issue_id: int,
    next_update: datetime,
    not_after: datetime | None = None,
    url: str | None = None,
    x5chain: Sequence[Certificate],
) -> bytes:
    """Prepare a list and have it signed at once; see `prepare_vical`.

    Raises:
        SigningError: The key store failed, or its signature does not verify.
    """
    prepared = prepare_vical(
        entries,
        provider=provider,
        date=date,
        issue_id=issue_id,
        next_update=next_update,
        not_after=not_after,
        url=url,
        x5chain=x5chain,
    )
    return prepared.complete(signature_of(signer, prepared.to_be_signed))


def _check_entries(entries: Sequence[CertificateInfo], *, at: datetime) -> None:
    if not entries:
        msg = "a list without a root says nothing: leave it unpublished"
        raise ValueError(msg)
    if len({one.certificate.der for one in entries}) != len(entries):
        msg = "a root occurs twice: give it one entry with all its document types"
        raise ValueError(msg)
    for index, one in enumerate(entries):
        wrong = one.deviations + one.contradictions
        if wrong or one.unknown or one.serial <= 0 or not one.doctypes:
            code = wrong[0].code if wrong else "vical.entry"
            msg = f"entry {index} is not as CertificateInfo.of makes it ({code})"
            raise ValueError(msg)
        findings = lint_certificate(one.certificate, IACA, at=at)
        _require(findings, f"the root of entry {index} breaks its profile", "vical.root")


def _check_chain(x5chain: Sequence[Certificate]) -> None:
    if not x5chain:
        msg = "a list carries the certificate of its signer"
        raise ValueError(msg)
    if any(one.issuer == one.subject for one in x5chain):
        msg = "the provider's root does not travel with the list"
        raise ValueError(msg)
    for lower, upper in itertools.pairwise(x5chain):
        try:
            if lower.issuer != upper.subject:
                msg = "a certificate of the chain is not issued by the one that follows"
                raise ValueError(msg)
            lower.verify_signature(upper.public_key)
        except MdlError as exc:
            msg = "a certificate of the chain is not issued by the one that follows"
            raise ValueError(msg) from exc


def _require(findings: tuple[Finding, ...], what: str, code: str) -> None:
    grave = tuple(finding for finding in findings if finding.security or finding.severity is Severity.ERROR)
    if grave:
        raise ProfileError(f"{what}: {grave[0]}", code=code, clause=grave[0].clause, findings=grave)

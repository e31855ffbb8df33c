"""Status lists and identifier lists: the reference in a security object, and the signed list that it leads to.

A security object names its place in a list (`StatusReference`). The list comes as a CWT (`StatusToken`): one bit for
each security object (`StatusList`), or the identifiers of the revoked ones (`IdentifierList`). Decoding verifies
nothing. A list is inflated only on request, so that a reader can verify the signature before.

The issuing side goes `prepare_status_token` → ``to_be_signed`` → `PreparedStatusToken.complete`.

Spec:
    18013-5 second edition (draft) 12.3.6; Token Status List (draft); RFC 8392; mdoc.md §2.3; pki.md §7. What the draft
    may still change is kept in this module.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final, TypeAlias

from mdl.cbor import Limits, Tag, decode, decode_view, encode
from mdl.cose import ALG, X5CHAIN, CoseSign1, decode_sign1, sig_structure
from mdl.errors import DecodeError, SigningError, VerificationError
from mdl.keys import PublicKey, Signer, signature_of, signing_key_of

__all__ = [
    "MAX_LIST_SIZE",
    "MAX_TOKEN_SIZE",
    "IdentifierList",
    "IdentifierListInfo",
    "ListKind",
    "PreparedStatusToken",
    "StatusInfo",
    "StatusList",
    "StatusListInfo",
    "StatusReference",
    "StatusToken",
    "build_status_token",
    "prepare_status_token",
]

MAX_TOKEN_SIZE: Final = 8 * 1024 * 1024
"""Largest token that is decoded, in bytes, inclusive: a hundred million statuses with one in ten set."""

MAX_LIST_SIZE: Final = 16 * 1024 * 1024
"""Largest status list that is inflated, in bytes, inclusive: 134 million statuses of one bit."""

_MAX_IDENTIFIERS: Final = 1 << 18
_LIMITS: Final = Limits(
    max_bytes=MAX_TOKEN_SIZE, max_depth=16, max_entries=_MAX_IDENTIFIERS, max_items=2 * _MAX_IDENTIFIERS + 1024
)

# Claims and header labels.
_SUB: Final = 2
_EXP: Final = 4
_NBF: Final = 5
_IAT: Final = 6
_TYP: Final = 16
_TTL: Final = 65534
_TAG_SIGN1: Final = 18

_CLAUSE: Final = "18013-5 second edition (draft) 12.3.6"
_LATEST: Final = 253_402_300_799
_LONGEST_TTL: Final = 1 << 32
_WIDTHS: Final = (1, 2, 4, 8)
_MISSING: Final = object()


class ListKind(StrEnum):
    """The two kinds of list."""

    STATUS_LIST = "status_list"
    """A status for each index."""
    IDENTIFIER_LIST = "identifier_list"
    """The identifiers of revoked security objects."""

    @property
    def claim(self) -> int:
        """The claim that holds the list."""
        return 65533 if self is ListKind.STATUS_LIST else 65530

    @property
    def media_type(self) -> str:
        """The media type, which is also the value of the ``typ`` header."""
        return f"application/{_SHORT_TYPES[self]}"


_SHORT_TYPES: Final = {
    ListKind.STATUS_LIST: "statuslist+cwt",
    ListKind.IDENTIFIER_LIST: "identifierlist+cwt",
}
# typ -> kind, and whether it is the short form.
_TYPES: Final[Mapping[str, tuple[ListKind, bool]]] = {
    prefix + short: (kind, not prefix) for kind, short in _SHORT_TYPES.items() for prefix in ("application/", "")
}


def _fail(path: str, what: str, code: str) -> DecodeError:
    return DecodeError(what, code=code, path=path, clause=_CLAUSE)


def _text_map(value: Any, path: str, code: str) -> Mapping[str, Any]:
    if type(value) is not dict and not isinstance(value, Mapping):
        raise _fail(path, "not a map", code)
    for key in value:
        if type(key) is not str:
            raise _fail(path, "a map key that is not text", code)
    return value


# --- the status member of a security object --------------------------------------------------------------------------

_REFERENCE: Final = "status.reference"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusListInfo:
    """A place in a status list.

    Attributes:
        index: The place, counted from 0.
        uri: The address of the list, which the list's ``sub`` repeats.
        certificate: DER of the certificate whose key must have signed the top of the list's chain. None stands for the
            root that issued the document signer.
    """

    index: int
    uri: str
    certificate: bytes | None = None

    @property
    def kind(self) -> ListKind:
        """The kind of list."""
        return ListKind.STATUS_LIST

    def to_cbor(self) -> dict[str, Any]:
        """The StatusListInfo map."""
        return {"idx": self.index, **_list_info(self.uri, self.certificate)}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierListInfo:
    """An identifier that an identifier list may name; the other attributes are those of `StatusListInfo`."""

    identifier: bytes
    uri: str
    certificate: bytes | None = None

    @property
    def kind(self) -> ListKind:
        """Which kind of list it is."""
        return ListKind.IDENTIFIER_LIST

    def to_cbor(self) -> dict[str, Any]:
        """The IdentifierListInfo map."""
        return {"id": self.identifier, **_list_info(self.uri, self.certificate)}


StatusInfo: TypeAlias = StatusListInfo | IdentifierListInfo


def _list_info(uri: str, certificate: bytes | None) -> dict[str, Any]:
    return {"uri": uri} if certificate is None else {"uri": uri, "certificate": certificate}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReference:
    """The ``status`` member of a security object: references to lists.

    Attributes:
        status_list: The place in a status list, or None.
        identifier_list: The identifier that an identifier list may name, or None. An issuer uses one of the two; if
            both are present, both must say that it is not revoked.
        unknown: Names of members that this version does not know; the draft reserves them.
    """

    status_list: StatusListInfo | None = None
    identifier_list: IdentifierListInfo | None = None
    unknown: tuple[str, ...] = ()

    @classmethod
    def decode(cls, value: Any, *, path: str = "status") -> StatusReference:
        """Read the decoded ``status`` member; see `mdl.mdoc.MobileSecurityObject.status`.

        Raises:
            DecodeError: The value is no such map (code ``status.reference``).
        """
        members = _text_map(value, path, _REFERENCE)
        status_list = identifier_list = None
        unknown: tuple[str, ...] = ()
        for name, member in members.items():
            if name == "status_list":
                index, uri, certificate = _place(member, "idx", int, path, name)
                if index < 0:
                    raise _fail(f"{path}.{name}.idx", "negative", _REFERENCE)
                status_list = StatusListInfo(index=index, uri=uri, certificate=certificate)
            elif name == "identifier_list":
                identifier, uri, certificate = _place(member, "id", bytes, path, name)
                identifier_list = IdentifierListInfo(identifier=identifier, uri=uri, certificate=certificate)
            else:
                unknown = (*unknown, name)
        return cls(status_list=status_list, identifier_list=identifier_list, unknown=unknown)

    @property
    def lists(self) -> tuple[StatusInfo, ...]:
        """Every place that must be looked up."""
        if self.identifier_list is None:
            return () if self.status_list is None else (self.status_list,)
        return (self.identifier_list,) if self.status_list is None else (self.status_list, self.identifier_list)

    def to_cbor(self) -> dict[str, Any]:
        """The ``status`` map; members that are not known are not written."""
        return {one.kind.value: one.to_cbor() for one in self.lists}


def _place(value: Any, name: str, kind: type, path: str, member: str) -> tuple[Any, str, bytes | None]:
    info = _text_map(value, f"{path}.{member}", _REFERENCE)
    place, uri, certificate = info.get(name), info.get("uri"), info.get("certificate")
    if type(place) is not kind:
        raise _fail(f"{path}.{member}.{name}", "missing or of the wrong type", _REFERENCE)
    if type(uri) is not str or not uri:
        raise _fail(f"{path}.{member}.uri", "missing, empty or of the wrong type", _REFERENCE)
    if type(certificate) is not bytes and "certificate" in info:
        raise _fail(f"{path}.{member}.certificate", "of the wrong type", _REFERENCE)
    return place, uri, certificate


# --- the lists --------------------------------------------------------------------------------------------------------

_LIST: Final = "status.list"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusList:
    """A status for each index.

    Attributes:
        bits: Width of a status: 1, 2, 4 or 8. A list for mdocs has 1.
        packed: The statuses, index 0 in the least significant bits of the first byte.
        aggregation_uri: The address of the issuer's index of all its lists, or None.

    Raises:
        ValueError: The width is not permitted, or there is no status.
    """

    bits: int
    packed: bytes
    aggregation_uri: str | None = None

    def __post_init__(self) -> None:
        if type(self.bits) is not int or self.bits not in _WIDTHS or not self.packed:
            msg = "a status list has statuses of 1, 2, 4 or 8 bits"
            raise ValueError(msg)

    def __len__(self) -> int:
        """The number of indices, including those that no credential has."""
        return len(self.packed) * 8 // self.bits

    def status(self, index: int) -> int:
        """The status at an index: 0 valid, 1 invalid, 2 suspended, others the application's own.

        Raises:
            VerificationError: The list has no such index (code ``status.index``), which never means "valid".
        """
        position = index * self.bits
        if not 0 <= position < 8 * len(self.packed):
            msg = "the status list has no such index"
            raise VerificationError(msg, code="status.index", clause=_CLAUSE)
        return self.packed[position >> 3] >> (position & 7) & ((1 << self.bits) - 1)

    def masks(self) -> tuple[int, int]:
        """All statuses at once: those that are neither valid nor suspended, and those that are suspended.

        Returns:
            Two numbers, in which the lowest bit of each such status is set. The numbers of two lists of one width can
            be compared.
        """
        if self.bits == 1:
            return int.from_bytes(self.packed, "little"), 0
        final, suspended = (int.from_bytes(self.packed.translate(table), "little") for table in _mask_tables(self.bits))
        return final, suspended

    @classmethod
    def of(
        cls, size: int, statuses: Mapping[int, int], *, bits: int = 1, aggregation_uri: str | None = None
    ) -> StatusList:
        """Build a list.

        Args:
            size: The number of indices; rounded up to whole bytes.
            statuses: The statuses that are not 0, by index.
            bits: Width of a status.
            aggregation_uri: Where the issuer names all its lists, or None.

        Raises:
            ValueError: An index is not below `size`, a status is too large for the width, or the width is not
                permitted.
        """
        if type(bits) is not int or bits not in _WIDTHS or size < 1:
            msg = "a status list has statuses of 1, 2, 4 or 8 bits"
            raise ValueError(msg)
        packed = bytearray(-(-size * bits // 8))
        for index, status in statuses.items():
            if not (0 <= index < size and 0 <= status < 1 << bits):
                msg = "an index or a status is out of range"
                raise ValueError(msg)
            byte, place = divmod(index * bits, 8)
            packed[byte] |= status << place
        return cls(bits=bits, packed=bytes(packed), aggregation_uri=aggregation_uri)

    @classmethod
    def decode(cls, value: Any, *, path: str = "status_list", max_size: int = MAX_LIST_SIZE) -> StatusList:
        """Read and inflate the decoded StatusList map.

        Args:
            value: The map of claim 65533.
            path: Where it stands, for errors.
            max_size: Most bytes to inflate, inclusive.

        Raises:
            DecodeError: The map is no StatusList (code ``status.list``), or its statuses are not one whole zlib stream
                (``status.deflate``) of at most `max_size` bytes (``status.too_large``).
        """
        members = _text_map(value, path, _LIST)
        bits, compressed = members.get("bits"), members.get("lst")
        if type(bits) is not int or bits not in _WIDTHS:
            raise _fail(f"{path}.bits", "not 1, 2, 4 or 8", _LIST)
        if type(compressed) is not bytes:
            raise _fail(f"{path}.lst", "missing or of the wrong type", _LIST)
        packed = _inflate(compressed, f"{path}.lst", max_size)
        return cls(bits=bits, packed=packed, aggregation_uri=_aggregation_uri(members, path))

    def to_cbor(self) -> dict[str, Any]:
        """The StatusList map, its statuses deflated as far as zlib can."""
        members: dict[str, Any] = {"bits": self.bits, "lst": zlib.compress(self.packed, 9)}
        return members | ({} if self.aggregation_uri is None else {"aggregation_uri": self.aggregation_uri})


@cache
def _mask_tables(bits: int) -> tuple[bytes, bytes]:
    """For each byte of statuses, a 1 for each status that is neither 0 nor 2, and in the second table for each 2."""

    def table(is_one: Callable[[int], bool]) -> bytes:
        places = range(0, 8, bits)
        return bytes(sum(is_one(byte >> place & ((1 << bits) - 1)) << place for place in places) for byte in range(256))

    return table(lambda status: status not in (0, 2)), table(lambda status: status == 2)


def _inflate(compressed: bytes, path: str, max_size: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(compressed, max_size + 1)
    except zlib.error as exc:
        raise _fail(path, "not a zlib stream", "status.deflate") from exc
    if len(packed) > max_size:
        raise _fail(path, f"inflates to more than {max_size} bytes", "status.too_large")
    if not inflater.eof:
        raise _fail(path, "the zlib stream is cut off", "status.deflate")
    if inflater.unused_data:
        raise _fail(path, "bytes follow the zlib stream", "status.deflate")
    if not packed:
        raise _fail(path, "a list without a status", "status.deflate")
    return packed


def _aggregation_uri(members: Mapping[str, Any], path: str) -> str | None:
    uri = members.get("aggregation_uri", _MISSING)
    if uri is _MISSING:
        return None
    if type(uri) is not str:
        raise _fail(f"{path}.aggregation_uri", "of the wrong type", _LIST)
    return uri


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifierList:
    """The identifiers of revoked security objects. An identifier that is not in the list is not revoked.

    Attributes:
        identifiers: The identifiers.
        aggregation_uri: Where the issuer names all its lists, or None.
    """

    identifiers: frozenset[bytes]
    aggregation_uri: str | None = None

    def __contains__(self, identifier: bytes) -> bool:
        return identifier in self.identifiers

    @classmethod
    def decode(cls, value: Any, *, path: str = "identifier_list") -> IdentifierList:
        """Read the decoded IdentifierList map of claim 65530.

        Raises:
            DecodeError: The value is no such map (code ``status.list``).
        """
        members = _text_map(value, path, _LIST)
        identifiers = members.get("identifiers")
        if not isinstance(identifiers, Mapping):
            raise _fail(f"{path}.identifiers", "missing or not a map", _LIST)
        for identifier, info in identifiers.items():
            if type(identifier) is not bytes or not isinstance(info, Mapping):
                raise _fail(f"{path}.identifiers", "an entry that is not identifier to map", _LIST)
        return cls(identifiers=frozenset(identifiers), aggregation_uri=_aggregation_uri(members, path))

    def to_cbor(self) -> dict[str, Any]:
        """The IdentifierList map, sorted, so that its order tells nothing."""
        members: dict[str, Any] = {"identifiers": {identifier: {} for identifier in sorted(self.identifiers)}}
        return members | ({} if self.aggregation_uri is None else {"aggregation_uri": self.aggregation_uri})


# --- the token --------------------------------------------------------------------------------------------------------

_ENVELOPE: Final = "status.token"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusToken:
    """A signed list as received; nothing is verified.

    Attributes:
        message: The COSE_Sign1; its payload is as received.
        kind: Which kind of list it holds.
        x5chain: The certificates of the protected header, the leaf first, DER; empty if there are none. The unprotected
            header is ignored.
        subject: ``sub``: the address of the list.
        issued_at: ``iat``.
        not_before: ``nbf``, or None.
        expires: ``exp``, or None; 18013-5 asks for it.
        ttl: Longest time to keep a copy before a newer one is fetched, or None.
        content: The list's map as decoded.
        deviations: Harmless deviations from the draft: ``typ.short`` (no ``application/``),
            ``typ.claim`` (``typ`` among the claims and not in the header), ``ttl`` (not a positive number of seconds).
    """

    message: CoseSign1
    kind: ListKind
    x5chain: tuple[bytes, ...]
    subject: str
    issued_at: datetime
    not_before: datetime | None
    expires: datetime | None
    ttl: timedelta | None
    content: Mapping[str, Any]
    deviations: tuple[str, ...]

    @classmethod
    def decode(cls, data: bytes) -> StatusToken:
        """Read a token: a COSE_Sign1 under its tag (18), without the CWT tag.

        Raises:
            DecodeError: The bytes are no such token (codes ``cbor.…``, ``cose.…``, ``status.token``, ``status.typ``).

        Spec:
            18013-5 second edition (draft) 12.3.6.3; pki.md §7.3.
        """
        other = _other_form(data)
        if other is not None:
            raise _fail("", other, _ENVELOPE)
        value = decode_view(data, limits=_LIMITS, keep_raw=False)
        if type(value) is not Tag or value.number != _TAG_SIGN1:
            raise _fail("", "not a COSE_Sign1 under tag 18", _ENVELOPE)
        message = decode_sign1(value, path="token")
        if message.payload is None:
            raise _fail("token", "the payload is detached", _ENVELOPE)
        try:
            claims = decode(message.payload, limits=_LIMITS)
        except DecodeError as exc:
            exc.path = "claims"
            raise
        if not isinstance(claims, Mapping):
            raise _fail("claims", "not a map", _ENVELOPE)
        for name in claims:
            if type(name) is not int and type(name) is not str:
                raise _fail("claims", "a claim's name is neither an integer nor text", _ENVELOPE)
        kind, deviations = _kind(message, claims)
        other = next(one for one in ListKind if one is not kind)
        if kind.claim not in claims or other.claim in claims:
            raise _fail("claims", "the list is not the one that typ names, or there are two", _ENVELOPE)
        content = claims[kind.claim]
        if not isinstance(content, Mapping):
            raise _fail(f"claims[{kind.claim}]", "not a map", _ENVELOPE)
        subject = claims.get(_SUB)
        if type(subject) is not str or not subject:
            raise _fail("claims[2]", "sub is missing, empty or of the wrong type", _ENVELOPE)
        if _IAT not in claims:
            raise _fail("claims[6]", "iat is missing", _ENVELOPE)
        ttl = _ttl(claims.get(_TTL))
        return cls(
            message=message,
            kind=kind,
            x5chain=() if X5CHAIN in message.unprotected else message.x5chain,
            subject=subject,
            issued_at=_moment(claims[_IAT], _IAT),
            not_before=_moment(claims[_NBF], _NBF) if _NBF in claims else None,
            expires=_moment(claims[_EXP], _EXP) if _EXP in claims else None,
            ttl=ttl,
            content=content,
            deviations=deviations if ttl is not None or _TTL not in claims else (*deviations, "ttl"),
        )

    def decode_list(self, *, max_size: int = MAX_LIST_SIZE) -> StatusList | IdentifierList:
        """Decode the list in the token. Verify the signature first.

        Args:
            max_size: Most bytes of a status list to inflate, inclusive.

        Raises:
            DecodeError: The content is no such list; see `StatusList.decode` and `IdentifierList.decode`.
        """
        path = f"claims[{self.kind.claim}]"
        if self.kind is ListKind.STATUS_LIST:
            return StatusList.decode(self.content, path=path, max_size=max_size)
        return IdentifierList.decode(self.content, path=path)


def _kind(message: CoseSign1, claims: Mapping[Any, Any]) -> tuple[ListKind, tuple[str, ...]]:
    """The kind of list by ``typ``, in the protected header or, as some issuers do, among the claims."""
    deviations: tuple[str, ...] = ()
    typ = message.protected_map.get(_TYP, _MISSING)
    if typ is _MISSING:
        typ = claims.get(_TYP)
        deviations = ("typ.claim",)
    found = _TYPES.get(typ) if type(typ) is str else None
    if found is None:
        raise _fail("token", "typ is missing, or names no list of this standard", "status.typ")
    kind, short = found
    return kind, (*deviations, "typ.short") if short else deviations


def _moment(value: Any, claim: int) -> datetime:
    """A NumericDate: seconds since 1970, an integer or, as CWT permits, a float."""
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        try:
            if 0 <= value <= _LATEST:
                return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            pass  # a platform of smaller range: the one refusal stands below
    raise _fail(f"claims[{claim}]", "not a time", _ENVELOPE)


def _ttl(value: Any) -> timedelta | None:
    """A positive number of seconds. Any other value sets no limit, like a missing ttl."""
    if type(value) is not int or value <= 0:
        return None
    return timedelta(seconds=min(value, _LONGEST_TTL))


def _other_form(data: bytes) -> str | None:
    """The kind of text that was served in place of a token, or None if the bytes may be a token."""
    if data[:3] == b"eyJ" and b"." in data:
        return "a status list in the form of a JWT; the status list of an mdoc is a CWT"
    if data.lstrip()[:1] == b"<":
        return "an HTML or XML page, and no status list token"
    return None


# --- issuing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreparedStatusToken:
    """A complete token without its signature.

    Attributes:
        to_be_signed: The encoded Sig_structure, which the list signer's key has to sign as a whole.
    """

    to_be_signed: bytes
    _protected: bytes
    _payload: bytes
    _key: PublicKey

    def complete(self, signature: bytes) -> bytes:
        """Verify the signature, and return the encoded token with it.

        Args:
            signature: The raw signature over `to_be_signed`: r and s side by side, or the EdDSA signature.

        Raises:
            SigningError: The signature does not verify under the list signer's key (code ``signing.wrong_signature``).
        """
        try:
            self._key.verify(signature, self.to_be_signed)
        except VerificationError as exc:
            msg = "the custodian's signature does not verify with the list signer's key; nothing was issued"
            raise SigningError(msg, code="signing.wrong_signature") from exc
        return b"\xd2" + CoseSign1(self._protected, {}, {}, self._payload, signature).encode()


def prepare_status_token(
    content: StatusList | IdentifierList,
    *,
    uri: str,
    issued_at: datetime,
    expires: datetime,
    ttl: timedelta | None = None,
    public_key: PublicKey,
    x5chain: Sequence[bytes],
) -> PreparedStatusToken:
    """Prepare a token for signing.

    Args:
        content: The list.
        uri: The address of the list, exactly as in the security objects.
        issued_at: The time of issue, aware; cut to the second.
        expires: The end of its use, exclusive, aware; cut to the second.
        ttl: Longest time to keep a copy before a newer one is fetched, or None; cut to the second.
        public_key: The list signer's key.
        x5chain: The list signer's certificate, then the CAs between it and the root, DER; not the root.

    Raises:
        ValueError: There is no certificate or no address, or the times are naive or not in order.

    Spec:
        18013-5 second edition (draft) 12.3.6.3: chain and typ in the protected header, exp always.
    """
    issued, expiry = _seconds(issued_at), _seconds(expires)
    if not x5chain or not uri or expiry <= issued or (ttl is not None and ttl < timedelta(seconds=1)):
        msg = "a token has a certificate and an address, expires after it is issued, and its ttl is positive"
        raise ValueError(msg)
    kind = ListKind.STATUS_LIST if isinstance(content, StatusList) else ListKind.IDENTIFIER_LIST
    protected = encode(
        {
            ALG: public_key.algorithm.cose_id,
            _TYP: kind.media_type,
            X5CHAIN: x5chain[0] if len(x5chain) == 1 else list(x5chain),
        }
    )
    claims: dict[int, Any] = {_SUB: uri, _IAT: issued, _EXP: expiry}
    if ttl is not None:
        claims[_TTL] = ttl // timedelta(seconds=1)
    payload = encode(claims | {kind.claim: content.to_cbor()})
    return PreparedStatusToken(sig_structure(protected, payload), protected, payload, public_key)


def build_status_token(
    content: StatusList | IdentifierList,
    signer: Signer,
    *,
    uri: str,
    issued_at: datetime,
    expires: datetime,
    ttl: timedelta | None = None,
    x5chain: Sequence[bytes],
) -> bytes:
    """Prepare a token and have it signed at once; see `prepare_status_token`.

    Raises:
        SigningError: The key store failed, or its signature does not verify.
    """
    prepared = prepare_status_token(
        content,
        uri=uri,
        issued_at=issued_at,
        expires=expires,
        ttl=ttl,
        public_key=signing_key_of(signer),
        x5chain=x5chain,
    )
    return prepared.complete(signature_of(signer, prepared.to_be_signed))


def _seconds(moment: datetime) -> int:
    if moment.utcoffset() is None:
        msg = "times are aware datetimes"
        raise ValueError(msg)
    return int(moment.timestamp())

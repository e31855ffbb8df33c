"""The sessions that a response may have been made for: every known handover, correct and with one mistake.

This module serves the diagnosis (`reader.diagnosis`) only: a verifier has one session and never tries several. A
candidate is a handover of `mdl.session` with the known inputs of the session, or the same with one input mistaken as it
happens in practice (mdoc.md §6, online.md §0, §1.4 and §8.4). A candidate has names, never values.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, Final, NoReturn, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

from mdl.cbor import Limits, Tagged24, bstr, decode, decode_view, encode, unwrap24, wrap24
from mdl.cose import decode_key, encode_key
from mdl.errors import DecodeError, MdlError
from mdl.keys import EphemeralKey, PublicKey
from mdl.mdoc import SessionTranscript
from mdl.session import (
    AnnexBHandover,
    AnnexCHandover,
    Handover,
    HashedHandover,
    NfcHandover,
    OpenId4VciHandover,
    OpenId4VpDcApiHandover,
    OpenId4VpDraft24Handover,
    OpenId4VpHandover,
    QrHandover,
    ReaderEngagementHandover,
    jwk_thumbprint,
)

__all__ = ["Candidate", "Deviation", "Form", "Known", "Session", "device_ephemeral_key", "sessions", "untried"]

# Longest input, in bytes or characters, inclusive: no engagement and no address is nearly as long.
_MAX_INPUT: Final = 65536
_LIMITS: Final = Limits(max_bytes=_MAX_INPUT, max_entries=256, max_items=4096)

T = TypeVar("T")


class Form(Enum):
    """A handover that can be tried."""

    GIVEN = "given"
    QR = "qr"
    NFC_STATIC = "nfc-static"
    NFC_NEGOTIATED = "nfc-negotiated"
    ANNEX_A = "18013-7-annex-a"
    OPENID4VP = "openid4vp-1.0"
    OPENID4VP_DC_API = "openid4vp-1.0-dc-api"
    OPENID4VP_DRAFT_24 = "openid4vp-draft-24-dc-api"
    ANNEX_B = "18013-7-annex-b"
    ANNEX_C = "18013-7-annex-c"
    OPENID4VCI = "openid4vci-1.1-draft"

    @property
    def title(self) -> str:
        """The name in words."""
        return _TITLES[self]


_TITLES: Final[Mapping[Form, str]] = {
    Form.GIVEN: "the reader's own transcript",
    Form.QR: "QR code (18013-5)",
    Form.NFC_STATIC: "NFC, static handover (18013-5)",
    Form.NFC_NEGOTIATED: "NFC, negotiated handover (18013-5)",
    Form.ANNEX_A: "website with a REST API (18013-7 Annex A)",
    Form.OPENID4VP: "OpenID4VP 1.0, redirect",
    Form.OPENID4VP_DC_API: "OpenID4VP 1.0, DC API",
    Form.OPENID4VP_DRAFT_24: "OpenID4VP draft 24, DC API",
    Form.ANNEX_B: "OpenID4VP draft 18 (18013-7 Annex B)",
    Form.ANNEX_C: "ISO mdoc over the DC API (18013-7 Annex C)",
    Form.OPENID4VCI: "OpenID4VCI 1.1 draft, during issuance",
}

# The class that makes each form's transcript, and which of its fields is fixed for the form.
_FORMS: Final[Mapping[Form, tuple[type[Any], Mapping[str, object]]]] = {
    Form.QR: (QrHandover, {}),
    Form.NFC_STATIC: (NfcHandover, {"handover_request": None}),
    Form.NFC_NEGOTIATED: (NfcHandover, {}),
    Form.ANNEX_A: (ReaderEngagementHandover, {}),
    Form.OPENID4VP: (OpenId4VpHandover, {}),
    Form.OPENID4VP_DC_API: (OpenId4VpDcApiHandover, {}),
    Form.OPENID4VP_DRAFT_24: (OpenId4VpDraft24Handover, {}),
    Form.ANNEX_B: (AnnexBHandover, {}),
    Form.ANNEX_C: (AnnexCHandover, {}),
    Form.OPENID4VCI: (OpenId4VciHandover, {}),
}
_LABELS: Final = (
    *dict.fromkeys(made.label for made, _ in _FORMS.values() if issubclass(made, HashedHandover)),
    *("DCAPI", "dc_api", "DCAPIHandover"),
)


# A field of a handover by the attribute of `Known` that it is made from, where the two are not named alike.
_NAMES: Final = {"device_engagement_bytes": "engagement", "e_reader_key_bytes": "e_reader_key"}


@dataclass(frozen=True, slots=True)
class Deviation:
    """One difference from the standard.

    Attributes:
        input: The input: an attribute of `Known`, or a structure of several inputs.
        how: The difference, without the value.
    """

    input: str
    how: str

    def __str__(self) -> str:
        return f"{self.input}: {self.how}"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A description of the bytes that a device may have authenticated.

    Attributes:
        form: The handover.
        deviations: The differences from the standard; empty if there are none.
    """

    form: Form
    deviations: tuple[Deviation, ...] = ()

    def __bool__(self) -> NoReturn:
        msg = "a candidate is no verdict: compare with None"
        raise TypeError(msg)

    def __str__(self) -> str:
        return "; ".join((self.form.title, *map(str, self.deviations)))

    def with_(self, deviation: Deviation) -> Candidate:
        """This candidate with one more difference."""
        return Candidate(self.form, (*self.deviations, deviation))


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The known inputs of the session; every one may be unknown. Bytes are as they were sent or received.

    Attributes:
        transcript: The transcript over which the reader verified.
        engagement: DeviceEngagement, bare or in tag 24.
        e_reader_key: The reader's ephemeral COSE_Key, bare or in tag 24.
        reader_key: The reader's ephemeral private key, which a deviceMac needs.
        handover_select: The NFC Handover Select message.
        handover_request: The NFC Handover Request message.
        reader_engagement: ReaderEngagement, bare or in tag 24.
        client_id: The verifier's client identifier.
        response_uri: The address for the response.
        origin: The origin of the page that made the request.
        nonce: The request's nonce.
        mdoc_generated_nonce: The wallet's nonce (18013-7 Annex B).
        jwk: The key that the response is encrypted to.
        jwk_thumbprint: The thumbprint of that key, 32 bytes; not needed beside `jwk`.
        encryption_info: The text of EncryptionInfo (18013-7 Annex C).
        endpoint: The issuer's interactive authorization endpoint.
    """

    transcript: SessionTranscript | None = None
    engagement: bytes | None = None
    e_reader_key: bytes | None = None
    reader_key: EphemeralKey | None = field(default=None, repr=False)
    handover_select: bytes | None = None
    handover_request: bytes | None = None
    reader_engagement: bytes | None = None
    client_id: str | None = None
    response_uri: str | None = None
    origin: str | None = None
    nonce: str | None = None
    mdoc_generated_nonce: str | None = None
    jwk: Mapping[str, Any] | None = None
    jwk_thumbprint: bytes | None = None
    encryption_info: str | None = None
    endpoint: str | None = None

    def __post_init__(self) -> None:
        """Reject values that cannot be inputs of a session.

        Raises:
            TypeError: A value is of another type.
            ValueError: A value is longer than 65536 bytes or characters, a text is not Unicode, the thumbprint is not
                32 bytes long, or the JWK cannot be written as JSON.
            DecodeError: The engagement, the reader's key or the reader's engagement is no CBOR map (codes ``cbor.…``,
                ``mdoc.structure``); ``.path`` is the attribute's name.
            UnsupportedError: The JWK is no public key (code ``key.unsupported``).
        """
        kinds: dict[str, type[Any]] = {
            **dict.fromkeys(_BYTES, bytes),
            **dict.fromkeys(_TEXTS, str),
            "transcript": SessionTranscript,
            "reader_key": EphemeralKey,
            "jwk": Mapping,
        }
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, kind):
                msg = f"{name} is {kind.__name__} or None, not {type(value).__name__}"
                raise TypeError(msg)
            sized = value.encoded if isinstance(value, SessionTranscript) else value
            if isinstance(sized, bytes | str) and len(sized) > _MAX_INPUT:
                msg = f"{name} is longer than {_MAX_INPUT}"
                raise ValueError(msg)
            if isinstance(value, str):
                value.encode()
        for name in ("engagement", "e_reader_key", "reader_engagement"):
            if getattr(self, name) is not None:
                _demand_map(getattr(self, name), name)
        if self.jwk_thumbprint is not None and len(self.jwk_thumbprint) != 32:
            msg = "a thumbprint is 32 bytes long"
            raise ValueError(msg)
        if self.jwk is not None:
            jwk_thumbprint(self.jwk)
            if not all(type(name) is str for name in self.jwk):
                msg = "a JWK is a JSON object: its names are text"
                raise TypeError(msg)
            if len(json.dumps(dict(self.jwk))) > _MAX_INPUT:
                msg = f"the JWK is longer than {_MAX_INPUT}"
                raise ValueError(msg)


_BYTES: Final = (
    "engagement",
    "e_reader_key",
    "handover_select",
    "handover_request",
    "reader_engagement",
    "jwk_thumbprint",
)
_TEXTS: Final = (
    "client_id",
    "response_uri",
    "origin",
    "nonce",
    "mdoc_generated_nonce",
    "encryption_info",
    "endpoint",
)


def _demand_map(given: bytes, name: str) -> None:
    try:
        value = decode(unwrap24(_tagged(given), limits=_LIMITS), limits=_LIMITS)
    except DecodeError as exc:
        exc.path = name
        raise
    if type(value) is not dict:
        msg = "not a map"
        raise DecodeError(msg, code="mdoc.structure", path=name)


def _tagged(given: bytes) -> bytes:
    """The tag-24 form, which is kept as received where it was given so."""
    return given if given[:2] == b"\xd8\x18" else wrap24(given)


# --- inputs -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Value:
    """One value that an input may have had; `how` is empty where it is the value that is known."""

    value: object
    how: str = ""


_Inputs = Mapping[str, Sequence[_Value]]


def _plain(value: object) -> tuple[_Value, ...]:
    return () if value is None else (_Value(value),)


def _sorted(value: Any) -> Any:
    """The same with the entries of every map in the order of their encoded keys."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=encode)}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def _slices(raw: bytes | None, rewrite: Callable[[Any], Iterator[_Value]]) -> Iterator[_Value]:
    """A tag-24 slice, and what it becomes at careless hands; `rewrite` adds what is of its own kind."""
    if raw is None:
        return
    yield _Value(raw)
    content = unwrap24(raw)
    yield _Value(content, "not in tag 24")
    yield _Value(bstr(content), "a byte string without tag 24")
    yield _Value(wrap24(raw), "in tag 24 twice")
    yield _Value(b"\xf6", "null")
    value = decode_view(content, limits=_LIMITS)
    for again, how in ((value, "encoded again"), (_sorted(value), "encoded again with its keys sorted")):
        yield _Value(wrap24(encode(again)), how)
    yield from rewrite(value)


def _engagements(value: Any) -> Iterator[_Value]:
    if 2 in value:
        without = {key: entry for key, entry in value.items() if key != 2}
        yield _Value(wrap24(encode(without)), "without the retrieval methods")


def device_ephemeral_key(known: Known) -> PublicKey | None:
    """The device's ephemeral key out of the engagement, where there is one that can be read."""
    raw: bytes | None = _from_session(known).get("engagement")
    if raw is None:
        return None
    security = decode_view(unwrap24(raw), limits=_LIMITS).get(1)
    if type(security) is not list or len(security) != 2 or type(security[1]) is not Tagged24:
        return None
    try:
        return decode_key(decode(security[1].content, limits=_LIMITS))
    except MdlError:
        return None


def _reader_keys(known: Known) -> Callable[[Any], Iterator[_Value]]:
    def rewrite(value: Any) -> Iterator[_Value]:
        try:
            key = decode_key(value)
        except MdlError:
            key = None
        for public, how in (
            (key, "made anew from the key"),
            (known.reader_key.public_key if known.reader_key else None, "made from the private key"),
            (device_ephemeral_key(known), "the device's ephemeral key in its place"),
        ):
            if public is None:
                continue
            members = encode_key(public)
            yield _Value(wrap24(encode(members)), how)
            if -3 in members:
                compressed = members | {-3: bool(members[-3][-1] & 1)}
                yield _Value(wrap24(encode(compressed)), f"{how}, compressed")

    return rewrite


def _from_session(known: Known) -> dict[str, Any]:
    """The slices of a session in person: as given, and what is not given taken out of the reader's transcript."""
    found: dict[str, Any] = {}
    if known.transcript is not None:
        engagement, reader_key, handover = decode_view(known.transcript.encoded)
        for name, slice_ in (("engagement", engagement), ("e_reader_key", reader_key)):
            if type(slice_) is Tagged24 and _is_map(slice_.content):
                found[name] = slice_.raw
        if type(handover) is list and len(handover) == 2 and type(handover[0]) is bytes:
            found["handover_select"] = handover[0]
            found["handover_request"] = handover[1] if type(handover[1]) is bytes else None
    if "e_reader_key" not in found and known.reader_key is not None:
        found["e_reader_key"] = wrap24(encode(encode_key(known.reader_key.public_key)))
    for name in ("engagement", "e_reader_key"):
        if getattr(known, name) is not None:
            found[name] = _tagged(getattr(known, name))
    for name in ("handover_select", "handover_request"):
        if getattr(known, name) is not None:
            found[name] = getattr(known, name)
    return found


def _is_map(content: bytes) -> bool:
    try:
        return type(decode(content, limits=_LIMITS)) is dict
    except DecodeError:
        return False


def _messages(message: bytes | None) -> Iterator[_Value]:
    """An NDEF message, with and without the two bytes of length that stand before it in the NFC file."""
    if message is None:
        return
    yield _Value(message)
    if len(message) > 2 and int.from_bytes(message[:2]) == len(message) - 2:
        yield _Value(message[2:], "without the length that stands before it")
    if len(message) < 0x10000:
        yield _Value(len(message).to_bytes(2) + message, "with the length that stands before it in the NFC file")


def _base64url(text: str) -> bytes | None:
    bare = text.rstrip("=")
    try:
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None


def _to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _nonces(nonce: str | None, other: str | None, name: str) -> Iterator[_Value]:
    if nonce is not None:
        yield _Value(nonce)
        yield _Value(nonce.encode(), "a byte string of the text")
        decoded = _base64url(nonce)
        if decoded is not None:
            yield _Value(decoded, "a byte string, base64url decoded")
            text = _text(decoded)
            if text is not None:
                yield _Value(text, "base64url decoded")
        yield _Value(_to_base64url(nonce.encode()), "base64url encoded once more")
        yield from _padded(nonce)
    yield _Value("", "empty")
    if other is not None:
        yield _Value(other, f"the {name} in its place")


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


@dataclass(frozen=True, slots=True)
class _Address:
    """What an address is made of; the parts of one that is none are empty."""

    origin: str = ""
    host: str = ""
    with_port: str = ""
    without_query: str = ""


_PORTS: Final = {"https": 443, "http": 80}


def _address(uri: str | None) -> _Address:
    try:
        parts = urlsplit(uri or "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return _Address()
    if not parts.scheme or not host:
        return _Address()
    default = _PORTS.get(parts.scheme)
    name = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{name}"
    return _Address(
        origin=origin if port in (None, default) else f"{origin}:{port}",
        host=host,
        with_port=f"{origin}:{port or default}" if port or default else "",
        without_query=f"{parts.scheme}://{parts.netloc}{parts.path}" if parts.query or parts.fragment else "",
    )


def _padded(text: str) -> Iterator[_Value]:
    """The text as base64url with and without its padding; one of them is the text itself."""
    yield _Value(text.rstrip("="), "without padding")
    yield _Value(text + "=" * (-len(text) % 4), "with padding")


def _escaped(text: str) -> Iterator[_Value]:
    """The text as it stands in an address or in JSON, and the reverse."""
    yield _Value(quote(text, safe=""), "percent-encoded")
    yield _Value(unquote(text), "percent-decoded")
    yield _Value(text.replace("/", "\\/"), "with its slashes escaped, as in JSON")


def _other_scheme(text: str) -> Iterator[_Value]:
    for own, other in (("https://", "http://"), ("http://", "https://")):
        if text.lower().startswith(own):
            yield _Value(other + text[len(own) :], f"with {other} for {own}")


def _in_other_case(text: str) -> Iterator[_Value]:
    """An address in upper and in lower case: whole, and its host alone."""
    yield _Value(text.upper(), "in upper case")
    yield _Value(text.lower(), "in lower case")
    scheme, separator, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    yield _Value(scheme + separator + host.upper() + slash + path, "with its host in upper case")


def _slashed(text: str) -> Iterator[_Value]:
    if text.endswith("/"):
        yield _Value(text.rstrip("/"), "without the slash at its end")
    else:
        yield _Value(f"{text}/", "with a slash at its end")


def _origins(known: Known) -> Iterator[_Value]:
    prefix = "origin:"
    if known.origin is not None:
        yield _Value(known.origin)
        yield from _slashed(known.origin)
        if known.origin.startswith(prefix):
            yield _Value(known.origin.removeprefix(prefix), "without its prefix")
        else:
            yield _Value(prefix + known.origin, "with the prefix origin:")
        address = _address(known.origin.removeprefix(prefix))
        yield _Value(address.origin, "the origin alone, without a path, in lower case and without the usual port")
        yield _Value(address.with_port, "with its port")
        yield _Value(address.host, "the host alone")
        yield from _other_scheme(known.origin)
        yield from _in_other_case(known.origin)
        yield from _escaped(known.origin)
    yield _Value(_address(known.response_uri).origin, "the origin of the response_uri")
    yield from _in_place(known, "response_uri", "client_id")


def _in_place(known: Known, *names: str) -> Iterator[_Value]:
    for name in names:
        if getattr(known, name) is not None:
            yield _Value(getattr(known, name), f"the {name} in its place")


# online.md §1.1.
_PREFIXES: Final = (
    "x509_san_dns:",
    "x509_hash:",
    "redirect_uri:",
    "decentralized_identifier:",
    "verifier_attestation:",
    "openid_federation:",
    "origin:",
    "web-origin:",
)


def _client_ids(known: Known) -> Iterator[_Value]:
    given = known.client_id
    if given is not None:
        yield _Value(given)
        prefix = next((one for one in _PREFIXES if given.startswith(one)), "")
        if prefix:
            yield _Value(given.removeprefix(prefix), "without its prefix")
        bare = given.removeprefix(prefix)
        for one in _PREFIXES:
            if one != prefix:
                yield _Value(one + bare, f"with the prefix {one}")
    address = _address(known.response_uri)
    if address.host:
        yield _Value(address.host, "the host of the response_uri")
        yield _Value(f"x509_san_dns:{address.host}", "the prefix x509_san_dns: with the host of the response_uri")
        yield _Value(f"redirect_uri:{known.response_uri}", "the prefix redirect_uri: with the response_uri")
    if known.origin is not None:
        # Draft 24 makes it so for a request without one, and 1.0 has the other.
        yield _Value(f"web-origin:{known.origin}", "the prefix web-origin: with the origin")
        yield _Value(f"origin:{known.origin}", "the prefix origin: with the origin")
    if given is not None:
        yield from _escaped(given)
    yield from _in_place(known, "response_uri", "origin")


def _response_uris(known: Known) -> Iterator[_Value]:
    if known.response_uri is not None:
        yield _Value(known.response_uri)
        yield from _slashed(known.response_uri)
        address = _address(known.response_uri)
        yield _Value(address.without_query, "without its query")
        yield _Value(address.origin, "its origin alone")
        yield from _other_scheme(known.response_uri)
        yield from _in_other_case(known.response_uri)
        yield from _escaped(known.response_uri)
    yield from _in_place(known, "origin", "client_id")


def _endpoints(known: Known) -> Iterator[_Value]:
    if known.endpoint is not None:
        yield _Value(known.endpoint)
        yield from _slashed(known.endpoint)
        address = _address(known.endpoint)
        yield _Value(address.without_query, "without its query")
        yield _Value(address.origin, "its origin alone")
        yield from _other_scheme(known.endpoint)
        yield from _in_other_case(known.endpoint)
        yield from _escaped(known.endpoint)


# The digests that are taken for SHA-256, by hashlib's name.
_OTHER_HASHES: Final = {"sha384": "SHA-384", "sha512": "SHA-512", "sha1": "SHA-1"}


def _thumbprints(known: Known) -> Iterator[_Value]:
    thumbprint = jwk_thumbprint(known.jwk) if known.jwk is not None else known.jwk_thumbprint
    if thumbprint is None:
        yield _Value(None)
        return
    yield _Value(thumbprint)
    yield _Value(None, "null, as for a response that is not encrypted")
    yield _Value(_to_base64url(thumbprint), "base64url text")
    yield _Value(thumbprint.hex(), "hex text")
    if known.jwk is not None:
        hashed = {name: known.jwk[name] for name in ("crv", "kty", "x", "y") if name in known.jwk}
        canonical = json.dumps(hashed, separators=(",", ":")).encode()
        for name, title in _OTHER_HASHES.items():
            yield _Value(hashlib.new(name, canonical).digest(), f"by {title}")
        for how, order in (("with all members", sorted), ("with all members as they stand", list)):
            text = json.dumps({name: known.jwk[name] for name in order(known.jwk)}, separators=(",", ":"))
            yield _Value(hashlib.sha256(text.encode()).digest(), f"a hash of the JWK {how}")


def _encryption_infos(known: Known) -> Iterator[_Value]:
    text = known.encryption_info
    if text is None:
        return
    yield _Value(text)
    yield from _padded(text)
    yield _Value(text.encode(), "a byte string of the text")
    decoded = _base64url(text)
    if decoded is not None:
        yield _Value(decoded, "a byte string of what the text decodes to")
        yield _Value(Tagged24(decoded, wrap24(decoded)), "what the text decodes to, in tag 24")
        try:
            yield _Value(decode(decoded, limits=_LIMITS), "the array that the text decodes to")
        except DecodeError:
            return


def _reader_engagements(known: Known) -> Iterator[_Value]:
    if known.reader_engagement is not None:
        raw = _tagged(known.reader_engagement)
        yield _Value(unwrap24(raw))
        yield _Value(raw, "in tag 24 twice")
        yield _Value(encode(decode_view(unwrap24(raw), limits=_LIMITS)), "encoded again")


def _inputs(known: Known) -> _Inputs:
    """The values of every field of every handover, the best one first."""
    found = _from_session(known)
    every: dict[str, Iterator[_Value] | Sequence[_Value]] = {
        "device_engagement_bytes": _slices(found.get("engagement"), _engagements),
        "e_reader_key_bytes": _slices(found.get("e_reader_key"), _reader_keys(known)),
        "handover_select": _messages(found.get("handover_select")),
        "handover_request": _messages(found.get("handover_request")),
        "reader_engagement": _reader_engagements(known),
        "client_id": _client_ids(known),
        "response_uri": _response_uris(known),
        "origin": _origins(known),
        "nonce": _nonces(known.nonce, known.mdoc_generated_nonce, "mdoc_generated_nonce")
        if known.nonce is not None
        else (),
        "mdoc_generated_nonce": _nonces(known.mdoc_generated_nonce, known.nonce, "nonce"),
        "jwk_thumbprint": _thumbprints(known),
        "encryption_info": _encryption_infos(known),
        "endpoint": _endpoints(known),
    }
    # An address that is none leaves empty parts, which say nothing; only of a nonce the empty text is meant.
    inputs = {
        name: [one for one in values if one.value != "" or "nonce" in name or not one.how]
        for name, values in every.items()
    }
    for name in ("client_id", "response_uri", "origin", "nonce", "endpoint"):
        if inputs[name]:
            inputs[name].append(_Value(None, "null"))
    return {name: _distinct(values) for name, values in inputs.items()}


def _distinct(values: Sequence[_Value]) -> list[_Value]:
    """The values without those that another name has had before."""
    found: list[_Value] = []
    for one in values:
        if not any(type(one.value) is type(other.value) and one.value == other.value for other in found):
            found.append(one)
    return found


# --- sessions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session that a device may have had in mind.

    Attributes:
        candidate: Its name.
        transcript: Its transcript, which salts the key of a MAC.
        written: What stands for the transcript in DeviceAuthentication.
        plain: Whether it is as the standard has it, so that mistakes of other kinds are worth trying on it.
    """

    candidate: Candidate
    transcript: SessionTranscript
    written: bytes
    plain: bool


def _made(kind: type[T], values: Mapping[str, object]) -> T:
    """An object as somebody mistaken would make it: its class would refuse these values."""
    made = object.__new__(kind)
    for name, value in values.items():
        object.__setattr__(made, name, value)
    return made


def sessions(known: Known) -> Iterator[Session]:
    """Every session to try, the likeliest first: the reader's own, the plain ones, then one mistake at a time."""
    given = known.transcript
    if given is not None:
        yield Session(candidate=Candidate(Form.GIVEN), transcript=given, written=given.encoded, plain=True)
    inputs = _inputs(known)
    bases = [_base(form, inputs) for form in _FORMS if not _missing(form, inputs)]
    yield from (_session(candidate, handover.transcript(), plain=True) for candidate, handover in bases)
    if given is not None:
        yield from _wrapped(Candidate(Form.GIVEN), given)
    for candidate, handover in bases:
        yield from _wrapped(candidate, handover.transcript())
        yield from _mistaken_inputs(candidate, handover, inputs)
        for how, encoded in _mistaken_handovers(handover):
            yield _session(candidate.with_(Deviation("handover", how)), _around(handover, encoded), plain=False)


def untried(known: Known) -> dict[Form, tuple[str, ...]]:
    """The forms that cannot be tried, or not with every value that they may have, and what would have to be known."""
    inputs = _inputs(known)
    if known.jwk is None and known.jwk_thumbprint is None:
        # Without the key only an answer that is not encrypted can be tried, and most are encrypted.
        inputs = {**inputs, "jwk_thumbprint": ()}
    lacking = {form: _missing(form, inputs) for form in _FORMS}
    return {form: missing for form, missing in lacking.items() if missing}


def _missing(form: Form, inputs: _Inputs) -> tuple[str, ...]:
    kind, fixed = _FORMS[form]
    return tuple(
        _NAMES.get(one.name, one.name) for one in fields(kind) if one.name not in fixed and not inputs[one.name]
    )


def _base(form: Form, inputs: _Inputs) -> tuple[Candidate, Handover]:
    """The form with the best value of every input; where one is not known itself, its name says what stands for it."""
    kind, fixed = _FORMS[form]
    best = {one.name: inputs[one.name][0] for one in fields(kind) if one.name not in fixed}
    deviations = tuple(Deviation(_NAMES.get(name, name), value.how) for name, value in best.items() if value.how)
    values = dict(fixed) | {name: value.value for name, value in best.items()}
    return Candidate(form, deviations), cast("Handover", _made(kind, values))


def _session(candidate: Candidate, transcript: SessionTranscript, *, plain: bool) -> Session:
    return Session(candidate=candidate, transcript=transcript, written=transcript.encoded, plain=plain)


def _wrapped(candidate: Candidate, transcript: SessionTranscript) -> Iterator[Session]:
    for how, written in (("in tag 24", transcript.tagged), ("a byte string", bstr(transcript.encoded))):
        name = candidate.with_(Deviation("session_transcript", how))
        yield Session(candidate=name, transcript=transcript, written=written, plain=False)


def _mistaken_inputs(candidate: Candidate, handover: Handover, inputs: _Inputs) -> Iterator[Session]:
    _, fixed = _FORMS[candidate.form]
    held = {one.name: getattr(handover, one.name) for one in fields(cast("Any", handover))}
    for name in held:
        if name in fixed:
            continue
        for other in inputs[name][1:]:
            deviation = Deviation(_NAMES.get(name, name), other.how)
            others = tuple(one for one in candidate.deviations if one.input != deviation.input)
            changed = Candidate(candidate.form, (*others, deviation))
            made = _made(type(handover), held | {name: other.value})
            yield _session(changed, made.transcript(), plain=False)


def _around(handover: Handover, encoded: bytes) -> SessionTranscript:
    """The transcript of `handover` with something else in the place of the handover itself."""
    engagement = getattr(handover, "device_engagement_bytes", b"\xf6")
    return SessionTranscript(b"\x83" + engagement + getattr(handover, "e_reader_key_bytes", b"\xf6") + encoded)


def _mistaken_handovers(handover: Handover) -> Iterator[tuple[str, bytes]]:
    """What stands in the place of the handover at careless hands, and in older drafts."""
    if isinstance(handover, NfcHandover):
        select, request = handover.handover_select, handover.handover_request
        yield "the Handover Select message alone", encode([select])
        yield "the Handover Select message, not in an array", encode(select)
        if request is not None:
            yield "the Handover Request message first", encode([request, select])
    elif isinstance(handover, ReaderEngagementHandover):
        engagement = handover.reader_engagement
        yield "ReaderEngagementBytes themselves, not their hash", wrap24(engagement)
        yield "the hash of the ReaderEngagement without tag 24", encode(hashlib.sha256(engagement).digest())
        yield "the hash in an array", encode([hashlib.sha256(wrap24(engagement)).digest()])
        for name, title in _OTHER_HASHES.items():
            yield f"hashed by {title}", encode(hashlib.new(name, wrap24(engagement)).digest())
    elif isinstance(handover, AnnexBHandover):
        yield from _mistaken_annex_b(handover)
    elif isinstance(handover, HashedHandover):
        yield from _mistaken_hashes(handover)


def _mistaken_annex_b(handover: AnnexBHandover) -> Iterator[tuple[str, bytes]]:
    mdoc_nonce, nonce = handover.mdoc_generated_nonce, handover.nonce
    values = [handover.client_id, handover.response_uri]
    # The form of published responses of that time (no clause is known for it).
    yield "the four values themselves, not hashed", encode([mdoc_nonce, *values, nonce])
    usual = [hashlib.sha256(encode([one, mdoc_nonce])).digest() for one in values]
    turned = [hashlib.sha256(encode([mdoc_nonce, one])).digest() for one in values]
    for name, title in _OTHER_HASHES.items():
        by_other = [hashlib.new(name, encode([one, mdoc_nonce])).digest() for one in values]
        yield f"hashed by {title}", encode([*by_other, nonce])
    yield "the mdoc_generated_nonce first in what is hashed", encode([*turned, nonce])
    yield "the hash of the response_uri first", encode([usual[1], usual[0], nonce])
    yield "with a label", encode([OpenId4VpHandover.label, *usual, nonce])
    swapped = [hashlib.sha256(encode([one, nonce])).digest() for one in values]
    yield "nonce and mdoc_generated_nonce exchanged", encode([*swapped, mdoc_nonce])


def _mistaken_hashes(handover: HashedHandover) -> Iterator[tuple[str, bytes]]:
    info, label = handover.info(), handover.label
    encoded = encode(info)
    digest = hashlib.sha256(encoded).digest()
    names = [one.name for one in fields(cast("Any", handover))]
    for order in itertools.islice(itertools.permutations(range(len(info))), 1, None):
        told = ", ".join(names[index] for index in order)
        hashed = hashlib.sha256(encode([info[index] for index in order])).digest()
        yield f"hashed in the order {told}", encode([label, hashed])
    for index, name in enumerate(names):
        left = [one for place, one in enumerate(info) if place != index]
        yield f"hashed without {name}", encode([label, hashlib.sha256(encode(left)).digest()])
    for name, title in _OTHER_HASHES.items():
        yield f"hashed by {title}", encode([label, hashlib.new(name, encoded).digest()])
    for other in _LABELS:
        if other != label:
            yield f"with the label {other}", encode([other, digest])
    yield "with its label in upper case", encode([label.upper(), digest])
    yield "with its label in lower case", encode([label.lower(), digest])
    yield "the hash without a label", encode([digest])
    yield "the hash alone, not in an array", encode(digest)
    yield "the hash of the tag-24 form", encode([label, hashlib.sha256(wrap24(encoded)).digest()])
    yield "the hash as hex text", encode([label, digest.hex()])
    yield "not hashed: a byte string of the values", encode([label, encoded])
    yield "not hashed: the array of the values", encode([label, info])
    yield "not hashed: the values behind the label", encode([label, *info])

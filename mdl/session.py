"""Construction of a SessionTranscript: one class for each handover, with the inputs that both sides know.

In person, the transcript consists of slices of the messages as transmitted; nothing is encoded again. Online, the first
two members are null, and the handover has values of the request, mostly as a hash. The request determines the handover;
a reader decides on one handover and never tries several (online.md §1.4).

    in person                   QrHandover, NfcHandover
    to a website, REST          ReaderEngagementHandover            18013-7 Annex A
    OpenID4VP                   AnnexBHandover                      18013-7 Annex B, draft 18
                                OpenId4VpHandover                   1.0, redirect
                                OpenId4VpDcApiHandover              1.0, DC API
                                OpenId4VpDraft24Handover            draft 24, DC API
    ISO mdoc over the DC API    AnnexCHandover                      18013-7 Annex C
    during issuance             OpenId4VciHandover                  OpenID4VCI 1.1 (draft)

Spec:
    18013-5 first edition 9.1.5.1; 18013-7 second edition (draft) Annexes A to C; OpenID4VP 1.0 B.2.6; mdoc.md §3.4;
    online.md §1.4, §2.1 to §2.3.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

from mdl.cbor import bstr, encode, unwrap24, wrap24
from mdl.errors import UnsupportedError
from mdl.mdoc import SessionTranscript

__all__ = [
    "AnnexBHandover",
    "AnnexCHandover",
    "Handover",
    "HashedHandover",
    "NfcHandover",
    "OpenId4VciHandover",
    "OpenId4VpDcApiHandover",
    "OpenId4VpDraft24Handover",
    "OpenId4VpHandover",
    "QrHandover",
    "ReaderEngagementHandover",
    "jwk_thumbprint",
]

_NULL: Final = b"\xf6"
_THUMBPRINT_SIZE: Final = 32


class Handover(Protocol):
    """The kind of a session, which determines its transcript."""

    def transcript(self) -> SessionTranscript:
        """The SessionTranscript."""


def _demand(kind: type[Any], **values: object) -> None:
    """Reject a value of another type: text in place of bytes would silently give another transcript."""
    for name, value in values.items():
        if type(value) is not kind:
            msg = f"{name} is {kind.__name__}, not {type(value).__name__}"
            raise TypeError(msg)


def _demand_thumbprint(value: object) -> None:
    if value is not None and (type(value) is not bytes or len(value) != _THUMBPRINT_SIZE):
        msg = f"a thumbprint is {_THUMBPRINT_SIZE} bytes, or None where the response is not encrypted"
        raise TypeError(msg)


def _sha256(value: object) -> bytes:
    return hashlib.sha256(encode(value)).digest()


# --- in person --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _InPerson(ABC):
    """The two members that every session in person has.

    Attributes:
        device_engagement_bytes: DeviceEngagementBytes, tag 24: `mdl.cbor.wrap24` of the DeviceEngagement as received
            in the QR code or the NFC record.
        e_reader_key_bytes: EReaderKeyBytes, tag 24, as sent in SessionEstablishment.

    Raises:
        DecodeError: A member is not in tag 24 (codes ``cbor.…``).
    """

    device_engagement_bytes: bytes
    e_reader_key_bytes: bytes

    def __post_init__(self) -> None:
        _demand(bytes, device_engagement_bytes=self.device_engagement_bytes, e_reader_key_bytes=self.e_reader_key_bytes)
        unwrap24(self.device_engagement_bytes)
        unwrap24(self.e_reader_key_bytes)

    @property
    @abstractmethod
    def encoded(self) -> bytes:
        """The encoded handover, the third member of the transcript."""

    def transcript(self) -> SessionTranscript:
        """The SessionTranscript."""
        return SessionTranscript(b"\x83" + self.device_engagement_bytes + self.e_reader_key_bytes + self.encoded)


@dataclass(frozen=True, slots=True, kw_only=True)
class QrHandover(_InPerson):
    """The engagement was a QR code: the handover is null.

    Spec:
        18013-5 first edition 9.1.5.1; mdoc.md §3.4.
    """

    @property
    def encoded(self) -> bytes:
        """The encoded handover."""
        return _NULL


@dataclass(frozen=True, slots=True, kw_only=True)
class NfcHandover(_InPerson):
    """The engagement went over NFC.

    Attributes:
        handover_select: The Handover Select message of the mdoc, the whole NDEF message.
        handover_request: The Handover Request message of the reader, the whole NDEF message; None for a static
            handover.

    Spec:
        18013-5 first edition 9.1.5.1; mdoc.md §3.3, §3.4.
    """

    handover_select: bytes
    handover_request: bytes | None

    def __post_init__(self) -> None:
        _InPerson.__post_init__(self)
        _demand(bytes, handover_select=self.handover_select)
        if self.handover_request is not None:
            _demand(bytes, handover_request=self.handover_request)

    @property
    def encoded(self) -> bytes:
        """The encoded handover."""
        return encode([self.handover_select, self.handover_request])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderEngagementHandover(_InPerson):
    """The reader is a website that engaged by a URI: the handover is a hash of its ReaderEngagement.

    Attributes:
        reader_engagement: The encoded ReaderEngagement of the URI, not in tag 24.

    Spec:
        18013-7 second edition (draft) Annex A; online.md §2.1. The reader's key is the one from which the
        session keys were derived.
    """

    reader_engagement: bytes

    def __post_init__(self) -> None:
        _InPerson.__post_init__(self)
        _demand(bytes, reader_engagement=self.reader_engagement)

    @property
    def encoded(self) -> bytes:
        """The encoded handover."""
        return bstr(hashlib.sha256(wrap24(self.reader_engagement)).digest())


# --- online -----------------------------------------------------------------------------------------------------------


def _online(handover: object) -> SessionTranscript:
    return SessionTranscript(b"\x83" + _NULL + _NULL + encode(handover))


class HashedHandover(ABC):
    """A handover of a label and the SHA-256 of some values."""

    __slots__ = ()

    label: ClassVar[str]

    @abstractmethod
    def info(self) -> list[object]:
        """The values that are encoded and hashed."""

    def transcript(self) -> SessionTranscript:
        """The SessionTranscript: null, null, and the label with the hash."""
        return _online([self.label, _sha256(self.info())])


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenId4VpHandover(HashedHandover):
    """OpenID4VP 1.0 by redirect: ``direct_post`` and ``direct_post.jwt``.

    Attributes:
        client_id: The verifier's client identifier with its prefix, as in the request.
        nonce: The request's nonce.
        jwk_thumbprint: `jwk_thumbprint` of the key that the response is encrypted to, 32 bytes; None for no encryption.
        response_uri: The request's response_uri, or its redirect_uri.

    Spec:
        OpenID4VP 1.0 B.2.6.1; online.md §1.4. With a signed request, all values come from the verified
        Request Object.
    """

    label: ClassVar[str] = "OpenID4VPHandover"

    client_id: str
    nonce: str
    jwk_thumbprint: bytes | None
    response_uri: str

    def __post_init__(self) -> None:
        _demand(str, client_id=self.client_id, nonce=self.nonce, response_uri=self.response_uri)
        _demand_thumbprint(self.jwk_thumbprint)

    def info(self) -> list[object]:
        """OpenID4VPHandoverInfo."""
        return [self.client_id, self.nonce, self.jwk_thumbprint, self.response_uri]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenId4VpDcApiHandover(HashedHandover):
    """OpenID4VP 1.0 over the Digital Credentials API: ``dc_api`` and ``dc_api.jwt``.

    Attributes:
        origin: The origin of the page that asked, for example ``https://example.com``, without any prefix.
        nonce: The request's nonce.
        jwk_thumbprint: As in `OpenId4VpHandover`.

    Spec:
        OpenID4VP 1.0 B.2.6.2; online.md §1.4.
    """

    label: ClassVar[str] = "OpenID4VPDCAPIHandover"

    origin: str
    nonce: str
    jwk_thumbprint: bytes | None

    def __post_init__(self) -> None:
        _demand(str, origin=self.origin, nonce=self.nonce)
        _demand_thumbprint(self.jwk_thumbprint)

    def info(self) -> list[object]:
        """OpenID4VPDCAPIHandoverInfo."""
        return [self.origin, self.nonce, self.jwk_thumbprint]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenId4VpDraft24Handover(HashedHandover):
    """OpenID4VP draft 24 over the Digital Credentials API: obsolete, under the label that 1.0 uses for other values.

    Attributes:
        origin: The origin of the page that asked.
        client_id: The verifier's client identifier.
        nonce: The request's nonce.

    Spec:
        OpenID4VP draft 24; online.md §1.4.
    """

    label: ClassVar[str] = "OpenID4VPDCAPIHandover"

    origin: str
    client_id: str
    nonce: str

    def __post_init__(self) -> None:
        _demand(str, origin=self.origin, client_id=self.client_id, nonce=self.nonce)

    def info(self) -> list[object]:
        """The values that draft 24 hashes."""
        return [self.origin, self.client_id, self.nonce]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenId4VciHandover(HashedHandover):
    """A presentation during issuance, to the interactive authorization endpoint of the issuer.

    Attributes:
        endpoint: The URL of the endpoint.
        nonce: The request's nonce.
        jwk_thumbprint: As in `OpenId4VpHandover`.

    Spec:
        OpenID4VCI 1.1 (draft); online.md §1.4. The order of the values is the one that
        reproduces the published transcript.
    """

    label: ClassVar[str] = "OpenID4VCIIAEHandover"

    endpoint: str
    nonce: str
    jwk_thumbprint: bytes | None

    def __post_init__(self) -> None:
        _demand(str, endpoint=self.endpoint, nonce=self.nonce)
        _demand_thumbprint(self.jwk_thumbprint)

    def info(self) -> list[object]:
        """The values that the draft hashes."""
        return [self.endpoint, self.nonce, self.jwk_thumbprint]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnexCHandover(HashedHandover):
    """ISO mdoc over the Digital Credentials API, protocol ``org-iso-mdoc``.

    Attributes:
        encryption_info: The text of EncryptionInfo as it was sent: base64url without padding. The text is hashed, not
            its decoded form.
        origin: The origin of the page that asked, for example ``https://example.com``.

    Spec:
        18013-7 second edition (draft) Annex C; online.md §2.3.
    """

    label: ClassVar[str] = "dcapi"

    encryption_info: str
    origin: str

    def __post_init__(self) -> None:
        _demand(str, encryption_info=self.encryption_info, origin=self.origin)

    def info(self) -> list[object]:
        """DcApiInfo."""
        return [self.encryption_info, self.origin]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnexBHandover:
    """OpenID4VP draft 18 as 18013-7 Annex B profiles it: OID4VPHandover, which has no label.

    Attributes:
        client_id: The verifier's client identifier; in Annex B the bare DNS name.
        response_uri: The request's response_uri.
        nonce: The request's nonce.
        mdoc_generated_nonce: The wallet's nonce: the text that ``apu`` of the encrypted response encodes in base64url.

    Spec:
        18013-7 second edition (draft) Annex B; online.md §1.4, §2.2.
    """

    client_id: str
    response_uri: str
    nonce: str
    mdoc_generated_nonce: str

    def __post_init__(self) -> None:
        _demand(
            str,
            client_id=self.client_id,
            response_uri=self.response_uri,
            nonce=self.nonce,
            mdoc_generated_nonce=self.mdoc_generated_nonce,
        )

    def transcript(self) -> SessionTranscript:
        """The SessionTranscript."""
        hashes = [_sha256([value, self.mdoc_generated_nonce]) for value in (self.client_id, self.response_uri)]
        return _online([*hashes, self.nonce])


# The members of a JWK that RFC 7638 hashes, by key type, in their order.
_HASHED_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def jwk_thumbprint(jwk: Mapping[str, Any]) -> bytes:
    """The SHA-256 thumbprint of a public key in JWK form, 32 bytes.

    Args:
        jwk: The JWK as sent to the wallet; members that are not part of the key are ignored.

    Raises:
        UnsupportedError: The key has a type that is not used for encryption, or a member is missing (code
            ``key.unsupported``).

    Spec:
        RFC 7638 §3; online.md §1.4.
    """
    names = _HASHED_MEMBERS.get(str(jwk.get("kty")))
    if names is None or not all(type(jwk.get(name)) is str for name in names):
        msg = "the JWK is no public key of type EC or OKP"
        raise UnsupportedError(msg, code="key.unsupported", clause="RFC 7638 §3.2")
    text = json.dumps({name: jwk[name] for name in names}, separators=(",", ":"), ensure_ascii=False)
    try:
        return hashlib.sha256(text.encode()).digest()
    except UnicodeEncodeError as exc:
        msg = "a member of the JWK is not Unicode text"
        raise UnsupportedError(msg, code="key.unsupported", clause="RFC 7638 §3.2") from exc

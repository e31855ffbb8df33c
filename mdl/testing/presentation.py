"""A sample licence, and recipes for presentations of it: honest, or forged in any one place."""

from __future__ import annotations

import enum
import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar, cast

from mdl.cbor import FullDate, Tag, Tagged24, TDate, bstr, encode, head, wrap24
from mdl.cose import ALG, HMAC_256_256, X5CHAIN, encode_key
from mdl.doctypes import AAMVA_NAMESPACE, MDL_NAMESPACE
from mdl.keys import EphemeralKey, PublicKey, SoftwareSigner, hkdf_sha256
from mdl.mdoc import DIGEST_ALGORITHMS, DeviceRequest, DocRequest, ItemsRequest, SessionTranscript
from mdl.pki import Certificate
from mdl.testing.authority import (
    TEST_TIME,
    SeededEntropy,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    throwaway_authority,
)

MDL_DOCTYPE: Final = "org.iso.18013.5.1.mDL"

T = TypeVar("T")

# --- a licence --------------------------------------------------------------------------------------------------------


@cache
def sample_image(size: int = 20_000) -> bytes:
    """Bytes that begin and end as a JPEG does, and show nothing.

    Args:
        size: Length in bytes, at least 22.
    """
    start = bytes.fromhex("ffd8ffe000104a46494600010100000100010000")
    filler = SeededEntropy("image")(size - len(start) - 2).replace(b"\xff", b"\x00")
    return start + filler + b"\xff\xd9"


def sample_licence(*, portrait_size: int = 20_000, aamva: bool = False) -> dict[str, dict[str, Any]]:
    """The elements of a fictitious licence that fits `throwaway_authority`: 31 with all mandatory ones.

    Args:
        portrait_size: Length of the portrait in bytes.
        aamva: Add the AAMVA namespace.

    Returns:
        Values by namespace and identifier, to be changed freely.
    """
    licence: dict[str, dict[str, Any]] = {
        MDL_NAMESPACE: {
            "family_name": "Mustermann",
            "given_name": "Erika",
            "birth_date": FullDate("1990-02-11"),
            "issue_date": FullDate("2024-02-11"),
            "expiry_date": FullDate("2032-02-11"),
            "issuing_country": "US",
            "issuing_authority": "Throwaway Motor Vehicle Agency",
            "document_number": "T-0000-0042",
            "portrait": sample_image(portrait_size),
            "driving_privileges": [
                {
                    "vehicle_category_code": "B",
                    "issue_date": FullDate("2024-02-11"),
                    "expiry_date": FullDate("2032-02-11"),
                    "codes": [{"code": "01", "sign": "=", "value": "06"}],
                },
                {"vehicle_category_code": "AM"},
            ],
            "un_distinguishing_sign": "USA",
            "administrative_number": "A-0042",
            "sex": 2,
            "height": 171,
            "weight": 68,
            "eye_colour": "green",
            "hair_colour": "brown",
            "birth_place": "Nowhere",
            "resident_address": "1 Example Street",
            "portrait_capture_date": TDate("2024-02-01T09:00:00Z"),
            "age_in_years": 36,
            "age_birth_year": 1990,
            "age_over_18": True,
            "age_over_21": True,
            "issuing_jurisdiction": "US-UT",
            "nationality": "US",
            "resident_city": "Exampleville",
            "resident_state": "Utah",
            "resident_postal_code": "00000",
            "resident_country": "US",
            "family_name_national_character": "Müstermann",
        }
    }
    if aamva:
        licence[AAMVA_NAMESPACE] = {
            "domestic_driving_privileges": [
                {
                    "domestic_vehicle_class": {
                        "domestic_vehicle_class_code": "D",
                        "domestic_vehicle_class_description": "Passenger vehicles",
                        "issue_date": FullDate("2024-02-11"),
                        "expiry_date": FullDate("2032-02-11"),
                    }
                }
            ],
            "family_name_truncation": "N",
            "given_name_truncation": "N",
            "sex": 2,
            "organ_donor": 1,
            "DHS_compliance": "F",
            "resident_county": "001",
        }
    return licence


def sample_transcript(reader_key: PublicKey, *, seed: str = "session") -> SessionTranscript:
    """The transcript of a session that began with a QR code; another seed gives another session."""
    device_key = deterministic_ephemeral_key(f"session {seed}", reader_key.curve.name).public_key
    engagement = encode({0: "1.0", 1: [1, raw(wrap24(encode(encode_key(device_key))))]})
    return SessionTranscript(
        encode([raw(wrap24(engagement)), raw(wrap24(encode(encode_key(reader_key)))), None])  # null: the QR handover
    )


def request_for(*documents: tuple[str, Mapping[str, Iterable[str]]]) -> DeviceRequest:
    """A request without reader authentication and without intent to retain.

    Args:
        documents: Document type and wanted elements by namespace, for each document.
    """
    return DeviceRequest(
        tuple(
            DocRequest.of(
                ItemsRequest(doctype, {space: dict.fromkeys(names, False) for space, names in wanted.items()})
            )
            for doctype, wanted in documents
        )
    )


# --- CBOR out of the ordinary -----------------------------------------------------------------------------------------


def raw(encoded: bytes) -> Tagged24:
    """A value that is written as these very bytes, whatever they are."""
    return Tagged24(b"", encoded)


def pairs(entries: Iterable[tuple[Any, Any]]) -> Tagged24:
    """A map of exactly these entries, in order; a key may come twice."""
    written = [encode(key) + encode(value) for key, value in entries]
    return raw(head(5, len(written)) + b"".join(written))


def widen(encoded: bytes, size: int) -> bytes:
    """The same item with the argument of its first head written in `size` bytes: 1, 2, 4 or 8."""
    first = encoded[0]
    used = 0 if first & 31 < 24 else 1 << (first & 31) - 24
    number = int.from_bytes(encoded[1 : 1 + used]) if used else first & 31
    return bytes((first & 0xE0 | 23 + size.bit_length(),)) + number.to_bytes(size) + encoded[1 + used :]


# --- the recipe -------------------------------------------------------------------------------------------------------


class DeviceAuth(enum.Enum):
    """What stands in deviceAuth. Only the first two are honest."""

    SIGNATURE = enum.auto()
    MAC = enum.auto()
    BOTH = enum.auto()
    NONE = enum.auto()


@dataclass(slots=True, kw_only=True)
class Item:
    """One issuer-signed element: what is signed, what the security object says of it, and what is sent.

    Attributes:
        namespace: The namespace that it is listed and sent in.
        identifier: elementIdentifier.
        value: elementValue.
        digest_id: digestID.
        random: The salt.
        order: The members in order; one that is not named is left out.
        extra: Further members.
        length_size: Bytes of the length of the tag-24 content, where it is not to be the shortest form: 1, 2, 4, 8.
        encoded: IssuerSignedItemBytes as signed, in place of what follows from the members.
        listed: Whether the security object lists its digest.
        digest: The digest that is listed, where it is not the true one.
        disclosed: Whether it is sent.
        presented: Members that are changed after signing.
        sent: IssuerSignedItemBytes as sent, in place of what was signed.
        copies: How often it is sent.
    """

    namespace: str
    identifier: str
    value: Any
    digest_id: int
    random: bytes
    order: Sequence[str] = ("digestID", "random", "elementIdentifier", "elementValue")
    extra: Mapping[str, Any] = field(default_factory=dict)
    length_size: int | None = None
    encoded: bytes | None = None
    listed: bool = True
    digest: bytes | None = None
    disclosed: bool = True
    presented: Mapping[str, Any] = field(default_factory=dict)
    sent: bytes | None = None
    copies: int = 1

    def encode(self, changes: Mapping[str, Any] | None = None) -> bytes:
        """IssuerSignedItemBytes from the members, some of them changed."""
        members = {
            "digestID": self.digest_id,
            "random": self.random,
            "elementIdentifier": self.identifier,
            "elementValue": self.value,
        }
        content = encode({name: members[name] for name in self.order} | dict(self.extra) | dict(changes or {}))
        return wrap24(content) if self.length_size is None else b"\xd8\x18" + widen(bstr(content), self.length_size)

    @property
    def as_signed(self) -> bytes:
        """IssuerSignedItemBytes over which the true digest goes."""
        return self.encode() if self.encoded is None else self.encoded

    @property
    def as_sent(self) -> bytes:
        """IssuerSignedItemBytes of the response."""
        if self.sent is not None:
            return self.sent
        return self.encode(self.presented) if self.presented else self.as_signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """What a reader has before it when it decides.

    Attributes:
        response: The encoded DeviceResponse.
        transcript: The session as the reader saw it.
        reader_key: The reader's ephemeral key.
        request: What the reader asked.
        anchors: The roots that the reader trusts.
        at: The time.
    """

    response: bytes
    transcript: SessionTranscript
    reader_key: EphemeralKey
    request: DeviceRequest
    anchors: tuple[Certificate, ...]
    at: datetime


Hook: TypeAlias = Callable[[dict[str, Any]], object]
"""Changes plain values in place, just before they are encoded; what it returns is ignored."""


@dataclass(slots=True, kw_only=True)
class Recipe:
    """One presented document, with the response around it. As it stands it is honest; None means the honest choice.

    The steps are items → security object → issuerAuth → issuerSigned → deviceSigned → response; a change takes effect
    in all that follows, so a change to an item is signed by the issuer, and one by `mutate_issuer_signed` is not.

    Attributes:
        seed: Another seed gives other salts.
        at: The time of the presentation.
        authority: Whose credential it is, and whom the reader trusts.
        doctype: The document type.
        namespaces: The licence, all of it.
        disclose: The identifiers that are sent; None sends all.
        items: Changes to items by identifier, in whichever namespace: attributes of `Item` with their values.
        mutate_items: Changes the list of items: order, additions.
        random_size: Length of the salts in bytes.
        decoys: Digests of nothing, in each namespace.
        mso_version: The security object's version.
        digest_algorithm: Its name for the digest.
        digest_hash: The digest as hashlib names it, where it does not follow from the name; SHA-256 for unknown names.
        mso_doctype: Its docType, where it is not `doctype`.
        signed: When it was signed; None is a day before `at`.
        valid_from: None is when it was signed.
        valid_until: None is 29 days after `at`.
        expected_update: Or None for none.
        device_key: The device key that the credential is bound to; one that only agrees secrets serves a MAC.
        mso_device_key: The COSE_Key in the security object, where it is not the device key's.
        key_authorizations: The ``keyAuthorizations`` member, or None for none.
        mso_status: The ``status`` member, or None for none.
        mso_extra: Further members.
        mutate_mso: Changes the security object before it is signed.
        encode_mso: Encodes it.
        wrap_mso: Makes the payload of its encoding.
        issuer_key: Who signs.
        issuer_protected: The protected header: a map, or the content as it is.
        x5chain: The certificates, one or several; None is the document signer's.
        issuer_unprotected: The unprotected header, whole.
        issuer_signature: The signature as it is.
        mutate_issuer_signed: Changes the finished IssuerSigned.
        document_doctype: The docType beside it, where it is not `doctype`.
        device_elements: Device-signed elements by namespace and identifier.
        device_name_spaces: The content of DeviceNameSpacesBytes as it is.
        device_auth: Signature or MAC.
        device_signer: Whose key signs or agrees, where it is not the device key.
        device_protected: The protected header of each form that is sent: a map, or the content as it is.
        device_transcript: The session that the device authenticates, where it is not the reader's.
        device_doctype: The docType that the device authenticates, where it is not `document_doctype`.
        reader_key: The reader's ephemeral key.
        transcript: The session; None makes one from the reader's key.
        request: What the reader asked; None asks for just what an honest device would send.
        cose_tags: Put the COSE messages under their tags.
        response_version: The response's version.
        response_status: Its status.
        response_extra: Further members.
        mutate_response: Changes the finished response.
        encode_response: Encodes it.
    """

    seed: str = "presentation"
    at: datetime = TEST_TIME
    authority: ThrowawayAuthority = field(default_factory=throwaway_authority)
    doctype: str = MDL_DOCTYPE
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=sample_licence)
    disclose: Collection[str] | None = None
    items: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mutate_items: Callable[[list[Item]], object] | None = None
    random_size: int = 32
    decoys: int = 0

    mso_version: str = "1.0"
    digest_algorithm: str = "SHA-256"
    digest_hash: str | None = None
    mso_doctype: str | None = None
    signed: datetime | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    expected_update: datetime | None = None
    device_key: SoftwareSigner | EphemeralKey = field(default_factory=lambda: deterministic_key("device"))
    mso_device_key: Mapping[Any, Any] | None = None
    key_authorizations: Mapping[str, Any] | None = None
    mso_status: Mapping[str, Any] | None = None
    mso_extra: Mapping[str, Any] = field(default_factory=dict)
    mutate_mso: Hook | None = None
    encode_mso: Callable[[dict[str, Any]], bytes] = encode
    wrap_mso: Callable[[bytes], bytes] = wrap24

    issuer_key: SoftwareSigner | None = None
    issuer_protected: Mapping[Any, Any] | bytes | None = None
    x5chain: bytes | Sequence[bytes] | None = None
    issuer_unprotected: Mapping[Any, Any] | None = None
    issuer_signature: bytes | None = None
    mutate_issuer_signed: Hook | None = None

    document_doctype: str | None = None
    device_elements: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    device_name_spaces: bytes | None = None
    device_auth: DeviceAuth = DeviceAuth.SIGNATURE
    device_signer: SoftwareSigner | EphemeralKey | None = None
    device_protected: Mapping[Any, Any] | bytes | None = None
    device_transcript: SessionTranscript | None = None
    device_doctype: str | None = None

    reader_key: EphemeralKey = field(default_factory=lambda: deterministic_ephemeral_key("reader"))
    transcript: SessionTranscript | None = None
    request: DeviceRequest | None = None
    cose_tags: bool = False
    response_version: str = "1.0"
    response_status: int = 0
    response_extra: Mapping[str, Any] = field(default_factory=dict)
    mutate_response: Hook | None = None
    encode_response: Callable[[dict[str, Any]], bytes] = encode

    def issue(self) -> bytes:
        """The encoded IssuerSigned with every item, as the issuing authority hands it to the holder."""
        items = self._items()
        for item in items:
            item.disclosed = True
        return encode(self._issuer_signed(items))

    def present(self, *others: Recipe) -> Presentation:
        """The presentation.

        Args:
            others: Recipes of further documents in the same response and session; only what makes up a document counts.
        """
        recipes = (self, *others)
        transcript = self.transcript or sample_transcript(self.reader_key.public_key)
        response: dict[str, Any] = {
            "version": self.response_version,
            "documents": [recipe.document(transcript, self.reader_key.public_key) for recipe in recipes],
            "status": self.response_status,
            **self.response_extra,
        }
        if self.mutate_response is not None:
            self.mutate_response(response)
        return Presentation(
            response=self.encode_response(response),
            transcript=transcript,
            reader_key=self.reader_key,
            request=self.request or request_for(*(recipe.wanted() for recipe in recipes)),
            anchors=tuple(dict.fromkeys(anchor for recipe in recipes for anchor in recipe.authority.anchors)),
            at=self.at,
        )

    def document(self, transcript: SessionTranscript, reader_key: PublicKey) -> dict[str, Any]:
        """The Document as plain values, ready to be encoded.

        Args:
            transcript: The session, where the recipe has no `device_transcript`.
            reader_key: The reader's ephemeral public key.
        """
        doctype = _given(self.document_doctype, self.doctype)
        issuer_signed = self._issuer_signed(self._items())
        content = self.device_name_spaces
        if content is None:
            content = encode({name: dict(elements) for name, elements in self.device_elements.items()})
        session = (self.device_transcript or transcript).encoded
        authenticated = wrap24(
            encode(["DeviceAuthentication", raw(session), _given(self.device_doctype, doctype), raw(wrap24(content))])
        )
        key = self.device_signer or self.device_key
        device_auth: dict[str, Any] = {}
        if self.device_auth in {DeviceAuth.SIGNATURE, DeviceAuth.BOTH}:
            protected = _header(self.device_protected, key.public_key.algorithm.cose_id)
            signature = cast("SoftwareSigner", key).sign(encode(["Signature1", protected, b"", authenticated]))
            message: list[Any] = [protected, {}, None, signature]
            device_auth["deviceSignature"] = Tag(18, message) if self.cose_tags else message
        if self.device_auth in {DeviceAuth.MAC, DeviceAuth.BOTH}:
            protected = _header(self.device_protected, HMAC_256_256)
            salt = hashlib.sha256(wrap24(session)).digest()
            secret = hkdf_sha256(key.agree(reader_key), salt=salt, info=b"EMacKey", length=32)
            tag = hmac.digest(secret, encode(["MAC0", protected, b"", authenticated]), "sha256")
            message = [protected, {}, None, tag]
            device_auth["deviceMac"] = Tag(17, message) if self.cose_tags else message
        return {
            "docType": doctype,
            "issuerSigned": issuer_signed,
            "deviceSigned": {"nameSpaces": raw(wrap24(content)), "deviceAuth": device_auth},
        }

    def wanted(self) -> tuple[str, dict[str, list[str]]]:
        """What a reader asks that gets just what is sent honestly; the whole licence where nothing is sent."""
        wanted: dict[str, list[str]] = {}
        for namespace, elements in self.namespaces.items():
            names = [name for name in elements if not self.disclose or name in self.disclose]
            wanted |= {namespace: names} if names else {}
        for namespace, elements in self.device_elements.items():
            wanted.setdefault(namespace, []).extend(elements)
        return self.doctype, wanted

    def _items(self) -> list[Item]:
        items = [
            Item(
                namespace=namespace,
                identifier=identifier,
                value=value,
                digest_id=index,
                random=SeededEntropy(f"{self.seed} {namespace} {identifier}")(self.random_size),
                disclosed=self.disclose is None or identifier in self.disclose,
            )
            for namespace, elements in self.namespaces.items()
            for index, (identifier, value) in enumerate(elements.items())
        ]
        unknown = {*self.items, *(self.disclose or ())} - {item.identifier for item in items}
        if unknown:
            msg = f"the licence has no {sorted(unknown)}"
            raise ValueError(msg)
        items = [replace(item, **self.items.get(item.identifier, {})) for item in items]
        if self.mutate_items is not None:
            self.mutate_items(items)
        return items

    def _security_object(self, items: list[Item]) -> bytes:
        """The payload of issuerAuth."""
        name = self.digest_hash or DIGEST_ALGORITHMS.get(self.digest_algorithm, "sha256")
        digests: dict[str, dict[int, bytes]] = {}
        for item in items:
            if item.listed:
                true = hashlib.new(name, item.as_signed).digest()
                digests.setdefault(item.namespace, {})[item.digest_id] = true if item.digest is None else item.digest
        for namespace, listed in digests.items():
            for number in range(self.decoys):
                decoy = SeededEntropy(f"{self.seed} {namespace} decoy {number}")(hashlib.new(name).digest_size)
                listed[max(listed) + 1] = decoy
        signed = self.signed or self.at - timedelta(days=1)
        validity = {
            "signed": TDate.of(signed),
            "validFrom": TDate.of(self.valid_from or signed),
            "validUntil": TDate.of(self.valid_until or self.at + timedelta(days=29)),
        }
        if self.expected_update is not None:
            validity["expectedUpdate"] = TDate.of(self.expected_update)
        key_info: dict[str, Any] = {
            "deviceKey": dict(_given(self.mso_device_key, encode_key(self.device_key.public_key)))
        }
        if self.key_authorizations is not None:
            key_info["keyAuthorizations"] = dict(self.key_authorizations)
        mso: dict[str, Any] = {
            "version": self.mso_version,
            "digestAlgorithm": self.digest_algorithm,
            "valueDigests": digests,
            "deviceKeyInfo": key_info,
            "docType": _given(self.mso_doctype, self.doctype),
            "validityInfo": validity,
        }
        if self.mso_status is not None:
            mso["status"] = dict(self.mso_status)
        mso |= self.mso_extra
        if self.mutate_mso is not None:
            self.mutate_mso(mso)
        return self.wrap_mso(self.encode_mso(mso))

    def _issuer_signed(self, items: list[Item]) -> dict[str, Any]:
        payload = self._security_object(items)
        key = self.issuer_key or self.authority.ds_key
        protected = _header(self.issuer_protected, key.public_key.algorithm.cose_id)
        unprotected = self.issuer_unprotected
        if unprotected is None:
            chain = _given(self.x5chain, self.authority.ds_certificate.der)
            unprotected = {X5CHAIN: chain if isinstance(chain, bytes) else list(chain)}
        signature = self.issuer_signature
        if signature is None:
            signature = key.sign(encode(["Signature1", protected, b"", payload]))
        issuer_auth = [protected, dict(unprotected), payload, signature]
        spaces: dict[str, list[Tagged24]] = {}
        for item in items:
            if item.disclosed:
                spaces.setdefault(item.namespace, []).extend([raw(item.as_sent)] * item.copies)
        signed: dict[str, Any] = {"nameSpaces": spaces} if spaces else {}
        signed["issuerAuth"] = Tag(18, issuer_auth) if self.cose_tags else issuer_auth
        if self.mutate_issuer_signed is not None:
            self.mutate_issuer_signed(signed)
        return signed


def _given(value: T | None, otherwise: T) -> T:
    """The value, even an empty one, or what stands for None."""
    return otherwise if value is None else value


def _header(given: Mapping[Any, Any] | bytes | None, algorithm: int) -> bytes:
    """The content of a protected header."""
    if isinstance(given, bytes):
        return given
    return encode({ALG: algorithm} if given is None else dict(given))


def present(**fields: Any) -> Presentation:
    """A presentation in one call: honest, but for what `Recipe` is told otherwise."""
    return Recipe(**fields).present()

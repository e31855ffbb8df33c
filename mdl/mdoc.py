"""The mdoc's own structures: what is issued, requested and presented.

Decoded objects are views over the received bytes: an item keeps its tag-24 bytes, a security object its payload, a
device-signed part its namespace bytes. Members that a structure's CDDL does not name are ignored where it leaves room
for them. Decoding verifies nothing; that is the reader's work.

A value of another type than the CDDL says is refused. A value of the right type that breaks a rule of the standard,
such as an array without an entry, is accepted, and noted in the `mdl.cbor.Reading` that the caller passes.

Spec:
    18013-5 first edition 8.3.2.1.2 (request, response), 9.1.2.4 (MSO), 9.1.3.4 (device authentication), 9.1.4 (reader
    authentication), 9.1.5.1 (session transcript). The second edition's draft adds members, which are kept apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from mdl.cbor import (
    DEFAULT_LIMITS,
    Limits,
    Reading,
    Tag,
    Tagged24,
    TDate,
    decode,
    decode_sequence,
    decode_view,
    encode,
    head,
    unwrap24,
    wrap24,
)
from mdl.cose import CoseMac0, CoseSign1, decode_key, decode_mac0, decode_sign1
from mdl.errors import DecodeError
from mdl.keys import KeyAgreement, PublicKey, hkdf_sha256

__all__ = [
    "DIGEST_ALGORITHMS",
    "MAX_DIGEST_ID",
    "MAX_DOCUMENTS",
    "DeviceRequest",
    "DeviceResponse",
    "DeviceSigned",
    "DocRequest",
    "Document",
    "IssuerSigned",
    "ItemsRequest",
    "KeyAuthorizations",
    "MobileSecurityObject",
    "SessionTranscript",
    "ValidityInfo",
    "Version",
    "device_authentication_bytes",
    "device_mac_key",
    "reader_authentication_bytes",
]

# The digest algorithms by the name that an MSO gives them; the value is hashlib's name.
DIGEST_ALGORITHMS: Final[Mapping[str, str]] = {"SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}

MAX_DIGEST_ID: Final = 1 << 31
"""A digest id is below this bound (mdoc.md §1.3)."""

MAX_DOCUMENTS: Final = 128
"""Largest number of documents in a response, inclusive: each costs the reader some verifications of signatures."""

EMPTY: Final = "structure.empty"
"""The deviation of an array or a map without an entry, where the standard wants one."""

EMPTY_NAME: Final = "structure.empty_name"
"""The deviation of a docType, a namespace or an element identifier that is an empty text."""

DIGEST_ID: Final = "mso.digest_id"
"""The deviation of a digest id that is not below `MAX_DIGEST_ID`."""

KEY_AUTHORIZATIONS: Final = "mso.key_authorizations"
"""The deviation of authorisations for nothing at all, or for one namespace both whole and in part."""

_MISSING: Final = object()
_TEXT: Final = frozenset((str,))


def _malformed(path: str, what: str) -> DecodeError:
    return DecodeError(what, code="mdoc.structure", path=path)


def _map(value: Any, path: str) -> Mapping[str, Any]:
    """A map whose keys are all text, as every map of the mdoc's own structures."""
    if type(value) is not dict:
        raise _malformed(path, "not a map")
    if not _TEXT.issuperset(map(type, value)):
        raise _malformed(path, "a map key that is not text")
    return value


def _get(mapping: Mapping[str, Any], name: str, kind: type[Any] | tuple[type[Any], ...], path: str) -> Any:
    """A mandatory member of exactly the given type (or one of them)."""
    value = mapping.get(name, _MISSING)
    if value is _MISSING:
        raise _malformed(f"{path}.{name}" if path else name, "missing")
    if type(value) is not kind and not (type(kind) is tuple and type(value) in kind):
        raise _malformed(f"{path}.{name}" if path else name, "of the wrong type")
    return value


def _array(mapping: Mapping[str, Any], name: str, reading: Reading) -> list[Any]:
    """An optional array; empty where it is missing. The CDDL wants an entry, some peers send none: that is the same."""
    value = mapping.get(name, _MISSING)
    if value is _MISSING:
        return []
    if type(value) is not list:
        raise _malformed(name, "not an array")
    if not value:
        reading.note(EMPTY, name)
    return value


def _entries(value: Any) -> list[Any]:
    """The entries of what should be an array; none where it is no array."""
    return value if type(value) is list else []


def _place(value: Any) -> tuple[str, str] | None:
    """A namespace and an element identifier, or None where the decoded value is no such pair."""
    if type(value) is list and len(value) == 2 and type(value[0]) is str and type(value[1]) is str:
        return value[0], value[1]
    return None


def _name(value: Any, path: str, reading: Reading) -> str:
    """A namespace, element identifier or docType: text, which should not be empty."""
    if type(value) is not str:
        raise _malformed(path, "a name that is not text")
    if not value:
        reading.note(EMPTY_NAME, path)
    return value


def _decode_at(data: bytes, path: str, limits: Limits, reading: Reading) -> Any:
    try:
        return decode(data, limits=limits, reading=reading, path=path)
    except DecodeError as exc:
        exc.path = path + exc.path
        raise


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A version ``major.minor``, compared as two integers."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: Any, *, path: str = "version") -> Version:
        """Read ``1.0``.

        Raises:
            DecodeError: The value is no version text (code ``mdoc.version``).
        """
        if type(text) is str and text.isascii():
            major, dot, minor = text.partition(".")
            if dot and major.isdigit() and minor.isdigit() and len(text) <= 16:
                return cls(int(major), int(minor))
        msg = "a version is two numbers with a dot between"
        raise DecodeError(msg, code="mdoc.version", path=path)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


# --- issuer-signed data -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidityInfo:
    """When a security object was signed and from when to when it is valid.

    Attributes:
        signed: When it was signed.
        valid_from: From when it is valid, inclusive.
        valid_until: Until when it is valid, inclusive.
        expected_update: When the issuing authority expects to have a newer one, or None.
        strict: Whether every date is in the one form that 18013-5 allows.
    """

    signed: datetime
    valid_from: datetime
    valid_until: datetime
    expected_update: datetime | None = None
    strict: bool = True

    @classmethod
    def decode(cls, value: Any, path: str) -> ValidityInfo:
        """Read a decoded ValidityInfo map."""
        info = _map(value, path)
        moments = [_get(info, name, TDate, path) for name in ("signed", "validFrom", "validUntil")]
        has_update = "expectedUpdate" in info
        if has_update:
            moments.append(_get(info, "expectedUpdate", TDate, path))
        times = [moment.strict_datetime for moment in moments]
        strict = None not in times
        if not strict:
            try:
                times = [moment.datetime for moment in moments]
            except DecodeError as exc:
                exc.path = path
                raise
        return cls(
            signed=times[0],
            valid_from=times[1],
            valid_until=times[2],
            expected_update=times[3] if has_update else None,
            strict=strict,
        )

    def to_cbor(self) -> dict[str, TDate]:
        """The ValidityInfo map, each moment cut to the second."""
        info = {
            "signed": TDate.of(self.signed),
            "validFrom": TDate.of(self.valid_from),
            "validUntil": TDate.of(self.valid_until),
        }
        if self.expected_update is not None:
            info["expectedUpdate"] = TDate.of(self.expected_update)
        return info


@dataclass(frozen=True, slots=True)
class KeyAuthorizations:
    """The elements that the device key may sign.

    Attributes:
        name_spaces: Namespaces of which every element is authorised.
        data_elements: Single elements, by namespace.
    """

    name_spaces: frozenset[str] = frozenset()
    data_elements: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def permits(self, namespace: str, identifier: str) -> bool:
        """Whether the device key may sign that element."""
        return namespace in self.name_spaces or identifier in self.data_elements.get(namespace, ())

    @classmethod
    def decode(cls, value: Any, path: str, reading: Reading | None = None) -> KeyAuthorizations:
        """Read a decoded KeyAuthorizations map.

        Args:
            value: The map.
            path: Where it stands, for errors.
            reading: Where deviations are noted, or None.

        Raises:
            DecodeError: A part of it is of the wrong type (code ``mdoc.structure``).
        """
        reading = reading or Reading()
        given = _map(value, path)
        spaces = given.get("nameSpaces", _MISSING)
        elements = given.get("dataElements", _MISSING)
        names = frozenset[str]() if spaces is _MISSING else _names(spaces, f"{path}.nameSpaces", reading)
        single: dict[str, frozenset[str]] = {}
        if elements is not _MISSING:
            for namespace, listed in _map(elements, f"{path}.dataElements").items():
                _name(namespace, f"{path}.dataElements", reading)
                single[namespace] = _names(listed, f"{path}.dataElements", reading)
            if not single:
                reading.note(EMPTY, f"{path}.dataElements")
        if names & single.keys() or (spaces is _MISSING and elements is _MISSING):
            reading.note(KEY_AUTHORIZATIONS, path)
        return cls(names, single)

    def to_cbor(self) -> dict[str, Any]:
        """The KeyAuthorizations map, names sorted."""
        result: dict[str, Any] = {}
        if self.name_spaces:
            result["nameSpaces"] = sorted(self.name_spaces)
        if self.data_elements:
            result["dataElements"] = {name: sorted(listed) for name, listed in sorted(self.data_elements.items())}
        return result


def _names(value: Any, path: str, reading: Reading) -> frozenset[str]:
    """An array of names."""
    if not isinstance(value, list | tuple):
        raise _malformed(path, "not an array")
    if not value:
        reading.note(EMPTY, path)
    names = frozenset(_name(one, path, reading) for one in value)
    if len(names) < len(value):
        reading.note(KEY_AUTHORIZATIONS, path)
    return names


@dataclass(frozen=True, slots=True)
class MobileSecurityObject:
    """The security object, which the issuing authority signed: digests, device key, document type and validity.

    Attributes:
        version: The structure's version as received; `Version.parse` reads it.
        digest_algorithm: The digest's name as received; one of `DIGEST_ALGORITHMS` in a conforming MSO.
        value_digests: Digest by digest id, by namespace.
        device_key: The decoded COSE_Key map of the device key; `device_public_key` loads it.
        key_authorizations: The elements that the device key may sign; None for none.
        doctype: The document type.
        validity_info: The ValidityInfo map as received; `validity` reads it.
        status: The ``status`` member as received, or None (a null counts as absent: issuers in the field send it).
        has_null_status: Whether that member is there and null.
    """

    version: str
    digest_algorithm: str
    value_digests: Mapping[str, Mapping[int, bytes]]
    device_key: Mapping[Any, Any]
    key_authorizations: KeyAuthorizations | None
    doctype: str
    validity_info: Mapping[str, Any]
    status: Any = None
    has_null_status: bool = False

    @property
    def validity(self) -> ValidityInfo:
        """The validity period.

        Raises:
            DecodeError: The map is no ValidityInfo (codes ``cbor.date``, ``mdoc.structure``).
        """
        return ValidityInfo.decode(self.validity_info, "validityInfo")

    @property
    def device_public_key(self) -> PublicKey:
        """The device key, loaded; see `mdl.cose.decode_key` for what may be raised."""
        return decode_key(self.device_key, path="deviceKeyInfo.deviceKey")

    @classmethod
    def decode(
        cls, payload: bytes, *, path: str = "mso", limits: Limits = DEFAULT_LIMITS, reading: Reading | None = None
    ) -> MobileSecurityObject:
        """Read the payload of an IssuerAuth: MobileSecurityObjectBytes, tag 24.

        Args:
            payload: The payload.
            path: Where it stands, for errors and deviations.
            limits: Bounds.
            reading: The reading of the response that holds it, or None.

        Raises:
            DecodeError: The payload is no MobileSecurityObjectBytes (codes ``cbor.…``, ``mdoc.…``).
        """
        reading = reading or Reading(limits)
        try:
            content = unwrap24(payload, limits=limits, reading=reading, path=path)
        except DecodeError as exc:
            exc.path = path
            raise
        mso = _map(_decode_at(content, path, limits, reading), path)
        digests = _map(_get(mso, "valueDigests", dict, path), f"{path}.valueDigests")
        if not digests:
            reading.note(EMPTY, f"{path}.valueDigests")
        for namespace, ids in digests.items():
            if not namespace:
                reading.note(EMPTY_NAME, f"{path}.valueDigests")
            if type(ids) is not dict:
                raise _malformed(f"{path}.valueDigests", "a namespace without a map of digests")
            if not ids:
                reading.note(EMPTY, f"{path}.valueDigests")
                continue
            if {*map(type, ids)} != _INT or {*map(type, ids.values())} != _BYTES or min(ids) < 0:
                raise _malformed(f"{path}.valueDigests", "an entry that is not digest id to digest")
            if max(ids) >= MAX_DIGEST_ID:
                reading.note(DIGEST_ID, f"{path}.valueDigests")
        key_info = _map(_get(mso, "deviceKeyInfo", dict, path), f"{path}.deviceKeyInfo")
        authorizations = key_info.get("keyAuthorizations")
        return cls(
            _get(mso, "version", str, path),
            _get(mso, "digestAlgorithm", str, path),
            digests,
            _get(key_info, "deviceKey", dict, f"{path}.deviceKeyInfo"),
            None
            if authorizations is None and "keyAuthorizations" not in key_info
            else KeyAuthorizations.decode(authorizations, f"{path}.deviceKeyInfo.keyAuthorizations", reading),
            _name(_get(mso, "docType", str, path), f"{path}.docType", reading),
            _get(mso, "validityInfo", dict, path),
            mso.get("status"),
            "status" in mso and mso["status"] is None,
        )

    def encode(self) -> bytes:
        """The MobileSecurityObjectBytes, tag 24: the payload of an IssuerAuth."""
        key_info: dict[str, Any] = {"deviceKey": dict(self.device_key)}
        if self.key_authorizations is not None:
            key_info["keyAuthorizations"] = self.key_authorizations.to_cbor()
        mso: dict[str, Any] = {
            "version": self.version,
            "digestAlgorithm": self.digest_algorithm,
            "valueDigests": {name: dict(ids) for name, ids in self.value_digests.items()},
            "deviceKeyInfo": key_info,
            "docType": self.doctype,
            "validityInfo": dict(self.validity_info),
        }
        if self.status is not None:
            mso["status"] = self.status
        return wrap24(encode(mso))


_INT: Final = {int}
_BYTES: Final = {bytes}


@dataclass(frozen=True, slots=True)
class IssuerSigned:
    """The part of a document that the issuing authority signed.

    Attributes:
        name_spaces: The disclosed items by namespace, as received, each IssuerSignedItemBytes.
        issuer_auth: The signature over the security object.
    """

    name_spaces: Mapping[str, Sequence[Tagged24]]
    issuer_auth: CoseSign1

    @classmethod
    def decode(cls, data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> IssuerSigned:
        """Read an encoded IssuerSigned, as an issuer hands it out.

        Raises:
            DecodeError: The bytes are no IssuerSigned (codes ``cbor.…``, ``cose.…``, ``mdoc.…``).
        """
        return cls.from_value(decode_view(data, limits=limits), "")

    @classmethod
    def from_value(cls, value: Any, path: str, reading: Reading | None = None) -> IssuerSigned:
        """Read a decoded IssuerSigned map; deviations are noted in `reading`."""
        reading = reading or Reading()
        signed = _map(value, path)
        spaces = signed.get("nameSpaces", _MISSING)
        if spaces is _MISSING:
            spaces = {}
        else:
            if not _map(spaces, f"{path}.nameSpaces"):
                reading.note(EMPTY, f"{path}.nameSpaces")
            for namespace, items in spaces.items():
                if not namespace:
                    reading.note(EMPTY_NAME, f"{path}.nameSpaces")
                if type(items) is not list:
                    raise _malformed(f"{path}.nameSpaces", "not an array of items")
                if not items:
                    reading.note(EMPTY, f"{path}.nameSpaces")
                elif {*map(type, items)} != _TAGGED24:
                    raise _malformed(f"{path}.nameSpaces", "an item that is not tag 24")
        auth = _get(signed, "issuerAuth", _COSE, path)
        return cls(spaces, decode_sign1(auth, path=f"{path}.issuerAuth", reading=reading))

    def security_object(self, *, limits: Limits = DEFAULT_LIMITS) -> MobileSecurityObject:
        """The security object inside the signature's payload; nothing is verified."""
        payload = self.issuer_auth.payload
        if payload is None:
            raise _malformed("issuerAuth", "the payload is detached")
        return MobileSecurityObject.decode(payload, limits=limits)

    def elements(self) -> Iterator[tuple[str, str, Any]]:
        """Namespace, identifier and value of each disclosed item; nothing is verified."""
        reading = Reading()
        for namespace, items in self.name_spaces.items():
            for item in decode_sequence([one.content for one in items], reading=reading):
                fields = _map(item, f"nameSpaces.{namespace}")
                yield namespace, _get(fields, "elementIdentifier", str, namespace), fields.get("elementValue")

    def encode(self) -> bytes:
        """The encoded IssuerSigned, every item as it was received or made."""
        return b"".join(self.encoded_parts())

    def encoded_parts(self) -> list[bytes]:
        """The encoded IssuerSigned in pieces, for a caller that builds something larger."""
        parts: list[bytes] = []
        if self.name_spaces:
            parts += (b"\xa2\x6anameSpaces", head(5, len(self.name_spaces)))
            for namespace, items in self.name_spaces.items():
                parts += (encode(namespace), head(4, len(items)))
                parts += [item.raw for item in items]
        else:
            parts.append(b"\xa1")
        parts += (b"\x6aissuerAuth", self.issuer_auth.encode())
        return parts


_TAGGED24: Final = {Tagged24}
# A COSE message is an array, which some peers put under its tag.
_COSE: Final = (list, Tag)


# --- device-signed data and the response ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceSigned:
    """The part of a document that the device key signed or authenticated.

    Attributes:
        name_spaces_bytes: DeviceNameSpacesBytes as received.
        name_spaces: The device-signed elements by namespace; usually empty.
        signature: The deviceSignature, or None.
        mac: The deviceMac, or None. A conforming document has exactly one of the two; where the message has both,
            neither is decoded and both are None.
    """

    name_spaces_bytes: Tagged24
    name_spaces: Mapping[str, Mapping[str, Any]]
    signature: CoseSign1 | None
    mac: CoseMac0 | None

    @classmethod
    def from_value(cls, value: Any, path: str, reading: Reading | None = None) -> DeviceSigned:
        """Read a decoded DeviceSigned map; deviations are noted in `reading`."""
        reading = reading or Reading()
        signed = _map(value, path)
        spaces_bytes: Tagged24 = _get(signed, "nameSpaces", Tagged24, path)
        spaces: Mapping[str, Mapping[str, Any]] = {}
        if spaces_bytes.content != b"\xa0":
            where = f"{path}.nameSpaces"
            spaces = _map(_decode_at(spaces_bytes.content, where, DEFAULT_LIMITS, reading), where)
            for namespace, elements in spaces.items():
                _name(namespace, where, reading)
                if not _map(elements, f"{where}.{namespace}"):
                    reading.note(EMPTY, where)
                if "" in elements:
                    reading.note(EMPTY_NAME, where)
        auth = _map(_get(signed, "deviceAuth", dict, path), f"{path}.deviceAuth")
        signature, mac = auth.get("deviceSignature", _MISSING), auth.get("deviceMac", _MISSING)
        if _MISSING not in (signature, mac):
            return cls(spaces_bytes, spaces, None, None)
        return cls(
            spaces_bytes,
            spaces,
            None
            if signature is _MISSING
            else decode_sign1(signature, path=f"{path}.deviceAuth.deviceSignature", reading=reading),
            None if mac is _MISSING else decode_mac0(mac, path=f"{path}.deviceAuth.deviceMac", reading=reading),
        )

    def encode(self) -> bytes:
        """The encoded DeviceSigned."""
        members = []
        if self.signature is not None:
            members.append(encode("deviceSignature") + self.signature.encode())
        if self.mac is not None:
            members.append(encode("deviceMac") + self.mac.encode())
        auth = head(5, len(members)) + b"".join(members)
        return b"\xa2\x6anameSpaces" + self.name_spaces_bytes.raw + b"\x6adeviceAuth" + auth


def _check_errors(value: Any, path: str, reading: Reading, namespace: str | None = None) -> None:
    """Hold a map to what it should be: error codes by name."""
    codes = _map(value, path if namespace is None else f"{path}.{namespace}")
    if not codes:
        reading.note(EMPTY, path)
    if "" in codes:
        reading.note(EMPTY_NAME, path)
    if not {*map(type, codes.values())} <= _INT:
        raise _malformed(path, "an error code that is not an integer")


@dataclass(frozen=True, slots=True)
class Document:
    """One presented document.

    Attributes:
        doctype: The document type that the document claims; the security object must confirm it.
        issuer_signed: What the issuing authority signed.
        device_signed: What the device key signed, or None where the member is missing (a conforming document has it).
        errors: Error codes of elements not returned, by namespace and identifier.
    """

    doctype: str
    issuer_signed: IssuerSigned
    device_signed: DeviceSigned | None
    errors: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def from_value(cls, value: Any, path: str, reading: Reading | None = None) -> Document:
        """Read a decoded Document map; deviations are noted in `reading`."""
        reading = reading or Reading()
        document = _map(value, path)
        inside = f"{path}." if path else ""
        device_signed = document.get("deviceSigned", _MISSING)
        errors = document.get("errors", _MISSING)
        if errors is not _MISSING:
            if not _map(errors, f"{inside}errors"):
                reading.note(EMPTY, f"{inside}errors")
            for namespace, codes in errors.items():
                _name(namespace, f"{inside}errors", reading)
                _check_errors(codes, f"{inside}errors", reading, namespace)
        return cls(
            _name(_get(document, "docType", str, path), f"{inside}docType", reading),
            IssuerSigned.from_value(_get(document, "issuerSigned", dict, path), f"{inside}issuerSigned", reading),
            None
            if device_signed is _MISSING
            else DeviceSigned.from_value(device_signed, f"{inside}deviceSigned", reading),
            {} if errors is _MISSING else errors,
        )

    def encode(self) -> bytes:
        """The encoded Document."""
        members = [b"\x67docType" + encode(self.doctype), b"\x6cissuerSigned" + self.issuer_signed.encode()]
        if self.device_signed is not None:
            members.append(b"\x6cdeviceSigned" + self.device_signed.encode())
        if self.errors:
            members.append(b"\x66errors" + encode({name: dict(codes) for name, codes in self.errors.items()}))
        return head(5, len(members)) + b"".join(members)


@dataclass(frozen=True, slots=True)
class DeviceResponse:
    """What an mdoc answers.

    Attributes:
        version: The structure's version as received; `Version.parse` reads it.
        documents: The presented documents.
        document_errors: Error code by document type, for documents not returned.
        status: 0 for OK; 10, 11, 12 for the errors of 18013-5 8.3.2.1.2.3.
        unsupported: Members of the second edition's draft that are present and not implemented here, for example
            ``zkDocuments``. Their content is not decoded further and never accepted.
    """

    version: str
    documents: tuple[Document, ...]
    document_errors: tuple[Mapping[str, int], ...]
    status: int
    unsupported: tuple[str, ...] = ()

    @classmethod
    def decode(cls, data: bytes, *, limits: Limits = DEFAULT_LIMITS, reading: Reading | None = None) -> DeviceResponse:
        """Read an encoded DeviceResponse.

        Args:
            data: The response.
            limits: Bounds.
            reading: What a reader reads the whole response with, items and security objects too, or None.

        Raises:
            DecodeError: The bytes are no DeviceResponse (codes ``cbor.…``, ``cose.…``, ``mdoc.…``).
        """
        reading = reading or Reading(limits)
        response = _map(decode_view(data, limits=limits, reading=reading), "")
        documents = _array(response, "documents", reading)
        if len(documents) > MAX_DOCUMENTS:
            msg = f"more than {MAX_DOCUMENTS} documents"
            raise DecodeError(msg, code="mdoc.too_many", path="documents")
        errors = _array(response, "documentErrors", reading)
        for entry in errors:
            _check_errors(entry, "documentErrors", reading)
        status = _get(response, "status", int, "")
        if status < 0:
            raise _malformed("status", "negative")
        return cls(
            _get(response, "version", str, ""),
            tuple(Document.from_value(one, f"documents[{index}]", reading) for index, one in enumerate(documents)),
            tuple(errors),
            status,
            tuple(name for name in ("zkDocuments", "encryptedDocuments") if response.get(name)),
        )

    def encode(self) -> bytes:
        """The encoded DeviceResponse; members that are not implemented are not written."""
        members = [b"\x67version" + encode(self.version)]
        if self.documents:
            members.append(
                b"\x69documents"
                + head(4, len(self.documents))
                + b"".join(document.encode() for document in self.documents)
            )
        if self.document_errors:
            members.append(b"\x6edocumentErrors" + encode([dict(entry) for entry in self.document_errors]))
        members.append(b"\x66status" + encode(self.status))
        return head(5, len(members)) + b"".join(members)


# --- the request ------------------------------------------------------------------------------------------------------


def _requested(value: Any, path: str) -> str:
    """A name in a request, where an empty one asks for nothing."""
    if type(value) is not str or not value:
        raise _malformed(path, "a name that is not text or is empty")
    return value


@dataclass(frozen=True, slots=True)
class ItemsRequest:
    """The elements of a document type that a reader requests.

    Attributes:
        doctype: The document type.
        name_spaces: Intent to retain, by namespace and element identifier.
        request_info: The ``requestInfo`` member as decoded; it is not interpreted here.
    """

    doctype: str
    name_spaces: Mapping[str, Mapping[str, bool]]
    request_info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def alternatives(self) -> dict[tuple[str, str], list[frozenset[tuple[str, str]]]]:
        """The sets of elements (namespace and identifier) that may replace a requested element, preferred sets first.

        They are the ``alternativeDataElements`` of the request info. Malformed entries are left out.

        Spec:
            18013-5 second edition (draft) 10.2; mdoc.md §2.6.
        """
        found: dict[tuple[str, str], list[frozenset[tuple[str, str]]]] = {}
        for entry in _entries(self.request_info.get("alternativeDataElements")):
            if type(entry) is dict and (element := _place(entry.get("requestedElement"))) is not None:
                for one in _entries(entry.get("alternativeElementSets")):
                    places = [_place(place) for place in _entries(one)]
                    if places and None not in places:
                        found.setdefault(element, []).append(frozenset(filter(None, places)))
        return found

    @property
    def issuer_identifiers(self) -> frozenset[bytes] | None:
        """The key identifiers of the roots that may have issued the document; None for any root.

        They are the ``issuerIdentifiers`` of the request info. Entries that are not byte strings are left out; if no
        entry is left, no root is permitted.

        Spec:
            18013-5 second edition (draft) 10.2; mdoc.md §2.6.
        """
        if "issuerIdentifiers" not in self.request_info:
            return None
        return frozenset(one for one in _entries(self.request_info["issuerIdentifiers"]) if type(one) is bytes)

    @property
    def wants_one_document(self) -> bool:
        """Whether at most one document may answer: ``uniqueDocSetRequired`` is present and not false."""
        return self.request_info.get("uniqueDocSetRequired", False) is not False

    @classmethod
    def decode(
        cls,
        data: bytes,
        *,
        path: str = "itemsRequest",
        limits: Limits = DEFAULT_LIMITS,
        reading: Reading | None = None,
    ) -> ItemsRequest:
        """Read an encoded ItemsRequest; `reading` is that of the request that holds it.

        Raises:
            DecodeError: The bytes are no ItemsRequest (codes ``cbor.…``, ``mdoc.…``).
        """
        reading = reading or Reading(limits)
        request = _map(_decode_at(data, path, limits, reading), path)
        spaces = _map(_get(request, "nameSpaces", dict, path), f"{path}.nameSpaces")
        if not spaces:
            raise _malformed(f"{path}.nameSpaces", "empty")
        for namespace, elements in spaces.items():
            _requested(namespace, f"{path}.nameSpaces")
            if not _map(elements, f"{path}.nameSpaces.{namespace}"):
                raise _malformed(f"{path}.nameSpaces.{namespace}", "empty")
            for identifier, retain in elements.items():
                _requested(identifier, f"{path}.nameSpaces.{namespace}")
                if type(retain) is not bool:
                    raise _malformed(f"{path}.nameSpaces.{namespace}", "an intent to retain that is not a boolean")
        info = request.get("requestInfo", _MISSING)
        return cls(
            _requested(_get(request, "docType", str, path), f"{path}.docType"),
            spaces,
            {} if info is _MISSING else _map(info, f"{path}.requestInfo"),
        )

    def encode(self) -> bytes:
        """The encoded ItemsRequest, without tag 24."""
        request: dict[str, Any] = {
            "docType": self.doctype,
            "nameSpaces": {name: dict(elements) for name, elements in self.name_spaces.items()},
        }
        if self.request_info:
            request["requestInfo"] = dict(self.request_info)
        return encode(request)


@dataclass(frozen=True, slots=True)
class DocRequest:
    """One requested document.

    Attributes:
        items_request: The requested elements.
        items_request_bytes: ItemsRequestBytes, tag 24, as received or as it will be sent.
        reader_auth: The reader's signature, or None.
    """

    items_request: ItemsRequest
    items_request_bytes: Tagged24
    reader_auth: CoseSign1 | None = None

    @classmethod
    def of(cls, items_request: ItemsRequest) -> DocRequest:
        """A request without reader authentication."""
        content = items_request.encode()
        return cls(items_request, Tagged24(content, wrap24(content)))

    @classmethod
    def from_value(cls, value: Any, path: str, limits: Limits, reading: Reading | None = None) -> DocRequest:
        """Read a decoded DocRequest map; `reading` is that of the request that holds it."""
        reading = reading or Reading(limits)
        request = _map(value, path)
        items: Tagged24 = _get(request, "itemsRequest", Tagged24, path)
        reader_auth = request.get("readerAuth", _MISSING)
        return cls(
            ItemsRequest.decode(items.content, path=f"{path}.itemsRequest", limits=limits, reading=reading),
            items,
            None if reader_auth is _MISSING else decode_sign1(reader_auth, path=f"{path}.readerAuth", reading=reading),
        )


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A reader's request.

    Attributes:
        doc_requests: The requested documents, at least one.
        version: The structure's version as received; `Version.parse` reads it.
        device_request_info: DeviceRequestInfoBytes of the second edition's draft as received, or None.
        reader_auth_all: Reader signatures over the whole request (second edition's draft).
    """

    doc_requests: tuple[DocRequest, ...]
    version: str = "1.0"
    device_request_info: Tagged24 | None = None
    reader_auth_all: tuple[CoseSign1, ...] = ()

    @classmethod
    def decode(cls, data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> DeviceRequest:
        """Read an encoded DeviceRequest.

        Raises:
            DecodeError: The bytes are no DeviceRequest (codes ``cbor.…``, ``cose.…``, ``mdoc.…``).
        """
        reading = Reading(limits)
        request = _map(decode_view(data, limits=limits, reading=reading), "")
        doc_requests = _array(request, "docRequests", reading)
        if not doc_requests:
            raise _malformed("docRequests", "missing")
        info = request.get("deviceRequestInfo")
        return cls(
            tuple(
                DocRequest.from_value(one, f"docRequests[{index}]", limits, reading)
                for index, one in enumerate(doc_requests)
            ),
            _get(request, "version", str, ""),
            info if type(info) is Tagged24 else None,
            tuple(
                decode_sign1(one, path=f"readerAuthAll[{index}]", reading=reading)
                for index, one in enumerate(_array(request, "readerAuthAll", reading))
            ),
        )

    def encode(self) -> bytes:
        """The encoded DeviceRequest."""
        members = [b"\x67version" + encode(self.version)]
        requests = b""
        for one in self.doc_requests:
            requests += (
                head(5, 1 if one.reader_auth is None else 2) + encode("itemsRequest") + one.items_request_bytes.raw
            )
            if one.reader_auth is not None:
                requests += encode("readerAuth") + one.reader_auth.encode()
        members.append(encode("docRequests") + head(4, len(self.doc_requests)) + requests)
        if self.device_request_info is not None:
            members.append(encode("deviceRequestInfo") + self.device_request_info.raw)
        if self.reader_auth_all:
            members.append(
                encode("readerAuthAll")
                + head(4, len(self.reader_auth_all))
                + b"".join(one.encode() for one in self.reader_auth_all)
            )
        return head(5, len(members)) + b"".join(members)


# --- what is authenticated ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SessionTranscript:
    """The encoded SessionTranscript array, which binds an answer to one session.

    Attributes:
        encoded: The array's bytes, made of the messages as transmitted; not the tag-24 form.
    """

    encoded: bytes

    def __post_init__(self) -> None:
        """Reject bytes that cannot be a session transcript.

        Raises:
            TypeError: The argument is not bytes.
            DecodeError: The bytes are no CBOR array of three (codes ``cbor.…``, ``mdoc.structure``).
        """
        value = decode_view(self.encoded)
        if type(value) is not list or len(value) != 3:
            raise _malformed("SessionTranscript", "not an array of three")

    @property
    def is_of_the_reader(self) -> bool:
        """Whether the reader chose a part of the transcript: its key, or an online handover.

        Otherwise an answer could be replayed to every reader.
        """
        engagement, reader_key, handover = decode_view(self.encoded)
        return _names_a_session(reader_key) or (engagement is None and _names_a_session(handover))

    @property
    def reader_key_bytes(self) -> bytes | None:
        """The content of EReaderKeyBytes, an encoded COSE_Key; None if the session has none, as online."""
        member = decode_view(self.encoded)[1]
        return member.content if type(member) is Tagged24 else None

    @property
    def tagged(self) -> bytes:
        """SessionTranscriptBytes, tag 24."""
        return wrap24(self.encoded)

    @property
    def salt(self) -> bytes:
        """SHA-256 of SessionTranscriptBytes: the salt of every key that the session derives."""
        return hashlib.sha256(self.tagged).digest()


# What stands in a handover to tell its kind, and is the same in every session; a test holds it to `mdl.session`.
_LABELS: Final = frozenset(("OpenID4VPHandover", "OpenID4VPDCAPIHandover", "OpenID4VCIIAEHandover", "dcapi"))


def _names_a_session(handover: Any) -> bool:
    """Whether a part of a transcript holds a value that the reader may have chosen."""
    if type(handover) in (list, tuple):
        return any(map(_names_a_session, handover))
    if isinstance(handover, Mapping):
        return any(map(_names_a_session, handover.values()))
    if type(handover) is Tag:
        return _names_a_session(handover.value)
    value = handover.content if type(handover) is Tagged24 else handover
    return type(value) in (str, bytes) and bool(value) and value not in _LABELS


def device_authentication_bytes(transcript: SessionTranscript, doctype: str, name_spaces_bytes: bytes) -> bytes:
    """DeviceAuthenticationBytes, tag 24: the detached payload of a deviceSignature or deviceMac.

    Args:
        transcript: The session.
        doctype: The document's type.
        name_spaces_bytes: DeviceNameSpacesBytes, tag 24, as received or as they will be sent.

    Spec:
        18013-5 first edition 9.1.3.4.
    """
    name = doctype.encode()
    return wrap24(
        b"".join((b"\x84\x74DeviceAuthentication", transcript.encoded, head(3, len(name)), name, name_spaces_bytes))
    )


def device_mac_key(own_key: KeyAgreement, peer: PublicKey, transcript: SessionTranscript) -> bytes:
    """EMacKey, 32 bytes: agreed between the device key and the reader's ephemeral key.

    Args:
        own_key: The own private key: the device key, or the reader's ephemeral key.
        peer: The other side's public key.
        transcript: The session.

    Raises:
        UnsupportedError: The keys are not on one curve (code ``key.curves_differ``).
        DecodeError: The peer's key leads to no shared secret (code ``key.malformed``).

    Spec:
        18013-5 first edition 9.1.3.5.
    """
    secret = own_key.agree(peer)
    if not any(secret):  # a key custodian's answer to a point of small order, which `mdl.keys` refuses by itself
        msg = "the peer's key leads to no shared secret"
        raise DecodeError(msg, code="key.malformed", clause="RFC 7748 §6")
    return hkdf_sha256(secret, salt=transcript.salt, info=b"EMacKey", length=32)


def reader_authentication_bytes(transcript: SessionTranscript, items_request_bytes: bytes) -> bytes:
    """ReaderAuthenticationBytes, tag 24: the detached payload of a readerAuth.

    Args:
        transcript: The session.
        items_request_bytes: ItemsRequestBytes, tag 24, as received or as they will be sent.

    Spec:
        18013-5 first edition 9.1.4.5.
    """
    return wrap24(b"\x83\x74ReaderAuthentication" + transcript.encoded + items_request_bytes)

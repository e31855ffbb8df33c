"""The parts of an mdoc, for people: which structure a CBOR value is, and what each of its members means.

The tree is made from what was received, member by member, so unknown and malformed parts are shown as well. Beside it
the decoders of `mdl.mdoc` and `mdl.cose` say what is wrong with the structure as a whole. Nothing is verified.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from mdl.cbor import Tag, Tagged24, TDate, decode_view, diagnose, wrap24
from mdl.cli.certificates import certificate_nodes, describe_key
from mdl.cli.tree import Node
from mdl.cose import HMAC_256_256, decode_key, decode_mac0, decode_sign1
from mdl.errors import DecodeError, MdlError
from mdl.keys import ALGORITHMS
from mdl.mdoc import (
    DeviceRequest,
    DeviceResponse,
    DeviceSigned,
    Document,
    IssuerSigned,
    ItemsRequest,
    MobileSecurityObject,
    SessionTranscript,
)
from mdl.pki import DOCUMENT_SIGNER, IACA, READER_AUTHENTICATION, VICAL_SIGNER, Certificate, Profile
from mdl.status import StatusReference
from mdl.vical import CertificateInfo, Vical

__all__ = ["KINDS", "Anatomy", "Kind", "faults", "recognise", "transcript_salt"]

Handler: TypeAlias = "Callable[[str, Any], Node]"

_SHORT: Final = 32
_MOST_ENTRIES: Final = 256
_DEEPEST: Final = 48
_INLINE: Final = 64

_STATUS: Final = {0: "OK", 10: "general error", 11: "CBOR decoding error", 12: "CBOR validation error"}
_SESSION_STATUS: Final = {10: "session encryption error", 11: "CBOR decoding error", 20: "session termination"}
_KEY_LABELS: Final = {1: "kty", 2: "kid", 3: "alg", -1: "crv", -2: "x", -3: "y", -4: "d"}
_HEADER_LABELS: Final = {1: "alg", 2: "crit", 4: "kid", 16: "typ", 33: "x5chain", 34: "x5t", 35: "x5u"}
_CLAIMS: Final = {
    1: "iss",
    2: "sub",
    4: "exp",
    5: "nbf",
    6: "iat",
    65530: "identifier list",
    65533: "status list",
    65534: "ttl",
}
_ENGAGEMENT: Final = {
    0: "version",
    1: "security",
    2: "device retrieval methods",
    3: "server retrieval methods",
    4: "protocol info",
    5: "origin infos",
    6: "capabilities",
}
_METHODS: Final = {1: "NFC", 2: "BLE", 3: "Wi-Fi Aware", 4: "HTTP"}
_OPTIONS: Final[Mapping[int, Mapping[int, str]]] = {
    1: {0: "longest command data", 1: "longest response data"},
    2: {
        0: "peripheral server mode",
        1: "central client mode",
        10: "UUID, peripheral server mode",
        11: "UUID, central client mode",
        20: "device address",
        21: "L2CAP PSM",
    },
    3: {0: "passphrase", 1: "operating class", 2: "channel", 3: "band info"},
    4: {0: "URI"},
}
_CAPABILITIES: Final = {2: "handover session establishment", 3: "readerAuthAll", 4: "extended requests"}
# The private half of a COSE_Key, or the key of a symmetric one: never shown.
_SECRET_LABELS: Final = frozenset((-4,))


@dataclass(frozen=True, slots=True)
class Kind:
    """A structure that is recognised.

    Attributes:
        id: A stable name for programs.
        title: The standard's name.
        clause: Where it stands.
        handler: The method of `Anatomy` that explains it.
    """

    id: str
    title: str
    clause: str
    handler: Callable[[Anatomy, str, Any], Node]


# Members that tell a map with text keys, the most telling first.
_MAPS: Final[tuple[tuple[frozenset[str], str], ...]] = tuple(
    (frozenset(members), title)
    for members, title in (
        (("docRequests",), "DeviceRequest"),
        (("valueDigests",), "MobileSecurityObject"),  # before the response: it may have a status too
        (("version", "status"), "DeviceResponse"),
        (("version", "documents"), "DeviceResponse"),
        (("docType", "issuerSigned"), "Document"),
        (("docType", "nameSpaces"), "ItemsRequest"),
        (("issuerAuth",), "IssuerSigned"),
        (("deviceAuth",), "DeviceSigned"),
        (("deviceSignature",), "DeviceAuth"),
        (("deviceMac",), "DeviceAuth"),
        (("digestID", "elementIdentifier"), "IssuerSignedItem"),
        (("eReaderKey",), "SessionEstablishment"),
        (("vicalProvider",), "VicalPayload"),
        (("certificateInfos",), "VicalPayload"),
    )
)


def recognise(value: Any) -> Kind:
    """Which structure a decoded CBOR value is: by the members that only that one has; else plain CBOR."""
    return KINDS[_recognise(value) or "CBOR"]


def _recognise_map(members: Mapping[Any, Any]) -> str | None:
    for needed, title in _MAPS:
        if needed <= members.keys():
            return title
    if members and members.keys() <= {"data", "status"}:
        return "SessionData"
    if type(members.get(1)) is int and -1 in members:
        return "COSE_Key"
    if type(members.get(0)) is str and isinstance(members.get(1), list):
        return "DeviceEngagement"
    return None


def _recognise(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return _recognise_map(value)
    if type(value) is Tag and value.number in (17, 18):
        inner = _recognise_message(value.value)
        return inner if inner is None or value.number == 18 else "COSE_Mac0"
    if isinstance(value, list):
        return _recognise_message(value) or _recognise_array(value)
    return None


def _recognise_array(value: list[Any]) -> str | None:
    first = value[0] if value else None
    if first in ("DeviceAuthentication", "ReaderAuthentication"):
        return str(first)
    if first in ("Signature1", "MAC0") and len(value) == 4:
        return "Sig_structure" if first == "Signature1" else "MAC_structure"
    if first == "dcapi" and len(value) == 2 and isinstance(value[1], Mapping):
        if {"enc", "cipherText"} <= value[1].keys():
            return "EncryptedResponse"
        if {"nonce", "recipientPublicKey"} <= value[1].keys():
            return "EncryptionInfo"
    if len(value) == 3 and all(one is None or type(one) is Tagged24 for one in value[:2]):
        return "SessionTranscript"
    return None


def _recognise_message(value: Any) -> str | None:
    if not isinstance(value, list | tuple) or len(value) != 4:
        return None
    protected, unprotected, payload, proof = value
    if type(protected) is not bytes or not isinstance(unprotected, Mapping) or type(proof) is not bytes:
        return None
    header = _decoded(protected)
    if isinstance(header, Mapping) and header.get(1) == HMAC_256_256:
        return "COSE_Mac0"
    inner = _decoded(payload)
    if type(inner) is Tagged24:
        inner = _decoded(inner.content)
    if isinstance(inner, Mapping):
        found = {"MobileSecurityObject": "IssuerAuth", "VicalPayload": "VICAL"}.get(_recognise_map(inner) or "")
        if found is not None:
            return found
    if payload is None and 33 in unprotected:
        return "ReaderAuth"
    return "COSE_Sign1"


_UNDECODABLE: Final = object()


def _decoded(data: Any) -> Any:
    """The value inside a byte string, or a stand-in where there is none."""
    if type(data) is not bytes:
        return _UNDECODABLE
    try:
        return decode_view(data)
    except DecodeError:
        return _UNDECODABLE


def _room_left(value: Any, room: int) -> int:
    """How much of `room` characters the shortest form of a value leaves, negative where it is too long for certain.

    No more of the value is looked at than that needs, so that deep values are not written once for each level.
    """
    if type(value) is Tagged24:
        return room - 6
    if isinstance(value, str | bytes):
        return room - min(len(value), room + 1) if isinstance(value, str) else room - 3
    if isinstance(value, Mapping):
        entries: Iterator[Any] = itertools.chain.from_iterable(value.items())
    elif isinstance(value, list | tuple):
        entries = iter(value)
    elif type(value) is Tag:
        entries = iter((value.value,))
    else:
        return room - 1
    for entry in entries:
        room = _room_left(entry, room - 2)
        if room < 0:
            break
    return room


class Anatomy:
    """Explains one file."""

    def __init__(self, *, full: bool) -> None:
        self._longest = None if full else _SHORT
        self._most = None if full else _MOST_ENTRIES
        self._level = 0

    # --- plain values ---

    def diagnose(self, value: Any) -> str:
        """A value in diagnostic notation, byte strings cut unless all is shown."""
        return diagnose(value, longest=self._longest)

    def _enter(self, handler: Handler, name: str, value: Any) -> Node:
        """Run a handler one level deeper, and not too deep."""
        if self._level >= _DEEPEST:
            return Node(name, self.diagnose(value))
        self._level += 1
        try:
            return handler(name, value)
        finally:
            self._level -= 1

    def anything(self, name: str, value: Any) -> Node:
        """Any value: on one line if it is short, else as a tree."""
        if type(value) is Tagged24:  # before the lists: it is a tuple too
            return self._embedded(name, value, self.anything)
        if isinstance(value, Mapping | list | tuple) and value:
            if _room_left(value, _INLINE) >= 0:
                inline = self.diagnose(value)
                if len(inline) <= _INLINE:
                    return Node(name, inline)
            if isinstance(value, Mapping):
                return self._map(name, value, {})
            return self._list(name, value, self.anything)
        return self._leaf(name, value)

    def _leaf(self, name: str, value: Any, note: str = "") -> Node:
        """A value on one line; the length of a byte string that is cut goes into the note."""
        if type(value) is bytes:
            if self._longest is None or len(value) <= 2 * self._longest:
                return Node(name, diagnose(value), note)
            size = f"{len(value)} bytes"
            return Node(name, f"h'{value[: self._longest].hex()}…'", f"{size}, {note}" if note else size)
        return Node(name, self.diagnose(value), note)

    def _embedded(self, name: str, value: Any, handler: Handler) -> Node:
        """A tag-24 item: what its byte string holds."""
        if type(value) is not Tagged24:
            return self._enter(handler, name, value)
        inner = _decoded(value.content)
        if inner is _UNDECODABLE:
            return Node(name, self.diagnose(value), "tag 24, but no CBOR inside")
        node = self._enter(handler, name, inner)
        note = f"tag 24, {len(value.raw)} bytes"
        return Node(node.name, node.value, f"{node.note}; {note}" if node.note else note, node.children)

    def _map(
        self,
        name: str,
        value: Any,
        handlers: Mapping[Any, Handler],
        *,
        labels: Mapping[Any, str] | None = None,
        note: str = "",
    ) -> Node:
        """A map, each member by its own handler; the others as they come."""
        if not isinstance(value, Mapping):
            return self.anything(name, value)
        children = []
        for key, entry in itertools.islice(value.items(), self._most):
            label = key if type(key) is str else diagnose(key)
            if labels and type(key) is int and key in labels:
                label = f"{key} {labels[key]}"
            children.append(self._enter(handlers.get(key, self.anything), label, entry))
        self._tell_omitted(children, len(value))
        return Node(name, "" if value else "{}", note, tuple(children))

    def _list(self, name: str, value: Any, handler: Handler, *, note: str = "") -> Node:
        if not isinstance(value, list | tuple) or type(value) is Tagged24:
            return self.anything(name, value)
        children = [
            self._enter(handler, f"[{index}]", entry) for index, entry in enumerate(itertools.islice(value, self._most))
        ]
        self._tell_omitted(children, len(value))
        return Node(name, "" if value else "[]", note, tuple(children))

    def _tell_omitted(self, children: list[Node], count: int) -> None:
        if self._most is not None and count > self._most:
            children.append(Node("…", f"and {count - self._most} more, which --full shows"))

    def _coded(self, meanings: Mapping[int, str]) -> Handler:
        """A handler for an integer with a meaning."""

        def handle(name: str, value: Any) -> Node:
            known = meanings.get(value, "") if type(value) is int else ""
            return Node(name, self.diagnose(value), known)

        return handle

    # --- response ---

    def device_response(self, name: str, value: Any) -> Node:
        """DeviceResponse."""
        return self._map(
            name,
            value,
            {
                "documents": lambda name, value: self._list(name, value, self.document),
                "documentErrors": lambda name, value: self._list(name, value, self._error_codes),
                "status": self._coded(_STATUS),
            },
        )

    def document(self, name: str, value: Any) -> Node:
        """Document."""
        node = self._map(
            name,
            value,
            {
                "issuerSigned": self.issuer_signed,
                "deviceSigned": self.device_signed,
                "errors": lambda name, value: self._by_namespace(name, value, self._error_codes),
            },
        )
        return Node(node.name, node.value, "Document", node.children)

    def _error_codes(self, name: str, value: Any) -> Node:
        node = self._map(name, value, dict.fromkeys(value, self._error_code) if isinstance(value, Mapping) else {})
        return Node(name, node.value, node.note, node.children)

    def _error_code(self, name: str, value: Any) -> Node:
        meaning = "data not returned" if value == 0 else "application's own" if type(value) is int and value < 0 else ""
        return Node(name, self.diagnose(value), meaning)

    def _by_namespace(self, name: str, value: Any, handler: Handler) -> Node:
        return self._map(name, value, dict.fromkeys(value, handler) if isinstance(value, Mapping) else {})

    def issuer_signed(self, name: str, value: Any) -> Node:
        """IssuerSigned."""
        return self._map(
            name,
            value,
            {
                "nameSpaces": lambda name, value: self._by_namespace(name, value, self._items),
                "issuerAuth": self.issuer_auth,
            },
        )

    def _items(self, name: str, value: Any) -> Node:
        if not isinstance(value, list):
            return self.anything(name, value)
        node = self._list(name, value, self._item)
        return Node(name, "", f"{len(value)} element{'s' * (len(value) != 1)}", node.children)

    def _item(self, name: str, value: Any) -> Node:
        """IssuerSignedItemBytes as one line: the element, with the rest as a note."""
        fields = _decoded(value.content) if type(value) is Tagged24 else None
        if not isinstance(fields, Mapping) or type(fields.get("elementIdentifier")) is not str:
            return self._embedded(name, value, self.anything)
        random = fields.get("random")
        size = f"{len(random)}-byte" if type(random) is bytes else "no"
        note = f"digest id {diagnose(fields.get('digestID'))}, {size} random"
        if "elementValue" not in fields:
            return Node(fields["elementIdentifier"], "", f"no elementValue; {note}")
        return self._leaf(fields["elementIdentifier"], fields["elementValue"], note)

    def issuer_signed_item(self, name: str, value: Any) -> Node:
        """IssuerSignedItem."""
        return self._map(name, value, {})

    # --- the security object ---

    def issuer_auth(self, name: str, value: Any) -> Node:
        """IssuerAuth: a COSE_Sign1 over a security object."""
        return self._message(name, value, DOCUMENT_SIGNER, self._security_object_bytes)

    def _security_object_bytes(self, name: str, value: Any) -> Node:
        return self._embedded(name, value, self.security_object)

    def security_object(self, name: str, value: Any) -> Node:
        """MobileSecurityObject."""
        node = self._map(
            name,
            value,
            {
                "valueDigests": lambda name, value: self._by_namespace(name, value, self._digests),
                "deviceKeyInfo": self._device_key_info,
                "validityInfo": self._validity,
            },
        )
        return Node(node.name, node.value, "MobileSecurityObject", node.children)

    def _digests(self, name: str, value: Any) -> Node:
        if self._longest is None or not isinstance(value, Mapping) or not value:
            return self.anything(name, value)
        sizes = sorted({len(digest) for digest in value.values() if type(digest) is bytes})
        ids = sorted(key for key in value if type(key) is int)
        span = f", ids {ids[0]} to {ids[-1]}" if ids else ""
        return Node(name, f"{len(value)} digests of {' or '.join(map(str, sizes))} bytes{span}")

    def _device_key_info(self, name: str, value: Any) -> Node:
        return self._map(name, value, {"deviceKey": self.cose_key})

    def _validity(self, name: str, value: Any) -> Node:
        note = ""
        if isinstance(value, Mapping):
            start, end = value.get("validFrom"), value.get("validUntil")
            if type(start) is TDate and type(end) is TDate:
                try:
                    note = f"valid for {(end.datetime - start.datetime).total_seconds() / 86400:.4g} days"
                except DecodeError:
                    note = "with a date that is none"
        return self._map(name, value, {}, note=note)

    # --- device-signed ---

    def device_signed(self, name: str, value: Any) -> Node:
        """DeviceSigned."""
        return self._map(
            name,
            value,
            {
                "nameSpaces": lambda name, value: self._embedded(name, value, self._device_name_spaces),
                "deviceAuth": self.device_auth,
            },
        )

    def _device_name_spaces(self, name: str, value: Any) -> Node:
        if value == {}:
            return Node(name, "{}", "no device-signed elements")
        return self._by_namespace(name, value, self.anything)

    def device_auth(self, name: str, value: Any) -> Node:
        """DeviceAuth: a signature or a MAC."""
        return self._map(name, value, {"deviceSignature": self.cose_message, "deviceMac": self.cose_message})

    # --- request ---

    def device_request(self, name: str, value: Any) -> Node:
        """DeviceRequest."""
        return self._map(
            name,
            value,
            {
                "docRequests": lambda name, value: self._list(name, value, self._doc_request),
                "deviceRequestInfo": lambda name, value: self._embedded(name, value, self.anything),
                "readerAuthAll": lambda name, value: self._list(name, value, self.reader_auth),
            },
        )

    def _doc_request(self, name: str, value: Any) -> Node:
        return self._map(
            name,
            value,
            {
                "itemsRequest": lambda name, value: self._embedded(name, value, self.items_request),
                "readerAuth": self.reader_auth,
            },
            note="DocRequest",
        )

    def items_request(self, name: str, value: Any) -> Node:
        """ItemsRequest."""
        return self._map(
            name,
            value,
            {"nameSpaces": lambda name, value: self._by_namespace(name, value, self._requested)},
        )

    def _requested(self, name: str, value: Any) -> Node:
        return self._by_namespace(name, value, self._intent)

    def _intent(self, name: str, value: Any) -> Node:
        note = "intent to retain" if value is True else "not retained" if value is False else ""
        return Node(name, self.diagnose(value), note)

    def reader_auth(self, name: str, value: Any) -> Node:
        """ReaderAuth: a COSE_Sign1 with a detached payload."""
        return self._message(name, value, READER_AUTHENTICATION, self.anything)

    # --- COSE ---

    def cose_message(self, name: str, value: Any) -> Node:
        """COSE_Sign1 or COSE_Mac0 of any use."""
        return self._message(name, value, None, self._payload)

    def _payload(self, name: str, value: Any) -> Node:
        if isinstance(value, Mapping) and {2, 6} <= value.keys():
            return self._map(name, value, {}, labels=_CLAIMS, note="CWT claims")
        return self._embedded(name, value, self.anything)

    def vical_message(self, name: str, value: Any) -> Node:
        """A signed VICAL."""
        return self._message(name, value, VICAL_SIGNER, self.vical)

    def _message(self, name: str, value: Any, signer: Profile | None, payload_handler: Handler) -> Node:
        tagged = type(value) is Tag
        parts = value.value if type(value) is Tag else value
        if _recognise_message(parts) is None:
            return self.anything(name, value)
        protected, unprotected, payload, proof = parts
        header = _decoded(protected)
        is_mac = isinstance(header, Mapping) and header.get(1) == HMAC_256_256
        title = "COSE_Mac0" if is_mac else "COSE_Sign1"
        inner = _decoded(payload)
        if payload is None:
            shown = Node("payload", "null", "detached")
        elif inner is _UNDECODABLE:
            shown = self._leaf("payload", payload)
        else:
            shown = self._enter(payload_handler, "payload", inner)
            if type(inner) is not Tagged24:
                note = f"{shown.note}, {len(payload)} bytes".removeprefix(", ")
                shown = Node("payload", shown.value, note, shown.children)
        children = (
            self._headers("protected", {} if protected == b"" else header, signer)
            if header is not _UNDECODABLE or protected == b""
            else Node("protected", self.diagnose(protected), "no CBOR inside"),
            self._headers("unprotected", unprotected, signer),
            shown,
            self.anything("tag" if is_mac else "signature", proof),
        )
        return Node(name, "", f"{title}, tag {value.number}" if tagged else title, children)

    def _headers(self, name: str, value: Any, signer: Profile | None) -> Node:
        return self._map(
            name,
            value,
            {1: self._algorithm, 33: lambda name, value: self._chain(name, value, signer)},
            labels=_HEADER_LABELS,
        )

    def _algorithm(self, name: str, value: Any) -> Node:
        known = ALGORITHMS.get(value) if type(value) is int else None
        if known is not None:
            return Node(name, self.diagnose(value), known.name)
        other = "HMAC 256/256" if value == HMAC_256_256 else "not one of the standard's"
        return Node(name, self.diagnose(value), other)

    def _chain(self, name: str, value: Any, leaf: Profile | None) -> Node:
        if type(value) is bytes:
            return self.certificate(name, value, leaf)
        if isinstance(value, list | tuple) and type(value) is not Tagged24:
            children = [
                self.certificate(f"[{index}]", one, leaf if index == 0 else None)
                for index, one in enumerate(itertools.islice(value, self._most))
            ]
            return Node(name, "" if value else "[]", f"{len(value)} certificates, the leaf first", tuple(children))
        return self.anything(name, value)

    def certificate(self, name: str, value: Any, profile: Profile | None) -> Node:
        """A certificate inside a message."""
        if type(value) is not bytes:
            return self.anything(name, value)
        try:
            certificate = Certificate.decode(value)
        except MdlError as exc:
            return Node(name, self.diagnose(value), f"no certificate: {exc}")
        return Node(
            name,
            str(certificate.subject),
            f"certificate, {len(value)} bytes",
            certificate_nodes(certificate, profile, full=self._longest is None),
        )

    def cose_key(self, name: str, value: Any) -> Node:
        """COSE_Key; its private half is not shown."""
        if not isinstance(value, Mapping):
            return self._embedded(name, value, self.cose_key) if type(value) is Tagged24 else self.anything(name, value)
        try:
            note = f"COSE_Key, {describe_key(decode_key(value))}"
        except MdlError as exc:
            note = f"COSE_Key, not usable: {exc}"
        secret: Handler = lambda name, _value: Node(name, "not shown", "PRIVATE KEY")  # noqa: E731
        show: Handler = lambda name, value: Node(name, diagnose(value, longest=None))  # noqa: E731
        handlers: dict[Any, Handler] = {-2: show, -3: show}
        handlers |= dict.fromkeys(_SECRET_LABELS, secret)
        if value.get(1) == 4:  # symmetric: the key itself stands under -1
            handlers[-1] = secret
        return self._map(name, value, handlers, labels=_KEY_LABELS, note=note)

    # --- VICAL ---

    def vical(self, name: str, value: Any) -> Node:
        """What a VICAL says, under its signature."""
        return self._map(
            name,
            value,
            {"certificateInfos": lambda name, value: self._list(name, value, self._vical_entry)},
            note="VICAL",
        )

    def _vical_entry(self, name: str, value: Any) -> Node:
        der = value.get("certificate") if isinstance(value, Mapping) else None
        if type(der) is not bytes:
            return self.anything(name, value)
        show: Handler = lambda name, value: self.certificate(name, value, IACA)  # noqa: E731
        title = value.get("issuingAuthority")
        return self._map(
            name,
            value,
            {"certificate": show},
            note="; ".join([*([title] if type(title) is str and title else ()), *_entry_notes(value)]),
        )

    # --- engagement and session ---

    def engagement(self, name: str, value: Any) -> Node:
        """DeviceEngagement."""
        node = self._map(
            name,
            value,
            {
                1: self._security,
                2: lambda name, value: self._list(name, value, self._method),
                6: lambda name, value: self._map(name, value, {}, labels=_CAPABILITIES),
            },
            labels=_ENGAGEMENT,
        )
        return Node(node.name, node.value, "DeviceEngagement" if node.children else "", node.children)

    def _security(self, name: str, value: Any) -> Node:
        if not isinstance(value, list) or len(value) != 2:
            return self.anything(name, value)
        suite = self._coded({1: "P-256, HKDF with SHA-256, AES-256-GCM and the other curves"})("cipher suite", value[0])
        return Node(name, "", "", (suite, self._enter(self.cose_key, "EDeviceKeyBytes", value[1])))

    def _method(self, name: str, value: Any) -> Node:
        if not isinstance(value, list) or len(value) != 3 or type(value[0]) is not int:
            return self.anything(name, value)
        kind, version, options = value
        labels = _OPTIONS.get(kind, {})
        node = self._map(name, options, {}, labels=labels)
        return Node(name, "", f"{_METHODS.get(kind, f'type {kind}')}, version {self.diagnose(version)}", node.children)

    def transcript(self, name: str, value: Any) -> Node:
        """SessionTranscript."""
        if not isinstance(value, list) or len(value) != 3:
            return self.anything(name, value)
        return Node(
            name,
            "",
            "SessionTranscript",
            (
                self._embedded("DeviceEngagementBytes", value[0], self.engagement),
                self._embedded("EReaderKeyBytes", value[1], self._reader_key),
                self._enter(self._handover, "Handover", value[2]),
            ),
        )

    def _reader_key(self, name: str, value: Any) -> Node:
        return (self.cose_key if _recognise(value) == "COSE_Key" else self.anything)(name, value)

    def _handover(self, name: str, value: Any) -> Node:
        if value is None:
            return Node(name, "null", "QR engagement")
        if isinstance(value, list) and value and type(value[0]) is str:
            node = self._list(name, value, self.anything)
            return Node(name, "", value[0], node.children)
        if isinstance(value, list) and len(value) == 2 and type(value[0]) is bytes:
            way = "static" if value[1] is None else "negotiated"
            return Node(
                name,
                "",
                f"NFC, {way}",
                (self.anything("Handover Select", value[0]), self.anything("Handover Request", value[1])),
            )
        return self.anything(name, value)

    def authentication(self, name: str, value: Any) -> Node:
        """DeviceAuthentication or ReaderAuthentication."""
        if len(value) < 3:
            return self.anything(name, value)
        names = ["context", "SessionTranscript"]
        handlers: list[Handler] = [self.anything, self.transcript]
        if value[0] == "DeviceAuthentication":
            names += ["docType", "DeviceNameSpacesBytes"]
            handlers += [
                self.anything,
                lambda name, value: self._embedded(name, value, self._device_name_spaces),
            ]
        else:
            names += ["ItemsRequestBytes"]
            handlers += [lambda name, value: self._embedded(name, value, self.items_request)]
        children = [
            self._enter(
                handlers[index] if index < len(handlers) else self.anything,
                names[index] if index < len(names) else f"[{index}]",
                entry,
            )
            for index, entry in enumerate(itertools.islice(value, self._most))
        ]
        return Node(name, "", value[0], tuple(children))

    def to_be_signed(self, name: str, value: Any) -> Node:
        """Sig_structure or MAC_structure."""
        inner = _decoded(value[3])
        handler = self._whatever
        if inner is _UNDECODABLE:
            handler, inner = self.anything, value[3]
        return Node(
            name,
            "",
            "",
            (
                self.anything("context", value[0]),
                self._headers("protected", _decoded(value[1]), None)
                if _decoded(value[1]) is not _UNDECODABLE
                else self.anything("protected", value[1]),
                self.anything("external_aad", value[2]),
                self._enter(handler, "payload", inner),
            ),
        )

    def _whatever(self, name: str, value: Any) -> Node:
        """A value of any structure: it is recognised once more."""
        if type(value) is Tagged24:
            return self._embedded(name, value, self._whatever)
        handler = recognise(value).handler
        return self._enter(lambda name, value: handler(self, name, value), name, value)

    def session_establishment(self, name: str, value: Any) -> Node:
        """SessionEstablishment."""
        return self._map(name, value, {"eReaderKey": self.cose_key, "data": self._encrypted})

    def session_data(self, name: str, value: Any) -> Node:
        """SessionData."""
        return self._map(name, value, {"data": self._encrypted, "status": self._coded(_SESSION_STATUS)})

    def _encrypted(self, name: str, value: Any) -> Node:
        return self._leaf(name, value, "encrypted")

    def encrypted_response(self, name: str, value: Any) -> Node:
        """EncryptedResponse: the answer to a request over the Digital Credentials API, encrypted."""
        if not isinstance(value, list) or len(value) != 2:
            return self.anything(name, value)
        members = self._map("parameters", value[1], {"enc": self._encapsulated, "cipherText": self._encrypted})
        return Node(name, "", "the response is encrypted", (self.anything("protocol", value[0]), members))

    def _encapsulated(self, name: str, value: Any) -> Node:
        return self._leaf(name, value, "the wallet's ephemeral key")

    def encryption_info(self, name: str, value: Any) -> Node:
        """EncryptionInfo: to whom the answer over the Digital Credentials API is encrypted."""
        if not isinstance(value, list) or len(value) != 2:
            return self.anything(name, value)
        members = self._map("parameters", value[1], {"recipientPublicKey": self.cose_key})
        return Node(name, "", "", (self.anything("protocol", value[0]), members))

    # --- the whole ---

    def explain(self, kind: Kind, value: Any) -> tuple[str, tuple[Node, ...]]:
        """A note on a recognised value, and the tree of its members; a plain value is one node."""
        node = self._enter(lambda name, value: kind.handler(self, name, value), "", value)
        if node.children:
            return node.note, node.children
        return "", (Node("value", node.value, node.note),)


KINDS: Final[Mapping[str, Kind]] = {
    kind.title: kind
    for kind in (
        Kind("device-response", "DeviceResponse", "18013-5 8.3.2.1.2", Anatomy.device_response),
        Kind("device-request", "DeviceRequest", "18013-5 8.3.2.1.2", Anatomy.device_request),
        Kind("document", "Document", "18013-5 8.3.2.1.2", Anatomy.document),
        Kind("issuer-signed", "IssuerSigned", "18013-5 8.3.2.1.2", Anatomy.issuer_signed),
        Kind("issuer-signed-item", "IssuerSignedItem", "18013-5 9.1.2.5", Anatomy.issuer_signed_item),
        Kind("device-signed", "DeviceSigned", "18013-5 8.3.2.1.2", Anatomy.device_signed),
        Kind("device-auth", "DeviceAuth", "18013-5 9.1.3", Anatomy.device_auth),
        Kind("items-request", "ItemsRequest", "18013-5 8.3.2.1.2", Anatomy.items_request),
        Kind("mso", "MobileSecurityObject", "18013-5 9.1.2.4", Anatomy.security_object),
        Kind("issuer-auth", "IssuerAuth", "18013-5 9.1.2.4", Anatomy.issuer_auth),
        Kind("reader-auth", "ReaderAuth", "18013-5 9.1.4.5", Anatomy.reader_auth),
        Kind("session-establishment", "SessionEstablishment", "18013-5 9.1.1", Anatomy.session_establishment),
        Kind("session-data", "SessionData", "18013-5 9.1.1", Anatomy.session_data),
        Kind("device-engagement", "DeviceEngagement", "18013-5 8.2.1", Anatomy.engagement),
        Kind("session-transcript", "SessionTranscript", "18013-5 9.1.5.1", Anatomy.transcript),
        Kind("encrypted-response", "EncryptedResponse", "18013-7 Annex C", Anatomy.encrypted_response),
        Kind("encryption-info", "EncryptionInfo", "18013-7 Annex C", Anatomy.encryption_info),
        Kind("device-authentication", "DeviceAuthentication", "18013-5 9.1.3.4", Anatomy.authentication),
        Kind("reader-authentication", "ReaderAuthentication", "18013-5 9.1.4.5", Anatomy.authentication),
        Kind("vical", "VICAL", "18013-5 C.1.7.1", Anatomy.vical_message),
        Kind("vical-payload", "VicalPayload", "18013-5 C.1.7.1", Anatomy.vical),
        Kind("cose-key", "COSE_Key", "RFC 9052 §7", Anatomy.cose_key),
        Kind("cose-sign1", "COSE_Sign1", "RFC 9052 §4.2", Anatomy.cose_message),
        Kind("cose-mac0", "COSE_Mac0", "RFC 9052 §6.2", Anatomy.cose_message),
        Kind("sig-structure", "Sig_structure", "RFC 9052 §4.4", Anatomy.to_be_signed),
        Kind("mac-structure", "MAC_structure", "RFC 9052 §6.3", Anatomy.to_be_signed),
        Kind("cbor", "CBOR", "RFC 8949", Anatomy.anything),
    )
}
"""The structures that are recognised, by title."""


def faults(kind: Kind, data: bytes, value: Any) -> Iterator[MdlError]:
    """What keeps a value from being what it looks like.

    Args:
        kind: What it looks like.
        data: The encoded value.
        value: The decoded value.
    """
    match kind.title:
        case "DeviceResponse":
            yield from _attempt(lambda: DeviceResponse.decode(data))
            documents = value.get("documents") if isinstance(value, Mapping) else None
            for index, one in enumerate(documents if isinstance(documents, list) else ()):
                yield from _document_faults(one, f"documents[{index}]")
        case "Document":
            yield from _attempt(lambda: Document.from_value(value, ""))
            yield from _document_faults(value, "")
        case "IssuerSigned":
            yield from _issuer_signed_faults(value, "")
        case "DeviceRequest":
            yield from _attempt(lambda: DeviceRequest.decode(data))
        case "ItemsRequest":
            yield from _attempt(lambda: ItemsRequest.decode(data, path=""))
        case "DeviceSigned":
            yield from _attempt(lambda: DeviceSigned.from_value(value, ""))
        case "MobileSecurityObject":
            yield from _security_object_faults(wrap24(data), "")
        case "IssuerAuth":
            yield from _attempt(lambda: decode_sign1(value))
            yield from _payload_faults(value, "payload")
        case "COSE_Sign1" | "ReaderAuth":
            yield from _attempt(lambda: decode_sign1(value))
        case "VICAL":
            yield from _attempt(lambda: Vical.decode(data))
        case "COSE_Mac0":
            yield from _attempt(lambda: decode_mac0(value))
        case "COSE_Key":
            yield from _attempt(lambda: decode_key(value))
        case "SessionTranscript":
            yield from _attempt(lambda: SessionTranscript(data))
        case _:
            pass


def _entry_notes(value: Any) -> Iterator[str]:
    """What an entry of a VICAL does otherwise than the standard, and what it says otherwise than its certificate."""
    try:
        entry = CertificateInfo.from_value(value, "")
    except MdlError as exc:
        yield f"no entry: {exc.message} [{exc.code}]"
        return
    if entry.deviations:
        yield f"deviates: {', '.join(dict.fromkeys(one.code for one in entry.deviations))}"
    if entry.contradictions:
        yield f"not as its certificate says: {', '.join(one.code for one in entry.contradictions)}"


def _attempt(decode: Callable[[], object]) -> Iterator[MdlError]:
    try:
        decode()
    except MdlError as exc:
        yield exc


def _document_faults(value: Any, path: str) -> Iterator[MdlError]:
    """Faults inside one document that its own decoding leaves for later: items and security object."""
    signed = value.get("issuerSigned") if isinstance(value, Mapping) else None
    if isinstance(signed, Mapping):
        try:
            issuer_signed = IssuerSigned.from_value(signed, "")
        except MdlError:
            return  # told already
        yield from _inner_faults(issuer_signed, f"{path}.issuerSigned" if path else "issuerSigned")


def _issuer_signed_faults(value: Any, path: str) -> Iterator[MdlError]:
    try:
        issuer_signed = IssuerSigned.from_value(value, path)
    except MdlError as exc:
        yield exc
    else:
        yield from _inner_faults(issuer_signed, path)


def _inner_faults(issuer_signed: IssuerSigned, path: str) -> Iterator[MdlError]:
    dot = "." if path else ""
    payload = issuer_signed.issuer_auth.payload
    if payload is None:
        yield from _attempt(issuer_signed.security_object)
    else:
        yield from _security_object_faults(payload, f"{path}{dot}issuerAuth.payload")
    for fault in _attempt(lambda: list(issuer_signed.elements())):
        if isinstance(fault, DecodeError):
            fault.path = f"{path}{dot}{fault.path}"
        yield fault


def _payload_faults(value: Any, path: str) -> Iterator[MdlError]:
    payload = (value.value if type(value) is Tag else value)[2]
    if type(payload) is bytes:
        yield from _security_object_faults(payload, path)


def _security_object_faults(payload: bytes, path: str) -> Iterator[MdlError]:
    """What is wrong with a security object, and with its status member, which its own decoding leaves as it is."""
    try:
        status = MobileSecurityObject.decode(payload, path=path).status
    except MdlError as exc:
        yield exc
        return
    if status is not None:
        for fault in _attempt(lambda: StatusReference.decode(status)):
            if isinstance(fault, DecodeError):
                fault.path = f"{path}.{fault.path}" if path else fault.path
            yield fault


def transcript_salt(encoded: bytes) -> str:
    """SHA-256 of SessionTranscriptBytes in hex: the salt of every key that the session derives."""
    return hashlib.sha256(wrap24(encoded)).hexdigest()

"""Responses that are not what the CDDL says: they do not decode, whatever else is in order.

What the issuer and the device sign is broken before they sign it, so that nothing but the decoder stands in the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mdl.cbor import Tag, TDate, encode, wrap24
from mdl.testing import DeviceAuth, Recipe, SeededEntropy, pairs, raw
from test_vectors.source.case import Kind, Malformed
from test_vectors.source.sabotage import How, places, sabotaged
from test_vectors.source.stage import AUTHORITY, NAMESPACE, Fields, device_auth, document, issuer_auth

# Small, so that every place of it can be tried.
SMALL = {NAMESPACE: {"family_name": "Mustermann", "age_over_18": True}}
AUTHORISED = {"nameSpaces": ["org.example"], "dataElements": {"org.example.other": ["b"]}}
DEVICE_ELEMENTS = {"org.example": {"a": [1, "x"]}, "org.example.other": {"b": {"c": b"d"}}}


refuse = Malformed(base={"namespaces": SMALL})
_value: Any

# --- the bytes as a whole ---------------------------------------------------------------------------------------------


def tampered(change: Callable[..., bytes]) -> Fields:
    return {"tamper": change}


for _name, _code, _change in (
    ("nothing", "cbor.truncated", lambda _: b""),
    ("a byte behind it", "cbor.trailing", lambda given: given + b"\0"),
    ("the response twice", "cbor.trailing", lambda given: given * 2),
    ("the last byte missing", "cbor.truncated", lambda given: given[:-1]),
    ("the second half missing", "cbor.truncated", lambda given: given[: len(given) // 2]),
    ("the first byte missing", "cbor.", lambda given: given[1:]),
    ("wrapped in tag 24", "mdoc.structure", wrap24),
    ("wrapped in an array", "mdoc.structure", lambda given: b"\x81" + given),
    ("under the tag for CBOR", "mdoc.structure", lambda given: b"\xd9\xd9\xf7" + given),
    ("as hex", "", lambda given: given.hex().encode()),
    ("a map of 2**32 entries announced", "cbor.too_many", lambda _: b"\xba\xff\xff\xff\xff"),
    ("an array of 2**64 entries announced", "cbor.too_many", lambda _: b"\x9b" + b"\xff" * 8),
    ("bytes of 2**63 announced", "cbor.truncated", lambda _: b"\x5b\x7f" + b"\xff" * 7),
    ("arrays nested a thousand deep", "cbor.too_deep", lambda _: b"\x81" * 1000 + b"\0"),
    ("a break without a beginning", "cbor.", lambda _: b"\xff"),
    ("the number 0", "mdoc.structure", lambda _: b"\0"),
    ("null", "mdoc.structure", lambda _: b"\xf6"),
    ("an empty map", "mdoc.structure", lambda _: b"\xa0"),
    ("JSON", "cbor.", lambda _: b'{"version": "1.0"}'),
    ("a shared reference", "cbor.reference", lambda _: b"\xd8\x1c\xa0"),
):
    refuse(f"the response: {_name}", _code, tampered(_change))


refuse(
    "the response: a megabyte of nothing in particular",
    "",
    tampered(lambda _: SeededEntropy("noise")(1 << 20)),
    bulky=True,
)
refuse(
    "the response: longer than any response",
    "cbor.too_long",
    tampered(lambda given: given + bytes(4 << 20)),
    bulky=True,
)
# --- a sabotaged place in everything that is decoded ------------------------------------------------------------------


def response_value() -> dict[str, Any]:
    """The plain value of the response, with the parts that are encoded apart as raw bytes."""
    caught: list[dict[str, Any]] = []

    def catch(value: dict[str, Any]) -> bytes:
        caught.append(value)
        return encode(value)

    Recipe(namespaces=SMALL, encode_response=catch).present()
    return caught[0]


def security_object_value() -> dict[str, Any]:
    caught: list[dict[str, Any]] = []

    def catch(value: dict[str, Any]) -> bytes:
        caught.append(value)
        return encode(value)

    Recipe(namespaces=SMALL, key_authorizations=AUTHORISED, mso_status=STATUS, encode_mso=catch).present()
    return caught[0]


STATUS = {"status_list": {"idx": 1, "uri": "https://throwaway.example/status"}}


def item_value() -> dict[str, Any]:
    return {
        "digestID": 0,
        "random": bytes(range(32)),
        "elementIdentifier": "family_name",
        "elementValue": "Mustermann",
    }


def sabotages(how: How) -> Iterator[tuple[str, Fields]]:
    """Every sabotage of that kind: in the response, in what the issuer has signed, in what the device has signed."""
    for place in places(response_value(), how=how):
        yield (
            f"in the response at {_told(place)}",
            {"encode_response": lambda value, place=place: sabotaged(value, place, how=how)},
        )
    for place in places(security_object_value(), how=how):
        yield (
            f"in the security object at {_told(place)}",
            {
                "key_authorizations": AUTHORISED,
                "mso_status": STATUS,
                "encode_mso": lambda value, place=place: sabotaged(value, place, how=how),
            },
        )
    for place in places(DEVICE_ELEMENTS, how=how):
        yield (
            f"in the device's namespaces at {_told(place)}",
            {
                "key_authorizations": AUTHORISED,
                "device_elements": DEVICE_ELEMENTS,
                "device_name_spaces": sabotaged(DEVICE_ELEMENTS, place, how=how),
            },
        )
    for part in ("issuer_protected", "device_protected"):
        for place in places({1: -7}, how=how):
            yield f"in {part} at {_told(place)}", {part: sabotaged({1: -7}, place, how=how)}


def item_sabotages(how: How) -> Iterator[tuple[str, Fields]]:
    """The same, in an item."""
    for place in places(item_value(), how=how):
        changes = {"encoded": wrap24(sabotaged(item_value(), place, how=how))}
        yield f"in an item at {_told(place)}", {"items": {"family_name": changes}}


def _told(place: tuple[Any, ...]) -> str:
    steps = (f"minus {-step}" if isinstance(step, int) and step < 0 else str(step) for step in place if step != "entry")
    return ".".join(steps) or "its head"


for _name, _fields in sabotages("duplicate"):
    refuse(f"a key twice {_name}", "cbor.duplicate_key", _fields)
for _name, _fields in sabotages("indefinite"):
    # Not of the standard either, but some readers take it.
    refuse(f"an indefinite length {_name}", "cbor.indefinite", _fields, kind=Kind.MAY_REJECT)


def _twice(name: str, first: Any, second: Any) -> Callable[[dict[str, Any]], Any]:
    """A member twice, with two values; a reader that keeps the last or the first sees one of them."""

    def change(value: dict[str, Any]) -> bytes:
        entries = [(one, entry) for one, entry in value.items() if one != name]
        return pairs([(name, first), *entries, (name, second)]).raw

    return change


for _first, _second in (("1.0", "2.0"), ("2.0", "1.0")):
    refuse(
        f"the version as {_first} and as {_second}",
        "cbor.duplicate_key",
        {"encode_response": _twice("version", _first, _second)},
    )
refuse("two document types in the security object", "cbor.duplicate_key",
       {"encode_mso": _twice("docType", "org.iso.18013.5.1.mDL", "org.iso.18013.5.1.mDL")})  # fmt: skip

# --- the structure of the response ------------------------------------------------------------------------------------

STRUCTURE = "mdoc.structure"
# Of parts that say nothing of the holder: a reader that does not look at them takes these.
_SELDOM_READ = frozenset(
    (
        *("documentErrors that are a map", "documentErrors of text", "documentErrors that hold text"),
        *("errors that are a list", "errors that hold text", "a critical header that it has"),
    )
)


def _kind_of(name: str) -> Kind:
    return Kind.MAY_REJECT if name in _SELDOM_READ else Kind.MUST_REJECT


def response(**members: Any) -> Fields:
    return {"mutate_response": lambda given: given.update(members)}


def without(name: str) -> Fields:
    return {"mutate_response": lambda given: given.pop(name)}


for _name, _fields, _path in (
    ("no version", without("version"), "version"),
    ("no status", without("status"), "status"),
    ("a version that is a number", response(version=1), "version"),
    ("a version that is a float", response(version=1.0), "version"),
    ("a version that is null", response(version=None), "version"),
    ("a status that is text", response(status="0"), "status"),
    ("a status that is true", response(status=True), "status"),
    ("a status that is a float", response(status=0.0), "status"),
    ("a status that is negative", response(status=-1), "status"),
    ("documents that are a map", response(documents={}), "documents"),
    ("documents that are null", response(documents=None), "documents"),
    ("a document that is text", response(documents=["x"]), "documents[0]"),
    ("a document in tag 24", response(documents=[raw(wrap24(b"\xa0"))]), "documents[0]"),
    ("documentErrors that are a map", response(documentErrors={}), "documentErrors"),
    ("documentErrors of text", response(documentErrors=["x"]), "documentErrors"),
    ("documentErrors that hold text", response(documentErrors=[{"x": "0"}]), "documentErrors"),
):
    refuse(f"the response: {_name}", STRUCTURE, _fields, _path, kind=_kind_of(_name))
refuse("the response: a key that is a number", STRUCTURE, {"mutate_response": lambda given: given.update({1: 2})},
       kind=Kind.MAY_REJECT)  # fmt: skip
refuse("the response: a key that is null", "cbor.key",
       {"encode_response": lambda given: pairs([*given.items(), (None, 1)]).raw}, kind=Kind.MAY_REJECT)  # fmt: skip
refuse("the response: a key that is true", "cbor.key",
       {"encode_response": lambda given: pairs([*given.items(), (True, 1)]).raw}, kind=Kind.MAY_REJECT)  # fmt: skip
refuse("the response: text that is not UTF-8", "cbor.utf8", response(comment=raw(b"\x61\xff")))
refuse("the response: a reserved head", "cbor.reserved", response(comment=raw(b"\x1c")))
refuse("the response: nested too deeply", "cbor.too_deep", response(comment=raw(b"\x81" * 40 + b"\0")),
       kind=Kind.MAY_REJECT)  # fmt: skip
refuse("the response: more entries than there may be", "cbor.too_many", response(comment=[0] * 8193),
       kind=Kind.MAY_REJECT)  # fmt: skip


def doc(**members: Any) -> Fields:
    return document(lambda one: one.update(members))


for _name, _fields, _path in (
    ("no docType", document(lambda one: one.pop("docType")), "documents[0].docType"),
    ("a docType that is bytes", doc(docType=b"org.iso.18013.5.1.mDL"), "documents[0].docType"),
    ("no issuerSigned", document(lambda one: one.pop("issuerSigned")), "documents[0].issuerSigned"),
    ("issuerSigned that is null", doc(issuerSigned=None), "documents[0].issuerSigned"),
    ("issuerSigned in tag 24", doc(issuerSigned=raw(wrap24(b"\xa0"))), "documents[0].issuerSigned"),
    ("deviceSigned that is null", doc(deviceSigned=None), "documents[0].deviceSigned"),
    ("deviceSigned that is empty", doc(deviceSigned={}), "documents[0].deviceSigned"),
    ("errors that are a list", doc(errors=[]), "documents[0].errors"),
    ("errors that hold text", doc(errors={NAMESPACE: {"x": "0"}}), "documents[0].errors"),
):
    refuse(f"a document: {_name}", STRUCTURE, _fields, _path, kind=_kind_of(_name))


def spaces(value: Any) -> Fields:
    return {"mutate_issuer_signed": lambda signed: signed.update(nameSpaces=value)}


_ITEM = raw(wrap24(encode(item_value())))
for _name, _value in {
    "null": None,
    "a list": [_ITEM],
    "a namespace that is a map": {NAMESPACE: {"family_name": _ITEM}},
    "a namespace that is null": {NAMESPACE: None},
    "a namespace that is a number": {1: [_ITEM]},
    "an item without its tag": {NAMESPACE: [item_value()]},
    "an item as bare bytes": {NAMESPACE: [encode(item_value())]},
    "an item under another tag": {NAMESPACE: [Tag(25 - 2, encode(item_value()))]},
    "an item under tag 24 and another": {NAMESPACE: [raw(b"\xc1" + _ITEM.raw)]},
    "one good item and one that is null": {NAMESPACE: [_ITEM, None]},
}.items():
    refuse(f"nameSpaces: {_name}", STRUCTURE, spaces(_value), "documents[0].issuerSigned.nameSpaces")
refuse("nameSpaces: an item with tag 24 around text", "cbor.tag24", spaces({NAMESPACE: [raw(b"\xd8\x18\x61a")]}))
refuse("nameSpaces: an item with tag 24 around a map", "cbor.tag24", spaces({NAMESPACE: [raw(b"\xd8\x18\xa0")]}))
refuse("nameSpaces: an item with tag 24 around pieces", "cbor.indefinite",
       spaces({NAMESPACE: [raw(b"\xd8\x18\x5f\x41\xa0\xff")]}))  # fmt: skip
refuse("nameSpaces: an item longer than the response", "cbor.truncated",
       spaces({NAMESPACE: [raw(b"\xd8\x18\x5a\x7f\xff\xff\xff")]}))  # fmt: skip
refuse("nameSpaces: an item with a length that runs over its end", "cbor.",
       spaces({NAMESPACE: [raw(b"\xd8\x18\x58\xff" + encode(item_value()))]}))  # fmt: skip

# --- COSE -------------------------------------------------------------------------------------------------------------


def issuer(change: Callable[..., object]) -> Fields:
    return issuer_auth(change)


_AUTH = "documents[0].issuerSigned.issuerAuth"
for _name, _code, _fields in (
    ("three parts", "cose.structure", issuer(lambda message: message.pop())),
    ("five parts", "cose.structure", issuer(lambda message: message.append(b""))),
    ("no parts", "cose.structure", issuer(lambda message: message.clear())),
    ("a protected header that is a map", "cose.structure", issuer(lambda message: message.__setitem__(0, {1: -7}))),
    ("a protected header that is null", "cose.structure", issuer(lambda message: message.__setitem__(0, None))),
    ("a protected header that is a list", "cose.structure", {"issuer_protected": b"\x80"}),
    ("a protected header with a byte behind it", "cbor.trailing", {"issuer_protected": b"\xa1\x01\x26\x00"}),
    ("an unprotected header that is bytes", "cose.structure", issuer(lambda message: message.__setitem__(1, b""))),
    ("a payload that is text", "cose.structure", issuer(lambda message: message.__setitem__(2, "x"))),
    ("a payload that is true", "cose.structure", issuer(lambda message: message.__setitem__(2, True))),
    ("a signature that is null", "cose.structure", issuer(lambda message: message.__setitem__(3, None))),
    ("a signature that is a list", "cose.structure", issuer(lambda message: message.__setitem__(3, [b"", b""]))),
    (
        "the algorithm in both headers",
        "cose.duplicate_header",
        {"issuer_unprotected": {1: -7, 33: AUTHORITY.ds_certificate.der}},
    ),
    (
        "x5chain in both headers",
        "cose.duplicate_header",
        {"issuer_protected": {1: -7, 33: AUTHORITY.ds_certificate.der}},
    ),
    ("a critical header", "cose.critical", {"issuer_protected": {1: -7, 2: [99], 99: 1}}),
    ("a critical header that it has", "cose.critical", {"issuer_protected": {1: -7, 2: [1]}}),
    (
        "a critical header outside the protected ones",
        "cose.critical",
        {"issuer_unprotected": {2: [33], 33: AUTHORITY.ds_certificate.der}},
    ),
    ("a header label that is bytes", "cose.structure", {"issuer_protected": {1: -7, b"x": 1}}),
):
    refuse(f"issuerAuth: {_name}", _code, _fields, _AUTH, kind=_kind_of(_name))
for _name, _value in {"text": "x", "null": None, "a map": {}, "bytes": b"\x84"}.items():
    refuse(
        f"issuerAuth: is {_name}",
        STRUCTURE,
        {"mutate_issuer_signed": lambda signed, value=_value: signed.update(issuerAuth=value)},
        _AUTH,
    )
refuse("issuerAuth: missing", STRUCTURE, {"mutate_issuer_signed": lambda signed: signed.pop("issuerAuth")}, _AUTH)
for _number in (16, 17, 96, 97, 98, 24 + 37):
    refuse(
        f"issuerAuth: under tag {_number}",
        "cose.structure",
        {
            "mutate_issuer_signed": lambda signed, number=_number: signed.update(
                issuerAuth=Tag(number, signed["issuerAuth"])
            )
        },
        _AUTH,
    )
refuse("issuerAuth: under tag 18 twice", "cose.structure",
       {"mutate_issuer_signed": lambda signed: signed.update(issuerAuth=Tag(18, Tag(18, signed["issuerAuth"])))},
       _AUTH)  # fmt: skip


def payload(change: Callable[..., bytes]) -> Fields:
    return {"wrap_mso": change}


_PAYLOAD = f"{_AUTH}.payload"
for _name, _code, _change in (
    ("without its tag", "cbor.tag24", lambda mso: mso),
    ("as a byte string without its tag", "cbor.tag24", lambda mso: wrap24(mso)[2:]),
    ("under another tag", "cbor.tag24", lambda mso: b"\xd8\x19"[:1] + b"\x3f" + wrap24(mso)[2:]),
    ("wrapped twice", STRUCTURE, lambda mso: wrap24(wrap24(mso))),
    ("empty", "cbor.truncated", lambda _: b""),
    ("empty inside", "cbor.truncated", lambda _: wrap24(b"")),
    ("with a byte behind it", "cbor.trailing", lambda mso: wrap24(mso) + b"\0"),
    ("with a byte behind it inside", "cbor.trailing", lambda mso: wrap24(mso + b"\0")),
    ("cut short inside", "cbor.truncated", lambda mso: wrap24(mso[:-1])),
    ("a list", STRUCTURE, lambda _: wrap24(b"\x80")),
):
    refuse(f"the payload: {_name}", _code, payload(_change), _PAYLOAD)

refuse("the payload: longer than any security object", "cbor.too_long",
       payload(lambda mso: wrap24(mso + bytes(1 << 20))), _PAYLOAD, bulky=True)  # fmt: skip


def mso(change: Callable[..., object]) -> Fields:
    return {"mutate_mso": change}


_MSO_MEMBERS = ("version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo")
for _member in _MSO_MEMBERS:
    refuse(f"the security object: no {_member}", STRUCTURE, mso(lambda one, name=_member: one.pop(name)), _PAYLOAD)
    refuse(f"the security object: {_member} is null", STRUCTURE,
           mso(lambda one, name=_member: one.update({name: None})), _PAYLOAD)  # fmt: skip
    refuse(f"the security object: {_member} is a number", STRUCTURE,
           mso(lambda one, name=_member: one.update({name: 1})), _PAYLOAD)  # fmt: skip
_DIGEST = bytes(32)
for _name, _value in {
    "a namespace that is a list": {NAMESPACE: [_DIGEST]},
    "a namespace that is a number": {1: {0: _DIGEST}},
    "a digest id that is text": {NAMESPACE: {"0": _DIGEST}},
    "a digest id that is bytes": {NAMESPACE: {b"0": _DIGEST}},
    "a negative digest id": {NAMESPACE: {-1: _DIGEST}},
    "a digest that is text": {NAMESPACE: {0: "0" * 32}},
    "a digest that is null": {NAMESPACE: {0: None}},
    "a digest that is a list": {NAMESPACE: {0: [_DIGEST]}},
}.items():
    refuse(f"the security object: valueDigests: {_name}", STRUCTURE,
           mso(lambda one, value=_value: one.update(valueDigests=value)), f"{_PAYLOAD}.valueDigests")  # fmt: skip
refuse("the security object: a digest id that is true", "cbor.key",
       mso(lambda one: one["valueDigests"].update({NAMESPACE: pairs([(True, _DIGEST)])})))  # fmt: skip
refuse("the security object: a digest id that is a float", "cbor.key",
       mso(lambda one: one["valueDigests"].update({NAMESPACE: pairs([(1.0, _DIGEST)])})))  # fmt: skip
refuse("the security object: a time that is tagged twice", "cbor.",
       mso(lambda one: one["validityInfo"].update(signed=Tag(0, TDate("2026-05-31T12:00:00Z")))))  # fmt: skip
refuse(
    "the security object: no device key", STRUCTURE, mso(lambda one: one["deviceKeyInfo"].pop("deviceKey")), _PAYLOAD
)
refuse("the security object: a device key that is bytes", STRUCTURE,
       mso(lambda one: one["deviceKeyInfo"].update(deviceKey=b"")), _PAYLOAD)  # fmt: skip
for _name, _value in {
    "null": None,
    "a list": [],
    "namespaces that are text": {"nameSpaces": "org.example"},
    "a namespace that is a number": {"nameSpaces": [1]},
    "elements that are a list": {"dataElements": ["amount"]},
    "an element that is a number": {"dataElements": {"org.example": [1]}},
    "elements that are text": {"dataElements": {"org.example": "amount"}},
}.items():
    refuse(f"the security object: keyAuthorizations: {_name}", STRUCTURE,
           mso(lambda one, value=_value: one["deviceKeyInfo"].update(keyAuthorizations=value)),
           f"{_PAYLOAD}.deviceKeyInfo.keyAuthorizations")  # fmt: skip

# --- the device's part ------------------------------------------------------------------------------------------------

_DEVICE = "documents[0].deviceSigned"


def device(**members: Any) -> Fields:
    return document(lambda one: one["deviceSigned"].update(members))


for _name, _fields, _path in (
    ("no nameSpaces", document(lambda one: one["deviceSigned"].pop("nameSpaces")), ".nameSpaces"),
    ("nameSpaces without its tag", device(nameSpaces={}), ".nameSpaces"),
    ("nameSpaces as bare bytes", device(nameSpaces=b"\xa0"), ".nameSpaces"),
    ("nameSpaces under another tag", device(nameSpaces=Tag(23, b"\xa0")), ".nameSpaces"),
    ("no deviceAuth", document(lambda one: one["deviceSigned"].pop("deviceAuth")), ".deviceAuth"),
    ("deviceAuth that is a list", device(deviceAuth=[]), ".deviceAuth"),
    ("nameSpaces that hold a list", {"device_name_spaces": b"\x80"}, ".nameSpaces"),
    ("a namespace that is a list", {"device_name_spaces": encode({"org.example": ["a"]})}, ".nameSpaces"),
    ("a namespace that is a number", {"device_name_spaces": encode({1: {"a": 1}})}, ".nameSpaces"),
    ("an element that is a number", {"device_name_spaces": encode({"org.example": {1: 1}})}, ".nameSpaces"),
):
    refuse(f"deviceSigned: {_name}", STRUCTURE, _fields, _DEVICE + _path)
refuse("deviceSigned: nameSpaces with a byte behind it", "cbor.trailing", {"device_name_spaces": b"\xa0\0"})
refuse("deviceSigned: nameSpaces that are empty bytes", "cbor.truncated", {"device_name_spaces": b""})
refuse("deviceSigned: nameSpaces nested too deeply", "cbor.too_deep",
       {"device_name_spaces": encode({"org.example": {"a": raw(b"\x81" * 30 + b"\0")}})},
       kind=Kind.MAY_REJECT)  # fmt: skip
for _kind, _form, _tags in (
    ("deviceSignature", DeviceAuth.SIGNATURE, (17, 98)),
    ("deviceMac", DeviceAuth.MAC, (18, 97)),
):
    for _name, _code, _change in (
        ("three parts", "cose.structure", lambda message: message.pop()),
        ("a payload that is text", "cose.structure", lambda message: message.__setitem__(2, "x")),
        ("the algorithm in both headers", "cose.duplicate_header", lambda message: message[1].update({1: -7})),
        ("a critical header", "cose.critical", lambda message: message[1].update({2: [1]})),
        ("a proof that is null", "cose.structure", lambda message: message.__setitem__(3, None)),
        ("a protected header that is a map", "cose.structure", lambda message: message.__setitem__(0, {1: -7})),
    ):
        refuse(
            f"{_kind}: {_name}",
            _code,
            {"device_auth": _form} | device_auth(lambda auth, kind=_kind, change=_change: change(auth[kind])),
            f"{_DEVICE}.deviceAuth.{_kind}",
        )
    for _number in _tags:
        refuse(
            f"{_kind}: under tag {_number}",
            "cose.structure",
            {"device_auth": _form}
            | device_auth(lambda auth, kind=_kind, number=_number: auth.update({kind: Tag(number, auth[kind])})),
            f"{_DEVICE}.deviceAuth.{_kind}",
        )
    for _name, _value in {"null": None, "a map": {}, "text": "x"}.items():
        refuse(
            f"{_kind}: is {_name}",
            "cose.structure",
            {"device_auth": _form} | device_auth(lambda auth, kind=_kind, value=_value: auth.update({kind: value})),
            f"{_DEVICE}.deviceAuth.{_kind}",
        )


CASES = refuse.rows

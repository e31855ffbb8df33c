"""Rules that are graded: what decodes, what is of its type, and still is not as the standard wants it.

No forger gains by these, so a policy tolerates them and says so; beside them stands what is refused all the same:
digests, signatures and the session are checked as ever.
"""

from __future__ import annotations

from typing import Any

from mdl.cbor import encode, wrap24
from mdl.mdoc import DeviceRequest, DocRequest, ItemsRequest, SessionTranscript
from mdl.testing import MDL_DOCTYPE, DeviceAuth, Recipe, deterministic_ephemeral_key, raw, sample_transcript
from reader.report import CHECKS
from test_vectors.source.case import DECODED, LENIENT, Attacks, Honest, Kind, slug
from test_vectors.source.contents import member
from test_vectors.source.encodings import SMALL, doc, item_value, mso, response, spaces
from test_vectors.source.stage import AUTHORITY, NAMESPACE, Fields, asking, licence, valued

attack = Attacks()
accept = Honest(group="malformed", clause=CHECKS[DECODED])


def small(fields: Fields) -> Fields:
    return {"namespaces": SMALL} | fields


def _asking(info: dict[str, Any], names: tuple[str, ...] = tuple(SMALL[NAMESPACE]), times: int = 1) -> DeviceRequest:
    one = DocRequest.of(ItemsRequest(MDL_DOCTYPE, {NAMESPACE: dict.fromkeys(names, False)}, info))
    return DeviceRequest((one,) * times)


# --- heads, empty arrays and maps, digest ids: accepted, and told -----------------------------------------------------

_LONG = frozenset(("cbor.long_head",))
accept("a long head: the response's status", small(response(status=raw(b"\x18\x00"))), warnings=_LONG)
accept("a long head: the response's version", small(response(version=raw(b"\x78\x031.0"))), warnings=_LONG)
_INNER = encode(item_value() | {"digestID": 0})
accept(
    "a long head: the digest id of an item", member(digestID=raw(b"\x18\x0b")) | {"request": asking()}, warnings=_LONG
)
accept("a long head: the byte string of an item's tag",
       small({"items": {"family_name": {"encoded": b"\xd8\x18\x59" + len(_INNER).to_bytes(2) + _INNER}}}),
       warnings=_LONG)  # fmt: skip
accept("a long head: the security object's version", small(mso(lambda one: one.update(version=raw(b"\x78\x031.0")))),
       warnings=_LONG)  # fmt: skip
accept("a long head: the protected header", small({"issuer_protected": b"\xa1\x18\x01\x26"}), warnings=_LONG)
accept("a long head: the device's namespaces", small({"device_name_spaces": b"\xb8\x00"}), warnings=_LONG)

for _name, _float in {
    "one half in four bytes": "fa3f000000",
    "one half in eight bytes": "fb3fe0000000000000",
    "a number of four bytes in eight": "fb3ff0000020000000",
    "infinity in eight bytes": "fb7ff0000000000000",
    "no number in eight bytes": "fb7ff8000000000000",
}.items():
    accept(
        f"a long float: {_name}",
        {
            "namespaces": SMALL | {"org.example": {"ratio": raw(bytes.fromhex(_float))}},
            "request": DeviceRequest(
                (
                    DocRequest.of(
                        ItemsRequest(
                            MDL_DOCTYPE,
                            {NAMESPACE: dict.fromkeys(SMALL[NAMESPACE], False), "org.example": {"ratio": False}},
                        )
                    ),
                )
            ),
        },
        warnings=("cbor.long_float",),
    )

_EMPTY = frozenset(("structure.empty",))
for _name, _fields in {
    "documentErrors": response(documentErrors=[]),
    "an entry of documentErrors": response(documentErrors=[{}]),
    "errors": doc(errors={}),
    "a namespace of errors": doc(errors={NAMESPACE: {}}),
    "one more namespace of valueDigests": mso(lambda one: one["valueDigests"].update({"org.example": {}})),
    "one more namespace of items": {
        "mutate_issuer_signed": lambda signed: signed["nameSpaces"].update({"org.example": []})
    },
    "the namespaces that the device may sign": mso(
        lambda one: one["deviceKeyInfo"].update(keyAuthorizations={"nameSpaces": []})
    ),
    "the elements that the device may sign": mso(
        lambda one: one["deviceKeyInfo"].update(keyAuthorizations={"dataElements": {"org.example": []}})
    ),
}.items():
    accept(f"without an entry: {_name}", small(_fields), warnings=_EMPTY)

_LARGE = frozenset(("mso.digest_id",))
accept("a digest id of 2**31", small({"items": {"family_name": {"digest_id": 2**31}}}), warnings=_LARGE)
accept("a digest id of 2**31 that no item has",
       small(mso(lambda one: one["valueDigests"][NAMESPACE].update({2**31: bytes(32)}))), warnings=_LARGE)  # fmt: skip

accept.section("request", CHECKS["elements.types"])
_UNKNOWN = frozenset(("elements.unknown",))

accept("an age statement of one digit", lambda: valued(age_over_1=True), warnings=_UNKNOWN)
accept(
    "an age statement in full-width digits",
    {"namespaces": licence({NAMESPACE: {"age_over_\uff12\uff11": True}})},
    warnings=_UNKNOWN,
)
# The forgery beside them: what says nothing about 21 answers nobody who asked for it.
attack(
    "request.elements",
    "an age statement in full-width digits for the one that was asked for",
    lambda: {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", "age_over_\uff12\uff11": True}},
        "request": _asking({}, names=("family_name", "age_over_21")),
    },
    strictly=("request.unrequested",),
    why="it is no answer, so it was not asked for either",
    tolerated=LENIENT,
    warnings=("request.element_missing", "request.element_unrequested", "elements.unknown"),
)

# --- names and authorisations: the policies that hold an issuer to its rules refuse -----------------------------------


def _authorised(value: Any) -> Fields:
    return small(mso(lambda one: one["deviceKeyInfo"].update(keyAuthorizations=value)))


def _decoded(name: str, fields: Any, code: str, **more: Any) -> None:
    attack(DECODED, name, fields, id=slug(f"malformed {name}"), **{"tolerated": LENIENT, "warnings": (code,)} | more)


for _name, _value, _code in (
    ("empty", {}, "mso.key_authorizations"),
    (
        "a namespace whole and in part",
        {"nameSpaces": ["org.example"], "dataElements": {"org.example": ["amount"]}},
        "mso.key_authorizations",
    ),
    ("a namespace that is empty", {"nameSpaces": [""]}, "structure.empty_name"),
    ("an element that is empty", {"dataElements": {"org.example": [""]}}, "structure.empty_name"),
):
    _decoded(f"the security object: keyAuthorizations: {_name}", _authorised(_value), _code)
_decoded("the security object: valueDigests: a namespace that is empty text",
         small(mso(lambda one: one["valueDigests"].update({"": {0: bytes(32)}}))), "structure.empty_name")  # fmt: skip
_decoded("errors: a namespace that is empty text", small(doc(errors={"": {"x": 0}})), "structure.empty_name")
_decoded(
    "an item's elementIdentifier is empty",
    member(elementIdentifier=""),
    "structure.empty_name",
    strictly=("request.unrequested",),
    why="nobody asks for an empty name",
)

# What the issuer has not signed stays refused, whatever form it has.
_ITEM = raw(wrap24(encode(item_value())))
attack(
    "mso.doctype",
    "the security object: an empty docType",
    small(mso(lambda one: one.update(docType=""))),
    strictly=(DECODED,),
    why="the name is empty, and not the document's",
)
attack(
    "issuer_data.digest",
    "the security object: valueDigests: empty",
    small(mso(lambda one: one.update(valueDigests={}))),
)
attack(
    "issuer_data.digest",
    "the security object: valueDigests: a namespace without digests",
    small(mso(lambda one: one.update(valueDigests={NAMESPACE: {}}))),
)
attack(
    "issuer_data.digest",
    "nameSpaces: a namespace that is empty text",
    small(spaces({"": [_ITEM]})),
    strictly=(DECODED, "request.elements", "request.unrequested"),
    why="the name is empty, and nobody asked for it",
)
attack(
    "issuer_data.digest",
    "an item's digest id is 2**31, and its digest another's",
    small({"items": {"family_name": {"digest_id": 2**31}},
           "mutate_mso": lambda one: one["valueDigests"][NAMESPACE].update({2**31: bytes(32)})}),
)  # fmt: skip
attack(
    "request.elements",
    "nameSpaces: empty",
    small(spaces({})),
    tolerated=LENIENT,
    warnings=("structure.empty", "request.nothing_returned"),
)
attack(
    "request.elements",
    "nameSpaces: a namespace without items",
    small(spaces({NAMESPACE: []})),
    tolerated=LENIENT,
    warnings=("structure.empty", "request.nothing_returned"),
)

# --- the session: whose it is -----------------------------------------------------------------------------------------

_READER = deterministic_ephemeral_key("reader")
for _name, _encoded in {
    "nothing but null": b"\x83\xf6\xf6\xf6",
    "null and an empty handover": b"\x83\xf6\xf6\x80",
    "null and the label of a handover": encode([None, None, ["OpenID4VPHandover"]]),
    "an engagement, and no key of the reader's": encode([raw(wrap24(b"\xa1\x00\x631.0")), None, None]),
}.items():
    attack(
        "device_auth.signature",
        f"a session transcript that is the same for every reader: {_name}",
        small({name: SessionTranscript(_encoded) for name in ("device_transcript", "session")}),
        kind=Kind.MUST_REJECT,
    )
for _form in (DeviceAuth.SIGNATURE, DeviceAuth.MAC):
    attack(
        "device_auth.mac" if _form is DeviceAuth.MAC else "device_auth.signature",
        f"a reader's key that is not the one in the session transcript, with a {_form.value}",
        small(
            {
                "device_auth": _form,
                "ephemeral_key": deterministic_ephemeral_key("another reader"),
                "session": sample_transcript(_READER.public_key),
                "device_transcript": sample_transcript(_READER.public_key),
            }
        ),
        kind=Kind.MUST_REJECT,
    )

# --- the request: by whom, and how many -------------------------------------------------------------------------------


_OURS = AUTHORITY.ds_certificate.authority_key_identifier
accept.section("request", CHECKS["request.doctype"])
accept("a request for documents of this issuer", small({"request": _asking({"issuerIdentifiers": [bytes(20), _OURS]})}))
attack(
    "request.doctype",
    "a document of another issuer than the request names",
    small({"request": _asking({"issuerIdentifiers": [bytes(20)]})}),
    tolerated=LENIENT,
    warnings=("request.issuer",),
)
for _name, _named in {
    "no issuer": [],
    "issuers as text only": ["x"],
    "issuers as numbers only": [1, 2],
    "issuers as no list": _OURS,
    "issuers as null": None,
}.items():
    attack(
        "request.doctype",
        f"a document for a request that names {_name}",
        small({"request": _asking({"issuerIdentifiers": _named})}),
        tolerated=LENIENT,
        warnings=("request.issuer",),
    )
accept("a request that names this issuer beside what is no identifier",
       small({"request": _asking({"issuerIdentifiers": ["x", _OURS, 1]})}))  # fmt: skip
_OTHER = Recipe(namespaces={NAMESPACE: {"family_name": "Musterfrau", "age_over_18": True}})
accept("two documents for a request that does not say how many",
       small({"others": [_OTHER], "request": _asking({"uniqueDocSetRequired": False})}))  # fmt: skip
accept("two documents for two requests that want one each",
       small({"others": [_OTHER], "request": _asking({"uniqueDocSetRequired": True}, times=2)}))  # fmt: skip
attack(
    "request.doctype",
    "the documents of two persons for a request that wants one document",
    small({"others": [_OTHER], "request": _asking({"uniqueDocSetRequired": True})}),
    tolerated=LENIENT,
    warnings=("request.several_documents",),
)

for _wanted in (1, "true", None):
    attack(
        "request.doctype",
        f"the documents of two persons for a request whose uniqueDocSetRequired is {_wanted!r}",
        small({"others": [_OTHER], "request": _asking({"uniqueDocSetRequired": _wanted})}),
        tolerated=LENIENT,
        warnings=("request.several_documents",),
    )

CASES = [*attack.rows, *accept.rows]

"""Attacks on the response, the security object, the items, the subject and the request."""

from __future__ import annotations

import hashlib
from typing import Any

from mdl.cbor import FullDate, Tag, TDate, bstr, encode, wrap24
from mdl.mdoc import DeviceRequest, DocRequest, ItemsRequest
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    Item,
    Recipe,
    ThrowawayAuthority,
    distinguished_name,
    pairs,
    raw,
    request_for,
    sample_transcript,
    widen,
)
from reader.report import Policy
from test_vectors.source.case import LENIENT, Attacks, Expected, Kind, refused
from test_vectors.source.stage import (
    AUTHORITY,
    DAY,
    DOMESTIC,
    ENCRYPTED_DOCUMENTS,
    HOUR,
    NAMESPACE,
    PID,
    SECOND,
    ZK_DOCUMENTS,
    Fields,
    asking,
    licence,
    moment,
    root,
    signer,
    valued,
)

attack = Attacks()
_value: Any
_fields: Any
_key: Any

# --- the response -----------------------------------------------------------------------------------------------------

for _name, _version in {
    "version 2.0": "2.0",
    "version 0.9": "0.9",
    "version 10.0": "10.0",
    "a version without a minor number": "1",
    "an empty version": "",
    "a version with an empty minor number": "1.",
    "a version with an empty major number": ".0",
    "a version of three numbers": "1.0.0",
    "a version with a minus": "-1.0",
    "a version with a plus": "+1.0",
    "a version with a blank before it": " 1.0",
    "a version with a blank behind it": "1.0 ",
    "a version in words": "one",
    "a version in Arabic digits": "\u0661.\u0660",
    "a version with a comma": "1,0",
}.items():
    attack("response.version", _name, {"response_version": _version})

for _status in (1, 10, 11, 12, 20, 255, 2**63):
    attack("response.status", f"status {_status} with a document", {"response_status": _status})


def response(change: Any) -> Fields:
    return {"mutate_response": change}


# Without a document nothing is left open.
for _name, _response in {
    "no documents": lambda given: given.pop("documents"),
    "an empty array of documents": lambda given: given.update(documents=[]),
    "only errors": lambda given: (given.pop("documents"), given.update(documentErrors=[{MDL_DOCTYPE: 0}])),
}.items():
    attack("response.documents", _name, response(_response), judged=True)

# The second edition's other forms, which the verdict on a document beside them does not depend on.
_UNSUPPORTED = dict.fromkeys(Policy, Expected(verdict="unsupported", indeterminate=frozenset(("response.documents",))))
for _name, _more in {
    "zkDocuments": {"zkDocuments": ZK_DOCUMENTS},
    "encryptedDocuments": {"encryptedDocuments": ENCRYPTED_DOCUMENTS},
    "zkDocuments and encryptedDocuments": {"zkDocuments": ZK_DOCUMENTS, "encryptedDocuments": ENCRYPTED_DOCUMENTS},
}.items():
    attack(
        "response.documents",
        f"only {_name}, where the reader does not know them",
        response(lambda given, more=_more: (given.pop("documents"), given.update(more))),
        kind=Kind.MAY_REJECT,
        clause="18013-5 second edition (draft) 10.3",
        under=_UNSUPPORTED,
    )

# --- the security object ----------------------------------------------------------------------------------------------

for _name, _version in {
    "version 2.0": "2.0",
    "version 0.1": "0.1",
    "a version without a minor number": "1",
    "an empty version": "",
    "a version with a letter": "v1.0",
}.items():
    attack("mso.version", _name, {"mso_version": _version})

for _name, _doctype in {
    "a PID": PID,
    "a type in small letters": "org.iso.18013.5.1.mdl",
    "a type with a blank behind it": f"{MDL_DOCTYPE} ",
    "the licence's namespace": "org.iso.18013.5.1",
}.items():
    attack("mso.doctype", f"issued as {_name}, presented as a licence", {"mso_doctype": _doctype})
attack(
    "mso.doctype",
    "issued as a licence, presented as a PID",
    lambda: {"document_doctype": PID, "request": request_for((PID, {NAMESPACE: list(licence()[NAMESPACE])}))},
)

for _name, _algorithm, _hash in (
    ("SHA-1", "SHA-1", "sha1"),
    ("MD5", "MD5", "md5"),
    ("SHA-224", "SHA-224", "sha224"),
    ("SHA-512/256", "SHA-512/256", "sha512_256"),
    ("SHA3-256", "SHA3-256", "sha3_256"),
    ("SHA-256 in small letters", "sha-256", "sha256"),
    ("SHA-256 without its hyphen", "SHA256", "sha256"),
    ("no name", "", "sha256"),
):
    attack(
        "mso.digest_algorithm",
        f"digests by {_name}",
        {"digest_algorithm": _algorithm, "digest_hash": _hash},
        left_open=("issuer_data.digest",),
        why="a digest by an unknown algorithm cannot be compared",
    )

MSO_VALIDITY = "mso.validity"
attack(MSO_VALIDITY, "expired a second ago", {"valid_until": moment(-SECOND)})
attack(MSO_VALIDITY, "expired long ago, and the clock runs on", lambda: {"now": moment(29 * DAY + SECOND)})
attack(MSO_VALIDITY, "valid from the next second", {"valid_from": moment(SECOND)})
attack(MSO_VALIDITY, "valid from before it was signed", {"signed": moment(-DAY), "valid_from": moment(-2 * DAY)},
       tolerated=LENIENT)  # fmt: skip
attack(MSO_VALIDITY, "valid from a second before it was signed",
       {"signed": moment(-DAY), "valid_from": moment(-DAY - SECOND)}, tolerated=LENIENT)  # fmt: skip
attack(MSO_VALIDITY, "signed in the next second", {"signed": moment(SECOND), "valid_from": TEST_TIME},
       tolerated=LENIENT)  # fmt: skip
attack(MSO_VALIDITY, "valid for no time at all", {"valid_from": TEST_TIME, "valid_until": TEST_TIME},
       tolerated=LENIENT)  # fmt: skip
attack(MSO_VALIDITY, "valid until before it begins", {"valid_from": moment(DAY), "valid_until": moment(-SECOND)})

_UNDATED = ("mso.signed_within_certificate",)
_UNDATED_WHY = "a validity that cannot be read says nothing of when it was signed"


def validity(change: Any) -> Fields:
    return {"mutate_mso": lambda mso: change(mso["validityInfo"])}


for _member in ("signed", "validFrom", "validUntil"):
    for _name, _value in {
        "plain text": "2026-06-01T00:00:00Z",
        "an epoch time": Tag(1, 1_780_000_000),
        "a full-date": FullDate("2026-06-01"),
        "a date without a time": TDate("2026-06-01"),
        "a time without a zone": TDate("2026-06-01T00:00:00"),
        "a time with a comma": TDate("2026-06-01T00:00:00,5Z"),
        "a time with a blank in it": TDate("2026-06-01 00:00:00Z"),
        "a time with a zone's name": TDate("2026-06-01T00:00:00 UTC"),
        "a day that is none": TDate("2026-02-30T00:00:00Z"),
        "an hour that is none": TDate("2026-06-01T24:00:00Z"),
        "the year 0": TDate("0000-06-01T00:00:00Z"),
        "null": None,
        "an integer": 0,
    }.items():
        attack(
            MSO_VALIDITY,
            f"{_member} is {_name}",
            validity(lambda info, member=_member, value=_value: info.update({member: value})),
            left_open=_UNDATED,
            why=_UNDATED_WHY,
        )
    attack(
        MSO_VALIDITY,
        f"{_member} is missing",
        validity(lambda info, member=_member: info.pop(member)),
        left_open=_UNDATED,
        why=_UNDATED_WHY,
    )
attack(
    MSO_VALIDITY,
    "expectedUpdate is no time",
    validity(lambda info: info.update(expectedUpdate="soon")),
    left_open=_UNDATED,
    why=_UNDATED_WHY,
    kind=Kind.MAY_REJECT,
)

SIGNED_WITHIN = "mso.signed_within_certificate"
attack(
    SIGNED_WITHIN,
    "signed a second before the certificate begins",
    lambda: {"signed": AUTHORITY.ds_certificate.not_before - SECOND},
)
attack(
    SIGNED_WITHIN,
    "signed at a midnight that was before the certificate began",
    lambda: signer(not_before=moment(-6 * HOUR)) | {"signed": moment(-12 * HOUR)},
)
attack(SIGNED_WITHIN, "signed years before", {"signed": moment(-1000 * DAY)})
attack(
    SIGNED_WITHIN,
    "signed a second after the certificate ends",
    lambda: signer(not_after=moment(DAY)) | {"signed": moment(DAY + SECOND), "valid_from": TEST_TIME},
    why="a certificate that is still valid ends in the future, and what is signed then is signed too late",
    strictly=(MSO_VALIDITY,),
)

# --- the items --------------------------------------------------------------------------------------------------------

ENCODING = "issuer_data.encoding"


def item(**changes: Any) -> Fields:
    """A change to one item, which the issuer signs; the reader does not ask for it."""
    return {"items": {"administrative_number": changes}, "request": asking(but=["administrative_number"])}


_MEMBERS: dict[str, Any] = {
    "digestID": 11,
    "random": bytes(32),
    "elementIdentifier": "administrative_number",
    "elementValue": "A-0042",
}


def content(inner: bytes) -> Fields:
    """The content of the item's tag 24, which the issuer signs."""
    return item(encoded=wrap24(inner))


# Not of the standard, or beyond our limits, and of no use to a forger: the issuer has signed it.
_LEFT_TO_THE_READER = frozenset(
    (
        *("of indefinite length", "a value of indefinite length", "a value in indefinite pieces of bytes"),
        *("a value nested too deeply", "a map key that is null", "a value with a shared reference"),
    )
)


def member(**changes: Any) -> Fields:
    return content(encode(_MEMBERS | changes))


for _name, _fields in {
    **{f"without {name}": item(order=[one for one in _MEMBERS if one != name]) for name in _MEMBERS},
    "digestID is text": member(digestID="11"),
    "digestID is negative": member(digestID=-1),
    "digestID is true": member(digestID=True),
    "digestID is a float": member(digestID=11.0),
    "digestID is a bignum": member(digestID=Tag(2, b"\x0b")),
    "digestID is null": member(digestID=None),
    "random is text": member(random="0" * 32),
    "random is a list": member(random=[0] * 32),
    "random is null": member(random=None),
    "elementIdentifier is bytes": member(elementIdentifier=b"administrative_number"),
    "elementIdentifier is a number": member(elementIdentifier=1),
    "elementIdentifier is a list": member(elementIdentifier=["administrative_number"]),
    "a member whose name is a number": content(encode({**_MEMBERS, 1: 2})),
    "a member whose name is bytes": content(encode({**_MEMBERS, b"digestID": 2})),
    "digestID twice": content(pairs([*_MEMBERS.items(), ("digestID", 12)]).raw),
    "elementValue twice": content(pairs([*_MEMBERS.items(), ("elementValue", "B-0042")]).raw),
    "an unknown member twice": content(pairs([*_MEMBERS.items(), ("x", 1), ("x", 1)]).raw),
    "the same key twice inside the value": content(encode(_MEMBERS | {"elementValue": pairs([("a", 1), ("a", 2)])})),
    "a byte behind it": content(encode(_MEMBERS) + b"\0"),
    "a second item behind it": content(encode(_MEMBERS) * 2),
    "cut short": content(encode(_MEMBERS)[:-1]),
    "empty": content(b""),
    "a list": content(encode(list(_MEMBERS.values()))),
    "a text": content(encode("digestID")),
    "null": content(b"\xf6"),
    "a number": content(b"\x0b"),
    "undefined": content(b"\xf7"),
    "under a tag": content(encode(Tag(259, _MEMBERS))),
    "wrapped twice": content(wrap24(encode(_MEMBERS))),
    "of indefinite length": content(b"\xbf" + encode(_MEMBERS)[1:] + b"\xff"),
    "a value of indefinite length": content(encode(_MEMBERS | {"elementValue": raw(b"\x7f\x61A\xff")})),
    "a value in indefinite pieces of bytes": content(encode(_MEMBERS | {"elementValue": raw(b"\x5f\x41A\xff")})),
    "a value that is not UTF-8": content(encode(_MEMBERS | {"elementValue": raw(b"\x61\xff")})),
    "a value nested too deeply": content(encode(_MEMBERS | {"elementValue": raw(b"\x81" * 30 + b"\0")})),
    "a value with a shared reference": content(encode(_MEMBERS | {"elementValue": raw(b"\xd8\x1c\x81\xd8\x1d\x00")})),
    "a reserved head": content(encode(_MEMBERS | {"elementValue": raw(b"\x1c")})),
    "a map with a million entries announced": content(b"\xba\x00\x0f\x42\x40" + encode(_MEMBERS)[1:]),
    "a map key that is null": content(encode(_MEMBERS | {"elementValue": raw(b"\xa1\xf6\x01")})),
}.items():
    attack(ENCODING, f"an item: {_name}", _fields,
           kind=Kind.MAY_REJECT if _name in _LEFT_TO_THE_READER else Kind.MUST_REJECT)  # fmt: skip

DIGEST = "issuer_data.digest"
for _name, _inner in {
    "is no CBOR": b"\x1c",
    "is cut short": encode(_MEMBERS)[:-1],
    "has lost its digest id": encode({name: _MEMBERS[name] for name in list(_MEMBERS)[1:]}),
}.items():
    attack(
        ENCODING,
        f"an item that was asked for {_name}, as the issuer signed it",
        {"items": {"administrative_number": {"encoded": wrap24(_inner)}}},
        left_open=("request.elements",),
        why="what cannot be read may be what is missing",
    )
    attack(
        DIGEST,
        f"an item that was asked for {_name}, since somebody broke it on its way",
        lambda inner=_inner: {"mutate_items": lambda items: setattr(items[0], "sent", wrap24(inner))},
        also=(ENCODING,),
        left_open=("request.elements",),
        why="what is broken cannot be read either, and may be what is missing",
    )


def _broken_in(namespace: str, other: str) -> Fields:
    """In one namespace an item was broken on its way; in the other the issuer has signed one that cannot be read."""

    def change(items: list[Item]) -> None:
        next(item for item in items if item.namespace == namespace).sent = wrap24(b"\x1c")
        next(item for item in items if item.namespace == other).encoded = wrap24(b"\x1d")

    return _two_namespaces(mutate_items=change, without_request=True)


for _namespace, _other in ((NAMESPACE, DOMESTIC), (DOMESTIC, NAMESPACE)):
    attack(
        DIGEST,
        f"an item of {_namespace} that somebody broke on its way, and one of {_other} that is signed so",
        lambda namespace=_namespace, other=_other: _broken_in(namespace, other),
        also=(ENCODING,),
        why="what is broken cannot be read either",
    )
attack(
    ENCODING,
    "the only item cannot be read, as the issuer signed it",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann"}},
        "items": {"family_name": {"encoded": wrap24(b"\x1c")}},
        "without_request": True,
    },
)


def presented(name: str = "birth_date", **members: Any) -> Fields:
    """One item changed after the issuer has signed."""
    return {"items": {name: {"presented": members}}}


for _name, _fields in {
    "the birth date changed": presented(elementValue=FullDate("2001-01-01")),
    "an age statement turned round": presented("age_over_21", elementValue=False),
    "one letter of a name changed": presented("family_name", elementValue="Mustermanm"),
    "one bit of the portrait changed": {
        "items": {"portrait": {"presented": {"elementValue": licence()[NAMESPACE]["portrait"][:-1] + b"\xd8"}}}
    },
    "a privilege added": presented(
        "driving_privileges",
        elementValue=[*licence()[NAMESPACE]["driving_privileges"], {"vehicle_category_code": "C"}],
    ),
    "a tag taken off": presented("administrative_number", elementValue="A-0042 "),
    "the salt changed": presented(random=bytes(32)),
    "a member added": presented(comment="harmless"),
    "the digest id of another item": presented(digestID=0)
    | {"disclose": ["birth_date", "age_over_18"], "request": asking(for_=["birth_date", "age_over_18"])},
    "a digest id that is not listed": presented(digestID=77),
    "the largest digest id": presented(digestID=2**31 - 1),
}.items():
    attack(DIGEST, _name, _fields)
attack(
    DIGEST,
    "an identifier exchanged for another",
    lambda: (
        presented("age_over_18", elementIdentifier="age_over_65")
        | {"request": asking(for_=[*(name for name in licence()[NAMESPACE] if name != "age_over_18"), "age_over_65"])}
    ),
)


def _same_content_in(form: Any) -> Fields:
    """The item as signed, in another encoding of the same value."""

    def change(items: list[Item]) -> None:
        one = next(each for each in items if each.identifier == "family_name")
        one.sent = form(one)

    return {"mutate_items": change}


def _members_of(one: Item) -> dict[str, Any]:
    return {
        "digestID": one.digest_id,
        "random": one.random,
        "elementIdentifier": one.identifier,
        "elementValue": one.value,
    }


def _signed_wide(items: list[Item]) -> None:
    """The issuer has digested a length of four bytes; on the way it was made the shortest."""
    one = next(each for each in items if each.identifier == "family_name")
    shortest = one.as_signed
    one.length_size = 4
    one.sent = shortest


for _name, _form in {
    "the length of the item widened on its way": lambda one: b"\xd8\x18" + widen(bstr(encode(_members_of(one))), 4),
    "the tag of the item widened on its way": lambda one: b"\xd9\x00\x18" + bstr(encode(_members_of(one))),
    "a head inside the item widened on its way": lambda one: wrap24(widen(encode(_members_of(one)), 2)),
    "its members in another order": lambda one: wrap24(encode(dict(sorted(_members_of(one).items())))),
    "an invisible letter put into the name": lambda one: wrap24(
        encode(_members_of(one) | {"elementValue": "Muster\N{SOFT HYPHEN}mann"})
    ),
}.items():
    attack(DIGEST, _name, lambda form=_form: _same_content_in(form))
attack(DIGEST, "the length of the item shortened on its way", {"mutate_items": _signed_wide})


def digested(digest: Any) -> Fields:
    """What the security object lists for one item."""

    def change(items: list[Item]) -> None:
        one = next(each for each in items if each.identifier == "family_name")
        one.digest = digest(one.as_signed)

    return {"mutate_items": change}


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


for _name, _digest in {
    "is empty": lambda _: b"",
    "is cut short": lambda signed: _sha256(signed)[:31],
    "is a byte longer": lambda signed: _sha256(signed) + b"\0",
    "is of the content without its tag": lambda signed: _sha256(signed[4:]),
    "is of the byte string without its tag": lambda signed: _sha256(signed[2:]),
    "is of SHA-512 cut to size": lambda signed: hashlib.sha512(signed).digest()[:32],
    "is of SHA-384": lambda signed: hashlib.sha384(signed).digest(),
    "is of SHA-512": lambda signed: hashlib.sha512(signed).digest(),
    "is all zeros": lambda _: bytes(32),
    "has one bit wrong": lambda signed: bytes((_sha256(signed)[0] ^ 1,)) + _sha256(signed)[1:],
}.items():
    attack(DIGEST, f"the digest {_name}", lambda digest=_digest: digested(digest))
attack(
    DIGEST,
    "digests by SHA-512, of which only half is compared",
    {
        "digest_algorithm": "SHA-512",
        "mutate_items": lambda items: setattr(
            items[0], "digest", hashlib.sha512(items[0].as_signed).digest()[:32] + bytes(32)
        ),
    },
)
attack(DIGEST, "one algorithm named and another used", {"digest_algorithm": "SHA-384", "digest_hash": "sha256"})
attack(DIGEST, "an item that the security object does not list", {"items": {"family_name": {"listed": False}}})


def _two_namespaces(**fields: Any) -> Fields:
    """A licence with a domestic namespace, whose digest ids are those of the first items of the other."""
    namespaces = {
        NAMESPACE: {"family_name": "Mustermann", "age_over_18": True},
        DOMESTIC: {"organ_donor": 1, "licence_class": "D"},
    }
    return {"namespaces": namespaces} | fields


def _exchange(signed: dict[str, Any]) -> None:
    spaces = signed["nameSpaces"]
    spaces[NAMESPACE][0], spaces[DOMESTIC][0] = spaces[DOMESTIC][0], spaces[NAMESPACE][0]


def _move(signed: dict[str, Any]) -> None:
    spaces = signed["nameSpaces"]
    spaces[DOMESTIC].append(spaces[NAMESPACE].pop(0))


attack(
    DIGEST,
    "two items exchanged between namespaces",
    _two_namespaces(
        mutate_issuer_signed=_exchange,
        request=request_for(
            (MDL_DOCTYPE, {NAMESPACE: ["organ_donor", "age_over_18"], DOMESTIC: ["family_name", "licence_class"]})
        ),
    ),
)
attack(
    DIGEST,
    "an item moved into a namespace with the same digest id",
    _two_namespaces(
        mutate_issuer_signed=_move,
        items={"organ_donor": {"disclosed": False}},
        request=request_for((MDL_DOCTYPE, {NAMESPACE: ["age_over_18"], DOMESTIC: ["family_name", "licence_class"]})),
    ),
)
attack(
    DIGEST,
    "a namespace that the security object does not list",
    _two_namespaces(items={"organ_donor": {"listed": False}, "licence_class": {"listed": False}}),
)
attack(
    DIGEST,
    "a namespace renamed",
    _two_namespaces(
        mutate_issuer_signed=lambda signed: signed["nameSpaces"].update(
            {"org.example": signed["nameSpaces"].pop(DOMESTIC)}
        ),
        request=request_for(
            (MDL_DOCTYPE, {NAMESPACE: ["family_name", "age_over_18"], "org.example": ["organ_donor", "licence_class"]})
        ),
    ),
)


def _from_another_credential(what: str) -> Fields:
    """The same person's other credential, by the same issuer for the same device: one part of it is put into this."""
    other = Recipe(namespaces=licence(), seed="other credential", items={"age_over_21": {"value": False}})
    signed = other.document(sample_transcript(other.reader_key.public_key), other.reader_key.public_key)["issuerSigned"]

    def change(ours: dict[str, Any]) -> None:
        if what == "item":
            ours["nameSpaces"][NAMESPACE][-1] = signed["nameSpaces"][NAMESPACE][-1]
        else:
            ours[what] = signed[what]

    return {"mutate_issuer_signed": change}


attack(DIGEST, "an item of another credential", lambda: _from_another_credential("item"))
attack(DIGEST, "all items of another credential", lambda: _from_another_credential("nameSpaces"))
attack(DIGEST, "the security object of another credential", lambda: _from_another_credential("issuerAuth"))

UNIQUE = "issuer_data.unique"


def _second_item(**changes: Any) -> Fields:
    """A second item of the same name, honestly digested under an id of its own."""

    def change(items: list[Item]) -> None:
        one = next(each for each in items if each.identifier == "age_over_18")
        second = Item(
            namespace=one.namespace, identifier=one.identifier, value=False, digest_id=99, random=bytes(range(32))
        )
        for name, value in changes.items():
            setattr(second, name, value)
        items.append(second)

    return {"mutate_items": change}


def _opposite_first() -> Fields:
    fields = _second_item()
    change = fields["mutate_items"]

    def first(items: list[Item]) -> None:
        change(items)
        items.insert(0, items.pop())

    return {"mutate_items": first}


attack(UNIQUE, "an element twice, with two values, both signed", _second_item)
attack(UNIQUE, "an element twice, with one value, both signed", lambda: _second_item(value=True))
attack(UNIQUE, "an element and its opposite first", _opposite_first)
attack(UNIQUE, "an item sent twice", {"items": {"age_over_18": {"copies": 2}}})
attack(UNIQUE, "an item sent nine times", {"items": {"family_name": {"copies": 9}}})


attack(
    UNIQUE,
    "two elements under one digest id",
    {"items": {"age_over_18": {"digest_id": 0}}},
    also=(DIGEST,),
    why="there is one digest for one id, so one of the two cannot match it",
)
for _order in ("first", "last"):
    attack(
        UNIQUE,
        f"an element twice in the {_order} of two namespaces",
        lambda order=_order: _second_item() | {"namespaces": _beside(first=order == "first")},
    )


def _beside(*, first: bool) -> dict[str, Any]:
    """The licence and another namespace, in one order or the other."""
    whole = licence({DOMESTIC: {"organ_donor": 1, "licence_class": "D"}})
    return whole if first else dict(reversed(whole.items()))


_COLLIDING = {
    "device_elements": {NAMESPACE: {"age_over_18": True}},
    "key_authorizations": {"dataElements": {NAMESPACE: ["age_over_18"]}},
}
attack(UNIQUE, "an element signed by the device as well", _COLLIDING | {"request": asking()})
attack(
    UNIQUE,
    "an element signed by the device as well, with another value",
    _COLLIDING | {"device_elements": {NAMESPACE: {"age_over_18": False}}, "request": asking()},
)

for _size in (0, 1, 8, 15):
    attack("issuer_data.random", f"salts of {_size} bytes", {"random_size": _size}, tolerated=LENIENT)
attack("issuer_data.random", "one salt of 15 bytes", {"items": {"sex": {"random": bytes(15)}}}, tolerated=LENIENT)

# --- the subject ------------------------------------------------------------------------------------------------------

for _country in ("CA", "UT", "DE"):
    attack("subject.country", f"issuing_country {_country}", {"items": {"issuing_country": {"value": _country}}})
for _name, _value in {"small letters": "us", "three letters": "USA"}.items():
    attack("subject.country", f"issuing_country in {_name}", {"items": {"issuing_country": {"value": _value}}})
for _name, _value in {"a number": 840, "bytes": b"US", "null": None}.items():
    attack(
        "subject.country",
        f"issuing_country in {_name}",
        {"items": {"issuing_country": {"value": _value}}},
        strictly=("elements.types",),
        why="what is no text is of the wrong type as well",
    )
for _state in ("US-NV", "CA-ON", "US-U"):
    attack(
        "subject.jurisdiction", f"issuing_jurisdiction {_state}", {"items": {"issuing_jurisdiction": {"value": _state}}}
    )
# One root in the field names its state so; the standard has the two texts be equal.
attack(
    "subject.jurisdiction",
    "a document signer that names its state without the country",
    lambda: (
        signer(subject=distinguished_name(C="US", ST="UT", CN="Throwaway document signer"), issuer=_short_state())
        | root(subject=_short_state(), issuer=_short_state())
    ),
    kind=Kind.MAY_REJECT,
    tolerated=LENIENT,
)


def _short_state(state: str = "UT") -> Any:
    return distinguished_name(C="US", ST=state, CN="Throwaway IACA")


for _state in ("NV", "US", "T"):
    attack(
        "subject.jurisdiction",
        f"a document signer of another state, {_state}, without the country",
        lambda state=_state: (
            signer(
                subject=distinguished_name(C="US", ST=state, CN="Throwaway document signer"),
                issuer=_short_state(state),
            )
            | root(subject=_short_state(state), issuer=_short_state(state))
        ),
    )
# The root's state limits what its document signers may sign for, whether or not they repeat it.
for _state in ("US-NV", "UT"):
    attack(
        "subject.jurisdiction",
        f"issuing_jurisdiction {_state} under a document signer that leaves it to its root to name the state",
        lambda state=_state: (
            signer(subject=distinguished_name(C="US", CN="Throwaway document signer"))
            | {"items": {"issuing_jurisdiction": {"value": state}}}
        ),
    )
attack(
    "subject.jurisdiction",
    "the root's state without its country, under a document signer that names none",
    lambda: (
        signer(subject=distinguished_name(C="US", CN="Throwaway document signer"), issuer=_short_state())
        | root(subject=_short_state(), issuer=_short_state())
    ),
    kind=Kind.MAY_REJECT,
    tolerated=LENIENT,
)
attack(
    "subject.jurisdiction",
    "another state than the root's, which lacks its country, under a document signer that names none",
    lambda: (
        signer(subject=distinguished_name(C="US", CN="Throwaway document signer"), issuer=_short_state("NV"))
        | root(subject=_short_state("NV"), issuer=_short_state("NV"))
    ),
)


attack("subject.jurisdiction", "issuing_jurisdiction without its country",
       {"items": {"issuing_jurisdiction": {"value": "UT"}}})  # fmt: skip
for _identifier, _value in (("issuing_country", "CA"), ("issuing_jurisdiction", "US-NV")):
    attack(
        "subject.country" if _identifier == "issuing_country" else "subject.jurisdiction",
        f"{_identifier} {_value}, signed by the device with the issuer's leave",
        {
            "namespaces": {NAMESPACE: {"family_name": "Mustermann"}},
            "device_elements": {NAMESPACE: {_identifier: _value}},
            "key_authorizations": {"nameSpaces": [NAMESPACE]},
            "request": asking(for_=["family_name", _identifier]),
        },
    )


for _name, _items in {
    "": {"issuing_jurisdiction": {"value": "CA-ON"}},
    ", and of the right country otherwise": {
        "issuing_jurisdiction": {"value": "DE-BY"},
        "issuing_country": {"value": "US"},
    },
}.items():
    attack(
        "subject.jurisdiction",
        f"a place of another country under a signer and a root that name no state{_name}",
        lambda items=_items: _stateless() | {"items": items},
        under={Policy.AAMVA: refused("subject.jurisdiction")},
    )


def _stateless() -> Fields:

    return {"authority": ThrowawayAuthority("Stateless", state=None)}


attack(
    "subject.jurisdiction",
    "a document signer without a state, where AAMVA's rules are asked for",
    _stateless,
    kind=Kind.MAY_REJECT,
    policy=Policy.AAMVA,
    tolerated=(Policy.ISO_STRICT, Policy.LENIENT),
)

attack(
    "subject.country",
    "no country, under a document signer of no country",
    lambda: (
        signer(subject=distinguished_name(ST="US-UT", CN="Throwaway document signer"))
        | {"items": {"issuing_country": {"value": None}}}
    ),
    also=("issuer_auth.profile",),
    strictly=("elements.types",),
    why="a document signer has a country, and so has a licence",
)

# --- the request ------------------------------------------------------------------------------------------------------

attack(
    "request.doctype",
    "a PID was asked for",
    {"request": request_for((PID, {PID: ["family_name"]}))},
    left_open=("request.elements", "request.unrequested"),
    why="what was not asked for cannot be complete",
)
attack(
    "request.doctype",
    "one document type that nobody knows was asked for, and another returned",
    lambda: {
        "doctype": "org.example.one",
        "namespaces": {"org.example": {"name": "Mustermann"}},
        "request": request_for(("org.example.other", {"org.example": ["name"]})),
    },
    left_open=("request.elements", "request.unrequested"),
    why="what was not asked for cannot be complete",
)
attack(
    "request.doctype",
    "a document type in other case was asked for",
    lambda: {"request": asking(doctype="org.iso.18013.5.1.mdl")},
    left_open=("request.elements", "request.unrequested"),
    why="what was not asked for cannot be complete",
)


def _asked(*names: str, got: tuple[str, ...]) -> Fields:
    return {"disclose": got, "request": asking(for_=names)}


def _ages(asked: str, **stated: Any) -> Fields:
    """One age statement asked for, others given."""
    return {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", **stated}},
        "request": asking(for_=["family_name", asked]),
    }


for _name, _fields in {
    "one is missing": _asked("family_name", "given_name", got=("family_name",)),
    "the portrait is missing": _asked("family_name", "portrait", got=("family_name",)),
    "nothing is returned": {"disclose": ()},
    "an age between two statements, and nothing is returned": {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", "age_over_21": True, "age_over_60": False}},
        "disclose": ("family_name",),
        "request": asking(for_=["family_name", "age_over_25"]),
    },
    "an age statement is missing": _ages("age_over_18"),
    "an element of another namespace is missing": {
        "request": request_for((MDL_DOCTYPE, {NAMESPACE: list(licence()[NAMESPACE]), DOMESTIC: ["organ_donor"]}))
    },
}.items():
    attack("request.elements", _name, _fields, tolerated=LENIENT)
for _name, _fields in {
    "an age that does not answer: between two statements, and both are given": _ages(
        "age_over_25", age_over_21=True, age_over_60=False
    ),
    "an age that does not answer: a younger one reached": _ages("age_over_21", age_over_18=True),
    "an age that does not answer: an older one not reached": _ages("age_over_18", age_over_21=False),
}.items():
    attack(
        "request.elements",
        _name,
        _fields,
        also=("request.unrequested",),
        why="a statement that does not answer what was asked was not asked for either",
        tolerated=LENIENT,
    )
attack(
    "request.unrequested",
    "an age statement that states nothing",
    _ages("age_over_18", age_over_21=1),
    also=("request.elements", "elements.types"),
    why="what is neither true nor false answers nothing, and is of the wrong type",
    tolerated=LENIENT,
)
for _name, _fields in {
    "one more": _asked("family_name", got=("family_name", "given_name")),
    "the portrait": _asked("family_name", got=("family_name", "portrait")),
    "a second age statement": _ages("age_over_18", age_over_18=True, age_over_21=True),
    "an age statement beside the one that answers": _ages("age_over_18", age_over_21=True, age_over_15=True),
    "a namespace": _two_namespaces(request=request_for((MDL_DOCTYPE, {NAMESPACE: ["family_name", "age_over_18"]}))),
    "an element of the device": {
        "device_elements": {"org.example": {"amount": 100}},
        "key_authorizations": {"nameSpaces": ["org.example"]},
        "request": asking(),
    },
}.items():
    attack("request.unrequested", _name, _fields, tolerated=LENIENT)
attack(
    "request.unrequested",
    "two requests for one type, answered by one document with something that neither asks for",
    {
        "disclose": ("family_name", "given_name", "portrait"),
        "request": request_for((MDL_DOCTYPE, {NAMESPACE: ["family_name"]}), (MDL_DOCTYPE, {NAMESPACE: ["given_name"]})),
    },
    tolerated=LENIENT,
)
attack(
    "request.elements",
    "two requests for one type, each answered in part",
    {
        "disclose": ("family_name", "given_name"),
        "request": request_for(
            (MDL_DOCTYPE, {NAMESPACE: ["family_name", "portrait"]}), (MDL_DOCTYPE, {NAMESPACE: ["given_name", "sex"]})
        ),
    },
    tolerated=LENIENT,
)


def _instead(*alternatives: Any, got: tuple[str, ...]) -> Fields:
    """The request takes other elements in place of age_over_18: sets of elements, the preferred first."""
    element = [NAMESPACE, "age_over_18"]
    sets = [[[NAMESPACE, name] for name in names] for names in alternatives]
    info = {"alternativeDataElements": [{"requestedElement": element, "alternativeElementSets": sets}]}
    wanted = {NAMESPACE: dict.fromkeys(("family_name", "age_over_18"), False)}
    request = DeviceRequest((DocRequest.of(ItemsRequest(MDL_DOCTYPE, wanted, info)),))
    return {"disclose": got, "request": request}


for _name, _fields in {
    "half of a set": _instead(["birth_date", "issue_date"], got=("family_name", "birth_date")),
    "one element of each of two sets": _instead(
        ["birth_date", "issue_date"], ["height", "sex"], got=("family_name", "birth_date", "sex")
    ),
    "a set for another element": {
        "disclose": ("birth_date", "age_over_18"),
        "request": _instead(["birth_date"], got=())["request"],
    },
}.items():
    attack(
        "request.elements",
        f"in place of an element, {_name}",
        _fields,
        clause="18013-5 second edition (draft) 10.2",
        also=("request.unrequested",),
        why="a set that answers nothing was not asked for either",
        tolerated=LENIENT,
    )
attack(
    "request.unrequested",
    "an element, and beside it what may stand in its place",
    _instead(["birth_date"], got=("family_name", "age_over_18", "birth_date")),
    clause="18013-5 second edition (draft) 10.2",
    tolerated=LENIENT,
)

# --- plausible types --------------------------------------------------------------------------------------------------

for _identifier, _name, _value in (
    ("family_name", "bytes", b"Mustermann"),
    ("birth_date", "a moment", TDate("1990-02-11T00:00:00Z")),
    ("issue_date", "a number", 20240211),
    ("expiry_date", "a day that is none", FullDate("2032-02-30")),
    ("expiry_date", "a day that is none, as text without its tag", "2032-02-30"),
    ("expiry_date", "a day with more text behind it", "2032-02-11 or so"),
    ("birth_date", "a moment that is none", TDate("1990-02-11T25:00:00Z")),
    ("portrait", "text", "picture"),
    ("driving_privileges", "a map", {"vehicle_category_code": "B"}),
    ("driving_privileges", "a privilege without its category", [{"issue_date": FullDate("2024-02-11")}]),
    (
        "driving_privileges",
        "a code whose value is a number",
        [{"vehicle_category_code": "B", "codes": [{"code": "01", "sign": "=", "value": 6}]}],
    ),
    ("age_over_18", "a number", 1),
    ("age_over_21", "text", "true"),
    ("sex", "text", "F"),
    ("height", "a negative number", -171),
    ("weight", "a float", 68.5),
    ("un_distinguishing_sign", "a number", 1),
    ("document_number", "a number", 42),
    ("age_in_years", "text", "36"),
):
    attack(
        "elements.types",
        f"{_identifier} as {_name}",
        lambda identifier=_identifier, value=_value: valued(**{identifier: value}),
        tolerated=LENIENT,
    )
for _name, _value in {"a number": 7, "bytes": b"US-UT"}.items():
    attack(
        "elements.types",
        f"a jurisdiction that is {_name}, under a signer and a root that name no state",
        lambda value=_value: _stateless() | {"items": {"issuing_jurisdiction": {"value": value}}},
        tolerated=LENIENT,
        under={Policy.AAMVA: refused("elements.types", "subject.jurisdiction")},
    )
attack(
    "elements.types",
    "a device-signed element of the wrong type",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann"}},
        "device_elements": {NAMESPACE: {"age_over_18": 1}},
        "key_authorizations": {"nameSpaces": [NAMESPACE]},
    },
    tolerated=LENIENT,
)

CASES = attack.rows

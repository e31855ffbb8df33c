"""Attacks on the response, the security object, the items, the device's proof, the subject and the request."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from mdl.cbor import FullDate, Tag, TDate, bstr, encode, wrap24
from mdl.cose import encode_key
from mdl.keys import hkdf_sha256, raw_to_der
from mdl.mdoc import SessionTranscript
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    DeviceAuth,
    Item,
    Recipe,
    deterministic_ephemeral_key,
    deterministic_key,
    pairs,
    raw,
    request_for,
    sample_transcript,
    widen,
)
from reader.report import Outcome, Policy, Revocation
from reader.revocation import Evidence
from tests.attacks.stage import (
    AUTHORITY,
    DAY,
    DOMESTIC,
    LENIENT,
    NAMESPACE,
    PID,
    SECOND,
    Fields,
    Table,
    asking,
    device_auth,
    device_authentication,
    device_signature,
    document,
    licence,
    moment,
    signer,
)

attack = Table()

# --- the response -----------------------------------------------------------------------------------------------------

for _version in (
    "2.0",
    "0.9",
    "10.0",
    "1",
    "",
    "1.",
    ".0",
    "1.0.0",
    "-1.0",
    "+1.0",
    " 1.0",
    "1.0 ",
    "one",
    "١.٠",
    "1,0",
):
    attack("response.version", f"version {_version!r}", {"response_version": _version})

for _status in (1, 10, 11, 12, 20, 255, 2**63):
    attack("response.status", f"status {_status} with a document", {"response_status": _status})


def response(change: Any) -> Fields:
    return {"mutate_response": change}


for _name, _response in {
    "none": lambda given: given.pop("documents"),
    "an empty array": lambda given: given.update(documents=[]),
    "only errors": lambda given: (given.pop("documents"), given.update(documentErrors=[{MDL_DOCTYPE: 0}])),
    "only zkDocuments": lambda given: (given.pop("documents"), given.update(zkDocuments=[{"proof": b""}])),
    "only encryptedDocuments": lambda given: (given.pop("documents"), given.update(encryptedDocuments=[{}])),
    "zkDocuments beside a document": lambda given: given.update(zkDocuments=[{"proof": b""}]),
    "encryptedDocuments beside a document": lambda given: given.update(encryptedDocuments=[{}]),
}.items():
    attack("response.documents", _name, response(_response))

# --- the security object ----------------------------------------------------------------------------------------------

for _version in ("2.0", "0.1", "1", "", "v1.0"):
    attack("mso.version", f"version {_version!r}", {"mso_version": _version})

for _doctype in (PID, "org.iso.18013.5.1.mdl", f"{MDL_DOCTYPE} ", "org.iso.18013.5.1"):
    attack("mso.doctype", f"issued as {_doctype!r}, presented as a licence", {"mso_doctype": _doctype})
attack(
    "mso.doctype",
    "issued as a licence, presented as a PID",
    lambda: {"document_doctype": PID, "request": request_for((PID, {NAMESPACE: list(licence()[NAMESPACE])}))},
)

for _algorithm, _hash in {
    "SHA-1": "sha1",
    "MD5": "md5",
    "SHA-224": "sha224",
    "SHA-512/256": "sha512_256",
    "SHA3-256": "sha3_256",
    "sha-256": "sha256",
    "SHA256": "sha256",
    "": "sha256",
}.items():
    attack(
        "mso.digest_algorithm",
        f"digests by {_algorithm!r}",
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
)

SIGNED_WITHIN = "mso.signed_within_certificate"
attack(
    SIGNED_WITHIN,
    "signed a second before the certificate begins",
    lambda: {"signed": AUTHORITY.ds_certificate.not_before - SECOND},
)
attack(SIGNED_WITHIN, "signed years before", {"signed": moment(-1000 * DAY)})
attack(
    SIGNED_WITHIN,
    "signed a second after the certificate ends",
    lambda: signer(not_after=moment(DAY)) | {"signed": moment(DAY + SECOND), "valid_from": TEST_TIME},
    also=(MSO_VALIDITY,),
    why="a certificate that is still valid ends in the future, and what is signed then is signed too late",
    policies=(Policy.ISO_STRICT, Policy.AAMVA),
)

for _name, _status_member in {"text": "valid", "a list": [], "an integer": 0, "true": True}.items():
    attack(
        "mso.status",
        f"a status that is {_name}",
        {"mutate_mso": lambda mso, value=_status_member: mso.update(status=value)},
    )
_STATUS = {"status_list": {"idx": 1, "uri": "https://throwaway.example/status"}}
attack("mso.status", "a status list token that cannot be used",
       {"mso_status": _STATUS, "evidence": Evidence(status_tokens=(b"token",))})  # fmt: skip
attack(
    "mso.status",
    "evidence demanded and absent",
    lambda: {
        "mso_status": _STATUS,
        "evidence": Evidence(crls=(AUTHORITY.crl(),)),
        "revocation": Revocation.REQUIRED,
    },
    outcome=Outcome.INDETERMINATE,
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


def member(**changes: Any) -> Fields:
    return content(encode(_MEMBERS | changes))


for _name, _fields in {
    **{f"without {name}": item(order=[one for one in _MEMBERS if one != name]) for name in _MEMBERS},
    "digestID is text": member(digestID="11"),
    "digestID is negative": member(digestID=-1),
    "digestID is too large": member(digestID=2**31),
    "digestID is true": member(digestID=True),
    "digestID is a float": member(digestID=11.0),
    "digestID is a bignum": member(digestID=Tag(2, b"\x0b")),
    "digestID is null": member(digestID=None),
    "random is text": member(random="0" * 32),
    "random is a list": member(random=[0] * 32),
    "random is null": member(random=None),
    "elementIdentifier is bytes": member(elementIdentifier=b"administrative_number"),
    "elementIdentifier is empty": member(elementIdentifier=""),
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
    attack(ENCODING, f"an item: {_name}", _fields)

DIGEST = "issuer_data.digest"


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
        | {"request": asking(for_=[*(set(licence()[NAMESPACE]) - {"age_over_18"}), "age_over_65"])}
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


attack(UNIQUE, "an element twice, with two values, both signed", lambda: _second_item())
attack(UNIQUE, "an element twice, with one value, both signed", lambda: _second_item(value=True))
attack(UNIQUE, "an element and its opposite first", lambda: _opposite_first())
attack(UNIQUE, "an item sent twice", {"items": {"age_over_18": {"copies": 2}}})
attack(UNIQUE, "an item sent nine times", {"items": {"family_name": {"copies": 9}}})


def _opposite_first() -> Fields:
    fields = _second_item()
    change = fields["mutate_items"]

    def first(items: list[Item]) -> None:
        change(items)
        items.insert(0, items.pop())

    return {"mutate_items": first}


attack(
    UNIQUE,
    "two elements under one digest id",
    {"items": {"age_over_18": {"digest_id": 0}}},
    also=(DIGEST,),
    why="there is one digest for one id, so one of the two cannot match it",
)
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

# --- the device's proof -----------------------------------------------------------------------------------------------

PRESENT = "device_auth.present"
_NO_PROOF = ("device_auth.algorithm", "device_auth.signature", "device_auth.mac")
_NO_PROOF_WHY = "there is no one proof to look at"


def _present(name: str, fields: Any) -> None:
    attack(PRESENT, name, fields, left_open=_NO_PROOF, why=_NO_PROOF_WHY)


_present("deviceSigned is missing", document(lambda one: one.pop("deviceSigned")))
_present("neither signature nor MAC", {"device_auth": DeviceAuth.NONE})
_present("both signature and MAC", {"device_auth": DeviceAuth.BOTH})
_present("a proof of another name", device_auth(lambda auth: auth.update(signature=auth.pop("deviceSignature"))))

DEVICE_ALGORITHM = "device_auth.algorithm"


def _device_algorithm(name: str, fields: Any, *, mac: bool = False) -> None:
    attack(
        DEVICE_ALGORITHM,
        name,
        fields,
        left_open=("device_auth.mac" if mac else "device_auth.signature",),
        why="a proof is not tried with an algorithm that is not its key's",
    )


for _name, _header in {
    "none": {},
    "an empty header": b"",
    "0": {1: 0},
    "null": {1: None},
    "ES384 with P-256": {1: -35},
    "EdDSA with P-256": {1: -8},
    "RS256": {1: -257},
    "ES256K": {1: -47},
    "HMAC 256/256": {1: 5},
    "a fully specified name of the same": {1: -9},
    "text": {1: "ES256"},
    "true": {1: True},
}.items():
    _device_algorithm(f"deviceSignature names {_name}", {"device_protected": _header})
for _name, _header in {
    "none": {},
    "an empty header": b"",
    "HMAC 256/64": {1: 4},
    "HMAC 384/384": {1: 6},
    "HMAC 512/512": {1: 7},
    "ES256": {1: -7},
    "AES-MAC": {1: 14},
    "text": {1: "HS256"},
    "true": {1: True},
    "a float": {1: 5.0},
}.items():
    _device_algorithm(
        f"deviceMac names {_name}", {"device_auth": DeviceAuth.MAC, "device_protected": _header}, mac=True
    )

_POINT = encode_key(deterministic_key("device").public_key)
for _name, _key in {
    "a point that is not on its curve": _POINT | {-2: bytes(32)},
    "a point cut short": _POINT | {-2: _POINT[-2][:-1]},
    "a coordinate with a zero in front": _POINT | {-2: b"\0" + _POINT[-2]},
    "the point of another curve": _POINT | {-1: 256},
    "secp256k1": _POINT | {-1: 8},
    "brainpoolP320r1": _POINT | {-1: 257},
    "a curve as text": _POINT | {-1: "P-256"},
    "a symmetric key": {1: 4, -1: bytes(32)},
    "an RSA key": {1: 3, -1: bytes(256), -2: b"\1\0\1"},
    "no key type": {name: value for name, value in _POINT.items() if name != 1},
    "no y": {name: value for name, value in _POINT.items() if name != -3},
    "another key type": _POINT | {1: 1},
    "an empty map": {},
    "X25519": {1: 1, -1: 4, -2: bytes(range(1, 33))},
}.items():
    _device_algorithm(f"a device key: {_name}", {"mso_device_key": _key})

DEVICE_SIGNATURE = "device_auth.signature"


def _device_signature(name: str, fields: Any, **expected: Any) -> None:
    attack(DEVICE_SIGNATURE, name, fields, **expected)


def _other_session(seed: str) -> SessionTranscript:
    return sample_transcript(deterministic_ephemeral_key("reader").public_key, seed=seed)


_device_signature("by another device", {"device_signer": deterministic_key("attacker")})
_device_signature("by the issuer", lambda: {"device_signer": AUTHORITY.ds_key})
_device_signature("in another session", lambda: {"device_transcript": _other_session("yesterday")})
_device_signature(
    "in a session with another reader",
    lambda: {"device_transcript": sample_transcript(deterministic_ephemeral_key("thief").public_key)},
)
_device_signature("the reader was in another session", lambda: {"session": _other_session("today")})
_device_signature("for another document type", {"device_doctype": PID})
_device_signature("for no document type", {"device_doctype": ""})


def _transcript_changed(change: Any) -> Fields:
    """The device has seen another transcript than the reader."""
    from mdl.cbor import decode_view

    parts = decode_view(_other_session("session").encoded)
    return {"device_transcript": SessionTranscript(encode(change(parts)))}


for _name, _change in {
    "with another handover": lambda parts: [parts[0], parts[1], [b"", b""]],
    "with no engagement": lambda parts: [None, parts[1], parts[2]],
    "with no reader key": lambda parts: [parts[0], None, parts[2]],
    "with the parts exchanged": lambda parts: [parts[1], parts[0], parts[2]],
}.items():
    _device_signature(f"over a transcript {_name}", lambda change=_change: _transcript_changed(change))


def _elements_changed(given: dict[str, Any]) -> None:
    """Device-signed elements, authorised by the issuer, put in after the device has signed none."""
    given["documents"][0]["deviceSigned"]["nameSpaces"] = raw(wrap24(encode({"org.example": {"x": 1}})))


_AUTHORISED = {"key_authorizations": {"nameSpaces": ["org.example"]}}
_device_signature(
    "elements put in afterwards",
    lambda: (
        _AUTHORISED
        | {
            "mutate_response": _elements_changed,
            "request": request_for((MDL_DOCTYPE, {**{NAMESPACE: list(licence()[NAMESPACE])}, "org.example": ["x"]})),
        }
    ),
)
_device_signature(
    "elements taken out afterwards",
    lambda: (
        _AUTHORISED
        | {"device_elements": {"org.example": {"x": 1}}, "request": asking()}
        | document(lambda one: one["deviceSigned"].update(nameSpaces=raw(wrap24(b"\xa0"))))
    ),
)
_device_signature(
    "the namespaces encoded in another way",
    document(lambda one: one["deviceSigned"].update(nameSpaces=raw(b"\xd8\x18\x58\x01\xa0"))),
)


def _device_signature_changed(change: Any) -> Fields:
    return device_auth(lambda auth: auth["deviceSignature"].__setitem__(3, change(auth["deviceSignature"][3])))


for _name, _change in {
    "one bit changed": lambda given: given[:-1] + bytes((given[-1] ^ 1,)),
    "cut short": lambda given: given[:-1],
    "a byte longer": lambda given: given + b"\0",
    "DER": raw_to_der,
    "empty": lambda _: b"",
    "all zeros": lambda _: bytes(64),
    "the issuer's own signature": lambda _: _issuer_signature(),
}.items():
    _device_signature(_name, lambda change=_change: _device_signature_changed(change))


def _issuer_signature() -> bytes:
    recipe = Recipe(namespaces=licence())
    made = recipe.document(sample_transcript(recipe.reader_key.public_key), recipe.reader_key.public_key)
    signature: bytes = made["issuerSigned"]["issuerAuth"][3]
    return signature


for _name, _fields in {
    "over the bare array": lambda: device_signature(device_authentication()),
    "over the byte string without its tag": lambda: device_signature(bstr(device_authentication())),
    "with external data": lambda: device_signature(wrap24(device_authentication()), aad=b"x"),
    "in the context of a MAC": lambda: device_signature(wrap24(device_authentication()), context="MAC0"),
    "in the context of a countersignature": lambda: device_signature(
        wrap24(device_authentication()), context="CounterSignature"
    ),
    "over a transcript under tag 24": lambda: device_signature(
        wrap24(
            encode(
                [
                    "DeviceAuthentication",
                    raw(wrap24(_other_session("session").encoded)),
                    MDL_DOCTYPE,
                    raw(wrap24(b"\xa0")),
                ]
            )
        )
    ),
    "over what a reader signs": lambda: device_signature(
        wrap24(encode(["ReaderAuthentication", raw(_other_session("session").encoded), raw(wrap24(asking().encode()))]))
    ),
    "of another document of the same device": lambda: device_signature(wrap24(device_authentication(doctype=PID))),
}.items():
    _device_signature(_name, _fields)
_device_signature(
    "with the payload sent along",
    device_auth(lambda auth: auth["deviceSignature"].__setitem__(2, wrap24(device_authentication()))),
)
_device_signature(
    "with an empty payload sent along", device_auth(lambda auth: auth["deviceSignature"].__setitem__(2, b""))
)
_device_signature(
    "a header added to the protected ones",
    device_auth(lambda auth: auth["deviceSignature"].__setitem__(0, encode({1: -7, 4: b"kid"}))),
)

MAC = "device_auth.mac"


def _mac(name: str, fields: Any, **expected: Any) -> None:
    given = fields if callable(fields) else lambda: fields
    attack(MAC, name, lambda: {"device_auth": DeviceAuth.MAC} | given(), **expected)


_mac("by another device", {"device_signer": deterministic_key("attacker")})
_mac("in another session", lambda: {"device_transcript": _other_session("yesterday")})
_mac("the reader was in another session", lambda: {"session": _other_session("today")})
_mac("for another document type", {"device_doctype": PID})
_mac("another reader's key", lambda: {"ephemeral_key": deterministic_ephemeral_key("other reader")})
_mac("a reader's key on another curve", lambda: {"ephemeral_key": deterministic_ephemeral_key("reader", "P-384")})
_mac("a reader's key of the other kind", lambda: {"ephemeral_key": deterministic_ephemeral_key("reader", "X25519")})
_mac("a session without a reader's key", {"without_key": True})
_mac("a device key that cannot agree secrets", lambda: _mac_by(bytes(32)) | {"mso_device_key": _edwards()})


def _edwards() -> dict[int, Any]:
    return encode_key(deterministic_key("device", "Ed25519").public_key)


def _mac_by(key: bytes, authenticated: bytes | None = None, context: str = "MAC0", aad: bytes = b"") -> Fields:
    """A deviceMac by this key over these bytes."""
    protected = bytes.fromhex("a10105")
    payload = wrap24(device_authentication()) if authenticated is None else authenticated
    tag = hmac.digest(key, encode([context, protected, aad, payload]), "sha256")
    return device_auth(lambda auth: auth["deviceMac"].__setitem__(3, tag))


def _derived(*, salt: bytes | None = None, info: bytes = b"EMacKey") -> bytes:
    secret = deterministic_key("device").agree(deterministic_ephemeral_key("reader").public_key)
    honest = hashlib.sha256(_other_session("session").tagged).digest()
    return hkdf_sha256(secret, salt=honest if salt is None else salt, info=info, length=32)


def _agreed() -> bytes:
    return deterministic_key("device").agree(deterministic_ephemeral_key("reader").public_key)


for _name, _fields in {
    "by a key that everybody knows": lambda: _mac_by(bytes(32)),
    "by the empty key": lambda: _mac_by(b""),
    "by the agreed secret itself": lambda: _mac_by(_agreed()),
    "by a key of another purpose": lambda: _mac_by(_derived(info=b"SKDevice")),
    "by a key with no salt": lambda: _mac_by(_derived(salt=b"")),
    "by a key salted with the bare transcript": lambda: _mac_by(
        _derived(salt=hashlib.sha256(_other_session("session").encoded).digest())
    ),
    "over the bare array": lambda: _mac_by(_derived(), device_authentication()),
    "in the context of a signature": lambda: _mac_by(_derived(), context="Signature1"),
    "in the context of several recipients": lambda: _mac_by(_derived(), context="MAC"),
    "with external data": lambda: _mac_by(_derived(), aad=b"x"),
}.items():
    _mac(_name, _fields)


def _tag_changed(change: Any) -> Fields:
    return device_auth(lambda auth: auth["deviceMac"].__setitem__(3, change(auth["deviceMac"][3])))


for _name, _change in {
    "one bit changed": lambda given: given[:-1] + bytes((given[-1] ^ 1,)),
    "cut to 8 bytes": lambda given: given[:8],
    "cut to 16 bytes": lambda given: given[:16],
    "cut by a byte": lambda given: given[:-1],
    "a byte longer": lambda given: given + b"\0",
    "empty": lambda _: b"",
    "all zeros": lambda _: bytes(32),
}.items():
    _mac(_name, lambda change=_change: _tag_changed(change))
_mac("with the payload sent along", device_auth(lambda auth: auth["deviceMac"].__setitem__(2, b"")))

AUTHORIZED = "device_data.authorized"
for _name, _authorizations in {
    "nothing": None,
    "another namespace": {"nameSpaces": ["org.example.other"]},
    "a namespace that the name begins with": {"nameSpaces": ["org"]},
    "a namespace that begins with the name": {"nameSpaces": ["org.example.sub"]},
    "another element": {"dataElements": {"org.example": ["location"]}},
    "the element in another namespace": {"dataElements": {"org.example.other": ["amount"]}},
    "the element's name as a namespace": {"nameSpaces": ["amount"]},
    "the element in other case": {"dataElements": {"org.example": ["Amount"]}},
}.items():
    attack(
        AUTHORIZED,
        f"the issuer authorised {_name}",
        {"device_elements": {"org.example": {"amount": 100}}, "key_authorizations": _authorizations},
    )
attack(
    AUTHORIZED,
    "one of two elements authorised",
    {
        "device_elements": {"org.example": {"amount": 100, "payee": "somebody"}},
        "key_authorizations": {"dataElements": {"org.example": ["amount"]}},
    },
)
attack(
    AUTHORIZED,
    "one of two namespaces authorised",
    {
        "device_elements": {"org.example": {"amount": 100}, "org.example.other": {"amount": 1}},
        "key_authorizations": {"nameSpaces": ["org.example"]},
    },
)
attack(
    AUTHORIZED,
    "an age that the issuer never stated",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", "age_over_18": True}},
        "device_elements": {NAMESPACE: {"age_over_21": True}},
        "request": asking(for_=["family_name", "age_over_18", "age_over_21"]),
    },
)

# --- the subject ------------------------------------------------------------------------------------------------------

for _country in ("CA", "UT", "DE"):
    attack("subject.country", f"issuing_country {_country}", {"items": {"issuing_country": {"value": _country}}})
for _name, _value in {
    "small letters": "us",
    "three letters": "USA",
    "a number": 840,
    "bytes": b"US",
    "null": None,
}.items():
    attack(
        "subject.country",
        f"issuing_country in {_name}",
        {"items": {"issuing_country": {"value": _value}}},
        also=("elements.types",),
        why="what is no country code is of the wrong type as well",
        policies=(Policy.ISO_STRICT, Policy.AAMVA),
    )
for _state in ("US-NV", "CA-ON", "US-U"):
    attack(
        "subject.jurisdiction", f"issuing_jurisdiction {_state}", {"items": {"issuing_jurisdiction": {"value": _state}}}
    )
attack("subject.jurisdiction", "issuing_jurisdiction without its country",
       {"items": {"issuing_jurisdiction": {"value": "UT"}}}, also=("elements.types",),
       why="a state without its country is of the wrong form as well",
       policies=(Policy.ISO_STRICT, Policy.AAMVA))  # fmt: skip


def _stateless() -> Fields:
    from mdl.testing import ThrowawayAuthority

    return {"authority": ThrowawayAuthority("Stateless", state=None)}


attack("subject.jurisdiction", "a document signer without a state", _stateless, policies=(Policy.AAMVA,))

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
    "a document type in other case was asked for",
    lambda: {"request": asking(doctype="org.iso.18013.5.1.mdl")},
    left_open=("request.elements", "request.unrequested"),
    why="what was not asked for cannot be complete",
)


def _asked(*names: str, got: tuple[str, ...]) -> Fields:
    return {"disclose": got, "request": asking(for_=names)}


def _ages(asked: str, **stated: bool) -> Fields:
    """One age statement asked for, others given."""
    return {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", **stated}},
        "request": asking(for_=["family_name", asked]),
    }


for _name, _fields in {
    "one is missing": _asked("family_name", "given_name", got=("family_name",)),
    "the portrait is missing": _asked("family_name", "portrait", got=("family_name",)),
    "nothing is returned": {"disclose": ()},
    "an age statement is missing": _ages("age_over_18"),
    "an element of another namespace is missing": {
        "request": request_for((MDL_DOCTYPE, {NAMESPACE: list(licence()[NAMESPACE]), DOMESTIC: ["organ_donor"]}))
    },
}.items():
    attack("request.elements", _name, _fields, tolerated=LENIENT)
for _name, _fields in {
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
for _name, _fields in {
    "one more": _asked("family_name", got=("family_name", "given_name")),
    "the portrait": _asked("family_name", got=("family_name", "portrait")),
    "a second age statement": _ages("age_over_18", age_over_18=True, age_over_21=True),
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
    "two requests for one type, each answered in part",
    {
        "disclose": ("family_name", "given_name"),
        "request": request_for((MDL_DOCTYPE, {NAMESPACE: ["family_name"]}), (MDL_DOCTYPE, {NAMESPACE: ["given_name"]})),
    },
    tolerated=LENIENT,
)

# --- plausible types --------------------------------------------------------------------------------------------------

for _identifier, _value in {
    "family_name": b"Mustermann",
    "birth_date": "1990-02-11",
    "issue_date": 20240211,
    "expiry_date": FullDate("2032-02-30"),
    "portrait": "picture",
    "driving_privileges": {"vehicle_category_code": "B"},
    "age_over_18": 1,
    "age_over_21": "true",
    "sex": "F",
    "height": -171,
    "weight": 68.5,
    "nationality": "USA",
    "un_distinguishing_sign": 1,
    "document_number": 42,
    "age_in_years": "36",
}.items():
    attack(
        "elements.types",
        f"{_identifier} as {type(_value).__name__}",
        {"items": {_identifier: {"value": _value}}},
        tolerated=LENIENT,
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

# --- several documents ------------------------------------------------------------------------------------------------


def _second(**fields: Any) -> Recipe:
    return Recipe(namespaces=licence(), seed="second", **fields)


def _both_asked() -> Any:
    wanted = (MDL_DOCTYPE, {NAMESPACE: list(licence()[NAMESPACE])})
    return request_for(wanted, wanted)


def _proof_of_first(given: dict[str, Any]) -> None:
    given["documents"][1]["deviceSigned"] = given["documents"][0]["deviceSigned"]


attack(
    DIGEST,
    "the second of two documents forged",
    lambda: {"others": [_second(items={"birth_date": {"presented": {"elementValue": FullDate("2001-01-01")}}})]},
)
attack(
    DEVICE_SIGNATURE,
    "the second document is of another device, with the proof of the first",
    lambda: {
        "others": [_second(device_key=deterministic_key("stolen phone"))],
        "mutate_response": _proof_of_first,
        "request": _both_asked(),
    },
)
attack(
    DEVICE_SIGNATURE,
    "two documents with each other's proofs",
    lambda: {
        "others": [_second(device_key=deterministic_key("second phone"))],
        "mutate_response": lambda given: _exchange_proofs(given["documents"]),
        "request": _both_asked(),
    },
)


def _exchange_proofs(documents: list[dict[str, Any]]) -> None:
    one, two = documents
    one["deviceSigned"], two["deviceSigned"] = two["deviceSigned"], one["deviceSigned"]


attack(
    "request.doctype",
    "a second document of a type that was not asked for",
    lambda: {
        "others": [_second(doctype=PID)],
        "request": asking(),
    },
    left_open=("request.elements", "request.unrequested"),
    why="what was not asked for cannot be complete",
)

ATTACKS = attack.rows

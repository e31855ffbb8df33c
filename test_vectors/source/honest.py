"""Honest presentations, however unusual: none of them may be refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from mdl.cbor import FullDate, Tag, Tagged24, TDate, encode, wrap24
from mdl.cose import encode_key
from mdl.doctypes import AAMVA_NAMESPACE
from mdl.mdoc import DeviceRequest, DocRequest, ItemsRequest
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    DeviceAuth,
    Item,
    Recipe,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    pairs,
    raw,
    request_for,
    sample_licence,
)
from reader.report import Policy
from test_vectors.source.case import Honest, Kind, refused
from test_vectors.source.encodings import SMALL, item_sabotages, sabotages
from test_vectors.source.stage import (
    AUTHORITY,
    DAY,
    DOMESTIC,
    ENCRYPTED_DOCUMENTS,
    NAMESPACE,
    PID,
    SECOND,
    ZK_DOCUMENTS,
    Fields,
    asking,
    device_auth,
    document,
    licence,
    moment,
    valued,
)

SIGNING_CURVES = (
    *("P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "Ed25519", "Ed448"),
)
AGREEING_CURVES = (
    *("P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "X25519", "X448"),
)


accept = Honest()
_values: Any

accept.section("response", "18013-5 8.3.2.1.2")
accept("the plain scene")
accept("a portrait of 20 kB", lambda: {"namespaces": sample_licence()})
accept("a portrait of 200 kB", lambda: {"namespaces": sample_licence(portrait_size=200_000)}, bulky=True)

# --- keys and algorithms ----------------------------------------------------------------------------------------------


@cache
def authority_on(curve: str, ds_curve: str) -> ThrowawayAuthority:
    return ThrowawayAuthority(f"Root on {curve}, signer", curve=curve, ds_curve=ds_curve)


accept.section("signature", "18013-5 9.1.5.2")
for _curve in SIGNING_CURVES:
    accept(f"a document signer on {_curve}", lambda curve=_curve: {"authority": authority_on("P-256", curve)})
    accept(
        f"a device key on {_curve}",
        lambda curve=_curve: {"device_key": deterministic_key("device", curve)},
        group="device",
    )
    if not _curve.startswith("Ed"):
        accept(f"a root on {_curve}", lambda curve=_curve: {"authority": authority_on(curve, "P-256")})
accept.section("device", "18013-5 9.1.3.5")
for _curve in AGREEING_CURVES:
    accept(
        f"a MAC on {_curve}",
        lambda curve=_curve: {
            "device_auth": DeviceAuth.MAC,
            "device_key": deterministic_ephemeral_key("device", curve),
            "reader_key": deterministic_ephemeral_key("reader", curve),
        },
    )


def _with_unused_bit() -> Fields:
    """RFC 7748 §5: the bit is masked, so the key is the same."""
    key = deterministic_ephemeral_key("device", "X25519")
    cose_key = encode_key(key.public_key)
    return {
        "device_auth": DeviceAuth.MAC,
        "device_key": key,
        "reader_key": deterministic_ephemeral_key("reader", "X25519"),
        "mso_device_key": cose_key | {-2: cose_key[-2][:-1] + bytes((cose_key[-2][-1] | 0x80,))},
    }


accept("a MAC on X25519 whose device key has its unused bit set", _with_unused_bit)
accept("a signature where the reader's key is on another curve",
       lambda: {"reader_key": deterministic_ephemeral_key("reader", "X25519")})  # fmt: skip
accept("a signature in a session without a reader's key", {"without_key": True})
for _name in ("SHA-256", "SHA-384", "SHA-512"):
    accept(f"digests by {_name}", {"digest_algorithm": _name}, group="security-object", clause="18013-5 9.1.2.5")
accept.section("device", "18013-5 9.1.2.4")
accept("a compressed device key", lambda: {"mso_device_key": _compressed()})


def _compressed() -> dict[int, Any]:
    key = encode_key(deterministic_key("device").public_key)
    return key | {-3: bool(key[-3][-1] & 1)}


accept(
    "a device key with parameters that say more",
    lambda: {
        "mso_device_key": encode_key(deterministic_key("device").public_key)
        | {2: b"kid", 3: -7, 4: [2], -70001: "x", "note": "mine"}
    },
)
for _name, _more in {
    "a member of no key type": {-5: b"more"},
    "the name of another curve's algorithm": {3: -35},
    "the operation of agreeing secrets, where it signs": {4: [7, 8]},
}.items():
    accept(
        f"a device key with {_name}",
        lambda more=_more: {"mso_device_key": encode_key(deterministic_key("device").public_key) | more},
        warnings=["device_key.members"],
    )
accept(
    "a device key on Ed25519 with a y",
    lambda: {
        "device_key": deterministic_key("device", "Ed25519"),
        "mso_device_key": encode_key(deterministic_key("device", "Ed25519").public_key) | {-3: bytes(32)},
    },
    warnings=["device_key.members"],
)
accept(
    "a device key with the operation of signing, where it agrees a secret",
    lambda: {
        "device_auth": DeviceAuth.MAC,
        "mso_device_key": encode_key(deterministic_key("device").public_key) | {4: [2]},
    },
    warnings=["device_key.members"],
)

# --- COSE -------------------------------------------------------------------------------------------------------------

accept.section("signature", "18013-5 9.1.2.4")
for _name, _form in {"a signature": DeviceAuth.SIGNATURE, "a MAC": DeviceAuth.MAC}.items():
    accept(f"COSE messages under their tags, with {_name}", {"cose_tags": True, "device_auth": _form},
           warnings=["cose.tagged"])  # fmt: skip
accept("x5chain as an array of one", lambda: {"x5chain": [AUTHORITY.ds_certificate.der]}, warnings=["x5chain.form"])
accept(
    "x5chain with the root in it",
    lambda: {"x5chain": [AUTHORITY.ds_certificate.der, AUTHORITY.iaca_certificate.der]},
    warnings=["x5chain.extra"],
)
accept(
    "x5chain with something else in it",
    lambda: {"x5chain": [AUTHORITY.ds_certificate.der, b"not even a certificate"]},
    warnings=["x5chain.extra"],
)
accept(
    "x5chain in the protected header",
    lambda: {"issuer_protected": {1: -7, 33: AUTHORITY.ds_certificate.der}, "issuer_unprotected": {}},
    warnings=["x5chain.form"],
)
accept(
    "a thumbprint of the certificate in the protected header",
    lambda: {"issuer_protected": {1: -7, 34: [-16, AUTHORITY.ds_certificate.fingerprint]}},
)
for _name, _thumbprint in {
    "by SHA-512": [-44, hashlib.sha512(AUTHORITY.ds_certificate.der).digest()],
    "by the first half of SHA-256": [-15, AUTHORITY.ds_certificate.fingerprint[:8]],
    "by an algorithm that is not known here": [-99, bytes(32)],
    "in another form": AUTHORITY.ds_certificate.fingerprint,
}.items():
    accept(f"a thumbprint {_name} in the protected header", {"issuer_protected": {1: -7, 34: _thumbprint}},
           kind=Kind.MAY_REJECT)  # fmt: skip
accept(
    "more headers",
    lambda: {
        "issuer_protected": {1: -7, 16: "application/mdoc", "text": 1, -70000: [1]},
        "issuer_unprotected": {4: b"kid", 33: AUTHORITY.ds_certificate.der, "more": {"a": None}},
        "device_protected": {1: -7, 4: b"device"},
    },
)
accept("the device's unprotected header says something",
       device_auth(lambda auth: auth["deviceSignature"][1].update({4: b"kid"})), kind=Kind.MAY_REJECT)  # fmt: skip
accept("protected headers in heads that are not minimal",
       {"issuer_protected": bytes.fromhex("b80118013806"), "device_protected": bytes.fromhex("a1013806")},
       warnings=["cbor.long_head"])  # fmt: skip

# --- encodings --------------------------------------------------------------------------------------------------------


def _all_items(change: Callable[..., object]) -> Fields:
    def each(items: list[Item]) -> None:
        for item in items:
            change(item)

    return {"mutate_items": each}


# What is not of the shortest form departs from the standard; a reader that digests what it has received takes it.
accept.section("items", "18013-5 9.1.2.5")
for _size in (2, 4, 8):
    accept(
        f"items whose length takes {_size} bytes, as they were digested",
        _all_items(lambda item, size=_size: setattr(item, "length_size", size)),
        warnings=["cbor.long_head"],
    )
accept(
    "items whose tag takes two bytes, as they were digested",
    _all_items(lambda item: setattr(item, "encoded", b"\xd9\x00" + item.encode()[1:])),
    warnings=["cbor.long_head"],
)
accept("members of items in another order",
       _all_items(lambda item: setattr(item, "order", sorted(item.order))))  # fmt: skip
accept("members of items in reverse order",
       _all_items(lambda item: setattr(item, "order", list(reversed(item.order)))))  # fmt: skip
accept(
    "items with more members",
    _all_items(lambda item: setattr(item, "extra", {"": 1, "org.example.note": {"a": [1, b""]}, "digestId": "x"})),
)
accept(
    "items with members that are maps with any keys",
    _all_items(lambda item: setattr(item, "extra", {"map": {1: 2, b"x": 3, -1: 4}})),
)
accept("items in reverse order", {"mutate_items": lambda items: items.reverse()})
accept("an item with a salt of 16 bytes", {"random_size": 16})
accept("an item with a salt of a kilobyte", {"items": {"sex": {"random": bytes(1024)}}})
accept("the largest digest id", {"items": {"sex": {"digest_id": 2**31 - 1}}})
accept("digests of nothing", {"decoys": 20})
for _name, _fields in item_sabotages("wide"):
    accept(f"a head of nine bytes {_name}", lambda fields=_fields: {"namespaces": SMALL} | fields,
           warnings=["cbor.long_head"])  # fmt: skip
accept.section("response", "18013-5 8.3.2.1.2")
for _name, _fields in sabotages("wide"):
    accept(
        f"a head of nine bytes {_name}",
        lambda fields=_fields: {"namespaces": SMALL} | fields | _with_device_elements(fields),
        # The status of these has a place in a status list, and there is no list at hand.
        left_open=("mso.status",) if "in the security object" in _name else (),
        warnings=["cbor.long_head"],
    )


def _with_device_elements(fields: Fields) -> Fields:
    """The response's places are those of a response without device-signed elements."""
    return {} if "device_elements" in fields else {"device_elements": {}}


def _reordered(value: Any) -> bytes:
    """The same value with every map in reverse order."""
    return encode(_reverse(value))


def _reverse(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _reverse(value[name]) for name in reversed(list(value))}
    return [_reverse(one) for one in value] if isinstance(value, list) else value


accept("every map of the response in reverse order", {"encode_response": _reordered})
accept("every map of the security object in reverse order", {"encode_mso": _reordered})
accept("the device's namespaces in a head that is not minimal", {"device_name_spaces": b"\xb8\x00"},
       group="device", warnings=["cbor.long_head"])  # fmt: skip

# --- what may be there as well ----------------------------------------------------------------------------------------

_EXTRA = {"org.example.extension": {"a": [1, None, True, 1.5, b"x"]}, "x": "y", "digestId": 1}


def _extended(where: Callable[[dict[str, Any]], dict[str, Any]]) -> Fields:
    return {"mutate_response": lambda given: where(given).update(_EXTRA)}


for _name, _where in {
    "the response": lambda given: given,
    "a document": lambda given: given["documents"][0],
    "issuerSigned": lambda given: given["documents"][0]["issuerSigned"],
    "deviceSigned": lambda given: given["documents"][0]["deviceSigned"],
}.items():
    accept(f"unknown members of {_name}", _extended(_where))
for _name, _where in {
    "the security object": lambda mso: mso,
    "deviceKeyInfo": lambda mso: mso["deviceKeyInfo"],
    "validityInfo": lambda mso: mso["validityInfo"],
    "keyAuthorizations": lambda mso: mso["deviceKeyInfo"]["keyAuthorizations"],
}.items():
    accept(
        f"unknown members of {_name}",
        group="security-object",
        clause="18013-5 9.1.2.4",
        fields={
            "mutate_mso": lambda mso, where=_where: where(mso).update(_EXTRA),
            "key_authorizations": {"nameSpaces": ["org.example"]},
        },
    )
accept("keyInfo", {"mutate_mso": lambda mso: mso["deviceKeyInfo"].update(keyInfo={1: "x", -1: b"y"})},
       group="security-object", clause="18013-5 9.1.2.4")  # fmt: skip
for _version in ("1.0", "1.1", "1.2", "1.10", "1.99"):
    accept(f"version {_version}", {"response_version": _version, "mso_version": _version})
accept("errors for elements that are not returned",
       document(lambda one: one.update(errors={NAMESPACE: {"signature_usual_mark": 0, "x": -1}})))  # fmt: skip
accept("errors for documents that are not returned",
       {"response_extra": {"documentErrors": [{PID: 0}, {"org.example": -7}]}})  # fmt: skip
accept(
    "an empty list of errors for documents", {"response_extra": {"documentErrors": []}}, warnings=["structure.empty"]
)
accept.section("security-object", "18013-5 9.3.1")
accept("an expected update", {"expected_update": moment(7 * DAY)})
accept("an expected update that is past", {"expected_update": moment(-DAY)})

# --- what the second edition adds -------------------------------------------------------------------------------------

accept.section("response", "18013-5 second edition (draft) 10.3")
for _name, _more in {
    "zkDocuments": {"zkDocuments": ZK_DOCUMENTS},
    "encryptedDocuments": {"encryptedDocuments": ENCRYPTED_DOCUMENTS},
}.items():
    for _version in ("1.0", "1.1"):
        accept(f"{_name} beside a document, version {_version}",
               {"response_extra": _more, "response_version": _version}, kind=Kind.MAY_REJECT)  # fmt: skip

# --- what is disclosed ------------------------------------------------------------------------------------------------

accept.section("response", "18013-5 8.3.2.1.2")
accept("no element at all", {"disclose": (), "without_request": True})
accept("one element", {"disclose": ["age_over_18"]})
accept("no request to compare with", {"without_request": True})
accept(
    "no namespaces, as an empty map",
    {"disclose": (), "without_request": True, "mutate_issuer_signed": lambda signed: signed.update(nameSpaces={})},
    warnings=["structure.empty"],
)
accept.section("items", "18013-5 9.1.2.5")
accept(
    "several namespaces with the same digest ids",
    lambda: {"namespaces": licence({DOMESTIC: {"organ_donor": 1, "licence_class": "D"}, "org.example": {"x": [1]}})},
)
accept("the AAMVA namespace", lambda: {"namespaces": sample_licence(portrait_size=64, aamva=True)})
accept(
    "the same identifier in two namespaces",
    lambda: {"namespaces": licence({DOMESTIC: {"sex": 1}, AAMVA_NAMESPACE: {"sex": 1}})},
)
accept(
    "elements that are not known here", lambda: {"namespaces": licence({"org.example": {"anything": {"a": [None]}}})}
)


accept.section("request", "18013-5 7.2")
for _name, _values in {
    "dates as moments": {"issue_date": TDate("2024-02-11T00:00:00Z"), "expiry_date": TDate("2032-02-11T23:59:59Z")},
    "no driving privileges": {"driving_privileges": []},
    "a privilege without dates and codes": {"driving_privileges": [{"vehicle_category_code": "A2"}]},
    "a distinguishing sign that is empty": {"un_distinguishing_sign": ""},
    "a name of 150 letters": {"family_name": "Ü" * 150},
    "a leap day": {"birth_date": FullDate("2000-02-29")},
    "a JPEG 2000 portrait": {"portrait": bytes.fromhex("0000000c6a5020200d0a870a") + bytes(64)},
    "sex not known": {"sex": 0},
    "an age of nought": {"age_in_years": 0},
}.items():
    accept(f"elements: {_name}", lambda values=_values: valued(**values))
# Sources disagree on this one.
accept("elements: a portrait's date as a day", lambda: valued(portrait_capture_date=FullDate("2024-02-01")),
       warnings=["elements.date_form"])  # fmt: skip
for _name, _values, _code in (
    ("a moment with a fraction", {"issue_date": TDate("2024-02-11T00:00:00.123Z")}, "elements.date_form"),
    ("a moment with an offset", {"expiry_date": TDate("2032-02-11T00:00:00+01:00")}, "elements.date_form"),
    ("an identifier that the namespace does not have", {"no_such_element": "x"}, "elements.unknown"),
):
    accept(f"elements: {_name}", lambda values=_values: valued(**values), warnings=[_code])
for _name, _values in {
    "a day as text without its tag": {"expiry_date": "2032-02-11"},
    "a moment as text without its tag": {"issue_date": "2024-02-11T00:00:00Z"},
    "a birth date as text without its tag": {"birth_date": "1990-02-11"},
    "a privilege's date as text": {
        "driving_privileges": [{"vehicle_category_code": "B", "issue_date": "2024-02-11"}],
    },
}.items():
    accept(
        f"elements: {_name}",
        lambda values=_values: valued(**values),
        kind=Kind.MAY_REJECT,
        warnings=["elements.date_form"],
        note="issuers in the field write dates so, and nobody gains by it",
    )

for _name, _values in {
    "a name of 151 letters": {"family_name": "U" * 151},
    "a name in Greek letters": {"given_name": "\N{GREEK CAPITAL LETTER ETA}"},
    "a portrait that is no picture": {"portrait": b"GIF89a" + bytes(58)},
    "no portrait": {"portrait": b""},
    "sex as a number that means nothing": {"sex": 3},
    "a colour that is not listed": {"eye_colour": "violet"},
    "a nationality in three letters": {"nationality": "USA"},
    "a privilege with an empty list of codes": {"driving_privileges": [{"vehicle_category_code": "B", "codes": []}]},
}.items():
    accept(
        f"elements: {_name}",
        lambda values=_values: valued(**values),
        kind=Kind.MAY_REJECT,
        warnings=["elements.value"],
        note="what the issuer has signed is of the right type, and its value the issuer's affair",
    )

accept(
    "elements: a jurisdiction in words, under a signer and a root that name no state",
    lambda: {
        "authority": ThrowawayAuthority("Stateless", state=None),
        "items": {"issuing_jurisdiction": {"value": "Utah"}},
    },
    kind=Kind.MAY_REJECT,
    warnings=["elements.value", "state.missing"],
    under={Policy.AAMVA: refused("subject.jurisdiction")},
)

# --- what was asked ---------------------------------------------------------------------------------------------------


accept.section("request", "18013-5 8.3.2.1.2")


def _ages(*asked: str, **stated: bool) -> Fields:
    return {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", **stated}},
        "request": asking(for_=["family_name", *asked]),
    }


for _name, _fields in {
    "18 by 21": _ages("age_over_18", age_over_21=True),
    "18 by 65": _ages("age_over_18", age_over_65=True),
    "65 by not 60": _ages("age_over_65", age_over_60=False),
    "21 by not 18": _ages("age_over_21", age_over_18=False),
    "two by one": _ages("age_over_18", "age_over_21", age_over_25=True),
    "two by two others": _ages("age_over_18", "age_over_65", age_over_21=True, age_over_60=False),
    "one by itself, another by another": _ages("age_over_18", "age_over_16", age_over_18=True),
}.items():
    accept(f"an age answered by the nearest statement: {_name}", _fields)
accept(
    "one of two documents asked for",
    lambda: {
        "request": request_for((MDL_DOCTYPE, {NAMESPACE: list(licence()[NAMESPACE])}), (PID, {PID: ["family_name"]}))
    },
)
accept(
    "two requests for one type, of which one is answered",
    {
        "disclose": ["family_name"],
        "request": request_for((MDL_DOCTYPE, {NAMESPACE: ["portrait"]}), (MDL_DOCTYPE, {NAMESPACE: ["family_name"]})),
    },
)
accept(
    "two requests for one type, both answered by one document",
    {
        "disclose": ("family_name", "given_name", "age_over_18"),
        "request": request_for(
            (MDL_DOCTYPE, {NAMESPACE: ["family_name"]}), (MDL_DOCTYPE, {NAMESPACE: ["given_name", "age_over_18"]})
        ),
    },
    kind=Kind.MAY_REJECT,
)


def _alternatives(given: Any, *, got: tuple[str, ...]) -> Fields:
    wanted = {NAMESPACE: dict.fromkeys(("family_name", "age_over_18"), False)}
    request = DeviceRequest((DocRequest.of(ItemsRequest(MDL_DOCTYPE, wanted, {"alternativeDataElements": given})),))
    return {"disclose": got, "request": request}


_AGE = [NAMESPACE, "age_over_18"]
_ALTERNATIVES = {"requestedElement": _AGE, "alternativeElementSets": [
    [[NAMESPACE, "birth_date"], [NAMESPACE, "issue_date"]], [[NAMESPACE, "sex"]],
]}  # fmt: skip
for _name, _fields in {
    "the first set": _alternatives([_ALTERNATIVES], got=("family_name", "birth_date", "issue_date")),
    "the second set": _alternatives([_ALTERNATIVES], got=("family_name", "sex")),
    "itself": _alternatives([_ALTERNATIVES], got=("family_name", "age_over_18")),
    "the one set that is well formed": _alternatives(
        [
            "nonsense",
            {"requestedElement": "age_over_18", "alternativeElementSets": [[[NAMESPACE, "height"]]]},
            {"requestedElement": _AGE, "alternativeElementSets": [[], [NAMESPACE], [[NAMESPACE, 1]]]},
            _ALTERNATIVES,
        ],
        got=("family_name", "sex"),
    ),
    "itself, where the alternatives are no list": _alternatives({"a": 1}, got=("family_name", "age_over_18")),
}.items():
    accept(f"an element with alternatives, answered by {_name}", _fields, clause="18013-5 second edition (draft) 10.2")
accept(
    "a document type asked for and returned in two of its spellings",
    lambda: {
        "namespaces": {"org.iso.23220.1": {"family_name": "Mustermann"}},
        "doctype": "org.iso.23220.photoID.1",
        "request": request_for(("org.iso.23220.photoid.1", {"org.iso.23220.1": ["family_name"]})),
    },
    warnings=["request.doctype_alias"],
)

# --- device-signed elements -------------------------------------------------------------------------------------------

accept.section("device", "18013-5 9.1.2.4")
for _name, _authorizations in {
    "their namespace": {"nameSpaces": ["org.example"]},
    "each of them": {"dataElements": {"org.example": ["amount", "payee"]}},
    "their namespace and another's elements": {
        "nameSpaces": ["org.example"],
        "dataElements": {"org.example.other": ["x"]},
    },
}.items():
    for _proof, _form in {"by signature": DeviceAuth.SIGNATURE, "by MAC": DeviceAuth.MAC}.items():
        accept(
            f"device-signed elements {_proof}, the issuer authorised {_name}",
            {
                "device_elements": {"org.example": {"amount": 100, "payee": "somebody"}},
                "key_authorizations": _authorizations,
                "device_auth": _form,
            },
        )
accept("authorisations of which no use is made", {"key_authorizations": {"nameSpaces": ["org.example"]}})
accept(
    "an element of the licence's namespace, signed by the device alone",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann"}},
        "device_elements": {NAMESPACE: {"age_over_18": True}},
        "key_authorizations": {"dataElements": {NAMESPACE: ["age_over_18"]}},
    },
    kind=Kind.MAY_REJECT,  # the first edition forbids it
)
accept(
    "the same identifier by issuer and device, in two namespaces",
    {
        "device_elements": {"org.example": {"age_over_18": False}},
        "key_authorizations": {"nameSpaces": ["org.example"]},
    },
)

# --- several documents ------------------------------------------------------------------------------------------------


accept.section("response", "18013-5 8.3.2.1.2")


def _documents(*others: Recipe, **fields: Any) -> Fields:
    return {"others": list(others)} | fields


accept(
    "two documents of two types",
    lambda: _documents(Recipe(namespaces={PID: {"family_name": "Mustermann", "age_over_18": True}}, doctype=PID)),
)
accept(
    "two licences by two authorities, one by MAC",
    lambda: _documents(
        Recipe(
            namespaces=licence(),
            authority=authority_on("P-384", "brainpoolP384r1"),
            device_auth=DeviceAuth.MAC,
            device_key=deterministic_key("other phone"),
        ),
    ),
)
accept(
    "two licences of one type, each as one of two requests asks",
    lambda: _documents(
        Recipe(namespaces=licence(), disclose=["given_name"]),
        disclose=["family_name"],
    ),
)
accept(
    "twelve documents",
    lambda: _documents(*(Recipe(namespaces=SMALL, seed=str(index)) for index in range(11)), namespaces=SMALL),
)

# --- validity, to the second ------------------------------------------------------------------------------------------

accept.section("security-object", "18013-5 9.3.1")
accept("the last second of the security object", {"valid_until": TEST_TIME})
accept("the first second of the security object", {"signed": moment(-DAY), "valid_from": TEST_TIME})
accept("signed this very second", {"signed": TEST_TIME, "valid_from": TEST_TIME})
accept("signed in the first second of the document signer", lambda: {"signed": AUTHORITY.ds_certificate.not_before})
accept(
    "signed in the last second of the document signer, and presented in it",
    lambda: {
        "x5chain": AUTHORITY.deviant_ds(not_after=TEST_TIME),
        "signed": TEST_TIME,
        "valid_from": TEST_TIME,
    },
    warnings=["validity.outlives_certificate"],
)
accept("a security object that outlives its signer",
       lambda: {"valid_until": AUTHORITY.ds_certificate.not_after + SECOND},
       warnings=["validity.outlives_certificate"])  # fmt: skip
accept("a security object as long as its signer", lambda: {"valid_until": AUTHORITY.ds_certificate.not_after})


def _written(**moments: str) -> Fields:
    return {"mutate_mso": lambda mso: mso["validityInfo"].update({name: TDate(text) for name, text in moments.items()})}


for _name, _moments in {
    "a fraction of a second": {"validUntil": "2026-06-30T12:00:00.5Z"},
    "an offset": {"validFrom": "2026-05-31T14:00:00+02:00", "signed": "2026-05-31T12:00:00Z"},
    "an offset of nought": {"validFrom": "2026-05-31T12:00:00+00:00"},
    "an unknown offset": {"validFrom": "2026-05-31T12:00:00-00:00"},
    "a long fraction": {"validUntil": "2026-06-30T12:00:00.123456789123Z"},
    "small letters": {"signed": "2026-05-31t12:00:00z"},
}.items():
    accept(f"a validity with {_name}", _written(**_moments), warnings=["validity.date_form"])
accept("an expected update in another form", _written(expectedUpdate="2026-06-05T00:00:00.000Z"),
       warnings=["validity.date_form"])  # fmt: skip

# --- document types ---------------------------------------------------------------------------------------------------

accept.section("response", "18013-5 8.3.2.1.2")


_PERSON = {"family_name": "Mustermann", "given_name": "Erika", "birth_date": FullDate("1990-02-11")}
for _name, _fields in {
    "PID": {"doctype": PID, "namespaces": {PID: _PERSON | {"nationality": ["DE"], "issuing_country": "DE"}}},
    "proof of age": {"doctype": "eu.europa.ec.av.1", "namespaces": {"eu.europa.ec.av.1": {"age_over_18": True}}},
    "vehicle registration": {
        "doctype": "org.iso.7367.1.mVRC",
        "namespaces": {"org.iso.7367.1": {"registration_number": "B-XY 1", "vehicle_identification_number": "W0L"}},
    },
    "health certificate": {
        "doctype": "org.micov.1",
        "namespaces": {"org.micov.attestation.1": {"1D47_vaccinated": True}},
    },
    "type that nobody knows": {
        "doctype": "org.example.card",
        "namespaces": {"org.example": {"anything": [1, {"a": b""}]}},
    },
}.items():
    accept(f"another document type: {_name}", _fields)
accept(
    "another document type: PID of an earlier version",
    {
        "doctype": PID,
        "namespaces": {PID: _PERSON | {"nationality": "DE", "age_over_18": True, "birth_city": "Berlin"}},
    },
    kind=Kind.VALID,
    warnings=["elements.value"],
)
for _doctype in ("org.iso.23220.photoid.1", "org.iso.23220.photoID.1", "org.iso.23220.2.photoid.1"):
    _spelt = {
        "org.iso.23220.photoid.1": "",
        "org.iso.23220.photoID.1": " as it was",
        "org.iso.23220.2.photoid.1": " of part 2",
    }
    accept(
        f"another document type: photo ID{_spelt[_doctype]}",
        {
            "doctype": _doctype,
            "namespaces": {
                "org.iso.23220.1": _PERSON | {"age_over_18": True, "issuing_country": "UT"},
                "org.iso.23220.photoid.1": {"person_id": "1"},
            },
        },
    )

# --- items as others make them ----------------------------------------------------------------------------------------

accept.section("items", "18013-5 9.1.2.5")


def _domestic(**values: Any) -> Fields:
    """Elements of a domestic namespace, where anything may stand."""
    return {"namespaces": {NAMESPACE: {"family_name": "Mustermann"}, DOMESTIC: values}}


# Whoever encodes them again before the digest gets other bytes.
for _name, _value in {
    "a float in two bytes": raw(b"\xf9\x3e\x00"),
    "not a number": raw(b"\xf9\x7e\x00"),
    "a map that is not sorted": {"b": 1, "a": 2, "aa": 3, "B": 4},
    "a map with keys of several kinds": pairs([(1, "a"), ("1", "b"), (b"1", "c"), (-1, "d")]),
    "a tag within a tag": Tag(1234, Tag(1, 0)),
    "encoded CBOR": raw(wrap24(encode({"a": [1]}))),
    "undefined": raw(b"\xf7"),
    "a simple value": raw(b"\xf8\xff"),
    "a bignum": Tag(2, b"\1" + bytes(20)),
    "the largest integer": 2**64 - 1,
    "the smallest integer": -(2**64),
    "an empty list": [],
    "an empty map": {},
    "empty bytes": b"",
    "a snowman": "\N{SNOWMAN}\N{COMBINING DIAERESIS}\N{PILE OF POO}",
    "a nought byte in text": "a\0b",
    "lists within lists": [[[[[[[[]]]]]]]],
}.items():
    accept(f"a value: {_name}", _domestic(note=_value))
for _name, _value in {
    "a float in eight bytes that two would hold": raw(b"\xfb\x3f\xf8" + bytes(6)),
    "infinity in four bytes": raw(b"\xfa\x7f\x80\x00\x00"),
}.items():
    accept(f"a value: {_name}", _domestic(note=_value), warnings=["cbor.long_float"])
accept("a value: encoded CBOR that is none", _domestic(note=raw(wrap24(b"\xff\xff"))), kind=Kind.MAY_REJECT)
accept(
    "digest ids that run on from one namespace to the next",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", "age_over_18": True}, DOMESTIC: {"organ_donor": 1}},
        "items": {"organ_donor": {"digest_id": 2}},
    },
)
accept(
    "digest ids in no order",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", "given_name": "Erika", "age_over_18": True}},
        "items": {
            "family_name": {"digest_id": 4711},
            "given_name": {"digest_id": 3},
            "age_over_18": {"digest_id": 2**30},
        },
    },
)
accept(
    "a credential without an element, and a digest of nothing",
    {
        "namespaces": {},
        "without_request": True,
        "mutate_mso": lambda mso: mso.update(valueDigests={NAMESPACE: {0: bytes(range(32))}}),
    },
)
accept(
    "a namespace of which nothing is disclosed",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann"}, DOMESTIC: {"organ_donor": 1}},
        "disclose": ["family_name"],
    },
)
accept(
    "ninety-nine statements of age",
    {
        "namespaces": {NAMESPACE: {f"age_over_{age:02}": age <= 36 for age in range(1, 100)}},
    },
)
accept(
    "digests of nothing, listed in a namespace of their own",
    {"mutate_mso": lambda mso: mso["valueDigests"].update({"org.example.none": {9: bytes(range(32))}})},
)
accept("a document of one item with the shortest random", {"namespaces": {NAMESPACE: {"sex": 1}}, "random_size": 16})

# --- requests as others make them -------------------------------------------------------------------------------------

accept.section("request", "18013-5 8.3.2.1.2")


def _requested(**changes: Any) -> Fields:
    """The plain request with changes to it."""
    return {"namespaces": SMALL, "request": replace(asking(for_=SMALL[NAMESPACE]), **changes)}


accept("a request of version 1.1", _requested(version="1.1"))
accept(
    "a request with more to say about itself",
    _requested(version="1.1", device_request_info=Tagged24(b"\xa0", wrap24(b"\xa0"))),
)
accept(
    "a request that means to keep everything, and says why",
    {
        "namespaces": SMALL,
        "request": DeviceRequest(
            (
                DocRequest.of(
                    ItemsRequest(
                        MDL_DOCTYPE, {NAMESPACE: dict.fromkeys(SMALL[NAMESPACE], True)}, {"org.example": "why"}
                    )
                ),
            )
        ),
    },
)
accept(
    "documents in another order than they were asked for",
    lambda: _documents(
        Recipe(namespaces=SMALL),
        doctype=PID,
        namespaces={PID: {"family_name": "Mustermann"}},
        request=request_for((MDL_DOCTYPE, {NAMESPACE: list(SMALL[NAMESPACE])}), (PID, {PID: ["family_name"]})),
    ),
)

# --- elements that are seldom seen ------------------------------------------------------------------------------------

accept.section("request", "18013-5 7.2")
_JPEG = licence()[NAMESPACE]["portrait"]
accept(
    "elements: every optional one",
    lambda: valued(
        administrative_number="A-0042",
        sex=9,
        height=171,
        weight=0,
        eye_colour="dichromatic",
        hair_colour="bald",
        birth_place="Nowhere",
        resident_address="1 Example Street",
        portrait_capture_date=TDate("2024-02-01T09:00:00Z"),
        age_in_years=36,
        age_birth_year=1990,
        age_over_00=True,
        age_over_99=False,
        issuing_jurisdiction="US-UT",
        nationality="UT",
        resident_city="Exampleville",
        resident_state="Utah",
        resident_postal_code="00000",
        resident_country="US",
        resident_street="Example Street",
        biometric_template_face=bytes.fromhex("7f6100"),
        biometric_template_signature_sign=bytes.fromhex("7f6100"),
        family_name_national_character="\N{CJK UNIFIED IDEOGRAPH-738B}" * 200,
        given_name_national_character="\N{ARABIC LETTER ALEF}",
        signature_usual_mark=_JPEG,
    ),
)
accept(
    "elements: every one of the AAMVA namespace",
    lambda: {
        "namespaces": licence(
            {
                AAMVA_NAMESPACE: {
                    "domestic_driving_privileges": [
                        {
                            "domestic_vehicle_class": {
                                "domestic_vehicle_class_code": "D",
                                "domestic_vehicle_class_description": "Passenger vehicles",
                            },
                            "domestic_vehicle_restrictions": [
                                {"domestic_vehicle_restriction_description": "Corrective lenses"}
                            ],
                            "domestic_vehicle_endorsements": [
                                {
                                    "domestic_vehicle_endorsement_code": "M",
                                    "domestic_vehicle_endorsement_description": "Motorcycle",
                                }
                            ],
                        },
                        {},
                    ],
                    "family_name_truncation": "T",
                    "given_name_truncation": "U",
                    "sex": 9,
                    "name_suffix": "JR",
                    "aka_family_name": "Muster",
                    "aka_given_name": "E.",
                    "aka_suffix": "II",
                    "organ_donor": 1,
                    "veteran": 1,
                    "weight_range": 0,
                    "race_ethnicity": "U",
                    "DHS_compliance": "F",
                    "DHS_compliance_text": "Not for federal purposes",
                    "DHS_temporary_lawful_status": 1,
                    "CDL_indicator": 1,
                    "EDL_credential": 1,
                    "resident_county": "001",
                    "hazmat_endorsement_expiration_date": FullDate("2030-01-01"),
                }
            }
        )
    },
)
for _name, _values in {
    "a category of a country's own": {"driving_privileges": [{"vehicle_category_code": "T-40"}]},
    "a privilege with codes that say no more": {
        "driving_privileges": [{"vehicle_category_code": "B", "codes": [{"code": "01"}, {"code": "78"}]}]
    },
    "a JPEG 2000 codestream": {"portrait": bytes.fromhex("ff4fff51") + bytes(64)},
    "a first day of all": {"birth_date": FullDate("1900-01-01")},
}.items():
    accept(f"elements: {_name}", lambda values=_values: valued(**values))
accept(
    "elements: a privilege with members that are not known",
    lambda: valued(driving_privileges=[{"vehicle_category_code": "B", "org.example": 1}]),
    kind=Kind.VALID,
    warnings=["elements.unknown_member"],
)
# The standard has the reader look at the security object's validity, and at the element where it wants to.
accept(
    "elements: an expiry date that is past",
    lambda: valued(expiry_date=FullDate("2020-01-01")),
    kind=Kind.MAY_REJECT,
)
accept(
    "another document type: photo ID with a birth date that is not known to the day",
    {
        "doctype": "org.iso.23220.photoid.1",
        "namespaces": {
            "org.iso.23220.1": {
                "family_name": "Mustermann",
                "birth_date": {"birth_date": FullDate("1990-01-01"), "approximate_mask": "00001111"},
            }
        },
    },
    group="response",
    clause="18013-5 8.3.2.1.2",
)
accept(
    "another document type: PID with everything about birth and sex",
    {
        "doctype": PID,
        "namespaces": {
            PID: _PERSON
            | {
                "place_of_birth": {"country": "DE", "locality": "Berlin"},
                "nationality": ["QU"],
                "sex": 5,
                "portrait": b"",
                "issuing_authority": "UT",
                "issuing_country": "UT",
                "expiry_date": FullDate("2027-01-01"),
                "email_address": "erika@mustermann.example",
                "mobile_phone_number": "+4930123456",
            }
        },
    },
    group="response",
    clause="18013-5 8.3.2.1.2",
)
accept(
    "the same document twice",
    {"namespaces": SMALL, "mutate_response": lambda given: given["documents"].append(given["documents"][0])},
    group="response",
    clause="18013-5 8.3.2.1.2",
    kind=Kind.MAY_REJECT,
)

CASES = accept.rows

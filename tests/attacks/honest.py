"""Honest presentations, however unusual: none of them may be refused."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from mdl.cbor import FullDate, Tag, TDate, encode
from mdl.cose import encode_key
from mdl.doctypes import AAMVA_NAMESPACE
from mdl.pki import Certificate, Crl
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    DeviceAuth,
    Item,
    Recipe,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    raw,
    request_for,
    sample_licence,
)
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from tests.attacks.encodings import SMALL, item_sabotages, sabotages
from tests.attacks.stage import (
    AUTHORITY,
    DAY,
    DOMESTIC,
    NAMESPACE,
    PID,
    SECOND,
    Fields,
    asking,
    device_auth,
    document,
    evidence,
    licence,
    moment,
    root,
    signer,
    trust_in,
)
from tests.status_forgery import URI, VALID_ID, VALID_INDEX, Token

SIGNING_CURVES = (
    *("P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "Ed25519", "Ed448"),
)
AGREEING_CURVES = (
    *("P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "X25519", "X448"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Honest:
    """A presentation that must be accepted.

    Attributes:
        name: What is unusual about it.
        fields: What departs from the plain scene.
        warnings: The codes of the deviations that are tolerated.
        judged: Whether evidence has decided about the document signer's revocation.
        policies: The policies that accept it.
    """

    name: str
    fields: Callable[..., Fields]
    warnings: Collection[str] = ()
    judged: bool = False
    policies: Collection[Policy] = tuple(Policy)


ACCEPTED: list[Honest] = []
_values: Any


def accept(name: str, fields: Callable[..., Fields] | Fields | None = None, **expected: Any) -> None:
    build: Callable[..., Fields] = fields if callable(fields) else lambda: fields or {}
    ACCEPTED.append(Honest(name=name, fields=build, **expected))


accept("the plain scene")
accept("a portrait of 20 kB", lambda: {"namespaces": sample_licence()})
accept("a portrait of 200 kB", lambda: {"namespaces": sample_licence(portrait_size=200_000)})

# --- keys and algorithms ----------------------------------------------------------------------------------------------


@cache
def authority_on(curve: str, ds_curve: str) -> ThrowawayAuthority:
    return ThrowawayAuthority(f"Root on {curve}, signer", curve=curve, ds_curve=ds_curve)


for _curve in SIGNING_CURVES:
    accept(f"a document signer on {_curve}", lambda curve=_curve: {"authority": authority_on("P-256", curve)})
    accept(f"a device key on {_curve}", lambda curve=_curve: {"device_key": deterministic_key("device", curve)})
    if not _curve.startswith("Ed"):
        accept(f"a root on {_curve}", lambda curve=_curve: {"authority": authority_on(curve, "P-256")})
for _curve in AGREEING_CURVES:
    accept(
        f"a MAC on {_curve}",
        lambda curve=_curve: {
            "device_auth": DeviceAuth.MAC,
            "device_key": deterministic_ephemeral_key("device", curve),
            "reader_key": deterministic_ephemeral_key("reader", curve),
        },
    )
accept("a signature where the reader's key is on another curve",
       lambda: {"reader_key": deterministic_ephemeral_key("reader", "X25519")})  # fmt: skip
accept("a signature in a session without a reader's key", {"without_key": True})
for _name in ("SHA-256", "SHA-384", "SHA-512"):
    accept(f"digests by {_name}", {"digest_algorithm": _name})
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

# --- COSE -------------------------------------------------------------------------------------------------------------

for _form in (DeviceAuth.SIGNATURE, DeviceAuth.MAC):
    accept(f"COSE messages under their tags, {_form.name}", {"cose_tags": True, "device_auth": _form})
accept("x5chain as an array of one", lambda: {"x5chain": [AUTHORITY.ds_certificate.der]})
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
)
accept(
    "a thumbprint of the certificate in the protected header",
    lambda: {"issuer_protected": {1: -7, 34: [-16, AUTHORITY.ds_certificate.fingerprint]}},
)
accept(
    "more headers",
    lambda: {
        "issuer_protected": {1: -7, 16: "application/mdoc", "text": 1, -70000: [1]},
        "issuer_unprotected": {4: b"kid", 33: AUTHORITY.ds_certificate.der, "more": {"a": None}},
        "device_protected": {1: -7, 4: b"device"},
    },
)
accept("the device's unprotected header says something",
       device_auth(lambda auth: auth["deviceSignature"][1].update({4: b"kid"})))  # fmt: skip
accept("protected headers in heads that are not minimal",
       {"issuer_protected": bytes.fromhex("b80118013806"), "device_protected": bytes.fromhex("a1013806")})  # fmt: skip

# --- encodings --------------------------------------------------------------------------------------------------------


def _all_items(change: Callable[..., object]) -> Fields:
    def each(items: list[Item]) -> None:
        for item in items:
            change(item)

    return {"mutate_items": each}


for _size in (2, 4, 8):
    accept(
        f"items whose length takes {_size} bytes, as they were digested",
        _all_items(lambda item, size=_size: setattr(item, "length_size", size)),
    )
accept(
    "items whose tag takes two bytes, as they were digested",
    _all_items(lambda item: setattr(item, "encoded", b"\xd9\x00" + item.encode()[1:])),
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
for _name, _fields in sabotages("wide"):
    accept(
        f"a head of nine bytes {_name}",
        lambda fields=_fields: {"namespaces": SMALL} | fields | _with_device_elements(fields),
    )
for _name, _fields in item_sabotages("wide"):
    accept(f"a head of nine bytes {_name}", lambda fields=_fields: {"namespaces": SMALL} | fields)


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
accept("the device's namespaces in a head that is not minimal", {"device_name_spaces": b"\xb8\x00"})

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
        {
            "mutate_mso": lambda mso, where=_where: where(mso).update(_EXTRA),
            "key_authorizations": {"nameSpaces": ["org.example"]},
        },
    )
accept("keyInfo", {"mutate_mso": lambda mso: mso["deviceKeyInfo"].update(keyInfo={1: "x", -1: b"y"})})
for _version in ("1.0", "1.1", "1.2", "1.10", "1.99"):
    accept(f"version {_version}", {"response_version": _version, "mso_version": _version})
accept("errors for elements that are not returned",
       document(lambda one: one.update(errors={NAMESPACE: {"signature_usual_mark": 0, "x": -1}})))  # fmt: skip
accept("errors for documents that are not returned",
       {"response_extra": {"documentErrors": [{PID: 0}, {"org.example": -7}]}})  # fmt: skip
accept("an empty list of errors for documents", {"response_extra": {"documentErrors": []}})
accept(
    "a status list that nobody can look into", {"mso_status": {"status_list": {"idx": 1, "uri": "https://a.example"}}}
)
accept("a status that is null", {"mutate_mso": lambda mso: mso.update(status=None)})
accept("an expected update", {"expected_update": moment(7 * DAY)})
accept("an expected update that is past", {"expected_update": moment(-DAY)})

for _name, _status, _token in (
    ("a status list", {"status_list": {"idx": VALID_INDEX, "uri": URI}}, Token),
    ("an identifier list", {"identifier_list": {"id": VALID_ID, "uri": URI}}, Token.of_identifiers),
):
    for _required in (False, True):
        accept(
            f"not revoked by {_name}, evidence {'demanded' if _required else 'given'}",
            lambda status=_status, token=_token, required=_required: {
                "mso_status": status,
                **evidence(AUTHORITY.crl(), required=required, tokens=(token().build(),)),
            },
            judged=True,
        )

# --- what is disclosed ------------------------------------------------------------------------------------------------

_KINDS: tuple[Any, ...] = (
    *(0, -1, 2**64 - 1, -(2**64), 1.5, float("inf"), float("nan"), True, None, "", "\N{SNOWMAN}", b"", [], {}),
    *({1: 2, -1: b"x", b"k": {"deep": [[[]]]}}, Tag(2, b"\1" * 20), Tag(24, b"\xa0"), Tag(1, 1.5), Tag(65535, [1])),
    *(FullDate("2024-02-29"), TDate("2024-02-29T00:00:00Z"), raw(b"\xf7"), raw(b"\xe0"), raw(b"\xf8\xff")),
)
accept("nothing, and nothing was asked for but an age", {"disclose": (), "without_request": True})
accept("one element", {"disclose": ["age_over_18"]})
accept("no request to compare with", {"without_request": True})
accept(
    "no namespaces, as an empty map",
    {"disclose": (), "without_request": True, "mutate_issuer_signed": lambda signed: signed.update(nameSpaces={})},
)
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


def _valued(**values: Any) -> Fields:
    return {"items": {name: {"value": value} for name, value in values.items()}}


for _name, _values in {
    "dates as moments": {"issue_date": TDate("2024-02-11T00:00:00Z"), "expiry_date": TDate("2032-02-11T23:59:59Z")},
    "a moment with a fraction": {"issue_date": TDate("2024-02-11T00:00:00.123Z")},
    "a moment with an offset": {"expiry_date": TDate("2032-02-11T00:00:00+01:00")},
    "a portrait's date as a day": {"portrait_capture_date": FullDate("2024-02-01")},
    "no driving privileges": {"driving_privileges": []},
    "a privilege without dates and codes": {"driving_privileges": [{"vehicle_category_code": "A2"}]},
    "a distinguishing sign that is empty": {"un_distinguishing_sign": ""},
    "a name of 150 letters": {"family_name": "Ü" * 150},
    "a leap day": {"birth_date": FullDate("2000-02-29")},
    "a JPEG 2000 portrait": {"portrait": bytes.fromhex("0000000c6a5020200d0a870a") + bytes(64)},
    "sex not known": {"sex": 0},
    "an age of nought": {"age_in_years": 0},
}.items():
    accept(f"elements: {_name}", _valued(**_values))

# --- what was asked ---------------------------------------------------------------------------------------------------


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

# --- device-signed elements -------------------------------------------------------------------------------------------

for _name, _authorizations in {
    "their namespace": {"nameSpaces": ["org.example"]},
    "each of them": {"dataElements": {"org.example": ["amount", "payee"]}},
    "their namespace and another's elements": {
        "nameSpaces": ["org.example"],
        "dataElements": {"org.example.other": ["x"]},
    },
}.items():
    for _form in (DeviceAuth.SIGNATURE, DeviceAuth.MAC):
        accept(
            f"device-signed elements, the issuer authorised {_name}, {_form.name}",
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
)
accept(
    "the same identifier by issuer and device, in two namespaces",
    {
        "device_elements": {"org.example": {"age_over_18": False}},
        "key_authorizations": {"nameSpaces": ["org.example"]},
    },
)

# --- several documents ------------------------------------------------------------------------------------------------


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

accept("the last second of the security object", {"valid_until": TEST_TIME}, warnings=())
accept("the first second of the security object", {"signed": moment(-DAY), "valid_from": TEST_TIME})
accept("signed this very second", {"signed": TEST_TIME, "valid_from": TEST_TIME})
accept("the last second of the document signer",
       lambda: signer(not_after=TEST_TIME), warnings=["validity.outlives_certificate"])  # fmt: skip
accept(
    "the first second of the document signer",
    lambda: signer(not_before=TEST_TIME) | {"signed": TEST_TIME, "valid_from": TEST_TIME},
)
accept("the last second of the root", lambda: root(not_after=TEST_TIME), warnings=["profile.minor"])
accept("the first second of the root", lambda: root(not_before=TEST_TIME), warnings=["profile.minor"])
accept("signed in the first second of the document signer", lambda: {"signed": AUTHORITY.ds_certificate.not_before})
accept("a security object that outlives its signer",
       lambda: {"valid_until": AUTHORITY.ds_certificate.not_after + SECOND},
       warnings=["validity.outlives_certificate"])  # fmt: skip
accept("a security object as long as its signer", lambda: {"valid_until": AUTHORITY.ds_certificate.not_after})


def _written(**moments: str) -> Fields:
    return {"mutate_mso": lambda mso: mso["validityInfo"].update({name: TDate(text) for name, text in moments.items()})}


for _name, _moments in {
    "a fraction of a second": {"validUntil": "2026-06-30T12:00:00.5Z"},
    "an offset": {"validFrom": "2026-05-31T14:00:00+02:00", "signed": "2026-05-31T12:00:00Z"},
    "small letters": {"signed": "2026-05-31t12:00:00z"},
}.items():
    accept(f"a validity with {_name}", _written(**_moments), warnings=["validity.date_form"])
accept("an expected update in another form", _written(expectedUpdate="2026-06-05T00:00:00.000Z"),
       warnings=["validity.date_form"])  # fmt: skip

# --- the document signer ----------------------------------------------------------------------------------------------


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> Fields:
    return signer(extensions={"more": (value, critical)})


_AGENCY = x509.UniformResourceIdentifier("https://throwaway.example/")
for _name, _more in {
    "an unknown extension": x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"),
    "a subject alternative name": x509.SubjectAlternativeName([_AGENCY]),
    "a certificate policy": x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("1.2.3"), None)]),
    "authority information": x509.AuthorityInformationAccess(
        [x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.CA_ISSUERS, _AGENCY)]
    ),
}.items():
    accept(f"a document signer with {_name}", lambda more=_more: _extension(more))
accept(
    "a document signer whose purpose is not critical",
    lambda: signer(extensions={"eku": (AUTHORITY.ds_recipe.extensions["eku"][0], False)}),
    warnings=["profile.minor"],
)
accept(
    "a document signer of two purposes",
    lambda: signer(
        extensions={
            "eku": (
                x509.ExtendedKeyUsage([ObjectIdentifier("1.0.23220.4.1.2"), ObjectIdentifier("1.0.18013.5.1.2")]),
                True,
            )
        }
    ),
    warnings=["profile.minor"],
)
accept(
    "a document signer that says it is no CA",
    lambda: signer(extensions={"bc": (x509.BasicConstraints(ca=False, path_length=None), True)}),
    warnings=["profile.minor"],
)
accept("a document signer valid for 457 days",
       lambda: signer(not_after=AUTHORITY.ds_recipe.not_before + 457 * DAY))  # fmt: skip
accept("a document signer with a small serial number", lambda: signer(serial=1), warnings=["profile.minor"])
accept("a document signer that outlives its root", lambda: root(not_after=moment(DAY)), warnings=["profile.minor"])
accept(
    "an authority without a state",
    lambda: {"authority": ThrowawayAuthority("Stateless", state=None)},
    policies=(Policy.ISO_STRICT, Policy.LENIENT),
)
accept(
    "a jurisdiction that is not disclosed",
    {"items": {"issuing_jurisdiction": {"disclosed": False}}, "request": asking(but=["issuing_jurisdiction"])},
)
accept(
    "an authority of another country",
    lambda: (
        {"authority": ThrowawayAuthority("Utopia", country="UT", state=None)}
        | {
            "items": {"issuing_country": {"value": "UT"}, "issuing_jurisdiction": {"value": "UT-1"}},
            "namespaces": licence(),
        }
    ),
    policies=(Policy.ISO_STRICT, Policy.LENIENT),
)

for _name, _state in {"of one state": "US-UT", "of no state": None}.items():
    accept(
        f"another document type, whose country and state are its own affair, under a signer {_name}",
        lambda state=_state: {
            "authority": ThrowawayAuthority("Stateless or not", state=state),
            "doctype": "org.example",
            "namespaces": {NAMESPACE: {"issuing_country": "CA", "issuing_jurisdiction": "CA-ON"}},
        },
    )

# --- the roots --------------------------------------------------------------------------------------------------------


@cache
def generations() -> tuple[ThrowawayAuthority, ...]:
    return tuple(ThrowawayAuthority("Many", generation=number) for number in range(1, 6))


for _number in range(5):
    accept(
        f"five roots of one name, the document signer of number {_number + 1}",
        lambda number=_number: {
            "authority": generations()[number],
            "trust": trust_in(*(one.iaca_certificate for one in generations())),
        },
    )
accept(
    "a root and its renewal with the same key",
    lambda: {
        "trust": trust_in(
            Certificate(AUTHORITY.iaca_recipe.with_changes(not_after=moment(-DAY)).build()),
            AUTHORITY.iaca_certificate,
        )
    },
)
accept(
    "a root and its renewal that has not begun",
    lambda: {
        "trust": trust_in(
            Certificate(AUTHORITY.iaca_recipe.with_changes(not_before=moment(DAY)).build()),
            AUTHORITY.iaca_certificate,
        )
    },
)
accept(
    "a root twice",
    lambda: {"trust": trust_in(AUTHORITY.iaca_certificate, Certificate(AUTHORITY.iaca_certificate.der))},
)


@cache
def _crowd() -> tuple[Certificate, ...]:
    return tuple(ThrowawayAuthority(f"Crowd {number}").iaca_certificate for number in range(100))


accept("a root among a hundred others", lambda: {"trust": trust_in(*_crowd(), AUTHORITY.iaca_certificate)})


accept("a root trusted for licences only",
       lambda: {"trust": trust_in(AUTHORITY.iaca_certificate, doctypes=[MDL_DOCTYPE])})  # fmt: skip
accept("a root trusted for PIDs and licences",
       lambda: {"trust": trust_in(AUTHORITY.iaca_certificate, doctypes=[PID, MDL_DOCTYPE])})  # fmt: skip
accept(
    "a root trusted for PIDs by one list and for licences by another",
    lambda: {
        "trust": TrustStore(
            TrustAnchor(certificate=Certificate(AUTHORITY.iaca_certificate.der), doctypes=frozenset([doctype]))
            for doctype in (PID, MDL_DOCTYPE)
        )
    },
)
accept(
    "another root of the same name for PIDs",
    lambda: {
        "authority": generations()[0],
        "trust": TrustStore(
            [
                TrustAnchor(certificate=generations()[1].iaca_certificate, doctypes=frozenset([PID])),
                TrustAnchor(certificate=generations()[0].iaca_certificate, doctypes=ANY_DOCTYPE),
            ]
        ),
    },
)

# --- revocation -------------------------------------------------------------------------------------------------------

_OTHER = AUTHORITY.ds_certificate.serial + 1
for _name, _crls in {
    "an empty list": lambda: [AUTHORITY.crl()],
    "a list of others": lambda: [AUTHORITY.crl(revoked=[1, 2, _OTHER])],
    "a list in PEM": lambda: [Crl(AUTHORITY.crl()).pem.encode()],
    "a stale list and a fresh one": lambda: [
        AUTHORITY.crl(this_update=moment(-60 * DAY), next_update=moment(-30 * DAY)),
        AUTHORITY.crl(number=2),
    ],
    "other roots' lists with the same serial number": lambda: [
        generations()[0].crl(revoked=[AUTHORITY.ds_certificate.serial]),
        AUTHORITY.crl(),
    ],
    "a list in its first second": lambda: [AUTHORITY.crl(this_update=TEST_TIME)],
    "a list in its last second": lambda: [AUTHORITY.crl(this_update=moment(-DAY), next_update=TEST_TIME)],
    "a list for 90 days": lambda: [AUTHORITY.crl(next_update=moment(89 * DAY))],
}.items():
    for _required in (False, True):
        accept(
            f"evidence{' demanded' if _required else ''}: {_name}",
            lambda crls=_crls, required=_required: evidence(*crls(), required=required),
            judged=True,
        )
for _name, _crls, _code in (
    ("a list for 91 days", lambda: [AUTHORITY.crl(next_update=moment(91 * DAY))], "crl.profile"),
    ("a list without a number", lambda: [AUTHORITY.crl(extensions={"number": None})], "crl.profile"),
    ("a list without a key identifier", lambda: [AUTHORITY.crl(extensions={"aki": None})], "crl.profile"),
):
    accept(
        f"evidence: {_name}",
        lambda crls=_crls: evidence(*crls(), required=True),
        judged=True,
        warnings=[_code],
    )
for _name, _crls in {
    "of another root": lambda: [generations()[0].crl(revoked=[AUTHORITY.ds_certificate.serial])],
    "of another root of the same name, with the same serial number": lambda: [
        ThrowawayAuthority(generation=2).crl(revoked=[AUTHORITY.ds_certificate.serial])
    ],
}.items():
    accept(f"evidence that is not used: a list {_name}", lambda crls=_crls: evidence(*crls()))
accept(
    "evidence demanded for two documents of two roots",
    lambda: _documents(
        Recipe(namespaces=SMALL, authority=generations()[0]),
        namespaces=SMALL,
        evidence=Evidence(crls=(AUTHORITY.crl(), generations()[0].crl())),
        revocation=Revocation.REQUIRED,
    ),
    judged=True,
)

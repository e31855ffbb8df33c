"""Issuing: what a credential consists of, which orders are refused, and that nothing leaves unproven."""

import copy
import hashlib
import inspect
import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.keys.cosekey import CoseKey
from pycose.messages.sign1message import Sign1Message

import issuer.issuance
from issuer.issuance import CredentialIssuer, Order, PreparedMdoc
from mdl.cbor import FullDate, TDate, decode, decode_view, encode, wrap24
from mdl.cose import encode_key
from mdl.doctypes import AAMVA_NAMESPACE, DOCTYPES, MDL_NAMESPACE, Code, Presence
from mdl.errors import IssuanceError, ProfileError, SigningError
from mdl.holder import Holder
from mdl.keys import CURVES, EphemeralKey, PublicKey, Signer
from mdl.mdoc import DIGEST_ALGORITHMS, IssuerSigned, KeyAuthorizations, MobileSecurityObject, ValidityInfo
from mdl.pki import Certificate
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    SeededEntropy,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    request_for,
    sample_image,
    sample_licence,
    sample_transcript,
    throwaway_authority,
)
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import TrustStore
from reader.verification import SessionContext, Verifier

AUTHORITY = throwaway_authority()
DEVICE = deterministic_key("device")
DAY = timedelta(days=1)
VALIDITY = ValidityInfo(signed=TEST_TIME - DAY, valid_from=TEST_TIME - DAY, valid_until=TEST_TIME + 29 * DAY)
DOMESTIC = "org.iso.18013.5.1.US"
AGE_VERIFICATION = "eu.europa.ec.av.1"
STATUS = {"status_list": {"idx": 412, "uri": "https://throwaway.example/status/1"}}
AUTHORIZATIONS = KeyAuthorizations(
    frozenset({"org.example.z", DOMESTIC}), {MDL_NAMESPACE: frozenset({"sex", "height"})}
)
SIGNING_CURVES = [name for name, curve in CURVES.items() if curve.algorithm is not None]

Namespaces = dict[str, dict[str, Any]]


class Custodian:
    """A signer that counts, and that may be told to answer something else."""

    def __init__(self, key: Signer = AUTHORITY.ds_key, answer: Callable[[bytes], bytes] = lambda true: true) -> None:
        self.key = key
        self.answer = answer
        self.signed: list[bytes] = []

    @property
    def public_key(self) -> PublicKey:
        return self.key.public_key

    def sign(self, data: bytes) -> bytes:
        self.signed.append(data)
        return self.answer(self.key.sign(data))

    def sign_many(self, messages: list[bytes]) -> list[bytes]:
        return [self.sign(one) for one in messages]


@cache
def stateless_authority() -> ThrowawayAuthority:
    return ThrowawayAuthority("Stateless", state=None)


def an_issuer(
    signer: Signer = AUTHORITY.ds_key,
    *,
    certificate: Certificate = AUTHORITY.ds_certificate,
    doctype: str = MDL_DOCTYPE,
    seed: str = "issuer",
    **settings: Any,
) -> CredentialIssuer:
    return CredentialIssuer(signer, certificate, doctype=doctype, **({"random": SeededEntropy(seed)} | settings))


def a_licence(changes: Mapping[str, Any] | None = None, **more: Any) -> Namespaces:
    """The sample licence with elements changed; None takes one away."""
    licence = sample_licence(portrait_size=600)
    elements = licence[MDL_NAMESPACE] | dict(changes or {}) | more
    licence[MDL_NAMESPACE] = {name: value for name, value in elements.items() if value is not None}
    return licence


def an_order(namespaces: Namespaces | None = None, **changes: Any) -> Order:
    given_up: dict[str, Any] = {
        "namespaces": a_licence() if namespaces is None else namespaces,
        "device_key": DEVICE.public_key,
        "validity": VALIDITY,
    }
    return Order(**(given_up | changes))


def validity(**changes: datetime) -> ValidityInfo:
    times: dict[str, Any] = {name: getattr(VALIDITY, name) for name in ("signed", "valid_from", "valid_until")}
    return ValidityInfo(**(times | changes))


def payload_of(issued: IssuerSigned) -> bytes:
    assert issued.issuer_auth.payload is not None
    return issued.issuer_auth.payload


def mso_map(issued: IssuerSigned) -> dict[str, Any]:
    """The security object as plain values."""
    mso = decode(decode_view(payload_of(issued)).content)
    assert type(mso) is dict
    return mso


def items_of(issued: IssuerSigned) -> dict[str, list[dict[str, Any]]]:
    return {name: [decode(one.content) for one in items] for name, items in issued.name_spaces.items()}


def ids_of(issued: IssuerSigned, namespace: str = MDL_NAMESPACE) -> list[int]:
    """The digest ids in the order of the elements."""
    return [one["digestID"] for one in items_of(issued)[namespace]]


def plainly(value: Any) -> Any:
    """A value as it comes out of CBOR."""
    if isinstance(value, Mapping):
        return {plainly(key): plainly(inner) for key, inner in value.items()}
    return [plainly(one) for one in value] if isinstance(value, list | tuple) else value


def verify_by_hand(
    encoded: bytes, order: Order, signer: PublicKey, *, doctype: str, algorithm: str = "SHA-256"
) -> None:
    """Hold the encoded credential against the order, with nothing but CBOR, hashlib and the signer's key."""
    received = decode_view(encoded)
    assert set(received) == {"nameSpaces", "issuerAuth"}
    protected, unprotected, payload, signature = received["issuerAuth"]
    assert decode(protected) == {1: signer.algorithm.cose_id}
    assert set(unprotected) == {33}
    signer.verify(signature, encode(["Signature1", protected, b"", payload]))
    mso = decode(decode_view(payload).content)
    expected = {
        "version": "1.0",
        "digestAlgorithm": algorithm,
        "docType": doctype,
        "validityInfo": {
            "signed": TDate(f"{order.validity.signed:%Y-%m-%dT%H:%M:%SZ}"),
            "validFrom": TDate(f"{order.validity.valid_from:%Y-%m-%dT%H:%M:%SZ}"),
            "validUntil": TDate(f"{order.validity.valid_until:%Y-%m-%dT%H:%M:%SZ}"),
        },
    }
    assert {name: value for name, value in mso.items() if name in expected} == expected
    assert mso.get("status") == (None if order.status is None else plainly(order.status))
    assert mso["deviceKeyInfo"]["deviceKey"] == encode_key(order.device_key)
    assert ("keyAuthorizations" in mso["deviceKeyInfo"]) == (order.key_authorizations is not None)
    assert list(received["nameSpaces"]) == list(mso["valueDigests"]) == list(order.namespaces)
    salts = set()
    for namespace, elements in order.namespaces.items():
        items = [(one.raw, decode(one.content)) for one in received["nameSpaces"][namespace]]
        assert [(one["elementIdentifier"], one["elementValue"]) for _, one in items] == [
            (name, plainly(value)) for name, value in elements.items()
        ]
        digests = mso["valueDigests"][namespace]
        assert list(digests) == list(range(len(digests)))
        assert len(digests) % 16 == 0
        assert 0 < len(digests) - len(elements) <= 16
        for raw, one in items:
            assert set(one) == {"digestID", "random", "elementIdentifier", "elementValue"}
            assert digests[one["digestID"]] == hashlib.new(DIGEST_ALGORITHMS[algorithm], raw).digest()
            assert len(one["random"]) == 32
        salts |= {one["random"] for _, one in items}
        assert len({one["digestID"] for _, one in items}) == len(items)
        assert len(set(digests.values())) == len(digests)
        assert {len(one) for one in digests.values()} == {hashlib.new(DIGEST_ALGORITHMS[algorithm]).digest_size}
    assert len(salts) == sum(map(len, order.namespaces.values()))


def texts_below(value: Any) -> Iterator[str]:
    """Every telling text of a licence, and bytes and dates as texts."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for one in value:
            yield from texts_below(one)
    elif isinstance(value, FullDate | TDate):
        yield value.text
    elif isinstance(value, bytes) and len(value) > 8:
        yield from (repr(value[:16])[2:-1], value[:16].hex())
    elif isinstance(value, str) and len(value) > 3:
        yield value


def tells_nothing(error: BaseException, namespaces: Any) -> None:
    """No element value stands in the error, in what caused it, or in a trace of both."""
    said = [*traceback.format_exception(error)]
    link: BaseException | None = error
    while link is not None:
        said += [str(link), repr(link), repr(link.args), repr(getattr(link, "__dict__", {}))]
        link = link.__cause__ or link.__context__
    whole = "\n".join(said)
    assert [text for text in texts_below(namespaces) if text in whole] == []


def refused(order: Order, code: str, **settings: Any) -> IssuanceError:
    """The order is refused for that reason, nothing was signed, and the error tells nothing of the person."""
    custodian = Custodian(settings.pop("signer", AUTHORITY.ds_key))
    issuer = an_issuer(custodian, **settings)
    with pytest.raises(IssuanceError) as caught:
        issuer.issue(order)
    assert caught.value.code == code
    assert custodian.signed == []
    tells_nothing(caught.value, order.namespaces)
    return caught.value


# --- what is issued ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", DIGEST_ALGORITHMS)
@pytest.mark.parametrize("aamva", [False, True])
def test_a_credential_is_what_was_ordered(algorithm: str, aamva: bool) -> None:
    order = an_order(sample_licence(portrait_size=600, aamva=aamva))
    issued = an_issuer(digest_algorithm=algorithm).issue(order)
    verify_by_hand(issued.encode(), order, AUTHORITY.ds_key.public_key, doctype=MDL_DOCTYPE, algorithm=algorithm)
    assert issued.issuer_auth.x5chain == (AUTHORITY.ds_certificate.der,)
    mso = IssuerSigned.decode(issued.encode()).security_object()
    assert (mso.version, mso.digest_algorithm, mso.doctype) == ("1.0", algorithm, MDL_DOCTYPE)
    assert (mso.validity, mso.device_public_key) == (VALIDITY, DEVICE.public_key)
    assert mso.validity.strict
    assert (mso.key_authorizations, mso.status) == (None, None)


@pytest.mark.parametrize("curve", SIGNING_CURVES)
def test_every_curve_serves_a_document_signer(curve: str) -> None:
    authority = ThrowawayAuthority(f"On {curve}", ds_curve=curve)
    issuer = an_issuer(authority.ds_key, certificate=authority.ds_certificate)
    assert issuer.certificate is authority.ds_certificate
    order = an_order()
    verify_by_hand(issuer.issue(order).encode(), order, authority.ds_key.public_key, doctype=MDL_DOCTYPE)


@pytest.mark.parametrize("curve", SIGNING_CURVES)
def test_every_curve_serves_a_device_key(curve: str) -> None:
    order = an_order(device_key=deterministic_key("device", curve).public_key)
    issued = an_issuer().issue(order)
    assert issued.security_object().device_public_key == order.device_key
    assert mso_map(issued)["deviceKeyInfo"] == {"deviceKey": encode_key(order.device_key)}


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "Ed25519", "Ed448"])
def test_an_independent_implementation_verifies_the_signature(curve: str) -> None:
    authority = ThrowawayAuthority(f"On {curve}", ds_curve=curve)
    issued = an_issuer(authority.ds_key, certificate=authority.ds_certificate).issue(an_order())
    theirs = Sign1Message.from_cose_obj(list(decode(issued.issuer_auth.encode())), allow_unknown_attributes=True)
    theirs.key = CoseKey.from_dict(encode_key(authority.ds_key.public_key))
    assert theirs.verify_signature() is True
    theirs.signature = bytes(len(issued.issuer_auth.signature))
    assert theirs.verify_signature() is False


@pytest.mark.parametrize("with_mac", [False, True])
def test_a_reader_accepts_it_from_a_holder(with_mac: bool) -> None:
    order = an_order(sample_licence(portrait_size=600, aamva=True))
    holder = Holder()
    holder.add(an_issuer().issue(order).encode(), DEVICE)
    reader_key = deterministic_ephemeral_key("reader")
    request = request_for((MDL_DOCTYPE, {name: [*elements] for name, elements in order.namespaces.items()}))
    transcript = sample_transcript(reader_key.public_key)
    verified = Verifier(
        TrustStore.from_certificates(AUTHORITY.anchors, doctypes=frozenset({MDL_DOCTYPE})),
        policy=Policy.ISO_STRICT,
        revocation=Revocation.REQUIRED,
    ).verify(
        holder.respond(request, transcript, mac_with=reader_key.public_key if with_mac else None).encode(),
        context=SessionContext(transcript=transcript, reader_key=reader_key),
        request=request,
        at=TEST_TIME,
        evidence=Evidence(crls=(AUTHORITY.crl(),)),
    )
    assert (verified.report.failed, verified.report.indeterminate) == ((), ())
    assert plainly(verified.documents[0].elements) == plainly(order.namespaces)


@pytest.mark.parametrize(
    "status", [None, STATUS, {"identifier_list": {"id": b"\x01" * 16, "uri": "https://x.example"}}]
)
@pytest.mark.parametrize("authorizations", [None, AUTHORIZATIONS, KeyAuthorizations(frozenset({MDL_NAMESPACE}))])
@pytest.mark.parametrize("update", [None, TEST_TIME + 10 * DAY])
def test_the_security_object_is_what_the_plain_encoder_writes(
    status: Any, authorizations: KeyAuthorizations | None, update: datetime | None
) -> None:
    times = VALIDITY if update is None else validity(expected_update=update)
    order = an_order(
        sample_licence(portrait_size=600, aamva=True),
        validity=times,
        status=status,
        key_authorizations=authorizations,
    )
    issued = an_issuer(digest_algorithm="SHA-384").issue(order)
    plain = MobileSecurityObject(
        "1.0",
        "SHA-384",
        mso_map(issued)["valueDigests"],
        encode_key(DEVICE.public_key),
        authorizations,
        MDL_DOCTYPE,
        times.to_cbor(),
        status,
    )
    assert plain.encode() == payload_of(issued)
    received = issued.security_object()
    assert (received.key_authorizations, received.status, received.validity) == (authorizations, status, times)


def test_every_item_is_what_the_plain_encoder_writes() -> None:
    order = an_order(
        sample_licence(portrait_size=70_000, aamva=True)
        | {DOMESTIC: {"x" * 30: {"a": [1, -5, b"", "ü" * 300, True, TDate("2026-01-31T00:00:00Z")]}, "n": 2**64 - 1}}
    )
    issued = an_issuer().issue(order)
    for namespace, items in issued.name_spaces.items():
        for item, (identifier, value) in zip(items, order.namespaces[namespace].items(), strict=True):
            members = decode(item.content)
            plain = {
                "digestID": members["digestID"],
                "random": members["random"],
                "elementIdentifier": identifier,
                "elementValue": value,
            }
            assert item.content == encode(plain)
            assert item.raw == wrap24(item.content)


@pytest.mark.parametrize("size", [23, 100, 158, 159, 160, 161, 170, 255, 256, 65_400, 65_453, 65_454, 65_600])
def test_every_length_of_a_value_has_the_shortest_heads(size: int) -> None:
    """Around the lengths at which the head of an item, or of the value in it, becomes longer."""
    issued = an_issuer().issue(an_order(a_licence(portrait=sample_image(size))))
    item = next(one for one in issued.name_spaces[MDL_NAMESPACE] if b"portrait" in one.content[:100])
    assert item.raw == wrap24(item.content)
    assert encode(decode(item.content)) == item.content
    assert decode(item.content)["elementValue"] == sample_image(size)


@pytest.mark.parametrize("status", [None, STATUS])
def test_the_encoding_is_the_shortest_and_survives_a_round_trip(status: Any) -> None:
    order = an_order(sample_licence(aamva=True), status=status, key_authorizations=AUTHORIZATIONS)
    issued = an_issuer().issue(order)
    encoded = issued.encode()
    assert encode(decode_view(encoded)) == encoded
    assert IssuerSigned.decode(encoded) == issued
    assert IssuerSigned.decode(encoded).encode() == encoded
    content = decode_view(payload_of(issued)).content
    assert (encode(decode(content)), wrap24(content)) == (content, payload_of(issued))


def test_other_document_types_are_issued_too() -> None:
    order = an_order({AGE_VERIFICATION: {"age_over_18": True}})
    issued = an_issuer(doctype=AGE_VERIFICATION).issue(order)
    verify_by_hand(issued.encode(), order, AUTHORITY.ds_key.public_key, doctype=AGE_VERIFICATION)


def test_a_domestic_namespace_holds_the_issuers_own_elements() -> None:
    order = an_order(a_licence() | {DOMESTIC: {"fishing": {"rivers": ["all"], 5: False}}})
    verify_by_hand(an_issuer().issue(order).encode(), order, AUTHORITY.ds_key.public_key, doctype=MDL_DOCTYPE)


def test_the_validity_of_each_order_is_its_own() -> None:
    """What is encoded once must not be mistaken for another."""
    issuer = an_issuer()
    for days in (1, 2, 1, 3):
        until = TEST_TIME + days * DAY
        assert (
            issuer.issue(an_order(validity=validity(valid_until=until))).security_object().validity.valid_until == until
        )


def test_nothing_is_filled_in_and_the_order_stays_as_it_was() -> None:
    namespaces = a_licence(un_distinguishing_sign="U")
    before = copy.deepcopy(namespaces)
    issued = an_issuer().issue(an_order(namespaces))
    assert namespaces == before
    assert {name: {one[1]: one[2] for one in issued.elements() if one[0] == name} for name in before} == before


@pytest.mark.parametrize(
    "identifier",
    [one.identifier for one in DOCTYPES[MDL_DOCTYPE].namespaces[0].rules if one.presence is Presence.MANDATORY],
)
def test_a_mandatory_element_is_never_filled_in(identifier: str) -> None:
    error = refused(an_order(a_licence({identifier: None})), "issuance.element.missing")
    assert [(one.code, one.identifier) for one in error.violations] == [("element.missing", identifier)]


# --- salts, digests, digest ids ---------------------------------------------------------------------------------------


def test_two_copies_have_nothing_in_common() -> None:
    issuer, order = an_issuer(), an_order(sample_licence(portrait_size=600, aamva=True))
    salts: set[bytes] = set()
    digests: set[bytes] = set()
    for _ in range(5):
        issued = issuer.issue(order)
        new_salts = {one["random"] for items in items_of(issued).values() for one in items}
        new_digests = {one for ids in mso_map(issued)["valueDigests"].values() for one in ids.values()}
        assert (len(new_salts), len(new_digests)) == (38, 48)
        assert salts.isdisjoint(new_salts)
        assert digests.isdisjoint(new_digests)
        salts |= new_salts
        digests |= new_digests
    assert salts.isdisjoint(digests)


@pytest.mark.parametrize("count, total", [(1, 16), (2, 16), (15, 16), (16, 32), (31, 32), (32, 48), (47, 48), (48, 64)])
def test_the_count_of_digests_is_filled_up_and_hides_one_at_least(count: int, total: int) -> None:
    order = an_order(a_licence() | {DOMESTIC: {f"element {number}": number for number in range(count)}})
    for algorithm, size in (("SHA-256", 32), ("SHA-512", 64)):
        digests = mso_map(an_issuer(digest_algorithm=algorithm).issue(order))["valueDigests"][DOMESTIC]
        assert list(digests) == [*range(total)]
        assert {len(one) for one in digests.values()} == {size}
        assert len({*digests.values()}) == total


def test_digest_ids_follow_no_order_and_differ_between_copies() -> None:
    issuer, order = an_issuer(), an_order()
    seen = [ids_of(issuer.issue(order)) for _ in range(20)]
    for ids in seen:
        assert len(set(ids)) == len(ids) == 31
        assert set(ids) <= set(range(32))
        assert ids != sorted(ids)
    assert len({tuple(ids) for ids in seen}) == 20
    for copies in zip(*seen, strict=True):  # one element in all the copies
        assert len(set(copies)) > 5


def test_each_digest_id_is_as_likely_as_another() -> None:
    issuer, order = an_issuer(doctype=AGE_VERIFICATION), an_order({AGE_VERIFICATION: {"age_over_18": True}})
    counts = [0] * 16
    for _ in range(1600):
        ((contents, _),) = issuer.prepare(order)._items.values()
        counts[decode(contents[0])["digestID"]] += 1
    # Chi-square with 15 degrees of freedom; one in a million is beyond 56. The seed makes it the same on every run.
    assert sum((count - 100) ** 2 / 100 for count in counts) < 56


def test_an_issuer_with_the_same_entropy_gives_the_same_bytes() -> None:
    order = an_order(sample_licence(portrait_size=600, aamva=True))
    first, second = (an_issuer(seed="one").issue(order).encode() for _ in range(2))
    assert first == second
    assert an_issuer(seed="another").issue(order).encode() != first


def test_randomness_is_the_operating_systems_unless_told_otherwise() -> None:
    assert inspect.signature(CredentialIssuer).parameters["random"].default is os.urandom
    issuer = CredentialIssuer(AUTHORITY.ds_key, AUTHORITY.ds_certificate, doctype=MDL_DOCTYPE)
    verify_by_hand(issuer.issue(an_order()).encode(), an_order(), AUTHORITY.ds_key.public_key, doctype=MDL_DOCTYPE)


@pytest.mark.parametrize("answer", [lambda size: bytes(size - 1), lambda size: bytes(size + 1), lambda _: b""])
def test_a_random_source_that_gives_another_number_of_bytes_is_refused(answer: Callable[[int], bytes]) -> None:
    custodian = Custodian()
    with pytest.raises(ValueError) as caught:
        an_issuer(custodian, random=answer).issue(an_order())
    assert custodian.signed == []
    tells_nothing(caught.value, a_licence())


# --- what is refused --------------------------------------------------------------------------------------------------

PRIVILEGE = {"vehicle_category_code": "B"}
AGELESS = {"age_in_years": None, "age_birth_year": None, "age_over_18": None, "age_over_21": None}

# One order for each fault that an order can have: the licence's elements that are changed, or all of the namespaces.
FAULTY_ELEMENTS: dict[Code, dict[str, Any]] = {
    Code.MISSING: {"document_number": None},
    Code.UNKNOWN: {"blood_group": "rhesus positive"},
    Code.WITHDRAWN: {"webapi_info": [1, "https://x.example", "bearer token"]},
    Code.TYPE: {"height": "one metre seventy"},
    Code.LENGTH: {"resident_address": "A" * 151},
    Code.CHARACTERS: {"given_name": "Ερικα"},
    Code.VALUE: {"eye_colour": "turquoise"},
    Code.COUNTRY: {"nationality": "usa!"},
    Code.DATE: {"birth_date": FullDate("1990-02-31")},
    Code.IMAGE: {"portrait": b"GIF89a not a photograph"},
    Code.BIOMETRIC: {"biometric_template_face": b"not a template of a face"},
    Code.EMPTY: {"driving_privileges": [PRIVILEGE | {"codes": []}]},
    Code.MEMBER_MISSING: {"driving_privileges": [{"issue_date": FullDate("2019-09-19")}]},
    Code.MEMBER_UNKNOWN: {"driving_privileges": [PRIVILEGE | {"nickname": "speedy"}]},
    Code.DATES_ORDER: {
        "driving_privileges": [
            PRIVILEGE | {"issue_date": FullDate("2025-05-05"), "expiry_date": FullDate("2024-04-04")}
        ]
    },
    Code.DATES_BIRTH: AGELESS | {"birth_date": FullDate("2024-02-12"), "driving_privileges": [PRIVILEGE]},
    Code.AGE_OVER: {"age_over_37": True},
    Code.AGE_IN_YEARS: {"age_in_years": 35},
    Code.AGE_BIRTH_YEAR: {"age_birth_year": 1991},
}
FAULTY_NAMESPACES: dict[Code, Namespaces] = {
    Code.NAMESPACE_UNKNOWN: a_licence() | {"org.example.hobbies": {"hobby": "falconry"}},
    Code.IDENTIFIER: a_licence() | {DOMESTIC: {"": "falconry"}},
    Code.RANGE: a_licence() | {DOMESTIC: {"grains_on_the_board": 2**64}},
    Code.STRUCTURE: a_licence() | {DOMESTIC: {"hobby": [[[[[[[[["falconry"]]]]]]]]]}},
    Code.FORMAT: sample_licence(aamva=True),
    Code.CONTRADICTION: sample_licence(aamva=True),
    Code.NAMESPACE_FOREIGN: a_licence() | {"org.iso.18013.5.1.US-NV": {"hobby": "falconry"}},
}
FAULTY_NAMESPACES[Code.FORMAT][AAMVA_NAMESPACE]["resident_county"] = "thirteen"
FAULTY_NAMESPACES[Code.CONTRADICTION][AAMVA_NAMESPACE]["sex"] = 1

TOO_LATE = AUTHORITY.ds_certificate.not_after + timedelta(seconds=1)
TOO_EARLY = AUTHORITY.ds_certificate.not_before - timedelta(seconds=1)
NAIVE = datetime(2026, 6, 2, 12)  # noqa: DTZ001 - on purpose
BERLIN = ZoneInfo("Europe/Berlin")

FAULTY_ORDERS: list[tuple[str, Order]] = [
    *(
        ("issuance.validity_form", an_order(validity=validity(**{name: moment})))
        for name in ("signed", "valid_from", "valid_until", "expected_update")
        for moment in (
            NAIVE,
            TEST_TIME.replace(microsecond=1),
            TEST_TIME.astimezone(timezone(timedelta(hours=2))),
            TEST_TIME.astimezone(BERLIN),
        )
    ),
    ("issuance.validity_order", an_order(validity=validity(signed=TEST_TIME))),
    ("issuance.validity_order", an_order(validity=validity(valid_until=VALIDITY.valid_from))),
    ("issuance.validity_order", an_order(validity=validity(valid_until=VALIDITY.valid_from - DAY))),
    ("issuance.signed_outside_certificate", an_order(validity=validity(signed=TOO_EARLY))),
    (
        "issuance.signed_outside_certificate",
        an_order(
            a_licence(age_in_years=None),
            validity=ValidityInfo(signed=TOO_LATE, valid_from=TOO_LATE, valid_until=TOO_LATE + DAY),
        ),
    ),
    ("issuance.outlives_certificate", an_order(validity=validity(valid_until=TOO_LATE))),
    ("issuance.before_issue_date", an_order(a_licence(issue_date=FullDate("2026-06-02")))),
    ("issuance.before_issue_date", an_order(a_licence(issue_date=TDate("2026-05-31T12:00:01Z")))),
    ("issuance.after_expiry_date", an_order(a_licence(expiry_date=FullDate("2026-06-29")))),
    ("issuance.after_expiry_date", an_order(a_licence(expiry_date=TDate("2026-06-30T11:59:59Z")))),
    ("issuance.country", an_order(a_licence(issuing_country="CA", issuing_jurisdiction="CA-ON"))),
    ("issuance.country", an_order(a_licence(issuing_country="CA", issuing_jurisdiction=None))),
    ("issuance.jurisdiction", an_order(a_licence(issuing_jurisdiction="US-CA"))),
    ("issuance.empty", an_order({})),
    ("issuance.too_large", an_order(a_licence() | {DOMESTIC: {"x": bytes(2 * 1024 * 1024)}})),
    ("issuance.too_large", an_order(a_licence() | {DOMESTIC: {f"x{number}": 1 for number in range(8001)}})),
    ("issuance.empty", an_order({MDL_NAMESPACE: {}})),
    ("issuance.empty", an_order(a_licence() | {DOMESTIC: {}})),
    ("issuance.device_key", an_order(device_key=AUTHORITY.ds_key.public_key)),
    ("issuance.device_key", an_order(device_key=EphemeralKey.generate("X25519").public_key)),
    ("issuance.device_key", an_order(device_key=EphemeralKey.generate("X448").public_key)),
    *(
        ("issuance.key_authorizations", an_order(key_authorizations=given))
        for given in (
            KeyAuthorizations(),
            KeyAuthorizations(frozenset({""})),
            KeyAuthorizations(frozenset(), {DOMESTIC: frozenset()}),
            KeyAuthorizations(frozenset(), {DOMESTIC: frozenset({""})}),
            KeyAuthorizations(frozenset({DOMESTIC}), {DOMESTIC: frozenset({"hobby"})}),
        )
    ),
    *(
        ("issuance.status", an_order(status=given))
        for given in (
            {"status_list": {"uri": "https://throwaway.example/status/1"}},
            {"status_list": {"idx": -1, "uri": "https://throwaway.example/status/1"}},
            {"status_list": {"idx": datetime(2026, 1, 1, tzinfo=UTC), "uri": "https://throwaway.example/status/1"}},
            {"identifier_list": {"id": "text", "uri": "https://throwaway.example/ids/1"}},
        )
    ),
]


@pytest.mark.parametrize("code", FAULTY_ELEMENTS, ids=str)
def test_a_faulty_element_is_refused_for_just_that(code: Code) -> None:
    error = refused(an_order(a_licence(FAULTY_ELEMENTS[code])), f"issuance.{code}")
    assert [one.code for one in error.violations] == [code]
    assert error.violations[0].identifier in {*FAULTY_ELEMENTS[code], "age_over_37"}
    assert error.violations[0].path in str(error)


@pytest.mark.parametrize("code", FAULTY_NAMESPACES, ids=str)
def test_a_faulty_namespace_is_refused_for_just_that(code: Code) -> None:
    error = refused(an_order(FAULTY_NAMESPACES[code]), f"issuance.{code}")
    assert [one.code for one in error.violations] == [code]


@pytest.mark.parametrize("identifier", ["issue_date", "expiry_date"])
@pytest.mark.parametrize("day", [FullDate("2024-02-31"), FullDate("soon"), TDate("2024-02-11T25:00:00Z")])
def test_a_licence_date_that_is_none_is_refused_as_such(identifier: str, day: FullDate | TDate) -> None:
    error = refused(an_order(a_licence({identifier: day})), "issuance.element.date")
    assert (Code.DATE, identifier) in [(one.code, one.identifier) for one in error.violations]


@pytest.mark.parametrize(
    "code, jurisdiction", [(Code.SUBDIVISION, "US-UTAH"), (Code.JURISDICTION_COUNTRY, "CA-ON")], ids=str
)
def test_a_jurisdiction_is_checked_where_the_signer_has_none(code: Code, jurisdiction: str) -> None:
    ours = stateless_authority()
    order = an_order(a_licence(issuing_jurisdiction=jurisdiction))
    error = refused(order, f"issuance.{code}", signer=ours.ds_key, certificate=ours.ds_certificate)
    assert [one.code for one in error.violations] == [code]
    fine = an_order(a_licence(issuing_jurisdiction="US-CA"))
    issued = an_issuer(ours.ds_key, certificate=ours.ds_certificate).issue(fine)
    verify_by_hand(issued.encode(), fine, ours.ds_key.public_key, doctype=MDL_DOCTYPE)


def test_age_statements_that_contradict_each_other_are_refused() -> None:
    order = an_order({AGE_VERIFICATION: {"age_over_18": False, "age_over_21": True}})
    error = refused(order, "issuance.age.contradiction", doctype=AGE_VERIFICATION)
    assert [one.code for one in error.violations] == [Code.AGE_CONTRADICTION]


@pytest.mark.parametrize(
    "code, doctype",
    [(Code.DOCTYPE_UNKNOWN, "org.example.library-card"), (Code.DOCTYPE_ALIAS, "org.iso.23220.photoID.1")],
    ids=str,
)
def test_a_document_type_that_is_not_issued_is_refused(code: Code, doctype: str) -> None:
    error = refused(an_order(), f"issuance.{code}", doctype=doctype)
    assert [one.code for one in error.violations] == [code]


@pytest.mark.parametrize("number", range(len(FAULTY_ORDERS)), ids=lambda one: f"{FAULTY_ORDERS[one][0]}-{one}")
def test_an_order_that_contradicts_itself_or_its_signer_is_refused_for_just_that(number: int) -> None:
    code, order = FAULTY_ORDERS[number]
    error = refused(order, code)
    told = [one.code for one in error.violations]
    assert told[0] == code
    assert error.violations[0].message in str(error)
    also = {
        "issuance.signed_outside_certificate": ["issuance.outlives_certificate"],
        "issuance.country": ["issuance.jurisdiction"],
    }
    if order.namespaces.get(MDL_NAMESPACE):  # otherwise every element is missing
        assert told in ([code], [code, *also.get(code, [])])


def test_every_reason_to_refuse_has_an_order_that_is_refused_for_it() -> None:
    written = {*re.findall(r'"(issuance\.[a-z_]+)"', inspect.getsource(issuer.issuance))}
    assert written == {code for code, _ in FAULTY_ORDERS} | {"issuance.certificate_profile"}
    in_tests_of_their_own = {
        *(Code.SUBDIVISION, Code.JURISDICTION_COUNTRY, Code.AGE_CONTRADICTION),
        *(Code.DOCTYPE_UNKNOWN, Code.DOCTYPE_ALIAS),
        Code.DATE_FORM,  # only a reader makes the difference
    }
    assert {*FAULTY_ELEMENTS, *FAULTY_NAMESPACES} | in_tests_of_their_own == {*Code}


DENVER, AUCKLAND = ZoneInfo("America/Denver"), ZoneInfo("Pacific/Auckland")


@pytest.mark.parametrize(
    "valid_from, zone, latest",
    [
        # The latest issue_date that such an order may have.
        ("2026-06-01T05:59:59Z", DENVER, "2026-05-31"),
        ("2026-06-01T06:00:00Z", DENVER, "2026-06-01"),
        ("2026-05-31T11:59:59Z", AUCKLAND, "2026-05-31"),
        ("2026-05-31T12:00:00Z", AUCKLAND, "2026-06-01"),
        ("2026-05-31T00:00:00Z", None, "2026-06-01"),
        ("2026-05-31T23:59:59Z", None, "2026-06-01"),
        ("2026-06-01T00:00:00Z", None, "2026-06-02"),
    ],
)
def test_a_day_of_issue_begins_where_the_authority_is(valid_from: str, zone: tzinfo | None, latest: str) -> None:
    start, day = datetime.fromisoformat(valid_from), date.fromisoformat(latest)
    for issued, right in ((day, True), (day + DAY, False)):
        order = an_order(
            a_licence(issue_date=FullDate.of(issued), driving_privileges=[]),
            validity=validity(signed=start, valid_from=start),
        )
        codes = [one.code for one in an_issuer().violations(order, time_zone=zone)]
        assert codes == ([] if right else ["issuance.before_issue_date"])


@pytest.mark.parametrize(
    "valid_until, zone, earliest",
    [
        # The earliest expiry_date that such an order may have.
        ("2026-06-20T05:59:59Z", DENVER, "2026-06-19"),
        ("2026-06-20T06:00:00Z", DENVER, "2026-06-20"),
        ("2026-06-20T11:59:59Z", AUCKLAND, "2026-06-20"),
        ("2026-06-20T12:00:00Z", AUCKLAND, "2026-06-21"),
        ("2026-06-20T11:59:59Z", None, "2026-06-19"),
        ("2026-06-20T12:00:00Z", None, "2026-06-20"),
    ],
)
def test_a_day_of_expiry_ends_where_the_authority_is(valid_until: str, zone: tzinfo | None, earliest: str) -> None:
    end, day = datetime.fromisoformat(valid_until), date.fromisoformat(earliest)
    for expires, right in ((day, True), (day - DAY, False)):
        order = an_order(
            a_licence(expiry_date=FullDate.of(expires), driving_privileges=[]),
            validity=validity(valid_until=end),
        )
        codes = [one.code for one in an_issuer().violations(order, time_zone=zone)]
        assert codes == ([] if right else ["issuance.after_expiry_date"])


def test_the_namespace_of_another_state_is_not_used_where_only_the_certificate_names_the_state() -> None:
    for name, right in (("org.iso.18013.5.1.US-UT", True), ("org.iso.18013.5.1.US-NV", False)):
        order = an_order(a_licence(issuing_jurisdiction=None) | {name: {"hobby": "falconry"}})
        codes = [one.code for one in an_issuer().violations(order)]
        assert codes == ([] if right else [Code.NAMESPACE_FOREIGN])


def test_everything_that_is_wrong_with_an_order_is_told_at_once() -> None:
    order = an_order(
        a_licence(family_name="", height=0, issuing_jurisdiction="US-NV"),
        validity=validity(valid_until=TOO_LATE),
        device_key=AUTHORITY.ds_key.public_key,
        status={"status_list": {}},
    )
    error = refused(order, "issuance.outlives_certificate")
    assert [(one.code, one.path) for one in error.violations] == [
        ("issuance.outlives_certificate", "validity.valid_until"),
        ("issuance.jurisdiction", f"{MDL_NAMESPACE}/issuing_jurisdiction"),
        (Code.EMPTY, f"{MDL_NAMESPACE}/family_name"),
        (Code.RANGE, f"{MDL_NAMESPACE}/height"),
        ("issuance.device_key", "device_key"),
        ("issuance.status", "status"),
    ]
    assert "(and 5 more)" in str(error)


def test_no_two_orders_have_one_digest_and_one_order_has_one() -> None:
    own: list[dict[str, Any]] = [
        {"x": 1},
        {"x": [1]},
        {"x": {"y": 1}},
        {"x": ["y", 1]},
        {"x": ["map", "y", 1]},
        {"x": [["y", 1]]},
        {"x": "1"},
    ]
    own += [{"x": 1, "y": 2}, {"x": {1: 2}}, {"x": {"1": 2}}, {"x": True}, {"x": b"1"}, {"x": FullDate("2024-01-01")}]
    own += [{"x": "2024-01-01"}, {"x": []}, {"x": {}}]
    orders = [an_order({**a_licence(), DOMESTIC: elements}) for elements in own]
    orders += [an_order(), an_order(a_licence(sex=None)), an_order(a_licence(sex=1)), an_order(has_fixed_end=True)]
    digests = {order.digest(MDL_DOCTYPE) for order in orders} | {an_order().digest(AGE_VERIFICATION)}
    assert len(digests) == len(orders) + 1
    mixed: dict[str, Any] = {"x": {1: "a", "b": [{"d": 1, "c": 2}], -3: 4}, "y": 1}
    turned: dict[str, Any] = {"y": 1, "x": {-3: 4, "b": ({"c": 2, "d": 1},), 1: "a"}}
    one, other = (an_order({**a_licence(), DOMESTIC: elements}).digest(MDL_DOCTYPE) for elements in (mixed, turned))
    assert one == other


@pytest.mark.parametrize(
    "order",
    [
        an_order(validity=validity(valid_until=AUTHORITY.ds_certificate.not_after)),
        an_order(
            a_licence(age_in_years=None),
            validity=validity(
                signed=AUTHORITY.ds_certificate.not_before, valid_from=AUTHORITY.ds_certificate.not_before
            ),
        ),
        an_order(a_licence(issue_date=FullDate("2026-05-31"))),
        an_order(a_licence(issue_date=TDate("2026-05-31T12:00:00Z"))),
        an_order(a_licence(expiry_date=FullDate("2026-06-30"))),
        an_order(a_licence(expiry_date=TDate("2026-06-30T12:00:00Z"))),
        an_order(a_licence(issuing_jurisdiction=None)),
        an_order(validity=validity(valid_until=VALIDITY.valid_from + timedelta(seconds=1))),
        an_order(validity=validity(signed=TEST_TIME.astimezone(ZoneInfo("UTC")), valid_from=TEST_TIME)),
    ],
    ids=range(9),
)
def test_what_is_just_within_bounds_is_issued(order: Order) -> None:
    verify_by_hand(an_issuer().issue(order).encode(), order, AUTHORITY.ds_key.public_key, doctype=MDL_DOCTYPE)


def test_a_refusal_counts_what_else_is_wrong() -> None:
    error = refused(an_order(a_licence(height="tall", weight="heavy", sex="f")), "issuance.element.type")
    assert [one.identifier for one in error.violations] == ["sex", "height", "weight"]
    assert "(and 2 more)" in str(error)


def test_only_orders_are_issued() -> None:
    for other in (a_licence(), None, "order"):
        with pytest.raises(TypeError):
            an_issuer().issue(other)  # type: ignore[arg-type]


def test_what_is_printed_of_an_order_tells_nothing_of_the_person() -> None:
    order = an_order(a_licence(issuing_jurisdiction=None))  # the certificate, which is printed, names the state
    prepared = an_issuer().prepare(order)
    for printed in (repr(order), str(order), repr(prepared), str(prepared)):
        assert [text for text in texts_below(order.namespaces) if text in printed] == []


@pytest.mark.parametrize("status", [{"since": {1, 2}}, STATUS | {"since": datetime(2026, 1, 1, tzinfo=UTC)}])
def test_a_status_that_cbor_has_no_place_for_is_not_signed(status: Any) -> None:
    custodian = Custodian()
    with pytest.raises(TypeError) as caught:
        an_issuer(custodian).issue(an_order(status=status))
    assert custodian.signed == []
    tells_nothing(caught.value, a_licence())


# --- the document signer ----------------------------------------------------------------------------------------------


def test_a_certificate_of_another_key_is_refused() -> None:
    with pytest.raises(SigningError) as caught:
        an_issuer(deterministic_key("somebody else"))
    assert caught.value.code == "signing.wrong_key"


@pytest.mark.parametrize(
    "changes",
    [
        {"extensions": {"eku": None}},
        {"extensions": {"ku": None}},
        {"extensions": {"aki": None}},
        {"not_after": AUTHORITY.ds_recipe.not_before + timedelta(days=458)},
    ],
    ids=["no-purpose", "no-usage", "no-authority", "too-long"],
)
def test_a_certificate_that_breaks_its_profile_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProfileError) as caught:
        an_issuer(certificate=Certificate(AUTHORITY.deviant_ds(**changes)))
    assert caught.value.code == "issuance.certificate_profile"
    assert [one.rule for one in caught.value.findings] != []


def test_the_roots_own_certificate_is_no_document_signers() -> None:
    with pytest.raises(ProfileError):
        an_issuer(AUTHORITY.iaca_key, certificate=AUTHORITY.iaca_certificate)


@pytest.mark.parametrize("name", ["SHA-1", "sha256", "SHA-224", ""])
def test_another_digest_algorithm_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        an_issuer(digest_algorithm=name)


# --- the signature ----------------------------------------------------------------------------------------------------


def wrong_signatures() -> dict[str, Callable[[PreparedMdoc, bytes], bytes]]:
    def flipped(position: int) -> Callable[[PreparedMdoc, bytes], bytes]:
        return lambda _, true: true[:position] + bytes((true[position] ^ 1,)) + true[position + 1 :]

    return {
        "a bit of r": flipped(0),
        "a bit of s": flipped(63),
        "another key's": lambda prepared, _: deterministic_key("somebody else").sign(prepared.to_be_signed),
        "the device's": lambda prepared, _: DEVICE.sign(prepared.to_be_signed),
        "of the digest": lambda prepared, _: AUTHORITY.ds_key.sign(hashlib.sha256(prepared.to_be_signed).digest()),
        "of the payload": lambda prepared, _: AUTHORITY.ds_key.sign(prepared._payload),
        "too short": lambda _, true: true[:-1],
        "too long": lambda _, true: true + b"\x00",
        "none": lambda _prepared, _true: b"",
        "zeros": lambda _prepared, _true: bytes(64),
        "r and s swapped": lambda _, true: true[32:] + true[:32],
    }


@pytest.mark.parametrize("name", wrong_signatures())
def test_nothing_leaves_with_a_wrong_signature(name: str) -> None:
    prepared = an_issuer().prepare(an_order())
    true = AUTHORITY.ds_key.sign(prepared.to_be_signed)
    with pytest.raises(SigningError) as caught:
        prepared.complete(wrong_signatures()[name](prepared, true))
    assert caught.value.code == "signing.wrong_signature"
    tells_nothing(caught.value, a_licence())
    custodian = Custodian(answer=lambda signature: wrong_signatures()[name](prepared, signature))
    with pytest.raises(SigningError):
        an_issuer(custodian).issue(an_order())
    assert custodian.signed == [prepared.to_be_signed]
    # The prepared credential is none the worse for it.
    verify_by_hand(prepared.complete(true).encode(), an_order(), AUTHORITY.ds_key.public_key, doctype=MDL_DOCTYPE)


def test_the_signature_of_another_credential_is_refused() -> None:
    issuer = an_issuer()
    first, second = issuer.prepare(an_order()), issuer.prepare(an_order())
    assert first.to_be_signed != second.to_be_signed
    with pytest.raises(SigningError) as caught:
        first.complete(AUTHORITY.ds_key.sign(second.to_be_signed))
    assert caught.value.code == "signing.wrong_signature"


def test_preparing_signs_nothing_and_issuing_signs_once_what_was_prepared() -> None:
    custodian = Custodian()
    prepared = an_issuer(custodian).prepare(an_order())
    assert custodian.signed == []
    assert prepared.to_be_signed == encode(["Signature1", encode({1: -7}), b"", prepared._payload])
    issued = an_issuer(custodian).issue(an_order())
    assert custodian.signed == [prepared.to_be_signed]
    assert issued == prepared.complete(AUTHORITY.ds_key.sign(prepared.to_be_signed))


def test_a_custodian_that_refuses_is_heard() -> None:
    def out_of_order(_: bytes) -> bytes:
        raise SigningError("the token is gone", code="signing.token", retryable=True)

    with pytest.raises(SigningError) as caught:
        an_issuer(Custodian(answer=out_of_order)).issue(an_order())
    assert (caught.value.code, caught.value.retryable) == ("signing.token", True)


# --- many -------------------------------------------------------------------------------------------------------------


def numbered(count: int) -> list[Order]:
    return [an_order(a_licence(document_number=f"NR-{number:04}")) for number in range(count)]


def numbers(issued: Iterator[IssuerSigned] | list[IssuerSigned]) -> list[str]:
    return [value for one in issued for _, name, value in one.elements() if name == "document_number"]


@pytest.mark.parametrize(
    "count, batch, sizes",
    [(0, 3, []), (1, 3, [1]), (3, 3, [3]), (7, 3, [3, 3, 1]), (3, 1, [1, 1, 1]), (5, 256, [5])],
)
def test_many_are_issued_in_batches_and_in_order(count: int, batch: int, sizes: list[int]) -> None:
    custodian, issuer, orders, seen = Custodian(), an_issuer(), numbered(count), []

    def sign_many(messages: list[bytes]) -> list[bytes]:
        seen.append(len(messages))
        return custodian.sign_many(messages)

    issued = [*issuer.issue_many(iter(orders), sign_many, batch=batch)]
    assert numbers(issued) == [f"NR-{number:04}" for number in range(count)]
    assert seen == sizes
    for order, one in zip(orders, issued, strict=True):
        verify_by_hand(one.encode(), order, AUTHORITY.ds_key.public_key, doctype=MDL_DOCTYPE)
    assert len(set(custodian.signed)) == count


def test_many_are_issued_as_they_are_asked_for() -> None:
    """However long the list of orders, only one batch of it is held at a time."""
    custodian, taken = Custodian(), []

    def orders() -> Iterator[Order]:
        for order in numbered(10):
            taken.append(order)
            yield order

    issuing = an_issuer().issue_many(orders(), custodian.sign_many, batch=2)
    assert numbers([*islice(issuing, 2)]) == ["NR-0000", "NR-0001"]
    assert (len(taken), len(custodian.signed)) == (2, 2)


def test_one_credential_after_the_other_and_many_at_once_are_the_same() -> None:
    orders = numbered(5)
    issuer = an_issuer()
    single = [issuer.issue(order) for order in orders]
    assert [*an_issuer().issue_many(orders, Custodian().sign_many, batch=2)] == single


@pytest.mark.parametrize("change", [lambda answer: answer[:-1], lambda answer: answer * 2, lambda _: []])
def test_a_wrong_number_of_signatures_is_refused(change: Callable[[list[bytes]], list[bytes]]) -> None:
    custodian = Custodian()
    with pytest.raises(SigningError) as caught:
        next(an_issuer().issue_many(numbered(3), lambda messages: change(custodian.sign_many(messages)), batch=3))
    assert caught.value.code == "signing.wrong_count"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_wrong_signature_spoils_its_batch(position: int) -> None:
    custodian, batches = Custodian(), []

    def sign_many(messages: list[bytes]) -> list[bytes]:
        batches.append(len(messages))
        signatures = custodian.sign_many(messages)
        if len(batches) == 2:
            signatures[position] = bytes(64)
        return signatures

    issued: list[IssuerSigned] = []
    with pytest.raises(SigningError) as caught:
        issued.extend(an_issuer().issue_many(numbered(8), sign_many, batch=3))
    assert caught.value.code == "signing.wrong_signature"
    assert numbers(issued) == ["NR-0000", "NR-0001", "NR-0002"]
    assert batches == [3, 3]
    tells_nothing(caught.value, [a_licence(), "NR-0003", "NR-0004", "NR-0005"])


def test_signatures_in_another_order_are_refused() -> None:
    custodian = Custodian()
    with pytest.raises(SigningError) as caught:
        next(an_issuer().issue_many(numbered(2), lambda messages: custodian.sign_many(messages)[::-1]))
    assert caught.value.code == "signing.wrong_signature"


@pytest.mark.parametrize("position, handed_out", [(0, 0), (2, 0), (4, 3), (6, 6)])
def test_an_order_that_is_refused_stops_its_batch_before_anything_of_it_is_signed(
    position: int, handed_out: int
) -> None:
    custodian, orders = Custodian(), numbered(7)
    orders[position] = an_order(a_licence(family_name=None))
    issued: list[IssuerSigned] = []
    with pytest.raises(IssuanceError) as caught:
        issued.extend(an_issuer().issue_many(orders, custodian.sign_many, batch=3))
    assert caught.value.code == "issuance.element.missing"
    assert len(issued) == len(custodian.signed) == handed_out


@pytest.mark.parametrize("batch", [0, -1])
def test_a_batch_is_at_least_one(batch: int) -> None:
    with pytest.raises(ValueError):
        [*an_issuer().issue_many(numbered(1), Custodian().sign_many, batch=batch)]


# --- any order --------------------------------------------------------------------------------------------------------

LEAVES = st.one_of(
    st.text(max_size=30),
    st.binary(max_size=300),
    st.integers(-(2**65), 2**65),
    st.booleans(),
    st.none(),
    st.floats(),
    st.dates().map(FullDate.of),
    st.builds(FullDate, st.text(max_size=11)),
    st.datetimes(timezones=st.just(UTC)).map(TDate.of),
)
VALUES = st.recursive(
    LEAVES,
    lambda below: (
        st.lists(below, max_size=4)
        | st.lists(below, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(-(2**60) + 1, 2**60 - 1), below, max_size=4)
    ),
    max_leaves=12,
)
FREE_LEAVES = st.one_of(st.text(max_size=30), st.binary(max_size=300), st.integers(-(2**59), 2**59), st.booleans())
RULES = DOCTYPES[MDL_DOCTYPE].namespaces[0].rules
ELEMENTS = sorted(a_licence()[MDL_NAMESPACE])
OPTIONAL = sorted({*ELEMENTS} - {one.identifier for one in RULES if one.presence is Presence.MANDATORY})


@st.composite
def any_orders(draw: st.DrawFn) -> Order:
    """Orders most of which are fine, and which are wrong in any place otherwise."""
    rarely = st.sampled_from([False] * 9 + [True])
    licence = a_licence(dict.fromkeys(draw(st.sets(st.sampled_from(OPTIONAL)))))
    if draw(rarely):
        licence[MDL_NAMESPACE][draw(st.sampled_from(ELEMENTS))] = draw(VALUES)
    if draw(st.booleans()):
        name = draw(st.sampled_from([DOMESTIC, "org.iso.18013.5.1.US-UT"]))
        values = VALUES if draw(rarely) else st.lists(FREE_LEAVES, max_size=3) | FREE_LEAVES
        licence[name] = draw(st.dictionaries(st.text(min_size=1, max_size=20), values, max_size=20))
    start = TEST_TIME - timedelta(days=draw(st.integers(0, 29)), microseconds=draw(rarely))
    validity_info = ValidityInfo(
        signed=start,
        valid_from=start + timedelta(seconds=draw(st.sampled_from([0, 0, 1, 3600, -1]))),
        valid_until=start + timedelta(days=draw(st.sampled_from([29, 1, 14, 300, 400]))),
    )
    return Order(
        namespaces=licence,
        device_key=deterministic_key("device", draw(st.sampled_from(SIGNING_CURVES))).public_key,
        validity=validity_info,
        key_authorizations=draw(st.sampled_from([None, AUTHORIZATIONS, AUTHORIZATIONS, KeyAuthorizations()])),
        status=draw(st.sampled_from([None, STATUS, {}])),
    )


@given(any_orders(), st.sampled_from([*DIGEST_ALGORITHMS]))
def test_any_order_is_refused_or_gives_a_credential_that_verifies(order: Order, algorithm: str) -> None:
    custodian = Custodian()
    issuer = an_issuer(custodian, digest_algorithm=algorithm)
    try:
        issued = issuer.issue(order)
    except IssuanceError:
        assert custodian.signed == []
        return
    verify_by_hand(issued.encode(), order, AUTHORITY.ds_key.public_key, doctype=MDL_DOCTYPE, algorithm=algorithm)
    assert IssuerSigned.decode(issued.encode()).security_object().device_public_key == order.device_key

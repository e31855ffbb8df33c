"""The verifier's front door: it cannot be held the wrong way, leaks nothing, and remembers nothing that matters."""

import copy
import gc
import inspect
import pickle
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from mdl.cbor import FullDate, TDate, diagnose, encode, wrap24
from mdl.doctypes import MDL_NAMESPACE, Answer
from mdl.errors import DecodeError, MdlError, UnsupportedError, VerificationError
from mdl.mdoc import DeviceResponse, SessionTranscript
from mdl.pki import Certificate, KeyPurpose
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    Presentation,
    Recipe,
    SeededEntropy,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    distinguished_name,
    present,
    request_for,
    sample_licence,
    sample_transcript,
    throwaway_authority,
)
from reader import verification
from reader.checks import Findings
from reader.report import CHECKS, RESPONSE_CHECKS, Check, Outcome, Policy, Report, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from reader.verification import (
    SessionContext,
    UnsafeNoRequest,
    VerifiedDocument,
    VerifiedResponse,
    Verifier,
)
from tests.status_forgery import URI, Token

HOUSE = throwaway_authority()
PID = "eu.europa.ec.eudi.pid.1"
DAY = timedelta(days=1)
SMALL = {MDL_NAMESPACE: {"family_name": "Mustermann", "age_over_18": True}}


def trust(*roots: Certificate) -> TrustStore:
    return TrustStore.from_certificates(roots or HOUSE.anchors, doctypes=ANY_DOCTYPE)


def verifier(store: TrustStore | None = None, policy: Policy = Policy.ISO_STRICT) -> Verifier:
    return Verifier(store or trust(), policy=policy, revocation=Revocation.IF_GIVEN)


def expectations(given: Presentation, **others: Any) -> dict[str, Any]:
    context = SessionContext(transcript=given.transcript, reader_key=given.reader_key)
    return {"context": context, "request": given.request, "at": given.at} | others


def verified(given: Presentation | None = None) -> VerifiedDocument:
    given = given or present()
    return verifier().verify(given.response, **expectations(given)).documents[0]


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_what_comes_out_is_what_was_issued_and_shown() -> None:
    namespaces = sample_licence() | {"org.example": {"a": [1, {"b": None}]}}
    shown = ["family_name", "birth_date", "driving_privileges", "portrait", "age_over_18", "a"]
    given = present(
        namespaces=namespaces,
        disclose=shown,
        device_elements={"org.example.device": {"amount": 100}},
        key_authorizations={"nameSpaces": ["org.example.device"]},
    )
    (document,) = verifier().verify(given.response, **expectations(given)).documents
    assert document.doctype == MDL_DOCTYPE
    expected: dict[str, Any] = {
        MDL_NAMESPACE: {name: value for name, value in namespaces[MDL_NAMESPACE].items() if name in shown},
        "org.example": {"a": [1, {"b": None}]},
    }
    assert diagnose(document.elements) == diagnose(expected)
    assert encode(document.elements) == encode(expected)
    assert document.device_elements == {"org.example.device": {"amount": 100}}
    assert document.validity.signed == TEST_TIME - DAY
    assert document.validity.valid_until == TEST_TIME + 29 * DAY
    assert document.document_signer == HOUSE.ds_certificate
    assert document.anchor.certificate is HOUSE.iaca_certificate
    assert repr(document) == f"VerifiedDocument({MDL_DOCTYPE})"


def test_documents_come_out_in_the_order_of_the_response() -> None:
    others = [Recipe(doctype=f"org.example.{number}", namespaces={"org.example": {"n": number}}) for number in range(4)]
    given = Recipe(namespaces=SMALL).present(*others)
    result = verifier().verify(given.response, **expectations(given))
    assert [document.doctype for document in result.documents] == [
        MDL_DOCTYPE,
        *(f"org.example.{number}" for number in range(4)),
    ]
    assert [document.elements.get("org.example") for document in result.documents[1:]] == [
        {"n": number} for number in range(4)
    ]
    assert {check.document for check in result.report} == {None, 0, 1, 2, 3, 4}


def test_what_is_honest_is_accepted_without_a_warning_and_more_certificates_are_named() -> None:
    given = present(namespaces=SMALL)
    assert verifier().examine(given.response, **expectations(given)).warnings == ()
    given = present(namespaces=SMALL, x5chain=[HOUSE.ds_certificate.der, HOUSE.iaca_certificate.der])
    report = verifier().examine(given.response, **expectations(given))
    assert (report.accepted, report.warnings) == (True, (("issuer_auth.x5chain", "x5chain.extra"),))


def test_the_age_is_concluded_from_the_nearest_statement() -> None:
    given = present(namespaces={MDL_NAMESPACE: {"age_over_21": True, "age_over_60": False, "sex": 1}})
    document = verified(given)
    assert [document.age_over(age) for age in (18, 21, 25, 60, 65)] == [
        *(Answer.YES, Answer.YES, Answer.UNKNOWN, Answer.NO, Answer.NO)
    ]
    assert verified(present(namespaces={"org.example": {"age_over_18": True}})).age_over(18) is Answer.UNKNOWN


def test_every_check_is_reported_once_for_each_document_and_in_order() -> None:
    given = Recipe(namespaces=SMALL).present(Recipe(namespaces=SMALL, seed="second", mso_version="2.0"))
    report = verifier().examine(given.response, **expectations(given))
    names = [name for name in CHECKS if name not in RESPONSE_CHECKS]
    assert [check.id for check in report] == [*RESPONSE_CHECKS, *names, *names]
    assert [check.document for check in report] == [None] * 4 + [0] * len(names) + [1] * len(names)
    assert [(check.id, check.document) for check in report if check.outcome is Outcome.FAILED] == [("mso.version", 1)]
    with pytest.raises(VerificationError):
        verifier().verify(given.response, **expectations(given))


def test_a_check_that_nobody_decides_refuses() -> None:
    for document in (None, 0):
        checks = Findings(document, Policy.LENIENT).results.values()
        assert {check.outcome for check in checks} == {Outcome.INDETERMINATE}
        assert not Report(tuple(checks), Policy.LENIENT, Revocation.IF_GIVEN).accepted


def test_the_first_reason_of_a_failure_stands_and_no_later_pass_is_needed() -> None:
    findings = Findings(0, Policy.ISO_STRICT)
    findings.fail("mso.version", "first")
    findings.fail("mso.version", "second")
    assert findings.results["mso.version"] == Check("mso.version", Outcome.FAILED, "first", 0)


def test_the_gravest_deviation_is_the_reason_that_is_told() -> None:
    given = present(namespaces=SMALL, x5chain=HOUSE.deviant_ds(extensions={"ski": None, "eku": None, "crldp": None}))
    for policy in Policy:
        with pytest.raises(VerificationError) as refused:
            verifier(policy=policy).verify(given.response, **expectations(given))
        assert "ds.eku.missing" in refused.value.message


@pytest.mark.parametrize(
    ("root_state", "scope", "failed"),
    [
        ("US-UT", None, ()),
        ("US-NV", None, ("subject.jurisdiction",)),
        (None, "US-UT", ()),
        (None, "US-NV", ("subject.jurisdiction",)),
        (None, None, ()),
    ],
)
def test_the_root_s_state_limits_a_document_signer_that_names_none(
    root_state: str | None, scope: str | None, failed: tuple[str, ...]
) -> None:
    house = ThrowawayAuthority("Silent", state=root_state)
    silent = house.deviant_ds(subject=distinguished_name(C="US", CN="Silent document signer"))
    given = present(authority=house, x5chain=silent)
    anchor = TrustAnchor(certificate=house.iaca_certificate, doctypes=ANY_DOCTYPE, state=scope)
    report = verifier(TrustStore([anchor])).examine(given.response, **expectations(given))
    assert report.failed == failed
    assert verifier(TrustStore([anchor]), Policy.AAMVA).examine(given.response, **expectations(given)).failed == (
        "subject.jurisdiction",
    )


# --- tokens that no document asks for ---------------------------------------------------------------------------------


def _status(uri: str) -> dict[str, Any]:
    return {"status_list": {"idx": 7, "uri": uri}}


def _states(given: Presentation, *tokens: bytes) -> list[tuple[Outcome, str]]:
    report = verifier().examine(given.response, **expectations(given, evidence=Evidence(status_tokens=tokens)))
    return [(check.outcome, check.detail) for check in report if check.id == "mso.status"]


def test_a_token_for_another_address_counts_as_absent() -> None:
    other = Recipe(namespaces=SMALL, mso_status=_status(URI + "/2"))
    given = Recipe(namespaces=SMALL, mso_status=_status(URI)).present(other, Recipe(namespaces=SMALL))
    fits, stray = Token().build(), Token(uri=URI + "/other").build()
    wanting = (Outcome.INDETERMINATE, "no status list at hand for this address")
    passed, none = (Outcome.PASSED, ""), (Outcome.NOT_APPLICABLE, "")
    for tokens, expected in (
        ((), [wanting, wanting, none]),
        ((stray,), [wanting, wanting, none]),
        ((fits,), [passed, wanting, none]),
        ((stray, fits), [passed, wanting, none]),
    ):
        assert _states(given, *tokens) == expected


def test_a_status_of_a_kind_that_is_not_known_asks_for_no_token() -> None:
    given = present(namespaces=SMALL, mso_status={"later": {"idx": 1}})
    ((outcome, _),) = _states(given, Token().build())
    assert outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize("revocation", Revocation)
def test_a_status_that_is_null_counts_as_absent_and_is_named(revocation: Revocation) -> None:
    given = present(namespaces=SMALL, mutate_mso=lambda mso: mso.update(status=None))
    judge = Verifier(trust(), policy=Policy.ISO_STRICT, revocation=revocation)
    report = judge.examine(given.response, **expectations(given, evidence=Evidence(crls=(HOUSE.crl(),))))
    assert (report.accepted, report.warnings) == (True, (("mso.status", "status.null"),))


# --- documents in forms that are not implemented ----------------------------------------------------------------------


def _with_member(response: bytes, name: str) -> bytes:
    """The response with one member more, of a kind that only the second edition has."""
    return bytes((response[0] + 1,)) + response[1:] + encode(name) + encode([{"proof": b"?"}])


@pytest.mark.parametrize("name", ["zkDocuments", "encryptedDocuments"])
def test_what_is_not_implemented_is_left_aside_and_the_rest_is_judged(name: str) -> None:
    given = present(namespaces=SMALL)
    result = verifier().verify(_with_member(given.response, name), **expectations(given))
    assert [document.elements for document in result.documents] == [SMALL]
    assert result.report.unsupported == (name,)
    assert [(type(error), error.code) for error in result.unsupported] == [(UnsupportedError, "response.unsupported")]
    assert name in result.unsupported[0].message
    forged = present(namespaces=SMALL, mso_version="2.0")
    with pytest.raises(VerificationError) as refused:
        verifier().verify(_with_member(forged.response, name), **expectations(forged))
    assert refused.value.failed == ("mso.version",)


@pytest.mark.parametrize("status", [0, 10])
def test_a_response_of_nothing_but_what_is_not_implemented_is_no_verdict(status: int) -> None:
    response = _with_member(DeviceResponse("1.0", (), (), status).encode(), "zkDocuments")
    report = verifier().examine(response, **expectations(present()))
    assert not report.accepted
    assert report.indeterminate == ("response.documents",)
    assert "not implemented: zkDocuments" in [check.detail for check in report]
    assert report.is_unsupported is (status == 0)
    with pytest.raises(UnsupportedError if status == 0 else VerificationError) as refused:
        verifier().verify(response, **expectations(present()))
    assert refused.value.code == ("response.unsupported" if status == 0 else "response.status")


# --- clocks -----------------------------------------------------------------------------------------------------------


def test_no_clock_is_allowed_to_be_off_unless_it_is_said_and_then_by_a_minute_at_most() -> None:
    assert inspect.signature(Verifier).parameters["clock_skew"].default == timedelta(0)
    for seconds in (-1, 61):
        with pytest.raises(ValueError, match="0 to 60 seconds"):
            Verifier(
                trust(),
                policy=Policy.LENIENT,
                revocation=Revocation.IF_GIVEN,
                clock_skew=timedelta(seconds=seconds),
            )
    with pytest.raises(TypeError):
        Verifier(trust(), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN, clock_skew=60)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_no_time_is_too_late_or_too_early_to_be_judged(at: datetime) -> None:
    given = present(namespaces=SMALL)
    skewed = Verifier(trust(), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN, clock_skew=timedelta(seconds=60))
    evidence = Evidence(crls=(HOUSE.crl(),))
    report = skewed.examine(given.response, **expectations(given, at=at), evidence=evidence)
    assert {"issuer_auth.certificate_validity", "mso.validity"} <= set(report.failed)
    assert report.indeterminate == ("issuer_auth.certificate_revocation",)


@pytest.mark.parametrize(
    ("fields", "first", "last", "check"),
    [
        ({}, TEST_TIME - DAY, TEST_TIME + 29 * DAY, "mso.validity"),
        (
            {"x5chain": HOUSE.deviant_ds(not_before=TEST_TIME - DAY, not_after=TEST_TIME + DAY)},
            TEST_TIME - DAY,
            TEST_TIME + DAY,
            "issuer_auth.certificate_validity",
        ),
    ],
)
def test_a_clock_skew_widens_every_period_by_as_much_and_no_more(
    fields: dict[str, Any], first: datetime, last: datetime, check: str
) -> None:
    given = present(namespaces=SMALL, **fields)
    minute = timedelta(seconds=60)
    skewed = Verifier(trust(), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN, clock_skew=minute)
    exact = Verifier(trust(), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    second = timedelta(seconds=1)
    for at in (first, last):
        assert exact.examine(given.response, **expectations(given, at=at)).accepted
    for at in (first - minute, last + minute):
        assert check not in skewed.examine(given.response, **expectations(given, at=at)).failed
    for at in (first - minute - second, last + minute + second):
        assert check in skewed.examine(given.response, **expectations(given, at=at)).failed
    for at in (first - second, last + second):
        assert check in exact.examine(given.response, **expectations(given, at=at)).failed


# --- it cannot be held the wrong way ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["context", "request", "at"])
@pytest.mark.parametrize("method", [Verifier.verify, Verifier.examine])
def test_expectations_are_required_keywords(method: Callable[..., object], name: str) -> None:
    parameter = inspect.signature(method).parameters[name]
    assert parameter.kind is parameter.KEYWORD_ONLY
    assert parameter.default is parameter.empty


@pytest.mark.parametrize("name", ["policy", "revocation"])
def test_policy_and_revocation_are_required_keywords(name: str) -> None:
    parameter = inspect.signature(Verifier).parameters[name]
    assert parameter.kind is parameter.KEYWORD_ONLY
    assert parameter.default is parameter.empty


@pytest.mark.parametrize("value", [None, False, "", 0, {}])
@pytest.mark.parametrize("name", ["context", "request", "at", "evidence"])
def test_none_never_means_that_something_is_not_checked(name: str, value: Any) -> None:
    given = present(namespaces=SMALL)
    for act in (verifier().verify, verifier().examine):
        with pytest.raises(TypeError, match="expected"):
            act(given.response, **expectations(given, **{name: value}))


@pytest.mark.parametrize(
    ("trust_store", "policy", "revocation"),
    [
        (None, Policy.LENIENT, Revocation.IF_GIVEN),
        (HOUSE.iaca_certificate, Policy.LENIENT, Revocation.IF_GIVEN),
        ([HOUSE.iaca_certificate], Policy.LENIENT, Revocation.IF_GIVEN),
        (trust(), None, Revocation.IF_GIVEN),
        (trust(), "lenient", Revocation.IF_GIVEN),
        (trust(), Policy.LENIENT, None),
        (trust(), Policy.LENIENT, "required"),
        (trust(), Policy.LENIENT, False),
    ],
)
def test_a_verifier_is_made_of_the_right_things(trust_store: Any, policy: Any, revocation: Any) -> None:
    with pytest.raises(TypeError, match="expected"):
        Verifier(trust_store, policy=policy, revocation=revocation)


def test_the_escape_hatch_is_an_object_not_its_class() -> None:
    given = present(namespaces=SMALL)
    with pytest.raises(TypeError, match="UnsafeNoRequest"):
        verifier().verify(given.response, **expectations(given, request=UnsafeNoRequest))
    result = verifier().verify(given.response, **expectations(given, request=UnsafeNoRequest()))
    outcomes = {check.outcome for check in result.report if check.id.startswith("request.")}
    assert outcomes == {Outcome.NOT_APPLICABLE}


def test_the_encoded_request_is_not_a_request() -> None:
    given = present(namespaces=SMALL)
    with pytest.raises(TypeError, match="DeviceRequest"):
        verifier().verify(given.response, **expectations(given, request=given.request.encode()))


@pytest.mark.parametrize("response", [None, "", bytearray(b"\xa0"), memoryview(b"\xa0"), {}])
def test_a_response_is_bytes(response: Any) -> None:
    given = present(namespaces=SMALL)
    with pytest.raises(TypeError):
        verifier().verify(response, **expectations(given))


class _Nowhere(timezone.__base__):  # type: ignore[misc, name-defined]
    def utcoffset(self, _moment: datetime | None) -> None:
        return None


@pytest.mark.parametrize("zone", [None, _Nowhere()])
def test_a_naive_time_is_refused(zone: Any) -> None:
    given = present(namespaces=SMALL)
    ours = verifier()
    for act in (ours.verify, ours.examine):
        with pytest.raises(ValueError, match="time of verification is an aware datetime"):
            act(given.response, **expectations(given, at=TEST_TIME.replace(tzinfo=zone)))
        assert ours.examine(given.response, **expectations(given)).accepted


def test_the_time_may_be_told_in_any_zone() -> None:
    given = present(namespaces=SMALL)
    for hours in (-12, 0, 14):
        there = TEST_TIME.astimezone(timezone(timedelta(hours=hours)))
        assert verifier().verify(given.response, **expectations(given, at=there)).report.accepted


@pytest.mark.parametrize("transcript", [None, b"", present(namespaces=SMALL).transcript.encoded, "", []])
def test_a_session_has_a_transcript(transcript: Any) -> None:
    with pytest.raises(TypeError, match="SessionTranscript"):
        SessionContext(transcript=transcript, reader_key=None)


@pytest.mark.parametrize("key", [b"key", "key", 0, deterministic_ephemeral_key("reader").public_key])
def test_a_session_has_the_reader_s_private_key_or_none(key: Any) -> None:
    with pytest.raises(TypeError, match="private key"):
        SessionContext(transcript=present(namespaces=SMALL).transcript, reader_key=key)


def test_a_session_without_a_reader_key_needs_no_word_of_it() -> None:
    transcript = present(namespaces=SMALL).transcript
    assert SessionContext(transcript=transcript) == SessionContext(transcript=transcript, reader_key=None)
    with pytest.raises(TypeError):
        SessionContext(transcript, None)  # type: ignore[call-arg]


# --- a VerifiedDocument comes from a verifier -------------------------------------------------------------------------


def test_nobody_makes_a_verified_document() -> None:
    with pytest.raises(TypeError, match=r"Verifier\.verify"):
        VerifiedDocument()
    with pytest.raises(TypeError):
        VerifiedDocument(doctype=MDL_DOCTYPE, elements=SMALL)  # type: ignore[call-arg]


def test_nobody_makes_a_class_of_verified_documents() -> None:
    with pytest.raises(TypeError, match="subclassed"):

        class _Mine(VerifiedDocument):
            pass

    with pytest.raises(TypeError, match="subclassed"):
        type("Mine", (VerifiedDocument,), {})


def test_a_verified_document_is_not_changed() -> None:
    document = verified()
    for name in ("elements", "doctype", "validity", "new"):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(document, name, SMALL)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del document.elements
    assert not hasattr(document, "__dict__")


def test_its_elements_are_not_changed_either() -> None:
    given = present(device_elements={"org.example": {"amount": 1}}, key_authorizations={"nameSpaces": ["org.example"]})
    document = verified(given)
    spaces: Any
    for spaces in (document.elements, document.device_elements):
        with pytest.raises(TypeError):
            spaces["org.example.other"] = {}
        for elements in spaces.values():
            with pytest.raises(TypeError):
                elements["age_over_18"] = True


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_verified_document_is_not_copied_into_existence(way: Callable[[object], object]) -> None:
    document = verified()
    with pytest.raises(TypeError, match="copied or pickled"):
        way(document)
    with pytest.raises(TypeError, match="copied or pickled"):
        way(object.__new__(VerifiedDocument))


def test_no_verified_document_comes_out_of_a_refusal() -> None:
    given = present(items={"age_over_18": {"presented": {"elementValue": False}}})
    with pytest.raises(VerificationError) as refused:
        verifier().verify(given.response, **expectations(given))
    seen = _reachable(refused.value.report)
    assert not any(isinstance(one, VerifiedDocument | VerifiedResponse | Certificate) for one in seen)


def _reachable(value: Any) -> Iterator[Any]:
    """Everything that a report holds."""
    yield value
    if isinstance(value, tuple):
        for one in value:
            yield from _reachable(one)
    elif isinstance(value, Report | Check):
        for name in value.__slots__:
            yield from _reachable(getattr(value, name))


# --- a report holds no values -----------------------------------------------------------------------------------------


def _personal(licence: dict[str, dict[str, Any]]) -> Iterator[bytes]:
    """What of the licence would tell who somebody is; codes and small numbers would be found by chance."""
    for value in licence[MDL_NAMESPACE].values():
        if isinstance(value, str) and len(value) > 5 and value != "US-UT":
            yield value.encode()
        elif isinstance(value, FullDate | TDate):
            yield value.text.encode()
        elif isinstance(value, bytes):
            yield value[100:140]


_SPOILT = {name: {"value": None} for name in sample_licence()[MDL_NAMESPACE]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"items": {"family_name": {"presented": {"random": bytes(32)}}}},
        {"items": {"family_name": {"copies": 2}}},
        {"items": {name: {"presented": {"elementIdentifier": name + "x"}} for name in _SPOILT}},
        {"items": {name: {"encoded": b"\xd8\x18\x40"} for name in _SPOILT}},
        {"namespaces": {MDL_NAMESPACE: dict.fromkeys(sample_licence()[MDL_NAMESPACE], "Mustermann von Musterfrau")}},
        {"request": request_for((MDL_DOCTYPE, {MDL_NAMESPACE: ["portrait"]}))},
        {"device_elements": {"org.example": {"name": "Mustermann von Musterfrau"}}},
        {"device_elements": {MDL_NAMESPACE: {"family_name": "Mustermann von Musterfrau", "sex": "Nowhere"}}},
        {"mso_doctype": "org.example"},
        {"document_doctype": "org.example"},
        {"device_signer": deterministic_key("attacker")},
        {"x5chain": b"Mustermann"},
    ],
)
@pytest.mark.parametrize("policy", Policy)
def test_a_report_tells_no_element_s_value(fields: dict[str, Any], policy: Policy) -> None:
    given = present(**fields)
    report = verifier(policy=policy).examine(given.response, **expectations(given))
    told = pickle.dumps(report) + repr(report).encode() + "".join(check.detail for check in report).encode()
    try:
        report.require()
    except VerificationError as exc:
        told += repr(exc).encode() + str(exc).encode()
    for value in (*_personal(sample_licence()), b"Mustermann von Musterfrau"):
        assert value not in told


# --- what is remembered -----------------------------------------------------------------------------------------------


def _other_signer(serial: int, **changes: Any) -> bytes:
    return HOUSE.deviant_ds(serial=serial, **changes)


def _certificates_alive() -> int:
    gc.collect()
    return sum(isinstance(one, Certificate) for one in gc.get_objects())


def _under_many_certificates(chains: list[bytes]) -> Presentation:
    """One licence many times, each time under another certificate for the same key."""

    def multiply(response: dict[str, Any]) -> None:
        (document,) = response["documents"]
        protected, _, payload, signature = document["issuerSigned"]["issuerAuth"]
        response["documents"] = [
            document
            | {"issuerSigned": document["issuerSigned"] | {"issuerAuth": [protected, {33: der}, payload, signature]}}
            for der in chains
        ]

    return present(namespaces=SMALL, mutate_response=multiply)


def test_two_thousand_document_signers_do_not_fill_the_memory() -> None:
    ours = verifier()
    before = _certificates_alive()
    for batch in range(20):
        given = _under_many_certificates([_other_signer(1000 * batch + number) for number in range(1, 101)])
        assert ours.examine(given.response, **expectations(given)).accepted
    assert len(ours._signers) == verification._MAX_SIGNERS == 1024
    assert _certificates_alive() - before <= 1024 + 1


def test_a_signer_that_was_forgotten_is_assessed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_MAX_SIGNERS", 2)
    ours = verifier()
    scenes = [present(namespaces=SMALL, x5chain=_other_signer(number)) for number in range(1, 5)]
    remembered: list[bytes] = []
    for number, given in enumerate((*scenes, *scenes)):
        assert ours.examine(given.response, **expectations(given)).accepted
        remembered = [*remembered, _other_signer(number % 4 + 1)][-2:]
        # The oldest goes, not the one that has just come.
        assert [der for der, _ in ours._signers] == remembered


def test_strangers_are_not_remembered() -> None:
    ours = verifier()
    honest = present(namespaces=SMALL)
    assert ours.examine(honest.response, **expectations(honest)).accepted
    for number in range(20):
        stranger = ThrowawayAuthority(generation=number + 2)
        given = present(namespaces=SMALL, authority=stranger)
        assert ours.examine(given.response, **expectations(given)).failed == ("issuer_auth.path",)
    expired = present(namespaces=SMALL, x5chain=_other_signer(1, not_after=TEST_TIME - DAY / 2))
    assert not ours.examine(expired.response, **expectations(expired)).accepted
    assert len(ours._signers) == 1


def test_made_up_document_types_are_not_remembered_one_by_one() -> None:
    """Document type and certificate are the sender's to choose: whoever has seen one licence has a certificate."""
    ours = verifier()
    for number in range(50):
        given = present(namespaces=SMALL, doctype=f"org.example.{number}" + "x" * 10_000)
        ours.examine(given.response, **expectations(given))
    assert len(ours._signers) == 1
    assert len(pickle.dumps(list(ours._signers))) < 5_000


def _long_valid(**changes: Any) -> Presentation:
    return present(namespaces=SMALL, valid_until=TEST_TIME + 5000 * DAY, **changes)


@pytest.mark.parametrize(
    ("days", "failed"),
    [
        (0, ()),
        (365, ()),
        (366, ("issuer_auth.certificate_validity",)),
        (8 * 365 + 1, ("issuer_auth.certificate_validity",)),
    ],
)
def test_a_remembered_signer_does_not_outlive_its_certificate(days: int, failed: tuple[str, ...]) -> None:
    ours = verifier()
    given = _long_valid()
    for at, expected in ((TEST_TIME, ()), (TEST_TIME + days * DAY, failed), (TEST_TIME, ())):
        report = ours.examine(given.response, **expectations(given, at=at))
        assert report.failed == expected
        assert report.accepted is not bool(expected)


def test_a_remembered_signer_expires_to_the_second() -> None:
    ours = verifier()
    given = _long_valid()
    end = HOUSE.ds_certificate.not_after
    for at, accepted in (
        (TEST_TIME, True),
        (end, True),
        (end + timedelta(seconds=1), False),
        (end, True),
        (end + timedelta(microseconds=1), False),
    ):
        assert ours.examine(given.response, **expectations(given, at=at)).accepted is accepted


def test_one_root_that_two_lists_name_for_two_document_types_serves_both() -> None:
    others = ("org.example.a", "org.example.b")
    ours = verifier(
        TrustStore(TrustAnchor(certificate=HOUSE.iaca_certificate, doctypes=frozenset({name})) for name in others)
    )
    given = [Recipe(doctype=name, namespaces={"org.example": {"n": 1}}).present() for name in others]
    for one in (*given, *reversed(given)):
        assert ours.examine(one.response, **expectations(one)).accepted


def test_one_root_that_two_lists_name_is_trusted_as_long_as_either_says() -> None:
    """The signer is remembered with the anchor that it was first assessed under, and that one ends first."""
    brief, long = (
        TrustAnchor(certificate=HOUSE.iaca_certificate, doctypes=ANY_DOCTYPE, until=TEST_TIME + days * DAY)
        for days in (1, 9)
    )
    given = present(namespaces=SMALL)
    for anchors in ([brief, long], [long, brief]):
        ours = verifier(TrustStore(anchors))
        for days, failed in ((0, ()), (1, ()), (2, ()), (9, ()), (10, ("issuer_auth.trust_scope",)), (2, ())):
            report = ours.examine(given.response, **expectations(given, at=TEST_TIME + days * DAY))
            assert report.failed == failed, days


def test_a_generic_signer_signs_other_documents_and_never_an_mdl() -> None:
    """Whatever one verifier has seen of that signer before, and in whatever order."""
    purposes = x509.ExtendedKeyUsage([ObjectIdentifier(KeyPurpose.MDOC_SIGNER)])
    signer = HOUSE.deviant_ds(extensions={"eku": (purposes, True)})
    pid = Recipe(doctype=PID, namespaces={PID: {"family_name": "Mustermann"}}, x5chain=signer).present()
    licence = present(namespaces=SMALL, x5chain=signer)
    for policy in Policy:
        ours = verifier(policy=policy)
        for _ in range(2):
            assert ours.examine(pid.response, **expectations(pid)).accepted
            assert ours.examine(licence.response, **expectations(licence)).failed == ("issuer_auth.profile",)
    foreign = x509.ExtendedKeyUsage([ObjectIdentifier(KeyPurpose.MDOC_READER_AUTHENTICATION)])
    for usage in ((foreign, True), None):
        other = HOUSE.deviant_ds(extensions={"eku": usage})
        pid = Recipe(doctype=PID, namespaces={PID: {"family_name": "Mustermann"}}, x5chain=other).present()
        assert verifier().examine(pid.response, **expectations(pid)).failed == ("issuer_auth.profile",)


def test_a_remembered_signer_does_not_outlive_its_root() -> None:
    root = Certificate(HOUSE.iaca_recipe.with_changes(not_after=TEST_TIME + DAY).build())
    ours = verifier(trust(root))
    given = _long_valid()
    assert ours.examine(given.response, **expectations(given)).accepted
    report = ours.examine(given.response, **expectations(given, at=TEST_TIME + 2 * DAY))
    assert report.failed == ("issuer_auth.certificate_validity",)


def test_a_remembered_signer_is_not_older_than_its_root() -> None:
    root = Certificate(HOUSE.iaca_recipe.with_changes(not_before=TEST_TIME - DAY / 24).build())
    ours = verifier(trust(root))
    given = _long_valid()
    assert ours.examine(given.response, **expectations(given)).accepted
    report = ours.examine(given.response, **expectations(given, at=TEST_TIME - DAY / 12))
    assert report.failed == ("issuer_auth.certificate_validity",)


def test_the_renewed_root_takes_over_from_the_old_one() -> None:
    old = Certificate(HOUSE.iaca_recipe.with_changes(not_after=TEST_TIME + DAY).build())
    new = Certificate(HOUSE.iaca_recipe.with_changes(not_before=TEST_TIME, serial=77).build())
    ours = verifier(trust(old, new))
    given = _long_valid()
    anchors = [
        ours.verify(given.response, **expectations(given, at=TEST_TIME + days * DAY)).documents[0].anchor.certificate
        for days in (0, 2)
    ]
    assert anchors[1] is new
    before = ours.examine(given.response, **expectations(given, at=TEST_TIME - DAY / 2))
    assert before.accepted


@pytest.mark.parametrize("first", [MDL_DOCTYPE, PID, "org.example"])
def test_a_signer_remembered_for_one_document_type_is_not_trusted_for_another(first: str) -> None:
    scopes = {MDL_DOCTYPE: True, PID: False, "org.example": False}
    store = TrustStore(
        [
            TrustAnchor(certificate=HOUSE.iaca_certificate, doctypes=frozenset([MDL_DOCTYPE])),
            TrustAnchor(certificate=ThrowawayAuthority("Other").iaca_certificate, doctypes=frozenset([PID])),
        ]
    )
    ours = verifier(store)
    for doctype in (first, *scopes, *reversed(scopes)):
        given = present(namespaces=SMALL, doctype=doctype)
        report = ours.examine(given.response, **expectations(given))
        assert report.failed == (() if scopes[doctype] else ("issuer_auth.trust_scope",))


def test_what_is_remembered_does_not_vouch_for_what_comes_after() -> None:
    ours = verifier()
    honest = present(namespaces=SMALL)
    assert ours.examine(honest.response, **expectations(honest)).accepted
    for fields, failed in (
        ({"issuer_key": deterministic_key("attacker")}, "issuer_auth.signature"),
        ({"signed": HOUSE.ds_certificate.not_before - DAY}, "mso.signed_within_certificate"),
        ({"issuer_protected": {1: -35}}, "issuer_auth.algorithm"),
        ({"x5chain": HOUSE.ds_certificate.der + b"\0"}, "issuer_auth.x5chain"),
    ):
        given = present(namespaces=SMALL, **fields)
        assert ours.examine(given.response, **expectations(given)).failed == (failed,)
    revoked = Evidence(crls=(HOUSE.crl(revoked=[HOUSE.ds_certificate.serial]),))
    report = ours.examine(honest.response, **expectations(honest, evidence=revoked))
    assert report.failed == ("issuer_auth.certificate_revocation",)
    assert ours.examine(honest.response, **expectations(honest)).accepted


def test_the_policies_do_not_share_what_they_remember() -> None:
    given = present(namespaces=SMALL, x5chain=HOUSE.deviant_ds(extensions={"ian": None}))
    store = trust()
    for _ in range(2):
        for policy, accepted in ((Policy.LENIENT, True), (Policy.ISO_STRICT, False), (Policy.LENIENT, True)):
            assert verifier(store, policy).examine(given.response, **expectations(given)).accepted is accepted


def test_a_verifier_is_shared_by_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "_MAX_SIGNERS", 3)
    ours = verifier()
    scenes: list[tuple[Presentation, tuple[str, ...]]] = []
    for number in range(8):
        chain = _other_signer(number + 1)
        scenes += [
            (present(namespaces=SMALL, x5chain=chain), ()),
            (present(namespaces=SMALL, x5chain=chain, mso_doctype="org.example"), ("mso.doctype",)),
            (present(namespaces=SMALL, authority=ThrowawayAuthority(generation=number + 2)), ("issuer_auth.path",)),
        ]
    work = scenes * 12
    random.Random(1).shuffle(work)

    def one(task: tuple[Presentation, tuple[str, ...]]) -> bool:
        given, failed = task
        evidence = Evidence(crls=(HOUSE.crl(number=1 + hash(failed) % 7),)) if failed != ("issuer_auth.path",) else None
        more = {"evidence": evidence} if evidence else {}
        return ours.examine(given.response, **expectations(given, **more)).failed == failed

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, work))
    assert len(ours._signers) <= 3


# --- it raises nothing else -------------------------------------------------------------------------------------------


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """A response with some bytes changed, cut out or put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.randrange(256)
            case 2:
                del changed[at : at + chance.randint(1, 4)]
            case _:
                changed[at:at] = chance.randbytes(chance.randint(1, 4))
    return bytes(changed)


def test_a_damaged_response_is_refused_and_raises_nothing_unexpected() -> None:
    chance = random.Random(18013)
    ours = {policy: verifier(policy=policy) for policy in Policy}
    scenes = [
        present(namespaces=SMALL, mso_status={"status_list": {"idx": 1, "uri": "https://throwaway.example"}}),
        present(
            namespaces=SMALL | {"org.example": {"a": {"b": [1, TDate("2026-01-01T00:00:00Z")]}}},
            device_elements={"org.example.device": {"a": 1}},
            key_authorizations={"nameSpaces": ["org.example.device"]},
        ),
    ]
    refused = 0
    for _ in range(1500):
        given = chance.choice(scenes)
        try:
            report = ours[chance.choice(list(Policy))].examine(_damaged(given.response, chance), **expectations(given))
        except DecodeError:
            refused += 1
        else:
            refused += not report.accepted
    # Now and then a change makes version 1.0 a version 1.8, or puts something where the reader does not look.
    assert refused > 1450


def test_one_changed_bit_is_enough() -> None:
    """Whichever bit of a small response is changed, it is refused: nothing in it goes unchecked."""
    given = present(namespaces=SMALL)
    ours = verifier()
    minor = given.response.index(b"1.0") + 2
    for at in range(len(given.response)):
        for bit in {0, at % 8}:
            changed = bytearray(given.response)
            changed[at] ^= 1 << bit
            try:
                report = ours.examine(bytes(changed), **expectations(given))
            except DecodeError:
                continue
            # A minor version is understood whatever it is.
            assert not report.accepted or at == minor, at


def test_what_is_put_where_nobody_looks_changes_nothing() -> None:
    given = present(namespaces=SMALL, response_extra={"comment": SeededEntropy("comment")(100)})
    assert verified(given).elements == SMALL


def test_no_foreign_exception_crosses_the_door() -> None:
    """Values of every kind at every place of the security object: a refusal, or an error of this project."""
    odd: tuple[Any, ...] = (None, True, -1, 2**63, 1.5, "", "x", b"", b"x", [], [[]], {}, {"x": 1}, {1: 2})
    names = ("version", "digestAlgorithm", "valueDigests", "deviceKeyInfo", "docType", "validityInfo", "status")
    inner = {
        "deviceKeyInfo": ("deviceKey", "keyAuthorizations", "keyInfo"),
        "validityInfo": ("signed", "validFrom", "validUntil", "expectedUpdate"),
    }
    ours = verifier()
    tried = 0
    for value in odd:
        changes: list[Callable[..., object]] = [
            lambda mso, name=name, value=value: mso.update({name: value}) for name in names
        ]
        changes += [
            lambda mso, outer=outer, name=name, value=value: mso[outer].update({name: value})
            for outer, members in inner.items()
            for name in members
        ]
        for change in changes:
            given = present(namespaces=SMALL, mutate_mso=change)
            tried += 1
            try:
                assert isinstance(ours.examine(given.response, **expectations(given)), Report)
            except MdlError:
                continue
    assert tried == len(odd) * (len(names) + 7)


def test_a_transcript_of_another_making_is_another_session() -> None:
    """The same three parts in another encoding are not the bytes that the device has signed."""
    given = present(namespaces=SMALL)
    wide = SessionTranscript(b"\x98\x03" + given.transcript.encoded[1:])
    context = SessionContext(transcript=wide, reader_key=given.reader_key)
    report = verifier().examine(given.response, **expectations(given, context=context))
    assert report.failed == ("device_auth.signature",)
    assert sample_transcript(given.reader_key.public_key) == given.transcript


def test_the_clock_of_the_machine_plays_no_part() -> None:
    at = datetime(2050, 1, 1, tzinfo=UTC)
    authority = ThrowawayAuthority("Future", at=at)
    given = present(namespaces=SMALL, authority=authority, at=at)
    assert verifier(trust(*authority.anchors)).examine(given.response, **expectations(given)).accepted


def test_a_wrapped_response_is_none() -> None:
    given = present(namespaces=SMALL)
    with pytest.raises(DecodeError):
        verifier().examine(wrap24(given.response), **expectations(given))
    with pytest.raises(DecodeError):
        verifier().examine(encode(given.response), **expectations(given))


def test_what_cannot_be_judged_since_an_item_cannot_be_read_says_so() -> None:
    given = Recipe(namespaces=SMALL, items={"family_name": {"encoded": wrap24(b"\x1c")}}).present()
    report = verifier().examine(given.response, **expectations(given))
    assert (report.failed, report.indeterminate[-1]) == (("issuer_data.encoding",), "request.elements")
    (open_,) = (check for check in report if check.id == "request.elements")
    assert open_.detail == "an item cannot be read: it may be the one that is missing"


def test_of_several_deviations_those_that_refuse_are_told_as_reasons_and_the_others_as_warnings() -> None:
    findings = Findings(0, Policy.ISO_STRICT)
    findings.judge("mso.validity", {"validity.date_form": "odd", "validity.order": "wrong", "validity.x": "unheard of"})
    judged = findings.results["mso.validity"]
    assert (judged.outcome, judged.detail, judged.warnings) == (Outcome.FAILED, "wrong", ("validity.date_form",))

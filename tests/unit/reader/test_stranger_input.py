"""What strangers send: nothing in it reaches a guard for programmers, and a fault of ours accepts nobody."""

import copy
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from mdl import cbor, mdoc, session
from mdl.cbor import Limits, Reading, decode, decode_view, encode, head, unwrap24, wrap24
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import DecodeError, MdlError, VerificationError
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest, IssuerSigned, SessionTranscript
from mdl.status import StatusReference
from mdl.testing import Presentation, Recipe, deterministic_key, raw, throwaway_authority
from reader import verification
from reader.report import DEVIATIONS, Outcome, Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, VerifiedDocument, Verifier
from tests.odd_values import mutants
from tests.wire import tag24

SMALL = {MDL_NAMESPACE: {"family_name": "Mustermann", "driving_privileges": [{"vehicle_category_code": "B"}]}}
STATUS = {"status_list": {"idx": 7, "uri": "https://lists.example/1"}}


def present(*others: Recipe, **fields: Any) -> Presentation:
    return Recipe(**{"namespaces": SMALL} | fields).present(*others)


PLAIN = present()


def verifier(policy: Policy = Policy.LENIENT, **options: Any) -> Verifier:
    trust = TrustStore.from_certificates(PLAIN.anchors, doctypes=ANY_DOCTYPE)
    return Verifier(trust, policy=policy, **{"revocation": Revocation.IF_GIVEN} | options)


def told(given: Presentation = PLAIN, **changes: Any) -> dict[str, Any]:
    context = SessionContext(transcript=given.transcript, reader_key=given.reader_key)
    return {"context": context, "request": given.request, "at": given.at} | changes


OURS = verifier()


# --- odd values in every field ----------------------------------------------------------------------------------------


def odd(value: Any, *, each: int = 1, longest: int = 2) -> Iterator[tuple[str, Any]]:
    """The mutants of a structure, with every `each`-th odd value in turn, so that all of them are used somewhere."""
    for index, one in enumerate(mutants(value, longest=longest)):
        if index % each == 0:
            yield one


def caught(**fields: Any) -> Any:
    """What the named hook of a recipe is given to encode."""
    found: list[Any] = []
    (name,) = fields

    def catch(value: Any) -> bytes:
        found.append(copy.deepcopy(value))
        return encode(value)

    present(**{name: catch}, **fields[name])
    return found[0]


def responses() -> Iterator[tuple[str, bytes]]:
    for what, value in odd(decode_view(PLAIN.response), each=5):
        yield f"response {what}", encode(value)
    security_object = caught(encode_mso={"mso_status": STATUS, "key_authorizations": {"nameSpaces": ["a"]}})
    for what, value in odd(security_object, each=11):
        yield f"security object {what}", present(encode_mso=lambda _, value=value: encode(value)).response
    item = {"digestID": 3, "random": bytes(16), "elementIdentifier": "family_name", "elementValue": ["x", {"y": 1}]}
    for what, value in odd(item, each=3):
        yield f"item {what}", present(items={"family_name": {"encoded": wrap24(encode(value))}}).response
    for what, value in odd({"org.example": {"a": [1]}}, each=2):
        yield f"device {what}", present(device_name_spaces=encode(value)).response
    for what, value in odd({1: -7, 34: [-16, b"x"]}, each=3):
        yield f"header {what}", present(issuer_protected=encode(value)).response


def test_an_odd_value_in_any_field_of_a_response_meets_no_guard_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    counted = 0
    for what, response in responses():
        with caplog.at_level(logging.ERROR):
            try:
                OURS.examine(response, **told())
            except MdlError:
                pass
            except Exception as exc:  # noqa: BLE001 - the test says where
                pytest.fail(f"{what}: {exc!r}")
        assert not caplog.records, what
        counted += 1
    assert counted > 700


def test_an_odd_value_in_a_request_a_transcript_or_a_status_meets_no_guard_of_ours() -> None:
    items = {"docType": "a", "nameSpaces": {"a": {"b": True}}, "requestInfo": {
        "issuerIdentifiers": [b"x"], "uniqueDocSetRequired": True,
        "alternativeDataElements": [{"requestedElement": ["a", "b"], "alternativeElementSets": [[["a", "c"]]]}],
    }}  # fmt: skip
    acts: list[tuple[Any, Callable[[Any], object]]] = [
        (decode_view(PLAIN.request.encode()), lambda value: DeviceRequest.decode(encode(value))),
        (items, lambda value: OURS.examine(PLAIN.response, **told(request=DeviceRequest.decode(
            encode({"version": "1.0", "docRequests": [{"itemsRequest": raw(wrap24(encode(value)))}]}))))),
        (decode_view(PLAIN.transcript.encoded), lambda value: SessionContext(
            transcript=SessionTranscript(encode(value)), reader_key=PLAIN.reader_key)),
        (STATUS | {"identifier_list": {"id": b"x", "uri": "a", "certificate": b""}}, StatusReference.decode),
    ]  # fmt: skip
    for base, act in acts:
        for what, value in odd(base, each=2):
            try:
                act(value)
            except MdlError:
                pass
            except Exception as exc:  # noqa: BLE001 - the test says where
                pytest.fail(f"{what}: {exc!r}")


# --- the second wall --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "check"),
    [
        ("examine_security_object", "mso.doctype"),
        ("examine_items", "issuer_data.encoding"),
        ("examine_signature", "issuer_auth.signature"),
        ("examine_device_auth", "device_auth.algorithm"),
        ("examine_subject", "subject.country"),
        ("examine_request", "request.elements"),
        ("examine_types", "elements.types"),
    ],
)
def test_a_fault_of_ours_fails_the_check_that_met_it_and_leaves_the_other_document_alone(
    step: str, check: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = present(Recipe(namespaces=SMALL))
    usual = getattr(verification, step)

    def fail_first(findings: Any, *arguments: Any, **named: Any) -> Any:
        if findings.document == 0:
            msg = "Mustermann"
            raise ValueError(msg)
        return usual(findings, *arguments, **named)

    monkeypatch.setattr(verification, step, fail_first)
    report = OURS.examine(given.response, **told(given))
    first = {one.id: one for one in report if one.document == 0}
    assert first[check].outcome is Outcome.FAILED
    assert not report.accepted
    assert not [one for one in report if one.document == 1 and report.refuses(one)]
    assert "Mustermann" not in report.as_json().decode() + caplog.text
    with pytest.raises(VerificationError):
        OURS.verify(given.response, **told(given))


def test_a_fault_of_ours_in_the_decoder_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RecursionError

    monkeypatch.setattr(mdoc.DeviceResponse, "decode", fail)
    with pytest.raises(DecodeError) as refused:
        OURS.examine(PLAIN.response, **told())
    assert refused.value.code == "response.undecodable"


# --- one budget -------------------------------------------------------------------------------------------------------


def hostile(items: list[bytes]) -> bytes:
    value = decode_view(PLAIN.response)
    value["documents"][0]["issuerSigned"]["nameSpaces"] = {MDL_NAMESPACE: [raw(one) for one in items]}
    return encode(value)


def item(identifier: str, value: bytes) -> bytes:
    return tag24(
        b"\xa4\x68digestID\x00\x66random\x50" + bytes(16) + b"\x71elementIdentifier" + encode(identifier)
        + b"\x6celementValue" + value
    )  # fmt: skip


@pytest.mark.parametrize(
    ("count", "value"),
    [
        (530, head(4, 380) + (b"\xc7" * 19 + b"\x00") * 380),
        (4000, head(4, 900) + b"\x80" * 900),
        (500, head(4, 8000) + b"\x00" * 8000),
    ],
    ids=["tags", "arrays", "numbers"],
)
def test_four_megabytes_without_a_key_take_little_time(count: int, value: bytes) -> None:
    response = hostile([item(f"e{index}", value) for index in range(count)])
    assert len(response) > 3_500_000
    start = time.process_time()
    report = OURS.examine(response, **told())
    seconds = time.process_time() - start
    (check,) = [one for one in report if one.id == "issuer_data.encoding"]
    assert check.outcome is Outcome.FAILED
    assert "cbor.too_many" in check.detail
    assert seconds < 3.0  # 0.4 on a quiet machine; a reading for each item would take many times as long


def test_a_reading_is_one_for_all_that_a_response_holds() -> None:
    reading = Reading(Limits(max_items=100))
    many = encode([0] * 60)
    assert decode(many, reading=reading)  # by the library: 61 items are no more than 62 bytes
    assert decode(many, reading=reading)  # walked
    with pytest.raises(DecodeError) as refused:
        decode(many, reading=reading)
    assert refused.value.code == "cbor.too_many"


def test_a_large_item_does_not_send_the_small_ones_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[int] = []
    usual = cbor._view

    def watch(data: bytes, *arguments: Any, **named: Any) -> Any:
        walked.append(len(data))
        return usual(data, *arguments, **named)

    monkeypatch.setattr(cbor, "_view", watch)
    large = encode(bytes(1 << 20))
    assert len(cbor.decode_sequence([encode("a"), large, encode("b")], reading=Reading(), path="")) == 3
    assert walked == [len(large)]


# --- tolerances have codes --------------------------------------------------------------------------------------------


def test_whatever_is_noted_while_reading_stands_in_the_table_under_response_decoded() -> None:
    noted = {
        cbor.LONG_HEAD,
        cbor.LONG_FLOAT,
        "cose.tagged",
        mdoc.EMPTY,
        mdoc.EMPTY_NAME,
        mdoc.DIGEST_ID,
        mdoc.KEY_AUTHORIZATIONS,
    }
    assert {code for code, row in DEVIATIONS.items() if row.check == "response.decoded"} == noted


def test_the_labels_of_all_handovers_name_no_session() -> None:
    labels = {one.label for one in session.HashedHandover.__subclasses__()}
    assert labels
    for label in labels:
        transcript = SessionTranscript(encode([None, None, [label]]))
        assert SessionContext(transcript=transcript).fault
        assert SessionContext(transcript=SessionTranscript(encode([None, None, [label, bytes(32)]]))).fault is None


def test_the_reader_key_may_stand_in_the_transcript_in_another_form() -> None:
    point = decode(unwrap24(decode_view(PLAIN.transcript.encoded)[1].raw))
    more = encode([raw(wrap24(b"\xa0")), raw(wrap24(encode(point | {2: b"kid"}))), None])
    compressed = encode([None, raw(wrap24(encode(point | {-3: bool(point[-3][-1] & 1)}))), ["x" * 9]])
    for encoded in (more, compressed):
        assert SessionContext(transcript=SessionTranscript(encoded), reader_key=PLAIN.reader_key).fault is None
        other = SessionContext(transcript=SessionTranscript(encoded), reader_key=EphemeralKey.generate("P-256"))
        assert other.fault
    broken = SessionTranscript(encode([None, raw(wrap24(b"\xa0")), None]))
    assert SessionContext(transcript=broken, reader_key=PLAIN.reader_key).fault
    assert SessionContext(transcript=broken).fault is None  # there is nothing to compare with


# --- what nobody has presented ----------------------------------------------------------------------------------------


def bare() -> bytes:
    signed: IssuerSigned = mdoc.DeviceResponse.decode(PLAIN.response).documents[0].issuer_signed
    return signed.encode()


def test_issuer_signed_data_holds_and_is_no_presentation() -> None:
    document = mdoc.DeviceResponse.decode(PLAIN.response).documents[0].encode()
    for data in (bare(), document):
        for policy in Policy:
            result = verifier(policy).examine_issuer_signed(data, at=PLAIN.at)
            assert (result.holds, result.refusing) == (True, ())
            assert not result.report.accepted
            assert result.identifiers == {MDL_NAMESPACE: tuple(SMALL[MDL_NAMESPACE])}
            assert None not in (result.anchor, result.validity, result.document_signer)
            assert not isinstance(result, VerifiedDocument)
            assert "Mustermann" not in repr(result) + result.report.as_json().decode()
            with pytest.raises(TypeError):
                bool(result)


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        ({"items": {"family_name": {"value": "Musterfrau"}}}, ()),
        ({"issuer_key": deterministic_key("another")}, ("issuer_auth.signature",)),
        ({"valid_until": PLAIN.at - timedelta(seconds=1)}, ("mso.validity",)),
    ],
    ids=["another name", "another key", "expired"],
)
def test_forged_issuer_signed_data_does_not_hold(change: dict[str, Any], failed: tuple[str, ...]) -> None:
    given = present(**change)
    signed = mdoc.DeviceResponse.decode(given.response).documents[0].issuer_signed
    assert OURS.examine_issuer_signed(signed.encode(), at=given.at).refusing == failed
    if not failed:
        changed = signed.encode().replace(b"Musterfrau", b"Mastermann")
        assert OURS.examine_issuer_signed(changed, at=given.at).refusing == ("issuer_data.digest",)


def test_revoked_issuer_signed_data_does_not_hold() -> None:
    required = verifier(revocation=Revocation.REQUIRED)
    assert required.examine_issuer_signed(bare(), at=PLAIN.at).refusing == ("issuer_auth.certificate_revocation",)
    evidence = Evidence(crls=(throwaway_authority().crl(),))
    assert required.examine_issuer_signed(bare(), at=PLAIN.at, evidence=evidence).holds


@pytest.mark.parametrize("data", [b"", b"\xf6", b"\xa0", PLAIN.response, encode({"issuerSigned": {}})], ids=len)
def test_what_is_no_issuer_signed_data_does_not_decode(data: bytes) -> None:
    with pytest.raises(DecodeError):
        OURS.examine_issuer_signed(data, at=PLAIN.at)


# --- the library's edges ----------------------------------------------------------------------------------------------


def test_an_argument_of_the_wrong_type_is_named() -> None:
    wrong_ones: dict[str, Any] = {"context": None, "request": None, "at": "now", "evidence": ()}
    for name, wrong in wrong_ones.items():
        with pytest.raises(TypeError, match=f"^{name}: expected"):
            OURS.examine(PLAIN.response, **told(**{name: wrong}))
    kinds: tuple[Any, ...] = (bytearray, memoryview)
    for kind in kinds:
        with pytest.raises(TypeError, match=f"^response: expected bytes, not {kind.__name__}"):
            OURS.verify(kind(PLAIN.response), **told())
        with pytest.raises(TypeError, match=r"^data: expected bytes"):
            OURS.examine_issuer_signed(kind(bare()), at=PLAIN.at)
    for act in (
        lambda at: OURS.verify(PLAIN.response, **told(at=at)),
        lambda at: OURS.examine_issuer_signed(bare(), at=at),
    ):
        with pytest.raises(ValueError, match=r"^at: "):
            act(PLAIN.at.replace(tzinfo=None))
    for name in ("max_bytes", "max_depth", "max_entries", "max_items"):
        with pytest.raises(ValueError, match=f"^{name} "):
            Limits(**{name: -1})
        with pytest.raises(TypeError, match=f"^{name} "):
            Limits(**{name: True})


def test_nothing_inside_a_verified_document_can_be_changed() -> None:
    deep = {"org.example": {"x": [1, {"y": [{"z": [2]}]}]}}
    given = present(namespaces=SMALL | deep, device_elements={"org.device": {"a": [[3]]}},
                    key_authorizations={"nameSpaces": ["org.device"]})  # fmt: skip
    (document,) = OURS.verify(given.response, **told(given)).documents

    def walk(value: Any) -> None:
        assert not isinstance(value, list | dict | set | bytearray)
        if isinstance(value, tuple):
            for one in value:
                walk(one)
        elif hasattr(value, "items"):
            with pytest.raises(TypeError):
                value["x"] = 1
            for one in value.values():
                walk(one)

    walk(document.elements)
    walk(document.device_elements)
    assert decode(encode(document.elements["org.example"]["x"])) == deep["org.example"]["x"]


def test_what_is_no_yes_or_no_says_so() -> None:
    for outcome in Outcome:
        with pytest.raises(TypeError, match="compare with"):
            bool(outcome)


def test_a_verifier_and_a_session_are_not_pickled() -> None:
    for one in (OURS, told()["context"]):
        for act in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"cannot be copied or pickled"):
                act(one)

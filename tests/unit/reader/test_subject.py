"""The harness protocol: every line is answered, and whatever comes in, the loop goes on."""

import base64
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import FullDate, encode
from mdl.keys import EphemeralKey
from mdl.mdoc import SessionTranscript
from mdl.pki import Certificate
from mdl.testing import (
    MDL_DOCTYPE,
    DeviceAuth,
    Presentation,
    Recipe,
    SeededEntropy,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    present,
    request_for,
    sample_transcript,
    throwaway_authority,
)
from reader.subject import MAX_LINE, ReaderSubject, serve
from reader.verification import Verifier
from tests import external

MALFORMED = {"id": None, "verdict": "error"}
NAMESPACE = "org.iso.18013.5.1"
HONEST = present(disclose={"family_name", "birth_date", "age_over_18"})


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def task_of(presentation: Presentation = HONEST, **changes: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "task": "verify",
        "response": b64u(presentation.response),
        "trust_anchors": [anchor.pem for anchor in presentation.anchors],
        "session_transcript": b64u(presentation.transcript.encoded),
        "reader_key": presentation.reader_key.to_pkcs8().decode(),
        "request": b64u(presentation.request.encode()),
        "at": presentation.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "crls": [],
        "status_tokens": [],
        "policy": "iso-strict",
        "revocation": "if-given",
    } | changes


def ask(presentation: Presentation = HONEST, **changes: Any) -> dict[str, Any]:
    return ReaderSubject().answer(json.dumps(task_of(presentation, **changes)).encode() + b"\n")


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_an_honest_response_is_accepted_with_its_elements_in_diagnostic_notation() -> None:
    answer = ask()
    assert answer == {
        "id": "1",
        "verdict": "accept",
        "failed": [],
        "indeterminate": ["issuer_auth.certificate_revocation"],
        "documents": [{"doctype": "org.iso.18013.5.1.mDL", "elements": answer["documents"][0]["elements"]}],
    }
    elements = answer["documents"][0]["elements"][NAMESPACE]
    assert elements.keys() == {"family_name", "birth_date", "age_over_18"}
    assert elements["age_over_18"] == "true"
    assert elements["birth_date"].startswith('1004("')


def test_what_the_device_signed_stands_beside_what_the_issuer_signed() -> None:
    presentation = present(
        disclose={"family_name"},
        device_elements={NAMESPACE: {"age_in_years": 44}},
        key_authorizations={"dataElements": {NAMESPACE: ["age_in_years"]}},
    )
    answer = ask(presentation, request=None)
    assert answer["verdict"] == "accept", answer
    assert answer["documents"][0]["elements"][NAMESPACE].keys() == {"family_name", "age_in_years"}
    assert answer["documents"][0]["elements"][NAMESPACE]["age_in_years"] == "44"


def test_a_byte_string_is_given_whole() -> None:
    answer = ask(present(disclose={"portrait"}))
    shown = answer["documents"][0]["elements"][NAMESPACE]["portrait"]
    assert shown.startswith("h'")
    assert len(bytes.fromhex(shown[2:-1])) == 20_000


FORGED = {
    "issuer_data.digest": Recipe(
        disclose={"birth_date"}, items={"birth_date": {"presented": {"elementValue": FullDate("2001-01-01")}}}
    ),
    "mso.validity": Recipe(disclose={"birth_date"}, valid_until=datetime(2026, 5, 31, tzinfo=UTC)),
    "device_auth.signature": Recipe(
        disclose={"birth_date"},
        device_transcript=sample_transcript(deterministic_ephemeral_key("reader").public_key, seed="another"),
    ),
    "issuer_auth.signature": Recipe(disclose={"birth_date"}, issuer_signature=bytes(64)),
}


@pytest.mark.parametrize("check", FORGED)
def test_a_forgery_is_rejected_by_the_check_that_it_breaks_and_nothing_is_handed_out(check: str) -> None:
    answer = ask(FORGED[check].present())
    assert (answer["id"], answer["verdict"], answer["documents"]) == ("1", "reject", [])
    assert answer["failed"] == [check]


def test_the_reader_key_is_what_a_mac_is_checked_with() -> None:
    presentation = present(disclose={"family_name"}, device_auth=DeviceAuth.MAC)
    assert ask(presentation)["verdict"] == "accept"
    assert ask(presentation, reader_key=None)["failed"] == ["device_auth.mac"]
    other = EphemeralKey.generate().to_pkcs8().decode()
    assert ask(presentation, reader_key=other)["failed"] == ["device_auth.mac"]


def test_the_request_is_compared_when_there_is_one() -> None:
    asked = request_for(("org.iso.18013.5.1.mDL", {NAMESPACE: ["family_name", "birth_date"]}))
    assert ask(request=b64u(asked.encode()))["failed"] == ["request.unrequested"]
    assert ask(request=None)["verdict"] == "accept"


def test_the_time_decides() -> None:
    assert "mso.validity" in ask(at="2031-01-01T00:00:00Z")["failed"]


def test_revocation_evidence_is_used() -> None:
    authority = throwaway_authority()
    clean, revoking = authority.crl(), authority.crl(revoked=[authority.ds_certificate.serial])
    name = "issuer_auth.certificate_revocation"
    assert ask(crls=[b64u(clean)])["indeterminate"] == []
    assert ask(crls=[b64u(revoking)])["failed"] == [name]
    useless = ask(crls=[b64u(b"no CRL")])
    assert (useless["verdict"], useless["failed"], useless["indeterminate"]) == ("accept", [], [name])
    assert ask(crls=[b64u(clean)], revocation="required")["verdict"] == "accept"
    answer = ask(revocation="required")
    assert (answer["verdict"], answer["failed"], answer["indeterminate"]) == ("reject", [], [name])


def test_documents_in_a_form_that_is_not_implemented_are_unsupported_and_those_beside_them_are_judged() -> None:
    more = encode("zkDocuments") + encode([{}])
    alone = b"\xa3" + encode("version") + encode("1.0") + more + encode("status") + encode(0)
    answer = ask(response=b64u(alone))
    assert (answer["verdict"], answer["failed"], answer["indeterminate"]) == ("unsupported", [], ["response.documents"])
    beside = bytes((HONEST.response[0] + 1,)) + HONEST.response[1:] + more
    assert ask(response=b64u(beside)) == ask()


def test_the_policy_is_the_one_that_was_asked_for() -> None:
    presentation = present(disclose={"family_name"}, random_size=15)
    assert ask(presentation)["failed"] == ["issuer_data.random"]
    assert ask(presentation, policy="aamva")["failed"] == ["issuer_data.random"]
    assert ask(presentation, policy="lenient")["verdict"] == "accept"


def test_who_trusts_nobody_accepts_nothing() -> None:
    answer = ask(trust_anchors=[])
    assert (answer["verdict"], answer["failed"]) == ("reject", ["issuer_auth.path"])
    assert ask(trust_anchors=[], response=b64u(b"\xff"))["failed"] == ["response.decoded"]


def test_an_anchor_of_another_authority_does_not_help() -> None:
    other = foreign_root()
    assert "issuer_auth.path" in ask(trust_anchors=[other])["failed"]
    assert ask(trust_anchors=[other, *(anchor.pem for anchor in HONEST.anchors)])["verdict"] == "accept"


def foreign_root() -> str:
    return ThrowawayAuthority("Somebody else").iaca_certificate.pem


def test_an_anchor_may_be_trusted_for_some_document_types_only() -> None:
    pem = HONEST.anchors[0].pem
    scoped = [{"certificate": pem, "doctypes": [doctype]} for doctype in (MDL_DOCTYPE, "org.example")]
    assert ask(trust_anchors=scoped)["verdict"] == "accept"
    # The verifier of the broader scope is not taken for the narrower one.
    assert ask(trust_anchors=[pem])["verdict"] == "accept"
    assert ask(trust_anchors=scoped[1:])["failed"] == ["issuer_auth.trust_scope"]


def test_an_anchor_that_names_no_document_types_is_trusted_for_any() -> None:
    pem = HONEST.anchors[0].pem
    for anchor in ({"certificate": pem}, {"certificate": pem, "doctypes": None}):
        assert ask(trust_anchors=[anchor])["verdict"] == "accept"


@pytest.mark.parametrize("member", ["country", "state", "until", "Doctypes", "purpose", ""])
@pytest.mark.parametrize("value", [None, "XV", []])
def test_a_member_of_an_anchor_that_is_not_known_may_be_a_limit_and_is_unsupported(member: str, value: object) -> None:
    anchor = {"certificate": HONEST.anchors[0].pem, "doctypes": [MDL_DOCTYPE], member: value}
    answer = ask(trust_anchors=[HONEST.anchors[0].pem, anchor])
    assert (answer["verdict"], answer["documents"]) == ("unsupported", [])
    assert "XV" not in answer["message"]


PID = "eu.europa.ec.eudi.pid.1"


def test_an_anchor_may_say_which_purposes_signers_of_other_documents_have() -> None:
    reader = ReaderSubject()
    authority = throwaway_authority()
    eku = (x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.2.3")]), True)
    shown = Recipe(
        doctype=PID, namespaces={PID: {"family_name": "Doe"}}, x5chain=authority.deviant_ds(extensions={"eku": eku})
    ).present()
    anchor: dict[str, Any] = {"certificate": authority.iaca_certificate.pem}
    for purposes, verdict in (
        ({PID: ["1.2.3"]}, "accept"),
        ({PID: "any"}, "accept"),
        ({PID: ["1.2.4", "1.2.3"]}, "accept"),
        ({PID: ["1.2.4"]}, "reject"),
        ({"org.example": "any"}, "reject"),
        ({}, "reject"),
        (None, "reject"),
    ):
        # One after the other before one reader, which must not take the verifier of another choice.
        task = task_of(shown, trust_anchors=[anchor | {"signer_purposes": purposes}])
        answer = reader.answer(json.dumps(task).encode())
        assert answer["verdict"] == verdict, purposes
        assert answer["failed"] == ([] if verdict == "accept" else ["issuer_auth.profile"])


@pytest.mark.parametrize("text", ["Führerscheinstelle\n", "\N{GREEK SMALL LETTER OMEGA}: ", "\ud800\n"])
def test_an_anchor_may_have_text_around_it_in_any_letters(text: str) -> None:
    pem = HONEST.anchors[0].pem
    assert ask(trust_anchors=[text + pem + text])["verdict"] == "accept"
    assert ask(trust_anchors=[pem.replace("\n", text, 1)])["verdict"] == "error"
    assert ask(trust_anchors=[text])["verdict"] == "error"


def test_members_that_may_be_left_out_have_the_protocol_s_defaults() -> None:
    task = task_of()
    for member in ("reader_key", "request", "crls", "status_tokens", "policy", "revocation"):
        del task[member]
    assert ReaderSubject().answer(json.dumps(task).encode())["verdict"] == "accept"


def test_unknown_members_are_ignored() -> None:
    assert ask(hint={"deep": [1, 2.5, None]}, NaNcy="yes")["verdict"] == "accept"


@pytest.mark.parametrize("task", ["issue", "VERIFY", "", None, 7, ["verify"]])
def test_an_unknown_task_is_unsupported(task: object) -> None:
    assert ask(task=task) == {"id": "1", "verdict": "unsupported", "failed": [], "indeterminate": [], "documents": []}


MALFORMED_RESPONSES = {
    "nothing": "",
    "one byte": b64u(b"\x00"),
    "an empty map": b64u(b"\xa0"),
    "an array": b64u(b"\x80"),
    "cut short": b64u(HONEST.response[:-1]),
    "with a byte too much": b64u(HONEST.response + b"\x00"),
    "nested deeply": b64u(b"\x81" * 100_000),
    "with a length that is not there": b64u(b"\x9b" + b"\xff" * 8),
    "indefinite": b64u(b"\xbf\xff"),
    "too long": b64u(bytes(5_000_000)),
    "of another alphabet": "+/+/",
    "with a length that cannot be": "A",
    "with bits left over": "AB",
    "no text that base64 has": "\u00e9\u2603",
    "with a surrogate": "\ud800",
}


@pytest.mark.parametrize("text", MALFORMED_RESPONSES.values(), ids=MALFORMED_RESPONSES.keys())
def test_a_response_however_malformed_is_rejected_and_never_an_error(text: str) -> None:
    assert ask(response=text) == {
        "id": "1",
        "verdict": "reject",
        "failed": ["response.decoded"],
        "indeterminate": [],
        "documents": [],
    }


@given(st.binary(max_size=200))
def test_any_bytes_as_a_response_get_a_refusal(data: bytes) -> None:
    assert ask(response=b64u(data))["verdict"] == "reject"


@given(st.data())
def test_a_damaged_response_gets_a_verdict(data: st.DataObject) -> None:
    damaged = bytearray(HONEST.response)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    answer = ask(response=b64u(bytes(damaged)))
    # Some bytes bear no meaning, such as those of a label that nobody reads; what is accepted is then what was signed.
    assert answer["verdict"] == "reject" or answer["documents"] == ask()["documents"]


def test_a_verifier_that_breaks_refuses(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def explode(*_args: object, **_kwargs: object) -> None:
        raise ZeroDivisionError("Erika Mustermann")

    monkeypatch.setattr(Verifier, "verify", explode)
    assert ask()["failed"] == ["response.decoded"]
    assert "ZeroDivisionError" in caplog.text
    assert "Erika" not in caplog.text


# --- malformed tasks --------------------------------------------------------------------------------------------------

ODD_PURPOSES: list[object] = [
    *(0, False, "", [], "any", ["1.2"]),
    *({"a": one} for one in (None, [], "1.2", "ANY", [1], [""], ["1"], ["1.2.", "3.1"], ["1.02"], ["one"], {"1.2": 1})),
    {MDL_DOCTYPE: "any"},
    {MDL_DOCTYPE: ["1.0.18013.5.1.2"]},
]
MALFORMED_TASKS: dict[str, list[object]] = {
    "response": [None, 7, ["AA"]],
    "trust_anchors": [
        None,
        "PEM",
        [7],
        ["no PEM"],
        ["\ud800"],
        [""],
        [{}],
        [{"doctypes": None}],
        [{"certificate": HONEST.anchors[0].pem, "doctypes": []}],
        [{"certificate": HONEST.anchors[0].pem, "doctypes": MDL_DOCTYPE}],
        [{"certificate": HONEST.anchors[0].pem, "doctypes": [None]}],
        [{"certificate": 7, "doctypes": ["a"]}],
        *([{"certificate": HONEST.anchors[0].pem, "signer_purposes": one}] for one in ODD_PURPOSES),
        ["-----BEGIN CERTIFICATE-----\n"],
        ["x"] * 1001,
    ],
    "session_transcript": [None, 7, "", "A", "+/+/", "gA", "oA", b64u(b"\x83\xf6\xf6"), "AA"],
    "reader_key": [7, "", "no PEM", "\ud800", HONEST.anchors[0].pem],
    "request": [7, "", "A", "oA", "AA", "===="],
    "at": [None, 7, "", "yesterday", "2026-01-31", "2026-01-31T00:00:00", "2026-13-31T00:00:00Z"],
    "crls": ["AA", [7], ["A"], {}],
    "status_tokens": ["AA", [7], ["A"]],
    "policy": ["strict", 7, ""],
    "revocation": ["never", 7],
}


@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member, values in MALFORMED_TASKS.items() for value in values]
)
def test_a_malformed_task_is_an_error_under_its_own_id_and_names_the_member(member: str, value: object) -> None:
    changes: dict[str, Any] = {member: value}
    answer = ask(**changes)
    assert answer.keys() == {"id", "verdict", "failed", "indeterminate", "documents", "message"}
    assert (answer["id"], answer["verdict"]) == ("1", "error")
    assert answer["message"].startswith(member)
    assert (answer["failed"], answer["indeterminate"], answer["documents"]) == ([], [], [])


@pytest.mark.parametrize("member", ["response", "trust_anchors", "session_transcript", "at"])
def test_a_missing_member_is_an_error(member: str) -> None:
    task = task_of()
    del task[member]
    assert ReaderSubject().answer(json.dumps(task).encode())["message"] == f"{member}: missing"


def test_a_message_repeats_nothing_of_what_was_sent() -> None:
    for member in MALFORMED_TASKS:
        changes: dict[str, Any] = {member: "Mustermann!"}
        assert "Mustermann" not in str(ask(**changes))


def test_there_are_not_too_many_anchors() -> None:
    anchor = HONEST.anchors[0].pem
    assert ask(trust_anchors=[anchor] * 1000)["verdict"] == "accept"
    assert ask(trust_anchors=[anchor] * 1001)["message"] == "trust_anchors: more than 1000"


def test_the_transcript_is_the_array_and_not_its_tag_24_form() -> None:
    assert ask(session_transcript=b64u(HONEST.transcript.tagged))["verdict"] == "error"


def test_padding_is_understood_and_must_be_right() -> None:
    texts = {length: base64.urlsafe_b64encode(bytes(length)).decode() for length in (1, 2, 3)}
    for text in texts.values():
        assert ask(response=text)["failed"] == ["response.decoded"]
        assert ask(crls=[text])["verdict"] == "accept"  # read, and found to be no CRL
    for text in ("AA=", "AAA==", "AAAA=", "AA===", "A===", "AA=A", "AB", "AB==", "AAB"):
        assert ask(crls=[text])["verdict"] == "error"


# --- lines ------------------------------------------------------------------------------------------------------------

NO_TASKS = {
    "empty": b"",
    "a blank line": b"\n",
    "no JSON": b"hello\n",
    "cut short": b'{"id": "1", "task": "ver',
    "two objects": b'{"id": "1"}{"id": "2"}\n',
    "null": b"null\n",
    "an array": b'["id"]\n',
    "a number": b"1\n",
    "without an id": b'{"task": "verify"}\n',
    "an id that is no text": b'{"id": 1, "task": "verify"}\n',
    "an id of null": b'{"id": null, "task": "verify"}\n',
    "a member twice": b'{"id": "1", "id": "2", "task": "verify"}\n',
    "a member twice, deep": b'{"id": "1", "x": [{"a": 1, "a": 2}]}\n',
    "NaN": b'{"id": "1", "x": NaN}\n',
    "Infinity": b'{"id": "1", "x": -Infinity}\n',
    "NULs": bytes(100) + b"\n",
    "a NUL in a text": b'{"id": "\x00"}\n',
    "no UTF-8": b'{"id": "\xff"}\n',
    "UTF-16": '{"id": "1"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"id": "1"}\n',
    "nested deeply": b'{"id": "1", "x": ' + b"[" * 1_000_000,
    "nested deeply and closed": b'{"id": "1", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "objects nested deeply": b'{"id": ' * 100_000,
    "a huge integer": b'{"id": "1", "x": ' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("line", NO_TASKS.values(), ids=NO_TASKS.keys())
def test_a_line_that_is_no_task_gets_the_error_without_an_id(line: bytes) -> None:
    assert ReaderSubject().answer(line) == MALFORMED


@given(st.binary(max_size=100))
def test_any_bytes_as_a_line_are_answered(line: bytes) -> None:
    assert ReaderSubject().answer(line)["verdict"] in {"error", "unsupported"}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(task_of())), JSON, max_size=4))
def test_any_values_in_a_task_are_answered(changes: dict[str, Any]) -> None:
    answer = ask(**changes)
    assert answer["verdict"] in {"accept", "reject", "unsupported", "error"}
    if isinstance(changes.get("id", ""), str):
        assert answer["id"] == changes.get("id", "1")


def exchange(data: bytes) -> list[dict[str, Any]]:
    sink = io.BytesIO()
    serve(io.BytesIO(data), sink)
    return [json.loads(line) for line in sink.getvalue().splitlines()]


def test_answers_come_in_order_one_a_line_with_the_same_ids() -> None:
    lines = [task_of(id="ä\u2028 1"), task_of(id="", task="other"), task_of(id="1", at="never"), task_of(id="\ud800")]
    data = b"\n".join(json.dumps(line).encode() for line in lines)
    answers = exchange(data + b"\nno task\n" + json.dumps(task_of(id="last")).encode())
    assert [answer["id"] for answer in answers] == ["ä\u2028 1", "", "1", "\ud800", None, "last"]
    assert [answer["verdict"] for answer in answers] == ["accept", "unsupported", "error", "accept", "error", "accept"]


def test_a_line_may_end_in_carriage_return_and_newline() -> None:
    assert [answer["verdict"] for answer in exchange(json.dumps(task_of()).encode() + b"\r\n")] == ["accept"]


def test_no_input_is_no_output() -> None:
    assert exchange(b"") == []


class Endless(io.RawIOBase):
    """A line that is far longer than any limit, then a good one."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.largest = 0
        self.tail = io.BytesIO(b"\n" + json.dumps(task_of()).encode() + b"\n")

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert size > 0, "a line must not be read whole"
        self.largest = max(self.largest, size)
        if self.left:
            taken = min(size, self.left)
            self.left -= taken
            return b"[" * taken
        return self.tail.readline(size)


def test_a_line_that_is_too_long_is_skipped_without_being_held() -> None:
    source, sink = Endless(10 * MAX_LINE), io.BytesIO()
    serve(source, sink)  # type: ignore[arg-type]
    assert source.largest <= MAX_LINE + 2
    assert [json.loads(line)["verdict"] for line in sink.getvalue().splitlines()] == ["error", "accept"]


def test_a_line_of_the_longest_length_is_read() -> None:
    good = json.dumps(task_of()).encode()
    assert [a["verdict"] for a in exchange(good + b" " * (MAX_LINE - len(good)) + b"\r\n" + good)] == ["accept"] * 2
    longer = good + b" " * (MAX_LINE - len(good) + 1)
    assert [a["verdict"] for a in exchange(longer + b"\n" + good)] == ["error", "accept"]
    assert [a["verdict"] for a in exchange(longer)] == ["error"]


def test_each_answer_is_flushed() -> None:
    class Sink(io.BytesIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed += 1

    sink = Sink()
    serve(io.BytesIO(b"1\n2\n3\n"), sink)
    assert sink.flushed == 3


# --- what is remembered -----------------------------------------------------------------------------------------------


def made_verifiers(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    made: list[object] = []
    original = Verifier.__init__

    def record(self: Verifier, *args: Any, **kwargs: Any) -> None:
        made.append(self)
        original(self, *args, **kwargs)

    monkeypatch.setattr(Verifier, "__init__", record)
    return made


def test_a_verifier_is_made_once_for_the_same_anchors_and_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_verifiers(monkeypatch)
    subject = ReaderSubject()
    runs: list[dict[str, Any]] = [
        {},
        {},
        {"policy": "lenient"},
        {},
        {"revocation": "required"},
        {"trust_anchors": [foreign_root()]},
    ]
    for changes in runs:
        subject.answer(json.dumps(task_of(**changes)).encode())
    assert len(made) == 4


def test_anchors_are_told_apart_however_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """One text of two certificates and two texts of one each must not be confused with other cuts of the same text."""
    made = made_verifiers(monkeypatch)
    one, other = HONEST.anchors[0].pem, foreign_root()
    subject = ReaderSubject()
    for anchors in ([one, other], [one + other], [other, one]):
        assert subject.answer(json.dumps(task_of(trust_anchors=anchors)).encode())["verdict"] == "accept"
    assert len(made) == 3


def test_no_more_than_a_few_verifiers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = made_verifiers(monkeypatch)
    subject = ReaderSubject()
    for number in range(40):
        for again in (0, number):  # the first one is asked for all the time, so it stays
            anchors = [HONEST.anchors[0].pem + "\n" * again]
            assert subject.answer(json.dumps(task_of(trust_anchors=anchors)).encode())["verdict"] == "accept"
    assert len(made) == 40
    assert len(subject._verifiers) == 16


# --- the process ------------------------------------------------------------------------------------------------------

COMMAND = [sys.executable, "-W", "error", "-m", "mdl", "reader", "harness"]
# Output is buffered as it is for a user: an answer that is not flushed must be missed here.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(COMMAND, input=data, capture_output=True, check=False, timeout=60, env=BUFFERED)


def test_a_megabyte_of_noise_does_not_end_it() -> None:
    good = json.dumps(task_of()).encode()
    garbage = SeededEntropy("noise")(1_000_000)
    outcome = run(garbage + b"\n" + good + b"\n" + garbage.replace(b"\n", b"") + b"\n" + good)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == b""
    answers = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert len(answers) == garbage.count(b"\n") + 1 + 3
    assert [answer for answer in answers if answer != MALFORMED] == [ask(), ask()]
    assert answers[-1] == ask()


def test_it_answers_before_the_next_task_is_sent() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=BUFFERED) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in ("1", "2"):
            process.stdin.write(json.dumps(task_of(id=number)).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.stdin.close()
        assert process.wait(10) == 0


def test_it_ends_quietly_when_whoever_asked_has_gone() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, env=BUFFERED) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"{}\n" * 10)
        process.stdin.close()
        assert process.wait(30) == 0
        assert process.stderr.read() == b""


# --- other people's responses -----------------------------------------------------------------------------------------


@pytest.fixture
def annex_d() -> dict[str, Any]:
    where = "iso18013-5-annex-d"
    key = EphemeralKey.from_secret("P-256", int.from_bytes(external.octets(f"{where}/ephemeral-reader-key-d.hex")))
    return {
        "id": "annex D",
        "task": "verify",
        "response": b64u(external.octets(f"{where}/device-response.hex")),
        "trust_anchors": [Certificate.decode(external.octets(f"{where}/iaca-cert.hex")).pem],
        # The file has the tag-24 form; the protocol has the array, which follows the tag and the length.
        "session_transcript": b64u(external.octets(f"{where}/session-transcript-bytes.hex")[5:]),
        "reader_key": key.to_pkcs8().decode(),
        "request": b64u(external.octets(f"{where}/device-request.hex")),
        "at": "2021-01-01T00:00:00Z",
    }


def test_annex_d_is_accepted(annex_d: dict[str, Any]) -> None:
    answer = ReaderSubject().answer(json.dumps(annex_d).encode())
    assert answer["verdict"] == "accept", answer
    assert answer["documents"][0]["elements"][NAMESPACE]["family_name"] == '"Doe"'


@pytest.mark.parametrize(
    ("file", "check"),
    [
        ("annexd-family-name-foe", "issuer_data.digest"),
        ("annexd-bad-issuer-signature", "issuer_auth.signature"),
        ("annexd-bad-device-mac", "device_auth.mac"),
    ],
)
def test_annex_d_tampered_with_is_rejected_by_exactly_one_check(annex_d: dict[str, Any], file: str, check: str) -> None:
    annex_d["response"] = b64u(external.octets(f"multipaz-negative/{file}.device-response.hex"))
    answer = ReaderSubject().answer(json.dumps(annex_d).encode())
    assert (answer["verdict"], answer["failed"]) == ("reject", [check])


def test_a_transcript_of_another_session_is_a_refusal() -> None:
    other = SessionTranscript(encode([None, None, None]))
    assert ask(session_transcript=b64u(other.encoded))["failed"] == ["device_auth.signature"]


def test_the_protocol_is_documented_where_it_stands() -> None:
    """The design names every member; so must the module that other people's harnesses are written against."""
    text = Path(sys.modules["reader.subject"].__file__ or "").read_text("utf-8")
    documentation = text.split('"""')[1]
    for member in (*task_of(), "certificate", "doctypes", "signer_purposes"):
        assert f'"{member}"' in documentation, member

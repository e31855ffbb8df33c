"""The corpus: every case through the library and through the subject door, under every policy; and what it must hold.

What is read here are the files, with nothing of the code that made them but where a test says so.
"""

import base64
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mdl.cbor import TDate
from mdl.errors import DecodeError, UnsupportedError, VerificationError
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest, SessionTranscript
from mdl.pki import Certificate
from reader.report import CHECKS, Policy, Report, Revocation
from reader.revocation import Evidence
from reader.subject import serve
from reader.trust import ANY_DOCTYPE, ANY_PURPOSE, TrustAnchor, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from test_vectors.source import generate
from test_vectors.source.coverage import ELSEWHERE, KINDS
from tests.tables import table

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "test_vectors"
FILES = {path.name: json.loads(path.read_bytes()) for path in sorted((VECTORS / "cases").glob("*.json"))}
CORPUS: list[dict[str, Any]] = [case for file in FILES.values() for case in file["cases"]]
Verdict = tuple[str, list[str], list[str]]


def expected(case: dict[str, Any], policy: Policy) -> Verdict:
    others = {one["policy"]: one for one in case["other_policies"]}
    found = others.get(policy.value, case["expected"])
    return found["verdict"], found["failed"], found["indeterminate"]


# --- through the library ----------------------------------------------------------------------------------------------


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@cache
def certificate(pem: str) -> Certificate:
    (found,) = Certificate.parse_pem_bundle(pem)
    return found


def proven(pairs: list[list[str]]) -> dict[str, Any]:
    """The proof of an anchor, and when all of it is valid."""
    proof = tuple((certificate(one), certificate(issuer)) for one, issuer in pairs)
    every = [one for pair in proof for one in pair]
    since, until = [one.not_before for one in every], [one.not_after for one in every]
    return {"proof": proof, "since": max(since), "until": min(until)} if proof else {}


def verifier(case: dict[str, Any], policy: Policy) -> Verifier:
    anchors = [
        TrustAnchor(certificate=certificate(one), doctypes=ANY_DOCTYPE)
        if isinstance(one, str)
        else TrustAnchor(
            certificate=certificate(one["certificate"]),
            doctypes=frozenset(one["doctypes"]) if one.get("doctypes") else ANY_DOCTYPE,
            signer_purposes={
                name: ANY_PURPOSE if purposes == "any" else frozenset(purposes)
                for name, purposes in one.get("signer_purposes", {}).items()
            },
            **proven(one.get("proof", [])),
        )
        for one in case["input"]["trust_anchors"]
    ]
    return Verifier(TrustStore(anchors), policy=policy, revocation=Revocation(case["input"]["revocation"]))


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    """What `Verifier.verify` is told besides the response."""
    given = case["input"]
    return {
        "context": SessionContext(
            transcript=SessionTranscript(octets(given["session_transcript"])),
            reader_key=given["reader_key"] and EphemeralKey.from_pkcs8(given["reader_key"].encode()),
        ),
        "request": UnsafeNoRequest() if given["request"] is None else DeviceRequest.decode(octets(given["request"])),
        "at": TDate(given["at"]).datetime,
        "evidence": Evidence(
            crls=tuple(map(octets, given["crls"])),
            status_tokens=tuple(map(octets, given["status_tokens"])),
        ),
    }


def through_the_library(case: dict[str, Any], judge: Verifier, told: dict[str, Any] | None = None) -> Verdict:
    """The verdict of `verify`, which must be the one that `examine` reports."""
    response, told = octets(case["input"]["response"]), told or arguments(case)
    try:
        report = judge.examine(response, **told)
    except DecodeError as error:
        code = error.code
    else:
        return through_verify(response, told, judge, report)
    with pytest.raises(DecodeError) as again:
        judge.verify(response, **told)
    assert again.value.code == code
    return "reject", ["response.decoded"], []


def through_verify(response: bytes, told: dict[str, Any], judge: Verifier, report: Report) -> Verdict:
    failed, indeterminate = sorted(report.failed), sorted(report.indeterminate)
    refusing = {check.id for check in report if report.refuses(check)}
    if report.accepted:
        accepted = judge.verify(response, **told)
        assert (accepted.report, bool(accepted.documents), failed) == (report, True, [])
        return "accept", failed, indeterminate
    with pytest.raises((VerificationError, UnsupportedError)) as refused:
        judge.verify(response, **told)
    if isinstance(refused.value, UnsupportedError):
        return "unsupported", failed, indeterminate
    assert isinstance(refused.value, VerificationError)
    assert refused.value.report == report
    assert set(refused.value.failed) == (set(failed) or refusing)
    return "reject", failed, indeterminate


@pytest.mark.parametrize("name", FILES)
def test_the_library_reaches_the_verdict_of_each_case_under_every_policy(name: str) -> None:
    reached = {
        (case["id"], policy.value): (through_the_library(case, verifier(case, policy), told), expected(case, policy))
        for case in FILES[name]["cases"]
        for told in (arguments(case),)
        for policy in Policy
    }
    assert reached
    assert {of: verdicts for of, verdicts in reached.items() if verdicts[0] != verdicts[1]} == {}


@pytest.mark.slow
def test_what_a_verifier_remembers_changes_no_verdict() -> None:
    """One verifier for all cases with the same roots, back and forth, an honest one before each."""
    shared: dict[str, list[dict[str, Any]]] = {}
    for case in CORPUS:
        if case["input"]["revocation"] == "if-given":
            shared.setdefault(json.dumps(case["input"]["trust_anchors"]), []).append(case)
    honest = next(case for case in CORPUS if case["id"] == "accepted-the-plain-scene")
    most = max(shared.values(), key=len)
    assert honest in most
    assert len(most) > len(CORPUS) // 2
    response, told = octets(honest["input"]["response"]), arguments(honest)
    for cases in shared.values():
        judge = verifier(cases[0], Policy.ISO_STRICT)
        for case in (*cases, *reversed(cases)) if len(cases) > 1 else ():
            if cases is most:
                assert judge.verify(response, **told).documents
            assert through_the_library(case, judge) == expected(case, Policy.ISO_STRICT), case["id"]


# --- through the subject door -----------------------------------------------------------------------------------------


def task(case: dict[str, Any], policy: str | None = None) -> dict[str, Any]:
    return {**case["input"], "id": case["id"], "task": "verify"} | ({"policy": policy} if policy else {})


def lines(tasks: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in tasks)


def wrong(policies: list[Policy], answers: bytes) -> Iterator[tuple[str, Policy, Verdict]]:
    """The answers that are not the expected ones."""
    for case, policy, line in zip(CORPUS, policies, answers.splitlines(), strict=True):
        answer = json.loads(line)
        verdict = answer["verdict"], sorted(answer["failed"]), sorted(answer["indeterminate"])
        assert answer["id"] == case["id"]
        assert bool(answer["documents"]) is (verdict[0] == "accept")
        if verdict != expected(case, policy):
            yield case["id"], policy, verdict


@pytest.mark.slow
@pytest.mark.parametrize("policy", Policy)
def test_the_subject_door_gives_the_same_verdicts(policy: Policy) -> None:
    answers = io.BytesIO()
    serve(io.BytesIO(lines([task(case, policy.value) for case in CORPUS])), answers)
    assert list(wrong([policy] * len(CORPUS), answers.getvalue())) == []


@pytest.mark.slow
def test_a_subject_process_gives_the_same_verdicts() -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "mdl", "reader", "subject"],  # the older name of harness
        input=lines([task(case) for case in CORPUS]),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    policies = [Policy(case["input"]["policy"]) for case in CORPUS]
    assert list(wrong(policies, outcome.stdout)) == []


# --- what the corpus holds --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_files_are_what_the_sources_make_in_any_process(seed: str) -> None:
    """To the byte: keys, clock, entropy and signatures are fixed, and no order depends on a hash."""
    outcome = subprocess.run(
        [sys.executable, "-m", "test_vectors.source.generate", "--check"],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert (outcome.returncode, outcome.stderr.decode()) == (0, "")


def test_a_file_that_is_not_what_the_sources_make_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {name: (VECTORS / "cases" / name).read_bytes() for name in FILES}
    monkeypatch.setattr(generate, "corpus", lambda: files)  # as the test before has shown
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert generate.differences(tmp_path) == []
    (tmp_path / "device.json").write_bytes((tmp_path / "device.json").read_bytes().replace(b"accept", b"reject", 1))
    (tmp_path / "status.json").unlink()
    (tmp_path / "more.json").write_bytes(b"{}\n")
    assert generate.differences(tmp_path) == ["device.json", "more.json", "status.json"]


def test_there_are_hundreds_of_cases_and_many_that_are_valid() -> None:
    kinds = Counter(case["kind"] for case in CORPUS)
    assert len(CORPUS) >= 200
    assert kinds["valid"] >= 40
    assert kinds["must-reject"] >= 100
    assert kinds["may-reject"] >= 40


@pytest.mark.parametrize("check", CHECKS)
def test_every_check_has_a_case_that_fails_exactly_that(check: str) -> None:
    alone = [case["id"] for case in CORPUS if case["breaks"] == check and case["expected"]["failed"] == [check]]
    assert alone


def test_a_case_has_an_id_of_its_own() -> None:
    counted = Counter(case["id"] for case in CORPUS)
    assert [name for name, number in counted.items() if number > 1] == []


def test_what_breaks_a_check_is_refused_by_it_and_what_is_valid_breaks_none() -> None:
    for case in CORPUS:
        verdicts = [expected(case, policy) for policy in Policy]
        if case["kind"] == "must-reject":
            # Under every policy, whatever it tolerates.
            assert {verdict for verdict, _, _ in verdicts} == {"reject"}, case["id"]
        if case["kind"] == "valid":
            assert case["breaks"] is None
            assert (case["expected"]["verdict"], case["expected"]["failed"]) == ("accept", []), case["id"]
        if case["breaks"] is not None:
            refusing = case["expected"]["failed"] or case["expected"]["indeterminate"]
            assert case["breaks"] in refusing, case["id"]
        else:
            assert case["expected"]["verdict"] == "accept", case["id"]


def test_a_case_that_fails_more_than_its_check_says_why() -> None:
    for case in CORPUS:
        found = case["expected"]
        if set(found["failed"]) - {case["breaks"]}:
            assert case["note"], case["id"]


def test_only_what_differs_is_told_of_other_policies() -> None:
    for case in CORPUS:
        for other in case["other_policies"]:
            assert other["policy"] != case["input"]["policy"]
            assert {name: other[name] for name in case["expected"]} != case["expected"], case["id"]


@table("kind", KINDS, ids=str)
def test_every_kind_of_the_facts_sheets_has_a_case(kind: str) -> None:
    for pattern in KINDS[kind]:
        assert [case["id"] for case in CORPUS if fnmatchcase(case["id"], pattern)], pattern
    assert kind not in ELSEWHERE


def test_the_cases_tell_which_kinds_they_show() -> None:
    told = {kind for case in CORPUS for kind in case["source"].split("; ")}
    assert told >= KINDS.keys()


# --- the schema -------------------------------------------------------------------------------------------------------

SCHEMA = json.loads((VECTORS / "schema.json").read_bytes())


def violations(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    """Where a value is not what the schema says: as much of JSON Schema as ours uses, and not one keyword more."""
    known = {"$ref", "anyOf", "const", "enum", "type", "pattern", "minLength", "items", "minItems", "uniqueItems"}
    known |= {"properties", "required", "additionalProperties", "description", "title", "$schema", "$id", "$defs"}
    assert schema.keys() <= known, schema.keys() - known
    if "$ref" in schema:
        yield from violations(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], where)
    if "anyOf" in schema and all(any(violations(value, one, where)) for one in schema["anyOf"]):
        yield f"{where}: none of several"
    types: dict[str, type] = {"object": dict, "array": list, "string": str, "null": type(None)}
    if "type" in schema and not isinstance(value, types[schema["type"]]):
        yield f"{where}: not {schema['type']}"
        return
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        yield f"{where}: another value"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{where}: not of the pattern"
        if len(value) < schema.get("minLength", 0):
            yield f"{where}: too short"
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            yield f"{where}: too few"
        if schema.get("uniqueItems") and len({json.dumps(one) for one in value}) < len(value):
            yield f"{where}: something twice"
        for index, one in enumerate(value):
            yield from violations(one, schema.get("items", {}), f"{where}[{index}]")
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name in set(schema.get("required", ())) - value.keys():
            yield f"{where}: no {name}"
        for name, one in value.items():
            if name in properties:
                yield from violations(one, properties[name], f"{where}.{name}")
            elif schema.get("additionalProperties") is False:
                yield f"{where}: more than the schema knows: {name}"
            else:
                yield from violations(one, schema.get("additionalProperties", {}), f"{where}.{name}")


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_the_schema_says(name: str) -> None:
    assert list(violations(FILES[name], SCHEMA, name)) == []
    assert FILES[name]["group"] == name.removesuffix(".json")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("id", "An Id"),
        ("kind", "invalid"),
        ("breaks", "no.such.check"),
        ("title", ""),
        ("more", 1),
        ("expected", {"verdict": "error", "failed": [], "indeterminate": []}),
        ("expected", {"verdict": "reject", "failed": ["mso.status", "mso.status"], "indeterminate": []}),
        ("input", {}),
    ],
)
def test_what_is_not_of_the_schema_is_told(member: str, value: object) -> None:
    changed = CORPUS[0] | {member: value}
    assert list(violations(changed, SCHEMA["$defs"]["case"], "case"))


def test_the_schema_knows_the_checks_of_the_reader_and_no_others() -> None:
    assert SCHEMA["$defs"]["check"]["enum"] == list(CHECKS)
    assert SCHEMA["$defs"]["policy"]["enum"] == [policy.value for policy in Policy]

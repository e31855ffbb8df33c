"""Every deviation that a policy tolerates: found by each door under its code, and refused by the policies that say so.

The rows are cases of the corpus, so that readers in other languages meet the same ones.
"""

import base64
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mdl.cli import main
from reader.report import DEVIATIONS, Policy
from reader.subject import ReaderSubject
from test_vectors.source.case import Case
from test_vectors.source.generate import CASES, task_of

# The cases for codes that no case names among its warnings.
NAMED = {
    "profile": "issuer-auth-profile-keyusage-with-more-than-it-needs",
    "validity.order": "mso-validity-valid-from-before-it-was-signed",
    "random.short": "issuer-data-random-salts-of-0-bytes",
    "elements.type": "elements-types-family-name-as-bytes",
    "state.missing": "accepted-an-authority-without-a-state",
    "state.short_form": "subject-jurisdiction-a-document-signer-that-names-its-state-without-the-country",
}
# Only a program that asks for the rehearsal tolerates these, and no command does: tests/flows/test_post_quantum.py.
REHEARSAL = {"post_quantum.certificate", "post_quantum.issuer", "post_quantum.device"}


def octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@cache
def row(code: str) -> Case | None:
    """The case for a code: one that the lenient policy accepts, with roots that need no scope."""
    if code in NAMED:
        return next(case for case in CASES if case.id == NAMED[code])
    found = (case for case in CASES if code in case.warnings and case.expected[Policy.LENIENT].verdict == "accept")
    return next((case for case in found if all(isinstance(one, str) for one in task_of(case)["trust_anchors"])), None)


def test_every_code_of_the_table_has_a_row() -> None:
    assert {code for code in DEVIATIONS if row(code) is None} == REHEARSAL


@pytest.mark.parametrize("code", [code for code in DEVIATIONS if code not in REHEARSAL])
def test_a_tolerated_deviation_is_told_by_each_door_under_its_code(
    code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, deviation = row(code), DEVIATIONS[code]
    assert case is not None
    scene = case.scene()
    for policy in Policy:
        report = scene.examine(policy)
        told = {one for check, one in report.warnings if check == deviation.check}
        for check, one in report.warnings:
            assert DEVIATIONS[one].check in {check, "issuer_auth.certificate_revocation"}
        asked = task_of(case) | {"id": "1", "task": "verify", "policy": policy.value}
        answer = ReaderSubject().answer(json.dumps(asked).encode())
        if policy.refuses(code):
            assert (deviation.check in report.failed, code in told) == (True, False)
            assert (answer["verdict"], deviation.check in answer["failed"]) == ("reject", True)
        elif report.accepted:
            assert code in told
            assert answer["verdict"] == "accept"
        status, out = by_command(tmp_path, policy, task_of(case), capsys)
        assert status == (0 if report.accepted else 1)
        assert out["checks"] == report.as_dict()["checks"]
    assert code in {one for _, one in scene.examine(Policy.LENIENT).warnings}


def by_command(
    folder: Path, policy: Policy, given: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any]]:
    words = ["reader", "verify", "--json", "--policy", policy.value, "--at", given["at"]]
    words += ["--revocation", given["revocation"]]
    files: list[tuple[str, bytes]] = [("", octets(given["response"]))]
    files += [("--transcript", octets(given["session_transcript"]))]
    files += [("--trust", pem.encode()) for pem in given["trust_anchors"]]
    files += [("--crl", octets(one)) for one in given["crls"]]
    files += [("--status-token", octets(one)) for one in given["status_tokens"]]
    if given["reader_key"] is not None:
        files += [("--reader-key", given["reader_key"].encode())]
    if given["request"] is None:
        words += ["--unsafe-no-request"]
    else:
        files += [("--request", octets(given["request"]))]
    for index, (option, content) in enumerate(files):
        (folder / f"{index}").write_bytes(content)
        words += [option, str(folder / f"{index}")] if option else [str(folder / f"{index}")]
    status = main(words)
    out, err = capsys.readouterr()
    assert status in {0, 1}, err
    return status, json.loads(out)

"""Revocable unless said otherwise: where lists are known, licences get a place in them; what nobody sees is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdl.cli import main
from tests.authorities import licence, public_key_file

pytestmark = pytest.mark.hsm
Run = Callable[..., Any]
URL = "https://mdl.example/status/{list}"


@pytest.fixture
def run(authority: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path, status: int = 0) -> Any:
        capsys.readouterr()
        ended = main(["issuer", *map(str, words), "--dir", str(authority), "--json"])
        said = capsys.readouterr()
        assert ended == status, (words, said.out, said.err)
        return json.loads(said.out)

    return run


@pytest.fixture
def issue(run: Run, tmp_path: Path) -> Run:
    def issue(*words: str, status: int = 0) -> Any:
        order = ("issue", licence(tmp_path), "--device-key", public_key_file(tmp_path))
        return run(*order, "--out", tmp_path / "licence.cbor", "--replace", *words, status=status)

    return issue


def test_where_lists_are_known_a_licence_is_revocable_unless_said_otherwise(
    run: Run, issue: Run, tmp_path: Path
) -> None:
    assert issue()["status"] is None  # nobody has ever named a list
    first = issue("--status-url", URL)["status"]
    assert first.startswith("https://mdl.example/status/")
    assert issue()["status"] == first
    assert issue("--no-status")["status"] is None
    refused = issue("--no-status", "--status-url", URL, status=2)
    assert refused["error"]["code"] == "status.contradiction"


def test_a_policy_that_demands_a_status_is_kept_by_issue_and_told_by_health(
    run: Run, issue: Run, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("version = 1\n[credentials]\nstatus_required = true\n")
    run("policy", "set", policy)
    assert run("policy", "show")["credentials"]["status_required"] is True
    for words in ((), ("--check",)):
        assert issue(*words, status=1)["error"]["code"] == "policy.status"
    found = [one["code"] for one in run("health", status=1)["findings"] if one["level"] == "failure"]
    assert found == ["health.status_demanded"]
    issue("--status-url", URL)
    assert issue("--check")["accepted"]
    assert issue("--check", "--no-status", status=1)["error"]["code"] == "policy.status"


def test_a_revocation_that_no_reader_can_see_is_done_in_part(run: Run, issue: Run, tmp_path: Path) -> None:
    reference = issue()["reference"]
    told = run("revoke", "--credential", reference, status=6)
    assert (told["credentials"], told["without_status"]) == (1, 1)
    assert run("revoke", "--credential", reference, "--later", status=6)["credentials"] == 0

"""``mdl demo``: it tells the truth, leaves what it names, and what it prints can be typed."""

import json
import os
import pty
import re
import subprocess
import termios
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from issuer import keystore
from mdl.cli import demo, main
from mdl.mdoc import IssuerSigned
from reader.report import CHECKS, Outcome, Report
from reader.verification import Verifier
from tests.authorities import COMMAND, content, mdl

ATTACKS = {
    "a changed birth date": "issuer_data.digest",
    "an expired security object": "mso.validity",
    "a replay in another session": "device_auth.signature",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder where the demonstration was run, and what it printed."""
    folder = tmp_path_factory.mktemp("demo")
    outcome = mdl("demo", "--dir", "demo", cwd=folder)
    assert (outcome.status, outcome.err) == (0, "")
    return folder, outcome.out


def test_every_check_is_listed_with_its_outcome(told: tuple[Path, str]) -> None:
    rows = re.findall(
        r"^  ([a-z_0-9]+\.[a-z_0-9]+) +(passed|failed|indeterminate|not applicable) ", told[1], re.MULTILINE
    )
    assert [name for name, _ in rows] == list(CHECKS)
    assert {outcome for _, outcome in rows} == {"passed", "not applicable"}


def test_each_attack_is_refused_by_exactly_its_check(told: tuple[Path, str]) -> None:
    for name, check in ATTACKS.items():
        _, _, after = told[1].partition(f"  {name}: refused\n")
        first, second = after.splitlines()[:2]
        assert first.split()[:2] == [check, "failed"]
        assert not second.startswith("    ")


def test_the_output_fits_a_hundred_columns(told: tuple[Path, str]) -> None:
    commands = told[1].partition("What to do next:")[2]
    for line in told[1].splitlines():
        assert len(line) <= 100 or line in commands
    assert "\x1b" not in told[1]


def test_every_file_that_is_named_is_there(told: tuple[Path, str]) -> None:
    folder, _ = told
    result = json.loads((folder / "demo" / "demo.json").read_text())
    assert result["as_expected"] is True
    for name in result["files"]:
        assert (folder / name).exists(), name
    named = {folder / name for name in result["files"]}
    extra = {"demo/demo.json", "demo/authority/authority.json", "demo/authority/authority.db"}
    extra |= {"demo/authority/crl/000001.crl", "demo/.mdl.lock", "demo/authority/.mdl.lock"}
    for path in folder.rglob("*"):
        if path.is_file() and "token" not in path.parts:
            assert path in named or str(path.relative_to(folder)) in extra, path
    IssuerSigned.decode((folder / "demo/holder/licence.cbor").read_bytes())


def printed_commands(text: str) -> list[str]:
    """What stands under the heading, with the lines of one command joined."""
    block = text.partition("What to do next:\n")[2].partition("\n\n")[0]
    return block.replace("\\\n", " ").splitlines()


def test_what_is_printed_can_be_typed(told: tuple[Path, str]) -> None:
    folder, text = told
    commands = printed_commands(text)
    assert len(commands) == 6
    statuses = []
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=folder, check=False, capture_output=True, text=True)
        statuses.append(done.returncode)
        assert done.stderr == "" or "reader verify" in command, command
    assert statuses == [0, 0, 0, 1, 1, 1]


def test_each_printed_attack_fails_its_check(told: tuple[Path, str]) -> None:
    folder, _ = told
    attacks = json.loads((folder / "demo" / "demo.json").read_text())["attacks"]
    assert {attack["name"]: attack["expected"] for attack in attacks} == ATTACKS
    for attack in attacks:
        outcome = mdl(*attack["command"][1:], "--json", cwd=folder)
        assert outcome.status == 1
        assert outcome.json["failed"] == [attack["expected"]] == attack["failed"]


def test_the_licence_can_be_issued_again_by_the_command(told: tuple[Path, str], tmp_path: Path) -> None:
    folder = told[0] / "demo"
    words = ("--device-key", folder / "holder/device-public.pem", "--out", tmp_path / "again.cbor")
    outcome = mdl("issuer", "issue", folder / "holder/record.json", *words, "--dir", folder / "authority")
    assert outcome.status == 0
    again, first = (
        IssuerSigned.decode(file.read_bytes()) for file in (tmp_path / "again.cbor", folder / "holder/licence.cbor")
    )
    assert [*again.elements()] == [*first.elements()]
    assert again.issuer_auth.payload != first.issuer_auth.payload


def test_it_can_be_run_again_and_leaves_alone_what_it_did_not_make(tmp_path: Path) -> None:
    assert mdl("demo", "--dir", "d", "--json", cwd=tmp_path).json["as_expected"] is True
    (tmp_path / "d" / "notes.txt").write_text("mine")
    (tmp_path / "d" / "session" / "old.cbor").write_bytes(b"stale")
    first = (tmp_path / "d/authority/iaca.pem").read_bytes()
    outcome = mdl("demo", "--dir", "d", "--json", cwd=tmp_path)
    assert (outcome.status, outcome.err) == (0, "")
    assert (tmp_path / "d/authority/iaca.pem").read_bytes() != first
    assert (tmp_path / "d" / "notes.txt").read_text() == "mine"
    assert not (tmp_path / "d" / "session" / "old.cbor").exists()


@pytest.mark.parametrize("other", ["thesis.txt", "demo.json", "authority/authority.json"])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path, other: str) -> None:
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_text('{"made_by": "hand"}')
    before = content(tmp_path)
    mdl("demo", "--dir", tmp_path).error(2, "demo.folder")
    assert content(tmp_path) == before


def test_an_interrupted_demonstration_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"made_by": "mdl demo", "finished": false}')
    (tmp_path / "authority").mkdir()
    (tmp_path / "authority" / "authority.json").write_text("{")
    assert mdl("demo", "--dir", tmp_path).status == 0


def test_without_softhsm_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(keystore, "_SOFTHSM_PLACES", ())
    assert main(["demo", "--dir", str(tmp_path / "d")]) == 4
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "install softhsm2" in said.err
    assert main(["demo", "--dir", str(tmp_path / "d")]) == 4  # its own folder is no obstacle


def examined(change: Callable[[Report], Report]) -> Callable[..., Report]:
    examine = Verifier.examine

    def changed(self: Verifier, *arguments: Any, **options: Any) -> Report:
        return change(examine(self, *arguments, **options))

    return changed


def _all_passed(report: Report) -> Report:
    checks = tuple(type(check)(check.id, Outcome.PASSED, "", check.document) for check in report)
    return Report(checks, report.policy, report.revocation)


def _also_fails(report: Report) -> Report:
    """What fails, fails twice; what passes, passes."""
    if report.accepted:
        return report
    checks = tuple(
        type(check)(check.id, Outcome.FAILED, "", check.document) if check.id == "response.version" else check
        for check in report
    )
    return Report(checks, report.policy, report.revocation)


def _all_failed(report: Report) -> Report:
    checks = tuple(type(check)(check.id, Outcome.FAILED, "", check.document) for check in report)
    return Report(checks, report.policy, report.revocation)


def _honest_fails(report: Report) -> Report:
    return _all_failed(report) if report.accepted else report


@pytest.mark.parametrize("change", [_all_passed, _also_fails, _all_failed, _honest_fails])
def test_a_reader_that_errs_is_told_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Report], Report],
) -> None:
    monkeypatch.setattr(Verifier, "examine", examined(change))
    assert main(["demo", "--dir", str(tmp_path / "d")]) == 1
    said = capsys.readouterr().out
    assert "NOT as it should be" in said
    assert "All as it should be" not in said


def test_the_portrait_is_a_whole_jpeg() -> None:
    image = demo.portrait()
    assert image[:2] == b"\xff\xd8"
    position, seen = 2, []
    while True:
        marker, kind = image[position : position + 2]
        assert marker == 0xFF
        seen.append(kind)
        position += 2 + int.from_bytes(image[position + 2 : position + 4])
        if kind == 0xDA:
            break
    assert seen == [0xE0, 0xDB, 0xC0, 0xC4, 0xC4, 0xDA]
    scan = image[position:]
    assert scan.index(b"\xff\xd9") == len(scan) - 2
    assert b"\xff" not in scan[:-2].replace(b"\xff\x00", b"")


def test_on_a_terminal_there_is_a_progress_bar(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 100))
    said = b""
    with subprocess.Popen(
        [COMMAND, "demo", "--dir", "d"], cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"TERM": "xterm"},
    ) as process:  # fmt: skip
        os.close(theirs)
        with suppress(OSError):  # how a terminal ends whose other side is gone
            while part := os.read(ours, 65536):
                said += part
    os.close(ours)
    assert process.returncode == 0, said
    shown = said.decode()
    assert "9/9" in shown
    assert "━" in shown
    assert "All as it should be" in shown


def test_the_story_can_be_told_at_any_time(tmp_path: Path) -> None:
    """Also in a year when dates are written otherwise in certificates."""
    story = demo.run_story(tmp_path / "d", at=datetime(2051, 2, 28, 12, tzinfo=UTC), tell=lambda _text: None)
    assert story.went_well

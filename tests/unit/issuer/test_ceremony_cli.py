"""``mdl issuer ceremony``: arguments, what is typed, and what a verifier is told."""

import getpass
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from issuer.ceremony import CeremonyRecord, Operator, Outcome
from issuer.cli import ceremony as command
from mdl.cli import main
from mdl.testing import ThrowawayAuthority
from tests.authorities import Outcome as Done
from tests.ceremonies import PHRASES, first_script, write
from tests.unit.issuer.test_ceremony import AUTHORITY, a_record

Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("MDL_ROLE", raising=False)

    def run(*words: str | Path) -> Done:
        capsys.readouterr()
        status = main(["issuer", "ceremony", *map(str, words)])
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return run


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "script.toml", first_script())


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is typed, line after line."""
    lines: list[str] = []
    monkeypatch.setattr(command, "_is_attended", lambda: True)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: lines.pop(0))
    return lines


def test_a_script_is_checked_without_a_token(run: Run, script: Path) -> None:
    said = run(script, "--check")
    assert (said.status, said.err) == (0, "")
    assert "nothing was made" in said.out
    assert "Ada Sample" in said.out
    told = run(script, "--check", "--json").json
    assert told["sound"] is True
    assert [one["do"] for one in told["steps"]] == ["token", "key", "root", "record"]
    assert {one.name for one in script.parent.iterdir()} == {"script.toml"}


def test_without_a_terminal_nobody_confirms(run: Run, script: Path) -> None:
    said = run(script)
    assert said.status == 2
    assert "[ceremony.no_terminal]" in said.err
    assert run("enrol").status == 2


def test_phrases_are_typed_and_the_record_says_so(run: Run, script: Path, keyboard: list[str], tmp_path: Path) -> None:
    keyboard += ["a wrong phrase", PHRASES["Ada Sample"], PHRASES["Bo Sample"], "a PIN"]
    said = run(script)
    assert said.status == 4  # there is no such module
    assert "not the phrase of Ada Sample" in said.out
    assert not any(phrase in said.out + said.err for phrase in PHRASES.values())
    record = CeremonyRecord.decode((tmp_path / "ceremony" / "record.json").read_bytes())
    (entry,) = record.transcript
    assert (entry.outcome, [one.means for one in entry.confirmed]) == (Outcome.FAILED, ["typed", "typed"])
    assert "NOT FINISHED" in (tmp_path / "ceremony" / "record.md").read_text()


def test_an_operator_who_types_nothing_does_not_confirm(run: Run, script: Path, keyboard: list[str]) -> None:
    keyboard += [PHRASES["Ada Sample"], ""]
    said = run(script)
    assert said.status == 1
    assert "[ceremony.not_confirmed]" in said.err


def test_three_wrong_phrases_end_it(run: Run, script: Path, keyboard: list[str]) -> None:
    keyboard += ["wrong", "wrong", "wrong", PHRASES["Bo Sample"]]
    assert "[ceremony.not_confirmed]" in run(script).err
    assert keyboard == []


def test_a_phrase_is_enrolled(run: Run, keyboard: list[str]) -> None:
    keyboard += ["a long enough phrase", "a long enough phrase"]
    line = run("enrol").out
    phrase = line.removeprefix('phrase = "').rstrip().removesuffix('"')
    assert Operator(name="x", duty="y", phrase=phrase).accepts("a long enough phrase")
    keyboard += ["a long enough phrase", "another long phrase"]
    run("enrol").error(3, "ceremony.phrase")
    keyboard += ["short", "short"]
    run("enrol").error(3, "ceremony.phrase")


@pytest.mark.parametrize(
    "words", [("--confirm", "Cy Sample=f"), ("--confirm", "Ada Sample"), ("--confirm", "Ada Sample=f") * 2, ("extra",)]
)
def test_arguments_that_mean_nothing_are_refused(run: Run, script: Path, words: tuple[str, ...]) -> None:
    run(script, *words).error(2, "ceremony.arguments")


def test_a_record_is_verified(run: Run, tmp_path: Path) -> None:
    record = a_record()
    file = tmp_path / "record.json"
    file.write_bytes(record.encode())
    root = write(tmp_path / "root.pem", AUTHORITY.iaca_certificate.pem)
    said = run("verify", file)
    assert said.status == 0
    assert AUTHORITY.iaca_certificate.fingerprint.hex() in said.out
    assert "another way" in said.out
    assert "another way" not in run("verify", file, "--root", root).out
    assert run("verify", file, "--json").json["true"] is True
    stranger = write(tmp_path / "stranger.pem", ThrowawayAuthority("Stranger").iaca_certificate.pem)
    run("verify", file, "--root", stranger).error(1, "ceremony.root")
    run("verify").error(2, "ceremony.arguments")


def test_a_document_that_tells_another_story_is_refused(run: Run, tmp_path: Path) -> None:
    record = a_record()
    file = tmp_path / "record.json"
    file.write_bytes(record.encode())
    write(tmp_path / "record.md", record.document())
    assert run("verify", file).status == 0
    write(tmp_path / "record.md", record.document().replace("Bo Sample", "Cy Sample"))
    run("verify", file).error(1, "ceremony.document")


def test_a_record_that_is_not_signed_is_no_record(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_bytes(replace(a_record(), signature=None).encode())
    run("verify", file).error(1, "ceremony.unfinished")

"""The command line as a whole: exit statuses, one line for each error, and no traceback, whatever happens."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdl.cli import main, terminal
from mdl.errors import (
    DecodeError,
    FetchError,
    IssuanceError,
    LocalProtocolError,
    MdlError,
    ProfileError,
    RemoteProtocolError,
    SigningError,
    UnsupportedError,
    VerificationError,
)

ROOT = Path(__file__).resolve().parents[3]
MDL = [sys.executable, "-m", "mdl"]
# Output is buffered as it is for a user: what fails when it is written late must fail here too.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(
    *words: str, command: list[str] = MDL, stdout: Any = subprocess.PIPE, env: dict[str, str] = BUFFERED
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
        cwd=ROOT,
        timeout=60,
        env=env,
    )


def a_verb_that(monkeypatch: pytest.MonkeyPatch, act: Callable[[], int]) -> None:
    """Put a verb into the place of ``mdl inspect``."""

    def add_commands(commands: Any) -> None:
        verb = commands.add_parser("inspect")
        verb.add_argument("--json", action="store_true")
        verb.set_defaults(run=lambda _arguments: act())

    monkeypatch.setattr("mdl.cli.inspection.add_commands", add_commands)


def raising(error: BaseException) -> Callable[[], int]:
    def act() -> int:
        raise error

    return act


# --- usage ------------------------------------------------------------------------------------------------------------


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("mdl 0.")


@pytest.mark.parametrize("words", [["--help"], ["inspect", "--help"], ["reader", "--help"], ["reader", "verify", "-h"]])
def test_help_is_no_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert "usage: mdl" in capsys.readouterr().out


def test_help_names_every_command_and_every_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in ("demo", "inspect", "issuer", "reader"))
    assert all(f"{status} " in text for status in range(5))


WRONG = [
    [],
    ["reader"],
    ["no-such-command"],
    ["reader", "no-such-verb"],
    ["inspect"],
    ["inspect", "--no-such-option", "file"],
    ["inspect", "--ful", "file"],
    ["--versio"],
    ["inspect", "file", "another"],
    ["inspect", "file", "--profile", "no-such-profile"],
    ["reader", "verify", "response"],
    ["reader", "verify", "response", "--trust", "root", "--transcript", "t"],
    ["reader", "verify", "r", "--trust", "root", "--transcript", "t", "--request", "q", "--unsafe-no-request"],
    ["reader", "verify", "r", "--trust", "root", "--transcript", "t", "--unsafe-no-req"],
    ["reader", "verify", "r", "--trust", "root", "--transcript", "t", "--unsafe-no-request", "--at", "yesterday"],
    ["reader", "verify", "r", "--trust", "root", "--transcript", "t", "--unsafe-no-request", "--policy", "none"],
    ["reader", "verify", "r", "--trust", "--transcript", "t", "--unsafe-no-request"],
]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_command_line_is_one_line_and_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mdl: ")
    assert err.endswith("[cli.usage]\n")
    assert err.count("\n") == 1


def test_a_wrong_command_line_is_an_object_where_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error.keys() == {"code", "message", "path"}
    assert error["code"] == "cli.usage"


# --- errors -----------------------------------------------------------------------------------------------------------

STATUS: list[tuple[Exception, int, str]] = [
    (DecodeError("broken", code="cbor.x", path="a.b", offset=3), 3, "mdl: broken at a.b (byte 3) [cbor.x]\n"),
    (UnsupportedError("unknown", code="key.x"), 3, "mdl: unknown [key.x]\n"),
    (VerificationError("refused", code="signature.x"), 1, "mdl: refused [signature.x]\n"),
    (ProfileError("odd", code="profile.x"), 1, "mdl: odd [profile.x]\n"),
    (IssuanceError("not so", code="record.element", violations=("one",)), 1, "mdl: not so [record.element]\n"),
    (IssuanceError("no JSON", code="record.json"), 3, "mdl: no JSON [record.json]\n"),
    (IssuanceError("not so", code="issuance.x"), 1, "mdl: not so [issuance.x]\n"),
    (SigningError("no token", code="signing.x"), 4, "mdl: no token [signing.x]\n"),
    (FetchError("no answer", code="fetch.x", url="https://example.com"), 4, "mdl: no answer [fetch.x]\n"),
    (LocalProtocolError("too early", code="protocol.x"), 2, "mdl: too early [protocol.x]\n"),
    (RemoteProtocolError("garbage", code="protocol.x"), 3, "mdl: garbage [protocol.x]\n"),
    (MemoryError(), 3, "mdl: the input needs more memory or depth than there is [input.too_complex]\n"),
    (RecursionError(), 3, "mdl: the input needs more memory or depth than there is [input.too_complex]\n"),
    (OSError(28, "No space left on device"), 3, "mdl: input or output failed (No space left on device) [cli.io]\n"),
    (ModuleNotFoundError("No module", name="pkcs11.lib"), 2, "mdl: this needs the extra 'hsm': "),
]


@pytest.mark.parametrize(("error", "status", "line"), STATUS, ids=lambda value: type(value).__name__)
def test_an_error_is_one_line_and_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception, status: int, line: str
) -> None:
    a_verb_that(monkeypatch, raising(error))
    assert main(["inspect"]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_every_class_of_the_error_tree_has_its_status() -> None:
    def leaves(kind: type[MdlError]) -> set[type[MdlError]]:
        below = kind.__subclasses__()
        return {leaf for one in below for leaf in leaves(one)} if below else {kind}

    ours = {kind for kind in leaves(MdlError) if kind.__module__ == "mdl.errors"}
    assert ours == {type(error) for error, _, _ in STATUS if isinstance(error, MdlError)}


def test_an_error_is_an_object_where_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_verb_that(monkeypatch, raising(DecodeError("broken", code="cbor.x", path="documents[0]")))
    assert main(["inspect", "--json"]) == 3
    assert json.loads(capsys.readouterr().out) == {
        "error": {"code": "cbor.x", "message": "broken", "path": "documents[0]"}
    }


@pytest.mark.parametrize("error", [ValueError("Erika"), TypeError("Erika"), KeyError("Erika"), AssertionError("Erika")])
def test_a_mistake_of_ours_tells_no_values_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    a_verb_that(monkeypatch, raising(error))
    assert main(["inspect"]) == 70
    assert main(["inspect", "--json"]) == 70
    out, err = capsys.readouterr()
    assert "Erika" not in out + err
    assert "Traceback" not in err
    assert type(error).__name__ in err


def test_an_interrupt_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    a_verb_that(monkeypatch, raising(KeyboardInterrupt()))
    assert main(["inspect"]) == 130
    assert capsys.readouterr().err == "mdl: interrupted [cli.interrupted]\n"


def test_an_error_cannot_command_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a_verb_that(monkeypatch, raising(DecodeError("bad", code="cbor.x", path="a\x1b[2J\nmdl: \u202eall is well")))
    main(["inspect"])
    err = capsys.readouterr().err
    assert err == "mdl: bad at a\\u001b[2J\\u000amdl: \\u202eall is well [cbor.x]\n"


# --- the process ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.cbor"
    path.write_bytes(b"\xa1\x61a\x01")
    return path


def test_the_module_and_the_script_are_one_command(small: Path) -> None:
    script = str(Path(sys.executable).with_name("mdl"))
    assert run("inspect", str(small)).stdout == run("inspect", str(small), command=[script]).stdout != ""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["inspect", "no-such-file"], 3),
        (["inspect", "."], 3),
        (["inspect", ""], 3),
        (["inspect", "/dev/null"], 3),
        (["inspect", "pyproject.toml"], 3),
        (["inspect"], 2),
        ([], 2),
    ],
)
def test_a_process_exits_with_the_status_and_one_line(words: list[str], status: int) -> None:
    outcome = run(*words)
    assert (outcome.returncode, outcome.stdout) == (status, "")
    assert outcome.stderr.startswith("mdl: ")
    assert outcome.stderr.count("\n") == 1


def test_a_file_that_does_not_end_is_not_read_to_its_end() -> None:
    outcome = run("inspect", "/dev/zero")
    assert outcome.returncode == 3
    assert "[input.too_large]" in outcome.stderr


def test_the_name_of_a_file_is_not_repeated() -> None:
    assert "mustermann" not in run("inspect", "erika-mustermann.cbor").stderr


def test_the_reader_needs_nothing_that_an_extra_brings() -> None:
    script = (
        "import sys\n"
        "for name in ('pkcs11', 'asn1crypto', 'rich'): sys.modules[name] = None\n"
        "from mdl.cli import main\n"
        "status = main(['reader', 'verify', '--help'])\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'issuer'], 'issuer was imported'\n"
        "sys.exit(status)"
    )
    outcome = run("-c", script, command=[sys.executable])
    assert outcome.returncode == 0, outcome.stderr


def test_each_role_is_imported_only_when_it_is_asked_for() -> None:
    script = (
        "import sys\nfrom mdl.cli import main\nmain(['--help'])\n"
        "assert not {'issuer', 'reader', 'mdl.cli.demo', 'mdl.cli.inspection'} & set(sys.modules)"
    )
    outcome = run("-c", script, command=[sys.executable])
    assert outcome.returncode == 0, outcome.stderr


def test_output_that_nobody_reads_is_no_error(small: Path) -> None:
    command = [*MDL, "inspect", str(small)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=BUFFERED) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here: a full disk cannot be had")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_is_one_line(small: Path, options: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        outcome = run("inspect", str(small), *options, stdout=full)
    assert outcome.returncode == 3
    assert outcome.stderr.startswith("mdl: input or output failed (No space left")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_survived(small: Path, closed: str) -> None:
    for words in (f"inspect '{small}'", "inspect -", "inspect no-such-file --json", "reader subject"):
        shell = f"'{sys.executable}' -m mdl {words} {closed}"
        outcome = subprocess.run(
            ["sh", "-c", shell], input="", capture_output=True, check=False, text=True, cwd=ROOT, timeout=60
        )
        assert "Traceback" not in outcome.stderr
        assert outcome.returncode in {0, 3}, outcome.stderr


def test_a_terminal_that_knows_no_letters_gets_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "text.cbor"
    path.write_bytes(b"\x64" + "ä€".encode()[:4].ljust(4, b"x")[:2] + b"xx")
    outcome = run("inspect", str(path), env={**BUFFERED, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert outcome.returncode == 0, outcome.stderr
    assert '"\\xe4xx"' in outcome.stdout


def test_an_interrupted_process_says_so_in_one_line() -> None:
    with subprocess.Popen(
        [*MDL, "reader", "subject"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"{}\n")
        process.stdin.flush()
        assert process.stdout.readline()  # it is in its loop
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"mdl: interrupted [cli.interrupted]\n"
        assert process.wait(30) == 130


# --- reading and laying out ------------------------------------------------------------------------------------------

ARMOURS = [
    (b"\xa0", b"\xa0", "bytes"),
    (b"a0", b"\xa0", "hex text"),
    (b"0xA0\n", b"\xa0", "hex text"),
    (b"\xef\xbb\xbfa1 61\r\n61 01\n", b"\xa1\x61\x61\x01", "hex text"),
    (b"oWFhAQ==\n", b"\xa1\x61\x61\x01", "base64 text"),
    (b"oWFhGP__\n", b"\xa1\x61\x61\x18\xff\xff", "base64url text"),
    (b"oWFhGP//\n", b"\xa1\x61\x61\x18\xff\xff", "base64 text"),
    (b"mdoc:oWFhAQ", b"\xa1\x61\x61\x01", "QR text"),
    (b"MDOC:oWFhAQ==\n", b"\xa1\x61\x61\x01", "QR text"),
    (b"abc", b"abc", "bytes"),
    (b"oWFhAQ", b"oWFhAQ", "bytes"),
    (b"not: any of these", b"not: any of these", "bytes"),
    # Without its line ends this would pass for base64url.
    (b"-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n", b"-----BEGIN KEY-----\nAAAA\n-----END KEY-----\n", "bytes"),
]


@pytest.mark.parametrize(("text", "data", "form"), ARMOURS)
def test_bytes_are_found_in_any_of_the_usual_texts(text: bytes, data: bytes, form: str) -> None:
    assert terminal.open_armour(text) == (data, form)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"a0" * 10 + b"b", "input.hex"),
        (b"mdoc://example.com/?a=b", "input.base64"),
        (b"mdoc:A", "input.base64"),
        (b"oWFhAQQQQ", "input.base64"),
    ],
)
def test_text_that_is_nearly_one_of_these_is_an_error(text: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        terminal.open_armour(text)
    assert caught.value.code == code


def test_a_long_text_is_wrapped_and_no_word_broken_that_fits_a_line() -> None:
    fingerprint = "0123456789abcdef" * 4
    lines = terminal.wrap(f"x {fingerprint}", first="  name      ", rest="    ", limit=70)
    assert lines == ["  name      x", f"    {fingerprint}"]
    assert terminal.wrap(fingerprint, first="  name      ", rest="    ", limit=70) == ["  name", f"    {fingerprint}"]
    assert all(len(line) <= 40 for line in terminal.wrap("y" * 100, first="  ", rest="  ", limit=40))


def test_columns_line_up_and_wrap_in_the_last() -> None:
    lines = terminal.columns([("a", "bb", "word " * 30), ("aaa", "b", "")], indent=" ")
    assert lines[0].startswith(" a    bb  word")
    assert lines[1].startswith("          word")
    assert lines[-1] == " aaa  b"
    assert max(map(len, lines)) <= 100


def test_nothing_is_coloured_where_it_does_not_go_to_a_terminal() -> None:
    assert terminal.paint("text", "red") == "text"


def test_a_terminal_gets_colours_unless_it_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.paint("text", "red") == "\x1b[31mtext\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "")
    assert terminal.paint("text", "red") == "text"

"""What no verb writes over: one table of all options that name an output, held to the parsers."""

import argparse
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from issuer.folder import PinSource, State, StorePlace
from mdl.cli import _COMMANDS, _parser, main
from mdl.cli.outputs import OutputFile, OutputFolder, check_outputs, file_argument, folder_argument
from mdl.errors import LocalProtocolError

# Verb and option: the shortest command line that gets as far as its outputs.
FILES: Final[dict[tuple[str, str], list[str]]] = {
    ("lint", "output"): ["lint", "in", "--output", "OUT"],
    ("issuer issue", "out"): ["issuer", "issue", "in", "--device-key", "in", "--replace", "--out", "OUT"],
    ("issuer status", "output"): ["issuer", "status", "--expiring", "9d", "--output", "OUT"],
    ("issuer vical", "out"): ["issuer", "vical", "--entries", "in", "--provider", "P", "--out", "OUT"],
    ("issuer audit export", "out"): ["issuer", "audit", "export", "--out", "OUT"],
    ("issuer backup", "out"): ["issuer", "backup", "--out", "OUT"],
    ("issuer private-ca", "out"): ["issuer", "private-ca", "--ca", "A", "--request", "in", "--out", "OUT"],
    ("issuer private-ca", "root_out"): ["issuer", "private-ca", "--ca", "A", "--root-out", "OUT"],
    ("reader verify", "keep"): ["reader", "verify", "in", "--trust", "in", "--issuer-signed", "--keep", "OUT"],
    ("reader prefetch", "evidence"): ["reader", "prefetch", "--trust", "in", "--evidence", "OUT"],
    ("reader redact", "output"): ["reader", "redact", "other", "--element", "a", "b", "--output", "OUT"],
    ("reader trust import", "store"): ["reader", "trust", "import", "in", "--store", "OUT"],
    ("reader trust remove", "store"): ["reader", "trust", "remove", "in", "--store", "OUT"],
    ("reader trust distrust", "store"): ["reader", "trust", "distrust", "in", "--store", "OUT"],
}
FOLDERS: Final[dict[tuple[str, str], list[str]]] = {
    ("demo", "dir"): ["demo", "--dir", "OUT"],
    ("issuer revoke", "publish"): ["issuer", "revoke", "--credential", "00" * 16, "--publish", "OUT"],
    ("issuer publish", "folder"): ["issuer", "publish", "OUT"],
    ("issuer vical", "publish"): [
        *("issuer", "vical", "--entries", "in", "--provider", "P", "--out", "made", "--publish", "OUT"),
    ],
    ("issuer ceremony", "out"): ["issuer", "ceremony", "in", "--out", "OUT"],
}
# Every other option that names a file or a folder: it is read, or is the folder in which the authority works.
READ: Final = frozenset({
    *("file", "files", "issuer", "pin_file", "policy", "store_password_file", "csr", "record", "device_key", "vical"),
    *("provider_root", "entries", "root", "certificate", "log", "checkpoint", "key", "copy", "tree", "what", "confirm"),
    *("crl", "request", "response", "trust", "transcript", "reader_key", "status_token", "keep_key", "engagement"),
    *("e_reader_key", "handover_select", "handover_request", "reader_engagement", "jwk", "jwk_thumbprint", "bundle"),
    *("encryption_info", "old", "new", "dir", "script", "module", "references"),
})  # fmt: skip
# Read by these verbs, and written by others.
READ_BY: Final = frozenset({
    ("reader verify", "evidence"), ("reader replay", "evidence"), ("reader trust list", "store"),
    ("reader trust check", "store"), ("issuer watch", "folder"),
})  # fmt: skip
PLACES: Final = ("FILE", "DIR", "json", "toml", "pem", "OLD", "NEW", "BUNDLE", "RESPONSE", "CRL", "ROOT")


def options(parser: argparse.ArgumentParser, verb: str) -> Iterator[tuple[str, argparse.Action]]:
    for one in parser._actions:
        if isinstance(one, argparse._SubParsersAction):
            for name, below in one.choices.items():
                yield from options(below, f"{verb} {name}")
        else:
            yield verb, one


def every_option() -> Iterator[tuple[str, argparse.Action]]:
    for command in _COMMANDS:
        (commands,) = [one for one in _parser([command])._actions if isinstance(one, argparse._SubParsersAction)]
        yield from options(commands.choices[command], command)


def test_the_table_has_every_option_that_names_an_output() -> None:
    """And whoever adds an option that names a file or a folder says whether it is written."""
    files, folders, others = set(), set(), set()
    for verb, one in every_option():
        if one.type in (file_argument, OutputFile):
            files.add((verb, one.dest))
        elif one.type is folder_argument:
            folders.add((verb, one.dest))
        elif any(word in str(one.metavar) for word in PLACES):
            others.add((verb, one.dest))
    assert files == FILES.keys()
    assert folders == FOLDERS.keys()
    assert {one for one in others if one[1] not in READ} == READ_BY


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an authority, whose secrets lie elsewhere, a published tree, and inputs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "authority/checkpoints").mkdir(parents=True)
    (tmp_path / "authority/token").mkdir()
    state = State(
        ready=True,
        token=f"pkcs11:token=t?pin-source=file:{tmp_path}/pin%20of%20the%20token",
        softhsm=False,
        pin=PinSource(file=str(tmp_path / "pin")),
        iaca_key="iaca",
        store=StorePlace(dsn="dbname=x", password=PinSource(file="../password")),
    )
    (tmp_path / "authority/authority.json").write_bytes(state.encode())
    for name in ("authority/authority.db", "authority/token/pin", "authority/checkpoints/000000001.cbor", "in", "pin"):
        (tmp_path / name).write_bytes(b"precious")
    for name in ("password", "pin of the token"):
        (tmp_path / name).write_bytes(b"precious")
    version = tmp_path / "www/versions/000001"
    version.mkdir(parents=True)
    (version / "index.json").write_text(json.dumps({"authority": "00ff", "files": []}))
    (version / "iaca.crl").write_bytes(b"precious")
    (tmp_path / "www/current").symlink_to("versions/000001")
    (tmp_path / "short").symlink_to("authority")
    (tmp_path / "nowhere").symlink_to("missing")
    (tmp_path / "to_input").symlink_to("in")
    (tmp_path / "same").hardlink_to(tmp_path / "in")
    (tmp_path / "same.db").hardlink_to(tmp_path / "authority/authority.db")
    (tmp_path / "sub").mkdir()
    return tmp_path


def everything(folder: Path) -> dict[str, Any]:
    return {
        str(one.relative_to(folder)): one.readlink() if one.is_symlink() else one.is_file() and one.read_bytes()
        for one in sorted(folder.rglob("*"))
    }


@cache
def parsed(words: tuple[str, ...]) -> argparse.Namespace:
    """Most of the time goes into the parser: each command line is taken apart once."""
    return _parser(words).parse_args(words)


def check(option: tuple[str, str], name: str) -> None:
    """What `main` does before the verb."""
    arguments = argparse.Namespace(**vars(parsed(tuple((FILES | FOLDERS)[option]))))
    setattr(arguments, option[1], type(getattr(arguments, option[1]))(name))
    check_outputs(arguments)


def refusal(option: tuple[str, str], name: str) -> str:
    with pytest.raises(LocalProtocolError) as caught:
        check(option, name)
    return caught.value.code


PROTECTED: Final = (
    *("authority/authority.json", "authority/authority.db", "authority/token/pin", "authority/new"),
    *("short/authority.db", "authority/checkpoints/000000001.cbor", "sub/../authority/token/pin", "www/current"),
    *("www/current/iaca.crl", "www/versions/000001/index.json", "www/versions/000001/new", "nowhere", "to_input"),
)


@pytest.mark.parametrize("option", [*FILES, *FOLDERS], ids=" ".join)
def test_no_output_lies_in_what_an_authority_keeps_or_behind_a_link(
    here: Path, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = everything(here)
    for name in (*PROTECTED, *(("authority", "short") if option in FOLDERS else ())):
        assert refusal(option, name) == "output.protected", name
    words = ["www/current/iaca.crl" if word == "OUT" else word for word in (FILES | FOLDERS)[option]]
    assert main(words) == 2
    assert "[output.protected]" in capsys.readouterr().err
    assert everything(here) == before


@pytest.mark.parametrize("option", FILES, ids=" ".join)
@pytest.mark.usefixtures("here")
def test_no_output_takes_the_place_of_an_input_or_of_a_secret(option: tuple[str, str]) -> None:
    words = FILES[option]
    inputs = [one for one in ("in", "same", "sub/../in") if "in" in words]
    secrets = ["pin", "password", "pin of the token"] if words[0] == "issuer" else []
    assert inputs or secrets or option == ("reader redact", "output")
    for name in (*inputs, *secrets):
        assert refusal(option, name) == "output.input", name


@pytest.mark.parametrize(
    "more",
    [
        ["--pin-file", "mine"],
        ["--key", "pkcs11:token=t?pin-source=file:mine", "--certificate", "in"],
        ["--key", "file:mine", "--certificate", "in"],
    ],
    ids=["file", "source", "key"],
)
def test_a_secret_that_the_command_line_names_is_one_too(
    here: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine").write_bytes(b"precious")
    assert main(["issuer", "vical", "--entries", "in", "--provider", "P", "--out", "mine", *more]) == 2
    assert "[output.input]" in capsys.readouterr().err
    assert (here / "mine").read_bytes() == b"precious"


def test_the_other_name_of_a_store_is_no_way_to_it(here: Path) -> None:
    """A hard link is replaced, and the store that it was keeps its bytes under its own name."""
    (here / "root").write_bytes(b"no certificate")
    assert main(["lint", "root", "--output", "same.db"]) != 2
    assert (here / "same.db").read_bytes() != b"precious"
    assert (here / "authority/authority.db").read_bytes() == b"precious"


@pytest.mark.parametrize("option", [*FILES, *FOLDERS], ids=" ".join)
def test_an_output_elsewhere_may_have_any_name(tmp_path: Path, option: tuple[str, str]) -> None:
    """New, there already, or below folders that only look like others."""
    (tmp_path / "versions/000001").mkdir(parents=True)
    (tmp_path / "versions/000001/index.json").write_text("{}")
    (tmp_path / "link").symlink_to("versions")
    if option in FILES:
        (tmp_path / "there").write_bytes(b"there")
    else:
        (tmp_path / "there").mkdir()
    for name in ("new", "there", "versions/000001/new", "link/new", "missing/new"):
        check(option, str(tmp_path / name))


def test_what_is_left_of_a_bundle_may_take_its_place(here: Path) -> None:
    (here / "other").write_bytes(b"there")
    check(("reader redact", "output"), "other")


@pytest.mark.usefixtures("here")
def test_the_standard_output_is_no_file() -> None:
    check(("issuer issue", "out"), "-")


def test_an_empty_name_is_none() -> None:
    for argument in (file_argument, folder_argument):
        for text in ("", "\0"):
            with pytest.raises(argparse.ArgumentTypeError):
                argument(text)
    assert isinstance(file_argument("a"), OutputFile)
    assert isinstance(folder_argument("a"), OutputFolder)

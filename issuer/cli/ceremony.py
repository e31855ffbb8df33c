"""``mdl issuer ceremony``: check a script, hold the ceremony, verify its record.

Phrases and PINs are typed where nobody sees them, or come from files that are named for it; the record says which.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from issuer.ceremony import (
    Announcement,
    Ceremony,
    CeremonyRecord,
    Confirm,
    Operator,
    Phrase,
    Script,
    enrol,
    rehearse,
)
from issuer.ceremony.names import shown_name
from issuer.cli.audit import secret_source
from issuer.cli.clock import now
from issuer.cli.policy import acting_as
from issuer.keystore import SecretHandler
from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.cli.outputs import folder_argument
from mdl.errors import DecodeError, LocalProtocolError, SigningError, VerificationError
from mdl.pki import Certificate

__all__ = ["add_ceremony"]

_VERIFY: Final = "verify"
_ENROL: Final = "enrol"


def add_ceremony(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``ceremony``."""
    verb = commands.add_parser(
        "ceremony",
        help="hold a key ceremony by a script, at least two people confirming each step; verify its record",
        description="Hold a key ceremony for an offline root, or go on with one that was broken off. With --check the "
        "script is rehearsed with throwaway keys, and nothing is made. 'verify' checks the record of a ceremony: exit "
        "status 0 if it is true, 1 if not. 'enrol' turns an operator's phrase into what a script holds of it.",
        usage="%(prog)s SCRIPT.toml [--check] [options] | verify RECORD.json [--root FILE] [--script FILE] | enrol",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_run, command=_command)
    verb.add_argument("what", metavar="SCRIPT.toml", help="the script; or 'verify', or 'enrol'")
    verb.add_argument("record", nargs="?", metavar="RECORD.json", help="the record to verify")
    verb.add_argument("--dir", default="authority", metavar="DIR", help="the root's folder (default: ./authority)")
    verb.add_argument(
        "--out",
        default="ceremony",
        type=folder_argument,
        metavar="DIR",
        help="the folder of record and results (default: ./ceremony)",
    )
    verb.add_argument("--check", action="store_true", help="rehearse the script, and make nothing")
    verb.add_argument(
        "--confirm",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="take an operator's phrase from a file, for a rehearsal or a test; the record says so",
    )
    verb.add_argument(
        "--module",
        action="append",
        default=[],
        metavar="FILE",
        help="take this PKCS#11 module, though it lies outside the folders of the system's libraries",
    )
    verb.add_argument("--script", metavar="FILE", help="with verify: the script that the ceremony must be of")
    verb.add_argument("--root", metavar="FILE", help="with verify: the root that must have signed the record")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    pin = verb.add_mutually_exclusive_group()
    pin.add_argument("--pin-env", metavar="NAME", help="take the token's PIN from this environment variable")
    pin.add_argument("--pin-file", metavar="FILE", help="take the token's PIN from this file (default: it is typed)")


def _command(arguments: argparse.Namespace) -> str:
    """What is asked for, as the policy names it: everybody may verify a record."""
    return f"ceremony {arguments.what}" if arguments.what in (_VERIFY, _ENROL) else "ceremony"


def _run(arguments: argparse.Namespace) -> int:
    if arguments.what == _VERIFY:
        return _verify(arguments)
    if arguments.record is not None:
        raise LocalProtocolError("one script is named, and nothing after it", code="ceremony.arguments")
    if arguments.what == _ENROL:
        return _enrol(arguments)
    script = Script.read(Path(arguments.what))
    return _check(script, arguments) if arguments.check else _hold(script, arguments)


# --- verbs -----------------------------------------------------------------------------------------------------------


def _check(script: Script, arguments: argparse.Namespace) -> int:
    script.check_module(arguments.module)
    rehearse(script, Path(arguments.dir).absolute(), at=now())
    if arguments.json:
        steps = [{"do": one.do, "says": one.says} for one in script.steps]
        operators = [{"name": one.name, "duty": one.duty} for one in script.operators]
        terminal.write_json(
            {"sound": True, "script_sha256": script.digest.hex(), "operators": operators, "steps": steps}
        )
        return 0
    rows = [("script", f"SHA-256 {script.digest.hex()}"), ("token", script.token)]
    rows += [("operator", f"{shown_name(one.name)}, {one.duty}") for one in script.operators]
    rows += [(f"step {number}", one.says) for number, one in enumerate(script.steps, 1)]
    headline = terminal.paint("The script is sound", "bold") + ": every step was rehearsed, and nothing was made."
    terminal.write([headline, *terminal.columns(rows, indent="  "), "next: the same without --check"])
    return 0


def _hold(script: Script, arguments: argparse.Namespace) -> int:
    said = _said(arguments)
    ceremony = Ceremony(
        script,
        authority=Path(arguments.dir),
        out=Path(arguments.out),
        confirm=_confirm(script, arguments.confirm, said),
        secret=_pin(arguments),
        at=now,
        tell=said,
        actor=acting_as(arguments),
        modules=arguments.module,
    )
    record = ceremony.hold()
    out = Path(arguments.out).absolute()
    if arguments.json:
        terminal.write_json(_record_json(record) | {"record": str(out / "record.json")})
        return 0
    rows = [("record", str(out / "record.json")), ("document", str(out / "record.md")), *_record_rows(record)]
    headline = terminal.paint("The ceremony is over.", "bold")
    then = "next: compare the fingerprint aloud, print and sign the document, keep copies apart"
    terminal.write([headline, *terminal.columns(rows, indent="  "), then])
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    if arguments.record is None:
        raise LocalProtocolError("name the record to verify", code="ceremony.arguments")
    with terminal.labelled("record"):
        record = CeremonyRecord.decode(terminal.read_input(arguments.record, label="record"))
    root = None
    if arguments.root is not None:
        with terminal.labelled("root"):
            root = Certificate.decode_any(terminal.read_input(arguments.root, label="root"))
    script = None if arguments.script is None else Script.read(Path(arguments.script))
    checked = record.verify(root, script=script)
    document = Path(arguments.record).with_suffix(".md")
    if document.exists() and document.read_bytes() != record.document().encode():
        message = f"{document.name} beside the record is not the document that is made from it"
        raise VerificationError(message, code="ceremony.document")
    if arguments.json:
        terminal.write_json(
            _record_json(record) | {"true": True, "root_given": root is not None, "script_given": script is not None}
        )
        return 0
    lines = [terminal.paint("The record is true.", "green"), *(f"  {one}" for one in checked)]
    if root is None:
        lines.append("next: compare the root's fingerprint with one that came to you another way, or give --root")
    if script is None:
        lines.append("NOT COMPARED: what the script says that was to be done; give it with --script")
    terminal.write(lines)
    return 0


def _enrol(arguments: argparse.Namespace) -> int:
    phrase = _typed("Your phrase, at least 12 characters")
    if _typed("The same once more") != phrase:
        raise DecodeError("the two are not the same", code="ceremony.phrase")
    kept = enrol(phrase)
    if arguments.json:
        terminal.write_json({"phrase": kept})
    else:
        terminal.write([f'phrase = "{kept}"'])
    return 0


def _record_json(record: CeremonyRecord) -> dict[str, Any]:
    root = record.root
    return {
        "title": record.title,
        "root_sha256": None if root is None else root.fingerprint.hex(),
        "operators": [one.name for one in record.operators],
        "steps": [{"step": one.step, "do": one.do, "outcome": one.outcome.value} for one in record.transcript],
    }


def _record_rows(record: CeremonyRecord) -> list[tuple[str, str]]:
    if record.root is None:
        return []
    return [("root", str(record.root.subject)), ("SHA-256", record.root.fingerprint.hex())]


# --- people ----------------------------------------------------------------------------------------------------------


def _said(arguments: argparse.Namespace) -> Callable[[str], None]:
    """Tell people what happens: where the result is JSON, on the standard error."""

    def say(line: str) -> None:
        if arguments.json:
            terminal.write_error(line)
        else:
            terminal.write([terminal.safe(line)])
            terminal.flush()

    return say


def _confirm(script: Script, given: list[str], said: Callable[[str], None]) -> Confirm:
    """Take phrases from the files that are named, and all others from the keyboard."""
    files: dict[str, Path] = {}
    names = {one.name for one in script.operators}
    for one in given:
        name, equals, file = one.partition("=")
        if not equals or name not in names or name in files:
            message = "--confirm takes the name of an operator of the script, once, and a file: NAME=FILE"
            raise LocalProtocolError(message, code="ceremony.arguments")
        files[name] = Path(file)
    told: list[int] = []

    def ask(operator: Operator, step: Announcement) -> Phrase | None:
        if step.number not in told:
            told.append(step.number)
            said(f"step {step.number} of {step.count}, {step.do}: {step.says}")
            said(f"the clock of this machine shows {TDate.of(step.time).text}: compare it with another")
        if operator.name in files:
            text = terminal.read_input(str(files[operator.name]), label="confirm").decode("utf-8", "replace").strip()
            return Phrase(text=text, means="file")
        if files and not _is_attended():
            return None
        phrase = _typed(
            f"{shown_name(operator.name)}, your phrase to confirm step {step.number} (empty: not confirmed)"
        )
        return Phrase(text=phrase, means="typed") if phrase else None

    return ask


def _pin(arguments: argparse.Namespace) -> SecretHandler:
    source = secret_source(arguments.pin_env, arguments.pin_file)
    if source is not None:
        return source.handler(Path())
    known: dict[str, str] = {}

    def ask(prompt: str) -> str:
        if prompt not in known:
            if not _is_attended():
                message = f"{prompt}: say where it comes from, with --pin-env or --pin-file, or type it at a terminal"
                raise SigningError(message, code="signing.secret_missing")
            known[prompt] = _typed(prompt)
        return known[prompt]

    return ask


def _is_attended() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _typed(prompt: str) -> str:
    if not _is_attended():
        message = "there is no terminal to type at: name files with --confirm, for a rehearsal"
        raise LocalProtocolError(message, code="ceremony.no_terminal")
    try:
        return getpass.getpass(f"{prompt}: ")
    except EOFError:
        return ""

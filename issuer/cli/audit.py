"""``mdl issuer audit``: find what was done to the audit log, report from it, export it, sign checkpoints of it."""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from issuer.audit import (
    AuditRecord,
    KeptRecord,
    LogReport,
    chain_start,
    decode_log,
    encode_line,
    examine_log,
    report,
    report_csv,
)
from issuer.authority import Authority
from issuer.cli.clock import now
from issuer.cli.policy import acting_as
from issuer.folder import PinSource, output_file
from issuer.keystore import SecretHandler
from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.cli.outputs import file_argument
from mdl.errors import DecodeError, VerificationError
from mdl.keys import PublicKey

__all__ = ["add_audit", "secret_source"]

_WHOLE: Final = 0
_FOUND: Final = 1


def add_audit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``audit`` and its verbs."""
    text = "the audit log: verify it, report from it, export it, sign a checkpoint"
    audit = commands.add_parser("audit", help=text, description=text, allow_abbrev=False)
    verbs = audit.add_subparsers(metavar="VERB", required=True, title="verbs")

    verb = _add_verb(
        verbs,
        "verify",
        "find any change, deletion, insertion, reordering or truncation",
        "Find any change, deletion, insertion, reordering or truncation of the log, and whatever the store, the "
        "published tree and the folder have otherwise than it tells. Checkpoints and keys that were kept elsewhere "
        "show also that the log was cut off or written anew as a whole; those of the folder are taken where none are "
        "given. It says up to which record a checkpoint vouches, and for what nothing does."
        " Exit status 0 if the log is whole, 1 if not, 3 if it cannot be read.",
        _verify,
    )
    _add_checking(verb)
    verb.add_argument("--json", action="store_true", help="print the result as JSON")

    verb = _add_verb(
        verbs,
        "report",
        "list the certificates that were issued, with their expiry",
        "List the certificates that were issued, with their expiry, from a log that is verified first.",
        _report,
    )
    _add_checking(verb)
    verb.add_argument("--format", choices=("csv", "json"), default="csv", help="what to print (default: csv)")
    verb.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")

    verb = _add_verb(
        verbs,
        "export",
        "write the log as lines of JSON, for an archive or another program",
        "Write the log, one record a line of JSON: readable, and with the bytes that are hashed. 'verify --log' and "
        "'report --log' read it.",
        _export,
    )
    verb.add_argument(
        "--out", type=file_argument, metavar="FILE", help="where to write it (default: the standard output)"
    )

    verb = _add_verb(
        verbs,
        "checkpoint",
        "sign a statement about the log as it is now",
        "Sign a statement about the log as it is now, with a key in the token that does nothing else. Keep it, and the "
        "public key, where the log is not.",
        _checkpoint,
    )
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    verb.add_argument(
        "--token-uri",
        metavar="pkcs11:…",
        help="the auditor's own token, whose PIN nobody else has (default: this one's)",
    )
    pin = verb.add_mutually_exclusive_group()
    pin.add_argument("--pin-env", metavar="NAME", help="take the token's PIN from this environment variable")
    pin.add_argument("--pin-file", metavar="FILE", help="take the token's PIN from this file")


def _add_verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, description: str, run: Any
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=description, allow_abbrev=False)
    verb.set_defaults(run=run)
    verb.add_argument("--dir", default="authority", metavar="DIR", help="the authority's folder (default: ./authority)")
    return verb


def _add_checking(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--log", metavar="FILE", help="take the log from an export instead of the folder")
    verb.add_argument(
        "--checkpoint", nargs="+", action="extend", metavar="FILE", help="checkpoints that were kept elsewhere"
    )
    verb.add_argument(
        "--key", nargs="+", action="extend", metavar="FILE", help="public keys that are trusted to sign them, PEM"
    )


def secret_source(environment: str | None, file: str | None) -> PinSource | None:
    """Where a secret comes from, by the two options that say so."""
    if environment is not None:
        return PinSource(environment=environment)
    return None if file is None else PinSource(file=str(Path(file).absolute()))


# --- verbs ------------------------------------------------------------------------------------------------------------


def _verify(arguments: argparse.Namespace) -> int:
    found = _examined(arguments)
    findings, named = found.findings, arguments.key is not None
    if arguments.json:
        vouched = None
        if found.vouched is not None:
            vouched = {
                "sequence": found.vouched.sequence,
                "time": TDate.of(found.vouched.time).text,
                "key_sha256": found.vouched.key.hex(),
                "key_from": "named" if named else "store",
            }
        terminal.write_json(
            {
                "whole": not findings,
                "records": found.records,
                "findings": [
                    {"defect": one.defect.value, "sequence": one.sequence, "message": one.message} for one in findings
                ],
                "vouched": vouched,
                "unvouched": max(0, found.last - (0 if found.vouched is None else found.vouched.sequence)),
                "superseded": [{"sequence": one.sequence, "told_by": at} for one, at in found.superseded],
            }
        )
        return _FOUND if findings else _WHOLE
    if findings:
        rows = [(str(one.sequence), one.defect.value, one.message) for one in findings]
        headline = terminal.paint("THE LOG IS NOT WHOLE", "red")
        headline += f": {len(findings)} findings in {found.records} records"
        terminal.write([headline, *terminal.columns(rows, indent="  ")])
    else:
        terminal.write([terminal.paint("The log is whole", "green") + f": {found.records} records"])
    terminal.write(terminal.columns(_rests_on(found, named=named), indent="  "))
    return _FOUND if findings else _WHOLE


def _rests_on(found: LogReport, *, named: bool) -> list[tuple[str, ...]]:
    """By what it is known that nobody has written the log anew, and what nothing vouches for."""
    rows: list[tuple[str, ...]] = []
    until = 0
    if found.vouched is not None:
        until = found.vouched.sequence
        key = f"key {found.vouched.key.hex()}"
        whose = (
            "the one that you named"
            if named
            else (
                "which the store itself names: who can write the store can name another, so compare it, or name "
                "yours with --key"
            )
        )
        when = TDate.of(found.vouched.time).text
        rows.append(("vouched for", f"up to record {until}, by the checkpoint of {when}, {key}, {whose}"))
    if found.last > until:
        what = f"records {until + 1} to {found.last}" if until else "all of it"
        rows.append(
            (
                "NOT VOUCHED FOR",
                f"{what}: who can write the store can write that anew; sign a checkpoint and keep it elsewhere",
            )
        )
    rows += [
        ("restored", f"a checkpoint of record {one.sequence} tells of records that a restore lost (record {at})")
        for one, at in found.superseded
    ]
    return rows


def _report(arguments: argparse.Namespace) -> int:
    findings = _examined(arguments).findings
    if findings:
        message = f"the log is not whole ({len(findings)} findings): see mdl issuer audit verify"
        raise VerificationError(message, code="audit.not_whole")
    with _records(arguments) as records:
        rows = report(records)
    if arguments.format == "json":
        terminal.write_json([one.row() for one in rows])
    else:
        terminal.write(report_csv(rows).splitlines())
    return _WHOLE


def _export(arguments: argparse.Namespace) -> int:
    with Authority(arguments.dir, actor=acting_as(arguments)).audit_records() as records:
        lines = map(encode_line, records)
        if arguments.out is None:
            terminal.write(lines)
        else:
            with output_file(Path(arguments.out)) as commit:
                commit("".join(f"{line}\n" for line in lines).encode())
    return _WHOLE


def _checkpoint(arguments: argparse.Namespace) -> int:
    source = secret_source(arguments.pin_env, arguments.pin_file)
    secret: SecretHandler | None = None if source is None else source.handler(Path())
    made = Authority(arguments.dir, secret=secret, actor=acting_as(arguments)).sign_checkpoint(
        at=now, token=arguments.token_uri
    )
    known = made.checkpoint
    if arguments.json:
        terminal.write_json(
            {
                "file": str(made.file),
                "key_file": str(made.key_file),
                "log": known.log_id.hex(),
                "sequence": known.sequence,
                "head": known.head.hex(),
                "time": TDate.of(known.time).text,
                "key_sha256": known.key.hex(),
            }
        )
        return _WHOLE
    rows = [
        ("checkpoint", str(made.file)),
        ("public key", str(made.key_file)),
        ("log", known.log_id.hex()),
        ("record", str(known.sequence)),
        ("hash", known.head.hex()),
    ]
    headline = terminal.paint("The checkpoint is signed.", "bold")
    terminal.write([headline, *terminal.columns(rows, indent="  "), "next: keep both files where the log is not"])
    return _WHOLE


# --- the log ----------------------------------------------------------------------------------------------------------


def _records(arguments: argparse.Namespace) -> Any:
    """The log, from wherever it comes, as a context."""
    if arguments.log is None:
        return Authority(arguments.dir, actor=acting_as(arguments)).audit_records()
    return nullcontext(decode_log(_lines(arguments.log)))


def _lines(name: str) -> io.StringIO:
    data = terminal.read_input(name, label="log")
    return io.StringIO(data.decode("utf-8", "replace"))


def _examined(arguments: argparse.Namespace) -> LogReport:
    """What is wrong with the log, and what that rests on."""
    marks = None
    if arguments.checkpoint is not None:
        marks = [terminal.read_input(name, label="checkpoint") for name in arguments.checkpoint]
    keys = None if arguments.key is None else [_key(name) for name in arguments.key]
    if arguments.log is None:
        return Authority(arguments.dir, actor=acting_as(arguments)).examine_audit(checkpoints=marks, keys=keys)
    records = [*decode_log(_lines(arguments.log))]
    return examine_log(records, log_id=_log_id(records), checkpoints=marks or [], keys=keys or [])


def _log_id(records: Iterable[KeptRecord]) -> bytes:
    """The log that an export says it is; whether it all is that log, the chain tells, and a checkpoint which one."""
    for one in records:
        try:
            record = AuditRecord.decode(one.record)
        except DecodeError:
            continue
        if record.sequence > 1 or record.previous == chain_start(record.log_id):
            return record.log_id
    return bytes(16)


def _key(name: str) -> PublicKey:
    data = terminal.read_input(name, label="key")
    with terminal.labelled("key"):
        return PublicKey.from_pem(data)

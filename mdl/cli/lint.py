"""`mdl lint`: holds certificates and CRLs against their profiles, and names every deviation."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from mdl.cli import lint_reports as reports
from mdl.cli import terminal
from mdl.cli.linting import AUTO, Lint, read_certificates, run_lint
from mdl.cli.outputs import OutputFile
from mdl.errors import DecodeError
from mdl.files import output_file
from mdl.pki import CRL, PROFILES, Severity

__all__ = ["add_commands"]

_TEXT, _JSON, _SARIF, _JUNIT, _MARKDOWN = "text", "json", "sarif", "junit", "markdown"
_UNDECODABLE: Final = 3


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = commands.add_parser(
        "lint",
        help="hold certificates and CRLs against their profiles",
        description="Hold certificates and CRLs against their profiles of ISO/IEC 18013-5, and name every deviation, "
        "with its clause and its remedy. Signatures are verified where the issuer is among the files or given by "
        "--issuer. Everything is read a second time, by libraries that share no code with ours.",
        epilog="exit status: 0 no finding of that severity, 1 findings, 3 something could not be read",
        allow_abbrev=False,
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="certificates, CRLs or certification requests as PEM (also several in one file), DER, hex or base64; "
        "a folder stands for all in it; - for the standard input",
    )
    parser.add_argument(
        "--profile",
        choices=[AUTO, *PROFILES, CRL.id],
        default=AUTO,
        help="what to hold certificates against; auto (the default) goes by what a certificate says that it is for. "
        "A CRL is held against crl",
    )
    parser.add_argument(
        "--issuer",
        metavar="FILE",
        action="append",
        default=[],
        help="the issuing certificate, or several; without it the issuer is looked for among the files",
    )
    parser.add_argument(
        "--at",
        type=_moment,
        metavar="TIME",
        help="judge validity as of this time, for example 2026-01-31T00:00:00Z, or now; without it only its length is "
        "judged",
    )
    parser.add_argument(
        "--severity",
        choices=[severity.value for severity in reversed(Severity)],
        default=Severity.NOTE.value,
        help="exit with status 1 from this severity on (default: %(default)s); what is below it is shown all the same",
    )
    parser.add_argument(
        "--format",
        choices=[_TEXT, _JSON, _SARIF, _JUNIT, _MARKDOWN],
        help="text (the default), json, sarif (2.1.0) or junit (XML); markdown for --list-rules",
    )
    parser.add_argument("--json", action="store_const", const=_JSON, dest="format", help="the same as --format json")
    parser.add_argument(
        "--output", type=OutputFile, metavar="FILE", help="write there, and only the summary to the standard output"
    )
    parser.add_argument("--list-rules", action="store_true", help="show the rules, of one profile or of all, and stop")
    parser.set_defaults(run=partial(_run, parser))


def _moment(text: str) -> datetime:
    return datetime.now(UTC) if text == "now" else terminal.argument_time(text)


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    form = arguments.format or _TEXT
    if arguments.list_rules:
        if arguments.files:
            parser.error("--list-rules takes no files")
        return _list_rules(parser, form, None if arguments.profile == AUTO else arguments.profile, arguments.output)
    if not arguments.files:
        parser.error("the following arguments are required: FILE")
    if form == _MARKDOWN:
        parser.error("--format markdown is for --list-rules")
    if arguments.files.count("-") > 1:
        parser.error("the standard input can be read once")
    issuers = [one for name in arguments.issuer for one in read_certificates(name, label="--issuer")]
    lint = run_lint(arguments.files, profile=arguments.profile, issuers=issuers, at=arguments.at)
    threshold = Severity(arguments.severity)
    _write(_rendered(lint, form, threshold), arguments.output, reports.summary(lint))
    if lint.unreadable:
        return _UNDECODABLE
    return int(any(reports.is_at_least(finding, threshold) for one in lint.examined for finding in one.findings))


def _rendered(lint: Lint, form: str, threshold: Severity) -> list[str]:
    if form == _JUNIT:
        return reports.as_junit(lint, threshold)
    if form == _TEXT:
        return reports.as_text(lint)
    return _json(reports.as_sarif(lint) if form == _SARIF else reports.as_json(lint))


def _list_rules(parser: argparse.ArgumentParser, form: str, profile: str | None, output: str | None) -> int:
    if form == _JSON:
        lines = _json({"rules": reports.rules_as_json(profile)})
    elif form == _MARKDOWN:
        lines = reports.rules_as_markdown(profile)
    elif form == _TEXT:
        lines = reports.rules_as_text(profile)
    else:
        parser.error(f"--list-rules has no form {form}")
    _write(lines, output, "the rules are written")
    return 0


def _json(value: Any) -> list[str]:
    return [json.dumps(value, indent=2)]


def _write(lines: Sequence[str], output: str | None, done: str) -> None:
    if output is None:
        terminal.write(lines)
        return
    try:
        with output_file(Path(output)) as commit:
            commit("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "no name for a file"
        msg = f"the report cannot be written ({reason})"
        raise DecodeError(msg, code="output.unwritable", path="--output") from exc
    terminal.write(terminal.wrap(done))

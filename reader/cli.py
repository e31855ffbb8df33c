"""The reader's part of the command line: ``mdl reader verify`` and ``mdl reader subject``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from mdl.cbor import Tagged24, TDate, decode_view, diagnose
from mdl.cli import terminal
from mdl.errors import DecodeError, VerificationError
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest, SessionTranscript
from mdl.pki import Certificate
from reader.report import Check, Outcome, Policy, Report, Revocation
from reader.revocation import Evidence
from reader.subject import serve
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, VerifiedDocument, Verifier

__all__ = ["add_commands"]

_ACCEPTED: Final = 0
_REJECTED: Final = 1
# Byte strings in what is accepted are cut here on a terminal's page, in bytes; JSON has them whole.
_LONGEST: Final = 24
_COLOURS: Final = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.INDETERMINATE: "yellow"}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs of the reader."""
    _add_verify(commands)
    _add_subject(commands)


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = commands.add_parser(
        "verify",
        help="decide on a response, and tell what came of every check",
        description="Decide on a DeviceResponse. Files may be bytes, hex or base64 text. Nothing is fetched. Exit "
        "status 0 if it is accepted, 1 if it is refused, 3 if an input does not decode.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_verify)
    verb.add_argument("response", metavar="RESPONSE", help="the DeviceResponse, decrypted; - for the standard input")
    trust = verb.add_argument_group("trust")
    trust.add_argument(
        "--trust",
        required=True,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="IACA roots, PEM (several in one file are fine) or DER",
    )
    trust.add_argument(
        "--trust-doctype",
        nargs="+",
        action="extend",
        metavar="DOCTYPE",
        help="trust the roots for these document types only; without it, for any",
    )
    session = verb.add_argument_group("what the reader knows of the session")
    session.add_argument(
        "--transcript", required=True, metavar="FILE", help="the SessionTranscript: the array, or in tag 24"
    )
    session.add_argument("--reader-key", metavar="FILE", help="the ephemeral reader key, PKCS#8: a deviceMac needs it")
    request = session.add_mutually_exclusive_group(required=True)
    request.add_argument("--request", metavar="FILE", help="the DeviceRequest that was sent")
    request.add_argument(
        "--unsafe-no-request",
        action="store_true",
        help="there is none: whether the answer is what was asked for is not checked",
    )
    judging = verb.add_argument_group("how to judge")
    judging.add_argument(
        "--at",
        type=terminal.argument_time,
        metavar="TIME",
        help="as of this time, for example 2026-01-31T00:00:00Z; without it, now",
    )
    judging.add_argument(
        "--policy",
        choices=[policy.value for policy in Policy],
        default=Policy.ISO_STRICT.value,
        help="how strict to be about deviations that no forger gains by (default: %(default)s)",
    )
    judging.add_argument(
        "--revocation",
        choices=[revocation.value for revocation in Revocation],
        default=Revocation.IF_GIVEN.value,
        help="whether a document is refused whose revocation cannot be determined (default: %(default)s)",
    )
    judging.add_argument(
        "--crl", nargs="+", action="extend", default=[], metavar="FILE", help="certificate revocation lists, DER or PEM"
    )
    judging.add_argument(
        "--status-token", nargs="+", action="extend", default=[], metavar="FILE", help="status list tokens, CWT"
    )
    verb.add_argument("--full", action="store_true", help="show the elements' byte strings whole")
    verb.add_argument("--json", action="store_true", help="write JSON")


def _add_subject(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = commands.add_parser(
        "subject",
        help="answer a test harness on standard input and output",
        description="Speak the subject protocol: one JSON object a line on standard input, one a line on standard "
        "output, in order, until the input ends. Nothing is fetched.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_subject)


def _subject(_arguments: argparse.Namespace) -> int:
    if sys.stdin is None or sys.stdout is None:
        msg = "the subject protocol needs a standard input and a standard output"
        raise DecodeError(msg, code="input.unreadable")
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        terminal.abandon_stdout()  # whoever asked has gone, and that is how it ends
    return _ACCEPTED


# --- verify: input ----------------------------------------------------------------------------------------------------


def _read(name: str, label: str) -> bytes:
    data = terminal.read_input(name, label=label)
    with terminal.labelled(label):
        return terminal.open_armour(data).data


def _roots(names: Iterable[str]) -> list[Certificate]:
    roots: list[Certificate] = []
    for index, name in enumerate(names):
        label = f"--trust[{index}]"
        data = _read(name, label)
        with terminal.labelled(label):
            if b"-----BEGIN" in data and not data.startswith(b"\x30"):
                roots += Certificate.parse_pem_bundle(data)
            else:
                roots.append(Certificate.decode(data))
    return roots


def _transcript(name: str) -> SessionTranscript:
    data = _read(name, "--transcript")
    with terminal.labelled("--transcript"):
        value = decode_view(data)
        return SessionTranscript(value.content if type(value) is Tagged24 else data)


def _reader_key(name: str | None) -> EphemeralKey | None:
    if name is None:
        return None
    data = _read(name, "--reader-key")
    with terminal.labelled("--reader-key"):
        return EphemeralKey.from_pkcs8(data)


def _request(name: str | None) -> DeviceRequest | UnsafeNoRequest:
    if name is None:
        return UnsafeNoRequest()
    data = _read(name, "--request")
    with terminal.labelled("--request"):
        return DeviceRequest.decode(data)


def _evidence(arguments: argparse.Namespace) -> Evidence:
    return Evidence(
        crls=tuple(_read(name, f"--crl[{index}]") for index, name in enumerate(arguments.crl)),
        status_tokens=tuple(
            _read(name, f"--status-token[{index}]") for index, name in enumerate(arguments.status_token)
        ),
    )


def _verify(arguments: argparse.Namespace) -> int:
    at = arguments.at or datetime.now(UTC)
    doctypes = frozenset(arguments.trust_doctype) if arguments.trust_doctype else ANY_DOCTYPE
    verifier = Verifier(
        TrustStore.from_certificates(_roots(arguments.trust), doctypes=doctypes),
        policy=Policy(arguments.policy),
        revocation=Revocation(arguments.revocation),
    )
    context = SessionContext(transcript=_transcript(arguments.transcript), reader_key=_reader_key(arguments.reader_key))
    request = _request(arguments.request)
    evidence = _evidence(arguments)
    response = _read(arguments.response, "RESPONSE")
    documents: tuple[VerifiedDocument, ...] = ()
    with terminal.labelled("RESPONSE"):
        try:
            verified = verifier.verify(response, context=context, request=request, at=at, evidence=evidence)
        except VerificationError as exc:
            if exc.report is None:
                raise
            report: Report = exc.report
        else:
            report, documents = verified.report, verified.documents
    if arguments.json:
        terminal.write_json(_as_json(report, documents, at))
    else:
        terminal.write(_as_lines(report, documents, at, full=arguments.full))
    return _ACCEPTED if report.accepted else _REJECTED


# --- verify: output ---------------------------------------------------------------------------------------------------


def _as_json(report: Report, documents: Iterable[VerifiedDocument], at: datetime) -> dict[str, Any]:
    return {
        "verdict": "accept" if report.accepted else "reject",
        "at": TDate.of(at).text,
        "policy": report.policy.value,
        "revocation": report.revocation.value,
        "failed": list(report.failed),
        "indeterminate": list(report.indeterminate),
        "checks": [
            {
                "id": check.id,
                "document": check.document,
                "outcome": check.outcome.value,
                "detail": check.detail,
                "warnings": list(check.warnings),
                "clause": check.clause,
            }
            for check in report
        ],
        "documents": [
            {
                "doctype": document.doctype,
                "elements": _diagnosed(document.elements),
                "device_elements": _diagnosed(document.device_elements),
                "valid_from": TDate.of(document.validity.valid_from).text,
                "valid_until": TDate.of(document.validity.valid_until).text,
                "document_signer": str(document.document_signer.subject),
                "root": str(document.anchor.certificate.subject),
            }
            for document in documents
        ],
    }


def _diagnosed(elements: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    return {
        namespace: {identifier: diagnose(value) for identifier, value in values.items()}
        for namespace, values in elements.items()
    }


def _as_lines(report: Report, documents: Iterable[VerifiedDocument], at: datetime, *, full: bool) -> list[str]:
    lines = [f"As of {TDate.of(at).text}, policy {report.policy.value}, revocation {report.revocation.value}:"]
    groups: dict[int | None, list[Check]] = {}
    for check in report:
        groups.setdefault(check.document, []).append(check)
    longest = max((len(check.id) for check in report), default=0)
    for index, checks in groups.items():
        lines += ["", terminal.paint("response" if index is None else f"document {index}", "bold")]
        for check in checks:
            lines += _check_lines(check, longest)
    lines.append("")
    for document in documents:
        lines += [*_document_lines(document, full=full), ""]
    lines.append(_verdict(report))
    return lines


def _check_lines(check: Check, longest: int) -> list[str]:
    word = check.outcome.value.upper() if check.outcome is Outcome.FAILED else check.outcome.value
    outcome = f"{word:<14}"
    start = f"  {check.id:<{longest}}  {outcome}"
    warnings = f"tolerated: {', '.join(check.warnings)}" if check.warnings else ""
    text = "; ".join(part for part in (check.detail, warnings) if part)
    lines = terminal.wrap(terminal.safe(text), first=f"{start}  ", rest=" " * (len(start) + 2)) if text else [start]
    if check.outcome in _COLOURS:
        lines[0] = lines[0].replace(outcome, terminal.paint(outcome, _COLOURS[check.outcome]), 1)
    return [line.rstrip() for line in lines]


def _document_lines(document: VerifiedDocument, *, full: bool) -> list[str]:
    rows = [
        ("document signer", str(document.document_signer.subject)),
        ("root", str(document.anchor.certificate.subject)),
        ("valid", f"{TDate.of(document.validity.valid_from).text} to {TDate.of(document.validity.valid_until).text}"),
    ]
    longest = None if full else _LONGEST
    lines = [terminal.paint(terminal.safe(document.doctype), "bold"), *terminal.columns(rows, indent="  ")]
    for origin, elements in (("", document.elements), (", signed by the device", document.device_elements)):
        for namespace, values in elements.items():
            lines.append(f"  {terminal.safe(namespace)}{origin}")
            shown = [(identifier, diagnose(value, longest=longest)) for identifier, value in values.items()]
            lines += terminal.columns(shown, indent="    ")
    return lines


def _verdict(report: Report) -> str:
    if report.accepted:
        undetermined = f"; not determined: {', '.join(report.indeterminate)}" if report.indeterminate else ""
        return terminal.paint("ACCEPTED", "green") + undetermined
    refusing = tuple(dict.fromkeys(check.id for check in report if report.refuses(check)))
    names = report.failed or refusing
    more = "" if report.failed else " (not determined)"
    return terminal.paint("REFUSED", "red") + f": {', '.join(names)}{more}"

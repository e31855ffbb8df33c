"""``mdl reader verify``: the verdict on a response, and what came of every check."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mdl.cbor import TDate, diagnose
from mdl.cli import terminal
from mdl.cli.outputs import file_argument
from mdl.errors import LocalProtocolError, UnsupportedError, VerificationError
from mdl.keys import SoftwareSigner
from reader.bundle import examine_and_keep
from reader.cli import inputs
from reader.files import write_whole
from reader.report import Check, Outcome, Policy, Report, Revocation
from reader.verification import SessionContext, VerifiedDocument, Verifier

__all__ = ["add_verify", "as_json", "as_lines"]

_ACCEPTED: Final = 0
_REJECTED: Final = 1
# Byte strings in what is accepted are cut here on a terminal's page, in bytes; JSON has them whole.
_LONGEST: Final = 24
_COLOURS: Final = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.INDETERMINATE: "yellow"}


def add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``verify``."""
    verb = commands.add_parser(
        "verify",
        help="decide on a response, and tell what came of every check",
        description="Decide on a DeviceResponse. Files may be bytes, hex or base64 text. Nothing is fetched. Exit "
        "status 0 if it is accepted, 1 if it is refused, 3 if an input does not decode.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_verify)
    verb.add_argument("response", metavar="RESPONSE", help="the DeviceResponse, decrypted; - for the standard input")
    inputs.add_trust_arguments(verb)
    verb.add_argument(
        "--issuer-signed",
        action="store_true",
        help="RESPONSE is an IssuerSigned or a Document that nobody has presented: only what the issuer signed is "
        "looked at, no element value is shown, and no session is asked for",
    )
    inputs.add_session_arguments(verb, required=False)
    inputs.add_judging_arguments(verb)
    keeping = verb.add_argument_group("what to keep")
    keeping.add_argument(
        "--keep",
        type=file_argument,
        metavar="FILE",
        help="keep all that the verdict rests on in an evidence bundle; it holds personal data: only you may read it",
    )
    keeping.add_argument("--keep-key", metavar="FILE", help="sign the bundle with this key, PKCS#8 without a password")
    verb.add_argument("--full", action="store_true", help="show the elements' byte strings whole")
    verb.add_argument("--json", action="store_true", help="write JSON")


def _verify(arguments: argparse.Namespace) -> int:
    if arguments.issuer_signed:
        _refuse_session(arguments)
    else:
        inputs.require_session(arguments)
    at = arguments.at or datetime.now(UTC)
    trust = inputs.read_trust(arguments)
    verifier = Verifier(
        trust,
        policy=Policy(arguments.policy),
        revocation=Revocation(arguments.revocation),
        clock_skew=arguments.clock_skew,
    )
    if arguments.issuer_signed:
        return _verify_issuer_signed(arguments, verifier, at)
    transcript = inputs.read_transcript(arguments.transcript)
    context = SessionContext(transcript=transcript, reader_key=inputs.read_reader_key(arguments.reader_key))
    request = inputs.read_request(arguments.request)
    evidence = inputs.read_evidence(arguments, trust, at)
    response = inputs.read_bytes(arguments.response, "RESPONSE")
    case: dict[str, Any] = {"context": context, "request": request, "at": at, "evidence": evidence}
    if arguments.keep is not None:
        _keep(arguments, verifier, response, case)
    documents: tuple[VerifiedDocument, ...] = ()
    with inputs.expecting("device-response", data=response, label="RESPONSE"):
        try:
            verified = verifier.verify(response, **case)
        except VerificationError as exc:
            if exc.report is None:
                raise
            report: Report = exc.report
        except UnsupportedError as exc:
            if exc.code != "response.unsupported":
                raise
            report = verifier.examine(response, **case)
        else:
            report, documents = verified.report, verified.documents
    if arguments.json:
        terminal.write_json(as_json(report, documents, at))
    else:
        terminal.write(as_lines(report, documents, at, full=arguments.full))
    return _ACCEPTED if report.accepted else _REJECTED


def _refuse_session(arguments: argparse.Namespace) -> None:
    given = [
        name
        for name in ("transcript", "reader_key", "request", "unsafe_no_request", "keep", "keep_key")
        if getattr(arguments, name)
    ]
    if given:
        msg = f"--issuer-signed is about no presentation, so it goes without {', '.join(given)}"
        raise LocalProtocolError(msg.replace("_", "-"), code="cli.usage")


def _verify_issuer_signed(arguments: argparse.Namespace, verifier: Verifier, at: datetime) -> int:
    evidence = inputs.read_evidence(arguments, verifier.trust, at)
    data = inputs.read_bytes(arguments.response, "RESPONSE")
    with terminal.labelled("RESPONSE"):
        result = verifier.examine_issuer_signed(data, at=at, evidence=evidence)
    if arguments.json:
        report = result.report.as_dict()
        terminal.write_json(
            {
                "format": "mdl issuer-signed verdict 1",
                "holds": result.holds,
                "refusing": list(result.refusing),
                "at": TDate.of(at).text,
                "doctype": result.doctype,
                "identifiers": {name: list(listed) for name, listed in result.identifiers.items()},
                "document_signer": str(result.document_signer.subject) if result.document_signer else None,
                "root": str(result.anchor.certificate.subject) if result.anchor else None,
                "policy": report["policy"],
                "revocation": report["revocation"],
                "checks": report["checks"],
            }
        )
    else:
        lines = as_lines(result.report, (), at, full=False)[:-1]
        counted = sum(map(len, result.identifiers.values()))
        lines += [f"{terminal.safe(result.doctype)}: {counted} elements; nobody has presented it, so no value is shown"]
        if result.holds:
            lines.append(terminal.paint("ISSUER-SIGNED DATA HOLDS", "green") + ": whose it is, is not shown")
        else:
            lines.append(terminal.paint("REFUSED", "red") + f": {', '.join(result.refusing)}")
        terminal.write(lines)
    return _ACCEPTED if result.holds else _REJECTED


def _keep(arguments: argparse.Namespace, verifier: Verifier, response: bytes, case: dict[str, Any]) -> None:
    signer = None
    if arguments.keep_key is not None:
        key = terminal.read_input(arguments.keep_key, label="--keep-key")
        with terminal.labelled("--keep-key"):
            signer = SoftwareSigner.from_pkcs8(key)
    with inputs.expecting("device-response", data=response, label="RESPONSE"):
        bundle = examine_and_keep(verifier, response, **case)
    content = bundle.encode(signer)
    write_whole(Path(arguments.keep), content, code="bundle.unwritable", what="the bundle", private=True)


# --- verify: output ---------------------------------------------------------------------------------------------------


def as_json(report: Report, documents: Iterable[VerifiedDocument], at: datetime) -> dict[str, Any]:
    """A verdict and what came out of it, for JSON."""
    return {
        **report.as_dict(),
        "at": TDate.of(at).text,
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


def as_lines(report: Report, documents: Iterable[VerifiedDocument], at: datetime, *, full: bool) -> list[str]:
    """A verdict and what came out of it, for people."""
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
    if report.unsupported:
        lines += [f"Left aside, since it is not implemented here: {', '.join(report.unsupported)}", ""]
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
            if not values:
                continue
            lines.append(f"  {terminal.safe(namespace)}{origin}")
            shown = [(identifier, diagnose(value, longest=longest)) for identifier, value in values.items()]
            lines += terminal.columns(shown, indent="    ")
    if not any((*document.elements.values(), *document.device_elements.values())):
        lines.append("  no element was returned: the document proves nothing but that it exists")
    return lines


def _verdict(report: Report) -> str:
    if report.is_unsupported:
        return terminal.paint("NOT SUPPORTED", "red") + f": {', '.join(report.unsupported)}"
    if report.accepted:
        undetermined = f"; not determined: {', '.join(report.indeterminate)}" if report.indeterminate else ""
        return terminal.paint("ACCEPTED", "green") + undetermined
    refusing = tuple(dict.fromkeys(check.id for check in report if report.refuses(check)))
    names = report.failed or refusing
    more = "" if report.failed else " (not determined)"
    return terminal.paint("REFUSED", "red") + f": {', '.join(names)}{more}"

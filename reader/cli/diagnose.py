"""``mdl reader diagnose``: what a refused response would have verified over."""

from __future__ import annotations

import argparse
import json
from typing import Any, Final

from mdl.cli import terminal
from mdl.errors import DecodeError, UnsupportedError
from reader.candidates import Candidate, Known
from reader.cli import inputs
from reader.diagnosis import MAX_CANDIDATES, MAX_DOCUMENTS, Diagnosis, DocumentDiagnosis, diagnose

__all__ = ["add_diagnose"]

_REFUSED: Final = 1
_FILES: Final = (
    ("--engagement", "engagement", "the DeviceEngagement as received; QR text is fine"),
    ("--reader-key-bytes", "e_reader_key", "the EReaderKeyBytes as sent"),
    ("--nfc-select", "handover_select", "the NFC Handover Select message"),
    ("--nfc-request", "handover_request", "the NFC Handover Request message"),
    ("--reader-engagement", "reader_engagement", "the ReaderEngagement (18013-7 Annex A)"),
    ("--jwk-thumbprint", "jwk_thumbprint", "the SHA-256 thumbprint of that key, where the key is not at hand"),
)
_TEXTS: Final = (
    ("--client-id", "client_id", "the client identifier of the request, with its prefix"),
    ("--response-uri", "response_uri", "the response_uri or redirect_uri of the request"),
    ("--origin", "origin", "the origin of the page that asked, for example https://example.com"),
    ("--nonce", "nonce", "the nonce of the request"),
    ("--mdoc-nonce", "mdoc_generated_nonce", "the nonce of the wallet, decoded out of apu (18013-7 Annex B)"),
    ("--endpoint", "endpoint", "the interactive authorization endpoint (OpenID4VCI 1.1 draft)"),
)
_OPTIONS: Final = {name: option for option, name, _ in _FILES + _TEXTS} | {
    "encryption_info": "--encryption-info",
    "jwk_thumbprint": "--jwk (or --jwk-thumbprint)",
}


def add_diagnose(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``diagnose``."""
    verb = commands.add_parser(
        "diagnose",
        help="find out for which session a refused response was made",
        description="Find out why device authentication of a DeviceResponse fails: try every known handover with what "
        f"is known of the session, and with the usual mistakes, at most {MAX_CANDIDATES} candidates for each of the "
        f"first {MAX_DOCUMENTS} documents. Files may be bytes, hex or base64 text. Nothing is accepted here: the exit "
        "status is 1 whatever is found, 3 if an input does not decode. 'mdl reader verify' decides.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_diagnose)
    verb.add_argument("response", metavar="RESPONSE", help="the DeviceResponse, decrypted; - for the standard input")
    session = verb.add_argument_group("what is known of the session")
    session.add_argument(
        "--transcript", metavar="FILE", help="the SessionTranscript of the reader: the array, or in tag 24"
    )
    session.add_argument("--reader-key", metavar="FILE", help="the ephemeral reader key, PKCS#8: a deviceMac needs it")
    for option, name, text in _FILES[:-1]:
        session.add_argument(option, dest=name, metavar="FILE", help=text)
    for option, name, text in _TEXTS:
        session.add_argument(option, dest=name, metavar="TEXT", help=text)
    session.add_argument("--jwk", metavar="FILE", help="the key that the response is encrypted to, JSON")
    option, name, text = _FILES[-1]
    session.add_argument(option, dest=name, metavar="FILE", help=text)
    session.add_argument(
        "--encryption-info", metavar="FILE", help="the text of EncryptionInfo as sent (18013-7 Annex C)"
    )
    verb.add_argument("--json", action="store_true", help="write JSON")


def _diagnose(arguments: argparse.Namespace) -> int:
    known = _known(arguments)
    response = inputs.read_bytes(arguments.response, "RESPONSE")
    with inputs.expecting("device-response", data=response, label="RESPONSE"):
        diagnosis = diagnose(response, known)
    if arguments.json:
        terminal.write_json(_as_json(diagnosis))
    else:
        terminal.write(_as_lines(diagnosis))
    return _REFUSED


def _known(arguments: argparse.Namespace) -> Known:
    given: dict[str, Any] = {name: getattr(arguments, name) for _, name, _ in _TEXTS}
    if arguments.transcript is not None:
        given["transcript"] = inputs.read_transcript(arguments.transcript)
        _alone("--transcript", "transcript", given["transcript"])
    given["reader_key"] = inputs.read_reader_key(arguments.reader_key)
    for option, name, _ in _FILES:
        if getattr(arguments, name) is not None:
            given[name] = inputs.read_bytes(getattr(arguments, name), option)
            _alone(option, name, given[name])
    if arguments.jwk is not None:
        given["jwk"] = _read_jwk(arguments.jwk)
        _alone("--jwk", "jwk", given["jwk"])
    if arguments.encryption_info is not None:
        given["encryption_info"] = _read_text(arguments.encryption_info, "--encryption-info")
    for option, name, _ in _TEXTS:
        _alone(option, name, given[name])
    return Known(**given)


def _alone(option: str, name: str, value: object) -> None:
    """Look at one input by itself, so that an error names the argument that it came from."""
    try:
        Known(**{name: value})  # type: ignore[arg-type]
    except DecodeError as exc:
        exc.path = option
        raise
    except UnsupportedError as exc:
        msg = f"{option}: {exc.message}"
        raise UnsupportedError(msg, code=exc.code, clause=exc.clause) from exc
    except (TypeError, ValueError) as exc:
        msg = "this cannot be what the argument calls for"
        raise DecodeError(msg, code="input.unfit", path=option) from exc


def _read_jwk(name: str) -> dict[str, Any]:
    data = terminal.read_input(name, label="--jwk")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as exc:
        msg = "the file is not JSON"
        raise DecodeError(msg, code="input.json", path="--jwk") from exc
    if type(value) is not dict:
        msg = "the file is no JSON object"
        raise DecodeError(msg, code="input.json", path="--jwk")
    return value


def _read_text(name: str, label: str) -> str:
    try:
        return terminal.read_input(name, label=label).decode("ascii").strip()
    except UnicodeDecodeError as exc:
        msg = "the file is not base64url text; it is the text as sent that counts"
        raise DecodeError(msg, code="input.base64", path=label) from exc


# --- output -----------------------------------------------------------------------------------------------------------


def _as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "refusal": "stands",
        "conclusion": diagnosis.conclusion,
        "readers_transcript": _candidate(diagnosis.readers_transcript),
        "documents": [_document(one) for one in diagnosis.documents],
        "documents_omitted": diagnosis.omitted,
        "not_done": [{"code": one.code, "detail": one.detail} for one in diagnosis.not_done],
        "untried": [{"handover": one.form.value, "missing": list(one.missing)} for one in diagnosis.untried],
    }


def _document(one: DocumentDiagnosis) -> dict[str, Any]:
    return {
        "document": one.index,
        "doctype": one.doctype,
        "proof": one.proof or None,
        "tried": one.tried,
        "verifies_over": _candidate(one.match),
        "differs_in": list(one.differs),
        "observations": [{"code": seen.code, "detail": seen.detail} for seen in one.observations],
    }


def _candidate(one: Candidate | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "handover": one.form.value,
        "title": one.form.title,
        "deviations": [{"input": deviation.input, "how": deviation.how} for deviation in one.deviations],
    }


def _as_lines(diagnosis: Diagnosis) -> list[str]:
    lines: list[str] = []
    for document in diagnosis.documents:
        title, *found = document.lines()
        lines += [*_wrapped(title, colour="bold"), *(part for one in found for part in _wrapped(one, indent="  ")), ""]
    remarks = [part for one in diagnosis.remarks() for part in _wrapped(one)]
    lines += [*remarks, *([""] if remarks else [])]
    untried = diagnosis.worth_knowing()
    if untried:
        rows = [(one.form.title, " ".join(_OPTIONS.get(name, name) for name in one.missing)) for one in untried]
        lines += ["Not tried, for want of:", *terminal.columns(rows, indent="  "), ""]
    return [*lines, *_wrapped(diagnosis.conclusion, colour="red")]


def _wrapped(text: str, *, indent: str = "", colour: str | None = None) -> list[str]:
    lines = terminal.wrap(terminal.safe(text), first=indent, rest=2 * indent)
    return [terminal.paint(line, colour) if colour else line for line in lines]

"""What the reader's verbs are given on the command line, read and decoded."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from mdl.cbor import Tagged24, decode_view
from mdl.cli import terminal
from mdl.cli.inspection import Inspection, inspect
from mdl.errors import DecodeError, LocalProtocolError, MdlError, VerificationError
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest, SessionTranscript
from mdl.pki import Certificate
from mdl.status import StatusToken
from reader.evidence import EvidenceStore
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, AnyDoctype, TrustAnchor, TrustStore
from reader.trust_file import TrustFile
from reader.verification import MAX_CLOCK_SKEW, UnsafeNoRequest

__all__ = [
    "add_evidence_arguments",
    "add_judging_arguments",
    "add_session_arguments",
    "add_trust_arguments",
    "expecting",
    "read_bytes",
    "read_evidence",
    "read_reader_key",
    "read_request",
    "read_transcript",
    "read_trust",
    "require_session",
]


def add_trust_arguments(verb: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The roots, and what they are trusted for."""
    trust = verb.add_argument_group("trust")
    trust.add_argument(
        "--trust",
        required=required,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="IACA roots, PEM (several in one file are fine) or DER; or what 'mdl reader trust import' has made",
    )
    trust.add_argument(
        "--trust-doctype",
        nargs="+",
        action="extend",
        metavar="DOCTYPE",
        help="trust the roots for these document types only; without it, for any, or what a trust store says",
    )


def add_session_arguments(verb: argparse.ArgumentParser, *, required: bool = True) -> None:
    """What the reader knows of the session; where it is not required, `require_session` has to look."""
    session = verb.add_argument_group("what the reader knows of the session")
    session.add_argument(
        "--transcript", required=required, metavar="FILE", help="the SessionTranscript: the array, or in tag 24"
    )
    session.add_argument("--reader-key", metavar="FILE", help="the ephemeral reader key, PKCS#8: a deviceMac needs it")
    request = session.add_mutually_exclusive_group(required=required)
    request.add_argument("--request", metavar="FILE", help="the DeviceRequest that was sent")
    request.add_argument(
        "--unsafe-no-request",
        action="store_true",
        help="there is none: whether the answer is what was asked for is not checked",
    )


def require_session(arguments: argparse.Namespace) -> None:
    """Refuse a command line that does not say what session and request an answer belongs to.

    Raises:
        LocalProtocolError: An argument is missing (code ``cli.usage``).
    """
    missing = [] if arguments.transcript else ["--transcript"]
    if not (arguments.request or arguments.unsafe_no_request):
        missing.append("--request or --unsafe-no-request")
    if missing:
        msg = f"the following arguments are required: {', '.join(missing)}"
        raise LocalProtocolError(msg, code="cli.usage")


def add_judging_arguments(verb: argparse.ArgumentParser) -> None:
    """How to judge: time, policy, evidence."""
    judging = verb.add_argument_group("how to judge")
    judging.add_argument(
        "--at",
        type=terminal.argument_time,
        metavar="TIME",
        help="as of this time, for example 2026-01-31T00:00:00Z; without it, now",
    )
    judging.add_argument(
        "--clock-skew",
        type=_seconds,
        default=timedelta(0),
        metavar="SECONDS",
        help="how far the clock may be off, 0 to 60 seconds (default: 0)",
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
    add_evidence_arguments(judging)


def add_evidence_arguments(judging: argparse._ArgumentGroup) -> None:
    """The revocation evidence at hand."""
    judging.add_argument(
        "--crl", nargs="+", action="extend", default=[], metavar="FILE", help="certificate revocation lists, DER or PEM"
    )
    judging.add_argument(
        "--status-token", nargs="+", action="extend", default=[], metavar="FILE", help="status list tokens, CWT"
    )
    judging.add_argument(
        "--evidence", type=terminal.argument_file, metavar="FILE", help="what 'mdl reader prefetch' has fetched"
    )


def _seconds(text: str) -> timedelta:
    if text.isdecimal() and text.isascii() and int(text) <= MAX_CLOCK_SKEW.seconds:
        return timedelta(seconds=int(text))
    msg = f"not a whole number of seconds, 0 to {MAX_CLOCK_SKEW.seconds}"
    raise argparse.ArgumentTypeError(msg)


def read_bytes(name: str, label: str) -> bytes:
    """The bytes of a file, whatever armour they are in."""
    data = terminal.read_input(name, label=label)
    with terminal.labelled(label):
        return terminal.open_armour(data).data


_EXPECTED: Final = {
    "certificate": "an X.509 certificate",
    "crl": "a certificate revocation list",
    "device-request": "a DeviceRequest",
    "device-response": "a DeviceResponse",
    "private-key": "a private key",
    "session-transcript": "a SessionTranscript",
    "vical": "a VICAL",
}
# What the inspector calls what it does not recognise: there is nothing to name then.
_NAMELESS: Final = frozenset({"cbor", "unreadable", "image"})


@contextmanager
def expecting(*kinds: str, data: bytes, label: str) -> Iterator[None]:
    """Read an input: an error names the argument, and where the input is of another kind, what it is instead.

    Args:
        kinds: What may stand there, as `mdl inspect` calls it; the first ones of `_EXPECTED`.
        data: The input, out of its armour.
        label: The argument that named it.

    Raises:
        DecodeError: The input is not what is expected (code ``input.kind`` where it is of a known kind).
    """
    with terminal.labelled(label):
        try:
            yield
        except DecodeError as exc:
            found = _recognised(data)
            if found is None or found.kind in kinds:
                raise
            wanted = " or ".join(_EXPECTED[kind] for kind in kinds)
            raise DecodeError(f"expected {wanted}, found: {found.title}", code="input.kind") from exc


def _recognised(data: bytes) -> Inspection | None:
    """What the inspector takes the input for; None where it knows no name for it."""
    try:
        found = next(inspect(data), None)
    except Exception:  # noqa: BLE001 - it only helps to say what is wrong, and that stands without it
        return None
    return None if found is None or found.kind in _NAMELESS else found


def read_trust(arguments: argparse.Namespace, *, at: datetime | None = None) -> TrustStore:
    """The roots, trusted for the document types that were named, and what trust stores hold at the time."""
    doctypes = frozenset(arguments.trust_doctype) if arguments.trust_doctype else ANY_DOCTYPE
    at = at or getattr(arguments, "at", None) or datetime.now(UTC)
    anchors: list[TrustAnchor] = []
    failure: MdlError | None = None
    distrusted: frozenset[bytes] = frozenset()
    for index, name in enumerate(arguments.trust):
        label = f"--trust[{index}]"
        data = read_bytes(name, label)
        if not TrustFile.is_one(data):
            with expecting("certificate", data=data, label=label):
                roots = _decode_roots(data)
            anchors += [TrustAnchor(certificate=root, doctypes=doctypes) for root in roots]
            continue
        with terminal.labelled(label):
            assembled = TrustFile.decode(data).assemble(at=at)
        anchors += _narrowed(assembled.anchors, doctypes)
        distrusted |= assembled.distrusted
        for refusal in assembled.refusals:
            failure = failure or refusal.error
            terminal.write_error(f"{label}: not used: {refusal.error}")
    # What one trust store distrusts, nothing else that is named beside it brings back.
    anchors = [one for one in anchors if distrusted.isdisjoint(one.keys)]
    if not anchors:
        msg = "no root is trusted at that time, for these document types"
        raise failure or VerificationError(msg, code="trust.nothing")
    return TrustStore(anchors)


def _narrowed(anchors: Iterable[TrustAnchor], doctypes: frozenset[str] | AnyDoctype) -> Iterator[TrustAnchor]:
    """The anchors for no more than the document types that were named; those that are for none of them are left out."""
    for anchor in anchors:
        own = anchor.doctypes
        both = doctypes if isinstance(own, AnyDoctype) else own if isinstance(doctypes, AnyDoctype) else own & doctypes
        if both is ANY_DOCTYPE or both:
            yield replace(anchor, doctypes=both)


def _decode_roots(data: bytes) -> tuple[Certificate, ...]:
    if b"-----BEGIN" in data and not data.startswith(b"\x30"):
        return Certificate.parse_pem_bundle(data)
    return (Certificate.decode(data),)


def read_transcript(name: str) -> SessionTranscript:
    """The session transcript, bare or in tag 24."""
    data = read_bytes(name, "--transcript")
    with expecting("session-transcript", data=data, label="--transcript"):
        value = decode_view(data)
        return SessionTranscript(value.content if type(value) is Tagged24 else data)


def read_reader_key(name: str | None) -> EphemeralKey | None:
    """The reader's ephemeral key, where one is given."""
    if name is None:
        return None
    data = read_bytes(name, "--reader-key")
    with expecting("private-key", data=data, label="--reader-key"):
        return EphemeralKey.from_pkcs8(data)


def read_request(name: str | None) -> DeviceRequest | UnsafeNoRequest:
    """The request that was sent, or the word that there is none to compare with."""
    if name is None:
        return UnsafeNoRequest()
    data = read_bytes(name, "--request")
    with expecting("device-request", data=data, label="--request"):
        return DeviceRequest.decode(data)


def read_list(name: str, label: str) -> bytes:
    """The bytes of a revocation list or status token; of a file that holds none, nothing.

    A file that says nothing counts as absent, as a list does that can neither revoke nor clear; only what cannot be
    read as a file is an error.

    Raises:
        DecodeError: The file cannot be read, or is too large (codes ``input.…``).
    """
    try:
        return read_bytes(name, label)
    except DecodeError as exc:
        if exc.code in {"input.unreadable", "input.too_large"}:
            raise
        terminal.write_error(f"{label}: no evidence, so it speaks for nothing: {exc.message}")
        return b""


def read_crls(arguments: argparse.Namespace) -> list[bytes]:
    """The revocation lists that ``--crl`` names."""
    return [read_list(name, f"--crl[{index}]") for index, name in enumerate(arguments.crl)]


def read_evidence(arguments: argparse.Namespace, trust: TrustStore, at: datetime) -> Evidence:
    """The revocation evidence at hand."""
    crls = read_crls(arguments)
    tokens = [read_list(name, f"--status-token[{index}]") for index, name in enumerate(arguments.status_token)]
    for index, token in enumerate(tokens):
        if not token:
            continue  # it was told when it was read
        try:
            StatusToken.decode(token)
        except MdlError as exc:
            # The verdict tells of it only where the document refers to a list.
            terminal.write_error(f"--status-token[{index}]: no status list token, so it speaks for nothing: {exc}")
    if arguments.evidence is not None:
        with terminal.labelled("--evidence"):
            prefetched = EvidenceStore.load(Path(arguments.evidence), trust).evidence(at=at)
        crls += prefetched.crls
        tokens += prefetched.status_tokens
    return Evidence(crls=tuple(crls), status_tokens=tuple(tokens))

"""``mdl reader replay`` and ``redact``: a verdict reached again from its evidence, and less personal data in it."""

from __future__ import annotations

import argparse
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.cli.outputs import file_argument
from mdl.errors import LocalProtocolError
from mdl.keys import PublicKey
from reader.bundle import EvidenceBundle, Replay, UnsafeBundleAnchors
from reader.cli import inputs
from reader.cli.verify import as_json, as_lines
from reader.files import write_whole
from reader.report import Policy, Revocation
from reader.trust import TrustStore

__all__ = ["add_replay"]

_ACCEPTED: Final = 0
_REJECTED: Final = 1


def add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``replay`` and ``redact``."""
    replay = commands.add_parser(
        "replay",
        help="reach a verdict again from its evidence bundle",
        description="Verify the seal of a bundle that 'mdl reader verify --keep' has written, run every check anew on "
        "what it holds, and make sure that the verdict is the one in it, byte for byte. Then judge it on your terms. "
        "With --trust, the issuer's and the device's signatures must hold under your roots and your policy; a MAC, "
        "the time, the request and the revocation lists in the bundle prove nothing to you. With --key, the owner of "
        "that key vouches for all of it. Without either, no element is shown, and an acceptance is not vouched for. "
        "Each part is listed with what it rests on. Exit status 0 if the response is accepted on your terms, 1 if it "
        "is refused, not vouched for, or the bundle does not hold, 3 if it is no bundle.",
        allow_abbrev=False,
    )
    replay.set_defaults(run=_replay)
    replay.add_argument("bundle", metavar="BUNDLE", help="the evidence bundle")
    inputs.add_trust_arguments(replay, required=False)
    replay.add_argument(
        "--key",
        metavar="FILE",
        help="the public key (PEM) that must have signed it; without --trust its owner also vouches for the roots",
    )
    judging = replay.add_argument_group("how to judge")
    judging.add_argument(
        "--at",
        type=terminal.argument_time,
        metavar="TIME",
        help="as of this time, for example 2026-01-31T00:00:00Z; without it, as of the time that the bundle names",
    )
    judging.add_argument(
        "--policy",
        choices=[policy.value for policy in Policy],
        help="how strict to be about deviations that no forger gains by (default: iso-strict; without --trust, the "
        "bundle's)",
    )
    judging.add_argument(
        "--revocation",
        choices=[revocation.value for revocation in Revocation],
        help="whether a document is refused whose revocation cannot be determined (default: if-given; without "
        "--trust, the bundle's)",
    )
    inputs.add_evidence_arguments(judging)
    replay.add_argument("--full", action="store_true", help="show the elements' byte strings whole")
    replay.add_argument("--json", action="store_true", help="write JSON")
    redact = commands.add_parser(
        "redact",
        help="take elements out of an evidence bundle; its seal still holds",
        description="Take the values of issuer-signed elements out of a bundle for good. The seal and the verdict "
        "on the rest still hold. Without --element, list the elements.",
        allow_abbrev=False,
    )
    redact.set_defaults(run=_redact)
    redact.add_argument("bundle", metavar="BUNDLE", help="the evidence bundle")
    redact.add_argument(
        "--element",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAMESPACE", "IDENTIFIER"),
        help="an element to take out; may be repeated",
    )
    redact.add_argument(
        "--output",
        type=file_argument,
        metavar="FILE",
        help="where to write what is left; without it, over the bundle",
    )
    redact.add_argument("--json", action="store_true", help="write JSON")


def _read_bundle(name: str) -> EvidenceBundle:
    data = terminal.read_input(name, label="BUNDLE")
    with terminal.labelled("BUNDLE"):
        return EvidenceBundle.decode(data)


def _seal(bundle: EvidenceBundle) -> str:
    if bundle.sealed_by is None:
        return f"sealed with the hash {bundle.commitment.hex()}"
    return f"signed by the key with the fingerprint {_fingerprint(bundle.sealed_by)}"


def _fingerprint(key: PublicKey) -> str:
    return hashlib.sha256(key.spki).hexdigest()


def _replay(arguments: argparse.Namespace) -> int:
    bundle = _read_bundle(arguments.bundle)
    key = None
    if arguments.key is not None:
        pem = terminal.read_input(arguments.key, label="--key")
        with terminal.labelled("--key"):
            key = PublicKey.from_pem(pem)
    if arguments.trust_doctype and arguments.trust is None:
        msg = "--trust-doctype says for what the roots of --trust are trusted"
        raise LocalProtocolError(msg, code="cli.usage")
    trust: TrustStore | UnsafeBundleAnchors = UnsafeBundleAnchors()
    roots = TrustStore(bundle.anchors)
    if arguments.trust is not None:
        trust = roots = inputs.read_trust(arguments, at=arguments.at or bundle.at)
    evidence = inputs.read_evidence(arguments, roots, arguments.at or datetime.now(UTC))
    with terminal.labelled("BUNDLE"):
        replay = bundle.replay(
            trust=trust,
            policy=None if arguments.policy is None else Policy(arguments.policy),
            revocation=None if arguments.revocation is None else Revocation(arguments.revocation),
            at=arguments.at,
            evidence=evidence,
            signed_by=key,
        )
    vouched = arguments.trust is not None or key is not None
    if arguments.json:
        terminal.write_json(_as_json(bundle, replay, arguments.at or bundle.at, vouched=vouched))
    else:
        terminal.write(_as_lines(bundle, replay, arguments, vouched=vouched))
    return _ACCEPTED if replay.accepted and vouched else _REJECTED


def _as_json(bundle: EvidenceBundle, replay: Replay, at: datetime, *, vouched: bool) -> dict[str, Any]:
    unvouched = replay.accepted and not vouched
    refusal = replay.refusal
    return (
        as_json(replay.report, replay.documents if vouched else (), at)
        | ({"verdict": "unvouched"} if unvouched else {})
        | {
            "refusal": None if refusal is None else {"code": refusal.code, "message": refusal.message},
            "vouched_for": [part.value for part in replay.vouched_for],
            "parts": [{"part": one.part.value, "by": one.by.value, "detail": one.detail} for one in replay.parts],
            "recorded": {
                "verdict": replay.recorded.as_dict()["verdict"],
                "at": TDate.of(bundle.at).text,
                "policy": bundle.policy.value,
                "revocation": bundle.revocation.value,
            },
            "roots": [{"subject": subject, "sha256": fingerprint} for fingerprint, subject in _roots(bundle)],
            "seal": bundle.commitment.hex(),
            "signed_by": None if bundle.sealed_by is None else _fingerprint(bundle.sealed_by),
            "redacted": [{"namespace": namespace, "element": name} for namespace, name in _redacted(bundle)],
        }
    )


def _as_lines(bundle: EvidenceBundle, replay: Replay, arguments: argparse.Namespace, *, vouched: bool) -> list[str]:
    documents = replay.documents if vouched else ()
    lines = as_lines(replay.report, documents, arguments.at or bundle.at, full=arguments.full)
    if replay.accepted and not vouched:
        lines[-1:] = _unvouched_lines(bundle)
    elif replay.refusal is not None:
        lines[-1:] = terminal.wrap(
            terminal.paint("REFUSED", "red") + f": {terminal.safe(replay.refusal.message)} [{replay.refusal.code}]"
        )
    lines += ["", "What the bundle's parts rest on:"]
    longest = max(len(one.by.value) for one in replay.parts)
    for one in replay.parts:
        start = f"  {one.part.value:<10}  {one.by.value:<{longest}}  "
        lines += terminal.wrap(one.detail, first=start, rest=" " * len(start))
    if redacted := _redacted(bundle):
        lines += ["", "redacted, and not judged again:"]
        lines += terminal.columns(
            [(terminal.safe(space), terminal.safe(name)) for space, name in redacted], indent="  "
        )
    return [*lines, "", f"The same verdict as then; {_seal(bundle)}."]


def _redacted(bundle: EvidenceBundle) -> list[tuple[str, str]]:
    return [(namespace, name) for namespace, name, there in bundle.elements if not there]


def _roots(bundle: EvidenceBundle) -> list[tuple[str, str]]:
    """SHA-256 and name of the roots that the bundle brings."""
    roots = dict.fromkeys(anchor.certificate for anchor in bundle.anchors)
    return [(root.fingerprint.hex(), str(root.subject)) for root in roots]


def _unvouched_lines(bundle: EvidenceBundle) -> list[str]:
    """That an acceptance rests on the bundle's own word."""
    why = "these roots are the bundle's own word. Say with --trust whom you trust, or with --key whose bundle it is."
    return [
        terminal.paint("NOT VOUCHED FOR", "yellow") + ": every check passes, on roots that the bundle itself brings",
        "",
        *terminal.wrap(f"Anybody can make such a bundle: {why}"),
        *terminal.columns(_roots(bundle), indent="  "),
    ]


def _redact(arguments: argparse.Namespace) -> int:
    bundle = _read_bundle(arguments.bundle)
    if arguments.element:
        bundle = bundle.redact((namespace, identifier) for namespace, identifier in arguments.element)
        file = Path(arguments.bundle if arguments.output is None else arguments.output)
        write_whole(file, bundle.encode(), code="bundle.unwritable", what="the bundle", private=True)
    if arguments.json:
        terminal.write_json(
            [
                {"namespace": namespace, "element": name, "redacted": not there}
                for namespace, name, there in bundle.elements
            ]
        )
    else:
        rows = [
            (terminal.safe(namespace), terminal.safe(name), "" if there else "redacted")
            for namespace, name, there in bundle.elements
        ]
        terminal.write([*terminal.columns(rows), "", f"The seal is as before: {_seal(bundle)}."])
    return 0

"""``mdl reader replay`` and ``redact``: a verdict reached again from its evidence, and less personal data in it."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Final

from mdl.cli import terminal
from mdl.errors import LocalProtocolError, VerificationError
from mdl.keys import PublicKey
from reader.bundle import EvidenceBundle, UnsafeBundleAnchors
from reader.cli import inputs
from reader.cli.verify import as_json, as_lines
from reader.files import write_whole
from reader.trust import TrustStore
from reader.verification import VerifiedDocument

__all__ = ["add_replay"]

_ACCEPTED: Final = 0
_REJECTED: Final = 1


def add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``replay`` and ``redact``."""
    replay = commands.add_parser(
        "replay",
        help="reach a verdict again from its evidence bundle",
        description="Verify the seal of a bundle that 'mdl reader verify --keep' has written, run every check anew on "
        "what it holds, as of its own time, and make sure that the verdict is the one in it, byte for byte. Whoever "
        "made it chose the roots in it: say with --trust whom you trust, or with --key whose bundle it must be. "
        "Without either, no element is shown, and an acceptance is told as not vouched for. Exit status 0 if the "
        "response is accepted and vouched for, 1 if it is refused, not vouched for, or the bundle does not hold, 3 if "
        "it is none.",
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
        type=terminal.argument_file,
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
    if arguments.key is not None:
        pem = terminal.read_input(arguments.key, label="--key")
        with terminal.labelled("--key"):
            key = PublicKey.from_pem(pem)
        if bundle.sealed_by != key:
            msg = "the bundle is not signed by that key"
            raise VerificationError(msg, code="bundle.seal")
    if arguments.trust_doctype and arguments.trust is None:
        msg = "--trust-doctype says for what the roots of --trust are trusted"
        raise LocalProtocolError(msg, code="cli.usage")
    trust: TrustStore | UnsafeBundleAnchors = UnsafeBundleAnchors()
    if arguments.trust is not None:
        trust = inputs.read_trust(arguments, at=bundle.at)
    vouched = arguments.trust is not None or arguments.key is not None
    with terminal.labelled("BUNDLE"):
        report = bundle.replay(trust=trust)
        documents: tuple[VerifiedDocument, ...] = ()
        if report.accepted and vouched:
            documents = bundle.verify(trust=trust).documents
    unvouched = report.accepted and not vouched
    redacted = [(namespace, name) for namespace, name, there in bundle.elements if not there]
    if arguments.json:
        sealed_by = None if bundle.sealed_by is None else _fingerprint(bundle.sealed_by)
        terminal.write_json(
            as_json(report, documents, bundle.at)
            | ({"verdict": "unvouched"} if unvouched else {})
            | {
                "vouched_for": vouched,
                "roots": [{"subject": subject, "sha256": fingerprint} for fingerprint, subject in _roots(bundle)],
                "seal": bundle.commitment.hex(),
                "signed_by": sealed_by,
                "redacted": [{"namespace": namespace, "element": name} for namespace, name in redacted],
            }
        )
    else:
        lines = as_lines(report, documents, bundle.at, full=arguments.full)
        if unvouched:
            lines[-1:] = _unvouched_lines(bundle)
        if redacted:
            lines += ["", "redacted, and not judged again:"]
            lines += terminal.columns(
                [(terminal.safe(space), terminal.safe(name)) for space, name in redacted], indent="  "
            )
        terminal.write([*lines, "", f"The same verdict as then; {_seal(bundle)}."])
    return _ACCEPTED if report.accepted and vouched else _REJECTED


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

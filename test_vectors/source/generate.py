"""Writes the corpus, or compares it: ``python -m test_vectors.source.generate [--check]``.

Everything follows from fixed keys, a fixed clock and seeded entropy, so every run gives the same bytes.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from reader.report import Policy
from reader.trust import TrustAnchor
from reader.verification import UnsafeNoRequest
from test_vectors.source import (
    contents,
    devices,
    encodings,
    honest,
    lists,
    ranges,
    revocation,
    signatures,
    signers,
    trusted,
)
from test_vectors.source.case import Case, Expected
from test_vectors.source.coverage import sources_of
from test_vectors.source.stage import Scene

__all__ = ["CASES", "DIRECTORY", "all_cases", "corpus", "main", "task_of"]

DIRECTORY = Path(__file__).resolve().parents[1] / "cases"
FORMAT = "mdl-sdk-verification-cases"
VERSION = 1

# In the order in which a file lists them: what is refused before what is accepted.
_TABLES = (signers, signatures, revocation, lists, contents, devices, encodings, honest, ranges, trusted)


def all_cases() -> list[Case]:
    """Every case, those that are too bulky for the corpus too."""
    return [case for table in _TABLES for case in table.CASES]


CASES = all_cases()


def _b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _anchors(scene: Scene) -> list[Any]:
    """The anchors: PEM, or PEM with the document types that the anchor is trusted for and its signers' purposes."""
    if scene.reader.trust is None:
        return [anchor.pem for anchor in scene.presentation.anchors]
    return [_anchor(anchor) for anchor in scene.reader.trust]


def _anchor(anchor: TrustAnchor) -> Any:
    limits: dict[str, Any] = {}
    if isinstance(anchor.doctypes, Collection):
        limits["doctypes"] = sorted(anchor.doctypes)
    if anchor.signer_purposes:
        limits["signer_purposes"] = {
            name: sorted(one) if isinstance(one, Collection) else "any" for name, one in anchor.signer_purposes.items()
        }
    if anchor.proof:
        limits["proof"] = [[one.pem for one in pair] for pair in anchor.proof]
    return {"certificate": anchor.certificate.pem} | limits if limits else anchor.certificate.pem


def task_of(case: Case) -> dict[str, Any]:
    """The members of the subject protocol's task, but for its id and its name."""
    scene = case.scene()
    context, request = scene.context, scene.request
    evidence = scene.reader.evidence
    key = scene.reader.ephemeral_key or scene.presentation.reader_key
    return {
        "response": _b64u(scene.response),
        "trust_anchors": _anchors(scene),
        "session_transcript": _b64u(context.transcript.encoded),
        "reader_key": None if scene.reader.without_key else key.to_pkcs8().decode(),
        "request": None if isinstance(request, UnsafeNoRequest) else _b64u(request.encode()),
        "at": scene.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "crls": [_b64u(crl) for crl in evidence.crls],
        "status_tokens": [_b64u(token) for token in evidence.status_tokens],
        "policy": case.policy.value,
        "revocation": scene.reader.revocation.value,
    }


def _expected(expected: Expected) -> dict[str, Any]:
    return {
        "verdict": expected.verdict,
        "failed": sorted(expected.failed),
        "indeterminate": sorted(expected.indeterminate),
    }


def _object(case: Case) -> dict[str, Any]:
    usual = case.expected[case.policy]
    return {
        "id": case.id,
        "title": case.title,
        "clause": case.clause,
        "source": sources_of(case),
        "kind": case.kind.value,
        "breaks": case.breaks,
        "note": case.why,
        "input": task_of(case),
        "expected": _expected(usual),
        "other_policies": [
            {"policy": policy.value, **_expected(case.expected[policy])}
            for policy in Policy
            if case.expected[policy] != usual
        ],
    }


def corpus(cases: Iterable[Case] = CASES) -> dict[str, bytes]:
    """The files of the corpus: name to content."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        if not case.bulky:
            groups.setdefault(case.group, []).append(_object(case))
    return {
        f"{group}.json": json.dumps(
            {"format": FORMAT, "version": VERSION, "group": group, "cases": objects}, indent=1, sort_keys=True
        ).encode("ascii")
        + b"\n"
        for group, objects in sorted(groups.items())
    }


def differences(directory: Path = DIRECTORY) -> list[str]:
    """The files that are not what a new run makes, one missing or too many among them."""
    made = corpus()
    there = {path.name: path.read_bytes() for path in directory.glob("*")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main(arguments: list[str] | None = None) -> int:
    """Write the corpus; with ``--check`` compare it, and tell with the exit status whether it differs."""
    parser = argparse.ArgumentParser(prog="python -m test_vectors.source.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare every byte, write nothing")
    if parser.parse_args(arguments).check:
        found = differences()
        for name in found:
            print(f"test_vectors/cases/{name} is not what the sources make: run `make vectors`", file=sys.stderr)
        return 1 if found else 0
    made = corpus()
    DIRECTORY.mkdir(exist_ok=True)
    for path in DIRECTORY.glob("*.json"):
        if path.name not in made:
            path.unlink()
    for name, content in made.items():
        (DIRECTORY / name).write_bytes(content)
    total = sum(len(content) for content in made.values())
    print(f"{sum(not case.bulky for case in CASES)} cases, {len(made)} files, {total / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

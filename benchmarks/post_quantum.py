"""The post-quantum rehearsal in numbers: sizes and speeds of one licence under P-256 and under ML-DSA.

Root, document signer and, where the line says so, the device have keys of the same kind. Each round measures every line
in turn, so that a machine that slows down slows all of them; what is printed is the median over the rounds, as the
table of docs/explanation/post-quantum-rehearsal.md.

    python benchmarks/post_quantum.py [--rounds N]
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import cryptography

from issuer.certificates import Iaca
from issuer.issuance import CredentialIssuer, Order
from mdl.cbor import Tagged24, wrap24
from mdl.cose import CoseSign1, protected_header, sig_structure
from mdl.keys import EphemeralKey, SoftwareSigner, UnsafePostQuantum
from mdl.mdoc import (
    DeviceResponse,
    DeviceSigned,
    Document,
    IssuerSigned,
    ValidityInfo,
    device_authentication_bytes,
)
from mdl.pki import Subject
from mdl.testing import MDL_DOCTYPE, TEST_TIME, sample_licence, sample_transcript
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier

REHEARSAL = UnsafePostQuantum()
DAY = timedelta(days=1)
READER_KEY = EphemeralKey.generate()
TRANSCRIPT = sample_transcript(READER_KEY.public_key)
CONTEXT = SessionContext(transcript=TRANSCRIPT, reader_key=READER_KEY)
LINES = {
    "P-256": ("P-256", "P-256"),
    "ML-DSA-44": ("ML-DSA-44", "P-256"),
    "ML-DSA-65": ("ML-DSA-65", "P-256"),
    "ML-DSA-44, device too": ("ML-DSA-44", "ML-DSA-44"),
}


@dataclass(frozen=True)
class Line:
    """One kind of key: what it weighs in bytes, and what can be timed."""

    sizes: Mapping[str, int]
    work: Mapping[str, Callable[[], object]]


def prepare(kind: str, device_kind: str) -> Line:
    """Set up an authority, issue a licence, present all of it."""
    authority_key, signer, device_key = (
        SoftwareSigner.generate(name, post_quantum=REHEARSAL) for name in (kind, kind, device_kind)
    )
    iaca = Iaca.create(
        authority_key,
        subject=Subject(country="US", state="US-UT", common_name="Rehearsal IACA"),
        not_before=TEST_TIME - 30 * DAY,
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
        post_quantum=REHEARSAL,
    )
    certificate = iaca.issue_document_signer(
        signer.public_key, common_name="Rehearsal DS", not_before=TEST_TIME - 30 * DAY
    )
    crl = iaca.publish_crl(number=1, this_update=TEST_TIME - DAY, next_update=TEST_TIME + 30 * DAY)
    issuer = CredentialIssuer(signer, certificate, doctype=MDL_DOCTYPE, post_quantum=REHEARSAL)
    order = Order(
        namespaces=sample_licence(),
        device_key=device_key.public_key,
        validity=ValidityInfo(signed=TEST_TIME - DAY, valid_from=TEST_TIME - DAY, valid_until=TEST_TIME + 13 * DAY),
    )
    licence = issuer.issue(order)
    few = {
        name: [item for item in items if b"age_over_18" in item.content] for name, items in licence.name_spaces.items()
    }
    whole = respond(licence, device_key)
    answer = respond(IssuerSigned(few, licence.issuer_auth), device_key)
    trust = TrustStore([TrustAnchor(certificate=iaca.certificate, doctypes=ANY_DOCTYPE)])

    def verifier() -> Verifier:
        return Verifier(trust, policy=Policy.LENIENT, revocation=Revocation.REQUIRED, post_quantum=REHEARSAL)

    def verify(by: Verifier) -> object:
        evidence = Evidence(crls=(crl.der,))
        return by.verify(whole, context=CONTEXT, request=UnsafeNoRequest(), at=TEST_TIME, evidence=evidence)

    known = verifier()
    return Line(
        sizes={
            "public key": len(signer.public_key.point),
            "root certificate": len(iaca.certificate.der),
            "document signer's certificate": len(certificate.der),
            "empty CRL": len(crl.der),
            "signature of the MSO": len(licence.issuer_auth.signature),
            "IssuerSigned, 31 elements, 20 kB portrait": len(licence.encode()),
            "response with one element": len(answer),
        },
        work={
            "issue": lambda: issuer.issue(order),
            "verify, known document signer": lambda: verify(known),
            "verify, unknown document signer": lambda: verify(verifier()),
            "sign 1 kB": lambda: signer.sign(bytes(1024)),
        },
    )


def respond(issued: IssuerSigned, device_key: SoftwareSigner) -> bytes:
    """The encoded DeviceResponse of a device; the holder's simulator does not sign with ML-DSA."""
    empty = Tagged24(b"\xa0", wrap24(b"\xa0"))
    algorithm = device_key.public_key.algorithm_for(REHEARSAL).cose_id
    protected = protected_header(algorithm)
    payload = device_authentication_bytes(TRANSCRIPT, MDL_DOCTYPE, empty.raw)
    signature = CoseSign1(protected, {1: algorithm}, {}, None, device_key.sign(sig_structure(protected, payload)))
    document = Document(MDL_DOCTYPE, issued, DeviceSigned(empty, {}, signature, None))
    return DeviceResponse("1.0", (document,), (), 0).encode()


def measure(lines: Mapping[str, Line], rounds: int, calls: int = 20) -> dict[str, dict[str, float]]:
    """Median microseconds by what is done and by line."""
    figures: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for name, line in lines.items():
            for what, work in line.work.items():
                start = time.perf_counter()
                for _ in range(calls):
                    work()
                elapsed = (time.perf_counter() - start) / calls * 1e6
                figures.setdefault(what, {}).setdefault(name, []).append(elapsed)
    return {what: {name: statistics.median(each) for name, each in row.items()} for what, row in figures.items()}


def table(title: str, rows: Mapping[str, Mapping[str, Any]], write: Callable[[float, float], str]) -> str:
    """A Markdown table; `write` is given a figure and that of P-256."""
    lines = [f"| {title} | {' | '.join(LINES)} |", f"| --- |{' ---: |' * len(LINES)}"]
    for what, row in rows.items():
        cells = [write(row[name], row["P-256"]) for name in LINES]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="default: 9")
    rounds = parser.parse_args().rounds
    lines = {name: prepare(*kinds) for name, kinds in LINES.items()}
    sizes = {what: {name: line.sizes[what] for name, line in lines.items()} for what in lines["P-256"].sizes}
    print(f"Python {platform.python_version()}, cryptography {cryptography.__version__}, {platform.machine()}\n")
    print(table("bytes", sizes, lambda size, _: f"{size:,}"), end="\n\n")
    speeds = measure(lines, rounds)
    print(table("microseconds", speeds, lambda spent, least: f"{spent:,.0f} ({spent / least:.1f} ×)"))


if __name__ == "__main__":
    main()

"""Measure issuing and verifying beside the raw cryptography they rest on, in one run on one core.

The floor is what cannot be saved: the codec and the cryptography themselves, called directly with the same data. Each
round measures the floor's parts and our figures in turn, so that a machine that slows down slows both; what is printed
is the median over the rounds, and ratios are medians of the ratio within a round. Parts of the work that are neither
ours nor counted in any floor are shown beside the floor's.

Warm and cold are two figures. Warm is the processor's time for one call among many like it: the first calls of each
batch are thrown away. Cold is the time on the clock of one call after 0.3 seconds of idling, of ours and of the whole
floor, each the median of some: that is what a reader at a door sees.

Verifying is the whole of it: iso-strict, a device signature, and revocation evidence that is demanded and at hand: the
root's CRL and, where the figure says so, the token of a status list with a million places. Where a figure names many
CRLs or many roots, those of the licence are the last of them.

A hostile response is as long as the reader takes (4 MiB), without a signature that holds: time of the processor and how
far the memory of a process of its own rises while it is refused. 0.5 s and 100 MB are its bounds.

    python benchmarks/run.py [--rounds N] [--json FILE] [--no-hsm]
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from issuer.issuance import CredentialIssuer, Order
from issuer.keystore import (
    Pkcs11Uri,
    SigningProcesses,
    generate_key,
    init_softhsm_token,
    open_signer,
    softhsm_environment,
)
from mdl.cbor import DEFAULT_LIMITS, decode_view, encode, head
from mdl.errors import MdlError
from mdl.keys import PublicKey, Signer, SoftwareSigner
from mdl.mdoc import DeviceResponse, ValidityInfo
from mdl.pki import Certificate
from mdl.status import StatusList, StatusListInfo, StatusReference, build_status_token
from mdl.testing import (
    MDL_DOCTYPE,
    Presentation,
    Recipe,
    ThrowawayAuthority,
    deterministic_key,
    distinguished_name,
    raw,
    throwaway_authority,
)
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, Verifier

ECDSA = ec.ECDSA(hashes.SHA256())
STATUS = StatusReference(status_list=StatusListInfo(index=7, uri="https://lists.throwaway.example/1"))
LIST_SIZE = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, in microseconds, and against which floor."""

    name: str
    microseconds: float
    floor: str
    ratio: float
    cold: float
    cold_floor: float


# Calls at the beginning of a batch that are thrown away: the batch before has pushed this one's data out of the caches.
_DISCARDED = 4
_IDLE = 0.3


def _time(work: Callable[[], object], calls: int) -> float:
    """Microseconds of the processor for one call, over a batch of calls whose first ones do not count."""
    for _ in range(_DISCARDED):
        work()
    start = time.process_time()
    for _ in range(calls):
        work()
    return (time.process_time() - start) / calls * 1e6


def cold(parts: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Microseconds on the clock of one call after some idling, the median over the rounds."""
    figures: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, work in parts.items():
            time.sleep(_IDLE)
            start = time.perf_counter()
            work()
            figures[name].append((time.perf_counter() - start) * 1e6)
    return {name: statistics.median(values) for name, values in figures.items()}


def measure(parts: dict[str, Callable[[], object]], rounds: int, batch: float = 10_000.0) -> dict[str, list[float]]:
    """Measure every part once a round, in batches of about `batch` microseconds."""
    for work in parts.values():
        _time(work, 20)  # first calls import, allocate and fill caches
    calls = {name: max(4, int(batch / max(_time(work, 20), 0.1))) for name, work in parts.items()}
    figures: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, work in parts.items():
            figures[name].append(_time(work, calls[name]))
    return figures


LARGE = ", 300 kB portrait"


def floor_parts(presentation: Presentation, order: Order, large: Presentation) -> dict[str, Callable[[], object]]:
    """The floor's parts, each called directly on the same data; `large` is the same licence with a large portrait."""
    big_document = DeviceResponse.decode(large.response).documents[0]
    big = [item for items in big_document.issuer_signed.name_spaces.values() for item in items]
    document = DeviceResponse.decode(presentation.response).documents[0]
    contents = [item.content for items in document.issuer_signed.name_spaces.values() for item in items]
    raws = [item.raw for items in document.issuer_signed.name_spaces.values() for item in items]
    values = [cbor2.loads(content) for content in contents]
    plain = [
        {"digestID": index, "random": bytes(32), "elementIdentifier": name, "elementValue": value}
        for elements in order.namespaces.values()
        for index, (name, value) in enumerate(_plain(elements).items())
    ]
    assert len(plain) == len(values) == 31
    mso_payload = document.issuer_signed.issuer_auth.payload or b""
    mso = cbor2.loads(cbor2.loads(mso_payload).value)
    key = ec.generate_private_key(ec.SECP256R1())
    message = bytes(len(mso_payload) + 20)
    signature = key.sign(message, ECDSA)
    public = key.public_key()
    point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    curve = ec.SECP256R1()
    sizes = [len(content) for content in contents]
    return {
        "encode 31 items": lambda: [cbor2.dumps(item) for item in plain],
        "wrap 31 items in tag 24": lambda: [
            b"\xd8\x18" + head(2, size) + content for size, content in zip(sizes, contents, strict=True)
        ],
        "SHA-256 of 31 items": lambda: [hashlib.sha256(raw).digest() for raw in raws],
        "randomness, 1 kB": lambda: os.urandom(1024),
        "encode the MSO": lambda: cbor2.dumps(mso),
        "P-256 sign": lambda: key.sign(message, ECDSA),
        "P-256 verify": lambda: public.verify(signature, message, ECDSA),
        "decode the response": lambda: cbor2.loads(presentation.response),
        "decode 31 items": lambda: [cbor2.loads(content) for content in contents],
        f"SHA-256 of 31 items{LARGE}": lambda: [hashlib.sha256(item.raw).digest() for item in big],
        f"decode the response{LARGE}": lambda: cbor2.loads(large.response),
        f"decode 31 items{LARGE}": lambda: [cbor2.loads(item.content) for item in big],
        "in no floor: decode the MSO": lambda: cbor2.loads(cbor2.loads(mso_payload).value),
        "in no floor: load the device key": lambda: ec.EllipticCurvePublicKey.from_encoded_point(curve, point),
    }


FLOORS: dict[str, dict[str, int]] = {
    "issue": {
        "encode 31 items": 1,
        "wrap 31 items in tag 24": 1,
        "SHA-256 of 31 items": 1,
        "randomness, 1 kB": 1,
        "encode the MSO": 1,
        "P-256 sign": 1,
    },
    "issue and verify the signature": {
        "encode 31 items": 1,
        "wrap 31 items in tag 24": 1,
        "SHA-256 of 31 items": 1,
        "randomness, 1 kB": 1,
        "encode the MSO": 1,
        "P-256 sign": 1,
        "P-256 verify": 1,
    },
    "verify": {"decode the response": 1, "decode 31 items": 1, "SHA-256 of 31 items": 1, "P-256 verify": 2},
    "verify, unknown signer": {
        "decode the response": 1,
        "decode 31 items": 1,
        "SHA-256 of 31 items": 1,
        "P-256 verify": 3,
    },
    f"verify{LARGE}": {
        f"decode the response{LARGE}": 1,
        f"decode 31 items{LARGE}": 1,
        f"SHA-256 of 31 items{LARGE}": 1,
        "P-256 verify": 2,
    },
}


def whole_floor(parts: Mapping[str, Callable[[], object]], name: str) -> Callable[[], None]:
    """All parts of a floor in one call, each as often as it counts."""
    calls = [parts[part] for part, count in FLOORS[name].items() for _ in range(count)]

    def run() -> None:
        for call in calls:
            call()

    return run


def _plain(elements: Mapping[str, Any]) -> dict[str, Any]:
    """Element values as the CBOR library itself would take them."""
    return {name: cbor2.loads(encode(value)) for name, value in elements.items()}


def sample_order(recipe: Recipe) -> Order:
    """The order for the sample licence: 31 elements, a portrait of 20 kB."""
    validity = ValidityInfo(signed=recipe.at, valid_from=recipe.at, valid_until=recipe.at + timedelta(days=29))
    return Order(
        namespaces=recipe.namespaces,
        device_key=SoftwareSigner.generate("P-256").public_key,
        validity=validity,
    )


def sample_status_token(authority: ThrowawayAuthority, recipe: Recipe) -> bytes:
    """The token of the status list that `STATUS` names, by a list signer of the authority's."""
    key = deterministic_key("list signer")
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key.key)
    certificate = authority.ds_recipe.with_changes(
        subject=distinguished_name(C="US", ST="US-UT", CN="Throwaway list signer"),
        public_key=key.public_key,
        extensions={"ski": (ski, False), "eku": None, "ian": None, "crldp": None},
    )
    info = STATUS.lists[0]
    return build_status_token(
        StatusList.of(LIST_SIZE, {3: 1}),
        key,
        uri=info.uri,
        issued_at=recipe.at - timedelta(hours=1),
        expires=recipe.at + timedelta(days=1),
        x5chain=[certificate.build()],
    )


@dataclass(frozen=True)
class Reader:
    """A verifier with the evidence at hand, and the licences that are presented to it in turn."""

    verifier: Verifier
    evidence: Evidence
    given: tuple[Presentation, ...]

    def works(self) -> Callable[[], None]:
        """Verify the next licence."""
        turns = cycle((one, SessionContext(transcript=one.transcript, reader_key=one.reader_key)) for one in self.given)

        def verify() -> None:
            one, context = next(turns)
            self.verifier.verify(one.response, context=context, request=one.request, at=one.at, evidence=self.evidence)

        return verify


def reader_of(
    authorities: Sequence[ThrowawayAuthority],
    *given: Presentation,
    tokens: tuple[bytes, ...] = (),
    crls: tuple[bytes, ...] = (),
) -> Reader:
    """A reader that trusts these authorities, and has their CRLs and more at hand."""
    trust = TrustStore.from_certificates([root for one in authorities for root in one.anchors], doctypes=ANY_DOCTYPE)
    verifier = Verifier(trust, policy=Policy.ISO_STRICT, revocation=Revocation.REQUIRED)
    evidence = Evidence(crls=(*crls, *(one.crl() for one in authorities)), status_tokens=tokens)
    return Reader(verifier, evidence, given)


def readers(presentation: Presentation, without_status: Presentation, large: Presentation) -> dict[str, Reader]:
    """What verifies a licence of a known signer, and what else it has at hand."""
    recipe = Recipe(mso_status=STATUS.to_cbor())
    house = recipe.authority
    token = sample_status_token(house, recipe)
    others = [ThrowawayAuthority(f"Other {number}") for number in range(999)]
    nine = [*others[:8], house]
    turns = [Recipe(authority=one).present() for one in nine]
    return {
        "verify, known signer, CRL": reader_of([house], without_status),
        "verify, known signer, CRL and status list": reader_of([house], presentation, tokens=(token,)),
        "verify, 300 kB portrait, known signer, CRL": reader_of([house], large),
        "verify, 301 CRLs at hand": reader_of([house], without_status, crls=tuple(one.crl() for one in others[:300])),
        "verify, 9 roots and their CRLs, in turn": reader_of(nine, *turns),
        "verify, 10 roots and their CRLs": reader_of([*others[:9], house], without_status),
        "verify, 1,000 roots and their CRLs": reader_of([*others, house], without_status),
    }


def software(rounds: int, cold_rounds: int) -> tuple[dict[str, float], list[Figure]]:
    """Issue and verify with keys in memory."""
    recipe = Recipe(mso_status=STATUS.to_cbor())
    presentation, without_status = recipe.present(), Recipe().present()
    licence = {namespace: dict(elements) for namespace, elements in recipe.namespaces.items()}
    licence["org.iso.18013.5.1"]["portrait"] = bytes(300_000)
    large = Recipe(namespaces=licence).present()
    authority = recipe.authority
    order = sample_order(recipe)
    issuer = CredentialIssuer(authority.ds_key, authority.ds_certificate, doctype=MDL_DOCTYPE)
    unknown = reader_of([authority], presentation, tokens=(sample_status_token(authority, recipe),))
    verify_with_unknown = unknown.works()

    def verify_unknown() -> None:
        unknown.verifier._signers.clear()  # noqa: SLF001 - a document signer that was never met
        verify_with_unknown()

    ours: dict[str, tuple[Callable[[], object], str]] = {
        "issue: prepare (without signing)": (lambda: issuer.prepare(order), "issue"),
        "issue (signed and verified, encoded)": (lambda: issuer.issue(order).encode(), "issue"),
        "issue, against the floor with verify": (
            lambda: issuer.issue(order).encode(),
            "issue and verify the signature",
        ),
        "verify, unknown signer, CRL and status list": (verify_unknown, "verify, unknown signer"),
        "decode_view of the response": (lambda: decode_view(presentation.response), "verify"),
    }
    for name, reader in readers(presentation, without_status, large).items():
        ours[name] = (reader.works(), f"verify{LARGE}" if LARGE in name else "verify")
    parts = floor_parts(presentation, order, large)
    figures = measure(parts | {name: work for name, (work, _) in ours.items()}, rounds)
    floor = {
        name: [sum(figures[part][i] * count for part, count in weights.items()) for i in range(rounds)]
        for name, weights in FLOORS.items()
    }
    floors = {f"floor: {name}": whole_floor(parts, name) for name in FLOORS}
    idle = cold(floors | {name: work for name, (work, _) in ours.items()}, cold_rounds)
    table = [
        Figure(
            name,
            statistics.median(figures[name]),
            against,
            statistics.median(mine / base for mine, base in zip(figures[name], floor[against], strict=True)),
            idle[name],
            idle[f"floor: {against}"],
        )
        for name, (_, against) in ours.items()
    ]
    medians = {name: statistics.median(figures[name]) for name in parts}
    medians |= {f"floor: {name}": statistics.median(values) for name, values in floor.items()}
    return medians, table


# --- hostile responses ------------------------------------------------------------------------------------------------

MOST_SECONDS = 0.5
MOST_MEGABYTES = 100.0


def hostile_responses() -> dict[str, bytes]:
    """Responses of 4 MiB that are all in the items: made to cost the reader much, by somebody who has no key at all."""

    def response(value: bytes) -> bytes:
        """As many items with that value as there is room for."""
        room = DEFAULT_LIMITS.max_bytes - 8192
        count = min(room // (len(value) + 2 * 48 + 40), DEFAULT_LIMITS.max_entries)
        elements = {f"e{number}": raw(value) for number in range(count)}
        return Recipe(namespaces={"org.iso.18013.5.1": elements}, issuer_signature=bytes(64)).present().response

    tags = head(4, 380) + (b"\xc7" * 19 + b"\x00") * 380
    return {
        "items of tags, 19 deep": response(tags),
        "items of small integers": response(head(4, 8000) + bytes(8000)),
        "items of empty maps": response(head(4, 8000) + b"\xa0" * 8000),
        "items of maps": response(
            head(5, 250) + b"".join(encode(f"k{number}") + b"\xa1\x00\x00" for number in range(250))
        ),
        "as many items as one namespace can have": response(encode(bytes(350))),
    }


def examine_once(file: Path) -> dict[str, float]:
    """Refuse the response in a file, and tell the seconds of the processor and the rise of the peak of memory in MB."""
    honest = Recipe().present()
    verify = reader_of([throwaway_authority()], honest)
    verify.works()()
    response = file.read_bytes()
    context = SessionContext(transcript=honest.transcript, reader_key=honest.reader_key)
    unit = 1 if sys.platform == "darwin" else 1024
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        refused = not verify.verifier.examine(
            response, context=context, request=honest.request, at=honest.at, evidence=verify.evidence
        ).accepted
    except MdlError:
        refused = True
    seconds = time.process_time() - start
    assert refused
    rise = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit / 1e6
    return {"seconds": seconds, "megabytes": rise}


def hostile() -> list[dict[str, Any]]:
    """What each hostile response costs, in a process of its own, as only so the peak of memory is its own."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mdl-bench-") as folder:
        file = Path(folder) / "response"
        for name, response in hostile_responses().items():
            file.write_bytes(response)
            command = [sys.executable, __file__, "--examine", str(file)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append({"what": name, "bytes": len(response), **json.loads(done.stdout)})
    return rows


# --- memory -----------------------------------------------------------------------------------------------------------


def _resident() -> float:
    """Memory of this process in MB: what it holds now, or, where the system does not say, the most it ever held."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def memory(signers: int, batch: int = 100) -> list[dict[str, Any]]:
    """What one verifier holds after more and more document signers, each of which it has never met before."""
    authority = throwaway_authority()
    verifier = Verifier(
        TrustStore.from_certificates(authority.anchors, doctypes=ANY_DOCTYPE),
        policy=Policy.ISO_STRICT,
        revocation=Revocation.REQUIRED,
    )
    evidence = Evidence(crls=(authority.crl(),))
    rows: list[dict[str, Any]] = []
    for start in range(0, signers, batch):
        chains = [authority.deviant_ds(serial=1 + start + number) for number in range(batch)]

        def multiply(response: dict[str, Any], chains: list[bytes] = chains) -> None:
            """One document many times, each time under another certificate of the signer's."""
            (document,) = response["documents"]
            signed = document["issuerSigned"]
            protected, _, payload, signature = signed["issuerAuth"]
            response["documents"] = [
                document | {"issuerSigned": signed | {"issuerAuth": [protected, {33: der}, payload, signature]}}
                for der in chains
            ]

        given = Recipe(namespaces=_SMALL, mutate_response=multiply).present()
        context = SessionContext(transcript=given.transcript, reader_key=given.reader_key)
        verifier.verify(given.response, context=context, request=given.request, at=given.at, evidence=evidence)
        met = start + batch
        if met == batch or met % 1000 == 0:
            remembered = len(verifier._signers)  # noqa: SLF001
            rows.append({"signers": met, "remembered": remembered, "megabytes": _resident()})
    return rows


_SMALL = {"org.iso.18013.5.1": {"age_over_18": True}}


# --- the token --------------------------------------------------------------------------------------------------------


class _Distant:
    """The token's signer with the latency of a networked HSM put in front of each call."""

    def __init__(self, signer: Signer, seconds: float) -> None:
        self._signer = signer
        self._seconds = seconds

    @property
    def public_key(self) -> PublicKey:
        return self._signer.public_key

    def sign(self, data: bytes) -> bytes:
        time.sleep(self._seconds)
        return self._signer.sign(data)


def _rate(work: Callable[[], object], seconds: float, each: int = 1) -> float:
    """How many a second over about `seconds`, where one call of `work` makes `each`."""
    work()
    done, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        work()
        done += each
    return done / elapsed


def _threads(work: Callable[[], object], count: int, calls: int) -> Callable[[], None]:
    def loop() -> None:
        for _ in range(calls):
            work()

    def run() -> None:
        threads = [threading.Thread(target=loop) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def token(seconds: float) -> list[dict[str, Any]]:
    """Sign rates through a SoftHSM token: the signer alone, and through a CredentialIssuer."""
    rows: list[dict[str, Any]] = []
    order = sample_order(Recipe())
    pin = os.urandom(8).hex()

    def secret(_prompt: str) -> str:
        return pin

    def row(what: str, raw: float, issued: float) -> None:
        rows.append({"what": what, "signatures": raw, "credentials": issued, "ratio": issued / raw})

    with tempfile.TemporaryDirectory(prefix="mdl-bench-") as folder, ExitStack() as stack:
        uri = init_softhsm_token(folder, "bench", so_pin=pin, user_pin=pin)
        os.environ.update(softhsm_environment(folder))
        for curve in ("P-256", "brainpoolP256r1", "P-384"):
            key_uri = Pkcs11Uri.parse(uri).for_key(f"ds-{curve}")
            generate_key(key_uri, curve, secret=secret)
            signer = stack.enter_context(open_signer(key_uri, secret=secret))
            issuer = _token_issuer(signer, signer)
            payload = issuer.prepare(order).to_be_signed
            signing, issuing = partial(signer.sign, payload), partial(issuer.issue, order)
            row(f"{curve}, 1 session in this process", _rate(signing, seconds), _rate(issuing, seconds))
            if curve == "P-256":
                distant = _Distant(signer, 0.005)
                issuer_afar = _token_issuer(distant, signer)
                signing, issuing = partial(distant.sign, payload), partial(issuer_afar.issue, order)
                row(
                    "P-256, 4 threads, 5 ms of network before each call",
                    _rate(_threads(signing, 4, 20), seconds, 80),
                    _rate(_threads(issuing, 4, 20), seconds, 80),
                )
            with SigningProcesses(key_uri, secret=secret, processes=1) as processes:
                batch, orders = [payload] * 512, [order] * 512
                row(
                    f"{curve}, 1 session in a process of its own, batches",
                    _rate(partial(processes.sign_many, batch), seconds, 512),
                    _rate(lambda: [*issuer.issue_many(orders, processes.sign_many)], seconds, 512),  # noqa: B023
                )
    return rows


def _token_issuer(signer: Signer, certified: Signer) -> CredentialIssuer:
    """An issuer whose document signer certificate is for the token's key."""
    recipe = throwaway_authority().ds_recipe.with_changes(public_key=certified.public_key)
    ski = x509.SubjectKeyIdentifier.from_public_key(certified.public_key.key)
    recipe = recipe.with_changes(extensions={"ski": (ski, False)})
    return CredentialIssuer(signer, Certificate.decode(recipe.build()), doctype=MDL_DOCTYPE)


def main() -> int:
    """Run the benchmark and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each rate of the token")
    parser.add_argument("--signers", type=int, default=3000, help="different document signers for the memory figure")
    parser.add_argument("--json", type=Path, default=Path(".bench/bench.json"))
    parser.add_argument("--no-hsm", action="store_true")
    parser.add_argument("--cold-rounds", type=int, default=9, help="calls after idling, of each (default: %(default)s)")
    parser.add_argument("--examine", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.examine is not None:
        print(json.dumps(examine_once(arguments.examine)))
        return 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    medians, table = software(arguments.rounds, arguments.cold_rounds)
    print(f"{'floor, part by part, warm':<52}{'µs':>9}")
    for name, value in medians.items():
        print(f"  {name:<50}{value:>9.1f}")
    print(f"\n{'':<52}{'warm':>9}{'':>9}{'':>8}{'  cold':>9}")
    print(f"{'ours, one core':<52}{'µs':>9}{'floor':>9}{'ratio':>8}{'µs':>9}{'floor':>9}{'ratio':>8}")
    for figure in table:
        base = medians["floor: " + figure.floor]
        print(
            f"  {figure.name:<50}{figure.microseconds:>9.1f}{base:>9.1f}{figure.ratio:>8.2f}"
            f"{figure.cold:>9.0f}{figure.cold_floor:>9.0f}{figure.cold / figure.cold_floor:>8.2f}"
        )
    print(f"\n{'hostile responses, without a key':<52}{'bytes':>10}{'s':>8}{'MB':>8}")
    costs = hostile()
    for cost in costs:
        over = cost["seconds"] > MOST_SECONDS or cost["megabytes"] > MOST_MEGABYTES
        note = "  over the bound" if over else ""
        print(f"  {cost['what']:<50}{cost['bytes']:>10}{cost['seconds']:>8.2f}{cost['megabytes']:>8.1f}{note}")
    print(f"\n{'one verifier, all signers different':<52}{'remembered':>12}{'MB':>8}")
    held = memory(arguments.signers)
    for entry in held:
        print(f"  after {entry['signers']:<44}{entry['remembered']:>12}{entry['megabytes']:>8.1f}")
    rows: list[dict[str, Any]] = []
    if not arguments.no_hsm:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, range(os.cpu_count() or 1))
        rows = token(arguments.seconds)
        print(f"\n{'SoftHSM token':<56}{'signatures/s':>13}{'credentials/s':>14}{'ratio':>8}")
        for entry in rows:
            print(
                f"  {entry['what']:<54}{entry['signatures']:>13.0f}{entry['credentials']:>14.0f}{entry['ratio']:>8.2f}"
            )
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    result = {"floor": medians, "ours": [asdict(figure) for figure in table], "hostile": costs}
    result |= {"memory": held, "token": rows}
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\nwritten to {arguments.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

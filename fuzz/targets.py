"""What is fuzzed, and what must hold for any bytes: a value or an `MdlError`, and never more than was issued.

Each target takes bytes and raises only where something is wrong with us. Beside the invariant itself the targets know
what is true: the two CBOR readers agree; what is read and written again reads the same; an accepted response shows
nothing that was not issued; revocation evidence that nobody signed clears nobody, and is not kept; no list is accepted
that its provider did not sign.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from mdl import pki
from mdl.cbor import decode, decode_view, diagnose, encode
from mdl.cose import decode_sign1
from mdl.errors import MdlError
from mdl.mdoc import DeviceRequest, DeviceResponse, IssuerSigned, MobileSecurityObject, SessionTranscript
from mdl.pki import Certificate, Crl, Profile, lint_certificate, lint_crl
from mdl.status import StatusToken
from mdl.testing import DeviceAuth, Presentation, Recipe, throwaway_authority
from mdl.vical import Vical
from reader.bundle import EvidenceBundle, UnsafeBundleAnchors, examine_and_keep
from reader.evidence import EvidenceStore, Need, needs_of
from reader.fetching import EvidenceKind
from reader.report import CHECKS, Outcome, Policy, Revocation
from reader.revocation import Evidence
from reader.subject import ReaderSubject
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.trust_file import TrustFile
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from reader.vical import NOTHING_ACCEPTED, examine_vical, import_vical
from tests.status_forgery import URI, Token
from tests.vical_forgery import AT as _AT
from tests.vical_forgery import authority, forge, info, provider

__all__ = ["TARGETS", "FindingError", "Target", "seeds"]

Target = Callable[[bytes], None]

_CASES: Final = Path(__file__).parent.parent / "test_vectors" / "cases"
_HOUSE: Final = throwaway_authority()
_HONEST: Final = Recipe(mso_status={"status_list": {"idx": 7, "uri": "https://lists.throwaway.example/1"}}).present()
_TRUST: Final = TrustStore.from_certificates(_HOUSE.anchors, doctypes=ANY_DOCTYPE)
_CRL: Final = _HOUSE.crl()
_PROFILES: Final = tuple(one for one in vars(pki).values() if isinstance(one, Profile))
_VERIFIERS: Final = [Verifier(_TRUST, policy=policy, revocation=Revocation.IF_GIVEN) for policy in Policy]
_SUBJECT: Final = ReaderSubject()
_TOKEN: Final = Token().build()
_NEEDS: Final = (
    Need(kind=EvidenceKind.CRL, urls=("http://pki.example/crl",), issuers=(_HOUSE.iaca_certificate,)),
    Need(kind=EvidenceKind.STATUS_LIST, urls=(URI,), issuers=(_HOUSE.iaca_certificate,)),
)


_PROVIDER: Final = next(iter(provider().pinned()))
_LISTS: Final = (
    forge(info(authority().iaca_certificate)),
    forge(info(authority().iaca_certificate), info(authority("Alaska", "US-AK").iaca_certificate)),
    forge(info(authority().iaca_certificate, certificateProfile=[""], stateOrProvinceName="")),
    forge(),
)
_SIGNED_LISTS: Final = frozenset(decode_sign1(decode_view(one)).payload for one in _LISTS)
_EVIDENCE_MAGIC: Final = b"mdl evidence 1\n"
_BUNDLE_MAGIC: Final = b"mdl evidence bundle 1\n"


class FindingError(Exception):
    """Something that must hold does not."""


def _must(holds: object, what: str) -> None:
    if not holds:
        raise FindingError(what)


def _same(one: Any, other: Any) -> bool:
    """Whether two decoded values are equal; NaN is equal to itself here."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other):
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return [*one] == [*other] and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if type(one).__name__ == "Tag" and type(other).__name__ == "Tag":
        return bool(one.number == other.number) and _same(one.value, other.value)
    return type(one) is type(other) and bool(one == other)


def _cbor(data: bytes) -> None:
    try:
        value = decode_view(data, keep_raw=False)
    except MdlError:
        value = FindingError
    try:
        _must(_same(decode(data), value), "two readers give two values")
    except MdlError:
        _must(value is FindingError, "one reader accepts what the other refuses")
        return
    diagnose(value, longest=4)
    _must(_same(decode(encode(value)), value), "what was encoded reads otherwise")
    with suppress(MdlError):
        decode_view(data)


def _mdoc(data: bytes) -> None:
    with suppress(MdlError):
        response = DeviceResponse.decode(data)
        _must(DeviceResponse.decode(response.encode()).documents == response.documents, "a response reads otherwise")
        needs_of(data, _TRUST)
    with suppress(MdlError):
        request = DeviceRequest.decode(data)
        _must(DeviceRequest.decode(request.encode()) == request, "a request reads otherwise")
    with suppress(MdlError):
        signed = IssuerSigned.decode(data)
        _must(IssuerSigned.decode(signed.encode()) == signed, "what an issuer signed reads otherwise")
    with suppress(MdlError):
        mso = MobileSecurityObject.decode(data)
        for read in (lambda: mso.validity, lambda: mso.device_public_key):
            with suppress(MdlError):
                read()
    with suppress(MdlError):
        SessionTranscript(data)


def _certificate(data: bytes) -> None:
    with suppress(MdlError):
        certificate = Certificate.decode_any(data)
        for profile in _PROFILES:
            lint_certificate(certificate, profile, issuer=_HOUSE.iaca_certificate)
        str(certificate.subject)
        str(certificate.issuer)
        with suppress(MdlError):
            certificate.verify_signature(_HOUSE.iaca_certificate.public_key)
    with suppress(MdlError):
        pki.decode_csr(data)


def _crl(data: bytes) -> None:
    with suppress(MdlError):
        crl = Crl.decode_any(data)
        lint_crl(crl, issuer=_HOUSE.iaca_certificate)
        crl.is_revoked(1)
    if data:
        _evidence(Evidence(crls=(data,)), "issuer_auth.certificate_revocation")


def _token(data: bytes) -> None:
    with suppress(MdlError):
        StatusToken.decode(data).decode_list()
    _evidence(Evidence(status_tokens=(data,)), "mso.status")


def _evidence(evidence: Evidence, check: str) -> None:
    report = _VERIFIERS[0].examine(_HONEST.response, **_case(_HONEST), evidence=evidence)
    if any(one.id == check and one.outcome is Outcome.PASSED for one in report):
        signed = {_signed(data) for data in (*evidence.crls, *evidence.status_tokens)}
        _must(signed <= _signed_evidence(), "evidence that nobody has signed clears somebody")


def _signed(evidence: bytes) -> bytes:
    """The part of a revocation list or status token that its signature is over, and the signature."""
    with suppress(MdlError):
        return Crl.decode_any(evidence).der
    message = StatusToken.decode(evidence).message
    return message.protected + (message.payload or b"") + message.signature


@cache
def _signed_evidence() -> frozenset[bytes]:
    """All evidence of the corpus, whether its signature is good or not."""
    found = {_signed(_CRL), _signed(_TOKEN)}
    for case in _cases():
        for text in (*case["input"]["crls"], *case["input"]["status_tokens"]):
            with suppress(MdlError):
                found.add(_signed(_octets(text)))
    return frozenset(found)


def _case(presentation: Presentation) -> dict[str, Any]:
    context = SessionContext(transcript=presentation.transcript, reader_key=presentation.reader_key)
    return {"context": context, "request": UnsafeNoRequest(), "at": presentation.at}


def _examine(data: bytes) -> None:
    for verifier in _VERIFIERS:
        try:
            report = verifier.examine(data, **_case(_HONEST))
        except MdlError:
            continue
        _must({check.id for check in report} <= CHECKS.keys(), "a check that nobody knows")
        if report.accepted:
            _must(verifier.verify(data, **_case(_HONEST)).documents, "accepted, and nothing to show for it")
            _must(_issued().issuperset(_shown(data)), "something was accepted that was not issued")
    with suppress(MdlError):
        examine_and_keep(_VERIFIERS[0], data, **_case(_HONEST)).encode()


def _shown(response: bytes) -> Iterable[tuple[str, str, bytes]]:
    """Namespace, identifier and encoded value of all that a response shows, whoever signed it."""
    for document in DeviceResponse.decode(response).documents:
        for namespace, identifier, value in document.issuer_signed.elements():
            yield namespace, identifier, encode(value)
        if document.device_signed is not None:
            for namespace, elements in document.device_signed.name_spaces.items():
                for identifier, value in elements.items():
                    yield namespace, identifier, encode(value)


def _vical(data: bytes) -> None:
    with suppress(MdlError):
        list(Vical.decode(data).deviations)
    case: dict[str, Any] = {"providers": TrustStore([_PROVIDER]), "accepted": NOTHING_ACCEPTED, "at": _AT}
    with suppress(MdlError):
        if examine_vical(data, **case).accepted:
            signed = decode_sign1(decode_view(data)).payload
            _must(signed in _SIGNED_LISTS, "a list that its provider did not sign is accepted")
    with suppress(MdlError):
        _must(import_vical(data, **case).anchors, "imported, and nothing to show for it")


def _evidence_file(data: bytes) -> None:
    """The bytes as a whole file, and as what a checksum that fits stands before."""
    for content in (data, _EVIDENCE_MAGIC + hashlib.sha256(data).digest() + data):
        with suppress(MdlError):
            store = EvidenceStore.decode(content, _TRUST)
            again = EvidenceStore.decode(store.encode(), _TRUST)
            for needs in (None, needs_of(_HONEST.response, _TRUST)):
                held = store.evidence(needs, at=_HONEST.at)
                kept = {*held.crls, *held.status_tokens}
                _must({_signed(one) for one in kept} <= _signed_evidence(), "evidence that nobody signed is kept")
                other = again.evidence(needs, at=_HONEST.at)
                _must(kept == {*other.crls, *other.status_tokens}, "an evidence file reads otherwise")


def _trust_file(data: bytes) -> None:
    with suppress(MdlError):
        file = TrustFile.decode(data)
        _must(TrustFile.decode(file.encode()) == file, "a trust file reads otherwise")
        found = file.assemble(at=_AT)
        _must(
            {one.certificate for one in found.given} <= {one.certificate for one in file.roots}, "a root from nowhere"
        )
        for held in file.vicals:
            _vical(held.data)
        found.store()


def _bundle(data: bytes) -> None:
    """The bytes as a whole file, and as parts under a seal that fits."""
    for content in (data, _sealed(data)):
        with suppress(MdlError):
            bundle = EvidenceBundle.decode(content)
            _must(EvidenceBundle.decode(bundle.encode()).commitment == bundle.commitment, "a bundle reads otherwise")
            with suppress(MdlError):
                bundle.replay(trust=UnsafeBundleAnchors())
            with suppress(MdlError):
                verified = bundle.verify(trust=_TRUST, policy=Policy.LENIENT)
                shown = {
                    (namespace, identifier, encode(value))
                    for document in verified.documents
                    for spaces in (document.elements, document.device_elements)
                    for namespace, elements in spaces.items()
                    for identifier, value in elements.items()
                }
                _must(_issued() >= shown, "a bundle proves something that was not issued")


def _sealed(data: bytes) -> bytes:
    """The parts of a bundle under the hash that goes with them; where there are none, the bytes as they are."""
    try:
        pieces, rest, _ = decode(data.removeprefix(_BUNDLE_MAGIC))
        commitments: list[Any] = []
        for index, piece in enumerate(pieces):
            if isinstance(piece, list):
                namespace, identifier, raw, digest = piece
                digest = digest if raw is None else hashlib.sha256(raw).digest()
                pieces[index] = [namespace, identifier, raw, digest]
                commitments.append([namespace, identifier, digest])
            else:
                commitments.append(hashlib.sha256(piece).digest())
        seal = hashlib.sha256(_BUNDLE_MAGIC + encode([commitments, hashlib.sha256(rest).digest()])).digest()
        return _BUNDLE_MAGIC + encode([pieces, rest, seal])
    except (MdlError, TypeError, ValueError):
        return data


def _subject(data: bytes) -> None:
    answer = _SUBJECT.answer(data)
    _must(answer["verdict"] in ("accept", "reject", "unsupported", "error"), "no verdict")
    _must(answer.get("message") != "the task could not be carried out", "a task that failed in an unforeseen way")
    json.dumps(answer)


TARGETS: Final[Mapping[str, Target]] = {
    "cbor": _cbor,
    "mdoc": _mdoc,
    "examine": _examine,
    "certificate": _certificate,
    "crl": _crl,
    "status-token": _token,
    "vical": _vical,
    "evidence-file": _evidence_file,
    "trust-file": _trust_file,
    "bundle": _bundle,
    "subject": _subject,
}


# --- seeds ------------------------------------------------------------------------------------------------------------


def _octets(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@cache
def _cases() -> tuple[dict[str, Any], ...]:
    files = sorted(_CASES.glob("*.json"))
    return tuple(case for file in files for case in json.loads(file.read_text("utf-8"))["cases"])


@cache
def _issued() -> frozenset[tuple[str, str, bytes]]:
    """All that is accepted of the corpus as it stands; whether rightly, its own tests say."""
    found = set(_shown(_HONEST.response))
    for case in _cases():
        response = _octets(case["input"]["response"])
        for verifier in _VERIFIERS:
            with suppress(MdlError):
                if verifier.examine(response, **_case(_HONEST)).accepted:
                    found.update(_shown(response))
                    break  # a response shows the same to every policy
    return frozenset(found)


def _seeds() -> Iterable[tuple[str, bytes]]:
    """Target and bytes, from our corpus of cases and from what it does not hold."""
    for case in _cases():
        given = case["input"]
        response = _octets(given["response"])
        yield from (("cbor", response), ("mdoc", response), ("examine", response))
        yield "subject", json.dumps({"id": "1", "task": "verify", **given}).encode()
        if given.get("request"):
            yield "mdoc", _octets(given["request"])
        for crl in given.get("crls", ()):
            yield "crl", _octets(crl)
        for token in given.get("status_tokens", ()):
            yield from (("status-token", _octets(token)), ("cbor", _octets(token)))
        for anchor in given.get("trust_anchors", ()):
            yield "certificate", (anchor if isinstance(anchor, str) else anchor["certificate"]).encode()
    yield from (("examine", _HONEST.response), ("mdoc", _HONEST.response))
    yield from (("certificate", one.der) for one in (_HOUSE.iaca_certificate, _HOUSE.ds_certificate))
    yield "crl", _CRL
    yield from (("vical", one) for one in _LISTS)
    evidence = EvidenceStore()
    for need, one in zip(_NEEDS, (_CRL, _TOKEN), strict=True):
        evidence.add(need, need.urls[0], one, at=_HONEST.at)
    body = evidence.encode()[len(_EVIDENCE_MAGIC) + hashlib.sha256().digest_size :]
    yield from (("evidence-file", body), ("cbor", body))
    trust = TrustFile()
    for root in (_HOUSE.iaca_certificate, authority().iaca_certificate):
        trust = trust.with_root(root, doctypes=ANY_DOCTYPE, at=_AT)
    yield "trust-file", trust.encode()
    yield "trust-file", trust.with_vical(_LISTS[1], provider=_PROVIDER, at=_AT)[0].encode()
    with_evidence = Evidence(crls=(_CRL,), status_tokens=(_TOKEN,))
    for shown in (_HONEST, Recipe(device_auth=DeviceAuth.MAC).present()):
        bundle = examine_and_keep(_VERIFIERS[0], shown.response, **_case(shown), evidence=with_evidence)
        yield "bundle", bundle.encode()
        yield "bundle", bundle.redact([bundle.elements[0][:2]]).encode()


def seeds() -> dict[str, set[bytes]]:
    """Seeds by target, each once; what the oracles know is worked out with them, before the clock runs."""
    _issued()
    _signed_evidence()
    found: dict[str, set[bytes]] = {name: set() for name in TARGETS}
    for name, data in _seeds():
        found[name].add(data)
    return found

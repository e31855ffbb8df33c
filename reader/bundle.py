"""Evidence bundles: all that a verdict rested on, in one file, so that it can be reached again years later.

    verified, bundle = keep(verifier, response, context=context, request=request, at=at, evidence=evidence)
    path.write_bytes(bundle.encode(signer))
    …
    bundle = EvidenceBundle.decode(path.read_bytes())
    bundle.replay(trust=store)            # the same verdict, byte for byte, or an error
    smaller = bundle.redact([("org.iso.18013.5.1", "portrait")])

A bundle holds the response, the session transcript, the request, the time, the policy, those anchors, revocation lists
and status tokens that had a say, and the verdict. The reader's private key is not in it: where a deviceMac was checked,
the secret that was agreed with that device key is, which opens no session. It holds personal data, all that was shown:
the command writes it so that only its owner may read it, and what is not needed any more can be redacted.

The seal is a hash, or a signature by a key of the reader's, over a list of commitments: one for each item, and one for
each piece of everything else. A redacted item leaves its commitment behind, which is the very digest that the issuer
signed if that was SHA-256; an item's random keeps it from being guessed, and one that cannot do so is not redacted. So
a redacted bundle has the same seal.

A seal shows that a bundle was not changed since; a hash alone shows it to whoever keeps the hash elsewhere. It does not
show that the verdict was right: that is what `EvidenceBundle.replay` finds out anew, from the evidence.

Whoever makes a bundle chooses the roots in it, and the rest of the evidence. So the caller says whom he trusts: a
response that was accepted must be acceptable on his own roots too. `UnsafeBundleAnchors` takes the bundle's word, which
is for those who know whose it is: by the key that signed it, or since it never left their hands. Time, policy, request
and revocation lists are the word of whoever sealed the bundle in any case.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, final

from mdl.cbor import Limits, Tagged24, decode, decode_view, encode, unwrap24
from mdl.cose import CoseSign1, decode_sign1, protected_header, sig_structure
from mdl.errors import DecodeError, LocalProtocolError, MdlError, UnsupportedError, VerificationError
from mdl.keys import KeyAgreement, PublicKey, Signer
from mdl.mdoc import DeviceRequest, DeviceResponse, SessionTranscript
from mdl.pki import Certificate, Crl
from mdl.status import StatusReference, StatusToken
from reader.report import Check, Outcome, Policy, Report, Revocation
from reader.revocation import NO_EVIDENCE, Evidence, claims_issuer
from reader.trust import ANY_DOCTYPE, AnyDoctype, Purpose, TrustAnchor, TrustStore
from reader.verification import MAX_CLOCK_SKEW, SessionContext, UnsafeNoRequest, VerifiedResponse, Verifier

__all__ = ["EvidenceBundle", "Seal", "UnsafeBundleAnchors", "examine_and_keep", "keep"]

_MAGIC: Final = b"mdl evidence bundle 1\n"
_MAX_BYTES: Final = 128 * 1024 * 1024
_LIMITS: Final = Limits(max_bytes=_MAX_BYTES, max_entries=1 << 17, max_items=1 << 20)
_REQUEST_CHECKS: Final = ("request.doctype", "request.elements", "request.unrequested")
_MICROSECOND: Final = timedelta(microseconds=1)
# Of which types the members of the rest of a bundle are.
_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(("transcript", "verdict"), (bytes,)),
    **dict.fromkeys(("at", "policy", "revocation"), (str,)),
    **dict.fromkeys(("anchors", "crls", "status_tokens"), (list,)),
    "request": (bytes, type(None)),
    "agreed": (list, type(None)),
    "clock_skew": (int,),
    "gathered": (bool,),
}
# Shortest random of an item that keeps its digest from being guessed, in bytes, inclusive.
_MIN_RANDOM: Final = 16
# What stands in a response in the place of a redacted item.
_HOLE: Final = b"\xf6"


class Seal(Enum):
    """What vouches for a bundle."""

    HASH = "hash"
    SIGNATURE = "signature"


@final
class UnsafeBundleAnchors:
    """Given in place of a trust store: the roots are those that the bundle itself brings.

    Unsafe, because anybody can make a bundle that is accepted on a root of his own: the caller must then know himself
    who made it.
    """


class _Item(NamedTuple):
    """An issuer-signed item, or where it is redacted, its name and its digest only."""

    namespace: str
    identifier: str
    raw: bytes | None
    digest: bytes


_Piece = bytes | _Item


def _fault(what: str) -> DecodeError:
    return DecodeError(f"no evidence bundle, or a damaged one: {what}", code="bundle.damaged")


# --- the reader's key -------------------------------------------------------------------------------------------------


class _Agreed(NamedTuple):
    """What came of agreeing a secret with one device key: the secret, or the error."""

    peer: bytes
    secret: bytes | None
    code: str
    message: str


class _Recording:
    """A reader's key that remembers what it agreed."""

    def __init__(self, key: KeyAgreement) -> None:
        self._key = key
        self.agreed: dict[bytes, _Agreed] = {}

    def agree(self, peer: PublicKey) -> bytes:
        try:
            secret = self._key.agree(peer)
        except MdlError as exc:
            self.agreed[peer.spki] = _Agreed(peer.spki, None, exc.code, exc.message)
            raise
        self.agreed[peer.spki] = _Agreed(peer.spki, secret, "", "")
        return secret


class _Recorded:
    """A reader's key of which nothing is left but what it agreed."""

    def __init__(self, agreed: Iterable[_Agreed]) -> None:
        self._agreed = {one.peer: one for one in agreed}

    def agree(self, peer: PublicKey) -> bytes:
        found = self._agreed.get(peer.spki)
        if found is None:
            msg = "the bundle has no secret that was agreed with that device key"
            raise UnsupportedError(msg, code="bundle.secret_missing")
        if found.secret is None:
            raise UnsupportedError(found.message, code=found.code)
        return found.secret


# --- keeping ----------------------------------------------------------------------------------------------------------


def keep(
    verifier: Verifier,
    response: bytes,
    *,
    context: SessionContext,
    request: DeviceRequest | UnsafeNoRequest,
    at: datetime,
    evidence: Evidence = NO_EVIDENCE,
) -> tuple[VerifiedResponse, EvidenceBundle]:
    """Verify a response, or refuse it, and keep what an acceptance rested on; arguments and errors as in `Verifier`.

    Where a refusal is to be kept too, use `examine_and_keep`, which also says which verifiers keep no bundles.
    """
    recorded, recording = _recorded(verifier, context)
    verified = verifier.verify(response, context=recorded, request=request, at=at, evidence=evidence)
    given = _Given(response, context.transcript, request, at, evidence)
    return verified, _bundle_of(verifier, given, verified.report, recording)


def examine_and_keep(
    verifier: Verifier,
    response: bytes,
    *,
    context: SessionContext,
    request: DeviceRequest | UnsafeNoRequest,
    at: datetime,
    evidence: Evidence = NO_EVIDENCE,
) -> EvidenceBundle:
    """Run every check, and keep what the verdict rested on, whatever it is; the arguments are those of `Verifier`.

    Raises:
        DecodeError: The response is not what the CDDL says: there is no verdict to keep.
        UnsupportedError: The verifier takes part in the post-quantum rehearsal (code ``bundle.rehearsal``): what is
            only rehearsed is not kept for years.
    """
    recorded, recording = _recorded(verifier, context)
    report = verifier.examine(response, context=recorded, request=request, at=at, evidence=evidence)
    return _bundle_of(verifier, _Given(response, context.transcript, request, at, evidence), report, recording)


class _Given(NamedTuple):
    """What a verifier was given, but for the reader's key."""

    response: bytes
    transcript: SessionTranscript
    request: DeviceRequest | UnsafeNoRequest
    at: datetime
    evidence: Evidence


def _recorded(verifier: Verifier, context: SessionContext) -> tuple[SessionContext, _Recording | None]:
    """The session with a key that remembers what it agreed, and that key; for a verifier that may keep bundles."""
    if verifier.post_quantum is not None:
        msg = "a verifier that takes part in the post-quantum rehearsal keeps no evidence bundles"
        raise UnsupportedError(msg, code="bundle.rehearsal")
    recording = None if context.reader_key is None else _Recording(context.reader_key)
    return SessionContext(transcript=context.transcript, reader_key=recording), recording


def _bundle_of(verifier: Verifier, given: _Given, report: Report, recording: _Recording | None) -> EvidenceBundle:
    """The bundle of a verdict, which follows from it."""
    response, evidence = given.response, given.evidence
    bundle = EvidenceBundle(
        pieces=_take_apart(response),
        transcript=given.transcript.encoded,
        agreed=None if recording is None else tuple(recording.agreed.values()),
        request=given.request.encode() if isinstance(given.request, DeviceRequest) else None,
        at=given.at.astimezone(UTC),
        clock_skew=verifier.clock_skew,
        policy=verifier.policy,
        revocation=verifier.revocation,
        anchors=_anchors_with_a_say(response, verifier.trust),
        evidence=_evidence_with_a_say(response, verifier.trust, evidence),
        verdict=report.as_json(),
        redacted=False,
        sealed_by=None,
    )
    own = UnsafeBundleAnchors()  # they are the verifier's
    if bundle.examine(trust=own).as_json() != bundle.verdict:
        # What was left out had a say after all: keep everything.
        bundle = replace(bundle, anchors=tuple(verifier.trust), evidence=evidence)
        bundle.replay(trust=own)
    return bundle


def _take_apart(response: bytes) -> tuple[_Piece, ...]:
    """The response in pieces, each issuer-signed item one of them; joined they are the response."""
    pieces: list[_Piece] = []
    start = 0
    for document in DeviceResponse.decode(response).documents:
        for namespace, items in document.issuer_signed.name_spaces.items():
            for item in items:
                at = response.index(item.raw, start)
                pieces += (response[start:at], _item(namespace, item))
                start = at + len(item.raw)
    return (*pieces, response[start:])


def _item(namespace: str, item: Tagged24) -> _Item:
    return _Item(namespace, _identifier(item.content), item.raw, hashlib.sha256(item.raw).digest())


def _identifier(content: bytes) -> str:
    """The element identifier of an item; empty where it is none."""
    identifier = _member(content, "elementIdentifier")
    return identifier if type(identifier) is str else ""


def _random(item: _Item) -> bytes:
    """The random of an item; empty where it is none, or redacted."""
    random = None if item.raw is None else _member(unwrap24(item.raw), "random")
    return random if type(random) is bytes else b""


def _member(content: bytes, name: str) -> Any:
    try:
        fields = decode(content)
    except DecodeError:
        return None
    return fields.get(name) if type(fields) is dict else None


def _anchors_with_a_say(response: bytes, trust: TrustStore) -> tuple[TrustAnchor, ...]:
    """The anchors that a document signer of the response names, or is; one at least, as a store is never empty."""
    found: dict[int, TrustAnchor] = {}
    for document in DeviceResponse.decode(response).documents:
        try:
            signer = Certificate.decode(document.issuer_signed.issuer_auth.x5chain[0])
        except (MdlError, IndexError):
            continue  # it names nobody
        for anchor in trust:
            if anchor.certificate.der == signer.der:
                found[id(anchor)] = anchor
        found |= {id(anchor): anchor for anchor in trust.candidates(signer)}
    return tuple(anchor for anchor in trust if id(anchor) in found) or tuple(trust)[:1]


def _evidence_with_a_say(response: bytes, trust: TrustStore, evidence: Evidence) -> Evidence:
    """The revocation evidence that concerns the response, and what cannot be told whom it concerns."""
    issuers = [anchor.certificate for anchor in _anchors_with_a_say(response, trust)]
    addresses: set[str] = set()
    for document in DeviceResponse.decode(response).documents:
        try:
            status = document.issuer_signed.security_object().status
            addresses |= {one.uri for one in StatusReference.decode(status).lists}
        except MdlError:
            continue  # it names no list
    return Evidence(
        crls=tuple(crl for crl in evidence.crls if _may_be_of(crl, issuers)),
        status_tokens=tuple(token for token in evidence.status_tokens if _address_of(token) in (None, *addresses)),
        gathered=evidence.gathered,
    )


def _may_be_of(data: bytes, issuers: Iterable[Certificate]) -> bool:
    try:
        crl = Crl.decode_any(data)
    except DecodeError:
        return True
    return any(claims_issuer(crl, issuer) for issuer in issuers)


def _address_of(token: bytes) -> str | None:
    try:
        return StatusToken.decode(token).subject
    except DecodeError:
        return None


# --- the bundle -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceBundle:
    """All that a verdict rested on; see the module. `keep` and `decode` make one.

    Attributes:
        pieces: The response in pieces, redacted where `redacted` says so.
        transcript: The encoded SessionTranscript.
        agreed: What the reader's key agreed, or None where the session had no reader key.
        request: The encoded DeviceRequest, or None where there was none to compare with.
        at: The time of verification, UTC.
        clock_skew: The clock skew that was allowed for.
        policy: The policy.
        revocation: What was demanded of revocation evidence.
        anchors: The anchors that had a say.
        evidence: The revocation evidence that had a say.
        verdict: The report as it was then, canonical JSON.
        redacted: Whether an item is missing.
        sealed_by: The key that signed the bundle, once it was read and the signature verified; None for a hash.
    """

    pieces: tuple[_Piece, ...]
    transcript: bytes
    agreed: tuple[_Agreed, ...] | None
    request: bytes | None
    at: datetime
    clock_skew: timedelta
    policy: Policy
    revocation: Revocation
    anchors: tuple[TrustAnchor, ...]
    evidence: Evidence
    verdict: bytes
    redacted: bool
    sealed_by: PublicKey | None
    seal: Any = None

    def __bool__(self) -> NoReturn:
        msg = "a bundle is no verdict: use .replay(trust=…) or .verify(trust=…)"
        raise TypeError(msg)

    # the verdict

    def examine(self, *, trust: TrustStore | UnsafeBundleAnchors) -> Report:
        """Run every check anew on what the bundle holds.

        Where items are redacted, the checks are about the others; then ``request.…`` cannot be judged again, and their
        outcomes are those of the verdict in the bundle.

        Args:
            trust: Whom the caller trusts, in place of the bundle's anchors.

        Raises:
            DecodeError: A document's security object is not what the CDDL says; `keep` makes no such bundle.
        """
        verifier, response, case = _case(self, trust)
        return self._as_recorded(verifier.examine(response, **case))

    def verify(self, *, trust: TrustStore | UnsafeBundleAnchors) -> VerifiedResponse:
        """Verify anew what the bundle holds; element values come out as from `Verifier.verify`.

        The report is that of `replay`.

        Args:
            trust: Whom the caller trusts; see `replay`.

        Raises:
            VerificationError: The response is refused, the verdict in the bundle is another (``bundle.verdict``), or
                it rests on roots that the caller does not trust (``bundle.trust``).
            UnsupportedError: Every document is in a form that is not implemented.
            DecodeError: A document's security object is not what the CDDL says; `keep` makes no such bundle.
        """
        report, verified = self._replay(trust)
        report.require()
        if isinstance(verified, MdlError):
            raise verified
        return replace(verified, report=report)

    def replay(self, *, trust: TrustStore | UnsafeBundleAnchors) -> Report:
        """Reach the verdict again, and make sure that it is the one in the bundle.

        The verdict rests on the anchors in the bundle, as it did then. Where it accepts, the response must be accepted
        on the caller's own anchors too. A refusal is on the bundle's anchors alone.

        Args:
            trust: Whom the caller trusts.

        Returns:
            The report. Without redaction its `Report.as_json` is the verdict in the bundle, byte for byte. With
            redaction the response is accepted or refused as it was, and every check has the outcome that it had, but
            for those that have passed and need a redacted item: they may be NOT_APPLICABLE now.

        Raises:
            VerificationError: The verdict is another one now (code ``bundle.verdict``): this program judges otherwise
                than the one that made the bundle, or the bundle was changed. Or it accepts, and on the caller's anchors
                it would not (``bundle.trust``); ``.report`` then has the outcomes on these.
            DecodeError: A document's security object is not what the CDDL says; `keep` makes no such bundle.
        """
        return self._replay(trust)[0]

    def _replay(self, trust: TrustStore | UnsafeBundleAnchors) -> tuple[Report, VerifiedResponse | MdlError]:
        """The report of `replay`, and what verifying on the caller's anchors gives."""
        report, verified = self._judge(UnsafeBundleAnchors())
        same = _follows(report, _read_verdict(self.verdict)) if self.redacted else report.as_json() == self.verdict
        if not same:
            msg = "the verdict that the evidence leads to is not the one in the bundle"
            raise VerificationError(msg, code="bundle.verdict", report=report)
        if isinstance(trust, UnsafeBundleAnchors):
            return report, verified
        vouched, verified = self._judge(trust)
        if report.accepted and not vouched.accepted:
            msg = "the bundle's verdict rests on roots that are not trusted here"
            raise VerificationError(msg, code="bundle.trust", report=vouched, failed=vouched.failed)
        return report, verified

    def _judge(self, trust: TrustStore | UnsafeBundleAnchors) -> tuple[Report, VerifiedResponse | MdlError]:
        """The report of `examine`, and the verified response or why there is none; mostly in one run of the checks."""
        verifier, response, case = _case(self, trust)
        try:
            verified = verifier.verify(response, **case)
        except VerificationError as exc:
            if exc.report is None:
                raise
            return self._as_recorded(exc.report), exc
        except UnsupportedError as exc:  # it brings no report
            return self.examine(trust=trust), exc
        return self._as_recorded(verified.report), verified

    def _as_recorded(self, report: Report) -> Report:
        if not self.redacted:
            return report
        checks = _read_verdict(self.verdict).checks
        recorded = {(one.id, one.document): one for one in checks if one.id in _REQUEST_CHECKS}
        return replace(report, checks=tuple(recorded.get((one.id, one.document), one) for one in report.checks))

    # redaction

    @property
    def elements(self) -> tuple[tuple[str, str, bool], ...]:
        """Namespace and identifier of each issuer-signed item, and whether it is still there."""
        return tuple(
            (piece.namespace, piece.identifier, piece.raw is not None)
            for piece in self.pieces
            if isinstance(piece, _Item)
        )

    def redact(self, elements: Iterable[tuple[str, str]]) -> EvidenceBundle:
        """Take the values of elements out of the bundle for good; the seal still holds.

        Args:
            elements: Namespace and identifier of each. What the device signed cannot be redacted.

        Raises:
            LocalProtocolError: There is no such element (code ``bundle.no_element``), its bytes stand elsewhere in the
                bundle too (``bundle.copy``), its value could be guessed from its commitment, as its random is shorter
                than 16 bytes or is that of an item which stays (``bundle.guessable``), or the verdict on the rest would
                be another one (``bundle.verdict``): an item that is to blame for a refusal stays.
            DecodeError: A document's security object is not what the CDDL says; `keep` makes no such bundle.
        """
        wanted = set(elements)
        there = {(namespace, identifier) for namespace, identifier, _ in self.elements}
        if not wanted <= there:
            msg = "the bundle has no issuer-signed element of that namespace and identifier"
            raise LocalProtocolError(msg, code="bundle.no_element")
        gone = [one for one in self.pieces if isinstance(one, _Item) and (one.namespace, one.identifier) in wanted]
        pieces = tuple(
            piece._replace(raw=None) if isinstance(piece, _Item) and piece in gone else piece for piece in self.pieces
        )
        left = b"".join(piece for piece in pieces if isinstance(piece, bytes))
        if any(item.raw is not None and item.raw in left for item in gone):
            msg = "an element to be redacted stands in the response a second time"
            raise LocalProtocolError(msg, code="bundle.copy")
        left_randoms = {_random(piece) for piece in pieces if isinstance(piece, _Item)}
        randoms = [_random(item) for item in gone if item.raw is not None]
        if any(len(random) < _MIN_RANDOM or random in left_randoms for random in randoms):
            msg = "an element to be redacted has a random that is too short or known: its digest would tell its value"
            raise LocalProtocolError(msg, code="bundle.guessable")
        smaller = replace(self, pieces=pieces, redacted=True)
        try:
            smaller.replay(trust=UnsafeBundleAnchors())
        except VerificationError as exc:
            msg = "without these elements the verdict on the rest would be another one"
            raise LocalProtocolError(msg, code="bundle.verdict") from exc
        return smaller

    # the file

    @property
    def commitment(self) -> bytes:
        """What the seal is over, 32 bytes: the same before and after redaction."""
        response = [
            [piece.namespace, piece.identifier, piece.digest]
            if isinstance(piece, _Item)
            else hashlib.sha256(piece).digest()
            for piece in self.pieces
        ]
        return hashlib.sha256(_MAGIC + encode([response, hashlib.sha256(_encode_rest(self)).digest()])).digest()

    def encode(self, signer: Signer | None = None) -> bytes:
        """The file.

        Args:
            signer: Who seals it; None seals it with a hash, or keeps the signature that it was read with.

        Raises:
            SigningError: The signer failed.
        """
        seal: Any = self.seal
        if signer is not None:
            key = signer.public_key
            protected = protected_header(key.algorithm.cose_id)
            signature = signer.sign(sig_structure(protected, self.commitment))
            key.verify(signature, sig_structure(protected, self.commitment))
            seal = [key.spki, protected, signature]
        elif seal is None:
            seal = self.commitment
        pieces = [piece if isinstance(piece, bytes) else list(piece) for piece in self.pieces]
        return _MAGIC + encode([pieces, _encode_rest(self), seal])

    @classmethod
    def decode(cls, data: bytes) -> EvidenceBundle:
        """Read a file, and verify its seal.

        Who signed it is told by `sealed_by`: whether that key is a reader's is the caller's knowledge.

        Raises:
            DecodeError: It is no bundle, or damaged (code ``bundle.damaged``).
            VerificationError: The seal is not over what the bundle holds (code ``bundle.seal``).
        """
        if not data.startswith(_MAGIC) or len(data) > _MAX_BYTES:
            raise _fault("not the beginning of one, or too large")
        try:
            bundle, seal = _read(data[len(_MAGIC) :])
        except MdlError as exc:
            if exc.code == "bundle.damaged":
                raise
            raise _fault(exc.message) from exc
        except (LookupError, TypeError, ValueError) as exc:
            raise _fault("a part of a wrong type") from exc
        return _with_verified_seal(bundle, seal)


def _case(bundle: EvidenceBundle, trust: TrustStore | UnsafeBundleAnchors) -> tuple[Verifier, bytes, dict[str, Any]]:
    """What a verifier is made of and given, for a bundle and whom to trust."""
    store = TrustStore(bundle.anchors) if isinstance(trust, UnsafeBundleAnchors) else trust
    verifier = Verifier(store, policy=bundle.policy, revocation=bundle.revocation, clock_skew=bundle.clock_skew)
    key = None if bundle.agreed is None else _Recorded(bundle.agreed)
    context = SessionContext(transcript=SessionTranscript(bundle.transcript), reader_key=key)
    with_request = bundle.request is not None and not bundle.redacted
    request = DeviceRequest.decode(bundle.request or b"") if with_request else UnsafeNoRequest()
    case = {"context": context, "request": request, "at": bundle.at, "evidence": bundle.evidence}
    return verifier, _join(bundle.pieces), case


def _encode_rest(bundle: EvidenceBundle) -> bytes:
    """Everything but the response."""
    return encode(
        {
            "transcript": bundle.transcript,
            "agreed": None if bundle.agreed is None else [list(one) for one in bundle.agreed],
            "request": bundle.request,
            "at": bundle.at.isoformat(),
            "clock_skew": bundle.clock_skew // _MICROSECOND,
            "policy": bundle.policy.value,
            "revocation": bundle.revocation.value,
            "anchors": [_anchor_fields(anchor) for anchor in bundle.anchors],
            "crls": list(bundle.evidence.crls),
            "status_tokens": list(bundle.evidence.status_tokens),
            "gathered": bundle.evidence.gathered,
            "verdict": bundle.verdict,
        }
    )


def _with_verified_seal(bundle: EvidenceBundle, seal: Any) -> EvidenceBundle:
    """The bundle, its seal verified: the hash, or the key that signed it."""
    for piece in bundle.pieces:
        if isinstance(piece, _Item) and piece.raw is not None:
            same = hashlib.sha256(piece.raw).digest() == piece.digest
            if not same or _identifier(unwrap24(piece.raw)) != piece.identifier:
                raise _broken_seal()
    if type(seal) is bytes:
        if seal != bundle.commitment:
            raise _broken_seal()
        return bundle
    if type(seal) is not list or len(seal) != 3 or not all(type(one) is bytes for one in seal):
        raise _fault("no seal")
    spki, protected, signature = seal
    try:
        key = PublicKey.from_spki(spki)
        message: CoseSign1 = decode_sign1([protected, {}, None, signature])
        message.verify(key, detached=bundle.commitment)
    except MdlError as exc:
        raise _broken_seal() from exc
    return replace(bundle, sealed_by=key, seal=seal)


def _broken_seal() -> VerificationError:
    return VerificationError("the seal is not over what the bundle holds: it was changed", code="bundle.seal")


class _Verdict(NamedTuple):
    """A verdict as it was recorded: what is said of the whole, and the checks."""

    summary: Mapping[str, Any]
    checks: tuple[Check, ...]


# What a report says of the whole that a redaction changes nothing about.
_SUMMARY: Final = ("verdict", "policy", "revocation", "failed", "indeterminate", "unsupported")


@lru_cache(maxsize=16)
def _read_verdict(verdict: bytes) -> _Verdict:
    """A verdict in canonical JSON, taken apart.

    Raises:
        DecodeError: It is none (code ``bundle.damaged``).
    """
    try:
        told = json.loads(verdict)
        return _Verdict({name: told[name] for name in _SUMMARY}, tuple(map(_recorded_check, told["checks"])))
    except (KeyError, TypeError, ValueError, RecursionError) as exc:
        raise _fault("no verdict") from exc


def _recorded_check(told: Any) -> Check:
    detail, document, warnings = told["detail"], told["document"], told["warnings"]
    if (
        type(told["id"]) is not str
        or type(detail) is not str
        or type(document) not in (int, type(None))
        or type(warnings) is not list
        or not all(type(one) is str for one in warnings)
    ):
        raise _fault("a check of a wrong form")
    return Check(told["id"], Outcome(told["outcome"]), detail, document, tuple(warnings))


def _follows(report: Report, then: _Verdict) -> bool:
    """Whether a report on what redaction has left is the verdict of then, but for passed checks that no longer apply.

    A check that refused, or could not be judged, must still do so: else a redaction would turn a refusal into an
    acceptance.
    """
    now = report.as_dict()
    return (
        all(now[name] == then.summary[name] for name in _SUMMARY)
        and [(check.id, check.document) for check in report] == [(check.id, check.document) for check in then.checks]
        and all(
            check.outcome is before.outcome
            or (before.outcome is Outcome.PASSED and check.outcome is Outcome.NOT_APPLICABLE)
            for check, before in zip(report, then.checks, strict=True)
        )
    )


def _join(pieces: Sequence[_Piece]) -> bytes:
    """The response; without the redacted items where there are some."""
    holes = any(isinstance(piece, _Item) and piece.raw is None for piece in pieces)
    joined = b"".join(piece if isinstance(piece, bytes) else piece.raw or _HOLE for piece in pieces)
    if not holes:
        return joined
    try:
        value = decode_view(joined)
        for document in value["documents"]:
            signed = document["issuerSigned"]
            spaces = {
                namespace: [item for item in items if item is not None]
                for namespace, items in signed.get("nameSpaces", {}).items()
            }
            signed["nameSpaces"] = {namespace: items for namespace, items in spaces.items() if items}
            if not signed["nameSpaces"]:
                del signed["nameSpaces"]
        # Only the frame is written anew; items, security object and signatures are what was received.
        return encode(value)
    except (AttributeError, LookupError, TypeError, ValueError) as exc:
        raise _fault("an item where there can be none") from exc


def _anchor_fields(anchor: TrustAnchor) -> dict[str, Any]:
    return {
        "certificate": anchor.certificate.der,
        "doctypes": None if isinstance(anchor.doctypes, AnyDoctype) else sorted(anchor.doctypes),
        "purpose": anchor.purpose.value,
        "country": anchor.country,
        "state": anchor.state,
        "since": None if anchor.since is None else anchor.since.isoformat(),
        "until": None if anchor.until is None else anchor.until.isoformat(),
    }


def _anchor(fields: Any) -> TrustAnchor:
    doctypes, since, until = fields["doctypes"], fields["since"], fields["until"]
    return TrustAnchor(
        certificate=Certificate.decode(fields["certificate"]),
        doctypes=ANY_DOCTYPE if doctypes is None else frozenset(doctypes),
        purpose=Purpose(fields["purpose"]),
        country=fields["country"],
        state=fields["state"],
        since=None if since is None else datetime.fromisoformat(since),
        until=None if until is None else datetime.fromisoformat(until),
    )


def _read(body: bytes) -> tuple[EvidenceBundle, Any]:
    """A bundle and its seal, which is still to be verified."""
    content = decode(body, limits=_LIMITS)
    if type(content) is not list or len(content) != 3:
        raise _fault("not three parts")
    given, rest, seal = content
    if type(given) is not list or type(rest) is not bytes:
        raise _fault("a part of a wrong type")
    pieces: list[_Piece] = []
    for one in given:
        if type(one) is list:
            item = _Item(*one)
            if [*map(type, item)] not in ([str, str, bytes, bytes], [str, str, type(None), bytes]):
                raise _fault("an item of a wrong form")
            if len(item.digest) != hashlib.sha256().digest_size:
                raise _fault("an item of a wrong form")
            if item.raw is not None:
                unwrap24(item.raw)
            pieces.append(item)
        elif type(one) is bytes:
            pieces.append(one)
        else:
            raise _fault("a piece of a wrong form")
    fields = decode(rest, limits=_LIMITS)
    for name, kinds in _KINDS.items():
        if type(fields[name]) not in kinds:
            raise _fault(f"{name} is of a wrong type")
    at, skew = datetime.fromisoformat(fields["at"]), fields["clock_skew"]
    if at.utcoffset() != timedelta(0) or not 0 <= skew <= MAX_CLOCK_SKEW // _MICROSECOND:
        raise _fault("a time that is not in UTC, or a clock skew that is out of range")
    bundle = EvidenceBundle(
        pieces=tuple(pieces),
        transcript=fields["transcript"],
        agreed=None if fields["agreed"] is None else tuple(map(_read_agreed, fields["agreed"])),
        request=fields["request"],
        at=at,
        clock_skew=skew * _MICROSECOND,
        policy=Policy(fields["policy"]),
        revocation=Revocation(fields["revocation"]),
        anchors=tuple(map(_anchor, fields["anchors"])),
        evidence=Evidence(
            crls=tuple(fields["crls"]),
            status_tokens=tuple(fields["status_tokens"]),
            gathered=fields["gathered"],
        ),
        verdict=fields["verdict"],
        redacted=any(isinstance(piece, _Item) and piece.raw is None for piece in pieces),
        sealed_by=None,
    )
    if _encode_rest(bundle) != rest:
        raise _fault("written in another way")
    # What a replay is made of is made once here, so that whatever is no such thing is found at once.
    _read_verdict(bundle.verdict)
    if bundle.request is not None:
        DeviceRequest.decode(bundle.request)
    _, response, _ = _case(bundle, UnsafeBundleAnchors())
    DeviceResponse.decode(response)
    return bundle, seal


def _read_agreed(fields: Any) -> _Agreed:
    if type(fields) is not list or [*map(type, fields)] not in (
        [bytes, bytes, str, str],
        [bytes, type(None), str, str],
    ):
        raise _fault("an agreed secret of a wrong form")
    return _Agreed(*fields)

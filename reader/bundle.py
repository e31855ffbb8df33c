"""Evidence bundles: one file with all inputs of a verdict, so that the verdict can be reached again years later.

    verified, bundle = keep(verifier, response, context=context, request=request, at=at, evidence=evidence)
    path.write_bytes(bundle.encode(signer))
    …
    bundle = EvidenceBundle.decode(path.read_bytes())
    bundle.replay(trust=store)            # the same verdict, byte for byte, and what it proves to the caller
    smaller = bundle.redact([("org.iso.18013.5.1", "portrait")])

A bundle holds the response, the session transcript, the request, the time, the policy, the relevant anchors, revocation
lists and status tokens, and the verdict. It does not hold the reader's private key. If a deviceMac was checked, it
holds the secret that was agreed with that device key, which opens no session. It holds all presented personal data: the
command writes it so that only its owner may read it, and elements that are no longer needed can be redacted.

The seal is a hash, or a signature by a key of the reader, over a list of commitments: one for each item, and one for
each piece of the rest. The commitment of a redacted item stays. It is the digest that the issuer signed, if that was
SHA-256. The random of an item prevents guessing of its value; an item whose random cannot do so is not redacted. A
redacted bundle therefore has the same seal.

A seal shows that a bundle was not changed; with a hash, only to a party that stores the hash elsewhere. It does not
show that the verdict was right: `EvidenceBundle.replay` verifies that again, from the evidence.

The maker of a bundle chooses every part of it that is not signed: roots, time, policy, request, and the set of
revocation lists. The caller therefore judges it by inputs of the caller's own: a response that was accepted must also
be acceptable under the caller's roots and policy. The parts are proven to the caller as follows:

- issuer: the issuer's signature and the digests, under the caller's roots.
- device, session: a device signature over the transcript in the bundle. A MAC proves nothing to other
  parties than the reader that agreed its secret, since that reader can make any MAC. It counts only in a bundle that is
  signed by a key that the caller knows.
- policy: the caller's own.
- time: no proof. The caller may choose another time.
- request: no proof.
- revocation: the caller's own revocation evidence. A document that it revokes is refused, whatever the time.

For a bundle signed by a key that the caller knows (`signed_by`), the owner of that key vouches for all of it.
`UnsafeBundleAnchors` accepts the bundle's own statements; use it only for a bundle that never left the caller's hands.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, final

from mdl.cbor import Limits, Tagged24, decode, decode_view, encode, unwrap24
from mdl.cose import CoseSign1, decode_sign1, protected_header, sig_structure
from mdl.errors import DecodeError, LocalProtocolError, MdlError, UnsupportedError, VerificationError
from mdl.keys import KeyAgreement, PublicKey, Signer
from mdl.mdoc import DeviceRequest, DeviceResponse, SessionTranscript
from mdl.pki import Certificate, Crl
from mdl.status import StatusReference, StatusToken
from reader.report import EVIDENCE_CHECKS, Check, Outcome, Policy, Report, Revocation
from reader.revocation import NO_EVIDENCE, Evidence, claims_issuer
from reader.trust import ANY_DOCTYPE, ANY_PURPOSE, AnyDoctype, AnyPurpose, Purpose, TrustAnchor, TrustStore
from reader.verification import (
    MAX_CLOCK_SKEW,
    SessionContext,
    UnsafeNoRequest,
    VerifiedDocument,
    VerifiedResponse,
    Verifier,
)

__all__ = [
    "EvidenceBundle",
    "Part",
    "PartProof",
    "Replay",
    "Seal",
    "UnsafeBundleAnchors",
    "Voucher",
    "examine_and_keep",
    "keep",
]

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
}
# How many certificates an anchor may rest on, inclusive.
_MAX_PROOF: Final = 64
# Shortest random of an item that keeps its digest from being guessed, in bytes, inclusive.
_MIN_RANDOM: Final = 16
# What stands in a response in the place of a redacted item.
_HOLE: Final = b"\xf6"


class Seal(Enum):
    """The kinds of seal of a bundle."""

    HASH = "hash"
    SIGNATURE = "signature"


@final
class UnsafeBundleAnchors:
    """Given in place of a trust store: the roots are those in the bundle.

    Unsafe, because anybody can make a bundle that is accepted under a root of their own. The caller must know the maker
    of the bundle.
    """


class Part(StrEnum):
    """A part of the claims of a bundle."""

    ISSUER = "issuer"
    """An issuing authority signed the security object, and the elements are those that it signed."""
    DEVICE = "device"
    """The holder's device authenticated the response."""
    SESSION = "session"
    """The authentication belongs to the session of the transcript in the bundle."""
    TIME = "time"
    """The time at which the response was judged."""
    REQUEST = "request"
    """The reader's request."""
    POLICY = "policy"
    """The policy of the verdict."""
    REVOCATION = "revocation"
    """Neither the document signer nor the document was revoked."""


class Voucher(StrEnum):
    """The proof of a part of a bundle."""

    PROOF = "proof"
    """A signature that the caller can verify under roots that he trusts."""
    CALLER = "caller"
    """The caller's own input."""
    SEALER = "sealer"
    """A statement of the owner of the key that signed the bundle and that the caller named."""
    NOBODY = "nobody"
    """A statement of the maker of the bundle, without proof."""


@dataclass(frozen=True, slots=True)
class PartProof:
    """The proof of one part of a bundle.

    Attributes:
        part: The part.
        by: The kind of proof.
        detail: The proof in one sentence, without personal data.
    """

    part: Part
    by: Voucher
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The outcome of `EvidenceBundle.replay`.

    Attributes:
        report: The verdict on the caller's terms. If the bundle's own verdict is a refusal, or all of the bundle's
            statements are accepted, it is the verdict in the bundle, reached again.
        recorded: The verdict in the bundle, reached again.
        parts: The proof of each part, in the order of `Part`.
        documents: The documents, if the report accepts them; otherwise none.
    """

    report: Report
    recorded: Report
    parts: tuple[PartProof, ...]
    documents: tuple[VerifiedDocument, ...]

    def __bool__(self) -> NoReturn:
        msg = "a replay has more than two outcomes: use .accepted and .vouched_for"
        raise TypeError(msg)

    @property
    def accepted(self) -> bool:
        """Whether the response is accepted on the caller's terms."""
        return self.report.accepted

    @property
    def refusal(self) -> VerificationError | None:
        """The error if only the caller's terms refuse the response, or None; codes as in `EvidenceBundle.verify`."""
        return _refusal(self.report) if self.recorded.accepted and not self.accepted else None

    @property
    def vouched_for(self) -> tuple[Part, ...]:
        """The parts that have a proof beside the statement of the maker of the bundle."""
        return tuple(one.part for one in self.parts if one.by is not Voucher.NOBODY)


class _Terms(NamedTuple):
    """By what the caller judges a bundle; None is the bundle's own word for it, see `EvidenceBundle.replay`."""

    trust: TrustStore | UnsafeBundleAnchors
    policy: Policy | None
    revocation: Revocation | None
    at: datetime | None
    evidence: Evidence
    signed_by: PublicKey | None

    @property
    def is_bundle_word(self) -> bool:
        """Whether the bundle's word is taken for everything."""
        own = (self.policy, self.revocation, self.at)
        return (
            isinstance(self.trust, UnsafeBundleAnchors) and own == (None, None, None) and self.evidence == NO_EVIDENCE
        )

    @property
    def takes_word(self) -> bool:
        """Whether the bundle's word is taken for what nobody can prove to others, by a key or by the caller's leave."""
        return self.signed_by is not None or isinstance(self.trust, UnsafeBundleAnchors)


_BUNDLE_WORD: Final = _Terms(UnsafeBundleAnchors(), None, None, None, NO_EVIDENCE, None)
_UNPROVABLE: Final = "not provable to others: a MAC convinces only the reader that agreed its secret"


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
        # The session holds it against its transcript; a key in foreign custody need not show it.
        self.public_key: object = getattr(key, "public_key", None)
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
    """Verify a response, and return it with a bundle of all inputs; arguments and errors as in `Verifier.verify`.

    To keep refusals too, use `examine_and_keep`, which also says which verifiers make no bundles.
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
    """Run every check, and return a bundle of the verdict and its inputs; the arguments are those of `Verifier`.

    Raises:
        DecodeError: The response is not what the CDDL says, so there is no verdict.
        UnsupportedError: The verifier takes part in the post-quantum rehearsal (code ``bundle.rehearsal``), whose
            results are not kept. Or the reader's key is not the one in the session transcript (code
            ``bundle.session``): a bundle holds the agreed secret and not the key, so that it could not show this again.
    """
    recorded, recording = _recorded(verifier, context)
    if recorded.fault is not None and recorded.transcript.is_of_the_reader:
        msg = f"{recorded.fault}: a bundle of this session cannot be kept"
        raise UnsupportedError(msg, code="bundle.session")
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
    case = _case(bundle)
    if case.verifier.examine(case.response, **case.arguments).as_json() != bundle.verdict:
        # What was left out had a say after all: keep everything.
        bundle = replace(bundle, anchors=tuple(verifier.trust), evidence=evidence)
        bundle.replay(trust=UnsafeBundleAnchors())  # the anchors are the verifier's
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
    anchors = _anchors_with_a_say(response, trust)
    issuers = [anchor.certificate for anchor in anchors]
    issuers += [issuer for anchor in anchors for _, issuer in anchor.proof]
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
    """All inputs of a verdict, and the verdict; see the module. `keep` and `decode` make a bundle.

    Attributes:
        pieces: The response in pieces, redacted where `redacted` says so.
        transcript: The encoded SessionTranscript.
        agreed: The secrets that the reader's key agreed, or None if the session had no reader key.
        request: The encoded DeviceRequest, or None if there was none to compare with.
        at: The time of verification, UTC.
        clock_skew: The clock skew that was allowed for.
        policy: The policy.
        revocation: Whether revocation evidence was required.
        anchors: The relevant anchors.
        evidence: The relevant revocation evidence.
        verdict: The report at that time, canonical JSON.
        redacted: Whether an item is missing.
        sealed_by: The key that signed the bundle, after its signature was verified; None for a hash.
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

    def replay(
        self,
        *,
        trust: TrustStore | UnsafeBundleAnchors,
        policy: Policy | None = None,
        revocation: Revocation | None = None,
        at: datetime | None = None,
        evidence: Evidence = NO_EVIDENCE,
        signed_by: PublicKey | None = None,
    ) -> Replay:
        """Reach the verdict again, compare it with the recorded one, and judge the response on the caller's terms.

        First every check runs on the content of the bundle, with its anchors, time, policy and evidence: the verdict
        must be the recorded one. A recorded refusal is the outcome. A recorded acceptance is then judged under the
        caller's roots and policy, at the bundle's time unless `at` is given, with the caller's revocation evidence in
        place of the bundle's, and without the bundle's statement about a deviceMac.

        Args:
            trust: The caller's trust store. With `UnsafeBundleAnchors` and nothing else the bundle's verdict counts.
            policy: The caller's policy. None: `Policy.ISO_STRICT`; with `UnsafeBundleAnchors`, the bundle's.
            revocation: Whether the caller requires revocation evidence. None: `Revocation.IF_GIVEN`; with
                `UnsafeBundleAnchors`, the bundle's value.
            at: Judge as of this time, an aware datetime, without clock skew. None: the bundle's time.
            evidence: The caller's revocation evidence. A document that it revokes is refused, whatever the time.
            signed_by: The key that must have signed the bundle. Its owner then vouches for a deviceMac, and for the
                bundle's revocation evidence beside the caller's.

        Returns:
            The outcome. Of a bundle without redaction the `Report.as_json` of ``recorded`` is the verdict in the
            bundle, byte for byte. With redaction the response is accepted or refused as it was, and every check has the
            outcome that it had, but for those that have passed and need a redacted item: they may be NOT_APPLICABLE.

        Raises:
            VerificationError: The verdict differs from the recorded one (code ``bundle.verdict``): this program judges
                in another way than the one that made the bundle, or the bundle was changed. Or the bundle is not signed
                by `signed_by` (``bundle.seal``).
            DecodeError: A document's security object is not what the CDDL says; `keep` makes no such bundle.
        """
        return self._replay(_Terms(trust, policy, revocation, at, evidence, signed_by))[0]

    def verify(
        self,
        *,
        trust: TrustStore | UnsafeBundleAnchors,
        policy: Policy | None = None,
        revocation: Revocation | None = None,
        at: datetime | None = None,
        evidence: Evidence = NO_EVIDENCE,
        signed_by: PublicKey | None = None,
    ) -> VerifiedResponse:
        """Verify the content of the bundle again, or raise; arguments and report are those of `replay`.

        Raises:
            VerificationError: The response is refused, as it was then (the code is that of a check) or on the caller's
                terms only (``bundle.trust``; ``bundle.unprovable`` if the only reason is a deviceMac, which proves
                nothing to other parties). Or see `replay`.
            UnsupportedError: Every document is in a form that is not implemented.
            DecodeError: A document's security object is not what the CDDL says; `keep` makes no such bundle.
        """
        replay, verified = self._replay(_Terms(trust, policy, revocation, at, evidence, signed_by))
        if replay.refusal is not None:
            raise replay.refusal
        replay.report.require()
        if isinstance(verified, MdlError):  # mutants: same
            raise verified  # mutants: same
        return replace(verified, report=replay.report)

    def _replay(self, terms: _Terms) -> tuple[Replay, VerifiedResponse | MdlError]:
        """The results of a replay, and of verification on the caller's terms."""
        for value, kind in ((terms.evidence, Evidence), (terms.signed_by, PublicKey | None)):
            if not isinstance(value, kind):
                msg = f"expected {kind}, not {type(value).__name__}"
                raise TypeError(msg)
        if terms.signed_by is not None and self.sealed_by != terms.signed_by:
            raise VerificationError("the bundle is not signed by that key", code="bundle.seal")
        case = _case(self)
        own = None if terms.is_bundle_word else _own_case(self, case, terms)
        recorded, verified = self._judge(case)
        same = _follows(recorded, _read_verdict(self.verdict)) if self.redacted else recorded.as_json() == self.verdict
        if not same:
            msg = "the verdict that the evidence leads to is not the one in the bundle"
            raise VerificationError(msg, code="bundle.verdict", report=recorded)
        report = on_terms = recorded
        if own is not None:
            on_terms, verified_on_terms = self._judge(own, with_secrets=terms.takes_word)
            if recorded.accepted:
                report, verified = on_terms, verified_on_terms
        documents = verified.documents if report.accepted and isinstance(verified, VerifiedResponse) else ()
        parts = tuple(_parts(self, terms, on_terms))
        return Replay(report=report, recorded=recorded, parts=parts, documents=documents), verified

    def _judge(self, case: _Case, *, with_secrets: bool = True) -> tuple[Report, VerifiedResponse | MdlError]:
        """The report on a case, and the verified response or why there is none; mostly in one run of the checks."""
        verified: VerifiedResponse | MdlError
        try:
            verified = case.verifier.verify(case.response, **case.arguments)
        except VerificationError as exc:
            if exc.report is None:
                raise
            report, verified = exc.report, exc
        except UnsupportedError as exc:  # it brings no report
            report, verified = case.verifier.examine(case.response, **case.arguments), exc
        else:
            report = verified.report
        if not with_secrets:
            report = replace(report, checks=tuple(map(_without_secrets, report)))
        return self._as_recorded(report), verified

    def _as_recorded(self, report: Report) -> Report:
        """The report, with the recorded outcomes of the checks that cannot be judged again where items are redacted."""
        if not self.redacted:
            return report
        checks = _read_verdict(self.verdict).checks
        recorded = {
            (one.id, one.document): _regraded(one, report.policy) for one in checks if one.id in _REQUEST_CHECKS
        }
        return replace(report, checks=tuple(recorded.get((one.id, one.document), one) for one in report.checks))

    # redaction

    @property
    def elements(self) -> tuple[tuple[str, str, bool], ...]:
        """Namespace and identifier of each issuer-signed item, and whether it is still present."""
        return tuple(
            (piece.namespace, piece.identifier, piece.raw is not None)
            for piece in self.pieces
            if isinstance(piece, _Item)
        )

    def redact(self, elements: Iterable[tuple[str, str]]) -> EvidenceBundle:
        """Return the bundle without the values of some elements. The seal still verifies.

        Args:
            elements: Namespace and identifier of each. Device-signed elements cannot be redacted.

        Raises:
            LocalProtocolError: There is no such element (code ``bundle.no_element``); its bytes also occur elsewhere in
                the bundle (``bundle.copy``); its value could be guessed from its commitment, since its random is
                shorter than 16 bytes or equal to that of an item that stays (``bundle.guessable``); or the verdict on
                the rest would differ (``bundle.verdict``): an item that causes a refusal cannot be redacted.
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
        """The bytes that the seal covers, 32 bytes: the same before and after redaction."""
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
            signer: Signs the seal. None seals with a hash, or keeps the signature of the file that was read.

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

        `sealed_by` is the key that signed it; the caller must know whose key that is.

        Raises:
            DecodeError: The bytes are no bundle, or damaged (code ``bundle.damaged``).
            VerificationError: The seal does not fit the content (code ``bundle.seal``).
        """
        if not data.startswith(_MAGIC) or len(data) > _MAX_BYTES:
            raise _fault("not the beginning of one, or too large")
        try:
            bundle, seal = _read(data[len(_MAGIC) :])
        except MdlError as exc:
            if exc.code == "bundle.damaged":
                raise
            raise _fault(exc.message) from exc
        except Exception as exc:  # what the checks above have not foreseen is a fault of the file's all the same
            raise _fault("a part of a wrong type") from exc
        return _with_verified_seal(bundle, seal)


class _Case(NamedTuple):
    """A verifier and what it is given."""

    verifier: Verifier
    response: bytes
    arguments: Mapping[str, Any]


def _case(bundle: EvidenceBundle) -> _Case:
    """What the verdict in the bundle rests on."""
    verifier = Verifier(
        TrustStore(bundle.anchors), policy=bundle.policy, revocation=bundle.revocation, clock_skew=bundle.clock_skew
    )
    key = None if bundle.agreed is None else _Recorded(bundle.agreed)
    with_request = bundle.request is not None and not bundle.redacted
    request = DeviceRequest.decode(bundle.request or b"") if with_request else UnsafeNoRequest()
    arguments = {
        "context": SessionContext(transcript=SessionTranscript(bundle.transcript), reader_key=key),
        "request": request,
        "at": bundle.at,
        "evidence": bundle.evidence,
    }
    return _Case(verifier, _join(bundle.pieces), arguments)


def _own_case(bundle: EvidenceBundle, case: _Case, terms: _Terms) -> _Case:
    """What the caller judges: the bundle's response, transcript and request, on his terms."""
    if isinstance(terms.trust, UnsafeBundleAnchors):
        trust, policy, revocation = TrustStore(bundle.anchors), bundle.policy, bundle.revocation
    else:
        trust, policy, revocation = terms.trust, Policy.ISO_STRICT, Revocation.IF_GIVEN
    verifier = Verifier(
        trust,
        policy=policy if terms.policy is None else terms.policy,
        revocation=revocation if terms.revocation is None else terms.revocation,
        clock_skew=bundle.clock_skew if terms.at is None else timedelta(0),
    )
    given, kept = terms.evidence, bundle.evidence
    evidence = given
    if terms.takes_word:
        evidence = Evidence(crls=given.crls + kept.crls, status_tokens=given.status_tokens + kept.status_tokens)
    context = case.arguments["context"]
    if not terms.takes_word:
        context = replace(context, reader_key=None)
    arguments = {
        **case.arguments,
        "context": context,
        "at": bundle.at if terms.at is None else terms.at,
        "evidence": evidence,
    }
    return _Case(verifier, case.response, arguments)


def _without_secrets(check: Check) -> Check:
    """The check on a deviceMac is open where nobody vouches for the secret; every other check as it is."""
    if check.id != "device_auth.mac" or check.outcome is not Outcome.FAILED:
        return check
    return replace(check, outcome=Outcome.INDETERMINATE, detail=_UNPROVABLE)


def _regraded(check: Check, policy: Policy) -> Check:
    """A recorded check under another policy, which may refuse what the recorded one has tolerated."""
    if any(map(policy.refuses, check.warnings)):
        return replace(check, outcome=Outcome.FAILED)
    return check


def _refusal(report: Report) -> VerificationError:
    """The error for a response that was accepted then, and is refused on the caller's terms."""
    refusing = [check for check in report if report.refuses(check)]
    names = tuple(dict.fromkeys(check.id for check in refusing))
    if names == ("device_auth.mac",):
        return VerificationError(_UNPROVABLE, code="bundle.unprovable", report=report, failed=names)
    first = refusing[0]
    msg = (
        f"accepted by whoever made the bundle, refused on your terms: {first.id}: {first.detail or first.outcome.value}"
    )
    return VerificationError(msg, code="bundle.trust", report=report, failed=report.failed or names)


_ISSUER_GROUPS: Final = ("issuer_auth.", "mso.", "issuer_data.")
_DEVICE_GROUPS: Final = ("device_auth.",)


def _parts(bundle: EvidenceBundle, terms: _Terms, report: Report) -> Iterable[PartProof]:
    """What each part of a bundle rests on, for the caller, by the report on his terms."""
    sealed = terms.signed_by is not None
    word = Voucher.SEALER if sealed else Voucher.NOBODY
    whose = "the owner of the key that signed the bundle" if sealed else "whoever made the bundle"
    own_roots = isinstance(terms.trust, TrustStore)

    issuer = _holds(report, _ISSUER_GROUPS)
    if not issuer:
        yield PartProof(Part.ISSUER, Voucher.NOBODY, "a check of the issuer's signature or its digests refuses")
    elif own_roots:
        yield PartProof(Part.ISSUER, Voucher.PROOF, "the issuer's signature and the digests hold under your roots")
    else:
        yield PartProof(Part.ISSUER, word, f"the roots are those of {whose}")

    # The device key is the one that the issuer names: where that is no proof, neither is a signature by it.
    device_by, detail = word, f"the roots are those of {whose}, and the device key is the one that the issuer names"
    if not _holds(report, _DEVICE_GROUPS):
        device_by, detail = Voucher.NOBODY, _UNPROVABLE if _has_mac(report) else "no device signature holds"
    elif not issuer:
        device_by, detail = Voucher.NOBODY, "the device key is the one that the issuer names, and that does not hold"
    elif _has_mac(report):
        detail = f"that the MAC was made by the device is the word of {whose}"
    elif own_roots:
        device_by, detail = Voucher.PROOF, "the device key signed the session transcript in the bundle"
    yield PartProof(Part.DEVICE, device_by, detail)
    yield PartProof(Part.SESSION, device_by, detail)

    named = bundle.at.isoformat().replace("+00:00", "Z")
    if terms.at is not None:
        yield PartProof(Part.TIME, Voucher.CALLER, f"judged at your time; the bundle names {named}")
    else:
        yield PartProof(Part.TIME, word, f"{named} is the word of {whose}")

    if bundle.request is None:
        yield PartProof(Part.REQUEST, Voucher.NOBODY, "the bundle has no request: what was asked for is not known")
    else:
        yield PartProof(Part.REQUEST, word, f"what was asked for is the word of {whose}")

    if own_roots or terms.policy is not None:
        yield PartProof(
            Part.POLICY, Voucher.CALLER, f"judged under {report.policy.value}; the bundle names {bundle.policy.value}"
        )
    else:
        yield PartProof(Part.POLICY, word, f"{bundle.policy.value} is the choice of {whose}")
    yield _revocation_part(terms, report, word, whose)


def _revocation_part(terms: _Terms, report: Report, word: Voucher, whose: str) -> PartProof:
    outcomes = {check.outcome for check in report if check.id in EVIDENCE_CHECKS}
    determined = bool(outcomes) and outcomes <= {Outcome.PASSED, Outcome.NOT_APPLICABLE}
    if Outcome.FAILED in outcomes:
        return PartProof(Part.REVOCATION, Voucher.NOBODY, "a revocation check refuses")
    if not terms.takes_word and determined:
        return PartProof(Part.REVOCATION, Voucher.CALLER, "not revoked by the evidence that you gave")
    if terms.takes_word and determined:
        return PartProof(Part.REVOCATION, word, f"not revoked by the evidence of {whose}")
    if terms.takes_word:
        return PartProof(Part.REVOCATION, Voucher.NOBODY, "neither your evidence nor the bundle's determines it")
    return PartProof(
        Part.REVOCATION,
        Voucher.NOBODY,
        f"your evidence does not determine it; which lists are in the bundle is the word of {whose}",
    )


def _holds(report: Report, groups: tuple[str, ...]) -> bool:
    """Whether there are checks of these groups, and none of them refuses."""
    checks = [check for check in report if check.id.startswith(groups)]
    return bool(checks) and not any(map(report.refuses, checks))


def _has_mac(report: Report) -> bool:
    """Whether some document is authenticated by a deviceMac."""
    applicable = (Outcome.NOT_APPLICABLE,)
    return any(check.id == "device_auth.mac" and check.outcome not in applicable for check in report)


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
        "signer_purposes": {
            name: None if isinstance(one, AnyPurpose) else sorted(one) for name, one in anchor.signer_purposes.items()
        },
        **({"proof": [[one.der for one in pair] for pair in anchor.proof]} if anchor.proof else {}),
    }


def _anchor(fields: Any) -> TrustAnchor:
    doctypes, since, until = fields["doctypes"], fields["since"], fields["until"]
    if type(fields["signer_purposes"]) is not dict:
        raise _fault("the purposes of an anchor's signers are no map")
    return TrustAnchor(
        certificate=Certificate.decode(fields["certificate"]),
        doctypes=ANY_DOCTYPE if doctypes is None else frozenset(doctypes),
        purpose=Purpose(fields["purpose"]),
        country=fields["country"],
        state=fields["state"],
        since=None if since is None else datetime.fromisoformat(since),
        until=None if until is None else datetime.fromisoformat(until),
        signer_purposes={
            name: ANY_PURPOSE if one is None else frozenset(one) for name, one in fields["signer_purposes"].items()
        },
        proof=_proof(fields.get("proof", [])),
    )


def _proof(pairs: Any) -> tuple[tuple[Certificate, Certificate], ...]:
    if type(pairs) is not list or len(pairs) > _MAX_PROOF:
        raise _fault("the proof of an anchor is no list, or too long")
    return tuple((Certificate.decode(one), Certificate.decode(issuer)) for one, issuer in pairs)


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
    DeviceResponse.decode(_case(bundle).response)
    return bundle, seal


def _read_agreed(fields: Any) -> _Agreed:
    if type(fields) is not list or [*map(type, fields)] not in (
        [bytes, bytes, str, str],
        [bytes, type(None), str, str],
    ):
        raise _fault("an agreed secret of a wrong form")
    return _Agreed(*fields)

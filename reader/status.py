"""Verification of status lists and identifier lists, and the look-up of a security object in them.

Nothing is fetched here. A list is accepted if its signer chains to the root that issued the document signer, or to the
certificate that the security object names. Verification costs some signatures, and the result is remembered by the
bytes of the token; looking up a security object afterwards costs almost nothing.

     (1) decode the token; its ``sub`` is the address in the security object, its kind the kind asked for
     (2) the signature, by the first certificate of the protected x5chain; the algorithm goes with the key's curve
     (3) each certificate is issued by the next: signature, name, key identifier, and the next one is a CA
     (4) the top one is issued by the trust point: the pinned certificate, else the root that issued the signer; the
         pinned certificate itself may stand on top
     (5) the first one is a revocation-list signer by its profile, of the root's country
     (6) the list decodes; its signer is not revoked
     (7) the status at the index, or the identifier
     (8) exp is there; at the time of verification: certificates valid, iat not later, exp not reached; no newer list

A list that passes (1) to (6) and says "revoked" refuses the document whatever (8) finds: revocation is final, so an old
list is as good as a new one. If a list says "suspended", the newest list decides. A list that neither revokes nor
clears counts as absent (docs/adr/0017).

Spec:
    18013-5 second edition (draft) 12.3.6; pki.md §2.8 and §7.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from mdl.errors import DecodeError, MdlError, VerificationError
from mdl.pki import (
    REVOCATION_LIST_SIGNER,
    Certificate,
    KeyUsage,
    Profile,
    lint_certificate,
)
from mdl.pki.rules import CERTIFICATE_RULES
from mdl.status import (
    IdentifierList,
    IdentifierListInfo,
    ListKind,
    StatusInfo,
    StatusList,
    StatusListInfo,
    StatusReference,
    StatusToken,
)
from reader.report import Outcome
from reader.revocation import Age, CrlJudge, Evidence, Judgement, noted

__all__ = ["StatusJudge", "VerifiedList", "verify_status_token"]

_CLAUSE: Final = "18013-5 second edition (draft) 12.3.6"

# What is remembered: tokens and the lists inside, by the bytes that they take, of which these are estimates.
_MAX_REMEMBERED_BYTES: Final = 128 * 1024 * 1024
_MAX_TOKENS: Final = 4096
_TOKEN_COST: Final = 1024
_CHAIN_COST: Final = 16 * 1024
_IDENTIFIER_COST: Final = 128
# A token is for one root or a few pinned certificates; strangers can make certificates up without end.
_MAX_TRUST_POINTS: Final = 8

_INTERMEDIATE: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="revocation-list-ca",
    title="CA between the trust point and a revocation-list signer",
    clause="RFC 5280 6.1.4",
    edition="no profile in 18013-5; RFC 5280",
    ca=True,
    subject=(),
    key_kinds=frozenset({"EC"}),
    key_usage=frozenset({KeyUsage.KEY_CERT_SIGN}),
    longest_validity=None,
    extensions={},
)
# The table of the signer's profile wants an EC key (one source), the rules for the list allow EdDSA (several).
_KEY_TYPE_RULE: Final = "revocation-list.key.type"
_DEVIATIONS: Final = {
    "typ.short": "typ is in its short form",
    "typ.claim": "typ is among the claims and not in the header",
    "ttl": "ttl is no positive number of seconds, and is not used",
}
_PLACE_RULES: Final = frozenset(("revocation-list.issuer.country", "revocation-list.issuer.state"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedList:
    """A list whose signer is authorised; `refusal` says whether it may be used at a given time.

    Attributes:
        content: The list.
        issued_at: ``iat``.
        begins: The start of the token's validity, inclusive: the later of ``iat`` and ``nbf``.
        expires: ``exp``: the end of the token's use, exclusive; None if it is missing, and then the list clears
            nothing.
        ttl: How long a copy may be kept before a newer one is looked for, or None.
        not_before: The start of the validity of all certificates, inclusive.
        not_after: The end of the validity of all certificates, inclusive.
        chain: Certificate and issuer, from the list signer to the trust point.
        deviations: Harmless deviations: code ``status.…`` and detail.
    """

    content: StatusList | IdentifierList
    issued_at: datetime
    begins: datetime
    expires: datetime | None
    ttl: timedelta | None
    not_before: datetime
    not_after: datetime
    chain: tuple[tuple[Certificate, Certificate], ...]
    deviations: tuple[tuple[str, str], ...]

    @property
    def age(self) -> Age:
        """When it was issued."""
        return Age(self.issued_at)

    def is_early(self, at: datetime, skew: timedelta = timedelta(0)) -> bool:
        """Whether the list is from the future; `skew` is the tolerance for the clock."""
        return self.begins - at > skew

    def refusal(self, at: datetime, skew: timedelta = timedelta(0)) -> str | None:
        """The reason why the list clears nothing at that time, or None; `skew` is the tolerance for the clock."""
        if self.expires is None:
            return "the status list does not say when it expires"
        if at - self.expires >= skew:
            return "the status list has expired"
        if self.is_early(at, skew):
            return "the status list is from the future"
        if self.not_before - at > skew or at - self.not_after > skew:
            return "a certificate of the status list is not valid"
        return None


def verify_status_token(token: StatusToken, *, issuer: Certificate, certificate: bytes | None = None) -> VerifiedList:
    """Verify the signer of a list, and decode the list: steps (2) to (6).

    Args:
        token: The token.
        issuer: The root that issued the document signer.
        certificate: The certificate that the security object names (DER), or None.

    Raises:
        VerificationError: The signer is not authorised (codes ``status.…``, ``signature.…``).
        UnsupportedError: The standard does not have an algorithm or key.
        DecodeError: A certificate or the list is malformed.
    """
    if not token.x5chain:
        raise _refused("the status list's protected header has no certificate", "status.x5chain")
    ders = token.x5chain
    if len(ders) > 1 and ders[-1] == certificate:
        # Trust comes from the security object that names it, not from here; whether it is self-signed is all the same.
        ders = ders[:-1]
    chain = [Certificate.decode(der) for der in ders]
    leaf = chain[0]
    token.message.verify(leaf.public_key)
    trust_point = issuer if certificate is None else Certificate.decode(certificate)
    issuers = [*chain[1:], trust_point]
    deviations = {f"status.{name}": _DEVIATIONS[name] for name in token.deviations}
    for index, (subject, above) in enumerate(zip(chain, issuers, strict=True)):
        try:
            subject.verify_signature(above.public_key)
        except MdlError as exc:
            raise _refused("the status list's chain does not lead to its trust point", "status.chain") from exc
        _check_profile(subject, above, is_leaf=index == 0, deviations=deviations)
        if index and not _permits(subject, index - 1):
            raise _refused("the status list's chain is longer than one of its CAs permits", "status.chain")
    between = sum(1 for one in chain[1:] if one.der != trust_point.der)
    if not _permits(trust_point, between):
        # A trust point is a name and a key (RFC 5280 6.1.1): what it has signed is its own word.
        deviations["status.path_length"] = "the trust point permits no CA below it, and there is one"
    if certificate is None and len(chain) > 1:
        for finding in lint_certificate(leaf, REVOCATION_LIST_SIGNER, issuer=issuer, with_signature=False):
            if finding.rule in _PLACE_RULES:
                raise _refused(f"the status list's signer: {finding.rule}", "status.profile")
    everyone = [*chain, trust_point]
    return VerifiedList(
        content=token.decode_list(),
        issued_at=token.issued_at,
        begins=max(token.issued_at, token.not_before or token.issued_at),
        expires=token.expires,
        ttl=token.ttl,
        not_before=max(one.not_before for one in everyone),
        not_after=min(one.not_after for one in everyone),
        chain=tuple(zip(chain, issuers, strict=True)),
        deviations=tuple(deviations.items()),
    )


def _refused(message: str, code: str) -> VerificationError:
    return VerificationError(message, code=code, clause=_CLAUSE)


def _check_profile(subject: Certificate, above: Certificate, *, is_leaf: bool, deviations: dict[str, str]) -> None:
    profile = REVOCATION_LIST_SIGNER if is_leaf else _INTERMEDIATE
    for finding in lint_certificate(subject, profile, issuer=above, with_signature=False):
        tolerated = finding.rule == _KEY_TYPE_RULE and subject.public_key.curve.kind == "OKP"
        if finding.security and not tolerated:
            raise _refused(f"the status list's signer or its CA breaks its profile: {finding.rule}", "status.profile")
        deviations.setdefault("status.profile", f"the status list's signer or its CA deviates: {finding.rule}")


def _permits(certificate: Certificate, below: int) -> bool:
    constraints = certificate.basic_constraints
    return constraints is None or constraints.path_length is None or below <= constraints.path_length


# --- the judge --------------------------------------------------------------------------------------------------------

_VALID: Final = Judgement(Outcome.PASSED)
_REVOKED: Final = "the issuing authority has revoked the document"
_SUSPENDED: Final = "the issuing authority has suspended the document"
_OTHER: Final = "the status list says something else than valid"


@dataclass(slots=True, eq=False)
class _Known:
    """A remembered token with the results of its verification.

    Attributes:
        place: Kind and address, or None if the bytes are no token.
        problem: The reason why they are no token.
        size: About how many bytes of memory the entry takes.
        verified: The verified list by trust point: root and pinned certificate.
    """

    place: tuple[ListKind, str] | None
    problem: str
    size: int
    verified: OrderedDict[tuple[bytes, bytes | None], VerifiedList] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class _AtHand:
    """The tokens of one `Evidence`, by kind and address.

    Attributes:
        places: The tokens for each kind and address.
        addresses: The addresses of all of them.
        problem: The reason why a token does not decode, so that its address is unknown; empty if all tokens decode.
    """

    places: dict[tuple[ListKind, str], tuple[bytes, ...]]
    addresses: frozenset[str]
    problem: str


class StatusJudge:
    """Judges whether a security object is revoked, and remembers verified tokens. Threads may share a judge."""

    def __init__(
        self,
        *,
        skew: timedelta = timedelta(0),
        max_bytes: int = _MAX_REMEMBERED_BYTES,
        crls: CrlJudge | None = None,
    ) -> None:
        """Create a judge.

        Args:
            skew: The tolerance for the clock.
            max_bytes: About how many bytes of tokens and lists to remember.
            crls: The judge of the lists' signers; None creates one with the same skew.
        """
        self._skew = skew
        self._crls = CrlJudge(skew=skew) if crls is None else crls
        self._max_bytes = max_bytes
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def judge(self, status: Any, issuer: Certificate, evidence: Evidence, at: datetime) -> Judgement:
        """Judge a security object by the tokens at hand.

        Args:
            status: Its ``status`` member as decoded; not None.
            issuer: The root that issued the document signer.
            evidence: The evidence at hand; tokens for other addresses are ignored, and a list whose signer is revoked
                by one of the CRLs is not accepted.
            at: The time of verification.

        Returns:
            FAILED if an authentic list says "revoked" (an expired list counts too: revocation is final), if the newest
            list says "suspended", or if the status member is malformed. PASSED if, for every list that the status
            member names, the newest copy is fresh and says "valid". INDETERMINATE otherwise, with the reason.
        """
        try:
            reference = StatusReference.decode(status)
        except DecodeError as exc:
            return Judgement(Outcome.FAILED, f"the status member is malformed: {exc}")
        at_hand = noted(evidence, "status_tokens", self._sort)
        results = [self._look_up(info, issuer, at_hand, at, evidence) for info in reference.lists]
        if not results:
            return Judgement(Outcome.INDETERMINATE, "the status member names no kind of list that is known here")
        if len(results) > 1 or reference.unknown:
            return _combined(results, reference)
        return results[0]

    def _look_up(
        self, info: StatusInfo, issuer: Certificate, at_hand: _AtHand, at: datetime, evidence: Evidence
    ) -> Judgement:
        """Look up one place in every token for its address."""
        reasons: list[str] = []
        suspended: Age | None = None
        valid: list[VerifiedList] = []
        for data in at_hand.places.get((info.kind, info.uri), ()):
            try:
                found = self._verified(data, issuer, info.certificate)
                if evidence.crls and self._is_signer_revoked(found, evidence, at):
                    # Whoever holds that key now says what he likes, of honest documents too.
                    raise _refused("the status list's signer is revoked", "status.signer_revoked")
                status = _status(info, found.content)
            except MdlError as exc:
                reasons.append(str(exc))
                continue
            if status is _SUSPENDED:
                suspended = found.age if suspended is None else max(suspended, found.age)
            elif status is not None:
                return Judgement(Outcome.FAILED, status)
            elif found.expires is None or found.is_early(at, self._skew):
                reasons.append(found.refusal(at, self._skew) or "")
            else:
                valid.append(found)
        newest = max([found.age for found in valid], default=None)
        if suspended is not None and (newest is None or suspended >= newest):
            return Judgement(Outcome.FAILED, _SUSPENDED)
        usable = None
        for found in valid:
            if found.age == newest:
                refusal = found.refusal(at, self._skew)
                if refusal is not None:
                    reasons.append(refusal)
                elif usable is None or found.deviations < usable.deviations:
                    usable = found
        if usable is not None:
            return Judgement(Outcome.PASSED, deviations=usable.deviations) if usable.deviations else _VALID
        return Judgement(Outcome.INDETERMINATE, min(reasons) if reasons else _absence(info, at_hand))

    def _is_signer_revoked(self, found: VerifiedList, evidence: Evidence, at: datetime) -> bool:
        return any(
            self._crls.judge(certificate, above, evidence, at).outcome is Outcome.FAILED
            for certificate, above in found.chain
        )

    def _verified(self, data: bytes, issuer: Certificate, certificate: bytes | None) -> VerifiedList:
        known = self._known.get(data)
        trust_point = (issuer.der, certificate)
        found = None if known is None else known.verified.get(trust_point)
        if found is None:
            # What fails is not remembered: strangers must not push out what holds.
            found = verify_status_token(StatusToken.decode(data), issuer=issuer, certificate=certificate)
            with self._lock:
                known = self._known.get(data)
                if known is not None and trust_point not in known.verified:
                    known.verified[trust_point] = found
                    size = _size(found)
                    if len(known.verified) > _MAX_TRUST_POINTS:
                        size -= _size(known.verified.popitem(last=False)[1])
                    known.size += size
                    self._size += size
                    self._forget()
        return found

    def _sort(self, evidence: Evidence) -> _AtHand:
        """Sort tokens by kind and address; a remembered token is not decoded again."""
        places: dict[tuple[ListKind, str], tuple[bytes, ...]] = {}
        problem = ""
        for data in dict.fromkeys(evidence.status_tokens):
            known = self._known.get(data)
            if known is None:
                known = _known(data)
            with self._lock:
                if data not in self._known:
                    self._known[data] = known
                    self._size += known.size
                self._known.move_to_end(data)
                self._forget()
            if known.place is None:
                problem = min(filter(None, (problem, known.problem)))
            else:
                places[known.place] = (*places.get(known.place, ()), data)
        return _AtHand(places, frozenset(uri for _, uri in places), problem)

    def _forget(self) -> None:
        """Forget the least recently used tokens; the newest token stays, whatever its size."""
        while len(self._known) > 1 and (self._size > self._max_bytes or len(self._known) > _MAX_TOKENS):
            self._size -= self._known.popitem(last=False)[1].size


def _combined(results: Sequence[Judgement], reference: StatusReference) -> Judgement:
    """Combine the results of all lists that a security object names: each must pass."""
    for outcome in (Outcome.FAILED, Outcome.INDETERMINATE):
        for one in results:
            if one.outcome is outcome:
                return one
    deviations = dict(deviation for one in results for deviation in one.deviations)
    if reference.unknown:
        deviations["status.unknown"] = "the status member also names a kind of list that is not known here"
    return Judgement(Outcome.PASSED, deviations=tuple(deviations.items()))


def _known(data: bytes) -> _Known:
    try:
        token = StatusToken.decode(data)
    except DecodeError as exc:
        return _Known(None, f"a status token does not decode: {exc}", _TOKEN_COST + len(data))
    return _Known((token.kind, token.subject), "", _TOKEN_COST + len(data))


def _absence(info: StatusInfo, at_hand: _AtHand) -> str:
    """The reason why no list is at hand."""
    if info.uri in at_hand.addresses:
        return "the token for that address holds another kind of list"
    absent = "no status list at hand for this address"
    return f"{absent}; {at_hand.problem}" if at_hand.problem else absent


def _size(found: VerifiedList) -> int:
    """About how many bytes a verified list takes beside its token."""
    content = found.content
    return _CHAIN_COST + (
        len(content.packed) if isinstance(content, StatusList) else _IDENTIFIER_COST * len(content.identifiers)
    )


def _status(info: StatusInfo, content: StatusList | IdentifierList) -> str | None:
    """The statement of a list about a security object, or None for "valid".

    Raises:
        VerificationError: The list has no statement about it.
    """
    if isinstance(info, StatusListInfo) and isinstance(content, StatusList):
        status = content.status(info.index)
        if status:
            return {1: _REVOKED, 2: _SUSPENDED}.get(status, _OTHER)
        if content.bits == 1:
            return None
        raise _refused("a status list for mdocs has one bit for each", "status.bits")
    if isinstance(info, IdentifierListInfo) and isinstance(content, IdentifierList):
        return _REVOKED if info.identifier in content else None
    raise _refused("the token holds another kind of list", "status.kind")

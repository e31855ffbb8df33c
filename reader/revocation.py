"""Revocation evidence: what the reader has at hand, and what it says about a certificate.

Nothing is fetched here. Each list is asked two questions, each with conditions of its own (docs/adr/0017):

- Does it *revoke*? It does where the issuer's key has signed it and it lists the certificate, whatever else is wrong.
- Does it *clear*? It does where it is fresh, its form leaves nothing open, it covers the certificate and lists it not,
  and no newer list that could clear is at hand.

A list that does neither counts as absent. A *suspended* certificate is one that the newest list says is on hold.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar, cast

from mdl.errors import DecodeError, MdlError
from mdl.keys import UnsafePostQuantum
from mdl.pki import Certificate, Crl, CrlEnvelope, Listing, Severity, lint_crl
from reader.report import Outcome

T = TypeVar("T")

__all__ = ["LONGEST_CRL_AGE", "MAX_CLOCK_SKEW", "NO_EVIDENCE", "CrlJudge", "Evidence"]

MAX_CLOCK_SKEW: Final = timedelta(seconds=60)
"""Largest clock skew that can be allowed for, inclusive."""

LONGEST_CRL_AGE: Final = timedelta(days=90)
"""For how long a CRL is fresh at most, inclusive, whatever its nextUpdate says: by then a newer one is due."""

# What is remembered of CRLs by their bytes, in bytes; of these the costs are estimates.
_MAX_REMEMBERED_BYTES: Final = 64 * 1024 * 1024
_CRL_COST: Final = 8 * 1024
_COST_OF_READING: Final = 5
# A list is of one issuer; some more may share its key or its name.
_MAX_ISSUERS: Final = 256
# How many certificates are looked up in the lists at hand once and for all: as many as a verifier remembers signers.
_MAX_CERTIFICATES: Final = 1024
# What is wrong with a list that the issuer's own key has signed, but under another name or key identifier.
_NAMING_RULES: Final = frozenset(("crl.issuer.name", "crl.aki.mismatch"))
# What the profile forbids and the scope of a list explains: see `mdl.pki.CrlScope`.
_PARTIAL_RULE: Final = "crl.extension.partial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Revocation evidence at hand.

    Reuse the object where the evidence is the same: its lists are sorted by issuer once.

    Attributes:
        crls: Certificate revocation lists, DER or PEM; those that neither name an issuer in question nor its key are
            ignored, and one that does not decode counts as absent.
        status_tokens: Status list tokens, CWT.
    """

    crls: tuple[bytes, ...] = ()
    status_tokens: tuple[bytes, ...] = ()
    _notes: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no tuple of bytes: evidence that is held the wrong way would count as absent.

        Raises:
            TypeError: It is not.
        """
        if not (_is_tuple_of_bytes(self.crls) and _is_tuple_of_bytes(self.status_tokens)):
            msg = "evidence is a tuple of bytes"
            raise TypeError(msg)

    def __reduce__(self) -> tuple[Any, ...]:
        return _evidence, (self.crls, self.status_tokens)


def _evidence(crls: tuple[bytes, ...], status_tokens: tuple[bytes, ...]) -> Evidence:
    return Evidence(crls=crls, status_tokens=status_tokens)


def _is_tuple_of_bytes(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, bytes) for one in value)


def noted(evidence: Evidence, name: str, make: Callable[[Evidence], T]) -> T:
    """What follows from an evidence object's bytes, made once and kept for as long as the object is."""
    found = evidence._notes.get(name)  # noqa: SLF001 - the class of this module
    if found is None:
        found = evidence._notes[name] = make(evidence)  # noqa: SLF001
    return cast("T", found)


NO_EVIDENCE: Final = Evidence()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence says.

    Attributes:
        outcome: Not revoked (PASSED), revoked or suspended (FAILED), or nothing to go by (INDETERMINATE).
        detail: Why.
        deviations: What does not matter for the outcome and is the policy's to grade: code and detail.
        until: Where it is not revoked, until when the lists at hand say so, inclusive, without the clock's skew.
    """

    outcome: Outcome
    detail: str = ""
    deviations: tuple[tuple[str, str], ...] = ()
    until: datetime | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """The codes of the deviations."""
        return tuple(code for code, _ in self.deviations)


# --- what is read of a list -------------------------------------------------------------------------------------------


class Age(NamedTuple):
    """When a list was issued; of two, the greater one is the newer."""

    issued_at: datetime
    number: int = -1


@dataclass(frozen=True, slots=True)
class IssuersWord:
    """A CRL as the word of one issuer, with what does not depend on the time.

    Attributes:
        crl: The list up to its entries.
        revoked: The serial numbers that it revokes for good.
        others: The serial numbers of which it says something else.
        refusal: Why it clears nobody, or None.
        is_misnamed: Whether that is since it is under another name or key identifier.
        releases: Whether it may take somebody off hold: nothing is wrong with it but that it is no complete list.
        deviation: In what way that no forger gains by it deviates from its profile: code of the policy and detail; None
            where it does not.
        age: When it was issued.
        until: Until when it clears, inclusive; None where it does not say.
    """

    crl: CrlEnvelope
    revoked: frozenset[int]
    others: dict[int, Listing]
    refusal: str | None
    is_misnamed: bool
    releases: bool
    deviation: tuple[str, str] | None
    age: Age = field(init=False)
    until: datetime | None = field(init=False)

    def __post_init__(self) -> None:
        crl = self.crl
        until = crl.next_update
        if until is not None and until - crl.this_update > LONGEST_CRL_AGE:
            until = crl.this_update + LONGEST_CRL_AGE
        object.__setattr__(self, "age", Age(crl.this_update, -1 if crl.number is None else crl.number))
        object.__setattr__(self, "until", until)

    def listing(self, serial: int) -> Listing | None:
        """What it says of the issuer's certificate of that serial number."""
        return Listing.REVOKED if serial in self.revoked else self.others.get(serial)


class KnownCrl:
    """What has been read of a CRL by its bytes: whose it may be, and once its signature is verified, what it says.

    Attributes:
        data: The list, DER or PEM.
        envelope: The list up to its entries, or None where it does not decode.
        problem: Why it does not.
    """

    __slots__ = ("_words", "data", "envelope", "problem")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.envelope: CrlEnvelope | None = None
        self.problem = ""
        self._words: dict[tuple[bytes, bool], IssuersWord | str] = {}
        try:
            self.envelope = CrlEnvelope.decode_any(data)
        except DecodeError as exc:
            self.problem = f"a revocation list does not decode: {exc}"

    @property
    def cost(self) -> int:
        """About how many bytes it takes to remember."""
        readings = sum(1 for word in self._words.values() if isinstance(word, IssuersWord))
        return _CRL_COST + len(self.data) * (2 + _COST_OF_READING * readings)

    def word_of(self, issuer: Certificate, post_quantum: UnsafePostQuantum | None = None) -> IssuersWord | str:
        """The list as the word of that issuer, or why it is none.

        Args:
            issuer: The issuer.
            post_quantum: Asks for the rehearsal: the list may be signed with ML-DSA.
        """
        key = issuer.der, post_quantum is None
        word = self._words.get(key)
        if word is None:
            for oldest in list(self._words)[: len(self._words) + 1 - _MAX_ISSUERS]:
                self._words.pop(oldest, None)
            word = self._words[key] = self._read(issuer, post_quantum)
            _MEMORY.settle(self)
        return word

    def _read(self, issuer: Certificate, post_quantum: UnsafePostQuantum | None) -> IssuersWord | str:
        if self.envelope is None:
            return self.problem
        try:
            self.envelope.verify_signature(issuer.key_for(post_quantum))
        except MdlError:
            return "the signature of the revocation list in the root's name does not verify with the root's key"
        try:
            crl = Crl.decode(self.envelope.der, owner=issuer.subject)
        except DecodeError as exc:
            return f"a revocation list does not decode: {exc}"
        refusal = deviation = None
        is_misnamed, releases = False, True
        for finding in lint_crl(crl, issuer=issuer, with_signature=False, post_quantum=post_quantum):
            explained = finding.rule == _PARTIAL_RULE and not (crl.is_delta or crl.scope.is_open)
            if finding.security and not explained:
                # It clears nobody, and yet it is the issuer's word on those that it lists.
                refusal = refusal or f"the revocation list breaks its profile: {finding.rule}"
                is_misnamed = is_misnamed or finding.rule in _NAMING_RULES
                releases = releases and finding.rule == _PARTIAL_RULE
            code = "crl.profile" if finding.severity is Severity.ERROR else "crl.profile.minor"
            if deviation is None or (code == "crl.profile" and deviation[0] != code):
                # The gravest is the one that counts, and that is named.
                deviation = code, f"the revocation list deviates from its profile: {finding.rule}"
        revoked = crl.revoked_for_good
        listed = ((serial, crl.listing(serial)) for serial in crl.revoked.keys() - revoked)
        others = {serial: listing for serial, listing in listed if listing is not None}
        return IssuersWord(self.envelope, revoked, others, refusal, is_misnamed, releases, deviation)


class _Memory:
    """CRLs by their bytes, within a bound of bytes. Threads share it, and so do all verifiers: bytes are bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._known: OrderedDict[bytes, tuple[KnownCrl, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, data: bytes) -> KnownCrl:
        """The CRL of those bytes."""
        with self._lock:
            found = self._known.get(data)
            if found is not None:
                self._known.move_to_end(data)
                return found[0]
        known = KnownCrl(data)
        with self._lock:
            if data not in self._known:
                self._put(known)
        return known

    def settle(self, known: KnownCrl) -> None:
        """Count anew what a CRL takes, of which more was read."""
        with self._lock:
            found = self._known.get(known.data)
            if found is not None and found[0] is known:
                self._size -= found[1]
                self._put(known)

    def _put(self, known: KnownCrl) -> None:
        cost = known.cost
        self._known[known.data] = known, cost
        self._known.move_to_end(known.data)
        self._size += cost
        while self._size > self._max_bytes and len(self._known) > 1:
            self._size -= self._known.popitem(last=False)[1][1]


_MEMORY: Final = _Memory(_MAX_REMEMBERED_BYTES)


def known_crl(data: bytes) -> KnownCrl:
    """What is known of those bytes, read now or remembered."""
    return _MEMORY.get(data)


class _Word(NamedTuple):
    """What one list says about one certificate, as far as that does not depend on the time.

    Attributes:
        word: The list.
        listing: What it lists the certificate as, or None: not at all.
        refusal: Why it does not clear the certificate, whatever its age, or None.
        releases: Whether it may take the certificate off hold.
    """

    word: IssuersWord
    listing: Listing | None
    refusal: str | None
    releases: bool


class _Said(NamedTuple):
    """What the CRLs at hand say about one certificate, as far as that does not depend on the time.

    Attributes:
        is_revoked: Whether one revokes it; then nothing else counts.
        words: The lists of its issuer.
        reasons: Why others are not the issuer's, by weight.
    """

    is_revoked: bool
    words: tuple[_Word, ...] = ()
    reasons: tuple[tuple[int, str], ...] = ()


class _AtHand:
    """The CRLs of one `Evidence` by whose they may be. What is read of them lives as long as it does."""

    __slots__ = ("_by_key", "_by_name", "_problem", "_said")

    def __init__(self, evidence: Evidence) -> None:
        # By what the name says: a list in the issuer's name, but in other string types, may revoke.
        self._by_name: dict[tuple[tuple[str, str | None], ...], list[KnownCrl]] = {}
        self._by_key: dict[bytes, list[KnownCrl]] = {}
        self._problem = ""
        self._said: dict[tuple[bytes, bytes, bool], _Said] = {}
        for data in dict.fromkeys(evidence.crls):
            known = known_crl(data)
            if known.envelope is None:
                self._problem = min(filter(None, (self._problem, known.problem)))
                continue
            self._by_name.setdefault(known.envelope.issuer.folded, []).append(known)
            identifier = known.envelope.authority_key_identifier
            if identifier is not None:
                self._by_key.setdefault(identifier, []).append(known)

    def say(self, certificate: Certificate, issuer: Certificate, post_quantum: UnsafePostQuantum | None) -> _Said:
        """What they say about a certificate of that issuer; see `CrlJudge` for `post_quantum`."""
        key = certificate.der, issuer.der, post_quantum is None
        said = self._said.get(key)
        if said is None:
            for oldest in list(self._said)[: len(self._said) + 1 - _MAX_CERTIFICATES]:
                self._said.pop(oldest, None)
            said = self._said[key] = self._look_up(certificate, issuer, post_quantum)
        return said

    def _look_up(self, certificate: Certificate, issuer: Certificate, post_quantum: UnsafePostQuantum | None) -> _Said:
        reasons = [(2, self._problem)] if self._problem else []
        words: list[_Word] = []
        for known in self._of(issuer):
            word = known.word_of(issuer, post_quantum)
            if isinstance(word, str):
                reasons.append((1, word))
                continue
            listing = word.listing(certificate.serial)
            if listing is Listing.REVOKED:
                return _Said(is_revoked=True)
            covers = word.crl.scope.covers(certificate)
            refusal = word.refusal
            if refusal is None and not covers:
                refusal = "the revocation list is for other certificates: its distribution point is none of this one's"
            words.append(_Word(word, listing, refusal, word.releases and covers))
        return _Said(is_revoked=False, words=tuple(words), reasons=tuple(reasons))

    def _of(self, issuer: Certificate) -> list[KnownCrl]:
        """Those in the issuer's name, and those that name its key; what does neither is not worth a verification."""
        found = self._by_name.get(issuer.subject.folded, [])
        identifier = issuer.subject_key_identifier
        if identifier is None:
            return found
        return found + [one for one in self._by_key.get(identifier, ()) if one not in found]


def demand_moment(name: str, value: object) -> None:
    """Refuse what is no moment at the door, so that the error names the argument.

    Raises:
        TypeError: It is no datetime.
        ValueError: It is naive.
    """
    if not isinstance(value, datetime):
        msg = f"{name}: expected datetime, not {type(value).__name__}"
        raise TypeError(msg)
    if value.utcoffset() is None:
        msg = f"{name}: the time of verification is an aware datetime, not a naive one"
        raise ValueError(msg)


# --- the judge --------------------------------------------------------------------------------------------------------


class CrlJudge:
    """Says whether a certificate is revoked. Threads may share one."""

    def __init__(self, *, skew: timedelta = timedelta(0), post_quantum: UnsafePostQuantum | None = None) -> None:
        """Fix how to judge.

        Args:
            skew: How far the clock may be off.
            post_quantum: Asks for the rehearsal: CRLs may be signed with ML-DSA.
        """
        self._skew = skew
        self._post_quantum = post_quantum

    def judge(self, certificate: Certificate, issuer: Certificate, evidence: Evidence, at: datetime) -> Judgement:
        """Judge a certificate by the CRLs at hand.

        Args:
            certificate: The certificate in question.
            issuer: The certificate that issued it.
            evidence: The evidence at hand.
            at: The time of verification.

        Returns:
            FAILED if a CRL that the issuer's key has signed lists the certificate (an old one does too: revocation is
            final), or the newest one that says something about it says that it is on hold. PASSED if the newest one
            that can clear is fresh and does not list it. INDETERMINATE otherwise, with the reason.

        Spec:
            18013-5 first edition B.3; pki.md §4.
        """
        said = noted(evidence, "crls", _AtHand).say(certificate, issuer, self._post_quantum)
        if said.is_revoked:
            return Judgement(Outcome.FAILED, "the certificate is revoked")
        reasons = [*said.reasons]
        candidates: list[IssuersWord] = []
        suspended: Age | None = None
        released: Age | None = None
        for word, listing, refusal, releases in said.words:
            is_early = word.crl.this_update - at > self._skew
            if listing is Listing.SUSPENDED:
                suspended = word.age if suspended is None else max(suspended, word.age)
            elif listing is Listing.REMOVED:
                if releases and not is_early:
                    released = word.age if released is None else max(released, word.age)
            elif refusal is None and not is_early:
                candidates.append(word)
            if refusal is not None:
                reasons.append((0, refusal))
            elif is_early:
                reasons.append((0, "the revocation list is from the future"))
        current = candidates if len(candidates) < 2 else _newest(candidates)
        newest = current[0].age if current else None
        if suspended is not None:
            if all(other is None or suspended >= other for other in (newest, released)):
                return Judgement(Outcome.FAILED, "the certificate is suspended")
            current = [word for word in current if word.age > suspended]
        until: datetime | None = None
        deviation = "", ""
        for word in current:
            if word.until is not None and at - word.until <= self._skew:
                own = word.deviation or ("", "")
                deviation = own if until is None else min(deviation, own)
                until = word.until if until is None else max(until, word.until)
        if until is not None:
            code, detail = deviation
            return Judgement(Outcome.PASSED, detail, (deviation,) if code else (), until)
        if current:
            reasons.append((0, "the revocation list is stale"))
        if reasons:
            return Judgement(Outcome.INDETERMINATE, min(reasons)[1])
        return Judgement(Outcome.INDETERMINATE, "no revocation list of the root at hand")

    def judge_all(
        self, pairs: Iterable[tuple[Certificate, Certificate]], evidence: Evidence, at: datetime
    ) -> Judgement:
        """Judge certificates of which none may be revoked, each with the certificate that issued it.

        Args:
            pairs: The certificates in question, and their issuers; where there is none, nothing is revoked.
            evidence: The evidence at hand.
            at: The time of verification.

        Returns:
            FAILED if one of them is revoked or suspended, else INDETERMINATE if one of them is not cleared, else PASSED
            with the deviations of all, until the first of them is not cleared any more.
        """
        undetermined: Judgement | None = None
        deviations: dict[str, str] = {}
        ends: list[datetime] = []
        for certificate, issuer in pairs:
            found = self.judge(certificate, issuer, evidence, at)
            if found.outcome is Outcome.FAILED:
                return found
            if found.outcome is Outcome.INDETERMINATE:
                undetermined = undetermined or found
            for code, detail in found.deviations:
                deviations.setdefault(code, detail)
            if found.until is not None:
                ends.append(found.until)
        if undetermined is not None:
            return undetermined
        detail = next(iter(deviations.values()), "")
        return Judgement(Outcome.PASSED, detail, tuple(deviations.items()), min(ends, default=None))


def _newest(words: list[IssuersWord]) -> list[IssuersWord]:
    newest = max(word.age for word in words)
    return [word for word in words if word.age == newest]


def claims_issuer(crl: CrlEnvelope, issuer: Certificate) -> bool:
    """Whether a CRL is in an issuer's name, or names its key."""
    key_identifier = issuer.subject_key_identifier
    return crl.issuer.resembles(issuer.subject) or (
        key_identifier is not None and crl.authority_key_identifier == key_identifier
    )

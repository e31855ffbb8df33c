"""Revocation evidence that a reader has, and its statement about a certificate.

Nothing is fetched here. Each list is asked two questions, each with conditions of its own (docs/adr/0017):

- Does it *revoke*? Yes, if the issuer's key signed it and it lists the certificate, whatever else is wrong with it.
- Does it *clear*? Yes, if it is fresh, its form leaves no doubt, it covers the certificate, does not list it, and no
  newer list that could clear is at hand.

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
"""Longest time that a CRL is fresh, inclusive, whatever its nextUpdate says: by then a newer list is due."""

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

    Reuse the object for the same evidence: it sorts its lists by issuer only once.

    Attributes:
        crls: Certificate revocation lists, DER or PEM. A list that names neither an issuer in question nor its key is
            ignored; a list that does not decode counts as absent.
        status_tokens: Status list tokens, CWT.
    """

    crls: tuple[bytes, ...] = ()
    status_tokens: tuple[bytes, ...] = ()
    _notes: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Reject arguments of the wrong type, which would otherwise count as absent evidence.

        Raises:
            TypeError: An argument is not a tuple of bytes.
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
    """A value derived from an evidence object, computed once and kept as long as the object lives."""
    found = evidence._notes.get(name)  # noqa: SLF001 - the class of this module
    if found is None:
        found = evidence._notes[name] = make(evidence)  # noqa: SLF001
    return cast("T", found)


NO_EVIDENCE: Final = Evidence()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of judging a certificate or status by the evidence.

    Attributes:
        outcome: PASSED for not revoked, FAILED for revoked or suspended, INDETERMINATE if the evidence does not decide.
        detail: The reason.
        deviations: Deviations that do not change the outcome, for the policy to grade: code and detail.
        until: If not revoked, the time until which the lists at hand say so, inclusive, without clock skew.
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
    """The time of issue and the number of a list. The greater of two ages is that of the newer list."""

    issued_at: datetime
    number: int = -1


@dataclass(frozen=True, slots=True)
class IssuersWord:
    """A CRL as the statement of one issuer, without what depends on the time.

    Attributes:
        crl: The list up to its entries.
        revoked: The serial numbers that it revokes for good.
        others: The serial numbers that have another entry.
        refusal: The reason why the list clears no certificate, or None.
        is_misnamed: Whether the reason is another issuer name or key identifier.
        releases: Whether the list may end a suspension: its only defect is that it is not a complete list.
        deviation: A deviation from the profile that no forger gains by, as policy code and detail, or None.
        age: The age of the list.
        until: The time until which it clears, inclusive, or None if the list does not say.
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
        """The entry for a serial number of the issuer."""
        return Listing.REVOKED if serial in self.revoked else self.others.get(serial)


class KnownCrl:
    """A decoded CRL: its possible issuers and, after its signature was verified, its statement.

    Attributes:
        data: The list, DER or PEM.
        envelope: The list up to its entries, or None where it does not decode.
        problem: The reason why it does not decode.
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
        """About how many bytes of memory the entry takes."""
        readings = sum(1 for word in self._words.values() if isinstance(word, IssuersWord))
        return _CRL_COST + len(self.data) * (2 + _COST_OF_READING * readings)

    def word_of(self, issuer: Certificate, post_quantum: UnsafePostQuantum | None = None) -> IssuersWord | str:
        """The list as the statement of an issuer, or the reason why it is not.

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
    """A cache of decoded CRLs by their bytes, bounded in bytes. All threads and verifiers share it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._known: OrderedDict[bytes, tuple[KnownCrl, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, data: bytes) -> KnownCrl:
        """The decoded CRL for these bytes."""
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
        """Count the memory of an entry again after more of it was decoded."""
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
    """The decoded CRL for these bytes, from the cache if it is there."""
    return _MEMORY.get(data)


class _Word(NamedTuple):
    """The statement of one list about one certificate, without what depends on the time.

    Attributes:
        word: The list.
        listing: The entry for the certificate, or None if the list has none.
        refusal: The reason why the list does not clear the certificate, whatever its age, or None.
        releases: Whether the list may end a suspension of the certificate.
    """

    word: IssuersWord
    listing: Listing | None
    refusal: str | None
    releases: bool


class _Said(NamedTuple):
    """The statements of all CRLs at hand about one certificate, without what depends on the time.

    Attributes:
        is_revoked: Whether a list revokes it; then no other list counts.
        words: The statements of its issuer.
        reasons: The reasons why other lists are not the issuer's, each with its weight.
    """

    is_revoked: bool
    words: tuple[_Word, ...] = ()
    reasons: tuple[tuple[int, str], ...] = ()


class _AtHand:
    """The CRLs of one `Evidence`, indexed by their possible issuers, kept as long as the evidence lives."""

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
        """The statements about a certificate of an issuer; see `CrlJudge` for `post_quantum`."""
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
        """The CRLs that have the issuer's name, and those that name its key; no other signature is verified."""
        found = self._by_name.get(issuer.subject.folded, [])
        identifier = issuer.subject_key_identifier
        if identifier is None:
            return found
        return found + [one for one in self._by_key.get(identifier, ()) if one not in found]


def demand_moment(name: str, value: object) -> None:
    """Reject a value that is not an aware datetime, so that the error names the argument.

    Raises:
        TypeError: The value is not a datetime.
        ValueError: The datetime is naive.
    """
    if not isinstance(value, datetime):
        msg = f"{name}: expected datetime, not {type(value).__name__}"
        raise TypeError(msg)
    if value.utcoffset() is None:
        msg = f"{name}: the time of verification is an aware datetime, not a naive one"
        raise ValueError(msg)


# --- the judge --------------------------------------------------------------------------------------------------------


class CrlJudge:
    """Judges by CRLs whether a certificate is revoked. Threads may share a judge."""

    def __init__(self, *, skew: timedelta = timedelta(0), post_quantum: UnsafePostQuantum | None = None) -> None:
        """Create a judge.

        Args:
            skew: The tolerance for the clock.
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
            FAILED if a CRL that the issuer's key signed revokes the certificate (an old list counts too: revocation is
            final), or if the newest list with an entry for it says that it is on hold. PASSED if the newest list
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
        """Judge several certificates, each with its issuer's certificate; none of them may be revoked.

        Args:
            pairs: The certificates and their issuers. An empty sequence passes.
            evidence: The evidence at hand.
            at: The time of verification.

        Returns:
            FAILED if a certificate is revoked or suspended; else INDETERMINATE if a certificate is not cleared; else
            PASSED with the deviations of all, and the earliest `until`.
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
    """Whether a CRL has an issuer's name or key identifier."""
    key_identifier = issuer.subject_key_identifier
    return crl.issuer.resembles(issuer.subject) or (
        key_identifier is not None and crl.authority_key_identifier == key_identifier
    )

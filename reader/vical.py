"""Import of a VICAL: a list of the roots of many issuing authorities, by a provider that the reader trusts.

`import_vical` returns a `VicalImport` or raises; `examine_vical` returns a report. Both run all numbered checks. A list
that does not verify gives no anchor.

    (1) the signature's algorithm is one of the standard's and fits the signer's key
    (2) the signature verifies under the key of the first certificate in x5chain
    (3) that certificate leads to a pinned root of the provider; x5chain is not signed, so no root is taken from it
    (4) it follows the profile of VICAL signers, is valid now, and is not revoked
    (5) the version is 1.x, compared as numbers, and the list was issued before now, while its signer was valid
    (6) the list is not older than the last one that was accepted
    (7) it is fresh, or stale for no longer than the reader allows; ``notAfter`` has not passed
    (8) each entry has the values of its certificate, and its certificate is an IACA root that is valid now
    (9) each root is trusted for the entry's document types, country and state only, within the provider's own scope,
        and while all of its proof is valid

An entry that fails (8) or (9) is refused alone, and reported; the others are used.

Spec:
    18013-5 first edition C.1.7; pki.md §5.3.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from types import MappingProxyType
from typing import Final, NoReturn

from mdl.errors import DecodeError, MdlError, ProfileError, UnsupportedError, VerificationError
from mdl.mdoc import Version
from mdl.pki import VICAL_PROVIDER_CA, VICAL_SIGNER, Certificate, Severity, lint_certificate
from mdl.vical import VICAL_ALGORITHMS, VICAL_VERSION, CertificateInfo, MalformedInfo, Vical, VicalDeviation
from reader.report import Outcome, Revocation
from reader.revocation import CrlJudge, Evidence
from reader.trust import Purpose, TrustAnchor, TrustStore

__all__ = [
    "DEFAULT_MAX_STALE",
    "NOTHING_ACCEPTED",
    "VICAL_CHECKS",
    "AcceptedVical",
    "Freshness",
    "RefusedEntry",
    "VicalCheck",
    "VicalImport",
    "VicalReport",
    "examine_vical",
    "import_vical",
]

DEFAULT_MAX_STALE: Final = timedelta(days=120)
"""Longest time after its nextUpdate that a list may be used.

By one source (pki.md §5.3 no. 7) lists came up to 93 days late; a month is added.
"""

_ASSUMED_INTERVAL: Final = timedelta(days=90)
"""Time until the next list is due if the list does not say: providers publish at least that often (pki.md §5.4)."""

_CLOCK_TOLERANCE: Final = timedelta(minutes=3)
"""How far a provider's clock may be ahead."""

VICAL_CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "vical.algorithm": "18013-5 C.1.7.1",
        "vical.signature": "18013-5 C.1.7.1",
        "vical.path": "18013-5 C.1.7.2",
        "vical.signer_profile": "18013-5 C.1.7.2",
        "vical.signer_validity": "18013-5 C.1.7.2",
        "vical.signer_revocation": "18013-5 C.1.7.2",
        "vical.version": "18013-5 C.1.7.1",
        "vical.date": "18013-5 C.1.7.1",
        "vical.signed_within_certificate": "18013-5 C.1.7.2",
        "vical.issue_id": "18013-5 C.1.7.1",
        "vical.freshness": "18013-5 C.1.7.1",
        "vical.entries": "18013-5 C.1.7.1",
        "vical.scope": "18013-5 C.1.7.1",
    }
)
"""The checks in order, each with its clause."""


class Freshness(Enum):
    """Whether a list is fresh, stale or too old."""

    FRESH = "fresh"
    """The next list is not due yet."""
    STALE = "stale"
    """The next list is due: fetch it. This list may still be used."""
    EXPIRED = "expired"
    """The list must not be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedVical:
    """The reader's memory of the last list that it accepted from a provider.

    Attributes:
        issue_id: The vicalIssueID of that list, or None if it had none.
        date: The time of issue of that list, or None if no list was accepted yet.
    """

    issue_id: int | None
    date: datetime | None


NOTHING_ACCEPTED: Final = AcceptedVical(issue_id=None, date=None)
"""No list of the provider was accepted yet."""


@dataclass(frozen=True, slots=True)
class VicalCheck:
    """One check and its outcome.

    Attributes:
        id: A key of `VICAL_CHECKS`.
        outcome: The outcome.
        detail: The reason, in one line; empty for a check that passed without remark.
        warnings: Codes of tolerated deviations.
    """

    id: str
    outcome: Outcome
    detail: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def clause(self) -> str:
        """The clause of the standard that states the rule."""
        return VICAL_CHECKS[self.id]


@dataclass(frozen=True, slots=True)
class RefusedEntry:
    """An entry whose root is not used.

    Attributes:
        index: The index of the entry, counted from 0.
        code: The reason: a contradiction of `mdl.vical.CONTRADICTIONS`, a rule of the root's profile,
            ``scope.doctype``, ``scope.country``, ``scope.state``, or the code with which the entry did not decode.
        detail: The reason in words, without the text of names.
        certificate: The root, or None if it does not decode.
    """

    index: int
    code: str
    detail: str
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class VicalReport:
    """The outcome of every check of one list.

    Attributes:
        checks: In the order of `VICAL_CHECKS`.
        revocation: Whether revocation evidence about the signer was required.
        refused: The entries that are not used. If the list is accepted, the other entries are used.
        deviations: Tolerated deviations of list and entries.
    """

    checks: tuple[VicalCheck, ...]
    revocation: Revocation
    refused: tuple[RefusedEntry, ...]
    deviations: tuple[VicalDeviation, ...]

    def __bool__(self) -> NoReturn:
        msg = "a report has more than two outcomes: use .accepted, .failed or .require()"
        raise TypeError(msg)

    def __iter__(self) -> Iterator[VicalCheck]:
        return iter(self.checks)

    def refuses(self, check: VicalCheck) -> bool:
        """Whether the outcome of this check refuses the list."""
        if check.outcome is Outcome.INDETERMINATE and check.id == "vical.signer_revocation":
            return self.revocation is Revocation.REQUIRED
        return check.outcome is not Outcome.PASSED

    @property
    def accepted(self) -> bool:
        """Whether the list is accepted: no check refuses."""
        return not any(map(self.refuses, self.checks))

    @property
    def failed(self) -> tuple[str, ...]:
        """Ids of the checks that failed, in order."""
        return tuple(check.id for check in self.checks if check.outcome is Outcome.FAILED)

    @property
    def indeterminate(self) -> tuple[str, ...]:
        """Ids of the checks that could not be judged, in order."""
        return tuple(check.id for check in self.checks if check.outcome is Outcome.INDETERMINATE)

    def require(self) -> None:
        """Return if the list is accepted, else raise.

        Raises:
            VerificationError: A check refuses. The code is the id of the first such check; the report is attached.
        """
        refusing = [check for check in self.checks if self.refuses(check)]
        if refusing:
            first = next((check for check in refusing if check.outcome is Outcome.FAILED), refusing[0])
            names = self.failed or tuple(check.id for check in refusing)
            others = [name for name in names if name != first.id]
            more = f" (and {', '.join(others)})" if others else ""
            msg = f"the VICAL is refused: {first.detail or first.outcome.value}{more}"
            raise VerificationError(msg, code=first.id, clause=first.clause, report=self, failed=names)


@dataclass(frozen=True, slots=True, kw_only=True)
class VicalImport:
    """A list that passed every check, and the anchors from it.

    Attributes:
        anchors: The roots, one for each pinned anchor. Each is trusted for the scope of its entry, and only while the
            list, the certificate of its signer, the CAs above it, the pinned root and the trust in that root are valid.
            Each has signer and CAs as its proof, which every verification compares with its own evidence.
        refused: The entries that are not used.
        deviations: Tolerated deviations of list and entries.
        provider: The name of the provider in the list.
        root: The pinned root of the provider at the end of the path.
        signer: The certificate of the signer.
        issue_id: vicalIssueID, or None.
        date: The time of issue.
        next_update: The time at which the next list is due, or None if the list does not say.
        until: The end of the use, inclusive: the earliest end of list, path and pinned trust.
        freshness: Whether the list is fresh or stale.
        fingerprint: SHA-256 of the file, 32 bytes.
        report: The outcome of every check.
    """

    anchors: tuple[TrustAnchor, ...]
    refused: tuple[RefusedEntry, ...]
    deviations: tuple[VicalDeviation, ...]
    provider: str
    root: Certificate
    signer: Certificate
    issue_id: int | None
    date: datetime
    next_update: datetime | None
    until: datetime
    freshness: Freshness
    fingerprint: bytes
    report: VicalReport

    @property
    def accepted(self) -> AcceptedVical:
        """The values to store until the next import from this provider, so that no older list replaces this one."""
        return AcceptedVical(issue_id=self.issue_id, date=self.date)


def import_vical(
    data: bytes,
    *,
    providers: TrustStore,
    accepted: AcceptedVical,
    at: datetime,
    max_stale: timedelta = DEFAULT_MAX_STALE,
    revocation: Revocation = Revocation.IF_GIVEN,
    crls: tuple[bytes, ...] = (),
) -> VicalImport:
    """Verify a list and return its roots, or raise.

    Args:
        data: The list as received.
        providers: The pinned roots: anchors of purpose `Purpose.VICAL_PROVIDER`; others are ignored. Their document
            types and country limit the scope of the list.
        accepted: The last list that was accepted from the provider, or `NOTHING_ACCEPTED`.
        at: The time of the import, an aware datetime.
        max_stale: Longest time after its nextUpdate that the list may be used; zero for none.
        revocation: Whether evidence about the signer's certificate and the CAs above it is required.
        crls: Certificate revocation lists at hand, DER or PEM.

    Raises:
        VerificationError: A check refuses; ``.report`` has every outcome, ``.failed`` the ids of the checks.
        DecodeError: The bytes are no VICAL.
        ValueError: A naive time, a negative age, or no provider among the anchors.
    """
    examination = _Examination(data, providers, accepted, at, max_stale, revocation, crls)
    examination.report.require()
    return examination.result()


def examine_vical(
    data: bytes,
    *,
    providers: TrustStore,
    accepted: AcceptedVical,
    at: datetime,
    max_stale: timedelta = DEFAULT_MAX_STALE,
    revocation: Revocation = Revocation.IF_GIVEN,
    crls: tuple[bytes, ...] = (),
) -> VicalReport:
    """Run every check and return the report, without anchors; the arguments are those of `import_vical`.

    Raises:
        DecodeError: The bytes are no VICAL.
        ValueError: A naive time, a negative age, or no provider among the anchors.
    """
    return _Examination(data, providers, accepted, at, max_stale, revocation, crls).report


class _Examination:
    """One list under examination."""

    def __init__(  # noqa: PLR0917 - made in two places, both above
        self,
        data: bytes,
        providers: TrustStore,
        accepted: AcceptedVical,
        at: datetime,
        max_stale: timedelta,
        revocation: Revocation,
        crls: tuple[bytes, ...],
    ) -> None:
        for value, kind in ((providers, TrustStore), (accepted, AcceptedVical), (revocation, Revocation)):
            if not isinstance(value, kind):
                msg = f"expected {kind.__name__}, not {type(value).__name__}"
                raise TypeError(msg)
        if at.utcoffset() is None or max_stale < timedelta(0):
            msg = "the time of an import is an aware datetime, and an age is not negative"
            raise ValueError(msg)
        pinned = [anchor for anchor in providers if anchor.purpose is Purpose.VICAL_PROVIDER]
        if not pinned:
            msg = "no provider is trusted: a VICAL is imported on the word of a root that was pinned"
            raise ValueError(msg)
        self._providers = providers
        self._at = at
        self._crls = crls
        self._revocation = revocation
        self._accepted = accepted
        self._results = {name: VicalCheck(name, Outcome.INDETERMINATE) for name in VICAL_CHECKS}
        self._vical = vical = Vical.decode(data)
        self._freshness, self._until = _age(vical, at, max_stale)
        self._chain = self._certificates()
        self._pinned, self._path = self._find_path(pinned)
        # What the list brings is good for no more, and at no other time, than each part of what proves it.
        self._proven = [self._within_list(anchor) for anchor in self._pinned]
        self._anchors: list[TrustAnchor] = []
        self._refused: list[RefusedEntry] = []
        self._examine_signature()
        self._examine_signer()
        self._examine_list()
        self._examine_entries()
        self.report = VicalReport(tuple(self._results.values()), revocation, tuple(self._refused), vical.deviations)

    def result(self) -> VicalImport:
        """The import, after `VicalReport.require` has returned."""
        vical = self._vical
        return VicalImport(
            anchors=tuple(self._anchors),
            refused=tuple(self._refused),
            deviations=vical.deviations,
            provider=vical.provider,
            root=self._pinned[0].certificate,
            signer=self._chain[0],
            issue_id=vical.issue_id,
            date=vical.date,
            next_update=vical.next_update,
            until=max(one.until or self._until for one in self._proven),
            freshness=self._freshness,
            fingerprint=vical.fingerprint,
            report=self.report,
        )

    # outcomes

    def _judge(self, name: str, reason: str | None, warnings: tuple[str, ...] = ()) -> None:
        outcome = Outcome.PASSED if reason is None else Outcome.FAILED
        self._results[name] = VicalCheck(name, outcome, reason or "", warnings)

    # (1), (2)

    def _certificates(self) -> list[Certificate]:
        """The certificates of x5chain; empty if the first does not decode. Others that do not decode are ignored."""
        found: list[Certificate] = []
        for der in self._vical.x5chain:
            try:
                found.append(Certificate(der))
            except MdlError as exc:
                if not found:
                    self._judge("vical.path", f"the signer's certificate: {exc}")
                    break
        return found

    def _examine_signature(self) -> None:
        message = self._vical.message
        if not self._chain:
            self._judge("vical.algorithm", "there is no signer's certificate whose key the algorithm could fit")
            return
        try:
            key = self._chain[0].public_key
            algorithm = message.algorithm
        except (MdlError, UnsupportedError) as exc:
            self._judge("vical.algorithm", f"algorithm or signer's key: {exc.message}")
            return
        if algorithm.name not in VICAL_ALGORITHMS or algorithm is not key.curve.algorithm:
            self._judge(
                "vical.algorithm", f"{algorithm.name} may not sign a list, or not with a key on {key.curve.name}"
            )
            return
        self._judge("vical.algorithm", None)
        try:
            message.verify(key)
        except MdlError as exc:
            self._judge("vical.signature", exc.message)
        else:
            self._judge("vical.signature", None)

    # (3)

    def _find_path(self, pinned: list[TrustAnchor]) -> tuple[list[TrustAnchor], list[Certificate]]:
        """The anchors of the pinned root at the end of the signer's path, and the path, the root included.

        Of several paths, the one whose certificates are valid longest is taken.
        """
        if not self._chain:
            if self._results["vical.path"].outcome is not Outcome.FAILED:
                self._judge("vical.path", "no certificate in header 33")
            return [], []
        path = self._chain[:1]
        roots = {one.certificate: None for one in pinned if one.is_current(self._at)}
        longest = sorted(roots, key=_end, reverse=True)
        others = sorted(self._chain[1:], key=_end, reverse=True)
        while True:
            root = next((one for one in longest if self._has_issued(one, path)), None)
            if root is not None:
                extra = ("x5chain.root",) if any(one.issuer == one.subject for one in self._chain) else ()
                self._judge("vical.path", None, extra)
                current = [one for one in pinned if one.certificate == root and one.is_current(self._at)]
                return current, [*path, root]
            upper = next((one for one in others if self._has_issued(one, path)), None)
            if upper is None:
                self._judge("vical.path", "the signer does not lead to a pinned root that is valid now")
                return [], path
            others.remove(upper)
            path.append(upper)

    def _within_list(self, pinned: TrustAnchor) -> TrustAnchor:
        """The anchor of the provider, limited to the validity of all certificates of the path and of the list."""
        proven = pinned.within(self._path)
        since, until = proven.since, proven.until
        with suppress(OverflowError):  # at the begin of the calendar: it was issued at any time
            issued = self._vical.date - _CLOCK_TOLERANCE
            since = issued if since is None else max(since, issued)
        return replace(proven, since=since, until=self._until if until is None else min(until, self._until))

    def _has_issued(self, upper: Certificate, path: list[Certificate]) -> bool:
        """Whether a CA issued the last certificate of a path that begins with the signer, and was permitted to."""
        lower = path[-1]
        constraints = upper.basic_constraints
        below = len(path) - 1
        if (
            upper.subject != lower.issuer
            or constraints is None
            or (constraints.path_length is not None and constraints.path_length < below)
            or (
                None not in (keys := (lower.authority_key_identifier, upper.subject_key_identifier))
                and len({*keys}) > 1
            )
        ):
            return False
        findings = lint_certificate(upper, VICAL_PROVIDER_CA, at=self._at, with_signature=False)
        if any(finding.security for finding in findings):
            return False
        try:
            lower.verify_signature(upper.public_key)
        except MdlError:
            return False
        return True

    # (4)

    def _examine_signer(self) -> None:
        if not self._chain:
            return
        signer = self._chain[0]
        issuer = self._path[1] if len(self._path) > 1 else None
        findings = lint_certificate(signer, VICAL_SIGNER, issuer=issuer, with_signature=False)
        grave = [one for one in findings if one.security or one.severity is Severity.ERROR]
        minor = tuple(one.rule for one in findings if one not in grave)
        self._judge("vical.signer_profile", str(grave[0]) if grave else None, minor)
        if self._at < signer.not_before:
            self._judge("vical.signer_validity", "the signer's certificate is not valid yet")
        elif self._at > signer.not_after:
            self._judge("vical.signer_validity", "the signer's certificate has expired")
        else:
            self._judge("vical.signer_validity", None)
        if self._pinned:
            self._examine_revocation()

    def _examine_revocation(self) -> None:
        """Judge the signer and every CA below the root; each must be cleared, and none revoked."""
        name = "vical.signer_revocation"
        found = CrlJudge().judge_all(itertools.pairwise(self._path), Evidence(crls=self._crls), self._at)
        if self._revocation is Revocation.REQUIRED and found.outcome is Outcome.PASSED:
            self._proven = [one.before(found.until) for one in self._proven]
        self._results[name] = VicalCheck(name, found.outcome, found.detail, found.warnings)

    # (5), (6), (7)

    def _examine_list(self) -> None:
        vical = self._vical
        self._judge("vical.version", *_version(vical.version))
        too_early = vical.date - self._at > _CLOCK_TOLERANCE
        self._judge("vical.date", "the list is from the future" if too_early else None)
        if self._chain:
            within = self._chain[0].not_before <= vical.date <= self._chain[0].not_after
            self._judge(
                "vical.signed_within_certificate", None if within else "issued outside the validity of its signer"
            )
        self._judge("vical.issue_id", _rollback(vical, self._accepted))
        expired = "the list has expired" if self._freshness is Freshness.EXPIRED else None
        self._judge("vical.freshness", expired, ("stale",) if self._freshness is Freshness.STALE else ())

    # (8), (9)

    def _examine_entries(self) -> None:
        own = 0
        for index, entry in enumerate(self._vical.entries):
            try:
                found = [self._admit(entry)]
            except Exception as exc:  # noqa: BLE001 - an error of ours over one entry must not take the others' roots away
                found = [("vical.entry", f"the entry could not be examined ({type(exc).__name__})")]
            if isinstance(found[0], TrustAnchor):
                own += 1
                found = [_within_scope(found[0], pinned) for pinned in self._proven] or found
            anchors = [one for one in found if isinstance(one, TrustAnchor)]
            self._anchors += anchors
            if not anchors and not isinstance(found[0], TrustAnchor):  # mutants: same
                certificate = entry.certificate if isinstance(entry, CertificateInfo) else None
                self._refused.append(RefusedEntry(index, *found[0], certificate))
        warnings = tuple(dict.fromkeys(one.code for one in self._refused))
        self._judge("vical.entries", None if own else "no entry can be used", warnings)
        if own:
            self._judge("vical.scope", None if self._anchors else "no entry is in the scope of the provider")

    def _admit(self, entry: CertificateInfo | MalformedInfo) -> TrustAnchor | tuple[str, str]:
        """The anchor of an entry by itself, or the reason why there is none, as code and detail."""
        if isinstance(entry, MalformedInfo):
            return entry.code, f"{entry.message} at {entry.path}"
        for contradiction in entry.contradictions:
            return contradiction.code, contradiction.meaning
        try:
            return TrustAnchor.admit(
                entry.certificate,
                doctypes=frozenset(entry.doctypes),
                country=entry.country,
                state=entry.jurisdiction,
                at=self._at,
            )
        except ProfileError as exc:
            return exc.findings[0].rule if exc.findings else exc.code, exc.message


def _end(certificate: Certificate) -> datetime:
    return certificate.not_after


def _within_scope(anchor: TrustAnchor, provider: TrustAnchor) -> TrustAnchor | tuple[str, str]:
    """The anchor limited to the provider's scope and time, or the reason why it lies outside."""
    doctypes, limit = anchor.doctypes, provider.doctypes
    if isinstance(doctypes, frozenset) and isinstance(limit, frozenset):  # mutants: same
        doctypes &= limit
        if not doctypes:
            return "scope.doctype", "the provider is not trusted for any of the entry's document types"
    if provider.country not in (None, anchor.certificate.country):
        return "scope.country", "the provider is not trusted for the entry's country"
    if provider.state not in (None, anchor.certificate.state):
        return "scope.state", "the provider is not trusted for the entry's state or province"
    return replace(
        anchor,
        doctypes=doctypes,
        since=provider.since,
        until=provider.until,
        signer_purposes=provider.signer_purposes,
        proof=provider.proof,
    )


def _age(vical: Vical, at: datetime, max_stale: timedelta) -> tuple[Freshness, datetime]:
    """The freshness of a list, and the end of its use."""
    due = vical.next_update
    try:
        if due is None:
            due = vical.date + _ASSUMED_INTERVAL
        until = due + max_stale
    except OverflowError:
        until = due = datetime.max.replace(tzinfo=at.tzinfo) if due is None else due
    if vical.not_after is not None:
        until = min(until, vical.not_after)
    if at > until:
        return Freshness.EXPIRED, until
    return Freshness.STALE if at > due else Freshness.FRESH, until


def _version(text: str) -> tuple[str | None, tuple[str, ...]]:
    """The reason why a version is not supported, or None; and warnings. Any minor version of major 1 is supported."""
    try:
        version = Version.parse(text)
    except DecodeError:
        return "the version is not two numbers with a dot between", ()
    known = Version.parse(VICAL_VERSION)
    if version.major != known.major:
        return f"the version is {version}, and {known.major}.x is understood", ()
    return None, ("version.minor",) if version.minor != known.minor else ()


def _rollback(vical: Vical, accepted: AcceptedVical) -> str | None:
    """The reason why a list must not replace the one that was accepted before, or None."""
    if accepted.issue_id is not None:
        if vical.issue_id is None:
            return "the list has no number, and the last one that was accepted had one"
        if vical.issue_id != accepted.issue_id:
            return "an older list than the last one that was accepted" if vical.issue_id < accepted.issue_id else None
    if accepted.date is not None and vical.date < accepted.date:
        return "an older list than the last one that was accepted"
    return None

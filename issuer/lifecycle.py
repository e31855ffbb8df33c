"""The life cycle of an authority: what is due when, doing what is due, and what expires.

    a document signer      is followed by the next before its signing window closes, and signs nothing from then on: the
                           window is so much shorter than the certificate as a credential lives at most
    an IACA root           certifies for some years; then the next one does, which was made and announced before
    a CRL                  is signed again well before readers expect it, for each root under which anything is valid
    other signers          get a successor before they expire; a list signer for each root, as readers ask for that one
    a status list          is signed again by its own service (`issuer.status`); here it is watched

`plan` and `expiring` are answers from the store for a moment that is given. `rotate` does what the plan says is due; it
may be run by a timer, at any time, by several processes.

Spec:
    pki.md §4 (re-key, rotation, the arithmetic of a document signer's life), §10.2 (rhythms).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from issuer.audit import Actor
from issuer.certifying import MAX_SIGNER_DAYS, OF_ONE_KEY, Certifying
from issuer.founding import MAX_CRL_DAYS
from issuer.operations import is_allowed, permitted, refusals
from issuer.policy import IssuancePolicy
from issuer.signers import CERTIFIED, DocumentSigner, Roots, document_signers
from issuer.status import lacks_revocation
from issuer.store import CertificateRecord, Clock, Reader, Role, SignerState
from mdl.errors import DecodeError, LocalProtocolError, SigningError
from mdl.pki import Crl

__all__ = ["Done", "Entry", "Expiry", "Rules", "State", "Task", "expiring", "plan", "rotate", "set_rules"]

_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)
_SUCCEEDED: Final = (Role.STATUS_SIGNER, Role.JWS_SIGNER, Role.OCSP_SIGNER, Role.READER, Role.VICAL_SIGNER)
# A calendar of a century is a mistake.
_MOST_ENTRIES: Final = 2000


# --- Rules -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """By which an authority's certificates and lists follow each other. All are whole days.

    Attributes:
        credential_days: Longest life of a security object; so long before it expires a document signer signs its last.
        signer_days: Life of a document signer that `rotate` makes.
        signer_lead_days: So long before a signer is needed its successor is made.
        root_signing_days: So long a root certifies; then the next one does. Recommended are three to five years.
        root_days: Life of a root that `rotate` makes.
        root_lead_days: So long before it certifies a root is made, to be announced to readers and VICAL providers.
        crl_days: From a CRL to the time at which its successor is expected.
        crl_lead_days: So long before that the successor is signed.
    """

    credential_days: int = 30
    signer_days: int = MAX_SIGNER_DAYS
    signer_lead_days: int = 14
    root_signing_days: int = 1461
    root_days: int = 3285
    root_lead_days: int = 90
    crl_days: int = 30
    crl_lead_days: int = 7

    def __post_init__(self) -> None:
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        if any(type(value) is not int or not 1 <= value <= 36_500 for value in values.values()):
            problem = "each is a number of days, at least 1"
        elif self.signer_days > MAX_SIGNER_DAYS:
            problem = f"a document signer lives {MAX_SIGNER_DAYS} days at most"
        elif self.crl_days > MAX_CRL_DAYS:
            problem = f"a CRL's successor is due within {MAX_CRL_DAYS} days"
        elif self.credential_days + self.signer_lead_days >= self.signer_days:
            problem = "a document signer lives longer than a credential and the lead before its successor"
        elif self.crl_lead_days >= self.crl_days:
            problem = "the lead of a CRL is shorter than its interval"
        elif self.root_signing_days + self.signer_days + self.root_lead_days > self.root_days:
            # pki.md §2.1, the sizing rule.
            problem = "a root lives as long as it certifies, and a document signer and the lead beyond that"
        else:
            return
        raise LocalProtocolError(f"no rules for a life cycle: {problem}", code="lifecycle.rules", clause="18013-5 B.1")

    @classmethod
    def of_settings(cls, document: Mapping[str, Any]) -> Rules:
        """The rules that a store's settings hold, with the limits of the policy beside them.

        Raises:
            DecodeError: They hold some that this program does not understand (code ``lifecycle.rules``).
            LocalProtocolError: They contradict each other or the policy (code ``lifecycle.rules``).
        """
        policy = IssuancePolicy.of_settings(document)
        kept = document.get("lifecycle", {})
        if type(kept) is not dict or not kept.keys() <= {one.name for one in fields(cls)}:
            raise DecodeError("the rules of the life cycle are none that are known here", code="lifecycle.rules")
        limits = {
            "credential_days": policy.credential_days,
            "signer_days": policy.days.get(Role.DOCUMENT_SIGNER),
            "root_days": policy.days.get(Role.IACA),
        }
        values = {one.name: kept.get(one.name, one.default) for one in fields(cls)}
        for name, most in limits.items():
            if most is not None and type(values[name]) is int:
                values[name] = min(values[name], most)
        return cls(**values)

    def to_settings(self) -> dict[str, int]:
        """The rules as plain values."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def window_end(self, signer: DocumentSigner) -> datetime:
        """When a document signer's signing window closes: nothing that it signs until then outlives it."""
        return signer.certificate.not_after - self.credential_days * _DAY


def set_rules(authority: Certifying, rules: Rules, *, at: Clock | datetime) -> None:
    """Decide by which rules certificates and lists follow each other; the audit log tells that they changed.

    Raises:
        LocalProtocolError: The time lies before the last recorded event (code ``authority.clock``).
        SigningError: The store cannot be written.
    """
    with (
        authority.open_store() as store,
        refusals(store, "rules", at, Actor.SIGNER_OPERATOR),
        store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx,
    ):
        settings = tx.settings()
        tx.put_settings({**({} if settings is None else settings.document), "lifecycle": rules.to_settings()})


# --- The plan --------------------------------------------------------------------------------------------------------


class Task(StrEnum):
    """What there is to do."""

    SIGNER = "signer"
    """Make the successor of a signer."""
    RETIRE = "retire"
    """Let a key sign nothing any more."""
    ROOT = "root"
    """Make the next root."""
    CRL = "crl"
    """Sign the next CRL."""
    STATUS_LIST = "status-list"
    """Sign a status list again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something to do.

    Attributes:
        due: When it is done.
        deadline: Until when it must have been: from then on something does not work.
        task: What there is to do.
        name: For what: the name of the certificate's or CRL's file without its ending, or a list's id.
        text: The same in words.
        automatic: Whether `rotate` does it.
        forecast: Whether it follows from other entries that are still to come.
        role: Of the key.
        issuer: SHA-256 of the root that is concerned, or None.
        keys: How many keys of the role there are, by which a second process notices that it was done.
    """

    due: datetime
    deadline: datetime
    task: Task
    name: str
    text: str
    automatic: bool = True
    forecast: bool = False
    role: Role | None = None
    issuer: bytes | None = None
    keys: int | None = None


def plan(reader: Reader, rules: Rules, at: datetime, *, until: datetime | None = None) -> tuple[Entry, ...]:
    """What there is to do, in the order in which it is due.

    Args:
        reader: The store.
        rules: By which things follow each other.
        at: The moment for which the answer is.
        until: How far to look; None gives only what is due now.

    Raises:
        DecodeError: The store is damaged.
    """
    state = _Standing(reader, rules, at)
    known = [*state.crls(), *state.document_signers(), *state.retirements(), *state.signers(), *state.lists()]
    known += state.roots()
    forecast = [] if until is None else state.forecast(until)
    end = at if until is None else until
    found = [one for one in known if one.due <= end] + forecast
    return tuple(sorted(found, key=lambda one: (one.due, one.task, one.name)))


class _Standing:
    """How things stand in the store at one moment."""

    def __init__(self, reader: Reader, rules: Rules, at: datetime) -> None:
        self._reader = reader
        self._rules = rules
        self._at = at
        self._roots = Roots(reader)
        self._keys = reader.signers()
        self._states = {one.key: one.state for one in self._keys}
        self._signers = document_signers(reader)

    def _count(self, role: Role) -> int:
        return sum(one.role is role for one in self._keys)

    # --- CRLs ---

    def crls(self) -> Iterator[Entry]:
        for root in self._roots.in_service(self._at):
            last = self._reader.last_crl(root.certificate.fingerprint)
            stem = self._roots.stem(root)
            if last is None:
                due = deadline = root.certificate.not_before
            else:
                deadline = last.next_update
                lead = min(self._rules.crl_lead_days * _DAY, (deadline - last.this_update) / 2)
                due = deadline - lead
            yield Entry(
                due=due,
                deadline=deadline,
                task=Task.CRL,
                name=stem,
                text=f"sign the next CRL of {stem}" + ("" if root.key is not None else ", where its key is"),
                automatic=root.key is not None,
                role=root.role,
                issuer=root.certificate.fingerprint,
            )

    # --- document signers ---

    def _active(self) -> list[DocumentSigner]:
        return [one for one in self._signers if one.state is SignerState.ACTIVE]

    def document_signers(self) -> Iterator[Entry]:
        if not self._signers:
            return  # they are not in this token
        active = self._active()
        last = max(active, key=self._rules.window_end, default=None)
        if last is None:
            due = deadline = self._at
            text = "make a document signer: there is none that may sign"
            name = self._signers[-1].key
        else:
            deadline = self._rules.window_end(last)
            due = deadline - self._rules.signer_lead_days * _DAY
            text = f"make the document signer after {last.certificate.subject.common_name}, whose window closes then"
            name = last.key
        role = Role.DOCUMENT_SIGNER
        yield Entry(
            due=due,
            deadline=deadline,
            task=Task.SIGNER,
            name=name,
            text=text,
            automatic=self._roots.certifying(Role.IACA, self._at).key is not None,
            role=role,
            keys=self._count(role),
        )

    def retirements(self) -> Iterator[Entry]:
        active = self._active()
        for one in active:
            end = self._rules.window_end(one)
            if any(self._rules.window_end(other) > max(end, self._at) for other in active):
                yield Entry(
                    due=end,
                    deadline=one.certificate.not_after,
                    task=Task.RETIRE,
                    name=one.key,
                    text=f"retire {one.certificate.subject.common_name}: what it would sign could outlive it",
                    role=Role.DOCUMENT_SIGNER,
                )
        serving = {one.certificate.fingerprint for one in self._roots.in_service(self._at)}
        for role in (Role.IACA, Role.READER_CA, Role.VICAL_CA):
            for root in self._roots.of(role)[:-1]:
                if root.key is not None and self._states.get(root.key) is SignerState.ACTIVE:
                    end = min(self._roots.last_end(root), root.certificate.not_after)
                    out = root.certificate.fingerprint not in serving
                    yield Entry(
                        due=self._at if out else end + _SECOND,
                        deadline=root.certificate.not_after,
                        task=Task.RETIRE,
                        name=self._roots.stem(root),
                        text=f"retire the key of {self._roots.stem(root)}: nothing under it is valid any more",
                        role=role,
                    )

    # --- other signers ---

    def signers(self) -> Iterator[Entry]:
        lead = self._rules.signer_lead_days * _DAY
        for role in _SUCCEEDED:
            for root, last in self._groups(role):
                kind = CERTIFIED[role]
                if last is None:
                    due = deadline = self._roots.certifies_from(root)
                    text = f"make the first {kind.profile.title} under {self._roots.stem(root)}"
                elif last.certificate.not_after >= _needed_until(self._roots, role, root, self._at):
                    continue
                else:
                    deadline = last.certificate.not_after
                    due = deadline - lead
                    text = f"make the {kind.profile.title} after {self._roots.stem(last)}, which expires then"
                yield Entry(
                    due=due,
                    deadline=deadline,
                    task=Task.SIGNER,
                    name=self._roots.stem(root) if last is None else self._roots.stem(last),
                    text=text,
                    automatic=root.key is not None,
                    role=role,
                    issuer=root.certificate.fingerprint,
                    keys=self._count(role),
                )

    def _groups(self, role: Role) -> Iterator[tuple[CertificateRecord, CertificateRecord | None]]:
        """The roots that need a signer of a role in the token, each with the one that it has."""
        ours = [
            one
            for one in self._roots.of(role)
            if one.key is not None and one.revoked_at is None and self._states.get(one.key) is SignerState.ACTIVE
        ]
        if not any(one.key is not None for one in self._roots.of(role)):
            return  # not a role that this authority has
        issuer = CERTIFIED[role].issuer or Role.IACA
        if role is not Role.STATUS_SIGNER:
            last = max(ours, key=lambda one: one.certificate.not_after, default=None)
            yield self._roots.certifying(issuer, self._at), last
            return
        # pki.md §7.2: readers take a list only from a signer of the root that certified the document signer.
        for root in self._roots.in_service(self._at):
            if root.role is issuer and _needed_until(self._roots, role, root, self._at) >= self._at:
                under = [one for one in ours if one.issuer == root.certificate.fingerprint]
                yield root, max(under, key=lambda one: one.certificate.not_after, default=None)

    # --- roots and lists ---

    def _turn_end(self, start: datetime, not_after: datetime) -> datetime:
        """When a root hands over: in time for its last document signer to live its life."""
        return min(start + self._rules.root_signing_days * _DAY, not_after - self._rules.signer_days * _DAY)

    def roots(self) -> Iterator[Entry]:
        newest = self._roots.of(Role.IACA)[-1]
        deadline = self._turn_end(self._roots.certifies_from(newest), newest.certificate.not_after)
        yield Entry(
            due=deadline - self._rules.root_lead_days * _DAY,
            deadline=deadline,
            task=Task.ROOT,
            name=self._roots.stem(newest),
            text=f"make the root after {self._roots.stem(newest)}, and announce it: it has to certify then",
            automatic=False,
            role=Role.IACA,
            issuer=newest.certificate.fingerprint,
            keys=self._count(Role.IACA),
        )

    def lists(self) -> Iterator[Entry]:
        for one in self._reader.status_lists():
            needed = self._reader.list_needed_until(one.list_id)
            if needed is None or needed < self._at:
                continue
            signed = self._reader.signed_list(one.list_id)
            due = deadline = self._at if signed is None else signed[3]
            if signed is not None:
                due = signed[2] + (deadline - signed[2]) / 2
            yield Entry(
                due=due,
                deadline=deadline,
                task=Task.STATUS_LIST,
                name=one.list_id,
                text="sign the list again: mdl issuer publish does" if signed is not None else "sign the new list",
                automatic=False,
                issuer=one.issuer,
            )

    # --- the future ---

    def forecast(self, until: datetime) -> list[Entry]:
        """What follows from what is still to come: successors of successors, under the rules as they are."""
        found: list[Entry] = []
        rules, newest = self._rules, self._roots.of(Role.IACA)[-1]
        start, ends = self._roots.certifies_from(newest), newest.certificate.not_after
        turn, count = self._turn_end(start, ends), len(self._roots.of(Role.IACA))
        handovers = [(start, ends)]
        while len(found) < _MOST_ENTRIES:
            made = max(turn - rules.root_lead_days * _DAY, self._at)
            begin, ends = max(turn, self._at), made + rules.root_days * _DAY
            handovers.append((begin, ends))
            turn, count = self._turn_end(begin, ends), count + 1
            due = max(turn - rules.root_lead_days * _DAY, self._at)
            if due > until:
                break
            text = f"make the root after iaca-{count}, and announce it: it has to certify then"
            found.append(_forecast(due, turn, Task.ROOT, f"iaca-{count}", text, automatic=False))
        active = self._active()
        if active:
            end = max(rules.window_end(one) for one in active)
            number = len(self._signers)
            while len(found) < _MOST_ENTRIES:
                made = max(end - rules.signer_lead_days * _DAY, self._at)
                root_end = next((last for begin, last in reversed(handovers) if begin <= made), handovers[0][1])
                closing = min(made + rules.signer_days * _DAY, root_end) - rules.credential_days * _DAY
                due = closing - rules.signer_lead_days * _DAY
                if due > until or closing <= end:
                    break
                number, end = number + 1, closing
                text = "make the document signer after the one before, whose window closes then"
                found.append(_forecast(due, closing, Task.SIGNER, f"ds-{number}", text, automatic=True))
        return found


def _needed_until(roots: Roots, role: Role, root: CertificateRecord, at: datetime) -> datetime:
    """Until when a root needs a signer of a role: list signers as long as there are credentials under the root."""
    generations = roots.of(root.role)
    certifying = roots.certifying(root.role, at)
    if role is not Role.STATUS_SIGNER or generations.index(root) >= generations.index(certifying):
        return root.certificate.not_after
    own = root.certificate.fingerprint
    ends = (one.certificate.not_after for one in roots.of(Role.DOCUMENT_SIGNER) if one.issuer == own)
    return max(ends, default=root.certificate.not_before)


def _forecast(due: datetime, deadline: datetime, task: Task, name: str, text: str, *, automatic: bool) -> Entry:
    return Entry(due=due, deadline=deadline, task=task, name=name, text=text, automatic=automatic, forecast=True)


# --- Doing it --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of an entry of the plan.

    Attributes:
        entry: The entry.
        result: What was made: the name of its file without the ending, or a CRL's number; None if nothing was.
        left: Why it was left to somebody else, or None.
        failed: Why it could not be done, or None.
    """

    entry: Entry
    result: str | None = None
    left: str | None = None
    failed: SigningError | None = None


def rotate(
    authority: Certifying, *, at: Clock | datetime, rekey: bool = False, dry_run: bool = False
) -> tuple[Done, ...]:
    """Do what is due: successors of signers, retirements, CRLs.

    It may be run as often as one likes: what is done is not due any more. Of several processes on a host one works at a
    time; of several hosts with one store, one makes a key, and the other finds that it was made.

    Args:
        authority: The authority.
        at: The time, aware UTC, or a clock.
        rekey: Make the next root too if it is due. A root has to be announced before it certifies, and its key mostly
            lies elsewhere, so this is asked for.
        dry_run: Only tell what would be done.

    Returns:
        What was done, or left to others, in order.

    Raises:
        MdlError: The store is behind, or damaged, or the clock is wrong; what was done before stays done. One key
            that cannot be had keeps nothing else from being done: see `Done.failed`.
    """
    clock: Clock = at if callable(at) else lambda: at
    done: list[Done] = []
    with nullcontext() if dry_run else authority.alone(), authority.open_store() as store:
        if not dry_run:
            with permitted(store, "rotate", clock, Actor.SIGNER_OPERATOR):
                pass
        # Each step may make others due, or make them not due any more.
        for _ in range(_MOST_ENTRIES):
            with store.reading() as reader:
                settings = reader.settings()
                rules = Rules.of_settings({} if settings is None else settings.document)
                due = plan(reader, rules, clock())
            tried = {(one.entry.task, one.entry.name, one.entry.issuer) for one in done}
            left = [one for one in due if (one.task, one.name, one.issuer) not in tried]
            if not left:
                break
            may = is_allowed(store, _OPERATIONS.get(left[0].task, "rotate"), clock, Actor.SIGNER_OPERATOR)
            done.append(_carry_out(authority, left[0], rules, clock, may=may, rekey=rekey, dry_run=dry_run))
    return tuple(done)


_OPERATIONS: Final = {
    Task.CRL: "crl",
    Task.SIGNER: "ds",
    Task.RETIRE: "rotate --retire",
    Task.ROOT: "rekey",
}


def _carry_out(
    authority: Certifying, entry: Entry, rules: Rules, clock: Clock, *, may: bool, rekey: bool, dry_run: bool
) -> Done:
    asked = entry.automatic or (rekey and entry.task is Task.ROOT)
    if not asked:
        why = {
            Task.ROOT: "mdl issuer rekey makes it, or rotate --rekey",
            Task.CRL: "the key of this root is somewhere else",
            Task.SIGNER: "the key of the root is somewhere else: mdl issuer csr makes a request for it",
            Task.STATUS_LIST: "mdl issuer publish does it",
        }
        return Done(entry=entry, left=why.get(entry.task, "not yet"))
    if not may:
        return Done(entry=entry, left="the policy gives this to another role")
    if dry_run:
        return Done(entry=entry)
    doing: Mapping[Task, Callable[[], str]] = {
        Task.CRL: lambda: _sign_crl(authority, entry, rules, clock),
        Task.SIGNER: lambda: _certify(authority, entry, rules, clock),
        Task.RETIRE: lambda: _retire(authority, entry, clock),
        Task.ROOT: lambda: _rekey(authority, entry, rules, clock),
    }
    try:
        return Done(entry=entry, result=doing[entry.task]())
    except LocalProtocolError as exc:
        if exc.code != "authority.overtaken":
            raise
        return Done(entry=entry, left="another process was first")
    except SigningError as exc:
        if exc.code not in OF_ONE_KEY:
            raise
        return Done(entry=entry, failed=exc)


def _sign_crl(authority: Certifying, entry: Entry, rules: Rules, clock: Clock) -> str:
    published = authority.publish_crl(at=clock, days=rules.crl_days, issuers=[entry.issuer or b""])
    return f"number {published.crl.number}"


def _certify(authority: Certifying, entry: Entry, rules: Rules, clock: Clock) -> str:
    role = entry.role or Role.DOCUMENT_SIGNER
    with authority.open_store() as store, store.reading() as reader:
        roots, now = Roots(reader), clock()
        curve = _curve_of(roots, role)
        days = None
        if role is Role.DOCUMENT_SIGNER:
            left = roots.certifying(Role.IACA, now).certificate.not_after - now
            days = max(1, min(rules.signer_days, left.days))
    issued = authority.certify(role, at=clock, curve=curve, days=days, issuer=entry.issuer, expected=entry.keys)
    return issued.certificate_file.stem


def _rekey(authority: Certifying, entry: Entry, rules: Rules, clock: Clock) -> str:
    with authority.open_store() as store, store.reading() as reader:
        curve = _curve_of(Roots(reader), Role.IACA)
    root = authority.rekey(
        at=clock,
        certifies_from=entry.deadline,
        curve=curve,
        days=rules.root_days,
        crl_days=rules.crl_days,
        expected=entry.keys,
    )
    return root.certificate_file.stem


def _curve_of(roots: Roots, role: Role) -> str:
    """The curve that a successor's key is on: its predecessor's."""
    return next((one.certificate.public_key.curve.name for one in reversed(roots.of(role)) if one.key), "P-256")


def _retire(authority: Certifying, entry: Entry, clock: Clock) -> str:
    with (
        authority.open_store() as store,
        refusals(store, "rotate --retire", clock, Actor.SIGNER_OPERATOR),
        store.transaction(at=clock, actor=Actor.SIGNER_OPERATOR) as tx,
    ):
        key = entry.name
        if entry.role is not Role.DOCUMENT_SIGNER:
            roots = Roots(tx)
            key = next(one.key or "" for one in roots.certificates if roots.stem(one) == entry.name)
        if tx.signer(key).state is SignerState.ACTIVE:
            tx.set_signer_state(key, SignerState.RETIRED)
    return key


# --- What expires ----------------------------------------------------------------------------------------------------


class State(StrEnum):
    """How near its end something is."""

    GOOD = "good"
    REPLACED = "replaced"
    """It ends, and something else has taken its place, or it is needed no more."""
    EXPIRING = "expiring"
    EXPIRED = "expired"
    UNSIGNED = "unsigned"
    """Something that it must show is recorded, and not signed: readers do not see a revocation."""

    @property
    def is_alarm(self) -> bool:
        """Whether somebody has to do something."""
        return self in (State.EXPIRING, State.EXPIRED, State.UNSIGNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """Something that ends.

    Attributes:
        kind: ``certificate``, ``signing-window``, ``crl`` or ``status-list``.
        name: Of its file without the ending, or a list's id.
        title: What it is, for people.
        starts: Since when it is good.
        ends: Until when.
        state: How near that is.
    """

    kind: str
    name: str
    title: str
    starts: datetime
    ends: datetime
    state: State


def expiring(reader: Reader, rules: Rules, at: datetime, *, within: timedelta) -> tuple[Expiry, ...]:
    """Everything of the authority that ends, soonest first.

    What was revoked, or replaced and has ended, is left out. A certificate whose key is somewhere else counts as
    expired for as long as the warning before it was; then somebody has decided.

    Args:
        reader: The store.
        rules: By which things follow each other.
        at: The moment for which the answer is.
        within: What ends so soon is called expiring.

    Raises:
        DecodeError: The store is damaged.
    """
    roots = Roots(reader)
    signers = document_signers(reader)
    found = [*_certificates(reader, roots, at, within), *_windows(signers, rules, at, within)]
    for root in (*roots.in_service(at), *roots.given_up(at)):
        last = reader.last_crl(root.certificate.fingerprint)
        if last is not None:
            title = f"CRL of {root.certificate.subject.common_name}, number {last.number}"
            # A CRL is short-lived: near its end is where rotate should have signed the next.
            warning = min(within, (last.next_update - last.this_update) / 4)
            state = _state(last.next_update, at, warning)
            ended = {one.certificate.serial for one in roots.certificates if one.certificate.not_after < at}
            missing = reader.revoked_serials(root.certificate.fingerprint).keys() - Crl.decode(last.der).revoked.keys()
            if missing - ended:
                state = State.UNSIGNED
                title += ", without a revocation that is recorded"
            elif root.revoked_at is not None:
                continue  # no other is waited for
            found.append(_expiry("crl", roots.stem(root), title, (last.this_update, last.next_update), state))
    for one in reader.status_lists():
        needed = reader.list_needed_until(one.list_id)
        signed = reader.signed_list(one.list_id)
        if needed is None or needed < at:
            continue
        starts, ends = (one.opened_at, one.opened_at) if signed is None else (signed[2], signed[3])
        state = _state(ends, at, min(within, (ends - starts) / 4))
        title = one.kind.value.replace("-", " ")
        if signed is not None and lacks_revocation(reader, one, signed[1]):
            state, title = State.UNSIGNED, f"{title}, without a revocation that is recorded"
        found.append(_expiry("status-list", one.list_id, title, (starts, ends), state))
    return tuple(sorted(found, key=lambda one: (one.ends, one.kind, one.name)))


def _certificates(reader: Reader, roots: Roots, at: datetime, within: timedelta) -> Iterator[Expiry]:
    states = {one.key: one.state for one in reader.signers()}
    for record in roots.certificates:
        if record.revoked_at is not None:
            continue
        ends = record.certificate.not_after
        if record.key is None and record.role is not Role.IACA:
            replaced = record.role is Role.LINK
            if ends + within < at:
                continue
        else:
            replaced = _is_replaced(roots, record, at) or states.get(record.key or "") is SignerState.RETIRED
            if ends < at and replaced:
                continue
        state = State.REPLACED if replaced else _state(ends, at, within)
        if replaced and ends - at > within:
            state = State.GOOD
        title = f"{CERTIFIED[record.role].profile.title} {record.certificate.subject.common_name}"
        yield _expiry("certificate", roots.stem(record), title, (record.certificate.not_before, ends), state)


def _is_replaced(roots: Roots, record: CertificateRecord, at: datetime) -> bool:
    """Whether another certificate has taken the place of one, or its place is needed no more."""
    lists = record.role is Role.STATUS_SIGNER
    later = any(
        other.role is record.role
        and other.key is not None
        and other.revoked_at is None
        and other.certificate.not_after > record.certificate.not_after
        and (not lists or other.issuer == record.issuer)
        for other in roots.certificates
    )
    if later or not lists:
        return later
    return record.certificate.not_after >= _needed_until(roots, record.role, roots.issuer_of(record), at)


def _windows(signers: Iterable[DocumentSigner], rules: Rules, at: datetime, within: timedelta) -> Iterator[Expiry]:
    active = [one for one in signers if one.state is SignerState.ACTIVE]
    last = max((rules.window_end(one) for one in active), default=at)
    for one in active:
        ends = rules.window_end(one)
        state = _state(ends, at, min(within, rules.signer_lead_days * _DAY))
        if ends < last and state.is_alarm:
            state = State.REPLACED
        title = f"signing window of {one.certificate.subject.common_name}"
        yield _expiry("signing-window", one.key, title, (one.certificate.not_before, ends), state)


def _state(ends: datetime, at: datetime, within: timedelta) -> State:
    if ends < at:
        return State.EXPIRED
    return State.EXPIRING if ends - at <= within else State.GOOD


def _expiry(kind: str, name: str, title: str, period: tuple[datetime, datetime], state: State) -> Expiry:
    return Expiry(kind=kind, name=name, title=title, starts=period[0], ends=period[1], state=state)

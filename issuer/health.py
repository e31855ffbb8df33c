"""Can this authority issue and revoke licences now? Every cause that speaks against it, told apart.

`examine_health` looks at the folder, the store, the clock, the token, signers, lists and the published tree, and
changes none of them. Each part is examined by itself: one that is dead hides none of the others. Every cause has one
code, a level and a remedy (`CAUSES`); `docs/reference/health.md` is written from that table.

    failure   licences cannot be issued, or cannot be revoked so that readers see it
    warning   they can, and somebody has to do something before they cannot
    note      something that this authority never set up, or that cannot be seen from here

A token is asked whether its PIN was missed before the PIN is tried, so a check that a timer runs with a wrong PIN tries
it once, and never locks the token.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from issuer.certificate_files import CertificateFiles
from issuer.clock import SystemClock
from issuer.custody import PIN_FILE, Custody
from issuer.folder import State, exposure, read_file
from issuer.hsm import PinState, pin_state
from issuer.key_uri import Pkcs11Uri
from issuer.keystore import SecretHandler, StoredKey
from issuer.lifecycle import Expiry, Rules, expiring
from issuer.lifecycle import State as ExpiryState
from issuer.policy import IssuancePolicy
from issuer.publishing import ItemKind, Publisher, published_folder, published_rows
from issuer.restoring import compare, look
from issuer.signers import CERTIFIED, DocumentSigner, Roots, active_signer, choose_document_signer, document_signers
from issuer.status import is_ended, lacks_revocation
from issuer.store import CertificateRecord, Clock, Reader, Role, SignerState, Store
from issuer.token_keys import list_token_keys
from issuer.watching import Fault, Observation, Watched, fetch_tree, watch, watched_items
from issuer.workplace import SOFTHSM_FOLDER, STATE_FILE, STORE_FILE, Workplace, half_pairs_of
from mdl.cbor import TDate
from mdl.errors import DecodeError, FetchError, LocalProtocolError, MdlError, SigningError
from mdl.keys import PublicKey
from mdl.pki import Crl

if TYPE_CHECKING:
    from issuer.restoring import Seen

__all__ = [
    "CAUSES",
    "Cause",
    "HealthFinding",
    "HealthReport",
    "Level",
    "examine_health",
    "signing_causes",
    "standing_causes",
]

MIN_FREE: Final = 64 * 1024 * 1024
"""Free disk space below which nothing should be signed any more, in bytes: SQLite and each file need some."""

_PLENTY: Final = 8
"""So many times that is free without a warning."""

_SOON: Final = timedelta(days=30)


class Level(StrEnum):
    """How grave a cause is."""

    FAILURE = "failure"
    WARNING = "warning"
    NOTE = "note"


class Cause(NamedTuple):
    """What is known of a cause before it is met.

    Attributes:
        level: How grave it is.
        affects: What does not work: ``issue``, ``revoke``, or both.
        meaning: What it is.
        remedy: What to do.
    """

    level: Level
    affects: tuple[str, ...]
    meaning: str
    remedy: str


_BOTH: Final = ("issue", "revoke")
_ISSUE: Final = ("issue",)
_REVOKE: Final = ("revoke",)
_F, _W, _N = Level.FAILURE, Level.WARNING, Level.NOTE
_PUBLISH: Final = "mdl issuer publish"
_RESTORE: Final = "restore the file from a backup (how-to: back up and restore)"
_ELSEWHERE: Final = "sign the CRL where the key of the root is, and take it with mdl issuer accept"

CAUSES: Final = MappingProxyType({
    # the folder
    "authority.state": Cause(_F, _BOTH, "authority.json is damaged", _RESTORE),
    "authority.version": Cause(_F, _BOTH, "another version of this program wrote the folder", "use that version"),
    "authority.unfinished": Cause(_F, _BOTH, "the founding was broken off", "run mdl issuer init again"),
    "authority.unreadable": Cause(_F, _BOTH, "a file of the folder cannot be read", "let the account read it"),
    "authority.file_changed": Cause(
        _F, _BOTH, "a file of the folder is not what was signed", "take the file away: it is written again"
    ),
    "authority.open": Cause(
        _F, _BOTH, "others may write the folder, its state or the store", "chmod o-w, and find out what they wrote"
    ),
    "signing.secret_open": Cause(
        _F, _BOTH, "others may read a secret", "chmod 600 the file (700 a folder), and change the secret"
    ),
    "health.shared": Cause(
        _W, (), "a group may read a secret, or write the folder", "chmod g-rwx, unless the group is meant"
    ),
    "health.disk_full": Cause(_F, _BOTH, "the disk is full", "free some space"),
    "health.disk_low": Cause(_W, (), "the disk is nearly full", "free some space"),
    # the store
    "store.missing": Cause(_F, _BOTH, "the store is missing", "mdl issuer restore --copy BACKUP"),
    "store.not_a_store": Cause(_F, _BOTH, "the store's file is something else", "mdl issuer restore --copy BACKUP"),
    "store.damaged": Cause(_F, _BOTH, "the store is damaged", "mdl issuer restore --copy BACKUP"),
    "store.version": Cause(_F, _BOTH, "a newer version of this program wrote the store", "use that version"),
    "store.unreachable": Cause(_F, _BOTH, "the database does not answer", "start it, or correct its DSN and password"),
    "store.busy": Cause(_F, _BOTH, "another process does not let go of the store", "find the process that hangs"),
    "store.failed": Cause(_F, _BOTH, "the database failed", "look into its log"),
    "health.store_read_only": Cause(
        _F, _BOTH, "the store cannot be written", "let this account write it; on a copy: go to the host that signs"
    ),
    "store.behind": Cause(
        _F, _BOTH, "the store is behind what was published, or behind a checkpoint", "mdl issuer restore"
    ),
    "health.not_compared": Cause(
        _W, (), "the published tree cannot be compared with the store", "run health where the tree is, or publish anew"
    ),
    # the clock
    "authority.clock": Cause(
        _F, _BOTH, "the clock lies before the last recorded event", "set the clock, or give --clock-was-wrong once"
    ),
    "authority.clock_doubted": Cause(
        _F, _BOTH, "the clock is far ahead of an independent one", "set the clock, or give --clock-is-right once"
    ),
    # the token
    "signing.module_missing": Cause(_F, _BOTH, "the PKCS#11 module is not there", "install it, or correct its path"),
    "signing.module_invalid": Cause(_F, _BOTH, "the PKCS#11 module is none", "install it, or correct its path"),
    "signing.module_failed": Cause(_F, _BOTH, "the PKCS#11 module does not start", "correct its configuration"),
    "signing.token_missing": Cause(_F, _BOTH, "the token is not there", "connect it, or restore its folder"),
    "signing.token_lost": Cause(_F, _BOTH, "the token does not answer", "connect it again"),
    "signing.secret_missing": Cause(_F, _BOTH, "the PIN is not where it should be", "put it there, or name its place"),
    "signing.pin_incorrect": Cause(_F, _BOTH, "the PIN is wrong", "correct it; until then it is not tried again"),
    "signing.pin_locked": Cause(_F, _BOTH, "the PIN is locked", "let the security officer set a new one"),
    "health.pin_final_try": Cause(
        _F, _BOTH, "one more wrong PIN locks the token; none was tried", "log in once with the right PIN, by hand"
    ),
    "health.pin_missed": Cause(
        _F, _BOTH, "a wrong PIN was tried, and nobody has logged in since; none was tried",
        "put the right PIN in its place and run a command that signs, such as mdl issuer publish",
    ),
    "authority.moved": Cause(_F, _BOTH, "the folder of the token was moved", "write its place into softhsm2.conf"),
    "authority.busy": Cause(_F, _BOTH, "another process does not let go of the token", "find the process that hangs"),
    "signing.key_missing": Cause(_F, _BOTH, "a key is not in the token", "restore the token from its backup"),
    "signing.wrong_key": Cause(_F, _BOTH, "the token has another key of that label", "restore the token's own key"),
    "health.spare_key": Cause(
        _W, (), "a key that is not needed now is not in the token", "restore the token, or retire or revoke the signer"
    ),
    "health.half_pair": Cause(
        _N, (), "the token has half of a key pair that was never finished: nothing signs with it",
        "delete it with the token's own tool; new keys get other labels",
    ),
    "health.token_unseen": Cause(_N, (), "the token was not looked at", "run health without --without-token"),
    # the document signers
    "authority.no_signer": Cause(_F, _ISSUE, "there is no document signer yet", "mdl issuer ds"),
    "health.issued_elsewhere": Cause(_N, (), "the document signers' keys are on another host", "ask health there"),
    "health.signer_revoked": Cause(_F, _ISSUE, "every document signer is revoked", "mdl issuer ds"),
    "health.signer_retired": Cause(_F, _ISSUE, "every document signer is retired", "mdl issuer ds"),
    "health.signer_unfinished": Cause(
        _F, _ISSUE, "a document signer has no certificate yet", "certify its request, then mdl issuer accept"
    ),
    "health.signer_expired": Cause(_F, _ISSUE, "every document signer has expired", "mdl issuer ds"),
    "health.signer_early": Cause(_F, _ISSUE, "the document signer is not valid yet", "wait, or mdl issuer ds"),
    "health.signer_short": Cause(
        _F, _ISSUE, "no document signer lives as long as the longest licence", "mdl issuer ds, or mdl issuer rotate"
    ),
    "health.rules_short": Cause(
        _W, (), "the rules keep signers for shorter licences than the policy allows",
        "mdl issuer rules --set credential-days=N",
    ),
    "health.root_given_up": Cause(
        _F, _ISSUE, "the root of the document signer was given up", "mdl issuer ds, under the next root"
    ),
    "health.root_expired": Cause(_F, _BOTH, "no root is valid now", "mdl issuer rekey"),
    "health.window_closing": Cause(_W, (), "the last document signer signs its last soon", "mdl issuer rotate"),
    # status lists
    "health.no_status_plan": Cause(
        _N, (), "single licences cannot be revoked: no status list was ever opened",
        "mdl issuer certify --role revocation-list, then mdl issuer publish DIR --status-url URL",
    ),
    "health.status_demanded": Cause(
        _F, _ISSUE, "the policy demands a status, and no status list was ever opened",
        "mdl issuer certify --role revocation-list, then mdl issuer publish DIR --status-url URL",
    ),
    "health.no_list_signer": Cause(
        _F, _REVOKE, "there are status lists, and no revocation-list signer was ever made for their root",
        "mdl issuer certify --role revocation-list",
    ),
    "health.list_signer_expired": Cause(
        _F, _REVOKE, "the revocation-list signer has expired", "mdl issuer certify --role revocation-list"
    ),
    "health.list_signer_revoked": Cause(
        _F, _REVOKE, "the revocation-list signer is revoked", "mdl issuer certify --role revocation-list"
    ),
    "health.list_signer_retired": Cause(
        _F, _REVOKE, "the revocation-list signer is retired", "mdl issuer certify --role revocation-list"
    ),
    "health.list_unsigned": Cause(_F, _REVOKE, "a status list that licences name was never signed", _PUBLISH),
    "health.list_expired": Cause(_F, _REVOKE, "a status list has expired: readers refuse its licences", _PUBLISH),
    "health.list_due": Cause(_W, (), "a status list expires soon", _PUBLISH),
    "health.list_waits": Cause(
        _W, (), "readers look for a newer status list, and none was signed", "let a timer run " + _PUBLISH
    ),
    "health.list_lacks": Cause(_F, _REVOKE, "a recorded revocation is in no signed status list", _PUBLISH),
    # CRLs and certificates
    "health.crl_missing": Cause(_F, _REVOKE, "a root has no CRL", _PUBLISH),
    "health.crl_expired": Cause(_F, _REVOKE, "a CRL has expired: readers refuse what it is about", _PUBLISH),
    "health.crl_due": Cause(_W, (), "a CRL expires soon", _PUBLISH),
    "health.crl_lacks": Cause(_F, _REVOKE, "a recorded revocation is in no signed CRL", _PUBLISH),
    "health.certificate_expired": Cause(_W, (), "a certificate has expired, and has no successor", "mdl issuer rotate"),
    "health.certificate_due": Cause(_W, (), "a certificate expires soon, and has no successor", "mdl issuer rotate"),
    # what is published
    "health.never_published": Cause(_N, (), "nothing was ever published from here", "mdl issuer publish DIR"),
    "health.not_published": Cause(_F, _REVOKE, "a recorded revocation is signed, and not published", _PUBLISH),
    "health.published_missing": Cause(_F, _REVOKE, "something that was signed is not in the published tree", _PUBLISH),
    "health.published_changed": Cause(
        _F, _REVOKE, "a file of the published tree is not what was signed", "find out who wrote there; " + _PUBLISH
    ),
    "health.published_stale": Cause(_F, _REVOKE, "what is published has expired, and its successor waits", _PUBLISH),
    "health.published_older": Cause(_W, (), "what is published is older than what was signed", _PUBLISH),
    "health.no_place": Cause(
        _F, _REVOKE, "a list or a CRL has no place in the tree", "mdl issuer move-list, or mdl issuer retire-list"
    ),
    "publish.foreign": Cause(_F, _REVOKE, "the published tree is another authority's", "publish in another folder"),
    "publish.damaged": Cause(
        _F, _REVOKE, "the index of the published tree is damaged", "take its 'current' away, then " + _PUBLISH
    ),
    "health.vical_expired": Cause(_W, (), "the published VICAL has expired", "mdl issuer vical, and publish it"),
    "health.vical_due": Cause(_W, (), "the successor of the published VICAL is due soon", "mdl issuer vical"),
    "health.vical_lost": Cause(
        _W, (), "the published VICAL is lost or changed", "publish it again: mdl issuer publish --vical FILE"
    ),
})  # fmt: skip
"""The causes that are known, by code. What is met beside them is a failure of the part that was examined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthFinding:
    """Something that speaks against the health of an authority.

    Attributes:
        code: The cause: one of `CAUSES`, or the code of an error that none of them is.
        level: How grave it is.
        affects: What does not work: ``issue``, ``revoke``, both or neither.
        name: Of what: a file, a key, a list; empty for the authority as a whole.
        message: What is so, for people.
        remedy: What to do.
        until: The deadline, where there is one.
    """

    code: str
    level: Level
    affects: tuple[str, ...]
    name: str
    message: str
    remedy: str
    until: datetime | None = None

    def row(self) -> dict[str, Any]:
        """The finding as plain values."""
        return {
            "code": self.code,
            "level": self.level.value,
            "affects": [*self.affects],
            "name": self.name,
            "message": self.message,
            "remedy": self.remedy,
            "until": None if self.until is None else TDate.of(self.until).text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How an authority is.

    Attributes:
        folder: Its folder.
        at: When that was.
        findings: What speaks against it, gravest first; notes last.
    """

    folder: Path
    at: datetime
    findings: tuple[HealthFinding, ...]

    @property
    def is_healthy(self) -> bool:
        """Whether licences can be issued and revoked now."""
        return not any(one.level is Level.FAILURE for one in self.findings)

    def works(self, what: str) -> bool:
        """Whether nothing is in the way of ``issue``, or of ``revoke``."""
        return not any(one.level is Level.FAILURE and what in one.affects for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "format": "mdl issuer health 1",
            "directory": str(self.folder),
            "at": TDate.of(self.at).text,
            "healthy": self.is_healthy,
            "can_issue": self.works("issue"),
            "can_revoke": self.works("revoke"),
            "findings": [one.row() for one in self.findings],
        }


def _finding(
    code: str, message: str = "", *, name: str = "", until: datetime | None = None, remedy: str | None = None
) -> HealthFinding:
    cause = CAUSES.get(code)
    if cause is None:
        cause = Cause(_F, _BOTH, "", "mend what the message tells of, and run mdl issuer health again")
    return HealthFinding(
        code=code,
        level=cause.level,
        affects=cause.affects,
        name=name,
        message=message or cause.meaning,
        remedy=cause.remedy if remedy is None else remedy,
        until=until,
    )


def examine_health(
    directory: str | os.PathLike[str],
    *,
    at: Clock | None = None,
    secret: SecretHandler | None = None,
    tree: str | os.PathLike[str] | None = None,
    use_token: bool = True,
    within: timedelta = _SOON,
    min_free: int = MIN_FREE,
) -> HealthReport:
    """Tell whether licences can be issued and revoked now, and everything that speaks against it.

    Nothing is changed. The store is asked once for a writer's turn, which is given back at once; the keys that would
    sign now sign a random value.

    Args:
        directory: The authority's folder.
        at: The clock; None for the system's.
        secret: Asked for the token's PIN; None takes it from where the founding said.
        tree: The folder that was published to; None takes the one that the authority remembers.
        use_token: Whether to look at the token; no for a host that does not have it.
        within: So long ahead a deadline is a warning.
        min_free: Free disk space below which the disk counts as full, in bytes.

    Raises:
        DecodeError: There is no authority in the folder (code ``authority.missing``).
    """
    clock: Clock = SystemClock() if at is None else at
    examination = _Examination(Path(directory), clock, secret, within)
    examination.run(tree=None if tree is None else Path(tree).absolute(), use_token=use_token, min_free=min_free)
    order = {level: index for index, level in enumerate(Level)}
    distinct = dict.fromkeys(examination.findings)
    return HealthReport(
        folder=examination.folder,
        at=clock(),
        findings=tuple(sorted(distinct, key=lambda one: order[one.level])),
    )


# --- one examination --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Records:
    """What the store says about who signs."""

    needed: dict[str, str] = field(default_factory=dict)
    """The keys that have to be in the token now, and for what: ``issue`` or ``revoke``."""
    keys: dict[str, bytes] = field(default_factory=dict)
    """The public halves of all keys that may be used, by label."""


class _Examination(Workplace):
    """One examination of one authority."""

    def __init__(self, directory: Path, clock: Clock, secret: SecretHandler | None, within: timedelta) -> None:
        super().__init__(directory, secret=secret)
        self._at = clock
        self._within = within
        self.findings: list[HealthFinding] = []

    def run(self, *, tree: Path | None, use_token: bool, min_free: int) -> None:
        if not (self._folder / STATE_FILE).exists():
            self._load()  # says that there is none
        self._examine_disk(min_free)
        state: State | None = None
        with self._part():
            # Permissions are told apart, and hide nothing.
            state = State.decode(read_file(self._folder / STATE_FILE), self._folder / STATE_FILE)
        self._examine_permissions(state)
        records = None
        if state is not None:
            with self._part():
                records = self._examine_store(state, tree)
            if use_token:
                with self._part():
                    self._examine_token(state, records or _Records())
        if not use_token:
            self._tell("health.token_unseen")

    @contextmanager
    def _part(self, *, name: str = "", unwritable: bool = False) -> Iterator[None]:
        """A part that hides no other when it fails."""
        try:
            yield
        except MdlError as exc:
            code = exc.code
            if unwritable and code == "authority.unwritable":
                code = "health.store_read_only"
            self._tell(code, exc.message, name=name)

    def _tell(
        self, code: str, message: str = "", *, name: str = "", until: datetime | None = None, remedy: str | None = None
    ) -> None:
        self.findings.append(_finding(code, message, name=name, until=until, remedy=remedy))

    # --- the folder ---

    def _examine_disk(self, min_free: int) -> None:
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as exc:
            self._tell("authority.unreadable", f"cannot read {self._folder}: {exc.strerror}")
            return
        if free < min_free * _PLENTY:
            code = "health.disk_full" if free < min_free else "health.disk_low"
            self._tell(code, f"{free // (1024 * 1024)} MiB are free at {self._folder}", name=str(self._folder))

    def _examine_permissions(self, state: State | None) -> None:
        token = self._folder / SOFTHSM_FOLDER
        secrets = [token, token / PIN_FILE, token / "so-pin", *token.glob("tokens/*/*.object")]
        if state is not None:
            sources = [state.pin, None if state.store is None else state.store.password]
            secrets += [self._folder / one.file for one in sources if one is not None and one.file is not None]
        own = [self._folder, self._folder / STATE_FILE, self._folder / STORE_FILE]
        for file, secret in [*((one, True) for one in dict.fromkeys(secrets)), *((one, False) for one in own)]:
            found = exposure(file, secret=secret)
            if found is not None:
                code = ("signing.secret_open" if secret else "authority.open") if found.is_open else "health.shared"
                self._tell(code, found.text, name=str(file))

    # --- the store ---

    def _examine_store(self, state: State, tree: Path | None) -> _Records | None:
        seen = look(self._folder, None if tree is None else [tree])  # before the store is opened
        if not state.ready and not self._is_founded(state):
            message = f"the authority in {self._folder} was never finished: run mdl issuer init again"
            raise DecodeError(message, code="authority.unfinished")
        records = None
        with self._open_store(state) as store:
            with self._part(name=store.name, unwritable=True):
                store.check_writable()
            with self._part():
                store.check_clock(self._at)
            now = self._at()
            with store.reading() as reader:
                with self._part():
                    self._compare(reader, seen)
                with self._part():
                    CertificateFiles(self._folder, repair=False).hold(reader, Roots(reader))
                with self._part():
                    records = self._examine_records(reader, now)
            with self._part():
                self._examine_tree(store, now, tree)
        return records

    def _compare(self, reader: Reader, seen: Seen) -> None:
        for text in seen.not_compared:
            self._tell("health.not_compared", text)
        self.findings += _behind(reader, seen, self._folder)

    def _examine_records(self, reader: Reader, now: datetime) -> _Records:
        roots = Roots(reader)
        records = _Records()
        states = (SignerState.ACTIVE, SignerState.PREPARED)
        records.keys = {
            one.key: one.public_key for one in reader.signers() if one.state in states and one.role is not Role.AUDIT
        }
        records.needed = {one.key: "revoke" for one in roots.in_service(now) if one.key is not None}
        self.findings += signing_causes(reader, now)
        signers = document_signers(reader)
        if (chosen := choose_document_signer(signers, signed=now, valid_until=now)) is not None:
            records.needed[chosen.key] = "issue"
        self._examine_lists(reader, roots, now, records)
        self._examine_deadlines(reader, roots, now)
        return records

    def _examine_lists(self, reader: Reader, roots: Roots, now: datetime, records: _Records) -> None:
        lists = [one for one in reader.status_lists() if one.retired_at is None]
        if not lists:
            demanded = IssuancePolicy.of_store(reader).status_required
            self._tell("health.status_demanded" if demanded else "health.no_status_plan")
        for issuer in dict.fromkeys(one.issuer for one in lists if not is_ended(reader, one, now)):
            root = next((one for one in roots.certificates if one.certificate.fingerprint == issuer), None)
            try:
                records.needed[active_signer(reader, Role.STATUS_SIGNER, at=now, issuer=issuer).key] = "revoke"
            except MdlError:
                theirs = [one for one in roots.of(Role.STATUS_SIGNER) if one.issuer == issuer and one.key is not None]
                self._tell_list_signer(reader, root, theirs, now)

    def _tell_list_signer(
        self, reader: Reader, root: CertificateRecord | None, theirs: Sequence[CertificateRecord], now: datetime
    ) -> None:
        states = {one.key: one.state for one in reader.signers(Role.STATUS_SIGNER)}
        if not theirs:
            code = "health.no_list_signer"
        elif theirs[-1].revoked_at is not None:
            code = "health.list_signer_revoked"
        elif theirs[-1].certificate.not_after < now:
            code = "health.list_signer_expired"
        else:
            retired = states.get(theirs[-1].key or "") is SignerState.RETIRED
            code = "health.list_signer_retired" if retired else "health.no_list_signer"
        remedy = None if root is None or root.key is not None else request_remedy(Role.STATUS_SIGNER)
        name = "" if root is None else str(root.certificate.subject.common_name)
        self._tell(code, name=name, remedy=remedy)

    def _examine_deadlines(self, reader: Reader, roots: Roots, now: datetime) -> None:
        away = {roots.stem(one) for one in roots.certificates if one.key is None}
        for root in roots.in_service(now):
            if reader.last_crl(root.certificate.fingerprint) is None:
                self._tell("health.crl_missing", name=roots.stem(root), remedy=None if root.key else _ELSEWHERE)
        if roots.certifying(Role.IACA, now).certificate.not_after < now:
            self._tell("health.root_expired")
        published = published_folder(self._folder) is not None
        for one in expiring(reader, _rules(reader), now, within=self._within):
            code = _deadline_code(one)
            if code is None:
                continue
            finding = _finding(code, _deadline_text(one), name=one.name, until=one.ends)
            if one.kind == "crl" and one.name in away:
                finding = _finding(code, _deadline_text(one), name=one.name, until=one.ends, remedy=_ELSEWHERE)
            if one.kind == "status-list" and one.starts == one.ends:
                finding = _finding("health.list_unsigned", name=one.name)
                if not published:
                    # Nothing was ever published: this list is the first thing that will be.
                    finding = _finding("health.never_published", name=one.name)
            self.findings.append(finding)

    # --- what is published ---

    def _examine_tree(self, store: Store, now: datetime, tree: Path | None) -> None:
        folder = published_folder(self._folder) if tree is None else tree
        if folder is None:
            self._tell("health.never_published")
            return
        if published_rows(folder) is None:
            return  # that it is not compared was told
        vicals = Publisher(store, folder).vicals()
        fetch = fetch_tree(folder)
        with store.reading() as reader:
            watched = watched_items(reader, at=now, vicals=vicals)
            for one in watched:
                if isinstance(one, Watched):
                    self._examine_revocations(reader, one, fetch, now)
            for seen in watch(watched, fetch, at=now):
                self._examine_file(seen, {one.item.url: one for one in watched if isinstance(one, Watched)}, now)

    def _examine_revocations(self, reader: Reader, one: Watched, fetch: Any, now: datetime) -> None:
        """Whether what is published shows every revocation that is recorded, and signed."""
        url = one.item.url or ""
        try:
            content = fetch(url, one.item.media_type).content
            if self._lacks(reader, one, content, now) and not self._lacks(reader, one, one.item.content, now):
                self._tell("health.not_published", f"{url} does not show a revocation that is recorded", name=url)
        except (FetchError, DecodeError):
            return  # `watch` says what is wrong with it

    @staticmethod
    def _lacks(reader: Reader, one: Watched, content: bytes, now: datetime) -> bool:
        """Whether a CRL or a list does not show something that is recorded as revoked."""
        if one.item.kind is ItemKind.CRL and one.root is not None:
            ended = {each.certificate.serial for each in reader.certificates() if each.certificate.not_after < now}
            recorded = reader.revoked_serials(one.root.fingerprint).keys() - ended
            return not recorded <= Crl.decode(content).revoked.keys()
        record = next((each for each in reader.status_lists() if each.uri == one.item.url), None)
        return record is not None and lacks_revocation(reader, record, content)

    def _examine_file(self, seen: Observation, watched: dict[str | None, Watched], now: datetime) -> None:
        vical = seen.kind is ItemKind.VICAL
        item = watched[seen.url].item if seen.url in watched else None
        for fault, text in seen.faults:
            code = None
            match fault:
                case Fault.MISSING if vical:
                    code = "health.vical_lost"
                case Fault.MISSING if item is not None:
                    code = "health.published_missing"
                case Fault.MISSING if "cannot be published" in text:
                    code = "health.no_place"
                case Fault.UNREADABLE | Fault.FOREIGN | Fault.ALTERED | Fault.UNREACHABLE:
                    code = "health.vical_lost" if vical else "health.published_changed"
                case Fault.OLDER:
                    code = "health.published_older"
                case Fault.STALE if vical:
                    code = "health.vical_expired"
                case Fault.STALE if item is not None and item.until is not None and item.until > now:
                    ended = seen.until is None or seen.until <= now
                    code = "health.published_stale" if ended else "health.list_waits"
                case Fault.EXPIRING if vical:
                    code = "health.vical_due"
                case _:
                    pass  # never signed, expired, ahead: told from the store
            if code is not None:
                self._tell(code, f"{seen.url}: {text}", name=seen.url, until=seen.until)

    # --- the token ---

    def _examine_token(self, state: State, records: _Records) -> None:
        with self._custody(state) as custody:
            if isinstance(custody.uri, Pkcs11Uri):
                found = pin_state(custody.uri)
                if found is PinState.LOCKED:
                    self._tell("signing.pin_locked")
                    return
                if found in (PinState.FINAL_TRY, PinState.MISSED):
                    self._tell("health.pin_final_try" if found is PinState.FINAL_TRY else "health.pin_missed")
                    return
                self._examine_keys(list_token_keys(custody.uri, secret=custody.secret), records)
                for key, how in half_pairs_of(custody, state.iaca_key).items():
                    if key not in records.keys:
                        self._tell("health.half_pair", f"the token has the {how.value} of a key '{key}' only", name=key)
            else:
                labels = custody.labels()
                for key in records.keys.keys() - labels:
                    self._tell_missing(key, records)
            self._prove(custody, records)

    def _examine_keys(self, stored: Sequence[StoredKey], records: _Records) -> None:
        found = {one.label: one.public_key for one in stored}
        for key, spki in sorted(records.keys.items()):
            if key not in found:
                self._tell_missing(key, records)
            elif found[key] is not None and found[key] != PublicKey.from_spki(spki):
                self._tell("signing.wrong_key", f"the key '{key}' in the token is not the one of the store", name=key)

    def _tell_missing(self, key: str, records: _Records) -> None:
        code = "signing.key_missing" if key in records.needed else "health.spare_key"
        self._tell(code, f"the token has no key '{key}'", name=key)

    def _prove(self, custody: Custody, records: _Records) -> None:
        """Let the keys that sign licences and lists sign something; a root's is left alone."""
        told = {one.name for one in self.findings if one.code in ("signing.key_missing", "signing.wrong_key")}
        with_certificate = {key for key in records.needed if not key.startswith("iaca")}
        for key in sorted(with_certificate - told):
            with self._part(name=key), custody.open(key) as signer:
                if signer.public_key.spki != records.keys.get(key):
                    message = f"the key '{key}' in the token is not the one of the store"
                    raise SigningError(message, code="signing.wrong_key")


# --- what the store tells without the token ---------------------------------------------------------------------------


def standing_causes(folder: Path, store: Store, at: Clock) -> list[HealthFinding]:
    """Why nothing can be issued now, as far as reading tells: the clock, a store that is behind, the signers.

    Args:
        folder: The authority's folder.
        store: Its store.
        at: The clock.

    Raises:
        DecodeError: The store is damaged.
    """
    found = []
    seen = look(folder)
    try:
        store.check_clock(at)
    except LocalProtocolError as exc:
        found.append(_finding(exc.code, exc.message))
    with store.reading() as reader:
        found += _behind(reader, seen, folder)
        found += signing_causes(reader, at())
    return [one for one in found if one.level is Level.FAILURE]


def _behind(reader: Reader, seen: Seen, folder: Path) -> list[HealthFinding]:
    ahead = compare(reader, seen, folder=folder)
    if not ahead:
        return []
    more = f", and {len(ahead) - 1} more" if len(ahead) > 1 else ""
    return [_finding("store.behind", f"the store is behind: {ahead[0].text}{more}")]


# --- who signs --------------------------------------------------------------------------------------------------------


def signing_causes(reader: Reader, at: datetime) -> list[HealthFinding]:
    """Why no licence, or not the longest that the policy allows, can be signed now, by what the store says.

    Args:
        reader: The store.
        at: The time, aware UTC.

    Raises:
        DecodeError: The store is damaged.
    """
    roots, signers = Roots(reader), document_signers(reader)
    root_here = roots.certifying(Role.IACA, at).key is not None
    remedy = None if root_here else request_remedy(Role.DOCUMENT_SIGNER)
    if not signers:
        if reader.signers(Role.DOCUMENT_SIGNER):
            return [_finding("health.signer_unfinished")]
        if roots.of(Role.DOCUMENT_SIGNER):
            return [_finding("health.issued_elsewhere")]
        return [_finding("authority.no_signer", remedy=remedy)]
    chosen = choose_document_signer(signers, signed=at, valid_until=at)
    if chosen is None:
        last = signers[-1]
        text = f"{last.certificate.subject.common_name}: {_why_not(last, at)[1]}"
        return [_finding(_why_not(last, at)[0], text, name=last.key, remedy=remedy)]
    found = []
    given_up = {one.certificate.fingerprint for one in roots.certificates if one.revoked_at is not None}
    record = reader.certificate(chosen.certificate.fingerprint)
    if record.issuer in given_up:
        found.append(_finding("health.root_given_up", name=chosen.key))
    rules = _rules(reader)
    policy = IssuancePolicy.of_store(reader)
    longest = rules.credential_days if policy.credential_days is None else policy.credential_days
    if choose_document_signer(signers, signed=at, valid_until=at + timedelta(days=longest)) is None:
        ends = max(one.certificate.not_after for one in signers if one.state is SignerState.ACTIVE)
        message = f"licences may live {longest} days, and no document signer lives so long"
        found.append(_finding("health.signer_short", message, name=chosen.key, until=ends, remedy=remedy))
    if rules.credential_days < longest:
        message = (
            f"the policy allows licences of {longest} days, and the rules keep signers for {rules.credential_days}"
        )
        found.append(_finding("health.rules_short", message))
    return found


def _why_not(signer: DocumentSigner, at: datetime) -> tuple[str, str]:
    if signer.state is SignerState.REVOKED:
        return "health.signer_revoked", "revoked"
    if signer.state is SignerState.RETIRED:
        return "health.signer_retired", "retired"
    if signer.state is not SignerState.ACTIVE:
        return "health.signer_unfinished", "without a certificate"
    if signer.certificate.not_after < at:
        return "health.signer_expired", f"expired on {TDate.of(signer.certificate.not_after).text}"
    return "health.signer_early", f"valid from {TDate.of(signer.certificate.not_before).text} on"


def request_remedy(role: Role) -> str:
    """What makes a signer of a role where the root's key is on another machine."""
    name = CERTIFIED[role].name
    return f"the key of the root is elsewhere: mdl issuer csr --role {name}, the ceremony there, then mdl issuer accept"


# --- deadlines --------------------------------------------------------------------------------------------------------

_CODES: Final = {
    ("crl", ExpiryState.EXPIRED): "health.crl_expired",
    ("crl", ExpiryState.EXPIRING): "health.crl_due",
    ("crl", ExpiryState.UNSIGNED): "health.crl_lacks",
    ("status-list", ExpiryState.EXPIRED): "health.list_expired",
    ("status-list", ExpiryState.EXPIRING): "health.list_due",
    ("status-list", ExpiryState.UNSIGNED): "health.list_lacks",
    ("certificate", ExpiryState.EXPIRED): "health.certificate_expired",
    ("certificate", ExpiryState.EXPIRING): "health.certificate_due",
    ("signing-window", ExpiryState.EXPIRED): "health.window_closing",
    ("signing-window", ExpiryState.EXPIRING): "health.window_closing",
}


def _deadline_code(one: Expiry) -> str | None:
    return _CODES.get((one.kind, one.state))


def _deadline_text(one: Expiry) -> str:
    return f"{one.title}: {one.state.value}, {TDate.of(one.ends).text}"


def _rules(reader: Reader) -> Rules:
    settings = reader.settings()
    return Rules.of_settings({} if settings is None else settings.document)


# --- the reference ----------------------------------------------------------------------------------------------------


def causes_as_markdown() -> str:
    """The page `docs/reference/health.md`."""
    lines = [
        "# What `mdl issuer health` tells",
        "",
        "Written by `mdl issuer health --list-causes`; a test compares the two. A *failure* stops issuing or revoking",
        "now and ends the command with 1; with warnings and notes it ends with 0. An error that is none of these keeps",
        "its own code, and is a failure.",
        "",
        "| code | level | stops | what it is | what to do |",
        "| --- | --- | --- | --- | --- |",
    ]
    for code, cause in CAUSES.items():
        stops = ", ".join(cause.affects) or "-"
        lines.append(f"| `{code}` | {cause.level.value} | {stops} | {cause.meaning} | {cause.remedy} |")
    return "\n".join([*lines, ""])

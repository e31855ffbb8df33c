"""An issuing authority in a folder: what it has decided, its certificates and its CRLs. The keys stay in their token.

    authority.json     what belongs to this host: the token's URI, where its PIN comes from, the store; no secret
    authority.db       the store: settings, keys, certificates, CRLs, numbers, credentials, the audit log
    iaca.pem …         certificates, requests and CRLs (`issuer.certificate_files`)
    audit-1.pem        the public key of the audit log's checkpoints
    checkpoints/…      the checkpoints; copies of both belong where the store is not
    token/             a SoftHSM token with its PIN files, where no other token was named

The store is what counts (`issuer.store`): the other files are written from it, whole or not at all, after it was
committed, and written again where one is missing. One that is not what was signed is told and left alone. With a store
in PostgreSQL several hosts have a folder each.

Whatever happens at whatever moment, the authority is either before a step or after it. What is unique for ever is taken
before the signing, so a crash leaves a gap in the numbers, and never one number on two things.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Final

from issuer.audit import (
    Acting,
    Actor,
    Checkpoint,
    Defect,
    Event,
    Finding,
    KeptRecord,
    LogReport,
    examine_log,
    sign_checkpoint,
)
from issuer.batches import BatchIssuer, RefusedOrder, SignMany, check_orders
from issuer.certificate_files import PublishedCrl, crl_record, last_crl, make_folder
from issuer.certifying import MAX_SIGNER_DAYS, Certifying, IssuedRoot, IssuedSigner
from issuer.comparing import compare_log
from issuer.custody import PIN_FILE, make_softhsm, new_softhsm_uri
from issuer.folder import (
    LOCK_FILE,
    PinSource,
    State,
    StorePlace,
    close_to_others,
    lock,
    make_folders,
    read_file,
    remove_lock,
    unplaced_files,
    unwritable,
    write_file,
)
from issuer.founding import MAX_CRL_DAYS, Founding
from issuer.issuance import Order
from issuer.keystore import Held, SecretHandler
from issuer.open_signers import OpenSigners, issuer_without_key, take_back
from issuer.operations import refusals
from issuer.policy import IssuancePolicy, PolicyInForce, find_time_zone
from issuer.restoring import CHECKPOINT_FOLDER, compare, look
from issuer.signers import Roots
from issuer.store import (
    Clock,
    Reader,
    Role,
    SignerState,
    StatusPlan,
    Store,
)
from issuer.workplace import SOFTHSM_FOLDER, STATE_FILE, STORE_FILE
from mdl.doctypes import find_doctype
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, SigningError
from mdl.keys import PublicKey, Signer, signing_key_of
from mdl.pki import Certificate, Crl

__all__ = [
    "MAX_CRL_DAYS",
    "MAX_SIGNER_DAYS",
    "Authority",
    "Founding",
    "IssuedRoot",
    "IssuedSigner",
    "PinSource",
    "PublishedCheckpoint",
    "PublishedCrl",
    "StorePlace",
]

_ROOT: Final = "iaca"
# A log that lacks records, or has foreign ones, tells of the store what is not so.
_UNREADABLE: Final = frozenset({
    Defect.MALFORMED, Defect.CHANGED, Defect.DELETED, Defect.FOREIGN, Defect.INSERTED, Defect.TRUNCATED,
    Defect.PREVIOUS, Defect.DUPLICATED,
})  # fmt: skip
_AUDIT_KEY: Final = "audit"
_PIN_FILE: Final = f"{SOFTHSM_FOLDER}/{PIN_FILE}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoint:
    """A checkpoint of the audit log that was signed.

    Attributes:
        checkpoint: The checkpoint.
        file: Where it lies, COSE_Sign1.
        key_file: Where the public key lies, PEM.
    """

    checkpoint: Checkpoint
    file: Path
    key_file: Path


class Authority(Certifying):
    """An issuing authority whose folder is `directory`.

    Each call reads the folder anew and opens the token only for as long as it takes. Several authorities, each with a
    token of its own, work side by side in one process, in threads too; where two use SoftHSM, it is started again
    whenever the other one's turn comes, some milliseconds each time.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        secret: SecretHandler | None = None,
        actor: Actor | Acting | None = None,
    ) -> None:
        """Open an authority that was founded before.

        Args:
            directory: Its folder.
            secret: Asked for the token's PIN; None takes it from where the founding said.
            actor: In which role somebody acts, and who; see `issuer.workplace.Workplace`.

        Raises:
            DecodeError: There is no authority in the folder, its founding was not finished, or its store is damaged.
            SigningError: The store cannot be reached.
        """
        super().__init__(directory, secret=secret, actor=actor)
        with self._opened() as (_, store), store.reading() as reader:
            self._doctype = _doctype(reader)

    @classmethod
    def found(
        cls,
        directory: str | os.PathLike[str],
        founding: Founding,
        *,
        at: datetime,
        secret: SecretHandler | None = None,
        actor: Actor | Acting | None = None,
    ) -> Authority:
        """Found an authority: make the root key in its token, the root, and the first CRL, which is empty.

        Where this fails the folder is as it was before, but for one thing: a key that was made in a token which was
        there before stays there, and the folder remembers it. The next call then goes on with that key.

        Args:
            directory: An empty folder, or one that does not exist, or one where a founding was broken off.
            founding: What was decided.
            at: The time, aware UTC: the root is valid from then on.
            secret: Asked for the token's PIN; None takes it from where `founding` says.
            actor: In which role somebody founds it, and who; the policy of `founding` judges that.

        Raises:
            IssuanceError: The policy does not let the actor (codes ``policy.role`` and ``policy.role_required``).
            LocalProtocolError: The folder holds something else (codes ``authority.exists``, ``authority.occupied``).
            ProfileError: The names, addresses or periods do not make a root.
            SigningError: The token is not to be had, or refused; or the folder cannot be written.
            UnsupportedError: No such curve.
        """
        founding.rehearse(at)
        founding.judge(actor)
        folder = Path(directory).absolute()
        existed = folder.exists()
        try:
            make_folders(folder)
            close_to_others(folder)
        except OSError as exc:
            raise unwritable(folder, exc) from exc
        authority = object.__new__(cls)
        Certifying.__init__(authority, folder, secret=secret, actor=actor)
        authority._told = at
        authority._doctype = founding.doctype
        with lock(folder, exclusive=True):
            before = authority._unfinished()
            kept: list[str] = []
            try:
                authority._found(founding, before, at, kept)
            except BaseException:
                if not kept:
                    authority._clear()
                    remove_lock(folder)
                    if not existed:
                        with suppress(OSError):
                            folder.rmdir()
                raise
        return authority

    @property
    def doctype(self) -> str:
        """The document type that it issues."""
        return self._doctype

    @property
    def policy(self) -> IssuancePolicy:
        """What it allows."""
        with self._opened() as (_, store), store.reading() as reader:
            return IssuancePolicy.of_store(reader)

    def set_policy(self, policy: IssuancePolicy, *, at: datetime | Clock, actor: Actor | Acting | None = None) -> None:
        """Decide anew what it allows. The audit log tells that it was, with a digest of all settings.

        Args:
            policy: The policy.
            at: The time, aware UTC, or a clock.
            actor: Who decides, where this object names nobody.

        Raises:
            IssuanceError: The policy does not allow the document type of this authority (code ``policy.doctype``), or
                the one that is in force does not let the actor change it (``policy.role``).
        """
        who = self._acting(Actor.CEREMONY_OFFICER, actor)
        with self._opened() as (_, store), refusals(store, "policy set", at, who):
            policy.check_doctype(self._doctype)
            with store.transaction(at=at, actor=who) as tx:
                settings = tx.settings()
                before = {} if settings is None else settings.document
                tx.put_settings({**before, "policy": policy.to_settings()})

    @property
    def root(self) -> Certificate:
        """The root under which document signers are certified now."""
        with self._opened() as (_, store), store.reading() as reader:
            return Roots(reader).certifying(Role.IACA, self._now()).certificate

    @property
    def roots(self) -> tuple[Certificate, ...]:
        """The roots that mdocs are verified with and that have not expired, oldest first: readers need all of them."""
        with self._opened() as (_, store), store.reading() as reader:
            now = self._now()
            kept = [one for one in Roots(reader).of(Role.IACA) if one.revoked_at is None]
            return tuple(one.certificate for one in kept if one.certificate.not_after >= now)

    @property
    def root_file(self) -> Path:
        """Where the root lies under which document signers are certified now, PEM."""
        with self._opened() as (_, store), store.reading() as reader:
            roots = Roots(reader)
            return self._files.certificate(roots.stem(roots.certifying(Role.IACA, self._now())))

    @property
    def crl_file(self) -> Path:
        """Where the current CRL of that root lies, DER."""
        return self.root_file.with_suffix(".crl")

    @property
    def current_crl(self) -> Crl:
        """The current CRL of that root."""
        with self._opened() as (_, store), store.reading() as reader:
            return Crl.decode(last_crl(reader, Roots(reader).certifying(Role.IACA, self._now())).der)

    # --- issuing ---

    @contextmanager
    def open_issuer(
        self,
        *,
        at: Clock | None = None,
        plan: StatusPlan | None = None,
        revocable: bool = True,
        sign_many: SignMany | None = None,
        time_zone: str | None = None,
    ) -> Iterator[BatchIssuer]:
        """Open the document signers for issuing.

        Each batch is signed by the newest that it does not outlive; one that is made meanwhile, by whatever process,
        is found. Between batches the authority's folder and token are free for others.

        Args:
            at: The clock; None for the system's, or the time that this object was last told if that is later.
            plan: Where the status of the credentials will be told, but for orders that have a `status` of their own;
                None for where it was told last, if it ever was.
            revocable: False lets credentials have no status although there is a plan: they can be revoked with their
                document signer only. The policy may forbid it.
            sign_many: Signs with the key of the document signer that is the newest now, and only with that one,
                `issuer.keystore.SigningProcesses` for one; None lets the token do it one by one.
            time_zone: IANA name of where the authority's days begin; None for the policy's or, if it names none, that
                of the founding. Where the policy names one, it is that one.

        Raises:
            LocalProtocolError: There is no document signer yet (code ``authority.no_signer``).
            IssuanceError: None may be used, for example as all are revoked (code ``authority.signer_revoked``).
            DecodeError: A file of the folder is not what was signed.
            SigningError: The token is not to be had, or refused.
        """
        clock = self._clock if at is None else at
        with self._opened() as (state, store), ExitStack() as stack:
            with lock(self._folder, exclusive=False), refusals(store, "issue", clock, Actor.ISSUING_SERVICE):
                with self._current(store, clock) as (reader, _):
                    doctype = _doctype(reader)
                    plan = _status_plan(reader, plan, revocable=revocable)
                    if plan is not None:
                        IssuancePolicy.of_store(reader).check_status_plan(plan.uri)
                    zone = _time_zone(reader, time_zone)
                custody = stack.enter_context(self._custody(state))
                signers = OpenSigners(store, custody, stack, doctype=doctype, clock=clock, sign_many=sign_many)
                newest = signers.newest()
            custody.turn.let_go()
            stack.callback(take_back, custody.turn)
            yield BatchIssuer(
                store,
                newest.issuer,
                key=newest.key,
                sign_many=newest.sign_many,
                at=clock,
                plan=plan,
                following=None if sign_many is not None else signers.following,
                policy=PolicyInForce(store),
                time_zone=zone,
            )

    def check_orders(
        self,
        orders: Sequence[Order],
        *,
        order_keys: Sequence[str | None] | None = None,
        at: Clock | None = None,
        plan: StatusPlan | None = None,
        revocable: bool = True,
        time_zone: str | None = None,
    ) -> tuple[RefusedOrder, ...]:
        """Tell which orders would be refused now, and why: nothing is issued or recorded, and no token is needed.

        Args:
            orders: The orders.
            order_keys: Their order keys, to name them by; whether one was given before is not looked up.
            at: The clock, as for `open_issuer`.
            plan: As for `open_issuer`.
            revocable: As for `open_issuer`.
            time_zone: As for `open_issuer`.

        Raises:
            LocalProtocolError: There is no document signer yet (code ``authority.no_signer``).
            IssuanceError: None may be used (code ``authority.signer_revoked``).
        """
        clock = self._now if at is None else at
        with self._opened() as (_, store), store.reading() as reader:
            zone = _time_zone(reader, time_zone)
            issuer = issuer_without_key(reader, orders, doctype=_doctype(reader), at=clock())
            keys = [None] * len(orders) if order_keys is None else order_keys
            policy = IssuancePolicy.of_store(reader)
            plan = _status_plan(reader, plan, revocable=revocable)
            if plan is not None:
                policy.check_status_plan(plan.uri)
            has_plan = plan is not None
            return check_orders(
                reader, issuer, orders, keys, policy=policy, clock=clock, time_zone=zone, has_plan=has_plan
            )

    # --- the audit log ---

    def refuse(self, verb: str, code: str, *, at: datetime | Clock, actor: Actor = Actor.ISSUING_SERVICE) -> None:
        """Record that something was refused before it came to this authority's own checks.

        Args:
            verb: What was asked for.
            code: Code of the error.
            at: The time, aware UTC, or a clock.
            actor: In which role, where this object names nobody.
        """
        with self._opened() as (_, store), store.refusing(at=at, actor=actor) as tx:
            tx.refuse(verb, code)

    def sign_checkpoint(self, *, at: datetime | Clock, token: str | None = None) -> PublishedCheckpoint:
        """Sign a statement about the head of the audit log, with a key that does nothing else; it is made if need be.

        Args:
            at: The time, aware UTC, or a clock.
            token: URI of the auditor's own token, whose PIN nobody else has; None takes the authority's.

        Raises:
            LocalProtocolError: The time lies before the last recorded event (code ``authority.clock``).
            SigningError: The token is not to be had, or refused; or the folder or the store cannot be written.
        """
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            refusals(store, "checkpoint", at, Actor.AUDITOR),
            ExitStack() as stack,
        ):
            store.check_clock(at)
            custody = stack.enter_context(
                self._custody(state if token is None else replace(state, token=token, softhsm=False, pin=None))
            )
            with store.reading() as reader:
                known = {one.key for one in reader.signers()}
                keys = reader.signers(Role.AUDIT, state=SignerState.ACTIVE)
            label = keys[-1].key if keys else f"{_AUDIT_KEY}-1"
            if not keys and (label in known or custody.held().get(label) is not Held.PAIR):
                label = self._new_label(store, custody, _AUDIT_KEY, known, at=at, actor=Actor.AUDITOR)
                custody.generate(label, "P-256")
            with custody.open(label) as signer:
                key = signing_key_of(signer)
                other_key = SigningError(
                    "the key of the checkpoints in the token is another than before: it is another token",
                    code="signing.wrong_key",
                )
                with store.transaction(at=at, actor=Actor.AUDITOR) as tx:
                    if not keys:
                        tx.add_signer(label, Role.AUDIT, key.spki, state=SignerState.ACTIVE)
                    elif keys[-1].public_key != key.spki:
                        raise other_key
                    tx.use_key(label, "checkpoint")
                    tx.record(Event.CHECKPOINT, label=label)
                    head, log_id, now = tx.audit_head(), tx.log_id, tx.at
                checkpoint = sign_checkpoint(signer, log_id=log_id, head=head, at=now)
                if checkpoint.key != hashlib.sha256(key.spki).digest():
                    raise other_key
            file = self._folder / CHECKPOINT_FOLDER / f"{head.sequence:09}.cbor"
            key_file = self._folder / f"{label}.pem"
            make_folder(file.parent)
            write_file(key_file, key.pem)
            write_file(file, checkpoint.encode())
            return PublishedCheckpoint(checkpoint=checkpoint, file=file, key_file=key_file)

    def verify_audit(
        self, *, checkpoints: Iterable[bytes] | None = None, keys: Iterable[PublicKey] | None = None
    ) -> list[Finding]:
        """Find whatever was done to the audit log or to the store; see `examine_audit`."""
        return [*self.examine_audit(checkpoints=checkpoints, keys=keys).findings]

    def examine_audit(
        self, *, checkpoints: Iterable[bytes] | None = None, keys: Iterable[PublicKey] | None = None
    ) -> LogReport:
        """Find whatever was done to the audit log or to the store, and say what that rests on.

        Each is compared with the other, and both with what was published from here.

        Args:
            checkpoints: Checkpoints that were kept elsewhere; None takes those of the folder, which tells less.
            keys: The keys that are trusted to sign them; None takes those that the store knows, which tells less.

        Raises:
            DecodeError: The store or a checkpoint's file cannot be read.
        """
        self._require_reading()
        own = [read_file(file) for file in sorted((self._folder / CHECKPOINT_FOLDER).glob("*.cbor"))]
        seen = look(self._folder)
        with self._opened() as (_, store), store.reading() as reader:
            if keys is None:
                keys = [PublicKey.from_spki(one.public_key) for one in reader.signers(Role.AUDIT)]
            report = examine_log(
                reader.audit_records(),
                log_id=reader.log_id,
                checkpoints=own if checkpoints is None else checkpoints,
                keys=[*keys],
                head=reader.audit_head(),
                all_checkpoints=checkpoints is None,
            )
            found = [*report.findings]
            if not any(one.defect in _UNREADABLE for one in found):
                found += compare_log(reader.audit_records(), reader.holdings())
            found += [
                Finding(defect=Defect.BEHIND, sequence=report.last, message=one.text)
                for one in compare(reader, seen, folder=self._folder)
                if one.checkpoint is None
            ]
        return replace(report, findings=tuple(sorted(found, key=lambda one: one.sequence)))

    @contextmanager
    def audit_records(self) -> Iterator[Iterator[KeptRecord]]:
        """The audit log as it is now, record by record."""
        self._require_reading()
        with self._opened() as (_, store), store.reading() as reader:
            yield reader.audit_records()

    def _require_reading(self) -> None:
        """Refuse the audit log to a role that may not read it; reading takes no name."""
        if self._actor is not None:
            self.require("audit read", at=self._clock)

    # --- inside ---

    def _found(self, founding: Founding, before: State | None, at: datetime, kept: list[str]) -> None:
        pin, token = founding.pin, founding.token
        if token is None:
            token = new_softhsm_uri()
            pin = pin or PinSource(file=_PIN_FILE)
        state = State(
            ready=False,
            token=token,
            softhsm=founding.token is None,
            pin=pin,
            iaca_key=founding.iaca_key,
            store=founding.store,
        )
        # A key of an earlier attempt in this folder, in the same token, is ours to go on with.
        ours = before is not None and not before.softhsm and (before.token, before.iaca_key) == (token, state.iaca_key)
        if ours:
            kept.append(state.iaca_key)
        else:
            # The log of an attempt whose key stays where it is stays too.
            self._clear(store=before is None or before.softhsm)
        if state.softhsm:
            # Not before it is said that this is unfinished, and not after: there is no token to be opened yet.
            self._save(state)
            drawn = pin == PinSource(file=_PIN_FILE)
            make_softhsm(self._folder / SOFTHSM_FOLDER, token, secret=self._pin(state), draw_pin=drawn)
        with self._custody(state) as custody:
            held = custody.held().get(state.iaca_key)
            if founding.take_key:
                if custody.examine(state.iaca_key).curve.name != founding.curve:
                    message = f"the key '{state.iaca_key}' in the token is on another curve: name that curve"
                    raise SigningError(message, code="signing.wrong_key")
            elif held is not None and not ours:
                message = f"the token has a key '{state.iaca_key}' already: choose another label for the root key"
                raise SigningError(message, code="signing.key_exists")
            self._save(state)
            with self._open_store(state, create=True) as store, store.judged():
                with store.reading() as reader:
                    if reader.settings() is not None:
                        message = "the store holds an authority already: name an empty one"
                        raise LocalProtocolError(message, code="authority.exists")
                if held in (Held.PUBLIC_HALF, Held.PRIVATE_HALF) and not founding.take_key:
                    # It was not there before the attempt that was broken off.
                    cleared = custody.clear_half_pair(state.iaca_key)
                    if cleared is None:
                        message = f"the token has half of another key '{state.iaca_key}': choose another label"
                        raise SigningError(message, code="signing.key_exists")
                    with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
                        tx.record(Event.KEY_CLEARED, label=state.iaca_key, kind=cleared.value)
                    held = None
                if held is None:
                    custody.generate(state.iaca_key, founding.curve)
                if not state.softhsm:
                    kept.append(state.iaca_key)
                with custody.open(state.iaca_key) as signer:
                    if signer.public_key.curve.name != founding.curve:
                        message = f"the key '{state.iaca_key}' of the founding that was broken off is on another curve"
                        raise SigningError(message, code="signing.key_exists")
                    self._found_root(store, founding, signer, at)
        self._save(replace(state, ready=True))

    def _found_root(self, store: Store, founding: Founding, signer: Signer, at: datetime) -> None:
        """Make root and first CRL; the authority is founded when the store says so, and not before."""
        key = founding.iaca_key
        with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
            known = {one.key: one.public_key for one in tx.signers()}
            if known.get(key, signer.public_key.spki) != signer.public_key.spki:
                message = "the store remembers a founding with another key of this label: name an empty one"
                raise LocalProtocolError(message, code="authority.exists")
            if key not in known:
                tx.add_signer(key, Role.IACA, signer.public_key.spki)
            serial = tx.take_serial(key)
        root = founding.root(signer, at, serial)
        issuer = root.certificate.fingerprint
        with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
            number = tx.take_crl_number(issuer, key)
        crl = founding.first_crl(root, at, number)
        record = crl_record(crl, issuer)
        self._files.write_certificate(_ROOT, root.certificate)
        self._files.write_crl(_ROOT, crl, record)
        with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
            tx.add_certificate(root.certificate, Role.IACA, issuer=issuer, key=key)
            tx.add_crl(record)
            tx.put_settings(founding.settings)

    def _unfinished(self) -> State | None:
        """What an earlier founding left; refuses a folder that holds anything else."""
        if (self._folder / STATE_FILE).exists():
            state = self._load()
            if not state.ready and self._is_founded(state):
                # A crash came before the last word of the founding.
                self._clear_unmoved()
                self._save(replace(state, ready=True))
            if state.ready or self._is_founded(state):
                message = f"{self._folder} holds an authority already: choose another folder"
                raise LocalProtocolError(message, code="authority.exists")
            return state
        ours = [one for one in unplaced_files(self._folder) if one.name.startswith(f".{STATE_FILE}.")]
        if any(one.name != LOCK_FILE and one not in ours for one in self._folder.iterdir()):
            remove_lock(self._folder)  # which is the only thing here that is ours
            message = f"{self._folder} is not empty: choose another folder"
            raise LocalProtocolError(message, code="authority.occupied")
        return None

    def _clear(self, *, store: bool = True) -> None:
        """Take away what a founding that was broken off has made."""
        for name in (SOFTHSM_FOLDER, "crl"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        files = [self._files.certificate(_ROOT), self._files.current_crl(_ROOT), self._folder / STATE_FILE]
        if store:
            files += [self._folder / f"{STORE_FILE}{end}" for end in ("", "-wal", "-shm")]
        for file in files:
            with suppress(OSError):  # then the next founding finds it, and says so
                file.unlink()
        self._clear_unmoved()

    def _clear_unmoved(self) -> None:
        """Take away files that were written and never moved to their place."""
        for file in unplaced_files(self._folder):
            with suppress(OSError):
                file.unlink()


def _doctype(reader: Reader) -> str:
    settings = reader.settings()
    doctype = None if settings is None else settings.document.get("doctype")
    if not isinstance(doctype, str) or find_doctype(doctype) is None:
        message = "the store names no document type that is known here: restore it, or use the version that wrote it"
        raise DecodeError(message, code="authority.state", path="doctype")
    return doctype


def _status_plan(reader: Reader, asked: StatusPlan | None, *, revocable: bool) -> StatusPlan | None:
    """Where the status of credentials is told: as somebody asks, else where it was told last."""
    if not revocable:
        if asked is not None:
            message = "credentials without a status have no status list: leave one of the two out"
            raise LocalProtocolError(message, code="status.contradiction")
        return None
    return reader.last_status_plan() if asked is None else asked


def _time_zone(reader: Reader, asked: str | None) -> tzinfo | None:
    """Where the authority's days begin: as the policy says, else as somebody asks, else as it was founded."""
    settings = reader.settings()
    document = {} if settings is None else settings.document
    policy = IssuancePolicy.of_settings(document)
    if policy.time_zone is not None and asked not in (None, policy.time_zone):
        message = f"the policy of this authority judges days in {policy.time_zone}, and in no other time zone"
        raise IssuanceError(message, code="policy.time_zone")
    name = policy.time_zone or asked or document.get("time_zone")
    if name is not None and not isinstance(name, str):
        raise DecodeError("the store names no time zone: restore it", code="authority.state", path="time_zone")
    return None if name is None else find_time_zone(name)

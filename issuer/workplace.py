"""Where an authority works: its folder, its store, its token; and in whose name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from issuer.audit import Acting, Actor, Event
from issuer.certificate_files import CertificateFiles
from issuer.clock import SystemClock
from issuer.custody import Custody, KmsToken, Turn, configuration_of, open_softhsm, parse_token
from issuer.folder import State, exposure, lock, read_file, write_file
from issuer.keystore import Held, Pkcs11Uri, SecretHandler
from issuer.operations import permitted, refusals
from issuer.policy import IssuancePolicy
from issuer.restoring import SKIPPED, Restored, Seen, compare, look, require_current, take_over
from issuer.signers import CERTIFIED, Roots
from issuer.store import Clock, PostgresStore, Reader, Role, SqliteStore, Store, Transaction
from issuer.store.copies import identity, put_back, write_copy
from issuer.token_keys import public_labels
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError, SigningError
from mdl.keys import PublicKey

__all__ = ["SOFTHSM_FOLDER", "STATE_FILE", "STORE_FILE", "Backup", "Workplace"]

STATE_FILE: Final = "authority.json"
STORE_FILE: Final = "authority.db"
SOFTHSM_FOLDER: Final = "token"
_ROTATION_LOCK: Final = ".mdl.rotation.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A copy of the store.

    Attributes:
        file: Where it lies.
        log_id: The audit log that it holds.
        sequence: The last record of that.
    """

    file: Path
    log_id: bytes
    sequence: int


class Workplace:
    """The folder, the store and the token of an authority."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        secret: SecretHandler | None = None,
        actor: Actor | Acting | None = None,
    ) -> None:
        """Name the folder; nothing is read yet.

        Args:
            directory: The folder.
            secret: Asked for the token's PIN; None takes it from where the founding said.
            actor: In which role somebody acts here, and who: the policy judges by it what is done, and the audit log
                tells it. None names nobody; the log then has the role whose work each thing usually is.
        """
        self._actor = Acting(actor) if isinstance(actor, Actor) else actor
        self._folder = Path(directory).absolute()
        self._files = CertificateFiles(self._folder)
        self._secret = secret
        self._told: datetime | None = None
        self._system = SystemClock()

    @property
    def folder(self) -> Path:
        """The folder, absolute."""
        return self._folder

    @property
    def token(self) -> str:
        """The URI of the token that holds the keys; each process of this host can open it."""
        return str(self._token(self._load()))

    @property
    def pin_file(self) -> Path | None:
        """The file with the token's PIN, or None where it comes from elsewhere."""
        source = self._load().pin
        return None if source is None or source.file is None else self._folder / source.file

    @contextmanager
    def open_store(self) -> Iterator[Store]:
        """Open the authority's store, for what has no verb here.

        Where a role was named, it is changed within an operation only: see `issuer.operations`.

        Raises:
            DecodeError: It is missing or damaged.
            SigningError: It cannot be reached.
        """
        with self._opened() as (_, store):
            yield store

    def require(self, operation: str, *, at: datetime | Clock) -> None:
        """Refuse an operation that the policy does not let the actor of this object carry out, before it is begun.

        Args:
            operation: The operation or the command, as `issuer.capabilities` names it.
            at: The time, aware UTC, or a clock.

        Raises:
            IssuanceError: It does not (codes ``policy.role`` and ``policy.role_required``). That is recorded.
        """
        with self._opened() as (_, store), permitted(store, operation, at, Actor.ISSUING_SERVICE):
            pass

    @contextmanager
    def _current(self, store: Store, at: datetime | Clock | None) -> Iterator[tuple[Reader, Roots]]:
        """Read a store with which something may be signed: one that is not behind what was published.

        Args:
            store: The store.
            at: The time, aware UTC, or a clock, which are held against the store's last event; None for neither.

        Raises:
            LocalProtocolError: It is behind (code ``store.behind``), or the clock is wrong (``authority.clock``,
                ``authority.clock_doubted``).
            DecodeError: A file of the folder is not what was signed.
        """
        if at is not None:
            store.check_clock(at)  # a key of a token is made before anything is recorded
        seen = look(self._folder)  # before the store is opened: it knows all that is there by now
        with store.reading() as reader:
            require_current(reader, seen, folder=self._folder)
            roots = Roots(reader)
            self._files.hold(reader, roots)
            yield reader, roots

    # --- copies of the store ---

    def backup(self, file: str | os.PathLike[str]) -> Backup:
        """Write a copy of the store as it is at one moment; others may go on using it.

        The keys are not in it, nor is `authority.json`: both belong to the host.

        Args:
            file: Where to.

        Raises:
            SigningError: The copy cannot be written, or the store cannot be reached.
            DecodeError: The store is damaged.
        """
        place = Path(file).absolute()
        with self._opened() as (_, store), permitted(store, "backup", self._clock, Actor.SIGNER_OPERATOR):
            own = self._folder / STORE_FILE
            if place.exists() and own.exists() and place.samefile(own):
                message = "the copy would lie in the place of the store: name another file"
                raise LocalProtocolError(message, code="store.conflict")
            head = write_copy(store, place)
            log_id, _ = identity(store)
        return Backup(file=place, log_id=log_id, sequence=head.sequence)

    def restore(
        self,
        *,
        at: datetime | Clock,
        copy: str | os.PathLike[str] | None = None,
        trees: Iterable[str | os.PathLike[str]] | None = None,
        skip: int = SKIPPED,
    ) -> Restored:
        """Bring a store from a backup up to what was published, so that nothing that was revoked is taken back.

        Args:
            at: The time, aware UTC, or a clock.
            copy: A copy that `backup` wrote, to be put in the place of a store that is missing, damaged or older; None
                takes the store that is there.
            trees: Folders that were published to; None takes the one that the authority remembers.
            skip: So many numbers are skipped beyond the highest that is known.

        Returns:
            What was taken over; nothing where the store is not behind.

        Raises:
            DecodeError: The copy, or the store, is damaged.
            LocalProtocolError: The store that is there is another authority's or newer (code ``store.conflict``).
            SigningError: The store cannot be reached or written.
            IssuanceError: The policy does not let the actor (codes ``policy.role`` and ``policy.role_required``): that
                of the store that is there as far as it can be read, or that of the copy. It is recorded where there is
                a store that can be read.
        """
        state = self._load()
        actor = self._acting(Actor.SIGNER_OPERATOR)
        places = None if trees is None else [Path(one) for one in trees]
        result = Restored()

        def bring_up(tx: Transaction, seen: Seen, *, always: bool) -> None:
            nonlocal result
            ahead = compare(tx, seen, folder=self._folder)
            result = take_over(tx, ahead, skip=skip) if ahead or always else Restored()

        with lock(self._folder, exclusive=True):
            seen = look(self._folder, places)
            if copy is None:
                with (
                    self._open_store(state) as store,
                    refusals(store, "restore", at, actor),
                    store.transaction(at=at, actor=actor) as tx,
                ):
                    bring_up(tx, seen, always=False)
            else:
                self._judge_restore(state, at)
                with ExitStack() as stack, self._restoring(state, at):
                    target: Path | Store = self._folder / STORE_FILE
                    if state.store is not None:
                        target = stack.enter_context(self._open_store(state, create=True))
                    put_back(
                        target,
                        Path(copy).absolute(),
                        at=at,
                        actor=actor,
                        then=lambda tx: bring_up(self._judged(tx), seen, always=True),
                    )
        result.not_compared = seen.not_compared
        return result

    def _judge_restore(self, state: State, at: datetime | Clock) -> None:
        """Ask the policy of the store that is there; one that is missing or damaged says nothing."""
        with suppress(DecodeError), self._open_store(state) as store:
            with store.reading() as reader:
                if reader.settings() is None:
                    return
                IssuancePolicy.of_store(reader)
            with permitted(store, "restore", at, Actor.SIGNER_OPERATOR):
                pass

    def _judged(self, tx: Transaction) -> Transaction:
        """Ask the policy of a copy, too: the store that is there may be slipped in."""
        IssuancePolicy.of_store(tx).check_actor(None if self._actor is None else self._actor.role, "restore")
        return tx

    @contextmanager
    def _restoring(self, state: State, at: datetime | Clock) -> Iterator[None]:
        """Record in the store that is there what the policy of a copy refuses."""
        try:
            yield
        except IssuanceError as exc:
            with (
                suppress(MdlError),
                self._open_store(state) as store,
                store.refusing(at=at, actor=Actor.SIGNER_OPERATOR) as tx,
            ):
                tx.refuse("restore", exc.code)
            raise

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process or thread of this host rotates keys or lists of this authority, and keep it so.

        Raises:
            SigningError: Another one does for too long (code ``authority.busy``).
        """
        with lock(self._folder, exclusive=True, name=_ROTATION_LOCK):
            yield

    def _acting(self, usual: Actor, named: Actor | Acting | None = None) -> Actor | Acting:
        """Who acts: whoever was named with this object or is named for a call, or a role that is only assumed."""
        if named is None:
            return self._actor or usual
        if self._actor is None:
            return Acting(named) if isinstance(named, Actor) else named
        if self._actor.role is not (named.role if isinstance(named, Acting) else named):
            message = f"this authority was opened in the role {self._actor.role.value}, and in no other"
            raise IssuanceError(message, code="policy.role")
        return self._actor

    def _now(self) -> datetime:
        now = self._system()
        return now if self._told is None else max(now, self._told)

    @property
    def _clock(self) -> Clock:
        """The system's clock, or the time that this object was last told if that is later."""
        return self._system if self._told is None or self._told <= self._system() else self._now

    def _load(self) -> State:
        file = self._folder / STATE_FILE
        if not file.exists():
            message = f"there is no authority in {self._folder}: make one with mdl issuer init"
            raise DecodeError(message, code="authority.missing")
        for one in (self._folder, file, self._folder / STORE_FILE):
            # Who can write there chooses the module that is loaded, the token, and what is on record.
            found = exposure(one, secret=False)
            if found is not None and found.is_open:
                message = f"{found.text}: chmod o-w {one}, and find out what was written"
                raise LocalProtocolError(message, code="authority.open")
        return State.decode(read_file(file), file)

    @contextmanager
    def _opened(self) -> Iterator[tuple[State, Store]]:
        """What belongs to this host, and the store of an authority that was founded."""
        state = self._load()
        if not state.ready and not self._is_founded(state):
            message = f"the authority in {self._folder} was never finished: run mdl issuer init again"
            raise DecodeError(message, code="authority.unfinished")
        with self._open_store(state) as store:
            yield state, store

    def _open_store(self, state: State, *, create: bool = False) -> Store:
        store: Store
        if state.store is None:
            store = SqliteStore(self._folder / STORE_FILE, create=create)
        else:
            source = state.store.password
            password = None if source is None else source.handler(self._folder)
            store = PostgresStore(state.store.dsn, password=password, create=create)
        store.acting = self._actor
        return store

    def _save(self, state: State) -> None:
        write_file(self._folder / STATE_FILE, state.encode())

    def _pin(self, state: State) -> SecretHandler:
        if self._secret is not None:
            return self._secret
        if state.pin is not None:
            return state.pin.handler(self._folder)

        def missing(prompt: str) -> str:
            message = f"{prompt}: say where it comes from, with --pin-env or --pin-file"
            raise SigningError(message, code="signing.secret_missing")

        return missing

    @contextmanager
    def _custody(self, state: State) -> Iterator[Custody]:
        """The token, ready for use."""
        folder = self._folder / SOFTHSM_FOLDER
        with open_softhsm(folder) if state.softhsm else nullcontext(Turn()) as turn:
            yield Custody(self._token(state), self._pin(state), turn)

    def _token(self, state: State) -> Pkcs11Uri | KmsToken:
        token = parse_token(state.token)
        if state.softhsm and isinstance(token, Pkcs11Uri):
            return replace(token, configuration=configuration_of(self._folder / SOFTHSM_FOLDER))
        return token

    def _new_label(
        self,
        store: Store,
        custody: Custody,
        name: str,
        known: set[str],
        *,
        at: datetime | Clock,
        actor: Actor | Acting,
        first: int = 1,
    ) -> str:
        """A label for a new key. What the token has under one keeps it, whole or half; that it does is on record.

        Args:
            store: The store.
            custody: The token.
            name: What the label begins with, before a number.
            known: The labels of the keys that the store knows.
            at: The time, aware UTC, or a clock.
            actor: Who makes the key.
            first: The lowest number that the label may have.
        """
        held = custody.held()
        numbers = [int(found[1]) for one in known if (found := re.fullmatch(rf"{re.escape(name)}-([0-9]{{1,9}})", one))]
        number, passed = first, {}
        while (label := f"{name}-{number}") in known or label in held:
            if label not in known and number > max(numbers, default=0):
                passed[label] = held[label]
            number += 1
        if passed:
            with store.transaction(at=at, actor=actor) as tx:
                for one, how in passed.items():
                    tx.record(Event.KEY_PASSED_OVER, label=one, kind=how.value)
        return label

    def _take_key(self, reader: Reader, custody: Custody, key: str, role: Role, iaca_key: str) -> PublicKey:
        """A key that the token's own tool made, if it may be taken for that role; its label stays.

        Raises:
            LocalProtocolError: The label makes no file name or is another role's (code ``authority.key_label``), or
                the authority has the key already (``authority.key_taken``).
            SigningError: There is no such key, or it is not protected.
        """
        own = is_own_label(key, iaca_key) and not key.startswith(f"{CERTIFIED[role].name}-")
        if own or re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", key) is None:
            message = "a key is taken by a label of letters, digits, - and _ that is not as those of another role"
            raise LocalProtocolError(message, code="authority.key_label")
        known = reader.signers()
        if any(one.key == key for one in known):
            raise LocalProtocolError("the authority has this key already", code="authority.key_taken")
        public_key = custody.examine(key)
        if public_key.spki in {
            *(one.public_key for one in known),
            *(one.certificate.spki for one in reader.certificates()),
        }:
            message = "the authority has this key already, under another label: a key does one thing"
            raise LocalProtocolError(message, code="authority.key_taken")
        return public_key

    def half_pairs(self) -> dict[str, Held]:
        """The halves of key pairs that the token has under labels of this authority, by label.

        A key that was being made when something ended it leaves one; the next key gets another label.

        Raises:
            SigningError: The token is not to be had.
        """
        state = self._load()
        with self._custody(state) as custody:
            return half_pairs_of(custody, state.iaca_key)

    def left_over(self) -> set[str]:
        """The labels of this authority under which the token shows public keys that the store does not know.

        Such keys were never finished: nothing signs with them. No PIN is needed, and no turn at the token; private
        halves without a public one, which only `half_pairs` sees, are not among them, nor is anything in AWS KMS.

        Raises:
            SigningError: The token is not to be had.
        """
        with self._opened() as (state, store), store.reading() as reader:
            token, known = self._token(state), {one.key for one in reader.signers()}
        shown = public_labels(token) if isinstance(token, Pkcs11Uri) else set()
        return {one for one in shown - known if is_own_label(one, state.iaca_key)}

    def _is_founded(self, state: State) -> bool:
        """Whether the store of an authority that was never said to be ready is that of one that is."""
        if state.store is None and not (self._folder / STORE_FILE).exists():
            return False
        with self._open_store(state, create=True) as store, store.reading() as reader:
            return reader.settings() is not None


def is_own_label(label: str, iaca_key: str) -> bool:
    """Whether an authority gives its keys such labels; `iaca_key` is that of its first root."""
    names = "|".join(re.escape(one) for one in sorted({iaca_key, "audit", *(kind.name for kind in CERTIFIED.values())}))
    return label == iaca_key or re.fullmatch(rf"(?:{names})-[0-9]+", label) is not None


def half_pairs_of(custody: Custody, iaca_key: str) -> dict[str, Held]:
    """The halves of key pairs in a token under the labels of an authority; see `Workplace.half_pairs`."""
    held = custody.held().items()
    return {label: how for label, how in sorted(held) if how is not Held.PAIR and is_own_label(label, iaca_key)}

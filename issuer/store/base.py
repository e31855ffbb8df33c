"""A store: one writer at a time, everything of a transaction or nothing, durable when the transaction is left."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import Self

from issuer.audit import Acting, Actor, Event
from issuer.clock import AHEAD, APART, UNMARKED, SystemClock
from issuer.store.schema import Sql
from issuer.store.transaction import Reader, Transaction
from mdl.cbor import TDate
from mdl.errors import IssuanceError, LocalProtocolError

__all__ = ["Clock", "Store"]

Clock = Callable[[], datetime]
"""Gives the time, aware UTC."""


class Store(ABC):
    """The memory of an issuing authority.

    A store may be used by several threads, which take turns, and by several processes, each with a store of its own.

    Attributes:
        acting: Who named a role when the store was opened: that counts, whoever is said to do something. None where
            nobody did. Nothing is done in such a store that was not judged (`issuer.operations`).
    """

    def __init__(self) -> None:
        self.acting: Acting | None = None
        self._turn = threading.Lock()
        self._owner: int | None = None
        self._operations = threading.local()

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Let this thread change the store in the block: what it does there was judged by the policy."""
        before = getattr(self._operations, "depth", 0)
        self._operations.depth = before + 1
        try:
            yield
        finally:
            self._operations.depth = before

    @contextmanager
    def transaction(self, *, at: datetime | Clock, actor: Actor | Acting) -> Iterator[Transaction]:
        """Do something in the store, alone among all threads, processes and hosts.

        Leaving the block makes it durable; an exception undoes all of it, the audit log's records included. Nothing
        that takes long, above all no signing, belongs into the block.

        Args:
            at: The time of what is done, aware UTC, or a clock: that is read when it is this transaction's turn. A
                clock that lags behind the last recorded event by a minute at most, as those of several hosts do, is
                taken to show that event's time. The system's own (`issuer.clock`) is compared with another one.
            actor: Who does it, or in which role if nobody was named.

        Raises:
            IssuanceError: The store was opened for somebody who named a role, and no operation was judged (code
                ``policy.role``).
            LocalProtocolError: The time lies before the last recorded event (code ``authority.clock``), or the
                system's clock is far ahead of what it should show (``authority.clock_doubted``).
            SigningError: The store cannot be reached or written (``store.…``, ``authority.unwritable``), or others
                kept it busy for too long (``store.busy``).
            DecodeError: The store is damaged.
        """
        if self.acting is not None and not getattr(self._operations, "depth", 0):
            message = (
                f"the store was opened in the role {self.acting.role.value}: it is changed by the operations of the "
                "authority, which ask the policy"
            )
            raise IssuanceError(message, code="policy.role")
        with self._alone(), self._open(write=True) as sql:
            transaction = Transaction(sql, at=_read(at), actor=self.acting or actor)
            self._set_clock(sql, transaction, at)
            yield transaction
            transaction.flush()

    @contextmanager
    def refusing(self, *, at: datetime | Clock, actor: Actor | Acting) -> Iterator[Transaction]:
        """Record that something was refused, whatever the clock shows; no later event is refused for it.

        The record has the time of the clock as far as something vouches for it, and otherwise that of the last event.

        Args:
            at: The time of what was refused, aware UTC, or a clock.
            actor: Who wanted it.

        Raises:
            SigningError: The store cannot be reached or written.
            DecodeError: The store is damaged.
        """
        with self._alone(), self._open(write=True) as sql:
            transaction = Transaction(sql, at=_read(at), actor=self.acting or actor)
            last = transaction.audit_head().time
            if isinstance(at, SystemClock):
                known = self._independent(sql, at)
                transaction.at = min(transaction.at, known if known is not None else last or transaction.at)
                transaction.mark = at.mark() if known is not None else None
            transaction.at = transaction.at if last is None else max(last, transaction.at)
            yield transaction
            transaction.flush()

    def check_clock(self, at: datetime | Clock) -> None:
        """Refuse a time at which nothing may be recorded, before anything else is done; see `transaction`.

        Args:
            at: The time, aware UTC, or a clock.

        Raises:
            LocalProtocolError: As `transaction`.
        """
        with self._alone(), self._open(write=False) as sql:
            self._judge(sql, Reader(sql), _read(at), at)

    def _set_clock(self, sql: Sql, transaction: Transaction, at: datetime | Clock) -> None:
        """Give a transaction its time, and record what somebody has said about the clock."""
        before = transaction.audit_head().time
        transaction.at, event = self._judge(sql, transaction, transaction.at, at)
        if isinstance(at, SystemClock):
            transaction.mark = at.mark()
        if event is not None and before is not None:
            transaction.record(event, began=int(before.timestamp()))

    def _judge(self, sql: Sql, reader: Reader, now: datetime, at: datetime | Clock) -> tuple[datetime, Event | None]:
        """The time of an event, and what is to be recorded about the clock before it."""
        last = reader.audit_head().time
        if last is None:
            return now, None
        event = None
        if now < last:
            if callable(at) and last - now <= APART:
                return last, None
            if not (isinstance(at, SystemClock) and at.was_wrong):
                message = (
                    f"the time ({TDate.of(now).text}) lies before that of the last recorded event "
                    f"({TDate.of(last).text}): set the clock; if it is right and was wrong then: --clock-was-wrong"
                )
                raise LocalProtocolError(message, code="authority.clock")
            event = Event.CLOCK_CORRECTED
        if isinstance(at, SystemClock) and (
            doubt := self._doubt(sql, reader, now, last, at, corrected=event is not None)
        ):
            if not at.is_right:
                message = f"the clock shows {TDate.of(now).text}, and {doubt}: set it; if it is right: --clock-is-right"
                raise LocalProtocolError(message, code="authority.clock_doubted")
            event = Event.CLOCK_CONFIRMED
        return now, event

    def _doubt(
        self, sql: Sql, reader: Reader, now: datetime, last: datetime, clock: SystemClock, *, corrected: bool
    ) -> str | None:
        """What speaks against the system's clock, or None."""
        known = None if corrected and not self._has_server else self._independent(sql, clock)
        if known is not None:
            if now > known + AHEAD or (corrected and now < known - AHEAD):
                return f"by an independent clock it is {TDate.of(known).text}"
            return None
        if corrected:
            return None
        limit = max(last + UNMARKED, reader.last_end() or last)
        return f"all that was signed has ended by {TDate.of(limit).text}" if now > limit else None

    _has_server = False

    @abstractmethod
    def _independent(self, sql: Sql, clock: SystemClock) -> datetime | None:
        """What an independent clock shows, or None where there is none."""

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Ask the store, which stays as it is for the block, whatever others do.

        Raises:
            SigningError: The store cannot be reached.
            DecodeError: The store is damaged.
        """
        with self._alone(), self._open(write=False) as sql:
            yield Reader(sql)

    @abstractmethod
    def check_writable(self) -> None:
        """Refuse a store that cannot be written, or that somebody else does not let go of; nothing is written.

        Raises:
            SigningError: It is (codes ``authority.unwritable``, ``store.busy``), or cannot be reached.
        """

    @contextmanager
    def snapshot(self) -> Iterator[Sql]:
        """The tables as they are at one moment, for a copy."""
        with self._alone(), self._open(write=False) as sql:
            yield sql

    @contextmanager
    def replacing(self) -> Iterator[Sql]:
        """The tables, to be replaced as a whole by those of a copy."""
        with self._alone(), self._open(write=True) as sql:
            yield sql

    @property
    @abstractmethod
    def name(self) -> str:
        """Where the store is, for people; without a secret."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the store holds of the system; it can be used again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _open(self, *, write: bool) -> AbstractContextManager[Sql]:
        """A transaction of the database, which is committed unless an exception leaves it."""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let the threads of this process take turns."""
        if self._owner == threading.get_ident():
            msg = "this thread is in a transaction of this store already"
            raise RuntimeError(msg)
        with self._turn:
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = None


def _read(at: datetime | Clock) -> datetime:
    now = at() if callable(at) else at
    if now.tzinfo is None:
        msg = "times are aware"
        raise ValueError(msg)
    return now.astimezone(UTC).replace(microsecond=0)

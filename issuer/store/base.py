"""A store: one writer at a time, everything of a transaction or nothing, durable when the transaction is left."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from issuer.audit import Actor, Head
from issuer.store.schema import Sql
from issuer.store.transaction import Reader, Transaction
from mdl.errors import LocalProtocolError

__all__ = ["Clock", "Store"]

Clock = Callable[[], datetime]
"""Gives the time, aware UTC."""

_SKEW: Final = timedelta(seconds=2)


class Store(ABC):
    """The memory of an issuing authority.

    A store may be used by several threads, which take turns, and by several processes, each with a store of its own.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._owner: int | None = None

    @contextmanager
    def transaction(self, *, at: datetime | Clock, actor: Actor) -> Iterator[Transaction]:
        """Do something in the store, alone among all threads, processes and hosts.

        Leaving the block makes it durable; an exception undoes all of it, the audit log's records included. Nothing
        that takes long, above all no signing, belongs into the block.

        Args:
            at: The time of what is done, aware UTC, or a clock: that is read when it is this transaction's turn. A
                clock that lags behind the last recorded event by two seconds at most, as those of several hosts do, is
                taken to show that event's time.
            actor: Who does it.

        Raises:
            LocalProtocolError: The time lies before the last recorded event (code ``authority.clock``).
            SigningError: The store cannot be reached or written (``store.…``, ``authority.unwritable``), or others
                kept it busy for too long (``store.busy``).
            DecodeError: The store is damaged.
        """
        with self._alone(), self._open(write=True) as sql:
            now = at() if callable(at) else at
            if now.tzinfo is None:
                msg = "times are aware"
                raise ValueError(msg)
            transaction = Transaction(sql, at=now.astimezone(UTC).replace(microsecond=0), actor=actor)
            transaction.at = _not_before(transaction.at, transaction.audit_head(), lenient=callable(at))
            yield transaction
            transaction.flush()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Ask the store, which stays as it is for the block, whatever others do.

        Raises:
            SigningError: The store cannot be reached.
            DecodeError: The store is damaged.
        """
        with self._alone(), self._open(write=False) as sql:
            yield Reader(sql)

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


def _not_before(now: datetime, head: Head, *, lenient: bool) -> datetime:
    if head.time is None or now >= head.time:
        return now
    if lenient and head.time - now <= _SKEW:
        return head.time
    message = "the time lies before that of the last recorded event: look at the clock"
    raise LocalProtocolError(message, code="authority.clock")

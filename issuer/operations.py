"""Judging an operation before it is carried out, and recording what was refused.

Every change of a store is made within an operation that the policy has judged: `permitted` and `refusals` ask it
whether the actor has the capabilities that `issuer.capabilities` names. A store that an authority opened for somebody
who named a role takes no transaction outside of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from issuer.audit import Acting, Actor
from issuer.policy import IssuancePolicy
from issuer.store import Clock, Store
from mdl.errors import IssuanceError, MdlError

__all__ = ["is_allowed", "named_role", "permitted", "refusals"]


def named_role(actor: Actor | Acting) -> Actor | None:
    """The role that somebody named; None where a role is only assumed."""
    return actor.role if isinstance(actor, Acting) else None


@contextmanager
def permitted(store: Store, operation: str, at: datetime | Clock, actor: Actor | Acting) -> Iterator[None]:
    """Carry out an operation in the block, if the policy lets the actor.

    Args:
        store: The store; who was named when it was opened counts before `actor`.
        operation: The operation, as `issuer.capabilities` names it.
        at: The time, aware UTC, or a clock.
        actor: Who asks, or whose work it usually is where nobody is named.

    Raises:
        IssuanceError: The actor may not (code ``policy.role``), or must name a role (``policy.role_required``). That
            is recorded.
    """
    try:
        _judge(store, operation, actor)
    except IssuanceError as exc:
        _record(store, operation, exc, at, actor)
        raise
    with store.judged():
        yield


@contextmanager
def refusals(store: Store, operation: str, at: datetime | Clock, actor: Actor | Acting) -> Iterator[None]:
    """As `permitted`; and whatever else is refused in the block is recorded too."""
    try:
        _judge(store, operation, actor)
        with store.judged():
            yield
    except MdlError as exc:
        _record(store, operation, exc, at, actor)
        raise


def is_allowed(store: Store, operation: str, at: datetime | Clock, actor: Actor | Acting) -> bool:
    """Whether the actor may carry out an operation, for a part that is left to others otherwise.

    Args:
        store: As for `permitted`.
        operation: As for `permitted`.
        at: As for `permitted`.
        actor: As for `permitted`.

    Raises:
        IssuanceError: A role has to be named (code ``policy.role_required``). That is recorded.
    """
    try:
        _judge(store, operation, actor)
    except IssuanceError as exc:
        if exc.code != "policy.role":
            _record(store, operation, exc, at, actor)
            raise
        return False
    return True


def _judge(store: Store, operation: str, actor: Actor | Acting) -> None:
    with store.reading() as reader:
        policy = IssuancePolicy.of_store(reader)
    policy.check_actor(named_role(store.acting or actor), operation)


def _record(store: Store, operation: str, exc: MdlError, at: datetime | Clock, actor: Actor | Acting) -> None:
    # A clock that went back, or is ahead, is refused too.
    with suppress(MdlError), store.refusing(at=at, actor=actor) as tx:
        tx.refuse(operation.partition(" --")[0], exc.code)

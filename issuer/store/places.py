"""Places in status lists: drawn at random among the free ones, so that a place tells neither order nor person.

Which places of a list are taken stands in a map of bits, kept in chunks of 4 KiB: drawing one place reads and
writes one chunk, drawing ten thousand in a list of a million some thirty. A bit is never cleared, so no place is given
out twice, also not when its credential was never handed out or is long forgotten.

Spec:
    pki.md §7.1, §7.4, §7.5: every copy of a credential has a place of its own, random and unpredictable.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from issuer.store.records import StatusListRecord, StatusPlace, StatusPlan
from issuer.store.schema import Sql
from mdl.errors import DecodeError
from mdl.status import ListKind

__all__ = [
    "adopt_list",
    "draw_places",
    "free_list",
    "is_nearly_full",
    "open_list",
    "plan_key",
    "plan_of",
    "take_decoys",
]

_CHUNK_BITS: Final = 4096 * 8
_IDENTIFIER_SIZE: Final = 16
_DRAWS: Final = 1024
_NEARLY_FULL: Final = 0.8


def plan_key(plan: StatusPlan, issuer: bytes) -> str:
    """What lists of one plan and one root have in common, as text."""
    members = [plan.kind.value, plan.uri, plan.bits, plan.size, plan.share, plan.decoys, issuer.hex()]
    return json.dumps(members)


def plan_of(key: str) -> tuple[StatusPlan, bytes]:
    """The plan and the root in what `plan_key` gave.

    Raises:
        DecodeError: It is something else (code ``store.damaged``).
    """
    try:
        kind, uri, bits, size, share, decoys, issuer = json.loads(key)
        plan = StatusPlan(uri=uri, kind=ListKind(kind), bits=bits, size=size, share=share, decoys=decoys)
        return plan, bytes.fromhex(issuer)
    except (ValueError, TypeError, AttributeError) as exc:
        raise DecodeError("a status list's plan is damaged: restore the store", code="store.damaged") from exc


def free_list(lists: list[StatusListRecord]) -> StatusListRecord | None:
    """The list of a plan that places are taken from: the oldest whose share is not given out."""
    return next((one for one in lists if one.used < one.limit), None)


def is_nearly_full(lists: list[StatusListRecord]) -> bool:
    """Whether the lists of a plan have so few places left that the next one is better opened now."""
    return not any(one.used < one.limit * _NEARLY_FULL for one in lists)


def open_list(sql: Sql, plan: StatusPlan, issuer: bytes, at: datetime) -> StatusListRecord:
    """Open a list by a plan for a root, without decoys yet."""
    list_id = secrets.token_hex(8)
    record = StatusListRecord(
        list_id=list_id,
        kind=plan.kind,
        uri=plan.uri.replace("{list}", list_id),
        bits=plan.bits,
        size=plan.size,
        limit=max(1, int(plan.size * plan.share)),
        used=0,
        revision=0,
        issuer=issuer,
        opened_at=at,
    )
    ((ordinal,),) = sql.rows("SELECT COALESCE(MAX(ordinal), 0) + 1 FROM status_lists")
    sql.run(
        "INSERT INTO status_lists (list_id, kind, plan, uri, bits, size, most, used, revision, ordinal, opened_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)",
        (
            *(list_id, plan.kind.value, plan_key(plan, issuer), record.uri, plan.bits, plan.size, record.limit),
            *(ordinal, int(at.timestamp())),
        ),
    )
    if plan.kind is ListKind.STATUS_LIST:
        sizes = [min(_CHUNK_BITS, plan.size - start) for start in range(0, plan.size, _CHUNK_BITS)]
        sql.run_many(
            "INSERT INTO status_maps (list_id, chunk, taken) VALUES (?, ?, ?)",
            [(list_id, chunk, bytes((bits + 7) // 8)) for chunk, bits in enumerate(sizes)],
        )
    return record


def adopt_list(sql: Sql, plan: StatusPlan, list_id: str, uri: str, *, issuer: bytes, size: int, at: datetime) -> None:
    """Take up a list of which nothing is known but what it shows; no place of it is given out."""
    ((ordinal,),) = sql.rows("SELECT COALESCE(MAX(ordinal), 0) + 1 FROM status_lists")
    sql.run(
        "INSERT INTO status_lists (list_id, kind, plan, uri, bits, size, most, used, revision, ordinal, opened_at)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?)",
        (list_id, plan.kind.value, plan_key(plan, issuer), uri, plan.bits, size, ordinal, int(at.timestamp())),
    )


def draw_places(sql: Sql, record: StatusListRecord, count: int) -> list[StatusPlace]:
    """Take places of a list, at most as many as it has left to give.

    Raises:
        DecodeError: The list's map is damaged (code ``store.damaged``).
    """
    count = min(count, record.limit - record.used)
    if record.kind is ListKind.IDENTIFIER_LIST:
        places = [
            StatusPlace(list_id=record.list_id, uri=record.uri, identifier=os.urandom(_IDENTIFIER_SIZE))
            for _ in range(count)
        ]
    else:
        places = [
            StatusPlace(list_id=record.list_id, uri=record.uri, index=index)
            for index in _draw_indices(sql, record, count)
        ]
    sql.run("UPDATE status_lists SET used = used + ? WHERE list_id = ?", (count, record.list_id))
    return places


def take_decoys(sql: Sql, record: StatusListRecord, count: int) -> None:
    """Take indices for no credential."""
    places = draw_places(sql, record, count)
    sql.run_many(
        "INSERT INTO decoys (list_id, list_index) VALUES (?, ?)", [(record.list_id, one.index) for one in places]
    )


def _draw_indices(sql: Sql, record: StatusListRecord, count: int) -> Iterator[int]:
    chunks: dict[int, bytearray] = {}
    draws = _draws(record.size)
    for _ in range(count):
        while True:
            index = next(draws)
            number, place = divmod(index, _CHUNK_BITS)
            chunk = chunks.get(number)
            if chunk is None:
                chunk = chunks[number] = _chunk(sql, record, number)
            byte, bit = place >> 3, 1 << (place & 7)
            if not chunk[byte] & bit:
                break
        chunk[byte] |= bit
        yield index
    sql.run_many(
        "UPDATE status_maps SET taken = ? WHERE list_id = ? AND chunk = ?",
        [(bytes(chunk), record.list_id, number) for number, chunk in sorted(chunks.items())],
    )


def _chunk(sql: Sql, record: StatusListRecord, number: int) -> bytearray:
    rows: list[tuple[Any, ...]] = sql.rows(
        "SELECT taken FROM status_maps WHERE list_id = ? AND chunk = ?", (record.list_id, number)
    )
    bits = min(_CHUNK_BITS, record.size - number * _CHUNK_BITS)
    if len(rows) != 1 or type(rows[0][0]) is not bytes or len(rows[0][0]) != (bits + 7) // 8:
        raise DecodeError("a status list's map of places is damaged: restore the store", code="store.damaged")
    return bytearray(rows[0][0])


def _draws(size: int) -> Iterator[int]:
    """Numbers below `size`, each as likely as every other, without end."""
    mask = (1 << (size - 1).bit_length()) - 1
    while True:
        entropy = memoryview(os.urandom(4 * _DRAWS)).cast("I")
        for number in entropy:
            if (index := number & mask) < size:
                yield index

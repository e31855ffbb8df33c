"""Copies of a store: one consistent file, whatever database keeps the store, and back.

A copy is a SQLite store as `issuer.store.sqlite` keeps it, of one moment, taken while others go on. It is made beside
its place, flushed, read back, and put there by one rename. A store is put back whole or not at all: into a file by one
rename, into PostgreSQL in one transaction.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from issuer.audit import Acting, Actor, Head
from issuer.store.base import Clock, Store
from issuer.store.schema import TABLES, Sql
from issuer.store.sqlite import APPLICATION, SqliteStore
from issuer.store.transaction import Transaction
from mdl.errors import DecodeError, LocalProtocolError, SigningError
from mdl.files import check_output, sync_folder

__all__ = ["identity", "put_back", "write_copy"]

_AT_ONCE: Final = 5000
_ORDERED: Final = {"certificates": "ordinal"}
_TOKEN: Final = "[0-9a-f]" * 8
# How a SQLite file begins, and where in that it says whose it is: https://www.sqlite.org/fileformat.html, 1.3.
_SQLITE: Final = b"SQLite format 3\0"
_MARK: Final = slice(68, 72)
_HEAD_BYTES: Final = 100
_ENDS: Final = ("", "-wal", "-shm", "-journal")


def identity(store: Store) -> tuple[bytes, Head]:
    """The id of a store's log, and its head."""
    with store.reading() as reader:
        return reader.log_id, reader.audit_head()


def write_copy(store: Store, file: Path) -> Head:
    """Write a copy of a store as it is at one moment; others may go on using it.

    Args:
        store: The store.
        file: Where to; a copy that is there is replaced once this one is whole, anything else is refused. Only its
            owner may read it.

    Returns:
        The head of the copy's audit log.

    Raises:
        SigningError: The copy cannot be written (code ``authority.unwritable``), or the store cannot be reached.
        DecodeError: The store is damaged (code ``store.damaged``).
    """
    beside = _beside(file)
    try:
        check_output(file)
        _require_copy(file)
        if isinstance(store, SqliteStore):
            _copy_pages(store, beside)
        else:
            with SqliteStore(beside, create=True) as target, target.replacing() as into, store.snapshot() as sql:
                _copy_rows(sql, into)
        head = _finish(beside)
        beside.replace(file)
        sync_folder(file.parent)
    except OSError as exc:
        message = f"cannot write {file}: {exc.strerror or type(exc).__name__}; there is no copy"
        raise SigningError(message, code="authority.unwritable") from exc
    finally:
        _remove(beside)
    return head


def put_back(
    place: Path | Store, copy: Path, *, at: datetime | Clock, actor: Actor | Acting, then: Callable[[Transaction], None]
) -> None:
    """Put a copy in the place of a store that is damaged, missing or older.

    Args:
        place: The store's file, or the store in PostgreSQL.
        copy: The copy; it is left as it is.
        at: The time, aware UTC, or a clock.
        actor: Who does it.
        then: What is done in it before it is there: all in one.

    Raises:
        DecodeError: The copy is none, or damaged.
        LocalProtocolError: The store that is there is another authority's, or newer than the copy (code
            ``store.conflict``).
        SigningError: It cannot be written.
    """
    beside = _beside(place if isinstance(place, Path) else copy)
    try:
        _duplicate(copy, beside)
        with SqliteStore(beside) as source:
            _require_whole(source, copy)
            log_id, head = identity(source)
            if isinstance(place, Path):
                _refuse_newer(_at(place), log_id, head)
                with source.transaction(at=at, actor=actor) as tx:
                    then(tx)
            else:
                _refuse_newer(place, log_id, head)
                with place.replacing() as into, source.snapshot() as sql:
                    _copy_rows(sql, into)
                    now = at() if callable(at) else at
                    tx = Transaction(into, at=max(now, head.time or now), actor=actor)
                    then(tx)
                    tx.flush()
        if isinstance(place, Path):
            _finish(beside)
            _move_aside(place)
            beside.replace(place)
            sync_folder(place.parent)
    except OSError as exc:
        message = f"cannot put the store back: {exc.strerror or type(exc).__name__}; nothing was changed"
        raise SigningError(message, code="authority.unwritable") from exc
    finally:
        _remove(beside)


def _beside(file: Path) -> Path:
    """Where a copy is made; what one that died has left there goes."""
    for left in file.parent.glob(f".{glob.escape(file.name)}.{_TOKEN}.tmp"):
        if _is_store(left, or_empty=True):
            _remove(left)
    return file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")


def _require_copy(file: Path) -> None:
    """Let a copy be written over a copy, and over nothing else."""
    if os.path.lexists(file) and not _is_store(file):
        raise FileExistsError(errno.EEXIST, "what is there is no copy of a store: name another file")


def _is_store(file: Path, *, or_empty: bool = False) -> bool:
    """Whether a file is a store, by what it says of itself; or nothing at all yet."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return False
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return False
    is_empty = not head.strip(b"\0")
    return head[_MARK] == APPLICATION.to_bytes(4) if head.startswith(_SQLITE) else or_empty and is_empty


def _copy_pages(store: SqliteStore, beside: Path) -> None:
    _make_private(beside)
    with store.pages() as source, closing(sqlite3.connect(beside)) as target:
        try:
            source.backup(target)
        except sqlite3.Error as exc:
            raise SigningError(
                f"the store could not be copied ({exc.__class__.__name__})", code="store.failed"
            ) from exc


def _copy_rows(source: Sql, into: Sql) -> None:
    """All rows of all tables; those that are there go."""
    for table in reversed(TABLES):
        into.run(f"DELETE FROM {table}")  # noqa: S608 - a name of ours
    for table in TABLES:
        order = f" ORDER BY {_ORDERED[table]}" if table in _ORDERED else ""
        for rows in _in_parts(source.stream(f"SELECT * FROM {table}{order}")):  # noqa: S608 - as above
            marks = ", ".join("?" * len(rows[0]))
            into.run_many(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - as above


def _in_parts(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    part: list[tuple[object, ...]] = []
    for row in rows:
        part.append(row)
        if len(part) == _AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _finish(file: Path) -> Head:
    """Make one file of a copy, read it back, and flush it; gives its head."""
    try:
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            faults = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as exc:
        raise DecodeError("the store is damaged: restore it from a backup", code="store.damaged") from exc
    if faults != [("ok",)]:
        raise DecodeError("the store is damaged: restore it from a backup", code="store.damaged")
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
        ((sequence, digest),) = connection.execute("SELECT head_sequence, head_hash FROM store").fetchall()
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return Head(sequence, digest, None)


def _duplicate(copy: Path, beside: Path) -> None:
    if not copy.is_file():
        raise DecodeError(f"there is no file {copy}", code="store.missing")
    _make_private(beside)
    shutil.copyfile(copy, beside)


def _make_private(file: Path) -> None:
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _require_whole(source: SqliteStore, copy: Path) -> None:
    with source.snapshot() as sql:
        if sql.rows("PRAGMA integrity_check(1)") != [("ok",)] or sql.rows("PRAGMA foreign_key_check"):
            raise DecodeError(f"the copy {copy} is damaged: take another one", code="store.damaged")


def _at(place: Path) -> Store | None:
    """The store that is there; None if it is missing or damaged."""
    try:
        return SqliteStore(place)
    except DecodeError:
        return None


def _refuse_newer(there: Store | None, log_id: bytes, head: Head) -> None:
    if there is None:
        return
    try:
        there_id, there_head = identity(there)
    except DecodeError:
        return  # damaged, or empty yet
    finally:
        there.close()
    if there_id != log_id and there_head.sequence > 0:
        message = "the copy is of another authority than the store that is there"
        raise LocalProtocolError(message, code="store.conflict")
    if there_id == log_id and there_head.sequence >= head.sequence:
        message = (
            f"the store that is there is whole, and not older than the copy (record {there_head.sequence} and "
            f"{head.sequence}): nothing was changed"
        )
        raise LocalProtocolError(message, code="store.conflict")


def _move_aside(place: Path) -> None:
    """Keep what was there, under another name; the store's own log beside it belongs to nothing any more."""
    if place.exists():
        place.replace(place.with_name(f"{place.name}.before-{secrets.token_hex(4)}"))
    for end in _ENDS[1:]:
        place.with_name(place.name + end).unlink(missing_ok=True)


def _remove(file: Path) -> None:
    for end in _ENDS:
        with suppress(OSError):
            file.with_name(file.name + end).unlink(missing_ok=True)

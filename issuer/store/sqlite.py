"""A store in one SQLite file: the default, for an authority on one host."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from issuer.clock import SystemClock
from issuer.store import schema
from issuer.store.base import Store
from issuer.store.schema import Sql
from issuer.store.transaction import initialise
from mdl.errors import DecodeError, LocalProtocolError, MdlError, SigningError

__all__ = ["SqliteStore"]

APPLICATION: Final = 0x6D646C31
"""Tells a store from other SQLite files: "mdl1"."""
_PATIENCE: Final = 30.0
_MAX_COPY: Final = 1 << 30
"""Largest store that is copied where it cannot be written and not be read as it is, with its log, in bytes."""
_PROBE_SECONDS: Final = 5

# The primary result codes of SQLite, https://www.sqlite.org/rescode.html; the file is to blame, or the system under it.
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_MISMATCH})
_UNWRITABLE: Final = {
    sqlite3.SQLITE_FULL: "No space left on device",
    sqlite3.SQLITE_IOERR: "Input/output error",
    sqlite3.SQLITE_READONLY: "Read-only",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PERM: "Permission denied",
    sqlite3.SQLITE_NOLFS: "File too large",
    sqlite3.SQLITE_TOOBIG: "File too large",
}


class SqliteStore(Store):
    """A store in a file, with a write-ahead log beside it while it is open."""

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        """Open a store.

        Args:
            path: The file.
            create: Make it where there is none yet.

        Raises:
            DecodeError: There is none (code ``store.missing``), or the file is something else (``store.not_a_store``)
                or damaged (``store.damaged``).
            UnsupportedError: A newer program wrote it (code ``store.version``).
            SigningError: It cannot be made or opened (code ``authority.unwritable``).
        """
        super().__init__()
        self._path = Path(path)
        self._create = create
        self._connection: sqlite3.Connection | None = None
        self._is_read_only = False
        self._seen: _Signature | None = None
        try:
            with self._open(write=False):
                pass
        except BaseException:
            self.close()
            raise
        self._create = False

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    def close(self) -> None:
        """Close the file; the next transaction opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # what was committed is in the log, which the next one reads
                connection.close()
        self._seen = None

    @contextmanager
    def pages(self) -> Iterator[sqlite3.Connection]:
        """The database itself, for a copy of its pages."""
        with self._alone():
            connection = self._connected()
            with self._unchanged():
                yield connection

    def _independent(self, sql: Sql, clock: SystemClock) -> datetime | None:
        """By the boot clock: the last event's time, and what has run since, unless the machine was restarted."""
        ((seconds, boot, uptime),) = sql.rows("SELECT head_time, boot, uptime FROM store")
        mark = clock.mark()
        if mark is None or seconds is None or uptime is None or boot != mark.boot or uptime > mark.uptime:
            return None
        return datetime.fromtimestamp(seconds + mark.uptime - uptime, UTC)

    @contextmanager
    def _open(self, *, write: bool) -> Iterator[Sql]:
        sql = _Statements(self._connected(), self._path)
        with self._unchanged():
            sql.run("BEGIN IMMEDIATE" if write else "BEGIN")
            try:
                yield sql
                sql.run("COMMIT")
            except BaseException:
                sql.rollback()
                raise

    def check_writable(self) -> None:
        """Take the turn of a writer, and give it back; see `issuer.store.base.Store.check_writable`."""
        with self._alone():
            sql = _Statements(self._connected(), self._path)
            if self._is_read_only:
                raise _unwritable(self._path, "Read-only")
            sql.run(f"PRAGMA busy_timeout = {_PROBE_SECONDS * 1000}")
            try:
                sql.run("BEGIN IMMEDIATE")
            finally:
                sql.rollback()
                sql.run(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")

    def _connected(self) -> sqlite3.Connection:
        if self._seen is not None and self._seen != _signature(self._path):
            self.close()  # it is read as it was, and somebody has changed it
        if self._connection is not None:
            return self._connection
        if not self._path.exists():
            if not self._create:
                message = f"the store {self._path} is missing: restore it from a backup"
                raise DecodeError(message, code="store.missing")
            try:
                os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            except OSError as exc:
                raise _unwritable(self._path, exc.strerror or type(exc).__name__) from exc
        if not os.access(self._path, os.W_OK) or not os.access(self._path.parent, os.W_OK):
            return self._connected_for_reading()
        self._is_read_only = False
        self._connection = self._open_file(self._path)
        return self._connection

    def _open_file(self, file: Path, options: str | None = None, *, is_old: bool = True) -> sqlite3.Connection:
        """Open a file, and hold it to what it must be.

        Args:
            file: The file.
            options: SQLite's options of opening, as in a URI; what is opened with options is only read.
            is_old: Whether a file of an older form is brought up; otherwise it is refused.

        Raises:
            _OldFormError: It is of an older form.
            MdlError: As `__init__`.
        """
        name = file if options is None else f"{file.absolute().as_uri()}?{options}"
        with _translated(self._path):
            connection = sqlite3.connect(
                name,
                uri=options is not None,
                timeout=_PATIENCE,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        try:
            self._prepare(_Statements(connection, self._path), is_read_only=not is_old)
        except BaseException:
            with suppress(sqlite3.Error):
                connection.close()
            raise
        return connection

    def _connected_for_reading(self) -> sqlite3.Connection:
        """Read where nothing may be written.

        SQLite keeps files of its own beside a store that is open. Where none of them has anything, the file is read as
        it is, and what it looked like is compared after each reading. Where they can be read, they are used. Otherwise,
        and for a file of an older form, a copy is made, which is gone as soon as it is open.
        """
        self._is_read_only = True
        seen = _signature(self._path)
        options = "mode=ro&immutable=1" if seen.log is None else "mode=ro"
        try:
            self._connection = self._open_file(self._path, options, is_old=False)
        except _OldFormError:
            self._connection = self._open_copy()
        except SigningError:
            if seen.log is None:
                raise
            self._connection = self._open_copy()
        else:
            self._seen = seen if seen.log is None else None
        return self._connection

    @contextmanager
    def _unchanged(self) -> Iterator[None]:
        """Refuse what was read of a file that somebody has changed meanwhile, where no lock keeps them from it."""
        seen = self._seen
        try:
            yield
        except MdlError as exc:
            if seen is not None and seen != _signature(self._path):
                raise _busy(self._path) from exc
            raise
        if seen is not None and seen != _signature(self._path):
            raise _busy(self._path)

    def _open_copy(self) -> sqlite3.Connection:
        """A copy of the file and of its log, which may have what is not in the file yet; only its owner can read it."""
        before = _signature(self._path)
        if before.size + (0 if before.log is None else before.log[0]) > _MAX_COPY:
            message = f"{self._path} cannot be written, and is too large to be copied: read it where it can be"
            raise SigningError(message, code="store.too_large")
        with tempfile.TemporaryDirectory(prefix="mdl-") as place:
            copy = Path(place) / "store.db"
            try:
                for end in ("", "-wal"):
                    source = self._path.with_name(self._path.name + end)
                    if source.exists():
                        shutil.copyfile(source, copy.with_name(copy.name + end))
            except OSError as exc:
                message = f"cannot read {self._path}: {exc.strerror or type(exc).__name__}"
                raise DecodeError(message, code="authority.unreadable") from exc
            if before != _signature(self._path):
                raise _busy(self._path)
            connection = self._open_file(copy)
            try:
                sql = _Statements(connection, self._path)
                sql.rows("PRAGMA journal_mode = DELETE")  # all of it in one file, which can go
                sql.run("PRAGMA temp_store = MEMORY")
                sql.run("PRAGMA query_only = ON")
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.close()
                raise
        return connection

    def _prepare(self, sql: _Statements, *, is_read_only: bool) -> None:
        """Hold the file to what it must be before anything is changed in it."""
        for setting in ("synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF", "cell_size_check = ON"):
            sql.run(f"PRAGMA {setting}")
        ((application,),) = sql.rows("PRAGMA application_id")
        ((tables,),) = sql.rows("SELECT count(*) FROM sqlite_master")
        if tables:
            if application != APPLICATION or not sql.has_table("schema_version"):
                raise _foreign(self._path)
            version = schema.check_version(sql)
        else:
            if not self._create:
                raise _foreign(self._path)
            version = 0
        if is_read_only:
            if version != schema.VERSION:
                raise _OldFormError
            return
        sql.rows("PRAGMA journal_mode = WAL")
        if version == schema.VERSION:
            return
        sql.run("BEGIN IMMEDIATE")
        try:
            fresh = not sql.has_table("schema_version")  # another process may have been quicker
            schema.migrate(sql)
            if fresh:
                initialise(sql)
                sql.run(f"PRAGMA application_id = {APPLICATION}")
            sql.run("COMMIT")
        except BaseException:
            sql.rollback()
            raise


class _OldFormError(Exception):
    """A store of an older form, which cannot be brought up where it is."""


class _Signature(NamedTuple):
    """By what it is noticed that a file was changed.

    Attributes:
        file: Device and inode.
        size: Bytes.
        changed: When, in nanoseconds.
        log: Size and time of the log beside it; None where that has nothing.
    """

    file: tuple[int, int]
    size: int
    changed: int
    log: tuple[int, int] | None


def _signature(path: Path) -> _Signature:
    try:
        found = path.stat()
    except OSError:
        return _Signature((0, 0), 0, 0, None)
    log = None
    with suppress(OSError):
        beside = path.with_name(f"{path.name}-wal").stat()
        log = (beside.st_size, beside.st_mtime_ns) if beside.st_size else None
    return _Signature((found.st_dev, found.st_ino), found.st_size, found.st_mtime_ns, log)


class _Statements:
    """`Sql` over a connection of SQLite."""

    bytes_type = "BLOB"

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        with _translated(self._path):
            return self._connection.execute(statement, parameters).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with _translated(self._path):
            self._connection.executemany(statement, rows)

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with _translated(self._path):
            return self._connection.execute(statement, parameters).fetchall()

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        with _translated(self._path):
            yield from self._connection.execute(statement)

    def has_table(self, name: str) -> bool:
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,)))

    def rollback(self) -> None:
        """Undo the transaction, unless SQLite has undone it by itself."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.IntegrityError as exc:
        message = "the store refuses what would be there twice, or hang in the air"
        raise LocalProtocolError(message, code="store.conflict") from exc
    except sqlite3.Error as exc:
        raise _error(path, exc) from exc


def _error(path: Path, exc: sqlite3.Error) -> MdlError:
    code = getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _BUSY:
        return _busy(path)
    if code in _UNWRITABLE:
        return _unwritable(path, _UNWRITABLE[code])
    if code == sqlite3.SQLITE_NOTADB:
        return _foreign(path)
    if code in _DAMAGED or code == sqlite3.SQLITE_ERROR:
        # A statement of ours that SQLite does not understand meets tables that are not ours.
        return DecodeError(f"the store {path} is damaged: restore it from a backup", code="store.damaged")
    return SigningError(f"the store {path} failed ({type(exc).__name__})", code="store.failed")


def _busy(path: Path) -> SigningError:
    message = f"another process works with {path}: try again when it is done"
    return SigningError(message, code="store.busy", retryable=True)


def _unwritable(path: Path, reason: str) -> SigningError:
    return SigningError(f"cannot write {path}: {reason}; nothing was issued", code="authority.unwritable")


def _foreign(path: Path) -> DecodeError:
    return DecodeError(f"{path} is no store of an authority: restore it from a backup", code="store.not_a_store")

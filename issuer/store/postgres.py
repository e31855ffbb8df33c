"""A store in PostgreSQL: for an authority whose issuing runs on several hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from issuer.clock import SystemClock
from issuer.keystore import SecretHandler
from issuer.store import schema
from issuer.store.base import Store
from issuer.store.schema import Sql
from issuer.store.transaction import initialise
from mdl.errors import DecodeError, LocalProtocolError, MdlError, SigningError, UnsupportedError

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresStore", "check_dsn"]

_PATIENCE: Final = "30s"
_PROBE: Final = "5s"
_CONNECT_SECONDS: Final = 10


class PostgresStore(Store):
    """A store in a PostgreSQL database, which is the authority's own.

    Writers take turns by a lock on a table, which is taken before the transaction's snapshot is.
    """

    def __init__(self, dsn: str, *, password: SecretHandler | None = None, create: bool = False) -> None:
        """Connect to a store.

        Args:
            dsn: Where it is, as libpq writes it, without a password.
            password: Asked for the password, each time a connection is made; None leaves that to libpq (``PGPASSWORD``,
                a password file, or none needed).
            create: Make the tables where there are none yet.

        Raises:
            LocalProtocolError: The DSN is none (code ``store.dsn``) or has a password in it (``store.dsn_password``).
            SigningError: The database cannot be reached (code ``store.unreachable``).
            DecodeError: There is no store in it (code ``store.missing``).
            UnsupportedError: A newer program wrote it (code ``store.version``), or psycopg is not installed
                (``store.extra_missing``).
        """
        super().__init__()
        self._dsn = dsn
        self._password = password
        self._create = create
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        check_dsn(dsn)
        with self._open(write=False):
            pass
        self._create = False

    @property
    def name(self) -> str:
        """The DSN."""
        return self._dsn

    def close(self) -> None:
        """End the connection; the next transaction makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    _has_server = True

    def _independent(self, sql: Sql, clock: SystemClock) -> datetime | None:
        """The server's clock."""
        del clock
        ((seconds,),) = sql.rows("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT)")
        return datetime.fromtimestamp(seconds, UTC)

    @contextmanager
    def _open(self, *, write: bool) -> Iterator[Sql]:
        sql = _Statements(self._connected())
        committing = False
        try:
            if write:
                sql.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
                sql.run(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
                sql.run("LOCK TABLE store IN EXCLUSIVE MODE")
            else:
                sql.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield sql
            committing = True
            sql.run("COMMIT")
        except BaseException as exc:
            if not sql.rollback():
                self.close()
                if committing and write and isinstance(exc, SigningError):
                    message = (
                        "the connection to the store was lost at the last moment: whether it recorded this is unknown"
                    )
                    raise SigningError(message, code="store.commit_unknown") from exc
            raise

    def check_writable(self) -> None:
        """Take the turn of a writer, and give it back; see `issuer.store.base.Store.check_writable`."""
        with self._alone():
            sql = _Statements(self._connected())
            try:
                sql.run("BEGIN")
                ((reads_only, may_write),) = sql.rows(
                    "SELECT current_setting('transaction_read_only') = 'on',"
                    " has_table_privilege('store', 'UPDATE') AND has_table_privilege('audit', 'INSERT')"
                )
                if reads_only or not may_write:
                    reason = "Read-only" if reads_only else "Permission denied"
                    raise SigningError(f"cannot write the store: {reason}", code="authority.unwritable")
                sql.run(f"SET LOCAL lock_timeout = '{_PROBE}'")
                sql.run("LOCK TABLE store IN EXCLUSIVE MODE")
            finally:
                if not sql.rollback():
                    self.close()

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        import psycopg

        secret = {} if self._password is None else {"password": self._password("password of the store")}
        try:
            connection = psycopg.connect(
                self._dsn,
                autocommit=True,
                connect_timeout=_CONNECT_SECONDS,
                application_name="mdl",
                **secret,  # type: ignore[arg-type]
            )
        except psycopg.Error as exc:
            message = (
                f"the store's database cannot be reached ({type(exc).__name__}): is it running, and is this its DSN?"
            )
            raise SigningError(message, code="store.unreachable", retryable=True) from exc
        try:
            self._prepare(_Statements(connection))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _prepare(self, sql: _Statements) -> None:
        sql.run("SET synchronous_commit = 'on'")
        if sql.has_table("schema_version"):
            version = schema.check_version(sql)
        elif self._create:
            version = 0
        else:
            raise DecodeError("there is no store in this database: is this its DSN?", code="store.missing")
        if version == schema.VERSION:
            return
        sql.run("BEGIN")
        fresh = version == 0
        try:
            sql.run(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
            if not fresh:  # a lock that only this role can take, unlike one by number
                sql.run("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
            schema.migrate(sql)
            if fresh:
                initialise(sql)
            sql.run("COMMIT")
        except MdlError:
            sql.rollback()
            if fresh and sql.has_table("schema_version"):  # another process was quicker
                self._prepare(sql)
                return
            raise
        except BaseException:
            sql.rollback()
            raise


def check_dsn(dsn: str) -> None:
    """Hold a DSN to what may be written down.

    Raises:
        LocalProtocolError: It is none (code ``store.dsn``) or has a password in it (``store.dsn_password``).
        UnsupportedError: psycopg is not installed (code ``store.extra_missing``).
    """
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as exc:
        message = "a store in PostgreSQL needs the extra 'postgres': pip install 'mdl-sdk[postgres]'"
        raise UnsupportedError(message, code="store.extra_missing") from exc
    try:
        members = conninfo_to_dict(dsn)
    except psycopg.Error as exc:
        # libpq quotes what it does not understand, which may be the password: the cause is not told.
        del exc
        members = None
    if members is None:
        raise LocalProtocolError("this is no DSN of a PostgreSQL database", code="store.dsn")
    if members.keys() & {"password", "sslpassword"}:
        message = "the DSN has a password in it: say where it comes from instead"
        raise LocalProtocolError(message, code="store.dsn_password")


class _Statements:
    """`Sql` over a connection of psycopg."""

    bytes_type = "BYTEA"

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        self._connection = connection

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        with _translated():
            return self._connection.execute(_marked(statement), parameters).rowcount

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with _translated(), self._connection.cursor() as cursor:
            cursor.executemany(_marked(statement), list(rows))

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with _translated():
            return self._connection.execute(_marked(statement), parameters).fetchall()

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        with _translated(), self._connection.cursor(name="mdl_stream") as cursor:
            yield from cursor.execute(_marked(statement))

    def has_table(self, name: str) -> bool:
        return self.rows("SELECT to_regclass(?)", (name,)) != [(None,)]

    def rollback(self) -> bool:
        """Undo the transaction; whether the connection is still good."""
        import psycopg

        with suppress(psycopg.Error):
            self._connection.execute("ROLLBACK")
            return True
        return False


def _marked(statement: str) -> Any:
    return statement.replace("?", "%s")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    import psycopg

    try:
        yield
    except psycopg.Error as exc:
        raise _error(exc) from exc


def _error(exc: psycopg.Error) -> MdlError:
    from psycopg import errors

    # By class of SQLSTATE (PostgreSQL, appendix A).
    state = exc.sqlstate or ""
    if state.startswith("23"):
        message = "the store refuses what would be there twice, or hang in the air"
        return LocalProtocolError(message, code="store.conflict")
    if isinstance(exc, errors.LockNotAvailable) or state.startswith("40"):
        message = "others work with the store: try again when they are done"
        return SigningError(message, code="store.busy", retryable=True)
    if state in ("53100", "25006"):
        reason = "No space left on device" if state == "53100" else "Read-only"
        return SigningError(f"cannot write the store: {reason}; nothing was issued", code="authority.unwritable")
    if state.startswith(("42", "XX")):
        return DecodeError("the store is damaged: restore it from a backup", code="store.damaged")
    message = f"the store's database failed ({type(exc).__name__} {state})".replace(" )", ")")
    return SigningError(message, code="store.unreachable", retryable=True)

"""The seam to the database, the tables, and how a store of an older version is brought up to date: forward only.

The statements are those that SQLite and PostgreSQL both understand, but for the type of byte strings. Times are whole
seconds since 1970, serial numbers hex, as they have up to 160 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from mdl.errors import DecodeError, UnsupportedError

__all__ = ["TABLES", "VERSION", "Sql", "check_version", "migrate"]


class Sql(Protocol):
    """A connection in a transaction. Statements mark their parameters with ``?``; its errors are those of `MdlError`.

    Attributes:
        bytes_type: The type of byte strings.
    """

    @property
    def bytes_type(self) -> str: ...  # noqa: D102

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; gives how many rows it changed."""

    def run_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement once for each row of parameters."""

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query; gives all its rows."""

    def stream(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """Run a query of many rows, which come one by one."""

    def has_table(self, name: str) -> bool:
        """Whether there is a table of that name."""


_FIRST: Final = (
    """
    CREATE TABLE store (
        singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
        log_id {bytes} NOT NULL,
        salt {bytes} NOT NULL,
        head_sequence BIGINT NOT NULL,
        head_hash {bytes} NOT NULL,
        head_time BIGINT
    )
    """,
    """
    CREATE TABLE settings (
        version BIGINT PRIMARY KEY,
        document TEXT NOT NULL,
        changed_at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE audit (
        sequence BIGINT PRIMARY KEY,
        hash {bytes} NOT NULL,
        record {bytes} NOT NULL
    )
    """,
    """
    CREATE TABLE serials (
        serial TEXT PRIMARY KEY,
        taken_at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE certificates (
        fingerprint {bytes} PRIMARY KEY,
        serial TEXT NOT NULL UNIQUE REFERENCES serials (serial),
        role TEXT NOT NULL,
        issuer {bytes} NOT NULL REFERENCES certificates (fingerprint),
        key_label TEXT,
        der {bytes} NOT NULL,
        ordinal BIGINT NOT NULL UNIQUE,
        issued_at BIGINT NOT NULL,
        revoked_at BIGINT,
        reason INTEGER
    )
    """,
    """
    CREATE TABLE signers (
        key_label TEXT PRIMARY KEY,
        role TEXT NOT NULL,
        state TEXT NOT NULL,
        public_key {bytes} NOT NULL UNIQUE,
        certificate {bytes} REFERENCES certificates (fingerprint),
        ordinal BIGINT NOT NULL UNIQUE,
        made_at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE crl_numbers (
        issuer {bytes} NOT NULL,
        number BIGINT NOT NULL,
        taken_at BIGINT NOT NULL,
        PRIMARY KEY (issuer, number)
    )
    """,
    """
    CREATE TABLE crls (
        issuer {bytes} NOT NULL,
        number BIGINT NOT NULL,
        der {bytes} NOT NULL,
        this_update BIGINT NOT NULL,
        next_update BIGINT NOT NULL,
        PRIMARY KEY (issuer, number),
        FOREIGN KEY (issuer, number) REFERENCES crl_numbers (issuer, number)
    )
    """,
    """
    CREATE TABLE status_lists (
        list_id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        plan TEXT NOT NULL,
        uri TEXT NOT NULL UNIQUE,
        bits INTEGER NOT NULL,
        size BIGINT NOT NULL,
        most BIGINT NOT NULL,
        used BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        ordinal BIGINT NOT NULL UNIQUE,
        opened_at BIGINT NOT NULL
    )
    """,
    """
    CREATE TABLE status_maps (
        list_id TEXT NOT NULL REFERENCES status_lists (list_id),
        chunk INTEGER NOT NULL,
        taken {bytes} NOT NULL,
        PRIMARY KEY (list_id, chunk)
    )
    """,
    """
    CREATE TABLE decoys (
        list_id TEXT NOT NULL REFERENCES status_lists (list_id),
        list_index BIGINT NOT NULL,
        shown_at BIGINT,
        PRIMARY KEY (list_id, list_index)
    )
    """,
    """
    CREATE TABLE signed_lists (
        list_id TEXT NOT NULL REFERENCES status_lists (list_id),
        revision BIGINT NOT NULL,
        digest {bytes} NOT NULL,
        token {bytes},
        issued_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        PRIMARY KEY (list_id, revision)
    )
    """,
    """
    CREATE TABLE credentials (
        reference {bytes} PRIMARY KEY,
        batch {bytes} NOT NULL,
        signer {bytes} NOT NULL REFERENCES certificates (fingerprint),
        doctype TEXT NOT NULL,
        valid_from BIGINT NOT NULL,
        valid_until BIGINT NOT NULL,
        list_id TEXT REFERENCES status_lists (list_id),
        list_index BIGINT,
        identifier {bytes},
        order_digest {bytes} UNIQUE,
        state TEXT NOT NULL,
        state_at BIGINT NOT NULL,
        reason INTEGER,
        UNIQUE (list_id, list_index),
        UNIQUE (list_id, identifier)
    )
    """,
    "CREATE INDEX credentials_by_batch ON credentials (batch)",
    "CREATE INDEX credentials_by_state ON credentials (list_id, state)",
    "CREATE INDEX credentials_by_signer ON credentials (signer)",
)

# Whether a list still has a credential that is valid is found without looking at each of a million.
_SECOND: Final = (
    "DROP INDEX credentials_by_state",
    "CREATE INDEX credentials_by_state ON credentials (list_id, state, valid_until)",
)

# What was taken over after a restore: revocations whose certificate or credential the store does not know, and the
# digest of whatever was ahead of it. A list is closed then, and needed as long as an unknown credential may live.
_THIRD: Final = (
    """
    CREATE TABLE carried_serials (
        issuer {bytes} NOT NULL,
        serial TEXT NOT NULL,
        revoked_at BIGINT NOT NULL,
        PRIMARY KEY (issuer, serial)
    )
    """,
    """
    CREATE TABLE carried_places (
        list_id TEXT NOT NULL REFERENCES status_lists (list_id),
        place {bytes} NOT NULL,
        carried_at BIGINT NOT NULL,
        PRIMARY KEY (list_id, place)
    )
    """,
    """
    CREATE TABLE settled (
        digest {bytes} PRIMARY KEY,
        settled_at BIGINT NOT NULL
    )
    """,
    "ALTER TABLE status_lists ADD COLUMN needed_until BIGINT",
)

# A list can be retired, or lie elsewhere in the published tree than its address says.
_FOURTH: Final = (
    "ALTER TABLE status_lists ADD COLUMN retired_at BIGINT",
    "ALTER TABLE status_lists ADD COLUMN place TEXT",
)

# What an order key was given for, as a keyed digest, as long as the credential has not expired.
_ORDERS: Final = (
    "ALTER TABLE credentials ADD COLUMN order_content {bytes}",
    "CREATE INDEX credentials_by_order ON credentials (valid_until) WHERE order_content IS NOT NULL",
)

# When the last event was by the machine's boot clock (`issuer.clock`).
_MARKS: Final = (
    "ALTER TABLE store ADD COLUMN boot TEXT",
    "ALTER TABLE store ADD COLUMN uptime BIGINT",
)

# A step is added at the end and never changed.
_STEPS: Final = (_FIRST, _SECOND, _THIRD, _FOURTH, _ORDERS, _MARKS)

TABLES: Final = (
    *("store", "settings", "audit", "serials", "certificates", "signers", "crl_numbers", "crls", "status_lists"),
    *("status_maps", "decoys", "signed_lists", "credentials", "carried_serials", "carried_places", "settled"),
)
"""All tables but that of the version, those first that others refer to."""

VERSION: Final = len(_STEPS)
"""The version of the schema that this program writes."""


def migrate(sql: Sql) -> None:
    """Bring a store to this version, in the transaction that is open; an empty one gets its tables.

    Raises:
        UnsupportedError: A newer program wrote it (code ``store.version``).
        DecodeError: It does not say which version it has (code ``store.damaged``).
    """
    if not sql.has_table("schema_version"):
        sql.run("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        sql.run("INSERT INTO schema_version (version) VALUES (?)", (0,))
    version = check_version(sql)
    if version == VERSION:
        return
    for step in _STEPS[version:]:
        for statement in step:
            sql.run(statement.format(bytes=sql.bytes_type))
    sql.run("UPDATE schema_version SET version = ?", (VERSION,))


def check_version(sql: Sql) -> int:
    """The version of a store that has one; raises as `migrate`."""
    rows = sql.rows("SELECT version FROM schema_version")
    if len(rows) != 1 or type(rows[0][0]) is not int or rows[0][0] < 0:
        raise DecodeError("the store does not say which version it has: restore it", code="store.damaged")
    version: int = rows[0][0]
    if version > VERSION:
        message = "a newer version of this program wrote the store: use that one"
        raise UnsupportedError(message, code="store.version")
    return version

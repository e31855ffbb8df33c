"""Stores for the tests, the same for each kind of database."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from issuer.audit import Actor
from issuer.store import PostgresStore, Role, SqliteStore, Store
from mdl.pki import Certificate
from mdl.testing import TEST_TIME, ThrowawayAuthority
from tests.postgres import cluster, new_schema, require_postgres

KINDS = ("sqlite", "postgres")
NOW = TEST_TIME
ROLE = Actor.ISSUING_SERVICE
_numbers = itertools.count(1)


@contextmanager
def addresses() -> Iterator[Callable[[str, Path], str]]:
    """Gives a function that makes a new, empty place for a store of a kind: a file's path or a DSN."""
    servers: list[str] = []
    with ExitStack() as running:

        def address(kind: str, folder: Path) -> str:
            if kind == "sqlite":
                return str(folder / f"store-{next(_numbers)}.db")
            require_postgres()
            if not servers:
                servers.append(running.enter_context(cluster()))
            return new_schema(servers[0], f"store_{next(_numbers)}")

        yield address


def open_store(place: str, *, create: bool = False) -> Store:
    """Open the store at a place that `addresses` gave."""
    if place.startswith("postgresql:"):
        return PostgresStore(place, create=create)
    return SqliteStore(place, create=create)


def found(store: Store, authority: ThrowawayAuthority, at: datetime = NOW) -> Certificate:
    """Give a store a root and a document signer, ``iaca`` and ``ds-1``; gives the latter's certificate."""
    root, signer = authority.iaca_certificate, authority.ds_certificate
    with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
        tx.put_settings({"doctype": "org.iso.18013.5.1.mDL"})
        for key, role, certificate in (("iaca", Role.IACA, root), ("ds-1", Role.DOCUMENT_SIGNER, signer)):
            tx.add_signer(key, role, certificate.public_key.spki)
            tx.adopt_serial(certificate.serial)
            tx.add_certificate(certificate, role, issuer=root.fingerprint, key=key)
    return signer


def later(seconds: int = 1) -> datetime:
    return NOW + timedelta(seconds=seconds)

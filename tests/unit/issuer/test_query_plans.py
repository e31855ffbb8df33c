"""The queries that a timer runs find what they look for by an index: asserted on both databases."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from issuer.publishing import collect
from issuer.revocation import due_crls
from issuer.status import ListTerms, due_lists
from issuer.store import PostgresStore, Store
from issuer.store.transaction import Reader
from tests.listed import LIST_SIGNER, NAMES, PLAN, ROOT, Clock, fill, issue, revoke, sign
from tests.stores import KINDS, NOW, addresses, open_store

Address = Callable[[str, Path], str]
# Tables that stay small: a row for each certificate, list or CRL.
_SMALL = frozenset({
    "store", "settings", "signers", "certificates", "status_lists", "crl_numbers", "crls", "carried_serials",
    "carried_places", "settled",
})  # fmt: skip


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with addresses() as address:
        yield address


@pytest.fixture(scope="module", params=KINDS)
def store(
    request: pytest.FixtureRequest, address: Address, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    with open_store(address(request.param, tmp_path_factory.mktemp("plans")), create=True) as store:
        clock = Clock()
        fill(store)
        revoke(store, issue(store, 3, clock, PLAN)[0], clock)
        revoke(store, issue(store, 3, clock, NAMES)[0], clock)
        sign(store, clock)
        _grow(store)
        yield store


def _grow(store: Store) -> None:
    """As many credentials as make a scan dear, beside those that there are."""
    chosen = random.Random(1)
    with store.replacing() as sql:
        (row,) = sql.rows("SELECT batch, signer, doctype, valid_from, valid_until, list_id FROM credentials LIMIT 1")
        sql.run_many(
            "INSERT INTO credentials (reference, batch, signer, doctype, valid_from, valid_until, list_id, list_index,"
            " state, state_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'issued', 1)",
            [(chosen.randbytes(16), *row, 1000 + index) for index in range(20_000)],
        )
        sql.run("ANALYZE")


def plans(store: Store, work: Callable[[Reader], object]) -> Iterator[tuple[str, str]]:
    """Each statement that something runs, with the database's plan for it."""
    with store.reading() as reader:
        asked: list[tuple[str, Any]] = []
        real = reader._sql.rows

        def rows(statement: str, parameters: Any = ()) -> Any:
            asked.append((statement, parameters))
            return real(statement, parameters)

        reader._sql.rows = rows  # type: ignore[method-assign]
        work(reader)
        explain = "EXPLAIN QUERY PLAN "
        if isinstance(store, PostgresStore):
            explain = "EXPLAIN "
            reader._sql.run("SET LOCAL enable_seqscan = off")  # so that a table without rows shows its index too
        for statement, parameters in dict.fromkeys((one, tuple(given)) for one, given in asked):
            yield statement, "\n".join(str(row[-1]) for row in real(explain + statement, parameters))


def scans(plan: str) -> list[str]:
    """The large tables that a plan reads from end to end."""
    found = []
    for line in plan.splitlines():
        words = line.replace("->", "").split()
        if words[:2] == ["Seq", "Scan"]:  # PostgreSQL
            found.append(words[3])
        elif "Index" in words[:2] and "Scan" in words[:3] and "Index Cond" not in plan:
            found.append(words[words.index("on") + 1])
        elif words[:1] == ["SCAN"]:  # SQLite: by an index it is read in its order, but from end to end all the same
            found.append(words[1])
    return [one for one in found if one not in _SMALL]


JOBS: dict[str, Callable[[Reader], object]] = {
    "which lists are due": lambda reader: due_lists(
        reader, certificate=LIST_SIGNER, root=ROOT, at=NOW, terms=ListTerms()
    ),
    "which CRLs are due": lambda reader: due_crls(reader, at=NOW),
    "what is published": lambda reader: collect(reader, at=NOW),
    "what a list shows": lambda reader: [
        (reader.revoked_indices(one.list_id), reader.revoked_identifiers(one.list_id), reader.signed_list(one.list_id))
        for one in reader.status_lists()
    ],
    "until when a list is needed": lambda reader: [
        reader.list_needed_until(one.list_id) for one in reader.status_lists()
    ],
    "what lies ahead": lambda reader: [
        (reader.has_signed_list(one.list_id, 1, b""), reader.status_list_at(one.uri), reader.is_settled(b""))
        for one in reader.status_lists()
    ],
}


@pytest.mark.parametrize("job", JOBS)
def test_no_query_of_a_timer_reads_a_large_table_from_end_to_end(store: Store, job: str) -> None:
    found = [*plans(store, JOBS[job])]
    assert found
    for statement, plan in found:
        assert scans(plan) == [], (statement, plan)
        if "state = ?" in statement and "credentials" in statement:
            assert "credentials_by_state" in plan, (statement, plan)
            assert "TEMP B-TREE" not in plan


def test_a_scan_would_be_seen(store: Store) -> None:
    statement = "SELECT reference FROM credentials WHERE doctype = ?"
    ((_, plan),) = plans(store, lambda reader: reader._sql.rows(statement, ("x",)))
    assert scans(plan) == ["credentials"]

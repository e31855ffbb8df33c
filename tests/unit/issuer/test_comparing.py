"""The store against its log: what is changed in a table behind the program's back is found, by a code of its own."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from issuer.audit import AuditRecord, Defect, Event, KeptRecord
from issuer.comparing import compare_log
from issuer.store import CredentialState, Reservation, SqliteStore, StatusPlan, Store
from mdl.status import ListKind
from tests.listed import AUTHORITY, MDL, NAMES, ROOT, Clock, add_crl, fill, issue, revoke, sign
from tests.stores import KINDS, ROLE, addresses, open_store

Address = Callable[[str, Path], str]
DECOYS = StatusPlan(uri="https://mdl.example/status/{list}", size=256, decoys=0.1)


def build(store: Store) -> None:
    """A store in which everything has happened once."""
    clock = Clock()
    fill(store)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.put_settings({"doctype": MDL, "policy": {"version": 1}})
    one, two, three, *_ = issue(store, 6, clock, DECOYS)
    issue(store, 3, clock, NAMES)
    with store.transaction(at=clock, actor=ROLE) as tx:
        wanted = [Reservation(valid_from=clock.now, valid_until=clock.now, order_key=key) for key in ("a", "b")]
        signer = AUTHORITY.ds_certificate.fingerprint
        batch = tx.reserve_batch(wanted, signer=signer, key="ds-1", doctype=MDL, plan=DECOYS)
        tx.complete_batch(batch)
        tx.revoke_credentials(batch=batch.reference, reason=4)
    clock.advance(minutes=1)
    revoke(store, one, clock)
    revoke(store, two, clock)
    sign(store, clock)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.revoke_certificate(tx.certificates()[-1].certificate.fingerprint, reason=1)
        tx.carry_serial(ROOT.fingerprint, 77, clock.now)
        names = next(one for one in tx.status_lists() if one.kind is ListKind.IDENTIFIER_LIST)
        tx.carry_places(names.list_id, [b"x" * 16])
        tx.settle(bytes(32))
        tx.record(Event.CHECKPOINT_SUPERSEDED, sequence=99, digest=bytes(32))
        tx.place_list(names.list_id, "moved/x")
        tx.take_serial("iaca")
    add_crl(store, 2, at=clock.now)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.take_crl_number(ROOT.fingerprint, "iaca")
    assert three.state is CredentialState.RESERVED  # as it was given


def codes(store: Store) -> set[str]:
    with store.reading() as reader:
        return {one.defect.value for one in compare_log(reader.audit_records(), reader.holdings())}


A_LIVE = "(SELECT reference FROM credentials WHERE state = 'issued' AND list_index IS NOT NULL LIMIT 1)"
A_REVOKED = "(SELECT reference FROM credentials WHERE state = 'revoked' LIMIT 1)"
ALTERED: dict[str, tuple[str, Defect]] = {
    "the time of the head is another": ("UPDATE store SET head_time = head_time - 1000", Defect.HEAD_TIME),
    "the salt is another": ("UPDATE store SET salt = randomblob(32)", Defect.SALT),
    "the policy is another": (
        "UPDATE settings SET document = replace(document, '1', '2') WHERE version = 2",
        Defect.SETTINGS,
    ),
    "a version of the settings is gone": ("DELETE FROM settings WHERE version = 1", Defect.LOST),
    "a version of the settings came in": (
        "INSERT INTO settings SELECT 9, document, changed_at FROM settings WHERE version = 1",
        Defect.UNRECORDED,
    ),
    "a key is another": ("UPDATE signers SET public_key = x'00' WHERE key_label = 'ds-1'", Defect.SIGNER_KEY),
    "a key is for something else": (
        "UPDATE signers SET role = 'jws-signer' WHERE key_label = 'ds-1'",
        Defect.SIGNER_ROLE,
    ),
    "a key that was revoked is active": (
        "UPDATE signers SET state = 'active' WHERE state = 'revoked'",
        Defect.SIGNER_STATE,
    ),
    "a certificate is for something else": (
        "UPDATE certificates SET role = 'jws-signer' WHERE role = 'document-signer'",
        Defect.CERTIFICATE,
    ),
    "a certificate has another key": (
        "UPDATE certificates SET key_label = 'iaca' WHERE role = 'document-signer'",
        Defect.CERTIFICATE_KEY,
    ),
    "a certificate is revoked": (
        "UPDATE certificates SET revoked_at = 5, reason = 1 WHERE role = 'document-signer'",
        Defect.CERTIFICATE_REVOKED,
    ),
    "a certificate is revoked no more": (
        "UPDATE certificates SET revoked_at = NULL, reason = NULL",
        Defect.CERTIFICATE_UNREVOKED,
    ),
    "a certificate is revoked for another reason": (
        "UPDATE certificates SET reason = 5 WHERE revoked_at IS NOT NULL",
        Defect.CERTIFICATE_REASON,
    ),
    "a serial number is free": (
        "DELETE FROM serials WHERE serial NOT IN (SELECT serial FROM certificates)",
        Defect.SERIAL,
    ),
    "a CRL is another": ("UPDATE crls SET der = CAST(der || x'00' AS BLOB) WHERE number = 1", Defect.CRL),
    "a CRL number is free": ("DELETE FROM crl_numbers WHERE number = 3", Defect.CRL_NUMBER),
    "a list is of another size": ("UPDATE status_lists SET size = size + 8", Defect.LIST),
    "a list has another address": ("UPDATE status_lists SET uri = uri || 'x'", Defect.LIST_ADDRESS),
    "a list is retired": ("UPDATE status_lists SET retired_at = 5", Defect.LIST_PLACE),
    "a list lies where it was": ("UPDATE status_lists SET place = NULL", Defect.LIST_PLACE),
    "a revision is free": ("UPDATE status_lists SET revision = 0", Defect.LIST_REVISION),
    "the digest of a token is another": (
        "UPDATE signed_lists SET digest = randomblob(32), token = NULL",
        Defect.LIST_TOKEN,
    ),
    "a token is another": ("UPDATE signed_lists SET token = CAST(token || x'00' AS BLOB)", Defect.LIST_TOKEN),
    "a decoy is hidden": ("UPDATE decoys SET shown_at = NULL", Defect.LIST_SHOWN),
    "places are free in the map": ("UPDATE status_maps SET taken = zeroblob(length(taken))", Defect.LIST_PLACES),
    "a place is free in the map": ("UPDATE status_lists SET used = used + 1", Defect.LIST_PLACES),
    "a credential has another name": (
        f"UPDATE credentials SET reference = randomblob(16) WHERE reference = {A_LIVE}",
        Defect.CREDENTIAL,
    ),
    "a credential is of another signer": (
        f"UPDATE credentials SET signer = x'{ROOT.fingerprint.hex()}' WHERE reference = {A_LIVE}",
        Defect.CREDENTIAL_SIGNER,
    ),
    "a credential is of another type": (
        f"UPDATE credentials SET doctype = 'x' WHERE reference = {A_LIVE}",
        Defect.CREDENTIAL_TYPE,
    ),
    "a credential has another place": (
        f"UPDATE credentials SET list_index = NULL WHERE reference = {A_LIVE}",
        Defect.CREDENTIAL_PLACE,
    ),
    "an identifier is another": (
        "UPDATE credentials SET identifier = randomblob(16) WHERE identifier IS NOT NULL",
        Defect.CREDENTIAL_PLACE,
    ),
    "a credential is valid longer": (
        f"UPDATE credentials SET valid_until = valid_until + 1 WHERE reference = {A_LIVE}",
        Defect.CREDENTIAL_VALIDITY,
    ),
    "an order is another": (
        "UPDATE credentials SET order_digest = randomblob(32) WHERE order_digest IS NOT NULL",
        Defect.CREDENTIAL_ORDER,
    ),
    "a credential is revoked": (
        f"UPDATE credentials SET state = 'revoked', reason = 0 WHERE reference = {A_LIVE}",
        Defect.CREDENTIAL_REVOKED,
    ),
    "a credential is revoked no more": (
        f"UPDATE credentials SET state = 'issued' WHERE reference = {A_REVOKED}",
        Defect.CREDENTIAL_UNREVOKED,
    ),
    "another one is revoked instead": (
        "UPDATE credentials SET state = CASE state WHEN 'revoked' THEN 'issued' ELSE 'revoked' END",
        Defect.CREDENTIAL_UNREVOKED,
    ),
    "a credential is revoked for another reason": (
        f"UPDATE credentials SET reason = 9 WHERE reference = {A_REVOKED}",
        Defect.CREDENTIAL_REASON,
    ),
    "a batch is gone": ("DELETE FROM credentials WHERE batch = (SELECT batch FROM credentials LIMIT 1)", Defect.LOST),
    "a credential that was never handed out is": (
        "UPDATE credentials SET batch = randomblob(16) WHERE identifier IS NOT NULL",
        Defect.UNRECORDED,
    ),
    "a serial number is carried over no more": ("DELETE FROM carried_serials", Defect.CARRIED),
    "a place is carried over no more": ("DELETE FROM carried_places", Defect.CARRIED),
    "a serial number is carried over that was not": (
        "INSERT INTO carried_serials SELECT issuer, 'abc', revoked_at FROM carried_serials",
        Defect.CARRIED,
    ),
    "what a restore settled is forgotten": ("DELETE FROM settled", Defect.SETTLED),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("kept") / "authority.db"
    with SqliteStore(file, create=True) as store:
        build(store)
    return file


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with addresses() as address:
        yield address


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_nobody_touched_is_as_its_log_tells(address: Address, tmp_path: Path, kind: str) -> None:
    with open_store(address(kind, tmp_path), create=True) as store:
        build(store)
        assert codes(store) == set()


@pytest.mark.parametrize(("statement", "defect"), ALTERED.values(), ids=ALTERED.keys())
def test_what_is_changed_behind_the_programs_back_is_found(
    kept: Path, tmp_path: Path, statement: str, defect: Defect
) -> None:
    file = tmp_path / "authority.db"
    shutil.copy(kept, file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute(statement).rowcount > 0
        connection.commit()
    with SqliteStore(file) as store:
        assert defect.value in codes(store)


def test_the_ways_have_codes_of_their_own() -> None:
    assert len({defect for _, defect in ALTERED.values()}) >= 25
    assert {one for one in Defect if one.value.startswith("store.")} <= {defect for _, defect in ALTERED.values()} | {
        Defect.BEHIND
    }


def test_a_store_of_before_tells_less_and_is_no_finding(kept: Path, tmp_path: Path) -> None:
    """Records without the digests over places, validity and orders are compared by what they tell."""
    file = tmp_path / "authority.db"
    shutil.copy(kept, file)
    with SqliteStore(file) as store, store.reading() as reader:
        records = []
        for one in reader.audit_records():
            record = AuditRecord.decode(one.record)
            newer = (
                ()
                if record.event is Event.SIGNER_CHANGED
                else ("places", "validity", "orders", "salt", "state", "address")
            )
            subjects = {name: value for name, value in record.subjects.items() if name not in newer}
            records.append(KeptRecord(one.sequence, one.hash, replace(record, subjects=subjects).encode()))
        assert compare_log(records, reader.holdings()) == []

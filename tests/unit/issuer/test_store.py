"""The store: everything or nothing, nothing twice, nothing personal; the same stories on SQLite and on PostgreSQL."""

import hashlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import Actor, AuditRecord, Event, verify_log
from issuer.store import (
    Batch,
    CredentialState,
    CrlRecord,
    PostgresStore,
    Reservation,
    Role,
    SignerState,
    SqliteStore,
    StatusPlan,
    Store,
    schema,
)
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError, SigningError, UnsupportedError
from mdl.pki import Certificate
from mdl.status import ListKind, StatusReference
from mdl.testing import ThrowawayAuthority
from tests.stores import KINDS, NOW, ROLE, addresses, found, later, open_store

PLAN = StatusPlan(uri="https://mdl.example/status/{list}", size=64)
DOCTYPE = "org.iso.18013.5.1.mDL"
ROOT = bytes(32)
Address = Callable[[str, Path], str]


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with addresses() as address:
        yield address


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, address: Address, tmp_path: Path) -> str:
    return address(request.param, tmp_path)


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with open_store(place, create=True) as store:
        yield store


@pytest.fixture(scope="module")
def authority() -> ThrowawayAuthority:
    return ThrowawayAuthority()


@pytest.fixture
def signer(store: Store, authority: ThrowawayAuthority) -> Certificate:
    return found(store, authority)


def reserve(store: Store, signer: Certificate, *keys: str | None, plan: StatusPlan | None = PLAN) -> Batch:
    wanted = [Reservation(valid_from=NOW, valid_until=later(3600), order_key=key) for key in keys]
    with store.transaction(at=NOW, actor=ROLE) as tx:
        return tx.reserve_batch(wanted, signer=signer.fingerprint, key="ds-1", doctype=DOCTYPE, plan=plan)


def complete(store: Store, batch: Batch) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.complete_batch(batch)


def events(store: Store) -> list[Event]:
    with store.reading() as reader:
        return [AuditRecord.decode(one.record).event for one in reader.audit_records()]


def whole(store: Store) -> bool:
    with store.reading() as reader:
        return verify_log(reader.audit_records(), log_id=reader.log_id, head=reader.audit_head()) == []


# --- transactions ----------------------------------------------------------------------------------------------------


def test_what_a_transaction_did_is_there_when_the_store_is_opened_again(store: Store, place: str) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.put_settings({"doctype": DOCTYPE})
    store.close()
    with open_store(place) as again, again.reading() as reader:
        settings = reader.settings()
        assert settings is not None
        assert (settings.version, settings.document) == (1, {"doctype": DOCTYPE})


def test_an_exception_undoes_everything_the_log_included(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction(at=NOW, actor=ROLE) as tx:
        tx.put_settings({"a": 1})
        tx.take_serial("iaca")
        raise KeyboardInterrupt
    with store.reading() as reader:
        assert reader.settings() is None
        assert reader.audit_head().sequence == 0
    assert events(store) == []
    with store.transaction(at=NOW, actor=ROLE) as tx:
        assert tx.record(Event.PUBLISHED) == 1
    assert whole(store)


def test_settings_are_versioned_and_the_founding_is_told_from_a_change(store: Store) -> None:
    for version in (1, 2):
        with store.transaction(at=NOW, actor=ROLE) as tx:
            assert tx.put_settings({"v": version}).version == version
    assert events(store) == [Event.AUTHORITY_FOUNDED, Event.SETTINGS_CHANGED]


def test_a_clock_that_went_back_is_refused_and_nothing_is_written(store: Store) -> None:
    with store.transaction(at=later(100), actor=ROLE) as tx:
        tx.record(Event.PUBLISHED)
    for early in (NOW, later(99)):
        with pytest.raises(LocalProtocolError) as error, store.transaction(at=early, actor=ROLE) as tx:
            tx.record(Event.PUBLISHED)
        assert error.value.code == "authority.clock"
    with pytest.raises(LocalProtocolError) as error, store.transaction(at=lambda: later(39), actor=ROLE):
        pass
    assert error.value.code == "authority.clock"
    assert events(store) == [Event.PUBLISHED]


def test_hosts_whose_clocks_differ_by_a_moment_do_not_refuse_each_other(store: Store) -> None:
    for seconds in (100, 98, 101):
        with store.transaction(at=lambda seconds=seconds: later(seconds), actor=ROLE) as tx:  # type: ignore[misc]
            tx.record(Event.PUBLISHED)
    with store.reading() as reader:
        times = [AuditRecord.decode(one.record).time for one in reader.audit_records()]
    assert times == [later(100), later(100), later(101)]


def test_a_naive_time_is_a_programming_mistake(store: Store) -> None:
    with pytest.raises(ValueError), store.transaction(at=datetime(2026, 6, 1), actor=ROLE):  # noqa: DTZ001
        pass


def test_a_transaction_in_a_transaction_is_a_programming_mistake(store: Store) -> None:
    with store.transaction(at=NOW, actor=ROLE), pytest.raises(RuntimeError), store.reading():
        pass


def test_a_reader_sees_one_moment(place: str, store: Store) -> None:
    with open_store(place) as other:
        with store.reading() as reader:
            assert reader.settings() is None
            with other.transaction(at=NOW, actor=ROLE) as tx:
                tx.put_settings({})
            assert reader.settings() is None
        with store.reading() as reader:
            assert reader.settings() is not None


def test_writers_take_turns(place: str, store: Store) -> None:
    inside: list[str] = []
    go = threading.Event()

    def write(name: str) -> None:
        with open_store(place) as own, own.transaction(at=NOW, actor=ROLE) as tx:
            inside.append(f"{name} in")
            go.wait(0.05)
            tx.record(Event.PUBLISHED)
            inside.append(f"{name} out")

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [words.split()[1] for words in inside] == ["in", "out"] * 4
    assert all(first.split()[0] == second.split()[0] for first, second in zip(inside[::2], inside[1::2], strict=True))
    assert len(events(store)) == 4
    assert whole(store)


def test_two_that_open_a_new_store_at_once_make_one(place: str) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with open_store(place, create=True) as own, own.transaction(at=NOW, actor=ROLE) as tx:
                tx.record(Event.PUBLISHED)
        except BaseException as exc:  # noqa: BLE001 - told below
            failed.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    with open_store(place) as store:
        assert len(events(store)) == 4
        assert whole(store)


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_a_serial_number_is_taken_once_and_its_use_is_on_record(store: Store) -> None:
    taken = set()
    for _ in range(50):
        with store.transaction(at=NOW, actor=ROLE) as tx:
            taken.add(tx.take_serial("iaca"))
    assert len(taken) == 50
    assert all(0 < serial < 1 << 159 for serial in taken)
    with store.reading() as reader:
        told = [AuditRecord.decode(one.record).subjects for one in reader.audit_records()]
    assert {one["serial"] for one in told} == {f"{serial:x}" for serial in taken}
    with pytest.raises(LocalProtocolError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
        tx.adopt_serial(taken.pop())
    assert error.value.code == "store.conflict"


def test_a_serial_number_that_is_drawn_again_is_not_taken_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([7, 7, 8])
    monkeypatch.setattr("issuer.store.transaction.draw_serial", lambda: next(drawn))
    with store.transaction(at=NOW, actor=ROLE) as tx:
        assert [tx.take_serial("iaca"), tx.take_serial("iaca")] == [7, 8]


def test_a_certificate_needs_a_serial_number_that_was_taken(store: Store, authority: ThrowawayAuthority) -> None:
    root = authority.iaca_certificate
    with pytest.raises(LocalProtocolError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
        tx.add_certificate(root, Role.IACA, issuer=root.fingerprint, key=None)
    assert error.value.code == "store.conflict"


def test_a_crl_number_that_the_store_cannot_hold_is_refused_by_a_code(store: Store, signer: Certificate) -> None:
    """18013-5 lets a CRL number have 20 octets; the last that is taken leaves numbers for those that follow."""
    for number in (1 << 62, (1 << 62) - 1):
        with store.transaction(at=NOW, actor=ROLE) as tx:
            tx.adopt_crl_number(signer.fingerprint, number)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        assert tx.take_crl_number(signer.fingerprint, "iaca") == (1 << 62) + 1
    for number in ((1 << 62) + 2, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 159) - 1, -1):
        for take in ("adopt_crl_number", "skip_crl_numbers"):
            if number < 0 and take == "skip_crl_numbers":
                continue  # nothing is to be skipped
            with pytest.raises(LocalProtocolError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
                getattr(tx, take)(signer.fingerprint, number)
            assert error.value.code == "store.crl_number"
    with store.reading() as reader:
        assert reader.taken_crl_number(signer.fingerprint) == (1 << 62) + 1


def test_crl_numbers_grow_and_a_broken_off_one_is_not_used_again(store: Store, signer: Certificate) -> None:
    issuer = signer.fingerprint
    numbers = []
    for number in (1, 2, 3):
        with store.transaction(at=NOW, actor=ROLE) as tx:
            numbers.append(tx.take_crl_number(issuer, "iaca"))
        if number != 2:
            record = CrlRecord(issuer=issuer, number=number, der=b"der", this_update=NOW, next_update=later(9))
            with store.transaction(at=NOW, actor=ROLE) as tx:
                tx.add_crl(record)
    assert numbers == [1, 2, 3]
    with store.reading() as reader:
        assert [one.number for one in reader.crls(issuer)] == [1, 3]
        last = reader.last_crl(issuer)
        assert last == CrlRecord(issuer=issuer, number=3, der=b"der", this_update=NOW, next_update=later(9))
        assert reader.last_crl(b"another") is None
    for wrong in (3, 4):
        with pytest.raises(LocalProtocolError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
            tx.add_crl(CrlRecord(issuer=issuer, number=wrong, der=b"", this_update=NOW, next_update=later(9)))
        assert error.value.code == "store.conflict"


# --- keys and certificates -------------------------------------------------------------------------------------------


def test_a_key_becomes_active_with_its_certificate(store: Store, signer: Certificate) -> None:
    with store.reading() as reader:
        first, second = reader.signers()
        assert (first.key, first.role, second.key, second.role) == ("iaca", Role.IACA, "ds-1", Role.DOCUMENT_SIGNER)
        assert second.state is SignerState.ACTIVE
        assert second.certificate == signer.fingerprint
        assert reader.signers(Role.DOCUMENT_SIGNER, state=SignerState.ACTIVE) == (second,)
        assert reader.signers(Role.AUDIT) == ()
        known = reader.certificate_of_serial(signer.serial)
        assert known == reader.certificate(signer.fingerprint)
        assert known is not None
        assert (known.certificate, known.key, known.revoked_at) == (signer, "ds-1", None)
        assert reader.certificate_of_serial(1) is None
        assert [one.role for one in reader.certificates()] == [Role.IACA, Role.DOCUMENT_SIGNER]
    assert events(store)[:3] == [Event.AUTHORITY_FOUNDED, Event.KEY_MADE, Event.CERTIFICATE_ISSUED]


def test_a_key_is_not_remembered_twice(store: Store, signer: Certificate) -> None:
    for key, public_key in (("ds-1", b"another"), ("another", signer.public_key.spki)):
        with pytest.raises(LocalProtocolError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
            tx.add_signer(key, Role.DOCUMENT_SIGNER, public_key)
        assert error.value.code == "store.conflict"


def test_a_revoked_certificate_takes_its_key_with_it_for_ever(store: Store, signer: Certificate) -> None:
    with store.transaction(at=later(5), actor=ROLE) as tx:
        assert tx.revoke_certificate(signer.fingerprint, reason=1) is True
        assert tx.revoke_certificate(signer.fingerprint, reason=4) is False
    with store.reading() as reader:
        known = reader.certificate(signer.fingerprint)
        assert (known.revoked_at, known.reason) == (later(5), 1)
        assert reader.signer("ds-1").state is SignerState.REVOKED
    with pytest.raises(LocalProtocolError) as error, store.transaction(at=later(6), actor=ROLE) as tx:
        tx.set_signer_state("ds-1", SignerState.ACTIVE)
    assert error.value.code == "store.final"
    with pytest.raises(IssuanceError) as refused:
        wanted = [Reservation(valid_from=NOW, valid_until=later(9))]
        with store.transaction(at=later(6), actor=ROLE) as tx:
            tx.reserve_batch(wanted, signer=signer.fingerprint, key="ds-1", doctype=DOCTYPE)
    assert refused.value.code == "store.signer_state"


def test_what_is_not_known_is_told(store: Store) -> None:
    with store.reading() as reader:
        for ask in (reader.signer, reader.status_list, reader.certificate, reader.credential):
            argument: Any = "x" if ask in (reader.signer, reader.status_list) else b"x"
            with pytest.raises(LocalProtocolError) as error:
                ask(argument)
            assert error.value.code == "store.unknown"


# --- credentials -----------------------------------------------------------------------------------------------------


def test_a_batch_is_reserved_signed_and_completed(store: Store, signer: Certificate) -> None:
    batch = reserve(store, signer, None, None, None)
    with store.reading() as reader:
        assert [one.state for one in reader.credentials(batch=batch.reference)] == [CredentialState.RESERVED] * 3
    complete(store, batch)
    with store.reading() as reader:
        known = {one.reference: one for one in reader.credentials()}
        assert known.keys() == {one.reference for one in batch.credentials}
        assert {one.state for one in known.values()} == {CredentialState.ISSUED}
        assert [*reader.credentials(signer=signer.fingerprint)] == [*known.values()]
        first = batch.credentials[0]
        assert first.place is not None
        assert first.place.uri == f"https://mdl.example/status/{first.place.list_id}"
        reference = first.place.reference()
        assert StatusReference.decode(reference.to_cbor()) == reference
        assert known[first.reference].place == first.place
    assert events(store)[-3:] == [Event.LIST_OPENED, Event.KEY_USED, Event.BATCH_ISSUED]


def test_no_place_is_given_out_twice_and_lists_are_opened_as_they_fill(store: Store, signer: Certificate) -> None:
    places = []
    for _ in range(5):
        batch = reserve(store, signer, *[None] * 20)
        places += [one.place for one in batch.credentials if one.place]
    assert len({(one.list_id, one.index) for one in places}) == 100
    with store.reading() as reader:
        lists = reader.status_lists()
        assert [(one.size, one.limit, one.used) for one in lists] == [(64, 48, 48), (64, 48, 48), (64, 48, 4)]
        assert Counter(one.list_id for one in places) == {one.list_id: one.used for one in lists}
    # Not in order, and all over the list.
    first = [one.index for one in places[:48] if one.index is not None]
    assert first != sorted(first)
    assert min(first) < 16
    assert max(first) >= 48


def test_every_free_place_is_as_likely_as_any_other(store: Store) -> None:
    """First draws from 320 lists of 8: each index some 40 times; 5 standard deviations are 30."""
    plan = StatusPlan(uri="https://mdl.example/{list}", size=8, share=0.13)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        counts = Counter(tx.take_places(plan, 1, issuer=ROOT)[0].index for _ in range(320))
    assert counts.keys() == set(range(8))
    assert 10 < min(counts.values()) <= max(counts.values()) < 70


def test_ten_thousand_places_of_a_million_take_no_time(store: Store) -> None:
    plan = StatusPlan(uri="https://mdl.example/{list}")
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.take_places(plan, 1, issuer=ROOT)
    start = time.perf_counter()
    with store.transaction(at=NOW, actor=ROLE) as tx:
        places = tx.take_places(plan, 10_000, issuer=ROOT)
    taken = time.perf_counter() - start
    assert len({one.index for one in places}) == 10_000
    assert taken < 1, taken


def test_a_list_whose_size_fills_no_byte_or_chunk_has_no_index_beyond_it(store: Store) -> None:
    plan = StatusPlan(uri="https://mdl.example/{list}", size=32_771, share=0.9)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        places = tx.take_places(plan, 29_493, issuer=ROOT)
    indices = {one.index for one in places if one.index is not None}
    assert len(indices) == 29_493
    assert max(indices) < 32_771
    assert len({one.list_id for one in places}) == 1


def test_identifiers_are_random_and_fill_a_list_too(store: Store) -> None:
    plan = StatusPlan(uri="https://mdl.example/{list}", kind=ListKind.IDENTIFIER_LIST, size=8)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        places = tx.take_places(plan, 14, issuer=ROOT)
    assert len({one.identifier for one in places}) == 14
    assert all(one.index is None and len(one.identifier or b"") == 16 for one in places)
    assert len({one.list_id for one in places}) == 3
    assert places[0].reference().identifier_list is not None


def test_decoys_take_places_and_can_be_shown(store: Store, signer: Certificate) -> None:
    plan = StatusPlan(uri="https://mdl.example/{list}", size=100, share=0.5, decoys=0.2)
    batch = reserve(store, signer, *[None] * 30, plan=plan)
    complete(store, batch)
    with store.reading() as reader:
        (record,) = reader.status_lists(ListKind.STATUS_LIST)
        assert (record.used, record.limit) == (50, 50)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.revoke_credentials(reference=batch.credentials[0].reference)
        assert tx.show_decoys(record.list_id, 5) == 5
        assert tx.show_decoys(record.list_id, 100) == 15
    with store.reading() as reader:
        shown = reader.revoked_indices(record.list_id)
    own = {one.place.index for one in batch.credentials if one.place}
    assert len(shown) == 21
    assert own & set(shown) == {batch.credentials[0].place.index}  # type: ignore[union-attr]


def test_an_order_that_is_repeated_gives_the_same_reference(store: Store, signer: Certificate) -> None:
    first = reserve(store, signer, "order 1", "order 2")
    complete(store, first)
    again = reserve(store, signer, "order 2", "order 3", "order 1")
    assert [again.is_repeated(one) for one in again.credentials] == [True, False, True]
    assert again.credentials[0].reference == first.credentials[1].reference
    assert again.credentials[2].reference == first.credentials[0].reference
    complete(store, again)
    with store.reading() as reader:
        assert len([*reader.credentials()]) == 3
    complete(store, reserve(store, signer, "order 1"))  # nothing new, nothing to do


def order(store: Store, signer: Certificate, *contents: bytes | None, at: datetime = NOW, end: int = 60) -> Batch:
    """Reserve for the order keys ``0``, ``1`` …, with what is ordered under each."""
    wanted = [
        Reservation(valid_from=NOW, valid_until=later(end), order_key=str(index), content=content)
        for index, content in enumerate(contents)
    ]
    with store.transaction(at=at, actor=ROLE) as tx:
        return tx.reserve_batch(wanted, signer=signer.fingerprint, key="ds-1", doctype=DOCTYPE)


def test_an_order_key_stands_for_one_order(store: Store, signer: Certificate) -> None:
    first = order(store, signer, b"a" * 32, b"b" * 32)
    complete(store, first)
    again = order(store, signer, b"a" * 32, b"b" * 32)
    assert all(again.is_repeated(one) for one in again.credentials)
    before = events(store)
    for contents, places in (((b"a" * 32, b"x" * 32), (1,)), ((b"b" * 32, b"a" * 32), (0, 1))):
        with pytest.raises(IssuanceError) as error:
            order(store, signer, *contents)
        assert (error.value.code, error.value.places) == ("store.order_conflict", places)
    assert events(store) == before
    # Who says nothing of the content is told of the order as before.
    assert order(store, signer, None).credentials[0].reference == first.credentials[0].reference


def test_what_was_ordered_is_kept_until_the_credential_has_expired(store: Store, signer: Certificate) -> None:
    complete(store, order(store, signer, b"a" * 32))
    assert order(store, signer, b"a" * 32, at=later(60)).credentials[0].state is CredentialState.ISSUED
    with pytest.raises(IssuanceError) as error:
        order(store, signer, b"a" * 32, at=later(61))
    assert error.value.code == "store.order_conflict"
    order(store, signer, None, b"b" * 32, at=later(61))  # anything that is ordered forgets what has expired
    with store.reading() as reader:
        kept = reader._sql.rows("SELECT order_content FROM credentials WHERE order_content IS NOT NULL")
    assert len(kept) == 1


def test_a_credential_of_before_counts_as_another_order(store: Store, signer: Certificate) -> None:
    complete(store, reserve(store, signer, "0", plan=None))
    with pytest.raises(IssuanceError) as error:
        order(store, signer, b"a" * 32)
    assert error.value.code == "store.order_conflict"


def test_the_expired_are_found_without_reading_every_credential(tmp_path: Path, authority: ThrowawayAuthority) -> None:
    with SqliteStore(tmp_path / "plan.db", create=True) as store:
        found(store, authority)
        with store.reading() as reader:
            plan = reader._sql.rows(
                "EXPLAIN QUERY PLAN UPDATE credentials SET order_content = NULL"
                " WHERE order_content IS NOT NULL AND valid_until < ?",
                (0,),
            )
    assert [row[-1] for row in plan] == ["SEARCH credentials USING INDEX credentials_by_order (valid_until<?)"]


def test_certificates_are_decoded_once(store: Store, signer: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    def look() -> Certificate:
        with store.reading() as reader:
            reader.certificates()
            return reader.certificate(signer.fingerprint).certificate

    first = look()
    monkeypatch.setattr(Certificate, "decode", lambda der: pytest.fail("decoded anew"))
    assert look() == first == signer


def test_an_order_is_not_placed_twice_in_one_batch(store: Store, signer: Certificate) -> None:
    with pytest.raises(LocalProtocolError) as error:
        reserve(store, signer, "order 1", "order 1")
    assert error.value.code == "store.order_twice"


def test_what_a_crash_broke_off_is_taken_over_and_its_place_stays_taken(store: Store, signer: Certificate) -> None:
    lost = reserve(store, signer, "order 1")
    again = reserve(store, signer, "order 1")
    assert not again.is_repeated(again.credentials[0])
    assert again.credentials[0].place != lost.credentials[0].place
    with pytest.raises(IssuanceError) as error:  # the process was only slow: it must not hand out anything now
        complete(store, lost)
    assert error.value.code == "store.batch_overtaken"
    complete(store, again)
    with store.reading() as reader:
        assert reader.credential(lost.credentials[0].reference).state is CredentialState.ABANDONED
        assert reader.status_lists()[0].used == 2


def test_a_batch_that_was_refused_can_be_ordered_again(store: Store, signer: Certificate) -> None:
    batch = reserve(store, signer, "order 1")
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.abandon_batch(batch, code="signing.failed")
    with pytest.raises(IssuanceError):
        complete(store, batch)
    complete(store, reserve(store, signer, "order 1"))
    assert Event.BATCH_ABANDONED in events(store)


def test_a_batch_is_not_handed_out_when_its_signer_was_revoked_meanwhile(store: Store, signer: Certificate) -> None:
    batch = reserve(store, signer, None)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.revoke_certificate(signer.fingerprint)
    with pytest.raises(IssuanceError) as error:
        complete(store, batch)
    assert error.value.code == "store.signer_state"


@pytest.mark.parametrize("by", ["reference", "batch", "signer"])
def test_credentials_are_revoked_for_ever(store: Store, signer: Certificate, by: str) -> None:
    batches = [reserve(store, signer, None, None) for _ in range(2)]
    for batch in batches:
        complete(store, batch)
    one = batches[0].credentials[0]
    arguments: dict[str, Any] = {
        "reference": {"reference": one.reference},
        "batch": {"batch": one.batch},
        "signer": {"signer": signer.fingerprint},
    }[by]
    count = {"reference": 1, "batch": 2, "signer": 4}[by]
    with store.transaction(at=later(), actor=ROLE) as tx:
        assert tx.revoke_credentials(**arguments, reason=1) == count
        assert tx.revoke_credentials(**arguments, reason=5) == 0
    with store.reading() as reader:
        known = reader.credential(one.reference)
        assert (known.state, known.state_at, known.reason) == (CredentialState.REVOKED, later(), 1)
        assert one.place is not None
        assert len(reader.revoked_indices(one.place.list_id)) == count
        assert one.place.index in reader.revoked_indices(one.place.list_id)
    assert events(store).count(Event.CREDENTIAL_REVOKED) == 1


def test_an_identifier_is_listed_when_it_is_revoked(store: Store, signer: Certificate) -> None:
    plan = StatusPlan(uri="https://mdl.example/{list}", kind=ListKind.IDENTIFIER_LIST)
    batch = reserve(store, signer, None, None, plan=plan)
    complete(store, batch)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.revoke_credentials(reference=batch.credentials[1].reference)
    place = batch.credentials[1].place
    assert place is not None
    with store.reading() as reader:
        assert reader.revoked_identifiers(place.list_id) == [place.identifier]


def test_what_was_never_handed_out_is_not_revoked(store: Store, signer: Certificate) -> None:
    batch = reserve(store, signer, None)
    unknown: list[dict[str, Any]] = [{"reference": batch.credentials[0].reference}, {"batch": b"x" * 16}]
    for arguments in unknown:
        with pytest.raises(LocalProtocolError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
            tx.revoke_credentials(**arguments)
        assert error.value.code == "store.unknown"
    with pytest.raises(ValueError), store.transaction(at=NOW, actor=ROLE) as tx:
        tx.revoke_credentials()


def test_lists_are_signed_under_revisions_that_grow(store: Store) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        list_id = tx.take_places(PLAN, 1, issuer=ROOT)[0].list_id
        assert [tx.take_revision(list_id, "status-1") for _ in range(3)] == [1, 2, 3]
    for revision in (1, 3):
        with store.transaction(at=NOW, actor=ROLE) as tx:
            token = f"token {revision}".encode()
            tx.add_signed_list(list_id, revision, token, issued_at=NOW, expires_at=later(60))
    with store.reading() as reader:
        assert reader.signed_list(list_id) == (3, b"token 3", NOW, later(60))
        assert reader.status_list(list_id).revision == 3
    for revision in (0, 3, 4):
        with pytest.raises(LocalProtocolError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
            tx.add_signed_list(list_id, revision, b"", issued_at=NOW, expires_at=later(60))
        assert error.value.code == "store.conflict"


def test_every_token_of_a_list_is_known_by_its_digest(store: Store) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        list_id = tx.take_places(PLAN, 1, issuer=ROOT)[0].list_id
        for revision in (1, 2):
            tx.take_revision(list_id, "status-1")
            tx.add_signed_list(list_id, revision, bytes((revision,)), issued_at=NOW, expires_at=later(60))
    with store.reading() as reader:
        assert reader.list_digests(list_id) == {hashlib.sha256(bytes((one,))).digest(): one for one in (1, 2)}


def test_each_root_has_lists_of_its_own(store: Store, signer: Certificate, authority: ThrowawayAuthority) -> None:
    complete(store, reserve(store, signer, "one"))
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.take_places(PLAN, 1, issuer=ROOT)
    with store.reading() as reader:
        root = authority.iaca_certificate.fingerprint
        assert [one.issuer for one in reader.status_lists()] == [root, ROOT]
        assert sorted(reader.status_plans(), key=lambda one: one[1] != root) == [(PLAN, root), (PLAN, ROOT)]


def test_a_list_is_opened_before_the_last_is_given_out_and_used_after_it(store: Store) -> None:
    plan = StatusPlan(uri="https://mdl.example/next/{list}", size=16, share=0.625)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        assert tx.prepare_list(plan, issuer=ROOT)
        opened = []
        for _ in range(10):
            tx.take_places(plan, 1, issuer=ROOT)
            opened.append(tx.prepare_list(plan, issuer=ROOT))
        assert opened == [False] * 7 + [True] + [False] * 2  # eight of ten
        assert [one.used for one in tx.status_lists()] == [10, 0]
        tx.take_places(plan, 1, issuer=ROOT)
        assert [one.used for one in tx.status_lists()] == [10, 1]


def test_a_list_is_needed_as_long_as_one_of_its_credentials_is_valid(store: Store, signer: Certificate) -> None:
    batch = reserve(store, signer, "one", "two")
    places = [one.place for one in batch.credentials]
    assert places[0] is not None
    list_id = places[0].list_id
    with store.reading() as reader:
        assert reader.list_needed_until(list_id) == later(3600), "it may yet be handed out"
    complete(store, batch)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.revoke_credentials(batch=batch.reference)
    with store.reading() as reader:
        assert reader.list_needed_until(list_id) == later(3600), "a revoked one has to be told of"
    with store.transaction(at=NOW, actor=ROLE) as tx:
        (place,) = tx.take_places(PLAN, 1, issuer=ROOT)
        assert tx.list_needed_until(place.list_id) is None


def test_credentials_without_a_place_are_counted(store: Store, signer: Certificate) -> None:
    complete(store, reserve(store, signer, "one", "two", plan=None))
    complete(store, reserve(store, signer, "three"))
    reserve(store, signer, "four", plan=None)  # nobody has it
    with store.reading() as reader:
        assert reader.count_without_place(signer.fingerprint) == 2
        assert reader.count_without_place(bytes(32)) == 0


def test_nothing_personal_is_at_rest(store: Store, signer: Certificate, place: str) -> None:
    complete(store, reserve(store, signer, "DL-Sample-1990-12-10"))
    store.close()
    with open_store(place) as again, again.reading() as reader:
        everything = b"".join(
            str(row).encode() if type(row) is not bytes else row
            for table in ("credentials", "audit", "settings", "store")
            for line in reader._sql.rows(f"SELECT * FROM {table}")
            for row in line
        )
        assert reader.order_digest("DL-Sample-1990-12-10") in everything
    assert b"Sample" not in everything
    assert b"1990-12" not in everything


def test_two_stores_salt_one_order_differently(address: Address, tmp_path: Path) -> None:
    digests = set()
    for _ in range(2):
        with open_store(address("sqlite", tmp_path), create=True) as store, store.reading() as reader:
            digests.add(reader.order_digest("order 1"))
    assert len(digests) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "https://mdl.example/list"},
        {"bits": 3},
        {"size": 7},
        {"share": 0.0},
        {"share": 0.91},
        {"decoys": 0.75},
        {"decoys": -0.1},
    ],
)
def test_a_plan_that_cannot_be_kept_is_a_programming_mistake(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        StatusPlan(**{"uri": "https://mdl.example/{list}", **changes})


# --- crashes and several processes -----------------------------------------------------------------------------------

WORKER = """
import sys
from datetime import UTC, datetime, timedelta
from issuer.store import Reservation, StatusPlan
from tests.stores import ROLE, open_store

clock = lambda: datetime.now(UTC)
plan = StatusPlan(uri="https://mdl.example/{list}", size=4096)
store = open_store(sys.argv[1])
signer = bytes.fromhex(sys.argv[2])
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    now = clock()
    wanted = [Reservation(valid_from=now, valid_until=now + timedelta(days=1)) for _ in range(7)]
    with store.transaction(at=clock, actor=ROLE) as tx:
        batch = tx.reserve_batch(wanted, signer=signer, key="ds-1", doctype="d", plan=plan)
        serial, crl = tx.take_serial("iaca"), tx.take_crl_number(signer, "iaca")
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.complete_batch(batch)
    print(f"{serial:x}", crl, batch.reference.hex(), *(f"{c.place.list_id}:{c.place.index}" for c in batch.credentials),
          flush=True)
store.close()
"""


def start_worker(place: str, signer: Certificate, rounds: int) -> subprocess.Popen[str]:
    root = Path(__file__).parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, place, signer.fingerprint.hex(), str(rounds)],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )


def hold_to_what_was_told(place: str, told: list[list[str]]) -> None:
    """Whatever a process was told that it had is its own, is still there, and the log is whole."""
    for column in (0, 2):
        assert len({line[column] for line in told}) == len(told)
    assert len({line[1] for line in told}) == len(told)
    places = [one for line in told for one in line[3:]]
    assert len(set(places)) == len(places)
    with open_store(place) as store:
        with store.reading() as reader:
            known = {one.reference: one for one in reader.credentials()}
            issued = Counter(one.batch.hex() for one in known.values() if one.state is CredentialState.ISSUED)
            assert {line[2] for line in told} <= issued.keys()
            assert set(issued.values()) <= {7}
            every = [(one.place.list_id, one.place.index) for one in known.values() if one.place]
            assert len(set(every)) == len(every)
            serials = {serial for (serial,) in reader._sql.rows("SELECT serial FROM serials")}
            assert {line[0] for line in told} <= serials
        assert whole(store)


@pytest.mark.slow
def test_killed_in_the_middle_again_and_again_nothing_is_lost_and_nothing_used_twice(
    place: str, store: Store, signer: Certificate
) -> None:
    store.close()
    told: list[list[str]] = []
    for round_ in range(5):
        process = start_worker(place, signer, 10_000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.15 + 0.05 * round_)
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        told += [line.split() for line in lines if line.endswith("\n")]
    assert len(told) > 5
    hold_to_what_was_told(place, told)


@pytest.mark.slow
def test_processes_at_once_share_nothing(place: str, store: Store, signer: Certificate) -> None:
    store.close()
    workers = [start_worker(place, signer, 15) for _ in range(2)]
    told = []
    for process in workers:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        told += [line.split() for line in out.splitlines()[1:]]
    assert len(told) == 30
    hold_to_what_was_told(place, told)


# --- bad stores ------------------------------------------------------------------------------------------------------


def test_a_newer_store_is_left_alone(store: Store, place: str) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx._sql.run("UPDATE schema_version SET version = ?", (schema.VERSION + 1,))
    store.close()
    with pytest.raises(UnsupportedError) as error:
        open_store(place)
    assert error.value.code == "store.version"


@pytest.mark.parametrize(
    "damage",
    ["DELETE FROM schema_version", "UPDATE schema_version SET version = -1", "DELETE FROM store", "DROP TABLE store"],
)
def test_a_store_without_its_first_rows_is_damaged(store: Store, place: str, damage: str) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx._sql.run(damage)
    store.close()
    with pytest.raises(DecodeError) as error, open_store(place) as again, again.reading():
        pass
    assert error.value.code == "store.damaged"


def test_an_older_store_is_brought_up_to_date(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_store(place, create=True) as store, store.transaction(at=NOW, actor=ROLE) as tx:
        tx.put_settings({"kept": True})
    monkeypatch.setattr(schema, "_STEPS", (*schema._STEPS, ("CREATE TABLE newer (thing {bytes})",)))
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    for _ in range(2):
        with open_store(place) as store, store.reading() as reader:
            settings = reader.settings()
            assert settings is not None
            assert settings.document == {"kept": True}
            assert reader._sql.has_table("newer")


def test_a_map_of_places_that_was_cut_is_damaged(store: Store) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.take_places(PLAN, 1, issuer=ROOT)
        tx._sql.run("UPDATE status_maps SET taken = ?", (b"\x00",))
    with pytest.raises(DecodeError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
        tx.take_places(PLAN, 1, issuer=ROOT)
    assert error.value.code == "store.damaged"


def test_an_index_that_a_damaged_map_gives_out_again_is_refused(store: Store, signer: Certificate) -> None:
    plan = StatusPlan(uri="https://mdl.example/{list}", size=8, share=0.9)
    reserve(store, signer, *[None] * 4, plan=plan)
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx._sql.run("UPDATE status_maps SET taken = ?", (b"\x00",))
        tx._sql.run("UPDATE status_lists SET used = 0")
    with pytest.raises(LocalProtocolError) as error:
        reserve(store, signer, *[None] * 7, plan=plan)
    assert error.value.code == "store.conflict"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE signers SET state = 'asleep'",
        "UPDATE certificates SET der = issuer",
        "UPDATE settings SET document = '{'",
    ],
)
def test_rows_that_are_none_are_damaged(store: Store, signer: Certificate, damage: str) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx._sql.run(damage)
    with pytest.raises(DecodeError) as error, store.reading() as reader:
        reader.signers()
        reader.certificates()
        reader.settings()
    assert error.value.code == "store.damaged"


def test_a_store_that_is_missing_is_not_made_anew(address: Address, tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as error:
        SqliteStore(tmp_path / "missing.db")
    assert error.value.code == "store.missing"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DecodeError) as error:
        PostgresStore(address("postgres", tmp_path))
    assert error.value.code == "store.missing"


@pytest.mark.parametrize(
    "content", [b"", b"not a database, whatever its name is" * 100, b"SQLite format 3\x00" + bytes(99)]
)
def test_a_file_that_is_no_store_is_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "store.db"
    file.write_bytes(content)
    with pytest.raises(DecodeError) as error:
        SqliteStore(file)
    assert error.value.code in ("store.not_a_store", "store.damaged")
    assert file.read_bytes() == content


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE schema_version (version INTEGER)")
    other.execute("INSERT INTO schema_version VALUES (1)")
    other.commit()
    other.close()
    before = file.read_bytes()
    for create in (False, True):
        with pytest.raises(DecodeError) as error:
            SqliteStore(file, create=create)
        assert error.value.code == "store.not_a_store"
    assert file.read_bytes() == before


def filled(path: Path, authority: ThrowawayAuthority) -> None:
    with SqliteStore(path, create=True) as store:
        signer = found(store, authority)
        for _ in range(20):
            complete(store, reserve(store, signer, *[None] * 40, plan=StatusPlan(uri="https://a.example/{list}")))


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_a_store_that_was_cut_off_is_refused(tmp_path: Path, authority: ThrowawayAuthority, share: float) -> None:
    file = tmp_path / "store.db"
    filled(file, authority)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DecodeError) as error, SqliteStore(file) as store, store.reading() as reader:
        list(reader.credentials())
    assert error.value.code == "store.damaged"


def test_a_store_with_pages_overwritten_is_refused_or_read_but_never_crashes(
    tmp_path: Path, authority: ThrowawayAuthority
) -> None:
    original = tmp_path / "original.db"
    filled(original, authority)
    content = original.read_bytes()
    codes = []
    for start in range(0, len(content), max(4096, len(content) // 4096 // 12 * 4096)):
        file = tmp_path / f"{start}.db"
        file.write_bytes(content[:start] + os.urandom(4096) + content[start + 4096 :])
        try:
            with SqliteStore(file) as store, store.reading() as reader:
                list(reader.credentials())
                reader.certificates()
                reader.signers()
                list(reader.audit_records())
        except MdlError as exc:
            codes.append(exc.code)
    assert codes
    assert {*codes} <= {"store.damaged", "store.not_a_store"}


def test_only_its_owner_reads_a_store_and_the_files_beside_it(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db", create=True) as store, store.transaction(at=NOW, actor=ROLE) as tx:
        tx.record(Event.PUBLISHED)
        files = [*tmp_path.iterdir()]
    assert len(files) > 1
    for file in files:
        assert not file.exists() or stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["store.db"]


def test_sqlite_is_durable(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db", create=True) as store, store.reading() as reader:
        assert reader._sql.rows("PRAGMA synchronous") == [(2,)]
        assert reader._sql.rows("PRAGMA journal_mode") == [("wal",)]
        assert reader._sql.rows("PRAGMA foreign_keys") == [(1,)]


def test_postgres_is_durable_and_serializable(address: Address, tmp_path: Path) -> None:
    with (
        PostgresStore(address("postgres", tmp_path), create=True) as store,
        store.transaction(at=NOW, actor=ROLE) as tx,
    ):
        assert tx._sql.rows("SHOW synchronous_commit") == [("on",)]
        assert tx._sql.rows("SHOW transaction_isolation") == [("serializable",)]


def test_a_full_disk_is_told_and_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with SqliteStore(file, create=True) as store:
        with store.transaction(at=NOW, actor=ROLE) as tx:
            tx.put_settings({"before": True})
        with store.reading() as reader:
            ((pages,),) = reader._sql.rows("PRAGMA page_count")
            reader._sql.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(SigningError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
            tx.put_settings({"much": "x" * 100_000})
        assert error.value.code == "authority.unwritable"
        assert "nothing was issued" in error.value.message
        assert whole(store)
        with store.reading() as reader:
            settings = reader.settings()
            assert settings is not None
            assert settings.version == 1


def test_a_store_that_others_keep_busy_is_given_up(place: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuer.store.sqlite._PATIENCE", 0.1)
    monkeypatch.setattr("issuer.store.postgres._PATIENCE", "100ms")
    with open_store(place) as other, store.transaction(at=NOW, actor=ROLE):
        with pytest.raises(SigningError) as error, other.transaction(at=NOW, actor=ROLE):
            pass
        assert (error.value.code, error.value.retryable) == ("store.busy", True)
        with other.reading() as reader:  # readers do not wait
            assert reader.settings() is None


def test_a_dsn_with_a_password_is_refused_and_not_repeated() -> None:
    pytest.importorskip("psycopg")
    for dsn, code in (
        ("postgresql://user:hunter2@127.0.0.1/db", "store.dsn_password"),
        ("host=127.0.0.1 password=hunter2", "store.dsn_password"),
        ("host=127.0.0.1 hunter2", "store.dsn"),
    ):
        with pytest.raises(LocalProtocolError) as error:
            PostgresStore(dsn)
        assert error.value.code == code
        assert "hunter2" not in str(error.value)
        assert error.value.__cause__ is None


def test_a_database_that_is_not_there_is_told() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(SigningError) as error:
        PostgresStore("postgresql://mdl@127.0.0.1:1/none")
    assert (error.value.code, error.value.retryable) == ("store.unreachable", True)


def test_a_connection_that_broke_is_made_anew(address: Address, tmp_path: Path) -> None:
    with PostgresStore(address("postgres", tmp_path), create=True) as store:
        with pytest.raises(SigningError) as error, store.transaction(at=NOW, actor=ROLE) as tx:
            tx.put_settings({})
            with pytest.raises(SigningError):
                tx._sql.rows("SELECT pg_terminate_backend(pg_backend_pid())")
        assert error.value.code in ("store.unreachable", "store.commit_unknown")
        with store.transaction(at=NOW, actor=ROLE) as tx:
            assert tx.settings() is None


def test_days_and_hours_are_kept_to_the_second_in_utc(store: Store, signer: Certificate) -> None:
    start = (NOW + timedelta(microseconds=7)).astimezone(tz=UTC)
    with store.transaction(at=start, actor=Actor.AUDITOR) as tx:
        assert tx.at == NOW
        tx.record(Event.PUBLISHED)
    with store.reading() as reader:
        assert reader.audit_head().time == NOW

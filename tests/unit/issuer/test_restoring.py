"""A store from a backup: noticed before anything is signed, and brought up so that nothing revoked comes back."""

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from issuer.audit import AuditRecord, Event, verify_log
from issuer.comparing import compare_log
from issuer.publishing import Publisher
from issuer.restoring import look
from issuer.store import SqliteStore, StatusPlan
from mdl.errors import DecodeError, LocalProtocolError, SigningError
from mdl.pki import Crl
from mdl.testing import ThrowawayAuthority
from tests.listed import NAMES, PLAN, ROOT
from tests.recovery import SIGNER, World
from tests.stores import KINDS, ROLE, addresses

Address = Callable[[str, Path], str]


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with addresses() as address:
        yield address


# What the database has a part in; the rest is the same for both.
BOTH = {
    "test_a_restored_backup_takes_no_revocation_back",
    "test_a_number_that_two_crls_have_is_told_by_their_content",
    "test_then_the_checkpoints_decide",
    "test_a_revoked_credential_that_the_store_has_lost_stays_revoked",
    "test_a_list_that_the_store_has_lost_is_taken_up",
    "test_a_certificate_that_the_store_has_lost_stays_on_the_crl",
    "test_a_copy_is_of_one_moment_however_much_goes_on",
    "test_a_copy_is_put_back_and_brought_up_in_one",
    "test_a_store_that_is_whole_is_not_replaced_by_an_older_one",
    "test_a_root_and_a_document_signer_that_the_store_has_lost_are_taken_up",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", KINDS if metafunc.definition.originalname in BOTH else KINDS[:1])


@pytest.fixture
def world(kind: str, address: Address, tmp_path: Path) -> World:
    return World(address(kind, tmp_path), tmp_path)


def refused(world: World, code: str = "store.behind") -> str:
    before = world.shown()
    with pytest.raises(LocalProtocolError) as caught:
        world.publish()
    assert caught.value.code == code
    assert "mdl issuer restore" in caught.value.message
    assert world.shown() == before
    return caught.value.message


def restored(world: World) -> None:
    """Restore, publish, and hold the tree against what it was."""
    before = world.shown()
    world.restore()
    world.publish()
    after = world.shown()
    assert before.keys() <= after.keys()
    assert all(places <= after[name] for name, places in before.items())
    with world.store() as store, store.reading() as reader:
        assert verify_log(reader.audit_records(), log_id=reader.log_id, head=reader.audit_head()) == []
        assert compare_log(reader.audit_records(), reader.holdings()) == []


def number(world: World) -> int:
    crl = Crl.decode((world.tree / "current/iaca.crl").read_bytes())
    return crl.number or 0


def test_a_restored_backup_takes_no_revocation_back(world: World) -> None:
    (one,) = world.issue(1)
    world.publish()
    copy = world.keep()
    world.revoke(one)
    world.revoke_signer()
    world.publish()
    world.lose(copy)
    for _ in range(3):
        refused(world)
    restored(world)
    with world.store() as store, store.reading() as reader:
        assert reader.credential(one.reference).state.value == "revoked"
        assert reader.certificate(SIGNER.fingerprint).revoked_at is not None
    assert world.shown()["iaca.crl"] == {SIGNER.serial}


def test_a_number_that_two_crls_have_is_told_by_their_content(world: World) -> None:
    """The backup goes on by itself where the tree is not looked at: the same number, and other bytes."""
    world.issue(1)
    world.publish()
    copy = world.keep()
    world.revoke_signer()
    world.publish()
    taken = number(world)
    world.lose(copy)
    tree = world.tree.rename(world.tree.with_name("elsewhere"))
    crls = (world.folder / "crl").rename(world.folder / "elsewhere")
    with world.store() as store, store.transaction(at=world.clock, actor=ROLE) as tx:
        tx.take_crl_number(ROOT.fingerprint, "iaca")  # and the clock goes on: another CRL, of the same number
        tx._sql.run("DELETE FROM crl_numbers WHERE number = ?", (taken,))
    (world.folder / "iaca.crl").unlink()
    world.clock.advance(days=20)
    world.publish()
    assert number(world) == taken
    shutil.rmtree(world.tree)
    tree.rename(world.tree)
    refused(world)
    shutil.rmtree(world.folder / "crl")
    crls.rename(world.folder / "crl")
    refused(world)
    restored(world)
    assert number(world) > taken


@pytest.mark.parametrize("where", ["tree", "folder"])
def test_either_the_tree_or_the_folder_is_enough(world: World, where: str) -> None:
    world.issue(1)
    world.publish()
    copy = world.keep()
    world.revoke_signer()
    world.publish()
    world.lose(copy)
    if where == "folder":
        shutil.rmtree(world.tree)
    else:
        shutil.rmtree(world.folder / "crl")
        (world.folder / "iaca.crl").unlink()
    with pytest.raises(LocalProtocolError) as caught:
        world.publish()
    assert caught.value.code == "store.behind"
    result = world.workplace.restore(at=world.clock)
    assert (result.certificates, bool(result.not_compared)) == (1, where == "folder")
    world.publish()
    assert world.shown()["iaca.crl"] == {SIGNER.serial}


def test_a_tree_that_is_nowhere_on_this_host_stops_nothing_and_is_said(world: World) -> None:
    world.issue(1)
    world.publish()
    shutil.rmtree(world.tree)
    assert look(world.folder).not_compared == (f"nothing is published in {world.tree} on this host",)
    world.publish(all_lists=True)


def test_then_the_checkpoints_decide(world: World) -> None:
    (one,) = world.issue(1)
    world.publish()
    copy = world.keep()
    world.revoke(one)
    world.checkpoint()
    world.lose(copy)
    shutil.rmtree(world.tree)
    with pytest.raises(LocalProtocolError) as caught:
        world.publish()
    assert caught.value.code == "store.behind"
    result = world.workplace.restore(at=world.clock, skip=5)
    assert result.lost_records > 0
    assert result.skipped == 5 + result.lost_records
    world.publish()
    assert number(world) > 5


def test_a_checkpoint_that_nobody_here_has_signed_stops_nothing(world: World) -> None:
    world.issue(1)
    world.publish()
    copy = world.keep()
    world.issue(1)
    world.checkpoint()
    world.lose(copy)
    (world.folder / "audit-1.pem").write_bytes(ROOT.public_key.pem)
    with world.store() as store, store.transaction(at=world.clock, actor=ROLE) as tx:
        tx._sql.run("UPDATE signers SET public_key = ? WHERE role = 'audit'", (ROOT.public_key.spki[:-1] + b"\0",))
        tx._sql.run("DELETE FROM signers WHERE role = 'audit'")
    world.publish(all_lists=True)


@pytest.mark.parametrize("plan", [PLAN, NAMES])
def test_a_revoked_credential_that_the_store_has_lost_stays_revoked(world: World, plan: StatusPlan) -> None:
    world.issue(1, plan)
    world.publish()
    copy = world.keep()
    (lost,) = world.issue(1, plan)
    world.revoke(lost)
    world.publish()
    world.lose(copy)
    refused(world)
    restored(world)
    assert lost.place is not None
    place = lost.place.index if lost.place.identifier is None else lost.place.identifier
    assert place in world.shown()[lost.place.uri.split("/", 3)[3]]
    # Which places of the list are taken is not known any more: none is given out again.
    (fresh,) = world.issue(1, plan)
    assert fresh.place is not None
    assert fresh.place.list_id != lost.place.list_id
    # And it is needed as long as the lost credential may be valid.
    world.clock.advance(days=40)
    world.publish()
    assert place in world.shown()[lost.place.uri.split("/", 3)[3]]


@pytest.mark.parametrize("plan", [PLAN, NAMES])
def test_a_list_that_the_store_has_lost_is_taken_up(world: World, plan: StatusPlan) -> None:
    world.publish()
    copy = world.keep()
    lost, _ = world.issue(2, plan)
    world.revoke(lost)
    world.publish()
    world.lose(copy)
    refused(world)
    restored(world)
    assert lost.place is not None
    with world.store() as store, store.reading() as reader:
        record = reader.status_list(lost.place.list_id)
        assert (record.uri, record.used, record.limit) == (lost.place.uri, 0, 0)
    world.clock.advance(days=60)
    world.publish()
    assert lost.place.uri.split("/", 3)[3] in world.shown()


def test_a_certificate_that_the_store_has_lost_stays_on_the_crl(world: World) -> None:
    world.issue(1)
    world.publish()
    copy = world.keep()
    with world.store() as store, store.transaction(at=world.clock, actor=ROLE) as tx:
        tx.carry_serial(ROOT.fingerprint, 0xABCDEF, world.clock())
    world.publish()
    assert world.shown()["iaca.crl"] == {0xABCDEF}
    world.lose(copy)
    refused(world)
    restored(world)
    assert world.shown()["iaca.crl"] == {0xABCDEF}


def test_restoring_twice_changes_nothing_more(world: World) -> None:
    world.issue(1)
    world.publish()
    copy = world.keep()
    world.revoke_signer()
    world.publish()
    world.lose(copy)
    assert world.workplace.restore(at=world.clock).skipped
    with world.store() as store, store.reading() as reader:
        head = reader.audit_head()
        told = [AuditRecord.decode(one.record) for one in reader.audit_records()]
    assert told[-1].event is Event.STORE_RESTORED
    assert told[-1].subjects["count"] == 1
    assert not world.workplace.restore(at=world.clock).skipped
    with world.store() as store, store.reading() as reader:
        assert reader.audit_head() == head


def test_nothing_published_is_replaced_by_what_revokes_less(world: World) -> None:
    """By a higher number too, as a CRL from elsewhere may have it."""
    world.revoke_signer()
    world.publish()
    with world.store() as store:
        with store.transaction(at=world.clock, actor=ROLE) as tx:
            tx._sql.run("UPDATE certificates SET revoked_at = NULL")
        world.clock.advance(days=20)
        with pytest.raises(LocalProtocolError) as caught:
            world.publish()
        assert caught.value.code == "publish.rollback"
        with pytest.raises(LocalProtocolError) as caught:
            Publisher(store, world.tree).publish(at=world.clock)
        assert caught.value.code == "publish.rollback"
    assert world.shown()["iaca.crl"] == {SIGNER.serial}


def test_a_crl_of_somebody_else_in_the_folder_stops_nothing(world: World) -> None:
    world.publish()
    stranger = ThrowawayAuthority(generation=2).crl(number=900)
    (world.folder / "crl/000900.crl").write_bytes(stranger)
    (world.folder / "crl/000901.crl").write_bytes(b"rubbish")
    world.issue(1)
    world.publish()
    assert number(world) < 900


def test_an_archived_crl_is_never_overwritten(world: World) -> None:
    world.publish()
    with world.store() as store, store.reading() as reader:
        taken = reader.taken_crl_number(ROOT.fingerprint)
    (world.folder / f"crl/{taken + 1:06}.crl").write_bytes(b"rubbish")
    world.revoke_signer()
    with pytest.raises(LocalProtocolError) as caught:
        world.publish()
    assert caught.value.code == "store.behind"
    assert (world.folder / f"crl/{taken + 1:06}.crl").read_bytes() == b"rubbish"


def test_an_index_whose_files_are_lost_has_its_numbers_skipped(world: World) -> None:
    world.issue(1)
    world.publish()
    copy = world.keep()
    world.revoke_signer()
    world.publish()
    (world.tree / "current/iaca.crl").unlink()
    shutil.rmtree(world.folder / "crl")
    (world.folder / "iaca.crl").unlink()
    world.lose(copy)
    result = world.workplace.restore(at=world.clock)
    assert len(result.unread) == 1
    world.publish()
    assert number(world) > 1000


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_is_of_one_moment_however_much_goes_on(world: World) -> None:
    world.issue(5)
    stop = threading.Event()

    def work() -> None:
        with world.store() as store:
            while not stop.is_set():
                with store.transaction(at=world.clock, actor=ROLE) as tx:
                    tx.refuse("nothing", "nothing.at_all")

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        copies = [world.keep(f"{index}.db") for index in range(5)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    sequences = []
    for copy in copies:
        assert copy.stat().st_mode & 0o777 == 0o600
        with SqliteStore(copy) as store, store.reading() as reader:
            assert verify_log(reader.audit_records(), log_id=reader.log_id, head=reader.audit_head()) == []
            assert compare_log(reader.audit_records(), reader.holdings()) == []
            sequences.append(reader.audit_head().sequence)
    assert sequences == sorted(sequences)


def test_a_copy_is_put_back_and_brought_up_in_one(world: World) -> None:
    (one,) = world.issue(1)
    world.publish()
    copy = world.keep()
    world.revoke(one)
    world.publish()
    world.lose(copy)  # a store that is as old as the copy, and is not whole
    before = hashlib.sha256(copy.read_bytes()).digest()
    if world.is_file:
        Path(world.place).write_bytes(b"SQLite format 3\0" + bytes(5000))
    else:
        with world.store() as store, store.replacing() as sql:
            sql.run("DELETE FROM store")
    shown = world.shown()
    world.restore(copy)
    assert hashlib.sha256(copy.read_bytes()).digest() == before
    world.publish()
    after = world.shown()
    assert all(places <= after[name] for name, places in shown.items())
    with world.store() as store, store.reading() as reader:
        assert reader.credential(one.reference).state.value == "revoked"


def test_a_store_that_is_whole_is_not_replaced_by_an_older_one(world: World) -> None:
    world.issue(1)
    copy = world.keep()
    world.issue(1)
    with pytest.raises(LocalProtocolError) as caught:
        world.restore(copy)
    assert caught.value.code == "store.conflict"
    with world.store() as store, store.reading() as reader:
        assert len([*reader.credentials()]) == 2


def test_a_copy_of_another_authority_is_not_put_in_its_place(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = World(str(tmp_path / "other.db"), tmp_path / "other")
    other.issue(30)
    with pytest.raises(LocalProtocolError) as caught:
        world.restore(other.keep())
    assert caught.value.code == "store.conflict"


@pytest.mark.parametrize("damage", ["cut", "overwritten", "none", "text"])
def test_a_damaged_copy_is_refused_and_changes_nothing(world: World, damage: str) -> None:
    world.issue(1)
    copy = world.keep()
    data = bytearray(copy.read_bytes())
    if damage == "overwritten":
        data[4096 * 3 : 4096 * 5] = bytes(8192)
    copy.write_bytes({"cut": bytes(data[: len(data) // 2]), "text": b"x" * 9000}.get(damage, bytes(data)))
    if damage == "none":
        copy.unlink()
    with pytest.raises(DecodeError):
        world.restore(copy)
    with world.store() as store, store.reading() as reader:
        assert len([*reader.credentials()]) == 1


# --- certificates -----------------------------------------------------------------------------------------------------


def test_a_root_and_a_document_signer_that_the_store_has_lost_are_taken_up(world: World) -> None:
    world.issue(1)
    world.publish()
    copy = world.keep()
    next_root, next_signer = world.rekey()
    world.publish()
    published = {file.name for file in (world.tree / "current/roots").iterdir()}
    assert "iaca-2.der" in published
    world.lose(copy)
    refused(world)
    result = world.workplace.restore(at=world.clock)
    assert (result.adopted, result.unread) == (2, [])
    with world.store() as store, store.reading() as reader:
        root = reader.certificate(next_root.fingerprint)
        signer = reader.certificate(next_signer.fingerprint)
        assert (root.role.value, root.key, signer.role.value, signer.key) == (
            "iaca",
            "iaca-2",
            "document-signer",
            "ds-2",
        )
        states = {one.key: one.state.value for one in reader.signers()}
        assert (states["iaca-2"], states["ds-2"]) == ("active", "retired")
        assert compare_log(reader.audit_records(), reader.holdings()) == []
    world.publish()
    assert {file.name for file in (world.tree / "current/roots").iterdir()} >= published
    # What it signed can be revoked again.
    with world.store() as store, store.transaction(at=world.clock, actor=ROLE) as tx:
        assert tx.revoke_certificate(next_signer.fingerprint)
    world.publish()
    assert {next_signer.serial} in world.shown().values()


def test_a_root_is_known_by_the_folder_or_by_the_tree(world: World) -> None:
    world.publish()
    copy = world.keep()
    world.rekey()
    world.publish()
    world.lose(copy)
    for file in world.folder.glob("*-2.pem"):
        file.unlink()
    refused(world)
    restored(world)
    with world.store() as store, store.reading() as reader:
        assert len(reader.certificates()) == 4  # the document signer is nowhere any more


def test_a_certificate_of_somebody_else_in_the_folder_stops_nothing(world: World) -> None:
    world.publish()
    other = ThrowawayAuthority(generation=2)
    (world.folder / "ds-7.pem").write_bytes(other.ds_certificate.pem.encode())
    (world.folder / "partner.pem").write_bytes(other.iaca_certificate.pem.encode())
    (world.folder / "notes.pem").write_bytes(b"rubbish")
    world.issue(1)
    world.publish(all_lists=True)


@pytest.mark.parametrize("content", [b"", b"precious", b"SQLite format 3\0" + bytes(84)])
def test_a_copy_is_written_over_a_copy_and_over_nothing_else(world: World, content: bytes) -> None:
    copy = world.keep()
    before = copy.stat().st_ino
    world.issue(1)
    assert world.keep().stat().st_ino != before
    other = world.folder.parent / "other.db"
    other.write_bytes(content)
    (world.folder.parent / "link.db").symlink_to("copy.db")
    for name in ("other.db", "link.db", "folder", "authority.db"):
        (world.folder.parent / "folder").mkdir(exist_ok=True)
        with pytest.raises(SigningError) as caught:
            world.keep(name) if name != "authority.db" else world.workplace.backup(world.folder / "new.db")
        assert caught.value.code == "authority.unwritable"
    assert other.read_bytes() == content
    assert (world.folder.parent / "link.db").is_symlink()
    assert not (world.folder / "new.db").exists()


def test_only_what_a_copy_that_died_has_left_is_taken_away(world: World) -> None:
    tokens = ("0a0b0c0d", "0a0b0c0e", "mine", "0a0b0c0f", "0a0b0c10")
    left, empty, own, foreign, link = (world.folder.parent / f".copy.db.{token}.tmp" for token in tokens)
    left.write_bytes(world.keep("whole.db").read_bytes())
    empty.touch()
    for one in (own, foreign):
        one.write_bytes(b"precious")
    link.symlink_to("whole.db")
    world.keep()
    assert not left.exists()
    assert not empty.exists()
    assert [one.read_bytes() for one in (own, foreign)] == [b"precious"] * 2
    assert link.is_symlink()

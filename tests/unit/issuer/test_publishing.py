"""The published tree: whole or not at all, never older than before, and nothing in it that a root has not signed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from issuer.addresses import path_of
from issuer.audit import AuditRecord, Event, verify_log
from issuer.publishing import Item, ItemKind, Publication, Publisher, collect, vical_item
from issuer.store import CrlRecord, Role, SqliteStore, StatusPlan, Store, places
from mdl.cbor import TDate
from mdl.errors import DecodeError, LocalProtocolError, MdlError, SigningError, VerificationError
from mdl.pki import Certificate, Crl
from mdl.status import StatusToken
from mdl.testing import ThrowawayAuthority
from tests.listed import AUTHORITY, PLAN, ROOT, Clock, add_crl, fill, issue, revoke, sign
from tests.stores import NOW, ROLE, later
from tests.vical_forgery import DAY, PHOTO_ID, Provider, authority, forge, info, key_usage, provider

CRL_PATH = "iaca.crl"
CRL_URL = "https://throwaway.example/iaca.crl"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with SqliteStore(tmp_path / "authority.db", create=True) as store:
        fill(store)
        yield store


@pytest.fixture
def publisher(store: Store, tmp_path: Path) -> Publisher:
    return Publisher(store, tmp_path / "www")


def tree(published: Publication) -> dict[str, bytes]:
    return {
        str(file.relative_to(published.folder)): file.read_bytes()
        for file in published.folder.rglob("*")
        if file.is_file()
    }


def events(store: Store) -> list[AuditRecord]:
    with store.reading() as reader:
        records = [*reader.audit_records()]
        assert verify_log(records, log_id=reader.log_id, head=reader.audit_head()) == []
    return [AuditRecord.decode(one.record) for one in records]


def test_everything_lies_where_readers_look_for_it(store: Store, publisher: Publisher, clock: Clock) -> None:
    (credential,) = issue(store, 1, clock)
    sign(store, clock)
    published = publisher.publish(at=clock)
    assert credential.place is not None
    files = tree(published)
    place = path_of(credential.place.uri)
    assert files.keys() == {
        CRL_PATH,
        place,
        "index.json",
        "roots/iaca.der",
        "roots/iaca.pem",
        "roots/index.json",
    }
    Crl.decode(files[CRL_PATH]).verify_signature(ROOT.public_key)
    assert StatusToken.decode(files[place]).subject == credential.place.uri
    assert Certificate.decode_any(files["roots/iaca.pem"]) == Certificate.decode(files["roots/iaca.der"]) == ROOT
    assert (published.unsigned, published.overdue) == ((), ())


def test_the_index_names_every_file_with_its_media_type_digest_and_dates(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    (credential,) = issue(store, 1, clock)
    sign(store, clock)
    files = tree(publisher.publish(at=clock))
    index = json.loads(files.pop("index.json"))
    rows = {row["path"]: row for row in index["files"]}
    assert rows.keys() == files.keys()
    for path, content in files.items():
        assert rows[path]["sha256"] == hashlib.sha256(content).hexdigest()
        assert rows[path]["size"] == len(content)
    assert credential.place is not None
    assert {path: row["media_type"] for path, row in rows.items()} == {
        CRL_PATH: "application/pkix-crl",
        path_of(credential.place.uri): "application/statuslist+cwt",
        "roots/iaca.der": "application/pkix-cert",
        "roots/iaca.pem": "application/x-pem-file",
        "roots/index.json": "application/json",
    }
    crl = rows[CRL_PATH]
    assert (crl["url"], crl["number"]) == ("https://throwaway.example/iaca.crl", 1)
    assert (crl["issued"], crl["until"]) == ("2026-06-01T12:00:00Z", "2026-07-01T12:00:00Z")
    assert index["published"] == "2026-06-01T12:00:00Z"


def test_what_a_list_of_roots_is_sent_stands_beside_the_roots(publisher: Publisher, clock: Clock) -> None:
    files = tree(publisher.publish(at=clock))
    (row,) = json.loads(files["roots/index.json"])["certificates"]
    assert row["sha256"] == ROOT.fingerprint.hex()
    assert [(one["path"], one["media_type"]) for one in row["files"]] == [
        ("iaca.der", "application/pkix-cert"),
        ("iaca.pem", "application/x-pem-file"),
    ]
    for one in row["files"]:
        assert hashlib.sha256(files[f"roots/{one['path']}"]).hexdigest() == one["sha256"]
    assert row["doctypes"] == ["org.iso.18013.5.1.mDL"]
    assert (row["country"], row["state"], row["serial"]) == ("US", "US-UT", f"{ROOT.serial:x}")
    assert (row["not_before"], row["not_after"]) == ("2025-06-01T12:00:00Z", "2034-05-30T12:00:00Z")


def test_publishing_again_changes_nothing(store: Store, publisher: Publisher, clock: Clock) -> None:
    first = publisher.publish(at=clock)
    before, recorded = tree(first), len(events(store))
    clock.advance(hours=1)
    again = publisher.publish(at=clock)
    assert (again.version, again.changed, again.removed) == (first.version, (), ())
    assert tree(again) == before
    assert len(events(store)) == recorded
    assert [one.name for one in (publisher.current.parent / "versions").iterdir()] == ["000001"]


def test_a_publication_is_on_record(store: Store, publisher: Publisher, clock: Clock) -> None:
    published = publisher.publish(at=clock)
    record = events(store)[-1]
    assert record.event is Event.PUBLISHED
    assert (record.subjects["number"], record.subjects["count"]) == (1, len(published.items))


def test_only_what_changed_is_written_and_the_rest_is_the_same_file(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    publisher.publish(at=clock)
    root, crl = ((publisher.current / name).stat().st_ino for name in ("roots/iaca.der", CRL_PATH))
    add_crl(store, 2, at=later())
    clock.advance(seconds=1)
    published = publisher.publish(at=clock)
    assert (published.version, published.changed) == (2, (CRL_PATH,))
    assert (publisher.current / "roots/iaca.der").stat().st_ino == root
    assert (publisher.current / CRL_PATH).stat().st_ino != crl
    assert Crl.decode((publisher.current / CRL_PATH).read_bytes()).number == 2
    assert Crl.decode((publisher.current.parent / "versions/000001" / CRL_PATH).read_bytes()).number == 1


def test_a_download_that_has_begun_ends_with_the_same_version(store: Store, publisher: Publisher, clock: Clock) -> None:
    publisher.publish(at=clock)
    with (publisher.current / CRL_PATH).open("rb") as download:
        start = download.read(10)
        for number in range(2, 9):
            add_crl(store, number, at=later(number))
            clock.now = later(number)
            publisher.publish(at=clock)
        assert Crl.decode(start + download.read()).number == 1
    assert Crl.decode((publisher.current / CRL_PATH).read_bytes()).number == 8
    assert sorted(one.name for one in (publisher.current.parent / "versions").iterdir()) == [
        f"{number:06}" for number in range(5, 9)
    ]


def test_a_file_that_somebody_changed_or_took_away_is_put_back(publisher: Publisher, clock: Clock) -> None:
    first = tree(publisher.publish(at=clock))
    (publisher.current / CRL_PATH).write_bytes(b"something else")
    (publisher.current / "roots/iaca.der").unlink()
    published = publisher.publish(at=clock)
    assert published.changed == (CRL_PATH, "roots/iaca.der")
    assert {**tree(published), "index.json": b""} == {**first, "index.json": b""}


def test_a_list_stays_as_long_as_a_credential_names_it(store: Store, publisher: Publisher, clock: Clock) -> None:
    tiny = StatusPlan(uri="https://mdl.example/tiny/{list}", size=8)
    (credential, *_) = issue(store, 6, clock, tiny, days=10)
    assert credential.place is not None
    path = path_of(credential.place.uri)
    for _ in range(24):
        sign(store, clock)
        assert path in tree(publisher.publish(at=clock))
        clock.advance(hours=10)
    clock.advance(days=4)
    sign(store, clock)
    published = publisher.publish(at=clock)
    assert published.removed == (path,)
    assert path not in tree(published)


def test_a_list_that_was_never_signed_and_one_that_is_overdue_are_told(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    (credential,) = issue(store, 1, clock)
    assert credential.place is not None
    assert publisher.publish(at=clock).unsigned == (credential.place.uri,)
    sign(store, clock)
    clock.advance(days=3)
    published = publisher.publish(at=clock)
    assert (published.unsigned, published.overdue) == ((), (credential.place.uri,))
    clock.advance(days=27)
    assert publisher.publish(at=clock).overdue == ("https://throwaway.example/iaca.crl", credential.place.uri)


# --- what is not published --------------------------------------------------------------------------------------------


def test_a_crl_of_another_key_is_not_published(store: Store, publisher: Publisher, clock: Clock) -> None:
    publisher.publish(at=clock)
    before = tree(publisher.publish(at=clock))
    add_crl(store, 2, authority=ThrowawayAuthority(generation=2))
    issue(store, 1, clock)
    sign(store, clock)
    published = publisher.publish(at=clock)
    assert [(one.url, one.code) for one in published.unplaced] == [(CRL_URL, "signature.invalid")]
    # The one before stays, and the rest goes out.
    assert (publisher.current / CRL_PATH).read_bytes() == before[CRL_PATH]
    assert {ItemKind.CRL, ItemKind.STATUS_LIST} <= {one.kind for one in published.items}
    assert publisher.publish(at=clock).changed == ()


def test_a_token_of_another_list_is_not_published(store: Store, publisher: Publisher, clock: Clock) -> None:
    issue(store, 1, clock)
    sign(store, clock)
    with store.transaction(at=clock, actor=ROLE) as tx:
        (record,) = tx.status_lists()
        (other,) = tx.take_places(StatusPlan(uri="https://mdl.example/b/{list}", size=64), 1, issuer=ROOT.fingerprint)
        _, token, issued_at, expires_at = tx.signed_list(record.list_id) or (0, b"", NOW, NOW)
        tx.add_signed_list(
            other.list_id,
            tx.take_revision(other.list_id, "revocation-list-1"),
            token,
            issued_at=issued_at,
            expires_at=expires_at,
        )
    published = publisher.publish(at=clock)
    assert [(one.url, one.code) for one in published.unplaced] == [(other.uri, "status.sub")]
    assert path_of(record.uri) in tree(published)
    assert path_of(other.uri) not in tree(published)


def test_a_list_without_a_place_holds_back_no_other(store: Store, publisher: Publisher, clock: Clock) -> None:
    """As a store of an older version may have one: its address was judged only when it was to be published."""
    (good,) = issue(store, 1, clock)
    with store.transaction(at=clock, actor=ROLE) as tx:
        plan = StatusPlan(uri="https://lists.example/iaca.crl/{list}", size=64)
        bad = places.open_list(tx._sql, plan, ROOT.fingerprint, NOW)
    sign(store, clock)
    published = publisher.publish(at=clock)
    assert [(one.url, one.code) for one in published.unplaced] == [(bad.uri, "publish.conflict")]
    assert good.place is not None
    assert {CRL_PATH, path_of(good.place.uri)} <= tree(published).keys()
    revoke(store, good, clock)
    sign(store, clock)
    assert publisher.publish(at=clock).changed == (path_of(good.place.uri),)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.place_list(bad.list_id, "moved/a")
    published = publisher.publish(at=clock)
    assert (published.unplaced, published.changed) == ((), ("moved/a",))
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.retire_list(bad.list_id)
    published = publisher.publish(at=clock)
    assert (published.unplaced, published.removed) == ((), ("moved/a",))
    assert [one.event for one in events(store)][-2:] == [Event.LIST_RETIRED, Event.PUBLISHED]


def test_a_store_from_a_backup_takes_nothing_back(
    store: Store, publisher: Publisher, clock: Clock, tmp_path: Path
) -> None:
    issue(store, 1, clock)
    sign(store, clock)
    store.close()
    shutil.copy(tmp_path / "authority.db", tmp_path / "backup.db")
    with SqliteStore(tmp_path / "authority.db") as now:
        add_crl(now, 2)
        Publisher(now, tmp_path / "www").publish(at=clock)
    with SqliteStore(tmp_path / "backup.db") as restored, pytest.raises(LocalProtocolError) as caught:
        Publisher(restored, tmp_path / "www").publish(at=clock)
    assert caught.value.code == "publish.rollback"
    assert Crl.decode((tmp_path / "www/current" / CRL_PATH).read_bytes()).number == 2


@pytest.mark.parametrize("serials", [[], [8], [7, 8]])
def test_two_things_of_one_number_are_a_roll_back_whatever_they_revoke(
    store: Store, publisher: Publisher, clock: Clock, tmp_path: Path, serials: list[int]
) -> None:
    publisher.publish(at=clock)
    store.close()
    shutil.copy(tmp_path / "authority.db", tmp_path / "backup.db")
    for place, revoked in (("authority.db", [7]), ("backup.db", serials)):
        with SqliteStore(tmp_path / place) as one, one.transaction(at=later(), actor=ROLE) as tx:
            number = tx.take_crl_number(ROOT.fingerprint, "iaca")
            der = AUTHORITY.crl(number=number, revoked=revoked, this_update=later(len(revoked)))
            until = later() + timedelta(days=30)
            tx.add_crl(
                CrlRecord(issuer=ROOT.fingerprint, number=number, der=der, this_update=later(), next_update=until)
            )
    with SqliteStore(tmp_path / "authority.db") as first:
        Publisher(first, tmp_path / "www").publish(at=clock)
    with SqliteStore(tmp_path / "backup.db") as second, pytest.raises(LocalProtocolError) as caught:
        Publisher(second, tmp_path / "www").publish(at=clock)
    assert caught.value.code == "publish.rollback"
    assert Crl.decode((tmp_path / "www/current" / CRL_PATH).read_bytes()).revoked.keys() == {7}


def test_two_authorities_do_not_publish_in_one_folder(publisher: Publisher, clock: Clock, tmp_path: Path) -> None:
    publisher.publish(at=clock)
    with SqliteStore(tmp_path / "other.db", create=True) as other:
        fill(other)
        with pytest.raises(LocalProtocolError) as caught:
            Publisher(other, tmp_path / "www").publish(at=clock)
    assert caught.value.code == "publish.foreign"


def test_a_folder_of_somebody_else_is_left_alone(publisher: Publisher, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "www/current").mkdir(parents=True)
    (tmp_path / "www/current/page.html").write_text("mine")
    with pytest.raises(LocalProtocolError) as caught:
        publisher.publish(at=clock)
    assert caught.value.code == "publish.foreign"
    assert (tmp_path / "www/current/page.html").read_text() == "mine"


def test_a_damaged_index_is_told_with_its_remedy(publisher: Publisher, clock: Clock) -> None:
    publisher.publish(at=clock)
    (publisher.current / "index.json").write_text("{")
    with pytest.raises(DecodeError) as caught:
        publisher.publish(at=clock)
    assert caught.value.code == "publish.damaged"
    publisher.current.unlink()
    assert publisher.publish(at=clock).version == 2


@pytest.mark.parametrize(
    "url",
    [
        "ftp://mdl.example/iaca.crl",
        "https://mdl.example",
        "https://mdl.example/",
        "https://mdl.example/crl/",
        "https://mdl.example/iaca.crl?time=1",
        "https://mdl.example/../iaca.crl",
        "https://mdl.example/%2e%2e/iaca.crl",
        "https://mdl.example/a%2Fb/../../iaca.crl",
        "https://mdl.example/.htaccess",
        "https://mdl.example/a\\b",
        "https://mdl.example/a%00b",
        "https://mdl.example/index.json",
        "https://mdl.example/roots/iaca.pem",
        "https:///iaca.crl",
    ],
)
def test_an_address_that_is_no_place_for_a_file_is_refused(url: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        path_of(url)
    assert caught.value.code == "publish.address"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://mdl.example/iaca.crl", "iaca.crl"),
        ("http://mdl.example:8080/a/b/1.crl", "a/b/1.crl"),
        ("https://mdl.example/status/0a1b", "status/0a1b"),
        ("https://mdl.example/status%2D1/x", "status-1/x"),
    ],
)
def test_an_address_gives_the_path_under_the_document_root(url: str, path: str) -> None:
    assert path_of(url) == path


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("https://lists.example/iaca.crl/{list}", "publish.conflict"),
        ("https://lists.example/status?{list}", "publish.address"),
    ],
)
def test_a_list_that_cannot_lie_where_readers_look_for_it_is_refused(
    store: Store, clock: Clock, uri: str, code: str
) -> None:
    """Before anything is signed that names it, whoever names the plan."""
    with pytest.raises(LocalProtocolError) as caught:
        issue(store, 1, clock, StatusPlan(uri=uri, size=64))
    assert caught.value.code == code
    with store.reading() as reader:
        assert reader.status_lists() == ()


def index_of(owner: str) -> str:
    return json.dumps({"version": 1, "authority": owner, "published": "2026-01-01T00:00:00Z", "files": []})


def a_folder(folder: Path, owner: str | None) -> Path:
    """A folder with something in it, and an index that names somebody."""
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"precious")
    if owner is not None:
        (folder / "index.json").write_text(index_of(owner))
    return folder


def test_what_an_interrupted_publication_left_is_taken_away(
    store: Store, publisher: Publisher, clock: Clock, tmp_path: Path
) -> None:
    with store.reading() as reader:
        owner = reader.log_id.hex()
    rubbish = a_folder(tmp_path / "www/versions/.000001.0a0b0c0d.tmp", owner)
    early = tmp_path / "www/versions/.000001.0a0b0c0e.tmp"
    early.mkdir()
    link = tmp_path / "www/.current.0a0b0c0d.tmp"
    link.symlink_to("versions/000001")
    published = publisher.publish(at=clock)
    assert not rubbish.exists()
    assert not early.exists()
    assert not link.is_symlink()
    assert published.version == 1


@pytest.mark.parametrize("name", ["20230101", "000001", "999999999", ".000001.0a0b0c0d.tmp", ".notes.tmp", "notes"])
@pytest.mark.parametrize("owner", [None, "00" * 16], ids=["nobody", "another"])
def test_what_others_have_made_stays_whatever_it_is_called(
    store: Store, clock: Clock, tmp_path: Path, name: str, owner: str | None
) -> None:
    publisher = Publisher(store, tmp_path / "www")
    there = a_folder(tmp_path / "www/versions" / name, owner)
    (tmp_path / "www/.current.mine.tmp").write_bytes(b"mine")
    (tmp_path / "www/.current.0a0b0c0d.tmp").symlink_to("/etc")
    for serial in range(7):  # more than are kept
        add_crl(store, serial + 2)
        publisher.publish(at=clock)
    assert (there / "file").read_bytes() == b"precious"
    assert (tmp_path / "www/.current.mine.tmp").read_bytes() == b"mine"
    assert (tmp_path / "www/.current.0a0b0c0d.tmp").is_symlink()
    assert len([*(tmp_path / "www/versions").iterdir()]) == 1 + 4


def test_nothing_is_published_through_a_link(publisher: Publisher, clock: Clock, tmp_path: Path) -> None:
    other = a_folder(tmp_path / "other/20230101", None)
    (tmp_path / "www").mkdir()
    (tmp_path / "www/versions").symlink_to(tmp_path / "other")
    with pytest.raises(LocalProtocolError) as caught:
        publisher.publish(at=clock)
    assert caught.value.code == "publish.foreign"
    assert [*(tmp_path / "other").iterdir()] == [other]


@pytest.mark.parametrize("where", ["link", "authority", "authority/www", "tree/current", "tree/versions/000001/www"])
def test_a_tree_has_a_folder_of_its_own(
    store: Store, publisher: Publisher, clock: Clock, tmp_path: Path, where: str
) -> None:
    (tmp_path / "authority").mkdir()
    (tmp_path / "authority/authority.json").write_bytes(b"{}")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    publisher.publish(at=clock)
    (tmp_path / "www").rename(tmp_path / "tree")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(LocalProtocolError) as caught:
        Publisher(store, tmp_path / where).publish(at=clock)
    assert caught.value.code == "publish.foreign"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("target", ["../elsewhere", "versions", "versions/../../elsewhere"])
def test_a_link_of_others_in_the_place_of_the_document_root_stays(
    publisher: Publisher, clock: Clock, tmp_path: Path, target: str
) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/current").symlink_to(target)
    with pytest.raises(LocalProtocolError) as caught:
        publisher.publish(at=clock)
    assert caught.value.code == "publish.foreign"
    assert str((tmp_path / "www/current").readlink()) == target


@pytest.mark.parametrize("step", range(1, 30))
def test_whenever_it_dies_the_tree_is_the_old_one_or_the_new_one(
    store: Store, publisher: Publisher, clock: Clock, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """The process ends at the n-th call that changes the folder."""

    class Death(BaseException):
        pass

    old = tree(publisher.publish(at=clock))
    add_crl(store, 2, at=later())
    clock.advance(seconds=1)
    calls = 0

    def counted(real: object) -> object:
        def call(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == step:
                raise Death
            return real(*arguments, **options)  # type: ignore[operator]

        return call

    with monkeypatch.context() as patched:
        for owner, name in ((os, "fsync"), (Path, "mkdir"), (Path, "replace"), (Path, "hardlink_to"), (os, "open")):
            patched.setattr(owner, name, counted(getattr(owner, name)))
        patched.setattr(Path, "symlink_to", counted(Path.symlink_to))
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)  # nothing is tidied up
        try:
            publisher.publish(at=clock)
        except Death:
            pass
        else:
            assert calls < step
    now = {name: (publisher.current / name).read_bytes() for name in old}
    assert now.keys() == old.keys()
    if now != old:
        assert Crl.decode(now[CRL_PATH]).number == 2
        assert json.loads(now["index.json"])["files"][0]["number"] == 2
    after = publisher.publish(at=clock)
    assert Crl.decode(tree(after)[CRL_PATH]).number == 2
    assert not [*publisher.current.parent.rglob("*.tmp")]


def test_several_publishers_take_turns(store: Store, tmp_path: Path) -> None:
    """Each with a store of its own, as processes have them, while the CRLs go on."""
    store.close()
    published: list[Publication] = []

    def publish(number: int) -> None:
        with SqliteStore(tmp_path / "authority.db") as own:
            if number % 3 == 0:
                with own.transaction(at=NOW, actor=ROLE) as tx:
                    taken = tx.take_crl_number(ROOT.fingerprint, "iaca")
                    der = AUTHORITY.crl(number=taken, this_update=NOW)
                    until = NOW + timedelta(days=30)
                    tx.add_crl(
                        CrlRecord(issuer=ROOT.fingerprint, number=taken, der=der, this_update=NOW, next_update=until)
                    )
            published.append(Publisher(own, tmp_path / "www").publish(at=lambda: NOW))

    with ThreadPoolExecutor(4) as pool:
        assert len([*pool.map(publish, range(12))]) == 12
    versions = [one.version for one in published if one.changed]
    assert len(set(versions)) == len(versions)
    assert max(versions) == max(one.version for one in published)
    assert Crl.decode((tmp_path / "www/current" / CRL_PATH).read_bytes()).number == 5
    assert not [*(tmp_path / "www").rglob("*.tmp")]


def test_a_folder_that_cannot_be_written_is_told(store: Store, clock: Clock, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SigningError) as caught:
        Publisher(store, tmp_path / "file" / "www").publish(at=clock)
    assert caught.value.code == "publish.unwritable"
    assert "nothing was published" in caught.value.message


def test_nothing_personal_is_published(store: Store, publisher: Publisher, clock: Clock) -> None:
    """Of a credential the tree has one bit, at an index that only the credential names."""
    issued = issue(store, 40, clock)
    for one in issued[::7]:
        revoke(store, one, clock)
    sign(store, clock)
    everything = b"".join(tree(publisher.publish(at=clock)).values())
    for one in issued:
        for secret in (one.reference, one.batch):
            assert secret not in everything
            assert secret.hex().encode() not in everything


def test_the_tree_of_an_authority_without_lists_is_fine(store: Store) -> None:
    with store.reading() as reader:
        collected = collect(reader, at=NOW)
    assert ([one.kind for one in collected.items], collected.unsigned) == (
        [ItemKind.CRL, ItemKind.ROOT, ItemKind.ROOT, ItemKind.SUBMISSION],
        [],
    )


def test_a_vical_stays_until_there_is_a_newer_one(store: Store, publisher: Publisher, clock: Clock) -> None:
    def item(number: int) -> Item:
        return Item(
            path="vical.cbor",
            kind=ItemKind.VICAL,
            content=bytes((number,)),
            media_type="application/cbor",
            number=number,
        )

    with pytest.raises(DecodeError):
        verified(store, b"\x02")
    publisher.publish(at=clock, vical=item(2))
    assert publisher.publish(at=clock, vical=item(3)).changed == ("vical.cbor",)
    with pytest.raises(LocalProtocolError) as caught:
        publisher.publish(at=clock, vical=item(2))
    assert caught.value.code == "publish.rollback"
    assert (publisher.current / "vical.cbor").read_bytes() == b"\x03"


def verified(store: Store, data: bytes, *roots: Certificate, at: datetime = NOW) -> Item:
    with store.reading() as reader:
        return vical_item(data, reader=reader, at=at, provider_roots=roots)


def refused(store: Store, code: str, data: bytes, *roots: Certificate, at: datetime = NOW) -> None:
    with pytest.raises(MdlError) as caught:
        verified(store, data, *(roots or (provider().root,)), at=at)
    assert caught.value.code == code


def adopt(store: Store, certificate: Certificate, role: Role, issuer: Certificate) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.adopt_serial(certificate.serial)
        tx.add_certificate(certificate, role, issuer=issuer.fingerprint, key=None)


def adopt_provider(store: Store) -> None:
    """Make the root of the provider one of the authority's own, and its signer too."""
    adopt(store, provider().root, Role.VICAL_CA, provider().root)
    adopt(store, Certificate(provider().direct_recipe.build()), Role.VICAL_SIGNER, provider().root)


def test_a_list_of_a_pinned_provider_is_published_at_its_address(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    data = forge(vicalURL="https://vical.example/v/current.cbor")
    published = publisher.publish(at=clock, vical=verified(store, data, provider().root))
    assert tree(published)["v/current.cbor"] == data
    assert verified(store, forge(), provider().root).path == "vical.cbor"


def test_a_list_of_the_authority_s_own_provider_needs_no_pin(store: Store) -> None:
    chain = [provider().direct_recipe.build()]
    refused(store, "publish.vical_path", forge(signing={"x5chain": chain}), Provider("Another").root)
    adopt_provider(store)
    assert verified(store, forge(signing={"x5chain": chain})).number == 7


def test_a_list_under_no_root_that_somebody_chose_is_not_published(store: Store) -> None:
    with pytest.raises(VerificationError) as caught:
        verified(store, forge())
    assert caught.value.code == "publish.vical_path"
    assert "--provider-root" in caught.value.message


@pytest.mark.parametrize("place", range(1, 20))
def test_a_list_with_one_changed_byte_is_not_published(store: Store, place: int) -> None:
    data = bytearray(forge())
    data[-(place**2)] ^= 1
    with pytest.raises(MdlError):
        verified(store, bytes(data), provider().root)


def test_a_list_with_another_s_signature_is_not_published(store: Store) -> None:
    data = forge()
    refused(store, "publish.vical_signature", data[:-1] + bytes((data[-1] ^ 1,)))
    refused(store, "publish.vical_signature", forge(signing={"key": Provider("Another").signer_key}))
    refused(store, "publish.vical_signature", forge(signing={"algorithm": -35}))


def test_a_list_of_another_provider_is_not_published(store: Store) -> None:
    other = Provider("Another")
    refused(store, "publish.vical_path", forge(signing={"key": other.signer_key, "x5chain": [*other.chain]}))
    # The chain that travels with the list gives no root.
    chain = [*other.chain, other.root.der]
    refused(store, "publish.vical_path", forge(signing={"key": other.signer_key, "x5chain": chain}))
    # A CA in the middle has certified another CA, which it must not: its path length is 0.
    short = provider().signer_recipe.with_changes(signer=other.ca_key).build()
    refused(store, "publish.vical_path", forge(signing={"x5chain": [short, provider().ca.der]}))


def test_a_root_that_is_no_ca_or_not_valid_has_issued_nothing(store: Store) -> None:
    recipe = provider().root_recipe
    no_ca = Certificate(recipe.with_changes(extensions={"bc": None}).build())
    no_signer = Certificate(recipe.with_changes(extensions={"ku": (key_usage("crl_sign"), True)}).build())
    expired = Certificate(recipe.with_changes(not_after=NOW - DAY).build())
    narrow = Certificate(
        recipe.with_changes(extensions={"bc": (x509.BasicConstraints(ca=True, path_length=0), True)}).build()
    )
    for root in (no_ca, no_signer, expired, narrow):
        refused(store, "publish.vical_path", forge(), root)


def test_a_list_signed_with_another_kind_of_certificate_is_not_published(store: Store) -> None:
    recipe = provider().signer_recipe
    chain = [recipe.with_changes(extensions={"eku": None}).build(), provider().ca.der]
    refused(store, "publish.vical_signer", forge(signing={"x5chain": chain}))
    chain = [recipe.with_changes(not_after=NOW - timedelta(seconds=1)).build(), provider().ca.der]
    refused(store, "publish.vical_signer", forge(signing={"x5chain": chain}))
    chain = [recipe.with_changes(not_before=NOW - timedelta(hours=1)).build(), provider().ca.der]
    refused(store, "publish.vical_signer", forge(signing={"x5chain": chain}))


def test_a_list_of_a_revoked_signer_is_not_published(store: Store, clock: Clock) -> None:
    adopt_provider(store)
    signer = Certificate(provider().direct_recipe.build())
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.revoke_certificate(signer.fingerprint, reason=1)
    refused(store, "publish.vical_signer", forge(signing={"x5chain": [signer.der]}))


def test_a_list_of_a_revoked_provider_is_not_published(store: Store, clock: Clock) -> None:
    adopt_provider(store)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.revoke_certificate(provider().root.fingerprint, reason=1)
    signing = {"x5chain": [provider().direct_recipe.build()]}
    refused(store, "publish.vical_path", forge(signing=signing), Provider("Another").root)
    refused(store, "publish.vical_path", forge(signing=signing))


@pytest.mark.parametrize(
    "changes",
    [
        {"vicalIssueID": None},
        {"nextUpdate": None},
        {"version": "2.0"},
        {"signing": {"tagged": True}},
    ],
)
def test_a_list_that_is_not_as_the_standard_has_it_is_not_published(store: Store, changes: dict[str, Any]) -> None:
    refused(store, "publish.vical_form", forge(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"ski": bytes(20)},
        {"notAfter": TDate.of(NOW)},
        {"issuingCountry": "NL"},
        {"serialNumber": 1},
        {"certificate": b"none"},
        {"docType": None},
        {"certificate": provider().signer.der},
    ],
)
def test_a_list_with_an_entry_that_is_not_its_certificate_s_is_not_published(
    store: Store, changes: dict[str, Any]
) -> None:
    root = authority().iaca_certificate
    good = info(root, docType=[PHOTO_ID])
    refused(store, "publish.vical_form", forge(good, info(authority("Oregon", "US-OR").iaca_certificate, **changes)))


def test_a_list_that_names_what_is_no_root_is_not_published(store: Store) -> None:
    house = authority()
    for certificate in (house.ds_certificate, provider().ca):
        refused(store, "publish.vical_form", forge(info(house.iaca_certificate), info(certificate)))


def test_a_list_whose_successor_comes_too_late_is_not_published(store: Store) -> None:
    """Readers would go on with it for years, whatever happens to a root in it."""
    issued = NOW - timedelta(hours=1)
    for over, is_published in ((timedelta(0), True), (timedelta(seconds=1), False), (3650 * DAY, False)):
        data = forge(date=TDate.of(issued), nextUpdate=TDate.of(issued + timedelta(days=90) + over))
        if is_published:
            assert verified(store, data, provider().root).until == issued + timedelta(days=90)
        else:
            refused(store, "publish.vical_form", data)


def test_a_list_that_names_a_root_twice_is_not_published(store: Store) -> None:
    utah, oregon = authority().iaca_certificate, authority("Oregon", "US-OR").iaca_certificate
    assert verified(store, forge(info(utah), info(oregon)), provider().root).path == "vical.cbor"
    refused(store, "publish.vical_form", forge(info(utah), info(oregon), info(utah, docType=[PHOTO_ID])))


def test_a_list_that_names_a_revoked_root_is_not_published(store: Store, clock: Clock) -> None:
    utah, oregon = authority().iaca_certificate, authority("Oregon", "US-OR").iaca_certificate
    adopt(store, utah, Role.IACA, utah)
    data = forge(info(oregon), info(utah))
    assert verified(store, data, provider().root).path == "vical.cbor"
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.revoke_certificate(utah.fingerprint, reason=1)
    refused(store, "publish.vical_form", data)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"date": TDate.of(NOW + timedelta(minutes=4))}, "publish.vical_date"),
        ({"nextUpdate": TDate.of(NOW)}, "publish.vical_stale"),
        ({"notAfter": TDate.of(NOW)}, "publish.vical_stale"),
    ],
)
def test_a_list_from_the_future_or_the_past_is_not_published(store: Store, changes: dict[str, Any], code: str) -> None:
    refused(store, code, forge(**changes))


def test_an_older_list_takes_no_newer_one_away_wherever_it_would_lie(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    nine = forge(vicalIssueID=9)
    publisher.publish(at=clock, vical=verified(store, nine, provider().root))
    url: dict[str, Any] = {"vicalURL": "https://vical.example/v/current.cbor"}
    for older in (forge(vicalIssueID=3, **url), forge(vicalIssueID=9, date=TDate.of(NOW - 2 * DAY), **url)):
        with pytest.raises(LocalProtocolError) as caught:
            publisher.publish(at=clock, vical=verified(store, older, provider().root))
        assert caught.value.code == "publish.rollback"
    assert (publisher.current / "vical.cbor").read_bytes() == nine
    ten = forge(vicalIssueID=10, **url)
    published = publisher.publish(at=clock, vical=verified(store, ten, provider().root))
    assert published.removed == ("vical.cbor",)
    assert tree(published)["v/current.cbor"] == ten


def test_the_published_lists_of_roots_are_told_and_a_lost_one_is_too(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    assert publisher.vicals() == {}
    url = "https://vical.example/v/current.cbor"
    item = verified(store, forge(vicalURL=url), provider().root)
    publisher.publish(at=clock, vical=item)
    assert publisher.vicals() == {url: item}
    (publisher.current / item.path).write_bytes(b"something else")
    assert publisher.vicals() == {url: None}
    (publisher.current / item.path).unlink()
    assert publisher.vicals() == {url: None}


def test_a_root_without_a_crl_is_told_with_the_addresses_at_which_readers_look(
    store: Store, publisher: Publisher, clock: Clock
) -> None:
    adopt_provider(store)
    assert publisher.publish(at=clock).unsigned == ("http://provider.example/vical.crl",)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.revoke_certificate(provider().root.fingerprint, reason=5)
    assert publisher.publish(at=clock).unsigned == (), "nobody looks for the CRL of a root that is out of service"


def test_the_plan_of_the_tests_is_served(store: Store, clock: Clock) -> None:
    assert path_of(PLAN.uri.format(list="0a")) == "status/0a"

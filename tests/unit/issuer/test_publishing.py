"""The published tree: whole or not at all, never older than before, and nothing in it that a root has not signed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from issuer.audit import AuditRecord, Event, verify_log
from issuer.publishing import Item, ItemKind, Publication, Publisher, collect, path_of, vical_item
from issuer.store import CrlRecord, SqliteStore, StatusPlan, Store
from mdl.errors import DecodeError, LocalProtocolError, MdlError, SigningError
from mdl.pki import Certificate, Crl
from mdl.status import StatusToken
from mdl.testing import ThrowawayAuthority
from tests.listed import AUTHORITY, PLAN, ROOT, Clock, add_crl, fill, issue, revoke, sign
from tests.stores import NOW, ROLE, later

CRL_PATH = "iaca.crl"


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
    with pytest.raises(MdlError) as caught:
        publisher.publish(at=clock)
    assert caught.value.code == "signature.invalid"
    assert {name: (publisher.current / name).read_bytes() for name in before} == before


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
    with pytest.raises(MdlError) as caught:
        publisher.publish(at=clock)
    assert caught.value.code == "status.sub"
    assert not publisher.current.exists()


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
    issue(store, 1, clock, StatusPlan(uri=uri, size=64))
    sign(store, clock)
    with store.reading() as reader, pytest.raises(LocalProtocolError) as caught:
        collect(reader, at=NOW)
    assert caught.value.code == code


def test_what_an_interrupted_publication_left_is_taken_away(publisher: Publisher, clock: Clock, tmp_path: Path) -> None:
    rubbish = tmp_path / "www/versions/.000001.0a0b.tmp"
    rubbish.mkdir(parents=True)
    (rubbish / "iaca.crl").write_bytes(b"half")
    published = publisher.publish(at=clock)
    assert not rubbish.exists()
    assert published.version == 1


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
        items, unsigned = collect(reader, at=NOW)
    assert ([one.kind for one in items], unsigned) == (
        [ItemKind.CRL, ItemKind.ROOT, ItemKind.ROOT, ItemKind.SUBMISSION],
        [],
    )


def test_a_vical_stays_until_there_is_a_newer_one(publisher: Publisher, clock: Clock) -> None:
    def item(number: int) -> Item:
        return Item(
            path="vical.cbor",
            kind=ItemKind.VICAL,
            content=bytes((number,)),
            media_type="application/cbor",
            number=number,
        )

    with pytest.raises(DecodeError):
        vical_item(b"\x02")
    publisher.publish(at=clock, vical=item(2))
    assert publisher.publish(at=clock, vical=item(3)).changed == ("vical.cbor",)
    with pytest.raises(LocalProtocolError) as caught:
        publisher.publish(at=clock, vical=item(2))
    assert caught.value.code == "publish.rollback"
    assert (publisher.current / "vical.cbor").read_bytes() == b"\x03"


def test_the_plan_of_the_tests_is_served(store: Store, clock: Clock) -> None:
    assert path_of(PLAN.uri.format(list="0a")) == "status/0a"

"""Locks that only the owner can take, and reading that takes none."""

import fcntl
import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import issuer.folder
from issuer.folder import LOCK_FILE, lock, remove_lock
from issuer.publishing import Publisher
from issuer.store import SqliteStore, schema, sqlite
from mdl.errors import DecodeError, MdlError, SigningError
from tests.listed import Clock, add_crl, fill
from tests.stores import NOW, ROLE

OTHER = 12345


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer.folder, "_PATIENCE", 0.1)


def refused(folder: Path, code: str, *, exclusive: bool = True) -> str:
    with pytest.raises(MdlError) as caught, lock(folder, exclusive=exclusive):
        pass
    assert caught.value.code == code
    return caught.value.message


@contextmanager
def as_another_user() -> Iterator[None]:
    """Only root can become somebody else, and only in a process of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.seteuid(OTHER)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_is_locked_is_a_file_that_only_the_owner_opens(tmp_path: Path) -> None:
    with lock(tmp_path, exclusive=True):
        file = tmp_path / LOCK_FILE
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        descriptor = os.open(tmp_path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the folder itself is nobody's lock
        os.close(descriptor)
    assert file.read_bytes() == b""


def test_the_mode_is_right_whatever_the_mask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        with lock(tmp_path, exclusive=True):
            assert stat.S_IMODE((tmp_path / LOCK_FILE).stat().st_mode) == 0o600
    finally:
        os.umask(mask)
    (tmp_path / LOCK_FILE).chmod(0o666)
    with lock(tmp_path, exclusive=False):
        assert stat.S_IMODE((tmp_path / LOCK_FILE).stat().st_mode) == 0o600


def test_another_user_can_neither_take_the_lock_nor_keep_the_owner_from_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with lock(tmp_path, exclusive=True):
        pass
    with as_another_user(), pytest.raises(PermissionError):
        os.open(tmp_path / LOCK_FILE, os.O_RDONLY)
    descriptor = os.open(tmp_path, os.O_RDONLY)  # what a user can do who may list the folder
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with lock(tmp_path, exclusive=True):
        pass
    os.close(descriptor)


def test_a_lock_that_somebody_else_has_put_there_is_none(tmp_path: Path) -> None:
    file = tmp_path / LOCK_FILE
    file.touch()
    if os.geteuid() == 0:
        os.chown(file, OTHER, -1)
        assert "owner" in refused(tmp_path, "authority.lock")
        file.unlink()
    file.unlink(missing_ok=True)
    (tmp_path / "elsewhere").touch(mode=0o644)
    file.symlink_to("elsewhere")
    assert "symbolic link" in refused(tmp_path, "authority.lock")
    assert stat.S_IMODE((tmp_path / "elsewhere").stat().st_mode) == 0o644
    file.unlink()
    os.mkfifo(file)
    refused(tmp_path, "authority.lock")
    file.unlink()
    file.mkdir()
    refused(tmp_path, "authority.lock")
    refused(tmp_path / "missing", "authority.missing")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_root_locks_nobody_out_of_a_folder_that_is_theirs(tmp_path: Path) -> None:
    os.chown(tmp_path, OTHER, -1)
    with lock(tmp_path, exclusive=True):
        assert (tmp_path / LOCK_FILE).stat().st_uid == OTHER
    with lock(tmp_path, exclusive=True):
        assert (tmp_path / LOCK_FILE).stat().st_uid == OTHER


def test_one_has_the_lock_or_several_who_change_nothing(tmp_path: Path) -> None:
    with lock(tmp_path, exclusive=True):
        refused(tmp_path, "authority.busy")
        refused(tmp_path, "authority.busy", exclusive=False)
        with lock(tmp_path, exclusive=True, name="another"):
            pass
    with lock(tmp_path, exclusive=False), lock(tmp_path, exclusive=False):
        refused(tmp_path, "authority.busy")
    with lock(tmp_path, exclusive=True):
        pass
    before = len([*Path("/proc/self/fd").iterdir()]) if sys.platform == "linux" else 0
    with lock(tmp_path, exclusive=True):
        refused(tmp_path, "authority.busy")
    assert before == (len([*Path("/proc/self/fd").iterdir()]) if sys.platform == "linux" else 0)


def test_a_lock_whose_file_was_taken_away_is_taken_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would have one otherwise: who waited for the old file, and who came later."""
    monkeypatch.setattr(issuer.folder, "_PATIENCE", 10.0)
    held, done = threading.Event(), threading.Event()

    def wait() -> None:
        held.wait()
        with lock(tmp_path, exclusive=True):
            done.set()
            time.sleep(0.3)

    waiting = threading.Thread(target=wait)
    waiting.start()
    with lock(tmp_path, exclusive=True):
        held.set()
        time.sleep(0.1)
        remove_lock(tmp_path)
    assert done.wait(5)
    monkeypatch.setattr(issuer.folder, "_PATIENCE", 0.1)
    refused(tmp_path, "authority.busy")
    waiting.join()


def test_a_tree_that_is_published_is_locked_by_its_owner_alone(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "authority.db", create=True) as store:
        fill(store)
        (tmp_path / "www").mkdir()
        descriptor = os.open(tmp_path / "www", os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        Publisher(store, tmp_path / "www").publish(at=Clock())
        os.close(descriptor)
        assert stat.S_IMODE((tmp_path / "www" / LOCK_FILE).stat().st_mode) == 0o600
        with lock(tmp_path / "www", exclusive=True), pytest.raises(SigningError) as caught:
            Publisher(store, tmp_path / "www").publish(at=Clock())
    assert caught.value.code == "authority.busy"


# --- a store that can only be read ------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where copies would be made."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.fixture
def file(tmp_path: Path, place: Path) -> Path:
    """A store, closed: there is no log beside it."""
    del place
    (tmp_path / "folder").mkdir()
    with SqliteStore(tmp_path / "folder/authority.db", create=True) as store:
        fill(store)
    assert [one.name for one in (tmp_path / "folder").iterdir()] == ["authority.db"]
    return tmp_path / "folder/authority.db"


@pytest.fixture
def read_only(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere: the question is answered for it."""
    assert file.exists()
    monkeypatch.setattr("issuer.store.sqlite.os.access", lambda *_question: False)


def number_of(store: SqliteStore) -> int:
    with store.reading() as reader:
        (root,) = [one for one in reader.certificates() if one.role.value == "iaca"]
        last = reader.last_crl(root.certificate.fingerprint)
        assert last is not None
        return last.number


def written(store: SqliteStore) -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.take_serial("ds-1")


@pytest.mark.usefixtures("read_only")
def test_a_store_that_can_only_be_read_is_read_where_it_is(
    file: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {one.name: one.read_bytes() for one in file.parent.iterdir()}
    monkeypatch.setattr("issuer.store.sqlite.shutil.copyfile", None)
    with SqliteStore(file) as store:
        assert number_of(store) == 1
        with pytest.raises(SigningError) as caught:
            written(store)
        assert caught.value.code == "authority.unwritable"
        with pytest.raises(SigningError):
            store.check_writable()
    assert {one.name: one.read_bytes() for one in file.parent.iterdir()} == before
    assert [*place.iterdir()] == []


@pytest.mark.parametrize("shared", [True, False], ids=["open elsewhere", "left by a crash"])
def test_what_is_only_in_the_log_is_read_too(
    file: Path, place: Path, monkeypatch: pytest.MonkeyPatch, *, shared: bool
) -> None:
    """With the file that is shared between processes, or by a copy that is gone as soon as it is open."""
    with SqliteStore(file) as writer:
        add_crl(writer, 2)
        target = file
        if not shared:
            target = file.parent.parent / "left" / file.name
            target.parent.mkdir()
            for end in ("", "-wal"):
                target.with_name(target.name + end).write_bytes(file.with_name(file.name + end).read_bytes())
        with monkeypatch.context() as patched:
            patched.setattr("issuer.store.sqlite.os.access", lambda *_question: False)
            if not shared and os.geteuid() == 0:
                # Root could make the file that is shared, and nobody else could.
                real = sqlite3.connect

                def connect(name: str | Path, **options: object) -> object:
                    if "mode=ro" in str(name):
                        error = sqlite3.OperationalError("unable to open database file")
                        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
                        raise error
                    return real(name, **options)  # type: ignore[call-overload]

                patched.setattr("sqlite3.connect", connect)
            with SqliteStore(target) as store:
                assert number_of(store) == 2
                assert [*place.iterdir()] == [], "nothing is left, whatever comes next"
                with pytest.raises(SigningError):
                    written(store)
                assert number_of(store) == 2


@pytest.mark.usefixtures("read_only")
def test_what_was_changed_while_it_was_read_is_not_believed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SqliteStore(file) as store:
        with pytest.raises(SigningError) as caught, store.reading(), monkeypatch.context() as patched:
            patched.setattr("issuer.store.sqlite.os.access", lambda *_question: True)
            with SqliteStore(file) as writer:
                add_crl(writer, 2)
        assert (caught.value.code, caught.value.retryable) == ("store.busy", True)
        assert number_of(store) == 2, "the next reading takes it as it is by then"


@pytest.mark.usefixtures("read_only")
def test_a_store_is_copied_within_bounds(file: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("issuer.store.schema.VERSION", schema.VERSION + 1)  # then this one is of an older form
    monkeypatch.setattr("issuer.store.schema._STEPS", (*schema._STEPS, ()))
    size = file.stat().st_size
    monkeypatch.setattr(sqlite, "_MAX_COPY", size)
    with SqliteStore(file) as store:
        assert number_of(store) == 1
    monkeypatch.setattr(sqlite, "_MAX_COPY", size - 1)
    with pytest.raises(SigningError) as caught:
        SqliteStore(file)
    assert caught.value.code == "store.too_large"
    assert [*place.iterdir()] == []


@pytest.mark.usefixtures("read_only")
@pytest.mark.parametrize("content", [b"", b"no store", b"SQLite format 3\0" + bytes(84)])
def test_what_is_no_store_is_none_where_it_can_only_be_read(file: Path, place: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(DecodeError) as caught:
        SqliteStore(file)
    assert caught.value.code in {"store.not_a_store", "store.damaged"}
    assert [*place.iterdir()] == []

"""A store from a backup, by the command and under kill -9: nothing that was revoked comes back, no verb is stuck."""

import json
import os
import shutil
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import verify_log
from issuer.comparing import compare_log
from issuer.store import SqliteStore, copies, postgres, sqlite
from mdl.errors import DecodeError, MdlError
from tests.authorities import clone, licence, mdl, public_key_file
from tests.flows.crashing import CRASHED
from tests.listed import NAMES
from tests.recovery import SIGNER, World
from tests.stores import KINDS, addresses

pytestmark = pytest.mark.slow
LISTS = "https://mdl.example/status/{list}"


# --- by the command ---------------------------------------------------------------------------------------------------


def test_a_copy_that_was_put_back_by_hand_signs_nothing_until_it_is_restored(pristine: Path, tmp_path: Path) -> None:
    folder, tree, copy = clone(pristine, tmp_path / "authority"), tmp_path / "www", tmp_path / "copy.db"

    def issuer(*words: str | Path, status: int = 0) -> Any:
        # A process each: the PKCS#11 module of this one may hold the state of another test's token.
        ended = mdl("issuer", *words, "--dir", folder, "--json")
        assert ended.status == status, (words, ended.err)
        return json.loads(ended.out)

    issuer("certify", "--role", "revocation-list")
    words = ("issue", licence(tmp_path), "--device-key", public_key_file(tmp_path), "--out", tmp_path / "licence.cbor")
    reference = issuer(*words, "--status-url", LISTS)["reference"]
    issuer("publish", tree)
    issuer("backup", "--out", copy)
    issuer("revoke", "--credential", reference)
    serial = issuer("audit", "report")[1]["serial"]
    issuer("revoke", "--certificate", serial)
    before = {file: file.read_bytes() for file in (tree / "current").rglob("*") if file.is_file()}

    for end in ("", "-wal", "-shm"):
        (folder / f"authority.db{end}").unlink(missing_ok=True)
    shutil.copy(copy, folder / "authority.db")
    for verb in (("publish",), ("publish", "--all-lists"), ("crl",), ("ds",), ("rekey",), words):
        code = issuer(*verb, status=5)["error"]["code"]
        assert code == ("publish.rollback" if verb[0] == "publish" else "store.behind")
        assert {file: file.read_bytes() for file in before} == before
    restored = issuer("restore")
    assert (restored["certificates"], restored["credentials"], restored["unread"]) == (1, 1, [])
    issuer("publish")
    assert issuer("watch", "--folder")["findings"] == 0
    assert issuer("crl")["number"] > 1000
    assert issuer("lists")[0]["revoked"] == 1
    assert issuer("audit", "verify")["whole"]


# --- under kill -9 ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[Callable[[str, Path], str]]:
    with addresses() as address:
        yield address


def dies_at(step: int, work: Callable[[], object]) -> bool:
    """Do something in a process of its own that dies just before its n-th change; whether it got that far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking where a test has left a thread
        child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, CRASHED), status
        return status == CRASHED
    left = step
    try:

        def counted(real: Callable[..., Any], *, only: str | None = None) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                if only is None or only in arguments:
                    left -= 1
                    if left == 0:
                        os._exit(CRASHED)  # nothing is tidied up
                return real(*arguments, **options)

            return call

        for module in (sqlite, postgres):
            module._Statements.run = counted(module._Statements.run, only="COMMIT")
        for name in ("replace", "link", "mkdir", "unlink"):  # what `Path` does of these it does with these
            setattr(os, name, counted(getattr(os, name)))
        for name in ("_finish", "_make_private"):
            setattr(copies, name, counted(getattr(copies, name)))
        work()
    except BaseException:  # noqa: BLE001 - told by the exit status
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def whole(world: World) -> None:
    with world.store() as store, store.reading() as reader:
        assert verify_log(reader.audit_records(), log_id=reader.log_id, head=reader.audit_head()) == []
        assert compare_log(reader.audit_records(), reader.holdings()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("put_back", [False, True])
def test_a_restore_that_dies_at_any_step_takes_nothing_back(
    address: Callable[[str, Path], str], tmp_path: Path, kind: str, *, put_back: bool
) -> None:
    world = World(address(kind, tmp_path), tmp_path)
    kept, *_ = world.issue(2)
    world.issue(2, NAMES)
    world.publish()
    copy = world.keep()
    lost, *_ = world.issue(2, NAMES)
    world.revoke(kept, lost)
    world.revoke_signer()
    world.publish()
    numbers = [0]
    for step in count(1):
        world.lose(copy)
        if put_back:
            damage(world)
        shown = world.shown()
        died = dies_at(step, lambda: world.restore(copy if put_back else None))
        # Whatever it left: it signs nothing, or nothing less than before.
        with suppress(MdlError):
            world.publish()
        assert_no_less(world, shown)
        # And the restore can be done again, and everything goes on.
        with suppress(MdlError):
            world.restore()
        if is_damaged(world):
            world.restore(copy)
        world.restore()
        world.publish()
        assert_no_less(world, shown)
        whole(world)
        with world.store() as store, store.reading() as reader:
            numbers.append(reader.taken_crl_number(reader.certificate(SIGNER.fingerprint).issuer))
        assert not [*world.folder.glob(".*.tmp")] or died
        if not died:
            break
    assert step > (3 if put_back else 1)
    assert numbers == sorted(set(numbers)), "a number was used again"


def assert_no_less(world: World, shown: dict[str, set[int | bytes]]) -> None:
    after = world.shown()
    assert all(places <= after.get(name, set()) for name, places in shown.items())


def damage(world: World) -> None:
    if world.is_file:
        Path(world.place).write_bytes(b"torn")
        return
    with world.store() as store, store.replacing() as sql:
        sql.run("DELETE FROM store")


def is_damaged(world: World) -> bool:
    try:
        with world.store() as store, store.reading():
            return False
    except DecodeError:
        return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_that_dies_at_any_step_leaves_the_one_before(
    address: Callable[[str, Path], str], tmp_path: Path, kind: str
) -> None:
    world = World(address(kind, tmp_path), tmp_path)
    copy = world.keep()
    before = copy.read_bytes()
    world.issue(3)
    for step in count(1):
        died = dies_at(step, world.keep)
        if died and copy.read_bytes() == before:
            continue
        with SqliteStore(copy) as store, store.reading() as reader:
            assert len([*reader.credentials()]) == 3
        whole(world)
        if not died:
            break
    assert step > 3

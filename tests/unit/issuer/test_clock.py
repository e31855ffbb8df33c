"""The clock: one host ahead, one behind, a jump of two years and back; an authority that was idle has no wrong one."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from issuer.audit import AuditRecord, Event, verify_log
from issuer.clock import BootMark, SystemClock, boot_mark
from issuer.revocation import due_crls
from issuer.store import Store
from mdl.cli import main
from mdl.errors import LocalProtocolError
from tests.listed import AUTHORITY, add_crl
from tests.stores import KINDS, ROLE, addresses, found, open_store

Address = Callable[[str, Path], str]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
YEAR = timedelta(days=365)


class Host:
    """A machine: its clock shows real time and something more; its boot clock runs with real time."""

    def __init__(self, world: "Machines", off: timedelta = timedelta()) -> None:
        self.world = world
        self.off = off
        self.boot = "boot-1"
        self.started = world.now - 10 * DAY

    def clock(self, *, is_right: bool = False, was_wrong: bool = False) -> SystemClock:
        return SystemClock(
            is_right=is_right,
            was_wrong=was_wrong,
            read=lambda: self.world.now + self.off,
            machine=lambda: BootMark(self.boot, int((self.world.now - self.started).total_seconds())),
        )

    def works(self, **said: bool) -> None:
        with self.world.store.transaction(at=self.clock(**said), actor=ROLE) as tx:
            tx.refuse("test", "test.event")

    def refused(self, code: str, **said: bool) -> None:
        before = self.world.head()
        with pytest.raises(LocalProtocolError) as caught:
            self.works(**said)
        assert caught.value.code == code
        with pytest.raises(LocalProtocolError):
            self.world.store.check_clock(self.clock(**said))
        assert self.world.head() == before


class Machines:
    """Several hosts with one store."""

    def __init__(self, store: Store, kind: str) -> None:
        self.store = store
        # PostgreSQL has a clock of its own, which nothing here moves.
        self.now = datetime.now(UTC).replace(microsecond=0)
        self.kind = kind
        found(store, AUTHORITY, at=self.now - HOUR)

    def head(self) -> object:
        with self.store.reading() as reader:
            return reader.audit_head()

    def events(self) -> list[AuditRecord]:
        with self.store.reading() as reader:
            records = [*reader.audit_records()]
            assert verify_log(records, log_id=reader.log_id, head=reader.audit_head()) == []
        return [AuditRecord.decode(one.record) for one in records]


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with addresses() as address:
        yield address


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, address: Address, tmp_path: Path) -> Iterator[Machines]:
    with open_store(address(request.param, tmp_path), create=True) as store:
        yield Machines(store, request.param)


def test_one_ahead_one_behind_a_jump_and_back(world: Machines) -> None:
    right = Host(world)
    right.works()
    ahead, behind = Host(world, 2 * YEAR), Host(world, -10 * timedelta(minutes=1))
    ahead.refused("authority.clock_doubted")
    with world.store.refusing(at=ahead.clock(), actor=ROLE) as tx:  # what a command that was refused does
        tx.refuse("revoke", "authority.clock_doubted")
    right.works()
    behind.refused("authority.clock")
    with world.store.refusing(at=behind.clock(), actor=ROLE) as tx:
        tx.refuse("revoke", "authority.clock")
    # Several hosts differ by a minute; those that are set work at once.
    behind.off = -timedelta(seconds=55)
    behind.works()
    ahead.off = timedelta(seconds=55)
    ahead.works()
    right.works()
    # Somebody says that the wrong clock is right; then the others are behind, until somebody says that it was not.
    ahead.off = 2 * YEAR
    ahead.works(is_right=True)
    ahead.works(is_right=world.kind == "postgres")  # where the server still says otherwise
    right.refused("authority.clock")
    right.works(was_wrong=True)
    right.works()
    ahead.refused("authority.clock_doubted")
    told = [one.event for one in world.events()]
    assert told.count(Event.CLOCK_CONFIRMED) == 1 + (world.kind == "postgres")
    assert told.count(Event.CLOCK_CORRECTED) == 1


def test_a_clock_within_the_hour_is_not_doubted_and_one_beyond_is(world: Machines) -> None:
    Host(world).works()
    Host(world, HOUR + timedelta(minutes=2)).refused("authority.clock_doubted")
    Host(world, HOUR - timedelta(minutes=2)).works()


def test_a_time_that_a_caller_gives_is_its_own_affair(world: Machines) -> None:
    for at in (world.now + 2 * YEAR, lambda: world.now + 3 * YEAR):
        with world.store.transaction(at=at, actor=ROLE) as tx:
            tx.refuse("test", "test.event")


def test_going_back_takes_a_clock_that_is_right(world: Machines) -> None:
    """Only the server can tell; the boot clock knows no more than the events that were wrong."""
    Host(world).works()
    Host(world, 2 * YEAR).works(is_right=True)
    if world.kind == "postgres":
        Host(world, -YEAR).refused("authority.clock_doubted", was_wrong=True)
        Host(world, YEAR).refused("authority.clock_doubted", was_wrong=True)
    Host(world).works(was_wrong=True)
    Host(world).works()


# --- without a server -------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Machines]:
    with open_store(str(tmp_path / "store.db"), create=True) as store:
        yield Machines(store, "sqlite")


@pytest.mark.parametrize("idle", [DAY, 31 * DAY, 3 * YEAR])
def test_an_authority_that_was_idle_has_no_wrong_clock(alone: Machines, idle: timedelta) -> None:
    host = Host(alone)
    host.works()
    alone.now += idle
    host.works()


@pytest.mark.parametrize("how", ["restarted", "another machine", "an uptime below", "no boot clock"])
def test_after_a_restart_what_was_signed_says_how_long(alone: Machines, how: str) -> None:
    host = Host(alone)
    host.works()
    alone.now += 44 * DAY
    if how == "an uptime below":
        host.started = alone.now
    else:
        host.boot = "boot-2"
    if how == "no boot clock":
        real = host.clock

        def clock(**said: bool) -> SystemClock:
            made = real(**said)
            made._machine = lambda: None
            return made

        host.clock = clock  # type: ignore[method-assign]
    host.works()
    last = alone.now
    host.boot, host.started = "boot-3", alone.now + 200 * DAY
    alone.now = last + 46 * DAY
    host.refused("authority.clock_doubted")
    alone.now = last
    add_crl(alone.store, 1, at=last)  # good for 30 days
    alone.now = last + 46 * DAY
    host.refused("authority.clock_doubted")
    with alone.store.transaction(at=last, actor=ROLE) as tx:
        tx._sql.run("UPDATE crls SET next_update = ?", (int((last + 90 * DAY).timestamp()),))
    alone.now = last + 89 * DAY
    host.works()


def test_what_was_signed_with_a_clock_ahead_is_signed_again(alone: Machines) -> None:
    add_crl(alone.store, 1, at=alone.now + YEAR)
    with alone.store.reading() as reader:
        assert [one.role.value for one in due_crls(reader, at=alone.now)] == ["iaca"]


def test_the_boot_clock_is_the_kernels() -> None:
    mark = boot_mark()
    if mark is not None:
        assert mark.boot
        assert mark.uptime > 0


# --- by the command ---------------------------------------------------------------------------------------------------


@pytest.mark.hsm
def test_a_command_with_the_clock_ahead_writes_nothing_and_says_what_to_do(
    authority: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["issuer", *words, "--dir", str(authority)])
        return status, capsys.readouterr().err

    assert run("crl")[0] == 0
    keys = sorted(one.name for one in authority.glob("*.pem"))
    off = 2 * YEAR
    monkeypatch.setattr("issuer.cli.clock.now._read", lambda: datetime.now(UTC).replace(microsecond=0) + off)
    verbs = (("crl",), ("ds",), ("rekey",), ("certify", "--role", "revocation-list"), ("audit", "checkpoint"))
    for verb in (*verbs, ("revoke", "--certificate", "1"), ("csr",)):
        status, err = run(*verb)
        assert status == 5, (verb, err)
        assert "authority.clock_doubted" in err
        assert "--clock-is-right" in err
    assert sorted(one.name for one in authority.glob("*.pem")) == keys
    off = timedelta()
    assert run("crl")[0] == 0
    off = 2 * YEAR
    assert run("crl", "--clock-is-right")[0] == 0
    off = timedelta()
    status, err = run("crl")
    assert (status, "--clock-was-wrong" in err) == (5, True)
    assert run("crl", "--clock-was-wrong")[0] == 0
    assert run("crl")[0] == 0
    assert run("audit", "verify")[0] == 0

"""``examine_health``: each broken state has a code of its own, and a whole authority has none."""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer import hsm
from issuer.clock import SystemClock
from issuer.folder import State
from issuer.health import CAUSES, HealthReport, Level, examine_health
from issuer.store import SignerState, sqlite
from issuer.token_keys import list_token_keys
from issuer.workplace import STATE_FILE
from mdl.cli import main
from mdl.testing import deterministic_key
from tests.authorities import clone
from tests.listed import LIST_SIGNER, ROOT
from tests.recovery import SIGNER, World
from tests.stores import KINDS, NOW, ROLE, addresses

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def address() -> Iterator[Callable[[str, Path], str]]:
    with addresses() as address:
        yield address


def whole(kind: str, address: Callable[[str, Path], str], folder: Path) -> World:
    """An authority that has issued, revoked and published, and is as it should be."""
    world = World(address(kind, folder) if kind == "postgres" else "store.db", folder)
    world.folder.chmod(0o700)
    world.revoke(world.issue(3)[0])
    world.publish()
    world.checkpoint()
    return world


def examine(world: World, **how: Any) -> HealthReport:
    arguments: dict[str, Any] = {"at": world.clock, "use_token": False}
    return examine_health(world.folder, **(arguments | how))


def failures(report: HealthReport) -> set[str]:
    return {one.code for one in report.findings if one.level is Level.FAILURE}


def codes(report: HealthReport, level: Level) -> set[str]:
    return {one.code for one in report.findings if one.level is level}


# --- each broken state, without a token -------------------------------------------------------------------------------


def _rewrite(file: Path, change: Callable[[Any], Any]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def _state_damaged(world: World) -> None:
    (world.folder / STATE_FILE).write_text("{")


def _other_version(world: World) -> None:
    _rewrite(world.folder / STATE_FILE, lambda members: members | {"version": 3})


def _unfinished(world: World) -> None:
    _rewrite(world.folder / STATE_FILE, lambda members: members | {"ready": False})
    with world.store() as store, store.replacing() as sql:
        sql.run("DELETE FROM settings")


def _folder_open(world: World) -> None:
    world.folder.chmod(0o777)


def _state_open(world: World) -> None:
    (world.folder / STATE_FILE).chmod(0o666)


def _pin_open(world: World) -> None:
    (world.folder / "pin").write_text("1234")
    (world.folder / "pin").chmod(0o604)
    _rewrite(world.folder / STATE_FILE, lambda members: members | {"pin": {"file": "pin"}})


def _store_missing(world: World) -> None:
    Path(world.place).unlink()


def _store_else(world: World) -> None:
    Path(world.place).write_text("hello")


def _store_damaged(world: World) -> None:
    with closing(sqlite3.connect(world.place)) as db:
        db.execute("DROP TABLE certificates")
        db.commit()


def _store_newer(world: World) -> None:
    with world.store() as store, store.replacing() as sql:
        sql.run("UPDATE schema_version SET version = 999")


def _behind(world: World) -> None:
    copy = world.keep()
    world.revoke(*world.issue(1))
    world.publish()
    world.lose(copy)


def _clock_back(world: World) -> dict[str, Any]:
    return {"at": lambda: world.clock() - DAY}


def _clock_ahead(world: World) -> dict[str, Any]:
    # Nobody knows how long the machine has run: then it is what was signed that speaks against the clock.
    return {"at": SystemClock(read=lambda: NOW + 46 * DAY, machine=lambda: None)}


def _disk_full(world: World) -> dict[str, Any]:
    return {"min_free": 1 << 60}


def _file_changed(world: World) -> None:
    (world.folder / "iaca.pem").write_text(SIGNER.pem)


def _no_signer(world: World) -> None:
    with world.store() as store, store.replacing() as sql:
        sql.run("UPDATE store SET head_time = head_time")
        for table, column in (("credentials", "signer"), ("batches", "signer"), ("certificates", "fingerprint")):
            sql.run(f"DELETE FROM {table} WHERE {column} = ?", (SIGNER.fingerprint,))
        sql.run("DELETE FROM signers WHERE key_label = 'ds-1'")


def _to_state(state: SignerState, key: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        with world.store() as store, store.transaction(at=world.clock, actor=ROLE) as tx:
            tx.set_signer_state(key, state)

    return change


def _signer_expired(world: World) -> dict[str, Any]:
    return {"at": lambda: SIGNER.not_after + timedelta(seconds=1)}


def _signer_short(world: World) -> dict[str, Any]:
    return {"at": lambda: SIGNER.not_after - 10 * DAY}


def _revoke_certificate(certificate: Any, *, published: bool) -> Callable[[World], None]:
    def change(world: World) -> None:
        with world.store() as store, store.transaction(at=world.clock, actor=ROLE) as tx:
            tx.revoke_certificate(certificate.fingerprint)
        if published:
            world.publish()

    return change


def _lists_end(world: World) -> dict[str, Any]:
    return {"at": lambda: world.clock() + 4 * DAY}


def _crl_ends(world: World) -> dict[str, Any]:
    return {"at": lambda: world.clock() + 31 * DAY}


def _recorded_only(world: World) -> None:
    world.revoke(*world.issue(1))


def _signed_only(world: World) -> None:
    tree = world.tree
    world.revoke(*world.issue(1))
    world.tree = world.folder.parent / "elsewhere"
    world.publish()
    world.tree = tree
    (world.folder / "publish.json").write_text(json.dumps({"folder": str(tree)}))


def _list_file(world: World) -> Path:
    return next(file for file in (world.tree / "current/status").rglob("*") if file.is_file())


def _published_lost(world: World) -> None:
    _list_file(world).unlink()


def _published_changed(world: World) -> None:
    (world.tree / "current/iaca.crl").write_bytes(b"nothing")


def _index_damaged(world: World) -> None:
    (world.tree / "current/index.json").write_text("[")


def _another_tree(world: World) -> None:
    _rewrite(world.tree / "current/index.json", lambda members: members | {"authority": "00" * 16})


def _published_stale(world: World) -> dict[str, Any]:
    world.clock.advance(days=2)
    _signed_only(world)
    return {"at": lambda: world.clock() + DAY + timedelta(hours=1)}


_STATES: dict[str, tuple[Callable[[World], Any], set[str]]] = {
    "state damaged": (_state_damaged, {"authority.state"}),
    "another version": (_other_version, {"authority.version"}),
    "unfinished": (_unfinished, {"authority.unfinished"}),
    "folder open": (_folder_open, {"authority.open"}),
    "state open": (_state_open, {"authority.open"}),
    "PIN open": (_pin_open, {"signing.secret_open"}),
    "disk full": (_disk_full, {"health.disk_full"}),
    "store missing": (_store_missing, {"store.missing"}),
    "store is something else": (_store_else, {"store.not_a_store"}),
    "store damaged": (_store_damaged, {"store.damaged"}),
    "store newer": (_store_newer, {"store.version"}),
    "store behind": (_behind, {"store.behind"}),
    "clock back": (_clock_back, {"authority.clock"}),
    "clock ahead": (
        _clock_ahead,
        {"authority.clock_doubted", "health.crl_expired"},
    ),
    "file changed": (_file_changed, {"authority.file_changed"}),
    "signer retired": (_to_state(SignerState.RETIRED, "ds-1"), {"health.signer_retired"}),
    "signer revoked": (_revoke_certificate(SIGNER, published=True), {"health.signer_revoked"}),
    "signer revoked, unsigned": (
        _revoke_certificate(SIGNER, published=False),
        {"health.signer_revoked", "health.crl_lacks"},
    ),
    "signer expired": (_signer_expired, {"health.signer_expired", "health.crl_expired"}),
    "signer too short": (_signer_short, {"health.signer_short", "health.crl_expired"}),
    "list signer retired": (_to_state(SignerState.RETIRED, "revocation-list-1"), {"health.list_signer_retired"}),
    "list signer revoked": (_revoke_certificate(LIST_SIGNER, published=False), {
        "health.list_signer_revoked", "health.crl_lacks",
    }),
    "lists expired": (_lists_end, {"health.list_expired"}),
    "CRL expired": (_crl_ends, {"health.crl_expired"}),
    "recorded and not signed": (_recorded_only, {"health.list_lacks"}),
    "signed and not published": (_signed_only, {"health.not_published"}),
    "published file lost": (_published_lost, {"health.published_missing"}),
    "published file changed": (_published_changed, {"health.published_changed"}),
    "published index damaged": (_index_damaged, {"publish.damaged"}),
    "another authority's tree": (_another_tree, {"publish.foreign"}),
    "published file stale": (_published_stale, {"health.published_stale", "health.not_published"}),
}  # fmt: skip


@pytest.mark.parametrize("name", _STATES)
def test_each_broken_state_has_a_code_of_its_own(
    name: str, address: Callable[[str, Path], str], tmp_path: Path
) -> None:
    world = whole("sqlite", address, tmp_path)
    assert failures(examine(world)) == set()
    spoil, expected = _STATES[name]
    how = spoil(world) or {}
    report = examine(world, **how)
    assert failures(report) == expected
    assert not report.is_healthy
    for one in report.findings:
        assert one.code in CAUSES
        assert one.remedy
        assert one.message
    affected = {what for one in expected for what in CAUSES[one].affects}
    assert {what for what in ("issue", "revoke") if not report.works(what)} == affected


def test_the_table_tells_at_least_twenty_states_apart() -> None:
    alone = {next(iter(expected)) for _, expected in _STATES.values() if len(expected) == 1}
    assert len(alone) >= 20


@pytest.mark.parametrize(
    "name", ["store behind", "signer retired", "recorded and not signed", "signed and not published"]
)
def test_states_are_told_apart_on_postgresql(name: str, address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = whole("postgres", address, tmp_path)
    assert failures(examine(world)) == set()
    spoil, expected = _STATES[name]
    assert expected <= failures(examine(world, **(spoil(world) or {})))


def test_the_servers_clock_is_asked_on_postgresql(address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = whole("postgres", address, tmp_path)
    ahead = SystemClock(read=lambda: datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2))
    assert "authority.clock_doubted" in failures(examine(world, at=ahead))


def test_a_database_that_does_not_answer_is_told(address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = World("store.db", tmp_path)
    state = State.decode((world.folder / STATE_FILE).read_bytes(), world.folder)
    members = json.loads(state.encode())
    members["store"] = {"dsn": "postgresql://nobody@127.0.0.1:1/none", "password": None}
    (world.folder / STATE_FILE).write_text(json.dumps(members))
    assert failures(examine(world)) == {"store.unreachable"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_writer_that_does_not_let_go_is_told(
    kind: str, address: Callable[[str, Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_PROBE_SECONDS", 0)
    monkeypatch.setattr("issuer.store.postgres._PROBE", "50ms")
    world = whole(kind, address, tmp_path)
    with world.store() as store, store.transaction(at=world.clock, actor=ROLE):
        assert failures(examine(world)) == {"store.busy"}
    assert failures(examine(world)) == set()


def test_a_store_that_cannot_be_written_is_told(
    address: Callable[[str, Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = whole("sqlite", address, tmp_path)
    monkeypatch.setattr("issuer.store.sqlite.os.access", lambda *_: False)  # root may write everything
    report = examine(world)
    assert failures(report) == {"health.store_read_only"}


def test_a_server_that_only_reads_is_told(address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = whole("postgres", address, tmp_path)
    members = json.loads((world.folder / STATE_FILE).read_text())
    dsn = members["store"]["dsn"]
    more = "options=-cdefault_transaction_read_only%3Don"
    if "options=" in dsn:
        dsn = dsn.replace("options=", "options=-cdefault_transaction_read_only%3Don%20")
        more = ""
    members["store"]["dsn"] = f"{dsn}{'&' if '?' in dsn else '?'}{more}" if more else dsn
    (world.folder / STATE_FILE).write_text(json.dumps(members))
    assert failures(examine(world)) == {"health.store_read_only"}


def test_what_was_never_set_up_is_no_illness(tmp_path: Path) -> None:
    world = World("store.db", tmp_path)
    world.folder.chmod(0o700)
    report = examine(world)
    assert report.is_healthy
    assert codes(report, Level.NOTE) == {"health.no_status_plan", "health.never_published", "health.token_unseen"}
    assert codes(report, Level.WARNING) == set()


def test_the_first_list_is_no_failure_until_something_was_published(
    address: Callable[[str, Path], str], tmp_path: Path
) -> None:
    world = World("store.db", tmp_path)
    world.folder.chmod(0o700)
    world.issue(1)
    assert failures(examine(world)) == set()
    world.publish()
    assert failures(examine(world)) == set()
    with world.store() as store, store.replacing() as sql:
        sql.run("DELETE FROM signed_lists")
    assert "health.list_unsigned" in failures(examine(world))


def test_a_tree_on_another_host_is_a_warning_and_stops_nothing(
    address: Callable[[str, Path], str], tmp_path: Path
) -> None:
    world = whole("sqlite", address, tmp_path)
    shutil.rmtree(world.tree)
    report = examine(world)
    assert report.is_healthy
    assert codes(report, Level.WARNING) == {"health.not_compared"}


def test_deadlines_that_come_near_are_warnings(address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = whole("sqlite", address, tmp_path)
    soon = examine(world, at=lambda: world.clock() + timedelta(hours=60))
    assert soon.is_healthy
    assert {one.code: one.until for one in soon.findings if one.level is Level.WARNING} == {
        "health.list_due": world.clock() + 3 * DAY,
        "health.list_waits": world.clock() + 3 * DAY,
    }
    report = examine(world, at=lambda: world.clock() + 29 * DAY)
    assert "health.crl_due" in codes(report, Level.WARNING)
    near = examine(world, at=lambda: SIGNER.not_after - 35 * DAY, within=90 * DAY)
    assert {"health.window_closing", "health.certificate_due"} <= codes(near, Level.WARNING)


def test_a_group_that_is_let_in_is_a_warning(address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = whole("sqlite", address, tmp_path)
    world.folder.chmod(0o770)
    report = examine(world)
    assert report.is_healthy
    assert codes(report, Level.WARNING) == {"health.shared"}


def test_where_the_signers_are_elsewhere_nothing_is_missing(tmp_path: Path) -> None:
    world = World("store.db", tmp_path)
    world.folder.chmod(0o700)
    with world.store() as store, store.replacing() as sql:
        sql.run("UPDATE certificates SET key_label = NULL WHERE fingerprint = ?", (SIGNER.fingerprint,))
        sql.run("DELETE FROM signers WHERE key_label = 'ds-1'")
    report = examine(world)
    assert report.is_healthy
    assert "health.issued_elsewhere" in codes(report, Level.NOTE)


def test_remedies_fit_a_root_whose_key_is_elsewhere(address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = whole("sqlite", address, tmp_path)
    for key in ("ds-1", "revocation-list-1"):
        _to_state(SignerState.RETIRED, key)(world)
    with world.store() as store, store.replacing() as sql:
        sql.run("UPDATE certificates SET key_label = NULL WHERE fingerprint = ?", (ROOT.fingerprint,))
        sql.run("DELETE FROM signers WHERE key_label = 'iaca'")
    found = {one.code: one.remedy for one in examine(world).findings}
    assert "mdl issuer csr --role ds" in found["health.signer_retired"]
    assert "mdl issuer csr --role revocation-list" in found["health.list_signer_retired"]


def test_a_signer_with_a_request_and_no_certificate_is_told(tmp_path: Path) -> None:
    world = World("store.db", tmp_path)
    world.folder.chmod(0o700)
    with world.store() as store, store.replacing() as sql:
        sql.run("UPDATE signers SET certificate = NULL WHERE key_label = 'ds-1'")
    with world.store() as store, store.reading() as reader:
        assert reader.signer("ds-1").certificate is None
    assert failures(examine(world)) == {"health.signer_unfinished"}


def test_nothing_is_changed(address: Callable[[str, Path], str], tmp_path: Path) -> None:
    world = whole("sqlite", address, tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    examine(world)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


# --- the token --------------------------------------------------------------------------------------------------------


def look(folder: Path, **how: Any) -> HealthReport:
    return examine_health(folder, **how)


@pytest.mark.hsm
def test_after_init_and_ds_health_is_good(authority: Path) -> None:
    report = look(authority)
    assert report.is_healthy
    assert {one.code for one in report.findings} == {"health.no_status_plan", "health.never_published"}


def _no_token(folder: Path, patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(folder / "token" / "tokens")
    (folder / "token" / "softhsm2.conf").unlink()


def _no_pin(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "token" / "pin").unlink()


def _no_module(folder: Path, patch: pytest.MonkeyPatch) -> None:
    _rewrite(
        folder / STATE_FILE,
        lambda one: one | {"token": one["token"].split("?")[0] + "?module-path=/nowhere/module.so"},
    )


def _wrong_pin(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "token" / "pin").write_text("987654\n")


def _lost_key(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "issuer.health.list_token_keys",
        lambda *a, **k: [one for one in list_token_keys(*a, **k) if one.label != "ds-1"],
    )


def _other_key(folder: Path, patch: pytest.MonkeyPatch) -> None:
    other = deterministic_key("another").public_key.spki
    with closing(sqlite3.connect(folder / "authority.db")) as db:
        db.execute("UPDATE signers SET public_key = ? WHERE key_label = 'ds-1'", (other,))
        db.commit()


def _pin_state(state: hsm.PinState) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def change(folder: Path, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("issuer.health.pin_state", lambda _: state)
        # Whoever asks for the PIN would try it.
        (folder / "token" / "pin").unlink()

    return change


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_no_token, "signing.token_missing"),
        (_no_pin, "signing.secret_missing"),
        (_no_module, "signing.module_missing"),
        (_wrong_pin, "signing.pin_incorrect"),
        (_lost_key, "signing.key_missing"),
        (_other_key, "signing.wrong_key"),
        (_pin_state(hsm.PinState.FINAL_TRY), "health.pin_final_try"),
        (_pin_state(hsm.PinState.MISSED), "health.pin_missed"),
        (_pin_state(hsm.PinState.LOCKED), "signing.pin_locked"),
    ],
)
def test_each_state_of_the_token_has_a_code_of_its_own(
    authority: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[..., None], code: str
) -> None:
    spoil(authority, monkeypatch)
    assert failures(look(authority)) == {code}


@pytest.mark.hsm
def test_a_wrong_pin_is_tried_once_and_no_more(authority: Path) -> None:
    right = (authority / "token" / "pin").read_text()
    _wrong_pin(authority, pytest.MonkeyPatch())
    assert failures(look(authority)) == {"signing.pin_incorrect"}
    for _ in range(3):
        assert failures(look(authority)) == {"health.pin_missed"}
    (authority / "token" / "pin").write_text(right)
    assert failures(look(authority)) == {"health.pin_missed"}
    assert main(["issuer", "crl", "--dir", str(authority)]) == 0  # logs in
    assert look(authority).is_healthy


def test_the_reference_is_the_one_that_the_command_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["issuer", "health", "--list-causes"]) == 0
    page = Path(__file__).parents[3] / "docs/reference/health.md"
    assert page.read_text("utf-8") == capsys.readouterr().out, "write it anew: mdl issuer health --list-causes"


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.hsm
def test_the_command_tells_a_monitoring_system_by_its_exit_status(
    authority: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def health(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["issuer", "health", "--dir", str(authority), *words])
        return status, capsys.readouterr().out

    status, out = health("--json")
    told = json.loads(out)
    assert (status, told["format"], told["healthy"]) == (0, "mdl issuer health 1", True)
    assert (told["can_issue"], told["can_revoke"]) == (True, True)
    assert health()[1].startswith("Licences can be issued and revoked.\n")
    assert health("--without-token")[0] == 0
    broken = clone(authority, tmp_path / "broken")
    (broken / "authority.db").write_bytes(b"rubbish")
    authority = broken
    status, out = health("--json")
    assert status == 1
    assert [one["code"] for one in json.loads(out)["findings"] if one["level"] == "failure"] == ["store.not_a_store"]
    assert "Licences cannot be issued and revoked now.\n" in health()[1]
    shutil.rmtree(broken)
    assert health()[0] == 3


@pytest.mark.hsm
def test_status_never_says_in_order_while_nothing_can_be_issued(
    authority: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(authority / "authority.db")) as db:
        db.execute("UPDATE signers SET state = 'retired' WHERE key_label = 'ds-1'")
        db.commit()
    assert main(["issuer", "status", "--dir", str(authority)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("Licences cannot be issued now, and none of ")
    assert "[health.signer_retired]" in out
    assert main(["issuer", "status", "--dir", str(authority), "--json"]) == 1
    assert [one["code"] for one in json.loads(capsys.readouterr().out)["causes"]] == ["health.signer_retired"]
    assert main(["issuer", "status", "--dir", str(authority), "--format", "html"]) == 1
    assert "licences cannot be issued now" in capsys.readouterr().out

"""``mdl issuer revoke``, ``lists``, ``publish``, ``watch`` and ``vical``: arguments, exit statuses, what is said."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from issuer.audit import Actor
from issuer.cli.arguments import now
from issuer.store import Reservation, Role, SqliteStore, StatusPlan, places
from mdl.cbor import TDate
from mdl.cli import main
from tests.authorities import INIT, Outcome, licence, mdl, public_key_file, require_softhsm
from tests.vical_forgery import forge, provider

pytestmark = pytest.mark.hsm
LISTS = "https://mdl.example/status/{list}"
Run = Callable[..., Outcome]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with a document signer, a revocation-list signer and one credential."""
    require_softhsm()
    place = tmp_path_factory.mktemp("template")
    folder = place / "authority"
    for words in (("init", *INIT), ("ds",), ("certify", "--role", "revocation-list")):
        outcome = mdl("issuer", *words, "--dir", folder)
        assert outcome.status == 0, outcome.err
    key = public_key_file(place)
    told = ("--status-url", LISTS, "--json", "--dir", folder)
    issued = mdl("issuer", "issue", licence(place), "--device-key", key, "--out", place / "a.cbor", *told)
    (place / "reference").write_text(issued.json["reference"])
    return folder


@pytest.fixture
def reference(template: Path) -> str:
    return (template.parent / "reference").read_text()


@pytest.fixture
def run(authority: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a verb on the authority, in this process: for what does not open the token."""

    def run(verb: str, *words: str | Path) -> Outcome:
        capsys.readouterr()
        status = main(["issuer", verb, *map(str, words), "--dir", str(authority)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--credential", "00"),
        ("--credential", "x" * 32),
        ("--certificate", "nothing"),
        ("--all-of", ""),
        ("--credential", "0" * 32, "--certificate", "1"),
        ("--credential", "0" * 32, "00"),
        ("--credential",),
        ("--credential", "0" * 32, "--references", "-"),
        ("--references",),
        ("--certificate", "1", "--reason", "certificate-hold"),
        ("--certificate", "1", "--later", "--publish", "www"),
    ],
)
def test_what_is_revoked_is_named_exactly(run: Run, words: tuple[str, ...]) -> None:
    run("revoke", *words).error(2, "cli.usage")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--credential", "0" * 32), "store.unknown"),
        (("--certificate", "1"), "authority.serial_unknown"),
        (("--all-of", "1"), "authority.serial_unknown"),
        (("--certificate", "1", "--ttl-hours", "100"), "status.terms"),
        (("--certificate", "1", "--list-hours", "2161"), "status.terms"),
    ],
)
def test_what_is_not_there_is_not_revoked(run: Run, words: tuple[str, ...], code: str) -> None:
    run("revoke", *words).error(2 if code == "status.terms" else 5, code)


def test_a_revocation_that_waits_says_what_is_to_be_done(run: Run, reference: str) -> None:
    outcome = run("revoke", "--credential", reference, "--later", "--reason", "key-compromise")
    assert outcome.status == 0
    assert outcome.out.startswith("The credential is revoked.\n")
    assert "reason: key-compromise" in outcome.out
    assert "run mdl issuer publish" in outcome.out
    again = run("revoke", "--credential", reference, "--later")
    assert again.out.startswith("The credential was revoked before: nothing changed.\n")
    (row,) = json.loads(run("lists", "--json").out)
    assert (row["taken"], row["revoked"], row["due"]) == (1, 1, "new")


@pytest.fixture
def several(authority: Path, reference: str) -> list[str]:
    """References of credentials with a place in one list."""
    with SqliteStore(authority / "authority.db") as store:
        with store.transaction(at=now(), actor=Actor.ISSUING_SERVICE) as tx:
            known = tx.credential(bytes.fromhex(reference))
            batch = tx.reserve_batch(
                [Reservation(valid_from=known.valid_from, valid_until=known.valid_until)] * 4,
                signer=known.signer,
                key=next(one.key for one in tx.signers(Role.DOCUMENT_SIGNER)),
                doctype=known.doctype,
                plan=tx.status_plans()[0][0],
            )
        with store.transaction(at=now(), actor=Actor.ISSUING_SERVICE) as tx:
            tx.complete_batch(batch)
    return [reference, *(one.reference.hex() for one in batch.credentials)]


def test_a_file_of_references_is_revoked_with_one_list_and_one_version(
    tmp_path: Path, run: Run, several: list[str]
) -> None:
    www = tmp_path / "www"
    run("publish", www)
    before = run("publish", "--json").json["published"]["version"]
    file = tmp_path / "lost.txt"
    first, second, third, *_ = several
    file.write_text(f"# stolen in May\r\n{first}\r\n\n  {second.upper()}  # found again\n{first}\n{third}")
    told = run("revoke", "--references", file, "--json")
    assert told.status == 0, told.err
    assert (told.json["references"], told.json["credentials"]) == (3, 3)
    assert [one["revision"] for one in told.json["signed"]["lists"]] == [2]
    assert (told.json["published"]["version"], len(told.json["published"]["changed"])) == (before + 1, 1)
    again = run("revoke", "--references", file)
    assert again.out.startswith("The credentials were revoked before: nothing changed.\n")
    assert run("lists", "--json").json[0]["revision"] == 2


def test_several_references_are_named_at_once(run: Run, several: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *more = several
    told = run("revoke", "--credential", first, second, "--credential", first, "--later")
    assert told.out.startswith("2 credentials are revoked.\n")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join([first, *more]).encode())))
    told = run("revoke", "--references", "-", "--later")
    assert "3 of 4, and 1 were revoked before" in told.out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{first}\n# x\n{unknown}\n{second}", (5, "store.unknown", "reference in line 3 ")),
        ("{first}\n\nnobody", (3, "revocation.reference", "line 3 ")),
        ("{first}{second}", (3, "revocation.reference", "line 1 ")),
        ("{first}\né{second}", (3, "revocation.reference", "line 2 ")),
        ("# nobody\n\n", (3, "input.empty", "names no reference")),
        ("", (3, "input.empty", "empty")),
        ("{many}", (2, "revocation.references", "100001")),
    ],
)
def test_a_file_with_a_bad_line_revokes_nothing(
    tmp_path: Path, run: Run, several: list[str], text: str, expected: tuple[int, str, str]
) -> None:
    file = tmp_path / "lost.txt"
    many = "\n".join(f"{index:032x}" for index in range(100_001)) if "many" in text else ""
    file.write_text(text.format(first=several[0], second=several[1], unknown="0" * 32, many=many), encoding="utf-8")
    status, code, where = expected
    assert where in run("revoke", "--references", file).error(status, code)
    run("revoke", "--references", tmp_path / "none").error(3, "input.unreadable")
    assert run("lists", "--json").json[0]["revoked"] == 0


def test_which_of_the_references_nobody_knows_is_told_and_not_endlessly(run: Run, several: list[str]) -> None:
    unknown = [f"{index:032x}" for index in range(14)]
    told = run("revoke", "--credential", several[0], *unknown).error(5, "store.unknown")
    assert "reference 2 on the command line, 3 on" in told
    assert "11 on the command line and 4 more" in told


def test_publish_wants_a_folder_once(authority: Path, tmp_path: Path, run: Run) -> None:
    run("publish").error(2, "publish.folder")
    run("watch", "--folder").error(2, "publish.folder")
    outcome = mdl("issuer", "publish", tmp_path / "www", "--dir", authority)
    assert outcome.status == 0, outcome.err
    assert outcome.out.startswith("Published.\n")
    assert "status/" in outcome.out
    again = run("publish")
    assert (again.status, again.out.startswith("Everything is published already.\n")) == (0, True)
    assert run("watch", "--folder").out.startswith("All is published as it was signed: 2 addresses\n")
    table = run("lists").out.splitlines()
    assert table[0].split() == ["list", "taken", "revoked", "revision", "expires", "due"]
    assert table[1].split()[1:4] == ["1/1048576", "0", "1"]


def test_the_first_list_can_be_published_before_anything_is_issued(authority: Path, tmp_path: Path) -> None:
    url = "https://mdl.example/names/{list}"
    words = ("--status-url", url, "--status-kind", "identifier_list", "--json", "--dir", authority)
    outcome = mdl("issuer", "publish", tmp_path / "www", *words)
    assert outcome.status == 0, outcome.err
    (names,) = [one for one in outcome.json["published"]["files"] if one["kind"] == "identifier_list"]
    told = ("--status-url", url, "--status-kind", "identifier_list", "--json", "--dir", authority)
    key = public_key_file(tmp_path)
    issued = mdl("issuer", "issue", licence(tmp_path), "--device-key", key, "--out", tmp_path / "b.cbor", *told)
    assert issued.json["status"] == names["url"]


def test_what_was_never_signed_is_a_finding(tmp_path: Path, run: Run) -> None:
    outcome = run("publish", tmp_path / "www", "--no-sign")
    assert outcome.status == 1
    assert outcome.out.startswith("NOT EVERYTHING IS PUBLISHED\n")
    assert "it was never signed" in outcome.out
    watched = run("watch", "--folder", "--json")
    assert (watched.status, watched.json["findings"]) == (1, 1)


def test_the_watch_tells_whoever_is_to_be_told(tmp_path: Path, run: Run) -> None:
    run("publish", tmp_path / "www", "--no-sign")
    told = tmp_path / "told.json"
    assert run("watch", "--folder", "--notify-command", f"tee {told}").status == 1
    assert json.loads(told.read_text())["findings"] == 1
    run("watch", "--folder", "--notify-command", "").error(2, "notify.command_line")
    run("watch", "--folder", "--notify-url", "http://elsewhere.example/").error(2, "notify.url")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://mdl.example/status", "status.url"),
        ("https://mdl.example/{list}/{list}", "status.url"),
        ("ftp://mdl.example/{list}", "publish.address"),
        ("https://mdl.example/status?id={list}", "publish.address"),
        ("https://mdl.example/roots/{list}", "publish.address"),
    ],
)
def test_a_list_has_an_address_at_which_it_can_be_published(tmp_path: Path, run: Run, url: str, code: str) -> None:
    words = (licence(tmp_path), "--device-key", public_key_file(tmp_path), "--out", tmp_path / "b.cbor")
    run("issue", *words, "--status-url", url).error(2, code)
    assert not (tmp_path / "b.cbor").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), (2, "vical.entries")),
        (("--root", "iaca.pem"), (2, "vical.entries")),
        (("--doctype", "org.iso.18013.5.1.mDL"), (2, "vical.entries")),
        (("--root", "missing.pem", "--doctype", "x"), (3, "input.unreadable")),
        (("--entries", "iaca.pem"), (3, "vical.entries")),
        (("--root", "iaca.pem", "--doctype", "x", "--key", "file:/k"), (2, "vical.chain")),
        (("--root", "iaca.pem", "--doctype", "x"), (2, "authority.no_signer")),
    ],
)
def test_a_vical_needs_roots_and_a_signer(
    authority: Path, tmp_path: Path, run: Run, words: tuple[str, ...], expected: tuple[int, str]
) -> None:
    named = [str(authority / "iaca.pem") if word == "iaca.pem" else word for word in words]
    run("vical", *named, "--provider", "Utopia", "--out", tmp_path / "v.cbor").error(*expected)
    assert not (tmp_path / "v.cbor").exists()


def _from_now(*, days: int) -> TDate:
    return TDate.of(datetime.now(UTC) + timedelta(days=days))


def _fresh_signer() -> bytes:
    """The provider's signer with a certificate that is valid now."""
    signer = provider().signer_recipe
    return signer.with_changes(not_before=_from_now(days=-2).datetime, not_after=_from_now(days=100).datetime).build()


@pytest.fixture
def vical(tmp_path: Path) -> Path:
    """A list of another provider's that is fresh now; the provider's root lies beside it."""
    file = tmp_path / "vical.cbor"
    signing = {"x5chain": [_fresh_signer(), provider().ca.der]}
    file.write_bytes(forge(signing=signing, date=_from_now(days=-1), nextUpdate=_from_now(days=2)))
    (tmp_path / "provider.pem").write_text(provider().root.pem)
    return file


def test_a_vical_of_another_provider_goes_out_only_under_a_root_that_is_named(
    tmp_path: Path, run: Run, vical: Path
) -> None:
    tree = tmp_path / "tree"
    words = ("publish", tree, "--no-sign", "--vical", vical)
    run(*words).error(1, "publish.vical_path")
    assert not tree.exists()
    published = run(*words, "--provider-root", tmp_path / "provider.pem", "--json")
    assert "vical.cbor" in published.json["published"]["changed"]
    assert (tree / "current" / "vical.cbor").read_bytes() == vical.read_bytes()


def test_watch_looks_at_the_vical_that_was_published(tmp_path: Path, run: Run, vical: Path) -> None:
    url = "https://vical.example/v/current.cbor"
    content = {"vicalURL": url, "date": _from_now(days=-1), "nextUpdate": _from_now(days=2)}
    vical.write_bytes(forge(signing={"x5chain": [_fresh_signer(), provider().ca.der]}, **content))
    root = ("--provider-root", tmp_path / "provider.pem")
    run("publish", tmp_path / "tree", "--no-sign", "--vical", vical, *root)
    assert run("watch", url, "--folder").status == 0
    (tmp_path / "tree" / "current" / "v" / "current.cbor").unlink()
    seen = run("watch", url, "--folder", "--json")
    assert (seen.status, seen.json["seen"][0]["faults"][0]["fault"]) == (1, "missing")


def test_a_vical_that_was_changed_keeps_everything_from_being_signed_and_published(
    tmp_path: Path, run: Run, vical: Path
) -> None:
    data = vical.read_bytes()
    vical.write_bytes(data[:-1] + bytes((data[-1] ^ 1,)))
    words = ("publish", tmp_path / "tree", "--vical", vical, "--provider-root", tmp_path / "provider.pem")
    run(*words).error(1, "publish.vical_signature")
    assert not (tmp_path / "tree").exists()


def test_a_provider_s_root_without_a_vical_to_be_published_is_a_mistake(tmp_path: Path, run: Run, vical: Path) -> None:
    root = ("--provider-root", tmp_path / "provider.pem")
    run("publish", tmp_path / "tree", "--no-sign", *root).error(2, "publish.provider_root")
    listed = ("--root", tmp_path / "provider.pem", "--doctype", "x", "--provider", "Utopia")
    run("vical", *listed, "--out", tmp_path / "v.cbor", *root).error(2, "publish.provider_root")
    assert not (tmp_path / "v.cbor").exists()


def test_one_list_without_a_place_is_left_out_moved_or_retired(
    authority: Path, tmp_path: Path, run: Run, reference: str
) -> None:
    """As a store of an older version may have one: nothing new of this kind comes in."""
    with (
        SqliteStore(authority / "authority.db") as store,
        store.transaction(at=now(), actor=Actor.ISSUING_SERVICE) as tx,
    ):
        (root,) = tx.certificates(Role.IACA)
        plan = StatusPlan(uri="https://mdl.example/iaca.crl/{list}", size=64)
        bad = places.open_list(tx._sql, plan, root.certificate.fingerprint, now())
    published = run("publish", tmp_path / "www", "--json")
    assert published.status == 6, published.err
    assert [(one["url"], one["code"]) for one in published.json["published"]["unplaced"]] == [
        (bad.uri, "publish.conflict")
    ]
    revoked = run("revoke", "--credential", reference, "--json")
    assert revoked.status == 6
    assert len(revoked.json["published"]["changed"]) == 1
    assert "NOT PUBLISHED" in run("publish").out
    run("move-list", bad.list_id, "iaca.crl/x").error(5, "publish.conflict")
    run("move-list", bad.list_id, "../x").error(2, "publish.address")
    run("move-list", "nothing", "x").error(5, "store.unknown")
    assert run("move-list", bad.uri, "moved/x", "--json").json["place"] == "moved/x"
    assert run("publish").status == 0
    assert (tmp_path / "www/current/moved/x").exists()
    assert run("watch", "--folder").status == 0
    listed = run("lists", "--json").json
    run("retire-list", listed[0]["uri"]).error(5, "status.needed")
    assert run("retire-list", bad.list_id).status == 0
    assert "retired already" in run("retire-list", bad.list_id).out
    assert run("publish").status == 0
    assert not (tmp_path / "www/current/moved/x").exists()
    assert run("retire-list", listed[0]["uri"], "--needed", "--json").json["retired"]
    # The log agrees with all of it, save that nothing tells of the list that was slipped into the store above.
    (finding,) = run("audit", "verify", "--json").json["findings"]
    assert finding["defect"] == "unrecorded"

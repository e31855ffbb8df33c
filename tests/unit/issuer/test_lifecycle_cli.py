"""``mdl issuer certify``, ``rekey``, ``plan``, ``rotate``, ``status`` and ``rules``, as their user runs them."""

import base64
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from issuer.audit import Actor, AuditRecord, Event
from issuer.authority import Authority
from issuer.store import Role
from mdl.cli import main
from mdl.pki import (
    JWS_SIGNER,
    OCSP_SIGNER,
    READER_AUTHENTICATION,
    READER_CA,
    REVOCATION_LIST_SIGNER,
    VICAL_SIGNER,
    Certificate,
    Crl,
    Profile,
    Subject,
    build_csr,
    lint_certificate,
)
from mdl.testing import deterministic_key
from tests.authorities import Outcome, content
from tests.parts import look_again

pytestmark = pytest.mark.hsm
Run = Callable[..., Outcome]
DAY = timedelta(days=1)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], authority: Path) -> Run:
    look_again()

    def run(verb: str, *words: str | Path) -> Outcome:
        capsys.readouterr()
        status = main(["issuer", verb, "--dir", str(authority), *map(str, words)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], datetime]:
    """Puts the commands' clock forward by some days."""

    def later(days: float) -> datetime:
        at = datetime.now(UTC).replace(microsecond=0) + days * DAY
        monkeypatch.setattr("issuer.cli.lifecycle.now", lambda: at)
        monkeypatch.setattr("issuer.cli.certificates.now", lambda: at)
        return at

    return later


def certificate(file: str | Path) -> Certificate:
    return Certificate.decode_any(Path(file).read_bytes())


def request_file(folder: Path, name: str = "remote") -> Path:
    file = folder / "request.pem"
    wish = Subject(country="XU", common_name="what the requester would like")
    file.write_text(build_csr(wish, deterministic_key(name)).pem)
    return file


# --- certify ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "profile"),
    [("revocation-list", REVOCATION_LIST_SIGNER), ("jws", JWS_SIGNER), ("ocsp", OCSP_SIGNER)],
)
def test_signers_are_certified_with_a_key_in_the_token(run: Run, authority: Path, role: str, profile: Profile) -> None:
    outcome = run("certify", "--role", role, "--json")
    found = certificate(outcome.json["certificate"])
    assert lint_certificate(found, profile, issuer=certificate(authority / "iaca.pem")) == ()
    assert (outcome.json["key"], Path(outcome.json["certificate"]).name) == (f"{role}-1", f"{role}-1.pem")
    assert run("certify", "--role", role, "--json").json["key"] == f"{role}-2"


def test_readers_and_vical_signers_have_roots_of_their_own(run: Run, authority: Path) -> None:
    for ca, leaf, profile in (("reader-ca", "reader", READER_AUTHENTICATION), ("vical-ca", "vical", VICAL_SIGNER)):
        assert f"certify --role {ca}" in run("certify", "--role", leaf).error(2, "authority.no_ca")
        run("certify", "--role", ca).error(2, "authority.crl_uri")
        assert run("certify", "--role", ca, "--crl-url", f"https://mdl.example/{ca}.crl").status == 0
        root = certificate(authority / f"{ca}-1.pem")
        assert lint_certificate(root, READER_CA) == ()
        found = certificate(run("certify", "--role", leaf, "--json").json["certificate"])
        assert lint_certificate(found, profile, issuer=root) == ()
        Crl.decode((authority / f"{ca}-1.crl").read_bytes()).verify_signature(root.public_key)


def test_a_request_brings_a_key_and_nothing_else(run: Run, tmp_path: Path, authority: Path) -> None:
    outcome = run("certify", "--role", "jws", "--csr", request_file(tmp_path), "--days", "100", "--json")
    found = certificate(outcome.json["certificate"])
    assert found.public_key == deterministic_key("remote").public_key
    assert found.not_after - found.not_before == 100 * DAY
    assert "would like" not in outcome.out
    assert outcome.json["key"] is None
    assert outcome.json["certificate"] == str(authority / f"jws-{found.serial:040x}.pem")
    run("certify", "--role", "ocsp", "--csr", request_file(tmp_path)).error(1, "request.key_certified")
    # It can be revoked like any other.
    assert run("crl", "--revoke", f"{found.serial:x}", "--json").json["revoked"] == [f"{found.serial:x}"]


def test_a_key_that_was_made_here_for_one_role_is_not_certified_for_another(
    run: Run, tmp_path: Path, authority: Path
) -> None:
    key = deterministic_key("waiting")
    with (
        Authority(authority).open_store() as store,
        store.transaction(at=datetime.now(UTC), actor=Actor.SIGNER_OPERATOR) as tx,
    ):
        tx.add_signer("jws-9", Role.JWS_SIGNER, key.public_key.spki)
    request = request_file(tmp_path, "waiting")
    run("certify", "--role", "ocsp", "--csr", request).error(1, "request.role")
    assert run("certify", "--role", "jws", "--csr", request).status == 0


def test_a_request_comes_without_its_armour(run: Run, tmp_path: Path) -> None:
    request = build_csr(Subject(country="XU", common_name="x"), deterministic_key("plain"))
    (tmp_path / "request").write_bytes(base64.b64encode(request.der))
    outcome = run("certify", "--role", "jws", "--csr", tmp_path / "request", "--json")
    assert certificate(outcome.json["certificate"]).public_key == deterministic_key("plain").public_key


def test_a_bad_request_changes_nothing_but_the_log(run: Run, tmp_path: Path, authority: Path) -> None:
    broken = bytearray(build_csr(Subject(country="XU", common_name="x"), deterministic_key("k")).der)
    broken[-1] ^= 1
    abroad = build_csr(Subject(country="XX", common_name="x"), deterministic_key("k")).der
    before = content(authority)
    for data, status, code in (
        (bytes(broken), 1, "request.possession"),
        (abroad, 1, "request.country"),
        (b"\x30\x00", 3, "request.malformed"),
    ):
        (tmp_path / "request").write_bytes(data)
        run("certify", "--role", "jws", "--csr", tmp_path / "request").error(status, code)
        assert content(authority) == before
    with Authority(authority).audit_records() as records:
        events = [AuditRecord.decode(one.record) for one in records]
    refused = [one.subjects["code"] for one in events if one.event is Event.REFUSAL]
    assert refused == ["request.possession", "request.country", "request.malformed"]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--role", "iaca"), 2, "cli.usage"),
        (("--role", "link"), 2, "cli.usage"),
        (("--role", "jws", "--days", "365"), 2, "authority.signer_days"),
        (("--role", "jws", "--crl-url", "https://mdl.example/x.crl"), 2, "certify.crl_url"),
        (("--role", "jws", "--csr", "/no/such/file"), 3, "input.unreadable"),
        (("--role", "jws", "--csr", "x", "--curve", "P-256"), 2, "certify.curve"),
        (("--role", "revocation-list", "--curve", "Ed25519"), 1, ""),
        (("--role", "reader-ca", "--csr", "x"), 2, "certify.root"),
        (("--role", "reader-ca", "--crl-url", "https://mdl.example/iaca.crl"), 2, "authority.crl_uri"),
    ],
)
def test_what_is_not_certified_leaves_everything_as_it_was(
    run: Run, authority: Path, words: tuple[str, ...], status: int, code: str
) -> None:
    before = content(authority)
    outcome = run("certify", *words)
    assert (outcome.status, code in outcome.err) == (status, True), outcome.err
    assert {name: data for name, data in content(authority).items() if name != "authority.db"} == {
        name: data for name, data in before.items() if name != "authority.db"
    }


# --- rekey -----------------------------------------------------------------------------------------------------------


def test_the_next_root_has_the_name_of_the_one_before(
    run: Run, authority: Path, later: Callable[[float], datetime]
) -> None:
    start = later(0) + 100 * DAY
    outcome = run("rekey", "--from", start.strftime("%Y-%m-%dT%H:%M:%SZ"), "--json")
    old, new = certificate(authority / "iaca.pem"), certificate(authority / "iaca-2.pem")
    assert (new.subject.der, new.public_key == old.public_key) == (old.subject.der, False)
    assert outcome.json["certificate"] == str(authority / "iaca-2.pem")
    assert (outcome.json["link"], outcome.json["crl"]["number"]) == (None, 1)
    assert not (authority / "iaca-2-link.pem").exists()
    # Until its day comes the old one certifies, and afterwards the new one.
    for days, root in ((99, old), (101, new)):
        later(days)
        signer = certificate(run("ds", "--days", "100", "--json").json["certificate"])
        signer.verify_signature(root.public_key)
        assert signer.crl_uris == root.crl_uris


def test_crls_of_both_roots_are_published(run: Run, authority: Path) -> None:
    serial = f"{certificate(authority / 'ds-1.pem').serial:x}"
    assert run("rekey").status == 0
    assert run("ds").status == 0
    outcome = run("crl", "--revoke", serial, "--json")
    assert outcome.json["file"] == str(authority / "iaca-2.crl")
    assert (outcome.json["revoked"], outcome.json["others"][0]["revoked"]) == ([], [serial])
    for name, revoked in (("iaca", 1), ("iaca-2", 0)):
        crl = Crl.decode((authority / f"{name}.crl").read_bytes())
        crl.verify_signature(certificate(authority / f"{name}.pem").public_key)
        assert len(crl.revoked) == revoked
    assert (authority / "crl" / "iaca-2-000002.crl").read_bytes() == (authority / "iaca-2.crl").read_bytes()


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--crl-url", "https://mdl.example/iaca.crl"), 2, "authority.crl_uri"),
        (("--crl-url", "ldap://mdl.example"), 2, "publish.address"),
        (("--common-name", "Utopia Motor Vehicles IACA"), 2, "authority.name_taken"),
        (("--crl-days", "91"), 2, "authority.crl_days"),
        (("--curve", "Ed25519"), 2, "cli.usage"),
        (("--from", "tomorrow"), 2, "cli.usage"),
    ],
)
def test_what_makes_no_root_makes_none(
    run: Run, authority: Path, words: tuple[str, ...], status: int, code: str
) -> None:
    run("rekey", *words).error(status, code)
    assert not (authority / "iaca-2.pem").exists()
    assert run("rekey").status == 0
    assert certificate(authority / "iaca-2.pem").crl_uris == ("https://mdl.example/iaca-2.crl",)


def test_a_file_of_a_later_root_that_is_missing_is_written_again(run: Run, authority: Path) -> None:
    assert run("rekey", "--link").status == 0
    names = ("iaca-2.pem", "iaca-2.crl", "iaca-2-link.pem", "crl/iaca-2-000001.crl")
    before = {name: (authority / name).read_bytes() for name in names}
    for name in names:
        (authority / name).unlink()
    assert run("ds").status == 0
    assert {name: (authority / name).read_bytes() for name in names} == before
    (authority / "iaca-2-link.pem").write_bytes(before["iaca-2.pem"])
    run("ds").error(3, "authority.file_changed")


# --- plan, rotate, rules ---------------------------------------------------------------------------------------------


def test_the_plan_is_a_calendar(run: Run) -> None:
    outcome = run("plan", "--until", "3y")
    assert outcome.status == 0
    assert "make the document signer after" in outcome.out
    assert "nothing is due now" in outcome.out
    entries = run("plan", "--until", "3y", "--json").json["entries"]
    assert [(one["task"], one["forecast"]) for one in entries] == [("crl", False), ("signer", False), ("signer", True)]
    for period in ("0d", "5", "d", "-5d", "101y", "99999999d"):
        run("plan", "--until", period).error(2, "cli.usage")


def test_rotate_does_what_is_due_and_no_more(run: Run, authority: Path, later: Callable[[float], datetime]) -> None:
    assert run("rotate").out == "nothing is due\n"
    later(415)
    dry = run("rotate", "--dry-run", "--json")
    assert [(one["task"], one["result"]) for one in dry.json["done"]] == [("crl", None), ("signer", None)]
    assert not (authority / "ds-2.pem").exists()
    done = run("rotate", "--json").json["done"]
    assert [(one["task"], one["result"]) for one in done] == [("crl", "number 2"), ("signer", "ds-2")]
    assert run("rotate").out == "nothing is due\n"


def test_the_next_root_is_made_when_it_is_asked_for(
    run: Run, authority: Path, later: Callable[[float], datetime]
) -> None:
    later(1400)
    outcome = run("rotate")
    assert outcome.status == 0
    assert "mdl issuer rekey makes it" in outcome.out
    assert not (authority / "iaca-2.pem").exists()
    later(1470)
    assert run("rotate").status == 1  # past its deadline
    assert run("rotate", "--rekey").status == 0
    assert (authority / "iaca-2.pem").exists()


def test_rules_are_kept_and_followed(run: Run, authority: Path, later: Callable[[float], datetime]) -> None:
    assert run("rules", "--set", "signer-days=90", "credential-days=14", "crl-days=60").status == 0
    assert run("rules", "--json").json["signer_days"] == 90
    run("rules", "--set", "crl-days=91").error(2, "lifecycle.rules")
    run("rules", "--set", "weather=5").error(2, "cli.usage")
    later(430)
    assert run("rotate").status == 0
    signer = certificate(authority / "ds-2.pem")
    assert signer.not_after - signer.not_before == 90 * DAY
    crl = Crl.decode((authority / "iaca.crl").read_bytes())
    assert (crl.next_update or crl.this_update) - crl.this_update == 60 * DAY


# --- status ----------------------------------------------------------------------------------------------------------


def test_status_tells_a_monitoring_system_by_its_exit_status(run: Run, later: Callable[[float], datetime]) -> None:
    assert run("status", "--expiring", "30d").status == 0
    assert run("status", "--expiring", "2y").status == 1
    later(415)
    outcome = run("status")
    assert outcome.status == 1
    assert outcome.out.startswith("2 of 4 need attention.\n")
    assert run("rotate").status == 0
    assert run("status").status == 0


def test_status_comes_in_four_forms(run: Run, tmp_path: Path) -> None:
    texts = {form: run("status", "--format", form).out for form in ("text", "json", "csv", "html")}
    assert texts["text"].startswith("None of 4 dates needs attention.\n")
    assert len(json.loads(texts["json"])["items"]) == 4
    assert texts["csv"].count("\n") == 5
    assert texts["html"].startswith("<!DOCTYPE html>")
    assert texts["html"].count("<rect ") == 4
    for form in texts:
        file = tmp_path / f"report.{form}"
        assert run("status", "--format", form, "--output", file).out == ""
        assert file.read_text().splitlines()[0] == texts[form].splitlines()[0]
    assert run("status", "--json").json["alarms"] == 0
    assert run("status", "--json", "--format", "csv").json["error"]["code"] == "status.format"
    run("status", "--output", tmp_path / "no" / "folder").error(4, "authority.unwritable")


def test_somebody_is_told_when_something_expires(run: Run, tmp_path: Path, later: Callable[[float], datetime]) -> None:
    out = tmp_path / "notice"
    script = tmp_path / "tell.py"
    script.write_text(f"import sys\nopen({str(out)!r}, 'w').write(sys.stdin.read())\n")
    command = f"{sys.executable} {script}"
    assert run("status", "--notify-command", command).status == 0
    assert not out.exists()  # there was nothing to tell
    later(420)
    assert run("status", "--notify-command", command).status == 1
    notice = json.loads(out.read_text())
    assert notice["authority"] == "Utopia Motor Vehicles IACA"
    assert "signing-window" in {one["kind"] for one in notice["items"] if one["state"] == "expiring"}
    outcome = run("status", "--notify-command", "/no/such/command")
    assert (outcome.status, "notify.command" in outcome.err) == (4, True)
    assert "need attention" in outcome.out  # the report came first
    run("status", "--notify-url", "http://mdl.example/").error(2, "notify.url")
    run("status", "--notify-command", "x", "--notify-url", "https://mdl.example/").error(2, "cli.usage")

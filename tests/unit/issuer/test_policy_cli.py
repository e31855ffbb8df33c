"""``mdl issuer policy`` and ``--as ROLE``: who may do what, and that a refusal is on record."""

import argparse
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from issuer.audit import Actor, AuditRecord, Event
from issuer.authority import Authority
from issuer.capabilities import COMMANDS
from issuer.cli import add_commands
from issuer.policy import IssuancePolicy
from mdl.cli import main
from mdl.errors import ProfileError
from tests.authorities import INIT, Outcome, licence, public_key_file, require_softhsm
from tests.ceremonies import write
from tests.parts import look_again

pytestmark = pytest.mark.hsm
Run = Callable[..., Outcome]

STRICT = """
version = 1
[keys]
document-signer = ["P-256"]
[days]
document-signer = 90
[credentials]
days = 14
mandatory."org.iso.18013.5.1" = ["sex"]
[roles]
required = true
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("MDL_ROLE", raising=False)

    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        look_again()  # copies of an authority have copies of one token
        status = main([*map(str, words)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_softhsm()
    folder = tmp_path_factory.mktemp("template") / "authority"
    assert main(["issuer", "init", "--dir", str(folder), *INIT]) == 0
    assert main(["issuer", "ds", "--dir", str(folder), "--days", "60"]) == 0
    return folder


@pytest.fixture
def strict(run: Run, authority: Path, tmp_path: Path) -> Path:
    """An authority under a policy that asks for roles."""
    file = write(tmp_path / "policy.toml", STRICT)
    assert run("issuer", "policy", "set", file, "--dir", authority).status == 0
    return authority


def refusals(folder: Path) -> list[tuple[str, str, Actor]]:
    with Authority(folder).audit_records() as records:
        found = [AuditRecord.decode(one.record) for one in records]
    return [(one.subjects["verb"], one.subjects["code"], one.actor) for one in found if one.event is Event.REFUSAL]


def verbs() -> Iterator[str]:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_commands(commands)
    for name, inner in commands.choices.items():
        nested = [one for one in inner._actions if isinstance(one, argparse._SubParsersAction)]
        yield from (f"{name} {below}" for one in nested for below in one.choices)
        if not nested:
            yield name


def test_every_verb_of_the_issuer_is_somebodys() -> None:
    assert {*verbs()} <= COMMANDS


def test_a_policy_is_shown_as_it_was_set(run: Run, authority: Path, tmp_path: Path) -> None:
    default = run("issuer", "policy", "show", "--dir", authority)
    assert IssuancePolicy.parse(default.out) == IssuancePolicy()
    file = write(tmp_path / "policy.toml", STRICT)
    assert "sound" in run("issuer", "policy", "check", file).out
    assert run("issuer", "policy", "set", file, "--dir", authority).status == 0
    shown = run("issuer", "policy", "show", "--dir", authority, "--as", "auditor")
    assert IssuancePolicy.parse(shown.out) == IssuancePolicy.parse(STRICT)
    told = run("issuer", "policy", "show", "--dir", authority, "--as", "auditor", "--json").json
    assert told["days"]["document-signer"] == 90
    with Authority(authority).audit_records() as records:
        events = [AuditRecord.decode(one.record) for one in records]
    (changed,) = [one for one in events if one.event is Event.SETTINGS_CHANGED]
    assert changed.actor is Actor.CEREMONY_OFFICER
    assert len(changed.subjects["digest"]) == 32
    assert Authority(authority).verify_audit() == []


def test_a_policy_that_is_none_changes_nothing(run: Run, authority: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "policy.toml", STRICT.replace("90", "900"))
    for verb in (("check", file), ("set", file, "--dir", authority)):
        said = run("issuer", "policy", *verb).error(3, "policy.contradiction")
        assert "policy.toml" in said
        assert "days.document-signer" in said
    assert Authority(authority).policy == IssuancePolicy()
    other = write(tmp_path / "other.toml", 'version = 1\n[credentials]\ndoctypes = ["org.iso.7367.1.mVRC"]\n')
    run("issuer", "policy", "set", other, "--dir", authority).error(1, "policy.doctype")
    assert refusals(authority) == [("policy set", "policy.doctype", Actor.CEREMONY_OFFICER)]


def test_a_founding_takes_a_policy_and_is_held_to_it(run: Run, tmp_path: Path) -> None:
    require_softhsm()
    file = write(tmp_path / "policy.toml", 'version = 1\n[keys]\niaca = ["P-384"]\n')
    folder = tmp_path / "new"
    run("issuer", "init", "--dir", folder, *INIT, "--policy", file).error(1, "policy.curve")
    assert not folder.exists()
    assert run("issuer", "init", "--dir", folder, *INIT, "--policy", file, "--curve", "P-384").status == 0
    assert Authority(folder).policy == IssuancePolicy.parse(file.read_text())


def test_requests_outside_the_policy_are_refused_and_recorded(run: Run, strict: Path, tmp_path: Path) -> None:
    operator = ("--dir", strict, "--as", "signer-operator")
    run("issuer", "ds", *operator, "--curve", "P-384", "--days", "30").error(1, "policy.curve")
    run("issuer", "ds", *operator, "--days", "91").error(1, "policy.certificate_days")
    files = ("--device-key", public_key_file(tmp_path), "--out", tmp_path / "l.cbor")
    service = (*files, "--dir", strict, "--as", "issuing-service")
    record = licence(tmp_path, sex=1)
    run("issuer", "issue", record, *service, "--valid-days", "15").error(1, "policy.credential_days")
    run("issuer", "issue", licence(tmp_path), *service, "--valid-days", "14").error(1, "policy.mandatory")
    assert not (tmp_path / "l.cbor").exists()
    assert run("issuer", "issue", licence(tmp_path, sex=1), *service, "--valid-days", "14").status == 0
    assert [one[:2] for one in refusals(strict)] == [
        ("ds", "policy.curve"),
        ("ds", "policy.certificate_days"),
        ("issue", "policy.credential_days"),
        ("issue", "policy.mandatory"),
    ]


def test_the_next_root_is_held_to_the_policy(run: Run, authority: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "policy.toml", 'version = 1\n[keys]\niaca = ["P-384"]\n[days]\niaca = 4000\n')
    assert run("issuer", "policy", "set", file, "--dir", authority).status == 0
    known = Authority(authority)
    for curve, days in (("P-256", 4000), ("P-384", 4001)):
        with pytest.raises(ProfileError, match=r"policy\."):
            known.rekey(at=lambda: datetime.now(UTC), curve=curve, days=days)
    assert [one[:2] for one in refusals(authority)] == [
        ("rekey", "policy.curve"),
        ("rekey", "policy.certificate_days"),
    ]
    assert len(known.roots) == 1


def test_a_role_that_calls_what_is_not_its_own_is_refused_and_recorded(run: Run, authority: Path) -> None:
    said = run("issuer", "ds", "--dir", authority, "--as", "auditor").error(1, "policy.role")
    assert "signer-operator" in said
    run("issuer", "crl", "--dir", authority, "--as", "issuing-service", "--json")
    assert refusals(authority) == [
        ("ds", "policy.role", Actor.AUDITOR),
        ("crl", "policy.role", Actor.ISSUING_SERVICE),
    ]
    assert run("issuer", "crl", "--dir", authority, "--as", "signer-operator").status == 0
    assert Authority(authority).verify_audit() == []


def test_the_role_may_stand_in_the_environment(run: Run, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDL_ROLE", "auditor")
    run("issuer", "ds", "--dir", authority).error(1, "policy.role")
    assert run("issuer", "audit", "verify", "--dir", authority).status == 0
    assert run("issuer", "crl", "--dir", authority, "--as", "signer-operator").status == 0  # what is said goes before
    monkeypatch.setenv("MDL_ROLE", "janitor")
    run("issuer", "audit", "verify", "--dir", authority).error(1, "policy.role")


def test_where_a_policy_asks_for_roles_nothing_is_done_without(run: Run, strict: Path, tmp_path: Path) -> None:
    run("issuer", "crl", "--dir", strict).error(1, "policy.role_required")
    run("issuer", "audit", "verify", "--dir", strict).error(1, "policy.role_required")
    file = write(tmp_path / "open.toml", "version = 1\n")
    run("issuer", "policy", "set", file, "--dir", strict, "--as", "signer-operator").error(1, "policy.role")
    assert len(refusals(strict)) == 3
    assert run("issuer", "policy", "set", file, "--dir", strict, "--as", "ceremony-officer").status == 0
    assert run("issuer", "crl", "--dir", strict).status == 0


def test_roles_are_a_closed_set(run: Run, authority: Path) -> None:
    assert run("issuer", "crl", "--dir", authority, "--as", "janitor").status == 2


def test_everybody_may_verify_a_record_and_only_the_officer_holds_a_ceremony(run: Run, tmp_path: Path) -> None:
    run("issuer", "ceremony", tmp_path / "s.toml", "--as", "signer-operator").error(1, "policy.role")
    record = write(tmp_path / "record.json", json.dumps({}))
    run("issuer", "ceremony", "verify", record, "--as", "auditor").error(3, "ceremony.record")

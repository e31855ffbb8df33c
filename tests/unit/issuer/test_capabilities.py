"""Who can do what: one table, judged by the library and by the command alike, and told by the audit log."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest

from issuer import lifecycle, revocation
from issuer.audit import Acting, Actor, AuditRecord, Event, decode_log, encode_line
from issuer.authority import Authority, Founding
from issuer.batches import BatchIssuer
from issuer.capabilities import OPERATIONS, ROLES, Capability, capabilities_of
from issuer.ceremony import Ceremony, Script
from issuer.certifying import Certifying
from issuer.handover import Joining, OnlineSide
from issuer.issuance import CredentialIssuer, Order
from issuer.lifecycle import Rules, rotate, set_rules
from issuer.policy import IssuancePolicy, PolicyInForce
from issuer.publishing import Publisher
from issuer.revocation import revoke_all_of, revoke_certificate, revoke_credential, revoke_credentials, sign_due
from issuer.status import ListSigner
from issuer.store import Role, SqliteStore
from issuer.store.copies import write_copy
from issuer.workplace import STORE_FILE, Workplace
from mdl.cli import main
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError, SigningError
from mdl.mdoc import ValidityInfo
from mdl.pki import Crl, Subject
from mdl.testing import deterministic_key, sample_licence
from tests import ceremonies
from tests.authorities import INIT, content
from tests.listed import AUTHORITY, LIST_SIGNER, issue
from tests.recovery import World
from tests.status_forgery import LIST_KEY
from tests.stores import NOW

DS = AUTHORITY.ds_certificate
ROOT = AUTHORITY.iaca_certificate
LOCK = re.compile(r"(^|/)\.mdl\.([a-z]+\.)?lock$")
ADA = Acting(Actor.SIGNER_OPERATOR, "Ada Sample", "desk-1")


def later() -> datetime:
    return NOW + timedelta(minutes=5)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(str(tmp_path / "unused.db"), tmp_path)
    world.clock.advance(minutes=1)
    return world


def role_with(*capabilities: Capability, required: bool = False) -> IssuancePolicy:
    """A policy in which the signers' operator has these capabilities, and no others."""
    changed = MappingProxyType({**ROLES, Actor.SIGNER_OPERATOR: frozenset(capabilities)})
    return IssuancePolicy(capabilities=changed, role_required=required)


def put(world: World, policy: IssuancePolicy) -> None:
    Authority(world.folder).set_policy(policy, at=world.clock)


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def kept(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for the empty files of locks."""
    return {name: data for name, data in content(folder).items() if not LOCK.search(name)}


def last(folder: Path) -> AuditRecord:
    with Authority(folder).audit_records() as records:
        return [AuditRecord.decode(one.record) for one in records][-1]


# --- the table --------------------------------------------------------------------------------------------------------

READING = {
    "Authority": {
        "alone", "check_orders", "crl_file", "current_crl", "doctype", "folder", "half_pairs", "left_over",
        "open_store", "pin_file", "policy", "refuse", "require", "root", "root_file", "roots", "token",
    },
    "OnlineSide": {
        "alone", "backup", "folder", "half_pairs", "left_over", "open_store", "pin_file", "require", "restore", "token",
    },
    "BatchIssuer": {"certificate", "check", "issue", "issue_batch", "issue_good", "withdraw"},
    "Publisher": {"current", "vicals"},
    "ListSigner": {"due", "sign_due"},
    "Ceremony": set(),
    "lifecycle": {"plan", "expiring"},
    "revocation": {"due_crls"},
}  # fmt: skip
"""What needs no capability of its own: it reads, or does what another method or operation of the table is asked for."""


def public(owner: Any) -> Iterator[str]:
    if inspect.ismodule(owner):
        yield from (name for name in owner.__all__ if inspect.isfunction(getattr(owner, name)))
    else:
        yield from (name for name in dir(owner) if not name.startswith("_"))


@pytest.mark.parametrize(
    "owner", [Authority, OnlineSide, BatchIssuer, Publisher, ListSigner, Ceremony, lifecycle, revocation]
)
def test_every_public_method_that_changes_something_stands_in_the_table(owner: Any) -> None:
    name = owner.__name__.rpartition(".")[2]
    judged = {one.partition(".")[2] for row in OPERATIONS for one in row.methods if one.startswith(f"{name}.")}
    assert judged <= {*public(owner)} <= judged | READING[name]
    assert not judged & READING[name]


def test_every_capability_is_needed_for_something_and_had_by_somebody() -> None:
    needed = frozenset().union(*(one.needs for one in OPERATIONS))
    assert needed == {*Capability} == frozenset().union(*ROLES.values())
    assert len({one.name for one in OPERATIONS}) == len(OPERATIONS)
    assert all(capabilities_of(one.name) == one.needs for one in OPERATIONS)


# --- the library ------------------------------------------------------------------------------------------------------


def in_store(act: Callable[[Any], object]) -> Callable[[Authority], object]:
    def run(authority: Authority) -> object:
        with authority.open_store() as store:
            return act(store)

    return run


def opening(role: Role) -> Callable[[Authority], object]:
    def run(authority: Authority) -> None:
        with authority.open_signer(role, at=later):
            pass

    return run


def issuing(authority: Authority) -> None:
    with authority.open_issuer(at=later):
        pass


def records_of(authority: Authority) -> None:
    with authority.audit_records() as records:
        assert [*records]


def signing_a_list(store: Any) -> None:
    ours = ListSigner(store, LIST_KEY, LIST_SIGNER, key="revocation-list-1", root=ROOT, at=later)
    for record in ours.due(all_lists=True):
        ours.sign(record)


def holding(authority: Authority) -> object:
    folder = authority.folder.parent
    text = ceremonies.head() + ceremonies.opening("present") + ceremonies.RECORD
    return Ceremony(
        Script.read(ceremonies.write(folder / "script.toml", text)),
        authority=authority.folder,
        out=folder / "ceremony",
        confirm=ceremonies.both,
        secret=lambda _: "1234",
        at=later,
        actor=authority._actor,
    ).hold()


def online(act: Callable[[OnlineSide], object]) -> Callable[[Authority], object]:
    return lambda authority: act(OnlineSide(authority.folder, actor=authority._actor))


LIBRARY: list[tuple[Capability, str, Callable[[Authority], object]]] = [
    (Capability.AUTHORITY_READ, "read", lambda one: one.require("status", at=later)),
    (Capability.AUDIT_READ, "read", lambda one: one.verify_audit()),
    (Capability.AUDIT_READ, "read", lambda one: one.examine_audit()),
    (Capability.AUDIT_READ, "read", records_of),
    (Capability.AUDIT_CHECKPOINT, "sign", lambda one: one.sign_checkpoint(at=later)),
    (Capability.SETTINGS_CHANGE, "set", lambda one: one.set_policy(IssuancePolicy(), at=later)),
    (Capability.RULES_CHANGE, "set", lambda one: set_rules(one, Rules(crl_days=14), at=later)),
    (Capability.ROOT_MAKE, "rekey", lambda one: one.rekey(at=later)),
    (Capability.ROOT_MAKE, "rekey --link", lambda one: one.rekey(at=later, link=True)),
    (
        Capability.ROOT_MAKE,
        "found",
        lambda one: one.found_ca(Role.READER_CA, at=later, crl_uri="https://mdl.example/r.crl"),
    ),
    (Capability.ROOT_USE, "rekey --link", lambda one: one.rekey(at=later, link=True)),
    (Capability.ROOT_USE, "crl", lambda one: one.publish_crl(at=later)),
    (Capability.ROOT_USE, "crl --revoke", lambda one: one.publish_crl(at=later, revoke=iter([DS.serial]))),
    (Capability.ROOT_USE, "ds", lambda one: one.certify_signer(at=later)),
    (Capability.ROOT_USE, "certify", lambda one: one.certify(Role.READER, at=later)),
    (
        Capability.ROOT_USE,
        "certify --csr",
        lambda one: one.certify(Role.DOCUMENT_SIGNER, at=later, request=b"none"),
    ),
    (Capability.ROOT_USE, "rotate", lambda one: rotate(one, at=later)),
    (
        Capability.ROOT_GIVE_UP,
        "give up",
        lambda one: one.give_up_root(ROOT.serial, at=later, is_compromised=False),
    ),
    (Capability.CEREMONY_HOLD, "hold", holding),
    (Capability.SIGNER_MAKE, "ds", lambda one: one.certify_signer(at=later)),
    (Capability.SIGNER_MAKE, "certify", lambda one: one.certify(Role.STATUS_SIGNER, at=later)),
    (Capability.SIGNER_MAKE, "csr", online(lambda side: side.request(at=later))),
    (Capability.SIGNER_USE, "open", opening(Role.READER)),
    (Capability.CERTIFICATE_ACCEPT, "accept", online(lambda side: side.accept(b"none", at=later))),
    (Capability.CERTIFICATE_REVOKE, "crl --revoke", lambda one: one.publish_crl(at=later, revoke=[DS.serial])),
    (Capability.CERTIFICATE_REVOKE, "revoke", in_store(lambda store: revoke_certificate(store, DS.serial, at=later))),
    (Capability.CREDENTIAL_ISSUE, "issue", issuing),
    (Capability.CREDENTIAL_ISSUE, "open", opening(Role.DOCUMENT_SIGNER)),
    (Capability.CREDENTIAL_REVOKE, "revoke", in_store(lambda store: revoke_credential(store, bytes(16), at=later))),
    (
        Capability.CREDENTIAL_REVOKE,
        "revoke several",
        in_store(lambda store: revoke_credentials(store, [bytes(16), bytes(16)], at=later)),
    ),
    (Capability.CREDENTIAL_REVOKE, "revoke all", in_store(lambda store: revoke_all_of(store, DS.serial, at=later))),
    (Capability.LIST_SIGN, "open", opening(Role.STATUS_SIGNER)),
    (Capability.LIST_SIGN, "sign", in_store(signing_a_list)),
    (Capability.LIST_RETIRE, "retire", lambda one: one.require("retire-list", at=later)),
    (Capability.LIST_MOVE, "move", lambda one: one.require("move-list", at=later)),
    (
        Capability.PUBLICATION_PUBLISH,
        "publish",
        lambda one: in_store(lambda store: Publisher(store, one.folder.parent / "out").publish(at=later))(one),
    ),
    (Capability.VICAL_SIGN, "open", opening(Role.VICAL_SIGNER)),
    (Capability.STORE_BACKUP, "backup", lambda one: one.backup(one.folder.parent / "copy")),
    (Capability.STORE_RESTORE, "restore", lambda one: one.restore(at=later)),
    (
        Capability.STORE_RESTORE,
        "restore --from",
        lambda one: one.restore(at=later, copy=one.folder.parent / "kept"),
    ),
]


@pytest.mark.parametrize("lacking", [one for one in Capability if one is not Capability.AUTHORITY_FOUND])
def test_an_actor_without_the_capability_is_refused_in_the_library(
    world: World, tmp_path: Path, lacking: Capability
) -> None:
    runs = [run for capability, _, run in LIBRARY if capability is lacking]
    assert runs
    issue_a_few(world)
    put(world, role_with(*(one for one in Capability if one is not lacking)))
    with SqliteStore(world.folder / STORE_FILE) as store:
        write_copy(store, tmp_path / "kept")
    before, outside = kept(world.folder), {*names(tmp_path), "script.toml"}
    for number, run in enumerate(runs):
        with pytest.raises(IssuanceError) as caught:
            run(Authority(world.folder, actor=ADA))
        assert (caught.value.code, lacking.value in caught.value.message) == ("policy.role", True)
        assert kept(world.folder) == before
        assert names(tmp_path) <= outside
        with Authority(world.folder).audit_records() as records:
            told = [AuditRecord.decode(one.record) for one in records][-number - 2 :]
        assert [one.event for one in told] == [Event.SETTINGS_CHANGED, *[Event.REFUSAL] * (number + 1)]
        assert (told[-1].subjects["code"], told[-1].acting) == ("policy.role", ADA)
    assert Authority(world.folder).verify_audit() == []
    # The same with it, and nothing else said, is no longer a matter of the role.
    world.clock.advance(minutes=5)
    put(world, role_with(*Capability))
    for run in runs:
        code = ""
        try:
            run(Authority(world.folder, actor=ADA))
        except MdlError as exc:
            code = exc.code
        assert not code.startswith("policy.")


def issue_a_few(world: World) -> None:
    with SqliteStore(world.folder / STORE_FILE) as store:
        issue(store, 2, world.clock)


def test_who_may_not_found_makes_nothing(tmp_path: Path) -> None:
    policy = role_with(*(one for one in Capability if one is not Capability.AUTHORITY_FOUND))
    founding = Founding(
        subject=Subject(country="XU", common_name="Utopia IACA"),
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
        policy=policy,
    )
    joining = Joining(root=ROOT, crl=Crl.decode(AUTHORITY.crl()), policy=policy)
    strict = replace(policy, role_required=True)
    for make in (
        lambda folder, actor, allowed: Authority.found(folder, replace(founding, policy=allowed), at=NOW, actor=actor),
        lambda folder, actor, allowed: OnlineSide.join(folder, replace(joining, policy=allowed), at=NOW, actor=actor),
    ):
        for actor in (ADA, ADA.role):
            with pytest.raises(IssuanceError, match=r"policy\.role\]"):
                make(tmp_path / "new", actor, policy)
        with pytest.raises(IssuanceError, match=r"policy\.role_required"):
            make(tmp_path / "new", None, strict)
    assert not (tmp_path / "new").exists()


def test_a_store_that_was_opened_in_a_role_is_changed_by_operations_only(world: World) -> None:
    for actor in Actor:
        with Authority(world.folder, actor=actor).open_store() as store:
            with (
                pytest.raises(IssuanceError, match=r"policy\.role"),
                store.transaction(at=later, actor=Actor.CEREMONY_OFFICER) as tx,
            ):
                tx.put_settings({})
            with store.reading() as reader:
                settings = reader.settings()
                assert settings is not None
                assert settings.version == 1
    with Authority(world.folder).open_store() as store, store.transaction(at=later, actor=Actor.AUDITOR) as tx:
        tx.record(Event.CHECKPOINT, label="audit-1")  # nobody named a role: what the caller does is its own affair
    assert last(world.folder).acting is None


def test_another_role_for_a_call_than_the_authority_was_opened_in_is_refused(world: World) -> None:
    auditor = Authority(world.folder, actor=Actor.AUDITOR)
    with pytest.raises(IssuanceError, match=r"policy\.role"):
        auditor.set_policy(IssuancePolicy(), at=later, actor=Actor.CEREMONY_OFFICER)
    with pytest.raises(IssuanceError, match=r"policy\.role"):
        auditor.give_up_root(ROOT.serial, at=later, is_compromised=True, actor=Actor.CEREMONY_OFFICER)
    with auditor.open_store() as store, pytest.raises(IssuanceError, match=r"policy\.role"):
        revoke_certificate(store, DS.serial, at=later, actor=Actor.CEREMONY_OFFICER)
    assert last(world.folder).acting == Acting(Actor.AUDITOR)
    officer = Acting(Actor.CEREMONY_OFFICER, "Bo Sample")
    Authority(world.folder, actor=officer).set_policy(IssuancePolicy(), at=later, actor=Actor.CEREMONY_OFFICER)
    assert last(world.folder).acting == officer


@pytest.mark.parametrize("actor", [Actor.ISSUING_SERVICE, Acting(Actor.ISSUING_SERVICE, "the night job")])
def test_a_role_that_is_named_to_a_function_is_judged(world: World, actor: Actor | Acting) -> None:
    with SqliteStore(world.folder / STORE_FILE) as store:
        (one, _) = issue(store, 2, world.clock)
        with pytest.raises(IssuanceError, match=r"certificate\.revoke"):
            revoke_certificate(store, DS.serial, at=later, actor=actor)
        assert revoke_credential(store, one.reference, at=later, actor=actor).credentials == 1
        with store.reading() as reader:
            assert reader.revoked_serials(ROOT.fingerprint) == {}
    assert last(world.folder).actor is Actor.ISSUING_SERVICE
    assert last(world.folder).acting is not None


class Desk(Authority):
    """An authority whose root key is not there."""

    def publish_crl(self, **_: Any) -> Any:
        raise SigningError("there is no such key", code="signing.key_missing")


def test_who_may_not_use_the_root_leaves_its_crl_to_others(world: World) -> None:
    evidence = sign_due(Desk(world.folder, actor=Actor.ISSUING_SERVICE), at=lambda: NOW + timedelta(days=40))
    assert evidence.waiting == (ROOT,)
    assert (evidence.crls, evidence.failures) == ((), ())


def test_a_rotation_leaves_to_others_what_is_not_the_roles(world: World) -> None:
    officer = Desk(world.folder, actor=Actor.CEREMONY_OFFICER)
    at = DS.not_after - timedelta(days=20)
    done = rotate(officer, at=at)
    left = {one.entry.name: one.left for one in done if one.entry.task is not lifecycle.Task.CRL}
    assert left
    assert {*left.values()} == {"the policy gives this to another role"}
    with pytest.raises(IssuanceError, match=r"root\.use"):
        rotate(Authority(world.folder, actor=Actor.AUDITOR), at=at)


def test_a_service_that_lost_its_capability_stops_at_the_next_batch(world: World) -> None:
    with SqliteStore(world.folder / STORE_FILE) as store:
        store.acting = Acting(Actor.ISSUING_SERVICE)
        issuer = BatchIssuer(
            store,
            CredentialIssuer(AUTHORITY.ds_key, DS, doctype="org.iso.18013.5.1.mDL"),
            key="ds-1",
            sign_many=lambda messages: [AUTHORITY.ds_key.sign(one) for one in messages],
            at=later,
            policy=PolicyInForce(store),
        )
        order = Order(
            namespaces=sample_licence(),
            device_key=deterministic_key("a holder").public_key,
            validity=ValidityInfo(signed=later(), valid_from=later(), valid_until=later() + timedelta(days=10)),
        )
        assert len(issuer.issue_batch([order])) == 1
        world.clock.advance(minutes=5)
        put(world, IssuancePolicy(capabilities={**ROLES, Actor.ISSUING_SERVICE: frozenset()}))
        for again in (lambda: issuer.issue_batch([order]), lambda: issuer.issue_good([order])):
            with pytest.raises(IssuanceError, match=r"policy\.role"):
                again()
        assert last(world.folder).subjects["code"] == "policy.role"


# --- what is put back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [False, True], ids=["store there", "store lost"])
@pytest.mark.parametrize("who", [Actor.ISSUING_SERVICE, None])
def test_a_copy_is_put_back_only_by_whom_its_policy_and_the_stores_allow(
    world: World, tmp_path: Path, who: Actor | None, lost: bool
) -> None:
    copy, code = tmp_path / "kept", "policy.role"
    if who is None:
        put(world, IssuancePolicy(role_required=True))
        code = "policy.role_required"
    with SqliteStore(world.folder / STORE_FILE) as store:
        write_copy(store, copy)
        if not lost:
            issue(store, 1, world.clock)
    if lost:
        (world.folder / STORE_FILE).unlink()
    before = kept(world.folder)
    with pytest.raises(IssuanceError) as caught:
        Workplace(world.folder, actor=who).restore(at=later, copy=copy)
    assert caught.value.code == code
    assert kept(world.folder) == before
    if not lost:
        assert last(world.folder).subjects == {"verb": "restore", "code": code}
    # Who may, is not kept from it by the role.
    operator = Workplace(world.folder, actor=Actor.SIGNER_OPERATOR)
    if lost:
        assert operator.restore(at=later, copy=copy).skipped
        assert last(world.folder).acting == Acting(Actor.SIGNER_OPERATOR)
    else:
        with pytest.raises(LocalProtocolError, match=r"store\.conflict"):
            operator.restore(at=later, copy=copy)


@pytest.mark.parametrize("where", ["copy", "store"])
def test_one_policy_that_refuses_a_restore_is_enough(world: World, tmp_path: Path, where: str) -> None:
    closed = role_with(*(one for one in Capability if one is not Capability.STORE_RESTORE))
    put(world, closed if where == "copy" else IssuancePolicy())
    copy = tmp_path / "kept"
    with SqliteStore(world.folder / STORE_FILE) as store:
        write_copy(store, copy)
    put(world, IssuancePolicy() if where == "copy" else closed)
    before = kept(world.folder)
    with pytest.raises(MdlError) as caught:
        Workplace(world.folder, actor=Actor.SIGNER_OPERATOR).restore(at=later, copy=copy)
    # A store that is there and newer is never replaced; a policy that forbids it is asked first.
    assert caught.value.code == ("store.conflict" if where == "copy" else "policy.role")
    assert kept(world.folder) == before
    (world.folder / STORE_FILE).write_bytes(b"no store")
    if where == "copy":
        with pytest.raises(IssuanceError, match=r"policy\.role"):
            Workplace(world.folder, actor=Actor.SIGNER_OPERATOR).restore(at=later, copy=copy)
        assert (world.folder / STORE_FILE).read_bytes() == b"no store"


# --- the command ------------------------------------------------------------------------------------------------------

COMMANDS: list[tuple[Capability, str]] = [
    *((Capability.AUTHORITY_READ, one) for one in ("status", "plan", "watch", "lists", "policy show", "rules")),
    *((Capability.AUDIT_READ, one) for one in ("audit verify", "audit report", "audit export")),
    (Capability.AUDIT_CHECKPOINT, "audit checkpoint"),
    (Capability.SETTINGS_CHANGE, "policy set {policy}"),
    (Capability.RULES_CHANGE, "rules --set crl-days=14"),
    (Capability.ROOT_MAKE, "rekey"),
    (Capability.ROOT_MAKE, "certify --role reader-ca --crl-url https://mdl.example/r.crl"),
    (Capability.ROOT_USE, "rekey --link"),
    (Capability.ROOT_USE, "crl"),
    (Capability.ROOT_USE, "ds"),
    (Capability.ROOT_USE, "certify --role reader --csr {policy}"),
    (Capability.ROOT_USE, "rotate"),
    (Capability.ROOT_USE, "private-ca --ca awspca:///arn --root-out {folder}/r.pem"),
    (Capability.ROOT_GIVE_UP, f"give-up-root {ROOT.serial:x} --reason lost"),
    (Capability.CEREMONY_HOLD, "ceremony {policy}"),
    (Capability.SIGNER_MAKE, "ds"),
    (Capability.SIGNER_MAKE, "certify --role revocation-list"),
    (Capability.SIGNER_MAKE, "csr"),
    (Capability.CERTIFICATE_ACCEPT, "accept {policy}"),
    (Capability.CERTIFICATE_REVOKE, f"crl --revoke {DS.serial:x}"),
    (Capability.CERTIFICATE_REVOKE, f"revoke --certificate {DS.serial:x}"),
    (Capability.CREDENTIAL_ISSUE, "issue {policy} --device-key {policy} --out {folder}/l.cbor"),
    (Capability.CREDENTIAL_REVOKE, f"revoke --credential {'00' * 16}"),
    (Capability.CREDENTIAL_REVOKE, f"revoke --credential {'00' * 16} {'11' * 16}"),
    (Capability.CREDENTIAL_REVOKE, "revoke --references {policy}"),
    (Capability.CREDENTIAL_REVOKE, f"revoke --all-of {DS.serial:x}"),
    (Capability.LIST_RETIRE, "retire-list x"),
    (Capability.LIST_MOVE, "move-list x y"),
    (Capability.PUBLICATION_PUBLISH, "publish {folder}/www"),
    (Capability.VICAL_SIGN, "vical --root {policy} --doctype x --provider P --out {folder}/v.cbor"),
    (Capability.STORE_BACKUP, "backup --out {folder}/copy"),
    (Capability.STORE_RESTORE, "restore"),
    (Capability.STORE_RESTORE, "restore --from {folder}/kept"),
]


@pytest.mark.parametrize("lacking", dict.fromkeys(one for one, _ in COMMANDS))
def test_an_actor_without_the_capability_is_refused_by_the_command(
    world: World, tmp_path: Path, lacking: Capability, capsys: pytest.CaptureFixture[str]
) -> None:
    put(world, role_with(*(one for one in Capability if one is not lacking)))
    (tmp_path / "policy.toml").write_text("version = 1\n")
    with SqliteStore(world.folder / STORE_FILE) as store:
        write_copy(store, tmp_path / "kept")
    before, outside = kept(world.folder), names(tmp_path)
    for words in [words for capability, words in COMMANDS if capability is lacking]:
        argv = [one.format(policy=tmp_path / "policy.toml", folder=tmp_path) for one in words.split()]
        who = ("--as", ADA.role.value, "--person", "Ada Sample")
        status = main(["issuer", *argv, "--dir", str(world.folder), *who])
        said = capsys.readouterr().err
        assert (status, "[policy.role]" in said, lacking.value in said) == (1, True, True), (words, said)
        assert kept(world.folder) == before
        assert names(tmp_path) == outside
        record = last(world.folder)
        assert (record.event, record.subjects["code"]) == (Event.REFUSAL, "policy.role")
        assert words.startswith(record.subjects["verb"])
        assert record.acting == Acting(ADA.role, "Ada Sample")


def test_the_command_table_has_every_capability() -> None:
    # A signer's key is opened for other programs, and lists are signed by what publishes.
    rest = {Capability.AUTHORITY_FOUND, Capability.SIGNER_USE, Capability.LIST_SIGN}
    assert {one for one, _ in COMMANDS} | rest == {*Capability}


def test_who_may_not_found_is_refused_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, policy = tmp_path / "new", tmp_path / "policy.toml"
    policy.write_text('version = 1\n[roles]\nauditor = ["authority.found"]\nsigner-operator = ["root.use"]\n')
    root, crl = tmp_path / "iaca.pem", tmp_path / "iaca.crl"
    root.write_text(ROOT.pem)
    crl.write_bytes(AUTHORITY.crl())
    joining = ("join", str(root), str(crl), "--sha256", ROOT.fingerprint.hex())
    for words in (("init", *INIT), joining):
        argv = ["issuer", *words, "--dir", str(folder), "--policy", str(policy), "--as", "signer-operator"]
        assert main(argv) == 1
        assert "[policy.role]" in capsys.readouterr().err
    assert not folder.exists()


# --- what the log says ------------------------------------------------------------------------------------------------


def test_the_log_says_whether_a_role_was_named_and_by_whom(world: World) -> None:
    for actor in (None, Actor.SIGNER_OPERATOR, ADA):
        set_rules(Authority(world.folder, actor=actor), Rules(), at=later)
    with Authority(world.folder).audit_records() as found:
        records = [*found][-3:]
    assert [AuditRecord.decode(one.record).acting for one in records] == [None, Acting(Actor.SIGNER_OPERATOR), ADA]
    lines = [encode_line(one) for one in records]
    assert '"actor": "signer-operator", "named": false, "event"' in lines[0]
    assert '"named": true, "event"' in lines[1]
    assert '"named": true, "person": "Ada Sample", "host": "desk-1", "event"' in lines[2]
    assert [*decode_log(lines)] == records
    assert Authority(world.folder).verify_audit() == []


@pytest.mark.parametrize("name", ["", " Ada", "Ada ", "A" * 101, "A\nB", "A\u202eB", "A\x00"])
def test_a_name_that_is_none_is_not_taken(name: str) -> None:
    for given in ({"person": name}, {"host": name}):
        with pytest.raises(LocalProtocolError) as caught:
            Acting(Actor.AUDITOR, **cast("Any", given))
        assert caught.value.code == "policy.person"
        assert not name.strip() or name not in caught.value.message
    assert Acting(Actor.AUDITOR, "Zoë Ωmega 中", "A" * 100).host == "A" * 100


@pytest.mark.parametrize(
    "who",
    [
        ["auditor"], ["auditor", None], ["auditor", None, None, None], ["janitor", None, None], [None, None, None],
        ["auditor", 1, None], ["auditor", None, ""], ["auditor", " A", None], {"auditor": 1}, "janitor", None,
        [["auditor"], None, None],
    ],
)  # fmt: skip
def test_a_record_that_names_nobody_known_is_none(who: object) -> None:
    from mdl.cbor import TDate, encode

    def record(value: object) -> bytes:
        return encode([1, bytes(16), 1, TDate.of(NOW), value, "published", {}, bytes(32)])

    assert AuditRecord.decode(record(["auditor", None, "desk-1"])).acting == Acting(Actor.AUDITOR, None, "desk-1")
    assert AuditRecord.decode(record("auditor")).acting is None
    with pytest.raises(DecodeError, match=r"audit\.record"):
        AuditRecord.decode(record(who))


def test_a_person_and_a_host_come_with_a_role(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = ["issuer", "rekey", "--dir", str(world.folder)]
    assert main([*refused, "--person", "Ada Sample"]) == 2
    assert "[policy.person]" in capsys.readouterr().err
    monkeypatch.setenv("MDL_ROLE", "auditor")
    monkeypatch.setenv("MDL_PERSON", "Bo Sample")
    monkeypatch.setenv("MDL_HOST", "desk-2")
    assert main(refused) == 1
    assert last(world.folder).acting == Acting(Actor.AUDITOR, "Bo Sample", "desk-2")
    assert main([*refused, "--person", "Ada Sample", "--host", "desk-1"]) == 1
    assert last(world.folder).acting == Acting(Actor.AUDITOR, "Ada Sample", "desk-1")


# --- the policy -------------------------------------------------------------------------------------------------------


def test_a_policy_names_capabilities_or_commands_that_stand_for_theirs() -> None:
    text = 'version = 1\n[roles]\nauditor = ["audit.read", "crl"]\nissuing-service = ["issue", "revoke"]\n'
    policy = IssuancePolicy.parse(text)
    assert policy.capabilities[Actor.AUDITOR] == {Capability.AUDIT_READ, Capability.ROOT_USE}
    assert policy.capabilities[Actor.ISSUING_SERVICE] == {Capability.CREDENTIAL_ISSUE, Capability.CREDENTIAL_REVOKE}
    assert IssuancePolicy.parse(policy.to_toml()) == policy
    for none in ("certificate", "root.*", "crl --revoke", "sign-lists", "credential.Issue"):
        with pytest.raises(DecodeError, match=r"policy\.unknown"):
            IssuancePolicy.parse(f'version = 1\n[roles]\nauditor = ["{none}"]\n')


def test_the_issuing_service_cannot_use_the_roots_key_and_nobody_else_issues() -> None:
    can = {
        actor: {one.name for one in OPERATIONS if one.needs <= capabilities} for actor, capabilities in ROLES.items()
    }
    assert can[Actor.ISSUING_SERVICE] == {"read", "issue", "revoke", "sign-lists", "publish"}
    assert can[Actor.AUDITOR] == {"read", "audit read", "checkpoint"}
    assert [actor for actor, what in can.items() if "issue" in what] == [Actor.ISSUING_SERVICE]
    for only in ("policy set", "rekey", "ceremony", "give-up-root"):
        assert [actor for actor, what in can.items() if only in what] == [Actor.CEREMONY_OFFICER]
    assert issubclass(Authority, Certifying)

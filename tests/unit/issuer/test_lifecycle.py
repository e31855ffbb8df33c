"""The calendar: what is due when, what expires, and by which rules; on a store with certificates of software keys."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import Actor
from issuer.certificate_files import crl_record
from issuer.certificates import CertificateAuthority, Iaca, longest_life
from issuer.lifecycle import Entry, Expiry, Rules, State, Task, expiring, plan
from issuer.policy import IssuancePolicy
from issuer.signers import CERTIFIED, Roots, active_signer, choose_document_signer, document_signers, with_start
from issuer.store import Reservation, Role, SignerState, SqliteStore, StatusPlan
from mdl.errors import DecodeError, LocalProtocolError
from mdl.pki import Certificate, Subject
from mdl.testing import deterministic_key

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RULES = Rules()
NAME = Subject(country="XU", state="XU-EX", common_name="Utopia IACA")


class Bench:
    """An authority's store without a token."""

    def __init__(self, file: Path) -> None:
        self.store = SqliteStore(file, create=True)
        self.cas: dict[bytes, CertificateAuthority] = {}
        with self.store.transaction(at=START, actor=Actor.CEREMONY_OFFICER) as tx:
            tx.put_settings({"doctype": "org.iso.18013.5.1.mDL"})

    def root(self, key: str, at: datetime = START, *, days: int = 3285, start: datetime | None = None) -> Certificate:
        ca = Iaca.create(
            deterministic_key(key),
            subject=NAME,
            not_before=at,
            not_after=at + days * DAY,
            crl_uri=f"https://mdl.example/{key}.crl",
            contact_uri="https://mdl.example",
        )
        root = ca.certificate
        self.cas[root.fingerprint] = ca
        self._add(key, Role.IACA, root, root, at)
        with self.store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
            settings = tx.settings()
            assert settings is not None
            tx.put_settings(with_start(settings.document, root, start or at))
        self.crl(root, at)
        return root

    def crl(self, root: Certificate, at: datetime, days: int = 30) -> None:
        with self.store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx:
            number = tx.take_crl_number(root.fingerprint, "iaca")
            crl = self.cas[root.fingerprint].publish_crl(number=number, this_update=at, next_update=at + days * DAY)
            tx.add_crl(crl_record(crl, root.fingerprint))

    def signer(
        self, key: str, root: Certificate, at: datetime = START, *, role: Role = Role.DOCUMENT_SIGNER, days: int = 455
    ) -> Certificate:
        profile = CERTIFIED[role].profile
        certificate = self.cas[root.fingerprint].issue(
            profile,
            deterministic_key(key).public_key,
            common_name=key,
            not_before=at,
            not_after=at + min(days * DAY, longest_life(profile)),
        )
        self._add(key, role, certificate, root, at)
        return certificate

    def _add(self, key: str, role: Role, certificate: Certificate, root: Certificate, at: datetime) -> None:
        with self.store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx:
            tx.add_signer(key, role, certificate.public_key.spki)
            tx.adopt_serial(certificate.serial)
            tx.add_certificate(certificate, role, issuer=root.fingerprint, key=key)

    def change(self, key: str, state: SignerState, at: datetime) -> None:
        with self.store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx:
            tx.set_signer_state(key, state)

    def plan(self, at: datetime, **changes: Any) -> tuple[Entry, ...]:
        with self.store.reading() as reader:
            return plan(reader, changes.pop("rules", RULES), at, **changes)

    def due(self, at: datetime) -> list[tuple[Task, str]]:
        return [(one.task, one.name) for one in self.plan(at)]

    def expiring(self, at: datetime, days: int = 30) -> dict[tuple[str, str], Expiry]:
        with self.store.reading() as reader:
            return {(one.kind, one.name): one for one in expiring(reader, RULES, at, within=days * DAY)}

    def alarms(self, at: datetime, days: int = 30) -> list[tuple[str, str]]:
        return [name for name, one in self.expiring(at, days).items() if one.state.is_alarm]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "store.db")
    yield bench
    bench.store.close()


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"crl_days": 91},
        {"signer_days": 456},
        {"crl_lead_days": 30},
        {"credential_days": 441},
        {"credential_days": 0},
        {"root_signing_days": 2741},
        {"signer_lead_days": True},
    ],
)
def test_rules_that_contradict_the_standard_or_each_other_are_none(changes: dict[str, int]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Rules(**changes)
    assert caught.value.code == "lifecycle.rules"


def test_rules_are_taken_from_the_settings_and_the_policy() -> None:
    assert Rules.of_settings({}) == RULES
    assert Rules.of_settings({"lifecycle": Rules(crl_days=60).to_settings()}) == Rules(crl_days=60)
    policy = IssuancePolicy(days={Role.DOCUMENT_SIGNER: 90}, credential_days=14)
    limited = Rules.of_settings({"policy": policy.to_settings(), "lifecycle": {"signer_days": 400}})
    assert (limited.signer_days, limited.credential_days) == (90, 14)
    for kept in ({"lifecycle": {"unknown": 1}}, {"lifecycle": [1]}):
        with pytest.raises(DecodeError):
            Rules.of_settings(kept)


# --- document signers ------------------------------------------------------------------------------------------------


def test_a_signing_window_closes_a_credentials_life_before_the_certificate(bench: Bench) -> None:
    bench.signer("ds-1", bench.root("iaca"))
    with bench.store.reading() as reader:
        (signer,) = document_signers(reader)
    assert RULES.window_end(signer) == START + 425 * DAY
    entry = next(one for one in bench.plan(START, until=START + 600 * DAY) if one.name == "ds-1")
    assert (entry.due, entry.deadline) == (START + 411 * DAY, START + 425 * DAY)
    assert (entry.task, entry.automatic) == (Task.SIGNER, True)


def test_a_successor_is_due_in_time_and_then_not_any_more(bench: Bench) -> None:
    root = bench.root("iaca")
    bench.signer("ds-1", root)
    bench.crl(root, START + 405 * DAY)
    assert bench.due(START + 411 * DAY - timedelta(seconds=1)) == []
    assert bench.due(START + 411 * DAY) == [(Task.SIGNER, "ds-1")]
    bench.signer("ds-2", root, START + 411 * DAY)
    assert bench.due(START + 411 * DAY) == []
    bench.crl(root, START + 424 * DAY)
    assert bench.due(START + 425 * DAY) == [(Task.RETIRE, "ds-1")]
    bench.change("ds-1", SignerState.RETIRED, START + 425 * DAY)
    assert bench.due(START + 425 * DAY) == []


def test_the_last_signer_is_not_retired_before_its_successor_is_there(bench: Bench) -> None:
    bench.signer("ds-1", bench.root("iaca"))
    assert Task.RETIRE not in {one.task for one in bench.plan(START + 430 * DAY)}


def test_a_revoked_signer_is_followed_at_once(bench: Bench) -> None:
    root = bench.root("iaca")
    signer = bench.signer("ds-1", root)
    with bench.store.transaction(at=START + DAY, actor=Actor.SIGNER_OPERATOR) as tx:
        tx.revoke_certificate(signer.fingerprint)
    assert bench.due(START + DAY) == [(Task.SIGNER, "ds-1")]


def test_where_document_signers_are_elsewhere_none_is_made(bench: Bench) -> None:
    bench.root("iaca")
    assert bench.due(START) == []


def test_a_credential_is_signed_by_the_newest_that_it_does_not_outlive(bench: Bench) -> None:
    root = bench.root("iaca")
    bench.signer("ds-1", root)
    bench.signer("ds-2", root, START + DAY, days=20)
    with bench.store.reading() as reader:
        signers = document_signers(reader)

    def chosen(signed: float, valid_until: float) -> str | None:
        found = choose_document_signer(signers, signed=START + signed * DAY, valid_until=START + valid_until * DAY)
        return None if found is None else found.key

    assert chosen(1, 21) == "ds-2"
    assert chosen(1, 21.5) == "ds-1"
    assert chosen(0.5, 2) == "ds-1"  # signed before the newer one was valid
    assert chosen(1, 456) is None
    assert chosen(-1, 2) is None


# --- roots -----------------------------------------------------------------------------------------------------------


def test_a_root_certifies_from_the_day_that_was_set(bench: Bench) -> None:
    first = bench.root("iaca")
    second = bench.root("iaca-2", START + 10 * DAY, start=START + 100 * DAY)
    with bench.store.reading() as reader:
        roots = Roots(reader)
    for days, expected in ((0, first), (10, first), (99.9, first), (100, second), (4000, second)):
        assert roots.certifying(Role.IACA, START + days * DAY).certificate == expected
    assert [roots.stem(one) for one in roots.of(Role.IACA)] == ["iaca", "iaca-2"]


def test_an_old_root_is_in_service_until_its_last_certificate_expires(bench: Bench) -> None:
    first = bench.root("iaca")
    bench.signer("ds-1", first, START + 90 * DAY)
    second = bench.root("iaca-2", START + 100 * DAY)
    with bench.store.reading() as reader:
        roots = Roots(reader)
    for days, expected in ((0, [first, second]), (545, [first, second]), (545.1, [second]), (3286, [second])):
        assert [one.certificate for one in roots.in_service(START + days * DAY)] == expected


def test_each_root_in_service_needs_its_crl(bench: Bench) -> None:
    first = bench.root("iaca")
    bench.signer("ds-1", first, days=100)
    bench.root("iaca-2", START + 10 * DAY)
    assert bench.due(START + 22 * DAY) == []
    assert (Task.CRL, "iaca") in bench.due(START + 23 * DAY)
    assert (Task.CRL, "iaca-2") not in bench.due(START + 23 * DAY)
    assert (Task.CRL, "iaca-2") in bench.due(START + 33 * DAY)
    after = bench.due(START + 101 * DAY)
    assert (Task.CRL, "iaca") not in after
    assert (Task.RETIRE, "iaca") in after


def test_the_next_root_is_due_before_the_one_before_stops(bench: Bench) -> None:
    bench.root("iaca")
    (entry,) = (
        one for one in bench.plan(START, until=START + 1500 * DAY) if one.task is Task.ROOT and not one.forecast
    )
    assert (entry.due, entry.deadline, entry.automatic) == (START + 1371 * DAY, START + 1461 * DAY, False)
    bench.root("iaca-2", START + 1371 * DAY, start=START + 1461 * DAY)
    assert (Task.ROOT, "iaca") not in bench.due(START + 1461 * DAY)


def test_a_short_root_stops_in_time_for_its_last_document_signer(bench: Bench) -> None:
    bench.root("iaca", days=800)
    (entry,) = (one for one in bench.plan(START, until=START + 400 * DAY) if one.task is Task.ROOT and not one.forecast)
    assert entry.deadline == START + (800 - 455) * DAY


def test_the_calendar_looks_years_ahead(bench: Bench) -> None:
    bench.signer("ds-1", bench.root("iaca"))
    found = bench.plan(START, until=START + 5 * 365 * DAY)
    signers = [one.due for one in found if one.task is Task.SIGNER]
    assert [(due - START).days for due in signers] == [411, 822, 1233, 1644]
    assert [(one.due - START).days for one in found if one.task is Task.ROOT] == [1371]
    assert [one.due for one in found] == sorted(one.due for one in found)


def test_a_calendar_of_centuries_ends(bench: Bench) -> None:
    bench.signer("ds-1", bench.root("iaca"))
    assert len(bench.plan(START, until=START + 36_500 * DAY)) < 5000


# --- other signers, lists --------------------------------------------------------------------------------------------


def test_each_root_needs_a_list_signer_while_there_are_credentials_under_it(bench: Bench) -> None:
    first = bench.root("iaca")
    bench.signer("ds-1", first)
    bench.signer("revocation-list-1", first, role=Role.STATUS_SIGNER, days=400)
    second = bench.root("iaca-2", START + 10 * DAY, start=START + 100 * DAY)
    signers = [(one.name, one.issuer) for one in bench.plan(START + 386 * DAY) if one.role is Role.STATUS_SIGNER]
    assert signers == [("iaca-2", second.fingerprint), ("revocation-list-1", first.fingerprint)]
    bench.signer("revocation-list-2", second, START + 100 * DAY, role=Role.STATUS_SIGNER, days=1000)
    bench.signer("revocation-list-3", first, START + 386 * DAY, role=Role.STATUS_SIGNER, days=100)
    # The first root's is good for longer than ds-1 is: no other one is needed.
    assert [one for one in bench.plan(START + 480 * DAY) if one.role is Role.STATUS_SIGNER] == []
    with bench.store.reading() as reader:
        for root, key in ((first, "revocation-list-3"), (second, "revocation-list-2"), (None, "revocation-list-3")):
            issuer = None if root is None else root.fingerprint
            assert active_signer(reader, Role.STATUS_SIGNER, at=START + 390 * DAY, issuer=issuer).key == key
        with pytest.raises(LocalProtocolError) as caught:
            active_signer(reader, Role.JWS_SIGNER, at=START)
    assert caught.value.code == "authority.no_signer"


def test_a_list_with_credentials_has_a_deadline(bench: Bench) -> None:
    root = bench.root("iaca")
    signer = bench.signer("ds-1", root)
    reservation = Reservation(valid_from=START, valid_until=START + 20 * DAY)
    with bench.store.transaction(at=START, actor=Actor.ISSUING_SERVICE) as tx:
        batch = tx.reserve_batch(
            [reservation],
            signer=signer.fingerprint,
            key="ds-1",
            doctype="org.iso.18013.5.1.mDL",
            plan=StatusPlan(uri="https://mdl.example/{list}", size=64),
        )
        tx.complete_batch(batch)
        (record,) = tx.status_lists()
        assert (Task.STATUS_LIST, record.list_id) in [(one.task, one.name) for one in plan(tx, RULES, START)]
        revision = tx.take_revision(record.list_id, "ds-1")
        tx.add_signed_list(record.list_id, revision, b"token", issued_at=START, expires_at=START + 4 * DAY)
    name = ("status-list", record.list_id)
    assert (Task.STATUS_LIST, record.list_id) not in bench.due(START + DAY)
    assert (Task.STATUS_LIST, record.list_id) in bench.due(START + 2 * DAY)
    assert name not in bench.alarms(START + 2 * DAY)
    assert name in bench.alarms(START + 3.5 * DAY)
    assert bench.expiring(START + 5 * DAY)[name].state is State.EXPIRED
    assert name not in bench.expiring(START + 21 * DAY)  # nobody needs it any more


# --- what expires ----------------------------------------------------------------------------------------------------


def test_what_ends_soon_is_told_unless_it_is_replaced(bench: Bench) -> None:
    root = bench.root("iaca")
    bench.signer("ds-1", root)
    bench.crl(root, START + 400 * DAY, days=90)
    assert bench.alarms(START + 400 * DAY) == []
    assert bench.alarms(START + 412 * DAY) == [("signing-window", "ds-1")]
    assert bench.alarms(START + 430 * DAY) == [("signing-window", "ds-1"), ("certificate", "ds-1")]
    bench.signer("ds-2", root, START + 430 * DAY)
    assert bench.alarms(START + 430 * DAY) == []
    assert bench.expiring(START + 430 * DAY)["certificate", "ds-1"].state is State.REPLACED
    assert ("certificate", "ds-1") not in bench.expiring(START + 456 * DAY)


def test_an_expired_last_signer_stays_an_alarm(bench: Bench) -> None:
    bench.signer("ds-1", bench.root("iaca"))
    assert bench.expiring(START + 500 * DAY)["certificate", "ds-1"].state is State.EXPIRED
    assert bench.expiring(START + 500 * DAY)["signing-window", "ds-1"].state is State.EXPIRED


def test_a_late_crl_is_an_alarm(bench: Bench) -> None:
    bench.root("iaca")
    assert bench.alarms(START + 22 * DAY) == []
    assert bench.alarms(START + 23 * DAY) == [("crl", "iaca")]
    assert bench.expiring(START + 31 * DAY)["crl", "iaca"].state is State.EXPIRED


def test_revoked_certificates_are_left_out(bench: Bench) -> None:
    signer = bench.signer("ds-1", bench.root("iaca"))
    with bench.store.transaction(at=START + DAY, actor=Actor.SIGNER_OPERATOR) as tx:
        tx.revoke_certificate(signer.fingerprint)
    assert {kind for kind, name in bench.expiring(START + DAY) if name == "ds-1"} == set()


def test_a_damaged_start_of_a_root_is_told(bench: Bench) -> None:
    bench.root("iaca")
    with bench.store.transaction(at=START + DAY, actor=Actor.SIGNER_OPERATOR) as tx:
        tx.put_settings({"certifies_from": {"zz": "yesterday"}})
    with pytest.raises(DecodeError) as caught:
        bench.plan(START + DAY)
    assert caught.value.code == "store.damaged"

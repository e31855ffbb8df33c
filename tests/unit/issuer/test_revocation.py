"""What is recorded when something is revoked, and which CRLs are due then."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from issuer.audit import Actor, AuditRecord, Event, verify_log
from issuer.authority import Authority
from issuer.revocation import (
    MAX_REFERENCES,
    REASONS,
    Evidence,
    due_crls,
    revoke_all_of,
    revoke_certificate,
    revoke_credential,
    revoke_credentials,
    sign_due,
)
from issuer.status import Due
from issuer.store import CredentialState, CrlRecord, Reservation, Role, SignerState, SqliteStore, StatusPlan, Store
from mdl.errors import LocalProtocolError, SigningError
from mdl.keys import Signer
from mdl.pki import Certificate
from tests.listed import AUTHORITY, LIST_SIGNER, NAMES, ROOT, Clock, add_crl, fill, issue
from tests.status_forgery import LIST_KEY
from tests.stores import NOW, ROLE, found

DS = AUTHORITY.ds_certificate
OPERATOR = Actor.SIGNER_OPERATOR


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with SqliteStore(tmp_path / "authority.db", create=True) as store:
        fill(store)
        yield store


def last_event(store: Store) -> AuditRecord:
    with store.reading() as reader:
        records = [*reader.audit_records()]
        assert verify_log(records, log_id=reader.log_id, head=reader.audit_head()) == []
    return AuditRecord.decode(records[-1].record)


def test_one_credential_is_revoked_once_and_for_good(store: Store, clock: Clock) -> None:
    lost, other = issue(store, 2, clock)
    revoked = revoke_credential(store, lost.reference, at=clock, actor=OPERATOR, reason=1)
    assert (revoked.credentials, revoked.without_place, revoked.certificate) == (1, 0, None)
    assert (revoked.at, revoked.valid_until) == (NOW, NOW + timedelta(days=30))
    record = last_event(store)
    assert (record.event, record.actor) == (Event.CREDENTIAL_REVOKED, OPERATOR)
    assert record.subjects == {"count": 1, "reason": 1, "credential": lost.reference}
    assert revoke_credential(store, lost.reference, at=clock, actor=OPERATOR).credentials == 0
    with store.reading() as reader:
        assert reader.credential(lost.reference).reason == 1
        assert reader.credential(other.reference).state is CredentialState.ISSUED


def test_a_credential_without_a_status_is_told_to_be_one(store: Store, clock: Clock) -> None:
    (credential,) = issue(store, 1, clock, plan=None)
    assert revoke_credential(store, credential.reference, at=clock, actor=OPERATOR).without_place == 1


def test_a_credential_that_was_never_issued_is_refused_on_record(store: Store, clock: Clock) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        revoke_credential(store, bytes(16), at=clock, actor=OPERATOR)
    assert caught.value.code == "store.unknown"
    record = last_event(store)
    assert (record.event, record.subjects) == (Event.REFUSAL, {"verb": "revoke", "code": "store.unknown"})


def events(store: Store) -> list[AuditRecord]:
    with store.reading() as reader:
        return [AuditRecord.decode(one.record) for one in reader.audit_records()]


def test_several_credentials_are_revoked_at_once_with_a_record_each(store: Store, clock: Clock) -> None:
    lost, other, bare = *issue(store, 2, clock), *issue(store, 1, clock, plan=None, days=20)
    revoke_credential(store, lost.reference, at=clock, actor=OPERATOR, reason=1)
    before = len(events(store))
    named = [bare.reference, lost.reference, other.reference, bare.reference]
    revoked = revoke_credentials(store, named, at=clock, actor=OPERATOR, reason=4)
    assert (revoked.references, revoked.credentials, revoked.without_place) == (3, 2, 1)
    assert revoked.valid_until == NOW + timedelta(days=20), "of the one that no reader sees"
    new = events(store)[before:]
    assert [(one.event, one.actor) for one in new] == [(Event.CREDENTIAL_REVOKED, OPERATOR)] * 2
    assert [one.subjects["credential"] for one in new] == [bare.reference, other.reference]
    with store.reading() as reader:
        assert [reader.credential(one).reason for one in named[:3]] == [4, 1, 4]
    again = revoke_credentials(store, named, at=clock, actor=OPERATOR)
    assert (again.references, again.credentials, len(events(store))) == (3, 0, before + 2)


def test_one_reference_that_nobody_knows_keeps_all_from_being_revoked(store: Store, clock: Clock) -> None:
    known = [one.reference for one in issue(store, 500, clock)]
    with store.transaction(at=clock, actor=ROLE) as tx:
        batch = tx.reserve_batch(
            [Reservation(valid_from=NOW, valid_until=NOW + timedelta(days=1))],
            signer=DS.fingerprint, key="ds-1", doctype="d", plan=None,
        )  # fmt: skip
    never = batch.credentials[0].reference
    before = len(events(store))
    with pytest.raises(LocalProtocolError) as caught:
        revoke_credentials(store, [*known[:3], bytes(16), *known[3:], never, bytes(16)], at=clock, actor=OPERATOR)
    assert (caught.value.code, caught.value.places) == ("store.unknown", (3, 501, 502))
    assert [one.event for one in events(store)[before:]] == [Event.REFUSAL]
    with store.reading() as reader:
        assert {one.state for one in reader.credentials() if one.reference != never} == {CredentialState.ISSUED}


@pytest.mark.parametrize("count", [0, MAX_REFERENCES + 1])
def test_none_or_too_many_references_are_not_looked_up(store: Store, clock: Clock, count: int) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        revoke_credentials(store, [bytes(16)] * count, at=clock, actor=OPERATOR)
    assert caught.value.code == "revocation.references"


def test_a_certificate_is_revoked_with_its_key(store: Store, clock: Clock) -> None:
    revoked = revoke_certificate(store, DS.serial, at=clock, actor=OPERATOR, reason=4)
    assert (revoked.certificate, revoked.is_certificate_revoked, revoked.credentials) == (DS, True, 0)
    with store.reading() as reader:
        assert reader.signer("ds-1").state is SignerState.REVOKED
        assert reader.certificate(DS.fingerprint).reason == 4
    assert not revoke_certificate(store, DS.serial, at=clock, actor=OPERATOR).is_certificate_revoked


def test_all_credentials_of_a_document_signer_are_revoked_and_it_stays(store: Store, clock: Clock) -> None:
    issue(store, 3, clock)
    issue(store, 2, clock, plan=None)
    revoked = revoke_all_of(store, DS.serial, at=clock, actor=OPERATOR)
    assert (revoked.credentials, revoked.without_place, revoked.is_certificate_revoked) == (5, 2, False)
    with store.reading() as reader:
        assert reader.signer("ds-1").state is SignerState.ACTIVE
        assert {one.state for one in reader.credentials()} == {CredentialState.REVOKED}


@pytest.mark.parametrize("serial", [1, ROOT.serial])
def test_a_root_and_an_unknown_certificate_are_not_revoked(store: Store, clock: Clock, serial: int) -> None:
    for revoke in (revoke_certificate, revoke_all_of):
        with pytest.raises(LocalProtocolError) as caught:
            revoke(store, serial, at=clock, actor=OPERATOR)
        assert caught.value.code == "authority.serial_unknown"


def test_a_list_signer_has_no_credentials(store: Store, clock: Clock) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        revoke_all_of(store, LIST_SIGNER.serial, at=clock, actor=OPERATOR)
    assert caught.value.code == "authority.serial_unknown"


@pytest.mark.parametrize("reason", [6, 7, 8, 11, -1])
def test_nothing_is_revoked_for_a_while_or_for_no_reason(store: Store, clock: Clock, reason: int) -> None:
    assert 6 not in REASONS.values(), "certificateHold"
    with pytest.raises(ValueError):
        revoke_certificate(store, DS.serial, at=clock, actor=OPERATOR, reason=reason)


# --- which CRLs are due -----------------------------------------------------------------------------------------------


def due(store: Store, clock: Clock) -> list[Any]:
    with store.reading() as reader:
        return [one.certificate for one in due_crls(reader, at=clock.now)]


def test_a_crl_is_due_when_half_of_its_time_has_passed(store: Store, clock: Clock) -> None:
    assert due(store, clock) == []
    clock.advance(days=14, hours=23)
    assert due(store, clock) == []
    clock.advance(hours=1)
    assert due(store, clock) == [ROOT]


def test_a_crl_is_due_from_a_revocation_until_it_is_signed(store: Store, clock: Clock) -> None:
    revoke_certificate(store, DS.serial, at=clock, actor=OPERATOR)
    assert due(store, clock) == [ROOT]
    add_crl(store, 2)
    assert due(store, clock) == [ROOT], "the CRL that came meanwhile does not tell of it"
    record_crl(store, [DS.serial], clock)
    assert due(store, clock) == []


def test_the_first_crl_of_a_root_is_due(tmp_path: Path, clock: Clock) -> None:
    with SqliteStore(tmp_path / "bare.db", create=True) as store:
        found(store, AUTHORITY)
        assert due(store, clock) == [ROOT]


# --- signing what is due ----------------------------------------------------------------------------------------------


class Desk:
    """As much of an authority as the signing of what is due asks for, with keys that may fail."""

    def __init__(self, store: Store, *, crl_fails: bool = False, list_signer: Signer = LIST_KEY) -> None:
        self._store = store
        self._crl_fails = crl_fails
        self._list_signer = list_signer

    @contextmanager
    def open_store(self) -> Iterator[Store]:
        yield self._store

    def publish_crl(self, *, at: Clock, days: int, issuers: list[bytes]) -> None:
        assert (days, issuers) == (30, [ROOT.fingerprint])
        if self._crl_fails:
            raise SigningError("the token is not to be had", code="signing.token_missing")
        with self._store.reading() as reader:
            serials = [one.certificate.serial for one in reader.certificates() if one.revoked_at]
        record_crl(self._store, serials, at)

    @contextmanager
    def open_signer(self, role: Role, *, at: Clock, issuer: bytes) -> Iterator[tuple[Signer, Certificate]]:
        assert (role, issuer) == (Role.STATUS_SIGNER, ROOT.fingerprint)
        yield self._list_signer, LIST_SIGNER


def record_crl(store: Store, serials: list[int], clock: Clock) -> None:
    with store.transaction(at=clock, actor=ROLE) as tx:
        number = tx.take_crl_number(ROOT.fingerprint, "iaca")
    der = AUTHORITY.crl(number=number, this_update=clock.now, revoked=serials)
    until = clock.now + timedelta(days=30)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.add_crl(CrlRecord(issuer=ROOT.fingerprint, number=number, der=der, this_update=clock.now, next_update=until))


def signed(desk: Desk, clock: Clock) -> Evidence:
    return sign_due(cast("Authority", desk), at=clock)


def test_what_is_due_is_signed_and_nothing_else(store: Store, clock: Clock) -> None:
    (credential,) = issue(store, 1, clock)
    desk = Desk(store)
    first = signed(desk, clock)
    assert (first.crls, [one.due for one in first.lists], first.failures) == ((), [Due.NEW], ())
    assert signed(desk, clock) == Evidence()
    revoke_certificate(store, DS.serial, at=clock, actor=OPERATOR)
    revoke_credential(store, credential.reference, at=clock, actor=OPERATOR)
    both = signed(desk, clock)
    assert [(one.record.number, one.before) for one in both.crls] == [(2, NOW + timedelta(days=30))]
    assert [(one.revision, one.due, one.before) for one in both.lists] == [(2, Due.CHANGED, NOW + timedelta(days=3))]
    assert signed(desk, clock) == Evidence()


def test_each_list_is_signed_once_for_many_and_after_a_break_a_repeated_call_goes_on(
    store: Store, clock: Clock
) -> None:
    some = [*issue(store, 3, clock), *issue(store, 2, clock, NAMES)]
    desk, named = Desk(store), [one.reference for one in some[1:]]
    signed(desk, clock)
    revoke_credentials(store, named, at=clock, actor=OPERATOR)
    # Whoever revoked was killed here, before anything was signed.
    assert revoke_credentials(store, named, at=clock, actor=OPERATOR).credentials == 0
    evidence = signed(desk, clock)
    assert [(one.revision, one.due) for one in evidence.lists] == [(2, Due.CHANGED)] * 2
    assert signed(desk, clock) == Evidence()
    with store.reading() as reader:
        shown = [
            (reader.revoked_indices(one.list_id), reader.revoked_identifiers(one.list_id))
            for one in reader.status_lists()
        ]
    assert sorted(len(numbers) + len(names) for numbers, names in shown) == [2, 2]


def test_a_key_that_fails_keeps_no_other_from_signing(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    revoke_certificate(store, DS.serial, at=clock, actor=OPERATOR)
    evidence = signed(Desk(store, crl_fails=True), clock)
    assert ([one.code for one in evidence.failures], evidence.crls) == (["signing.token_missing"], ())
    assert [one.due for one in evidence.lists] == [Due.NEW]
    assert [one.record.number for one in signed(Desk(store), clock).crls] == [2]


def test_what_was_signed_before_a_failure_is_told(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    issue(store, 1, clock, NAMES)

    class Tired:
        public_key = LIST_KEY.public_key
        left = 1

        def sign(self, data: bytes) -> bytes:
            if not self.left:
                raise SigningError("no more", code="signing.custodian")
            self.left -= 1
            return LIST_KEY.sign(data)

    evidence = signed(Desk(store, list_signer=Tired()), clock)
    assert ([one.due for one in evidence.lists], [one.code for one in evidence.failures]) == (
        [Due.NEW],
        ["signing.custodian"],
    )
    assert [one.due for one in signed(Desk(store), clock).lists] == [Due.NEW]


def test_the_crl_of_a_root_that_is_elsewhere_is_waited_for(tmp_path: Path, clock: Clock) -> None:
    with SqliteStore(tmp_path / "online.db", create=True) as store:
        with store.transaction(at=clock, actor=ROLE) as tx:
            tx.put_settings({"doctype": "org.iso.18013.5.1.mDL"})
            tx.adopt_serial(ROOT.serial)
            tx.add_certificate(ROOT, Role.IACA, issuer=ROOT.fingerprint, key=None)
        evidence = signed(Desk(store, crl_fails=True), clock)
    assert (evidence.waiting, evidence.failures, evidence.crls) == ((ROOT,), (), ())


def test_the_next_list_is_opened_and_signed_in_time_as_long_as_somebody_issues(store: Store, clock: Clock) -> None:
    tiny = StatusPlan(uri="https://mdl.example/tiny/{list}", size=16, share=0.625)
    issue(store, 8, clock, tiny)
    assert [one.due for one in signed(Desk(store), clock).lists] == [Due.NEW, Due.NEW]
    issue(store, 10, clock, tiny)
    revoke_certificate(store, DS.serial, at=clock, actor=OPERATOR)
    clock.advance(hours=6)
    assert [one.due for one in signed(Desk(store), clock).lists] == [Due.AGE, Due.AGE], "no third one"


def test_the_first_list_can_be_signed_before_there_is_a_credential(store: Store, clock: Clock) -> None:
    plan = StatusPlan(uri="https://mdl.example/first/{list}", size=64)
    evidence = sign_due(cast("Authority", Desk(store)), at=clock, plan=plan)
    assert [one.due for one in evidence.lists] == [Due.NEW]
    (credential,) = issue(store, 1, clock, plan)
    assert credential.place is not None
    assert credential.place.uri == evidence.lists[0].uri
    assert sign_due(cast("Authority", Desk(store)), at=clock, plan=plan) == Evidence()

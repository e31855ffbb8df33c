"""Batches: what is handed out is on record, and what went wrong is handed out nowhere."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import AuditRecord, Event
from issuer.batches import BatchIssuer
from issuer.issuance import CredentialIssuer, Order
from issuer.store import CredentialState, SqliteStore, StatusPlan, Store
from mdl.errors import IssuanceError, LocalProtocolError, SigningError
from mdl.mdoc import ValidityInfo
from mdl.status import StatusReference
from mdl.testing import ThrowawayAuthority, deterministic_key, sample_licence
from tests.stores import NOW, ROLE, found, later

DOCTYPE = "org.iso.18013.5.1.mDL"
PLAN = StatusPlan(uri="https://mdl.example/{list}", size=1024)
Make = Callable[..., BatchIssuer]


@pytest.fixture(scope="module")
def authority() -> ThrowawayAuthority:
    return ThrowawayAuthority()


@pytest.fixture
def store(tmp_path: Path, authority: ThrowawayAuthority) -> Iterator[Store]:
    with SqliteStore(tmp_path / "store.db", create=True) as store:
        found(store, authority)
        yield store


@pytest.fixture
def make(store: Store, authority: ThrowawayAuthority) -> Make:
    def sign(messages: list[bytes]) -> list[bytes]:
        return [authority.ds_key.sign(one) for one in messages]

    def make(**changes: Any) -> BatchIssuer:
        issuer = CredentialIssuer(authority.ds_key, authority.ds_certificate, doctype=DOCTYPE)
        given: dict[str, Any] = {"key": "ds-1", "sign_many": sign, "at": later, "plan": PLAN}
        return BatchIssuer(store, issuer, **(given | changes))

    return make


def an_order(**changes: Any) -> Order:
    given: dict[str, Any] = {
        "namespaces": sample_licence(),
        "device_key": deterministic_key("device").public_key,
        "validity": ValidityInfo(signed=NOW, valid_from=NOW, valid_until=NOW + timedelta(days=7)),
    }
    return Order(**(given | changes))


def events(store: Store) -> list[tuple[Event, Any]]:
    """What is on record since the founding, with the codes."""
    with store.reading() as reader:
        records = [AuditRecord.decode(one.record) for one in reader.audit_records(start=8)]
    return [(one.event, one.subjects.get("code")) for one in records]


def states(store: Store) -> list[CredentialState]:
    with store.reading() as reader:
        return sorted(one.state for one in reader.credentials())


def test_what_is_handed_out_is_on_record_and_has_its_place(make: Make, store: Store) -> None:
    issued = make().issue_batch([an_order()] * 3)
    with store.reading() as reader:
        known = [reader.credential(one.record.reference) for one in issued]
    for one, record in zip(issued, known, strict=True):
        assert one.credential is not None
        assert record.state is CredentialState.ISSUED
        assert record.place is not None
        mso = one.credential.security_object()
        assert StatusReference.decode(mso.status) == record.place.reference()
        assert (mso.validity.valid_from, mso.validity.valid_until) == (record.valid_from, record.valid_until)
    assert len({one.place.index for one in known if one.place}) == 3
    assert [event for event, _ in events(store)] == [Event.LIST_OPENED, Event.KEY_USED, Event.BATCH_ISSUED]


def test_without_a_plan_the_order_says_where_its_status_is(make: Make) -> None:
    status = {"status_list": {"idx": 7, "uri": "https://mdl.example/elsewhere"}}
    assert make(plan=None).issue(an_order(status=status)).security_object().status == status
    assert make(plan=None).issue(an_order()).security_object().status is None


def test_the_lists_certificate_is_named_where_it_is_not_the_root(make: Make) -> None:
    status = make(status_certificate=b"DER").issue(an_order()).security_object().status
    assert status is not None
    assert status["status_list"]["certificate"] == b"DER"


def test_an_order_that_is_repeated_is_not_issued_again(make: Make, store: Store) -> None:
    issuer = make()
    first = issuer.issue_batch([an_order()] * 2, order_keys=["a", "b"])
    again = issuer.issue_batch([an_order()] * 2, order_keys=["b", "c"])
    assert again[0].credential is None
    assert again[0].record.reference == first[1].record.reference
    assert again[1].credential is not None
    with pytest.raises(IssuanceError) as error:
        issuer.issue(an_order(), order_key="a")
    assert error.value.code == "issuance.repeated"
    assert states(store) == [CredentialState.ISSUED] * 3


def test_one_bad_order_keeps_a_batch_from_being_reserved(make: Make, store: Store) -> None:
    late = ValidityInfo(signed=NOW, valid_from=NOW, valid_until=NOW + timedelta(days=9999))
    with pytest.raises(IssuanceError) as error:
        make().issue_batch([an_order(), an_order(validity=late)])
    assert error.value.code == "issuance.outlives_certificate"
    assert states(store) == []
    assert events(store) == [(Event.REFUSAL, "issuance.outlives_certificate")]


def refusing(_: list[bytes]) -> list[bytes]:
    raise SigningError("no", code="signing.failed")


def dying(_: list[bytes]) -> list[bytes]:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("sign_many", "error", "code"),
    [
        (refusing, SigningError, "signing.failed"),
        (lambda messages: [bytes(64)] * len(messages), SigningError, "signing.wrong_signature"),
        (lambda messages: [bytes(64)], SigningError, "signing.wrong_count"),
        (dying, KeyboardInterrupt, "issuance.interrupted"),
    ],
)
def test_a_custodian_that_fails_leaves_nothing_but_its_record(
    make: Make, store: Store, sign_many: Any, error: type[BaseException], code: str
) -> None:
    with pytest.raises(error):
        make(sign_many=sign_many).issue_batch([an_order()] * 2, order_keys=["a", "b"])
    assert states(store) == [CredentialState.ABANDONED] * 2
    assert events(store)[1:] == [(Event.KEY_USED, None), (Event.BATCH_ABANDONED, code)]
    assert all(one.credential for one in make().issue_batch([an_order()] * 2, order_keys=["a", "b"]))
    with store.reading() as reader:
        assert reader.status_lists()[0].used == 4


def test_nothing_is_handed_out_that_could_not_be_recorded(
    make: Make, store: Store, authority: ThrowawayAuthority
) -> None:
    """Meanwhile another process has taken over the order, or the signer was revoked."""

    def overtaken(messages: list[bytes]) -> list[bytes]:
        make().issue(an_order(), order_key="a")
        return [authority.ds_key.sign(one) for one in messages]

    def revoked(messages: list[bytes]) -> list[bytes]:
        with store.transaction(at=later(), actor=ROLE) as tx:
            tx._sql.run("UPDATE certificates SET revoked_at = 1")
        return [authority.ds_key.sign(one) for one in messages]

    for meanwhile, code in ((overtaken, "store.batch_overtaken"), (revoked, "store.signer_state")):
        with pytest.raises(IssuanceError) as error:
            make(sign_many=meanwhile).issue(an_order(), order_key="a" if meanwhile is overtaken else None)
        assert error.value.code == code
        assert events(store)[-1] == (Event.BATCH_ABANDONED, code)
    assert states(store).count(CredentialState.ISSUED) == 1


def test_a_clock_that_went_back_issues_nothing(make: Make, store: Store) -> None:
    times = iter([later(60), later(60), NOW, NOW])

    def clock() -> datetime:
        return next(times)

    issuer = make(at=clock)
    issuer.issue(an_order())
    with pytest.raises(LocalProtocolError) as error:
        issuer.issue(an_order())
    assert error.value.code == "authority.clock"
    assert states(store) == [CredentialState.ISSUED]


def test_the_certificate_is_the_document_signers(make: Make, authority: ThrowawayAuthority) -> None:
    assert make().certificate == authority.ds_certificate

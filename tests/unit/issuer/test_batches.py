"""Batches: what is handed out is on record, and what went wrong is handed out nowhere."""

import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import AuditRecord, Event
from issuer.batches import BatchIssuer
from issuer.issuance import CredentialIssuer, Order
from issuer.policy import IssuancePolicy
from issuer.store import CredentialState, Role, SqliteStore, StatusPlan, Store
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import IssuanceError, LocalProtocolError, SigningError
from mdl.mdoc import KeyAuthorizations, ValidityInfo
from mdl.status import StatusReference
from mdl.testing import ThrowawayAuthority, deterministic_key, sample_image, sample_licence
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


def test_an_order_keeps_the_status_that_it_has(make: Make) -> None:
    status = {"status_list": {"idx": 7, "uri": "https://mdl.example/elsewhere"}}
    own, placed = make().issue_batch([an_order(status=status), an_order()])
    assert own.credential is not None
    assert own.credential.security_object().status == status
    assert (own.record.place, placed.record.place is None) == (None, False)


def test_a_policy_may_demand_a_status(make: Make) -> None:
    demanding = IssuancePolicy(status_required=True)
    status = {"status_list": {"idx": 7, "uri": "https://mdl.example/elsewhere"}}
    with pytest.raises(IssuanceError) as error:
        make(plan=None, policy=lambda: demanding).issue_batch([an_order(status=status), an_order()])
    assert [(one.code, one.where) for one in error.value.violations] == [("policy.status", "status")]
    assert error.value.places == (1,)
    assert make(plan=None, policy=lambda: demanding).issue(an_order(status=status)).security_object().status == status
    assert make(policy=lambda: demanding).issue(an_order()).security_object().status is not None


def test_no_places_are_taken_while_the_token_is_away(
    make: Make, store: Store, authority: ThrowawayAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_away = True

    def sign(messages: list[bytes]) -> list[bytes]:
        if is_away:
            raise SigningError("the token is gone", code="signing.token_lost", retryable=True)
        return [authority.ds_key.sign(one) for one in messages]

    def used() -> int:
        with store.reading() as reader:
            return sum(one.used for one in reader.status_lists())

    issuer = make(sign_many=sign)
    for _ in range(5):
        with pytest.raises(SigningError, match="the token is gone"):
            issuer.issue_batch([an_order()] * 3)
    assert used() == 3  # those of the batch in which it went away
    is_away = False
    issuer.issue_batch([an_order()] * 3)
    assert used() == 6
    # Who has not signed for a while cannot know whether the token is there.
    is_away = True
    real = time.monotonic
    monkeypatch.setattr("issuer.batches.time.monotonic", lambda: real() + 61)
    with pytest.raises(SigningError, match="the token is gone"):
        issuer.issue_batch([an_order()] * 3)
    assert used() == 6


def test_a_key_that_signs_for_another_takes_no_places(
    make: Make, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = deterministic_key("another")
    issuer = make(sign_many=lambda messages: [other.sign(one) for one in messages])
    real = time.monotonic
    monkeypatch.setattr("issuer.batches.time.monotonic", lambda: real() + 61)
    with pytest.raises(SigningError) as error:
        issuer.issue(an_order())
    assert error.value.code == "signing.wrong_key"
    with store.reading() as reader:
        assert reader.status_lists() == ()


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
    times = iter([later(90)] * 3 + [NOW] * 3)

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


# --- bad orders, and orders that are only checked --------------------------------------------------------------------

GOOD, LATE = (
    an_order(),
    an_order(validity=ValidityInfo(signed=NOW, valid_from=NOW, valid_until=NOW + timedelta(days=800))),
)


def blank_name() -> Order:
    licence = sample_licence()
    licence[MDL_NAMESPACE] |= {"family_name": " ", "height": 0}
    return an_order(namespaces=licence)


def test_a_batch_names_its_bad_orders(make: Make, store: Store) -> None:
    with pytest.raises(IssuanceError) as error:
        make().issue_batch([GOOD, LATE, GOOD, blank_name()])
    assert error.value.places == (1, 3)
    assert "order 1: validity.valid_until" in str(error.value)
    assert [one.code for one in error.value.violations] == ["issuance.outlives_certificate"]
    assert states(store) == []
    assert [code for _, code in events(store)] == ["issuance.outlives_certificate", "issuance.element.empty"]


def test_a_single_order_needs_no_index(make: Make) -> None:
    with pytest.raises(IssuanceError) as error:
        make().issue(blank_name())
    assert error.value.places == ()
    assert [one.path for one in error.value.violations] == [
        f"{MDL_NAMESPACE}/family_name",
        f"{MDL_NAMESPACE}/height",
    ]


def test_the_good_orders_of_a_batch_are_issued_and_the_bad_ones_named(make: Make, store: Store) -> None:
    issuer = make()
    issuer.issue(an_order(device_key=deterministic_key("first").public_key), order_key="taken")
    orders = [GOOD, blank_name(), GOOD, LATE, GOOD]
    result = issuer.issue_good(orders, order_keys=["a", "b", "c", "d", "taken"])
    assert sorted(result.issued) == [0, 2]
    assert all(one.credential is not None for one in result.issued.values())
    assert [(one.index, one.order_key, one.error.code) for one in result.refused] == [
        (1, "b", "issuance.element.empty"),
        (3, "d", "issuance.outlives_certificate"),
        (4, "taken", "store.order_conflict"),
    ]
    assert "taken" not in repr(result.refused)
    assert states(store) == [CredentialState.ISSUED] * 3
    nothing = issuer.issue_good([LATE])
    assert (nothing.issued, [one.index for one in nothing.refused]) == ({}, [0])


def test_orders_are_checked_without_a_key_and_without_a_record(make: Make, store: Store) -> None:
    before = events(store)
    refused = make(sign_many=refusing).check([GOOD, blank_name(), LATE], order_keys=["a", "b", "c"])
    assert [(one.index, one.order_key, one.error.code) for one in refused] == [
        (1, "b", "issuance.element.empty"),
        (2, "c", "issuance.outlives_certificate"),
    ]
    assert (states(store), events(store)) == ([], before)


def test_an_order_is_checked_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    real = CredentialIssuer.violations

    def counting(self: CredentialIssuer, order: Order, **how: Any) -> Any:
        checked.append(order)
        return real(self, order, **how)

    monkeypatch.setattr(CredentialIssuer, "violations", counting)
    make().issue_batch([GOOD] * 3)
    assert len(checked) == 3


def test_one_order_key_for_each_order(make: Make) -> None:
    with pytest.raises(ValueError, match="one order key"):
        make().issue_batch([GOOD] * 2, order_keys=["a"])


# --- an order key stands for one order -------------------------------------------------------------------------------


def changed(**elements: Any) -> Order:
    licence = sample_licence()
    licence[MDL_NAMESPACE] |= elements
    return an_order(namespaces=licence)


def valid(start: int, end: int, **more: Any) -> Order:
    moment = NOW + timedelta(seconds=start)
    return an_order(
        validity=ValidityInfo(signed=moment, valid_from=moment, valid_until=NOW + timedelta(seconds=end)), **more
    )


@pytest.mark.parametrize(
    "other",
    [
        changed(given_name="Eva"),
        changed(driving_privileges=[]),
        changed(portrait=sample_image(500)),
        an_order(device_key=deterministic_key("another").public_key),
        an_order(validity=ValidityInfo(signed=NOW, valid_from=NOW, valid_until=NOW + timedelta(days=6))),
        an_order(has_fixed_end=True),
        an_order(key_authorizations=KeyAuthorizations(frozenset({"org.example"}))),
    ],
)
def test_an_order_key_is_not_given_for_another_order(make: Make, store: Store, other: Order) -> None:
    issuer = make()
    (first,) = issuer.issue_batch([GOOD], order_keys=["key"])
    with pytest.raises(IssuanceError) as error:
        issuer.issue_batch([an_order(), other], order_keys=["new", "key"])
    assert (error.value.code, error.value.places) == ("store.order_conflict", (1,))
    (again,) = issuer.issue_batch([an_order()], order_keys=["key"])
    assert (again.credential, again.record.reference) == (None, first.record.reference)
    assert states(store) == [CredentialState.ISSUED]
    assert (Event.REFUSAL, "store.order_conflict") in events(store)


def test_an_order_is_the_same_one_later_and_in_whatever_order_its_members_come(make: Make) -> None:
    now = [NOW]
    issuer = make(at=lambda: now[0])
    week = 7 * 86_400
    (length,) = issuer.issue_batch([valid(0, week)], order_keys=["length"])
    (end,) = issuer.issue_batch([valid(0, week, has_fixed_end=True)], order_keys=["end"])
    now[0] += timedelta(seconds=90)
    backwards = {
        name: {identifier: elements[identifier] for identifier in reversed(elements)}
        for name, elements in sample_licence().items()
    }
    (again,) = issuer.issue_batch([valid(60, week + 60, namespaces=backwards)], order_keys=["length"])
    assert (again.credential, again.record.reference) == (None, length.record.reference)
    (again,) = issuer.issue_batch([valid(60, week, has_fixed_end=True)], order_keys=["end"])
    assert (again.credential, again.record.reference) == (None, end.record.reference)
    for key, other in (("length", valid(60, week)), ("end", valid(60, week + 60, has_fixed_end=True))):
        with pytest.raises(IssuanceError) as error:
            issuer.issue_batch([other], order_keys=[key])
        assert error.value.code == "store.order_conflict"


def test_what_was_ordered_is_forgotten_when_the_credential_has_expired(make: Make, store: Store) -> None:
    now = [NOW]
    issuer = make(at=lambda: now[0])
    issuer.issue_batch([valid(0, 60)], order_keys=["key"])
    now[0] += timedelta(seconds=60)
    assert issuer.issue_batch([valid(60, 120)], order_keys=["key"])[0].credential is None  # its last second
    now[0] += timedelta(seconds=1)
    issuer.issue_batch([valid(61, 120)])
    with pytest.raises(IssuanceError) as error:
        issuer.issue_batch([valid(61, 121)], order_keys=["key"])
    assert error.value.code == "store.order_conflict"


def test_an_order_that_was_broken_off_keeps_its_key(make: Make, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
        broken.setattr(BatchIssuer, "_abandon", lambda *_: None)  # as a kill leaves it
        make(sign_many=dying).issue_batch([GOOD], order_keys=["key"])
    with pytest.raises(IssuanceError) as error:
        make().issue_batch([changed(given_name="Eva")], order_keys=["key"])
    assert error.value.code == "store.order_conflict"
    (issued,) = make().issue_batch([GOOD], order_keys=["key"])
    assert issued.credential is not None


def test_the_store_keeps_nothing_by_which_an_order_could_be_guessed(make: Make, tmp_path: Path) -> None:
    make().issue_batch([GOOD, GOOD], order_keys=["a", None])
    with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
        rows = connection.execute("SELECT order_digest, order_content FROM credentials").fetchall()
    kept = [row for row in rows if row != (None, None)]
    assert len(rows) == 2
    assert len(kept) == 1
    assert GOOD.digest(DOCTYPE) not in kept[0]


# --- keys of the authority itself ------------------------------------------------------------------------------------


def test_the_device_key_is_no_key_of_the_authority(make: Make, store: Store, authority: ThrowawayAuthority) -> None:
    spare = deterministic_key("spare")
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.add_signer("ds-2", Role.DOCUMENT_SIGNER, spare.public_key.spki)
    for key in (authority.iaca_key, authority.ds_key, spare):
        with pytest.raises(IssuanceError) as error:
            make().issue(an_order(device_key=key.public_key))
        assert [one.code for one in error.value.violations] == ["issuance.device_key"]
    assert make().check([GOOD]) == ()


# --- signing back ends ------------------------------------------------------------------------------------------------


def endless(_: list[bytes]) -> Iterator[bytes]:
    while True:
        yield bytes(64)


def failing(_: list[bytes]) -> list[bytes]:
    raise ValueError("PIN=1234")


@pytest.mark.parametrize(
    ("sign_many", "code"),
    [
        (failing, "signing.failed"),
        (lambda _: None, "signing.failed"),
        (lambda _: 7, "signing.failed"),
        (endless, "signing.wrong_count"),
        (lambda messages: ["text"] * len(messages), "signing.wrong_signature"),
        (lambda messages: [None] * len(messages), "signing.wrong_signature"),
        (lambda messages: [b""] * len(messages), "signing.wrong_signature"),
    ],
)
def test_whatever_a_signing_back_end_does_wrong_is_a_signing_error(make: Make, sign_many: Any, code: str) -> None:
    with pytest.raises(SigningError) as error:
        make(sign_many=sign_many).issue_batch([GOOD] * 2)
    assert error.value.code == code
    assert "1234" not in "".join(traceback.format_exception(error.value))


def test_a_signature_is_held_against_the_certificate_and_not_against_the_key_that_the_signer_names_now(
    store: Store, authority: ThrowawayAuthority
) -> None:
    class Moving:
        public_key = authority.ds_key.public_key

        def sign(self, data: bytes) -> bytes:
            return deterministic_key("elsewhere").sign(data)

    signer = Moving()
    issuer = CredentialIssuer(signer, authority.ds_certificate, doctype=DOCTYPE)
    signer.public_key = deterministic_key("elsewhere").public_key
    batches = BatchIssuer(store, issuer, key="ds-1", sign_many=lambda ms: [signer.sign(m) for m in ms], at=later)
    for issue in (issuer.issue, batches.issue):
        with pytest.raises(SigningError) as error:
            issue(GOOD)
        assert error.value.code == "signing.wrong_signature"
    assert states(store) == [CredentialState.ABANDONED]

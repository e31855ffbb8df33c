"""Signing the lists of a store: when, with what, and that nothing is recorded which a reader would not accept."""

import itertools
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from issuer.audit import AuditRecord, Event, verify_log
from issuer.status import Due, ListSigner, ListTerms, check_status_token, require_list_signer
from issuer.store import Reservation, SignerState, SqliteStore, StatusPlan, Store
from mdl.errors import LocalProtocolError, MdlError, ProfileError, SigningError, VerificationError
from mdl.keys import PublicKey, Signer, SoftwareSigner
from mdl.pki import Certificate
from mdl.status import IdentifierList, ListKind, StatusList, StatusToken, build_status_token
from mdl.testing import ThrowawayAuthority, deterministic_key
from reader.status import verify_status_token
from tests.listed import AUTHORITY, LIST_SIGNER, MDL, NAMES, PLAN, ROOT, Clock, add_list_signer, issue, revoke
from tests.status_forgery import LIST_KEY, signer_recipe
from tests.stores import NOW, ROLE, found, later


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with SqliteStore(tmp_path / "authority.db", create=True) as store:
        found(store, AUTHORITY)
        add_list_signer(store)
        yield store


def list_signer(store: Store, clock: Clock, signer: Signer = LIST_KEY, **options: object) -> ListSigner:
    chosen = {"certificate": LIST_SIGNER, "key": "revocation-list-1", "root": ROOT} | options
    return ListSigner(store, signer, at=clock, **chosen)  # type: ignore[arg-type]


def read(token: bytes) -> StatusList | IdentifierList:
    """As the reader reads it."""
    return verify_status_token(StatusToken.decode(token), issuer=ROOT).content


def events(store: Store) -> list[Event]:
    with store.reading() as reader:
        records = [*reader.audit_records()]
        assert verify_log(records, log_id=reader.log_id, head=reader.audit_head()) == []
    return [AuditRecord.decode(one.record).event for one in records]


def test_a_list_is_signed_as_a_reader_wants_it(store: Store, clock: Clock) -> None:
    credential, other = issue(store, 2, clock)
    assert credential.place is not None
    assert other.place is not None
    revoke(store, credential, clock)
    (signed,) = list_signer(store, clock).sign_due()
    token = StatusToken.decode(signed.token)
    assert (token.subject, token.kind, token.deviations) == (credential.place.uri, ListKind.STATUS_LIST, ())
    assert (token.issued_at, token.expires, token.ttl) == (NOW, NOW + timedelta(days=3), timedelta(hours=12))
    assert token.x5chain == (LIST_SIGNER.der,)
    content = read(signed.token)
    assert isinstance(content, StatusList)
    assert (content.bits, len(content)) == (1, 256)
    assert credential.place.index is not None
    assert other.place.index is not None
    assert (content.status(credential.place.index), content.status(other.place.index)) == (1, 0)
    assert sum(map(content.status, range(256))) == 1


def test_an_identifier_list_names_what_is_revoked_and_nothing_else(store: Store, clock: Clock) -> None:
    credential, _ = issue(store, 2, clock, NAMES)
    (first,) = list_signer(store, clock).sign_due()
    assert read(first.token) == IdentifierList(identifiers=frozenset())
    revoke(store, credential, clock)
    (signed,) = list_signer(store, clock).sign_due()
    assert credential.place is not None
    assert read(signed.token) == IdentifierList(identifiers=frozenset({credential.place.identifier or b""}))
    assert (signed.due, signed.revision, signed.before) == (Due.CHANGED, 2, NOW + timedelta(days=3))


def test_what_is_signed_is_recorded_with_its_revision(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    (signed,) = list_signer(store, clock).sign_due()
    with store.reading() as reader:
        assert reader.signed_list(signed.list_id) == (1, signed.token, NOW, NOW + timedelta(days=3))
    assert events(store)[-2:] == [Event.KEY_USED, Event.LIST_SIGNED]


def test_a_list_is_signed_when_it_is_due_and_not_before(store: Store, clock: Clock) -> None:
    credential, _ = issue(store, 2, clock)
    ours = list_signer(store, clock)
    assert [one.due for one in ours.sign_due()] == [Due.NEW]
    assert ours.sign_due() == ()
    clock.advance(hours=5, minutes=59)
    assert ours.sign_due() == ()
    clock.advance(minutes=1)
    assert [one.due for one in ours.sign_due()] == [Due.AGE]
    revoke(store, credential, clock)
    assert [one.due for one in ours.sign_due()] == [Due.CHANGED]
    assert ours.sign_due() == ()
    assert [one.due for one in ours.sign_due(all_lists=True)] == [Due.ASKED]


def test_a_new_list_signer_signs_every_list_anew(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    list_signer(store, clock).sign_due()
    key = deterministic_key("the next list signer")
    certificate = Certificate(signer_recipe(AUTHORITY, key).build())
    add_list_signer(store, certificate, "revocation-list-2")
    (signed,) = list_signer(store, clock, key, certificate=certificate, key="revocation-list-2").sign_due()
    assert signed.due is Due.SIGNER
    read(signed.token)


def test_a_list_that_nobody_needs_any_more_is_signed_no_more(store: Store, clock: Clock) -> None:
    tiny = StatusPlan(uri="https://mdl.example/tiny/{list}", size=8)
    issue(store, 6, clock, tiny, days=10)
    ours = list_signer(store, clock)
    assert len(ours.sign_due()) == 1
    clock.advance(days=10)
    assert [one.due for one in ours.sign_due()] == [Due.AGE]  # the last moment of the last credential
    clock.advance(days=2)
    assert ours.sign_due() == ()
    assert ours.sign_due(all_lists=True) == ()


def test_a_list_that_still_gives_places_is_signed_however_old_its_credentials_are(store: Store, clock: Clock) -> None:
    issue(store, 1, clock, days=1)
    ours = list_signer(store, clock)
    ours.sign_due()
    clock.advance(days=20)
    assert [one.due for one in ours.sign_due()] == [Due.AGE]


def test_no_list_outlives_its_signer(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    clock.now = LIST_SIGNER.not_after - timedelta(hours=1)
    (signed,) = list_signer(store, clock).sign_due()
    assert signed.expires_at == LIST_SIGNER.not_after
    assert signed.ttl == timedelta(hours=1)
    clock.now = LIST_SIGNER.not_after
    with pytest.raises(ProfileError) as caught:
        list_signer(store, clock).sign_due(all_lists=True)
    assert caught.value.code == "status.signer"


def test_a_revoked_list_signer_signs_nothing(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.set_signer_state("revocation-list-1", SignerState.REVOKED)
    with pytest.raises(LocalProtocolError) as caught:
        list_signer(store, clock).sign_due()
    assert caught.value.code == "store.signer_state"


def test_the_lists_of_another_root_are_left_to_its_own_signer(store: Store, clock: Clock) -> None:
    with store.transaction(at=clock, actor=ROLE) as tx:
        (place,) = tx.take_places(PLAN, 1, issuer=b"\x07" * 32)
    with store.reading() as reader:
        record = reader.status_list(place.list_id)
    ours = list_signer(store, clock)
    assert ours.sign_due() == ()
    with pytest.raises(LocalProtocolError) as caught:
        ours.sign(record)
    assert caught.value.code == "status.root"


# --- what is not recorded ---------------------------------------------------------------------------------------------


class Wrong:
    """A custodian that signs with another key, or other bytes."""

    def __init__(self, honest: SoftwareSigner) -> None:
        self._honest = honest

    @property
    def public_key(self) -> PublicKey:
        return self._honest.public_key

    def sign(self, data: bytes) -> bytes:
        return self._honest.sign(data + b"!")


def test_a_wrong_signature_is_not_recorded(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    with pytest.raises(SigningError) as caught:
        list_signer(store, clock, Wrong(LIST_KEY)).sign_due()
    assert caught.value.code == "signing.wrong_signature"
    with store.reading() as reader:
        (record,) = reader.status_lists()
        assert (record.revision, reader.signed_list(record.list_id)) == (1, None)
    assert events(store)[-1] is Event.KEY_USED
    (signed,) = list_signer(store, clock).sign_due()
    assert signed.revision == 2  # the first is gone for good


def test_a_list_that_no_reader_could_read_is_not_recorded(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(store, 1, clock)

    def without_chain(*arguments: object, **options: object) -> bytes:
        other = Certificate(signer_recipe(AUTHORITY, deterministic_key("another")).build())
        return build_status_token(*arguments, **(options | {"x5chain": [other.der]}))  # type: ignore[arg-type]

    monkeypatch.setattr("issuer.status.build_status_token", without_chain)
    with pytest.raises(SigningError) as caught:
        list_signer(store, clock).sign_due()
    assert caught.value.code == "status.unusable"
    with store.reading() as reader:
        assert reader.signed_list(reader.status_lists()[0].list_id) is None


def test_another_key_or_another_certificate_is_refused(store: Store, clock: Clock) -> None:
    with pytest.raises(SigningError) as wrong_key:
        list_signer(store, clock, deterministic_key("another"))
    assert wrong_key.value.code == "signing.wrong_key"
    with pytest.raises(ProfileError) as no_list_signer:
        list_signer(store, clock, AUTHORITY.iaca_key, certificate=ROOT)
    assert no_list_signer.value.code == "status.signer"
    with pytest.raises(ProfileError) as of_another_root:
        require_list_signer(LIST_SIGNER, ThrowawayAuthority(generation=2).iaca_certificate)
    assert of_another_root.value.code == "status.signer"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"uri": "https://mdl.example/other"}, "status.sub"),
        ({"kind": ListKind.IDENTIFIER_LIST}, "status.typ"),
        ({"root": ThrowawayAuthority(generation=2).iaca_certificate}, "status.signer"),
    ],
)
def test_a_token_is_held_against_what_it_is_for(
    store: Store, clock: Clock, change: dict[str, object], code: str
) -> None:
    issue(store, 1, clock)
    (signed,) = list_signer(store, clock).sign_due()
    good: dict[str, object] = {"uri": signed.uri, "kind": signed.kind, "root": ROOT}
    check_status_token(signed.token, **good)  # type: ignore[arg-type]
    with pytest.raises(MdlError) as caught:
        check_status_token(signed.token, **(good | change))  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_token_with_a_changed_signature_is_refused(store: Store, clock: Clock) -> None:
    issue(store, 1, clock)
    (signed,) = list_signer(store, clock).sign_due()
    forged = signed.token[:-1] + bytes((signed.token[-1] ^ 1,))
    with pytest.raises(VerificationError) as caught:
        check_status_token(forged, uri=signed.uri, kind=signed.kind, root=ROOT)
    assert caught.value.code == "signature.invalid"


@pytest.mark.parametrize(
    ("life", "ttl"),
    [
        (timedelta(hours=1), timedelta(hours=2)),
        (timedelta(days=91), timedelta(hours=2)),
        (timedelta(days=1), timedelta(0)),
    ],
)
def test_terms_that_make_no_sense_are_a_mistake(life: timedelta, ttl: timedelta) -> None:
    with pytest.raises(ValueError):
        ListTerms(life=life, ttl=ttl)


# --- what a list tells, and what not ----------------------------------------------------------------------------------


def test_places_tell_nothing_of_the_order(store: Store, clock: Clock) -> None:
    """Orders one after the other have places without order, neighbourhood or rhythm.

    The bounds are five standard deviations and fixed: an honest store goes beyond one about once in a million runs.
    """
    count, size = 2000, 1 << 20
    plan = StatusPlan(uri="https://mdl.example/wide/{list}", size=size)
    indices = [one.place.index or 0 for _ in range(count // 100) for one in issue(store, 100, clock, plan) if one.place]
    assert len(set(indices)) == count
    orders = range(count)
    assert abs(statistics.correlation(orders, indices)) < 5 / count**0.5
    assert abs(statistics.correlation(indices[:-1], indices[1:])) < 5 / count**0.5
    rises = sum(after > before for before, after in itertools.pairwise(indices))
    assert abs(rises - count / 2) < 5 * (count / 12) ** 0.5
    gaps = [abs(after - before) for before, after in itertools.pairwise(indices)]
    assert abs(statistics.mean(gaps) - size / 3) < 5 * size * (1 / 18 / count) ** 0.5 * 1.2
    assert abs(statistics.mean(indices) - size / 2) < 5 * size / (12 * count) ** 0.5
    odd = sum(index & 1 for index in indices)
    assert abs(odd - count / 2) < 5 * (count / 4) ** 0.5


def test_decoys_hide_how_many_were_revoked(store: Store, clock: Clock) -> None:
    plan = StatusPlan(uri="https://mdl.example/decoys/{list}", size=4096, decoys=0.25)
    issued = issue(store, 1000, clock, plan)
    ours = list_signer(store, clock)
    ours.sign_due()
    seen = set()
    for start in range(0, 200, 20):
        for one in issued[start : start + 20]:
            revoke(store, one, clock)
        (signed,) = ours.sign_due()
        content = read(signed.token)
        assert isinstance(content, StatusList)
        shown = int.from_bytes(content.packed).bit_count()
        assert shown >= start + 20
        seen.add(shown - start - 20)
        assert all(content.status(one.place.index or 0) == 0 for one in issued[200:] if one.place)
    assert len(seen) > 5
    assert ours.sign_due() == (), "decoys come with revocations only"


def test_the_first_token_of_a_list_has_decoys_too(store: Store, clock: Clock) -> None:
    """With 40 revocations from 0 to 80 are shown: that none is shown has one chance in 81, three times over."""
    shown = []
    for name in "abc":
        plan = StatusPlan(uri=f"https://mdl.example/{name}/{{list}}", size=4096, decoys=0.25)
        for one in issue(store, 40, clock, plan):
            revoke(store, one, clock)
        (signed,) = list_signer(store, clock).sign_due()
        content = read(signed.token)
        assert isinstance(content, StatusList)
        shown.append(int.from_bytes(content.packed).bit_count())
    assert min(shown) >= 40
    assert max(shown) > 40


def test_the_store_and_its_lists_hold_nothing_about_a_person(store: Store, clock: Clock) -> None:
    with store.transaction(at=clock, actor=ROLE) as tx:
        batch = tx.reserve_batch(
            [Reservation(valid_from=NOW, valid_until=later(3600), order_key="Ada Sample EX-000001")],
            signer=AUTHORITY.ds_certificate.fingerprint,
            key="ds-1",
            doctype=MDL,
            plan=PLAN,
        )
        tx.complete_batch(batch)
    (signed,) = list_signer(store, clock).sign_due()
    store.close()
    kept = b"".join(file.read_bytes() for file in Path(store.name).parent.iterdir())
    for text in (b"Sample", b"Ada", b"EX-000001"):
        assert text not in kept
        assert text not in signed.token


@pytest.mark.slow
def test_a_list_of_a_million_is_signed_in_less_than_two_seconds(store: Store, clock: Clock) -> None:
    """One credential in a hundred revoked; most of the time is the compression."""
    plan = StatusPlan(uri="https://mdl.example/million/{list}", size=1 << 20, share=0.5)
    for one in issue(store, 10_486, clock, plan):
        with store.transaction(at=clock, actor=ROLE) as tx:
            tx.revoke_credentials(batch=one.batch)
        break
    start = time.process_time()
    (signed,) = list_signer(store, clock).sign_due()
    seconds = time.process_time() - start
    content = read(signed.token)
    assert isinstance(content, StatusList)
    assert int.from_bytes(content.packed).bit_count() == 10_486
    assert len(signed.token) < 20_000
    assert seconds < 2, seconds

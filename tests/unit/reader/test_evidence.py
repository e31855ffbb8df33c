"""Evidence at hand: what a response calls for, what is kept, what is fetched anew, and what goes into a file."""

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import TDate, decode, encode
from mdl.errors import DecodeError, FetchError, MdlError, VerificationError
from mdl.pki import Certificate, Crl
from mdl.testing import (
    TEST_TIME,
    Recipe,
    ThrowawayAuthority,
    deterministic_key,
    present,
    throwaway_authority,
)
from reader import evidence as evidence_module
from reader.evidence import (
    EvidenceCache,
    EvidenceStore,
    Gathered,
    Need,
    needs_of,
    needs_of_anchors,
    only_evidence_is_missing,
)
from reader.fetching import EvidenceKind, HttpFetcher
from reader.report import Check, Outcome, Policy, Report, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, Verifier
from tests.status_forgery import (
    TTL,
    URI,
    Token,
    ca_recipe,
    signer_recipe,
    status_list,
)
from tests.web import ok, serving, status

HOUSE = throwaway_authority()
OTHER_HOUSE = ThrowawayAuthority("Other")
NAMESAKE = ThrowawayAuthority(generation=2)
ROOT = HOUSE.iaca_certificate
STRANGER = deterministic_key("stranger")
TRUST = TrustStore.from_certificates([ROOT, OTHER_HOUSE.iaca_certificate], doctypes=ANY_DOCTYPE)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
CRL_URL = "https://throwaway.example/iaca.crl"
STATUS = {"status_list": {"idx": 7, "uri": URI}}

CRL_NEED = Need(kind=EvidenceKind.CRL, urls=(CRL_URL,), issuers=(ROOT,))
LIST_NEED = Need(kind=EvidenceKind.STATUS_LIST, urls=(URI,), issuers=(ROOT,))
CRL = HOUSE.crl(number=5)
TOKEN = Token().build()


def refusal(kind: type[MdlError], act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with pytest.raises(kind) as caught:
        act(*arguments, **named)
    assert type(caught.value) is kind
    return caught.value


class FakeFetcher:
    """Gives what it is told to; an exception is raised. Remembers what it was asked for."""

    def __init__(self, **answers: bytes | Exception) -> None:
        self.answers: dict[str, bytes | Exception] = dict(answers)
        self.asked: list[tuple[str, EvidenceKind]] = []

    def fetch(self, url: str, *, kind: EvidenceKind) -> bytes:
        self.asked.append((url, kind))
        answer = self.answers.get(url, FetchError("unknown", code="fetch.status", url=url))
        if isinstance(answer, Exception):
            raise answer
        return answer


def fetcher(crl: bytes | Exception = CRL, token: bytes | Exception = TOKEN) -> FakeFetcher:
    made = FakeFetcher()
    made.answers = {CRL_URL: crl, URI: token}
    return made


# --- what a response calls for ----------------------------------------------------------------------------------------


def test_a_response_calls_for_the_root_s_crl_and_the_security_object_s_lists() -> None:
    both = STATUS | {"identifier_list": {"id": b"\x01", "uri": URI + "/ids", "certificate": b"\x30\x00"}}
    assert needs_of(present(mso_status=both).response, TRUST) == (
        CRL_NEED,
        LIST_NEED,
        Need(kind=EvidenceKind.IDENTIFIER_LIST, urls=(URI + "/ids",), issuers=(ROOT,), certificate=b"\x30\x00"),
    )


def test_without_a_status_it_calls_for_the_crl_only() -> None:
    assert needs_of(present().response, TRUST) == (CRL_NEED,)


def test_several_documents_call_for_each_thing_once() -> None:
    first = Recipe(mso_status=STATUS)
    response = first.present(Recipe(mso_status=STATUS, seed="b"), Recipe(authority=OTHER_HOUSE)).response
    crl_of_other = Need(kind=EvidenceKind.CRL, urls=(CRL_URL,), issuers=(OTHER_HOUSE.iaca_certificate,))
    assert needs_of(response, TRUST) == (CRL_NEED, LIST_NEED, crl_of_other)


def points(*uris: str) -> dict[str, Any]:
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    return {"crldp": (x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]), False)}


def test_only_web_addresses_are_taken_and_not_too_many() -> None:
    der = HOUSE.deviant_ds(
        extensions=points("ldap://a.example/x", "HTTP://a.example/1", "file:///x", "https://b.example")
    )
    (need,) = needs_of(present(x5chain=der).response, TRUST)
    assert need.urls == ("HTTP://a.example/1", "https://b.example")
    many = HOUSE.deviant_ds(extensions=points(*(f"http://a.example/{number}" for number in range(20))))
    (need,) = needs_of(present(x5chain=many).response, TRUST)
    assert len(need.urls) == 8
    assert needs_of(present(x5chain=HOUSE.deviant_ds(extensions={"crldp": None})).response, TRUST) == ()
    elsewhere = {"status_list": {"idx": 7, "uri": "file:///etc/passwd"}}
    assert needs_of(present(mso_status=elsewhere).response, TRUST) == (CRL_NEED,)


@pytest.mark.parametrize(
    "changes",
    [
        {"x5chain": HOUSE.deviant_ds(signer=STRANGER)},
        {"x5chain": NAMESAKE.ds_certificate.der, "issuer_key": NAMESAKE.ds_key},
        {"x5chain": b"garbage"},
        {"issuer_unprotected": {}},
    ],
)
def test_a_stranger_s_document_calls_for_nothing(changes: dict[str, Any]) -> None:
    """Or he would decide whom the reader calls."""
    assert needs_of(present(mso_status=STATUS, **changes).response, TRUST) == ()


@pytest.mark.parametrize("changes", [{"issuer_key": STRANGER}, {"issuer_signature": bytes(64)}])
def test_an_honest_certificate_over_a_forged_security_object_calls_for_nothing(changes: dict[str, Any]) -> None:
    assert needs_of(present(mso_status=STATUS, **changes).response, TRUST) == ()


def test_a_malformed_status_calls_for_no_list() -> None:
    assert needs_of(present(mso_status={"status_list": {"idx": "x", "uri": URI}}).response, TRUST) == (CRL_NEED,)


def test_what_is_no_response_is_refused() -> None:
    assert refusal(DecodeError, needs_of, b"\x00\x00", TRUST).code.startswith("cbor.")


def test_roots_that_share_a_name_are_told_apart_by_their_keys() -> None:
    trust = TrustStore.from_certificates([NAMESAKE.iaca_certificate, ROOT], doctypes=ANY_DOCTYPE)
    assert needs_of(present().response, trust) == (CRL_NEED,)


def test_the_roots_say_where_their_own_crls_are() -> None:
    assert needs_of_anchors(TRUST) == (
        CRL_NEED,
        Need(kind=EvidenceKind.CRL, urls=(CRL_URL,), issuers=(OTHER_HOUSE.iaca_certificate,)),
    )
    silent = Certificate(HOUSE.iaca_recipe.with_changes(extensions={"crldp": None}).build())
    assert needs_of_anchors(TrustStore.from_certificates([silent], doctypes=ANY_DOCTYPE)) == ()


def report(**outcomes: Outcome) -> Report:
    names = {"crl": "issuer_auth.certificate_revocation", "status": "mso.status", "signature": "issuer_auth.signature"}
    checks = tuple(Check(names[name], outcome, "", 0) for name, outcome in outcomes.items())
    return Report(checks, Policy.ISO_STRICT, Revocation.REQUIRED)


@pytest.mark.parametrize(
    "outcomes, worth_it",
    [
        ({"crl": Outcome.INDETERMINATE, "signature": Outcome.PASSED}, True),
        ({"crl": Outcome.PASSED, "status": Outcome.INDETERMINATE}, True),
        ({"crl": Outcome.INDETERMINATE, "status": Outcome.INDETERMINATE, "signature": Outcome.PASSED}, True),
        ({"crl": Outcome.INDETERMINATE, "signature": Outcome.FAILED}, False),
        ({"crl": Outcome.INDETERMINATE, "signature": Outcome.INDETERMINATE}, False),
        ({"crl": Outcome.FAILED, "status": Outcome.INDETERMINATE}, False),
        ({"crl": Outcome.PASSED, "status": Outcome.NOT_APPLICABLE}, False),
        ({}, False),
    ],
)
def test_fetching_is_worth_it_when_nothing_else_is_missing(outcomes: dict[str, Outcome], worth_it: bool) -> None:
    assert only_evidence_is_missing(report(**outcomes)) is worth_it


# --- what is kept -----------------------------------------------------------------------------------------------------


def kept(*pieces: tuple[Need, bytes], at: datetime = TEST_TIME) -> EvidenceStore:
    store = EvidenceStore()
    for need, data in pieces:
        store.add(need, need.urls[0], data, at=at)
    return store


def test_authentic_evidence_is_kept_and_handed_out() -> None:
    ids = Need(kind=EvidenceKind.IDENTIFIER_LIST, urls=(URI + "/ids",), issuers=(ROOT,))
    id_token = Token.of_identifiers(uri=URI + "/ids").build()
    store = kept((CRL_NEED, CRL), (LIST_NEED, TOKEN), (ids, id_token))
    assert store.evidence(at=TEST_TIME) == Evidence(crls=(CRL,), status_tokens=(TOKEN, id_token))
    assert store.evidence([CRL_NEED], at=TEST_TIME) == Evidence(crls=(CRL,))
    assert store.evidence([ids, LIST_NEED, ids], at=TEST_TIME) == Evidence(status_tokens=(id_token, TOKEN))
    assert store.evidence([], at=TEST_TIME) == Evidence()
    assert len(store) == 3


def test_a_crl_may_come_as_pem() -> None:
    pem = Crl(CRL).pem.encode()
    store = kept((CRL_NEED, pem))
    assert store.evidence(at=TEST_TIME).crls == (pem,)


FOREIGN_KEY: dict[str, Any] = {"aki": (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)}
OTHER_NAME = OTHER_HOUSE.iaca_recipe.subject
MISNAMED: list[dict[str, Any]] = [{"extensions": FOREIGN_KEY}, {"issuer": OTHER_NAME}]


def judged(crls: Evidence) -> tuple[str, ...]:
    shown = present()
    verifier = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.REQUIRED)
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    case: dict[str, Any] = {"context": context, "request": shown.request, "at": TEST_TIME, "evidence": crls}
    report = verifier.examine(shown.response, **case)
    assert report.accepted is not bool(report.failed)
    return report.failed


@pytest.mark.parametrize("naming", MISNAMED)
def test_a_crl_of_the_root_s_own_key_that_names_another_has_a_place_of_its_own(naming: dict[str, Any]) -> None:
    """It revokes whom it lists and clears nobody: where it pushed out the one that does, everybody would be refused."""
    silent = HOUSE.crl(number=6, **naming)
    error = refusal(VerificationError, kept((CRL_NEED, CRL)).add, CRL_NEED, CRL_URL, silent, at=TEST_TIME)
    assert error.code == "evidence.misnamed"
    for others in ([12345], [HOUSE.ds_certificate.serial]):
        misnamed = HOUSE.crl(number=6, revoked=others, **naming)
        for order in ((CRL, misnamed), (misnamed, CRL)):
            store = EvidenceStore()
            for data in order:
                assert store.add(CRL_NEED, CRL_URL, data, at=TEST_TIME) is (data == CRL)
            assert {*store.evidence([CRL_NEED], at=TEST_TIME).crls} == {CRL, misnamed}
            store.add(CRL_NEED, CRL_URL, HOUSE.crl(number=8), at=TEST_TIME)
            found = store.evidence([CRL_NEED], at=TEST_TIME)
            assert {*found.crls} == {HOUSE.crl(number=8), misnamed}
            assert judged(found) == (() if others == [12345] else ("issuer_auth.certificate_revocation",))


def test_of_roots_that_share_a_key_a_crl_is_that_of_the_one_which_it_names() -> None:
    renamed = Certificate(HOUSE.iaca_recipe.with_changes(subject=OTHER_NAME, issuer=OTHER_NAME).build())
    either = Need(kind=EvidenceKind.CRL, urls=(CRL_URL,), issuers=(renamed, ROOT))
    store = EvidenceStore()
    assert store.add(either, CRL_URL, CRL, at=TEST_TIME)
    assert store.is_fresh(CRL_NEED, at=TEST_TIME, max_age=DAY)
    assert store.evidence([CRL_NEED], at=TEST_TIME) == Evidence(crls=(CRL,))


def test_a_root_has_one_crl_wherever_it_lies() -> None:
    elsewhere = Need(kind=EvidenceKind.CRL, urls=("https://mirror.example/1",), issuers=(ROOT,))
    store = kept((CRL_NEED, CRL))
    assert store.evidence([elsewhere], at=TEST_TIME) == Evidence(crls=(CRL,))
    store.add(elsewhere, elsewhere.urls[0], HOUSE.crl(number=6), at=TEST_TIME)
    assert store.evidence([CRL_NEED], at=TEST_TIME) == Evidence(crls=(HOUSE.crl(number=6),))


@pytest.mark.parametrize(
    "need, data, code",
    [
        (CRL_NEED, b"<html>", "evidence.untrusted"),
        (CRL_NEED, TOKEN, "evidence.untrusted"),
        (CRL_NEED, HOUSE.crl(signer=STRANGER), "evidence.untrusted"),
        (CRL_NEED, OTHER_HOUSE.crl(), "evidence.untrusted"),
        (CRL_NEED, NAMESAKE.crl(), "evidence.untrusted"),
        (CRL_NEED, HOUSE.crl(extensions={"delta": (x509.DeltaCRLIndicator(1), True)}), "evidence.unusable"),
        (CRL_NEED, HOUSE.crl(this_update=TEST_TIME + 61 * SECOND), "evidence.unusable"),
        (LIST_NEED, Token(signer=STRANGER).build(), "evidence.untrusted"),
        (LIST_NEED, Token(uri=URI + "/2").build(), "evidence.untrusted"),
        (LIST_NEED, Token.of_identifiers().build(), "evidence.untrusted"),
        (LIST_NEED, Token(chain=(HOUSE.ds_certificate.der,), signer=HOUSE.ds_key).build(), "evidence.untrusted"),
        (LIST_NEED, Token(chain=(signer_recipe(OTHER_HOUSE).build(),)).build(), "evidence.untrusted"),
        (LIST_NEED, Token(claims={4: None}, content=status_list({0: 0})).build(), "evidence.unusable"),
        (LIST_NEED, Token(issued=TEST_TIME + 61 * SECOND, content=status_list({0: 0})).build(), "evidence.unusable"),
    ],
)
def test_evidence_that_is_not_authentic_or_can_neither_revoke_nor_clear_is_not_kept(
    need: Need, data: bytes, code: str
) -> None:
    store = EvidenceStore()
    assert refusal(VerificationError, store.add, need, need.urls[0], data, at=TEST_TIME).code == code
    assert len(store) == 0
    assert store.evidence(at=TEST_TIME) == Evidence()


def test_what_is_no_token_is_no_evidence() -> None:
    assert refusal(DecodeError, EvidenceStore().add, LIST_NEED, URI, b"<html>", at=TEST_TIME).code


def test_a_list_that_another_document_pins_to_another_certificate_is_another_list() -> None:
    certificate = ca_recipe(HOUSE).build()
    store = kept((LIST_NEED, TOKEN))
    pinned = Need(kind=EvidenceKind.STATUS_LIST, urls=(URI,), issuers=(ROOT,), certificate=certificate)
    assert store.evidence([pinned], at=TEST_TIME) == Evidence()
    assert refusal(VerificationError, store.add, pinned, URI, TOKEN, at=TEST_TIME).code == "evidence.untrusted"
    by_root = Need(kind=EvidenceKind.STATUS_LIST, urls=(URI,), issuers=(ROOT,), certificate=ROOT.der)
    store.add(by_root, URI, TOKEN, at=TEST_TIME)
    assert len(store) == 2


def test_one_of_several_roots_may_vouch_for_it() -> None:
    either = Need(kind=EvidenceKind.CRL, urls=(CRL_URL,), issuers=(NAMESAKE.iaca_certificate, ROOT))
    lists = Need(kind=EvidenceKind.STATUS_LIST, urls=(URI,), issuers=(NAMESAKE.iaca_certificate, ROOT))
    store = kept((either, CRL), (lists, TOKEN))
    assert store.evidence([CRL_NEED, LIST_NEED], at=TEST_TIME) == Evidence(crls=(CRL,), status_tokens=(TOKEN,))


@pytest.mark.parametrize(
    "need, newer, older",
    [
        (CRL_NEED, HOUSE.crl(number=5), HOUSE.crl(number=4)),
        (CRL_NEED, HOUSE.crl(number=5), HOUSE.crl(number=5, this_update=TEST_TIME - 2 * DAY)),
        (CRL_NEED, HOUSE.crl(number=5), HOUSE.crl(extensions={"number": None})),
        (LIST_NEED, TOKEN, Token(issued=TEST_TIME - 2 * HOUR).build()),
        (LIST_NEED, TOKEN, Token(issued=TEST_TIME - 2 * HOUR, expires=TEST_TIME + 9 * DAY).build()),
    ],
)
def test_nothing_older_takes_the_place_of_what_was_seen(need: Need, newer: bytes, older: bytes) -> None:
    store = kept((need, newer))
    assert refusal(VerificationError, store.add, need, need.urls[0], older, at=TEST_TIME).code == "evidence.rollback"
    found = store.evidence(at=TEST_TIME)
    assert found.crls + found.status_tokens == (newer,)
    other_way_round = kept((need, older), (need, newer)).evidence(at=TEST_TIME)
    assert other_way_round.crls + other_way_round.status_tokens == (newer,)


def test_a_crl_s_date_decides_before_its_number() -> None:
    """Numbers are counted by scope, and lists of some services have none: such a service is not locked out."""
    later = HOUSE.crl(number=4, this_update=TEST_TIME - HOUR)
    without = HOUSE.crl(extensions={"number": None}, this_update=TEST_TIME - HOUR / 2)
    store = kept((CRL_NEED, CRL), (CRL_NEED, later), (CRL_NEED, without))
    assert store.evidence(at=TEST_TIME).crls == (without,)


def test_the_same_again_is_no_rollback() -> None:
    store = kept((CRL_NEED, CRL), (CRL_NEED, CRL), (LIST_NEED, TOKEN), (LIST_NEED, TOKEN))
    assert len(store) == 2


def test_what_has_expired_is_handed_out_and_the_verifier_judges_it() -> None:
    """It revokes whom it lists, and keeps what is older from clearing."""
    store = kept((CRL_NEED, CRL), (LIST_NEED, TOKEN))
    for at in (TEST_TIME, TEST_TIME + 1000 * DAY):
        assert store.evidence(at=at) == Evidence(crls=(CRL,), status_tokens=(TOKEN,))
    assert not store.is_fresh(LIST_NEED, at=TEST_TIME + DAY, max_age=2 * DAY)
    expired = HOUSE.crl(number=6, next_update=TEST_TIME)
    assert not store.add(CRL_NEED, CRL_URL, expired, at=TEST_TIME)
    assert store.evidence(at=TEST_TIME).crls == (expired,)
    assert not store.is_fresh(CRL_NEED, at=TEST_TIME, max_age=DAY)


def test_what_is_ahead_of_the_clock_by_the_largest_skew_is_taken_beside_what_is_good_now() -> None:
    ahead = Token(issued=TEST_TIME + 60 * SECOND).build()
    store = kept((LIST_NEED, TOKEN), (LIST_NEED, ahead))
    assert {*store.evidence(at=TEST_TIME).status_tokens} == {TOKEN, ahead}
    store.add(LIST_NEED, URI, ahead, at=TEST_TIME + 60 * SECOND)
    assert store.evidence(at=TEST_TIME + 60 * SECOND).status_tokens == (ahead,)


SERIAL = HOUSE.ds_certificate.serial


@pytest.mark.parametrize(
    ("need", "first", "second", "both"),
    [
        (CRL_NEED, CRL, HOUSE.crl(number=5, revoked=[SERIAL]), True),
        (CRL_NEED, CRL, HOUSE.crl(number=4, revoked=[SERIAL]), True),
        (CRL_NEED, CRL, HOUSE.crl(number=4, revoked=[SERIAL], this_update=TEST_TIME - 60 * DAY), True),
        (CRL_NEED, CRL, HOUSE.crl(number=6, revoked=[SERIAL], this_update=TEST_TIME + DAY), True),
        (CRL_NEED, CRL, HOUSE.crl(revoked=[SERIAL], extensions={"delta": (x509.DeltaCRLIndicator(1), True)}), True),
        (CRL_NEED, HOUSE.crl(number=5, revoked=[1, SERIAL]), HOUSE.crl(number=4, revoked=[SERIAL]), False),
        (CRL_NEED, HOUSE.crl(number=5, revoked=[SERIAL]), HOUSE.crl(number=5), True),
        (CRL_NEED, HOUSE.crl(number=5, revoked=[1]), HOUSE.crl(number=4, revoked=[1, SERIAL]), True),
        (LIST_NEED, TOKEN, Token(content=status_list({7: 1})).build(), True),
        (LIST_NEED, TOKEN, Token(content=status_list({7: 1}), issued=TEST_TIME - DAY).build(), True),
        (LIST_NEED, TOKEN, Token(content=status_list({7: 1}), claims={4: None}).build(), True),
        (LIST_NEED, TOKEN, Token(content=status_list({7: 1}, bits=2), issued=TEST_TIME - DAY).build(), True),
        (LIST_NEED, TOKEN, Token(content=status_list({3: 1}, size=800), issued=TEST_TIME - DAY).build(), False),
        (LIST_NEED, TOKEN, Token(content=status_list({700: 1}, size=800), issued=TEST_TIME - DAY).build(), True),
    ],
)
def test_a_list_that_revokes_something_is_kept_beside_a_newer_one_that_does_not(
    tmp_path: Path, need: Need, first: bytes, second: bytes, both: bool
) -> None:
    for order in ((first, second), (second, first)):
        store = EvidenceStore()
        for data in order:
            if both or data == first or order[0] == second:
                store.add(need, need.urls[0], data, at=TEST_TIME)
            else:
                error = refusal(VerificationError, store.add, need, need.urls[0], data, at=TEST_TIME)
                assert error.code == "evidence.rollback"
        store.save(tmp_path / "evidence")
        for one in (store, EvidenceStore.load(tmp_path / "evidence", TRUST)):
            found = one.evidence(at=TEST_TIME)
            assert {*found.crls, *found.status_tokens} == ({first, second} if both else {first})
        assert store._size == sum(entry.size for entry in store._entries())
        assert store._count == len(store._entries())


def test_of_the_older_ones_a_fixed_number_is_kept_the_newest_first() -> None:
    lists = [HOUSE.crl(number=number, revoked=[number]) for number in range(1, 21)]
    for order in (lists, lists[::-1]):
        store = EvidenceStore()
        for data in order:
            with suppress(VerificationError):  # the newest are there already
                store.add(CRL_NEED, CRL_URL, data, at=TEST_TIME)
        assert store.evidence(at=TEST_TIME).crls == tuple(lists[:-10:-1])


def test_a_list_whose_signer_is_another_s_does_not_push_out_an_honest_one() -> None:
    """Who has the key of a signer that is revoked signs newer lists: they are not believed, and no door loses."""
    thief = signer_recipe(HOUSE).with_changes(serial=77)
    newer = Token(chain=(thief.build(),), issued=TEST_TIME).build()
    store = kept((LIST_NEED, TOKEN), (LIST_NEED, newer))
    assert {*store.evidence(at=TEST_TIME).status_tokens} == {TOKEN, newer}
    following = Token(chain=(thief.build(),), issued=TEST_TIME + 2 * DAY, expires=TEST_TIME + 9 * DAY).build()
    store.add(LIST_NEED, URI, following, at=TEST_TIME + 2 * DAY)
    assert TOKEN in store.evidence(at=TEST_TIME + 2 * DAY).status_tokens, "it revokes somebody"
    silent = Token(content=status_list({0: 0})).build()
    store = kept((LIST_NEED, silent), (LIST_NEED, newer))
    store.add(LIST_NEED, URI, following, at=TEST_TIME + 2 * DAY)
    assert store.evidence(at=TEST_TIME + 2 * DAY).status_tokens == (following,)


def points_to(*uris: str) -> dict[str, Any]:
    flags = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    point = x509.IssuingDistributionPoint(
        names, relative_name=None, only_some_reasons=None, **dict.fromkeys(flags, False)
    )
    return {"idp": (point, True)}


def test_each_partition_has_its_own_newest_list() -> None:
    elsewhere = Need(kind=EvidenceKind.CRL, urls=("https://throwaway.example/2.crl",), issuers=(ROOT,))
    here = HOUSE.crl(number=5, extensions=points_to(CRL_URL))
    there = HOUSE.crl(number=9, extensions=points_to(elsewhere.urls[0]))
    store = EvidenceStore()
    assert store.add(CRL_NEED, CRL_URL, here, at=TEST_TIME)
    assert not store.is_fresh(elsewhere, at=TEST_TIME, max_age=DAY)
    assert not store.add(CRL_NEED, CRL_URL, there, at=TEST_TIME), "it is not what was needed"
    assert store.is_fresh(elsewhere, at=TEST_TIME, max_age=DAY)
    assert {*store.evidence([CRL_NEED], at=TEST_TIME).crls} == {here, there}
    assert judged(store.evidence([CRL_NEED], at=TEST_TIME)) == ()


def test_the_evidence_of_others_pushes_out_nothing_that_a_root_has_within_its_share() -> None:
    revoking = HOUSE.crl(number=5, revoked=[HOUSE.ds_certificate.serial])
    store = EvidenceStore(max_bytes=60_000)
    for data in (revoking, HOUSE.crl(number=6)):
        store.add(CRL_NEED, CRL_URL, data, at=TEST_TIME)
    roots = [ThrowawayAuthority(f"House {number}") for number in range(3)]
    for number in range(40):
        house = roots[number % 3]
        need = Need(kind=EvidenceKind.CRL, urls=(CRL_URL,), issuers=(house.iaca_certificate,))
        store.add(need, CRL_URL, house.crl(number=number, revoked=range(1 + number, 200 + number)), at=TEST_TIME)
        assert store._size <= 60_000
        assert revoking in store.evidence(at=TEST_TIME).crls


def test_where_room_is_short_lists_that_revoke_nobody_go_first() -> None:
    revoking = HOUSE.crl(number=5, revoked=[HOUSE.ds_certificate.serial])
    store = EvidenceStore(max_bytes=100_000)
    store.add(CRL_NEED, CRL_URL, revoking, at=TEST_TIME)
    for number in range(30):
        need, data = large(number)
        store.add(need, need.urls[0], data, at=TEST_TIME)
    assert store._size <= 100_000
    assert store.evidence(at=TEST_TIME).crls == (revoking,)


def large(number: int) -> tuple[Need, bytes]:
    uri = f"{URI}/{number}"
    need = Need(kind=EvidenceKind.STATUS_LIST, urls=(uri,), issuers=(ROOT,))
    filler = hashlib.shake_256(uri.encode()).digest(20_000)
    return need, Token(uri=uri, claims={"filler": filler}, content=status_list({0: 0})).build()


def test_room_is_made_by_what_was_used_longest_ago_and_its_mark_stays() -> None:
    store = EvidenceStore(max_bytes=100_000)
    pieces = [large(number) for number in range(6)]
    for number, (need, data) in enumerate(pieces):
        store.add(need, need.urls[0], data, at=TEST_TIME)
        if number == 2:
            store.evidence([pieces[0][0]], at=TEST_TIME)  # used, so it is not the first to go
    assert store._size <= 100_000
    assert store._size == sum(entry.size for entry in store._entries())
    assert pieces[0][1] in store.evidence(at=TEST_TIME).status_tokens
    assert pieces[1][1] not in store.evidence(at=TEST_TIME).status_tokens
    need = pieces[1][0]
    older = Token(uri=need.urls[0], issued=TEST_TIME - 2 * HOUR, content=status_list({0: 0})).build()
    assert refusal(VerificationError, store.add, need, need.urls[0], older, at=TEST_TIME).code == "evidence.rollback"
    assert not store.is_fresh(need, at=TEST_TIME, max_age=DAY)


def test_the_number_of_entries_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_module, "_MAX_ENTRIES", 3)
    store = EvidenceStore()
    for number in range(5):
        need = Need(kind=EvidenceKind.STATUS_LIST, urls=(f"{URI}/{number}",), issuers=(ROOT,))
        store.add(need, need.urls[0], Token(uri=need.urls[0]).build(), at=TEST_TIME)
    assert len(store._entries()) == 3
    assert store._size == sum(entry.size for entry in store._entries())


# --- keeping it fresh -------------------------------------------------------------------------------------------------


def test_what_is_needed_is_fetched_once() -> None:
    source = fetcher()
    cache = EvidenceCache(source)
    for minute in range(3):
        gathered = cache.gather([CRL_NEED, LIST_NEED], at=TEST_TIME + minute * timedelta(minutes=1))
        assert gathered.evidence == Evidence(crls=(CRL,), status_tokens=(TOKEN,))
        assert gathered.errors == ()
    assert source.asked == [(CRL_URL, EvidenceKind.CRL), (URI, EvidenceKind.STATUS_LIST)]


def ages(token: Token, max_age: timedelta) -> list[float]:
    """The hours, counted from the first fetch, at which a cache asks again."""
    source = fetcher(token=token.build())
    cache = EvidenceCache(source, max_age=max_age)
    asked = []
    for quarter in range(4 * 30):
        before = len(source.asked)
        cache.gather([LIST_NEED], at=TEST_TIME + quarter * HOUR / 4)
        if len(source.asked) > before:
            asked.append(quarter / 4)
    return asked


def test_a_token_is_fetched_again_after_its_ttl_or_the_longest_age_or_when_it_expires() -> None:
    assert ages(Token(claims={TTL: 6 * 3600}), DAY)[:4] == [0, 6, 12, 18]
    assert ages(Token(claims={TTL: 6 * 3600}), 2 * HOUR)[:3] == [0, 2, 4]
    assert ages(Token(), 10 * HOUR)[:3] == [0, 10, 20]
    assert ages(Token(expires=TEST_TIME + 3 * HOUR), DAY)[:2] == [0, 3]


def test_the_old_one_serves_until_it_expires_when_no_newer_one_is_to_be_had() -> None:
    source = fetcher()
    cache = EvidenceCache(source, max_age=HOUR)
    cache.gather([LIST_NEED], at=TEST_TIME)
    source.answers[URI] = FetchError("down", code="fetch.connect", url=URI, retryable=True)
    gathered = cache.gather([LIST_NEED], at=TEST_TIME + 2 * HOUR)
    assert gathered.evidence.status_tokens == (TOKEN,)
    assert [(error.code, error.url, error.retryable) for error in gathered.errors] == [("fetch.connect", URI, True)]
    gathered = cache.gather([LIST_NEED], at=TEST_TIME + DAY)
    assert gathered.evidence.status_tokens == (TOKEN,), "it has expired, and revokes"
    assert len(gathered.errors) == 1


@pytest.mark.parametrize(
    "answer, code",
    [
        (b"<html>captive portal</html>", "status.token"),
        (b"\xd2", "cbor."),
        (Token(signer=STRANGER, issued=TEST_TIME).build(), "evidence.untrusted"),
        (Token(issued=TEST_TIME - 2 * HOUR).build(), "evidence.rollback"),
        (Token(issued=TEST_TIME + 20 * HOUR, content=status_list({0: 0})).build(), "evidence.unusable"),
    ],
)
def test_a_bad_answer_does_not_spoil_what_is_there(answer: bytes, code: str) -> None:
    source = fetcher()
    cache = EvidenceCache(source, max_age=HOUR)
    cache.gather([LIST_NEED], at=TEST_TIME)
    source.answers[URI] = answer
    gathered = cache.gather([LIST_NEED], at=TEST_TIME + 2 * HOUR)
    assert gathered.evidence.status_tokens == (TOKEN,)
    (error,) = gathered.errors
    assert type(error) is FetchError
    assert (error.code[: len(code)], error.url, error.retryable) == (code, URI, False)
    source.answers[URI] = newer = Token(issued=TEST_TIME + HOUR, content=status_list({1: 1, 3: 1})).build()
    assert cache.gather([LIST_NEED], at=TEST_TIME + 3 * HOUR).evidence.status_tokens == (newer,)


def test_a_bad_answer_to_an_empty_cache_is_no_evidence() -> None:
    """Whoever can change the answer could as well withhold it: the outcome is the same."""
    gathered = EvidenceCache(fetcher(token=b"<html>", crl=b"<html>")).gather([LIST_NEED, CRL_NEED], at=TEST_TIME)
    assert gathered.evidence == Evidence()
    assert len(gathered.errors) == 2


def test_an_address_that_failed_is_left_alone_for_a_while() -> None:
    source = fetcher(token=FetchError("down", code="fetch.timeout", url=URI, retryable=True))
    cache = EvidenceCache(source, retry_after=timedelta(minutes=5))
    for minute in range(10):
        gathered = cache.gather([LIST_NEED], at=TEST_TIME + minute * timedelta(minutes=1))
        assert [error.code for error in gathered.errors] == ["fetch.timeout"]
    assert len(source.asked) == 2
    source.answers[URI] = TOKEN
    assert cache.prefetch([LIST_NEED], at=TEST_TIME + timedelta(minutes=9)) == ()
    assert cache.gather([LIST_NEED], at=TEST_TIME + timedelta(minutes=9)).errors == ()
    assert len(source.asked) == 3


def test_the_next_address_serves_when_the_first_does_not() -> None:
    source = FakeFetcher()
    source.answers = {"https://b.example/crl": CRL}
    need = Need(kind=EvidenceKind.CRL, urls=("https://a.example/crl", "https://b.example/crl"), issuers=(ROOT,))
    cache = EvidenceCache(source)
    assert cache.gather([need], at=TEST_TIME).errors == ()
    assert cache.gather([need], at=TEST_TIME).evidence.crls == (CRL,)
    assert [url for url, _ in source.asked] == ["https://a.example/crl", "https://b.example/crl"]
    nowhere = Need(kind=EvidenceKind.CRL, urls=need.urls[:1] * 2, issuers=(OTHER_HOUSE.iaca_certificate,))
    assert len(cache.gather([nowhere], at=TEST_TIME).errors) == 2


def test_a_crl_that_names_another_is_kept_and_the_root_s_own_is_looked_for_all_the_same() -> None:
    mirror = "https://mirror.example/1"
    need = Need(kind=EvidenceKind.CRL, urls=(CRL_URL, mirror), issuers=(ROOT,))
    misnamed = HOUSE.crl(number=6, extensions=FOREIGN_KEY, revoked=[12345])
    source = fetcher(crl=misnamed)
    cache = EvidenceCache(source)
    gathered = cache.gather([need], at=TEST_TIME)
    assert [(error.code, error.url) for error in gathered.errors] == [
        ("evidence.misnamed", CRL_URL),
        ("fetch.status", mirror),
    ]
    assert gathered.evidence == Evidence(crls=(misnamed,))
    cache.gather([need], at=TEST_TIME + 59 * SECOND)
    assert len(source.asked) == 2, "an address that gives the wrong one is left alone for a while"
    source.answers[mirror] = CRL
    gathered = cache.gather([need], at=TEST_TIME + 60 * SECOND)
    assert gathered == Gathered(evidence=Evidence(crls=(CRL, misnamed)), errors=())
    cache.gather([need], at=TEST_TIME + HOUR)
    assert len(source.asked) == 4


def test_failures_are_not_remembered_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_module, "_MAX_FAILURES", 5)
    cache = EvidenceCache(FakeFetcher())
    for number in range(20):
        cache.gather(
            [Need(kind=EvidenceKind.CRL, urls=(f"https://a.example/{number}",), issuers=(ROOT,))], at=TEST_TIME
        )
    assert len(cache._failures) == 5


def test_prefetching_asks_for_everything_anew() -> None:
    source = fetcher()
    cache = EvidenceCache(source)
    for _ in range(2):
        assert cache.prefetch([CRL_NEED, LIST_NEED], at=TEST_TIME) == ()
    assert len(source.asked) == 4
    (error,) = cache.prefetch([Need(kind=EvidenceKind.CRL, urls=("https://x.example",), issuers=(ROOT,))], at=TEST_TIME)
    assert error.url == "https://x.example"


def test_threads_may_share_a_cache() -> None:
    source = fetcher()
    cache = EvidenceCache(source, max_age=timedelta(minutes=1), store=EvidenceStore(max_bytes=20_000))
    wrong: list[Any] = []

    def work() -> None:
        try:
            for minute in range(100):
                at = TEST_TIME + minute * timedelta(minutes=1)
                found = cache.gather([CRL_NEED, LIST_NEED], at=at)
                if found.evidence != Evidence(crls=(CRL,), status_tokens=(TOKEN,)):
                    wrong.append(found)
        except BaseException as exc:
            wrong.append(exc)
            raise

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.store._size == sum(entry.size for entry in cache.store._entries())


def test_from_the_response_over_http_to_the_evidence() -> None:
    """Two steps: see what an authentic document calls for, then get it from where it says."""
    with serving() as server:
        uri = server.url("/list")
        der = HOUSE.deviant_ds(extensions=points(server.url("/crl")))
        response = present(x5chain=der, mso_status={"status_list": {"idx": 7, "uri": uri}}).response
        token = Token(uri=uri).build()
        server.answers |= {"/crl": ok(CRL), "/list": ok(token)}
        cache = EvidenceCache(HttpFetcher(hosts=[server.host], allow_private=True))
        gathered = cache.gather(needs_of(response, TRUST), at=TEST_TIME)
        assert gathered.evidence == Evidence(crls=(CRL,), status_tokens=(token,))
        server.answers |= {"/crl": status(500), "/list": status(404)}
        assert cache.gather(needs_of(response, TRUST), at=TEST_TIME).errors == ()
        errors = cache.prefetch(needs_of(response, TRUST), at=TEST_TIME)
        assert [(error.code, error.retryable) for error in errors] == [("fetch.status", True), ("fetch.status", False)]
        assert len(server.requests) == 4


def test_the_whole_way_examine_then_fetch_then_verify(tmp_path: Path) -> None:
    """The order of the module's docstring, and the same evidence from a file afterwards."""
    cache = EvidenceCache(fetcher(), max_age=HOUR)
    verifier = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.REQUIRED)
    for index, accepted in ((7, True), (3, False)):
        shown = present(mso_status={"status_list": {"idx": index, "uri": URI}})
        case: dict[str, Any] = {
            "context": SessionContext(transcript=shown.transcript, reader_key=shown.reader_key),
            "request": shown.request,
            "at": shown.at,
        }
        report = verifier.examine(shown.response, **case)
        assert only_evidence_is_missing(report)
        evidence = cache.gather(needs_of(shown.response, TRUST), at=shown.at).evidence
        report = verifier.examine(shown.response, **case, evidence=evidence)
        assert (report.accepted, report.failed) == (accepted, () if accepted else ("mso.status",))
        cache.store.save(tmp_path / "evidence")
        offline = EvidenceStore.load(tmp_path / "evidence", TRUST).evidence(at=shown.at)
        assert verifier.examine(shown.response, **case, evidence=offline).accepted is accepted


# --- one file for readers that work offline ---------------------------------------------------------------------------


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    by_root = Need(kind=EvidenceKind.STATUS_LIST, urls=(URI,), issuers=(ROOT,), certificate=ROOT.der)
    store = kept((CRL_NEED, CRL), (LIST_NEED, TOKEN), (by_root, TOKEN), large(1))
    store.save(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["evidence"]
    loaded = EvidenceStore.load(path, TRUST)
    assert loaded.evidence(at=TEST_TIME) == store.evidence(at=TEST_TIME)
    assert loaded._entries() == store._entries()
    assert loaded.evidence([by_root], at=TEST_TIME).status_tokens == (TOKEN,)
    loaded.save(path)
    assert EvidenceStore.load(path, TRUST).evidence(at=TEST_TIME) == store.evidence(at=TEST_TIME)


def test_a_loaded_store_takes_nothing_older(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    kept((CRL_NEED, CRL), (LIST_NEED, TOKEN)).save(path)
    loaded = EvidenceStore.load(path, TRUST)
    for need, older in ((CRL_NEED, HOUSE.crl(number=4)), (LIST_NEED, Token(issued=TEST_TIME - 2 * HOUR).build())):
        error = refusal(VerificationError, loaded.add, need, need.urls[0], older, at=TEST_TIME)
        assert error.code == "evidence.rollback"


def test_a_mark_without_its_evidence_goes_into_the_file_too(tmp_path: Path) -> None:
    """A list that had to make room is not forgotten: an older one, which does not know a revocation yet, is refused."""
    path = tmp_path / "evidence"
    store = EvidenceStore(max_bytes=2 * len(TOKEN))
    store.add(CRL_NEED, CRL_URL, CRL, at=TEST_TIME)
    for number in (1, 2):
        need, data = large(number)
        store.add(need, need.urls[0], data, at=TEST_TIME)
    assert store.evidence([CRL_NEED, large(1)[0]], at=TEST_TIME) == Evidence()
    store.save(path)
    loaded = EvidenceStore.load(path, TRUST)
    for _ in range(2):
        assert len(loaded) == len(store) == 1
        older = HOUSE.crl(number=4)
        assert (
            refusal(VerificationError, loaded.add, CRL_NEED, CRL_URL, older, at=TEST_TIME).code == "evidence.rollback"
        )
        need = large(1)[0]
        token = Token(uri=need.urls[0], issued=TEST_TIME - 2 * HOUR, content=status_list({0: 0})).build()
        assert (
            refusal(VerificationError, loaded.add, need, need.urls[0], token, at=TEST_TIME).code == "evidence.rollback"
        )
        loaded.save(path)
        loaded = EvidenceStore.load(path, TRUST)
    loaded.add(CRL_NEED, CRL_URL, CRL, at=TEST_TIME)  # the very list that was seen is as good as ever
    assert loaded.evidence([CRL_NEED], at=TEST_TIME).crls == (CRL,)


HUGE = f"{16**40:x}"


@pytest.mark.parametrize("mark", [[HUGE, "9999-12-31T23:59:59+00:00"], [HUGE, "2020-01-01T00:00:00+00:00"]])
@pytest.mark.parametrize("need, data", [(CRL_NEED, CRL), (LIST_NEED, TOKEN)])
def test_who_may_write_the_file_can_make_no_mark_that_hands_out_or_keeps_genuine_evidence_away(
    tmp_path: Path, need: Need, data: bytes, mark: list[str]
) -> None:
    """Nothing vouches for a mark: neither its number nor a date in the future keeps out what the issuer has signed."""
    path = tmp_path / "evidence"
    kept((need, data)).save(path)
    rewritten(path, lambda entries: entries[0].__setitem__(4, [*mark, series_of(need, data)]))
    loaded = EvidenceStore.load(path, TRUST)
    assert loaded.evidence(at=TEST_TIME) == Evidence()
    assert not loaded.is_fresh(need, at=TEST_TIME, max_age=DAY)
    loaded.save(path)
    loaded = EvidenceStore.load(path, TRUST)
    loaded.add(need, need.urls[0], data, at=TEST_TIME)
    found = loaded.evidence(at=TEST_TIME)
    assert found.crls + found.status_tokens == (data,)


def test_a_connected_reader_finds_a_revocation_whatever_mark_its_file_has(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    kept((CRL_NEED, CRL)).save(path)
    rewritten(path, lambda entries: entries[0].__setitem__(4, [HUGE, "2020-01-01T00:00:00+00:00", b""]))
    revoking = HOUSE.crl(number=900, revoked=[HOUSE.ds_certificate.serial])
    gathered = EvidenceCache(fetcher(crl=revoking), store=EvidenceStore.load(path, TRUST)).gather(
        [CRL_NEED], at=TEST_TIME
    )
    assert gathered.errors == ()
    shown = present()
    verifier = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    report = verifier.examine(
        shown.response, context=context, request=shown.request, at=TEST_TIME, evidence=gathered.evidence
    )
    assert report.failed == ("issuer_auth.certificate_revocation",)


@pytest.mark.parametrize(
    "need, past, following",
    [
        (CRL_NEED, CRL, HOUSE.crl(number=6, this_update=TEST_TIME + SECOND, next_update=TEST_TIME + 9 * DAY)),
        (LIST_NEED, Token(content=status_list({0: 0})).build(), Token(issued=TEST_TIME + SECOND).build()),
    ],
)
def test_a_forged_mark_that_is_dated_now_holds_until_the_next_issue(
    tmp_path: Path, need: Need, past: bytes, following: bytes
) -> None:
    path = tmp_path / "evidence"
    kept((need, past)).save(path)
    rewritten(path, lambda entries: entries[0].__setitem__(4, [HUGE, TEST_TIME.isoformat(), series_of(need, past)]))
    loaded = EvidenceStore.load(path, TRUST)
    assert refusal(VerificationError, loaded.add, need, need.urls[0], past, at=TEST_TIME).code == "evidence.rollback"
    loaded.add(need, need.urls[0], following, at=TEST_TIME + SECOND)
    assert len(loaded) == 1


def test_a_mark_keeps_out_nothing_that_the_evidence_itself_would_have_let_in(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    kept((CRL_NEED, CRL)).save(path)
    rewritten(path, lambda entries: entries[0].__setitem__(4, ["5", (TEST_TIME - DAY).isoformat(), b""]))
    for data in (HOUSE.crl(number=6), HOUSE.crl(number=4, this_update=TEST_TIME - DAY + SECOND)):
        loaded = EvidenceStore.load(path, TRUST)
        loaded.add(CRL_NEED, CRL_URL, data, at=TEST_TIME)
        assert loaded.evidence(at=TEST_TIME).crls == (data,)
    loaded = EvidenceStore.load(path, TRUST)
    older = HOUSE.crl(number=4, revoked=[SERIAL])
    assert not loaded.add(CRL_NEED, CRL_URL, older, at=TEST_TIME), "it is older, and revokes"
    assert loaded.evidence(at=TEST_TIME).crls == (older,)


def series_of(need: Need, data: bytes) -> bytes:
    (entry,) = kept((need, data))._entries()
    return entry.series


def test_a_crl_that_names_another_keeps_its_place_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    misnamed = HOUSE.crl(number=6, extensions=FOREIGN_KEY, revoked=[12345])
    store = kept((CRL_NEED, CRL), (CRL_NEED, misnamed))
    store.save(path)
    loaded = EvidenceStore.load(path, TRUST)
    assert {entry.content for entry in loaded._entries()} == {CRL, misnamed}


def test_the_ttl_goes_on_counting_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    kept((LIST_NEED, Token(claims={TTL: 3600}).build())).save(path)
    source = fetcher()
    cache = EvidenceCache(source, store=EvidenceStore.load(path, TRUST))
    cache.gather([LIST_NEED], at=TEST_TIME + HOUR - SECOND)
    assert source.asked == []
    cache.gather([LIST_NEED], at=TEST_TIME + HOUR)
    assert source.asked == [(URI, EvidenceKind.STATUS_LIST)]


def test_what_was_fetched_in_the_future_is_not_fresh(tmp_path: Path) -> None:
    """A file may say so, or a clock was wrong: a newer list would not be looked for until then."""
    path = tmp_path / "evidence"
    kept((CRL_NEED, CRL)).save(path)
    rewritten(path, lambda entries: entries[0].__setitem__(5, TDate.of(TEST_TIME + SECOND)))
    store = EvidenceStore.load(path, TRUST)
    assert not store.is_fresh(CRL_NEED, at=TEST_TIME, max_age=DAY)
    assert store.is_fresh(CRL_NEED, at=TEST_TIME + SECOND, max_age=DAY)
    assert store.evidence(at=TEST_TIME).crls == (CRL,)


def test_what_rests_on_a_root_that_is_not_trusted_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    other = Need(kind=EvidenceKind.CRL, urls=(CRL_URL,), issuers=(OTHER_HOUSE.iaca_certificate,))
    kept((CRL_NEED, CRL), (LIST_NEED, TOKEN), (other, OTHER_HOUSE.crl())).save(path)
    trust = TrustStore.from_certificates([OTHER_HOUSE.iaca_certificate], doctypes=ANY_DOCTYPE)
    assert EvidenceStore.load(path, trust).evidence(at=TEST_TIME) == Evidence(crls=(OTHER_HOUSE.crl(),))
    assert len(EvidenceStore.load(path, TRUST)) == 3


def rewritten(path: Path, change: Callable[[list[Any]], object]) -> None:
    """Change the entries, and make the checksum right again: somebody who may write the file."""
    content = path.read_bytes()
    entries = decode(content[len(evidence_module._MAGIC) + 32 :])
    change(entries)
    body = encode(entries)
    path.write_bytes(evidence_module._MAGIC + hashlib.sha256(body).digest() + body)


@pytest.mark.parametrize(
    "forge",
    [
        lambda entry: entry.__setitem__(4, Token(signer=STRANGER, content=status_list({0: 1})).build()),
        lambda entry: entry.__setitem__(4, Token(uri=URI + "/2").build()),
        lambda entry: entry.__setitem__(4, CRL),
        lambda entry: entry.__setitem__(1, URI + "/2"),
        lambda entry: entry.__setitem__(2, NAMESAKE.iaca_certificate.fingerprint),
        lambda entry: entry.__setitem__(2, bytes(32)),
        lambda entry: entry.__setitem__(3, NAMESAKE.iaca_certificate.der),
        lambda entry: entry.__setitem__(0, "crl"),
    ],
)
def test_who_may_write_the_file_still_cannot_forge_evidence(tmp_path: Path, forge: Callable[[Any], None]) -> None:
    path = tmp_path / "evidence"
    kept((LIST_NEED, TOKEN)).save(path)
    rewritten(path, lambda entries: forge(entries[0]))
    trust = TrustStore.from_certificates([ROOT, NAMESAKE.iaca_certificate], doctypes=ANY_DOCTYPE)
    assert len(EvidenceStore.load(path, trust)) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[0].pop(),
        lambda entries: entries[0].append(1),
        lambda entries: entries.append({}),
        lambda entries: entries[0].__setitem__(0, "ocsp"),
        lambda entries: entries[0].__setitem__(0, 1),
        lambda entries: entries[0].__setitem__(1, b"x"),
        lambda entries: entries[0].__setitem__(2, None),
        lambda entries: entries[0].__setitem__(3, "x"),
        lambda entries: entries[0].__setitem__(4, None),
        lambda entries: entries[0].__setitem__(4, ["5", b""]),
        lambda entries: entries[0].__setitem__(4, [5, "2026-06-01T12:00:00+00:00", b""]),
        lambda entries: entries[0].__setitem__(4, ["5", "yesterday", b""]),
        lambda entries: entries[0].__setitem__(4, ["five", "2026-06-01T12:00:00+00:00", b""]),
        lambda entries: entries[0].__setitem__(4, ["5", "2026-06-01T12:00:00", b""]),
        lambda entries: entries[0].__setitem__(5, "2026-06-01T12:00:00Z"),
        lambda entries: entries[0].__setitem__(5, TDate("yesterday")),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, change: Callable[[Any], None]) -> None:
    path = tmp_path / "evidence"
    kept((LIST_NEED, TOKEN)).save(path)
    rewritten(path, change)
    assert refusal(DecodeError, EvidenceStore.load, path, TRUST).code in ("evidence.damaged", "cbor.date")


MARK_TIME = "2020-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "mark",
    [
        *([number, MARK_TIME] for number in ("0x1f", "1_0", " 1 ", "1\n", "\u0661", "01", "+1", "-0", "-01", "1F", "")),
        *(
            ["1f", time]
            for time in (
                "2020-W01-3T00:00:00+00:00",
                "20200101T000000+0000",
                "2020-01-01T00:00:00Z",
                "2020-01-01 00:00:00+00:00",
                "2020-01-01T00:00+00:00",
                "2020-01-01T00:00:00.000000+00:00",
                "2020-01-01T00:00:00-00:00",
                "2020-01-01T01:00:00+01:00",
                "2020-01-01T00:00:00",
                "2020-01-01",
            )
        ),
    ],
)
def test_a_mark_that_is_not_written_as_marks_are_is_damage(tmp_path: Path, mark: list[Any]) -> None:
    path = tmp_path / "evidence"
    kept((LIST_NEED, TOKEN)).save(path)
    rewritten(path, lambda entries: entries[0].__setitem__(4, [*mark, b"series"]))
    assert refusal(DecodeError, EvidenceStore.load, path, TRUST).code == "evidence.damaged"


@pytest.mark.parametrize("time", [MARK_TIME, "2020-01-01T00:00:00.500000+00:00"])
@pytest.mark.parametrize("number", ["-1", "0", "1f", HUGE])
def test_a_mark_is_read_and_written_in_one_way(tmp_path: Path, number: str, time: str) -> None:
    path = tmp_path / "evidence"
    kept((LIST_NEED, TOKEN)).save(path)
    rewritten(path, lambda entries: entries[0].__setitem__(4, [number, time, b"series"]))
    before = path.read_bytes()
    EvidenceStore.load(path, TRUST).save(path)
    assert path.read_bytes() == before


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    kept((CRL_NEED, CRL), (LIST_NEED, TOKEN)).save(path)
    content = path.read_bytes()
    for place in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        assert refusal(DecodeError, EvidenceStore.load, path, TRUST).code == "evidence.damaged"
    for cut in (b"", content[:-1], content[:40], content + b"\x00"):
        path.write_bytes(cut)
        assert refusal(DecodeError, EvidenceStore.load, path, TRUST).code == "evidence.damaged"
    path.write_bytes(content)
    assert len(EvidenceStore.load(path, TRUST)) == 2
    assert refusal(DecodeError, EvidenceStore.load, path, TRUST, max_bytes=len(content) - 1).code == "evidence.damaged"


def test_a_body_that_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence"
    for body in (b"", b"\xa0", b"\x81", b"\xf6"):
        path.write_bytes(evidence_module._MAGIC + hashlib.sha256(body).digest() + body)
        assert refusal(DecodeError, EvidenceStore.load, path, TRUST).code in ("evidence.damaged", "cbor.truncated")


@given(st.binary(max_size=200))
def test_any_file_gives_a_store_or_a_decode_error(tmp_path_factory: pytest.TempPathFactory, body: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-evidence"
    for content in (body, evidence_module._MAGIC + hashlib.sha256(body).digest() + body):
        path.write_bytes(content)
        try:
            assert len(EvidenceStore.load(path, TRUST)) == 0
        except DecodeError as exc:
            assert exc.code  # noqa: PT017 - the only exception that may come


def test_a_file_that_cannot_be_read_or_written_is_an_error_with_a_code(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "evidence"
    assert refusal(DecodeError, EvidenceStore.load, missing, TRUST).code == "evidence.unreadable"
    assert refusal(DecodeError, EvidenceStore.load, tmp_path, TRUST).code == "evidence.unreadable"
    no_name = Path("a\0b")
    assert refusal(DecodeError, EvidenceStore.load, no_name, TRUST).code == "evidence.unreadable"
    assert refusal(FetchError, EvidenceStore().save, no_name).code == "evidence.unwritable"
    error = refusal(FetchError, EvidenceStore().save, missing)
    assert (error.code, error.url) == ("evidence.unwritable", str(missing))


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evidence"
    kept((CRL_NEED, CRL)).save(path)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert refusal(FetchError, kept((LIST_NEED, TOKEN)).save, path).code == "evidence.unwritable"
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_list_is_kept_only_for_what_none_of_its_rivals_says() -> None:
    """Of three lists of one series the oldest is kept only for what neither of the newer two says."""
    serials = [11, 12, 13]
    newest, middle = HOUSE.crl(number=3, revoked=serials[:1]), HOUSE.crl(number=2, revoked=serials[1:2])
    for oldest, kept in (
        (HOUSE.crl(number=1, revoked=serials[1:2]), False),
        (HOUSE.crl(number=1, revoked=serials[:1]), False),
        (HOUSE.crl(number=1, revoked=serials[2:]), True),
    ):
        for order in permutations([newest, middle, oldest]):
            store = EvidenceStore()
            for crl in order:
                with suppress(VerificationError):
                    store.add(CRL_NEED, CRL_URL, crl, at=TEST_TIME)
            assert (oldest in store.evidence(at=TEST_TIME).crls) is kept
            assert {newest, middle} <= {*store.evidence(at=TEST_TIME).crls}

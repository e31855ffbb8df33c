"""Revocation by CRL: revoked, not revoked, and nothing to go by are three answers; unusable evidence is a fourth."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from cryptography import x509

from mdl.keys import UnsafePostQuantum
from mdl.pki import Certificate, Crl
from mdl.testing import TEST_TIME, ThrowawayAuthority, throwaway_authority
from reader import revocation
from reader.report import Outcome
from reader.revocation import NO_EVIDENCE, CrlJudge, Evidence, Judgement
from reader.trust import ANY_DOCTYPE, TrustStore

HOUSE = throwaway_authority()
SIGNER, ROOT = HOUSE.ds_certificate, HOUSE.iaca_certificate
DAY = timedelta(days=1)
FRESH = HOUSE.crl()
REVOKED = HOUSE.crl(revoked=[SIGNER.serial])
STALE = HOUSE.crl(this_update=TEST_TIME - 60 * DAY, next_update=TEST_TIME - 30 * DAY)
FUTURE = HOUSE.crl(this_update=TEST_TIME + DAY)
FORGED = HOUSE.crl(signer=HOUSE.ds_key)
FOREIGN = ThrowawayAuthority("Other").crl(revoked=[SIGNER.serial])
NAMESAKE = ThrowawayAuthority(generation=2).crl(revoked=[SIGNER.serial])
GARBAGE = b"not a list"


TRUST = TrustStore.from_certificates([ROOT], doctypes=ANY_DOCTYPE)


def judge(*crls: bytes, at: datetime = TEST_TIME, trust: TrustStore = TRUST) -> Judgement:
    return CrlJudge(trust).judge(SIGNER, ROOT, crls, at)


@pytest.mark.parametrize(
    ("crls", "outcome", "detail"),
    [
        ([], Outcome.INDETERMINATE, "no revocation list of the root"),
        ([FRESH], Outcome.PASSED, ""),
        ([REVOKED], Outcome.FAILED, "is revoked"),
        ([STALE], Outcome.FAILED, "stale"),
        ([FUTURE], Outcome.FAILED, "future"),
        ([FORGED], Outcome.FAILED, "signature"),
        ([GARBAGE], Outcome.FAILED, "does not decode"),
        ([FOREIGN], Outcome.INDETERMINATE, "no revocation list of the root"),
        ([NAMESAKE], Outcome.FAILED, "signature"),
        ([STALE, FRESH], Outcome.PASSED, ""),
        ([FORGED, FRESH], Outcome.PASSED, ""),
        ([GARBAGE, FRESH], Outcome.PASSED, ""),
        ([FRESH, REVOKED], Outcome.FAILED, "is revoked"),
        ([STALE, FORGED, REVOKED], Outcome.FAILED, "is revoked"),
        ([FOREIGN, NAMESAKE, FRESH], Outcome.PASSED, ""),
        ([FOREIGN, STALE], Outcome.FAILED, "stale"),
    ],
)
def test_the_answer_does_not_depend_on_the_order_of_the_evidence(
    crls: list[bytes], outcome: Outcome, detail: str
) -> None:
    for order in permutations(crls):
        judgement = judge(*order)
        assert judgement.outcome is outcome
        assert detail in judgement.detail
        assert judgement.warnings == ()


FOREIGN_KEY = (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)
OTHER_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Throwaway IACA 2")])


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"extensions": {"aki": FOREIGN_KEY}}, "crl.aki.mismatch"),
        ({"issuer": OTHER_NAME}, "crl.issuer.name"),
    ],
)
def test_a_list_of_the_root_s_own_key_that_names_another_clears_nobody_and_revokes(
    changes: dict[str, Any], detail: str
) -> None:
    clean, revoking = HOUSE.crl(**changes), HOUSE.crl(**changes, revoked=[SIGNER.serial])
    assert (judge(clean).outcome, judge(clean, FRESH).outcome) == (Outcome.FAILED, Outcome.PASSED)
    assert detail in judge(clean).detail
    for order in permutations([FRESH, revoking]):
        assert (judge(*order).outcome, judge(*order).detail) == (Outcome.FAILED, "the certificate is revoked")


def test_a_partial_list_clears_nobody_and_revokes_whom_it_lists() -> None:
    """It is the root's word all the same, beside a whole list that is older, or that somebody chose."""
    partial = {"delta": (x509.DeltaCRLIndicator(1), True)}
    lists, does_not = HOUSE.crl(revoked=[SIGNER.serial], extensions=partial), HOUSE.crl(extensions=partial)
    assert judge(does_not).outcome is Outcome.FAILED
    assert judge(does_not, FRESH).outcome is Outcome.PASSED
    for order in ((lists,), (lists, FRESH), (FRESH, lists)):
        assert (judge(*order).outcome, judge(*order).detail) == (Outcome.FAILED, "the certificate is revoked")


def test_a_list_of_the_root_s_name_is_another_root_s_only_where_that_one_is_trusted() -> None:
    second, third = (ThrowawayAuthority(generation=number) for number in (2, 3))
    trust = TrustStore.from_certificates([ROOT, second.iaca_certificate], doctypes=ANY_DOCTYPE)
    assert judge(second.crl(revoked=[SIGNER.serial]), trust=trust).outcome is Outcome.INDETERMINATE
    for crl in (
        third.crl(),  # its key identifier is one that nobody here has
        second.crl(signer=third.iaca_key),
        second.crl(extensions={"aki": None}, signer=third.iaca_key),
    ):
        assert judge(crl, trust=trust).outcome is Outcome.FAILED
        assert judge(crl, FRESH, trust=trust).outcome is Outcome.PASSED


def test_a_list_that_names_the_root_s_key_under_another_name_is_in_the_root_s_name_too() -> None:
    other = ThrowawayAuthority("Other")
    claims = other.crl(extensions={"aki": HOUSE.ds_recipe.extensions["aki"]})
    assert judge(claims).outcome is Outcome.FAILED
    trust = TrustStore.from_certificates([ROOT, other.iaca_certificate], doctypes=ANY_DOCTYPE)
    assert judge(claims, trust=trust).outcome is Outcome.INDETERMINATE


def test_a_list_that_names_no_key_is_not_that_of_a_root_that_has_no_identifier() -> None:
    bare = Certificate(HOUSE.iaca_recipe.with_changes(extensions={"ski": None}).build())
    nobody_s = ThrowawayAuthority("Other").crl(extensions={"aki": None})
    judging = CrlJudge(TrustStore.from_certificates([bare], doctypes=ANY_DOCTYPE))
    assert judging.judge(SIGNER, bare, (nobody_s,), TEST_TIME).outcome is Outcome.INDETERMINATE
    assert judging.judge(SIGNER, bare, (REVOKED,), TEST_TIME).outcome is Outcome.FAILED


def test_nothing_is_verified_for_lists_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Crl, "verify_signature", lambda *_: pytest.fail("a list of another root was verified"))
    assert judge(FOREIGN).outcome is Outcome.INDETERMINATE


def test_a_list_is_good_from_its_first_second_to_its_last() -> None:
    crl = Crl(FRESH)
    assert crl.next_update is not None
    second = timedelta(seconds=1)
    assert judge(FRESH, at=crl.this_update).outcome is Outcome.PASSED
    assert judge(FRESH, at=crl.next_update).outcome is Outcome.PASSED
    assert judge(FRESH, at=crl.this_update - second).outcome is Outcome.FAILED
    assert judge(FRESH, at=crl.next_update + second).outcome is Outcome.FAILED


def test_a_clock_skew_widens_the_period_by_as_much_and_no_more() -> None:
    crl = Crl(FRESH)
    assert crl.next_update is not None
    skewed = CrlJudge(TRUST, skew=timedelta(seconds=60))
    for seconds, outcome in ((60, Outcome.PASSED), (61, Outcome.FAILED)):
        off = timedelta(seconds=seconds)
        assert skewed.judge(SIGNER, ROOT, (FRESH,), crl.this_update - off).outcome is outcome
        assert skewed.judge(SIGNER, ROOT, (FRESH,), crl.next_update + off).outcome is outcome


def test_revocation_is_final_whatever_the_age_of_the_list() -> None:
    for at in (TEST_TIME - 1000 * DAY, TEST_TIME, TEST_TIME + 1000 * DAY):
        assert "revoked" in judge(REVOKED, at=at).detail


def test_other_certificates_are_nobody_s_business() -> None:
    assert judge(HOUSE.crl(revoked=[1, SIGNER.serial - 1, SIGNER.serial + 1])).outcome is Outcome.PASSED


def test_a_list_that_deviates_harmlessly_is_used_and_named() -> None:
    for crl in (
        HOUSE.crl(extensions={"number": None}),
        HOUSE.crl(next_update=TEST_TIME + 200 * DAY),
        HOUSE.crl(extensions={"more": (x509.IssuerAlternativeName([x509.DNSName("throwaway.example")]), False)}),
    ):
        judgement = judge(crl)
        assert judgement.outcome is Outcome.PASSED
        assert judgement.warnings == ("crl.profile",)
        assert "deviates" in judgement.detail


def test_a_list_that_deviates_harmlessly_still_revokes() -> None:
    assert judge(HOUSE.crl(revoked=[SIGNER.serial], extensions={"number": None})).outcome is Outcome.FAILED


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_a_list_is_assessed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assessed = []
    original = revocation._assess

    def counted(data: bytes, issuer: Certificate, trust: TrustStore, post_quantum: UnsafePostQuantum | None) -> Any:
        assessed.append(data)
        return original(data, issuer, trust, post_quantum)

    monkeypatch.setattr(revocation, "_assess", counted)
    judge = CrlJudge(TRUST)
    for _ in range(5):
        assert judge.judge(SIGNER, ROOT, (FRESH, STALE), TEST_TIME).outcome is Outcome.PASSED
    assert assessed == [FRESH, STALE]


def test_what_is_remembered_ages_with_the_clock() -> None:
    judge = CrlJudge(TRUST)
    assert judge.judge(SIGNER, ROOT, (FRESH,), TEST_TIME).outcome is Outcome.PASSED
    assert judge.judge(SIGNER, ROOT, (FRESH,), TEST_TIME + 40 * DAY).outcome is Outcome.FAILED
    assert judge.judge(SIGNER, ROOT, (FRESH,), TEST_TIME).outcome is Outcome.PASSED


def test_what_is_remembered_of_one_root_is_not_used_for_another() -> None:
    judge = CrlJudge(TRUST)
    other = ThrowawayAuthority("Other")
    assert judge.judge(other.ds_certificate, other.iaca_certificate, (FOREIGN,), TEST_TIME).outcome is Outcome.PASSED
    assert judge.judge(SIGNER, ROOT, (FOREIGN,), TEST_TIME).outcome is Outcome.INDETERMINATE
    assert judge.judge(SIGNER, ROOT, (REVOKED,), TEST_TIME).outcome is Outcome.FAILED
    assert judge.judge(other.ds_certificate, other.iaca_certificate, (REVOKED,), TEST_TIME).outcome is (
        Outcome.INDETERMINATE
    )


def test_what_is_remembered_is_bounded() -> None:
    judge = CrlJudge(TRUST)
    for number in range(3 * revocation._MAX_REMEMBERED):
        judge.judge(SIGNER, ROOT, (GARBAGE + number.to_bytes(4),), TEST_TIME)
        assert (GARBAGE + number.to_bytes(4), ROOT.der) in judge._assessed
    assert len(judge._assessed) == revocation._MAX_REMEMBERED
    assert judge.judge(SIGNER, ROOT, (REVOKED,), TEST_TIME).outcome is Outcome.FAILED


# --- misuse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crls", [None, FRESH, [FRESH], (FRESH.hex(),), (None,), (bytearray(FRESH),), ((FRESH,),)])
@pytest.mark.parametrize("field", ["crls", "status_tokens"])
def test_evidence_is_a_tuple_of_bytes(field: str, crls: Any) -> None:
    # What is held the wrong way must not count as absent.
    with pytest.raises(TypeError, match="tuple of bytes"):
        Evidence(**{field: crls})


@pytest.mark.parametrize("gathered", [None, 1, 0, "yes", ()])
def test_evidence_was_gathered_for_the_response_or_it_was_not(gathered: Any) -> None:
    with pytest.raises(TypeError, match="gathered"):
        Evidence(gathered=gathered)


def test_no_evidence_is_none() -> None:
    assert Evidence() == NO_EVIDENCE
    assert NO_EVIDENCE.crls == NO_EVIDENCE.status_tokens == ()

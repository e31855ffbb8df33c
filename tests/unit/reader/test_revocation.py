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


def judge(*crls: bytes, at: datetime = TEST_TIME) -> Judgement:
    return CrlJudge().judge(SIGNER, ROOT, crls, at)


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
        ([NAMESAKE], Outcome.INDETERMINATE, "no revocation list of the root"),
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
    skewed = CrlJudge(skew=timedelta(seconds=60))
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

    def counted(data: bytes, issuer: Certificate, post_quantum: UnsafePostQuantum | None) -> Any:
        assessed.append(data)
        return original(data, issuer, post_quantum)

    monkeypatch.setattr(revocation, "_assess", counted)
    judge = CrlJudge()
    for _ in range(5):
        assert judge.judge(SIGNER, ROOT, (FRESH, STALE), TEST_TIME).outcome is Outcome.PASSED
    assert assessed == [FRESH, STALE]


def test_what_is_remembered_ages_with_the_clock() -> None:
    judge = CrlJudge()
    assert judge.judge(SIGNER, ROOT, (FRESH,), TEST_TIME).outcome is Outcome.PASSED
    assert judge.judge(SIGNER, ROOT, (FRESH,), TEST_TIME + 40 * DAY).outcome is Outcome.FAILED
    assert judge.judge(SIGNER, ROOT, (FRESH,), TEST_TIME).outcome is Outcome.PASSED


def test_what_is_remembered_of_one_root_is_not_used_for_another() -> None:
    judge = CrlJudge()
    other = ThrowawayAuthority("Other")
    assert judge.judge(other.ds_certificate, other.iaca_certificate, (FOREIGN,), TEST_TIME).outcome is Outcome.PASSED
    assert judge.judge(SIGNER, ROOT, (FOREIGN,), TEST_TIME).outcome is Outcome.INDETERMINATE
    assert judge.judge(SIGNER, ROOT, (REVOKED,), TEST_TIME).outcome is Outcome.FAILED
    assert judge.judge(other.ds_certificate, other.iaca_certificate, (REVOKED,), TEST_TIME).outcome is (
        Outcome.INDETERMINATE
    )


def test_what_is_remembered_is_bounded() -> None:
    judge = CrlJudge()
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


def test_no_evidence_is_none() -> None:
    assert Evidence() == NO_EVIDENCE
    assert NO_EVIDENCE.crls == NO_EVIDENCE.status_tokens == ()

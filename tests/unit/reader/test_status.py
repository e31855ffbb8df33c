"""The status judge: valid, revoked and undetermined are three answers, and no list is believed that a stranger made."""

import threading
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mdl.errors import VerificationError
from mdl.pki import REVOCATION_LIST_SIGNER, Certificate, lint_certificate
from mdl.status import IdentifierList, IdentifierListInfo, StatusList, StatusListInfo, StatusToken
from mdl.testing import (
    TEST_TIME,
    ThrowawayAuthority,
    deterministic_key,
    distinguished_name,
)
from reader import status as status_module
from reader.report import Outcome
from reader.revocation import Evidence, Judgement
from reader.status import StatusJudge, verify_status_token
from test_vectors.source.lists import (
    CA,
    FORGERIES,
    HOUSE,
    NAMESAKE,
    NOBODY,
    NOT_VALID,
    OTHER_HOUSE,
    PROFILE,
    REVOKED,
    REVOKED_BY_ID,
    ROOT,
    SIGNER,
    STRANGER,
    TOLERATED,
    UNUSABLE,
    VALID,
    VALID_BY_ID,
    by,
    pinned,
)
from tests import wire
from tests.status_forgery import (
    CA_KEY,
    EXP,
    NBF,
    REVOKED_ID,
    REVOKED_INDEX,
    TYP,
    URI,
    VALID_ID,
    VALID_INDEX,
    Token,
    below,
    ca_recipe,
    identifier_list,
    signer_recipe,
    status_list,
)

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)

GOOD = Token().build()


def at_hand(tokens: tuple[bytes, ...]) -> Evidence:
    return Evidence(status_tokens=tokens)


def judge(
    status: Any,
    *tokens: bytes,
    issuer: Certificate = ROOT,
    at: datetime = TEST_TIME,
    crls: Iterable[bytes] = (),
) -> Judgement:
    return StatusJudge().judge(status, issuer, Evidence(crls=tuple(crls), status_tokens=tokens), at)


# --- three answers ----------------------------------------------------------------------------------------------------


def test_the_regular_list_signer_has_no_finding() -> None:
    certificate = Certificate(SIGNER.build())
    assert lint_certificate(certificate, REVOCATION_LIST_SIGNER, issuer=ROOT) == ()


@pytest.mark.parametrize(
    "status, token, outcome",
    [
        (VALID, Token(), Outcome.PASSED),
        (REVOKED, Token(), Outcome.FAILED),
        (VALID_BY_ID, Token.of_identifiers(), Outcome.PASSED),
        (REVOKED_BY_ID, Token.of_identifiers(), Outcome.FAILED),
    ],
)
def test_a_list_says_valid_or_revoked(status: Any, token: Token, outcome: Outcome) -> None:
    judgement = judge(status, token.build())
    assert judgement.outcome is outcome
    assert ("revoked" in judgement.detail) is (outcome is Outcome.FAILED)
    assert judgement.warnings == ()


def test_without_a_token_for_that_address_nothing_is_known() -> None:
    for tokens in ((), (Token(uri=URI + "0").build(),), (Token(uri=URI.upper()).build(),)):
        judgement = judge(VALID, *tokens)
        assert (judgement.outcome, judgement.detail) == (
            Outcome.INDETERMINATE,
            "no status list at hand for this address",
        )


def test_a_status_member_of_kinds_that_are_not_known_leaves_it_open() -> None:
    for status in ({}, {"later": {"idx": 1}}):
        assert judge(status, GOOD).outcome is Outcome.INDETERMINATE


def test_a_kind_that_is_not_known_beside_one_that_is_gives_a_warning() -> None:
    judgement = judge(VALID | {"later": 1}, GOOD)
    assert (judgement.outcome, judgement.warnings) == (Outcome.PASSED, ("status.unknown",))
    assert judge(REVOKED | {"later": 1}, GOOD).outcome is Outcome.FAILED
    assert judge(VALID | {"later": 1}).outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize(
    "status", [[], "x", {"status_list": {"idx": -1, "uri": URI}}, {"identifier_list": {"uri": URI}}]
)
def test_a_malformed_status_member_is_refused_with_or_without_a_list(status: Any) -> None:
    for tokens in ((), (GOOD,)):
        judgement = judge(status, *tokens)
        assert judgement.outcome is Outcome.FAILED
        assert judgement.detail.startswith("the status member is malformed: ")
        assert "[status.reference]" in judgement.detail


def test_a_list_of_the_other_kind_says_nothing() -> None:
    """The tokens are sorted by kind before; this is the last line of defence."""
    for info, content in (
        (StatusListInfo(index=VALID_INDEX, uri=URI), IdentifierList(identifiers=frozenset())),
        (IdentifierListInfo(identifier=VALID_ID, uri=URI), StatusList.of(8, {})),
    ):
        with pytest.raises(VerificationError) as caught:
            status_module._status(info, content)
        assert caught.value.code == "status.kind"


def test_where_two_lists_are_named_both_must_let_it_pass() -> None:
    elsewhere = "https://lists.throwaway.example/2"
    identifiers = Token.of_identifiers(uri=elsewhere).build()

    def both(index: int, identifier: bytes) -> dict[str, Any]:
        return {
            "status_list": {"idx": index, "uri": URI},
            "identifier_list": {"id": identifier, "uri": elsewhere},
        }

    assert judge(both(VALID_INDEX, VALID_ID), GOOD, identifiers) == Judgement(Outcome.PASSED)
    assert judge(both(REVOKED_INDEX, VALID_ID), GOOD, identifiers).outcome is Outcome.FAILED
    assert judge(both(VALID_INDEX, REVOKED_ID), GOOD, identifiers).outcome is Outcome.FAILED
    assert judge(both(VALID_INDEX, VALID_ID), GOOD).outcome is Outcome.INDETERMINATE
    assert judge(both(VALID_INDEX, VALID_ID), identifiers).outcome is Outcome.INDETERMINATE
    assert judge(both(REVOKED_INDEX, VALID_ID), GOOD).outcome is Outcome.FAILED
    assert judge(both(VALID_INDEX, REVOKED_ID), identifiers).outcome is Outcome.FAILED


# --- forgeries, one check each ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORGERIES)
def test_a_list_that_must_not_be_believed_is_refused(name: str) -> None:
    token, detail = FORGERIES[name]
    judgement = judge(VALID, token.build())
    assert judgement.outcome is Outcome.INDETERMINATE
    assert detail in judgement.detail
    assert URI not in judgement.detail


@pytest.mark.parametrize("name", NOBODY | UNUSABLE)
def test_no_forger_makes_a_revoked_document_valid(name: str) -> None:
    """The forged list says that nobody is revoked but number 0; the true one may be at hand or not."""
    forged = FORGERIES[name][0].but(content=status_list({0: 1})).build()
    assert judge(REVOKED, forged).outcome is Outcome.INDETERMINATE
    for tokens in permutations((forged, GOOD)):
        assert judge(REVOKED, *tokens).outcome is Outcome.FAILED


@pytest.mark.parametrize("name", FORGERIES)
def test_no_forger_keeps_a_true_list_from_being_read(name: str) -> None:
    forged = FORGERIES[name][0].build()
    for tokens in permutations((forged, GOOD)):
        assert judge(VALID, *tokens).outcome is Outcome.PASSED


@pytest.mark.parametrize("name", NOBODY)
def test_no_forger_makes_a_valid_document_revoked(name: str) -> None:
    forged = FORGERIES[name][0].but(content=status_list({VALID_INDEX: 1}))
    for tokens in permutations((forged.build(), GOOD)):
        assert judge(VALID, *tokens).outcome is Outcome.PASSED


@pytest.mark.parametrize("name", NOT_VALID)
def test_whatever_is_not_valid_refuses(name: str) -> None:
    token, detail = NOT_VALID[name]
    for tokens in permutations((token.build(), GOOD)):
        judgement = judge(VALID, *tokens)
        assert judgement.outcome is Outcome.FAILED
        assert detail in judgement.detail


def test_bytes_that_are_no_token_count_as_absent_and_say_why() -> None:
    for garbage in (b"", b"<html>", GOOD[:-1], GOOD + b"\x00"):
        judgement = judge(VALID, garbage)
        assert judgement.outcome is Outcome.INDETERMINATE
        assert "a status token does not decode: " in judgement.detail
        assert judge(VALID, garbage, GOOD).outcome is Outcome.PASSED
        assert judge(REVOKED, GOOD, garbage).outcome is Outcome.FAILED


MESSAGES = [
    GOOD,
    Token.of_identifiers().build(),
    by(below(SIGNER, CA, CA_KEY), CA).build(),
    Token(protected={TYP: None}, claims={TYP: "statuslist+cwt", NBF: 1}).build(),
]
BOTH_REVOKED = REVOKED | REVOKED_BY_ID


@given(st.one_of(wire.mutations(MESSAGES), wire.near_misses(), st.binary(max_size=64)))
def test_no_damaged_token_makes_a_revoked_document_valid(data: bytes) -> None:
    """A changed address makes it somebody else's list, and it says nothing; it never says valid."""
    for status in (REVOKED, REVOKED_BY_ID, BOTH_REVOKED, pinned(ROOT.der, REVOKED_INDEX)):
        assert judge(status, data).outcome in (Outcome.FAILED, Outcome.INDETERMINATE)


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-1, 70), st.sampled_from([URI, ROOT.der, b"", VALID_ID])),
        lambda inner: st.dictionaries(
            st.sampled_from(["status_list", "identifier_list", "idx", "id", "uri", "certificate"]), inner, max_size=4
        ),
        max_leaves=8,
    )
)
def test_any_status_member_gets_an_answer(status: Any) -> None:
    assert isinstance(judge(status, *MESSAGES[:2]).outcome, Outcome)


# --- revocation is final ----------------------------------------------------------------------------------------------


def test_an_old_list_that_says_revoked_still_refuses() -> None:
    old = Token(issued=TEST_TIME - 30 * DAY, expires=TEST_TIME - 29 * DAY).build()
    newer = Token(content=status_list({0: 1})).build()
    for tokens in permutations((old, newer)):
        assert judge(REVOKED, *tokens) == Judgement(Outcome.FAILED, "the issuing authority has revoked the document")
        assert judge(VALID, *tokens).outcome is Outcome.PASSED
    assert judge(VALID, old).detail == "the status list has expired"


def test_so_does_one_under_an_expired_signer() -> None:
    old = by(SIGNER.with_changes(not_after=TEST_TIME - SECOND)).build()
    assert "revoked" in judge(REVOKED, old, Token(content=status_list({0: 1})).build()).detail


def test_a_clock_skew_widens_every_period_by_as_much_and_no_more() -> None:
    token = Token(issued=TEST_TIME - HOUR, expires=TEST_TIME + DAY).build()
    brief = signer_recipe(HOUSE).with_changes(not_before=TEST_TIME - HOUR, not_after=TEST_TIME + HOUR)
    signed_briefly = by(brief, issued=TEST_TIME - DAY, expires=TEST_TIME + DAY).build()
    skewed = StatusJudge(skew=60 * SECOND)
    for data, at, outcome in (
        (token, TEST_TIME - HOUR - 60 * SECOND, Outcome.PASSED),
        (token, TEST_TIME - HOUR - 61 * SECOND, Outcome.INDETERMINATE),
        (token, TEST_TIME + DAY + 59 * SECOND, Outcome.PASSED),
        (token, TEST_TIME + DAY + 60 * SECOND, Outcome.INDETERMINATE),
        (signed_briefly, TEST_TIME - HOUR - 60 * SECOND, Outcome.PASSED),
        (signed_briefly, TEST_TIME - HOUR - 61 * SECOND, Outcome.INDETERMINATE),
        (signed_briefly, TEST_TIME + HOUR + 60 * SECOND, Outcome.PASSED),
        (signed_briefly, TEST_TIME + HOUR + 61 * SECOND, Outcome.INDETERMINATE),
    ):
        assert skewed.judge(VALID, ROOT, at_hand((data,)), at).outcome is outcome, at


def test_a_list_is_good_from_its_first_second_until_its_last() -> None:
    issued, expires = TEST_TIME - HOUR, TEST_TIME + DAY
    at = {
        issued - SECOND: Outcome.INDETERMINATE,
        issued: Outcome.PASSED,
        expires - SECOND: Outcome.PASSED,
        expires: Outcome.INDETERMINATE,
    }
    judging = StatusJudge()
    tokens = (GOOD,)
    for moment, outcome in [*at.items(), *reversed(at.items())]:
        assert judging.judge(VALID, ROOT, at_hand(tokens), moment).outcome is outcome
        assert "revoked" in judging.judge(REVOKED, ROOT, at_hand(tokens), moment).detail


def test_the_certificates_are_valid_on_their_first_and_last_second() -> None:
    for recipe in (SIGNER.with_changes(not_after=TEST_TIME), SIGNER.with_changes(not_before=TEST_TIME)):
        assert judge(VALID, by(recipe).build()).outcome is Outcome.PASSED


def suspending(hours: int, **changes: Any) -> bytes:
    issued = TEST_TIME - hours * HOUR
    return Token(content=status_list({VALID_INDEX: 2}, bits=2), issued=issued, **changes).build()


@pytest.mark.parametrize(
    ("tokens", "outcome"),
    [
        ([suspending(2)], Outcome.FAILED),
        ([suspending(2, expires=TEST_TIME - HOUR)], Outcome.FAILED),
        ([suspending(2), GOOD], Outcome.PASSED),
        ([suspending(1), GOOD], Outcome.FAILED),
        ([suspending(0), GOOD], Outcome.FAILED),
        ([suspending(2), Token(issued=TEST_TIME + SECOND).build()], Outcome.FAILED),
        ([suspending(2), Token(claims={EXP: None}).build()], Outcome.FAILED),
        ([suspending(2), Token(signer=STRANGER).build()], Outcome.FAILED),
        ([suspending(2), Token(expires=TEST_TIME).build()], Outcome.INDETERMINATE),
        ([suspending(2), GOOD, Token(content=status_list({VALID_INDEX: 1}, bits=2)).build()], Outcome.FAILED),
        ([Token(content=status_list({VALID_INDEX: 3}, bits=2), issued=TEST_TIME - DAY).build(), GOOD], Outcome.FAILED),
    ],
)
def test_who_is_suspended_is_what_the_newest_list_says(tokens: list[bytes], outcome: Outcome) -> None:
    for order in permutations(tokens):
        assert judge(VALID, *order).outcome is outcome


def test_a_list_that_does_not_say_when_it_expires_revokes_and_clears_nobody() -> None:
    endless = Token(claims={EXP: None}).build()
    for order in permutations((endless, Token(content=status_list({0: 1}), issued=TEST_TIME).build())):
        assert judge(REVOKED, *order).outcome is Outcome.FAILED
    assert judge(VALID, endless).detail == "the status list does not say when it expires"


def test_an_older_list_does_not_clear_once_a_newer_one_has_expired() -> None:
    newer = Token(issued=TEST_TIME - 2 * SECOND, expires=TEST_TIME - SECOND).build()
    for order in permutations((GOOD, newer)):
        assert (judge(VALID, *order).outcome, judge(VALID, *order).detail) == (
            Outcome.INDETERMINATE,
            "the status list has expired",
        )


# --- honest lists that are out of the ordinary ------------------------------------------------------------------------


@pytest.mark.parametrize("name", TOLERATED)
def test_an_honest_list_passes_and_its_deviation_is_named(name: str) -> None:
    token, warnings = TOLERATED[name]
    judgement = judge(VALID, token.build())
    assert (judgement.outcome, judgement.warnings) == (Outcome.PASSED, warnings)
    assert judge(REVOKED, token.build()).outcome is Outcome.FAILED


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP512r1", "Ed25519", "Ed448"])
def test_every_algorithm_of_the_standard_signs_lists(curve: str) -> None:
    key = deterministic_key("list signer", curve)
    judgement = judge(VALID, by(signer_recipe(HOUSE, key), signer=key).build())
    assert judgement.outcome is Outcome.PASSED
    assert judgement.warnings == (PROFILE if curve.startswith("Ed") else ())


def test_a_root_on_another_curve_serves_as_well() -> None:
    house = ThrowawayAuthority("Brainpool", curve="brainpoolP384r1")
    token = by(signer_recipe(house)).build()
    assert judge(VALID, token, issuer=house.iaca_certificate).outcome is Outcome.PASSED
    assert judge(VALID, token).outcome is Outcome.INDETERMINATE


# --- a certificate that the security object pins ----------------------------------------------------------------------


def test_a_pinned_certificate_takes_the_root_s_place() -> None:
    token = by(signer_recipe(OTHER_HOUSE)).build()
    assert judge(pinned(OTHER_HOUSE.iaca_certificate.der), token).outcome is Outcome.PASSED
    assert judge(pinned(OTHER_HOUSE.iaca_certificate.der, REVOKED_INDEX), token).outcome is Outcome.FAILED
    assert judge(VALID, token).outcome is Outcome.INDETERMINATE


def test_a_pinned_certificate_may_be_of_another_country_and_so_is_what_it_certifies() -> None:
    """The issuing authority has named it: its lists may be hosted by somebody else."""
    host = ThrowawayAuthority("Host", country="CA", state=None)
    name = distinguished_name(C="CA", CN="Signer")
    signer = signer_recipe(host).with_changes(subject=name)
    assert judge(pinned(host.iaca_certificate.der), by(signer).build()) == Judgement(Outcome.PASSED)
    middle = below(
        ca_recipe(host).with_changes(subject=distinguished_name(C="CA", CN="CA")), host.iaca_recipe, host.iaca_key
    )
    token = by(below(signer, middle, CA_KEY), middle)
    assert judge(pinned(host.iaca_certificate.der), token.build()).outcome is Outcome.PASSED
    abroad = by(signer.with_changes(subject=distinguished_name(C="US", ST="US-UT", CN="Signer")))
    assert "issuer.country" in judge(pinned(host.iaca_certificate.der), abroad.build()).detail


def test_then_the_root_s_own_word_is_not_enough() -> None:
    judgement = judge(pinned(OTHER_HOUSE.iaca_certificate.der), GOOD)
    assert (judgement.outcome, judgement.detail) == (
        Outcome.INDETERMINATE,
        "the status list's chain does not lead to its trust point [status.chain]",
    )


def test_a_pinned_ca_may_be_one_that_the_root_has_certified() -> None:
    token = by(below(SIGNER, CA, CA_KEY)).build()
    judgement = judge(pinned(CA.build()), token)
    assert (judgement.outcome, judgement.warnings) == (Outcome.PASSED, ())
    assert judge(VALID, token).outcome is Outcome.INDETERMINATE


def test_a_pinned_certificate_may_stand_on_top_of_the_chain_once() -> None:
    signer = below(SIGNER, CA, CA_KEY)
    assert judge(pinned(CA.build()), by(signer, CA).build()) == Judgement(Outcome.PASSED)
    for above in ((CA, CA), (CA, HOUSE.iaca_recipe), (CA.with_changes(serial=7),)):
        assert judge(pinned(CA.build()), by(signer, *above).build()).outcome is Outcome.INDETERMINATE
    # It vouches for what it has issued and for nothing else, itself included.
    assert judge(pinned(CA.build()), by(SIGNER, CA).build()).outcome is Outcome.INDETERMINATE
    assert judge(pinned(SIGNER.build()), by(SIGNER, SIGNER).build()).outcome is Outcome.INDETERMINATE


def test_a_pinned_certificate_need_not_be_a_ca_s() -> None:
    """The issuing authority has named its key; that is all there is to it."""
    bare = HOUSE.iaca_recipe.with_changes(extensions={"bc": None, "ku": None}).build()
    assert judge(pinned(bare), GOOD) == Judgement(Outcome.PASSED)
    with_ca = by(below(SIGNER, CA, CA_KEY), CA).build()
    assert judge(pinned(bare), with_ca) == Judgement(Outcome.PASSED)


def test_pinning_the_signer_itself_pins_nothing_that_has_signed_it() -> None:
    assert judge(pinned(SIGNER.build()), GOOD).outcome is Outcome.INDETERMINATE


@pytest.mark.parametrize(
    "certificate, detail",
    [
        (b"", "not"),
        (b"\xaa", "not"),
        (GOOD, "not"),
        (NAMESAKE.iaca_certificate.der, "does not lead"),
        (HOUSE.iaca_recipe.with_changes(not_after=TEST_TIME - SECOND).build(), "is not valid"),
        (HOUSE.iaca_recipe.with_changes(not_before=TEST_TIME + SECOND).build(), "is not valid"),
    ],
)
def test_a_pinned_certificate_that_does_not_fit_refuses(certificate: bytes, detail: str) -> None:
    judgement = judge(pinned(certificate), GOOD)
    assert judgement.outcome is Outcome.INDETERMINATE
    assert detail in judgement.detail


# --- a list signer that is revoked ------------------------------------------------------------------------------------

SIGNER_SERIAL = Certificate(SIGNER.build()).serial
LISTED = HOUSE.crl(revoked=[SIGNER_SERIAL])
SIGNER_REVOKED = "the status list's signer is revoked [status.signer_revoked]"


def test_a_revoked_signer_is_not_believed_whatever_he_says() -> None:
    for status in (VALID, REVOKED):
        judgement = judge(status, GOOD, crls=[LISTED])
        assert (judgement.outcome, judgement.detail) == (Outcome.INDETERMINATE, SIGNER_REVOKED)


def test_his_successor_is() -> None:
    key = deterministic_key("next list signer")
    token = by(signer_recipe(HOUSE, key), signer=key)
    revoked_by_thief = Token(content=status_list({VALID_INDEX: 1})).build()
    for tokens in permutations((revoked_by_thief, token.build())):
        assert judge(VALID, *tokens, crls=[LISTED]).outcome is Outcome.PASSED
        assert judge(VALID, *tokens).outcome is Outcome.FAILED


def test_a_revoked_ca_between_is_not_believed() -> None:
    token = by(below(SIGNER, CA, CA_KEY), CA).build()
    listed = HOUSE.crl(revoked=[Certificate(CA.build()).serial])
    assert judge(VALID, token, crls=[HOUSE.crl()]).outcome is Outcome.PASSED
    assert judge(VALID, token, crls=[HOUSE.crl(), listed]).detail == SIGNER_REVOKED


def test_an_old_crl_that_lists_the_signer_counts_and_one_that_does_not_is_left_to_its_own_check() -> None:
    long_ago: dict[str, Any] = {"this_update": TEST_TIME - 60 * DAY, "next_update": TEST_TIME - 30 * DAY}
    assert judge(VALID, GOOD, crls=[HOUSE.crl(**long_ago, revoked=[SIGNER_SERIAL])]).outcome is Outcome.INDETERMINATE
    assert judge(VALID, GOOD, crls=[HOUSE.crl(**long_ago)]).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "crl",
    [
        b"garbage",
        OTHER_HOUSE.crl(revoked=[SIGNER_SERIAL]),
        NAMESAKE.crl(revoked=[SIGNER_SERIAL]),
        HOUSE.crl(revoked=[SIGNER_SERIAL], signer=STRANGER),
        HOUSE.crl(revoked=[SIGNER_SERIAL + 1]),
    ],
)
def test_a_crl_that_is_not_the_root_s_revokes_nobody(crl: bytes) -> None:
    assert judge(VALID, GOOD, crls=[crl]).outcome is Outcome.PASSED


@pytest.mark.parametrize(
    "changes",
    [
        {"extensions": {"aki": (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)}},
        {"issuer": distinguished_name(C="US", ST="US-UT", CN="Throwaway IACA 2")},
        {"extensions": {"delta": (x509.DeltaCRLIndicator(1), True)}},
        {"extensions": {"odd": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)}},
    ],
)
def test_a_crl_of_the_root_s_own_key_that_clears_nobody_revokes_a_list_signer(changes: dict[str, Any]) -> None:
    revoking = HOUSE.crl(**changes, revoked=[SIGNER_SERIAL])
    assert judge(VALID, GOOD, crls=[HOUSE.crl(), revoking]).outcome is Outcome.INDETERMINATE
    assert judge(VALID, GOOD, crls=[HOUSE.crl(**changes, revoked=[SIGNER_SERIAL + 1])]).outcome is Outcome.PASSED


# --- what is remembered -----------------------------------------------------------------------------------------------


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[StatusToken]:
    """Every token that is verified, in order."""
    seen: list[StatusToken] = []

    def watched(token: StatusToken, **named: Any) -> Any:
        seen.append(token)
        return verify_status_token(token, **named)

    monkeypatch.setattr(status_module, "verify_status_token", watched)
    return seen


def test_a_token_is_verified_once(verifications: list[StatusToken]) -> None:
    judging = StatusJudge()
    for index in range(20):
        for tokens in ((GOOD,), (bytes(bytearray(GOOD)),)):
            assert judging.judge(VALID, ROOT, at_hand(tokens), TEST_TIME + index * SECOND).outcome is Outcome.PASSED
            assert judging.judge(REVOKED, ROOT, at_hand(tokens), TEST_TIME).outcome is Outcome.FAILED
    assert len(verifications) == 1


def test_what_holds_under_one_root_does_not_hold_under_another(verifications: list[StatusToken]) -> None:
    judging = StatusJudge()
    tokens = (GOOD,)
    for _ in range(2):
        assert judging.judge(VALID, ROOT, at_hand(tokens), TEST_TIME).outcome is Outcome.PASSED
        assert (
            judging.judge(VALID, OTHER_HOUSE.iaca_certificate, at_hand(tokens), TEST_TIME).outcome
            is Outcome.INDETERMINATE
        )
        assert (
            judging.judge(VALID, NAMESAKE.iaca_certificate, at_hand(tokens), TEST_TIME).outcome is Outcome.INDETERMINATE
        )
        assert (
            judging.judge(pinned(ROOT.der), NAMESAKE.iaca_certificate, at_hand(tokens), TEST_TIME).outcome
            is Outcome.PASSED
        )
        assert judging.judge(pinned(b""), ROOT, at_hand(tokens), TEST_TIME).outcome is Outcome.INDETERMINATE
    # Twice each: what fails is verified again.
    assert len(verifications) == 2 + 2 * 3


def test_a_forgery_beside_a_remembered_token_is_not_taken_for_it() -> None:
    judging = StatusJudge()
    forged = Token(signer=STRANGER, content=status_list({0: 1})).build()
    assert judging.judge(REVOKED, ROOT, at_hand((GOOD,)), TEST_TIME).outcome is Outcome.FAILED
    assert judging.judge(REVOKED, ROOT, at_hand((forged,)), TEST_TIME).outcome is Outcome.INDETERMINATE
    assert "signature" in judging.judge(REVOKED, ROOT, at_hand((forged,)), TEST_TIME).detail
    assert judging.judge(VALID, ROOT, at_hand((GOOD,)), TEST_TIME).outcome is Outcome.PASSED
    assert judging.judge(VALID, ROOT, at_hand((forged,)), TEST_TIME).outcome is Outcome.INDETERMINATE


def test_other_evidence_in_the_next_call_is_seen() -> None:
    judging = StatusJudge()
    assert judging.judge(VALID, ROOT, at_hand(()), TEST_TIME).outcome is Outcome.INDETERMINATE
    assert judging.judge(VALID, ROOT, at_hand((GOOD,)), TEST_TIME).outcome is Outcome.PASSED
    assert judging.judge(VALID, ROOT, at_hand(()), TEST_TIME).outcome is Outcome.INDETERMINATE
    assert judging.judge(VALID, ROOT, at_hand((b"garbage",)), TEST_TIME).outcome is Outcome.INDETERMINATE


def test_made_up_certificates_do_not_fill_the_memory() -> None:
    """A stranger may name any number of certificates with the root's name and key."""
    judging = StatusJudge()
    tokens = (GOOD,)
    for serial in range(1, 30):
        made_up = HOUSE.iaca_recipe.with_changes(serial=serial).build()
        assert judging.judge(pinned(made_up), ROOT, at_hand(tokens), TEST_TIME).outcome is Outcome.PASSED
    (known,) = judging._known.values()
    assert len(known.verified) == status_module._MAX_TRUST_POINTS
    assert judging._size == known.size
    assert known.size == status_module._TOKEN_COST + len(GOOD) + sum(map(status_module._size, known.verified.values()))
    assert judging.judge(VALID, ROOT, at_hand(tokens), TEST_TIME).outcome is Outcome.PASSED


def test_the_memory_has_a_limit_and_what_is_forgotten_is_verified_again(verifications: list[StatusToken]) -> None:
    lists = [
        Token(uri=f"https://lists.throwaway.example/{number}", content=status_list(size=8 * 100_000)).build()
        for number in range(12)
    ]
    limit = 500_000
    judging = StatusJudge(max_bytes=limit)
    for _ in range(2):
        for number, data in enumerate(lists):
            status = {"status_list": {"idx": 7, "uri": f"https://lists.throwaway.example/{number}"}}
            assert judging.judge(status, ROOT, at_hand((data,)), TEST_TIME).outcome is Outcome.PASSED
            assert judging._size == sum(known.size for known in judging._known.values()) <= limit
    assert len(verifications) == 24
    small = StatusJudge(max_bytes=1)
    assert small.judge(VALID, ROOT, at_hand((*lists, GOOD)), TEST_TIME).outcome is Outcome.PASSED
    assert len(small._known) == 1


def test_identifiers_count_too() -> None:
    many = identifier_list(*(number.to_bytes(16) for number in range(2000)))
    judging = StatusJudge()
    token = Token(content=many, claim=65530).build()
    assert judging.judge(VALID_BY_ID, ROOT, at_hand((token,)), TEST_TIME).outcome is Outcome.PASSED
    assert judging._size > 2000 * 100


def test_many_tokens_at_hand_are_sorted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    original = StatusToken.decode

    def watched(data: bytes) -> StatusToken:
        decoded.append(data)
        return original(data)

    monkeypatch.setattr(StatusToken, "decode", staticmethod(watched))
    tokens = tuple(Token(uri=f"https://lists.throwaway.example/{number}").build() for number in range(50))
    judging = StatusJudge()
    for _ in range(3):
        for number in range(50):
            status = {"status_list": {"idx": 7, "uri": f"https://lists.throwaway.example/{number}"}}
            assert judging.judge(status, ROOT, at_hand(tokens), TEST_TIME).outcome is Outcome.PASSED
    assert len(decoded) == 100  # once to sort, once to verify


def test_threads_may_share_a_judge() -> None:
    judging = StatusJudge(max_bytes=40_000)
    evidence = [(GOOD,), (GOOD, b"garbage"), (Token(uri="https://lists.throwaway.example/x").build(), GOOD)]
    wrong: list[Judgement | BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(200):
                tokens = evidence[(number + turn) % 3]
                for status, outcome in ((VALID, Outcome.PASSED), (REVOKED, Outcome.FAILED)):
                    judgement = judging.judge(status, ROOT, at_hand(tokens), TEST_TIME)
                    if judgement.outcome is not outcome:
                        wrong.append(judgement)
        except BaseException as exc:
            wrong.append(exc)
            raise

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert judging._size == sum(known.size for known in judging._known.values())

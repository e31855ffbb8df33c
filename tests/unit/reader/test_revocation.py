"""Revocation by CRL: revoked, not revoked, and nothing to go by are three answers; what can do neither is absent."""

import pickle
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from asn1crypto import core
from asn1crypto import x509 as asn1_x509
from cryptography import x509

from mdl.pki import Certificate, Crl, CrlEnvelope, Listing
from mdl.pki.structures import enclosed
from mdl.testing import TEST_TIME, ThrowawayAuthority, throwaway_authority
from reader import revocation
from reader.report import Outcome
from reader.revocation import NO_EVIDENCE, CrlJudge, Evidence, Judgement, claims_issuer
from tests.x509_forgery import forge_crl

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
STRANGERS = ThrowawayAuthority(generation=2).iaca_certificate
GARBAGE = b"not a list"


def judge(*crls: bytes, at: datetime = TEST_TIME) -> Judgement:
    return CrlJudge().judge(SIGNER, ROOT, Evidence(crls=crls), at)


@pytest.mark.parametrize(
    ("crls", "outcome", "detail"),
    [
        ([], Outcome.INDETERMINATE, "no revocation list of the root"),
        ([FRESH], Outcome.PASSED, ""),
        ([REVOKED], Outcome.FAILED, "is revoked"),
        ([STALE], Outcome.INDETERMINATE, "stale"),
        ([FUTURE], Outcome.INDETERMINATE, "future"),
        ([FORGED], Outcome.INDETERMINATE, "signature"),
        ([GARBAGE], Outcome.INDETERMINATE, "does not decode"),
        ([FOREIGN], Outcome.INDETERMINATE, "no revocation list of the root"),
        ([NAMESAKE], Outcome.INDETERMINATE, "signature"),
        ([STALE, FRESH], Outcome.PASSED, ""),
        ([FORGED, FRESH], Outcome.PASSED, ""),
        ([GARBAGE, FRESH], Outcome.PASSED, ""),
        ([FRESH, REVOKED], Outcome.FAILED, "is revoked"),
        ([STALE, FORGED, REVOKED], Outcome.FAILED, "is revoked"),
        ([FOREIGN, NAMESAKE, FRESH], Outcome.PASSED, ""),
        ([FOREIGN, STALE], Outcome.INDETERMINATE, "stale"),
        ([GARBAGE, FORGED, STALE], Outcome.INDETERMINATE, "stale"),
        ([GARBAGE, FORGED], Outcome.INDETERMINATE, "signature"),
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
    assert (judge(clean).outcome, judge(clean, FRESH).outcome) == (Outcome.INDETERMINATE, Outcome.PASSED)
    assert detail in judge(clean).detail
    for order in permutations([FRESH, revoking]):
        assert (judge(*order).outcome, judge(*order).detail) == (Outcome.FAILED, "the certificate is revoked")


def test_a_partial_list_clears_nobody_and_revokes_whom_it_lists() -> None:
    """It is the root's word all the same, beside a whole list that is older, or that somebody chose."""
    partial = {"delta": (x509.DeltaCRLIndicator(1), True)}
    lists, does_not = HOUSE.crl(revoked=[SIGNER.serial], extensions=partial), HOUSE.crl(extensions=partial)
    assert judge(does_not).outcome is Outcome.INDETERMINATE
    assert judge(does_not, FRESH).outcome is Outcome.PASSED
    for order in ((lists,), (lists, FRESH), (FRESH, lists)):
        assert (judge(*order).outcome, judge(*order).detail) == (Outcome.FAILED, "the certificate is revoked")


def test_a_list_in_the_root_s_name_that_its_key_has_not_signed_is_nobody_s_word() -> None:
    """Whether of another root of that name, trusted or not: it neither revokes nor clears."""
    second, third = (ThrowawayAuthority(generation=number) for number in (2, 3))
    for crl in (
        second.crl(revoked=[SIGNER.serial]),
        third.crl(),
        second.crl(signer=third.iaca_key),
        second.crl(extensions={"aki": None}, signer=third.iaca_key),
        ThrowawayAuthority("Other").crl(revoked=[SIGNER.serial], extensions={"aki": HOUSE.ds_recipe.extensions["aki"]}),
    ):
        assert judge(crl).outcome is Outcome.INDETERMINATE
        assert "signature" in judge(crl).detail
        assert judge(crl, FRESH).outcome is Outcome.PASSED


def test_a_list_that_names_no_key_is_not_that_of_a_root_that_has_no_identifier() -> None:
    bare = Certificate(HOUSE.iaca_recipe.with_changes(extensions={"ski": None}).build())
    nobody_s = ThrowawayAuthority("Other").crl(extensions={"aki": None})
    found = CrlJudge().judge(SIGNER, bare, Evidence(crls=(nobody_s,)), TEST_TIME)
    assert (found.outcome, found.detail) == (Outcome.INDETERMINATE, "no revocation list of the root at hand")
    assert CrlJudge().judge(SIGNER, bare, Evidence(crls=(REVOKED,)), TEST_TIME).outcome is Outcome.FAILED


def test_nothing_is_verified_for_lists_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CrlEnvelope, "verify_signature", lambda *_: pytest.fail("a list of another root was verified"))
    assert judge(FOREIGN).outcome is Outcome.INDETERMINATE


def test_a_list_is_good_from_its_first_second_to_its_last() -> None:
    crl = Crl(FRESH)
    assert crl.next_update is not None
    second = timedelta(seconds=1)
    assert judge(FRESH, at=crl.this_update).outcome is Outcome.PASSED
    assert judge(FRESH, at=crl.next_update).outcome is Outcome.PASSED
    assert judge(FRESH, at=crl.this_update - second).outcome is Outcome.INDETERMINATE
    assert judge(FRESH, at=crl.next_update + second).outcome is Outcome.INDETERMINATE


def test_a_clock_skew_widens_the_period_by_as_much_and_no_more() -> None:
    crl = Crl(FRESH)
    assert crl.next_update is not None
    skewed = CrlJudge(skew=timedelta(seconds=60))
    for seconds, outcome in ((60, Outcome.PASSED), (61, Outcome.INDETERMINATE)):
        off = timedelta(seconds=seconds)
        assert skewed.judge(SIGNER, ROOT, Evidence(crls=(FRESH,)), crl.this_update - off).outcome is outcome
        assert skewed.judge(SIGNER, ROOT, Evidence(crls=(FRESH,)), crl.next_update + off).outcome is outcome


def test_revocation_is_final_whatever_the_age_of_the_list() -> None:
    for at in (TEST_TIME - 1000 * DAY, TEST_TIME, TEST_TIME + 1000 * DAY):
        assert "revoked" in judge(REVOKED, at=at).detail


def test_other_certificates_are_nobody_s_business() -> None:
    assert judge(HOUSE.crl(revoked=[1, SIGNER.serial - 1, SIGNER.serial + 1])).outcome is Outcome.PASSED


def test_a_list_that_deviates_harmlessly_is_used_and_named() -> None:
    for crl in (
        HOUSE.crl(extensions={"number": None}),
        HOUSE.crl(next_update=TEST_TIME + 200 * DAY),
        forge_crl(Crl(HOUSE.crl(revoked=[12345])), reason(4), signer=HOUSE.iaca_key).der,
        HOUSE.crl(extensions={"more": (x509.IssuerAlternativeName([x509.DNSName("throwaway.example")]), False)}),
    ):
        judgement = judge(crl)
        assert judgement.outcome is Outcome.PASSED
        assert judgement.warnings == ("crl.profile",)
        assert "deviates" in judgement.detail


def test_a_list_that_deviates_harmlessly_still_revokes() -> None:
    assert judge(HOUSE.crl(revoked=[SIGNER.serial], extensions={"number": None})).outcome is Outcome.FAILED


def reason(code: int) -> Any:
    """A reason on the first entry."""

    def change(body: Any) -> None:
        value = core.ParsableOctetString(bytes((10, 1, code)))
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": "2.5.29.21", "critical": False, "extn_value": value}
        ]

    return change


def with_reason(code: int, number: int, **changes: Any) -> bytes:
    original = Crl(HOUSE.crl(revoked=[SIGNER.serial], number=number, **changes))
    return forge_crl(original, reason(code), signer=HOUSE.iaca_key).der


DELTA = {"delta": (x509.DeltaCRLIndicator(1), True)}
HOLD = 6
REMOVE = 8


@pytest.mark.parametrize(
    ("crls", "outcome"),
    [
        ([with_reason(HOLD, 5)], Outcome.FAILED),
        ([with_reason(HOLD, 5), HOUSE.crl(number=4)], Outcome.FAILED),
        ([with_reason(HOLD, 5), HOUSE.crl(number=5)], Outcome.FAILED),
        ([with_reason(HOLD, 5), HOUSE.crl(number=6)], Outcome.PASSED),
        ([with_reason(HOLD, 5), HOUSE.crl(this_update=TEST_TIME + DAY)], Outcome.FAILED),
        ([with_reason(HOLD, 5), HOUSE.crl(number=6, extensions=DELTA)], Outcome.FAILED),
        ([with_reason(HOLD, 5), HOUSE.crl(number=6, extensions={"aki": FOREIGN_KEY})], Outcome.FAILED),
        ([with_reason(HOLD, 5), with_reason(REMOVE, 6, extensions=DELTA)], Outcome.INDETERMINATE),
        ([with_reason(HOLD, 5), with_reason(REMOVE, 4, extensions=DELTA)], Outcome.FAILED),
        ([with_reason(REMOVE, 6, extensions=DELTA)], Outcome.INDETERMINATE),
        ([with_reason(REMOVE, 6, extensions=DELTA), HOUSE.crl(number=5)], Outcome.PASSED),
        ([with_reason(REMOVE, 6)], Outcome.FAILED),
        ([with_reason(HOLD, 5), REVOKED, HOUSE.crl(number=6)], Outcome.FAILED),
    ],
)
def test_who_is_on_hold_is_what_the_newest_list_says(crls: list[bytes], outcome: Outcome) -> None:
    for order in permutations(crls):
        assert judge(*order).outcome is outcome


def test_an_older_list_does_not_clear_once_a_newer_one_has_expired() -> None:
    """Whoever withholds the newest could else put back an older one that is valid for longer."""
    newer = HOUSE.crl(number=9, next_update=TEST_TIME - timedelta(seconds=1))
    for order in permutations([FRESH, newer]):
        assert (judge(*order).outcome, judge(*order).detail) == (Outcome.INDETERMINATE, "the revocation list is stale")


def test_a_list_is_fresh_for_90_days_at_most_whatever_it_says() -> None:
    for_years = HOUSE.crl(this_update=TEST_TIME - DAY, next_update=TEST_TIME + 3000 * DAY)
    for days, outcome in ((89, Outcome.PASSED), (90, Outcome.INDETERMINATE)):
        assert judge(for_years, at=TEST_TIME + days * DAY).outcome is outcome
    revoking = HOUSE.crl(revoked=[SIGNER.serial], next_update=TEST_TIME + 3000 * DAY)
    assert judge(revoking, at=TEST_TIME + 2000 * DAY).outcome is Outcome.FAILED


PARTS = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")
OURS, THEIRS = "https://throwaway.example/iaca.crl", "https://throwaway.example/2.crl"


def partition(*uris: str, reasons: frozenset[x509.ReasonFlags] | None = None, **flags: bool) -> dict[str, Any]:
    point = x509.IssuingDistributionPoint(
        [x509.UniformResourceIdentifier(uri) for uri in uris] or None,
        relative_name=None,
        only_some_reasons=reasons,
        **(dict.fromkeys(PARTS, False) | flags),
    )
    return {"idp": (point, True)}


@pytest.mark.parametrize(
    ("extensions", "outcome"),
    [
        (partition(OURS), Outcome.PASSED),
        (partition(THEIRS, OURS), Outcome.PASSED),
        (partition(OURS, only_contains_user_certs=True), Outcome.PASSED),
        (partition(only_contains_user_certs=True), Outcome.PASSED),
        (partition(THEIRS), Outcome.INDETERMINATE),
        (partition(OURS.upper()), Outcome.INDETERMINATE),
        (partition(OURS, only_contains_ca_certs=True), Outcome.INDETERMINATE),
        (partition(OURS, only_contains_attribute_certs=True), Outcome.INDETERMINATE),
        (partition(OURS, indirect_crl=True), Outcome.INDETERMINATE),
        (partition(OURS, reasons=frozenset([x509.ReasonFlags.key_compromise])), Outcome.INDETERMINATE),
        (partition(OURS) | DELTA, Outcome.INDETERMINATE),
        (
            {"idp": (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.28"), b"\x05\x00"), True)},
            Outcome.INDETERMINATE,
        ),
    ],
)
def test_a_partition_clears_whom_it_would_list_and_revokes_whom_it_lists(
    extensions: dict[str, Any], outcome: Outcome
) -> None:
    assert judge(HOUSE.crl(extensions=extensions)).outcome is outcome
    revoking = HOUSE.crl(revoked=[SIGNER.serial], extensions=extensions)
    for order in permutations([revoking, HOUSE.crl(number=9)]):
        assert judge(*order).outcome is Outcome.FAILED


def naming(issuer: bytes, *, critical: bool = True) -> Any:
    """The first entry names a certificate issuer, which counts for those behind it, too."""

    def change(body: Any) -> None:
        value = core.ParsableOctetString(enclosed(b"\xa4" + bytes((len(issuer),)) + issuer))
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": "2.5.29.29", "critical": critical, "extn_value": value}
        ]

    return change


ANOTHER = ThrowawayAuthority("Other").iaca_certificate.subject.der


def test_what_stands_behind_another_certificate_issuer_is_not_the_root_s() -> None:
    original = Crl(HOUSE.crl(revoked=[12345, SIGNER.serial], extensions=partition(indirect_crl=True)))
    others = forge_crl(original, naming(ANOTHER), signer=HOUSE.iaca_key)
    assert judge(others.der).outcome is Outcome.INDETERMINATE
    own = forge_crl(original, naming(ROOT.subject.der), signer=HOUSE.iaca_key)
    assert judge(own.der).outcome is Outcome.FAILED


@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize("extensions", [{}, partition(OURS), partition(only_contains_user_certs=True)])
@pytest.mark.parametrize("serials", [[SIGNER.serial], [12345, SIGNER.serial]])
def test_a_list_that_is_not_indirect_revokes_whoever_an_entry_says_has_issued(
    extensions: dict[str, Any], serials: list[int], *, critical: bool
) -> None:
    """RFC 5280 5.3.3: only an indirect list has entries of others; elsewhere the name must not hide an entry."""
    original = Crl(HOUSE.crl(revoked=serials, extensions=extensions))
    for other in (ANOTHER, SAME_NAMES["PrintableString"]):
        hiding = forge_crl(original, naming(other, critical=critical), signer=HOUSE.iaca_key).der
        for order in permutations([hiding, HOUSE.crl(number=9)]):
            assert judge(*order).outcome is Outcome.FAILED


def name(*attributes: tuple[x509.ObjectIdentifier, str, Any]) -> bytes:
    return x509.Name([x509.NameAttribute(oid, text, kind) for oid, text, kind in attributes]).public_bytes()


# The root's name, said in other ways: as text it is the same.
_UTF8, _PRINTABLE = x509.name._ASN1Type.UTF8String, x509.name._ASN1Type.PrintableString
_C, _ST, _CN = x509.NameOID.COUNTRY_NAME, x509.NameOID.STATE_OR_PROVINCE_NAME, x509.NameOID.COMMON_NAME
_TEXTS = [(_C, "US"), (_ST, "US-UT"), (_CN, "Throwaway IACA")]
SAME_NAMES = {
    "UTF8String": name(*((oid, text, _PRINTABLE if oid == _C else _UTF8) for oid, text in _TEXTS)),
    "PrintableString": name(*((oid, text, _PRINTABLE) for oid, text in _TEXTS)),
    "other case": name((_C, "us", _PRINTABLE), (_ST, "us-ut", _UTF8), (_CN, "THROWAWAY iaca", _UTF8)),
    "blanks": name((_C, "US", _PRINTABLE), (_ST, "US-UT", _UTF8), (_CN, " Throwaway   IACA ", _UTF8)),
    "other order": name((_CN, "Throwaway IACA", _UTF8), (_ST, "US-UT", _UTF8), (_C, "US", _PRINTABLE)),
    "wide letters": name((_C, "US", _PRINTABLE), (_ST, "US-UT", _UTF8), (_CN, "\uff34hrowaway IACA", _UTF8)),
}
OTHER_NAMES = {
    "another common name": name((_C, "US", _PRINTABLE), (_ST, "US-UT", _UTF8), (_CN, "Throwaway IACB", _UTF8)),
    "one attribute fewer": name((_C, "US", _PRINTABLE), (_CN, "Throwaway IACA", _UTF8)),
    "values of other types": name((_C, "US", _PRINTABLE), (_CN, "US-UT", _UTF8), (_ST, "Throwaway IACA", _UTF8)),
}


@pytest.mark.parametrize("how", SAME_NAMES)
@pytest.mark.parametrize("issuer", ["root", "another"])
def test_an_indirect_list_that_names_the_root_in_other_letters_revokes(how: str, issuer: str) -> None:
    changes: dict[str, Any] = {} if issuer == "root" else {"issuer": OTHER_NAME}
    original = Crl(HOUSE.crl(revoked=[12345, SIGNER.serial], extensions=partition(indirect_crl=True), **changes))
    listing = forge_crl(original, naming(SAME_NAMES[how]), signer=HOUSE.iaca_key)
    for order in permutations([listing.der, HOUSE.crl(number=9)]):
        assert judge(*order).outcome is Outcome.FAILED


@pytest.mark.parametrize("how", OTHER_NAMES)
def test_an_indirect_list_that_names_somebody_else_revokes_nobody_of_the_root_s(how: str) -> None:
    original = Crl(HOUSE.crl(revoked=[12345, SIGNER.serial], extensions=partition(indirect_crl=True)))
    listing = forge_crl(original, naming(OTHER_NAMES[how]), signer=HOUSE.iaca_key)
    assert judge(listing.der).outcome is Outcome.INDETERMINATE
    assert judge(listing.der, FRESH).outcome is Outcome.PASSED


@pytest.mark.parametrize("value", [enclosed(b""), enclosed(b"\xa4\x02\x30\x05"), enclosed(b"\x86\x01x")])
def test_a_certificate_issuer_that_names_nobody_hides_no_entry(value: bytes) -> None:
    def change(body: Any) -> None:
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": "2.5.29.29", "critical": True, "extn_value": core.ParsableOctetString(value)}
        ]

    original = Crl(HOUSE.crl(revoked=[SIGNER.serial], extensions=partition(indirect_crl=True)))
    assert judge(forge_crl(original, change, signer=HOUSE.iaca_key).der).outcome is Outcome.FAILED


@pytest.mark.parametrize("how", SAME_NAMES)
def test_a_list_in_the_root_s_name_in_other_letters_revokes_and_clears_nobody(how: str) -> None:
    """It names no key either, so by its name alone it is known for the root's."""

    def change(body: Any) -> None:
        body["issuer"] = asn1_x509.Name.load(SAME_NAMES[how])

    bare: dict[str, Any] = {"extensions": {"aki": None}}
    revoking, clean = (
        forge_crl(Crl(HOUSE.crl(revoked=serials, **bare)), change, signer=HOUSE.iaca_key).der
        for serials in ([SIGNER.serial], [])
    )
    for order in permutations([revoking, FRESH]):
        assert judge(*order).outcome is Outcome.FAILED
    if SAME_NAMES[how] != ROOT.subject.der:
        assert judge(clean).outcome is Outcome.INDETERMINATE
    assert claims_issuer(CrlEnvelope(revoking), ROOT)


def test_a_list_read_for_an_owner_stays_so_in_another_process() -> None:
    original = Crl(HOUSE.crl(revoked=[SIGNER.serial], extensions=partition(indirect_crl=True), issuer=OTHER_NAME))
    listing = forge_crl(original, naming(ROOT.subject.der), signer=HOUSE.iaca_key)
    assert Crl.decode(listing.der).listing(SIGNER.serial) is None
    owned = Crl.decode(listing.der, owner=ROOT.subject)
    assert pickle.loads(pickle.dumps(owned)).listing(SIGNER.serial) is Listing.REVOKED


def test_a_delta_list_releases_only_where_nothing_else_is_wrong_with_it() -> None:
    """What clears nobody since it is misnamed, of another partition or not understood, takes nobody off hold either."""
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)
    for changes in (
        {"issuer": OTHER_NAME},
        {"extensions": DELTA | {"aki": FOREIGN_KEY}},
        {"extensions": DELTA | {"other": unknown}},
        {"extensions": DELTA | partition(THEIRS)},
        {"extensions": DELTA | partition(only_contains_ca_certs=True)},
        {"this_update": TEST_TIME + DAY},
    ):
        released = with_reason(REMOVE, 9, **{"extensions": DELTA} | changes)
        for order in permutations([with_reason(HOLD, 5), released]):
            assert (judge(*order).outcome, judge(*order).detail) == (Outcome.FAILED, "the certificate is suspended")
    for good in (with_reason(REMOVE, 9, extensions=DELTA), with_reason(REMOVE, 9, extensions=DELTA | partition(OURS))):
        for order in permutations([with_reason(HOLD, 5), good]):
            assert judge(*order).outcome is Outcome.INDETERMINATE


# --- what is remembered -----------------------------------------------------------------------------------------------


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Which lists were read to their end."""
    found: list[bytes] = []
    original = Crl.decode

    def counted(der: bytes, **options: Any) -> Crl:
        found.append(der)
        return original(der, **options)

    monkeypatch.setattr(Crl, "decode", counted)
    monkeypatch.setattr(revocation, "_MEMORY", revocation._Memory(1 << 20))
    return found


def test_a_list_is_read_once_by_its_bytes_whoever_asks(read: list[bytes]) -> None:
    for _ in range(3):
        assert judge(FRESH, STALE).outcome is Outcome.PASSED
    assert read == [FRESH, STALE]


def test_no_entry_is_read_before_the_signature_is_verified(read: list[bytes]) -> None:
    assert judge(FORGED, NAMESAKE).outcome is Outcome.INDETERMINATE
    assert read == []


def test_what_an_evidence_object_holds_is_read_once_whatever_is_remembered_elsewhere(
    read: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking in turn never empties it: nine roots, each with its list, and a memory that has room for one."""
    monkeypatch.setattr(revocation, "_MEMORY", revocation._Memory(1))
    houses = [ThrowawayAuthority(f"House {number}") for number in range(9)]
    evidence = Evidence(crls=tuple(house.crl() for house in houses))
    for _ in range(3):
        for house in houses:
            found = CrlJudge().judge(house.ds_certificate, house.iaca_certificate, evidence, TEST_TIME)
            assert found.outcome is Outcome.PASSED
    assert len(read) == 9


def test_what_is_remembered_ages_with_the_clock() -> None:
    evidence = Evidence(crls=(FRESH,))
    for at, outcome in ((0, Outcome.PASSED), (40, Outcome.INDETERMINATE), (0, Outcome.PASSED)):
        assert CrlJudge().judge(SIGNER, ROOT, evidence, TEST_TIME + at * DAY).outcome is outcome


def test_what_is_remembered_of_one_root_is_not_used_for_another() -> None:
    other = ThrowawayAuthority("Other")
    evidence = Evidence(crls=(FOREIGN, REVOKED))
    assert CrlJudge().judge(SIGNER, ROOT, evidence, TEST_TIME).outcome is Outcome.FAILED
    found = CrlJudge().judge(other.ds_certificate, other.iaca_certificate, evidence, TEST_TIME)
    assert found.outcome is Outcome.PASSED
    twin = Certificate(HOUSE.iaca_recipe.with_changes(extensions={"ku": None}).build())
    assert CrlJudge().judge(SIGNER, twin, Evidence(crls=(FRESH,)), TEST_TIME).outcome is Outcome.PASSED
    assert CrlJudge().judge(SIGNER, STRANGERS, Evidence(crls=(FRESH,)), TEST_TIME).outcome is Outcome.INDETERMINATE


def test_what_is_remembered_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = revocation._Memory(200_000)
    monkeypatch.setattr(revocation, "_MEMORY", memory)
    for number in range(60):
        judge(HOUSE.crl(number=number, revoked=range(1, 40)))
        assert memory._size <= 200_000
        assert memory._size == sum(known.cost for known, _ in memory._known.values())
    assert 1 < len(memory._known) < 60
    large = HOUSE.crl(revoked=range(1, 5000))
    judge(large)
    assert list(memory._known) == [large], "the newest stays, whatever its size"


def test_a_thousand_lists_of_others_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each verification looks at the lists of one issuer, however many are at hand."""
    asked = []
    original = revocation.KnownCrl.word_of

    def counted(self: Any, *arguments: Any) -> Any:
        asked.append(self.data)
        return original(self, *arguments)

    monkeypatch.setattr(revocation.KnownCrl, "word_of", counted)
    others = ThrowawayAuthority("Other")
    evidence = Evidence(crls=(*(others.crl(number=number) for number in range(1000)), FRESH))
    assert CrlJudge().judge(SIGNER, ROOT, evidence, TEST_TIME).outcome is Outcome.PASSED
    assert asked == [FRESH]


def test_evidence_can_be_sent_to_another_process_and_compared() -> None:
    evidence = Evidence(crls=(FRESH,), status_tokens=(b"x",))
    assert judge(*evidence.crls).outcome is Outcome.PASSED
    CrlJudge().judge(SIGNER, ROOT, evidence, TEST_TIME)
    copy = pickle.loads(pickle.dumps(evidence))
    assert copy == evidence == Evidence(crls=(FRESH,), status_tokens=(b"x",))
    assert "KnownCrl" not in repr(evidence)


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

"""The report and the policies: what refuses, what is tolerated, and that nobody mistakes a report for a yes."""

import pickle
import re
from itertools import product
from pathlib import Path

import pytest

from mdl.errors import VerificationError
from reader import report as module
from reader.report import (
    CHECKS,
    DEVIATIONS,
    EVIDENCE_CHECKS,
    REQUIREMENTS,
    Check,
    Outcome,
    Policy,
    Report,
    Revocation,
)

SOURCES = Path(module.__file__).parent
# The ids are a promise to other people's programs: add to them, rename none.
IDS = """
    response.decoded response.version response.status response.documents
    issuer_auth.x5chain issuer_auth.path issuer_auth.profile issuer_auth.certificate_validity issuer_auth.trust_scope
    issuer_auth.certificate_revocation issuer_auth.algorithm issuer_auth.signature
    mso.version mso.doctype mso.digest_algorithm mso.validity mso.signed_within_certificate mso.status
    issuer_data.encoding issuer_data.digest issuer_data.unique issuer_data.random
    device_auth.present device_auth.algorithm device_auth.signature device_auth.mac device_data.authorized
    subject.country subject.jurisdiction request.doctype request.elements request.unrequested elements.types
"""


def report(*outcomes: tuple[str, Outcome], revocation: Revocation = Revocation.IF_GIVEN) -> Report:
    return Report(tuple(Check(name, outcome) for name, outcome in outcomes), Policy.ISO_STRICT, revocation)


def test_the_check_ids_are_those_that_were_promised_in_that_order() -> None:
    assert tuple(CHECKS)[: len(IDS.split())] == tuple(IDS.split())


def test_every_check_names_its_clause() -> None:
    for name, clause in CHECKS.items():
        assert re.fullmatch(r"18013-5 (second edition \(draft\) )?[0-9A-F]+(\.[0-9]+)+", clause), name
        assert Check(name, Outcome.PASSED).clause == clause


@pytest.mark.parametrize(("outcome", "refuses"), [(Outcome.PASSED, False), (Outcome.NOT_APPLICABLE, False),
                                                  (Outcome.FAILED, True), (Outcome.INDETERMINATE, True)])  # fmt: skip
def test_only_a_pass_earns_trust(outcome: Outcome, refuses: bool) -> None:
    for name in CHECKS.keys() - EVIDENCE_CHECKS:
        for revocation in Revocation:
            made = report((name, outcome), revocation=revocation)
            assert made.refuses(made.checks[0]) is refuses
            assert made.accepted is not refuses


@pytest.mark.parametrize("name", sorted(EVIDENCE_CHECKS))
def test_absent_evidence_refuses_only_where_it_is_demanded(name: str) -> None:
    assert report((name, Outcome.INDETERMINATE)).accepted
    assert not report((name, Outcome.INDETERMINATE), revocation=Revocation.REQUIRED).accepted
    for revocation in Revocation:
        assert not report((name, Outcome.FAILED), revocation=revocation).accepted
        assert report((name, Outcome.NOT_APPLICABLE), revocation=revocation).accepted


def test_revocation_evidence_is_the_only_thing_that_may_stay_open() -> None:
    assert {"issuer_auth.certificate_revocation", "mso.status"} == EVIDENCE_CHECKS


def test_one_refusal_is_enough() -> None:
    good = [(name, Outcome.PASSED) for name in CHECKS]
    assert report(*good).accepted
    for index, (name, _) in enumerate(good):
        assert not report(*good[:index], (name, Outcome.FAILED), *good[index + 1 :]).accepted


def test_a_report_of_nothing_accepts_nothing() -> None:
    empty = report()
    assert not empty.accepted
    with pytest.raises(VerificationError) as refused:
        empty.require()
    assert refused.value.failed == ()
    assert refused.value.code == "response.documents"


def test_a_report_is_not_a_bool() -> None:
    for made in (report(("response.decoded", Outcome.PASSED)), report(("response.decoded", Outcome.FAILED)), report()):
        with pytest.raises(TypeError, match="more than two outcomes"):
            bool(made)
        with pytest.raises(TypeError):
            assert not made


def test_failed_and_indeterminate_are_told_once_and_in_the_order_of_the_table() -> None:
    checks = (
        Check("request.elements", Outcome.FAILED, document=0),
        Check("mso.status", Outcome.INDETERMINATE, document=0),
        Check("mso.version", Outcome.FAILED, document=1),
        Check("request.elements", Outcome.FAILED, document=1),
        Check("mso.status", Outcome.INDETERMINATE, document=1),
        Check("issuer_auth.path", Outcome.INDETERMINATE, document=1),
    )
    made = Report(checks, Policy.LENIENT, Revocation.IF_GIVEN)
    assert made.failed == ("mso.version", "request.elements")
    assert made.indeterminate == ("issuer_auth.path", "mso.status")
    assert tuple(made) == checks


def test_warnings_are_told_with_their_check() -> None:
    checks = (
        Check("issuer_auth.profile", Outcome.PASSED, warnings=("profile.minor",)),
        Check("mso.validity", Outcome.FAILED, warnings=("validity.date_form",)),
    )
    made = Report(checks, Policy.ISO_STRICT, Revocation.IF_GIVEN)
    assert made.warnings == (("issuer_auth.profile", "profile.minor"), ("mso.validity", "validity.date_form"))


def test_require_says_nothing_where_nothing_refuses() -> None:
    report(("response.decoded", Outcome.PASSED), ("mso.status", Outcome.INDETERMINATE)).require()


def test_require_raises_with_the_failed_checks_and_the_first_reason() -> None:
    checks = (
        Check("issuer_auth.path", Outcome.INDETERMINATE, "unknown", 0),
        Check("mso.version", Outcome.FAILED, "not a version 1", 0),
        Check("request.elements", Outcome.FAILED, "something is missing", 0),
    )
    made = Report(checks, Policy.ISO_STRICT, Revocation.IF_GIVEN)
    with pytest.raises(VerificationError) as refused:
        made.require()
    error = refused.value
    assert error.failed == ("mso.version", "request.elements")
    assert (error.code, error.clause) == ("mso.version", CHECKS["mso.version"])
    assert error.message == "refused: not a version 1"
    assert error.report is made


def test_require_names_what_could_not_be_judged_where_nothing_failed() -> None:
    made = report(
        ("response.decoded", Outcome.PASSED),
        ("issuer_auth.certificate_revocation", Outcome.INDETERMINATE),
        revocation=Revocation.REQUIRED,
    )
    with pytest.raises(VerificationError) as refused:
        made.require()
    assert refused.value.failed == ("issuer_auth.certificate_revocation",)
    assert refused.value.code == "issuer_auth.certificate_revocation"


def test_a_report_travels_between_processes() -> None:
    made = Report((Check("mso.version", Outcome.FAILED, "no", 3, ("a",)),), Policy.AAMVA, Revocation.REQUIRED)
    assert pickle.loads(pickle.dumps(made)) == made
    with pytest.raises(VerificationError) as refused:
        made.require()
    there = pickle.loads(pickle.dumps(refused.value))
    assert there.report == made
    assert there.failed == ("mso.version",)


# --- the policies -----------------------------------------------------------------------------------------------------


def test_what_the_table_does_not_know_refuses_under_every_policy() -> None:
    for policy, code in product(Policy, ("", "profil", "ds.eku.purpose", "signature.invalid")):
        assert policy.refuses(code)


def test_every_row_of_the_table_names_its_check_its_meaning_and_policies_that_exist() -> None:
    for code, row in DEVIATIONS.items():
        assert row.code == code
        assert row.check in CHECKS
        assert row.meaning
        assert row.refused_by <= {policy.value for policy in Policy}


def test_lenient_tolerates_every_deviation_and_the_others_never_more_than_it() -> None:
    for code in DEVIATIONS:
        assert not Policy.LENIENT.refuses(code)
    strict = {code for code in DEVIATIONS if Policy.ISO_STRICT.refuses(code)}
    assert {code for code in DEVIATIONS if Policy.AAMVA.refuses(code)} == strict | {"state.missing", "state.one_sided"}


def test_the_table_is_neither_longer_nor_shorter_than_what_the_code_finds() -> None:
    files = [SOURCES / name for name in ("checks.py", "revocation.py", "status.py", "trust.py", "verification.py")]
    source = "".join(file.read_text("utf-8") for file in (*files, SOURCES.parent / "mdl" / "status.py"))
    for code in DEVIATIONS:
        # What is odd about a status token is named by mdl.status, without the first word.
        # The report's own table is not among the sources.
        assert f'"{code}"' in source or f'"{code.removeprefix("status.")}"' in source, code
    for code in re.findall(r'deviations\["([^"]+)"\]|refuses\("([^"]+)"\)', source):
        assert "".join(code) in DEVIATIONS


@pytest.mark.parametrize("table", [CHECKS, REQUIREMENTS, DEVIATIONS])
def test_the_tables_cannot_be_changed(table: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        table["profile"] = False

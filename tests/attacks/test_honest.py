"""Honest presentations, however unusual, are accepted, and what they disclose comes out."""

import pytest

from reader.report import Outcome
from tests.attacks.honest import ACCEPTED, Honest
from tests.attacks.stage import licence, scene


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in ACCEPTED])
def test_what_is_honest_is_accepted(case: Honest) -> None:
    given = scene(**case.fields())
    for policy in case.policies:
        report = given.examine(policy)
        assert [(check.id, check.detail) for check in report if report.refuses(check)] == [], policy
        assert sorted({code for _, code in report.warnings}) == sorted(case.warnings)
        judged = {check.outcome for check in report if check.id == "issuer_auth.certificate_revocation"}
        assert judged == {Outcome.PASSED if case.judged else Outcome.INDETERMINATE}
        assert given.verify(policy).report == report


def test_the_names_of_the_cases_tell_them_apart() -> None:
    names = [case.name for case in ACCEPTED]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_what_is_disclosed_comes_out_as_it_was_issued() -> None:
    (document,) = scene().verify().documents
    assert document.elements == licence()
    assert document.device_elements == {}

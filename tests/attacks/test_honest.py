"""Honest presentations, however unusual, are accepted, and what they disclose comes out."""

import pytest

from mdl.testing import Recipe
from reader.report import Outcome, Policy
from tests.attacks.honest import ACCEPTED, Honest
from tests.attacks.stage import scene

_UNDER_POLICY = [
    pytest.param(case, policy, id=f"{case.name} ({policy.value})") for case in ACCEPTED for policy in case.policies
]


@pytest.mark.parametrize(("case", "policy"), _UNDER_POLICY)
def test_what_is_honest_is_accepted(case: Honest, policy: Policy) -> None:
    given = scene(**case.fields())
    report = given.examine(policy)
    assert [(check.id, check.detail) for check in report if report.refuses(check)] == []
    assert sorted({code for _, code in report.warnings}) == sorted(case.warnings)
    judged = {check.outcome for check in report if check.id == "issuer_auth.certificate_revocation"}
    assert judged == {Outcome.PASSED if case.judged else Outcome.INDETERMINATE}
    verified = given.verify(policy)
    assert verified.report == report


def test_the_names_of_the_cases_tell_them_apart() -> None:
    names = [case.name for case in ACCEPTED]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_what_is_disclosed_comes_out_as_it_was_issued() -> None:
    given = scene()
    (document,) = given.verify().documents
    assert document.elements == Recipe().namespaces | given_namespaces(given)


def given_namespaces(_given: object) -> dict[str, object]:
    from tests.attacks.stage import licence

    return dict(licence())

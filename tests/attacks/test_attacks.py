"""Every attack of the tables is refused by exactly the check that it breaks, under every policy."""

import pytest

from mdl.errors import VerificationError
from reader.report import CHECKS, Outcome, Policy
from tests.attacks import contents, devices, encodings, signers
from tests.attacks.stage import Attack, scene

ATTACKS = [*signers.ATTACKS, *contents.ATTACKS, *devices.ATTACKS]


@pytest.mark.parametrize("attack", [pytest.param(attack, id=f"{attack.check}: {attack.name}") for attack in ATTACKS])
def test_an_attack_is_refused_by_the_check_that_it_breaks(attack: Attack) -> None:
    given = scene(**attack.fields())
    for policy in attack.policies:
        report = given.examine(policy)
        if policy in attack.tolerated:
            assert report.accepted, (policy, report.failed)
            assert attack.check in {check for check, _ in report.warnings}
            assert given.verify(policy).documents
            continue
        refusing = {check.id: check.outcome for check in report if report.refuses(check)}
        expected = dict.fromkeys((attack.check, *attack.also), attack.outcome)
        assert refusing == expected | dict.fromkeys(attack.left_open, Outcome.INDETERMINATE), policy
        with pytest.raises(VerificationError) as refused:
            given.verify(policy)
        assert set(refused.value.failed) == expected.keys()
        assert refused.value.report == report


def test_what_a_verifier_remembers_changes_no_verdict() -> None:
    """One verifier for all of them, honest and forged by turns."""
    honest = scene()
    shared = honest.verifier()
    for attack in ATTACKS:
        given = scene(**attack.fields())
        if given.reader.trust is not None or given.reader.revocation is not honest.reader.revocation:
            continue
        if given.presentation.anchors != honest.presentation.anchors:
            continue
        assert shared.examine(honest.response, **honest.expectations).accepted
        assert shared.examine(given.response, **given.expectations) == given.examine()


def test_every_check_has_an_attack_that_breaks_it_alone() -> None:
    alone = {attack.check for attack in ATTACKS if not attack.also}
    # What does not decode leaves no report; the error says so.
    assert encodings.REFUSED
    assert alone | {"response.decoded"} == CHECKS.keys()


def test_the_names_of_the_attacks_tell_them_apart() -> None:
    names = [(attack.check, attack.name) for attack in ATTACKS]
    assert len(names) == len(set(names))


def test_a_security_check_is_tolerated_by_no_policy() -> None:
    tolerated = {attack.check for attack in ATTACKS if attack.tolerated}
    assert tolerated == {
        *("issuer_auth.profile", "mso.validity", "issuer_data.random"),
        *("request.elements", "request.unrequested", "elements.types"),
    }
    assert {policy for attack in ATTACKS for policy in attack.tolerated} == {Policy.LENIENT}

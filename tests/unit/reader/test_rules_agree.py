"""Linter, import and verifier agree: what no policy may tolerate, by the linter's word, the other two refuse."""

from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import x509

from mdl.cli.der import DER_RULES
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import ProfileError
from mdl.pki import DOCUMENT_SIGNER, IACA, Certificate, Profile, lint_certificate, validate_path
from mdl.testing import Recipe, sample_licence
from reader.report import DEVIATIONS, Outcome, Policy, Report, Revocation
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from tests.unit.mdl.test_pki_lint import FORGERIES
from tests.x509_forgery import KEY, START, forge, honest, root, set_field

AT = START + timedelta(days=30)
LICENCE = {MDL_NAMESPACE: sample_licence()[MDL_NAMESPACE] | {"issuing_country": "XU", "issuing_jurisdiction": "XU-1"}}


def security(profile: Profile) -> list[Any]:
    return [pytest.param(rule, id=rule.id) for rule in profile.rules if rule.security]


def verify(signer: Certificate, anchor: Certificate, policy: Policy, at: Any = AT) -> Report:
    shown = Recipe(namespaces=LICENCE, x5chain=signer.der, issuer_key=KEY, at=at).present()
    trust = TrustStore.from_certificates([anchor], doctypes=ANY_DOCTYPE)
    verifier = Verifier(trust, policy=policy, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    return verifier.examine(shown.response, context=context, request=UnsafeNoRequest(), at=at)


def outcome(report: Report, check: str) -> tuple[Outcome, str]:
    (found,) = [one for one in report if one.id == check]
    return found.outcome, found.detail


ASSESSMENT = {*("issuer_auth.x5chain", "issuer_auth.path", "issuer_auth.profile", "issuer_auth.certificate_validity")}


def refuses(rule: str, signer: Certificate, anchor: Certificate, at: Any) -> None:
    """Every policy refuses for the signer; and for this rule, where the signer leads to the root and both are valid."""
    path = validate_path(signer, [anchor], at=at)
    for policy in Policy:
        report = verify(signer, anchor, policy, at)
        refusing = {check.id for check in report if report.refuses(check)}
        assert refusing & ASSESSMENT, policy
        if path.path.holds and path.validity.holds:
            assert "issuer_auth.profile" in refusing, policy
    if path.path.holds and path.validity.holds:
        assert rule in {one.rule for one in path.profile.findings if one.security}


def test_an_honest_signer_under_an_honest_root_is_accepted_by_all() -> None:
    signer, anchor = honest(DOCUMENT_SIGNER)
    assert anchor is not None
    assert TrustAnchor.admit(anchor, doctypes=ANY_DOCTYPE, at=AT).refused_by == {}
    for policy in Policy:
        assert verify(signer, anchor, policy).accepted


@pytest.mark.parametrize("rule", security(IACA))
def test_a_root_that_no_policy_may_tolerate_is_refused_by_all(rule: Any) -> None:
    case = FORGERIES[rule.id.removeprefix("iaca.")][0](IACA)
    at = case.at or AT
    assert rule.id in {one.rule for one in lint_certificate(case.certificate, IACA, at=at) if one.security}
    with pytest.raises(ProfileError) as caught:
        TrustAnchor.admit(case.certificate, doctypes=ANY_DOCTYPE, at=at)
    assert rule.id in {one.rule for one in caught.value.findings}
    assert f"[{rule.id}]" in caught.value.message or rule.id in caught.value.message
    signer = forge(honest(DOCUMENT_SIGNER)[0], set_field("issuer", x509.Name.load(case.certificate.subject.der)))
    refuses(rule.id, signer, case.certificate, at)


@pytest.mark.parametrize("rule", security(DOCUMENT_SIGNER))
def test_a_signer_that_no_policy_may_tolerate_is_refused_by_the_verifier(rule: Any) -> None:
    case = FORGERIES[rule.id.removeprefix("ds.")][0](DOCUMENT_SIGNER)
    at = case.at or AT
    found = lint_certificate(case.certificate, DOCUMENT_SIGNER, issuer=case.issuer, at=at)
    assert rule.id in {one.rule for one in found if one.security}
    refuses(rule.id, case.certificate, case.issuer or root(), at)


@pytest.mark.parametrize("rule", [rule for rule in IACA.rules if not rule.security], ids=lambda rule: rule.id)
def test_whom_import_says_that_a_policy_will_refuse_it_refuses_and_no_other(rule: Any) -> None:
    case = FORGERIES[rule.id.removeprefix("iaca.")][0](IACA)
    anchor = TrustAnchor(certificate=case.certificate, doctypes=ANY_DOCTYPE)
    assert rule.id in {one.rule for one in anchor.findings}
    signer = forge(honest(DOCUMENT_SIGNER)[0], set_field("issuer", x509.Name.load(case.certificate.subject.der)))
    if lint_certificate(signer, DOCUMENT_SIGNER, issuer=case.certificate):
        return  # it has findings of its own under such a root, as one of another country
    for policy in Policy:
        report = verify(signer, case.certificate, policy)
        failed = outcome(report, "issuer_auth.profile")[0] is Outcome.FAILED
        assert failed is (policy in anchor.refused_by), policy


def test_the_linter_says_of_no_other_rule_that_nobody_may_tolerate_it() -> None:
    assert not [rule.id for rule in DER_RULES if rule.security]
    # What is a matter of security goes by its own id, which the table of what policies tolerate does not have.
    assert not {rule.id for profile in (IACA, DOCUMENT_SIGNER) for rule in profile.rules} & DEVIATIONS.keys()

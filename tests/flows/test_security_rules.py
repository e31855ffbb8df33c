"""What the linter says that no policy may tolerate, `trust import` and the verifier refuse too, rule by rule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mdl.cli.der import DER_RULES
from mdl.errors import ProfileError
from mdl.pki import DOCUMENT_SIGNER, IACA, lint_certificate, validate_path
from reader import Policy
from reader.trust import ANY_DOCTYPE, TrustAnchor
from tests.unit.mdl.test_pki_lint import FORGERIES
from tests.x509_forgery import honest

DS, ROOT = honest(DOCUMENT_SIGNER)
assert ROOT is not None
ANCHOR = ROOT
RULES = [(profile, rule) for profile in (IACA, DOCUMENT_SIGNER) for rule in profile.rules if rule.security]


def test_only_what_the_reader_can_find_is_called_so() -> None:
    assert not any(rule.security for rule in DER_RULES)


@pytest.mark.parametrize(("profile", "rule"), RULES, ids=[rule.id for _, rule in RULES])
def test_what_no_policy_may_tolerate_is_refused_by_lint_import_and_verifier(profile: Any, rule: Any) -> None:
    case = FORGERIES[rule.id.removeprefix(f"{profile.id}.")][0](profile)
    at = case.at or case.certificate.not_before + timedelta(days=10)
    findings = lint_certificate(case.certificate, profile, issuer=case.issuer, at=at)
    assert rule.id in {finding.rule for finding in findings if finding.security}
    assert all(policy.refuses(rule.id) for policy in Policy)
    if profile is IACA:
        with pytest.raises(ProfileError) as caught:
            TrustAnchor.admit(case.certificate, doctypes=ANY_DOCTYPE, at=at)
        assert rule.id in {finding.rule for finding in caught.value.findings}
        if rule.id == "iaca.signature.invalid":
            return  # a root is trusted for where it came from: whoever adds it to a store is the one who looks
        result = validate_path(DS, [case.certificate], at=at)
    else:
        result = validate_path(case.certificate, [case.issuer or ANCHOR], at=at)
    refused = result.path.holds is not True or result.validity.holds is not True
    assert refused or rule.id in {finding.rule for finding in result.profile.findings if finding.security}

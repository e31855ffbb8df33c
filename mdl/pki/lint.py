"""Hold a certificate or a CRL against its profile, and name every deviation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from mdl.keys import PublicKey, UnsafePostQuantum
from mdl.pki.certificate import ML_DSA_SIGNATURES, Certificate
from mdl.pki.crl import Crl
from mdl.pki.model import CertificateContext, ContextT, CrlContext, CrlProfile, Profile, Rule, Severity
from mdl.pki.profiles import CRL
from mdl.pki.rules.parts import issuer_key, usable_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One deviation from a profile.

    Attributes:
        rule: The rule's stable identifier, for example ``ds.eku.missing``.
        severity: How far it is from the profile.
        security: Whether no policy may tolerate it.
        clause: Where the rule stands.
        requirement: What the rule asks.
        message: What was found, without the text of names.
        remedy: What to do about it.
    """

    rule: str
    severity: Severity
    security: bool
    clause: str
    requirement: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.message} [{self.rule}, {self.clause}]"


def lint_certificate(
    certificate: Certificate,
    profile: Profile,
    *,
    issuer: Certificate | None = None,
    at: datetime | None = None,
    with_signature: bool = True,
    post_quantum: UnsafePostQuantum | None = None,
) -> tuple[Finding, ...]:
    """Hold a certificate against a profile.

    Args:
        certificate: What to examine.
        profile: What it should be.
        issuer: The issuing certificate. Without it, what depends on the issuer is left unjudged; a self-issued profile
            needs none.
        at: Judge the validity at that time, aware UTC. Without it, only the length of the period is judged.
        with_signature: Whether to verify the issuer's signature; for callers that have done so.
        post_quantum: Asks for the rehearsal: that a key or a signature is one of ML-DSA is then only noted.

    Returns:
        The findings in the order of the profile's rules; empty where nothing deviates.
    """
    if profile.self_issued and issuer is None and certificate.issuer == certificate.subject:
        issuer = certificate
    context = CertificateContext(
        certificate=certificate,
        profile=profile,
        issuer=issuer,
        key=usable_key(certificate, post_quantum),
        at=_aware(at),
        with_signature=with_signature,
        post_quantum=post_quantum,
    )
    findings = examine(context, profile.rules)
    if isinstance(post_quantum, UnsafePostQuantum):
        return _rehearsed(findings, context, certificate, context.key)
    return findings


def lint_crl(
    crl: Crl,
    *,
    issuer: Certificate | None = None,
    at: datetime | None = None,
    profile: CrlProfile = CRL,
    with_signature: bool = True,
    post_quantum: UnsafePostQuantum | None = None,
) -> tuple[Finding, ...]:
    """Hold a CRL against its profile; the arguments are those of `lint_certificate`."""
    context = CrlContext(
        crl=crl,
        profile=profile,
        issuer=issuer,
        at=_aware(at),
        with_signature=with_signature,
        post_quantum=post_quantum,
    )
    findings = examine(context, profile.rules)
    if isinstance(post_quantum, UnsafePostQuantum):
        return _rehearsed(findings, context, crl, None)
    return findings


def examine(context: ContextT, rules: Iterable[Rule[ContextT]]) -> tuple[Finding, ...]:
    """Hold a context against rules of its own kind; the findings in the order of the rules."""
    findings = []
    for rule in rules:
        message = rule.check(context)
        if message is not None:
            findings.append(
                Finding(
                    rule=rule.id,
                    severity=rule.severity,
                    security=rule.security,
                    clause=rule.clause,
                    requirement=rule.requirement,
                    message=message,
                    remedy=rule.remedy,
                )
            )
    return tuple(findings)


def _rehearsed(
    findings: tuple[Finding, ...],
    context: CertificateContext | CrlContext,
    signed: Certificate | Crl,
    key: PublicKey | None,
) -> tuple[Finding, ...]:
    """The findings, with a note in place of those that only say that a key or a signature is one of ML-DSA."""
    noted = set()
    if key is not None and key.curve.experimental is not None:
        noted.add(f"{context.profile.id}.key.type")
    signer = issuer_key(context)
    if signed.algorithm.oid in ML_DSA_SIGNATURES and (
        context.issuer is None or (signer is not None and signer.curve.oid == signed.algorithm.oid)
    ):
        noted.add(f"{context.profile.id}.signature.algorithm")
    return tuple(
        replace(finding, severity=Severity.NOTE, security=False) if finding.rule in noted else finding
        for finding in findings
    )


def _aware(at: datetime | None) -> datetime | None:
    if at is not None and at.utcoffset() is None:
        msg = "`at` is an aware datetime"
        raise ValueError(msg)
    return at

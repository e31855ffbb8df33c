"""Revocation evidence: what the reader has at hand, and what it says about a document signer.

Nothing is fetched here. Revoked, undetermined and not asked for are three different answers; evidence that cannot be
used is not the same as none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from mdl.errors import DecodeError, MdlError
from mdl.keys import UnsafePostQuantum
from mdl.pki import Certificate, Crl, Finding, Name, Severity, lint_crl
from reader.report import Outcome

__all__ = ["NO_EVIDENCE", "CrlJudge", "Evidence"]

_MAX_REMEMBERED: Final = 64
# What is wrong with a list that the issuer's own key has signed, but under another name or key identifier. It does not
# clear anybody, and yet it is the issuer's word on those that it lists.
_NAMING_RULES: Final = frozenset(("crl.issuer.name", "crl.aki.mismatch"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Revocation evidence at hand.

    Attributes:
        crls: Certificate revocation lists, DER or PEM; those that neither name an issuer in question nor its key are
            ignored. One that does not decode may be of any issuer: it refuses, unless another one clears.
        status_tokens: Status list tokens, CWT.
        gathered: Whether it was gathered for the very response, as a task of the subject protocol is: a status token
            that none of its documents asks for was then offered in place of one that is asked for. What is kept for
            many responses, or fetched for several at once, is not.
    """

    crls: tuple[bytes, ...] = ()
    status_tokens: tuple[bytes, ...] = ()
    gathered: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no tuple of bytes: evidence that is held the wrong way would count as absent.

        Raises:
            TypeError: It is not, or `gathered` is neither true nor false.
        """
        if not isinstance(self.gathered, bool):
            msg = "evidence was gathered for the response, or it was not"
            raise TypeError(msg)
        if not (_is_tuple_of_bytes(self.crls) and _is_tuple_of_bytes(self.status_tokens)):
            msg = "evidence is a tuple of bytes"
            raise TypeError(msg)


def _is_tuple_of_bytes(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, bytes) for one in value)


NO_EVIDENCE: Final = Evidence()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence says.

    Attributes:
        outcome: Not revoked (PASSED), revoked or unusable (FAILED), or nothing to go by (INDETERMINATE).
        detail: Why.
        warnings: Codes of deviations that do not matter for the outcome.
    """

    outcome: Outcome
    detail: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _AssessedCrl:
    """A CRL with what does not depend on the time.

    Attributes:
        crl: The CRL if the issuer's key has signed it, else None.
        concerns: Whether the issuer under assessment issued it, or it claims so: a CRL that does not decode may.
        refusal: Why it must not clear anybody, or None.
        deviation: In what way that no forger gains by it deviates from its profile: code of the policy and detail; None
            where it does not.
    """

    crl: Crl | None
    concerns: bool
    refusal: str | None
    deviation: tuple[str, str] | None = None


class _Root(Protocol):
    @property
    def certificate(self) -> Certificate: ...


class Roots(Protocol):
    """Roots by their names: a `reader.trust.TrustStore`, which itself asks here about the links that it follows."""

    def with_subject(self, name: Name) -> Iterable[_Root]:
        """The roots of that name."""
        ...


class CrlJudge:
    """Says whether a certificate is revoked; remembers which CRLs it has verified."""

    def __init__(
        self, trust: Roots, *, skew: timedelta = timedelta(0), post_quantum: UnsafePostQuantum | None = None
    ) -> None:
        """Start with nothing remembered.

        Args:
            trust: The trusted roots; some of them may share a name, and each has lists of its own.
            skew: How far the clock may be off.
            post_quantum: Asks for the rehearsal: CRLs may be signed with ML-DSA.
        """
        self._trust = trust
        self._skew = skew
        self._post_quantum = post_quantum
        self._assessed: OrderedDict[tuple[bytes, bytes], _AssessedCrl] = OrderedDict()

    def judge(self, certificate: Certificate, issuer: Certificate, crls: tuple[bytes, ...], at: datetime) -> Judgement:
        """Judge a certificate by the CRLs at hand.

        Args:
            certificate: The certificate in question.
            issuer: The root that signed it.
            crls: The CRLs at hand.
            at: The time of verification.

        Returns:
            FAILED if a CRL that the issuer's key has signed lists the certificate (an old one does too: revocation is
            final), or if some are in the issuer's name or name its key, or do not decode, and none of them can be
            used. PASSED if a usable one does not list it. INDETERMINATE if none is of that issuer.

        Spec:
            18013-5 first edition B.3; facts sheet pki §4.
        """
        usable: _AssessedCrl | None = None
        refusal: str | None = None
        for data in crls:
            assessed = self._assess(data, issuer)
            if not assessed.concerns:
                continue
            if assessed.crl is not None and assessed.crl.is_revoked(certificate.serial) is not None:
                return Judgement(Outcome.FAILED, "the certificate is revoked")
            if assessed.crl is None or assessed.refusal is not None:
                refusal = refusal or assessed.refusal
            elif assessed.crl.this_update - at > self._skew:
                refusal = refusal or "the revocation list is from the future"
            elif assessed.crl.next_update is None or at - assessed.crl.next_update > self._skew:
                refusal = refusal or "the revocation list is stale"
            elif usable is None or usable.deviation is not None:
                usable = assessed
        if usable is not None:
            code, detail = usable.deviation or ("", "")
            return Judgement(Outcome.PASSED, detail, (code,) if code else ())
        if refusal is not None:
            return Judgement(Outcome.FAILED, refusal)
        return Judgement(Outcome.INDETERMINATE, "no revocation list of the root at hand")

    def _assess(self, data: bytes, issuer: Certificate) -> _AssessedCrl:
        key = (data, issuer.der)
        assessed = self._assessed.get(key)
        if assessed is None:
            assessed = self._assessed[key] = _assess(data, issuer, self._trust, self._post_quantum)
            while len(self._assessed) > _MAX_REMEMBERED:
                self._assessed.popitem(last=False)
        return assessed


def _assess(data: bytes, issuer: Certificate, trust: Roots, post_quantum: UnsafePostQuantum | None) -> _AssessedCrl:
    try:
        crl = Crl.decode_any(data)
    except DecodeError:
        return _AssessedCrl(None, concerns=True, refusal="a revocation list does not decode")
    if not claims_issuer(crl, issuer):
        return _AssessedCrl(None, concerns=False, refusal=None)
    if not _has_signed(issuer, crl, post_quantum):
        # Several roots may share one name, and a list is then another one's; but only of one that is trusted.
        namesakes = (anchor.certificate for anchor in trust.with_subject(crl.issuer))
        if any(one.spki != issuer.spki and _has_signed(one, crl, post_quantum) for one in namesakes):
            return _AssessedCrl(None, concerns=False, refusal=None)
        return _AssessedCrl(None, concerns=True, refusal="the revocation list's signature does not verify")
    findings = lint_crl(crl, issuer=issuer, with_signature=False, post_quantum=post_quantum)
    for finding in findings:
        if finding.security:
            # It clears nobody, and yet it is the issuer's word on those that it lists.
            return _AssessedCrl(crl, concerns=True, refusal=f"the revocation list breaks its profile: {finding.rule}")
    # The gravest is the one that counts, and that is told.
    for code, found in (
        ("crl.profile", [one for one in findings if one.severity is Severity.ERROR]),
        ("crl.profile.minor", findings),
    ):
        if found:
            detail = f"the revocation list deviates from its profile: {found[0].rule}"
            return _AssessedCrl(crl, concerns=True, refusal=None, deviation=(code, detail))
    return _AssessedCrl(crl, concerns=True, refusal=None)


def claims_issuer(crl: Crl, issuer: Certificate) -> bool:
    """Whether a CRL is in an issuer's name, or names its key; what does neither is not worth a verification."""
    key_identifier = issuer.subject_key_identifier
    return crl.issuer == issuer.subject or (
        key_identifier is not None and crl.authority_key_identifier == key_identifier
    )


def is_authentic(findings: Iterable[Finding]) -> bool:
    """Whether a CRL that its issuer's key has signed is that issuer's word on those that it lists, by its findings.

    One under another name or key identifier is: it must not clear anybody, and it revokes.
    """
    return all(not finding.security or finding.rule in _NAMING_RULES for finding in findings)


def is_misnamed(crl: Crl, issuer: Certificate) -> bool:
    """Whether a CRL that the issuer's key has signed is under another name or key identifier: then it clears nobody."""
    return any(one.rule in _NAMING_RULES for one in lint_crl(crl, issuer=issuer, with_signature=False))


def _has_signed(issuer: Certificate, crl: Crl, post_quantum: UnsafePostQuantum | None) -> bool:
    try:
        crl.verify_signature(issuer.key_for(post_quantum))
    except MdlError:
        return False
    return True

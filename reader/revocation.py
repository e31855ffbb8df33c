"""Revocation evidence: what the reader has at hand, and what it says about a document signer.

Nothing is fetched here. Revoked, undetermined and not asked for are three different answers; evidence that cannot be
used is not the same as none.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mdl.errors import DecodeError, MdlError
from mdl.keys import UnsafePostQuantum
from mdl.pki import Certificate, Crl, lint_crl
from reader.report import Outcome

__all__ = ["NO_EVIDENCE", "CrlJudge", "Evidence"]

_MAX_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Revocation evidence at hand.

    Attributes:
        crls: Certificate revocation lists, DER or PEM; those of other issuers are ignored.
        status_tokens: Status list tokens, CWT.
    """

    crls: tuple[bytes, ...] = ()
    status_tokens: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no tuple of bytes: evidence that is held the wrong way would count as absent.

        Raises:
            TypeError: It is not.
        """
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
        crl: The CRL, or None where the bytes are none.
        concerns: Whether the issuer under assessment issued it, or may have: a CRL that does not decode may.
        refusal: Why it must not be used, or None.
        deviation: In what harmless way it deviates from its profile; empty where it does not.
    """

    crl: Crl | None
    concerns: bool
    refusal: str | None
    deviation: str = ""


class CrlJudge:
    """Says whether a certificate is revoked; remembers which CRLs it has verified."""

    def __init__(self, *, skew: timedelta = timedelta(0), post_quantum: UnsafePostQuantum | None = None) -> None:
        """Start with nothing remembered; `skew` is how far the clock may be off.

        `post_quantum` asks for the rehearsal: CRLs may be signed with ML-DSA.
        """
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
            FAILED if one of the issuer's CRLs lists the certificate (an old one does too: revocation is final), or if
            there are some and none can be used. PASSED if a usable one does not list it. INDETERMINATE if none is of
            that issuer.

        Spec:
            18013-5 first edition B.3; facts sheet pki §4.
        """
        usable: _AssessedCrl | None = None
        refusal: str | None = None
        for data in crls:
            assessed = self._assess(data, issuer)
            if not assessed.concerns:
                continue
            if assessed.crl is None or assessed.refusal is not None:
                refusal = refusal or assessed.refusal
                continue
            if assessed.crl.is_revoked(certificate.serial) is not None:
                return Judgement(Outcome.FAILED, "the certificate is revoked")
            if assessed.crl.this_update - at > self._skew:
                refusal = refusal or "the revocation list is from the future"
            elif assessed.crl.next_update is None or at - assessed.crl.next_update > self._skew:
                refusal = refusal or "the revocation list is stale"
            else:
                usable = assessed
        if usable is not None:
            return Judgement(Outcome.PASSED, usable.deviation, ("crl.profile",) if usable.deviation else ())
        if refusal is not None:
            return Judgement(Outcome.FAILED, refusal)
        return Judgement(Outcome.INDETERMINATE, "no revocation list of the root at hand")

    def _assess(self, data: bytes, issuer: Certificate) -> _AssessedCrl:
        key = (data, issuer.der)
        assessed = self._assessed.get(key)
        if assessed is None:
            assessed = self._assessed[key] = _assess(data, issuer, self._post_quantum)
            while len(self._assessed) > _MAX_REMEMBERED:
                self._assessed.popitem(last=False)
        return assessed


def _assess(data: bytes, issuer: Certificate, post_quantum: UnsafePostQuantum | None) -> _AssessedCrl:
    try:
        crl = Crl.decode_any(data)
    except DecodeError:
        return _AssessedCrl(None, concerns=True, refusal="a revocation list does not decode")
    if crl.issuer != issuer.subject:
        return _AssessedCrl(crl, concerns=False, refusal=None)
    key_identifier = issuer.subject_key_identifier
    if None not in (crl.authority_key_identifier, key_identifier) and crl.authority_key_identifier != key_identifier:
        # Several roots may share one name; this list is of another one's key.
        return _AssessedCrl(crl, concerns=False, refusal=None)
    try:
        crl.verify_signature(issuer.key_for(post_quantum))
    except MdlError:
        return _AssessedCrl(crl, concerns=True, refusal="the revocation list's signature does not verify")
    findings = lint_crl(crl, issuer=issuer, with_signature=False, post_quantum=post_quantum)
    for finding in findings:
        if finding.security:
            return _AssessedCrl(crl, concerns=True, refusal=f"the revocation list breaks its profile: {finding.rule}")
    deviation = f"the revocation list deviates from its profile: {findings[0].rule}" if findings else ""
    return _AssessedCrl(crl, concerns=True, refusal=None, deviation=deviation)

"""The path from a document signer to an IACA: two certificates, no more.

18013-5 knows one shape of path: the IACA issues every end entity directly. So this is no general path builder: an
anchor is found by name and key identifier, it is one of those given, and it has signed the document signer's
certificate. The profiles do the rest, and all curves are treated alike.

What is found comes as facts. Which of them refuse is decided by the reader's policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from mdl.errors import VerificationError
from mdl.keys import UnsafePostQuantum
from mdl.pki.certificate import Certificate
from mdl.pki.lint import Finding, lint_certificate
from mdl.pki.model import Severity
from mdl.pki.profiles import DOCUMENT_SIGNER, IACA
from mdl.pki.rules.parts import usable_key, why_unusable

PATH: Final = "issuer_auth.path"
VALIDITY: Final = "issuer_auth.certificate_validity"
PROFILE: Final = "issuer_auth.profile"
_CLAUSE: Final = "18013-5 9.3.3"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFact:
    """What one check found.

    Attributes:
        check: The check's id.
        holds: Whether it holds; None where it cannot be told for want of an anchor.
        code: What exactly is wrong, a stable dotted id; None where it holds.
        detail: One line for a person.
        findings: Deviations from the profiles, of the document signer and of the anchor (`issuer_auth.profile` only).
        clause: Where the check stands.
    """

    check: str
    holds: bool | None
    code: str | None
    detail: str
    findings: tuple[Finding, ...] = ()
    clause: str = _CLAUSE


@dataclass(frozen=True, slots=True, kw_only=True)
class PathResult:
    """What is known of a document signer under a set of anchors at a time.

    Attributes:
        document_signer: The certificate that was examined.
        anchor: The IACA whose key has signed it, or None.
        at: The time of the examination.
        not_before: From when both are valid, inclusive: of the document signer alone without an anchor.
        not_after: Until when, inclusive. The facts hold for every time in between; outside, examine again.
        path: Whether the signature leads to an anchor (`issuer_auth.path`).
        validity: Whether both are valid at that time (`issuer_auth.certificate_validity`).
        profile: Whether both follow their profiles without an error (`issuer_auth.profile`).
    """

    document_signer: Certificate
    anchor: Certificate | None
    at: datetime
    not_before: datetime
    not_after: datetime
    path: PathFact
    validity: PathFact
    profile: PathFact

    @property
    def facts(self) -> tuple[PathFact, ...]:
        """The three facts in the order of the checks."""
        return self.path, self.validity, self.profile


def validate_path(
    document_signer: Certificate,
    anchors: Sequence[Certificate],
    *,
    at: datetime,
    skew: timedelta = timedelta(0),
    post_quantum: UnsafePostQuantum | None = None,
) -> PathResult:
    """Find the anchor that issued a document signer, and examine both.

    1. Candidates are the anchors whose subject is the issuer field, byte for byte, and whose key identifier is the one
       that the document signer names, where both have one. Several roots may share a name: each is tried.
    2. The anchor's key verifies the signature over the received bytes. A document signer that is itself among the
       anchors is nobody's issuer here, and needs another one all the same.
    3. Both are valid at `at`, bounds included, give or take `skew`.
    4. Both are held against their profiles.

    Args:
        document_signer: The certificate from x5chain.
        anchors: The IACA roots that are trusted, from elsewhere than the message.
        at: The time to judge validity at, aware UTC.
        skew: How far the clock that gave it may be off.
        post_quantum: Asks for the rehearsal: keys and signatures may be those of ML-DSA.

    Raises:
        ValueError: No anchors, or a naive time.

    Spec:
        18013-5 first edition 9.3.3 and Annex B; RFC 5280 6.1 for the two-certificate case.
    """
    if not anchors:
        raise ValueError("an empty set of anchors trusts nobody: a mistake of the caller")
    if at.utcoffset() is None:
        raise ValueError("`at` is an aware datetime")
    path, issuers = _issuers(document_signer, anchors, post_quantum)
    if not issuers:
        return _result(document_signer, None, at, skew, path=path, post_quantum=post_quantum)
    # One key may stand in several anchors, for example a root and its renewal: take the one that serves best.
    results = [_result(document_signer, anchor, at, skew, path=path, post_quantum=post_quantum) for anchor in issuers]
    return max(results, key=_merit)


def _issuers(
    document_signer: Certificate, anchors: Sequence[Certificate], post_quantum: UnsafePostQuantum | None
) -> tuple[PathFact, list[Certificate]]:
    """The anchors that have signed the certificate, or why there is none."""
    others = [anchor for anchor in anchors if anchor.der != document_signer.der]
    path, issuers = _issuers_among(others, document_signer, post_quantum)
    if not issuers and len(others) < len(anchors):
        detail = "the document signer is an anchor, but its issuer is none"
        if document_signer.issuer == document_signer.subject:
            detail = "a root has signed the security object itself: between the two there must be a document signer"
        path = _no_path("path.signer_is_anchor", detail)
    return path, issuers


def _issuers_among(
    anchors: Sequence[Certificate], document_signer: Certificate, post_quantum: UnsafePostQuantum | None
) -> tuple[PathFact, list[Certificate]]:
    named = [anchor for anchor in anchors if anchor.subject == document_signer.issuer]
    wanted = document_signer.authority_key_identifier
    candidates = [
        anchor for anchor in named if None in (wanted, anchor.subject_key_identifier) or _identifies(anchor, wanted)
    ]
    if not candidates:
        if named:
            return _no_path("path.key_identifier", "an anchor has the issuer's name, but another key identifier"), []
        if any(_identifies(anchor, wanted) for anchor in anchors if wanted is not None):
            return _no_path("path.issuer_name", "an anchor has the key identifier, but its name is another"), []
        return _no_path("path.no_anchor", "no anchor has the name of the issuer"), []
    issuers = []
    failure: PathFact | None = None
    for anchor in candidates:
        key = usable_key(anchor, post_quantum)
        if key is None:
            why = why_unusable(anchor, post_quantum)
            failure = failure or _no_path("path.anchor_key", f"the key of the anchor is not usable: {why}")
            continue
        try:
            document_signer.verify_signature(key)
        except VerificationError as exc:
            failure = _no_path(exc.code.replace("signature.", "path.signature_"), exc.message)
        else:
            issuers.append(anchor)
    if failure is not None and not issuers:
        return failure, []
    return PathFact(check=PATH, holds=True, code=None, detail="issued by an anchor"), issuers


def _identifies(anchor: Certificate, key_identifier: bytes | None) -> bool:
    return anchor.subject_key_identifier == key_identifier


def _no_path(code: str, detail: str) -> PathFact:
    return PathFact(check=PATH, holds=False, code=code, detail=detail)


def _result(
    document_signer: Certificate,
    anchor: Certificate | None,
    at: datetime,
    skew: timedelta,
    *,
    path: PathFact,
    post_quantum: UnsafePostQuantum | None,
) -> PathResult:
    # The signature is verified above.
    findings = lint_certificate(
        document_signer, DOCUMENT_SIGNER, issuer=anchor, with_signature=False, post_quantum=post_quantum
    )
    not_before, not_after = document_signer.not_before, document_signer.not_after
    if anchor is not None:
        findings += _anchor_findings(anchor, post_quantum)
        not_before, not_after = max(not_before, anchor.not_before), min(not_after, anchor.not_after)
    return PathResult(
        document_signer=document_signer,
        anchor=anchor,
        at=at,
        not_before=not_before,
        not_after=not_after,
        path=path,
        validity=_validity(document_signer, anchor, at, skew),
        profile=_profile(findings, anchor),
    )


@lru_cache(maxsize=4096)
def _anchor_findings(anchor: Certificate, post_quantum: UnsafePostQuantum | None) -> tuple[Finding, ...]:
    """An anchor's deviations from its profile: they depend on nothing else, and anchors are few.

    A root is trusted for where it came from, and its own signature proves nobody's identity. It shows that nobody has
    changed the certificate since, its end for example: one that was changed is refused here as it is at import.
    """
    return lint_certificate(anchor, IACA, post_quantum=post_quantum)


def _validity(document_signer: Certificate, anchor: Certificate | None, at: datetime, skew: timedelta) -> PathFact:
    for certificate, who, code in ((document_signer, "document signer", "signer"), (anchor, "anchor", "anchor")):
        if certificate is None:
            return PathFact(check=VALIDITY, holds=None, code="validity.anchor_unknown", detail="there is no anchor")
        if certificate.not_before - at > skew:
            begins = certificate.not_before.isoformat()
            return PathFact(
                check=VALIDITY,
                holds=False,
                code=f"validity.{code}_not_yet_valid",
                detail=f"the {who} is valid from {begins}",
            )
        if at - certificate.not_after > skew:
            ended = certificate.not_after.isoformat()
            return PathFact(
                check=VALIDITY,
                holds=False,
                code=f"validity.{code}_expired",
                detail=f"the {who} was valid until {ended}",
            )
    return PathFact(check=VALIDITY, holds=True, code=None, detail="document signer and anchor are valid")


def _profile(findings: tuple[Finding, ...], anchor: Certificate | None) -> PathFact:
    holds: bool | None = True
    code, detail, clause = None, f"{len(findings)} findings, none an error", "18013-5 Annex B"
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        holds, code, detail, clause = False, errors[0].rule, str(errors[0]), errors[0].clause
    elif anchor is None:
        holds, code, detail = None, "profile.anchor_unknown", "there is no anchor to compare with"
    return PathFact(check=PROFILE, holds=holds, code=code, detail=detail, findings=findings, clause=clause)


def _merit(result: PathResult) -> tuple[bool, int, bool]:
    security = sum(finding.security for finding in result.profile.findings)
    return result.validity.holds is True, -security, result.profile.holds is True

"""The reader's side: trust, verdict, and why.

from reader import ANY_DOCTYPE, Policy, Revocation, SessionContext, TrustStore, Verifier
"""

from reader.report import CHECKS, Check, Outcome, Policy, Report, Revocation
from reader.revocation import NO_EVIDENCE, Evidence
from reader.trust import ANY_DOCTYPE, AnyDoctype, TrustAnchor, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, VerifiedDocument, VerifiedResponse, Verifier

__all__ = [
    "ANY_DOCTYPE",
    "CHECKS",
    "NO_EVIDENCE",
    "AnyDoctype",
    "Check",
    "Evidence",
    "Outcome",
    "Policy",
    "Report",
    "Revocation",
    "SessionContext",
    "TrustAnchor",
    "TrustStore",
    "UnsafeNoRequest",
    "VerifiedDocument",
    "VerifiedResponse",
    "Verifier",
]

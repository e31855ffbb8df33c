"""The reader's side: trust, verification, and the reasons of a refusal.

from reader import ANY_DOCTYPE, Policy, Revocation, SessionContext, TrustStore, Verifier
"""

from reader.report import CHECKS, Check, Outcome, Policy, Report, Revocation
from reader.revocation import NO_EVIDENCE, Evidence
from reader.trust import ANY_DOCTYPE, ANY_PURPOSE, AnyDoctype, AnyPurpose, FollowLinks, Purpose, TrustAnchor, TrustStore
from reader.trust_file import TrustFile
from reader.verification import SessionContext, UnsafeNoRequest, VerifiedDocument, VerifiedResponse, Verifier
from reader.vical import NOTHING_ACCEPTED, AcceptedVical, VicalImport, examine_vical, import_vical

__all__ = [
    "ANY_DOCTYPE",
    "ANY_PURPOSE",
    "CHECKS",
    "NOTHING_ACCEPTED",
    "NO_EVIDENCE",
    "AcceptedVical",
    "AnyDoctype",
    "AnyPurpose",
    "Check",
    "Evidence",
    "FollowLinks",
    "Outcome",
    "Policy",
    "Purpose",
    "Report",
    "Revocation",
    "SessionContext",
    "TrustAnchor",
    "TrustFile",
    "TrustStore",
    "UnsafeNoRequest",
    "VerifiedDocument",
    "VerifiedResponse",
    "Verifier",
    "VicalImport",
    "examine_vical",
    "import_vical",
]

"""The public key infrastructure of ISO/IEC 18013-5: certificate and CRL profiles as one table.

Build from it (`build_certificate`, `build_csr`, `build_crl`), lint against it (`lint_certificate`, `lint_crl`), and
find the anchor of a document signer (`validate_path`). Certificates and CRLs are views over the bytes received.
"""

from mdl.pki.build import (
    CertificateRequest,
    RevokedCertificate,
    Subject,
    build_certificate,
    build_crl,
    build_csr,
    decode_csr,
    draw_serial,
)
from mdl.pki.certificate import (
    AlgorithmIdentifier,
    Attribute,
    AttributeId,
    BasicConstraints,
    Certificate,
    DistributionPoint,
    Extension,
    ExtensionId,
    GeneralName,
    KeyPurpose,
    KeyUsage,
    Name,
    NameForm,
)
from mdl.pki.crl import Crl
from mdl.pki.lint import Finding, lint_certificate, lint_crl
from mdl.pki.path import PathFact, PathResult, validate_path
from mdl.pki.profiles import (
    CRL,
    DOCUMENT_SIGNER,
    IACA,
    IACA_LINK,
    JWS_SIGNER,
    OCSP_SIGNER,
    PROFILES,
    READER_AUTHENTICATION,
    READER_CA,
    REVOCATION_LIST_SIGNER,
    VICAL_SIGNER,
    CrlProfile,
    Profile,
)
from mdl.pki.rules import Evidence, Presence, Rule, Severity

__all__ = [
    "CRL",
    "DOCUMENT_SIGNER",
    "IACA",
    "IACA_LINK",
    "JWS_SIGNER",
    "OCSP_SIGNER",
    "PROFILES",
    "READER_AUTHENTICATION",
    "READER_CA",
    "REVOCATION_LIST_SIGNER",
    "VICAL_SIGNER",
    "AlgorithmIdentifier",
    "Attribute",
    "AttributeId",
    "BasicConstraints",
    "Certificate",
    "CertificateRequest",
    "Crl",
    "CrlProfile",
    "DistributionPoint",
    "Evidence",
    "Extension",
    "ExtensionId",
    "Finding",
    "GeneralName",
    "KeyPurpose",
    "KeyUsage",
    "Name",
    "NameForm",
    "PathFact",
    "PathResult",
    "Presence",
    "Profile",
    "RevokedCertificate",
    "Rule",
    "Severity",
    "Subject",
    "build_certificate",
    "build_crl",
    "build_csr",
    "decode_csr",
    "draw_serial",
    "lint_certificate",
    "lint_crl",
    "validate_path",
]

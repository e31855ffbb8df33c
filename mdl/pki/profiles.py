"""The certificate and CRL profiles of ISO/IEC 18013-5 as data: one table to build from, to lint and to verify against.

Where sources differ, the choice is the one of pki.md §11: strict when issuing, tolerant
with a named finding when reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from mdl.pki.certificate import AttributeId, ExtensionId, KeyPurpose, KeyUsage
from mdl.pki.model import ERROR, NOTE, WARNING, CrlProfile, Presence, Profile
from mdl.pki.rules import CERTIFICATE_RULES, CRL_RULES

FIRST_EDITION: Final = "18013-5 first edition"
SECOND_EDITION_DRAFT: Final = "18013-5 second edition, draft"
PRACTICE: Final = "no profile in 18013-5; common practice and RFC 5280"

_EC: Final = frozenset({"EC"})
_EC_OR_EDWARDS: Final = frozenset({"EC", "OKP"})
_CERT_SIGN: Final = frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN})
_DIGITAL_SIGNATURE: Final = frozenset({KeyUsage.DIGITAL_SIGNATURE})
_C_CN: Final = (AttributeId.COUNTRY, AttributeId.COMMON_NAME)

_SKI, _AKI = ExtensionId.SUBJECT_KEY_IDENTIFIER, ExtensionId.AUTHORITY_KEY_IDENTIFIER
_IAN, _CRLDP = ExtensionId.ISSUER_ALTERNATIVE_NAME, ExtensionId.CRL_DISTRIBUTION_POINTS
_EKU = ExtensionId.EXTENDED_KEY_USAGE


def _presence(
    *, required: tuple[ExtensionId, ...], unexpected: tuple[ExtensionId, ...] = ()
) -> Mapping[ExtensionId, Presence]:
    table = dict.fromkeys(required, Presence.REQUIRED) | dict.fromkeys(unexpected, Presence.UNEXPECTED)
    return MappingProxyType(table)


IACA: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="iaca",
    title="IACA root",
    clause="18013-5 B.1.2",
    edition=FIRST_EDITION,
    ca=True,
    self_issued=True,
    subject=_C_CN,
    key_kinds=_EC,
    key_usage=_CERT_SIGN,
    path_length=0,
    longest_validity=timedelta(days=7305),
    planned_validity=timedelta(days=7299),
    extensions=_presence(required=(_SKI, _IAN, _CRLDP), unexpected=(_EKU,)),
    # cRLDistributionPoints: mandatory in the first edition, optional in newer text. keyUsage: without it a key is
    # unrestricted (RFC 5280 4.2.1.3); a deviation, but it is basicConstraints that makes a root a CA.
    grades={"crldp.missing": WARNING, "ku.missing": ERROR},
)

IACA_LINK: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="iaca-link",
    title="IACA link certificate",
    clause="18013-5 Annex B",
    edition=FIRST_EDITION,
    ca=True,
    scoped=True,
    subject=_C_CN,
    key_kinds=_EC,
    key_usage=_CERT_SIGN,
    purpose=KeyPurpose.IACA_LINK,
    path_length=0,
    longest_validity=timedelta(days=7305),
    planned_validity=timedelta(days=7299),
    extensions=_presence(required=(_SKI, _AKI, _IAN, _CRLDP, _EKU)),
    # One source only for the extended key usage; "expected" only for issuerAltName.
    grades={"eku.missing": WARNING, "eku.purpose": WARNING, "ian.missing": WARNING, "ku.missing": ERROR},
)

DOCUMENT_SIGNER: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="ds",
    title="mDL document signer",
    clause="18013-5 B.1.4",
    edition=FIRST_EDITION,
    scoped=True,
    subject=_C_CN,
    key_kinds=_EC_OR_EDWARDS,
    key_usage=_DIGITAL_SIGNATURE,
    purpose=KeyPurpose.MDL_DOCUMENT_SIGNER,
    purpose_critical=True,
    longest_validity=timedelta(days=457),
    planned_validity=timedelta(days=456),
    extensions=_presence(required=(_SKI, _AKI, _EKU, _IAN, _CRLDP)),
)

JWS_SIGNER: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="jws",
    title="mDL JWS signer",
    clause="18013-5 B.1.5",
    edition=FIRST_EDITION,
    scoped=True,
    subject=_C_CN,
    key_kinds=_EC,
    key_usage=_DIGITAL_SIGNATURE,
    purpose=KeyPurpose.MDL_JWS_SIGNER,
    purpose_critical=True,
    # Sources give 457 days or one year.
    longest_validity=timedelta(days=457),
    planned_validity=timedelta(days=364),
    extensions=_presence(required=(_SKI, _AKI, _EKU, _IAN, _CRLDP)),
)

READER_CA: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="reader-ca",
    title="mdoc reader CA",
    clause="RFC 5280 4.2.1",
    edition=PRACTICE,
    ca=True,
    subject=(AttributeId.COMMON_NAME,),
    key_kinds=_EC,
    key_usage=_CERT_SIGN,
    longest_validity=None,
    extensions=_presence(required=(_SKI,)),
    grades={"ku.missing": ERROR},
)

READER_AUTHENTICATION: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="reader",
    title="mdoc reader authentication",
    clause="18013-5 B.1.7",
    edition=FIRST_EDITION,
    subject=(AttributeId.COMMON_NAME,),
    key_kinds=_EC_OR_EDWARDS,
    key_usage=_DIGITAL_SIGNATURE,
    purpose=KeyPurpose.MDOC_READER_AUTHENTICATION,
    purpose_critical=True,
    longest_validity=timedelta(days=1187),
    planned_validity=timedelta(days=1186),
    extensions=_presence(required=(_SKI, _AKI, _EKU, _CRLDP)),
    copies_issuer_alternative_name=True,
)

OCSP_SIGNER: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="ocsp",
    title="OCSP signer",
    clause="18013-5 Annex B",
    edition=FIRST_EDITION,
    scoped=True,
    subject=_C_CN,
    key_kinds=_EC,
    key_usage=_DIGITAL_SIGNATURE,
    purpose=KeyPurpose.OCSP_SIGNING,
    longest_validity=timedelta(days=457),
    planned_validity=timedelta(days=456),
    extensions=_presence(required=(_SKI, _AKI, _EKU)),
)

VICAL_SIGNER: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="vical",
    title="VICAL signer",
    clause="18013-5 C.1.7.2",
    edition=FIRST_EDITION,
    subject=(AttributeId.COUNTRY, AttributeId.ORGANIZATION, AttributeId.COMMON_NAME),
    key_kinds=_EC,
    key_usage=frozenset({KeyUsage.CONTENT_COMMITMENT}),
    purpose=KeyPurpose.VICAL_SIGNER,
    purpose_critical=True,
    longest_validity=timedelta(days=1187),
    planned_validity=timedelta(days=1186),
    extensions=_presence(required=(_SKI, _AKI, _EKU, _CRLDP)),
    # A provider's list is for many countries: its own country scopes nothing.
    grades={"subject.country.missing": ERROR},
)

VICAL_PROVIDER_CA: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="vical-ca",
    title="CA of a VICAL provider",
    clause="RFC 5280 4.2.1",
    edition=PRACTICE,
    ca=True,
    subject=(AttributeId.COMMON_NAME,),
    key_kinds=_EC,
    key_usage=frozenset({KeyUsage.KEY_CERT_SIGN}),
    longest_validity=None,
    extensions=_presence(required=(_SKI,)),
    # What else such a CA may do with its key is the provider's own affair.
    grades={"ku.extra": NOTE},
)
"""What is asked of a VICAL provider's root and of the CAs below it; the standard has no profile for them."""

REVOCATION_LIST_SIGNER: Final = Profile(
    templates=CERTIFICATE_RULES,
    id="revocation-list",
    title="MSO revocation list signer",
    clause="18013-5 Table B.9",
    edition=SECOND_EDITION_DRAFT,
    scoped=True,
    subject=_C_CN,
    key_kinds=_EC,
    key_usage=_DIGITAL_SIGNATURE,
    purpose_critical=False,
    longest_validity=timedelta(days=1187),
    planned_validity=timedelta(days=1186),
    extensions=_presence(required=(_SKI, _AKI)),
)

CRL: Final = CrlProfile(
    templates=CRL_RULES,
    id="crl",
    title="certificate revocation list of an IACA",
    clause="18013-5 B.3",
    edition=FIRST_EDITION,
    longest_interval=timedelta(days=90),
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        profile.id: profile
        for profile in (
            IACA,
            IACA_LINK,
            DOCUMENT_SIGNER,
            JWS_SIGNER,
            READER_CA,
            READER_AUTHENTICATION,
            OCSP_SIGNER,
            VICAL_SIGNER,
            VICAL_PROVIDER_CA,
            REVOCATION_LIST_SIGNER,
        )
    }
)
"""The certificate profiles by id."""

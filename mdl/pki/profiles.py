"""The certificate and CRL profiles of ISO/IEC 18013-5 as data: one table to build from, to lint and to verify against.

Where sources differ, the choice is the one of the facts sheet (``standards/pki.md`` §11): strict when issuing, tolerant
with a named finding when reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from mdl.pki.certificate import AttributeId, ExtensionId, KeyPurpose, KeyUsage
from mdl.pki.checks import CertificateCase, CrlCase
from mdl.pki.rules import CERTIFICATE_ROWS, CRL_ROWS, Grade, Presence, Rule, Severity

FIRST_EDITION: Final = "18013-5 first edition"
SECOND_EDITION_DRAFT: Final = "18013-5 second edition, draft"
PRACTICE: Final = "no profile in 18013-5; common practice and RFC 5280"

_WARNING: Final[Grade] = (Severity.WARNING, False)
_ERROR: Final[Grade] = (Severity.ERROR, False)
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """What one kind of certificate looks like.

    Attributes:
        id: Stable name; the first part of its rules' identifiers.
        title: What the certificate is.
        clause: Where the profile stands, as the facts sheets name it.
        edition: Which edition of the standard.
        ca: Whether the subject is a CA.
        self_issued: Whether issuer and subject are one.
        scoped: Whether country and state must be the issuer's.
        subject: Attributes that the subject must have.
        key_kinds: ``EC``, ``OKP`` or both.
        key_usage: The bits of keyUsage; exactly these, and critical.
        purpose: The extendedKeyUsage, or None where the profile names none.
        purpose_critical: Whether extendedKeyUsage must (True) or must not (False) be critical; None if free.
        path_length: The pathLenConstraint, or None if free.
        longest_validity: notAfter minus notBefore, inclusive; None if unlimited. This is what a reader accepts.
        planned_validity: The same when issuing: shorter, since a checker may count the last second as a day; or None.
        extensions: Which extensions must be there, and which do not belong there; any other is optional.
        copies_issuer_alternative_name: Whether issuerAltName repeats the CA's own.
        grades: Grades of rules that differ from the row's.
        rules: The rules that apply, in order of checking.
    """

    id: str
    title: str
    clause: str
    edition: str
    ca: bool = False
    self_issued: bool = False
    scoped: bool = False
    subject: tuple[AttributeId, ...]
    key_kinds: frozenset[str]
    key_usage: frozenset[KeyUsage]
    purpose: KeyPurpose | None = None
    purpose_critical: bool | None = None
    path_length: int | None = None
    longest_validity: timedelta | None
    planned_validity: timedelta | None = None
    extensions: Mapping[ExtensionId, Presence]
    copies_issuer_alternative_name: bool = False
    grades: Mapping[str, Grade] = field(default_factory=dict)
    rules: tuple[Rule[CertificateCase], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        words = {
            "days": str(self.longest_validity.days) if self.longest_validity else "",
            "planned": str(self.planned_validity.days) if self.planned_validity else "",
            "keys": "an EC key" if self.key_kinds == _EC else "an EC, Ed25519 or Ed448 key",
            "key_usage": " and ".join(usage.value for usage in KeyUsage if usage in self.key_usage),
            "purpose": self.purpose.value if self.purpose else "",
            "path_length": str(self.path_length),
        }
        rows = [row for row in CERTIFICATE_ROWS if row.when(self)]
        unknown = self.grades.keys() - {row.key for row in rows}
        if unknown:
            msg = f"grades for rules that {self.id} does not have: {sorted(unknown)}"
            raise ValueError(msg)
        rules = tuple(
            row.rule(profile=self.id, clause=self.clause, grade=self.grades.get(row.key), words=words) for row in rows
        )
        object.__setattr__(self, "rules", rules)

    def requires(self, extension: ExtensionId) -> bool:
        """Whether the profile requires an extension."""
        return self.extensions.get(extension) is Presence.REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrlProfile:
    """What a CRL looks like.

    Attributes:
        id: Stable name; the first part of its rules' identifiers.
        title: What it is.
        clause: Where the profile stands.
        edition: Which edition of the standard.
        longest_interval: nextUpdate minus thisUpdate, inclusive.
        rules: The rules, in order of checking.
    """

    id: str
    title: str
    clause: str
    edition: str
    longest_interval: timedelta
    rules: tuple[Rule[CrlCase], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rules = tuple(row.rule(profile=self.id, clause=self.clause, grade=None, words={}) for row in CRL_ROWS)
        object.__setattr__(self, "rules", rules)


IACA: Final = Profile(
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
    grades={"crldp.missing": _WARNING, "ku.missing": _ERROR},
)

IACA_LINK: Final = Profile(
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
    grades={"eku.missing": _WARNING, "eku.purpose": _WARNING, "ian.missing": _WARNING, "ku.missing": _ERROR},
)

DOCUMENT_SIGNER: Final = Profile(
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
    grades={"ku.missing": _ERROR},
)

READER_AUTHENTICATION: Final = Profile(
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
    grades={"subject.country.missing": _ERROR},
)

VICAL_PROVIDER_CA: Final = Profile(
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
    grades={"ku.extra": (Severity.NOTE, False)},
)
"""What is asked of a VICAL provider's root and of the CAs below it; the standard has no profile for them."""

REVOCATION_LIST_SIGNER: Final = Profile(
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

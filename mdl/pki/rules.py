"""The rules of the certificate and CRL profiles as one table: what each asks, how it is graded, which check decides.

`mdl.pki.profiles` says to which profile a row applies; the builder, the linter, the path and the documentation read the
same rows.

The grades:

- error, warning or note: how far what was found is from the profile;
- security: refusing it is what stops a forged, stolen or mis-scoped certificate. No policy may tolerate it. A finding
  without that mark is a deviation which honest certificates show; a lenient policy may live with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from mdl.pki import checks
from mdl.pki.certificate import AttributeId, ExtensionId, KeyPurpose
from mdl.pki.checks import CertificateCase, CrlCase

if TYPE_CHECKING:  # mutants: same
    from mdl.pki.profiles import Profile


class Severity(StrEnum):
    """How far a finding is from the profile."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Evidence(StrEnum):
    """What a rule cannot be judged without, beside the certificate or CRL itself."""

    ISSUER = "issuer"
    TIME = "time"


class Presence(StrEnum):
    """Whether a profile asks for an extension."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    UNEXPECTED = "unexpected"


CaseT = TypeVar("CaseT")
Grade = tuple[Severity, bool]
"""Severity, and whether it is a matter of security."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[CaseT]):
    """One rule of one profile.

    Attributes:
        id: Stable identifier, ``<profile>.<subject>.<defect>``.
        clause: Where it stands, as the facts sheets name it.
        severity: How far a breach is from the profile.
        security: Whether no policy may tolerate a breach.
        requirement: What is asked, in one sentence.
        remedy: What the issuer of the certificate or CRL does about it.
        needs: What it is judged by; None where the certificate or CRL tells all. Without it the rule is left unjudged.
        check: None where the rule holds or is left unjudged, else what was found.
    """

    id: str
    clause: str
    severity: Severity
    security: bool
    requirement: str
    remedy: str
    needs: Evidence | None
    check: Callable[[CaseT], str | None] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Generic[CaseT]):
    """A rule before it belongs to a profile.

    Attributes:
        key: The rule's identifier without the profile's name.
        check: See `Rule`.
        grade: How a breach is graded, where the profile says nothing else.
        asks: The requirement; names in braces are the profile's own words.
        remedy: See `Rule`; with the profile's own words too.
        clause: Where it stands, or None for the clause of the profile.
        needs: See `Rule`.
        when: To which profiles it applies.
    """

    key: str
    check: Callable[[CaseT], str | None]
    grade: Grade
    asks: str
    remedy: str
    clause: str | None
    needs: Evidence | None
    when: Callable[[Profile], bool]

    def rule(self, *, profile: str, clause: str, grade: Grade | None, words: Mapping[str, str]) -> Rule[CaseT]:
        """The row as a rule of one profile."""
        severity, security = grade or self.grade
        return Rule(
            id=f"{profile}.{self.key}",
            clause=self.clause or clause,
            severity=severity,
            security=security,
            requirement=self.asks.format_map(words),
            remedy=self.remedy.format_map(words),
            needs=self.needs,
            check=self.check,
        )


_COMMON: Final = "18013-5 Annex B"

_SECURITY: Final = (Severity.ERROR, True)
_ERROR: Final = (Severity.ERROR, False)
_WARNING: Final = (Severity.WARNING, False)
_NOTE: Final = (Severity.NOTE, False)

_ISSUER: Final = Evidence.ISSUER
_TIME: Final = Evidence.TIME

# --- Certificates -----------------------------------------------------------------------------------------------------


def _always(_profile: Profile) -> bool:
    return True


def _row(
    key: str,
    check: Callable[[CaseT], str | None],
    grade: Grade,
    *,
    asks: str,
    remedy: str,
    clause: str | None = None,
    needs: Evidence | None = None,
    when: Callable[[Profile], bool] = _always,
) -> Row[CaseT]:
    return Row(key=key, check=check, grade=grade, asks=asks, remedy=remedy, clause=clause, needs=needs, when=when)


def _ca(profile: Profile) -> bool:
    return profile.ca


def _end_entity(profile: Profile) -> bool:
    return not profile.ca


def _scoped(profile: Profile) -> bool:
    return profile.scoped


def _requires_attribute(attribute: AttributeId) -> Callable[[Profile], bool]:
    return lambda profile: attribute in profile.subject


def _requires(oid: ExtensionId) -> Callable[[Profile], bool]:
    return lambda profile: profile.extensions.get(oid) is Presence.REQUIRED


# fmt: off
CERTIFICATE_ROWS: Final[tuple[Row[CertificateCase], ...]] = (
    _row("version", checks.version, _ERROR, clause=_COMMON,
         asks="The certificate is X.509 version 3.", remedy="Issue it again as version 3."),
    _row("serial.positive", checks.serial_positive, _ERROR, clause=_COMMON,
         asks="The serial number is positive.", remedy="Issue it again with a random positive serial number."),
    _row("serial.length", checks.serial_length, _ERROR, clause=_COMMON,
         asks="The serial number has at most 20 octets.",
         remedy="Issue it again with a serial number of 16 to 20 octets."),
    _row("serial.random", checks.serial_random, _WARNING, clause=_COMMON,
         asks="The serial number has at least 63 bits from a random generator.",
         remedy="Draw serial numbers of 16 to 20 octets from a random generator."),
    _row("signature.algorithm", checks.signature_algorithm, _SECURITY, clause=_COMMON,
         asks="The signature is ECDSA with SHA-256, SHA-384 or SHA-512.", remedy="Sign it with an EC key and SHA-2."),
    _row("signature.parameters", checks.signature_parameters, _ERROR, clause=_COMMON,
         asks="The ECDSA algorithm identifier has no parameters.", remedy="Leave the parameters out."),
    _row("signature.mismatch", checks.signature_mismatch, _SECURITY, clause=_COMMON,
         asks="The algorithm identifiers inside and outside the signed body are identical.",
         remedy="Sign it again; one of the two was changed after signing."),
    _row("signature.hash", checks.signature_hash, _WARNING, needs=_ISSUER, clause=_COMMON,
         asks="The digest goes with the curve of the issuer's key.",
         remedy="Sign P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512, and brainpool likewise."),
    _row("signature.invalid", checks.signature_invalid, _SECURITY, needs=_ISSUER, clause=_COMMON,
         asks="The signature verifies under the issuer's key.", remedy="Do not use it; find out where it came from."),
    _row("key.type", checks.key_type, _SECURITY, clause=_COMMON,
         asks="The public key is {keys}.", remedy="Issue it for a key on a permitted curve."),
    _row("key.encoding", checks.key_encoding, _ERROR, clause=_COMMON,
         asks="An EC key is an uncompressed point.", remedy="Encode the point uncompressed."),
    # No forger gains: whoever has this key has been trusted with the root. But it must not be so.
    _row("key.issuer", checks.key_issuer, _ERROR, needs=_ISSUER, clause=_COMMON,
         when=lambda profile: not profile.self_issued,
         asks="The public key is another one than the issuer's.", remedy="Issue it for a key of its own."),
    _row("validity.order", checks.validity_order, _SECURITY, clause="RFC 5280 4.1.2.5",
         asks="notBefore is not after notAfter.", remedy="Issue it again with the two times in order."),
    _row("validity.encoding", checks.validity_encoding, _WARNING, clause="RFC 5280 4.1.2.5",
         asks="Times up to 2049 are UTCTime, later ones GeneralizedTime.",
         remedy="Encode each time in the form of its year."),
    _row("validity.maximum", checks.validity_maximum, _ERROR,
         when=lambda profile: profile.longest_validity is not None,
         asks="It is valid for at most {days} days.", remedy="Issue it for {planned} days or less."),
    _row("validity.nesting", checks.validity_nesting, _WARNING, needs=_ISSUER,
         when=lambda profile: not profile.self_issued,
         asks="It is valid only while its issuer is.", remedy="Choose times inside the issuer's."),
    _row("validity.future", checks.validity_future, _SECURITY, needs=_TIME, clause="18013-5 9.3.3",
         asks="Its validity has begun.", remedy="Wait, or look at the clock."),
    _row("validity.past", checks.validity_past, _SECURITY, needs=_TIME, clause="18013-5 9.3.3",
         asks="Its validity has not ended.", remedy="Replace it by its successor."),
    _row("subject.country.missing", checks.lacks(AttributeId.COUNTRY), _SECURITY,
         when=_requires_attribute(AttributeId.COUNTRY),
         asks="The subject has a countryName.", remedy="Issue it with the country of the issuing authority."),
    _row("subject.common-name.missing", checks.lacks(AttributeId.COMMON_NAME), _ERROR,
         when=_requires_attribute(AttributeId.COMMON_NAME),
         asks="The subject has a commonName.", remedy="Issue it with a commonName of its own."),
    _row("subject.organization.missing", checks.lacks(AttributeId.ORGANIZATION), _ERROR,
         when=_requires_attribute(AttributeId.ORGANIZATION),
         asks="The subject has an organizationName.", remedy="Issue it with the organization's name."),
    _row("subject.country.format", checks.country_format, _ERROR, clause=_COMMON,
         asks="countryName is two capital letters (ISO 3166-1 alpha-2).", remedy="Issue it with the two-letter code."),
    _row("subject.country.assigned", checks.country_assigned, _WARNING, clause=_COMMON,
         asks="countryName is a code that ISO 3166-1 assigns, or one that it leaves to users (AA, QM to QZ, XA to XZ, "
         "ZZ) for tests.",
         remedy="Issue it with the country's own code; for tests take one from XA to XZ."),
    _row("subject.country.encoding", checks.country_encoding, _WARNING, clause=_COMMON,
         asks="countryName is a PrintableString.", remedy="Encode countryName as PrintableString."),
    # What a root issues repeats its state: one finding, at the root, is enough.
    _row("subject.state.format", checks.state_format, _WARNING, clause=_COMMON,
         when=lambda profile: profile.self_issued,
         asks="stateOrProvinceName is an ISO 3166-2 code of the subject's country, as issuing_jurisdiction is.",
         remedy="Issue it with the code, country included, for example US-UT."),
    _row("subject.ambiguous", checks.subject_ambiguous, _SECURITY, clause=_COMMON,
         asks="The subject names one country and at most one state or province.", remedy="Issue it with one of each."),
    _row("subject.strings", checks.subject_strings, _WARNING, clause=_COMMON,
         asks="Every attribute of the subject is PrintableString or UTF8String; domainComponent and emailAddress are "
         "IA5String.",
         remedy="Encode names as PrintableString where possible, else as UTF8String."),
    _row("subject.serial-number.encoding", checks.serial_number_encoding, _WARNING, clause=_COMMON,
         asks="The subject's serialNumber and dnQualifier are PrintableString.",
         remedy="Encode serialNumber and dnQualifier as PrintableString."),
    _row("subject.value", checks.subject_value, _WARNING, clause="RFC 5280 4.1.2.4",
         asks="Every attribute of the subject has characters that print, and not only blanks.",
         remedy="Give the attribute a value, or leave it out."),
    _row("subject.length", checks.subject_length, _WARNING, clause="RFC 5280 Appendix A.1",
         asks="No attribute of the subject is longer than its upper bound, counted in characters.",
         remedy="Shorten the value: 64 characters for a commonName or an organization, 128 for a state or a locality."),
    _row("unique-identifiers", checks.unique_identifiers, _WARNING, clause="RFC 5280 4.1.2.8",
         asks="issuerUniqueID and subjectUniqueID are absent.", remedy="Leave the unique identifiers out."),
    _row("issuer.self", checks.issuer_self, _ERROR, when=lambda profile: profile.self_issued,
         asks="It is self-signed: issuer and subject are byte-identical.",
         remedy="Use the root, not a certificate below it."),
    _row("issuer.distinct", checks.issuer_distinct, _ERROR, when=_end_entity,
         asks="It is issued by a CA, not by itself.", remedy="Have it issued by the CA."),
    _row("issuer.name", checks.issuer_name, _SECURITY, needs=_ISSUER, clause=_COMMON,
         when=lambda profile: not profile.self_issued,
         asks="The issuer field equals the issuing certificate's subject byte for byte.",
         remedy="Copy the issuer's name as it is encoded; do not encode it again."),
    # Not of a signer of lists and the CAs above it: a security object may name any certificate as their issuer.
    _row("issuer.ca", checks.issuer_ca, _SECURITY, needs=_ISSUER, clause="18013-5 9.3.3",
         when=lambda profile: profile.purpose is not None,
         asks="The issuing certificate is that of a CA: basicConstraints says so, and keyUsage has keyCertSign.",
         remedy="Have it issued by the CA, and not below another signer."),
    _row("issuer.common-name", checks.issuer_common_name, _WARNING, clause=_COMMON, needs=_ISSUER, when=_end_entity,
         asks="commonName is not the issuer's: CAs and signers each have their own.",
         remedy="Issue it with a commonName of its own."),
    _row("issuer.country", checks.issuer_country, _SECURITY, needs=_ISSUER, when=_scoped,
         asks="countryName is the issuer's.", remedy="Issue it under a root of the same country."),
    _row("issuer.state", checks.issuer_state, _SECURITY, needs=_ISSUER, when=_scoped,
         asks="stateOrProvinceName is the issuer's where both have one.",
         remedy="Issue it under a root of the same state or province."),
    _row("issuer.state.absent", checks.issuer_state_absent, _WARNING, needs=_ISSUER, when=_scoped,
         asks="stateOrProvinceName stands in both subject and issuer, or in neither.",
         remedy="Repeat the issuer's stateOrProvinceName."),
    _row("ski.missing", checks.missing(ExtensionId.SUBJECT_KEY_IDENTIFIER), _ERROR,
         clause=_COMMON, when=_requires(ExtensionId.SUBJECT_KEY_IDENTIFIER),
         asks="subjectKeyIdentifier is present.", remedy="Add subjectKeyIdentifier."),
    _row("ski.value", checks.ski_value, _WARNING, clause=_COMMON,
         asks="subjectKeyIdentifier is the SHA-1 of the public key's BIT STRING contents.",
         remedy="Compute it by method 1 of RFC 5280 4.2.1.2."),
    _row("aki.missing", checks.aki_missing, _ERROR,
         clause=_COMMON, when=_requires(ExtensionId.AUTHORITY_KEY_IDENTIFIER),
         asks="authorityKeyIdentifier is present, with a keyIdentifier.",
         remedy="Add authorityKeyIdentifier with the issuer's subjectKeyIdentifier."),
    _row("aki.mismatch", checks.aki_mismatch, _SECURITY, needs=_ISSUER, clause=_COMMON,
         asks="authorityKeyIdentifier is the issuer's subjectKeyIdentifier.",
         remedy="Copy the issuer's subjectKeyIdentifier."),
    _row("aki.certificate", checks.aki_certificate, _WARNING, needs=_ISSUER, clause="RFC 5280 4.2.1.1",
         asks="authorityCertIssuer and authorityCertSerialNumber, where present, are issuer and serial number of the "
         "issuer's certificate.",
         remedy="Leave both out; some software builds no path where they differ."),
    _row("ku.missing", checks.missing(ExtensionId.KEY_USAGE), _SECURITY,
         asks="keyUsage is present.", remedy="Add keyUsage: {key_usage}."),
    _row("ku.bits", checks.ku_bits, _SECURITY,
         asks="keyUsage has {key_usage}.", remedy="Set exactly {key_usage}."),
    _row("ku.ca-bits", checks.ku_ca_bits, _SECURITY, when=_end_entity,
         asks="keyUsage has neither keyCertSign nor cRLSign.", remedy="Set exactly {key_usage}."),
    _row("ku.extra", checks.ku_extra, _ERROR,
         asks="keyUsage has nothing beside {key_usage}.", remedy="Set exactly {key_usage}."),
    _row("ku.critical", checks.not_critical(ExtensionId.KEY_USAGE), _ERROR,
         asks="keyUsage is critical.", remedy="Mark keyUsage critical."),
    _row("eku.missing", checks.missing(ExtensionId.EXTENDED_KEY_USAGE), _SECURITY,
         when=_requires(ExtensionId.EXTENDED_KEY_USAGE),
         asks="extendedKeyUsage is present.", remedy="Add extendedKeyUsage {purpose}."),
    _row("eku.purpose", checks.eku_purpose, _SECURITY, when=lambda profile: profile.purpose is not None,
         asks="extendedKeyUsage has {purpose}.",
         remedy="Issue a certificate for this role: extendedKeyUsage {purpose}."),
    _row("eku.extra", checks.eku_extra, _WARNING, when=lambda profile: profile.purpose is not None,
         asks="extendedKeyUsage has nothing beside {purpose}.", remedy="Leave only {purpose}."),
    _row("eku.critical", checks.not_critical(ExtensionId.EXTENDED_KEY_USAGE), _WARNING,
         when=lambda profile: profile.purpose_critical is True,
         asks="extendedKeyUsage is critical.", remedy="Mark extendedKeyUsage critical."),
    _row("eku.not-critical", checks.eku_critical, _WARNING, when=lambda profile: profile.purpose_critical is False,
         asks="extendedKeyUsage, if present, is not critical.", remedy="Do not mark extendedKeyUsage critical."),
    _row("eku.unexpected", checks.eku_unexpected, _WARNING,
         when=lambda profile: profile.extensions.get(ExtensionId.EXTENDED_KEY_USAGE) is Presence.UNEXPECTED,
         asks="extendedKeyUsage is not part of this profile.", remedy="Leave extendedKeyUsage out."),
    _row("eku.foreign", checks.eku_foreign, _SECURITY,
         when=lambda profile: profile.purpose is None and (profile.self_issued or not profile.ca),
         asks="extendedKeyUsage, if present, names no other role.",
         remedy="Use a certificate of its own for each role."),
    _row("eku.any", checks.eku_any, _WARNING, when=lambda profile: profile.purpose is None and not profile.ca,
         asks="extendedKeyUsage, if present, does not have anyExtendedKeyUsage.",
         remedy="Leave extendedKeyUsage out, or name the purpose of this role."),
    _row("bc.missing", checks.missing(ExtensionId.BASIC_CONSTRAINTS), _SECURITY, when=_ca,
         asks="basicConstraints is present.", remedy="Add basicConstraints with CA TRUE."),
    _row("bc.not-ca", checks.bc_not_ca, _SECURITY, when=_ca,
         asks="basicConstraints says CA TRUE.", remedy="Use the CA's certificate, not one that it issued."),
    _row("bc.critical", checks.not_critical(ExtensionId.BASIC_CONSTRAINTS), _ERROR, when=_ca,
         asks="basicConstraints is critical.", remedy="Mark basicConstraints critical."),
    _row("bc.path-length", checks.bc_path_length, _ERROR, when=lambda profile: profile.path_length is not None,
         asks="pathLenConstraint is {path_length}.", remedy="Set pathLenConstraint to {path_length}."),
    _row("bc.encoding", checks.bc_encoding, _ERROR, clause=_COMMON,
         asks="basicConstraints is DER: TRUE is FF, and FALSE is left out.", remedy="Encode basicConstraints as DER."),
    _row("bc.ca", checks.bc_ca, _SECURITY, when=_end_entity,
         asks="basicConstraints does not say CA TRUE.", remedy="Leave basicConstraints out."),
    _row("bc.present", checks.bc_present, _NOTE, when=_end_entity,
         asks="basicConstraints is left out.", remedy="Leave basicConstraints out."),
    _row("ian.missing", checks.missing(ExtensionId.ISSUER_ALTERNATIVE_NAME), _ERROR,
         when=_requires(ExtensionId.ISSUER_ALTERNATIVE_NAME),
         asks="issuerAltName is present.",
         remedy="Add issuerAltName with an e-mail address or a URI of the issuing authority."),
    _row("ian.contact", checks.ian_contact, _ERROR, clause=_COMMON,
         asks="issuerAltName has an rfc822Name or a URI.",
         remedy="Put an e-mail address or a URI of the issuing authority into issuerAltName."),
    _row("ian.value", checks.ian_value, _WARNING, clause="RFC 5280 4.2.1.6",
         asks="Each rfc822Name, dNSName and URI of issuerAltName can be used: it is an e-mail address, a host, or "
         "an absolute URI.",
         remedy="Put an e-mail address or an absolute URI of the issuing authority into issuerAltName."),
    _row("san.value", checks.san_value, _WARNING, clause="RFC 5280 4.2.1.6",
         asks="Each rfc822Name, dNSName and URI of subjectAltName can be used: it is an e-mail address, a host, or "
         "an absolute URI.",
         remedy="Mend the name, or leave it out."),
    _row("ian.other", checks.ian_other, _NOTE, clause=_COMMON,
         asks="issuerAltName has no names of other forms.",
         remedy="Leave only an e-mail address or a URI in issuerAltName."),
    _row("ian.differs", checks.ian_differs, _WARNING, needs=_ISSUER,
         when=lambda profile: profile.copies_issuer_alternative_name,
         asks="issuerAltName repeats the one of the CA's certificate, where that has one.",
         remedy="Copy the CA's issuerAltName."),
    _row("crldp.missing", checks.missing(ExtensionId.CRL_DISTRIBUTION_POINTS), _ERROR,
         when=_requires(ExtensionId.CRL_DISTRIBUTION_POINTS),
         asks="cRLDistributionPoints is present.", remedy="Add cRLDistributionPoints with the URI of the CRL."),
    _row("crldp.uri", checks.crldp_uri, _WARNING, clause=_COMMON,
         asks="Each distribution point has a fullName with a URI.", remedy="Give the CRL's address as a URI."),
    _row("crldp.scheme", checks.crldp_scheme, _WARNING, clause=_COMMON,
         asks="The CRL is found over http or https.", remedy="Publish the CRL over http or https."),
    _row("crldp.address", checks.crldp_address, _WARNING, clause="RFC 5280 4.2.1.13",
         asks="The address of the CRL can be fetched: it has a host, and no blank or other character that no URI has.",
         remedy="Give the CRL's address in full; write other characters as %20 and the like."),
    _row("crldp.form", checks.crldp_form, _ERROR, clause=_COMMON,
         asks="Distribution points have neither reasons nor cRLIssuer.", remedy="Leave reasons and cRLIssuer out."),
    _row("extension.unreadable", checks.extension_unreadable, _ERROR, clause=_COMMON,
         asks="Each extension is what its definition says.", remedy="Encode the extension as RFC 5280 defines it."),
    _row("extension.critical", checks.extension_critical, _ERROR, clause=_COMMON,
         asks="No extension is critical but keyUsage, basicConstraints and an extendedKeyUsage of the profile.",
         remedy="Do not mark other extensions critical."),
    _row("extension.unknown", checks.extension_unknown, _SECURITY, clause="RFC 5280 4.2",
         asks="No unrecognised extension is critical.", remedy="Leave the extension out, or do not mark it critical."),
    _row("extension.forbidden", checks.extension_forbidden, _SECURITY, clause=_COMMON,
         asks="policyMappings, nameConstraints, policyConstraints, inhibitAnyPolicy, freshestCRL are absent.",
         remedy="Leave the extension out."),
    _row("status.own", checks.own_status, _ERROR, when=lambda profile: profile.purpose == KeyPurpose.OCSP_SIGNING,
         asks="It has a CRL distribution point, or ocsp-nocheck and a life of at most 90 days.",
         remedy="Add cRLDistributionPoints, or ocsp-nocheck with a short life."),
)
# fmt: on


# --- CRLs -------------------------------------------------------------------------------------------------------------

# fmt: off
CRL_ROWS: Final[tuple[Row[CrlCase], ...]] = (
    _row("version", checks.crl_version, _ERROR,
         asks="The CRL is version 2.", remedy="Issue it as version 2."),
    _row("signature.algorithm", checks.crl_algorithm, _SECURITY,
         asks="The signature is ECDSA with SHA-256, SHA-384 or SHA-512.", remedy="Sign it with an EC key and SHA-2."),
    _row("signature.parameters", checks.crl_parameters, _ERROR,
         asks="The ECDSA algorithm identifier has no parameters.", remedy="Leave the parameters out."),
    _row("signature.mismatch", checks.crl_mismatch, _SECURITY,
         asks="The algorithm identifiers inside and outside the signed body are identical.",
         remedy="Sign it again; one of the two was changed after signing."),
    _row("signature.hash", checks.crl_hash, _WARNING, needs=_ISSUER,
         asks="The digest goes with the curve of the issuer's key.",
         remedy="Sign P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512, and brainpool likewise."),
    _row("signature.invalid", checks.crl_invalid, _SECURITY, needs=_ISSUER,
         asks="The signature verifies under the issuer's key.", remedy="Do not use it; fetch the CRL again."),
    _row("issuer.name", checks.crl_issuer_name, _SECURITY, needs=_ISSUER,
         asks="The issuer field equals the IACA's subject byte for byte.", remedy="Have the IACA itself sign the CRL."),
    _row("issuer.usage", checks.crl_issuer_usage, _SECURITY, needs=_ISSUER,
         asks="The issuer's keyUsage has cRLSign.", remedy="Have the IACA itself sign the CRL."),
    _row("next-update.missing", checks.crl_next_update, _SECURITY,
         asks="nextUpdate is present.", remedy="Say when the next CRL comes; without it this one never ages."),
    _row("interval", checks.crl_interval, _ERROR,
         asks="nextUpdate is after thisUpdate, by at most 90 days.", remedy="Publish a CRL at least every 90 days."),
    _row("time.encoding", checks.crl_encoding, _WARNING, clause="RFC 5280 5.1.2.4",
         asks="Times up to 2049 are UTCTime, later ones GeneralizedTime.",
         remedy="Encode each time in the form of its year."),
    _row("future", checks.crl_future, _ERROR, needs=_TIME,
         asks="thisUpdate is not in the future.", remedy="Wait, or look at the clock."),
    _row("stale", checks.crl_stale, _ERROR, needs=_TIME,
         asks="nextUpdate has not passed.", remedy="Fetch the current CRL."),
    _row("empty-list", checks.crl_empty, _ERROR,
         asks="revokedCertificates is absent when nothing is revoked.", remedy="Leave the empty list out."),
    _row("entry.extensions", checks.crl_entry_extensions, _ERROR,
         asks="Entries carry a serial number and a date, no extensions.",
         remedy="Leave reason codes and other entry extensions out."),
    _row("entry.critical", checks.crl_entry_critical, _SECURITY,
         asks="No entry extension is critical.", remedy="Issue a direct CRL without entry extensions."),
    _row("aki.missing", checks.crl_aki_missing, _ERROR,
         asks="authorityKeyIdentifier is present, with a keyIdentifier.",
         remedy="Add authorityKeyIdentifier with the IACA's subjectKeyIdentifier."),
    _row("aki.mismatch", checks.crl_aki_mismatch, _SECURITY, needs=_ISSUER,
         asks="authorityKeyIdentifier is the IACA's subjectKeyIdentifier.",
         remedy="Copy the IACA's subjectKeyIdentifier."),
    _row("aki.certificate", checks.crl_aki_certificate, _WARNING, needs=_ISSUER, clause="RFC 5280 5.2.1",
         asks="authorityCertIssuer and authorityCertSerialNumber, where present, are issuer and serial number of the "
         "IACA's certificate.",
         remedy="Leave both out."),
    _row("number", checks.crl_number, _ERROR,
         asks="cRLNumber is present, not negative and at most 20 octets long.", remedy="Count CRLs with cRLNumber."),
    _row("extension.critical", checks.crl_critical, _ERROR,
         asks="authorityKeyIdentifier and cRLNumber are not critical.", remedy="Do not mark them critical."),
    _row("extension.partial", checks.crl_partial, _SECURITY,
         asks="The CRL is full, complete and direct: no deltaCRLIndicator, no issuingDistributionPoint.",
         remedy="Issue one complete CRL."),
    _row("extension.unknown", checks.crl_unknown, _SECURITY, clause="RFC 5280 5.2",
         asks="No unrecognised extension is critical.", remedy="Leave the extension out."),
    _row("extension.other", checks.crl_other, _ERROR,
         asks="There are no extensions beside authorityKeyIdentifier and cRLNumber.",
         remedy="Leave the extension out."),
)
# fmt: on

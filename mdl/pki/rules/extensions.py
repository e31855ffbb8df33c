"""Rules on a certificate's extensions."""

# ruff: noqa: D103 - what a check asks is written once, in the rule above it

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from mdl.errors import integer_text
from mdl.pki.certificate import (
    ExtensionId,
    GeneralName,
    KeyPurpose,
    KeyUsage,
    NameForm,
    key_identifier,
)
from mdl.pki.model import (
    ERROR,
    NOTE,
    SECURITY,
    WARNING,
    CertificateContext,
    Presence,
    Profile,
    RuleInput,
    RuleTable,
)
from mdl.pki.rules.addresses import URI, is_dns_name, is_email, is_uri, web_problem
from mdl.pki.rules.parts import (
    COMMON,
    authority_problem,
    days,
    listed,
)

RULES: Final = RuleTable[CertificateContext]()
rule = RULES.rule


def _ca(profile: Profile) -> bool:
    return profile.ca


def _end_entity(profile: Profile) -> bool:
    return not profile.ca


def _requires(oid: ExtensionId) -> Callable[[Profile], bool]:
    return lambda profile: profile.requires(oid)


def missing(oid: ExtensionId) -> Callable[[CertificateContext], str | None]:
    def check(context: CertificateContext) -> str | None:
        return None if oid in context.certificate.extensions else "the extension is absent"

    return check


rule(
    "ski.missing",
    ERROR,
    clause=COMMON,
    when=_requires(ExtensionId.SUBJECT_KEY_IDENTIFIER),
    asks="subjectKeyIdentifier is present.",
    remedy="Add subjectKeyIdentifier.",
)(missing(ExtensionId.SUBJECT_KEY_IDENTIFIER))


@rule(
    "ski.value",
    WARNING,
    clause=COMMON,
    asks="subjectKeyIdentifier is the SHA-1 of the public key's BIT STRING contents.",
    remedy="Compute it by method 1 of RFC 5280 4.2.1.2.",
)
def ski_value(context: CertificateContext) -> str | None:
    found = context.certificate.subject_key_identifier
    if found is None or found == key_identifier(context.certificate.key_bits):
        return None
    return f"{len(found)} octets that are not the SHA-1 of the public key"


@rule(
    "aki.missing",
    ERROR,
    clause=COMMON,
    when=_requires(ExtensionId.AUTHORITY_KEY_IDENTIFIER),
    asks="authorityKeyIdentifier is present, with a keyIdentifier.",
    remedy="Add authorityKeyIdentifier with the issuer's subjectKeyIdentifier.",
)
def aki_missing(context: CertificateContext) -> str | None:
    if context.certificate.authority_key_identifier is not None:
        return None
    absent = ExtensionId.AUTHORITY_KEY_IDENTIFIER not in context.certificate.extensions
    return "the extension is absent" if absent else "the extension has no keyIdentifier"


@rule(
    "aki.mismatch",
    SECURITY,
    clause=COMMON,
    needs=RuleInput.ISSUER,
    asks="authorityKeyIdentifier is the issuer's subjectKeyIdentifier.",
    remedy="Copy the issuer's subjectKeyIdentifier.",
)
def aki_mismatch(context: CertificateContext) -> str | None:
    ours = context.certificate.authority_key_identifier
    theirs = None if context.issuer is None else context.issuer.subject_key_identifier
    if ours is None or theirs is None or ours == theirs:
        return None
    return "the keyIdentifier is not the issuer's subjectKeyIdentifier"


@rule(
    "aki.certificate",
    WARNING,
    clause="RFC 5280 4.2.1.1",
    needs=RuleInput.ISSUER,
    asks="authorityCertIssuer and authorityCertSerialNumber, where present, are issuer and serial number of the "
    "issuer's certificate.",
    remedy="Leave both out; some software builds no path where they differ.",
)
def aki_certificate(context: CertificateContext) -> str | None:
    return authority_problem(context.certificate.authority_certificate, context.issuer)


rule(
    "ku.missing",
    SECURITY,
    asks="keyUsage is present.",
    remedy="Add keyUsage: {key_usage}.",
)(missing(ExtensionId.KEY_USAGE))


@rule(
    "ku.bits",
    SECURITY,
    asks="keyUsage has {key_usage}.",
    remedy="Set exactly {key_usage}.",
)
def ku_bits(context: CertificateContext) -> str | None:
    found = context.certificate.key_usage
    absent = frozenset() if found is None else context.profile.key_usage - found
    return f"not set: {listed(absent)}" if absent else None


_CA_BITS: Final = frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN})


@rule(
    "ku.ca-bits",
    SECURITY,
    when=_end_entity,
    asks="keyUsage has neither keyCertSign nor cRLSign.",
    remedy="Set exactly {key_usage}.",
)
def ku_ca_bits(context: CertificateContext) -> str | None:
    extra = (context.certificate.key_usage or frozenset()) & _CA_BITS
    return f"set: {listed(extra)}" if extra else None


@rule(
    "ku.extra",
    ERROR,
    asks="keyUsage has nothing beside {key_usage}.",
    remedy="Set exactly {key_usage}.",
)
def ku_extra(context: CertificateContext) -> str | None:
    # The bits of a CA have a rule of their own where they do not belong.
    extra = (context.certificate.key_usage or frozenset()) - context.profile.key_usage - _CA_BITS
    return f"set: {listed(extra)}" if extra else None


def not_critical(oid: ExtensionId) -> Callable[[CertificateContext], str | None]:
    def check(context: CertificateContext) -> str | None:
        found = context.certificate.extensions.get(oid)
        return None if found is None or found.critical else "the extension is not critical"

    return check


rule(
    "ku.critical",
    ERROR,
    asks="keyUsage is critical.",
    remedy="Mark keyUsage critical.",
)(not_critical(ExtensionId.KEY_USAGE))

rule(
    "eku.missing",
    SECURITY,
    when=_requires(ExtensionId.EXTENDED_KEY_USAGE),
    asks="extendedKeyUsage is present.",
    remedy="Add extendedKeyUsage {purpose}.",
)(missing(ExtensionId.EXTENDED_KEY_USAGE))


@rule(
    "eku.purpose",
    SECURITY,
    when=lambda profile: profile.purpose is not None,
    asks="extendedKeyUsage has {purpose}.",
    remedy="Issue a certificate for this role: extendedKeyUsage {purpose}.",
)
def eku_purpose(context: CertificateContext) -> str | None:
    found = context.certificate.extended_key_usage
    if found is None or context.profile.purpose in found:
        return None
    return f"only {listed(found)}"


@rule(
    "eku.extra",
    WARNING,
    when=lambda profile: profile.purpose is not None,
    asks="extendedKeyUsage has nothing beside {purpose}.",
    remedy="Leave only {purpose}.",
)
def eku_extra(context: CertificateContext) -> str | None:
    extra = [oid for oid in context.certificate.extended_key_usage or () if oid != context.profile.purpose]
    return f"also {listed(extra)}" if extra else None


rule(
    "eku.critical",
    WARNING,
    when=lambda profile: profile.purpose_critical is True,
    asks="extendedKeyUsage is critical.",
    remedy="Mark extendedKeyUsage critical.",
)(not_critical(ExtensionId.EXTENDED_KEY_USAGE))


@rule(
    "eku.not-critical",
    WARNING,
    when=lambda profile: profile.purpose_critical is False,
    asks="extendedKeyUsage, if present, is not critical.",
    remedy="Do not mark extendedKeyUsage critical.",
)
def eku_critical(context: CertificateContext) -> str | None:
    found = context.certificate.extensions.get(ExtensionId.EXTENDED_KEY_USAGE)
    return "the extension is critical" if found is not None and found.critical else None


@rule(
    "eku.unexpected",
    WARNING,
    when=lambda profile: profile.extensions.get(ExtensionId.EXTENDED_KEY_USAGE) is Presence.UNEXPECTED,
    asks="extendedKeyUsage is not part of this profile.",
    remedy="Leave extendedKeyUsage out.",
)
def eku_unexpected(context: CertificateContext) -> str | None:
    found = context.certificate.extended_key_usage
    return None if found is None else f"present, with {listed(found)}"


_FOREIGN_ROLES: Final = frozenset(purpose.value for purpose in KeyPurpose)

# The roles that no IACA has and none of what it issues: a CA for readers marks itself by theirs.
_FOREIGN_TO_ROOTS: Final = frozenset(
    purpose.value
    for purpose in (
        KeyPurpose.MDOC_READER_AUTHENTICATION,
        KeyPurpose.MDOC_READER,
        KeyPurpose.READER_TLS_CLIENT,
        KeyPurpose.VICAL_SIGNER,
        KeyPurpose.IACA_LINK,
    )
)


@rule(
    "eku.foreign",
    SECURITY,
    when=lambda profile: profile.purpose is None and (profile.self_issued or not profile.ca),
    asks="extendedKeyUsage, if present, names no other role.",
    remedy="Use a certificate of its own for each role.",
)
def eku_foreign(context: CertificateContext) -> str | None:
    roles = _FOREIGN_TO_ROOTS if context.profile.self_issued else _FOREIGN_ROLES
    foreign = roles.intersection(context.certificate.extended_key_usage or ())
    return f"the certificate is for another role: {listed(foreign)}" if foreign else None


_ANY_PURPOSE: Final = "2.5.29.37.0"


@rule(
    "eku.any",
    WARNING,
    when=lambda profile: profile.purpose is None and not profile.ca,
    asks="extendedKeyUsage, if present, does not have anyExtendedKeyUsage.",
    remedy="Leave extendedKeyUsage out, or name the purpose of this role.",
)
def eku_any(context: CertificateContext) -> str | None:
    return "anyExtendedKeyUsage" if _ANY_PURPOSE in (context.certificate.extended_key_usage or ()) else None


rule(
    "bc.missing",
    SECURITY,
    when=_ca,
    asks="basicConstraints is present.",
    remedy="Add basicConstraints with CA TRUE.",
)(missing(ExtensionId.BASIC_CONSTRAINTS))


@rule(
    "bc.not-ca",
    SECURITY,
    when=_ca,
    asks="basicConstraints says CA TRUE.",
    remedy="Use the CA's certificate, not one that it issued.",
)
def bc_not_ca(context: CertificateContext) -> str | None:
    found = context.certificate.basic_constraints
    return None if found is None or found.ca else "not a CA"


rule(
    "bc.critical",
    ERROR,
    when=_ca,
    asks="basicConstraints is critical.",
    remedy="Mark basicConstraints critical.",
)(not_critical(ExtensionId.BASIC_CONSTRAINTS))


@rule(
    "bc.path-length",
    ERROR,
    when=lambda profile: profile.path_length is not None,
    asks="pathLenConstraint is {path_length}.",
    remedy="Set pathLenConstraint to {path_length}.",
)
def bc_path_length(context: CertificateContext) -> str | None:
    found = context.certificate.basic_constraints
    if found is None or not found.ca or found.path_length == context.profile.path_length:
        return None
    if found.path_length is None:
        return "no pathLenConstraint"
    return f"pathLenConstraint {integer_text(found.path_length)}"


@rule(
    "bc.encoding",
    ERROR,
    clause=COMMON,
    asks="basicConstraints is DER: TRUE is FF, and FALSE is left out.",
    remedy="Encode basicConstraints as DER.",
)
def bc_encoding(context: CertificateContext) -> str | None:
    found = context.certificate.basic_constraints
    return None if found is None or found.is_der else "the boolean is written as BER allows, not as DER asks"


@rule(
    "bc.ca",
    SECURITY,
    when=_end_entity,
    asks="basicConstraints does not say CA TRUE.",
    remedy="Leave basicConstraints out.",
)
def bc_ca(context: CertificateContext) -> str | None:
    found = context.certificate.basic_constraints
    return "a CA" if found is not None and found.ca else None


@rule(
    "bc.present",
    NOTE,
    when=_end_entity,
    asks="basicConstraints is left out.",
    remedy="Leave basicConstraints out.",
)
def bc_present(context: CertificateContext) -> str | None:
    found = context.certificate.basic_constraints
    return "present, with CA FALSE" if found is not None and not found.ca else None


rule(
    "ian.missing",
    ERROR,
    when=_requires(ExtensionId.ISSUER_ALTERNATIVE_NAME),
    asks="issuerAltName is present.",
    remedy="Add issuerAltName with an e-mail address or a URI of the issuing authority.",
)(missing(ExtensionId.ISSUER_ALTERNATIVE_NAME))


@rule(
    "ian.contact",
    ERROR,
    clause=COMMON,
    asks="issuerAltName has an rfc822Name or a URI.",
    remedy="Put an e-mail address or a URI of the issuing authority into issuerAltName.",
)
def ian_contact(context: CertificateContext) -> str | None:
    names = context.certificate.issuer_alternative_name
    if names is None or any(name.form in (NameForm.EMAIL, NameForm.URI) for name in names):
        return None
    return "neither an rfc822Name nor a URI"


_USABLE: Final[Mapping[NameForm, Callable[[str], bool]]] = {
    NameForm.EMAIL: is_email,
    NameForm.DNS: is_dns_name,
    NameForm.URI: is_uri,
}


def _name_problem(names: tuple[GeneralName, ...] | None) -> str | None:
    """What is wrong with the first e-mail address, host or URI that nobody could use."""
    for name in names or ():
        if name.form is NameForm.OTHER:
            continue
        if not name.value.strip():
            return f"a {name.form.value} without characters"
        if not _USABLE[name.form](name.value):
            return f"a {name.form.value} that is none"
    return None


@rule(
    "ian.value",
    WARNING,
    clause="RFC 5280 4.2.1.6",
    asks="Each rfc822Name, dNSName and URI of issuerAltName can be used: it is an e-mail address, a host, or "
    "an absolute URI.",
    remedy="Put an e-mail address or an absolute URI of the issuing authority into issuerAltName.",
)
def ian_value(context: CertificateContext) -> str | None:
    return _name_problem(context.certificate.issuer_alternative_name)


@rule(
    "san.value",
    WARNING,
    clause="RFC 5280 4.2.1.6",
    asks="Each rfc822Name, dNSName and URI of subjectAltName can be used: it is an e-mail address, a host, or "
    "an absolute URI.",
    remedy="Mend the name, or leave it out.",
)
def san_value(context: CertificateContext) -> str | None:
    return _name_problem(context.certificate.subject_alternative_name)


@rule(
    "ian.other",
    NOTE,
    clause=COMMON,
    asks="issuerAltName has no names of other forms.",
    remedy="Leave only an e-mail address or a URI in issuerAltName.",
)
def ian_other(context: CertificateContext) -> str | None:
    names = context.certificate.issuer_alternative_name or ()
    other = [name for name in names if name.form not in (NameForm.EMAIL, NameForm.URI)]
    return f"{len(other)} names of other forms" if other else None


@rule(
    "ian.differs",
    WARNING,
    needs=RuleInput.ISSUER,
    when=lambda profile: profile.copies_issuer_alternative_name,
    asks="issuerAltName repeats the one of the CA's certificate, where that has one.",
    remedy="Copy the CA's issuerAltName.",
)
def ian_differs(context: CertificateContext) -> str | None:
    expected = None if context.issuer is None else context.issuer.issuer_alternative_name
    if expected is None or context.certificate.issuer_alternative_name == expected:
        return None
    return "not the value that the CA's own certificate has"


rule(
    "crldp.missing",
    ERROR,
    when=_requires(ExtensionId.CRL_DISTRIBUTION_POINTS),
    asks="cRLDistributionPoints is present.",
    remedy="Add cRLDistributionPoints with the URI of the CRL.",
)(missing(ExtensionId.CRL_DISTRIBUTION_POINTS))


@rule(
    "crldp.uri",
    WARNING,
    clause=COMMON,
    asks="Each distribution point has a fullName with a URI.",
    remedy="Give the CRL's address as a URI.",
)
def crldp_uri(context: CertificateContext) -> str | None:
    points = context.certificate.crl_distribution_points
    if all(any(name.form is NameForm.URI for name in point.names) for point in points):
        return None
    return "a distribution point without a URI"


@rule(
    "crldp.scheme",
    WARNING,
    clause=COMMON,
    asks="The CRL is found over http or https.",
    remedy="Publish the CRL over http or https.",
)
def crldp_scheme(context: CertificateContext) -> str | None:
    other = [uri for uri in context.certificate.crl_uris if not uri.lower().startswith(("http://", "https://"))]
    return f"{len(other)} URIs that are neither http nor https" if other else None


@rule(
    "crldp.address",
    WARNING,
    clause="RFC 5280 4.2.1.13",
    asks="The address of the CRL can be fetched: it has a host, and no blank or other character that no URI has.",
    remedy="Give the CRL's address in full; write other characters as %20 and the like.",
)
def crldp_address(context: CertificateContext) -> str | None:
    for uri in context.certificate.crl_uris:
        # Another scheme is a finding of its own.
        problem = web_problem(uri) if uri.lower().startswith(("http://", "https://")) or not URI.match(uri) else None
        if problem is not None:
            return f"an address {problem}"
    return None


@rule(
    "crldp.form",
    ERROR,
    clause=COMMON,
    asks="Distribution points have neither reasons nor cRLIssuer.",
    remedy="Leave reasons and cRLIssuer out.",
)
def crldp_form(context: CertificateContext) -> str | None:
    for point in context.certificate.crl_distribution_points:
        if point.has_reasons:
            return "a distribution point limited to some reasons"
        if point.has_crl_issuer:
            return "a distribution point that names another CRL issuer"
    return None


@rule(
    "extension.unreadable",
    ERROR,
    clause=COMMON,
    asks="Each extension is what its definition says.",
    remedy="Encode the extension as RFC 5280 defines it.",
)
def extension_unreadable(context: CertificateContext) -> str | None:
    found = context.certificate.unreadable
    return f"not what their definition says: {listed(found)}" if found else None


_RECOGNISED: Final = frozenset(
    {
        ExtensionId.SUBJECT_KEY_IDENTIFIER,
        ExtensionId.AUTHORITY_KEY_IDENTIFIER,
        ExtensionId.KEY_USAGE,
        ExtensionId.EXTENDED_KEY_USAGE,
        ExtensionId.BASIC_CONSTRAINTS,
        ExtensionId.ISSUER_ALTERNATIVE_NAME,
        ExtensionId.CRL_DISTRIBUTION_POINTS,
    }
)

_MAY_BE_CRITICAL: Final = frozenset(
    {ExtensionId.KEY_USAGE, ExtensionId.EXTENDED_KEY_USAGE, ExtensionId.BASIC_CONSTRAINTS}
)


@rule(
    "extension.critical",
    ERROR,
    clause=COMMON,
    asks="No extension is critical but keyUsage, basicConstraints and an extendedKeyUsage of the profile.",
    remedy="Do not mark other extensions critical.",
)
def extension_critical(context: CertificateContext) -> str | None:
    allowed = _MAY_BE_CRITICAL
    if context.profile.ca and context.profile.purpose is None:
        allowed -= {ExtensionId.EXTENDED_KEY_USAGE}
    critical = (_RECOGNISED - allowed).intersection(context.certificate.critical_extensions)
    return f"critical: {listed(critical)}" if critical else None


_FORBIDDEN: Final = frozenset(
    {
        ExtensionId.POLICY_MAPPINGS,
        ExtensionId.NAME_CONSTRAINTS,
        ExtensionId.POLICY_CONSTRAINTS,
        ExtensionId.INHIBIT_ANY_POLICY,
        ExtensionId.FRESHEST_CRL,
    }
)


@rule(
    "extension.unknown",
    SECURITY,
    clause="RFC 5280 4.2",
    asks="No unrecognised extension is critical.",
    remedy="Leave the extension out, or do not mark it critical.",
)
def extension_unknown(context: CertificateContext) -> str | None:
    unknown = set(context.certificate.critical_extensions) - _RECOGNISED - _FORBIDDEN
    return f"critical and not recognised: {listed(unknown)}" if unknown else None


@rule(
    "extension.forbidden",
    SECURITY,
    clause=COMMON,
    asks="policyMappings, nameConstraints, policyConstraints, inhibitAnyPolicy, freshestCRL are absent.",
    remedy="Leave the extension out.",
)
def extension_forbidden(context: CertificateContext) -> str | None:
    found = _FORBIDDEN.intersection(context.certificate.extensions)
    return f"present: {listed(found)}" if found else None


@rule(
    "status.own",
    ERROR,
    when=lambda profile: profile.purpose == KeyPurpose.OCSP_SIGNING,
    asks="It has a CRL distribution point, or ocsp-nocheck and a life of at most 90 days.",
    remedy="Add cRLDistributionPoints, or ocsp-nocheck with a short life.",
)
def own_status(context: CertificateContext) -> str | None:
    extensions = context.certificate.extensions
    if ExtensionId.CRL_DISTRIBUTION_POINTS in extensions:
        return None
    if ExtensionId.OCSP_NO_CHECK not in extensions:
        return "neither ocsp-nocheck nor a CRL distribution point"
    period = context.certificate.not_after - context.certificate.not_before
    if period <= timedelta(days=90):
        return None
    return f"ocsp-nocheck and valid for {days(period)}, at most 90 days"

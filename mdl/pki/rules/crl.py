"""Rules on a CRL."""

# ruff: noqa: D103 - what a check asks is written once, in the rule above it

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from mdl.pki.certificate import (
    ECDSA_SIGNATURES,
    AttributeId,
    ExtensionId,
    KeyUsage,
)
from mdl.pki.model import (
    ERROR,
    SECURITY,
    WARNING,
    CertificateContext,
    CrlContext,
    RuleInput,
    RuleTable,
)
from mdl.pki.rules.parts import (
    authority_problem,
    days,
    hash_problem,
    issuer_key,
    listed,
    signature_problem,
    time_problem,
)

RULES: Final = RuleTable[CrlContext]()
rule = RULES.rule


@rule(
    "version",
    ERROR,
    asks="The CRL is version 2.",
    remedy="Issue it as version 2.",
)
def crl_version(context: CrlContext) -> str | None:
    return None if context.crl.version == 2 else f"version {context.crl.version}"


@rule(
    "signature.algorithm",
    SECURITY,
    asks="The signature is ECDSA with SHA-256, SHA-384 or SHA-512.",
    remedy="Sign it with an EC key and SHA-2.",
)
def crl_algorithm(context: CrlContext) -> str | None:
    oid = context.crl.algorithm.oid
    return None if oid in ECDSA_SIGNATURES else f"signature algorithm {listed([oid])}"


@rule(
    "signature.parameters",
    ERROR,
    asks="The ECDSA algorithm identifier has no parameters.",
    remedy="Leave the parameters out.",
)
def crl_parameters(context: CrlContext) -> str | None:
    if context.crl.algorithm.parameters is None:
        return None
    return "the signature algorithm identifier carries parameters"


@rule(
    "signature.mismatch",
    SECURITY,
    asks="The algorithm identifiers inside and outside the signed body are identical.",
    remedy="Sign it again; one of the two was changed after signing.",
)
def crl_mismatch(context: CrlContext) -> str | None:
    if context.crl.algorithm == context.crl.inner_algorithm:
        return None
    return "the signature algorithm identifiers inside and outside the signed body differ"


@rule(
    "signature.hash",
    WARNING,
    needs=RuleInput.ISSUER,
    asks="The digest goes with the curve of the issuer's key.",
    remedy="Sign P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512, and brainpool likewise.",
)
def crl_hash(context: CrlContext) -> str | None:
    return hash_problem(context.crl, issuer_key(context))


@rule(
    "signature.invalid",
    SECURITY,
    needs=RuleInput.ISSUER,
    asks="The signature verifies under the issuer's key.",
    remedy="Do not use it; fetch the CRL again.",
)
def crl_invalid(context: CrlContext) -> str | None:
    if not context.with_signature or context.issuer is None:
        return None
    return signature_problem(context.crl, context.issuer, context.post_quantum)


@rule(
    "issuer.name",
    SECURITY,
    needs=RuleInput.ISSUER,
    asks="The issuer field equals the IACA's subject byte for byte.",
    remedy="Have the IACA itself sign the CRL.",
)
def crl_issuer_name(context: CrlContext) -> str | None:
    if context.issuer is None or context.crl.issuer == context.issuer.subject:
        return None
    return "the issuer field is not the issuing certificate's subject, byte for byte"


def lacks(attribute: AttributeId) -> Callable[[CertificateContext], str | None]:
    def check(context: CertificateContext) -> str | None:
        return None if context.certificate.subject.values(attribute) else "absent from the subject"

    return check


@rule(
    "issuer.usage",
    SECURITY,
    needs=RuleInput.ISSUER,
    asks="The issuer's keyUsage has cRLSign.",
    remedy="Have the IACA itself sign the CRL.",
)
def crl_issuer_usage(context: CrlContext) -> str | None:
    # An issuer without keyUsage is unrestricted (RFC 5280 6.3.3): its own profile names that.
    usage = None if context.issuer is None else context.issuer.key_usage
    if usage is None or KeyUsage.CRL_SIGN in usage:
        return None
    return "the issuer's keyUsage lacks cRLSign"


@rule(
    "next-update.missing",
    SECURITY,
    asks="nextUpdate is present.",
    remedy="Say when the next CRL comes; without it this one never ages.",
)
def crl_next_update(context: CrlContext) -> str | None:
    return "nextUpdate is absent" if context.crl.next_update is None else None


@rule(
    "interval",
    ERROR,
    asks="nextUpdate is after thisUpdate, by at most 90 days.",
    remedy="Publish a CRL at least every 90 days.",
)
def crl_interval(context: CrlContext) -> str | None:
    if context.crl.next_update is None:
        return None
    interval = context.crl.next_update - context.crl.this_update
    if interval <= timedelta(0):
        return "nextUpdate is not after thisUpdate"
    if interval <= context.profile.longest_interval:
        return None
    return f"nextUpdate {days(interval)} after thisUpdate, at most {days(context.profile.longest_interval)}"


@rule(
    "time.encoding",
    WARNING,
    clause="RFC 5280 5.1.2.4",
    asks="Times up to 2049 are UTCTime, later ones GeneralizedTime.",
    remedy="Encode each time in the form of its year.",
)
def crl_encoding(context: CrlContext) -> str | None:
    return time_problem(context.crl.deviating_times)


@rule(
    "future",
    ERROR,
    needs=RuleInput.TIME,
    asks="thisUpdate is not in the future.",
    remedy="Wait, or look at the clock.",
)
def crl_future(context: CrlContext) -> str | None:
    if context.at is None or context.at >= context.crl.this_update:
        return None
    return f"thisUpdate is {context.crl.this_update.isoformat()}"


@rule(
    "stale",
    ERROR,
    needs=RuleInput.TIME,
    asks="nextUpdate has not passed.",
    remedy="Fetch the current CRL.",
)
def crl_stale(context: CrlContext) -> str | None:
    next_update = context.crl.next_update
    if context.at is None or next_update is None or context.at <= next_update:
        return None
    return f"nextUpdate was {next_update.isoformat()}"


@rule(
    "empty-list",
    ERROR,
    asks="revokedCertificates is absent when nothing is revoked.",
    remedy="Leave the empty list out.",
)
def crl_empty(context: CrlContext) -> str | None:
    return "revokedCertificates is an empty list" if context.crl.has_empty_list else None


@rule(
    "entry.extensions",
    ERROR,
    asks="Entries carry a serial number and a date, no extensions.",
    remedy="Leave reason codes and other entry extensions out.",
)
def crl_entry_extensions(context: CrlContext) -> str | None:
    found = context.crl.entry_extensions
    return f"entries carry {listed(found)}" if found else None


@rule(
    "entry.critical",
    SECURITY,
    asks="No entry extension is critical.",
    remedy="Issue a direct CRL without entry extensions.",
)
def crl_entry_critical(context: CrlContext) -> str | None:
    found = [oid for oid, critical in context.crl.entry_extensions.items() if critical]
    return f"entries carry critical {listed(found)}" if found else None


@rule(
    "aki.missing",
    ERROR,
    asks="authorityKeyIdentifier is present, with a keyIdentifier.",
    remedy="Add authorityKeyIdentifier with the IACA's subjectKeyIdentifier.",
)
def crl_aki_missing(context: CrlContext) -> str | None:
    return None if context.crl.authority_key_identifier is not None else "no keyIdentifier of the issuer"


@rule(
    "aki.mismatch",
    SECURITY,
    needs=RuleInput.ISSUER,
    asks="authorityKeyIdentifier is the IACA's subjectKeyIdentifier.",
    remedy="Copy the IACA's subjectKeyIdentifier.",
)
def crl_aki_mismatch(context: CrlContext) -> str | None:
    ours = context.crl.authority_key_identifier
    theirs = None if context.issuer is None else context.issuer.subject_key_identifier
    if ours is None or theirs is None or ours == theirs:
        return None
    return "the keyIdentifier is not the issuer's subjectKeyIdentifier"


@rule(
    "aki.certificate",
    WARNING,
    clause="RFC 5280 5.2.1",
    needs=RuleInput.ISSUER,
    asks="authorityCertIssuer and authorityCertSerialNumber, where present, are issuer and serial number of the "
    "IACA's certificate.",
    remedy="Leave both out.",
)
def crl_aki_certificate(context: CrlContext) -> str | None:
    return authority_problem(context.crl.authority_certificate, context.issuer)


@rule(
    "number",
    ERROR,
    asks="cRLNumber is present, not negative and at most 20 octets long.",
    remedy="Count CRLs with cRLNumber.",
)
def crl_number(context: CrlContext) -> str | None:
    number = context.crl.number
    if number is None:
        return "the extension is absent"
    octets = number.bit_length() // 8 + 1
    return None if number >= 0 and octets <= 20 else "a number below 0 or of more than 20 octets"


_CRL_EXTENSIONS: Final = frozenset({ExtensionId.AUTHORITY_KEY_IDENTIFIER, ExtensionId.CRL_NUMBER})


@rule(
    "extension.critical",
    ERROR,
    asks="authorityKeyIdentifier and cRLNumber are not critical.",
    remedy="Do not mark them critical.",
)
def crl_critical(context: CrlContext) -> str | None:
    found = [oid for oid in _CRL_EXTENSIONS if oid in context.crl.extensions and context.crl.extensions[oid].critical]
    return f"critical: {listed(found)}" if found else None


_PARTIAL_CRL: Final = frozenset({ExtensionId.DELTA_CRL_INDICATOR, ExtensionId.ISSUING_DISTRIBUTION_POINT})


@rule(
    "extension.partial",
    SECURITY,
    asks="The CRL is full, complete and direct: no deltaCRLIndicator, no issuingDistributionPoint.",
    remedy="Issue one complete CRL.",
)
def crl_partial(context: CrlContext) -> str | None:
    found = _PARTIAL_CRL.intersection(context.crl.extensions)
    return f"present: {listed(found)}" if found else None


@rule(
    "extension.unknown",
    SECURITY,
    clause="RFC 5280 5.2",
    asks="No unrecognised extension is critical.",
    remedy="Leave the extension out.",
)
def crl_unknown(context: CrlContext) -> str | None:
    known = _CRL_EXTENSIONS | _PARTIAL_CRL
    found = [oid for oid, extension in context.crl.extensions.items() if extension.critical and oid not in known]
    return f"critical and not recognised: {listed(found)}" if found else None


@rule(
    "extension.other",
    ERROR,
    asks="There are no extensions beside authorityKeyIdentifier and cRLNumber.",
    remedy="Leave the extension out.",
)
def crl_other(context: CrlContext) -> str | None:
    known = _CRL_EXTENSIONS | _PARTIAL_CRL
    found = [oid for oid, extension in context.crl.extensions.items() if not extension.critical and oid not in known]
    return f"present: {listed(found)}" if found else None

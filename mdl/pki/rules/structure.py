"""Rules on a certificate's version, serial number, signature, key and validity."""

# ruff: noqa: D103 - what a check asks is written once, in the rule above it

from __future__ import annotations

from datetime import timedelta
from typing import Final, cast

from mdl.pki.certificate import (
    ECDSA_SIGNATURES,
)
from mdl.pki.model import (
    ERROR,
    SECURITY,
    WARNING,
    CertificateContext,
    RuleInput,
    RuleTable,
)
from mdl.pki.rules.parts import (
    COMMON,
    days,
    hash_problem,
    issuer_key,
    listed,
    signature_problem,
    time_problem,
    why_unusable,
)

RULES: Final = RuleTable[CertificateContext]()
rule = RULES.rule


@rule(
    "version",
    ERROR,
    clause=COMMON,
    asks="The certificate is X.509 version 3.",
    remedy="Issue it again as version 3.",
)
def version(context: CertificateContext) -> str | None:
    version = context.certificate.version
    return None if version == 3 else f"version {version}"


@rule(
    "serial.positive",
    ERROR,
    clause=COMMON,
    asks="The serial number is positive.",
    remedy="Issue it again with a random positive serial number.",
)
def serial_positive(context: CertificateContext) -> str | None:
    if context.certificate.serial > 0:
        return None
    return "the serial number is zero" if context.certificate.serial == 0 else "the serial number is negative"


@rule(
    "serial.length",
    ERROR,
    clause=COMMON,
    asks="The serial number has at most 20 octets.",
    remedy="Issue it again with a serial number of 16 to 20 octets.",
)
def serial_length(context: CertificateContext) -> str | None:
    octets = context.certificate.serial.bit_length() // 8 + 1
    return None if octets <= 20 else f"a serial number of {octets} octets"


@rule(
    "serial.random",
    WARNING,
    clause=COMMON,
    asks="The serial number has at least 63 bits from a random generator.",
    remedy="Draw serial numbers of 16 to 20 octets from a random generator.",
)
def serial_random(context: CertificateContext) -> str | None:
    # 63 random bits come out this small once in 65536 times: what is smaller was counted, not drawn.
    bits = context.certificate.serial.bit_length()
    return None if bits > 47 or context.certificate.serial <= 0 else f"a serial number of {bits} bits"


@rule(
    "signature.algorithm",
    SECURITY,
    clause=COMMON,
    asks="The signature is ECDSA with SHA-256, SHA-384 or SHA-512.",
    remedy="Sign it with an EC key and SHA-2.",
)
def signature_algorithm(context: CertificateContext) -> str | None:
    oid = context.certificate.algorithm.oid
    return None if oid in ECDSA_SIGNATURES else f"signature algorithm {listed([oid])}"


@rule(
    "signature.parameters",
    ERROR,
    clause=COMMON,
    asks="The ECDSA algorithm identifier has no parameters.",
    remedy="Leave the parameters out.",
)
def signature_parameters(context: CertificateContext) -> str | None:
    if context.certificate.algorithm.parameters is None:
        return None
    return "the signature algorithm identifier carries parameters"


@rule(
    "signature.mismatch",
    SECURITY,
    clause=COMMON,
    asks="The algorithm identifiers inside and outside the signed body are identical.",
    remedy="Sign it again; one of the two was changed after signing.",
)
def signature_mismatch(context: CertificateContext) -> str | None:
    if context.certificate.algorithm == context.certificate.inner_algorithm:
        return None
    return "the signature algorithm identifiers inside and outside the signed body differ"


@rule(
    "signature.hash",
    WARNING,
    clause=COMMON,
    needs=RuleInput.ISSUER,
    asks="The digest goes with the curve of the issuer's key.",
    remedy="Sign P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512, and brainpool likewise.",
)
def signature_hash(context: CertificateContext) -> str | None:
    return hash_problem(context.certificate, issuer_key(context))


@rule(
    "signature.invalid",
    SECURITY,
    clause=COMMON,
    needs=RuleInput.ISSUER,
    asks="The signature verifies under the issuer's key.",
    remedy="Do not use it; find out where it came from.",
)
def signature_invalid(context: CertificateContext) -> str | None:
    if not context.with_signature or context.issuer is None:
        return None
    return signature_problem(context.certificate, context.issuer, context.post_quantum)


@rule(
    "key.type",
    SECURITY,
    clause=COMMON,
    asks="The public key is {keys}.",
    remedy="Issue it for a key on a permitted curve.",
)
def key_type(context: CertificateContext) -> str | None:
    if context.key is None:
        return why_unusable(context.certificate, context.post_quantum)
    if context.key.curve.kind in context.profile.key_kinds:
        return None
    return f"a key on {context.key.curve.name}"


@rule(
    "key.encoding",
    ERROR,
    clause=COMMON,
    asks="An EC key is an uncompressed point.",
    remedy="Encode the point uncompressed.",
)
def key_encoding(context: CertificateContext) -> str | None:
    if context.key is None or context.key.curve.kind != "EC" or context.certificate.key_bits[:1] == b"\x04":
        return None
    return "the point is not uncompressed"


# No forger gains: whoever has this key has been trusted with the root. But it must not be so.
@rule(
    "key.issuer",
    ERROR,
    clause=COMMON,
    needs=RuleInput.ISSUER,
    when=lambda profile: not profile.self_issued,
    asks="The public key is another one than the issuer's.",
    remedy="Issue it for a key of its own.",
)
def key_issuer(context: CertificateContext) -> str | None:
    issuer = context.issuer
    if issuer is None:
        return None
    ours, theirs = context.certificate, issuer
    if context.profile.ca and context.profile.purpose is None and ours.subject == theirs.subject:
        return None  # the CA's own certificate, or its renewal
    # A key may be written in two ways: as a compressed and as an uncompressed point.
    same = ours.spki == theirs.spki or (context.key is not None and context.key == issuer_key(context))
    return "the public key is the issuer's own" if same else None


@rule(
    "validity.order",
    SECURITY,
    clause="RFC 5280 4.1.2.5",
    asks="notBefore is not after notAfter.",
    remedy="Issue it again with the two times in order.",
)
def validity_order(context: CertificateContext) -> str | None:
    if context.certificate.not_before <= context.certificate.not_after:
        return None
    return "notAfter is before notBefore"


@rule(
    "validity.encoding",
    WARNING,
    clause="RFC 5280 4.1.2.5",
    asks="Times up to 2049 are UTCTime, later ones GeneralizedTime.",
    remedy="Encode each time in the form of its year.",
)
def validity_encoding(context: CertificateContext) -> str | None:
    return time_problem(context.certificate.deviating_times)


@rule(
    "validity.maximum",
    ERROR,
    when=lambda profile: profile.longest_validity is not None,
    asks="It is valid for at most {days} days.",
    remedy="Issue it for {planned} days or less.",
)
def validity_maximum(context: CertificateContext) -> str | None:
    # The rule stands only in profiles that have a maximum.
    longest = cast("timedelta", context.profile.longest_validity)
    period = context.certificate.not_after - context.certificate.not_before
    if period <= longest:
        return None
    return f"valid for {days(period)}, at most {days(longest)}"


@rule(
    "validity.nesting",
    WARNING,
    needs=RuleInput.ISSUER,
    when=lambda profile: not profile.self_issued,
    asks="It is valid only while its issuer is.",
    remedy="Choose times inside the issuer's.",
)
def validity_nesting(context: CertificateContext) -> str | None:
    issuer = context.issuer
    if issuer is None:
        return None
    if context.certificate.not_before < issuer.not_before:
        return "valid before its issuer is"
    if context.certificate.not_after > issuer.not_after:
        return "valid after its issuer is"
    return None


@rule(
    "validity.future",
    SECURITY,
    clause="18013-5 9.3.3",
    needs=RuleInput.TIME,
    asks="Its validity has begun.",
    remedy="Wait, or look at the clock.",
)
def validity_future(context: CertificateContext) -> str | None:
    if context.at is None or context.at >= context.certificate.not_before:
        return None
    return f"not valid before {context.certificate.not_before.isoformat()}"


@rule(
    "validity.past",
    SECURITY,
    clause="18013-5 9.3.3",
    needs=RuleInput.TIME,
    asks="Its validity has not ended.",
    remedy="Replace it by its successor.",
)
def validity_past(context: CertificateContext) -> str | None:
    if context.at is None or context.at <= context.certificate.not_after:
        return None
    return f"not valid after {context.certificate.not_after.isoformat()}"

"""The checks of the certificate and CRL profiles, one function each.

A check looks at one `CertificateCase` or `CrlCase`; it answers None where the rule holds, else says what it found. The
answers name object identifiers, sizes and codes, never the text of a name. `mdl.pki.rules` gives each check its grade
and says what it asks.
"""

# ruff: noqa: D103 - what a check asks is written once, in its row of mdl/pki/rules.py

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from mdl.errors import DecodeError, UnsupportedError, VerificationError, integer_text
from mdl.keys import PublicKey, UnsafePostQuantum
from mdl.pki.certificate import (
    ECDSA_SIGNATURES,
    AttributeId,
    AuthorityCertificate,
    Certificate,
    ExtensionId,
    GeneralName,
    KeyPurpose,
    KeyUsage,
    Name,
    NameForm,
)

if TYPE_CHECKING:  # mutants: same
    from mdl.pki.crl import Crl
    from mdl.pki.profiles import CrlProfile, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateCase:
    """A certificate under examination.

    Attributes:
        certificate: What is examined.
        profile: What it is held against.
        issuer: The issuing certificate; the certificate itself where the profile is self-issued; None if not known.
        key: The subject's key, or None where it is not usable here.
        at: The time to judge validity at, or None to leave it unjudged.
        with_signature: Whether to verify the issuer's signature.
        post_quantum: Asks for the rehearsal: ML-DSA keys are usable, and findings nevertheless.
    """

    certificate: Certificate
    profile: Profile
    issuer: Certificate | None
    key: PublicKey | None
    at: datetime | None
    with_signature: bool
    post_quantum: UnsafePostQuantum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlCase:
    """A CRL under examination; the attributes are those of `CertificateCase`."""

    crl: Crl
    profile: CrlProfile
    issuer: Certificate | None
    at: datetime | None
    with_signature: bool
    post_quantum: UnsafePostQuantum | None = None


# --- Checks: structure, signature, key --------------------------------------------------------------------------------

_STATE_CODE: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}\Z")
_COUNTRY_CODE: Final = re.compile(r"[A-Z]{2}\Z")
_DIRECTORY_STRINGS: Final = frozenset({"PrintableString", "UTF8String"})
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*\Z")
# Attributes whose definition knows one string type only (RFC 5280 Appendix A.1): domainComponent and emailAddress;
# serialNumber and dnQualifier. countryName has a rule of its own.
_IA5_ATTRIBUTES: Final = frozenset({"0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"})
_PRINTABLE_ATTRIBUTES: Final = {AttributeId.SERIAL_NUMBER.value: "serialNumber", "2.5.4.46": "dnQualifier"}
_LONGEST_ATTRIBUTES: Final[Mapping[str, int]] = {
    AttributeId.COMMON_NAME: 64,
    AttributeId.SERIAL_NUMBER: 64,
    AttributeId.LOCALITY: 128,
    AttributeId.STATE: 128,
    AttributeId.ORGANIZATION: 64,
    AttributeId.ORGANIZATIONAL_UNIT: 64,
    "2.5.4.12": 64,  # title
    "2.5.4.4": 32768,  # surname, givenName, initials, generationQualifier, name
    "2.5.4.42": 32768,
    "2.5.4.43": 32768,
    "2.5.4.44": 32768,
    "2.5.4.41": 32768,
    "2.5.4.65": 128,  # pseudonym
    "1.2.840.113549.1.9.1": 255,  # emailAddress
}
"""The upper bounds of RFC 5280 Appendix A.1, in characters."""

_ASSIGNED_COUNTRIES: Final = frozenset(
    first + second
    for first, seconds in {
        "A": "DEFGILMOQRSTUWXZ",
        "B": "ABDEFGHIJLMNOQRSTVWYZ",
        "C": "ACDFGHIKLMNORUVWXYZ",
        "D": "EJKMOZ",
        "E": "CEGHRST",
        "F": "IJKMOR",
        "G": "ABDEFGHILMNPQRSTUWY",
        "H": "KMNRTU",
        "I": "DELMNOQRST",
        "J": "EMOP",
        "K": "EGHIMNPRWYZ",
        "L": "ABCIKRSTUVY",
        "M": "ACDEFGHKLMNOPQRSTUVWXYZ",
        "N": "ACEFGILOPRUZ",
        "O": "M",
        "P": "AEFGHKLMNRSTWY",
        "Q": "A",
        "R": "EOSUW",
        "S": "ABCDEGHIJKLMNORSTVXYZ",
        "T": "CDFGHJKLMNORTVWZ",
        "U": "AGMSYZ",
        "V": "ACEGINU",
        "W": "FS",
        "Y": "ET",
        "Z": "AMW",
    }.items()
    for second in seconds
)
"""The codes of ISO 3166-1 alpha-2 that are officially assigned."""
_USER_ASSIGNED: Final = re.compile(r"AA|ZZ|Q[M-Z]|X[A-Z]")

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[!#-;=?-Z\[\]_a-z~%]+\Z")
_WEB_URI: Final = re.compile(
    r"https?://(?:[^@/?#]*@)?(\[[^\]/?#@]*\]|[^\[\]:/?#@]*)(?::([0-9]*))?(?:[/?#]|\Z)", re.IGNORECASE
)
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?\.?\Z"
)
_LOCAL_PART: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+)*\Z|\"[ -!#-\[\]-~]+\"\Z"
)
_CA_BITS: Final = frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN})
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
_FORBIDDEN: Final = frozenset(
    {
        ExtensionId.POLICY_MAPPINGS,
        ExtensionId.NAME_CONSTRAINTS,
        ExtensionId.POLICY_CONSTRAINTS,
        ExtensionId.INHIBIT_ANY_POLICY,
        ExtensionId.FRESHEST_CRL,
    }
)
_FOREIGN_ROLES: Final = frozenset(purpose.value for purpose in KeyPurpose)
_ANY_PURPOSE: Final = "2.5.29.37.0"
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
_LIST_LIMIT: Final = 5


def _listed(values: Iterable[str]) -> str:
    """A short list for a message: sorted, and cut, since it may be a stranger's."""
    ordered = sorted(values)
    shown = ", ".join(value if len(value) <= 64 else value[:64] + "…" for value in ordered[:_LIST_LIMIT])
    return shown if len(ordered) <= _LIST_LIMIT else f"{shown} and {len(ordered) - _LIST_LIMIT} more"


def _days(period: timedelta) -> str:
    days, rest = divmod(period, timedelta(days=1))
    return f"{days} days" + (f" and {rest // timedelta(seconds=1)} s" if rest else "")


def version(case: CertificateCase) -> str | None:
    version = case.certificate.version
    return None if version == 3 else f"version {version}"


def serial_positive(case: CertificateCase) -> str | None:
    if case.certificate.serial > 0:
        return None
    return "the serial number is zero" if case.certificate.serial == 0 else "the serial number is negative"


def serial_length(case: CertificateCase) -> str | None:
    octets = case.certificate.serial.bit_length() // 8 + 1
    return None if octets <= 20 else f"a serial number of {octets} octets"


def serial_random(case: CertificateCase) -> str | None:
    # 63 random bits come out this small once in 65536 times: what is smaller was counted, not drawn.
    bits = case.certificate.serial.bit_length()
    return None if bits > 47 or case.certificate.serial <= 0 else f"a serial number of {bits} bits"


def signature_algorithm(case: CertificateCase) -> str | None:
    oid = case.certificate.algorithm.oid
    return None if oid in ECDSA_SIGNATURES else f"signature algorithm {_listed([oid])}"


def signature_parameters(case: CertificateCase) -> str | None:
    if case.certificate.algorithm.parameters is None:
        return None
    return "the signature algorithm identifier carries parameters"


def signature_mismatch(case: CertificateCase) -> str | None:
    if case.certificate.algorithm == case.certificate.inner_algorithm:
        return None
    return "the signature algorithm identifiers inside and outside the signed body differ"


def signature_hash(case: CertificateCase) -> str | None:
    return _hash_problem(case.certificate, issuer_key(case))


def _hash_problem(signed: Certificate | Crl, issuer: PublicKey | None) -> str | None:
    digest = ECDSA_SIGNATURES.get(signed.algorithm.oid)
    if issuer is None or digest is None or issuer.curve.algorithm is None:
        return None
    expected = issuer.curve.algorithm.hash_name
    if expected is None or digest.name == expected:
        return None
    return f"{digest.name} under a key on {issuer.curve.name}, with which goes {expected}"


def signature_invalid(case: CertificateCase) -> str | None:
    if not case.with_signature or case.issuer is None:
        return None
    return _signature_problem(case.certificate, case.issuer, case.post_quantum)


def _signature_problem(
    signed: Certificate | Crl, issuer: Certificate, post_quantum: UnsafePostQuantum | None
) -> str | None:
    try:
        key = issuer.key_for(post_quantum)
    except (DecodeError, UnsupportedError) as exc:
        return f"the signature cannot be verified with the issuer's key: {exc.message}"
    try:
        signed.verify_signature(key)
    except VerificationError as exc:
        return exc.message
    return None


def issuer_key(case: CertificateCase | CrlCase) -> PublicKey | None:
    """The issuer's key, or None where there is no issuer to ask or its key is not usable."""
    return None if case.issuer is None else usable_key(case.issuer, case.post_quantum)


def usable_key(certificate: Certificate, post_quantum: UnsafePostQuantum | None = None) -> PublicKey | None:
    """The subject's key, or None where it is malformed or of a kind that is not implemented."""
    try:
        return certificate.key_for(post_quantum)
    except (DecodeError, UnsupportedError):
        return None


def why_unusable(certificate: Certificate, post_quantum: UnsafePostQuantum | None) -> str | None:
    """Why there is no key; None where there is one."""
    try:
        certificate.key_for(post_quantum)
    except (DecodeError, UnsupportedError) as exc:
        return exc.message
    return None


def key_type(case: CertificateCase) -> str | None:
    if case.key is None:
        return why_unusable(case.certificate, case.post_quantum)
    if case.key.curve.kind in case.profile.key_kinds:
        return None
    return f"a key on {case.key.curve.name}"


def key_issuer(case: CertificateCase) -> str | None:
    issuer = case.issuer
    if issuer is None:
        return None
    ours, theirs = case.certificate, issuer
    if case.profile.ca and case.profile.purpose is None and ours.subject == theirs.subject:
        return None  # the CA's own certificate, or its renewal
    # A key may be written in two ways: as a compressed and as an uncompressed point.
    same = ours.spki == theirs.spki or (case.key is not None and case.key == issuer_key(case))
    return "the public key is the issuer's own" if same else None


def key_encoding(case: CertificateCase) -> str | None:
    if case.key is None or case.key.curve.kind != "EC" or case.certificate.key_bits[:1] == b"\x04":
        return None
    return "the point is not uncompressed"


# --- Checks: time -----------------------------------------------------------------------------------------------------


def validity_order(case: CertificateCase) -> str | None:
    if case.certificate.not_before <= case.certificate.not_after:
        return None
    return "notAfter is before notBefore"


def validity_encoding(case: CertificateCase) -> str | None:
    return _time_problem(case.certificate.deviating_times)


def _time_problem(names: tuple[str, ...]) -> str | None:
    return f"a GeneralizedTime before 2050: {', '.join(names)}" if names else None


def validity_maximum(case: CertificateCase) -> str | None:
    # The rule stands only in profiles that have a maximum.
    longest = cast("timedelta", case.profile.longest_validity)
    period = case.certificate.not_after - case.certificate.not_before
    if period <= longest:
        return None
    return f"valid for {_days(period)}, at most {_days(longest)}"


def validity_nesting(case: CertificateCase) -> str | None:
    issuer = case.issuer
    if issuer is None:
        return None
    if case.certificate.not_before < issuer.not_before:
        return "valid before its issuer is"
    if case.certificate.not_after > issuer.not_after:
        return "valid after its issuer is"
    return None


def validity_future(case: CertificateCase) -> str | None:
    if case.at is None or case.at >= case.certificate.not_before:
        return None
    return f"not valid before {case.certificate.not_before.isoformat()}"


def validity_past(case: CertificateCase) -> str | None:
    if case.at is None or case.at <= case.certificate.not_after:
        return None
    return f"not valid after {case.certificate.not_after.isoformat()}"


# --- Checks: names ----------------------------------------------------------------------------------------------------


def lacks(attribute: AttributeId) -> Callable[[CertificateCase], str | None]:
    def check(case: CertificateCase) -> str | None:
        return None if case.certificate.subject.values(attribute) else "absent from the subject"

    return check


def country_format(case: CertificateCase) -> str | None:
    wrong = [c for c in case.certificate.subject.values(AttributeId.COUNTRY) if not _COUNTRY_CODE.match(c)]
    return f"a countryName of {len(wrong[0])} characters, not two capital letters" if wrong else None


def country_assigned(case: CertificateCase) -> str | None:
    # What is no code at all has a finding of its own.
    for country in case.certificate.subject.values(AttributeId.COUNTRY):
        if _COUNTRY_CODE.match(country) and country not in _ASSIGNED_COUNTRIES and not _USER_ASSIGNED.match(country):
            return f"countryName {country}, which ISO 3166-1 does not assign"
    return None


def country_encoding(case: CertificateCase) -> str | None:
    for attribute in case.certificate.subject.attributes:
        if attribute.oid == AttributeId.COUNTRY and attribute.string_type != "PrintableString":
            return f"countryName as {attribute.string_type}"
    return None


def state_format(case: CertificateCase) -> str | None:
    country = case.certificate.country
    for state in case.certificate.subject.values(AttributeId.STATE):
        if not _STATE_CODE.match(state):
            return f"a stateOrProvinceName of {len(state)} characters that is no ISO 3166-2 code"
        # A country that is none has findings of its own.
        if country is not None and _COUNTRY_CODE.match(country) and not state.startswith(f"{country}-"):
            return f"stateOrProvinceName {state}, which is not in {country}"
    return None


def subject_ambiguous(case: CertificateCase) -> str | None:
    subject = case.certificate.subject
    for attribute, label in ((AttributeId.COUNTRY, "countryName"), (AttributeId.STATE, "stateOrProvinceName")):
        found = sum(1 for each in subject.attributes if each.oid == attribute)
        if found > 1:
            return f"{found} values of {label}"
    return None


def subject_strings(case: CertificateCase) -> str | None:
    for attribute in case.certificate.subject.attributes:
        if attribute.oid == AttributeId.COUNTRY:
            continue
        name = _listed([attribute.oid])
        if attribute.oid in _IA5_ATTRIBUTES:
            if attribute.string_type != "IA5String":
                return f"attribute {name} as {attribute.string_type}, which is defined as IA5String"
        elif attribute.string_type not in _DIRECTORY_STRINGS:
            return f"attribute {name} as {attribute.string_type}"
        elif attribute.string_type == "PrintableString" and not _PRINTABLE.match(cast("str", attribute.value)):
            return f"attribute {name} as PrintableString, with characters outside its alphabet"
    return None


def serial_number_encoding(case: CertificateCase) -> str | None:
    # Other types than these are a finding of `subject_strings`.
    for attribute in case.certificate.subject.attributes:
        if attribute.oid in _PRINTABLE_ATTRIBUTES and attribute.string_type == "UTF8String":
            return f"{_PRINTABLE_ATTRIBUTES[attribute.oid]} as UTF8String"
    return None


def subject_value(case: CertificateCase) -> str | None:
    for attribute in case.certificate.subject.attributes:
        value = attribute.value
        if value is None or attribute.oid == AttributeId.COUNTRY:  # no text; or a finding of its form
            continue
        name = _listed([attribute.oid])
        if not value:
            return f"attribute {name} has no characters"
        if not value.strip():
            return f"attribute {name} has nothing but blanks"
        if not value.isprintable():
            return f"attribute {name} has control or format characters"
    return None


def subject_length(case: CertificateCase) -> str | None:
    for attribute in case.certificate.subject.attributes:
        longest = _LONGEST_ATTRIBUTES.get(attribute.oid)
        if longest is not None and len(attribute.value or "") > longest:
            return f"attribute {attribute.oid} has {len(attribute.value or '')} characters, at most {longest}"
    return None


def unique_identifiers(case: CertificateCase) -> str | None:
    found = case.certificate.unique_ids
    return f"present: {', '.join(found)}" if found else None


def issuer_self(case: CertificateCase) -> str | None:
    return None if case.certificate.issuer == case.certificate.subject else "issuer and subject differ"


def issuer_distinct(case: CertificateCase) -> str | None:
    return "issuer and subject are one" if case.certificate.issuer == case.certificate.subject else None


def issuer_name(case: CertificateCase) -> str | None:
    if case.issuer is None or case.certificate.issuer == case.issuer.subject:
        return None
    return "the issuer field is not the issuing certificate's subject, byte for byte"


def issuer_common_name(case: CertificateCase) -> str | None:
    # A certificate that bears its issuer's whole name has a finding of its own.
    if case.issuer is None or case.certificate.subject == case.issuer.subject:
        return None
    ours, theirs = case.certificate.subject.common_name, case.issuer.subject.common_name
    return "commonName is the issuer's" if ours is not None and ours == theirs else None


def issuer_country(case: CertificateCase) -> str | None:
    if case.issuer is None:
        return None
    ours, theirs = case.certificate.country, case.issuer.country
    if ours is not None and ours == theirs:
        return None
    return f"countryName {_code(ours, _COUNTRY_CODE)}, the issuer's {_code(theirs, _COUNTRY_CODE)}"


def issuer_state(case: CertificateCase) -> str | None:
    if case.issuer is None:
        return None
    ours = case.certificate.subject.values(AttributeId.STATE)
    theirs = case.issuer.subject.values(AttributeId.STATE)
    if not ours or not theirs or ours == theirs:
        return None
    return f"stateOrProvinceName {_code(ours[0], _STATE_CODE)}, the issuer's {_code(theirs[0], _STATE_CODE)}"


def issuer_state_absent(case: CertificateCase) -> str | None:
    if case.issuer is None:
        return None
    ours = case.certificate.subject.values(AttributeId.STATE)
    theirs = case.issuer.subject.values(AttributeId.STATE)
    if bool(ours) == bool(theirs):
        return None
    return "stateOrProvinceName stands only in the " + ("subject" if ours else "issuer")


def issuer_ca(case: CertificateCase) -> str | None:
    issuer = case.issuer
    if issuer is None:
        return None
    if issuer.basic_constraints is None or not issuer.basic_constraints.ca:
        return "the issuer's certificate does not say that it is a CA"
    # An issuer without keyUsage is unrestricted (RFC 5280 4.2.1.3): its own profile names that.
    if issuer.key_usage is not None and KeyUsage.KEY_CERT_SIGN not in issuer.key_usage:
        return "the issuer's keyUsage lacks keyCertSign"
    return None


def _code(value: str | None, form: re.Pattern[str]) -> str:
    """A code for a message, where it is one."""
    if value is None:
        return "absent or ambiguous"
    return value if form.match(value) else "of another form"


# --- Checks: extensions -----------------------------------------------------------------------------------------------


def missing(oid: ExtensionId) -> Callable[[CertificateCase], str | None]:
    def check(case: CertificateCase) -> str | None:
        return None if oid in case.certificate.extensions else "the extension is absent"

    return check


def ski_value(case: CertificateCase) -> str | None:
    found = case.certificate.subject_key_identifier
    if found is None or found == key_identifier(case.certificate.key_bits):
        return None
    return f"{len(found)} octets that are not the SHA-1 of the public key"


def key_identifier(key_bits: bytes) -> bytes:
    """The 20-octet subjectKeyIdentifier: SHA-1 of the key's BIT STRING contents (RFC 5280 4.2.1.2, method 1)."""
    return hashlib.sha1(key_bits, usedforsecurity=False).digest()


def aki_missing(case: CertificateCase) -> str | None:
    if case.certificate.authority_key_identifier is not None:
        return None
    absent = ExtensionId.AUTHORITY_KEY_IDENTIFIER not in case.certificate.extensions
    return "the extension is absent" if absent else "the extension has no keyIdentifier"


def aki_mismatch(case: CertificateCase) -> str | None:
    ours = case.certificate.authority_key_identifier
    theirs = None if case.issuer is None else case.issuer.subject_key_identifier
    if ours is None or theirs is None or ours == theirs:
        return None
    return "the keyIdentifier is not the issuer's subjectKeyIdentifier"


def aki_certificate(case: CertificateCase) -> str | None:
    return _authority_problem(case.certificate.authority_certificate, case.issuer)


def _authority_problem(named: AuthorityCertificate | None, issuer: Certificate | None) -> str | None:
    """What authorityCertIssuer and authorityCertSerialNumber say otherwise than the issuer's certificate."""
    if named is None or issuer is None:
        return None
    if named.serial is not None and named.serial != issuer.serial:
        return "authorityCertSerialNumber is not the serial number of the issuer's certificate"
    if named.issuers and not any(_is_name(der, issuer.issuer) for der in named.issuers):
        return "authorityCertIssuer is not the issuer field of the issuer's certificate"
    if named.serial is None or not named.issuers:
        return "authorityCertIssuer and authorityCertSerialNumber: one without the other"
    return None


def _is_name(der: bytes, expected: Name) -> bool:
    """Whether a name says what another one says, in whatever string types."""
    if der == expected.der:
        return True
    try:
        found = Name(der)
    except DecodeError:
        return False
    return [(one.oid, one.value) for one in found.attributes] == [(one.oid, one.value) for one in expected.attributes]


def ku_bits(case: CertificateCase) -> str | None:
    found = case.certificate.key_usage
    absent = frozenset() if found is None else case.profile.key_usage - found
    return f"not set: {_listed(absent)}" if absent else None


def ku_ca_bits(case: CertificateCase) -> str | None:
    extra = (case.certificate.key_usage or frozenset()) & _CA_BITS
    return f"set: {_listed(extra)}" if extra else None


def ku_extra(case: CertificateCase) -> str | None:
    # The bits of a CA have a rule of their own where they do not belong.
    extra = (case.certificate.key_usage or frozenset()) - case.profile.key_usage - _CA_BITS
    return f"set: {_listed(extra)}" if extra else None


def not_critical(oid: ExtensionId) -> Callable[[CertificateCase], str | None]:
    def check(case: CertificateCase) -> str | None:
        found = case.certificate.extensions.get(oid)
        return None if found is None or found.critical else "the extension is not critical"

    return check


def eku_purpose(case: CertificateCase) -> str | None:
    found = case.certificate.extended_key_usage
    if found is None or case.profile.purpose in found:
        return None
    return f"only {_listed(found)}"


def eku_extra(case: CertificateCase) -> str | None:
    extra = [oid for oid in case.certificate.extended_key_usage or () if oid != case.profile.purpose]
    return f"also {_listed(extra)}" if extra else None


def eku_unexpected(case: CertificateCase) -> str | None:
    found = case.certificate.extended_key_usage
    return None if found is None else f"present, with {_listed(found)}"


def eku_foreign(case: CertificateCase) -> str | None:
    roles = _FOREIGN_TO_ROOTS if case.profile.self_issued else _FOREIGN_ROLES
    foreign = roles.intersection(case.certificate.extended_key_usage or ())
    return f"the certificate is for another role: {_listed(foreign)}" if foreign else None


def eku_any(case: CertificateCase) -> str | None:
    return "anyExtendedKeyUsage" if _ANY_PURPOSE in (case.certificate.extended_key_usage or ()) else None


def eku_critical(case: CertificateCase) -> str | None:
    found = case.certificate.extensions.get(ExtensionId.EXTENDED_KEY_USAGE)
    return "the extension is critical" if found is not None and found.critical else None


def bc_not_ca(case: CertificateCase) -> str | None:
    found = case.certificate.basic_constraints
    return None if found is None or found.ca else "not a CA"


def bc_ca(case: CertificateCase) -> str | None:
    found = case.certificate.basic_constraints
    return "a CA" if found is not None and found.ca else None


def bc_path_length(case: CertificateCase) -> str | None:
    found = case.certificate.basic_constraints
    if found is None or not found.ca or found.path_length == case.profile.path_length:
        return None
    if found.path_length is None:
        return "no pathLenConstraint"
    return f"pathLenConstraint {integer_text(found.path_length)}"


def bc_encoding(case: CertificateCase) -> str | None:
    found = case.certificate.basic_constraints
    return None if found is None or found.is_der else "the boolean is written as BER allows, not as DER asks"


def bc_present(case: CertificateCase) -> str | None:
    found = case.certificate.basic_constraints
    return "present, with CA FALSE" if found is not None and not found.ca else None


def ian_contact(case: CertificateCase) -> str | None:
    names = case.certificate.issuer_alternative_name
    if names is None or any(name.form in (NameForm.EMAIL, NameForm.URI) for name in names):
        return None
    return "neither an rfc822Name nor a URI"


def ian_other(case: CertificateCase) -> str | None:
    names = case.certificate.issuer_alternative_name or ()
    other = [name for name in names if name.form not in (NameForm.EMAIL, NameForm.URI)]
    return f"{len(other)} names of other forms" if other else None


def ian_value(case: CertificateCase) -> str | None:
    return _name_problem(case.certificate.issuer_alternative_name)


def san_value(case: CertificateCase) -> str | None:
    return _name_problem(case.certificate.subject_alternative_name)


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


def _is_email(text: str) -> bool:
    local, at, host = text.rpartition("@")
    return bool(at and _LOCAL_PART.match(local)) and _is_host(host)


def _is_host(text: str) -> bool:
    if text.startswith("["):
        return text.endswith("]") and _is_address(text[1:-1].removeprefix("IPv6:"))
    return _HOST.match(text) is not None and len(text) <= 253


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_dns_name(text: str) -> bool:
    return _is_host(text.removeprefix("*.")) and not text.startswith("[")


def _is_uri(text: str) -> bool:
    """Whether a URI is absolute, in the characters of URIs, and has a host where its scheme asks for one."""
    if not _URI.match(text):
        return False
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "mailto":
        return all(_is_email(one) for one in rest.partition("?")[0].split(","))
    return scheme.lower() not in ("http", "https") or _web_problem(text) is None


def _web_problem(uri: str) -> str | None:
    """Why nobody can fetch from an http or https address."""
    if not _URI.match(uri):
        return "with a blank, or with another character that no URI has"
    found = _WEB_URI.match(uri)
    if found is None or not found[1]:
        return "without a host"
    if not _is_host(found[1]) or (found[2] and int(found[2][:6]) not in range(1, 65_536)):
        return "whose host or port is none"
    return None


_USABLE: Final[Mapping[NameForm, Callable[[str], bool]]] = {
    NameForm.EMAIL: _is_email,
    NameForm.DNS: _is_dns_name,
    NameForm.URI: _is_uri,
}


def ian_differs(case: CertificateCase) -> str | None:
    expected = None if case.issuer is None else case.issuer.issuer_alternative_name
    if expected is None or case.certificate.issuer_alternative_name == expected:
        return None
    return "not the value that the CA's own certificate has"


def crldp_uri(case: CertificateCase) -> str | None:
    points = case.certificate.crl_distribution_points
    if all(any(name.form is NameForm.URI for name in point.names) for point in points):
        return None
    return "a distribution point without a URI"


def crldp_scheme(case: CertificateCase) -> str | None:
    other = [uri for uri in case.certificate.crl_uris if not uri.lower().startswith(("http://", "https://"))]
    return f"{len(other)} URIs that are neither http nor https" if other else None


def crldp_address(case: CertificateCase) -> str | None:
    for uri in case.certificate.crl_uris:
        # Another scheme is a finding of its own.
        problem = _web_problem(uri) if uri.lower().startswith(("http://", "https://")) or not _URI.match(uri) else None
        if problem is not None:
            return f"an address {problem}"
    return None


def crldp_form(case: CertificateCase) -> str | None:
    for point in case.certificate.crl_distribution_points:
        if point.has_reasons:
            return "a distribution point limited to some reasons"
        if point.has_crl_issuer:
            return "a distribution point that names another CRL issuer"
    return None


def extension_unreadable(case: CertificateCase) -> str | None:
    found = case.certificate.unreadable
    return f"not what their definition says: {_listed(found)}" if found else None


def extension_critical(case: CertificateCase) -> str | None:
    allowed = _MAY_BE_CRITICAL
    if case.profile.ca and case.profile.purpose is None:
        allowed -= {ExtensionId.EXTENDED_KEY_USAGE}
    critical = (_RECOGNISED - allowed).intersection(case.certificate.critical_extensions)
    return f"critical: {_listed(critical)}" if critical else None


def extension_unknown(case: CertificateCase) -> str | None:
    unknown = set(case.certificate.critical_extensions) - _RECOGNISED - _FORBIDDEN
    return f"critical and not recognised: {_listed(unknown)}" if unknown else None


def extension_forbidden(case: CertificateCase) -> str | None:
    found = _FORBIDDEN.intersection(case.certificate.extensions)
    return f"present: {_listed(found)}" if found else None


def own_status(case: CertificateCase) -> str | None:
    extensions = case.certificate.extensions
    if ExtensionId.CRL_DISTRIBUTION_POINTS in extensions:
        return None
    if ExtensionId.OCSP_NO_CHECK not in extensions:
        return "neither ocsp-nocheck nor a CRL distribution point"
    period = case.certificate.not_after - case.certificate.not_before
    if period <= timedelta(days=90):
        return None
    return f"ocsp-nocheck and valid for {_days(period)}, at most 90 days"


# --- CRLs -------------------------------------------------------------------------------------------------------------

_CRL_EXTENSIONS: Final = frozenset({ExtensionId.AUTHORITY_KEY_IDENTIFIER, ExtensionId.CRL_NUMBER})
_PARTIAL_CRL: Final = frozenset({ExtensionId.DELTA_CRL_INDICATOR, ExtensionId.ISSUING_DISTRIBUTION_POINT})


def crl_version(case: CrlCase) -> str | None:
    return None if case.crl.version == 2 else f"version {case.crl.version}"


def crl_algorithm(case: CrlCase) -> str | None:
    oid = case.crl.algorithm.oid
    return None if oid in ECDSA_SIGNATURES else f"signature algorithm {_listed([oid])}"


def crl_parameters(case: CrlCase) -> str | None:
    if case.crl.algorithm.parameters is None:
        return None
    return "the signature algorithm identifier carries parameters"


def crl_mismatch(case: CrlCase) -> str | None:
    if case.crl.algorithm == case.crl.inner_algorithm:
        return None
    return "the signature algorithm identifiers inside and outside the signed body differ"


def crl_invalid(case: CrlCase) -> str | None:
    if not case.with_signature or case.issuer is None:
        return None
    return _signature_problem(case.crl, case.issuer, case.post_quantum)


def crl_hash(case: CrlCase) -> str | None:
    return _hash_problem(case.crl, issuer_key(case))


def crl_issuer_name(case: CrlCase) -> str | None:
    if case.issuer is None or case.crl.issuer == case.issuer.subject:
        return None
    return "the issuer field is not the issuing certificate's subject, byte for byte"


def crl_issuer_usage(case: CrlCase) -> str | None:
    # An issuer without keyUsage is unrestricted (RFC 5280 6.3.3): its own profile names that.
    usage = None if case.issuer is None else case.issuer.key_usage
    if usage is None or KeyUsage.CRL_SIGN in usage:
        return None
    return "the issuer's keyUsage lacks cRLSign"


def crl_next_update(case: CrlCase) -> str | None:
    return "nextUpdate is absent" if case.crl.next_update is None else None


def crl_interval(case: CrlCase) -> str | None:
    if case.crl.next_update is None:
        return None
    interval = case.crl.next_update - case.crl.this_update
    if interval <= timedelta(0):
        return "nextUpdate is not after thisUpdate"
    if interval <= case.profile.longest_interval:
        return None
    return f"nextUpdate {_days(interval)} after thisUpdate, at most {_days(case.profile.longest_interval)}"


def crl_encoding(case: CrlCase) -> str | None:
    return _time_problem(case.crl.deviating_times)


def crl_future(case: CrlCase) -> str | None:
    if case.at is None or case.at >= case.crl.this_update:
        return None
    return f"thisUpdate is {case.crl.this_update.isoformat()}"


def crl_stale(case: CrlCase) -> str | None:
    next_update = case.crl.next_update
    if case.at is None or next_update is None or case.at <= next_update:
        return None
    return f"nextUpdate was {next_update.isoformat()}"


def crl_empty(case: CrlCase) -> str | None:
    return "revokedCertificates is an empty list" if case.crl.has_empty_list else None


def crl_entry_extensions(case: CrlCase) -> str | None:
    found = case.crl.entry_extensions
    return f"entries carry {_listed(found)}" if found else None


def crl_entry_critical(case: CrlCase) -> str | None:
    found = [oid for oid, critical in case.crl.entry_extensions.items() if critical]
    return f"entries carry critical {_listed(found)}" if found else None


def crl_aki_missing(case: CrlCase) -> str | None:
    return None if case.crl.authority_key_identifier is not None else "no keyIdentifier of the issuer"


def crl_aki_mismatch(case: CrlCase) -> str | None:
    ours = case.crl.authority_key_identifier
    theirs = None if case.issuer is None else case.issuer.subject_key_identifier
    if ours is None or theirs is None or ours == theirs:
        return None
    return "the keyIdentifier is not the issuer's subjectKeyIdentifier"


def crl_aki_certificate(case: CrlCase) -> str | None:
    return _authority_problem(case.crl.authority_certificate, case.issuer)


def crl_number(case: CrlCase) -> str | None:
    number = case.crl.number
    if number is None:
        return "the extension is absent"
    octets = number.bit_length() // 8 + 1
    return None if number >= 0 and octets <= 20 else "a number below 0 or of more than 20 octets"


def crl_critical(case: CrlCase) -> str | None:
    found = [oid for oid in _CRL_EXTENSIONS if oid in case.crl.extensions and case.crl.extensions[oid].critical]
    return f"critical: {_listed(found)}" if found else None


def crl_partial(case: CrlCase) -> str | None:
    found = _PARTIAL_CRL.intersection(case.crl.extensions)
    return f"present: {_listed(found)}" if found else None


def crl_unknown(case: CrlCase) -> str | None:
    known = _CRL_EXTENSIONS | _PARTIAL_CRL
    found = [oid for oid, extension in case.crl.extensions.items() if extension.critical and oid not in known]
    return f"critical and not recognised: {_listed(found)}" if found else None


def crl_other(case: CrlCase) -> str | None:
    known = _CRL_EXTENSIONS | _PARTIAL_CRL
    found = [oid for oid, extension in case.crl.extensions.items() if not extension.critical and oid not in known]
    return f"present: {_listed(found)}" if found else None

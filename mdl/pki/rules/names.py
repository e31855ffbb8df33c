"""Rules on a certificate's names: subject, issuer, unique identifiers."""

# ruff: noqa: D103 - what a check asks is written once, in the rule above it

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, cast

from mdl.pki.certificate import (
    AttributeId,
    KeyUsage,
)
from mdl.pki.model import (
    ERROR,
    SECURITY,
    WARNING,
    CertificateContext,
    Profile,
    RuleInput,
    RuleTable,
)
from mdl.pki.rules.parts import (
    COMMON,
    listed,
)

RULES: Final = RuleTable[CertificateContext]()
rule = RULES.rule


def _end_entity(profile: Profile) -> bool:
    return not profile.ca


def _scoped(profile: Profile) -> bool:
    return profile.scoped


def _self_issued(profile: Profile) -> bool:
    return profile.self_issued


def _requires_attribute(attribute: AttributeId) -> Callable[[Profile], bool]:
    return lambda profile: attribute in profile.subject


def lacks(attribute: AttributeId) -> Callable[[CertificateContext], str | None]:
    def check(context: CertificateContext) -> str | None:
        return None if context.certificate.subject.values(attribute) else "absent from the subject"

    return check


rule(
    "subject.country.missing",
    SECURITY,
    when=_requires_attribute(AttributeId.COUNTRY),
    asks="The subject has a countryName.",
    remedy="Issue it with the country of the issuing authority.",
)(lacks(AttributeId.COUNTRY))

rule(
    "subject.common-name.missing",
    ERROR,
    when=_requires_attribute(AttributeId.COMMON_NAME),
    asks="The subject has a commonName.",
    remedy="Issue it with a commonName of its own.",
)(lacks(AttributeId.COMMON_NAME))

rule(
    "subject.organization.missing",
    ERROR,
    when=_requires_attribute(AttributeId.ORGANIZATION),
    asks="The subject has an organizationName.",
    remedy="Issue it with the organization's name.",
)(lacks(AttributeId.ORGANIZATION))

_COUNTRY_CODE: Final = re.compile(r"[A-Z]{2}\Z")


@rule(
    "subject.country.format",
    ERROR,
    clause=COMMON,
    asks="countryName is two capital letters (ISO 3166-1 alpha-2).",
    remedy="Issue it with the two-letter code.",
)
def country_format(context: CertificateContext) -> str | None:
    wrong = [c for c in context.certificate.subject.values(AttributeId.COUNTRY) if not _COUNTRY_CODE.match(c)]
    return f"a countryName of {len(wrong[0])} characters, not two capital letters" if wrong else None


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

_USER_ASSIGNED: Final = re.compile(r"AA|ZZ|Q[M-Z]|X[A-Z]")


@rule(
    "subject.country.assigned",
    WARNING,
    clause=COMMON,
    asks="countryName is a code that ISO 3166-1 assigns, or one that it leaves to users (AA, QM to QZ, XA to XZ, "
    "ZZ) for tests.",
    remedy="Issue it with the country's own code; for tests take one from XA to XZ.",
)
def country_assigned(context: CertificateContext) -> str | None:
    # What is no code at all has a finding of its own.
    for country in context.certificate.subject.values(AttributeId.COUNTRY):
        if _COUNTRY_CODE.match(country) and country not in _ASSIGNED_COUNTRIES and not _USER_ASSIGNED.match(country):
            return f"countryName {country}, which ISO 3166-1 does not assign"
    return None


@rule(
    "subject.country.encoding",
    WARNING,
    clause=COMMON,
    asks="countryName is a PrintableString.",
    remedy="Encode countryName as PrintableString.",
)
def country_encoding(context: CertificateContext) -> str | None:
    for attribute in context.certificate.subject.attributes:
        if attribute.oid == AttributeId.COUNTRY and attribute.string_type != "PrintableString":
            return f"countryName as {attribute.string_type}"
    return None


_STATE_CODE: Final = re.compile(r"[A-Z]{2}-[A-Z0-9]{1,3}\Z")


# What a root issues repeats its state: one finding, at the root, is enough.
@rule(
    "subject.state.format",
    WARNING,
    clause=COMMON,
    when=_self_issued,
    asks="stateOrProvinceName is an ISO 3166-2 code of the subject's country, as issuing_jurisdiction is.",
    remedy="Issue it with the code, country included, for example US-UT.",
)
def state_format(context: CertificateContext) -> str | None:
    country = context.certificate.country
    for state in context.certificate.subject.values(AttributeId.STATE):
        if not _STATE_CODE.match(state):
            return f"a stateOrProvinceName of {len(state)} characters that is no ISO 3166-2 code"
        # A country that is none has findings of its own.
        if country is not None and _COUNTRY_CODE.match(country) and not state.startswith(f"{country}-"):
            return f"stateOrProvinceName {state}, which is not in {country}"
    return None


@rule(
    "subject.ambiguous",
    SECURITY,
    clause=COMMON,
    asks="The subject names one country and at most one state or province.",
    remedy="Issue it with one of each.",
)
def subject_ambiguous(context: CertificateContext) -> str | None:
    subject = context.certificate.subject
    for attribute, label in ((AttributeId.COUNTRY, "countryName"), (AttributeId.STATE, "stateOrProvinceName")):
        found = sum(1 for each in subject.attributes if each.oid == attribute)
        if found > 1:
            return f"{found} values of {label}"
    return None


_DIRECTORY_STRINGS: Final = frozenset({"PrintableString", "UTF8String"})

_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*\Z")

# Attributes whose definition knows one string type only (RFC 5280 Appendix A.1): domainComponent and emailAddress;
# serialNumber and dnQualifier. countryName has a rule of its own.
_IA5_ATTRIBUTES: Final = frozenset({"0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1"})


@rule(
    "subject.strings",
    WARNING,
    clause=COMMON,
    asks="Every attribute of the subject is PrintableString or UTF8String; domainComponent and emailAddress are "
    "IA5String.",
    remedy="Encode names as PrintableString where possible, else as UTF8String.",
)
def subject_strings(context: CertificateContext) -> str | None:
    for attribute in context.certificate.subject.attributes:
        if attribute.oid == AttributeId.COUNTRY:
            continue
        name = listed([attribute.oid])
        if attribute.oid in _IA5_ATTRIBUTES:
            if attribute.string_type != "IA5String":
                return f"attribute {name} as {attribute.string_type}, which is defined as IA5String"
        elif attribute.string_type not in _DIRECTORY_STRINGS:
            return f"attribute {name} as {attribute.string_type}"
        elif attribute.string_type == "PrintableString" and not _PRINTABLE.match(cast("str", attribute.value)):
            return f"attribute {name} as PrintableString, with characters outside its alphabet"
    return None


_PRINTABLE_ATTRIBUTES: Final = {AttributeId.SERIAL_NUMBER.value: "serialNumber", "2.5.4.46": "dnQualifier"}


@rule(
    "subject.serial-number.encoding",
    WARNING,
    clause=COMMON,
    asks="The subject's serialNumber and dnQualifier are PrintableString.",
    remedy="Encode serialNumber and dnQualifier as PrintableString.",
)
def serial_number_encoding(context: CertificateContext) -> str | None:
    # Other types than these are a finding of `subject_strings`.
    for attribute in context.certificate.subject.attributes:
        if attribute.oid in _PRINTABLE_ATTRIBUTES and attribute.string_type == "UTF8String":
            return f"{_PRINTABLE_ATTRIBUTES[attribute.oid]} as UTF8String"
    return None


@rule(
    "subject.value",
    WARNING,
    clause="RFC 5280 4.1.2.4",
    asks="Every attribute of the subject has characters that print, and not only blanks.",
    remedy="Give the attribute a value, or leave it out.",
)
def subject_value(context: CertificateContext) -> str | None:
    for attribute in context.certificate.subject.attributes:
        value = attribute.value
        if value is None or attribute.oid == AttributeId.COUNTRY:  # no text; or a finding of its form
            continue
        name = listed([attribute.oid])
        if not value:
            return f"attribute {name} has no characters"
        if not value.strip():
            return f"attribute {name} has nothing but blanks"
        if not value.isprintable():
            return f"attribute {name} has control or format characters"
    return None


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


@rule(
    "subject.length",
    WARNING,
    clause="RFC 5280 Appendix A.1",
    asks="No attribute of the subject is longer than its upper bound, counted in characters.",
    remedy="Shorten the value: 64 characters for a commonName or an organization, 128 for a state or a locality.",
)
def subject_length(context: CertificateContext) -> str | None:
    for attribute in context.certificate.subject.attributes:
        longest = _LONGEST_ATTRIBUTES.get(attribute.oid)
        if longest is not None and len(attribute.value or "") > longest:
            return f"attribute {attribute.oid} has {len(attribute.value or '')} characters, at most {longest}"
    return None


@rule(
    "unique-identifiers",
    WARNING,
    clause="RFC 5280 4.1.2.8",
    asks="issuerUniqueID and subjectUniqueID are absent.",
    remedy="Leave the unique identifiers out.",
)
def unique_identifiers(context: CertificateContext) -> str | None:
    found = context.certificate.unique_ids
    return f"present: {', '.join(found)}" if found else None


@rule(
    "issuer.self",
    ERROR,
    when=_self_issued,
    asks="It is self-signed: issuer and subject are byte-identical.",
    remedy="Use the root, not a certificate below it.",
)
def issuer_self(context: CertificateContext) -> str | None:
    return None if context.certificate.issuer == context.certificate.subject else "issuer and subject differ"


@rule(
    "issuer.distinct",
    ERROR,
    when=_end_entity,
    asks="It is issued by a CA, not by itself.",
    remedy="Have it issued by the CA.",
)
def issuer_distinct(context: CertificateContext) -> str | None:
    return "issuer and subject are one" if context.certificate.issuer == context.certificate.subject else None


@rule(
    "issuer.name",
    SECURITY,
    clause=COMMON,
    needs=RuleInput.ISSUER,
    when=lambda profile: not profile.self_issued,
    asks="The issuer field equals the issuing certificate's subject byte for byte.",
    remedy="Copy the issuer's name as it is encoded; do not encode it again.",
)
def issuer_name(context: CertificateContext) -> str | None:
    if context.issuer is None or context.certificate.issuer == context.issuer.subject:
        return None
    return "the issuer field is not the issuing certificate's subject, byte for byte"


# Not of a signer of lists and the CAs above it: a security object may name any certificate as their issuer.
@rule(
    "issuer.ca",
    SECURITY,
    clause="18013-5 9.3.3",
    needs=RuleInput.ISSUER,
    when=lambda profile: profile.purpose is not None,
    asks="The issuing certificate is that of a CA: basicConstraints says so, and keyUsage has keyCertSign.",
    remedy="Have it issued by the CA, and not below another signer.",
)
def issuer_ca(context: CertificateContext) -> str | None:
    issuer = context.issuer
    if issuer is None:
        return None
    if issuer.basic_constraints is None or not issuer.basic_constraints.ca:
        return "the issuer's certificate does not say that it is a CA"
    # An issuer without keyUsage is unrestricted (RFC 5280 4.2.1.3): its own profile names that.
    if issuer.key_usage is not None and KeyUsage.KEY_CERT_SIGN not in issuer.key_usage:
        return "the issuer's keyUsage lacks keyCertSign"
    return None


@rule(
    "issuer.common-name",
    WARNING,
    clause=COMMON,
    needs=RuleInput.ISSUER,
    when=_end_entity,
    asks="commonName is not the issuer's: CAs and signers each have their own.",
    remedy="Issue it with a commonName of its own.",
)
def issuer_common_name(context: CertificateContext) -> str | None:
    # A certificate that bears its issuer's whole name has a finding of its own.
    if context.issuer is None or context.certificate.subject == context.issuer.subject:
        return None
    ours, theirs = context.certificate.subject.common_name, context.issuer.subject.common_name
    return "commonName is the issuer's" if ours is not None and ours == theirs else None


def _code(value: str | None, form: re.Pattern[str]) -> str:
    """A code for a message, where it is one."""
    if value is None:
        return "absent or ambiguous"
    return value if form.match(value) else "of another form"


@rule(
    "issuer.country",
    SECURITY,
    needs=RuleInput.ISSUER,
    when=_scoped,
    asks="countryName is the issuer's.",
    remedy="Issue it under a root of the same country.",
)
def issuer_country(context: CertificateContext) -> str | None:
    if context.issuer is None:
        return None
    ours, theirs = context.certificate.country, context.issuer.country
    if ours is not None and ours == theirs:
        return None
    return f"countryName {_code(ours, _COUNTRY_CODE)}, the issuer's {_code(theirs, _COUNTRY_CODE)}"


@rule(
    "issuer.state",
    SECURITY,
    needs=RuleInput.ISSUER,
    when=_scoped,
    asks="stateOrProvinceName is the issuer's where both have one.",
    remedy="Issue it under a root of the same state or province.",
)
def issuer_state(context: CertificateContext) -> str | None:
    if context.issuer is None:
        return None
    ours = context.certificate.subject.values(AttributeId.STATE)
    theirs = context.issuer.subject.values(AttributeId.STATE)
    if not ours or not theirs or ours == theirs:
        return None
    return f"stateOrProvinceName {_code(ours[0], _STATE_CODE)}, the issuer's {_code(theirs[0], _STATE_CODE)}"


@rule(
    "issuer.state.absent",
    WARNING,
    needs=RuleInput.ISSUER,
    when=_scoped,
    asks="stateOrProvinceName stands in both subject and issuer, or in neither.",
    remedy="Repeat the issuer's stateOrProvinceName.",
)
def issuer_state_absent(context: CertificateContext) -> str | None:
    if context.issuer is None:
        return None
    ours = context.certificate.subject.values(AttributeId.STATE)
    theirs = context.issuer.subject.values(AttributeId.STATE)
    if bool(ours) == bool(theirs):
        return None
    return "stateOrProvinceName stands only in the " + ("subject" if ours else "issuer")

"""The linter: one forgery for each rule of each profile, and each forgery breaks that rule and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import algos, core, keys, x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mdl.keys import SoftwareSigner, UnsafePostQuantum
from mdl.pki import (
    CRL,
    DOCUMENT_SIGNER,
    IACA,
    IACA_LINK,
    JWS_SIGNER,
    OCSP_SIGNER,
    READER_AUTHENTICATION,
    READER_CA,
    REVOCATION_LIST_SIGNER,
    VICAL_PROVIDER_CA,
    Certificate,
    Crl,
    KeyPurpose,
    KeyUsage,
    Profile,
    RevokedCertificate,
    RuleInput,
    Severity,
    build_crl,
    lint_certificate,
    lint_crl,
)
from mdl.testing import deterministic_key
from tests.tables import table
from tests.x509_forgery import (
    CONTACT,
    CRL_URI,
    KEY,
    ROOT_KEY,
    START,
    Change,
    all_profiles,
    both,
    drop,
    flag,
    forge,
    forge_crl,
    honest,
    name_of,
    put,
    rekey,
    rename,
    root,
    set_field,
)

COUNTRY, STATE, ORGANIZATION, COMMON_NAME = "2.5.4.6", "2.5.4.8", "2.5.4.10", "2.5.4.3"
SERIAL_NUMBER = "2.5.4.5"
SKI, AKI, KU, EKU, BC = "2.5.29.14", "2.5.29.35", "2.5.29.15", "2.5.29.37", "2.5.29.19"
IAN, CRLDP, NO_CHECK = "2.5.29.18", "2.5.29.31", "1.3.6.1.5.5.7.48.1.5"
OTHER_KEY = deterministic_key("somebody else")
DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a forgery hands to the linter."""

    certificate: Certificate
    issuer: Certificate | None
    at: datetime | None = None


Forgery = Callable[[Profile], Case]


# --- Small makers of forgeries ----------------------------------------------------------------------------------------


def subject_change(change: Change, **options: Any) -> Forgery:
    """Change the certificate and nothing else."""

    def make(profile: Profile) -> Case:
        certificate, issuer = honest(profile)
        return Case(certificate=forge(certificate, change, **options), issuer=issuer)

    return make


def names_change(edit: Callable[[list[Any]], list[Any]]) -> Forgery:
    """Change the subject's name; where it is its own issuer, both names."""

    def make(profile: Profile) -> Case:
        certificate, issuer = honest(profile)
        change = rename(edit)
        if profile.self_issued:
            change = both(change, rename(edit, field="issuer"))
        return Case(certificate=forge(certificate, change), issuer=issuer)

    return make


def issuer_change(change: Change) -> Forgery:
    """Change the issuing certificate, and let the forged one name it as its issuer."""

    def make(profile: Profile) -> Case:
        certificate, issuer = honest(profile)
        assert issuer is not None
        other = forge(issuer, change)
        return Case(
            certificate=forge(certificate, set_field("issuer", x509.Name.load(other.subject.der))), issuer=other
        )

    return make


def without(oid: str) -> Callable[[list[Any]], list[Any]]:
    return lambda pairs: [pair for pair in pairs if pair[0] != oid]


def replaced(oid: str, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda pairs: [(each, value if each == oid else old) for each, old in pairs]


def added(oid: str, value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda pairs: [*pairs, (oid, value)]


def doubled(oid: str) -> Callable[[list[Any]], list[Any]]:
    return lambda pairs: [*pairs, *(pair for pair in pairs if pair[0] == oid)]


def times(not_before: datetime | None = None, not_after: datetime | None = None, *, form: str = "utc_time") -> Change:
    def change(body: Any) -> None:
        kind = x509.UTCTime if form == "utc_time" else x509.GeneralizedTime
        for name, value in (("not_before", not_before), ("not_after", not_after)):
            if value is not None:
                body["validity"][name] = x509.Time(form, kind(value))

    return change


def _bc_in_ber(profile: Profile) -> Case:
    """The right basicConstraints with a boolean that is not DER: TRUE as 01, FALSE written out."""
    value = "3006010101020100" if profile.ca else "3003010100"
    return subject_change(put(BC, bytes.fromhex(value), critical=profile.ca))(profile)


def key_usage(*bits: str) -> Any:
    return x509.KeyUsage(set(bits))


def bits_of(profile: Profile) -> set[str]:
    spelling = {
        KeyUsage.DIGITAL_SIGNATURE: "digital_signature",
        KeyUsage.CONTENT_COMMITMENT: "non_repudiation",
        KeyUsage.KEY_CERT_SIGN: "key_cert_sign",
        KeyUsage.CRL_SIGN: "crl_sign",
    }
    return {spelling[bit] for bit in profile.key_usage}


def purposes(*oids: str) -> Any:
    return x509.ExtKeyUsageSyntax(list(oids))


def general_names(*names: tuple[str, Any]) -> Any:
    return x509.GeneralNames([x509.GeneralName(kind, value) for kind, value in names])


def distribution_point(kind: str, value: Any, **fields: Any) -> Any:
    point = {"distribution_point": x509.DistributionPointName("full_name", general_names((kind, value))), **fields}
    return x509.CRLDistributionPoints([x509.DistributionPoint(point)])


_TAGS = {"rfc822_name": 0x81, "dns_name": 0x82, "uniform_resource_identifier": 0x86}


def raw_names(form: str, value: str) -> bytes:
    """GeneralNames with one name whose text asn1crypto would not write."""
    octets = value.encode()
    return bytes((0x30, 2 + len(octets), _TAGS[form], len(octets))) + octets


def raw_point(uri: str) -> bytes:
    """CRLDistributionPoints with one URI that asn1crypto would not write."""
    names = raw_names("uniform_resource_identifier", uri)[2:]
    inner = bytes((0xA0, 2 + len(names), 0xA0, len(names))) + names
    return bytes((0x30, 2 + len(inner), 0x30, len(inner))) + inner


def spki_of(key: Any) -> bytes:
    return bytes(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def compressed(signer: Any) -> bytes:
    point = signer.public_key.key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    return bytes(head + point)


def algorithm(oid: str, parameters: Any = None) -> Any:
    fields = {"algorithm": oid}
    if parameters is not None:
        fields["parameters"] = parameters
    return algos.SignedDigestAlgorithm(fields)


# --- The table: for each rule the forgery that breaks it, and what it cannot help breaking beside it ------------------


def _key_type(profile: Profile) -> Case:
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    certificate, issuer = honest(profile)
    return Case(certificate=forge(certificate, rekey(spki_of(rsa_key))), issuer=issuer)


def _key_encoding(profile: Profile) -> Case:
    certificate, issuer = honest(profile)
    return Case(
        certificate=forge(certificate, rekey(compressed(ROOT_KEY if profile.self_issued else KEY))), issuer=issuer
    )


def _validity_maximum(profile: Profile) -> Case:
    certificate, issuer = honest(profile)
    assert profile.longest_validity is not None
    if issuer is not None:
        issuer = forge(issuer, times(not_after=datetime(2049, 12, 31, tzinfo=UTC)))
    end = certificate.not_before + profile.longest_validity + timedelta(seconds=1)
    return Case(certificate=forge(certificate, times(not_after=end)), issuer=issuer)


def _validity_order(profile: Profile) -> Case:
    certificate, issuer = honest(profile)
    return Case(certificate=forge(certificate, times(not_before=certificate.not_after + DAY)), issuer=issuer)


def _validity_nesting(profile: Profile) -> Case:
    certificate, issuer = honest(profile)
    assert issuer is not None
    return Case(certificate=certificate, issuer=forge(issuer, times(not_after=certificate.not_after - DAY)))


def _at(offset: timedelta, *, end: bool) -> Forgery:
    def make(profile: Profile) -> Case:
        certificate, issuer = honest(profile)
        at = (certificate.not_after if end else certificate.not_before) + offset
        return Case(certificate=certificate, issuer=issuer, at=at)

    return make


def _signed_by_another(profile: Profile) -> Case:
    certificate, issuer = honest(profile)
    return Case(certificate=forge(certificate, lambda _: None, signer=OTHER_KEY), issuer=issuer)


def _issued_by_itself(profile: Profile) -> Case:
    """An end entity that bears its CA's name, so that every other rule about the issuer holds."""
    certificate, issuer = honest(profile)
    assert issuer is not None
    return Case(certificate=forge(certificate, set_field("subject", x509.Name.load(issuer.subject.der))), issuer=issuer)


def _another_issuer_altname(profile: Profile) -> Case:
    certificate, issuer = honest(profile)
    assert issuer is not None
    assert issuer.issuer_alternative_name is not None
    other = put(IAN, general_names(("rfc822_name", "someone@elsewhere.example")))
    return Case(certificate=forge(certificate, other), issuer=issuer)


def _issuer_reencoded(profile: Profile) -> Case:
    """The issuer's name in other string types: the same letters, other bytes."""
    certificate, issuer = honest(profile)
    change = rename(lambda pairs: [(oid, core.UTF8String(v.native)) for oid, v in pairs], field="issuer")
    return Case(certificate=forge(certificate, change), issuer=issuer)


def _not_self_issued(profile: Profile) -> Case:
    certificate, _ = honest(profile)
    change = rename(replaced(COMMON_NAME, core.UTF8String("Another root")), field="issuer")
    return Case(certificate=forge(certificate, change), issuer=None)


def _with_the_issuers_key(profile: Profile) -> Case:
    certificate, issuer = honest(profile)
    return Case(certificate=forge(certificate, rekey(ROOT_KEY.public_key.spki)), issuer=issuer)


def _authority_certificate(profile: Profile) -> Case:
    """The key identifier is right, the serial number of the issuer's certificate is not."""
    certificate, issuer = honest(profile)
    above = issuer or certificate
    value = x509.AuthorityKeyIdentifier(
        {
            "key_identifier": above.subject_key_identifier,
            "authority_cert_issuer": [x509.GeneralName("directory_name", x509.Name.load(above.issuer.der))],
            "authority_cert_serial_number": above.serial + 1,
        }
    )
    return Case(certificate=forge(certificate, put(AKI, value)), issuer=issuer)


def _below_no_ca(profile: Profile) -> Case:
    """The issuer has signed, but its certificate is not that of a CA."""
    return issuer_change(drop(BC))(profile)


def _ku_extra(profile: Profile) -> Case:
    change = put(KU, key_usage(*bits_of(profile), "data_encipherment"))
    return subject_change(change)(profile)


def _ku_ca_bits(profile: Profile) -> Case:
    return subject_change(put(KU, key_usage(*bits_of(profile), "key_cert_sign")))(profile)


def _eku_extra(profile: Profile) -> Case:
    assert profile.purpose is not None
    return subject_change(put(EKU, purposes(profile.purpose, "1.0.23220.4.1.2")))(profile)


FORGERIES: dict[str, tuple[Forgery, set[str]]] = {
    "version": (subject_change(set_field("version", "v2")), set()),
    "serial.positive": (subject_change(set_field("serial_number", 0)), set()),
    "serial.length": (subject_change(set_field("serial_number", 1 << 159)), set()),
    "serial.random": (subject_change(set_field("serial_number", 4711)), set()),
    "signature.algorithm": (
        subject_change(set_field("signature", algorithm("1.2.840.10045.4.1")), digest="sha1"),
        {"signature.invalid"},
    ),
    "signature.parameters": (
        subject_change(set_field("signature", algorithm("1.2.840.10045.4.3.2", core.Null()))),
        set(),
    ),
    "signature.mismatch": (
        subject_change(
            set_field("signature", algorithm("1.2.840.10045.4.3.2", core.Null())),
            outer=set_field("signature_algorithm", algorithm("1.2.840.10045.4.3.2")),
        ),
        {"signature.invalid"},
    ),
    "signature.hash": (
        subject_change(set_field("signature", algorithm("1.2.840.10045.4.3.4")), digest="sha512"),
        set(),
    ),
    "signature.invalid": (_signed_by_another, set()),
    "key.type": (_key_type, set()),
    "key.issuer": (_with_the_issuers_key, set()),
    "key.encoding": (_key_encoding, set()),
    "validity.order": (_validity_order, set()),
    "validity.encoding": (subject_change(times(not_before=START + DAY, form="general_time")), set()),
    "validity.maximum": (_validity_maximum, set()),
    "validity.nesting": (_validity_nesting, set()),
    "validity.future": (_at(timedelta(seconds=-1), end=False), set()),
    "validity.past": (_at(timedelta(seconds=1), end=True), set()),
    "subject.country.missing": (names_change(without(COUNTRY)), {"issuer.country"}),
    "subject.common-name.missing": (names_change(without(COMMON_NAME)), set()),
    "subject.organization.missing": (names_change(without(ORGANIZATION)), set()),
    "subject.country.format": (
        names_change(replaced(COUNTRY, core.PrintableString("xu"))),
        {"issuer.country"},
    ),
    "subject.country.assigned": (
        names_change(replaced(COUNTRY, core.PrintableString("UT"))),
        {"issuer.country", "subject.state.format"},
    ),
    "subject.country.encoding": (names_change(replaced(COUNTRY, core.UTF8String("XU"))), set()),
    "subject.state.format": (names_change(replaced(STATE, core.PrintableString("Utopia"))), set()),
    "subject.ambiguous": (names_change(doubled(STATE)), {"issuer.state"}),
    "subject.strings": (names_change(replaced(ORGANIZATION, core.TeletexString("Utopia"))), set()),
    "subject.serial-number.encoding": (
        names_change(added(SERIAL_NUMBER, core.UTF8String("001"))),
        set(),
    ),
    "subject.value": (names_change(replaced(ORGANIZATION, core.UTF8String(""))), {"subject.organization.missing"}),
    "subject.length": (names_change(replaced(ORGANIZATION, core.UTF8String("ü" * 65))), set()),
    "unique-identifiers": (subject_change(set_field("issuer_unique_id", b"\x01")), set()),
    "issuer.self": (_not_self_issued, set()),
    "issuer.distinct": (_issued_by_itself, set()),
    "issuer.name": (_issuer_reencoded, set()),
    "issuer.ca": (_below_no_ca, set()),
    "issuer.common-name": (issuer_change(rename(replaced(COMMON_NAME, core.UTF8String("Utopia signer")))), set()),
    "issuer.country": (issuer_change(rename(replaced(COUNTRY, core.PrintableString("AR")))), set()),
    "issuer.state": (issuer_change(rename(replaced(STATE, core.PrintableString("XU-2")))), set()),
    "issuer.state.absent": (issuer_change(rename(without(STATE))), set()),
    "ski.missing": (subject_change(drop(SKI)), set()),
    "ski.value": (subject_change(put(SKI, core.OctetString(bytes(20)))), set()),
    "aki.missing": (subject_change(drop(AKI)), set()),
    "aki.mismatch": (
        subject_change(put(AKI, x509.AuthorityKeyIdentifier({"key_identifier": bytes(20)}))),
        set(),
    ),
    "aki.certificate": (_authority_certificate, set()),
    "ku.missing": (subject_change(drop(KU)), set()),
    "ku.bits": (subject_change(put(KU, bytes.fromhex("030100"))), set()),
    "ku.ca-bits": (_ku_ca_bits, set()),
    "ku.extra": (_ku_extra, set()),
    "ku.critical": (subject_change(flag(KU, critical=False)), set()),
    "eku.missing": (subject_change(drop(EKU)), set()),
    "eku.purpose": (subject_change(put(EKU, purposes(KeyPurpose.TLS_CLIENT))), {"eku.extra"}),
    "eku.extra": (_eku_extra, set()),
    "eku.critical": (subject_change(flag(EKU, critical=False)), set()),
    "eku.not-critical": (subject_change(put(EKU, purposes("1.2.3.4"), critical=True)), set()),
    "eku.unexpected": (subject_change(put(EKU, purposes(KeyPurpose.IACA))), set()),
    "eku.foreign": (subject_change(put(EKU, purposes(KeyPurpose.MDOC_READER_AUTHENTICATION))), {"eku.unexpected"}),
    "eku.any": (subject_change(put(EKU, purposes("2.5.29.37.0"))), set()),
    "bc.missing": (subject_change(drop(BC)), set()),
    "bc.not-ca": (subject_change(put(BC, x509.BasicConstraints({"ca": False}))), set()),
    "bc.critical": (subject_change(flag(BC, critical=False)), set()),
    "bc.path-length": (
        subject_change(put(BC, x509.BasicConstraints({"ca": True, "path_len_constraint": 1}))),
        set(),
    ),
    "bc.ca": (
        subject_change(put(BC, x509.BasicConstraints({"ca": True, "path_len_constraint": 0}), critical=True)),
        set(),
    ),
    "bc.encoding": (_bc_in_ber, {"bc.present"}),
    "bc.present": (subject_change(put(BC, x509.BasicConstraints({"ca": False}), critical=True)), set()),
    "ian.missing": (subject_change(drop(IAN)), set()),
    "ian.contact": (
        subject_change(put(IAN, general_names(("dns_name", "utopia.example")))),
        {"ian.other", "ian.differs"},
    ),
    "ian.other": (
        subject_change(put(IAN, general_names(("rfc822_name", CONTACT), ("dns_name", "utopia.example")))),
        {"ian.differs"},
    ),
    "ian.value": (
        subject_change(put(IAN, general_names(("rfc822_name", CONTACT), ("uniform_resource_identifier", "")))),
        {"ian.differs"},
    ),
    "san.value": (subject_change(put("2.5.29.17", general_names(("dns_name", "no host")))), set()),
    "ian.differs": (_another_issuer_altname, set()),
    "crldp.missing": (subject_change(drop(CRLDP)), set()),
    "crldp.uri": (subject_change(put(CRLDP, distribution_point("dns_name", "crl.utopia.example"))), set()),
    "crldp.scheme": (
        subject_change(put(CRLDP, distribution_point("uniform_resource_identifier", "ldap://utopia.example/x"))),
        set(),
    ),
    "crldp.address": (
        subject_change(put(CRLDP, distribution_point("uniform_resource_identifier", "https:///iaca.crl"))),
        set(),
    ),
    "crldp.form": (
        subject_change(
            put(
                CRLDP,
                distribution_point(
                    "uniform_resource_identifier", CRL_URI, reasons=x509.ReasonFlags({"key_compromise"})
                ),
            )
        ),
        set(),
    ),
    "extension.unreadable": (subject_change(put(CRLDP, b"https://crl.utopia.example", critical=False)), set()),
    "extension.critical": (subject_change(flag(SKI, critical=True)), set()),
    "extension.unknown": (subject_change(put("1.2.3.4.5", core.Null(), critical=True)), set()),
    "extension.forbidden": (subject_change(put("2.5.29.36", bytes.fromhex("3003800100"), critical=True)), set()),
    "status.own": (subject_change(drop(CRLDP)), set()),
}

# A root without a usable key cannot verify its own signature either.
COMPANY: dict[tuple[str, str], set[str]] = {("iaca", "key.type"): {"signature.invalid"}}
ALL_RULES = [(profile, rule) for profile in all_profiles() for rule in profile.rules]


def found_by(profile: Profile, case: Case) -> dict[str, Any]:
    findings = lint_certificate(case.certificate, profile, issuer=case.issuer, at=case.at)
    return {finding.rule.removeprefix(f"{profile.id}."): finding for finding in findings}


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
def test_an_honest_certificate_has_no_findings(profile: Profile) -> None:
    certificate, issuer = honest(profile)
    assert lint_certificate(certificate, profile, issuer=issuer, at=certificate.not_before) == ()
    assert lint_certificate(certificate, profile, issuer=issuer, at=certificate.not_after) == ()
    assert lint_certificate(certificate, profile) == ()


@table(("profile", "rule"), ALL_RULES, ids=[rule.id for _, rule in ALL_RULES])
def test_a_forgery_breaks_exactly_its_rule(profile: Profile, rule: Any) -> None:
    key = rule.id.removeprefix(f"{profile.id}.")
    forgery, company = FORGERIES[key]
    found = found_by(profile, forgery(profile))
    assert key in found
    applicable = {each.id.removeprefix(f"{profile.id}.") for each in profile.rules}
    allowed = (company | COMPANY.get((profile.id, key), set())) & applicable
    assert found.keys() - {key} <= allowed
    finding = found[key]
    assert (finding.severity, finding.security, finding.clause) == (rule.severity, rule.security, rule.clause)
    assert finding.message
    assert finding.requirement == rule.requirement
    assert finding.remedy == rule.remedy


def test_every_rule_has_a_forgery_and_every_forgery_a_rule() -> None:
    keys = {rule.id.removeprefix(f"{profile.id}.") for profile, rule in ALL_RULES}
    assert keys - FORGERIES.keys() == set(), "rules that no forgery breaks"
    assert FORGERIES.keys() - keys == set(), "forgeries of no rule"


# Which rules stand in which profile: all have the first group, each has its own beside it. A rule that is dropped from
# a profile takes its forgery above with it; this list misses it.
EVERYWHERE = {
    "version", "serial.positive", "serial.length", "serial.random",
    "signature.algorithm", "signature.parameters", "signature.mismatch", "signature.hash", "signature.invalid",
    "key.type", "key.encoding",
    "validity.order", "validity.encoding", "validity.future", "validity.past",
    "subject.common-name.missing", "subject.country.format", "subject.country.encoding", "subject.ambiguous",
    "subject.strings", "subject.serial-number.encoding",
    "subject.country.assigned", "subject.value", "subject.length", "unique-identifiers", "aki.certificate",
    "ian.value", "san.value", "crldp.address",
    "ski.missing", "ski.value", "aki.mismatch", "ku.missing", "ku.bits", "ku.extra", "ku.critical",
    "ian.contact", "ian.other", "crldp.uri", "crldp.scheme", "crldp.form",
    "extension.critical", "extension.unknown", "extension.forbidden", "extension.unreadable", "bc.encoding",
}  # fmt: skip
CA_RULES = {"bc.missing", "bc.not-ca", "bc.critical"}
BELOW_A_CA = {"issuer.ca"}
END_ENTITY_RULES = {"issuer.distinct", "issuer.common-name", "bc.ca", "bc.present", "ku.ca-bits", "aki.missing"}
END_ENTITY_RULES |= {"validity.maximum"}
ISSUED_RULES = {"issuer.name", "validity.nesting", "key.issuer"}
SCOPED_RULES = {"subject.country.missing", "issuer.country", "issuer.state", "issuer.state.absent"}
PURPOSE_RULES = {"eku.missing", "eku.purpose", "eku.extra"}
SIGNER_RULES = END_ENTITY_RULES | ISSUED_RULES | SCOPED_RULES | PURPOSE_RULES
APPLY = {
    "iaca": CA_RULES
    | {
        "issuer.self",
        "bc.path-length",
        "eku.unexpected",
        "eku.foreign",
        "ian.missing",
        "crldp.missing",
        "validity.maximum",
    }
    | {"subject.country.missing", "subject.state.format"},
    "iaca-link": CA_RULES
    | BELOW_A_CA
    | (ISSUED_RULES | SCOPED_RULES | PURPOSE_RULES)
    | {"bc.path-length", "ian.missing", "crldp.missing", "validity.maximum", "aki.missing"},
    "ds": BELOW_A_CA | SIGNER_RULES | {"eku.critical", "ian.missing", "crldp.missing"},
    "jws": BELOW_A_CA | SIGNER_RULES | {"eku.critical", "ian.missing", "crldp.missing"},
    "reader-ca": CA_RULES | ISSUED_RULES,
    "reader": BELOW_A_CA
    | END_ENTITY_RULES
    | (ISSUED_RULES | PURPOSE_RULES)
    | {"eku.critical", "ian.differs", "crldp.missing"},
    "ocsp": BELOW_A_CA | SIGNER_RULES | {"status.own"},
    "vical": END_ENTITY_RULES
    | BELOW_A_CA
    | (ISSUED_RULES | PURPOSE_RULES)
    | {"eku.critical", "crldp.missing", "subject.country.missing", "subject.organization.missing"},
    "vical-ca": CA_RULES | ISSUED_RULES,
    "revocation-list": END_ENTITY_RULES | ISSUED_RULES | SCOPED_RULES | {"eku.foreign", "eku.any", "eku.not-critical"},
}


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
def test_a_profile_has_its_rules(profile: Profile) -> None:
    keys = {rule.id.removeprefix(f"{profile.id}.") for rule in profile.rules}
    assert keys == EVERYWHERE | APPLY[profile.id]


def test_a_forgery_that_changes_nothing_breaks_nothing() -> None:
    certificate, _ = honest(DOCUMENT_SIGNER)
    assert forge(certificate, lambda _: None) == certificate


# Refusing these stops forgery, theft or mis-scoping: no policy may tolerate them. The rest are deviations that honest
# certificates show. A change of this list is a change of what every policy refuses.
SECURITY = {
    "signature.algorithm",
    "signature.mismatch",
    "signature.invalid",
    "key.type",
    "validity.order",
    "validity.future",
    "validity.past",
    "subject.country.missing",
    "subject.ambiguous",
    "issuer.name",
    "issuer.ca",
    "issuer.country",
    "issuer.state",
    "aki.mismatch",
    "ku.missing",
    "ku.bits",
    "ku.ca-bits",
    "eku.missing",
    "eku.purpose",
    "eku.foreign",
    "bc.missing",
    "bc.not-ca",
    "bc.ca",
    "extension.unknown",
    "extension.forbidden",
}
TOLERABLE = {
    "iaca.ku.missing",
    "iaca-link.ku.missing",
    "reader-ca.ku.missing",
    "iaca-link.eku.missing",
    "iaca-link.eku.purpose",
    "vical.subject.country.missing",
}
WARNINGS = {
    "serial.random",
    "subject.country.assigned",
    "subject.value",
    "subject.length",
    "unique-identifiers",
    "aki.certificate",
    "eku.any",
    "ian.value",
    "san.value",
    "crldp.address",
    "signature.hash",
    "validity.encoding",
    "validity.nesting",
    "subject.country.encoding",
    "subject.state.format",
    "subject.serial-number.encoding",
    "subject.strings",
    "issuer.common-name",
    "issuer.state.absent",
    "ski.value",
    "eku.extra",
    "eku.critical",
    "eku.not-critical",
    "eku.unexpected",
    "ian.differs",
    "crldp.uri",
    "crldp.scheme",
}
WARNINGS_HERE = {"iaca.crldp.missing", "iaca-link.eku.missing", "iaca-link.eku.purpose", "iaca-link.ian.missing"}


@table(("profile", "rule"), ALL_RULES, ids=[rule.id for _, rule in ALL_RULES])
def test_the_grade_is_the_agreed_one(profile: Profile, rule: Any) -> None:
    key = rule.id.removeprefix(f"{profile.id}.")
    assert rule.security is (key in SECURITY and rule.id not in TOLERABLE)
    if key in {"bc.present", "ian.other"} or rule.id == "vical-ca.ku.extra":
        assert rule.severity is Severity.NOTE
    elif key in WARNINGS or rule.id in WARNINGS_HERE:
        assert rule.severity is Severity.WARNING
    else:
        assert rule.severity is Severity.ERROR


def test_what_is_a_matter_of_security_is_an_error() -> None:
    rules = [rule for _, rule in ALL_RULES] + list(CRL.rules)
    assert all(rule.severity is Severity.ERROR for rule in rules if rule.security)


def test_rule_ids_are_unique_and_name_their_profile() -> None:
    ids = [rule.id for _, rule in ALL_RULES] + [rule.id for rule in CRL.rules]
    assert len(ids) == len(set(ids))
    assert all(rule.id.startswith(f"{profile.id}.") for profile, rule in ALL_RULES)
    assert all(rule.clause and rule.requirement.endswith(".") and rule.remedy.endswith(".") for _, rule in ALL_RULES)
    assert not [rule for _, rule in ALL_RULES if "{" in rule.requirement + rule.remedy]


@table(("profile", "rule"), ALL_RULES, ids=[rule.id for _, rule in ALL_RULES])
def test_a_rule_is_left_unjudged_without_its_evidence_and_no_other_is(profile: Profile, rule: Any) -> None:
    case = FORGERIES[rule.id.removeprefix(f"{profile.id}.")][0](profile)
    found = {finding.rule for finding in lint_certificate(case.certificate, profile)}
    # A root is its own evidence.
    assert (rule.id in found) is (rule.needs is None or (rule.needs is RuleInput.ISSUER and profile.self_issued))


@pytest.mark.parametrize("rule", CRL.rules, ids=lambda rule: rule.id)
def test_a_crl_rule_is_left_unjudged_without_its_evidence_and_no_other_is(rule: Any) -> None:
    forgery = CRL_FORGERIES[rule.id.removeprefix("crl.")][0]()
    assert (rule.id in {finding.rule for finding in lint_crl(forgery.crl)}) is (rule.needs is None)


BOTH = frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN})
SIGNS = frozenset({KeyUsage.DIGITAL_SIGNATURE})
# pki.md §2 once more: longest validity in days, keyUsage, extendedKeyUsage and whether it is critical (None:
# free), pathLenConstraint, Edwards keys, and the extensions that are mandatory.
SHEET: dict[str, tuple[int | None, frozenset[KeyUsage], str | None, bool | None, int | None, bool, set[str]]] = {
    "iaca": (7305, BOTH, None, None, 0, False, {SKI, IAN, CRLDP}),
    "iaca-link": (7305, BOTH, "1.0.18013.5.1.4", None, 0, False, {SKI, AKI, IAN, CRLDP, EKU}),
    "ds": (457, SIGNS, "1.0.18013.5.1.2", True, None, True, {SKI, AKI, EKU, IAN, CRLDP}),
    "jws": (457, SIGNS, "1.0.18013.5.1.3", True, None, False, {SKI, AKI, EKU, IAN, CRLDP}),
    "reader-ca": (None, BOTH, None, None, None, False, {SKI}),
    "vical-ca": (None, frozenset({KeyUsage.KEY_CERT_SIGN}), None, None, None, False, {SKI}),
    "reader": (1187, SIGNS, "1.0.18013.5.1.6", True, None, True, {SKI, AKI, EKU, CRLDP}),
    "ocsp": (457, SIGNS, "1.3.6.1.5.5.7.3.9", None, None, False, {SKI, AKI, EKU}),
    "vical": (
        *(1187, frozenset({KeyUsage.CONTENT_COMMITMENT}), "1.0.18013.5.1.8", True, None, False),
        {SKI, AKI, EKU, CRLDP},
    ),
    "revocation-list": (1187, SIGNS, None, False, None, False, {SKI, AKI}),
}


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
def test_a_profile_is_what_the_facts_sheet_says(profile: Profile) -> None:
    longest = None if profile.longest_validity is None else profile.longest_validity.days
    edwards = "OKP" in profile.key_kinds
    required = {oid.value for oid in profile.extensions if profile.requires(oid)}
    found = (
        longest,
        profile.key_usage,
        profile.purpose,
        profile.purpose_critical,
        profile.path_length,
        edwards,
        required,
    )
    assert found == SHEET[profile.id]
    assert profile.ca is (KeyUsage.KEY_CERT_SIGN in profile.key_usage)
    # A checker may count the last second as a day more.
    assert profile.longest_validity is None or profile.planned_validity is not None
    assert profile.planned_validity is None or profile.planned_validity < profile.longest_validity  # type: ignore[operator]


def test_a_crl_lives_ninety_days() -> None:
    assert timedelta(days=90) == CRL.longest_interval


@table("rule", [*(rule for _, rule in ALL_RULES), *CRL.rules], ids=lambda rule: rule.id)
def test_a_rule_says_all_that_a_rule_says(rule: Any) -> None:
    assert rule.clause.startswith(("18013-5 ", "RFC 5280 "))
    assert rule.requirement.endswith(".")
    assert rule.remedy.endswith(".")
    assert not set("{}") & set(rule.requirement + rule.remedy)


# --- Other ways to break the same rules -------------------------------------------------------------------------------


def rules_found(certificate: Certificate, profile: Profile, issuer: Certificate | None) -> set[str]:
    return {finding.rule for finding in lint_certificate(certificate, profile, issuer=issuer)}


@pytest.mark.parametrize(
    ("attribute", "value", "rule"),
    [
        (COMMON_NAME, core.UTF8String(""), "value"),
        (COMMON_NAME, core.UTF8String(" \u00a0\u3000"), "value"),
        (COMMON_NAME, core.UTF8String("DS \u202e1"), "value"),
        (ORGANIZATION, core.PrintableString("  "), "value"),
        (STATE, core.UTF8String("XU\x07"), "value"),
        (COMMON_NAME, core.UTF8String("ü" * 64), None),
        (COMMON_NAME, core.UTF8String("ü" * 65), "length"),
        (ORGANIZATION, core.UTF8String("局" * 64), None),
        (STATE, core.UTF8String("局" * 129), "length"),
        ("2.5.4.7", core.UTF8String("局" * 128), None),
        ("2.5.4.7", core.UTF8String("局" * 129), "length"),
        ("2.5.4.11", core.UTF8String("x" * 65), "length"),
        (SERIAL_NUMBER, core.PrintableString("1" * 65), "length"),
        ("2.5.4.97", core.UTF8String("NTRXU-1"), None),
        ("2.5.4.97", core.IA5String("NTRXU-1"), "strings"),
        ("1.2.3.4", core.BMPString("x"), "strings"),
        ("1.2.3.4", core.Integer(1), "strings"),
        ("0.9.2342.19200300.100.1.25", core.IA5String("utopia"), None),
        ("0.9.2342.19200300.100.1.25", core.UTF8String("utopia"), "strings"),
        ("1.2.840.113549.1.9.1", core.IA5String(CONTACT), None),
        ("1.2.840.113549.1.9.1", core.UTF8String(CONTACT), "strings"),
        ("2.5.4.46", core.PrintableString("1"), None),
        ("2.5.4.46", core.UTF8String("1"), "serial-number.encoding"),
    ],
)
def test_each_attribute_of_a_subject_has_a_value_of_its_type_that_can_be_used(
    attribute: str, value: Any, rule: str | None
) -> None:
    certificate, issuer = honest(READER_AUTHENTICATION)
    edit = replaced(attribute, value) if attribute in (COMMON_NAME, ORGANIZATION, STATE) else added(attribute, value)
    found = rules_found(forge(certificate, rename(edit)), READER_AUTHENTICATION, issuer)
    assert found == (set() if rule is None else {f"reader.subject.{rule}"})


def test_a_country_that_nobody_has_is_a_finding_and_one_for_tests_is_not() -> None:
    certificate, issuer = honest(READER_AUTHENTICATION)
    for country in ("DE", "US", "AA", "QM", "QZ", "XA", "XK", "XZ", "ZZ", "UT", "EU", "UK", "QL", "WW", "ZX", "YU"):
        forged = forge(certificate, rename(replaced(COUNTRY, core.PrintableString(country))))
        assigned = country in ("DE", "US") or country in ("AA", "QM", "QZ", "XA", "XK", "XZ", "ZZ")
        found = rules_found(forged, READER_AUTHENTICATION, issuer)
        assert found == (set() if assigned else {"reader.subject.country.assigned"}), country


def test_the_issuers_key_is_the_same_key_in_either_form_of_its_point() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, rekey(compressed(ROOT_KEY)))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.key.issuer", "ds.key.encoding"}


def test_a_root_and_its_renewal_have_one_key() -> None:
    """A CA without a profile of the standard may have been renewed: its own certificate is no other role."""
    for profile in (READER_CA, VICAL_PROVIDER_CA):
        certificate = root(profile=READER_CA)
        assert rules_found(certificate, profile, certificate) <= {"vical-ca.ku.extra"}


@pytest.mark.parametrize(
    ("fields", "fine"),
    [
        ({}, True),
        ({"authority_cert_serial_number": None}, False),
        ({"authority_cert_issuer": None}, False),
        ({"authority_cert_serial_number": 12345}, False),
        ({"authority_cert_issuer": "another"}, False),
        ({"authority_cert_issuer": "reencoded"}, True),
        ({"authority_cert_issuer": "dns"}, False),
    ],
)
def test_the_issuers_certificate_is_named_rightly_or_not_at_all(fields: dict[str, Any], fine: bool) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    pairs = [(COUNTRY, core.UTF8String("XU")), (STATE, core.UTF8String("XU-1"))]
    pairs += [(ORGANIZATION, core.UTF8String("Utopia")), (COMMON_NAME, core.UTF8String("Utopia root"))]
    names = {
        "own": x509.GeneralName("directory_name", x509.Name.load(issuer.issuer.der)),
        "another": x509.GeneralName("directory_name", x509.Name.load(certificate.subject.der)),
        "reencoded": x509.GeneralName("directory_name", name_of(pairs)),
        "dns": x509.GeneralName("dns_name", "utopia.example"),
    }
    chosen: dict[str, Any] = {"authority_cert_issuer": "own", "authority_cert_serial_number": issuer.serial} | fields
    value: dict[str, Any] = {"key_identifier": issuer.subject_key_identifier}
    if chosen["authority_cert_issuer"] is not None:
        value["authority_cert_issuer"] = [names[chosen["authority_cert_issuer"]]]
    if chosen["authority_cert_serial_number"] is not None:
        value["authority_cert_serial_number"] = chosen["authority_cert_serial_number"]
    forged = forge(certificate, put(AKI, x509.AuthorityKeyIdentifier(value)))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == (set() if fine else {"ds.aki.certificate"})


@pytest.mark.parametrize("serial", [-1, -(2**100), 0])
def test_a_serial_number_that_is_not_positive_is_a_finding_and_no_failure(serial: int) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, set_field("serial_number", serial))
    assert forged.serial == serial
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.serial.positive"}


@pytest.mark.parametrize(("serial", "fine"), [(2**158, True), (2**159 - 1, True), (2**159, False)])
def test_a_serial_number_has_twenty_octets_at_most(serial: int, fine: bool) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    found = rules_found(forge(certificate, set_field("serial_number", serial)), DOCUMENT_SIGNER, issuer)
    assert found == (set() if fine else {"ds.serial.length"})


@pytest.mark.parametrize(("serial", "fine"), [(2**47 - 1, False), (2**47, True)])
def test_a_serial_number_that_was_counted_is_told_from_one_that_was_drawn(serial: int, fine: bool) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    found = rules_found(forge(certificate, set_field("serial_number", serial)), DOCUMENT_SIGNER, issuer)
    assert found == (set() if fine else {"ds.serial.random"})


@pytest.mark.parametrize(
    ("state", "fine"),
    [
        ("XU-1", True),
        ("XU-ABC", True),
        ("AR-1", False),
        ("XU", False),
        ("XU-ABCD", False),
        ("xu-1", False),
        ("Ü", False),
    ],
)
def test_a_roots_state_is_a_code_of_its_own_country(state: str, fine: bool) -> None:
    change = replaced(STATE, core.UTF8String(state))
    forged = forge(root(), both(rename(change), rename(change, field="issuer")))
    assert rules_found(forged, IACA, None) == (set() if fine else {"iaca.subject.state.format"})


def test_a_subjects_serial_number_of_another_type_is_named_once() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    for value, rule in ((core.UTF8String, "serial-number.encoding"), (core.TeletexString, "strings")):
        forged = forge(certificate, rename(added(SERIAL_NUMBER, value("1"))))
        assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {f"ds.subject.{rule}"}


@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
def test_edwards_keys_belong_to_document_signers_and_readers_only(profile: Profile, curve: str) -> None:
    certificate, issuer = honest(profile)
    forged = forge(certificate, rekey(deterministic_key("edwards", curve).public_key.spki))
    expected = set() if profile in (DOCUMENT_SIGNER, READER_AUTHENTICATION) else {f"{profile.id}.key.type"}
    if profile.self_issued:
        expected.add(f"{profile.id}.signature.invalid")
    assert rules_found(forged, profile, issuer) == expected


def test_a_curve_outside_the_standard_is_refused() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    foreign = spki_of(ec.generate_private_key(ec.SECP256K1()).public_key())
    assert rules_found(forge(certificate, rekey(foreign)), DOCUMENT_SIGNER, issuer) == {"ds.key.type"}


def test_a_key_that_only_agrees_secrets_signs_nothing() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    x25519 = bytes.fromhex("302a300506032b656e032100") + bytes(31) + b"\x09"
    assert rules_found(forge(certificate, rekey(x25519)), DOCUMENT_SIGNER, issuer) == {"ds.key.type"}


def test_a_point_that_is_not_on_its_curve_is_no_key() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    spki = KEY.public_key.spki
    off_curve = spki[:-1] + bytes([spki[-1] ^ 1])
    assert rules_found(forge(certificate, rekey(off_curve)), DOCUMENT_SIGNER, issuer) == {"ds.key.type"}


def test_validity_of_exactly_the_maximum_is_fine() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, times(not_after=certificate.not_before + timedelta(days=457)))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == set()


def test_a_certificate_that_begins_before_its_issuer_is_named() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    forged = forge(certificate, times(not_before=issuer.not_before - timedelta(seconds=1)))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.validity.nesting"}


def test_another_role_under_the_same_root_is_no_document_signer() -> None:
    """An OCSP or JWS signer of the honest IACA cannot sign licences."""
    for role in (JWS_SIGNER, OCSP_SIGNER, REVOCATION_LIST_SIGNER):
        certificate, issuer = honest(role)
        found = {f.rule for f in lint_certificate(certificate, DOCUMENT_SIGNER, issuer=issuer) if f.security}
        assert found & {"ds.eku.purpose", "ds.eku.missing"}


@pytest.mark.parametrize("purpose", list(KeyPurpose), ids=lambda purpose: purpose.name.lower())
def test_a_certificate_for_another_role_signs_no_revocation_lists(purpose: KeyPurpose) -> None:
    certificate, issuer = honest(REVOCATION_LIST_SIGNER)
    forged = forge(certificate, put(EKU, purposes("1.2.3.4", purpose)))
    assert rules_found(forged, REVOCATION_LIST_SIGNER, issuer) == {"revocation-list.eku.foreign"}


@pytest.mark.parametrize("purpose", KeyPurpose)
def test_a_root_with_the_purpose_of_a_role_that_no_iaca_has_is_none(purpose: KeyPurpose) -> None:
    foreign = {
        KeyPurpose.MDOC_READER_AUTHENTICATION,
        KeyPurpose.MDOC_READER,
        KeyPurpose.READER_TLS_CLIENT,
        KeyPurpose.VICAL_SIGNER,
        KeyPurpose.IACA_LINK,
    }
    forged = forge(root(), put(EKU, purposes(KeyPurpose.IACA, purpose)))
    found = rules_found(forged, IACA, None)
    assert found == {"iaca.eku.unexpected"} | ({"iaca.eku.foreign"} if purpose in foreign else set())


def test_a_purpose_of_its_own_is_allowed_to_a_revocation_list_signer() -> None:
    certificate, issuer = honest(REVOCATION_LIST_SIGNER)
    assert rules_found(forge(certificate, put(EKU, purposes("1.2.3.4"))), REVOCATION_LIST_SIGNER, issuer) == set()


@pytest.mark.parametrize(
    "oid", ["2.5.29.33", "2.5.29.30", "2.5.29.36", "2.5.29.54", "2.5.29.46"], ids=lambda oid: oid.rpartition(".")[2]
)
@pytest.mark.parametrize("critical", [True, False])
def test_forbidden_extensions_are_forbidden_critical_or_not(oid: str, critical: bool) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, put(oid, core.Null(), critical=critical))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.extension.forbidden"}


@pytest.mark.parametrize("oid", ["2.5.29.17", "2.5.29.32", "2.5.29.16", "1.3.6.1.5.5.7.1.1"])
def test_an_extension_that_nobody_here_processes_may_be_there_but_not_critical(oid: str) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    value = general_names(("dns_name", "utopia.example")) if oid == "2.5.29.17" else core.Null()
    assert rules_found(forge(certificate, put(oid, value)), DOCUMENT_SIGNER, issuer) == set()
    forged = forge(certificate, put(oid, value, critical=True))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.extension.unknown"}


@pytest.mark.parametrize("oid", [SKI, AKI, IAN, CRLDP])
def test_known_extensions_that_must_not_be_critical(oid: str) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, flag(oid, critical=True))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.extension.critical"}


def test_a_root_has_no_critical_extended_key_usage() -> None:
    forged = forge(root(), put(EKU, purposes(KeyPurpose.IACA), critical=True))
    assert rules_found(forged, IACA, None) == {"iaca.eku.unexpected", "iaca.extension.critical"}


def test_a_distribution_point_with_another_crl_issuer_is_named() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    other = general_names(("rfc822_name", "someone@elsewhere.example"))
    forged = forge(
        certificate, put(CRLDP, distribution_point("uniform_resource_identifier", CRL_URI, crl_issuer=other))
    )
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.crldp.form"}


def test_a_second_distribution_point_needs_a_uri_too() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    points = [
        *distribution_point("uniform_resource_identifier", CRL_URI),
        *distribution_point("dns_name", "utopia.example"),
    ]
    forged = forge(certificate, put(CRLDP, x509.CRLDistributionPoints(points)))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.crldp.uri"}


def test_an_ocsp_signer_without_a_crl_lives_ninety_days() -> None:
    certificate, issuer = honest(OCSP_SIGNER)
    bare = both(drop(CRLDP), put(NO_CHECK, core.Null()))
    for days, fine in ((90, True), (91, False)):
        forged = forge(certificate, both(bare, times(not_after=certificate.not_before + timedelta(days=days))))
        assert rules_found(forged, OCSP_SIGNER, issuer) == (set() if fine else {"ocsp.status.own"})


def test_an_ocsp_signer_has_one_way_or_the_other_to_tell_its_own_status() -> None:
    certificate, issuer = honest(OCSP_SIGNER)
    forged = forge(certificate, both(drop(CRLDP), times(not_after=certificate.not_before + 30 * DAY)))
    assert rules_found(forged, OCSP_SIGNER, issuer) == {"ocsp.status.own"}


def test_codes_of_places_are_told_and_other_values_are_not() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None

    def message(change: Change, rule: str) -> str:
        other = forge(issuer, change)
        findings = lint_certificate(certificate, DOCUMENT_SIGNER, issuer=other)
        return next(finding.message for finding in findings if finding.rule == rule)

    country = rename(replaced(COUNTRY, core.PrintableString("AR")))
    assert message(country, "ds.issuer.country") == "countryName XU, the issuer's AR"
    none = rename(without(COUNTRY))
    assert message(none, "ds.issuer.country") == "countryName XU, the issuer's absent or ambiguous"
    state = rename(replaced(STATE, core.PrintableString("XU-2")))
    assert message(state, "ds.issuer.state") == "stateOrProvinceName XU-1, the issuer's XU-2"
    words = rename(replaced(STATE, core.PrintableString("Somewhere")))
    assert message(words, "ds.issuer.state") == "stateOrProvinceName XU-1, the issuer's of another form"


USABLE = {
    "rfc822_name": ["pki@utopia.example", "a.b+c@x", '"a b"@utopia.example', "x@[192.0.2.1]", "x@[IPv6:2001:db8::1]"],
    "dns_name": ["utopia.example", "*.utopia.example", "utopia.example.", "a_b.utopia.example"],
    "uniform_resource_identifier": [
        *(
            "https://utopia.example",
            "HTTP://utopia.example:8080/a?b=c#d",
            "https://192.0.2.1/",
            "https://[2001:db8::1]/",
        ),
        *("mailto:pki@utopia.example", "tel:+1-201-555-0123", "urn:oid:1.2.3", "https://utopia.example/a%20b"),
    ],
}
UNUSABLE = {
    "rfc822_name": [
        "",
        " ",
        "not an address",
        "pki",
        "@utopia.example",
        "pki@",
        "a@b@",
        "a..b@x",
        "a b@x",
        "a@b c",
        "<a@b>",
    ],
    "dns_name": ["", " ", "no host", "a..b", "-a.example", "https://a.example", "x" * 64 + ".example", "a.example/x"],
    "uniform_resource_identifier": [
        *(
            "",
            " ",
            "relative/path",
            "//utopia.example",
            "https:",
            "https://",
            "https:///x",
            "https://?x",
            "https://:80/",
        ),
        *("https://utopia example/", "https://utopia.example/a b", "https://utopia.example:99999/", "https://a..b/"),
        *("https://utopia.example:0/", "https://utopia.example:x/", "https://[::1", "https://[utopia]/", "mailto:pki"),
        *("https://utopia.example/<x>", "https://utopia.example/\x07", "1http://utopia.example", "https://user@/"),
    ],
}


@pytest.mark.parametrize("usable", [True, False])
def test_a_name_that_nobody_can_use_is_a_finding(usable: bool) -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    for form, values in (USABLE if usable else UNUSABLE).items():
        for value in values:
            for oid, rule in ((IAN, "ds.ian.value"), ("2.5.29.17", "ds.san.value")):
                found = rules_found(forge(certificate, put(oid, raw_names(form, value))), DOCUMENT_SIGNER, issuer)
                assert (rule in found) is not usable, (form, value)


def test_an_address_from_which_nobody_can_fetch_is_a_finding() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    for usable, values in ((True, USABLE), (False, UNUSABLE)):
        for value in values["uniform_resource_identifier"]:
            if value.lower().startswith("http") or not usable:
                point = raw_point(value)
                found = rules_found(forge(certificate, put(CRLDP, point)), DOCUMENT_SIGNER, issuer)
                assert bool(found & {"ds.crldp.address", "ds.crldp.scheme"}) is not usable, value
                if not usable and value.startswith("https://"):
                    assert "ds.crldp.address" in found, value


def test_an_issuer_whose_key_is_not_usable_verifies_nothing() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    crippled = forge(
        issuer, lambda body: body.__setitem__("subject_public_key_info", keys.PublicKeyInfo.load(spki_of(rsa_key)))
    )
    assert rules_found(certificate, DOCUMENT_SIGNER, crippled) == {"ds.signature.invalid"}


def test_without_an_issuer_nothing_is_said_about_it() -> None:
    certificate, _ = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, lambda _: None, signer=OTHER_KEY)
    assert lint_certificate(forged, DOCUMENT_SIGNER) == ()


def test_a_caller_that_has_verified_the_signature_need_not_do_it_twice() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, lambda _: None, signer=OTHER_KEY)
    assert lint_certificate(forged, DOCUMENT_SIGNER, issuer=issuer, with_signature=False) == ()


def test_messages_never_carry_the_text_of_a_name() -> None:
    secret = "Jane Q. Public"
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    for oid in (COUNTRY, STATE, ORGANIZATION, COMMON_NAME):
        change = rename(replaced(oid, core.TeletexString(secret)))
        change = both(change, rename(doubled(COUNTRY)))
        for finding in lint_certificate(forge(certificate, change), DOCUMENT_SIGNER, issuer=issuer):
            assert secret not in str(finding)
            assert "Jane" not in finding.message


def test_a_long_list_of_foreign_purposes_is_cut_in_the_message() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    many = [KeyPurpose.MDL_DOCUMENT_SIGNER.value, *(f"1.2.3.{n}" for n in range(500))]
    (finding,) = lint_certificate(forge(certificate, put(EKU, purposes(*many))), DOCUMENT_SIGNER, issuer=issuer)
    assert finding.rule == "ds.eku.extra"
    assert "495 more" in finding.message
    assert len(finding.message) < 200


def test_a_naive_time_is_a_mistake_of_the_caller() -> None:
    certificate, _ = honest(DOCUMENT_SIGNER)
    with pytest.raises(ValueError, match="aware"):
        lint_certificate(certificate, DOCUMENT_SIGNER, at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_finding_reads_as_one_line() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    (finding,) = lint_certificate(forge(certificate, drop(EKU)), DOCUMENT_SIGNER, issuer=issuer)
    assert str(finding) == "error: the extension is absent [ds.eku.missing, 18013-5 B.1.4]"


# --- Boundaries, and what a rule does not speak about -----------------------------------------------------------------


def test_a_certificate_of_a_single_moment_is_in_order_of_time() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, times(not_after=certificate.not_before))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == set()


def test_a_certificate_may_begin_and_end_with_its_issuer() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    same = forge(issuer, times(not_before=certificate.not_before, not_after=certificate.not_after))
    assert rules_found(certificate, DOCUMENT_SIGNER, same) == set()


def test_a_printable_string_with_characters_outside_its_alphabet_is_named() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    for name, fine in (("Utopia (North), Ltd. +1:2=3/4-5'6?", True), ("Utopia & Sons", False), ("Utopia*", False)):
        forged = forge(certificate, rename(replaced(ORGANIZATION, core.PrintableString(name))))
        assert rules_found(forged, DOCUMENT_SIGNER, issuer) == (set() if fine else {"ds.subject.strings"})
        forged = forge(certificate, rename(replaced(ORGANIZATION, core.UTF8String(name))))
        assert rules_found(forged, DOCUMENT_SIGNER, issuer) == set()


def test_an_attribute_that_the_profiles_do_not_name_may_be_of_any_type() -> None:
    """A domainComponent is an IA5String by its own definition."""
    certificate, issuer = honest(DOCUMENT_SIGNER)
    change = rename(added("0.9.2342.19200300.100.1.25", core.IA5String("utopia")))
    assert rules_found(forge(certificate, change), DOCUMENT_SIGNER, issuer) == set()


def test_a_country_of_another_string_type_is_named_once() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    forged = forge(certificate, rename(replaced(COUNTRY, core.TeletexString("XU"))))
    assert rules_found(forged, DOCUMENT_SIGNER, issuer) == {"ds.subject.country.encoding"}


def test_two_that_name_no_country_are_not_of_the_same_country() -> None:
    """Neither what is absent nor what is ambiguous agrees with its like."""
    for edit, own in ((without(COUNTRY), "ds.subject.country.missing"), (doubled(COUNTRY), "ds.subject.ambiguous")):
        case = _both_renamed(edit)
        assert rules_found(case.certificate, DOCUMENT_SIGNER, case.issuer) == {own, "ds.issuer.country"}


def test_two_that_have_no_common_name_do_not_share_one() -> None:
    case = _both_renamed(without(COMMON_NAME))
    assert rules_found(case.certificate, DOCUMENT_SIGNER, case.issuer) == {"ds.subject.common-name.missing"}


def _both_renamed(edit: Callable[[list[Any]], list[Any]]) -> Case:
    """A document signer and its issuer, both with that edit of their names."""
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    other = forge(issuer, rename(edit))
    change = both(rename(edit), set_field("issuer", x509.Name.load(other.subject.der)))
    # The organization tells the two apart where their other attributes are alike.
    change = both(change, rename(replaced(ORGANIZATION, core.UTF8String("Utopia signers"))))
    return Case(certificate=forge(certificate, change), issuer=other)


def test_an_issuer_without_a_key_identifier_contradicts_none() -> None:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    assert rules_found(certificate, DOCUMENT_SIGNER, forge(issuer, drop(SKI))) == set()
    crl, _ = honest_crl()
    assert lint_crl(crl, issuer=forge(issuer, drop(SKI))) == ()


def test_a_link_certificate_may_have_a_critical_extended_key_usage() -> None:
    certificate, issuer = honest(IACA_LINK)
    assert rules_found(forge(certificate, flag(EKU, critical=True)), IACA_LINK, issuer) == set()


def test_an_issuer_s_key_of_the_rehearsal_has_no_digest_of_its_own() -> None:
    """A certificate under ECDSA, whose issuer has an ML-DSA key: for who asked, too, it is not its signature."""
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    asked = UnsafePostQuantum()
    key = SoftwareSigner.generate("ML-DSA-44", post_quantum=asked).public_key
    other = forge(issuer, set_field("subject_public_key_info", keys.PublicKeyInfo.load(key.spki)))
    findings = lint_certificate(certificate, DOCUMENT_SIGNER, issuer=other, post_quantum=asked)
    assert {finding.rule for finding in findings} == {"ds.signature.invalid"}


# --- What findings say ------------------------------------------------------------------------------------------------


def _messages(case: Case, profile: Profile) -> dict[str, str]:
    return {rule: finding.message for rule, finding in found_by(profile, case).items()}


@pytest.mark.parametrize(
    ("profile", "forgery", "rule", "message"),
    [
        (
            DOCUMENT_SIGNER,
            subject_change(set_field("serial_number", 0)),
            "serial.positive",
            "the serial number is zero",
        ),
        (
            DOCUMENT_SIGNER,
            subject_change(set_field("serial_number", -1)),
            "serial.positive",
            "the serial number is negative",
        ),
        (
            DOCUMENT_SIGNER,
            _validity_maximum,
            "validity.maximum",
            "valid for 457 days and 1 s, at most 457 days",
        ),
        (
            DOCUMENT_SIGNER,
            subject_change(times(not_after=START + 500 * DAY)),
            "validity.maximum",
            "valid for 499 days, at most 457 days",
        ),
        (
            DOCUMENT_SIGNER,
            names_change(without(STATE)),
            "issuer.state.absent",
            "stateOrProvinceName stands only in the issuer",
        ),
        (
            DOCUMENT_SIGNER,
            issuer_change(rename(without(STATE))),
            "issuer.state.absent",
            "stateOrProvinceName stands only in the subject",
        ),
        (DOCUMENT_SIGNER, subject_change(drop(AKI)), "aki.missing", "the extension is absent"),
        (
            DOCUMENT_SIGNER,
            subject_change(put(AKI, bytes.fromhex("3000"))),
            "aki.missing",
            "the extension has no keyIdentifier",
        ),
        (
            IACA,
            subject_change(put(BC, x509.BasicConstraints({"ca": True, "path_len_constraint": 1}))),
            "bc.path-length",
            "pathLenConstraint 1",
        ),
        (IACA, subject_change(put(BC, x509.BasicConstraints({"ca": True}))), "bc.path-length", "no pathLenConstraint"),
        (
            DOCUMENT_SIGNER,
            subject_change(put(EKU, purposes("1.2.3.4"))),
            "eku.purpose",
            "only 1.2.3.4",
        ),
    ],
)
def test_a_finding_says_what_was_found(profile: Profile, forgery: Forgery, rule: str, message: str) -> None:
    assert _messages(forgery(profile), profile)[rule] == message


@pytest.mark.parametrize(("count", "rest"), [(5, ""), (6, " and 1 more")])
def test_a_list_of_five_is_told_whole_and_a_longer_one_is_cut(count: int, rest: str) -> None:
    forgery = subject_change(put(EKU, purposes(KeyPurpose.MDL_DOCUMENT_SIGNER, *(f"1.2.3.{n}" for n in range(count)))))
    message = _messages(forgery(DOCUMENT_SIGNER), DOCUMENT_SIGNER)["eku.extra"]
    assert message == f"also 1.2.3.0, 1.2.3.1, 1.2.3.2, 1.2.3.3, 1.2.3.4{rest}"


@pytest.mark.parametrize(("size", "rest"), [(64, ""), (65, "…")])
def test_an_identifier_of_sixty_four_characters_is_told_whole_and_a_longer_one_is_cut(size: int, rest: str) -> None:
    oid = f"1.2.{'1' * 30}.{'1' * 30}"[: size - 1] + "1"
    assert len(oid) == size
    forgery = subject_change(put(EKU, purposes(KeyPurpose.MDL_DOCUMENT_SIGNER, oid)))
    message = _messages(forgery(DOCUMENT_SIGNER), DOCUMENT_SIGNER)["eku.extra"]
    assert message == f"also {oid[:64]}{rest}"


# --- Whose issuer is known, and what the rehearsal excuses ------------------------------------------------------------


def test_a_certificate_that_names_another_issuer_is_not_its_own() -> None:
    change = rename(replaced(COMMON_NAME, core.UTF8String("Another root")), field="issuer")
    assert rules_found(forge(root(), change, signer=OTHER_KEY), IACA, None) == {"iaca.issuer.self"}


def test_an_issuer_that_is_given_is_the_one_that_counts() -> None:
    found = rules_found(root(), IACA, root(OTHER_KEY))
    assert found == {"iaca.signature.invalid"}


def test_only_a_self_issued_profile_makes_a_certificate_its_own_issuer() -> None:
    forged = forge(root(profile=READER_CA), lambda _: None, signer=OTHER_KEY)
    assert rules_found(forged, READER_CA, None) == set()
    assert rules_found(forged, READER_CA, forged) == {"reader-ca.signature.invalid"}


def test_the_rehearsal_excuses_nothing_that_has_to_do_with_other_algorithms() -> None:
    asked = UnsafePostQuantum()
    certificate, issuer = honest(JWS_SIGNER)
    edwards = forge(certificate, rekey(deterministic_key("edwards", "Ed25519").public_key.spki))
    sha1 = FORGERIES["signature.algorithm"][0](JWS_SIGNER).certificate
    for forged, rule in ((edwards, "jws.key.type"), (sha1, "jws.signature.algorithm")):
        for above in (issuer, None):
            findings = lint_certificate(forged, JWS_SIGNER, issuer=above, post_quantum=asked)
            assert {f.rule: (f.severity, f.security) for f in findings}[rule] == (Severity.ERROR, True)


def test_without_an_issuer_a_signature_of_the_rehearsal_is_noted_and_under_an_unusable_key_it_is_not() -> None:
    asked = UnsafePostQuantum()
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    claimed = forge(certificate, set_field("signature", algorithm("2.16.840.1.101.3.4.3.18")))
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    crippled = forge(issuer, set_field("subject_public_key_info", keys.PublicKeyInfo.load(spki_of(rsa_key))))
    for above, severity in ((None, Severity.NOTE), (crippled, Severity.ERROR), (issuer, Severity.ERROR)):
        findings = lint_certificate(claimed, DOCUMENT_SIGNER, issuer=above, post_quantum=asked)
        assert {f.rule: f.severity for f in findings}["ds.signature.algorithm"] is severity


# --- The words of the rules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "clause", "requirement", "remedy"),
    [
        (
            "ds.validity.maximum",
            "18013-5 B.1.4",
            "It is valid for at most 457 days.",
            "Issue it for 456 days or less.",
        ),
        ("ds.validity.past", "18013-5 9.3.3", None, None),
        ("ds.extension.unknown", "RFC 5280 4.2", None, None),
        ("iaca.ku.bits", "18013-5 B.1.2", "keyUsage has keyCertSign and cRLSign.", None),
        ("ds.ku.bits", "18013-5 B.1.4", "keyUsage has digitalSignature.", "Set exactly digitalSignature."),
        ("ds.eku.purpose", "18013-5 B.1.4", "extendedKeyUsage has 1.0.18013.5.1.2.", None),
        ("iaca.bc.path-length", "18013-5 B.1.2", "pathLenConstraint is 0.", "Set pathLenConstraint to 0."),
    ],
)
def test_a_rule_is_told_in_the_words_of_its_profile(
    rule: str, clause: str, requirement: str | None, remedy: str | None
) -> None:
    (found,) = [each for _, each in ALL_RULES if each.id == rule]
    assert found.clause == clause
    assert requirement in (None, found.requirement)
    assert remedy in (None, found.remedy)


def test_the_kinds_of_keys_are_told_as_the_profile_has_them() -> None:
    for profile in all_profiles():
        (rule,) = [each for each in profile.rules if each.id == f"{profile.id}.key.type"]
        assert ("Ed25519" in rule.requirement + rule.remedy) is ("OKP" in profile.key_kinds)


def test_a_profile_cannot_grade_a_rule_that_it_does_not_have() -> None:
    with pytest.raises(ValueError, match=r"bc\.ca"):
        replace(IACA, grades={"bc.ca": (Severity.WARNING, False)})
    assert replace(IACA, grades={"bc.path-length": (Severity.WARNING, False)}).rules


# --- CRLs -------------------------------------------------------------------------------------------------------------

NUMBER, IDP, DELTA = "2.5.29.20", "2.5.29.28", "2.5.29.27"


def honest_crl(*, revoked: int = 2) -> tuple[Crl, Certificate]:
    issuer = root()
    entries = [RevokedCertificate(serial=2**125 + n, revoked_at=START + DAY) for n in range(revoked)]
    crl = build_crl(issuer, ROOT_KEY, number=7, this_update=START + DAY, next_update=START + 31 * DAY, revoked=entries)
    return crl, issuer


@dataclass(frozen=True, kw_only=True)
class CrlForgery:
    crl: Crl
    issuer: Certificate | None
    at: datetime | None = None


def crl_change(change: Change, *, revoked: int = 2, **options: Any) -> Callable[[], CrlForgery]:
    def make() -> CrlForgery:
        crl, issuer = honest_crl(revoked=revoked)
        return CrlForgery(crl=forge_crl(crl, _as_body(change), **options), issuer=issuer)

    return make


def _as_body(change: Change) -> Change:
    """The changes of extensions speak of certificates: CRLs call the same field otherwise."""

    class Body:
        def __init__(self, body: Any) -> None:
            self._body = body

        def __getitem__(self, name: str) -> Any:
            return self._body["crl_extensions" if name == "extensions" else name]

        def __setitem__(self, name: str, value: Any) -> None:
            self._body["crl_extensions" if name == "extensions" else name] = value

    return lambda body: change(Body(body))


def crl_issuer_change(change: Change) -> Callable[[], CrlForgery]:
    def make() -> CrlForgery:
        crl, issuer = honest_crl()
        return CrlForgery(crl=crl, issuer=forge(issuer, change))

    return make


def crl_at(at: datetime) -> Callable[[], CrlForgery]:
    return lambda: CrlForgery(crl=honest_crl()[0], issuer=root(), at=at)


def _time(value: datetime, form: str = "utc_time") -> Any:
    return x509.Time(form, (x509.UTCTime if form == "utc_time" else x509.GeneralizedTime)(value))


def _entry_extension(*, critical: bool) -> Change:
    def change(body: Any) -> None:
        reason = {"extn_id": "2.5.29.21", "extn_value": core.ParsableOctetString(bytes.fromhex("0a0101"))}
        entries = [dict(entry.native) for entry in body["revoked_certificates"]]
        body["revoked_certificates"] = [
            {
                "user_certificate": entry["user_certificate"],
                "revocation_date": _time(entry["revocation_date"]),
                "crl_entry_extensions": [reason | ({"critical": True} if critical else {})],
            }
            for entry in entries
        ]

    return change


def _crl_signed_by_another() -> CrlForgery:
    crl, issuer = honest_crl()
    return CrlForgery(crl=forge_crl(crl, lambda _: None, signer=OTHER_KEY), issuer=issuer)


def _no_version(body: Any) -> None:
    body["version"] = None


CRL_FORGERIES: dict[str, tuple[Callable[[], CrlForgery], set[str]]] = {
    "version": (crl_change(_no_version), set()),
    "signature.algorithm": (
        crl_change(set_field("signature", algorithm("1.2.840.10045.4.1")), digest="sha1"),
        {"signature.invalid"},
    ),
    "signature.parameters": (
        crl_change(set_field("signature", algorithm("1.2.840.10045.4.3.2", core.Null()))),
        set(),
    ),
    "signature.mismatch": (
        crl_change(
            set_field("signature", algorithm("1.2.840.10045.4.3.2", core.Null())),
            outer=set_field("signature_algorithm", algorithm("1.2.840.10045.4.3.2")),
        ),
        {"signature.invalid"},
    ),
    "signature.hash": (
        crl_change(set_field("signature", algorithm("1.2.840.10045.4.3.4")), digest="sha512"),
        set(),
    ),
    "signature.invalid": (_crl_signed_by_another, set()),
    "issuer.name": (crl_change(rename(replaced(COMMON_NAME, core.UTF8String("Utopia root")), field="issuer")), set()),
    "issuer.usage": (crl_issuer_change(put(KU, key_usage("key_cert_sign"))), set()),
    "next-update.missing": (crl_change(set_field("next_update", None)), set()),
    "interval": (crl_change(set_field("next_update", _time(START + 91 * DAY + timedelta(seconds=1)))), set()),
    "time.encoding": (crl_change(set_field("this_update", _time(START + DAY, "general_time"))), set()),
    "future": (crl_at(START + DAY - timedelta(seconds=1)), set()),
    "stale": (crl_at(START + 31 * DAY + timedelta(seconds=1)), set()),
    "empty-list": (crl_change(set_field("revoked_certificates", []), revoked=0), set()),
    "entry.extensions": (crl_change(_entry_extension(critical=False)), set()),
    "entry.critical": (crl_change(_entry_extension(critical=True)), {"entry.extensions"}),
    "aki.missing": (crl_change(drop(AKI)), set()),
    "aki.mismatch": (crl_change(put(AKI, x509.AuthorityKeyIdentifier({"key_identifier": bytes(20)}))), set()),
    "aki.certificate": (
        crl_change(
            put(
                AKI,
                x509.AuthorityKeyIdentifier(
                    {
                        "key_identifier": root().subject_key_identifier,
                        "authority_cert_issuer": [
                            x509.GeneralName("directory_name", x509.Name.load(root().issuer.der))
                        ],
                        "authority_cert_serial_number": 1,
                    }
                ),
            )
        ),
        set(),
    ),
    "number": (crl_change(drop(NUMBER)), set()),
    "extension.critical": (crl_change(flag(NUMBER, critical=True)), set()),
    "extension.partial": (crl_change(put(IDP, bytes.fromhex("3000"), critical=True)), set()),
    "extension.unknown": (crl_change(put("1.2.3.4.5", core.Null(), critical=True)), set()),
    "extension.other": (crl_change(put("1.2.3.4.5", core.Null())), set()),
}


def crl_rules_found(forgery: CrlForgery) -> set[str]:
    findings = lint_crl(forgery.crl, issuer=forgery.issuer, at=forgery.at)
    return {finding.rule.removeprefix("crl.") for finding in findings}


@pytest.mark.parametrize("revoked", [0, 1, 3])
def test_an_honest_crl_has_no_findings(revoked: int) -> None:
    crl, issuer = honest_crl(revoked=revoked)
    assert lint_crl(crl, issuer=issuer, at=crl.this_update) == ()
    assert lint_crl(crl, issuer=issuer, at=crl.next_update) == ()
    assert lint_crl(crl) == ()


@pytest.mark.parametrize("rule", CRL.rules, ids=lambda rule: rule.id)
def test_a_forged_crl_breaks_exactly_its_rule(rule: Any) -> None:
    key = rule.id.removeprefix("crl.")
    forgery, company = CRL_FORGERIES[key]
    found = crl_rules_found(forgery())
    assert key in found
    assert found - {key} <= company


def test_every_crl_rule_has_a_forgery_and_every_forgery_a_rule() -> None:
    assert {rule.id.removeprefix("crl.") for rule in CRL.rules} == CRL_FORGERIES.keys()


def test_the_grades_of_crl_rules_are_the_agreed_ones() -> None:
    security = {
        "signature.algorithm",
        "signature.mismatch",
        "signature.invalid",
        "issuer.name",
        "issuer.usage",
        "next-update.missing",
        "entry.critical",
        "aki.mismatch",
        "extension.partial",
        "extension.unknown",
    }
    assert {rule.id.removeprefix("crl.") for rule in CRL.rules if rule.security} == security
    warnings = {rule.id for rule in CRL.rules if rule.severity is Severity.WARNING}
    assert warnings == {"crl.time.encoding", "crl.signature.hash", "crl.aki.certificate"}
    assert not [rule for rule in CRL.rules if rule.severity is Severity.NOTE]


def test_a_delta_crl_is_refused_critical_or_not() -> None:
    for critical in (True, False):
        forgery = crl_change(put(DELTA, core.Integer(1), critical=critical))()
        assert crl_rules_found(forgery) == {"extension.partial"}


def test_a_crl_that_ends_before_it_begins_is_named() -> None:
    assert crl_rules_found(crl_change(set_field("next_update", _time(START)))()) == {"interval"}


def test_a_negative_crl_number_is_named() -> None:
    assert crl_rules_found(crl_change(put(NUMBER, core.Integer(-1)))()) == {"number"}
    assert crl_rules_found(crl_change(put(NUMBER, core.Integer(2**159)))()) == {"number"}
    assert crl_rules_found(crl_change(put(NUMBER, core.Integer(2**159 - 1)))()) == set()


def test_an_issuer_without_key_usage_is_unrestricted_and_named_by_its_own_profile() -> None:
    crl, issuer = honest_crl()
    bare = forge(issuer, drop(KU))
    assert lint_crl(crl, issuer=bare) == ()
    assert rules_found(bare, IACA, None) == {"iaca.ku.missing"}


def test_the_crl_of_another_state_with_the_same_name_is_refused() -> None:
    crl, _ = honest_crl()
    other = root(signer=OTHER_KEY)
    assert crl_rules_found(CrlForgery(crl=crl, issuer=other)) == {"signature.invalid", "aki.mismatch"}


def test_a_caller_that_has_verified_a_crl_s_signature_need_not_do_it_twice() -> None:
    forgery = _crl_signed_by_another()
    assert lint_crl(forgery.crl, issuer=forgery.issuer, with_signature=False) == ()


def test_a_crl_without_a_next_update_is_never_stale_and_is_named_for_it() -> None:
    forgery = crl_change(set_field("next_update", None))()
    findings = lint_crl(forgery.crl, issuer=forgery.issuer, at=START + 9999 * DAY)
    assert [finding.rule for finding in findings] == ["crl.next-update.missing"]


def test_the_next_update_of_a_crl_comes_later_than_the_crl_itself() -> None:
    crl, _ = honest_crl()
    for seconds, expected in ((0, {"interval"}), (1, set())):
        moment = _time(crl.this_update + timedelta(seconds=seconds))
        assert crl_rules_found(crl_change(set_field("next_update", moment))()) == expected

"""Certificates and CRLs as views: what is read, what is refused, and that nothing else ever happens."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import pem as asn1_pem
from asn1crypto import x509 as asn1_x509
from hypothesis import given
from hypothesis import strategies as st

from mdl.errors import DecodeError, MdlError, UnsupportedError, VerificationError
from mdl.keys import UnsafePostQuantum
from mdl.pki import (
    DOCUMENT_SIGNER,
    PROFILES,
    AttributeId,
    BasicConstraints,
    Certificate,
    Crl,
    KeyUsage,
    Name,
    NameForm,
    Profile,
    RevokedCertificate,
    build_crl,
    decode_csr,
    lint_certificate,
    lint_crl,
    validate_path,
)
from mdl.pki.build import build_csr
from mdl.pki.certificate import MAX_CERTIFICATE_SIZE, MAX_PEM_CERTIFICATES
from mdl.pki.crl import MAX_CRL_SIZE
from mdl.testing import deterministic_key
from tests.x509_forgery import (
    CONTACT,
    CRL_URI,
    KEY,
    ROOT_KEY,
    START,
    SUBJECT,
    all_profiles,
    both,
    forge,
    honest,
    name_of,
    put,
    set_field,
)
from tests.x509_opinions import (
    A_CRL,
    DS,
    ROOT,
    assert_as_strict_as_the_library,
    assert_same_facts,
    certificate_or_refusal,
)

# --- What is read -----------------------------------------------------------------------------------------------------


def test_a_document_signer_tells_its_facts() -> None:
    assert DS.version == 3
    assert DS.serial == 2**125 + 2
    assert DS.subject.country == DS.country == "XU"
    assert DS.subject.state == DS.state == "XU-1"
    assert DS.subject.common_name == "Utopia signer"
    assert str(DS.subject) == "C=XU, ST=XU-1, O=Utopia, CN=Utopia signer"
    assert DS.issuer == ROOT.subject
    assert DS.not_before == datetime(2026, 1, 2, tzinfo=UTC)
    assert DS.not_after == datetime(2026, 10, 29, tzinfo=UTC)
    assert DS.public_key == KEY.public_key
    assert DS.authority_key_identifier == ROOT.subject_key_identifier
    assert DS.key_usage == frozenset({KeyUsage.DIGITAL_SIGNATURE})
    assert DS.extended_key_usage == ("1.0.18013.5.1.2",)
    assert DS.basic_constraints is None
    assert DS.crl_uris == (CRL_URI,)
    assert DS.issuer_alternative_name is not None
    assert [(name.form, name.value) for name in DS.issuer_alternative_name] == [(NameForm.EMAIL, CONTACT)]
    assert set(DS.critical_extensions) == {"2.5.29.15", "2.5.29.37"}
    assert DS.algorithm == DS.inner_algorithm
    assert DS.algorithm.oid == "1.2.840.10045.4.3.2"
    assert len(DS.fingerprint) == 32
    assert ROOT.basic_constraints is not None
    assert (ROOT.basic_constraints.ca, ROOT.basic_constraints.path_length) == (True, 0)
    assert ROOT.key_usage == frozenset({KeyUsage.KEY_CERT_SIGN, KeyUsage.CRL_SIGN})


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
def test_two_other_readers_see_the_same_certificate(profile: Profile) -> None:
    certificate, _ = honest(profile)
    assert_same_facts(certificate)
    assert_as_strict_as_the_library(certificate)


@pytest.mark.parametrize("position", range(9))
def test_each_key_usage_bit_has_its_name(position: int) -> None:
    octets = (0x8000 >> position).to_bytes(2)
    size = 1 if position < 8 else 2
    padding = (7 - position) % 8
    value = bytes((0x03, size + 1, padding)) + octets[:size]
    assert forge(DS, put("2.5.29.15", value)).key_usage == frozenset({list(KeyUsage)[position]})


def test_a_name_keeps_its_bytes_and_shows_every_string_type() -> None:
    from asn1crypto import core

    kinds = [
        core.PrintableString("Utopia"),
        core.UTF8String("Ütopia"),
        core.TeletexString("Utopia"),
        core.BMPString("Ütopia"),
        core.UniversalString("Ütopia"),
        core.IA5String("Utopia"),
        core.NumericString("123"),
        core.BitString((1, 0, 1)),
    ]
    der = name_of([("2.5.4.10", kind) for kind in kinds]).dump()
    name = Name(der)
    assert name.der == der
    assert [attribute.string_type for attribute in name.attributes] == [
        "PrintableString",
        "UTF8String",
        "TeletexString",
        "BMPString",
        "UniversalString",
        "IA5String",
        "NumericString",
        "other",
    ]
    assert [attribute.value for attribute in name.attributes] == [
        "Utopia",
        "Ütopia",
        "Utopia",
        "Ütopia",
        "Ütopia",
        "Utopia",
        "123",
        None,
    ]
    assert name.only(AttributeId.ORGANIZATION) is None
    assert None not in name.values(AttributeId.ORGANIZATION)
    assert name != Name(name_of([("2.5.4.10", kinds[0])]).dump())


def test_two_countries_are_no_country() -> None:
    from asn1crypto import core

    two = name_of([("2.5.4.6", core.PrintableString("XU")), ("2.5.4.6", core.PrintableString("XU"))])
    assert Name(two.dump()).country is None


def test_a_name_is_shown_without_control_characters_and_cut() -> None:
    from asn1crypto import core

    name = Name(name_of([("2.5.4.3", core.UTF8String("a\x1b[31m\nb" + "c" * 200))]).dump())
    assert str(name).startswith("CN=a\\u001b[31m\\u000abccc")
    assert len(str(name)) < 160


def test_a_certificate_is_a_value() -> None:
    again = Certificate(bytes(bytearray(DS.der)))
    assert again == DS
    assert hash(again) == hash(DS)
    assert {again: 1}[DS] == 1
    assert DS != ROOT
    assert pickle.loads(pickle.dumps(DS)) == DS
    assert copy.deepcopy(DS) == DS
    assert pickle.loads(pickle.dumps(A_CRL)) == A_CRL
    assert pickle.loads(pickle.dumps(DS.subject)) == DS.subject
    with pytest.raises(AttributeError):
        DS.serial = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        DS.extensions["2.5.29.14"] = None  # type: ignore[index]
    assert "Utopia" not in repr(DS)
    assert "Utopia" not in repr(A_CRL)


def test_a_crl_tells_its_facts() -> None:
    assert A_CRL.version == 2
    assert A_CRL.issuer == ROOT.subject
    assert A_CRL.number == 300
    assert A_CRL.this_update == START
    assert A_CRL.next_update == datetime(2026, 3, 1, tzinfo=UTC)
    assert A_CRL.authority_key_identifier == ROOT.subject_key_identifier
    assert A_CRL.is_revoked(DS.serial) == START
    assert A_CRL.is_revoked(77) == START
    assert A_CRL.is_revoked(78) is None
    assert A_CRL.entry_extensions == {}
    A_CRL.verify_signature(ROOT.public_key)
    second = asn1_crl.CertificateList.load(A_CRL.der, strict=True)
    assert second["tbs_cert_list"].dump() == A_CRL.tbs
    assert {each["user_certificate"].native for each in second["tbs_cert_list"]["revoked_certificates"]} == {
        *A_CRL.revoked
    }


def test_a_serial_number_listed_twice_is_revoked_from_the_earlier_date() -> None:
    from tests.x509_forgery import forge_crl

    def twice(body: Any) -> None:
        def at(when: datetime) -> Any:
            return asn1_x509.Time("utc_time", asn1_x509.UTCTime(when))

        early, late = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
        body["revoked_certificates"] = [
            {"user_certificate": 5, "revocation_date": at(late)},
            {"user_certificate": 5, "revocation_date": at(early)},
            {"user_certificate": 5, "revocation_date": at(late)},
        ]

    assert forge_crl(A_CRL, twice).is_revoked(5) == datetime(2025, 1, 1, tzinfo=UTC)


# --- PEM --------------------------------------------------------------------------------------------------------------


def test_pem_and_der_are_one_certificate() -> None:
    pem = DS.pem
    assert asn1_pem.unarmor(pem.encode())[2] == DS.der
    assert Certificate.parse_pem(pem) == DS
    assert Certificate.decode_any(pem.encode()) == DS
    assert Certificate.decode_any(DS.der) == DS
    assert Certificate.parse_pem("subject: whoever\r\n" + pem.replace("\n", "\r\n") + "\r\ntrailing words") == DS
    assert Certificate.parse_pem_bundle(pem + ROOT.pem) == (DS, ROOT)
    assert Crl.decode_any(A_CRL.pem.encode()) == A_CRL
    assert Crl.decode_any(A_CRL.der) == A_CRL
    assert Crl.decode(A_CRL.der) == A_CRL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-----BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END PUBLIC KEY-----",
        DS.pem + ROOT.pem,
        DS.pem.replace("\n", "\n\x00"),
        "Ünïcode " + DS.pem[:60],
    ],
)
def test_a_pem_text_without_exactly_one_certificate_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        Certificate.parse_pem(text)
    with pytest.raises(DecodeError):
        Certificate.decode_any(text.encode())


def test_a_pem_text_with_too_many_blocks_is_refused_before_they_are_decoded() -> None:
    with pytest.raises(DecodeError, match="more than"):
        Certificate.parse_pem_bundle("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" * 1001)


def test_der_that_contains_pem_is_der() -> None:
    """Only the outside decides: a certificate may hold any text."""
    hidden = forge(DS, put("1.2.3.4", b"\x0c\x1b-----BEGIN CERTIFICATE-----"))
    assert Certificate.decode_any(hidden.der) == hidden


# --- What is refused --------------------------------------------------------------------------------------------------


def malformed(der: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Certificate(der)
    assert caught.value.code == code


def test_bytes_after_the_certificate_are_refused() -> None:
    malformed(DS.der + b"\x00", "certificate.malformed")
    with pytest.raises(DecodeError):
        Crl(A_CRL.der + b"\x00")
    with pytest.raises(DecodeError):
        decode_csr(build_csr(SUBJECT, KEY).der + b"\x00")


def test_a_truncated_certificate_is_refused_at_every_length() -> None:
    for size in range(len(DS.der)):
        malformed(DS.der[:size], "certificate.malformed")


def test_a_certificate_that_is_too_large_is_refused_unread() -> None:
    malformed(b"\x30" * (MAX_CERTIFICATE_SIZE + 1), "certificate.size")


def test_an_indefinite_or_padded_length_is_not_der() -> None:
    assert DS.der[:2] == b"\x30\x82"
    malformed(b"\x30\x83\x00" + DS.der[2:], "certificate.malformed")
    malformed(b"\x30\x80" + DS.der[4:] + b"\x00\x00", "certificate.malformed")


def test_an_extension_that_occurs_twice_is_refused() -> None:
    def twice(body: Any) -> None:
        extensions = body["extensions"]
        body["extensions"] = type(extensions)(contents=extensions.contents + extensions[0].dump())

    with pytest.raises(DecodeError) as caught:
        forge(DS, twice)
    assert caught.value.code == "certificate.extension.duplicate"
    assert caught.value.path == "extensions[2.5.29.35]"


def test_an_empty_list_of_extensions_is_refused() -> None:
    def none(body: Any) -> None:
        body["extensions"] = type(body["extensions"])(contents=b"")

    with pytest.raises(DecodeError) as caught:
        forge(DS, none)
    assert caught.value.code == "certificate.extension.malformed"


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("2.5.29.14", "0500"),  # subjectKeyIdentifier that is no OCTET STRING
        ("2.5.29.14", "0401ff00"),  # with a byte behind it
        ("2.5.29.35", "0401ff"),  # authorityKeyIdentifier that is no SEQUENCE
        ("2.5.29.15", "030206ff"),  # keyUsage with padding bits set
        ("2.5.29.15", "0303060040"),  # a tenth bit
        ("2.5.29.15", "030400000000"),  # a third octet
        ("2.5.29.37", "0600"),  # extendedKeyUsage that is no SEQUENCE
        ("2.5.29.37", "3000"),  # with nobody in it
        ("2.5.29.37", "30020600"),  # with an empty object identifier
        ("2.5.29.19", "30060101ff0201ff"),  # basicConstraints whose path length is negative
        ("2.5.29.19", "30060101010201ff"),  # in BER as well
        ("2.5.29.19", "30030101"),  # that is cut off
        ("2.5.29.19", "3004010100ff"),  # with a byte behind its FALSE
        ("2.5.29.19", "300301010101"),  # with a byte behind it
        ("2.5.29.19", "3004010200ff"),  # with a boolean of two bytes
        ("2.5.29.19", "308003010100000000"),  # of indefinite length
        ("2.5.29.19", "3103010101"),  # that is a SET
    ],
)
def test_a_known_extension_that_is_malformed_is_named(oid: str, value: str) -> None:
    with pytest.raises(DecodeError) as caught:
        forge(DS, put(oid, bytes.fromhex(value)))
    assert caught.value.code == "certificate.extension.malformed"
    assert caught.value.path == f"extensions[{oid}]"


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("2.5.29.18", "3000"),  # issuerAltName without a name
        ("2.5.29.18", "30020c00"),  # with a name of no such form
        ("2.5.29.18", "30048102c3bc"),  # with an address that is not ASCII
        ("2.5.29.31", "3000"),  # cRLDistributionPoints without a point
        ("2.5.29.31", "30063004a002a000"),  # with a full name without a name
        ("2.5.29.31", "30023000ff"),  # with a byte behind it
        ("2.5.29.31", "30043002a000"),  # with a name that is none
        ("2.5.29.31", "300a3008a006a000a100"),  # with a truncated one
        ("2.5.29.31", "30083006a004a000a100"),  # with a name of both kinds
        ("2.5.29.31", "300a3008a006a0048602ffff"),  # with a URI that is not ASCII
        ("2.5.29.31", b"https://throwaway.example/crl".hex()),  # that is the address itself
        ("2.5.29.17", "3001"),  # subjectAltName that is cut off
        ("2.5.29.17", ""),  # that is empty
    ],
)
def test_an_extension_of_mere_information_that_is_malformed_reads_as_absent(oid: str, value: str) -> None:
    certificate = forge(DS, put(oid, bytes.fromhex(value), critical=False))
    assert certificate.unreadable == {oid}
    read = {
        "2.5.29.18": certificate.issuer_alternative_name,
        "2.5.29.17": certificate.subject_alternative_name,
        "2.5.29.31": certificate.crl_distribution_points or None,
    }
    assert read[oid] is None
    assert certificate.extensions[oid].value == bytes.fromhex(value)
    with pytest.raises(DecodeError) as caught:
        forge(DS, put(oid, bytes.fromhex(value), critical=True))
    assert caught.value.code == "certificate.extension.malformed"
    assert caught.value.path == f"extensions[{oid}]"


def test_what_can_be_read_is_not_called_unreadable() -> None:
    assert DS.unreadable == frozenset()
    assert forge(DS, put("1.2.3.4", b"\xff\x00")).unreadable == frozenset()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("3000", BasicConstraints(ca=False, path_length=None)),
        ("30030101ff", BasicConstraints(ca=True, path_length=None)),
        ("30060101ff020100", BasicConstraints(ca=True, path_length=0)),
        ("3003010101", BasicConstraints(ca=True, path_length=None, is_der=False)),
        ("3003010180", BasicConstraints(ca=True, path_length=None, is_der=False)),
        ("3006010101020100", BasicConstraints(ca=True, path_length=0, is_der=False)),
        ("3003010100", BasicConstraints(ca=False, path_length=None, is_der=False)),
        ("3006010100020103", BasicConstraints(ca=False, path_length=3, is_der=False)),
    ],
)
def test_a_boolean_of_ber_reads_the_same_and_is_told(value: str, expected: BasicConstraints) -> None:
    assert forge(DS, put("2.5.29.19", bytes.fromhex(value))).basic_constraints == expected


def test_an_unknown_extension_may_hold_anything() -> None:
    assert forge(DS, put("1.2.3.4", b"\xff\x00")).extensions["1.2.3.4"].value == b"\xff\x00"


@pytest.mark.parametrize("version", [3, 4, -1, 255])
def test_a_version_that_does_not_exist_is_refused(version: int) -> None:
    assert DS.der.count(bytes.fromhex("a003020102")) == 1
    malformed(
        DS.der.replace(bytes.fromhex("a003020102"), b"\xa0\x03\x02\x01" + (version & 0xFF).to_bytes(1)),
        "certificate.malformed",
    )


def test_a_fraction_of_a_second_is_refused() -> None:
    fraction = asn1_x509.Time("general_time", asn1_x509.GeneralizedTime())
    fraction.chosen.contents = b"20260101000000.5Z"

    def change(body: Any) -> None:
        body["validity"]["not_before"] = fraction

    with pytest.raises(DecodeError) as caught:
        forge(DS, change)
    assert caught.value.path == "tbsCertificate.validity.notBefore"
    assert caught.value.message == "not DER: a GeneralizedTime with a fraction of a second"


def test_a_signature_of_broken_bytes_is_refused() -> None:
    at = DS.der.index(DS.signature) - 1
    assert DS.der[at] == 0
    malformed(DS.der[:at] + b"\x01" + DS.der[at + 1 :], "certificate.malformed")
    last = DS.der[-1] & 0xFE
    malformed(DS.der[:at] + b"\x01" + DS.der[at + 1 : -1] + bytes([last]), "certificate.malformed")


def test_a_signature_under_a_key_that_cannot_have_made_it_is_refused() -> None:
    for key in (deterministic_key("other"), deterministic_key("other", "P-384"), deterministic_key("other", "Ed25519")):
        with pytest.raises(VerificationError):
            DS.verify_signature(key.public_key)
        with pytest.raises(VerificationError):
            A_CRL.verify_signature(key.public_key)
    DS.verify_signature(ROOT.public_key)


def test_a_key_that_is_no_key_leaves_a_certificate_but_no_public_key() -> None:
    spki = KEY.public_key.spki
    broken = forge(DS, lambda body: body.__setitem__("subject_public_key_info", _raw_spki(spki[:-1] + b"\x00")))
    with pytest.raises(DecodeError) as caught:
        _ = broken.public_key
    assert caught.value.code == "key.malformed"


def _raw_spki(der: bytes) -> Any:
    from asn1crypto import keys

    return keys.PublicKeyInfo.load(der)


def test_a_curve_by_explicit_parameters_is_refused_and_not_recognised() -> None:
    """The parameters may differ from the named curve's in one place that the key's owner has chosen."""
    from cryptography.hazmat.primitives.asymmetric import ec

    curve = ec.SECP256R1()
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    g = (
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    from asn1crypto import core, keys

    parameters = keys.SpecifiedECDomain(
        {
            "version": "ecdpVer1",
            "field_id": {"field_type": "prime_field", "parameters": core.Integer(prime)},
            "curve": {"a": (prime - 3).to_bytes(32), "b": b.to_bytes(32)},
            "base": bytes.fromhex(g),
            "order": order,
            "cofactor": 1,
        }
    )
    info = keys.PublicKeyInfo.load(KEY.public_key.spki).copy()
    info["algorithm"] = {"algorithm": "ec", "parameters": keys.ECDomainParameters("specified", parameters)}
    assert curve.key_size == 256
    explicit = forge(DS, set_field("subject_public_key_info", info))
    for rehearsal in (None, UnsafePostQuantum()):
        with pytest.raises(UnsupportedError) as caught:
            explicit.key_for(rehearsal)
        assert caught.value.code == "key.unsupported"
        assert "named curve" in caught.value.message


def test_nothing_here_warns(recwarn: pytest.WarningsRecorder) -> None:
    """The library that decodes warns about these; here they are findings."""
    from asn1crypto import core

    from tests.x509_forgery import rename

    for serial in (0, -5):
        odd = forge(DS, set_field("serial_number", serial))
        lint_certificate(odd, DOCUMENT_SIGNER, issuer=ROOT)
        _ = odd.public_key, odd.subject.country
        validate_path(odd, [ROOT], at=START)
    long = forge(DS, rename(lambda pairs: [("2.5.4.6", core.PrintableString("UTOPIA")), *pairs]))
    lint_certificate(long, DOCUMENT_SIGNER, issuer=ROOT)
    assert recwarn.list == []


# --- Boundaries, and forms that are easily confused -------------------------------------------------------------------


def test_a_certificate_or_crl_of_the_largest_size_is_still_read() -> None:
    malformed(b"\x30" * MAX_CERTIFICATE_SIZE, "certificate.malformed")
    for size, code in ((MAX_CRL_SIZE, "crl.malformed"), (MAX_CRL_SIZE + 1, "crl.size")):
        with pytest.raises(DecodeError) as caught:
            Crl(b"\x30" * size)
        assert caught.value.code == code


def test_a_certificate_of_the_first_version_has_no_extensions_and_is_read() -> None:
    bare = forge(DS, both(set_field("version", "v1"), set_field("extensions", None)))
    assert bare.version == 1
    assert bare.extensions == {}
    assert bare.subject_key_identifier is None
    assert bare.crl_distribution_points == ()


@pytest.mark.parametrize("value", ["", "30", "30020101", "3103010100", "3004010100", "3002010100"])
def test_a_boolean_of_ber_excuses_nothing_around_it(value: str) -> None:
    with pytest.raises(DecodeError) as caught:
        forge(DS, put("2.5.29.19", bytes.fromhex(value)))
    assert caught.value.path == "extensions[2.5.29.19]"


@pytest.mark.parametrize("length", [0, 3])
def test_a_path_length_is_not_taken_for_the_boolean(length: int) -> None:
    found = forge(DS, put("2.5.29.19", bytes.fromhex(f"300302010{length}"))).basic_constraints
    assert found == BasicConstraints(ca=False, path_length=length)


def test_a_name_of_another_form_has_no_text_even_if_its_bytes_are_ascii() -> None:
    for address in (b"1234", b"\xc0\xa8\x00\x01"):
        (name,) = forge(DS, put("2.5.29.18", b"\x30\x06\x87\x04" + address)).issuer_alternative_name or ()
        assert (name.form, name.value, name.der) == (NameForm.OTHER, "", b"\x87\x04" + address)


def test_a_distribution_point_with_a_relative_name_is_read_and_has_no_address() -> None:
    name = bytes.fromhex("300a0603550403") + b"\x0c\x03crl"
    value = b"\x30\x12\x30\x10\xa0\x0e\xa1\x0c" + name
    certificate = forge(DS, put("2.5.29.31", value))
    assert certificate.unreadable == frozenset()
    assert [point.names for point in certificate.crl_distribution_points] == [()]
    assert "ds.crldp.uri" in {finding.rule for finding in lint_certificate(certificate, DOCUMENT_SIGNER)}


def test_an_empty_relative_name_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        Name(bytes.fromhex("30023100"))
    assert caught.value.code == "certificate.malformed"


@pytest.mark.parametrize(("tag", "value"), [(0x13, b"caf\xe9"), (0x0C, b"caf\xe9"), (0x0C, b"\xed\xa0\x80")])
def test_a_name_that_is_not_in_its_own_alphabet_is_refused(tag: int, value: bytes) -> None:
    """Nor is it read as the attribute before it."""

    def rdn(oid: bytes, tag: int, text: bytes) -> bytes:
        attribute = b"\x06\x03" + oid + bytes((tag, len(text))) + text
        return bytes((0x31, len(attribute) + 2, 0x30, len(attribute))) + attribute

    good, bad = rdn(b"\x55\x04\x06", 0x13, b"XU"), rdn(b"\x55\x04\x03", tag, value)
    assert len(Name(bytes((0x30, len(good))) + good).attributes) == 1
    for content in (bad, good + bad):
        with pytest.raises(DecodeError) as caught:
            Name(bytes((0x30, len(content))) + content)
        assert caught.value.code == "certificate.malformed"
        assert "alphabet" in caught.value.message


@pytest.mark.parametrize(("size", "kept"), [(1024, True), (1025, False)])
def test_a_short_name_is_remembered_and_a_long_one_is_not(size: int, kept: bool) -> None:
    """What is remembered of strangers is small."""
    from asn1crypto import core

    from mdl.pki import certificate

    text = f"remembered {size} "
    der = name_of([("2.5.4.10", core.UTF8String(text + "x" * (size - 21 - len(text))))]).dump()
    assert len(der) == size
    before = certificate._known_attributes.cache_info().misses
    for _ in range(2):
        assert len(Name(der).attributes) == 1
    assert certificate._known_attributes.cache_info().misses - before == kept


@pytest.mark.parametrize("size", range(60, 66))
def test_a_name_of_any_length_is_read_as_it_stands(size: int) -> None:
    """Around 128 bytes the form of a DER length changes."""
    from asn1crypto import core

    name = name_of([("2.5.4.10", core.UTF8String("x" * size)), ("2.5.4.3", core.UTF8String("y" * 45))])
    assert forge(DS, set_field("subject", name)).subject.der == name.dump()


def test_a_text_of_128_characters_is_shown_whole() -> None:
    from asn1crypto import core

    for size, rest in ((128, ""), (129, "…")):
        name = Name(name_of([("2.5.4.3", core.UTF8String("c" * size))]).dump())
        assert str(name) == f"CN={'c' * 128}{rest}"
    assert str(Name(name_of([("2.5.4.3", core.BitString((1, 0, 1)))]).dump())) == "CN=?"


@pytest.mark.parametrize(("year", "prescribed"), [(2049, False), (2050, True), (2051, True)])
def test_from_2050_on_a_generalized_time_is_what_is_prescribed(year: int, prescribed: bool) -> None:
    def change(body: Any) -> None:
        time = asn1_x509.GeneralizedTime(datetime(year, 1, 1, tzinfo=UTC))
        body["validity"]["not_after"] = asn1_x509.Time("general_time", time)

    assert forge(DS, change).deviating_times == (() if prescribed else ("notAfter",))


def test_a_pem_text_without_a_block_is_no_bundle() -> None:
    with pytest.raises(DecodeError) as caught:
        Certificate.parse_pem_bundle("no certificate here")
    assert caught.value.code == "certificate.pem"


def test_as_many_pem_blocks_as_are_allowed_are_decoded() -> None:
    block = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    for count, code in ((MAX_PEM_CERTIFICATES, "certificate.malformed"), (MAX_PEM_CERTIFICATES + 1, "certificate.pem")):
        with pytest.raises(DecodeError) as caught:
            Certificate.parse_pem_bundle(block * count)
        assert caught.value.code == code


def test_only_the_start_of_der_tells_it_from_pem() -> None:
    with pytest.raises(DecodeError) as caught:
        Certificate.decode_any(b"\x30\x05short")
    assert caught.value.code == "certificate.malformed"
    assert Certificate.decode_any("Ünïcode\n".encode() + DS.pem.encode()) == DS
    assert Certificate.decode_any(b"0 certificates follow\n" + DS.pem.encode()) == DS
    with pytest.raises(DecodeError) as caught:
        Certificate.decode_any(b"\x30\x80" + DS.pem.encode())
    assert caught.value.code == "certificate.malformed"


# --- CRLs: the same, once more ----------------------------------------------------------------------------------------


def test_two_crls_are_one_too_many() -> None:
    for text in (A_CRL.pem + A_CRL.pem, DS.pem):
        with pytest.raises(DecodeError) as caught:
            Crl.decode_any(text.encode())
        assert caught.value.code == "crl.pem"


def test_a_crl_of_another_version_is_refused() -> None:
    at = A_CRL.der.index(b"\x02\x01\x01")
    assert at < 12
    for version in (0, 2):
        with pytest.raises(DecodeError) as caught:
            Crl(A_CRL.der[: at + 2] + bytes([version]) + A_CRL.der[at + 3 :])
        assert caught.value.path == "tbsCertList.version"


def test_a_crl_s_signature_is_whole_bytes() -> None:
    at = A_CRL.der.index(A_CRL.signature) - 1
    with pytest.raises(DecodeError) as caught:
        Crl(A_CRL.der[:at] + b"\x01" + A_CRL.der[at + 1 : -1] + bytes([A_CRL.der[-1] & 0xFE]))
    assert caught.value.path == "signature"


@pytest.mark.parametrize("der", [DS.der, A_CRL.der], ids=["certificate", "crl"])
def test_two_algorithm_identifiers_that_differ_do_not_verify(der: bytes) -> None:
    """The signature is the issuer's; only the identifier beside it says more than the one inside."""
    from asn1crypto import algos, core

    kind: Any = asn1_x509.Certificate if der == DS.der else asn1_crl.CertificateList
    envelope = kind.load(der).copy()
    envelope["signature_algorithm"] = algos.SignedDigestAlgorithm(
        {"algorithm": "1.2.840.10045.4.3.2", "parameters": core.Null()}
    )
    signed = (Certificate if der == DS.der else Crl)(envelope.dump())
    with pytest.raises(VerificationError) as caught:
        signed.verify_signature(ROOT.public_key)
    assert caught.value.code == "signature.algorithm_mismatch"


@pytest.mark.parametrize("field", ["this_update", "next_update", "revoked"])
def test_each_time_of_a_crl_has_the_form_of_its_year(field: str) -> None:
    from tests.x509_forgery import forge_crl

    def change(body: Any) -> None:
        time = asn1_x509.Time("general_time", asn1_x509.GeneralizedTime(datetime(2026, 1, 2, tzinfo=UTC)))
        if field == "revoked":
            body["revoked_certificates"] = [{"user_certificate": 5, "revocation_date": time}]
        else:
            body[field] = time

    name = {"this_update": "thisUpdate", "next_update": "nextUpdate", "revoked": "revocationDate"}[field]
    assert A_CRL.deviating_times == ()
    assert forge_crl(A_CRL, change).deviating_times == (name,)


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_an_entry_extension_that_is_critical_once_is_critical(order: tuple[bool, bool]) -> None:
    from asn1crypto import core

    from tests.x509_forgery import forge_crl

    def change(body: Any) -> None:
        reason = {"extn_id": "2.5.29.21", "extn_value": core.ParsableOctetString(bytes.fromhex("0a0101"))}
        time = asn1_x509.Time("utc_time", asn1_x509.UTCTime(START))
        body["revoked_certificates"] = [
            {
                "user_certificate": 5 + place,
                "revocation_date": time,
                "crl_entry_extensions": [reason | ({"critical": True} if critical else {})],
            }
            for place, critical in enumerate(order)
        ]

    assert forge_crl(A_CRL, change).entry_extensions == {"2.5.29.21": True}


# --- Any bytes --------------------------------------------------------------------------------------------------------

SEEDS = [honest(profile)[0].der for profile in PROFILES.values()]
CRL_SEEDS = [A_CRL.der, build_crl(ROOT, ROOT_KEY, number=1, this_update=START, next_update=START.replace(month=3)).der]
CSR_SEEDS = [build_csr(SUBJECT, key).der for key in (KEY, deterministic_key("csr", "Ed25519"))]
INTERESTING = [b"", b"\x00", b"\xff", b"\x80", b"\x30\x00", b"\x05\x00", b"\x02\x01\x00", b"\x04\x00", b"\x30\x80"]


@st.composite
def mutations(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """An honest encoding with a few bytes changed, cut out, repeated, or put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        size = draw(st.integers(0, 8))
        kind = draw(st.integers(0, 5))
        if kind == 0 and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == 1 and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size]
        elif kind == 4:
            data[at : at + size] = draw(st.sampled_from(INTERESTING))
        else:
            data[at : at + size] = draw(st.binary(max_size=8))
    return bytes(data)


@st.composite
def reshaped(draw: st.DrawFn) -> bytes:
    """An honest certificate with one field replaced and every length around it mended: it gets deeper."""
    der = draw(st.sampled_from(SEEDS))
    paths = _elements(der)
    path = draw(st.sampled_from(paths))
    replacement = draw(
        st.one_of(
            st.sampled_from(INTERESTING),
            st.binary(max_size=12).map(lambda content: bytes((0x30, len(content))) + content),
            st.tuples(st.sampled_from(range(256)), st.binary(max_size=12)).map(
                lambda pair: bytes((pair[0], len(pair[1]))) + pair[1]
            ),
            st.sampled_from(paths).map(lambda other: _element_at(der, other)),
        )
    )
    return _replace(der, path, replacement)


def _header(der: bytes) -> tuple[int, int]:
    """Size of the header and of the content of the element at the start; ValueError where there is none."""
    if len(der) < 2:
        raise ValueError
    if der[1] < 0x80:
        size, head = der[1], 2
    else:
        count = der[1] & 0x7F
        size, head = int.from_bytes(der[2 : 2 + count]), 2 + count
    if head + size > len(der):
        raise ValueError
    return head, size


def _children(content: bytes) -> list[bytes]:
    found = []
    while content:
        head, size = _header(content)
        found.append(content[: head + size])
        content = content[head + size :]
    return found


def _split(element: bytes) -> tuple[bytes, list[bytes]] | None:
    """Prefix (the unused-bits octet of a BIT STRING or nothing) and the elements inside, where there are any."""
    head, size = _header(element)
    content = element[head : head + size]
    if element[0] & 0x20 or element[0] == 0x04:
        try:
            return b"", _children(content)
        except ValueError:
            return None
    return None


def _elements(der: bytes, path: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    inside = _split(der)
    found = [path]
    if inside is not None:
        for index, child in enumerate(inside[1]):
            found += _elements(child, (*path, index))
    return found


def _element_at(der: bytes, path: tuple[int, ...]) -> bytes:
    for index in path:
        inside = _split(der)
        assert inside is not None
        der = inside[1][index]
    return der


def _replace(der: bytes, path: tuple[int, ...], replacement: bytes) -> bytes:
    if not path:
        return replacement
    inside = _split(der)
    assert inside is not None
    children = list(inside[1])
    children[path[0]] = _replace(children[path[0]], path[1:], replacement)
    content = b"".join(children)
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    length = bytes((size,)) if size < 0x80 else bytes((0x80 | len(octets),)) + octets
    return der[:1] + length + content


@given(st.binary(max_size=64))
def test_any_bytes_give_a_certificate_or_a_refusal(data: bytes) -> None:
    certificate_or_refusal(data)


@given(mutations(SEEDS))
def test_a_mutated_certificate_gives_a_certificate_or_a_refusal(data: bytes) -> None:
    certificate_or_refusal(data)


@given(reshaped())
def test_a_reshaped_certificate_gives_a_certificate_or_a_refusal(data: bytes) -> None:
    certificate = certificate_or_refusal(data)
    if certificate is not None:
        assert_as_strict_as_the_library(certificate)


@given(mutations(CRL_SEEDS))
def test_a_mutated_crl_gives_a_crl_or_a_refusal(data: bytes) -> None:
    try:
        crl = Crl(data)
    except DecodeError:
        return
    for finding in lint_crl(crl, issuer=ROOT, at=START):
        assert str(finding).isprintable()
    crl.is_revoked(1)
    try:
        crl.verify_signature(ROOT.public_key)
    except VerificationError:
        return
    assert crl.tbs in {A_CRL.tbs, Crl(CRL_SEEDS[1]).tbs}


@given(mutations(CSR_SEEDS))
def test_a_mutated_request_gives_a_request_or_a_refusal(data: bytes) -> None:
    try:
        request = decode_csr(data)
    except MdlError:
        return
    assert request.public_key in {KEY.public_key, deterministic_key("csr", "Ed25519").public_key}


@given(mutations([DS.der]))
def test_no_mutation_of_a_document_signer_keeps_its_path(data: bytes) -> None:
    """Unless the signed body is untouched: then only the encoding of the signature can have changed."""
    try:
        certificate = Certificate(data)
    except DecodeError:
        return
    if validate_path(certificate, [ROOT], at=START).path.holds:
        assert certificate.tbs == DS.tbs


@given(st.text(max_size=40), st.sampled_from([DS.pem, ROOT.pem, A_CRL.pem]))
def test_any_text_around_pem_does_no_harm(text: str, pem: str) -> None:
    readers: list[Callable[[bytes], object]] = [Certificate.decode_any, Crl.decode_any, decode_csr]
    for read in readers:
        for data in (text + pem, pem + text, pem[:30] + text + pem[30:], text):
            try:
                read(data.encode())
            except MdlError:
                continue


def test_ten_thousand_entries_are_read_in_a_moment() -> None:
    import time

    many = [RevokedCertificate(serial=2**100 + n, revoked_at=START) for n in range(10_000)]
    crl = build_crl(ROOT, ROOT_KEY, number=2, this_update=START, next_update=START.replace(month=3), revoked=many)
    start = time.perf_counter()
    assert len(Crl(crl.der).revoked) == 10_000
    assert time.perf_counter() - start < 2

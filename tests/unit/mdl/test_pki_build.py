"""The builders: exact profiles, read again by others; nothing comes out that is not in order."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core, csr
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography.exceptions import UnsupportedAlgorithm

from mdl.errors import DecodeError, MdlError, ProfileError, SigningError, UnsupportedError, VerificationError
from mdl.keys import PublicKey, Signer, SoftwareSigner
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    IACA_LINK,
    JWS_SIGNER,
    OCSP_SIGNER,
    READER_AUTHENTICATION,
    READER_CA,
    REVOCATION_LIST_SIGNER,
    VICAL_SIGNER,
    Certificate,
    CertificateRequest,
    Crl,
    Profile,
    RevokedCertificate,
    Subject,
    build_certificate,
    build_crl,
    build_csr,
    decode_csr,
    draw_serial,
    encode_extensions,
    lint_certificate,
    lint_crl,
    validate_path,
)
from mdl.pki.certificate import MAX_CERTIFICATE_SIZE
from mdl.testing import SeededEntropy, deterministic_key
from tests.parts import openssl
from tests.x509_forgery import (
    CONTACT,
    CRL_URI,
    KEY,
    ROOT_KEY,
    ROOT_SUBJECT,
    START,
    SUBJECT,
    all_profiles,
    drop,
    forge,
    honest,
    name_of,
    put,
    rename,
    root,
    set_field,
)

CURVES = ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"]
DAY = timedelta(days=1)
SHA2 = {"P-256": "sha256", "P-384": "sha384", "P-521": "sha512"} | {
    "brainpoolP256r1": "sha256",
    "brainpoolP384r1": "sha384",
    "brainpoolP512r1": "sha512",
}


def document_signer(**changes: Any) -> Certificate:
    arguments: dict[str, Any] = {
        "subject": SUBJECT,
        "public_key": KEY.public_key,
        "issuer": root(),
        "signer": ROOT_KEY,
        "not_before": START,
        "not_after": START + 300 * DAY,
        "crl_uri": CRL_URI,
        "contact_email": CONTACT,
    }
    return build_certificate(DOCUMENT_SIGNER, **(arguments | changes))


def self_signed(**changes: Any) -> Certificate:
    arguments: dict[str, Any] = {
        "subject": ROOT_SUBJECT,
        "public_key": ROOT_KEY.public_key,
        "issuer": None,
        "signer": ROOT_KEY,
        "not_before": START,
        "not_after": START + 3000 * DAY,
        "crl_uri": CRL_URI,
        "contact_email": CONTACT,
    }
    return build_certificate(IACA, **(arguments | changes))


def refused(code: str, build: Any, **changes: Any) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        build(**changes)
    assert caught.value.code == code
    return caught.value


# --- Exact profiles ---------------------------------------------------------------------------------------------------


def extensions_as_another_reader_sees_them(certificate: Certificate) -> dict[str, tuple[bool, Any]]:
    body = asn1_x509.Certificate.load(certificate.der, strict=True)["tbs_certificate"]
    return {
        each["extn_id"].native: (each["critical"].native, each["extn_value"].parsed.native)
        for each in body["extensions"]
    }


def key_hash(certificate: Certificate) -> bytes:
    info = asn1_x509.Certificate.load(certificate.der).public_key
    return hashlib.sha1(info["public_key"].contents[1:], usedforsecurity=False).digest()


def one_uri(kind: str, value: str) -> list[Any]:
    return [{"distribution_point": [value], "reasons": None, "crl_issuer": None}] if kind == "crl" else [value]


CRL_POINT = one_uri("crl", CRL_URI)
EE_BASE = {"key_usage": (True, {"digital_signature"})}


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (
            IACA,
            {
                "key_usage": (True, {"key_cert_sign", "crl_sign"}),
                "basic_constraints": (True, {"ca": True, "path_len_constraint": 0}),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            IACA_LINK,
            {
                "key_usage": (True, {"key_cert_sign", "crl_sign"}),
                "basic_constraints": (True, {"ca": True, "path_len_constraint": 0}),
                "extended_key_usage": (False, ["1.0.18013.5.1.4"]),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            DOCUMENT_SIGNER,
            EE_BASE
            | {
                "extended_key_usage": (True, ["1.0.18013.5.1.2"]),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            JWS_SIGNER,
            EE_BASE
            | {
                "extended_key_usage": (True, ["1.0.18013.5.1.3"]),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            READER_CA,
            {
                "key_usage": (True, {"key_cert_sign", "crl_sign"}),
                "basic_constraints": (True, {"ca": True, "path_len_constraint": None}),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            READER_AUTHENTICATION,
            EE_BASE
            | {
                "extended_key_usage": (True, ["1.0.18013.5.1.6"]),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            OCSP_SIGNER,
            EE_BASE
            | {
                "extended_key_usage": (False, ["ocsp_signing"]),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            VICAL_SIGNER,
            {
                "key_usage": (True, {"non_repudiation"}),
                "extended_key_usage": (True, ["1.0.18013.5.1.8"]),
                "issuer_alt_name": (False, [CONTACT]),
                "crl_distribution_points": (False, CRL_POINT),
            },
        ),
        (
            REVOCATION_LIST_SIGNER,
            EE_BASE | {"issuer_alt_name": (False, [CONTACT]), "crl_distribution_points": (False, CRL_POINT)},
        ),
    ],
    ids=lambda value: value.id if isinstance(value, Profile) else "",
)
def test_each_profile_is_built_to_the_letter(profile: Profile, expected: dict[str, Any]) -> None:
    certificate, issuer = honest(profile)
    found = extensions_as_another_reader_sees_them(certificate)
    assert found.pop("key_identifier") == (False, key_hash(certificate))
    if issuer is not None:
        critical, authority = found.pop("authority_key_identifier")
        assert not critical
        assert authority["key_identifier"] == key_hash(issuer)
        assert authority["authority_cert_issuer"] is None
    assert found == expected


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
@pytest.mark.parametrize("curve", CURVES)
def test_every_profile_on_every_curve_is_clean(profile: Profile, curve: str) -> None:
    signer, key = deterministic_key("builder root", curve), deterministic_key("builder", curve)
    if profile.self_issued:
        certificate, issuer = root(signer), None
    else:
        above = root(signer, profile=IACA if profile.scoped else READER_CA)
        certificate, issuer = honest(profile, issuer=above, signer=signer, key=key)
    assert lint_certificate(certificate, profile, issuer=issuer, at=START + 10 * DAY) == ()
    second = asn1_x509.Certificate.load(certificate.der, strict=True)
    assert second["signature_algorithm"]["algorithm"].native == f"{SHA2[curve]}_ecdsa"
    assert second["signature_algorithm"]["parameters"].native is None


@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
def test_edwards_keys_are_certified_for_document_signers_and_readers_only(profile: Profile, curve: str) -> None:
    key = deterministic_key("edwards", curve)
    if profile.self_issued:
        with pytest.raises(ProfileError):
            root(key)
    elif profile in (DOCUMENT_SIGNER, READER_AUTHENTICATION):
        certificate, issuer = honest(profile, key=key)
        assert lint_certificate(certificate, profile, issuer=issuer) == ()
        assert certificate.public_key == key.public_key
    else:
        with pytest.raises(ProfileError) as caught:
            honest(profile, key=key)
        assert [finding.rule for finding in caught.value.findings] == [f"{profile.id}.key.type"]


@pytest.mark.parametrize("ca", [None, "ours"])
def test_the_extensions_for_another_builder_are_those_of_our_own(ca: str | None) -> None:
    issuer = None if ca is None else root()
    profile = IACA if ca is None else DOCUMENT_SIGNER
    built = root() if ca is None else document_signer()
    encoded = encode_extensions(
        profile, public_key=built.public_key, issuer=issuer, crl_uri=CRL_URI, contact_email=CONTACT
    )
    assert {extension.oid: extension for extension in encoded} == dict(built.extensions)


def test_an_edwards_key_issues_nothing() -> None:
    key = deterministic_key("edwards", "Ed25519")
    refused("build.signer", self_signed, signer=key, public_key=key.public_key)


def test_a_key_that_only_agrees_secrets_is_not_certified() -> None:
    spki = bytes.fromhex("302a300506032b656e032100") + bytes(31) + b"\x09"
    refused("build.key", document_signer, public_key=PublicKey.from_spki(spki))


# --- openssl reads them too -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", all_profiles(), ids=lambda profile: profile.id)
@pytest.mark.parametrize("curve", ["P-256", "P-521", "brainpoolP384r1"])
def test_openssl_verifies_what_is_built(profile: Profile, curve: str, tmp_path: Path) -> None:
    signer, key = deterministic_key("openssl root", curve), deterministic_key("openssl", curve)
    above = root(signer, profile=IACA if profile.scoped or profile.self_issued else READER_CA)
    certificate = above if profile.self_issued else honest(profile, issuer=above, signer=signer, key=key)[0]
    crl = build_crl(above, signer, number=1, this_update=START, next_update=START + 90 * DAY)
    (tmp_path / "root.pem").write_text(above.pem)
    (tmp_path / "it.pem").write_text(certificate.pem)
    (tmp_path / "crl.pem").write_text(crl.pem)
    at = str(int((START + 5 * DAY).timestamp()))
    common = ("-CAfile", str(tmp_path / "root.pem"), "-attime", at, "-check_ss_sig", "-x509_strict")
    openssl("verify", *common, str(tmp_path / "it.pem"))
    if not profile.self_issued:
        openssl("verify", *common, "-crl_check", "-CRLfile", str(tmp_path / "crl.pem"), str(tmp_path / "it.pem"))


def test_openssl_sees_that_a_document_signer_is_revoked(tmp_path: Path) -> None:
    above, certificate = root(), document_signer()
    revoked = [RevokedCertificate(serial=certificate.serial, revoked_at=START + DAY)]
    crl = build_crl(above, ROOT_KEY, number=2, this_update=START + DAY, next_update=START + 9 * DAY, revoked=revoked)
    for name, text in (("root", above.pem), ("it", certificate.pem), ("crl", crl.pem)):
        (tmp_path / f"{name}.pem").write_text(text)
    files = {name: str(tmp_path / f"{name}.pem") for name in ("root", "it", "crl")}
    at = str(int((START + 5 * DAY).timestamp()))
    check = ("verify", "-CAfile", files["root"], "-attime", at, "-crl_check", "-CRLfile", files["crl"], files["it"])
    assert "revoked" in openssl(*check, refuses=True)
    assert "verify OK" in openssl("crl", "-in", files["crl"], "-CAfile", files["root"], "-noout")


@pytest.mark.parametrize("curve", [*CURVES, "Ed25519", "Ed448"])
def test_openssl_verifies_a_request(curve: str, tmp_path: Path) -> None:
    request = build_csr(SUBJECT, deterministic_key("request", curve))
    (tmp_path / "request.pem").write_text(request.pem)
    assert "verify OK" in openssl("req", "-in", str(tmp_path / "request.pem"), "-verify", "-noout")


# --- Names ------------------------------------------------------------------------------------------------------------


def string_kinds(certificate: Certificate) -> list[tuple[str, str]]:
    name = asn1_x509.Certificate.load(certificate.der).subject
    found = []
    for rdn in name.chosen:
        for each in rdn:
            value = each["value"]
            text = value.chosen if isinstance(value, asn1_x509.DirectoryString) else value
            found.append((type(text).__name__, text.native))
    return found


def test_names_are_printable_strings_where_that_is_possible() -> None:
    subject = Subject(
        country="XU",
        state="XU-1",
        locality="Saint-Étienne",
        organization="Motor Vehicles & Co",
        common_name="DS 1 (east)",
        serial_number="0001",
    )
    assert string_kinds(document_signer(subject=subject)) == [
        ("PrintableString", "XU"),
        ("PrintableString", "XU-1"),
        ("UTF8String", "Saint-Étienne"),
        ("UTF8String", "Motor Vehicles & Co"),
        ("PrintableString", "DS 1 (east)"),
        ("PrintableString", "0001"),
    ]


@pytest.mark.parametrize(
    "edit",
    [
        lambda pairs: [(oid, core.UTF8String(value.native)) for oid, value in pairs],
        lambda pairs: [(o, core.TeletexString(v.native) if o == "2.5.4.10" else v) for o, v in pairs],
        lambda pairs: [(o, core.BMPString(v.native) if o == "2.5.4.10" else v) for o, v in pairs],
        lambda pairs: list(reversed(pairs)),
        lambda pairs: [*pairs, ("2.5.4.11", core.UTF8String("Ü" * 60)), ("2.5.4.11", core.UTF8String("x"))],
        lambda pairs: [*pairs, ("1.2.840.113549.1.9.1", core.IA5String("a@b.example"))],
        lambda pairs: [*pairs, ("1.2.3.4", core.UTF8String("of no known type"))],
    ],
    ids=["utf8", "teletex", "bmp", "reversed", "units", "email", "unknown"],
)
def test_the_issuer_field_is_the_roots_subject_byte_for_byte(edit: Any) -> None:
    """Whatever string types and order a root has: names are copied, not encoded again."""
    odd_root = forge(forge(root(), rename(edit)), rename(edit, field="issuer"))
    certificate = document_signer(issuer=odd_root)
    assert certificate.issuer.der == odd_root.subject.der
    crl = build_crl(odd_root, ROOT_KEY, number=1, this_update=START, next_update=START + DAY)
    assert crl.issuer.der == odd_root.subject.der
    assert validate_path(certificate, [odd_root], at=START).path.holds is True


@pytest.mark.parametrize(
    "pairs",
    [
        [("2.5.4.6", core.PrintableString("UTO")), ("2.5.4.3", core.UTF8String("x"))],
        [("2.5.4.6", core.PrintableString("XU")), ("2.5.4.3", core.UTF8String("x" * 65))],
        [("2.5.4.6", core.PrintableString("XU")), ("2.5.4.3", core.UTF8String(""))],
        [("2.5.4.6", core.PrintableString("XU")), ("2.5.4.3", core.BitString((1, 0, 1)))],
    ],
    ids=["country", "long", "empty", "no string"],
)
def test_a_name_that_cannot_be_copied_is_refused_and_nothing_is_warned_of(pairs: Any) -> None:
    from mdl.pki import Name

    with pytest.raises(ProfileError) as caught:
        document_signer(subject=Name(name_of(pairs).dump()))
    assert caught.value.code in {"build.name", "build.findings"}


@pytest.mark.parametrize(
    "values",
    [
        {"country": "ut"},
        {"country": "UTO"},
        {"country": "U"},
        {"country": ""},
        {"country": "UT\n"},
        {"country": "ÜT"},
        {"common_name": ""},
        {"common_name": "x" * 65},
        {"common_name": "Ü" * 65},
        {"common_name": "a\nb"},
        {"common_name": "a\x00b"},
        {"common_name": "\ud800"},
        {"state": ""},
        {"state": "x" * 129},
        {"organization": "x" * 65},
        {"locality": ""},
        {"serial_number": "Ü"},
        {"serial_number": "a_b"},
        {"serial_number": ""},
    ],
    ids=repr,
)
def test_a_subject_that_no_certificate_may_have_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ProfileError) as caught:
        Subject(**({"country": "XU", "common_name": "x"} | values))
    assert caught.value.code == "build.subject"


def test_a_link_certificate_joins_the_old_root_to_the_new_one() -> None:
    new_key = deterministic_key("new root")
    old, new = root(), root(new_key, replace(ROOT_SUBJECT, common_name="Utopia root 2"))
    link = build_certificate(
        IACA_LINK,
        subject=new.subject,
        public_key=new.public_key,
        issuer=old,
        signer=ROOT_KEY,
        not_before=START,
        not_after=START + 1000 * DAY,
        crl_uri=CRL_URI,
        contact_email=CONTACT,
    )
    assert link.subject == new.subject
    assert link.issuer == old.subject
    assert link.public_key == new.public_key
    assert link.subject_key_identifier == new.subject_key_identifier
    assert link.authority_key_identifier == old.subject_key_identifier


def test_a_reader_certificate_repeats_the_contact_of_its_ca() -> None:
    certificate, above = honest(READER_AUTHENTICATION)
    assert above is not None
    assert certificate.extensions["2.5.29.18"].value == above.extensions["2.5.29.18"].value


def test_a_reader_certificate_has_a_contact_of_its_own_where_its_ca_has_none() -> None:
    bare = forge(root(profile=READER_CA), drop("2.5.29.18"))
    certificate, _ = honest(READER_AUTHENTICATION, issuer=bare)
    assert certificate.issuer_alternative_name is not None
    assert [name.value for name in certificate.issuer_alternative_name] == [CONTACT]


def test_an_ocsp_signer_without_a_crl_is_short_lived() -> None:
    arguments: dict[str, Any] = {
        "subject": SUBJECT,
        "public_key": KEY.public_key,
        "issuer": root(),
        "signer": ROOT_KEY,
        "not_before": START,
    }
    certificate = build_certificate(OCSP_SIGNER, not_after=START + 90 * DAY, **arguments)
    assert "1.3.6.1.5.5.7.48.1.5" in certificate.extensions
    with pytest.raises(ProfileError) as caught:
        build_certificate(OCSP_SIGNER, not_after=START + 91 * DAY, **arguments)
    assert [finding.rule for finding in caught.value.findings] == ["ocsp.status.own"]


# --- Limits -----------------------------------------------------------------------------------------------------------

PLANNED = {
    IACA: 7299,
    IACA_LINK: 7299,
    DOCUMENT_SIGNER: 456,
    JWS_SIGNER: 364,
    READER_AUTHENTICATION: 1186,
    OCSP_SIGNER: 456,
    VICAL_SIGNER: 1186,
    REVOCATION_LIST_SIGNER: 1186,
}


@pytest.mark.parametrize("profile", PLANNED, ids=lambda profile: profile.id)
def test_validity_is_a_day_under_the_cap(profile: Profile) -> None:
    above = None
    if not profile.self_issued:
        above = root(profile=IACA if profile.scoped else READER_CA)

        def longer(body: Any) -> None:
            end = datetime(2049, 1, 1, tzinfo=UTC)
            body["validity"]["not_after"] = asn1_x509.Time("utc_time", asn1_x509.UTCTime(end))

        above = forge(above, longer)
    copies = profile is READER_AUTHENTICATION
    for days, fine in ((PLANNED[profile], True), (PLANNED[profile] + 1, False)):
        arguments: dict[str, Any] = {
            "subject": ROOT_SUBJECT if above is None else SUBJECT,
            "public_key": ROOT_KEY.public_key if above is None else KEY.public_key,
            "issuer": above,
            "signer": ROOT_KEY,
            "not_before": START,
            "not_after": START + days * DAY,
            "crl_uri": CRL_URI,
            "contact_email": None if copies else CONTACT,
        }
        if fine:
            assert lint_certificate(build_certificate(profile, **arguments), profile, issuer=above) == ()
        else:
            with pytest.raises(ProfileError) as caught:
                build_certificate(profile, **arguments)
            assert caught.value.code == "build.validity"


def test_times_are_whole_seconds_in_utc() -> None:
    from datetime import timezone

    there = timezone(timedelta(hours=-7))
    certificate = document_signer(
        not_before=datetime(2026, 2, 1, 17, 0, 0, 999_999, tzinfo=there), not_after=START + 300 * DAY
    )
    assert certificate.not_before == datetime(2026, 2, 2, tzinfo=UTC)


def test_a_root_that_outlives_2049_is_encoded_in_the_form_of_its_year() -> None:
    late = self_signed(not_before=datetime(2045, 1, 1, tzinfo=UTC), not_after=datetime(2055, 1, 1, tzinfo=UTC))
    assert late.deviating_times == ()
    assert late.not_after == datetime(2055, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"not_after": START - DAY}, "build.validity"),
        ({"not_after": START + 457 * DAY}, "build.validity"),
        ({"serial": 0}, "build.serial"),
        ({"serial": -1}, "build.serial"),
        ({"serial": 2**159}, "build.serial"),
        ({"serial": 4711}, "build.findings"),
        ({"crl_uri": None}, "build.findings"),
        ({"crl_uri": "ldap://utopia.example/crl"}, "build.crl_uri"),
        ({"crl_uri": "http://utopia.example/a b"}, "build.crl_uri"),
        ({"crl_uri": "http://ütopia.example/"}, "build.crl_uri"),
        ({"crl_uri": "https://"}, "build.crl_uri"),
        ({"crl_uri": ""}, "build.crl_uri"),
        ({"contact_email": None}, "build.findings"),
        ({"contact_email": "nobody"}, "build.contact"),
        ({"contact_email": "a@b@c"}, "build.contact"),
        ({"contact_email": "ü@b.example"}, "build.contact"),
        ({"contact_uri": "javascript:alert(1)"}, "build.contact"),
        ({"issuer": None}, "build.issuer"),
        ({"signer": KEY}, "build.signer"),
        ({"subject": replace(SUBJECT, country="AR")}, "build.findings"),
        ({"subject": replace(SUBJECT, state="XU-2")}, "build.findings"),
        ({"subject": replace(SUBJECT, state=None)}, "build.findings"),
        ({"not_before": START - DAY}, "build.findings"),
    ],
    ids=str,
)
def test_a_document_signer_that_would_not_be_one_is_refused(changes: dict[str, Any], code: str) -> None:
    refused(code, document_signer, **changes)


def test_a_refusal_tells_its_findings() -> None:
    error = refused("build.findings", document_signer, crl_uri=None, contact_email=None)
    assert [finding.rule for finding in error.findings] == ["ds.ian.missing", "ds.crldp.missing"]
    assert error.clause == "18013-5 B.1.4"


def test_a_root_is_self_signed_and_nothing_else() -> None:
    refused("build.signer", self_signed, signer=KEY)
    refused("build.issuer", self_signed, issuer=root())


@pytest.mark.parametrize("change", [drop("2.5.29.19"), put("2.5.29.15", bytes.fromhex("03020780"))], ids=["bc", "ku"])
def test_a_certificate_that_is_no_ca_issues_nothing(change: Any) -> None:
    error = refused("build.issuer", document_signer, issuer=forge(root(), change))
    assert all(finding.security for finding in error.findings)


def test_a_document_signer_issues_nothing() -> None:
    refused("build.issuer", document_signer, issuer=document_signer(), signer=KEY)


def test_a_root_with_harmless_deviations_may_go_on_issuing() -> None:
    old_root = forge(root(), drop("2.5.29.31"))
    assert document_signer(issuer=old_root).issuer == old_root.subject


def test_a_naive_time_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        document_signer(not_before=datetime(2026, 1, 1))  # noqa: DTZ001


# --- Serial numbers and reproducibility -------------------------------------------------------------------------------


def test_serial_numbers_are_drawn_and_never_alike() -> None:
    drawn = {draw_serial() for _ in range(200)}
    assert len(drawn) == 200
    assert all(0 < serial < 2**159 and serial.bit_length() > 120 for serial in drawn)
    assert any(serial.bit_length() == 159 for serial in drawn)
    assert document_signer().serial != document_signer().serial


def test_the_top_bit_is_cleared_so_that_twenty_octets_suffice() -> None:
    assert draw_serial(lambda size: b"\xff" * size) == 2**159 - 1


@pytest.mark.parametrize("source", [bytes, lambda _: b"", lambda size: b"\x01" * (size - 1)])
def test_a_broken_source_of_randomness_issues_nothing(source: Any) -> None:
    with pytest.raises(SigningError) as caught:
        document_signer(random=source)
    assert caught.value.code == "signing.randomness"


def test_seeded_randomness_and_deterministic_keys_give_the_same_bytes() -> None:
    first, second = (document_signer(random=SeededEntropy("serial")) for _ in range(2))
    assert first == second
    assert first != document_signer(random=SeededEntropy("another"))


# --- Custodians -------------------------------------------------------------------------------------------------------


class Custodian:
    """A signer elsewhere that counts, and can be told to misbehave."""

    def __init__(self, inner: SoftwareSigner, answer: Any = None) -> None:
        self.inner = inner
        self.answer = answer
        self.asked: list[bytes] = []

    @property
    def public_key(self) -> PublicKey:
        return self.inner.public_key

    def sign(self, data: bytes) -> bytes:
        self.asked.append(data)
        if self.answer is None:
            return self.inner.sign(data)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return bytes(self.answer(data))


def everything_signed_by(signer: Signer) -> list[tuple[str, Any]]:
    return [
        ("root", lambda: self_signed(signer=signer)),
        ("ds", lambda: document_signer(signer=signer)),
        ("csr", lambda: build_csr(SUBJECT, signer)),
        ("crl", lambda: build_crl(root(), signer, number=1, this_update=START, next_update=START + DAY)),
    ]


@pytest.mark.parametrize("kind", range(4), ids=["root", "ds", "csr", "crl"])
def test_a_custodian_is_asked_once_and_for_the_body(kind: int) -> None:
    custodian = Custodian(ROOT_KEY)
    built = everything_signed_by(custodian)[kind][1]()
    (body,) = custodian.asked
    assert body in built.der
    if isinstance(built, Certificate | Crl):
        assert body == built.tbs


@pytest.mark.parametrize("kind", range(4), ids=["root", "ds", "csr", "crl"])
def test_a_custodian_that_signs_with_another_key_is_found_out(kind: int) -> None:
    custodian = Custodian(ROOT_KEY, answer=deterministic_key("not the root").sign)
    with pytest.raises(SigningError) as caught:
        everything_signed_by(custodian)[kind][1]()
    assert caught.value.code == "signing.wrong_signature"


@pytest.mark.parametrize("kind", range(4), ids=["root", "ds", "csr", "crl"])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_custodian_whose_key_moves_meanwhile_makes_nothing_under_another_key(kind: int, after: int) -> None:
    """What is made is held against the key that readers have, not against the one that the custodian names by then."""
    other, asked = deterministic_key("not the root"), 0

    class Moving(Custodian):
        @property
        def public_key(self) -> PublicKey:
            nonlocal asked
            asked += 1
            return (self.inner if asked <= after else other).public_key

        def sign(self, data: bytes) -> bytes:
            return (self.inner if asked <= after else other).sign(data)

    try:
        built = everything_signed_by(Moving(ROOT_KEY))[kind][1]()
    except (SigningError, ProfileError):
        return
    if isinstance(built, Certificate | Crl):
        built.verify_signature(ROOT_KEY.public_key)
    else:
        assert built.public_key == ROOT_KEY.public_key


@pytest.mark.parametrize("kind", range(4), ids=["root", "ds", "csr", "crl"])
def test_a_custodian_that_signs_something_else_is_found_out(kind: int) -> None:
    """A token that hashes twice, or not at all, gives a plausible signature."""
    custodian = Custodian(ROOT_KEY, answer=lambda data: ROOT_KEY.sign(hashlib.sha256(data).digest()))
    with pytest.raises(SigningError) as caught:
        everything_signed_by(custodian)[kind][1]()
    assert caught.value.code == "signing.wrong_signature"


@pytest.mark.parametrize("answer", [b"", b"\x00" * 64, b"\x01" * 63, b"\xff" * 64, b"\x30\x06\x02\x01\x01\x02\x01\x01"])
@pytest.mark.parametrize("kind", range(4), ids=["root", "ds", "csr", "crl"])
def test_a_custodian_that_gives_no_signature_issues_nothing(kind: int, answer: bytes) -> None:
    with pytest.raises(SigningError):
        everything_signed_by(Custodian(ROOT_KEY, answer=lambda _: answer))[kind][1]()


@pytest.mark.parametrize("kind", range(4), ids=["root", "ds", "csr", "crl"])
def test_what_a_custodian_says_is_passed_on_unchanged(kind: int) -> None:
    said = SigningError("the token was removed", code="signing.token_missing", retryable=True)
    with pytest.raises(SigningError) as caught:
        everything_signed_by(Custodian(ROOT_KEY, answer=said))[kind][1]()
    assert caught.value is said


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", [*CURVES, "Ed25519", "Ed448"])
def test_a_request_proves_possession_and_becomes_a_certificate(curve: str) -> None:
    key = deterministic_key("request", curve)
    request = build_csr(SUBJECT, key)
    assert decode_csr(request.der) == decode_csr(request.pem.encode()) == request
    assert request.public_key == key.public_key
    assert request.subject == SUBJECT.name
    certificate = document_signer(subject=request.subject, public_key=request.public_key)
    assert certificate.public_key == key.public_key
    assert certificate.subject == request.subject
    assert "Utopia" not in repr(request)


def test_the_old_label_of_requests_is_read_too() -> None:
    pem = build_csr(SUBJECT, KEY).pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
    assert decode_csr(pem.encode()).public_key == KEY.public_key


def forged_request(change: Any, *, signer: SoftwareSigner = KEY, algorithm: str | None = None) -> bytes:
    from tests.x509_forgery import sign

    request = csr.CertificationRequest.load(build_csr(SUBJECT, KEY).der)
    body = request["certification_request_info"].copy()
    change(body)
    der = body.dump()
    named = request["signature_algorithm"].copy()
    if algorithm is not None:
        named["algorithm"] = algorithm
    return bytes(
        csr.CertificationRequest(
            {
                "certification_request_info": csr.CertificationRequestInfo.load(der),
                "signature_algorithm": named,
                "signature": sign(signer, der),
            }
        ).dump()
    )


def test_a_request_for_somebody_elses_key_is_refused() -> None:
    other = deterministic_key("victim").public_key.spki

    def steal(body: Any) -> None:
        from asn1crypto import keys

        body["subject_pk_info"] = keys.PublicKeyInfo.load(other)

    assert decode_csr(forged_request(lambda _: None)).public_key == KEY.public_key
    with pytest.raises(VerificationError) as caught:
        decode_csr(forged_request(steal))
    assert caught.value.code == "request.possession"


def test_a_request_signed_by_another_key_is_refused() -> None:
    with pytest.raises(VerificationError):
        decode_csr(forged_request(lambda _: None, signer=deterministic_key("other")))


@pytest.mark.parametrize(
    "algorithm", ["1.2.840.10045.4.3.3", "1.2.840.10045.4.1", "1.2.840.113549.1.1.11", "1.3.101.112"]
)
def test_a_request_under_another_algorithm_is_refused(algorithm: str) -> None:
    with pytest.raises(VerificationError):
        decode_csr(forged_request(lambda _: None, algorithm=algorithm))


def test_an_edwards_request_under_an_ecdsa_name_is_refused() -> None:
    der = build_csr(SUBJECT, deterministic_key("request", "Ed25519")).der
    at = der.rindex(bytes.fromhex("06032b6570"))
    with pytest.raises(VerificationError):
        decode_csr(der[:at] + bytes.fromhex("06032b6571") + der[at + 5 :])


def test_a_request_of_another_version_is_refused() -> None:
    with pytest.raises(DecodeError):
        decode_csr(forged_request(set_field("version", 1)))


def test_a_request_for_an_rsa_key_is_not_for_us() -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    der = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    with pytest.raises(UnsupportedError):
        decode_csr(der)


@pytest.mark.parametrize(
    "data", [b"", b"\x30\x00", b"-----BEGIN CERTIFICATE REQUEST-----", b"x" * 70_000, build_csr(SUBJECT, KEY).der[:-1]]
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_csr(data)


def test_two_requests_are_one_too_many() -> None:
    pem = build_csr(SUBJECT, KEY).pem
    with pytest.raises(DecodeError):
        decode_csr((pem + pem).encode())


def test_a_request_is_a_value() -> None:
    import pickle

    request = build_csr(SUBJECT, KEY)
    assert pickle.loads(pickle.dumps(request)) == CertificateRequest(request.der)


# --- CRLs -------------------------------------------------------------------------------------------------------------


def a_crl(**changes: Any) -> Crl:
    arguments: dict[str, Any] = {
        "number": 1,
        "this_update": START,
        "next_update": START + 90 * DAY,
        "revoked": [],
    }
    above, signer = changes.pop("issuer", root()), changes.pop("signer", ROOT_KEY)
    return build_crl(above, signer, **(arguments | changes))


@pytest.mark.parametrize("curve", CURVES)
def test_a_crl_is_built_to_the_letter(curve: str) -> None:
    signer = deterministic_key("crl", curve)
    above = root(signer)
    entries = [
        RevokedCertificate(serial=2**150 + 3, revoked_at=START - DAY),
        RevokedCertificate(serial=1, revoked_at=START - 3 * DAY),
    ]
    crl = a_crl(issuer=above, signer=signer, number=12, revoked=entries)
    assert lint_crl(crl, issuer=above, at=START) == ()
    second = asn1_crl.CertificateList.load(crl.der, strict=True)
    body = second["tbs_cert_list"]
    assert body["version"].native == "v2"
    assert body["issuer"].dump() == above.subject.der
    assert body["signature"]["algorithm"].native == f"{SHA2[curve]}_ecdsa"
    assert [each["user_certificate"].native for each in body["revoked_certificates"]] == [1, 2**150 + 3]
    assert [each["crl_entry_extensions"].native for each in body["revoked_certificates"]] == [None, None]
    extensions = {each["extn_id"].native: each for each in body["crl_extensions"]}
    assert extensions.keys() == {"authority_key_identifier", "crl_number"}
    assert not any(each["critical"].native for each in extensions.values())
    assert extensions["crl_number"]["extn_value"].parsed.native == 12
    assert second.authority_key_identifier_value["key_identifier"].native == key_hash(above)


def test_a_crl_without_entries_has_no_list() -> None:
    body = asn1_crl.CertificateList.load(a_crl().der, strict=True)["tbs_cert_list"]
    assert body["revoked_certificates"].native is None
    assert not a_crl().has_empty_list


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"number": -1}, "build.number"),
        ({"number": 2**159}, "build.findings"),
        ({"next_update": START}, "build.findings"),
        ({"next_update": START - DAY}, "build.findings"),
        ({"next_update": START + 90 * DAY + timedelta(seconds=1)}, "build.findings"),
        ({"signer": KEY}, "build.signer"),
        ({"revoked": [RevokedCertificate(serial=5, revoked_at=START)] * 2}, "build.revoked"),
        ({"revoked": [RevokedCertificate(serial=0, revoked_at=START)]}, "build.revoked"),
        ({"revoked": [RevokedCertificate(serial=2**200, revoked_at=START)]}, "build.revoked"),
        ({"issuer": forge(root(), put("2.5.29.15", bytes.fromhex("03020204")))}, "build.findings"),
    ],
    ids=str,
)
def test_a_crl_that_would_not_be_one_is_refused(changes: dict[str, Any], code: str) -> None:
    refused(code, a_crl, **changes)


def test_a_crl_number_may_be_zero() -> None:
    assert a_crl(number=0).number == 0


# --- Boundaries, and the checks behind the encoder --------------------------------------------------------------------


def test_names_of_exactly_the_longest_and_the_shortest_length_are_issued() -> None:
    for size in (1, 64):
        subject = replace(SUBJECT, common_name="x" * size, organization="x" * size, serial_number="1" * size)
        assert document_signer(subject=subject).subject == subject.name
    longest = replace(SUBJECT, locality="x" * 128)
    assert document_signer(subject=longest).subject == longest.name


def test_a_certificate_of_a_single_moment_is_issued() -> None:
    assert document_signer(not_after=START).not_after == START


def test_a_serial_number_of_twenty_octets_may_be_given() -> None:
    assert document_signer(serial=2**159 - 1).serial == 2**159 - 1
    refused("build.findings", document_signer, serial=1)


@pytest.mark.parametrize(("bits", "fine"), [(120, False), (121, True)])
def test_randomness_that_is_hardly_any_is_refused(bits: int, fine: bool) -> None:
    drawn = 1 << (bits - 1)

    def source(size: int) -> bytes:
        return drawn.to_bytes(size)

    if fine:
        assert draw_serial(source) == drawn
        return
    with pytest.raises(SigningError) as caught:
        draw_serial(source)
    assert caught.value.code == "signing.randomness"


def test_the_key_identifier_of_an_issuer_is_its_own_or_else_computed() -> None:
    own = forge(root(), put("2.5.29.14", core.OctetString(b"\x07" * 20)))
    assert document_signer(issuer=own).authority_key_identifier == b"\x07" * 20
    none = forge(root(), drop("2.5.29.14"))
    assert document_signer(issuer=none).authority_key_identifier == key_hash(none)


@pytest.mark.parametrize("kind", ["contact_email", "contact_uri"])
def test_a_contact_that_is_copied_is_not_given_as_well(kind: str) -> None:
    value = CONTACT if kind == "contact_email" else "https://utopia.example"
    above = root(profile=READER_CA)
    contact: dict[str, Any] = {kind: value}
    refused(
        "build.contact",
        lambda: encode_extensions(READER_AUTHENTICATION, public_key=KEY.public_key, issuer=above, **contact),
    )
    alone = encode_extensions(READER_AUTHENTICATION, public_key=KEY.public_key, issuer=None, **contact)
    assert "2.5.29.18" in {extension.oid for extension in alone}


@pytest.mark.parametrize("changed", ["subject", "issuer"])
def test_an_encoder_that_changes_a_name_is_found_out(changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography import x509

    from mdl.pki import build

    copy = build._x509_name
    subject = Subject(country="XU", state="XU-1", organization="Utopia", common_name="Utopia changed")

    def encoder(name: Any) -> x509.Name:
        return copy(subject.name if name == victim else name)

    above = root()
    victim = SUBJECT.name if changed == "subject" else above.subject
    monkeypatch.setattr(build, "_x509_name", encoder)
    refused("build.name", lambda: honest(DOCUMENT_SIGNER, issuer=above))
    if changed == "issuer":
        refused(
            "build.name",
            lambda: build_crl(above, ROOT_KEY, number=1, this_update=START, next_update=START + DAY),
        )


def test_a_request_of_the_largest_size_is_still_read() -> None:
    for size, code in ((MAX_CERTIFICATE_SIZE, "request.malformed"), (MAX_CERTIFICATE_SIZE + 1, "request.size")):
        with pytest.raises(DecodeError) as caught:
            CertificateRequest(b"\x30" * size)
        assert caught.value.code == code


def test_a_request_s_signature_is_whole_bytes() -> None:
    der = build_csr(SUBJECT, deterministic_key("request", "Ed25519")).der
    at = len(der) - 65
    assert der[at - 2 : at + 1] == b"\x03\x41\x00"
    with pytest.raises(DecodeError) as caught:
        CertificateRequest(der[:at] + b"\x01" + der[at + 1 : -1] + bytes([der[-1] & 0xFE]))
    assert caught.value.path == "signature"


def test_a_reader_ca_may_have_no_country_and_an_iaca_may_not() -> None:
    edit = rename(lambda pairs: [pair for pair in pairs if pair[0] != "2.5.4.6"])
    again = rename(lambda pairs: [pair for pair in pairs if pair[0] != "2.5.4.6"], field="issuer")
    certificate, above = honest(READER_AUTHENTICATION, issuer=forge(forge(root(profile=READER_CA), edit), again))
    assert above is not None
    assert certificate.issuer == above.subject
    refused("build.issuer", document_signer, issuer=forge(forge(root(), edit), again))


def test_a_name_of_a_type_that_the_encoder_does_not_know_is_refused() -> None:
    from mdl.pki import Name

    pairs = [("2.5.4.6", core.PrintableString("XU")), ("2.5.4.10", core.Null()), ("2.5.4.3", core.UTF8String("x"))]
    refused("build.name", document_signer, subject=Name(name_of(pairs).dump()))


@pytest.mark.parametrize("error", [ValueError, TypeError, UnsupportedAlgorithm])
def test_what_the_encoder_refuses_is_refused_in_our_words(
    error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mdl.pki import build

    def refuse(*_: Any, **__: Any) -> None:
        raise error("said by the encoder")

    monkeypatch.setattr(build, "x509_signing_key", refuse)
    refused("build.encoding", document_signer)


def test_every_refusal_is_one_of_ours() -> None:
    for error in (ProfileError, SigningError, DecodeError, UnsupportedError, VerificationError):
        assert issubclass(error, MdlError)

"""Every kind of certificate under its kind of CA: within its profile, from a request that decides nothing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from issuer import certificates
from issuer.certificates import CertificateAuthority, Iaca, contacts_of, longest_life, request_document_signer
from mdl.errors import DecodeError, IssuanceError, MdlError, ProfileError, UnsupportedError, VerificationError
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
    ExtensionId,
    Profile,
    Subject,
    build_certificate,
    lint_certificate,
    lint_crl,
)
from mdl.testing import deterministic_key

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DAY = timedelta(days=1)
SUBJECT = Subject(country="US", state="US-UT", organization="Ütah DMV", common_name="Utah IACA")
UNDER_IACA = (DOCUMENT_SIGNER, JWS_SIGNER, OCSP_SIGNER, REVOCATION_LIST_SIGNER)
UNDER_OTHERS = (READER_AUTHENTICATION, VICAL_SIGNER)
KEY = deterministic_key("signer")


def create(kind: type[CertificateAuthority], key: str, **changes: Any) -> CertificateAuthority:
    arguments: dict[str, Any] = {
        "subject": SUBJECT,
        "not_before": NOW,
        "crl_uri": "https://pki.utah.example/root.crl",
        "contact_uri": "https://utah.example",
        "contact_email": "pki@utah.example",
    }
    return kind.create(deterministic_key(key), **(arguments | changes))


@pytest.fixture(scope="module")
def iaca() -> Iaca:
    root = create(Iaca, "profiles root")
    assert isinstance(root, Iaca)
    return root


@pytest.fixture(scope="module")
def other_ca() -> CertificateAuthority:
    return create(CertificateAuthority, "another root")


@pytest.fixture
def ca_of(iaca: Iaca, other_ca: CertificateAuthority) -> Callable[[Profile], CertificateAuthority]:
    return lambda profile: iaca if profile in UNDER_IACA else other_ca


def issue(ca: CertificateAuthority, profile: Profile, request: Any = KEY.public_key, **changes: Any) -> Certificate:
    arguments: dict[str, Any] = {"common_name": "Signer", "not_before": NOW}
    return ca.issue(profile, request, **(arguments | changes))


# --- what is issued --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [*UNDER_IACA, *UNDER_OTHERS], ids=lambda one: one.id)
def test_each_kind_has_its_profile(profile: Profile, ca_of: Callable[[Profile], CertificateAuthority]) -> None:
    ca = ca_of(profile)
    certificate = issue(ca, profile)
    assert lint_certificate(certificate, profile, issuer=ca.certificate) == ()
    assert certificate.issuer.der == ca.certificate.subject.der
    assert (certificate.country, certificate.state) == ("US", "US-UT")
    assert certificate.not_after - certificate.not_before == longest_life(profile)
    assert longest_life(profile) <= (profile.planned_validity or timedelta.max)
    assert certificate.crl_uris == ca.certificate.crl_uris
    assert certificate.serial.bit_length() > 100


def test_a_reader_ca_and_its_crl_are_in_order(other_ca: CertificateAuthority) -> None:
    assert lint_certificate(other_ca.certificate, READER_CA) == ()
    crl = other_ca.publish_crl(number=1, this_update=NOW, next_update=NOW + 30 * DAY)
    assert lint_crl(crl, issuer=other_ca.certificate) == ()


def test_a_readers_certificate_repeats_its_cas_contact(other_ca: CertificateAuthority) -> None:
    certificate = issue(other_ca, READER_AUTHENTICATION)
    name = ExtensionId.ISSUER_ALTERNATIVE_NAME
    assert certificate.extensions[name].value == other_ca.certificate.extensions[name].value
    assert contacts_of(certificate) == ("pki@utah.example", "https://utah.example")


def test_a_vical_signer_has_the_organization_that_its_profile_wants(other_ca: CertificateAuthority) -> None:
    assert "O=Ütah DMV" in str(issue(other_ca, VICAL_SIGNER).subject)
    assert "O=Provider" in str(issue(other_ca, VICAL_SIGNER, organization="Provider").subject)


@pytest.mark.parametrize("profile", [*UNDER_IACA, *UNDER_OTHERS], ids=lambda one: one.id)
def test_nothing_lives_longer_than_its_profile_allows(
    profile: Profile, ca_of: Callable[[Profile], CertificateAuthority]
) -> None:
    assert profile.planned_validity is not None
    issue(ca_of(profile), profile, not_after=NOW + profile.planned_validity)
    with pytest.raises(ProfileError) as caught:
        issue(ca_of(profile), profile, not_after=NOW + profile.planned_validity + timedelta(seconds=1))
    assert caught.value.code == "build.validity"


@pytest.mark.parametrize("profile", [*UNDER_OTHERS, IACA, READER_CA, IACA_LINK], ids=lambda one: one.id)
def test_an_iaca_certifies_no_other_kinds(iaca: Iaca, profile: Profile) -> None:
    with pytest.raises(ProfileError) as caught:
        issue(iaca, profile)
    assert caught.value.code == "issue.profile"


@pytest.mark.parametrize("profile", [*UNDER_IACA, IACA_LINK], ids=lambda one: one.id)
def test_a_reader_ca_certifies_no_signers_of_an_iaca(other_ca: CertificateAuthority, profile: Profile) -> None:
    with pytest.raises(ProfileError) as caught:
        issue(other_ca, profile)
    assert caught.value.code == "issue.profile"


def test_a_reader_ca_is_not_taken_for_an_iaca(other_ca: CertificateAuthority) -> None:
    with pytest.raises(ProfileError) as caught:
        Iaca.load(other_ca.certificate, deterministic_key("another root"))
    assert caught.value.code == "iaca.profile"


# --- requests --------------------------------------------------------------------------------------------------------


def csr(key: Any, *extensions: tuple[x509.ExtensionType, bool], country: str = "US", state: str = "US-UT") -> bytes:
    """A request by another's hand, with whatever is asked for."""
    name = x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, country),
        x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, state),
        x509.NameAttribute(NameOID.COMMON_NAME, "wishful thinking"),
    ])  # fmt: skip
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_a_request_decides_neither_names_nor_extensions(iaca: Iaca) -> None:
    wish = csr(
        ec.generate_private_key(ec.SECP256R1()),
        (x509.BasicConstraints(ca=True, path_length=5), True),
        (x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.0.18013.5.1.8")]), True),
        (x509.SubjectAlternativeName([x509.DNSName("evil.example")]), False),
    )
    certificate = issue(iaca, DOCUMENT_SIGNER, wish)
    assert lint_certificate(certificate, DOCUMENT_SIGNER, issuer=iaca.certificate) == ()
    assert {*certificate.extensions} == {*issue(iaca, DOCUMENT_SIGNER).extensions}
    assert "wishful" not in str(certificate.subject)


def broken_signature() -> bytes:
    request = bytearray(csr(ec.generate_private_key(ec.SECP256R1())))
    request[-1] ^= 1
    return bytes(request)


def of_another_key() -> bytes:
    """The request of one key with the signature of another."""
    first, second = (csr(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    key, other = (x509.load_der_x509_csr(one).public_key() for one in (first, second))
    form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return first.replace(key.public_bytes(*form), other.public_bytes(*form))


BAD_REQUESTS: dict[str, tuple[Callable[[], bytes], type[MdlError], str]] = {
    "signature broken": (broken_signature, VerificationError, "request.possession"),
    "key of another": (of_another_key, VerificationError, "request.possession"),
    "RSA": (lambda: csr(rsa.generate_private_key(65537, 2048)), UnsupportedError, ""),
    "small curve": (lambda: csr(ec.generate_private_key(ec.SECP192R1())), UnsupportedError, ""),
    "Koblitz curve": (lambda: csr(ec.generate_private_key(ec.SECP256K1())), UnsupportedError, ""),
    "another country": (
        lambda: csr(ec.generate_private_key(ec.SECP256R1()), country="CA"),
        IssuanceError,
        "request.country",
    ),
    "another state": (
        lambda: csr(ec.generate_private_key(ec.SECP256R1()), state="US-NV"),
        IssuanceError,
        "request.state",
    ),
    "cut off": (lambda: csr(ec.generate_private_key(ec.SECP256R1()))[:-3], DecodeError, "request.malformed"),
    "no request": (lambda: b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", DecodeError, "request.pem"),
    "nothing": (lambda: b"", DecodeError, ""),
}


@pytest.mark.parametrize("profile", [*UNDER_IACA, *UNDER_OTHERS], ids=lambda one: one.id)
@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_is_refused(
    name: str, profile: Profile, ca_of: Callable[[Profile], CertificateAuthority]
) -> None:
    make, kind, code = BAD_REQUESTS[name]
    with pytest.raises(kind) as caught:
        issue(ca_of(profile), profile, make())
    assert caught.value.code == code or not code
    assert "wishful" not in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "is_allowed"),
    [
        (DOCUMENT_SIGNER, True),
        (READER_AUTHENTICATION, True),
        (REVOCATION_LIST_SIGNER, False),
        (VICAL_SIGNER, False),
        (OCSP_SIGNER, False),
    ],
    ids=lambda one: getattr(one, "id", one),
)
def test_edwards_keys_are_for_those_whose_profile_has_them(
    profile: Profile, is_allowed: bool, ca_of: Callable[[Profile], CertificateAuthority]
) -> None:
    request = request_document_signer(deterministic_key("edwards", "Ed25519"), SUBJECT)
    if is_allowed:
        assert issue(ca_of(profile), profile, request).public_key.curve.name == "Ed25519"
        return
    with pytest.raises(ProfileError) as caught:
        issue(ca_of(profile), profile, request)
    assert caught.value.code == "request.key_kind"


def test_the_cas_own_key_is_certified_for_nothing_else(iaca: Iaca) -> None:
    with pytest.raises(IssuanceError) as caught:
        issue(iaca, REVOCATION_LIST_SIGNER, iaca.certificate.public_key)
    assert caught.value.code == "request.key"


# --- links -----------------------------------------------------------------------------------------------------------


def test_a_link_lives_as_long_as_both_roots(iaca: Iaca) -> None:
    for days in (100, 4000):
        successor = create(
            Iaca, "next root", subject=iaca.certificate.subject, not_before=NOW + DAY, not_after=NOW + days * DAY
        ).certificate
        link = iaca.link(successor, not_before=NOW + DAY)
        assert lint_certificate(link, IACA_LINK, issuer=iaca.certificate) == ()
        assert link.not_after == min(successor.not_after, iaca.certificate.not_after)
        assert (link.subject.der, link.public_key) == (successor.subject.der, successor.public_key)


def test_a_link_leads_to_a_root_of_this_authority_only(iaca: Iaca, other_ca: CertificateAuthority) -> None:
    foreign = create(Iaca, "foreign", subject=Subject(country="CA", common_name="Canada IACA")).certificate
    for successor, code in (
        (iaca.certificate, "request.key"),
        (other_ca.certificate, "iaca.profile"),
        (foreign, "build.findings"),
    ):
        with pytest.raises(MdlError) as caught:
            iaca.link(successor, not_before=NOW)
        assert caught.value.code == code


# --- the second reading ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", [*UNDER_IACA, *UNDER_OTHERS], ids=lambda one: one.id)
def test_an_encoder_that_makes_another_kind_is_noticed(
    profile: Profile, ca_of: Callable[[Profile], CertificateAuthority], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it makes has a profile of its own, so the linter finds nothing."""
    group = UNDER_IACA if profile in UNDER_IACA else UNDER_OTHERS
    ca, build = ca_of(profile), build_certificate
    for another in group:
        if another is profile:
            continue

        def wrong(_asked: Profile, another: Profile = another, **arguments: Any) -> Certificate:
            arguments["not_after"] = min(arguments["not_after"], NOW + (another.planned_validity or DAY))
            if another.requires(ExtensionId.ISSUER_ALTERNATIVE_NAME):
                arguments["contact_email"], arguments["contact_uri"] = contacts_of(ca.certificate)
            return build(another, **arguments)

        with monkeypatch.context() as patch:
            patch.setattr(certificates, "build_certificate", wrong)
            with pytest.raises(ProfileError) as caught:
                issue(ca, profile, not_after=NOW + 300 * DAY, organization="DMV")
        assert caught.value.code == "issuer.second_reading"


@pytest.mark.parametrize("change", ["crl_uri", "contact_uri", "public_key", "serial", "not_after", "subject"])
def test_an_encoder_that_changes_a_value_is_noticed(iaca: Iaca, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build = build_certificate
    values: dict[str, Any] = {
        "crl_uri": "https://pki.utah.example/other.crl",
        "contact_uri": "https://other.example",
        "public_key": deterministic_key("other").public_key,
        "serial": 2**100 + 1,
        "not_after": NOW + 10 * DAY,
        "subject": Subject(country="US", state="US-UT", common_name="Other"),
    }
    monkeypatch.setattr(
        certificates, "build_certificate", lambda profile, **given: build(profile, **(given | {change: values[change]}))
    )
    with pytest.raises(ProfileError) as caught:
        issue(iaca, REVOCATION_LIST_SIGNER)
    assert caught.value.code == "issuer.second_reading"

"""AWS Private CA as the root: a stand-in on the loopback interface issues what it is told to, or something else."""

import base64
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from issuer import private_ca
from issuer.aws import AwsUri, call, connect
from issuer.certificates import Iaca, request_document_signer
from issuer.keystore import open_signer
from issuer.private_ca import PrivateCa, fetch_root, open_private_ca
from mdl.errors import DecodeError, IssuanceError, MdlError, ProfileError, SigningError, VerificationError
from mdl.keys import Signer, SoftwareSigner
from mdl.pki import DOCUMENT_SIGNER, Certificate, CertificateRequest, ExtensionId, Subject, build_csr, lint_certificate
from mdl.testing import CertificateRecipe, ThrowawayAuthority, distinguished_name
from tests.aws_stand_in import CA, TEMPLATE, Body, StandIn, refuse, serving, set_credentials
from tests.service.verdicts import assert_accepted

pytestmark = pytest.mark.service

NOW = datetime.now(UTC)
SECOND = NOW.replace(microsecond=0)
WISH = Subject(country="XU", state="XU-EX", common_name="what the requester would like")
KU, EKU, IAN, CRLDP = "2.5.29.15", "2.5.29.37", "2.5.29.18", "2.5.29.31"


@pytest.fixture
def ca(stand_in: StandIn) -> Iterator[PrivateCa]:
    with open_private_ca(stand_in.ca_uri, root=stand_in.root) as ca:
        yield ca


@pytest.fixture(scope="module")
def signer() -> Signer:
    return SoftwareSigner.generate()


@pytest.fixture(scope="module")
def request_of(signer: Signer) -> CertificateRequest:
    return request_document_signer(signer, WISH)


def never(_prompt: str) -> str:
    raise AssertionError("a secret was asked for")


def issue(ca: PrivateCa, request: CertificateRequest | bytes, **changes: Any) -> Certificate:
    arguments: dict[str, Any] = {"common_name": "DS 1", "not_before": NOW}
    return ca.issue_document_signer(request, **(arguments | changes))


def refused(ca: PrivateCa, request: CertificateRequest | bytes, kind: type[MdlError], **changes: Any) -> MdlError:
    with pytest.raises(kind) as caught:
        issue(ca, request, **changes)
    assert "words of the service" not in str(caught.value)
    return caught.value


# --- What is right ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", ["ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"])
def test_a_signer_in_kms_under_private_ca_convinces_reader_and_oracle(stand_in: StandIn, spec: str) -> None:
    stand_in.new_key(spec, alias="alias/ds")
    root = fetch_root(stand_in.ca_uri)
    with (
        open_signer(stand_in.key_uri("alias/ds"), secret=never) as signer,
        open_private_ca(stand_in.ca_uri, root=root) as ca,
    ):
        request = request_document_signer(signer, WISH)
        certificate = issue(ca, request.der)
        assert_accepted(signer, certificate, root)


def test_it_issues_what_our_own_root_would(
    stand_in: StandIn, ca: PrivateCa, iaca: Iaca, request_of: CertificateRequest
) -> None:
    wishes: dict[str, Any] = {"organization": "Utopia Motor Vehicles", "locality": "Amaurot"}
    theirs = issue(ca, request_of, **wishes)
    ours = iaca.issue_document_signer(request_of, common_name="DS 1", not_before=NOW, serial=theirs.serial, **wishes)
    left = set(theirs.extensions) - set(ours.extensions)
    assert left == {ExtensionId.BASIC_CONSTRAINTS}  # of the service's template: CA FALSE
    assert {oid: theirs.extensions[oid] for oid in ours.extensions} == dict(ours.extensions)
    assert (theirs.spki, theirs.not_before, theirs.not_after) == (ours.spki, ours.not_before, ours.not_after)
    assert [each.value for each in theirs.subject.attributes] == [each.value for each in ours.subject.attributes]
    findings = lint_certificate(theirs, DOCUMENT_SIGNER, issuer=iaca.certificate, at=NOW)
    assert [finding.rule for finding in findings] == ["ds.bc.present"]


def test_the_service_is_asked_as_it_documents(stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest) -> None:
    issue(ca, request_of.pem.encode(), crl_uri="https://mdl.example/other.crl", not_after=NOW + timedelta(days=30))
    (asked,) = [body for name, body in stand_in.asked if name == "IssueCertificate"]
    custom = {each["ObjectIdentifier"]: each for each in asked["ApiPassthrough"]["Extensions"]["CustomExtensions"]}
    assert asked["CertificateAuthorityArn"] == CA
    assert (asked["TemplateArn"], asked["SigningAlgorithm"]) == (TEMPLATE, "SHA384WITHECDSA")
    assert base64.b64decode(asked["Csr"]) == request_of.pem.encode()
    assert asked["ValidityNotBefore"] == {"Type": "ABSOLUTE", "Value": int(SECOND.timestamp())}
    assert asked["Validity"] == {"Type": "ABSOLUTE", "Value": int((SECOND + timedelta(days=30)).timestamp())}
    assert asked["ApiPassthrough"]["Subject"] == {"Country": "XU", "State": "XU-EX", "CommonName": "DS 1"}
    assert {oid: each["Critical"] for oid, each in custom.items()} == {KU: True, EKU: True, IAN: False, CRLDP: False}
    assert b"https://mdl.example/other.crl" in base64.b64decode(custom[CRLDP]["Value"])
    assert len(asked["IdempotencyToken"]) <= 36


def test_a_certificate_that_takes_its_time_is_waited_for(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_ca, "_FIRST_PAUSE", 0.01)
    stand_in.pending = 3
    assert issue(ca, request_of).public_key == request_of.public_key
    assert stand_in.count("GetCertificate") == 4


def test_a_certificate_without_basic_constraints_is_as_good(
    stand_in: StandIn, ca: PrivateCa, iaca: Iaca, request_of: CertificateRequest
) -> None:
    stand_in.forge = lambda recipe: recipe.with_changes(extensions={"bc": None})
    assert lint_certificate(issue(ca, request_of), DOCUMENT_SIGNER, issuer=iaca.certificate) == ()


def test_names_in_another_order_are_as_good(stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest) -> None:
    stand_in.forge = lambda recipe: replace(recipe, subject=distinguished_name(CN="DS 1", ST="XU-EX", C="XU"))
    assert issue(ca, request_of).subject.common_name == "DS 1"


# --- What comes back is not what was asked for -----------------------------------------------------------------------

STRANGER = SoftwareSigner.generate("P-384")
Forgery = Callable[[CertificateRecipe], CertificateRecipe]


def extension(name: str, value: x509.ExtensionType | None, *, critical: bool = False) -> Forgery:
    """Another extension in the place of that name, or none."""
    return lambda recipe: recipe.with_changes(extensions={name: None if value is None else (value, critical)})


def turned(oid: str) -> Forgery:
    """The same extension with the other criticality."""

    def forge(recipe: CertificateRecipe) -> CertificateRecipe:
        value, critical = recipe.extensions[oid]
        return recipe.with_changes(extensions={oid: (value, not critical)})

    return forge


def changed(**attributes: Any) -> Forgery:
    return lambda recipe: replace(recipe, **attributes)


def later(recipe: CertificateRecipe) -> CertificateRecipe:
    return replace(recipe, not_after=recipe.not_after + timedelta(seconds=1))


def earlier(recipe: CertificateRecipe) -> CertificateRecipe:
    return replace(recipe, not_before=recipe.not_before - timedelta(hours=1))


def purpose(*oids: str) -> x509.ExtendedKeyUsage:
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids])


def point(uri: str) -> x509.CRLDistributionPoints:
    name = x509.UniformResourceIdentifier(uri)
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])


TWICE = distinguished_name(CN="DS 1")
SAN = x509.SubjectAlternativeName([x509.DNSName("ds.example")])
FORGERIES: dict[str, tuple[Forgery, str]] = {
    "another issuer": (changed(issuer=distinguished_name(C="XU", ST="XU-EX", CN="Another")), "issuer"),
    "another root's signature": (changed(signer=STRANGER), "signature"),
    "another digest": (changed(digest=hashes.SHA512()), "findings"),
    "another key": (changed(public_key=STRANGER.public_key), "key"),
    "another common name": (changed(subject=distinguished_name(C="XU", ST="XU-EX", CN="DS 2")), "subject"),
    "the requester's name": (changed(subject=distinguished_name(C="XU", ST="XU-EX", CN=WISH.common_name)), "subject"),
    "another state": (changed(subject=distinguished_name(C="XU", ST="XU-EY", CN="DS 1")), "subject"),
    "no state": (changed(subject=distinguished_name(C="XU", CN="DS 1")), "subject"),
    "a name more": (changed(subject=distinguished_name(C="XU", ST="XU-EX", O="More", CN="DS 1")), "subject"),
    "a name twice": (
        changed(
            subject=x509.Name([*distinguished_name(C="XU", ST="XU-EX", CN="DS 1"), *distinguished_name(CN="DS 1")])
        ),
        "subject",
    ),
    "a longer validity": (later, "validity"),
    "an earlier beginning": (earlier, "validity"),
    "no extended key usage": (extension(EKU, None), "extension"),
    "extended key usage that is not critical": (turned(EKU), "extension"),
    "another purpose": (extension(EKU, purpose("1.3.6.1.5.5.7.3.1"), critical=True), "extension"),
    "a purpose more": (extension(EKU, purpose("1.0.18013.5.1.2", "1.3.6.1.5.5.7.3.1"), critical=True), "extension"),
    "no key usage": (extension(KU, None), "extension"),
    "key usage that is not critical": (turned(KU), "extension"),
    "no contact": (extension(IAN, None), "extension"),
    "a critical contact": (turned(IAN), "extension"),
    "no address of the CRL": (extension(CRLDP, None), "extension"),
    "the service's own address of the CRL": (extension(CRLDP, point("http://bucket.example/crl/1.crl")), "extension"),
    "no authority key identifier": (extension("aki", None), "extension"),
    "no subject key identifier": (extension("ski", None), "extension"),
    "another subject key identifier": (extension("ski", x509.SubjectKeyIdentifier(bytes(20))), "extension"),
    "a CA": (extension("bc", x509.BasicConstraints(ca=True, path_length=None)), "extension"),
    "critical basic constraints": (turned("bc"), "extension"),
    "an alternative name that nobody asked for": (extension("san", SAN), "extension"),
    "a small serial number": (changed(serial=7), "findings"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_certificate_that_differs_is_not_handed_out(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest, forgery: str
) -> None:
    stand_in.forge, what = FORGERIES[forgery]
    error = refused(ca, request_of, ProfileError)
    assert error.code == f"private_ca.{what}"
    assert "revoke serial number" in error.message


def test_a_certificate_with_the_roots_own_serial_number_is_not_handed_out(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest
) -> None:
    stand_in.forge = changed(serial=ca.certificate.serial)
    error = refused(ca, request_of, ProfileError)
    assert error.code == "private_ca.serial"
    assert "revoke" not in error.message  # that would name the root in its own CRL


@pytest.mark.parametrize(
    "text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "twice"]
)
def test_what_is_not_one_certificate_is_refused(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest, text: str
) -> None:
    stand_in.spoil["GetCertificate"] = lambda _, honest: {
        "Certificate": 2 * honest["Certificate"] if text == "twice" else text
    }
    assert refused(ca, request_of, ProfileError).code == "private_ca.malformed"


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("IssueCertificate", {}),
        ("IssueCertificate", {"CertificateArn": 7}),
        ("IssueCertificate", {"CertificateArn": "arn:aws:acm-pca:::certificate/1"}),
        ("IssueCertificate", {"CertificateArn": f"{CA}/certificate/1\n"}),
        ("IssueCertificate", b"{"),
        ("GetCertificate", {}),
        ("GetCertificate", b"7"),
    ],
    ids=str,
)
def test_an_answer_that_makes_no_sense_is_refused(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest, operation: str, answer: Body | bytes
) -> None:
    stand_in.spoil[operation] = lambda *_: answer
    error = refused(ca, request_of, SigningError)
    assert error.code == "signing.malformed_answer"


# --- A service that refuses, fails or dawdles ------------------------------------------------------------------------


REFUSALS = [
    ("IssueCertificate", "ThrottlingException", 400, "signing.throttled", True),
    ("IssueCertificate", "InternalFailure", 500, "signing.service_failed", True),
    ("IssueCertificate", "AccessDeniedException", 400, "signing.access_denied", False),
    ("IssueCertificate", "InvalidStateException", 400, "signing.ca_unusable", False),
    ("IssueCertificate", "LimitExceededException", 400, "signing.quota_exceeded", False),
    ("IssueCertificate", "MalformedCSRException", 400, "signing.request_refused", False),
    ("IssueCertificate", "InvalidArgsException", 400, "signing.service_refused", False),
    ("GetCertificate", "RequestFailedException", 400, "signing.request_refused", False),
    ("GetCertificate", "ResourceNotFoundException", 400, "signing.ca_missing", False),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal[1])
def test_a_refusal_says_who_must_act(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest, refusal: tuple[str, str, int, str, bool]
) -> None:
    operation, name, status, code, retryable = refusal
    stand_in.spoil[operation] = refuse(name, status)
    error = refused(ca, request_of, SigningError)
    assert isinstance(error, SigningError)
    assert (error.code, error.retryable) == (code, retryable)


def test_a_certificate_that_does_not_come_is_not_waited_for_without_end(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_ca, "_PATIENCE", 0.2)
    monkeypatch.setattr(private_ca, "_FIRST_PAUSE", 0.05)
    stand_in.pending = 1000
    error = refused(ca, request_of, SigningError)
    assert isinstance(error, SigningError)
    assert (error.code, error.retryable) == ("signing.certificate_pending", True)
    assert f"{CA}/certificate/" in error.message
    assert stand_in.count("GetCertificate") < 5


# --- What is not even asked ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"not_after": NOW + timedelta(days=457)}, "build.validity"),
        ({"not_after": NOW - timedelta(seconds=1)}, "build.validity"),
        ({"not_before": NOW - timedelta(days=1)}, "build.validity"),
        ({"not_before": NOW + timedelta(days=3200), "not_after": NOW + timedelta(days=3300)}, "build.validity"),
        ({"crl_uri": "ldap://mdl.example"}, "build.crl_uri"),
        ({"common_name": ""}, "build.subject"),
        ({"organization": 65 * "x"}, "build.subject"),
    ],
)
def test_what_makes_no_document_signer_is_not_asked_for(
    stand_in: StandIn, ca: PrivateCa, request_of: CertificateRequest, changes: dict[str, Any], code: str
) -> None:
    assert refused(ca, request_of, ProfileError, **changes).code == code
    assert stand_in.count("IssueCertificate") == 0


def test_a_time_without_a_zone_is_a_mistake(ca: PrivateCa, request_of: CertificateRequest) -> None:
    for changes in ({"not_before": NOW.replace(tzinfo=None)}, {"not_after": NOW.replace(tzinfo=None)}):
        with pytest.raises(ValueError, match="aware"):
            issue(ca, request_of, **changes)


def test_a_request_that_our_own_root_would_refuse_is_not_passed_on(
    stand_in: StandIn, ca: PrivateCa, iaca: Iaca, signer: Signer
) -> None:
    csr = build_csr(WISH, signer).der
    assert refused(ca, csr[:-1], DecodeError).code == "request.malformed"
    assert refused(ca, csr[:-1] + bytes((csr[-1] ^ 1,)), VerificationError).code == "request.possession"
    elsewhere = build_csr(replace(WISH, country="XX"), signer)
    assert refused(ca, elsewhere, IssuanceError).code == "request.country"
    assert refused(ca, build_csr(replace(WISH, state="XU-EY"), signer), IssuanceError).code == "request.state"
    assert refused(ca, build_csr(WISH, iaca.signer), IssuanceError).code == "request.key"
    assert stand_in.count("IssueCertificate") == 0


# --- The root --------------------------------------------------------------------------------------------------------


def opening(stand_in: StandIn, root: Certificate) -> MdlError:
    with pytest.raises(MdlError) as caught, open_private_ca(stand_in.ca_uri, root=root):
        pass
    return caught.value


def test_the_root_is_fetched(stand_in: StandIn, iaca: Iaca) -> None:
    assert fetch_root(stand_in.ca_uri) == iaca.certificate


def test_a_service_that_has_another_root_is_not_used(stand_in: StandIn, ca: PrivateCa) -> None:
    assert opening(stand_in, ThrowawayAuthority().iaca_certificate).code == "private_ca.root"


def test_a_root_that_is_none_is_not_used(stand_in: StandIn) -> None:
    stand_in.root = ThrowawayAuthority().ds_certificate
    with pytest.raises(ProfileError) as caught:
        fetch_root(stand_in.ca_uri)
    assert caught.value.code == "iaca.profile"
    assert opening(stand_in, stand_in.root).code == "iaca.profile"


def test_a_root_without_the_address_of_a_crl_wants_one_for_each_signer(
    request_of: CertificateRequest, stand_in: StandIn
) -> None:
    authority = ThrowawayAuthority(country="XU", state="XU-EX", at=NOW)
    root = Certificate(authority.iaca_recipe.with_changes(extensions={"crldp": None}).build())
    with serving(authority.iaca_key, root) as another, open_private_ca(another.ca_uri, root=root) as ca:
        assert refused(ca, request_of, ProfileError).code == "build.crl_uri"
        assert another.count("IssueCertificate") == 0
        assert issue(ca, request_of, crl_uri="https://mdl.example/a.crl").crl_uris == ("https://mdl.example/a.crl",)


@pytest.mark.parametrize(
    "uri", ["awspca:", f"awspca:///{CA}?region=us-east-1", "awspca:///alias/ca?region=eu-central-1", f"awskms:///{CA}"]
)
def test_a_uri_that_names_no_ca_is_refused(uri: str) -> None:
    with pytest.raises(SigningError) as caught:
        fetch_root(uri)
    assert caught.value.code == "signing.uri_invalid"


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    with pytest.raises(SigningError) as caught:
        fetch_root(f"awspca:///{CA}")
    assert caught.value.code == "signing.extra_missing"


def test_a_ca_that_is_not_in_use_yet_is_told_by_the_emulator_of_others(
    emulator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_credentials(monkeypatch)
    uri = AwsUri.parse(f"awspca:///{CA}?endpoint={emulator}", scheme="awspca")
    with connect("acm-pca", uri) as client:
        subject = {"Country": "XU", "CommonName": "Utopia IACA"}
        configuration = {"KeyAlgorithm": "EC_prime256v1", "SigningAlgorithm": "SHA256WITHECDSA", "Subject": subject}
        made = call(
            client.create_certificate_authority,
            CertificateAuthorityConfiguration=configuration,
            CertificateAuthorityType="ROOT",
        )
    for arn, code in ((made["CertificateAuthorityArn"], "signing.ca_unusable"), (CA, "signing.ca_missing")):
        with pytest.raises(SigningError) as caught:
            fetch_root(f"awspca:///{arn}?endpoint={emulator}")
        assert caught.value.code == code

"""An online side under a CA in AWS Private CA, through the command: ``csr``, ``private-ca``, ``accept``, ``issue``."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from issuer.audit import AuditRecord, Event
from issuer.authority import Authority
from issuer.certificates import Iaca
from issuer.policy import IssuancePolicy
from issuer.store import Role
from mdl.cli import main
from mdl.keys import SoftwareSigner
from mdl.mdoc import IssuerSigned
from mdl.pki import Certificate, Subject, build_csr
from mdl.testing import CertificateRecipe
from tests.authorities import Outcome, content, device_key, licence, public_key_file
from tests.aws_stand_in import StandIn, refuse
from tests.service.verdicts import assert_convincing

pytestmark = pytest.mark.service

Run = Callable[..., Outcome]

REFUSALS = {"AccessDeniedException": "signing.access_denied", "ThrottlingException": "signing.throttled"}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        status = main([*map(str, words)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


@pytest.fixture
def side(run: Run, tmp_path: Path, stand_in: StandIn, iaca: Iaca) -> Path:
    """An online side whose keys are in KMS and whose root is in Private CA, with a request."""
    now = datetime.now(UTC).replace(microsecond=0)
    crl = iaca.publish_crl(number=1, this_update=now - timedelta(minutes=5), next_update=now + timedelta(days=30))
    (tmp_path / "root.crl").write_bytes(crl.der)
    fetched = run("issuer", "private-ca", "--ca", stand_in.ca_uri, "--root-out", tmp_path / "root.pem", "--json")
    assert (fetched.status, fetched.err) == (0, "")
    folder = tmp_path / "online"
    joined = run(
        *("issuer", "join", tmp_path / "root.pem", tmp_path / "root.crl", "--sha256", fetched.json["sha256"]),
        *("--dir", folder, "--token-uri", stand_in.key_uri("alias/online")),
    )
    assert (joined.status, joined.err) == (0, "")
    assert run("issuer", "csr", "--dir", folder).status == 0
    return folder


@pytest.fixture
def certify(run: Run, side: Path, stand_in: StandIn) -> Callable[..., Outcome]:
    """Has Private CA certify the request, into ``ds-1.pem`` beside the online side."""

    def certify(*words: str | Path, request: Path | None = None) -> Outcome:
        return run(
            *("issuer", "private-ca", "--dir", side, "--ca", stand_in.ca_uri),
            *("--request", request or side / "ds-1.csr", "--out", side.parent / "ds-1.pem", *words),
        )

    return certify


def assert_nothing_was_asked(stand_in: StandIn, side: Path) -> None:
    assert stand_in.count("IssueCertificate") == 0
    assert not (side.parent / "ds-1.pem").exists()


# --- What is right ---------------------------------------------------------------------------------------------------


def test_a_signer_of_private_ca_issues_what_convinces_reader_and_oracle(
    run: Run, certify: Callable[..., Outcome], side: Path, stand_in: StandIn
) -> None:
    outcome = certify("--days", "100", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    certificate = Certificate.decode_any((side.parent / "ds-1.pem").read_bytes())
    assert outcome.json["sha256"] == certificate.fingerprint.hex()
    assert certificate.not_after - certificate.not_before == timedelta(days=100)
    assert str(certificate.subject) == "C=XU, ST=XU-EX, CN=Utopia DS 1"
    assert run("issuer", "accept", side.parent / "ds-1.pem", "--dir", side).status == 0
    out = side.parent / "licence.cbor"
    key = public_key_file(side.parent)
    assert run("issuer", "issue", licence(side.parent), "--dir", side, "--device-key", key, "--out", out).status == 0
    issued = IssuerSigned.decode(out.read_bytes())
    assert_convincing(issued, device_key(), certificate=certificate, root=stand_in.root)
    assert Authority(side).verify_audit() == []


def test_name_and_address_may_be_chosen(certify: Callable[..., Outcome], side: Path) -> None:
    assert certify("--common-name", "Signer in the cloud", "--crl-url", "https://mdl.example/other.crl").status == 0
    certificate = Certificate.decode_any((side.parent / "ds-1.pem").read_bytes())
    assert certificate.subject.common_name == "Signer in the cloud"
    assert certificate.crl_uris == ("https://mdl.example/other.crl",)


# --- What is refused -------------------------------------------------------------------------------------------------


def another_root(recipe: CertificateRecipe) -> CertificateRecipe:
    return recipe.with_changes(signer=SoftwareSigner.generate("P-384"))


def a_ca(recipe: CertificateRecipe) -> CertificateRecipe:
    return recipe.with_changes(extensions={"bc": (x509.BasicConstraints(ca=True, path_length=0), True)})


def another_key(recipe: CertificateRecipe) -> CertificateRecipe:
    return recipe.with_changes(public_key=SoftwareSigner.generate().public_key)


def a_longer_life(recipe: CertificateRecipe) -> CertificateRecipe:
    return recipe.with_changes(not_after=recipe.not_after + timedelta(days=1))


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (another_root, "private_ca.signature"),
        (another_key, "private_ca.key"),
        (a_ca, "private_ca.extension"),
        (a_longer_life, "private_ca.validity"),
    ],
)
def test_a_wrong_certificate_is_not_written_and_its_refusal_is_on_record(
    certify: Callable[..., Outcome],
    side: Path,
    stand_in: StandIn,
    forge: Callable[[CertificateRecipe], CertificateRecipe],
    code: str,
) -> None:
    before = content(side)
    stand_in.forge = forge
    assert "revoke serial number" in certify("--days", "30").error(1, code)
    assert stand_in.count("IssueCertificate") == 1
    assert not (side.parent / "ds-1.pem").exists()
    assert content(side) == before
    with Authority(side).audit_records() as records:
        last = AuditRecord.decode([*records][-1].record)
    assert (last.event, last.subjects["verb"], last.subjects["code"]) == (Event.REFUSAL, "private-ca", code)


def test_a_ca_with_another_root_than_ours_is_not_asked(
    certify: Callable[..., Outcome], side: Path, stand_in: StandIn
) -> None:
    stand_in.root = Iaca.create(
        SoftwareSigner.generate(),
        subject=Subject(country="XU", state="XU-EX", common_name="Utopia IACA"),
        not_before=datetime.now(UTC),
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
    ).certificate
    certify().error(1, "private_ca.root")
    assert_nothing_was_asked(stand_in, side)


def test_a_key_that_was_not_made_here_is_not_certified(
    run: Run, certify: Callable[..., Outcome], side: Path, stand_in: StandIn
) -> None:
    request = build_csr(Subject(country="XU", state="XU-EX", common_name="DS 1"), SoftwareSigner.generate())
    (side.parent / "other.csr").write_text(request.pem)
    certify(request=side.parent / "other.csr").error(1, "handover.key")
    assert run("issuer", "csr", "--dir", side, "--role", "status-signer").status == 0
    certify(request=side / "revocation-list-1.csr").error(1, "handover.key")
    assert_nothing_was_asked(stand_in, side)


def test_a_key_with_a_certificate_gets_no_second_one(
    run: Run, certify: Callable[..., Outcome], side: Path, stand_in: StandIn
) -> None:
    assert certify().status == 0
    assert run("issuer", "accept", side.parent / "ds-1.pem", "--dir", side).status == 0
    certify().error(1, "handover.key")
    assert stand_in.count("IssueCertificate") == 1


def test_a_life_beyond_the_policy_is_not_asked_for(
    certify: Callable[..., Outcome], side: Path, stand_in: StandIn
) -> None:
    policy = IssuancePolicy(days={Role.DOCUMENT_SIGNER: 90})
    Authority(side).set_policy(policy, at=datetime.now(UTC))
    certify("--days", "91").error(1, "policy.certificate_days")
    assert_nothing_was_asked(stand_in, side)
    assert certify().status == 0
    certificate = Certificate.decode_any((side.parent / "ds-1.pem").read_bytes())
    assert certificate.not_after - certificate.not_before == timedelta(days=90)


def test_a_service_that_refuses_writes_nothing(certify: Callable[..., Outcome], side: Path, stand_in: StandIn) -> None:
    before = content(side)
    for operation in ("GetCertificateAuthorityCertificate", "IssueCertificate", "GetCertificate"):
        for name, code in REFUSALS.items():
            stand_in.spoil = {operation: refuse(name)}
            assert "words of the service" not in certify().error(4, code)
            assert content(side) == before
            assert {one.name for one in side.parent.iterdir()} == {"online", "root.pem", "root.crl"}


@pytest.mark.parametrize(
    "words",
    [("--root-out", "r.pem", "--days", "3"), ("--root-out", "r.pem", "--out", "c.pem"), ("--request", "r.csr")],
)
def test_options_that_do_not_go_together_are_usage_errors(
    run: Run, stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = run("issuer", "private-ca", "--ca", stand_in.ca_uri, *words)
    assert (outcome.status, outcome.out) == (2, "")
    assert (stand_in.asked, [*tmp_path.iterdir()]) == ([], [])


def test_a_root_that_is_none_is_not_written(run: Run, stand_in: StandIn, iaca: Iaca, tmp_path: Path) -> None:
    stand_in.root = iaca.issue_document_signer(
        SoftwareSigner.generate().public_key, common_name="DS", not_before=datetime.now(UTC)
    )
    out = tmp_path / "root.pem"
    run("issuer", "private-ca", "--ca", stand_in.ca_uri, "--root-out", out).error(1, "iaca.profile")
    assert [*tmp_path.iterdir()] == []

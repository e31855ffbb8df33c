"""From an authority with its keys in a token to a reader's verdict: issue, hold, present, verify."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pycose.keys.cosekey import CoseKey
from pycose.messages.sign1message import Sign1Message

from issuer.authority import Authority
from issuer.issuance import Order
from issuer.records import parse_record, read_below
from mdl.cbor import decode
from mdl.cose import CoseSign1, encode_key
from mdl.errors import VerificationError
from mdl.holder import Holder
from mdl.keys import EphemeralKey, PublicKey, SoftwareSigner
from mdl.mdoc import (
    DeviceRequest,
    DeviceResponse,
    IssuerSigned,
    ValidityInfo,
    device_authentication_bytes,
)
from mdl.pki import Certificate
from mdl.testing import MDL_DOCTYPE, request_for, sample_transcript
from reader import Evidence, Policy, Revocation, SessionContext, TrustStore, Verifier
from tests.authorities import clone, device_key, licence, mdl, public_key_file
from tests.parts import openssl

ASKED = {"org.iso.18013.5.1": ("family_name", "birth_date", "portrait", "issuing_country", "age_over_21")}


def holder_of(issued: bytes, key: SoftwareSigner) -> Holder:
    holder = Holder()
    holder.add(issued, key)
    return holder


def a_request() -> DeviceRequest:
    return request_for((MDL_DOCTYPE, ASKED))


@pytest.fixture(scope="module")
def issued(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A licence, by the command."""
    folder = tmp_path_factory.mktemp("licence")
    words = ("--device-key", public_key_file(folder), "--out", folder / "licence.cbor", "--dir", authority)
    assert mdl("issuer", "issue", licence(folder), *words).status == 0
    return (folder / "licence.cbor").read_bytes()


def test_the_story_told_by_the_commands(authority: Path, issued: bytes, tmp_path: Path) -> None:
    reader_key = EphemeralKey.generate()
    transcript, request = sample_transcript(reader_key.public_key), a_request()
    response = holder_of(issued, device_key()).respond(request, transcript)
    (tmp_path / "response").write_bytes(response.encode())
    (tmp_path / "transcript").write_bytes(transcript.encoded)
    (tmp_path / "request").write_bytes(request.encode())
    words = ("--trust", authority / "iaca.pem", "--crl", authority / "iaca.crl", "--request", tmp_path / "request")
    verify = ("reader", "verify", tmp_path / "response", *words, "--revocation", "required")
    assert mdl(*verify, "--transcript", tmp_path / "transcript").status == 0

    another = sample_transcript(reader_key.public_key, seed="another session")
    (tmp_path / "another").write_bytes(another.encoded)
    outcome = mdl(*verify, "--transcript", tmp_path / "another")
    assert outcome.status == 1
    assert "device_auth.signature" in outcome.out


def test_only_what_was_asked_for_is_disclosed(authority: Path, issued: bytes) -> None:
    transcript = sample_transcript(EphemeralKey.generate().public_key)
    response = holder_of(issued, device_key()).respond(a_request(), transcript).encode()
    shown = {name for _, name, _ in DeviceResponse.decode(response).documents[0].issuer_signed.elements()}
    assert shown == {*ASKED["org.iso.18013.5.1"]}
    assert b"document_number" not in response
    assert b"EX-000001" not in response


def issue(authority: Authority, folder: Path, key: SoftwareSigner, at: datetime) -> bytes:
    record = licence(folder)
    order = Order(
        namespaces=parse_record(record.read_text(), read_file=read_below(folder)).namespaces,
        device_key=key.public_key,
        validity=ValidityInfo(signed=at, valid_from=at, valid_until=at + timedelta(days=14)),
    )
    with authority.open_issuer() as issuer:
        return issuer.issue(order).encode()


@pytest.fixture(scope="module")
def verifier(authority: Path) -> Callable[..., Verifier]:
    def verifier() -> Verifier:
        trust = TrustStore.from_certificates([Authority(authority).root], doctypes=frozenset({MDL_DOCTYPE}))
        return Verifier(trust, policy=Policy.ISO_STRICT, revocation=Revocation.REQUIRED)

    return verifier


CURVES = ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "Ed25519"]


@pytest.mark.parametrize("curve", CURVES)
def test_every_curve_that_the_token_has_serves_a_document_signer(
    pristine: Path, tmp_path: Path, verifier: Callable[[], Verifier], curve: str
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    ours = Authority(clone(pristine, tmp_path / "authority"))
    assert ours.certify_signer(at=now, curve=curve).certificate.public_key.curve.name == curve
    for device_curve, with_mac in (("P-256", False), ("P-384", True), ("Ed25519", False)):
        key = SoftwareSigner.generate(device_curve)
        holder = holder_of(issue(ours, tmp_path, key, now), key)
        reader_key = EphemeralKey.generate(device_curve if with_mac else "P-256")
        transcript = sample_transcript(reader_key.public_key)
        response = holder.respond(a_request(), transcript, mac_with=reader_key.public_key if with_mac else None)
        verified = verifier().verify(
            response.encode(),
            context=SessionContext(transcript=transcript, reader_key=reader_key),
            request=a_request(),
            at=now,
            evidence=Evidence(crls=(ours.current_crl.der,)),
        )
        assert verified.documents[0].elements["org.iso.18013.5.1"]["age_over_21"] is True
        assert (verified.report.failed, verified.report.indeterminate) == ((), ())


def test_a_revoked_document_signer_is_refused_from_the_next_crl_on(
    pristine: Path, tmp_path: Path, verifier: Callable[[], Verifier]
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    ours = Authority(clone(pristine, tmp_path / "authority"))
    signer = ours.certify_signer(at=now)
    key = device_key()
    reader_key = EphemeralKey.generate()
    transcript = sample_transcript(reader_key.public_key)
    response = holder_of(issue(ours, tmp_path, key, now), key).respond(a_request(), transcript).encode()

    def verdict() -> tuple[str, ...]:
        context = SessionContext(transcript=transcript, reader_key=reader_key)
        evidence = Evidence(crls=(ours.current_crl.der,))
        report = verifier().examine(response, context=context, request=a_request(), at=now, evidence=evidence)
        return report.failed

    assert verdict() == ()
    # Not earlier than any other CRL that these tests have made.
    ours.publish_crl(at=datetime.now(UTC).replace(microsecond=0), revoke=[signer.certificate.serial])
    now = datetime.now(UTC)
    assert verdict() == ("issuer_auth.certificate_revocation",)
    assert Authority(ours.folder).certify_signer(at=now.replace(microsecond=0)).key != signer.key


def test_a_licence_of_another_device_is_not_kept(issued: bytes) -> None:
    with pytest.raises(VerificationError) as caught:
        holder_of(issued, SoftwareSigner.generate())
    assert caught.value.code == "credential.device_key"


def test_openssl_accepts_everything_that_the_token_signed(authority: Path, tmp_path: Path) -> None:
    root, signer = authority / "iaca.pem", authority / "ds-1.pem"
    crl = tmp_path / "crl.pem"
    assert "verify OK" in openssl("crl", "-inform", "DER", "-in", authority / "iaca.crl", "-CAfile", root, "-out", crl)
    assert f"{root}: OK" in openssl("verify", "-x509_strict", "-CAfile", root, root)
    checked = openssl("verify", "-x509_strict", "-crl_check", "-CRLfile", crl, "-CAfile", root, signer)
    assert f"{signer}: OK" in checked
    assert "verify OK" in openssl("req", "-verify", "-noout", "-in", authority / "ds-1.csr")


def oracle_accepts(message: CoseSign1, key: PublicKey, detached: bytes | None = None) -> bool:
    theirs = Sign1Message.from_cose_obj(list(decode(message.encode())), allow_unknown_attributes=True)
    theirs.key = CoseKey.from_dict(encode_key(key))
    try:
        return bool(theirs.verify_signature(detached_payload=detached))
    except ValueError:
        return False


def test_an_independent_implementation_verifies_what_token_and_device_signed(authority: Path, issued: bytes) -> None:
    issuer_auth = IssuerSigned.decode(issued).issuer_auth
    signer = Certificate.decode_any((authority / "ds-1.pem").read_bytes())
    assert oracle_accepts(issuer_auth, signer.public_key)
    assert not oracle_accepts(issuer_auth, device_key().public_key)

    transcript = sample_transcript(EphemeralKey.generate().public_key)
    device_signed = holder_of(issued, device_key()).respond(a_request(), transcript).documents[0].device_signed
    assert device_signed is not None
    assert device_signed.signature is not None
    payload = device_authentication_bytes(transcript, MDL_DOCTYPE, device_signed.name_spaces_bytes.raw)
    assert oracle_accepts(device_signed.signature, device_key().public_key, payload)
    assert not oracle_accepts(device_signed.signature, device_key().public_key, payload + b"!")

"""A key that is not supported: what it is, is said in one of three sentences, wherever a key is loaded."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import csr
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from mdl.cli import main
from mdl.cli.inspection import inspect
from mdl.cose import decode_key
from mdl.errors import DecodeError, ProfileError, UnsupportedError
from mdl.keys import CURVES, NOT_IMPLEMENTED, EphemeralKey, PublicKey, SoftwareSigner, unsupported_spki
from mdl.pki import DOCUMENT_SIGNER, IACA, Certificate, build_csr, decode_csr, lint_certificate
from mdl.testing import MDL_DOCTYPE, TEST_TIME, Recipe, deterministic_key
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from reader.verification import SessionContext, Verifier
from test_vectors.source.brainpool import SPKI_PREFIX, brainpool320_key
from test_vectors.source.signers import forged_der
from test_vectors.source.stage import AUTHORITY
from tests.x509_forgery import START, SUBJECT, forge, honest, set_field

MODULUS = (1 << 2047) | 0xABCDEF


def spki_of(key: Any) -> bytes:
    return bytes(key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def on(curve: ec.EllipticCurve) -> bytes:
    return spki_of(ec.derive_private_key(4711, curve).public_key())


RSA = spki_of(rsa.RSAPublicNumbers(65537, MODULUS).public_key())
SENTENCES: Mapping[str, tuple[bytes, str]] = {
    "RSA": (RSA, "the key is an RSA key, and keys of the standard are on curves"),
    "secp256k1": (on(ec.SECP256K1()), "the key is on secp256k1, which is not a curve of the standard"),
    "P-224": (on(ec.SECP224R1()), "the key is on P-224, which is not a curve of the standard"),
    "brainpoolP320r1": (
        SPKI_PREFIX + brainpool320_key("device").point,
        "the key is on brainpoolP320r1, a curve of the standard that is not implemented here",
    ),
    "brainpoolP256t1": (
        on(ec.SECP256K1())
        .replace(bytes.fromhex("06052b8104000a"), bytes.fromhex("06092b2403030208010108"))
        .replace(b"\x30\x56\x30\x10", b"\x30\x5a\x30\x14"),
        "the key is on brainpoolP256t1, which is not a curve of the standard",
    ),
    "a curve without a name": (
        on(ec.SECP256K1()).replace(bytes.fromhex("06052b8104000a"), bytes.fromhex("06052b81040077")),
        "the key is on the curve 1.3.132.0.119, which is not a curve of the standard",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_each_kind_of_key_has_its_sentence_at_each_door(name: str) -> None:
    spki, sentence = SENTENCES[name]
    text = b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(spki) + b"-----END PUBLIC KEY-----\n"
    certificate = certificate_for(spki)
    for door in (
        lambda: PublicKey.from_spki(spki),
        lambda: PublicKey.from_pem(text),
        lambda: certificate.public_key,
        lambda: decode_csr(request_for(spki)),
    ):
        assert refusal(door) == ("key.unsupported", sentence)
    (finding,) = [one for one in lint_certificate(certificate, DOCUMENT_SIGNER) if one.rule == "ds.key.type"]
    assert finding.security
    assert sentence in finding.message


def certificate_for(spki: bytes) -> Certificate:
    return forge(honest(DOCUMENT_SIGNER)[0], set_field("subject_public_key_info", asn1_keys.PublicKeyInfo.load(spki)))


def request_for(spki: bytes) -> bytes:
    fields = csr.CertificationRequest.load(build_csr(SUBJECT, deterministic_key("requester")).der)
    body = fields["certification_request_info"].copy()
    body["subject_pk_info"] = asn1_keys.PublicKeyInfo.load(spki)
    fields["certification_request_info"] = body
    return bytes(fields.dump(force=True))


def refusal(load: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(UnsupportedError) as caught:
        load()
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ({1: 3, -1: MODULUS.to_bytes(256), -2: b"\1\0\1"}, SENTENCES["RSA"][1]),
        ({1: 2, -1: 8, -2: bytes(32), -3: bytes(32)}, SENTENCES["secp256k1"][1]),
        ({1: 2, -1: 257, -2: bytes(40), -3: bytes(40)}, SENTENCES["brainpoolP320r1"][1]),
        (
            {1: 2, -1: 99, -2: bytes(40), -3: bytes(40)},
            "the key is on COSE curve 99, which is not a curve of the standard",
        ),
        ({1: 4, -1: bytes(32)}, "the key is a symmetric key, and keys of the standard are on curves"),
        ({1: 5, -1: bytes(32)}, "the key is an HSS/LMS key, and keys of the standard are on curves"),
        ({1: 2, -1: 10**5000, -2: bytes(40), -3: bytes(40)}, None),
    ],
)
def test_a_cose_key_has_the_same_sentences(key: dict[int, Any], sentence: str | None) -> None:
    code, message = refusal(lambda: decode_key(key))
    assert code == "key.unsupported"
    assert message == sentence or (sentence is None and len(message) < 300)


def test_a_key_object_has_the_same_sentences() -> None:
    private = rsa.generate_private_key(65537, 2048)
    expected = ("key.unsupported", SENTENCES["RSA"][1])
    assert refusal(lambda: PublicKey.from_cryptography(private.public_key())) == expected
    secp256k1 = ec.derive_private_key(4711, ec.SECP256K1())
    assert refusal(lambda: SoftwareSigner(secp256k1)) == ("key.unsupported", SENTENCES["secp256k1"][1])
    assert refusal(lambda: SoftwareSigner(private)) == ("key.cannot_sign", SENTENCES["RSA"][1])
    assert refusal(lambda: EphemeralKey(private)) == ("key.cannot_agree", SENTENCES["RSA"][1])
    numbers = dsa.DSAParameterNumbers(p=(1 << 1023) | 1, q=(1 << 159) | 1, g=2)
    key = dsa.DSAPublicNumbers(4, numbers).public_key()
    sentence = "the key is a DSA key, and keys of the standard are on curves"
    assert refusal(lambda: PublicKey.from_cryptography(key)) == ("key.unsupported", sentence)
    assert refusal(lambda: PublicKey.from_cryptography("key")) == ("key.unsupported", "a str is no key")


@pytest.mark.parametrize(
    ("spki", "message"),
    [
        (b"", "the key's algorithm is not supported"),
        (b"\x30\x03\x02\x01\x05", "the key's algorithm is not supported"),
        (bytes.fromhex("3009300406022a03030100"),
         "the key is of the kind 1.2.3, and keys of the standard are on curves"),
        (bytes.fromhex("300e300906072a8648ce3d0201030100"),
         "the key is not on a named curve: the curve is left out or given by its parameters"),
        (bytes.fromhex("302a300506032b656e032100") + bytes(32), "the key is on X25519, and it cannot sign"),
        (bytes.fromhex("302c300706032b65700500032100") + bytes(32),
         "the key is on Ed25519, and its algorithm identifier has another form than that curve's"),
    ],
)  # fmt: skip
def test_what_no_sentence_fits_is_said_too(spki: bytes, message: str) -> None:
    assert unsupported_spki(spki).message == message


def test_the_curves_of_the_standard_that_are_not_implemented_are_in_no_table() -> None:
    assert not NOT_IMPLEMENTED.keys() & {curve.oid for curve in CURVES.values()}
    assert set(NOT_IMPLEMENTED.values()) == {"brainpoolP320r1"}


@pytest.mark.parametrize("name", SENTENCES)
@pytest.mark.parametrize("policy", Policy)
def test_the_verifier_says_it_of_a_document_signer(name: str, policy: Policy) -> None:
    spki, sentence = SENTENCES[name]

    def change(body: Any) -> None:
        body["subject_public_key_info"] = asn1_keys.PublicKeyInfo.load(spki)

    made = Recipe(authority=AUTHORITY, x5chain=forged_der(AUTHORITY.ds_certificate, change)).present()
    trust = TrustStore.from_certificates([AUTHORITY.iaca_certificate], doctypes=frozenset({MDL_DOCTYPE}))
    report = Verifier(trust, policy=policy, revocation=Revocation.IF_GIVEN).examine(
        made.response,
        context=SessionContext(transcript=made.transcript, reader_key=made.reader_key),
        request=made.request,
        at=TEST_TIME,
        evidence=Evidence(),
    )
    details = {check.id: check.detail for check in report}
    assert details["issuer_auth.algorithm"] == f"the document signer's key cannot be used: {sentence}"
    assert "issuer_auth.profile" in report.failed


def test_trusting_a_root_says_it() -> None:
    for spki, sentence in SENTENCES.values():
        root = forge(honest(IACA)[0], set_field("subject_public_key_info", asn1_keys.PublicKeyInfo.load(spki)))
        with pytest.raises(ProfileError) as caught:
            TrustAnchor.admit(root, doctypes=ANY_DOCTYPE, at=START + timedelta(days=2))
        assert sentence in str(caught.value)


def test_the_linter_says_it_of_a_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (spki, sentence) in enumerate(SENTENCES.values()):
        file = tmp_path / f"{number}.csr"
        file.write_bytes(request_for(spki))
        assert main(["lint", str(file), "--json"]) == 3
        (one,) = json.loads(capsys.readouterr().out)["unreadable"]
        assert (one["code"], one["message"]) == ("key.unsupported", sentence)


def test_the_inspector_says_it_of_a_public_key() -> None:
    for spki, sentence in SENTENCES.values():
        assert refusal(lambda spki=spki: list(inspect(spki))) == ("key.unsupported", sentence)  # type: ignore[misc]
    small = bytes.fromhex("3043300506032b6571033a00") + bytes(57)
    with pytest.raises(DecodeError) as caught:
        list(inspect(small))
    assert caught.value.message.startswith("the key is a point of small order")

"""Keys, curves and algorithms: what signs, what agrees, what is refused, and the contract of X.509 signing."""

import base64
import copy
import datetime as dt
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from mdl import keys
from mdl.errors import DecodeError, MdlError, SigningError, UnsupportedError, VerificationError
from mdl.keys import (
    ALGORITHMS,
    CURVES,
    Curve,
    EphemeralKey,
    PublicKey,
    Signer,
    SoftwareSigner,
    der_to_raw,
    hkdf_sha256,
    hmac_sha256,
    raw_to_der,
    x509_signing_key,
)

EC_CURVES = [name for name, curve in CURVES.items() if curve.kind == "EC"]
SIGNING_CURVES = [name for name, curve in CURVES.items() if curve.algorithm]
AGREEING_CURVES = [name for name, curve in CURVES.items() if curve.can_agree]
MESSAGE = b"what is signed"

SIGNERS: dict[str, SoftwareSigner] = {name: SoftwareSigner.generate(name) for name in SIGNING_CURVES}
EPHEMERALS: dict[str, EphemeralKey] = {name: EphemeralKey.generate(name) for name in AGREEING_CURVES}


def code_of(kind: type[MdlError], act: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(kind) as caught:
        act(*arguments)
    assert type(caught.value) is kind
    return caught.value.code


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cose_id", "oid", "algorithm", "sizes"),
    [
        ("P-256", 1, "1.2.840.10045.3.1.7", "ES256", (32, 64)),
        ("P-384", 2, "1.3.132.0.34", "ES384", (48, 96)),
        ("P-521", 3, "1.3.132.0.35", "ES512", (66, 132)),
        ("X25519", 4, "1.3.101.110", None, (32, 0)),
        ("X448", 5, "1.3.101.111", None, (56, 0)),
        ("Ed25519", 6, "1.3.101.112", "EdDSA", (32, 64)),
        ("Ed448", 7, "1.3.101.113", "EdDSA", (57, 114)),
        ("brainpoolP256r1", 256, "1.3.36.3.3.2.8.1.1.7", "ES256", (32, 64)),
        ("brainpoolP384r1", 258, "1.3.36.3.3.2.8.1.1.11", "ES384", (48, 96)),
        ("brainpoolP512r1", 259, "1.3.36.3.3.2.8.1.1.13", "ES512", (64, 128)),
    ],
)
def test_the_table_of_curves(name: str, cose_id: int, oid: str, algorithm: str | None, sizes: tuple[int, int]) -> None:
    curve = CURVES[name]
    found = curve.algorithm.name if curve.algorithm else None
    assert (curve.cose_id, curve.oid, found) == (cose_id, oid, algorithm)
    assert (curve.coordinate_size, curve.signature_size) == sizes
    assert keys.CURVES_BY_COSE_ID[cose_id] is curve
    assert len(CURVES) == 10
    assert curve.can_agree == (not name.startswith("Ed"))


def test_the_table_of_algorithms() -> None:
    rows = {one.cose_id: (one.name, one.hash_name, one.digest_size) for one in ALGORITHMS.values()}
    assert rows == {
        -7: ("ES256", "sha256", 32),
        -35: ("ES384", "sha384", 48),
        -36: ("ES512", "sha512", 64),
        -8: ("EdDSA", None, None),
    }
    for number, one in ALGORITHMS.items():
        assert number == one.cose_id
        assert (one.hash.name if one.hash else None) == one.hash_name


def test_nobody_adds_to_the_tables() -> None:
    for table in (CURVES, ALGORITHMS):
        with pytest.raises(TypeError):
            table["P-192"] = None  # type: ignore[index]


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNING_CURVES)
def test_every_signing_curve_signs_and_verifies(name: str) -> None:
    signer = SIGNERS[name]
    signature = signer.sign(MESSAGE)
    assert len(signature) == CURVES[name].signature_size
    signer.public_key.verify(signature, MESSAGE)
    assert isinstance(signer, Signer)
    assert signer.public_key.algorithm is CURVES[name].algorithm


@pytest.mark.parametrize("name", EC_CURVES)
def test_the_digest_is_the_one_of_the_curve(name: str) -> None:
    """Seen from outside: the library verifies with the curve's own digest and with no other."""
    signer = SIGNERS[name]
    der = raw_to_der(signer.sign(MESSAGE))
    key: Any = signer.public_key.key
    expected = {32: "sha256", 48: "sha384", 64: "sha512", 66: "sha512"}[CURVES[name].coordinate_size]
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        if digest.name == expected:
            key.verify(der, MESSAGE, ec.ECDSA(digest))
        else:
            with pytest.raises(InvalidSignature):
                key.verify(der, MESSAGE, ec.ECDSA(digest))


@pytest.mark.parametrize("name", SIGNING_CURVES)
def test_signatures_that_are_not_the_keys_over_that_message(name: str) -> None:
    signer = SIGNERS[name]
    signature = signer.sign(MESSAGE)
    size = len(signature)
    flipped = [bytes((*signature[:at], signature[at] ^ 1, *signature[at + 1 :])) for at in (0, size // 2, size - 1)]
    forged = [
        b"",
        signature[:-1],
        signature[1:],
        signature + b"\x00",
        b"\x00" + signature,
        signature * 2,
        bytes(size),
        b"\xff" * size,
        bytes(size // 2) + signature[size // 2 :],
        signature[: size // 2] + bytes(size // 2),
        SoftwareSigner.generate(name).sign(MESSAGE),
        signer.sign(MESSAGE + b"\x00"),
        *flipped,
    ]
    if CURVES[name].kind == "EC":
        forged += [signature[size // 2 :] + signature[: size // 2], raw_to_der(signature)]
    for one in forged:
        assert code_of(VerificationError, signer.public_key.verify, one, MESSAGE) == "signature.invalid"
    assert code_of(VerificationError, signer.public_key.verify, signature, b"") == "signature.invalid"


@pytest.mark.parametrize("name", EC_CURVES)
def test_both_forms_of_s_are_accepted(name: str) -> None:
    """The standard asks for no low s, and custodians give either."""
    curve: Any = CURVES[name].ec
    order = curve.group_order
    signer = SIGNERS[name]
    width = CURVES[name].coordinate_size
    signature = signer.sign(MESSAGE)
    r, s = int.from_bytes(signature[:width]), int.from_bytes(signature[width:])
    signer.public_key.verify(r.to_bytes(width) + (order - s).to_bytes(width), MESSAGE)
    # But r and s stay below the order: the same numbers beyond it are another signature.
    if s + order < 1 << 8 * width:
        with pytest.raises(VerificationError):
            signer.public_key.verify(r.to_bytes(width) + (s + order).to_bytes(width), MESSAGE)


@pytest.mark.parametrize("name", SIGNING_CURVES)
def test_a_signature_is_good_on_its_own_curve_only(name: str) -> None:
    for other in SIGNING_CURVES:
        if other != name:
            with pytest.raises(VerificationError):
                SIGNERS[other].public_key.verify(SIGNERS[name].sign(MESSAGE), MESSAGE)


@pytest.mark.parametrize("name", ["X25519", "X448"])
def test_keys_that_only_agree_cannot_sign_or_verify(name: str) -> None:
    public = EPHEMERALS[name].public_key
    assert code_of(UnsupportedError, lambda: public.algorithm) == "key.cannot_sign"
    assert code_of(UnsupportedError, public.verify, bytes(64), MESSAGE) == "key.cannot_sign"
    assert code_of(UnsupportedError, SoftwareSigner.generate, name) == "key.unsupported"


def test_deterministic_signing_repeats_itself_and_random_signing_does_not() -> None:
    for name in EC_CURVES:
        fixed = [SoftwareSigner.from_secret(name, 12345, deterministic=True).sign(MESSAGE) for _ in range(2)]
        assert fixed[0] == fixed[1]
        drawn = [SoftwareSigner.from_secret(name, 12345).sign(MESSAGE) for _ in range(2)]
        assert drawn[0] != drawn[1]
        SoftwareSigner.from_secret(name, 12345).public_key.verify(fixed[0], MESSAGE)


def test_deterministic_signing_is_that_of_rfc_6979() -> None:
    """A.2.5, P-256 with SHA-256, message "sample"."""
    secret = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    signature = SoftwareSigner.from_secret("P-256", secret, deterministic=True).sign(b"sample")
    assert signature.hex() == (
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    )


# --- raw and DER ------------------------------------------------------------------------------------------------------


@given(st.sampled_from(EC_CURVES), st.data())
def test_raw_and_der_are_two_forms_of_one_signature(name: str, data: st.DataObject) -> None:
    curve = CURVES[name]
    raw = data.draw(st.binary(min_size=curve.signature_size, max_size=curve.signature_size))
    der = raw_to_der(raw)
    half = curve.coordinate_size
    assert decode_dss_signature(der) == (int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    assert der_to_raw(der, curve) == raw


def test_small_numbers_keep_their_full_width() -> None:
    curve = CURVES["P-521"]
    raw = der_to_raw(encode_dss_signature(1, 2), curve)
    assert raw == (1).to_bytes(66) + (2).to_bytes(66)


@pytest.mark.parametrize("raw", [b"", b"\x01", bytes(63), bytes(65)])
def test_a_raw_signature_has_two_equal_halves(raw: bytes) -> None:
    with pytest.raises(ValueError):
        raw_to_der(raw)


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\x30",
        bytes(64),
        encode_dss_signature(1, 2) + b"\x00",
        encode_dss_signature(1, 2)[:-1],
        encode_dss_signature(1 << 256, 2),
        encode_dss_signature(1, 1 << 256),
        b"\x30\x06\x02\x01\xff\x02\x01\x01",  # r is negative
        b"\x30\x81\x06\x02\x01\x01\x02\x01\x01",  # a length in the long form
    ],
)
def test_what_is_no_der_signature_for_the_curve(der: bytes) -> None:
    assert code_of(SigningError, der_to_raw, der, CURVES["P-256"]) == "signing.malformed_signature"


# --- public keys ------------------------------------------------------------------------------------------------------

ALL_PUBLIC = {
    **{name: one.public_key for name, one in EPHEMERALS.items()},
    **{name: one.public_key for name, one in SIGNERS.items()},
}


@pytest.mark.parametrize("name", list(CURVES))
def test_every_public_key_survives_every_form(name: str) -> None:
    key = ALL_PUBLIC[name]
    assert key.curve is CURVES[name]
    for again in (
        PublicKey.from_spki(key.spki),
        PublicKey.from_pem(key.pem),
        PublicKey.from_point(key.curve, key.point),
        PublicKey.from_cryptography(key.key),
    ):
        assert again == key
        assert hash(again) == hash(key)
        assert again.curve is key.curve
        assert again.spki == key.spki
    assert key != key.spki
    assert repr(key) == f"PublicKey({name})"


@pytest.mark.parametrize("name", list(CURVES))
def test_keys_on_different_curves_or_of_different_people_differ(name: str) -> None:
    assert [other for other in CURVES if ALL_PUBLIC[other] == ALL_PUBLIC[name]] == [name]
    if name in SIGNING_CURVES:
        assert SoftwareSigner.generate(name).public_key != ALL_PUBLIC[name]


@pytest.mark.parametrize("name", EC_CURVES)
def test_compressed_points_give_the_same_key(name: str) -> None:
    key = ALL_PUBLIC[name]
    compressed = key.key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    assert PublicKey.from_point(key.curve, compressed) == key


def off_curve(curve: Curve, point: bytes) -> bytes:
    return point[:-1] + bytes((point[-1] ^ 1,)) if curve.kind == "EC" else point[:-1]


@pytest.mark.parametrize("name", list(CURVES))
def test_points_that_are_none(name: str) -> None:
    curve, point = CURVES[name], ALL_PUBLIC[name].point
    size = curve.coordinate_size
    wrong = [b"", point[:-1], point + b"\x00", off_curve(curve, point)]
    if curve.kind == "EC":
        wrong += [
            b"\x00",  # the point at infinity
            b"\x04" + bytes(2 * size),
            b"\x04" + b"\xff" * (2 * size),
            b"\x02" + b"\xff" * size,
            b"\x05" + point[1:],
            b"\x06" + point[1:],  # the hybrid forms
            b"\x07" + point[1:],
            point[1:],
            point[: 1 + size],
            ALL_PUBLIC["P-384" if name != "P-384" else "P-256"].point,
        ]
    for one in wrong:
        assert code_of(DecodeError, PublicKey.from_point, curve, one) == "key.malformed"


def test_a_point_is_good_on_its_own_curve_only() -> None:
    for first, second in (("P-256", "brainpoolP256r1"), ("P-384", "brainpoolP384r1"), ("brainpoolP256r1", "P-256")):
        with pytest.raises(DecodeError):
            PublicKey.from_point(CURVES[second], ALL_PUBLIC[first].point)


@pytest.mark.parametrize("name", EC_CURVES)
def test_a_spki_with_a_point_off_the_curve_is_refused(name: str) -> None:
    spki = ALL_PUBLIC[name].spki
    bad = spki[:-1] + bytes((spki[-1] ^ 1,))
    assert code_of(DecodeError, PublicKey.from_spki, bad) == "key.malformed"


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x00", bytes(100), b"-----BEGIN PUBLIC KEY-----\n"])
def test_what_is_no_public_key(data: bytes) -> None:
    assert code_of(DecodeError, PublicKey.from_spki, data) == "key.malformed"
    assert code_of(DecodeError, PublicKey.from_pem, data) == "key.malformed"
    for cut in range(0, 91, 6):
        assert code_of(DecodeError, PublicKey.from_spki, ALL_PUBLIC["P-256"].spki[:cut]) == "key.malformed"
    assert code_of(DecodeError, PublicKey.from_spki, ALL_PUBLIC["P-256"].spki + b"\x00") == "key.malformed"


FOREIGN: list[Any] = [
    rsa.generate_private_key(65537, 2048),
    dsa.generate_private_key(2048),
    ec.generate_private_key(ec.SECP256K1()),
    ec.generate_private_key(ec.SECP224R1()),
]


@pytest.mark.parametrize("private", FOREIGN, ids=lambda one: type(one).__name__)
def test_kinds_of_key_outside_the_table(private: Any) -> None:
    public = private.public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pkcs8 = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for act in (
        lambda: PublicKey.from_cryptography(public),
        lambda: PublicKey.from_spki(spki),
        lambda: PublicKey.from_pem(pem),
        lambda: SoftwareSigner(private),
        lambda: SoftwareSigner.from_pkcs8(pkcs8),
        lambda: EphemeralKey(private),
        lambda: EphemeralKey.from_pkcs8(pkcs8),
    ):
        assert code_of(UnsupportedError, act) in {"key.unsupported", "key.cannot_sign", "key.cannot_agree"}


def test_what_is_no_key_at_all() -> None:
    for one in (None, b"", object(), SIGNERS["P-256"]):
        for wrap in (PublicKey.from_cryptography, SoftwareSigner, EphemeralKey):
            with pytest.raises(UnsupportedError):
                wrap(one)
    with pytest.raises(UnsupportedError):
        EphemeralKey(ed25519.Ed25519PrivateKey.generate())
    with pytest.raises(UnsupportedError):
        SoftwareSigner(x25519.X25519PrivateKey.generate())
    for name in ("P-192", "secp256k1", "", "p-256"):
        for generate in (SoftwareSigner.generate, EphemeralKey.generate):
            with pytest.raises(UnsupportedError):
                generate(name)
    for name in ("Ed25519", "X25519", "P-192"):
        for secret in (SoftwareSigner.from_secret, EphemeralKey.from_secret):
            assert code_of(UnsupportedError, secret, name, 1) == "key.unsupported"


# --- private key files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNING_CURVES)
@pytest.mark.parametrize("password", [None, b"a password"])
def test_a_key_file_opens_with_its_password(name: str, password: bytes | None) -> None:
    signer = SIGNERS[name]
    text = signer.to_pkcs8(password=password)
    assert (b"ENCRYPTED" in text) == (password is not None)
    again = SoftwareSigner.from_pkcs8(text, password=password)
    assert again.public_key == signer.public_key
    signer.public_key.verify(again.sign(MESSAGE), MESSAGE)
    der = b"".join(text.splitlines()[1:-1])
    assert SoftwareSigner.from_pkcs8(base64.b64decode(der), password=password).public_key == signer.public_key


@pytest.mark.parametrize("password", [b"another password", b"a passwor", b"a password ", b"", None])
def test_a_key_file_does_not_open_with_another_password(password: bytes | None) -> None:
    text = SIGNERS["P-256"].to_pkcs8(password=b"a password")
    with pytest.raises(SigningError) as caught:
        SoftwareSigner.from_pkcs8(text, password=password)
    assert caught.value.code == "signing.secret_incorrect"


def test_a_password_for_a_file_without_one_is_refused() -> None:
    text = SIGNERS["P-256"].to_pkcs8(password=None)
    with pytest.raises(SigningError) as caught:
        SoftwareSigner.from_pkcs8(text, password=b"a password")
    assert caught.value.code == "signing.secret_incorrect"


@pytest.mark.parametrize(
    "data", [b"", b"\x30\x00", bytes(200), b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_private_key(data: bytes) -> None:
    assert code_of(SigningError, SoftwareSigner.from_pkcs8, data) == "signing.key_malformed"
    assert code_of(DecodeError, EphemeralKey.from_pkcs8, data) == "key.malformed"


def okp_files(name: str) -> tuple[bytes, bytes]:
    """SubjectPublicKeyInfo and PKCS#8, both DER, of an OKP key."""
    private: Any = EPHEMERALS[name]._key if name in EPHEMERALS else SIGNERS[name]._key
    pkcs8 = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ALL_PUBLIC[name].spki, pkcs8


@pytest.mark.parametrize("name", ["X25519", "X448", "Ed25519", "Ed448"])
@pytest.mark.parametrize("claimed", ["X25519", "X448", "Ed25519", "Ed448"])
def test_a_key_file_that_names_a_curve_of_another_length(name: str, claimed: str) -> None:
    def relabelled(der: bytes) -> bytes:
        number = {"X25519": 0x6E, "X448": 0x6F, "Ed25519": 0x70, "Ed448": 0x71}
        changed = der.replace(bytes((0x2B, 0x65, number[name])), bytes((0x2B, 0x65, number[claimed])), 1)
        assert (changed == der) == (name == claimed)
        return changed

    spki, pkcs8 = (relabelled(der) for der in okp_files(name))
    if (name, claimed) == ("X25519", "Ed25519"):
        return  # every other number is no point there: test_degenerate_keys.py
    if CURVES[name].coordinate_size == CURVES[claimed].coordinate_size:
        assert PublicKey.from_spki(spki).curve.name == claimed
        return
    assert code_of(DecodeError, PublicKey.from_spki, spki) == "key.malformed"
    assert code_of(SigningError, SoftwareSigner.from_pkcs8, pkcs8) == "signing.key_malformed"
    assert code_of(DecodeError, EphemeralKey.from_pkcs8, pkcs8) == "key.malformed"


def test_an_ephemeral_key_file_has_no_password() -> None:
    encrypted = SIGNERS["P-256"].to_pkcs8(password=b"a password")
    assert code_of(DecodeError, EphemeralKey.from_pkcs8, encrypted) == "key.malformed"


def test_nothing_shows_a_private_key() -> None:
    for name in EC_CURVES:
        secret = 0x1234567890ABCDEF
        for key in (SoftwareSigner.from_secret(name, secret), EphemeralKey.from_secret(name, secret)):
            assert repr(key) == f"{type(key).__name__}({name})"
            assert not hasattr(key, "__dict__")


# --- agreeing secrets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", AGREEING_CURVES)
def test_two_sides_agree_on_every_curve(name: str) -> None:
    one, other = EPHEMERALS[name], EphemeralKey.generate(name)
    secret = one.agree(other.public_key)
    assert secret == other.agree(one.public_key)
    assert len(secret) == CURVES[name].coordinate_size  # leading zeros are kept
    again = EphemeralKey.from_pkcs8(one.to_pkcs8())
    assert again.agree(other.public_key) == secret
    if name in SIGNING_CURVES:  # a device key that serves MACs
        device = SIGNERS[name]
        assert device.agree(one.public_key) == one.agree(device.public_key)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("P-256", 379),
        ("P-384", 197),
        ("P-521", 2),
        ("brainpoolP256r1", 856),
        ("brainpoolP384r1", 98),
        ("brainpoolP512r1", 6),
    ],
)
def test_a_secret_with_leading_zeros_keeps_its_width(name: str, secret: int) -> None:
    generator = EphemeralKey.from_secret(name, 1).public_key  # what is agreed with it is the own x coordinate
    key = EphemeralKey.from_secret(name, secret)
    x = key.public_key.point[1 : 1 + CURVES[name].coordinate_size]
    assert x[0] == 0
    assert key.agree(generator) == x


@pytest.mark.parametrize("name", AGREEING_CURVES)
def test_keys_on_different_curves_do_not_agree(name: str) -> None:
    for other, key in ALL_PUBLIC.items():
        if other != name:
            assert code_of(UnsupportedError, EPHEMERALS[name].agree, key) == "key.curves_differ"
    if name in SIGNING_CURVES:
        assert code_of(UnsupportedError, SIGNERS[name].agree, ALL_PUBLIC["X25519"]) == "key.curves_differ"


def test_signing_keys_that_cannot_agree() -> None:
    for name in ("Ed25519", "Ed448"):
        assert code_of(UnsupportedError, SIGNERS[name].agree, ALL_PUBLIC[name]) == "key.curves_differ"


@pytest.mark.parametrize(("name", "size"), [("X25519", 32), ("X448", 56)])
def test_a_key_that_leads_to_no_secret_is_refused(name: str, size: int) -> None:
    for small in (bytes(size), (1).to_bytes(size, "little")):
        peer = PublicKey.from_point(CURVES[name], small)
        assert code_of(DecodeError, EPHEMERALS[name].agree, peer) == "key.malformed"


@pytest.mark.parametrize(
    ("name", "alice", "bob", "shared"),
    [
        (
            "X25519",
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
            "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
        ),
        (
            "X448",
            "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28dd9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
            "1c306a7ac2a0e2e0990b294470cba339e6453772b075811d8fad0d1d6927c120bb5ee8972b0d3e21374c9c921b09d1b0366f10b65173992d",
            "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282bb60c0b56fd2464c335543936521c24403085d59a449a5037514a879d",
        ),
    ],
)
def test_agreement_is_that_of_rfc_7748(name: str, alice: str, bob: str, shared: str) -> None:
    """Clauses 6.1 and 6.2."""
    kind: Any = {"X25519": x25519.X25519PrivateKey, "X448": x448.X448PrivateKey}[name]
    one, other = (EphemeralKey(kind.from_private_bytes(bytes.fromhex(secret))) for secret in (alice, bob))
    assert one.agree(other.public_key).hex() == other.agree(one.public_key).hex() == shared


# --- HKDF and HMAC ----------------------------------------------------------------------------------------------------


def test_hkdf_is_that_of_rfc_5869() -> None:
    """Test cases 1 and 3: with salt and info, and without."""
    assert hkdf_sha256(b"\x0b" * 22, salt=bytes(range(13)), info=bytes(range(0xF0, 0xFA)), length=42).hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert hkdf_sha256(b"\x0b" * 22, salt=None, info=b"", length=42).hex() == expected
    assert hkdf_sha256(b"\x0b" * 22, salt=b"", info=b"", length=42).hex() == expected


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_hmac_is_the_standard_librarys(key: bytes, data: bytes) -> None:
    assert hmac_sha256(key, data) == hmac.new(key, data, hashlib.sha256).digest()


# --- the contract of X.509 signing ------------------------------------------------------------------------------------
#
# The builders of `cryptography` sign with a subclass of its private keys. Each release must go on to take the subclass,
# ask it once with the bytes to be signed, put its DER answer in, and let its exceptions pass.


class Custodian:
    """A stand-in for an HSM: signs with a software key, counts, and can be told to misbehave."""

    def __init__(self, name: str) -> None:
        self.inner = SIGNERS[name]
        self.asked: list[bytes] = []
        self.answer: Callable[[bytes], bytes] = self.inner.sign

    @property
    def public_key(self) -> PublicKey:
        return self.inner.public_key

    def sign(self, data: bytes) -> bytes:
        self.asked.append(data)
        return self.answer(data)


NAME = x509.Name(
    [x509.NameAttribute(NameOID.COUNTRY_NAME, "UT"), x509.NameAttribute(NameOID.COMMON_NAME, "a key in custody")]
)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


def certificate(custodian: Custodian, digest: Any) -> x509.Certificate:
    key: Any = x509_signing_key(custodian)
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).serial_number(7)
    builder = builder.not_valid_before(START).not_valid_after(END).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.sign(key, digest)


def request(custodian: Custodian, digest: Any) -> x509.CertificateSigningRequest:
    key: Any = x509_signing_key(custodian)
    return x509.CertificateSigningRequestBuilder().subject_name(NAME).sign(key, digest)


def revocations(custodian: Custodian, digest: Any) -> x509.CertificateRevocationList:
    key: Any = x509_signing_key(custodian)
    entry = x509.RevokedCertificateBuilder().serial_number(5).revocation_date(START).build()
    builder = x509.CertificateRevocationListBuilder().issuer_name(NAME).last_update(START).next_update(END)
    return builder.add_revoked_certificate(entry).sign(key, digest)


MAKERS = [certificate, request, revocations]


def digest_of(name: str) -> Any:
    algorithm = CURVES[name].algorithm
    assert algorithm is not None
    return algorithm.hash


def to_be_signed(made: Any) -> bytes:
    for attribute in ("tbs_certificate_bytes", "tbs_certrequest_bytes", "tbs_certlist_bytes"):
        if hasattr(made, attribute):
            return bytes(getattr(made, attribute))
    raise AssertionError


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", SIGNING_CURVES)
def test_a_key_in_custody_signs_x509(name: str, make: Callable[[Custodian, Any], Any]) -> None:
    custodian = Custodian(name)
    made = make(custodian, digest_of(name))
    assert custodian.asked == [to_be_signed(made)]  # once, and the whole of what is signed
    signature = made.signature
    if CURVES[name].kind == "EC":
        signature = der_to_raw(signature, CURVES[name])
    custodian.public_key.verify(signature, to_be_signed(made))
    if make is certificate:
        made.verify_directly_issued_by(made)
        assert PublicKey.from_cryptography(made.public_key()) == custodian.public_key
    elif make is request:
        assert made.is_signature_valid
    else:
        assert made.is_signature_valid(custodian.public_key.key)
    # What comes out is plain DER that anybody can load again.
    load = {
        certificate: x509.load_der_x509_certificate,
        request: x509.load_der_x509_csr,
        revocations: x509.load_der_x509_crl,
    }
    assert load[make](made.public_bytes(serialization.Encoding.DER)) == made  # type: ignore[index]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", SIGNING_CURVES)
def test_a_custodian_that_refuses_is_heard(name: str, make: Callable[[Custodian, Any], Any]) -> None:
    custodian = Custodian(name)
    refusal = SigningError("the token was taken out", code="signing.token_missing", retryable=True)

    def refuse(_data: bytes) -> bytes:
        raise refusal

    custodian.answer = refuse
    with pytest.raises(SigningError) as caught:
        make(custodian, digest_of(name))
    assert caught.value is refusal
    assert len(custodian.asked) == 1


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("name", SIGNING_CURVES)
@pytest.mark.parametrize(
    "spoil",
    [lambda one: one[:-1], lambda one: one + b"\x00", lambda _one: b"", lambda one: one[:-2], lambda one: one + one],
    ids=["short by one", "long by one", "empty", "short by two", "twice"],
)
def test_a_signature_of_the_wrong_length_signs_nothing(
    name: str, make: Callable[[Custodian, Any], Any], spoil: Callable[[bytes], bytes]
) -> None:
    custodian = Custodian(name)
    custodian.answer = lambda data: spoil(custodian.inner.sign(data))
    assert code_of(SigningError, make, custodian, digest_of(name)) == "signing.malformed_signature"


@pytest.mark.parametrize("name", EC_CURVES)
def test_a_digest_that_does_not_go_with_the_curve_signs_nothing(name: str) -> None:
    for digest in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512(), hashes.SHA3_256()):
        if digest.name != digest_of(name).name:
            custodian = Custodian(name)
            assert code_of(SigningError, certificate, custodian, digest) == "signing.digest_mismatch"
            assert custodian.asked == []


@pytest.mark.parametrize("name", SIGNING_CURVES)
def test_a_key_in_custody_gives_nothing_away(name: str) -> None:
    key: Any = x509_signing_key(Custodian(name))
    kinds: dict[str, Any] = {
        "EC": ec.EllipticCurvePrivateKey,
        "Ed25519": ed25519.Ed25519PrivateKey,
        "Ed448": ed448.Ed448PrivateKey,
    }
    assert isinstance(key, kinds[CURVES[name].kind if CURVES[name].kind == "EC" else name])
    exports = ["private_bytes"]
    exports += ["private_numbers", "exchange"] if CURVES[name].kind == "EC" else ["private_bytes_raw"]
    for export in exports:
        assert code_of(SigningError, getattr(key, export)) == "signing.not_extractable"
    assert copy.copy(key) is key
    assert copy.deepcopy(key) is key
    assert key.public_key() == SIGNERS[name].public_key.key
    if CURVES[name].kind == "EC":
        curve: Any = CURVES[name].ec
        assert key.key_size == curve.key_size


@pytest.mark.parametrize("private", [x25519.X25519PrivateKey.generate(), x448.X448PrivateKey.generate()])
def test_a_key_that_only_agrees_signs_no_x509(private: Any) -> None:
    class Agreeing:
        public_key = PublicKey.from_cryptography(private.public_key())

        def sign(self, data: bytes) -> bytes:
            raise AssertionError(data)

    assert code_of(UnsupportedError, x509_signing_key, Agreeing()) == "key.cannot_sign"

"""Holders' keys as wallets, issuing protocols and key tools hand them over, and what is refused of them."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from hypothesis import given
from hypothesis import strategies as st

from issuer.cli import parse_device_key
from issuer.holder_keys import parse_holder_key
from mdl.cbor import encode, wrap24
from mdl.cose import encode_key
from mdl.errors import DecodeError, MdlError, UnsupportedError
from mdl.keys import CURVES, PublicKey
from mdl.testing import deterministic_key

SIGNING = [name for name, curve in CURVES.items() if curve.algorithm is not None]
JOSE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA", "Ed448": "EdDSA"}
KEY = deterministic_key("device").public_key
COSE = encode_key(KEY)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jwk(key: PublicKey = KEY, **more: Any) -> dict[str, Any]:
    """A key as a JWK; a change to None takes a member away."""
    cose = encode_key(key)
    members = {"kty": "EC" if key.curve.kind == "EC" else "OKP", "crv": key.curve.name, "x": b64(cose[-2])}
    if -3 in cose:
        members["y"] = b64(cose[-3])
    return {name: value for name, value in (members | more).items() if value is not None}


def certificate(private: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "device")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(5)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
        .sign(private, None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )


def text(value: Any) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("curve", SIGNING)
def test_a_key_on_every_curve_comes_in_every_form(curve: str) -> None:
    key = deterministic_key("device", curve).public_key
    cose = encode(encode_key(key))
    said = encode(encode_key(key) | {2: b"kid", 3: key.algorithm.cose_id, 4: [1, 2], 5: b"iv"})
    forms = [key.pem, key.spki, cose, said, wrap24(cose), encode([encode_key(key)])]
    if curve in JOSE:
        own = jwk(key, alg=JOSE[curve], use="sig", key_ops=["verify"], kid="1")
        forms += [text(jwk(key)), text(own), text({"keys": [own]}), text({"alg": "ES256", "jwk": own})]
    for form in forms:
        for given_form in (form, form if form[:1] not in b"-{" else b"\xef\xbb\xbf" + form + b"\r\n"):
            assert parse_holder_key(given_form) == key
    for form in (key.spki, cose):
        assert parse_device_key(form.hex().encode()) == parse_device_key(base64.b64encode(form)) == key


def test_of_a_devices_certificate_the_key_is_taken() -> None:
    for private in (ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()):
        made = certificate(private)
        key = PublicKey.from_cryptography(private.public_key())
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER):
            assert parse_holder_key(made.public_bytes(encoding)) == key
        said = b"subject: device\n" + made.public_bytes(serialization.Encoding.PEM)  # as some tools print it
        assert parse_holder_key(said) == key


TWO = certificate(ec.generate_private_key(ec.SECP256R1())).public_bytes(serialization.Encoding.PEM) * 2
PRIVATE_PEM = deterministic_key("device").to_pkcs8(password=None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        # What it says of itself contradicts it.
        (encode(COSE | {3: -35}), "device_key.contradiction"),
        (encode(COSE | {3: -8}), "device_key.contradiction"),
        (encode(COSE | {3: -25}), "device_key.contradiction"),
        (encode(COSE | {3: "ES256"}), "device_key.contradiction"),
        (encode(COSE | {3: None}), "device_key.contradiction"),
        (encode(COSE | {4: [7]}), "device_key.contradiction"),
        (encode(COSE | {4: [7, 8]}), "device_key.contradiction"),
        (encode(COSE | {4: []}), "device_key.contradiction"),
        (encode(COSE | {4: 1}), "device_key.contradiction"),
        (encode(COSE | {4: [True]}), "device_key.contradiction"),
        (wrap24(encode(COSE | {4: [7]})), "device_key.contradiction"),
        (text(jwk(alg="ES384")), "device_key.contradiction"),
        (text(jwk(alg="EdDSA")), "device_key.contradiction"),
        (text(jwk(alg="ECDH-ES")), "device_key.contradiction"),
        (text(jwk(use="enc")), "device_key.contradiction"),
        (text(jwk(key_ops=["deriveKey"])), "device_key.contradiction"),
        (text(jwk(key_ops=[])), "device_key.contradiction"),
        (text(jwk(key_ops="verify")), "device_key.contradiction"),
        # Several keys, or none.
        (text({"keys": [jwk(), jwk()]}), "device_key.several"),
        (text({"keys": []}), "device_key.several"),
        (encode([COSE, COSE]), "device_key.several"),
        (TWO, "device_key.several"),
        # Private keys.
        (PRIVATE_PEM, "device_key.private"),
        (text(jwk(d="AAAA")), "device_key.private"),
        (text({"keys": [jwk(d="AAAA")]}), "device_key.private"),
        (text({"kty": "oct", "k": "AAAA"}), "device_key.private"),
        (encode(COSE | {-4: bytes(32)}), "device_key.private"),
        (wrap24(encode(COSE | {-4: bytes(32)})), "device_key.private"),
        # Not a key, or not whole.
        (KEY.pem.decode().encode("utf-16"), "device_key.form"),
        (b"{", "device_key.form"),
        (b"{}", "device_key.form"),
        (b'{"kty": "EC", "kty": "EC"}', "device_key.form"),
        (b"[" * 60_000 + b"]", "device_key.form"),
        (b"9" * 65_537, "device_key.form"),
        (text({"keys": ["x"]}), "device_key.form"),
        (text(jwk(kty="RSA")), "device_key.form"),
        (text(jwk(crv="secp256k1")), "device_key.form"),
        (text(jwk(crv="P-384")), "device_key.form"),
        (text(jwk(kty="OKP")), "device_key.form"),
        (text(jwk(x=b64(bytes(31)))), "device_key.form"),
        (text(jwk(x="!")), "device_key.form"),
        (text(jwk(y=None)), "device_key.form"),
        (text(jwk(x=b64(bytes(32)))), "key.malformed"),
        (encode(COSE | {-2: COSE[-2][1:]}), "key.malformed"),
        (encode(7), "key.malformed"),
    ],
)
def test_what_is_no_device_key_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as error:
        parse_holder_key(data)
    assert error.value.code == code


def test_a_key_for_a_mac_alone_is_told_by_its_curve() -> None:
    raw = x25519.X25519PrivateKey.generate().public_key()
    key = PublicKey.from_cryptography(raw)
    assert parse_holder_key(text(jwk(key))) == key  # the issuer says that it cannot sign
    with pytest.raises(UnsupportedError):
        parse_holder_key(encode({1: 2, -1: 8, -2: bytes(32), -3: bytes(32)}))  # secp256k1


def test_the_fully_specified_algorithms_say_the_same() -> None:
    for curve, algorithm in (("P-256", -9), ("P-384", -51), ("P-521", -52), ("Ed25519", -19), ("Ed448", -53)):
        key = deterministic_key("device", curve).public_key
        assert parse_holder_key(encode(encode_key(key) | {3: algorithm})) == key
        for other in {-9, -51, -52, -19, -53} - {algorithm}:
            with pytest.raises(DecodeError):
                parse_holder_key(encode(encode_key(key) | {3: other}))


@given(st.binary(max_size=80), st.sampled_from([b"", b"{", b"0", b"-----BEGIN", b"\xd8\x18", b"\xa4\x01\x02"]))
def test_any_bytes_are_a_key_or_an_error(tail: bytes, start: bytes) -> None:
    with contextlib.suppress(MdlError):
        parse_device_key(start + tail)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["kty", "crv", "x", "y", "alg", "use", "key_ops", "keys", "jwk"]), JSON)
def test_any_member_of_a_jwk_is_taken_or_refused(name: str, value: Any) -> None:
    with contextlib.suppress(MdlError):
        assert parse_holder_key(text(jwk() | {name: value})) is not None

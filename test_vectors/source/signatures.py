"""Attacks on the issuer's signature and its algorithm."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

from asn1crypto import core, keys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mdl.cbor import encode
from mdl.keys import SoftwareSigner, raw_to_der
from mdl.testing import Recipe, SeededEntropy, ThrowawayAuthority, deterministic_key
from reader.report import Policy
from test_vectors.source.brainpool import SPKI_PREFIX, brainpool320_key
from test_vectors.source.case import LENIENT, Attacks, Honest, Kind, refused
from test_vectors.source.encodings import SMALL
from test_vectors.source.signers import (
    PROFILE,
    forged_der,
)
from test_vectors.source.stage import (
    AUTHORITY,
    Fields,
    device_auth,
    issuer_auth,
)
from tests.x509_forgery import both, put, set_field

attack = Attacks()
accept = Honest()

NO_ALGORITHM = ("issuer_auth.signature",)
NO_ALGORITHM_WHY = "a signature is not tried with an algorithm that is not its key's"

ALGORITHM = "issuer_auth.algorithm"


def _algorithm(name: str, fields: Any, **expected: Any) -> None:
    attack(ALGORITHM, name, fields, **({"left_open": NO_ALGORITHM, "why": NO_ALGORITHM_WHY} | expected))


for _name, _header in {
    "none": {},
    "an empty header": b"",
    "reserved 0": {1: 0},
    "null": {1: None},
    "ES384 with P-256": {1: -35},
    "ES512 with P-256": {1: -36},
    "RS256": {1: -257},
    "PS256": {1: -37},
    "ES256K": {1: -47},
    "HMAC 256/256": {1: 5},
    "as text": {1: "ES256"},
    "true": {1: True},
    "a float": {1: -7.0},
    "under a text label": {"1": -7},
}.items():
    _algorithm(f"names {_name}", {"issuer_protected": _header})
for _name, _header in {"no header": b"", "an empty header": {}}.items():
    _algorithm(
        f"names an algorithm outside the protected header, which is {_name}",
        {"issuer_protected": _header, "issuer_unprotected": {1: -7, 33: AUTHORITY.ds_certificate.der}},
    )
FULLY_SPECIFIED: Fields = {"left_open": (), "why": "", "tolerated": LENIENT, "warnings": ["fully_specified.issuer"]}
_algorithm("names a fully specified name of the same", {"issuer_protected": {1: -9}}, **FULLY_SPECIFIED)
for _name, _number in {"ESP384": -51, "ESB256": -265, "Ed25519": -19, "an early number for ESP256": -48}.items():
    _algorithm(f"names {_name} with P-256", {"issuer_protected": {1: _number}})
attack(
    "issuer_auth.signature",
    "a fully specified name of the same over a payload that was changed",
    lambda: {"issuer_protected": {1: -9}} | issuer_auth(lambda message: message.__setitem__(3, bytes(63) + b"\1")),
    also=(ALGORITHM,),
    under={Policy.LENIENT: refused("issuer_auth.signature")},
    why="the strict policies refuse the name too",
)


@cache
def authority_on(curve: str) -> ThrowawayAuthority:
    return ThrowawayAuthority(f"On {curve}", ds_curve=curve)


_algorithm(
    "the digest of another curve's algorithm, signed and named",
    lambda: {"issuer_protected": {1: -35}} | issuer_auth(_sign_with_sha384),
)


def _private(key: SoftwareSigner) -> ec.EllipticCurvePrivateKey:
    loaded = serialization.load_pem_private_key(key.to_pkcs8(password=None), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


def _sign_with_sha384(message: list[Any]) -> None:
    der = _private(AUTHORITY.ds_key).sign(_to_be_signed(message), ec.ECDSA(hashes.SHA384(), deterministic_signing=True))
    r, s = decode_dss_signature(der)
    message[3] = r.to_bytes(32) + s.to_bytes(32)


def _to_be_signed(message: list[Any], *, context: str = "Signature1", aad: bytes = b"") -> bytes:
    return encode([context, message[0], aad, message[2]])


def _of_foreign_kind(kind: str) -> Fields:
    """A certificate for a key that this standard does not know, issued by the honest root."""
    key: Any
    if kind == "RSA":
        # Nobody needs the private key: any odd number of the right size will do.
        modulus = int.from_bytes(SeededEntropy("RSA")(256)) | 1 | 1 << 2047
        key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    else:
        curve = {"secp256k1": ec.SECP256K1(), "P-224": ec.SECP224R1()}[kind]
        key = ec.derive_private_key(int.from_bytes(SeededEntropy(kind)(24)), curve).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"x5chain": _certificate_for(spki)}


def _certificate_for(spki: bytes) -> bytes:
    def change(body: Any) -> None:
        body["subject_public_key_info"] = keys.PublicKeyInfo.load(spki)

    return forged_der(AUTHORITY.ds_certificate, change)


def _degenerate(algorithm: int, point: bytes) -> Fields:
    """A security object that anybody makes: R = A, S = 0 under a certified point of small order."""
    spki = bytes((0x30, 10 + len(point), 0x30, 5, 6, 3, 0x2B, 0x65, algorithm, 3, len(point) + 1, 0)) + point
    return {
        "x5chain": _certificate_for(spki),
        "issuer_protected": {1: -8},
        "issuer_signature": point + bytes(len(point)),
    }


for _kind in ("RSA", "secp256k1", "P-224"):
    _algorithm(
        f"a document signer's key of kind {_kind}",
        lambda kind=_kind: _of_foreign_kind(kind),
        also=(PROFILE,),
        why="a key of another cipher suite breaks the profile, and there is no algorithm for it",
    )


def _on_brainpool320() -> Fields:
    """A document signer on a curve that the standard permits, its certificate and its signature in order."""
    key = brainpool320_key("document signer")
    identifier = hashlib.sha1(key.point, usedforsecurity=False).digest()
    changes = both(
        set_field("subject_public_key_info", keys.PublicKeyInfo.load(SPKI_PREFIX + key.point)),
        put("2.5.29.14", core.OctetString(identifier)),
    )
    return {"x5chain": forged_der(AUTHORITY.ds_certificate, changes), "issuer_protected": {1: -35}} | issuer_auth(
        lambda message: message.__setitem__(3, key.sign(_to_be_signed(message)))
    )


_algorithm(
    "a document signer's key of kind brainpoolP320r1",
    _on_brainpool320,
    also=(PROFILE,),
    why="a reader that does not have the curve can hold neither the key nor the signature against anything",
    kind=Kind.MAY_REJECT,
)
for _name, _number, _point in (
    ("the point of order 4 on Ed448, under which one signature goes with any message", 0x71, bytes(57)),
    ("the neutral element of Ed448", 0x71, b"\1" + bytes(56)),
    ("the neutral element of Ed25519", 0x70, b"\1" + bytes(31)),
    ("the neutral element of Ed25519, not canonically encoded", 0x70, (2**255 - 18).to_bytes(32, "little")),
):
    _algorithm(
        f"a document signer's key: {_name}",
        lambda number=_number, point=_point: _degenerate(number, point),
        also=(PROFILE,),
        why="a key that signs for anybody is no key, for the profile too",
    )

SIGNATURE = "issuer_auth.signature"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _signature(change: Any) -> Fields:
    """Change the signature itself."""
    return issuer_auth(lambda message: message.__setitem__(3, change(message[3])))


for _name, _change in {
    "one bit changed": lambda given: given[:-1] + bytes((given[-1] ^ 1,)),
    "cut short": lambda given: given[:-1],
    "a byte longer": lambda given: given + b"\0",
    "a zero in front": lambda given: b"\0" + given,
    "DER": raw_to_der,
    "empty": lambda _: b"",
    "all zeros": lambda _: bytes(64),
    "r and s exchanged": lambda given: given[32:] + given[:32],
    "r zero": lambda given: bytes(32) + given[32:],
    "s plus the order": lambda given: (
        given[:32] + ((int.from_bytes(given[32:]) + _P256_ORDER) % (1 << 256)).to_bytes(32)
    ),
}.items():
    attack(SIGNATURE, _name, lambda change=_change: _signature(change))
attack(SIGNATURE, "by another key", lambda: {"issuer_key": deterministic_key("attacker")})
attack(SIGNATURE, "by the root's key", lambda: {"issuer_key": AUTHORITY.iaca_key})
attack(SIGNATURE, "by the device's own key", lambda: {"issuer_key": deterministic_key("device")})


def _signed_otherwise(to_be_signed: Any) -> Fields:
    return issuer_auth(lambda message: message.__setitem__(3, AUTHORITY.ds_key.sign(to_be_signed(message))))


for _name, _form in {
    "over the bare payload": lambda message: message[2],
    "in the context of a countersignature": lambda message: _to_be_signed(message, context="CounterSignature1"),
    "in the context of several signers": lambda message: _to_be_signed(message, context="Signature"),
    "with external data": lambda message: _to_be_signed(message, aad=b"\0"),
    "over an empty protected header": lambda message: encode(["Signature1", b"", b"", message[2]]),
    "over the decoded protected header": lambda message: encode(["Signature1", {1: -7}, b"", message[2]]),
}.items():
    attack(SIGNATURE, _name, lambda form=_form: _signed_otherwise(form))

attack(
    SIGNATURE,
    "a header added to the protected ones",
    issuer_auth(lambda message: message.__setitem__(0, encode({1: -7, 16: "application/mdoc"}))),
)
attack(
    SIGNATURE,
    "the protected header encoded again",
    issuer_auth(lambda message: message.__setitem__(0, bytes.fromhex("a1180126"))),
)


def _payload_changed(message: list[Any]) -> None:
    """The licence is prolonged by a year."""
    assert message[2].count(b"2026-06-30") == 1
    message[2] = message[2].replace(b"2026-06-30", b"2027-06-30")


attack(SIGNATURE, "the security object changed after signing", issuer_auth(_payload_changed))
attack(
    SIGNATURE,
    "the payload detached",
    issuer_auth(lambda message: message.__setitem__(2, None)),
    left_open=(
        *("mso.version", "mso.doctype", "mso.digest_algorithm", "mso.validity", "mso.signed_within_certificate"),
        *("mso.status", "issuer_data.digest", "device_auth.algorithm", "device_auth.signature"),
    ),
    why="without a payload there is no security object",
)

for _curve, _name, _named_algorithm in (
    ("brainpoolP256r1", "ES384", -35),
    ("brainpoolP384r1", "ES256", -7),
    ("brainpoolP512r1", "ES384", -35),
    ("P-256", "EdDSA", -8),
    ("P-384", "ES256", -7),
    ("P-384", "ML-DSA-44", -48),
    ("P-521", "ES384", -35),
    ("Ed25519", "ES256", -7),
    ("Ed448", "ES512", -36),
):
    _algorithm(
        f"a signer on {_curve} who names {_name}",
        lambda curve=_curve, named=_named_algorithm: {"authority": authority_on(curve), "issuer_protected": {1: named}},
    )
# Names that say the curve as well are younger than the standard; a reader may know them.
for _curve, _name, _named_algorithm in (
    ("brainpoolP256r1", "ESB256", -265),
    ("brainpoolP384r1", "ESB384", -267),
    ("brainpoolP512r1", "ESB512", -268),
    ("P-384", "ESP384", -51),
    ("P-521", "ESP512", -52),
    ("Ed25519", "Ed25519", -19),
    ("Ed448", "Ed448", -53),
):
    _algorithm(
        f"a signer on {_curve} who names {_name}",
        lambda curve=_curve, named=_named_algorithm: {"authority": authority_on(curve), "issuer_protected": {1: named}},
        **FULLY_SPECIFIED,
    )

# --- signatures that are in order -------------------------------------------------------------------------------------

accept.section("signature", "18013-5 9.1.2.4")


def _other_s(message: list[Any]) -> None:
    """Of each ECDSA signature there are two; the standard does not prefer the smaller one."""
    r, s = message[3][:32], int.from_bytes(message[3][32:])
    message[3] = r + (_P256_ORDER - s).to_bytes(32)


accept("the issuer's signature with the other s", issuer_auth(_other_s))
accept(
    "the device's signature with the other s",
    device_auth(lambda auth: _other_s(auth["deviceSignature"])),
    group="device",
    clause="18013-5 9.1.3.6",
)


@cache
def _seed_of(place: int) -> str:
    """A seed with a zero at that place of the issuer's signature, which a number without leading zeros would lose."""
    found: list[bytes] = []

    def keep(signed: dict[str, Any]) -> None:
        found.append(signed["issuerAuth"][3])

    for number in range(10_000):
        Recipe(namespaces=SMALL, seed=str(number), mutate_issuer_signed=keep).issue()
        if not found[-1][place]:
            return str(number)
    raise AssertionError


for _name, _place in {"r": 0, "s": 32}.items():
    accept(
        f"a signature whose {_name} begins with a zero",
        lambda place=_place: {"namespaces": SMALL, "seed": _seed_of(place)},
    )

CASES = [*attack.rows, *accept.rows]

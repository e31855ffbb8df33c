"""Keys, curves and algorithms, with the only tables of them in the project.

The curve determines the signature algorithm: ES256 goes with P-256 and brainpoolP256r1, and so on (18013-5 9.1.2.4,
first edition). A pair outside the table is refused everywhere.

Signatures here are COSE signatures: for ECDSA the integers r and s side by side, each as wide as the curve's field.
X.509 and most key stores use DER; `raw_to_der` and `der_to_raw` convert.

ML-DSA has a table of its own, for the post-quantum rehearsal: no edition of 18013-5 permits it. Such a key is generated
or loaded only if the caller passes `UnsafePostQuantum`, and even then it has no `algorithm`, so that code which does
not take part in the rehearsal treats it as a key that cannot sign.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeAlias, TypeVar, cast, final, runtime_checkable

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509 import ObjectIdentifier

from mdl.errors import DecodeError, SigningError, UnsupportedError, VerificationError, integer_text

__all__ = [
    "ALGORITHMS",
    "CURVES",
    "EXPERIMENTAL_CURVES",
    "Algorithm",
    "Curve",
    "EphemeralKey",
    "KeyAgreement",
    "PublicKey",
    "Signer",
    "SoftwareSigner",
    "UnsafePostQuantum",
    "der_to_raw",
    "hkdf_sha256",
    "hmac_sha256",
    "raw_to_der",
    "signature_of",
    "signatures_of",
    "signing_key_of",
    "x509_signing_key",
]

T = TypeVar("T")

MlDsaPrivateKey: TypeAlias = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
MlDsaPublicKey: TypeAlias = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
SigningPrivateKey: TypeAlias = (
    ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | MlDsaPrivateKey
)
VerifyingKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | MlDsaPublicKey
AgreementKey: TypeAlias = ec.EllipticCurvePublicKey | x25519.X25519PublicKey | x448.X448PublicKey


@final
@dataclass(frozen=True, slots=True)
class UnsafePostQuantum:
    """The argument that permits ML-DSA keys, for the post-quantum rehearsal.

    Unsafe, because no edition of 18013-5 permits ML-DSA: other readers do not accept such documents, and a reader that
    does accepts what the standard refuses. This experiment may change or be removed.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A COSE signature algorithm.

    Attributes:
        name: The COSE name, for example ``ES256``.
        cose_id: The COSE algorithm number.
        hash_name: The hashlib name of the digest that the algorithm signs, or None for EdDSA and ML-DSA.
    """

    name: str
    cose_id: int
    hash_name: str | None

    @property
    def digest_size(self) -> int | None:
        """Length in bytes of the digest that is signed, or None for EdDSA and ML-DSA."""
        return None if self.hash_name is None else hashlib.new(self.hash_name).digest_size

    @property
    def hash(self) -> hashes.HashAlgorithm | None:
        """The digest as `cryptography` names it, or None for EdDSA and ML-DSA."""
        return None if self.hash_name is None else _HASHES[self.hash_name]


_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}

_ES256: Final = Algorithm(name="ES256", cose_id=-7, hash_name="sha256")
_ES384: Final = Algorithm(name="ES384", cose_id=-35, hash_name="sha384")
_ES512: Final = Algorithm(name="ES512", cose_id=-36, hash_name="sha512")
_EDDSA: Final = Algorithm(name="EdDSA", cose_id=-8, hash_name=None)

ALGORITHMS: Final[Mapping[int, Algorithm]] = MappingProxyType(
    {algorithm.cose_id: algorithm for algorithm in (_ES256, _ES384, _ES512, _EDDSA)}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """An elliptic curve of the standard's cipher suite, or an ML-DSA parameter set of the rehearsal.

    Attributes:
        name: The usual name, for example ``P-256`` or ``brainpoolP256r1``.
        cose_id: The COSE curve number; for ML-DSA, which has no curves, the COSE algorithm number.
        kind: ``EC`` (COSE key type 2) or ``OKP`` (COSE key type 1); ``AKP`` (COSE key type 7) for ML-DSA.
        coordinate_size: Width of a coordinate (EC) or of the public key (OKP, AKP), in bytes.
        signature_size: Width of a raw signature in bytes; 0 for curves that only agree keys.
        oid: Dotted object identifier of the curve (EC) or of the key algorithm (OKP, AKP).
        algorithm: The signature algorithm that goes with the curve, or None for X25519, X448 and ML-DSA.
        experimental: The signature algorithm of the rehearsal, or None for curves of the standard.
        fully_specified: The number that names curve and algorithm together (RFC 9864), which the standard does not use,
            or None.
    """

    name: str
    cose_id: int
    kind: str
    coordinate_size: int
    signature_size: int
    oid: str
    algorithm: Algorithm | None
    experimental: Algorithm | None = None
    fully_specified: int | None = None
    ec: ec.EllipticCurve | None = field(default=None, repr=False, compare=False)

    @property
    def can_agree(self) -> bool:
        """Whether the curve serves key agreement (18013-5 9.1.5.2, first edition)."""
        return self.kind == "EC" or (self.kind == "OKP" and self.algorithm is None)


# RFC 9864; the early numbers of some libraries (-48, -261 and others) are not among them.
_FULLY_SPECIFIED: Final[Mapping[str, int]] = {
    "P-256": -9,
    "P-384": -51,
    "P-521": -52,
    "brainpoolP256r1": -265,
    "brainpoolP384r1": -267,
    "brainpoolP512r1": -268,
    "Ed25519": -19,
    "Ed448": -53,
}


def _ec(name: str, cose_id: int, oid: str, algorithm: Algorithm, curve: ec.EllipticCurve) -> Curve:
    size = (curve.key_size + 7) // 8
    return Curve(
        name=name,
        cose_id=cose_id,
        kind="EC",
        coordinate_size=size,
        signature_size=2 * size,
        oid=oid,
        algorithm=algorithm,
        fully_specified=_FULLY_SPECIFIED[name],
        ec=curve,
    )


def _okp(name: str, cose_id: int, oid: str, algorithm: Algorithm | None, size: int) -> Curve:
    return Curve(
        name=name,
        cose_id=cose_id,
        kind="OKP",
        coordinate_size=size,
        signature_size=2 * size if algorithm else 0,
        oid=oid,
        algorithm=algorithm,
        fully_specified=_FULLY_SPECIFIED.get(name),
    )


def _akp(name: str, cose_id: int, oid: str, *, size: int, signature_size: int) -> Curve:
    return Curve(
        name=name,
        cose_id=cose_id,
        kind="AKP",
        coordinate_size=size,
        signature_size=signature_size,
        oid=oid,
        algorithm=None,
        experimental=Algorithm(name=name, cose_id=cose_id, hash_name=None),
    )


CURVES: Final[Mapping[str, Curve]] = MappingProxyType(
    {
        curve.name: curve
        for curve in (
            _ec("P-256", 1, "1.2.840.10045.3.1.7", _ES256, ec.SECP256R1()),
            _ec("P-384", 2, "1.3.132.0.34", _ES384, ec.SECP384R1()),
            _ec("P-521", 3, "1.3.132.0.35", _ES512, ec.SECP521R1()),
            _ec("brainpoolP256r1", 256, "1.3.36.3.3.2.8.1.1.7", _ES256, ec.BrainpoolP256R1()),
            _ec("brainpoolP384r1", 258, "1.3.36.3.3.2.8.1.1.11", _ES384, ec.BrainpoolP384R1()),
            _ec("brainpoolP512r1", 259, "1.3.36.3.3.2.8.1.1.13", _ES512, ec.BrainpoolP512R1()),
            _okp("X25519", 4, "1.3.101.110", None, 32),
            _okp("X448", 5, "1.3.101.111", None, 56),
            _okp("Ed25519", 6, "1.3.101.112", _EDDSA, 32),
            _okp("Ed448", 7, "1.3.101.113", _EDDSA, 57),
        )
    }
)
CURVES_BY_COSE_ID: Final[Mapping[int, Curve]] = MappingProxyType({curve.cose_id: curve for curve in CURVES.values()})
EXPERIMENTAL_CURVES: Final[Mapping[str, Curve]] = MappingProxyType(
    {
        curve.name: curve
        for curve in (
            _akp("ML-DSA-44", -48, "2.16.840.1.101.3.4.3.17", size=1312, signature_size=2420),
            _akp("ML-DSA-65", -49, "2.16.840.1.101.3.4.3.18", size=1952, signature_size=3309),
            _akp("ML-DSA-87", -50, "2.16.840.1.101.3.4.3.19", size=2592, signature_size=4627),
        )
    }
)
"""The parameter sets of ML-DSA (FIPS 204; RFC 9964 and RFC 9881), for the rehearsal and nothing else."""

NOT_IMPLEMENTED: Final[Mapping[str, str]] = MappingProxyType({"1.3.36.3.3.2.8.1.1.9": "brainpoolP320r1"})
"""Curves that the standard asks of readers and that are not implemented here, by object identifier (9.1.5.2)."""

# What is met in keys and is not of the standard, by object identifier.
_FOREIGN_CURVES: Final[Mapping[str, str]] = {
    "1.2.840.10045.3.1.1": "P-192",
    "1.3.132.0.33": "P-224",
    "1.3.132.0.10": "secp256k1",
    "1.2.156.10197.1.301": "SM2",
    **{
        f"1.3.36.3.3.2.8.1.1.{2 * index + 1 + twisted}": f"brainpoolP{bits}{'t' if twisted else 'r'}1"
        for index, bits in enumerate((160, 192, 224, 256, 320, 384, 512))
        for twisted in (0, 1)
    },
}
_FOREIGN_KEYS: Final[Mapping[str, str]] = {
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.113549.1.1.10": "RSA",
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.113549.1.3.1": "Diffie-Hellman",
    "1.2.840.10046.2.1": "Diffie-Hellman",
    **{curve.oid: curve.name for curve in EXPERIMENTAL_CURVES.values()},
}
_EC_KEY: Final = "1.2.840.10045.2.1"
_COSE_CURVES: Final[Mapping[int, str]] = {8: "secp256k1", 257: "brainpoolP320r1"}
COSE_KEYS_WITHOUT_CURVE: Final[Mapping[int, str]] = {3: "RSA", 4: "symmetric", 5: "HSS/LMS"}
"""Key types of COSE that the standard does not have, by number."""
_CURVE_NAMES: Final[Mapping[str, str]] = {"secp192r1": "P-192", "secp224r1": "P-224"}
_CLAUSE: Final = "18013-5 9.1.5.2"


def _foreign_curve(name: str) -> UnsupportedError:
    """The error for a key on a curve that is not in the table; the text says whether the standard has the curve."""
    if name in NOT_IMPLEMENTED.values():
        msg = f"the key is on {name}, a curve of the standard that is not implemented here"
    else:
        msg = f"the key is on {name}, which is not a curve of the standard"
    return UnsupportedError(msg, code="key.unsupported", clause=_CLAUSE)


def _foreign_key(kind: str) -> UnsupportedError:
    """The error for a key of another kind, which has no curve, by its name or number."""
    named = f"of the kind {kind}" if kind[0].isdigit() else f"{'an' if kind[0] in 'RHM' else 'a'} {kind} key"
    msg = f"the key is {named}, and keys of the standard are on curves"
    return UnsupportedError(msg, code="key.unsupported", clause=_CLAUSE)


def _foreign_object(key: object) -> UnsupportedError:
    """The error for another kind of object, such as a key of the `cryptography` package that is not supported."""
    name = type(key).__name__
    kind = name.removesuffix("PublicKey").removesuffix("PrivateKey")
    if kind == name:
        return UnsupportedError(f"a {name} is no key", code="key.unsupported")
    if kind in CURVES:
        return UnsupportedError(f"the key is on {kind}, which does not serve this", code="key.unsupported")
    return _foreign_key({"DH": "Diffie-Hellman"}.get(kind, kind.replace("MLDSA", "ML-DSA-")))


def unsupported_cose_key(key_type: int, curve: object) -> UnsupportedError:
    """The error for a COSE_Key whose type and curve are not in the tables.

    Args:
        key_type: The kty.
        curve: The crv, of any type.
    """
    if key_type in COSE_KEYS_WITHOUT_CURVE or type(curve) is not int:
        return _foreign_key(COSE_KEYS_WITHOUT_CURVE.get(key_type, f"{integer_text(key_type)} (COSE)"))
    return _foreign_curve(_COSE_CURVES.get(curve, f"COSE curve {integer_text(curve)}"))


@asn1.sequence
class _SubjectPublicKeyInfo:
    algorithm: asn1.TLV
    key: asn1.BitString


def _object_identifiers(spki: bytes) -> Iterator[str]:
    """The key algorithm of a SubjectPublicKeyInfo, dotted, and its curve if it names one."""
    content = bytes(asn1.decode_der(_SubjectPublicKeyInfo, spki).algorithm.data)
    while content[:1] == b"\x06":
        end = 2 + content[1]
        yield asn1.decode_der(ObjectIdentifier, content[:end]).dotted_string
        content = content[end:]


def unsupported_spki(spki: bytes) -> UnsupportedError:
    """The error for a SubjectPublicKeyInfo that is not in the tables.

    Args:
        spki: The DER.
    """
    try:
        kind, *rest = _object_identifiers(spki)
    except (ValueError, TypeError, OverflowError, LookupError):
        return UnsupportedError("the key's algorithm is not supported", code="key.unsupported", clause=_CLAUSE)
    oid = kind if kind != _EC_KEY else rest[0] if rest else ""
    curve = next((one for one in CURVES.values() if one.oid == oid), None)
    if curve is not None:
        suits = "its algorithm identifier has another form than that curve's" if curve.algorithm else "it cannot sign"
        msg = f"the key is on {curve.name}, and {suits}"
    elif not oid:
        msg = "the key is not on a named curve: the curve is left out or given by its parameters"
    elif kind == _EC_KEY:
        return _foreign_curve(NOT_IMPLEMENTED.get(oid) or _FOREIGN_CURVES.get(oid) or f"the curve {oid}")
    else:
        return _foreign_key(_FOREIGN_KEYS.get(oid, oid))
    return UnsupportedError(msg, code="key.unsupported", clause=_CLAUSE)


_CURVES_BY_EC_NAME: Final = {curve.ec.name: curve for curve in CURVES.values() if curve.ec is not None}
_OKP_TYPES: Final[tuple[tuple[type[Any], str], ...]] = (
    (ed25519.Ed25519PublicKey, "Ed25519"),
    (ed448.Ed448PublicKey, "Ed448"),
    (x25519.X25519PublicKey, "X25519"),
    (x448.X448PublicKey, "X448"),
)
_OKP_LOADERS: Final[Mapping[str, Any]] = {
    "Ed25519": ed25519.Ed25519PublicKey.from_public_bytes,
    "Ed448": ed448.Ed448PublicKey.from_public_bytes,
    "X25519": x25519.X25519PublicKey.from_public_bytes,
    "X448": x448.X448PublicKey.from_public_bytes,
}
_ML_DSA: Final[Mapping[str, tuple[type[Any], type[Any]]]] = {
    "ML-DSA-44": (mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey),
    "ML-DSA-65": (mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey),
    "ML-DSA-87": (mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey),
}
_ML_DSA_PRIVATE_KEYS: Final = tuple(private for private, _ in _ML_DSA.values())
_ECDSA: Final = {name: ec.ECDSA(value) for name, value in _HASHES.items()}


def raw_to_der(signature: bytes) -> bytes:
    """Convert a raw ECDSA signature (r and s side by side) to DER.

    Raises:
        ValueError: The length is odd or zero.
    """
    if not signature or len(signature) % 2:
        msg = "a raw ECDSA signature has two halves of equal length"
        raise ValueError(msg)
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


def der_to_raw(signature: bytes, curve: Curve) -> bytes:
    """Convert a DER ECDSA signature to r and s side by side, each as wide as the field of `curve`.

    Raises:
        SigningError: The bytes are not a DER signature for that curve (code ``signing.malformed_signature``).
    """
    try:
        r, s = decode_dss_signature(signature)
        return r.to_bytes(curve.coordinate_size) + s.to_bytes(curve.coordinate_size)
    except (ValueError, OverflowError) as exc:
        msg = f"the custodian's answer is not a DER signature for {curve.name}"
        raise SigningError(msg, code="signing.malformed_signature") from exc


class _Edwards(NamedTuple):
    """The curve a·x² + y² = 1 + d·x²·y² over the integers modulo p. Its points number 2 ** doublings times a prime."""

    p: int
    a: int
    d: int
    doublings: int


_EDWARDS: Final[Mapping[str, _Edwards]] = {
    "Ed25519": _Edwards(2**255 - 19, -1, -121665 * pow(121666, -1, 2**255 - 19), 3),
    "Ed448": _Edwards(2**448 - 2**224 - 1, 1, -39081, 2),
}


def _edwards_defect(name: str, encoded: bytes) -> str | None:
    """The defect in the encoding of a point, or None (RFC 8032: y, little-endian; the last bit is the sign of x)."""
    p, a, d, doublings = _EDWARDS[name]
    y = int.from_bytes(encoded, "little") & ~(1 << (8 * len(encoded) - 1))
    if y >= p:
        return f"the bytes are not the canonical encoding of a point on {name}"
    # x² = top / bottom; bottom is never 0, since d / a is not a square.
    top, bottom = (1 - y * y) % p, (a - d * y * y) % p
    if _jacobi(top * bottom % p, p) < 0:
        return f"the bytes are no point on {name}"
    # Doubling needs y only, here as the fraction up / down. The neutral element has y = 1, and no other point has.
    up, down = y, 1
    for _ in range(doublings):
        up2, down2 = up * up % p, down * down % p
        x2 = a * (down2 - up2)  # a·x², as the fraction x2 / scale
        scale = (a * down2 - d * up2) % p
        up, down = (up2 * scale - x2 * down2) % p, ((2 * scale - x2) * down2 - up2 * scale) % p
    if up == down:
        return "the key is a point of small order, under which one signature goes with any message"
    return None


def _jacobi(value: int, modulus: int) -> int:
    """The Jacobi symbol: for a prime modulus 1 for a square, -1 for none, 0 for 0. Five times as fast as `pow`."""
    sign = 1
    while value:
        zeros = (value & -value).bit_length() - 1
        value >>= zeros
        if zeros & 1 and modulus & 7 in (3, 5):
            sign = -sign
        if value & modulus & 3 == 3:
            sign = -sign
        value, modulus = modulus % value, value
    return sign if modulus == 1 else 0


def _refuse_hybrid_point(key: object, spki: bytes) -> None:
    """Reject the hybrid form of a point (first byte 6 or 7), which `cryptography` accepts in a SubjectPublicKeyInfo."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        if spki.endswith(point[1:]) and spki[-len(point)] != point[0]:
            msg = "the point is neither uncompressed nor compressed"
            raise DecodeError(msg, code="key.malformed", clause="RFC 5480 §2.2")


class PublicKey:
    """A public key on a curve of the tables; immutable.

    Attributes:
        curve: The curve.
        key: The key as `cryptography` holds it. It is a point of its curve, canonically encoded. No signature verifies
            for every message under a key for signatures. An X25519 or X448 key may be any number: one that leads to no
            secret is refused at key agreement.

    Spec:
        RFC 8032 §5.1.7 and §5.2.7, RFC 7748 §6, SEC 1 §3.2.2; pki.md §8.4.
    """

    __slots__ = ("_spki", "curve", "key")

    curve: Curve
    key: VerifyingKey | AgreementKey

    def __init__(self, curve: Curve, key: VerifyingKey | AgreementKey) -> None:
        if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            defect = _edwards_defect(curve.name, key.public_bytes_raw())
            if defect is not None:
                raise DecodeError(defect, code="key.malformed", clause="RFC 8032 §5")
        self.curve = curve
        self.key = key
        self._spki: bytes | None = None

    @classmethod
    def from_cryptography(cls, key: object, *, post_quantum: UnsafePostQuantum | None = None) -> PublicKey:
        """Wrap a key of the `cryptography` package; an ML-DSA key for the rehearsal only.

        Raises:
            DecodeError: An Edwards point that is not on its curve, not canonically encoded or of small order (code
                ``key.malformed``).
            UnsupportedError: The kind of key or its curve is not in the table (code ``key.unsupported``).
        """
        if isinstance(key, ec.EllipticCurvePublicKey):
            curve = _CURVES_BY_EC_NAME.get(key.curve.name)
            if curve is not None:
                return cls(curve, key)
            raise _foreign_curve(_CURVE_NAMES.get(key.curve.name, key.curve.name))
        for kind, name in _OKP_TYPES:
            if isinstance(key, kind):
                return cls(CURVES[name], cast("VerifyingKey", key))
        if isinstance(post_quantum, UnsafePostQuantum):
            for name, (_, public) in _ML_DSA.items():
                if isinstance(key, public):
                    return cls(EXPERIMENTAL_CURVES[name], cast("VerifyingKey", key))
        raise _foreign_object(key)

    @classmethod
    def from_spki(cls, spki: bytes, *, post_quantum: UnsafePostQuantum | None = None) -> PublicKey:
        """Load a DER SubjectPublicKeyInfo; one of ML-DSA for the rehearsal only.

        Raises:
            DecodeError: The bytes are no SubjectPublicKeyInfo, or its point is no public key of its curve (code
                ``key.malformed``).
            UnsupportedError: The curve is not in the table.
        """
        try:
            key = serialization.load_der_public_key(spki)
        except UnsupportedAlgorithm as exc:
            raise unsupported_spki(spki) from exc
        except (ValueError, TypeError, InternalError) as exc:
            msg = "the bytes are no SubjectPublicKeyInfo"
            raise DecodeError(msg, code="key.malformed") from exc
        _refuse_hybrid_point(key, spki)
        return cls.from_cryptography(key, post_quantum=post_quantum)

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Load a PEM public key.

        Raises:
            DecodeError: The text is no PEM public key (code ``key.malformed``).
            UnsupportedError: The curve is not in the table.
        """
        body = pem.partition(b"-----BEGIN")[2].partition(b"-----")[2].partition(b"-----END")[0]
        try:
            key = serialization.load_pem_public_key(pem)
            spki = base64.b64decode(body)
        except UnsupportedAlgorithm as exc:
            raise unsupported_spki(base64.b64decode(body)) from exc
        except (ValueError, TypeError, InternalError) as exc:
            msg = "the text is no PEM public key"
            raise DecodeError(msg, code="key.malformed") from exc
        _refuse_hybrid_point(key, spki)
        return cls.from_cryptography(key)

    @classmethod
    def from_point(cls, curve: Curve, point: bytes, *, post_quantum: UnsafePostQuantum | None = None) -> PublicKey:
        """Load a public key from its encoded point.

        Args:
            curve: The curve that the point must be on.
            point: SEC 1 form, compressed or not (EC), or the key itself (OKP, AKP).
            post_quantum: Permits AKP keys, for the rehearsal.

        Raises:
            DecodeError: The curve has no such point (code ``key.malformed``).
            UnsupportedError: The key is of ML-DSA, outside the rehearsal (code ``key.unsupported``).
        """
        if curve.experimental is not None and not isinstance(post_quantum, UnsafePostQuantum):
            raise _foreign_key(curve.name)
        try:
            if curve.ec is not None:
                return cls(curve, ec.EllipticCurvePublicKey.from_encoded_point(curve.ec, point))
            if curve.experimental is not None:
                return cls(curve, _ML_DSA[curve.name][1].from_public_bytes(point))
            return cls(curve, _OKP_LOADERS[curve.name](point))
        except (ValueError, TypeError, InternalError) as exc:
            msg = f"the bytes are no point on {curve.name}"
            raise DecodeError(msg, code="key.malformed") from exc

    @property
    def point(self) -> bytes:
        """The encoded point: SEC 1 uncompressed (EC) or the key itself (OKP, AKP)."""
        if self.curve.kind == "EC":
            return self.key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return self.key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @property
    def spki(self) -> bytes:
        """The DER SubjectPublicKeyInfo."""
        if self._spki is None:
            self._spki = self.key.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        return self._spki

    @property
    def pem(self) -> bytes:
        """The PEM SubjectPublicKeyInfo."""
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def algorithm(self) -> Algorithm:
        """The signature algorithm that goes with the curve.

        Raises:
            UnsupportedError: The curve is for key agreement only, or the key is of ML-DSA (code ``key.cannot_sign``).
        """
        if self.curve.algorithm is None:
            msg = f"{self.curve.name} keys cannot sign"
            raise UnsupportedError(msg, code="key.cannot_sign", clause="18013-5 9.1.5.2")
        return self.curve.algorithm

    def algorithm_for(self, post_quantum: UnsafePostQuantum | None) -> Algorithm:
        """The signature algorithm, for the rehearsal that of an ML-DSA key too.

        Raises:
            UnsupportedError: See `algorithm`.
        """
        if self.curve.experimental is not None and isinstance(post_quantum, UnsafePostQuantum):
            return self.curve.experimental
        return self.algorithm

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a raw signature over `data`.

        Args:
            signature: r and s side by side (ECDSA), or the EdDSA or ML-DSA signature, exactly as wide as the curve
                demands.
            data: The whole signed message; the digest is computed here.

        Raises:
            VerificationError: The signature does not verify (code ``signature.invalid``).
            UnsupportedError: The curve is for key agreement only.
        """
        curve = self.curve
        # An ML-DSA key is held only by somebody who has asked for the rehearsal.
        algorithm = curve.experimental or self.algorithm
        size = curve.signature_size
        if len(signature) == size:
            try:
                if algorithm.hash_name is None:
                    # Pure ML-DSA with an empty context (RFC 9964, RFC 9881) is called just like EdDSA.
                    cast("ed25519.Ed25519PublicKey", self.key).verify(signature, data)
                else:
                    half = size // 2
                    der = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
                    key = cast("ec.EllipticCurvePublicKey", self.key)
                    key.verify(der, data, _ECDSA[algorithm.hash_name])
            except InvalidSignature:
                pass  # falls through to the one refusal below
            else:
                return
        msg = f"the {algorithm.name} signature does not verify"
        raise VerificationError(msg, code="signature.invalid")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PublicKey):
            return NotImplemented
        return self.spki == other.spki

    def __hash__(self) -> int:
        return hash(self.spki)

    def __repr__(self) -> str:
        return f"PublicKey({self.curve.name})"


@runtime_checkable
class Signer(Protocol):
    """A key store that signs with one private key: software, an HSM, a cloud service."""

    @property
    def public_key(self) -> PublicKey:
        """The public half."""

    def sign(self, data: bytes) -> bytes:
        """Sign `data` with the algorithm of the key's curve.

        Args:
            data: The whole message. The signer computes the digest.

        Returns:
            The raw signature: r and s side by side (ECDSA), or the EdDSA or ML-DSA signature.

        Raises:
            SigningError: The custodian refused or failed.
        """


class SoftwareSigner:
    """A private key in this process's memory.

    For tests, demonstrations, device keys of a simulator and low-assurance signers; an issuing authority keeps its keys
    in an HSM (`issuer.keystore`).
    """

    __slots__ = ("_deterministic", "_key", "_public_key", "_scheme")

    def __init__(
        self, key: object, *, deterministic: bool = False, post_quantum: UnsafePostQuantum | None = None
    ) -> None:
        """Wrap a private key of the `cryptography` package.

        Args:
            key: An EC, Ed25519 or Ed448 private key; for the rehearsal an ML-DSA key too, whose signatures are never
                reproducible.
            deterministic: Draw the ECDSA nonce from key and message (RFC 6979), for reproducible test vectors.
            post_quantum: Permits ML-DSA keys, for the rehearsal.

        Raises:
            UnsupportedError: The key is not in the table or cannot sign.
        """
        rehearsed = isinstance(key, _ML_DSA_PRIVATE_KEYS) and isinstance(post_quantum, UnsafePostQuantum)
        if not rehearsed and not isinstance(
            key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
        ):
            raise UnsupportedError(_foreign_object(key).message, code="key.cannot_sign")
        self._key = cast("SigningPrivateKey", key)
        self._public_key = PublicKey.from_cryptography(self._key.public_key(), post_quantum=post_quantum)
        self._deterministic = deterministic
        hash_algorithm = self._public_key.algorithm_for(post_quantum).hash
        self._scheme = None if hash_algorithm is None else ec.ECDSA(hash_algorithm, deterministic_signing=deterministic)

    @classmethod
    def generate(cls, curve: str = "P-256", *, post_quantum: UnsafePostQuantum | None = None) -> SoftwareSigner:
        """Make a fresh key on the named curve; for the rehearsal, one of that ML-DSA parameter set.

        Raises:
            UnsupportedError: No such curve, or it cannot sign.
        """
        if curve in _ML_DSA and isinstance(post_quantum, UnsafePostQuantum):
            return cls(_ML_DSA[curve][0].generate(), post_quantum=post_quantum)
        found = CURVES.get(curve)
        if found is None or found.algorithm is None:
            msg = "no signing key can be made on the curve asked for"
            raise UnsupportedError(msg, code="key.unsupported")
        if found.ec is not None:
            return cls(ec.generate_private_key(found.ec))
        if found.name == "Ed25519":
            return cls(ed25519.Ed25519PrivateKey.generate())
        return cls(ed448.Ed448PrivateKey.generate())

    @classmethod
    def from_secret(cls, curve: str, secret: int, *, deterministic: bool = False) -> SoftwareSigner:
        """Load an EC key from its secret integer, as published examples and test vectors give it."""
        found = CURVES.get(curve)
        if found is None or found.ec is None:
            msg = "only EC keys have a secret integer"
            raise UnsupportedError(msg, code="key.unsupported")
        return cls(ec.derive_private_key(secret, found.ec), deterministic=deterministic)

    @classmethod
    def from_pkcs8(
        cls, data: bytes, *, password: bytes | None = None, post_quantum: UnsafePostQuantum | None = None
    ) -> SoftwareSigner:
        """Load a PKCS#8 private key, PEM or DER; one of ML-DSA for the rehearsal only.

        Raises:
            SigningError: The password does not decrypt the key (code ``signing.secret_incorrect``), or the bytes are no
                private key (code ``signing.key_malformed``).
            UnsupportedError: The key is not in the table.
        """
        try:
            key = _pkcs8_loader(data)(data, password)
        except TypeError as exc:  # a password where none is needed, or the reverse
            msg = "the key file is encrypted and no password was given, or the reverse"
            raise SigningError(msg, code="signing.secret_incorrect") from exc
        except UnsupportedAlgorithm as exc:
            msg = "the key's algorithm or encryption is not supported"
            raise UnsupportedError(msg, code="key.unsupported") from exc
        except (ValueError, InternalError) as exc:
            if password is None:
                msg = "the bytes are no PKCS#8 private key"
                raise SigningError(msg, code="signing.key_malformed") from exc
            msg = "the password does not open the key file"
            raise SigningError(msg, code="signing.secret_incorrect") from exc
        return cls(key, post_quantum=post_quantum)

    def to_pkcs8(self, *, password: bytes | None) -> bytes:
        """Export the key as PKCS#8 PEM, encrypted under `password`; with None it is not encrypted."""
        protection: serialization.KeySerializationEncryption = (
            serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
        )
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        """Sign `data`; see `Signer.sign`."""
        if self._scheme is None:
            return cast("ed25519.Ed25519PrivateKey", self._key).sign(data)
        signature = cast("ec.EllipticCurvePrivateKey", self._key).sign(data, self._scheme)
        r, s = decode_dss_signature(signature)
        size = self._public_key.curve.coordinate_size
        return r.to_bytes(size) + s.to_bytes(size)

    def agree(self, peer: PublicKey) -> bytes:
        """Agree a secret; see `KeyAgreement.agree`."""
        return _agree(self._key, peer)

    def __repr__(self) -> str:
        return f"SoftwareSigner({self._public_key.curve.name})"


class KeyAgreement(Protocol):
    """A private key for key agreement: an ephemeral key, or a device key that makes MACs."""

    def agree(self, peer: PublicKey) -> bytes:
        """Agree a shared secret: the x coordinate at full field width, or the X25519 / X448 output.

        Args:
            peer: The other side's public key, on the same curve.

        Raises:
            UnsupportedError: The two keys are not on one curve for key agreement (code ``key.curves_differ``).
            DecodeError: The peer's key leads to no usable secret (code ``key.malformed``).

        Spec:
            18013-5 first edition 9.1.1.5 and 9.1.3.5.
        """


def _agree(private_key: object, peer: PublicKey) -> bytes:
    key = peer.key
    try:
        if isinstance(private_key, ec.EllipticCurvePrivateKey) and isinstance(key, ec.EllipticCurvePublicKey):
            if private_key.curve.name == key.curve.name:
                return private_key.exchange(ec.ECDH(), key)
        elif isinstance(private_key, x25519.X25519PrivateKey):
            if isinstance(key, x25519.X25519PublicKey):
                return private_key.exchange(key)
        elif isinstance(private_key, x448.X448PrivateKey) and isinstance(key, x448.X448PublicKey):
            return private_key.exchange(key)
    except ValueError as exc:
        msg = "the peer's key leads to no shared secret"
        raise DecodeError(msg, code="key.malformed") from exc
    msg = "the two keys are not on one curve that agrees keys"
    raise UnsupportedError(msg, code="key.curves_differ", clause="18013-5 9.1.5.2")


class EphemeralKey:
    """A private key for key agreement only: the reader's or the device's ephemeral key of one session."""

    __slots__ = ("_key", "_public_key")

    def __init__(self, key: object) -> None:
        """Wrap a private key of the `cryptography` package.

        Raises:
            UnsupportedError: The key is not in the table or cannot agree secrets (code ``key.cannot_agree``).
        """
        if not isinstance(key, ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | x448.X448PrivateKey):
            raise UnsupportedError(_foreign_object(key).message, code="key.cannot_agree")
        self._key = key
        self._public_key = PublicKey.from_cryptography(key.public_key())

    @classmethod
    def generate(cls, curve: str = "P-256") -> EphemeralKey:
        """Make a fresh key on the named curve.

        Raises:
            UnsupportedError: No such curve, or it cannot agree secrets (code ``key.cannot_agree``).
        """
        found = CURVES.get(curve)
        if found is not None and found.ec is not None:
            return cls(ec.generate_private_key(found.ec))
        if curve == "X25519":
            return cls(x25519.X25519PrivateKey.generate())
        if curve == "X448":
            return cls(x448.X448PrivateKey.generate())
        msg = "no agreement key can be made on the curve asked for"
        raise UnsupportedError(msg, code="key.cannot_agree")

    @classmethod
    def from_secret(cls, curve: str, secret: int) -> EphemeralKey:
        """Load an EC key from its secret integer, as published examples and test vectors give it."""
        found = CURVES.get(curve)
        if found is None or found.ec is None:
            msg = "only EC keys have a secret integer"
            raise UnsupportedError(msg, code="key.unsupported")
        return cls(ec.derive_private_key(secret, found.ec))

    @classmethod
    def from_pkcs8(cls, data: bytes) -> EphemeralKey:
        """Load an unencrypted PKCS#8 key, PEM or DER.

        Raises:
            DecodeError: The bytes are no unencrypted PKCS#8 private key (code ``key.malformed``).
            UnsupportedError: The key is not in the table or cannot agree secrets.
        """
        try:
            key = _pkcs8_loader(data)(data, None)
        except UnsupportedAlgorithm as exc:
            msg = "the key's algorithm is not supported"
            raise UnsupportedError(msg, code="key.unsupported") from exc
        except (ValueError, TypeError, InternalError) as exc:
            msg = "the bytes are no unencrypted PKCS#8 private key"
            raise DecodeError(msg, code="key.malformed") from exc
        return cls(key)

    def to_pkcs8(self) -> bytes:
        """Export the key as unencrypted PKCS#8 PEM, for the life of one session."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return self._public_key

    def agree(self, peer: PublicKey) -> bytes:
        """Agree a secret; see `KeyAgreement.agree`."""
        return _agree(self._key, peer)

    def __repr__(self) -> str:
        return f"EphemeralKey({self._public_key.curve.name})"


def _pkcs8_loader(data: bytes) -> Callable[[bytes, bytes | None], object]:
    if data.lstrip().startswith(b"-----BEGIN"):
        return serialization.load_pem_private_key
    return serialization.load_der_private_key


def hkdf_sha256(secret: bytes, *, salt: bytes | None, info: bytes, length: int) -> bytes:
    """Derive `length` bytes by HKDF with SHA-256 (RFC 5869)."""
    return HKDF(algorithm=_HASHES["sha256"], length=length, salt=salt, info=info).derive(secret)


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """The 32-byte HMAC of `data` with SHA-256 (RFC 2104)."""
    mac = hmac.HMAC(key, _HASHES["sha256"])
    mac.update(data)
    return mac.finalize()


# --- X.509 -----------------------------------------------------------------------------------------------------------
#
# `cryptography` signs certificates, requests and CRLs with any subclass of its abstract private keys, and asks of it
# only `public_key()` and `sign()`. So a key in an HSM signs X.509 through these classes. It is a convenience that the
# package does not document: tests/unit/mdl/test_keys.py holds the contract.


def _answer_of(call: Callable[[], T]) -> T:
    """The answer of a key store. Any exception becomes a `SigningError`, without the text of the exception."""
    try:
        return call()
    except SigningError:
        raise
    except Exception as exc:  # noqa: BLE001 - it is anybody's code
        failure = type(exc).__name__
    # Raised out here since the custodian's own error may hold a secret.
    msg = f"the custodian failed ({failure}); nothing was signed"
    raise SigningError(msg, code="signing.failed")


def signing_key_of(signer: Signer) -> PublicKey:
    """The public key of a signer of any origin.

    Raises:
        SigningError: The signer raised (code ``signing.failed``), or returned something else (code
            ``signing.wrong_key``).
    """
    answer: object = _answer_of(lambda: signer.public_key)
    if not isinstance(answer, PublicKey):
        raise SigningError("the custodian names no public key; nothing was signed", code="signing.wrong_key")
    return answer


def signature_of(signer: Signer, data: bytes) -> bytes:
    """Sign with a signer of any origin.

    Args:
        signer: The signer.
        data: The whole message.

    Returns:
        The bytes that it returned. The caller must verify them with a public key from another source.

    Raises:
        SigningError: The signer refused or raised (code ``signing.failed``), or returned no bytes (code
            ``signing.malformed_signature``).
    """
    answer: object = _answer_of(lambda: signer.sign(data))
    if not isinstance(answer, bytes | bytearray):
        msg = "the custodian's signature is no byte string; nothing was signed"
        raise SigningError(msg, code="signing.malformed_signature")
    return bytes(answer)


def signatures_of(sign_many: Callable[[list[bytes]], Iterable[bytes]], messages: list[bytes]) -> list[bytes]:
    """Sign many messages at once. The caller must verify the signatures.

    Raises:
        SigningError: The signer refused or raised (code ``signing.failed``), or returned another number of signatures
            than there are messages (code ``signing.wrong_count``).
    """
    # One more than there may be is enough of an endless answer.
    answers = _answer_of(lambda: list(islice(sign_many(list(messages)), len(messages) + 1)))
    if len(answers) != len(messages):
        msg = "the custodian gave a wrong number of signatures; nothing of this batch was issued"
        raise SigningError(msg, code="signing.wrong_count")
    return answers


class _Steady:
    """A signer whose public key cannot change while a certificate is built."""

    __slots__ = ("_signer", "public_key")

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.public_key = signing_key_of(signer)

    def sign(self, data: bytes) -> bytes:
        return signature_of(self._signer, data)


def _signature_of(signer: Signer, data: Any) -> bytes:
    signature = signature_of(signer, bytes(data))
    if len(signature) != signer.public_key.curve.signature_size:
        msg = "the custodian's signature has the wrong length"
        raise SigningError(msg, code="signing.malformed_signature")
    return signature


def _not_extractable(*_args: object, **_kwargs: object) -> NoReturn:
    msg = "the private key does not leave its custodian"
    raise SigningError(msg, code="signing.not_extractable")


class _CustodianEcKey(ec.EllipticCurvePrivateKey):
    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    @property
    def curve(self) -> ec.EllipticCurve:
        return cast("ec.EllipticCurve", self._signer.public_key.curve.ec)

    @property
    def key_size(self) -> int:
        return self.curve.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return cast("ec.EllipticCurvePublicKey", self._signer.public_key.key)

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        expected = self._signer.public_key.algorithm.hash
        asked = signature_algorithm.algorithm
        if expected is None or not isinstance(asked, type(expected)):
            msg = "the digest asked for does not go with the key's curve"
            raise SigningError(msg, code="signing.digest_mismatch", clause="18013-5 9.1.2.4")
        return raw_to_der(_signature_of(self._signer, data))

    def __copy__(self) -> _CustodianEcKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _CustodianEcKey:
        return self

    exchange = _not_extractable
    private_numbers = _not_extractable
    private_bytes = _not_extractable


def x509_signing_key(signer: Signer, *, post_quantum: UnsafePostQuantum | None = None) -> SigningPrivateKey:
    """Wrap a signer as a private key of `cryptography`, for its certificate, CSR and CRL builders.

    Raises:
        UnsupportedError: The signer's key cannot sign X.509 here (code ``key.cannot_sign``); an ML-DSA key can, for the
            rehearsal only.
    """
    signer = _Steady(signer)
    kind = signer.public_key.curve.name
    if kind in _CUSTODIAN_ML_DSA_KEYS and isinstance(post_quantum, UnsafePostQuantum):
        return cast("SigningPrivateKey", _CUSTODIAN_ML_DSA_KEYS[kind](signer))
    if signer.public_key.curve.kind == "EC":
        return _CustodianEcKey(signer)
    if kind == "Ed25519":
        return _CustodianEd25519Key(signer)
    if kind == "Ed448":
        return _CustodianEd448Key(signer)
    msg = f"{kind} keys cannot sign"
    raise UnsupportedError(msg, code="key.cannot_sign")


class _CustodianEd25519Key(ed25519.Ed25519PrivateKey):
    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def public_key(self) -> ed25519.Ed25519PublicKey:
        return cast("ed25519.Ed25519PublicKey", self._signer.public_key.key)

    def sign(self, data: Any) -> bytes:
        return _signature_of(self._signer, data)

    def __copy__(self) -> _CustodianEd25519Key:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _CustodianEd25519Key:
        return self

    private_bytes = _not_extractable
    private_bytes_raw = _not_extractable


class _CustodianEd448Key(ed448.Ed448PrivateKey):
    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def public_key(self) -> ed448.Ed448PublicKey:
        return cast("ed448.Ed448PublicKey", self._signer.public_key.key)

    def sign(self, data: Any) -> bytes:
        return _signature_of(self._signer, data)

    def __copy__(self) -> _CustodianEd448Key:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _CustodianEd448Key:
        return self

    private_bytes = _not_extractable
    private_bytes_raw = _not_extractable


class _CustodianMlDsaKey:
    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def public_key(self) -> Any:
        return self._signer.public_key.key

    def sign(self, data: Any, context: Any = None) -> bytes:
        if context:
            msg = "certificates are signed with an empty context"
            raise SigningError(msg, code="signing.context", clause="RFC 9881")
        return _signature_of(self._signer, data)

    def __copy__(self) -> _CustodianMlDsaKey:
        return self

    def __deepcopy__(self, memo: dict[Any, Any]) -> _CustodianMlDsaKey:
        return self

    sign_mu = _not_extractable
    private_bytes = _not_extractable
    private_bytes_raw = _not_extractable


_CUSTODIAN_ML_DSA_KEYS: Final[Mapping[str, Callable[[Signer], object]]] = {
    name: type(f"_Custodian{private.__name__}", (_CustodianMlDsaKey, private), {})
    for name, (private, _) in _ML_DSA.items()
}

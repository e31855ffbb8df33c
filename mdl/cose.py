"""COSE as 18013-5 uses it: COSE_Key, COSE_Sign1, COSE_Mac0 and x5chain.

A decoded message keeps the protected header as received, because the signature covers those bytes. The input of a
signature or MAC is assembled from byte slices, never by encoding a decoded structure again.

Spec:
    RFC 9052, RFC 9053, RFC 9360 (x5chain), RFC 9964 (ML-DSA, for the rehearsal only);
    18013-5 first edition 9.1.2.4, 9.1.3.5, 9.1.3.6.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mdl.cbor import Limits, Reading, Tag, bstr, decode, encode, head
from mdl.errors import DecodeError, UnsupportedError, VerificationError, integer_text
from mdl.keys import (
    ALGORITHMS,
    COSE_KEYS_WITHOUT_CURVE,
    CURVES_BY_COSE_ID,
    EXPERIMENTAL_CURVES,
    Algorithm,
    PublicKey,
    UnsafePostQuantum,
    hmac_sha256,
    unsupported_cose_key,
)

__all__ = [
    "ALG",
    "HMAC_256_256",
    "X5CHAIN",
    "CoseMac0",
    "CoseSign1",
    "carries_private_part",
    "decode_key",
    "decode_mac0",
    "decode_sign1",
    "encode_key",
    "key_deviation",
    "mac_structure",
    "protected_header",
    "sig_structure",
]

ALG: Final = 1
CRIT: Final = 2
X5CHAIN: Final = 33
X5T: Final = 34
HMAC_256_256: Final = 5

TAGGED: Final = "cose.tagged"
"""The deviation of a COSE message under its tag: 18013-5 sends it without, some peers tag it."""

_TAG_MAC0: Final = 17
_TAG_SIGN1: Final = 18
# The digests that x5t may be by (IANA COSE algorithms), with the bytes that are kept of them.
_THUMBPRINTS: Final = {-16: ("sha256", 32), -15: ("sha256", 8), -43: ("sha384", 48), -44: ("sha512", 64)}
# A document signer is issued by its root directly, so a chain of more than a few certificates is somebody's mistake.
_MAX_CHAIN: Final = 8

_SIGNATURE1: Final = b"\x84\x6aSignature1"
_MAC0: Final = b"\x84\x64MAC0"
_EMPTY_AAD: Final = b"\x40"


def protected_header(algorithm: int) -> bytes:
    """The content of a protected header that holds only the algorithm, for example ``a10126``."""
    return encode({ALG: algorithm})


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """The bytes that a COSE_Sign1 signs: the encoded Sig_structure with empty external_aad.

    Args:
        protected: The content of the protected header, as received or as it will be sent.
        payload: The payload's content, attached or detached.

    Spec:
        RFC 9052 §4.4.
    """
    return b"".join((_SIGNATURE1, bstr(protected), _EMPTY_AAD, head(2, len(payload)), payload))


def mac_structure(protected: bytes, payload: bytes) -> bytes:
    """The bytes that a COSE_Mac0 authenticates: the encoded MAC_structure with empty external_aad.

    Spec:
        RFC 9052 §6.3.
    """
    return _MAC0 + bstr(protected) + _EMPTY_AAD + bstr(payload)


@dataclass(frozen=True, slots=True)
class CoseSign1:
    """A COSE_Sign1 message.

    Attributes:
        protected: The protected header's content as received; the signature covers it.
        protected_map: The protected header, decoded.
        unprotected: The unprotected header.
        payload: The payload's content, or None if it is detached.
        signature: The raw signature.
    """

    protected: bytes
    protected_map: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    signature: bytes

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm that the protected header names.

        Raises:
            UnsupportedError: The header names no algorithm, or one that the standard does not have (code
                ``cose.algorithm``).
        """
        number = self.protected_map.get(ALG)
        found = ALGORITHMS.get(number) if type(number) is int else None
        if found is None:
            msg = "the protected header names no signature algorithm of the standard"
            raise UnsupportedError(msg, code="cose.algorithm", clause="18013-5 9.1.2.4")
        return found

    def algorithm_under(self, key: PublicKey, *, fully_specified: bool = False) -> Algorithm:
        """The algorithm that the protected header names, after comparison with the key.

        Args:
            key: The key.
            fully_specified: Whether to accept also the numbers that name algorithm and curve together (RFC 9864).

        Raises:
            VerificationError: The algorithm does not go with the key's curve (code ``cose.algorithm_mismatch``).
            UnsupportedError: The standard does not have the algorithm (code ``cose.algorithm``), or the key is for key
                agreement only.
        """
        own = key.curve.experimental or key.curve.algorithm
        number = self.protected_map.get(ALG)
        if own is not None and type(number) is int and number == own.cose_id:
            return own
        if fully_specified and self.is_fully_specified_for(key):
            return key.algorithm
        algorithm = self.algorithm
        if key.curve.experimental is not None or algorithm is not key.algorithm:
            msg = f"the message names {algorithm.name}, which does not go with {key.curve.name}"
            raise VerificationError(msg, code="cose.algorithm_mismatch", clause="18013-5 9.1.2.4")
        return algorithm

    def is_fully_specified_for(self, key: PublicKey) -> bool:
        """Whether the protected header has the number that names the algorithm and the key's curve together."""
        number = self.protected_map.get(ALG)
        return type(number) is int and number == key.curve.fully_specified

    @property
    def x5chain(self) -> tuple[bytes, ...]:
        """The certificates of header 33, the leaf first, each DER; empty where the header is absent.

        Raises:
            DecodeError: The header is neither a byte string nor an array of byte strings, or stands in both header maps
                (code ``cose.x5chain``).
        """
        value = self.unprotected.get(X5CHAIN)
        if value is None:
            value = self.protected_map.get(X5CHAIN)
            if value is None:
                return ()
        if type(value) is bytes:
            return (value,)
        if (
            type(value) in (list, tuple)  # a Tagged24 is a tuple too, of another kind
            and 0 < len(value) <= _MAX_CHAIN
            and all(type(one) is bytes for one in value)
        ):
            return tuple(value)
        msg = f"x5chain is one certificate or an array of 1 to {_MAX_CHAIN}"
        raise DecodeError(msg, code="cose.x5chain", clause="RFC 9360 §2")

    def contradicts(self, certificate: bytes) -> bool:
        """Whether header 34 (x5t) in the protected header has the digest of another certificate than this one (DER).

        A digest by an unknown algorithm does not contradict; a digest that is not a byte string does.

        Spec:
            RFC 9360 §2; the draft of the second edition recommends SHA-256 (mdoc.md §2.2).
        """
        value: Any = self.protected_map.get(X5T)
        if type(value) not in (list, tuple) or len(value) != 2 or type(value[0]) is not int:
            return False
        name, size = _THUMBPRINTS.get(value[0], ("", 0))
        digest = value[1]
        return bool(name) and (type(digest) is not bytes or digest != hashlib.new(name, certificate).digest()[:size])

    def verify(self, key: PublicKey, *, detached: bytes | None = None, fully_specified: bool = False) -> None:
        """Check the signature.

        Args:
            key: The key that must have signed.
            detached: The payload, if and only if the message does not carry it.
            fully_specified: See `algorithm_under`.

        Raises:
            VerificationError: The signature does not verify (code ``signature.invalid``), the algorithm does not go
                with the key's curve (code ``cose.algorithm_mismatch``), or the payload is detached where an attached
                one was expected or the reverse (code ``cose.payload``).
            UnsupportedError: The standard does not have the algorithm.
        """
        if (self.payload is None) == (detached is None):
            msg = "the payload is attached where it must be detached, or the reverse"
            raise VerificationError(msg, code="cose.payload", clause="RFC 9052 §4.4")
        payload = self.payload if detached is None else detached
        self.algorithm_under(key, fully_specified=fully_specified)
        key.verify(self.signature, sig_structure(self.protected, payload or b""))

    def encode(self) -> bytes:
        """The untagged message; the protected header is written as it is held."""
        payload = b"\xf6" if self.payload is None else bstr(self.payload)
        return head(4, 4) + bstr(self.protected) + encode(dict(self.unprotected)) + payload + bstr(self.signature)


@dataclass(frozen=True, slots=True)
class CoseMac0:
    """A COSE_Mac0 message; the attributes are those of `CoseSign1`, with `tag` for the signature."""

    protected: bytes
    protected_map: Mapping[Any, Any]
    unprotected: Mapping[Any, Any]
    payload: bytes | None
    tag: bytes

    def verify(self, key: bytes, *, detached: bytes) -> None:
        """Check the tag over a detached payload, in constant time.

        Args:
            key: The 32-byte HMAC key.
            detached: The payload.

        Raises:
            VerificationError: The tag does not verify (code ``mac.invalid``), or the message carries a payload (code
                ``cose.payload``).
            UnsupportedError: The algorithm is not HMAC 256/256 (code ``cose.algorithm``).
        """
        if self.payload is not None:
            msg = "the payload is attached where it must be detached"
            raise VerificationError(msg, code="cose.payload", clause="18013-5 9.1.3.5")
        algorithm = self.protected_map.get(ALG)
        if type(algorithm) is not int or algorithm != HMAC_256_256:
            msg = "the protected header does not name HMAC 256/256"
            raise UnsupportedError(msg, code="cose.algorithm", clause="18013-5 9.1.3.5")
        if not hmac.compare_digest(self.tag, hmac_sha256(key, mac_structure(self.protected, detached))):
            msg = "the MAC does not verify"
            raise VerificationError(msg, code="mac.invalid", clause="18013-5 9.1.3.5")

    def encode(self) -> bytes:
        """The untagged message; the protected header is written as it is held."""
        payload = b"\xf6" if self.payload is None else bstr(self.payload)
        return head(4, 4) + bstr(self.protected) + encode(dict(self.unprotected)) + payload + bstr(self.tag)


def _fail(path: str, what: str, code: str = "cose.structure") -> DecodeError:
    return DecodeError(what, code=code, path=path, clause="RFC 9052 §3")


def _is_map(value: object) -> bool:
    """Whether a decoded value is a map; inside a tag it is an immutable one."""
    return type(value) is dict or isinstance(value, Mapping)


# A header map holds an algorithm and a certificate chain: no more items than this, whatever it is part of.
_HEADER_LIMITS: Final = Limits(max_bytes=1 << 18, max_depth=16, max_entries=256, max_items=1024)


def _parts(
    value: Any, tag: int, path: str, reading: Reading | None
) -> tuple[bytes, Mapping[Any, Any], Mapping[Any, Any], bytes | None, bytes]:
    """Take a decoded four-part message apart; 18013-5 sends it untagged, some peers tag it."""
    if type(value) is Tag and value.number == tag:
        if reading is not None:
            reading.note(TAGGED, path)
        value = value.value
    if type(value) not in (list, tuple) or len(value) != 4:
        raise _fail(path, "a COSE message is an array of four")
    protected, unprotected, payload, proof = value
    if type(protected) is not bytes or type(proof) is not bytes or not _is_map(unprotected):
        raise _fail(path, "a part of the COSE message has the wrong type")
    if payload is not None and type(payload) is not bytes:
        raise _fail(path, "the payload is neither a byte string nor null")
    protected_map: Any
    if len(protected) == 3 and protected[:2] == b"\xa1\x01" and protected[2] < 0x38 and protected[2] & 0x1F < 0x18:
        # The usual header, nothing but a small algorithm number.
        number = protected[2]
        protected_map = {ALG: number if number < 0x18 else 0x1F - number}
    elif protected:
        try:
            protected_map = decode(protected, limits=_HEADER_LIMITS, reading=reading, path=f"{path}[0]")
        except DecodeError as exc:
            exc.path = f"{path}[0]{exc.path}"
            raise
        if not _is_map(protected_map):
            raise _fail(f"{path}[0]", "the protected header is not a map")
    else:
        protected_map = {}
    if not protected_map.keys().isdisjoint(unprotected):
        raise _fail(path, "a header stands in both header maps", "cose.duplicate_header")
    for header_map in (protected_map, unprotected):
        for label in header_map:
            if type(label) is not int and type(label) is not str:
                raise _fail(path, "a header label is neither an integer nor text")
    if CRIT in protected_map or CRIT in unprotected:
        msg = "the message has critical headers, none of which this profile knows"
        raise DecodeError(msg, code="cose.critical", path=path, clause="RFC 9052 §3.1")
    return protected, protected_map, unprotected, payload, proof


def decode_sign1(value: Any, *, path: str = "", reading: Reading | None = None) -> CoseSign1:
    """Read a COSE_Sign1 from a decoded CBOR value, tagged (18) or not; `reading` is that of its message.

    Raises:
        DecodeError: The value is no COSE_Sign1, names a header twice, or has critical headers (codes ``cose.…``).
    """
    return CoseSign1(*_parts(value, _TAG_SIGN1, path, reading))


def decode_mac0(value: Any, *, path: str = "", reading: Reading | None = None) -> CoseMac0:
    """Read a COSE_Mac0 from a decoded CBOR value, tagged (17) or not; `reading` is that of its message.

    Raises:
        DecodeError: The value is no COSE_Mac0, names a header twice, or has critical headers (codes ``cose.…``).
    """
    return CoseMac0(*_parts(value, _TAG_MAC0, path, reading))


_KTY_OKP: Final = 1
_KTY_EC2: Final = 2
_KTY_AKP: Final = 7
_KEY_ALG: Final = 3
_AKP_BY_ALGORITHM: Final = {curve.cose_id: curve for curve in EXPERIMENTAL_CURVES.values()}


# The members that a key type has; those whose labels are outside -65536 to -1 are for all of them (RFC 9052 §7).
_MEMBERS: Final = {_KTY_EC2: (-1, -2, -3), _KTY_OKP: (-1, -2), _KTY_AKP: (-1,)}
_KEY_OPS: Final = 4
_SIGNING, _AGREEING = frozenset((1, 2)), frozenset((7, 8))


def decode_key(value: Any, *, path: str = "", post_quantum: UnsafePostQuantum | None = None) -> PublicKey:
    """Read a public COSE_Key from a decoded CBOR value. Parameters beyond the point are ignored.

    `key_deviation` says whether they contradict the key, `carries_private_part` whether they disclose it.

    Args:
        value: The decoded map.
        path: The place of the map, for errors.
        post_quantum: Accepts ML-DSA keys, for the rehearsal.

    Raises:
        DecodeError: The map is no public key, or its point is not on its curve (code ``key.malformed``).
        UnsupportedError: Its curve is not in the table (code ``key.unsupported``).
    """
    if not _is_map(value):
        raise _fail(path, "a COSE_Key is a map", "key.malformed")
    for label in value:
        if (
            type(label) is not int and type(label) is not str
        ):  # True == 1, so a lookup alone would take it for the key type
            raise _fail(path, "a COSE_Key label is neither an integer nor text", "key.malformed")
    kty, crv, x = value.get(1), value.get(-1), value.get(-2)
    if type(kty) is int and kty == _KTY_AKP and isinstance(post_quantum, UnsafePostQuantum):
        return _decode_akp(value, path, post_quantum)
    if type(kty) is int and kty in COSE_KEYS_WITHOUT_CURVE:
        raise unsupported_cose_key(kty, crv)
    if type(kty) is not int or type(crv) is not int or type(x) is not bytes:
        raise _fail(path, "a COSE_Key has an integer key type, an integer curve and a byte string x", "key.malformed")
    curve = CURVES_BY_COSE_ID.get(crv)
    if curve is None or kty not in (_KTY_OKP, _KTY_EC2):
        raise unsupported_cose_key(kty, crv)
    if kty != (_KTY_EC2 if curve.kind == "EC" else _KTY_OKP):
        raise _fail(path, "the key type does not go with the curve", "key.malformed")
    if len(x) != curve.coordinate_size:
        raise _fail(path, f"x is not {curve.coordinate_size} bytes long", "key.malformed")
    if kty == _KTY_OKP:
        return PublicKey.from_point(curve, x)
    y = value.get(-3)
    if type(y) is bool:
        return PublicKey.from_point(curve, (b"\x03" if y else b"\x02") + x)
    if type(y) is not bytes or len(y) != curve.coordinate_size:
        raise _fail(path, f"y is neither {curve.coordinate_size} bytes nor a boolean", "key.malformed")
    return PublicKey.from_point(curve, b"\x04" + x + y)


def carries_private_part(value: Mapping[Any, Any]) -> bool:
    """Whether a COSE_Key that `decode_key` has read carries its private part, which is then disclosed.

    Spec:
        RFC 9053 §7; RFC 9964.
    """
    return (-2 if value[1] == _KTY_AKP else -4) in value


def key_deviation(value: Mapping[Any, Any], key: PublicKey, *, signs: bool) -> str | None:
    """A member of a COSE_Key that has the wrong type or contradicts the use of the key, as text; None if there is none.

    Args:
        value: The decoded map.
        key: The key that `decode_key` has read from it.
        signs: Whether the key signs; otherwise it is for key agreement.

    Spec:
        RFC 9052 §7.1, RFC 9053 §7; optional members are ignored (mdoc.md §3.1).
    """
    members = _MEMBERS[value[1]]
    if len(value) == 1 + len(members):
        return None  # what `decode_key` has asked for, and nothing else
    if any(type(label) is int and -65_536 <= label < 0 and label not in members for label in value):
        return "the COSE_Key has a member that its key type does not have"
    algorithm: Any = value.get(_KEY_ALG)
    operations: Any = value.get(_KEY_OPS)
    if algorithm is not None and signs:
        own = key.curve.algorithm or key.curve.experimental
        if type(algorithm) is not int or algorithm not in (own and own.cose_id, key.curve.fully_specified):
            return "the COSE_Key names another algorithm than the one that goes with its curve"
    if type(operations) in (list, tuple):
        named = {one for one in operations if type(one) is int}
        if named.isdisjoint(_SIGNING if signs else _AGREEING):
            return "the COSE_Key names operations, and not the one that it is used for"
    return None


def _decode_akp(value: Mapping[Any, Any], path: str, post_quantum: UnsafePostQuantum) -> PublicKey:
    """Read an ML-DSA key; the algorithm in the key says what its bytes are (RFC 9964)."""
    algorithm, public = value.get(_KEY_ALG), value.get(-1)
    if type(algorithm) is not int or type(public) is not bytes:
        raise _fail(path, "a COSE_Key of type AKP has an algorithm and a byte string of the key", "key.malformed")
    curve = _AKP_BY_ALGORITHM.get(algorithm)
    if curve is None:
        msg = f"a COSE_Key of type AKP for algorithm {integer_text(algorithm)} is not supported"
        raise UnsupportedError(msg, code="key.unsupported", clause="RFC 9964")
    if len(public) != curve.coordinate_size:
        raise _fail(path, f"the key is not {curve.coordinate_size} bytes long", "key.malformed")
    return PublicKey.from_point(curve, public, post_quantum=post_quantum)


def encode_key(key: PublicKey) -> dict[int, Any]:
    """A public key as the map of its COSE_Key, coordinates at full width, nothing optional."""
    point = key.point
    if key.curve.kind == "AKP":
        return {1: _KTY_AKP, _KEY_ALG: key.curve.cose_id, -1: point}
    if key.curve.kind == "OKP":
        return {1: _KTY_OKP, -1: key.curve.cose_id, -2: point}
    size = key.curve.coordinate_size
    return {1: _KTY_EC2, -1: key.curve.cose_id, -2: point[1 : 1 + size], -3: point[1 + size :]}

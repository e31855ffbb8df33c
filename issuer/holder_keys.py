"""Holders' public keys in the forms in which wallets, issuing protocols and key tools hand them over.

    PEM or DER        a SubjectPublicKeyInfo, or the device's certificate, of which only the key is taken
    JWK               one, or a JWK set of one (RFC 7517; OpenID4VCI proofs)
    COSE_Key          as CBOR or in tag 24, or a set of one (RFC 9052 §7)

Binary forms may come as hex or base64 text. What a key says about itself must be true of a device key, which signs:
one that is for another algorithm, another curve or another use is refused, for a holder whose own software believes it
could never use the licence.

Spec:
    18013-5 first edition 9.1.2.4, 9.1.5.2; RFC 7517 §4, RFC 7518 §6, RFC 8037, RFC 9052 §7, RFC 9053 §2.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from mdl.cbor import Tagged24, decode_view
from mdl.cose import carries_private_part, decode_key, key_deviation
from mdl.errors import DecodeError
from mdl.keys import CURVES, PublicKey
from mdl.pki import Certificate

__all__ = ["parse_holder_key"]

_MAX_SIZE: Final = 65_536
_BOMS: Final = (b"\xff\xfe", b"\xfe\xff")
_JWK_CURVES: Final = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519", "Ed448")}
# RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864: what a key on a curve signs with. Brainpool curves have no name in JOSE.
_JWS: Final = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA", "Ed25519"),
    "Ed448": ("EdDSA", "Ed448"),
}
_JWK_SIGNING: Final = frozenset({"sign", "verify"})
_ALG, _KEY_OPS = 3, 4


def parse_holder_key(data: bytes, *, open_armour: Callable[[bytes], bytes] = bytes) -> PublicKey:
    """Read a holder's public key in any of the forms it comes in.

    Args:
        data: The key.
        open_armour: Takes bytes out of hex or base64 text.

    Raises:
        DecodeError: It is none of them (code ``device_key.form``), a private key (``device_key.private``), several keys
            (``device_key.several``), or what it says of itself contradicts it (``device_key.contradiction``).
        UnsupportedError: Its curve is not implemented here.
    """
    if len(data) > _MAX_SIZE:
        raise DecodeError(f"a device key has at most {_MAX_SIZE} bytes", code="device_key.form")
    if data.startswith(_BOMS):
        raise DecodeError("this is text in UTF-16: save it as UTF-8", code="device_key.form")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"PRIVATE KEY-----" in data:
        _refuse_private("private key")
    text = data.strip()
    if text.startswith(b"-----BEGIN") or b"-----BEGIN CERTIFICATE-----" in text:
        return _from_pem(text)
    if text[:1] in (b"{", b"[") and text[-1:] in (b"}", b"]"):
        return _from_json(text)
    found = open_armour(data)
    if found[:1] == b"\x30":
        return _from_der(found)
    return _from_cbor(found)


def _refuse_private(what: str) -> NoReturn:
    message = f"this {what} is private and must not leave the device: give its public half"
    raise DecodeError(message, code="device_key.private")


def _contradiction(what: str) -> DecodeError:
    return DecodeError(f"the device key contradicts itself: {what}", code="device_key.contradiction")


def _only(keys: list[Any]) -> Any:
    if len(keys) != 1:
        message = f"{len(keys)} keys where one device key is expected: choose the one of this licence"
        raise DecodeError(message, code="device_key.several")
    return keys[0]


# --- PEM and DER ------------------------------------------------------------------------------------------------------


def _from_pem(text: bytes) -> PublicKey:
    if b"-----BEGIN CERTIFICATE-----" not in text:
        return PublicKey.from_pem(text + b"\n")
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    return _of_certificate(Certificate.parse_pem(_only(blocks) + b"\n"))


def _from_der(data: bytes) -> PublicKey:
    try:
        return PublicKey.from_spki(data)
    except DecodeError as exc:
        try:
            certificate = Certificate.decode(data)
        except DecodeError:
            raise exc from None
        return _of_certificate(certificate)


def _of_certificate(certificate: Certificate) -> PublicKey:
    return PublicKey.from_spki(certificate.spki)


# --- JWK --------------------------------------------------------------------------------------------------------------


def _from_json(text: bytes) -> PublicKey:
    fault = "the device key is no JSON"
    try:
        value = json.loads(text, object_pairs_hook=_members)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise DecodeError(fault, code="device_key.form")
    if isinstance(value.get("jwk"), dict):
        value = value["jwk"]  # the header of a proof, or its confirmation
    if isinstance(value.get("keys"), list):
        value = _only(value["keys"])
        if not isinstance(value, dict):
            raise DecodeError("a JWK set has objects", code="device_key.form")
    return _from_jwk(value)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a member twice"
        raise ValueError(msg)
    return members


def _from_jwk(jwk: Mapping[str, Any]) -> PublicKey:
    if {"d", "k", "p", "priv"} & jwk.keys():
        _refuse_private("JWK")
    kind, name = jwk.get("kty"), jwk.get("crv")
    curves = _JWK_CURVES.get(kind) if isinstance(kind, str) else None
    if curves is None or name not in curves:
        # X25519 and the like are refused in words of their own where a key cannot sign.
        if isinstance(name, str) and name in CURVES and kind == "OKP" and CURVES[name].kind == "OKP":
            return PublicKey.from_point(CURVES[name], _coordinate(jwk, "x", CURVES[name].coordinate_size))
        message = "a JWK of a device key has kty EC with a curve of NIST, or kty OKP with Ed25519 or Ed448"
        raise DecodeError(message, code="device_key.form")
    algorithm, use, operations = jwk.get("alg"), jwk.get("use"), jwk.get("key_ops")
    if algorithm is not None and algorithm not in _JWS[name]:
        raise _contradiction(f"alg is not {' or '.join(_JWS[name])}, as on {name}")
    if use is not None and use != "sig":
        raise _contradiction("use is not sig")
    if operations is not None and not (isinstance(operations, list) and _JWK_SIGNING & {*map(str, operations)}):
        raise _contradiction("key_ops allow neither sign nor verify")
    curve = CURVES[name]
    x = _coordinate(jwk, "x", curve.coordinate_size)
    if kind == "OKP":
        return PublicKey.from_point(curve, x)
    return PublicKey.from_point(curve, b"\x04" + x + _coordinate(jwk, "y", curve.coordinate_size))


def _coordinate(jwk: Mapping[str, Any], name: str, size: int) -> bytes:
    value = jwk.get(name)
    found = b""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]+", value):
        try:
            found = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        except (binascii.Error, ValueError):
            found = b""
    if len(found) != size:
        raise DecodeError(f"{name} of the JWK is not {size} bytes in base64url", code="device_key.form")
    return found


# --- COSE_Key ---------------------------------------------------------------------------------------------------------


def _from_cbor(data: bytes) -> PublicKey:
    try:
        value = decode_view(data)
        if isinstance(value, Tagged24):
            value = decode_view(value.content)
    except DecodeError as exc:
        message = "neither PEM nor DER, a JWK, a COSE_Key or a certificate"
        raise DecodeError(message, code="device_key.form") from exc
    if isinstance(value, list):
        value = _only(value)
    if isinstance(value, dict):
        key = decode_key(value)
        if carries_private_part(value):
            _refuse_private("COSE_Key")
        deviation = key_deviation(value, key, signs=True)
        if deviation is None and _ALG in value and type(value[_ALG]) is not int:
            deviation = "the COSE_Key names no algorithm under alg"
        if deviation is None and _KEY_OPS in value and not isinstance(value[_KEY_OPS], list | tuple):
            deviation = "the COSE_Key names no operations under key_ops"
        if deviation is not None:
            raise _contradiction(deviation)
        return key
    return decode_key(value)

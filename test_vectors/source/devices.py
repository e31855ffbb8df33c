"""Attacks on the proof of the device, on what it signs, and on several documents in one response."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from mdl.cbor import FullDate, bstr, decode_view, encode, wrap24
from mdl.cose import encode_key
from mdl.keys import CURVES, PublicKey, hkdf_sha256, raw_to_der
from mdl.mdoc import SessionTranscript
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    DeviceAuth,
    Recipe,
    deterministic_ephemeral_key,
    deterministic_key,
    raw,
    request_for,
    sample_transcript,
)
from test_vectors.source.brainpool import CURVE, brainpool320_key
from test_vectors.source.case import LENIENT, Attacks, Honest, Kind
from test_vectors.source.signers import NO_ROOT, NO_ROOT_WHY, stranger
from test_vectors.source.stage import (
    AUTHORITY,
    NAMESPACE,
    PID,
    SECOND,
    Fields,
    asking,
    device_auth,
    device_authentication,
    device_signature,
    document,
    licence,
)

attack = Attacks()
_recipe: Any
_expected: Any
_fields: Any
_key: Any

# --- the device's proof -----------------------------------------------------------------------------------------------

PRESENT = "device_auth.present"
_NO_PROOF = ("device_auth.algorithm", "device_auth.signature", "device_auth.mac")
_NO_PROOF_WHY = "there is no one proof to look at"


def _present(name: str, fields: Any) -> None:
    attack(PRESENT, name, fields, left_open=_NO_PROOF, why=_NO_PROOF_WHY)


_present("deviceSigned is missing", document(lambda one: one.pop("deviceSigned")))
_present("neither signature nor MAC", {"device_auth": DeviceAuth.NONE})
_present("both signature and MAC", {"device_auth": DeviceAuth.BOTH})
_present("a proof of another name", device_auth(lambda auth: auth.update(signature=auth.pop("deviceSignature"))))

DEVICE_ALGORITHM = "device_auth.algorithm"


def _device_algorithm(name: str, fields: Any, *, mac: bool = False, **expected: Any) -> None:
    attack(
        DEVICE_ALGORITHM,
        name,
        fields,
        left_open=("device_auth.mac" if mac else "device_auth.signature",),
        why="a proof is not tried with an algorithm that is not its key's",
        **expected,
    )


for _name, _header in {
    "none": {},
    "an empty header": b"",
    "0": {1: 0},
    "null": {1: None},
    "ES384 with P-256": {1: -35},
    "EdDSA with P-256": {1: -8},
    "RS256": {1: -257},
    "ES256K": {1: -47},
    "HMAC 256/256": {1: 5},
    "text": {1: "ES256"},
    "true": {1: True},
}.items():
    _device_algorithm(f"deviceSignature names {_name}", {"device_protected": _header})
FULLY_SPECIFIED: Fields = {"tolerated": LENIENT, "warnings": ["fully_specified.device"]}
attack(
    DEVICE_ALGORITHM,
    "deviceSignature names a fully specified name of the same",
    {"device_protected": {1: -9}},
    **FULLY_SPECIFIED,
)
for _curve, _number in {
    "P-384": -51,
    "P-521": -52,
    "brainpoolP256r1": -265,
    "brainpoolP384r1": -267,
    "brainpoolP512r1": -268,
    "Ed25519": -19,
    "Ed448": -53,
}.items():
    attack(
        DEVICE_ALGORITHM,
        f"deviceSignature by a key on {_curve} names {_number}, its fully specified name",
        lambda curve=_curve, number=_number: {
            "device_key": deterministic_key("device", curve),
            "device_protected": {1: number},
        },
        **FULLY_SPECIFIED,
    )
    _device_algorithm(
        f"deviceSignature by a key on P-256 names {_number}, fully specified for {_curve}",
        {"device_protected": {1: _number}},
    )
for _name, _header in {
    "none": {},
    "an empty header": b"",
    "HMAC 256/64": {1: 4},
    "HMAC 384/384": {1: 6},
    "HMAC 512/512": {1: 7},
    "ES256": {1: -7},
    "AES-MAC": {1: 14},
    "text": {1: "HS256"},
    "true": {1: True},
    "a float": {1: 5.0},
}.items():
    _device_algorithm(
        f"deviceMac names {_name}", {"device_auth": DeviceAuth.MAC, "device_protected": _header}, mac=True
    )


def _degenerate(curve: int, point: bytes) -> Fields:
    """A device key under which R = A, S = 0 is a signature of any message, where a reader takes the key at all."""
    signature = point + bytes(len(point))
    return {"mso_device_key": {1: 1, -1: curve, -2: point}, "device_protected": {1: -8}} | device_auth(
        lambda auth: auth["deviceSignature"].__setitem__(3, signature)
    )


ED25519, ED448 = 6, 7
P_25519, P_448 = 2**255 - 19, 2**448 - 2**224 - 1
# The point of order 4 with y = 0 on Ed448, under which one signature goes with any message.
ORDER_4 = bytes(57)

_device_algorithm(
    "a device key of small order, under which one signature goes with any message",
    _degenerate(ED25519, b"\x01" + bytes(31)),
)
for _name, _number, _y in (
    ("the neutral element of Ed25519, not canonically encoded", ED25519, P_25519 + 1),
    ("a number on Ed25519 that leads to no point", ED25519, 2),
    ("the point of order 4 on Ed448, under which one signature goes with any message", ED448, 0),
    ("the neutral element of Ed448", ED448, 1),
    ("the point of order 2 on Ed448", ED448, P_448 - 1),
    ("the point of order 4 on Ed448, not canonically encoded", ED448, P_448),
):
    _size = len(ORDER_4) if _number == ED448 else 32
    _device_algorithm(f"a device key: {_name}", _degenerate(_number, _y.to_bytes(_size, "little")))
for _kind, _form, _number in (("deviceSignature", DeviceAuth.SIGNATURE, -7), ("deviceMac", DeviceAuth.MAC, 5)):
    _device_algorithm(
        f"{_kind} names its algorithm outside the protected header",
        {"device_auth": _form, "device_protected": b""}
        | device_auth(lambda auth, kind=_kind, number=_number: auth[kind][1].update({1: number})),
        mac=_form is DeviceAuth.MAC,
    )

_POINT = encode_key(deterministic_key("device").public_key)
_SECRET = bytes(range(32))
for _auth in (DeviceAuth.SIGNATURE, DeviceAuth.MAC):
    _device_algorithm(
        f"a device key with its private part, and a {'signature' if _auth is DeviceAuth.SIGNATURE else 'MAC'}",
        lambda auth=_auth: {"mso_device_key": _POINT | {-4: _SECRET}, "device_auth": auth},
        mac=_auth is DeviceAuth.MAC,
    )
_device_algorithm(
    "a device key on Ed25519 with its private part",
    lambda: {
        "device_key": deterministic_key("device", "Ed25519"),
        "mso_device_key": encode_key(deterministic_key("device", "Ed25519").public_key) | {-4: _SECRET},
    },
)
for _name, _key in {
    "a point that is not on its curve": _POINT | {-2: bytes(32)},
    "a point cut short": _POINT | {-2: _POINT[-2][:-1]},
    "a coordinate with a zero in front": _POINT | {-2: b"\0" + _POINT[-2]},
    "the point of another curve": _POINT | {-1: 256},
    "secp256k1": _POINT | {-1: 8},
    "a point of 256 bits on a curve of 320": _POINT | {-1: 257},
    "a curve as text": _POINT | {-1: "P-256"},
    "a symmetric key": {1: 4, -1: bytes(32)},
    "an RSA key": {1: 3, -1: bytes(256), -2: b"\1\0\1"},
    "no key type": {name: value for name, value in _POINT.items() if name != 1},
    "no y": {name: value for name, value in _POINT.items() if name != -3},
    "another key type": _POINT | {1: 1},
    "an empty map": {},
    "X25519": {1: 1, -1: 4, -2: bytes(range(1, 33))},
}.items():
    _device_algorithm(f"a device key: {_name}", {"mso_device_key": _key})


def _on_brainpool320() -> Fields:
    """The device signs with a key that the standard permits."""
    key = brainpool320_key("device")
    cose_key = {1: 2, -1: CURVE, -2: key.x, -3: key.y}
    signed = wrap24(device_authentication())
    return {"mso_device_key": cose_key} | device_signature(signed, key=key, protected=encode({1: -35}))


_device_algorithm("a device key: brainpoolP320r1", _on_brainpool320, kind=Kind.MAY_REJECT)

DEVICE_SIGNATURE = "device_auth.signature"


def _device_signature(name: str, fields: Any, **expected: Any) -> None:
    attack(DEVICE_SIGNATURE, name, fields, **expected)


def _other_session(seed: str) -> SessionTranscript:
    return sample_transcript(deterministic_ephemeral_key("reader").public_key, seed=seed)


_device_signature("by another device", {"device_signer": deterministic_key("attacker")})
_device_signature("by the issuer", lambda: {"device_signer": AUTHORITY.ds_key})
_device_signature("in another session", lambda: {"device_transcript": _other_session("yesterday")})
_device_signature(
    "in a session with another reader",
    lambda: {"device_transcript": sample_transcript(deterministic_ephemeral_key("thief").public_key)},
)
_device_signature("the reader was in another session", lambda: {"session": _other_session("today")})
_device_signature("for another document type", {"device_doctype": PID})
_device_signature("for no document type", {"device_doctype": ""})


def _transcript_changed(change: Any) -> Fields:
    """The device has seen another transcript than the reader."""
    parts = decode_view(_other_session("session").encoded)
    return {"device_transcript": SessionTranscript(encode(change(parts)))}


for _name, _change in {
    "with another handover": lambda parts: [parts[0], parts[1], [b"", b""]],
    "with no engagement": lambda parts: [None, parts[1], parts[2]],
    "with no reader key": lambda parts: [parts[0], None, parts[2]],
    "with the parts exchanged": lambda parts: [parts[1], parts[0], parts[2]],
}.items():
    _device_signature(f"over a transcript {_name}", lambda change=_change: _transcript_changed(change))


def _elements_changed(given: dict[str, Any]) -> None:
    """Device-signed elements, authorised by the issuer, put in after the device has signed none."""
    given["documents"][0]["deviceSigned"]["nameSpaces"] = raw(wrap24(encode({"org.example": {"x": 1}})))


_AUTHORISED = {"key_authorizations": {"nameSpaces": ["org.example"]}}
_device_signature(
    "elements put in afterwards",
    lambda: (
        _AUTHORISED
        | {
            "mutate_response": _elements_changed,
            "request": request_for((MDL_DOCTYPE, {NAMESPACE: list(licence()[NAMESPACE]), "org.example": ["x"]})),
        }
    ),
)
_device_signature(
    "elements taken out afterwards",
    lambda: (
        _AUTHORISED
        | {"device_elements": {"org.example": {"x": 1}}, "request": asking()}
        | document(lambda one: one["deviceSigned"].update(nameSpaces=raw(wrap24(b"\xa0"))))
    ),
)
_device_signature(
    "the namespaces encoded in another way",
    document(lambda one: one["deviceSigned"].update(nameSpaces=raw(b"\xd8\x18\x58\x01\xa0"))),
)


def _device_signature_changed(change: Any) -> Fields:
    return device_auth(lambda auth: auth["deviceSignature"].__setitem__(3, change(auth["deviceSignature"][3])))


for _name, _change in {
    "one bit changed": lambda given: given[:-1] + bytes((given[-1] ^ 1,)),
    "cut short": lambda given: given[:-1],
    "a byte longer": lambda given: given + b"\0",
    "DER": raw_to_der,
    "empty": lambda _: b"",
    "all zeros": lambda _: bytes(64),
    "the issuer's own signature": lambda _: _issuer_signature(),
}.items():
    _device_signature(_name, lambda change=_change: _device_signature_changed(change))


def _issuer_signature() -> bytes:
    recipe = Recipe(namespaces=licence())
    made = recipe.document(sample_transcript(recipe.reader_key.public_key), recipe.reader_key.public_key)
    signature: bytes = made["issuerSigned"]["issuerAuth"][3]
    return signature


for _name, _fields in {
    "over the bare array": lambda: device_signature(device_authentication()),
    "over the byte string without its tag": lambda: device_signature(bstr(device_authentication())),
    "with external data": lambda: device_signature(wrap24(device_authentication()), aad=b"x"),
    "in the context of a MAC": lambda: device_signature(wrap24(device_authentication()), context="MAC0"),
    "in the context of a countersignature": lambda: device_signature(
        wrap24(device_authentication()), context="CounterSignature"
    ),
    "over a transcript under tag 24": lambda: device_signature(
        wrap24(
            encode(
                [
                    "DeviceAuthentication",
                    raw(wrap24(_other_session("session").encoded)),
                    MDL_DOCTYPE,
                    raw(wrap24(b"\xa0")),
                ]
            )
        )
    ),
    "over what a reader signs": lambda: device_signature(
        wrap24(encode(["ReaderAuthentication", raw(_other_session("session").encoded), raw(wrap24(asking().encode()))]))
    ),
    "of another document of the same device": lambda: device_signature(wrap24(device_authentication(doctype=PID))),
}.items():
    _device_signature(_name, _fields)
_device_signature(
    "with the payload sent along",
    device_auth(lambda auth: auth["deviceSignature"].__setitem__(2, wrap24(device_authentication()))),
    kind=Kind.MAY_REJECT,
)
_device_signature(
    "with an empty payload sent along", device_auth(lambda auth: auth["deviceSignature"].__setitem__(2, b""))
)
_device_signature(
    "a header added to the protected ones",
    device_auth(lambda auth: auth["deviceSignature"].__setitem__(0, encode({1: -7, 4: b"kid"}))),
)

MAC = "device_auth.mac"


def _mac(name: str, fields: Any, **expected: Any) -> None:
    given = fields if callable(fields) else lambda: fields
    attack(MAC, name, lambda: {"device_auth": DeviceAuth.MAC} | given(), **expected)


_mac("by another device", {"device_signer": deterministic_key("attacker")})
_mac("in another session", lambda: {"device_transcript": _other_session("yesterday")})
_mac("the reader was in another session", lambda: {"session": _other_session("today")})
_mac("for another document type", {"device_doctype": PID})
_mac("another reader's key", lambda: {"ephemeral_key": deterministic_ephemeral_key("other reader")})
_mac("a reader's key on another curve", lambda: {"ephemeral_key": deterministic_ephemeral_key("reader", "P-384")})
_mac("a reader's key of the other kind", lambda: {"ephemeral_key": deterministic_ephemeral_key("reader", "X25519")})
_mac("a session without a reader's key", {"without_key": True})
_mac("a device key that cannot agree secrets", lambda: _mac_by(bytes(32)) | {"mso_device_key": _edwards()})


class _NoSecret:
    """What a point of small order leads to: a secret of zeros, which everybody knows."""

    def agree(self, reader_key: PublicKey) -> bytes:
        return bytes(reader_key.curve.coordinate_size)


for _curve, _number, _u in (
    ("X25519", 4, 0),
    ("X25519", 4, 1),
    ("X25519", 4, 325606250916557431795983626356110631294008115727848805560023387167927233504),
    ("X25519", 4, P_25519),
    ("X448", 5, 0),
    ("X448", 5, P_448 - 1),
):
    _mac(
        f"by a device key on {_curve} that leads to no secret, {_u:.3e}",
        lambda curve=_curve, number=_number, u=_u: {
            "reader_key": deterministic_ephemeral_key("reader", curve),
            "mso_device_key": {1: 1, -1: number, -2: u.to_bytes(CURVES[curve].coordinate_size, "little")},
            "device_signer": _NoSecret(),
        },
    )


def _edwards() -> dict[int, Any]:
    return encode_key(deterministic_key("device", "Ed25519").public_key)


def _mac_by(key: bytes, authenticated: bytes | None = None, context: str = "MAC0", aad: bytes = b"") -> Fields:
    """A deviceMac by this key over these bytes."""
    protected = bytes.fromhex("a10105")
    payload = wrap24(device_authentication()) if authenticated is None else authenticated
    tag = hmac.digest(key, encode([context, protected, aad, payload]), "sha256")
    return device_auth(lambda auth: auth["deviceMac"].__setitem__(3, tag))


def _derived(*, salt: bytes | None = None, info: bytes = b"EMacKey") -> bytes:
    secret = deterministic_key("device").agree(deterministic_ephemeral_key("reader").public_key)
    honest = hashlib.sha256(_other_session("session").tagged).digest()
    return hkdf_sha256(secret, salt=honest if salt is None else salt, info=info, length=32)


def _agreed() -> bytes:
    return deterministic_key("device").agree(deterministic_ephemeral_key("reader").public_key)


for _name, _fields in {
    "by a key that everybody knows": lambda: _mac_by(bytes(32)),
    "by the empty key": lambda: _mac_by(b""),
    "by the agreed secret itself": lambda: _mac_by(_agreed()),
    "by a key of another purpose": lambda: _mac_by(_derived(info=b"SKDevice")),
    "by a key with no salt": lambda: _mac_by(_derived(salt=b"")),
    "by a key salted with the bare transcript": lambda: _mac_by(
        _derived(salt=hashlib.sha256(_other_session("session").encoded).digest())
    ),
    "over the bare array": lambda: _mac_by(_derived(), device_authentication()),
    "in the context of a signature": lambda: _mac_by(_derived(), context="Signature1"),
    "in the context of several recipients": lambda: _mac_by(_derived(), context="MAC"),
    "with external data": lambda: _mac_by(_derived(), aad=b"x"),
}.items():
    _mac(_name, _fields)


def _tag_changed(change: Any) -> Fields:
    return device_auth(lambda auth: auth["deviceMac"].__setitem__(3, change(auth["deviceMac"][3])))


for _name, _change in {
    "one bit changed": lambda given: given[:-1] + bytes((given[-1] ^ 1,)),
    "cut to 8 bytes": lambda given: given[:8],
    "cut to 16 bytes": lambda given: given[:16],
    "cut by a byte": lambda given: given[:-1],
    "a byte longer": lambda given: given + b"\0",
    "empty": lambda _: b"",
    "all zeros": lambda _: bytes(32),
}.items():
    _mac(_name, lambda change=_change: _tag_changed(change))
_mac("with the payload sent along", device_auth(lambda auth: auth["deviceMac"].__setitem__(2, b"")))

AUTHORIZED = "device_data.authorized"
for _name, _authorizations in {
    "nothing": None,
    "another namespace": {"nameSpaces": ["org.example.other"]},
    "a namespace that the name begins with": {"nameSpaces": ["org"]},
    "a namespace that begins with the name": {"nameSpaces": ["org.example.sub"]},
    "another element": {"dataElements": {"org.example": ["location"]}},
    "the element in another namespace": {"dataElements": {"org.example.other": ["amount"]}},
    "the element's name as a namespace": {"nameSpaces": ["amount"]},
    "the element in other case": {"dataElements": {"org.example": ["Amount"]}},
}.items():
    attack(
        AUTHORIZED,
        f"the issuer authorised {_name}",
        {"device_elements": {"org.example": {"amount": 100}}, "key_authorizations": _authorizations},
    )
attack(
    AUTHORIZED,
    "one of two elements authorised",
    {
        "device_elements": {"org.example": {"amount": 100, "payee": "somebody"}},
        "key_authorizations": {"dataElements": {"org.example": ["amount"]}},
    },
)
attack(
    AUTHORIZED,
    "one of two namespaces authorised",
    {
        "device_elements": {"org.example": {"amount": 100}, "org.example.other": {"amount": 1}},
        "key_authorizations": {"nameSpaces": ["org.example"]},
    },
)
attack(
    AUTHORIZED,
    "an age that the issuer never stated",
    {
        "namespaces": {NAMESPACE: {"family_name": "Mustermann", "age_over_18": True}},
        "device_elements": {NAMESPACE: {"age_over_21": True}},
        "request": asking(for_=["family_name", "age_over_18", "age_over_21"]),
    },
)

# --- several documents ------------------------------------------------------------------------------------------------


def _second(**fields: Any) -> Recipe:
    return Recipe(namespaces=licence(), seed="second", **fields)


def _both_asked() -> Any:
    wanted = (MDL_DOCTYPE, {NAMESPACE: list(licence()[NAMESPACE])})
    return request_for(wanted, wanted)


def _proof_of_first(given: dict[str, Any]) -> None:
    given["documents"][1]["deviceSigned"] = given["documents"][0]["deviceSigned"]


attack(
    "issuer_data.digest",
    "the second of two documents forged",
    lambda: {"others": [_second(items={"birth_date": {"presented": {"elementValue": FullDate("2001-01-01")}}})]},
)
attack(
    DEVICE_SIGNATURE,
    "the second document is of another device, with the proof of the first",
    lambda: {
        "others": [_second(device_key=deterministic_key("stolen phone"))],
        "mutate_response": _proof_of_first,
        "request": _both_asked(),
    },
)
attack(
    DEVICE_SIGNATURE,
    "two documents with each other's proofs",
    lambda: {
        "others": [_second(device_key=deterministic_key("second phone"))],
        "mutate_response": lambda given: _exchange_proofs(given["documents"]),
        "request": _both_asked(),
    },
)


def _exchange_proofs(documents: list[dict[str, Any]]) -> None:
    one, two = documents
    one["deviceSigned"], two["deviceSigned"] = two["deviceSigned"], one["deviceSigned"]


attack(
    "request.doctype",
    "a second document of a type that was not asked for",
    lambda: {
        "others": [_second(doctype=PID)],
        "request": asking(),
    },
    left_open=("request.elements", "request.unrequested"),
    why="what was not asked for cannot be complete",
)

for _name, _check, _recipe, _expected in (
    ("expired", "mso.validity", {"valid_until": TEST_TIME - SECOND}, {}),
    ("of a stranger", "issuer_auth.path", {"x5chain": stranger().ds_certificate.der, "issuer_key": stranger().ds_key},
     {"left_open": NO_ROOT, "why": NO_ROOT_WHY}),
    ("signed by another key", "issuer_auth.signature", {"issuer_key": deterministic_key("attacker")}, {}),
    ("without a proof of its device", "device_auth.present", {"device_auth": DeviceAuth.NONE},
     {"left_open": _NO_PROOF, "why": _NO_PROOF_WHY}),
    ("with a MAC for another reader", "device_auth.mac",
     {"device_auth": DeviceAuth.MAC, "device_signer": deterministic_key("attacker")}, {}),
    ("with an element that its device may not sign", "device_data.authorized",
     {"device_elements": {"org.example": {"amount": 1}}}, {}),
):  # fmt: skip
    attack(
        _check,
        f"the second of two documents {_name}",
        lambda recipe=_recipe: {"others": [_second(**recipe)]},
        **_expected,
    )
attack(
    "issuer_auth.signature",
    "the first of two documents signed by another key",
    lambda: {"issuer_key": deterministic_key("attacker"), "others": [_second()]},
)

# --- sessions that are in order ---------------------------------------------------------------------------------------

accept = Honest()
accept.section("device", "18013-5 9.1.5.1")


def _session(*, handover: Any, engagement: Any = None, reader_key: Any = None) -> Fields:
    """A session of another kind, which reader and device have seen alike."""
    return {"transcript": SessionTranscript(encode([engagement, reader_key, handover]))}


def _parts() -> list[Any]:
    """Engagement, reader's key and handover of the plain scene, the first two encoded."""
    whole = sample_transcript(deterministic_ephemeral_key("reader").public_key).encoded
    return [raw(part.raw) for part in decode_view(whole)[:2]]


for _proof, _form in {"by signature": DeviceAuth.SIGNATURE, "by MAC": DeviceAuth.MAC}.items():
    accept(
        f"a session that NFC began, {_proof}",
        lambda form=_form: (
            _session(handover=[b"\x91\x02handover select", None], engagement=_parts()[0], reader_key=_parts()[1])
            | {"device_auth": form}
        ),
    )
    accept(
        f"a session that NFC negotiated, {_proof}",
        lambda form=_form: (
            _session(handover=[b"\x91\x02select", b"\x91\x02request"], engagement=_parts()[0], reader_key=_parts()[1])
            | {"device_auth": form}
        ),
    )
accept("a session over the internet, without engagement and reader's key",
       lambda: _session(handover=["OpenID4VPHandover", bytes(32)]) | {"without_key": True})  # fmt: skip
accept(
    "a session whose transcript is not encoded as we would",
    lambda: {"transcript": SessionTranscript(b"\x98\x03" + b"".join(part.raw for part in _parts()) + b"\xf6")},
)
accept.section("device", "18013-5 9.1.3.4")
accept(
    "device-signed namespaces whose maps are in no order",
    {
        "device_name_spaces": encode({"org.example": {"payee": "x", "amount": 1}, "a": {"b": {"z": 1, "a": 2}}}),
        "key_authorizations": {"nameSpaces": ["org.example", "a"]},
        "without_request": True,
    },
)
accept(
    "device-signed elements with values of every kind",
    {
        "device_elements": {
            "org.example": {"map": {1: b"x", "y": [1.5, None]}, "date": FullDate("2026-06-01"), "text": "", "no": False}
        },
        "key_authorizations": {"nameSpaces": ["org.example"]},
    },
)

CASES = [*attack.rows, *accept.rows]

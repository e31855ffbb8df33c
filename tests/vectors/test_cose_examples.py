"""Published COSE examples: of the COSE working group and of a conformance set.

The profile of 18013-5 is narrower than COSE: the algorithm is protected, external_aad is empty, a MAC is detached and
of one algorithm. An example beyond it is refused for exactly that, and its signature is then checked over its own
bytes, so that the refusal is known to come from the profile and not from a mistake in the cryptography.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mdl.cbor import Tag, decode
from mdl.cose import CoseSign1, decode_key, decode_mac0, decode_sign1, mac_structure, sig_structure
from mdl.errors import MdlError, VerificationError
from mdl.keys import PublicKey, SoftwareSigner, hmac_sha256
from tests import external

CRV = {"P-256": 1, "P-384": 2, "P-521": 3}


def b64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def load(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def public_key(jwk: dict[str, str]) -> PublicKey:
    size = {"P-256": 32, "P-384": 48, "P-521": 66}[jwk["crv"]]
    parts = {
        1: 2,
        -1: CRV[jwk["crv"]],
        -2: b64u(jwk["x"]).rjust(size, b"\x00"),
        -3: b64u(jwk["y"]).rjust(size, b"\x00"),
    }
    return decode_key(parts)


def outcome(act: Any) -> str:
    try:
        act()
    except MdlError as error:
        return error.code
    return "verifies"


# --- the working group's COSE_Sign1 -----------------------------------------------------------------------------------

SIGN1 = {
    "sign-pass-01": "cose.algorithm",  # the algorithm is not protected
    "sign-pass-02": "signature.invalid",  # external_aad
    "sign-pass-03": "verifies",
    "sign-fail-01": "cose.structure",
    "sign-fail-02": "signature.invalid",
    "sign-fail-03": "cose.algorithm",
    "sign-fail-04": "cose.algorithm",
    "sign-fail-06": "signature.invalid",
    "sign-fail-07": "signature.invalid",
    "ecdsa-sig-01": "verifies",
    "ecdsa-sig-02": "verifies",
    "ecdsa-sig-03": "verifies",
    "ecdsa-sig-04": "cose.algorithm_mismatch",  # ES512 with P-256
}
SIGN1_FILES = [
    *external.cases("cose-wg/sign1-tests", "*.json"),
    *external.cases("cose-wg/ecdsa-examples", "ecdsa-sig-*.json"),
]


@pytest.mark.parametrize("path", SIGN1_FILES)
def test_sign1(path: Path) -> None:
    example = load(path)
    key = public_key(example["input"]["sign0"]["key"])
    data = bytes.fromhex(example["output"]["cbor"])
    expected = SIGN1[path.stem]
    assert outcome(lambda: decode_sign1(decode(data)).verify(key)) == expected
    assert (expected == "verifies") <= (not example.get("fail", False))

    to_be_signed = bytes.fromhex(example["intermediates"]["ToBeSign_hex"])
    value = decode(data)
    protected, unprotected, payload, signature = value.value if isinstance(value, Tag) else value
    if expected == "verifies":
        message = decode_sign1(decode(data))
        assert sig_structure(message.protected, message.payload or b"") == to_be_signed
        assert CoseSign1(
            protected, message.protected_map, unprotected, payload, signature
        ).encode() == data.removeprefix(b"\xd2")
    elif path.stem.startswith("sign-pass"):
        key.verify(signature, to_be_signed)


# --- the working group's COSE_Mac0 ------------------------------------------------------------------------------------

MAC0 = {
    "HMac-01": "verifies",
    "mac-pass-01": "cose.algorithm",  # the algorithm is not protected
    "mac-pass-02": "cose.algorithm",  # the same, and external_aad
    "mac-pass-03": "cose.algorithm",  # the same
    "mac-fail-01": "cose.structure",
    "mac-fail-02": "mac.invalid",
    "mac-fail-03": "cose.algorithm",
    "mac-fail-04": "cose.algorithm",
    "mac-fail-06": "mac.invalid",
    "mac-fail-07": "mac.invalid",
}


@pytest.mark.parametrize("path", external.cases("cose-wg/mac0-tests", "*.json"))
def test_mac0(path: Path) -> None:
    example = load(path)
    key = b64u(example["input"]["mac0"]["recipients"][0]["key"]["k"])
    data = bytes.fromhex(example["output"]["cbor"])
    value = decode(data)
    tagged = isinstance(value, Tag)
    protected, unprotected, payload, proof = value.value if tagged else value

    # As sent, with the payload inside, it is outside the profile.
    if MAC0[path.stem] == "verifies":
        assert outcome(lambda: decode_mac0(value).verify(key, detached=payload)) == "cose.payload"
    # And with the payload taken out:
    detached: Any = [protected, unprotected, None, proof]
    detached = Tag(value.number, detached) if tagged else detached
    assert outcome(lambda: decode_mac0(detached).verify(key, detached=payload)) == MAC0[path.stem]

    to_be_maced = bytes.fromhex(example["intermediates"]["ToMac_hex"])
    if MAC0[path.stem] == "verifies":
        assert mac_structure(protected, payload) == to_be_maced
    if not example.get("fail", False):
        assert hmac_sha256(key, to_be_maced) == proof


# --- messages of other kinds ------------------------------------------------------------------------------------------

OTHERS = [
    *external.cases("cose-wg/hmac-examples", "*.json"),
    *external.cases("cose-wg/ecdsa-examples", "ecdsa-0*.json"),
]


@pytest.mark.parametrize("path", OTHERS)
def test_messages_of_other_kinds_are_neither(path: Path) -> None:
    value = decode(bytes.fromhex(load(path)["output"]["cbor"]))
    for read in (decode_sign1, decode_mac0):
        assert outcome(lambda read=read: read(value)) == "cose.structure"
        assert outcome(lambda read=read: read(value.value)) == "cose.structure"


# --- the conformance set ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", external.cases("gluecose", "sign1-verify-*.json"))
def test_gluecose_verify(path: Path) -> None:
    example = load(path)
    case = example["sign1::verify"]
    value = decode(bytes.fromhex(case["taggedCOSESign1"]["cborHex"]))
    if example["alg"] == "PS256":
        message = decode_sign1(value)
        assert outcome(lambda: message.algorithm) == "cose.algorithm"
        return
    key = public_key(example["key"])
    expected = "signature.invalid" if case.get("external") or not case["shouldVerify"] else "verifies"
    assert outcome(lambda: decode_sign1(value).verify(key)) == expected


@pytest.mark.parametrize("path", external.cases("gluecose", "sign1-sign-*.json"))
def test_gluecose_sign(path: Path) -> None:
    example = load(path)
    case = example["sign1::sign"]
    protected = bytes.fromhex(case["protectedHeaders"]["cborHex"])
    unprotected = decode(bytes.fromhex(case["unprotectedHeaders"]["cborHex"]))
    payload = bytes.fromhex(case["payload"])
    expected = bytes.fromhex(case["expectedOutput"]["cborHex"])
    if not case.get("external"):
        assert sig_structure(protected, payload) == bytes.fromhex(case["tbsHex"]["cborHex"])
    theirs = decode_sign1(decode(expected))
    made = CoseSign1(protected, decode(protected), unprotected, payload, theirs.signature)
    assert b"\xd2" + made.encode() == expected
    if example["alg"] == "PS256" or case.get("external"):
        return
    signer = SoftwareSigner.from_secret(example["key"]["crv"], int.from_bytes(b64u(example["key"]["d"])))
    assert signer.public_key == public_key(example["key"])
    theirs.verify(signer.public_key)
    ours = CoseSign1(protected, decode(protected), unprotected, payload, signer.sign(sig_structure(protected, payload)))
    ours.verify(signer.public_key)
    with pytest.raises(VerificationError):
        CoseSign1(protected, decode(protected), {}, payload + b"\x00", ours.signature).verify(signer.public_key)

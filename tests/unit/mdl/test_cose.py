"""COSE: what is signed, what verifies, which headers are attacks, and what an independent implementation says."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycose.headers import Algorithm as AlgorithmHeader
from pycose.keys.cosekey import CoseKey
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message
from pycose.messages.sign1message import Sign1Message

from mdl import cose
from mdl.cbor import Tag, decode, decode_view, encode
from mdl.cose import (
    ALG,
    HMAC_256_256,
    X5CHAIN,
    CoseMac0,
    CoseSign1,
    decode_key,
    decode_mac0,
    decode_sign1,
    encode_key,
    mac_structure,
    protected_header,
    sig_structure,
)
from mdl.errors import DecodeError, MdlError, UnsupportedError, VerificationError
from mdl.keys import CURVES, EphemeralKey, PublicKey, SoftwareSigner, hmac_sha256
from mdl.mdoc import device_authentication_bytes
from tests import samples, wire
from tests.samples import mac0, sign1
from tests.wire import array, bstr, cmap, tag, tstr

SIGNING_CURVES = [name for name, curve in CURVES.items() if curve.algorithm]
SIGNERS = {name: SoftwareSigner.generate(name) for name in SIGNING_CURVES}
SIGNER = SIGNERS["P-256"]
PAYLOAD = b"\xd8\x18\x43\x01\x02\x03"
MAC_KEY = bytes(range(32))
ES256 = protected_header(-7)


def refusal(kind: type[MdlError], act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with pytest.raises(kind) as caught:
        act(*arguments, **named)
    assert type(caught.value) is kind
    return caught.value


def both_ways(data: bytes) -> list[Any]:
    """The decoded value as each reader of `mdl.cbor` gives it."""
    return [decode(data), decode_view(data)]


# --- the structures that are signed -----------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_what_is_signed_is_the_standards_structure(protected: bytes, payload: bytes) -> None:
    assert decode(sig_structure(protected, payload)) == ["Signature1", protected, b"", payload]
    assert decode(mac_structure(protected, payload)) == ["MAC0", protected, b"", payload]
    assert sig_structure(protected, payload) == array(tstr("Signature1"), bstr(protected), b"\x40", bstr(payload))
    assert mac_structure(protected, payload) == array(tstr("MAC0"), bstr(protected), b"\x40", bstr(payload))


def test_the_protected_header_holds_the_algorithm_alone() -> None:
    assert protected_header(-7) == bytes.fromhex("a10126")
    assert protected_header(-35) == bytes.fromhex("a1013822")
    assert protected_header(5) == bytes.fromhex("a10105")


# --- signing and verifying --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIGNING_CURVES)
@pytest.mark.parametrize("tagged", [False, True])
def test_an_attached_signature_travels_and_verifies(name: str, tagged: bool) -> None:
    message = sign1(SIGNERS[name], PAYLOAD, unprotected={X5CHAIN: b"certificate"}).encode()
    for value in both_ways(b"\xd2" + message if tagged else message):
        received = decode_sign1(value)
        received.verify(SIGNERS[name].public_key)
        assert (received.payload, received.x5chain) == (PAYLOAD, (b"certificate",))
        assert received.algorithm is SIGNERS[name].public_key.algorithm
        assert received.encode() == message


@pytest.mark.parametrize("name", SIGNING_CURVES)
def test_a_detached_signature_travels_and_verifies(name: str) -> None:
    message = sign1(SIGNERS[name], PAYLOAD, detached=True).encode()
    for value in both_ways(message):
        received = decode_sign1(value)
        received.verify(SIGNERS[name].public_key, detached=PAYLOAD)
        assert received.payload is None
        assert received.encode() == message


def test_a_signature_over_something_else_is_refused() -> None:
    good = sign1(SIGNER, PAYLOAD)
    another = sign1(SIGNER, PAYLOAD + b"\x00")
    for protected, payload, signature in (
        (good.protected, PAYLOAD, another.signature),
        (good.protected, another.payload, good.signature),
        (good.protected, PAYLOAD[:-1], good.signature),
        (good.protected, b"", good.signature),
        (good.protected, PAYLOAD, bytes(64)),
        (good.protected, PAYLOAD, b""),
        (good.protected, PAYLOAD, good.signature[:-1]),
        (b"\xb8\x01\x01\x26", PAYLOAD, good.signature),
    ):
        forged = CoseSign1(protected, good.protected_map, {}, payload, signature)
        assert refusal(VerificationError, forged.verify, SIGNER.public_key).code == "signature.invalid"
    other = SoftwareSigner.generate("P-256").public_key
    assert refusal(VerificationError, good.verify, other).code == "signature.invalid"
    mac = hmac_sha256(MAC_KEY, mac_structure(good.protected, PAYLOAD)) * 2
    forged = CoseSign1(good.protected, good.protected_map, {}, PAYLOAD, mac)
    assert refusal(VerificationError, forged.verify, SIGNER.public_key).code == "signature.invalid"


def test_the_protected_header_is_signed_as_it_was_received() -> None:
    """Its heads may be wider than needed; to encode it again would change what was signed."""
    odd = wire.cmap(wire.head(0, 1, 2), wire.head(1, 6, 4), width=1)
    assert decode(odd) == {1: -7}
    assert odd != ES256
    signature = SIGNER.sign(sig_structure(odd, PAYLOAD))
    message = array(bstr(odd), b"\xa0", bstr(PAYLOAD), bstr(signature))
    received = decode_sign1(decode_view(message))
    received.verify(SIGNER.public_key)
    assert received.protected == odd
    assert received.encode() == message
    renewed = CoseSign1(ES256, {1: -7}, {}, PAYLOAD, signature)
    refusal(VerificationError, renewed.verify, SIGNER.public_key)


def test_an_algorithm_that_does_not_go_with_the_curve_is_refused() -> None:
    for name, signer in SIGNERS.items():
        for number in (-7, -35, -36, -8):
            if number == signer.public_key.algorithm.cose_id:
                continue
            protected = protected_header(number)
            message = CoseSign1(protected, {1: number}, {}, PAYLOAD, signer.sign(sig_structure(protected, PAYLOAD)))
            error = refusal(VerificationError, message.verify, signer.public_key)
            assert error.code == "cose.algorithm_mismatch", name


@pytest.mark.parametrize(
    "protected",
    [
        b"",
        cmap(),
        cmap(b"\x01", b"\x05"),
        cmap(b"\x01", b"\x38\x2e"),  # ES256K
        cmap(b"\x01", b"\x38\x24"),  # PS256
        cmap(b"\x01", b"\x28"),  # ESP256, fully specified
        cmap(b"\x01", tstr("ES256")),
        cmap(b"\x01", bstr(b"\x26")),
        cmap(b"\x01", b"\xf5"),
        cmap(b"\x01", b"\xf6"),
        cmap(b"\x01", b"\xfb" + bytes.fromhex("c01c000000000000")),  # -7.0
        cmap(b"\x01", array(b"\x26")),
        cmap(b"\x04", b"\x26"),
        cmap(tstr("alg"), b"\x26"),
    ],
    ids=lambda one: one.hex() or "empty",
)
def test_an_algorithm_outside_the_standard_is_not_supported(protected: bytes) -> None:
    signature = SIGNER.sign(sig_structure(protected, PAYLOAD))
    for value in both_ways(array(bstr(protected), b"\xa0", bstr(PAYLOAD), bstr(signature))):
        message = decode_sign1(value)
        assert refusal(UnsupportedError, message.verify, SIGNER.public_key).code == "cose.algorithm"
        assert refusal(UnsupportedError, lambda m=message: m.algorithm).code == "cose.algorithm"


def test_a_key_that_only_agrees_verifies_nothing() -> None:
    for name in ("X25519", "X448"):
        key = EphemeralKey.generate(name).public_key
        assert refusal(UnsupportedError, sign1(SIGNER, PAYLOAD).verify, key).code == "key.cannot_sign"


def test_attached_and_detached_are_not_mixed_up() -> None:
    attached, detached = sign1(SIGNER, PAYLOAD), sign1(SIGNER, PAYLOAD, detached=True)
    key = SIGNER.public_key
    for act, named in (
        (attached.verify, {"detached": PAYLOAD}),
        (attached.verify, {"detached": b"something else"}),
        (attached.verify, {"detached": b""}),
        (detached.verify, {}),
        (detached.verify, {"detached": None}),
    ):
        assert refusal(VerificationError, act, key, **named).code == "cose.payload"
    for other in (b"", PAYLOAD + b"\x00", PAYLOAD[:-1], b"\xf6"):
        assert refusal(VerificationError, detached.verify, key, detached=other).code == "signature.invalid"


def test_an_empty_payload_is_a_payload() -> None:
    attached, detached = sign1(SIGNER, b""), sign1(SIGNER, b"", detached=True)
    attached.verify(SIGNER.public_key)
    detached.verify(SIGNER.public_key, detached=b"")
    refusal(VerificationError, attached.verify, SIGNER.public_key, detached=b"")
    refusal(VerificationError, detached.verify, SIGNER.public_key)


# --- the MAC ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tagged", [False, True])
def test_a_mac_travels_and_verifies(tagged: bool) -> None:
    message = mac0(MAC_KEY, PAYLOAD).encode()
    for value in both_ways(b"\xd1" + message if tagged else message):
        received = decode_mac0(value)
        received.verify(MAC_KEY, detached=PAYLOAD)
        assert received.payload is None
        assert received.encode() == message


def test_a_mac_over_something_else_is_refused() -> None:
    good = mac0(MAC_KEY, PAYLOAD)
    flipped = bytes((good.tag[0] ^ 1,)) + good.tag[1:]
    for proof in (b"", good.tag[:8], good.tag[:31], good.tag + b"\x00", flipped, bytes(32)):
        forged = CoseMac0(good.protected, good.protected_map, {}, None, proof)
        assert refusal(VerificationError, forged.verify, MAC_KEY, detached=PAYLOAD).code == "mac.invalid"
    assert refusal(VerificationError, good.verify, MAC_KEY, detached=b"").code == "mac.invalid"
    assert refusal(VerificationError, good.verify, bytes(32), detached=PAYLOAD).code == "mac.invalid"
    renamed = CoseMac0(b"\xa1\x01\x18\x05", {1: 5}, {}, None, good.tag)
    assert refusal(VerificationError, renamed.verify, MAC_KEY, detached=PAYLOAD).code == "mac.invalid"
    a_signature = CoseMac0(
        good.protected, good.protected_map, {}, None, hmac_sha256(MAC_KEY, sig_structure(good.protected, PAYLOAD))
    )
    assert refusal(VerificationError, a_signature.verify, MAC_KEY, detached=PAYLOAD).code == "mac.invalid"


def test_a_mac_carries_no_payload_of_its_own() -> None:
    good = mac0(MAC_KEY, PAYLOAD)
    for payload in (PAYLOAD, b""):
        attached = CoseMac0(good.protected, good.protected_map, {}, payload, good.tag)
        assert refusal(VerificationError, attached.verify, MAC_KEY, detached=PAYLOAD).code == "cose.payload"


@pytest.mark.parametrize(
    "protected",
    [
        b"",
        cmap(),
        cmap(b"\x01", b"\x04"),  # the truncated form
        cmap(b"\x01", b"\x06"),
        cmap(b"\x01", b"\x07"),
        cmap(b"\x01", b"\x26"),
        cmap(b"\x01", b"\xf9\x45\x00"),  # 5.0
        cmap(b"\x01", tstr("HS256")),
        cmap(b"\x05", b"\x05"),
    ],
    ids=lambda one: one.hex() or "empty",
)
def test_a_mac_of_another_algorithm_is_not_supported(protected: bytes) -> None:
    proof = hmac_sha256(MAC_KEY, mac_structure(protected, PAYLOAD))
    for value in both_ways(array(bstr(protected), b"\xa0", b"\xf6", bstr(proof))):
        message = decode_mac0(value)
        assert refusal(UnsupportedError, message.verify, MAC_KEY, detached=PAYLOAD).code == "cose.algorithm"


# --- an independent implementation ------------------------------------------------------------------------------------
#
# pycose is used where its decoder takes a list; the standard sends the messages untagged, so nothing is lost.

ORACLE_CURVES = ["P-256", "P-384", "P-521", "Ed25519", "Ed448"]


def oracle_key(signer: SoftwareSigner) -> Any:
    """The same private key, loaded by the oracle from a COSE_Key."""
    private = signer._key
    numbers: Any = private
    parts: dict[Any, Any] = dict(encode_key(signer.public_key))
    if signer.public_key.curve.kind == "EC":
        parts[-4] = numbers.private_numbers().private_value.to_bytes(signer.public_key.curve.coordinate_size)
    else:
        parts[-4] = numbers.private_bytes_raw()
    return CoseKey.from_dict(parts)


@pytest.mark.parametrize("name", ORACLE_CURVES)
@pytest.mark.parametrize("detached", [False, True])
def test_the_oracle_verifies_our_signatures(name: str, detached: bool) -> None:
    signer = SIGNERS[name]
    ours = sign1(signer, PAYLOAD, detached=detached, unprotected={X5CHAIN: [b"leaf", b"root"]})
    theirs = Sign1Message.from_cose_obj(list(decode(ours.encode())), allow_unknown_attributes=True)
    theirs.key = CoseKey.from_dict(encode_key(signer.public_key))
    payload = PAYLOAD if detached else None
    assert theirs.verify_signature(detached_payload=payload) is True
    theirs.signature = bytes(len(ours.signature))
    assert theirs.verify_signature(detached_payload=payload) is False


@pytest.mark.parametrize("name", ORACLE_CURVES)
@pytest.mark.parametrize("detached", [False, True])
def test_we_verify_the_oracles_signatures(name: str, detached: bool) -> None:
    signer = SIGNERS[name]
    theirs = Sign1Message(
        phdr={AlgorithmHeader: signer.public_key.algorithm.name.replace("EdDSA", "EDDSA")},
        uhdr={X5CHAIN: b"leaf"},
        payload=None if detached else PAYLOAD,
        key=oracle_key(signer),
    )
    encoded = theirs.encode(tag=False, detached_payload=PAYLOAD if detached else None)
    for value in both_ways(encoded):
        ours = decode_sign1(value)
        ours.verify(signer.public_key, detached=PAYLOAD if detached else None)
        assert ours.x5chain == (b"leaf",)
        refusal(
            VerificationError, ours.verify, SoftwareSigner.generate(name).public_key, detached=ours.payload and None
        )


def test_the_oracle_verifies_issuer_and_device_signatures_of_a_document() -> None:
    document = samples.device_response().documents[0]
    issuer = Sign1Message.from_cose_obj(list(decode(document.issuer_signed.issuer_auth.encode())), True)
    issuer.key = CoseKey.from_dict(encode_key(samples.ISSUER.public_key))
    assert issuer.verify_signature() is True
    assert document.device_signed is not None
    assert document.device_signed.signature is not None
    device = Sign1Message.from_cose_obj(list(decode(document.device_signed.signature.encode())), True)
    device.key = CoseKey.from_dict(dict(document.issuer_signed.security_object().device_key))
    payload = device_authentication_bytes(
        samples.transcript(), document.doctype, document.device_signed.name_spaces_bytes.raw
    )
    assert device.verify_signature(detached_payload=payload) is True


def test_the_oracle_verifies_our_mac() -> None:
    theirs = Mac0Message.from_cose_obj(list(decode(mac0(MAC_KEY, PAYLOAD).encode())), allow_unknown_attributes=True)
    theirs.payload = PAYLOAD  # its MACs are attached only
    theirs.key = SymmetricKey(MAC_KEY)
    assert theirs.verify_tag() is True
    theirs.payload = PAYLOAD + b"\x00"
    assert theirs.verify_tag() is False


def test_we_verify_the_oracles_mac() -> None:
    theirs = Mac0Message(phdr={AlgorithmHeader: "HMAC_256"}, payload=PAYLOAD, key=SymmetricKey(MAC_KEY))
    protected, unprotected, payload, proof = decode(theirs.encode(tag=False))
    assert payload == PAYLOAD
    decode_mac0([protected, unprotected, None, proof]).verify(MAC_KEY, detached=PAYLOAD)
    assert protected == protected_header(HMAC_256_256)


# --- header attacks ---------------------------------------------------------------------------------------------------


def message_with(protected: bytes, unprotected: bytes = b"\xa0") -> bytes:
    """Signed by the right key, so that nothing but the headers can be the reason to refuse."""
    return array(bstr(protected), unprotected, bstr(PAYLOAD), bstr(SIGNER.sign(sig_structure(protected, PAYLOAD))))


HEADER_ATTACKS = [
    ("the algorithm stands in both maps", ES256, cmap(b"\x01", b"\x26"), "cose.duplicate_header"),
    ("another algorithm stands beside", ES256, cmap(b"\x01", b"\x38\x22"), "cose.duplicate_header"),
    ("the algorithm stands in both maps, in the long form",
     cmap(b"\x01", b"\x38\x22"), cmap(b"\x01", b"\x26"), "cose.duplicate_header"),
    ("the chain stands in both maps",
     cmap(b"\x01", b"\x26", b"\x18\x21", bstr(b"a")), cmap(b"\x18\x21", bstr(b"b")), "cose.duplicate_header"),
    ("the key identifier stands in both maps",
     cmap(b"\x01", b"\x26", b"\x04", bstr(b"a")), cmap(b"\x04", bstr(b"a")), "cose.duplicate_header"),
    ("a text label stands in both maps",
     cmap(b"\x01", b"\x26", tstr("x"), b"\x00"), cmap(tstr("x"), b"\x00"), "cose.duplicate_header"),
    ("a critical header",
     cmap(b"\x01", b"\x26", b"\x02", array(b"\x18\x63"), b"\x18\x63", b"\x00"), b"\xa0", "cose.critical"),
    ("a critical header that is known", cmap(b"\x01", b"\x26", b"\x02", array(b"\x01")), b"\xa0", "cose.critical"),
    ("an empty list of critical headers", cmap(b"\x01", b"\x26", b"\x02", b"\x80"), b"\xa0", "cose.critical"),
    ("a critical header that is not protected",
     ES256, cmap(b"\x02", array(b"\x18\x63"), b"\x18\x63", b"\x00"), "cose.critical"),
    ("a byte string for a label", cmap(b"\x01", b"\x26", bstr(b"a"), b"\x00"), b"\xa0", "cose.structure"),
    ("a byte string for a label that is not protected", ES256, cmap(bstr(b"a"), b"\x00"), "cose.structure"),
    ("true for the label 1", cmap(b"\xf5", b"\x26"), b"\xa0", "cbor.key"),
    ("1.0 for the label 1", cmap(b"\xf9\x3c\x00", b"\x26"), b"\xa0", "cbor.key"),
    ("the algorithm twice", cmap(b"\x01", b"\x26", b"\x01", b"\x38\x22"), b"\xa0", "cbor.duplicate_key"),
    ("the algorithm twice, in two widths", cmap(b"\x01", b"\x26", b"\x18\x01", b"\x26"), b"\xa0", "cbor.duplicate_key"),
    ("the protected header is an array", array(b"\x01", b"\x26"), b"\xa0", "cose.structure"),
    ("the protected header is null", b"\xf6", b"\xa0", "cose.structure"),
    ("the protected header is a number of three bytes", b"\x19\x01\x26", b"\xa0", "cose.structure"),
    ("the protected header is a tagged map", tag(6, ES256), b"\xa0", "cose.structure"),
    ("bytes follow the protected header", ES256 + b"\x00", b"\xa0", "cbor.trailing"),
    ("the protected header is cut short", b"\xa1\x01\x18", b"\xa0", "cbor.truncated"),
    ("the protected header is of indefinite length", b"\xbf\x01\x26\xff", b"\xa0", "cbor.indefinite"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("protected", "unprotected", "code"), [pytest.param(*attack, id=story) for story, *attack in HEADER_ATTACKS]
)
def test_header_attacks(protected: bytes, unprotected: bytes, code: str) -> None:
    for value in both_ways(message_with(protected, unprotected)):
        for read in (decode_sign1, decode_mac0):
            error = refusal(DecodeError, read, value, path="issuerAuth")
            assert error.code == code
            inside = code.startswith("cbor.")
            assert error.path in ({"issuerAuth[0]"} if inside else {"issuerAuth", "issuerAuth[0]"})


def test_a_label_that_is_true_is_no_label_in_a_map_made_by_hand() -> None:
    """The readers refuse such keys already; whoever makes a map by hand gets no further."""
    good = sign1(SIGNER, PAYLOAD)
    for label in (True, False, None, 1.5, b"a", Tag(1, 1)):
        value = [good.protected, {label: -7}, PAYLOAD, good.signature]
        refusal(DecodeError, decode_sign1, value)


@pytest.mark.parametrize("protected", [b"", b"\xa0"])
def test_an_algorithm_that_is_not_protected_is_none(protected: bytes) -> None:
    for value in both_ways(message_with(protected, cmap(b"\x01", b"\x26"))):
        refusal(UnsupportedError, decode_sign1(value).verify, SIGNER.public_key)
    for value in both_ways(encode([protected, {1: 5}, None, bytes(32)])):
        refusal(UnsupportedError, decode_mac0(value).verify, bytes(32), detached=b"")


@pytest.mark.parametrize(
    ("thumbprint", "contradicts"),
    [
        ([-16, hashlib.sha256(b"certificate").digest()], False),
        ([-15, hashlib.sha256(b"certificate").digest()[:8]], False),
        ([-43, hashlib.sha384(b"certificate").digest()], False),
        ([-44, hashlib.sha512(b"certificate").digest()], False),
        ([-16, hashlib.sha256(b"another").digest()], True),
        ([-15, hashlib.sha256(b"certificate").digest()], True),
        ([-16, hashlib.sha256(b"certificate").digest()[:8]], True),
        ([-43, bytes(48)], True),
        ([-44, bytes(64)], True),
        ([-16, None], True),
        ([-99, bytes(32)], False),
        (["SHA-256", bytes(32)], False),
        ([-16, bytes(32), 1], False),
        (bytes(32), False),
        ({-16: bytes(32)}, False),
    ],
)
def test_a_protected_thumbprint_names_the_certificate_or_another(thumbprint: Any, contradicts: bool) -> None:
    message = decode_sign1([encode({1: -7, 34: thumbprint}), {}, PAYLOAD, bytes(64)])
    assert message.contradicts(b"certificate") is contradicts
    assert not decode_sign1([ES256, {34: thumbprint}, PAYLOAD, bytes(64)]).contradicts(b"certificate")


def test_headers_that_are_unknown_are_ignored() -> None:
    protected = cmap(b"\x01", b"\x26", b"\x04", bstr(b"kid"), tstr("org.example"), array(b"\x00"), b"\x38\x63", b"\xf6")
    unprotected = cmap(b"\x18\x63", tag(6, array(b"\x00")), tstr("x"), cmap(b"\x01", b"\x02"))
    for value in both_ways(message_with(protected, unprotected)):
        decode_sign1(value).verify(SIGNER.public_key)


@pytest.mark.parametrize("number", [*range(0x18), *range(-24, 0), -25, -35, -36, -257, 24, 500])
def test_the_short_way_for_usual_headers_reads_what_the_long_way_reads(number: int) -> None:
    protected = protected_header(number)
    read = decode_sign1([protected, {}, None, b""])
    assert read.protected_map == decode(protected) == {1: number}
    assert type(read.protected_map[1]) is int


# --- x5chain ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        (bstr(b"leaf"), (b"leaf",)),
        (array(bstr(b"leaf")), (b"leaf",)),
        (array(bstr(b"leaf"), bstr(b"root")), (b"leaf", b"root")),
        (array(*[bstr(b"one")] * 8), (b"one",) * 8),
    ],
)
def test_a_chain_is_one_certificate_or_an_array_in_either_header(chain: bytes, found: tuple[bytes, ...]) -> None:
    for message in (
        message_with(ES256, cmap(b"\x18\x21", chain)),
        message_with(cmap(b"\x01", b"\x26", b"\x18\x21", chain)),
    ):
        for value in both_ways(message):
            received = decode_sign1(value)
            assert received.x5chain == found
            received.verify(SIGNER.public_key)


@pytest.mark.parametrize(
    "chain",
    [
        array(),
        array(*[bstr(b"one")] * 9),
        array(bstr(b"leaf"), tstr("root")),
        array(bstr(b"leaf"), b"\xf6"),
        array(array(bstr(b"leaf"))),
        tstr("leaf"),
        b"\x00",
        b"\xf5",
        cmap(b"\x00", bstr(b"leaf")),
        tag(6, bstr(b"leaf")),
        tag(24, bstr(b"leaf")),
    ],
    ids=lambda one: one.hex(),
)
def test_what_is_no_chain(chain: bytes) -> None:
    for message in (
        message_with(ES256, cmap(b"\x18\x21", chain)),
        message_with(cmap(b"\x01", b"\x26", b"\x18\x21", chain)),
    ):
        for value in both_ways(message):
            received = decode_sign1(value)
            assert refusal(DecodeError, lambda one=received: one.x5chain).code == "cose.x5chain"


def test_no_chain_is_an_empty_chain() -> None:
    assert sign1(SIGNER, PAYLOAD).x5chain == ()
    for value in both_ways(message_with(ES256, cmap(b"\x18\x21", b"\xf6"))):
        assert decode_sign1(value).x5chain == ()


# --- structure and tags -----------------------------------------------------------------------------------------------

GOOD_PARTS = [bstr(ES256), b"\xa0", bstr(PAYLOAD), bstr(bytes(64))]
STRUCTURES = [
    ("null", b"\xf6"),
    ("a number", b"\x00"),
    ("a byte string", bstr(array(*GOOD_PARTS))),
    ("a map", cmap(*GOOD_PARTS)),
    ("three parts", array(*GOOD_PARTS[:3])),
    ("five parts", array(*GOOD_PARTS, b"\xa0")),
    ("no parts", array()),
    ("the protected header is a map", array(ES256, *GOOD_PARTS[1:])),
    ("the protected header is text", array(tstr("abc"), *GOOD_PARTS[1:])),
    ("the protected header is null", array(b"\xf6", *GOOD_PARTS[1:])),
    ("the unprotected header is an array", array(GOOD_PARTS[0], b"\x80", *GOOD_PARTS[2:])),
    ("the unprotected header is wrapped", array(GOOD_PARTS[0], bstr(b"\xa0"), *GOOD_PARTS[2:])),
    ("the unprotected header is null", array(GOOD_PARTS[0], b"\xf6", *GOOD_PARTS[2:])),
    ("the payload is text", array(*GOOD_PARTS[:2], tstr("a"), GOOD_PARTS[3])),
    ("the payload is a map", array(*GOOD_PARTS[:2], b"\xa0", GOOD_PARTS[3])),
    ("the payload is undefined", array(*GOOD_PARTS[:2], b"\xf7", GOOD_PARTS[3])),
    ("the payload is false", array(*GOOD_PARTS[:2], b"\xf4", GOOD_PARTS[3])),
    ("the payload is a tag-24 item", array(*GOOD_PARTS[:2], wire.tag24(b"\x00"), GOOD_PARTS[3])),
    ("the signature is null", array(*GOOD_PARTS[:3], b"\xf6")),
    ("the signature is text", array(*GOOD_PARTS[:3], tstr("a"))),
    ("the signature is an array", array(*GOOD_PARTS[:3], array(bstr(bytes(64))))),
]


@pytest.mark.parametrize("data", [pytest.param(data, id=story) for story, data in STRUCTURES])
def test_what_is_no_cose_message(data: bytes) -> None:
    for value in both_ways(data):
        for read in (decode_sign1, decode_mac0):
            error = refusal(DecodeError, read, value, path="documents[0].issuerSigned.issuerAuth")
            assert (error.code, error.path) == ("cose.structure", "documents[0].issuerSigned.issuerAuth")


@pytest.mark.parametrize("number", [16, 17, 18, 19, 61, 96, 97, 98, 24, 998])
def test_a_message_stands_under_its_own_tag_or_none(number: int) -> None:
    data = tag(number, array(*GOOD_PARTS))
    if number == 24:
        data = wire.tag24(array(*GOOD_PARTS))
    for value in both_ways(data):
        for own, read in ((18, decode_sign1), (17, decode_mac0)):
            if number == own:
                assert read(value).payload == PAYLOAD
            else:
                assert refusal(DecodeError, read, value).code == "cose.structure"
    for own, read in ((18, decode_sign1), (17, decode_mac0)):
        twice = decode(tag(own, tag(own, array(*GOOD_PARTS))))
        assert refusal(DecodeError, read, twice).code == "cose.structure"


# --- COSE_Key ---------------------------------------------------------------------------------------------------------

PUBLIC: dict[str, PublicKey] = {
    **{name: EphemeralKey.generate(name).public_key for name in CURVES if CURVES[name].can_agree},
    **{name: signer.public_key for name, signer in SIGNERS.items() if CURVES[name].kind == "OKP"},
}


@pytest.mark.parametrize("name", list(CURVES))
def test_every_public_key_survives_as_a_cose_key(name: str) -> None:
    key, curve = PUBLIC[name], CURVES[name]
    parts = encode_key(key)
    assert list(parts) == ([1, -1, -2, -3] if curve.kind == "EC" else [1, -1, -2])
    assert parts[1] == (2 if curve.kind == "EC" else 1)
    assert parts[-1] == curve.cose_id
    assert all(len(parts[label]) == curve.coordinate_size for label in (-2, -3) if label in parts)
    for value in both_ways(encode(parts)):
        assert decode_key(value) == key
        assert decode_key(value).curve is curve


@pytest.mark.parametrize("name", [name for name in CURVES if CURVES[name].kind == "EC"])
def test_y_may_be_compressed(name: str) -> None:
    parts = encode_key(PUBLIC[name])
    odd = bool(parts[-3][-1] & 1)
    assert decode_key({**parts, -3: odd}) == PUBLIC[name]
    mirrored = decode_key({**parts, -3: not odd})
    assert mirrored != PUBLIC[name]
    assert mirrored.point[1:-1][: CURVES[name].coordinate_size] == parts[-2]


def test_coordinates_keep_their_leading_zeros() -> None:
    for name, secret in (("P-256", 379), ("P-384", 197), ("P-521", 2), ("brainpoolP512r1", 6)):
        key = EphemeralKey.from_secret(name, secret).public_key
        parts = encode_key(key)
        assert parts[-2][0] == 0
        assert decode_key(parts) == key
        error = refusal(DecodeError, decode_key, {**parts, -2: parts[-2].lstrip(b"\x00")})
        assert error.code == "key.malformed"


P256 = encode_key(PUBLIC["P-256"])
ED25519 = encode_key(PUBLIC["Ed25519"])
KEY_ATTACKS: list[tuple[str, Any, str]] = [
    ("not a map", [1, 2], "key.malformed"),
    ("null", None, "key.malformed"),
    ("empty", {}, "key.malformed"),
    ("no key type", {label: part for label, part in P256.items() if label != 1}, "key.malformed"),
    ("no curve", {label: part for label, part in P256.items() if label != -1}, "key.malformed"),
    ("no x", {label: part for label, part in P256.items() if label != -2}, "key.malformed"),
    ("no y", {label: part for label, part in P256.items() if label != -3}, "key.malformed"),
    ("the label true for the key type",
     {True if label == 1 else label: part for label, part in P256.items()}, "key.malformed"),
    ("a label that is false", {False: 1, **P256}, "key.malformed"),
    ("a label that is a byte string", {**P256, b"x": 1}, "key.malformed"),
    ("the key type in words", {**P256, 1: "EC2"}, "key.malformed"),
    ("the key type true", {**ED25519, 1: True}, "key.malformed"),
    ("the key type 2.0", {**P256, 1: 2.0}, "key.malformed"),
    ("the curve in words", {**P256, -1: "P-256"}, "key.malformed"),
    ("the curve true", {**P256, -1: True}, "key.malformed"),
    ("x is text", {**P256, -2: "x" * 32}, "key.malformed"),
    ("x is a number", {**P256, -2: 5}, "key.malformed"),
    ("x is short", {**P256, -2: P256[-2][1:]}, "key.malformed"),
    ("x is long", {**P256, -2: b"\x00" + P256[-2]}, "key.malformed"),
    ("x is empty", {**P256, -2: b""}, "key.malformed"),
    ("x and y are moved by one byte", {**P256, -2: P256[-2] + P256[-3][:1], -3: P256[-3][1:]}, "key.malformed"),
    ("y is short", {**P256, -3: P256[-3][:-1]}, "key.malformed"),
    ("y is long", {**P256, -3: P256[-3] + b"\x00"}, "key.malformed"),
    ("y is empty", {**P256, -3: b""}, "key.malformed"),
    ("y is null", {**P256, -3: None}, "key.malformed"),
    ("y is 1", {**P256, -3: 1}, "key.malformed"),
    ("y is 0", {**P256, -3: 0}, "key.malformed"),
    ("the point is off its curve", {**P256, -3: P256[-3][:-1] + bytes((P256[-3][-1] ^ 1,))}, "key.malformed"),
    ("the point is the origin", {**P256, -2: bytes(32), -3: bytes(32)}, "key.malformed"),
    ("the coordinates are beyond the field", {**P256, -2: b"\xff" * 32, -3: b"\xff" * 32}, "key.malformed"),
    ("a compressed x that no point has", {**P256, -2: b"\xff" * 32, -3: True}, "key.malformed"),
    ("a point of another curve of the same size", {**P256, -1: 256}, "key.malformed"),
    ("a curve of another size", {**P256, -1: 2}, "key.malformed"),
    ("an EC key type with an OKP curve", {**ED25519, 1: 2}, "key.malformed"),
    ("an OKP key type with an EC curve", {**P256, 1: 1}, "key.malformed"),
    ("an Ed25519 key that is short", {**ED25519, -2: ED25519[-2][1:]}, "key.malformed"),
    ("an Ed25519 key that is long", {**ED25519, -2: ED25519[-2] + b"\x00"}, "key.malformed"),
    ("secp256k1", {**P256, -1: 8}, "key.unsupported"),
    ("brainpoolP320r1", {**P256, -1: 257}, "key.unsupported"),
    ("a curve nobody knows", {**P256, -1: 99}, "key.unsupported"),
    ("the curve 0", {**P256, -1: 0}, "key.unsupported"),
    ("a symmetric key", {**P256, 1: 4}, "key.unsupported"),
    ("an RSA key", {**P256, 1: 3}, "key.unsupported"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "code"), [pytest.param(value, code, id=story) for story, value, code in KEY_ATTACKS])
def test_what_is_no_public_cose_key(value: Any, code: str) -> None:
    kind = DecodeError if code == "key.malformed" else UnsupportedError
    error = refusal(kind, decode_key, value, path="deviceKeyInfo.deviceKey")
    assert error.code == code


def test_a_point_off_its_curve_is_refused_on_every_curve() -> None:
    for name, key in PUBLIC.items():
        if CURVES[name].kind == "EC":
            parts = encode_key(key)
            parts[-3] = parts[-3][:-1] + bytes((parts[-3][-1] ^ 1,))
            assert refusal(DecodeError, decode_key, parts).code == "key.malformed"


def test_parameters_beyond_the_point_are_ignored_and_go_no_further() -> None:
    secret = bytes(31) + b"\x07"
    for extra in ({2: b"kid"}, {3: -7}, {4: [1, 2]}, {5: b"iv"}, {-4: secret}, {"org.example": 1}, {-70001: None}):
        key = decode_key({**P256, **extra})
        assert key == PUBLIC["P-256"]
        assert encode_key(key) == P256
    assert decode_key({**ED25519, -3: b"y", -4: secret}) == PUBLIC["Ed25519"]


def test_the_names_that_are_promised_exist() -> None:
    assert [name for name in cose.__all__ if not hasattr(cose, name)] == []


@pytest.mark.parametrize(
    ("name", "number"),
    {
        "P-256": -9,
        "P-384": -51,
        "P-521": -52,
        "Ed25519": -19,
        "Ed448": -53,
        "brainpoolP256r1": -265,
        "brainpoolP384r1": -267,
        "brainpoolP512r1": -268,
    }.items(),
)
def test_a_fully_specified_number_is_taken_for_its_own_curve_and_by_those_who_ask(name: str, number: int) -> None:
    signer = SIGNERS[name]
    protected = protected_header(number)
    signature = signer.sign(sig_structure(protected, b"payload"))
    message = CoseSign1(protected, {ALG: number}, {}, b"payload", signature)
    message.verify(signer.public_key, fully_specified=True)
    assert message.algorithm_under(signer.public_key, fully_specified=True) is signer.public_key.algorithm
    assert refusal(UnsupportedError, message.verify, signer.public_key).code == "cose.algorithm"
    for other, key in PUBLIC.items():
        if other != name and CURVES[other].algorithm is not None:
            call = partial(message.verify, fully_specified=True)
            assert refusal(UnsupportedError, call, key).code == "cose.algorithm"
    changed = replace(message, payload=b"another")
    call = partial(changed.verify, fully_specified=True)
    assert refusal(VerificationError, call, signer.public_key).code == "signature.invalid"


def test_an_early_number_for_a_fully_specified_algorithm_is_none() -> None:
    for number in (-48, -261, -262, -263, -264, -266, True, -9.0):
        message = CoseSign1(b"", {ALG: number}, {}, b"payload", b"")
        assert not message.is_fully_specified_for(PUBLIC["P-256"])


@pytest.mark.parametrize(
    ("more", "signs", "deviates"),
    [
        ({}, True, False),
        ({2: b"kid", 5: b"iv", "note": 1, -70001: None}, True, False),
        ({3: -7, 4: [1]}, True, False),
        ({3: -9, 4: [2]}, True, False),
        ({3: -35}, True, True),
        ({3: [1]}, True, True),
        ({3: -7.0}, True, True),
        ({3: -25}, False, False),
        ({4: [7]}, True, True),
        ({4: []}, True, True),
        ({4: [True]}, True, True),
        ({4: [7]}, False, False),
        ({4: [8, 1]}, False, False),
        ({4: [2]}, False, True),
        ({-4: b"secret"}, True, True),
        ({-5: 0}, True, True),
        ({-65536: 0}, False, True),
        ({-65537: 0}, False, False),
    ],
)
def test_what_a_cose_key_says_beyond_its_point(more: dict[Any, Any], signs: bool, deviates: bool) -> None:
    value = {**P256, **more}
    assert (cose.key_deviation(value, PUBLIC["P-256"], signs=signs) is not None) == deviates
    assert cose.carries_private_part(value) == (-4 in more)


def test_a_y_is_no_member_of_a_key_that_has_one_coordinate() -> None:
    assert cose.key_deviation({**ED25519, -3: b"y"}, PUBLIC["Ed25519"], signs=True)
    assert cose.key_deviation(ED25519, PUBLIC["Ed25519"], signs=True) is None
    assert cose.carries_private_part({1: 7, 3: -48, -1: b"", -2: b"seed"})

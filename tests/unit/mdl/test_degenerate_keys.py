"""Keys that are none: each curve of `mdl.keys`, each degenerate key, each door that a public key comes in by.

The arithmetic here is the textbook's, with both coordinates; that of the product knows y only.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import csr
from asn1crypto import keys as asn1_keys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519

from issuer.issuance import CredentialIssuer
from mdl import keys, status
from mdl.cli import main
from mdl.cose import decode_key
from mdl.errors import DecodeError, ProfileError
from mdl.keys import CURVES, Curve, EphemeralKey, PublicKey, SoftwareSigner
from mdl.mdoc import SessionTranscript, device_mac_key
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    PROFILES,
    REVOCATION_LIST_SIGNER,
    Certificate,
    Profile,
    build_csr,
    decode_csr,
    lint_certificate,
)
from mdl.pki.certificate import public_key_of
from mdl.status import StatusList, StatusToken
from mdl.testing import MDL_DOCTYPE, deterministic_key, sample_transcript
from reader.status import verify_status_token
from reader.trust import ANY_DOCTYPE, TrustAnchor
from tests.x509_forgery import START, SUBJECT, forge, honest, root, set_field

Point = tuple[int, int]


@dataclass(frozen=True)
class Edwards:
    """The group of points of one curve."""

    p: int
    a: int
    d: int
    order: int
    cofactor: int
    size: int

    def add(self, one: Point, other: Point) -> Point:
        (x1, y1), (x2, y2), p = one, other, self.p
        product = self.d * x1 * x2 * y1 * y2 % p
        return (
            (x1 * y2 + x2 * y1) * pow(1 + product, -1, p) % p,
            (y1 * y2 - self.a * x1 * x2) * pow(1 - product, -1, p) % p,
        )

    def multiply(self, times: int, point: Point) -> Point:
        result = (0, 1)
        while times:
            if times & 1:
                result = self.add(result, point)
            point, times = self.add(point, point), times >> 1
        return result

    def points(self, y: int) -> list[Point]:
        """The points of that y."""
        p = self.p
        square = (1 - y * y) * pow(self.a - self.d * y * y, -1, p) % p
        root = pow(square, (p + 1) // 4, p) if p % 4 == 3 else pow(square, (p + 3) // 8, p)
        other = pow(2, (p - 1) // 4, p)
        roots = {root * unit % p for unit in (1, other, -1, -other)}
        return [(x, y) for x in sorted(roots) if x * x % p == square]

    def encode(self, point: Point) -> bytes:
        return self.bytes_of(point[1], point[0] & 1)

    def bytes_of(self, y: int, sign: int = 0) -> bytes:
        return (y | sign << (8 * self.size - 1)).to_bytes(self.size, "little")

    def small(self) -> set[Point]:
        """The points whose order divides the cofactor: what is left of any point times the prime order."""
        y, found = 2, [(0, 1)]
        while len(found) < self.cofactor:
            left = self.multiply(self.order, (self.points(y) or [(0, 1)])[0])
            found = [(0, 1)]
            while (following := self.add(found[-1], left)) != (0, 1):
                found.append(following)
            y += 1
        return set(found)


EDWARDS = {
    "Ed25519": Edwards(
        2**255 - 19,
        -1,
        -121665 * pow(121666, -1, 2**255 - 19),
        2**252 + 27742317777372353535851937790883648493,
        8,
        32,
    ),
    "Ed448": Edwards(
        2**448 - 2**224 - 1,
        1,
        -39081,
        2**446 - 13818066809895115352007386748515426880336692474882178609894547503885,
        4,
        57,
    ),
}


@cache
def small_points(name: str) -> set[Point]:
    return EDWARDS[name].small()


def the_field(curve: Curve) -> int:
    """The prime of a Weierstrass curve's field, off the curve's name: facts of SEC 2 and RFC 5639."""
    return {
        "P-256": 2**256 - 2**224 + 2**192 + 2**96 - 1,
        "P-384": 2**384 - 2**128 - 2**96 + 2**32 - 1,
        "P-521": 2**521 - 1,
        "brainpoolP256r1": 0xA9FB57DBA1EEA9BC3E660A909D838D726E3BF623D52620282013481D1F6E5377,
        "brainpoolP384r1": int(
            "8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B412B1DA197FB71123ACD3A729901D1A71874700133107EC53", 16
        ),
        "brainpoolP512r1": int(
            "AADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA70330871"
            "7D4D9B009BC66842AECDA12AE6A380E62881FF2F2D82C68528AA6056583A48F3",
            16,
        ),
    }[curve.name]


def degenerate_ec(curve: Curve) -> dict[str, bytes]:
    honest = SoftwareSigner.generate(curve.name).public_key.point
    size, p = curve.coordinate_size, the_field(curve)
    x, y = honest[1 : 1 + size], honest[1 + size :]
    on_the_twist = next(
        candidate
        for candidate in (number.to_bytes(size) for number in range(1, 100))
        if refuses(PublicKey.from_point, curve, b"\x02" + candidate)
    )
    return {
        "the identity": b"\0",
        "the identity, at full length": bytes(2 * size + 1),
        "zero and zero": b"\4" + bytes(2 * size),
        "off the curve": b"\4" + x + (int.from_bytes(y) ^ 1).to_bytes(size),
        "an x of the twist": b"\2" + on_the_twist,
        "x = p": b"\4" + p.to_bytes(size) + y,
        "y = p": b"\4" + x + p.to_bytes(size),
        "x = p, compressed": b"\2" + p.to_bytes(size),
        "too short": honest[:-1],
        "too long": honest + b"\0",
        "y + p where it fits": b"\4" + x + _beyond(int.from_bytes(y), p, size),
        "hybrid": bytes((6 | honest[-1] & 1,)) + honest[1:],
        "hybrid of the wrong sign": bytes((7 ^ honest[-1] & 1,)) + honest[1:],
        "empty": b"",
    }


def _beyond(value: int, p: int, size: int) -> bytes:
    """The same number modulo p, not canonical; where that needs a byte more, the largest number of the size."""
    beyond = value + p if value + p < 256**size else 256**size - 1
    return beyond.to_bytes(size)


def degenerate_edwards(curve: Curve) -> dict[str, bytes]:
    group, small = EDWARDS[curve.name], small_points(curve.name)
    p, size = group.p, group.size
    honest = SoftwareSigner.generate(curve.name).public_key.point
    off = next(y for y in range(2, 100) if not group.points(y))
    most = 2 ** (8 * size - 1)
    result = {f"small order, y = {y:x}, sign {x & 1}": group.encode((x, y)) for x, y in small}
    result |= {f"small order, y = {y:x}, the other sign": group.bytes_of(y, 1 - (x & 1)) for x, y in small}
    result |= {
        f"small order, not canonical, y = {y:x} + p, sign {sign}": group.bytes_of(y + p, sign)
        for _, y in small
        for sign in (0, 1)
        if y + p < most
    }
    on = next(y for y in range(2, 18) if group.points(y))
    return result | {
        "off the curve, that is on the twist": group.bytes_of(off),
        "off the curve, with a sign": group.bytes_of(off, 1),
        "y = p": group.bytes_of(p),
        "a good point, not canonical": group.bytes_of(on + p),
        "a good point, not canonical, with a sign": group.bytes_of(on + p, 1),
        "all ones": b"\xff" * size,
        "too short": honest[:-1],
        "too long": honest + b"\0",
        "empty": b"",
    }


def degenerate_montgomery(curve: Curve) -> dict[str, bytes]:
    """Of a key that only agrees, the length alone makes it none: what leads to no secret is seen when one is agreed."""
    honest = EphemeralKey.generate(curve.name).public_key.point
    return {"too short": honest[:-1], "too long": honest + b"\0", "empty": b""}


def degenerate(curve: Curve) -> dict[str, bytes]:
    if curve.kind == "EC":
        return degenerate_ec(curve)
    return degenerate_edwards(curve) if curve.algorithm else degenerate_montgomery(curve)


def refuses(load: Callable[..., object], *arguments: object) -> bool:
    """Whether a key is refused for what it is."""
    try:
        load(*arguments)
    except DecodeError as exc:
        return exc.code == "key.malformed"
    return False


def code_of(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(DecodeError) as refusal:
        call(*arguments)
    return refusal.value.code


# --- the doors --------------------------------------------------------------------------------------------------------


def spki_with(curve: Curve, point: bytes) -> bytes:
    """A SubjectPublicKeyInfo of a point, whatever it is."""
    oid = serialization_of_algorithm(curve)
    bits = b"\0" + point
    body = oid + b"\x03" + _length(len(bits)) + bits
    return b"\x30" + _length(len(body)) + body


def serialization_of_algorithm(curve: Curve) -> bytes:
    """The AlgorithmIdentifier of the curve, as an honest key has it."""
    honest = honest_key(curve).spki
    start = 2 if honest[1] < 0x80 else 3
    return honest[start : start + 2 + honest[start + 1]]


def _length(size: int) -> bytes:
    return bytes((size,)) if size < 0x80 else bytes((0x81, size))


def honest_key(curve: Curve) -> PublicKey:
    return (EphemeralKey if curve.can_agree else SoftwareSigner).generate(curve.name).public_key


def by_point(curve: Curve, point: bytes) -> PublicKey:
    return PublicKey.from_point(curve, point)


def by_spki(curve: Curve, point: bytes) -> PublicKey:
    return PublicKey.from_spki(spki_with(curve, point))


def by_pem(curve: Curve, point: bytes) -> PublicKey:
    body = base64.encodebytes(spki_with(curve, point))
    return PublicKey.from_pem(b"-----BEGIN PUBLIC KEY-----\n" + body + b"-----END PUBLIC KEY-----\n")


def by_certificate(curve: Curve, point: bytes) -> PublicKey:
    return public_key_of(spki_with(curve, point))


def by_cose_key(curve: Curve, point: bytes) -> PublicKey:
    size = curve.coordinate_size
    if curve.kind == "OKP":
        return decode_key({1: 1, -1: curve.cose_id, -2: point})
    if point[:1] in (b"\2", b"\3"):
        return decode_key({1: 2, -1: curve.cose_id, -2: point[1:], -3: point[0] == 3})
    return decode_key({1: 2, -1: curve.cose_id, -2: point[1 : 1 + size], -3: point[1 + size :]})


DOORS = (by_point, by_spki, by_pem, by_certificate, by_cose_key)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", CURVES)
def test_a_degenerate_key_of_any_curve_comes_in_by_no_door(
    name: str, door: Callable[[Curve, bytes], PublicKey]
) -> None:
    curve = CURVES[name]
    if door is by_certificate and curve.algorithm is None:
        return  # no certificate carries such a key at all
    good = honest_key(curve)
    assert door(curve, good.point) == good
    for what, point in degenerate(curve).items():
        if door is by_cose_key and "hybrid" in what:
            continue  # a COSE_Key has no form byte
        assert refuses(door, curve, point), what


@pytest.mark.parametrize("name", EDWARDS)
def test_a_key_object_of_another_library_is_looked_at_too(name: str) -> None:
    loader: Any = {"Ed25519": ed25519.Ed25519PublicKey, "Ed448": ed448.Ed448PublicKey}[name]
    taken = 0
    for point in degenerate_edwards(CURVES[name]).values():
        try:
            key = loader.from_public_bytes(point)
        except ValueError:
            continue
        taken += 1
        assert code_of(PublicKey.from_cryptography, key) == "key.malformed"
    assert taken > len(small_points(name))


# --- the arithmetic ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EDWARDS)
def test_the_points_of_small_order_are_as_many_as_the_cofactor(name: str) -> None:
    group = EDWARDS[name]
    assert len(small_points(name)) == group.cofactor
    assert {group.multiply(group.cofactor, point) for point in small_points(name)} == {(0, 1)}


@pytest.mark.parametrize("name", EDWARDS)
def test_every_other_point_is_a_key(name: str) -> None:
    """Those of mixed order too, with which no signature goes for nothing."""
    group = EDWARDS[name]
    good = [point for y in range(2, 40) for point in group.points(y)]
    assert len(good) > 20
    mixed = [group.add(point, other) for point in good[:3] for other in small_points(name)]
    for point in good + mixed:
        if point not in small_points(name):
            assert PublicKey.from_point(CURVES[name], group.encode(point)).point == group.encode(point)
    for y in range(2, 40):
        if not group.points(y):
            assert refuses(PublicKey.from_point, CURVES[name], group.bytes_of(y))


@pytest.mark.parametrize("name", EDWARDS)
def test_the_reason_says_what_is_wrong_with_the_point(name: str) -> None:
    group, curve = EDWARDS[name], CURVES[name]
    off = next(y for y in range(2, 100) if not group.points(y))
    small = "the key is a point of small order, under which one signature goes with any message"
    for encoded, reason in (
        (group.bytes_of(0), small),
        (group.bytes_of(1), small),  # x = 0: the neutral element, and the point of order 2
        (group.bytes_of(group.p - 1), small),
        (group.bytes_of(group.p), f"the bytes are not the canonical encoding of a point on {name}"),
        (group.bytes_of(off), f"the bytes are no point on {name}"),
    ):
        with pytest.raises(DecodeError) as refusal:
            PublicKey.from_point(curve, encoded)
        assert refusal.value.message == reason


@pytest.mark.parametrize("modulus", [3, 7, 9, 15, 1009])
def test_the_jacobi_symbol_of_small_numbers(modulus: int) -> None:
    factors = {3: [3], 7: [7], 9: [3, 3], 15: [3, 5], 1009: [1009]}[modulus]
    for value in range(modulus):
        expected = 1
        for prime in factors:
            power = pow(value, (prime - 1) // 2, prime)
            expected *= -1 if power == prime - 1 else power
        assert keys._jacobi(value, modulus) == expected


# --- keys that only agree ---------------------------------------------------------------------------------------------

# u of the points whose order divides the cofactor, on the curve and on its twist (RFC 7748 §6).
_P = 2**255 - 19
NO_SECRET_X25519 = (
    *(0, 1, _P - 1, _P, _P + 1),
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_P4 = 2**448 - 2**224 - 1


@pytest.mark.parametrize(
    ("name", "number"),
    [("X25519", u) for u in NO_SECRET_X25519]
    + [("X25519", u | 1 << 255) for u in NO_SECRET_X25519]
    + [("X448", u) for u in (0, 1, _P4 - 1, _P4, _P4 + 1)],
)
def test_a_number_that_leads_to_no_secret_is_a_key_that_agrees_none(name: str, number: int) -> None:
    curve = CURVES[name]
    peer = PublicKey.from_point(curve, number.to_bytes(curve.coordinate_size, "little"))
    assert code_of(EphemeralKey.generate(name).agree, peer) == "key.malformed"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        *(("X25519", u) for u in (2, 9, _P + 9, 9 | 1 << 255, 2**256 - 1)),
        *(("X448", u) for u in (2, 5, _P4 + 5, 2**448 - 1)),
    ],
)
def test_any_other_number_agrees_be_it_on_the_twist_or_not_canonical(name: str, number: int) -> None:
    curve = CURVES[name]
    peer = PublicKey.from_point(curve, number.to_bytes(curve.coordinate_size, "little"))
    own = EphemeralKey.generate(name)
    assert any(own.agree(peer))
    p = _P if name == "X25519" else _P4
    reduced = number % 2**255 % p if name == "X25519" else number % p
    assert own.agree(PublicKey.from_point(curve, reduced.to_bytes(curve.coordinate_size, "little"))) == own.agree(peer)


def test_a_secret_of_zeros_is_refused_whoever_agreed_it() -> None:
    class Custodian:
        def agree(self, peer: PublicKey) -> bytes:
            return bytes(peer.curve.coordinate_size)

    peer = EphemeralKey.generate("X25519").public_key
    transcript: SessionTranscript = sample_transcript(peer)
    assert code_of(device_mac_key, Custodian(), peer, transcript) == "key.malformed"


def test_the_form_of_the_point_is_the_only_thing_that_is_wrong_with_a_hybrid_one() -> None:
    curve = CURVES["P-256"]
    hybrid = degenerate_ec(curve)["hybrid"]
    loaded = serialization.load_der_public_key(spki_with(curve, hybrid))
    assert PublicKey.from_cryptography(loaded).point == b"\4" + hybrid[1:]


# --- who is asked to believe or to certify such a key -----------------------------------------------------------------

# R = A, S = 0 is a signature of any message under each of them, in a library that takes the key.
CONSTANT = {
    "the point of order 4 on Ed448": (CURVES["Ed448"], bytes(57)),
    "the neutral element of Ed448": (CURVES["Ed448"], b"\1" + bytes(56)),
    "the neutral element of Ed25519": (CURVES["Ed25519"], b"\1" + bytes(31)),
    "the neutral element of Ed25519, not canonical": (CURVES["Ed25519"], (_P + 1).to_bytes(32, "little")),
}
ROOT = root()


def certificate_for(profile: Profile, curve: Curve, point: bytes) -> Certificate:
    """An otherwise honest certificate of that profile for that key."""
    replaced = set_field("subject_public_key_info", asn1_keys.PublicKeyInfo.load(spki_with(curve, point)))
    certificate, _ = honest(profile)
    return forge(certificate, replaced)


@pytest.mark.parametrize("what", CONSTANT)
@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda one: one.id)
def test_the_linter_finds_a_degenerate_key_in_a_certificate_of_any_profile(profile: Profile, what: str) -> None:
    certificate = certificate_for(profile, *CONSTANT[what])
    (finding,) = [one for one in lint_certificate(certificate, profile) if one.rule == f"{profile.id}.key.type"]
    assert finding.security
    with pytest.raises(DecodeError) as refusal:
        _ = certificate.public_key
    assert refusal.value.code == "key.malformed"


def request_for_key(curve: Curve, point: bytes) -> bytes:
    """A certificate request that proves possession of no key, where a library takes the key."""
    honest_request = build_csr(SUBJECT, deterministic_key("requester", curve.name))
    fields = csr.CertificationRequest.load(honest_request.der)
    body = fields["certification_request_info"].copy()
    body["subject_pk_info"] = asn1_keys.PublicKeyInfo.load(spki_with(curve, point))
    fields["certification_request_info"] = body
    fields["signature"] = point + bytes(len(point))
    return bytes(fields.dump(force=True))


@pytest.mark.parametrize("what", CONSTANT)
def test_a_request_for_a_degenerate_key_is_none(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    der = request_for_key(*CONSTANT[what])
    assert code_of(decode_csr, der) == "key.malformed"
    (tmp_path / "request.der").write_bytes(der)
    assert main(["lint", str(tmp_path / "request.der"), "--json"]) == 3
    (one,) = json.loads(capsys.readouterr().out)["unreadable"]
    assert one["code"] == "key.malformed"


@pytest.mark.parametrize("what", CONSTANT)
def test_nobody_trusts_or_signs_with_a_degenerate_key(what: str) -> None:
    curve, point = CONSTANT[what]
    with pytest.raises(ProfileError) as refusal:
        TrustAnchor.admit(certificate_for(IACA, curve, point), doctypes=ANY_DOCTYPE, at=START + timedelta(days=2))
    assert refusal.value.code == "trust.profile"
    signer = certificate_for(DOCUMENT_SIGNER, curve, point)
    with pytest.raises(DecodeError) as malformed:
        CredentialIssuer(deterministic_key("ds", curve.name), signer, doctype=MDL_DOCTYPE)
    assert malformed.value.code == "key.malformed"
    listed = certificate_for(REVOCATION_LIST_SIGNER, curve, point)
    token = build_status_token(listed, curve, point)
    assert code_of(lambda: verify_status_token(StatusToken.decode(token), issuer=ROOT)) == "key.malformed"


def build_status_token(signer: Certificate, curve: Curve, point: bytes) -> bytes:
    """A status list by that signer, with the signature that needs no key."""
    honest_token = status.build_status_token(
        StatusList.of(8, {}),
        deterministic_key("list", curve.name),
        uri="https://status.utopia.example/1",
        issued_at=START,
        expires=START + timedelta(days=1),
        x5chain=[signer.der],
    )
    message = StatusToken.decode(honest_token).message
    return b"\xd2" + replace(message, signature=point + bytes(len(point))).encode()

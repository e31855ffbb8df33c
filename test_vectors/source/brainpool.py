"""Keys on brainpoolP320r1, which the standard permits and the library underneath does not have.

Just enough of the curve to sign a case with it. Nothing here is constant in time, and no key is anybody's.

Spec:
    RFC 5639 3.5; FIPS 186-5 6.4.1, with a nonce that follows from key and message.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from mdl.testing import SeededEntropy

__all__ = ["CURVE", "SPKI_PREFIX", "Brainpool320Key", "brainpool320_key"]

CURVE: Final = 257
"""The curve's number in a COSE_Key."""

SPKI_PREFIX: Final = bytes.fromhex("306a301406072a8648ce3d020106092b2403030208010109035200")
"""What stands before the point in a SubjectPublicKeyInfo, DER."""

_SIZE: Final = 40
_P: Final = 0xD35E472036BC4FB7E13C785ED201E065F98FCFA6F6F40DEF4F92B9EC7893EC28FCD412B1F1B32E27
_A: Final = 0x3EE30B568FBAB0F883CCEBD46D3F3BB8A2A73513F5EB79DA66190EB085FFA9F492F375A97D860EB4
_N: Final = 0xD35E472036BC4FB7E13C785ED201E065F98FCFA5B68F12A32D482EC7EE8658E98691555B44C59311
_G: Final = (
    0x43BD7E9AFB53D8B85289BCC48EE5BFE6F20137D10A087EB6E7871E2A10A599C710AF8D0D39E20611,
    0x14FDD05545EC1CC8AB4093247F77275E0743FFED117182EAA9C77877AAAC6AC7D35245D1692E8EE1,
)


def _add(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """The sum of two points; None is the point at infinity."""
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % _P == 0:
        return None
    slope = (3 * x1 * x1 + _A) * pow(2 * y1, -1, _P) if one == other else (y2 - y1) * pow(x2 - x1, -1, _P)
    x = (slope * slope - x1 - x2) % _P
    return x, (slope * (x1 - x) - y1) % _P


def _times(number: int) -> tuple[int, int]:
    """That multiple of the generator, 1 to the order less one."""
    found, power = None, _G
    while number:
        if number & 1:
            found = _add(found, power)
        doubled = _add(power, power)
        assert doubled is not None
        power, number = doubled, number >> 1
    assert found is not None
    return found


class Brainpool320Key:
    """A private key.

    Attributes:
        x: The first coordinate of the public key, 40 bytes.
        y: The second one.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        x, y = _times(number)
        self.x, self.y = x.to_bytes(_SIZE), y.to_bytes(_SIZE)

    @property
    def point(self) -> bytes:
        """The public key as an uncompressed point, 81 bytes."""
        return b"\x04" + self.x + self.y

    def sign(self, data: bytes) -> bytes:
        """Sign with ES384: r and s side by side, 80 bytes."""
        digest = hashlib.sha384(data).digest()
        nonce = int.from_bytes(hashlib.sha512(self._number.to_bytes(_SIZE) + digest).digest()) % (_N - 1) + 1
        r = _times(nonce)[0] % _N
        s = pow(nonce, -1, _N) * (int.from_bytes(digest[:_SIZE]) + r * self._number) % _N
        assert r
        assert s
        return r.to_bytes(_SIZE) + s.to_bytes(_SIZE)


@cache
def brainpool320_key(name: str) -> Brainpool320Key:
    """The key of that name."""
    return Brainpool320Key(int.from_bytes(SeededEntropy(name)(_SIZE)) % (_N - 1) + 1)

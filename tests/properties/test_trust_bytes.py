"""Trust data from strangers: any bytes give a value or an `MdlError`, and never an anchor that nobody has signed."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import Tag, TDate, encode
from mdl.errors import MdlError, VerificationError
from mdl.vical import CertificateInfo, Vical
from reader.trust_file import TrustFile
from reader.vical import NOTHING_ACCEPTED, examine_vical, import_vical
from tests.vical_forgery import AT, authority, forge, info, members, provider, sign

PINNED = provider().pinned()
UTAH = authority().iaca_certificate
HONEST = forge(info(UTAH), info(authority("Alaska", "US-AK").iaca_certificate))
STORE = TrustFile().with_vical(forge(), provider=next(iter(PINNED)), at=AT)[0].encode()

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.binary(max_size=40),
    st.text(max_size=20),
    st.floats(),
    st.builds(TDate, st.sampled_from(["2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "x"])),
    st.builds(Tag, st.sampled_from([2, 3, 4]), st.binary(max_size=24)),
)
NAMES = st.text(max_size=8) | st.integers(0, 9)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
ENTRY_MEMBERS = st.sampled_from([*info(UTAH), "certificateProfile", "extensions", "Extensions", "CertificateProfile"])
LIST_MEMBERS = st.sampled_from([*members([]), "notAfter", "vicalURL", "extensions", "Extensions"])


def examine(data: bytes) -> None:
    """Every way in; what is refused is refused by an error of ours."""
    try:
        vical = Vical.decode(data)
    except MdlError:
        return
    assert all(one.meaning for one in vical.deviations)
    for entry in vical.entries:
        if isinstance(entry, CertificateInfo):
            assert all(one.meaning for one in entry.contradictions)
    report = examine_vical(data, providers=PINNED, accepted=NOTHING_ACCEPTED, at=AT)
    try:
        found = import_vical(data, providers=PINNED, accepted=NOTHING_ACCEPTED, at=AT)
    except VerificationError:
        assert not report.accepted
    else:
        assert report.accepted
        assert found.anchors


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    examine(data)
    examine(sign(data))


@given(st.integers(0, len(HONEST) - 1), st.integers(1, 255))
def test_a_damaged_list(place: int, flip: int) -> None:
    damaged = bytearray(HONEST)
    damaged[place] ^= flip
    examine(bytes(damaged))


@given(LIST_MEMBERS, VALUES)
def test_a_signed_list_with_a_member_of_any_shape(name: str, value: Any) -> None:
    examine(sign(encode({**members([info(UTAH)]), name: value})))


@given(ENTRY_MEMBERS, VALUES)
def test_a_signed_list_with_an_entry_of_any_shape(name: str, value: Any) -> None:
    examine(sign(encode(members([{**info(UTAH), name: value}]))))


@given(VALUES)
def test_a_signed_payload_of_any_shape(value: Any) -> None:
    examine(sign(encode(value)))


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
).map(lambda value: json.dumps({"mdl_trust_store": 1, "roots": [], "vicals": value}).encode())


@given(st.binary(max_size=200) | DOCUMENTS)
def test_any_store(content: bytes) -> None:
    try:
        TrustFile.decode(content).assemble(at=AT)
    except MdlError:
        return


@given(st.integers(0, len(STORE) - 1), st.integers(1, 127))
def test_a_damaged_store_adds_nobody(place: int, flip: int) -> None:
    damaged = bytearray(STORE)
    damaged[place] ^= flip
    try:
        found = TrustFile.decode(bytes(damaged)).assemble(at=AT)
    except MdlError:
        return
    assert {anchor.certificate for anchor in found.anchors} <= {UTAH}

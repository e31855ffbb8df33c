"""Strict, bounded CBOR: what is refused and why, that all readers agree, and that received bytes are kept."""

import datetime as dt
import math
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mdl import cbor
from mdl.cbor import (
    DEFAULT_LIMITS,
    FullDate,
    Limits,
    Reading,
    Tag,
    Tagged24,
    TDate,
    decode,
    decode_sequence,
    decode_view,
    diagnose,
    encode,
    head,
    unwrap24,
    wrap24,
)
from mdl.errors import DecodeError
from tests import wire
from tests.wire import array, bstr, cmap, plain, same, tag, tag24, tstr

Reader = Callable[..., Any]


def view_without_raw(data: bytes, *, limits: Limits = DEFAULT_LIMITS, reading: Reading | None = None) -> Any:
    return decode_view(data, limits=limits, keep_raw=False, reading=reading)


def among_neighbours(data: bytes, *, limits: Limits = DEFAULT_LIMITS) -> Any:
    return decode_sequence((b"\x00", data, b"\x01"), limits=limits)[1]


READERS = [decode, decode_view, view_without_raw, among_neighbours]


def refusal(read: Reader, data: Any, **options: Any) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        read(data, **options)
    return caught.value


def outcome(read: Reader, data: bytes, **options: Any) -> Any:
    """A plain value, or the code of the refusal."""
    try:
        return plain(read(data, **options))
    except DecodeError as error:
        return error.code


BIG = bstr(bytes(9000))  # beyond what one call of the library may read unguarded

# Each refusal: a story, the bytes, the code, the offset that `decode_view` tells.
REFUSALS = [
    ("nothing at all", b"", "cbor.truncated", 0),
    ("a byte after an integer", b"\x00\x00", "cbor.trailing", 1),
    ("an item after an array", array(b"\x00") + b"\xf6", "cbor.trailing", 2),
    ("a break after an item", b"\x00\xff", "cbor.trailing", 1),
    ("a byte after a long item", BIG + b"\x00", "cbor.trailing", len(BIG)),
    ("the same text key twice", cmap(tstr("a"), b"\x00", tstr("a"), b"\x01"), "cbor.duplicate_key", 0),
    ("the same integer key twice", cmap(b"\x01", b"\x00", b"\x01", b"\x01"), "cbor.duplicate_key", 0),
    ("the same key in two widths", cmap(b"\x01", b"\x00", b"\x18\x01", b"\x01"), "cbor.duplicate_key", 0),
    ("the same byte string key twice", cmap(bstr(b"a"), b"\x00", bstr(b"a"), b"\x01"), "cbor.duplicate_key", 0),
    ("a duplicate inside an array", array(cmap(b"\x01", b"\x00", b"\x01", b"\x01")), "cbor.duplicate_key", 1),
    ("a duplicate inside a map", cmap(b"\x00", cmap(b"\x01", b"\x00", b"\x01", b"\x01")), "cbor.duplicate_key", 2),
    ("a duplicate inside a tag", tag(6, cmap(b"\x01", b"\x00", b"\x01", b"\x01")), "cbor.duplicate_key", 1),
    ("a duplicate beside long data", cmap(b"\x01", BIG, b"\x01", b"\x01"), "cbor.duplicate_key", 0),
    ("1 and true as keys", cmap(b"\x01", b"\x00", b"\xf5", b"\x01"), "cbor.key", 3),
    ("1 and 1.0 as keys", cmap(b"\x01", b"\x00", b"\xf9\x3c\x00", b"\x01"), "cbor.key", 3),
    ("0 and false as keys", cmap(b"\x00", b"\x00", b"\xf4", b"\x01"), "cbor.key", 3),
    ("true alone as a key", cmap(b"\xf5", b"\x00"), "cbor.key", 1),
    ("false alone as a key", cmap(b"\xf4", b"\x00"), "cbor.key", 1),
    ("null as a key", cmap(b"\xf6", b"\x00"), "cbor.key", 1),
    ("undefined as a key", cmap(b"\xf7", b"\x00"), "cbor.key", 1),
    ("a simple value as a key", cmap(b"\xe0", b"\x00"), "cbor.key", 1),
    ("1.0 alone as a key", cmap(b"\xf9\x3c\x00", b"\x00"), "cbor.key", 1),
    ("an array as a key", cmap(b"\x80", b"\x00"), "cbor.key", 1),
    ("a map as a key", cmap(b"\xa0", b"\x00"), "cbor.key", 1),
    ("a date as a key", cmap(tag(1004, tstr("2020-01-01")), b"\x00"), "cbor.key", 1),
    ("a tagged integer as a key", cmap(tag(1, b"\x00"), b"\x00"), "cbor.key", 1),
    ("a tag-24 item as a key", cmap(tag24(b"\x00"), b"\x00"), "cbor.key", 1),
    ("an odd key inside an array", array(cmap(b"\xf5", b"\x00")), "cbor.key", 2),
    ("an odd key inside a map", cmap(tstr("a"), cmap(b"\xf5", b"\x00")), "cbor.key", 4),
    ("an odd key inside a tag", tag(6, cmap(b"\xf5", b"\x00")), "cbor.key", 2),
    ("an odd key after text keys", cmap(tstr("a"), b"\x00", b"\xf5", b"\x00"), "cbor.key", 4),
    ("an odd key after integer keys", cmap(b"\x00", b"\x00", b"\x01", b"\x00", b"\xf6", b"\x00"), "cbor.key", 5),
    ("an odd key beside long data", cmap(tstr("a"), BIG, b"\xf5", b"\x00"), "cbor.key", 3 + len(BIG)),
    ("the smallest key too great", cmap(wire.head(0, 1 << 60), b"\x00"), "cbor.key", 1),
    ("the greatest negative key too great", cmap(wire.head(1, (1 << 60) - 1), b"\x00"), "cbor.key", 1),
    ("a great key beside text", cmap(tstr("a"), b"\x00", wire.head(0, 1 << 61), b"\x00"), "cbor.key", 4),
    ("a great key beside a small one", cmap(b"\x00", b"\x00", wire.head(0, 1 << 63), b"\x00"), "cbor.key", 3),
    ("an indefinite byte string", b"\x5f\x41\x00\xff", "cbor.indefinite", 0),
    ("an indefinite text", b"\x7f\x61a\xff", "cbor.indefinite", 0),
    ("an indefinite array", b"\x9f\x00\xff", "cbor.indefinite", 0),
    ("an indefinite map", b"\xbf\x00\x00\xff", "cbor.indefinite", 0),
    ("an indefinite array that is empty", b"\x9f\xff", "cbor.indefinite", 0),
    ("an indefinite array in an array", array(b"\x9f\xff"), "cbor.indefinite", 1),
    ("an indefinite map as a value", cmap(b"\x00", b"\xbf\xff"), "cbor.indefinite", 2),
    ("an indefinite text as a key", cmap(b"\x7f\x61a\xff", b"\x00"), "cbor.indefinite", 1),
    ("an indefinite byte string under tag 24", tag(24, b"\x5f\x41\x00\xff"), "cbor.indefinite", 2),
    ("an indefinite array under a tag", tag(6, b"\x9f\xff"), "cbor.indefinite", 1),
    ("a lone break", b"\xff", "cbor.indefinite", 0),
    ("a break in an array", array(b"\xff"), "cbor.indefinite", 1),
    ("an integer of indefinite length", b"\x1f", "cbor.indefinite", 0),
    ("a negative integer of indefinite length", b"\x3f", "cbor.indefinite", 0),
    ("a tag of indefinite length", b"\xdf", "cbor.indefinite", 0),
    *(
        (f"the reserved head {first:#04x}", bytes((first,)) + bytes(8), "cbor.reserved", 0)
        for major in range(8)
        for first in (major << 5 | 28, major << 5 | 29, major << 5 | 30)
    ),
    ("a reserved head in an array", array(b"\x1c"), "cbor.reserved", 1),
    ("a simple value in two bytes that fits one", b"\xf8\x00", "cbor.reserved", 0),
    ("false in two bytes", b"\xf8\x14", "cbor.reserved", 0),
    ("true in two bytes", b"\xf8\x15", "cbor.reserved", 0),
    ("the last reserved simple value", b"\xf8\x1f", "cbor.reserved", 0),
    ("text with a bad continuation", b"\x62\xc3\x28", "cbor.utf8", 0),
    ("text cut inside a character", b"\x61\xc3", "cbor.utf8", 0),
    ("text with an overlong form", b"\x62\xc0\xaf", "cbor.utf8", 0),
    ("text with half a surrogate pair", b"\x63\xed\xa0\x80", "cbor.utf8", 0),
    ("text beyond Unicode", b"\x64\xf4\x90\x80\x80", "cbor.utf8", 0),
    ("bad text in an array", array(b"\x61\xff"), "cbor.utf8", 1),
    ("bad text as a key", cmap(b"\x61\xff", b"\x00"), "cbor.utf8", 1),
    ("bad long text", tstr("a" * 9000)[:-1] + b"\xff", "cbor.utf8", 0),
    *((f"the reference tag {number}", tag(number, b"\x00"), "cbor.reference", 0) for number in wire.REFERENCE_TAGS),
    *(
        (f"the reference tag {number} in a wide head", tag(number, array(b"\x00"), 8), "cbor.reference", 0)
        for number in wire.REFERENCE_TAGS
    ),
    ("a list that would hold itself", tag(28, array(tag(29, b"\x00"))), "cbor.reference", 0),
    ("a reference in a map", cmap(tstr("a"), tag(29, b"\x00")), "cbor.reference", 3),
    ("tag 0 around a number", tag(0, b"\x00"), "cbor.date", 0),
    ("tag 0 around bytes", tag(0, bstr(b"2020-01-01T00:00:00Z")), "cbor.date", 0),
    ("tag 0 around null", tag(0, b"\xf6"), "cbor.date", 0),
    ("tag 0 around a tag", tag(0, tag(0, tstr("2020-01-01T00:00:00Z"))), "cbor.date", 0),
    ("tag 1004 around a number", tag(1004, b"\x00"), "cbor.date", 0),
    ("tag 1004 around an array", array(tag(1004, b"\x80")), "cbor.date", 1),
    ("tag 1004 around bytes", tag(1004, bstr(b"2020-01-01")), "cbor.date", 0),
]
KNOWN = [pytest.param(data, code, offset, id=story) for story, data, code, offset in REFUSALS]


@pytest.mark.parametrize(("data", "code", "offset"), KNOWN)
def test_every_reader_refuses_with_the_same_code(data: bytes, code: str, offset: int) -> None:
    for read in READERS:
        assert refusal(read, data).code == code, read.__name__
    assert refusal(decode_view, data).offset == offset
    assert refusal(decode, data).path == ""
    assert refusal(among_neighbours, data).path == "[1]"


def test_tag_24_holds_a_byte_string() -> None:
    for content in (b"\x00", tstr("a"), b"\x80", b"\xf6", tag24(b"\x00")):
        for data, offset in ((tag(24, content), 0), (array(tag(24, content)), 1), (tag(24, content, 4), 0)):
            error = refusal(decode_view, data)
            assert (error.code, error.offset) == ("cbor.tag24", offset)


def test_messages_carry_no_value() -> None:
    for data in (
        cmap(tstr("Mustermann"), b"\x00", tstr("Mustermann"), b"\x00"),
        b"\x6bMustermann\xff",
        tag(0, tag(0, tstr("Mustermann"))),
    ):
        for read in READERS:
            error: BaseException | None = refusal(read, data)
            while error is not None:  # nor does what led to it
                assert "Mustermann" not in str(error)
                error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


# One item with every kind of head, and tag-24 items on both ways through the array reader.
ALL_KINDS = array(
    b"\x00", b"\x18\xff", wire.head(0, 1, 8), b"\x39\x01\x00", bstr(b"abc"), bstr(bytes(300)), tstr("aé"),
    cmap(b"\x01", b"\xf5", tstr("k"), b"\xf6", bstr(b"b"), b"\xf7"), tag24(b"\x00"), tag(24, bstr(bytes(30), 1)),
    tag(24, bstr(bytes(300))), tag(24, bstr(b"\x00", 4), 2), tag(0, tstr("2020-01-01T00:00:00Z")),
    tag(1004, tstr("2020-01-01")), tag(6, b"\x80"), b"\xf9\x3c\x00", b"\xfa\x3f\x80\x00\x00", b"\xfb" + bytes(8),
    b"\xf8\x20",
)  # fmt: skip


def test_cut_at_any_byte_an_item_is_truncated() -> None:
    for cut in range(len(ALL_KINDS)):
        for read in READERS:
            assert refusal(read, ALL_KINDS[:cut]).code == "cbor.truncated", (cut, read.__name__)
        assert refusal(decode_view, ALL_KINDS[:cut]).offset == cut
    assert len(decode_view(ALL_KINDS)) == 19


@pytest.mark.parametrize("major", [2, 3, 4, 5])
@pytest.mark.parametrize("claimed", [1 << 13, (1 << 16) - 1, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])
def test_a_length_that_lies_is_refused_at_once(major: int, claimed: int) -> None:
    expected = {"cbor.truncated", "cbor.too_many"} if major > 3 else {"cbor.truncated"}
    for data in (wire.head(major, claimed) + b"\x00", array(wire.head(major, claimed) + b"\x00\x00")):
        for read in READERS:
            assert refusal(read, data).code in expected


# --- limits ----------------------------------------------------------------------------------------------------------

NESTS = [(b"\x81", "arrays"), (b"\xa1\x00", "maps"), (b"\xc6", "tags"), (b"\x81\xc6", "tagged arrays")]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("one", "kind"), NESTS, ids=[kind for _, kind in NESTS])
def test_depth_is_bounded_and_the_bound_is_inclusive(read: Reader, one: bytes, kind: str) -> None:
    levels = len(kind.split())
    for limits in (DEFAULT_LIMITS, Limits(max_depth=4), Limits(max_depth=100)):
        fits = one * (limits.max_depth // levels) + b"\x00"
        read(fits, limits=limits)
        for deeper in (one + fits, fits[:-1] + b"\x81\x00", fits[:-1] + b"\xa1\x00\x00", fits[:-1] + b"\xc6\x00"):
            assert refusal(read, deeper, limits=limits).code == "cbor.too_deep"
        for empty in (b"\x80", b"\xa0", b"\x98\x00", b"\xb9\x00\x00"):  # holds nothing, so it nests nothing
            read(fits[:-1] + empty, limits=limits)


@pytest.mark.parametrize("read", READERS)
def test_depth_holds_for_tag_24_items_in_arrays_too(read: Reader) -> None:
    inner = tag(24, bstr(bytes(30), 1))
    read(b"\x81" * 23 + inner)
    assert refusal(read, b"\x81" * 24 + inner).code == "cbor.too_deep"


@pytest.mark.parametrize("read", READERS)
def test_entries_are_bounded_and_the_bound_is_inclusive(read: Reader) -> None:
    numbers = [wire.head(0, number) for number in range(20_000)]
    pairs = [part for number in numbers for part in (number, b"\x00")]
    for limits in (DEFAULT_LIMITS, Limits(max_entries=3), Limits(max_entries=9000)):
        most = limits.max_entries
        assert len(read(array(*numbers[:most]), limits=limits)) == most
        assert len(read(cmap(*pairs[: 2 * most]), limits=limits)) == most
        for data in (array(*numbers[: most + 1]), cmap(*pairs[: 2 * most + 2])):
            assert refusal(read, data, limits=limits).code == "cbor.too_many"
            assert refusal(read, array(data), limits=limits).code == "cbor.too_many"


@pytest.mark.parametrize("read", READERS)
def test_items_in_all_are_bounded_and_the_bound_is_inclusive(read: Reader) -> None:
    limits = Limits(max_items=14 if read is among_neighbours else 12)  # the two neighbours count
    for fits in (
        array(*[b"\x00"] * 11),
        array(array(*[b"\x00"] * 5), array(*[b"\x00"] * 4)),
        cmap(b"\x01", b"\x00", b"\x02", b"\x00", b"\x03", array(*[b"\x00"] * 5)),
        array(tag(6, b"\x00"), tag(6, b"\x00"), *[b"\x00"] * 7),
    ):
        read(fits, limits=limits)
        assert refusal(read, array(fits), limits=limits).code == "cbor.too_many"
        assert refusal(read, tag(6, fits), limits=limits).code == "cbor.too_many"


@pytest.mark.parametrize("read", READERS)
def test_bytes_are_bounded_and_the_bound_is_inclusive(read: Reader) -> None:
    for limits in (DEFAULT_LIMITS, Limits(max_bytes=100), Limits(max_bytes=20_000)):
        fits = wire.head(2, limits.max_bytes - 5, 4) + bytes(limits.max_bytes - 5)
        assert len(fits) == limits.max_bytes
        read(fits, limits=limits)
        longer = wire.head(2, limits.max_bytes - 4, 4) + bytes(limits.max_bytes - 4)
        assert refusal(read, longer, limits=limits).code == "cbor.too_long"


def test_limits_of_a_sequence_are_each_blobs_own() -> None:
    limits = Limits(max_bytes=10, max_entries=4)
    blob = array(*[b"\x00"] * 4)
    assert decode_sequence([blob] * 100, limits=limits) == [[0] * 4] * 100


@pytest.mark.parametrize("blob", [array(*[b"\x00"] * 4), array(*[b"\x00"] * 3, bstr(bytes(40)))])
def test_the_items_of_a_sequence_are_counted_together(blob: bytes) -> None:
    limits = Limits(max_items=50)
    assert len(decode_sequence([blob] * 10, limits=limits)) == 10
    error = refusal(decode_sequence, [blob] * 11, limits=limits)
    assert (error.code, error.path) == ("cbor.too_many", "[10]")
    assert decode_sequence([b"\x00"] * 50, limits=limits) == [0] * 50
    assert refusal(decode_sequence, [b"\x00"] * 51, limits=limits).path == "[50]"
    long = decode_sequence([blob] * 9 + [bstr(bytes(9000))] * 5, limits=limits)  # many bytes, few items
    assert long[9:] == [bytes(9000)] * 5


# --- what is tolerated ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x18\x01", 1),
        (wire.head(0, 5, 8), 5),
        (wire.head(1, 4, 4), -5),
        (wire.head(2, 1, 8) + b"a", b"a"),
        (wire.head(3, 1, 2) + b"a", "a"),
        (wire.head(4, 1, 1) + b"\x00", [0]),
        (wire.head(5, 1, 4) + b"\x01\x02", {1: 2}),
        (b"\xfb\x3f\xf0" + bytes(6), 1.0),
    ],
)
def test_heads_that_are_not_minimal_are_tolerated(data: bytes, value: Any) -> None:
    for read in READERS:
        assert same(read(data), value)


def noted(data: bytes) -> dict[str, str]:
    """What is noted of well-formed items, one after the other."""
    reading = Reading()
    cbor._note_long(data, reading, "")
    return reading.deviations


def told(read: Reader, data: Any) -> set[str]:
    reading = Reading()
    read(data, reading=reading)
    return {*reading.deviations}


@pytest.mark.parametrize("size", [*range(70), 255, 256, 257, 65_535, 65_536])
@pytest.mark.parametrize("major", [0, 1, 2, 3, 6])
def test_a_head_is_long_where_a_shorter_one_says_the_same(major: int, size: int) -> None:
    body = bytes(size) if major in {2, 3} else b"\x00" if major == 6 else b""
    shortest = len(wire.head(major, size))
    for width in (one for one in wire.WIDTHS if wire.fits(size, one)):
        one = wire.head(major, size, width) + body
        if major == 6 and size in {0, *wire.REFERENCE_TAGS}:
            continue
        for data in (one, array(b"\x00", one, tstr("z")), cmap(tstr("elementValue"), one), array(one, one)):
            if len(data) < 8192:  # what is larger is walked
                assert (cbor.LONG_HEAD in noted(data)) is (len(wire.head(major, size, width)) > shortest)


@given(st.lists(wire.items(8).map(lambda item: item.data), max_size=4))
def test_the_readers_agree_on_long_heads(blobs: list[bytes]) -> None:
    alone = [told(view_without_raw, blob) for blob in blobs]
    assert [told(decode, blob) for blob in blobs] == alone
    assert told(decode_sequence, blobs) == set().union(*alone)


@pytest.mark.parametrize(
    ("data", "long"),
    [
        ("f93e00", False),
        ("f97e01", False),
        ("fa3fc00000", True),
        ("fa3f800001", False),
        ("fa7f800000", True),
        ("fa7fc00001", True),
        ("fa47800000", False),
        ("fb3ff8000000000000", True),
        ("fb3ff0000020000000", True),
        ("fb3ff0000010000000", False),
        ("fb7ff0000000000000", True),
        ("fb7ff8000000000000", True),
        ("fb0000000000000000", True),
        ("fb0000000000000001", False),
        ("fb7fefffffffffffff", False),
    ],
)
def test_a_float_is_long_where_fewer_bytes_hold_it(data: str, long: bool) -> None:
    one = bytes.fromhex(data)
    expected = {cbor.LONG_FLOAT} if long else set()
    for blob in (one, array(b"\x00", one, tstr("z")), cmap(tstr("elementValue"), one), array(one, one), b"\xc1" + one):
        assert told(decode, blob) == told(view_without_raw, blob) == told(decode_sequence, [blob]) == expected
    both = array(one, b"\x18\x00", one)
    assert told(decode, both) == told(view_without_raw, both) == expected | {cbor.LONG_HEAD}


@pytest.mark.parametrize("piece", [b"\x61a", b"\x00", b"\x18\x20", b"\x78\x30" + b"a" * 48, b"\x81", b"\x19\x01\x00"])
def test_looking_for_long_heads_is_linear(piece: bytes) -> None:
    start = time.process_time()
    assert noted(piece * ((1 << 18) // len(piece))) == {}
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "key", [b"\x00", b"\x20", tstr(""), bstr(b""), wire.head(0, (1 << 60) - 1), wire.head(1, (1 << 60) - 2)]
)
def test_keys_that_are_allowed(key: bytes) -> None:
    for read in READERS:
        assert list(read(cmap(key, b"\x05")).values()) == [5]
        assert list(read(array(cmap(key, b"\x05", tstr("z"), b"\x06")))[0].values()) == [5, 6]


def test_text_and_bytes_of_the_same_letters_are_two_keys() -> None:
    for read in READERS:
        assert read(cmap(tstr("a"), b"\x00", bstr(b"a"), b"\x01")) == {"a": 0, b"a": 1}


def test_every_tag_number_but_ours_stays_an_uninterpreted_tag() -> None:
    numbers = [*range(1500), *range(1500, 70_000, 7), 43000, 55799, 55800, (1 << 32) - 1, 1 << 32, (1 << 64) - 1]
    contents = [b"\x05", tstr("(a"), bstr(b"\x01"), array(b"\x01", b"\x02"), cmap(tstr("a"), b"\x01"), b"\xf6"]
    for number in numbers:
        if number in (0, 24, 1004, *wire.REFERENCE_TAGS):
            continue
        for content in contents if number < 1500 else contents[:1]:
            data = tag(number, content)
            expected = Tag(number, plain(view_without_raw(content)))
            assert same(plain(decode(data)), expected), number
            assert same(plain(decode_view(data)), expected), number


def test_decode_gives_tag_24_as_a_plain_tag() -> None:
    assert decode(tag24(b"\x00")) == Tag(24, b"\x00")
    assert decode_view(tag24(b"\x00"), keep_raw=False) == Tag(24, b"\x00")
    assert decode_view(tag24(b"\x00")) == Tagged24(b"\x00", b"\xd8\x18\x41\x00")


# --- the readers agree ------------------------------------------------------------------------------------------------


@given(wire.items())
def test_well_formed_items_have_one_value_for_every_reader(item: wire.Item) -> None:
    expected = plain(item.value)
    for read in READERS:
        assert same(plain(read(item.data)), expected), read.__name__


@given(wire.items())
def test_tagged24_is_exactly_the_received_slice(item: wire.Item) -> None:
    def kept(value: Any) -> list[Tagged24]:
        match value:
            case Tagged24():
                return [value]
            case Tag():
                return kept(value.value)
            case list():
                return [one for entry in value for one in kept(entry)]
            case dict():
                return [one for entry in value.values() for one in kept(entry)]
        return []

    assert kept(decode_view(item.data)) == kept(item.value)


@given(wire.near_misses())
@example(b"\x81\xd8\x18\x58")
@example(b"\x81\xd8\x18")
@example(b"\xa1\xd8\x18\x41\x00\x00")
def test_readers_agree_on_near_misses(data: bytes) -> None:
    expected = outcome(view_without_raw, data)
    assert same(outcome(decode, data), expected)
    assert same(outcome(among_neighbours, data), expected)
    viewed = outcome(decode_view, data)
    assert same(viewed, expected) or viewed == "cbor.tag24"


@given(st.binary(max_size=40))
def test_readers_agree_on_any_bytes(data: bytes) -> None:
    expected = outcome(view_without_raw, data)
    assert same(outcome(decode, data), expected)
    assert same(outcome(among_neighbours, data), expected)


@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("length_width", [0, 1, 2, 4, 8])
def test_tagged24_keeps_odd_heads(width: int, length_width: int) -> None:
    content = b"\xa1\x61a\x01"
    raw = tag(24, bstr(content, length_width), width)
    expected = Tagged24(content, raw)
    assert decode_view(raw) == expected
    assert decode_view(array(b"\x00", raw, b"\x01")) == [0, expected, 1]
    assert decode_view(cmap(tstr("a"), raw, tstr("b"), array(raw, raw))) == {"a": expected, "b": [expected, expected]}
    assert decode_view(tag(6, raw)) == Tag(6, expected)
    assert encode(expected) == raw
    assert encode([0, expected, 1]) == array(b"\x00", raw, b"\x01")


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65535, 65536])
def test_tagged24_in_arrays_at_every_length_of_head(length: int) -> None:
    content = bytes(length)
    items = array(tag24(content), b"\x07", tag24(content))
    first, number, second = decode_view(items)
    assert number == 7
    assert first == second == Tagged24(content, tag24(content))


@pytest.mark.parametrize("length", [0, 23, 24, 255, 256, 5000, 65535, 65536])
def test_unwrapping_gives_the_content(length: int) -> None:
    content = bytes(length)
    assert unwrap24(wrap24(content)) == content
    for odd in (tag(24, bstr(content, 8)), tag(24, bstr(content, 4), 4)):
        assert unwrap24(odd) == content


@pytest.mark.parametrize("length", [10, 300])
def test_unwrapping_wants_exactly_one_tag_24_item(length: int) -> None:
    content = bytes(length)
    good = wrap24(content)
    for data, code in (
        (good + b"\x00", "cbor.trailing"),
        (good[:-1], "cbor.truncated"),
        (b"", "cbor.truncated"),
        (bstr(content), "cbor.tag24"),
        (array(good), "cbor.tag24"),
        (tag(6, bstr(content)), "cbor.tag24"),
        (tag(24, tstr("a" * length)), "cbor.tag24"),
        (tag(25, bstr(content)), "cbor.reference"),
        (b"\xd8\x19" + good[2:], "cbor.reference"),
        (b"\xd8\x17" + good[2:], "cbor.tag24"),
        (b"\xd8\x18" + b"\x79" + good[3:], "cbor.tag24"),
    ):
        assert refusal(unwrap24, data).code == code, data[:4].hex()
    for cut in range(len(good)):
        assert refusal(unwrap24, good[:cut]).code == "cbor.truncated"
    fits = Limits(max_bytes=len(good))
    assert unwrap24(good, limits=fits) == content
    assert refusal(unwrap24, good, limits=Limits(max_bytes=len(good) - 1)).code == "cbor.too_long"


# --- many blobs in one call -------------------------------------------------------------------------------------------


def test_a_sequence_gives_each_blobs_value_in_order() -> None:
    assert decode_sequence([]) == []
    assert decode_sequence([b"\x05"]) == [5]
    assert decode_sequence([b"\x05", tstr("a"), BIG, b"\x80", BIG]) == [5, "a", bytes(9000), [], bytes(9000)]
    assert len(decode_sequence([b"\x05"] * 5000)) == 5000


HUGE = bytes(9000)
FOOLERS = [
    ("two items in one blob, none in the next", [b"\x00\x00", b""], 0),
    ("none in the first, two in the next", [b"", b"\x00\x00"], 0),
    ("an array that swallows its neighbour", [b"\x82\x00", b"\x01"], 0),
    ("an array that swallows its neighbour's mark too", [b"\x83\x00", b"\x01", b"\x02"], 0),
    ("an array that wants one more, with leftovers behind", [b"\x82\x00", b"\x01\x02\x03"], 0),
    ("a string that swallows its neighbour", [b"\x4a\x00", b"\x01\x02"], 0),
    ("a string that swallows the mark exactly", [b"\x49", b"\x01"], 0),
    ("a string that swallows the mark and leaves a string", [b"\x00", b"\x4a", b"\x48" + bytes(8)], 1),
    ("a tag without its item", [b"\xc6", b"\x00"], 0),
    ("a map without its last value", [b"\xa1\x00", b"\x00"], 0),
    ("a map that takes the mark for a value, an empty blob behind", [b"\xa1\x00", b""], 0),
    ("leftovers at the end", [b"\x00", b"\x01\x02"], 1),
    ("an empty blob at the end", [b"\x00", b""], 1),
    ("an empty blob alone", [b""], 0),
    ("all blobs empty", [b"", b"", b""], 0),
    ("an early end of the whole", [b"\x00", b"\xff", b"\x01"], 1),
    ("halves of one item", [b"\x82", b"\x00\x00"], 0),
    ("a forged mark after an item", [b"\x00\x48" + bytes(8), b"\x00"], 0),
    ("blobs that are right only together", [b"\x00\x48" + bytes(8) + b"\x81", b"\x01"], 0),
    ("a long blob with leftovers", [b"\x00", BIG + b"\x00", b"\x01"], 1),
    ("a long blob cut short", [b"\x00", BIG[:-1], b"\x01"], 1),
    ("a long array that wants its neighbour", [array(bstr(HUGE), b"\x00")[:-1], b"\x00"], 0),
    ("an empty blob before a long one", [b"", BIG], 0),
    ("two items before a long one", [b"\x00\x00", BIG], 0),
    ("a swallower before a long one", [b"\x82\x00", BIG], 0),
]


@pytest.mark.parametrize(("blobs", "guilty"), [pytest.param(blobs, index, id=story) for story, blobs, index in FOOLERS])
def test_blobs_cannot_complete_each_other(blobs: list[bytes], guilty: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_sequence(blobs)
    assert caught.value.path == (f"[{guilty}]" if len(blobs) > 1 else "")
    assert caught.value.code in {"cbor.trailing", "cbor.truncated", "cbor.indefinite"}


@given(st.lists(st.one_of(wire.near_misses(5), wire.items(3).map(lambda item: item.data), st.just(BIG)), max_size=5))
@example([b"\x82\x00", b""])
@example([b"\x49", b"", b"\x00"])
def test_a_sequence_is_what_its_blobs_are_alone(blobs: list[bytes]) -> None:
    alone = [outcome(view_without_raw, blob) for blob in blobs]
    codes = [one if type(one) is str and one.startswith("cbor.") else None for one in alone]
    wrong = [index for index, code in enumerate(codes) if code]
    if not wrong:
        assert same(plain(decode_sequence(blobs)), alone)
        return
    error = refusal(decode_sequence, blobs)
    assert error.code == codes[wrong[0]]
    assert error.path == (f"[{wrong[0]}]" if len(blobs) > 1 else "")


def test_the_mark_between_blobs_is_the_secret_of_one_process() -> None:
    assert len(cbor._MARK) == 8
    program = "from mdl import cbor; print(cbor._MARK.hex())"
    other = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert bytes.fromhex(other) != cbor._MARK
    for forged in (cbor._MARK[:7] + b"\x00", bytes(8)):  # and who does not know all of it gains nothing
        if forged != cbor._MARK:
            refusal(decode_sequence, [b"\x00\x48" + forged + b"\x01", b""])


def test_the_readers_take_bytes() -> None:
    with pytest.raises(TypeError):
        decode_view(bytearray(b"\x00"))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        decode_view("\x00")  # type: ignore[arg-type]


# --- encoding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("major", range(8))
@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1])
def test_heads_are_the_shortest(major: int, number: int) -> None:
    assert head(major, number) == wire.head(major, number)


def test_heads_beyond_the_format_are_programming_mistakes() -> None:
    for number in (-1, 1 << 64):
        with pytest.raises((ValueError, OverflowError)):
            head(0, number)


def test_wrapping() -> None:
    for length in (0, 23, 24, 255, 256, 65536):
        assert cbor.bstr(bytes(length)) == bstr(bytes(length))
        assert wrap24(bytes(length)) == tag24(bytes(length))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "00"), (23, "17"), (24, "1818"), (-1, "20"), (-25, "3818"), (65536, "1a00010000"),
        (b"", "40"), (b"ab", "426162"), ("", "60"), ("é", "62c3a9"), (True, "f5"), (False, "f4"), (None, "f6"),
        ([1, [2]], "82018102"), ((1, 2), "820102"), ({"b": 1, "a": 2}, "a2616201616102"),
        ({1: 2, -1: 3}, "a201022003"),
        (FullDate("2020-01-31"), "d903ec6a323032302d30312d3331"),
        (TDate("2020-01-31T00:00:00Z"), "c074323032302d30312d33315430303a30303a30305a"),
        (Tag(100, [1]), "d8648101"), (Tag(1 << 40, 0), "db000001000000000000"),
        (Tagged24(b"\x00", b"\xd8\x18\x58\x01\x00"), "d818580100"),
        (0.0, "f90000"), (-0.0, "f98000"), (1.0, "f93c00"), (1.5, "f93e00"), (65504.0, "f97bff"),
        (65505.0, "fa477fe100"),
        (100000.0, "fa47c35000"), (5.960464477539063e-8, "f90001"), (6.103515625e-5, "f90400"),
        (3.4028234663852886e38, "fa7f7fffff"),
        (1.1, "fb3ff199999999999a"), (1e300, "fb7e37e43c8800759c"), (5e-324, "fb0000000000000001"),
        (math.inf, "f97c00"), (-math.inf, "f9fc00"), (math.nan, "f97e00"), (-math.nan, "f97e00"),
    ],
)  # fmt: skip
def test_encodings(value: Any, expected: str) -> None:
    assert encode(value).hex() == expected


class _Day(dt.date):
    """A subclass must not slip through where its base is refused."""


@pytest.mark.parametrize(
    "value",
    [
        memoryview(b"ab"),
        dt.datetime(2020, 1, 31, tzinfo=dt.UTC),
        dt.date(2020, 1, 31),
        _Day(2020, 1, 31),
        dt.time(1, 2),
        dt.timedelta(1),
        {1, 2},
        frozenset((1, 2)),
        Decimal("1.5"),
        Fraction(1, 3),
        object(),
        iter(()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_types_without_a_place_in_an_mdoc_are_refused(value: object) -> None:
    for nested in (value, [value], {"a": value}, Tag(6, value)):
        with pytest.raises(TypeError):
            encode(nested)


def test_a_cyclic_value_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ValueError):
        encode(cycle)


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ValueError):
        encode("\ud800")


@given(wire.items())
def test_encoding_is_deterministic_and_is_read_back(item: wire.Item) -> None:
    value = decode_view(item.data)
    encoded = encode(value)
    assert encode(decode_view(encoded)) == encoded
    assert same(plain(decode_view(encoded)), plain(value))
    assert same(plain(decode(encoded)), plain(value))


@given(st.floats(allow_nan=False) | st.floats(width=16, allow_nan=False) | st.floats(width=32, allow_nan=False))
def test_floats_take_the_shortest_form_that_keeps_them(value: float) -> None:
    encoded = encode(value)
    assert encoded == cbor2.dumps(value, canonical=True)  # somebody else's shortest form
    assert struct.pack(">d", decode(encoded)) == struct.pack(">d", value)


# --- dates ------------------------------------------------------------------------------------------------------------

UTC = dt.UTC
RFC3339_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")  # whatever the numbers are


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-31T00:00:00Z", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", dt.datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59Z", dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2024-02-29T12:34:56Z", dt.datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)),
    ],
)
def test_strict_moments(text: str, moment: dt.datetime) -> None:
    date = TDate(text)
    assert date.is_strict
    assert date.datetime == moment
    assert date.datetime.tzinfo is UTC
    assert date.strict_datetime == moment
    assert TDate.of(moment) == date


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2020-01-31t00:00:00z", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31T00:00:00z", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31t00:00:00Z", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31T00:00:00.5Z", dt.datetime(2020, 1, 31, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2020-01-31T00:00:00.000001Z", dt.datetime(2020, 1, 31, 0, 0, 0, 1, tzinfo=UTC)),
        ("2020-01-31T00:00:00.0000019Z", dt.datetime(2020, 1, 31, 0, 0, 0, 1, tzinfo=UTC)),
        ("2020-01-31T00:00:00.99999999999999Z", dt.datetime(2020, 1, 31, 0, 0, 0, 999_999, tzinfo=UTC)),
        ("2020-01-31T00:00:00+00:00", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31T00:00:00-00:00", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31T02:30:00+02:30", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-30T19:00:00-05:00", dt.datetime(2020, 1, 31, tzinfo=UTC)),
        ("2020-01-31T23:59:00.25+23:59", dt.datetime(2020, 1, 31, 0, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_loose_moments_are_understood_and_told_apart(text: str, moment: dt.datetime) -> None:
    date = TDate(text)
    assert not date.is_strict
    assert date.strict_datetime is None
    assert date.datetime == moment
    assert date.datetime.utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "", "2020", "2020-01-31", "2020-01-31T00:00:00", "2020-01-31T00:00Z", "2020-01-31 00:00:00Z",
        "20200131T000000Z",
        "2020-01-31T000000.1Z", "2020-01-31T000000,1Z", "2020-01-31T00:00:00,1Z", "2020-01-31T00:00:00.Z",
        "2020-01-31T24:00:00Z", "2020-01-31T00:60:00Z", "2020-01-31T00:00:60Z", "2020-01-31T00:00:61Z",
        "2020-00-31T00:00:00Z", "2020-13-31T00:00:00Z", "2020-01-00T00:00:00Z", "2020-01-32T00:00:00Z",
        "2020-02-30T00:00:00Z", "2021-02-29T00:00:00Z", "0000-01-01T00:00:00Z", "-001-01-01T00:00:00Z",
        "+020-01-01T00:00:00Z",
        "2020-01-31T00:00:00+24:00", "2020-01-31T00:00:00+00:60", "2020-01-31T00:00:00+00:99",
        "2020-01-31T00:00:00+0000",
        "2020-01-31T00:00:00+00", "2020-01-31T00:00:00ZZ", " 2020-01-31T00:00:00Z", "2020-01-31T00:00:00Z\n",
        "2020-01-31T00:00:00Z ",
        "2020-1-31T00:00:00Z", "2020-W05-5T00:00:00Z", "2020/01/31T00:00:00Z", "2020-01-31T00.00.00Z",
        "2020-01-31T00:00:0 Z",
        "\u0662\u0660\u0662\u0660-01-31T00:00:00Z", "2020-01-3\uff11T00:00:00Z", "2020-01-31T00:00:00.1\u0662Z",
        "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_moment(text: str) -> None:
    assert not TDate(text).is_strict or RFC3339_FORM.fullmatch(text)
    assert TDate(text).strict_datetime is None
    with pytest.raises(DecodeError) as caught:
        _ = TDate(text).datetime
    assert caught.value.code == "cbor.date"
    assert text.strip() == "" or text not in str(caught.value)


RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


@given(st.data())
def test_a_moment_is_understood_only_in_the_form_of_rfc_3339(data: st.DataObject) -> None:
    base = data.draw(st.sampled_from(["2020-01-31T00:00:00Z", "2020-01-31T00:00:00.5Z", "2020-01-31T00:00:00+01:00"]))
    letters = list(base)
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(letters) - 1))
        letters[at : at + data.draw(st.integers(0, 2))] = data.draw(st.text("0123456789-:+.,TtZzW \u0663", max_size=2))
        letters = letters or ["0"]
    date = TDate("".join(letters))
    try:
        moment = date.datetime
    except DecodeError:
        return
    assert RFC3339.fullmatch(date.text)
    assert moment.utcoffset() == dt.timedelta(0)
    assert not date.is_strict or date == TDate.of(moment)
    assert date.strict_datetime == (moment if date.is_strict else None)


@given(st.datetimes(min_value=dt.datetime(1, 1, 3), max_value=dt.datetime(9999, 12, 29), timezones=st.timezones()))  # noqa: DTZ001
def test_a_moment_made_is_strict_utc_cut_to_the_second(moment: dt.datetime) -> None:
    date = TDate.of(moment)
    assert date.is_strict
    assert date.datetime == moment.astimezone(UTC).replace(microsecond=0)


def test_a_moment_is_made_from_an_aware_datetime() -> None:
    with pytest.raises(ValueError):
        TDate.of(dt.datetime(2020, 1, 31))  # noqa: DTZ001 - naive is the point


def test_a_full_date_reads_back() -> None:
    for day in (dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31)):
        assert FullDate.of(day).date == day
        assert len(FullDate.of(day).text) == 10


def test_a_full_date_is_not_made_from_a_moment() -> None:
    with pytest.raises(TypeError):
        FullDate.of(dt.datetime(2020, 1, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    [
        "", "2020-01-32", "2020-02-30", "2021-02-29", "0000-01-01", "2020-1-31", "20200131", "2020-01-31Z",
        " 2020-01-31",
        "2020-01-31 ", "2020-01-31\n", "2020/01/31", "2020-W05-5", "2020-W05", "2020-031", "31-01-2020",
        "-020-01-31", "2020-01-+1",
        "\uff12\uff10\uff12\uff10-01-31", "2020-01-3\u0661", "2020-01-31T00:00:00Z", "2020- 1-31",
    ],
)  # fmt: skip
def test_what_is_no_full_date(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        _ = FullDate(text).date
    assert caught.value.code == "cbor.date"


@given(st.text("0123456789-W \u0663", max_size=12))
def test_a_full_date_is_understood_only_as_year_month_day(text: str) -> None:
    try:
        day = FullDate(text).date
    except DecodeError:
        return
    assert FullDate.of(day).text == text


# --- showing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (-5, "-5"), (b"", "h''"), (b"\x01\xff", "h'01ff'"), ("", '""'), ('a"\n', '"a\\"\\n"'), ("é", '"é"'),
        (True, "true"), (False, "false"), (None, "null"), (cbor2.undefined, "undefined"),
        (cbor2.CBORSimpleValue(32), "simple(32)"),
        (1.5, "1.5"), (1.0, "1.0"), (-0.0, "-0.0"), (math.nan, "NaN"), (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        ([], "[]"), ([1, [2, "a"]], '[1, [2, "a"]]'), ((1, 2), "[1, 2]"), ({}, "{}"),
        ({1: {"a": b"\x00"}}, "{1: {\"a\": h'00'}}"),
        (FullDate("2020-01-31"), '1004("2020-01-31")'), (TDate("2020-01-31T00:00:00Z"), '0("2020-01-31T00:00:00Z")'),
        (Tag(100, [1]), "100([1])"), (Tagged24(b"\xa0", b"\xd8\x18\x41\xa0"), "24(h'a0')"),
        (Tag(24, b"\xa0"), "24(h'a0')"),
    ],
)  # fmt: skip
def test_diagnostic_notation(value: Any, shown: str) -> None:
    assert diagnose(value) == shown


def test_long_byte_strings_are_cut_where_asked() -> None:
    value = {"portrait": bytes(100), "short": bytes(4), "inner": Tagged24(bytes(9), b"")}
    assert diagnose(value, longest=4) == (
        "{\"portrait\": h'00000000…' / 100 bytes /, \"short\": h'00000000', \"inner\": 24(h'00000000…' / 9 bytes /)}"
    )
    assert "00" * 100 in diagnose(value)


@given(wire.items())
def test_every_decoded_value_can_be_shown_on_one_line(item: wire.Item) -> None:
    for read in (decode, decode_view):
        shown = diagnose(read(item.data))
        assert len(shown.splitlines()) <= 1 or "\n" not in shown
    assert diagnose(decode(item.data)) == diagnose(decode_view(item.data))


SHOWN = re.compile(
    r"""\s*(?:h'([0-9a-f]*)'|("(?:[^"\\]|\\.)*")|(NaN|-?Infinity|-?\d+(?:\.\d+)?(?:e[+-]\d+)?)|(true|false|null|undefined)|(\S))"""
)


def parse_shown(text: str) -> Any:
    """A small reader of diagnostic notation, to see that nothing is lost in it."""
    import json

    tokens: list[tuple[str, ...]] = SHOWN.findall(text)
    tokens.reverse()

    def value() -> Any:
        hexed, quoted, number, word, mark = tokens.pop()
        if quoted:
            return json.loads(quoted)
        if word:
            return {"true": True, "false": False, "null": None, "undefined": cbor2.undefined}.get(word)
        if number:
            if tokens and tokens[-1][4] == "(":
                tokens.pop()
                inner = value()
                tokens.pop()
                return (
                    {0: TDate, 1004: FullDate}[int(number)](inner)
                    if number in ("0", "1004")
                    else Tag(int(number), inner)
                )
            return int(number) if number.lstrip("-").isdigit() else float(number)
        if mark == "[":
            return list(until("]"))
        if mark == "{":
            flat = list(until("}"))
            return dict(zip(flat[::2], flat[1::2], strict=True))
        return bytes.fromhex(hexed)

    def until(end: str) -> Any:
        while tokens[-1][4] != end:
            yield value()
            if tokens[-1][4] in (",", ":"):
                tokens.pop()
        tokens.pop()

    return value()


@given(wire.items())
def test_diagnostic_notation_loses_nothing(item: wire.Item) -> None:
    value = plain(decode(item.data))
    shown = diagnose(value)
    if "simple(" not in shown:
        assert same(plain(parse_shown(shown)), value)


# --- the payload that is one tag-24 item ------------------------------------------------------------------------------


@pytest.mark.parametrize("end", range(8))
def test_unwrapping_refuses_an_item_cut_anywhere(end: int) -> None:
    whole = b"\xd8\x18\x59\x00\x03abc"
    assert cbor.unwrap24(whole) == b"abc"
    with pytest.raises(DecodeError) as caught:
        cbor.unwrap24(whole[:end])
    assert caught.value.code == "cbor.truncated"


@pytest.mark.parametrize(("data", "code"), [(b"\x41a", "cbor.tag24"), (b"\xd8\x18\x59\x00\x01ab", "cbor.trailing")])
def test_unwrapping_takes_one_tag_24_item_and_nothing_else(data: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        cbor.unwrap24(data)
    assert caught.value.code == code


def test_unwrapping_takes_heads_of_any_length_and_keeps_to_its_limits() -> None:
    assert cbor.unwrap24(b"\xd8\x18\x41a") == cbor.unwrap24(b"\xd8\x18\x5a\x00\x00\x00\x01a") == b"a"
    with pytest.raises(DecodeError) as caught:
        cbor.unwrap24(b"\xd8\x18\x59\x00\x03abc", limits=cbor.Limits(max_bytes=7))
    assert caught.value.code == "cbor.too_long"

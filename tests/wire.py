"""CBOR as a peer may write it: heads of any width, and hypothesis strategies for whole items and for near misses.

Nothing here uses the encoder under test: an expected value is made beside the bytes.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any

from cbor2 import CBORSimpleValue, undefined
from hypothesis import strategies as st

from mdl.cbor import FullDate, Tag, Tagged24, TDate

WIDTHS = (0, 1, 2, 4, 8)
REFERENCE_TAGS = (25, 28, 29, 256)
_OWN_TAGS = (0, 24, 1004, *REFERENCE_TAGS)


def head(major: int, number: int, width: int | None = None) -> bytes:
    """A head whose argument takes `width` bytes, 0 for within the first byte; None for the shortest."""
    if width is None:
        width = next(one for one in WIDTHS if fits(number, one))
    if width == 0:
        return bytes((major << 5 | number,))
    return bytes((major << 5 | 23 + width.bit_length(),)) + number.to_bytes(width)


def fits(number: int, width: int) -> bool:
    return number < 24 if width == 0 else number < 1 << 8 * width


def bstr(content: bytes, width: int | None = None) -> bytes:
    return head(2, len(content), width) + content


def tstr(text: str, width: int | None = None) -> bytes:
    return head(3, len(text.encode()), width) + text.encode()


def array(*items: bytes, width: int | None = None) -> bytes:
    return head(4, len(items), width) + b"".join(items)


def cmap(*entries: bytes, width: int | None = None) -> bytes:
    """A map of keys and values in turn."""
    return head(5, len(entries) // 2, width) + b"".join(entries)


def tag(number: int, content: bytes, width: int | None = None) -> bytes:
    return head(6, number, width) + content


def tag24(content: bytes) -> bytes:
    return tag(24, bstr(content))


@dataclass(frozen=True)
class Item:
    """Bytes, and what they must decode to with `decode_view`."""

    data: bytes
    value: Any


def plain(value: Any) -> Any:
    """A decoded value with one type for each kind: what a tag holds may come immutable from `decode`."""
    if isinstance(value, Tagged24):
        return Tag(24, value.content)
    if isinstance(value, Tag):
        return Tag(value.number, plain(value.value))
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "items"):
        return {key: plain(one) for key, one in value.items()}
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in value and type, all the way down; NaN is equal to NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(
            type(mine) is type(theirs) and same(one[mine], other[theirs])
            for mine, theirs in zip(one, other, strict=True)
        )
    if isinstance(one, Tag):
        return one.number == other.number and same(one.value, other.value)
    if isinstance(one, float):
        return struct.pack(">d", one) == struct.pack(">d", other) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def _widths(number: int) -> st.SearchStrategy[int]:
    return st.sampled_from([width for width in WIDTHS if fits(number, width)])


@st.composite
def _integers(draw: st.DrawFn, bound: int = 1 << 64) -> Item:
    number = draw(st.one_of(st.integers(0, 300), st.integers(0, bound - 1)))
    negative = draw(st.booleans())
    return Item(head(1 if negative else 0, number, draw(_widths(number))), -1 - number if negative else number)


@st.composite
def _strings(draw: st.DrawFn) -> Item:
    if draw(st.booleans()):
        content = draw(st.binary(max_size=300))
        return Item(bstr(content, draw(_widths(len(content)))), content)
    text = draw(st.text(max_size=80))
    return Item(tstr(text, draw(_widths(len(text.encode())))), text)


@st.composite
def _floats(draw: st.DrawFn) -> Item:
    form, marker, size = draw(st.sampled_from([(">e", b"\xf9", 2), (">f", b"\xfa", 4), (">d", b"\xfb", 8)]))
    packed = draw(st.binary(min_size=size, max_size=size))
    return Item(marker + packed, struct.unpack(form, packed)[0])


def _simple(number: int) -> Item:
    return Item(head(7, number), CBORSimpleValue(number))


_SIMPLE = st.one_of(
    st.sampled_from([Item(b"\xf4", False), Item(b"\xf5", True), Item(b"\xf6", None), Item(b"\xf7", undefined)]),
    st.integers(0, 19).map(_simple),
    st.integers(32, 255).map(_simple),
)
_TAG_NUMBERS = st.one_of(
    st.sampled_from([1, 2, 3, 4, 5, 17, 18, 21, 30, 35, 36, 37, 52, 54, 100, 258, 260, 261, 43000, 55799]),
    st.integers(0, 1100),
    st.integers(0, (1 << 64) - 1),
).filter(lambda number: number not in _OWN_TAGS)


@st.composite
def _tagged(draw: st.DrawFn, inner: st.SearchStrategy[Item]) -> Item:
    content = draw(inner)
    kind = draw(st.sampled_from(["any", "any", "date", "moment", "cbor"]))
    if kind == "date":
        text = draw(st.text(max_size=12))
        return Item(tag(1004, tstr(text), draw(st.sampled_from([2, 4, 8]))), FullDate(text))
    if kind == "moment":
        text = draw(st.text(max_size=24))
        return Item(tag(0, tstr(text), draw(st.sampled_from(WIDTHS))), TDate(text))
    if kind == "cbor":
        width = draw(st.one_of(st.just(1), _widths(24)))
        data = tag(24, bstr(content.data, draw(_widths(len(content.data)))), width)
        return Item(data, Tagged24(content.data, data))
    number = draw(_TAG_NUMBERS)
    return Item(tag(number, content.data, draw(_widths(number))), Tag(number, content.value))


@st.composite
def _arrays(draw: st.DrawFn, inner: st.SearchStrategy[Item]) -> Item:
    entries = draw(st.lists(inner, max_size=6))
    data = array(*(one.data for one in entries), width=draw(_widths(len(entries))))
    return Item(data, [one.value for one in entries])


@st.composite
def _maps(draw: st.DrawFn, inner: st.SearchStrategy[Item]) -> Item:
    keys = draw(st.lists(st.one_of(_integers((1 << 60) - 1), _strings()), max_size=5, unique_by=lambda one: one.value))
    values = [draw(inner) for _ in keys]
    flat = [part for key, value in zip(keys, values, strict=True) for part in (key.data, value.data)]
    value = {key.value: value.value for key, value in zip(keys, values, strict=True)}
    return Item(cmap(*flat, width=draw(_widths(len(keys)))), value)


def items(max_leaves: int = 12) -> st.SearchStrategy[Item]:
    """Well-formed items of every kind that the readers take, with heads of any width."""
    return st.recursive(
        st.one_of(_integers(), _strings(), _floats(), _SIMPLE),
        lambda inner: st.one_of(_arrays(inner), _maps(inner), _tagged(inner)),
        max_leaves=max_leaves,
    )


# Pieces from which near misses are made: heads that open, close, lie or are forbidden.
_PIECES = """
    00 01 17 1800 1818 1bffffffffffffffff 1b1fffffffffffffff 20 3bffffffffffffffff 40 4100 4401020304 58 5801 590100
    5affffffff 60 6161 62c328 62c3a9 80 81 82 83 84 98 9818 9a00100000 9bffffffffffffffff a0 a1 a2 a3 b801
    bb00000000ffffffff c0 c1 c06161 d2 d8 d818 d81840 d8184100 d81858 d8185800 d8185900 d903ec d903ec6161 d819 d81c d81d
    d90100 d9d9f7 5f 7f 9f bf ff 1c 3d 5e f4 f5 f6 f7 f8 f800 f81f f820 f8ff f97e00 f93c00 fa3f800000 fb3ff0000000000000
    fc e0
"""
PIECES = tuple(bytes.fromhex(one) for one in _PIECES.split())


def near_misses(max_pieces: int = 24) -> st.SearchStrategy[bytes]:
    """Bytes that look like CBOR and mostly are not quite."""
    piece = st.one_of(st.sampled_from(PIECES), st.binary(max_size=6), items(3).map(lambda item: item.data))
    return st.lists(piece, max_size=max_pieces).map(b"".join)


@st.composite
def mutations(draw: st.DrawFn, messages: list[bytes]) -> bytes:
    """A real message, damaged: bits flipped, bytes changed, cut, taken out, put in, or spliced with another."""
    data = bytearray(draw(st.sampled_from(messages)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        length = draw(st.integers(1, 12))
        match draw(st.sampled_from(["flip", "flip", "set", "cut", "delete", "insert", "repeat", "splice"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "set" if data:
                data[at] = draw(st.integers(0, 255))
            case "cut":
                del data[at:]
            case "delete":
                del data[at : at + length]
            case "insert":
                data[at:at] = draw(st.one_of(st.sampled_from(PIECES), st.binary(min_size=1, max_size=9)))
            case "repeat":
                data[at:at] = data[at : at + 4 * length]
            case "splice":
                other = draw(st.sampled_from(messages))
                start = draw(st.integers(0, len(other) - 1))
                data[at : at + length] = other[start : start + draw(st.integers(1, 200))]
    return bytes(data)

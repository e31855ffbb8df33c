"""CBOR, strict and bounded; the only module that knows the CBOR library.

Two readers give the same values and refuse the same bytes:

* `decode_view` walks the received bytes itself and keeps, for each tag-24 item, the very bytes that stood there
  (`Tagged24.raw`). Whatever is hashed, signed or MACed later is a slice of what was received, never a re-encoding.
* `decode` and `decode_sequence` use the library's speed for blobs whose inside is never hashed again: items, MSOs.

Refused: indefinite lengths, duplicate map keys, trailing bytes, invalid UTF-8, reserved heads, shared references, and
anything beyond `Limits`. Tolerated, and noted in the `Reading`: heads that are not of minimal length, as a digest over
received bytes stays right.

What is encoded inside a message, such as an item in its tag 24, is read with the `Reading` of the message, so that all
of it together stays within one limit.

Values are int, str, bytes, bool, None, float, list, dict, `FullDate`, `TDate`, `Tag` and, from `decode_view` only,
`Tagged24`. Arrays and maps inside a `Tag` may come as tuples and immutable maps.

Spec:
    RFC 8949; 18013-5 asks for preferred serialization and definite lengths (mdoc.md §1.1).
"""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from itertools import compress
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn

import cbor2
from cbor2 import CBORDecodeError, CBOREncodeValueError, CBORError, CBORSimpleValue, undefined

from mdl.errors import DecodeError

__all__ = [
    "DEFAULT_LIMITS",
    "FullDate",
    "Limits",
    "Reading",
    "TDate",
    "Tag",
    "Tagged24",
    "bstr",
    "decode",
    "decode_each",
    "decode_sequence",
    "decode_view",
    "diagnose",
    "encode",
    "head",
    "unwrap24",
    "wrap24",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what is decoded.

    Attributes:
        max_bytes: Longest input, in bytes, inclusive.
        max_depth: Deepest nesting of arrays, maps and tags, inclusive; an empty array or map does not count.
        max_entries: Most entries of one array or map, inclusive.
        max_items: Most data items in all that one `Reading` decodes, inclusive; it bounds time and memory, as an item
            of one byte takes some 60.

    Raises:
        TypeError: A limit is no int.
        ValueError: A limit is negative.
    """

    max_bytes: int = 4 * 1024 * 1024
    max_depth: int = 24
    max_entries: int = 8192
    max_items: int = 1 << 18

    def __post_init__(self) -> None:
        for name in ("max_bytes", "max_depth", "max_entries", "max_items"):
            value = getattr(self, name)
            if type(value) is not int:
                msg = f"{name} is an int, not {type(value).__name__}"
                raise TypeError(msg)
            if value < 0:
                msg = f"{name} is not negative"
                raise ValueError(msg)


DEFAULT_LIMITS: Final = Limits()

LONG_HEAD: Final = "cbor.long_head"
"""The deviation of a head that is not in its shortest form: of an integer, a length, a count or a tag."""
LONG_FLOAT: Final = "cbor.long_float"
"""The deviation of a floating-point number that fewer bytes could hold."""
# What the walking reader has met, in one number.
_DEVIATIONS: Final = {1: LONG_HEAD, 2: LONG_FLOAT}


class Reading:
    """The reading of one message and of everything that is encoded inside it: what is left to read, what deviates.

    The walking reader counts the items of what it reads. What the library reads is counted by its bytes, as it has no
    more items than bytes; where that is too much, it is walked instead.

    Attributes:
        deviations: Where the message deviates from its rules although its meaning is clear: code to the first place.
    """

    __slots__ = ("deviations", "library", "room")

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.deviations: dict[str, str] = {}
        # For the two readers: how many bytes the library may still read; the most entries of one container, how many
        # more items the walking reader may read, and what it met that deviates.
        self.library = limits.max_items
        self.room = [limits.max_entries, limits.max_items, 0]

    def note(self, code: str, path: str) -> None:
        """Note a deviation; the first place of each code is kept."""
        self.deviations.setdefault(code, path)

    def may_use_library(self, size: int) -> bool:
        """Whether the library may read so many bytes, which are counted."""
        if size > self.library:
            return False
        self.library -= size
        return True


# A blob up to this size, and up to the limits, bounds its own entry counts, so the library may read it: some 800
# colliding keys.
_SMALL: Final = 8192
# Python hashes integers modulo 2**61 - 1; keys below this bound cannot be made to collide.
_MAX_KEY: Final = 1 << 60
_TEXT: Final = frozenset((str,))
_KEY_TYPES: Final = frozenset((str, bytes, int))


@dataclass(frozen=True, slots=True)
class FullDate:
    """A calendar date as received: tag 1004 around ``YYYY-MM-DD`` (RFC 8943)."""

    text: str

    @property
    def date(self) -> dt.date:
        """The date.

        Raises:
            DecodeError: The text is no calendar date (code ``cbor.date``).
        """
        text = self.text
        if len(text) == 10 and text.isascii() and text[4] == "-" == text[7]:
            try:
                return dt.date.fromisoformat(text)
            except ValueError:
                pass  # the one refusal stands below
        msg = "a full-date is YYYY-MM-DD"
        raise DecodeError(msg, code="cbor.date")

    @classmethod
    def of(cls, day: dt.date) -> FullDate:
        """The full-date of a `date` (not of a `datetime`, which is a programming mistake)."""
        if isinstance(day, dt.datetime):
            msg = "a full-date is made from a date, not a datetime"
            raise TypeError(msg)
        return cls(day.isoformat())


_LOOSE_TDATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):([0-5]\d))", re.ASCII
)


@dataclass(frozen=True, slots=True)
class TDate:
    """A moment as received: tag 0 around an RFC 3339 text."""

    text: str

    @property
    def is_strict(self) -> bool:
        """Whether the text is of the one form that 18013-5 allows: UTC with ``T`` and ``Z``, no fraction."""
        text = self.text
        return len(text) == 20 and text[10] == "T" and text[19] == "Z" and _LOOSE_TDATE.fullmatch(text) is not None

    @property
    def strict_datetime(self) -> dt.datetime | None:
        """The moment in UTC where the text is of the one form that 18013-5 allows and names one, otherwise None."""
        text = self.text
        if (
            len(text) == 20
            and text[10] == "T"
            and text[19] == "Z"
            and text[4] == "-" == text[7]
            and text[13] == ":" == text[16]
            and text.isascii()
        ):
            # The separators stand where they must, so the library takes nothing but digits between them.
            try:
                return dt.datetime.fromisoformat(text)
            except ValueError:
                pass  # no moment
        return None

    @property
    def datetime(self) -> dt.datetime:
        """The moment in UTC.

        Offsets, fractions (cut to microseconds) and lower-case letters are understood, since issuers in the field send
        them; `is_strict` tells.

        Raises:
            DecodeError: The text is no RFC 3339 moment (code ``cbor.date``).
        """
        moment = self.strict_datetime
        if moment is not None:
            return moment
        try:
            match = _LOOSE_TDATE.fullmatch(self.text)
            if match is not None:
                year, month, day, hour, minute, second, fraction, zulu, sign, off_hour, off_minute = match.groups()
                zone = dt.UTC
                if not zulu:
                    offset = dt.timedelta(hours=int(off_hour), minutes=int(off_minute))
                    zone = dt.timezone(-offset if sign == "-" else offset)
                moment = dt.datetime(
                    int(year), int(month), int(day), int(hour), int(minute), int(second),
                    int(f"{fraction or '0':0<6.6}"), tzinfo=zone,
                )  # fmt: skip
                return moment.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            pass  # the one refusal stands below
        msg = "a tdate is an RFC 3339 moment"
        raise DecodeError(msg, code="cbor.date")

    @classmethod
    def of(cls, moment: dt.datetime) -> TDate:
        """The tdate of an aware datetime, in UTC, the fraction of a second cut off."""
        if moment.tzinfo is None:
            msg = "a tdate is made from an aware datetime"
            raise ValueError(msg)
        return cls(moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0"))


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged value that this module does not interpret."""

    number: int
    value: Any


class Tagged24(NamedTuple):
    """A tag-24 item of a received message: CBOR inside a byte string.

    Attributes:
        content: What the byte string holds: the encoded inner item.
        raw: The item as received, from the tag's first byte to the last byte of the content.
    """

    content: bytes
    raw: bytes


# `Tagged24(…)` without the keyword handling of its constructor, for the reader's inner loop.
_tagged24: Final = tuple.__new__


# --- encoding --------------------------------------------------------------------------------------------------------


def head(major: int, number: int) -> bytes:
    """The shortest head of a data item.

    Args:
        major: Major type, 0 to 7.
        number: The argument: a value, length, count or tag number; 0 inclusive to 2**64 exclusive.
    """
    kind = major << 5
    if number < 24:
        return bytes((kind | number,))
    if number < 0x100:
        return bytes((kind | 24, number))
    if number < 0x10000:
        return bytes((kind | 25, number >> 8, number & 0xFF))
    if number < 0x100000000:
        return bytes((kind | 26,)) + number.to_bytes(4)
    return bytes((kind | 27,)) + number.to_bytes(8)


def unwrap24(data: bytes, *, limits: Limits = DEFAULT_LIMITS, reading: Reading | None = None, path: str = "") -> bytes:
    """The content of what must be exactly one tag-24 item.

    Args:
        data: The item.
        limits: Bounds.
        reading: The reading of the message that holds the item, or None: the item is a message of its own.
        path: Where it stands in the message, for `Reading.deviations`.

    Raises:
        DecodeError: The bytes are something else (codes ``cbor.…``).
    """
    if data[:3] == b"\xd8\x18\x59" and 0x105 <= len(data) == 5 + int.from_bytes(data[3:5]) <= limits.max_bytes:
        return data[5:]  # the usual case
    value = decode_view(data, limits=limits, reading=reading, path=path)
    if type(value) is not Tagged24:
        _fail("cbor.tag24", "not a tag-24 item", 0)
    return value.content


def bstr(content: bytes) -> bytes:
    """`content` as an encoded byte string."""
    return head(2, len(content)) + content


def wrap24(content: bytes) -> bytes:
    """Encoded CBOR as an encoded tag-24 item: ``#6.24(bstr .cbor …)``."""
    return b"\xd8\x18" + head(2, len(content)) + content


def _write_date(encoder: cbor2.CBOREncoder, value: Any) -> None:
    text = value.text.encode()
    encoder.write((b"\xd9\x03\xec" if type(value) is FullDate else b"\xc0") + head(3, len(text)) + text)


def _encode_float(encoder: cbor2.CBOREncoder, value: float) -> None:
    if value != value:  # noqa: PLR0124 - NaN has one deterministic form
        encoder.write(b"\xf9\x7e\x00")
        return
    for marker, form in ((b"\xf9", ">e"), (b"\xfa", ">f")):
        try:
            packed = struct.pack(form, value)
        except OverflowError:
            continue
        if struct.unpack(form, packed)[0] == value:
            encoder.write(marker + packed)
            return
    encoder.write(b"\xfb" + struct.pack(">d", value))


def _refuse_type(_encoder: cbor2.CBOREncoder, value: object) -> NoReturn:
    msg = f"{type(value).__name__} has no place in an mdoc; use FullDate, TDate, bytes or plain values"
    raise TypeError(msg)


_ENCODERS: Final[dict[type, Callable[[Any, Any], None]]] = {
    FullDate: _write_date,
    TDate: _write_date,
    Tag: lambda encoder, value: encoder.write(head(6, value.number) + encode(value.value)),
    Tagged24: lambda encoder, value: encoder.write(value.raw),
    MappingProxyType: lambda encoder, value: encoder.write(encode({**value})),
    float: _encode_float,
    **dict.fromkeys((memoryview, dt.datetime, dt.date, set, frozenset, Decimal, Fraction), _refuse_type),
}


def encode(value: Any) -> bytes:
    """Encode a value with definite lengths and shortest heads; map entries keep their order.

    Args:
        value: Plain values, `FullDate`, `TDate`, `Tag`, or `Tagged24` (written as received).

    Raises:
        TypeError: A type that has no place here, such as a `datetime` or a `memoryview`.
        ValueError: A cyclic structure, or text that is not Unicode.

    A value of this project is a few levels deep. The depth of one built elsewhere is not checked here.
    """
    try:
        return cbor2.dumps(value, encoders=_ENCODERS)
    except CBORError as exc:
        msg = "the value cannot be encoded"
        raise (ValueError if isinstance(exc, CBOREncodeValueError) else TypeError)(msg) from exc


# --- decoding with the library ---------------------------------------------------------------------------------------


def _date_decoder(kind: type[FullDate | TDate]) -> Callable[[Any, bool], Any]:
    def read(value: Any, _immutable: bool) -> Any:  # noqa: FBT001 - the library calls it so
        if type(value) is not str:
            msg = "a date holds text"
            raise DecodeError(msg, code="cbor.date")
        return kind(value)

    return read


def _opaque_decoder(number: int) -> Callable[[Any, bool], Any]:
    return lambda value, _immutable: Tag(number, value)


def _refuse_reference(_value: Any, _immutable: bool) -> NoReturn:  # noqa: FBT001 - the library calls it so
    msg = "shared references are not allowed"
    raise DecodeError(msg, code="cbor.reference")


_REFERENCE_TAGS: Final = frozenset((25, 28, 29, 256))
# Every tag that the library would interpret by itself; all others reach the tag hook.
_LIBRARY_TAGS: Final = (1, 2, 3, 4, 5, 30, 35, 36, 37, 52, 54, 100, 258, 260, 261, 43000, 55799)
_SEMANTIC_DECODERS: Final[dict[int, Callable[[Any, bool], Any]]] = {
    0: _date_decoder(TDate),
    1004: _date_decoder(FullDate),
    **dict.fromkeys(_REFERENCE_TAGS, _refuse_reference),
    **{number: _opaque_decoder(number) for number in _LIBRARY_TAGS},
}


def _tag_hook(tag: cbor2.CBORTag, _immutable: bool) -> Tag:  # noqa: FBT001 - the library calls it so
    return Tag(tag.tag, tag.value)


def _check_keys(mapping: Any, _immutable: bool) -> Any:  # noqa: FBT001 - the library calls it so
    """Hold each map to the keys that `_read` takes; ``true`` and 1.0 would pass for 1 in a lookup."""
    if _TEXT.issuperset(map(type, mapping)):
        return mapping
    kinds = {*map(type, mapping)}
    if kinds <= _KEY_TYPES:
        numbers = mapping if len(kinds) == 1 else [key for key in mapping if type(key) is int]
        if int not in kinds or (min(numbers) > -_MAX_KEY and max(numbers) < _MAX_KEY):
            return mapping
    msg = "a map key that is neither text, bytes nor a small integer"
    raise DecodeError(msg, code="cbor.key")


def _loads(data: bytes, max_depth: int, *, names_only: bool = False) -> Any:
    """Let the library read an array.

    Args:
        data: The array.
        max_depth: Deepest nesting.
        names_only: Refuse map keys that are neither text nor bytes, which costs nothing; otherwise `_check_keys` looks.
    """
    return cbor2.loads(
        data,
        tag_hook=_tag_hook,
        object_hook=None if names_only else _check_keys,
        strict_hashable_types=names_only,
        semantic_decoders=_SEMANTIC_DECODERS,
        max_depth=max_depth,
        allow_indefinite=False,
        allow_duplicate_keys=False,
    )


# Nobody outside this process can put this byte string into an item, so it shows where one ends: see decode_sequence.
_MARK: Final = secrets.token_bytes(8)
_SEPARATOR: Final = b"\x48" + _MARK


@cache
def _short_heads() -> re.Pattern[bytes]:
    """What matches data items up to the first long head, float of more than two bytes or string of an unusual length.

    Each alternative is one head and its string, or some that stand one after the other in an mdoc. Which one matches is
    settled by its heads, so a match begins and ends between items, never inside a string.
    """

    def heads(*majors: int, size: int) -> bytes:
        return b"[" + b"".join(b"\\x%02x" % (major << 5 | size) for major in majors) + b"]"

    def strings(base: int, sizes: Iterable[int]) -> list[bytes]:
        return [b"\\x%02x.{%d}" % (base + size, size) for size in sizes]

    def text(value: str) -> bytes:
        return re.escape(head(3, len(value)) + value.encode())

    digest_id = rb"(?:[\x00-\x17]|\x18[\x18-\xff])"
    random = rb"(?:\x58\x20.{32}|\x50.{16}|\x58\x18.{24})"
    alternatives = (
        # What there is most of, for speed: parts of items, full-dates, digests by their ids.
        text("elementValue"),
        text("elementIdentifier"),
        rb"\xa4" + text("digestID") + digest_id + text("random") + random,
        rb"\xd9\x03\xec\x6a.{10}",
        rb"[\x00-\x17]\x58\x20.{32}",
        rb"\x18[\x18-\xff]\x58\x20.{32}",
        # Everything: a number below 24 in the first byte, then one, two, four and eight bytes behind it.
        rb"[\x00-\x17\x20-\x37\x40\x60\x80-\x97\xa0-\xb7\xc0-\xd7\xe0-\xf7]+",
        *strings(0x60, range(1, 24)),
        heads(2, 3, size=24) + b"(?:" + b"|".join(strings(0, (32, *range(24, 32), *range(33, 48), 64))) + b")",
        *strings(0x40, range(1, 24)),
        heads(0, 1, 4, 5, 6, size=24) + rb"[\x18-\xff]",
        heads(0, 1, 4, 5, 6, size=25) + rb"(?!\x00).{2}",
        heads(0, 1, 4, 5, 6, size=26) + rb"(?!\x00{2}).{4}",
        heads(0, 1, 4, 5, 6, size=27) + rb"(?!\x00{4}).{8}",
        rb"\xf8.|\xf9.{2}",
    )
    return re.compile(b"(?:" + b"|".join(alternatives) + b")*+", re.DOTALL)


def _note_long(data: bytes, reading: Reading, path: str) -> None:
    """Note heads and floats that are too long in well-formed items, one after the other."""
    match = _short_heads().match
    pos = 0
    while True:
        found = match(data, pos)
        pos = found.end() if found is not None else pos
        if pos == len(data):
            return
        # Here stands a string of an unusual length, a float, or a head that is too long.
        first = data[pos]
        size = 1 << (first & 3)
        number = data[pos + 1 : pos + 1 + size]
        if first >> 5 == 7:
            size = 1 << (first - 0xF8)
            if _is_long_float(data[pos : pos + 1 + size]):
                reading.note(LONG_FLOAT, path)
            pos += 1 + size
            continue
        value = int.from_bytes(number)
        if not (value >= 24 if size == 1 else value >> 4 * size):
            reading.note(LONG_HEAD, path)
        pos += 1 + size + (value if first >> 5 in {2, 3} else 0)


def _is_long_float(item: bytes) -> bool:
    """Whether fewer bytes could hold a float."""
    return len(encode(struct.unpack({3: ">e", 5: ">f", 9: ">d"}[len(item)], item[1:])[0])) < len(item)


def decode(data: bytes, *, limits: Limits = DEFAULT_LIMITS, reading: Reading | None = None, path: str = "") -> Any:
    """Decode exactly one item.

    Args:
        data: The item.
        limits: Bounds.
        reading: The reading of the message that holds the item, or None: the item is a message of its own.
        path: Where it stands in the message, for `Reading.deviations`.

    Raises:
        DecodeError: The bytes are not one well-formed item within the limits (codes ``cbor.…``).
    """
    size = len(data)
    if size <= min(_SMALL, limits.max_bytes, limits.max_entries, limits.max_items) and (
        reading is None or reading.may_use_library(size)
    ):
        # `decode_each` of one small blob, without what many and large ones need.
        try:
            values = _loads(b"\x82" + data + _SEPARATOR, limits.max_depth + 1)
            if type(values) is list and values[1] == _MARK:
                if reading is not None:
                    _note_long(data, reading, path)
                return values[0]
        except (CBORDecodeError, DecodeError):
            pass  # the reader below names the fault
    return _view(data, limits, Reading(limits) if reading is None else reading, path, keep_raw=False)


def decode_sequence(
    parts: Sequence[bytes], *, limits: Limits = DEFAULT_LIMITS, reading: Reading | None = None, path: str = ""
) -> list[Any]:
    """Decode many blobs, each exactly one item.

    Args:
        parts: The blobs.
        limits: Bounds on each blob; `Limits.max_items` on all of them together.
        reading: The reading of the message that holds the blobs, or None: together they are a message of their own.
        path: Where they stand in the message, for `Reading.deviations`.

    Raises:
        DecodeError: One of the blobs is not one well-formed item within the limits; the path is its index, ``[3]``.
    """
    where = None if reading is None else path  # nobody asks for the deviations of a reading of its own
    reading = Reading(limits) if reading is None else reading
    values = _decode_together(parts, limits, reading, where)
    if values is not None:
        return values
    values = []
    for index, part in enumerate(parts):
        try:
            values.append(_view(part, limits, reading, path, keep_raw=False))
        except DecodeError as exc:
            exc.path = f"[{index}]" if len(parts) > 1 else ""
            raise
    return values


def decode_each(parts: Sequence[bytes], *, limits: Limits = DEFAULT_LIMITS, reading: Reading, path: str) -> list[Any]:
    """Decode many blobs as `decode_sequence` does; one that is not well-formed gives the `DecodeError` in its place."""
    values = _decode_together(parts, limits, reading, path)
    if values is not None:
        return values
    values = []
    for part in parts:
        try:
            values.append(_view(part, limits, reading, path, keep_raw=False))
        except DecodeError as exc:
            values.append(exc)
    return values


def _decode_together(parts: Sequence[bytes], limits: Limits, reading: Reading, path: str | None) -> list[Any] | None:
    """Decode many blobs by one call of the library, the large ones by the walking reader; None where one has a fault.

    The library reads an array in which a secret byte string follows each blob. It has exactly 2 n entries, so if every
    second entry reads as the secret, no blob ended early, ran over into its neighbour or had bytes left over: none of
    them can contain the secret. Otherwise, and where so many bytes may hold too many items, each is to be read alone.
    The path is None where nobody asks for deviations.
    """
    count = len(parts)
    if not count:
        return []
    bound = min(_SMALL, limits.max_bytes, limits.max_entries, limits.max_items)
    large: list[int] = []
    small = parts
    if max(map(len, parts)) > bound:
        large = [*compress(range(count), map(bound.__lt__, map(len, parts)))]
        small = list(parts)
        for index in large:
            small[index] = b"\xf6"
    size = sum(map(len, small))
    if not reading.may_use_library(size):
        return None
    prefix = head(4, 2 * count)
    try:
        # Whoever has other map keys in there is read by the walking reader, which takes small integers too.
        values = _loads(prefix + _SEPARATOR.join(small) + _SEPARATOR, limits.max_depth + 1, names_only=True)
        if type(values) is not list or values[1::2] != [_MARK] * count:
            return None
        del values[1::2]
        if path is not None:
            _note_long(b"".join(small), reading, path)
        for index in large:
            values[index] = _view(parts[index], limits, reading, path or "", keep_raw=False)
    except (CBORDecodeError, DecodeError):
        return None
    return values


# --- decoding views --------------------------------------------------------------------------------------------------


def decode_view(
    data: bytes,
    *,
    limits: Limits = DEFAULT_LIMITS,
    keep_raw: bool = True,
    reading: Reading | None = None,
    path: str = "",
) -> Any:
    """Decode exactly one item and keep the received bytes of each tag-24 item.

    Args:
        data: The message as received.
        limits: Bounds.
        keep_raw: Give tag-24 items as `Tagged24`; otherwise as `Tag`, as `decode` does.
        reading: The reading of the message that holds the item, or None: the item is a message of its own.
        path: Where it stands in the message, for `Reading.deviations`.

    Raises:
        DecodeError: The bytes are not one well-formed item within the limits (codes ``cbor.…``), with the offset.
    """
    return _view(data, limits, Reading(limits) if reading is None else reading, path, keep_raw)


def _view(data: bytes, limits: Limits, reading: Reading, path: str, keep_raw: bool) -> Any:  # noqa: FBT001
    """Read one item with the walking reader."""
    if type(data) is not bytes:
        msg = f"what is decoded is bytes, not {type(data).__name__}"
        raise TypeError(msg)
    if len(data) > limits.max_bytes:
        msg = f"the input is longer than {limits.max_bytes} bytes"
        raise DecodeError(msg, code="cbor.too_long")
    room = reading.room
    try:
        room[1] -= 1
        if room[1] < 0:
            _fail("cbor.too_many", "too many items in all", 0)
        value, end = _read(data, 0, limits.max_depth, room, keep_raw)
    except IndexError:
        msg = "the input ends in the middle of an item"
        raise DecodeError(msg, code="cbor.truncated", offset=len(data)) from None
    if end != len(data):
        msg = "bytes follow the item"
        raise DecodeError(msg, code="cbor.trailing", offset=end)
    if room[2]:
        for flag, code in _DEVIATIONS.items():
            if room[2] & flag:
                reading.note(code, path)
        room[2] = 0
    return value


def _fail(code: str, message: str, offset: int) -> NoReturn:
    raise DecodeError(message, code=code, offset=offset)


def _read(data: bytes, start: int, depth: int, room: list[int], keep_raw: bool) -> tuple[Any, int]:  # noqa: FBT001
    """Read the item at `start`; give its value and the offset behind it. IndexError means that the input is too short.

    `room` holds the most entries of one container; how many more items there may be, which is counted down; and
    which of `_DEVIATIONS` were met.
    One long function on purpose: it runs for every head of every message, and calls cost more than branches here.
    """
    first = data[start]
    major = first >> 5
    number = first & 31
    pos = start + 1
    if number >= 24:
        if number == 24:
            number = data[pos]
            pos += 1
            if number < 24 and major != 7:
                room[2] |= 1
        elif number <= 27:
            if major == 7:
                return _read_float(data, start, number, room)
            size = 1 << (number - 24)
            end = pos + size
            if end > len(data):
                raise IndexError
            number = int.from_bytes(data[pos:end])
            pos = end
            if not number >> 4 * size:
                room[2] |= 1
        elif number == 31:
            _fail("cbor.indefinite", "indefinite lengths are not allowed", start)
        else:
            _fail("cbor.reserved", "a reserved head", start)
    if major == 2 or major == 3:  # noqa: PLR1714 - faster than a set
        end = pos + number
        if end > len(data):
            raise IndexError
        if major == 2:
            return data[pos:end], end
        try:
            return data[pos:end].decode(), end
        except UnicodeDecodeError:
            _fail("cbor.utf8", "text that is not UTF-8", start)
    if major == 0:
        return number, pos
    if major == 5 or major == 4 or major == 6:  # noqa: PLR1714
        if depth == 0 and (number or major == 6):
            _fail("cbor.too_deep", "nested too deeply", start)
        depth -= 1
        if major == 6:
            room[1] -= 1
            if room[1] < 0:
                _fail("cbor.too_many", "too many items in all", start)
            return _read_tag(data, start, pos, number, depth, room, keep_raw)
        if number > room[0]:
            _fail("cbor.too_many", f"more than {room[0]} entries in one array or map", start)
        room[1] -= number if major == 4 else 2 * number
        if room[1] < 0:
            _fail("cbor.too_many", "too many items in all", start)
        if major == 4:
            array = []
            for _ in range(number):
                if keep_raw and data[pos] == 0xD8 and data[pos + 1] == 24 and depth:
                    # The short way for tag-24 items with the usual heads, of which a response has dozens.
                    size = data[pos + 2]
                    if size == 0x58 and data[pos + 3] >= 24:
                        inner = pos + 4
                        end = inner + data[pos + 3]
                    elif size == 0x59 and data[pos + 3]:
                        inner = pos + 5
                        end = inner + (data[pos + 3] << 8) + data[pos + 4]
                    else:
                        end = inner = 0
                    if inner:
                        if end > len(data):
                            raise IndexError
                        array.append(_tagged24(Tagged24, (data[inner:end], data[pos:end])))
                        pos = end
                        continue
                value, pos = _read(data, pos, depth, room, keep_raw)
                array.append(value)
            return array, pos
        mapping: dict[Any, Any] = {}
        for _ in range(number):
            at = pos
            size = data[pos] - 0x60
            if 0 <= size < 24:  # the short way for a key of short text
                pos += 1 + size
                if pos > len(data):
                    raise IndexError
                try:
                    key: Any = data[at + 1 : pos].decode()
                except UnicodeDecodeError:
                    _fail("cbor.utf8", "text that is not UTF-8", at)
                mapping[key], pos = _read(data, pos, depth, room, keep_raw)
                continue
            key, pos = _read(data, pos, depth, room, keep_raw)
            kind = type(key)
            if kind is not str and not (kind is bytes or (kind is int and -_MAX_KEY < key < _MAX_KEY)):
                _fail("cbor.key", "a map key that is neither text, bytes nor a small integer", at)
            mapping[key], pos = _read(data, pos, depth, room, keep_raw)
        if len(mapping) != number:
            _fail("cbor.duplicate_key", "a map has the same key twice", start)
        return mapping, pos
    if major == 1:
        return -1 - number, pos
    if first == 0xF5:
        return True, pos
    if first == 0xF4:
        return False, pos
    if first == 0xF6:
        return None, pos
    if first == 0xF7:
        return undefined, pos
    if first == 0xF8 and number < 32:
        _fail("cbor.reserved", "a reserved simple value", start)
    return CBORSimpleValue(number), pos


def _read_float(data: bytes, start: int, size_code: int, room: list[int]) -> tuple[float, int]:
    end = start + 1 + (1 << (size_code - 24))
    if end > len(data):
        raise IndexError
    form = {25: ">e", 26: ">f", 27: ">d"}[size_code]
    if _is_long_float(data[start:end]):
        room[2] |= 2
    return struct.unpack(form, data[start + 1 : end])[0], end


def _read_tag(  # noqa: PLR0917
    data: bytes,
    start: int,
    pos: int,
    number: int,
    depth: int,
    room: list[int],
    keep_raw: bool,  # noqa: FBT001
) -> tuple[Any, int]:
    if number in _REFERENCE_TAGS:
        _fail("cbor.reference", "shared references are not allowed", start)
    value, end = _read(data, pos, depth, room, keep_raw)
    if number == 24 and keep_raw:
        if type(value) is not bytes:
            _fail("cbor.tag24", "tag 24 holds a byte string", start)
        return Tagged24(value, data[start:end]), end
    if number in (0, 1004):
        if type(value) is not str:
            _fail("cbor.date", "a date holds text", start)
        return (TDate if number == 0 else FullDate)(value), end
    return Tag(number, value), end


# --- showing ---------------------------------------------------------------------------------------------------------


def diagnose(value: Any, *, longest: int | None = None) -> str:
    """The diagnostic notation of a decoded value (RFC 8949 §8), on one line.

    Args:
        value: A value as the readers of this module give it.
        longest: Byte strings of more bytes are cut there, and their length is told; None shows all.
    """
    if isinstance(value, bytes):
        if longest is not None and len(value) > longest:
            return f"h'{value[:longest].hex()}…' / {len(value)} bytes /"
        return f"h'{value.hex()}'"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, float):
        return _diagnose_float(value)
    if isinstance(value, Tagged24):
        return f"24({diagnose(value.content, longest=longest)})"
    if isinstance(value, FullDate):
        return f"1004({json.dumps(value.text, ensure_ascii=False)})"
    if isinstance(value, TDate):
        return f"0({json.dumps(value.text, ensure_ascii=False)})"
    if isinstance(value, Tag):
        return f"{value.number}({diagnose(value.value, longest=longest)})"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(diagnose(entry, longest=longest) for entry in value) + "]"
    if isinstance(value, Mapping):
        entries = (
            f"{diagnose(key, longest=longest)}: {diagnose(entry, longest=longest)}" for key, entry in value.items()
        )
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, CBORSimpleValue):
        return f"simple({value.value})"
    return "undefined" if value is undefined else str(value)


def _diagnose_float(value: float) -> str:
    if value != value:  # noqa: PLR0124
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)

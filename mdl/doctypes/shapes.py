"""What the value of a data element must look like, as data, and compiled to one predicate each.

A shape is written once in the table and used three times: compiled strictly for issuing, compiled tolerantly
for reading, and walked by the issuer's record parser, which must know that a text is meant as a date.

A compiled predicate takes a decoded CBOR value and returns None when it is fine. Otherwise it returns a constant
`Fault` where the value is flat; only a fault deep inside an array or a map costs an allocation.

Strict and tolerant have the same types, lengths, repertoires and ranges. What is strict refuses some more, which does
harm to a holder or to a display, and which a reader takes as it comes: a text that is empty or blank, or that has
control or direction characters; a number that no human being has; an image that is not whole; a member of a map that is
not defined; a tdate with a fraction of a second or a numeric offset. `Anything` is looked into only where it is strict.
"""

from __future__ import annotations

import enum
import sys
import unicodedata
from abc import ABC, abstractmethod
from calendar import monthrange
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from mdl.cbor import FullDate, TDate
from mdl.errors import DecodeError

__all__ = [
    "ANYTHING",
    "Anything",
    "Array",
    "Bool",
    "Bytes",
    "Code",
    "Date",
    "Either",
    "Fault",
    "Form",
    "Map",
    "Member",
    "Predicate",
    "Shape",
    "Text",
    "Uint",
    "is_after",
]


class Code(enum.StrEnum):
    """What can be wrong with a data element or with an order: stable ids, a closed set."""

    DOCTYPE_UNKNOWN = "doctype.unknown"
    DOCTYPE_ALIAS = "doctype.alias"
    NAMESPACE_UNKNOWN = "namespace.unknown"
    NAMESPACE_FOREIGN = "namespace.foreign"

    MISSING = "element.missing"
    UNKNOWN = "element.unknown"
    WITHDRAWN = "element.withdrawn"
    IDENTIFIER = "element.identifier"

    TYPE = "element.type"
    LENGTH = "element.length"
    CHARACTERS = "element.characters"
    VALUE = "element.value"
    RANGE = "element.range"
    FORMAT = "element.format"
    COUNTRY = "element.country"
    SUBDIVISION = "element.subdivision"
    DATE = "element.date"
    DATE_FORM = "element.date_form"
    IMAGE = "element.image"
    BIOMETRIC = "element.biometric"
    EMPTY = "element.empty"
    MEMBER_MISSING = "element.member_missing"
    MEMBER_UNKNOWN = "element.member_unknown"
    STRUCTURE = "element.structure"
    CONTRADICTION = "element.contradiction"

    DATES_ORDER = "dates.order"
    DATES_BIRTH = "dates.birth"
    JURISDICTION_COUNTRY = "jurisdiction.country"
    AGE_CONTRADICTION = "age.contradiction"
    AGE_OVER = "age.over"
    AGE_IN_YEARS = "age.in_years"
    AGE_BIRTH_YEAR = "age.birth_year"


class Fault(NamedTuple):
    """What is wrong with one value, without the value.

    Attributes:
        code: The stable id.
        message: What the value should have been.
        where: Which part of the value, as ``[0].codes[1].value``; empty for the whole.
    """

    code: Code
    message: str
    where: str = ""


Predicate: TypeAlias = Callable[[object], Fault | None]

# Of what is wrong with the parts of a received value the gravest is told: a part of another type before one of another
# content, and what a reader leaves aside last.
_GRAVEST: Final = frozenset((Code.TYPE, Code.DATE, Code.MEMBER_MISSING))
_LIGHTEST: Final = frozenset((Code.DATE_FORM, Code.MEMBER_UNKNOWN))


def _graver(found: Fault | None, fault: Fault, where: str = "") -> Fault:
    """The graver of two faults, the first where they are alike; the second is of a part."""
    if (
        found is None
        or (fault.code in _GRAVEST and found.code not in _GRAVEST)
        or (found.code in _LIGHTEST and fault.code not in _LIGHTEST)
    ):
        return fault._replace(where=f"{where}{fault.where}")
    return found


class Shape(ABC):
    """What a value must look like."""

    __slots__ = ()

    @property
    def cddl(self) -> str:
        """The CBOR type in the words of elements.md, for example ``tdate / full-date``."""
        return self._cddl()

    @property
    def says(self) -> str:
        """The type for a person, to follow the words "must be"."""
        return self._says()

    def compile(self, *, strict: bool) -> Predicate:
        """Make the predicate of this shape.

        Args:
            strict: True for what we issue, False for what we read.

        Returns:
            A function of one decoded CBOR value; it raises nothing, whatever the value is.
        """
        return self._compile(strict)

    @abstractmethod
    def _cddl(self) -> str: ...

    @abstractmethod
    def _says(self) -> str: ...

    @abstractmethod
    def _compile(self, strict: bool) -> Predicate: ...  # noqa: FBT001 - `compile` names it

    def _wrong_type(self) -> Fault:
        return Fault(Code.TYPE, f"must be {self.says}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A test that a text must pass beyond length and repertoire.

    Attributes:
        code: What to report where it does not.
        says: The form for a person, to follow the words "must be".
        matches: The test.
    """

    code: Code
    says: str
    matches: Callable[[str], bool]


def _encodable(value: str) -> bool:
    """Tell whether a text is UTF-8 encodable, that is, free of lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _latin1(value: str) -> bool:
    """Tell whether every character is in 20-7E or A0-FF.

    What is not printable is looked at more closely, since A0 (no-break space) and AD (soft hyphen) are not.

    Spec: mdoc.md §5 (L150), the Latin-1 repertoire.
    """
    if value.isprintable():
        return max(value, default="") <= "\xff"
    return all("\x20" <= character <= "\x7e" or "\xa0" <= character <= "\xff" for character in value)


# They change the order in which text is shown, or show nothing: marks of direction (Unicode Bidi_Control), the mark of
# byte order, deprecated format characters, annotations; and what stands for text that was decoded wrongly.
_MISLEADING = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f"
    "\u2028\u2029\ufeff\ufff9\ufffa\ufffb\ufffc\ufffd"
)
# Letters and symbols that show nothing.
_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_LINES = frozenset("\t\n\r")

_BLANK = Fault(Code.EMPTY, "must not be empty or blank (an optional element is left out)")
_CONTROL = Fault(Code.CHARACTERS, "must not have control or direction characters, or text that was decoded wrongly")


def _is_blank(value: str) -> bool:
    return all(unicodedata.category(each)[0] in "ZC" or each in _INVISIBLE for each in value)


def _is_misleading(value: str, allowed: frozenset[str] = frozenset()) -> bool:
    return any(
        each in _MISLEADING
        or (unicodedata.category(each) == "Cc" and each not in allowed)
        or "\U000e0000" <= each <= "\U000e007f"
        for each in value
    )


def _text_fault(value: str, allowed: frozenset[str] = frozenset()) -> Fault | None:
    """What is wrong with a text that shall be issued, whatever its element."""
    if value.isascii() and value.isprintable():
        return None if value and not value.isspace() else _BLANK
    if _is_blank(value):
        return _BLANK
    return _CONTROL if _is_misleading(value, allowed) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Shape):
    """A text string.

    Attributes:
        max_length: In characters, inclusive; None for no stated maximum.
        latin1: Whether only the Latin-1 repertoire 20-7E and A0-FF is allowed.
        allowed: The closed list of values; empty for any.
        form: A further test, or None.
    """

    max_length: int | None = None
    latin1: bool = False
    allowed: tuple[str, ...] = ()
    form: Form | None = None

    def _cddl(self) -> str:
        return "tstr"

    def _says(self) -> str:
        if self.form is not None:
            return f"text, {self.form.says}"
        return "text" if self.max_length is None else f"text of at most {self.max_length} characters"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        wrong_type = self._wrong_type()
        if self.allowed:
            return _compile_choice(str, frozenset(self.allowed), wrong_type)
        if self.form is not None:
            return _compile_form(self.form, wrong_type)
        too_long = Fault(Code.LENGTH, f"must not be longer than {self.max_length} characters")
        limit = sys.maxsize if self.max_length is None else self.max_length
        repertoire = _latin1 if self.latin1 else _encodable
        characters = Fault(Code.CHARACTERS, _NOT_LATIN1 if self.latin1 else "must be encodable as UTF-8")
        decomposed = Fault(Code.CHARACTERS, _DECOMPOSED)

        def check(value: object) -> Fault | None:
            if type(value) is not str:
                return wrong_type
            if len(value) > limit:
                return too_long
            # Printable ASCII is fine by any repertoire, and nearly every value is that.
            if not (value.isascii() and value.isprintable()) and not repertoire(value):
                if strict and _encodable(value) and (fault := _text_fault(value)) is not None:
                    return fault
                return decomposed if self.latin1 and _latin1(unicodedata.normalize("NFC", value)) else characters
            return _text_fault(value) if strict else None

        return check


_NOT_LATIN1 = (
    "must consist of the Latin-1 repertoire (20-7E, A0-FF): write it in Latin letters here, and as it is in the element"
    " of that name with _national_character, if there is one"
)
_DECOMPOSED = (
    "must consist of the Latin-1 repertoire (20-7E, A0-FF): a letter and its accent are two characters here, compose"
    " them (Unicode NFC)"
)


def _compile_choice(kind: type[str | int], allowed: frozenset[str] | frozenset[int], wrong_type: Fault) -> Predicate:
    not_listed = Fault(Code.VALUE, "must be a value of the list")

    def check(value: object) -> Fault | None:
        if type(value) is not kind:
            return wrong_type
        return None if value in allowed else not_listed

    return check


def _compile_numbers(allowed: frozenset[int], wrong_type: Fault) -> Predicate:
    is_listed = _compile_choice(int, allowed, wrong_type)

    def check(value: object) -> Fault | None:
        return wrong_type if type(value) is int and value < 0 else is_listed(value)

    return check


def _compile_form(form: Form, wrong_type: Fault) -> Predicate:
    malformed = Fault(form.code, f"must be {form.says}")
    matches = form.matches

    def check(value: object) -> Fault | None:
        if type(value) is not str:
            return wrong_type
        return None if matches(value) else malformed

    return check


@dataclass(frozen=True, slots=True, kw_only=True)
class Uint(Shape):
    """An unsigned integer.

    Attributes:
        minimum: Smallest value, inclusive.
        maximum: Largest value, inclusive; by default what CBOR can carry without a tag.
        allowed: The closed list of values; empty for any.
        human: Smallest and largest value that is issued, inclusive; None for all that there are. Readers take the
            others too.
    """

    minimum: int = 0
    maximum: int = 2**64 - 1
    allowed: tuple[int, ...] = ()
    human: tuple[int, int] | None = None

    def _cddl(self) -> str:
        return "uint"

    def _says(self) -> str:
        return "an unsigned integer"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        wrong_type = self._wrong_type()
        if self.allowed:
            return _compile_numbers(frozenset(self.allowed), wrong_type)
        minimum, maximum = self.human if strict and self.human is not None else (self.minimum, self.maximum)
        out_of_range = Fault(Code.RANGE, f"must be at least {minimum} and at most {maximum}")

        def check(value: object) -> Fault | None:
            if type(value) is not int or value < 0:  # A bool is an int for isinstance, not for CBOR.
                return wrong_type
            return None if minimum <= value <= maximum else out_of_range

        return check


@dataclass(frozen=True, slots=True, kw_only=True)
class Bool(Shape):
    """True or false."""

    def _cddl(self) -> str:
        return "bool"

    def _says(self) -> str:
        return "true or false"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        del strict
        wrong_type = self._wrong_type()

        def check(value: object) -> Fault | None:
            return None if value is True or value is False else wrong_type

        return check


_OTHER_BYTES = Fault(Code.FORMAT, "must be of the stated format")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes(Shape):
    """A byte string.

    Attributes:
        prefixes: The value starts with one of these; empty for any.
        fault: What to report where it does not.
        may_be_empty: Whether no bytes at all are allowed beside the prefixes.
        defect: Tells what a value that begins well lacks to be issued, or None where it lacks nothing.
    """

    prefixes: tuple[bytes, ...] = ()
    fault: Fault = _OTHER_BYTES
    may_be_empty: bool = False
    defect: Callable[[bytes], str | None] | None = None

    def _cddl(self) -> str:
        return "bstr"

    def _says(self) -> str:
        return "a byte string"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        wrong_type = self._wrong_type()
        if not self.prefixes:
            return lambda value: None if type(value) is bytes else wrong_type
        prefixes, fault, may_be_empty = self.prefixes, self.fault, self.may_be_empty
        find_defect = self.defect if strict else None

        def check(value: object) -> Fault | None:
            if type(value) is not bytes:
                return wrong_type
            if may_be_empty and not value:
                return None
            if not value.startswith(prefixes):
                return fault
            defect = None if find_defect is None else find_defect(value)
            return None if defect is None else Fault(fault.code, defect)

        return check


# Nearly every date is one of these, and a look-up is three times as fast as reading it.
_COMMON_YEARS = frozenset(f"{year}" for year in range(1900, 2100))
_COMMON_DAYS = frozenset(
    f"-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, monthrange(2001, month)[1] + 1)
)


def _is_date(value: FullDate | TDate) -> bool:
    try:
        return bool(value.date if isinstance(value, FullDate) else value.datetime)
    except DecodeError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Date(Shape):
    """A day, a point in time, or either of them.

    Attributes:
        full_date: Whether a full-date (tag 1004) is allowed.
        tdate: Whether a tdate (tag 0) is allowed.
    """

    full_date: bool = False
    tdate: bool = False

    def _cddl(self) -> str:
        return " / ".join(name for name, on in (("tdate", self.tdate), ("full-date", self.full_date)) if on)

    def _says(self) -> str:
        return f"a {self.cddl.replace(' / ', ' or a ')}"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        wrong_type = self._wrong_type()
        no_day = Fault(Code.DATE, "must be a day of the calendar, YYYY-MM-DD")
        no_moment = Fault(
            Code.DATE,
            "must be a moment in UTC, YYYY-MM-DDThh:mm:ssZ" if strict else "must be an RFC 3339 moment",
        )
        # What some issuers in the field send (mdoc.md §6): a date all the same, but for its tag.
        odd_form = wrong_type if strict else Fault(Code.DATE_FORM, f"must be {self._says()}")
        full_date, tdate = self.full_date, self.tdate

        def check(value: object) -> Fault | None:
            # Both are kept as received, so the text may still be anything.
            if type(value) is FullDate:
                if not full_date:
                    return wrong_type
                text = value.text
                if text[4:] in _COMMON_DAYS and text[:4] in _COMMON_YEARS:
                    return None
                try:
                    value.date  # noqa: B018 - the property refuses what is no date
                except DecodeError:
                    return no_day
                return None
            if type(value) is TDate:
                if not tdate:
                    return wrong_type
                if strict and not value.is_strict:
                    return no_moment
                try:
                    value.datetime  # noqa: B018
                except DecodeError:
                    return no_moment
                return None
            if type(value) is str and ((full_date and _is_date(FullDate(value))) or (tdate and _is_date(TDate(value)))):
                return odd_form
            return wrong_type

        return check


@dataclass(frozen=True, slots=True, kw_only=True)
class Array(Shape):
    """An array of one kind of item.

    Attributes:
        items: The shape of every item.
        may_be_empty: Whether no item at all is allowed.
    """

    items: Shape
    may_be_empty: bool = False

    def _cddl(self) -> str:
        return f"array of {self.items.cddl}"

    def _says(self) -> str:
        return "an array"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        wrong_type = self._wrong_type()
        empty = Fault(Code.EMPTY, "must have at least one item")
        item, may_be_empty = self.items.compile(strict=strict), self.may_be_empty

        def check(value: object) -> Fault | None:
            if type(value) is not list and type(value) is not tuple:
                return wrong_type
            if not value:
                return None if may_be_empty else empty
            found: Fault | None = None
            for index, each in enumerate(value):
                if (fault := item(each)) is not None:
                    found = _graver(found, fault, f"[{index}]")
                    if strict or found.code in _GRAVEST:
                        return found
            return found

        return check


class Member(NamedTuple):
    """One entry of a map."""

    shape: Shape
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Map(Shape):
    """A map with text keys.

    Attributes:
        members: The known entries by key.
        may_be_empty: Whether no entry at all is allowed.
        ordered: Keys of two dates of which the first must not be after the second, or None.
    """

    members: dict[str, Member]
    may_be_empty: bool = True
    ordered: tuple[str, str] | None = None

    def _cddl(self) -> str:
        return "map"

    def _says(self) -> str:
        return "a map"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        wrong_type = self._wrong_type()
        empty = Fault(Code.EMPTY, "must have at least one member")
        unknown = Fault(Code.MEMBER_UNKNOWN, "has a member that is not defined here")
        disorder = Fault(Code.DATES_ORDER, "the earlier of two dates comes after the later")
        checks = {key: member.shape.compile(strict=strict) for key, member in self.members.items()}
        missing = tuple(
            (key, Fault(Code.MEMBER_MISSING, "is required here", f".{key}"))
            for key, member in self.members.items()
            if member.required
        )
        (first, second), may_be_empty, find = self.ordered or (None, None), self.may_be_empty, checks.get

        def check(value: object) -> Fault | None:
            if not isinstance(value, dict):
                return wrong_type
            for key, absent in missing:
                if key not in value:
                    return absent
            found: Fault | None = None
            for key, entry in value.items():
                if (member := find(key)) is None:
                    found = _graver(found, unknown)  # The stranger's name is not repeated: it may be anything.
                elif (fault := member(entry)) is not None:
                    found = _graver(found, fault, f".{key}")
                if found is not None and (strict or found.code in _GRAVEST):
                    return found
            if not value and not may_be_empty:
                found = empty
            if first is not None and is_after(value.get(first), value.get(second)):
                found = _graver(found, disorder)
            return found

        return check


_DATES = (FullDate, TDate)


def is_after(first: object, second: object) -> bool:
    """Tell whether one date is certainly later than another.

    Two values of one kind are compared whole, a full-date with a tdate by the day.

    Args:
        first: A decoded value; whatever is no date is later than nothing.
        second: The same.
    """
    if not isinstance(first, _DATES) or not isinstance(second, _DATES):
        return False
    one, other = first.text, second.text
    if len(one) != len(other):
        one, other = one[:10], other[:10]
    # Still of two lengths: one of them is no date, which the element's own rule reports.
    return len(one) == len(other) and one > other


@dataclass(frozen=True, slots=True, kw_only=True)
class Either(Shape):
    """One shape or another.

    Attributes:
        shapes: The alternatives, the one to write first.
    """

    shapes: tuple[Shape, ...]

    def _cddl(self) -> str:
        return " / ".join(shape.cddl for shape in self.shapes)

    def _says(self) -> str:
        return " or ".join(shape.says for shape in self.shapes)

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        wrong_type = self._wrong_type()
        checks = tuple(shape.compile(strict=strict) for shape in self.shapes)

        def check(value: object) -> Fault | None:
            fault = wrong_type
            for each in checks:
                found = each(value)
                if found is None or found.code is Code.MEMBER_UNKNOWN:
                    return found
                # The alternative whose type fits knows best what is wrong.
                if found.code is not Code.TYPE or found.where:
                    fault = found
            return fault

        return check


_MAX_DEPTH = 8
# A reader refuses larger integers as map keys (mdl.cbor), exclusive on both sides.
_MAX_KEY = 1 << 60
_MAX_NODES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything(Shape):
    """Any value that CBOR can carry, floats excepted: no data element is one (mdoc.md §1.1)."""

    def _cddl(self) -> str:
        return "unknown"

    def _says(self) -> str:
        return "text, bytes, an integer, a boolean, a date, or an array or map of these"

    def _compile(self, strict: bool) -> Predicate:  # noqa: FBT001
        if not strict:
            return _accept
        wrong_type = self._wrong_type()
        date = Date(full_date=True, tdate=True).compile(strict=True)
        characters = Fault(Code.CHARACTERS, "must be encodable as UTF-8")
        out_of_range = Fault(Code.RANGE, "must fit into 64 bits")
        structure = Fault(Code.STRUCTURE, f"must not be deeper than {_MAX_DEPTH} or larger than {_MAX_NODES} items")

        def check(value: object) -> Fault | None:
            level, nodes = [value], 0
            for _ in range(_MAX_DEPTH):
                below: list[object] = []
                nodes += len(level)
                if nodes > _MAX_NODES:
                    return structure
                for each in level:
                    if type(each) is str:
                        if not _encodable(each):
                            return characters
                        if (fault := _text_fault(each, _LINES)) is not None:
                            return fault
                    elif type(each) is list or type(each) is tuple:
                        below.extend(each)
                    elif isinstance(each, dict):
                        if not all(type(key) is str or type(key) is int for key in each):
                            return wrong_type
                        if not all(type(key) is str or -_MAX_KEY < key < _MAX_KEY for key in each):
                            return out_of_range
                        below.extend(each.keys())
                        below.extend(each.values())
                    elif type(each) is int:
                        if not -(2**64) <= each < 2**64:
                            return out_of_range
                    elif type(each) is FullDate or type(each) is TDate:
                        if (fault := date(each)) is not None:
                            return fault
                    elif type(each) not in _FREE_KINDS:
                        return wrong_type
                if not below:
                    return None
                level = below
            return structure

        return check


_FREE_KINDS = frozenset({bool, bytes})


def _accept(value: object) -> Fault | None:
    del value
    return None


ANYTHING = Anything()

"""Values that do not belong where they are put, and every way to put one into a decoded structure.

The structures are decoded CBOR (maps, arrays, `Tag`, `Tagged24`) or decoded JSON (maps, arrays). `mutants` gives copies
of one, each with a single part replaced, left out, renamed or added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from mdl.cbor import FullDate, Tag, Tagged24, TDate, encode, wrap24

__all__ = ["ODD_JSON", "ODD_VALUES", "mutants", "places", "replaced"]

ODD_JSON: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    2**64 - 1,
    -(2**64),
    10**400,
    0.0,
    -1.5,
    1e300,
    "",
    " ",
    "\x00",
    "a\nb",
    "age_over_\uff12\uff11",
    "\u096f\u096f",
    "\u202e",
    "x" * 300,
    [],
    [None],
    [[]],
    ["", ""],
    {},
    {"": None},
    {"a": {}},
)
"""What JSON can hold: empty, odd, huge, negative, and of every type."""

ODD_VALUES: Final[tuple[Any, ...]] = (
    *(value for value in ODD_JSON if value != 10**400),
    float("nan"),
    float("inf"),
    float("-inf"),
    b"",
    b"\x00",
    b"\xff" * 33,
    bytes(2000),
    [b""],
    {0: 0},
    {-1: b""},
    {b"": b""},
    FullDate(""),
    FullDate("2026-02-30"),
    FullDate("\uff12\uff10\uff12\uff16-01-01"),
    TDate(""),
    TDate("0000-00-00T00:00:00Z"),
    TDate("9999-12-31T23:59:60-23:59"),
    TDate("0001-01-01T00:00:00+23:59"),
    Tag(2, b"\xff" * 5000),
    Tag(3, b"\xff" * 5000),
    Tag(2, b""),
    Tag(18, []),
    Tag(55799, None),
    Tag(2**64 - 1, {}),
    Tagged24(b"", wrap24(b"")),
    Tagged24(b"\xf6", wrap24(b"\xf6")),
    Tagged24(b"\xa0", wrap24(b"\xa0")),
)
"""What CBOR can hold: `ODD_JSON` with what JSON has no form for. Bignums come as the tags that they are."""

_Step = Any
Path = tuple[_Step, ...]


def _children(value: Any) -> Iterator[tuple[_Step, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple) and not isinstance(value, Tagged24):
        yield from enumerate(value)
    elif isinstance(value, Tag):
        yield "tag", value.value


def places(value: Any, *, longest: int = 3) -> Iterator[Path]:
    """The way to every part of a structure, the whole first; of an array no more than its first `longest` entries."""
    yield ()
    for step, child in _children(value):
        if isinstance(value, list) and step >= longest:
            return
        for path in places(child, longest=longest):
            yield (step, *path)


def _changed(value: Any, path: Path, change: Any) -> Any:
    """A copy in which `change` has been called with the container of the last step and that step."""
    if isinstance(value, Tag):
        return Tag(value.number, change({"tag": value.value}, "tag")["tag"] if len(path) == 1 else _changed(
            value.value, path[1:], change
        ))  # fmt: skip
    copy: Any = dict(value) if isinstance(value, Mapping) else list(value)
    if len(path) == 1:
        return change(copy, path[0])
    copy[path[0]] = _changed(copy[path[0]], path[1:], change)
    return copy


def replaced(value: Any, path: Path, by: Any) -> Any:
    """A copy of the structure with the part at `path` replaced."""

    def change(container: Any, step: _Step) -> Any:
        container[step] = by
        return container

    return _changed(value, path, change) if path else by


def _left_out(container: Any, step: _Step) -> Any:
    del container[step]
    return container


def _twice(container: Any, step: _Step) -> Any:
    container.insert(step, container[step])
    return container


def _renamed(container: Any, step: _Step) -> Any:
    return {("" if key == step else key): one for key, one in container.items()}


def _parent(value: Any, path: Path) -> Any:
    for step in path[:-1]:
        value = value.value if isinstance(value, Tag) else value[step]
    return value


def mutants(value: Any, *, odd: Iterable[Any] = ODD_VALUES, longest: int = 3) -> Iterator[tuple[str, Any]]:
    """Every copy of a structure with one part replaced by an odd value, left out, doubled or under an empty name.

    Args:
        value: The decoded structure; it is not changed.
        odd: What is put in.
        longest: Of an array no more than so many entries are touched.

    Yields:
        What was done, for the message of a failed test, and the copy.
    """
    odd = tuple(odd)
    for path in places(value, longest=longest):
        where = "/".join(map(str, path)) or "the whole"
        for index, one in enumerate(odd):
            yield f"{where} := odd value {index}", replaced(value, path, one)
        if not path:
            continue
        parent = _parent(value, path)
        if isinstance(parent, Mapping):
            yield f"{where} left out", _changed(value, path, _left_out)
            yield f"{where} under an empty name", _changed(value, path, _renamed)
        elif isinstance(parent, list | tuple):
            yield f"{where} left out", _changed(value, path, _left_out)
            yield f"{where} twice", _changed(value, path, _twice)


def tagged24(value: Any) -> Tagged24:
    """A value as the tag-24 item that holds it."""
    content = encode(value)
    return Tagged24(content, wrap24(content))

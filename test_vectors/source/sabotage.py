"""CBOR with one head or one map entry sabotaged, at any place of a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from mdl.cbor import encode, head
from mdl.testing import widen

Place = tuple[Any, ...]
How = Literal["duplicate", "indefinite", "wide"]
"""An entry of the map twice; the item in indefinite length; the head in nine bytes, which is no harm."""


def places(value: Any, *, how: How, here: Place = ()) -> Iterator[Place]:
    """Every place of a value that can be sabotaged so. A map's key is at ``("key", name)``, its value at its name."""
    if isinstance(value, dict):
        if how != "duplicate" or value:
            yield here
        for name, entry in value.items():
            if how == "wide" or (how == "indefinite" and isinstance(name, str)):
                yield (*here, "key", name)
            yield from places(entry, how=how, here=(*here, "entry", name))
    elif isinstance(value, list):
        if how != "duplicate":
            yield here
        for index, entry in enumerate(value):
            yield from places(entry, how=how, here=(*here, "entry", index))
    elif how == "wide":
        if type(value) in (int, str, bytes):
            yield here
    elif how == "indefinite" and type(value) in (str, bytes):
        yield here


def sabotaged(value: Any, place: Place, *, how: How) -> bytes:
    """The encoded value with that one place sabotaged."""
    if not place:
        return _broken(value, how)
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(
            sabotaged(entry, place[2:], how=how) if index == place[1] else encode(entry)
            for index, entry in enumerate(value)
        )
    written = []
    for name, entry in value.items():
        if name != place[1]:
            written += [encode(name), encode(entry)]
        elif place[0] == "key":
            written += [_broken(name, how), encode(entry)]
        else:
            written += [encode(name), sabotaged(entry, place[2:], how=how)]
    return head(5, len(value)) + b"".join(written)


def _broken(value: Any, how: How) -> bytes:
    whole = encode(value)
    if how == "wide":
        return widen(whole, 8)
    if how == "duplicate":
        first, entry = next(iter(value.items()))
        return head(5, len(value) + 1) + whole[len(head(5, len(value))) :] + encode(first) + encode(entry)
    major = whole[0] >> 5
    body = whole[len(head(major, len(value) if isinstance(value, dict | list) else len(_octets(value)))) :]
    return bytes((major << 5 | 31,)) + (body if major >= 4 else whole) + b"\xff"


def _octets(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value

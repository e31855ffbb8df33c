"""What the verbs of every role share: files in, tables and JSON out.

Text from strangers is printed with everything that a terminal might take for a command escaped. Output is laid out for
100 columns where it does not go to a terminal, and is coloured only where it does.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import contextlib
import errno
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from mdl.cbor import TDate
from mdl.errors import DecodeError, MdlError

__all__ = [
    "MAX_INPUT",
    "Input",
    "abandon_stdout",
    "argument_file",
    "argument_time",
    "columns",
    "flush",
    "forget_inputs",
    "input_of",
    "internal_error",
    "labelled",
    "open_armour",
    "paint",
    "read_input",
    "safe",
    "width",
    "wrap",
    "write",
    "write_error",
    "write_json",
]

MAX_INPUT: Final = 24 * 1024 * 1024
"""Largest file that is read, in bytes, inclusive: the largest CRL as hex text, and some."""

# --- input ------------------------------------------------------------------------------------------------------------


_BOM: Final = b"\xef\xbb\xbf"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


class Input(NamedTuple):
    """What a file holds, out of its armour.

    Attributes:
        data: The bytes.
        form: In what form they stood there, for people.
    """

    data: bytes
    form: str


_INPUTS: Final[dict[str, bytes]] = {}


def read_input(name: str, *, label: str) -> bytes:
    """Read a file, or the standard input for ``-``.

    Args:
        name: The file's name.
        label: The argument that named it; errors say this and not the name, which may be a person's.

    Raises:
        DecodeError: It cannot be read, is empty, is too large, or is text in UTF-16 (codes ``input.…``).
    """
    try:
        if name == "-":
            if sys.stdin is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            data = sys.stdin.buffer.read(MAX_INPUT + 1)
        else:
            with open(name, "rb") as stream:  # noqa: PTH123 - Path would turn "" into the current folder
                data = stream.read(MAX_INPUT + 1)
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "no name for a file"
        msg = f"the file cannot be read ({reason})"
        raise DecodeError(msg, code="input.unreadable", path=label) from exc
    if len(data) > MAX_INPUT:
        msg = f"the file is longer than {MAX_INPUT} bytes"
        raise DecodeError(msg, code="input.too_large", path=label)
    # Nothing that is read here begins with these bytes unless it is text, and so are no part of it.
    data = data.removeprefix(_BOM)
    if data.startswith(_UTF_16):
        msg = "the file is text in UTF-16: save it as UTF-8"
        raise DecodeError(msg, code="input.utf_16", path=label)
    if not data:
        msg = "the file is empty"
        raise DecodeError(msg, code="input.empty", path=label)
    _INPUTS[label] = data
    return data


def input_of(path: str) -> bytes | None:
    """The content of the file that the path of an error is about: what was read under the label it begins with."""
    return next((data for label, data in _INPUTS.items() if path == label or path.startswith(f"{label}.")), None)


def forget_inputs() -> None:
    """Keep nothing of what was read."""
    _INPUTS.clear()


_TEXT: Final = re.compile(rb"[\t\n\r\x0b\x0c\x20-\x7e]+")
_HEX: Final = re.compile(rb"(?:0[xX])?([0-9a-fA-F]+)")
_HEX_WITH_COLONS: Final = re.compile(rb"[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){3,}")
# The scheme of a QR code, and as wallets and readers write it into links.
_MDOC_URI: Final = re.compile(rb"(?:mdoc|mdl):(?://)?", re.IGNORECASE)
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_BASE64URL: Final = re.compile(rb"[A-Za-z0-9_-]+={0,2}")
# Shorter text is too easily something else.
_SHORTEST_BASE64: Final = 8
_LONGEST_ODD_HEX: Final = 15


def open_armour(data: bytes) -> Input:
    """Take bytes out of hex, base64, base64url or ``mdoc:`` text; anything else is taken as it is.

    Raises:
        DecodeError: The text is nearly one of these (codes ``input.hex``, ``input.base64``).
    """
    plain = data.removeprefix(b"\xef\xbb\xbf")
    if b"-----BEGIN " in plain or not _TEXT.fullmatch(plain):
        return Input(data, "bytes")  # PEM too: whoever wants it has its own reader
    text = b"".join(plain.split())
    if len(text) > 1 and text[:1] == text[-1:] == b'"':
        text = text[1:-1]  # a text of JSON
    uri = _MDOC_URI.match(text)
    if uri is not None:
        return Input(_base64(text[uri.end() :]), "QR text")
    if _HEX_WITH_COLONS.fullmatch(text):
        text = text.replace(b":", b"")
    found = _HEX.fullmatch(text)
    if found is not None:
        digits = found[1]
        if len(digits) % 2 == 0:
            return Input(bytes.fromhex(digits.decode()), "hex text")
        if len(digits) > _LONGEST_ODD_HEX:
            msg = "hex text with an odd number of digits"
            raise DecodeError(msg, code="input.hex")
    if len(text) >= _SHORTEST_BASE64:
        if _BASE64.fullmatch(text):
            return Input(_base64(text), "base64 text")
        if _BASE64URL.fullmatch(text):
            return Input(_base64(text), "base64url text")
    return Input(data, "bytes")


def _base64(text: bytes) -> bytes:
    bare = text.rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
    try:
        return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError) as exc:
        msg = "the text is not base64"
        raise DecodeError(msg, code="input.base64") from exc


@contextlib.contextmanager
def labelled(label: str) -> Iterator[None]:
    """Put the name of the argument in front of the path of a `DecodeError`: which of the files it is about."""
    try:
        yield
    except DecodeError as exc:
        exc.path = f"{label}.{exc.path}" if exc.path else label
        raise


def internal_error(exc: Exception) -> MdlError:
    """An exception that nobody foresaw as an error: its kind and not its text, which may quote the input.

    In Python's development mode (``-X dev``) the exception is raised again, so that its traceback shows.
    """
    if sys.flags.dev_mode:
        raise exc
    if isinstance(exc, MemoryError | RecursionError):
        return DecodeError("the input needs more memory or depth than there is", code="input.too_complex")
    message = f"an internal error of this program ({type(exc).__name__}); python -X dev -m mdl shows more"
    return MdlError(message, code="cli.internal")


def argument_file(text: str) -> str:
    """An argument as the name of a file that is to be written, or kept.

    Raises:
        ArgumentTypeError: No file can have that name; an empty one is usually a variable that is not set.
    """
    if text and "\0" not in text:
        return text
    msg = "no name for a file"
    raise argparse.ArgumentTypeError(msg)


def argument_time(text: str) -> datetime:
    """An argument as a moment: RFC 3339 with a zone, for example ``2026-01-31T00:00:00Z``.

    Raises:
        ArgumentTypeError: It is none.
    """
    try:
        return TDate(text).datetime
    except DecodeError as exc:
        msg = "a time is written as in 2026-01-31T00:00:00Z"
        raise argparse.ArgumentTypeError(msg) from exc


# --- output -----------------------------------------------------------------------------------------------------------

_COLOURS: Final = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
_PIPED_WIDTH: Final = 100
_LONG_TEXT: Final = 10_000


def width() -> int:
    """How many columns to lay out for."""
    if _is_terminal():
        return max(60, min(shutil.get_terminal_size().columns, 160))
    return _PIPED_WIDTH


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def paint(text: str, colour: str) -> str:
    """`text` in a colour (or ``bold``, ``dim``) if it goes to a terminal that shows it."""
    if not _is_terminal() or "NO_COLOR" in os.environ or os.environ.get("TERM", "dumb") == "dumb":
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def safe(text: str) -> str:
    """`text` with every character escaped that does not print: control codes, line ends, direction marks."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
        for char in text
    )


def wrap(text: str, *, first: str = "", rest: str = "", limit: int | None = None) -> list[str]:
    """Lay a text out in lines.

    Args:
        text: The text, `safe`.
        first: What the first line starts with.
        rest: What every other line starts with.
        limit: Columns; None for `width`.
    """
    room = limit or width()
    if len(first) + len(text) <= room:
        return [first + text]
    room = max(room, len(first) + 20, len(rest) + 20)
    words = text.split(" ")
    if len(first) + len(words[0]) > room >= len(rest) + len(words[0]):
        return [first.rstrip(), *wrap(text, first=rest, rest=rest, limit=room)]
    # A word that fits a line of its own is not broken, for example a fingerprint.
    if len(rest) + max(map(len, words)) > room or len(text) > _LONG_TEXT:
        return list(_broken(words, room, first, rest)) or [first.rstrip()]
    wrapped = textwrap.wrap(
        text,
        room,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
        break_long_words=False,
        replace_whitespace=False,
    )
    return wrapped or [first.rstrip()]


def _broken(words: list[str], room: int, first: str, rest: str) -> Iterator[str]:
    """Lay words out in lines, and break those that are too long; in time that grows as the text does.

    `textwrap` does the same, but copies what is left of a long word for every line of it.
    """
    line, indent = first, len(first)
    for word in words:
        start = 0
        if len(line) > indent and len(line) + 1 + min(len(word), 1) > room:
            yield line.rstrip()
            line, indent = rest, len(rest)
        elif len(line) > indent and (len(line) + 1 + len(word) <= room or len(rest) + len(word) > room):
            line += " "
        elif len(line) > indent:
            yield line.rstrip()
            line, indent = rest, len(rest)
        while len(line) + len(word) - start > room:
            end = start + room - len(line)
            yield line + word[start:end]
            line, indent, start = rest, len(rest), end
        line += word[start:]
    if len(line) > indent:
        yield line.rstrip()


def columns(rows: Iterable[Sequence[str]], *, indent: str = "") -> list[str]:
    """Lay rows out in columns; the last one is wrapped."""
    table = [[safe(cell) for cell in row] for row in rows]
    if not table:
        return []
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]) - 1)]
    lines = []
    for row in table:
        start = indent + "".join(f"{cell:<{size}}  " for cell, size in zip(row, widths, strict=False))
        if row[-1]:
            lines += wrap(row[-1], first=start, rest=" " * len(start))
        else:
            lines.append(start.rstrip())
    return lines


def write(lines: Iterable[str]) -> None:
    """Write lines to the standard output.

    Raises:
        OSError: There is none, it is closed, or it is full.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    for line in lines:
        sys.stdout.write(line + "\n")


def write_json(value: Any) -> None:
    """Write a value to the standard output as JSON, in ASCII; as `write`."""
    write([json.dumps(value, indent=2)])


def write_error(message: str) -> None:
    """Write one line to the standard error, if there is one that takes it."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"mdl: {safe(message)}\n")
            sys.stderr.flush()


def flush() -> None:
    """Write out what is buffered, so that a full disk or a closed pipe shows while it can still be told."""
    if sys.stdout is not None:
        sys.stdout.flush()


def abandon_stdout() -> None:
    """Send what is still buffered nowhere: the reader of our output has gone, or it cannot be written."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

"""TOML files from people: read within bounds of time and memory."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

from mdl.doctypes import plain_name
from mdl.errors import DecodeError

__all__ = ["load_toml"]

_MOST_PARTS: Final = 32
_PART: Final = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
# The parser's time and memory grow with the square of the parts of a dotted key. A text that looks like one is refused
# too.
_LONG_KEY: Final = re.compile(rf"(?<![A-Za-z0-9_-]){_PART}(?:[ \t]*+\.[ \t]*+{_PART}){{{_MOST_PARTS}}}")


def load_toml(data: str | bytes, *, source: str, code: str, most: int) -> dict[str, Any]:
    """Read TOML, in UTF-8 with or without a byte order mark.

    Args:
        data: The content of the file.
        source: Its name, for messages.
        code: The code of errors.
        most: The most bytes (or characters) that it may have, inclusive.

    Raises:
        DecodeError: It is larger, no UTF-8, no TOML, or has a dotted key of more than 32 parts or a number that is too
            long.
    """
    if len(data) > most:
        raise DecodeError(f"{source} is larger than {most} bytes", code=code)
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise DecodeError(f"{source} is not UTF-8", code=code) from exc
    text = text.removeprefix("\ufeff")
    if _LONG_KEY.search(text):
        raise DecodeError(f"{source} has a dotted key of more than {_MOST_PARTS} parts", code=code)
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise DecodeError(f"{source} is not TOML: {plain_name(str(exc))}", code=code) from exc
    except ValueError as exc:  # the limit of the interpreter on digits
        raise DecodeError(f"{source} has a number that is too long", code=code) from exc

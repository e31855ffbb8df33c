"""Which arguments name something that is written, and what may not be written over.

Every option of every verb that names an output has `file_argument` or `folder_argument` as its type, and is checked
here, once, before the verb begins: what a command writes goes neither through a link nor in the place of what it is
told to read, of a secret, or of anything that an authority keeps. `mdl.files` holds to the same at each writing.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from mdl.cli import terminal
from mdl.errors import LocalProtocolError, MdlError
from mdl.files import AUTHORITY_FILE, check_output

__all__ = ["OutputFile", "OutputFolder", "check_outputs", "file_argument", "folder_argument"]

_STDOUT: Final = "-"
_PIN_SOURCE: Final = re.compile(r"pin-source=([^&;]*)")
# An output that may be what was read: what is left of a bundle in the place of the bundle.
_IN_PLACE: Final = frozenset({("output", "bundle")})


class OutputFile(str):
    """The name of a file that is written."""

    __slots__ = ()


class OutputFolder(str):
    """The name of a folder in which files are written."""

    __slots__ = ()


def file_argument(text: str) -> OutputFile:
    """An argument as the name of a file that is written.

    Raises:
        ArgumentTypeError: No file can have that name.
    """
    return OutputFile(terminal.argument_file(text))


def folder_argument(text: str) -> OutputFolder:
    """An argument as the name of a folder in which files are written.

    Raises:
        ArgumentTypeError: No folder can have that name.
    """
    return OutputFolder(terminal.argument_file(text))


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse outputs that would go where something else is.

    Raises:
        LocalProtocolError: One would lie in an authority's folder or in a published tree, or goes through a link (code
            ``output.protected``), or in the place of an input or a secret (``output.input``).
    """
    given = vars(arguments)
    for name, value in given.items():
        if not isinstance(value, OutputFile | OutputFolder) or not value or "\0" in value or value == _STDOUT:
            continue  # the verb knows what that means
        path = Path(value)
        try:
            check_output(path)
            if isinstance(value, OutputFolder):
                check_output(path / "file")
        except OSError as exc:
            message = f"{value} is no place for an output: {exc.strerror or type(exc).__name__}"
            raise LocalProtocolError(message, code="output.protected") from exc
        if isinstance(value, OutputFile) and path.is_file():
            others = (one for other, one in given.items() if other != name and (name, other) not in _IN_PLACE)
            for file in (*map(Path, _files_of([*others])), *_secrets_of(given.get("dir"))):
                with suppress(OSError, ValueError):
                    if path.samefile(file):
                        message = f"{value} is what this command reads: name another file for the output"
                        raise LocalProtocolError(message, code="output.input")


def _files_of(value: Any) -> Iterator[str]:
    """The files that arguments may name: by themselves, after ``NAME=``, or in a URI of a key."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _files_of(one)
    elif isinstance(value, str | Path):
        text = str(value)
        yield text
        yield unquote(text.removeprefix("file:").removeprefix("//"))
        yield text.partition("=")[2]
        for source in _PIN_SOURCE.findall(text):
            yield unquote(source).removeprefix("file:").removeprefix("//")


def _secrets_of(folder: Any) -> Iterator[Path]:
    """The files from which an authority takes its secrets, wherever they lie."""
    if not isinstance(folder, str) or not os.path.lexists(file := Path(folder) / AUTHORITY_FILE):
        return
    from issuer.folder import State, read_file

    try:
        state = State.decode(read_file(file), file)
    except MdlError:
        return  # the verb says so
    for source in (state.pin, None if state.store is None else state.store.password):
        if source is not None and source.file is not None:
            yield Path(folder) / source.file
    for name in _files_of(state.token):
        yield Path(folder) / name

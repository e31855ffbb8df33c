"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from mdl.errors import FetchError

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes, *, code: str, what: str) -> None:
    """Write a file whole or not at all: what was there before stays until the new content is on the disk.

    Args:
        path: The file.
        content: Its new content.
        code: Code of the error.
        what: What the file is, for the error.

    Raises:
        FetchError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError as exc:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        message = f"cannot write {what}: {exc.strerror or type(exc).__name__}"
        raise FetchError(message, code=code, url=str(path)) from exc

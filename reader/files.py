"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mdl.errors import FetchError
from mdl.files import output_file

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes, *, code: str, what: str, private: bool = False) -> None:
    """Write a file whole or not at all: the old content stays until the new content is on the disk.

    Args:
        path: The file. A symbolic link is refused.
        content: Its new content.
        code: Code of the error.
        what: What the file is, for the error.
        private: Whether only the owner may read it: where it holds personal data.

    Raises:
        FetchError: The file cannot be written.
    """
    try:
        with output_file(path, private=private) as commit:
            commit(content)
    except (OSError, ValueError) as exc:  # a name that no file can have is a ValueError
        reason = exc.strerror if isinstance(exc, OSError) else "no name for a file"
        message = f"cannot write {what}: {reason or type(exc).__name__}"
        raise FetchError(message, code=code, url=str(path)) from exc

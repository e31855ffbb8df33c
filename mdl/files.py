"""Files that are written whole or not at all.

The one module of `mdl` that touches a file, since issuer and reader write alike. What the system says comes out as
``OSError``: each side says it in words, and with a code, of its own.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["output_file", "sync_folder"]


@contextmanager
def output_file(path: Path, *, private: bool = False) -> Iterator[Callable[[bytes], None]]:
    """Get ready to write a file whole or not at all.

    That the file can be written is found out on entry, before anything is done for its sake. What was there before
    stays until the new content is on the disk.

    Args:
        path: The file. A symbolic link is followed.
        private: Whether only the owner may read it, whoever might before. What was private stays so in any case.

    Yields:
        A function that takes the content and puts the file in place; without a call nothing changes. It is called once.

    Raises:
        OSError: The file cannot be written, on entry or at the call.
        ValueError: The function is called a second time.
    """
    try:
        target = path.resolve()
    except RuntimeError:  # a loop of links, up to Python 3.12
        target = path
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "no regular file: name another output file")
    private = private or (target.exists() and not target.stat().st_mode & 0o077)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600 if private else 0o644)

    def commit(content: bytes) -> None:
        if not beside.exists():
            msg = "the file is in place already"
            raise ValueError(msg)
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
        beside.replace(target)
        sync_folder(target.parent)

    try:
        yield commit
    finally:
        os.close(descriptor)
        beside.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable.

    Raises:
        OSError: The folder cannot be read.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Files that are written whole or not at all, and never in the place of what is somebody else's.

The one module of `mdl` that touches a file, since issuer and reader write alike. What the system says comes out as
``OSError``: each side says it in words, and with a code, of its own.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["AUTHORITY_FILE", "INDEX_FILE", "check_output", "index_owner", "output_file", "sync_folder"]

AUTHORITY_FILE: Final = "authority.json"
"""The file by which the folder of an authority is known."""
INDEX_FILE: Final = "index.json"
"""The file that says whose a version of a published tree is."""

_MAX_INDEX_BYTES: Final = 16 * 1024 * 1024


@contextmanager
def output_file(
    path: Path, *, private: bool = False, replace: bool = True, own: bool = False
) -> Iterator[Callable[[bytes], None]]:
    """Get ready to write a file whole or not at all.

    That the file can be written is found out on entry, before anything is done for its sake. What was there before
    stays until the new content is on the disk. The folder is opened once: it cannot be changed for another one
    meanwhile.

    Args:
        path: The file. A symbolic link is refused; folders above may be links.
        private: Whether only the owner may read it, whoever might before. What was private stays so in any case.
        replace: Whether a file that is there may be replaced; it is looked at when the new one is put in place.
        own: Whether an authority writes a file of its own: nothing else is written into its folder, or into a version
            of a published tree.

    Yields:
        A function that takes the content and puts the file in place; without a call nothing changes. It is called once.

    Raises:
        OSError: The file cannot be written or may not be, on entry or at the call; ``FileExistsError``, at the call,
            for one that is not to be replaced.
        ValueError: The function is called a second time.
    """
    inner = path.parent if own else check_output(path)
    folder = os.open(inner, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        there = _require_file(folder, path.name)
        private = private or (there is not None and not there.st_mode & 0o077)
        beside = f".{path.name}.{secrets.token_hex(4)}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(beside, flags, 0o600 if private else 0o644, dir_fd=folder)
        is_placed = False

        def commit(content: bytes) -> None:
            nonlocal is_placed
            if is_placed:
                msg = "the file is in place already"
                raise ValueError(msg)
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
            _require_file(folder, path.name, replace=replace)
            _place(folder, beside, path.name, replace=replace)
            is_placed = True
            os.fsync(folder)

        try:
            yield commit
        finally:
            os.close(descriptor)
            with suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=folder)
    finally:
        os.close(folder)


def check_output(path: Path) -> Path:
    """Refuse an output that lies in the folder of an authority or in a published tree, or that is a symbolic link.

    Whatever the folders above are called, and by whatever links they are reached: what they hold tells.

    Args:
        path: The file or folder that is to be written.

    Returns:
        The folder that it lies in, with no link on the way to it.

    Raises:
        PermissionError: It lies there.
        OSError: It is a symbolic link, or its folder cannot be looked at.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link: name the file itself")
    try:
        inner = path.parent.resolve()
    except RuntimeError as exc:  # a loop of links, up to Python 3.12
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from exc
    for folder in (inner, *inner.parents):
        if os.path.lexists(folder / AUTHORITY_FILE):
            raise PermissionError(errno.EPERM, f"{folder} is the folder of an authority: write it elsewhere")
        if index_owner(folder) is not None:
            raise PermissionError(errno.EPERM, f"{folder} belongs to a published tree: write it elsewhere")
    return inner


def index_owner(folder: Path) -> str | None:
    """Whose version of a published tree a folder is: the id of the authority that its index names; None if it is none.

    Args:
        folder: The folder; a link is followed, one in the place of the index is not.
    """
    try:
        descriptor = os.open(folder / INDEX_FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            index = json.loads(stream.read(_MAX_INDEX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    if type(index) is not dict or type(index.get("files")) is not list:
        return None
    owner = index.get("authority")
    return owner if type(owner) is str else None


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


def _require_file(folder: int, name: str, *, replace: bool = True) -> os.stat_result | None:
    """What has the place of an output: a file of its own kind, or nothing."""
    if name in {"", ".."}:
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not replace:
        raise FileExistsError(errno.EEXIST, "it is there already")
    if stat.S_ISLNK(there.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link: name the file itself")
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, "no regular file: name another output file")
    return there


def _place(folder: int, beside: str, name: str, *, replace: bool) -> None:
    """Give a file that is whole its name."""
    if not replace:
        try:
            os.link(beside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                raise  # a file that came meanwhile is one of these
        else:
            return
    os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)

"""Files that are written whole or not at all, and never replace a file that belongs to an authority.

This is the only module of `mdl` that touches a file: issuer and reader write alike. Errors of the system come out as
``OSError``; each side makes an error of its own of them, with its own code.
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
"""The file that names the authority of a version of a published tree."""

_MAX_INDEX_BYTES: Final = 16 * 1024 * 1024


@contextmanager
def output_file(
    path: Path, *, private: bool = False, replace: bool = True, own: bool = False
) -> Iterator[Callable[[bytes], None]]:
    """Prepare to write a file whole or not at all.

    Entry raises if the file cannot be written, before the caller does any work. The old content stays until the new
    content is on the disk. The folder is opened once, so that it cannot be exchanged meanwhile.

    Args:
        path: The file. A symbolic link is refused; folders above may be links.
        private: Whether only the owner may read the file. A file that was private stays private in any case.
        replace: Whether an existing file may be replaced; this is checked when the new file is put in place.
        own: Whether an authority writes a file of its own. Other files are not written into an authority's folder, nor
            into a version of a published tree.

    Yields:
        A function that takes the content and puts the file in place. It may be called once; without a call nothing
        changes.

    Raises:
        OSError: The file cannot or may not be written, on entry or at the call; ``FileExistsError`` at the call if the
            file exists and may not be replaced.
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

    The content of the folders above decides, whatever their names and the links that lead to them.

    Args:
        path: The file or folder that is to be written.

    Returns:
        The folder that it lies in, with no link on the way to it.

    Raises:
        PermissionError: The output lies in such a folder or tree.
        OSError: The output is a symbolic link, or its folder cannot be read.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a symbolic link: name what it leads to")
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
    """The id of the authority whose published tree has this folder as a version; None if the folder is no version.

    Args:
        folder: The folder. A link to it is followed; a link in the place of its index is not.
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
    """Require that the place of an output holds a regular file or nothing."""
    if not name:  # of the folder itself
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    try:
        there = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not replace:
        raise FileExistsError(errno.EEXIST, "it is there already")
    if stat.S_ISLNK(there.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link: name what it leads to")
    if not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, "no regular file: name another output file")
    return there


def _place(folder: int, beside: str, name: str, *, replace: bool) -> None:
    """Rename a complete temporary file to its final name."""
    if not replace:
        try:
            os.link(beside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as exc:
            if exc.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}:
                raise  # a file that came meanwhile is one of these
        else:
            return
    os.replace(beside, name, src_dir_fd=folder, dst_dir_fd=folder)

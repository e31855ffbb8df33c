"""The folder of an authority: files written whole or not at all, one process at a time, and what they remember.

This is what makes `issuer.authority` safe against crashes, full disks and damaged files.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

from issuer.keystore import SecretHandler, secret_from_environment, secret_from_file
from mdl import files
from mdl.errors import DecodeError, SigningError

__all__ = [
    "LOCK_FILE",
    "Exposure",
    "PinSource",
    "State",
    "StorePlace",
    "close_to_others",
    "exposure",
    "lock",
    "make_folders",
    "output_file",
    "read_file",
    "remove_lock",
    "unplaced_files",
    "unwritable",
    "write_file",
]

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""Largest file that is read, in bytes, inclusive."""

LOCK_FILE: Final = ".mdl.lock"
"""The file of a folder's lock."""

_LOCK_MODE: Final = 0o600
_UNPLACED: Final = re.compile(r"\..+\.[0-9a-f]{8}\.tmp", re.DOTALL)
_PATIENCE: Final = 30.0
"""Seconds to wait for another process that works in the folder."""


# --- Files -----------------------------------------------------------------------------------------------------------


def unwritable(
    path: Path, exc: OSError, *, undone: str = "nothing was issued", code: str = "authority.unwritable"
) -> SigningError:
    """The error about a file that the system does not let us write.

    Args:
        path: The file.
        exc: What the system says.
        undone: What has not been done for it.
        code: The error's code.
    """
    reason = exc.strerror or type(exc).__name__
    return SigningError(f"cannot write {path}: {reason}; {undone}", code=code)


@contextmanager
def output_file(
    path: Path, *, private: bool = False, replace: bool = True, own: bool = False
) -> Iterator[Callable[[bytes], None]]:
    """Get ready to write a file whole or not at all; see `mdl.files.output_file`.

    That the file can be written is found out on entry, before anything is signed for it. What was there before stays
    until the new content is on the disk.

    Args:
        path: The file; a symbolic link is refused.
        private: Whether only the owner may read it.
        replace: Whether a file that is there may be replaced.
        own: Whether an authority writes a file of its own: nothing else is written into its folder.

    Yields:
        A function that takes the content and puts the file in place; without a call nothing changes.

    Raises:
        SigningError: The file cannot be written (code ``authority.unwritable``), on entry or at the call.
    """
    with ExitStack() as stack:
        try:
            write = stack.enter_context(files.output_file(path, private=private, replace=replace, own=own))
        except OSError as exc:
            raise unwritable(path, exc) from exc

        def commit(content: bytes) -> None:
            try:
                write(content)
            except OSError as exc:
                raise unwritable(path, exc) from exc

        yield commit


def write_file(path: Path, content: bytes, *, private: bool = False, own: bool = True) -> None:
    """Write a file whole or not at all, one of the authority's own unless that is said; see `output_file`."""
    with output_file(path, private=private, own=own) as commit:
        commit(content)


def unplaced_files(folder: Path) -> list[Path]:
    """What `output_file` leaves in a folder where the process dies before the file has its name."""
    return [one for one in folder.iterdir() if _UNPLACED.fullmatch(one.name) and not one.is_symlink() and one.is_file()]


def read_file(path: Path) -> bytes:
    """Read a file of the folder.

    Raises:
        DecodeError: It cannot be read or is too large (code ``authority.unreadable``).
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        message = f"cannot read {path}: {exc.strerror or type(exc).__name__}"
        raise DecodeError(message, code="authority.unreadable") from exc
    if len(content) > MAX_FILE_BYTES:
        raise DecodeError(f"{path} is larger than {MAX_FILE_BYTES} bytes", code="authority.unreadable")
    return content


class Exposure(NamedTuple):
    """What others may do with a file of an authority.

    Attributes:
        is_open: Whether everybody may; otherwise the file's group.
        text: The same for people.
    """

    is_open: bool
    text: str


def exposure(path: Path, *, secret: bool) -> Exposure | None:
    """What others than its owner may do with a file or folder that they should not; None for nothing, or no file.

    A secret may be read by nobody else; everything else may be written by nobody else. A group that may read a secret,
    or write the rest, is told and can be meant: systems that hand secrets to services do so.

    Args:
        path: The file or folder.
        secret: Whether its content is to be kept from others.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if secret and mode & 0o027:
        what = "everybody can use" if mode & 0o007 else "a group can write"
        return Exposure(is_open=True, text=f"{what} {path} (mode {mode & 0o777:03o}): it is a secret")
    if not secret and mode & 0o002:
        return Exposure(is_open=True, text=f"everybody can write {path} (mode {mode & 0o777:03o})")
    if mode & (0o070 if secret else 0o020):
        what = "read" if secret else "write"
        return Exposure(is_open=False, text=f"the group of {path} can {what} it (mode {mode & 0o777:03o})")
    return None


def make_folders(folder: Path) -> None:
    """Make a folder, and those above it, where they are not: others never may write there, whatever the umask.

    Raises:
        OSError: One cannot be made.
    """
    for one in (*reversed(folder.parents), folder):
        if not one.is_dir():
            one.mkdir(mode=0o755, exist_ok=True)


def close_to_others(folder: Path) -> None:
    """Take from everybody the right to write in a folder that is about to become an authority's.

    Raises:
        OSError: It is somebody else's.
    """
    mode = folder.stat().st_mode
    if mode & 0o002:
        folder.chmod(mode & 0o775)


@contextmanager
def lock(folder: Path, *, exclusive: bool, name: str = LOCK_FILE) -> Iterator[None]:
    """Wait until no other process changes the folder, and keep it so.

    What is locked is a file of the folder that only its owner can open: whoever can open a file can lock it. The file
    stays.

    Args:
        folder: The folder.
        exclusive: Whether nobody else may have the lock; otherwise several may who change nothing.
        name: The file.

    Raises:
        DecodeError: There is no folder (code ``authority.missing``).
        SigningError: Somebody else keeps the lock (code ``authority.busy``), the file cannot be made
            (``authority.unwritable``), or it is a link or somebody else's (``authority.lock``).
    """
    try:
        place = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except OSError as exc:
        message = f"cannot open the folder {folder}: {exc.strerror}: make one with mdl issuer init"
        raise DecodeError(message, code="authority.missing") from exc
    try:
        descriptor = _locked(place, folder / name, exclusive=exclusive)
        try:
            yield
        finally:
            os.close(descriptor)  # and with it the lock
    finally:
        os.close(place)


def remove_lock(folder: Path) -> None:
    """Take the file of a lock away, for a folder that is to be as it was; whoever holds the lock does."""
    with suppress(OSError):
        (folder / LOCK_FILE).unlink()


def _locked(place: int, file: Path, *, exclusive: bool) -> int:
    """The descriptor of the lock's file, with the lock."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        descriptor = _open_lock(place, file)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(file.name, dir_fd=place, follow_symlinks=False)):
                    return descriptor
        except BlockingIOError as exc:
            if time.monotonic() > deadline:
                os.close(descriptor)
                message = f"another process works in {file.parent}: try again when it is done"
                raise SigningError(message, code="authority.busy", retryable=True) from exc
            time.sleep(0.02)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it is held, or was taken away while we waited for it


def _open_lock(place: int, file: Path) -> int:
    """Open the lock's file, which is ours, and which nobody else can open."""
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(file.name, flags, 0o600, dir_fd=place)
    except OSError as exc:
        if exc.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            message = f"{file} is a symbolic link or no file, and no lock: take it away"
            raise SigningError(message, code="authority.lock") from exc
        raise unwritable(file, exc) from exc
    try:
        found, owner = os.fstat(descriptor), os.fstat(place).st_uid
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in {os.geteuid(), owner}:
            message = f"{file} is no file of the folder's owner, who alone may lock it: take it away"
            raise SigningError(message, code="authority.lock")
        if stat.S_IMODE(found.st_mode) != _LOCK_MODE:
            os.fchmod(descriptor, _LOCK_MODE)
        if found.st_uid != owner and os.geteuid() == 0:
            os.fchown(descriptor, owner, -1)  # or root would lock out whose folder it is
    except OSError as exc:
        os.close(descriptor)
        raise unwritable(file, exc) from exc
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


# --- What the folder remembers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PinSource:
    """Where a token's PIN comes from; never the PIN itself. Exactly one of the two is given.

    Attributes:
        environment: Name of an environment variable.
        file: Path of a file; a relative one lies below the authority's folder.
    """

    environment: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        if (self.environment is None) == (self.file is None):
            msg = "a PIN comes from an environment variable or from a file"
            raise ValueError(msg)

    def handler(self, folder: Path) -> SecretHandler:
        """The handler that reads the PIN when it is asked for."""
        if self.environment is not None:
            return secret_from_environment(self.environment)
        return secret_from_file(folder / str(self.file))


@dataclass(frozen=True, slots=True, kw_only=True)
class StorePlace:
    """A store in PostgreSQL: where it is, and where its password comes from.

    Attributes:
        dsn: What libpq takes, without a password.
        password: Where the password comes from; None leaves that to libpq.
    """

    dsn: str
    password: PinSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The content of ``authority.json``: what belongs to this host and not to the authority.

    Attributes:
        ready: False until the founding is finished.
        token: URI of the token with the keys.
        softhsm: Whether that is a SoftHSM token of the folder's own.
        pin: Where its PIN comes from.
        iaca_key: Label that the root key got at the founding.
        store: The store in PostgreSQL, or None for ``authority.db`` in the folder.
    """

    ready: bool
    token: str
    softhsm: bool
    pin: PinSource | None
    iaca_key: str
    store: StorePlace | None = None

    def encode(self) -> bytes:
        """The content of the file, JSON."""
        store = None
        if self.store is not None:
            store = {"dsn": self.store.dsn, "password": _source_members(self.store.password)}
        members = {
            "version": 2,
            "ready": self.ready,
            "token": self.token,
            "softhsm": self.softhsm,
            "pin": _source_members(self.pin),
            "iaca_key": self.iaca_key,
            "store": store,
        }
        return (json.dumps(members, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def decode(cls, content: bytes, file: Path) -> State:
        """Read the file's content strictly: nothing missing, nothing unknown, every member of its type.

        Raises:
            DecodeError: Something is not so (codes ``authority.state`` and ``authority.version``).
        """
        fault = None
        members: Any = None
        try:
            members = json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
        except json.JSONDecodeError as exc:
            fault = f"not JSON (line {exc.lineno}, column {exc.colno})"
        except (ValueError, RecursionError) as exc:
            fault = "not UTF-8" if isinstance(exc, UnicodeDecodeError) else "a member twice, or nested too deeply"
        if fault is not None:
            _spoilt(file, fault, "")
        reading = _Reading(members, file, "")
        if reading.take("version", int) != 2:
            message = f"{file} was written by another version of this program"
            raise DecodeError(message, code="authority.version", path="version")
        store: StorePlace | None = None
        if (given := reading.take("store", dict, type(None))) is not None:
            inner = _Reading(given, file, "store.")
            store = StorePlace(dsn=inner.take("dsn", str), password=inner.take_source("password"))
            inner.finish()
        state = cls(
            ready=reading.take("ready", bool),
            token=reading.take("token", str),
            softhsm=reading.take("softhsm", bool),
            pin=reading.take_source("pin"),
            iaca_key=reading.take("iaca_key", str),
            store=store,
        )
        reading.finish()
        return state


def _source_members(source: PinSource | None) -> dict[str, str] | None:
    if source is None:
        return None
    return {"file": str(source.file)} if source.environment is None else {"environment": source.environment}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a member twice"
        raise ValueError(msg)
    return members


def _spoilt(file: Path, what: str, path: str) -> NoReturn:
    raise DecodeError(f"{file} is damaged, restore it from a backup: {what}", code="authority.state", path=path)


class _Reading:
    """Takes the members of a JSON object one by one, each of its type; what is left over is one too many."""

    def __init__(self, members: Any, file: Path, prefix: str) -> None:
        if type(members) is not dict:
            _spoilt(file, "not an object", prefix.rstrip("."))
        self._members = dict(members)
        self._file = file
        self._prefix = prefix

    def take(self, name: str, *kinds: type) -> Any:
        if name not in self._members:
            _spoilt(self._file, "missing", self._prefix + name)
        value = self._members.pop(name)
        if type(value) not in kinds:
            _spoilt(self._file, "of a wrong type", self._prefix + name)
        return value

    def take_source(self, name: str) -> PinSource | None:
        """Take where a secret comes from."""
        given = self.take(name, dict, type(None))
        if given is None:
            return None
        inner = _Reading(given, self._file, f"{self._prefix}{name}.")
        member = "environment" if "environment" in given else "file"
        source = PinSource(**{member: inner.take(member, str)})
        inner.finish()
        return source

    def finish(self) -> None:
        if self._members:
            _spoilt(self._file, "a member that is not known here", self._prefix.rstrip("."))

"""How a key is named, and how the secret that opens it is asked for.

A key is named by a URI: ``pkcs11:token=mdl;object=iaca?module-path=/usr/lib/softhsm/libsofthsm2.so`` or
``file:/etc/mdl/ds.pem``. A PIN or password never stands in it. It comes from a *secret handler*, which is called with
what is asked for and answers with the secret: out of a file, an environment variable that the user named, or a prompt.
"""

from __future__ import annotations

import hmac
import logging
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from mdl.errors import SigningError

_log = logging.getLogger(__name__)

__all__ = [
    "Pkcs11Uri",
    "Secret",
    "SecretHandler",
    "attributes_of",
    "file_of",
    "invalid_uri",
    "scheme_of",
    "secret_from_environment",
    "secret_from_file",
]

SecretHandler: TypeAlias = Callable[[str], str]
"""Called with what is asked for, for example ``PIN of token 'mdl'``; answers with the PIN or password."""

_MAX_SECRET_SIZE: Final = 4096
"""Longest secret read from a file, in bytes."""


class Secret:
    """A PIN or password that no repr, log line or traceback shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def ask(cls, handler: SecretHandler, prompt: str) -> Secret:
        """Ask the user's handler.

        Raises:
            SigningError: It answered with nothing (code ``signing.secret_missing``).
        """
        secret = cls(handler(prompt))
        if not secret._value:
            raise SigningError(f"no secret was given: {prompt}", code="signing.secret_missing")
        return secret

    def reveal(self) -> str:
        """The secret itself. Pass it on; do not keep it in a variable."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Secret(…)"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is not pickled")


def secret_from_environment(variable: str) -> SecretHandler:
    """Make a handler that reads an environment variable, which the user named, each time it is asked."""

    def read(prompt: str) -> str:
        if not os.environ.get(variable):
            raise SigningError(
                f"{prompt}: the environment variable {variable} is not set", code="signing.secret_missing"
            )
        return os.environ[variable]

    return read


def secret_from_file(path: str | os.PathLike[str]) -> SecretHandler:
    """Make a handler that reads a file each time it is asked.

    The file holds the secret in UTF-8 on one line. Neither the end of the line nor a byte order mark belongs to it. One
    that everybody can use, or a group can write, is closed to them; where it is somebody else's it is refused (code
    ``signing.secret_open``).
    """
    source = Path(path)

    def read(prompt: str) -> str:
        # No cause is chained and no variable keeps the text: a decoding error carries the bytes, a traceback may show
        # variables.
        try:
            with source.open("rb") as stream:
                _close_to_others(stream.fileno(), source, prompt)
                lines = stream.read(_MAX_SECRET_SIZE + 1).decode("utf-8-sig").splitlines()
        except OSError as exc:
            reason = exc.strerror or "unreadable"
        except UnicodeDecodeError:
            reason = "it is not UTF-8"
        else:
            if len(lines) == 1 and 0 < len(lines[0]) <= _MAX_SECRET_SIZE:
                return lines[0]
            del lines
            reason = "it must hold exactly one line"
        raise SigningError(f"{prompt}: cannot take the secret from {source}: {reason}", code="signing.secret_missing")

    return read


def _close_to_others(descriptor: int, source: Path, prompt: str) -> None:
    """Take from others what they can do with the file of a secret, and say so: they may have read it before.

    Raises:
        SigningError: It is not ours to change (code ``signing.secret_open``).
    """
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o027:
        return
    what = f"others could use {source} (mode {found.st_mode & 0o777:03o})"
    try:
        if found.st_uid != os.geteuid():
            raise PermissionError
        os.fchmod(descriptor, found.st_mode & 0o740)
    except OSError:
        message = f"{prompt}: {what}: chmod 600 it, and change the secret"
        raise SigningError(message, code="signing.secret_open") from None
    _log.warning("%s: it is closed now; change the secret", what)


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case.

    Raises:
        SigningError: There is none (code ``signing.uri_invalid``).
    """
    scheme, colon, _ = uri.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise invalid_uri("a key is named by a URI such as pkcs11:… or file:…")
    return scheme.lower()


def file_of(uri: str) -> Path:
    """The path that a ``file:`` URI names; a relative one is taken from the working directory.

    Raises:
        SigningError: It names no local file (code ``signing.uri_invalid``).
    """
    path = uri.partition(":")[2]
    if path.startswith("//"):
        host, slash, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise invalid_uri("a file: URI names a file of this machine, as in file:/path/to/key.pem")
        path = slash + rest
    try:
        text = _unescape("path", path).decode("utf-8")
    except UnicodeDecodeError:
        raise invalid_uri("the path is not UTF-8") from None
    if not text or "\0" in text:
        raise invalid_uri("a file: URI needs a path, as in file:/path/to/key.pem")
    return Path(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Uri:
    """A ``pkcs11:`` URI: which module, which token in it, which key on the token.

    ``pkcs11:token=LABEL;object=KEY;id=%01?module-path=/path/to/module.so&pin-source=file:/path``. Everything may be
    left out but the module's path and one way to name the token (``token``, ``serial`` or ``slot-id``).

    Attributes:
        module_path: Absolute path of the PKCS#11 library. A URI may say ``module-name=softhsm2`` instead: the library
            of that name in one of the system's folders (`MODULE_FOLDERS`), or in the folder that module-path names.
        token: Label of the token.
        serial: Serial number of the token.
        manufacturer: Manufacturer of the token.
        model: Model of the token.
        slot_id: Slot number.
        slot_description: Description of the slot.
        slot_manufacturer: Manufacturer of the slot.
        library_manufacturer: Manufacturer of the PKCS#11 library.
        library_description: Description of the library.
        library_version: Version of the library, as ``2.6`` or ``2``.
        label: Label of the key (``object`` in the URI).
        id: Identifier of the key.
        pin_source: Path of a file that holds the user PIN; it goes before the caller's secret handler.
        configuration: Path of the configuration of SoftHSM that has the token (``softhsm2-conf`` in the query of the
            URI, an attribute of our own); None takes what ``SOFTHSM2_CONF`` says when the token is opened.

    Spec:
        RFC 7512. A PIN inside the URI (``pin-value``) and a command as the PIN's source are refused.
    """

    module_path: str
    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot_id: int | None = None
    slot_description: str | None = None
    slot_manufacturer: str | None = None
    library_manufacturer: str | None = None
    library_description: str | None = None
    library_version: str | None = None
    label: str | None = None
    id: bytes | None = None
    pin_source: str | None = None
    configuration: str | None = None

    @classmethod
    def parse(cls, uri: str) -> Pkcs11Uri:
        """Read a URI.

        Raises:
            SigningError: It is not one that we can serve (code ``signing.uri_invalid``). The message holds no values.
        """
        if scheme_of(uri) != "pkcs11":
            raise invalid_uri("it does not begin with pkcs11:")
        path, _, query = uri.partition(":")[2].partition("?")
        found = attributes_of(path, ";", _PATH_ATTRIBUTES) | attributes_of(query, "&", _QUERY_ATTRIBUTES)
        if found.pop("type", b"private") != b"private":
            raise invalid_uri("only type=private names a key that signs")
        fields: dict[str, Any] = {}
        for name, raw in found.items():
            field_name = _PATH_ATTRIBUTES.get(name) or _QUERY_ATTRIBUTES[name]
            if not raw:
                raise invalid_uri(f"{name} is empty")
            if name == "id":
                fields[field_name] = raw
                continue
            try:
                fields[field_name] = raw.decode("utf-8")
            except UnicodeDecodeError:
                raise invalid_uri(f"{name} is not UTF-8") from None
            if "\0" in fields[field_name]:
                raise invalid_uri(f"{name} holds a null character")
        if "slot_id" in fields:
            if not re.fullmatch(r"[0-9]{1,18}", fields["slot_id"]):
                raise invalid_uri("slot-id is not a number")
            fields["slot_id"] = int(fields["slot_id"])
        if not Path(fields.get("configuration", "/")).is_absolute():
            raise invalid_uri("softhsm2-conf must give the absolute path of SoftHSM's configuration")
        if "pin_source" in fields:
            fields["pin_source"] = _pin_source_path(fields["pin_source"])
        if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", fields.get("library_version", "0")):
            raise invalid_uri("library-version is a number, or two with a point between them")
        if "module_name" in fields:
            fields["module_path"] = _find_module(fields.pop("module_name"), fields.get("module_path"))
        if not Path(fields.get("module_path", "")).is_absolute():
            raise invalid_uri(
                "module-path must give the absolute path of the PKCS#11 library, as in ?module-path=/usr/lib/…, or "
                "module-name its name"
            )
        if not {"token", "serial", "slot_id"} & fields.keys():
            raise invalid_uri("name the token: token=LABEL, serial=… or slot-id=…")
        return cls(**fields)

    def for_key(self, label: str | None, *, id: bytes | None = None) -> str:  # noqa: A002 - PKCS#11's own word
        """The URI of a key on the same token."""
        return str(replace(self, label=label, id=id))

    def __str__(self) -> str:
        path = [
            f"{name}={quote(str(value), safe=_UNESCAPED)}"
            for name, value in (
                ("token", self.token),
                ("serial", self.serial),
                ("manufacturer", self.manufacturer),
                ("model", self.model),
                ("slot-id", self.slot_id),
                ("slot-description", self.slot_description),
                ("slot-manufacturer", self.slot_manufacturer),
                ("library-manufacturer", self.library_manufacturer),
                ("library-description", self.library_description),
                ("library-version", self.library_version),
                ("object", self.label),
            )
            if value is not None
        ]
        if self.id is not None:
            path.append("id=" + "".join(f"%{octet:02X}" for octet in self.id))
        query = [f"module-path={quote(self.module_path, safe=_UNESCAPED + '/')}"]
        if self.pin_source is not None:
            query.append(f"pin-source=file:{quote(self.pin_source, safe=_UNESCAPED + '/')}")
        if self.configuration is not None:
            query.append(f"softhsm2-conf={quote(self.configuration, safe=_UNESCAPED + '/')}")
        return f"pkcs11:{';'.join(path)}?{'&'.join(query)}"

    def describe(self) -> str:
        """The token as a message names it."""
        if self.token is not None:
            return f"token '{self.token}'"
        return f"token with serial '{self.serial}'" if self.serial is not None else f"token in slot {self.slot_id}"


_PATH_ATTRIBUTES: Final[Mapping[str, str]] = {
    "token": "token",
    "serial": "serial",
    "manufacturer": "manufacturer",
    "model": "model",
    "slot-id": "slot_id",
    "slot-description": "slot_description",
    "slot-manufacturer": "slot_manufacturer",
    "library-manufacturer": "library_manufacturer",
    "library-description": "library_description",
    "library-version": "library_version",
    "object": "label",
    "id": "id",
    "type": "type",
}
_QUERY_ATTRIBUTES: Final[Mapping[str, str]] = {
    "module-path": "module_path",
    "module-name": "module_name",
    "pin-source": "pin_source",
    "softhsm2-conf": "configuration",
}
_UNESCAPED: Final = "-._~:[]@!$'()*+,="


MODULE_FOLDERS: Final = (
    "/usr/lib/softhsm",
    "/usr/lib/pkcs11",
    "/usr/lib64/softhsm",
    "/usr/lib64/pkcs11",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib/softhsm",
    "/usr/local/lib/pkcs11",
    "/usr/local/lib",
    "/opt/homebrew/lib/softhsm",
    "/opt/homebrew/lib",
)
"""Where a library is looked for by its name. Below ``/usr/lib`` also in the folder of the machine's architecture."""


def _find_module(name: str, folder: str | None) -> str:
    """The path of the library of a name: ``libNAME.so``, ``NAME.so`` or what is such on other systems.

    Raises:
        SigningError: The name is none, there is no such library, or the path beside it is another library's.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}", name):
        raise invalid_uri("module-name is the name of a PKCS#11 library, without a folder, as softhsm2")
    files = [f"{prefix}{name}{end}" for prefix in ("lib", "") for end in (".so", ".dylib", "")]
    if folder is not None and not Path(folder).is_dir():
        if Path(folder).name.split(".so")[0].removesuffix(".dylib") not in (name, f"lib{name}"):
            raise invalid_uri("module-name and module-path name two libraries")
        return folder
    folders = [folder] if folder is not None else [*MODULE_FOLDERS, *_of_architecture()]
    for place in folders:
        for file in files:
            if Path(place, file).is_file():
                return str(Path(place, file))
    raise SigningError(
        f"there is no PKCS#11 library {name} in the folders of this system: install it, or give its module-path",
        code="signing.module_missing",
    )


def _of_architecture() -> list[str]:
    try:
        below = sorted(one for one in Path("/usr/lib").glob("*-linux-gnu*") if one.is_dir())
    except OSError:
        return []
    return [str(one / name) for one in below for name in ("softhsm", "pkcs11", ".")]


def invalid_uri(reason: str) -> SigningError:
    """The error about a URI that names no key for us."""
    return SigningError(f"the key URI cannot be used: {reason}", code="signing.uri_invalid")


def attributes_of(text: str, separator: str, known: Mapping[str, str]) -> dict[str, bytes]:
    """The ``name=value`` parts of a URI, unescaped; each name is known and occurs once.

    Raises:
        SigningError: It is otherwise (code ``signing.uri_invalid``).
    """
    found: dict[str, bytes] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise invalid_uri("pin-value would put the PIN on a command line; use pin-source or a secret handler")
        if not equals or name not in known:
            # Only what looks like a name is shown: the rest might be a misplaced secret.
            raise invalid_uri(
                f"attribute {name} is unknown here"
                if equals and re.fullmatch(r"[a-z-]{1,24}", name)
                else "an attribute is malformed"
            )
        if name in found:
            raise invalid_uri(f"{name} is given twice")
        found[name] = _unescape(name, value)
    return found


def _unescape(name: str, value: str) -> bytes:
    if re.search(r"%(?![0-9A-Fa-f]{2})", value):
        raise invalid_uri(f"{name} has a broken percent escape")
    return unquote_to_bytes(value)


def _pin_source_path(source: str) -> str:
    path = source.removeprefix("file:")
    if source.startswith("file:///"):
        path = path.removeprefix("//")
    if not path.startswith("/") or path.startswith("//"):
        raise invalid_uri("pin-source must be a file, as in pin-source=file:/run/secrets/pin")
    return path

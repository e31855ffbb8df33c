"""Addresses at which an authority is looked for, judged in one way wherever they are taken.

Readers look for CRLs and status lists at addresses that stand in certificates and credentials for years. What cannot be
published at its address later is refused when the address is taken: by `mdl issuer init`, `rekey`, `certify`, `issue`,
`publish` and whatever else takes one.

    a plain file   http or https, a host, a path of its own without a query: any web server can serve it
    no secret      no user name and no password
    its own        no path that another file has, or that lies in one; the host is not looked at, since where several
                   hosts serve a published tree they all serve the same
    a template     the id of a list stands in the path, so that each list has another one
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

from mdl.errors import LocalProtocolError

__all__ = ["LIST_ID", "RESERVED", "check_address", "check_template", "folders_of", "path_of"]

LIST_ID: Final = "{list}"
"""What stands for a list's id in a template."""

RESERVED: Final = frozenset({"roots", "index.json"})
"""What a published tree keeps for itself."""

_LONGEST: Final = 1000
_PLAIN: Final = re.compile(r"https?://[\x21-\x7e]+")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_~@+,=-][A-Za-z0-9._~@+,=-]{0,199}")
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?|[0-9a-fA-F:]+(?:%[A-Za-z0-9]+)?")
_IDS: Final = ("0" * 16, "f" * 16)


def path_of(url: str) -> str:
    """Where in a published tree a file lies so that a server finds it under its address.

    Args:
        url: The address.

    Returns:
        The path, with slashes, relative to the document root.

    Raises:
        LocalProtocolError: A plain file cannot be served there (code ``publish.address``).
    """
    problem, path = _judge(url)
    if problem:
        # The address may have a password in it: only what is plain about it is told.
        shown = (
            url if "@" not in url.split("/", 3)[2:3] and _PLAIN.fullmatch(url) and "@" not in url else "this address"
        )
        message = f"no plain file can be served at {shown}: {problem}"
        raise LocalProtocolError(message, code="publish.address")
    return path


def check_address(url: str, taken: Iterable[str] = ()) -> str:
    """Hold an address against what publishing needs, and against the addresses that are taken.

    Args:
        url: The address.
        taken: Addresses, or templates of such, that other files have.

    Returns:
        The path of the file in a published tree.

    Raises:
        LocalProtocolError: A plain file cannot be served there (code ``publish.address``), or another file has its
            place (``publish.conflict``).
    """
    path = path_of(url)
    for other in taken:
        for one in _instances(other):
            problem, place = _judge(one)
            if not problem and _conflict(path, place):
                message = f"{url} has the place of another file, or lies in one: choose an address with another path"
                raise LocalProtocolError(message, code="publish.conflict")
    return path


def check_template(template: str, taken: Iterable[str] = ()) -> None:
    """Hold a template of addresses against what publishing needs: each list gets a place of its own.

    Args:
        template: The address, in which ``{list}`` stands for a list's id, once.
        taken: Addresses, or templates of such, that other files have.

    Raises:
        LocalProtocolError: It is no template (code ``status.url``), lists cannot be served there
            (``publish.address``), or would have the place of another file, or of each other (``publish.conflict``).
    """
    if template.count(LIST_ID) != 1:
        message = "the address of the lists has {list} in it, once: it stands for the list's id"
        raise LocalProtocolError(message, code="status.url")
    first, second = (check_address(one, taken) for one in _instances(template))
    if first == second or _conflict(first, second):
        message = "the address of the lists needs {list} in its path, so that each list has a place of its own"
        raise LocalProtocolError(message, code="publish.conflict")


def folders_of(path: str) -> set[str]:
    """The folders in which a file of a tree lies, the document root left out."""
    parts = path.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts))}


def _conflict(path: str, other: str) -> bool:
    """Whether two files of a tree cannot both be there: the same place, or one lies in the other."""
    return path == other or path in folders_of(other) or other in folders_of(path)


def _instances(template: str) -> list[str]:
    return [template.replace(LIST_ID, one) for one in (_IDS if LIST_ID in template else _IDS[:1])]


def _judge(url: str) -> tuple[str, str]:
    """What is wrong with an address, and its path if nothing is."""
    if not _PLAIN.fullmatch(url) or len(url) > _LONGEST:
        return (
            f"it begins with http:// or https://, is plain ASCII without spaces, and has {_LONGEST} characters at most",
            "",
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "its host or port is none", ""
    segments = [unquote(one) for one in parts.path.removeprefix("/").split("/")]
    if "@" in parts.netloc:
        return "it has a user name or a password in it", ""
    if not _HOST.fullmatch(host) or port == 0 or parts.netloc.endswith(":"):
        return "its host or port is none", ""
    if "?" in url or "#" in url:
        return "it needs a path of its own, without a query", ""
    if not all(map(_SEGMENT.fullmatch, segments)):
        return "it needs a path of its own, of letters, digits and a few marks, with no part that begins with a dot", ""
    if segments[0] in RESERVED:
        return f"the published tree keeps {segments[0]} for itself", ""
    return "", "/".join(segments)

"""Whether anybody can use an address: an e-mail address, a host, a URI."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[!#-;=?-Z\[\]_a-z~%]+\Z")

_WEB_URI: Final = re.compile(
    r"https?://(?:[^@/?#]*@)?(\[[^\]/?#@]*\]|[^\[\]:/?#@]*)(?::([0-9]*))?(?:[/?#]|\Z)", re.IGNORECASE
)

_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?\.?\Z"
)

_LOCAL_PART: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-]+)*\Z|\"[ -!#-\[\]-~]+\"\Z"
)


def is_email(text: str) -> bool:
    """Whether a text is an e-mail address: a local part and a host."""
    local, at, host = text.rpartition("@")
    return bool(at and _LOCAL_PART.match(local)) and _is_host(host)


def _is_host(text: str) -> bool:
    if text.startswith("["):
        return text.endswith("]") and _is_address(text[1:-1].removeprefix("IPv6:"))
    return _HOST.match(text) is not None and len(text) <= 253


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_dns_name(text: str) -> bool:
    """Whether a text is a host name, also one with a wildcard as its first label."""
    return _is_host(text.removeprefix("*.")) and not text.startswith("[")


def is_uri(text: str) -> bool:
    """Whether a URI is absolute, in the characters of URIs, and has a host where its scheme asks for one."""
    if not URI.match(text):
        return False
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "mailto":
        return all(is_email(one) for one in rest.partition("?")[0].split(","))
    return scheme.lower() not in ("http", "https") or web_problem(text) is None


def web_problem(uri: str) -> str | None:
    """Why nobody can fetch from an http or https address."""
    if not URI.match(uri):
        return "with a blank, or with another character that no URI has"
    found = _WEB_URI.match(uri)
    if found is None or not found[1]:
        return "without a host"
    if not _is_host(found[1]) or (found[2] and int(found[2][:6]) not in range(1, 65_536)):
        return "whose host or port is none"
    return None

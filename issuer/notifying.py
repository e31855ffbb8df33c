"""Telling somebody: a command that gets JSON on its standard input, or a webhook to which it is posted.

Both are bounded in time. A command is run as it is, by no shell; a webhook is https, or http on this machine.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import shlex
import ssl
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from issuer.children import run_command
from issuer.connecting import connected, target
from mdl.errors import FetchError, LocalProtocolError

__all__ = ["MAX_NOTICE_BYTES", "check_webhook", "notify_command", "notify_webhook", "split_command"]

MAX_NOTICE_BYTES: Final = 1024 * 1024
"""Longest notice, in bytes, inclusive."""

_TIMEOUT: Final = 30.0


def _encoded(notice: Mapping[str, Any]) -> bytes:
    body = json.dumps(notice).encode()
    if len(body) > MAX_NOTICE_BYTES:
        raise LocalProtocolError(f"a notice of more than {MAX_NOTICE_BYTES} bytes", code="notify.size")
    return body


# --- a command -------------------------------------------------------------------------------------------------------


def split_command(text: str) -> list[str]:
    """A command line as words, as a shell would split it; nothing else of a shell is done.

    Raises:
        LocalProtocolError: It is empty, or a quote is open (code ``notify.command_line``).
    """
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise LocalProtocolError("the notifier's command has an open quote", code="notify.command_line") from exc
    if not words:
        raise LocalProtocolError("the notifier's command is empty", code="notify.command_line")
    return words


def notify_command(words: list[str], notice: Mapping[str, Any], *, timeout: float = _TIMEOUT) -> None:
    """Run a command with a notice on its standard input; what it prints is dropped.

    It gets the few environment variables of `issuer.children`, and no secret.

    Args:
        words: The program and its arguments.
        notice: Plain JSON values.
        timeout: Seconds until it is ended.

    Raises:
        FetchError: It cannot be run, takes too long, or ends with another status than 0 (codes ``notify.…``).
    """
    name = words[0]
    try:
        status = run_command(words, _encoded(notice), timeout=timeout)
    except TimeoutError as exc:
        message = f"the notifier's command took longer than {timeout:g} seconds"
        raise FetchError(message, code="notify.timeout", url=name) from exc
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or "no command line"
        message = f"the notifier's command cannot be run: {reason}"
        raise FetchError(message, code="notify.command", url=name) from exc
    if status:
        message = f"the notifier's command ended with status {status}"
        raise FetchError(message, code="notify.command", url=name)


# --- a webhook -------------------------------------------------------------------------------------------------------


def check_webhook(url: str) -> SplitResult:
    """Refuse an address to which no notice is posted.

    Raises:
        LocalProtocolError: It is not https, nor http on this machine, or has a password in it (code ``notify.url``).
    """
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_one = urlsplit(""), False
    secure = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    printable = url.isascii() and url.isprintable() and " " not in url
    if not (secure and parts.hostname and port_is_one and "@" not in parts.netloc and printable):
        message = "a webhook is an https address, or an http address on this machine, without a password in it"
        raise LocalProtocolError(message, code="notify.url")
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def notify_webhook(
    url: str, notice: Mapping[str, Any], *, timeout: float = _TIMEOUT, tls: ssl.SSLContext | None = None
) -> None:
    """Post a notice as JSON. Redirects are not followed; proxies, cookies and credentials are not used.

    Args:
        url: The address, see `check_webhook`.
        notice: Plain JSON values.
        timeout: Seconds for all of it.
        tls: How to verify the server; None trusts the system's authorities.

    Raises:
        LocalProtocolError: The address is not one for a webhook (code ``notify.url``).
        FetchError: The server cannot be reached, takes too long or answers with another status than 2xx (codes
            ``notify.…``).
    """
    parts = check_webhook(url)
    body = _encoded(notice)
    shown = f"{parts.scheme}://{parts.netloc}"  # the rest may be a secret
    try:
        status = _post(parts, body, timeout, tls)
    except TimeoutError as exc:
        message = f"the webhook took longer than {timeout:g} seconds"
        raise FetchError(message, code="notify.timeout", url=shown, retryable=True) from exc
    except ssl.SSLError as exc:
        raise FetchError("the webhook's TLS is not in order", code="notify.tls", url=shown) from exc
    except (http.client.HTTPException, ValueError) as exc:
        raise FetchError("the webhook's answer is not HTTP", code="notify.protocol", url=shown) from exc
    except OSError as exc:
        message = "the webhook cannot be reached"
        raise FetchError(message, code="notify.connect", url=shown, retryable=True) from exc
    if not 200 <= status < 300:
        raise FetchError(f"the webhook answers with status {status}", code="notify.status", url=shown)


def _post(parts: SplitResult, body: bytes, timeout: float, tls: ssl.SSLContext | None) -> int:
    """Post once, and be done with the answer's status; gives that."""
    headers = {"Content-Type": "application/json", "User-Agent": "mdl-sdk", "Connection": "close"}
    with connected(parts, deadline=time.monotonic() + timeout, tls=tls) as connection:
        connection.request("POST", target(parts), body=body, headers=headers)
        return connection.getresponse().status

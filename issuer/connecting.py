"""A connection over HTTP that is over at a moment that is fixed beforehand.

This is what `issuer.notifying` and `issuer.watching` share. The reader has its own, in `reader.fetching`, which also
keeps away from private addresses; the two packages never meet.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult

from mdl.errors import MdlError

__all__ = ["connected", "target"]


@contextmanager
def connected(
    address: SplitResult, *, deadline: float, tls: ssl.SSLContext | None
) -> Iterator[http.client.HTTPConnection]:
    """A connection that is cut off at the deadline: a slow peer gets no more time by sending a byte now and then.

    Args:
        address: An http or https address with a host.
        deadline: When it is over, by `time.monotonic`.
        tls: How to verify the server; None trusts the system's authorities.

    Raises:
        TimeoutError: The deadline has passed, before, in the middle or at the end of what was done.
        OSError: It cannot be made.
    """
    host, secure = address.hostname or "", address.scheme == "https"
    connection = http.client.HTTPConnection(host, address.port or (443 if secure else 80))
    sock = socket.create_connection((connection.host, connection.port), timeout=_left(deadline))
    is_over = threading.Event()

    def cut() -> None:
        is_over.set()
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            sock.close()  # it was on its way out

    timer = threading.Timer(_left(deadline), cut)
    timer.daemon = True
    timer.start()
    try:
        context = tls or ssl.create_default_context() if secure else None
        connection.sock = sock if context is None else context.wrap_socket(sock, server_hostname=host)
        yield connection
        if is_over.is_set():
            raise TimeoutError  # what was cut off may look whole
    except (OSError, ValueError, http.client.HTTPException, MdlError) as exc:
        if is_over.is_set():
            raise TimeoutError from exc
        raise
    finally:
        timer.cancel()
        connection.close()
        sock.close()


def target(address: SplitResult) -> str:
    """What is asked for: the address's path and query."""
    return (address.path or "/") + (f"?{address.query}" if address.query else "")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left

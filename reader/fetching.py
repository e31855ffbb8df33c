"""Fetching of evidence from addresses in certificates and documents. No other module of the reader opens a connection.

`HttpFetcher` is restricted: only hosts on a list, only public addresses, every redirect checked like the first address,
bounded size and time. `reader.evidence` decides what is fetched and kept.

Spec:
    pki.md §7.4 (HTTP, bounds) and online.md §8.4 (resource exhaustion).
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, cast, final
from urllib.parse import urljoin, urlsplit

from mdl.errors import FetchError
from mdl.status import MAX_TOKEN_SIZE, ListKind

__all__ = ["ANY_HOST", "AnyHost", "EvidenceKind", "Fetcher", "HttpFetcher", "is_public", "system_resolver"]


class EvidenceKind(StrEnum):
    """The kinds of evidence."""

    CRL = "crl"
    STATUS_LIST = "status_list"
    IDENTIFIER_LIST = "identifier_list"

    @property
    def media_type(self) -> str:
        """The media type to ask for. The answer is judged by its signature, not by its media type."""
        return "application/pkix-crl" if self is EvidenceKind.CRL else ListKind(self.value).media_type


MAX_EVIDENCE_SIZE: Final = MAX_TOKEN_SIZE
"""Largest CRL or token that is fetched, in bytes, inclusive."""


class Fetcher(Protocol):
    """An object that fetches evidence from an address."""

    def fetch(self, url: str, *, kind: EvidenceKind) -> bytes:
        """Fetch the evidence at an address.

        Raises:
            FetchError: The evidence is unavailable.
        """


# --- HTTP -------------------------------------------------------------------------------------------------------------


@final
class AnyHost:
    """Every host, at the usual ports; there is one instance, `ANY_HOST`."""

    def __repr__(self) -> str:
        return "ANY_HOST"


ANY_HOST: Final = AnyHost()

Resolver = Callable[[str, int], Sequence[str]]
"""Returns the IP addresses of a host, for a port; raises OSError if there is none."""

_PORTS: Final = {"http": 80, "https": 443}
_URL: Final = re.compile(r"[!-\[\]-~]{1,2048}")
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_HOST_ENTRY: Final = re.compile(rf"({_HOST.pattern}|\[(?P<ipv6>[0-9a-f:.]+)\])(:(?P<port>[1-9][0-9]{{0,4}}))?")
_LONGEST_TIMEOUT: Final = 24 * 60 * 60
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_RETRYABLE: Final = frozenset((408, 425, 429, 500, 502, 503, 504))
_HEADER_ALLOWANCE: Final = 256 * 1024
_MAX_ADDRESSES: Final = 4

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_IPV6_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# Tunnels that lead elsewhere than they seem to, and documentation.
_IPV6_SPECIAL: Final = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
# The last one is where a large cloud answers its own machines, under an address that is public by the book.
_IPV4_SPECIAL: Final = tuple(map(ipaddress.IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A checked address.

    Attributes:
        scheme: ``http`` or ``https``.
        host: In lower case, without a dot at the end.
        port: The port.
        path: Path and query, as they go into the request.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """The host as it stands in an address."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return self.name if self.port == _PORTS[self.scheme] else f"{self.name}:{self.port}"


class _Deadline:
    """The time at which a fetch ends, finished or not."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left.

        Raises:
            TimeoutError: No time is left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _Lookups:
    """Name look-ups in progress. A look-up has no time limit, so it runs in a thread, which a fetch may abandon.

    Fetches that ask the same resolver for the same host at the same time share one look-up. At most `limit` look-ups
    are in progress at a time; further fetches wait until one ends, or until their own deadline.
    """

    def __init__(self, limit: int) -> None:
        self._slots = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._under_way: dict[tuple[int, str, int], Future[Sequence[str]]] = {}

    def resolve(self, resolver: Resolver, host: str, port: int, deadline: _Deadline) -> Sequence[str]:
        """The addresses of a host.

        Raises:
            TimeoutError: The deadline has passed.
            Exception: The resolver's own error.
        """
        key = (id(resolver), host, port)
        with self._lock:
            found = self._under_way.get(key)
        if found is None:
            if not self._slots.acquire(timeout=deadline.remaining()):
                raise TimeoutError
            found = self._start(key, resolver)
        return found.result(deadline.remaining())

    def _start(self, key: tuple[int, str, int], resolver: Resolver) -> Future[Sequence[str]]:
        """Begin a look-up in a slot that is reserved, or join the look-up that another fetch has begun meanwhile."""
        with self._lock:
            found = self._under_way.get(key)
            if found is None:
                found = Future()
                # The thread holds the resolver, so that no other one can have its id meanwhile.
                thread = threading.Thread(target=self._work, args=(key, resolver, found), daemon=True)
                try:
                    thread.start()
                except BaseException:
                    self._slots.release()
                    raise
                self._under_way[key] = found
            else:
                self._slots.release()
        return found

    def _work(self, key: tuple[int, str, int], resolver: Resolver, found: Future[Sequence[str]]) -> None:
        result: Sequence[str] = ()
        error: BaseException | None = None
        try:
            result = resolver(*key[1:])
        except BaseException as exc:  # noqa: BLE001 - raised again in the thread of each fetch that waits
            error = exc
        with self._lock:
            del self._under_way[key]
        self._slots.release()
        if error is None:
            found.set_result(result)
        else:
            found.set_exception(error)


_MAX_LOOKUPS: Final = 8
# One for the process: what bounds each fetcher alone would not bound a process that makes many.
_LOOKUPS: Final = _Lookups(_MAX_LOOKUPS)


class _OversizeError(Exception):
    """The answer is larger than allowed."""


class _Wire(io.RawIOBase):
    """The receiving end of a connection, with one deadline and a limit on its bytes."""

    def __init__(self, sock: socket.socket, deadline: _Deadline, limit: int) -> None:
        super().__init__()
        self._socket = sock
        self._deadline = deadline
        self._room = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # A timeout that starts anew with each read would let a slow sender take for ever.
        self._socket.settimeout(self._deadline.remaining())
        size = self._socket.recv_into(buffer)
        self._room -= size
        if self._room < 0:
            raise _OversizeError
        return size


class _TimedSocket:
    """The part of a socket that `http.client` uses."""

    def __init__(self, sock: socket.socket, deadline: _Deadline, limit: int) -> None:
        self._socket = sock
        self._deadline = deadline
        self._limit = limit

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(self._deadline.remaining())
        self._socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Wire(self._socket, self._deadline, self._limit))

    def close(self) -> None:
        """Do nothing: `http.client` closes the socket before it has read a body that ends with the connection."""


def system_resolver(host: str, port: int) -> list[str]:
    """Look up the IP addresses of a host by the system."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def is_public(address: str) -> bool:
    """Whether an IP address is on the public Internet: not private, loopback, link-local or otherwise special.

    Addresses that embed an IPv4 address are judged by it.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is None and found not in _NAT64:
            special = any(found in network for network in _IPV6_SPECIAL)
            return found in _IPV6_UNICAST and found.is_global and not special
        found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    special = found.is_multicast or found.is_reserved or any(found in network for network in _IPV4_SPECIAL)
    return found.is_global and not special


class HttpFetcher:
    """Fetches evidence over HTTP and HTTPS. Proxies, cookies and credentials are not used. Threads may share it."""

    def __init__(
        self,
        *,
        hosts: Iterable[str] | AnyHost,
        allow_private: bool = False,
        timeout: float = 10.0,
        max_size: int = MAX_EVIDENCE_SIZE,
        max_redirects: int = 3,
        tls: ssl.SSLContext | None = None,
        resolver: Resolver = system_resolver,
    ) -> None:
        """Create a fetcher.

        Args:
            hosts: The hosts that may be asked: ``host`` at the scheme's own port, ``host:port`` at that port only; or
                `ANY_HOST`, all of them at the schemes' own ports. A redirect leads to one of them too.
            allow_private: Allow addresses that are not on the public Internet: for an intranet, and for tests.
            timeout: Seconds for everything, redirects included; a day at most.
            max_size: Largest answer in bytes, inclusive.
            max_redirects: Most redirects that are followed.
            tls: How to verify servers; None trusts the system's authorities.
            resolver: Finds the addresses of a host.

        Raises:
            TypeError: `hosts` is a single text, or has an entry that is not text.
            ValueError: There is no host, an entry is not a host (for example an address), or a limit is not positive.
        """
        self._hosts = hosts if isinstance(hosts, AnyHost) else _host_entries(hosts)
        if not 0 < timeout <= _LONGEST_TIMEOUT or max_size <= 0 or max_redirects < 0:
            msg = f"limits are positive, and the timeout is {_LONGEST_TIMEOUT} seconds at most"
            raise ValueError(msg)
        self._allow_private = allow_private
        self._timeout = timeout
        self._max_size = max_size
        self._max_redirects = max_redirects
        self._tls = tls
        self._resolver = resolver

    def fetch(self, url: str, *, kind: EvidenceKind) -> bytes:
        """Fetch the evidence at an address.

        1. The address is http or https, and its host is on the list.
        2. Every IP address of the host is public. The connection goes to one of these addresses, so that a
           later answer of the name service changes nothing.
        3. A redirect goes through 1 and 2 like the first address, and never from https to http.
        4. The answer's body, in no content encoding, is read up to the limit.

        Args:
            url: The address.
            kind: The kind of evidence that is expected there.

        Raises:
            FetchError: The evidence is unavailable (codes ``fetch.…``); ``retryable`` says whether to try again later.
        """
        deadline = _Deadline(self._timeout)
        current = url
        try:
            for _ in range(self._max_redirects + 1):
                target = self._target(current, url)
                location, body = self._request(target, kind, deadline, url)
                if location is None:
                    return body
                current = urljoin(current, location)
                if target.scheme == "https" and not current.lower().startswith("https:"):
                    raise _failed("a redirect leaves https", "fetch.redirect", url)
        except TimeoutError as exc:
            message = f"no answer within {self._timeout:g} seconds"
            raise _failed(message, "fetch.timeout", url, retryable=True) from exc
        except _OversizeError as exc:
            raise _failed(f"the answer is larger than {self._max_size} bytes", "fetch.too_large", url) from exc
        except ssl.SSLError as exc:
            raise _failed("the server's certificate or TLS is not in order", "fetch.tls", url) from exc
        except OSError as exc:
            raise _failed("the connection failed", "fetch.connect", url, retryable=True) from exc
        except (http.client.HTTPException, ValueError) as exc:
            raise _failed("the answer is not HTTP", "fetch.protocol", url) from exc
        raise _failed(f"more than {self._max_redirects} redirects", "fetch.redirect", url)

    def _target(self, url: str, asked: str) -> _Target:
        """Step 1: take an address apart."""
        if not _URL.fullmatch(url):
            raise _failed("no address: it has characters that a URL cannot have, or too many", "fetch.url", asked)
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme.lower(), (parts.hostname or "").rstrip("."), parts.port
        except ValueError as exc:
            raise _failed("the address cannot be read", "fetch.url", asked) from exc
        if scheme not in _PORTS:
            raise _failed("the address is neither http nor https", "fetch.scheme", asked)
        if "@" in parts.netloc:
            raise _failed("the address carries credentials", "fetch.url", asked)
        if not (_HOST.fullmatch(host) or _is_ipv6(host)):
            raise _failed("the address has no host", "fetch.url", asked)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target = _Target(scheme=scheme, host=host, port=_PORTS[scheme] if port is None else port, path=path)
        is_usual = target.port == _PORTS[scheme]
        if isinstance(self._hosts, AnyHost):
            permitted = is_usual
        else:
            permitted = f"{target.name}:{target.port}" in self._hosts or (is_usual and target.name in self._hosts)
        if not permitted:
            raise _failed("the host, or its port, is not among those that may be asked", "fetch.host", asked)
        return target

    def _connect(self, target: _Target, deadline: _Deadline, url: str) -> socket.socket:
        """Step 2: connect to an IP address that was checked."""
        if _is_address(target.host):
            addresses: Sequence[str] = [target.host]
        else:
            try:
                addresses = _LOOKUPS.resolve(self._resolver, target.host, target.port, deadline)
            except TimeoutError:
                raise
            except Exception as exc:  # whatever a resolver of the caller's own raises
                raise _failed("the host is not known", "fetch.resolve", url, retryable=True) from exc
        if not addresses:
            raise _failed("the host is not known", "fetch.resolve", url, retryable=True)
        if not self._allow_private and not all(map(is_public, addresses)):
            # One is enough: whoever mixes them is up to something.
            raise _failed("the host's address is not a public one", "fetch.address", url)
        failure: OSError = OSError("no address")
        addresses = addresses[:_MAX_ADDRESSES]
        for index, address in enumerate(addresses):
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            try:
                # The last address gets all the time that is left, the ones before their share.
                sock.settimeout(deadline.remaining() / (len(addresses) - index))
                sock.connect((address, target.port))
                if target.scheme == "https":
                    sock.settimeout(deadline.remaining())
                    return self._context().wrap_socket(sock, server_hostname=target.host)
            except OSError as exc:
                sock.close()
                failure = exc
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    def _request(self, target: _Target, kind: EvidenceKind, deadline: _Deadline, url: str) -> tuple[str | None, bytes]:
        """Send one request; return the target of a redirect, or None and the body."""
        with self._connect(target, deadline, url) as sock:
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.auto_open = 0
            wire = _TimedSocket(sock, deadline, self._max_size + _HEADER_ALLOWANCE)
            connection.sock = cast("socket.socket", wire)
            connection.putrequest("GET", target.path, skip_host=True, skip_accept_encoding=True)
            for name, value in (
                ("Host", target.authority),
                ("Accept", kind.media_type),
                ("Accept-Encoding", "identity"),
                ("User-Agent", "mdl-sdk"),
                ("Connection", "close"),
            ):
                connection.putheader(name, value)
            connection.endheaders()
            response = connection.getresponse()
            if response.status in _REDIRECTS:
                location = response.headers.get("Location")
                if location is None:
                    raise _failed("a redirect that leads nowhere", "fetch.redirect", url)
                return location, b""
            if response.status != http.HTTPStatus.OK:
                message = f"the server answers with status {response.status}"
                raise _failed(message, "fetch.status", url, retryable=response.status in _RETRYABLE)
            codings = response.headers.get_all("Transfer-Encoding", [])
            if codings and not (response.chunked and len(codings) == 1):
                # `http.client` would take the body as it stands, framed in a way that nobody has asked for.
                raise _failed("the answer has a transfer coding that was not asked for", "fetch.encoding", url)
            if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
                # Not asked for; and what is inflated here could be a bomb.
                raise _failed("the answer has a content encoding", "fetch.encoding", url)
            return None, self._body(response, url)

    def _body(self, response: http.client.HTTPResponse, url: str) -> bytes:
        announced = response.length
        if announced is not None and announced > self._max_size:
            raise _OversizeError
        body = bytearray()
        try:
            while part := response.read(min(1 << 16, self._max_size + 1 - len(body))):
                body += part
                if len(body) > self._max_size:
                    raise _OversizeError
            is_whole = announced is None or len(body) == announced
        except http.client.IncompleteRead:
            is_whole = False
        if not is_whole:
            raise _failed("the answer is cut off", "fetch.truncated", url, retryable=True)
        return bytes(body)


def _failed(message: str, code: str, url: str, *, retryable: bool = False) -> FetchError:
    return FetchError(message, code=code, url=url, retryable=retryable)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_entries(hosts: Iterable[str]) -> frozenset[str]:
    names = () if isinstance(hosts, str) else tuple(hosts)
    if isinstance(hosts, str) or not all(isinstance(name, str) for name in names):
        msg = "hosts is a collection of names, or ANY_HOST"
        raise TypeError(msg)
    if not names:
        msg = "a fetcher without a host fetches nothing"
        raise ValueError(msg)
    entries = frozenset(name.lower() for name in names)
    if not all(map(_is_host_entry, entries)):
        msg = "a host is a name or an IP address, with :port after it or not; an IPv6 address is in brackets"
        raise ValueError(msg)
    return entries


def _is_host_entry(text: str) -> bool:
    """Whether an entry can be the host of an address. Any other entry would never match."""
    found = _HOST_ENTRY.fullmatch(text)
    if found is None or int(found["port"] or 1) > 0xFFFF:
        return False
    return found["ipv6"] is None or _is_ipv6(found["ipv6"])


def _is_ipv6(host: str) -> bool:
    return ":" in host and "%" not in host and _is_address(host)

"""A server on the loopback interface that answers as it is told to, honestly or not."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Answer = bytes | Callable[[socket.socket], None]


def ok(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """An answer with a body; the length that it announces may be another than its own."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def status(code: int, *headers: str) -> bytes:
    """An answer without a body."""
    return "\r\n".join([f"HTTP/1.1 {code} Whatever", "Content-Length: 0", *headers, "", ""]).encode()


def redirect(location: str, code: int = 302) -> bytes:
    """An answer that leads elsewhere."""
    return status(code, f"Location: {location}")


def drip(start: bytes, rest: bytes, pause: float = 0.05) -> Callable[[socket.socket], None]:
    """An answer whose rest comes byte by byte, over and over."""

    def act(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            for byte in rest:
                connection.sendall(bytes((byte,)))
                time.sleep(pause)

    return act


def flood(start: bytes, rest: bytes) -> Callable[[socket.socket], None]:
    """An answer that never ends."""

    def act(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:
            connection.sendall(rest)

    return act


class Server:
    """Answers by path; remembers the requests. Its greeting comes before anything is asked."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[bytes] = []
        self.greeting = b""
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    @property
    def host(self) -> str:
        """Host and port, as an allow-list names them."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}{path}"

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._acceptor.join()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        connection = plain
        with suppress(OSError, ValueError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True)
                self._connections.append(connection)
            connection.sendall(self.greeting)
            request = b""
            while b"\r\n\r\n" not in request:
                part = connection.recv(65536)
                if not part:
                    break
                request += part
            if request:
                self.requests.append(request)
                answer = self.answers.get(request.split(b" ", 2)[1].decode("latin-1"), status(404))
                if isinstance(answer, bytes):
                    connection.sendall(answer)
                else:
                    answer(connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server(tls)
    try:
        yield server
    finally:
        server.close()

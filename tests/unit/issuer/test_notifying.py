"""Telling somebody: bounded, by no shell, and to nobody who could listen in."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from issuer.notifying import MAX_NOTICE_BYTES, check_webhook, notify_command, notify_webhook, split_command
from mdl.errors import FetchError, LocalProtocolError

NOTICE = {"authority": "Utopia IACA", "alarms": 1, "items": [{"title": "DS « 1 »; rm -rf $HOME"}]}


# --- commands --------------------------------------------------------------------------------------------------------


def python(source: str, *words: str) -> list[str]:
    return [sys.executable, "-c", source, *words]


def test_a_command_gets_the_notice_on_its_standard_input(tmp_path: Path) -> None:
    out = tmp_path / "notice"
    notify_command(python("import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", str(out)), NOTICE)
    assert json.loads(out.read_text()) == NOTICE


def test_no_shell_has_its_hands_in_it(tmp_path: Path) -> None:
    words = split_command(
        f"{sys.executable} -c 'import sys; sys.exit(len(sys.argv) - 4)' '$HOME' ';' 'touch {tmp_path}/x'"
    )
    notify_command(words, NOTICE)
    assert words[-3:] == ["$HOME", ";", f"touch {tmp_path}/x"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "  ", "echo 'open"])
def test_what_is_no_command_line_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        split_command(text)
    assert caught.value.code == "notify.command_line"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (python("import sys; sys.exit(3)"), "notify.command"),
        (["/no/such/command"], "notify.command"),
        (["with\0zero"], "notify.command"),
        (python("import time; time.sleep(60)"), "notify.timeout"),
    ],
)
def test_a_command_that_fails_is_told(words: list[str], code: str) -> None:
    with pytest.raises(FetchError) as caught:
        notify_command(words, NOTICE, timeout=0.7 if code == "notify.timeout" else 30)
    assert caught.value.code == code


def test_a_notice_has_bounds() -> None:
    with pytest.raises(LocalProtocolError) as caught:
        notify_command(python(""), {"text": "x" * MAX_NOTICE_BYTES})
    assert caught.value.code == "notify.size"


# --- webhooks --------------------------------------------------------------------------------------------------------


@contextmanager
def webhook(status: int = 204, **headers: str) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """A server on this machine; gives its address and what was posted."""
    posted: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, json.loads(body)))
            assert self.headers["Content-Type"] == "application/json"
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?token=secret", posted
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_webhook_gets_the_notice() -> None:
    with webhook() as (url, posted):
        notify_webhook(url, NOTICE)
    assert posted == [("/hook?token=secret", NOTICE)]


@pytest.mark.parametrize("status", [301, 302, 400, 500])
def test_an_answer_that_is_no_success_is_told_and_no_redirect_is_followed(status: int) -> None:
    with webhook(200) as (elsewhere, others), webhook(status, Location=elsewhere) as (url, _):
        with pytest.raises(FetchError) as caught:
            notify_webhook(url, NOTICE)
        assert others == []
    assert caught.value.code == "notify.status"
    assert "secret" not in f"{caught.value} {caught.value.url}"


@pytest.mark.parametrize(
    "url",
    [
        "http://mdl.example/hook",
        "http://10.0.0.1/hook",
        "http://127.0.0.1.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://user:password@mdl.example/",
        "https://",
        "https://mdl.example:99999/",
        "https://mdl.example:0/",
        "https://mdl.example/a b",
        "https://mdl.example/\nX: y",
        "https://münchen.example/",
        "",
    ],
)
def test_an_address_where_others_could_listen_is_refused(url: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        notify_webhook(url, NOTICE)
    assert caught.value.code == "notify.url"


@pytest.mark.parametrize(
    "url", ["https://mdl.example/hook", "http://localhost:8080", "http://[::1]/", "http://127.9.9.9/"]
)
def test_good_addresses_pass(url: str) -> None:
    assert check_webhook(url).hostname


def test_a_server_that_is_not_there_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(FetchError) as caught:
        notify_webhook(f"http://127.0.0.1:{port}/", NOTICE)
    assert (caught.value.code, caught.value.retryable) == ("notify.connect", True)


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that answers in its own way."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


def drip(connection: socket.socket) -> None:
    try:
        for _ in range(100):
            connection.sendall(b"H")
            time.sleep(0.05)
    except OSError:
        return


def test_a_server_that_drips_gets_no_more_time() -> None:
    with answering(drip) as url:
        start = time.monotonic()
        with pytest.raises(FetchError) as caught:
            notify_webhook(url, NOTICE, timeout=0.5)
        assert time.monotonic() - start < 3
    assert caught.value.code == "notify.timeout"


def test_what_is_not_http_is_told() -> None:
    def nonsense(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"SSH-2.0-nothing\r\n\r\n")

    with answering(nonsense) as url, pytest.raises(FetchError) as caught:
        notify_webhook(url, NOTICE)
    assert caught.value.code == "notify.protocol"

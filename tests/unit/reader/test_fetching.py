"""Fetching from addresses that others have chosen: where it goes, where it never goes, and when it gives up."""

import ast
import gzip
import ipaddress
import pickle
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mdl.errors import FetchError
from reader import fetching
from reader.fetching import ANY_HOST, EvidenceKind, HttpFetcher, is_public, system_resolver
from tests.web import Server, drip, flood, ok, redirect, serving, status

CRL = EvidenceKind.CRL
PUBLIC = "93.184.216.34"
BODY = b"\x30\x82 some evidence"
START = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


def fetcher_for(server: Server, **changes: Any) -> HttpFetcher:
    settings: dict[str, Any] = {"hosts": [server.host], "allow_private": True, "timeout": 5.0}
    return HttpFetcher(**settings | changes)


def refusal(fetcher: HttpFetcher, url: str) -> FetchError:
    with pytest.raises(FetchError) as caught:
        fetcher.fetch(url, kind=CRL)
    assert type(caught.value) is FetchError
    assert caught.value.url == url
    assert len(url) < 12 or url not in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.code, copy.url, copy.retryable) == (caught.value.code, url, caught.value.retryable)
    return caught.value


# --- the good way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, media_type",
    [
        (EvidenceKind.CRL, "application/pkix-crl"),
        (EvidenceKind.STATUS_LIST, "application/statuslist+cwt"),
        (EvidenceKind.IDENTIFIER_LIST, "application/identifierlist+cwt"),
    ],
)
def test_evidence_is_asked_for_by_its_media_type(server: Server, kind: EvidenceKind, media_type: str) -> None:
    server.answers["/list?time=1"] = ok(BODY)
    assert fetcher_for(server).fetch(server.url("/list?time=1#part"), kind=kind) == BODY
    lines = server.requests[0].decode().split("\r\n")
    assert lines[0] == "GET /list?time=1 HTTP/1.1"
    assert set(lines[1:-2]) == {
        f"Host: {server.host}",
        f"Accept: {media_type}",
        "Accept-Encoding: identity",
        "User-Agent: mdl-sdk",
        "Connection: close",
    }


@pytest.mark.parametrize(
    "answer",
    [
        ok(BODY),
        ok(BODY, "Content-Type: text/html", "Content-Encoding: identity"),
        ok(BODY, "Connection: close"),
        START + b"\r\n" + BODY,
        START + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + BODY[:5] + b"\r\nb\r\n" + BODY[5:] + b"\r\n0\r\n\r\n",
        b"HTTP/1.0 200 Fine\r\n\r\n" + BODY,
        b"HTTP/1.1 100 Continue\r\n\r\n" + ok(BODY),
    ],
)
def test_every_way_of_sending_a_body_is_understood(server: Server, answer: bytes) -> None:
    server.answers["/"] = answer
    assert len(BODY) == 5 + 0xB
    assert fetcher_for(server).fetch(server.url(""), kind=CRL) == BODY


def test_a_host_is_found_by_its_name(server: Server) -> None:
    server.answers["/x"] = ok(BODY)
    fetcher = HttpFetcher(hosts=[f"LOCALHOST:{server.port}"], allow_private=True, resolver=lambda *_: ["127.0.0.1"])
    assert fetcher.fetch(f"HTTP://LocalHost.:{server.port}/x", kind=CRL) == BODY
    assert f"Host: localhost:{server.port}\r\n".encode() in server.requests[0]


def test_the_next_address_is_tried_when_one_does_not_answer(server: Server) -> None:
    server.answers["/x"] = ok(BODY)
    fetcher = HttpFetcher(
        hosts=[f"host.example:{server.port}"], allow_private=True, resolver=lambda *_: ["127.0.0.2", "::1", "127.0.0.1"]
    )
    assert fetcher.fetch(f"http://host.example:{server.port}/x", kind=CRL) == BODY


# --- where it does not go ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url, code",
    [
        ("", "fetch.url"),
        ("no address", "fetch.url"),
        ("lists.example/1", "fetch.scheme"),
        ("//lists.example/1", "fetch.scheme"),
        ("file:///etc/passwd", "fetch.scheme"),
        ("ftp://lists.example/1", "fetch.scheme"),
        ("gopher://lists.example/1", "fetch.scheme"),
        ("ldap://lists.example/cn=crl", "fetch.scheme"),
        ("data:application/pkix-crl,xx", "fetch.scheme"),
        ("http:///1", "fetch.url"),
        ("http://", "fetch.url"),
        ("http:lists.example", "fetch.url"),
        ("http://user@lists.example/1", "fetch.url"),
        ("http://user:secret@lists.example/1", "fetch.url"),
        ("http://lists.example@127.0.0.1/1", "fetch.url"),
        ("http://lists.example\\@127.0.0.1/1", "fetch.url"),
        ("http://lists.example:99999/1", "fetch.url"),
        ("http://lists.example:x/1", "fetch.url"),
        ("http://[::1/1", "fetch.url"),
        ("http://[fe80::1%25eth0]/1", "fetch.url"),
        ("http://lists..example/1", "fetch.url"),
        ("http://lists.example/1\r\nX: y", "fetch.url"),
        ("http://lists.example/1 2", "fetch.url"),
        ("http://lists.exämple/1", "fetch.url"),
        ("http://lists.example/\x00", "fetch.url"),
        ("http://lists.example/" + "x" * 2048, "fetch.url"),
        ("http://other.example/1", "fetch.host"),
        ("http://sub.lists.example/1", "fetch.host"),
        ("http://lists.example.evil.example/1", "fetch.host"),
        ("http://lists.example:8080/1", "fetch.host"),
        ("https://lists.example:80/1", "fetch.host"),
        ("http://ports.example/1", "fetch.host"),
        ("http://ports.example:8081/1", "fetch.host"),
    ],
)
def test_an_address_that_is_not_permitted_is_not_even_looked_up(url: str, code: str) -> None:
    asked: list[str] = []

    def resolver(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return [PUBLIC]

    fetcher = HttpFetcher(hosts=["lists.example", "ports.example:8080"], resolver=resolver)
    error = refusal(fetcher, url)
    assert (error.code, error.retryable, asked) == (code, False, [])


def test_any_host_means_any_host_at_the_usual_ports() -> None:
    fetcher = HttpFetcher(hosts=ANY_HOST, resolver=lambda *_: [])
    assert refusal(fetcher, "http://wherever.example/1").code == "fetch.resolve"
    assert refusal(fetcher, "https://wherever.example:443/1").code == "fetch.resolve"
    assert refusal(fetcher, "http://wherever.example:22/1").code == "fetch.host"
    assert refusal(fetcher, "http://wherever.example:443/1").code == "fetch.host"
    assert repr(ANY_HOST) == "ANY_HOST"


INTERNAL = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "192.0.0.1", "192.0.0.9", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.9",
    "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16", "::ffff:168.63.129.16",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:0:7f00:1", "64:ff9b::7f00:1",
    "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
OUTSIDE = [
    PUBLIC,
    "8.8.8.8",
    "168.63.129.17",
    "223.255.255.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", INTERNAL)
def test_an_internal_address_is_refused_before_anybody_connects(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    assert not is_public(address)
    for addresses in ([address], [PUBLIC, address], [address, PUBLIC]):
        fetcher = HttpFetcher(hosts=["lists.example"], resolver=lambda *_, found=addresses: found)
        error = refusal(fetcher, "https://lists.example/1")
        assert (error.code, error.retryable) == ("fetch.address", False)


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("text", ["", "lists.example", "127.1", "0x7f000001", "1.2.3.4.5", "::1::", "8.8.8.8/8"])
def test_what_is_no_address_is_no_public_one(text: str) -> None:
    assert not is_public(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"])
def test_an_address_in_place_of_a_name_is_judged_like_one(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    fetcher = HttpFetcher(hosts=ANY_HOST, resolver=lambda *_: pytest.fail("looked up"))
    assert refusal(fetcher, f"http://{host}/latest/meta-data/").code == "fetch.address"


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "localhost"])
def test_another_spelling_of_an_address_comes_to_the_same(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    error = refusal(HttpFetcher(hosts=ANY_HOST), f"http://{host}/")
    assert error.code in ("fetch.address", "fetch.resolve")
    if host != "0177.0.0.1":
        assert error.code == "fetch.address"


class Routed(socket.socket):
    """A socket that notes where it is told to go, and goes to a server of ours."""

    destinations: list[Any]
    server: Server

    def connect(self, address: Any) -> None:
        Routed.destinations.append(address)
        super().connect(("127.0.0.1", Routed.server.port))


@pytest.fixture
def routed(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    Routed.destinations = []
    Routed.server = server
    monkeypatch.setattr(fetching.socket, "socket", Routed)  # type: ignore[attr-defined]
    return Routed.destinations


def test_the_connection_goes_to_the_address_that_was_checked(server: Server, routed: list[Any]) -> None:
    """A name service that answers otherwise the second time is not asked a second time."""
    server.answers["/1"] = ok(BODY)
    answers = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    fetcher = HttpFetcher(hosts=["lists.example"], resolver=lambda *_: next(answers))
    assert fetcher.fetch("http://lists.example/1", kind=CRL) == BODY
    assert routed == [(PUBLIC, 80)]
    assert next(answers) == ["127.0.0.1"]
    assert b"Host: lists.example\r\n" in server.requests[0]


def test_a_redirect_is_looked_up_and_checked_anew(server: Server, routed: list[Any]) -> None:
    server.answers["/1"] = redirect("http://lists.example/2")
    server.answers["/2"] = ok(BODY)
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    fetcher = HttpFetcher(hosts=["lists.example"], resolver=lambda *_: next(answers))
    assert refusal(fetcher, "http://lists.example/1").code == "fetch.address"
    assert routed == [(PUBLIC, 80)]


def test_only_so_many_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def connect(_self: socket.socket, address: Any) -> None:
        tried.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    many = [str(ipaddress.ip_address(PUBLIC) + number) for number in range(100)]
    error = refusal(HttpFetcher(hosts=ANY_HOST, resolver=lambda *_: many), "http://lists.example/1")
    assert (error.code, error.retryable, tried) == ("fetch.connect", True, many[:4])


# --- redirects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(server: Server, code: int) -> None:
    server.answers |= {
        "/a/1": redirect("2", code),
        "/a/2": redirect("/b", code),
        "/b": redirect(server.url("/c"), code),
    }
    server.answers["/c"] = ok(BODY)
    assert fetcher_for(server).fetch(server.url("/a/1"), kind=CRL) == BODY
    assert len(server.requests) == 4
    assert refusal(fetcher_for(server, max_redirects=2), server.url("/a/1")).code == "fetch.redirect"
    assert refusal(fetcher_for(server, max_redirects=0), server.url("/b")).code == "fetch.redirect"


def test_a_circle_ends(server: Server) -> None:
    server.answers["/"] = redirect("/")
    assert refusal(fetcher_for(server), server.url("/")).code == "fetch.redirect"
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    "location, code",
    [
        ("http://other.example/1", "fetch.host"),
        ("//other.example/1", "fetch.host"),
        ("http://127.0.0.1:1/1", "fetch.host"),
        ("https://127.0.0.1/1", "fetch.host"),
        ("http://user@127.0.0.1/1", "fetch.url"),
        ("file:///etc/passwd", "fetch.scheme"),
        ("ftp://127.0.0.1/1", "fetch.scheme"),
        ("javascript:1", "fetch.scheme"),
        ("gopher://127.0.0.1/", "fetch.scheme"),
        ("http://[::1/", "fetch.protocol"),
        ("/a b", "fetch.url"),
        ("/\xe4", "fetch.url"),
    ],
)
def test_a_redirect_out_of_bounds_is_not_followed(server: Server, location: str, code: str) -> None:
    server.answers["/"] = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    assert refusal(fetcher_for(server), server.url("/")).code == code
    assert len(server.requests) == 1


def test_a_redirect_to_nowhere_is_refused(server: Server) -> None:
    server.answers["/"] = status(302)
    assert refusal(fetcher_for(server), server.url("/")).code == "fetch.redirect"


# --- answers that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, retryable",
    [(204, False), (206, False), (304, False), (400, False), (404, False), (429, True), (500, True), (503, True)],
)
def test_only_200_is_an_answer(server: Server, code: int, retryable: bool) -> None:
    server.answers["/"] = status(code)
    error = refusal(fetcher_for(server), server.url("/"))
    assert (error.code, error.retryable) == ("fetch.status", retryable)
    assert str(code) in str(error)


@pytest.mark.parametrize(
    "answer, code",
    [
        (b"", "fetch.connect"),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", "fetch.protocol"),
        (b"HTTP/1.1 abc\r\n\r\n", "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n", "fetch.protocol"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "fetch.protocol"),
        (START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "fetch.truncated"),
        (START + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", "fetch.truncated"),
        (START + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 70_000, "fetch.protocol"),
        (ok(BODY, length=len(BODY) + 1), "fetch.truncated"),
        (ok(b"", length=5), "fetch.truncated"),
        (ok(gzip.compress(BODY, mtime=0), "Content-Encoding: gzip"), "fetch.encoding"),
        (ok(BODY, "Content-Encoding: br"), "fetch.encoding"),
        (START + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + BODY, "fetch.encoding"),
        (START + b"Transfer-Encoding: identity\r\n\r\n" + BODY, "fetch.encoding"),
        (
            START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n10\r\n" + BODY + b"\r\n0\r\n\r\n",
            "fetch.encoding",
        ),
    ],
)
def test_a_broken_answer_is_refused(server: Server, answer: bytes, code: str) -> None:
    server.answers["/"] = answer
    assert refusal(fetcher_for(server), server.url("/")).code == code


def test_bytes_beyond_the_announced_length_are_not_read(server: Server) -> None:
    server.answers["/"] = ok(BODY, length=5)
    assert fetcher_for(server).fetch(server.url("/"), kind=CRL) == BODY[:5]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_an_answer_may_be_as_large_as_the_limit_and_no_larger(server: Server) -> None:
    body = bytes(1000)
    server.answers |= {"/announced": ok(body), "/open": START + b"\r\n" + body}
    chunked = START + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + body + b"\r\n0\r\n\r\n"
    server.answers["/chunked"] = chunked
    for path in server.answers:
        assert fetcher_for(server, max_size=1000).fetch(server.url(path), kind=CRL) == body
        assert refusal(fetcher_for(server, max_size=999), server.url(path)).code == "fetch.too_large"


def test_a_large_announcement_is_enough(server: Server) -> None:
    server.answers["/"] = drip(START + b"Content-Length: 1000000000\r\n\r\n", b"x")
    begun = time.monotonic()
    assert refusal(fetcher_for(server), server.url("/")).code == "fetch.too_large"
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "answer",
    [
        flood(START + b"\r\n", bytes(65536)),
        flood(START + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(65536) + b"\r\n"),
        flood(START + b"Content-Length: -1\r\n\r\n", bytes(65536)),
        flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
        flood(START + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 1000),
    ],
)
def test_an_answer_without_end_is_cut_off(server: Server, answer: Any) -> None:
    server.answers["/"] = answer
    error = refusal(fetcher_for(server, max_size=1 << 20), server.url("/"))
    assert error.code == "fetch.too_large"


def silence(_connection: socket.socket) -> None:
    time.sleep(0.6)


@pytest.mark.parametrize(
    "answer",
    [
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        drip(START + b"Content-Length: 1000\r\n\r\n", b"x"),
        drip(START + b"\r\n", b"x"),
        drip(START + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
        silence,
    ],
)
def test_a_slow_answer_ends_with_the_time_for_all_of_it(server: Server, answer: Any) -> None:
    """Each byte comes in time; all of them together never would."""
    server.answers["/"] = answer
    begun = time.monotonic()
    error = refusal(fetcher_for(server, timeout=0.4), server.url("/"))
    assert (error.code, error.retryable) == ("fetch.timeout", True)
    assert 0.3 < time.monotonic() - begun < 2


def test_redirects_share_the_time(server: Server) -> None:
    def slow(connection: socket.socket) -> None:
        time.sleep(0.25)
        connection.sendall(redirect("/"))

    server.answers["/"] = slow
    begun = time.monotonic()
    assert refusal(fetcher_for(server, timeout=0.4), server.url("/")).code == "fetch.timeout"
    assert time.monotonic() - begun < 2


def test_a_slow_name_service_ends_too() -> None:
    wait = threading.Event()
    fetcher = HttpFetcher(hosts=ANY_HOST, timeout=0.2, resolver=lambda *_: [PUBLIC] * wait.wait(5))
    begun = time.monotonic()
    error = refusal(fetcher, "http://lists.example/1")
    wait.set()
    assert (error.code, error.retryable) == ("fetch.timeout", True)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("hosts", ["one", "many"])
def test_name_services_that_hang_do_not_pile_up_threads(hosts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of fetchers without number, and afterwards every name is looked up again."""
    wait, asked = threading.Event(), []

    def hanging(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        wait.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    before = threading.active_count()
    most = 1 if hosts == "one" else 8
    for number in range(100):
        fetcher = HttpFetcher(hosts=ANY_HOST, timeout=0.003)
        url = f"http://lists{0 if hosts == 'one' else number}.example/{number}"
        assert refusal(fetcher, url).code == "fetch.timeout"
        assert threading.active_count() - before <= most
    assert len(asked) == most
    wait.set()
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(0.2)
    for number in range(20):
        # The address is not public, so the look-up has come to an end.
        assert refusal(HttpFetcher(hosts=ANY_HOST), f"http://after{number}.example/").code == "fetch.address"
    assert len(asked) == most + 20


def test_fetches_that_ask_for_one_host_at_once_share_a_look_up() -> None:
    wait, asked, codes = threading.Event(), [], []

    def resolver(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        wait.wait(20)
        return ["127.0.0.1"]

    def fetch(host: str, fetcher: HttpFetcher) -> None:
        codes.append(refusal(fetcher, f"http://{host}/").code)

    shared, other = (HttpFetcher(hosts=ANY_HOST, resolver=one) for one in (resolver, lambda *_: ["127.0.0.1"]))
    threads = [threading.Thread(target=fetch, args=("lists.example", shared)) for _ in range(12)]
    for thread in threads:
        thread.start()
    fetch("lists.example", other)  # of another resolver: it does not wait for the first
    assert codes == ["fetch.address"]
    wait.set()
    for thread in threads:
        thread.join(20)
    assert codes == ["fetch.address"] * 13
    assert 1 <= len(asked) <= 2, "one look-up, and a second for a fetch that came after it had ended"


def test_nobody_there_is_an_error_to_try_again(server: Server) -> None:
    host = server.host
    server.close()
    error = refusal(HttpFetcher(hosts=[host], allow_private=True), f"http://{host}/")
    assert (error.code, error.retryable) == ("fetch.connect", True)


@pytest.mark.parametrize(
    "exception",
    [socket.gaierror(-2, "unknown"), UnicodeError("label too long"), OSError(), KeyError("x"), RuntimeError("its own")],
)
def test_an_unknown_name_is_an_error_to_try_again(exception: Exception) -> None:
    def resolver(_host: str, _port: int) -> Sequence[str]:
        raise exception

    error = refusal(HttpFetcher(hosts=ANY_HOST, resolver=resolver), "http://lists.example/1")
    assert (error.code, error.retryable) == ("fetch.resolve", True)


def test_the_system_s_names_are_addresses() -> None:
    assert "127.0.0.1" in system_resolver("127.0.0.1", 80)
    error = refusal(HttpFetcher(hosts=ANY_HOST), f"http://{'x' * 64}.example/")
    assert error.code == "fetch.resolve"


# --- TLS --------------------------------------------------------------------------------------------------------------


def tls_contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for a certificate of that name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    alternative: x509.GeneralName
    try:
        alternative = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    file = folder / "server.pem"
    file.write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


def test_https_goes_to_a_server_that_proves_its_name(tmp_path: Path) -> None:
    there, here = tls_contexts(tmp_path, "127.0.0.1")
    with serving(there) as server:
        server.answers |= {"/": ok(BODY), "/r": redirect("/")}
        fetcher = fetcher_for(server, tls=here)
        assert fetcher.fetch(server.url("/"), kind=CRL) == BODY
        assert fetcher.fetch(server.url("/r"), kind=CRL) == BODY
        assert f"Host: {server.host}\r\n".encode() in server.requests[0]


def test_a_server_that_does_not_prove_it_is_refused(tmp_path: Path) -> None:
    there, here = tls_contexts(tmp_path, "lists.example")
    with serving(there) as server:
        server.answers["/"] = ok(BODY)
        assert refusal(fetcher_for(server, tls=here), server.url("/")).code == "fetch.tls"
        assert refusal(fetcher_for(server), server.url("/")).code == "fetch.tls"
        named = HttpFetcher(
            hosts=[f"lists.example:{server.port}"], allow_private=True, tls=here, resolver=lambda *_: ["127.0.0.1"]
        )
        assert named.fetch(f"https://lists.example:{server.port}/", kind=CRL) == BODY
        assert len(server.requests) == 1


def test_a_server_that_speaks_no_tls_is_refused(server: Server) -> None:
    server.greeting = status(400)
    assert refusal(fetcher_for(server), f"https://{server.host}/").code == "fetch.tls"


def test_a_handshake_that_never_ends_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        fetcher = HttpFetcher(hosts=[host], allow_private=True, timeout=0.3)
        assert refusal(fetcher, f"https://{host}/").code == "fetch.timeout"
        assert time.monotonic() - begun < 2


def test_https_never_leads_to_http_but_http_may_lead_to_https(tmp_path: Path, server: Server) -> None:
    there, here = tls_contexts(tmp_path, "127.0.0.1")
    with serving(there) as secure:
        secure.answers |= {"/down": redirect(server.url("/")), "/": ok(b"secure"), "/ftp": redirect("ftp://x.example/")}
        server.answers |= {"/": ok(BODY), "/up": redirect(secure.url("/"))}
        fetcher = HttpFetcher(hosts=[server.host, secure.host], allow_private=True, tls=here)
        assert refusal(fetcher, secure.url("/down")).code == "fetch.redirect"
        assert refusal(fetcher, secure.url("/ftp")).code == "fetch.redirect"
        assert server.requests == []
        assert fetcher.fetch(server.url("/up"), kind=CRL) == b"secure"


# --- mistakes of the caller, and the rule of the house ----------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "lists.example",
        "LISTS.example:8080",
        "127.0.0.1:65535",
        "[::1]",
        "[2606:4700::1111]:443",
        "[2606::AB]",
        "a_b.example",
    ],
)
def test_what_an_address_can_have_as_its_host_may_be_on_the_list(host: str) -> None:
    HttpFetcher(hosts=[host], timeout=24 * 60 * 60)


@pytest.mark.parametrize(
    "changes, error",
    [
        ({"hosts": "lists.example"}, TypeError),
        ({"hosts": b"lists.example"}, TypeError),
        ({"hosts": None}, TypeError),
        ({"hosts": [1]}, TypeError),
        ({"hosts": ["lists.example", None]}, TypeError),
        ({"hosts": [b"lists.example"]}, TypeError),
        ({"hosts": []}, ValueError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1.0}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": float("inf")}, ValueError),
        ({"hosts": [""]}, ValueError),
        ({"hosts": ["lists.example", "https://lists.example"]}, ValueError),
        ({"hosts": ["lists.example/crl"]}, ValueError),
        ({"hosts": ["*.lists.example"]}, ValueError),
        ({"hosts": ["lists.example."]}, ValueError),
        ({"hosts": ["lists.example:"]}, ValueError),
        ({"hosts": ["lists.example:0"]}, ValueError),
        ({"hosts": ["lists.example:65536"]}, ValueError),
        ({"hosts": ["user@lists.example"]}, ValueError),
        ({"hosts": ["::1"]}, ValueError),
        ({"hosts": ["[127.0.0.1]"]}, ValueError),
        ({"hosts": [" lists.example"]}, ValueError),
        ({"max_size": 0}, ValueError),
        ({"max_redirects": -1}, ValueError),
    ],
)
def test_a_fetcher_without_bounds_is_not_made(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        HttpFetcher(**{"hosts": ["lists.example"]} | changes)


def test_a_proxy_in_the_environment_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.answers["/"] = ok(BODY)
    assert fetcher_for(server).fetch(server.url("/"), kind=CRL) == BODY


NETWORK = {"socket", "ssl", "http", "urllib", "asyncio", "socketserver", "requests", "httpx"}


def test_no_other_module_of_the_reader_opens_a_connection() -> None:
    folder = Path(fetching.__file__).parent
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            # Taking an address apart opens no connection.
            if NETWORK.intersection(name.partition(".")[0] for name in names if name != "urllib.parse"):
                found.add(file.relative_to(folder).as_posix())
    assert found - {"service.py"} == {"fetching.py"}

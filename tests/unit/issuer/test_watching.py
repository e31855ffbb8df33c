"""Looking at what is published: every way in which a server may fail its readers, over the loopback interface."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from issuer.publishing import ItemKind, Publisher, vical_item
from issuer.status import ListSigner
from issuer.store import Role, SqliteStore, Store
from issuer.watching import Fault, Fetch, Observation, Watched, fetch_http, fetch_tree, watch, watched_items
from mdl.errors import FetchError, LocalProtocolError
from mdl.pki import Certificate
from mdl.status import StatusList, build_status_token
from mdl.testing import ThrowawayAuthority, deterministic_key
from tests.listed import AUTHORITY, LIST_SIGNER, ROOT, Clock, add_crl, add_list_signer, fill, issue, revoke, sign
from tests.published import serving_tree
from tests.status_forgery import LIST_KEY, signer_recipe
from tests.stores import NOW, ROLE
from tests.vical_forgery import Provider, forge, provider
from tests.web import Answer, Server, drip, flood, ok, redirect, serving, status

CRL_TYPE = "Content-Type: application/pkix-crl"
LIST_TYPE = "Content-Type: application/statuslist+cwt"
CRL_URL = "https://throwaway.example/iaca.crl"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with SqliteStore(tmp_path / "authority.db", create=True) as store:
        fill(store)
        issue(store, 1, clock)
        sign(store, clock)
        yield store


@pytest.fixture
def list_url(store: Store) -> str:
    with store.reading() as reader:
        return reader.status_lists()[0].uri


def wanted(store: Store, clock: Clock, *urls: str) -> list[Watched | Observation]:
    with store.reading() as reader:
        return watched_items(reader, at=clock.now, urls=urls)


@pytest.fixture
def look(store: Store, clock: Clock) -> Iterator[Callable[..., Observation]]:
    """Looks at one address, at which a server gives a certain answer."""
    with serving() as server:

        def look(url: str, answer: Answer | None, *, timeout: float = 5, grace: float = 15) -> Observation:
            server.answers = {} if answer is None else {"/here": answer}
            fetch = fetch_http(timeout=timeout)
            (seen,) = watch(
                wanted(store, clock, url),
                lambda _, media_type: fetch(server.url("/here"), media_type),
                at=clock.now,
                grace=timedelta(minutes=grace),
            )
            return seen

        yield look


def signed(store: Store) -> bytes:
    with store.reading() as reader:
        found = reader.signed_list(reader.status_lists()[0].list_id)
    assert found is not None
    return found[1]


def faults(seen: Observation) -> list[Fault]:
    return [fault for fault, _ in seen.faults]


def test_what_is_there_as_it_was_signed_is_fine(
    store: Store, clock: Clock, look: Callable[..., Observation], list_url: str
) -> None:
    seen = look(list_url, ok(signed(store), LIST_TYPE))
    assert (seen.faults, seen.kind, seen.until) == ((), ItemKind.STATUS_LIST, NOW + timedelta(days=3))
    seen = look(CRL_URL, ok(AUTHORITY.crl(number=1, this_update=NOW), CRL_TYPE))
    assert (seen.faults, seen.kind, seen.until) == ((), ItemKind.CRL, NOW + timedelta(days=30))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, Fault.MISSING),
        (status(410), Fault.MISSING),
        (status(403), Fault.UNREACHABLE),
        (status(500), Fault.UNREACHABLE),
        (ok(b"<html>not found</html>"), Fault.UNREADABLE),
        (ok(b""), Fault.UNREADABLE),
        (b"nonsense\r\n\r\n", Fault.UNREACHABLE),
        (redirect("ftp://mdl.example/"), Fault.UNREACHABLE),
        (redirect("file:///etc/passwd"), Fault.UNREACHABLE),
        (redirect("/here"), Fault.UNREACHABLE),
        (status(302), Fault.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("what", ["crl", "list"])
def test_what_is_not_there_or_is_something_else_is_told(
    look: Callable[..., Observation], list_url: str, answer: Answer | None, fault: Fault, what: str
) -> None:
    assert faults(look(CRL_URL if what == "crl" else list_url, answer)) == [fault]


def test_what_another_authority_signed_is_told(
    look: Callable[..., Observation], list_url: str, store: Store, clock: Clock
) -> None:
    other = ThrowawayAuthority(generation=2)
    assert faults(look(CRL_URL, ok(other.crl(number=1, this_update=NOW), CRL_TYPE))) == [Fault.FOREIGN]
    key = deterministic_key("another list signer")
    token = build_status_token(
        StatusList.of(256, {}),
        key,
        uri=list_url,
        issued_at=NOW,
        expires=NOW + timedelta(days=3),
        x5chain=[signer_recipe(other, key).with_changes(signer=other.iaca_key).build()],
    )
    assert faults(look(list_url, ok(token, LIST_TYPE))) == [Fault.FOREIGN]


def test_what_our_own_key_signed_and_the_store_does_not_know_is_told(
    look: Callable[..., Observation], list_url: str
) -> None:
    """One that is not older than what the store signed last: the store is behind. That counts for equal numbers too."""
    for number, fault in ((0, Fault.ALTERED), (1, Fault.AHEAD), (9, Fault.AHEAD)):
        crl = AUTHORITY.crl(number=number, this_update=NOW, revoked=[7])
        assert faults(look(CRL_URL, ok(crl, CRL_TYPE))) == [fault]
    token = build_status_token(
        StatusList.of(256, {}),
        LIST_KEY,
        uri=list_url,
        issued_at=NOW,
        expires=NOW + timedelta(days=3),
        x5chain=[LIST_SIGNER.der],
    )
    assert faults(look(list_url, ok(token, LIST_TYPE))) == [Fault.AHEAD]


def test_a_list_for_another_address_is_not_ours(look: Callable[..., Observation], list_url: str) -> None:
    token = build_status_token(
        StatusList.of(256, {}),
        LIST_KEY,
        uri=f"{list_url}0",
        issued_at=NOW,
        expires=NOW + timedelta(days=3),
        x5chain=[LIST_SIGNER.der],
    )
    assert faults(look(list_url, ok(token, LIST_TYPE))) == [Fault.FOREIGN]


def test_one_changed_bit_is_told(look: Callable[..., Observation], store: Store, list_url: str) -> None:
    token = signed(store)
    assert faults(look(list_url, ok(token[:-1] + bytes((token[-1] ^ 1,)), LIST_TYPE))) == [Fault.FOREIGN]


def test_a_copy_that_hangs_is_told_once_it_is_more_than_a_moment_old(
    look: Callable[..., Observation], store: Store, clock: Clock, list_url: str
) -> None:
    old, old_crl = signed(store), AUTHORITY.crl(number=1, this_update=NOW)
    with store.reading() as reader:
        (credential,) = reader.credentials()
    revoke(store, credential, clock)
    sign(store, clock)
    add_crl(store, 2)
    clock.advance(minutes=14)
    assert (faults(look(list_url, ok(old, LIST_TYPE))), faults(look(CRL_URL, ok(old_crl, CRL_TYPE)))) == ([], [])
    clock.advance(minutes=1)
    assert faults(look(list_url, ok(old, LIST_TYPE))) == [Fault.OLDER]
    assert faults(look(CRL_URL, ok(old_crl, CRL_TYPE))) == [Fault.OLDER]
    assert faults(look(list_url, ok(signed(store), LIST_TYPE))) == []


def test_what_grows_old_is_told_before_and_after(
    look: Callable[..., Observation], store: Store, clock: Clock, list_url: str
) -> None:
    token, crl = signed(store), AUTHORITY.crl(number=1, this_update=NOW)
    seen = []
    for hours in (0, 11, 12, 47, 71, 72):
        clock.now = NOW + timedelta(hours=hours)
        seen.append(faults(look(list_url, ok(token, LIST_TYPE))))
    assert seen == [[], [], *[[Fault.STALE]] * 4]
    seen = []
    for days in (0, 19, 20, 29, 30):
        clock.now = NOW + timedelta(days=days)
        seen.append(faults(look(CRL_URL, ok(crl, CRL_TYPE))))
    assert seen == [[], [], [Fault.EXPIRING], [Fault.EXPIRING], [Fault.STALE]]


def test_another_media_type_is_told_and_is_not_grave(
    look: Callable[..., Observation], store: Store, list_url: str
) -> None:
    seen = look(list_url, ok(signed(store), "Content-Type: text/plain; charset=utf-8"))
    assert (faults(seen), seen.is_grave) == ([Fault.MEDIA_TYPE], False)
    assert look(list_url, ok(signed(store), f"{LIST_TYPE}; v=1")).faults == ()


def test_it_asks_as_a_reader_does(store: Store, clock: Clock, list_url: str) -> None:
    with serving() as server:
        server.answers = {"/a?time=1": ok(signed(store))}
        fetch_http(timeout=5)(server.url("/a?time=1"), "application/statuslist+cwt")
        (request,) = server.requests
    assert b"Accept: application/statuslist+cwt\r\n" in request
    assert b"Accept-Encoding: identity\r\n" in request


def test_a_redirect_to_another_place_is_followed(store: Store, look: Callable[..., Observation]) -> None:
    with serving() as server:
        server.answers = {"/a": redirect("/b"), "/b": ok(b"there", "Content-Type: text/plain")}
        assert fetch_http(timeout=5)(server.url("/a"), "text/plain").content == b"there"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), "fetch.timeout"),
        (drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"), "fetch.timeout"),
        (drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), "fetch.timeout"),
        (flood(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1 << 20)), "fetch.too_large"),
        (ok(b"short", length=100), "fetch.truncated"),
    ],
)
def test_size_and_time_are_bounded(answer: Answer, code: str) -> None:
    with serving() as server, pytest.raises(FetchError) as caught:
        server.answers = {"/": answer}
        fetch_http(timeout=1)(server.url("/"), "text/plain")
    assert caught.value.code == code


def test_a_server_that_is_not_there_is_not_reached(list_url: str, store: Store, clock: Clock) -> None:
    with serving() as server:
        url = server.url("/")
    with pytest.raises(FetchError) as caught:
        fetch_http(timeout=2)(url, "text/plain")
    assert caught.value.code == "fetch.connect"


@pytest.mark.parametrize("url", ["ftp://mdl.example/", "file:///etc/passwd", "http://", "http://u:p@mdl.example/"])
def test_only_plain_web_addresses_are_asked(url: str) -> None:
    with pytest.raises(FetchError) as caught:
        fetch_http(timeout=2)(url, "text/plain")
    assert caught.value.code == "fetch.scheme"


# --- what is looked at ------------------------------------------------------------------------------------------------


def test_without_an_address_everything_is_looked_at(store: Store, clock: Clock, list_url: str) -> None:
    urls = [one.item.url for one in wanted(store, clock) if isinstance(one, Watched)]
    assert urls == [CRL_URL, list_url]
    assert [one.item.url for one in wanted(store, clock, list_url) if isinstance(one, Watched)] == [list_url]


def test_an_address_of_somebody_else_is_refused(store: Store, clock: Clock) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        wanted(store, clock, "https://elsewhere.example/")
    assert caught.value.code == "watch.address"


def test_a_list_that_was_never_signed_is_missing(tmp_path: Path, clock: Clock) -> None:
    with SqliteStore(tmp_path / "other.db", create=True) as store:
        fill(store)
        (credential,) = issue(store, 1, clock)
        Publisher(store, tmp_path / "www").publish(at=clock)
        seen = [*watch(wanted(store, clock), fetch_tree(tmp_path / "www"), at=NOW)]
    assert credential.place is not None
    assert [(one.url, faults(one)) for one in seen] == [(CRL_URL, []), (credential.place.uri, [Fault.MISSING])]


def test_a_crl_that_was_never_signed_is_missing_as_a_crl(store: Store, clock: Clock) -> None:
    root = provider().root
    with store.transaction(at=clock, actor=ROLE) as tx:
        for one, role in ((root, Role.VICAL_CA), (Certificate(provider().direct_recipe.build()), Role.VICAL_SIGNER)):
            tx.adopt_serial(one.serial)
            tx.add_certificate(one, role, issuer=root.fingerprint, key=None)
    (seen,) = watch(wanted(store, clock, "http://provider.example/vical.crl"), _unasked, at=NOW)
    assert (seen.kind, faults(seen), seen.is_grave) == (ItemKind.CRL, [Fault.MISSING], True)


def _unasked(url: str, _media_type: str) -> NoReturn:
    pytest.fail(f"{url} is asked for")


VICAL_URL = "https://vical.example/current.cbor"


@pytest.fixture
def look_at_vical(store: Store, clock: Clock, tmp_path: Path) -> Callable[..., Observation]:
    """Looks at the address of a VICAL, number 7, that was published; something else may be there."""
    publisher = Publisher(store, tmp_path / "www")
    with store.reading() as reader:
        vical = vical_item(forge(vicalURL=VICAL_URL), reader=reader, at=NOW, provider_roots=[provider().root])
    publisher.publish(at=clock, vical=vical)

    def look(there: bytes | None = None, *, at: datetime = NOW) -> Observation:
        if there is not None:
            tree = fetch_tree(tmp_path / "www")
            fetch: Fetch = lambda url, kind: replace(tree(url, kind), content=there)  # noqa: E731 - a fetcher
        else:
            fetch = fetch_tree(tmp_path / "www")
        vicals = publisher.vicals()
        with store.reading() as reader:
            (seen,) = watch(watched_items(reader, at=clock.now, urls=[VICAL_URL], vicals=vicals), fetch, at=at)
        assert (seen.url, seen.kind) == (VICAL_URL, ItemKind.VICAL)
        return seen

    return look


def test_a_published_vical_is_looked_at_too(look_at_vical: Callable[..., Observation]) -> None:
    seen = look_at_vical()
    assert (seen.faults, seen.until) == ((), NOW + timedelta(days=1))
    assert faults(look_at_vical(at=NOW + timedelta(hours=9))) == [Fault.EXPIRING]
    assert faults(look_at_vical(at=NOW + timedelta(days=1))) == [Fault.STALE]


def test_another_list_than_the_vical_that_was_published_is_told(look_at_vical: Callable[..., Observation]) -> None:
    assert faults(look_at_vical(b"something else")) == [Fault.UNREADABLE]
    six = forge(vicalIssueID=6, vicalURL=VICAL_URL)
    assert faults(look_at_vical(six)) == [Fault.OLDER]
    assert faults(look_at_vical(six[:-1] + bytes((six[-1] ^ 1,)))) == [Fault.FOREIGN]
    for number in (7, 8, None):
        assert faults(look_at_vical(forge(vicalIssueID=number))) == [Fault.FOREIGN]
    other = Provider("Another")
    signing = {"key": other.signer_key, "x5chain": [*other.chain]}
    assert faults(look_at_vical(forge(vicalIssueID=6, signing=signing))) == [Fault.FOREIGN]


def test_a_vical_whose_file_is_lost_is_missing(look_at_vical: Callable[..., Observation], tmp_path: Path) -> None:
    (tmp_path / "www" / "current" / "current.cbor").unlink()
    assert faults(look_at_vical(b"whatever")) == [Fault.MISSING]


def test_the_published_tree_can_be_looked_at_without_a_network(
    store: Store, clock: Clock, tmp_path: Path, list_url: str
) -> None:
    published = Publisher(store, tmp_path / "www").publish(at=clock)

    def seen() -> list[list[Fault]]:
        return [faults(one) for one in watch(wanted(store, clock), fetch_tree(tmp_path / "www"), at=clock.now)]

    assert seen() == [[], []]
    (published.folder / "iaca.crl").write_bytes(b"something else")
    assert seen() == [[Fault.UNREADABLE], []]
    (published.folder / "iaca.crl").unlink()
    assert seen() == [[Fault.MISSING], []]


def test_a_server_of_the_tree_names_the_media_types_of_the_index(store: Store, clock: Clock, tmp_path: Path) -> None:
    Publisher(store, tmp_path / "www").publish(at=clock)
    with serving_tree(tmp_path / "www") as server:
        assert _through(server, store, clock) == [[], []]


def _through(server: Server, store: Store, clock: Clock) -> list[list[Fault]]:
    fetch = fetch_http(timeout=5)

    def at_server(url: str, media_type: str) -> object:
        return fetch(server.url("/" + url.split("/", 3)[3]), media_type)

    return [faults(one) for one in watch(wanted(store, clock), at_server, at=clock.now)]  # type: ignore[arg-type]


def test_after_a_change_of_the_list_signer_both_are_ours(store: Store, clock: Clock, list_url: str) -> None:
    """What was signed by the signer before stays known, by its digest."""
    before = signed(store)
    key = deterministic_key("the next list signer")
    certificate = Certificate(signer_recipe(AUTHORITY, key).build())
    add_list_signer(store, certificate, "revocation-list-2")
    ListSigner(store, key, certificate, key="revocation-list-2", root=ROOT, at=clock).sign_due()
    (watched,) = wanted(store, clock, list_url)
    assert isinstance(watched, Watched)
    assert watched.item.content != before
    assert len(watched.digests) == 2

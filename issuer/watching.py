"""Looking at what is published as a reader does: is it there, is it fresh, is it what was signed last?

Each address is asked over HTTP, or looked up in a published tree, and the answer is held against the store:

    missing          the server has nothing there
    unreadable       what is there is no CRL, no status list or no VICAL
    foreign          it is not signed by this authority, or for another address; not the VICAL that was published
    altered          it is signed by this authority, and never left the store like this
    ahead            the same, and it is not older than what the store signed last: the store is from a backup
    older            the authority has signed a newer one, and not just now: a cache, a copy that hangs, a rollback
    stale            nextUpdate, ``exp`` or the time for which a copy may be kept has passed
    expiring         a third or less of its time is left: what signs it anew does not
    media_type       the server calls it something else: readers here do not mind, others may
    unreachable      no answer: the network, the name, the certificate of the server

The addresses are the authority's own, and nothing of what comes is believed or kept, so private addresses are not
avoided as a reader avoids them; size and time are bounded, and a redirect leads to http or https only.

Spec:
    pki.md §4 (publication of CRLs), §7.3 and §7.4 (status lists), §10.2 (fetch one's own from outside).
"""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from issuer.addresses import path_of
from issuer.connecting import connected, target
from issuer.publishing import Item, ItemKind, collect, published_rows
from issuer.signers import CA_ROLES
from issuer.status import check_status_token
from issuer.store import Reader, StatusListRecord
from mdl.cbor import TDate
from mdl.errors import DecodeError, FetchError, LocalProtocolError, MdlError
from mdl.pki import Certificate, Crl
from mdl.status import MAX_TOKEN_SIZE, ListKind, StatusToken
from mdl.vical import Vical

__all__ = ["Answer", "Fault", "Fetch", "Observation", "Watched", "fetch_http", "fetch_tree", "watch", "watched_items"]

_GRACE: Final = timedelta(minutes=15)
_TIMEOUT: Final = 10.0
_MAX_SIZE: Final = MAX_TOKEN_SIZE
_MAX_REDIRECTS: Final = 3
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_GONE: Final = frozenset((404, 410))
_CHUNK: Final = 1 << 16


class Fault(StrEnum):
    """What may be wrong with what is published."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    FOREIGN = "foreign"
    ALTERED = "altered"
    AHEAD = "ahead"
    OLDER = "older"
    STALE = "stale"
    EXPIRING = "expiring"
    MEDIA_TYPE = "media_type"
    UNREACHABLE = "unreachable"

    @property
    def is_grave(self) -> bool:
        """Whether a reader of this project may come to another verdict by it."""
        return self is not Fault.MEDIA_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is at an address.

    Attributes:
        content: The bytes.
        media_type: What the server calls it, without parameters; None where that is not told.
    """

    content: bytes = field(repr=False)
    media_type: str | None = None


Fetch = Callable[[str, str], Answer]
"""Gets what is at an address, asked for by its media type; raises FetchError, ``fetch.missing`` if nothing is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What should be at an address.

    Attributes:
        item: What was signed last.
        root: The root that it is signed under; None for a VICAL, which is held against the one that was published.
        digests: SHA-256 of everything that was ever signed for it.
    """

    item: Item
    root: Certificate | None
    digests: frozenset[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What was seen at an address.

    Attributes:
        url: The address.
        kind: What should be there.
        faults: What is wrong, each with a line for people; empty if nothing is.
        until: Until when what was seen is good, or None.
    """

    url: str
    kind: ItemKind
    faults: tuple[tuple[Fault, str], ...] = ()
    until: datetime | None = None

    @property
    def is_unreachable(self) -> bool:
        """Whether nothing could be seen."""
        return any(fault is Fault.UNREACHABLE for fault, _ in self.faults)

    @property
    def is_grave(self) -> bool:
        """Whether something was seen that has to be put right."""
        return any(fault.is_grave and fault is not Fault.UNREACHABLE for fault, _ in self.faults)

    def row(self) -> dict[str, Any]:
        """The observation with plain values."""
        return {
            "url": self.url,
            "kind": self.kind.value,
            "until": None if self.until is None else TDate.of(self.until).text,
            "faults": [{"fault": fault.value, "message": message} for fault, message in self.faults],
        }


def watched_items(
    reader: Reader, *, at: datetime, urls: Iterable[str] = (), vicals: Mapping[str, Item | None] | None = None
) -> list[Watched | Observation]:
    """What should be at the addresses of an authority.

    Args:
        reader: Its store.
        at: The time, aware UTC.
        urls: Some of the addresses; none for all of them.
        vicals: What is published beside that, as `issuer.publishing.Publisher.vicals` tells.

    Returns:
        What should be there; for what is nowhere, since it was never signed or is lost, that this was seen.

    Raises:
        LocalProtocolError: Nothing of this authority's is at an address (code ``watch.address``).
        DecodeError, ProfileError, VerificationError: The store is damaged.
    """
    collected = collect(reader, at=at)
    roots = {one.certificate.fingerprint: one.certificate for one in reader.certificates() if one.role in CA_ROLES}
    lists = {one.uri: one for one in reader.status_lists()}
    found: dict[str, Watched | Observation] = {}
    for item in collected.items:
        if item.url is None:
            continue
        if item.kind is ItemKind.CRL:
            issuer = next(key for key, root in roots.items() if _is_of(item, root))
            digests = frozenset(hashlib.sha256(one.der).digest() for one in reader.crls(issuer))
            digests |= reader.settled()
        else:
            issuer = lists[item.url].issuer
            digests = frozenset(reader.list_digests(lists[item.url].list_id)) | reader.settled()
        found[item.url] = Watched(item=item, root=roots[issuer], digests=digests)
    for url in collected.unsigned:
        found[url] = _nowhere(url, _kind_at(url, lists), "it was never signed: run mdl issuer publish")
    for one in collected.unplaced:
        found[one.url] = _nowhere(one.url, _kind_at(one.url, lists), f"it cannot be published: {one.message}")
    for url, vical in (vicals or {}).items():
        if vical is None:
            found[url] = _nowhere(url, ItemKind.VICAL, "its file is lost or changed: publish it again with --vical")
        else:
            found[url] = Watched(item=vical, root=None, digests=frozenset())
    wanted = list(urls)
    unknown = [url for url in wanted if url not in found]
    if unknown:
        message = f"nothing of this authority's is published at {unknown[0]}"
        raise LocalProtocolError(message, code="watch.address")
    return [found[url] for url in wanted or found]


def _kind_at(url: str, lists: Mapping[str, StatusListRecord]) -> ItemKind:
    return ItemKind(lists[url].kind.value) if url in lists else ItemKind.CRL


def _nowhere(url: str, kind: ItemKind, message: str) -> Observation:
    return Observation(url=url, kind=kind, faults=((Fault.MISSING, message),))


def _is_of(item: Item, root: Certificate) -> bool:
    crl = Crl.decode(item.content)
    return crl.issuer == root.subject and crl.authority_key_identifier == root.subject_key_identifier


def watch(
    watched: Iterable[Watched | Observation], fetch: Fetch, *, at: datetime, grace: timedelta = _GRACE
) -> Iterator[Observation]:
    """Look at what is published.

    Args:
        watched: What `watched_items` gave.
        fetch: Gets what is at an address.
        at: The time, aware UTC.
        grace: For how long after the signing of a new one the one before is still fine.
    """
    for one in watched:
        if isinstance(one, Observation):
            yield one
            continue
        url = one.item.url or ""
        try:
            answer = fetch(url, one.item.media_type)
        except FetchError as exc:
            fault = Fault.MISSING if exc.code == "fetch.missing" else Fault.UNREACHABLE
            yield Observation(url=url, kind=one.item.kind, faults=((fault, f"{exc.message} [{exc.code}]"),))
        else:
            yield _judge(one, answer, url, at, grace)


def _judge(one: Watched, answer: Answer, url: str, at: datetime, grace: timedelta) -> Observation:
    faults: list[tuple[Fault, str]] = []
    item, digest = one.item, hashlib.sha256(answer.content).digest()
    issued = until = ttl = None
    try:
        if item.kind is ItemKind.CRL:
            crl = Crl.decode(answer.content)
            issued, until = crl.this_update, crl.next_update
        elif item.kind is ItemKind.VICAL:
            vical = Vical.decode(answer.content)
            issued, until = vical.date, vical.next_update
        else:
            token = StatusToken.decode(answer.content)
            issued, until, ttl = token.issued_at, token.expires, token.ttl
    except DecodeError as exc:
        faults.append((Fault.UNREADABLE, f"what is there does not decode ({exc.code})"))
    else:
        if answer.content == item.content:
            pass
        elif digest in one.digests or _is_vical_before(item, answer.content):
            if item.issued is not None and at - item.issued >= grace:
                message = f"a newer one (number {item.number}) was signed on {TDate.of(item.issued).text}"
                faults.append((Fault.OLDER, message))
        else:
            faults.append(_stranger(one, answer.content, url))
        faults += _freshness(issued, until, ttl, at)
    if answer.media_type is not None and answer.media_type != item.media_type:
        faults.append((Fault.MEDIA_TYPE, f"served as another media type than {item.media_type}"))
    return Observation(url=url, kind=item.kind, faults=tuple(faults), until=until)


def _is_vical_before(item: Item, data: bytes) -> bool:
    """Whether this is a VICAL with a lower number, by the signer of the one that is published."""
    if item.kind is not ItemKind.VICAL:
        return False
    last, found = Vical.decode(item.content), Vical.decode(data)
    if found.issue_id is None or last.issue_id is None or found.issue_id >= last.issue_id:
        return False
    if not last.x5chain or found.x5chain[:1] != last.x5chain[:1]:
        return False
    try:
        found.message.verify(Certificate.decode(last.x5chain[0]).public_key)
    except MdlError:
        return False
    return True


def _stranger(one: Watched, data: bytes, url: str) -> tuple[Fault, str]:
    """What is wrong with something that the store has never seen."""
    if one.root is None:
        return Fault.FOREIGN, "it is not the VICAL that was published, and none before it by the same signer"
    try:
        if one.item.kind is ItemKind.CRL:
            crl = Crl.decode(data)
            crl.verify_signature(one.root.public_key)
            is_ours = crl.issuer == one.root.subject
            is_older = crl.number is not None and one.item.number is not None and crl.number < one.item.number
        else:
            token = check_status_token(data, uri=url, kind=ListKind(one.item.kind.value), root=one.root)
            is_ours = True
            is_older = one.item.issued is not None and token.issued_at < one.item.issued
    except MdlError as exc:
        return Fault.FOREIGN, f"it is not this authority's ({exc.code})"
    if not is_ours:
        return Fault.FOREIGN, "it is not this authority's"
    if not is_older:
        message = "it is signed by this authority's key, and the store is behind it: run mdl issuer restore"
        return Fault.AHEAD, message
    return Fault.ALTERED, "it is signed by this authority's key, and the store knows nothing of it"


def _freshness(
    issued: datetime, until: datetime | None, ttl: timedelta | None, at: datetime
) -> list[tuple[Fault, str]]:
    if until is None:
        return [(Fault.STALE, "it does not say until when it is good")]
    if at >= until:
        return [(Fault.STALE, f"it was good until {TDate.of(until).text}: readers refuse it")]
    if ttl is not None and at >= issued + ttl:
        return [(Fault.STALE, f"a newer copy was due on {TDate.of(issued + ttl).text}, and there is none")]
    if until - at <= (until - issued) / 3:
        return [(Fault.EXPIRING, f"it is good until {TDate.of(until).text} only, and its successor is not there")]
    return []


# --- where from -------------------------------------------------------------------------------------------------------


def fetch_tree(directory: Path) -> Fetch:
    """Look addresses up in a tree that `issuer.publishing` has made, without a network.

    Args:
        directory: The folder that was published to.

    Raises:
        LocalProtocolError, DecodeError: Its index is damaged, or something else's (codes ``publish.…``).
    """
    found = published_rows(directory)
    places = {} if found is None else {row.get("url"): path for path, row in found[1].items()}

    def fetch(url: str, _media_type: str) -> Answer:
        file = directory / "current" / (places.get(url) or path_of(url))
        try:
            with file.open("rb") as stream:
                content = stream.read(_MAX_SIZE + 1)
        except FileNotFoundError as exc:
            raise FetchError("there is no such file in the tree", code="fetch.missing", url=url) from exc
        except OSError as exc:
            raise FetchError("the file in the tree cannot be read", code="fetch.unreadable", url=url) from exc
        if len(content) > _MAX_SIZE:
            raise FetchError(f"the file is larger than {_MAX_SIZE} bytes", code="fetch.too_large", url=url)
        return Answer(content=content)

    return fetch


def fetch_http(*, timeout: float = _TIMEOUT, tls: ssl.SSLContext | None = None) -> Fetch:
    """Ask the servers themselves. Proxies, cookies and credentials are not used.

    Args:
        timeout: Seconds for one address, redirects included.
        tls: How to verify servers; None trusts the system's authorities.
    """
    context = tls or ssl.create_default_context()

    def fetch(url: str, media_type: str) -> Answer:
        deadline = time.monotonic() + timeout
        current = url
        try:
            for _ in range(_MAX_REDIRECTS + 1):
                found = _ask(current, media_type, deadline, context, url)
                if isinstance(found, Answer):
                    return found
                following = urljoin(current, found)
                if current.startswith("https:") and not following.startswith("https:"):
                    raise FetchError("a redirect leaves https", code="fetch.redirect", url=url)
                current = following
        except TimeoutError as exc:
            message = f"no answer within {timeout:g} seconds"
            raise FetchError(message, code="fetch.timeout", url=url, retryable=True) from exc
        except ssl.SSLError as exc:
            raise FetchError("the server's certificate or TLS is not in order", code="fetch.tls", url=url) from exc
        except (http.client.HTTPException, ValueError) as exc:
            raise FetchError("the answer is not HTTP", code="fetch.protocol", url=url) from exc
        except OSError as exc:
            raise FetchError("the connection failed", code="fetch.connect", url=url, retryable=True) from exc
        raise FetchError(f"more than {_MAX_REDIRECTS} redirects", code="fetch.redirect", url=url)

    return fetch


def _ask(url: str, media_type: str, deadline: float, context: ssl.SSLContext, asked: str) -> Answer | str:
    """Ask once; gives the answer, or where a redirect leads."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise FetchError("the address is neither http nor https", code="fetch.scheme", url=asked)
    with connected(parts, deadline=deadline, tls=context) as connection:
        headers = {"Accept": media_type, "Accept-Encoding": "identity", "User-Agent": "mdl-sdk", "Connection": "close"}
        connection.request("GET", target(parts), headers=headers)
        with connection.getresponse() as response:
            if response.status in _REDIRECTS:
                location = response.headers.get("Location")
                if location is None:
                    raise FetchError("a redirect that leads nowhere", code="fetch.redirect", url=asked)
                return location
            return _answer(response, asked)


def _answer(response: http.client.HTTPResponse, url: str) -> Answer:
    if response.status != http.HTTPStatus.OK:
        code = "fetch.missing" if response.status in _GONE else "fetch.status"
        raise FetchError(f"the server answers with status {response.status}", code=code, url=url)
    content = bytearray()
    while part := response.read(min(_CHUNK, _MAX_SIZE + 1 - len(content))):
        content += part
        if len(content) > _MAX_SIZE:
            raise FetchError(f"the answer is larger than {_MAX_SIZE} bytes", code="fetch.too_large", url=url)
    if response.length:
        raise FetchError("the answer is cut off", code="fetch.truncated", url=url, retryable=True)
    named = response.headers.get_content_type() if "Content-Type" in response.headers else None
    return Answer(content=bytes(content), media_type=named)

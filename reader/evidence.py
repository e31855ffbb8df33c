"""Keeping revocation evidence: what a document calls for, what is at hand, and when to get it anew.

- `needs_of` says what evidence a response calls for.
- `EvidenceStore` keeps CRLs and status lists that are authentic, and never one that is older than what it has seen. It
  can be saved to one file, for readers that work offline. A CRL of the root's own key under another name or key
  identifier is kept beside the root's CRL: it revokes and clears nobody, so it must not push out the one that does.
- `EvidenceCache` has a fetcher fill the store when something is missing or no longer fresh.

Ask an issuer's server only for a credential that is otherwise in order, or strangers decide whom you call. So verify
first, and fetch when nothing but the evidence is missing:

    report = verifier.examine(response, context=context, request=request, at=at)
    evidence = NO_EVIDENCE
    if only_evidence_is_missing(report):
        evidence = cache.gather(needs_of(response, trust), at=at).evidence
    verified = verifier.verify(response, context=context, request=request, at=at, evidence=evidence)

A reader that works offline loads a file, and passes the same evidence to every verification:

    evidence = EvidenceStore.load(path, trust).evidence(at=at)

Spec:
    Facts sheets pki §4, §7.3, §7.6 and online-and-conformance §4.1: the credential first; exp is a hard end, ttl the
    longest age of a copy, both whatever an HTTP header says.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from mdl.cbor import Limits, TDate, decode_view, encode
from mdl.errors import DecodeError, FetchError, MdlError, VerificationError
from mdl.mdoc import DeviceResponse, Document
from mdl.pki import Certificate
from mdl.status import StatusReference, StatusToken
from reader.fetching import EvidenceKind, Fetcher
from reader.files import write_whole
from reader.report import EVIDENCE_CHECKS, Report
from reader.revocation import Evidence, is_misnamed
from reader.status import authentic_crl, verify_status_token
from reader.trust import TrustStore

__all__ = [
    "EvidenceCache",
    "EvidenceStore",
    "Gathered",
    "Need",
    "needs_of",
    "needs_of_anchors",
    "only_evidence_is_missing",
]

# --- what is needed ---------------------------------------------------------------------------------------------------

_MAX_URLS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A piece of evidence that a document calls for.

    Attributes:
        kind: What it is.
        urls: Where it can be had; any of them will do. A status list has one, which is also its name.
        issuers: The roots on whose word it rests: it must be signed by one of them, or for a status list by somebody
            whom one of them has certified.
        certificate: For a status list, the certificate that the security object names (DER), or None.
    """

    kind: EvidenceKind
    urls: tuple[str, ...]
    issuers: tuple[Certificate, ...]
    certificate: bytes | None = None


def needs_of(response: bytes, trust: TrustStore) -> tuple[Need, ...]:
    """What revocation evidence a response calls for; nothing is fetched.

    Addresses are taken only from what an issuing authority has signed: the document signer's certificate is signed by
    one of the anchors, the security object by the document signer. That is no verdict; see the module's beginning for
    the order of things.

    Args:
        response: The encoded DeviceResponse.
        trust: The trusted roots.

    Raises:
        DecodeError: It is no DeviceResponse.
    """
    found: dict[Need, None] = {}
    for document in DeviceResponse.decode(response).documents:
        with suppress(MdlError):  # what cannot be authenticated calls for nothing; the verifier says what is wrong
            for need in _needs(document, trust):
                found[need] = None
    return tuple(found)


def needs_of_anchors(trust: TrustStore) -> tuple[Need, ...]:
    """The CRLs of the trusted roots, as far as the roots say where they are; for a reader that prefetches."""
    anchors = dict.fromkeys(anchor.certificate for anchor in trust)
    return tuple(need for one in anchors for need in _crl_need(one, (one,)))


def only_evidence_is_missing(report: Report) -> bool:
    """Whether a response is in order but for revocation evidence that was not at hand: then fetching is worth it."""
    return not report.failed and bool(report.indeterminate) and EVIDENCE_CHECKS.issuperset(report.indeterminate)


def _needs(document: Document, trust: TrustStore) -> Iterator[Need]:
    issuer_auth = document.issuer_signed.issuer_auth
    chain = issuer_auth.x5chain
    if not chain:
        return
    signer = Certificate.decode(chain[0])
    issuers = tuple(
        dict.fromkeys(
            anchor.certificate for anchor in trust.candidates(signer) if _has_signed(anchor.certificate, signer)
        )
    )
    if not issuers:
        return
    issuer_auth.verify(signer.public_key)
    yield from _crl_need(signer, issuers)
    status = document.issuer_signed.security_object().status
    if status is not None:
        for info in StatusReference.decode(status).lists:
            if _is_web(info.uri):
                yield Need(
                    kind=EvidenceKind(info.kind.value),
                    urls=(info.uri,),
                    issuers=issuers,
                    certificate=info.certificate,
                )


def _crl_need(certificate: Certificate, issuers: tuple[Certificate, ...]) -> Iterator[Need]:
    urls = tuple(filter(_is_web, certificate.crl_uris))[:_MAX_URLS]
    if urls:
        yield Need(kind=EvidenceKind.CRL, urls=urls, issuers=issuers)


def _is_web(uri: str) -> bool:
    return uri.lower().startswith(("http://", "https://"))


@lru_cache(maxsize=256)
def _has_signed(issuer: Certificate, certificate: Certificate) -> bool:
    try:
        certificate.verify_signature(issuer.public_key)
    except MdlError:
        return False
    return True


# --- what is kept -----------------------------------------------------------------------------------------------------

_MAGIC: Final = b"mdl evidence 1\n"
_MAX_STORE_BYTES: Final = 256 * 1024 * 1024
_MAX_ENTRIES: Final = 16_384
_ENTRY_COST: Final = 1024
# In the place of an address: that of a root's CRL, wherever it lies, and that of one of its key which names another.
_ROOT_CRL: Final = ""
_MISNAMED_CRL: Final = "misnamed"

_Key: TypeAlias = tuple[EvidenceKind, str, bytes, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Authentic evidence, or what is left of it: when there is no room, the marks stay and the bytes go.

    Attributes:
        key: Kind, address, root, pinned certificate. A root has one CRL, wherever it lies, and beside it one of its key
            that names another.
        issuer: The root.
        data: The evidence as received, or None.
        issued_at: ``thisUpdate`` or ``iat``.
        number: The CRL's number; -1 where there is none.
        expires: ``nextUpdate`` or ``exp``.
        ttl: How long a copy may be kept before a newer one is looked for, or None.
        fetched: When it came.
    """

    key: _Key
    issuer: Certificate
    data: bytes | None
    issued_at: datetime
    number: int
    expires: datetime
    ttl: timedelta | None
    fetched: datetime

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return _ENTRY_COST + len(self.key[1]) + len(self.key[3] or b"") + len(self.data or b"")

    @property
    def content(self) -> bytes | list[Any]:
        """What a file holds of it: the evidence, or its mark."""
        return _Mark(self.number, self.issued_at).written if self.data is None else self.data

    @property
    def is_misnamed(self) -> bool:
        """Whether it is a CRL of the root's own key under another name or key identifier."""
        return self.key[:2] == (EvidenceKind.CRL, _MISNAMED_CRL)

    def is_usable(self, at: datetime) -> bool:
        """Whether it is there and not expired."""
        return self.data is not None and self.issued_at <= at < self.expires

    def is_fresh(self, at: datetime, max_age: timedelta) -> bool:
        """Whether there is no reason to look for a newer one; a CRL that clears nobody is always one."""
        longest = max_age if self.ttl is None else min(self.ttl, max_age)
        # What is said to have been fetched later than now would stay fresh until then, and longer.
        return not self.is_misnamed and self.is_usable(at) and timedelta(0) <= at - self.fetched < longest


class EvidenceStore:
    """Revocation evidence that is authentic, each the newest that was seen. Threads may share one.

    What has expired is kept in mind, so that nothing older can take its place, but is not handed out: a reader that
    could not get a newer list has none, and its policy says what that means.
    """

    def __init__(self, *, max_bytes: int = _MAX_STORE_BYTES) -> None:
        """Start empty.

        Args:
            max_bytes: About how many bytes to keep; what was used longest ago goes first.
        """
        self._max_bytes = max_bytes
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many pieces of evidence there are, expired ones included."""
        return sum(1 for entry in list(self._entries.values()) if entry.data is not None)

    def add(self, need: Need, url: str, data: bytes, *, at: datetime) -> bool:
        """Take evidence in, if it is authentic, usable now and not older than what was seen.

        Args:
            need: What was needed.
            url: Where it came from: one of the need's addresses.
            data: What came.
            at: When.

        Returns:
            Whether it is what was needed. A CRL of the root's own key under another name or key identifier is not: it
            is kept for whom it revokes, and it clears nobody.

        Raises:
            VerificationError: It is not signed on any needed root's word (code ``evidence.untrusted``), not usable at
                that time (``evidence.unusable``), or older than what was seen (``evidence.rollback``).
            DecodeError: It is no such evidence.
        """
        entry = _authentic(need, url, data, at)
        if not entry.is_usable(at):
            raise _rejected("the evidence has expired or is from the future", "evidence.unusable")
        with self._lock:
            self._put(entry)
        return not entry.is_misnamed

    def _put(self, entry: _Entry) -> None:
        seen = self._entries.get(entry.key)
        if seen is not None:
            if _is_rollback(entry, seen):
                raise _rejected("the evidence is older than what was seen before", "evidence.rollback")
            self._size -= seen.size
        self._entries[entry.key] = entry
        self._entries.move_to_end(entry.key)
        self._size += entry.size
        while len(self._entries) > _MAX_ENTRIES:
            self._size -= self._entries.popitem(last=False)[1].size
        if self._size > self._max_bytes:
            self._make_room(entry.key)

    def _make_room(self, newest: _Key) -> None:
        for key, entry in list(self._entries.items()):
            if entry.data is not None and key != newest:
                without = replace(entry, data=None)
                self._entries[key] = without
                self._size -= entry.size - without.size
                if self._size <= self._max_bytes:
                    return

    def is_fresh(self, need: Need, *, at: datetime, max_age: timedelta) -> bool:
        """Whether there is such evidence and no reason to look for a newer one."""
        return any(entry.is_fresh(at, max_age) for entry in self._find(need))

    def evidence(self, needs: Iterable[Need] | None = None, *, at: datetime) -> Evidence:
        """The evidence at hand that has not expired.

        Args:
            needs: What is needed; None gives everything. A reader that works offline takes everything once and passes
                the same object to each verification: then a verifier sorts it only once.
            at: The time of verification.
        """
        with self._lock:
            entries: Iterable[_Entry] = list(self._entries.values())
        if needs is not None:
            entries = [entry for need in needs for entry in self._find(need)]
        crls: dict[bytes, None] = {}
        tokens: dict[bytes, None] = {}
        for entry in entries:
            if entry.data is not None and entry.is_usable(at):
                (crls if entry.key[0] is EvidenceKind.CRL else tokens)[entry.data] = None
        return Evidence(crls=tuple(crls), status_tokens=tuple(tokens))

    def _find(self, need: Need) -> list[_Entry]:
        found = []
        with self._lock:
            for issuer in need.issuers:
                for misnamed in (False, True) if need.kind is EvidenceKind.CRL else (False,):
                    entry = self._entries.get(_key(need, need.urls[0], issuer, misnamed=misnamed))
                    if entry is not None:
                        self._entries.move_to_end(entry.key)
                        found.append(entry)
        return found

    # the file

    def save(self, path: Path) -> None:
        """Write everything to one file, whole or not at all; see `encode`.

        Raises:
            FetchError: It cannot be written (code ``evidence.unwritable``).
        """
        write_whole(path, self.encode(), code="evidence.unwritable", what="the evidence file")

    def encode(self) -> bytes:
        """The file's content.

        Where there was no room for a piece of evidence, its mark is written, so that nothing older takes its place.
        """
        with self._lock:
            entries = list(self._entries.values())
        body = encode(
            [
                [str(kind), url, entry.issuer.fingerprint, pinned, entry.content, TDate.of(entry.fetched)]
                for entry in entries
                for kind, url, _, pinned in (entry.key,)
            ]
        )
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def load(cls, path: Path, trust: TrustStore, *, max_bytes: int = _MAX_STORE_BYTES) -> EvidenceStore:
        """Read a file that `save` has written; see `decode`.

        Raises:
            DecodeError: It cannot be read (code ``evidence.unreadable``), or see `decode`.
        """
        try:
            with path.open("rb") as stream:
                content = stream.read(max_bytes + 1)
        except (OSError, ValueError) as exc:  # a name that no file can have is a ValueError
            reason = exc.strerror if isinstance(exc, OSError) else "no name for a file"
            message = f"cannot read the evidence file: {reason or type(exc).__name__}"
            raise DecodeError(message, code="evidence.unreadable") from exc
        return cls.decode(content, trust, max_bytes=max_bytes)

    @classmethod
    def decode(cls, content: bytes, trust: TrustStore, *, max_bytes: int = _MAX_STORE_BYTES) -> EvidenceStore:
        """Read a file's content.

        A checksum finds damage. It does not keep out somebody who may write the file, but he gains little: each piece
        is verified again, and what rests on the word of a root that is not trusted is left out. What he can do is put
        back a file of last week, or take pieces out: then an older list serves until it expires, which it has not, and
        the store no longer knows that it had seen a newer one. Whoever is connected has newer ones fetched in time, by
        `EvidenceCache`; whoever is not keeps the file where only its user may write.

        Nothing vouches for a mark without its evidence. It keeps out nothing that was issued after it, whatever number
        it names, and nothing at all while its own time is still to come. What remains is a mark that is dated just now:
        whatever the authority has issued so far is refused, and the evidence is missing until it issues the next; what
        that means is for `reader.report.Revocation` to say.

        Args:
            content: The content of the file.
            trust: The trusted roots.
            max_bytes: Largest content, in bytes, inclusive, and about how many bytes the store keeps.

        Raises:
            DecodeError: It is damaged or no such file (code ``evidence.damaged``).
        """
        start = len(_MAGIC) + hashlib.sha256().digest_size
        digest, body = content[len(_MAGIC) : start], content[start:]
        if len(content) > max_bytes or not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
            raise _damaged()
        store = cls(max_bytes=max_bytes)
        anchors = {anchor.certificate.fingerprint: anchor.certificate for anchor in trust}
        limits = Limits(max_bytes=max_bytes, max_entries=_MAX_ENTRIES, max_items=16 * _MAX_ENTRIES)
        entries = decode_view(body, limits=limits)
        if type(entries) is not list:
            raise _damaged()
        for fields in entries:
            need, url, held, fetched = _read_entry(fields, anchors)
            if need is not None:
                with suppress(MdlError):
                    if isinstance(held, _Mark):
                        store._put(_marked(need, url, held, fetched))
                    else:
                        store._put(_authentic(need, url, held, fetched))
        return store


class _Mark(NamedTuple):
    """What is left of evidence for which there was no room; see `_Entry`."""

    number: int
    issued_at: datetime

    @property
    def written(self) -> list[Any]:
        """What a file holds of it: number (hex) and time."""
        return [f"{self.number:x}", self.issued_at.isoformat()]


def _read_entry(fields: Any, anchors: dict[bytes, Certificate]) -> tuple[Need | None, str, bytes | _Mark, datetime]:
    """One entry of a file; no need where its root is not trusted."""
    if type(fields) is not list or len(fields) != 6:
        raise _damaged()
    kind, url, issuer, pinned, content, fetched = fields
    types = (type(kind), type(url), type(issuer), type(fetched))
    if types != (str, str, bytes, TDate) or (pinned is not None and type(pinned) is not bytes):
        raise _damaged()
    data = content if type(content) is bytes else _read_mark(content)
    if kind not in list(EvidenceKind):
        raise _damaged()
    certificate = anchors.get(issuer)
    need = None
    if certificate is not None:
        need = Need(kind=EvidenceKind(kind), urls=(url,), issuers=(certificate,), certificate=pinned)
    return need, url, data, fetched.datetime


def _read_mark(content: Any) -> _Mark:
    """A mark, in the one way in which `EvidenceStore.save` writes it."""
    if type(content) is not list or [*map(type, content)] != [str, str]:
        raise _damaged()
    try:
        mark = _Mark(int(content[0], 16), datetime.fromisoformat(content[1]))
    except ValueError as exc:
        raise _damaged() from exc
    if mark.issued_at.utcoffset() != timedelta(0) or mark.written != content:
        raise _damaged()
    return mark


def _marked(need: Need, url: str, mark: _Mark, fetched: datetime) -> _Entry:
    """An entry without its evidence: nothing vouches for it, and all that it can do is in `_is_rollback`."""
    (issuer,) = need.issuers
    return _Entry(
        key=_key(need, url, issuer, misnamed=url == _MISNAMED_CRL),
        issuer=issuer,
        data=None,
        issued_at=mark.issued_at,
        number=mark.number,
        expires=mark.issued_at,
        ttl=None,
        fetched=fetched,
    )


def _damaged() -> DecodeError:
    return DecodeError("the evidence file is damaged, too large, or no such file", code="evidence.damaged")


def _is_rollback(entry: _Entry, seen: _Entry) -> bool:
    """Whether evidence is older than what was seen, so that it must not take its place.

    A mark may have come from a file, and then nothing vouches for it. So it keeps out nothing that was issued after it,
    whatever number it names, and one from the future nothing at all: whoever may write the file could else keep away
    every list that revokes, for good.
    """
    older = (entry.number, entry.issued_at) < (seen.number, seen.issued_at)
    if seen.data is None:
        return older and entry.issued_at <= seen.issued_at <= entry.fetched
    return older


def _rejected(message: str, code: str) -> VerificationError:
    return VerificationError(message, code=code)


def _key(need: Need, url: str, issuer: Certificate, *, misnamed: bool = False) -> _Key:
    if need.kind is EvidenceKind.CRL:
        url = _MISNAMED_CRL if misnamed else _ROOT_CRL
    return need.kind, url, issuer.der, need.certificate


def _authentic(need: Need, url: str, data: bytes, at: datetime) -> _Entry:
    """The evidence as an entry, once one of the needed roots vouches for it."""
    if need.kind is EvidenceKind.CRL:
        return _authentic_crl(need, url, data, at)
    token = StatusToken.decode(data)
    if token.kind.value != need.kind.value or token.subject != url:
        raise _rejected("the token is for another address, or another kind of list", "evidence.untrusted")
    failure: MdlError | None = None
    for issuer in need.issuers:
        try:
            found = verify_status_token(token, issuer=issuer, certificate=need.certificate)
        except MdlError as exc:
            failure = exc
            continue
        return _Entry(
            key=_key(need, url, issuer),
            issuer=issuer,
            data=data,
            issued_at=found.issued_at,
            number=-1,
            expires=found.expires,
            ttl=found.ttl,
            fetched=at,
        )
    raise _rejected("the token's signer is not authorised", "evidence.untrusted") from failure


def _authentic_crl(need: Need, url: str, data: bytes, at: datetime) -> _Entry:
    """The CRL as an entry; of roots that share a key, as that of the one which it names."""
    found: _Entry | None = None
    for issuer in need.issuers:
        crl = authentic_crl(data, issuer)
        if crl is None or crl.next_update is None:
            continue
        misnamed = is_misnamed(crl, issuer)
        if found is None or not misnamed:
            found = _Entry(
                key=_key(need, url, issuer, misnamed=misnamed),
                issuer=issuer,
                data=data,
                issued_at=crl.this_update,
                number=-1 if crl.number is None else crl.number,
                expires=crl.next_update,
                ttl=None,
                fetched=at,
            )
        if not misnamed:
            break
    if found is None:
        raise _rejected("no revocation list of the root", "evidence.untrusted")
    return found


# --- keeping it fresh -------------------------------------------------------------------------------------------------

_MAX_FAILURES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What came of gathering evidence.

    Attributes:
        evidence: What is at hand.
        errors: What could not be had, or not be renewed: each with its code and address. A CRL of the root's own key
            under another name or key identifier is kept, and yet not what is needed (``evidence.misnamed``).
    """

    evidence: Evidence
    errors: tuple[FetchError, ...]


class EvidenceCache:
    """Gets evidence when it is missing or no longer fresh. Threads may share one.

    Attributes:
        store: Where it is kept.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        store: EvidenceStore | None = None,
        max_age: timedelta = timedelta(days=1),
        retry_after: timedelta = timedelta(minutes=1),
    ) -> None:
        """Join a fetcher and a store.

        Args:
            fetcher: Where evidence comes from.
            store: Where it is kept; None starts an empty one.
            max_age: Look for newer evidence after that time at the latest, even where the old one has not expired: a
                CRL may be good for 90 days, and a revocation must be on it within two.
            retry_after: Leave an address alone for so long after it has failed.
        """
        self._fetcher = fetcher
        self._max_age = max_age
        self._retry_after = retry_after
        self._failures: OrderedDict[tuple[EvidenceKind, str], tuple[datetime, FetchError]] = OrderedDict()
        self._lock = threading.Lock()
        self.store = EvidenceStore() if store is None else store

    def gather(self, needs: Iterable[Need], *, at: datetime) -> Gathered:
        """Get what is needed: from the store while it is fresh, else from its address.

        Where a newer one cannot be had, the old one serves until it expires.

        Args:
            needs: What is needed; see `needs_of`.
            at: The time of verification.
        """
        needs = tuple(needs)
        missing = [need for need in needs if not self.store.is_fresh(need, at=at, max_age=self._max_age)]
        errors = self._fetch_all(missing, at, patient=True)
        return Gathered(evidence=self.store.evidence(needs, at=at), errors=errors)

    def prefetch(self, needs: Iterable[Need], *, at: datetime) -> tuple[FetchError, ...]:
        """Get everything anew, fresh or not, into the store; then `EvidenceStore.save` makes one file of it.

        Args:
            needs: What to get; see `needs_of_anchors`. A status list is
                ``Need(kind=EvidenceKind.STATUS_LIST, urls=(url,), issuers=(root,))``.
            at: The time.

        Returns:
            What could not be had.
        """
        return self._fetch_all(needs, at, patient=False)

    def _fetch_all(self, needs: Iterable[Need], at: datetime, *, patient: bool) -> tuple[FetchError, ...]:
        errors: list[FetchError] = []
        for need in needs:
            failures = []
            for url in need.urls:
                failure = self._fetch(need, url, at, patient=patient)
                if failure is None:
                    break
                failures.append(failure)
            else:
                errors += failures
        return tuple(errors)

    def _fetch(self, need: Need, url: str, at: datetime, *, patient: bool) -> FetchError | None:
        place = (need.kind, url)
        if patient:
            with self._lock:
                failed = self._failures.get(place)
            if failed is not None and at - failed[0] < self._retry_after:
                return failed[1]
        try:
            data = self._fetcher.fetch(url, kind=need.kind)
            if not self.store.add(need, url, data, at=at):
                message = "the revocation list names another than the root: it clears nobody"
                raise _rejected(message, "evidence.misnamed")
        except MdlError as exc:
            # A new error: the old one would keep every frame of its traceback alive.
            retryable = isinstance(exc, FetchError) and exc.retryable
            failure = FetchError(exc.message, code=exc.code, url=url, retryable=retryable)
        else:
            with self._lock:
                self._failures.pop(place, None)
            return None
        with self._lock:
            self._failures[place] = (at, failure)
            while len(self._failures) > _MAX_FAILURES:
                self._failures.popitem(last=False)
        return failure

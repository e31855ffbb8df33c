"""Storage of revocation evidence: the evidence that a response needs, the evidence at hand, and its renewal.

- `needs_of` returns the evidence that a response needs.
- `EvidenceStore` keeps authentic CRLs and status lists: the newest list of each series, and older lists that revoke
  something that no newer list revokes. The verifier judges the stored lists like lists that are given to it directly
  (docs/adr/0017). The store can be saved to one file, for readers that work offline.
- `EvidenceCache` uses a fetcher to fill the store if evidence is missing or no longer fresh.

Contact an issuer's server only for a credential that is otherwise in order. Otherwise strangers choose the servers that
the reader contacts. So verify first, and fetch if only the evidence is missing:

    report = verifier.examine(response, context=context, request=request, at=at)
    evidence = NO_EVIDENCE
    if only_evidence_is_missing(report):
        evidence = cache.gather(needs_of(response, trust), at=at).evidence
    verified = verifier.verify(response, context=context, request=request, at=at, evidence=evidence)

A reader that works offline loads a file, and passes the same evidence to every verification:

    evidence = EvidenceStore.load(path, trust).evidence(at=at)

Spec:
    pki.md §4, §7.3, §7.6 and online.md §4.1: the credential first; exp is a hard end, ttl the
    longest age of a copy, both whatever an HTTP header says.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from mdl.cbor import Limits, TDate, decode_view, encode
from mdl.errors import DecodeError, FetchError, MdlError, VerificationError
from mdl.mdoc import DeviceResponse, Document
from mdl.pki import IACA, Certificate
from mdl.status import IdentifierList, StatusList, StatusReference, StatusToken
from reader.fetching import EvidenceKind, Fetcher
from reader.files import write_whole
from reader.report import EVIDENCE_CHECKS, Report
from reader.revocation import MAX_CLOCK_SKEW, Age, Evidence, IssuersWord, claims_issuer, demand_moment, known_crl
from reader.status import verify_status_token
from reader.trust import TrustStore

__all__ = [
    "EvidenceCache",
    "EvidenceStore",
    "Gathered",
    "Need",
    "gaps_of",
    "gaps_of_anchors",
    "needs_of",
    "needs_of_anchors",
    "only_evidence_is_missing",
]

# --- what is needed ---------------------------------------------------------------------------------------------------

_MAX_URLS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A piece of evidence that a document needs.

    Attributes:
        kind: The kind of evidence.
        urls: Its addresses; each of them will do. A status list has one address, which is also its name.
        issuers: The roots that may vouch for it: one of them must have signed it, or for a status list must have
            certified the signer.
        certificate: For a status list, the certificate that the security object names (DER), or None.
    """

    kind: EvidenceKind
    urls: tuple[str, ...]
    issuers: tuple[Certificate, ...]
    certificate: bytes | None = None


def needs_of(response: bytes, trust: TrustStore) -> tuple[Need, ...]:
    """Return the revocation evidence that a response needs. Nothing is fetched.

    Addresses are taken only from data that an issuing authority signed: an anchor must have signed the document
    signer's certificate, and the document signer the security object. This is not a verdict; the module's docstring
    has the order of the steps.

    Args:
        response: The encoded DeviceResponse.
        trust: The trusted roots.

    Raises:
        DecodeError: The bytes are no DeviceResponse.
    """
    return tuple(one for one in _survey(response, trust) if isinstance(one, Need))


def needs_of_anchors(trust: TrustStore) -> tuple[Need, ...]:
    """The CRLs of trusted roots and of their proofs that have a web address, for a reader that fetches in advance."""
    return tuple(dict.fromkeys(one for _, one in _wanted_of_anchors(trust) if isinstance(one, Need)))


def gaps_of(response: bytes, trust: TrustStore) -> tuple[FetchError, ...]:
    """The evidence that a response needs and that has no web address; the arguments are those of `needs_of`.

    Raises:
        DecodeError: The bytes are no DeviceResponse.
    """
    return tuple(one for one in _survey(response, trust) if isinstance(one, FetchError))


def gaps_of_anchors(trust: TrustStore, needs: Iterable[Need] = ()) -> tuple[FetchError, ...]:
    """Errors for trusted roots and proofs whose CRL has no web address (code ``evidence.no_address``).

    Args:
        trust: The trusted roots.
        needs: Further needs. A root whose CRL one of these needs can fetch is left out.
    """
    had = {issuer.der for need in needs if need.kind is EvidenceKind.CRL for issuer in need.issuers}
    wanted = [(issuer, one) for issuer, one in _wanted_of_anchors(trust) if issuer.der not in had]
    return tuple({one.message: one for _, one in wanted if isinstance(one, FetchError)}.values())


def only_evidence_is_missing(report: Report) -> bool:
    """Whether missing revocation evidence is the only reason to refuse, so that it is worth fetching."""
    return not report.failed and bool(report.indeterminate) and EVIDENCE_CHECKS.issuperset(report.indeterminate)


def _survey(response: bytes, trust: TrustStore) -> list[Need | FetchError]:
    found: dict[Any, Need | FetchError] = {}
    for document in DeviceResponse.decode(response).documents:
        with suppress(MdlError):  # what cannot be authenticated calls for nothing; the verifier says what is wrong
            for one in _wanted(document, trust):
                found.setdefault(one if isinstance(one, Need) else (one.message, one.url), one)
    return list(found.values())


def _wanted_of_anchors(trust: TrustStore) -> Iterator[tuple[Certificate, Need | FetchError]]:
    """What may revoke a trusted root's signers, or what the trust in it rests on: whose CRL it is, and the need."""
    for root in dict.fromkeys(anchor.certificate for anchor in trust):
        yield root, _crl_need(root, (root,), f"the root {_name(root)}")
    for pair in dict.fromkeys(pair for anchor in trust for pair in anchor.proof):
        yield pair[1], _need_of_proof(*pair)


def _need_of_proof(certificate: Certificate, issuer: Certificate) -> Need | FetchError:
    return _crl_need(certificate, (issuer,), f"the certificate {_name(certificate)}, which a root rests on,")


def _wanted(document: Document, trust: TrustStore) -> Iterator[Need | FetchError]:
    issuer_auth = document.issuer_signed.issuer_auth
    chain = issuer_auth.x5chain
    if not chain:
        return
    signer = Certificate.decode(chain[0])
    anchors = [anchor for anchor in trust.candidates(signer) if _has_signed(anchor.certificate, signer)]
    issuers = tuple(dict.fromkeys(anchor.certificate for anchor in anchors))
    if not issuers:
        return
    issuer_auth.verify(signer.public_key)
    yield _crl_need(signer, issuers, f"the document signer {_name(signer)}")
    for pair in dict.fromkeys(pair for anchor in anchors for pair in anchor.proof):
        yield _need_of_proof(*pair)
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
            else:
                yield _gap("the document names no web address for its status list", (info.uri,))


def _crl_need(certificate: Certificate, issuers: tuple[Certificate, ...], name: str) -> Need | FetchError:
    urls = tuple(filter(_is_web, certificate.crl_uris))[:_MAX_URLS]
    if urls:
        return Need(kind=EvidenceKind.CRL, urls=urls, issuers=issuers)
    return _gap(f"{name} names no web address for the revocation list", certificate.crl_uris)


def _gap(message: str, uris: Sequence[str]) -> FetchError:
    return FetchError(message, code="evidence.no_address", url=uris[0] if uris else "", retryable=False)


def _name(certificate: Certificate) -> str:
    return f"{certificate.subject} (SHA-256 {certificate.fingerprint.hex()[:16]})"


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
# How many older lists are kept beside the newest, for each root and address, and there for each scope or signer.
_MAX_OLDER: Final = 8
# For how long a list that has expired is kept for what it revokes: nothing below a root lives longer than a root may.
_LONGEST_LIFE: Final = IACA.longest_validity or timedelta.max

# Kind, address (of a CRL: none, as a root's lists may lie anywhere), root, pinned certificate.
_Place: TypeAlias = tuple[EvidenceKind, str, bytes, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """Authentic evidence, or its mark: if there is no room, the bytes are dropped and the mark stays.

    Attributes:
        place: Kind, address, root, pinned certificate.
        series: The sequence in which a newer list replaces an older one: the CRLs of one scope, the status lists of one
            signer. Lists that clear nothing are a series of their own, so that they replace no list that clears.
        issuer: The root.
        data: The evidence as received, or None.
        age: ``thisUpdate`` or ``iat``, and the CRL's number.
        begins: The time from which it may be used: ``thisUpdate``, ``iat`` or ``nbf``.
        until: ``nextUpdate`` or ``exp``, at most `LONGEST_CRL_AGE` after ``thisUpdate``; None if it does not say.
        refusal: The reason why it clears nothing at any time, as code and message, or None.
        uris: The addresses that it covers, or None for all.
        speaks: Whether it revokes or suspends something, or ends a suspension.
        ttl: How long a copy may be kept before a newer one is looked for, or None.
        fetched: The time at which it was added.
    """

    place: _Place
    series: bytes
    issuer: Certificate
    data: bytes | None
    age: Age
    begins: datetime
    until: datetime | None
    refusal: tuple[str, str] | None
    uris: frozenset[str] | None
    speaks: bool
    ttl: timedelta | None
    fetched: datetime

    @property
    def size(self) -> int:
        """About how many bytes the entry takes."""
        return _ENTRY_COST + len(self.place[1]) + len(self.place[3] or b"") + len(self.series) + len(self.data or b"")

    @property
    def content(self) -> bytes | list[Any]:
        """The content of the entry in a file: the evidence, or its mark."""
        return _Mark(self.age.number, self.age.issued_at, self.series).written if self.data is None else self.data

    def is_early(self, at: datetime) -> bool:
        """Whether it is from the future."""
        return self.begins > at

    def is_usable(self, at: datetime) -> bool:
        """Whether it clears at that time, or will do so within the largest clock skew."""
        return (
            self.data is not None
            and self.refusal is None
            and self.begins - at <= MAX_CLOCK_SKEW
            and self.until is not None
            and at < self.until
        )

    def is_fresh(self, at: datetime, max_age: timedelta) -> bool:
        """Whether there is no reason to look for a newer list. A list that clears nothing is never fresh."""
        longest = max_age if self.ttl is None else min(self.ttl, max_age)
        # What is said to have been fetched later than now would stay fresh until then, and longer.
        return self.is_usable(at) and timedelta(0) <= at - self.fetched < longest

    def serves(self, need: Need) -> bool:
        """Whether it covers one of the addresses."""
        return self.uris is None or not self.uris.isdisjoint(need.urls)


class EvidenceStore:
    """A store of authentic evidence: the newest lists, and older ones that still revoke. Threads may share it.

    The store does not judge expiry: an expired list still revokes, and keeps older lists from clearing. The verifier
    judges the stored lists like lists that are given to it directly.
    """

    def __init__(self, *, max_bytes: int = _MAX_STORE_BYTES) -> None:
        """Create an empty store.

        Args:
            max_bytes: About how many bytes to keep. If there is no room, lists of the root with the most bytes are
                dropped: first lists that revoke nothing, the least recently used first.
        """
        self._max_bytes = max_bytes
        self._places: OrderedDict[_Place, list[_Entry]] = OrderedDict()
        self._sizes: dict[bytes, int] = {}  # by root
        self._size = 0
        self._count = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """The number of pieces of evidence, including expired ones."""
        return sum(1 for entry in self._entries() if entry.data is not None)

    def add(self, need: Need, url: str, data: bytes, *, at: datetime) -> bool:
        """Add evidence if it is authentic and adds something to the newer evidence.

        Args:
            need: The need that it was fetched for.
            url: The address that it was fetched from: one of the need's addresses.
            data: The evidence as received.
            at: The time, an aware datetime.

        Returns:
            Whether it meets the need: it is the newest list and can clear now. Other evidence is kept if it revokes
            something, or keeps older evidence from clearing.

        Raises:
            VerificationError: No needed root vouches for it (code ``evidence.untrusted``); or it can neither revoke nor
                clear (``evidence.unusable``, ``evidence.misnamed``), or is older than stored evidence
                (``evidence.rollback``).
            DecodeError: The bytes are no evidence of this kind.
            ValueError: `at` is naive.
        """
        problem, is_kept = self._take(need, url, data, at)
        if problem is not None and not is_kept:
            raise problem
        return problem is None

    def _take(self, need: Need, url: str, data: bytes, at: datetime) -> tuple[VerificationError | None, bool]:
        """The reason why evidence does not meet the need, or None; and whether it is kept."""
        demand_moment("at", at)
        entry = _authentic(need, url, data, at)
        with self._lock:
            self._put(entry, at)
            series = [one for one in self._places.get(entry.place, ()) if one.series == entry.series]
        is_kept = any(one.data == data for one in series)
        if entry.refusal is not None:
            return _rejected(entry.refusal[1], entry.refusal[0]), is_kept
        if any(one.age > entry.age and not one.is_early(at) for one in series):
            return _rejected("the evidence is older than what was seen before", "evidence.rollback"), is_kept
        if not entry.is_usable(at):
            return _rejected("the evidence has expired or is from the future", "evidence.unusable"), is_kept
        if not entry.serves(need):
            return _rejected("the revocation list is for certificates of other addresses", "evidence.unusable"), is_kept
        return None, is_kept

    def _put(self, entry: _Entry, at: datetime) -> None:
        before = self._places.get(entry.place, [])
        others = [one for one in before if one.series != entry.series]
        series = [one for one in before if one.series == entry.series and one.data != entry.data]
        kept = _without_silent(_reduced([entry, *series], at) + others, at)
        self._set(entry.place, kept)
        if kept:
            self._places.move_to_end(entry.place)
        self._make_room(entry)

    def _set(self, place: _Place, entries: list[_Entry]) -> None:
        before = self._places.get(place, [])
        if entries:
            self._places[place] = entries
        else:
            self._places.pop(place, None)
        size = sum(one.size for one in entries) - sum(one.size for one in before)
        self._sizes[place[2]] = self._sizes.get(place[2], 0) + size
        self._size += size
        self._count += len(entries) - len(before)

    def _make_room(self, newest: _Entry) -> None:
        while self._size > self._max_bytes or self._count > _MAX_ENTRIES:
            largest = max(self._sizes, key=lambda root: (self._sizes[root], root == newest.place[2]))
            if not self._drop_one(largest, newest):
                return

    def _drop_one(self, root: bytes, newest: _Entry) -> bool:
        """Drop one list of a root, or a mark if there are too many entries; false if nothing is left to drop."""
        theirs = [one for place, entries in self._places.items() if place[2] == root for one in entries]
        droppable = [one for one in theirs if one is not newest and (one.data or self._count > _MAX_ENTRIES)]
        if not droppable:
            return False
        entry = min(droppable, key=lambda one: (one.data is None, one.speaks))
        rest = [one for one in self._places[entry.place] if one is not entry]
        follows = any(one.series == entry.series and one.age >= entry.age for one in rest)
        if entry.data is not None and entry.refusal is None and not follows:
            rest.append(replace(entry, data=None, speaks=False))
        self._set(entry.place, rest)
        return True

    def is_fresh(self, need: Need, *, at: datetime, max_age: timedelta) -> bool:
        """Whether evidence for a need is stored and there is no reason to look for newer evidence.

        Raises:
            ValueError: `at` is naive.
        """
        demand_moment("at", at)
        found = [entry for entry in self._find(need) if entry.serves(need)]
        return any(
            entry.is_fresh(at, max_age)
            and not any(one.series == entry.series and one.age > entry.age and not one.is_early(at) for one in found)
            for entry in found
        )

    def evidence(self, needs: Iterable[Need] | None = None, *, at: datetime) -> Evidence:
        """The stored evidence that may revoke or clear something, now or later.

        Args:
            needs: The needs; None returns everything. A reader that works offline calls this once and passes the same
                object to each verification, so that a verifier sorts it only once.
            at: The time of verification: lists from the future that revoke nothing are left out.

        Raises:
            ValueError: `at` is naive.
        """
        demand_moment("at", at)
        with self._lock:
            entries = self._entries()
        if needs is not None:
            entries = [entry for need in needs for entry in self._find(need)]
        crls: dict[bytes, None] = {}
        tokens: dict[bytes, None] = {}
        for entry in entries:
            if entry.data is not None and (entry.speaks or entry.begins - at <= MAX_CLOCK_SKEW):
                (crls if entry.place[0] is EvidenceKind.CRL else tokens)[entry.data] = None
        return Evidence(crls=tuple(crls), status_tokens=tuple(tokens))

    def _entries(self) -> list[_Entry]:
        return [entry for entries in list(self._places.values()) for entry in entries]

    def _find(self, need: Need) -> list[_Entry]:
        found: list[_Entry] = []
        with self._lock:
            for issuer in need.issuers:
                place = _place(need, need.urls[0], issuer)
                entries = self._places.get(place)
                if entries is not None:
                    self._places.move_to_end(place)
                    found += entries
        return found

    # the file

    def save(self, path: Path) -> None:
        """Write everything to one file, whole or not at all; see `encode`.

        Raises:
            FetchError: The file cannot be written (code ``evidence.unwritable``).
        """
        write_whole(path, self.encode(), code="evidence.unwritable", what="the evidence file")

    def encode(self) -> bytes:
        """The file's content.

        For evidence that was dropped, its mark is written, so that no older evidence replaces it.
        """
        with self._lock:
            entries = self._entries()
        body = encode(
            [
                [str(kind), url, entry.issuer.fingerprint, pinned, entry.content, TDate.of(entry.fetched)]
                for entry in entries
                for kind, url, _, pinned in (entry.place,)
            ]
        )
        return _MAGIC + hashlib.sha256(body).digest() + body

    @classmethod
    def load(cls, path: Path, trust: TrustStore, *, max_bytes: int = _MAX_STORE_BYTES) -> EvidenceStore:
        """Read a file that `save` has written; see `decode`.

        Raises:
            DecodeError: The file cannot be read (code ``evidence.unreadable``), or see `decode`.
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

        A checksum detects damage. It does not stop an attacker who may write the file, but such an attacker gains
        little: each piece is verified again, and evidence of a root that is not trusted is left out. The attacker can
        restore an older file, or remove pieces. Then an older list is used until it expires, and the store does not
        know that it had a newer one. A reader with a connection fetches newer lists in time, with `EvidenceCache`.
        Without a connection, keep the file where only its user may write.

        Nothing proves a mark without its evidence. A mark keeps out no evidence that was issued after it, whatever
        number it names, and nothing at all while its time is in the future. A forged mark with the present time keeps
        out the evidence issued so far: it is missing until the authority issues the next list, and
        `reader.report.Revocation` decides what follows.

        Args:
            content: The content of the file.
            trust: The trusted roots.
            max_bytes: Largest content, in bytes, inclusive, and about how many bytes the store keeps.

        Raises:
            DecodeError: The content is damaged or of another kind (code ``evidence.damaged``).
        """
        start = len(_MAGIC) + hashlib.sha256().digest_size
        digest, body = content[len(_MAGIC) : start], content[start:]
        if len(content) > max_bytes or not content.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
            raise _damaged()
        store = cls(max_bytes=max_bytes)
        proofs = (issuer for anchor in trust for _, issuer in anchor.proof)
        anchors = {one.fingerprint: one for one in (*(anchor.certificate for anchor in trust), *proofs)}
        limits = Limits(max_bytes=max_bytes, max_entries=_MAX_ENTRIES, max_items=16 * _MAX_ENTRIES)
        entries = decode_view(body, limits=limits)
        if type(entries) is not list:
            raise _damaged()
        for fields in entries:
            need, url, held, fetched = _read_entry(fields, anchors)
            if need is not None:
                with suppress(MdlError):
                    if isinstance(held, _Mark):
                        store._put(_marked(need, url, held, fetched), fetched)
                    else:
                        store._put(_authentic(need, url, held, fetched), fetched)
        return store


class _Mark(NamedTuple):
    """The mark of evidence that was dropped; see `_Entry`."""

    number: int
    issued_at: datetime
    series: bytes

    @property
    def written(self) -> list[Any]:
        """The mark in a file: number (hex), time and series."""
        return [f"{self.number:x}", self.issued_at.isoformat(), self.series]


def _read_entry(fields: Any, anchors: dict[bytes, Certificate]) -> tuple[Need | None, str, bytes | _Mark, datetime]:
    """Read one entry of a file; the need is None if its root is not trusted."""
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
    """Read a mark in the form that `EvidenceStore.save` writes."""
    if type(content) is not list or [*map(type, content)] != [str, str, bytes]:
        raise _damaged()
    try:
        mark = _Mark(int(content[0], 16), datetime.fromisoformat(content[1]), content[2])
    except ValueError as exc:
        raise _damaged() from exc
    if mark.issued_at.utcoffset() != timedelta(0) or mark.written != content:
        raise _damaged()
    return mark


def _marked(need: Need, url: str, mark: _Mark, fetched: datetime) -> _Entry:
    """An entry without its evidence.

    Nothing proves a mark from a file. Its only effect is in `_reduced`: it keeps out no evidence that was issued after
    it, whatever number it names; a mark from the future keeps out nothing.
    """
    (issuer,) = need.issuers
    return _Entry(
        place=_place(need, url, issuer),
        series=mark.series,
        issuer=issuer,
        data=None,
        age=Age(mark.issued_at, mark.number),
        begins=mark.issued_at,
        until=mark.issued_at,
        refusal=None,
        uris=None,
        speaks=False,
        ttl=None,
        fetched=fetched,
    )


def _damaged() -> DecodeError:
    return DecodeError("the evidence file is damaged, too large, or no such file", code="evidence.damaged")


def _rejected(message: str, code: str) -> VerificationError:
    return VerificationError(message, code=code)


def _place(need: Need, url: str, issuer: Certificate) -> _Place:
    return need.kind, "" if need.kind is EvidenceKind.CRL else url, issuer.der, need.certificate


def _authentic(need: Need, url: str, data: bytes, at: datetime) -> _Entry:
    """Make an entry of evidence after checking that a needed root vouches for it."""
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
        said = _said_by_list(found.content)
        refusal = None
        if found.expires is None:
            refusal = "evidence.unusable", "the status list does not say when it expires"
        elif isinstance(found.content, StatusList) and found.content.bits != 1:
            refusal = "evidence.unusable", "a status list for mdocs has one bit for each"
        signer = hashlib.sha256(b"".join(subject.der for subject, _ in found.chain)).digest()
        return _Entry(
            place=_place(need, url, issuer),
            series=signer if refusal is None else b"!" + signer,
            issuer=issuer,
            data=data,
            age=found.age,
            begins=found.begins,
            until=found.expires,
            refusal=refusal,
            uris=None,
            speaks=said != _Said(width=said.width),
            ttl=found.ttl,
            fetched=at,
        )
    raise _rejected("the token's signer is not authorised", "evidence.untrusted") from failure


def _authentic_crl(need: Need, url: str, data: bytes, at: datetime) -> _Entry:
    """Make an entry of a CRL. If roots share a key, the entry is for the root that the list clears for."""
    found: tuple[IssuersWord, Certificate] | None = None
    known = known_crl(data)
    problem = "no revocation list of the root"
    for issuer in need.issuers:
        if known.envelope is not None and not claims_issuer(known.envelope, issuer):
            continue
        word = known.word_of(issuer)
        if isinstance(word, str):
            problem = f"no revocation list of the root: {word}"
        elif found is None or (found[0].refusal is not None and word.refusal is None):
            found = word, issuer
    if found is None:
        raise _rejected(problem, "evidence.untrusted")
    word, issuer = found
    refusal = None
    if word.refusal is not None:
        code = "evidence.misnamed" if word.is_misnamed else "evidence.unusable"
        refusal = code, f"the revocation list clears nobody: {word.refusal}"
    scope = word.crl.scope
    return _Entry(
        place=_place(need, url, issuer),
        series=(b"" if refusal is None else b"!d" if word.crl.is_delta else b"!") + scope.key,
        issuer=issuer,
        data=data,
        age=word.age,
        begins=word.crl.this_update,
        until=word.until,
        refusal=refusal,
        uris=scope.uris,
        speaks=bool(word.revoked or word.others),
        ttl=None,
        fetched=at,
    )


# --- which of several lists are kept ----------------------------------------------------------------------------------


class _Said(NamedTuple):
    """The statement of a list, for comparison with another: its final revocations, and its other entries.

    Serial numbers or identifiers; of a status list all statuses as one number each, which goes with their width.
    """

    revoked: frozenset[Any] = frozenset()
    others: frozenset[Any] = frozenset()
    revoked_mask: int = 0
    others_mask: int = 0
    width: int = 0

    def goes_beyond(self, newer: _Said, *, others_too: bool) -> bool:
        """Whether it revokes something that a newer list does not, or with `others_too` has another such entry."""
        if self.width != newer.width:
            return True
        if self.revoked - newer.revoked or self.revoked_mask & ~newer.revoked_mask:
            return True
        if not others_too:
            return False
        both = newer.revoked_mask | newer.others_mask
        return bool(self.others - newer.revoked - newer.others or self.others_mask & ~both)


def _said(entry: _Entry) -> _Said:
    data = entry.data or b""
    if entry.place[0] is EvidenceKind.CRL:
        word = known_crl(data).word_of(entry.issuer)
        return _Said() if isinstance(word, str) else _Said(word.revoked, frozenset(word.others))
    return _said_by_list(StatusToken.decode(data).decode_list())


def _said_by_list(content: StatusList | IdentifierList) -> _Said:
    if isinstance(content, IdentifierList):
        return _Said(content.identifiers)
    revoked, suspended = content.masks()
    return _Said(revoked_mask=revoked, others_mask=suspended, width=content.bits)


def _reduced(series: list[_Entry], at: datetime) -> list[_Entry]:
    """Select the entries of one series to keep: the newest, and others that state something that no newer one states.

    The newest is the newest entry that can clear and is not from the future. Suspensions of an older entry do not
    count, since the newer one decides them. Suspensions of entries that cannot clear, or are from the future, count.

    Args:
        series: All entries; of two with one age, the later addition stands first.
        at: The time.
    """
    newest: Age | None = None
    current: list[_Entry] = []
    older: list[_Entry] = []
    for entry in sorted(series, key=lambda one: one.age, reverse=True):
        clears = entry.refusal is None and not entry.is_early(at)
        if clears and newest is None:
            newest = entry.age
            current.append(entry)
            continue
        is_current = clears and entry.age == newest
        rivals = [one for one in (*current, *older) if one.data is not None]
        if is_current and not any(_says_the_same(entry, one) for one in rivals if one.age == newest):
            current.append(entry)
            continue
        is_ahead = entry.refusal is None and entry.is_early(at) and entry.is_usable(at)
        goes_beyond = not is_current and entry.speaks and _goes_beyond(entry, rivals, others_too=not clears)
        if is_ahead or goes_beyond:
            older.append(entry)
    older = [one for one in older if one.until is None or at - one.until <= _LONGEST_LIFE]
    return current[:_MAX_OLDER] + older[:_MAX_OLDER]


def _says_the_same(entry: _Entry, other: _Entry) -> bool:
    """Whether two lists of one age make the same statement: an issuer may sign the same list at each request."""
    if entry.data is None:
        return True
    return entry.until == other.until and _said(entry) == _said(other)


def _goes_beyond(entry: _Entry, rivals: list[_Entry], *, others_too: bool) -> bool:
    if not rivals:
        return True
    says = _said(entry)
    return all(says.goes_beyond(_said(one), others_too=others_too) for one in rivals)


def _without_silent(entries: list[_Entry], at: datetime) -> list[_Entry]:
    """Leave out status lists that have expired and state nothing, if another signer has signed a newer list."""
    newest = max((one.age for one in entries if not one.is_early(at)), default=None)
    return [
        one
        for one in entries
        if one.speaks
        or one.place[0] is EvidenceKind.CRL
        or one.until is None
        or one.until > at
        or newest is None
        or one.age >= newest
    ]


# --- keeping it fresh -------------------------------------------------------------------------------------------------

_MAX_FAILURES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The result of gathering evidence.

    Attributes:
        evidence: The evidence at hand.
        errors: The failures to get or renew evidence, each with code and address. A list that clears nothing is kept if
            it revokes, and reported here too (``evidence.misnamed``, ``evidence.unusable``).
    """

    evidence: Evidence
    errors: tuple[FetchError, ...]


class EvidenceCache:
    """Fetches evidence that is missing or no longer fresh. Threads may share a cache.

    Attributes:
        store: The store that keeps the evidence.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        *,
        store: EvidenceStore | None = None,
        max_age: timedelta = timedelta(days=1),
        retry_after: timedelta = timedelta(minutes=1),
    ) -> None:
        """Create a cache.

        Args:
            fetcher: Fetches evidence from an address.
            store: The store that keeps the evidence; None creates an empty one.
            max_age: Longest time without looking for newer evidence, even if the old evidence has not expired: a CRL
                may be valid for 90 days, and a revocation must be on a new one within two days.
            retry_after: Time without a request to an address that has failed.
        """
        self._fetcher = fetcher
        self._max_age = max_age
        self._retry_after = retry_after
        self._failures: OrderedDict[tuple[EvidenceKind, str], tuple[datetime, FetchError]] = OrderedDict()
        self._lock = threading.Lock()
        self.store = EvidenceStore() if store is None else store

    def gather(self, needs: Iterable[Need], *, at: datetime) -> Gathered:
        """Return the evidence for the needs: from the store while it is fresh, else from its address.

        If newer evidence is unavailable, the old evidence clears until it expires, and its revocations stay.

        Args:
            needs: The needs; see `needs_of`.
            at: The time of verification.
        """
        needs = tuple(needs)
        missing = [need for need in needs if not self.store.is_fresh(need, at=at, max_age=self._max_age)]
        errors = self._fetch_all(missing, at, patient=True)
        return Gathered(evidence=self.store.evidence(needs, at=at), errors=errors)

    def prefetch(self, needs: Iterable[Need], *, at: datetime) -> tuple[FetchError, ...]:
        """Fetch all evidence again, fresh or not, into the store, which `EvidenceStore.save` can write to a file.

        Args:
            needs: The needs; see `needs_of_anchors`. A status list is
                ``Need(kind=EvidenceKind.STATUS_LIST, urls=(url,), issuers=(root,))``.
            at: The time.

        Returns:
            The failures.
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
            problem, _ = self.store._take(need, url, data, at)  # noqa: SLF001 - the store of this module
            if problem is not None:
                raise problem
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

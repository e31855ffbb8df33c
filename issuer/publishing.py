"""What the authority has signed, as files that any web server can serve: CRLs, status lists, roots.

    DIR/current            a symbolic link to one of the versions: the document root
    DIR/versions/000012/   a whole tree, never changed once it is there
        <path of its URI>  each CRL and each list, at the path under which readers look for it
        roots/             the roots, PEM and DER, and index.json: what a VICAL provider or a partner is given
        index.json         every file with its address, media type, SHA-256 and dates

A new version is written beside the others, flushed to the disk, and made current by one rename, so a server finds the
old state or the new one: no file is ever half written, and no list of today stands beside a CRL of yesterday. Versions
before are kept for a while, for downloads that have begun and for copies that are still being made. A list goes only
when no credential that names it is valid any more.

Host names do not appear in the tree: where several hosts serve it, they all serve the same. What the store has is held
against its root before it is published, so a damaged store publishes nothing, and what is published is never replaced
by something older, so a store that was restored from a backup takes nothing back.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from issuer.addresses import folders_of, path_of
from issuer.audit import Actor, Event
from issuer.certificate_files import grave_findings
from issuer.folder import lock, make_folders, read_file, unwritable, write_file
from issuer.operations import permitted
from issuer.signers import CA_ROLES, Roots
from issuer.status import check_status_token, is_ended, shown_places
from issuer.store import CertificateRecord, Clock, Reader, Role, Store
from issuer.vical import verify_vical
from mdl.cbor import TDate
from mdl.errors import DecodeError, LocalProtocolError, MdlError, ProfileError
from mdl.files import INDEX_FILE, check_output, index_owner, sync_folder
from mdl.pki import Certificate, Crl
from mdl.status import ListKind, StatusToken
from mdl.vical import Vical

__all__ = [
    "Collection",
    "Item",
    "ItemKind",
    "Publication",
    "Publisher",
    "Unplaced",
    "collect",
    "published_folder",
    "published_rows",
    "remember_folder",
    "vical_item",
]

_INDEX: Final = INDEX_FILE
_ROOTS: Final = "roots"
_CURRENT: Final = "current"
_VERSIONS: Final = "versions"
_KEPT: Final = 3
_MEMORY: Final = "publish.json"
_NUMBER: Final = re.compile(r"[0-9]{6,9}")
_LINK: Final = re.compile(rf"{_VERSIONS}/[0-9]{{6,9}}")
_UNFINISHED: Final = re.compile(r"\.[0-9]{6,9}\.[0-9a-f]{8}\.tmp")
_UNFINISHED_LINK: Final = re.compile(rf"\.{_CURRENT}\.[0-9a-f]{{8}}\.tmp")
_VICAL_PATH: Final = "vical.cbor"
_UNWRITABLE: Final = "publish.unwritable"
_UNDONE: Final = "nothing was published"


class ItemKind(StrEnum):
    """What a file of the tree is."""

    CRL = "crl"
    STATUS_LIST = "status_list"
    IDENTIFIER_LIST = "identifier_list"
    ROOT = "root"
    SUBMISSION = "submission"
    """What is said about the roots to whoever lists them."""
    VICAL = "vical"


_MEDIA_TYPES: Final = {
    ItemKind.CRL: "application/pkix-crl",
    ItemKind.STATUS_LIST: ListKind.STATUS_LIST.media_type,
    ItemKind.IDENTIFIER_LIST: ListKind.IDENTIFIER_LIST.media_type,
    ItemKind.ROOT: "application/pkix-cert",
    ItemKind.SUBMISSION: "application/json",
    ItemKind.VICAL: "application/cbor",
}
_REVOKING: Final = frozenset({ItemKind.CRL.value, ItemKind.STATUS_LIST.value, ItemKind.IDENTIFIER_LIST.value})
_PEM_TYPE: Final = "application/x-pem-file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file of the tree.

    Attributes:
        path: Where in the tree, with slashes.
        kind: What it is.
        content: The bytes.
        media_type: What a server is to call it.
        url: Where readers look for it, or None.
        number: CRL number, revision of the list or issue of the VICAL; it only grows. None for what has none.
        issued: When it was signed, or None.
        until: Until when it is good: nextUpdate, ``exp``, or the end of the root's validity; or None.
    """

    path: str
    kind: ItemKind
    content: bytes = field(repr=False)
    media_type: str
    url: str | None = None
    number: int | None = None
    issued: datetime | None = None
    until: datetime | None = None

    def row(self) -> dict[str, Any]:
        """The file's row in the index."""
        return {
            "path": self.path,
            "kind": self.kind.value,
            "url": self.url,
            "media_type": self.media_type,
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "size": len(self.content),
            "number": self.number,
            "issued": None if self.issued is None else TDate.of(self.issued).text,
            "until": None if self.until is None else TDate.of(self.until).text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is published now.

    Attributes:
        folder: The document root: ``DIR/current``.
        version: Which version that is, counted from 1.
        items: Its files, but for the index.
        changed: The paths that are new or other than before; empty if everything was there already.
        removed: The paths that are there no more.
        unsigned: Addresses of CRLs and lists that are not there since they were never signed.
        overdue: Addresses of what should have been signed anew by now, and readers may refuse.
        unplaced: What could not be published. What was published of it before stays.
    """

    folder: Path
    version: int
    items: tuple[Item, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unsigned: tuple[str, ...]
    overdue: tuple[str, ...]
    unplaced: tuple[Unplaced, ...] = ()


def published_folder(authority: Path) -> Path | None:
    """The folder in which an authority has published before, or None.

    Args:
        authority: The authority's folder, which remembers it.

    Raises:
        DecodeError: What it remembers is damaged (code ``authority.state``).
    """
    file = authority / _MEMORY
    if not file.exists():
        return None
    try:
        folder = json.loads(read_file(file))["folder"]
    except (ValueError, LookupError, TypeError) as exc:
        raise DecodeError(f"{file} is damaged: take it away", code="authority.state") from exc
    if type(folder) is not str:
        raise DecodeError(f"{file} is damaged: take it away", code="authority.state")
    return Path(folder)


def remember_folder(authority: Path, folder: Path) -> None:
    """Let an authority remember where it publishes.

    Raises:
        SigningError: Its folder cannot be written.
    """
    if published_folder(authority) != folder.absolute():
        write_file(authority / _MEMORY, _json({"folder": str(folder.absolute())}))


def published_rows(folder: Path) -> tuple[str, dict[str, Mapping[str, Any]]] | None:
    """What the index of a published tree says: whose it is, and a row for each file, by path; None if there is none.

    Args:
        folder: The folder that was published to.

    Raises:
        LocalProtocolError: Something else is there (code ``publish.foreign``).
        DecodeError: The index is damaged (code ``publish.damaged``).
    """
    current = folder / _CURRENT
    if not os.path.lexists(current):
        return None
    if not current.is_symlink() or not _LINK.fullmatch(str(current.readlink())):
        message = f"{current} is not what this command has made: choose another folder"
        raise LocalProtocolError(message, code="publish.foreign")
    file = current / _INDEX
    try:
        index = json.loads(read_file(file))
        rows = {row["path"]: row for row in index["files"]}
        owner = index["authority"]
    except (ValueError, LookupError, TypeError, RecursionError) as exc:
        message = f"{file} is damaged: take {current} away, and everything is published anew"
        raise DecodeError(message, code="publish.damaged") from exc
    if type(owner) is not str or not all(type(row) is dict and type(row["path"]) is str for row in rows.values()):
        message = f"{file} is damaged: take {current} away, and everything is published anew"
        raise DecodeError(message, code="publish.damaged")
    return owner, rows


# --- what there is to publish -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """Something that is not published, and keeps nothing else from being published.

    Attributes:
        url: Where readers look for it.
        code: Code of the error.
        message: Why, for people.
    """

    url: str
    code: str
    message: str


@dataclass(slots=True)
class Collection:
    """What a tree has to hold.

    Attributes:
        items: The files, no two at one place.
        unsigned: Addresses of CRLs and lists that were never signed.
        unplaced: What has no place, or is not what a root has signed.
    """

    items: list[Item] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    unplaced: list[Unplaced] = field(default_factory=list)
    _files: dict[str, bytes] = field(default_factory=dict, repr=False)
    _folders: set[str] = field(default_factory=set, repr=False)

    def place(self, item: Item) -> None:
        """Put a file among the others, unless another one has its place.

        Raises:
            LocalProtocolError: One has (code ``publish.conflict``).
        """
        if self._files.get(item.path) == item.content:
            return
        above = folders_of(item.path)
        if item.path in self._files or item.path in self._folders or not above.isdisjoint(self._files):
            message = f"something else is served at {item.path}, or below or above it: give it another place"
            raise LocalProtocolError(message, code="publish.conflict")
        self._files[item.path] = item.content
        self._folders |= above
        self.items.append(item)

    @contextmanager
    def trying(self, url: str) -> Iterator[None]:
        """Let what fails for one address fail for that one only."""
        try:
            yield
        except MdlError as exc:
            self.unplaced.append(Unplaced(url=url, code=exc.code, message=exc.message))


def collect(reader: Reader, *, at: datetime, before: Iterable[Item] = ()) -> Collection:
    """What a tree has to hold at some time.

    CRLs come first, then what is there beside the store, then the lists in the order in which they were opened: where
    two would have one place, the first has it.

    Args:
        reader: The store.
        at: The time, aware UTC.
        before: What has its place beside what the store has.

    Raises:
        DecodeError: The store is damaged.
        LocalProtocolError: What is there beside the store has the place of a CRL (code ``publish.conflict``).
    """
    roots = Roots(reader)
    certificates = {one.certificate.fingerprint: one.certificate for one in roots.certificates}
    found = Collection()
    for root in (*roots.in_service(at), *roots.given_up(at)):
        fingerprint = root.certificate.fingerprint
        last = reader.last_crl(fingerprint)
        if last is None and root.revoked_at is not None:
            continue
        for url in _crl_urls(roots.certificates, fingerprint, at):
            if last is None:
                found.unsigned.append(url)
                continue
            with found.trying(url):
                crl = _checked_crl(last.der, root.certificate)
                found.place(
                    Item(
                        path=path_of(url),
                        kind=ItemKind.CRL,
                        content=crl.der,
                        media_type=_MEDIA_TYPES[ItemKind.CRL],
                        url=url,
                        number=last.number,
                        issued=last.this_update,
                        until=last.next_update,
                    )
                )
    for one in (*_root_items(roots, _doctypes(reader), at), *before):
        found.place(one)
    for record in reader.status_lists():
        signed = reader.signed_list(record.list_id)
        if record.retired_at is not None:
            continue
        if signed is None:
            found.unsigned.append(record.uri)
            continue
        revision, token, issued, expires = signed
        if expires <= at and is_ended(reader, record, at):
            continue
        with found.trying(record.uri):
            if record.issuer not in certificates:
                raise DecodeError("a list of the store is for no root that it has: restore it", code="store.damaged")
            check_status_token(token, uri=record.uri, kind=record.kind, root=certificates[record.issuer])
            kind = ItemKind(record.kind.value)
            found.place(
                Item(
                    path=record.place or path_of(record.uri),
                    kind=kind,
                    content=token,
                    media_type=_MEDIA_TYPES[kind],
                    url=record.uri,
                    number=revision,
                    issued=issued,
                    until=expires,
                )
            )
    return found


def vical_item(data: bytes, *, reader: Reader, at: datetime, provider_roots: Iterable[Certificate] = ()) -> Item:
    """A VICAL as a file of the tree, once it is verified.

    It lies at the path of its ``vicalURL``, or at ``vical.cbor`` where it has none.

    Args:
        data: The list.
        reader: The store: its VICAL CAs are roots of the list's provider, and what it has revoked signs nothing.
        at: The time, aware UTC.
        provider_roots: Other providers' roots whose lists may be published.

    Raises:
        DecodeError: It is no VICAL.
        VerificationError: It does not verify (codes ``publish.vical_…``, see `issuer.vical.verify_vical`).
        LocalProtocolError: It cannot be served at its address (code ``publish.address``).
    """
    records = reader.certificates()
    own = [one.certificate for one in records if one.role is Role.VICAL_CA]
    revoked = {one.certificate.fingerprint for one in records if one.revoked_at is not None}
    vical = verify_vical(data, roots=[*own, *provider_roots], at=at, revoked=revoked)
    return _vical_at(_VICAL_PATH if vical.url is None else path_of(vical.url), vical)


def _vical_at(path: str, vical: Vical) -> Item:
    return Item(
        path=path,
        kind=ItemKind.VICAL,
        content=vical.data,
        media_type=_MEDIA_TYPES[ItemKind.VICAL],
        url=vical.url,
        number=vical.issue_id,
        issued=vical.date,
        until=vical.next_update,
    )


def _checked_crl(der: bytes, root: Certificate) -> Crl:
    crl = Crl.decode(der)
    crl.verify_signature(root.public_key)
    grave = grave_findings(crl, root)
    if grave:
        message = f"a CRL of the store breaks its profile: {grave[0]}"
        raise ProfileError(message, code="publish.crl", clause=grave[0].clause, findings=grave)
    return crl


def _crl_urls(certificates: Iterable[CertificateRecord], issuer: bytes, at: datetime) -> list[str]:
    """Where readers look for the CRL of a root: all addresses in certificates of it that are still valid."""
    valid = [one.certificate for one in certificates if one.issuer == issuer and one.certificate.not_after >= at]
    schemes = ("http:", "https:")
    return list(dict.fromkeys(url for one in valid for url in one.crl_uris if url.lower().startswith(schemes)))


def _doctypes(reader: Reader) -> list[str]:
    settings = reader.settings()
    doctype = None if settings is None else settings.document.get("doctype")
    return [doctype] if isinstance(doctype, str) else []


def _root_items(roots: Roots, doctypes: Sequence[str], at: datetime) -> list[Item]:
    items: list[Item] = []
    rows = []
    for one in roots.certificates:
        certificate = one.certificate
        if one.role not in (*CA_ROLES, Role.LINK) or one.revoked_at is not None or certificate.not_after < at:
            continue
        name = roots.stem(one)
        for end, content, media_type in (
            ("der", certificate.der, _MEDIA_TYPES[ItemKind.ROOT]),
            ("pem", certificate.pem.encode(), _PEM_TYPE),
        ):
            items.append(
                Item(
                    path=f"{_ROOTS}/{name}.{end}",
                    kind=ItemKind.ROOT,
                    content=content,
                    media_type=media_type,
                    issued=certificate.not_before,
                    until=certificate.not_after,
                )
            )
        ski = certificate.subject_key_identifier
        rows.append(
            {
                "role": one.role.value,
                "files": [
                    {
                        "path": file.path.removeprefix(f"{_ROOTS}/"),
                        "media_type": file.media_type,
                        "sha256": hashlib.sha256(file.content).hexdigest(),
                    }
                    for file in items[-2:]
                ],
                "sha256": certificate.fingerprint.hex(),
                "subject": str(certificate.subject),
                "serial": f"{certificate.serial:x}",
                "ski": None if ski is None else ski.hex(),
                "country": certificate.country,
                "state": certificate.state,
                "not_before": TDate.of(certificate.not_before).text,
                "not_after": TDate.of(certificate.not_after).text,
                "doctypes": [*doctypes] if one.role is Role.IACA else [],
                "crl": [*certificate.crl_uris],
            }
        )
    content = _json({"version": 1, "certificates": rows})
    media_type = _MEDIA_TYPES[ItemKind.SUBMISSION]
    items.append(
        Item(path=f"{_ROOTS}/{_INDEX}", kind=ItemKind.SUBMISSION, content=content, media_type=media_type),
    )
    return items


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


# --- the tree ---------------------------------------------------------------------------------------------------------


class Publisher:
    """Publishes an authority's store in a folder. Several processes may; each waits for its turn."""

    def __init__(self, store: Store, directory: str | os.PathLike[str]) -> None:
        """Choose the folder; it is made when something is published."""
        self._store = store
        self._folder = Path(directory).absolute()

    @property
    def current(self) -> Path:
        """The document root."""
        return self._folder / _CURRENT

    def publish(self, *, at: Clock, vical: Item | None = None) -> Publication:
        """Publish what the store has; where that is published already, nothing changes.

        Args:
            at: The clock.
            vical: A VICAL to publish with it, as `vical_item` gives it, or None: one that is there stays.

        Raises:
            LocalProtocolError: The folder is another authority's (code ``publish.foreign``), something newer than the
                store has is published there (``publish.rollback``), or two things would be served at one place.
            DecodeError: The store, or what is published, is damaged.
            SigningError: The folder or the store cannot be written.
            IssuanceError: The policy does not let the actor (codes ``policy.role`` and ``policy.role_required``).
        """
        with permitted(self._store, "publish", at, Actor.ISSUING_SERVICE):
            return self._publish_all(at, vical)

    def _publish_all(self, at: Clock, vical: Item | None) -> Publication:
        self._make_folder()
        with lock(self._folder, exclusive=True):
            now = at()
            with self._store.reading() as reader:
                authority = reader.log_id.hex()
                before = self._published(authority)
                beside = [*self._carried_over(before)] if vical is None else [vical]
                found = collect(reader, at=now, before=beside)
                self._require_newer(before, found.items, reader, now)
            _require_newer_vical(before, found.items)
            for one in self._kept(before, found):
                with found.trying(one.url or ""):
                    found.place(one)
            items = sorted(found.items, key=lambda one: one.path)
            changed = tuple(one.path for one in items if self._found(one.path) != one.content)
            removed = tuple(sorted(before.keys() - {one.path for one in items}))
            version = self._version(authority)
            if changed or removed or not before:
                version = self._publish(items, authority, self._free(version + 1), at)
            return Publication(
                folder=self.current,
                version=version,
                items=tuple(items),
                changed=changed,
                removed=removed,
                unsigned=tuple(found.unsigned),
                unplaced=tuple({one.url: one for one in reversed(found.unplaced)}.values()),
                overdue=tuple(dict.fromkeys(one.url for one in items if one.url and one.until and one.until <= now)),
            )

    def _make_folder(self) -> None:
        """Make the folder, unless what is there is somebody else's: neither a link nor an authority's folder is ours.

        Raises:
            LocalProtocolError: It is (code ``publish.foreign``).
            SigningError: It cannot be made.
        """
        versions = self._folder / _VERSIONS
        for place in (self._folder, versions, versions / _INDEX):
            try:
                check_output(place)
            except OSError as exc:
                message = f"{place} is no place to publish in: {exc.strerror or type(exc).__name__}"
                raise LocalProtocolError(message, code="publish.foreign") from exc
        try:
            make_folders(versions)
        except OSError as exc:
            raise unwritable(self._folder, exc, undone=_UNDONE, code=_UNWRITABLE) from exc

    def vicals(self) -> dict[str, Item | None]:
        """The VICALs that are published, by their addresses; None for one whose file is missing or changed.

        Raises:
            LocalProtocolError: The folder is another authority's (code ``publish.foreign``).
            DecodeError: What is published, or the store, is damaged.
        """
        with self._store.reading() as reader:
            before = self._published(reader.log_id.hex())
        found: dict[str, Item | None] = {}
        for path, row in before.items():
            url = row.get("url")
            if row.get("kind") == ItemKind.VICAL.value and isinstance(url, str):
                data = self._found_as(row)
                found[url] = None if data is None else _vical_at(path, Vical.decode(data))
        return found

    # --- what is there ---

    def _found(self, path: str) -> bytes | None:
        file = self.current / path
        return read_file(file) if file.is_file() else None

    def _found_as(self, row: Mapping[str, Any]) -> bytes | None:
        """A file that is as its row in the index says, or None."""
        data = self._found(row["path"])
        return data if data is not None and hashlib.sha256(data).hexdigest() == row.get("sha256") else None

    def _published(self, authority: str) -> dict[str, Mapping[str, Any]]:
        """The rows of the index that is published, by path."""
        found = published_rows(self._folder)
        if found is None:
            return {}
        owner, rows = found
        if owner != authority:
            message = f"another authority publishes in {self._folder}: choose another folder"
            raise LocalProtocolError(message, code="publish.foreign")
        return rows

    def _require_newer(
        self, before: Mapping[str, Mapping[str, Any]], items: Iterable[Item], reader: Reader, at: datetime
    ) -> None:
        """Nothing that is published is replaced by what is older, is another thing of one number, or revokes less."""
        coming: dict[Any, Item] = {one.path: one for one in items} | {
            one.url: one for one in items if one.url is not None
        }
        expired = {one.certificate.serial for one in reader.certificates() if one.certificate.not_after < at}
        for path, row in before.items():
            kind, number, digest = row.get("kind"), row.get("number"), row.get("sha256")
            if kind not in _REVOKING or type(number) is not int:
                continue
            one = coming.get(row.get("url")) or coming.get(path)
            if one is None or one.kind.value != kind:
                if _is_known(row, reader):
                    continue
                raise _rollback(f"what is published at {path} is unknown to the store")
            if one.number is None or number > one.number:
                raise _rollback(f"what is published at {path} is newer (number {number}) than what there is now")
            if hashlib.sha256(one.content).hexdigest() == digest:
                continue
            if number == one.number:
                raise _rollback(
                    f"what is published at {path} has the number of what there is now ({number}), and differs"
                )
            published = self._found_as(row)
            if (
                published is not None
                and _shown_as_revoked(one.kind, published) - _shown_as_revoked(one.kind, one.content) - expired
            ):
                raise _rollback(f"what is published at {path} revokes something that what there is now does not")

    def _carried_over(self, before: Mapping[str, Mapping[str, Any]]) -> Iterator[Item]:
        """What is published and not in the store: a VICAL, until there is a newer one."""
        for path, row in before.items():
            if row.get("kind") == ItemKind.VICAL.value:
                data = self._found_as(row)
                if data is None:
                    message = f"the VICAL {self.current / path} is missing or changed: publish it again with --vical"
                    raise DecodeError(message, code="publish.damaged")
                yield _vical_at(path, Vical.decode(data))

    def _kept(self, before: Mapping[str, Mapping[str, Any]], found: Collection) -> Iterator[Item]:
        """What stays as it was published since what the store has of it could not be placed."""
        failed = {one.url for one in found.unplaced}
        for row in before.values():
            if row.get("kind") in _REVOKING and row.get("url") in failed and (data := self._found_as(row)) is not None:
                yield _item_of(row, data)

    def _version(self, authority: str) -> int:
        """The highest version of this authority that there is."""
        return max(self._versions(authority), default=0)

    def _versions(self, authority: str) -> dict[int, Path]:
        """The versions of this authority: by their own index, whatever else has the name of one."""
        folders = [one for one in (self._folder / _VERSIONS).iterdir() if _NUMBER.fullmatch(one.name)]
        return {int(one.name): one for one in folders if not one.is_symlink() and index_owner(one) == authority}

    def _free(self, version: int) -> int:
        """The next version whose name nothing has."""
        while os.path.lexists(self._place_of(version)):
            version += 1
        return version

    def _place_of(self, version: int) -> Path:
        return self._folder / _VERSIONS / f"{version:06}"

    # --- what comes ---

    def _publish(self, items: Sequence[Item], authority: str, version: int, at: Clock) -> int:
        place = self._place_of(version)
        beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
        rows = [one.row() for one in items]
        try:
            self._clear(authority)
            beside.mkdir(mode=0o755)
            # First, so that what a process that dies leaves says whose it is.
            index = {"version": 1, "authority": authority, "published": TDate.of(at()).text, "files": rows}
            _write(beside / _INDEX, _json(index))
            for one in items:
                self._place(beside / one.path, one)
            for folder in sorted({file.parent for file in beside.rglob("*")} | {beside}):
                sync_folder(folder)
            beside.replace(place)
            sync_folder(place.parent)
            # Before it shows: what is published is on record, and of what died in between the record is one too many.
            with self._store.transaction(at=at, actor=Actor.ISSUING_SERVICE) as tx:
                digest = hashlib.sha256(_json(rows)).digest()
                tx.record(Event.PUBLISHED, number=version, count=len(items), digest=digest)
            link = self._folder / f".{_CURRENT}.{secrets.token_hex(4)}.tmp"
            link.symlink_to(Path(_VERSIONS) / place.name)
            link.replace(self.current)
            sync_folder(self._folder)
            self._forget(version, authority)
        except OSError as exc:
            raise unwritable(self._folder, exc, undone=_UNDONE, code=_UNWRITABLE) from exc
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return version

    def _place(self, file: Path, item: Item) -> None:
        """Put a file into a new version; one that has not changed is the same file as before."""
        make_folders(file.parent)
        if self._found(item.path) == item.content:
            try:
                file.hardlink_to((self.current / item.path).resolve())
            except OSError as exc:
                if exc.errno not in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP):
                    raise
            else:
                return
        _write(file, item.content)

    def _clear(self, authority: str) -> None:
        """Take away what a process of this authority that died has left."""
        for one in (self._folder / _VERSIONS).iterdir():
            if not _UNFINISHED.fullmatch(one.name) or one.is_symlink():
                continue
            if index_owner(one) == authority:
                shutil.rmtree(one, ignore_errors=True)
            else:
                with suppress(OSError):  # it died before it wrote a word; what is not empty stays
                    one.rmdir()
        for one in self._folder.iterdir():
            if _UNFINISHED_LINK.fullmatch(one.name) and one.is_symlink() and _LINK.fullmatch(str(one.readlink())):
                with suppress(OSError):  # it is in nobody's way
                    one.unlink()

    def _forget(self, version: int, authority: str) -> None:
        """Take away versions of this authority that nobody can be reading any more."""
        for number, one in self._versions(authority).items():
            if number < version - _KEPT:
                shutil.rmtree(one, ignore_errors=True)


def _require_newer_vical(before: Mapping[str, Mapping[str, Any]], items: Iterable[Item]) -> None:
    """No list of roots is replaced by an older one. It may move: it is held against each that is published."""
    vicals = [row for row in before.values() if row.get("kind") == ItemKind.VICAL.value]
    for one in items:
        if one.kind is not ItemKind.VICAL:
            continue
        for row in vicals:
            number = row.get("number")
            if type(number) is not int:
                continue
            if one.number is None or number > one.number or _is_same_but_later(row, one):
                message = f"the VICAL that is published is newer (number {number}): nothing is taken back"
                raise LocalProtocolError(message, code="publish.rollback")


def _item_of(row: Mapping[str, Any], content: bytes) -> Item:
    """A file as its row in the index says."""
    issued, until = (None if row.get(name) is None else TDate(row[name]).datetime for name in ("issued", "until"))
    return Item(
        path=row["path"],
        kind=ItemKind(row["kind"]),
        content=content,
        media_type=row["media_type"],
        url=row["url"],
        number=row["number"],
        issued=issued,
        until=until,
    )


def _is_known(row: Mapping[str, Any], reader: Reader) -> bool:
    """Whether the store knows what is published by this row, and may know that nobody needs it any more."""
    if row.get("kind") != ItemKind.CRL.value:
        return reader.status_list_at(row.get("url") or "") is not None
    number, digest = row.get("number"), row.get("sha256")
    if type(number) is not int or type(digest) is not str:
        return False
    if re.fullmatch("[0-9a-f]{64}", digest) and reader.is_settled(bytes.fromhex(digest)):
        return True
    issuers = [one.certificate.fingerprint for one in reader.certificates() if one.role in CA_ROLES]
    found = [one.der for issuer in issuers for one in reader.crls(issuer) if one.number == number]
    return digest in [hashlib.sha256(der).hexdigest() for der in found]


def _shown_as_revoked(kind: ItemKind, content: bytes) -> set[int | bytes]:
    """What a CRL or a list says is revoked: serial numbers, indices or identifiers; nothing where it is none."""
    try:
        if kind is ItemKind.CRL:
            return {*Crl.decode(content).revoked}
        return {*shown_places(StatusToken.decode(content).decode_list())}
    except MdlError:
        return set()


def _rollback(what: str) -> LocalProtocolError:
    message = f"{what}: the store is from a backup, or another host's; nothing is taken back: run mdl issuer restore"
    return LocalProtocolError(message, code="publish.rollback")


def _is_same_but_later(row: Mapping[str, Any], vical: Item) -> bool:
    """Whether a published list has the number of another one, and was issued after it."""
    issued = "" if vical.issued is None else TDate.of(vical.issued).text
    return row.get("number") == vical.number and (row.get("issued") or "") > issued


def _write(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())

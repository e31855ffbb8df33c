"""A store that is behind what was published: noticed before anything is signed, and brought up by a restore.

A store that comes from a backup has forgotten what was signed since, revocations above all. What was signed is still
somewhere: in the published tree, in the folder's ``crl/``, and in the checkpoints of the audit log. Before a key is
used the store is compared with all of them, by content and not by number: a CRL or a list that the store does not know,
or that it knows under the same number with other bytes, is ahead of it.

    look       reads the tree, the folder and the checkpoints; where the tree is on no disk of this host it says so
    compare    what of that the store does not know
    take_over  brings the store up: what was shown as revoked stays revoked, also where the store lost what it is of;
               numbers that may have been used are skipped; lists of which it is not known which places are taken are
               closed; and all of that is recorded

Whatever reads the tree reads it before it opens the store: then nothing that another process publishes meanwhile looks
as if it were ahead.

Spec:
    RFC 5280 5.2.3: CRL numbers only grow. pki.md §7: a place in a list is one credential's for ever.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from issuer.audit import Checkpoint, Event
from issuer.certificate_files import CRL_FOLDER, crl_record
from issuer.certificates import DOCUMENT_SIGNER_LIFE
from issuer.folder import read_file
from issuer.publishing import ItemKind, published_folder, published_rows
from issuer.signers import CA_ROLES, CERTIFIED, Roots, with_start
from issuer.status import check_status_token, shown_places
from issuer.store import CertificateRecord, Reader, Role, SignerState, StatusListRecord, StatusPlan, Transaction
from mdl.errors import LocalProtocolError, MdlError
from mdl.keys import PublicKey
from mdl.pki import Certificate, Crl
from mdl.status import IdentifierList, ListKind, StatusList, StatusToken

__all__ = [
    "CHECKPOINT_FOLDER",
    "SKIPPED",
    "Ahead",
    "Restored",
    "Seen",
    "compare",
    "look",
    "require_current",
    "take_over",
]

CHECKPOINT_FOLDER: Final = "checkpoints"
SKIPPED: Final = 1000
"""So many numbers of CRLs and revisions of lists are skipped beyond the highest that is known: gaps cost nothing."""

_MOST_LOST: Final = 1_000_000
# When a root that was lost certifies is not known: not before it would have been made known to readers.
_ANNOUNCED: Final = timedelta(days=90)
_LISTS: Final = {ItemKind.STATUS_LIST: ListKind.STATUS_LIST, ItemKind.IDENTIFIER_LIST: ListKind.IDENTIFIER_LIST}
_KEPT_CRL: Final = re.compile(r"(?:(?P<stem>.+)-)?(?P<number>[0-9]{6,})\.crl")
_LIST_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")
_IDENTIFIERS: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedFile:
    """A CRL or a list that lies in the tree or in the folder.

    Attributes:
        file: Where.
        kind: What it is.
        number: CRL number or revision, as the index or the file's name says.
        digest: SHA-256, as the index says; None for a file of the folder, which has to be read.
        url: Where readers look for it, or None.
        stem: For a file of the folder: which root's it is, by the name of that root's files.
    """

    file: Path
    kind: ItemKind
    number: int
    digest: bytes | None = None
    url: str | None = None
    stem: str | None = None

    def read(self) -> bytes | None:
        """The content; None if it is not what the index says, or is lost."""
        try:
            data = read_file(self.file)
        except MdlError:
            return None
        return data if self.digest in (None, hashlib.sha256(data).digest()) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFile:
    """A certificate that lies in the tree or in the folder.

    Attributes:
        certificate: The certificate.
        stem: What its file is called, without the ending.
        owner: The authority whose tree it is in, or None for the folder.
    """

    certificate: Certificate
    stem: str
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What lies beside the store.

    Attributes:
        published: The CRLs and lists of the published trees, with the authority that each tree is of.
        kept: The CRLs of the folder.
        certificates: The certificates of the folder and the roots of the trees.
        checkpoints: The checkpoints of the folder.
        not_compared: Why a tree could not be looked at.
    """

    published: tuple[tuple[str, SignedFile], ...] = ()
    kept: tuple[SignedFile, ...] = ()
    certificates: tuple[CertificateFile, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    not_compared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """Something of which the store should know and does not.

    Attributes:
        text: What, for people.
        digest: By what it is remembered once it was taken over.
        signed: The CRL or list, or None.
        content: Its bytes, or None where they are lost.
        root: The root that it is signed under, or None where that is not known.
        checkpoint: The checkpoint, or None.
        certificate: The certificate as the store would have it, or None.
    """

    text: str
    digest: bytes
    signed: SignedFile | None = None
    content: bytes | None = field(default=None, repr=False)
    root: CertificateRecord | None = None
    checkpoint: Checkpoint | None = None
    certificate: CertificateRecord | None = None


@dataclass(slots=True, kw_only=True)
class Restored:
    """What a restore took over.

    Attributes:
        ahead: What the store was behind of.
        certificates: How many certificates it revoked again.
        credentials: How many credentials.
        unknown: How many revocations it keeps whose certificate or credential it has lost.
        lists: How many lists it took up that it had lost.
        adopted: How many certificates it took up that it had lost. Roots and list signers go on; a document signer
            signs no more.
        skipped: How many numbers it skipped beyond the highest that is known.
        lost_records: How many records of the audit log the newest checkpoint tells of and the store has not.
        unread: What could not be read: only its number was skipped.
        not_compared: Why a tree could not be looked at.
    """

    ahead: tuple[Ahead, ...] = ()
    certificates: int = 0
    credentials: int = 0
    unknown: int = 0
    lists: int = 0
    adopted: int = 0
    skipped: int = 0
    lost_records: int = 0
    unread: list[str] = field(default_factory=list)
    not_compared: tuple[str, ...] = ()


# --- what lies beside the store ---------------------------------------------------------------------------------------


def look(folder: Path, trees: Iterable[Path] | None = None) -> Seen:
    """Read what lies beside the store, before the store is opened.

    Args:
        folder: The authority's folder.
        trees: Folders that were published to; None takes the one that the authority remembers.
    """
    if trees is None:
        try:
            remembered = published_folder(folder)
        except MdlError as exc:
            return Seen(
                kept=_kept(folder),
                certificates=tuple(_certificates(folder)),
                checkpoints=_checkpoints(folder),
                not_compared=(exc.message,),
            )
        trees = [] if remembered is None else [remembered]
    published: list[tuple[str, SignedFile]] = []
    certificates = [*_certificates(folder)]
    not_compared: list[str] = []
    for tree in trees:
        try:
            found = published_rows(tree)
        except MdlError as exc:
            not_compared.append(exc.message)
            continue
        if found is None:
            not_compared.append(f"nothing is published in {tree} on this host")
            continue
        owner, rows = found
        published += [(owner, one) for one in _of_rows(tree / "current", rows.values())]
        for path, row in rows.items():
            if row.get("kind") == ItemKind.ROOT and path.endswith(".der"):
                certificates += _certificate(tree / "current" / path, owner)
    return Seen(
        published=tuple(published),
        kept=_kept(folder),
        certificates=tuple(certificates),
        checkpoints=_checkpoints(folder),
        not_compared=tuple(not_compared),
    )


def _of_rows(current: Path, rows: Iterable[Any]) -> Iterator[SignedFile]:
    for row in rows:
        kind, number, url, digest = (row.get(name) for name in ("kind", "number", "url", "sha256"))
        if kind in (ItemKind.CRL, *_LISTS) and type(number) is int and type(url) is str and type(digest) is str:
            yield SignedFile(
                file=current / row["path"],
                kind=ItemKind(kind),
                number=number,
                digest=bytes.fromhex(digest) if re.fullmatch("[0-9a-f]{64}", digest) else b"",
                url=url,
            )


def _certificates(folder: Path) -> Iterator[CertificateFile]:
    for file in sorted(folder.glob("*.pem")):
        yield from _certificate(file, None)


def _certificate(file: Path, owner: str | None) -> Iterator[CertificateFile]:
    try:
        yield CertificateFile(certificate=Certificate.decode_any(read_file(file)), stem=file.stem, owner=owner)
    except MdlError:
        return  # a public key, or rubbish: `CertificateFiles.hold` says so


def _kept(folder: Path) -> tuple[SignedFile, ...]:
    found = []
    for file in (folder / CRL_FOLDER).glob("*.crl"):
        name = _KEPT_CRL.fullmatch(file.name)
        if name is not None:
            stem = name["stem"] or "iaca"
            found.append(SignedFile(file=file, kind=ItemKind.CRL, number=int(name["number"]), stem=stem))
    return tuple(sorted(found, key=lambda one: (one.stem or "", one.number)))


def _checkpoints(folder: Path) -> tuple[Checkpoint, ...]:
    """The checkpoints that verify with a key that lies beside them, or is to be verified with the store's."""
    found = []
    for file in sorted((folder / CHECKPOINT_FOLDER).glob("*.cbor")):
        try:
            found.append(Checkpoint.decode(read_file(file)))
        except MdlError:
            continue  # `audit verify` says so
    return tuple(found)


def checkpoint_keys(reader: Reader, folder: Path | None) -> list[PublicKey]:
    """The keys of checkpoints that the store knows, or whose public half lies in the folder: it may be younger."""
    keys = [PublicKey.from_spki(one.public_key) for one in reader.signers(Role.AUDIT)]
    for file in [] if folder is None else sorted(folder.glob("audit-*.pem")):
        try:
            keys.append(PublicKey.from_pem(read_file(file)))
        except MdlError:
            continue  # it vouches for nothing
    return keys


# --- what the store does not know -------------------------------------------------------------------------------------


def compare(reader: Reader, seen: Seen, *, folder: Path | None = None) -> tuple[Ahead, ...]:
    """What lies beside a store and is ahead of it.

    Args:
        reader: The store, opened after `seen` was read.
        seen: What lies beside it.
        folder: The authority's folder, for keys of checkpoints that the store does not know.

    Raises:
        DecodeError: The store is damaged.
    """
    roots = Roots(reader)
    owner = reader.log_id.hex()
    lost = _lost(roots, seen.certificates, owner)
    cas = [one for one in (*roots.certificates, *lost) if one.role in CA_ROLES]
    ahead = [
        Ahead(
            text=f"the certificate {one.certificate.serial:x} of {one.certificate.subject} is not in the store",
            digest=one.certificate.fingerprint,
            certificate=one,
        )
        for one in lost
    ]
    ahead += [
        judged
        for tree_of, one in seen.published
        if tree_of == owner and (judged := _judge_published(reader, one, cas)) is not None
    ]
    ahead += _judge_kept(reader, seen.kept, roots, cas)
    ahead += _judge_checkpoints(reader, seen.checkpoints, folder)
    distinct: dict[bytes, Ahead] = {}
    for one in ahead:
        distinct.setdefault(one.digest, one)
    return tuple(one for one in distinct.values() if not reader.is_settled(one.digest))


def require_current(reader: Reader, seen: Seen, *, folder: Path | None = None) -> None:
    """Refuse to go on with a store that is behind.

    Raises:
        LocalProtocolError: It is (code ``store.behind``).
    """
    ahead = compare(reader, seen, folder=folder)
    if ahead:
        message = (
            f"nothing was signed: the store is behind what was published ({ahead[0].text}"
            + (f", and {len(ahead) - 1} more" if len(ahead) > 1 else "")
            + "), as one from a backup is: run mdl issuer restore"
        )
        raise LocalProtocolError(message, code="store.behind")


def _lost(roots: Roots, files: tuple[CertificateFile, ...], owner: str) -> list[CertificateRecord]:
    """The certificates of this authority that the store does not have, roots first."""
    known = {one.certificate.fingerprint for one in roots.certificates}
    unknown = {one.certificate.fingerprint: one for one in files if one.certificate.fingerprint not in known}
    if not unknown:
        return []
    own = roots.certificates[0].certificate
    found = [
        _record(one, role, one.certificate.fingerprint)
        for one in unknown.values()
        if (role := _role(one.stem)) in CA_ROLES
        and one.owner in (None, owner)
        and one.certificate.country == own.country
        and _has_signed(one.certificate, one.certificate)
    ]
    cas = [one for one in (*roots.certificates, *found) if one.role in CA_ROLES]
    for one in unknown.values():
        role = _role(one.stem)
        if role is None or role in CA_ROLES or one.owner is not None:
            continue
        upper = next((ca for ca in cas if _has_signed(ca.certificate, one.certificate)), None)
        if upper is not None:
            found.append(_record(one, role, upper.certificate.fingerprint))
    return found


def _role(stem: str) -> Role | None:
    """What a certificate is for, by its file's name (`issuer.signers.Roots.stem`)."""
    if re.fullmatch(r"iaca-[0-9]+-link", stem):
        return Role.LINK
    name = re.fullmatch(r"(.+)-(?:[0-9]{1,9}|[0-9a-f]{40})", stem)
    names = {one.name: one.role for one in CERTIFIED.values()}
    return None if name is None else names.get(name[1])


def _record(one: CertificateFile, role: Role, issuer: bytes) -> CertificateRecord:
    is_elsewhere = role is Role.LINK or re.fullmatch(r".+-[0-9a-f]{40}", one.stem) is not None
    return CertificateRecord(
        certificate=one.certificate,
        role=role,
        issuer=issuer,
        key=None if is_elsewhere else one.stem,
        issued_at=one.certificate.not_before,
    )


def _has_signed(upper: Certificate, lower: Certificate) -> bool:
    if lower.issuer != upper.subject:
        return False
    try:
        lower.verify_signature(upper.public_key)
    except MdlError:
        return False
    return True


def _judge_published(reader: Reader, one: SignedFile, cas: list[CertificateRecord]) -> Ahead | None:
    digest = one.digest or b""
    if one.kind is ItemKind.CRL:
        if reader.has_crl([root.certificate.fingerprint for root in cas], one.number, digest):
            return None
    else:
        record = reader.status_list_at(one.url or "")
        if record is not None and reader.has_signed_list(record.list_id, one.number, digest):
            return None
    content = one.read()
    text = f"{one.url}, number {one.number}, is not as the store has signed it"
    root = None if content is None else _root_of(one, content, cas)
    return Ahead(text=text, digest=digest, signed=one, content=content if root else None, root=root)


def _judge_kept(
    reader: Reader, kept: tuple[SignedFile, ...], roots: Roots, cas: list[CertificateRecord]
) -> Iterator[Ahead]:
    """The newest CRL of each root that lies in the folder, and each whose number the store does not know."""
    known = {roots.stem(one): one for one in roots.certificates if one.role in CA_ROLES}
    for stem in dict.fromkeys(one.stem or "" for one in kept):
        files = [one for one in kept if one.stem == stem]
        owner = known.get(stem)
        numbers = frozenset() if owner is None else reader.crl_numbers(owner.certificate.fingerprint)
        for one in files:
            if one.number in numbers and one is not files[-1]:
                continue
            content = one.read()
            if content is None:
                continue
            digest = hashlib.sha256(content).digest()
            root = _root_of(one, content, cas)
            # What no root of ours has signed is somebody's rubbish: `CertificateFiles.hold` says so.
            if root is None:
                continue
            number = Crl.decode(content).number  # not that of the file's name: somebody may have copied it
            if number is not None and reader.has_crl([root.certificate.fingerprint], number, digest):
                continue
            text = f"{CRL_FOLDER}/{one.file.name} is a CRL that the store has not signed"
            yield Ahead(text=text, digest=digest, signed=one, content=content, root=root)


def _judge_checkpoints(reader: Reader, checkpoints: tuple[Checkpoint, ...], folder: Path | None) -> Iterator[Ahead]:
    ours = [one for one in checkpoints if one.log_id == reader.log_id]
    if not ours:
        return
    newest = max(ours, key=lambda one: one.sequence)
    head = reader.audit_head()
    if newest.sequence <= head.sequence and reader.audit_hash(newest.sequence) in (newest.head, None):
        return
    keys = checkpoint_keys(reader, folder)
    for one in ours:
        if one.sequence <= head.sequence and reader.audit_hash(one.sequence) in (one.head, None):
            continue
        try:
            one.verify(keys)
        except MdlError:
            continue  # `audit verify` says so
        text = f"a checkpoint tells of record {one.sequence} of the audit log, which the store has not"
        yield Ahead(text=text, digest=hashlib.sha256(one.encode()).digest(), checkpoint=one)


def _root_of(one: SignedFile, content: bytes, cas: Iterable[CertificateRecord]) -> CertificateRecord | None:
    """The root that has signed something, or whose list signer has; None if none has."""
    for root in cas:
        try:
            if one.kind is ItemKind.CRL:
                Crl.decode(content).verify_signature(root.certificate.public_key)
            else:
                check_status_token(content, uri=one.url or "", kind=_LISTS[one.kind], root=root.certificate)
        except MdlError:
            continue
        return root
    return None


# --- taking it over ---------------------------------------------------------------------------------------------------


def take_over(tx: Transaction, ahead: Iterable[Ahead], *, skip: int = SKIPPED) -> Restored:
    """Bring a store up to what is ahead of it, in one transaction.

    Args:
        tx: The transaction.
        ahead: What `compare` gave.
        skip: So many numbers are skipped beyond the highest that is known.
    """
    ahead = tuple(ahead)
    result = Restored(ahead=ahead)
    head = tx.audit_head().sequence
    marks = [one.checkpoint for one in ahead if one.checkpoint is not None]
    newest = max((one.sequence for one in marks), default=0)
    # Each number that was taken has a record: no more were taken than records are lost.
    result.lost_records = min(max(0, newest - head), _MOST_LOST)
    result.skipped = skip + result.lost_records
    for one in ahead:
        if one.certificate is not None:
            _take_certificate(tx, one.certificate)
            result.adopted += 1
    roots = [one for one in tx.certificates() if one.role in CA_ROLES]
    numbers = {one.certificate.fingerprint: tx.taken_crl_number(one.certificate.fingerprint) for one in roots}
    revisions: dict[str, int] = {}
    for one in sorted(ahead, key=lambda one: 0 if one.signed is None else one.signed.number):
        signed = one.signed
        if signed is None:
            continue
        if one.content is None or one.root is None:
            result.unread.append(one.text)
            _number_alone(tx, signed, numbers, revisions)
        elif signed.kind is ItemKind.CRL:
            issuer = one.root.certificate.fingerprint
            crl = Crl.decode(one.content)
            _take_crl(tx, crl, issuer, result)
            numbers[issuer] = max(numbers[issuer], signed.number, crl.number or 0)
        else:
            record = _take_list(tx, one, signed, result)
            revisions[record.list_id] = max(revisions.get(record.list_id, 0), signed.number)
    for root in roots:
        if root.key is not None:  # otherwise its ceremony numbers its CRLs
            issuer = root.certificate.fingerprint
            tx.skip_crl_numbers(issuer, numbers[issuer] + result.skipped)
    ends = {one.certificate.fingerprint: one.certificate.not_after for one in roots}
    for record in tx.status_lists():
        # Nothing that was issued before now is valid for longer than the longest life of a document signer.
        until = min(ends.get(record.issuer, tx.at), tx.at + DOCUMENT_SIGNER_LIFE + timedelta(days=1))
        known = max(record.revision, revisions.get(record.list_id, 0))
        tx.close_list(record.list_id, needed_until=until, revision=known + result.skipped)
    for one in ahead:
        tx.settle(one.digest)
        if one.checkpoint is not None:
            tx.record(Event.CHECKPOINT_SUPERSEDED, sequence=one.checkpoint.sequence, digest=one.digest)
    tx.record(
        Event.STORE_RESTORED,
        sequence=head,
        count=result.certificates + result.credentials + result.unknown,
        number=result.skipped,
    )
    return result


def _take_certificate(tx: Transaction, lost: CertificateRecord) -> None:
    """Take up a certificate that the store lost, with its key if that has the label by which its file is called."""
    certificate, key = lost.certificate, lost.key
    known = {one.key: one.public_key for one in tx.signers()}
    if key is not None and known.get(key, certificate.spki) != certificate.spki:
        key = None
    if key is not None and key not in known:
        tx.add_signer(key, lost.role, certificate.spki)
    if not tx.is_serial_taken(certificate.serial):
        tx.adopt_serial(certificate.serial)
    tx.add_certificate(certificate, lost.role, issuer=lost.issuer, key=key, activate=False)
    if key is not None:
        # What a document signer has signed stays good; whether it was to sign any more is not known.
        goes_on = lost.role in (*CA_ROLES, Role.STATUS_SIGNER)
        tx.set_signer_state(key, SignerState.ACTIVE if goes_on else SignerState.RETIRED)
    if lost.role is Role.IACA:
        settings = tx.settings()
        start = certificate.not_before + _ANNOUNCED
        tx.put_settings(with_start({} if settings is None else settings.document, certificate, start))


def _number_alone(tx: Transaction, signed: SignedFile, numbers: dict[bytes, int], revisions: dict[str, int]) -> None:
    """Skip the number of something that cannot be read; which root's CRL it is, is not known."""
    if signed.kind is ItemKind.CRL:
        for issuer, number in [*numbers.items()]:
            numbers[issuer] = max(number, signed.number)
    elif (record := tx.status_list_at(signed.url or "")) is not None:
        revisions[record.list_id] = max(revisions.get(record.list_id, 0), signed.number)


def _take_crl(tx: Transaction, crl: Crl, issuer: bytes, result: Restored) -> None:
    """Take up a CRL and what it revokes. Under a number that the store has used, only the latter."""
    if crl.number is not None and crl.number > tx.taken_crl_number(issuer):
        tx.adopt_crl_number(issuer, crl.number)
        tx.add_crl(crl_record(crl, issuer))
    for serial, since in crl.revoked.items():
        known = tx.certificate_of_serial(serial)
        if known is not None and known.issuer == issuer:
            result.certificates += tx.revoke_certificate(known.certificate.fingerprint)
        else:
            result.unknown += tx.carry_serial(issuer, serial, since)


def _take_list(tx: Transaction, one: Ahead, signed: SignedFile, result: Restored) -> StatusListRecord:
    """Take up a list's token and what it shows. Under a revision that the store has used, only the latter."""
    token = StatusToken.decode(one.content or b"")
    content = token.decode_list()
    record = tx.status_list_at(signed.url or "")
    if record is None:
        if one.root is None:
            msg = "a list is taken up under the root that signed it"
            raise ValueError(msg)
        record = _take_up(tx, content, signed, one.root.certificate.fingerprint)
        result.lists += 1
    if signed.number > record.revision and token.expires is not None:
        tx.adopt_revision(record.list_id, signed.number)
        tx.add_signed_list(
            record.list_id, signed.number, one.content or b"", issued_at=token.issued_at, expires_at=token.expires
        )
    revoked, unknown = tx.carry_places(record.list_id, shown_places(content))
    result.credentials += revoked
    result.unknown += unknown
    return record


def _take_up(
    tx: Transaction, content: StatusList | IdentifierList, signed: SignedFile, issuer: bytes
) -> StatusListRecord:
    """A list that the store has lost, with the plan that it was most likely opened by."""
    url, kind = signed.url or "", _LISTS[signed.kind]
    bits, size = (content.bits, len(content)) if isinstance(content, StatusList) else (1, _IDENTIFIERS)
    forms = {url[: found.start()] + "{list}" + url[found.end() :]: found[0] for found in _LIST_ID.finditer(url)}
    for plan, _ in tx.status_plans():
        if plan.kind is kind and plan.uri in forms:
            return tx.adopt_list(plan, forms[plan.uri], url, issuer=issuer, size=size)
    for form, list_id in reversed(forms.items()):
        plan = StatusPlan(uri=form, kind=kind, bits=bits, size=max(8, size))
        return tx.adopt_list(plan, list_id, url, issuer=issuer, size=size)
    raise LocalProtocolError(f"{url} is no address that this program gives a list", code="store.behind")

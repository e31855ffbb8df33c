"""What can be asked of a store, and what can be done in it, whatever database keeps it.

What a method does and its record in the audit log are written together, or neither is. Whatever is unique for ever, a
serial number, a CRL number, a list's revision, a place in a list, is taken in a transaction of its own before anything
is signed with it, and that transaction also records that the key is about to be used. So a crash between the two leaves
a gap in the numbers, and never the same number on two things, or a signature that no record tells of.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeVar

from issuer.addresses import check_template
from issuer.audit import Acting, Actor, AuditRecord, Event, Head, KeptRecord, chain_start, hash_record
from issuer.clock import BootMark
from issuer.store import places
from issuer.store.holdings import CredentialRow, Holdings, digest_of, digests_of
from issuer.store.records import (
    Batch,
    CertificateRecord,
    CredentialRecord,
    CredentialState,
    CrlRecord,
    Reservation,
    Role,
    Settings,
    SignerRecord,
    SignerState,
    StatusListRecord,
    StatusPlace,
    StatusPlan,
)
from issuer.store.schema import Sql
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError
from mdl.pki import Certificate
from mdl.pki.build import draw_serial
from mdl.status import ListKind

__all__ = ["Reader", "Transaction", "initialise"]

KindT = TypeVar("KindT", bound=StrEnum)

_REFERENCE_SIZE: Final = 16
# Keeps the digest of an order's content apart from that of an order key.
_CONTENT: Final = b"\x00content of an order\x00"
_SALT_SIZE: Final = 32
# How many parameters one statement gets: well below what any database takes.
_AT_ONCE: Final = 400
_PAGE: Final = 1000

_CREDENTIAL: Final = (
    "SELECT c.reference, c.batch, c.signer, c.doctype, c.valid_from, c.valid_until, c.list_id, l.uri, c.list_index,"
    " c.identifier, c.state, c.state_at, c.reason"
    " FROM credentials c LEFT JOIN status_lists l ON l.list_id = c.list_id"
)
MAX_CRL_NUMBER: Final = 1 << 62
"""Highest CRL number that is taken: what both databases hold, with as many above it for the CRLs that follow."""

_CERTIFICATE: Final = (
    "SELECT fingerprint, role, issuer, key_label, der, issued_at, revoked_at, reason FROM certificates"
)
_HANDED_OUT: Final = frozenset({CredentialState.ISSUED, CredentialState.REVOKED})
_REVOKED_INDICES: Final = "SELECT list_index FROM credentials WHERE list_id = ? AND state = ?"
_REVOKED_IDENTIFIERS: Final = "SELECT identifier FROM credentials WHERE list_id = ? AND state = ?"
_SHOWN_DECOYS: Final = "SELECT list_index FROM decoys WHERE list_id = ? AND shown_at IS NOT NULL"
_LIST: Final = (
    "SELECT list_id, kind, uri, bits, size, most, used, revision, plan, opened_at, retired_at, place FROM status_lists"
)


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        msg = "times are aware"
        raise ValueError(msg)
    return int(moment.timestamp())


def _member(kind: type[KindT], value: str) -> KindT:
    try:
        return kind(value)
    except ValueError as exc:
        raise _damaged(f"a {kind.__name__} that is none") from exc


def initialise(sql: Sql) -> None:
    """Give a store with new tables its log's id and its salt."""
    log_id = os.urandom(_REFERENCE_SIZE)
    sql.run(
        "INSERT INTO store (singleton, log_id, salt, head_sequence, head_hash) VALUES (1, ?, ?, 0, ?)",
        (log_id, os.urandom(_SALT_SIZE), chain_start(log_id)),
    )


class Reader:
    """What can be asked of a store: all answers are of one moment."""

    def __init__(self, sql: Sql) -> None:
        self._sql = sql
        rows = sql.rows("SELECT log_id, salt, head_sequence, head_hash, head_time FROM store")
        if len(rows) != 1:
            raise _damaged("its first page")
        self._log_id, self._salt, sequence, digest, seconds = rows[0]
        self._head = Head(sequence, digest, None if seconds is None else _time(seconds))

    # --- settings and the log ---

    def settings(self) -> Settings | None:
        """What was decided about the authority, or None if nothing was yet."""
        rows = self._sql.rows("SELECT version, document FROM settings ORDER BY version DESC LIMIT 1")
        if not rows:
            return None
        try:
            document = json.loads(rows[0][1])
        except ValueError as exc:
            raise _damaged("the settings") from exc
        return Settings(version=rows[0][0], document=document)

    @property
    def log_id(self) -> bytes:
        """The id of the audit log, 16 random bytes."""
        return bytes(self._log_id)

    def audit_head(self) -> Head:
        """The head of the audit log."""
        return self._head

    def audit_records(self, *, start: int = 1) -> Iterator[KeptRecord]:
        """The audit log, from a sequence number on (inclusive)."""
        while rows := self._sql.rows(
            "SELECT sequence, hash, record FROM audit WHERE sequence >= ? ORDER BY sequence LIMIT ?", (start, _PAGE)
        ):
            yield from (KeptRecord(*row) for row in rows)
            start = rows[-1][0] + 1

    def audit_hash(self, sequence: int) -> bytes | None:
        """The hash of a record of the audit log; None if there is none of that number."""
        rows = self._sql.rows("SELECT hash FROM audit WHERE sequence = ?", (sequence,))
        return bytes(rows[0][0]) if rows else None

    def holdings(self) -> Holdings:
        """What the audit log must tell of; to be gone through while this reader is open."""
        return Holdings.of(self)

    # --- keys, certificates, CRLs ---

    def signers(self, role: Role | None = None, *, state: SignerState | None = None) -> tuple[SignerRecord, ...]:
        """The keys in the order in which they were made, of one role and one state if these are given."""
        rows = self._sql.rows(
            "SELECT key_label, role, state, public_key, certificate, made_at FROM signers ORDER BY ordinal"
        )
        found = (
            SignerRecord(
                key=key,
                role=_member(Role, role_name),
                state=_member(SignerState, state_name),
                public_key=public_key,
                certificate=certificate,
                made_at=_time(made_at),
            )
            for key, role_name, state_name, public_key, certificate, made_at in rows
        )
        return tuple(one for one in found if role in (None, one.role) and state in (None, one.state))

    def signer(self, key: str) -> SignerRecord:
        """The key of that label.

        Raises:
            LocalProtocolError: There is none (code ``store.unknown``).
        """
        for one in self.signers():
            if one.key == key:
                return one
        raise _unknown("key of that label")

    def certificates(self, role: Role | None = None) -> tuple[CertificateRecord, ...]:
        """The certificates in the order in which they were issued, of one role if it is given."""
        return tuple(one for one in self._certificates("") if role in (None, one.role))

    def certificate(self, fingerprint: bytes) -> CertificateRecord:
        """The certificate with that SHA-256.

        Raises:
            LocalProtocolError: There is none (code ``store.unknown``).
        """
        for one in self._certificates("WHERE fingerprint = ?", fingerprint):
            return one
        raise _unknown("certificate with that fingerprint")

    def certificate_of_serial(self, serial: int) -> CertificateRecord | None:
        """The certificate with that serial number, or None."""
        return next(iter(self._certificates("WHERE serial = ?", f"{serial:x}")), None)

    def _certificates(self, where: str, *parameters: Any) -> list[CertificateRecord]:
        rows = self._sql.rows(
            f"{_CERTIFICATE} {where} ORDER BY ordinal",
            parameters,
        )
        found = []
        for fingerprint, role, issuer, key, der, issued_at, revoked_at, reason in rows:
            try:
                certificate = _decoded(der)
            except MdlError as exc:
                raise _damaged("a certificate") from exc
            if certificate.fingerprint != fingerprint:
                raise _damaged("a certificate")
            record = CertificateRecord(
                certificate=certificate,
                role=_member(Role, role),
                issuer=issuer,
                key=key,
                issued_at=_time(issued_at),
                revoked_at=None if revoked_at is None else _time(revoked_at),
                reason=reason,
            )
            found.append(record)
        return found

    def crls(self, issuer: bytes) -> tuple[CrlRecord, ...]:
        """The CRLs of an issuer by growing number.

        Args:
            issuer: SHA-256 of its certificate.
        """
        return self._crls("WHERE issuer = ? ORDER BY number", issuer)

    def last_crl(self, issuer: bytes) -> CrlRecord | None:
        """The CRL of an issuer with the highest number, or None."""
        return next(iter(self._crls("WHERE issuer = ? ORDER BY number DESC LIMIT 1", issuer)), None)

    def has_crl(self, issuers: Iterable[bytes], number: int, digest: bytes) -> bool:
        """Whether one of these issuers signed a CRL of that number and that SHA-256."""
        return any(
            hashlib.sha256(one.der).digest() == digest
            for issuer in issuers
            for one in self._crls("WHERE issuer = ? AND number = ?", issuer, number)
        )

    def crl_numbers(self, issuer: bytes) -> frozenset[int]:
        """The numbers of the CRLs of an issuer that were signed."""
        return frozenset(number for (number,) in self._sql.rows("SELECT number FROM crls WHERE issuer = ?", (issuer,)))

    def taken_crl_number(self, issuer: bytes) -> int:
        """The highest CRL number of an issuer that was taken, whether a CRL was signed with it or not; 0 for none."""
        ((number,),) = self._sql.rows("SELECT COALESCE(MAX(number), 0) FROM crl_numbers WHERE issuer = ?", (issuer,))
        return int(number)

    def revoked_serials(self, issuer: bytes) -> dict[int, datetime]:
        """What the next CRL of an issuer names: serial numbers, and since when each is revoked.

        Those of certificates that the store lost, and that an earlier CRL names, are among them.

        Args:
            issuer: SHA-256 of its certificate.
        """
        carried = self._sql.rows("SELECT serial, revoked_at FROM carried_serials WHERE issuer = ?", (issuer,))
        found = {int(serial, 16): _time(seconds) for serial, seconds in carried}
        known = self._certificates("WHERE issuer = ? AND revoked_at IS NOT NULL", issuer)
        return found | {one.certificate.serial: one.revoked_at for one in known if one.revoked_at is not None}

    def is_settled(self, digest: bytes) -> bool:
        """Whether what has this SHA-256 was ahead of the store, and a restore took over what it says."""
        return bool(self._sql.rows("SELECT 1 FROM settled WHERE digest = ?", (digest,)))

    def last_end(self) -> datetime | None:
        """The latest end of a CRL or a token of a list; None if nothing was signed yet."""
        ends = [
            self._sql.rows("SELECT MAX(next_update) FROM crls")[0][0],
            self._sql.rows("SELECT MAX(expires_at) FROM signed_lists")[0][0],
        ]
        return max((_time(end) for end in ends if end is not None), default=None)

    def settled(self) -> frozenset[bytes]:
        """SHA-256 of all for which `is_settled` holds."""
        return frozenset(bytes(digest) for (digest,) in self._sql.rows("SELECT digest FROM settled"))

    def _crls(self, where: str, *parameters: Any) -> tuple[CrlRecord, ...]:
        rows = self._sql.rows(
            f"SELECT issuer, number, der, this_update, next_update FROM crls {where}",  # noqa: S608 - as above
            parameters,
        )
        return tuple(
            CrlRecord(issuer=one, number=number, der=der, this_update=_time(this), next_update=_time(following))
            for one, number, der, this, following in rows
        )

    # --- status lists and credentials ---

    def status_lists(self, kind: ListKind | None = None) -> tuple[StatusListRecord, ...]:
        """The lists in the order in which they were opened, of one kind if it is given."""
        return tuple(one for one in self._lists("") if kind in (None, one.kind))

    def status_list(self, list_id: str) -> StatusListRecord:
        """The list of that id.

        Raises:
            LocalProtocolError: There is none (code ``store.unknown``).
        """
        for one in self._lists("WHERE list_id = ?", list_id):
            return one
        raise _unknown("status list of that id")

    def status_list_at(self, uri: str) -> StatusListRecord | None:
        """The list that is found at an address, or None."""
        return next(iter(self._lists("WHERE uri = ?", uri)), None)

    def has_signed_list(self, list_id: str, revision: int, digest: bytes) -> bool:
        """Whether a token of that revision and that SHA-256 was signed."""
        query = "SELECT digest FROM signed_lists WHERE list_id = ? AND revision = ?"
        return self._sql.rows(query, (list_id, revision)) == [(digest,)]

    def _lists(self, where: str, *parameters: Any) -> list[StatusListRecord]:
        return [
            StatusListRecord(
                list_id=list_id,
                kind=_member(ListKind, kind),
                uri=uri,
                bits=bits,
                size=size,
                limit=limit,
                used=used,
                revision=revision,
                issuer=places.plan_of(plan)[1],
                opened_at=_time(opened_at),
                retired_at=None if retired_at is None else _time(retired_at),
                place=place,
            )
            for list_id, kind, uri, bits, size, limit, used, revision, plan, opened_at, retired_at, place in (
                self._sql.rows(f"{_LIST} {where} ORDER BY ordinal", parameters)
            )
        ]

    def status_plans(self) -> tuple[tuple[StatusPlan, bytes], ...]:
        """The plans that lists were opened by, each with SHA-256 of the root that the lists are for.

        A plan all of whose lists are retired is in use no more.
        """
        query = "SELECT DISTINCT plan FROM status_lists WHERE retired_at IS NULL"
        return tuple(places.plan_of(plan) for (plan,) in self._sql.rows(query))

    def last_status_plan(self) -> StatusPlan | None:
        """The plan of the list that was opened last, of those that are not retired."""
        query = "SELECT plan FROM status_lists WHERE retired_at IS NULL ORDER BY ordinal DESC LIMIT 1"
        return next((places.plan_of(plan)[0] for (plan,) in self._sql.rows(query)), None)

    def addresses(self) -> tuple[str, ...]:
        """The addresses that the authority's CRLs and lists have."""
        crls = [url for one in self.certificates() for url in one.certificate.crl_uris]
        return tuple(dict.fromkeys([*crls, *(one.uri for one in self.status_lists() if one.retired_at is None)]))

    def list_needed_until(self, list_id: str) -> datetime | None:
        """Until when the last credential that has a place in a list is valid; None if there is none yet.

        After a restore: until when one may be that the store lost.
        """
        states = CredentialState.RESERVED, CredentialState.ISSUED, CredentialState.REVOKED
        query = "SELECT MAX(valid_until) FROM credentials WHERE list_id = ? AND state = ?"
        ends = [self._sql.rows(query, (list_id, one.value))[0][0] for one in states]
        ends += [
            end for (end,) in self._sql.rows("SELECT needed_until FROM status_lists WHERE list_id = ?", (list_id,))
        ]
        return max((_time(end) for end in ends if end is not None), default=None)

    def list_digests(self, list_id: str) -> dict[bytes, int]:
        """The revisions of a list that were signed, by the SHA-256 of the token."""
        rows = self._sql.rows("SELECT digest, revision FROM signed_lists WHERE list_id = ?", (list_id,))
        return {bytes(digest): revision for digest, revision in rows}

    def revoked_indices(self, list_id: str) -> list[int]:
        """The indices of a status list that are to be shown as invalid, decoys that are shown included, in order."""
        # Sorted here: with an ORDER BY SQLite walks through the whole list in its order, not through what is revoked.
        rows = self._sql.rows(_REVOKED_INDICES, (list_id, CredentialState.REVOKED.value))
        rows += self._sql.rows(_SHOWN_DECOYS, (list_id,))
        found = {index for (index,) in rows if index is not None}
        return sorted(found | {int.from_bytes(place) for place in self._carried_places(list_id)})

    def revoked_identifiers(self, list_id: str) -> list[bytes]:
        """The identifiers that an identifier list names, in order."""
        rows = self._sql.rows(_REVOKED_IDENTIFIERS, (list_id, CredentialState.REVOKED.value))
        found = {bytes(identifier) for (identifier,) in rows if identifier is not None}
        return sorted(found.union(self._carried_places(list_id)))

    def _carried_places(self, list_id: str) -> list[bytes]:
        """The places of credentials that the store lost, and that an earlier token of the list shows as revoked."""
        return [
            bytes(one) for (one,) in self._sql.rows("SELECT place FROM carried_places WHERE list_id = ?", (list_id,))
        ]

    def signed_list(self, list_id: str) -> tuple[int, bytes, datetime, datetime] | None:
        """The last token of a list: its revision, the token, when it was signed and when it expires; or None."""
        rows = self._sql.rows(
            "SELECT revision, token, issued_at, expires_at FROM signed_lists WHERE list_id = ? AND token IS NOT NULL"
            " ORDER BY revision DESC LIMIT 1",
            (list_id,),
        )
        return None if not rows else (rows[0][0], rows[0][1], _time(rows[0][2]), _time(rows[0][3]))

    def credential(self, reference: bytes) -> CredentialRecord:
        """The credential of that reference.

        Raises:
            LocalProtocolError: There is none (code ``store.unknown``).
        """
        for one in self._credentials("WHERE c.reference = ?", reference):
            return one
        raise _unknown("credential of that reference")

    def credentials(
        self, *, batch: bytes | None = None, signer: bytes | None = None, list_id: str | None = None
    ) -> Iterator[CredentialRecord]:
        """The credentials in the order of their references, which tells nothing; of one batch, signer or list."""
        after = b""
        wanted = {"c.batch": batch, "c.signer": signer, "c.list_id": list_id}
        given = {name: value for name, value in wanted.items() if value is not None}
        condition = " AND ".join(["c.reference > ?", *(f"{name} = ?" for name in given)])
        where = f"WHERE {condition} ORDER BY c.reference LIMIT {_PAGE}"
        while found := self._credentials(where, after, *given.values()):
            yield from found
            after = found[-1].reference

    def count_without_place(self, signer: bytes) -> int:
        """How many credentials of a document signer were handed out without a place in any list.

        Args:
            signer: SHA-256 of the document signer's certificate.
        """
        ((count,),) = self._sql.rows(
            "SELECT COUNT(*) FROM credentials WHERE signer = ? AND state IN (?, ?) AND (list_id IS NULL OR list_id IN"
            " (SELECT list_id FROM status_lists WHERE retired_at IS NOT NULL))",
            (signer, CredentialState.ISSUED.value, CredentialState.REVOKED.value),
        )
        return int(count)

    def _credentials(self, where: str, *parameters: Any) -> list[CredentialRecord]:
        return [_credential(row) for row in self._sql.rows(f"{_CREDENTIAL} {where}", parameters)]

    def order_digest(self, order_key: str) -> bytes:
        """The salted digest by which a repeated order is known again."""
        return hmac.digest(self._salt, order_key.encode(), "sha256")

    def _content_digest(self, reservation: Reservation) -> bytes | None:
        """The keyed digest of what is ordered under an order key; an order without a key cannot be repeated."""
        if reservation.order_key is None or reservation.content is None:
            return None
        return hmac.digest(self._salt, _CONTENT + reservation.content, "sha256")


class Transaction(Reader):
    """What can be done in a store: all of it, or nothing.

    Attributes:
        at: The time of everything that is done in it, whole seconds.
        actor: In which role it is done.
        acting: Who named that role, or None: it is the one whose work it usually is.
        mark: When that is by the machine's boot clock, or None.
    """

    def __init__(self, sql: Sql, *, at: datetime, actor: Actor | Acting) -> None:
        super().__init__(sql)
        self.at = at
        self.acting = actor if isinstance(actor, Acting) else None
        self.actor = actor.role if isinstance(actor, Acting) else actor
        self.mark: BootMark | None = None
        self._pending: list[tuple[int, bytes, bytes]] = []

    # --- the log ---

    def record(self, event: Event, **subjects: str | int | bytes) -> int:
        """Append to the audit log; every other method of this class that changes something does so by itself.

        Args:
            event: What happened.
            subjects: What it happened to; see `issuer.audit.SUBJECTS`.

        Returns:
            The record's sequence number.

        Raises:
            ValueError: A record has no such member.
        """
        encoded = AuditRecord(
            log_id=self.log_id,
            sequence=self._head.sequence + 1,
            time=self.at,
            actor=self.actor,
            event=event,
            subjects=subjects,
            previous=self._head.hash,
            acting=self.acting,
        ).encode()
        self._head = Head(self._head.sequence + 1, hash_record(encoded), self.at)
        self._pending.append((self._head.sequence, self._head.hash, encoded))
        return self._head.sequence

    def flush(self) -> None:
        """Write what is still to be written; the store calls this before it commits."""
        if self._pending:
            self._sql.run_many("INSERT INTO audit (sequence, hash, record) VALUES (?, ?, ?)", self._pending)
            self._sql.run(
                "UPDATE store SET head_sequence = ?, head_hash = ?, head_time = ?, boot = ?, uptime = ?",
                (self._head.sequence, self._head.hash, _seconds(self.at), *(self.mark or (None, None))),
            )
            self._pending = []

    def refuse(self, verb: str, code: str, **subjects: str | int | bytes) -> int:
        """Record that something was refused, by the error's code."""
        return self.record(Event.REFUSAL, verb=verb, code=code, **subjects)

    # --- settings, keys ---

    def put_settings(self, document: Mapping[str, Any]) -> Settings:
        """Decide anew about the authority; what was decided before is kept.

        Args:
            document: The decisions, plain JSON values and nothing personal.
        """
        last = self.settings()
        version = 1 if last is None else last.version + 1
        text = json.dumps(document, sort_keys=True)
        self._sql.run(
            "INSERT INTO settings (version, document, changed_at) VALUES (?, ?, ?)",
            (version, text, _seconds(self.at)),
        )
        event = Event.AUTHORITY_FOUNDED if last is None else Event.SETTINGS_CHANGED
        salt = {"salt": hashlib.sha256(self._salt).digest()} if last is None else {}
        self.record(event, version=version, digest=hashlib.sha256(text.encode()).digest(), **salt)
        return Settings(version=version, document=json.loads(text))

    def add_signer(self, key: str, role: Role, public_key: bytes, *, state: SignerState = SignerState.PREPARED) -> None:
        """Remember a key that was made in the token.

        Args:
            key: Its label.
            role: What it is for.
            public_key: Its SubjectPublicKeyInfo, DER.
            state: What it may be used for.

        Raises:
            LocalProtocolError: A key has this label, or is this key (code ``store.conflict``).
        """
        self._sql.run(
            "INSERT INTO signers (key_label, role, state, public_key, ordinal, made_at)"
            " VALUES (?, ?, ?, ?, (SELECT COALESCE(MAX(ordinal), 0) + 1 FROM signers), ?)",
            (key, role.value, state.value, public_key, _seconds(self.at)),
        )
        digest = hashlib.sha256(public_key).digest()
        self.record(Event.KEY_MADE, label=key, role=role.value, public_key=digest, state=state.value)

    def set_signer_state(self, key: str, state: SignerState) -> None:
        """Change what a key may be used for. Out of `REVOKED` there is no way.

        Raises:
            LocalProtocolError: There is no such key (code ``store.unknown``), or it is revoked (``store.final``).
        """
        before = self.signer(key).state
        if before is state:
            return
        if before is SignerState.REVOKED:
            raise LocalProtocolError("the key is revoked, which is final", code="store.final")
        self._sql.run("UPDATE signers SET state = ? WHERE key_label = ?", (state.value, key))
        self.record(Event.SIGNER_CHANGED, label=key, state=state.value)

    def use_key(self, key: str, purpose: str, **subjects: str | int | bytes) -> None:
        """Record that a key is about to be used, in a transaction that ends before it is.

        Args:
            key: Its label.
            purpose: What for.
            subjects: What is to be signed.
        """
        self.record(Event.KEY_USED, label=key, purpose=purpose, **subjects)

    # --- certificates ---

    def take_serial(self, key: str) -> int:
        """Take a serial number, unique for ever, for a certificate that this key is about to sign.

        Args:
            key: Label of the issuer's key.
        """
        while True:
            serial = draw_serial()
            if not self.is_serial_taken(serial):
                break
        self.adopt_serial(serial)
        self.use_key(key, "certificate", serial=f"{serial:x}")
        return serial

    def is_serial_taken(self, serial: int) -> bool:
        """Whether a serial number was taken, whatever became of it."""
        return bool(self._sql.rows("SELECT 1 FROM serials WHERE serial = ?", (f"{serial:x}",)))

    def adopt_serial(self, serial: int) -> None:
        """Take a serial number that was drawn elsewhere, by an offline root or a managed one.

        Raises:
            LocalProtocolError: It was taken before (code ``store.conflict``).
        """
        self._sql.run("INSERT INTO serials (serial, taken_at) VALUES (?, ?)", (f"{serial:x}", _seconds(self.at)))

    def add_certificate(
        self, certificate: Certificate, role: Role, *, issuer: bytes, key: str | None, activate: bool = True
    ) -> None:
        """Record a certificate that was issued.

        Args:
            certificate: The certificate; its serial number was taken before.
            role: What it is for.
            issuer: SHA-256 of the issuer's certificate; its own where it is self-signed.
            key: Label of its key, which becomes its signer, or None where the key is not in the token.
            activate: Whether the key may be used from now on.

        Raises:
            LocalProtocolError: The serial number was not taken, or is another certificate's (code ``store.conflict``).
        """
        fingerprint = certificate.fingerprint
        self._sql.run(
            "INSERT INTO certificates (fingerprint, serial, role, issuer, key_label, der, ordinal, issued_at)"
            " VALUES (?, ?, ?, ?, ?, ?, (SELECT COALESCE(MAX(ordinal), 0) + 1 FROM certificates), ?)",
            (
                *(fingerprint, f"{certificate.serial:x}", role.value, issuer, key, certificate.der),
                _seconds(self.at),
            ),
        )
        self.record(
            Event.CERTIFICATE_ISSUED,
            certificate=fingerprint,
            serial=f"{certificate.serial:x}",
            role=role.value,
            issuer=issuer,
            subject=str(certificate.subject),
            not_before=_seconds(certificate.not_before),
            not_after=_seconds(certificate.not_after),
        )
        if key is not None:
            self.signer(key)
            self._sql.run("UPDATE signers SET certificate = ? WHERE key_label = ?", (fingerprint, key))
            if activate:
                self.set_signer_state(key, SignerState.ACTIVE)

    def revoke_certificate(self, fingerprint: bytes, *, reason: int = 0) -> bool:
        """Revoke a certificate, and its key where that has no other; the next CRL of its issuer tells of it.

        Args:
            fingerprint: SHA-256 of it.
            reason: Why, a CRL reason code (RFC 5280 5.3.1).

        Returns:
            Whether it was not revoked before. What was revoked stays as it is.

        Raises:
            LocalProtocolError: There is no such certificate (code ``store.unknown``).
        """
        known = self.certificate(fingerprint)
        if known.revoked_at is not None:
            return False
        self._sql.run(
            "UPDATE certificates SET revoked_at = ?, reason = ? WHERE fingerprint = ?",
            (_seconds(self.at), reason, fingerprint),
        )
        serial = f"{known.certificate.serial:x}"
        self.record(Event.CERTIFICATE_REVOKED, certificate=fingerprint, serial=serial, reason=reason)
        if known.key is not None and self.signer(known.key).certificate == fingerprint:
            self.set_signer_state(known.key, SignerState.REVOKED)
        return True

    # --- CRLs ---

    def take_crl_number(self, issuer: bytes, key: str) -> int:
        """Take the next CRL number of an issuer, for a CRL that this key is about to sign.

        Args:
            issuer: SHA-256 of its certificate.
            key: Label of its key.
        """
        ((number,),) = self._sql.rows(
            "SELECT COALESCE(MAX(number), 0) + 1 FROM crl_numbers WHERE issuer = ?", (issuer,)
        )
        self._sql.run(
            "INSERT INTO crl_numbers (issuer, number, taken_at) VALUES (?, ?, ?)", (issuer, number, _seconds(self.at))
        )
        self.use_key(key, "crl", issuer=issuer, number=number)
        return int(number)

    def adopt_crl_number(self, issuer: bytes, number: int) -> None:
        """Take the number of a CRL that was signed elsewhere, by an offline root.

        Args:
            issuer: SHA-256 of its certificate.
            number: The number.

        Raises:
            LocalProtocolError: It was taken before (code ``store.conflict``), or the store holds no such number (code
                ``store.crl_number``).
        """
        if not 0 <= number <= MAX_CRL_NUMBER:
            message = (
                "this store holds CRL numbers up to 2 to the power of 62: have the root count its CRLs from a lower "
                "number, or from the time in seconds"
            )
            raise LocalProtocolError(message, code="store.crl_number", clause="18013-5 B.3")
        self._sql.run(
            "INSERT INTO crl_numbers (issuer, number, taken_at) VALUES (?, ?, ?)", (issuer, number, _seconds(self.at))
        )

    def add_crl(self, crl: CrlRecord) -> None:
        """Record a CRL that was signed.

        Raises:
            LocalProtocolError: Its number was not taken, or is another CRL's (code ``store.conflict``).
        """
        self._sql.run(
            "INSERT INTO crls (issuer, number, der, this_update, next_update) VALUES (?, ?, ?, ?, ?)",
            (crl.issuer, crl.number, crl.der, _seconds(crl.this_update), _seconds(crl.next_update)),
        )
        self.record(
            Event.CRL_SIGNED,
            issuer=crl.issuer,
            number=crl.number,
            digest=hashlib.sha256(crl.der).digest(),
            next_update=_seconds(crl.next_update),
        )

    # --- status lists ---

    def take_places(self, plan: StatusPlan, count: int, *, issuer: bytes) -> list[StatusPlace]:
        """Take places in the lists of a plan, each its taker's for ever; lists are opened as needed.

        Args:
            plan: The plan.
            count: How many.
            issuer: SHA-256 of the root under which the takers are issued; each root has lists of its own.

        Raises:
            LocalProtocolError: A list would be opened at an address at which it cannot be published (codes
                ``publish.address``, ``publish.conflict``).
        """
        taken: list[StatusPlace] = []
        while len(taken) < count:
            record = places.free_list(self._lists("WHERE plan = ?", places.plan_key(plan, issuer)))
            if record is None:
                record = self._open_list(plan, issuer)
            taken += places.draw_places(self._sql, record, count - len(taken))
        return taken

    def prepare_list(self, plan: StatusPlan, *, issuer: bytes) -> bool:
        """Open the next list of a plan if the last one is nearly given out, or there is none.

        So a list can be signed and published before the first credential that names it is out.

        Args:
            plan: The plan.
            issuer: SHA-256 of the root; see `take_places`.

        Returns:
            Whether one was opened.
        """
        if not places.is_nearly_full(self._lists("WHERE plan = ?", places.plan_key(plan, issuer))):
            return False
        self._open_list(plan, issuer)
        return True

    def _open_list(self, plan: StatusPlan, issuer: bytes) -> StatusListRecord:
        # However the plan came here: what could not be published at its address is not opened.
        check_template(plan.uri, self.addresses())
        record = places.open_list(self._sql, plan, issuer, self.at)
        self.record(Event.LIST_OPENED, list=record.list_id, kind=plan.kind.value, count=plan.size, address=record.uri)
        decoys = int(plan.size * plan.decoys) if plan.kind is ListKind.STATUS_LIST else 0
        if decoys:
            places.take_decoys(self._sql, record, decoys)
        return self.status_list(record.list_id)

    def retire_list(self, list_id: str) -> bool:
        """Sign and publish a list no more, and give out no more places of it. There is no way back.

        Returns:
            Whether it was not retired before.

        Raises:
            LocalProtocolError: There is no such list (code ``store.unknown``).
        """
        if self.status_list(list_id).retired_at is not None:
            return False
        self._sql.run(
            "UPDATE status_lists SET retired_at = ?, most = used WHERE list_id = ?", (_seconds(self.at), list_id)
        )
        self.record(Event.LIST_RETIRED, list=list_id)
        return True

    def place_list(self, list_id: str, path: str) -> None:
        """Let a list lie elsewhere in a published tree than its address says; a server has to know of it.

        Args:
            list_id: The list.
            path: Where in the tree, with slashes.

        Raises:
            LocalProtocolError: There is no such list (code ``store.unknown``).
        """
        self.status_list(list_id)
        self._sql.run("UPDATE status_lists SET place = ? WHERE list_id = ?", (path, list_id))
        self.record(Event.LIST_PLACED, list=list_id, label=path)

    def show_decoys(self, list_id: str, count: int) -> int:
        """Show more decoys of a list as invalid, drawn at random.

        Returns:
            How many there were left to show, at most `count`.
        """
        rows = self._sql.rows("SELECT list_index FROM decoys WHERE list_id = ? AND shown_at IS NULL", (list_id,))
        chosen = sorted((index for (index,) in rows), key=lambda _: os.urandom(16))[:count]
        self._sql.run_many(
            "UPDATE decoys SET shown_at = ? WHERE list_id = ? AND list_index = ?",
            [(_seconds(self.at), list_id, index) for index in chosen],
        )
        return len(chosen)

    def take_revision(self, list_id: str, key: str) -> int:
        """Take the next revision of a list, for a token that this key is about to sign."""
        revision = self.status_list(list_id).revision + 1
        self._sql.run("UPDATE status_lists SET revision = ? WHERE list_id = ?", (revision, list_id))
        self.use_key(key, "list", list=list_id, revision=revision)
        return revision

    def adopt_revision(self, list_id: str, revision: int) -> None:
        """Take a revision under which a token was signed that the store lost."""
        self._sql.run("UPDATE status_lists SET revision = ? WHERE list_id = ?", (revision, list_id))

    def add_signed_list(
        self, list_id: str, revision: int, token: bytes, *, issued_at: datetime, expires_at: datetime
    ) -> None:
        """Record the token of a list; of earlier ones only the digest is kept.

        Raises:
            LocalProtocolError: The revision has a token already, or was not taken (code ``store.conflict``).
        """
        if not 1 <= revision <= self.status_list(list_id).revision:
            raise LocalProtocolError("the list's revision was not taken", code="store.conflict")
        digest = hashlib.sha256(token).digest()
        self._sql.run(
            "INSERT INTO signed_lists (list_id, revision, digest, token, issued_at, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (list_id, revision, digest, token, _seconds(issued_at), _seconds(expires_at)),
        )
        self._sql.run(
            "UPDATE signed_lists SET token = NULL WHERE list_id = ? AND token IS NOT NULL AND revision <"
            " (SELECT MAX(revision) FROM signed_lists WHERE list_id = ?)",
            (list_id, list_id),
        )
        self.record(Event.LIST_SIGNED, list=list_id, revision=revision, digest=digest, not_after=_seconds(expires_at))

    # --- after a restore ---

    def carry_serial(self, issuer: bytes, serial: int, revoked_at: datetime) -> bool:
        """Keep a serial number on an issuer's CRLs whose certificate the store lost.

        Args:
            issuer: SHA-256 of the issuer's certificate.
            serial: The serial number.
            revoked_at: Since when it is revoked.

        Returns:
            Whether it was not kept before.
        """
        if serial in self.revoked_serials(issuer):
            return False
        self._sql.run(
            "INSERT INTO carried_serials (issuer, serial, revoked_at) VALUES (?, ?, ?)",
            (issuer, f"{serial:x}", _seconds(revoked_at)),
        )
        self.record(Event.REVOCATION_CARRIED, issuer=issuer, serial=f"{serial:x}")
        return True

    def carry_places(self, list_id: str, places_shown: Iterable[int | bytes], *, reason: int = 0) -> tuple[int, int]:
        """Keep showing places of a list as revoked that a token of it has shown.

        A credential that has such a place is revoked, a decoy is shown; for a place of which the store knows nothing
        this alone is remembered.

        Args:
            list_id: The list.
            places_shown: Indices or identifiers.
            reason: Why the credentials are revoked, a CRL reason code.

        Returns:
            How many credentials were revoked, and how many places the store knows nothing of.
        """
        record = self.status_list(list_id)
        by_index = record.kind is ListKind.STATUS_LIST
        shown = self.revoked_indices(list_id) if by_index else self.revoked_identifiers(list_id)
        column = "list_index" if by_index else "identifier"
        revoked, unknown = 0, []
        for place in sorted({*places_shown} - {*shown}):
            rows = self._sql.rows(
                f"SELECT reference FROM credentials WHERE list_id = ? AND {column} = ? AND state = ?",  # noqa: S608
                (list_id, place, CredentialState.ISSUED.value),
            )
            if rows:
                revoked += self.revoke_credentials(reference=rows[0][0], reason=reason)
            elif not by_index or not self._sql.run(
                "UPDATE decoys SET shown_at = ? WHERE list_id = ? AND list_index = ?",
                (_seconds(self.at), list_id, place),
            ):
                unknown.append(place if isinstance(place, bytes) else place.to_bytes(8))
        self._sql.run_many(
            "INSERT INTO carried_places (list_id, place, carried_at) VALUES (?, ?, ?)",
            [(list_id, place, _seconds(self.at)) for place in unknown],
        )
        if unknown:
            self.record(Event.REVOCATION_CARRIED, list=list_id, count=len(unknown), digest=digest_of(unknown))
        return revoked, len(unknown)

    def close_list(self, list_id: str, *, needed_until: datetime, revision: int) -> None:
        """Give out no more places of a list, since the store no longer knows which are taken.

        Args:
            list_id: The list.
            needed_until: Until when a credential that the store lost may be valid.
            revision: So many revisions were taken at least.
        """
        self._sql.run(
            "UPDATE status_lists SET most = used, needed_until = ?, revision = ? WHERE list_id = ?",
            (_seconds(needed_until), max(revision, self.status_list(list_id).revision), list_id),
        )

    def adopt_list(self, plan: StatusPlan, list_id: str, uri: str, *, issuer: bytes, size: int) -> StatusListRecord:
        """Take up a list that was opened and signed, and that the store lost; none of its places is given out.

        Args:
            plan: A plan by which it may have been opened.
            list_id: Its id.
            uri: Where it is found.
            issuer: SHA-256 of the root that it is for.
            size: How many places it has.

        Raises:
            LocalProtocolError: There is a list of that id or at that address (code ``store.conflict``).
        """
        places.adopt_list(self._sql, plan, list_id, uri, issuer=issuer, size=size, at=self.at)
        self.record(Event.LIST_OPENED, list=list_id, kind=plan.kind.value, count=size, address=uri)
        return self.status_list(list_id)

    def skip_crl_numbers(self, issuer: bytes, number: int) -> None:
        """Use no CRL number of an issuer up to this one, inclusive.

        Args:
            issuer: SHA-256 of its certificate.
            number: The number.
        """
        if number > self.taken_crl_number(issuer):
            self.adopt_crl_number(issuer, number)

    def settle(self, digest: bytes) -> None:
        """Remember that what has this SHA-256 was ahead of the store, and that what it says was taken over."""
        if not self.is_settled(digest):
            self._sql.run("INSERT INTO settled (digest, settled_at) VALUES (?, ?)", (digest, _seconds(self.at)))

    # --- credentials ---

    def reserve_batch(
        self,
        reservations: Sequence[Reservation],
        *,
        signer: bytes,
        key: str,
        doctype: str,
        plan: StatusPlan | None = None,
    ) -> Batch:
        """Take references and places for credentials that this key is about to sign.

        An order that was carried out before gives the credential of then. One whose signing was broken off is taken
        over: what was reserved for it then is never handed out.

        Args:
            reservations: One for each credential.
            signer: SHA-256 of the document signer's certificate.
            key: Label of its key.
            doctype: The document type.
            plan: Where the status of those will be told that have none of their own, or None.

        Raises:
            IssuanceError: The signer's key may not be used (code ``store.signer_state``), or an order key was given
                before for an order with other content, or for one whose credential has expired (code
                ``store.order_conflict``; `places` says which reservations).
            LocalProtocolError: Two reservations have one order key (code ``store.order_twice``).
        """
        known = self.signer(key)
        if known.state is not SignerState.ACTIVE or known.certificate != signer:
            message = f"not issued: the document signer's key is {known.state.value}"
            raise IssuanceError(message, code="store.signer_state")
        digests = [None if one.order_key is None else self.order_digest(one.order_key) for one in reservations]
        given = [digest for digest in digests if digest is not None]
        if len(set(given)) != len(given):
            raise LocalProtocolError("two orders of one batch have the same key", code="store.order_twice")
        self._forget_contents()
        contents = [self._content_digest(one) for one in reservations]
        known_orders = self._of_orders(given)
        conflicts = tuple(
            index
            for index, (digest, content) in enumerate(zip(digests, contents, strict=True))
            if digest is not None and digest in known_orders and content not in (None, known_orders[digest][1])
        )
        if conflicts:
            message = (
                f"not issued: the order key of order {conflicts[0]} stands for an order with other content, or for one "
                "whose credential has expired: a new order has a new key"
            )
            raise IssuanceError(message, code="store.order_conflict", places=conflicts)
        earlier = {digest: one for digest, (one, _) in known_orders.items()}
        broken_off = [one.reference for one in earlier.values() if one.state is CredentialState.RESERVED]
        if broken_off:
            self._abandon(broken_off)
        repeated = {digest: one for digest, one in earlier.items() if one.state is not CredentialState.RESERVED}
        batch = os.urandom(_REFERENCE_SIZE)
        count = len(reservations) - len(repeated)
        issuer = self.certificate(signer).issuer
        places_wanted = sum(
            not one.has_status
            for one, digest in zip(reservations, digests, strict=True)
            if digest is None or digest not in repeated
        )
        taken = iter(() if plan is None else self.take_places(plan, places_wanted, issuer=issuer))
        credentials = [
            repeated[digest]
            if digest is not None and digest in repeated
            else CredentialRecord(
                reference=os.urandom(_REFERENCE_SIZE),
                batch=batch,
                signer=signer,
                doctype=doctype,
                valid_from=one.valid_from,
                valid_until=one.valid_until,
                place=None if plan is None or one.has_status else next(taken),
                state=CredentialState.RESERVED,
                state_at=self.at,
            )
            for one, digest in zip(reservations, digests, strict=True)
        ]
        self._sql.run_many(
            "INSERT INTO credentials (reference, batch, signer, doctype, valid_from, valid_until, list_id, list_index,"
            " identifier, order_digest, order_content, state, state_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(one.reference, batch, signer, doctype, _seconds(one.valid_from), _seconds(one.valid_until)),
                    *_place_columns(one.place),
                    *(digest, content, CredentialState.RESERVED.value, _seconds(self.at)),
                )
                for one, digest, content in zip(credentials, digests, contents, strict=True)
                if one.batch == batch
            ],
        )
        if count:
            self.use_key(key, "batch", batch=batch, signer=signer, count=count, repeated=len(repeated))
        return Batch(reference=batch, credentials=tuple(credentials))

    def complete_batch(self, batch: Batch) -> None:
        """Record that a batch was signed; before this nothing of it may be handed out.

        Raises:
            IssuanceError: One of its orders was taken over meanwhile, or the batch was abandoned (code
                ``store.batch_overtaken``), or its document signer was revoked (code ``store.signer_state``).
        """
        new = [one for one in batch.credentials if not batch.is_repeated(one)]
        if not new:
            return
        changed = self._sql.run(
            "UPDATE credentials SET state = ?, state_at = ? WHERE batch = ? AND state = ?",
            (
                *(CredentialState.ISSUED.value, _seconds(self.at), batch.reference),
                CredentialState.RESERVED.value,
            ),
        )
        if changed != len(new):
            message = "not issued: another process took over one of the orders, or the batch was abandoned"
            raise IssuanceError(message, code="store.batch_overtaken")
        if self.certificate(new[0].signer).revoked_at is not None:
            message = "not issued: the document signer was revoked meanwhile"
            raise IssuanceError(message, code="store.signer_state")
        digests = digests_of(self._rows_of(batch.reference))
        self.record(
            Event.BATCH_ISSUED,
            batch=batch.reference,
            signer=new[0].signer,
            count=len(new),
            doctype=new[0].doctype,
            digest=digests.references,
            places=digests.places,
            validity=digests.validity,
            orders=digests.orders,
        )

    def _rows_of(self, batch: bytes) -> list[CredentialRow]:
        rows = self._sql.rows(
            "SELECT reference, batch, signer, doctype, valid_from, valid_until, list_id, list_index, identifier,"
            " order_digest, state, state_at, reason FROM credentials WHERE batch = ? AND state = ?",
            (batch, CredentialState.ISSUED.value),
        )
        return [*map(CredentialRow._make, rows)]

    def abandon_batch(self, batch: Batch, *, code: str) -> None:
        """Record that a batch came to nothing; its orders may be placed again.

        Args:
            batch: The batch.
            code: Code of the error that ended it.
        """
        waiting = self._sql.rows(
            "SELECT reference FROM credentials WHERE batch = ? AND state = ?",
            (batch.reference, CredentialState.RESERVED.value),
        )
        self._abandon([reference for (reference,) in waiting])
        self.record(Event.BATCH_ABANDONED, batch=batch.reference, count=len(waiting), code=code)

    def revoke_credentials(
        self,
        *,
        reference: bytes | None = None,
        batch: bytes | None = None,
        signer: bytes | None = None,
        reason: int = 0,
    ) -> int:
        """Revoke a credential, or all of a batch, or all of a document signer; exactly one of the three is given.

        Args:
            reference: A credential's reference.
            batch: A batch's reference.
            signer: SHA-256 of a document signer's certificate.
            reason: Why, a CRL reason code.

        Returns:
            How many were not revoked before. Revocation is final.

        Raises:
            LocalProtocolError: There is no such credential that was issued (code ``store.unknown``).
        """
        wanted = {"reference": reference, "batch": batch, "signer": signer}
        given = {name: value for name, value in wanted.items() if value is not None}
        if len(given) != 1:
            msg = "a credential, a batch or a document signer is named"
            raise ValueError(msg)
        ((name, value),) = given.items()
        states = CredentialState.ISSUED.value, CredentialState.REVOKED.value
        if name != "signer" and not self._sql.rows(
            f"SELECT 1 FROM credentials WHERE {name} = ? AND state IN (?, ?) LIMIT 1",  # noqa: S608 - a name of ours
            (value, *states),
        ):
            raise _unknown("issued credential of that reference")
        count = self._sql.run(
            f"UPDATE credentials SET state = ?, state_at = ?, reason = ? WHERE {name} = ? AND state = ?",  # noqa: S608
            (CredentialState.REVOKED.value, _seconds(self.at), reason, value, CredentialState.ISSUED.value),
        )
        if count:
            subject = {"credential" if name == "reference" else name: value}
            self.record(Event.CREDENTIAL_REVOKED, count=count, reason=reason, **subject)
        return count

    def revoke_each(self, references: Sequence[bytes], *, reason: int = 0) -> list[CredentialRecord]:
        """Revoke several credentials, all of them or none, with a record in the audit log for each.

        Args:
            references: Their references; one that is named twice counts once.
            reason: Why, a CRL reason code.

        Returns:
            The credentials as they were before, in that order. What was revoked stays as it is, and has no new record.

        Raises:
            LocalProtocolError: One of them was not issued (code ``store.unknown``); `places` has the indices.
        """
        wanted = [*dict.fromkeys(references)]
        found: dict[bytes, CredentialRecord] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            found |= {one.reference: one for one in self._credentials(f"WHERE c.reference IN ({marks})", *some)}
        issued = {name for name, one in found.items() if one.state in _HANDED_OUT}
        unknown = tuple(index for index, one in enumerate(references) if one not in issued)
        if unknown:
            what = "that reference" if len(references) == 1 else f"{len(unknown)} of the {len(references)} references"
            message = f"the store knows no issued credential of {what}"
            raise LocalProtocolError(message, code="store.unknown", places=unknown)
        new = [one for one in wanted if found[one].state is CredentialState.ISSUED]
        self._sql.run_many(
            "UPDATE credentials SET state = ?, state_at = ?, reason = ? WHERE reference = ?",
            [(CredentialState.REVOKED.value, _seconds(self.at), reason, one) for one in new],
        )
        for one in new:
            self.record(Event.CREDENTIAL_REVOKED, count=1, reason=reason, credential=one)
        return [found[one] for one in wanted]

    def _of_orders(self, digests: Sequence[bytes]) -> dict[bytes, tuple[CredentialRecord, bytes | None]]:
        """What was reserved or issued on these orders before, and the digest of what was ordered."""
        found: dict[bytes, tuple[CredentialRecord, bytes | None]] = {}
        for start in range(0, len(digests), _AT_ONCE):
            some = digests[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            statement = _CREDENTIAL.replace(" FROM", ", c.order_digest, c.order_content FROM", 1)
            for *row, digest, content in self._sql.rows(f"{statement} WHERE c.order_digest IN ({marks})", some):
                found[digest] = _credential(row), content
        return found

    def _forget_contents(self) -> None:
        """Forget what was ordered where the credential has expired: nobody needs it any more."""
        self._sql.run(
            "UPDATE credentials SET order_content = NULL WHERE order_content IS NOT NULL AND valid_until < ?",
            (_seconds(self.at),),
        )

    def _abandon(self, references: Sequence[bytes]) -> None:
        self._sql.run_many(
            "UPDATE credentials SET state = ?, state_at = ?, order_digest = NULL, order_content = NULL"
            " WHERE reference = ?",
            [(CredentialState.ABANDONED.value, _seconds(self.at), one) for one in references],
        )


@lru_cache(maxsize=512)
def _decoded(der: bytes) -> Certificate:
    """A certificate, decoded once: every batch asks for those of the document signers."""
    return Certificate.decode(der)


def _credential(row: Sequence[Any]) -> CredentialRecord:
    reference, batch, signer, doctype, start, end, list_id, uri, index, identifier, state, state_at, reason = row
    place = None
    if list_id is not None:
        place = StatusPlace(list_id=list_id, uri=uri, index=index, identifier=identifier)
    return CredentialRecord(
        reference=reference,
        batch=batch,
        signer=signer,
        doctype=doctype,
        valid_from=_time(start),
        valid_until=_time(end),
        place=place,
        state=_member(CredentialState, state),
        state_at=_time(state_at),
        reason=reason,
    )


def _place_columns(place: StatusPlace | None) -> tuple[str | None, int | None, bytes | None]:
    return (None, None, None) if place is None else (place.list_id, place.index, place.identifier)


def _unknown(what: str) -> LocalProtocolError:
    return LocalProtocolError(f"the store knows no {what}", code="store.unknown")


def _damaged(what: str) -> DecodeError:
    return DecodeError(f"the store is damaged ({what}): restore it from a backup", code="store.damaged")

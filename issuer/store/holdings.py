"""What a store has, as its audit log must tell of it: for `issuer.comparing`.

Digests over the credentials of a batch are written into the record that the batch was issued, one for each thing that
must not change: the places in lists, the validity, the orders. They are over random references, and tell nothing.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from issuer.audit import Head
from issuer.store.records import CertificateRecord, SignerRecord, StatusListRecord
from mdl.cbor import bstr
from mdl.errors import MdlError
from mdl.status import ListKind, StatusToken

__all__ = ["BatchDigests", "BatchRows", "CredentialRow", "Holdings", "digest_of", "digests_of"]

_NONE: Final = -1


def digest_of(parts: Iterable[bytes]) -> bytes:
    """A digest over byte strings in an order that tells nothing."""
    return hashlib.sha256(b"".join(map(bstr, sorted(parts)))).digest()


class CredentialRow(NamedTuple):
    """A credential that was handed out, as far as a record of its batch tells of it."""

    reference: bytes
    batch: bytes
    signer: bytes
    doctype: str
    valid_from: int
    valid_until: int
    list_id: str | None
    place: int | None
    identifier: bytes | None
    order: bytes | None
    state: str
    state_at: int
    reason: int | None


class BatchDigests(NamedTuple):
    """Digests over the credentials of a batch."""

    references: bytes
    places: bytes
    validity: bytes
    orders: bytes


class BatchRows(NamedTuple):
    """The credentials of a batch that were handed out."""

    batch: bytes
    rows: list[CredentialRow]


def digests_of(rows: Iterable[CredentialRow]) -> BatchDigests:
    """The digests over the credentials of a batch."""
    references, places, validity, orders = [], [], [], []
    for one in rows:
        name = one.reference
        references.append(name)
        index = _NONE if one.place is None else one.place
        places.append(name + (one.list_id or "").encode() + struct.pack(">q", index) + (one.identifier or b""))
        validity.append(name + struct.pack(">qq", one.valid_from, one.valid_until))
        orders.append(name + (one.order or b""))
    return BatchDigests(digest_of(references), digest_of(places), digest_of(validity), digest_of(orders))


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What a store has.

    Attributes:
        head: The head of its log, with the time that is kept beside it.
        salt: SHA-256 of the salt of order keys.
        settings: SHA-256 of each version of the settings.
        signers: The keys, by label.
        certificates: The certificates, by SHA-256.
        serials: The serial numbers that were taken, hex.
        crl_numbers: The highest number that was taken, by issuer.
        crls: SHA-256 of each CRL, by issuer and number.
        lists: The status lists, by id.
        signed_lists: SHA-256 of each token as it was recorded, by list and revision.
        tokens: SHA-256 of each token that is kept, by list and revision.
        unshown: Lists whose last token shows a place that the next one would not.
        unmarked: Lists in whose map a place of a credential or decoy is free.
        batches: The credentials that were handed out, batch by batch, in the order of their names.
        carried_serials: Serial numbers that a restore carried over, by issuer.
        carried_places: A digest over the places that a restore carried over, by list and time.
        settled: What was ahead of the store at a restore.
    """

    head: Head
    salt: bytes
    settings: Mapping[int, bytes]
    signers: Mapping[str, SignerRecord]
    certificates: Mapping[bytes, CertificateRecord]
    serials: frozenset[str]
    crl_numbers: Mapping[bytes, int]
    crls: Mapping[tuple[bytes, int], bytes]
    lists: Mapping[str, StatusListRecord]
    signed_lists: Mapping[tuple[str, int], bytes]
    tokens: Mapping[tuple[str, int], bytes]
    unshown: frozenset[str]
    unmarked: frozenset[str]
    batches: Iterator[BatchRows]
    carried_serials: frozenset[tuple[bytes, str]]
    carried_places: Mapping[tuple[str, int], bytes]
    settled: frozenset[bytes]

    @classmethod
    def of(cls, reader: Any) -> Holdings:
        """Read them; the reader stays open as long as the batches are gone through.

        Args:
            reader: A `Reader`.

        Raises:
            DecodeError: The store is damaged.
        """
        sql = reader._sql  # noqa: SLF001 - the other half of the store's reading
        signed = sql.rows("SELECT list_id, revision, digest, token FROM signed_lists")
        lists = {one.list_id: one for one in reader.status_lists()}
        carried: dict[tuple[str, int], list[bytes]] = {}
        for list_id, place, at in sql.rows("SELECT list_id, place, carried_at FROM carried_places"):
            carried.setdefault((list_id, at), []).append(bytes(place))
        ((salt,),) = sql.rows("SELECT salt FROM store")
        return cls(
            head=reader.audit_head(),
            salt=hashlib.sha256(salt).digest(),
            settings={
                version: hashlib.sha256(text.encode()).digest()
                for version, text in sql.rows("SELECT version, document FROM settings")
            },
            signers={one.key: one for one in reader.signers()},
            certificates={one.certificate.fingerprint: one for one in reader.certificates()},
            serials=frozenset(serial for (serial,) in sql.rows("SELECT serial FROM serials")),
            crl_numbers={
                bytes(issuer): number
                for issuer, number in sql.rows("SELECT issuer, MAX(number) FROM crl_numbers GROUP BY issuer")
            },
            crls={
                (bytes(issuer), number): hashlib.sha256(der).digest()
                for issuer, number, der in sql.stream("SELECT issuer, number, der FROM crls")
            },
            lists=lists,
            signed_lists={(list_id, revision): bytes(digest) for list_id, revision, digest, _ in signed},
            tokens={
                (list_id, revision): hashlib.sha256(token).digest()
                for list_id, revision, _, token in signed
                if token is not None
            },
            unshown=frozenset(one for one, record in lists.items() if _hides(reader, record)),
            unmarked=frozenset(
                one for one, record in lists.items() if record.kind is ListKind.STATUS_LIST and _has_free(sql, record)
            ),
            batches=_batches(sql),
            carried_serials=frozenset(
                (bytes(issuer), serial) for issuer, serial in sql.rows("SELECT issuer, serial FROM carried_serials")
            ),
            carried_places={key: digest_of(places) for key, places in carried.items()},
            settled=reader.settled(),
        )


def _batches(sql: Any) -> Iterator[BatchRows]:
    rows: list[CredentialRow] = []
    query = (
        "SELECT reference, batch, signer, doctype, valid_from, valid_until, list_id, list_index, identifier,"
        " order_digest, state, state_at, reason FROM credentials WHERE state IN ('issued', 'revoked') ORDER BY batch"
    )
    for one in map(CredentialRow._make, sql.stream(query)):
        if rows and rows[0].batch != one.batch:
            yield BatchRows(rows[0].batch, rows)
            rows = []
        rows.append(one)
    if rows:
        yield BatchRows(rows[0].batch, rows)


def _hides(reader: Any, record: StatusListRecord) -> bool:
    """Whether the last token of a list shows something that the next one would not."""
    last = reader.signed_list(record.list_id)
    if last is None:
        return False
    try:
        content = StatusToken.decode(last[1]).decode_list()
    except MdlError:
        return True
    if record.kind is ListKind.IDENTIFIER_LIST:
        return not content.identifiers <= {*reader.revoked_identifiers(record.list_id)}  # type: ignore[union-attr]
    shown = int.from_bytes(content.packed, "little")  # type: ignore[union-attr]
    packed = bytearray(-(-max(record.size, len(content)) * record.bits // 8))  # type: ignore[arg-type]
    for index in reader.revoked_indices(record.list_id):
        packed[index * record.bits >> 3] |= ((1 << record.bits) - 1) << (index * record.bits & 7)
    return bool(shown & ~int.from_bytes(packed, "little"))


def _has_free(sql: Any, record: StatusListRecord) -> bool:
    """Whether a place that is taken is free in the map."""
    chunks = sql.rows("SELECT chunk, taken FROM status_maps WHERE list_id = ? ORDER BY chunk", (record.list_id,))
    if not chunks:
        return record.used > 0
    taken = b"".join(bytes(one) for _, one in chunks)
    if int.from_bytes(taken).bit_count() < record.used:
        return True
    for table in ("credentials", "decoys"):
        query = f"SELECT list_index FROM {table} WHERE list_id = ?"  # noqa: S608 - a name of ours
        for (index,) in sql.rows(query, (record.list_id,)):
            if index is None or index >> 3 >= len(taken) or not taken[index >> 3] >> (index & 7) & 1:
                return True
    return False

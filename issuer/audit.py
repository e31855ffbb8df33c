"""The audit log: what was done with which key, chained so that nothing can be taken out of it unseen.

A record is deterministic CBOR: this project has one strict reader and one writer for it, and unlike JSON it has one
form for a number, a text and a byte string, so that the bytes which are hashed are the bytes which are kept.

    record   = [1, log id, sequence, tdate, actor, event, {* name => value}, previous]
    actor    = role / [role, person / null, host / null]      the role alone where nobody named it
    hash     = SHA-256("mdl-sdk audit record 1" || 0x00 || record)
    previous = the hash of the record before, or for the first SHA-256("mdl-sdk audit log 1" || 0x00 || log id)

The chain alone shows every change, but not that its end was cut off or that all of it was written anew: that shows
against a checkpoint, a signed statement about the head, which is kept where the log is not.

Nothing in a record is personal, but for the name that an operator gives with the role: the names of its members are a
closed set of references, digests, numbers and codes.
The records are written by `issuer.store`, in the transaction of what they tell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from mdl.cbor import TDate, decode, encode
from mdl.cose import CoseSign1, decode_sign1, protected_header, sig_structure
from mdl.errors import DecodeError, LocalProtocolError, MdlError, SigningError, VerificationError
from mdl.keys import PublicKey, Signer, signature_of, signing_key_of

__all__ = [
    "SUBJECTS",
    "Acting",
    "Actor",
    "AuditRecord",
    "Checkpoint",
    "Defect",
    "Event",
    "Finding",
    "Head",
    "IssuedCertificate",
    "KeptRecord",
    "LogReport",
    "chain_start",
    "decode_log",
    "encode_line",
    "examine_log",
    "hash_record",
    "report",
    "report_csv",
    "sign_checkpoint",
    "verify_log",
]

_VERSION: Final = 1
_ID_SIZE: Final = 16
_HASH_SIZE: Final = 32
_KIND: Final = 4  # the COSE header "kid"
_CHECKPOINT: Final = "mdl-sdk audit checkpoint 1"
# Longest text or byte string in a record: a certificate's name, not its content.
_LONGEST: Final = 1024
_LONGEST_NAME: Final = 100
_MAX_RECORD: Final = 16 * 1024


class Actor(StrEnum):
    """In which role somebody acted; who that was is known to the token and to the ceremony's minutes."""

    CEREMONY_OFFICER = "ceremony-officer"
    SIGNER_OPERATOR = "signer-operator"
    ISSUING_SERVICE = "issuing-service"
    AUDITOR = "auditor"


@dataclass(frozen=True, slots=True)
class Acting:
    """Somebody who named the role in which to act. Where nobody did, the log has the role whose work it usually is.

    Attributes:
        role: The role.
        person: The name that an operator gives, at most 100 printable characters, or None.
        host: The machine that an operator names, likewise.
    """

    role: Actor
    person: str | None = None
    host: str | None = None

    def __post_init__(self) -> None:
        for what, name in (("person", self.person), ("host", self.host)):
            if name is not None and not _is_name(name):
                message = f"the {what} is named with 1 to {_LONGEST_NAME} printable characters, none of them at an end"
                raise LocalProtocolError(f"{message} a space", code="policy.person")


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()


class Event(StrEnum):
    """What happened."""

    AUTHORITY_FOUNDED = "authority.founded"
    SETTINGS_CHANGED = "settings.changed"
    KEY_MADE = "key.made"
    KEY_PASSED_OVER = "key.passed_over"
    """The token has a key, or half of one, under the label that was next: what an attempt that was broken off left."""
    KEY_CLEARED = "key.cleared"
    """Half of a key pair that a founding had left in the token was deleted."""
    KEY_USED = "key.used"
    """Written before the key is used, so that no use is without a record; what came of it is told by another."""
    SIGNER_CHANGED = "signer.changed"
    CERTIFICATE_ISSUED = "certificate.issued"
    CERTIFICATE_REVOKED = "certificate.revoked"
    ROOT_GIVEN_UP = "root.given_up"
    CRL_SIGNED = "crl.signed"
    LIST_OPENED = "list.opened"
    LIST_SIGNED = "list.signed"
    LIST_RETIRED = "list.retired"
    LIST_PLACED = "list.placed"
    PUBLISHED = "published"
    BATCH_ISSUED = "batch.issued"
    BATCH_ABANDONED = "batch.abandoned"
    CREDENTIAL_REVOKED = "credential.revoked"
    STORE_RESTORED = "store.restored"
    """A store from a backup took over what was published, and skipped numbers that may have been used."""
    REVOCATION_CARRIED = "revocation.carried"
    """A revocation that was published stays in force, though the store lost what it is of."""
    CHECKPOINT_SUPERSEDED = "checkpoint.superseded"
    """A checkpoint tells of records that a restore lost."""
    CLOCK_CONFIRMED = "clock.confirmed"
    """Somebody said that the clock is right although something spoke against it."""
    CLOCK_CORRECTED = "clock.corrected"
    """Somebody said that the clock was ahead when the records before were written: this one is earlier than they."""
    REFUSAL = "refusal"
    CEREMONY_STEP = "ceremony.step"
    CHECKPOINT = "checkpoint"


SUBJECTS: Final = frozenset({
    "address", "batch", "began", "ceremony", "certificate", "code", "count", "credential", "digest", "doctype",
    "issuer", "key", "kind", "label", "list", "next_update", "not_after", "not_before", "number", "orders", "places",
    "public_key", "purpose", "reason", "repeated", "revision", "role", "salt", "sequence", "serial", "signer",
    "state", "step", "subject", "validity", "verb", "version",
})  # fmt: skip
"""The names that a record's members may have. A new one is a decision about personal data: add it here."""


def _digest(domain: str, data: bytes) -> bytes:
    return hashlib.sha256(domain.encode() + b"\x00" + data).digest()


def chain_start(log_id: bytes) -> bytes:
    """What the first record of a log names as its predecessor."""
    return _digest("mdl-sdk audit log 1", log_id)


def hash_record(encoded: bytes) -> bytes:
    """The hash by which a record's successor names it."""
    return _digest("mdl-sdk audit record 1", encoded)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One event.

    Attributes:
        log_id: The log it is in, 16 random bytes.
        sequence: Its place, counted from 1.
        time: When, in whole seconds.
        actor: In which role somebody acted.
        event: What happened.
        subjects: What it happened to: names of `SUBJECTS` with a text, a number or a byte string each.
        previous: The hash of the record before.
        acting: Who named that role, or None: it is only assumed.
    """

    log_id: bytes
    sequence: int
    time: datetime
    actor: Actor
    event: Event
    subjects: Mapping[str, Any]
    previous: bytes = field(repr=False)
    acting: Acting | None = None

    def encode(self) -> bytes:
        """The record's bytes.

        Raises:
            ValueError: A member is not what a record may hold.
        """
        for name, value in self.subjects.items():
            if name not in SUBJECTS or _value_problem(value):
                msg = f"an audit record has no member {name!r} of this kind"
                raise ValueError(msg)
        return encode([
            _VERSION,
            self.log_id,
            self.sequence,
            TDate.of(self.time),
            self.actor.value if self.acting is None else _acting_value(self.acting),
            self.event.value,
            dict(sorted(self.subjects.items())),
            self.previous,
        ])  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> AuditRecord:
        """Read a record, which must be exactly what `encode` writes.

        Raises:
            DecodeError: It is not (codes ``audit.record`` and ``cbor.…``).
        """
        if len(data) > _MAX_RECORD:
            raise _malformed("longer than a record may be")
        value = decode(data)
        if type(value) is not list or len(value) != 8 or value[0] != _VERSION:
            raise _malformed("not a record of this version")
        _, log_id, sequence, time, who, event, subjects, previous = value
        actor, acting = _who(who)
        if (
            [*map(type, value[1:4]), *map(type, value[5:])] != [bytes, int, TDate, str, dict, bytes]
            or len(log_id) != _ID_SIZE
            or len(previous) != _HASH_SIZE
            or sequence < 1
            or not time.is_strict
            or actor is None
            or event not in {*Event}
            or not subjects.keys() <= SUBJECTS
            or any(map(_value_problem, subjects.values()))
        ):
            raise _malformed("a member of the record is not of its kind")
        record = cls(
            log_id=log_id,
            sequence=sequence,
            time=time.datetime,
            actor=actor,
            event=Event(event),
            subjects=MappingProxyType(subjects),
            previous=previous,
            acting=acting,
        )
        if record.encode() != data:
            raise _malformed("not in the one form that a record has")
        return record


def _acting_value(acting: Acting) -> list[str | None]:
    return [acting.role.value, acting.person, acting.host]


def _who(value: object) -> tuple[Actor | None, Acting | None]:
    """The role that a record names, None if it names none, and who named that."""
    parts: list[Any] = value if isinstance(value, list) else [value, None, None]
    if (
        len(parts) != 3
        or type(parts[0]) is not str
        or parts[0] not in {*Actor}
        or any(one is not None and not (type(one) is str and _is_name(one)) for one in parts[1:])
    ):
        return None, None
    role = Actor(parts[0])
    return role, Acting(role, parts[1], parts[2]) if type(value) is list else None


def _value_problem(value: object) -> bool:
    if type(value) is str:
        return not (len(value) <= _LONGEST and value.isprintable())
    if type(value) is bytes:
        return len(value) > _LONGEST
    return type(value) is not int or not 0 <= value < 1 << 63


def _malformed(what: str) -> DecodeError:
    return DecodeError(f"no audit record: {what}", code="audit.record")


class KeptRecord(NamedTuple):
    """A record as a store or a file keeps it.

    Attributes:
        sequence: The place where it is kept.
        hash: The hash that is kept beside it.
        record: The record's bytes.
    """

    sequence: int
    hash: bytes
    record: bytes


class Head(NamedTuple):
    """The last record of a log: its sequence number, hash and time. An empty log has 0, its start, and None."""

    sequence: int
    hash: bytes
    time: datetime | None


# --- checkpoints -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A signed statement that a log had this head at that time.

    Attributes:
        log_id: The log.
        sequence: The sequence number of the head.
        head: The hash of the head.
        time: When it was signed.
        key: SHA-256 of the SubjectPublicKeyInfo of the key that is said to have signed it.
    """

    log_id: bytes
    sequence: int
    head: bytes
    time: datetime
    key: bytes
    _message: CoseSign1 = field(repr=False)

    @classmethod
    def decode(cls, data: bytes) -> Checkpoint:
        """Read a checkpoint; whether its signature is right is for `verify`.

        Raises:
            DecodeError: It is none (codes ``audit.checkpoint``, ``cose.…`` and ``cbor.…``).
        """
        message = decode_sign1(decode(data))
        value = decode(message.payload or b"\xf6")
        key = message.unprotected.get(_KIND)
        if (
            type(value) is not list
            or [*map(type, value)] != [str, bytes, int, bytes, TDate]
            or value[0] != _CHECKPOINT
            or len(value[1]) != _ID_SIZE
            or value[2] < 0
            or len(value[3]) != _HASH_SIZE
            or not value[4].is_strict
            or type(key) is not bytes
        ):
            raise DecodeError("no checkpoint of an audit log", code="audit.checkpoint")
        return cls(
            log_id=value[1],
            sequence=value[2],
            head=value[3],
            time=value[4].datetime,
            key=key,
            _message=message,
        )

    def verify(self, keys: Iterable[PublicKey]) -> None:
        """Check that one of these keys has signed it.

        Raises:
            VerificationError: None has (code ``audit.checkpoint_signature``).
            UnsupportedError: It names an algorithm that is not the standard's.
        """
        for key in keys:
            if hashlib.sha256(key.spki).digest() == self.key:
                self._message.verify(key)
                return
        message = "the checkpoint is not signed by a key that is trusted for it"
        raise VerificationError(message, code="audit.checkpoint_signature")

    def encode(self) -> bytes:
        """The COSE_Sign1 message, untagged."""
        return self._message.encode()


def sign_checkpoint(signer: Signer, *, log_id: bytes, head: Head, at: datetime) -> Checkpoint:
    """Sign a statement about a log's head.

    Args:
        signer: The key; best one that does nothing else.
        log_id: The log.
        head: Its head.
        at: The time, aware UTC.

    Raises:
        SigningError: The custodian refused, failed or signed wrongly.
    """
    key = signing_key_of(signer)
    protected = protected_header(key.algorithm.cose_id)
    payload = encode([_CHECKPOINT, log_id, head.sequence, head.hash, TDate.of(at)])
    signature = signature_of(signer, sig_structure(protected, payload))
    unprotected = {_KIND: hashlib.sha256(key.spki).digest()}
    message = CoseSign1(protected, {1: key.algorithm.cose_id}, unprotected, payload, signature)
    try:
        message.verify(key)
    except VerificationError as exc:
        text = "the custodian's signature does not verify with its own key; there is no checkpoint"
        raise SigningError(text, code="signing.wrong_signature") from exc
    return Checkpoint.decode(message.encode())


# --- files -----------------------------------------------------------------------------------------------------------


def encode_line(kept: KeptRecord) -> str:
    """A record as one line of JSON: for people to read and, in the member ``record``, as it is hashed.

    Raises:
        DecodeError: The record is none.
    """
    record = AuditRecord.decode(kept.record)
    members = {
        "sequence": record.sequence,
        "time": TDate.of(record.time).text,
        "actor": record.actor.value,
        **_named_json(record.acting),
        "event": record.event.value,
        "subjects": {name: _readable(value) for name, value in record.subjects.items()},
        "hash": kept.hash.hex(),
        "record": kept.record.hex(),
    }
    return json.dumps(members)


def _named_json(acting: Acting | None) -> dict[str, Any]:
    """Whether the role was named, and what was said with it."""
    if acting is None:
        return {"named": False}
    said = {"person": acting.person, "host": acting.host}
    return {"named": True} | {name: text for name, text in said.items() if text is not None}


def _readable(value: str | int | bytes) -> str | int:
    return value.hex() if type(value) is bytes else value  # type: ignore[return-value]


def decode_log(lines: Iterable[str]) -> Iterator[KeptRecord]:
    """Read the lines that `encode_line` wrote. What they say is not judged here but by `verify_log`.

    A line that is none, or whose readable part tells something else than its record, comes as a record that does not
    decode.
    """
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        try:
            members = json.loads(text)
            kept = KeptRecord(members["sequence"], bytes.fromhex(members["hash"]), bytes.fromhex(members["record"]))
            sound = type(kept.sequence) is int and encode_line(kept) == text
        except (MdlError, ValueError, KeyError, TypeError, RecursionError):
            sound = False
            kept = KeptRecord(number, b"", b"")
        yield kept if sound else KeptRecord(kept.sequence if type(kept.sequence) is int else number, b"", b"")


# --- verification ----------------------------------------------------------------------------------------------------


class Defect(StrEnum):
    """What can be wrong with a log."""

    MALFORMED = "malformed"
    """A record does not decode, or a line tells something else than its record."""
    CHANGED = "changed"
    """A record's bytes are not those that were hashed when it was written."""
    HASH = "hash"
    """Only the hash that is kept beside a record is not its own."""
    PREVIOUS = "previous"
    """A record does not name the hash of the record before."""
    DELETED = "deleted"
    """Records are missing."""
    REORDERED = "reordered"
    """A record stands behind one that came later."""
    DUPLICATED = "duplicated"
    """The same record stands there twice."""
    INSERTED = "inserted"
    """A record stands where the chain passes it over."""
    MISPLACED = "misplaced"
    """A record is kept under another sequence number than its own."""
    FOREIGN = "foreign"
    """A record is of another log."""
    TIME = "time"
    """A record is earlier than the one before."""
    TRUNCATED = "truncated"
    """The log ends before the head that a checkpoint, or the store, tells of."""
    REWRITTEN = "rewritten"
    """The log has another record where a checkpoint, or the store, tells of its head."""
    LOST = "lost"
    """A record tells of what the store no longer has."""
    UNRECORDED = "unrecorded"
    """The store has what no record tells of."""
    HEAD_TIME = "store.head_time"
    SETTINGS = "store.settings"
    SALT = "store.salt"
    SIGNER_KEY = "store.signer_key"
    SIGNER_ROLE = "store.signer_role"
    SIGNER_STATE = "store.signer_state"
    CERTIFICATE = "store.certificate"
    CERTIFICATE_KEY = "store.certificate_key"
    CERTIFICATE_REVOKED = "store.certificate_revoked"
    CERTIFICATE_UNREVOKED = "store.certificate_unrevoked"
    CERTIFICATE_REASON = "store.certificate_reason"
    SERIAL = "store.serial"
    CRL = "store.crl"
    CRL_NUMBER = "store.crl_number"
    LIST = "store.list"
    LIST_ADDRESS = "store.list_address"
    LIST_PLACE = "store.list_place"
    LIST_REVISION = "store.list_revision"
    LIST_TOKEN = "store.list_token"  # noqa: S105 - no secret
    LIST_SHOWN = "store.list_shown"
    LIST_PLACES = "store.list_places"
    CREDENTIAL = "store.credential"
    CREDENTIAL_SIGNER = "store.credential_signer"
    CREDENTIAL_TYPE = "store.credential_type"
    CREDENTIAL_PLACE = "store.credential_place"
    CREDENTIAL_VALIDITY = "store.credential_validity"
    CREDENTIAL_ORDER = "store.credential_order"
    CREDENTIAL_REVOKED = "store.credential_revoked"
    CREDENTIAL_UNREVOKED = "store.credential_unrevoked"
    CREDENTIAL_REASON = "store.credential_reason"
    CARRIED = "store.carried"
    SETTLED = "store.settled"
    BEHIND = "store.behind"
    """The store is behind what was published from this host, or what lies in its folder."""
    CHECKPOINT_MISSING = "checkpoint.missing"
    """The log tells of a checkpoint that is not there, and none after it is."""
    CHECKPOINT_SUPERSEDED = "checkpoint.superseded"
    """A checkpoint tells of records that a restore lost, and no checkpoint vouches for the restore yet."""
    CHECKPOINT_MALFORMED = "checkpoint.malformed"
    CHECKPOINT_SIGNATURE = "checkpoint.signature"
    CHECKPOINT_FOREIGN = "checkpoint.foreign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a log.

    Attributes:
        defect: What.
        sequence: Where: the sequence number of the record concerned, or of the checkpoint's head.
        message: One line for a person.
    """

    defect: Defect
    sequence: int
    message: str


class _Tip(NamedTuple):
    """A record that the next one may follow: its hash, what it names as its predecessor, and how it was kept."""

    sequence: int
    hash: bytes
    kept_hash: bytes
    previous: bytes
    raw: bytes


@dataclass(slots=True)
class _Walk:
    """Walks through a log once; of a long log it keeps what is unusual only."""

    log_id: bytes
    wanted: frozenset[int]
    findings: list[Finding] = field(default_factory=list)
    # What the next record may follow: several where a sequence number stands twice, none behind what is illegible.
    tips: list[_Tip] = field(default_factory=list)
    before: bytes = b""
    last: int = 0
    time: datetime | None = None
    missing: set[range] = field(default_factory=set)
    heads: dict[int, bytes] = field(default_factory=dict)
    count: int = 0
    signed: list[int] = field(default_factory=list)
    superseded: dict[bytes, int] = field(default_factory=dict)

    def find(self, defect: Defect, sequence: int, message: str) -> None:
        self.findings.append(Finding(defect=defect, sequence=sequence, message=message))

    def step(self, kept: KeptRecord) -> None:
        self.count += 1
        try:
            record = AuditRecord.decode(kept.record)
        except DecodeError as exc:
            self.find(Defect.MALFORMED, kept.sequence, f"the record does not decode ({exc.code})")
            if kept.sequence == self.last + 1:
                self.last, self.tips = kept.sequence, []
            return
        number = record.sequence
        if record.event is Event.CHECKPOINT:
            self.signed.append(number)
        elif record.event is Event.CHECKPOINT_SUPERSEDED:
            self.superseded[record.subjects.get("digest", b"")] = number
        if kept.sequence != number:
            self.find(Defect.MISPLACED, kept.sequence, f"the record kept here says that it is number {number}")
        if record.log_id != self.log_id:
            self.find(Defect.FOREIGN, number, "the record is of another log")
        tip = _Tip(number, hash_record(kept.record), kept.hash, record.previous, kept.record)
        if number <= self.last:
            self._went_back(tip)
            return
        if number > self.last + 1:
            self.missing.add(range(self.last + 1, number))
        elif self.tips or number == 1:
            self._follows(tip)
        if self.time is not None and record.time < self.time and record.event is not Event.CLOCK_CORRECTED:
            self.find(Defect.TIME, number, "the record is earlier than the one before")
        self.time = record.time
        self.before = self.tips[0].hash if self.tips else b""
        self.last, self.tips = number, [tip]
        if number in self.wanted:
            self.heads[number] = tip.hash

    def _follows(self, tip: _Tip) -> None:
        """Hold a record to the one before, or to those that claim to be it."""
        if tip.sequence == 1:
            if tip.previous != chain_start(self.log_id):
                self.find(Defect.PREVIOUS, 1, "the first record does not name the log's start")
            return
        right = [one for one in self.tips if tip.previous in (one.hash, one.kept_hash)]
        for one in self.tips:
            if len(self.tips) > 1 and one is not (right or self.tips)[0]:
                self.find(Defect.INSERTED, one.sequence, "the chain passes this record over")
        follows = (right or self.tips)[0]
        if tip.previous == follows.hash:
            if follows.kept_hash != follows.hash:
                self.find(Defect.HASH, follows.sequence, "the hash kept beside the record is not its own")
        elif tip.previous == follows.kept_hash:
            self.find(Defect.CHANGED, follows.sequence, "the record is not what was written")
        else:
            self.find(Defect.PREVIOUS, tip.sequence, "the record does not name the hash of the one before")

    def _went_back(self, tip: _Tip) -> None:
        gap = next((one for one in self.missing if tip.sequence in one), None)
        if gap is not None:
            self.missing.remove(gap)
            rest = (range(gap.start, tip.sequence), range(tip.sequence + 1, gap.stop))
            self.missing.update(one for one in rest if one)
            self.find(Defect.REORDERED, tip.sequence, "the record stands behind one that came later")
        elif tip.raw in [one.raw for one in self.tips]:
            self.find(Defect.DUPLICATED, tip.sequence, "the record stands here twice")
        elif tip.sequence == self.last:
            self.tips.append(tip)  # the next one tells which of them is in the chain
        elif self.tips and tip.previous != self.before:
            self.find(Defect.DUPLICATED, tip.sequence, "the sequence number stands here again")
        else:
            self.find(Defect.INSERTED, tip.sequence, "the chain passes this record over")

    def fits(self, sequence: int, digest: bytes) -> bool:
        """Whether the log has this record."""
        return sequence == 0 or self.heads.get(sequence) == digest

    def hold(self, sequence: int, digest: bytes, name: str) -> None:
        """Hold the log to a record that it must have."""
        if sequence > self.last:
            self.find(Defect.TRUNCATED, sequence, f"the log ends at {self.last}, but {name} tells of {sequence}")
        elif not self.fits(sequence, digest):
            self.find(Defect.REWRITTEN, sequence, f"{name} tells of another record {sequence} than the log has")

    def finish(self) -> None:
        for one in self.tips:
            if one.kept_hash != one.hash:
                self.find(Defect.CHANGED, one.sequence, "the last record is not what was written")
        for one in self.tips[1:]:
            self.find(Defect.INSERTED, one.sequence, "the sequence number stands here again")
        for gap in self.missing:
            what = f"record {gap.start} is" if len(gap) == 1 else f"records {gap.start} to {gap.stop - 1} are"
            self.find(Defect.DELETED, gap.start, f"{what} missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What was found in a log, and what that rests on.

    Attributes:
        findings: What is wrong, in the order of the log; nothing if it is whole.
        records: How many records it has.
        last: The sequence number of the last one.
        vouched: The newest checkpoint that fits the log, or None: up to its record nobody has written the log anew who
            has not its key. For what comes after, and for all of it without a checkpoint, nothing vouches: whoever can
            write the store can write it anew.
        superseded: Checkpoints that tell of records which a restore lost, each with the record that says so.
    """

    findings: tuple[Finding, ...]
    records: int
    last: int
    vouched: Checkpoint | None = None
    superseded: tuple[tuple[Checkpoint, int], ...] = ()


def verify_log(
    records: Iterable[KeptRecord],
    *,
    log_id: bytes,
    checkpoints: Iterable[bytes] = (),
    keys: Sequence[PublicKey] = (),
    head: Head | None = None,
) -> list[Finding]:
    """Find whatever was changed, deleted, inserted, reordered or cut off; see `examine_log`."""
    return [*examine_log(records, log_id=log_id, checkpoints=checkpoints, keys=keys, head=head).findings]


def examine_log(
    records: Iterable[KeptRecord],
    *,
    log_id: bytes,
    checkpoints: Iterable[bytes] = (),
    keys: Sequence[PublicKey] = (),
    head: Head | None = None,
    all_checkpoints: bool = False,
) -> LogReport:
    """Find whatever was changed, deleted, inserted, reordered or cut off, and say what that rests on.

    Args:
        records: The log, in the order in which it is kept.
        log_id: The log that it must be.
        checkpoints: Checkpoints that were kept elsewhere, as they were written.
        keys: The keys that are trusted to sign them. They must not come from where the log comes from.
        head: What the store believes the head to be, where there is a store.
        all_checkpoints: Whether all checkpoints are there that were signed: then one that the log tells of and that is
            missing is a finding, unless there is a later one.
    """
    findings: list[Finding] = []
    good: list[tuple[Checkpoint, str, bytes]] = []
    for index, data in enumerate(checkpoints, 1):
        name = f"checkpoint {index}"
        try:
            checkpoint = Checkpoint.decode(data)
        except MdlError as exc:
            message = f"{name} does not decode ({exc.code})"
            findings.append(Finding(defect=Defect.CHECKPOINT_MALFORMED, sequence=0, message=message))
            continue
        try:
            checkpoint.verify(keys)
        except MdlError as exc:
            message = f"{name} does not verify ({exc.code})"
            defect = Defect.CHECKPOINT_SIGNATURE
            findings.append(Finding(defect=defect, sequence=checkpoint.sequence, message=message))
            continue
        if checkpoint.log_id != log_id:
            message = f"{name} is about another log"
            defect = Defect.CHECKPOINT_FOREIGN
            findings.append(Finding(defect=defect, sequence=checkpoint.sequence, message=message))
            continue
        good.append((checkpoint, name, hashlib.sha256(checkpoint.encode()).digest()))
    wanted = {one.sequence for one, _, _ in good} | ({head.sequence} if head else set())
    walk = _Walk(log_id=log_id, wanted=frozenset(wanted))
    for kept in records:
        walk.step(kept)
    walk.finish()
    if head is not None:
        walk.hold(head.sequence, head.hash, "the store")
        if walk.last > head.sequence:
            message = f"the log goes on to {walk.last}, but the store ended it at {head.sequence}"
            walk.find(Defect.INSERTED, head.sequence + 1, message)
    fitting = [one for one, _, _ in good if walk.fits(one.sequence, one.head)]
    vouched = max(fitting, key=lambda one: one.sequence, default=None)
    until = 0 if vouched is None else vouched.sequence
    superseded = []
    for one, name, digest in good:
        if walk.fits(one.sequence, one.head):
            continue
        at = walk.superseded.get(digest)
        if at is None:
            walk.hold(one.sequence, one.head, name)
        elif at <= until:
            superseded.append((one, at))
        else:
            message = (
                f"{name} tells of records that a restore lost, and no checkpoint vouches for the restore: sign one"
            )
            walk.find(Defect.CHECKPOINT_SUPERSEDED, at, message)
    if all_checkpoints and walk.signed and walk.signed[-1] > until:
        message = f"the checkpoint of record {walk.signed[-1]} is missing: find it, or sign another one"
        walk.find(Defect.CHECKPOINT_MISSING, walk.signed[-1], message)
    return LogReport(
        findings=tuple(sorted([*findings, *walk.findings], key=lambda one: one.sequence)),
        records=walk.count,
        last=walk.last,
        vouched=vouched,
        superseded=tuple(superseded),
    )


# --- the report ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCertificate:
    """A row of the report: a certificate that was issued.

    Attributes:
        sequence: The record that tells of it.
        issued: When it was issued.
        role: What it is for.
        subject: Whom it names.
        serial: Its serial number, hex.
        fingerprint: SHA-256 of it, hex.
        issuer: SHA-256 of its issuer's certificate, hex; its own where it is self-signed.
        not_before: Start of its validity.
        not_after: End of its validity, inclusive.
        revoked: When it was revoked, or None.
    """

    sequence: int
    issued: datetime
    role: str
    subject: str
    serial: str
    fingerprint: str
    issuer: str
    not_before: datetime
    not_after: datetime
    revoked: datetime | None = None

    def row(self) -> dict[str, Any]:
        """The row with plain values: texts, the sequence number, and None."""
        members = {name: getattr(self, name) for name in self.__slots__}
        return {name: TDate.of(value).text if isinstance(value, datetime) else value for name, value in members.items()}


def report(records: Iterable[KeptRecord]) -> list[IssuedCertificate]:
    """List the certificates that were issued, in their order.

    Args:
        records: A log that was verified.

    Raises:
        DecodeError: A record does not decode.
    """
    rows: dict[str, dict[str, Any]] = {}
    for kept in records:
        record = AuditRecord.decode(kept.record)
        told = record.subjects
        if record.event is Event.CERTIFICATE_ISSUED:
            fingerprint = told["certificate"].hex()
            rows[fingerprint] = {
                "sequence": record.sequence,
                "issued": record.time,
                "role": told["role"],
                "subject": told["subject"],
                "serial": told["serial"],
                "fingerprint": fingerprint,
                "issuer": told["issuer"].hex(),
                "not_before": datetime.fromtimestamp(told["not_before"], UTC),
                "not_after": datetime.fromtimestamp(told["not_after"], UTC),
            }
        elif record.event is Event.CERTIFICATE_REVOKED and told["certificate"].hex() in rows:
            rows[told["certificate"].hex()]["revoked"] = record.time
    return [IssuedCertificate(**row) for row in rows.values()]


def report_csv(rows: Iterable[IssuedCertificate]) -> str:
    """The report as CSV (RFC 4180) with a heading; what a spreadsheet would compute begins with an apostrophe."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(IssuedCertificate.__slots__)
    for one in rows:
        writer.writerow(["" if cell is None else _cell(cell) for cell in one.row().values()])
    return stream.getvalue()


def _cell(value: str | int) -> str:
    text = str(value)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text

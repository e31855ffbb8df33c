"""The audit log: whatever is done to it is found, and told apart from everything else that could be done to it."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.audit import (
    SUBJECTS,
    Actor,
    AuditRecord,
    Checkpoint,
    Defect,
    Event,
    Head,
    KeptRecord,
    LogReport,
    chain_start,
    decode_log,
    encode_line,
    examine_log,
    hash_record,
    report,
    report_csv,
    sign_checkpoint,
    verify_log,
)
from issuer.store import SqliteStore
from mdl.cbor import decode, encode
from mdl.errors import DecodeError, SigningError, VerificationError
from mdl.keys import PublicKey
from mdl.testing import ThrowawayAuthority, deterministic_key
from tests.stores import NOW, ROLE, found, later

LOG = bytes(range(16))
KEY = deterministic_key("audit")


def kept(record: AuditRecord) -> KeptRecord:
    encoded = record.encode()
    return KeptRecord(record.sequence, hash_record(encoded), encoded)


def chain(count: int, *, log_id: bytes = LOG, changes: dict[int, dict[str, Any]] | None = None) -> list[KeptRecord]:
    """An honest log of so many records; a change to one of them is chained like everything else."""
    records: list[KeptRecord] = []
    previous = chain_start(log_id)
    for sequence in range(1, count + 1):
        record = AuditRecord(
            log_id=log_id,
            sequence=sequence,
            time=NOW + timedelta(seconds=sequence),
            actor=ROLE,
            event=Event.BATCH_ISSUED,
            subjects={"count": sequence, "batch": bytes(16)},
            previous=previous,
        )
        records.append(kept(replace(record, **(changes or {}).get(sequence, {}))))
        previous = records[-1].hash
    return records


def opened(one: KeptRecord) -> AuditRecord:
    return AuditRecord.decode(one.record)


def head_of(records: list[KeptRecord], time: datetime = NOW) -> Head:
    return Head(records[-1].sequence, records[-1].hash, time)


def checkpoint(records: list[KeptRecord], *, log_id: bytes = LOG) -> bytes:
    return sign_checkpoint(KEY, log_id=log_id, head=head_of(records), at=NOW).encode()


def defects(records: list[KeptRecord], **options: Any) -> list[tuple[Defect, int]]:
    findings = verify_log(records, log_id=LOG, **options)
    assert all(one.message for one in findings)
    return [(one.defect, one.sequence) for one in findings]


# --- honest logs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_an_honest_log_is_whole(count: int) -> None:
    records = chain(count)
    marks = [checkpoint(records[:end]) for end in (1, count) if 0 < end <= count]
    head = head_of(records) if records else Head(0, chain_start(LOG), None)
    assert defects(records, checkpoints=marks, keys=[KEY.public_key], head=head) == []


def test_a_checkpoint_of_an_empty_log_stands() -> None:
    mark = sign_checkpoint(KEY, log_id=LOG, head=Head(0, chain_start(LOG), None), at=NOW).encode()
    assert defects(chain(2), checkpoints=[mark], keys=[KEY.public_key]) == []


def test_several_records_may_have_one_time() -> None:
    assert defects(chain(3, changes={3: {"time": NOW + timedelta(seconds=2)}})) == []


def test_what_the_store_writes_is_a_whole_log(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "store.db", create=True) as store:
        found(store, ThrowawayAuthority())
        with store.reading() as reader:
            records = [*reader.audit_records()]
            assert [one.sequence for one in records] == [*range(1, len(records) + 1)]
            assert verify_log(records, log_id=reader.log_id, head=reader.audit_head()) == []
            assert [*reader.audit_records(start=3)] == records[2:]


# --- tampering -------------------------------------------------------------------------------------------------------


def changed(records: list[KeptRecord]) -> list[KeptRecord]:
    """A record says something else, and the hash beside it is what it was."""
    other = replace(opened(records[4]), subjects={"count": 1_000_000}).encode()
    return [*records[:4], records[4]._replace(record=other), *records[5:]]


def changed_with_its_hash(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:4], kept(replace(opened(records[4]), subjects={})), *records[5:]]


def last_changed(records: list[KeptRecord]) -> list[KeptRecord]:
    other = replace(opened(records[-1]), subjects={}).encode()
    return [*records[:-1], records[-1]._replace(record=other)]


def hash_changed(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:4], records[4]._replace(hash=bytes(32)), *records[5:]]


def deleted(records: list[KeptRecord]) -> list[KeptRecord]:
    return records[:4] + records[5:]


def several_deleted(records: list[KeptRecord]) -> list[KeptRecord]:
    return records[:2] + records[6:]


def first_deleted(records: list[KeptRecord]) -> list[KeptRecord]:
    return records[1:]


def reordered(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:4], records[5], records[4], *records[6:]]


def duplicated(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:5], records[4], *records[5:]]


def duplicated_later(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:7], records[4], *records[7:]]


def inserted(records: list[KeptRecord]) -> list[KeptRecord]:
    """Another record under a number that one has already."""
    return [*records[:5], kept(replace(opened(records[4]), event=Event.REFUSAL)), *records[5:]]


def inserted_before(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:4], kept(replace(opened(records[4]), event=Event.REFUSAL)), *records[4:]]


def appended(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records, kept(replace(opened(records[-1]), sequence=11, previous=bytes(32)))]


def misplaced(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:4], records[4]._replace(sequence=7), *records[5:]]


def foreign(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:4], chain(10, log_id=bytes(16))[4], *records[5:]]


def time_back(_: list[KeptRecord]) -> list[KeptRecord]:
    return chain(10, changes={5: {"time": NOW - timedelta(days=1)}})


def undecodable(records: list[KeptRecord]) -> list[KeptRecord]:
    return [*records[:4], records[4]._replace(record=b"\xff"), *records[5:]]


def wrong_previous(records: list[KeptRecord]) -> list[KeptRecord]:
    return chain(10, changes={5: {"previous": bytes(32)}})


def wrong_start(records: list[KeptRecord]) -> list[KeptRecord]:
    return chain(10, changes={1: {"previous": bytes(32)}})


TAMPERING: list[tuple[Callable[[list[KeptRecord]], list[KeptRecord]], list[tuple[Defect, int]]]] = [
    (changed, [(Defect.CHANGED, 5)]),
    (changed_with_its_hash, [(Defect.PREVIOUS, 6)]),
    (last_changed, [(Defect.CHANGED, 10)]),
    (hash_changed, [(Defect.HASH, 5)]),
    (deleted, [(Defect.DELETED, 5)]),
    (several_deleted, [(Defect.DELETED, 3)]),
    (first_deleted, [(Defect.DELETED, 1)]),
    (reordered, [(Defect.REORDERED, 5)]),
    (duplicated, [(Defect.DUPLICATED, 5)]),
    (duplicated_later, [(Defect.DUPLICATED, 5)]),
    (inserted, [(Defect.INSERTED, 5)]),
    (inserted_before, [(Defect.INSERTED, 5)]),
    (appended, [(Defect.PREVIOUS, 11)]),
    (misplaced, [(Defect.MISPLACED, 7)]),
    (foreign, [(Defect.FOREIGN, 5), (Defect.PREVIOUS, 5), (Defect.PREVIOUS, 6)]),
    (time_back, [(Defect.TIME, 5)]),
    (undecodable, [(Defect.MALFORMED, 5)]),
    (wrong_previous, [(Defect.PREVIOUS, 5)]),
    (wrong_start, [(Defect.PREVIOUS, 1)]),
]


@pytest.mark.parametrize(("tamper", "expected"), TAMPERING)
def test_what_was_done_to_a_log_is_found_and_named(
    tamper: Callable[[list[KeptRecord]], list[KeptRecord]], expected: list[tuple[Defect, int]]
) -> None:
    assert defects(tamper(chain(10))) == expected


def test_a_log_that_was_cut_off_is_found_by_a_checkpoint_and_by_the_store() -> None:
    records = chain(10)
    assert defects(records[:7]) == []  # the chain alone does not show it
    assert defects(records[:7], checkpoints=[checkpoint(records)], keys=[KEY.public_key]) == [(Defect.TRUNCATED, 10)]
    assert defects(records[:7], head=head_of(records)) == [(Defect.TRUNCATED, 10)]
    assert defects([], checkpoints=[checkpoint(records)], keys=[KEY.public_key]) == [(Defect.TRUNCATED, 10)]


def test_a_log_that_was_written_anew_is_found_by_a_checkpoint() -> None:
    records = chain(10)
    anew = chain(12, changes={3: {"subjects": {"count": 0}}})
    assert defects(anew, head=head_of(anew)) == []
    mark = checkpoint(records)
    assert defects(anew, head=head_of(anew), checkpoints=[mark], keys=[KEY.public_key]) == [(Defect.REWRITTEN, 10)]


def test_a_record_behind_the_head_of_the_store_is_found() -> None:
    records = chain(10)
    assert defects(records, head=head_of(records[:8])) == [(Defect.INSERTED, 9)]


def test_a_log_that_lost_its_last_record_for_another_is_found_by_the_store() -> None:
    records = chain(10)
    assert defects([*chain(9), *chain(10, changes={10: {"subjects": {}}})[9:]], head=head_of(records)) == [
        (Defect.REWRITTEN, 10)
    ]


# --- checkpoints -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_a_signed_statement() -> None:
    records = chain(3)
    made = Checkpoint.decode(checkpoint(records))
    assert (made.log_id, made.sequence, made.head, made.time) == (LOG, 3, records[2].hash, NOW)
    made.verify([deterministic_key("other").public_key, KEY.public_key])
    for keys in ([], [deterministic_key("other").public_key]):
        with pytest.raises(VerificationError) as error:
            made.verify(keys)
        assert error.value.code == "audit.checkpoint_signature"


def parts(mark: bytes) -> list[Any]:
    message: list[Any] = decode(mark)
    return message


def with_another_head(mark: bytes) -> bytes:
    message = parts(mark)
    payload = decode(message[2])
    payload[2] = 2
    return encode([message[0], message[1], encode(payload), message[3]])


def with_a_spoilt_signature(mark: bytes) -> bytes:
    message = parts(mark)
    return encode([*message[:3], bytes([message[3][0] ^ 1]) + message[3][1:]])


def by_another_key(_: bytes) -> bytes:
    return sign_checkpoint(deterministic_key("other"), log_id=LOG, head=head_of(chain(3)), at=NOW).encode()


def naming_another_key(mark: bytes) -> bytes:
    message = parts(mark)
    return encode([message[0], {4: bytes(32)}, *message[2:]])


def of_another_log(_: bytes) -> bytes:
    return checkpoint(chain(3, log_id=bytes(16)), log_id=bytes(16))


def of_another_kind(mark: bytes) -> bytes:
    message = parts(mark)
    return encode([message[0], message[1], encode(["mdl-sdk audit checkpoint 2", *decode(message[2])[1:]]), message[3]])


@pytest.mark.parametrize(
    ("forge", "expected"),
    [
        (with_another_head, (Defect.CHECKPOINT_SIGNATURE, 2)),
        (with_a_spoilt_signature, (Defect.CHECKPOINT_SIGNATURE, 3)),
        (by_another_key, (Defect.CHECKPOINT_SIGNATURE, 3)),
        (naming_another_key, (Defect.CHECKPOINT_SIGNATURE, 3)),
        (of_another_log, (Defect.CHECKPOINT_FOREIGN, 3)),
        (of_another_kind, (Defect.CHECKPOINT_MALFORMED, 0)),
        (lambda _: b"", (Defect.CHECKPOINT_MALFORMED, 0)),
        (lambda mark: mark[:-1], (Defect.CHECKPOINT_MALFORMED, 0)),
        (lambda _: encode([b"", {}, None, b""]), (Defect.CHECKPOINT_MALFORMED, 0)),
    ],
)
def test_a_checkpoint_that_is_none_is_found(forge: Callable[[bytes], bytes], expected: tuple[Defect, int]) -> None:
    mark = forge(checkpoint(chain(3)))
    assert defects(chain(3), checkpoints=[mark], keys=[KEY.public_key]) == [expected]


def test_a_custodian_that_signs_wrongly_makes_no_checkpoint() -> None:
    class Wrong:
        public_key: PublicKey = KEY.public_key

        def sign(self, data: bytes) -> bytes:
            return KEY.sign(data + b"!")

    with pytest.raises(SigningError) as error:
        sign_checkpoint(Wrong(), log_id=LOG, head=head_of(chain(1)), at=NOW)
    assert error.value.code == "signing.wrong_signature"


# --- records ---------------------------------------------------------------------------------------------------------


def test_a_record_survives_a_round_trip() -> None:
    record = opened(chain(2)[1])
    assert AuditRecord.decode(record.encode()) == record
    assert (record.sequence, record.event, record.subjects["count"]) == (2, Event.BATCH_ISSUED, 2)


def test_the_domains_of_the_hashes_are_apart() -> None:
    assert hash_record(LOG) != chain_start(LOG)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 2),
        (1, bytes(15)),
        (2, 0),
        (2, True),
        (3, "2026-06-01T12:00:00Z"),
        (4, "somebody"),
        (5, "something"),
        (6, {"family_name": "Sample"}),
        (6, {"count": -1}),
        (6, {"count": None}),
        (6, {"label": "a\nb"}),
        (6, {"label": "a" * 1025}),
        (6, {"kind": "k", "count": 1}),  # not in order
        (7, bytes(31)),
    ],
)
def test_a_record_has_one_form(place: int, value: Any) -> None:
    members = decode(chain(1)[0].record)
    members[place] = value
    with pytest.raises(DecodeError) as error:
        AuditRecord.decode(encode(members))
    assert error.value.code == "audit.record"


def test_a_longer_head_is_another_form() -> None:
    good = chain(1)[0].record
    assert good[:2] == b"\x88\x01"
    with pytest.raises(DecodeError):
        AuditRecord.decode(b"\x88\x18\x01" + good[2:])


@pytest.mark.parametrize("subjects", [{"family_name": "Sample"}, {"count": 1.5}, {"label": "a\x1bb"}, {"count": -1}])
def test_what_has_no_place_in_a_record_is_a_programming_mistake(subjects: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as error:
        replace(opened(chain(1)[0]), subjects=subjects).encode()
    assert "Sample" not in str(error.value)


def test_no_member_is_named_after_an_element_of_a_licence() -> None:
    assert not {"name", "birth_date", "document_number", "portrait", "family_name"} & SUBJECTS


@given(st.binary(max_size=300) | st.builds(lambda a, b: chain(1)[0].record[:a] + b, st.integers(0, 150), st.binary()))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    try:
        record = AuditRecord.decode(data)
    except DecodeError:
        return
    assert record.encode() == data


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_log_goes_through_a_file_and_stays_whole() -> None:
    records = chain(5)
    text = "".join(encode_line(one) + "\n" for one in records)
    assert [*decode_log(io.StringIO(text))] == records
    members = json.loads(text.splitlines()[2])
    assert (members["sequence"], members["event"], members["subjects"]["count"]) == (3, "batch.issued", 3)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: "",
        lambda line: "{",
        lambda line: "[]",
        lambda line: line.replace('"count": 3', '"count": 4'),
        lambda line: line.replace('"sequence": 3', '"sequence": "3"'),
        lambda line: line.replace('"sequence": 3', '"sequence": 3, "note": 1'),
        lambda line: line.replace("issuing-service", "auditor"),
        lambda line: line[:-9],
        lambda line: "[" * 100_000,
    ],
)
def test_a_line_that_tells_something_else_than_its_record_is_found(damage: Callable[[str], str]) -> None:
    lines = [encode_line(one) for one in chain(5)]
    assert damage(lines[2]) != lines[2]
    lines[2] = damage(lines[2])
    assert defects([*decode_log(lines)]) == [(Defect.MALFORMED, 3)]


def test_a_line_with_a_wrong_hash_is_found() -> None:
    lines = [encode_line(one) for one in chain(5)]
    lines[2] = lines[2].replace(chain(5)[2].hash.hex(), "00" * 32)
    assert (Defect.HASH, 3) in defects([*decode_log(lines)])


# --- the report ------------------------------------------------------------------------------------------------------


def test_the_report_lists_every_certificate_with_its_expiry(tmp_path: Path) -> None:
    authority = ThrowawayAuthority()
    with SqliteStore(tmp_path / "store.db", create=True) as store:
        signer = found(store, authority)
        with store.transaction(at=later(60), actor=Actor.SIGNER_OPERATOR) as tx:
            tx.revoke_certificate(signer.fingerprint)
        with store.reading() as reader:
            rows = report(reader.audit_records())
    root = authority.iaca_certificate
    assert [(one.role, one.not_after, one.revoked) for one in rows] == [
        ("iaca", root.not_after, None),
        ("document-signer", signer.not_after, later(60)),
    ]
    assert (rows[1].serial, rows[1].issuer) == (f"{signer.serial:x}", root.fingerprint.hex())
    table = [*csv.reader(io.StringIO(report_csv(rows)))]
    assert table[0][:4] == ["sequence", "issued", "role", "subject"]
    assert [row[-1] for row in table[1:]] == ["", "2026-06-01T12:01:00Z"]
    assert json.loads(json.dumps(rows[0].row()))["fingerprint"] == root.fingerprint.hex()


def test_a_cell_that_a_spreadsheet_would_compute_is_text() -> None:
    with_formula = {"certificate": bytes(32), "serial": "1", "role": "iaca", "issuer": bytes(32)}
    subjects = with_formula | {"subject": "=cmd|' /C calc'!A0", "not_before": 0, "not_after": 1}
    record = replace(opened(chain(1)[0]), event=Event.CERTIFICATE_ISSUED, subjects=subjects)
    assert ",'=cmd" in report_csv(report([kept(record)]))


# --- what it rests on -------------------------------------------------------------------------------------------------


def examined(records: list[KeptRecord], *marks: bytes, **options: Any) -> LogReport:
    return examine_log(records, log_id=LOG, checkpoints=marks, keys=[KEY.public_key], **options)


def test_a_log_says_up_to_where_somebody_vouches_for_it() -> None:
    records = chain(10)
    assert examined(records).vouched is None
    found = examined(records, checkpoint(records[:4]), checkpoint(records[:7]))
    assert found.findings == ()
    assert found.vouched is not None
    assert (found.vouched.sequence, found.last, found.records) == (7, 10, 10)
    assert found.vouched.key == hashlib.sha256(KEY.public_key.spki).digest()
    other = examine_log(records, log_id=LOG, checkpoints=[checkpoint(records[:7])], keys=[])
    assert other.vouched is None


def test_a_checkpoint_that_the_log_tells_of_and_that_is_missing_is_found_unless_there_is_a_later_one() -> None:
    records = chain(10, changes={4: {"event": Event.CHECKPOINT}, 8: {"event": Event.CHECKPOINT}})
    marks = checkpoint(records[:4]), checkpoint(records[:8]), checkpoint(records[:9])
    for there, missing in ((marks[:2], []), (marks[:1], [8]), ((), [8]), (marks[1:2], []), (marks[2:], [])):
        found = examined(records, *there, all_checkpoints=True)
        assert [one.sequence for one in found.findings] == missing
        assert {one.defect for one in found.findings} <= {Defect.CHECKPOINT_MISSING}
        assert examined(records, *there).findings == ()


def test_a_checkpoint_of_records_that_a_restore_lost_is_found_until_somebody_vouches_for_the_restore() -> None:
    lost = checkpoint(chain(9, changes={6: {"subjects": {"count": 77}}}))
    digest = hashlib.sha256(lost).digest()
    told = {"event": Event.CHECKPOINT_SUPERSEDED, "subjects": {"digest": digest, "sequence": 9}}
    records = chain(12, changes={7: told})
    (finding,) = examined(records, lost).findings
    assert (finding.defect, finding.sequence) == (Defect.CHECKPOINT_SUPERSEDED, 7)
    assert [one.defect for one in examined(records, lost, checkpoint(records[:6])).findings] == [finding.defect]
    found = examined(records, lost, checkpoint(records[:7]))
    assert found.findings == ()
    assert [(one.sequence, at) for one, at in found.superseded] == [(9, 7)]
    # Without such a record it is what it always was.
    assert [one.defect for one in examined(chain(12), lost).findings] == [Defect.REWRITTEN]

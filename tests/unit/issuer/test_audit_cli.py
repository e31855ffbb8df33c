"""``mdl issuer audit``: what an auditor sees, and what they are told when somebody was there before them."""

import csv
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import Actor, AuditRecord, Event, Head, chain_start, hash_record, sign_checkpoint
from issuer.store import CredentialState, SqliteStore
from mdl.cli import main
from mdl.errors import SigningError
from mdl.pki import Certificate
from mdl.testing import deterministic_key
from tests.authorities import INIT, Outcome, licence, public_key_file, require_softhsm
from tests.parts import look_again
from tests.postgres import cluster, require_postgres

pytestmark = pytest.mark.hsm
Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        look_again()
        status = main(["issuer", *map(str, words)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


def told(folder: Path, run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run("audit", "export", "--dir", folder).out.splitlines()]


def tamper(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "authority.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_everything_that_was_done_is_on_record(run: Run, authority: Path, tmp_path: Path) -> None:
    words = (
        "--device-key",
        public_key_file(tmp_path),
        "--out",
        tmp_path / "licence.cbor",
        "--replace",
        "--dir",
        authority,
    )
    assert run("issue", licence(tmp_path), *words).status == 0
    assert run("issue", licence(tmp_path), *words, "--valid-days", "456").status == 1
    serial = f"{Certificate.decode_any((authority / 'ds-1.pem').read_bytes()).serial:x}"
    assert run("crl", "--dir", authority, "--revoke", serial).status == 0
    assert run("crl", "--dir", authority, "--revoke", "123456").status == 5
    assert run("issue", licence(tmp_path), *words).status == 1
    assert run("ds", "--dir", authority, "--days", "456").status == 2
    records = told(authority, run)
    assert [one["sequence"] for one in records] == [*range(1, len(records) + 1)]
    founding = [
        *(
            "key.made",
            "key.used",
            "key.used",
            "certificate.issued",
            "signer.changed",
            "crl.signed",
            "authority.founded",
        ),
        *("key.made", "key.used", "key.used", "certificate.issued", "signer.changed"),
    ]
    since = [
        *("key.used", "batch.issued", "refusal"),
        *("certificate.revoked", "signer.changed", "key.used", "crl.signed"),
        *("refusal", "refusal", "refusal"),
    ]
    assert [one["event"] for one in records] == founding + since
    refusals = [one["subjects"]["code"] for one in records if one["event"] == Event.REFUSAL]
    assert refusals == [
        "issuance.outlives_certificate",
        "authority.serial_unknown",
        "authority.signer_revoked",
        "authority.signer_days",
    ]
    everything = json.dumps(records)
    assert not any(value in everything for value in ("Sample", "Ada", "1990", "EX-000001"))


@pytest.mark.parametrize("breaks", ["wrong pin", "clock"])
def test_a_refusal_of_the_token_or_the_clock_is_on_record(
    run: Run, authority: Path, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    if breaks == "clock":
        root = Certificate.decode_any((authority / "iaca.pem").read_bytes())
        monkeypatch.setattr("issuer.cli.certificates.now", lambda: root.not_before.replace(year=2020))
    else:
        (authority / "token" / "pin").write_text("00000000\n")
    assert run("crl", "--dir", authority).status == (5 if breaks == "clock" else 4)
    last = told(authority, run)[-1]
    assert last["event"] == "refusal"
    assert last["subjects"]["code"] in ("authority.clock", "signing.pin_incorrect")
    assert run("audit", "verify", "--dir", authority).status == 0


def test_a_whole_log_is_told_to_be_whole(run: Run, authority: Path) -> None:
    outcome = run("audit", "verify", "--dir", authority)
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith("The log is whole: 12 records\n")
    assert "NOT VOUCHED FOR  all of it: who can write the store can write that anew" in outcome.out
    result = run("audit", "verify", "--dir", authority, "--json").json
    assert result == {
        "whole": True,
        "records": 12,
        "findings": [],
        "vouched": None,
        "unvouched": 12,
        "superseded": [],
    }


def test_it_says_up_to_where_which_checkpoint_vouches_and_whose_key_that_is(run: Run, authority: Path) -> None:
    made = run("audit", "checkpoint", "--dir", authority, "--json").json
    assert run("crl", "--dir", authority).status == 0
    for words, whose in (((), "store"), (("--key", made["key_file"]), "named")):
        result = run("audit", "verify", "--dir", authority, *words, "--json").json
        assert result["whole"]
        assert result["unvouched"] == result["records"] - made["sequence"] > 0
        assert (result["vouched"]["sequence"], result["vouched"]["key_from"]) == (made["sequence"], whose)
        assert result["vouched"]["key_sha256"] == made["key_sha256"]
        said = run("audit", "verify", "--dir", authority, *words).out
        assert f"NOT VOUCHED FOR  records {made['sequence'] + 1} to {result['records']}" in said
        assert ("which the store itself names" in " ".join(said.split())) == (whose == "store")
    Path(made["file"]).unlink()
    missing = run("audit", "verify", "--dir", authority, "--json")
    assert (missing.status, [one["defect"] for one in missing.json["findings"]]) == (1, ["checkpoint.missing"])


def test_a_log_that_was_written_anew_is_not_said_to_be_whole_without_that(run: Run, authority: Path) -> None:
    """With every hash right; and with a checkpoint by a key that whoever wrote it has put in the place of the other."""
    run("audit", "checkpoint", "--dir", authority)
    own = deterministic_key("an intruder's")
    with closing(sqlite3.connect(authority / "authority.db")) as connection:
        records = [
            AuditRecord.decode(one) for (one,) in connection.execute("SELECT record FROM audit ORDER BY sequence")
        ]
        (old,) = connection.execute("SELECT public_key FROM signers WHERE role = 'audit'").fetchone()
        digests = {hashlib.sha256(old).digest(): hashlib.sha256(own.public_key.spki).digest()}
        previous, rows = chain_start(records[0].log_id), []
        for number, one in enumerate((one for one in records if one.subjects.get("purpose") != "request"), 1):
            subjects = {name: digests.get(value, value) for name, value in one.subjects.items()}
            encoded = replace(one, sequence=number, previous=previous, subjects=subjects).encode()
            previous = hash_record(encoded)
            rows.append((number, previous, encoded))
        connection.execute("DELETE FROM audit")
        connection.executemany("INSERT INTO audit (sequence, hash, record) VALUES (?, ?, ?)", rows)
        connection.execute("UPDATE store SET head_sequence = ?, head_hash = ?", (len(rows), previous))
        connection.execute("UPDATE signers SET public_key = ? WHERE role = 'audit'", (own.public_key.spki,))
        connection.commit()
    head = Head(len(rows), previous, None)
    mark = sign_checkpoint(own, log_id=records[0].log_id, head=head, at=records[-1].time)
    for file in (authority / "checkpoints").iterdir():
        file.unlink()
    (authority / "checkpoints" / f"{head.sequence:09}.cbor").write_bytes(mark.encode())
    said = run("audit", "verify", "--dir", authority)
    assert said.status == 0
    assert "which the store itself names: who can write the store can name another" in " ".join(said.out.split())
    named = run("audit", "verify", "--dir", authority, "--key", authority / "audit-1.pem", "--json")
    assert (named.status, named.json["vouched"]) == (1, None)


@pytest.mark.parametrize(
    ("statements", "defects"),
    [
        (["DELETE FROM audit WHERE sequence = 5"], ["deleted"]),
        (["DELETE FROM audit WHERE sequence > 9"], ["truncated"]),
        (["UPDATE audit SET record = x'00' WHERE sequence = 5"], ["malformed"]),
        (["UPDATE audit SET hash = zeroblob(32) WHERE sequence = 5"], ["hash"]),
        (["UPDATE audit SET record = (SELECT record FROM audit WHERE sequence = 4) WHERE sequence = 5"], None),
        (
            [
                "UPDATE audit SET sequence = 99 WHERE sequence = 5",
                "UPDATE audit SET sequence = 5 WHERE sequence = 6",
                "UPDATE audit SET sequence = 6 WHERE sequence = 99",
            ],
            ["misplaced", "reordered", "misplaced"],
        ),
        (["UPDATE store SET head_sequence = 3"], ["rewritten", "inserted"]),
    ],
)
def test_what_was_done_to_the_log_is_told(
    run: Run, authority: Path, statements: list[str], defects: list[str] | None
) -> None:
    tamper(authority, *statements)
    outcome = run("audit", "verify", "--dir", authority, "--json")
    assert outcome.status == 1
    found = [one["defect"] for one in outcome.json["findings"]]
    assert found
    assert defects is None or sorted(found) == sorted(defects)
    text = run("audit", "verify", "--dir", authority)
    assert text.status == 1
    assert "THE LOG IS NOT WHOLE" in text.out
    run("audit", "report", "--dir", authority).error(1, "audit.not_whole")


@pytest.mark.parametrize(
    ("statements", "defects"),
    [
        (["UPDATE certificates SET revoked_at = NULL"], ["store.certificate_unrevoked"]),
        (["UPDATE certificates SET revoked_at = 1 WHERE role = 'iaca'"], ["store.certificate_revoked"]),
        (["DELETE FROM crls WHERE number = 1"], ["lost"]),
        (["UPDATE crls SET der = (SELECT der FROM crls WHERE number = 1) WHERE number = 2"], ["store.crl"]),
        (["DELETE FROM credentials WHERE state = 'issued'"], ["lost"]),
        (["UPDATE credentials SET state = 'issued'"], ["store.credential_unrevoked"]),
        (["UPDATE credentials SET state = 'revoked'"], ["store.credential_revoked"]),
    ],
)
def test_a_store_that_tells_otherwise_than_its_log_is_found(
    run: Run, authority: Path, tmp_path: Path, statements: list[str], defects: list[str]
) -> None:
    words = (
        "--device-key",
        public_key_file(tmp_path),
        "--out",
        tmp_path / "licence.cbor",
        "--replace",
        "--dir",
        authority,
    )
    for _ in range(2):
        assert run("issue", licence(tmp_path), *words).status == 0
    with SqliteStore(authority / "authority.db") as store:
        with store.reading() as reader:
            reference = next(reader.credentials()).reference
        with store.transaction(at=lambda: datetime.now(UTC), actor=Actor.ISSUING_SERVICE) as tx:
            tx.revoke_credentials(reference=reference)
    serial = f"{Certificate.decode_any((authority / 'ds-1.pem').read_bytes()).serial:x}"
    assert run("crl", "--dir", authority, "--revoke", serial).status == 0
    assert run("audit", "verify", "--dir", authority).status == 0
    tamper(authority, *statements)
    outcome = run("audit", "verify", "--dir", authority, "--json")
    assert outcome.status == 1
    assert set(defects) <= {one["defect"] for one in outcome.json["findings"]}


def test_a_store_that_was_put_back_as_a_whole_is_found_by_a_checkpoint(
    run: Run, authority: Path, tmp_path: Path
) -> None:
    yesterday = (authority / "authority.db").read_bytes()
    made = run("audit", "checkpoint", "--dir", authority, "--json").json
    assert made["sequence"] == 15
    mark, key = tmp_path / "mark.cbor", tmp_path / "key.pem"
    mark.write_bytes(Path(made["file"]).read_bytes())
    key.write_bytes(Path(made["key_file"]).read_bytes())
    words = ("audit", "verify", "--dir", authority, "--checkpoint", mark, "--key", key, "--json")
    assert run(*words).json["whole"] is True
    assert run("audit", "verify", "--dir", authority).status == 0
    (authority / "authority.db").write_bytes(yesterday)
    assert [one["defect"] for one in run(*words).json["findings"]] == ["truncated"]
    # Another past, as long and chained as well, where nothing on this host tells of the first.
    assert run("crl", "--dir", authority).status == 5
    shutil.rmtree(authority / "checkpoints")
    assert run("crl", "--dir", authority).status == 0
    assert run("crl", "--dir", authority).status == 0
    assert [one["defect"] for one in run(*words).json["findings"]] == ["rewritten"]


def test_a_second_checkpoint_is_by_the_same_key_and_another_token_is_noticed(
    run: Run, authority: Path, template: Path
) -> None:
    first = run("audit", "checkpoint", "--dir", authority, "--json").json
    second = run("audit", "checkpoint", "--dir", authority, "--json").json
    assert second["key_sha256"] == first["key_sha256"]
    assert second["sequence"] > first["sequence"]
    assert len(list((authority / "checkpoints").iterdir())) == 2
    assert run("audit", "verify", "--dir", authority).status == 0
    tamper(authority, "UPDATE signers SET public_key = x'01' WHERE role = 'audit'")
    run("audit", "checkpoint", "--dir", authority).error(4, "signing.wrong_key")


@pytest.mark.parametrize(("content", "status"), [(b"", 3), (b"nothing of the kind", 1)])
def test_a_checkpoint_that_is_none_is_told(
    run: Run, authority: Path, tmp_path: Path, content: bytes, status: int
) -> None:
    mark = tmp_path / "mark.cbor"
    mark.write_bytes(content)
    assert run("audit", "verify", "--dir", authority, "--checkpoint", mark).status == status


def test_an_export_can_be_verified_and_reported_from_elsewhere(run: Run, authority: Path, tmp_path: Path) -> None:
    made = run("audit", "checkpoint", "--dir", authority, "--json").json
    out = tmp_path / "log.jsonl"
    assert run("audit", "export", "--dir", authority, "--out", out).status == 0
    words = ("--log", out, "--checkpoint", made["file"], "--key", made["key_file"], "--dir", tmp_path / "nowhere")
    said = run("audit", "verify", *words).out
    assert said.startswith("The log is whole: 15 records\n")
    assert "vouched for  up to record 15" in said
    assert "NOT VOUCHED" not in said
    assert run("audit", "report", *words).out == run("audit", "report", "--dir", authority).out
    lines = out.read_text().splitlines()
    for damaged, defect in (
        (lines[:-2], "truncated"),
        (lines[:4] + lines[5:], "deleted"),
        ([*lines[:4], lines[5], lines[4], *lines[6:]], "reordered"),
        ([*lines[:4], lines[4].replace("active", "revoked"), *lines[5:]], "malformed"),
        ([], "truncated"),
    ):
        out.write_text("".join(f"{line}\n" for line in damaged) or "\n")
        found = run("audit", "verify", *words, "--json")
        assert found.status == 1
        assert defect in [one["defect"] for one in found.json["findings"]] or not damaged


def test_the_report_is_csv_or_json(run: Run, authority: Path) -> None:
    signer = Certificate.decode_any((authority / "ds-1.pem").read_bytes())
    table = [*csv.DictReader(io.StringIO(run("audit", "report", "--dir", authority).out))]
    assert [row["role"] for row in table] == ["iaca", "document-signer"]
    assert table[1]["serial"] == f"{signer.serial:x}"
    assert table[1]["not_after"] == signer.not_after.strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = run("audit", "report", "--dir", authority, "--format", "json").json
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows] == table
    assert run("crl", "--dir", authority, "--revoke", f"{signer.serial:x}").status == 0
    assert run("audit", "report", "--dir", authority, "--json").json[1]["revoked"] is not None


def test_an_auditor_is_not_stopped_by_a_damaged_certificate(run: Run, authority: Path) -> None:
    (authority / "iaca.pem").write_bytes(b"gone")
    assert run("audit", "verify", "--dir", authority).status == 0


def test_an_authority_may_keep_its_store_in_postgresql(run: Run, tmp_path: Path) -> None:
    require_softhsm()
    require_postgres()
    folder = tmp_path / "authority"
    with cluster() as dsn:
        init = ("init", "--dir", folder, *INIT, "--store", dsn)
        with_password = dsn.replace("mdl@", "mdl:hunter2@")
        run("init", "--dir", folder, *INIT, "--store", with_password).error(2, "store.dsn_password")
        assert not folder.exists()
        assert run(*init).status == 0
        assert not (folder / "authority.db").exists()
        assert run("ds", "--dir", folder).status == 0
        words = ("--device-key", public_key_file(tmp_path), "--out", tmp_path / "licence.cbor", "--dir", folder)
        assert run("issue", licence(tmp_path), *words).status == 0
        assert run("crl", "--dir", folder, "--json").json["number"] == 2
        assert run("audit", "verify", "--dir", folder).status == 0
        # A store has one authority.
        run("init", "--dir", tmp_path / "second", *INIT, "--store", dsn).error(2, "authority.exists")
        assert not (tmp_path / "second").exists()
        assert "hunter2" not in (folder / "authority.json").read_text()
    run("crl", "--dir", folder).error(4, "store.unreachable")
    run("audit", "verify", "--dir", folder).error(4, "store.unreachable")


def test_a_password_without_a_database_is_a_mistake(run: Run, tmp_path: Path) -> None:
    run("init", "--dir", tmp_path / "a", *INIT, "--store-password-env", "X").error(2, "store.dsn")


def test_the_log_survives_a_founding_that_was_broken_off_in_the_end(run: Run, authority: Path) -> None:
    """The store says that the authority is founded, the file does not yet: a crash came between."""
    state = authority / "authority.json"
    state.write_text(state.read_text().replace('"ready": true', '"ready": false'))
    assert run("crl", "--dir", authority).status == 0
    run("init", "--dir", authority, *INIT).error(2, "authority.exists")
    assert '"ready": true' in state.read_text()
    with SqliteStore(authority / "authority.db") as store, store.reading() as reader:
        assert reader.audit_head().sequence > 12


def test_a_licence_that_could_not_be_written_is_revoked(
    run: Run, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def full(path: Path, **_how: bool) -> Iterator[Callable[[bytes], None]]:
        def commit(_content: bytes) -> None:
            raise SigningError(f"cannot write {path}", code="authority.unwritable")

        yield commit

    monkeypatch.setattr("issuer.cli.output_file", full)
    words = (
        "--device-key",
        public_key_file(tmp_path),
        "--out",
        tmp_path / "licence.cbor",
        "--replace",
        "--dir",
        authority,
    )
    run("issue", licence(tmp_path), *words).error(4, "authority.unwritable")
    with SqliteStore(authority / "authority.db") as store, store.reading() as reader:
        assert [one.state for one in reader.credentials()] == [CredentialState.REVOKED]


def test_the_reference_is_told(run: Run, authority: Path, tmp_path: Path) -> None:
    words = (
        "--device-key",
        public_key_file(tmp_path),
        "--out",
        tmp_path / "licence.cbor",
        "--replace",
        "--dir",
        authority,
    )
    reference = run("issue", licence(tmp_path), *words, "--json").json["reference"]
    with SqliteStore(authority / "authority.db") as store, store.reading() as reader:
        assert reader.credential(bytes.fromhex(reference)).state is CredentialState.ISSUED
    assert "reference" in run("issue", licence(tmp_path), *words).out

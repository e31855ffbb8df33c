"""Whatever happens at whatever moment: nothing half written, no number twice, no revocation lost."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from issuer.audit import AuditRecord, Event, verify_log
from issuer.store import CredentialState, SqliteStore
from mdl.cli import main
from mdl.mdoc import IssuerSigned
from mdl.pki import Certificate, Crl
from mdl.status import StatusReference
from tests.authorities import COMMAND, INIT, Outcome, clone, content, licence, mdl, public_key_file
from tests.flows.crashing import crash_at
from tests.parts import look_again

pytestmark = pytest.mark.slow
ISSUING = Path(__file__).with_name("issuing.py")


@pytest.fixture
def own(authority: Path, tmp_path: Path) -> Path:
    return clone(authority, tmp_path / "authority")


def steps(folder: Path, *words: str | Path) -> Iterator[None]:
    """Let a command die at every one of its steps, one after the other, in copies of the folder's first state."""
    kept = folder.with_name("kept")
    if folder.exists():
        shutil.copytree(folder, kept)
    for step in count(1):
        if folder.exists():
            shutil.rmtree(folder)
        if kept.exists():
            shutil.copytree(kept, folder)
        died = crash_at(step, *words)
        yield
        if not died:
            assert step > 3, "where are the steps?"
            return


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command in this process, which is quicker."""

    def run(*words: str | Path) -> Outcome:
        look_again()  # the token's files were exchanged behind its back
        capsys.readouterr()
        status = main([*map(str, words)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


def published(folder: Path) -> dict[int, bytes]:
    """Every CRL that the store has, by the number inside; the files tell the same, or are still missing."""
    root = Certificate.decode_any((folder / "iaca.pem").read_bytes())
    with SqliteStore(folder / "authority.db") as store, store.reading() as reader:
        kept = reader.crls(root.fingerprint)
    found = {}
    for one in kept:
        crl = Crl.decode(one.der)
        crl.verify_signature(root.public_key)
        assert crl.number == one.number
        found[one.number] = one.der
    files = {int(file.stem): file.read_bytes() for file in (folder / "crl").glob("*.crl")}
    assert files.items() <= found.items()
    assert found.keys() - files.keys() <= {max(found)}
    return found


def audited(folder: Path) -> bool:
    """The log is whole, and tells of every CRL, certificate and batch that there is."""
    with SqliteStore(folder / "authority.db") as store, store.reading() as reader:
        records = [*reader.audit_records()]
        assert verify_log(records, log_id=reader.log_id, head=reader.audit_head()) == []
        told = Counter(AuditRecord.decode(one.record).event for one in records)
        issued = {one.batch for one in reader.credentials() if one.state is CredentialState.ISSUED}
        return (told[Event.CERTIFICATE_ISSUED], told[Event.BATCH_ISSUED]) == (len(reader.certificates()), len(issued))


def no_rubbish(folder: Path) -> bool:
    return not [path for path in folder.rglob(".*.tmp") if "tokens" not in path.parts]


def test_a_crl_is_published_or_not(own: Path, run: Callable[..., Outcome]) -> None:
    serial = f"{Certificate.decode_any((own / 'ds-1.pem').read_bytes()).serial:x}"
    before = published(own)
    for _ in steps(own, "issuer", "crl", "--dir", own, "--revoke", serial):
        left = published(own)
        assert before.items() <= left.items()
        assert (own / "iaca.crl").read_bytes() in left.values()
        outcome = run("issuer", "crl", "--dir", own, "--json")
        assert outcome.status == 0, outcome.err
        after = published(own)
        assert left.items() <= after.items(), "a CRL was replaced by another of the same number"
        assert outcome.json["number"] > max(left)
        assert {int(file.stem) for file in (own / "crl").glob("*.crl")} == after.keys()
        # What was on a signed list stays on the next; what was recorded and not yet on one comes.
        assert set(Crl.decode(left[max(left)]).revoked) <= set(Crl.decode(after[max(after)]).revoked)
        assert audited(own)


def test_a_document_signer_is_made_or_not(own: Path, tmp_path: Path, run: Callable[..., Outcome]) -> None:
    record, key = licence(tmp_path), public_key_file(tmp_path)
    for _ in steps(own, "issuer", "ds", "--dir", own):
        left = {path.name: path.read_bytes() for path in own.glob("ds-*")}
        for name, was in left.items():
            if name.endswith(".pem"):
                Certificate.decode_any(was)
        words = ("--device-key", key, "--out", tmp_path / "licence.cbor", "--replace", "--dir", own)
        assert run("issuer", "issue", record, *words).status == 0
        outcome = run("issuer", "ds", "--dir", own, "--json")
        assert outcome.status == 0, outcome.err
        assert all((own / name).read_bytes() == was for name, was in left.items())
        serials = [Certificate.decode_any(path.read_bytes()).serial for path in own.glob("ds-*.pem")]
        assert len(serials) == len(set(serials))
        assert audited(own)


def test_a_licence_is_issued_or_not(own: Path, tmp_path: Path) -> None:
    record, key, out = licence(tmp_path), public_key_file(tmp_path), tmp_path / "licence.cbor"
    words = ("issuer", "issue", record, "--device-key", key, "--out", out, "--replace", "--dir", own)
    step, died, handed_out = 0, True, 0
    while died:
        step += 1
        out.write_bytes(b"yesterday's")
        died = crash_at(step, *words)
        with SqliteStore(own / "authority.db") as store, store.reading() as reader:
            recorded = [one.state for one in reader.credentials()].count(CredentialState.ISSUED)
        if out.read_bytes() != b"yesterday's":
            IssuerSigned.decode(out.read_bytes())
            handed_out += 1
        assert recorded >= handed_out
        assert audited(own)
    assert step == 4  # reserved, recorded, put in place
    assert out.read_bytes() != b"yesterday's"


def test_a_founding_that_died_can_be_done_again(tmp_path: Path, run: Callable[..., Outcome]) -> None:
    folder = tmp_path / "authority"
    words = ("issuer", "init", "--dir", folder, *INIT)
    for _ in steps(folder, *words):
        outcome = run(*words)
        if outcome.status != 0:
            # Only where it had just been finished.
            outcome.error(2, "authority.exists")
        assert no_rubbish(folder)
        assert run("issuer", "crl", "--dir", folder, "--json").json["number"] == 2
        assert audited(folder)


def test_killed_again_and_again(own: Path) -> None:
    """kill -9 at random moments: what was seen once never changes, and the numbers only grow."""
    moments = random.Random(20260601)
    seen = published(own)
    killed = 0
    for _ in range(20):
        with subprocess.Popen([COMMAND, "issuer", "crl", "--dir", str(own)], stdout=subprocess.DEVNULL) as process:
            time.sleep(moments.uniform(0.25, 0.6))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        now = published(own)
        assert seen.items() <= now.items()
        seen = now
    assert killed > 3
    assert mdl("issuer", "crl", "--dir", own, "--json").json["number"] > max(seen)
    assert audited(own)


def test_killed_while_issuing_every_licence_that_is_out_is_on_record(own: Path, tmp_path: Path) -> None:
    """kill -9 at random moments of issuing and revoking: what came out is known, and nothing is there twice."""
    moments = random.Random(20260602)
    folder, killed = tmp_path / "out", 0
    folder.mkdir()
    with SqliteStore(own / "authority.db") as store, store.reading() as reader:
        first = len([*reader.credentials()])
    for _ in range(8):
        words = [sys.executable, str(ISSUING), str(own), str(folder), str(licence(tmp_path))]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.02, 0.4))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
    assert killed > 3
    out = {file.stem: IssuerSigned.decode(file.read_bytes()) for file in folder.glob("*.cbor")}
    assert len(out) > 8
    with SqliteStore(own / "authority.db") as store, store.reading() as reader:
        known = {one.reference.hex(): one for one in reader.credentials()}
        places = [(one.place.list_id, one.place.index) for one in known.values() if one.place]
        assert len(known) > first
        assert len(set(places)) == len(places)
        revoked = {list_id: set(reader.revoked_indices(list_id)) for list_id, _ in places}
    for reference, issued in out.items():
        record = known[reference]
        assert record.place is not None
        status = issued.security_object().status
        assert status is not None
        assert StatusReference.decode(status) == record.place.reference()
        assert record.state in (CredentialState.ISSUED, CredentialState.REVOKED)
        assert (record.place.index in revoked[record.place.list_id]) == (record.state is CredentialState.REVOKED)
    assert CredentialState.REVOKED in {one.state for one in known.values()}
    with SqliteStore(own / "authority.db") as store, store.reading() as reader:
        assert verify_log(reader.audit_records(), log_id=reader.log_id, head=reader.audit_head()) == []


def test_several_processes_take_turns(own: Path, tmp_path: Path) -> None:
    record, key = licence(tmp_path), public_key_file(tmp_path)

    def issue(number: int) -> int:
        words = ("--device-key", key, "--out", tmp_path / f"{number}.cbor", "--dir", own)
        return mdl("issuer", "issue", record, *words).status

    def publish(_number: int) -> int:
        outcome = mdl("issuer", "crl", "--dir", own, "--json")
        assert outcome.status == 0, outcome.err
        return int(outcome.json["number"])

    def certify(_number: int) -> str:
        outcome = mdl("issuer", "ds", "--dir", own, "--json")
        assert outcome.status == 0, outcome.err
        return str(outcome.json["key"])

    first = max(published(own))
    signers = len([*own.glob("ds-*.pem")])
    with ThreadPoolExecutor(6) as pool:
        numbers, names = pool.map(publish, range(6)), pool.map(certify, range(3))
        statuses = pool.map(issue, range(4))
        assert sorted(numbers) == [first + 1 + index for index in range(6)]
        assert sorted(names) == [f"ds-{signers + 1 + index}" for index in range(3)]
        assert [*statuses] == [0] * 4
    assert len(published(own)) == first + 6
    assert audited(own)
    assert len({IssuerSigned.decode((tmp_path / f"{n}.cbor").read_bytes()).issuer_auth.payload for n in range(4)}) == 4


@pytest.mark.parametrize("verb", ["init", "ds", "crl", "issue"])
def test_a_full_disk_leaves_everything_as_it_was(own: Path, tmp_path: Path, verb: str) -> None:
    """No file may grow: what a full disk looks like to a program."""
    folder = tmp_path / "new" if verb == "init" else own
    words = {
        "init": INIT,
        "issue": (
            *(licence(tmp_path), "--device-key", public_key_file(tmp_path)),
            *("--out", tmp_path / "licence.cbor"),
        ),
    }.get(verb, ())
    before = content(tmp_path)
    script = 'ulimit -f 0; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", COMMAND, "issuer", verb, *map(str, words), "--dir", str(folder)],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 4, (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1
    assert "nothing was issued" in done.stderr or "signing." in done.stderr
    assert content(tmp_path) == before
    assert audited(own)
    if verb != "init":
        assert mdl("issuer", "crl", "--dir", own).status == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere: read-only folders are no obstacle")
@pytest.mark.parametrize("verb", ["ds", "crl"])
def test_a_read_only_folder_is_told(own: Path, verb: str) -> None:
    own.chmod(0o500)
    try:
        mdl("issuer", verb, "--dir", own).error(4, "authority.unwritable")
    finally:
        own.chmod(0o700)

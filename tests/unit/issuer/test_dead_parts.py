"""One dead part: a root whose key is lost keeps nothing else from being done, and nothing looks fine that is not."""

import json
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from issuer.certifying import Certifying
from mdl.cli import main
from mdl.errors import SigningError
from mdl.pki import Certificate
from tests.parts import look_again

pytestmark = pytest.mark.hsm
Run = Callable[..., Any]


@pytest.fixture
def run(authority: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str, status: int = 0) -> Any:
        look_again()  # the token's files are copies
        capsys.readouterr()
        ended = main(["issuer", *words, "--dir", str(authority), "--json"])
        said = capsys.readouterr()
        assert ended == status, (words, said.err)
        return json.loads(said.out)

    return run


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first root's key is in the token no more."""
    real = Certifying._open_root

    @contextmanager
    def open_root(self: Certifying, custody: Any, root: Any) -> Iterator[Any]:
        if root.key == "iaca":
            raise SigningError("the token has no private key with the label 'iaca'", code="signing.key_missing")
        with real(self, custody, root) as ca:
            yield ca

    monkeypatch.setattr(Certifying, "_open_root", open_root)


def serial(authority: Path, name: str) -> str:
    return f"{Certificate.decode_any((authority / name).read_bytes()).serial:x}"


def test_a_lost_root_key_is_told_root_by_root_and_can_be_given_up(
    authority: Path, tmp_path: Path, run: Run, request: pytest.FixtureRequest
) -> None:
    run("publish", str(tmp_path / "www"))
    first = serial(authority, "iaca.pem")
    assert run("give-up-root", first, "--reason", "lost", status=5)["error"]["code"] == "authority.last_root"
    run("rekey")
    run("ds")
    request.getfixturevalue("dead")
    made = run("crl", status=6)
    assert made["number"] == 2
    assert [(one["serial"], one["code"]) for one in made["failures"]] == [(first, "signing.key_missing")]
    # A revocation is on record whichever key is there to sign it; until it is signed nothing is in order.
    signer = serial(authority, "ds-1.pem")
    assert run("crl", "--revoke", signer, status=6)["revoked"] == []
    states = {item["name"]: item["state"] for item in run("status", status=1)["items"] if item["kind"] == "crl"}
    assert states == {"iaca": "unsigned", "iaca-2": "good"}
    run("publish", status=4)
    told = run("give-up-root", first, "--reason", "compromised")
    assert [line.split(":")[0] for line in told["tell"]] == [
        "everybody at once",
        "readers",
        "providers of VICALs that list it",
        "holders",
    ]
    assert run("give-up-root", first, "--reason", "lost", status=5)["error"]["code"] == "store.final"
    assert run("give-up-root", "1234", "--reason", "lost", status=5)["error"]["code"] == "authority.serial_unknown"
    run("publish")
    current = tmp_path / "www/current"
    assert (current / "iaca.crl").exists()  # the last one stays
    assert not (current / "roots/iaca.der").exists()
    assert run("crl")["failures"] == []
    assert {one["state"] for one in run("status", status=1)["items"] if one["name"] == "iaca"} == {"unsigned"}
    assert run("audit", "verify")["whole"]


@pytest.mark.parametrize("log", ["folded in", "beside it"])
def test_reading_needs_no_writing(authority: Path, tmp_path: Path, run: Run, log: str) -> None:
    """On a copy that belongs to somebody else, as a forensic one: whether or not the store's own log is beside it."""
    run("publish", str(tmp_path / "www"))
    run("crl")
    copy = tmp_path / "copy"
    if log == "beside it":
        with closing(sqlite3.connect(authority / "authority.db")) as held:
            held.execute("SELECT count(*) FROM audit").fetchall()  # nobody folds the log in meanwhile
            run("crl")
            assert (authority / "authority.db-wal").stat().st_size > 0
            shutil.copytree(authority, copy, ignore=shutil.ignore_patterns("token", "*-shm"))
    else:
        shutil.copytree(authority, copy, ignore=shutil.ignore_patterns("token", "*-shm", "*-wal"))
    for file in (copy, *copy.rglob("*")):
        file.chmod(0o555 if file.is_dir() else 0o444)
    before = {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()}
    number = len(run("audit", "report"))
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.is_relative_to(tempfile.gettempdir()) or folder.stat().st_mode & stat.S_ISVTX:
            break
        folder.chmod(0o755)
    child = os.fork()
    if not child:
        status = 99
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            os.environ.pop("TMPDIR", None)
            tempfile.tempdir = None
            verbs = (["status"], ["plan"], ["audit", "verify"], ["audit", "report"], ["lists"], ["watch", "--folder"])
            ended = [main(["issuer", *verb, "--dir", str(copy), "--json"]) for verb in verbs]
            refused = main(["issuer", "crl", "--dir", str(copy)])
            status = 0 if ended == [0] * len(verbs) and refused in (3, 4) else 1
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {file: file.read_bytes() for file in copy.rglob("*") if file.is_file()} == before
    assert number == 2

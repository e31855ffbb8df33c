"""Authorities for the tests: founded in a real SoftHSM token, copied where a test wants one of its own."""

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mdl.keys import PublicKey, SoftwareSigner
from mdl.testing import deterministic_key, sample_image
from tests import forked
from tests.hsm.tokens import missing_part
from tests.parts import lacks, look_again

COMMAND = str(Path(sys.executable).with_name("mdl"))
URL = "https://mdl.example/iaca.crl"
INIT = (
    *("--country", "XU", "--state", "XU-EX", "--organization", "Utopia Motor Vehicles"),
    *("--crl-url", URL, "--contact-uri", "https://mdl.example"),
)


def require_softhsm() -> None:
    """Skip loudly where SoftHSM is missing; in CI that is a failure."""
    missing = missing_part()
    if missing is not None:
        lacks("HSM", missing)


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def error(self, status: int, code: str) -> str:
        """Hold it against an expected error: one line, no traceback; gives the line."""
        assert (self.status, f"[{code}]" in self.err) == (status, True), (self.status, self.err)
        assert self.err.count("\n") == 1
        assert self.err.startswith("mdl: ")
        assert self.out == ""
        return self.err


def mdl(*words: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Outcome:
    """Run the command in a process of its own."""
    done = forked.run("mdl.cli:main", [*map(str, words)], cwd=cwd, env=env)
    return Outcome(done.returncode, done.stdout, done.stderr)


def clone(template: Path, folder: Path) -> Path:
    """A copy of an authority and of its SoftHSM token at another place: what nobody should do with a real one."""
    shutil.copytree(template, folder)
    file = folder / "token" / "softhsm2.conf"
    file.write_text(file.read_text().replace(str(template), str(folder)))
    look_again()  # the copy's token has the name and the number of the original's
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """What lies in a folder; the inside of a SoftHSM token is SoftHSM's own affair.

    Of an authority's store it is what it holds, but for the audit log: that tells of refusals too.
    """
    return {
        str(path.relative_to(folder)): _substance(path) if path.name == "authority.db" else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "tokens" not in path.parts and path.name not in ("authority.db-wal", "authority.db-shm")
    }


def _substance(store: Path) -> bytes:
    with closing(sqlite3.connect(store)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    del tables["audit"]
    tables["store"] = [row[:2] for row in tables["store"]]  # without the log's head
    return repr(sorted(tables.items())).encode()


def device_key(name: str = "device", curve: str = "P-256") -> SoftwareSigner:
    return deterministic_key(name, curve)


def licence(folder: Path, **changes: Any) -> Path:
    """A licence record in a folder, with its portrait; a change to None takes an element away."""
    today = datetime.now(UTC).date()
    (folder / "portrait.jpg").write_bytes(sample_image(600))
    record = {
        "family_name": "Sample",
        "given_name": "Ada",
        "birth_date": "1990-12-10",
        "issue_date": (today - timedelta(days=10)).isoformat(),
        "expiry_date": (today + timedelta(days=1500)).isoformat(),
        "issuing_country": "XU",
        "issuing_authority": "Utopia Motor Vehicles",
        "issuing_jurisdiction": "XU-EX",
        "document_number": "EX-000001",
        "portrait": "portrait.jpg",
        "driving_privileges": [{"vehicle_category_code": "B"}],
        "un_distinguishing_sign": "XU",
        "age_over_21": True,
    } | changes
    file = folder / "record.json"
    file.write_text(json.dumps({name: value for name, value in record.items() if value is not None}))
    return file


def public_key_file(folder: Path, key: PublicKey | None = None) -> Path:
    file = folder / "device.pem"
    file.write_bytes((key or device_key().public_key).pem)
    return file

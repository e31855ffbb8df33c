"""A PostgreSQL of the test run's own: a cluster in a temporary folder, on a free port of the loopback interface."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.parts import lacks

_PLACES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
_USER = "mdl"


def _programs() -> Path | None:
    """Where initdb and pg_ctl are; Debian keeps them off the PATH."""
    places = [Path(found) for pattern in _PLACES for found in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True)]
    on_path = shutil.which("initdb")
    if on_path is not None:
        places.insert(0, Path(on_path).resolve().parent)
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


def missing_part() -> str | None:
    """What the tests with PostgreSQL lack, or None."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (pip install 'mdl-sdk[postgres]')"
    if _programs() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


def require_postgres() -> None:
    """Skip loudly where PostgreSQL is missing; in CI that is a failure."""
    missing = missing_part()
    if missing is not None:
        lacks("PostgreSQL", missing)


@contextmanager
def cluster() -> Iterator[str]:
    """Start a server with an empty cluster; gives the DSN of its first database."""
    programs = _programs()
    assert programs is not None
    # Not pytest's folder: the user postgres could not look into that.
    folder = Path(tempfile.mkdtemp(prefix="mdl-postgres-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)

    def run(program: str, *words: str) -> None:
        done = subprocess.run(
            [str(programs / program), *words],
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=(folder / "said").open("wb") if user is None else subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        assert done.returncode == 0, f"{program} failed"

    data = str(folder / "data")
    run("initdb", "--pgdata", data, "--auth", "trust", "--username", _USER, "--encoding", "UTF8", "--no-sync")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c max_connections=20 -c fsync=off"
    )
    run("pg_ctl", "--pgdata", data, "--log", str(folder / "log"), "--wait", "--options", options, "start")
    try:
        yield f"postgresql://{_USER}@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "--pgdata", data, "--mode", "immediate", "--wait", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def new_schema(dsn: str, name: str) -> str:
    """Make an empty schema in the database of that DSN; gives a DSN for which there is nothing else."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    return f"{dsn}?options=-csearch_path%3D{name}"

"""Commands in processes of their own, forked off one process that has imported everything.

A fresh interpreter takes most of a second to import us, and the stories start hundreds. The server imports and forks,
and does nothing else: no thread runs in it, no PKCS#11 module was loaded, no file is open. So a command meets what it
meets in a fresh interpreter, but for what Python itself reads when it starts (its options and variables, the locale).
"""

import atexit
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

_ROOT = Path(__file__).resolve().parents[1]
_IMPORTED = (
    *("mdl.cli.demo", "mdl.cli.inspection", "mdl.cli.lint", "issuer.cli", "issuer.authority", "issuer.certifying"),
    *("issuer.ceremony", "issuer.hsm", "issuer.issuance", "issuer.publishing", "issuer.restoring", "issuer.watching"),
    *("reader.cli", "reader.verification", "pkcs11", "sqlite3", "tests.flows.crashing"),
)


def run(
    program: str,
    words: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 100,
) -> subprocess.CompletedProcess[str]:
    """Call a function that takes words and gives an exit status in a process of its own.

    Args:
        program: The function's module and name, with a colon between them.
        words: What it takes.
        cwd: The working folder of the process; this one's without it.
        env: What to put into its environment beside what is in this process's.
        timeout: Seconds until it is killed.

    Raises:
        subprocess.TimeoutExpired: It was killed.
    """
    asked = {"program": program, "words": [*words], "cwd": str(cwd or Path.cwd()), "env": {**os.environ, **(env or {})}}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(_server())
        body = json.dumps(asked).encode()
        socket.send_fds(connection, [len(body).to_bytes(4, "big")], [out.fileno(), err.fileno()])
        connection.sendall(body)
        with connection.makefile("rb") as answers:
            pid = int(answers.readline())
            connection.settimeout(timeout)
            try:
                status = int(answers.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired([program, *words], timeout) from None
        return subprocess.CompletedProcess([program, *words], status, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _server() -> str:
    """Start the server, once in this process; gives its address."""
    folder = tempfile.mkdtemp(prefix="mdl-")
    address = f"{folder}/commands"
    program = f"import sys; sys.path[0] = {str(_ROOT)!r}; from tests import forked; forked.serve()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, address],
        cwd="/",
        stdin=subprocess.PIPE,  # at whose end the server ends
        stdout=subprocess.DEVNULL,
    )
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(process.communicate)
    deadline = time.monotonic() + 60
    while not Path(address).exists():
        assert process.poll() is None, "the server of commands has ended"
        assert time.monotonic() < deadline, "the server of commands does not start"
        time.sleep(0.02)
    return address


def serve() -> None:
    """Fork a process for each who connects, until the standard input ends."""
    for name in _IMPORTED:
        importlib.import_module(name)
    address = sys.argv[1]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen(100)
        Path(f"{address}.new").rename(address)
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            ready, _, _ = select.select([0, listener.fileno()], [], [])
            if 0 in ready:
                return
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _keep(connection)


def _keep(connection: socket.socket) -> None:
    """Fork the process that was asked for, and tell its number and how it ended."""
    head, files, _, _ = socket.recv_fds(connection, 4, 2)
    with connection.makefile("rb") as asking:
        asked = json.loads(asking.read(int.from_bytes(head, "big")))
    child = os.fork()
    if child:
        connection.sendall(b"%d\n" % child)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with suppress(BrokenPipeError):  # who asked has given up
            connection.sendall(b"%d\n" % status)
        os._exit(0)
    connection.close()
    for stream, number in zip(files, (1, 2), strict=True):
        os.dup2(stream, number)
        os.close(stream)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    sys.argv = [str(Path(sys.executable).with_name("mdl")), *asked["words"]]
    module, _, function = asked["program"].partition(":")
    sys.exit(getattr(importlib.import_module(module), function)(asked["words"]))

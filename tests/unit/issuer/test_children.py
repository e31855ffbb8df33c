"""What the processes that are started get: a short list of environment variables, and no secret."""

import ast
import os
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from issuer import children, keystore
from issuer.children import Child, child_environment, run_command
from issuer.keystore import SigningProcesses, register_signer
from issuer.notifying import notify_command
from mdl.errors import SigningError

ROOT = Path(__file__).resolve().parents[3]
SECRETS = (
    "TOKEN_PIN",
    "MDL_STORE_PASSWORD",
    "PGPASSWORD",
    "GITHUB_TOKEN",
    "PYTHONSTARTUP",
    "LD_PRELOAD",
    "https_proxy",
)


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "1234")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("SOFTHSM2_CONF", "/a/place")


def names_of(environment: bytes) -> set[str]:
    return {one.partition(b"=")[0].decode() for one in environment.split(b"\0") if one}


def test_a_command_gets_the_short_list_and_nothing_else(tmp_path: Path) -> None:
    hook = tmp_path / "hook.sh"
    hook.write_text("#!/bin/sh\ncat /proc/$$/environ > seen\ncat > notice\n")
    hook.chmod(0o700)
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        notify_command(["./hook.sh"], {"alarms": 1})
    finally:
        os.chdir(before)
    got = names_of((tmp_path / "seen").read_bytes())
    assert got <= {*child_environment()}
    assert {"PATH", "LANG"} <= got
    assert not got & {*SECRETS, "SOFTHSM2_CONF"}
    assert (tmp_path / "notice").read_bytes() == b'{"alarms": 1}'


def test_a_command_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run_command(["sleep", "60"], b"", timeout=0.2)
    assert time.monotonic() - began < 20
    assert run_command(["false"], b"", timeout=20) == 1


def tell_environment(connection: Connection, word: str) -> None:
    connection.send((word, {**os.environ}))
    connection.recv()


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child(tell_environment, ("hello",), more=("SOFTHSM2_CONF", "NOT_SET"))
    yield child
    child.connection.close()
    child.kill()
    child.join()


def test_a_python_process_gets_the_same_and_what_is_named(child: Child) -> None:
    assert child.connection.poll(60)
    word, environment = child.connection.recv()
    assert word == "hello"
    # What Python itself sets for its locale may be there too.
    assert {*environment} - {"LC_CTYPE"} <= {*child_environment(), "SOFTHSM2_CONF"}
    assert environment["SOFTHSM2_CONF"] == "/a/place"
    first = Path(f"/proc/{child.pid}/environ").read_bytes()
    assert names_of(first) == {*child_environment(), "SOFTHSM2_CONF"}
    assert child.is_alive()
    child.connection.close()  # its end of the pipe ends, and so does it
    child.join(60)
    assert not child.is_alive()


def test_what_cannot_be_handed_over_is_refused() -> None:
    with pytest.raises(SigningError, match=r"signing\.worker_failed"):
        Child(lambda _: None, ())


class FromHere:
    """A custodian of a module that a signing process imports."""

    def __init__(self, uri: str, secret: keystore.SecretHandler) -> None:
        self.inner = keystore.open_signer(uri.replace("elsewhere:", "file:"), secret=secret)

    def __enter__(self) -> object:
        return self.inner.__enter__()

    def __exit__(self, *exc: object) -> None:
        self.inner.__exit__(None, None, None)


def test_signing_processes_have_no_secret_in_their_environment_and_know_registered_schemes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystore, "_factories", dict(keystore._factories))
    monkeypatch.setenv("VENDOR_CONF", "/a/vendor")
    register_signer("elsewhere", FromHere)  # type: ignore[arg-type]
    keystore.generate_key(f"file:{tmp_path}/key.pem", "P-256", secret=lambda _: "a password of its own")
    uri = f"elsewhere:{tmp_path}/key.pem"
    with SigningProcesses(uri, secret=lambda _: "a password of its own", processes=1, variables=["VENDOR_CONF"]) as one:
        (worker,) = [*one._places.queue]
        assert worker is not None
        got = names_of(Path(f"/proc/{worker._process.pid}/environ").read_bytes())
        one.public_key.verify(one.sign(b"message"), b"message")
    assert got == {*child_environment((*children.KEY_STORE_VARIABLES, "VENDOR_CONF"))}
    assert {"SOFTHSM2_CONF", "VENDOR_CONF"} <= got
    assert not got & {*SECRETS}
    monkeypatch.setattr(FromHere, "__module__", "__main__")
    with pytest.raises(SigningError, match="main module"):
        SigningProcesses(uri, secret=lambda _: "", processes=1)


STARTERS = {
    "subprocess", "multiprocessing", "concurrent.futures.process", "pty", "_posixsubprocess", "asyncio.subprocess",
}  # fmt: skip
CALLS = {
    "system", "popen", "fork", "forkpty", "posix_spawn", "posix_spawnp", "startfile", "ProcessPoolExecutor",
    "create_subprocess_exec", "create_subprocess_shell",
    *(f"exec{how}" for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
}  # fmt: skip


def starts_of(tree: ast.AST) -> Iterator[str]:
    """Names by which a module could start a process."""
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            yield from (alias.name for alias in node.names if alias.name in CALLS)
        yield from (one for one in modules if one in STARTERS)
        if isinstance(node, ast.Attribute) and (node.attr in CALLS or node.attr.startswith("spawn")):
            yield node.attr


def test_nothing_else_in_the_product_starts_a_process() -> None:
    found = {}
    for package in ("mdl", "issuer", "reader"):
        for file in sorted((ROOT / package).rglob("*.py")):
            starts = {*starts_of(ast.parse(file.read_text("utf-8")))}
            if starts:
                found[str(file.relative_to(ROOT))] = starts
    assert found.keys() == {"issuer/children.py"}, found


@pytest.mark.parametrize(
    "text",
    [
        "import subprocess",
        "from subprocess import run",
        "import multiprocessing",
        "from concurrent.futures import ProcessPoolExecutor",
        "import os\nos.system('x')",
        "import os\nos.execv('x', [])",
        "from os import fork",
        "x.get_context('spawn').spawn()",
        "import asyncio\nasyncio.create_subprocess_exec('x')",
        "import concurrent.futures as f\nf.ProcessPoolExecutor()",
    ],
)
def test_the_search_finds_what_starts_a_process(text: str) -> None:
    assert [*starts_of(ast.parse(text))]

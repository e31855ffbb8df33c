"""Parts that a machine may lack: their tests skip loudly on a developer's machine, and fail in CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

IS_CI = os.environ.get("CI", "").lower() in ("true", "1")


def lacks(what: str, part: str) -> None:
    """Skip since a part is missing; in CI that is a failure.

    Args:
        what: Which tests do not run.
        part: What is missing, and how to get it.
    """
    if IS_CI:
        pytest.fail(f"in CI every {what} test runs: {part}")
    pytest.skip(f"NO {what.upper()} TEST RAN: {part}")


def openssl(*words: str | Path, refuses: bool = False) -> str:
    """What openssl says, on whatever stream.

    Args:
        words: Its arguments.
        refuses: Whether it has to end with a failure.
    """
    if shutil.which("openssl") is None:
        lacks("openssl", "the openssl command is not installed")
    done = subprocess.run(["openssl", *map(str, words)], check=False, capture_output=True, text=True, timeout=60)
    said = done.stdout + done.stderr
    assert (done.returncode != 0) is refuses, said
    return said


def look_again() -> None:
    """Let each PKCS#11 module of this process start afresh when it is next used.

    A module sees the tokens that were there when it started. A test whose tokens are its own, or copies, or exchanged
    under way, would otherwise be shown those of another.
    """
    hsm = sys.modules.get("issuer.hsm")
    if hsm is not None:
        for module in hsm._modules.values():
            module.ready = False

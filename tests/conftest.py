"""What all tests share: the depth of the property tests, their order, byte code, a PKCS#11 module that looks afresh.

``MDL_HYPOTHESIS_PROFILE=deep`` searches for minutes instead of seconds. ``MDL_TEST_ORDER=7`` shuffles the modules, and
the tests in each, the same way whenever the number is the same.
"""

import os
import random
import sys
import tempfile

import pytest
from hypothesis import HealthCheck, settings

from tests.parts import look_again

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
settings.register_profile("moderate", max_examples=100, deadline=None, suppress_health_check=_SLOW)
settings.register_profile("deep", max_examples=5_000, deadline=None, suppress_health_check=_SLOW, print_blob=True)
settings.load_profile(os.environ.get("MDL_HYPOTHESIS_PROFILE") or "moderate")

# The stories start hundreds of processes. Without byte code each compiles all our modules anew, which takes longer than
# what most of them do.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _use_memory(place: str = "/dev/shm", wanted: int = 4 << 30) -> None:
    """Keep temporary files in memory where there is enough, unless TMPDIR says where they belong.

    A store waits for the disk at each commit, and the stories commit tens of thousands of times; what they kill are
    processes, not the machine.
    """
    if "TMPDIR" in os.environ or not os.access(place, os.W_OK | os.X_OK):
        return
    found = os.statvfs(place)
    if found.f_bavail * found.f_frsize >= wanted and not found.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = place
        tempfile.tempdir = None  # it is looked up again


_use_memory()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    seed = os.environ.get("MDL_TEST_ORDER")
    if seed:
        order = random.Random(seed)
        rank = {path: order.random() for path in sorted({item.path for item in items})}
        order.shuffle(items)
        items.sort(key=lambda item: rank[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let none of a test's fixtures find in the PKCS#11 module what another test left there."""
    look_again()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Let no test find there what one of its fixtures left."""
    look_again()

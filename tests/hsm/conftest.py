"""A real SoftHSM token for the tests in this folder, and a way to run what may crash the interpreter."""

import multiprocessing
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from issuer import keystore
from tests.hsm.tokens import Token, make_token, missing_part
from tests.parts import IS_CI


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    missing = missing_part()
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.hsm)
            if missing is not None and not IS_CI:
                item.add_marker(pytest.mark.skip(reason=f"NO HSM TEST RAN: {missing}"))


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder in which SoftHSM looks for tokens during these tests."""
    missing = missing_part()
    if missing is not None:
        pytest.fail(f"in CI every HSM test runs: {missing}")
    folder = tmp_path_factory.mktemp("softhsm")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keystore.softhsm_environment(folder).items():
            patch.setenv(name, value)
        yield folder


@pytest.fixture(scope="session")
def token(softhsm: Path) -> Token:
    return make_token(softhsm, "tests")


@pytest.fixture
def fresh_token(softhsm: Path, request: pytest.FixtureRequest) -> Token:
    """A token of this test's own."""
    return make_token(softhsm, f"{request.node.name[:20]}-{secrets.token_hex(4)}")


@pytest.fixture
def child() -> Callable[..., Any]:
    """Runs a function in a process of its own: what crashes there is a failed test here."""

    def run(function: Callable[..., Any], *arguments: Any) -> Any:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                return pool.submit(function, *arguments).result(timeout=100)
            except BrokenProcessPool:
                pytest.fail(f"the interpreter crashed in {function.__name__}")

    return run

"""What the stories share: an authority whose keys lie in a real SoftHSM token."""

from pathlib import Path

import pytest

from tests.authorities import INIT, clone, mdl, require_softhsm


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.hsm)


@pytest.fixture(scope="session", autouse=True)
def softhsm() -> None:
    require_softhsm()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with a document signer, made by the commands; tests add to it and take nothing away."""
    folder = tmp_path_factory.mktemp("story") / "authority"
    assert mdl("issuer", "init", "--dir", folder, *INIT).status == 0
    assert mdl("issuer", "ds", "--dir", folder).status == 0
    clone(folder, folder.with_name("pristine"))
    return folder


@pytest.fixture(scope="session")
def pristine(authority: Path) -> Path:
    """The same authority as it was at first, to be cloned: with one document signer and nothing issued."""
    return authority.with_name("pristine")

"""What the tests of the issuer's commands share: an authority in a real SoftHSM token, of which each takes a copy."""

from pathlib import Path

import pytest

from mdl.cli import main
from tests.authorities import INIT, clone, require_softhsm


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with one document signer; a module that needs another has a template of its own."""
    require_softhsm()
    folder = tmp_path_factory.mktemp("template") / "authority"
    assert main(["issuer", "init", "--dir", str(folder), *INIT]) == 0
    assert main(["issuer", "ds", "--dir", str(folder)]) == 0
    return folder


@pytest.fixture
def authority(template: Path, tmp_path: Path) -> Path:
    return clone(template, tmp_path / "authority")

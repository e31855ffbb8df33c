"""Who may touch what belongs to an authority: nobody else writes its folder, nobody else reads its secrets."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from issuer.folder import exposure, make_folders
from issuer.keystore import secret_from_file
from mdl.cli import main
from mdl.errors import SigningError
from tests.authorities import INIT, mdl, require_softhsm


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_without_a_umask_nothing_is_open(tmp_path: Path) -> None:
    require_softhsm()
    folder, tree = tmp_path / "new" / "authority", tmp_path / "new" / "www" / "tree"
    assert mdl("issuer", "init", "--dir", folder, *INIT).status == 0
    assert mdl("issuer", "publish", tree, "--dir", folder).status == 0
    assert mdl("issuer", "audit", "checkpoint", "--dir", folder).status == 0
    made = [one for one in (tmp_path / "new", *(tmp_path / "new").rglob("*")) if not one.is_symlink()]
    assert [one for one in made if one.stat().st_mode & 0o022] == []
    secrets = [folder / "token", *(folder / "token").rglob("*"), folder / "authority.db"]
    assert [one for one in secrets if one.stat().st_mode & 0o077] == []


def test_a_folder_that_everybody_can_write_is_closed_at_the_founding(tmp_path: Path) -> None:
    require_softhsm()
    folder = tmp_path / "authority"
    folder.mkdir()
    folder.chmod(0o777)
    assert mdl("issuer", "init", "--dir", folder, *INIT).status == 0
    assert folder.stat().st_mode & 0o777 == 0o775


@pytest.mark.hsm
@pytest.mark.parametrize("name", [".", "authority.json", "authority.db"])
def test_an_authority_that_everybody_can_write_does_nothing(
    authority: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = authority / name
    before = file.stat().st_mode
    file.chmod(before | 0o002)
    for verb in (("ds",), ("crl",), ("status",)):
        assert main(["issuer", *verb, "--dir", str(authority)]) == 5
        assert "[authority.open]" in capsys.readouterr().err
    file.chmod(before)
    assert main(["issuer", "crl", "--dir", str(authority)]) == 0


@pytest.mark.hsm
def test_a_token_that_others_can_use_is_refused(authority: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (authority / "token").chmod(0o705)
    assert main(["issuer", "crl", "--dir", str(authority)]) == 4
    assert "[signing.secret_open]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mode", "then"),
    [(0o600, 0o600), (0o400, 0o400), (0o440, 0o440), (0o640, 0o640), (0o644, 0o640), (0o604, 0o600), (0o620, 0o600),
     (0o602, 0o600), (0o601, 0o600), (0o666, 0o640)],
)  # fmt: skip
def test_a_pin_file_is_closed_and_that_is_said(
    tmp_path: Path, mode: int, then: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pin"
    file.write_text("1234\n")
    file.chmod(mode)
    found = exposure(file, secret=True)
    assert (found is not None and found.is_open) is (mode != then)
    if mode != then:
        with monkeypatch.context() as patch:
            patch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)  # it is not ours to close
            with pytest.raises(SigningError) as error:
                secret_from_file(file)("PIN")
        assert error.value.code == "signing.secret_open"
        assert "1234" not in str(error.value)
    assert secret_from_file(file)("PIN") == "1234"
    assert file.stat().st_mode & 0o777 == then
    assert [one.levelname for one in caplog.records] == ["WARNING"] * (mode != then)
    assert "1234" not in caplog.text


def test_a_secret_may_come_through_a_pipe(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"1234\n")
    os.close(write)
    assert secret_from_file(f"/dev/fd/{read}")("PIN") == "1234"
    os.close(read)


@pytest.mark.usefixtures("no_umask")
def test_folders_are_made_one_by_one_and_those_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o777)
    make_folders(tmp_path / "there" / "a" / "b")
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o777
    assert [one for one in (tmp_path / "there").rglob("*") if one.stat().st_mode & 0o022] == []
    make_folders(tmp_path / "there" / "a" / "b")
    shutil.rmtree(tmp_path / "there")

"""Turns at a SoftHSM token: threads and processes exclude each other, and the environment is left alone."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from issuer import folder as folders
from issuer.custody import Turn, configuration_of, open_softhsm
from issuer.keystore import softhsm_environment
from mdl.errors import SigningError

VARIABLE = "SOFTHSM2_CONF"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "_PATIENCE", 0.05)


def is_free(folder: Path) -> bool:
    with suppress(SigningError), Turn(folder).taken():
        return True
    return False


def test_one_turn_at_a_time(tmp_path: Path) -> None:
    with Turn(tmp_path).taken():
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


def test_threads_of_one_turn_have_it_until_the_last_lets_go(tmp_path: Path) -> None:
    turn = Turn(tmp_path)
    with turn.taken():
        with turn.taken():
            assert not is_free(tmp_path)
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


def test_letting_go_too_often_takes_nothing_from_others(tmp_path: Path) -> None:
    turn = Turn(tmp_path)
    turn.let_go()
    with turn.taken():
        assert not is_free(tmp_path)
    assert is_free(tmp_path)


def test_a_token_without_turns_is_always_to_be_had() -> None:
    turn = Turn()
    with turn.taken(), turn.taken(), Turn().taken():
        pass


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A folder that looks like a SoftHSM token's."""
    (tmp_path / "tokens").mkdir()
    Path(softhsm_environment(tmp_path)[VARIABLE]).write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    return tmp_path


def test_two_users_of_a_token_take_turns_and_leave_the_environment_alone(
    token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "/of/somebody/else")
    with ExitStack() as users:
        for _ in range(2):
            users.enter_context(open_softhsm(token)).let_go()  # as an issuing service does between batches
            assert os.environ[VARIABLE] == "/of/somebody/else"
    assert is_free(token)
    assert configuration_of(token) == softhsm_environment(token)[VARIABLE]


def test_a_user_that_keeps_its_turn_keeps_others_out(token: Path) -> None:
    with open_softhsm(token), pytest.raises(SigningError) as caught, open_softhsm(token):
        pytest.fail("it is not its turn")
    assert caught.value.code == "authority.busy"
    assert is_free(token)

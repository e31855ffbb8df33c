"""Turns at a SoftHSM token: threads and processes exclude each other, and the environment is left as it was."""

import os
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from issuer import folder as folders
from issuer.custody import Turn, open_softhsm
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


@pytest.mark.parametrize("before", [None, "/of/somebody/else"])
@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_two_users_of_a_token_leave_the_environment_as_it_was(
    token: Path, monkeypatch: pytest.MonkeyPatch, before: str | None, first_leaves_first: bool
) -> None:
    if before is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, before)
    expected = softhsm_environment(token)[VARIABLE]
    users = [ExitStack(), ExitStack()]
    for user in users:
        user.enter_context(open_softhsm(token)).let_go()  # as an issuing service does between batches
        assert os.environ[VARIABLE] == expected
    for left, user in enumerate(users if first_leaves_first else reversed(users)):
        assert os.environ[VARIABLE] == expected
        user.close()
        assert os.environ.get(VARIABLE) == (expected if left == 0 else before)
    assert is_free(token)


def test_a_user_that_keeps_its_turn_keeps_others_out(token: Path) -> None:
    with open_softhsm(token), pytest.raises(SigningError) as caught, open_softhsm(token):
        pytest.fail("it is not its turn")
    assert caught.value.code == "authority.busy"
    assert is_free(token)

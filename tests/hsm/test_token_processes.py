"""Bulk signing in several processes, and the local token that `mdl issuer init` makes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from issuer import keystore
from issuer.keystore import SigningProcesses, init_softhsm_token, open_signer, softhsm_environment
from mdl.errors import SigningError
from mdl.keys import Signer
from tests.hsm.tokens import Token, hides


def test_processes_sign_in_order_with_one_key(token: Token) -> None:
    asked: list[str] = []

    def secret(prompt: str) -> str:
        asked.append(prompt)
        return token.pin

    uri = token.generate()
    with open_signer(uri, secret=token.secret) as one:
        key = one.public_key
    with SigningProcesses(uri, secret=secret, processes=2) as signer:
        assert isinstance(signer, Signer)
        assert signer.public_key == key
        messages = [b"message %d" % count for count in range(501)]
        signatures = signer.sign_many(messages)
        for message, signature in zip(messages, signatures, strict=True):
            key.verify(signature, message)
        key.verify(signer.sign(b"one"), b"one")
    assert asked == ["PIN of token 'tests'"]


def test_pin_is_on_no_command_line_and_in_no_environment(token: Token) -> None:
    with SigningProcesses(token.generate(), secret=token.secret, processes=2) as signer:
        workers = [worker._process.pid for worker in list(signer._places.queue) if worker is not None]
        assert len(workers) == 2
        for pid in [*workers, os.getpid()]:
            shown = b"".join(Path(f"/proc/{pid}/{part}").read_bytes() for part in ("cmdline", "environ"))
            assert token.pin.encode() not in shown


def test_killed_processes_are_told_and_replaced(token: Token) -> None:
    with SigningProcesses(token.generate(), secret=token.secret, processes=2) as signer:
        (worker, _) = list(signer._places.queue)
        assert worker is not None
        assert worker._process.pid is not None
        os.kill(worker._process.pid, signal.SIGSTOP)  # so that it dies with work in hand
        stopper = subprocess.Popen(
            [sys.executable, "-c", f"import os,time; time.sleep(.5); os.kill({worker._process.pid}, 9)"]
        )
        messages = [b"message %d" % count for count in range(200)]
        with pytest.raises(SigningError) as caught:
            signer.sign_many(messages)
        assert caught.value.code == "signing.worker_lost"
        assert caught.value.retryable
        assert hides(caught.value, token.pin)
        assert stopper.wait(10) == 0
        for message, signature in zip(messages, signer.sign_many(messages), strict=True):
            signer.public_key.verify(signature, message)


def test_process_that_lost_its_sessions_recovers(token: Token, fresh_token: Token) -> None:
    with SigningProcesses(fresh_token.generate(), secret=fresh_token.secret, processes=1) as signer:
        (folder,) = [
            path for path in fresh_token.files() if fresh_token.label.encode() in (path / "token.object").read_bytes()
        ]
        away = fresh_token.folder / "away"
        folder.rename(away)
        with pytest.raises(SigningError) as caught:
            signer.sign(b"data")
        assert caught.value.code == "signing.token_lost"
        assert caught.value.retryable
        away.rename(folder)
        signer.public_key.verify(signer.sign(b"data"), b"data")


# --- The local token -------------------------------------------------------------------------------------------------


def test_local_token_is_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "authority"
    uri = init_softhsm_token(folder, "own", so_pin="officer-pin", user_pin="user-pin")
    assert uri == f"pkcs11:token=own?module-path={keystore.find_softhsm()}"
    assert (folder / "softhsm2.conf").stat().st_mode & 0o777 == 0o600
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path
    assert "SOFTHSM2_CONF" in softhsm_environment(folder)
    assert softhsm_environment(folder)["SOFTHSM2_CONF"] != os.environ["SOFTHSM2_CONF"]
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"officer-pin" not in path.read_bytes()
            assert b"user-pin" not in path.read_bytes()


def test_other_tools_see_the_local_token(tmp_path: Path) -> None:
    init_softhsm_token(tmp_path, "seen", so_pin="officer-pin", user_pin="user-pin")
    shown = subprocess.run(
        ["softhsm2-util", "--show-slots"],
        env=os.environ | softhsm_environment(tmp_path),
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "Label:            seen" in shown
    assert shown.count("Initialized:      yes") == 1
    assert shown.count("User PIN init.:   yes") == 1


def test_second_token_of_a_name_is_refused_and_the_first_kept(token: Token) -> None:
    uri = token.generate()
    with pytest.raises(SigningError) as caught:
        init_softhsm_token(token.folder, token.label, so_pin="officer-pin", user_pin="user-pin")
    assert caught.value.code == "signing.token_exists"
    with open_signer(uri, secret=token.secret) as signer:
        signer.sign(b"data")


@pytest.mark.parametrize("label", ["", " blank", "x" * 33, "nul\0", "é" * 17])
def test_impossible_labels(tmp_path: Path, label: str) -> None:
    with pytest.raises(SigningError) as caught:
        init_softhsm_token(tmp_path, label, so_pin="officer-pin", user_pin="user-pin")
    assert caught.value.code == "signing.uri_invalid"


@pytest.mark.parametrize(("so_pin", "user_pin"), [("123", "user-pin"), ("", "user-pin"), ("officer-pin", "x" * 256)])
def test_impossible_pins(tmp_path: Path, so_pin: str, user_pin: str) -> None:
    with pytest.raises(SigningError) as caught:
        init_softhsm_token(tmp_path, "pins", so_pin=so_pin, user_pin=user_pin)
    assert caught.value.code == "signing.pin_invalid"
    assert not list(tmp_path.iterdir())
    assert hides(caught.value, "officer-pin", "user-pin")


def test_folder_with_another_configuration_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "softhsm2.conf").write_text("directories.tokendir = /elsewhere\n", "utf-8")
    with pytest.raises(SigningError) as caught:
        init_softhsm_token(tmp_path, "own", so_pin="officer-pin", user_pin="user-pin")
    assert caught.value.code == "signing.token_exists"
    assert (tmp_path / "softhsm2.conf").read_text("utf-8") == "directories.tokendir = /elsewhere\n"


def test_workers_end_with_the_signer(token: Token) -> None:
    with SigningProcesses(token.generate(), secret=token.secret, processes=2) as signer:
        pids = [worker._process.pid for worker in list(signer._places.queue) if worker is not None]
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]

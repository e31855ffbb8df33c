"""What a signer does when the token, its sessions or its process go away under it."""

import operator
import os
import shutil
import struct
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11.attributes import AttributeMapper

from issuer import hsm, keystore
from issuer.keystore import Pkcs11Signer, open_signer
from mdl.errors import SigningError
from tests.hsm.tokens import Token, hides, make_token


def close_all_sessions(signer: Pkcs11Signer) -> None:
    pool = signer._pool
    assert pool._token is not None
    pool.module.cryptoki.close_all_sessions(pool._token.slot.slot_id)


def close_one_session(signer: Pkcs11Signer) -> None:
    signer._pool._idle[-1].session.close()


def log_out(signer: Pkcs11Signer) -> None:
    assert signer._pool._owner is not None
    signer._pool._owner.close()


def stop_library(signer: Pkcs11Signer) -> None:
    signer._pool.module.cryptoki.finalize()


def leave_operation_open(signer: Pkcs11Signer) -> None:
    session = signer._pool._idle[-1]
    _, handle = session.keys[signer._name]
    assert session._c_sign_init(session._handle, signer._mechanism.address, handle) == 0


LOSSES = [close_all_sessions, close_one_session, log_out, stop_library, leave_operation_open]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_signer_recovers_once_by_itself(fresh_token: Token, loss: Callable[[Pkcs11Signer], None]) -> None:
    with open_signer(fresh_token.generate(), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        generation = signer._pool.module.generation
        for _ in range(3):
            loss(signer)
            signer.public_key.verify(signer.sign(b"data"), b"data")
        assert signer._pool.module.generation == generation + 3
        signer.public_key.verify(signer.sign(b"more"), b"more")
        assert signer._pool.module.generation == generation + 3


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff".decode,
        partial(operator.getitem, {}, "missing"),
        partial(AttributeMapper().unpack_attributes, pkcs11.Attribute.OWNER, b""),
        partial(struct.unpack, "L", b"\x00"),
    ],
    ids=["text", "a missing attribute", "an attribute nobody asked for", "a number"],
)
def test_what_a_token_cannot_have_meant_is_its_failure_and_is_not_repeated(
    fresh_token: Token, odd: Callable[[], object]
) -> None:
    with open_signer(fresh_token.generate(), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        with pytest.raises(SigningError) as refused:
            signer._pool.run(lambda _session, _nothing: odd(), None)
        assert refused.value.code == "signing.token_failed"
        assert "malformed" in refused.value.message
        with pytest.raises(ZeroDivisionError):  # a mistake of ours is not blamed on the token
            signer._pool.run(lambda _session, _nothing: 1 // 0, None)
        signer.public_key.verify(signer.sign(b"data"), b"data")


def test_without_the_rule_a_lost_session_is_an_error(fresh_token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    """The counterpart of the test before: it shows that the sessions were really lost."""
    with open_signer(fresh_token.generate(), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        close_all_sessions(signer)
        with monkeypatch.context() as patch:
            patch.setattr(hsm, "_is_loss", lambda _: False)
            with pytest.raises(SigningError) as caught:
                signer.sign(b"data")
        assert caught.value.code == "signing.token_lost"
        assert caught.value.retryable


def test_threads_that_all_lose_their_sessions_recover_together(fresh_token: Token) -> None:
    with open_signer(fresh_token.generate(), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        failures: list[Exception] = []
        good: list[int] = []
        start = threading.Barrier(5)

        def work() -> None:
            try:
                for _ in range(3):
                    start.wait(20)
                    for count in range(20):
                        data = b"%d" % count
                        signer.public_key.verify(signer.sign(data), data)
                        good.append(1)
                    start.wait(20)
            except (SigningError, threading.BrokenBarrierError) as exc:
                failures.append(exc)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for loss in (close_all_sessions, stop_library, log_out):
            loss(signer)
            start.wait(20)
            start.wait(20)
        for thread in threads:
            thread.join()
    assert not failures
    assert len(good) == 4 * 3 * 20


def test_other_signers_of_the_module_survive_a_restart(token: Token, fresh_token: Token) -> None:
    with (
        open_signer(token.generate(), secret=token.secret) as one,
        open_signer(fresh_token.generate(), secret=fresh_token.secret) as other,
    ):
        assert isinstance(one, Pkcs11Signer)
        stop_library(one)
        one.public_key.verify(one.sign(b"data"), b"data")
        other.public_key.verify(other.sign(b"data"), b"data")


def test_key_deleted_under_the_signer(fresh_token: Token) -> None:
    uri = fresh_token.generate()
    with open_signer(uri, secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        replace_key(signer, with_another=False)
        with pytest.raises(SigningError) as caught:
            signer.sign(b"data")
        assert caught.value.code == "signing.key_missing"
        assert hides(caught.value, fresh_token.pin)


def test_key_replaced_under_the_signer_does_not_sign(fresh_token: Token) -> None:
    """The certificates name the old key: a signature by another would be worthless, and nobody would notice."""
    uri = fresh_token.generate()
    with open_signer(uri, secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        replace_key(signer, with_another=True)
        with pytest.raises(SigningError) as caught:
            signer.sign(b"data")
        assert caught.value.code == "signing.key_mismatch"
        assert not caught.value.retryable


def replace_key(signer: Pkcs11Signer, *, with_another: bool) -> None:
    pool, uri = signer._pool, signer._uri

    def work(session: hsm.Session, _: None) -> None:
        writable = pool.open_writable(session)
        for found in list(writable.session.get_objects({pkcs11.Attribute.LABEL: uri.label})):
            found.destroy()
        writable.session.close()

    pool.run(work, None)
    if with_another:
        pin = pool._pin.reveal()
        keystore.generate_key(str(uri), "P-256", secret=lambda _: pin)


# --- The token's folder goes away ------------------------------------------------------------------------------------


def lose_token(folder: Path, uri: str, pin: str, everything: bool) -> list[tuple[str, bool]]:
    """Sign, lose the token's files, sign twice, get them back, sign; the refusals on the way."""
    os.environ.update(keystore.softhsm_environment(folder))
    lost = folder / "tokens" if everything else next((folder / "tokens").iterdir())
    refusals = []
    with open_signer(uri, secret=lambda _: pin) as signer:
        signer.public_key.verify(signer.sign(b"before"), b"before")
        shutil.move(lost, folder / "elsewhere")
        for _ in range(2):
            with pytest.raises(SigningError) as caught:
                signer.sign(b"meanwhile")
            assert hides(caught.value, pin)
            refusals.append((caught.value.code, caught.value.retryable))
        shutil.move(folder / "elsewhere", lost)
        signer.public_key.verify(signer.sign(b"after"), b"after")
    return refusals


def test_removed_token_is_told_and_comes_back(tmp_path: Path, child: Callable[..., Any]) -> None:
    token = make_token(tmp_path, "removable")
    uri = child(generate_in, tmp_path, token)
    assert child(lose_token, tmp_path, uri, token.pin, False) == [("signing.token_lost", True)] * 2


def test_removed_token_directory_is_told_and_comes_back(tmp_path: Path, child: Callable[..., Any]) -> None:
    token = make_token(tmp_path, "removable")
    uri = child(generate_in, tmp_path, token)
    assert child(lose_token, tmp_path, uri, token.pin, True) == [("signing.module_failed", True)] * 2


def generate_in(folder: Path, token: Token) -> str:
    os.environ.update(keystore.softhsm_environment(folder))
    return token.generate(label="ds")


def exchange_token(folder: Path, uri: str, token: Token) -> str:
    """Put another token with the same label, PIN and key label in place of the one that is open."""
    os.environ.update(keystore.softhsm_environment(folder))
    with open_signer(uri, secret=token.secret) as signer:
        shutil.rmtree(next((folder / "tokens").iterdir()))
        keystore.init_softhsm_token(folder, token.label, so_pin=token.so_pin, user_pin=token.pin)
        token.generate(label="ds")
        with pytest.raises(SigningError) as caught:
            signer.sign(b"data")
        return caught.value.code


def test_another_token_of_the_same_name_is_not_taken_for_the_lost_one(
    tmp_path: Path, child: Callable[..., Any]
) -> None:
    token = make_token(tmp_path, "exchanged")
    uri = child(generate_in, tmp_path, token)
    assert child(exchange_token, tmp_path, uri, token) == "signing.token_lost"


def open_without_configuration(uri: str, pin: str, configuration: str) -> SigningError:
    os.environ["SOFTHSM2_CONF"] = configuration
    with pytest.raises(SigningError) as caught, open_signer(uri, secret=lambda _: pin):
        pass
    return caught.value


def test_module_without_configuration(token: Token, tmp_path: Path, child: Callable[..., Any]) -> None:
    error = child(open_without_configuration, token.key("any"), token.pin, str(tmp_path / "absent.conf"))
    assert error.code == "signing.module_failed"
    assert "SOFTHSM2_CONF" in error.message


# --- Processes -------------------------------------------------------------------------------------------------------


def fork_and_sign(uri: str, pin: str) -> list[str]:
    """What a forked child is told when it uses the inherited signer, and when it opens one of its own."""
    with open_signer(uri, secret=lambda _: pin) as signer:
        reading, writing = os.pipe()
        if os.fork() == 0:
            codes = []
            try:
                signer.sign(b"data")
            except SigningError as exc:
                codes.append(exc.code)
            try:
                with open_signer(uri, secret=lambda _: pin):
                    pass
            except SigningError as exc:
                codes.append(exc.code)
            os.write(writing, " ".join(codes).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as stream:
            told = stream.read().decode().split()
        os.wait()
        signer.public_key.verify(signer.sign(b"the parent is not disturbed"), b"the parent is not disturbed")
        return told


def test_forked_child_is_refused(token: Token, child: Callable[..., Any]) -> None:
    assert child(fork_and_sign, token.generate(), token.pin) == ["signing.forked"] * 2


def leave_the_context_in_a_fork(uri: str, pin: str) -> int:
    with open_signer(uri, secret=lambda _: pin) as signer:
        pid = os.fork()
        if pid:
            _, status = os.waitpid(pid, 0)
            signer.public_key.verify(signer.sign(b"data"), b"data")
            return status
    # The child has left the context, which must not close what is the parent's.
    os._exit(0)


def test_forked_child_does_not_close_what_is_the_parents(token: Token, child: Callable[..., Any]) -> None:
    assert child(leave_the_context_in_a_fork, token.generate(), token.pin) == 0


def use_after_another(uri: str, pin: str) -> str:
    pkcs11.lib(keystore.Pkcs11Uri.parse(uri).module_path)
    with pytest.raises(SigningError) as caught, open_signer(uri, secret=lambda _: pin):
        pass
    return caught.value.code


def test_module_that_somebody_else_has_opened_is_left_alone(token: Token, child: Callable[..., Any]) -> None:
    assert child(use_after_another, token.generate(), token.pin) == "signing.module_in_use"

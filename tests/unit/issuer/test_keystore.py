"""Naming keys, asking for secrets, key files, and signing processes; the tests with a real token are in tests/hsm."""

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.bindings import _rust
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from issuer import hsm, key_uri, keystore, token_keys
from issuer.keystore import (
    Pkcs11Uri,
    SigningProcesses,
    generate_key,
    init_softhsm_token,
    list_keys,
    open_signer,
    register_signer,
    secret_from_environment,
    secret_from_file,
)
from mdl.errors import SigningError
from mdl.keys import CURVES, Signer, SoftwareSigner
from tests.hsm.tokens import hides

PASSWORD = "correct horse battery staple"
MODULE = "/opt/vendor/lib.so"


def ask(_prompt: str) -> str:
    return PASSWORD


def never(_prompt: str) -> str:
    raise AssertionError("a secret was asked for")


def refused(uri: str, secret: Callable[[str], str] = ask) -> SigningError:
    with pytest.raises(SigningError) as caught, open_signer(uri, secret=secret):
        pass
    assert hides(caught.value, PASSWORD)
    return caught.value


# --- URIs ------------------------------------------------------------------------------------------------------------


def test_pkcs11_uri_is_read() -> None:
    uri = Pkcs11Uri.parse(
        "pkcs11:token=My%20token;object=ds%3b1;id=%00%fFz;serial=12;manufacturer=ACME%20%C3%A9;model=X;slot-id=7;type=private"
        f"?module-path={MODULE}&pin-source=file:/run/pin"
    )
    assert uri == Pkcs11Uri(
        module_path=MODULE,
        token="My token",
        label="ds;1",
        id=b"\x00\xffz",
        serial="12",
        manufacturer="ACME é",
        model="X",
        slot_id=7,
        pin_source="/run/pin",
    )


text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
maybe = st.none() | text


@given(
    st.builds(
        Pkcs11Uri,
        module_path=text.map(lambda name: "/" + name),
        token=text,
        serial=maybe,
        manufacturer=maybe,
        model=maybe,
        slot_id=st.none() | st.integers(0, 2**31),
        label=maybe,
        id=st.none() | st.binary(min_size=1, max_size=9),
        pin_source=st.none() | text.filter(lambda name: name[0] != "/").map(lambda name: "/" + name),
        configuration=st.none() | text.map(lambda name: "/" + name),
    )
)
def test_uri_survives_being_written(uri: Pkcs11Uri) -> None:
    written = str(uri)
    assert written.isascii()
    assert Pkcs11Uri.parse(written) == uri


@given(st.text() | st.text("pkcs11:;?&=%/abtokenidmulehs-.0F", max_size=60).map("pkcs11:token=t;{}".format))
def test_any_text_is_a_uri_or_refused(uri: str) -> None:
    for read in (Pkcs11Uri.parse, key_uri.file_of, key_uri.scheme_of):
        try:
            read(uri)
        except SigningError as exc:
            assert exc.code == "signing.uri_invalid"  # noqa: PT017 - both outcomes are good


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "pkcs11",
        "::",
        "pkcs11:",
        f"pkcs11:object=k?module-path={MODULE}",
        "pkcs11:token=t;object=k",
        "pkcs11:token=t;object=k?module-path=relative.so",
        f"pkcs11:token=t;object=k?module-path={MODULE}&module-path={MODULE}",
        f"pkcs11:token=t;token=u;object=k?module-path={MODULE}",
        f"pkcs11:token=t;object=?module-path={MODULE}",
        f"pkcs11:token=t;object=%?module-path={MODULE}",
        f"pkcs11:token=t;object=%0g?module-path={MODULE}",
        f"pkcs11:token=t;object=%ff?module-path={MODULE}",
        f"pkcs11:token=t;object=a%00b?module-path={MODULE}",
        f"pkcs11:token=t;object=k;type=cert?module-path={MODULE}",
        f"pkcs11:token=t;object=k;colour=red?module-path={MODULE}",
        f"pkcs11:token=t;object=k;novalue?module-path={MODULE}",
        f"pkcs11:token=t;object=k?module-path={MODULE}&module-name=softhsm2",
        f"pkcs11:slot-id=x;object=k?module-path={MODULE}",
        f"pkcs11:token=t;object=k?module-path={MODULE}&pin-source=%7C/usr/bin/pin",
        f"pkcs11:token=t;object=k?module-path={MODULE}&pin-source=relative",
        f"pkcs11:token=t;object=k?module-path={MODULE}&pin-source=file://host/pin",
        f"pkcs11:token=t;object=k?module-path={MODULE}&softhsm2-conf=relative.conf",
        f"pkcs11:token=t?module-path={MODULE}",
        "file:",
        "file://elsewhere/key.pem",
        "file:a%00b",
        "file:%ff",
    ],
)
def test_uri_that_names_no_key_is_refused_before_anything_is_asked(uri: str) -> None:
    assert refused(uri, never).code == "signing.uri_invalid"


@pytest.mark.parametrize(
    "uri",
    [
        f"pkcs11:token=t;object=k?module-path={MODULE}&pin-value={PASSWORD}",
        f"pkcs11:token=t;object=k;{PASSWORD}?module-path={MODULE}",
        f"pkcs11:token=t;object=k;{PASSWORD}=1?module-path={MODULE}",
    ],
)
def test_pin_in_a_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(SigningError) as caught:
        Pkcs11Uri.parse(uri)
    assert PASSWORD not in str(caught.value)
    assert ("use pin-source" in caught.value.message) == ("pin-value" in uri)


def test_uri_of_another_scheme_is_not_read_as_pkcs11() -> None:
    with pytest.raises(SigningError, match="does not begin with pkcs11"):
        Pkcs11Uri.parse(f"file:token=t?module-path={MODULE}")


def test_unknown_scheme() -> None:
    error = refused("azurekms:key", never)
    assert error.code == "signing.scheme_unknown"
    assert "file, pkcs11" in error.message


# --- Secrets ---------------------------------------------------------------------------------------------------------


def test_secret_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    read = secret_from_environment("MY_PIN")
    monkeypatch.setenv("MY_PIN", PASSWORD)
    assert read("PIN") == PASSWORD
    monkeypatch.setenv("MY_PIN", "")
    with pytest.raises(SigningError, match="PIN: the environment variable MY_PIN is not set") as caught:
        read("PIN")
    assert caught.value.code == "signing.secret_missing"


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n", b"\xef\xbb\xbfs3cret\r\n"])
def test_secret_from_a_file_is_its_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pin").write_bytes(content)
    assert secret_from_file(tmp_path / "pin")("PIN") == "s3cret"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"s3cret\nmore\n", b"s3cret\xff", b"s3cret" * 1000])
def test_secret_from_an_unfit_file(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "pin").write_bytes(content)
    with pytest.raises(SigningError) as caught:
        secret_from_file(tmp_path / "pin")("PIN")
    assert caught.value.code == "signing.secret_missing"
    assert str(tmp_path / "pin") in caught.value.message
    assert hides(caught.value, "s3cret")


def test_secret_shows_itself_nowhere() -> None:
    secret = key_uri.Secret.ask(ask, "PIN")
    assert PASSWORD not in f"{secret} {secret!r}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    assert secret == key_uri.Secret(PASSWORD)
    assert secret != key_uri.Secret("other")
    assert secret != PASSWORD


# --- Key files -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "ds key.pem"
    generate_key(f"file:{path}".replace(" ", "%20"), "P-256", secret=ask)
    return path


@pytest.fixture(scope="module")
def key_uri_of_file(key_file: Path) -> str:
    return f"file:{key_file}".replace(" ", "%20")


@pytest.mark.parametrize("curve", token_keys.SIGNING_CURVES)
def test_key_file_of_every_curve(tmp_path: Path, curve: str) -> None:
    uri = f"file:{tmp_path / 'key.pem'}"
    public_key = generate_key(uri, curve, secret=ask)
    with open_signer(uri, secret=ask) as signer:
        assert isinstance(signer, Signer)
        assert signer.public_key == public_key
        public_key.verify(signer.sign(b"data"), b"data")
    assert public_key.curve == CURVES[curve]


def test_key_file_is_encrypted_and_its_owners_only(key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600
    pem = key_file.read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    serialization.load_pem_private_key(pem, PASSWORD.encode())


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "file://localhost{}", "FILE:{}"])
def test_forms_of_a_file_uri(key_uri_of_file: str, form: str) -> None:
    with open_signer(form.format(key_uri_of_file.removeprefix("file:")), secret=ask) as signer:
        signer.sign(b"data")


def test_relative_key_file(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(key_file.parent)
    with open_signer("file:ds%20key.pem", secret=ask) as signer:
        signer.sign(b"data")


def test_wrong_password(key_uri_of_file: str) -> None:
    error = refused(key_uri_of_file, lambda _: PASSWORD + "!")
    assert error.code == "signing.secret_incorrect"
    assert not error.retryable
    assert refused(key_uri_of_file, lambda _: "").code == "signing.secret_missing"


def test_key_file_that_is_not_encrypted_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plain.pem"
    path.write_bytes(SoftwareSigner.generate().to_pkcs8(password=None))
    error = refused(f"file:{path}", never)
    assert error.code == "signing.key_unencrypted"
    assert "openssl pkcs8" in error.message


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "signing.key_malformed"),
        (b"\x00" * 100, "signing.key_malformed"),
        (b"-----BEGIN CERTIFICATE-----\n", "signing.key_malformed"),
        (b"x" * 70_000, "signing.key_malformed"),
        (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "signing.secret_incorrect",
        ),
    ],
)
def test_file_that_is_no_key(tmp_path: Path, content: bytes, code: str) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    assert refused(f"file:{tmp_path / 'key.pem'}").code == code


def test_key_file_of_a_kind_that_does_not_sign_here(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSWORD.encode()),
    )
    (tmp_path / "rsa.pem").write_bytes(pem)
    assert refused(f"file:{tmp_path / 'rsa.pem'}").code == "signing.key_unusable"


def test_missing_and_unreadable_key_files(tmp_path: Path) -> None:
    assert refused(f"file:{tmp_path / 'absent'}", never).code == "signing.key_missing"
    assert refused(f"file:{tmp_path}", never).code == "signing.key_unreadable"


def test_key_file_is_never_overwritten(key_file: Path, key_uri_of_file: str) -> None:
    before = key_file.read_bytes()
    with pytest.raises(SigningError) as caught:
        generate_key(key_uri_of_file, "P-256", secret=never)
    assert caught.value.code == "signing.key_exists"
    assert key_file.read_bytes() == before


def test_key_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"

    def ask_slowly(_: str) -> str:
        path.write_text("somebody else's", "utf-8")
        return PASSWORD

    with pytest.raises(SigningError) as caught:
        generate_key(f"file:{path}", "P-256", secret=ask_slowly)
    assert caught.value.code == "signing.key_exists"
    assert path.read_text("utf-8") == "somebody else's"
    assert hides(caught.value, PASSWORD)


def test_key_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SigningError, match="No space left") as caught:
        generate_key(f"file:{tmp_path / 'key.pem'}", "P-256", secret=ask)
    assert caught.value.code == "signing.key_unwritable"
    assert not list(tmp_path.iterdir())


def test_keys_are_made_where_a_key_can_be(tmp_path: Path) -> None:
    for uri, curve, code in (
        (f"file:{tmp_path / 'k'}", "X25519", "signing.curve_unsupported"),
        (f"file:{tmp_path / 'no' / 'folder'}", "P-256", "signing.key_unwritable"),
        (f"file:{tmp_path / ('x' * 300)}", "P-256", "signing.key_unwritable"),
        ("vault:key", "P-256", "signing.scheme_unknown"),
        (f"pkcs11:token=t?module-path={MODULE}", "P-256", "signing.uri_invalid"),
    ):
        with pytest.raises(SigningError) as caught:
            generate_key(uri, curve, secret=ask)
        assert caught.value.code == code
    assert not list(tmp_path.iterdir())


# --- The extension point ---------------------------------------------------------------------------------------------


def test_custodian_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "_factories", dict(keystore._factories))
    custodian = SoftwareSigner.generate()
    calls = []

    @contextmanager
    def factory(uri: str, secret: Callable[[str], str]) -> Iterator[Signer]:
        calls.append((uri, secret("PIN")))
        yield custodian

    register_signer("vault", factory)
    with open_signer("vault:transit/ds", secret=ask) as signer:
        assert signer is custodian
    assert calls == [("vault:transit/ds", PASSWORD)]


@pytest.mark.parametrize("scheme", ["file", "pkcs11", "Vault"])
def test_scheme_that_cannot_be_registered(scheme: str) -> None:
    def factory(_uri: str, _secret: Callable[[str], str]) -> AbstractContextManager[Signer]:
        raise AssertionError

    with pytest.raises(ValueError):
        register_signer(scheme, factory)
    assert keystore._factories.get(scheme) is not factory


# --- Modules that are not there --------------------------------------------------------------------------------------


def uri_of(module: Path | str) -> str:
    return f"pkcs11:token=t;object=k?module-path={module}"


def test_missing_module(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11", reason="the hsm extra is not installed")
    error = refused(uri_of(tmp_path / "absent.so"), never)
    assert error.code == "signing.module_missing"
    assert not error.retryable
    assert "module-path" in error.message
    assert refused(uri_of("/" + "x" * 300), never).code == "signing.module_missing"


def test_library_that_is_no_pkcs11_module() -> None:
    pytest.importorskip("pkcs11", reason="the hsm extra is not installed")
    error = refused(uri_of(_rust.__file__), never)
    assert error.code == "signing.module_invalid"
    assert refused(uri_of(_rust.__file__), never).code == "signing.module_invalid"


def test_file_that_is_no_library(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11", reason="the hsm extra is not installed")
    (tmp_path / "text.so").write_text("not a library", "utf-8")
    assert refused(uri_of(tmp_path / "text.so"), never).code == "signing.module_invalid"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    for use in (
        lambda: refused(uri_of(MODULE), never),
        lambda: list_keys(uri_of(MODULE), secret=never),
        lambda: generate_key(uri_of(MODULE), "P-256", secret=never),
    ):
        try:
            error = use()
        except SigningError as exc:
            error = exc
        assert isinstance(error, SigningError)
        assert error.code == "signing.extra_missing"
        assert "pip install 'mdl-sdk[hsm]'" in error.message


def test_softhsm_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "_SOFTHSM_PLACES", (str(tmp_path / "absent.so"),))
    with pytest.raises(SigningError) as caught:
        init_softhsm_token(tmp_path / "new", "label", so_pin="12345678", user_pin="12345678")
    assert caught.value.code == "signing.module_missing"
    assert "apt-get install softhsm2" in caught.value.message
    assert not list(tmp_path.iterdir())


# --- What the token says ---------------------------------------------------------------------------------------------


def test_object_identifiers_are_der() -> None:
    assert token_keys._oid("1.2.840.10045.3.1.7").hex() == "06082a8648ce3d030107"
    assert token_keys._oid("1.3.101.112").hex() == "06032b6570"
    assert token_keys._oid("1.3.36.3.3.2.8.1.1.13").hex() == "06092b240303020801010d"


@pytest.mark.parametrize("curve", token_keys.SIGNING_CURVES)
def test_public_point_is_read_bare_and_wrapped(curve: str) -> None:
    point = SoftwareSigner.generate(curve).public_key.point
    size = len(point)
    wrapped = b"\x04" + (bytes([size]) if size < 128 else bytes([0x81, size])) + point
    assert token_keys._point(wrapped, CURVES[curve]) == point
    assert token_keys._point(point, CURVES[curve]) == point


@pytest.mark.parametrize("name", sorted(hsm._LOST | set(hsm._REFUSALS) | {"SomethingNew"}))
def test_every_refusal_of_a_token_says_what_to_do(name: str) -> None:
    error = hsm._refusal(type(name, (Exception,), {})(PASSWORD))
    assert error.code.startswith("signing.")
    assert hides(error, PASSWORD)
    if name.startswith("Pin"):
        assert not error.retryable
        assert name not in hsm._LOST


def test_names_of_the_errors_that_we_tell_apart_exist() -> None:
    pkcs11 = pytest.importorskip("pkcs11", reason="the hsm extra is not installed")
    for name in (hsm._LOST - {"LostError"}) | set(hsm._REFUSALS):
        assert issubclass(getattr(pkcs11, name), pkcs11.PKCS11Error)


# --- Signing processes -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes(key_uri_of_file: str) -> Iterator[SigningProcesses]:
    with SigningProcesses(key_uri_of_file, secret=ask, processes=2) as signer:
        yield signer


@pytest.mark.parametrize("count", [0, 1, 2, 3, 127, 129, 300])
def test_many_messages_come_back_in_order(processes: SigningProcesses, count: int) -> None:
    messages = [b"message %d" % number for number in range(count)]
    signatures = processes.sign_many(messages)
    assert len(signatures) == count
    for message, signature in zip(messages, signatures, strict=True):
        processes.public_key.verify(signature, message)


def test_processes_serve_several_threads(processes: SigningProcesses) -> None:
    def work(name: int) -> None:
        messages = [b"%d/%d" % (name, number) for number in range(100)]
        for message, signature in zip(messages, processes.sign_many(messages), strict=True):
            processes.public_key.verify(signature, message)
        processes.public_key.verify(processes.sign(b"one"), b"one")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_secret_is_asked_for_once(key_uri_of_file: str, key_file: Path) -> None:
    asked: list[str] = []

    def secret(prompt: str) -> str:
        asked.append(prompt)
        return PASSWORD

    with SigningProcesses(key_uri_of_file, secret=secret, processes=3) as signer:
        kill_idle(signer)
        signer.public_key.verify(signer.sign(b"by a fresh process"), b"by a fresh process")
    assert asked == [f"password of key file {key_file}"]


def only_worker(signer: SigningProcesses) -> keystore._Worker:
    (worker,) = list(signer._places.queue)
    assert worker is not None
    return worker


def kill_idle(signer: SigningProcesses) -> None:
    for worker in list(signer._places.queue):
        if worker is not None:
            worker._process.kill()
            worker._process.join()


def test_wrong_password_is_tried_in_one_process(key_uri_of_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    start = SigningProcesses._start

    def count(self: SigningProcesses) -> Any:
        started.append(1)
        return start(self)

    monkeypatch.setattr(SigningProcesses, "_start", count)
    with pytest.raises(SigningError) as caught:
        SigningProcesses(key_uri_of_file, secret=lambda _: "wrong" + PASSWORD, processes=4)
    assert caught.value.code == "signing.secret_incorrect"
    assert len(started) == 1
    assert hides(caught.value, PASSWORD)


def test_secret_that_stops_working_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key.pem"
    uri = f"file:{path}"
    generate_key(uri, "P-256", secret=ask)
    started: list[int] = []
    start = SigningProcesses._start

    def count(self: SigningProcesses) -> Any:
        started.append(1)
        return start(self)

    with SigningProcesses(uri, secret=ask, processes=1) as signer:
        monkeypatch.setattr(SigningProcesses, "_start", count)
        path.unlink()
        generate_key(uri, "P-256", secret=lambda _: "another password")
        kill_idle(signer)
        for _ in range(3):
            with pytest.raises(SigningError) as caught:
                signer.sign(b"data")
            assert caught.value.code == "signing.secret_incorrect"
    assert len(started) == 1


def test_fresh_process_with_another_key_does_not_sign(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    uri = f"file:{path}"
    generate_key(uri, "P-256", secret=ask)
    with SigningProcesses(uri, secret=ask, processes=1) as signer:
        path.unlink()
        generate_key(uri, "P-256", secret=ask)
        kill_idle(signer)
        with pytest.raises(SigningError) as caught:
            signer.sign(b"data")
        assert caught.value.code == "signing.key_mismatch"


def test_refusal_in_a_process_reaches_the_caller_and_the_process_lives(key_uri_of_file: str) -> None:
    with SigningProcesses(key_uri_of_file, secret=ask, processes=1) as signer:
        worker = only_worker(signer)
        worker._send(["not bytes"])  # the signer fails on it, and the process says so
        with pytest.raises(SigningError) as caught:
            worker._receive(30, "silence")
        assert caught.value.code == "signing.failed"
        assert worker._process.is_alive()
        signer.public_key.verify(signer.sign(b"data"), b"data")


def test_short_answer_of_a_process_is_refused(key_uri_of_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with SigningProcesses(key_uri_of_file, secret=ask, processes=1) as signer:
        worker = type(only_worker(signer))
        for answer in ([], [b"short"], [bytes(64)] * 2):
            monkeypatch.setattr(worker, "sign", lambda _self, _messages, answer=answer: answer)
            with pytest.raises(SigningError) as caught:
                signer.sign(b"data")
            assert caught.value.code == "signing.malformed_signature"


def test_process_that_hangs_is_told(key_uri_of_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import signal

    with SigningProcesses(key_uri_of_file, secret=ask, processes=1) as signer:
        worker = only_worker(signer)
        monkeypatch.setattr(keystore, "_CHUNK_PATIENCE", 0.3)
        os.kill(worker._process.pid or 0, signal.SIGSTOP)
        with pytest.raises(SigningError) as caught:
            signer.sign(b"data")
        assert caught.value.code == "signing.worker_lost"
        monkeypatch.undo()
        signer.public_key.verify(signer.sign(b"data"), b"data")


def test_closed_processes_refuse_and_let_nobody_wait(key_uri_of_file: str) -> None:
    signer = SigningProcesses(key_uri_of_file, secret=ask, processes=1)
    outcomes: list[object] = []

    def work() -> None:
        while True:
            try:
                signer.sign(b"data")
            except SigningError as exc:
                outcomes.append(exc.code)
                return

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    signer.close()
    signer.close()
    for thread in threads:
        thread.join(20)
    assert outcomes == ["signing.closed"] * 3
    for use in (lambda: signer.sign(b"data"), lambda: signer.sign_many([b"data"] * 200)):
        with pytest.raises(SigningError) as caught:
            use()
        assert caught.value.code == "signing.closed"


def test_at_least_one_process(key_uri_of_file: str) -> None:
    with pytest.raises(ValueError):
        SigningProcesses(key_uri_of_file, secret=never, processes=0)


def test_repr_of_processes_hides_the_secret(processes: SigningProcesses) -> None:
    assert PASSWORD not in repr(processes) + repr(processes._answers)


SCRIPT = """
import sys
from issuer.keystore import SigningProcesses
from mdl.errors import SigningError
def main():
    try:
        with SigningProcesses(sys.argv[1], secret=lambda _: "x", processes=1):
            pass
    except SigningError as exc:
        print(exc.code)
"""


def test_a_script_needs_no_guard(key_uri_of_file: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + "main()\n", "utf-8")
    root = str(Path(keystore.__file__).parents[1])
    outcome = subprocess.run(
        [sys.executable, str(script), key_uri_of_file],
        env=os.environ | {"PYTHONPATH": root},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.stdout == "signing.secret_incorrect\n", outcome.stderr


def test_forked_child_leaves_the_processes_to_its_parent(key_uri_of_file: str) -> None:
    script = f"""
import os, sys
from issuer.keystore import SigningProcesses
from mdl.errors import SigningError
if __name__ == "__main__":
    with SigningProcesses({key_uri_of_file!r}, secret=lambda _: {PASSWORD!r}, processes=1) as signer:
        pid = os.fork()
        if not pid:
            try:
                signer.sign(b"data")
            except SigningError as exc:
                signer.close()
                os._exit(7 if exc.code == "signing.forked" else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        signer.public_key.verify(signer.sign(b"data"), b"data")
"""
    root = str(Path(keystore.__file__).parents[1])
    outcome = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": root},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stderr

"""Signers by URI: the front door to keys in tokens and in encrypted files.

    with open_signer("pkcs11:token=mdl;object=ds?module-path=/usr/lib/softhsm/libsofthsm2.so", secret=ask) as signer:
        signature = signer.sign(data)

``pkcs11:`` is any PKCS#11 module by its path, ``awskms:`` a key in AWS KMS, ``file:`` an encrypted PKCS#8 file, and
`register_signer` adds a scheme.
`SigningProcesses` is the same signer in several processes, for bulk. Every failure is a `SigningError` with a stable
code and what to do about it; a PIN or password is in no message.

Threads may share a signer. SoftHSM serialises inside, so there threads gain nothing and `SigningProcesses` does; a
networked HSM answers several threads at once.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self, TypeAlias

from issuer.children import KEY_STORE_VARIABLES, Child
from issuer.hsm import create_token, open_pool
from issuer.key_uri import (
    Pkcs11Uri,
    Secret,
    SecretHandler,
    file_of,
    invalid_uri,
    scheme_of,
    secret_from_environment,
    secret_from_file,
)
from issuer.kms import KmsSigner, generate_kms_key, open_kms_signer
from issuer.token_keys import SIGNING_CURVES, Held, Pkcs11Signer, StoredKey, generate_token_key, list_token_keys
from mdl.errors import MdlError, SigningError
from mdl.keys import PublicKey, Signer, SoftwareSigner, signature_of

__all__ = [
    "Held",
    "KmsSigner",
    "Pkcs11Signer",
    "Pkcs11Uri",
    "SecretHandler",
    "SigningProcesses",
    "StoredKey",
    "find_softhsm",
    "generate_key",
    "init_softhsm_token",
    "list_keys",
    "open_signer",
    "register_signer",
    "secret_from_environment",
    "secret_from_file",
    "softhsm_environment",
]

SignerFactory: TypeAlias = Callable[[str, SecretHandler], AbstractContextManager[Signer]]
"""Called with the URI and the secret handler; its context gives the signer and closes it."""

_log = logging.getLogger(__name__)

_MAX_KEY_FILE: Final = 65_536
"""Largest key file read, in bytes."""


# --- Opening ---------------------------------------------------------------------------------------------------------


def open_signer(uri: str, *, secret: SecretHandler) -> AbstractContextManager[Signer]:
    """Open the key that a URI names.

    Args:
        uri: ``pkcs11:…`` (RFC 7512, with ``module-path``), ``awskms:…`` (key id, alias or ARN), ``file:…`` (encrypted
            PKCS#8 PEM), or a registered scheme.
        secret: Asked for the PIN or password when it is needed, unless the URI names a ``pin-source``. For ``awskms:``
            it is not asked: credentials are found by boto3.

    Returns:
        A context that opens the signer on entry and closes it on exit. Before the signer is given out, its private key
        has made a signature that its public key verified.

    Raises:
        SigningError: The URI is not usable; on entry: the module, the token, the key or the secret is missing or wrong.
    """
    factory = _factories.get(scheme_of(uri))
    if factory is None:
        raise SigningError(
            f"no signer is registered for {scheme_of(uri)}: URIs (known: {', '.join(sorted(_factories))})",
            code="signing.scheme_unknown",
        )
    return factory(uri, secret)


def register_signer(scheme: str, factory: SignerFactory) -> None:
    """Make `open_signer` serve one more URI scheme, for a custodian of your own.

    Args:
        scheme: The scheme in lower case, without the colon.
        factory: Makes the signer; see `SignerFactory`. What it raises should be `SigningError`.

    Raises:
        ValueError: The scheme is malformed or taken.
    """
    if scheme != scheme_of(scheme + ":"):
        raise ValueError("a scheme is written in lower case")
    if scheme in _factories:
        raise ValueError(f"the scheme {scheme}: is taken")
    _factories[scheme] = factory


@contextmanager
def _open_token_signer(uri: str, secret: SecretHandler) -> Iterator[Signer]:
    parsed = Pkcs11Uri.parse(uri)
    if parsed.label is None and parsed.id is None:
        raise invalid_uri("name the key: object=LABEL or id=%…")
    with open_pool(parsed, secret) as pool:
        signer = Pkcs11Signer(pool, parsed)
        try:
            yield signer
        finally:
            signer.close()


@contextmanager
def _open_file_signer(uri: str, secret: SecretHandler) -> Iterator[Signer]:
    path = file_of(uri)
    try:
        with path.open("rb") as stream:
            pem = stream.read(_MAX_KEY_FILE + 1)
    except FileNotFoundError as exc:
        raise SigningError(f"there is no key file {path}", code="signing.key_missing") from exc
    except OSError as exc:
        raise SigningError(f"cannot read the key file {path}: {exc.strerror}", code="signing.key_unreadable") from exc
    if len(pem) > _MAX_KEY_FILE:
        raise SigningError(f"{path} is too large for a key file", code="signing.key_malformed")
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in pem:
        if b"PRIVATE KEY-----" in pem:
            raise SigningError(
                f"the key in {path} is not encrypted PKCS#8; encrypt it: "
                "openssl pkcs8 -topk8 -v2 aes-256-cbc -in … -out …",
                code="signing.key_unencrypted",
            )
        raise SigningError(f"{path} holds no private key in PEM", code="signing.key_malformed")
    password = Secret.ask(secret, f"password of key file {path}")
    try:
        signer = SoftwareSigner.from_pkcs8(pem, password=password.reveal().encode())
    except SigningError:
        raise
    except MdlError as exc:
        raise SigningError(f"the key in {path} is not one that signs here", code="signing.key_unusable") from exc
    yield signer


def _open_cloud_signer(uri: str, _: SecretHandler) -> AbstractContextManager[Signer]:
    return open_kms_signer(uri)


_factories: dict[str, SignerFactory] = {
    "pkcs11": _open_token_signer,
    "file": _open_file_signer,
    "awskms": _open_cloud_signer,
}
_BUILT_IN: Final = frozenset(_factories)


# --- Making and listing keys -----------------------------------------------------------------------------------------


def generate_key(uri: str, curve: str, *, secret: SecretHandler) -> PublicKey:
    """Make a new signing key where a URI says.

    Args:
        uri: ``pkcs11:`` with the new key's ``object``, ``awskms:`` with the new key's alias, or ``file:`` for an
            encrypted PKCS#8 file that does not exist.
        curve: A name of `mdl.keys.CURVES`.
        secret: Asked for the token's PIN, or for the password that will encrypt the file.

    Returns:
        The public half. In a token or in KMS, the private half is never extractable, and for signing only.

    Raises:
        SigningError: A key of that name exists (code ``signing.key_exists``), or the key cannot be made.
    """
    scheme = scheme_of(uri)
    if scheme == "pkcs11":
        return generate_token_key(Pkcs11Uri.parse(uri), curve, secret=secret)
    if scheme == "awskms":
        return generate_kms_key(uri, curve)
    if scheme != "file":
        raise SigningError(f"keys cannot be made by {scheme}: URIs", code="signing.scheme_unknown")
    path = file_of(uri)
    if curve not in SIGNING_CURVES:
        raise SigningError("no signing key can be made on the curve asked for", code="signing.curve_unsupported")
    try:
        if path.exists():
            raise FileExistsError
        signer = SoftwareSigner.generate(curve)
        password = Secret.ask(secret, f"password for new key file {path}")
        _write_new_file(path, signer.to_pkcs8(password=password.reveal().encode()))
    except FileExistsError as exc:
        raise SigningError(f"{path} exists: a key is never overwritten", code="signing.key_exists") from exc
    except OSError as exc:
        raise SigningError(f"cannot write {path}: {exc.strerror}", code="signing.key_unwritable") from exc
    return signer.public_key


def _write_new_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole or not at all, never over another."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def list_keys(uri: str, *, secret: SecretHandler) -> list[StoredKey]:
    """List the private keys on a token.

    Args:
        uri: ``pkcs11:`` naming the token; ``object`` and ``id`` narrow the list.
        secret: Asked for the user PIN.

    Raises:
        SigningError: The token cannot be opened or read, or the URI names no token.
    """
    return list_token_keys(Pkcs11Uri.parse(uri), secret=secret)


# --- A local SoftHSM token -------------------------------------------------------------------------------------------

_SOFTHSM_PLACES: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
_SOFTHSM_CONFIGURATION: Final = "softhsm2.conf"


def find_softhsm() -> Path:
    """Where the SoftHSM module is installed.

    Raises:
        SigningError: Nowhere that we know (code ``signing.module_missing``).
    """
    for place in map(Path, _SOFTHSM_PLACES):
        if place.exists():
            return place
    raise SigningError(
        "SoftHSM is not installed: Debian: apt-get install softhsm2; macOS: brew install softhsm",
        code="signing.module_missing",
    )


def softhsm_environment(directory: str | os.PathLike[str]) -> Mapping[str, str]:
    """The environment in which SoftHSM finds the tokens of a folder made by `init_softhsm_token`.

    A token is looked for where the variable points when it is opened. A URI with ``softhsm2-conf`` needs no variable
    (`issuer.key_uri.Pkcs11Uri`).
    """
    return MappingProxyType({"SOFTHSM2_CONF": str(Path(directory).absolute() / _SOFTHSM_CONFIGURATION)})


def init_softhsm_token(
    directory: str | os.PathLike[str],
    label: str,
    *,
    so_pin: str,
    user_pin: str,
    module: str | os.PathLike[str] | None = None,
) -> str:
    """Make a SoftHSM token in a folder: for demonstrations, tests and development.

    The folder and everything in it is for its owner only. The token is made through PKCS#11 in this process: the PINs
    are on no command line and in no environment.

    Args:
        directory: The folder; it is made where missing. Several tokens may lie in one.
        label: The token's label, 1 to 32 bytes in UTF-8.
        so_pin: The security officer's PIN, 4 to 255 bytes.
        user_pin: The user's PIN, 4 to 255 bytes.
        module: Path of the SoftHSM module, where `find_softhsm` does not find it.

    Returns:
        The ``pkcs11:`` URI of the token. It opens in a process with the `softhsm_environment` of the folder, or with
        the folder's configuration as its ``softhsm2-conf``.

    Raises:
        SigningError: A token of that label exists there, a PIN has an impossible length, SoftHSM is not installed, or
            the folder cannot be written.
    """
    so, user = Secret(so_pin), Secret(user_pin)
    del so_pin, user_pin  # a traceback shows variables
    if not all(4 <= len(pin.reveal().encode()) <= 255 for pin in (so, user)):
        raise SigningError("a PIN of SoftHSM has 4 to 255 bytes", code="signing.pin_invalid")
    if not 1 <= len(label.encode()) <= 32 or label != label.strip() or "\0" in label:
        raise invalid_uri("a token label has 1 to 32 bytes and no blank at its ends")
    path = Path(module).absolute() if module is not None else find_softhsm()
    uri = str(Pkcs11Uri(module_path=str(path), token=label))
    folder = Path(directory).absolute()
    tokens = folder / "tokens"
    configuration = (
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"
    )
    if "\n" in str(tokens):
        raise SigningError("SoftHSM takes no folder with a line end in its name", code="signing.token_failed")
    try:
        for part in (folder, tokens):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.chmod(0o700)
        file = folder / _SOFTHSM_CONFIGURATION
        if not file.exists():
            _write_new_file(file, configuration.encode())
        elif file.read_bytes() != configuration.encode():
            raise SigningError(f"{file} is not ours: choose an empty folder", code="signing.token_exists")
    except OSError as exc:
        raise SigningError(f"cannot prepare the folder {folder}: {exc.strerror}", code="signing.token_failed") from exc
    create_token(str(path), label, configuration=str(file), so_pin=so, user_pin=user)
    try:
        for made in tokens.rglob("*"):
            made.chmod(0o700 if made.is_dir() else 0o600)
    except OSError as exc:
        raise SigningError(f"cannot protect the folder {tokens}: {exc.strerror}", code="signing.token_failed") from exc
    return uri


# --- Several processes -----------------------------------------------------------------------------------------------
#
# What a worker sends: ("secret", prompt), answered with the secret; ("ready", SPKI); ("signatures", [bytes]);
# ("refused", message, code, retryable). What it gets: lists of messages to sign. When the pipe ends, it ends.

_START_PATIENCE: Final = 120.0
"""Seconds until a worker must have opened its signer."""

_CHUNK: Final = 64
"""Most messages that travel to a worker at once."""

_CHUNK_PATIENCE: Final = 120.0
"""Seconds until a chunk must be signed."""


def _asking(connection: Connection) -> SecretHandler:
    """A handler that asks the parent process."""

    def ask(prompt: str) -> str:
        connection.send(("secret", prompt))
        return str(connection.recv())

    return ask


@contextmanager
def _reporting(connection: Connection) -> Iterator[None]:
    """Send what went wrong to the parent process, which is who can do something about it."""
    # Ctrl-C goes to the whole process group; the parent decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    except SigningError as exc:
        connection.send(_refusal(exc))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        _log.debug("the parent process is gone")
    except Exception as exc:  # noqa: BLE001 - the last stop of a process: whatever it is, the parent is told
        failure = SigningError(f"a signing process failed ({type(exc).__name__})", code="signing.worker_failed")
        connection.send(_refusal(failure))
    finally:
        connection.close()


def _refusal(error: SigningError) -> tuple[Any, ...]:
    return "refused", error.message, error.code, error.retryable


def _sign_main(connection: Connection, uri: str, factory: SignerFactory | None) -> None:
    """Sign what comes through the pipe; `factory` is that of a scheme that somebody registered."""
    make = factory or (lambda uri, secret: open_signer(uri, secret=secret))
    with _reporting(connection), make(uri, _asking(connection)) as signer:
        connection.send(("ready", signer.public_key.spki))
        while True:
            messages: list[bytes] = connection.recv()
            try:
                answer: tuple[Any, ...] = ("signatures", [signature_of(signer, message) for message in messages])
            except SigningError as exc:
                answer = _refusal(exc)
            connection.send(answer)


class _Worker:
    """A spawned process and the pipe to it.

    Attributes:
        lost: Whether it ended, hangs or said something that we cannot understand; `stop` is all that is left to do.
    """

    def __init__(self, main: Callable[..., None], arguments: tuple[Any, ...], more: Iterable[str] = ()) -> None:
        self.lost = False
        self._process = Child(main, arguments, more=(*KEY_STORE_VARIABLES, *more))
        self._connection = self._process.connection

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def answer_secrets(self, answer: Callable[[str], Secret]) -> Any:
        """Answer what the worker asks for until it is ready; returns what it says then."""
        while True:
            kind, value = self._receive(
                _START_PATIENCE,
                "a signing process ended before it was ready",
            )
            if kind != "secret":
                return value
            self._send(answer(value).reveal())

    def sign(self, messages: Sequence[bytes]) -> list[bytes]:
        self._send(list(messages))
        _, signatures = self._receive(
            _CHUNK_PATIENCE,
            "a signing process ended or hangs; what it was signing is lost, the next call starts a new one",
        )
        return list(signatures)

    def stop(self) -> None:
        """Let the worker end, and see to it that it does."""
        self._connection.close()
        self._process.join(0 if self.lost else 5)
        if self._process.is_alive():
            self._process.kill()  # not SIGTERM: it may be stopped, or inside a call that hangs
            self._process.join()

    def _send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError:
            # The worker is gone, and `_receive` says so. Not here: a traceback of this frame could show a secret.
            self.lost = True

    def _receive(self, patience: float, otherwise: str) -> tuple[str, Any]:
        """What the worker says next; raises what it refused, or `otherwise` where it says nothing."""
        try:
            if not self.lost and self._connection.poll(patience):
                kind, *values = self._connection.recv()
                if kind == "refused":
                    message, code, retryable = values
                    raise SigningError(message, code=code, retryable=retryable)
                return kind, values[0]
        except (EOFError, OSError) as exc:
            _log.debug("a signing process is gone: %s", type(exc).__name__)
        self.lost = True
        raise SigningError(otherwise, code="signing.worker_lost", retryable=True)


class SigningProcesses:
    """One key, opened in several spawned processes with a session each; a `Signer` itself.

    For bulk signing with a token that works one call at a time in a process, as SoftHSM does, or to use several cores
    with a key file. The processes get a short list of environment variables (`issuer.children`). For a scheme that
    `register_signer` added they import the module of its factory, which is a function of one.

    The secret is asked for once, in this process, and handed to each worker through its pipe. Safe in several threads.
    """

    def __init__(
        self, uri: str, *, secret: SecretHandler, processes: int | None = None, variables: Iterable[str] = ()
    ) -> None:
        """Start the processes and open the key in each.

        Args:
            uri: As for `open_signer`.
            secret: Asked once for the PIN or password.
            processes: How many; by default one for each CPU.
            variables: Names of environment variables that the processes need beside those of the list, as the PKCS#11
                module of a vendor may.

        Raises:
            SigningError: The key cannot be opened; a PIN is tried once, not once a process.
            ValueError: Fewer than one process.
        """
        count = (os.cpu_count() or 1) if processes is None else processes
        if count < 1:
            raise ValueError("at least one process is needed")
        self._uri = uri
        self._variables = tuple(variables)
        self._secret = secret
        self._answers: dict[str, Secret] = {}
        self._pid = os.getpid()
        self._closed = False
        self._refused: SigningError | None = None
        self._count = count
        # A place holds a worker, or None where one is to be started. The last one used is the next.
        self._places: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="signing-process")
        self._closing = threading.Lock()
        # The first alone: what is wrong with the PIN shall be found out once.
        workers = [self._start()]
        try:
            self._public_key = self._greet(workers[0])
            workers += [self._start() for _ in range(count - 1)]
            for worker in workers[1:]:
                self._greet(worker, self._public_key)
        except BaseException:
            for worker in workers:
                worker.stop()
            raise
        for worker in workers:
            self._places.put(worker)

    @property
    def public_key(self) -> PublicKey:
        """The public half of the key."""
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        """Sign `data` in one of the processes; see `mdl.keys.Signer.sign`."""
        return self._sign_chunk([data])[0]

    def sign_many(self, messages: Sequence[bytes]) -> list[bytes]:
        """Sign many messages, spread over the processes.

        Args:
            messages: What to sign, each whole.

        Returns:
            The raw signatures, in the order of the messages: all of them.

        Raises:
            SigningError: One could not be signed; then none is returned.
        """
        size = max(1, min(_CHUNK, -(-len(messages) // self._count)))
        chunks = [messages[start : start + size] for start in range(0, len(messages), size)]
        if len(chunks) <= 1:
            return self._sign_chunk(chunks[0]) if chunks else []
        self._check_usable()
        try:
            futures = [self._threads.submit(self._sign_chunk, chunk) for chunk in chunks]
        except RuntimeError as exc:  # closed by another thread since the check
            raise _closed() from exc
        try:
            return [signature for future in futures for signature in future.result()]
        except CancelledError as exc:
            raise _closed() from exc
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the processes; calls under way in other threads are waited for."""
        with self._closing:
            if self._closed or os.getpid() != self._pid:
                return
            self._closed = True
        self._threads.shutdown(cancel_futures=True)
        for worker in [self._places.get() for _ in range(self._count)]:
            if worker is not None:
                worker.stop()
            self._places.put(None)  # for those who wait for a place: they get one, and see that all is closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SigningProcesses({self._count})"

    def _sign_chunk(self, messages: Sequence[bytes]) -> list[bytes]:
        self._check_usable()
        worker = self._places.get()
        try:
            self._check_usable()
            if worker is not None and not worker.alive:
                _log.warning("a signing process ended while it was idle: starting a new one")
                worker.stop()
                worker = None
            if worker is None:
                worker = self._start()
                self._greet(worker, self._public_key)
            signatures = worker.sign(messages)
            size = self._public_key.curve.signature_size
            if len(signatures) != len(messages) or any(len(signature) != size for signature in signatures):
                worker.lost = True
                raise SigningError("a signing process answered nonsense", code="signing.malformed_signature")
            return signatures
        finally:
            if worker is not None and worker.lost:
                worker.stop()
                worker = None
            self._places.put(worker)

    def _check_usable(self) -> None:
        if os.getpid() != self._pid:
            raise SigningError("signing processes belong to the process that made them", code="signing.forked")
        if self._closed:
            raise _closed()
        if self._refused is not None:
            raise SigningError(self._refused.message, code=self._refused.code)

    def _start(self) -> _Worker:
        scheme = scheme_of(self._uri)
        factory = None if scheme in _BUILT_IN else _factories.get(scheme)
        if factory is not None and getattr(factory, "__module__", None) == "__main__":
            message = f"the factory of {scheme}: is in the main module, which a signing process does not import"
            raise SigningError(message, code="signing.worker_failed")
        return _Worker(_sign_main, (self._uri, factory), self._variables)

    def _greet(self, worker: _Worker, expected: PublicKey | None = None) -> PublicKey:
        """Open the key in a new worker and see that it is the same key."""
        try:
            public_key = PublicKey.from_spki(worker.answer_secrets(self._answer))
            if expected is not None and public_key != expected:
                raise SigningError("the URI opens another key than before", code="signing.key_mismatch")
        except BaseException as exc:
            worker.lost = True
            if isinstance(exc, SigningError) and exc.code.startswith(("signing.pin_", "signing.secret_")):
                self._refused = exc  # never again: each try brings a token nearer to locking
            raise
        return public_key

    def _answer(self, prompt: str) -> Secret:
        if prompt not in self._answers:
            self._answers[prompt] = Secret.ask(self._secret, prompt)
        return self._answers[prompt]


def _closed() -> SigningError:
    return SigningError("the signer is closed", code="signing.closed")

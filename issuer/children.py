"""The processes that this package starts: commands of the operator, and signing processes.

Each gets a short list of environment variables by name, and none of the others: where a PIN or a password comes from
one (``--pin-env``), it stays with the process that was given it. A signing process gets its secret through a pipe.
Nothing else in the product starts a process.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any, Final

from mdl.errors import SigningError

__all__ = ["KEY_STORE_VARIABLES", "Child", "child_environment", "run_command", "serve"]

_ALWAYS: Final = (
    "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "LOGNAME", "PATH", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TMPDIR", "TZ", "USER",
)  # fmt: skip
KEY_STORE_VARIABLES: Final = (
    # PKCS#11 modules: where their configuration, their state and their devices are.
    "CKNFAST_LOADSHARING", "CS_PKCS11_R2_CFG", "CS_PKCS11_R3_CFG", "ChrystokiConfigurationPath", "LD_LIBRARY_PATH",
    "NFAST_HOME", "NFAST_KMDATA", "NFAST_KMLOCAL", "P11_KIT_SERVER_ADDRESS", "PKCS11_PROXY_SOCKET", "SOFTHSM2_CONF",
    "TPM2_PKCS11_STORE", "YUBIHSM_PKCS11_CONF",
    # AWS KMS: by what boto3 knows who calls, and whom.
    "AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KMS", "AWS_PROFILE", "AWS_REGION", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
)  # fmt: skip
"""What a process that opens a key needs beside what each gets."""

_BEGIN: Final = "import sys; sys.path[:] = sys.argv[2:]; from issuer.children import serve; serve(int(sys.argv[1]))"


def child_environment(more: Iterable[str] = ()) -> dict[str, str]:
    """The environment of a process that is started: what is on the list, as far as it is set here.

    Args:
        more: Names of variables beside those that each process gets.
    """
    return {name: os.environ[name] for name in (*_ALWAYS, *more) if name in os.environ}


def run_command(words: Sequence[str], data: bytes, *, timeout: float) -> int:
    """Run a program to its end, by no shell; what it prints is dropped.

    Args:
        words: The program and its arguments.
        data: Its standard input.
        timeout: Seconds until it is ended.

    Returns:
        Its exit status.

    Raises:
        OSError: It cannot be run.
        ValueError: The words are no command line.
        TimeoutError: It took too long, and was ended.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own command, by no shell
            words,
            input=data,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=child_environment(),
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise TimeoutError from exc
    return done.returncode


class Child:
    """A Python process that runs a function of a module, and the pipe to it.

    It ends when the function does. The function is given the other end of the pipe, which ends when this process does.
    It imports the function's module and what that imports, and not the main module of this program.

    Attributes:
        connection: This end of the pipe.
    """

    def __init__(self, main: Callable[..., None], arguments: tuple[Any, ...], *, more: Iterable[str] = ()) -> None:
        """Start it.

        Args:
            main: The function; it is given its end of the pipe, and the arguments.
            arguments: What `pickle` takes.
            more: As for `child_environment`.

        Raises:
            SigningError: It cannot be started (code ``signing.worker_failed``).
        """
        try:
            message = pickle.dumps((main, arguments))
        except (pickle.PicklingError, AttributeError, TypeError) as exc:
            text = "what a signing process shall run cannot be handed to it: it must be a function of a module"
            raise SigningError(text, code="signing.worker_failed") from exc
        self.connection, theirs = Pipe()
        paths = [one or os.getcwd() for one in sys.path]  # noqa: PTH109 - as a text, like the others
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter
                [sys.executable, "-I", "-c", _BEGIN, str(theirs.fileno()), *paths],
                env=child_environment(more),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        except OSError as exc:
            self.connection.close()
            text = f"cannot start a signing process: {exc.strerror}"
            raise SigningError(text, code="signing.worker_failed", retryable=True) from exc
        finally:
            theirs.close()  # so that the pipe ends when the process does
        with suppress(OSError):  # it is gone: whoever waits for what it says finds the pipe at its end
            self.connection.send_bytes(message)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, so many seconds at most."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()


def serve(descriptor: int) -> None:
    """What such a process does: run the function that comes through its pipe."""
    connection = Connection(descriptor)
    try:
        main, arguments = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the process that started this one
    except (EOFError, OSError):
        return
    main(connection, *arguments)

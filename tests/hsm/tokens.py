"""Tokens for the tests: how they are made, and what an error about them must not show."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from issuer import keystore
from mdl.errors import SigningError


@dataclass(frozen=True)
class Token:
    """A SoftHSM token, and what opens it."""

    folder: Path
    label: str
    uri: str
    pin: str = field(repr=False)
    so_pin: str = field(repr=False)

    def key(self, label: str) -> str:
        """The URI of a key on it."""
        return keystore.Pkcs11Uri.parse(self.uri).for_key(label)

    def secret(self, _prompt: str) -> str:
        return self.pin

    def generate(self, curve: str = "P-256", label: str | None = None) -> str:
        """Make a key with a fresh label; its URI."""
        uri = self.key(label or f"{curve}-{secrets.token_hex(4)}")
        keystore.generate_key(uri, curve, secret=self.secret)
        return uri

    def files(self) -> list[Path]:
        """The folder of each token in the folder."""
        return sorted((self.folder / "tokens").iterdir())


def make_token(folder: Path, label: str) -> Token:
    pin, so_pin = secrets.token_urlsafe(9), secrets.token_urlsafe(9)
    uri = keystore.init_softhsm_token(folder, label, so_pin=so_pin, user_pin=pin)
    return Token(folder=folder, label=label, uri=uri, pin=pin, so_pin=so_pin)


def missing_part() -> str | None:
    """What the tests in this folder lack, or None."""
    try:
        import pkcs11  # noqa: F401
    except ImportError:
        return "python-pkcs11 is not installed (pip install 'mdl-sdk[hsm]')"
    try:
        keystore.find_softhsm()
    except SigningError as exc:
        return exc.message
    return None


def hides(error: BaseException, *secret_values: str) -> bool:
    """Whether no secret is in an error, in what caused it, or in the variables of our own frames on the way."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    shown: list[str] = []
    while todo:
        exc = todo.pop()
        if exc is None or id(exc) in seen:
            continue
        seen.add(id(exc))
        todo += [exc.__cause__, exc.__context__]
        shown += [str(exc), repr(exc), repr(exc.args), repr(getattr(exc, "__dict__", {}))]
        trace = exc.__traceback__
        while trace is not None:
            if Path(trace.tb_frame.f_code.co_filename).parent == Path(keystore.__file__).parent:
                shown.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
    return not any(value in text for value in secret_values for text in shown)

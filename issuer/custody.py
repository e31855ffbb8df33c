"""The token of an authority, ready for use: any that a URI names, or SoftHSM in the authority's own folder.

A SoftHSM token is files, and it writes some of them anew, in their places, whenever somebody logs in. So processes take
turns with it, and what it cannot do without is kept a second time.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from issuer.folder import lock, read_file, unwritable, write_file
from issuer.keystore import (
    Pkcs11Uri,
    SecretHandler,
    find_softhsm,
    generate_key,
    init_softhsm_token,
    list_keys,
    open_signer,
    softhsm_environment,
)
from mdl.errors import SigningError
from mdl.keys import Signer

__all__ = ["PIN_FILE", "Custody", "make_softhsm", "new_softhsm_uri", "open_softhsm"]

PIN_FILE: Final = "pin"
"""Name of the file in the token's folder that holds the user's PIN, where none was given."""

_SO_PIN_FILE: Final = "so-pin"
_VARIABLE: Final = "SOFTHSM2_CONF"


@dataclass(frozen=True, slots=True)
class Custody:
    """A token and what opens it.

    Attributes:
        uri: The token.
        secret: Asked for its PIN.
    """

    uri: Pkcs11Uri
    secret: SecretHandler

    def open(self, key: str) -> AbstractContextManager[Signer]:
        """Open the key of that label; see `issuer.keystore.open_signer`."""
        return open_signer(self.uri.for_key(key), secret=self.secret)

    def generate(self, key: str, curve: str) -> None:
        """Make a key of that label; see `issuer.keystore.generate_key`."""
        generate_key(self.uri.for_key(key), curve, secret=self.secret)

    def labels(self) -> set[str]:
        """The labels of the private keys in the token."""
        return {one.label for one in list_keys(str(self.uri), secret=self.secret)}


def new_softhsm_uri() -> str:
    """The URI of a SoftHSM token that is still to be made; labels are distinct, since a process may use several.

    Raises:
        SigningError: SoftHSM is not installed (code ``signing.module_missing``).
    """
    return str(Pkcs11Uri(module_path=str(find_softhsm()), token=f"mdl-{secrets.token_hex(4)}"))


def make_softhsm(folder: Path, uri: str, *, secret: SecretHandler, draw_pin: bool) -> None:
    """Make a SoftHSM token in a folder that does not exist.

    Args:
        folder: The folder.
        uri: What `new_softhsm_uri` gave.
        secret: Asked for the user's PIN that the token shall have.
        draw_pin: Draw a PIN first and leave it in the folder, in `PIN_FILE`.

    Raises:
        SigningError: The folder cannot be written, or SoftHSM refused.
    """
    try:
        folder.mkdir(mode=0o700)
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    if draw_pin:
        write_file(folder / PIN_FILE, f"{secrets.token_hex(16)}\n".encode(), private=True)
    so_pin = secrets.token_hex(16)
    write_file(folder / _SO_PIN_FILE, f"{so_pin}\n".encode(), private=True)
    label = Pkcs11Uri.parse(uri).token or ""
    init_softhsm_token(folder, label, so_pin=so_pin, user_pin=secret(f"PIN for the new token '{label}'"))
    for file in _token_files(folder):
        write_file(_spare_of(file), read_file(file), private=True)


@contextmanager
def open_softhsm(folder: Path) -> Iterator[None]:
    """Make the SoftHSM token of a folder usable in this process, and no other, while the context is open.

    Raises:
        SigningError: There is no token in the folder (code ``signing.token_missing``), the folder was moved
            (``authority.moved``), or another process keeps the token (``authority.busy``).
    """
    settings = softhsm_environment(folder)
    file = Path(settings[_VARIABLE])
    if not file.exists():
        message = f"the token folder {folder} is missing or incomplete: restore it; its keys exist nowhere else"
        raise SigningError(message, code="signing.token_missing")
    if f"= {folder / 'tokens'}\n" not in read_file(file).decode("utf-8", "replace"):
        message = f"the authority's folder was moved: write its new place into {file} (directories.tokendir)"
        raise SigningError(message, code="authority.moved")
    with lock(folder, exclusive=True):
        _mend(folder)
        before = os.environ.get(_VARIABLE)
        os.environ.update(settings)
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before


def _token_files(folder: Path) -> list[Path]:
    try:
        return [token / "token.object" for token in (folder / "tokens").iterdir()]
    except OSError as exc:
        message = f"cannot read {folder / 'tokens'}: {exc.strerror}: restore the folder; its keys exist nowhere else"
        raise SigningError(message, code="signing.token_missing") from exc


def _spare_of(file: Path) -> Path:
    return file.parents[2] / f"spare-{file.parent.name}"


def _mend(folder: Path) -> None:
    """Put back what a crash or a full disk has taken from a token.

    What is needed of the file is in it from the beginning, so the first copy serves.
    """
    for file in _token_files(folder):
        spare = _spare_of(file)
        if spare.exists() and (not file.exists() or file.stat().st_size < spare.stat().st_size):
            write_file(file, read_file(spare), private=True)

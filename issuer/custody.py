"""The token of an authority, ready for use: any that a URI names, or SoftHSM in the authority's own folder.

In AWS KMS the token is a prefix of aliases: ``awskms:///alias/dmv?region=…`` has the key ds-1 as ``alias/dmv/ds-1``.
There is no PIN: whom AWS takes boto3's credentials for decides. A slash ends the prefix, so a policy that grants
``alias/dmv/*`` grants this token and no other.

A SoftHSM token is files, and it writes some of them anew, in their places, whenever somebody logs in or makes a key.
So processes and threads take turns with it, and what it cannot do without is kept a second time. Who is logged in for
long, as an issuing service is, takes a turn for each batch that it signs, and leaves the token to others in between.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from issuer.aws import AwsUri, call, connect, malformed_answer, member
from issuer.folder import PinSource, exposure, lock, read_file, unwritable, write_file
from issuer.key_uri import invalid_uri, scheme_of
from issuer.keystore import (
    Held,
    Pkcs11Uri,
    SecretHandler,
    find_softhsm,
    generate_key,
    init_softhsm_token,
    open_signer,
    softhsm_environment,
)
from issuer.token_keys import clear_half_pair, held_labels, list_token_keys
from mdl.errors import SigningError
from mdl.keys import PublicKey, Signer, signing_key_of

__all__ = [
    "PIN_FILE",
    "Custody",
    "KmsToken",
    "Turn",
    "check_token",
    "configuration_of",
    "make_softhsm",
    "new_softhsm_uri",
    "open_softhsm",
    "parse_token",
]

PIN_FILE: Final = "pin"
"""Name of the file in the token's folder that holds the user's PIN, where none was given."""

_SO_PIN_FILE: Final = "so-pin"
_KMS: Final = "awskms"
_MAX_ALIAS: Final = 256
"""Longest alias in KMS, with its ``alias/``."""

_MAX_PAGES: Final = 1_000
"""Pages of aliases that are read, of up to 100 each."""

_PATIENCE: Final = 30.0
"""Seconds to wait until KMS finds a key that was made by its alias."""

_PAUSE: Final = 0.5
"""Seconds between two questions whether it does."""


class Turn:
    """The turn to use a token; a token that needs none is always to be had.

    Threads that share one of these have their turn together.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Make it for a SoftHSM token's folder, or for a token that is nobody's turn."""
        self._folder = folder
        self._mutex = threading.Lock()
        self._users = 0
        self._held = ExitStack()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Have the turn while the context is open.

        Raises:
            SigningError: Others do not let go of it (code ``authority.busy``).
        """
        self.take()
        try:
            yield
        finally:
            self.let_go()

    def take(self) -> None:
        """Wait for the turn; raises as `taken` does."""
        with self._mutex:
            if self._users == 0 and self._folder is not None:
                self._held.enter_context(lock(self._folder, exclusive=True))
            self._users += 1

    def let_go(self) -> None:
        """Leave the turn to others; whoever else of this process has it keeps it."""
        with self._mutex:
            self._users = max(self._users - 1, 0)
            if self._users == 0:
                self._held.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsToken:
    """A prefix of aliases in AWS KMS, used as a token: ``awskms:///alias/PREFIX?region=…``.

    Attributes:
        prefix: What the alias of each key begins with, before a slash and the key's label.
    """

    prefix: AwsUri

    @classmethod
    def parse(cls, uri: str) -> KmsToken:
        """Read a URI.

        Raises:
            SigningError: It is not one that we can serve (code ``signing.uri_invalid``). The message holds no values.
        """
        prefix = AwsUri.parse(uri, scheme=_KMS)
        if not re.fullmatch(r"alias(?:/[A-Za-z0-9_-]+)+", prefix.resource):
            reason = "name the prefix of the keys' aliases, not a key: awskms:///alias/PREFIX?region=REGION"
            raise invalid_uri(reason)
        return cls(prefix=prefix)

    def for_key(self, label: str) -> str:
        """The URI of the key of that label.

        Raises:
            SigningError: The label makes no alias (code ``signing.uri_invalid``).
        """
        return str(replace(self.prefix, resource=self._alias(label)))

    def await_key(self, label: str) -> None:
        """Wait until a key that was made is found by its alias, which takes KMS some seconds.

        Whatever else is wrong with it is for those to hear who open it.
        """
        deadline = time.monotonic() + _PATIENCE
        with connect("kms", self.prefix) as client:
            while time.monotonic() < deadline:
                try:
                    call(client.get_public_key, KeyId=self._alias(label))
                except SigningError as exc:
                    if exc.code == "signing.key_missing":
                        time.sleep(_PAUSE)
                        continue
                return

    def labels(self) -> set[str]:
        """The labels that are taken: an alias keeps its own for as long as KMS has it, whatever it points at.

        Raises:
            SigningError: KMS refused, failed, or does not come to an end.
        """
        beginning = f"{self.prefix.resource}/"
        found: set[str] = set()
        place: dict[str, str] = {}
        with connect("kms", self.prefix) as client:
            for _ in range(_MAX_PAGES):
                answer = call(client.list_aliases, Limit=100, **place)
                for alias in member(answer, "Aliases", list):
                    name = alias.get("AliasName") if isinstance(alias, dict) else None
                    if not isinstance(name, str):
                        raise malformed_answer("an alias without a name")
                    if name.startswith(beginning):
                        found.add(name.removeprefix(beginning))
                if answer.get("Truncated") is not True:
                    return found
                place = {"Marker": member(answer, "NextMarker", str)}
        raise malformed_answer(f"more than {_MAX_PAGES} pages of aliases")

    def describe(self) -> str:
        """The token as a message names it."""
        return f"the keys below '{self.prefix.resource}' in AWS KMS"

    def _alias(self, label: str) -> str:
        alias = f"{self.prefix.resource}/{label}"
        if not re.fullmatch(r"[A-Za-z0-9_-]+", label) or len(alias) > _MAX_ALIAS:
            reason = f"a key's label ends its alias: letters, digits, - and _, and at most {_MAX_ALIAS} with the prefix"
            raise invalid_uri(reason)
        return alias


def parse_token(uri: str) -> Pkcs11Uri | KmsToken:
    """Read the URI of an authority's token.

    Raises:
        SigningError: It is not one that we can serve (code ``signing.uri_invalid``). The message holds no values.
    """
    return KmsToken.parse(uri) if scheme_of(uri) == _KMS else Pkcs11Uri.parse(uri)


def check_token(uri: str, pin: PinSource | None) -> None:
    """Refuse what is no token in which an authority can make its keys.

    Args:
        uri: The URI that was named.
        pin: Where its PIN was said to come from.

    Raises:
        SigningError: The URI is not usable or names a key, or it is of a token without a PIN and there is one (code
            ``signing.uri_invalid``).
    """
    token = parse_token(uri)
    if isinstance(token, Pkcs11Uri):
        if token.label is not None or token.id is not None:
            message = "name the token only, without object= or id=: the authority makes its keys in it"
            raise SigningError(message, code="signing.uri_invalid")
    elif pin is not None:
        message = "AWS KMS asks for no PIN: leave it out; boto3 finds the credentials"
        raise SigningError(message, code="signing.uri_invalid")


@dataclass(frozen=True, slots=True)
class Custody:
    """A token and what opens it.

    Attributes:
        uri: The token.
        secret: Asked for its PIN, if it has one.
        turn: The turn to use it; taken already.
    """

    uri: Pkcs11Uri | KmsToken
    secret: SecretHandler
    turn: Turn = field(default_factory=Turn)

    def open(self, key: str) -> AbstractContextManager[Signer]:
        """Open the key of that label; see `issuer.keystore.open_signer`."""
        return open_signer(self.uri.for_key(key), secret=self.secret)

    def generate(self, key: str, curve: str) -> None:
        """Make a key of that label; see `issuer.keystore.generate_key`."""
        generate_key(self.uri.for_key(key), curve, secret=self.secret)
        if isinstance(self.uri, KmsToken):
            self.uri.await_key(key)

    def held(self) -> dict[str, Held]:
        """The labels that no new key can have, and what holds each: the one answer to whether a label is taken."""
        if isinstance(self.uri, KmsToken):
            return dict.fromkeys(self.uri.labels(), Held.PAIR)
        return held_labels(self.uri, secret=self.secret)

    def labels(self) -> set[str]:
        """The labels that no new key can have."""
        return {*self.held()}

    def examine(self, key: str) -> PublicKey:
        """The key of that label, which somebody else made, as one that may be taken.

        Raises:
            SigningError: There is no such key, or the token would give it away (code ``signing.key_unprotected``).
        """
        with self.open(key) as signer:
            public_key = signing_key_of(signer)
        if isinstance(self.uri, Pkcs11Uri):
            stored = list_token_keys(replace(self.uri, label=key), secret=self.secret)
            if any(one.extractable for one in stored):
                message = f"the token would give the key '{key}' away: make one that is not extractable"
                raise SigningError(message, code="signing.key_unprotected")
        return public_key

    def clear_half_pair(self, key: str) -> Held | None:
        """Delete half of a pair under that label, which the caller knows to be its own; what was there."""
        if isinstance(self.uri, KmsToken):
            return None
        return clear_half_pair(replace(self.uri, label=key), secret=self.secret)


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


def configuration_of(folder: Path) -> str:
    """Where the configuration of the SoftHSM token in a folder lies: `issuer.key_uri.Pkcs11Uri.configuration`."""
    return softhsm_environment(folder)["SOFTHSM2_CONF"]


@contextmanager
def open_softhsm(folder: Path) -> Iterator[Turn]:
    """Have the SoftHSM token of a folder to oneself while the context is open.

    Yields:
        The turn, which is taken: as long as it is, no other process or thread uses the token.

    Raises:
        SigningError: There is no token in the folder (code ``signing.token_missing``), the folder was moved
            (``authority.moved``), or another process keeps the token (``authority.busy``).
    """
    file = Path(configuration_of(folder))
    if not file.exists():
        message = f"the token folder {folder} is missing or incomplete: restore it; its keys exist nowhere else"
        raise SigningError(message, code="signing.token_missing")
    if f"= {folder / 'tokens'}\n" not in read_file(file).decode("utf-8", "replace"):
        message = f"the authority's folder was moved: write its new place into {file} (directories.tokendir)"
        raise SigningError(message, code="authority.moved")
    found = exposure(folder, secret=True)
    if found is not None and found.is_open:
        message = f"{found.text}: chmod 700 {folder}, and change its PINs"
        raise SigningError(message, code="signing.secret_open")
    turn = Turn(folder)
    with turn.taken():
        _mend(folder)
        yield turn


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

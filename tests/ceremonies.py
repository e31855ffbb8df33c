"""Ceremonies for the tests: two operators with their phrases, scripts, and tokens that know nothing of each other."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from issuer import keystore
from issuer.ceremony import Announcement, Operator, Phrase, enrol, script
from tests.hsm.tokens import Token, make_token
from tests.parts import look_again

# It takes a sixth of a second, on purpose, and the ceremonies of the tests confirm hundreds of times with two phrases.
script._stretch = cache(script._stretch)

PHRASES = {"Ada Sample": "a heron stands in the reeds", "Bo Sample": "seven lamps on the quay"}
_ENROLLED = {name: enrol(phrase) for name, phrase in PHRASES.items()}

ROOT = """
[[steps]]
do = "root"
country = "XU"
state = "XU-EX"
organization = "Utopia Motor Vehicles"
common_name = "Utopia Motor Vehicles IACA"
crl_url = "https://mdl.example/iaca.crl"
contact_uri = "https://mdl.example"
"""
RECORD = '\n[[steps]]\ndo = "record"\n'


def head(token: str = "pkcs11:token=root?module-path=/usr/lib/a-module.so", **changes: str) -> str:
    """The beginning of a script, up to its steps."""
    lines = ["version = 1", 'title = "Root key of Utopia Motor Vehicles"', *(f"{k} = {v}" for k, v in changes.items())]
    lines += ["", "[token]", f'uri = "{token}"']
    for name, phrase in _ENROLLED.items():
        lines += ["", "[[operators]]", f'name = "{name}"', f'phrase = "{phrase}"']
    return "\n".join(lines) + "\n"


def opening(expect: str = "new", curve: str = "P-256") -> str:
    """The two steps that every ceremony begins with."""
    return f'\n[[steps]]\ndo = "token"\n\n[[steps]]\ndo = "key"\nexpect = "{expect}"\ncurve = "{curve}"\n'


def first_script(token: str = "pkcs11:token=root?module-path=/usr/lib/a-module.so", **changes: str) -> str:
    """A script that makes a root."""
    return head(token, **changes) + opening() + ROOT + RECORD


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def both(operator: Operator, _: Announcement) -> Phrase | None:
    """Two operators who confirm everything."""
    return Phrase(text=PHRASES[operator.name], means="program")


def only(*names: str) -> Callable[[Operator, Announcement], Phrase | None]:
    """Confirms for some of the operators; the others are not there."""
    return lambda operator, step: both(operator, step) if operator.name in names else None


@contextmanager
def token_folder(folder: Path) -> Iterator[Callable[[str], Token]]:
    """A folder of SoftHSM tokens for a module of tests; gives a function that makes one, with a PIN of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keystore.softhsm_environment(folder).items():
            patch.setenv(name, value)
        look_again()  # another folder's tokens may have been used in this process: look again
        yield lambda label: make_token(folder, f"{label}-{secrets.token_hex(4)}")

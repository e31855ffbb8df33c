"""The arguments that every verb with an authority's folder and its token has, and what becomes of them."""

from __future__ import annotations

import argparse
import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from issuer.authority import Authority
from issuer.cli.audit import secret_source
from issuer.cli.clock import now
from issuer.cli.policy import acting_as
from issuer.keystore import SecretHandler

__all__ = ["add_verb", "count", "now", "open_authority", "period", "serial"]


_PERIOD: Final = re.compile(r"([1-9][0-9]{0,4})([dwmy])\Z")
_UNITS: Final = {"d": 1, "w": 7, "m": 30, "y": 365}
_LONGEST: Final = 36_500


def add_verb(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, description: str, run: Any
) -> argparse.ArgumentParser:
    """Register a verb that works with an authority's folder and its token."""
    verb = commands.add_parser(name, help=text, description=description, allow_abbrev=False)
    verb.set_defaults(run=run)
    verb.add_argument("--dir", default="authority", metavar="DIR", help="the authority's folder (default: ./authority)")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    pin = verb.add_mutually_exclusive_group()
    pin.add_argument("--pin-env", metavar="NAME", help="take the token's PIN from this environment variable")
    pin.add_argument("--pin-file", metavar="FILE", help="take the token's PIN from this file")
    return verb


def count(text: str) -> int:
    """An argument as a whole number, at least 1."""
    if not text.isascii() or not text.isdecimal() or not 1 <= len(text) <= 6 or int(text) < 1:
        msg = "not a whole number, at least 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def period(text: str) -> timedelta:
    """An argument as days, weeks, months or years: 30d, 6w, 6m or 1y."""
    found = _PERIOD.match(text)
    days = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 1 <= days <= _LONGEST:
        msg = "a period is a number with d, w, m or y, as 30d or 5y, of a hundred years at most"
        raise argparse.ArgumentTypeError(msg)
    return timedelta(days=days)


def serial(text: str) -> int:
    """An argument as a serial number in hex, as the other verbs print it."""
    digits = text.lower().removeprefix("0x").replace(":", "")
    if not 1 <= len(digits) <= 40 or not set(digits) <= set("0123456789abcdef"):
        msg = "not a serial number in hex"
        raise argparse.ArgumentTypeError(msg)
    return int(digits, 16)


def open_authority(arguments: argparse.Namespace) -> Authority:
    """The authority that the arguments name, with its token's PIN."""
    source = secret_source(arguments.pin_env, arguments.pin_file)
    secret: SecretHandler | None = None if source is None else source.handler(Path())
    return Authority(arguments.dir, secret=secret, actor=acting_as(arguments))

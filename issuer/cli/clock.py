"""The clock of the command, and what its caller says about it: ``--clock-is-right`` and ``--clock-was-wrong``."""

from __future__ import annotations

import argparse
from typing import Final

from issuer.clock import SystemClock

__all__ = ["add_clock", "now", "trust_clock"]

now: Final = SystemClock()
"""The time, in whole seconds; as a clock, it is compared with an independent one before anything is written."""


def add_clock(parser: argparse.ArgumentParser) -> None:
    """Let the caller say that the clock is right where something speaks against it."""
    clock = parser.add_argument_group("the clock, where it is doubted").add_mutually_exclusive_group()
    clock.add_argument(
        "--clock-is-right",
        action="store_true",
        help="go on although the clock is far ahead of what it should show: somebody has looked; it is recorded",
    )
    clock.add_argument(
        "--clock-was-wrong",
        action="store_true",
        help="go on although the last event lies ahead: it was recorded with a wrong clock, which is right now; it is "
        "recorded",
    )


def trust_clock(arguments: argparse.Namespace) -> None:
    """Take what the caller says about the clock."""
    now.is_right = bool(getattr(arguments, "clock_is_right", False))
    now.was_wrong = bool(getattr(arguments, "clock_was_wrong", False))

"""The reader's part of the command line."""

from __future__ import annotations

import argparse
import sys

from mdl.cli import terminal
from mdl.errors import DecodeError
from reader.cli.diagnose import add_diagnose
from reader.cli.prefetch import add_prefetch
from reader.cli.replay import add_replay
from reader.cli.tables import add_tables
from reader.cli.trust import add_trust
from reader.cli.verify import add_verify
from reader.subject import serve

__all__ = ["add_commands"]


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs of the reader."""
    add_verify(commands)
    add_diagnose(commands)
    add_prefetch(commands)
    add_replay(commands)
    add_trust(commands)
    _add_harness(commands)
    add_tables(commands)


def _add_harness(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = commands.add_parser(
        "harness",
        aliases=["subject"],  # the older name
        help="answer a test harness on standard input and output",
        description="Speak the harness protocol: one JSON object a line on standard input, one a line on standard "
        "output, in order, until the input ends. Nothing is fetched.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_harness)


def _harness(_arguments: argparse.Namespace) -> int:
    if sys.stdin is None or sys.stdout is None:
        msg = "the harness protocol needs a standard input and a standard output"
        raise DecodeError(msg, code="input.unreadable")
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        terminal.abandon_stdout()  # whoever asked has gone, and that is how it ends
    return 0

"""Runs ``mdl`` and ends its own life at the n-th step that changes a file.

A step is a file moved to its place, a folder made, or a transaction of the store committed; death comes just before it.
Without a step of that number it runs to its end.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from issuer.store import sqlite
from mdl.cli import main
from tests import forked

CRASHED = 99
_left = 0


def _counted(step: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*arguments: Any, **options: Any) -> Any:
        global _left  # noqa: PLW0603 - counts over all kinds of steps
        _left -= 1
        if _left == 0:
            os._exit(CRASHED)  # as a kill -9 does: nothing is tidied up
        return step(*arguments, **options)

    return counted


class _Counted(sqlite._Statements):
    """Counts the commits of what changed something."""

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        connection = self._connection
        if statement == "COMMIT" and connection.total_changes != _changes.get(connection, 0):
            _changes[connection] = connection.total_changes
            _commit()
        return super().run(statement, parameters)


_changes: dict[sqlite3.Connection, int] = {}
_commit = _counted(lambda: None)


def run(words: Sequence[str]) -> int:
    """The first word is the number of the step."""
    global _left  # noqa: PLW0603
    _left = int(words[0])
    os.replace = _counted(os.replace)
    os.link = _counted(os.link)
    Path.mkdir = _counted(Path.mkdir)  # type: ignore[method-assign]
    sqlite._Statements = _Counted  # type: ignore[misc]
    return main(words[1:])


def crash_at(step: int, *words: str | Path) -> bool:
    """Run a command that dies at that step, in a process of its own; whether it got that far."""
    done = forked.run("tests.flows.crashing:run", [str(step), *map(str, words)])
    assert done.returncode in (CRASHED, 0), done.stderr
    return done.returncode == CRASHED

"""Runs ``mdl`` and ends its own life at the n-th step that changes a file: python crashing.py N WORD…

A step is a file moved to its place, a folder made, or a transaction of the store committed; death comes just before it.
Without a step of that number it runs to its end.
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from issuer.store import sqlite
from mdl.cli import main

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


if __name__ == "__main__":
    _left = int(sys.argv[1])
    Path.replace = _counted(Path.replace)  # type: ignore[method-assign]
    Path.mkdir = _counted(Path.mkdir)  # type: ignore[method-assign]
    sqlite._Statements = _Counted  # type: ignore[misc]
    sys.exit(main(sys.argv[2:]))

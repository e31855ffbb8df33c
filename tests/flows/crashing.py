"""Runs ``mdl`` and ends its own life at the n-th step that changes a file: python crashing.py N WORD…

A step is a file moved to its place or a folder made; death comes just before it. Without a step of that number it runs
to its end.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


if __name__ == "__main__":
    _left = int(sys.argv[1])
    Path.replace = _counted(Path.replace)  # type: ignore[method-assign]
    Path.mkdir = _counted(Path.mkdir)  # type: ignore[method-assign]
    sys.exit(main(sys.argv[2:]))

"""A published tree behind a server on the loopback interface, with the media types that its index names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.web import Answer, Server, ok, serving


class Tree(dict[str, Answer]):
    """The answers of a server whose document root is ``current``; what is set here goes before."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._root = folder / "current"

    def get(self, path: str, default: Any = None) -> Any:
        file = self._root / path.removeprefix("/")
        if path in self or not file.is_file():
            return super().get(path, default)
        rows = json.loads((self._root / "index.json").read_bytes())["files"]
        types = {row["path"]: row["media_type"] for row in rows}
        name = types.get(path.removeprefix("/"), "application/octet-stream")
        return ok(file.read_bytes(), f"Content-Type: {name}")


@contextmanager
def serving_tree(folder: Path) -> Iterator[Server]:
    """A server of what is published in a folder, for as long as the block lasts."""
    with serving() as server:
        server.answers = Tree(folder)
        yield server

"""What `mdl inspect` shows: a tree of names, values and notes, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mdl.cli.terminal import paint, safe, width, wrap

__all__ = ["Node", "as_json", "as_lines"]

_WIDEST_NAME: Final = 24


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the tree, and what hangs under it.

    Attributes:
        name: What it is: a member's name, an index, an element identifier.
        value: Its value in diagnostic notation, or in words; empty where the children say it all.
        note: What a reader of the standard would want to know about it.
        children: What is inside.
    """

    name: str
    value: str = ""
    note: str = ""
    children: tuple[Node, ...] = ()


def as_json(nodes: Iterable[Node]) -> list[dict[str, Any]]:
    """The nodes as plain values; what is empty is left out."""
    result = []
    for node in nodes:
        entry: dict[str, Any] = {"name": node.name}
        if node.value:
            entry["value"] = node.value
        if node.note:
            entry["note"] = node.note
        if node.children:
            entry["children"] = as_json(node.children)
        result.append(entry)
    return result


def as_lines(nodes: Sequence[Node], *, indent: str = "") -> list[str]:
    """The nodes as lines; values of leaves beside each other stand in one column, notes between slashes."""
    lines: list[str] = []
    names = [safe(node.name) for node in nodes]
    leaves = [len(name) for name, node in zip(names, nodes, strict=True) if node.value]
    column = min(max(leaves, default=0), _WIDEST_NAME)
    for name, node in zip(names, nodes, strict=True):
        start = f"{indent}{name:<{column}}  " if node.value else f"{indent}{name}"
        rest = " " * min(len(start), len(indent) + _WIDEST_NAME)
        written = wrap(safe(node.value), first=start, rest=rest) if node.value else [start]
        if node.note:
            note = f"/ {safe(node.note)} /"
            if len(written[-1]) + 2 + len(note) <= width():
                written[-1] += f"  {note}"
            else:
                written += wrap(note, first=rest, rest=f"{rest}  ")
        # The name is painted after the layout, which counts columns.
        written[0] = (
            indent
            + paint(written[0][len(indent) : len(indent) + len(name)], "bold")
            + written[0][len(indent) + len(name) :]
        )
        lines += written
        lines += as_lines(node.children, indent=indent + "  ")
    return lines

"""Remove and invert the checks of a module one by one, and see that the tests notice each.

    python scripts/mutants.py reader/verification.py reader/checks.py --tests tests/attacks tests/unit/reader
    python scripts/mutants.py reader/bundle.py:replay,_parts reader/trust.py:TrustStore --tests tests/unit/reader

Each mutant is one change of the source: a condition inverted or never true, an operand of ``and`` or ``or`` left out, a
comparison moved by its boundary, a statement that raises, fails or returns a reason left out, ``all`` and ``any`` that
always pass, a filter dropped. Function and class names after a module keep to these; ``--functions`` does so for all
modules. It runs in a copy of the checkout, with the tests stopping at the first failure. A mutant
that no test notices is printed, and the exit status is 1. Lines that end in ``# mutants: same`` are left alone: there
the change makes no difference to anybody.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
_COPIED: Final = (
    *("mdl", "issuer", "reader", "tests", "test_vectors", "fuzz", "benchmarks", "examples", "docs", "scripts"),
    *("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "requirements", ".ci"),
)
_SHIFTED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
_REFUSING_METHODS: Final = frozenset(("fail", "leave", "judge", "_fail"))
_MARK: Final = "# mutants: same"
Change = Callable[[Any], None]


@dataclass(frozen=True)
class Mutant:
    """One change: where, what, and the source that comes of it."""

    path: Path
    line: int
    what: str
    source: str


def mutants(path: Path, functions: Collection[str] = ()) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines; of some functions and classes only where they are named."""
    text = (ROOT / path).read_text("utf-8")
    tree = ast.parse(text)
    lines = text.splitlines()
    chosen = {id(node) for name in functions for place in defined(tree, name) for node in ast.walk(place)}
    for index, node in enumerate(ast.walk(tree)):
        line = getattr(node, "lineno", 0)
        if (line and lines[line - 1].endswith(_MARK)) or (functions and id(node) not in chosen):
            continue
        for what, change in _changes(node):
            again = copy.deepcopy(tree)
            target = next(one for place, one in enumerate(ast.walk(again)) if place == index)
            change(target)
            source = ast.unparse(ast.fix_missing_locations(again))
            yield Mutant(path, line, what, source)


def defined(tree: ast.AST, name: str) -> Iterator[ast.AST]:
    """The functions and classes of that name; of a method also where its class stands before it: ``Class.method``."""
    first, _, rest = name.partition(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == first:
            if rest:
                yield from defined(node, rest)
            else:
                yield node


def _changes(node: ast.AST) -> Iterator[tuple[str, Change]]:
    """The changes of one node: what it is, and a function that makes it in a copy of the node."""
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        shown = ast.unparse(node.test)
        yield f"not ({shown})", _set("test", lambda one: ast.UnaryOp(ast.Not(), one.test))
        if isinstance(node, ast.If):
            yield f"never ({shown})", _set("test", lambda _one: ast.Constant(value=False))
    if isinstance(node, ast.BoolOp):
        for place in range(len(node.values)):
            yield f"without {ast.unparse(node.values[place])}", _without_operand(place)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        kind = type(node.ops[0])
        if kind in _SHIFTED:
            yield f"boundary of {ast.unparse(node)}", _set("ops", lambda one: [_SHIFTED[type(one.ops[0])]()])
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        for place, operator in enumerate(node.ops):
            if type(operator) in _SHIFTED:
                yield f"boundary {place} of {ast.unparse(node)}", _shift(place)
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield f"inverted {ast.unparse(node)}", _set("value", lambda one: ast.UnaryOp(ast.Not(), one.value))
    if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
        yield f"no reason {ast.unparse(node)}", _set("value", lambda _one: ast.Constant(value=None))
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        yield f"no reason {ast.unparse(node)}", _set("value", lambda _one: ast.Constant(value=None))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("all", "any"):
        passing = node.func.id == "all"
        yield f"{passing} for {ast.unparse(node)}", _always(passing=passing)
    if isinstance(node, ast.comprehension) and node.ifs:
        yield f"no filter {ast.unparse(node.ifs[0])}", _set("ifs", lambda _one: [])
    for field in ("body", "orelse", "finalbody"):
        body = getattr(node, field, None)
        if isinstance(body, list):
            for place, statement in enumerate(body):
                if _refuses(statement):
                    yield f"line {statement.lineno} without {ast.unparse(statement)}", _without_statement(field, place)


def _refuses(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Raise):
        return True
    call = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(call, ast.Call):
        return False
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name in _REFUSING_METHODS


def _set(field: str, value: Callable[[Any], Any]) -> Change:
    def change(node: Any) -> None:
        setattr(node, field, value(node))

    return change


def _without_operand(place: int) -> Change:
    def change(node: Any) -> None:
        del node.values[place]

    return change


def _shift(place: int) -> Change:
    def change(node: Any) -> None:
        node.ops[place] = _SHIFTED[type(node.ops[place])]()

    return change


def _always(*, passing: bool) -> Change:
    def change(node: Any) -> None:
        node.func = ast.Name("bool", ast.Load())
        node.args = [ast.Constant(value=passing)]

    return change


def _without_statement(field: str, place: int) -> Change:
    def change(node: Any) -> None:
        getattr(node, field)[place] = ast.Pass()

    return change


# --- running them -----------------------------------------------------------------------------------------------------


def _copy(place: Path) -> None:
    place.mkdir(parents=True)
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy2(source, place / name)


def _environment(place: Path) -> dict[str, str]:
    external = os.environ.get("MDL_EXTERNAL_VECTORS") or str(ROOT.parent / "shared" / "vectors")
    return os.environ | {
        "PYTHONPATH": str(place),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MDL_EXTERNAL_VECTORS": external,
    }


def _noticed(place: Path, tests: list[str], patience: float) -> str | None:
    """The test that failed first; None where all pass. A run that takes too long counts as a failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", "--tb=no", *tests]
    try:
        done = subprocess.run(
            command, cwd=place, env=_environment(place), capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        return "(out of time)"
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else f"(exit status {done.returncode})"


def main() -> int:
    """Run all mutants of the modules against the tests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "modules", nargs="+", metavar="MODULE[:NAME,…]", help="a module, or some of its functions and classes"
    )
    parser.add_argument(
        "--functions",
        default="",
        metavar="NAME,…",
        help="these functions and classes of each module, where it has them",
    )
    parser.add_argument(
        "--tests", nargs="+", required=True, metavar="TESTS", help="what pytest runs, the likeliest first"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--patience", type=float, default=300.0, help="seconds for each mutant (default: %(default)s)")
    parser.add_argument("--only", metavar="TEXT", help="mutants whose description contains this")
    parser.add_argument("--json", type=Path, help="write what became of each mutant")
    arguments = parser.parse_args()
    work: queue.Queue[Mutant] = queue.Queue()
    everywhere = [name for name in arguments.functions.split(",") if name]
    for module in arguments.modules:
        path, _, names = module.partition(":")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        own = [name for name in names.split(",") if name]
        if missing := [name for name in own if not any(defined(tree, name))]:
            parser.error(f"{path} has no {', '.join(missing)}")
        functions = own + [name for name in everywhere if any(defined(tree, name))]
        if everywhere and not functions:
            continue  # `--functions` keeps to them
        for mutant in mutants(Path(path), functions):
            if arguments.only is None or arguments.only in mutant.what:
                work.put(mutant)
    if work.empty():
        parser.error("nothing to change there")
    total = work.qsize()
    rows: list[dict[str, Any]] = []
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:

        def run(number: int) -> None:
            place = Path(folder) / str(number)
            _copy(place)
            while True:
                try:
                    mutant = work.get_nowait()
                except queue.Empty:
                    return
                file = place / mutant.path
                file.write_text(mutant.source, "utf-8")
                noticed = _noticed(place, arguments.tests, arguments.patience)
                shutil.copy2(ROOT / mutant.path, file)
                rows.append(
                    {"path": str(mutant.path), "line": mutant.line, "what": mutant.what, "noticed": noticed or False}
                )
                if noticed is None:
                    print(f"SURVIVED {mutant.path}:{mutant.line} {mutant.what}", flush=True)
                elif len(rows) % 50 == 0:
                    print(f"{len(rows)} of {total}, {time.monotonic() - started:.0f} s", flush=True)

        unchanged = Path(folder) / "unchanged"
        _copy(unchanged)
        if (failed := _noticed(unchanged, arguments.tests, arguments.patience)) is not None:
            print(f"the tests fail without any change: {failed}")
            return 2
        threads = [threading.Thread(target=run, args=(number,)) for number in range(arguments.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    survived = sum(row["noticed"] is False for row in rows)
    print(f"{total} mutants, {total - survived} noticed, {survived} survived, {time.monotonic() - started:.0f} s")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(sorted(rows, key=lambda row: (row["path"], row["line"])), indent=1) + "\n")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())

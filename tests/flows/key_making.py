"""Runs commands that make keys and kills them in the middle of that: python key_making.py PLAN.json

Each command runs in a fork of this process, which never loads a PKCS#11 module itself. The plan is a list of commands,
each with the moment of its death (`MOMENTS`) or none; what became of each is written as a line of JSON.

SoftHSM makes both halves of a key at once. A token that makes one after the other is killed between them: so here the
other half is deleted just before the end.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from issuer import token_keys
from issuer.hsm import import_pkcs11
from issuer.store import postgres, sqlite
from mdl.cli import _parser, main
from tests.flows.crashing import CRASHED

MOMENTS = ("before", "public half", "private half", "pair", "first commit", "second commit")


def _end() -> None:
    os._exit(CRASHED)  # as a kill -9 does: nothing is tidied up


def _die_at(moment: str) -> None:
    """Have this process end at a moment of making a key, or at a commit after that."""
    make = token_keys._make_pair
    commits = 0

    def make_pair(parameters: Any, **template: Any) -> tuple[Any, Any]:
        nonlocal commits
        if moment == "before":
            _end()
        public, private = make(parameters, **template)
        if moment == "public half":
            private.destroy()
        elif moment == "private half":
            public.destroy()
        if moment in ("public half", "private half", "pair"):
            _end()
        commits = 1 + ("first commit", "second commit").index(moment)
        return public, private

    def counted(run: Any) -> Any:
        def call(self: Any, statement: str, *arguments: Any) -> Any:
            nonlocal commits
            if statement == "COMMIT" and commits:
                commits -= 1
                if not commits:
                    _end()
            return run(self, statement, *arguments)

        return call

    token_keys._make_pair = make_pair
    for module in (sqlite, postgres):
        module._Statements.run = counted(module._Statements.run)


def _run(words: list[str], moment: str | None, said: Path) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        if moment is not None:
            _die_at(moment)
        status = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    except BaseException:  # noqa: BLE001 - told by the exit status
        traceback.print_exc()
        os._exit(98)


if __name__ == "__main__":
    import_pkcs11()
    _parser(["issuer"])  # imports what the commands need, once for all forks
    plan = Path(sys.argv[1])
    for words, moment in json.loads(plan.read_text()):
        status = _run(words, moment, plan.with_suffix(".said"))
        answer = {"words": words, "moment": moment, "status": status, "said": plan.with_suffix(".said").read_text()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()

"""``mdl issuer backup`` and ``restore``: a copy of the store, and a store from a copy that takes nothing back."""

from __future__ import annotations

import argparse
from typing import Any, Final

from issuer.cli.arguments import add_verb, count, now, open_authority
from issuer.cli.policy import acting_as
from issuer.restoring import SKIPPED, Restored
from issuer.workplace import Workplace
from mdl.cli import terminal
from mdl.cli.outputs import file_argument

__all__ = ["add_restoring"]

_DONE: Final = 0
_IN_PART: Final = 6


def add_restoring(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``backup`` and ``restore``."""
    verb = add_verb(
        commands,
        "backup",
        "write a copy of the store, while others go on using it",
        "Write a copy of the store as it is at one moment: one file, from SQLite and PostgreSQL alike, for 'mdl issuer "
        "restore --from'. It is read back before it is put in its place. The keys are not in it: they stay in their "
        "token, which has copies of its own.",
        _backup,
    )
    verb.add_argument(
        "--out",
        required=True,
        type=file_argument,
        metavar="FILE",
        help="where to write it; only its owner may read it",
    )

    verb = add_verb(
        commands,
        "restore",
        "bring a store from a backup up to what was published: nothing that was revoked is taken back",
        "Compare the store with the published tree, the CRLs of the folder and the checkpoints of the audit log. What "
        "they show as revoked stays revoked, numbers that may have been used are skipped, status lists of which it is "
        "not known which places are taken give out no more, and all of it is recorded. Until this was done, an "
        "authority whose store is behind signs nothing. Exit status 6 if something could not be read.",
        _restore,
    )
    verb.add_argument(
        "--from",
        dest="copy",
        metavar="FILE",
        help="put this copy in the place of a store that is missing, damaged or older (default: take what is there)",
    )
    verb.add_argument(
        "--tree",
        nargs="+",
        action="extend",
        metavar="DIR",
        help="a folder that was published to, or a copy of it (default: where it was published last)",
    )
    verb.add_argument(
        "--skip",
        type=count,
        default=SKIPPED,
        metavar="N",
        help="skip so many numbers of CRLs and revisions of lists beyond the highest that is known "
        "(default: %(default)s)",
    )


def _backup(arguments: argparse.Namespace) -> int:
    made = open_authority(arguments).backup(arguments.out)
    if arguments.json:
        terminal.write_json({"file": str(made.file), "log": made.log_id.hex(), "sequence": made.sequence})
        return _DONE
    rows = [("file", str(made.file)), ("log", made.log_id.hex()), ("last record", str(made.sequence))]
    then = "next: keep it where the store is not, with the newest checkpoint of the audit log"
    terminal.write([terminal.paint("The copy is written.", "bold"), *terminal.columns(rows, indent="  "), then])
    return _DONE


def _restore(arguments: argparse.Namespace) -> int:
    # Not as an `Authority`, which needs a store that can be opened.
    done = Workplace(arguments.dir, actor=acting_as(arguments)).restore(
        at=now, copy=arguments.copy, trees=arguments.tree, skip=arguments.skip
    )
    if arguments.json:
        terminal.write_json(_members(done))
    else:
        _tell(done)
    return _IN_PART if done.unread else _DONE


def _members(done: Restored) -> dict[str, Any]:
    return {
        "behind": [one.text for one in done.ahead],
        "certificates": done.certificates,
        "credentials": done.credentials,
        "unknown": done.unknown,
        "lists": done.lists,
        "adopted": done.adopted,
        "skipped": done.skipped,
        "lost_records": done.lost_records,
        "unread": done.unread,
        "not_compared": [*done.not_compared],
    }


def _tell(done: Restored) -> None:
    rows = [("behind", one.text) for one in done.ahead]
    if done.skipped:
        rows += [
            ("revoked again", f"{done.certificates} certificates, {done.credentials} credentials"),
            ("kept", f"{done.unknown} revocations whose certificate or credential the store has lost"),
            ("certificates", f"{done.adopted} taken up; a document signer among them signs no more: make another"),
            ("lists", f"{done.lists} taken up; all are closed, and new credentials get new ones"),
            ("skipped", f"{done.skipped} numbers of each root's CRLs and of each list"),
            ("lost", f"{done.lost_records} records of the audit log that a checkpoint tells of"),
        ]
    rows += [("UNREAD", f"{text}: its number is skipped, what it revokes is not known") for text in done.unread]
    rows += [("not compared", text) for text in done.not_compared]
    headline = "The store is brought up." if done.skipped else "The store is not behind: nothing was changed."
    then = "next: mdl issuer publish --all-lists, then mdl issuer audit checkpoint" if done.skipped else ""
    lines = [terminal.paint(headline, "bold"), *terminal.columns(rows, indent="  ")]
    terminal.write([*lines, then] if then else lines)

"""``mdl issuer plan``, ``rotate``, ``status`` and ``rules``: what is due, doing it, and what expires."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from issuer.authority import Authority
from issuer.cli.arguments import add_verb, now, open_authority, period
from issuer.cli.certificates import moment, write_result
from issuer.expiry_report import (
    done_json,
    entry_json,
    headline_of,
    report_csv,
    report_html,
    report_json,
    report_rows,
)
from issuer.folder import output_file
from issuer.health import HealthFinding, standing_causes
from issuer.lifecycle import Done, Entry, Expiry, Rules, Task, expiring, plan, rotate, set_rules
from issuer.notifying import check_webhook, notify_command, notify_webhook, split_command
from mdl.cli import terminal
from mdl.cli.outputs import file_argument
from mdl.errors import LocalProtocolError, SigningError

__all__ = ["add_lifecycle"]

_DONE: Final = 0
_FINDINGS: Final = 1
_IN_PART: Final = 6


def add_lifecycle(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs."""
    verb = add_verb(
        commands,
        "plan",
        "print the calendar: what is due when",
        "Print what is due when, by the rules of this authority: successors of signers and roots, retirements, CRLs, "
        "status lists; and what follows from that later on. 'mdl issuer rotate' does what is due.",
        _plan,
    )
    verb.add_argument(
        "--until",
        type=period,
        default=timedelta(days=5 * 365),
        metavar="PERIOD",
        help="how far to look: days, weeks, months or years, as 90d or 5y (default: 5y)",
    )

    verb = add_verb(
        commands,
        "rotate",
        "do what is due: successors of signers, retirements, CRLs",
        "Do what is due by the plan. It may be run by a timer, as often as one likes, while licences are issued. Exit "
        "status 1 if something is past its deadline and left to somebody else.",
        _rotate,
    )
    verb.set_defaults(command=lambda arguments: "plan" if arguments.dry_run else "rotate")
    verb.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    verb.add_argument("--rekey", action="store_true", help="make the next root too, if that is due")

    verb = add_verb(
        commands,
        "status",
        "report everything that expires",
        "Report everything that expires, soonest first. Exit status 1 if something expires within the period or has "
        "expired, and nothing has taken its place, or if no licence can be issued now by what the store tells. Whether "
        "the token is there, 'mdl issuer health' tells.",
        _status,
    )
    verb.add_argument(
        "--expiring",
        type=period,
        default=timedelta(days=30),
        metavar="PERIOD",
        help="warn so long ahead, as 30d, 6w, 6m or 1y (default: 30d)",
    )
    verb.add_argument("--format", choices=("text", "json", "csv", "html"), help="what to write (default: text)")
    verb.add_argument(
        "--output", type=file_argument, metavar="FILE", help="where to write it (default: the standard output)"
    )
    notifier = verb.add_mutually_exclusive_group()
    notifier.add_argument(
        "--notify-command",
        metavar="COMMAND",
        help="if there is something to warn of, run this with the report as JSON on its standard input (by no shell)",
    )
    notifier.add_argument(
        "--notify-url",
        metavar="URL",
        help="if there is something to warn of, post the report as JSON there: https, or http on this machine",
    )

    verb = add_verb(
        commands,
        "rules",
        "show or change the rules by which things follow each other",
        "Show the rules by which certificates and lists follow each other, in days, or change some of them.",
        _rules,
    )
    verb.set_defaults(command=lambda arguments: "rules" if arguments.set else "rules --show")
    verb.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        type=_setting,
        metavar="NAME=DAYS",
        help="change a rule: " + ", ".join(name.replace("_", "-") for name in _NAMES),
    )


_NAMES: Final = tuple(one.name for one in fields(Rules))


def _setting(text: str) -> tuple[str, int]:
    name, _, days = text.partition("=")
    name = name.replace("-", "_")
    if name not in _NAMES or not re.fullmatch(r"[1-9][0-9]{0,4}", days):
        msg = "a rule is written NAME=DAYS, as crl-days=14"
        raise argparse.ArgumentTypeError(msg)
    return name, int(days)


def _rules_of(authority: Authority) -> Rules:
    with authority.open_store() as store, store.reading() as reader:
        settings = reader.settings()
        return Rules.of_settings({} if settings is None else settings.document)


# --- verbs -----------------------------------------------------------------------------------------------------------


def _plan(arguments: argparse.Namespace) -> int:
    authority, at = open_authority(arguments), now()
    rules = _rules_of(authority)
    with authority.open_store() as store, store.reading() as reader:
        found = plan(reader, rules, at, until=at + arguments.until)
    if arguments.json:
        terminal.write_json({"at": moment(at), "rules": rules.to_settings(), "entries": [*map(entry_json, found)]})
        return _DONE
    rows = [(_when(one, at), one.task.value, _by(one), one.text) for one in found]
    then = "next: mdl issuer rotate does what is due" if any(one.due <= at for one in found) else "nothing is due now"
    write_result(f"What is due until {moment(at + arguments.until)[:10]}:", rows, then)
    return _DONE


def _when(one: Entry, at: datetime) -> str:
    due = "now       " if one.due <= at else one.due.date().isoformat()
    return f"{due} … {one.deadline.date().isoformat()}"


def _by(one: Entry) -> str:
    if one.forecast:
        return "forecast"
    return "rotate" if one.automatic else "somebody"


def _rotate(arguments: argparse.Namespace) -> int:
    authority = open_authority(arguments)
    done = rotate(authority, at=now, rekey=arguments.rekey, dry_run=arguments.dry_run)
    late = [one for one in done if one.left is not None and one.entry.deadline <= now()]
    if arguments.json:
        terminal.write_json({"dry_run": arguments.dry_run, "done": [*map(done_json, done)]})
    elif not done:
        terminal.write(["nothing is due"])
    else:
        rows = [(one.entry.task.value, one.entry.name, _outcome(one)) for one in done]
        headline = "This would be done:" if arguments.dry_run else "Done:"
        made = any(one.entry.task is Task.CRL and one.result is not None for one in done)
        write_result(headline, rows, "next: mdl issuer publish" if made else "next: mdl issuer status")
    if any(one.failed is not None for one in done):
        return _IN_PART
    return _FINDINGS if late else _DONE


def _outcome(one: Done) -> str:
    if one.failed is not None:
        return f"NOT DONE: {one.failed}"
    if one.left is not None:
        return f"left, until {one.entry.deadline.date().isoformat()}: {one.left}"
    return one.entry.text if one.result is None else one.result


def _status(arguments: argparse.Namespace) -> int:
    words = None if arguments.notify_command is None else split_command(arguments.notify_command)
    if arguments.notify_url is not None:
        check_webhook(arguments.notify_url)
    if arguments.json and arguments.format not in (None, "json"):
        raise LocalProtocolError("--json and another --format contradict each other", code="status.format")
    authority, at = open_authority(arguments), now()
    rules = _rules_of(authority)
    with authority.open_store() as store, store.reading() as reader:
        found = expiring(reader, rules, at, within=arguments.expiring)
    with authority.open_store() as store:
        causes = standing_causes(authority.folder, store, now)
    left_over = _left_over(authority)
    name = authority.root.subject.common_name or ""
    notice = report_json(found, at, authority=name, within=arguments.expiring, causes=causes)
    notice["left_over_keys"] = left_over
    form = "json" if arguments.json else arguments.format or "text"
    if form == "json":
        _write(arguments.output, None, notice)
    elif form == "csv":
        _write(arguments.output, report_csv(found, at).rstrip("\r\n").split("\r\n"), None)
    elif form == "html":
        page = report_html(found, at, authority=name, within=arguments.expiring, causes=causes)
        _write(arguments.output, page.rstrip("\n").split("\n"), None)
    else:
        _write(arguments.output, _text(found, at, causes, _notes(left_over)), None)
    alarms = bool(causes) or any(one.state.is_alarm for one in found)
    if alarms and words is not None:
        notify_command(words, notice)
    if alarms and arguments.notify_url is not None:
        notify_webhook(arguments.notify_url, notice)
    return _FINDINGS if alarms else _DONE


def _left_over(authority: Authority) -> list[str] | None:
    """The labels of keys that were never finished; None where the token cannot be looked at."""
    try:
        return sorted(authority.left_over())
    except SigningError:
        return None


def _notes(left_over: list[str] | None) -> list[str]:
    if left_over is None:
        return ["note: the token was not looked at: it cannot be reached from here"]
    if not left_over:
        return []
    return [
        f"note: the token has keys, or halves of keys, that were never finished: {', '.join(left_over)}",
        "      nothing signs with them, and new keys get other labels; delete them with the token's own tool",
    ]


def _text(found: Sequence[Expiry], at: datetime, causes: Sequence[HealthFinding], notes: list[str]) -> list[str]:
    headline = headline_of(found, causes)
    lines = [terminal.paint(f"{headline[0].upper()}{headline[1:]}.", "bold")]
    for one in causes:
        lines += [f"  {one.message} [{one.code}]", f"    {one.remedy}"]
    lines += terminal.columns(report_rows(found, at), indent="  ")
    lines += notes
    return [*lines, "next: mdl issuer health tells whether licences can be issued and revoked"]


def _write(output: str | None, lines: list[str] | None, value: Any) -> None:
    """Write lines, or a value as JSON, to a file or the standard output."""
    if output is None:
        if lines is None:
            terminal.write_json(value)
        else:
            terminal.write(lines)
        return
    text = json.dumps(value, indent=2) if lines is None else "\n".join(lines)
    with output_file(Path(output)) as commit:
        commit(f"{text}\n".encode())


def _rules(arguments: argparse.Namespace) -> int:
    authority = open_authority(arguments)
    rules = _rules_of(authority)
    if arguments.set:
        set_rules(authority, replace(rules, **dict(arguments.set)), at=now)
        rules = _rules_of(authority)
    if arguments.json:
        terminal.write_json(rules.to_settings())
        return _DONE
    rows = [(name.replace("_", "-"), f"{days} days") for name, days in rules.to_settings().items()]
    write_result("The rules are changed:" if arguments.set else "The rules:", rows, "next: mdl issuer plan")
    return _DONE

"""``mdl reader policy`` and ``mdl reader checks``: what is checked and what is made of it, from the code's tables."""

from __future__ import annotations

import argparse
from typing import Any

from mdl.cli import terminal
from reader.coverage import UNCHECKED, checks_as_markdown, policies_as_markdown
from reader.report import CHECKS, DEVIATIONS, REQUIREMENTS, Policy

__all__ = ["add_tables"]


def add_tables(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``policy`` and ``checks``."""
    policy = commands.add_parser(
        "policy",
        help="what each policy makes of each deviation",
        description="Print which deviations refuse and which only warn under each policy. Whatever is not in the table "
        "refuses under every policy.",
        allow_abbrev=False,
    )
    policy.set_defaults(run=_policy)
    checks = commands.add_parser(
        "checks",
        help="what is checked and what is not, by clause",
        description="Print every check with its clause, and what the reader leaves to others.",
        allow_abbrev=False,
    )
    checks.set_defaults(run=_checks)
    for verb in (policy, checks):
        form = verb.add_mutually_exclusive_group()
        form.add_argument("--format", choices=["text", "json", "markdown"], default="text", help="default: %(default)s")
        form.add_argument("--json", action="store_const", const="json", dest="format", help="write JSON")


def _policy(arguments: argparse.Namespace) -> int:
    policies = [policy.value for policy in Policy]
    if arguments.format == "markdown":
        terminal.write(policies_as_markdown().splitlines())
    elif arguments.format == "json":
        terminal.write_json(
            [
                {
                    "deviation": one.code,
                    "check": one.check,
                    "meaning": one.meaning,
                    **{name: "refuses" if name in one.refused_by else "warns" for name in policies},
                }
                for one in DEVIATIONS.values()
            ]
        )
    else:
        rows = [("deviation", *policies, "meaning")]
        rows += [
            (one.code, *("refuses" if name in one.refused_by else "warns" for name in policies), one.meaning)
            for one in DEVIATIONS.values()
        ]
        terminal.write([*terminal.columns(rows), "", "Whatever is not in this table refuses under every policy."])
    return 0


def _checks(arguments: argparse.Namespace) -> int:
    if arguments.format == "markdown":
        terminal.write(checks_as_markdown().splitlines())
    elif arguments.format == "json":
        found: dict[str, Any] = {
            "checked": [
                {"check": name, "clause": clause, "requirement": REQUIREMENTS[name]} for name, clause in CHECKS.items()
            ],
            "not_checked": [{"clause": one.clause, "what": one.what, "why": one.why} for one in UNCHECKED],
        }
        terminal.write_json(found)
    else:
        lines = [terminal.paint("checked", "bold")]
        lines += terminal.columns([(name, REQUIREMENTS[name]) for name in CHECKS], indent="  ")
        lines += ["", terminal.paint("not checked", "bold")]
        for one in UNCHECKED:
            lines += terminal.wrap(f"{one.what} ({one.clause})", first="  ", rest="  ")
            lines += terminal.wrap(one.why, first="      ", rest="      ")
        terminal.write(lines)
    return 0

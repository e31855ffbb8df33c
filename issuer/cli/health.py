"""``mdl issuer health``: can licences be issued and revoked now, and what speaks against it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from issuer.cli.arguments import add_verb, now, period
from issuer.cli.audit import secret_source
from issuer.cli.certificates import moment
from issuer.health import HealthReport, Level, causes_as_markdown, examine_health
from mdl.cli import terminal

__all__ = ["add_health"]

_DONE: Final = 0
_FINDINGS: Final = 1


def add_health(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    verb = add_verb(
        commands,
        "health",
        "tell whether licences can be issued and revoked now",
        "Look at the folder, the store, the clock, the token, the signers, the lists and the published tree, and tell "
        "everything that speaks against issuing and revoking now: one code for each cause, and what to do. Nothing is "
        "changed. Exit status 0 if licences can be issued and revoked, with or without warnings; 1 if not.",
        _health,
    )
    # A store that cannot be opened has no policy that could say who may ask; what is told is no secret.
    verb.set_defaults(examines=True)
    verb.add_argument("--tree", metavar="DIR", help="the folder that was published to (default: as remembered)")
    verb.add_argument(
        "--without-token", action="store_true", help="do not look at the token, on a host that does not have it"
    )
    verb.add_argument("--list-causes", action="store_true", help="only list the causes that are known, as Markdown")
    verb.add_argument(
        "--expiring",
        type=period,
        default=period("30d"),
        metavar="PERIOD",
        help="warn so long ahead, as 30d, 6w, 6m or 1y (default: 30d)",
    )


def _health(arguments: argparse.Namespace) -> int:
    if arguments.list_causes:
        terminal.write(causes_as_markdown().splitlines())
        return _DONE
    source = secret_source(arguments.pin_env, arguments.pin_file)
    report = examine_health(
        arguments.dir,
        at=now,
        secret=None if source is None else source.handler(Path()),
        tree=arguments.tree,
        use_token=not arguments.without_token,
        within=arguments.expiring,
    )
    if arguments.json:
        terminal.write_json(report.to_json())
    else:
        _write(report)
    return _DONE if report.is_healthy else _FINDINGS


def _write(report: HealthReport) -> None:
    headline = "Licences can be issued and revoked."
    if not report.is_healthy:
        stopped = [what for what in ("issued", "revoked") if not report.works({"issued": "issue"}.get(what, "revoke"))]
        headline = f"Licences cannot be {' and '.join(stopped)} now." if stopped else "Something is broken."
    lines = [terminal.paint(headline, "bold")]
    for one in report.findings:
        level = one.level.value.upper() if one.level is Level.FAILURE else one.level.value
        until = "" if one.until is None else f" (until {moment(one.until)})"
        lines.append(f"  {level}: {one.message}{until} [{one.code}]")
        lines.append(f"    {one.remedy}")
    terminal.write(lines)

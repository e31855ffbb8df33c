"""``mdl reader prefetch``: revocation evidence into one file, for readers that work offline."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mdl.cli import terminal
from mdl.cli.outputs import file_argument
from mdl.errors import FetchError, LocalProtocolError
from reader.cli import inputs
from reader.evidence import EvidenceCache, EvidenceStore, Need, gaps_of, gaps_of_anchors, needs_of, needs_of_anchors
from reader.fetching import ANY_HOST, EvidenceKind, HttpFetcher

__all__ = ["add_prefetch"]

_DONE: Final = 0
_INCOMPLETE: Final = 4


def add_prefetch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``prefetch``."""
    verb = commands.add_parser(
        "prefetch",
        help="fetch revocation evidence into one file, to verify offline with it",
        description="Fetch the revocation lists of the trusted roots, and what else is named, into one file for "
        "'mdl reader verify --evidence'. What is not signed on a trusted root's word is not taken; what has expired "
        "or is older than what the file holds is taken where it revokes something. Exit status 4 if something could "
        "not be had, or has no web address; the rest is kept.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_prefetch)
    inputs.add_trust_arguments(verb)
    what = verb.add_argument_group("what to fetch, beside the lists of the roots")
    what.add_argument(
        "--response", nargs="+", action="extend", default=[], metavar="FILE", help="what these responses call for"
    )
    what.add_argument(
        "--status-list",
        nargs="+",
        action="extend",
        default=[],
        metavar="URL",
        help="the status lists at these addresses",
    )
    where = verb.add_argument_group("where from")
    where.add_argument(
        "--host",
        nargs="+",
        action="extend",
        default=[],
        metavar="HOST",
        help="ask these hosts only (host or host:port); without it, any at the usual ports",
    )
    where.add_argument(
        "--allow-private", action="store_true", help="allow addresses that are not on the public Internet"
    )
    verb.add_argument(
        "--evidence",
        required=True,
        type=file_argument,
        metavar="FILE",
        help="the file; what it holds is kept while it is good",
    )
    verb.add_argument(
        "--at", type=terminal.argument_time, metavar="TIME", help="take what is good at this time; without it, now"
    )
    verb.add_argument("--json", action="store_true", help="write JSON")


def _prefetch(arguments: argparse.Namespace) -> int:
    at = arguments.at or datetime.now(UTC)
    trust = inputs.read_trust(arguments)
    file = Path(arguments.evidence)
    store = EvidenceStore.load(file, trust) if file.exists() else EvidenceStore()
    hosts = arguments.host or ANY_HOST
    try:
        fetcher = HttpFetcher(hosts=hosts, allow_private=arguments.allow_private)
    except ValueError as exc:
        msg = f"argument --host: {exc}"
        raise LocalProtocolError(msg, code="cli.usage") from exc
    cache = EvidenceCache(fetcher, store=store)
    roots = tuple(dict.fromkeys(anchor.certificate for anchor in trust))
    needs = dict.fromkeys(needs_of_anchors(trust))
    gaps: list[FetchError] = []
    for index, name in enumerate(arguments.response):
        label = f"--response[{index}]"
        data = inputs.read_bytes(name, label)
        with inputs.expecting("device-response", data=data, label=label):
            needs |= dict.fromkeys(needs_of(data, trust))
            gaps += gaps_of(data, trust)
    for url in arguments.status_list:
        needs[Need(kind=EvidenceKind.STATUS_LIST, urls=(url,), issuers=roots)] = None
    errors = (*gaps_of_anchors(trust, needs), *gaps, *cache.prefetch(needs, at=at))
    store.save(file)
    evidence = store.evidence(at=at)
    if arguments.json:
        terminal.write_json(
            {
                "evidence": str(file),
                "revocation_lists": len(evidence.crls),
                "status_tokens": len(evidence.status_tokens),
                "errors": [{"url": error.url, "code": error.code, "message": error.message} for error in errors],
            }
        )
    else:
        terminal.write(_as_lines(file, len(evidence.crls), len(evidence.status_tokens), errors))
    return _INCOMPLETE if errors else _DONE


def _as_lines(file: Path, lists: int, tokens: int, errors: tuple[FetchError, ...]) -> list[str]:
    lines = [f"{file}: revocation lists {lists}, status tokens {tokens}"]
    for error in errors:
        lines += terminal.wrap(
            terminal.safe(f"{error.url or 'no address'}: {error.message} [{error.code}]"),
            first="  not had: ",
            rest="    ",
        )
    return lines

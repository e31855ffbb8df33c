"""``mdl issuer publish``, ``watch`` and ``vical``: what is signed goes out, and is looked at from outside."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from issuer.audit import Actor
from issuer.authority import Authority
from issuer.cli.arguments import add_verb, count, now, open_authority
from issuer.cli.audit import secret_source
from issuer.cli.revocation import (
    add_signing_terms,
    add_status_plan,
    evidence_json,
    evidence_rows,
    publication_json,
    publication_rows,
    status_of,
    status_plan,
    terms_of,
)
from issuer.folder import output_file, read_file
from issuer.keystore import SecretHandler, open_signer
from issuer.notifying import check_webhook, notify_command, notify_webhook, split_command
from issuer.operations import permitted
from issuer.publishing import Item, Publication, Publisher, published_folder, remember_folder, vical_item
from issuer.records import read_below
from issuer.revocation import Evidence, sign_due
from issuer.store import Role
from issuer.vical import MAX_INTERVAL, SignedVical, VicalEntry, parse_entries, sign_vical
from issuer.watching import Observation, fetch_http, fetch_tree, watch, watched_items
from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.cli.outputs import file_argument, folder_argument
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, SigningError
from mdl.keys import Signer
from mdl.pki import Certificate

__all__ = ["add_publishing"]

_DONE: Final = 0
_FINDINGS: Final = 1
_UNREACHABLE: Final = 4
_REMEMBERED: Final = ""


def add_publishing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``publish``, ``watch`` and ``vical``."""
    _add_publish(commands)
    _add_watch(commands)
    _add_vical(commands)


def _add_publish(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = add_verb(
        commands,
        "publish",
        "sign what is due, and write CRLs, status lists and roots as a tree that any web server can serve",
        "Sign the CRLs and lists that are due, and publish everything: DIR/current is the document root, and "
        "DIR/current/index.json names each file with its media type. It changes all at once or not at all, and not if "
        "there is nothing new: let a timer run this, several times a day. Exit status 1 if readers may miss something, "
        "4 if what is due could not be signed, 6 if a part of it could not be signed or has no place; the rest is "
        "published then too.",
        _publish,
    )
    verb.add_argument(
        "folder",
        nargs="?",
        type=folder_argument,
        metavar="DIR",
        help="where to (default: where it was published before)",
    )
    verb.add_argument("--no-sign", action="store_true", help="publish what is signed, and sign nothing")
    verb.add_argument("--all-lists", action="store_true", help="sign every list that is needed, due or not")
    verb.add_argument("--vical", metavar="FILE", help="publish this VICAL too; it stays until there is a newer one")
    _add_provider_root(verb)
    add_signing_terms(verb)
    add_status_plan(verb, "open the first list, before the first credential names it (later ones are opened in time)")


def _add_provider_root(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--provider-root",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="a root that the VICAL to be published may lead to, PEM or DER, beside the authority's own VICAL CAs",
    )


def _add_watch(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = add_verb(
        commands,
        "watch",
        "look whether what is published is there, fresh, and what was signed",
        "Fetch each published CRL, list and VICAL as a reader would, and compare it with what was signed or published "
        "last: missing, not this authority's, altered, older than what was signed, stale, about to be. Exit status 1 "
        "if something has to be put right, else 4 if an address cannot be reached.",
        _watch,
    )
    verb.add_argument("url", nargs="*", metavar="URL", help="look at these addresses only (default: all there are)")
    verb.add_argument(
        "--folder",
        nargs="?",
        const=_REMEMBERED,
        metavar="DIR",
        help="look at the published tree and not over the network (default: where it was published last)",
    )
    verb.add_argument(
        "--timeout", type=count, default=10, metavar="SECONDS", help="for each address, all in all (default: 10)"
    )
    verb.add_argument(
        "--grace",
        type=count,
        default=15,
        metavar="MINUTES",
        help="so long after a signing the copy before is still fine (default: 15)",
    )
    notifier = verb.add_mutually_exclusive_group()
    notifier.add_argument(
        "--notify-command",
        metavar="COMMAND",
        help="if something is wrong, run this with the report as JSON on its standard input (by no shell)",
    )
    notifier.add_argument(
        "--notify-url",
        metavar="URL",
        help="if something is wrong, post the report as JSON there: https, or http on this machine",
    )


def _add_vical(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = add_verb(
        commands,
        "vical",
        "make a VICAL: a signed list of the roots of issuing authorities",
        "Make a list of roots, each held against the profile of IACA roots, sign it, and read it back before it is "
        "written. The file to be written is the provider's memory: where it holds a list, the new one is newer and its "
        "number higher. Signed by the authority's own VICAL signer, or by the key and certificate that are named.",
        _vical,
    )
    verb.add_argument(
        "--entries",
        metavar="FILE",
        help="the roots as TOML or JSON: [[entry]] with certificate, doctypes, and issuing_authority if wanted",
    )
    verb.add_argument("--root", nargs="+", action="extend", default=[], metavar="FILE", help="roots, PEM or DER")
    verb.add_argument(
        "--doctype",
        nargs="+",
        action="extend",
        default=[],
        metavar="TYPE",
        help="what the roots named with --root are listed for",
    )
    verb.add_argument("--provider", required=True, metavar="NAME", help="the provider's name")
    verb.add_argument(
        "--out",
        required=True,
        type=file_argument,
        metavar="FILE",
        help="where to write the list; what is there is the last",
    )
    verb.add_argument("--issue-id", type=count, metavar="N", help="its number (default: one more than the last)")
    verb.add_argument(
        "--days",
        type=count,
        default=30,
        metavar="N",
        help=f"until the next list, at most {MAX_INTERVAL.days} (default: 30)",
    )
    verb.add_argument("--url", metavar="URL", help="where the newest list is found; said in the list")
    verb.add_argument("--publish", type=folder_argument, metavar="DIR", help="publish it in the tree of this folder")
    _add_provider_root(verb)
    key = verb.add_argument_group("the signer (default: the authority's own VICAL signer)")
    key.add_argument("--key", metavar="URI", help="the key: pkcs11:…, file:… or awskms:…")
    key.add_argument(
        "--certificate",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="its certificate, then those between it and the provider's root",
    )


# --- publish ----------------------------------------------------------------------------------------------------------


def _publish(arguments: argparse.Namespace) -> int:
    terms, plan = terms_of(arguments), status_plan(arguments)
    roots = _provider_roots(arguments, to_publish=arguments.vical is not None, where="--vical")
    authority = open_authority(arguments)
    folder = _folder(authority, arguments.folder)
    vical = None
    if arguments.vical is not None:
        vical = _verified(authority, terminal.read_input(arguments.vical, label="--vical"), roots)
    evidence = Evidence()
    if not arguments.no_sign:
        evidence = sign_due(
            authority, at=now, terms=terms, crl_days=arguments.crl_days, all_lists=arguments.all_lists, plan=plan
        )
    publication = _published(authority, folder, vical)
    if arguments.json:
        terminal.write_json({"signed": evidence_json(evidence), "published": publication_json(publication)})
    else:
        what = "Published." if publication.changed or publication.removed else "Everything is published already."
        if status_of(evidence, publication):
            what = "NOT EVERYTHING IS PUBLISHED"
        rows = [*evidence_rows(evidence), *publication_rows(publication)]
        then = f"next: serve {publication.folder}, with the media types of its index.json"
        terminal.write([terminal.paint(what, "bold"), *terminal.columns(rows, indent="  "), then])
    for failure in evidence.failures:
        terminal.write_error(f"not signed: {failure}")
    return status_of(evidence, publication)


def _folder(authority: Authority, named: str | None) -> Path:
    folder = published_folder(authority.folder) if not named else Path(named)
    if folder is None:
        message = "nothing was published before: name the folder"
        raise LocalProtocolError(message, code="publish.folder")
    return folder


def _provider_roots(arguments: argparse.Namespace, *, to_publish: bool, where: str) -> list[Certificate]:
    if arguments.provider_root and not to_publish:
        message = f"there is no VICAL to be published whose provider --provider-root could name: {where}"
        raise LocalProtocolError(message, code="publish.provider_root")
    return [_certificate(name, f"--provider-root[{index}]") for index, name in enumerate(arguments.provider_root)]


def _verified(authority: Authority, vical: bytes, roots: list[Certificate]) -> Item:
    with authority.open_store() as store, store.reading() as reader:
        return vical_item(vical, reader=reader, at=now(), provider_roots=roots)


def _published(authority: Authority, folder: Path, vical: Item | None) -> Publication:
    with authority.open_store() as store:
        publication = Publisher(store, folder).publish(at=now, vical=vical)
    remember_folder(authority.folder, folder)
    return publication


# --- watch ------------------------------------------------------------------------------------------------------------


def _watch(arguments: argparse.Namespace) -> int:
    words = None if arguments.notify_command is None else split_command(arguments.notify_command)
    if arguments.notify_url is not None:
        check_webhook(arguments.notify_url)
    authority = open_authority(arguments)
    if arguments.folder is None:
        folder = published_folder(authority.folder)
        fetch = fetch_http(timeout=float(arguments.timeout))
    else:
        folder = _folder(authority, arguments.folder)
        fetch = fetch_tree(folder)
    with authority.open_store() as store:
        vicals = {} if folder is None else Publisher(store, folder).vicals()
        with store.reading() as reader:
            watched = watched_items(reader, at=now(), urls=arguments.url, vicals=vicals)
    seen: list[Observation] = []
    for one in watched:
        seen += watch([one], fetch, at=now(), grace=timedelta(minutes=arguments.grace))
    findings = sum(one.is_grave for one in seen)
    unreachable = sum(one.is_unreachable for one in seen)
    report = {"findings": findings, "unreachable": unreachable, "seen": [one.row() for one in seen]}
    if arguments.json:
        terminal.write_json(report)
    else:
        terminal.write(_seen_lines(seen, findings, unreachable))
    if (findings or unreachable) and words is not None:
        notify_command(words, report)
    if (findings or unreachable) and arguments.notify_url is not None:
        notify_webhook(arguments.notify_url, report)
    return _FINDINGS if findings else _UNREACHABLE if unreachable else _DONE


def _seen_lines(seen: list[Observation], findings: int, unreachable: int) -> list[str]:
    rows = []
    for one in seen:
        until = "" if one.until is None else f", until {TDate.of(one.until).text}"
        if not one.faults:
            rows.append(("ok", f"{one.url}{until}"))
        for fault, message in one.faults:
            word = fault.value.upper() if fault.is_grave else f"({fault.value})"
            rows.append((word, f"{one.url}: {message}"))
    if findings:
        verdict = terminal.paint("NOT AS IT SHOULD BE", "red") + f": {findings} of {len(seen)} addresses"
        verdict += f", {unreachable} not reached" if unreachable else ""
    elif unreachable:
        verdict = terminal.paint("NOT REACHED", "red") + f": {unreachable} of {len(seen)} addresses"
    else:
        verdict = terminal.paint("All is published as it was signed", "green") + f": {len(seen)} addresses"
    return [verdict, *terminal.columns(rows, indent="  ")]


# --- vical ------------------------------------------------------------------------------------------------------------


def _vical(arguments: argparse.Namespace) -> int:
    entries = _entries(arguments)
    roots = _provider_roots(arguments, to_publish=arguments.publish is not None, where="--publish")
    out = Path(arguments.out)
    previous = read_file(out) if out.exists() else None
    with output_file(out) as commit, _vical_signer(arguments) as (signer, chain):
        at = now()
        made = sign_vical(
            entries,
            signer,
            chain=chain,
            provider=arguments.provider,
            at=at,
            next_update=at + timedelta(days=arguments.days),
            issue_id=arguments.issue_id,
            previous=previous,
            url=arguments.url,
        )
        # What may not be published is not put on record either, where it would have a number of its own.
        authority = None if arguments.publish is None else open_authority(arguments)
        item = None if authority is None else _verified(authority, made.encoded, roots)
        commit(made.encoded)
    publication = None
    if authority is not None and item is not None:
        publication = _published(authority, Path(arguments.publish), item)
    _tell_vical(arguments, made, out, publication)
    return _DONE


def _entries(arguments: argparse.Namespace) -> tuple[VicalEntry, ...]:
    entries: list[VicalEntry] = []
    if arguments.entries is not None:
        data = terminal.read_input(arguments.entries, label="--entries")
        read = read_below(Path(arguments.entries).parent)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise DecodeError("the file is not UTF-8", code="vical.entries", path="--entries") from exc
        with terminal.labelled("--entries"):
            entries += parse_entries(text, read_file=lambda name: _read_entry(read, name))
    if bool(arguments.root) != bool(arguments.doctype):
        message = "roots and the document types that they are listed for come together: --root with --doctype"
        raise LocalProtocolError(message, code="vical.entries")
    for index, name in enumerate(arguments.root):
        entries.append(VicalEntry(certificate=_certificate(name, f"--root[{index}]"), doctypes=(*arguments.doctype,)))
    if not entries:
        message = "a list names at least one root: --entries or --root"
        raise LocalProtocolError(message, code="vical.entries")
    return tuple(entries)


def _read_entry(read: Callable[[str], bytes], name: str) -> bytes:
    try:
        return read(name)
    except IssuanceError as exc:
        message = "a certificate is a regular file in the folder of the entries or below, and no link"
        raise DecodeError(f"{message}: {exc.message}", code="vical.entries", path="certificate") from exc


def _certificate(name: str, label: str) -> Certificate:
    data = terminal.read_input(name, label=label)
    with terminal.labelled(label):
        return Certificate.decode_any(data)


@contextmanager
def _vical_signer(arguments: argparse.Namespace) -> Iterator[tuple[Signer, list[Certificate]]]:
    """The signer and its chain; what an authority's own is used for is on record before it is used."""
    if arguments.key is not None:
        if not arguments.certificate:
            message = "a key needs its certificate: --certificate"
            raise LocalProtocolError(message, code="vical.chain")
        chain = [_certificate(name, f"--certificate[{index}]") for index, name in enumerate(arguments.certificate)]
        with open_signer(arguments.key, secret=_secret(arguments)) as signer:
            yield signer, chain
        return
    authority = open_authority(arguments)
    with authority.open_signer(Role.VICAL_SIGNER, at=now) as (signer, certificate):
        with (
            authority.open_store() as store,
            permitted(store, "vical", now, Actor.SIGNER_OPERATOR),
            store.transaction(at=now, actor=Actor.SIGNER_OPERATOR) as tx,
        ):
            label = tx.certificate(certificate.fingerprint).key or ""
            tx.use_key(label, "vical", certificate=certificate.fingerprint)
        yield signer, [certificate]


def _secret(arguments: argparse.Namespace) -> SecretHandler:
    source = secret_source(arguments.pin_env, arguments.pin_file)
    if source is not None:
        return source.handler(Path())

    def missing(prompt: str) -> str:
        message = f"{prompt}: say where it comes from, with --pin-env or --pin-file"
        raise SigningError(message, code="signing.secret_missing")

    return missing


def _tell_vical(arguments: argparse.Namespace, made: SignedVical, out: Path, publication: Publication | None) -> None:
    vical = made.vical
    next_update = None if vical.next_update is None else TDate.of(vical.next_update).text
    if arguments.json:
        terminal.write_json(
            {
                "file": str(out.absolute()),
                "provider": vical.provider,
                "issue_id": vical.issue_id,
                "date": TDate.of(vical.date).text,
                "next_update": next_update,
                "roots": len(vical.entries),
                "bytes": len(made.encoded),
                "sha256": vical.fingerprint.hex(),
                "published": publication_json(publication),
            }
        )
        return
    rows = [
        ("file", str(out.absolute())),
        ("number", str(vical.issue_id)),
        ("roots", str(len(vical.entries))),
        ("issued", f"{TDate.of(vical.date).text}, next by {next_update}"),
        ("SHA-256", vical.fingerprint.hex()),
    ]
    if publication is not None:
        rows += publication_rows(publication)
    headline = terminal.paint("The VICAL is signed.", "bold")
    then = "next: give readers the provider's root once, by another way"
    terminal.write([headline, *terminal.columns(rows, indent="  "), then])

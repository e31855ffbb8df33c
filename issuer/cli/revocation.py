"""``mdl issuer revoke`` and ``lists``: what is revoked is recorded, told to readers, and said plainly."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from issuer.addresses import check_address, check_template
from issuer.audit import Actor
from issuer.authority import MAX_CRL_DAYS, Authority
from issuer.cli.arguments import add_verb, count, now, open_authority, serial
from issuer.operations import refusals
from issuer.publishing import Publication, Publisher, published_folder
from issuer.revocation import (
    MAX_REFERENCES,
    REASONS,
    Evidence,
    Revoked,
    revoke_all_of,
    revoke_certificate,
    revoke_credentials,
    sign_due,
)
from issuer.signers import active_signer
from issuer.status import ListTerms, due_lists
from issuer.store import Reader, Role, StatusListRecord, StatusPlan, Store
from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.cli.outputs import folder_argument
from mdl.errors import DecodeError, LocalProtocolError, MdlError
from mdl.pki import Crl
from mdl.status import ListKind

__all__ = [
    "add_revocation",
    "add_signing_terms",
    "add_status_plan",
    "evidence_json",
    "evidence_rows",
    "publication_json",
    "publication_rows",
    "status_of",
    "status_plan",
    "terms_of",
]

_DONE: Final = 0
_FINDINGS: Final = 1
_FAILED: Final = 4
_IN_PART: Final = 6
_REFERENCE_SIZE: Final = 16
# So many of the references that nobody knows are told of; whoever mends them runs it again.
_MOST_NAMED: Final = 10
# Readers decode no more identifiers than this in one list (`mdl.status`); of indices a million take some kilobytes.
_PLACES: Final = {ListKind.STATUS_LIST: 1 << 20, ListKind.IDENTIFIER_LIST: 1 << 18}


# --- what the verbs of this and the next module share ----------------------------------------------------------------


def add_signing_terms(verb: argparse.ArgumentParser) -> None:
    """How long what is signed is good."""
    terms = verb.add_argument_group("how long what is signed is good")
    terms.add_argument(
        "--crl-days", type=count, default=30, metavar="N", help=f"a CRL: at most {MAX_CRL_DAYS} days (default: 30)"
    )
    terms.add_argument(
        "--list-hours",
        type=count,
        default=72,
        metavar="N",
        help="a status list: readers refuse an older one (default: 72)",
    )
    terms.add_argument(
        "--ttl-hours",
        type=count,
        default=12,
        metavar="N",
        help="a reader's copy of a list: a revocation is seen at the latest so long after it is published; lists are "
        "signed anew when half of it has passed (default: 12)",
    )


def add_status_plan(verb: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """Where the status of what is issued is told; gives the group of arguments."""
    status = verb.add_argument_group(title)
    status.add_argument(
        "--status-url",
        metavar="URL",
        help="tell the status in a list at this address, in which {list} stands for the list's id",
    )
    status.add_argument(
        "--status-kind",
        choices=[kind.value for kind in ListKind],
        default=ListKind.STATUS_LIST.value,
        help="a bit for each credential, or the identifiers of the revoked ones (default: %(default)s)",
    )
    return status


def status_plan(arguments: argparse.Namespace) -> StatusPlan | None:
    """The plan that the arguments name, or None.

    Raises:
        LocalProtocolError: The address is no place for lists (codes ``status.url``, ``publish.address``,
            ``publish.conflict``).
    """
    if arguments.status_url is None:
        return None
    kind = ListKind(arguments.status_kind)
    check_template(arguments.status_url)
    return StatusPlan(uri=arguments.status_url, kind=kind, size=_PLACES[kind])


def _reference(text: str) -> bytes:
    digits = text.strip().lower()
    if len(digits) != 2 * _REFERENCE_SIZE or not set(digits) <= set("0123456789abcdef"):
        msg = "not a reference as 'mdl issuer issue' prints it: 32 hex digits"
        raise argparse.ArgumentTypeError(msg)
    return bytes.fromhex(digits)


def terms_of(arguments: argparse.Namespace) -> ListTerms:
    """The terms that the arguments name.

    Raises:
        LocalProtocolError: They are none (code ``status.terms``).
    """
    try:
        return ListTerms(life=timedelta(hours=arguments.list_hours), ttl=timedelta(hours=arguments.ttl_hours))
    except ValueError as exc:
        message = "a list is good for 90 days at most, and a reader's copy of it for no longer than the list"
        raise LocalProtocolError(message, code="status.terms") from exc


def status_of(evidence: Evidence, publication: Publication | None) -> int:
    """The exit status: 6 if a part was not signed or placed, 4 if nothing was signed, 1 if readers may miss it, 0."""
    if evidence.failures:
        return _IN_PART if evidence.crls or evidence.lists else _FAILED
    if publication is not None and publication.unplaced:
        return _IN_PART
    missing = publication is not None and (publication.unsigned or publication.overdue)
    return _FINDINGS if missing or evidence.waiting else _DONE


def _moment(time: datetime) -> str:
    return TDate.of(time).text


def evidence_rows(evidence: Evidence) -> list[tuple[str, str]]:
    """What was signed, and what could not be, for people."""
    rows = []
    for crl in evidence.crls:
        revoked, following = len(Crl.decode(crl.record.der).revoked), _moment(crl.record.next_update)
        rows.append(("CRL", f"number {crl.record.number} of {crl.root.subject}: {revoked} revoked, next {following}"))
    rows += [
        ("list", f"{one.uri}: revision {one.revision}, {one.due.value}, until {_moment(one.expires_at)}")
        for one in evidence.lists
    ]
    rows += [
        ("WAITING", f"the CRL of {root.subject} is due, and its key is not in this token, or not for this role to use")
        for root in evidence.waiting
    ]
    rows += [("NOT SIGNED", str(failure)) for failure in evidence.failures]
    return rows


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "crls": [
            {
                "root": str(one.root.subject),
                "number": one.record.number,
                "this_update": _moment(one.record.this_update),
                "next_update": _moment(one.record.next_update),
                "revoked": [f"{number:x}" for number in Crl.decode(one.record.der).revoked],
            }
            for one in evidence.crls
        ],
        "lists": [
            {
                "uri": one.uri,
                "kind": one.kind.value,
                "revision": one.revision,
                "due": one.due.value,
                "issued": _moment(one.issued_at),
                "expires": _moment(one.expires_at),
                "ttl": int(one.ttl.total_seconds()),
            }
            for one in evidence.lists
        ],
        "waiting": [str(root.subject) for root in evidence.waiting],
        "failures": [{"code": one.code, "message": one.message} for one in evidence.failures],
    }


def publication_rows(publication: Publication) -> list[tuple[str, str]]:
    """What is published, for people."""
    changed = len(publication.changed)
    rows = [
        ("document root", str(publication.folder)),
        ("version", f"{publication.version}: {len(publication.items)} files, {changed or 'none'} of them changed"),
    ]
    rows += [("gone", f"{path}: nobody needs it any more") for path in publication.removed]
    rows += [("MISSING", f"{url}: it was never signed") for url in publication.unsigned]
    rows += [("NOT PUBLISHED", f"{one.url}: {one.message} [{one.code}]") for one in publication.unplaced]
    rows += [("OVERDUE", f"{url}: readers refuse it until it is signed anew") for url in publication.overdue]
    return rows


def publication_json(publication: Publication | None) -> dict[str, Any] | None:
    """The same for JSON."""
    if publication is None:
        return None
    return {
        "folder": str(publication.folder),
        "version": publication.version,
        "files": [one.row() for one in publication.items],
        "changed": [*publication.changed],
        "removed": [*publication.removed],
        "unsigned": [*publication.unsigned],
        "overdue": [*publication.overdue],
        "unplaced": [{"url": one.url, "code": one.code, "message": one.message} for one in publication.unplaced],
    }


# --- revoke ----------------------------------------------------------------------------------------------------------


def add_revocation(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``revoke`` and ``lists``."""
    verb = add_verb(
        commands,
        "revoke",
        "revoke credentials, a certificate, or all credentials of a document signer, and tell readers",
        "Revoke for good: it is recorded, then the CRL or the lists that tell of it are signed, then published where "
        "'mdl issuer publish' has published before. It counts from the record on: what fails after that is done "
        "by the next 'mdl issuer publish'. Exit status 4 if it is recorded and readers are not told yet.",
        _revoke,
    )
    verb.set_defaults(command=lambda one: "revoke" if one.certificate is None else "revoke --certificate")
    what = verb.add_argument_group("what").add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--credential",
        type=_reference,
        nargs="+",
        action="extend",
        metavar="REF",
        help="one credential or several, by their references: all of them or none",
    )
    what.add_argument(
        "--references",
        metavar="FILE",
        help="the credentials whose references stand in this file ('-': the standard input), one a line; empty lines, "
        f"and what follows a '#', do not count; {MAX_REFERENCES} at most, all of them or none",
    )
    what.add_argument(
        "--certificate", type=serial, metavar="SERIAL", help="a certificate, a document signer's for one: by its CRL"
    )
    what.add_argument(
        "--all-of",
        type=serial,
        metavar="SERIAL",
        help="every credential of a document signer, by their lists; its certificate stays",
    )
    verb.add_argument(
        "--reason", choices=list(REASONS), default="unspecified", help="why; kept in the store (default: unspecified)"
    )
    telling = verb.add_mutually_exclusive_group()
    telling.add_argument("--publish", type=folder_argument, metavar="DIR", help="publish in this folder")
    telling.add_argument(
        "--later",
        action="store_true",
        help="record only: the next 'mdl issuer publish' signs and publishes. At fixed times many revocations come "
        "together, and nobody can tell whose belong to one person",
    )
    add_signing_terms(verb)

    verb = add_verb(
        commands,
        "retire-list",
        "sign and publish a status list no more",
        "Sign and publish a status list no more, for one that has no place or is needed by nobody. It is recorded, and "
        "there is no way back: no reader can learn the status of the credentials in it any more. Exit status 5 if some "
        "of them are still valid, unless --needed says that this is meant.",
        _retire_list,
    )
    verb.add_argument("list", metavar="LIST", help="the list's id, or its address")
    verb.add_argument("--needed", action="store_true", help="also if credentials in it are still valid")

    verb = add_verb(
        commands,
        "move-list",
        "let a status list lie elsewhere in the published tree than its address says",
        "Let a status list lie elsewhere in the published tree, for an address that cannot be a plain file's: the web "
        "server has to be told to serve it from there. It is recorded; 'mdl issuer publish' puts it there.",
        _move_list,
    )
    verb.add_argument("list", metavar="LIST", help="the list's id, or its address")
    verb.add_argument("place", metavar="PATH", help="where in the tree, for example moved/0a1b2c")

    verb = add_verb(
        commands,
        "lists",
        "show the status lists, and which of them are due",
        "Show the status lists and identifier lists: how many places are taken, what was signed last, and what is due. "
        "Nothing is signed; 'mdl issuer publish' does that.",
        _lists,
    )
    add_signing_terms(verb)


def _revoke(arguments: argparse.Namespace) -> int:
    terms = terms_of(arguments)
    named = _named(arguments)
    authority = open_authority(arguments)
    with authority.open_store() as store:
        how: dict[str, Any] = {"at": now, "reason": REASONS[arguments.reason]}
        if named:
            revoked = _revoke_named(store, named, **how)
        elif arguments.certificate is not None:
            revoked = revoke_certificate(store, arguments.certificate, **how)
        else:
            revoked = revoke_all_of(store, arguments.all_of, **how)
    evidence, publication = Evidence(), None
    if not arguments.later:
        evidence, publication = _tell(authority, arguments, terms)
    if arguments.json:
        terminal.write_json(
            {
                "recorded": _moment(revoked.at),
                "reason": arguments.reason,
                "certificate": None if revoked.certificate is None else f"{revoked.certificate.serial:x}",
                "certificate_revoked": revoked.is_certificate_revoked,
                "references": revoked.references,
                "credentials": revoked.credentials,
                "without_status": revoked.without_place,
                "signed": evidence_json(evidence),
                "published": publication_json(publication),
            }
        )
    else:
        rows = [*_revoked_rows(revoked, arguments), *evidence_rows(evidence)]
        if publication is not None:
            rows += publication_rows(publication)
        rows += [("readers", text) for text in _outlook(revoked, evidence, publication)]
        headline = (
            "It is recorded as revoked, and readers are not told yet." if evidence.failures else _headline(revoked)
        )
        terminal.write([terminal.paint(headline, "bold"), *terminal.columns(rows, indent="  ")])
    for failure in evidence.failures:
        terminal.write_error(f"recorded as revoked, but not told to readers: {failure}; run mdl issuer publish")
    ended = status_of(evidence, publication)
    # What no reader can see is done in part, whatever else was signed.
    is_unseen = revoked.without_place and revoked.valid_until >= revoked.at
    return _IN_PART if is_unseen and ended != _FAILED else ended


def _named(arguments: argparse.Namespace) -> dict[str, bytes]:
    """The references that are named, by where they stand: on the command line, or in a file."""
    if arguments.references is None:
        given = arguments.credential or []
        return {f"{index} on the command line": one for index, one in enumerate(given, start=1)}
    named: dict[str, bytes] = {}
    lines = terminal.read_input(arguments.references, label="references").decode("ascii", "replace").splitlines()
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            named[f"in line {number}"] = _reference(text)
        except argparse.ArgumentTypeError as exc:
            raise DecodeError(str(exc), code="revocation.reference", path=f"references.line {number}") from None
    if not named:
        raise DecodeError("the file names no reference", code="input.empty", path="references")
    return named


def _revoke_named(store: Store, named: dict[str, bytes], **how: Any) -> Revoked:
    try:
        return revoke_credentials(store, [*named.values()], **how)
    except LocalProtocolError as exc:
        if exc.code != "store.unknown" or len(named) == 1:
            raise
        places = [*named]
        told = ", ".join(places[index] for index in exc.places[:_MOST_NAMED])
        more = len(exc.places) - _MOST_NAMED
        told += f" and {more} more" if more > 0 else ""
        message = f"nothing was revoked: the store knows no issued credential of the reference {told}"
        raise LocalProtocolError(message, code=exc.code, places=exc.places) from exc


def _tell(authority: Authority, arguments: argparse.Namespace, terms: ListTerms) -> tuple[Evidence, Publication | None]:
    """Sign and publish; whatever fails is told, since the revocation itself is on record."""
    evidence, publication = Evidence(), None
    try:
        evidence = sign_due(authority, at=now, terms=terms, crl_days=arguments.crl_days)
        folder = published_folder(authority.folder) if arguments.publish is None else Path(arguments.publish)
        if folder is not None:
            with authority.open_store() as store:
                publication = Publisher(store, folder).publish(at=now)
    except MdlError as exc:
        failures = (*evidence.failures, exc)
        evidence = Evidence(crls=evidence.crls, lists=evidence.lists, waiting=evidence.waiting, failures=failures)
    return evidence, publication


def _headline(revoked: Revoked) -> str:
    if revoked.is_certificate_revoked:
        return "The certificate is revoked."
    if revoked.certificate is not None and not revoked.credentials:
        return "It was revoked before: nothing changed."
    if revoked.credentials == 1:
        return "The credential is revoked."
    if not revoked.credentials and revoked.references > 1:
        return "The credentials were revoked before: nothing changed."
    if not revoked.credentials:
        return "The credential was revoked before: nothing changed."
    return f"{revoked.credentials} credentials are revoked."


def _revoked_rows(revoked: Revoked, arguments: argparse.Namespace) -> list[tuple[str, str]]:
    rows = [("recorded", f"{_moment(revoked.at)}, reason: {arguments.reason}")]
    if revoked.certificate is not None:
        rows.append(("certificate", f"{revoked.certificate.subject}, serial number {revoked.certificate.serial:x}"))
    if not revoked.is_certificate_revoked:
        before = revoked.references - revoked.credentials
        known = f" of {revoked.references}, and {before} were revoked before" if revoked.references > 1 else ""
        rows.append(("credentials", f"{revoked.credentials}{known}"))
    if revoked.without_place:
        text = (
            f"credentials without a status: {revoked.without_place}. No reader sees that they are revoked: they stay "
            f"good until they expire, {_moment(revoked.valid_until)} at the latest, or their document signer is revoked"
        )
        rows.append(("NOT TOLD", text))
    return rows


def _outlook(revoked: Revoked, evidence: Evidence, publication: Publication | None) -> Iterable[str]:
    """What readers will see, and from when."""
    if not (evidence.crls or evidence.lists):
        if revoked.credentials > revoked.without_place or revoked.is_certificate_revoked:
            yield "see it when it is signed and published: run mdl issuer publish"
        return
    if publication is None:
        yield "see it when it is published: run mdl issuer publish DIR"
        return
    if evidence.crls:
        ends = [one.before for one in evidence.crls if one.before is not None]
        yield (
            "that fetch the CRL refuse from now on what the certificate has signed (issuer_auth.certificate_revocation)"
            + (f"; one that keeps the CRL before cannot use it after {_moment(max(ends))}" if ends else "")
        )
    if evidence.lists:
        ends = [one.before for one in evidence.lists if one.before is not None]
        ttl = max(one.ttl for one in evidence.lists)
        yield (
            "that fetch the list refuse from now on (mso.status); one with a copy looks for a newer one within "
            f"{ttl // timedelta(hours=1)} hours" + (f", and cannot use it after {_moment(max(ends))}" if ends else "")
        )


# --- retire and move ---


def _chosen_list(reader: Reader, name: str) -> StatusListRecord:
    for one in reader.status_lists():
        if name in (one.list_id, one.uri):
            return one
    raise LocalProtocolError("no status list of this authority has that id or address", code="store.unknown")


def _retire_list(arguments: argparse.Namespace) -> int:
    actor = Actor.SIGNER_OPERATOR
    with (
        open_authority(arguments).open_store() as store,
        refusals(store, "retire-list", now, actor),
        store.transaction(at=now, actor=actor) as tx,
    ):
        chosen = _chosen_list(tx, arguments.list)
        needed = tx.list_needed_until(chosen.list_id)
        if needed is not None and needed >= tx.at and not arguments.needed:
            message = f"credentials in this list are valid until {_moment(needed)}: name --needed if it is meant"
            raise LocalProtocolError(message, code="status.needed")
        is_new = tx.retire_list(chosen.list_id)
    row = {"list": chosen.list_id, "uri": chosen.uri, "retired": is_new}
    if arguments.json:
        terminal.write_json(row)
    else:
        what = "The list is retired." if is_new else "The list is retired already."
        terminal.write([terminal.paint(what, "bold"), f"  {chosen.uri}", "next: mdl issuer publish"])
    return _DONE


def _move_list(arguments: argparse.Namespace) -> int:
    actor = Actor.SIGNER_OPERATOR
    with (
        open_authority(arguments).open_store() as store,
        refusals(store, "move-list", now, actor),
        store.transaction(at=now, actor=actor) as tx,
    ):
        chosen = _chosen_list(tx, arguments.list)
        # As the path of an address of its own: what publishing needs, and no other file's.
        others = [one for one in tx.addresses() if one != chosen.uri]
        place = check_address(f"https://moved.invalid/{arguments.place}", others)
        tx.place_list(chosen.list_id, place)
    if arguments.json:
        terminal.write_json({"list": chosen.list_id, "uri": chosen.uri, "place": place})
    else:
        lines = [f"  {chosen.uri} lies at {place}", "next: mdl issuer publish, and tell the web server"]
        terminal.write([terminal.paint("The list has another place.", "bold"), *lines])
    return _DONE


# --- lists -----------------------------------------------------------------------------------------------------------


def _lists(arguments: argparse.Namespace) -> int:
    terms = terms_of(arguments)
    rows = []
    at = now()
    with open_authority(arguments).open_store() as store, store.reading() as reader:
        due: dict[StatusListRecord, str] = {}
        roots = {one.certificate.fingerprint: one.certificate for one in reader.certificates()}
        for issuer in dict.fromkeys(one.issuer for one in reader.status_lists()):
            try:
                signer = active_signer(reader, Role.STATUS_SIGNER, at=at, issuer=issuer).record.certificate
            except LocalProtocolError:
                due |= {one: "no signer" for one in reader.status_lists() if one.issuer == issuer}
            else:
                found = due_lists(reader, certificate=signer, root=roots[issuer], at=at, terms=terms)
                due |= {one: why.value for one, why in found.items()}
        for one in reader.status_lists():
            is_status = one.kind is ListKind.STATUS_LIST
            told = len(reader.revoked_indices(one.list_id) if is_status else reader.revoked_identifiers(one.list_id))
            last = reader.signed_list(one.list_id)
            rows.append(
                {
                    "uri": one.uri,
                    "kind": one.kind.value,
                    "places": one.size,
                    "taken": one.used,
                    "revoked": told,
                    "revision": None if last is None else last[0],
                    "issued": None if last is None else _moment(last[2]),
                    "expires": None if last is None else _moment(last[3]),
                    "due": due.get(one),
                    "retired": None if one.retired_at is None else _moment(one.retired_at),
                    "place": one.place,
                }
            )
    if arguments.json:
        terminal.write_json(rows)
    elif not rows:
        terminal.write(["There is no list yet: issue with --status-url, and one is opened."])
    else:
        table: list[tuple[str, ...]] = [("list", "taken", "revoked", "revision", "expires", "due")]
        for row in rows:
            cells = [f"{row['taken']}/{row['places']}", row["revoked"], row["revision"], row["expires"], row["due"]]
            table.append((str(row["uri"]), *("-" if cell is None else str(cell) for cell in cells)))
        terminal.write(terminal.columns(table))
    return _DONE

"""``mdl reader trust``: whom a reader trusts, kept in one file."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.cli.certificates import likely_profile
from mdl.cli.outputs import file_argument
from mdl.errors import LocalProtocolError, MdlError, ProfileError, VerificationError
from mdl.pki import IACA, Certificate, Severity
from mdl.vical import CertificateInfo, MalformedInfo, Vical
from reader.cli.inputs import expecting, read_bytes, read_crls
from reader.report import Revocation
from reader.trust import (
    ANY_DOCTYPE,
    ANY_PURPOSE,
    MDL_DOCTYPE,
    AnyDoctype,
    AnyPurpose,
    Purpose,
    TrustAnchor,
    check_signer_purposes,
)
from reader.trust_file import AssembledTrust, HeldVical, TrustFile
from reader.vical import DEFAULT_MAX_STALE, Freshness, RefusedEntry, VicalImport

__all__ = ["add_trust"]

_DONE: Final = 0
_FINDINGS: Final = 1
_SOON: Final = 30
_LONGEST: Final = 3660
_ANY: Final = "any"
_SHORTEST: Final = 16
_HEX: Final = re.compile(rf"[0-9a-f]{{{_SHORTEST},64}}")


def add_trust(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``trust`` and its verbs."""
    trust = commands.add_parser(
        "trust",
        help="keep the roots that a reader trusts: import, list, check, remove, distrust, diff",
        description="Keep whom a reader trusts in one file: IACA roots of your own choice, and lists of roots (VICALs) "
        "of providers whom you have pinned. Lists are verified again whenever the file is used.",
        allow_abbrev=False,
    )
    verbs = trust.add_subparsers(metavar="VERB", required=True, title="verbs")
    _add_import(verbs)
    for name, run, text, more in (
        ("list", _list, "show every anchor, where it comes from and what it is good for", ""),
        (
            "check",
            _check,
            "look for what needs care: profile, expiry, age",
            " Exit status 1 if something does: a root that deviates, expires or is not trusted, a list that is stale.",
        ),
    ):
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.{more}", allow_abbrev=False)
        verb.set_defaults(run=run)
        verb.add_argument("--store", required=True, type=terminal.argument_file, metavar="FILE", help="the trust store")
        if name == "check":
            verb.add_argument(
                "--soon",
                type=_days,
                default=timedelta(days=_SOON),
                metavar="DAYS",
                help=f"tell what ends within so many days (default: {_SOON})",
            )
            _add_crls(verb)
        _add_common(verb)
    _add_removal(verbs)
    diff = verbs.add_parser(
        "diff",
        help="compare two trust stores by what they trust",
        description="Compare two trust stores by what they trust at one time: roots that came, roots that went, roots "
        "that are good for something else. Exit status 1 if they differ, or something in them is not trusted then.",
        allow_abbrev=False,
    )
    diff.set_defaults(run=_diff)
    diff.add_argument("old", type=terminal.argument_file, metavar="OLD", help="a trust store")
    diff.add_argument("new", type=terminal.argument_file, metavar="NEW", help="another one")
    _add_common(diff)


def _add_removal(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, run, text, more in (
        (
            "remove",
            _remove,
            "take roots out of a trust store",
            " A provider's root goes with its list and with what is remembered of it. What a list names, distrust.",
        ),
        (
            "distrust",
            _distrust,
            "trust no root with the key of these any more, whoever vouches for it",
            " A list may go on naming the root: it is left out, today and in every newer list.",
        ),
    ):
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.{more}", allow_abbrev=False)
        verb.set_defaults(run=run)
        verb.add_argument(
            "root",
            nargs="+",
            metavar="ROOT",
            help=f"the SHA-256 of its certificate as 'list' shows it, {_SHORTEST} hex digits at least; or a file with "
            "the certificate",
        )
        verb.add_argument("--store", required=True, type=file_argument, metavar="FILE", help="the trust store")
        if name == "distrust":
            verb.add_argument("--undo", action="store_true", help="lift it: what lists say of the roots counts again")
        _add_common(verb)


def _add_common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--at",
        type=terminal.argument_time,
        metavar="TIME",
        help="as of this time, for example 2026-01-31T00:00:00Z; without it, now",
    )
    verb.add_argument("--json", action="store_true", help="write JSON")


def _add_crls(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--crl",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="the provider's revocation lists, DER or PEM",
    )


def _add_import(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser(
        "import",
        help="add roots, or a provider's list of roots",
        description="Add IACA roots (PEM or DER) or VICALs to a trust store. All of the files are taken, or none. A "
        "VICAL is verified up to the provider's root that you name once; a root is held against the profile of IACA "
        "roots. Exit status 1 if something is refused.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_import)
    verb.add_argument("file", nargs="+", metavar="FILE", help="IACA roots, or VICALs")
    verb.add_argument(
        "--store",
        required=True,
        type=file_argument,
        metavar="FILE",
        help="the trust store; it is made if there is none",
    )
    verb.add_argument(
        "--provider-root",
        metavar="FILE",
        help="the provider's root certificate, from elsewhere than the VICAL; the store remembers it",
    )
    verb.add_argument(
        "--doctype",
        nargs="+",
        action="extend",
        metavar="DOCTYPE",
        help=f"trust roots for these document types; '{_ANY}' for every one. For a VICAL: take no others from it",
    )
    verb.add_argument("--country", metavar="CC", help="trust roots of this country only")
    verb.add_argument(
        "--state", metavar="STATE", help="trust roots of this state or province only, as the root names it"
    )
    verb.add_argument(
        "--signer-purpose",
        nargs="+",
        action="extend",
        type=_signer_purpose,
        default=[],
        metavar="DOCTYPE=OID",
        help="which extendedKeyUsages document signers may have for a document type other than the mDL, one of them "
        f"each: object identifiers with commas between; '{_ANY}' for any, or none",
    )
    verb.add_argument(
        "--max-stale",
        type=_days,
        default=DEFAULT_MAX_STALE,
        metavar="DAYS",
        help=f"use a VICAL for so many days after its next update was due (default: {DEFAULT_MAX_STALE.days})",
    )
    _add_crls(verb)
    verb.add_argument(
        "--revocation",
        choices=[revocation.value for revocation in Revocation],
        default=Revocation.IF_GIVEN.value,
        help="whether a VICAL is refused whose signer's revocation cannot be determined (default: %(default)s)",
    )
    _add_common(verb)


def _signer_purpose(text: str) -> tuple[str, frozenset[str] | AnyPurpose]:
    doctype, _, purposes = text.partition("=")
    chosen = ANY_PURPOSE if purposes == _ANY else frozenset(purposes.split(","))
    try:
        check_signer_purposes({doctype: chosen})
    except ValueError as exc:
        msg = str(exc) if doctype == MDL_DOCTYPE else f"the purposes are not object identifiers, or '{_ANY}'"
        raise argparse.ArgumentTypeError(msg) from exc
    if not doctype:
        msg = "no document type before the equals sign"
        raise argparse.ArgumentTypeError(msg)
    return doctype, chosen


def _days(text: str) -> timedelta:
    if text.isdecimal() and text.isascii() and len(text) <= 4 and int(text) <= _LONGEST:
        return timedelta(days=int(text))
    msg = f"not a whole number of days, 0 to {_LONGEST}"
    raise argparse.ArgumentTypeError(msg)


# --- import -----------------------------------------------------------------------------------------------------------


def _import(arguments: argparse.Namespace) -> int:
    at = _time(arguments)
    store = Path(arguments.store)
    file = TrustFile.load(store) if store.exists() else TrustFile()
    pinned = _read_provider_root(arguments)
    crls = _read_crls(arguments)
    roots: list[TrustAnchor] = []
    imports: list[VicalImport] = []
    for index, name in enumerate(arguments.file):
        label = f"FILE[{index}]"
        data = read_bytes(name, label)
        with expecting("certificate", "vical", data=data, label=label), _named(label):
            if data.startswith(b"\x30") or b"-----BEGIN" in data:
                found = Certificate.parse_pem_bundle(data) if b"-----BEGIN" in data else (Certificate(data),)
                for number, root in enumerate(found):
                    with _named(f"certificates[{number}], {root.subject}", instead=_other_kind(root)):
                        file = file.with_root(root, at=at, **_root_scope(arguments))
                    roots.append(file.roots[-1])
            else:
                file, imported = file.with_vical(
                    data,
                    provider=_provider(arguments, file, pinned, data, at),
                    at=at,
                    max_stale=arguments.max_stale,
                    revocation=Revocation(arguments.revocation),
                    crls=crls,
                )
                imports.append(imported)
    file.save(store)
    if arguments.json:
        terminal.write_json(
            {
                "at": TDate.of(at).text,
                "roots": [{**_certificate_json(one.certificate), **_profile_json(one)} for one in roots],
                "vicals": [_vical_json(one) for one in imports],
            }
        )
        return _DONE
    for anchor in roots:
        terminal.write([terminal.safe(f"trusted now: {anchor.certificate.subject}"), *_profile_lines(anchor)])
    for one in imports:
        terminal.write(_vical_lines(one))
    return _DONE


@contextmanager
def _named(what: str, *, instead: str = "") -> Iterator[None]:
    """Say in the message of a refusal what it is about; `DecodeError` has a path for that."""
    try:
        yield
    except (ProfileError, VerificationError) as exc:
        exc.message = terminal.safe(f"{what}: {instead}{exc.message}")
        raise


def _other_kind(certificate: Certificate) -> str:
    """What a certificate says that it is for, where that is no IACA root; empty where it says nothing of the kind."""
    profile = likely_profile(certificate)
    return "" if profile in (None, IACA) else f"a certificate for another role ({profile.title}); "


def _profile_json(anchor: TrustAnchor) -> dict[str, Any]:
    """In what a root deviates from its profile, and who refuses what it issues for that."""
    return {
        "findings": [
            {"rule": one.rule, "severity": one.severity.value, "message": one.message} for one in anchor.findings
        ],
        "refused_by": {policy.value: list(rules) for policy, rules in anchor.refused_by.items()},
    }


def _profile_lines(anchor: TrustAnchor) -> list[str]:
    table = [(one.severity.value, f"{one.message} [{one.rule}]") for one in anchor.findings]
    by_rules: dict[tuple[str, ...], list[str]] = {}
    for policy, rules in anchor.refused_by.items():
        by_rules.setdefault(rules, []).append(policy.value)
    table += [
        ("refused", f"{' and '.join(policies)} will refuse every document under this root: {', '.join(rules)}")
        for rules, policies in by_rules.items()
    ]
    return terminal.columns(table, indent="  ") if table else []


def _read_crls(arguments: argparse.Namespace) -> tuple[bytes, ...]:
    return tuple(read_crls(arguments))


def _read_provider_root(arguments: argparse.Namespace) -> Certificate | None:
    if arguments.provider_root is None:
        return None
    data = read_bytes(arguments.provider_root, "--provider-root")
    with expecting("certificate", data=data, label="--provider-root"):
        return Certificate.decode_any(data)


def _doctypes(arguments: argparse.Namespace) -> frozenset[str] | AnyDoctype:
    named = arguments.doctype or [_ANY]
    return ANY_DOCTYPE if _ANY in named else frozenset(named)


def _usage(message: str) -> LocalProtocolError:
    return LocalProtocolError(message, code="cli.usage")


def _root_scope(arguments: argparse.Namespace) -> dict[str, Any]:
    if not arguments.doctype:
        raise _usage(f"say with --doctype what a root is to be trusted for; '{_ANY}' for every document type")
    return {
        "doctypes": _doctypes(arguments),
        "country": arguments.country,
        "state": arguments.state,
        "signer_purposes": dict(arguments.signer_purpose),
    }


def _provider(
    arguments: argparse.Namespace, file: TrustFile, pinned: Certificate | None, data: bytes, at: datetime
) -> TrustAnchor:
    """The pinned root: the one that is named, or the only one that the store remembers."""
    if pinned is None:
        if len(file.vicals) == 1:
            return file.vicals[0].provider
        Vical.decode(data)  # what is none needs no provider to be refused
        raise _usage("a VICAL is verified up to a root of its provider that you trust: name it with --provider-root")
    held = file.held_from(pinned)
    if held is not None and not (arguments.doctype or arguments.country or arguments.state or arguments.signer_purpose):
        return held.provider
    return TrustAnchor.admit(
        pinned,
        doctypes=_doctypes(arguments),
        purpose=Purpose.VICAL_PROVIDER,
        country=arguments.country,
        state=arguments.state,
        signer_purposes=dict(arguments.signer_purpose),
        at=at,
    )


# --- remove and distrust ----------------------------------------------------------------------------------------------


def _remove(arguments: argparse.Namespace) -> int:
    file, roots = _named_roots(arguments)
    for root in roots:
        with _named(str(root.subject)):
            file = file.without(root)
    return _save(arguments, file, "removed", roots)


def _distrust(arguments: argparse.Namespace) -> int:
    file, roots = _named_roots(arguments)
    for root in roots:
        file = file.without_distrust(root) if arguments.undo else file.with_distrust(root)
    return _save(arguments, file, "no longer distrusted" if arguments.undo else "distrusted", roots)


def _save(arguments: argparse.Namespace, file: TrustFile, what: str, roots: Iterable[Certificate]) -> int:
    file.save(Path(arguments.store))
    if arguments.json:
        terminal.write_json({"done": what, "roots": [_certificate_json(root) for root in roots]})
    else:
        terminal.write([terminal.safe(f"{what}: {root.subject}") for root in roots])
    return _DONE


def _named_roots(arguments: argparse.Namespace) -> tuple[TrustFile, list[Certificate]]:
    """The trust store, and the roots that are named on the command line: by file, or by part of their SHA-256."""
    file = TrustFile.load(Path(arguments.store))
    found: list[Certificate] = []
    known: dict[str, Certificate] | None = None
    for index, word in enumerate(arguments.root):
        digits = word.replace(":", "").replace(" ", "").lower()
        if _HEX.fullmatch(digits) is None:
            data = read_bytes(word, f"ROOT[{index}]")
            with expecting("certificate", data=data, label=f"ROOT[{index}]"):
                found.append(Certificate.decode_any(data))
            continue
        known = known if known is not None else _known_roots(file)
        matching = [certificate for fingerprint, certificate in known.items() if fingerprint.startswith(digits)]
        if len(matching) != 1:
            many = "more than one root" if matching else "no root"
            msg = f"ROOT[{index}]: {many} of the trust store has that SHA-256; 'mdl reader trust list' shows them"
            raise LocalProtocolError(msg, code="trust.unknown")
        found += matching
    return file, found


def _known_roots(file: TrustFile) -> dict[str, Certificate]:
    """Every root that the store has to do with, by its SHA-256: given, named by a list, a provider's, distrusted.

    For this a list is read and not verified: an expired one names roots too.
    """
    entries = [entry for held in file.vicals for entry in _entries(held)]
    listed = [entry.certificate for entry in entries if isinstance(entry, CertificateInfo)]
    given = [one.certificate for one in (*file.roots, *(held.provider for held in file.vicals))]
    return {one.fingerprint.hex(): one for one in (*given, *listed, *file.distrusted)}


def _entries(held: HeldVical) -> Iterable[CertificateInfo | MalformedInfo]:
    try:
        return Vical.decode(held.data).entries
    except MdlError:
        return ()


# --- list -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """One anchor and where it comes from; None where the user gave it."""

    anchor: TrustAnchor
    source: VicalImport | None


def _time(arguments: argparse.Namespace) -> datetime:
    at: datetime = arguments.at or datetime.now(UTC)
    return at


def _assembled(name: str, at: datetime) -> AssembledTrust:
    return TrustFile.load(Path(name)).assemble(at=at)


def _rows(assembled: AssembledTrust) -> list[_Row]:
    given = [_Row(anchor, None) for anchor in assembled.given]
    return given + [_Row(anchor, one) for one in assembled.imports for anchor in one.anchors]


def _list(arguments: argparse.Namespace) -> int:
    at = _time(arguments)
    file = TrustFile.load(Path(arguments.store))
    assembled = file.assemble(at=at)
    rows = _rows(assembled)
    if arguments.json:
        terminal.write_json(
            {
                "at": TDate.of(at).text,
                "anchors": [_row_json(row) for row in rows],
                "vicals": [_vical_json(one) for one in assembled.imports],
                "not_trusted": _refusals_json(assembled),
                "distrusted": [_certificate_json(one) for one in file.distrusted],
            }
        )
        return _DONE
    terminal.write([f"As of {TDate.of(at).text}: {len(rows)} {'anchor' if len(rows) == 1 else 'anchors'}", ""])
    for row in rows:
        terminal.write([*_row_lines(row), ""])
    for one in assembled.imports:
        terminal.write([*_vical_lines(one), ""])
    terminal.write(_refusal_lines(assembled))
    terminal.write(
        [terminal.safe(f"distrusted: {one.subject} (SHA-256 {one.fingerprint.hex()})") for one in file.distrusted]
    )
    return _DONE


def _scope(anchor: TrustAnchor) -> dict[str, Any]:
    certificate, doctypes = anchor.certificate, anchor.doctypes
    return {
        "doctypes": _ANY if isinstance(doctypes, AnyDoctype) else sorted(doctypes),
        "country": anchor.country or certificate.country,
        "state": anchor.state or certificate.state,
        "signer_purposes": {
            name: _ANY if isinstance(one, AnyPurpose) else sorted(one)
            for name, one in sorted(anchor.signer_purposes.items())
        },
    }


def _certificate_json(certificate: Certificate) -> dict[str, Any]:
    return {
        "subject": str(certificate.subject),
        "fingerprint": certificate.fingerprint.hex(),
        "not_before": TDate.of(certificate.not_before).text,
        "not_after": TDate.of(certificate.not_after).text,
    }


def _row_json(row: _Row) -> dict[str, Any]:
    anchor, source = row.anchor, row.source
    return {
        **_certificate_json(anchor.certificate),
        **_scope(anchor),
        "until": None if anchor.until is None else TDate.of(anchor.until).text,
        "source": "given" if source is None else "vical",
        "provider": None if source is None else source.provider,
        **_profile_json(anchor),
    }


def _row_lines(row: _Row) -> list[str]:
    anchor, source = row.anchor, row.source
    scope = _scope(anchor)
    certificate = anchor.certificate
    place = ", ".join(part for part in (scope["country"], scope["state"]) if part)
    doctypes = scope["doctypes"]
    table = [
        ("for", "every document type" if doctypes == _ANY else ", ".join(doctypes)),
        ("place", place or "not named"),
        *(("signers of", _purposes_text(name, one)) for name, one in scope["signer_purposes"].items()),
        ("valid", f"{TDate.of(certificate.not_before).text} to {TDate.of(certificate.not_after).text}"),
        ("source", "given" if source is None else f"VICAL of {source.provider}, {_number(source)}"),
        ("SHA-256", certificate.fingerprint.hex()),
    ]
    head = [terminal.paint(terminal.safe(str(certificate.subject)), "bold")]
    return [*head, *terminal.columns(table, indent="  "), *_profile_lines(anchor)]


def _purposes_text(doctype: str, purposes: str | list[str]) -> str:
    wanted = "of any purpose" if isinstance(purposes, str) else f"with purpose {' or '.join(purposes)}"
    return f"{doctype}: {wanted}"


def _number(source: VicalImport) -> str:
    date = TDate.of(source.date).text
    return f"issued {date}" if source.issue_id is None else f"number {source.issue_id} of {date}"


def _vical_json(one: VicalImport) -> dict[str, Any]:
    return {
        "provider": one.provider,
        "provider_root": one.root.fingerprint.hex(),
        "issue_id": one.issue_id,
        "date": TDate.of(one.date).text,
        "next_update": None if one.next_update is None else TDate.of(one.next_update).text,
        "until": TDate.of(one.until).text,
        "freshness": one.freshness.value,
        "fingerprint": one.fingerprint.hex(),
        "anchors": len(one.anchors),
        "refused_by": dict(Counter(policy.value for anchor in one.anchors for policy in anchor.refused_by)),
        "refused": [_refused_json(entry) for entry in one.refused],
        "deviations": dict(sorted(Counter(deviation.code for deviation in one.deviations).items())),
        "checks": [
            {
                "id": check.id,
                "outcome": check.outcome.value,
                "detail": check.detail,
                "warnings": list(check.warnings),
                "clause": check.clause,
            }
            for check in one.report
        ],
    }


def _refused_json(entry: RefusedEntry) -> dict[str, Any]:
    return {
        "entry": entry.index,
        "code": entry.code,
        "detail": entry.detail,
        "subject": None if entry.certificate is None else str(entry.certificate.subject),
    }


def _vical_lines(one: VicalImport) -> list[str]:
    counts = Counter(deviation.code for deviation in one.deviations)
    # What was not used of the entries is told below, one by one.
    counts.update(code for check in one.report if check.id != "vical.entries" for code in check.warnings)
    table = [
        ("root", str(one.root.subject)),
        ("anchors", str(len(one.anchors))),
        ("age", f"{one.freshness.value}; may be used until {TDate.of(one.until).text}"),
        ("SHA-256", one.fingerprint.hex()),
    ]
    refused = [anchor for anchor in one.anchors if anchor.refused_by]
    if refused:
        policies = " and ".join(sorted({policy.value for anchor in refused for policy in anchor.refused_by}))
        text = f"{policies} will refuse every document under {len(refused)} of the roots, as 'list' shows"
        table.append(("refused", text))
    undetermined = one.report.indeterminate
    if undetermined:
        table.append(("not determined", ", ".join(undetermined)))
    if counts:
        table.append(("tolerated", ", ".join(f"{code} ({count})" for code, count in sorted(counts.items()))))
    table += [(f"entry {entry.index}", f"not used: {entry.detail} [{entry.code}]") for entry in one.refused]
    title = f"VICAL of {one.provider}, {_number(one)}"
    return [terminal.paint(terminal.safe(title), "bold"), *terminal.columns(table, indent="  ")]


def _what(what: TrustAnchor | HeldVical) -> tuple[str, Certificate]:
    if isinstance(what, TrustAnchor):
        return "root", what.certificate
    return "vical", what.provider.certificate


def _refusals_json(assembled: AssembledTrust) -> list[dict[str, Any]]:
    found = []
    for refusal in assembled.refusals:
        kind, certificate = _what(refusal.what)
        found.append(
            {
                "what": kind,
                "root": certificate.fingerprint.hex(),
                "code": refusal.error.code,
                "message": refusal.error.message,
                "failed": list(getattr(refusal.error, "failed", ())),
            }
        )
    return found


def _refusal_lines(assembled: AssembledTrust) -> list[str]:
    lines = []
    for refusal in assembled.refusals:
        kind, certificate = _what(refusal.what)
        name = "the root" if kind == "root" else "the VICAL under the root"
        text = terminal.safe(f"{name} {certificate.subject}: {refusal.error}")
        lines += terminal.wrap(text, first=terminal.paint("not trusted: ", "red"), rest=" " * 13)
    return lines


# --- check ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Finding:
    """Something that needs care."""

    code: str
    severity: str
    subject: str
    message: str


def _check(arguments: argparse.Namespace) -> int:
    at = _time(arguments)
    assembled = TrustFile.load(Path(arguments.store)).assemble(at=at, crls=_read_crls(arguments))
    found = [*_refusal_findings(assembled), *_list_findings(assembled.imports, at, arguments.soon)]
    for row in _rows(assembled):
        found += _anchor_findings(row.anchor, at, arguments.soon)
    if arguments.json:
        terminal.write_json(
            {
                "at": TDate.of(at).text,
                "anchors": len(assembled.anchors),
                "findings": [
                    {"code": one.code, "severity": one.severity, "subject": one.subject, "message": one.message}
                    for one in found
                ],
            }
        )
    else:
        for one in found:
            terminal.write(
                terminal.wrap(
                    terminal.safe(f"{one.subject}: {one.message} [{one.code}]"),
                    first=terminal.paint(f"{one.severity}: ", "red" if one.severity == "error" else "yellow"),
                    rest="  ",
                )
            )
        count = f"{len(found)} {'finding' if len(found) == 1 else 'findings'}" if found else "nothing needs care"
        terminal.write([f"As of {TDate.of(at).text}, {len(assembled.anchors)} anchors: {count}"])
    return _FINDINGS if found else _DONE


def _refusal_findings(assembled: AssembledTrust) -> Iterable[_Finding]:
    for refusal in assembled.refusals:
        kind, certificate = _what(refusal.what)
        name = str(certificate.subject) if kind == "root" else f"the VICAL under {certificate.subject}"
        yield _Finding(refusal.error.code, "error", name, f"not trusted: {refusal.error.message}")


def _list_findings(imports: Iterable[VicalImport], at: datetime, soon: timedelta) -> Iterable[_Finding]:
    for one in imports:
        name = f"the VICAL of {one.provider}"
        if one.freshness is Freshness.STALE:
            text = f"the next one is due since {_due(one)}; this one may be used until {TDate.of(one.until).text}"
            yield _Finding("vical.stale", "warning", name, text)
        elif one.until - at <= soon:
            yield _Finding("vical.ends", "warning", name, f"may be used until {TDate.of(one.until).text}")
        if one.signer.not_after - at <= soon:
            text = f"its signer's certificate ends {TDate.of(one.signer.not_after).text}"
            yield _Finding("vical.signer_ends", "warning", name, text)
        for entry in one.refused:
            who = "no certificate" if entry.certificate is None else str(entry.certificate.subject)
            yield _Finding(entry.code, "warning", name, f"entry {entry.index} ({who}) is not used: {entry.detail}")


def _due(one: VicalImport) -> str:
    return TDate.of(one.date if one.next_update is None else one.next_update).text


def _anchor_findings(anchor: TrustAnchor, at: datetime, soon: timedelta) -> Iterable[_Finding]:
    certificate = anchor.certificate
    name = str(certificate.subject)
    if certificate.not_after - at <= soon:
        yield _Finding("root.ends", "warning", name, f"ends {TDate.of(certificate.not_after).text}")
    for finding in anchor.findings:
        if finding.severity is not Severity.NOTE:
            policies = [policy.value for policy, rules in anchor.refused_by.items() if finding.rule in rules]
            refused = f"; {' and '.join(policies)} refuse every document under this root" if policies else ""
            yield _Finding(finding.rule, finding.severity.value, name, f"{finding.message}{refused}")


# --- diff -------------------------------------------------------------------------------------------------------------


def _diff(arguments: argparse.Namespace) -> int:
    at = _time(arguments)
    stores = (_assembled(arguments.old, at), _assembled(arguments.new, at))
    old, new = (_by_root(one.anchors) for one in stores)
    for name, assembled in zip(("OLD", "NEW"), stores, strict=True):
        for refusal in assembled.refusals:
            terminal.write_error(f"{name}: not trusted, so not compared: {refusal.error}")
    added = [root for root in new if root not in old]
    removed = [root for root in old if root not in new]
    changed = [root for root in new if root in old and old[root] != new[root]]
    if arguments.json:
        terminal.write_json(
            {
                "at": TDate.of(at).text,
                "added": [{**_certificate_json(root), "scopes": new[root]} for root in added],
                "removed": [{**_certificate_json(root), "scopes": old[root]} for root in removed],
                "changed": [{**_certificate_json(root), "old": old[root], "new": new[root]} for root in changed],
                "not_compared": [*map(_refusals_json, stores)],
            }
        )
    else:
        for sign, roots, colour in (("+", added, "green"), ("-", removed, "red"), ("~", changed, "yellow")):
            for root in roots:
                text = f"{root.subject} (SHA-256 {root.fingerprint.hex()[:16]}…)"
                terminal.write([f"{terminal.paint(sign, colour)} {terminal.safe(text)}"])
                if sign != "+" and root in old:
                    terminal.write(_scope_lines("was for" if sign == "~" else "for", old[root]))
                if sign != "-":
                    terminal.write(_scope_lines("is for" if sign == "~" else "for", new[root]))
        terminal.write([f"{len(added)} added, {len(removed)} removed, {len(changed)} changed in scope"])
    # What is not trusted now was not compared, so nothing can be said of it, and not that there is no difference.
    return _FINDINGS if added or removed or changed or any(one.refusals for one in stores) else _DONE


def _by_root(anchors: Iterable[TrustAnchor]) -> dict[Certificate, list[dict[str, Any]]]:
    """What each root is good for, whoever says so."""
    found: dict[Certificate, list[dict[str, Any]]] = {}
    for anchor in anchors:
        scopes = found.setdefault(anchor.certificate, [])
        if _scope(anchor) not in scopes:
            scopes.append(_scope(anchor))
    return {root: sorted(scopes, key=str) for root, scopes in found.items()}


def _scope_lines(word: str, scopes: Iterable[dict[str, Any]]) -> list[str]:
    rows = []
    for scope in scopes:
        doctypes = "every document type" if scope["doctypes"] == _ANY else ", ".join(scope["doctypes"])
        place = ", ".join(part for part in (scope["country"], scope["state"]) if part)
        rows.append((word, f"{doctypes} in {place or 'any country'}"))
        rows += [("signers of", _purposes_text(name, one)) for name, one in scope["signer_purposes"].items()]
    return terminal.columns(rows, indent="    ")

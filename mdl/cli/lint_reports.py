"""What `mdl lint` found, for people and for machines: text, JSON, SARIF 2.1.0, JUnit XML; and the rules as a table."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from mdl.cli import terminal
from mdl.cli.der import DER_RULES
from mdl.cli.linting import MANY_ISSUERS, NO_PROFILE, AnyRule, Examined, Lint
from mdl.pki import CRL, PROFILES, CertificateRequest, Crl, CrlProfile, Finding, Profile, RuleInput, Severity

__all__ = [
    "as_json",
    "as_junit",
    "as_sarif",
    "as_text",
    "is_at_least",
    "rules_as_json",
    "rules_as_markdown",
    "rules_as_text",
    "summary",
]

_ORDER: Final = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_KINDS: Final = {"certificate": "certificate", "crl": "CRL", "request": "request"}
_LACKING: Final = {
    RuleInput.ISSUER: "no issuer at hand (--issuer)",
    RuleInput.TIME: "no time given (--at)",
}
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"


def is_at_least(finding: Finding, threshold: Severity) -> bool:
    """Whether a finding is as grave as the threshold, or graver."""
    return _ORDER[finding.severity] >= _ORDER[threshold]


# --- for people -------------------------------------------------------------------------------------------------------


def as_text(lint: Lint) -> list[str]:
    """The findings by file, and a summary."""
    lines: list[str] = []
    for broken in lint.unreadable:
        place = broken.file if broken.line is None else f"{broken.file}, line {broken.line}"
        lines.append(terminal.paint(terminal.safe(place), "bold"))
        lines += [*_finding_lines("red", "unreadable", f"{broken.message} [{broken.code}]", ()), ""]
    for file, group in itertools.groupby(lint.examined, key=lambda one: one.file):
        lines.append(terminal.paint(terminal.safe(file), "bold"))
        members = list(group)
        for one in members:
            lines += _examined_lines(one, numbered=len(members) > 1)
        lines.append("")
    colour = "red" if lint.unreadable or lint.findings(Severity.ERROR) else "green"
    if colour == "green" and lint.findings(Severity.WARNING):
        colour = "yellow"
    return [*lines, *(terminal.paint(line, colour) for line in terminal.wrap(summary(lint)))]


def _examined_lines(one: Examined, *, numbered: bool) -> Iterator[str]:
    place = f"{one.index}. " if numbered else ""
    yield from terminal.wrap(terminal.safe(place + _title(one)), first="  ", rest="     ")
    document = one.document
    name = document.issuer if isinstance(document, Crl) else document.subject
    label = "of" if isinstance(document, Crl) else "subject"
    yield from terminal.wrap(terminal.safe(str(name) or "nobody"), first=f"  {label} ", rest="     ")
    if one.issuer not in (None, one.file):
        yield from terminal.wrap(terminal.safe(f"issued by {one.issuer}"), first="  ", rest="     ")
    for finding in sorted(one.findings, key=lambda finding: -_ORDER[finding.severity]):
        details = (
            ("found", finding.message),
            ("asked", finding.requirement),
            ("remedy", finding.remedy),
        )
        where = f"{finding.rule}, {finding.clause}" + (", no policy may tolerate it" if finding.security else "")
        yield from _finding_lines(_COLOURS[finding.severity], finding.severity.value, where, details)
    held = len(one.rules) - len(one.findings) - len(one.unjudged)
    told = f"{_count(held, 'rule')} {'holds' if held == 1 else 'hold'}"
    if one.unjudged:
        needs = [need for need in RuleInput if any(rule.needs is need for rule in one.unjudged)]
        told += f", {len(one.unjudged)} not judged: " + ", ".join(_LACKING[need] for need in needs)
    yield from (terminal.paint(line, "dim") for line in terminal.wrap(told, first="  ", rest="  "))


def _finding_lines(colour: str, word: str, where: str, details: Iterable[tuple[str, str]]) -> Iterator[str]:
    indent = " " * 13
    first, *others = terminal.wrap(terminal.safe(where), first=f"  {word:<11}", rest=indent)
    yield first.replace(word, terminal.paint(word, colour), 1)
    yield from others
    for label, text in details:
        yield from terminal.wrap(terminal.safe(text), first=f"{indent}{label:<7} ", rest=indent + " " * 8)


def _title(one: Examined) -> str:
    if one.profile is not None:
        return f"{one.profile.title} ({one.profile.id}, {one.profile.clause})"
    if isinstance(one.document, CertificateRequest):
        return "certification request (no profile: only its encoding is judged)"
    return "certificate of no known profile"


def summary(lint: Lint) -> str:
    """One line: how much was examined, and how much was found."""
    kinds = [one.kind for one in lint.examined]
    examined = [_count(kinds.count(kind), word) for kind, word in _KINDS.items() if kind in kinds] or ["nothing"]
    found = [
        _count(lint.findings(severity), severity.value)
        for severity in (Severity.ERROR, Severity.WARNING, Severity.NOTE)
        if lint.findings(severity)
    ] or ["no findings"]
    security = sum(finding.security for one in lint.examined for finding in one.findings)
    if security:
        found.append(f"{security} of them that no policy may tolerate")
    if lint.unreadable:
        found.append(f"{len(lint.unreadable)} unreadable")
    if lint.passed_over:
        found.append(f"{_count(lint.passed_over, 'other file')} passed over")
    return f"{', '.join(examined)}: {', '.join(found)}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


# --- JSON -------------------------------------------------------------------------------------------------------------


def as_json(lint: Lint) -> dict[str, Any]:
    """Everything, as plain values."""
    return {
        "at": None if lint.at is None else f"{lint.at:%Y-%m-%dT%H:%M:%SZ}",
        "examined": [_examined_json(one) for one in lint.examined],
        "unreadable": [
            {"file": one.file, "line": one.line, "code": one.code, "message": one.message} for one in lint.unreadable
        ],
        "passed_over": lint.passed_over,
        "findings": {severity.value: lint.findings(severity) for severity in Severity},
    }


def _examined_json(one: Examined) -> dict[str, Any]:
    return {
        "file": one.file,
        "index": one.index,
        "line": one.line,
        "kind": one.kind,
        "profile": None if one.profile is None else one.profile.id,
        "issuer": one.issuer,
        "findings": [
            {
                "rule": finding.rule,
                "severity": finding.severity.value,
                "security": finding.security,
                "clause": finding.clause,
                "found": finding.message,
                "requirement": finding.requirement,
                "remedy": finding.remedy,
            }
            for finding in one.findings
        ],
        "rules": len(one.rules),
        "unjudged": [rule.id for rule in one.unjudged],
    }


# --- SARIF ------------------------------------------------------------------------------------------------------------


def as_sarif(lint: Lint) -> dict[str, Any]:
    """A SARIF 2.1.0 log: one run, with every rule that was applied and a result for each finding."""
    rules: dict[str, AnyRule] = {rule.id: rule for one in lint.examined for rule in one.rules}
    places = {identifier: place for place, identifier in enumerate(rules)}
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "mdl lint",
                        "version": _version(),
                        "rules": [_sarif_rule(rule) for rule in rules.values()],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": not lint.unreadable,
                        "toolExecutionNotifications": [
                            {
                                "descriptor": {"id": one.code},
                                "level": "error",
                                "message": {"text": one.message},
                                "locations": [_sarif_location(one.file, one.line)],
                            }
                            for one in lint.unreadable
                        ],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [
                    {
                        "ruleId": finding.rule,
                        "ruleIndex": places[finding.rule],
                        "level": finding.severity.value,
                        "message": {"text": f"{finding.message}. {finding.remedy}"},
                        "locations": [_sarif_location(one.file, one.line)],
                        "properties": {"clause": finding.clause, "security": finding.security},
                    }
                    for one in lint.examined
                    for finding in one.findings
                ],
            }
        ],
    }


def _sarif_rule(rule: AnyRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.requirement},
        "help": {"text": rule.remedy},
        "defaultConfiguration": {"level": rule.severity.value},
        "properties": {"clause": rule.clause, "tags": ["security"] if rule.security else ["profile"]},
    }


def _sarif_location(file: str, line: int | None) -> dict[str, Any]:
    path = Path(file)
    # A relative address, which whoever shows the log resolves against its own folder.
    uri = path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))
    place: dict[str, Any] = {"artifactLocation": {"uri": "stdin" if file == "-" else uri}}
    if line is not None:
        place["region"] = {"startLine": line}
    return {"physicalLocation": place}


def _version() -> str:
    try:
        return metadata.version("mdl-sdk")
    except metadata.PackageNotFoundError:
        return "0"


# --- JUnit ------------------------------------------------------------------------------------------------------------


def as_junit(lint: Lint, threshold: Severity) -> list[str]:
    """A suite for each file, a case for each rule: failed, passed, or skipped where it could not be judged.

    Args:
        lint: What came of linting.
        threshold: Findings below it are told in a case that passes.
    """
    suites: list[str] = []
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    files = dict.fromkeys([one.file for one in lint.examined] + [one.file for one in lint.unreadable])
    for file in files:
        counted = dict.fromkeys(totals, 0)
        cases = []
        for one in lint.examined:
            if one.file == file:
                cases += list(_junit_cases(one, threshold, counted))
        for broken in lint.unreadable:
            if broken.file == file:
                counted["tests"] += 1
                counted["errors"] += 1
                cases.append(
                    f"    <testcase{_attributes(classname='unreadable', name=f'line {broken.line or 1}')}>"
                    f"<error{_attributes(type=broken.code, message=broken.message)}/></testcase>"
                )
        suites += [f"  <testsuite{_attributes(name=file, **counted)}>", *cases, "  </testsuite>"]
        totals = {name: total + counted[name] for name, total in totals.items()}
    return [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites{_attributes(name='mdl lint', **totals)}>",
        *suites,
        "</testsuites>",
    ]


def _junit_cases(one: Examined, threshold: Severity, counted: dict[str, int]) -> Iterator[str]:
    findings = {finding.rule: finding for finding in one.findings}
    unjudged = {rule.id: rule for rule in one.unjudged}
    suite = f"{one.index} {one.kind if one.profile is None else one.profile.id}"
    for rule in one.rules:
        counted["tests"] += 1
        start = f"    <testcase{_attributes(classname=suite, name=rule.id)}"
        finding = findings.get(rule.id)
        if finding is not None and is_at_least(finding, threshold):
            counted["failures"] += 1
            text = f"{finding.message} ({finding.clause}). {finding.requirement} {finding.remedy}"
            yield f"{start}><failure{_attributes(type=finding.severity.value, message=text)}/></testcase>"
        elif finding is not None:
            text = f"{finding.severity.value}: {finding.message}"
            yield f"{start}><properties><property{_attributes(name='tolerated', value=text)}/></properties></testcase>"
        elif rule.id in unjudged:
            counted["skipped"] += 1
            why = _LACKING[unjudged[rule.id].needs or RuleInput.ISSUER]
            yield f"{start}><skipped{_attributes(message=why)}/></testcase>"
        else:
            yield f"{start}/>"


def _attributes(**values: object) -> str:
    # Only what prints stands in XML as it is; lone surrogates of file names are escaped too.
    return "".join(f" {name}={quoteattr(terminal.safe(str(value)))}" for name, value in values.items())


# --- the rules themselves ---------------------------------------------------------------------------------------------

_ENCODING: Final = ("der", "any certificate, CRL or request", "18013-5 Annex B", (NO_PROFILE, MANY_ISSUERS, *DER_RULES))


def _tables(profile: str | None) -> Iterator[tuple[str, str, str, Sequence[AnyRule], Profile | CrlProfile | None]]:
    """Id, title, clause and rules of one profile, or of all and of what stands beside them."""
    profiles: Mapping[str, Profile | CrlProfile] = {**PROFILES, CRL.id: CRL}
    if profile is None:
        yield *_ENCODING, None
    for one in profiles.values():
        if profile in (None, one.id):
            yield one.id, one.title, one.clause, one.rules, one


def rules_as_text(profile: str | None) -> list[str]:
    """The rules of one profile, or all of them."""
    lines: list[str] = []
    for identifier, title, clause, rules, _ in _tables(profile):
        lines += [terminal.paint(f"{identifier}: {title} ({clause})", "bold")]
        for rule in rules:
            details = (("asks", rule.requirement), ("remedy", rule.remedy))
            where = f"{rule.id}, {rule.clause}" + (", no policy may tolerate it" if rule.security else "")
            lines += _finding_lines(_COLOURS[rule.severity], rule.severity.value, where, details)
        lines += [""]
    return lines[:-1]


def rules_as_json(profile: str | None) -> list[dict[str, Any]]:
    """The same, as plain values."""
    return [
        {
            "rule": rule.id,
            "profile": None if table is None else table.id,
            "severity": rule.severity.value,
            "security": rule.security,
            "clause": rule.clause,
            "requirement": rule.requirement,
            "remedy": rule.remedy,
            "needs": None if rule.needs is None else rule.needs.value,
        }
        for *_, rules, table in _tables(profile)
        for rule in rules
    ]


_INTRODUCTION: Final = """\
# Rules of `mdl lint`

<!-- Written by `mdl lint --list-rules --format markdown`: change mdl/pki/rules or mdl/cli/der.py, not this file. -->

A finding names the rule that was broken. Identifiers are stable. The grade says how far a breach is from the profile
(error, warning, note); **security** marks what no policy may tolerate. Rules marked *issuer* need the issuing
certificate at hand, those marked *time* need `--at`; without it they are left unjudged, and the report says so.

Clauses are those of ISO/IEC 18013-5:2021 where no other document is named, and are told at second hand: hold them
against a copy of the standard before a claim of conformance rests on them.
"""


def rules_as_markdown(profile: str | None) -> list[str]:
    """The same, as a document."""
    lines = _INTRODUCTION.splitlines()
    for identifier, title, clause, rules, table in _tables(profile):
        heading = title[0].upper() + title[1:]
        lines += ["", f"## `{identifier}`: {heading}", "", *_about(clause, table), ""]
        lines += ["| rule | grade | clause | needs | asks | remedy |", "| --- | --- | --- | --- | --- | --- |"]
        for rule in rules:
            grade = f"{rule.severity.value}, **security**" if rule.security else rule.severity.value
            needs = "" if rule.needs is None else f"*{rule.needs.value}*"
            cells = (f"`{rule.id}`", grade, rule.clause, needs, rule.requirement, rule.remedy)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return lines


def _about(clause: str, table: Profile | CrlProfile | None) -> list[str]:
    if table is None:
        return [
            "Applied beside the rules of the profile. The encoding is judged by readers which share no code with ours."
        ]
    told = f"{clause} ({table.edition})."
    if isinstance(table, Profile) and table.longest_validity is not None:
        told += f" Valid for at most {table.longest_validity.days} days."
    return [told]

"""Citations resolve: every clause and every section that the code names stands in docs/standards.

CONTRIBUTING ("Citing a standard") has the forms of a citation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mdl.pki.profiles import CRL, PROFILES
from reader.coverage import UNCHECKED
from reader.report import CHECKS, DEVIATIONS
from reader.vical import VICAL_CHECKS
from test_vectors.source.coverage import ELSEWHERE, KINDS

ROOT = Path(__file__).resolve().parents[2]
STANDARDS = ROOT / "docs" / "standards"
PACKAGES = ("mdl", "issuer", "reader", "conformance", "mdl_cli", "mdl_links", "mdl_web")
PRODUCT = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
SOURCES = [*PRODUCT, *sorted((ROOT / "test_vectors" / "source").glob("*.py"))]

_OWN = r"(?:mdoc|pki|online|elements)\.md"
_DOCUMENT = (
    rf"{_OWN}|18013-5(?: first edition| second edition \(draft\))?|18013-7 second edition \(draft\)|RFC \d{{4}}"
    r"|OpenID4VP (?:1\.0|draft \d\d)|OpenID4VCI 1\.1 \(draft\)|Token Status List \(draft\)|SEC 1|NDEF 1\.0"
)
_PLACE = (
    r"(?:Annex(?:es)? [A-G]|Table [A-G]\.\d+|Appendix [A-Z](?:\.\d+)*|§?[A-G](?:\.\d+)+|§?\d+(?:\.\d+)*)(?![\w-])"
    r"(?: no\. \w+)?(?: \([^()]*\))?"
)
_NEXT = rf"(?:{_PLACE}|[A-G](?![\w.-]))"
_CITATION = re.compile(
    rf"(?<![\w/])(?P<document>{_DOCUMENT})(?:\s(?P<places>{_PLACE}(?:(?:,\s|\sand\s|\sto\s){_NEXT})*))?"
)


def citations(text: str) -> Iterator[tuple[str, str | None]]:
    """Document and place of every citation; a place is None where the whole document is meant."""
    for match in _CITATION.finditer(text):
        document = match["document"].removesuffix(" first edition")
        places = [re.sub(r"(?s)§|\s\(.*", "", each) for each in re.findall(_NEXT, match["places"] or "")]
        for place in places:
            yield document, re.sub(r"^(?:Annexes )?([A-G])$", r"Annex \1", place)
        if not places:
            yield document, None


@cache
def sections(name: str) -> dict[str, str]:
    """The sections of a page: number -> text, up to the next heading of any depth."""
    parts = re.split(r"^#{2,4} (\d+(?:\.\d+)*)\.? .*$", (STANDARDS / name).read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@cache
def clauses() -> frozenset[tuple[str, str | None]]:
    """What docs/standards/clauses.md lists, one citation a row, each with its anchor."""
    text = (STANDARDS / "clauses.md").read_text("utf-8")
    rows = re.findall(r"^\| <a id=\"([a-z0-9-]+)\"></a>([^|]+) \|", text, re.MULTILINE)
    assert len({anchor for anchor, _ in rows}) == len(rows), "an anchor twice"
    listed = []
    for anchor, clause in rows:
        assert anchor == re.sub(r"[^a-z0-9]+", "-", clause.lower()).strip("-"), clause
        (found,) = citations(clause)
        listed.append(found)
    return frozenset(listed)


def unresolved(text: str) -> list[str]:
    """The citations of a text that lead nowhere."""
    return [f"{document} {place or ''}" for document, place in citations(text) if not _stands(document, place)]


def _stands(document: str, place: str | None) -> bool:
    if not re.fullmatch(_OWN, document):
        return (document, place) in clauses()
    if place is None:
        return (STANDARDS / document).is_file()
    number, _, row = place.partition(" no. ")
    text = sections(document).get(number)
    return text is not None and (not row or re.search(rf"^(\| )?{row}[ .]", text, re.MULTILINE) is not None)


def spec_blocks() -> Iterator[tuple[str, str]]:
    """Every ``Spec:`` of a docstring: its module, and its text up to a blank line, another heading or the end."""
    for path in PRODUCT:
        for block in re.findall(
            r"^ *Spec:((?:.|\n(?!\s*\n| *\w+:\n))*?)(?=\n\s*\n|\n *\w+:\n|\"{3})", path.read_text("utf-8"), re.MULTILINE
        ):
            yield str(path.relative_to(ROOT)), " ".join(block.split())


def test_every_spec_of_a_docstring_resolves() -> None:
    blocks = list(spec_blocks())
    assert len(blocks) > 80
    for where, text in blocks:
        assert list(citations(text)), f"{where}: no citation in a form that is known: {text}"
        assert unresolved(text) == [], f"{where}: {text}"
        assert "§" not in _CITATION.sub("", text), f"{where}: a section of no document: {text}"


def test_every_mention_of_a_page_resolves() -> None:
    for path in [*PRODUCT, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"]:
        if path == Path(__file__):
            continue
        for match in re.finditer(rf"(?<![\w/]){_OWN}[ \n#]+ *§[^;\n]*", path.read_text("utf-8")):
            text = " ".join(match[0].replace("#", "").split())
            assert list(citations(text)), f"{path}: {text}"
            assert unresolved(text) == [], f"{path}: {text}"


def test_every_clause_of_a_check_a_rule_and_an_error_resolves() -> None:
    named = {*CHECKS.values(), *VICAL_CHECKS.values(), *(each.clause for each in UNCHECKED)}
    named |= {profile.clause for profile in PROFILES.values()} | {CRL.clause}
    named |= {rule.clause for profile in PROFILES.values() for rule in profile.rules}
    named |= {rule.clause for rule in CRL.rules}
    for path in SOURCES:
        text = path.read_text("utf-8")
        named.update(re.findall(r"\bclause=\"([^\"]+)\"", text))
        quoted = re.findall(r"\"([^\"\n]{3,60})\"", text)
        named.update(each for each in quoted if _CITATION.fullmatch(each))
    assert len(named) > 60
    for clause in named:
        assert _CITATION.fullmatch(clause), f"no form of a citation: {clause}"
        assert unresolved(clause) == [], clause


def test_every_kind_of_a_case_has_its_section() -> None:
    for kind in (*KINDS, *ELSEWHERE):
        page, number, row = re.fullmatch(r"(mdoc|pki) §([\d.]+) (.*)", kind).groups()  # type: ignore[union-attr]
        assert number in sections(f"{page}.md"), kind
        if page == "mdoc" and number == "4.1" and row[0].isdigit():
            assert _stands("mdoc.md", f"4.1 no. {row.split()[0]}"), kind


def test_every_link_into_a_page_finds_its_heading() -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        for target, anchor in re.findall(r"\]\(([^)#\s:]*)#([^)]+)\)", path.read_text("utf-8")):
            page = (path.parent / target).resolve() if target else path
            headings = re.findall(r"^#{1,4} (.*)$", page.read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]
            assert anchor in slugs, f"{path.name}: {target}#{anchor}"
            assert slugs.count(anchor) == 1, f"{path.name}: {target}#{anchor}"


def test_what_the_pages_say_enforces_a_rule_exists() -> None:
    """Check ids, rules of the linter, deviations, error codes and public names in the column "here"."""
    source = "\n".join(path.read_text("utf-8") for path in PRODUCT)
    defined = set(re.findall(r"^ *(?:class|def) (\w+)", source, re.MULTILINE))
    names = [rule.id for profile in PROFILES.values() for rule in profile.rules] + [rule.id for rule in CRL.rules]
    rules = {each.partition(".")[2] for each in names}
    codes = {*CHECKS, *VICAL_CHECKS, *DEVIATIONS, *rules, *re.findall(r'"([a-z_0-9]+\.[a-z_0-9.]+)"', source)}
    for name in ("mdoc.md", "pki.md", "online.md"):
        text = (STANDARDS / name).read_text("utf-8")
        tables = re.findall(r"^\|.*\| here \|\n\|[ -|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
        columns = [row.rsplit("|", 2)[1] for table in tables for row in table.splitlines()]
        marked = re.findall(r"\bMarks? [XCSIDP]\b(?:(?!\n\n)[^`|])*((?:`[^`]+`(?:,\s)?)+)", text)
        tokens = re.findall(r"`([^`]+)`", " ".join([*columns, *marked]))
        assert len(tokens) > 10, name
        assert [token for token in tokens if token not in codes and token not in defined] == [], name


def test_no_file_cites_what_is_not_in_the_repository() -> None:
    elsewhere = re.compile(r"facts\s+sheet", re.IGNORECASE)
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    assert [
        path.name for path in files if path.name != "test_standards.py" and elsewhere.search(path.read_text())
    ] == []


def test_the_glossary_has_each_noun_once_and_in_order() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|[^|]*\|$", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE
    )
    nouns = [noun.lower() for noun, _ in rows[2:]]
    assert len(nouns) > 50
    assert nouns == sorted(set(nouns))

"""The tables of the documentation say what the code does."""

import json
import re
from pathlib import Path

import pytest

from mdl.cli import main
from mdl.keys import NOT_IMPLEMENTED
from reader.coverage import UNCHECKED, checks_as_markdown, policies_as_markdown
from reader.report import CHECKS, DEVIATIONS, REQUIREMENTS, Policy

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"


@pytest.mark.parametrize(
    ("page", "text", "verb"),
    [("checks.md", checks_as_markdown(), "checks"), ("policies.md", policies_as_markdown(), "policy")],
)
def test_the_page_in_the_documentation_is_what_the_command_writes(
    page: str, text: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reader", verb, "--format", "markdown"]) == 0
    told = capsys.readouterr().out
    assert told == text
    assert (REFERENCE / page).read_text("utf-8") == text, f"write it anew: mdl reader {verb} --format markdown"


def test_every_check_stands_in_the_table_with_its_clause_and_what_it_requires() -> None:
    rows = [line for line in checks_as_markdown().splitlines() if line.endswith("` |")]
    assert rows == [f"| {clause} | {REQUIREMENTS[name]} | `{name}` |" for name, clause in CHECKS.items()]


def test_every_row_of_what_is_not_checked_says_why() -> None:
    for one in UNCHECKED:
        assert re.match(r"(18013-5|RFC \d+) ", one.clause)
        assert one.what
        assert one.why.endswith(".")


def test_the_policy_verb_says_what_the_policies_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reader", "policy", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["deviation"] for row in told] == list(DEVIATIONS)
    for row in told:
        for policy in Policy:
            assert (row[policy.value] == "refuses") is policy.refuses(row["deviation"])


def test_the_checks_verb_lists_what_is_checked_and_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reader", "checks", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["check"]: row["clause"] for row in told["checked"]} == CHECKS
    assert [row["what"] for row in told["not_checked"]] == [one.what for one in UNCHECKED]


@pytest.mark.parametrize("verb", ["policy", "checks"])
def test_the_tables_are_for_people_too(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reader", verb]) == 0
    told = capsys.readouterr().out
    names = DEVIATIONS if verb == "policy" else CHECKS
    assert [name for name in names if name not in told] == []


def test_the_curve_that_is_not_implemented_is_named_where_people_look() -> None:
    for name in NOT_IMPLEMENTED.values():
        assert name in checks_as_markdown()
        assert name in (REFERENCE.parents[1] / "README.md").read_text()

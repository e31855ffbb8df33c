"""The report of what expires, as rows, JSON, CSV and a page; a name in it is only ever a name."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest

from issuer.expiry_report import report_csv, report_html, report_json, report_rows
from issuer.lifecycle import Expiry, State

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DAY = timedelta(days=1)
EVIL = '=HYPERLINK("x")<script>alert(1)</script>"&\''


def item(state: State, days: float, title: str = "mDL document signer Utopia DS 1", name: str = "ds-1") -> Expiry:
    ends = AT + days * DAY
    return Expiry(kind="certificate", name=name, title=title, starts=ends - 455 * DAY, ends=ends, state=state)


FOUND = (item(State.EXPIRED, -1.5), item(State.EXPIRING, 20), item(State.REPLACED, 25), item(State.GOOD, 3285))


def test_days_are_counted_down() -> None:
    report = report_json(FOUND, AT, authority="Utopia", within=30 * DAY)
    assert [one["days_left"] for one in report["items"]] == [-2, 20, 25, 3285]
    assert (report["alarms"], report["within_days"], report["at"]) == (2, 30, "2026-03-04T05:06:07Z")
    assert json.loads(json.dumps(report)) == report


def test_alarms_stand_out_in_the_rows() -> None:
    assert [row[0] for row in report_rows(FOUND, AT)] == ["EXPIRED", "EXPIRING", "replaced", "good"]


def test_a_spreadsheet_computes_nothing() -> None:
    (_, row) = csv.reader(io.StringIO(report_csv([item(State.GOOD, 5, EVIL, "@name")], AT)))
    assert row[4:6] == ["'@name", f"'{EVIL}"]
    (_, row) = csv.reader(io.StringIO(report_csv([item(State.EXPIRED, -5)], AT)))
    assert row[2] == "-5"


def test_the_page_shows_every_item_and_runs_nothing() -> None:
    page = report_html([*FOUND, item(State.GOOD, 40, EVIL, EVIL)], AT, authority=EVIL, within=30 * DAY)
    assert "<script" not in page
    assert "2 of 5 need attention" in page
    assert page.count("<rect ") == 5
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page
    for outside in ("http:", "https:", "src=", "url(", "@import"):
        assert outside not in page.replace("default-src", "")


def test_the_timeline_is_well_formed_and_within_its_bounds() -> None:
    page = report_html([*FOUND, item(State.GOOD, 40, EVIL, EVIL)], AT, authority="Utopia", within=30 * DAY)
    svg = ET.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    for bar in svg.iter("rect"):
        x, width = float(bar.attrib["x"]), float(bar.attrib["width"])
        assert 0 <= x <= 1000
        assert width >= 3
        assert x + width <= 1003.1
    titles = [one.text for one in svg.iter("title")]
    assert any(EVIL in (title or "") for title in titles)


@pytest.mark.parametrize("day", [(2, 29), (12, 31), (1, 1)])
def test_a_page_can_be_made_on_any_day(day: tuple[int, int]) -> None:
    at = datetime(2028, *day, tzinfo=UTC)
    assert "none of 0 dates needs attention" in report_html([], at, authority="Utopia", within=30 * DAY)

"""What expires, and what is due, in forms for people, programs, spreadsheets and browsers.

The page is one file that loads nothing and runs nothing: whatever it shows is escaped, and a content security policy in
it says the same to the browser.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any, Final

from issuer.health import HealthFinding
from issuer.lifecycle import Done, Entry, Expiry, State
from mdl.cbor import TDate

__all__ = [
    "done_json",
    "entry_json",
    "expiry_json",
    "headline_of",
    "report_csv",
    "report_html",
    "report_json",
    "report_rows",
]

_COLUMNS: Final = ("state", "ends", "days_left", "kind", "name", "title", "starts")
_COLOURS: Final[Mapping[State, str]] = {
    State.GOOD: "#2e7d32",
    State.REPLACED: "#78909c",
    State.EXPIRING: "#e65100",
    State.EXPIRED: "#b71c1c",
    State.UNSIGNED: "#b71c1c",
}
_BAR_HEIGHT: Final = 22
_WIDTH: Final = 1000
_PAST: Final = timedelta(days=30)


def days_left(one: Expiry, at: datetime) -> int:
    """Whole days until something ends, rounded down; negative if it has ended."""
    return (one.ends - at) // timedelta(days=1)


def expiry_json(one: Expiry, at: datetime) -> dict[str, Any]:
    """Something that ends, as plain values."""
    return {
        "state": one.state.value,
        "ends": TDate.of(one.ends).text,
        "days_left": days_left(one, at),
        "kind": one.kind,
        "name": one.name,
        "title": one.title,
        "starts": TDate.of(one.starts).text,
    }


def entry_json(entry: Entry) -> dict[str, Any]:
    """Something to do, as plain values."""
    return {
        "due": TDate.of(entry.due).text,
        "deadline": TDate.of(entry.deadline).text,
        "task": entry.task.value,
        "name": entry.name,
        "text": entry.text,
        "automatic": entry.automatic,
        "forecast": entry.forecast,
    }


def done_json(done: Done) -> dict[str, Any]:
    """What became of something to do, as plain values."""
    failed = None if done.failed is None else {"code": done.failed.code, "message": done.failed.message}
    return {**entry_json(done.entry), "result": done.result, "left": done.left, "failed": failed}


def report_json(
    found: Sequence[Expiry], at: datetime, *, authority: str, within: timedelta, causes: Sequence[HealthFinding] = ()
) -> dict[str, Any]:
    """The report as plain values: what `notify` hands on, and what programs read."""
    return {
        "authority": authority,
        "at": TDate.of(at).text,
        "within_days": within.days,
        "alarms": sum(one.state.is_alarm for one in found),
        "causes": [one.row() for one in causes],
        "items": [expiry_json(one, at) for one in found],
    }


def report_rows(found: Iterable[Expiry], at: datetime) -> list[tuple[str, str, str, str, str]]:
    """The report in rows for a terminal: state, day, days left, name, what it is."""
    return [
        (
            one.state.value.upper() if one.state.is_alarm else one.state.value,
            one.ends.date().isoformat(),
            f"{days_left(one, at)} d",
            one.name,
            one.title,
        )
        for one in found
    ]


def report_csv(found: Iterable[Expiry], at: datetime) -> str:
    """The report as CSV (RFC 4180) with a heading; what a spreadsheet would compute begins with an apostrophe."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(_COLUMNS)
    for one in found:
        row = expiry_json(one, at)
        writer.writerow([_cell(row[name]) for name in _COLUMNS])
    return stream.getvalue()


def _cell(value: str | int) -> str:
    text = str(value)
    return f"'{text}" if type(value) is str and text[:1] in ("=", "+", "-", "@") else text


# --- the page --------------------------------------------------------------------------------------------------------

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #212121 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .3rem .6rem; vertical-align: top }
tr { border-bottom: 1px solid #e0e0e0 } td.number { text-align: right } svg { width: 100%; height: auto }
.state { font-weight: 600 } svg text { font: 11px system-ui, sans-serif }
"""


def headline_of(found: Sequence[Expiry], causes: Sequence[HealthFinding] = ()) -> str:
    """The report in one line. That no date needs attention does not mean that the token, for one, is there."""
    alarms = sum(one.state.is_alarm for one in found)
    dates = f"{alarms} of {len(found)} need attention" if alarms else f"none of {len(found)} dates needs attention"
    return f"licences cannot be issued now, and {dates}" if causes else dates


def report_html(
    found: Sequence[Expiry], at: datetime, *, authority: str, within: timedelta, causes: Sequence[HealthFinding] = ()
) -> str:
    """The report as a page with a timeline: one file, without scripts."""
    headline = headline_of(found, causes)
    why = "".join(f"<p>{escape(one.message)} [{escape(one.code)}]: {escape(one.remedy)}</p>\n" for one in causes)
    rows = "\n".join(_row(one, at) for one in found)
    title = escape(f"What expires: {authority}")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{escape(TDate.of(at).text)}: <strong>{escape(headline)}</strong>; a warning comes {within.days} days ahead.</p>
{why}{_timeline(found, at, within)}
<table>
<thead><tr><th>State</th><th>Ends</th><th>Days left</th><th>Name</th><th>What</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</body>
</html>
"""


def _row(one: Expiry, at: datetime) -> str:
    return (
        f'<tr><td class="state" style="color:{_COLOURS[one.state]}">{escape(one.state.value)}</td>'
        f"<td>{escape(TDate.of(one.ends).text)}</td>"
        f'<td class="number">{days_left(one, at)}</td>'
        f"<td>{escape(one.name)}</td><td>{escape(one.title)}</td></tr>"
    )


def _timeline(found: Sequence[Expiry], at: datetime, within: timedelta) -> str:
    """A bar for each thing from when it began to when it ends, the present and the warning as lines."""
    left = min([at - _PAST, *(one.ends for one in found)])
    right = max([at + 2 * within, *(one.ends for one in found)]) + timedelta(days=1)
    height = _BAR_HEIGHT * (len(found) + 1)

    def place(moment: datetime) -> float:
        share = (min(max(moment, left), right) - left) / (right - left)
        return round(share * _WIDTH, 1)

    parts = [f'<svg role="img" aria-label="Timeline" viewBox="0 0 {_WIDTH} {height}">']
    step = max(1, (right.year - left.year) // 12)
    for year in range(left.year + 1, right.year + 1, step):
        x = place(left.replace(year=year, month=1, day=1, hour=0, minute=0, second=0))
        parts.append(f'<line x1="{x}" y1="0" x2="{x}" y2="{height}" stroke="#eeeeee"/>')
        parts.append(f'<text x="{x + 3}" y="12" fill="#757575">{year}</text>')
    for index, one in enumerate(found, 1):
        begin, end, y = place(one.starts), place(one.ends), index * _BAR_HEIGHT
        # What is short is shown all the same.
        width = max(end - begin, 3)
        parts.append(
            f'<rect x="{begin}" y="{y}" width="{round(width, 1)}" height="{_BAR_HEIGHT - 6}" rx="3"'
            f' fill="{_COLOURS[one.state]}" fill-opacity="0.75"><title>{escape(one.title)}, until'
            f" {escape(TDate.of(one.ends).text)}</title></rect>"
        )
        anchor, x = ("start", begin + 5) if begin < _WIDTH / 2 else ("end", begin - 5)
        parts.append(f'<text x="{x}" y="{y + 12}" text-anchor="{anchor}" fill="#000000">{escape(one.name)}</text>')
    for moment, colour in ((at, "#1565c0"), (at + within, "#e65100")):
        x = place(moment)
        parts.append(f'<line x1="{x}" y1="0" x2="{x}" y2="{height}" stroke="{colour}" stroke-dasharray="4 3"/>')
    return "\n".join([*parts, "</svg>"])

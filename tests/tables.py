"""One test that checks a table, row by row, and names each row that fails.

For tables of hundreds of rows, each of which takes less time than pytest needs for a test of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

_TOLD = 5


def table(
    names: str | Sequence[str], rows: Iterable[Any], *, ids: Callable[[Any], str] | Sequence[str]
) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """As `pytest.mark.parametrize`, but one test for all rows; it takes no fixtures.

    Args:
        names: What the test calls the members of a row; if it is one name, a row is that member.
        rows: The table.
        ids: What each row is called, or what calls it so.
    """
    all_rows = list(rows)
    called = [ids(row) for row in all_rows] if callable(ids) else [*ids]
    assert len(called) == len(all_rows) > 0

    def decorate(test: Callable[..., None]) -> Callable[[], None]:
        def check_all_rows() -> None:
            failures: list[Exception] = []
            failed = []
            for name, row in zip(called, all_rows, strict=True):
                given = {names: row} if isinstance(names, str) else dict(zip(names, row, strict=True))
                try:
                    test(**given)
                except pytest.fail.Exception as exc:
                    failed.append(name)
                    failures.append(AssertionError(f"row {name}: {exc}"))
                except Exception as exc:  # noqa: BLE001 - told with all others
                    failed.append(name)
                    exc.add_note(f"row: {name}")
                    failures.append(exc)
            if failures:
                what = f"{len(failed)} of {len(called)} rows fail: {', '.join(failed)}"
                raise ExceptionGroup(what, failures[:_TOLD])

        check_all_rows.__name__ = test.__name__
        check_all_rows.__qualname__ = test.__qualname__
        check_all_rows.__module__ = test.__module__
        check_all_rows.__doc__ = test.__doc__
        return check_all_rows

    return decorate

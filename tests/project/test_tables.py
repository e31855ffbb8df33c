"""A table that is checked in one test: every row is, and each that fails is named."""

import pytest

from tests.tables import table


def test_every_row_is_checked_and_each_that_fails_is_named() -> None:
    seen = []

    @table(("number", "square"), [(1, 1), (2, 5), (3, 9), (4, 17)], ids=lambda row: f"row-{row[0]}")
    def squares(number: int, square: int) -> None:
        seen.append(number)
        if number == 4:
            pytest.fail("four")
        assert number**2 == square

    with pytest.raises(ExceptionGroup, match=r"2 of 4 rows fail: row-2, row-4") as caught:
        squares()
    assert seen == [1, 2, 3, 4]
    wrong, failed = caught.value.exceptions
    assert "row-2" in wrong.__notes__[0]
    assert "row-4: four" in str(failed)


def test_a_table_without_rows_checks_nothing_and_is_refused() -> None:
    with pytest.raises(AssertionError):
        table("number", [], ids=str)

"""The age_over_NN statements: the conclusion of a reader, and the choice of a holder.

Spec: mdoc.md §4.5: a TRUE at nn proves every lower threshold too, a FALSE at nn disproves every higher one too, and
nothing else follows. The statements hold at the MSO's validFrom.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NoReturn

__all__ = ["Answer", "age_over", "age_over_threshold", "age_statements", "answer_age_request"]

_THRESHOLDS = {f"age_over_{nn:02d}": nn for nn in range(100)}
_IDENTIFIERS = frozenset(_THRESHOLDS)


class Answer(enum.Enum):
    """Whether the holder has reached an age. There are three answers, so conversion to bool raises."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __bool__(self) -> NoReturn:
        msg = "an Answer is not a bool: compare it with Answer.YES"
        raise TypeError(msg)


def age_over_threshold(identifier: str) -> int | None:
    """Read the threshold in an element identifier.

    Args:
        identifier: An element identifier.

    Returns:
        0 to 99 for ``age_over_NN`` with exactly two ASCII digits, None for every other identifier.
    """
    return _THRESHOLDS.get(identifier)


def age_statements(elements: Mapping[str, object]) -> dict[int, bool]:
    """Collect the age statements among the elements of one namespace.

    Args:
        elements: Values by element identifier.

    Returns:
        The statements by threshold. An age_over_NN whose value is no boolean states nothing.
    """
    return {
        _THRESHOLDS[identifier]: value
        for identifier in _IDENTIFIERS.intersection(elements)
        if (value := elements[identifier]) is True or value is False
    }


def age_over(statements: Mapping[int, bool], nn: int) -> Answer:
    """Conclude from age statements whether the holder has reached an age, as a reader.

    Args:
        statements: Received statements by threshold, see `age_statements`.
        nn: The requested age, 0 to 99 inclusive.

    Returns:
        YES if a TRUE at `nn` or above proves it, NO if a FALSE at `nn` or below disproves it; otherwise UNKNOWN, also
        if statements contradict each other.

    Raises:
        ValueError: `nn` is out of range.

    Spec: mdoc.md §4.5.
    """
    _demand_threshold(nn)
    proven = any(value is True and threshold >= nn for threshold, value in statements.items())
    disproven = any(value is False and threshold <= nn for threshold, value in statements.items())
    if proven == disproven:
        return Answer.UNKNOWN
    return Answer.YES if proven else Answer.NO


def answer_age_request(stored: Mapping[int, bool], nn: int) -> int | None:
    """Choose the statement with which a holder answers a request for age_over_NN.

    Args:
        stored: Issued statements by threshold.
        nn: The requested threshold, 0 to 99 inclusive.

    Returns:
        The threshold of the nearest statement that answers the question: the smallest TRUE not below `nn`, else the
        largest FALSE not above it, else None, and then no statement is returned.

    Raises:
        ValueError: `nn` is out of range.

    Spec: mdoc.md §4.5, wallet rule.
    """
    _demand_threshold(nn)
    if (least := min((t for t, value in stored.items() if value is True and t >= nn), default=None)) is not None:
        return least
    return max((t for t, value in stored.items() if value is False and t <= nn), default=None)


def _demand_threshold(nn: int) -> None:
    if not 0 <= nn <= 99:
        msg = "an age threshold is 0 to 99"
        raise ValueError(msg)

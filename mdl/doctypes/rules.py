"""What a document type is made of: rules for elements, rules across elements, and what breaking one looks like."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from calendar import isleap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TypeAlias

from mdl.cbor import FullDate
from mdl.doctypes.ages import age_statements
from mdl.doctypes.shapes import ANYTHING, Code, Fault, Shape, is_after
from mdl.errors import DecodeError

__all__ = [
    "AgesAgree",
    "CrossRule",
    "DocumentType",
    "ElementRule",
    "JurisdictionInCountry",
    "Namespace",
    "Namespaces",
    "NotAfter",
    "Presence",
    "Violation",
    "plain_name",
]

Namespaces: TypeAlias = Mapping[str, Mapping[str, object]]

_LONGEST_NAME = 100


def plain_name(name: object) -> str:
    """Make a name from an order fit for a message: itself where it is short printable ASCII, else ``?``."""
    if type(name) is str and 0 < len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable():
        return name
    return "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that is wrong with an order. It holds no value.

    Attributes:
        namespace: The namespace, or empty where the order as a whole is meant.
        identifier: The element identifier, or empty where the namespace as a whole is meant.
        code: A stable id; from the table in `Code`, or ``record.…``.
        message: What should have been, for a person.
        where: Which part of the value, as ``[0].codes[1].value``; empty for the whole.
    """

    namespace: str
    identifier: str
    code: str
    message: str
    where: str = ""

    @property
    def path(self) -> str:
        """Where: ``namespace/identifier`` and the part of the value."""
        return "/".join(filter(None, (self.namespace, self.identifier))) + self.where

    def __str__(self) -> str:
        return f"{self.path}: {self.message} [{self.code}]" if self.path else f"{self.message} [{self.code}]"


class Presence(enum.Enum):
    """Whether an element must be in the issued document. What a response shows is the holder's choice."""

    MANDATORY = "M"
    OPTIONAL = "O"
    DISPUTED = "M?"
    """Sources disagree; not enforced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRule:
    """What one data element, or one family of them, must be.

    Attributes:
        identifier: The element identifier, or the name of the family as the standard has it (``age_over_NN``).
        shape: What the value must look like.
        presence: Whether an issued document must have it; a family is never mandatory.
        read_also: Shapes that are never issued, but read, since deployed issuers send them.
        issuable: False for what is only read: withdrawn and older names.
        expands: The identifiers of a family; empty for a single element.
    """

    identifier: str
    shape: Shape
    presence: Presence = Presence.OPTIONAL
    read_also: tuple[Shape, ...] = ()
    issuable: bool = True
    expands: tuple[str, ...] = ()

    @property
    def identifiers(self) -> tuple[str, ...]:
        """Every identifier that this rule governs."""
        return self.expands or (self.identifier,)

    @property
    def type(self) -> str:
        """The CBOR type in the words of the facts sheets."""
        return self.shape.cddl


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The elements that one namespace may hold in one document type: these and no others.

    Attributes:
        name: The namespace.
        rules: Its elements.
        required: Whether its mandatory elements are missed where the whole namespace is absent.
    """

    name: str
    rules: tuple[ElementRule, ...]
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentType:
    """A document type as data.

    Attributes:
        doctype: The name that is issued.
        title: What it is, for a person.
        namespaces: The defined namespaces; the first is the one meant where none is named.
        aliases: Other spellings that are read.
        is_open_namespace: Tells which further namespaces may be issued, with elements of the issuer's own.
        cross_rules: Rules over more than one element.
    """

    doctype: str
    title: str
    namespaces: tuple[Namespace, ...]
    aliases: tuple[str, ...] = ()
    is_open_namespace: Callable[[str], bool] = field(default=lambda _name: False, repr=False)
    cross_rules: tuple[CrossRule, ...] = ()

    @property
    def default_namespace(self) -> str:
        """The namespace meant where none is named."""
        return self.namespaces[0].name

    def rule(self, namespace: str, identifier: str) -> ElementRule | None:
        """Look up the rule of an element.

        Args:
            namespace: A namespace.
            identifier: An element identifier.

        Returns:
            The rule, one that takes anything in an open namespace, or None where the element is not defined.
        """
        for candidate in self.namespaces:
            if candidate.name == namespace:
                return next((rule for rule in candidate.rules if identifier in rule.identifiers), None)
        return ElementRule(identifier=identifier, shape=ANYTHING) if self.is_open_namespace(namespace) else None


class CrossRule(ABC):
    """A rule over more than one element of an order. Values of a wrong type are none of its business."""

    __slots__ = ()

    @abstractmethod
    def violations(self, namespaces: Namespaces, valid_from: datetime | None) -> Sequence[Violation]:
        """Tell what is wrong.

        Args:
            namespaces: Values by namespace and element identifier.
            valid_from: The MSO's validFrom, aware, or None where it is not known yet.

        Returns:
            What is wrong, most often nothing.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAfter(CrossRule):
    """One date must not come after another."""

    namespace: str
    first: str
    second: str
    code: Code

    def violations(self, namespaces: Namespaces, valid_from: datetime | None) -> Sequence[Violation]:
        """Compare the two dates."""
        del valid_from
        elements = namespaces.get(self.namespace)
        if elements is None or not is_after(elements.get(self.first), elements.get(self.second)):
            return ()
        return (
            Violation(
                namespace=self.namespace,
                identifier=self.first,
                code=self.code,
                message=f"must not be after {self.second}",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JurisdictionInCountry(CrossRule):
    """The part of a subdivision code before the hyphen must be the issuing country.

    Spec: mdoc.md §5.1, issuing_jurisdiction.
    """

    namespace: str

    def violations(self, namespaces: Namespaces, valid_from: datetime | None) -> Sequence[Violation]:
        """Compare the two codes."""
        del valid_from
        elements = namespaces.get(self.namespace)
        if elements is None:
            return ()
        jurisdiction, country = elements.get("issuing_jurisdiction"), elements.get("issuing_country")
        if type(jurisdiction) is not str or type(country) is not str or jurisdiction.startswith(f"{country}-"):
            return ()
        return (
            Violation(
                namespace=self.namespace,
                identifier="issuing_jurisdiction",
                code=Code.JURISDICTION_COUNTRY,
                message="must begin with the code in issuing_country",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgesAgree(CrossRule):
    """Whatever tells an age must tell the same one.

    Spec: mdoc.md §4.5 and §1.4: age statements hold at validFrom.
    """

    namespace: str

    def violations(self, namespaces: Namespaces, valid_from: datetime | None) -> Sequence[Violation]:
        """Compare whatever tells an age."""
        elements = namespaces.get(self.namespace)
        if elements is None:
            return ()
        found: list[Violation] = []
        statements = age_statements(elements)
        denied = [nn for nn, value in statements.items() if not value]
        if denied:
            lowest = min(denied)
            found += [
                self._statement(nn, Code.AGE_CONTRADICTION, "is true while a lower threshold is false")
                for nn in sorted(statements)
                if statements[nn] and nn > lowest
            ]
        born = _day(elements.get("birth_date"))
        if born is None:
            return found
        year = elements.get("age_birth_year")
        if type(year) is int and year != born.year:
            found.append(self._violation("age_birth_year", Code.AGE_BIRTH_YEAR, "must be the year of birth_date"))
        if valid_from is None:
            return found
        ages = ages_at(born, valid_from.astimezone(UTC).date())
        years = elements.get("age_in_years")
        if type(years) is int and years not in ages:
            found.append(self._violation("age_in_years", Code.AGE_IN_YEARS, _FOLLOWS))
        # Where the birthday itself is in dispute, a statement need only hold by one of the two countings.
        youngest, oldest = ages[0], ages[-1]
        for nn, value in sorted(statements.items()):
            if (oldest < nn) if value else (youngest >= nn):
                found.append(self._statement(nn, Code.AGE_OVER, _FOLLOWS))
        return found

    def _statement(self, nn: int, code: Code, message: str) -> Violation:
        return self._violation(f"age_over_{nn:02d}", code, message)

    def _violation(self, identifier: str, code: Code, message: str) -> Violation:
        return Violation(namespace=self.namespace, identifier=identifier, code=code, message=message)


_FOLLOWS = "must follow from birth_date at validFrom"


def ages_at(born: date, day: date) -> tuple[int, ...]:
    """Tell how old somebody is on a day, in completed years.

    Args:
        born: The date of birth.
        day: The day asked for.

    Returns:
        One age; two for somebody born on 29 February, on the 28th of a year without a 29th: some laws count the
        birthday then and some on 1 March, and which one the issuing authority follows is not ours to know.
    """
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    if (born.month, born.day) == (2, 29) and (day.month, day.day) == (2, 28) and not isleap(day.year):
        return age, age + 1
    return (age,)


def _day(value: object) -> date | None:
    """Give the birth date, whether written as a full-date or as the map with a mask of what is not known."""
    if isinstance(value, dict) and "approximate_mask" not in value:
        value = value.get("birth_date")
    if type(value) is FullDate:
        try:
            return value.date
        except DecodeError:
            return None  # The element's own rule reports it.
    return None


def violation_of(namespace: str, identifier: str, fault: Fault) -> Violation:
    """Turn the fault of a value into the violation of an order."""
    return Violation(
        namespace=namespace, identifier=identifier, code=fault.code, message=fault.message, where=fault.where
    )

"""The parts of a document type: rules for elements, rules across elements, and the violation of a rule."""

from __future__ import annotations

import enum
import unicodedata
from abc import ABC, abstractmethod
from calendar import isleap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple, TypeAlias

from mdl.cbor import FullDate, TDate
from mdl.doctypes.ages import age_statements
from mdl.doctypes.shapes import ANYTHING, Code, Fault, Shape, is_after
from mdl.errors import DecodeError

__all__ = [
    "AgesAgree",
    "CivilDay",
    "CrossRule",
    "DocumentType",
    "ElementRule",
    "JurisdictionInCountry",
    "Namespace",
    "Namespaces",
    "NamespacesAgree",
    "NotAfter",
    "OwnPlace",
    "Presence",
    "PrivilegesAfterBirth",
    "Violation",
    "civil_day",
    "plain_name",
]

Namespaces: TypeAlias = Mapping[str, Mapping[str, object]]

_LONGEST_NAME = 100


def plain_name(name: object) -> str:
    """Make a name from an order safe for a message: the name itself if it is short printable ASCII, else ``?``."""
    if type(name) is str and 0 < len(name) <= _LONGEST_NAME and name.isascii() and name.isprintable():
        return name
    return "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One violation of a rule by an order. It holds no value.

    Attributes:
        namespace: The namespace, or empty for the order as a whole.
        identifier: The element identifier, or empty for the namespace as a whole.
        code: A stable id; from the table in `Code`, or ``record.…``.
        message: The requirement, in words.
        where: The part of the value, as ``[0].codes[1].value``; empty for the whole.
    """

    namespace: str
    identifier: str
    code: str
    message: str
    where: str = ""

    @property
    def path(self) -> str:
        """The place: ``namespace/identifier`` and the part of the value."""
        return "/".join(filter(None, (self.namespace, self.identifier))) + self.where

    def __str__(self) -> str:
        return f"{self.path}: {self.message} [{self.code}]" if self.path else f"{self.message} [{self.code}]"


class Presence(enum.Enum):
    """Whether an element must be in the issued document. The holder chooses the elements of a response."""

    MANDATORY = "M"
    OPTIONAL = "O"
    DISPUTED = "M?"
    """Disputed between sources; not enforced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRule:
    """The rule for one data element, or for one family of them.

    Attributes:
        identifier: The element identifier, or the name of the family as the standard has it (``age_over_NN``).
        shape: The required form of the value.
        presence: Whether an issued document must have it; a family is never mandatory.
        read_also: Forms that are read but never issued, since deployed issuers send them.
        issuable: False for withdrawn and older names, which are only read.
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
        """The CBOR type in the words of elements.md."""
        return self.shape.cddl


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The elements that one namespace may hold in one document type: these and no others.

    Attributes:
        name: The namespace.
        rules: Its elements.
        required: Whether its mandatory elements are required even if the whole namespace is absent.
        closed: Whether the standard permits no other elements: another element is then a deviation when it is read.
    """

    name: str
    rules: tuple[ElementRule, ...]
    required: bool = False
    closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentType:
    """A document type as data.

    Attributes:
        doctype: The name that is issued.
        title: The type in words.
        namespaces: The defined namespaces; the first is the default.
        aliases: Other spellings that are read.
        is_open_namespace: Returns whether a further namespace may be issued, with elements of the issuer's own.
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
        """The namespace for elements without one."""
        return self.namespaces[0].name

    def rule(self, namespace: str, identifier: str) -> ElementRule | None:
        """Look up the rule of an element.

        Args:
            namespace: A namespace.
            identifier: An element identifier.

        Returns:
            The rule; in an open namespace a rule that accepts any value; None if the element is not defined.
        """
        for candidate in self.namespaces:
            if candidate.name == namespace:
                return next((rule for rule in candidate.rules if identifier in rule.identifiers), None)
        return ElementRule(identifier=identifier, shape=ANYTHING) if self.is_open_namespace(namespace) else None


class CivilDay(NamedTuple):
    """The calendar day of a moment, which may be uncertain without the authority's time zone.

    Attributes:
        certain: The latest day that has begun in any case.
        first: The earliest day that is possible.
        last: The latest day that is possible.
    """

    certain: date
    first: date
    last: date


# The clocks of the Earth differ from UTC by -12 to +14 hours.
_LATEST_ZONE: Final = timedelta(hours=12)
_DAY: Final = timedelta(days=1)


def civil_day(moment: datetime, time_zone: tzinfo | None) -> CivilDay:
    """Return the calendar day of a moment.

    Args:
        moment: The moment, aware.
        time_zone: The time zone of the calendar. If it is None, the day in UTC and its neighbours are possible, and
            only a day that has begun in every time zone is certain.
    """
    if time_zone is not None:
        try:
            day = moment.astimezone(time_zone).date()
        except OverflowError:  # in the year 1 or 9999
            day = moment.date()
        return CivilDay(day, day, day)
    moment = moment.astimezone(UTC)
    day = moment.date()
    certain = (moment - _LATEST_ZONE).date() if day > date.min else day
    return CivilDay(certain, max(day, date.min + _DAY) - _DAY, min(day, date.max - _DAY) + _DAY)


class CrossRule(ABC):
    """A rule over more than one element of an order. It ignores values of a wrong type."""

    __slots__ = ()

    @abstractmethod
    def violations(self, namespaces: Namespaces, day: CivilDay | None) -> Sequence[Violation]:
        """Return the violations.

        Args:
            namespaces: Values by namespace and element identifier.
            day: The day of the MSO's validFrom, or None if it is not known yet.

        Returns:
            The violations, most often none.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAfter(CrossRule):
    """One date must not come after another."""

    namespace: str
    first: str
    second: str
    code: Code

    def violations(self, namespaces: Namespaces, day: CivilDay | None) -> Sequence[Violation]:
        """Compare the two dates."""
        del day
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

    def violations(self, namespaces: Namespaces, day: CivilDay | None) -> Sequence[Violation]:
        """Compare the two codes."""
        del day
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
    """All elements that state an age must agree.

    Spec: mdoc.md §4.5 and §1.4: age statements hold at validFrom.
    """

    namespace: str

    def violations(self, namespaces: Namespaces, day: CivilDay | None) -> Sequence[Violation]:
        """Compare all elements that state an age."""
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
        if day is None:
            return found
        if born > day.last:
            found.append(self._violation("birth_date", Code.DATES_BIRTH, "must not be after validFrom"))
            return found
        # Where the day itself or the birthday is in dispute, either will do; but nobody comes of age early.
        youngest, oldest = ages_at(born, day.first)[0], ages_at(born, day.certain)[-1]
        if youngest > _OLDEST:
            message = f"must not tell an age of more than {_OLDEST} years"
            found.append(self._violation("birth_date", Code.RANGE, message))
        years = elements.get("age_in_years")
        if type(years) is int and not youngest <= years <= oldest:
            found.append(self._violation("age_in_years", Code.AGE_IN_YEARS, _follows(born, day, years)))
        for nn, value in sorted(statements.items()):
            if (oldest < nn) if value else (youngest >= nn):
                found.append(self._statement(nn, Code.AGE_OVER, _follows(born, day, nn if value else 0)))
        return found

    def _statement(self, nn: int, code: Code, message: str) -> Violation:
        return self._violation(f"age_over_{nn:02d}", code, message)

    def _violation(self, identifier: str, code: Code, message: str) -> Violation:
        return Violation(namespace=self.namespace, identifier=identifier, code=code, message=message)


_OLDEST: Final = 150


def _follows(born: date, day: CivilDay, reached: int) -> str:
    """The requirement in words; `reached` is an age that is right where the day has already begun."""
    message = "must follow from birth_date at validFrom"
    if day.certain < day.last and 0 < reached <= ages_at(born, day.last)[-1]:
        message += ", in every time zone as long as the authority's is not set (credentials.time_zone in the policy)"
    return message


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacesAgree(CrossRule):
    """Two namespaces of one order must state the same facts about the person.

    Attributes:
        namespace: The namespace that the others are compared with.
    """

    namespace: str

    def violations(self, namespaces: Namespaces, day: CivilDay | None) -> Sequence[Violation]:
        """Compare sex, dates and names."""
        del day
        elements = namespaces.get(self.namespace)
        if elements is None or len(namespaces) < 2:
            return ()
        found = []
        for name, others in namespaces.items():
            if name == self.namespace or not isinstance(others, Mapping):
                continue
            for identifier, value in others.items():
                same = _SAME.get(identifier)
                if same is not None and not _agree(identifier, elements.get(same), value):
                    found.append(
                        Violation(
                            namespace=plain_name(name),
                            identifier=plain_name(identifier),
                            code=Code.CONTRADICTION,
                            message=f"must not contradict {same} in {self.namespace}",
                        )
                    )
        return found


# Elements that mean one thing in whatever namespace they stand, with the element of the first that says it.
_SAME: Final[Mapping[str, str]] = {
    name: name
    for name in ("family_name", "given_name", "birth_date", "age_birth_year", "issue_date", "expiry_date", "sex")
} | {"first_name": "given_name"}
_NAMES: Final = frozenset({"family_name", "given_name", "first_name"})
_NO_SEX: Final = (0, 9)


def _agree(identifier: str, one: object, other: object) -> bool:
    """Whether two values can be true of one person. Values of different kinds are not compared."""
    one, other = _comparable(one), _comparable(other)
    if identifier == "sex" and one in _NO_SEX and other in _NO_SEX:
        return True  # not known, or not told: not every list has both
    if type(one) is not type(other) or not isinstance(one, str | int):
        return True
    if isinstance(one, str) and isinstance(other, str) and identifier in _NAMES:
        return _same_name(one, other)
    return one == other


def _comparable(value: object) -> object:
    """A date as its day: an authority's own namespace may have it as text."""
    return value.text[:10] if isinstance(value, FullDate | TDate) else value


def _same_name(one: str, other: str) -> bool:
    """Whether two spellings may be of one name: other letters, accents and truncation are no contradiction."""
    if not (_is_latin(one) and _is_latin(other)):
        return True
    return (
        any(
            first.startswith(second) or second.startswith(first)
            for first, second in ((fold(one), fold(other)) for fold in (_without_accents, _transliterated))
        )
        or _without_accents(one) == _transliterated(other)
        or _transliterated(one) == _without_accents(other)
    )


def _is_latin(text: str) -> bool:
    return all(not each.isalpha() or "LATIN" in unicodedata.name(each, "") for each in text)


def _without_accents(text: str) -> str:
    return "".join(each for each in unicodedata.normalize("NFKD", text).casefold() if each.isalnum())


_TRANSLITERATION: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "ß": "ss", "ñ": "n", "þ": "th", "ð": "d"}
)


def _transliterated(text: str) -> str:
    return _without_accents(unicodedata.normalize("NFC", text).casefold().translate(_TRANSLITERATION))


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivilegesAfterBirth(CrossRule):
    """Nobody may drive before being born.

    Attributes:
        namespace: The namespace with ``birth_date``.
        privileges: The places of privileges: namespace, identifier, and the member that holds their dates, or None if
            the dates stand beside it.
    """

    namespace: str
    privileges: tuple[tuple[str, str, str | None], ...]

    def violations(self, namespaces: Namespaces, day: CivilDay | None) -> Sequence[Violation]:
        """Compare the dates of each privilege with the birth date."""
        del day
        born = namespaces.get(self.namespace, {}).get("birth_date")
        found = []
        for namespace, identifier, member in self.privileges:
            told = namespaces.get(namespace, {}).get(identifier)
            for index, one in enumerate(told if isinstance(told, list | tuple) else ()):
                dates = one.get(member) if isinstance(one, dict) and member is not None else one
                if isinstance(dates, dict) and is_after(born, dates.get("issue_date")):
                    found.append(
                        Violation(
                            namespace=namespace,
                            identifier=identifier,
                            code=Code.DATES_BIRTH,
                            message="must not be before birth_date",
                            where=f"[{index}]{'' if member is None else '.' + member}.issue_date",
                        )
                    )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPlace(CrossRule):
    """A namespace that names a country or a subdivision is that place's own.

    Attributes:
        namespace: The namespace with ``issuing_country`` and ``issuing_jurisdiction``.
        place_of: Returns the place that a namespace names, or None.
    """

    namespace: str
    place_of: Callable[[str], str | None] = field(repr=False)

    def violations(self, namespaces: Namespaces, day: CivilDay | None) -> Sequence[Violation]:
        """Compare the places in the names of namespaces with the issuing place."""
        del day
        elements = namespaces.get(self.namespace)
        if elements is None:
            return ()
        country, jurisdiction = elements.get("issuing_country"), elements.get("issuing_jurisdiction")
        found = []
        for name in namespaces:
            place = self.place_of(name) if type(name) is str else None
            if place is None or type(country) is not str:
                continue
            is_known = type(jurisdiction) is str and jurisdiction.startswith(f"{country}-")
            if place[:2] != country or ("-" in place and is_known and place != jurisdiction):
                found.append(
                    Violation(
                        namespace=name,
                        identifier="",
                        code=Code.NAMESPACE_FOREIGN,
                        message="is the namespace of another country or state than the issuing one",
                    )
                )
        return found


def ages_at(born: date, day: date) -> tuple[int, ...]:
    """Return the age of a person on a day, in completed years.

    Args:
        born: The date of birth.
        day: The day.

    Returns:
        One age; two ages for a person born on 29 February, on 28 February of a year without a 29th: some laws count the
        birthday on that day and some on 1 March, and the issuing authority's law is not known here.
    """
    age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
    if (born.month, born.day) == (2, 29) and (day.month, day.day) == (2, 28) and not isleap(day.year):
        return age, age + 1
    return (age,)


def _day(value: object) -> date | None:
    """The birth date, from a full-date or from the map with a mask of the unknown digits."""
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

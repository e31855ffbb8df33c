"""The two uses of the table: the violations of an order, and the plausibility of received elements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

from mdl.cbor import FullDate
from mdl.doctypes.rules import (
    DocumentType,
    ElementRule,
    Namespace,
    Namespaces,
    Presence,
    Violation,
    civil_day,
    plain_name,
    violation_of,
)
from mdl.doctypes.shapes import ANYTHING, Code, Either, Fault, Predicate
from mdl.doctypes.table import DOCTYPES

__all__ = ["check_element", "check_elements", "faulty_part", "find_doctype", "unknown_elements", "violations"]


class _Orders(NamedTuple):
    """One namespace, compiled for issuing."""

    predicates: dict[str, Predicate]
    mandatory: frozenset[str]
    required: bool


def _withdrawn(value: object) -> Fault:
    del value
    return _WITHDRAWN


_WITHDRAWN: Final = Fault(Code.WITHDRAWN, "is an older or withdrawn name: it is read, but not issued")
_OTHER_DATE: Final = Fault(Code.DATE_FORM, "is a day where a moment is wanted")
_OTHER_FORM: Final = Fault(Code.FORMAT, "is in a form that is read, but not issued")
_FREE: Final = ANYTHING.compile(strict=True)


def _compile_orders(namespace: Namespace) -> _Orders:
    predicates: dict[str, Predicate] = {}
    for rule in namespace.rules:
        predicate = rule.shape.compile(strict=True) if rule.issuable else _withdrawn
        for identifier in rule.identifiers:
            predicates.setdefault(identifier, predicate)  # A rule of its own goes before the family's.
    return _Orders(
        predicates=predicates,
        mandatory=frozenset(rule.identifier for rule in namespace.rules if rule.presence is Presence.MANDATORY),
        required=namespace.required,
    )


def _compile_reading(rule: ElementRule) -> Predicate:
    """Compile the rule of an element for reading. A form that is read but never issued has a code of its own."""
    predicate = rule.shape.compile(strict=False)
    if not rule.read_also:
        return predicate
    other = Either(shapes=rule.read_also).compile(strict=False)

    def check(value: object) -> Fault | None:
        fault = predicate(value)
        if fault is None:
            return None
        found = other(value)
        if found is None:
            return _OTHER_DATE if type(value) is FullDate else _OTHER_FORM
        # The form whose type fits knows best what is wrong.
        return fault if found.code is Code.TYPE else found

    return check


def _compile_all() -> tuple[dict[str, dict[str, _Orders]], dict[tuple[str, str], dict[str, Predicate]]]:
    orders: dict[str, dict[str, _Orders]] = {}
    reading: dict[tuple[str, str], dict[str, Predicate]] = {}
    for document_type in DOCTYPES.values():
        orders[document_type.doctype] = {
            namespace.name: _compile_orders(namespace) for namespace in document_type.namespaces
        }
        for namespace in document_type.namespaces:
            predicates: dict[str, Predicate] = {}
            for rule in namespace.rules:
                predicate = _compile_reading(rule)
                for identifier in rule.identifiers:
                    predicates.setdefault(identifier, predicate)
            for name in (document_type.doctype, *document_type.aliases):
                reading[name, namespace.name] = predicates
    return orders, reading


_ORDERS, _READING = _compile_all()
_BY_NAME: Final[Mapping[str, DocumentType]] = {
    name: each for each in DOCTYPES.values() for name in (each.doctype, *each.aliases)
}


def find_doctype(name: str) -> DocumentType | None:
    """Find a document type by its name or by another spelling of it.

    Args:
        name: A doctype, compared exactly.

    Returns:
        The document type, or None if it is unknown.
    """
    return _BY_NAME.get(name)


def violations(
    doctype: str,
    namespaces: Namespaces,
    *,
    valid_from: datetime | None = None,
    time_zone: tzinfo | None = None,
) -> tuple[Violation, ...]:
    """Return all violations of an order. Nothing is filled in and nothing is corrected.

    Args:
        doctype: The document type to be issued.
        namespaces: Values by namespace and element identifier, as decoded CBOR (`FullDate`, `TDate`, bytes …).
        valid_from: The validFrom that the MSO will have, an aware datetime; the age statements are compared with
            the birth date as of then. None if it is not known yet: then they are compared with each other only.
        time_zone: The time zone of the authority's calendar; see `mdl.doctypes.rules.civil_day` for None.

    Returns:
        The violations: missing elements, then elements in their order, then contradictions. Empty for an order that
        may be issued.

    Raises:
        ValueError: `valid_from` is naive.

    Spec: mdoc.md §5, §4.5, §1.4.
    """
    if valid_from is not None and valid_from.tzinfo is None:
        msg = "valid_from must be an aware datetime"
        raise ValueError(msg)
    orders = _ORDERS.get(doctype)
    if orders is None:
        return (_unknown_doctype(doctype),)
    document_type = DOCTYPES[doctype]
    day = None if valid_from is None else civil_day(valid_from, time_zone)
    found: list[Violation] = []
    for name, (_, mandatory, required) in orders.items():
        elements = namespaces.get(name)
        if elements is None:
            if required:
                found += _missing(document_type, name, mandatory)
        elif not elements.keys() >= mandatory:
            found += _missing(document_type, name, mandatory - elements.keys())
    for name, elements in namespaces.items():
        order = orders.get(name)
        if order is None:
            found += _free_elements(document_type, name, elements)
            continue
        find = order.predicates.get
        for identifier, value in elements.items():
            predicate = find(identifier)
            if predicate is None:
                found.append(_unknown_element(name, identifier))
            elif (fault := predicate(value)) is not None:
                found.append(violation_of(name, identifier, fault))
    sound = _without(namespaces, found) if found else namespaces
    for rule in document_type.cross_rules:
        found += rule.violations(sound, day)
    return tuple(found)


def check_element(doctype: str, namespace: str, identifier: str, value: object) -> str | None:
    """Check whether a received value is plausible.

    Args:
        doctype: The doctype of the document, in any spelling.
        namespace: The namespace that the element came in.
        identifier: The element identifier.
        value: The decoded value.

    Returns:
        The code of the defect, or None if the value is plausible, or the doctype, namespace or element is unknown.

    Spec: mdoc.md §4.1 no. 10, §1.2 (dates are read tolerantly).
    """
    predicates = _READING.get((doctype, namespace))
    if predicates is None:
        return None
    predicate = predicates.get(identifier)
    if predicate is None:
        return None
    fault = predicate(value)
    return None if fault is None else fault.code


def faulty_part(doctype: str, namespace: str, identifier: str, value: object) -> str:
    """The part of a received value that is not plausible, as ``[0].codes[1].value``; empty for the whole or for none.

    The arguments are those of `check_element`.
    """
    predicate = _READING.get((doctype, namespace), {}).get(identifier)
    fault = None if predicate is None else predicate(value)
    return "" if fault is None else fault.where


def check_elements(doctype: str, namespace: str, items: Iterable[tuple[str, object]]) -> tuple[tuple[str, str], ...]:
    """Return the received values of one namespace that are not plausible; `check_element` for many.

    Args:
        doctype: The doctype of the document, in any spelling.
        namespace: The namespace that the elements came in.
        items: Element identifiers with their decoded values.

    Returns:
        Identifier and code of each such value, in the order received.
    """
    predicates = _READING.get((doctype, namespace))
    if predicates is None:
        return ()
    found: list[tuple[str, str]] = []
    find = predicates.get
    for identifier, value in items:
        predicate = find(identifier)
        if predicate is not None and (fault := predicate(value)) is not None:
            found.append((identifier, fault.code))
    return tuple(found)


_CLOSED: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    (name, namespace.name): frozenset(identifier for rule in namespace.rules for identifier in rule.identifiers)
    for each in DOCTYPES.values()
    for name in (each.doctype, *each.aliases)
    for namespace in each.namespaces
    if namespace.closed
}


def unknown_elements(doctype: str, namespace: str, identifiers: Iterable[str]) -> tuple[str, ...]:
    """Return the received elements that a namespace does not have, if the standard permits no others in it.

    Args:
        doctype: The doctype of the document, in any spelling.
        namespace: The namespace that the elements came in.
        identifiers: Element identifiers, compared exactly.

    Returns:
        The unknown identifiers in the order received; none for a namespace that may have others.

    Spec: mdoc.md §5.1.
    """
    known = _CLOSED.get((doctype, namespace))
    if known is None or known.issuperset(identifiers):
        return ()
    return tuple(identifier for identifier in identifiers if identifier not in known)


def _unknown_doctype(doctype: str) -> Violation:
    alias = find_doctype(doctype)
    if alias is not None:
        return Violation(namespace="", identifier="", code=Code.DOCTYPE_ALIAS, message=f"is issued as {alias.doctype}")
    return Violation(
        namespace="", identifier="", code=Code.DOCTYPE_UNKNOWN, message="this document type is not known here"
    )


def _unknown_element(namespace: str, identifier: object) -> Violation:
    return Violation(
        namespace=namespace,
        identifier=plain_name(identifier),
        code=Code.UNKNOWN,
        message="is not defined in this namespace",
    )


def _missing(document_type: DocumentType, namespace: str, absent: frozenset[str]) -> list[Violation]:
    """List missing elements in the order of the table."""
    rules = next(each.rules for each in document_type.namespaces if each.name == namespace)
    return [
        Violation(namespace=namespace, identifier=rule.identifier, code=Code.MISSING, message="is mandatory")
        for rule in rules
        if rule.identifier in absent
    ]


def _without(namespaces: Namespaces, found: Iterable[Violation]) -> Namespaces:
    """The elements without a violation; only these are compared with others."""
    faulty = {(one.namespace, one.identifier) for one in found}
    return {
        name: {identifier: value for identifier, value in elements.items() if (name, identifier) not in faulty}
        for name, elements in namespaces.items()
    }


def _free_elements(document_type: DocumentType, namespace: str, elements: Mapping[str, object]) -> list[Violation]:
    """Check a namespace without a table: open to the issuer's own elements, or not allowed at all."""
    if type(namespace) is not str or not document_type.is_open_namespace(namespace):
        return [
            Violation(
                namespace=plain_name(namespace),
                identifier="",
                code=Code.NAMESPACE_UNKNOWN,
                message="is no namespace of this document type",
            )
        ]
    found: list[Violation] = []
    for identifier, value in elements.items():
        if type(identifier) is not str or not identifier or _FREE(identifier) is not None:
            found.append(
                Violation(
                    namespace=namespace,
                    identifier=plain_name(identifier),
                    code=Code.IDENTIFIER,
                    message="an identifier is text, not empty",
                )
            )
        elif (fault := _FREE(value)) is not None:
            found.append(violation_of(namespace, plain_name(identifier), fault))
    return found

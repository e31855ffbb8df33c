"""Document types as data: namespaces, elements, types, mandatory marks, and the age_over rule.

One table has two uses with different strictness. `violations` holds an order against it before anything is issued:
what is mandatory must be there, what is not defined must not, and every value must be of its type and in bounds.
`check_element` holds a received value against it: unknown elements are none of its business, dates are read
tolerantly, and nothing is mandatory, for a response shows what the holder chose.

Spec:
    18013-5 first edition 7.2; 18013-5 second edition (draft) 13.4; mdoc.md §5; elements.md.
"""

from mdl.doctypes.ages import Answer, age_over, age_over_threshold, age_statements, answer_age_request
from mdl.doctypes.checks import check_element, check_elements, faulty_part, find_doctype, unknown_elements, violations
from mdl.doctypes.rules import (
    CivilDay,
    CrossRule,
    DocumentType,
    ElementRule,
    Namespace,
    Namespaces,
    Presence,
    Violation,
    civil_day,
    plain_name,
)
from mdl.doctypes.shapes import Anything, Array, Bool, Bytes, Code, Date, Either, Map, Shape, Text, Uint
from mdl.doctypes.table import AAMVA_NAMESPACE, DOCTYPES, MDL_NAMESPACE

__all__ = [
    "AAMVA_NAMESPACE",
    "DOCTYPES",
    "MDL_NAMESPACE",
    "Answer",
    "Anything",
    "Array",
    "Bool",
    "Bytes",
    "CivilDay",
    "Code",
    "CrossRule",
    "Date",
    "DocumentType",
    "Either",
    "ElementRule",
    "Map",
    "Namespace",
    "Namespaces",
    "Presence",
    "Shape",
    "Text",
    "Uint",
    "Violation",
    "age_over",
    "age_over_threshold",
    "age_statements",
    "answer_age_request",
    "check_element",
    "check_elements",
    "civil_day",
    "faulty_part",
    "find_doctype",
    "plain_name",
    "unknown_elements",
    "violations",
]

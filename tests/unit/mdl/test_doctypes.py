"""Document types: what may not be issued, what is not plausible when read, and what an age statement proves."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import FullDate, Tag, Tagged24, TDate, decode, decode_view, encode
from mdl.cli.demo import portrait
from mdl.doctypes import (
    AAMVA_NAMESPACE,
    DOCTYPES,
    MDL_NAMESPACE,
    Answer,
    Array,
    Bytes,
    Code,
    Map,
    Text,
    Uint,
    age_over,
    age_over_threshold,
    age_statements,
    answer_age_request,
    check_element,
    check_elements,
    civil_day,
    faulty_part,
    find_doctype,
    violations,
)
from mdl.doctypes.images import image_defect
from mdl.errors import DecodeError
from mdl.testing import sample_image
from tests import external, images

MDL = "org.iso.18013.5.1.mDL"
PID = "eu.europa.ec.eudi.pid.1"
AV = "eu.europa.ec.av.1"
PHOTO_ID = "org.iso.23220.photoid.1"
VEHICLE = "org.iso.7367.1.mVRC"
ISO_23220 = "org.iso.23220.1"
DOMESTIC = "org.iso.18013.5.1.US-UT"
JPEG = images.JPEG
VALID_FROM = datetime(2024, 6, 1, tzinfo=UTC)

Order = dict[str, dict[str, Any]]


def licence() -> Order:
    """A licence with every element of the ISO namespace in use, some of AAMVA, and one of its state's own."""
    return {
        MDL_NAMESPACE: {
            "family_name": "Müller",
            "given_name": "Ana Luísa",
            "birth_date": FullDate("1990-03-31"),
            "issue_date": FullDate("2024-01-31"),
            "expiry_date": FullDate("2029-01-31"),
            "issuing_country": "US",
            "issuing_authority": "Division of Motor Vehicles",
            "document_number": "D 1234-567",
            "portrait": JPEG,
            "driving_privileges": [
                {"vehicle_category_code": "A", "issue_date": FullDate("2012-02-29")},
                {
                    "vehicle_category_code": "B",
                    "issue_date": FullDate("2010-01-31"),
                    "expiry_date": FullDate("2029-01-31"),
                    "codes": [{"code": "01"}, {"code": "S01", "sign": "<=", "value": "2500"}],
                },
            ],
            "un_distinguishing_sign": "USA",
            "administrative_number": "A-77",
            "sex": 2,
            "height": 170,
            "weight": 60,
            "eye_colour": "green",
            "hair_colour": "brown",
            "birth_place": "Springfield",
            "resident_address": "1 Main Street",
            "resident_street": "Main Street",
            "resident_city": "Springfield",
            "resident_state": "UT",
            "resident_postal_code": "84101",
            "resident_country": "US",
            "nationality": "US",
            "portrait_capture_date": TDate("2024-01-30T00:00:00Z"),
            "age_in_years": 34,
            "age_birth_year": 1990,
            "age_over_18": True,
            "age_over_21": True,
            "age_over_60": False,
            "issuing_jurisdiction": "US-UT",
            "biometric_template_face": b"\x7f\x61 template",
            "family_name_national_character": "Мюллер",
            "given_name_national_character": "Ана",
            "signature_usual_mark": images.JP2,
        },
        AAMVA_NAMESPACE: {
            "family_name_truncation": "N",
            "given_name_truncation": "U",
            "sex": 2,
            "DHS_compliance": "F",
            "organ_donor": 1,
            "weight_range": 3,
            "resident_county": "035",
            "hazmat_endorsement_expiration_date": FullDate("2026-01-31"),
            "domestic_driving_privileges": [
                {
                    "domestic_vehicle_class": {
                        "domestic_vehicle_class_code": "D",
                        "domestic_vehicle_class_description": "car",
                        "issue_date": FullDate("2010-01-31"),
                    },
                    "domestic_vehicle_restrictions": [{"domestic_vehicle_restriction_description": "glasses"}],
                }
            ],
        },
        DOMESTIC: {"fishing_permit": {"since": FullDate("2020-01-01"), "waters": ["lakes", 3, -1, True]}},
    }


def pid() -> Order:
    return {
        PID: {
            "family_name": "Ковачевић",
            "given_name": "Ана",
            "birth_date": FullDate("1990-03-31"),
            "place_of_birth": {"country": "RS"},
            "nationality": ["RS", "QU"],
            "portrait": b"",
            "issuing_authority": "ME",
            "issuing_country": "ME",
            "issuing_jurisdiction": "ME-01",
            "issuance_date": TDate("2024-01-31T00:00:00Z"),
            "expiry_date": FullDate("2024-01-31"),
            "email_address": "ana@example.org",
            "mobile_phone_number": "+38120123456",
            "trust_anchor": "https://example.org/list",
        }
    }


def age_proof() -> Order:
    return {AV: {"age_over_18": True}}


def photo_id() -> Order:
    return {
        ISO_23220: {
            "family_name": "Doe",
            "given_name": "Jo",
            "birth_date": {"birth_date": FullDate("1990-03-01"), "approximate_mask": "00000011"},
            "portrait": JPEG,
            "issue_date": TDate("2024-01-31T10:00:00Z"),
            "expiry_date": TDate("2034-01-31T10:00:00Z"),
            "issuing_authority": "Office",
            "issuing_country": "NL",
            "age_over_18": True,
        },
        "org.iso.23220.photoid.1": {"birth_country": "NL"},
        "org.iso.23220.datagroups.1": {"dg1": b"\x61", "version": "1"},
    }


def vehicle() -> Order:
    person = {"family_name_latin1": "Doe", "resident_address": "1", "resident_city": "X", "resident_country": "NL"}
    return {
        "org.iso.7367.1": {
            "registration_number": "AB-12-CD",
            "date_of_registration": TDate("2024-01-31T10:00:00Z"),
            "vehicle_identification_number": "W0L000051T2123456",
            "un_distinguishing_sign": "NL",
            "registered_user": [person],
            "basic_vehicle_info": {"make": "Make", "colours": [1, 10]},
            "mass_info": {"unit": "kg", "vehicle_max_mass": 1500},
        },
        ISO_23220: {
            "issue_date": FullDate("2024-01-31"),
            "issuing_authority_latin1": "Office",
            "issuing_country": "NL",
        },
    }


SAMPLES = {MDL: licence, PID: pid, AV: age_proof, PHOTO_ID: photo_id, VEHICLE: vehicle}


def unprivileged(order: Order) -> None:
    """Take away the privileges, whose dates would not go with another birth date."""
    order[MDL_NAMESPACE]["driving_privileges"] = []
    order[AAMVA_NAMESPACE]["domestic_driving_privileges"] = []


def name_case(value: object) -> str:
    """Name a test case in ASCII: pytest writes the names to a file, and some hold lone surrogates."""
    return ascii(getattr(value, "__name__", value))[:50]


def found(
    doctype: str, order: Order, valid_from: datetime | None = VALID_FROM, zone: tzinfo | None = None
) -> list[tuple[str, str, str]]:
    return [
        (each.code, each.namespace, each.identifier + each.where)
        for each in violations(doctype, order, valid_from=valid_from, time_zone=zone)
    ]


# --- issuing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("doctype", SAMPLES)
def test_a_good_order_has_no_violation(doctype: str) -> None:
    assert found(doctype, SAMPLES[doctype]()) == []


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_every_mandatory_element_is_missed_and_never_filled_in(doctype: str) -> None:
    for namespace, elements in SAMPLES[doctype]().items():
        for identifier in elements:
            order = SAMPLES[doctype]()
            del order[namespace][identifier]
            rule = DOCTYPES[doctype].rule(namespace, identifier)
            assert rule is not None
            expected = [(Code.MISSING, namespace, identifier)] if rule.presence.value == "M" else []
            assert found(doctype, order) == expected
            assert identifier not in order[namespace]


def test_an_empty_order_misses_the_mandatory_elements_in_the_order_of_the_table() -> None:
    assert [each.identifier for each in violations(MDL, {})] == [
        *("family_name", "given_name", "birth_date", "issue_date", "expiry_date", "issuing_country"),
        *("issuing_authority", "document_number", "portrait", "driving_privileges", "un_distinguishing_sign"),
    ]


@pytest.mark.parametrize("doctype", DOCTYPES)
def test_an_empty_order_misses_every_mandatory_element_of_its_own_namespaces(doctype: str) -> None:
    missed = {(each.namespace, each.identifier) for each in violations(doctype, {})}
    mandatory = {
        (namespace.name, rule.identifier)
        for namespace in DOCTYPES[doctype].namespaces
        for rule in namespace.rules
        if rule.presence.value == "M" and namespace.name != AAMVA_NAMESPACE
    }
    assert missed == mandatory != set()


# What is put into the ISO namespace of the sample licence, and the one violation that comes of it.
BAD_ELEMENTS: list[tuple[str, Any, Code, str]] = [
    ("family_name", "x" * 151, Code.LENGTH, ""),
    ("family_name", "Mu\u0308ller", Code.CHARACTERS, ""),
    ("family_name", "Čapek", Code.CHARACTERS, ""),
    ("family_name", "tab\there", Code.CHARACTERS, ""),
    ("family_name", "delete\x7f", Code.CHARACTERS, ""),
    ("family_name", "control\x9f", Code.CHARACTERS, ""),
    ("family_name", b"Doe", Code.TYPE, ""),
    ("family_name", None, Code.TYPE, ""),
    ("family_name_national_character", "\ud800", Code.CHARACTERS, ""),
    ("birth_date", "1990-03-31", Code.TYPE, ""),
    ("birth_date", TDate("1990-03-31T00:00:00Z"), Code.TYPE, ""),
    ("birth_date", FullDate("1990-02-29"), Code.DATE, ""),
    ("birth_date", FullDate("1990-3-31"), Code.DATE, ""),
    ("birth_date", FullDate("1990-03-31T"), Code.DATE, ""),
    ("birth_date", FullDate("19900331"), Code.DATE, ""),
    ("birth_date", FullDate("0000-01-01"), Code.DATE, ""),
    ("birth_date", Tag(1004, "1990-03-31"), Code.TYPE, ""),
    ("issue_date", "2024-01-31T00:00:00Z", Code.TYPE, ""),
    ("issue_date", TDate("2024-01-31T00:00:00.5Z"), Code.DATE, ""),
    ("issue_date", TDate("2024-01-31T00:00:00+00:00"), Code.DATE, ""),
    ("issue_date", TDate("2024-01-31t00:00:00z"), Code.DATE, ""),
    ("issue_date", TDate("2024-01-31T000000.1Z"), Code.DATE, ""),
    ("issue_date", TDate("2024-02-30T00:00:00Z"), Code.DATE, ""),
    ("portrait_capture_date", FullDate("2024-01-30"), Code.TYPE, ""),
    ("nationality", "us", Code.COUNTRY, ""),
    ("nationality", "USA", Code.COUNTRY, ""),
    ("nationality", "ÄÖ", Code.COUNTRY, ""),
    ("nationality", ["US"], Code.TYPE, ""),
    ("portrait", "portrait.jpg", Code.TYPE, ""),
    ("portrait", b"\x89PNG\r\n\x1a\n", Code.IMAGE, ""),
    ("portrait", b"", Code.IMAGE, ""),
    ("signature_usual_mark", b"GIF89a", Code.IMAGE, ""),
    ("biometric_template_face", b"\x7f\x60", Code.BIOMETRIC, ""),
    ("biometric_template_foot_print", b"", Code.BIOMETRIC, ""),
    ("sex", 3, Code.VALUE, ""),
    ("sex", True, Code.TYPE, ""),
    ("sex", 1.0, Code.TYPE, ""),
    ("height", -1, Code.TYPE, ""),
    ("sex", -1, Code.TYPE, ""),
    ("height", 2**64, Code.RANGE, ""),
    ("height", "170", Code.TYPE, ""),
    ("weight", True, Code.TYPE, ""),
    ("age_birth_year", 90, Code.RANGE, ""),
    ("eye_colour", "grün", Code.VALUE, ""),
    ("hair_colour", "green", Code.VALUE, ""),
    ("age_over_25", 1, Code.TYPE, ""),
    ("issuing_jurisdiction", "US-", Code.SUBDIVISION, ""),
    ("issuing_jurisdiction", "US-UTAH", Code.SUBDIVISION, ""),
    ("issuing_jurisdiction", "US-ut", Code.SUBDIVISION, ""),
    ("issuing_jurisdiction", "US-Ü", Code.SUBDIVISION, ""),
    ("issuing_jurisdiction", "US-U T", Code.SUBDIVISION, ""),
    ("driving_privileges", {"vehicle_category_code": "B"}, Code.TYPE, ""),
    ("driving_privileges", ["B"], Code.TYPE, "[0]"),
    ("driving_privileges", [{}], Code.MEMBER_MISSING, "[0].vehicle_category_code"),
    ("driving_privileges", [{"vehicle_category_code": 1}], Code.TYPE, "[0].vehicle_category_code"),
    ("driving_privileges", [{"vehicle_category_code": "B", "code": "1"}], Code.MEMBER_UNKNOWN, "[0]"),
    ("driving_privileges", [{"vehicle_category_code": "B", "codes": []}], Code.EMPTY, "[0].codes"),
    ("driving_privileges", [{"vehicle_category_code": "B", "codes": [{}]}], Code.MEMBER_MISSING, "[0].codes[0].code"),
    (
        "driving_privileges",
        [
            {"vehicle_category_code": "A"},
            {"vehicle_category_code": "B", "codes": [{"code": "1"}, {"code": "2", "value": 3}]},
        ],
        Code.TYPE,
        "[1].codes[1].value",
    ),
    (
        "driving_privileges",
        [{"vehicle_category_code": "B", "issue_date": TDate("2024-01-31T00:00:00Z")}],
        Code.TYPE,
        "[0].issue_date",
    ),
    (
        "driving_privileges",
        [{"vehicle_category_code": "B", "expiry_date": FullDate("2024-13-31")}],
        Code.DATE,
        "[0].expiry_date",
    ),
    (
        "driving_privileges",
        [{"vehicle_category_code": "B", "issue_date": FullDate("2024-01-31"), "expiry_date": FullDate("2024-01-30")}],
        Code.DATES_ORDER,
        "[0]",
    ),
    ("driving_privilege", [], Code.UNKNOWN, ""),
    ("age_over_1", True, Code.UNKNOWN, ""),
    ("age_over_100", True, Code.UNKNOWN, ""),
    ("age_over_NN", True, Code.UNKNOWN, ""),
    ("biometric_template_smile", b"\x7f\x61", Code.UNKNOWN, ""),
    ("biometric_template_xx", b"\x7f\x61", Code.UNKNOWN, ""),
    ("Family_name", "Doe", Code.UNKNOWN, ""),
    ("webapi_info", "x", Code.WITHDRAWN, ""),
]


# The same, of what no forger gains by: the gate before signing refuses it, and a reader takes it.
NOT_ISSUED: list[tuple[str, Any, Code, str]] = [
    ("family_name", "", Code.EMPTY, ""),
    ("given_name", "  ", Code.EMPTY, ""),
    ("given_name", "\u00a0\u00ad", Code.EMPTY, ""),
    ("document_number", "", Code.EMPTY, ""),
    ("issuing_authority", " ", Code.EMPTY, ""),
    ("un_distinguishing_sign", "", Code.EMPTY, ""),
    ("resident_city", "", Code.EMPTY, ""),
    ("family_name_national_character", "\u3000\u200b\u3164", Code.EMPTY, ""),
    ("driving_privileges", [{"vehicle_category_code": ""}], Code.EMPTY, "[0].vehicle_category_code"),
    ("driving_privileges", [{"vehicle_category_code": "B", "codes": [{"code": " "}]}], Code.EMPTY, "[0].codes[0].code"),
    ("family_name_national_character", "A\u202eB", Code.CHARACTERS, ""),
    ("family_name_national_character", "A\x00", Code.CHARACTERS, ""),
    ("family_name_national_character", "line\nfeed", Code.CHARACTERS, ""),
    ("given_name_national_character", "\u2066Ж", Code.CHARACTERS, ""),
    ("given_name_national_character", "Ж\ufeff", Code.CHARACTERS, ""),
    ("given_name_national_character", "\ufffdЖ", Code.CHARACTERS, ""),
    ("given_name_national_character", "Ж\U000e0041", Code.CHARACTERS, ""),
    ("driving_privileges", [{"vehicle_category_code": "B\u200f"}], Code.CHARACTERS, "[0].vehicle_category_code"),
    ("height", 0, Code.RANGE, ""),
    ("height", 29, Code.RANGE, ""),
    ("height", 301, Code.RANGE, ""),
    ("weight", 1, Code.RANGE, ""),
    ("weight", 10**19, Code.RANGE, ""),
    ("portrait", b"\xff\xd8\xff", Code.IMAGE, ""),
    ("portrait", images.JPEG[:-2], Code.IMAGE, ""),
]


@pytest.mark.parametrize("identifier,value,code,where", BAD_ELEMENTS + NOT_ISSUED, ids=name_case)
def test_a_bad_element_is_named_with_its_one_fault(identifier: str, value: Any, code: Code, where: str) -> None:
    order = licence()
    order[MDL_NAMESPACE][identifier] = value
    # What depends on the birth date is not at stake here.
    for dependent in ("age_in_years", "age_birth_year"):
        if identifier != dependent:
            del order[MDL_NAMESPACE][dependent]
    assert found(MDL, order) == [(code, MDL_NAMESPACE, identifier + where)]


def put(namespace: str, identifier: str, value: Any) -> Callable[[Order], None]:
    def change(order: Order) -> None:
        order.setdefault(namespace, {})[identifier] = value

    change.__name__ = f"{namespace}/{identifier}"
    return change


def drop(namespace: str) -> Callable[[Order], None]:
    def change(order: Order) -> None:
        del order[namespace]

    return change


def nested(depth: int) -> Any:
    value: Any = "end"
    for _ in range(depth):
        value = [value]
    return value


# A change to the sample of a document type, and the one violation that comes of it.
BAD_ORDERS: list[tuple[str, Callable[[Order], None], Code, str, str]] = [
    # Across elements.
    (MDL, put(MDL_NAMESPACE, "expiry_date", FullDate("2024-01-30")), Code.DATES_ORDER, MDL_NAMESPACE, "issue_date"),
    (
        MDL,
        put(MDL_NAMESPACE, "expiry_date", TDate("2024-01-30T23:59:59Z")),
        Code.DATES_ORDER,
        MDL_NAMESPACE,
        "issue_date",
    ),
    (PHOTO_ID, put(ISO_23220, "expiry_date", TDate("2024-01-31T09:59:59Z")), Code.DATES_ORDER, ISO_23220, "issue_date"),
    (VEHICLE, put(ISO_23220, "expiry_date", FullDate("2024-01-30")), Code.DATES_ORDER, ISO_23220, "issue_date"),
    (PID, put(PID, "expiry_date", FullDate("2024-01-30")), Code.DATES_ORDER, PID, "issuance_date"),
    (PID, put(PID, "birth_date", FullDate("2024-02-01")), Code.DATES_BIRTH, PID, "birth_date"),
    (
        MDL,
        put(MDL_NAMESPACE, "issuing_jurisdiction", "CA-UT"),
        Code.JURISDICTION_COUNTRY,
        MDL_NAMESPACE,
        "issuing_jurisdiction",
    ),
    (PID, put(PID, "issuing_jurisdiction", "RS-01"), Code.JURISDICTION_COUNTRY, PID, "issuing_jurisdiction"),
    (MDL, put(MDL_NAMESPACE, "age_in_years", 33), Code.AGE_IN_YEARS, MDL_NAMESPACE, "age_in_years"),
    (MDL, put(MDL_NAMESPACE, "age_birth_year", 1991), Code.AGE_BIRTH_YEAR, MDL_NAMESPACE, "age_birth_year"),
    (MDL, put(MDL_NAMESPACE, "age_over_35", True), Code.AGE_OVER, MDL_NAMESPACE, "age_over_35"),
    (MDL, put(MDL_NAMESPACE, "age_over_34", False), Code.AGE_OVER, MDL_NAMESPACE, "age_over_34"),
    (AV, put(AV, "age_over_16", False), Code.AGE_CONTRADICTION, AV, "age_over_18"),
    # Across namespaces.
    (MDL, put(AAMVA_NAMESPACE, "sex", 1), Code.CONTRADICTION, AAMVA_NAMESPACE, "sex"),
    (MDL, put(AAMVA_NAMESPACE, "sex", 9), Code.CONTRADICTION, AAMVA_NAMESPACE, "sex"),
    (MDL, put(AAMVA_NAMESPACE, "first_name", "Eva"), Code.CONTRADICTION, AAMVA_NAMESPACE, "first_name"),
    (MDL, put(DOMESTIC, "family_name", "Miller"), Code.CONTRADICTION, DOMESTIC, "family_name"),
    (MDL, put(DOMESTIC, "birth_date", FullDate("1990-03-30")), Code.CONTRADICTION, DOMESTIC, "birth_date"),
    (MDL, put(DOMESTIC, "birth_date", "1990-03-30"), Code.CONTRADICTION, DOMESTIC, "birth_date"),
    (MDL, put(DOMESTIC, "expiry_date", TDate("2029-02-01T00:00:00Z")), Code.CONTRADICTION, DOMESTIC, "expiry_date"),
    (
        *(
            MDL,
            put(
                MDL_NAMESPACE,
                "driving_privileges",
                [{"vehicle_category_code": "B", "issue_date": FullDate("1990-03-30")}],
            ),
        ),
        *(Code.DATES_BIRTH, MDL_NAMESPACE, "driving_privileges[0].issue_date"),
    ),
    (
        MDL,
        put(
            AAMVA_NAMESPACE,
            "domestic_driving_privileges",
            [
                {
                    "domestic_vehicle_class": {
                        "domestic_vehicle_class_code": "D",
                        "domestic_vehicle_class_description": "car",
                        "issue_date": FullDate("1989-12-31"),
                    }
                }
            ],
        ),
        *(Code.DATES_BIRTH, AAMVA_NAMESPACE, "domestic_driving_privileges[0].domestic_vehicle_class.issue_date"),
    ),
    # Namespaces and document types.
    (MDL, put("org.iso.18013.5.1.US-NV", "x", 1), Code.NAMESPACE_FOREIGN, "org.iso.18013.5.1.US-NV", ""),
    (MDL, put("org.iso.18013.5.1.CA-UT", "x", 1), Code.NAMESPACE_FOREIGN, "org.iso.18013.5.1.CA-UT", ""),
    (MDL, put("org.iso.18013.5.1.CA", "x", 1), Code.NAMESPACE_FOREIGN, "org.iso.18013.5.1.CA", ""),
    (PID, put("eu.europa.ec.eudi.pid.de.1", "x", 1), Code.NAMESPACE_FOREIGN, "eu.europa.ec.eudi.pid.de.1", ""),
    (MDL, put("org.iso.18013.5.2", "x", 1), Code.NAMESPACE_UNKNOWN, "org.iso.18013.5.2", ""),
    (MDL, put("org.iso.18013.5.1.us", "x", 1), Code.NAMESPACE_UNKNOWN, "org.iso.18013.5.1.us", ""),
    (MDL, put("org.iso.18013.5.1.US-", "x", 1), Code.NAMESPACE_UNKNOWN, "org.iso.18013.5.1.US-", ""),
    (MDL, put("org.iso.18013.5.1.US.UT", "x", 1), Code.NAMESPACE_UNKNOWN, "org.iso.18013.5.1.US.UT", ""),
    (MDL, put("line\nfeed", "x", 1), Code.NAMESPACE_UNKNOWN, "?", ""),
    (AV, put(MDL_NAMESPACE, "family_name", "x"), Code.NAMESPACE_UNKNOWN, MDL_NAMESPACE, ""),
    (PHOTO_ID, put("org.iso.23220.dtc.1", "dtc_sod", b""), Code.WITHDRAWN, "org.iso.23220.dtc.1", "dtc_sod"),
    (PHOTO_ID, put(ISO_23220, "family_name_unicode", "x"), Code.WITHDRAWN, ISO_23220, "family_name_unicode"),
    (PID, put(PID, "age_over_18", True), Code.WITHDRAWN, PID, "age_over_18"),
    (PID, put("eu.europa.ec.eudi.pid.\n", "x", 1), Code.NAMESPACE_UNKNOWN, "?", ""),
    (AV, put(AV, "portrait", JPEG), Code.UNKNOWN, AV, "portrait"),
    (AV, put(AV, "line\nfeed", 1), Code.UNKNOWN, AV, "?"),
    # A state's own elements: free, but they must be fit to be encoded and read again.
    (MDL, put(DOMESTIC, "", 1), Code.IDENTIFIER, DOMESTIC, "?"),
    (MDL, put(DOMESTIC, "\ud800", 1), Code.IDENTIFIER, DOMESTIC, "?"),
    (MDL, put(DOMESTIC, "x", 1.5), Code.TYPE, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", None), Code.TYPE, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", {"y": [object()]}), Code.TYPE, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", {b"y": 1}), Code.TYPE, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", 2**64), Code.RANGE, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", ""), Code.EMPTY, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", {"y": [" "]}), Code.EMPTY, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", ["a\u202eb"]), Code.CHARACTERS, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x\x00", 1), Code.IDENTIFIER, DOMESTIC, "?"),
    (MDL, put(DOMESTIC, "x", ["\udfff"]), Code.CHARACTERS, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", {"\udfff": 1}), Code.CHARACTERS, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", FullDate("2024-02-30")), Code.DATE, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", nested(8)), Code.STRUCTURE, DOMESTIC, "x"),
    (MDL, put(DOMESTIC, "x", [0] * 10_000), Code.STRUCTURE, DOMESTIC, "x"),
    # AAMVA.
    (MDL, put(AAMVA_NAMESPACE, "sex", 0), Code.VALUE, AAMVA_NAMESPACE, "sex"),
    (MDL, put(AAMVA_NAMESPACE, "organ_donor", 0), Code.VALUE, AAMVA_NAMESPACE, "organ_donor"),
    (MDL, put(AAMVA_NAMESPACE, "weight_range", 10), Code.VALUE, AAMVA_NAMESPACE, "weight_range"),
    (MDL, put(AAMVA_NAMESPACE, "resident_county", "35"), Code.FORMAT, AAMVA_NAMESPACE, "resident_county"),
    (MDL, put(AAMVA_NAMESPACE, "name_suffix", "ESQ"), Code.VALUE, AAMVA_NAMESPACE, "name_suffix"),
    (
        MDL,
        put(AAMVA_NAMESPACE, "domestic_driving_privileges", [{"domestic_vehicle_endorsements": [{}]}]),
        Code.MEMBER_MISSING,
        AAMVA_NAMESPACE,
        "domestic_driving_privileges[0].domestic_vehicle_endorsements[0].domestic_vehicle_endorsement_description",
    ),
    # The others.
    (PID, put(PID, "portrait", b"\xff\x4f\xff\x51"), Code.IMAGE, PID, "portrait"),
    (PID, put(PID, "place_of_birth", {}), Code.EMPTY, PID, "place_of_birth"),
    (PID, put(PID, "place_of_birth", {"country": "Serbia"}), Code.COUNTRY, PID, "place_of_birth.country"),
    (PID, put(PID, "nationality", "RS"), Code.TYPE, PID, "nationality"),
    (PID, put(PID, "nationality", []), Code.EMPTY, PID, "nationality"),
    (PID, put(PID, "given_name", "Ж" * 151), Code.LENGTH, PID, "given_name"),
    (PID, put(PID, "email_address", "ana"), Code.FORMAT, PID, "email_address"),
    (PID, put(PID, "mobile_phone_number", "020 123"), Code.FORMAT, PID, "mobile_phone_number"),
    (PID, put(PID, "trust_anchor", "example"), Code.FORMAT, PID, "trust_anchor"),
    (PHOTO_ID, put(ISO_23220, "birth_date", {}), Code.MEMBER_MISSING, ISO_23220, "birth_date.birth_date"),
    (PHOTO_ID, put(ISO_23220, "birth_date", "1990"), Code.TYPE, ISO_23220, "birth_date"),
    (
        PHOTO_ID,
        put(ISO_23220, "birth_date", {"birth_date": "1990-01-01"}),
        Code.TYPE,
        ISO_23220,
        "birth_date.birth_date",
    ),
    (
        PHOTO_ID,
        put(ISO_23220, "birth_date", {"birth_date": FullDate("2010-01-01")}),
        Code.AGE_OVER,
        ISO_23220,
        "age_over_18",
    ),
    (
        PHOTO_ID,
        put(ISO_23220, "birth_date", {"birth_date": FullDate("1990-03-31"), "approximate_mask": "1"}),
        Code.FORMAT,
        ISO_23220,
        "birth_date.approximate_mask",
    ),
    (VEHICLE, put("org.iso.7367.1", "registered_user", []), Code.EMPTY, "org.iso.7367.1", "registered_user"),
    (
        VEHICLE,
        put("org.iso.7367.1", "basic_vehicle_info", {"make": "Make", "colours": [11]}),
        Code.RANGE,
        "org.iso.7367.1",
        "basic_vehicle_info.colours[0]",
    ),
]


@pytest.mark.parametrize("doctype,change,code,namespace,path", BAD_ORDERS, ids=name_case)
def test_a_bad_order_is_named_with_its_one_fault(
    doctype: str, change: Callable[[Order], None], code: Code, namespace: str, path: str
) -> None:
    order = SAMPLES[doctype]()
    change(order)
    assert found(doctype, order) == [(code, namespace, path)]


def test_somebody_born_after_the_issue_is_refused() -> None:
    order = licence()
    unprivileged(order)
    order[MDL_NAMESPACE] |= {"birth_date": FullDate("2024-02-01"), "age_birth_year": 2024, "age_in_years": 0}
    for nn in (18, 21, 60):
        order[MDL_NAMESPACE][f"age_over_{nn}"] = False
    assert found(MDL, order) == [(Code.DATES_BIRTH, MDL_NAMESPACE, "birth_date")]


@pytest.mark.parametrize("name", [5, None, "ü", "", "x" * 101, "bell\a"])
def test_a_name_that_is_unfit_for_a_message_is_not_repeated(name: Any) -> None:
    bad: Any = {AV: {"age_over_18": True, name: 1}, name: {}}
    assert found(AV, bad) == [(Code.UNKNOWN, AV, "?"), (Code.NAMESPACE_UNKNOWN, "?", "")]
    order = licence() | {name: {}}
    order[DOMESTIC][name] = object()
    code = Code.TYPE if name in {"ü", "x" * 101} else Code.IDENTIFIER
    assert found(MDL, order) == [(code, DOMESTIC, "?"), (Code.NAMESPACE_UNKNOWN, "?", "")]


def test_a_name_that_is_fit_for_a_message_is_told() -> None:
    assert found(AV, {AV: {"age_over_18": True, "x" * 100: 1}}) == [(Code.UNKNOWN, AV, "x" * 100)]


LATIN1 = "must consist of the Latin-1 repertoire (20-7E, A0-FF)"
NATIONAL = (
    f"{LATIN1}: write it in Latin letters here, and as it is in the element of that name with _national_character, "
    "if there is one"
)


@pytest.mark.parametrize(
    "identifier,value,message",
    [
        ("family_name", 1, "must be text of at most 150 characters"),
        ("un_distinguishing_sign", 1, "must be text"),
        ("nationality", 1, "must be text, an ISO 3166-1 alpha-2 code in upper case"),
        ("nationality", "x", "must be an ISO 3166-1 alpha-2 code in upper case"),
        ("birth_date", 1, "must be a full-date"),
        ("expiry_date", 1, "must be a tdate or a full-date"),
        ("expiry_date", TDate("x"), "must be a moment in UTC, YYYY-MM-DDThh:mm:ssZ"),
        ("age_birth_year", 90, "must be at least 1000 and at most 9999"),
        ("family_name", "", "must not be empty or blank (an optional element is left out)"),
        ("family_name", "Παπαδόπουλος", NATIONAL),
        (
            "family_name",
            "Mu\u0308ller",
            f"{LATIN1}: a letter and its accent are two characters here, compose them (Unicode NFC)",
        ),
        ("height", 0, "must be at least 30 and at most 300"),
        ("portrait", images.JPEG[:-2], "must be a whole image: the end marker is missing, the file is cut off"),
        ("family_name_national_character", "\ud800", "must be encodable as UTF-8"),
    ],
    ids=name_case,
)
def test_a_violation_says_what_should_have_been(identifier: str, value: Any, message: str) -> None:
    order = {MDL_NAMESPACE: {identifier: value}}
    assert [each.message for each in violations(MDL, order) if each.code is not Code.MISSING] == [message]


# Values of one element that are of its form, and values that are not.
FORMS: list[tuple[str, str, str, list[Any], list[Any]]] = [
    (
        *(MDL, MDL_NAMESPACE, "issuing_jurisdiction"),
        ["US-UT", "FR-A", "FR-75C", "PT-01"],
        ["US_UT", "1S-UT", "Us-UT", "USAUT", "US-", "US-1234", "US-Ä", "US-a", "US-A ", "-UT", "", "US"],
    ),
    (*(MDL, MDL_NAMESPACE, "nationality"), ["US", "QU", "XK"], ["us", "U", "USA", "U1", "ÄÖ", "", "U "]),
    (*(MDL, MDL_NAMESPACE, "age_birth_year"), [1000, 9999], [999, 10_000]),
    (*(MDL, MDL_NAMESPACE, "driving_privileges"), [[]], [[[]]]),
    (*(MDL, AAMVA_NAMESPACE, "resident_county"), ["000", "035"], ["35", "0035", "0x5", "\u0660\u0660\u0661", "²²²"]),
    (
        *(PID, PID, "email_address"),
        ["a@b", '"a@b"@example.org', "ü@example.org"],
        ["@b", "a@", "ab", "a@b c", "a\n@b", ""],
    ),
    (*(PID, PID, "mobile_phone_number"), ["+1", "+38120123456"], ["+", "1", "0038120", "+38 120", "+\u0661", "+x", ""]),
    (
        *(PID, PID, "trust_anchor"),
        ["https://example.org/list?x=1", "a://b"],
        ["://b", "a://", "example.org", "https:/example.org", "https://a b", "https://ä", "https://a\n", ""],
    ),
    (
        *(MDL, AAMVA_NAMESPACE, "domestic_driving_privileges"),
        [[], [{}]],
        [
            [{"domestic_vehicle_class": {"domestic_vehicle_class_code": "D"}}],
            [{"domestic_vehicle_class": {"domestic_vehicle_class_description": "car"}}],
            [{"domestic_vehicle_restrictions": [{"domestic_vehicle_restriction_code": "1"}]}],
            [{"domestic_vehicle_restrictions": []}],
            [{"domestic_vehicle_endorsements": [{"domestic_vehicle_endorsement_code": "1"}]}],
            [
                {
                    "domestic_vehicle_class": {
                        "domestic_vehicle_class_code": "D",
                        "domestic_vehicle_class_description": "car",
                        "issue_date": FullDate("2024-01-31"),
                        "expiry_date": FullDate("2024-01-30"),
                    }
                }
            ],
        ],
    ),
    (
        *(VEHICLE, "org.iso.7367.1", "registered_owner"),
        [[{"resident_address": "1", "resident_city": "X", "resident_country": "NL"}]],
        [
            [{"resident_city": "X", "resident_country": "NL"}],
            [{"resident_address": "1", "resident_country": "NL"}],
            [{"resident_address": "1", "resident_city": "X"}],
        ],
    ),
]


@pytest.mark.parametrize("doctype,namespace,identifier,good,bad", FORMS)
def test_a_form_takes_what_it_means_and_nothing_else(
    doctype: str, namespace: str, identifier: str, good: list[Any], bad: list[Any]
) -> None:
    assert [value for value in good if check_element(doctype, namespace, identifier, value)] == []
    assert [value for value in bad if not check_element(doctype, namespace, identifier, value)] == []


@pytest.mark.parametrize(
    "namespace,is_open",
    [
        ("eu.europa.ec.eudi.pid.me.1", True),
        ("eu.europa.ec.eudi.pid", False),
        ("eu.europa.ec.eudi.pidx.1", False),
        ("eu.europa.ec.eudi.pid.\u0661", False),
        ("x.eu.europa.ec.eudi.pid.me.1", False),
    ],
)
def test_national_namespaces_may_be_added_to_a_pid(namespace: str, is_open: bool) -> None:
    order = pid() | {namespace: {"tax_number": "1"}}
    assert (found(PID, order) == []) is is_open
    # The namespace of the rulebook itself is never open.
    assert DOCTYPES[PID].rule(PID, "tax_number") is None


@pytest.mark.parametrize("number", [0, 2**64 - 1])
def test_an_integer_may_fill_64_bits(number: int) -> None:
    order = licence()
    order[AAMVA_NAMESPACE]["aamva_version"] = number
    order[DOMESTIC]["x"] = [number, -(2**64)]
    assert found(MDL, order) == []
    order[DOMESTIC]["x"] = -(2**64) - 1
    assert found(MDL, order) == [(Code.RANGE, DOMESTIC, "x")]


def test_bounds_of_a_free_element_are_inclusive() -> None:
    order = licence()
    order[DOMESTIC] |= {"deep": nested(7), "large": [0] * 9_999}
    assert found(MDL, order) == []


def test_a_map_without_a_required_member_may_be_empty() -> None:
    order = vehicle()
    order["org.iso.7367.1"]["seating_info"] = {}
    assert found(VEHICLE, order) == []


@pytest.mark.parametrize(
    "issued,expires,right",
    [
        (FullDate("2024-01-31"), FullDate("2024-01-31"), True),
        (FullDate("2024-01-31"), TDate("2024-01-31T00:00:00Z"), True),
        (TDate("2024-01-31T23:59:59Z"), FullDate("2024-01-31"), True),
        (TDate("2024-01-31T10:00:00Z"), TDate("2024-01-31T10:00:00Z"), True),
        (TDate("2024-01-31T10:00:01Z"), TDate("2024-01-31T10:00:00Z"), False),
        (TDate("2024-02-01T00:00:00Z"), FullDate("2024-01-31"), False),
    ],
)
def test_dates_of_two_kinds_are_compared_by_the_day(issued: Any, expires: Any, right: bool) -> None:
    order = licence()
    order[MDL_NAMESPACE] |= {"issue_date": issued, "expiry_date": expires}
    assert (found(MDL, order) == []) is right


@pytest.mark.parametrize("alias", ["org.iso.23220.photoID.1", "org.iso.23220.2.photoid.1"])
def test_another_spelling_of_a_doctype_is_not_issued(alias: str) -> None:
    assert found(alias, photo_id()) == [(Code.DOCTYPE_ALIAS, "", "")]


def test_an_unknown_doctype_is_not_issued() -> None:
    assert found("org.iso.18013.5.1.mdl", licence()) == [(Code.DOCTYPE_UNKNOWN, "", "")]


def test_every_code_has_an_order_that_it_alone_refuses() -> None:
    """A code without a case here is a check that could be removed unseen."""
    cases = {code for _, _, code, _ in BAD_ELEMENTS + NOT_ISSUED} | {case[2] for case in BAD_ORDERS}
    own_tests = {Code.MISSING, Code.DATE_FORM, Code.DOCTYPE_ALIAS, Code.DOCTYPE_UNKNOWN}
    assert sorted(set(Code) - cases - own_tests) == []


def test_a_required_namespace_is_missed_and_an_optional_one_is_not() -> None:
    order = licence()
    drop(AAMVA_NAMESPACE)(order)
    assert found(MDL, order) == []
    order[AAMVA_NAMESPACE] = {}
    assert [path for _, _, path in found(MDL, order)] == ["family_name_truncation", "given_name_truncation", "sex"]
    vehicles = vehicle()
    drop(ISO_23220)(vehicles)
    assert {code for code, _, _ in found(VEHICLE, vehicles)} == {Code.MISSING}


def test_length_is_counted_in_characters_not_in_bytes() -> None:
    order = licence()
    order[MDL_NAMESPACE]["family_name"] = "ÿ" * 150
    assert found(MDL, order) == []


@pytest.mark.parametrize("text", ["-", "no\u00a0break", "soft\u00adhyphen", " ~", "ÀÿÖ", "\u00a0\u00ad ~ÿ"])
def test_the_whole_latin_1_repertoire_is_allowed(text: str) -> None:
    order = licence()
    order[MDL_NAMESPACE]["family_name"] = text
    assert found(MDL, order) == []


@given(st.text(max_size=20))
def test_the_latin_1_repertoire_is_20_to_7e_and_a0_to_ff(text: str) -> None:
    allowed = all(0x20 <= ord(character) <= 0x7E or 0xA0 <= ord(character) <= 0xFF for character in text)
    assert (check_element(MDL, MDL_NAMESPACE, "family_name", text) is None) is allowed


@given(st.dates())
def test_every_day_of_the_calendar_is_a_date(day: Any) -> None:
    assert check_element(MDL, MDL_NAMESPACE, "birth_date", FullDate.of(day)) is None


@given(st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True))
def test_what_is_no_day_of_the_calendar_is_no_date(text: str) -> None:
    try:
        is_day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) is not None
    except ValueError:
        is_day = False
    assert check_element(MDL, MDL_NAMESPACE, "birth_date", FullDate(text)) == (None if is_day else Code.DATE)


def test_arrays_may_be_tuples() -> None:
    order = licence()
    order[MDL_NAMESPACE]["driving_privileges"] = tuple(order[MDL_NAMESPACE]["driving_privileges"])
    assert found(MDL, order) == []


@pytest.mark.parametrize(
    "born,day,stated,right",
    [
        ("2006-06-01", "2024-06-01", True, True),
        ("2006-06-02", "2024-06-01", True, False),
        ("2006-06-02", "2024-06-01", False, True),
        ("2006-06-01", "2024-06-01", False, False),
        # Born on 29 February: on the 28th of a common year one law says so, another not yet.
        ("2004-02-29", "2022-02-28", True, True),
        ("2004-02-29", "2022-02-28", False, True),
        ("2004-02-29", "2022-02-27", True, False),
        ("2004-02-29", "2022-03-01", False, False),
        ("2004-02-28", "2022-02-28", False, False),
        ("2004-03-01", "2022-02-28", True, False),
        # 2100 has no 29 February, 2024 has.
        ("2082-02-28", "2100-02-28", True, True),
        ("2008-02-29", "2026-02-28", True, True),
        ("2080-02-29", "2100-02-28", False, False),
    ],
)
def test_an_age_statement_must_hold_on_the_day_of_valid_from(born: str, day: str, stated: bool, right: bool) -> None:
    order = licence()
    for other in ("age_in_years", "age_birth_year", "age_over_21", "age_over_60"):
        del order[MDL_NAMESPACE][other]
    unprivileged(order)
    order[MDL_NAMESPACE] |= {
        "birth_date": FullDate(born),
        "issue_date": FullDate("2099-01-01"),
        "expiry_date": FullDate("2199-01-01"),
        "age_over_18": stated,
    }
    expected = [] if right else [(Code.AGE_OVER, MDL_NAMESPACE, "age_over_18")]
    for time in ("00:00:00", "23:59:59"):
        assert found(MDL, order, datetime.fromisoformat(f"{day}T{time}Z"), UTC) == expected
    assert found(MDL, order, None) == []


# On the eighteenth birthday or about it, in some time zone or none: may age_over_18 be true and age_in_years 18; may it
# be false, and 17?
BIRTHDAY = "2006-06-01"
DENVER, AUCKLAND = ZoneInfo("America/Denver"), ZoneInfo("Pacific/Auckland")


@pytest.mark.parametrize(
    "moment,zone,true,false",
    [
        # West: the evening before, when it is the birthday in UTC already; then the birthday.
        ("2024-06-01T05:59:59Z", DENVER, False, True),
        ("2024-06-01T06:00:00Z", DENVER, True, False),
        # East: the evening before; the morning, when it is the day before in UTC.
        ("2024-05-31T11:59:59Z", AUCKLAND, False, True),
        ("2024-05-31T12:00:00Z", AUCKLAND, True, False),
        # Without a time zone nobody comes of age before it is so everywhere; false is right as long as it may be.
        ("2024-05-31T00:00:00Z", None, False, True),
        ("2024-05-31T20:00:00Z", None, False, True),
        ("2024-06-01T00:00:00Z", None, False, True),
        ("2024-06-01T11:59:59Z", None, False, True),
        ("2024-06-01T12:00:00Z", None, True, True),
        ("2024-06-01T23:59:59Z", None, True, True),
        ("2024-06-02T00:00:00Z", None, True, False),
    ],
)
def test_a_birthday_begins_where_the_authority_is(moment: str, zone: tzinfo | None, true: bool, false: bool) -> None:
    for identifier, values in (("age_over_18", (True, False)), ("age_in_years", (18, 17))):
        for value, right in zip(values, (true, false), strict=True):
            order = licence()
            for other in ("age_in_years", "age_birth_year", "age_over_18", "age_over_21"):
                del order[MDL_NAMESPACE][other]
            order[MDL_NAMESPACE] |= {"birth_date": FullDate(BIRTHDAY), identifier: value}
            unprivileged(order)
            faults = found(MDL, order, datetime.fromisoformat(moment), zone)
            assert (faults == []) is right, identifier


def test_an_age_that_waits_for_a_time_zone_says_so() -> None:
    order = licence()
    order[MDL_NAMESPACE] |= {"birth_date": FullDate("1990-06-02"), "age_in_years": 34}
    at = datetime(2024, 6, 1, 20, tzinfo=UTC)
    (early,) = violations(MDL, order, valid_from=at)
    assert "credentials.time_zone" in early.message
    assert violations(MDL, order, valid_from=at, time_zone=AUCKLAND) == ()
    order[MDL_NAMESPACE]["age_in_years"] = 35
    (wrong,) = violations(MDL, order, valid_from=at)
    assert "time_zone" not in wrong.message


@pytest.mark.parametrize("born,right", [("1873-06-02", True), ("1873-05-31", False)])
def test_nobody_is_older_than_people_are(born: str, right: bool) -> None:
    order = licence()
    order[MDL_NAMESPACE] |= {"birth_date": FullDate(born), "age_birth_year": 1873, "age_over_60": True}
    del order[MDL_NAMESPACE]["age_in_years"]
    assert found(MDL, order) == ([] if right else [(Code.RANGE, MDL_NAMESPACE, "birth_date")])


def test_an_element_with_a_fault_of_its_own_is_not_compared_with_others() -> None:
    order = licence()
    order[AAMVA_NAMESPACE]["sex"] = 0
    order[MDL_NAMESPACE]["issuing_jurisdiction"] = "US-NEVADA"
    assert found(MDL, order) == [
        (Code.SUBDIVISION, MDL_NAMESPACE, "issuing_jurisdiction"),
        (Code.VALUE, AAMVA_NAMESPACE, "sex"),
    ]


def test_nobody_is_born_after_valid_from() -> None:
    order = pid()
    for day, right in ((1, True), (2, True), (3, False)):
        order[PID] |= {"birth_date": FullDate(f"2024-06-0{day}"), "issuance_date": FullDate("2024-06-30")}
        order[PID]["expiry_date"] = FullDate("2024-06-30")
        assert (found(PID, order, datetime(2024, 6, 1, tzinfo=UTC)) == []) is right


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("zone", [None, DENVER, AUCKLAND])
def test_the_calendar_has_a_first_and_a_last_day(moment: str, zone: tzinfo | None) -> None:
    day = civil_day(datetime.fromisoformat(moment), zone)
    assert day.first <= day.certain <= day.last


@pytest.mark.parametrize(
    "changes",
    [
        {AAMVA_NAMESPACE: {"first_name": "ANA", "middle_names": "LUISA"}},
        {AAMVA_NAMESPACE: {"first_name": "Ж"}},  # another script is no contradiction
        {DOMESTIC: {"family_name": "Mueller", "given_name": "ANA LUISA"}},
        {DOMESTIC: {"family_name": "MULLER", "birth_date": "1990-03-31"}},
        {DOMESTIC: {"sex": "F", "expiry_date": TDate("2029-01-31T00:00:00Z")}},
        {MDL_NAMESPACE: {"sex": 0}, AAMVA_NAMESPACE: {"sex": 9}},
        {"org.iso.18013.5.1.US": {"x": 1}},
    ],
)
def test_what_may_be_meant_of_one_person_is_no_contradiction(changes: Order) -> None:
    order = licence()
    for namespace, elements in changes.items():
        order[namespace] = order.get(namespace, {}) | elements
    assert found(MDL, order) == []


@pytest.mark.parametrize(
    "good",
    [
        images.JPEG,
        images.JPEG + bytes(3),
        images.JPEG.replace(images.FRAME, b"\xff" + images.FRAME),
        images.JP2,
        images.CODESTREAM,
        images.SIGNATURE + (1).to_bytes(4) + b"jp2c" + (len(images.CODESTREAM) + 16).to_bytes(8) + images.CODESTREAM,
        images.SIGNATURE + bytes(4) + b"jp2c" + images.CODESTREAM,
        images.JPEG.replace(images.SCAN, b"rubbish" + images.SCAN),
        sample_image(600),
        images.START + bytes(2000) + b"\xff\xd9",
        images.START + bytes(2000) + b"\xff\xd9\0",
        portrait(),
    ],
)
def test_a_whole_image_is_issued(good: bytes) -> None:
    order = licence()
    order[MDL_NAMESPACE]["portrait"] = good
    assert found(MDL, order) == []


@pytest.mark.parametrize(
    "bad",
    [
        *(images.JPEG[:size] for size in (3, 4, 10, 20, 40, len(images.JPEG) - 1)),
        b"\xff\xd8\xff\xd9",
        images.JPEG.replace(images.FRAME, b""),
        images.JPEG.replace(images.SCAN, b""),
        images.JPEG.replace(images.FRAME + images.SCAN, b""),
        images.JPEG.replace(b"\x08\0\x10\0\x10", b"\x08\0\x10\0\0"),
        images.JPEG.replace(images.FRAME, b"rubbish"),
        images.JPEG.replace(images.SCAN, b"rubbish"),
        images.START + b"rubbish\xff\xfe\0\2" + b"\xff\xd9",
        images.START + b"rubbish\xff\0" + b"\xff\xd9",
        images.START[:-1] + b"\1" + images.APP0 + bytes(99) + b"\xff\xd9",
        images.START.replace(b"JFIF", b"JFXX") + bytes(99) + b"\xff\xd9",
        images.START.replace(b"\0\x10", b"\0\x11") + bytes(99) + b"\xff\xd9",
        b"\xff\xd8" + images.segment(0xFE, b"JFIF\0") + bytes(99) + b"\xff\xd9",
        b"\xff\xd8\xff\xe0\xff\xff" + bytes(99) + b"\xff\xd9",
        b"\xff\xd8\xff\xe0\0\1" + bytes(99) + b"\xff\xd9",
        images.JP2[:-2],
        images.JP2[:20],
        images.JP2.replace(b"jp2c", b"free"),
        images.SIGNATURE,
        images.SIGNATURE + images.box(b"jp2c", b"\xff\xd8" + images.CODESTREAM[2:]),
        images.CODESTREAM[:-2],
        images.CODESTREAM[:30],
        images.CODESTREAM.replace((16).to_bytes(4), bytes(4), 1),
    ],
)
def test_an_image_that_is_not_whole_is_not_issued_and_is_read(bad: bytes) -> None:
    order = licence()
    order[MDL_NAMESPACE]["portrait"] = bad
    assert found(MDL, order) == [(Code.IMAGE, MDL_NAMESPACE, "portrait")]
    assert check_element(MDL, MDL_NAMESPACE, "portrait", bad) is None


@given(st.binary(max_size=80))
def test_any_bytes_are_an_image_or_have_a_defect(tail: bytes) -> None:
    for start in (b"\xff\xd8\xff", images.SIGNATURE, images.CODESTREAM[:4]):
        defect = image_defect(start + tail)
        assert defect is None or defect.startswith("must be ")


def test_a_line_may_end_in_an_element_of_ones_own() -> None:
    order = licence()
    order[DOMESTIC]["x"] = {"note": "one\r\n\ttwo"}
    assert found(MDL, order) == []


def test_in_a_leap_year_nobody_disputes_a_birthday() -> None:
    order = licence()
    order[MDL_NAMESPACE] |= {"birth_date": FullDate("1988-02-29"), "age_birth_year": 1988}
    for day, age in ((28, 35), (29, 36)):
        for stated in (35, 36):
            order[MDL_NAMESPACE]["age_in_years"] = stated
            faults = found(MDL, order, datetime(2024, 2, day, tzinfo=UTC), UTC)
            assert (faults == []) is (stated == age)


def test_a_birth_date_of_which_a_part_is_not_known_proves_no_age() -> None:
    order = photo_id()
    order[ISO_23220]["birth_date"] = {"birth_date": FullDate("2010-01-01"), "approximate_mask": "11111111"}
    assert found(PHOTO_ID, order) == []


def test_a_disputed_birthday_leaves_two_ages_and_no_more() -> None:
    order = licence()
    unprivileged(order)
    order[MDL_NAMESPACE] |= {
        "birth_date": FullDate("2080-02-29"),
        "age_birth_year": 2080,
        "issue_date": FullDate("2099-01-01"),
        "expiry_date": FullDate("2109-01-01"),
    }
    for nn in (18, 21, 60):
        order[MDL_NAMESPACE][f"age_over_{nn}"] = nn == 18
    at = datetime(2100, 2, 28, tzinfo=UTC)
    for age, right in ((18, False), (19, True), (20, True), (21, False)):
        order[MDL_NAMESPACE]["age_in_years"] = age
        assert (found(MDL, order, at, UTC) == []) is right


def test_a_naive_valid_from_is_a_programming_mistake() -> None:
    with pytest.raises(ValueError, match="aware"):
        violations(MDL, licence(), valid_from=datetime(2024, 6, 1))  # noqa: DTZ001


def test_a_violation_tells_where_but_never_what() -> None:
    order = licence()
    order[MDL_NAMESPACE]["family_name"] = "SECRET\n"
    order[MDL_NAMESPACE]["driving_privileges"] = [{"vehicle_category_code": "SECRET", "SECRET": 1}]
    order[MDL_NAMESPACE]["birth_date"] = FullDate("SECRET")
    order[DOMESTIC]["x"] = {"SECRET": 1.5}
    every = violations(MDL, order, valid_from=VALID_FROM)
    assert len(every) == 4
    assert "SECRET" not in repr(every) + "".join(map(str, every))
    assert every[0].path == "org.iso.18013.5.1/family_name"
    assert str(every[0]) == f"{every[0].path}: {every[0].message} [element.characters]"
    assert str(violations("x", {})[0]) == "this document type is not known here [doctype.unknown]"
    assert pickle.loads(pickle.dumps(every)) == every


def test_a_false_below_a_true_is_told_beside_what_the_birth_date_says() -> None:
    order = licence()
    order[MDL_NAMESPACE]["age_over_18"] = False
    contradiction = (Code.AGE_CONTRADICTION, MDL_NAMESPACE, "age_over_21")
    assert found(MDL, order, None) == [contradiction]
    assert found(MDL, order) == [contradiction, (Code.AGE_OVER, MDL_NAMESPACE, "age_over_18")]


def test_an_order_is_not_changed() -> None:
    order = licence()
    before = copy.deepcopy(order)
    violations(MDL, order, valid_from=VALID_FROM)
    assert order == before


FREE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.builds(FullDate, st.text())
    | st.builds(TDate, st.text()) | st.builds(Tag, st.integers(0, 2000), st.text()),
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=5) | st.integers() | st.binary(max_size=3), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.parametrize("key", [(1 << 60) - 1, 1 - (1 << 60), 1 << 60, -(1 << 60)])
def test_a_number_as_a_map_key_is_small_enough_to_be_read_again(key: int) -> None:
    order = licence()
    order[DOMESTIC] = {"x": {key: 1}}
    too_large = abs(key) == 1 << 60
    assert [code for code, _, _ in found(MDL, order)] == ([Code.RANGE] if too_large else [])
    if not too_large:
        assert decode(encode({key: 1})) == {key: 1}


@given(FREE)
def test_whatever_is_allowed_in_a_free_element_can_be_encoded_and_read_again(value: Any) -> None:
    order = licence()
    order[DOMESTIC]["x"] = value
    faults = violations(MDL, order)
    if not faults:
        again = decode(encode(value))
        assert encode(again) == encode(value)


@pytest.mark.parametrize("doctype", SAMPLES)
def test_what_may_be_issued_is_plausible_when_read(doctype: str) -> None:
    for namespace, elements in SAMPLES[doctype]().items():
        received = decode(encode(elements))
        assert check_elements(doctype, namespace, received.items()) == ()
        for identifier, value in received.items():
            assert check_element(doctype, namespace, identifier, value) is None


# --- reading ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier,value,code,where", BAD_ELEMENTS, ids=name_case)
def test_type_and_range_are_reported_when_read_and_the_unknown_is_tolerated(
    identifier: str, value: Any, code: Code, where: str
) -> None:
    tolerated = {Code.UNKNOWN, Code.WITHDRAWN}
    loose_forms = ("2024-01-31T00:00:00.5Z", "2024-01-31T00:00:00+00:00", "2024-01-31t00:00:00z")
    loose_date = isinstance(value, TDate) and identifier == "issue_date" and value.text in loose_forms
    loose = code in tolerated or loose_date
    other_form = value in ("1990-03-31", "2024-01-31T00:00:00Z") or identifier == "portrait_capture_date"
    expected = None if loose else Code.DATE_FORM if other_form else code
    assert check_element(MDL, MDL_NAMESPACE, identifier, value) == expected
    assert check_elements(MDL, MDL_NAMESPACE, [(identifier, value)]) == (((identifier, expected),) if expected else ())


@pytest.mark.parametrize("identifier,value,code,where", NOT_ISSUED, ids=name_case)
def test_the_gate_before_signing_is_no_rule_for_readers(identifier: str, value: Any, code: Code, where: str) -> None:
    assert check_element(MDL, MDL_NAMESPACE, identifier, value) is None


@pytest.mark.parametrize(
    "identifier,value,code",
    [
        ("birth_date", "1990-03-31", Code.DATE_FORM),
        ("birth_date", "1990-03-31T00:00:00Z", Code.TYPE),
        ("birth_date", "1990-02-30", Code.TYPE),
        ("birth_date", TDate("1990-03-31T00:00:00Z"), Code.TYPE),
        ("issue_date", "2024-01-31", Code.DATE_FORM),
        ("issue_date", "2024-01-31T00:00:00Z", Code.DATE_FORM),
        ("issue_date", "2024-01-31 or so", Code.TYPE),
        ("driving_privileges", [{"vehicle_category_code": "B", "issue_date": "2024-01-31"}], Code.DATE_FORM),
    ],
)
def test_a_date_without_its_tag_is_known_for_what_it_is_when_read(identifier: str, value: Any, code: Code) -> None:
    assert check_element(MDL, MDL_NAMESPACE, identifier, value) is code
    order = licence()
    order[MDL_NAMESPACE][identifier] = value
    assert {one for one, _, _ in found(MDL, order)} >= {Code.TYPE}


_UNTAGGED = {"vehicle_category_code": "B", "issue_date": "2024-01-31"}
_STRANGE = {"vehicle_category_code": "B", "nickname": "speedy"}
_LATE = {
    "vehicle_category_code": "B",
    "issue_date": FullDate("2024-01-31"),
    "expiry_date": FullDate("2023-01-31"),
}


@pytest.mark.parametrize(
    ("value", "code", "where"),
    [
        ([_STRANGE], Code.MEMBER_UNKNOWN, "[0]"),
        ([_STRANGE, {"vehicle_category_code": 5}], Code.TYPE, "[1].vehicle_category_code"),
        ([_STRANGE, {}], Code.MEMBER_MISSING, "[1].vehicle_category_code"),
        ([_UNTAGGED, {"vehicle_category_code": 5}], Code.TYPE, "[1].vehicle_category_code"),
        ([_STRANGE | {"codes": 1}], Code.TYPE, "[0].codes"),
        ([{"nickname": "speedy", "vehicle_category_code": 5}], Code.TYPE, "[0].vehicle_category_code"),
        ([_LATE, _UNTAGGED], Code.DATES_ORDER, "[0]"),
        ([_UNTAGGED, _LATE], Code.DATES_ORDER, "[1]"),
        ([_LATE | {"nickname": "speedy"}], Code.DATES_ORDER, "[0]"),
        ([_LATE, {"vehicle_category_code": 5}], Code.TYPE, "[1].vehicle_category_code"),
        ([_STRANGE, _UNTAGGED], Code.MEMBER_UNKNOWN, "[0]"),
        ([_UNTAGGED, _STRANGE], Code.DATE_FORM, "[0].issue_date"),
        ([{"vehicle_category_code": 5}, {"vehicle_category_code": 6}], Code.TYPE, "[0].vehicle_category_code"),
        ([_STRANGE | {"codes": [{"code": "1", "x": 1}, {"code": 1}]}], Code.TYPE, "[0].codes[1].code"),
    ],
)
def test_of_what_is_wrong_with_the_parts_of_a_value_the_gravest_is_told(value: Any, code: Code, where: str) -> None:
    """A deviation that every policy tolerates must not hide one that a strict policy refuses."""
    assert check_element(MDL, MDL_NAMESPACE, "driving_privileges", value) is code
    assert faulty_part(MDL, MDL_NAMESPACE, "driving_privileges", value) == where


def test_a_code_is_plain_text_for_the_reader() -> None:
    code = check_element(MDL, MDL_NAMESPACE, "sex", 3)
    assert f"{code}" == "element.value"


@pytest.mark.parametrize(
    "doctype,namespace,identifier,value",
    [
        ("org.example.1", MDL_NAMESPACE, "sex", 3),
        (MDL, "org.example", "sex", 3),
        (MDL, DOMESTIC, "sex", 1.5),
        (MDL, MDL_NAMESPACE, "shoe_size", None),
        (MDL, MDL_NAMESPACE, "webapi_info", [None]),
        (MDL, MDL_NAMESPACE, "expiry_date", TDate("2024-01-31T00:00:00.123+02:00")),
        (MDL, AAMVA_NAMESPACE, "EDL_credential.v2", 1.5),
        (PID, PID, "age_over_18", True),
        ("org.iso.23220.photoID.1", ISO_23220, "family_name_unicode", "Doe"),
        (PHOTO_ID, "org.iso.23220.dtc.1", "dtc_dg16", b""),
    ],
)
def test_a_reader_is_tolerant_of_what_it_need_not_know(
    doctype: str, namespace: str, identifier: str, value: Any
) -> None:
    assert check_element(doctype, namespace, identifier, value) is None
    assert check_elements(doctype, namespace, [(identifier, value)]) == ()


@pytest.mark.parametrize(
    "doctype,namespace,identifier,value,code",
    [
        ("org.iso.23220.photoID.1", ISO_23220, "family_name_unicode", 1, Code.TYPE),
        (PID, PID, "age_over_18", 1, Code.TYPE),
        (PID, PID, "nationality", "Serbia", Code.COUNTRY),
        (PID, PID, "nationality", 7, Code.TYPE),
        (PID, PID, "nationality", "RS", Code.FORMAT),
        (MDL, MDL_NAMESPACE, "portrait_capture_date", FullDate("2024-01-31"), Code.DATE_FORM),
        (MDL, MDL_NAMESPACE, "portrait_capture_date", FullDate("2024-02-30"), Code.DATE),
        (MDL, MDL_NAMESPACE, "portrait_capture_date", TDate("soon"), Code.DATE),
        (MDL, MDL_NAMESPACE, "portrait_capture_date", "2024-01-31", Code.DATE_FORM),
        (MDL, MDL_NAMESPACE, "expiry_date", TDate("soon"), Code.DATE),
        (PHOTO_ID, "org.iso.23220.dtc.1", "dtc_dg16", "", Code.TYPE),
        ("org.iso.7367.1.mVC", "org.iso.7367.1", "vehicle_holder", [], Code.TYPE),
    ],
)
def test_a_reader_knows_older_names_and_other_spellings(
    doctype: str, namespace: str, identifier: str, value: Any, code: Code
) -> None:
    assert check_element(doctype, namespace, identifier, value) == code


IDENTIFIERS = [
    (doctype.doctype, namespace.name, identifier)
    for doctype in DOCTYPES.values()
    for namespace in doctype.namespaces
    for rule in namespace.rules
    for identifier in rule.identifiers[:2]
]


@given(st.sampled_from(IDENTIFIERS), FREE)
def test_checking_an_element_never_raises_whatever_the_value(name: tuple[str, str, str], value: Any) -> None:
    doctype, namespace, identifier = name
    one = check_element(doctype, namespace, identifier, value)
    assert one is None or one in set(Code)
    assert check_elements(doctype, namespace, [(identifier, value)]) == (((identifier, one),) if one else ())
    # What is fine to issue is fine to read.
    if one is not None:
        assert violations(doctype, {namespace: {identifier: value}})


@given(st.binary(max_size=60))
def test_checking_never_raises_on_anything_that_decodes(tail: bytes) -> None:
    for first in (
        b"",
        b"\xc0",
        b"\xd9\x03\xec",
        b"\x81\xa1\x75vehicle_category_code",
        b"\x81\xa2\x65codes\x81\xa1\x64code",
    ):
        try:
            value = decode(first + tail)
        except DecodeError:  # what decodes is another module's business
            continue
        for doctype, namespace, identifier in IDENTIFIERS:
            check_element(doctype, namespace, identifier, value)


def test_the_worked_example_of_the_standard_is_plausible() -> None:
    response = decode_view(external.octets("iso18013-5-annex-d/device-response.hex"))
    (document,) = response["documents"]
    count = 0
    for namespace, items in document["issuerSigned"]["nameSpaces"].items():
        for item in items:
            assert isinstance(item, Tagged24)
            element = decode(item.content)
            identifier, value = element["elementIdentifier"], element["elementValue"]
            assert check_element(document["docType"], namespace, identifier, value) is None
            known = DOCTYPES[MDL].rule(namespace, identifier)
            assert known is not None
            count += 1
    assert count == 6


# --- the table ----------------------------------------------------------------------------------------------


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "standards" / "elements.md").read_text("utf-8")
ROW = re.compile(r"^\| `(.+)` \| (M|O|M\?) \| ([^|]+) \| ([^|]*) \| ([^|]*) \| [CSD] \|$", re.MULTILINE)


def code_texts(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_table_is_the_page_on_elements_row_by_row() -> None:
    expected = {
        (document_type.doctype, namespace.name, rule.identifier)
        for document_type in DOCTYPES.values()
        for namespace in document_type.namespaces
        for rule in namespace.rules
    }
    parts = re.split(r"^Document type `([^`]+)`, mark \w\. (.*)$", PAGE, flags=re.MULTILINE)[1:]
    assert parts[::3] == list(DOCTYPES)
    for doctype, aliases, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        document_type = DOCTYPES[doctype]
        assert document_type.aliases == tuple(code_texts(aliases))
        tables = re.split(r"^Namespace `([^`]+)`:$", text, flags=re.MULTILINE)[1:]
        assert [each.name for each in document_type.namespaces][: len(tables) // 2] == tables[::2]
        for namespace, table in zip(tables[::2], tables[1::2], strict=True):
            names = next(each for each in document_type.namespaces if each.name == namespace)
            for identifier, presence, kind, constraint, older in ROW.findall(table):
                rule, where = next(each for each in names.rules if each.identifier == identifier), (doctype, identifier)
                expected.remove((doctype, namespace, identifier))
                assert rule.presence.value == presence, where
                assert rule.type == kind or (kind == "array" and isinstance(rule.shape, Array)), where
                shape, marks = rule.shape.items if isinstance(rule.shape, Array) else rule.shape, code_texts(constraint)
                if isinstance(shape, Text):
                    assert (shape.max_length == 150) is (not {"L150", "150"}.isdisjoint(marks)), where
                    assert shape.latin1 is ("L150" in marks), where
                    code = shape.form.code if shape.form else None
                    assert (code is Code.COUNTRY) is ("alpha-2" in marks), where
                    assert (code is Code.SUBDIVISION) is ("subdivision" in marks), where
                if isinstance(shape, Text | Uint) and (values := re.search(r"\{(.*)\}", constraint)):
                    assert [str(each) for each in shape.allowed] == values[1].split(", "), where
                if isinstance(shape, Bytes):
                    assert bool(shape.prefixes) is bool({"image", "template"} & set(marks)), where
                assert (len(rule.expands) > 1) is identifier.endswith(("_NN", "_xx")), where
                assert rule.issuable is ("old" not in marks), where
                for alias in code_texts(older):
                    other, _, name = (":" + alias).rpartition(":")
                    older_rule = document_type.rule(other.strip(":") or namespace, name)
                    assert older_rule is not None, alias
                    assert not older_rule.issuable, alias
                    expected.discard((doctype, other.strip(":") or namespace, name))
    assert expected == set(), "rows that the page does not have"


def test_families_and_structures_are_those_of_the_page_on_elements() -> None:
    names = {rule.identifier: rule for rule in DOCTYPES[MDL].namespaces[0].rules}
    assert names["age_over_NN"].expands == tuple(f"age_over_{nn:02d}" for nn in range(100))
    biometric = re.search(r"^The `xx` of `biometric_template_xx`:\n([a-z_, \n]+)\.$", PAGE, re.MULTILINE)
    assert biometric
    assert names["biometric_template_xx"].expands == tuple(
        f"biometric_template_{each}" for each in biometric[1].replace("\n", " ").split(", ")
    )
    aamva = {rule.identifier: rule for rule in DOCTYPES[MDL].namespaces[1].rules}
    vehicles = {rule.identifier: rule for rule in DOCTYPES[VEHICLE].namespaces[0].rules}
    structures = dict(re.findall(r"^- `(\w+)`: (`.*)\.$", PAGE, re.MULTILINE))
    assert structures.keys() >= {"driving_privileges", "domestic_driving_privileges", "mass_info", "seating_info"}
    assert len(structures) == 7
    for name, text in structures.items():
        shape = (names | aamva | vehicles)[name].shape
        item = shape.items if isinstance(shape, Array) else shape
        assert isinstance(item, Map)
        listed = dict(re.findall(r"`(\w+)`( \(required\))?", text))
        assert item.members.keys() == listed.keys(), name
        for key, member in item.members.items():
            assert member.required is bool(listed[key]), key


def test_a_doctype_is_found_by_any_of_its_spellings_and_no_other() -> None:
    assert find_doctype("org.iso.23220.photoID.1") is DOCTYPES[PHOTO_ID]
    assert find_doctype(MDL) is DOCTYPES[MDL]
    assert find_doctype(MDL.lower()) is None


@pytest.mark.parametrize(
    "place,is_open",
    [
        ("US", True),
        ("US-UT", True),
        ("FR-75C", True),
        ("aamva", False),
        ("USA", False),
        ("", False),
        ("US-12345", False),
    ],
)
def test_domestic_namespaces_are_named_by_country_or_subdivision(place: str, is_open: bool) -> None:
    rule = DOCTYPES[MDL].rule(f"{MDL_NAMESPACE}.{place}", "fishing_permit")
    assert (rule is not None) is is_open


# --- ages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored,asked,returned,conclusion",
    [
        ({21: True, 60: False}, 18, 21, Answer.YES),
        ({21: True, 60: False}, 25, None, Answer.UNKNOWN),
        ({21: True, 60: False}, 65, 60, Answer.NO),
        ({18: True, 21: False}, 21, 21, Answer.NO),
        ({18: True, 21: False}, 18, 18, Answer.YES),
        ({18: True, 21: True, 65: True}, 20, 21, Answer.YES),
        ({13: False, 16: False, 18: False}, 17, 16, Answer.NO),
        ({}, 18, None, Answer.UNKNOWN),
        ({0: True, 99: False}, 99, 99, Answer.NO),
    ],
)
def test_the_nearest_statement_settles_an_age(
    stored: dict[int, bool], asked: int, returned: int | None, conclusion: Answer
) -> None:
    assert answer_age_request(stored, asked) == returned
    assert age_over(stored, asked) is conclusion
    shown = {} if returned is None else {returned: stored[returned]}
    assert age_over(shown, asked) is conclusion


def test_statements_that_contradict_each_other_prove_nothing() -> None:
    assert age_over({21: True, 18: False}, 20) is Answer.UNKNOWN
    assert age_over({21: True, 18: False}, 16) is Answer.YES


@given(st.sets(st.integers(0, 99)), st.integers(0, 99), st.integers(0, 120))
def test_honest_statements_never_mislead_a_reader(thresholds: set[int], asked: int, age: int) -> None:
    stored = {nn: age >= nn for nn in thresholds}
    assert age_over(stored, asked) in (Answer.UNKNOWN, Answer.YES if age >= asked else Answer.NO)
    chosen = answer_age_request(stored, asked)
    assert (chosen is None) is (age_over(stored, asked) is Answer.UNKNOWN)


@pytest.mark.parametrize("nn", [-1, 100])
def test_a_threshold_has_two_digits(nn: int) -> None:
    with pytest.raises(ValueError, match="0 to 99"):
        age_over({}, nn)
    with pytest.raises(ValueError, match="0 to 99"):
        answer_age_request({}, nn)


def test_an_answer_is_no_bool() -> None:
    with pytest.raises(TypeError, match="not a bool"):
        bool(age_over({}, 18))


def test_only_booleans_are_statements() -> None:
    elements = {"age_over_18": True, "age_over_21": False, "age_over_25": 1, "age_over_x": True, "sex": 1}
    assert age_statements(elements) == {18: True, 21: False}
    assert age_over({18: 1}, 18) is Answer.UNKNOWN  # type: ignore[dict-item]
    assert answer_age_request({18: 1}, 18) is None  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "identifier,threshold",
    [
        *(("age_over_00", 0), ("age_over_09", 9), ("age_over_18", 18), ("age_over_99", 99)),
        *((name, None) for name in ("age_over_5", "age_over_100", "age_over_1\uff18", "age_over_+1", "age_over_ 1")),
        *((name, None) for name in ("age_over_18 ", "Age_over_18", "age_over_NN", "age_over_", "age_in_years", "")),
    ],
)
def test_a_threshold_is_read_from_exactly_two_ascii_digits(identifier: str, threshold: int | None) -> None:
    assert age_over_threshold(identifier) == threshold


def test_the_faulty_part_of_a_received_value_is_named() -> None:
    code = {"code": "01", "sign": "=", "value": 6}
    value = [{"vehicle_category_code": "A"}, {"vehicle_category_code": "B", "codes": [code]}]
    assert faulty_part(MDL, MDL_NAMESPACE, "driving_privileges", value) == "[1].codes[0].value"
    assert faulty_part(MDL, MDL_NAMESPACE, "driving_privileges", value[:1]) == ""
    assert faulty_part(MDL, MDL_NAMESPACE, "height", 171.5) == ""
    assert faulty_part(MDL, MDL_NAMESPACE, "unknown", 1) == ""
    assert faulty_part("unknown", MDL_NAMESPACE, "height", 1.5) == ""

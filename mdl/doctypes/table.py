"""The document types as data. No logic here: what a row means stands in `rules` and `shapes`.

Spec:
    18013-5 first edition 7.2; 18013-5 second edition (draft) 13.4; mdoc.md §5; elements.md, which also states the rows
    of the AAMVA guidelines, the EUDI PID rulebook, the EU age verification profile, ISO/IEC 23220-4 and the drafts of
    ISO 7367. A test compares this table with elements.md row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import ascii_uppercase
from types import MappingProxyType
from typing import Final

from mdl.doctypes.images import image_defect
from mdl.doctypes.rules import (
    AgesAgree,
    DocumentType,
    ElementRule,
    JurisdictionInCountry,
    Namespace,
    NamespacesAgree,
    NotAfter,
    OwnPlace,
    Presence,
    PrivilegesAfterBirth,
    plain_name,
)
from mdl.doctypes.shapes import (
    ANYTHING,
    Array,
    Bool,
    Bytes,
    Code,
    Date,
    Either,
    Fault,
    Form,
    Map,
    Member,
    Shape,
    Text,
    Uint,
)

__all__ = ["AAMVA_NAMESPACE", "DOCTYPES", "MDL_NAMESPACE"]

MDL_NAMESPACE: Final = "org.iso.18013.5.1"
AAMVA_NAMESPACE: Final = "org.iso.18013.5.1.aamva"
_PID: Final = "eu.europa.ec.eudi.pid.1"
_AGE_VERIFICATION: Final = "eu.europa.ec.av.1"
_ISO_23220: Final = "org.iso.23220.1"
_PHOTO_ID: Final = "org.iso.23220.photoid.1"
_DATA_GROUPS: Final = "org.iso.23220.datagroups.1"
_DTC: Final = "org.iso.23220.dtc.1"
_ISO_7367: Final = "org.iso.7367.1"


# --- shapes -------------------------------------------------------------------------------------------------


_COUNTRIES: Final = frozenset(one + two for one in ascii_uppercase for two in ascii_uppercase)


def _is_subdivision(text: str) -> bool:
    part = text[3:]
    return (
        text[:2] in _COUNTRIES
        and text[2:3] == "-"
        and 1 <= len(part) <= 3
        and part.isascii()
        and part.isalnum()
        and part == part.upper()
    )


def _digits(count: int) -> Form:
    return Form(
        code=Code.FORMAT,
        says=f"{count} digits",
        matches=lambda text: len(text) == count and text.isascii() and text.isdigit(),
    )


def _is_email(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local and domain) and text.isprintable() and " " not in domain


def _is_phone(text: str) -> bool:
    return text[:1] == "+" and text[1:].isascii() and text[1:].isdigit()


def _is_url(text: str) -> bool:
    scheme, _, rest = text.partition("://")
    return bool(scheme and rest) and text.isascii() and text.isprintable() and " " not in text


_TEXT = Text()
_L150 = Text(max_length=150, latin1=True)
_TEXT_150 = Text(max_length=150)
_COUNTRY = Text(
    form=Form(code=Code.COUNTRY, says="an ISO 3166-1 alpha-2 code in upper case", matches=_COUNTRIES.__contains__)
)
_SUBDIVISION = Text(form=Form(code=Code.SUBDIVISION, says="an ISO 3166-2 code", matches=_is_subdivision))
_UINT = Uint()
# Wide enough for every adult on record.
_HEIGHT = Uint(human=(30, 300))
_WEIGHT = Uint(human=(2, 700))
_AGE = Uint(human=(0, 150))
_YES = Uint(allowed=(1,))
_YEAR = Uint(minimum=1000, maximum=9999)
_BOOL = Bool()
_BYTES = Bytes()
_FULL_DATE = Date(full_date=True)
_TDATE = Date(tdate=True)
_ANY_DATE = Date(full_date=True, tdate=True)

# JPEG; the JP2 file signature box; a bare JPEG 2000 codestream.
_JPEG = b"\xff\xd8\xff"
_JPEG_2000 = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
_IMAGE = Bytes(
    prefixes=(_JPEG, *_JPEG_2000),
    fault=Fault(Code.IMAGE, "must be a JPEG or JPEG 2000 image"),
    defect=image_defect,
)
_PID_IMAGE = Bytes(
    prefixes=(_JPEG,),
    fault=Fault(Code.IMAGE, "must be a JPEG image or empty"),
    may_be_empty=True,
    defect=image_defect,
)
_BIOMETRIC = Bytes(
    prefixes=(b"\x7f\x61",),
    fault=Fault(Code.BIOMETRIC, "must be a biometric data block, which begins with tag 7F61"),
)

_SEX = Uint(allowed=(0, 1, 2, 9))
_TRUNCATION = Text(allowed=("T", "N", "U"))
_SUFFIX = Text(
    allowed=(
        *("JR", "SR", "1ST", "I", "2ND", "II", "3RD", "III", "4TH", "IV"),
        *("5TH", "V", "6TH", "VI", "7TH", "VII", "8TH", "VIII", "9TH", "IX"),
    )
)

_DRIVING_PRIVILEGES = Array(
    may_be_empty=True,
    items=Map(
        members={
            "vehicle_category_code": Member(_TEXT, required=True),
            "issue_date": Member(_FULL_DATE),
            "expiry_date": Member(_FULL_DATE),
            "codes": Member(
                Array(
                    items=Map(
                        members={
                            "code": Member(_TEXT, required=True),
                            "sign": Member(_TEXT),
                            "value": Member(_TEXT),
                        }
                    )
                )
            ),
        },
        ordered=("issue_date", "expiry_date"),
    ),
)

_DOMESTIC_DRIVING_PRIVILEGES = Array(
    may_be_empty=True,
    items=Map(
        members={
            "domestic_vehicle_class": Member(
                Map(
                    members={
                        "domestic_vehicle_class_code": Member(_TEXT, required=True),
                        "domestic_vehicle_class_description": Member(_TEXT, required=True),
                        "issue_date": Member(_FULL_DATE),
                        "expiry_date": Member(_FULL_DATE),
                    },
                    ordered=("issue_date", "expiry_date"),
                )
            ),
            "domestic_vehicle_restrictions": Member(
                Array(
                    items=Map(
                        members={
                            "domestic_vehicle_restriction_code": Member(_TEXT),
                            "domestic_vehicle_restriction_description": Member(_TEXT, required=True),
                        }
                    )
                )
            ),
            "domestic_vehicle_endorsements": Member(
                Array(
                    items=Map(
                        members={
                            "domestic_vehicle_endorsement_code": Member(_TEXT),
                            "domestic_vehicle_endorsement_description": Member(_TEXT, required=True),
                        }
                    )
                )
            ),
        }
    ),
)


def _open_map(required: tuple[str, ...], optional: tuple[str, ...], **typed: Shape) -> Map:
    """Make a map most of whose members have no stated type."""
    members = {name: Member(ANYTHING, required=True) for name in required}
    members |= {name: Member(ANYTHING) for name in optional}
    members |= {name: Member(shape) for name, shape in typed.items()}
    return Map(members=members)


_PERSONAL_DATA = Map(
    members={
        **{
            f"{name}_{script}": Member(_TEXT)
            for name in ("organization_name", "family_name", "given_name")
            for script in ("latin1", "unicode")
        },
        "resident_address": Member(_TEXT, required=True),
        "resident_city": Member(_TEXT, required=True),
        "resident_state": Member(_TEXT),
        "resident_postal_code": Member(_TEXT),
        "resident_country": Member(_TEXT, required=True),
    }
)


# --- rows ---------------------------------------------------------------------------------------------------


def _mandatory(*identifiers: str, shape: Shape) -> tuple[ElementRule, ...]:
    return tuple(ElementRule(identifier=each, shape=shape, presence=Presence.MANDATORY) for each in identifiers)


def _disputed(*identifiers: str, shape: Shape) -> tuple[ElementRule, ...]:
    return tuple(ElementRule(identifier=each, shape=shape, presence=Presence.DISPUTED) for each in identifiers)


def _optional(*identifiers: str, shape: Shape, read_also: tuple[Shape, ...] = ()) -> tuple[ElementRule, ...]:
    return tuple(ElementRule(identifier=identifier, shape=shape, read_also=read_also) for identifier in identifiers)


def _read_only(*identifiers: str, shape: Shape) -> tuple[ElementRule, ...]:
    return tuple(ElementRule(identifier=identifier, shape=shape, issuable=False) for identifier in identifiers)


def _age_over(*, issuable: bool = True) -> ElementRule:
    names = tuple(f"age_over_{nn:02d}" for nn in range(100))
    return ElementRule(identifier="age_over_NN", shape=_BOOL, expands=names, issuable=issuable)


_BIOMETRIC_TEMPLATE = ElementRule(
    identifier="biometric_template_xx",
    shape=_BIOMETRIC,
    expands=tuple(
        f"biometric_template_{kind}"
        for kind in (
            *("face", "voice", "finger", "iris", "retina", "hand_geometry", "keystroke", "signature_sign"),
            *("lip_movement", "thermal_face", "thermal_hand", "gait", "body_odor", "dna", "ear"),
            *("finger_geometry", "palm_geometry", "vein_pattern", "foot_print"),
        )
    ),
)

_MDL_RULES = (
    *_mandatory("family_name", "given_name", shape=_L150),
    *_mandatory("birth_date", shape=_FULL_DATE),
    *_mandatory("issue_date", "expiry_date", shape=_ANY_DATE),
    *_mandatory("issuing_country", shape=_COUNTRY),
    *_mandatory("issuing_authority", "document_number", shape=_L150),
    *_mandatory("portrait", shape=_IMAGE),
    *_mandatory("driving_privileges", shape=_DRIVING_PRIVILEGES),
    *_mandatory("un_distinguishing_sign", shape=_TEXT),
    *_optional("administrative_number", shape=_L150),
    *_optional("sex", shape=_SEX),
    *_optional("height", shape=_HEIGHT),
    *_optional("weight", shape=_WEIGHT),
    *_optional(
        "eye_colour",
        shape=Text(
            allowed=(
                *(
                    "black",
                    "blue",
                    "brown",
                    "dichromatic",
                    "grey",
                    "green",
                    "hazel",
                    "maroon",
                    "pink",
                    "unknown",
                ),
            )
        ),
    ),
    *_optional(
        "hair_colour",
        shape=Text(
            allowed=(*("bald", "black", "blond", "brown", "grey", "red", "auburn", "sandy", "white", "unknown"),)
        ),
    ),
    *_optional("birth_place", "resident_address", shape=_L150),
    *_optional("portrait_capture_date", shape=_TDATE, read_also=(_FULL_DATE,)),
    *_optional("age_in_years", shape=_AGE),
    *_optional("age_birth_year", shape=_YEAR),
    _age_over(),
    *_optional("issuing_jurisdiction", shape=_SUBDIVISION),
    *_optional("nationality", "resident_country", shape=_COUNTRY),
    *_optional("resident_street", "resident_city", "resident_state", "resident_postal_code", shape=_L150),
    _BIOMETRIC_TEMPLATE,
    *_optional("family_name_national_character", "given_name_national_character", shape=_TEXT),
    *_optional("signature_usual_mark", shape=_IMAGE),
    # First edition, server retrieval only.
    *_read_only("webapi_info", "oidc_info", shape=ANYTHING),
)

_AAMVA_RULES = (
    *_disputed("domestic_driving_privileges", shape=_DOMESTIC_DRIVING_PRIVILEGES),
    *_mandatory("family_name_truncation", "given_name_truncation", shape=_TRUNCATION),
    *_mandatory("sex", shape=Uint(allowed=(1, 2, 9))),
    *_optional("name_suffix", "aka_suffix", shape=_SUFFIX),
    *_optional("aka_family_name", "aka_family_name.v2", "aka_given_name", "aka_given_name.v2", shape=_TEXT),
    *_optional("organ_donor", "veteran", shape=_YES),
    *_optional("weight_range", shape=Uint(allowed=tuple(range(10)))),
    *_optional("race_ethnicity", shape=Text(allowed=("AI", "AP", "BK", "H", "O", "U", "W"))),
    *_disputed("DHS_compliance", shape=Text(allowed=("F", "N"))),
    *_optional("DHS_compliance_text", shape=_TEXT),
    *_optional("DHS_temporary_lawful_status", shape=_YES),
    *_optional("EDL_credential", shape=Uint(allowed=(1, 2))),
    *_optional("EDL_credential.v2", shape=ANYTHING),
    *_optional("resident_county", shape=Text(form=_digits(3))),
    *_optional("resident_county.v2", shape=_TEXT),
    *_optional("hazmat_endorsement_expiration_date", shape=_FULL_DATE),
    *_optional("CDL_indicator", "CDL_non_domiciled", shape=_YES),
    *_optional("CDL_non_domiciled.v2", shape=ANYTHING),
    *_optional("first_name", "middle_names", shape=_TEXT),
    *_optional("first_name_truncation", "middle_names_truncation", shape=_TRUNCATION),
    *_optional("audit_information", shape=_TEXT),
    *_optional("aamva_version", shape=_UINT),
)

_PID_RULES = (
    *_mandatory("family_name", "given_name", shape=_TEXT_150),
    *_mandatory("birth_date", shape=_FULL_DATE),
    *_mandatory(
        "place_of_birth",
        shape=Map(
            members={"country": Member(_COUNTRY), "region": Member(_TEXT), "locality": Member(_TEXT)},
            may_be_empty=False,
        ),
    ),
    ElementRule(
        identifier="nationality",
        shape=Array(items=_COUNTRY),
        presence=Presence.MANDATORY,
        read_also=(_COUNTRY,),
    ),
    *_mandatory("portrait", shape=_PID_IMAGE),
    *_mandatory("issuing_authority", shape=_TEXT),
    *_mandatory("issuing_country", shape=_COUNTRY),
    *_optional("expiry_date", "issuance_date", shape=_ANY_DATE),
    *_optional("document_number", shape=_TEXT),
    *_optional("issuing_jurisdiction", shape=_SUBDIVISION),
    *_optional("resident_address", "resident_city", "resident_postal_code", "resident_state", shape=_TEXT),
    *_optional("resident_street", shape=_TEXT),
    *_optional("resident_country", shape=_COUNTRY),
    *_optional("personal_administrative_number", "family_name_birth", "given_name_birth", shape=_TEXT),
    *_optional("sex", shape=Uint(allowed=(0, 1, 2, 3, 4, 5, 6, 9))),
    *_optional("email_address", shape=Text(form=Form(code=Code.FORMAT, says="an e-mail address", matches=_is_email))),
    *_optional(
        "mobile_phone_number",
        shape=Text(form=Form(code=Code.FORMAT, says="+ and digits", matches=_is_phone)),
    ),
    *_optional("trust_anchor", shape=Text(form=Form(code=Code.FORMAT, says="a URL", matches=_is_url))),
    *_optional("attestation_legal_category", shape=Text(allowed=("PID",))),
    # Not in the current rulebook, still sent by deployed wallets.
    _age_over(issuable=False),
    *_read_only("age_in_years", "age_birth_year", shape=_UINT),
    *_read_only("birth_place", "birth_country", "birth_state", "birth_city", shape=_TEXT),
    *_read_only("resident_house_number", shape=_TEXT),
)

_AGE_VERIFICATION_RULES = (*_mandatory("age_over_18", shape=_BOOL), _age_over())

_PHOTO_ID_RULES = (
    *_mandatory("family_name", "given_name", shape=_TEXT),
    *_mandatory(
        "birth_date",
        shape=Either(
            shapes=(
                _FULL_DATE,
                Map(
                    members={
                        "birth_date": Member(_FULL_DATE, required=True),
                        "approximate_mask": Member(Text(form=_digits(8))),
                    }
                ),
            )
        ),
    ),
    *_mandatory("portrait", shape=_IMAGE),
    *_mandatory("issue_date", "expiry_date", shape=_ANY_DATE),
    *_mandatory("issuing_authority", shape=_TEXT),
    *_mandatory("issuing_country", shape=_COUNTRY),
    *_mandatory("age_over_18", shape=_BOOL),
    *_optional("family_name_viz", "given_name_viz", shape=_TEXT),
    *_optional("family_name_latin1", "given_name_latin1", shape=_L150),
    *_optional("age_in_years", shape=_AGE),
    *_optional("age_birth_year", shape=_UINT),
    *_optional("portrait_capture_date", shape=_TDATE),
    *_optional("birthplace", "name_at_birth", "resident_address", "resident_city", shape=_TEXT),
    *_optional("resident_city_latin1", shape=_L150),
    *_optional("resident_postal_code", shape=_TEXT),
    *_optional("resident_country", "nationality", shape=_COUNTRY),
    *_optional("document_number", shape=_TEXT),
    *_optional("issuing_subdivision", shape=_SUBDIVISION),
    *_optional("sex", shape=_SEX),
    _age_over(),
    # Older names.
    *_read_only("family_name_unicode", "given_name_unicode", "issuing_authority_unicode", shape=_TEXT),
    *_read_only("resident_address_unicode", "resident_city_unicode", shape=_TEXT),
)

_PHOTO_ID_OWN_RULES = (
    *_optional("person_id", shape=_TEXT),
    *_optional("birth_country", shape=_COUNTRY),
    *_optional("birth_state", "birth_city", "administrative_number", "resident_street", shape=_TEXT),
    *_optional("resident_house_number", "resident_state", shape=_TEXT),
    *_optional("travel_document_type", "travel_document_number", "travel_document_mrz", shape=_TEXT),
)

_GROUPS = tuple(f"dg{number}" for number in range(1, 17))

_VEHICLE_RULES = (
    *_mandatory("registration_number", shape=_TEXT),
    *_mandatory("date_of_registration", shape=_TDATE),
    *_mandatory("vehicle_identification_number", "un_distinguishing_sign", shape=_TEXT),
    *_mandatory("registered_user", shape=Array(items=_PERSONAL_DATA)),
    *_mandatory(
        "basic_vehicle_info",
        shape=_open_map(
            ("make",),
            (
                *("vehicle_category_code", "vehicle_category_nat", "type_approval_number", "commercial_name"),
                *("automation_level", "status_vehicle"),
            ),
            colours=Array(items=Uint(minimum=1, maximum=10)),
        ),
    ),
    *_mandatory(
        "mass_info",
        shape=_open_map(
            ("unit",),
            (
                *("techn_perm_max_laden_mass", "vehicle_max_mass", "whole_vehicle_max_mass"),
                "mass_of_vehicle_in_running_order",
            ),
        ),
    ),
    *_optional("registered_owner", shape=Array(items=_PERSONAL_DATA)),
    *_optional("registration_number_type", "register_number", shape=_TEXT),
    *_optional("issuing_jurisdiction", shape=_SUBDIVISION),
    *_optional("date_of_first_registration", shape=_ANY_DATE),
    *_optional("approval_date_technical_inspection", "expiry_date_technical_inspection", shape=_ANY_DATE),
    *_optional("year_of_manufacturing", shape=_UINT),
    *_optional(
        "trailer_mass_info",
        shape=_open_map(("unit",), ("tech_perm_max_tow_mass_braked_trail", "tech_perm_max_tow_mass_unbr_trailer")),
    ),
    *_optional(
        "engine_info",
        shape=_open_map(
            (),
            (
                *("engine_number", "engine_capacity", "engine_power", "class_off_hybrid_vehicle_code"),
                "energy_sources",
            ),
        ),
    ),
    *_optional("seating_info", shape=_open_map((), ("nr_of_seating_positions", "number_of_standing_places"))),
    # Another structure for the user, seen in the field.
    *_read_only("vehicle_holder", shape=_PERSONAL_DATA),
)

_VEHICLE_23220_RULES = (
    *_mandatory("issue_date", shape=_ANY_DATE),
    *_optional("expiry_date", shape=_ANY_DATE),
    *_mandatory("issuing_authority_latin1", shape=_L150),
    *_optional("issuing_authority_unicode", shape=_TEXT),
    *_mandatory("issuing_country", shape=_COUNTRY),
    *_optional("issuing_jurisdiction", shape=_SUBDIVISION),
)


# --- document types -----------------------------------------------------------------------------------------


def _dates(namespace: str, issued: str = "issue_date") -> tuple[NotAfter, ...]:
    return (
        NotAfter(namespace=namespace, first=issued, second="expiry_date", code=Code.DATES_ORDER),
        NotAfter(namespace=namespace, first="birth_date", second=issued, code=Code.DATES_BIRTH),
    )


def _place_of_domestic(namespace: str) -> str | None:
    """The place in ``org.iso.18013.5.1.<CC>`` or ``org.iso.18013.5.1.<CC-SUB>``, or None for another namespace."""
    prefix, _, place = namespace.rpartition(".")
    return place if prefix == MDL_NAMESPACE and (place in _COUNTRIES or _is_subdivision(place)) else None


def _is_domestic(namespace: str) -> bool:
    return _place_of_domestic(namespace) is not None


def _is_national_pid(namespace: str) -> bool:
    """Tell whether a namespace may hold national additions to a PID. How they are named is our inference."""
    return namespace.startswith("eu.europa.ec.eudi.pid.") and plain_name(namespace) == namespace != _PID


def _place_of_pid(namespace: str) -> str | None:
    """The country in ``eu.europa.ec.eudi.pid.<cc>…``, or None for a namespace that names none."""
    place = namespace.removeprefix("eu.europa.ec.eudi.pid.").partition(".")[0].upper()
    return place if _is_national_pid(namespace) and place in _COUNTRIES else None


_MDL: Final = DocumentType(
    doctype="org.iso.18013.5.1.mDL",
    title="mobile driver's licence",
    namespaces=(
        Namespace(name=MDL_NAMESPACE, rules=_MDL_RULES, required=True, closed=True),
        Namespace(name=AAMVA_NAMESPACE, rules=_AAMVA_RULES),
    ),
    is_open_namespace=_is_domestic,
    cross_rules=(
        *_dates(MDL_NAMESPACE),
        JurisdictionInCountry(namespace=MDL_NAMESPACE),
        AgesAgree(namespace=MDL_NAMESPACE),
        NamespacesAgree(namespace=MDL_NAMESPACE),
        PrivilegesAfterBirth(
            namespace=MDL_NAMESPACE,
            privileges=(
                (MDL_NAMESPACE, "driving_privileges", None),
                (AAMVA_NAMESPACE, "domestic_driving_privileges", "domestic_vehicle_class"),
            ),
        ),
        OwnPlace(namespace=MDL_NAMESPACE, place_of=_place_of_domestic),
    ),
)

_PID_TYPE: Final = DocumentType(
    doctype="eu.europa.ec.eudi.pid.1",
    title="EUDI person identification data",
    namespaces=(Namespace(name=_PID, rules=_PID_RULES, required=True),),
    is_open_namespace=_is_national_pid,
    cross_rules=(
        *_dates(_PID, "issuance_date"),
        JurisdictionInCountry(namespace=_PID),
        AgesAgree(namespace=_PID),
        NamespacesAgree(namespace=_PID),
        OwnPlace(namespace=_PID, place_of=_place_of_pid),
    ),
)

_AGE_VERIFICATION_TYPE: Final = DocumentType(
    doctype="eu.europa.ec.av.1",
    title="EU age verification",
    namespaces=(Namespace(name=_AGE_VERIFICATION, rules=_AGE_VERIFICATION_RULES, required=True),),
    cross_rules=(AgesAgree(namespace=_AGE_VERIFICATION),),
)

_PHOTO_ID_TYPE: Final = DocumentType(
    doctype="org.iso.23220.photoid.1",
    title="photo ID",
    aliases=("org.iso.23220.photoID.1", "org.iso.23220.2.photoid.1"),
    namespaces=(
        Namespace(name=_ISO_23220, rules=_PHOTO_ID_RULES, required=True),
        Namespace(name=_PHOTO_ID, rules=_PHOTO_ID_OWN_RULES),
        Namespace(
            name=_DATA_GROUPS,
            rules=(*_optional("version", shape=_TEXT), *_optional("sod", *_GROUPS, shape=_BYTES)),
        ),
        # The older name of the data groups.
        Namespace(
            name=_DTC,
            rules=(
                *_read_only("dtc_version", shape=_TEXT),
                *_read_only("dtc_sod", *(f"dtc_{group}" for group in _GROUPS), shape=_BYTES),
            ),
        ),
    ),
    cross_rules=(
        *_dates(_ISO_23220),
        AgesAgree(namespace=_ISO_23220),
        NamespacesAgree(namespace=_ISO_23220),
    ),
)

_VEHICLE: Final = DocumentType(
    doctype="org.iso.7367.1.mVRC",
    title="mobile vehicle registration certificate",
    aliases=("org.iso.7367.1.mVC", "org.iso.7367.2.1.mVC", "nl.rdw.mekb.1"),
    namespaces=(
        Namespace(name=_ISO_7367, rules=_VEHICLE_RULES, required=True),
        Namespace(name=_ISO_23220, rules=_VEHICLE_23220_RULES, required=True),
    ),
    cross_rules=(*_dates(_ISO_23220), NamespacesAgree(namespace=_ISO_23220)),
)

DOCTYPES: Final[Mapping[str, DocumentType]] = MappingProxyType(
    {each.doctype: each for each in (_MDL, _PID_TYPE, _AGE_VERIFICATION_TYPE, _PHOTO_ID_TYPE, _VEHICLE)}
)

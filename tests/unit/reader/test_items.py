"""Issuer-signed items and key authorisations of any form: what is none is refused, what is odd is told by its code."""

from typing import Any

from mdl.cbor import encode, wrap24
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import DecodeError
from mdl.testing import Recipe, raw
from reader.report import Policy, Revocation
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier

SMALL = {MDL_NAMESPACE: {"family_name": "Mustermann", "age_over_18": True}}
ITEM: dict[Any, Any] = {"digestID": 0, "random": bytes(16), "elementIdentifier": "family_name", "elementValue": "M"}
ABSENT = object()


def outcome(**fields: Any) -> tuple[tuple[str, ...], set[str]] | str:
    """What the lenient policy fails and what it warns of; or the code of what does not decode."""
    shown = Recipe(**{"namespaces": SMALL} | fields).present()
    trust = TrustStore.from_certificates(shown.anchors, doctypes=ANY_DOCTYPE)
    verifier = Verifier(trust, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    try:
        report = verifier.examine(shown.response, context=context, request=UnsafeNoRequest(), at=shown.at)
    except DecodeError as exc:
        return exc.code
    return report.failed, {code for _, code in report.warnings}


def signed(members: dict[Any, Any]) -> Any:
    """What comes of an item that the issuer has signed with these members."""
    item = {name: value for name, value in (ITEM | members).items() if value is not ABSENT}
    return outcome(items={"family_name": {"digest_id": 0, "encoded": wrap24(encode(item))}})


def test_a_signed_item_with_a_field_of_another_kind_is_no_item() -> None:
    """Whatever a reader in another language would make of it: a tagged or floating zero is no digest id."""
    table: dict[str, list[Any]] = {
        "digestID": [
            *map(raw, (b"\xc2\x41\x00", b"\xc2\x49\x01" + bytes(8), b"\xc3\x41\x00", b"\xd8\x64\x00", b"\xf9\x00\x00")),
            *(raw(b"\xfb" + bytes(8)), True, False, -1, "0", None, [0], ABSENT),
        ],
        "random": ["x" * 32, None, [], 7, raw(b"\xd8\x18\x41\x00"), raw(b"\xd8\x40\x50" + bytes(16)), ABSENT],
        "elementIdentifier": [
            b"family_name",
            None,
            1,
            raw(b"\xd9\x03\xec\x6a2000-01-01"),
            raw(b"\xd8\x20\x61a"),
            ABSENT,
        ],
        "elementValue": [ABSENT],
    }
    for name, values in table.items():
        for value in values:
            failed, _ = signed({name: value})
            assert failed == ("issuer_data.encoding",), (name, value)
    for key in (1, b"x"):
        assert signed({key: 1})[0] == ("issuer_data.encoding",)
    # A name that the standard does not have is left aside, however much it is like one that it has.
    for more in ("extra", "digestId", "elementvalue", "element_identifier"):
        assert signed({more: "other"}) == ((), set())


def test_a_signed_item_that_is_odd_is_told_and_one_that_is_doubled_is_refused() -> None:
    for random, codes in (
        (b"", {"random.short"}),
        (bytes(15), {"random.short"}),
        (bytes(16), set()),
        (bytes(9999), set()),
    ):
        assert signed({"random": random}) == ((), codes)
    assert signed({"elementIdentifier": ""}) == ((), {"structure.empty_name", "elements.unknown"})
    for name in ("x" * 9999, "family_name\x00", "Family_name", "family_name "):
        assert signed({"elementIdentifier": name}) == ((), {"elements.unknown"})
    assert signed({"elementIdentifier": "age_over_18"})[0] == ("issuer_data.unique",)


def authorised(value: Any, elements: dict[str, Any]) -> Any:
    """What comes of elements that the device signs, under these keyAuthorizations."""
    return outcome(
        mutate_mso=lambda mso: mso["deviceKeyInfo"].update({"keyAuthorizations": value}),
        device_elements={MDL_NAMESPACE: elements},
    )


def test_a_device_key_signs_what_it_is_authorised_for_and_nothing_that_is_like_it() -> None:
    space, name = MDL_NAMESPACE, "given_name"
    good: list[tuple[Any, set[str]]] = [
        ({"nameSpaces": [space]}, set[str]()),
        ({"dataElements": {space: [name]}}, set[str]()),
        ({"nameSpaces": [space, space]}, {"mso.key_authorizations"}),
        ({"dataElements": {space: [name, name]}}, {"mso.key_authorizations"}),
        ({"nameSpaces": [space], "dataElements": {space: ["x"]}}, {"mso.key_authorizations"}),
    ]
    for value, codes in good:
        assert authorised(value, {name: "X"}) == ((), codes), value
    other: list[Any] = [
        {},
        {"nameSpaces": []},
        {"namespaces": [space]},
        {"nameSpaces": [""]},
        {"nameSpaces": ["*"]},
        {"nameSpaces": [space.upper()]},
        {"nameSpaces": ["org.iso.18013.5"]},
        {"dataElements": {space: []}},
        {"dataElements": {space: [f"{name} "]}},
        {"dataElements": {f"{space}\x00": [name]}},
        {"dataElements": {"": [name]}},
        {"dataElements": {name: [space]}},
    ]
    for value in other:
        assert authorised(value, {name: "X"})[0] == ("device_data.authorized",), value
    malformed: list[Any] = [
        None,
        True,
        [space],
        space,
        {1: [space]},
        {"nameSpaces": None},
        {"nameSpaces": space},
        {"nameSpaces": [[space]]},
        {"nameSpaces": {space: True}},
        {"nameSpaces": [raw(b"\xd8\x20" + encode(space))]},
        {"nameSpaces": [space], "dataElements": None},
        {"dataElements": {space: name}},
        {"dataElements": {space: {name: 1}}},
        {"dataElements": {space: None}},
    ]
    for value in malformed:
        assert authorised(value, {name: "X"}) == "mdoc.structure", value
    # What the issuer has signed, the device cannot say again, however much it may sign.
    assert authorised({"nameSpaces": [space]}, {"family_name": "X"})[0] == ("issuer_data.unique",)

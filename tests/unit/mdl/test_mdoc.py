"""The mdoc's own structures: views over received bytes, each rule of their shape, and what is authenticated."""

import copy
import datetime as dt
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl import mdoc
from mdl.cbor import DEFAULT_LIMITS, Limits, Reading, Tag, Tagged24, TDate, decode, decode_view, encode, wrap24
from mdl.cose import CoseSign1, decode_key, encode_key
from mdl.errors import DecodeError, MdlError, UnsupportedError
from mdl.keys import EphemeralKey, SoftwareSigner, hkdf_sha256
from mdl.mdoc import (
    DeviceRequest,
    DeviceResponse,
    DeviceSigned,
    DocRequest,
    Document,
    IssuerSigned,
    ItemsRequest,
    KeyAuthorizations,
    MobileSecurityObject,
    SessionTranscript,
    ValidityInfo,
    Version,
    device_authentication_bytes,
    device_mac_key,
    reader_authentication_bytes,
)
from tests import samples, wire
from tests.samples import AT, MDL, NAMESPACE, tagged24
from tests.wire import array, bstr, cmap, tag, tstr

REMOVED = object()


def refusal(act: Callable[..., Any], *arguments: Any, **named: Any) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        act(*arguments, **named)
    return caught.value


def changed(value: Any, where: tuple[Any, ...], to: Any) -> Any:
    """A copy of a decoded structure in which one place holds something else, or nothing."""
    value = copy.deepcopy(value)
    spot = value
    for step in where[:-1]:
        spot = spot[step]
    if to is REMOVED:
        del spot[where[-1]]
    else:
        spot[where[-1]] = to
    return value


def moment(text: str) -> TDate:
    return TDate(text)


# --- versions ---------------------------------------------------------------------------------------------------------


def test_versions_are_compared_as_two_numbers() -> None:
    ordered = ["0.9", "1.0", "1.1", "1.2", "1.9", "1.10", "1.11", "1.100", "2.0", "10.0"]
    assert [str(one) for one in sorted(map(Version.parse, reversed(ordered)))] == ordered
    assert Version.parse("1.10") > Version.parse("1.9")
    assert Version.parse("1.0") == Version(1, 0)


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1.", ".1", ".", "1.0.0", "1,0", "v1.0", "1.0 ", " 1.0", "-1.0", "1.-0", "+1.0", "1.0\n", "1.\u0660",
        "1.\xb2", "1e1.0", "1_0.0", "1" * 15 + ".0", None, 1.0, 1, b"1.0", True, ["1.0"],
    ],
)  # fmt: skip
def test_what_is_no_version(text: Any) -> None:
    error = refusal(Version.parse, text, path="mso.version")
    assert (error.code, error.path) == ("mdoc.version", "mso.version")


@given(st.text("0123456789.\u0660\xb2 -", max_size=18))
def test_a_version_is_two_numbers_with_a_dot(text: str) -> None:
    try:
        version = Version.parse(text)
    except DecodeError:
        return
    major, minor = text.split(".")
    assert (version.major, version.minor) == (int(major), int(minor))


# --- validity ---------------------------------------------------------------------------------------------------------

VALIDITY = {
    "signed": moment("2026-01-31T00:00:00Z"),
    "validFrom": moment("2026-02-01T00:00:00Z"),
    "validUntil": moment("2027-01-31T00:00:00Z"),
    "expectedUpdate": moment("2026-12-31T00:00:00Z"),
}


def test_validity_survives_its_map() -> None:
    info = ValidityInfo.decode(VALIDITY, "validityInfo")
    assert info.strict
    assert info.signed == dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    assert info.valid_from == dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    assert info.valid_until == dt.datetime(2027, 1, 31, tzinfo=dt.UTC)
    assert info.expected_update == dt.datetime(2026, 12, 31, tzinfo=dt.UTC)
    assert info.to_cbor() == VALIDITY
    without = changed(VALIDITY, ("expectedUpdate",), REMOVED)
    assert ValidityInfo.decode(without, "").expected_update is None
    assert ValidityInfo.decode(without, "").to_cbor() == without
    assert ValidityInfo.decode({**VALIDITY, "org.example": 1}, "") == info


@pytest.mark.parametrize("name", list(VALIDITY))
def test_one_date_in_another_form_is_understood_and_told(name: str) -> None:
    for text in ("2026-06-01T00:00:00.5Z", "2026-06-01T00:00:00+02:00", "2026-06-01t00:00:00Z"):
        info = ValidityInfo.decode({**VALIDITY, name: moment(text)}, "")
        assert not info.strict


@pytest.mark.parametrize("name", list(VALIDITY))
@pytest.mark.parametrize(
    "value",
    [
        None,
        "2026-01-31T00:00:00Z",
        1769817600,
        b"",
        Tag(1, 1769817600),
        [],
        moment("2026-02-30T00:00:00Z"),
        moment("soon"),
    ],
    ids=repr,
)
def test_what_is_no_moment_of_validity(name: str, value: Any) -> None:
    error = refusal(ValidityInfo.decode, {**VALIDITY, name: value}, "validityInfo")
    assert error.code in {"mdoc.structure", "cbor.date"}
    assert error.path.startswith("validityInfo")


@pytest.mark.parametrize("name", ["signed", "validFrom", "validUntil"])
def test_a_missing_moment_of_validity(name: str) -> None:
    error = refusal(ValidityInfo.decode, changed(VALIDITY, (name,), REMOVED), "mso.validityInfo")
    assert (error.code, error.path) == ("mdoc.structure", f"mso.validityInfo.{name}")


# --- key authorisations -----------------------------------------------------------------------------------------------


def test_key_authorisations_permit_whole_namespaces_or_single_elements() -> None:
    given_map = {"nameSpaces": ["a", "b"], "dataElements": {"c": ["x", "y"], "d": ["z"]}}
    for value in (given_map, decode(encode(given_map))):
        allowed = KeyAuthorizations.decode(value, "")
        assert allowed.permits("a", "anything")
        assert allowed.permits("b", "")
        assert allowed.permits("c", "x")
        assert allowed.permits("d", "z")
        for namespace, identifier in (("c", "z"), ("c", ""), ("d", "x"), ("e", "x"), ("", ""), ("A", "x"), ("c", "X")):
            assert not allowed.permits(namespace, identifier)
        assert allowed.to_cbor() == given_map
    assert KeyAuthorizations.decode({"nameSpaces": ["a"]}, "").to_cbor() == {"nameSpaces": ["a"]}
    assert KeyAuthorizations.decode({"dataElements": {"a": ["x"]}}, "").to_cbor() == {"dataElements": {"a": ["x"]}}
    assert KeyAuthorizations.decode({"nameSpaces": ["a"], "org.example": 1}, "").permits("a", "x")
    assert not KeyAuthorizations().permits("a", "x")


@pytest.mark.parametrize(
    "value",
    [
        {"nameSpaces": "a"},
        {"nameSpaces": {"a": 1}},
        {"nameSpaces": None},
        {"nameSpaces": [1]},
        {"nameSpaces": [b"a"]},
        {"nameSpaces": [["a"]]},
        {"dataElements": ["a"]},
        {"dataElements": None},
        {"dataElements": {"a": "x"}},
        {"dataElements": {"a": {"x": True}}},
        {"dataElements": {"a": [1]}},
        {"dataElements": {1: ["x"]}},
        {1: 2, "nameSpaces": ["a"]},
        [],
        None,
        "nameSpaces",
    ],
    ids=repr,
)
def test_what_are_no_key_authorisations(value: Any) -> None:
    error = refusal(KeyAuthorizations.decode, value, "mso.deviceKeyInfo.keyAuthorizations")
    assert error.code == "mdoc.structure"
    assert error.path.startswith("mso.deviceKeyInfo.keyAuthorizations")


@pytest.mark.parametrize(
    ("value", "noted"),
    [
        ({}, {mdoc.KEY_AUTHORIZATIONS: ""}),
        ({"org.example": 1}, {mdoc.KEY_AUTHORIZATIONS: ""}),
        ({"nameSpaces": ["a"], "dataElements": {"a": ["x"]}}, {mdoc.KEY_AUTHORIZATIONS: ""}),
        ({"nameSpaces": []}, {mdoc.EMPTY: ".nameSpaces"}),
        ({"dataElements": {}}, {mdoc.EMPTY: ".dataElements"}),
        ({"dataElements": {"a": []}}, {mdoc.EMPTY: ".dataElements"}),
        ({"nameSpaces": [""]}, {mdoc.EMPTY_NAME: ".nameSpaces"}),
        ({"dataElements": {"a": [""]}}, {mdoc.EMPTY_NAME: ".dataElements"}),
        ({"dataElements": {"": ["x"]}}, {mdoc.EMPTY_NAME: ".dataElements"}),
        ({"nameSpaces": ["a"], "dataElements": {"b": ["x"]}}, {}),
    ],
    ids=repr,
)
def test_authorisations_that_break_a_rule_are_read_and_noted(value: Any, noted: dict[str, str]) -> None:
    reading = Reading()
    read = KeyAuthorizations.decode(value, "", reading)
    assert reading.deviations == noted
    assert not read.permits("other", "x")


# --- the security object ----------------------------------------------------------------------------------------------


def mso_map() -> dict[str, Any]:
    outer = decode_view(samples.security_object().encode())
    inner: dict[str, Any] = decode(outer.content)
    return inner


def decode_mso(value: Any, **named: Any) -> MobileSecurityObject:
    return MobileSecurityObject.decode(wrap24(encode(value)), **named)


def test_a_security_object_survives_its_bytes() -> None:
    made = samples.security_object()
    read = MobileSecurityObject.decode(made.encode())
    assert read == made
    assert read.encode() == made.encode()
    assert read.device_public_key == samples.DEVICE.public_key
    assert (read.version, read.digest_algorithm, read.doctype) == ("1.0", "SHA-256", MDL)
    assert read.validity.valid_until == AT + dt.timedelta(days=30)
    assert read.key_authorizations is not None
    assert read.key_authorizations.permits(NAMESPACE, "age_over_18")
    assert read.status == {"status_list": {"idx": 7, "uri": "https://example.org/status/1"}}


def test_what_a_security_object_may_leave_out() -> None:
    bare = mso_map()
    del bare["status"]
    del bare["deviceKeyInfo"]["keyAuthorizations"]
    read = decode_mso(bare)
    assert (read.status, read.key_authorizations) == (None, None)
    assert decode(decode_view(read.encode()).content) == bare


def test_members_that_a_security_object_does_not_name_are_ignored() -> None:
    more = mso_map()
    for where in ((), ("deviceKeyInfo",), ("validityInfo",)):
        spot = more
        for step in where:
            spot = spot[step]
        spot["org.example"] = [1, {"x": None}]
    more["deviceKeyInfo"]["keyInfo"] = {1: 2, -1: 3}
    read, plain = decode_mso(more), decode_mso(mso_map())
    assert read.validity == plain.validity
    assert (read.value_digests, read.device_key, read.key_authorizations) == (
        plain.value_digests,
        plain.device_key,
        plain.key_authorizations,
    )


MSO_FAULTS: list[tuple[tuple[Any, ...], Any, str]] = [
    *(((name,), REMOVED, f"mso.{name}") for name in ("version", "digestAlgorithm", "valueDigests", "deviceKeyInfo")),
    *(((name,), REMOVED, f"mso.{name}") for name in ("docType", "validityInfo")),
    (("version",), 1.0, "mso.version"),
    (("version",), b"1.0", "mso.version"),
    (("digestAlgorithm",), -16, "mso.digestAlgorithm"),
    (("digestAlgorithm",), None, "mso.digestAlgorithm"),
    (("docType",), b"org.iso.18013.5.1.mDL", "mso.docType"),
    (("valueDigests",), [], "mso.valueDigests"),
    (("valueDigests", NAMESPACE), [b"digest"], "mso.valueDigests"),
    (("valueDigests", NAMESPACE), [1], "mso.valueDigests"),
    (("valueDigests", NAMESPACE), 5, "mso.valueDigests"),
    (("valueDigests", NAMESPACE), None, "mso.valueDigests"),
    (("valueDigests", 5), {0: b"digest"}, "mso.valueDigests"),
    (("valueDigests", NAMESPACE, 0), "digest", "mso.valueDigests"),
    (("valueDigests", NAMESPACE, 0), None, "mso.valueDigests"),
    (("valueDigests", NAMESPACE, 0), [b"digest"], "mso.valueDigests"),
    (("valueDigests", NAMESPACE, "0"), b"digest", "mso.valueDigests"),
    (("valueDigests", NAMESPACE, b"0"), b"digest", "mso.valueDigests"),
    (("valueDigests", NAMESPACE, -1), b"digest", "mso.valueDigests"),
    (("deviceKeyInfo",), [], "mso.deviceKeyInfo"),
    (("deviceKeyInfo", "deviceKey"), REMOVED, "mso.deviceKeyInfo.deviceKey"),
    (("deviceKeyInfo", "deviceKey"), b"key", "mso.deviceKeyInfo.deviceKey"),
    (("deviceKeyInfo", 1), 2, "mso.deviceKeyInfo"),
    (("deviceKeyInfo", "keyAuthorizations"), None, "mso.deviceKeyInfo.keyAuthorizations"),
    (("deviceKeyInfo", "keyAuthorizations"), [], "mso.deviceKeyInfo.keyAuthorizations"),
    (("validityInfo",), None, "mso.validityInfo"),
    ((5,), 6, "mso"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "to", "path"), MSO_FAULTS)
def test_what_is_no_security_object(where: tuple[Any, ...], to: Any, path: str) -> None:
    error = refusal(decode_mso, changed(mso_map(), where, to))
    assert (error.code, error.path) == ("mdoc.structure", path)


def test_digest_ids_stay_below_two_to_the_31() -> None:
    """Others are read all the same, and noted: issuers in the field draw them."""
    for digest_id, noted in (((1 << 31) - 1, {}), (1 << 31, {mdoc.DIGEST_ID: "mso.valueDigests"})):
        reading = Reading()
        read = decode_mso(changed(mso_map(), ("valueDigests", NAMESPACE, digest_id), bytes(32)), reading=reading)
        assert max(read.value_digests[NAMESPACE]) == digest_id
        assert reading.deviations == noted


def test_a_digest_id_occurs_once_in_a_namespace() -> None:
    data = samples.security_object().encode()
    digests = decode(decode_view(data).content)["valueDigests"]
    twice = decode_view(data).content.replace(
        b"\x00\x58\x20" + digests[NAMESPACE][0], b"\x01\x58\x20" + digests[NAMESPACE][0], 1
    )
    assert refusal(MobileSecurityObject.decode, wrap24(twice)).code == "cbor.duplicate_key"


@pytest.mark.parametrize(
    ("wrap", "code"),
    [
        (lambda mso: mso, "cbor.tag24"),
        (bstr, "cbor.tag24"),
        (lambda mso: tag(24, mso), "cbor.tag24"),
        (lambda mso: tag(6, bstr(mso)), "cbor.tag24"),
        (lambda mso: array(wire.tag24(mso)), "cbor.tag24"),
        (lambda mso: wire.tag24(wire.tag24(mso)), "mdoc.structure"),
        (lambda mso: wire.tag24(mso) + b"\x00", "cbor.trailing"),
        (lambda mso: wire.tag24(mso + b"\x00"), "cbor.trailing"),
        (lambda mso: wire.tag24(mso[:-1]), "cbor.truncated"),
        (lambda mso: wire.tag24(mso)[:-1], "cbor.truncated"),
        (lambda _mso: wire.tag24(b""), "cbor.truncated"),
        (lambda _mso: wire.tag24(b"\x80"), "mdoc.structure"),
        (lambda _mso: b"", "cbor.truncated"),
    ],
)  # fmt: skip
def test_the_payload_is_one_tag_24_item_with_one_map(wrap: Callable[[bytes], bytes], code: str) -> None:
    error = refusal(MobileSecurityObject.decode, wrap(encode(mso_map())))
    assert (error.code, error.path) == (code, "mso")


def test_the_payload_may_have_odd_heads() -> None:
    content = encode(mso_map())
    for payload in (tag(24, bstr(content), 4), tag(24, bstr(content, 8))):
        assert MobileSecurityObject.decode(payload) == samples.security_object()


def test_limits_hold_inside_the_payload() -> None:
    for limits in (Limits(max_bytes=600), Limits(max_depth=4), Limits(max_entries=4), Limits(max_items=20)):
        assert refusal(decode_mso, mso_map(), limits=limits).code.startswith("cbor.too_")
    decode_mso(mso_map(), limits=Limits(max_depth=5, max_entries=7, max_items=80, max_bytes=1000))


def test_the_device_key_is_loaded_when_asked_for() -> None:
    with_curve = decode_mso(changed(mso_map(), ("deviceKeyInfo", "deviceKey", -1), 8))
    with pytest.raises(UnsupportedError):
        _ = with_curve.device_public_key
    off = decode_mso(changed(mso_map(), ("deviceKeyInfo", "deviceKey", -3), bytes(32)))
    with pytest.raises(DecodeError) as caught:
        _ = off.device_public_key
    assert caught.value.code == "key.malformed"


def test_validity_is_read_when_asked_for() -> None:
    late = decode_mso(changed(mso_map(), ("validityInfo", "validUntil"), "2027"))
    with pytest.raises(DecodeError) as caught:
        _ = late.validity
    assert (caught.value.code, caught.value.path) == ("mdoc.structure", "validityInfo.validUntil")


# --- what the issuer signed -------------------------------------------------------------------------------------------


def test_a_credential_survives_its_bytes() -> None:
    made = samples.issuer_signed()
    read = IssuerSigned.decode(made.encode())
    assert read.encode() == made.encode()
    assert b"".join(read.encoded_parts()) == made.encode()
    assert read.name_spaces == {NAMESPACE: list(made.name_spaces[NAMESPACE])}
    assert list(read.elements()) == [(NAMESPACE, name, value) for name, value in samples.ELEMENTS.items()]
    assert read.security_object() == samples.security_object()
    read.issuer_auth.verify(samples.ISSUER.public_key)
    for number, item in enumerate(read.name_spaces[NAMESPACE]):
        assert hashlib.sha256(item.raw).digest() == read.security_object().value_digests[NAMESPACE][number]


def test_an_item_with_odd_heads_keeps_its_bytes() -> None:
    content = samples.items()[0].content
    odd = tag(24, bstr(content, 4), 2)
    made = IssuerSigned({NAMESPACE: (Tagged24(content, odd),)}, samples.issuer_signed().issuer_auth)
    read = IssuerSigned.decode(made.encode())
    assert read.name_spaces[NAMESPACE][0].raw == odd
    assert read.encode() == made.encode()


def test_a_credential_without_items() -> None:
    made = IssuerSigned({}, samples.issuer_signed().issuer_auth)
    read = IssuerSigned.decode(made.encode())
    assert "nameSpaces" not in decode(made.encode())
    assert read.name_spaces == {}
    assert list(read.elements()) == []
    assert read.encode() == made.encode()


def issuer_signed_value() -> dict[str, Any]:
    value: dict[str, Any] = decode_view(samples.issuer_signed().encode())
    return value


def test_a_credential_may_be_tagged_and_have_members_of_its_own() -> None:
    value = issuer_signed_value()
    value["org.example"] = 5
    value["issuerAuth"] = Tag(18, value["issuerAuth"])
    IssuerSigned.from_value(value, "").issuer_auth.verify(samples.ISSUER.public_key)


@pytest.mark.parametrize(
    ("where", "to", "path"),
    [
        (("issuerAuth",), REMOVED, "issuerSigned.issuerAuth"),
        (("issuerAuth",), None, "issuerSigned.issuerAuth"),
        (("issuerAuth",), {}, "issuerSigned.issuerAuth"),
        (("issuerAuth",), b"", "issuerSigned.issuerAuth"),
        (("issuerAuth",), Tagged24(b"\x80", b"\xd8\x18\x41\x80"), "issuerSigned.issuerAuth"),
        (("nameSpaces",), None, "issuerSigned.nameSpaces"),
        (("nameSpaces",), [], "issuerSigned.nameSpaces"),
        (("nameSpaces", 5), [samples.items()[0]], "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE), {}, "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE), 5, "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE), None, "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE), samples.items()[0], "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE, 1), samples.items()[1].content, "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE, 1), {"digestID": 1}, "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE, 1), None, "issuerSigned.nameSpaces"),
        (("nameSpaces", NAMESPACE, 1), [samples.items()[1]], "issuerSigned.nameSpaces"),
        ((5,), 6, "issuerSigned"),
    ],
)
def test_what_is_no_credential(where: tuple[Any, ...], to: Any, path: str) -> None:
    error = refusal(IssuerSigned.from_value, changed(issuer_signed_value(), where, to), "issuerSigned")
    assert (error.code, error.path) == ("mdoc.structure", path)


def test_a_cose_message_that_is_none_is_named_by_its_path() -> None:
    error = refusal(IssuerSigned.from_value, changed(issuer_signed_value(), ("issuerAuth",), [1, 2]), "issuerSigned")
    assert (error.code, error.path) == ("cose.structure", "issuerSigned.issuerAuth")


def test_a_detached_security_object_is_none() -> None:
    auth = samples.issuer_signed().issuer_auth
    detached = CoseSign1(auth.protected, auth.protected_map, auth.unprotected, None, auth.signature)
    error = refusal(IssuerSigned({}, detached).security_object)
    assert (error.code, error.path) == ("mdoc.structure", "issuerAuth")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"\x80", "mdoc.structure"),
        (cmap(tstr("elementValue"), b"\x00"), "mdoc.structure"),
        (cmap(tstr("elementIdentifier"), b"\x00"), "mdoc.structure"),
        (cmap(b"\x00", b"\x00"), "mdoc.structure"),
        (b"\xa0\x00", "cbor.trailing"),
        (b"", "cbor.truncated"),
    ],
)
def test_items_that_are_none(content: bytes, code: str) -> None:
    signed = IssuerSigned({NAMESPACE: [samples.items()[0], tagged24(content)]}, samples.issuer_signed().issuer_auth)
    assert refusal(lambda: list(signed.elements())).code == code


# --- what the device signed -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mac", [False, True])
def test_what_the_device_signed_survives_its_bytes(mac: bool) -> None:
    made = samples.device_signed(mac=mac)
    for value in (decode_view(made.encode()),):
        read = DeviceSigned.from_value(value, "deviceSigned")
        assert read == made
        assert read.encode() == made.encode()
        assert (read.mac is not None, read.signature is not None) == (mac, not mac)
        assert read.name_spaces == {NAMESPACE: {"age_over_18": True}}


def test_the_bytes_of_the_namespaces_are_kept_as_received() -> None:
    for spaces in (b"\xd8\x18\x41\xa0", b"\xd8\x18\x58\x01\xa0", b"\xd9\x00\x18\x41\xa0", b"\xd8\x18\x42\xb8\x00"):
        value = changed(device_signed_value(), ("nameSpaces",), decode_view(spaces))
        read = DeviceSigned.from_value(value, "")
        assert read.name_spaces_bytes.raw == spaces
        assert read.name_spaces == {}
        assert decode_view(read.encode())["nameSpaces"].raw == spaces


def device_signed_value(*, mac: bool = False) -> dict[str, Any]:
    value: dict[str, Any] = decode_view(samples.device_signed(mac=mac).encode())
    return value


def test_signature_and_mac_together_are_neither() -> None:
    value = device_signed_value()
    value["deviceAuth"]["deviceMac"] = device_signed_value(mac=True)["deviceAuth"]["deviceMac"]
    read = DeviceSigned.from_value(value, "")
    assert (read.signature, read.mac) == (None, None)
    assert decode(read.encode())["deviceAuth"] == {}


def test_neither_signature_nor_mac_is_told() -> None:
    read = DeviceSigned.from_value(changed(device_signed_value(), ("deviceAuth",), {}), "")
    assert (read.signature, read.mac) == (None, None)
    assert DeviceSigned.from_value(decode_view(read.encode()), "") == read


def test_both_are_written_where_somebody_holds_both() -> None:
    signature, mac = samples.device_signed(mac=False), samples.device_signed(mac=True)
    both = DeviceSigned(signature.name_spaces_bytes, signature.name_spaces, signature.signature, mac.mac)
    assert set(decode(both.encode())["deviceAuth"]) == {"deviceSignature", "deviceMac"}


@pytest.mark.parametrize(
    ("where", "to", "code", "path"),
    [
        (("nameSpaces",), REMOVED, "mdoc.structure", "deviceSigned.nameSpaces"),
        (("nameSpaces",), {}, "mdoc.structure", "deviceSigned.nameSpaces"),
        (("nameSpaces",), b"\xa0", "mdoc.structure", "deviceSigned.nameSpaces"),
        (("nameSpaces",), None, "mdoc.structure", "deviceSigned.nameSpaces"),
        (("nameSpaces",), tagged24(b"\x80"), "mdoc.structure", "deviceSigned.nameSpaces"),
        (("nameSpaces",), tagged24(b""), "cbor.truncated", "deviceSigned.nameSpaces"),
        (("nameSpaces",), tagged24(b"\xa0\x00"), "cbor.trailing", "deviceSigned.nameSpaces"),
        (("nameSpaces",), tagged24(encode({"a": []})), "mdoc.structure", "deviceSigned.nameSpaces.a"),
        (("nameSpaces",), tagged24(encode({"a": {1: 2}})), "mdoc.structure", "deviceSigned.nameSpaces.a"),
        (("nameSpaces",), tagged24(encode({1: {"x": 2}})), "mdoc.structure", "deviceSigned.nameSpaces"),
        (("deviceAuth",), REMOVED, "mdoc.structure", "deviceSigned.deviceAuth"),
        (("deviceAuth",), [], "mdoc.structure", "deviceSigned.deviceAuth"),
        (("deviceAuth",), {1: 2}, "mdoc.structure", "deviceSigned.deviceAuth"),
        (("deviceAuth", "deviceSignature"), None, "cose.structure", "deviceSigned.deviceAuth.deviceSignature"),
        (("deviceAuth",), {"deviceMac": None}, "cose.structure", "deviceSigned.deviceAuth.deviceMac"),
        (("deviceAuth",), {"deviceMac": [b"", {}, None]}, "cose.structure", "deviceSigned.deviceAuth.deviceMac"),
    ],
)
def test_what_is_no_device_signed_part(where: tuple[Any, ...], to: Any, code: str, path: str) -> None:
    error = refusal(DeviceSigned.from_value, changed(device_signed_value(), where, to), "deviceSigned")
    assert (error.code, error.path) == (code, path)
    refusal(DeviceSigned.from_value, None, "deviceSigned")


# --- the response -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mac", [False, True])
def test_a_response_survives_its_bytes(mac: bool) -> None:
    made = samples.device_response(mac=mac)
    read = DeviceResponse.decode(made.encode())
    assert read.encode() == made.encode()
    assert (read.version, read.status, read.unsupported) == ("1.0", 0, ())
    assert read.document_errors == ({"org.example.other": 0},)
    assert [one.doctype for one in read.documents] == [MDL, MDL]
    assert read.documents[0].errors == {NAMESPACE: {"given_name": 0}}
    assert read.documents[0].device_signed == samples.device_signed(mac=mac)


def response_value() -> dict[str, Any]:
    value: dict[str, Any] = decode_view(samples.device_response().encode())
    return value


def decode_response(value: Any) -> DeviceResponse:
    return DeviceResponse.decode(encode(value))


def test_a_response_without_documents() -> None:
    for value in ({"version": "1.0", "status": 10}, {"version": "1.0", "status": 0, "documents": []}):
        read = decode_response(value)
        assert read.documents == ()
        assert read.document_errors == ()
    assert DeviceResponse.decode(encode({"version": "1.0", "status": 10})).encode() == encode(
        {"version": "1.0", "status": 10}
    )


def test_a_document_without_device_signed_part_is_told() -> None:
    read = decode_response(changed(response_value(), ("documents", 0, "deviceSigned"), REMOVED))
    assert read.documents[0].device_signed is None
    bare = decode_response(changed(response_value(), ("documents", 0, "errors"), REMOVED)).documents[0]
    assert bare.errors == {}
    assert "errors" not in decode(bare.encode())
    assert "deviceSigned" not in decode(read.documents[0].encode())


@pytest.mark.parametrize(
    "names", [("zkDocuments",), ("encryptedDocuments",), ("zkDocuments", "encryptedDocuments")], ids=" and ".join
)
@pytest.mark.parametrize("content", [[None], [{"documentData": 1}], 5])
def test_members_of_the_second_edition_are_named_and_never_taken(names: tuple[str, ...], content: Any) -> None:
    value = response_value()
    for name in names:
        value[name] = content
    read = decode_response(value)
    assert read.unsupported == names
    assert len(read.documents) == 2
    assert read.encode() == samples.device_response().encode()  # what is not implemented is not written
    without = decode_response({"version": "1.1", "status": 0, names[0]: content})
    assert without.documents == ()


@pytest.mark.parametrize("content", [[], None])
def test_members_of_the_second_edition_that_hold_nothing_are_as_good_as_absent(content: Any) -> None:
    read = decode_response(response_value() | {"zkDocuments": content, "encryptedDocuments": content})
    assert read.unsupported == ()


def test_alternatives_are_read_as_sets_in_their_order_and_what_is_malformed_is_left_out() -> None:
    place, other = ["ns", "a"], ["ns", "b"]
    given = [
        {"requestedElement": place, "alternativeElementSets": [[other, ["ns", "c"]], [["ns2", "d"]]]},
        {
            "requestedElement": place,
            "alternativeElementSets": [[["ns", "e"]], [], "x", [other, 1], [["ns"]], [[1, ""]]],
        },
        {"requestedElement": ["ns", "a", "b"], "alternativeElementSets": [[other]]},
        {"requestedElement": "a", "alternativeElementSets": [[other]]},
        {"requestedElement": ["ns", "f"], "alternativeElementSets": {"a": 1}},
        {"alternativeElementSets": [[other]]},
        "x",
    ]
    request = ItemsRequest("doctype", {"ns": {"a": False}}, {"alternativeDataElements": given})
    assert request.alternatives == {
        ("ns", "a"): [frozenset({("ns", "b"), ("ns", "c")}), frozenset({("ns2", "d")}), frozenset({("ns", "e")})]
    }
    assert ItemsRequest.decode(request.encode()).alternatives == request.alternatives
    assert ItemsRequest("doctype", {"ns": {"a": False}}).alternatives == {}
    assert ItemsRequest("doctype", {"ns": {"a": False}}, {"alternativeDataElements": "x"}).alternatives == {}


def test_members_that_a_response_does_not_name_are_ignored() -> None:
    value = response_value()
    for where in ((), ("documents", 0), ("documents", 0, "issuerSigned"), ("documents", 0, "deviceSigned")):
        spot: Any = value
        for step in where:
            spot = spot[step]
        spot["org.example"] = {"a": [1]}
    assert decode_response(value).encode() == samples.device_response().encode()


@pytest.mark.parametrize(
    ("where", "to", "path"),
    [
        (("version",), REMOVED, "version"),
        (("version",), 1, "version"),
        (("status",), REMOVED, "status"),
        (("status",), -1, "status"),
        (("status",), "0", "status"),
        (("status",), None, "status"),
        (("status",), False, "status"),
        (("status",), 0.0, "status"),
        (("documents",), {}, "documents"),
        (("documents",), None, "documents"),
        (("documentErrors",), {}, "documentErrors"),
        (("documentErrors",), [[]], "documentErrors"),
        (("documentErrors",), [{MDL: "0"}], "documentErrors"),
        (("documentErrors",), [{MDL: True}], "documentErrors"),
        (("documentErrors",), [{1: 0}], "documentErrors"),
        (("documents", 1), None, "documents[1]"),
        (("documents", 1), [], "documents[1]"),
        (("documents", 1, 5), 6, "documents[1]"),
        (("documents", 1, "docType"), REMOVED, "documents[1].docType"),
        (("documents", 1, "docType"), b"mDL", "documents[1].docType"),
        (("documents", 1, "issuerSigned"), REMOVED, "documents[1].issuerSigned"),
        (("documents", 1, "issuerSigned"), [], "documents[1].issuerSigned"),
        (("documents", 1, "issuerSigned", "issuerAuth"), REMOVED, "documents[1].issuerSigned.issuerAuth"),
        (("documents", 1, "deviceSigned"), None, "documents[1].deviceSigned"),
        (("documents", 1, "deviceSigned", "deviceAuth"), REMOVED, "documents[1].deviceSigned.deviceAuth"),
        (("documents", 1, "errors"), [], "documents[1].errors"),
        (("documents", 1, "errors"), None, "documents[1].errors"),
        (("documents", 1, "errors", NAMESPACE), [], f"documents[1].errors.{NAMESPACE}"),
        (("documents", 1, "errors", NAMESPACE, "x"), "0", "documents[1].errors"),
        (("documents", 1, "errors", NAMESPACE, "x"), True, "documents[1].errors"),
        ((5,), 6, ""),
    ],
)
def test_what_is_no_response(where: tuple[Any, ...], to: Any, path: str) -> None:
    error = refusal(decode_response, changed(response_value(), where, to))
    assert (error.code, error.path) == ("mdoc.structure", path)


@pytest.mark.parametrize(
    ("where", "to", "code", "path"),
    [
        (("documentErrors",), [], mdoc.EMPTY, "documentErrors"),
        (("documentErrors",), [{}], mdoc.EMPTY, "documentErrors"),
        (("documentErrors",), [{"": 0}], mdoc.EMPTY_NAME, "documentErrors"),
        (("documents", 1, "docType"), "", mdoc.EMPTY_NAME, "documents[1].docType"),
        (("documents", 1, "issuerSigned", "nameSpaces"), {}, mdoc.EMPTY, "documents[1].issuerSigned.nameSpaces"),
        (
            ("documents", 1, "issuerSigned", "nameSpaces", "org.example"),
            [],
            mdoc.EMPTY,
            "documents[1].issuerSigned.nameSpaces",
        ),
        (
            ("documents", 1, "issuerSigned", "nameSpaces", ""),
            [samples.items()[0]],
            mdoc.EMPTY_NAME,
            "documents[1].issuerSigned.nameSpaces",
        ),
        (
            ("documents", 1, "deviceSigned", "nameSpaces"),
            tagged24(encode({"a": {}})),
            mdoc.EMPTY,
            "documents[1].deviceSigned.nameSpaces",
        ),
        (
            ("documents", 1, "deviceSigned", "nameSpaces"),
            tagged24(encode({"": {"x": 1}})),
            mdoc.EMPTY_NAME,
            "documents[1].deviceSigned.nameSpaces",
        ),
        (
            ("documents", 1, "deviceSigned", "nameSpaces"),
            tagged24(encode({"a": {"": 1}})),
            mdoc.EMPTY_NAME,
            "documents[1].deviceSigned.nameSpaces",
        ),
        (("documents", 1, "errors"), {}, mdoc.EMPTY, "documents[1].errors"),
        (("documents", 1, "errors", NAMESPACE), {}, mdoc.EMPTY, "documents[1].errors"),
        (("documents", 1, "errors", ""), {"x": 0}, mdoc.EMPTY_NAME, "documents[1].errors"),
        (("documents", 1, "errors", NAMESPACE, ""), 0, mdoc.EMPTY_NAME, "documents[1].errors"),
    ],
)
def test_a_response_that_breaks_a_rule_is_read_and_noted(where: tuple[Any, ...], to: Any, code: str, path: str) -> None:
    reading = Reading()
    DeviceResponse.decode(encode(changed(response_value(), where, to)), reading=reading)
    assert reading.deviations == {code: path}


@pytest.mark.parametrize(
    ("where", "to", "code"),
    [
        (("docType",), "", mdoc.EMPTY_NAME),
        (("valueDigests",), {}, mdoc.EMPTY),
        (("valueDigests", NAMESPACE), {}, mdoc.EMPTY),
        (("valueDigests", ""), {0: b"digest"}, mdoc.EMPTY_NAME),
        (("valueDigests", NAMESPACE, (1 << 60) - 1), b"digest", mdoc.DIGEST_ID),
        (("deviceKeyInfo", "keyAuthorizations"), {}, mdoc.KEY_AUTHORIZATIONS),
    ],
)
def test_a_security_object_that_breaks_a_rule_is_read_and_noted(where: tuple[Any, ...], to: Any, code: str) -> None:
    reading = Reading()
    decode_mso(changed(mso_map(), where, to), reading=reading)
    assert list(reading.deviations) == [code]


def test_a_response_has_no_more_documents_than_a_reader_verifies() -> None:
    value = response_value()
    value["documents"] = [value["documents"][0]] * mdoc.MAX_DOCUMENTS
    assert len(decode_response(value).documents) == 128
    value["documents"].append(value["documents"][0])
    error = refusal(decode_response, value)
    assert (error.code, error.path) == ("mdoc.too_many", "documents")


def test_a_response_is_a_map() -> None:
    values: tuple[Any, ...] = ([], None, 0, "version", b"")
    for value in values:
        assert refusal(decode_response, value).code == "mdoc.structure"
    assert refusal(DeviceResponse.decode, b"").code == "cbor.truncated"
    assert refusal(DeviceResponse.decode, samples.device_response().encode() + b"\x00").code == "cbor.trailing"
    wrapped = wrap24(samples.device_response().encode())
    assert refusal(DeviceResponse.decode, wrapped).code == "mdoc.structure"


def test_limits_of_a_response_are_the_callers() -> None:
    data = samples.device_response().encode()
    for limits in (Limits(max_bytes=len(data) - 1), Limits(max_depth=5), Limits(max_entries=4), Limits(max_items=60)):
        assert refusal(DeviceResponse.decode, data, limits=limits).code.startswith("cbor.too_")
    DeviceResponse.decode(data, limits=Limits(max_bytes=len(data)))


# --- the request ------------------------------------------------------------------------------------------------------


def test_a_request_survives_its_bytes() -> None:
    made = samples.device_request()
    read = DeviceRequest.decode(made.encode())
    assert read == made
    assert read.encode() == made.encode()
    assert read.version == "1.1"
    assert read.doc_requests[0].items_request.name_spaces == {NAMESPACE: {"family_name": False, "portrait": True}}
    assert read.doc_requests[0].items_request.request_info == {"org.example": 1}
    assert read.doc_requests[0].reader_auth is not None
    payload = reader_authentication_bytes(samples.transcript(), read.doc_requests[0].items_request_bytes.raw)
    read.doc_requests[0].reader_auth.verify(samples.READER.public_key, detached=payload)
    assert read.doc_requests[1].reader_auth is None
    assert read.device_request_info == tagged24(encode({"useCases": []}))
    assert len(read.reader_auth_all) == 1


def test_a_request_of_the_first_edition_is_bare() -> None:
    made = DeviceRequest((DocRequest.of(ItemsRequest(MDL, {NAMESPACE: {"portrait": False}})),))
    assert decode(made.encode()) == {
        "version": "1.0",
        "docRequests": [
            {"itemsRequest": Tag(24, encode({"docType": MDL, "nameSpaces": {NAMESPACE: {"portrait": False}}}))}
        ],
    }
    assert DeviceRequest.decode(made.encode()) == made


def test_the_bytes_of_an_items_request_are_kept_as_received() -> None:
    content = ItemsRequest(MDL, {NAMESPACE: {"portrait": False}}).encode()
    odd = tag(24, bstr(content, 4), 2)
    data = encode({"version": "1.0", "docRequests": [{"itemsRequest": Tagged24(content, odd)}]})
    read = DeviceRequest.decode(data)
    assert read.doc_requests[0].items_request_bytes.raw == odd
    assert read.encode() == data


def request_value() -> dict[str, Any]:
    value: dict[str, Any] = decode_view(samples.device_request().encode())
    return value


def items_value() -> dict[str, Any]:
    return {"docType": MDL, "nameSpaces": {NAMESPACE: {"portrait": False}}, "requestInfo": {"a": 1}}


def test_members_that_a_request_does_not_name_are_ignored() -> None:
    value = request_value()
    value["org.example"] = value["docRequests"][0]["org.example"] = 5
    items = {**items_value(), "org.example": 5}
    value["docRequests"][0]["itemsRequest"] = tagged24(encode(items))
    read = DeviceRequest.decode(encode(value))
    assert read.doc_requests[0].items_request.name_spaces == {NAMESPACE: {"portrait": False}}


@pytest.mark.parametrize("info", [None, {}, 5, b"\xa0", [1]])
def test_request_information_that_is_not_tag_24_is_not_taken(info: Any) -> None:
    read = DeviceRequest.decode(encode({**request_value(), "deviceRequestInfo": info}))
    assert read.device_request_info is None


@pytest.mark.parametrize(
    ("where", "to", "code", "path"),
    [
        (("version",), REMOVED, "mdoc.structure", "version"),
        (("version",), 1.0, "mdoc.structure", "version"),
        (("docRequests",), REMOVED, "mdoc.structure", "docRequests"),
        (("docRequests",), [], "mdoc.structure", "docRequests"),
        (("docRequests",), {}, "mdoc.structure", "docRequests"),
        (("docRequests", 1), [], "mdoc.structure", "docRequests[1]"),
        (("docRequests", 1, 5), 6, "mdoc.structure", "docRequests[1]"),
        (("docRequests", 1, "itemsRequest"), REMOVED, "mdoc.structure", "docRequests[1].itemsRequest"),
        (("docRequests", 1, "itemsRequest"), items_value(), "mdoc.structure", "docRequests[1].itemsRequest"),
        (("docRequests", 1, "itemsRequest"), b"\xa0", "mdoc.structure", "docRequests[1].itemsRequest"),
        (("docRequests", 1, "itemsRequest"), tagged24(b"\xa0\x00"), "cbor.trailing", "docRequests[1].itemsRequest"),
        (("docRequests", 0, "readerAuth"), None, "cose.structure", "docRequests[0].readerAuth"),
        (("docRequests", 0, "readerAuth"), [1], "cose.structure", "docRequests[0].readerAuth"),
        (("readerAuthAll",), None, "mdoc.structure", "readerAuthAll"),
        (("readerAuthAll",), {}, "mdoc.structure", "readerAuthAll"),
        (("readerAuthAll", 0), None, "cose.structure", "readerAuthAll[0]"),
        ((5,), 6, "mdoc.structure", ""),
    ],
)
def test_what_is_no_request(where: tuple[Any, ...], to: Any, code: str, path: str) -> None:
    error = refusal(DeviceRequest.decode, encode(changed(request_value(), where, to)))
    assert (error.code, error.path) == (code, path)


@pytest.mark.parametrize(
    ("where", "to", "path"),
    [
        (("docType",), REMOVED, "itemsRequest.docType"),
        (("docType",), "", "itemsRequest.docType"),
        (("docType",), 5, "itemsRequest.docType"),
        (("nameSpaces",), REMOVED, "itemsRequest.nameSpaces"),
        (("nameSpaces",), {}, "itemsRequest.nameSpaces"),
        (("nameSpaces",), [], "itemsRequest.nameSpaces"),
        (("nameSpaces", ""), {"x": True}, "itemsRequest.nameSpaces"),
        (("nameSpaces", 5), {"x": True}, "itemsRequest.nameSpaces"),
        (("nameSpaces", NAMESPACE), {}, f"itemsRequest.nameSpaces.{NAMESPACE}"),
        (("nameSpaces", NAMESPACE), ["portrait"], f"itemsRequest.nameSpaces.{NAMESPACE}"),
        (("nameSpaces", NAMESPACE, ""), True, f"itemsRequest.nameSpaces.{NAMESPACE}"),
        (("nameSpaces", NAMESPACE, 5), True, f"itemsRequest.nameSpaces.{NAMESPACE}"),
        (("nameSpaces", NAMESPACE, "x"), 1, f"itemsRequest.nameSpaces.{NAMESPACE}"),
        (("nameSpaces", NAMESPACE, "x"), None, f"itemsRequest.nameSpaces.{NAMESPACE}"),
        (("nameSpaces", NAMESPACE, "x"), "true", f"itemsRequest.nameSpaces.{NAMESPACE}"),
        (("requestInfo",), None, "itemsRequest.requestInfo"),
        (("requestInfo",), [], "itemsRequest.requestInfo"),
        (("requestInfo",), {5: 6}, "itemsRequest.requestInfo"),
        ((5,), 6, "itemsRequest"),
    ],
)
def test_what_is_no_items_request(where: tuple[Any, ...], to: Any, path: str) -> None:
    error = refusal(ItemsRequest.decode, encode(changed(items_value(), where, to)))
    assert (error.code, error.path) == ("mdoc.structure", path)


def test_limits_of_a_request_hold_inside_its_items() -> None:
    spaces = {NAMESPACE: {f"element_{number}": False for number in range(50)}}
    data = DeviceRequest((DocRequest.of(ItemsRequest(MDL, spaces)),)).encode()
    DeviceRequest.decode(data, limits=Limits(max_entries=50))
    error = refusal(DeviceRequest.decode, data, limits=Limits(max_entries=49))
    assert (error.code, error.path) == ("cbor.too_many", "docRequests[0].itemsRequest")
    assert DEFAULT_LIMITS.max_entries > 50


# --- what is authenticated --------------------------------------------------------------------------------------------


def test_a_transcript_is_an_array_of_three() -> None:
    for value in (array(b"\xf6", b"\xf6", b"\xf6"), array(b"\xf6", b"\xf6", array(tstr("x"), bstr(b"y")))):
        assert SessionTranscript(value).encoded == value
    for value in (
        array(b"\xf6", b"\xf6"),
        array(*[b"\xf6"] * 4),
        b"\xf6",
        cmap(*[b"\xf6", b"\xf6"] * 0),
        wire.tag24(array(*[b"\xf6"] * 3)),
    ):
        assert refusal(SessionTranscript, value).code == "mdoc.structure"
    assert refusal(SessionTranscript, array(*[b"\xf6"] * 3) + b"\x00").code == "cbor.trailing"
    assert refusal(SessionTranscript, b"").code == "cbor.truncated"


def test_the_transcript_enters_as_it_was_transmitted() -> None:
    odd = wire.array(b"\xf6", b"\x18\x00", wire.head(0, 5, 8), width=1)
    transcript = SessionTranscript(odd)
    assert transcript.tagged == wire.tag24(odd)
    assert transcript.salt == hashlib.sha256(wire.tag24(odd)).digest()
    spaces = b"\xd8\x18\x58\x01\xa0"
    device = array(tstr("DeviceAuthentication"), odd, tstr(MDL), spaces)
    assert device_authentication_bytes(transcript, MDL, spaces) == wire.tag24(device)
    items = tag(24, bstr(b"\xa0", 2), 2)
    reader = array(tstr("ReaderAuthentication"), odd, items)
    assert reader_authentication_bytes(transcript, items) == wire.tag24(reader)


def test_both_sides_derive_the_same_mac_key() -> None:
    transcript = samples.transcript()
    for curve in ("P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"):
        device, reader = SoftwareSigner.generate(curve), EphemeralKey.generate(curve)
        key = device_mac_key(device, reader.public_key, transcript)
        assert key == device_mac_key(reader, device.public_key, transcript)
        assert len(key) == 32
        other = SessionTranscript(array(b"\xf6", b"\xf6", b"\xf6"))
        assert key != device_mac_key(device, reader.public_key, other)
        assert key != device_mac_key(device, EphemeralKey.generate(curve).public_key, transcript)


def test_a_mac_key_needs_one_curve() -> None:
    reader = EphemeralKey.generate("P-384")
    with pytest.raises(UnsupportedError) as caught:
        device_mac_key(samples.DEVICE, reader.public_key, samples.transcript())
    assert caught.value.code == "key.curves_differ"


QR_ENGAGEMENT = bytes.fromhex(
    "a30063312e30018201d818584ba4010220012158205a88d182bce5f42efa59943f33359d2e8a968ff289d93e5fa444b624343167fe"
    "225820b16e8cf858ddc7690407ba61d4c338237a8cfcf3de6aa672fc60a557aa32fc67"
    "0281830201a300f401f50b5045efef742b2c4837a9a3b0e1d05a6917"
)
E_READER_KEY = EphemeralKey.from_secret("P-256", 0xDE3B4B9E5F72DD9B58406AE3091434DA48A6F9FD010D88FCB0958E2CEBEC947C)
STATIC_DEVICE_KEY = SoftwareSigner.from_secret(
    "P-256", 0x6ED542AD4783F0B18C833FADF2171273A35D969C581691EF704359CC7CF1E8C0
)


def test_the_salt_of_a_session_that_a_qr_code_started() -> None:
    """mdoc.md §3.7, the own vector: Annex D's keys, Handover null."""
    reader_key = encode(encode_key(E_READER_KEY.public_key))
    encoded = b"\x83" + wire.tag24(QR_ENGAGEMENT) + wire.tag24(reader_key) + b"\xf6"
    transcript = SessionTranscript(encoded)
    assert encoded[:5].hex() == "83d8185874"
    assert transcript.salt.hex() == "32f3b0691b8afa0818a726e479cf8bb6d735b99438a751a2ef548ecce65e44c4"
    engagement = decode_view(decode_view(encoded)[0].content)
    device_key = decode_key(decode_view(engagement[1][1].content))
    agreed = E_READER_KEY.agree(device_key)
    for info, expected in (
        (b"SKReader", "88c58d5e15b49b74495e1a927aaefc3faf3996ff7f06e9faf71ee86810368fa7"),
        (b"SKDevice", "a8988ad9afa5088451e4eeb930894f197010a707e0be4cf2efd23a2c80935b96"),
    ):
        assert hkdf_sha256(agreed, salt=transcript.salt, info=info, length=32).hex() == expected
    one = device_mac_key(E_READER_KEY, STATIC_DEVICE_KEY.public_key, transcript)
    assert one == device_mac_key(STATIC_DEVICE_KEY, E_READER_KEY.public_key, transcript)


def test_every_refusal_is_an_mdl_error_with_a_code() -> None:
    errors: list[MdlError] = [refusal(DeviceResponse.decode, b"\xa0"), refusal(DeviceRequest.decode, b"\xa0")]
    assert {error.code for error in errors} == {"mdoc.structure"}


def test_nothing_of_a_document_is_in_a_refusal() -> None:
    value = changed(response_value(), ("documents", 0, "issuerSigned", "nameSpaces", NAMESPACE, 0), "Mustermann")
    assert "Mustermann" not in str(refusal(decode_response, value))
    document = Document(MDL, samples.issuer_signed(), None)
    assert document.errors == {}

"""The VICAL: read leniently and by name, written strictly."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509

from mdl.cbor import Tag, TDate, decode, decode_view, encode
from mdl.cose import decode_sign1
from mdl.errors import DecodeError, ProfileError, SigningError
from mdl.pki import Certificate
from mdl.testing import deterministic_key, distinguished_name
from mdl.vical import (
    CONTRADICTIONS,
    MAX_VICAL_SIZE,
    TOLERATED,
    CertificateInfo,
    MalformedInfo,
    PreparedVical,
    Vical,
    build_vical,
    prepare_vical,
)
from tests.vical_forgery import AT, DATE, DAY, MDL, PHOTO_ID, authority, forge, info, key_usage, members, provider, sign

UTAH = authority().iaca_certificate
ALASKA = authority("Alaska", "US-AK").iaca_certificate


def codes(data: bytes) -> list[str]:
    return [deviation.code for deviation in Vical.decode(data).deviations]


def entry(**changes: Any) -> CertificateInfo:
    """The entry of a list in which it stands alone, with members changed."""
    (found,) = Vical.decode(forge(info(UTAH, **changes))).entries
    assert isinstance(found, CertificateInfo)
    return found


def malformed(**changes: Any) -> MalformedInfo:
    (found,) = Vical.decode(forge(info(UTAH, **changes))).entries
    assert isinstance(found, MalformedInfo)
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


def test_an_honest_list_is_read_whole() -> None:
    data = forge(
        info(UTAH, certificateProfile=["urn:example"], extensions={"a": 1}),
        notAfter=TDate.of(AT + 9 * DAY),
        vicalURL="https://provider.example/vical",
        extensions={"b": [2]},
    )
    vical = Vical.decode(data)
    assert (vical.version, vical.provider, vical.issue_id, vical.date) == ("1.0", "Provider", 7, DATE)
    assert (vical.next_update, vical.not_after, vical.url) == (
        AT + DAY,
        AT + 9 * DAY,
        "https://provider.example/vical",
    )
    assert dict(vical.extensions) == {"b": [2]}
    assert vical.x5chain == provider().chain
    assert (vical.data, vical.unknown, vical.deviations) == (data, (), ())
    assert vical.message.payload is not None
    assert vical.message.payload in data
    (one,) = vical.entries
    assert isinstance(one, CertificateInfo)
    assert one.certificate == UTAH
    assert (one.serial, one.ski, one.doctypes) == (UTAH.serial, UTAH.subject_key_identifier, (MDL,))
    assert (one.profiles, one.issuing_authority) == (("urn:example",), "An authority")
    assert (one.country, one.state, one.jurisdiction) == ("US", "US-UT", "US-UT")
    assert (one.not_before, one.not_after) == (UTAH.not_before, UTAH.not_after)
    assert dict(one.extensions) == {"a": 1}
    assert (one.path, one.contradictions) == ("certificateInfos[0]", ())


def test_what_is_optional_may_be_absent() -> None:
    optional = (
        "issuingAuthority",
        "issuingCountry",
        "stateOrProvinceName",
        "issuer",
        "subject",
        "notBefore",
        "notAfter",
    )
    one = entry(**dict.fromkeys(optional))
    assert (one.issuing_authority, one.country, one.jurisdiction, one.issuer) == (None, None, None, None)
    assert (one.deviations, one.contradictions) == ((), ())


LIST_DEVIATIONS: dict[str, bytes] = {
    "message.tagged": forge(signing={"tagged": True}),
    "x5chain.protected": forge(signing={"protected": {1: -7, 33: list(provider().chain)}, "unprotected": {}}),
    "issue_id.missing": forge(vicalIssueID=None),
    "issue_id.negative": forge(vicalIssueID=-1),
    "next_update.missing": forge(nextUpdate=None),
    "entries.empty": forge(certificateInfos=[]),
    "date.form": forge(date=TDate("2026-05-31T14:00:00+02:00")),
    "member.capital": forge(Extensions={}),
    "member.unknown": forge(somethingNew=1),
}


@pytest.mark.parametrize(("code", "data"), LIST_DEVIATIONS.items(), ids=LIST_DEVIATIONS.keys())
def test_a_deviation_of_the_list_is_tolerated_and_named(code: str, data: bytes) -> None:
    assert codes(data) == [code]
    assert Vical.decode(data).date == DATE


OCTETS = UTAH.serial.to_bytes((UTAH.serial.bit_length() + 7) // 8)
SKI = UTAH.subject_key_identifier or b""

ENTRY_DEVIATIONS: list[tuple[str, dict[str, Any]]] = [
    ("member.capital", {"CertificateProfile": ["urn:example"]}),
    ("member.capital", {"Extensions": {}}),
    ("member.unknown", {"type": "something"}),
    ("date.form", {"notBefore": TDate(f"{UTAH.not_before:%Y-%m-%dT%H:%M:%S}.000Z")}),
    ("serial.padded", {"serialNumber": Tag(2, b"\0" + OCTETS)}),
    ("serial.negative", {"serialNumber": Tag(3, OCTETS)}),
    ("ski.wrapped", {"ski": b"\x04\x14" + SKI}),
    ("text.empty", {"stateOrProvinceName": ""}),
    ("text.empty", {"issuingCountry": ""}),
    ("text.empty", {"issuingAuthority": ""}),
    ("text.empty", {"docType": ["", MDL]}),
    ("text.empty", {"certificateProfile": [""]}),
    ("ski.wrapped", {"ski": b"\x04\x16\x04\x14" + SKI}),
]


@pytest.mark.parametrize(("code", "changes"), ENTRY_DEVIATIONS)
def test_a_deviation_of_an_entry_is_tolerated_and_named(code: str, changes: dict[str, Any]) -> None:
    one = entry(**changes)
    assert [deviation.code for deviation in one.deviations] == [code]
    assert one.deviations[0].path.startswith("certificateInfos[0]")
    assert one.deviations[0].meaning == TOLERATED[code]
    assert one.contradictions == ()
    assert (one.serial, one.ski) == (UTAH.serial, SKI)


def test_a_serial_number_that_became_negative_by_its_high_bit_is_understood() -> None:
    root = Certificate(authority().iaca_recipe.with_changes(serial=0xF0 << 64).build())
    # -1 - n, where n is what is missing to the next power of 256
    number = (1 << 72) - (0xF0 << 64) - 1
    (one,) = Vical.decode(forge(info(root, serialNumber=Tag(3, number.to_bytes(9))))).entries
    assert isinstance(one, CertificateInfo)
    assert [deviation.code for deviation in one.deviations] == ["serial.negative"]
    assert (one.serial, one.contradictions) == (root.serial, ())


def test_a_small_serial_number_may_be_an_integer() -> None:
    root = Certificate(authority().iaca_recipe.with_changes(serial=77).build())
    (one,) = Vical.decode(forge(info(root, serialNumber=77))).entries
    assert isinstance(one, CertificateInfo)
    assert [deviation.code for deviation in one.deviations] == ["serial.integer"]
    assert one.contradictions == ()


def test_a_state_that_is_no_code_is_named() -> None:
    root = authority("Alaska", "AK").iaca_certificate
    assert codes(forge(info(root))) == ["state.form"]


@pytest.mark.parametrize(
    ("certified", "listed", "named"),
    [
        ("AK", {"stateOrProvinceName": "US-AK"}, {"stateOrProvinceName"}),
        ("AK", {"stateOrProvinceName": "US-AK", "issuingCountry": "US-AK"}, {"stateOrProvinceName", "issuingCountry"}),
        ("AK", {"stateOrProvinceName": None, "issuingCountry": "US-AK"}, {"issuingCountry"}),
        ("US-AK", {"stateOrProvinceName": "AK"}, {"stateOrProvinceName"}),
    ],
)
def test_a_state_with_its_country_and_without_is_the_same_one_and_named(
    certified: str, listed: dict[str, Any], named: set[str]
) -> None:
    root = authority("Alaska", certified).iaca_certificate
    (one,) = Vical.decode(forge(info(root, **listed))).entries
    assert isinstance(one, CertificateInfo)
    found = {deviation.path for deviation in one.deviations if deviation.code == "state.short_form"}
    assert found == {f"certificateInfos[0].{name}" for name in named}
    assert (one.contradictions, one.jurisdiction) == ((), certified)


@pytest.mark.parametrize(
    ("certified", "listed"), [("AK", "CA-AK"), ("AK", "US-NV"), ("US-AK", "A"), ("US-AK", "CA-AK"), ("AK", "US-")]
)
def test_a_state_of_another_country_or_another_name_is_a_contradiction(certified: str, listed: str) -> None:
    root = authority("Alaska", certified).iaca_certificate
    (one,) = Vical.decode(forge(info(root, stateOrProvinceName=listed))).entries
    assert isinstance(one, CertificateInfo)
    assert [deviation.code for deviation in one.contradictions] == ["state.mismatch"]


@pytest.mark.parametrize(("hour", "written"), [(13, 1), (18, 6), (23, 11), (0, 12)])
def test_an_hour_on_a_clock_of_twelve_is_tolerated_and_named(hour: int, written: int) -> None:
    start = AT.replace(hour=hour) - 300 * DAY
    root = Certificate(authority().iaca_recipe.with_changes(not_before=start).build())
    (one,) = Vical.decode(forge(info(root, notBefore=TDate.of(start.replace(hour=written))))).entries
    assert isinstance(one, CertificateInfo)
    assert [(deviation.code, deviation.path) for deviation in one.deviations] == [
        ("date.twelve_hours", "certificateInfos[0].notBefore")
    ]
    assert one.contradictions == ()


@pytest.mark.parametrize("off", [dt.timedelta(hours=1), dt.timedelta(hours=12), dt.timedelta(days=1), -dt.timedelta(1)])
def test_any_other_difference_of_dates_is_a_contradiction(off: dt.timedelta) -> None:
    start = AT.replace(hour=9) - 300 * DAY  # in the morning both clocks agree
    root = Certificate(authority().iaca_recipe.with_changes(not_before=start).build())
    (one,) = Vical.decode(forge(info(root, notBefore=TDate.of(start + off)))).entries
    assert isinstance(one, CertificateInfo)
    assert [deviation.code for deviation in one.contradictions] == ["not_before.mismatch"]


OTHER = authority("Other").iaca_certificate
ENTRY_CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "serial.mismatch": {"serialNumber": Tag(2, b"\x01")},
    "ski.mismatch": {"ski": OTHER.subject_key_identifier},
    "issuer.mismatch": {"issuer": OTHER.issuer.der},
    "subject.mismatch": {"subject": OTHER.subject.der},
    "not_before.mismatch": {"notBefore": TDate.of(OTHER.not_before + DAY)},
    "not_after.mismatch": {"notAfter": TDate.of(OTHER.not_after + DAY)},
    "country.mismatch": {"issuingCountry": "us"},
    "state.mismatch": {"stateOrProvinceName": "US-NV"},
}


def test_every_contradiction_has_a_list_that_shows_it() -> None:
    assert ENTRY_CONTRADICTIONS.keys() == CONTRADICTIONS.keys()
    named = {*LIST_DEVIATIONS, *(code for code, _ in ENTRY_DEVIATIONS)}
    assert named | {"serial.integer", "state.form", "state.short_form", "date.twelve_hours"} == TOLERATED.keys()


@pytest.mark.parametrize(("code", "changes"), ENTRY_CONTRADICTIONS.items(), ids=ENTRY_CONTRADICTIONS.keys())
def test_what_an_entry_says_otherwise_than_its_certificate_is_named(code: str, changes: dict[str, Any]) -> None:
    (found,) = entry(**changes).contradictions
    assert found.code == code
    assert found.path.startswith("certificateInfos[0].")
    assert found.meaning == CONTRADICTIONS[code]


def test_a_negative_serial_number_of_another_is_a_contradiction() -> None:
    assert [one.code for one in entry(serialNumber=Tag(3, b"\x05")).contradictions] == ["serial.mismatch"]


def test_a_subdivision_of_another_state_is_a_contradiction() -> None:
    one = entry(issuingCountry="US-NV", stateOrProvinceName=None)
    assert [(found.code, found.path) for found in one.contradictions] == [
        ("state.mismatch", "certificateInfos[0].issuingCountry")
    ]


def test_a_root_without_key_identifier_is_known_by_the_hash_of_its_key() -> None:
    bare = Certificate(authority().iaca_recipe.with_changes(extensions={"ski": None}).build())
    (one,) = Vical.decode(forge(info(bare, ski=SKI))).entries
    assert isinstance(one, CertificateInfo)
    assert one.contradictions == ()


MALFORMED: dict[str, dict[str, Any]] = {
    "certificate": {"certificate": None},
    "serialNumber": {"serialNumber": None},
    "serialNumber, text": {"serialNumber": "1"},
    "serialNumber, other tag": {"serialNumber": Tag(4, b"\x01")},
    "ski": {"ski": None},
    "ski, text": {"ski": "1"},
    "docType": {"docType": None},
    "docType, empty": {"docType": []},
    "docType, empty text": {"docType": [""]},
    "docType, number": {"docType": [1]},
    "docType, text": {"docType": MDL},
    "issuingCountry": {"issuingCountry": 1},
    "stateOrProvinceName": {"stateOrProvinceName": 1},
    "issuingAuthority": {"issuingAuthority": 1},
    "issuer": {"issuer": "CN=x"},
    "subject": {"subject": "CN=x"},
    "notBefore": {"notBefore": "2026-01-01T00:00:00Z"},
    "notAfter, no date": {"notAfter": TDate("yesterday")},
    "extensions": {"extensions": []},
    "extensions, number": {"extensions": {1: 1}},
    "certificateProfile": {"certificateProfile": [1]},
    "certificateProfile, twice": {"certificateProfile": ["a"], "CertificateProfile": ["b"]},
}


@pytest.mark.parametrize(("name", "changes"), MALFORMED.items(), ids=MALFORMED.keys())
def test_an_entry_that_is_none_is_kept_as_such(name: str, changes: dict[str, Any]) -> None:
    found = malformed(**changes)
    assert found.code == "vical.entry"
    assert found.path == f"certificateInfos[0].{name.partition(',')[0]}"


def test_a_certificate_that_is_none_is_named() -> None:
    found = malformed(certificate=b"\x30\x00")
    assert (found.code, found.path) == ("certificate.malformed", "certificateInfos[0].certificate")


BROKEN: dict[str, dict[str, Any]] = {
    "version": {"version": None},
    "vicalProvider": {"vicalProvider": None},
    "date": {"date": None},
    "date, text": {"date": "2026-01-01T00:00:00Z"},
    "vicalIssueID": {"vicalIssueID": "7"},
    "nextUpdate": {"nextUpdate": 1},
    "notAfter": {"notAfter": 1},
    "vicalURL": {"vicalURL": 1},
    "certificateInfos": {"certificateInfos": None},
    "certificateInfos, map": {"certificateInfos": {}},
    "extensions": {"extensions": 1},
}


@pytest.mark.parametrize(("name", "changes"), BROKEN.items(), ids=BROKEN.keys())
def test_a_list_that_is_none_does_not_decode(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(DecodeError) as caught:
        Vical.decode(forge(**changes))
    assert caught.value.code == "vical.structure"
    assert caught.value.path == name.partition(",")[0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode([b"", {}, None, b""]),
        encode([b"", {}, b"\x01", b""]),
        encode([b"", {}, b"\xa1\x01\x02", b""]),
        encode([b"", {}, b"\xff", b""]),
        encode(Tag(17, [b"", {}, encode(members([])), b""])),
        forge() + b"\x00",
    ],
)
def test_what_is_no_list_at_all_does_not_decode(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Vical.decode(data)


def test_a_list_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(DecodeError) as caught:
        Vical.decode(bytes(MAX_VICAL_SIZE + 1))
    assert caught.value.code == "cbor.too_long"


def test_a_flipped_bit_gives_a_list_or_a_decode_error() -> None:
    data = forge(info(UTAH), info(ALASKA))
    for place in range(0, len(data), 7):
        changed = bytearray(data)
        changed[place] ^= 0x41
        try:
            Vical.decode(bytes(changed)).deviations  # noqa: B018 - looked at for its effect
        except DecodeError:
            continue


# --- writing ----------------------------------------------------------------------------------------------------------


def prepare(*entries: CertificateInfo, **changes: Any) -> PreparedVical:
    expectations: dict[str, Any] = {
        "provider": "Provider",
        "date": DATE,
        "issue_id": 7,
        "next_update": AT + DAY,
        "x5chain": (provider().signer, provider().ca),
    }
    return prepare_vical(entries or (CertificateInfo.of(UTAH, doctypes=[MDL]),), **(expectations | changes))


def complete(prepared: PreparedVical) -> bytes:
    return prepared.complete(provider().signer_key.sign(prepared.to_be_signed))


def test_what_is_written_is_what_another_hand_writes() -> None:
    ours = complete(prepare(CertificateInfo.of(UTAH, doctypes=[MDL], issuing_authority="An authority")))
    assert ours == forge()


def test_what_is_written_reads_back_without_deviation() -> None:
    written = (
        CertificateInfo.of(UTAH, doctypes=[MDL, PHOTO_ID], profiles=["urn:example"]),
        CertificateInfo.of(ALASKA, doctypes=[MDL], issuing_authority="Alaska"),
    )
    vical = Vical.decode(complete(prepare(*written, not_after=AT + 9 * DAY, url="https://provider.example/v")))
    assert vical.deviations == ()
    assert (vical.not_after, vical.url) == (AT + 9 * DAY, "https://provider.example/v")
    for ours, theirs in zip(written, vical.entries, strict=True):
        assert isinstance(theirs, CertificateInfo)
        assert theirs.to_cbor() == ours.to_cbor()
        assert theirs.contradictions == ()


def test_a_list_can_be_built_in_one_call() -> None:
    data = build_vical(
        [CertificateInfo.of(UTAH, doctypes=[MDL])],
        provider().signer_key,
        provider="Provider",
        date=DATE,
        issue_id=7,
        next_update=AT + DAY,
        x5chain=[Certificate(provider().direct_recipe.build())],
    )
    message = decode_sign1(decode_view(data))
    assert message.protected == bytes.fromhex("a10126")
    assert type(message.unprotected[33]) is bytes  # one certificate stands alone
    assert decode(message.payload or b"")["version"] == "1.0"


def test_a_signature_of_another_key_gives_no_list() -> None:
    prepared = prepare()
    with pytest.raises(SigningError) as caught:
        prepared.complete(deterministic_key("Thief").sign(prepared.to_be_signed))
    assert caught.value.code == "signing.wrong_signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"extensions": {"bc": None}},
        {"extensions": {"ian": None}},
        {"signer": deterministic_key("Thief")},
        {"subject": distinguished_name(CN="No country"), "issuer": distinguished_name(CN="No country")},
    ],
)
def test_a_root_that_breaks_its_profile_gets_no_entry(changes: dict[str, Any]) -> None:
    with pytest.raises(ProfileError) as caught:
        CertificateInfo.of(Certificate(authority().iaca_recipe.with_changes(**changes).build()), doctypes=[MDL])
    assert caught.value.code == "vical.root"
    assert caught.value.findings


def test_a_document_signer_gets_no_entry() -> None:
    with pytest.raises(ProfileError):
        CertificateInfo.of(authority().ds_certificate, doctypes=[MDL])


@pytest.mark.parametrize("doctypes", [[], [""]])
def test_an_entry_is_for_some_document_type(doctypes: list[str]) -> None:
    with pytest.raises(ValueError, match="document type"):
        CertificateInfo.of(UTAH, doctypes=doctypes)


def test_one_text_is_not_several_document_types() -> None:
    with pytest.raises(TypeError):
        CertificateInfo.of(UTAH, doctypes=MDL)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"extensions": {"ku": (key_usage("digital_signature"), True)}}, "vical.ku.bits"),
        ({"extensions": {"eku": None}}, "vical.eku.missing"),
        ({"not_after": DATE - DAY}, "vical.validity.past"),
        ({"not_before": AT}, "vical.validity.future"),
    ],
    ids=["key-usage", "purpose", "expired", "not-yet-valid"],
)
def test_a_signer_that_breaks_its_profile_signs_no_list(changes: dict[str, Any], rule: str) -> None:
    signer = Certificate(provider().signer_recipe.with_changes(**changes).build())
    with pytest.raises(ProfileError) as caught:
        prepare(x5chain=(signer, provider().ca))
    assert caught.value.code == "vical.signer"
    assert rule in {one.rule for one in caught.value.findings}


def test_a_signer_whom_nobody_has_certified_signs_no_list() -> None:
    signer = Certificate(provider().signer_recipe.with_changes(signer=deterministic_key("Thief")).build())
    with pytest.raises(ValueError, match="not issued by the one that follows"):
        prepare(x5chain=(signer, provider().ca))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"provider": ""}, "times are in order"),
        ({"issue_id": -1}, "times are in order"),
        ({"next_update": DATE}, "times are in order"),
        ({"next_update": DATE + dt.timedelta(milliseconds=500)}, "times are in order"),
        ({"not_after": AT}, "times are in order"),
        ({"date": DATE.replace(tzinfo=None)}, "aware"),
        ({"next_update": AT.replace(tzinfo=None)}, "aware"),
        ({"not_after": AT.replace(tzinfo=None)}, "aware"),
        ({"x5chain": ()}, "carries the certificate of its signer"),
        ({"x5chain": (provider().signer, provider().ca, provider().root)}, "does not travel"),
        ({"x5chain": (provider().signer, UTAH)}, "does not travel"),
        ({"x5chain": (provider().ca, provider().signer)}, "not issued by the one that follows"),
    ],
)
def test_a_list_that_would_mislead_is_not_prepared(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        prepare(**changes)


def test_what_is_no_root_or_has_expired_gets_no_place_however_its_entry_was_made() -> None:
    recipe = authority().iaca_recipe
    expired = Certificate(recipe.with_changes(not_after=DATE - DAY).build())
    for certificate in (authority().ds_certificate, expired):
        entry = replace(CertificateInfo.of(authority().iaca_certificate, doctypes=[MDL]), certificate=certificate)
        entry = replace(
            entry,
            serial=certificate.serial,
            ski=certificate.subject_key_identifier or b"",
            issuer=certificate.issuer.der,
            subject=certificate.subject.der,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        with pytest.raises(ProfileError) as caught:
            prepare_vical(
                [entry],
                provider="P",
                date=DATE,
                issue_id=1,
                next_update=AT + DAY,
                x5chain=(provider().signer, provider().ca),
            )
        assert caught.value.code == "vical.root"


def test_an_empty_list_is_not_prepared() -> None:
    with pytest.raises(ValueError, match="without a root"):
        prepare_vical(
            [], provider="P", date=DATE, issue_id=1, next_update=AT, x5chain=(provider().signer, provider().ca)
        )


def test_a_root_stands_in_a_list_once() -> None:
    one = CertificateInfo.of(UTAH, doctypes=[MDL])
    with pytest.raises(ValueError, match="twice"):
        prepare(one, CertificateInfo.of(UTAH, doctypes=[PHOTO_ID]))


@pytest.mark.parametrize(
    "changes", [{"ski": bytes(20)}, {"ski": b"\x04\x14" + SKI}, {"newMember": 1}], ids=["contradiction", "form", "new"]
)
def test_an_entry_is_not_written_as_it_was_found_where_that_was_wrong(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="entry 0"):
        prepare(entry(**changes))


def test_the_payload_is_signed_as_it_is_sent() -> None:
    data = complete(prepare())
    payload = decode_sign1(decode_view(data)).payload
    assert payload is not None
    assert sign(payload) == data


def test_an_extension_of_the_certificate_that_nobody_knows_is_no_matter_of_the_list() -> None:
    odd = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), False)
    root = Certificate(authority().iaca_recipe.with_changes(extensions={"odd": odd}).build())
    assert CertificateInfo.of(root, doctypes=[MDL]).contradictions == ()

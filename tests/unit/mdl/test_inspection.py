"""``mdl inspect``: it says what a file is, shows what is in it, verifies nothing, and gives away no secret."""

import base64
import contextlib
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import Tag, TDate, decode_view, encode, wrap24
from mdl.cli import anatomy, inspection, main
from mdl.cli.anatomy import KINDS, Anatomy, recognise
from mdl.cli.certificates import likely_profile
from mdl.cli.inspection import inspect
from mdl.cli.web import ndef_nodes
from mdl.cose import CoseSign1, encode_key, protected_header
from mdl.errors import DecodeError, MdlError
from mdl.keys import EphemeralKey, SoftwareSigner
from mdl.mdoc import (
    DeviceResponse,
    DocRequest,
    IssuerSigned,
    ItemsRequest,
    device_authentication_bytes,
    reader_authentication_bytes,
)
from mdl.pki import PROFILES, Certificate, Crl, Subject, build_csr
from mdl.pki.certificate import to_pem
from mdl.testing import (
    MDL_DOCTYPE,
    DeviceAuth,
    Recipe,
    deterministic_ephemeral_key,
    deterministic_key,
    present,
    request_for,
    throwaway_authority,
)
from tests import external
from tests.vical_forgery import forge, info

AUTHORITY = throwaway_authority()
HONEST = present(disclose={"family_name", "birth_date", "portrait"})
DEVICE_KEY = deterministic_key("device")
RESPONSE = DeviceResponse.decode(HONEST.response)
DOCUMENT = RESPONSE.documents[0]
ISSUER_AUTH = DOCUMENT.issuer_signed.issuer_auth
REQUEST = request_for((MDL_DOCTYPE, {"org.iso.18013.5.1": ["family_name", "portrait"]}))
ITEMS_REQUEST = REQUEST.doc_requests[0].items_request_bytes
E_KEY = wrap24(encode(encode_key(deterministic_ephemeral_key("engagement").public_key)))
DEVICE_SIGNED = DOCUMENT.device_signed
assert DEVICE_SIGNED is not None
MACED = DeviceResponse.decode(present(disclose={"family_name"}, device_auth=DeviceAuth.MAC).response)
MAC = MACED.documents[0].device_signed and MACED.documents[0].device_signed.mac
assert MAC is not None

ENGAGEMENT = b"\xa4\x00\x631.0\x01\x82\x01" + E_KEY + encode(2) + encode(
    [[2, 1, {0: False, 1: True, 11: bytes(16)}], [1, 1, {0: 255, 1: 256}], [9, 1, {}]]
) + encode(6) + encode({3: True})  # fmt: skip
READER_AUTH = CoseSign1(protected_header(-7), {1: -7}, {33: AUTHORITY.ds_certificate.der}, None, bytes(64))
VICAL_PAYLOAD = {
    "version": "1.0",
    "vicalProvider": "Throwaway",
    "date": TDate("2026-06-01T00:00:00Z"),
    "certificateInfos": [
        {
            "certificate": AUTHORITY.iaca_certificate.der,
            "serialNumber": Tag(2, b"\x01"),
            "ski": AUTHORITY.iaca_certificate.subject_key_identifier,
            "docType": ["org.iso.18013.5.1.mDL"],
            "issuingAuthority": "An authority",
        },
        "no entry",
    ],
}
VICAL = CoseSign1(protected_header(-7), {1: -7}, {33: [AUTHORITY.ds_certificate.der]}, encode(VICAL_PAYLOAD), bytes(64))
TOKEN = CoseSign1(
    encode({1: -7, 16: "application/statuslist+cwt"}), {}, {}, encode({2: "u", 6: 1, 65533: {}}), bytes(64)
)


def member(data: bytes, name: str) -> bytes:
    """The encoded value of one member of an encoded map with text keys."""
    key = encode(name)
    return data[data.index(key) + len(key) :]


SAMPLES: dict[str, bytes] = {
    "device-response": HONEST.response,
    "device-request": REQUEST.encode(),
    "document": DOCUMENT.encode(),
    "issuer-signed": DOCUMENT.issuer_signed.encode(),
    "issuer-signed-item": DOCUMENT.issuer_signed.name_spaces["org.iso.18013.5.1"][0].raw,
    "device-signed": DEVICE_SIGNED.encode(),
    "device-auth": member(DEVICE_SIGNED.encode(), "deviceAuth"),
    "items-request": ITEMS_REQUEST.raw,
    "mso": ISSUER_AUTH.payload or b"",
    "issuer-auth": ISSUER_AUTH.encode(),
    "reader-auth": READER_AUTH.encode(),
    "session-establishment": b"\xa2" + encode("eReaderKey") + E_KEY + encode("data") + encode(bytes(99)),
    "session-data": encode({"data": bytes(99), "status": 20}),
    "device-engagement": ENGAGEMENT,
    "session-transcript": HONEST.transcript.encoded,
    "device-authentication": device_authentication_bytes(
        HONEST.transcript, "org.iso.18013.5.1.mDL", b"\xd8\x18\x41\xa0"
    ),
    "reader-authentication": reader_authentication_bytes(
        HONEST.transcript, REQUEST.doc_requests[0].items_request_bytes.raw
    ),
    "vical": VICAL.encode(),
    "vical-payload": encode(VICAL_PAYLOAD),
    "encrypted-response": encode(["dcapi", {"enc": bytes(65), "cipherText": bytes(99)}]),
    "encryption-info": encode(["dcapi", {"nonce": bytes(16), "recipientPublicKey": encode_key(DEVICE_KEY.public_key)}]),
    "cose-key": encode(encode_key(DEVICE_KEY.public_key)),
    "cose-sign1": TOKEN.encode(),
    "cose-mac0": MAC.encode(),
    "sig-structure": b"\x84\x6aSignature1" + encode(protected_header(-7)) + b"\x40" + encode(ISSUER_AUTH.payload),
    "mac-structure": b"\x84\x64MAC0" + encode(protected_header(5)) + b"\x40" + encode(b"\xd8\x18\x41\xa0"),
    "cbor": encode({"a": [1, {"b": bytes(100)}]}),
}

CSR = build_csr(Subject(country="US", common_name="A document signer"), DEVICE_KEY)
SECRET = deterministic_key("secret")
KEY_PEM = SECRET.to_pkcs8(password=None)
LOCKED_PEM = SECRET.to_pkcs8(password=b"a long password")
FILES: dict[str, tuple[str, bytes]] = {
    "root, PEM": ("certificate", AUTHORITY.iaca_certificate.pem.encode()),
    "root, DER": ("certificate", AUTHORITY.iaca_certificate.der),
    "document signer": ("certificate", AUTHORITY.ds_certificate.der),
    "CRL, DER": ("crl", AUTHORITY.crl(revoked=range(1, 40))),
    "CRL, empty": ("crl", AUTHORITY.crl()),
    "CSR, PEM": ("certificate-request", CSR.pem.encode()),
    "CSR, DER": ("certificate-request", CSR.der),
    "public key, PEM": ("public-key", DEVICE_KEY.public_key.pem),
    "public key, DER": ("public-key", DEVICE_KEY.public_key.spki),
    "key, PEM": ("private-key", KEY_PEM),
    "key, DER": ("private-key", base64.b64decode(b"".join(KEY_PEM.splitlines()[1:-1]))),
    "agreement key": ("private-key", EphemeralKey.generate("X25519").to_pkcs8()),
    "locked key, PEM": ("encrypted-private-key", LOCKED_PEM),
    "locked key, DER": ("encrypted-private-key", base64.b64decode(b"".join(LOCKED_PEM.splitlines()[1:-1]))),
    "record": ("licence-record", b'{"family_name": "Mustermann", "birth_date": "2000-01-31"}'),
}
EVERYTHING = {name: (name, data) for name, data in SAMPLES.items()} | FILES


def texts(value: Any) -> list[str]:
    """Every text in a JSON value."""
    if isinstance(value, dict):
        return [text for entry in value.values() for text in texts(entry)]
    if isinstance(value, list):
        return [text for entry in value for text in texts(entry)]
    return [value] if isinstance(value, str) else []


def shown(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    path = tmp_path / "file"
    path.write_bytes(data)
    status = main(["inspect", str(path), *options])
    out, err = capsys.readouterr()
    return status, out, err


# --- recognition ------------------------------------------------------------------------------------------------------


def test_every_kind_has_a_sample() -> None:
    assert {kind.id for kind in KINDS.values()} == SAMPLES.keys()


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_kind_is_recognised_and_shown(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind, data = EVERYTHING[name]
    status, out, err = shown(data, tmp_path, capsys)
    assert err == ""
    assert status == (1 if kind == "licence-record" else 0), out
    assert "Nothing was verified" in out
    assert max(map(len, out.splitlines())) <= 100, out
    status, out, _ = shown(data, tmp_path, capsys, "--json")
    told = json.loads(out)
    assert told["verified"] is False
    assert [found["kind"] for found in told["found"]] == [kind]
    assert told["found"][0]["content"]


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_the_same_in_any_armour_and_in_tag_24(name: str) -> None:
    data = SAMPLES[name]
    for armoured in (data.hex().encode(), base64.b64encode(data), base64.urlsafe_b64encode(data).rstrip(b"=") + b"\n"):
        assert [found.kind for found in inspect(armoured)] == [name]
    assert [found.kind for found in inspect(wrap24(data))] == [name if data[:2] != b"\xd8\x18" else "cbor"]


def test_a_qr_code_is_an_engagement() -> None:
    text = b"mdoc:" + base64.urlsafe_b64encode(ENGAGEMENT).rstrip(b"=")
    (found,) = inspect(text)
    assert (found.kind, found.form, found.size) == ("device-engagement", "QR text", len(ENGAGEMENT))


def test_each_block_of_a_pem_file_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = f"a comment\n{AUTHORITY.iaca_certificate.pem}\n{AUTHORITY.ds_certificate.pem}{LOCKED_PEM.decode()}"
    status, out, _ = shown(bundle.encode(), tmp_path, capsys)
    assert status == 0
    assert out.count("Nothing was verified") == 3


def test_the_standard_input_may_be_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(SAMPLES["mso"])
    with (tmp_path / "file").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert main(["inspect", "-"]) == 0
    assert capsys.readouterr().out.startswith("MobileSecurityObject")


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_a_response_is_explained_to_its_last_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = shown(HONEST.response, tmp_path, capsys)
    for part in (
        "org.iso.18013.5.1  / 3 elements /",
        "20000 bytes, digest id",
        "COSE_Sign1",
        "ES256",
        "CN=Throwaway document signer",
        "key usage",
        "digitalSignature  / critical /",
        "ds: mDL document signer",
        "no findings",
        "MobileSecurityObject",
        "digests of 32 bytes",
        "P-256, goes with ES256",
        "validUntil",
        "no device-signed elements",
        "/ OK /",
    ):
        assert part in out, part
    assert "32-byte random" in out


def test_long_byte_strings_are_cut_unless_all_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = shown(HONEST.response, tmp_path, capsys)
    assert len(out) < 12_000
    _, out, _ = shown(HONEST.response, tmp_path, capsys, "--full", "--json")
    assert any(len(text) > 40_000 for text in texts(json.loads(out)))
    _, out, _ = shown(HONEST.response, tmp_path, capsys, "--full")
    assert "…" not in out


@pytest.mark.parametrize(
    "around", [lambda item: {"a": item}, lambda item: [item] * 2, lambda item: {"documents": item, "docRequests": item}]
)
def test_what_stands_in_tag_24_is_decoded_wherever_it_is(
    around: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    item = decode_view(wrap24(encode({"inside": "x" * 100})))
    _, out, _ = shown(encode(around(item)), tmp_path, capsys)
    assert "inside" in out
    assert f"tag 24, {len(item.raw)} bytes" in out
    assert "h'" not in out


def test_many_entries_are_cut_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = shown(encode(list(range(1000))), tmp_path, capsys)
    assert "and 744 more, which --full shows" in out
    _, out, _ = shown(encode(list(range(1000))), tmp_path, capsys, "--full")
    assert "[999]" in out
    _, out, _ = shown(AUTHORITY.crl(revoked=range(1, 40)), tmp_path, capsys)
    assert "and 19 more, which --full shows" in out


def test_meanings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expectations = {
        "device-engagement": ["BLE, version 1", "central client mode", "NFC", "longest command data", "readerAuthAll"],
        "session-data": ["session termination", "encrypted"],
        "device-request": ["DocRequest", "not retained"],
        "cose-mac0": ["HMAC 256/256", "detached"],
        "cose-sign1": ["application/statuslist+cwt", "CWT claims", "status list"],
        "vical": ["An authority", "CN=Throwaway IACA", "iaca: IACA root"],
        "session-transcript": [hashlib.sha256(HONEST.transcript.tagged).hexdigest()],
        "device-authentication": ["SessionTranscript", "DeviceNameSpacesBytes"],
    }
    for name, words in expectations.items():
        _, out, _ = shown(SAMPLES[name], tmp_path, capsys)
        for word in words:
            assert word in out, (name, word)


@pytest.mark.parametrize(
    ("handover", "note"),
    [
        (None, "QR engagement"),
        ([b"hs", None], "NFC, static"),
        ([b"hs", b"hr"], "NFC, negotiated"),
        (["OpenID4VPHandover", b"x"], "OpenID4VPHandover"),
        ({"what": "ever"}, "what"),
    ],
)
def test_a_handover_is_named(handover: object, note: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = shown(encode([None, None, handover]), tmp_path, capsys)
    assert status == 0
    assert note in out


def test_findings_name_the_rule_and_with_full_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deviant = AUTHORITY.deviant_ds(extensions={"ian": None})
    _, out, _ = shown(deviant, tmp_path, capsys)
    assert "ds.ian.missing" in out
    assert "remedy" not in out
    _, out, _ = shown(deviant, tmp_path, capsys, "--full")
    assert "remedy" in out


def test_a_certificate_is_held_against_the_profile_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = shown(AUTHORITY.ds_certificate.der, tmp_path, capsys, "--profile", "reader")
    assert "reader.eku" in out
    for name in PROFILES:
        status, _, _ = shown(AUTHORITY.ds_certificate.der, tmp_path, capsys, "--profile", name)
        assert status == 0


def test_the_likely_profile_follows_from_the_purpose() -> None:
    assert likely_profile(AUTHORITY.iaca_certificate) is PROFILES["iaca"]
    assert likely_profile(AUTHORITY.ds_certificate) is PROFILES["ds"]
    assert likely_profile(Certificate(AUTHORITY.deviant_ds(extensions={"eku": None}))) is None


# --- what is not shown ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, (kind, _) in FILES.items() if kind == "encrypted-private-key"])
@pytest.mark.parametrize("options", [(), ("--full",), ("--json", "--full")])
def test_of_a_locked_key_nothing_is_shown(
    name: str, options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = FILES[name][1]
    _, out, _ = shown(data, tmp_path, capsys, *options)
    assert "encrypted" in out
    der = base64.b64decode(b"".join(data.splitlines()[1:-1])) if data.startswith(b"-----") else data
    assert not [start for start in range(len(der) - 8) if der[start : start + 8].hex() in out]


def test_a_plain_key_is_said_to_be_open_to_anybody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = shown(KEY_PEM, tmp_path, capsys)
    assert "NOT ENCRYPTED" in out
    assert SECRET.public_key.point.hex()[:32] in out


def test_the_secret_number_of_a_plain_key_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = 0xC0FFEE_C0FFEE_C0FFEE_C0FFEE_C0FFEE
    for data in (
        SoftwareSigner.from_secret("P-256", secret).to_pkcs8(password=None),
        encode({**encode_key(SoftwareSigner.from_secret("P-256", secret).public_key), -4: secret.to_bytes(32)}),
        encode({1: 4, -1: secret.to_bytes(32)}),
    ):
        for options in ((), ("--full",), ("--json", "--full")):
            _, out, err = shown(data, tmp_path, capsys, *options)
            assert "c0ffee" not in (out + err).lower().replace("\n", "")


def test_a_private_cose_key_says_that_it_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = {**encode_key(DEVICE_KEY.public_key), -4: bytes(32)}
    _, out, _ = shown(encode(key), tmp_path, capsys)
    assert "PRIVATE KEY" in out
    assert "not shown" in out


def test_nothing_in_a_file_can_command_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x9b31m\u202e\u2066\x7f\r\n"
    value = {evil: evil, "docType": evil, "issuerSigned": {"nameSpaces": {evil: []}, "issuerAuth": [evil]}}
    listed = {"vicalProvider": evil, "certificateInfos": [{"certificate": b"x", "issuingAuthority": evil}]}
    asked = {"docType": evil, "nameSpaces": {evil: {}}}  # its fault names the namespace
    for data in (
        encode(value),
        encode({"documents": [value], "version": evil, "status": 0}),
        encode(evil),
        encode(listed),
        encode(asked),
    ):
        _, out, err = shown(data, tmp_path, capsys)
        assert not [char for char in out + err if not char.isprintable() and char != "\n"]


def test_an_error_tells_no_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for data in (
        b'{"family_name": "Mustermann", "birth_date": "never"}',
        b'{"family_name": "Mustermann"',
        encode({"family_name": "Mustermann"})[:-1],
        b"Mustermann",
    ):
        status, out, err = shown(data, tmp_path, capsys)
        assert status in {1, 3}
        assert "Mustermann" not in out + err


# --- what is wrong with it --------------------------------------------------------------------------------------------


def broken(path: str, value: object) -> bytes:
    """The honest response with one member replaced."""
    response = decode_view(HONEST.response)
    place = response
    *way, last = path.split(".")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    return encode(response)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (broken("status", "0"), "of the wrong type at status [mdoc.structure]"),
        (broken("documents.0.docType", 1), "documents[0].docType [mdoc.structure]"),
        (broken("documents.0.issuerSigned.issuerAuth", [1]), "documents[0].issuerSigned.issuerAuth [cose.structure]"),
        (
            broken("documents.0.issuerSigned.issuerAuth", [b"\xa1\x01\x26", {}, b"\xa0", b""]),
            "documents[0].issuerSigned.issuerAuth.payload",
        ),
        (
            broken("documents.0.issuerSigned.nameSpaces", {"n": [decode_view(wrap24(b"\x01"))]}),
            "documents[0].issuerSigned.nameSpaces.n",
        ),
        (encode({"docType": "d", "issuerSigned": {}}), "issuerSigned.issuerAuth"),
        (encode({"issuerAuth": []}), "issuerAuth"),
        (encode({"docRequests": []}), "docRequests"),
        (encode({"docType": "d", "nameSpaces": {}}), "nameSpaces"),
        (encode({"deviceAuth": {}, "nameSpaces": 1}), "nameSpaces"),
        (encode({"valueDigests": 1}), "valueDigests"),
        (encode([b"\xa1\x01\x26", {}, wrap24(encode({"valueDigests": 1})), b""]), "payload.valueDigests"),
        (encode({1: 2, -1: 1}), "[key.malformed]"),
        (encode({1: 2, -1: 8, -2: b"x"}), "[key.unsupported]"),
        (encode([b"\xa1\x01\x26", {1: -7}, b"", b""]), "[cose.duplicate_header]"),
        (encode([b"\xa1\x01\x05", {2: []}, None, b""]), "[cose.critical]"),
    ],
)
def test_what_is_not_what_it_looks_like_is_shown_with_its_fault(
    data: bytes, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = shown(data, tmp_path, capsys)
    assert (status, err) == (1, "")
    flat = " ".join(out.split())
    assert "fault: " in flat
    assert fault in flat
    status, out, _ = shown(data, tmp_path, capsys, "--json")
    assert status == 1
    assert any(fault in one for one in json.loads(out)["found"][0]["faults"])


def test_faults_of_a_licence_record_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = shown(FILES["record"][1], tmp_path, capsys)
    assert status == 1
    assert "family_name" in out
    assert "fault: " in out


UNKNOWN = {
    "empty": (b"", "input.empty"),
    "a text": (b"hello, world", "cbor."),
    "half an item": (HONEST.response[:-1], "cbor.truncated"),
    "an item and more": (HONEST.response + b"\x00", "cbor.trailing"),
    "a duplicate key": (b"\xa2\x01\x02\x01\x03", "cbor.duplicate_key"),
    "odd hex": (b"a1" * 20 + b"0", "input.hex"),
    "a cut certificate": (AUTHORITY.ds_certificate.der[:-1], "certificate.malformed"),
    "DER of another kind": (bytes.fromhex("3003020101"), "certificate.malformed"),
    "DER that is nearly a locked key": (bytes.fromhex("3006020101040100"), "certificate.malformed"),
    "too many PEM blocks": (b"-----BEGIN CERTIFICATE-----\n" * 1001, "input.too_large"),
    "PEM of another kind": (
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nAA==\n-----END OPENSSH PRIVATE KEY-----\n",
        "input.pem",
    ),
    "PEM without an end": (b"-----BEGIN CERTIFICATE-----\nAA==\n", "input.pem"),
    "PEM that is no key": (b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "key.malformed"),
    "JSON of another kind": (b'{"key": "EC", "d": "secret"}', "input.json"),
    "JSON that is none": (b"{,}", "record.json"),
    "JSON nested deeply": (b'{"a":' * 100_000, "record."),
    "JSON that is no UTF-8": (b'{"a": "\xff"}', "input.utf8"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_read_is_one_line_with_a_code(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, code = UNKNOWN[name]
    status, out, err = shown(data, tmp_path, capsys)
    assert (status, out) == (3, "")
    assert err.startswith("mdl: ")
    assert f"[{code}" in err
    assert err.count("\n") == 1


def test_a_request_that_its_own_key_did_not_sign_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = shown(CSR.der[:-1] + bytes([CSR.der[-1] ^ 1]), tmp_path, capsys)
    assert status == 1
    assert "[request.possession]" in err


# --- bounds -----------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_any_bytes_are_shown_or_refused(data: bytes) -> None:
    with contextlib.suppress(MdlError):
        list(inspect(data))


@given(st.sampled_from(sorted(EVERYTHING)), st.data())
def test_a_damaged_file_is_shown_or_refused(name: str, data: st.DataObject) -> None:
    damaged = bytearray(EVERYTHING[name][1])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MdlError):
        list(inspect(bytes(damaged), full=data.draw(st.booleans())))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-70_000, 70_000) | st.binary(max_size=9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-5, 40) | st.text(max_size=5), inner, max_size=4)
        | inner.map(lambda value: Tag(18, value))
        | inner.map(lambda value: decode_view(wrap24(encode(value))))
    ),
    max_leaves=8,
)


@given(st.sampled_from(sorted(KINDS)), PLAIN)
def test_every_handler_takes_any_value(title: str, value: object) -> None:
    """A structure is recognised by a member or two; the others may be anything."""
    received = decode_view(encode(value))
    if KINDS[title].handler not in {Anatomy.authentication, Anatomy.to_be_signed}:  # these see arrays of known length
        Anatomy(full=False).explain(KINDS[title], received)
    list(anatomy.faults(recognise(received), encode(value), received))


MEMBERS = sorted({name for members, _ in anatomy._MAPS for name in members} | {"data", "status", "errors", "payload"})


@given(st.dictionaries(st.sampled_from(MEMBERS), PLAIN, max_size=6), st.booleans())
def test_a_map_of_known_members_with_any_values_is_shown(value: dict[str, object], full: bool) -> None:
    list(inspect(encode(value), full=full))


@given(
    st.lists(
        PLAIN | st.sampled_from(["Signature1", "MAC0", "DeviceAuthentication", "ReaderAuthentication"]), max_size=6
    )
)
def test_an_array_of_any_values_is_shown(value: list[object]) -> None:
    list(inspect(encode(value)))


def nested24(levels: int) -> bytes:
    data = b"\x01"
    for _ in range(levels):
        data = wrap24(data)
    return data


@pytest.mark.parametrize(
    "data",
    [
        nested24(5_000),
        encode([b"\xa0", {}, nested24(5_000), b""]),
        b"\x9a\x00\x00\x20\x00" + b"\x80" * 8192,
        encode([list(range(250))] * 250),
        encode("x" * 1_000_000),
        encode(bytes(3_000_000)),
    ],
    ids=["tag 24", "payload", "empty arrays", "many", "text", "bytes"],
)
def test_a_hostile_file_takes_no_more_than_moments(data: bytes) -> None:
    started = time.monotonic()
    for found in inspect(data):
        assert found.nodes
    assert time.monotonic() - started < 10


def test_messages_inside_messages_are_not_followed_for_ever() -> None:
    data = b"\x01"
    for _ in range(5_000):
        data = encode([b"\xa0", {}, data, b""])
    started = time.monotonic()
    list(inspect(data))
    assert time.monotonic() - started < 10


# --- other people's files ---------------------------------------------------------------------------------------------

EXPECTED = [
    ("iso18013-5-annex-d/device-response.hex", "device-response"),
    ("iso18013-5-annex-d/device-request.hex", "device-request"),
    ("iso18013-5-annex-d/device-engagement.hex", "device-engagement"),
    ("iso18013-5-annex-d/session-establishment.hex", "session-establishment"),
    ("iso18013-5-annex-d/session-data.hex", "session-data"),
    ("iso18013-5-annex-d/session-termination.hex", "session-data"),
    ("iso18013-5-annex-d/session-transcript-bytes.hex", "session-transcript"),
    ("iso18013-5-annex-d/issuer-auth.hex", "issuer-auth"),
    ("iso18013-5-annex-d/reader-auth.hex", "reader-auth"),
    ("iso18013-5-annex-d/device-auth.hex", "device-auth"),
    ("iso18013-5-annex-d/items-request.hex", "items-request"),
    ("iso18013-5-annex-d/e-device-key-bytes.hex", "cose-key"),
    ("iso18013-5-annex-d/iaca-cert.hex", "certificate"),
    ("iso18013-5-annex-d/issuer-auth-sig-structure.hex", "sig-structure"),
    ("iso18013-5-annex-d/device-mac-structure.hex", "mac-structure"),
    ("iso18013-5-annex-d/device-authentication-bytes.hex", "device-authentication"),
    ("iso18013-5-annex-d/reader-authentication-bytes.hex", "reader-authentication"),
    ("eudi-ios/crl-validRevokedCRLPEM.pem", "crl"),
    ("isomdl/device-request-v1.1-readerauthall.hex", "device-request"),
    ("isomdl/issuer-signed.hex", "issuer-signed"),
    ("isomdl/certs/issuance-384-key.pem", "private-key"),
    ("openid4vp-1.0/dcapi-session-transcript.hex", "session-transcript"),
    ("vical-aamva-2025-11/aamva-vical-2025-11-18-1763491092481.cbor", "vical"),
    ("vical-rdw-2025-02/20250225-RDW-Test-Vical.cbor", "vical"),
    ("waltid-engagement/device-engagement-b.hex", "device-engagement"),
]


@pytest.mark.parametrize(("name", "kind"), EXPECTED)
def test_published_files_are_recognised(name: str, kind: str) -> None:
    folder, _, file = name.rpartition("/")
    (found,) = inspect((external.folder(folder) / file).read_bytes())
    assert (found.kind, found.faults) == (kind, ())


def test_every_published_file_is_shown_or_refused() -> None:
    recognised = 0
    for path in sorted(external.everything().rglob("*")):
        if path.is_file() and path.suffix != ".md" and path.stat().st_size < 500_000:
            with contextlib.suppress(MdlError):
                recognised += len(list(inspect(path.read_bytes())))
    assert recognised > 200


def test_doc_requests_with_reader_authentication_are_shown() -> None:
    asked = DocRequest.of(ItemsRequest("d", {"n": {"e": True}}))
    request = b"\xa2" + encode("version") + encode("1.0") + encode("docRequests") + b"\x81\xa2"
    request += encode("itemsRequest") + asked.items_request_bytes.raw + encode("readerAuth") + READER_AUTH.encode()
    (found,) = inspect(request)
    assert (found.kind, found.faults) == ("device-request", ())
    assert "reader: mdoc reader authentication" in str(found.nodes)


# --- our own files, and images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "title"),
    [
        (b"\xff\xd8\xff\xe0 and so on", "JPEG image"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n and so on", "JPEG 2000 image"),
        (b"\xff\x4f\xff\x51 and so on", "JPEG 2000 codestream"),
    ],
)
def test_an_image_is_named(data: bytes, title: str) -> None:
    (found,) = inspect(data)
    assert (found.kind, found.title, found.size) == ("image", title, len(data))


@pytest.mark.parametrize(
    ("content", "title"),
    [
        (
            {"version": 1, "doctype": "x", "iaca_key": "iaca", "signers": [1, 2]},
            "state of an issuing authority's folder",
        ),
        ({"made_by": "mdl demo", "signers": [1, 2]}, "what mdl demo did, and what came of it"),
    ],
)
def test_a_file_of_our_own_commands_is_no_licence_record(content: dict[str, Any], title: str) -> None:
    (found,) = inspect(json.dumps(content).encode())
    assert (found.kind, found.title) == ("own-file", title)
    assert [node.name for node in found.nodes] == [*content]
    assert found.nodes[-1].value == "2 entries"


def test_an_entry_of_a_list_tells_what_it_does_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = AUTHORITY.iaca_certificate
    wrapped = b"\x04\x14" + (root.subject_key_identifier or b"")
    (tmp_path / "list").write_bytes(forge(info(root, ski=wrapped), info(root, serialNumber=5), info(root, docType=[])))
    assert main(["inspect", str(tmp_path / "list"), "--json"]) == 0
    payload = json.loads(capsys.readouterr().out)["found"][0]["content"][2]
    entries = next(one for one in payload["children"] if one["name"] == "certificateInfos")["children"]
    assert [one["note"] for one in entries] == [
        "An authority; deviates: ski.wrapped",
        "An authority; deviates: serial.integer; not as its certificate says: serial.mismatch",
        "An authority; no entry: no document type [vical.entry]",
    ]


def test_a_list_that_is_none_has_its_fault_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list").write_bytes(forge(date=None))
    assert main(["inspect", str(tmp_path / "list"), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["found"][0]["faults"] == ["missing at date [vical.structure]"]


def test_one_block_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = AUTHORITY.iaca_certificate
    text = good.pem + to_pem(good.der[:-1], "CERTIFICATE") + Certificate(AUTHORITY.ds_recipe.build()).pem
    status, out, _ = shown(text.encode(), tmp_path, capsys, "--json")
    found = json.loads(out)["found"]
    assert status == 1
    assert [one["kind"] for one in found] == ["certificate", "unreadable", "certificate"]
    assert found[1]["faults"] != []
    # And so with a mistake of ours.
    monkeypatch.setattr(inspection, "_crl", lambda *_, **__: 1 // 0)
    text = good.pem + Crl(AUTHORITY.crl()).pem + good.pem
    status, out, _ = shown(text.encode(), tmp_path, capsys, "--json")
    found = json.loads(out)["found"]
    assert (status, [one["kind"] for one in found]) == (1, ["certificate", "unreadable", "certificate"])
    assert "cli.internal" in found[1]["faults"][0]


def test_deep_arrays_around_much_are_not_written_once_for_each_level() -> None:
    """The shortest form of a value is asked for only as far as it may fit a line."""
    data = b"\x81" * 22 + b"\x99\x20\x00" + (b"\x88" + b"\x01" * 8) * 0x2000
    began = time.process_time()
    (found,) = inspect(data)
    assert time.process_time() - began < 1
    assert inspection._as_lines(found)
    (found,) = inspect(encode([[1, {"b": "short"}, b"1234"]]))
    assert found.nodes[0].value == '[[1, {"b": "short"}, h\'31323334\']]'


# --- labels of private keys -------------------------------------------------------------------------------------------


def _pem(label: str, der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


PLAIN_DER = base64.b64decode(b"".join(deterministic_key("plain").to_pkcs8(password=None).splitlines()[1:-1]))
LOCKED_DER = base64.b64decode(b"".join(LOCKED_PEM.splitlines()[1:-1]))


@pytest.mark.parametrize(
    ("label", "der", "kind", "faults"),
    [
        ("ENCRYPTED PRIVATE KEY", LOCKED_DER, "encrypted-private-key", ()),
        ("PRIVATE KEY", PLAIN_DER, "private-key", ()),
        (
            "ENCRYPTED PRIVATE KEY",
            PLAIN_DER,
            "private-key",
            ("the label is ENCRYPTED PRIVATE KEY, and the key is not encrypted [input.label]",),
        ),
        (
            "PRIVATE KEY",
            LOCKED_DER,
            "encrypted-private-key",
            ("the label is PRIVATE KEY, and the key is encrypted [input.label]",),
        ),
    ],
)
def test_what_stands_under_the_label_of_a_private_key_decides(
    label: str, der: bytes, kind: str, faults: tuple[str, ...]
) -> None:
    (found,) = inspect(_pem(label, der))
    assert (found.kind, found.faults) == (kind, faults)
    assert PLAIN_DER.hex() not in str(found)


@pytest.mark.parametrize(
    "der",
    [
        b"hello",
        b"",
        bytes.fromhex("3005300004013f"),  # an empty algorithm
        bytes.fromhex("3011300c06082a864886f70d02050500040101"),  # MD5: a DigestInfo, not a key
        bytes.fromhex("3011300d06092a864886f70d01050d0500040101")[:-1],
    ],
)
def test_what_is_no_key_is_none_under_that_label_too(der: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        list(inspect(_pem("ENCRYPTED PRIVATE KEY", der)))
    assert caught.value.code in {"key.malformed", "input.pem"}


# --- what people paste into an inspector ------------------------------------------------------------------------------


def cbor_payload(issued: bytes) -> bytes:
    """The security object of an IssuerSigned, in tag 24."""
    payload = IssuerSigned.from_value(decode_view(issued), "").issuer_auth.payload
    assert payload is not None
    return payload


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


ISSUED = SAMPLES["issuer-signed"]
HANDOVER_SELECT = bytes.fromhex("91020f487315d10209616301013001046d646f63")
PASTED: dict[str, tuple[bytes, list[str]]] = {
    "a credential response": (json.dumps({"credentials": [{"credential": _text(ISSUED)}]}).encode(), ["issuer-signed"]),
    "an older credential response": (
        json.dumps({"credential": _text(ISSUED), "c_nonce": "x"}).encode(),
        ["issuer-signed"],
    ),
    "a vp_token": (
        json.dumps({"vp_token": {"mdl": [_text(HONEST.response), _text(HONEST.response)]}}).encode(),
        ["device-response"] * 2,
    ),
    "a quoted text": (f'"{_text(ISSUED)}"\n'.encode(), ["issuer-signed"]),
    "hex with colons": (ISSUED.hex(":").upper().encode(), ["issuer-signed"]),
    "mdoc:": (b"mdoc:" + _text(ENGAGEMENT).encode(), ["device-engagement"]),
    "mdoc://": (b"mdoc://" + _text(ENGAGEMENT).encode(), ["device-engagement"]),
    "mDL://": (b"mDL://" + _text(ENGAGEMENT).encode(), ["device-engagement"]),
    "a JSON Web Token": (b"eyJhbGciOiJFUzI1NiIsInR5cCI6InN0YXR1c2xpc3Qrand0In0.eyJhIjoxfQ.AAAA", ["jwt"]),
    "a handover": (HANDOVER_SELECT, ["ndef"]),
    "a handover in hex": (HANDOVER_SELECT.hex().encode(), ["ndef"]),
    "a JWK": (
        json.dumps({"kty": "EC", "crv": "P-256", "x": _text(b"a" * 32), "y": _text(b"b" * 32)}).encode(),
        ["jwk"],
    ),
    "what OpenSSL trusts": (to_pem(AUTHORITY.ds_certificate.der, "TRUSTED CERTIFICATE").encode(), ["certificate"]),
    "and for what": (
        to_pem(AUTHORITY.ds_certificate.der + bytes.fromhex("30003000"), "TRUSTED CERTIFICATE").encode(),
        ["certificate"],
    ),
    "a JSON text with PEM inside": (
        json.dumps({"kty": "EC", "x5c": ["-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"]}).encode(),
        ["jwk"],
    ),
    "MSO with a status": (
        cbor_payload(Recipe(mso_status={"status_list": {"idx": 1, "uri": "https://example.com/1"}}).issue()),
        ["mso"],
    ),
}


@pytest.mark.parametrize("name", PASTED)
def test_what_is_pasted_is_recognised(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, kinds = PASTED[name]
    status, out, err = shown(data, tmp_path, capsys, "--json")
    assert (status, err) == (0, "")
    assert [one["kind"] for one in json.loads(out)["found"]] == kinds


def test_the_private_part_of_a_jwk_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secret = _text(b"s" * 32)
    for data in ({"kty": "EC", "crv": "P-256", "x": "x", "d": secret}, {"kty": "oct", "k": secret}):
        status, out, _ = shown(json.dumps(data).encode(), tmp_path, capsys)
        assert status == 0
        assert secret not in out
        assert "PRIVATE KEY" in out


def test_json_with_pem_inside_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = b'{"testGroups":[{"publicKeyPem":"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\\n"}]}'
    status, _, err = shown(data, tmp_path, capsys)
    assert (status, "[input.json]" in err) == (3, True)


def test_a_status_member_that_is_none_is_a_fault_of_the_security_object(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = {"identifier_list": {"id": "99", "uri": "https://e.example/2"}}
    issued = Recipe(mso_status=status).issue()
    for data, path in (
        (issued, "issuerAuth.payload.status.identifier_list.id"),
        (cbor_payload(issued), "status.identifier"),
    ):
        code, out, _ = shown(data, tmp_path, capsys, "--json")
        (fault,) = json.loads(out)["found"][0]["faults"]
        assert (code, path in fault, "status.reference" in fault) == (1, True, True)


@given(st.binary(max_size=80))
def test_any_bytes_are_an_nfc_message_or_none(data: bytes) -> None:
    for one in (data, b"\x91\x02" + data, HANDOVER_SELECT[: len(data)]):
        nodes = ndef_nodes(one)
        assert nodes is None or nodes


# --- the wrong file ---------------------------------------------------------------------------------------------------

WRONG = {
    "IssuerSigned": ISSUED,
    "SessionData": SAMPLES["session-data"],
    "EncryptedResponse": SAMPLES["encrypted-response"],
    "X.509 certificate": AUTHORITY.iaca_certificate.der,
    "DeviceRequest": REQUEST.encode(),
    "JPEG image": b"\xff\xd8\xff" + bytes(50),
}


@pytest.mark.parametrize(
    ("title", "place"),
    [
        (title, place)
        for place in ("RESPONSE", "--transcript", "--request", "--trust", "diagnose")
        for title in WRONG
        if (title, place) not in {("DeviceRequest", "--request"), ("X.509 certificate", "--trust")}
    ],
)
def test_the_wrong_kind_of_file_is_named_as_the_inspector_names_it(
    title: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {"RESPONSE": HONEST.response, "--transcript": HONEST.transcript.encoded, "--request": REQUEST.encode()}
    files["--trust"] = AUTHORITY.iaca_certificate.pem.encode()
    files["RESPONSE" if place == "diagnose" else place] = WRONG[title]
    for name, data in files.items():
        Path(name.strip("-")).write_bytes(data)
    words = ["reader", "verify", "RESPONSE", "--transcript", "transcript", "--request", "request", "--trust", "trust"]
    if place == "diagnose":
        words = ["reader", "diagnose", "RESPONSE", "--transcript", "transcript"]
    assert main(words) == 3
    err = capsys.readouterr().err
    assert f"found: {title}" in err
    if place == "RESPONSE":
        Path("lint").write_bytes(WRONG[title])
        status = main(["lint", "lint", "--json"])
        told = json.loads(capsys.readouterr().out)
        if title == "X.509 certificate":
            assert (status, len(told["examined"])) == (0, 1)
        else:
            assert title in told["unreadable"][0]["message"]


def test_a_broken_file_of_the_right_kind_keeps_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r").write_bytes(broken("status", "ok"))
    Path("t").write_bytes(HONEST.transcript.encoded)
    Path("root.pem").write_text(AUTHORITY.iaca_certificate.pem)
    words = ["reader", "verify", "r", "--transcript", "t", "--trust", "root.pem", "--unsafe-no-request"]
    assert main(words) == 3
    assert "found:" not in capsys.readouterr().err

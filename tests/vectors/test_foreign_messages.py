"""Messages of other implementations: all are read, and what the CDDL names is written again as it was."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mdl.cbor import FullDate, Tag, Tagged24, decode, decode_sequence, decode_view, diagnose, encode
from mdl.cose import HMAC_256_256, decode_key, decode_mac0, decode_sign1
from mdl.errors import DecodeError
from mdl.keys import EphemeralKey, PublicKey, hkdf_sha256
from mdl.mdoc import DeviceRequest, DeviceResponse, IssuerSigned, SessionTranscript, Version
from tests import external
from tests.wire import plain, same

FOLDERS = [
    "a-sit-plus-vck",
    "auth0-mdl",
    "eudi-ios",
    "eudi-verifier",
    "iso18013-7-annex-c",
    "isomdl",
    "italia-docs",
    "longfellow-zk-mdocs",
    "mdoc-ts-interop",
    "multipaz-negative",
    "oidf-conformance",
    "pagopa",
    "sphereon",
]


def hex_files(*patterns: str) -> list[Any]:
    found = []
    for name in FOLDERS:
        if not (external.ROOT / name).is_dir():
            found += external.cases(name, "*")
        for pattern in patterns:
            paths = sorted((external.ROOT / name).glob(pattern))
            found += [pytest.param(path, id=f"{name}/{path.stem}") for path in paths]
    return found


def octets(path: Path) -> bytes:
    return bytes.fromhex(path.read_text("ascii"))


# Messages outside the structure: why they are refused, or what is not taken over.
REFUSED = {"auth0-mdl/parser1.device-response": "cose.duplicate_header"}
TAKEN_IN_PART = {
    "oidf-conformance/animo-both-signature-and-mac.device-response": "signature and MAC together are neither",
}


def name_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def check_round_trip(kind: Any, path: Path) -> Any:
    """Read, write and read again: what is hashed, signed or MACed keeps its bytes, the rest its value."""
    data = octets(path)
    if name_of(path) in REFUSED:
        with pytest.raises(DecodeError) as caught:
            kind.decode(data)
        assert caught.value.code == REFUSED[name_of(path)]
        return None
    message = kind.decode(data)
    again = message.encode()
    assert kind.decode(again) == message
    if name_of(path) in TAKEN_IN_PART:
        assert len(again) < len(data)
    elif again != data:  # the order of map members is the sender's choice
        assert same(sort_of(decode(again)), sort_of(decode(data)))
    return message


def sort_of(value: Any) -> Any:
    """A value with its maps in one order, without the tags of COSE messages and without members that say nothing."""
    value = plain(value)
    if isinstance(value, Tag) and value.number in (17, 18):
        value = value.value
    if isinstance(value, list):
        return [sort_of(one) for one in value]
    if isinstance(value, dict):
        kept = {key: sort_of(one) for key, one in value.items() if one not in ([], {})}
        return dict(sorted(kept.items(), key=lambda pair: str(pair[0])))
    return value


@pytest.mark.parametrize("path", hex_files("*device-response*.hex", "eudi-sample-data.hex", "pid.hex", "three-*.hex"))
def test_responses(path: Path) -> None:
    response = check_round_trip(DeviceResponse, path)
    for document in response.documents if response else ():
        for _, identifier, _ in document.issuer_signed.elements():
            assert identifier


@pytest.mark.parametrize(
    "path", hex_files("*issuer-signed.hex", "issuer-signed-dehydrated.hex", "funke-pid-reencoded.hex")
)
def test_credentials(path: Path) -> None:
    credential = check_round_trip(IssuerSigned, path)
    assert list(credential.elements())


@pytest.mark.parametrize("path", hex_files("*session-transcript.hex"))
def test_transcripts(path: Path) -> None:
    data = octets(path)
    value = decode_view(data)
    assert SessionTranscript(value.content if isinstance(value, Tagged24) else data).salt


@pytest.mark.parametrize(
    "path",
    [
        *external.cases("device-request-v1.1", "*.hex"),
        *external.cases("isomdl", "device-request*.hex"),
        *external.cases("italia-docs", "device-request*.hex"),
        *external.cases("waltid-engagement", "device-request*.hex"),
        *external.cases("iso18013-7-annex-c", "av-device-request.hex"),
    ],
)
def test_requests(path: Path) -> None:
    request = check_round_trip(DeviceRequest, path)
    assert Version.parse(request.version).major == 1
    second_edition = request.device_request_info is not None or request.reader_auth_all != ()
    assert (Version.parse(request.version) >= Version(1, 1)) == second_edition
    for one in request.doc_requests:
        assert one.items_request.name_spaces


@pytest.mark.parametrize("path", external.cases("device-request-v1.1", "*.hex"))
def test_requests_of_the_second_edition(path: Path) -> None:
    request = DeviceRequest.decode(octets(path))
    assert request.version == "1.1"
    assert request.device_request_info is not None
    assert "useCases" in decode(request.device_request_info.content)
    assert [len(one.x5chain) for one in request.reader_auth_all] == [3]


@pytest.mark.parametrize(
    "path",
    [
        *external.cases("eudi-ios", "device-engagement*.hex"),
        *external.cases("iso18013-5-annex-d", "device-engagement.hex"),
    ],
)
def test_the_device_keys_of_engagements(path: Path) -> None:
    engagement = decode_view(octets(path))
    suite, key_bytes = engagement[1]
    assert suite == 1
    assert isinstance(key_bytes, Tagged24)
    assert decode_key(decode(key_bytes.content)).curve.name == "P-256"
    assert encode(engagement) == octets(path)


@pytest.mark.parametrize("path", external.cases("waltid-engagement", "device-engagement*.hex"))
def test_the_device_key_of_an_engagement_is_a_cose_key(path: Path) -> None:
    """In these examples it is a SubjectPublicKeyInfo."""
    key_bytes = decode_view(octets(path))[1][1]
    with pytest.raises(DecodeError) as caught:
        decode(key_bytes.content)
    assert caught.value.code == "cbor.trailing"
    assert PublicKey.from_spki(key_bytes.content).curve.name == "P-256"


def test_cose_structures_of_a_rust_library() -> None:
    folder = "isomdl"
    data = external.octets(f"{folder}/cose-key-ec-p256.hex")
    assert decode_key(decode(data)).curve.name == "P-256"
    data = external.octets(f"{folder}/cose-sign1-serialized.hex")
    assert decode_sign1(decode(data)).encode() == data
    data = external.octets(f"{folder}/cose-mac0-serialized.hex")
    mac = decode_mac0(decode(data))
    assert mac.encode() == data
    assert mac.protected_map == {1: HMAC_256_256}


def test_session_keys_of_a_rust_library() -> None:
    folder = "isomdl"
    value = decode_view(external.octets(f"{folder}/session-session-transcript.hex"))
    transcript = SessionTranscript(value.content)
    establishment = decode_view(external.octets(f"{folder}/session-session-establishment.hex"))
    reader = decode_key(decode(establishment["eReaderKey"].content))
    device = EphemeralKey.from_secret("P-256", int.from_bytes(external.octets(f"{folder}/session-e-device-key.hex")))
    shared = device.agree(reader)
    assert shared == external.octets(f"{folder}/session-shared-secret.hex")
    key = hkdf_sha256(shared, salt=transcript.salt, info=b"SKReader", length=32)
    assert key == external.octets(f"{folder}/session-reader-session-key.hex")


def test_namespaces_of_a_rust_library() -> None:
    namespaces = decode(external.octets("isomdl/namespaced-data.hex"))
    elements = namespaces["namespaces"]["org.iso.18013.5.1"]
    assert {"name": "expiry_date", "value": FullDate("2024-10-20")} in elements


def test_a_credential_without_its_values_is_still_read() -> None:
    credential = IssuerSigned.decode(external.octets("isomdl/issuer-signed-dehydrated.hex"))
    elements = list(credential.elements())
    assert len(elements) == 6
    assert all(value is None for _, _, value in elements)


def test_a_status_list_token() -> None:
    value = decode(external.octets("token-status-list/status-list-token.cwt.hex"))
    assert isinstance(value, Tag)
    token = decode_sign1(value)
    jwk = json.loads((external.folder("token-status-list") / "example-key.jwk.json").read_text("utf-8"))
    x, y = (base64.urlsafe_b64decode(jwk[name] + "==") for name in ("x", "y"))
    token.verify(decode_key({1: 2, -1: 1, -2: x, -3: y}))
    assert token.protected_map[16] == "application/statuslist+cwt"
    assert token.payload is not None
    assert 65533 in decode(token.payload)


@pytest.mark.parametrize(
    "path", [*external.cases("vical-aamva-2025-11", "*.cbor"), *external.cases("vical-rdw-2025-02", "*.cbor")]
)
def test_lists_of_issuing_authorities_are_read(path: Path) -> None:
    message = decode_sign1(decode_view(path.read_bytes()))
    assert message.payload is not None
    vical = decode(message.payload)
    assert len(vical["certificateInfos"]) > 5


@pytest.mark.parametrize(
    "path",
    hex_files("*.hex") + external.cases("iso18013-5-annex-d", "*.hex") + external.cases("openid4vp-1.0", "*.hex"),
)
def test_all_readers_agree_on_every_file(path: Path) -> None:
    """Many of these are no CBOR at all: keys, certificates, NDEF messages."""

    def outcome(read: Any) -> Any:
        try:
            return plain(read(octets(path)))
        except DecodeError as error:
            return error.code

    expected = outcome(lambda data: decode_view(data, keep_raw=False))
    for read in (decode, decode_view, lambda data: decode_sequence([b"\x00", data])[1]):
        assert same(outcome(read), expected)
    if not isinstance(expected, str):
        assert diagnose(expected)

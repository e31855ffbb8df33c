"""How transcripts are made: every published value byte for byte, and what is refused before it can be wrong."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from mdl.cbor import decode, decode_view, encode, wrap24
from mdl.cose import encode_key
from mdl.errors import DecodeError, UnsupportedError
from mdl.keys import EphemeralKey, hkdf_sha256
from mdl.mdoc import SessionTranscript
from mdl.session import (
    AnnexBHandover,
    AnnexCHandover,
    Handover,
    NfcHandover,
    OpenId4VciHandover,
    OpenId4VpDcApiHandover,
    OpenId4VpDraft24Handover,
    OpenId4VpHandover,
    QrHandover,
    ReaderEngagementHandover,
    jwk_thumbprint,
)
from mdl.testing import deterministic_ephemeral_key, sample_transcript
from tests.external import folder, octets

# The keys of 18013-5 Annex D (mdoc.md §3.7).
E_DEVICE = EphemeralKey.from_secret("P-256", 0xC1917A1579949A042F1BA9FC53A2DF9B1BC47ADF31C10F813ED75702D1C1F136)
E_READER = EphemeralKey.from_secret("P-256", 0xDE3B4B9E5F72DD9B58406AE3091434DA48A6F9FD010D88FCB0958E2CEBEC947C)
# OpenID4VP 1.0 B.2.6.
JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "DxiH5Q4Yx3UrukE2lWCErq8N8bqC9CHLLrAwLz5BmE0",
    "y": "XtLM4-3h5o3HUH0MHVJV0kyq0iBlrBwlh8qEDMZ4-Pc",
}
THUMBPRINT = bytes.fromhex("4283ec927ae0f208daaa2d026a814f2b22dca52cf85ffa8f3f8626c6bd669047")
NONCE = "exc7gBkxjx1rdc9udRrveKvSsJIq80avlXeLHhGwqtA"


def params(name: str) -> dict[str, Any]:
    where, _, file = name.rpartition("/")
    found: dict[str, Any] = json.loads((folder(where) / file).read_text("utf-8"))
    return found


# --- in person --------------------------------------------------------------------------------------------------------


def test_a_session_from_a_qr_code_has_the_keys_of_the_facts_sheet() -> None:
    engagement = bytes.fromhex(
        "a30063312e30018201d818584ba4010220012158205a88d182bce5f42efa59943f33359d2e8a968ff289d93e5fa444b624343167fe"
        "225820b16e8cf858ddc7690407ba61d4c338237a8cfcf3de6aa672fc60a557aa32fc670281830201a300f401f50b5045efef742b2c"
        "4837a9a3b0e1d05a6917"
    )
    handover = QrHandover(
        device_engagement_bytes=wrap24(engagement),
        e_reader_key_bytes=wrap24(encode(encode_key(E_READER.public_key))),
    )
    transcript = handover.transcript()
    assert transcript.encoded[:5] == bytes.fromhex("83d8185874")
    assert transcript.encoded[-1:] == b"\xf6"
    assert transcript.salt.hex() == "32f3b0691b8afa0818a726e479cf8bb6d735b99438a751a2ef548ecce65e44c4"
    secret = E_READER.agree(E_DEVICE.public_key)
    keys = {
        b"SKReader": "88c58d5e15b49b74495e1a927aaefc3faf3996ff7f06e9faf71ee86810368fa7",
        b"SKDevice": "a8988ad9afa5088451e4eeb930894f197010a707e0be4cf2efd23a2c80935b96",
    }
    for info, key in keys.items():
        assert hkdf_sha256(secret, salt=transcript.salt, info=info, length=32).hex() == key


def record(select: bytes) -> bytes:
    """The DeviceEngagement in a Handover Select message: the payload of 88 bytes after the record's type and id."""
    start = select.index(b"iso.org:18013:deviceengagementmdoc") + 34
    return select[start : start + 88]


def test_the_nfc_session_of_annex_d() -> None:
    established = decode_view(octets("iso18013-5-annex-d/session-establishment.hex"))
    select = octets("iso18013-5-annex-d/nfc-handover-select.hex")
    handover = NfcHandover(
        device_engagement_bytes=wrap24(record(select)),
        e_reader_key_bytes=established["eReaderKey"].raw,
        handover_select=select,
        handover_request=octets("iso18013-5-annex-d/nfc-handover-request.hex"),
    )
    published = octets("iso18013-5-annex-d/session-transcript-bytes.hex")
    assert handover.transcript().tagged == published
    assert octets("isomdl/session-session-transcript.hex") == published


def apdus(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = params(f"multipaz-nfc-engagement/{name}.json")["apdus"]
    return found


def test_static_nfc_handover_has_no_request() -> None:
    select = bytes.fromhex(apdus("testStaticHandover")[-1]["data"])
    engagement = record(select)
    reader_key = wrap24(encode(encode_key(E_READER.public_key)))
    handover = NfcHandover(
        device_engagement_bytes=wrap24(engagement),
        e_reader_key_bytes=reader_key,
        handover_select=select,
        handover_request=None,
    )
    encoded = handover.transcript().encoded
    assert encoded == b"\x83" + wrap24(engagement) + reader_key + b"\x82\x58\xfe" + select + b"\xf6"


def test_negotiated_nfc_handover_has_both_messages_select_first() -> None:
    commands = apdus("testNegotiatedHandover")
    select = bytes.fromhex(commands[-1]["data"])
    request = bytes.fromhex(
        next(one["data"] for one in commands if one["type"] == "command" and one["data"][:4] == "00a8")
    )[2:]
    assert len(request) == 0xA8
    handover = NfcHandover(
        device_engagement_bytes=wrap24(b"\xa0"),
        e_reader_key_bytes=wrap24(b"\xa0"),
        handover_select=select,
        handover_request=request,
    )
    assert decode(handover.transcript().encoded)[2] == [select, request]
    assert handover.encoded == b"\x82\x58\xba" + select + b"\x58\xa8" + request


def test_a_reader_engagement_goes_in_by_its_hash() -> None:
    engagement = encode({0: "1.1", 1: [1, "key"]})
    handover = ReaderEngagementHandover(
        device_engagement_bytes=wrap24(b"\xa0"),
        e_reader_key_bytes=wrap24(b"\xa1\x01\x02"),
        reader_engagement=engagement,
    )
    expected = hashlib.sha256(wrap24(engagement)).digest()
    assert handover.transcript().encoded == bytes.fromhex("83d81841a0d81843a101025820") + expected


def test_received_slices_go_in_as_they_came_however_oddly_they_are_encoded() -> None:
    odd = b"\xd8\x18\x59\x00\x02\xb8\x00"  # a length and a map head in more bytes than they need
    handover = QrHandover(device_engagement_bytes=odd, e_reader_key_bytes=odd)
    assert handover.transcript().encoded == b"\x83" + odd + odd + b"\xf6"


def test_the_sample_session_is_one_from_a_qr_code() -> None:
    sample = sample_transcript(deterministic_ephemeral_key("reader").public_key)
    engagement, reader_key, _ = decode_view(sample.encoded)
    again = QrHandover(device_engagement_bytes=engagement.raw, e_reader_key_bytes=reader_key.raw)
    assert again.transcript() == sample


@pytest.mark.parametrize("field", ["device_engagement_bytes", "e_reader_key_bytes"])
@pytest.mark.parametrize("value", [b"", b"\xa0", b"\x41\xa0", b"\xf6", wrap24(b"\xa0") + b"\x00"])
def test_what_is_not_in_tag_24_is_refused(field: str, value: bytes) -> None:
    fields: dict[str, Any] = {"device_engagement_bytes": wrap24(b"\xa0"), "e_reader_key_bytes": wrap24(b"\xa0")}
    for make in (
        QrHandover,
        lambda **given: NfcHandover(handover_select=b"", handover_request=None, **given),
        lambda **given: ReaderEngagementHandover(reader_engagement=b"", **given),
    ):
        make(**fields)
        with pytest.raises(DecodeError):
            make(**fields | {field: value})


# --- online -----------------------------------------------------------------------------------------------------------


def test_the_published_thumbprint() -> None:
    assert jwk_thumbprint(JWK) == THUMBPRINT
    assert jwk_thumbprint({"use": "enc", "alg": "ECDH-ES", "kid": "1"} | JWK) == THUMBPRINT


def test_openid4vp_by_redirect() -> None:
    handover = OpenId4VpHandover(
        client_id="x509_san_dns:example.com",
        nonce=NONCE,
        jwk_thumbprint=THUMBPRINT,
        response_uri="https://example.com/response",
    )
    digest = "048bc053c00442af9b8eed494cefdd9d95240d254b046b11b68013722aad38ac"
    assert hashlib.sha256(encode(handover.info())).hexdigest() == digest
    assert handover.transcript().encoded.hex() == ("83f6f682714f70656e494434565048616e646f7665725820" + digest)


def test_openid4vp_over_the_dc_api() -> None:
    handover = OpenId4VpDcApiHandover(origin="https://example.com", nonce=NONCE, jwk_thumbprint=THUMBPRINT)
    digest = "fbece366f4212f9762c74cfdbf83b8c69e371d5d68cea09cb4c48ca6daab761a"
    assert hashlib.sha256(encode(handover.info())).hexdigest() == digest
    assert handover.transcript().encoded.hex() == (
        "83f6f682764f70656e4944345650444341504948616e646f7665725820" + digest
    )


def test_openid4vp_as_the_appendix_has_it_step_by_step() -> None:
    given = params("openid4vp-1.0/params.json")
    thumbprint = jwk_thumbprint(given["jwk"])
    assert thumbprint.hex() == given["jwk_thumbprint_sha256_hex"]
    shared: dict[str, Any] = {"nonce": given["nonce"], "jwk_thumbprint": thumbprint}
    redirect = OpenId4VpHandover(client_id=given["client_id"], response_uri=given["response_uri"], **shared)
    dc_api = OpenId4VpDcApiHandover(origin=given["origin"], **shared)
    for name, handover in (("redirect", redirect), ("dcapi", dc_api)):
        assert encode(handover.info()) == octets(f"openid4vp-1.0/{name}-handover-info.hex")
        transcript = octets(f"openid4vp-1.0/{name}-session-transcript.hex")
        assert handover.transcript().encoded == transcript
        assert transcript.endswith(octets(f"openid4vp-1.0/{name}-handover.hex"))


def test_openid4vp_as_a_wallet_used_it() -> None:
    given = params("mdoc-ts-interop/animo-paradym-openid4vp-1.0.params.json")
    handover = OpenId4VpHandover(
        client_id=given["client_id"],
        nonce=given["nonce"],
        jwk_thumbprint=bytes.fromhex(given["jwk_thumbprint_hex"]),
        response_uri=given["response_uri"],
    )
    expected = octets("mdoc-ts-interop/animo-paradym-openid4vp-1.0.session-transcript.hex")
    assert handover.transcript().encoded == expected


def test_draft_24_shares_its_label_with_1_0_and_nothing_else() -> None:
    draft = OpenId4VpDraft24Handover(origin="https://example.com", client_id="example.com", nonce=NONCE)
    digest = hashlib.sha256(encode(["https://example.com", "example.com", NONCE])).hexdigest()
    prefix = "83f6f682764f70656e4944345650444341504948616e646f7665725820"
    assert draft.transcript().encoded.hex() == prefix + digest
    current = OpenId4VpDcApiHandover(origin="https://example.com", nonce=NONCE, jwk_thumbprint=None)
    assert current.transcript() != draft.transcript()


def test_the_draft_for_issuance() -> None:
    handover = OpenId4VciHandover(endpoint="https://example.com/iae", nonce=NONCE, jwk_thumbprint=THUMBPRINT)
    assert handover.transcript().encoded.hex() == (
        "83f6f682754f70656e49443456434949414548616e646f7665725820"
        "df679426cc1bf8996e8eb549ee078815a87a97c5e95c1c5a8ec39eedca28a838"
    )


def test_annex_b() -> None:
    handover = AnnexBHandover(
        client_id="example.com",
        response_uri="https://example.com/12345/response",
        nonce="abcdefgh1234567890",
        mdoc_generated_nonce="1234567890abcdefgh",
    )
    encoded = handover.transcript().encoded
    assert encoded.hex() == (
        "83f6f6835820da25c527e5fb75bc2dd31267c02237c4462ba0c1bf37071f692e7dd93b10ad0b5820f6ed8e3220d3c59a5f17eb45f48ab70a"
        "eecf9ee21744b1014982350bd96ac0c572616263646566676831323334353637383930"
    )
    assert hashlib.sha256(encoded).hexdigest() == "3fa2fb256ff54d35e19fee7f889cb5e221dbb702c37eab419ab7bd72f8f6e94e"
    assert AnnexBHandover(**params("iso18013-7-annex-b/params.json")).transcript().encoded == encoded
    assert octets("iso18013-7-annex-b/session-transcript.hex") == encoded


@pytest.mark.parametrize("name", ["france-playground", "ubique"])
def test_annex_b_as_wallets_used_it(name: str) -> None:
    given = params(f"mdoc-ts-interop/{name}.params.json")
    names = ("client_id", "response_uri", "nonce", "mdoc_generated_nonce")
    handover = AnnexBHandover(**{one: given[one] for one in names})
    assert handover.transcript().encoded == octets(f"mdoc-ts-interop/{name}.session-transcript.hex")


def test_annex_c_hashes_the_text_of_the_encryption_info() -> None:
    handover = AnnexCHandover(
        origin="https://example.com",
        encryption_info="gmVkY2FwaaJlbm9uY2VQuTBR9ybYyMxHk586vsBGt3JyZWNpcGllbnRQdWJsaWNLZXmkAQIgASFYIGDjOSOFBB9RQDBR8kFVM"
        "ctW3T-ZnHFocBOqxnaLyBh-Ilgg5Y3rj9vpB_fdU2gkVVGjR5b30iFcRAwzm7D3tnvszfo",
    )
    assert handover.transcript().encoded.hex() == (
        "83f6f6826564636170695820642a3e58e7d7d9b1c2c066984550c0204cbfd2bb386c58c687be5d76210c1a70"
    )


def test_annex_c_as_the_deterministic_vector_has_it() -> None:
    given = params("iso18013-7-annex-c/ANNEXC-DETERMINISTIC-001.json")
    transcript = AnnexCHandover(origin=given["origin"], encryption_info=given["encryptionInfoB64"]).transcript()
    assert transcript.encoded == octets("iso18013-7-annex-c/ANNEXC-DETERMINISTIC-001.session-transcript.hex")
    expected = given["expected"]["sessionTranscriptCborSha256Hex"]
    assert hashlib.sha256(transcript.encoded).hexdigest() == expected


def test_online_there_is_neither_engagement_nor_reader_key() -> None:
    handovers: list[Handover] = [
        OpenId4VpHandover(client_id="c", nonce="n", jwk_thumbprint=None, response_uri="u"),
        OpenId4VpDcApiHandover(origin="o", nonce="n", jwk_thumbprint=None),
        OpenId4VpDraft24Handover(origin="o", client_id="c", nonce="n"),
        OpenId4VciHandover(endpoint="e", nonce="n", jwk_thumbprint=None),
        AnnexBHandover(client_id="c", response_uri="u", nonce="n", mdoc_generated_nonce="m"),
        AnnexCHandover(encryption_info="i", origin="o"),
    ]
    transcripts = {handover.transcript() for handover in handovers}
    assert len(transcripts) == len(handovers)
    for transcript in transcripts:
        assert isinstance(transcript, SessionTranscript)
        assert decode(transcript.encoded)[:2] == [None, None]


HONEST: list[tuple[Callable[..., Handover], dict[str, Any]]] = [
    (OpenId4VpHandover, {"client_id": "c", "nonce": "n", "jwk_thumbprint": THUMBPRINT, "response_uri": "u"}),
    (OpenId4VpDcApiHandover, {"origin": "o", "nonce": "n", "jwk_thumbprint": THUMBPRINT}),
    (OpenId4VpDraft24Handover, {"origin": "o", "client_id": "c", "nonce": "n"}),
    (OpenId4VciHandover, {"endpoint": "e", "nonce": "n", "jwk_thumbprint": THUMBPRINT}),
    (AnnexBHandover, {"client_id": "c", "response_uri": "u", "nonce": "n", "mdoc_generated_nonce": "m"}),
    (AnnexCHandover, {"encryption_info": "i", "origin": "o"}),
    (QrHandover, {"device_engagement_bytes": wrap24(b"\xa0"), "e_reader_key_bytes": wrap24(b"\xa0")}),
    (
        NfcHandover,
        {
            "device_engagement_bytes": wrap24(b"\xa0"),
            "e_reader_key_bytes": wrap24(b"\xa0"),
            "handover_select": b"s",
            "handover_request": b"r",
        },
    ),
    (
        ReaderEngagementHandover,
        {
            "device_engagement_bytes": wrap24(b"\xa0"),
            "e_reader_key_bytes": wrap24(b"\xa0"),
            "reader_engagement": b"\xa0",
        },
    ),
]


@pytest.mark.parametrize(("make", "fields"), HONEST, ids=lambda one: getattr(one, "__name__", ""))
def test_a_value_of_the_wrong_type_is_refused_and_not_encoded(
    make: Callable[..., Handover], fields: dict[str, Any]
) -> None:
    make(**fields).transcript()
    for name, value in fields.items():
        other: Any = value.encode() if isinstance(value, str) else value.hex()
        for wrong in (other, 1, bytearray(b"x")):
            with pytest.raises(TypeError):
                make(**fields | {name: wrong})


@pytest.mark.parametrize("thumbprint", [b"", THUMBPRINT[:-1], THUMBPRINT + b"\x00", THUMBPRINT.hex()])
def test_a_thumbprint_is_32_bytes_or_none(thumbprint: Any) -> None:
    for make, fields in HONEST:
        if "jwk_thumbprint" in fields:
            assert make(**fields | {"jwk_thumbprint": None}).transcript() != make(**fields).transcript()
            with pytest.raises(TypeError):
                make(**fields | {"jwk_thumbprint": thumbprint})


@pytest.mark.parametrize(
    "jwk",
    [
        {},
        {**JWK, "kty": "RSA"},
        {**JWK, "kty": ["EC"]},
        {**JWK, "y": 1},
        {"kty": "EC", "crv": "P-256", "x": "AA"},
        {**JWK, "x": "\ud800"},
    ],
)
def test_what_is_no_public_key_has_no_thumbprint(jwk: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError) as caught:
        jwk_thumbprint(jwk)
    assert caught.value.code == "key.unsupported"


def test_an_okp_key_has_a_thumbprint_of_three_members() -> None:
    jwk = {"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "1"}
    expected = hashlib.sha256(b'{"crv":"X25519","kty":"OKP","x":"AAAA"}').digest()
    assert jwk_thumbprint(jwk) == expected

"""Own messages to take apart and to damage: made from fixed keys, a fixed clock and fixed salts."""

import datetime as dt
import hashlib
from functools import cache
from typing import Any

from mdl.cbor import FullDate, Tagged24, encode, wrap24
from mdl.cose import (
    HMAC_256_256,
    X5CHAIN,
    CoseMac0,
    CoseSign1,
    encode_key,
    mac_structure,
    protected_header,
    sig_structure,
)
from mdl.keys import EphemeralKey, Signer, SoftwareSigner, hmac_sha256
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
    device_authentication_bytes,
    device_mac_key,
    reader_authentication_bytes,
)

MDL = "org.iso.18013.5.1.mDL"
NAMESPACE = "org.iso.18013.5.1"
AT = dt.datetime(2026, 1, 31, tzinfo=dt.UTC)

ISSUER = SoftwareSigner.from_secret("P-256", 0x1111_2222_3333, deterministic=True)
DEVICE = SoftwareSigner.from_secret("P-256", 0x4444_5555_6666, deterministic=True)
READER = SoftwareSigner.from_secret("P-256", 0x7777_8888_9999, deterministic=True)
E_READER = EphemeralKey.from_secret("P-256", 0xAAAA_BBBB_CCCC)
E_DEVICE = EphemeralKey.from_secret("P-256", 0xDDDD_EEEE_FFFF)

ELEMENTS: dict[str, Any] = {
    "family_name": "Mustermann",
    "birth_date": FullDate("1980-02-29"),
    "portrait": bytes(range(256)) * 2,
    "driving_privileges": [{"vehicle_category_code": "B", "issue_date": FullDate("2018-08-09")}],
    "age_over_18": True,
}


def tagged24(content: bytes) -> Tagged24:
    return Tagged24(content, wrap24(content))


def sign1(
    signer: Signer, payload: bytes, *, detached: bool = False, unprotected: dict[Any, Any] | None = None
) -> CoseSign1:
    """A signature as the roles of the standard make them."""
    algorithm = signer.public_key.algorithm.cose_id
    protected = protected_header(algorithm)
    signature = signer.sign(sig_structure(protected, payload))
    return CoseSign1(protected, {1: algorithm}, unprotected or {}, None if detached else payload, signature)


def mac0(key: bytes, payload: bytes) -> CoseMac0:
    protected = protected_header(HMAC_256_256)
    return CoseMac0(protected, {1: HMAC_256_256}, {}, None, hmac_sha256(key, mac_structure(protected, payload)))


@cache
def items() -> tuple[Tagged24, ...]:
    return tuple(
        tagged24(
            encode(
                {
                    "digestID": number,
                    "random": hashlib.sha256(name.encode()).digest(),
                    "elementIdentifier": name,
                    "elementValue": value,
                }
            )
        )
        for number, (name, value) in enumerate(ELEMENTS.items())
    )


@cache
def security_object() -> MobileSecurityObject:
    return MobileSecurityObject(
        version="1.0",
        digest_algorithm="SHA-256",
        value_digests={NAMESPACE: {number: hashlib.sha256(item.raw).digest() for number, item in enumerate(items())}},
        device_key=encode_key(DEVICE.public_key),
        key_authorizations=KeyAuthorizations(frozenset({"org.example"}), {NAMESPACE: frozenset({"age_over_18"})}),
        doctype=MDL,
        validity_info=ValidityInfo(signed=AT, valid_from=AT, valid_until=AT + dt.timedelta(days=30)).to_cbor(),
        status={"status_list": {"idx": 7, "uri": "https://example.org/status/1"}},
    )


@cache
def issuer_signed(signer: Signer = ISSUER) -> IssuerSigned:
    """A credential; what stands in its x5chain is no certificate."""
    auth = sign1(signer, security_object().encode(), unprotected={X5CHAIN: b"\x30\x03\x02\x01\x00"})
    return IssuerSigned({NAMESPACE: items()}, auth)


@cache
def transcript() -> SessionTranscript:
    key = wrap24(encode(encode_key(E_DEVICE.public_key)))
    engagement = b"\xa2\x00\x63\x31\x2e\x30\x01\x82\x01" + key
    reader_key = wrap24(encode(encode_key(E_READER.public_key)))
    return SessionTranscript(b"\x83" + wrap24(engagement) + reader_key + b"\xf6")


@cache
def device_signed(*, mac: bool) -> DeviceSigned:
    spaces = tagged24(encode({NAMESPACE: {"age_over_18": True}}))
    payload = device_authentication_bytes(transcript(), MDL, spaces.raw)
    if mac:
        key = device_mac_key(DEVICE, E_READER.public_key, transcript())
        return DeviceSigned(spaces, {NAMESPACE: {"age_over_18": True}}, None, mac0(key, payload))
    return DeviceSigned(spaces, {NAMESPACE: {"age_over_18": True}}, sign1(DEVICE, payload, detached=True), None)


@cache
def device_response(*, mac: bool = False) -> DeviceResponse:
    document = Document(MDL, issuer_signed(), device_signed(mac=mac), {NAMESPACE: {"given_name": 0}})
    return DeviceResponse("1.0", (document, document), ({"org.example.other": 0},), 0)


@cache
def device_request() -> DeviceRequest:
    plain = DocRequest.of(ItemsRequest(MDL, {NAMESPACE: {"family_name": False, "portrait": True}}, {"org.example": 1}))
    payload = reader_authentication_bytes(transcript(), plain.items_request_bytes.raw)
    auth = sign1(READER, payload, detached=True, unprotected={X5CHAIN: [b"\x30\x00", b"\x30\x00"]})
    signed = DocRequest(plain.items_request, plain.items_request_bytes, auth)
    return DeviceRequest((signed, plain), "1.1", tagged24(encode({"useCases": []})), (auth,))

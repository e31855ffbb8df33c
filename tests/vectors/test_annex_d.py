"""The worked examples of 18013-5 Annex D: decoded, written again byte for byte, and every intermediate value."""

import hashlib

import pytest
from cryptography import x509

from mdl.cbor import FullDate, Tagged24, decode, decode_view, encode
from mdl.cose import decode_key, decode_sign1, encode_key, mac_structure, sig_structure
from mdl.errors import DecodeError, VerificationError
from mdl.keys import EphemeralKey, PublicKey, SoftwareSigner, hkdf_sha256
from mdl.mdoc import (
    DeviceRequest,
    DeviceResponse,
    Document,
    IssuerSigned,
    ItemsRequest,
    SessionTranscript,
    device_authentication_bytes,
    device_mac_key,
    reader_authentication_bytes,
)
from tests import external


def vector(name: str) -> bytes:
    return external.octets(f"iso18013-5-annex-d/{name}.hex")


def secret(name: str) -> int:
    return int.from_bytes(vector(f"{name}-d"))


@pytest.fixture(scope="module")
def response() -> DeviceResponse:
    return DeviceResponse.decode(vector("device-response"))


@pytest.fixture(scope="module")
def document(response: DeviceResponse) -> Document:
    (one,) = response.documents
    return one


@pytest.fixture(scope="module")
def transcript() -> SessionTranscript:
    tagged = decode_view(vector("session-transcript-bytes"))
    assert isinstance(tagged, Tagged24)
    return SessionTranscript(tagged.content)


@pytest.fixture(scope="module")
def issuer_key() -> PublicKey:
    return PublicKey.from_cryptography(x509.load_der_x509_certificate(vector("ds-cert")).public_key())


def test_the_response_is_written_again_byte_for_byte(response: DeviceResponse) -> None:
    assert response.encode() == vector("device-response")
    assert (response.version, response.status, response.document_errors, response.unsupported) == ("1.0", 0, (), ())


def test_the_request_is_written_again_byte_for_byte() -> None:
    request = DeviceRequest.decode(vector("device-request"))
    assert request.encode() == vector("device-request")
    (one,) = request.doc_requests
    assert one.items_request_bytes.content == vector("items-request")
    assert one.items_request.encode() == vector("items-request")
    assert ItemsRequest.decode(vector("items-request")) == one.items_request
    assert one.reader_auth is not None
    assert one.reader_auth.encode() == vector("reader-auth")


def test_the_parts_of_the_document_are_the_published_ones(document: Document) -> None:
    auth = document.issuer_signed.issuer_auth
    assert auth.encode() == vector("issuer-auth")
    assert auth.x5chain == (vector("ds-cert"),)
    assert decode_sign1(decode_view(vector("issuer-auth"))) == auth
    assert sig_structure(auth.protected, auth.payload or b"") == vector("issuer-auth-sig-structure")
    assert document.device_signed is not None
    assert document.device_signed.mac is not None
    assert document.device_signed.signature is None
    assert encode({"deviceMac": decode(document.device_signed.mac.encode())}) == vector("device-auth")


def test_the_security_object(document: Document) -> None:
    mso = document.issuer_signed.security_object()
    assert mso.encode() == document.issuer_signed.issuer_auth.payload
    assert (mso.version, mso.digest_algorithm, mso.doctype) == ("1.0", "SHA-256", "org.iso.18013.5.1.mDL")
    assert mso.validity.strict
    assert (mso.key_authorizations, mso.status) == (None, None)
    assert {name: len(ids) for name, ids in mso.value_digests.items()} == {
        "org.iso.18013.5.1": 13,
        "org.iso.18013.5.1.US": 4,
    }
    assert mso.device_public_key == SoftwareSigner.from_secret("P-256", secret("static-device-key")).public_key
    parts = encode_key(mso.device_public_key)
    assert (parts[-2], parts[-3]) == (vector("static-device-key-x"), vector("static-device-key-y"))


def test_every_disclosed_item_has_its_digest(document: Document) -> None:
    digests = document.issuer_signed.security_object().value_digests
    count = 0
    for namespace, items in document.issuer_signed.name_spaces.items():
        for item in items:
            number = decode(item.content)["digestID"]
            assert hashlib.sha256(item.raw).digest() == digests[namespace][number]
            count += 1
    assert count == 6


def test_the_elements(document: Document) -> None:
    elements = {identifier: value for _, identifier, value in document.issuer_signed.elements()}
    assert elements["family_name"] == "Doe"
    assert elements["issue_date"] == FullDate("2019-10-20")
    assert elements["portrait"] == vector("device-response-portrait-data")
    assert elements["driving_privileges"] == decode(vector("driving-privileges-d21"))
    assert len(elements) == 6


def test_the_issuers_signature(document: Document, issuer_key: PublicKey) -> None:
    document.issuer_signed.issuer_auth.verify(issuer_key)
    root = PublicKey.from_cryptography(x509.load_der_x509_certificate(vector("iaca-cert")).public_key())
    with pytest.raises(VerificationError):
        document.issuer_signed.issuer_auth.verify(root)


def test_the_transcript_and_its_salt(transcript: SessionTranscript) -> None:
    assert transcript.tagged == vector("session-transcript-bytes")
    assert transcript.salt.hex() == "f823ac566e22b2106c9b7c02fadc7482e559a1de8a809b56c828779e6d67570e"
    _, _, handover = decode_view(transcript.encoded)
    assert handover == [vector("nfc-handover-select"), vector("nfc-handover-request")]


def test_the_device_mac(document: Document, transcript: SessionTranscript) -> None:
    assert document.device_signed is not None
    assert document.device_signed.mac is not None
    payload = device_authentication_bytes(transcript, document.doctype, document.device_signed.name_spaces_bytes.raw)
    assert payload == vector("device-authentication-bytes")
    assert mac_structure(document.device_signed.mac.protected, payload) == vector("device-mac-structure")

    device = SoftwareSigner.from_secret("P-256", secret("static-device-key"))
    reader = EphemeralKey.from_secret("P-256", secret("ephemeral-reader-key"))
    assert reader.agree(device.public_key) == device.agree(reader.public_key) == vector("emackey-zab")
    key = device_mac_key(reader, device.public_key, transcript)
    assert key == device_mac_key(device, reader.public_key, transcript) == vector("emackey")
    assert key.hex() == "dc2b9566fdaaae3c06baa40993cd0451aeba15e7677ef5305f6531f3533c35dd"
    document.device_signed.mac.verify(key, detached=payload)
    with pytest.raises(VerificationError):
        document.device_signed.mac.verify(key, detached=payload + b"\x00")
    another = SessionTranscript(b"\x83\xf6\xf6\xf6")
    with pytest.raises(VerificationError):
        document.device_signed.mac.verify(device_mac_key(reader, device.public_key, another), detached=payload)


def test_the_readers_signature(transcript: SessionTranscript) -> None:
    (one,) = DeviceRequest.decode(vector("device-request")).doc_requests
    assert one.reader_auth is not None
    payload = reader_authentication_bytes(transcript, one.items_request_bytes.raw)
    assert payload == vector("reader-authentication-bytes")
    assert sig_structure(one.reader_auth.protected, payload) == vector("reader-auth-sig-structure")
    assert one.reader_auth.x5chain == (vector("reader-cert"),)
    key = PublicKey.from_cryptography(x509.load_der_x509_certificate(vector("reader-cert")).public_key())
    one.reader_auth.verify(key, detached=payload)
    with pytest.raises(VerificationError):
        one.reader_auth.verify(key, detached=payload[:-1])


@pytest.mark.parametrize("name", ["ephemeral-device-key", "ephemeral-reader-key", "static-device-key"])
def test_the_published_keys(name: str) -> None:
    key = EphemeralKey.from_secret("P-256", secret(name)).public_key
    assert encode_key(key) == {1: 2, -1: 1, -2: vector(f"{name}-x"), -3: vector(f"{name}-y")}


def test_the_session_keys(transcript: SessionTranscript) -> None:
    device_key_bytes = decode_view(vector("e-device-key-bytes"))
    assert device_key_bytes.raw == vector("e-device-key-bytes")
    device = decode_key(decode(device_key_bytes.content))
    engagement = decode_view(vector("device-engagement"))
    assert engagement[1] == [1, device_key_bytes]
    reader = EphemeralKey.from_secret("P-256", secret("ephemeral-reader-key"))
    for info, name in ((b"SKReader", "derived-skreader"), (b"SKDevice", "derived-skdevice")):
        assert hkdf_sha256(reader.agree(device), salt=transcript.salt, info=info, length=32) == vector(name)


def test_cut_anywhere_the_messages_are_refused() -> None:
    for name, read in (("device-response", DeviceResponse.decode), ("device-request", DeviceRequest.decode)):
        data = vector(name)
        for cut in range(len(data)):
            with pytest.raises(DecodeError) as caught:
                read(data[:cut])
            assert caught.value.code == "cbor.truncated"


def test_the_same_credential_as_another_library_carries_it() -> None:
    data = external.octets("isomdl/issuer-signed.hex")
    credential = IssuerSigned.decode(data)
    assert credential.encode() == data
    assert credential.issuer_auth.encode() == vector("issuer-auth")

"""The fuzz invariant: any bytes give a value or an `MdlError`, never another exception, and a bounded time.

Bytes come in four kinds: any at all, near misses of CBOR, damaged real messages, and well-formed structures in which a
part is something else. Each goes through every entry point, and what is read is then used as a reader would use it.
"""

import copy
import pickle
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdl import cbor, cose, mdoc
from mdl.cbor import FullDate, Tagged24, TDate, decode, decode_sequence, decode_view, diagnose, encode
from mdl.errors import MdlError
from mdl.keys import CURVES, EphemeralKey, PublicKey, SoftwareSigner, der_to_raw
from tests import external, samples, wire

FUZZ = settings(max_examples=4 * settings().max_examples)
SECONDS = 2.0  # of the processor, for messages of a few kB; a thousandth of it is usual


def attempt(act: Callable[..., Any], *arguments: Any) -> Any:
    """The value, or None for a refusal; any other exception fails the test."""
    start = time.process_time()
    try:
        return act(*arguments)
    except MdlError as error:
        assert error.code  # noqa: PT017
        assert "\n" not in str(error)  # noqa: PT017
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back)) == (type(error), str(error))  # noqa: PT017
        return None
    finally:
        assert time.process_time() - start < SECONDS


def use_cbor(data: bytes) -> None:
    for value in (attempt(decode, data), attempt(decode_view, data), attempt(decode_sequence, [data, b"\x00", data])):
        diagnose(value)
        diagnose(value, longest=4)
        encode(value)
        for date in dates(value):
            attempt(lambda date=date: date.datetime if isinstance(date, TDate) else date.date)


def dates(value: Any) -> Iterator[TDate | FullDate]:
    match value:
        case TDate() | FullDate():
            yield value
        case cbor.Tag():
            yield from dates(value.value)
        case list() | tuple() if not isinstance(value, Tagged24):
            for one in value:
                yield from dates(one)
        case dict():
            for one in value.values():
                yield from dates(one)


def use_sign1(message: cose.CoseSign1 | None) -> None:
    if message is None:
        return
    attempt(lambda: message.x5chain)
    attempt(lambda: message.algorithm)
    for signer in (samples.ISSUER, samples.DEVICE):
        attempt(message.verify, signer.public_key)
    attempt(lambda: message.verify(samples.DEVICE.public_key, detached=b"payload"))
    message.encode()


def use_mac0(message: cose.CoseMac0 | None) -> None:
    if message is not None:
        attempt(lambda: message.verify(bytes(32), detached=b"payload"))
        message.encode()


def use_mso(mso: mdoc.MobileSecurityObject | None) -> None:
    if mso is not None:
        attempt(lambda: mso.device_public_key)
        attempt(lambda: mso.validity)
        attempt(mdoc.Version.parse, mso.version)
        if mso.key_authorizations is not None:
            mso.key_authorizations.permits("a", "b")
        mso.encode()


def use_issuer_signed(signed: mdoc.IssuerSigned | None) -> None:
    if signed is not None:
        use_sign1(signed.issuer_auth)
        use_mso(attempt(signed.security_object))
        attempt(lambda: list(signed.elements()))
        assert mdoc.IssuerSigned.decode(signed.encode()) == signed


def use_device_signed(signed: mdoc.DeviceSigned | None) -> None:
    if signed is not None:
        use_sign1(signed.signature)
        use_mac0(signed.mac)
        mdoc.device_authentication_bytes(samples.transcript(), "doctype", signed.name_spaces_bytes.raw)
        signed.encode()


def use_response(response: mdoc.DeviceResponse | None) -> None:
    if response is not None:
        for document in response.documents:
            use_issuer_signed(document.issuer_signed)
            use_device_signed(document.device_signed)
        assert mdoc.DeviceResponse.decode(response.encode()).documents == response.documents


def use_request(request: mdoc.DeviceRequest | None) -> None:
    if request is not None:
        for one in request.doc_requests:
            use_sign1(one.reader_auth)
            mdoc.reader_authentication_bytes(samples.transcript(), one.items_request_bytes.raw)
            one.items_request.encode()
        for auth in request.reader_auth_all:
            use_sign1(auth)
        assert mdoc.DeviceRequest.decode(request.encode()) == request


def use_transcript(transcript: mdoc.SessionTranscript | None) -> None:
    if transcript is not None:
        assert len(transcript.salt) == 32


def use_key(key: PublicKey | None) -> None:
    if key is not None:
        attempt(key.verify, bytes(64), b"")
        attempt(samples.E_READER.agree, key)
        assert cose.decode_key(cose.encode_key(key)) == key
        assert PublicKey.from_spki(key.spki) == key


def use_bytes(data: bytes) -> None:
    """Every entry point that takes bytes."""
    use_cbor(data)
    use_response(attempt(mdoc.DeviceResponse.decode, data))
    use_request(attempt(mdoc.DeviceRequest.decode, data))
    use_issuer_signed(attempt(mdoc.IssuerSigned.decode, data))
    use_mso(attempt(mdoc.MobileSecurityObject.decode, data))
    attempt(mdoc.ItemsRequest.decode, data)
    use_transcript(attempt(mdoc.SessionTranscript, data))
    for read in (decode, decode_view):
        use_value(attempt(read, data))


def use_value(value: Any) -> None:
    """Every entry point that takes a decoded value."""
    use_sign1(attempt(cose.decode_sign1, value))
    use_mac0(attempt(cose.decode_mac0, value))
    use_key(attempt(cose.decode_key, value))
    attempt(mdoc.Version.parse, value)
    attempt(mdoc.ValidityInfo.decode, value, "")
    attempt(mdoc.KeyAuthorizations.decode, value, "")
    attempt(mdoc.IssuerSigned.from_value, value, "")
    use_device_signed(attempt(mdoc.DeviceSigned.from_value, value, ""))
    attempt(mdoc.Document.from_value, value, "")
    attempt(mdoc.DocRequest.from_value, value, "", cbor.DEFAULT_LIMITS)


def messages() -> list[bytes]:
    """Own messages, and the published ones where they are at hand."""
    own = [
        samples.device_response(mac=False).encode(),
        samples.device_response(mac=True).encode(),
        samples.device_request().encode(),
        samples.issuer_signed().encode(),
        samples.security_object().encode(),
        samples.device_signed(mac=True).encode(),
        samples.transcript().encoded,
        samples.device_request().doc_requests[0].items_request.encode(),
        encode(cose.encode_key(samples.DEVICE.public_key)),
        encode(cose.encode_key(EphemeralKey.generate("X25519").public_key)),
        samples.issuer_signed().issuer_auth.encode(),
        samples.items()[3].raw,
    ]
    annex_d = external.ROOT / "iso18013-5-annex-d"
    if annex_d.is_dir():
        names = ("device-response", "device-request", "issuer-auth", "session-transcript-bytes")
        own += [bytes.fromhex((annex_d / f"{name}.hex").read_text("ascii")) for name in names]
    return own


MESSAGES = messages()


def test_the_messages_themselves_are_read() -> None:
    for data in MESSAGES:
        use_bytes(data)
    assert mdoc.DeviceResponse.decode(MESSAGES[0]).documents


@FUZZ
@given(st.binary(max_size=64))
def test_any_bytes(data: bytes) -> None:
    use_bytes(data)


@FUZZ
@given(wire.near_misses())
def test_near_misses_of_cbor(data: bytes) -> None:
    use_bytes(data)


@FUZZ
@given(wire.mutations(MESSAGES))
def test_damaged_messages(data: bytes) -> None:
    use_bytes(data)


def test_every_bit_of_a_small_message_flipped() -> None:
    for data in (encode(cose.encode_key(samples.DEVICE.public_key)), samples.device_signed(mac=True).encode()):
        for at in range(len(data)):
            for bit in range(8):
                use_bytes(bytes((*data[:at], data[at] ^ 1 << bit, *data[at + 1 :])))


# --- well formed, but not what belongs there --------------------------------------------------------------------------

_NAMES = """
    version documents docType issuerSigned deviceSigned errors nameSpaces issuerAuth deviceAuth deviceSignature
    deviceMac status documentErrors zkDocuments docRequests itemsRequest readerAuth readerAuthAll deviceRequestInfo
    requestInfo digestAlgorithm valueDigests deviceKeyInfo deviceKey keyAuthorizations dataElements validityInfo
    signed validFrom validUntil expectedUpdate digestID random elementIdentifier elementValue
    org.iso.18013.5.1 1.0 SHA-256
"""
NAMES = st.sampled_from(_NAMES.split())
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 64), (1 << 64) - 1),
    st.floats(),
    st.binary(max_size=70),
    st.text(max_size=12),
    NAMES,
    st.sampled_from([TDate("2026-01-31T00:00:00Z"), TDate("soon"), FullDate("2026-01-31"), FullDate("")]),
    st.sampled_from([data for data in MESSAGES if len(data) < 1000]).map(decode_view),
    st.sampled_from(MESSAGES).map(samples.tagged24),
    st.sampled_from([b"", b"\xa0", b"\xa1\x01\x26", b"\xa1\x01\x05", b"\xa1\x01\xf5", bytes(64)]),
)
KEYS = st.one_of(NAMES, st.text(max_size=4), st.integers(-5, 40), st.binary(max_size=2))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(KEYS, inner, max_size=5),
        st.builds(cbor.Tag, st.sampled_from([6, 17, 18, 61, 100]), inner),
        inner.map(lambda value: samples.tagged24(encode(value))),
    ),
    max_leaves=8,
)


def spots(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every part of a decoded value."""
    yield where
    if isinstance(value, dict):
        for key, one in value.items():
            yield from spots(one, (*where, key))
    elif type(value) is list:
        for index, one in enumerate(value):
            yield from spots(one, (*where, index))


DECODED = [decode_view(data) for data in MESSAGES]


@st.composite
def disturbed(draw: st.DrawFn) -> Any:
    """A real message in which up to three parts are something else, are gone, or are more."""
    value = copy.deepcopy(draw(st.sampled_from(DECODED)))
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from([one for one in spots(value) if one] or [()]))
        if not where:
            return draw(VALUES)
        spot = value
        for step in where[:-1]:
            spot = spot[step]
        old = spot[where[-1]]
        match draw(st.sampled_from(["change", "change", "remove", "add", "inside"])):
            case "remove":
                del spot[where[-1]]
            case "add" if isinstance(old, dict):
                old[draw(KEYS)] = draw(VALUES)
            case "add" if type(old) is list:
                old.append(draw(VALUES))
            case "inside" if isinstance(old, Tagged24):
                inner = attempt(decode, old.content)
                if isinstance(inner, dict):
                    inner[draw(st.one_of(st.sampled_from(list(inner)), KEYS) if inner else KEYS)] = draw(VALUES)
                spot[where[-1]] = samples.tagged24(encode(inner))
            case _:
                spot[where[-1]] = draw(VALUES)
    return value


@FUZZ
@given(disturbed())
def test_messages_with_a_part_that_does_not_belong(value: Any) -> None:
    use_value(value)
    use_bytes(encode(value))


@FUZZ
@given(VALUES)
def test_values_of_any_shape(value: Any) -> None:
    use_value(value)
    use_bytes(encode(value))
    use_bytes(cbor.wrap24(encode(value)))


# --- keys and signatures ----------------------------------------------------------------------------------------------

SIGNERS = [SoftwareSigner.generate(name) for name, curve in CURVES.items() if curve.algorithm]
AGREEING = [EphemeralKey.generate(name) for name in ("P-256", "brainpoolP384r1", "X25519", "X448")]
PUBLIC_KEYS = [one.public_key for one in SIGNERS] + [one.public_key for one in AGREEING]
SPKIS = [one.spki for one in PUBLIC_KEYS]
PEMS = [one.pem for one in PUBLIC_KEYS]
PRIVATE_KEYS = [one.to_pkcs8(password=None) for one in SIGNERS] + [one.to_pkcs8() for one in AGREEING]


@FUZZ
@given(st.one_of(st.binary(max_size=130), wire.mutations(SPKIS), wire.mutations(PEMS)))
def test_any_public_key_file(data: bytes) -> None:
    use_key(attempt(PublicKey.from_spki, data))
    use_key(attempt(PublicKey.from_pem, data))


@FUZZ
@given(st.one_of(st.binary(max_size=130), wire.mutations(PRIVATE_KEYS)))
def test_any_private_key_file(data: bytes) -> None:
    signer = attempt(SoftwareSigner.from_pkcs8, data)
    if signer is not None:
        signer.public_key.verify(signer.sign(b"message"), b"message")
    key = attempt(EphemeralKey.from_pkcs8, data)
    if key is not None:
        attempt(key.agree, samples.E_READER.public_key)


@FUZZ
@given(st.sampled_from(list(CURVES.values())), st.binary(max_size=140))
def test_any_point(curve: Any, data: bytes) -> None:
    use_key(attempt(PublicKey.from_point, curve, data))
    size = curve.coordinate_size
    use_key(attempt(PublicKey.from_point, curve, (b"\x04" + data * 2)[: 1 + 2 * size]))
    use_key(attempt(PublicKey.from_point, curve, (b"\x02" + data)[: 1 + size]))


@FUZZ
@given(st.sampled_from(SIGNERS), st.binary(max_size=150), st.binary(max_size=20), st.booleans())
def test_any_signature(signer: SoftwareSigner, signature: bytes, data: bytes, fit: bool) -> None:
    if fit:
        signature = signature.ljust(signer.public_key.curve.signature_size, b"\x5a")
        signature = signature[: signer.public_key.curve.signature_size]
    with pytest.raises(MdlError):
        signer.public_key.verify(signature, data)
    attempt(der_to_raw, signature, signer.public_key.curve)

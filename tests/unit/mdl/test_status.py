"""Status lists: where a security object can be revoked, lists in and out of tokens, and every way to break them."""

import random
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl import status as status_module
from mdl.cbor import Tag, decode, encode
from mdl.cose import decode_sign1, sig_structure
from mdl.errors import DecodeError, MdlError, SigningError, VerificationError
from mdl.mdoc import DeviceResponse
from mdl.status import (
    IdentifierList,
    IdentifierListInfo,
    ListKind,
    StatusList,
    StatusListInfo,
    StatusReference,
    StatusToken,
    build_status_token,
    prepare_status_token,
)
from mdl.testing import deterministic_key, present, throwaway_authority
from tests import wire
from tests.status_forgery import (
    EXP,
    IAT,
    IDENTIFIER_LIST,
    LIST_KEY,
    NBF,
    STATUS_LIST,
    SUB,
    TTL,
    TYP,
    URI,
    X5CHAIN,
    Token,
    identifier_list,
    signer_recipe,
    status_list,
)

ISSUED = datetime(2026, 6, 1, 11, tzinfo=UTC)
EXPIRES = datetime(2026, 6, 2, 12, tzinfo=UTC)
CERTIFICATE = signer_recipe(throwaway_authority()).build()


def refusal(kind: type[MdlError], act: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    with pytest.raises(kind) as caught:
        act(*arguments, **named)
    assert type(caught.value) is kind
    return caught.value


# --- the status member of a security object ---------------------------------------------------------------------------


def test_a_place_in_a_status_list_is_read() -> None:
    reference = StatusReference.decode({"status_list": {"idx": 412, "uri": URI}})
    assert reference == StatusReference(status_list=StatusListInfo(index=412, uri=URI))
    assert reference.lists == (StatusListInfo(index=412, uri=URI),)
    assert reference.lists[0].kind is ListKind.STATUS_LIST
    assert reference.to_cbor() == {"status_list": {"idx": 412, "uri": URI}}
    immutable = MappingProxyType({"status_list": MappingProxyType({"idx": 412, "uri": URI})})
    assert StatusReference.decode(immutable) == reference


def test_an_identifier_with_a_pinned_certificate_is_read() -> None:
    """The shape of the second edition's Annex D sample: identifier CC CC, a certificate of one byte."""
    uri = "https://example.com/identifierlists/1"
    info = wire.cmap(
        wire.tstr("id"), wire.bstr(b"\xcc\xcc"), wire.tstr("uri"), wire.tstr(uri), wire.tstr("certificate"),
        wire.bstr(b"\xaa"),
    )  # fmt: skip
    encoded = wire.cmap(wire.tstr("identifier_list"), info)
    reference = StatusReference.decode(decode(encoded))
    assert reference.lists == (IdentifierListInfo(identifier=b"\xcc\xcc", uri=uri, certificate=b"\xaa"),)
    assert reference.lists[0].kind is ListKind.IDENTIFIER_LIST
    assert encode(reference.to_cbor()) == encoded


def test_both_mechanisms_may_stand_side_by_side() -> None:
    both = {"status_list": {"idx": 0, "uri": URI}, "identifier_list": {"id": b"\x01", "uri": "https://b.example/2"}}
    reference = StatusReference.decode(both)
    assert [one.kind for one in reference.lists] == [ListKind.STATUS_LIST, ListKind.IDENTIFIER_LIST]
    assert reference.to_cbor() == both


def test_members_that_the_draft_reserves_are_named_and_otherwise_ignored() -> None:
    reference = StatusReference.decode({"status_list": {"idx": 1, "uri": URI, "more": 1}, "later": [1]})
    assert reference.unknown == ("later",)
    assert reference.lists == (StatusListInfo(index=1, uri=URI),)
    assert StatusReference.decode({}).lists == ()


def test_what_an_issuer_writes_comes_back_out_of_a_security_object() -> None:
    reference = StatusReference(status_list=StatusListInfo(index=5, uri=URI, certificate=b"\x30\x00"))
    response = DeviceResponse.decode(present(mso_status=reference.to_cbor()).response)
    mso = response.documents[0].issuer_signed.security_object()
    assert StatusReference.decode(mso.status) == reference


GOOD_PLACE: dict[str, Any] = {"idx": 1, "uri": URI}
GOOD_ID: dict[str, Any] = {"id": b"\x01", "uri": URI}
MIXED_KEYS: dict[Any, Any] = {**GOOD_PLACE, 1: 1}


@pytest.mark.parametrize(
    "value, path",
    [
        ([], "status"),
        ("status_list", "status"),
        ({1: GOOD_PLACE}, "status"),
        ({"status_list": None}, "status.status_list"),
        ({"status_list": [1, URI]}, "status.status_list"),
        ({"status_list": MIXED_KEYS}, "status.status_list"),
        ({"status_list": {"uri": URI}}, "status.status_list.idx"),
        ({"status_list": GOOD_PLACE | {"idx": -1}}, "status.status_list.idx"),
        ({"status_list": GOOD_PLACE | {"idx": True}}, "status.status_list.idx"),
        ({"status_list": GOOD_PLACE | {"idx": 1.0}}, "status.status_list.idx"),
        ({"status_list": GOOD_PLACE | {"idx": "1"}}, "status.status_list.idx"),
        ({"status_list": {"idx": 1}}, "status.status_list.uri"),
        ({"status_list": GOOD_PLACE | {"uri": ""}}, "status.status_list.uri"),
        ({"status_list": GOOD_PLACE | {"uri": b"https"}}, "status.status_list.uri"),
        ({"status_list": GOOD_PLACE | {"certificate": "MII"}}, "status.status_list.certificate"),
        ({"status_list": GOOD_PLACE | {"certificate": None}}, "status.status_list.certificate"),
        ({"identifier_list": {"uri": URI}}, "status.identifier_list.id"),
        ({"identifier_list": GOOD_ID | {"id": "0001"}}, "status.identifier_list.id"),
        ({"identifier_list": GOOD_ID | {"id": 1}}, "status.identifier_list.id"),
        ({"identifier_list": GOOD_ID | {"certificate": [b"\x01"]}}, "status.identifier_list.certificate"),
        ({"status_list": GOOD_PLACE, "identifier_list": {"id": b"\x01"}}, "status.identifier_list.uri"),
    ],
)
def test_a_malformed_reference_is_refused_where_it_is_malformed(value: Any, path: str) -> None:
    error = refusal(DecodeError, StatusReference.decode, value)
    assert (error.code, error.path) == ("status.reference", path)
    assert URI not in str(error)


# --- status lists -----------------------------------------------------------------------------------------------------


def test_index_0_is_the_least_significant_bit_of_the_first_byte() -> None:
    """The draft's own example: 1 0 0 1 1 1 0 1, 1 1 0 0 0 1 0 1 are the bytes B9 A3."""
    statuses = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    made = StatusList.of(16, {index: status for index, status in enumerate(statuses) if status})
    assert made.packed == b"\xb9\xa3"
    assert [made.status(index) for index in range(16)] == statuses
    assert len(made) == 16


def test_two_bits_are_packed_from_the_right_too() -> None:
    statuses = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    made = StatusList.of(12, dict(enumerate(statuses)), bits=2)
    assert made.packed == b"\xc9\x44\xf9"
    assert [made.status(index) for index in range(12)] == statuses


@given(st.sampled_from([1, 2, 4, 8]), st.integers(1, 300), st.randoms(use_true_random=False))
def test_every_status_comes_back_through_the_map(bits: int, size: int, rng: random.Random) -> None:
    statuses = {index: rng.randrange(1 << bits) for index in range(size)}
    made = StatusList.of(size, statuses, bits=bits, aggregation_uri="https://a.example")
    received = StatusList.decode(decode(encode(made.to_cbor())))
    assert received == made
    assert {index: received.status(index) for index in range(size)} == statuses
    number = int.from_bytes(received.packed, "little")
    assert number == sum(status << index * bits for index, status in statuses.items())


def test_an_index_beyond_the_list_is_never_valid() -> None:
    made = StatusList.of(16, {})
    assert made.status(15) == 0
    for index in (16, 17, 1 << 70, -1):
        assert refusal(VerificationError, made.status, index).code == "status.index"
    assert len(StatusList.of(3, {}, bits=4)) == 4
    assert refusal(VerificationError, StatusList.of(3, {}, bits=4).status, 4).code == "status.index"


@pytest.mark.parametrize(
    "size, statuses, bits",
    [(8, {8: 1}, 1), (8, {-1: 1}, 1), (8, {0: 2}, 1), (8, {0: -1}, 1), (8, {}, 3), (8, {}, True), (0, {}, 1)],
)
def test_a_list_cannot_be_made_with_what_does_not_fit(size: int, statuses: dict[int, int], bits: int) -> None:
    with pytest.raises(ValueError):
        StatusList.of(size, statuses, bits=bits)
    with pytest.raises(ValueError):
        StatusList(bits=3, packed=b"\x00")
    with pytest.raises(ValueError):
        StatusList(bits=1, packed=b"")


def test_a_sparse_list_is_small() -> None:
    made = StatusList.of(1 << 20, dict.fromkeys(range(0, 1 << 20, 9973), 1))
    assert len(made.to_cbor()["lst"]) < 2000
    assert StatusList.decode(made.to_cbor()) == made


STREAM = zlib.compress(b"\xb9\xa3")


@pytest.mark.parametrize(
    "value, code",
    [
        ([], "status.list"),
        ({1: 1}, "status.list"),
        ({"lst": STREAM}, "status.list"),
        ({"bits": 3, "lst": STREAM}, "status.list"),
        ({"bits": 16, "lst": STREAM}, "status.list"),
        ({"bits": True, "lst": STREAM}, "status.list"),
        ({"bits": "1", "lst": STREAM}, "status.list"),
        ({"bits": 1}, "status.list"),
        ({"bits": 1, "lst": "eNrbuRgAAhcBXQ"}, "status.list"),
        ({"bits": 1, "lst": STREAM, "aggregation_uri": b"x"}, "status.list"),
        ({"bits": 1, "lst": b""}, "status.deflate"),
        ({"bits": 1, "lst": b"\xb9\xa3"}, "status.deflate"),
        ({"bits": 1, "lst": STREAM[:-1]}, "status.deflate"),
        ({"bits": 1, "lst": STREAM[:-4]}, "status.deflate"),
        ({"bits": 1, "lst": STREAM + b"\x00"}, "status.deflate"),
        ({"bits": 1, "lst": STREAM + STREAM}, "status.deflate"),
        ({"bits": 1, "lst": STREAM[:-1] + bytes((STREAM[-1] ^ 1,))}, "status.deflate"),
        ({"bits": 1, "lst": zlib.compress(b"")}, "status.deflate"),
        ({"bits": 1, "lst": zlib.compress(b"\xb9\xa3", wbits=-15)}, "status.deflate"),
        ({"bits": 1, "lst": zlib.compress(b"\xb9\xa3", wbits=31)}, "status.deflate"),
    ],
)
def test_a_malformed_status_list_is_refused(value: Any, code: str) -> None:
    assert refusal(DecodeError, StatusList.decode, value).code == code


def test_a_stream_with_a_preset_dictionary_is_refused() -> None:
    deflater = zlib.compressobj(zdict=b"\x00" * 64)
    stream = deflater.compress(b"\x00" * 64) + deflater.flush()
    assert refusal(DecodeError, StatusList.decode, {"bits": 1, "lst": stream}).code == "status.deflate"


def test_a_list_may_be_as_large_as_the_limit_and_no_larger() -> None:
    stream = {"bits": 1, "lst": zlib.compress(b"\x00" * 1000, 9)}
    assert len(StatusList.decode(stream, max_size=1000)) == 8000
    assert refusal(DecodeError, StatusList.decode, stream, max_size=999).code == "status.too_large"


def test_a_bomb_is_not_inflated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gigabyte of zeros in a megabyte: what comes out of zlib stays within the limit."""
    deflater = zlib.compressobj(9)
    bomb = b"".join(deflater.compress(bytes(1 << 20)) for _ in range(256)) + deflater.flush()
    assert len(bomb) < 1 << 19
    largest = 0
    original = zlib.decompressobj

    class Watched:
        def __init__(self) -> None:
            self._inner = original()

        def decompress(self, data: bytes, max_length: int = 0) -> bytes:
            nonlocal largest
            result = self._inner.decompress(data, max_length)
            largest = max(largest, len(result))
            return result

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    monkeypatch.setattr(zlib, "decompressobj", Watched)
    error = refusal(DecodeError, StatusList.decode, {"bits": 1, "lst": bomb})
    assert error.code == "status.too_large"
    assert largest == status_module.MAX_LIST_SIZE + 1


# --- identifier lists -------------------------------------------------------------------------------------------------


def test_identifiers_come_back_and_their_order_tells_nothing() -> None:
    made = IdentifierList(identifiers=frozenset({b"\x02", b"\x01\x00", b""}), aggregation_uri="https://a.example")
    encoded = encode(made.to_cbor())
    assert IdentifierList.decode(decode(encoded)) == made
    assert list(made.to_cbor()["identifiers"]) == [b"", b"\x01\x00", b"\x02"]
    assert b"\x02" in made
    assert b"\x03" not in made


def test_what_an_entry_says_beside_its_identifier_is_ignored() -> None:
    received = IdentifierList.decode({"identifiers": {b"\x01": {"reason": 1, 4: 2}}, "later": 1})
    assert received.identifiers == {b"\x01"}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {1: 1},
        {"identifiers": [b"\x01"]},
        {"identifiers": {"01": {}}},
        {"identifiers": {1: {}}},
        {"identifiers": {b"\x01": None}},
        {"identifiers": {b"\x01": {}}, "aggregation_uri": 1},
    ],
)
def test_a_malformed_identifier_list_is_refused(value: Any) -> None:
    assert refusal(DecodeError, IdentifierList.decode, value).code == "status.list"


# --- tokens: issuing --------------------------------------------------------------------------------------------------


def test_a_token_is_prepared_signed_elsewhere_and_completed() -> None:
    content = StatusList.of(64, {3: 1})
    prepared = prepare_status_token(
        content,
        uri=URI,
        issued_at=ISSUED + timedelta(milliseconds=900),
        expires=EXPIRES,
        ttl=timedelta(hours=6),
        public_key=LIST_KEY.public_key,
        x5chain=[CERTIFICATE],
    )
    data = prepared.complete(LIST_KEY.sign(prepared.to_be_signed))
    tagged = decode(data)
    assert isinstance(tagged, Tag)
    assert tagged.number == 18
    message = decode_sign1(tagged)
    assert message.protected_map == {1: -7, TYP: "application/statuslist+cwt", X5CHAIN: CERTIFICATE}
    assert message.unprotected == {}
    assert message.payload is not None
    claims = decode(message.payload)
    assert list(claims) == [SUB, IAT, EXP, TTL, STATUS_LIST]
    assert (claims[SUB], claims[TTL]) == (URI, 21600)
    assert (claims[IAT], claims[EXP]) == (int(ISSUED.timestamp()), int(EXPIRES.timestamp()))
    assert prepared.to_be_signed == sig_structure(message.protected, message.payload)

    token = StatusToken.decode(data)
    token.message.verify(LIST_KEY.public_key)
    assert (token.kind, token.subject, token.issued_at, token.expires) == (
        ListKind.STATUS_LIST,
        URI,
        ISSUED,
        EXPIRES,
    )
    assert (token.ttl, token.not_before) == (timedelta(hours=6), None)
    assert (token.x5chain, token.deviations) == ((CERTIFICATE,), ())
    assert token.decode_list() == content


def test_an_identifier_list_travels_with_its_chain() -> None:
    content = IdentifierList(identifiers=frozenset({b"\x01" * 16}))
    data = build_status_token(
        content, LIST_KEY, uri=URI, issued_at=ISSUED, expires=EXPIRES, x5chain=[CERTIFICATE, b"\x30\x00"]
    )
    token = StatusToken.decode(data)
    assert token.kind is ListKind.IDENTIFIER_LIST
    assert token.x5chain == (CERTIFICATE, b"\x30\x00")
    assert token.message.protected_map[TYP] == "application/identifierlist+cwt"
    assert token.decode_list() == content
    assert token.ttl is None


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "brainpoolP256r1", "Ed25519", "Ed448"])
def test_every_algorithm_of_the_standard_signs_tokens(curve: str) -> None:
    signer = deterministic_key("list signer", curve)
    data = build_status_token(
        StatusList.of(8, {}), signer, uri=URI, issued_at=ISSUED, expires=EXPIRES, x5chain=[CERTIFICATE]
    )
    StatusToken.decode(data).message.verify(signer.public_key)


def test_another_keys_signature_completes_no_token() -> None:
    prepared = prepare_status_token(
        StatusList.of(8, {}),
        uri=URI,
        issued_at=ISSUED,
        expires=EXPIRES,
        public_key=LIST_KEY.public_key,
        x5chain=[CERTIFICATE],
    )
    other = deterministic_key("somebody else").sign(prepared.to_be_signed)
    for signature in (other, b"", bytes(64), LIST_KEY.sign(prepared.to_be_signed + b"\x00")):
        assert refusal(SigningError, prepared.complete, signature).code == "signing.wrong_signature"


@pytest.mark.parametrize(
    "changes",
    [
        {"x5chain": []},
        {"uri": ""},
        {"expires": ISSUED},
        {"expires": ISSUED - timedelta(days=1)},
        {"ttl": timedelta(0)},
        {"ttl": timedelta(seconds=-1)},
        {"issued_at": ISSUED.replace(tzinfo=None)},
        {"expires": EXPIRES.replace(tzinfo=None)},
    ],
)
def test_a_token_that_readers_would_refuse_is_not_prepared(changes: dict[str, Any]) -> None:
    honest: dict[str, Any] = {
        "uri": URI,
        "issued_at": ISSUED,
        "expires": EXPIRES,
        "public_key": LIST_KEY.public_key,
        "x5chain": [CERTIFICATE],
    }
    prepare_status_token(StatusList.of(8, {}), **honest)
    with pytest.raises(ValueError):
        prepare_status_token(StatusList.of(8, {}), **honest | changes)


# --- tokens: reading --------------------------------------------------------------------------------------------------


def test_a_token_from_another_hand_is_read() -> None:
    token = StatusToken.decode(Token().build())
    assert (token.kind, token.subject, token.x5chain) == (ListKind.STATUS_LIST, URI, Token().chain)
    content = token.decode_list()
    assert isinstance(content, StatusList)
    assert [index for index in range(64) if content.status(index)] == [3]
    identifiers = StatusToken.decode(Token.of_identifiers(b"\x07").build()).decode_list()
    assert identifiers == IdentifierList(identifiers=frozenset({b"\x07"}))


@pytest.mark.parametrize(
    "changes, deviations",
    [
        ({"protected": {TYP: "statuslist+cwt"}}, ("typ.short",)),
        ({"protected": {TYP: None}, "claims": {TYP: "application/statuslist+cwt"}}, ("typ.claim",)),
        ({"protected": {TYP: None}, "claims": {TYP: "statuslist+cwt"}}, ("typ.claim", "typ.short")),
        ({"claims": {TYP: "nonsense"}}, ()),
        ({"claims": {1: "issuer", "text": 1, 65000: None}}, ()),
    ],
)
def test_harmless_deviations_are_read_and_named(changes: dict[str, Any], deviations: tuple[str, ...]) -> None:
    token = StatusToken.decode(Token(**changes).build())
    assert (token.kind, token.deviations) == (ListKind.STATUS_LIST, deviations)


def test_times_may_be_floats_and_there_may_be_a_beginning() -> None:
    token = StatusToken.decode(Token(claims={IAT: 1.5, NBF: 7, EXP: 2.0e9}).build())
    assert token.issued_at == datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=UTC)
    assert token.not_before == datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)
    assert token.expires == datetime(2033, 5, 18, 3, 33, 20, tzinfo=UTC)
    assert StatusToken.decode(Token(claims={EXP: None}).build()).expires is None
    assert StatusToken.decode(Token(claims={TTL: 1 << 60}).build()).ttl == timedelta(seconds=1 << 32)
    for value in (0, -5, 60.0, True, "60"):
        token = StatusToken.decode(Token(claims={TTL: value}).build())
        assert (token.ttl, token.deviations) == (None, ("ttl",))


def test_a_chain_outside_the_protected_header_is_not_there() -> None:
    token = StatusToken.decode(Token(protected={X5CHAIN: None}, unprotected={X5CHAIN: CERTIFICATE}).build())
    assert token.x5chain == ()
    assert StatusToken.decode(Token(protected={X5CHAIN: None}).build()).x5chain == ()


NAN = Token(claims={IAT: float("nan")})


@pytest.mark.parametrize(
    "token, code",
    [
        (Token(tag=b""), "status.token"),
        (Token(tag=b"\xd1"), "status.token"),
        (Token(tag=b"\xd8\x3d\xd2"), "status.token"),
        (Token(tag=b"\xd2\xd2"), "cose.structure"),
        (Token(payload=b""), "cbor.truncated"),
        (Token(payload=b"\xa0\x00"), "cbor.trailing"),
        (Token(payload=b"\x80"), "status.token"),
        (Token(payload=b"\xa1\x41\x01\x01"), "status.token"),
        (Token(payload=b"\xa2\x02\x61\x61\x02\x61\x61"), "cbor.duplicate_key"),
        (Token(protected={TYP: None}), "status.typ"),
        (Token(protected={TYP: None}, unprotected={TYP: "application/statuslist+cwt"}), "status.typ"),
        (Token(protected={TYP: "application/statuslist+jwt"}), "status.typ"),
        (Token(protected={TYP: "JWT"}), "status.typ"),
        (Token(protected={TYP: 16}), "status.typ"),
        (Token(protected={TYP: b"application/statuslist+cwt"}), "status.typ"),
        (
            Token(protected={TYP: "application/wrong"}, claims={TYP: "application/statuslist+cwt"}),
            "status.typ",
        ),
        (Token(protected={TYP: "application/identifierlist+cwt"}), "status.token"),
        (Token.of_identifiers(protected={TYP: "application/statuslist+cwt"}), "status.token"),
        (Token(claims={IDENTIFIER_LIST: identifier_list()}), "status.token"),
        (Token.of_identifiers(claims={STATUS_LIST: status_list()}), "status.token"),
        (Token(claims={STATUS_LIST: None}), "status.token"),
        (Token(content=b"\x01"), "status.token"),
        (Token(claims={SUB: None}), "status.token"),
        (Token(claims={SUB: ""}), "status.token"),
        (Token(claims={SUB: b"x"}), "status.token"),
        (Token(claims={IAT: None}), "status.token"),
        (Token(claims={IAT: "2026"}), "status.token"),
        (Token(claims={IAT: -1}), "status.token"),
        (Token(claims={IAT: True}), "status.token"),
        (Token(claims={IAT: 1 << 62}), "status.token"),
        (NAN, "status.token"),
        (Token(claims={IAT: float("inf")}), "status.token"),
        (Token(claims={EXP: "never"}), "status.token"),
        (Token(claims={EXP: 1e300}), "status.token"),
        (Token(claims={NBF: b"\x01"}), "status.token"),
        (Token(protected={X5CHAIN: "MII"}), "cose.x5chain"),
        (Token(protected={X5CHAIN: []}), "cose.x5chain"),
        (Token(unprotected={X5CHAIN: CERTIFICATE}), "cose.duplicate_header"),
        (Token(unprotected={1: -7}), "cose.duplicate_header"),
        (Token(protected={2: [TYP]}), "cose.critical"),
    ],
)
def test_what_is_no_token_is_refused(token: Token, code: str) -> None:
    error = refusal(DecodeError, StatusToken.decode, token.build())
    assert error.code == code
    assert URI not in str(error)


def test_a_detached_payload_is_refused() -> None:
    data = Token().build()
    message = decode_sign1(decode(data))
    detached = wire.tag(18, wire.array(wire.bstr(message.protected), b"\xa0", b"\xf6", wire.bstr(message.signature)))
    assert refusal(DecodeError, StatusToken.decode, detached).code == "status.token"


def test_a_token_that_is_too_long_is_refused_unread() -> None:
    data = bytes(status_module.MAX_TOKEN_SIZE + 1)
    assert refusal(DecodeError, StatusToken.decode, data).code == "cbor.too_long"


def test_a_list_is_not_inflated_before_it_is_asked_for() -> None:
    token = StatusToken.decode(Token(content={"bits": 1, "lst": b"not zlib"}).build())
    assert refusal(DecodeError, token.decode_list).code == "status.deflate"
    assert refusal(DecodeError, StatusToken.decode(Token().build()).decode_list, max_size=7).code == "status.too_large"


def test_a_large_identifier_list_is_read() -> None:
    identifiers = [struct.pack(">QQ", index, index) for index in range(20_000)]
    content = StatusToken.decode(Token.of_identifiers(*identifiers).build()).decode_list()
    assert isinstance(content, IdentifierList)
    assert len(content.identifiers) == 20_000


MESSAGES = [
    Token().build(),
    Token.of_identifiers().build(),
    Token(protected={TYP: None}, claims={TYP: "statuslist+cwt", TTL: 5, NBF: 1}).build(),
    encode({"status_list": {"idx": 1, "uri": URI}, "identifier_list": {"id": b"\x01", "uri": URI}}),
    encode(status_list()),
]


@given(st.one_of(st.binary(max_size=64), wire.near_misses(), wire.mutations(MESSAGES)))
def test_any_bytes_give_a_value_or_a_decode_error(data: bytes) -> None:
    for act in (
        lambda: StatusToken.decode(data).decode_list(),
        lambda: StatusReference.decode(decode(data)),
        lambda: StatusList.decode(decode(data)),
        lambda: IdentifierList.decode(decode(data)),
        lambda: StatusList.decode({"bits": 1, "lst": data}),
    ):
        try:
            act()
        except DecodeError as exc:
            assert exc.code  # noqa: PT017 - the only exception that may come


@pytest.mark.parametrize("data", [b"eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.AAAA", b"<html>", b"\n<?xml version='1.0'?>"])
def test_what_is_served_in_place_of_a_token_is_named(data: bytes) -> None:
    error = refusal(DecodeError, StatusToken.decode, data)
    assert error.code == "status.token"
    assert ("JWT" in error.message, "page" in error.message) == (data[:1] == b"e", data[:1] != b"e")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_masks_name_all_that_are_revoked_and_all_that_are_suspended(bits: int) -> None:
    statuses = {index: index % (1 << bits) for index in range(64)}
    revoked, suspended = StatusList.of(64, statuses, bits=bits).masks()
    for index, status in statuses.items():
        assert revoked >> index * bits & ((1 << bits) - 1) == (status not in (0, 2))
        assert suspended >> index * bits & ((1 << bits) - 1) == (status == 2)

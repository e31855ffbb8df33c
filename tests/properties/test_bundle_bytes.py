"""Whatever somebody writes into an evidence bundle and seals anew: it gives a value or an `MdlError`."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import decode, encode
from mdl.errors import DecodeError, MdlError
from mdl.testing import DeviceAuth, ThrowawayAuthority, present, throwaway_authority
from reader import bundle as module
from reader.bundle import EvidenceBundle, UnsafeBundleAnchors, examine_and_keep
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, Verifier
from tests.odd_values import ODD_JSON, ODD_VALUES, mutants
from tests.status_forgery import URI, Token

HOUSE = throwaway_authority()
TRUST = TrustStore.from_certificates(HOUSE.anchors, doctypes=ANY_DOCTYPE)


def parts_of_a_bundle(*, redacted: bool = False) -> list[Any]:
    """Pieces, the rest, and its verdict, all taken apart."""
    shown = present(
        disclose=("family_name", "issuing_country"),
        device_auth=DeviceAuth.MAC,
        mso_status={"status_list": {"idx": 7, "uri": URI}},
    )
    bundle = examine_and_keep(
        Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.REQUIRED),
        shown.response,
        context=SessionContext(transcript=shown.transcript, reader_key=shown.reader_key),
        request=shown.request,
        at=shown.at,
        evidence=Evidence(crls=(HOUSE.crl(),), status_tokens=(Token().build(),)),
    )
    if redacted:
        bundle = bundle.redact([("org.iso.18013.5.1", "family_name")])
    pieces, rest, _ = decode(bundle.encode()[len(module._MAGIC) :])
    fields = decode(rest)
    return [pieces, fields, json.loads(fields["verdict"])]


def sealed(pieces: Any, fields: Any, verdict: Any = None) -> bytes:
    """A bundle of such parts, with the hash that goes with it."""
    if verdict is not None:
        fields = {**fields, "verdict": json.dumps(verdict, sort_keys=True, separators=(",", ":")).encode()}
    rest = encode(fields)
    response = [_commitment(one) for one in pieces]
    seal = hashlib.sha256(module._MAGIC + encode([response, hashlib.sha256(rest).digest()])).digest()
    return module._MAGIC + encode([pieces, rest, seal])


def _commitment(piece: Any) -> Any:
    if isinstance(piece, list) and len(piece) == 4:
        return [piece[0], piece[1], piece[3]]
    return hashlib.sha256(piece if isinstance(piece, bytes) else encode(piece)).digest()


def use(data: bytes) -> bool:
    """Read a bundle and do all that can be done with it; whether it could be read at all."""
    try:
        bundle = EvidenceBundle.decode(data)
    except MdlError:
        return False
    assert EvidenceBundle.decode(bundle.encode()).commitment == bundle.commitment
    acts = (
        lambda: bundle.replay(trust=UnsafeBundleAnchors()),
        lambda: bundle.replay(trust=TRUST, at=bundle.at, evidence=bundle.evidence),
        lambda: bundle.verify(trust=TRUST),
        lambda: bundle.redact([bundle.elements[0][:2]] if bundle.elements else []),
    )
    for act in acts:
        try:
            act()
        except MdlError as exc:
            assert exc.code  # noqa: PT017 - the only exception that may come
    return True


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything in a structure."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


WHOLE, REDACTED = parts_of_a_bundle(), parts_of_a_bundle(redacted=True)
# The verdict comes apart in the third part; in the second it is bytes.
PLACES = [path for path in places(WHOLE) if len(path) > 1]
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            None,
            True,
            0,
            -1,
            2**64,
            10**30,
            1.5,
            "",
            "x",
            "org.iso.18013.5.1",
            b"",
            b"\xff",
            b"[" * 10_000,
            [],
            [[]],
            {},
        ),
        *("2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00"),
        *("9999-12-31T23:59:59-23:00", ["x", "y", None, bytes(32)], ["x", "y", None, b""], {"a": 1}, [1, "a"]),
    ]
)


def replaced(value: Any, path: tuple[Any, ...], put: Any) -> Any:
    """The structure with something else in one place; `dropped` takes it out."""
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copy[key] = replaced(copy[key], tuple(rest), put)
    elif put is DROPPED:
        del copy[key]
    else:
        copy[key] = put
    return copy


DROPPED = object()


def test_bundles_that_nobody_has_changed_are_read() -> None:
    for parts in (WHOLE, REDACTED):
        assert use(sealed(*parts))
        assert EvidenceBundle.decode(sealed(*parts)).replay(trust=UnsafeBundleAnchors()).accepted


@pytest.mark.parametrize("parts", [WHOLE, REDACTED], ids=["whole", "redacted"])
@given(data=st.data())
def test_a_bundle_in_which_anything_is_something_else_is_one_or_an_error(parts: list[Any], data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from([path for path in PLACES if _is_there(parts, path)]))
        put = data.draw(st.one_of(ODD, st.just(DROPPED), st.binary(max_size=40), st.text(max_size=10)))
        if path[0] == 2 and _is_binary(put):
            continue  # JSON has no bytes
        parts = replaced(parts, path, put)
    use(sealed(*parts))


def _is_there(parts: Any, path: tuple[Any, ...]) -> bool:
    for key in path:
        if isinstance(parts, dict):
            if key not in parts:
                return False
        elif not isinstance(parts, list) or not isinstance(key, int) or key >= len(parts):
            return False
        parts = parts[key]
    return True


def _is_binary(value: Any) -> bool:
    return isinstance(value, bytes) or (isinstance(value, list) and any(map(_is_binary, value)))


@pytest.mark.parametrize(("parts", "part"), [(WHOLE, 0), (REDACTED, 0), (WHOLE, 1), (WHOLE, 2), (REDACTED, 2)])
def test_odd_values_in_every_field_are_a_bundle_or_an_error(parts: list[Any], part: int) -> None:
    """Each alone: what the draws above may miss. All are read; what can be done with a bundle is done with some."""
    for index, (_, changed) in enumerate(mutants(parts[part], odd=ODD_JSON if part == 2 else ODD_VALUES, longest=1)):
        given = [*parts[:part], changed, *parts[part + 1 :]]
        try:
            data = sealed(*given)
        except (MdlError, TypeError, ValueError):
            continue  # nobody can write that down
        if index % 11 == 0:
            use(data)
        else:
            with suppress(MdlError):
                EvidenceBundle.decode(data)


ANCHOR = WHOLE[1]["anchors"][0]
ITEM = next(piece for piece in WHOLE[0] if isinstance(piece, list))


@pytest.mark.parametrize("parts", [WHOLE, REDACTED], ids=["whole", "redacted"])
@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-01-01T00:00:00"},
        {"at": "2026-01-01"},
        {"at": "9999-12-31T23:59:59-23:00"},
        {"at": 5},
        {"clock_skew": 10**30},
        {"clock_skew": -1},
        {"clock_skew": 60_000_001},
        {"clock_skew": True},
        {"anchors": []},
        {"anchors": [5]},
        {"anchors": None},
        {"anchors": [ANCHOR | {"doctypes": "abc"}]},
        {"anchors": [ANCHOR | {"doctypes": []}]},
        {"anchors": [ANCHOR | {"doctypes": [1, "a"]}]},
        {"anchors": [ANCHOR | {"country": 1}]},
        {"anchors": [ANCHOR | {"certificate": "x"}]},
        {"anchors": [ANCHOR | {"purpose": []}]},
        {"anchors": [ANCHOR | {"until": "2036-01-01"}]},
        {"anchors": [ANCHOR | {"signer_purposes": None}]},
        {"anchors": [ANCHOR | {"signer_purposes": b"abc"}]},
        {"anchors": [ANCHOR | {"signer_purposes": {"org.example": "1.2.3"}}]},
        {"verdict": b""},
        {"verdict": b"[]"},
        {"verdict": b"{}"},
        {"verdict": b"[" * 100_000},
        {"verdict": b"9" * 10_000},
        {"verdict": "x"},
        {"transcript": 5},
        {"transcript": b"\xff"},
        {"transcript": None},
        {"request": b""},
        {"request": b"\xff"},
        {"request": 5},
        {"agreed": [[b"", 2, "", ""]]},
        {"agreed": [[b""]]},
        {"agreed": ["abcd"]},
        {"agreed": [1]},
        {"crls": "ab"},
        {"crls": [1]},
        {"status_tokens": b"ab"},
        {"policy": []},
        {"revocation": None},
    ],
)
def test_a_member_that_is_something_else_is_damage(parts: list[Any], change: dict[str, Any]) -> None:
    pieces, fields, _ = parts
    with pytest.raises(DecodeError) as refused:
        EvidenceBundle.decode(sealed(pieces, fields | change))
    assert refused.value.code == "bundle.damaged"


@pytest.mark.parametrize("checks", [None, [1], [{}], [{"id": []}]])
@pytest.mark.parametrize("parts", [WHOLE, REDACTED], ids=["whole", "redacted"])
def test_a_verdict_of_another_form_is_damage(parts: list[Any], checks: Any) -> None:
    for verdict in (parts[2] | {"checks": checks}, {"checks": parts[2]["checks"]}, [parts[2]]):
        with pytest.raises(DecodeError) as refused:
            EvidenceBundle.decode(sealed(parts[0], parts[1], verdict))
        assert refused.value.code == "bundle.damaged"


HOLE = ["a", "b", None, bytes(32)]


@pytest.mark.parametrize(
    "pieces",
    [
        [HOLE],
        [[*ITEM[:2], None, b""]],
        [["a"]],
        [["a", "b", b"\xff", hashlib.sha256(b"\xff").digest()]],
        [b"\xa0", HOLE],
        [b"\xa2\x69documents\x05\x61a", HOLE],
        [b"\xa2\x69documents\x81\x05\x61a", HOLE],
        [b"\xa2\x69documents\x81\xa0\x61a", HOLE],
        [b"\xa2\x69documents\x81\xa1\x6cissuerSigned\x05\x61a", HOLE],
        [b"\xa2\x69documents\x81\xa1\x6cissuerSigned\xa1\x6anameSpaces\x05\x61a", HOLE],
        [b"\xa2\x69documents\x81\xa1\x6cissuerSigned\xa1\x6anameSpaces\xa1\x61a\x05\x61a", HOLE],
        [b"\x81", HOLE],
        [b"\xc1", HOLE],
        [5],
    ],
)
def test_a_response_in_which_items_stand_where_there_can_be_none_is_an_error(pieces: list[Any]) -> None:
    assert not use(sealed(pieces, WHOLE[1]))


def test_a_stranger_certificate_in_the_place_of_the_anchor_is_another_verdict() -> None:
    other = ThrowawayAuthority("Other").iaca_certificate.der
    data = sealed(WHOLE[0], WHOLE[1] | {"anchors": [ANCHOR | {"certificate": other}]})
    with pytest.raises(MdlError) as refused:
        EvidenceBundle.decode(data).replay(trust=UnsafeBundleAnchors())
    assert refused.value.code == "bundle.verdict"

"""Whatever an evidence file holds under a checksum that fits: it is read, or refused by an `MdlError`."""

import hashlib
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import decode_view, encode
from mdl.errors import DecodeError, MdlError
from mdl.testing import TEST_TIME, throwaway_authority
from reader import evidence as module
from reader.evidence import EvidenceStore, Need
from reader.fetching import EvidenceKind
from reader.trust import ANY_DOCTYPE, TrustStore
from tests.odd_values import ODD_VALUES, mutants
from tests.status_forgery import URI, Token

HOUSE = throwaway_authority()
TRUST = TrustStore.from_certificates(HOUSE.anchors, doctypes=ANY_DOCTYPE)
ROOT = HOUSE.iaca_certificate
CRL, TOKEN = HOUSE.crl(), Token().build()
GENUINE = {CRL, TOKEN}
NEEDS = (
    Need(kind=EvidenceKind.CRL, urls=("http://pki.example/crl",), issuers=(ROOT,)),
    Need(kind=EvidenceKind.STATUS_LIST, urls=(URI,), issuers=(ROOT,)),
)


def entries() -> list[Any]:
    """What a file holds: a CRL, a token, and the mark of another token."""
    store = EvidenceStore()
    for need, data in zip(NEEDS, (CRL, TOKEN), strict=True):
        store.add(need, need.urls[0], data, at=TEST_TIME)
    body = decode_view(store.encode()[len(module._MAGIC) + 32 :])
    assert isinstance(body, list)
    kind, _, issuer, pinned, _, fetched = body[1]
    mark = [
        kind,
        "https://lists.throwaway.example/2",
        issuer,
        pinned,
        ["5", "2026-05-01T00:00:00+00:00", b"series"],
        fetched,
    ]
    return [*body, mark]


ENTRIES = entries()


def file_of(body: Any) -> bytes:
    """The content of a file with that body, and the checksum that goes with it."""
    encoded = body if isinstance(body, bytes) else encode(body)
    return module._MAGIC + hashlib.sha256(encoded).digest() + encoded


def use(content: bytes) -> EvidenceStore | None:
    """Read a file and do all that can be done with it."""
    try:
        store = EvidenceStore.decode(content, TRUST)
    except MdlError:
        return None
    for at in (TEST_TIME, TEST_TIME - timedelta(days=3650), TEST_TIME + timedelta(days=3650)):
        for needs in (None, NEEDS):
            evidence = store.evidence(needs, at=at)
            assert GENUINE.issuperset(evidence.crls + evidence.status_tokens), "what nobody has signed is evidence"
        for need in NEEDS:
            store.is_fresh(need, at=at, max_age=timedelta(days=1))
    for need, data in zip(NEEDS, (CRL, TOKEN), strict=True):
        with suppress(MdlError):
            store.add(need, need.urls[0], data, at=TEST_TIME)
    again = EvidenceStore.decode(store.encode(), TRUST)
    assert again.encode() == store.encode()
    return store


def test_a_file_that_nobody_has_changed_is_read_whole() -> None:
    store = use(file_of(ENTRIES))
    assert store is not None
    assert len(store) == 2
    assert {*store.evidence(at=TEST_TIME).crls, *store.evidence(at=TEST_TIME).status_tokens} == GENUINE


@pytest.mark.parametrize("index", range(3), ids=["CRL", "token", "mark"])
def test_odd_values_in_every_field_are_evidence_of_nothing(index: int) -> None:
    """One entry alone, so that nothing else can be to blame, beside the two genuine ones."""
    for _, entry in mutants(ENTRIES[index], odd=ODD_VALUES):
        others = [one for place, one in enumerate(ENTRIES) if place != index]
        use(file_of([*others, entry]))


@pytest.mark.parametrize("body", [*ODD_VALUES, b"\xff", b"\x9f", b"\x81" * 2000])
def test_a_body_that_is_something_else_is_damage(body: Any) -> None:
    content = file_of(body)
    if body == []:
        assert use(content) is not None
        return
    with pytest.raises(DecodeError):
        EvidenceStore.decode(content, TRUST)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_file_or_an_error(data: bytes) -> None:
    for content in (data, module._MAGIC + data, file_of(data)):
        use(content)

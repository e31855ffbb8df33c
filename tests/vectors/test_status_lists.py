"""The IETF draft's own status lists and its signed token: they inflate, look up and verify as published."""

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mdl.cbor import decode
from mdl.errors import VerificationError
from mdl.keys import CURVES, PublicKey
from mdl.pki import Certificate
from mdl.status import ListKind, StatusList, StatusToken
from mdl.testing import throwaway_authority
from reader.report import Outcome
from reader.revocation import Evidence
from reader.status import StatusJudge
from tests import external

FOLDER = "token-status-list"
LONG = 1 << 20


def published(name: str) -> Any:
    return json.loads((external.folder(FOLDER) / name).read_text("utf-8"))


def unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def status_list(name: str) -> StatusList:
    return StatusList.decode(decode(external.octets(f"{FOLDER}/{name}")))


@pytest.mark.parametrize("name", ["short-encoding", "short-encoding2"])
def test_the_short_examples_inflate_to_their_bytes(name: str) -> None:
    example = published(f"{name}.json")
    found = status_list(f"{name}_cbor.hex")
    assert (found.bits, found.packed.hex()) == (example["bits"], example["byte_array"])
    assert StatusList.decode({"bits": example["bits"], "lst": unpadded(example["lst"])}) == found
    assert StatusList.decode(found.to_cbor()) == found


def test_the_short_example_reads_as_the_draft_says() -> None:
    found = status_list("short-encoding_cbor.hex")
    assert [found.status(index) for index in range(len(found))] == [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]
    two_bits = status_list("short-encoding2_cbor.hex")
    assert [two_bits.status(index) for index in range(len(two_bits))] == [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_long_examples_have_the_published_statuses_and_no_others(bits: int) -> None:
    expected = {int(index): status for index, status in published(f"long-{bits}bit.expected.json").items()}
    found = status_list(f"long-{bits}bit.cbor.hex")
    assert (found.bits, len(found)) == (bits, LONG)
    assert {index: status for index in range(LONG) if (status := found.status(index))} == expected
    with pytest.raises(VerificationError, match="no such index"):
        found.status(LONG)
    as_json = published(f"long-{bits}bit.json")
    assert StatusList.decode({"bits": as_json["bits"], "lst": unpadded(as_json["lst"])}) == found
    assert StatusList.of(LONG, expected, bits=bits) == found


def published_key() -> PublicKey:
    key = published("example-key.jwk.json")
    return PublicKey.from_point(CURVES[key["crv"]], b"\x04" + unpadded(key["x"]) + unpadded(key["y"]))


def test_the_signed_token_decodes_and_verifies() -> None:
    token = StatusToken.decode(external.octets(f"{FOLDER}/status-list-token.cwt.hex"))
    token.message.verify(published_key())
    assert (token.kind, token.subject) == (ListKind.STATUS_LIST, "https://example.com/statuslists/1")
    assert token.issued_at == datetime.fromtimestamp(1686920170, UTC)
    assert token.expires == datetime.fromtimestamp(2291720170, UTC)
    assert (token.ttl, token.x5chain, token.deviations) == (timedelta(seconds=43200), (), ())
    assert token.decode_list() == status_list("short-encoding_cbor.hex")


def test_a_reader_does_not_believe_it_as_it_names_no_certificate() -> None:
    """The draft leaves the trust model open; 18013-5 wants a chain to the root of the issuing authority."""
    data = external.octets(f"{FOLDER}/status-list-token.cwt.hex")
    root: Certificate = throwaway_authority().iaca_certificate
    reference = {"status_list": {"idx": 1, "uri": "https://example.com/statuslists/1"}}
    at = datetime(2026, 6, 1, tzinfo=UTC)
    judgement = StatusJudge().judge(reference, root, Evidence(status_tokens=(data,)), at)
    assert judgement.outcome is Outcome.INDETERMINATE
    assert "the status list's protected header has no certificate" in judgement.detail
    assert "[status.x5chain]" in judgement.detail

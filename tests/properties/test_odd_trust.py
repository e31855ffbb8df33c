"""Odd values in every field of what a reader is handed about trust: a result or an `MdlError`, for that part alone.

Each list is signed by the provider, so that what is odd in it reaches every check.
"""

import json
from contextlib import suppress
from typing import Any

import pytest

from mdl.cbor import decode, encode
from mdl.errors import DecodeError, MdlError
from mdl.testing import MDL_DOCTYPE, present
from mdl.vical import Vical
from reader.subject import ReaderSubject
from reader.trust import ANY_DOCTYPE, ANY_PURPOSE, SignerPurposes
from reader.trust_file import TrustFile
from reader.vical import NOTHING_ACCEPTED, AcceptedVical, VicalReport, examine_vical, import_vical
from tests.odd_values import ODD_JSON, ODD_VALUES, mutants
from tests.unit.reader.test_subject import task_of
from tests.vical_forgery import AT, authority, forge, info, members, provider, sign

PINNED = provider().pinned()
UTAH, ALASKA = authority().iaca_certificate, authority("Alaska", "US-AK").iaca_certificate
FULL = {"certificateProfile": ["urn:example"], "extensions": {"a": 1}, "unknown": [1]}


def test_an_entry_with_anything_odd_is_refused_alone_or_used() -> None:
    # What is no CBOR for us, as a name that is no text, spoils a list as a whole; it is left to the next test.
    odd = [(what, entry) for what, entry in mutants(info(UTAH, **FULL)) if is_cbor(entry)]
    for start in range(0, len(odd), BATCH):
        batch = odd[start : start + BATCH]
        data = sign(encode(members([*(entry for _, entry in batch), info(ALASKA)])))
        found = import_vical(data, providers=PINNED, accepted=NOTHING_ACCEPTED, at=AT)
        assert found.anchors[-1].certificate == ALASKA, batch
        assert all(one.code and one.detail for one in found.refused), batch
        refused = {one.index for one in found.refused}
        used = [what for index, (what, _) in enumerate(batch) if index not in refused]
        assert len(used) == len(found.anchors) - 1, batch
        # No odd value makes a root good for more than it says itself, and only docType says what it is good for.
        for what, one in zip(used, found.anchors, strict=False):
            assert one.certificate == UTAH, what
            assert one.doctypes == frozenset({MDL_DOCTYPE}) or what.startswith("docType"), what
            assert one.until == found.until, what
    assert len(odd) > 1000


BATCH = 50


def is_cbor(value: Any) -> bool:
    with suppress(DecodeError):
        decode(encode(value))
        return True
    return False


def report_on(data: bytes) -> VicalReport | None:
    """The report, where the bytes are a list."""
    with suppress(MdlError):
        return examine_vical(data, providers=PINNED, accepted=NOTHING_ACCEPTED, at=AT)
    return None


def test_a_list_with_anything_odd_has_a_report_or_does_not_decode() -> None:
    end = members([])["nextUpdate"]
    honest = members([], notAfter=end, vicalURL="https://a.example", extensions={}, unknown=1)
    reports = [report_on(sign(encode(_with_entry(payload)))) for _, payload in mutants(honest, odd=ODD_VALUES[::2])]
    assert all(one is None or one.accepted or one.failed for one in reports)
    accepted = sum(one is not None and one.accepted for one in reports)
    assert 10 < accepted < len(reports) / 2


def _with_entry(payload: Any) -> Any:
    """The list with an entry, which itself is not odd here."""
    return payload | {"certificateInfos": [info(UTAH)]} if isinstance(payload, dict) and payload else payload


def test_a_message_with_anything_odd_has_a_report_or_does_not_decode() -> None:
    message = Vical.decode(forge()).message
    parts = [{1: -7}, {33: list(provider().chain)}, message.payload, message.signature]
    for what, odd in mutants(parts):
        header = [encode(odd[0]), *odd[1:]] if isinstance(odd, list) and odd and isinstance(odd[0], dict) else odd
        report = report_on(encode(header))
        assert report is None or report.accepted or report.failed, what


def test_a_trust_file_with_anything_odd_is_damaged_or_used() -> None:
    purposes: SignerPurposes = {"org.example": frozenset({"1.2.3"}), "org.other": ANY_PURPOSE}
    file = TrustFile().with_root(UTAH, doctypes=ANY_DOCTYPE, signer_purposes=purposes, at=AT)
    file = file.with_root(ALASKA, doctypes=frozenset({MDL_DOCTYPE}), country="US", state="US-AK", at=AT)
    file, _ = file.with_vical(forge(), provider=next(iter(PINNED)), at=AT)
    whole = json.loads(file.encode())
    used = 0
    for what, odd in mutants(whole, odd=ODD_JSON):
        try:
            found = TrustFile.decode(json.dumps(odd).encode())
        except DecodeError:
            continue
        used += 1
        assembled = found.assemble(at=AT)
        assert len(assembled.given) + len(assembled.imports) + len(assembled.refusals) == len(found.roots) + len(
            found.vicals
        ), what
        assert TrustFile.decode(found.encode()) == found, what
    assert used > 5


def test_a_task_with_anything_odd_is_answered() -> None:
    reader = ReaderSubject()
    shown = present(disclose={"family_name"})
    anchor = {"certificate": shown.anchors[0].pem, "doctypes": [MDL_DOCTYPE], "signer_purposes": {"a": ["1.2.3"]}}
    whole = task_of(shown, trust_anchors=[anchor])
    assert reader.answer(json.dumps(whole).encode())["verdict"] == "accept"
    for what, odd in mutants(whole, odd=ODD_JSON):
        answer = reader.answer(json.dumps(odd).encode())
        assert answer["verdict"] in ("accept", "reject", "unsupported", "error"), what
        assert answer.get("message") != "the task could not be carried out", what


@pytest.mark.parametrize("issue_id", [None, 0, -1, 2**64 - 1, -(2**64)])
def test_any_number_of_a_list_can_be_kept_and_compared(issue_id: int | None) -> None:
    accepted = AcceptedVical(issue_id=issue_id, date=AT)
    examine_vical(forge(), providers=PINNED, accepted=accepted, at=AT)

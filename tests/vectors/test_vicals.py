"""Real VICALs: what they do otherwise than the standard is named and counted, and what does not verify gives nothing.

The production list of the AAMVA is imported up to its root. The root of the RDW test list is not at hand: everything
else of it is checked, and it is refused for want of a path.
"""

import datetime as dt
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mdl.errors import DecodeError, VerificationError
from mdl.pki import Certificate
from mdl.vical import CertificateInfo, Vical
from reader.trust import ANY_DOCTYPE, Purpose, TrustAnchor, TrustStore
from reader.vical import (
    NOTHING_ACCEPTED,
    AcceptedVical,
    Freshness,
    VicalImport,
    VicalReport,
    examine_vical,
    import_vical,
)
from tests.external import folder
from tests.vical_forgery import pin

MDL = "org.iso.18013.5.1.mDL"
AAMVA_DATE = dt.datetime(2025, 11, 18, 18, 38, 12, tzinfo=dt.UTC)
AAMVA_AT = dt.datetime(2025, 11, 18, 20, tzinfo=dt.UTC)
RDW_AT = dt.datetime(2025, 2, 25, 12, tzinfo=dt.UTC)
TODAY = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
"""A day on which both lists have long expired."""
DAY = dt.timedelta(days=1)


def file(name: str) -> Path:
    where, _, pattern = name.rpartition("/")
    (found,) = folder(where).glob(pattern)
    return found


def aamva() -> bytes:
    return file("vical-aamva-2025-11/*.cbor").read_bytes()


def rdw() -> bytes:
    return file("vical-rdw-2025-02/*.cbor").read_bytes()


@cache
def certificate(name: str) -> Certificate:
    return Certificate.decode_any(file(f"vical-aamva-2025-11/{name}").read_bytes())


def take(data: bytes, *, at: dt.datetime = AAMVA_AT, **changes: Any) -> VicalImport:
    expectations: dict[str, Any] = {"providers": pin(certificate("aamva_ca_root.crt")), "accepted": NOTHING_ACCEPTED}
    return import_vical(data, at=at, **(expectations | changes))


def examine(data: bytes, at: dt.datetime) -> VicalReport:
    return examine_vical(data, providers=pin(certificate("aamva_ca_root.crt")), accepted=NOTHING_ACCEPTED, at=at)


def refusal(data: bytes, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(VerificationError) as caught:
        take(data, **changes)
    return caught.value.failed


# --- reading ----------------------------------------------------------------------------------------------------------


def test_every_deviation_of_the_aamva_list_is_named() -> None:
    vical = Vical.decode(aamva())
    assert (vical.provider, vical.version, vical.issue_id, vical.date) == ("AAMVA", "1.0", 227602, AAMVA_DATE)
    assert vical.next_update == AAMVA_DATE + DAY
    assert vical.own_deviations == ()
    assert Counter(deviation.code for deviation in vical.deviations) == {
        "member.capital": 15,  # Extensions in each of 14 entries, CertificateProfile in one
        "ski.wrapped": 14,
        "date.twelve_hours": 12,  # both dates of the six roots whose validity begins in the afternoon
        "serial.padded": 4,
        "state.form": 1,
    }
    assert [one.contradictions for one in vical.entries if isinstance(one, CertificateInfo)] == [()] * 14


def test_every_deviation_of_the_rdw_list_is_named() -> None:
    vical = Vical.decode(rdw())
    assert (vical.provider, vical.version, vical.issue_id) == ("RDW", "1.0", 5)
    assert Counter(deviation.code for deviation in vical.deviations) == {"state.form": 12}
    assert [one.contradictions for one in vical.entries if isinstance(one, CertificateInfo)] == [()] * 45


# --- the AAMVA list ---------------------------------------------------------------------------------------------------


def test_the_aamva_list_is_accepted_at_its_own_date() -> None:
    found = take(aamva())
    assert found.freshness is Freshness.FRESH
    assert found.root == certificate("aamva_ca_root.crt")
    assert found.until == AAMVA_DATE + 121 * DAY
    assert found.refused == ()
    assert found.report.indeterminate == ("vical.signer_revocation",)
    warnings = {check.id: check.warnings for check in found.report if check.warnings}
    assert warnings == {"vical.path": ("x5chain.root",), "vical.signer_profile": ("vical.crldp.uri",)}
    assert {anchor.doctypes for anchor in found.anchors} == {frozenset([MDL])}
    assert Counter((anchor.country, anchor.state) for anchor in found.anchors) == {
        ("US", "US-AZ"): 3,
        ("US", "US-MD"): 2,
        ("US", "US-UT"): 2,
        ("US", "US-VA"): 2,
        ("US", "AK"): 1,
        ("US", "US-CO"): 1,
        ("US", "US-GA"): 1,
        ("US", "US-MT"): 1,
        ("US", "US-ND"): 1,
    }


def test_the_aamva_list_is_refused_as_expired_today() -> None:
    assert refusal(aamva(), at=TODAY) == ("vical.signer_validity", "vical.freshness")


def test_the_aamva_list_is_stale_for_120_days_and_then_expired() -> None:
    due = AAMVA_DATE + DAY
    assert take(aamva(), at=due + DAY).freshness is Freshness.STALE
    assert take(aamva(), at=due + 120 * DAY).freshness is Freshness.STALE
    assert refusal(aamva(), at=due + 120 * DAY + dt.timedelta(seconds=1)) == ("vical.freshness",)


def test_a_root_that_has_expired_meanwhile_is_refused_alone() -> None:
    found = take(aamva(), at=dt.datetime(2026, 1, 11, tzinfo=dt.UTC))
    assert [(one.index, one.code) for one in found.refused] == [(2, "iaca.validity.past")]
    assert len(found.anchors) == 13


def test_three_arizona_roots_of_one_name_are_all_candidates() -> None:
    store = TrustStore(take(aamva()).anchors)
    arizona = [anchor for anchor in store if anchor.state == "US-AZ"]
    assert len({anchor.certificate.subject for anchor in arizona}) == 1
    assert len({anchor.certificate.spki for anchor in arizona}) == 3
    for anchor in arizona:
        assert store.with_key(anchor.certificate.spki) == (anchor,)
        assert set(store.candidates(anchor.certificate)) == set(arizona)


def test_the_intermediate_ca_may_be_pinned_instead() -> None:
    assert take(aamva(), providers=pin(certificate("aamva_ca_intermediate.crt"))).anchors


def test_the_root_in_the_message_does_not_stand_in_for_the_pinned_one() -> None:
    chain = [Certificate(der) for der in Vical.decode(aamva()).x5chain]
    assert chain[2] == certificate("aamva_ca_root.crt")
    stranger = pin(Certificate.decode_any(file("iaca-us-roots/US-CA-*").read_bytes()))
    assert refusal(aamva(), providers=stranger) == ("vical.path",)


def test_an_older_list_than_the_last_one_is_refused() -> None:
    seen = take(aamva()).accepted
    assert seen == AcceptedVical(issue_id=227602, date=AAMVA_DATE)
    assert take(aamva(), accepted=seen).anchors
    assert refusal(aamva(), accepted=AcceptedVical(issue_id=227603, date=AAMVA_DATE)) == ("vical.issue_id",)


def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing() -> None:
    data = aamva()
    honest = take(data).anchors
    for place in range(0, len(data), 1009):
        changed = bytearray(data)
        changed[place] ^= 0x01
        try:
            found = take(bytes(changed))
        except (DecodeError, VerificationError):
            continue
        # Nothing signs x5chain: what stands there beside the way to the root is of no effect.
        assert found.anchors == honest


def test_a_flipped_bit_in_the_signed_part_is_refused() -> None:
    data = aamva()
    payload = Vical.decode(data).message.payload
    assert payload is not None
    start = data.index(payload)
    for place in range(start, start + len(payload), 1511):
        changed = bytearray(data)
        changed[place] ^= 0x01
        try:
            assert "vical.signature" in refusal(bytes(changed))
        except DecodeError:
            continue


# --- the RDW list -----------------------------------------------------------------------------------------------------


def test_the_rdw_list_lacks_nothing_but_a_pinned_root_at_its_own_date() -> None:
    report = examine(rdw(), RDW_AT)
    assert report.failed == ("vical.path",)
    assert report.indeterminate == ("vical.signer_revocation",)


def test_the_rdw_list_is_refused_as_expired_today() -> None:
    assert examine(rdw(), TODAY).failed == ("vical.path", "vical.freshness")


def test_what_is_no_root_in_the_rdw_list_is_refused_alone() -> None:
    report = examine(rdw(), RDW_AT)
    assert Counter(one.code for one in report.refused) == {
        "iaca.ku.bits": 3,  # roots that may not sign certificates
        "iaca.bc.missing": 3,
        "iaca.issuer.self": 2,  # CAs below another one
        "iaca.signature.algorithm": 1,  # an RSA key
    }
    assert [one.index for one in report.refused] == [2, 6, 7, 24, 25, 34, 38, 39, 40]


# --- other real roots -------------------------------------------------------------------------------------------------


def test_every_collected_root_of_an_united_states_authority_may_be_admitted() -> None:
    names = sorted(path for path in folder("iaca-us-roots").iterdir() if path.suffix in {".pem", ".cer"})
    assert len(names) == 10
    for path in names:
        root = Certificate.decode_any(path.read_bytes())
        anchor = TrustAnchor.admit(
            root, doctypes=ANY_DOCTYPE, country="US", state=root.state, at=dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
        )
        assert anchor.purpose is Purpose.DOCUMENT_SIGNING

"""Which CRLs of another service can serve as a root's: what leaves the meaning clear is no reason to refuse."""

from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import core
from cryptography import x509

from issuer.certificate_files import crl_record, grave_findings
from mdl.pki import Crl
from mdl.testing import TEST_TIME, ThrowawayAuthority, deterministic_key, throwaway_authority
from tests.x509_forgery import forge_crl, set_field

HOUSE = throwaway_authority()
ROOT = HOUSE.iaca_certificate
DAY = timedelta(days=1)
URL = "https://throwaway.example/iaca.crl"
PARTS = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")


def point(*uris: str, **flags: bool) -> dict[str, Any]:
    names = [x509.UniformResourceIdentifier(uri) for uri in uris] or None
    found = x509.IssuingDistributionPoint(
        names, relative_name=None, only_some_reasons=None, **(dict.fromkeys(PARTS, False) | flags)
    )
    return {"idp": (found, True)}


def bent(change: Any) -> bytes:
    return forge_crl(Crl(HOUSE.crl(revoked=[5])), change, signer=HOUSE.iaca_key).der


def with_entry_extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    def change(body: Any) -> None:
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": oid, "critical": critical, "extn_value": core.ParsableOctetString(value)}
        ]

    return bent(change)


@pytest.mark.parametrize(
    "der",
    [
        HOUSE.crl(),
        with_entry_extension("2.5.29.21", b"\x0a\x01\x01"),
        with_entry_extension("1.2.3.4", b"\x05\x00"),
        HOUSE.crl(next_update=TEST_TIME + 91 * DAY),
        HOUSE.crl(extensions={"number": None}),
        HOUSE.crl(extensions={"aki": None}),
        HOUSE.crl(extensions=point(URL)),
        HOUSE.crl(extensions=point(only_contains_user_certs=True)),
    ],
)
def test_a_crl_whose_meaning_is_clear_is_taken(der: bytes) -> None:
    assert grave_findings(Crl(der), ROOT, at=TEST_TIME) == ()


@pytest.mark.parametrize(
    "der, rule",
    [
        (with_entry_extension("1.2.3.4", b"\x05\x00", critical=True), "crl.entry.critical"),
        (HOUSE.crl(extensions=point(URL + "2")), "crl.extension.partial"),
        (HOUSE.crl(extensions=point(URL, only_contains_ca_certs=True)), "crl.extension.partial"),
        (HOUSE.crl(extensions=point(URL, indirect_crl=True)), "crl.extension.partial"),
        (HOUSE.crl(extensions={"delta": (x509.DeltaCRLIndicator(1), True)}), "crl.extension.partial"),
        (bent(set_field("next_update", None)), "crl.next-update.missing"),
        (HOUSE.crl(signer=deterministic_key("stranger")), "crl.signature.invalid"),
        (ThrowawayAuthority("Other").crl(), "crl.issuer.name"),
        (HOUSE.crl(this_update=TEST_TIME - 60 * DAY, next_update=TEST_TIME - DAY), "crl.stale"),
        (HOUSE.crl(this_update=TEST_TIME + DAY), "crl.future"),
    ],
)
def test_a_crl_whose_meaning_is_open_or_that_is_not_the_root_s_is_refused(der: bytes, rule: str) -> None:
    assert rule in [finding.rule for finding in grave_findings(Crl(der), ROOT, at=TEST_TIME)]


@pytest.mark.parametrize("number", [None, 1 << 63, 1 << 150])
def test_a_crl_without_a_number_that_can_be_counted_is_counted_by_its_time(number: int | None) -> None:
    extensions = None if number is None else (x509.CRLNumber(number), False)
    record = crl_record(Crl(HOUSE.crl(extensions={"number": extensions})), ROOT.fingerprint)
    assert record.number == int((TEST_TIME - DAY).timestamp())
    assert crl_record(Crl(HOUSE.crl(number=7)), ROOT.fingerprint).number == 7

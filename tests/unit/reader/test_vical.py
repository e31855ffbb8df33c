"""Importing a VICAL: every step of the procedure, and the forgery that it stops."""

import datetime as dt
from typing import Any

import pytest
from cryptography import x509

from mdl.cbor import Tag, TDate, encode
from mdl.errors import DecodeError, VerificationError
from mdl.pki import Certificate, Crl
from mdl.testing import ThrowawayAuthority, deterministic_key, distinguished_name
from mdl.vical import CertificateInfo
from reader.report import Outcome, Revocation
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from reader.vical import (
    DEFAULT_MAX_STALE,
    NOTHING_ACCEPTED,
    VICAL_CHECKS,
    AcceptedVical,
    Freshness,
    VicalImport,
    VicalReport,
    examine_vical,
    import_vical,
)
from tests.vical_forgery import (
    AT,
    DATE,
    DAY,
    MDL,
    PHOTO_ID,
    Provider,
    authority,
    forge,
    info,
    key_usage,
    members,
    pin,
    provider,
    sign,
)
from tests.x509_forgery import forge_crl, rename, set_field

UTAH = authority().iaca_certificate
ALASKA = authority("Alaska", "US-AK").iaca_certificate


def examine(data: bytes, **changes: Any) -> VicalReport:
    expectations: dict[str, Any] = {"providers": provider().pinned(), "accepted": NOTHING_ACCEPTED, "at": AT} | changes
    return examine_vical(data, **expectations)


def take(data: bytes, **changes: Any) -> VicalImport:
    expectations: dict[str, Any] = {"providers": provider().pinned(), "accepted": NOTHING_ACCEPTED, "at": AT} | changes
    return import_vical(data, **expectations)


def only_failure(data: bytes, **changes: Any) -> str:
    """The one check that fails; and that the import refuses for it."""
    report = examine(data, **changes)
    assert not report.accepted
    with pytest.raises(VerificationError) as caught:
        take(data, **changes)
    assert caught.value.failed == report.failed
    assert caught.value.code == report.failed[0]
    assert caught.value.report.failed == report.failed
    (name,) = report.failed
    return name


# --- the honest list --------------------------------------------------------------------------------------------------


def test_an_honest_list_gives_its_roots() -> None:
    data = forge(info(UTAH), info(ALASKA, docType=[MDL, PHOTO_ID]))
    found = take(data)
    utah, alaska = found.anchors
    assert (utah.certificate, utah.doctypes, utah.country, utah.state) == (UTAH, frozenset({MDL}), "US", "US-UT")
    assert (alaska.certificate, alaska.doctypes) == (ALASKA, frozenset({MDL, PHOTO_ID}))
    assert (found.provider, found.issue_id, found.date) == ("Provider", 7, DATE)
    assert (found.root, found.signer) == (provider().root, provider().signer)
    assert found.freshness is Freshness.FRESH
    assert found.until == AT + DAY + DEFAULT_MAX_STALE == utah.until
    assert (found.refused, found.deviations) == ((), ())
    assert found.accepted == AcceptedVical(issue_id=7, date=DATE)
    assert len(found.fingerprint) == 32


def test_an_honest_list_passes_every_check_and_says_that_revocation_was_not_determined() -> None:
    report = examine(forge())
    assert [check.id for check in report] == list(VICAL_CHECKS)
    assert report.accepted
    assert report.failed == ()
    assert report.indeterminate == ("vical.signer_revocation",)
    assert all(check.clause.startswith("18013-5 C.1.7") for check in report)


def test_a_report_is_no_yes_or_no() -> None:
    with pytest.raises(TypeError, match="accepted"):
        bool(examine(forge()))


def test_a_signer_certified_by_the_root_itself_is_as_good() -> None:
    signer = Certificate(provider().direct_recipe.build())
    assert take(forge(signing={"x5chain": signer.der})).signer == signer


@pytest.mark.parametrize("curve", ["P-384", "P-521", "brainpoolP256r1"])
def test_the_other_curves_sign_lists_too(curve: str) -> None:
    other = Provider("Other", curve)
    signing = {"key": other.signer_key, "x5chain": list(other.chain)}
    assert take(forge(signing=signing), providers=other.pinned()).signer == other.signer


def test_a_root_in_the_message_is_tolerated_and_named() -> None:
    data = forge(signing={"x5chain": [*provider().chain, provider().root.der]})
    (path,) = [check for check in take(data).report if check.id == "vical.path"]
    assert path.warnings == ("x5chain.root",)


# --- (1) algorithm ----------------------------------------------------------------------------------------------------


def test_an_algorithm_that_does_not_fit_the_key_is_refused() -> None:
    assert only_failure(forge(signing={"algorithm": -35})) == "vical.algorithm"


def test_an_algorithm_that_may_not_sign_lists_is_refused() -> None:
    edwards = deterministic_key("Edwards", "Ed25519")
    recipe = provider().signer_recipe.with_changes(public_key=edwards.public_key)
    signing = {"key": edwards, "x5chain": [recipe.build(), provider().ca.der]}
    assert "vical.algorithm" in examine(forge(signing=signing)).failed


def test_a_list_without_an_algorithm_is_refused() -> None:
    assert only_failure(forge(signing={"protected": {}})) == "vical.algorithm"


@pytest.mark.parametrize("data", [b"", b"\x84", encode([b"", {}, b"", b""]), encode({"version": "1.0"})])
def test_what_is_no_list_does_not_decode(data: bytes) -> None:
    with pytest.raises(DecodeError):
        examine(data)


# --- (2) signature ----------------------------------------------------------------------------------------------------


def test_a_changed_payload_is_refused() -> None:
    data = forge(vicalProvider="Provider")
    assert only_failure(data.replace(b"Provider\x64date", b"Deceiver\x64date")) == "vical.signature"


def test_a_list_signed_by_another_key_is_refused() -> None:
    assert only_failure(forge(signing={"key": deterministic_key("Thief")})) == "vical.signature"


# --- (3) path ---------------------------------------------------------------------------------------------------------


def forgers() -> Provider:
    """A provider that nobody has pinned, with the names of the one that is."""
    other = Provider()
    for name in ("root", "ca", "signer"):
        setattr(other, f"{name}_key", deterministic_key(f"Forger {name}"))
    other.root_recipe = other._ca_recipe("Provider root", "Provider root", other.root_key, other.root_key, None)
    other.ca_recipe = other._ca_recipe("Provider CA", "Provider root", other.ca_key, other.root_key, 0)
    other.signer_recipe = other._signer_recipe("Provider CA", other.ca_key)
    return other


def test_a_root_taken_from_the_message_does_not_help() -> None:
    forger = forgers()
    chain = [*forger.chain, forger.root.der]
    data = forge(signing={"key": forger.signer_key, "x5chain": chain})
    assert only_failure(data) == "vical.path"
    assert take(data, providers=forger.pinned()).root == forger.root


def test_the_true_certificates_behind_a_forged_signer_do_not_help() -> None:
    forger = forgers()
    chain = [forger.signer.der, provider().ca.der, provider().root.der]
    assert only_failure(forge(signing={"key": forger.signer_key, "x5chain": chain})) == "vical.path"


def test_a_list_without_certificates_is_refused() -> None:
    report = examine(forge(signing={"unprotected": {}}))
    assert report.failed == ("vical.algorithm", "vical.path")


def test_a_signer_that_is_no_certificate_is_refused() -> None:
    report = examine(forge(signing={"x5chain": b"\x30\x00"}))
    assert report.failed == ("vical.algorithm", "vical.path")


def test_certificates_that_are_none_behind_the_signer_do_not_matter() -> None:
    assert take(forge(signing={"x5chain": [*provider().chain, b"\x30\x00"]})).anchors


def test_a_missing_certificate_breaks_the_path() -> None:
    assert only_failure(forge(signing={"x5chain": provider().signer.der})) == "vical.path"


def test_the_order_of_the_certificates_above_the_signer_does_not_matter() -> None:
    signer, ca = provider().chain
    assert take(forge(signing={"x5chain": [signer, provider().root.der, ca]})).anchors


def test_a_signer_that_was_itself_pinned_is_refused() -> None:
    assert only_failure(forge(), providers=pin(provider().signer)) == "vical.path"


def test_a_pinned_iaca_is_not_a_provider() -> None:
    iaca = TrustAnchor(certificate=provider().root, doctypes=ANY_DOCTYPE)
    with pytest.raises(ValueError, match="pinned"):
        examine(forge(), providers=TrustStore([iaca]))


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": AT - DAY},
        {"not_before": AT + DAY},
        {"extensions": {"bc": (x509.BasicConstraints(ca=False, path_length=None), True)}},
        {"extensions": {"bc": None}},
        {"extensions": {"ku": (key_usage("crl_sign"), True)}},
        {"extensions": {"odd": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True)}},
        {"subject": distinguished_name(C="NL", O="Provider", CN="Another CA")},
    ],
    ids=["expired", "not-yet-valid", "no-ca", "no-basic-constraints", "no-cert-sign", "critical-extension", "name"],
)
def test_a_ca_that_must_not_issue_leads_nowhere(changes: dict[str, Any]) -> None:
    ca = provider().ca_recipe.with_changes(**changes).build()
    assert only_failure(forge(signing={"x5chain": [provider().signer.der, ca]})) == "vical.path"


def test_a_root_that_allows_no_ca_below_it_allows_none() -> None:
    recipe = provider().root_recipe
    short = recipe.with_changes(extensions={"bc": (x509.BasicConstraints(ca=True, path_length=0), True)})
    root = Certificate(short.build())
    assert only_failure(forge(), providers=pin(root)) == "vical.path"
    direct = provider().direct_recipe.build()
    assert take(forge(signing={"x5chain": direct}), providers=pin(root)).root == root


def test_an_expired_root_leads_nowhere() -> None:
    root = Certificate(provider().root_recipe.with_changes(not_after=AT - DAY).build())
    assert only_failure(forge(), providers=pin(root)) == "vical.path"


def test_a_ca_of_another_key_identifier_is_not_the_issuer() -> None:
    stranger = x509.SubjectKeyIdentifier(b"another identifier")
    ca = provider().ca_recipe.with_changes(extensions={"ski": (stranger, False)}).build()
    assert only_failure(forge(signing={"x5chain": [provider().signer.der, ca]})) == "vical.path"


def test_a_pin_that_has_ended_is_none() -> None:
    assert only_failure(forge(), providers=provider().pinned(until=AT - DAY)) == "vical.path"


# --- (4) signer -------------------------------------------------------------------------------------------------------

SIGNER_DEFECTS: dict[str, dict[str, Any]] = {
    "document-signer": {
        "extensions": {"eku": (x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.0.18013.5.1.2")]), True)}
    },
    "no-purpose": {"extensions": {"eku": None}},
    "digital-signature": {"extensions": {"ku": (key_usage("digital_signature"), True)}},
    "no-key-usage": {"extensions": {"ku": None}},
    "ca": {"extensions": {"bc": (x509.BasicConstraints(ca=True, path_length=None), True)}},
    "no-crldp": {"extensions": {"crldp": None}},
    "no-organization": {"subject": distinguished_name(C="NL", CN="VICAL signer")},
    "too-long": {"not_before": AT - 200 * DAY, "not_after": AT + 1000 * DAY},
}


@pytest.mark.parametrize("changes", SIGNER_DEFECTS.values(), ids=SIGNER_DEFECTS.keys())
def test_a_signer_that_breaks_its_profile_is_refused(changes: dict[str, Any]) -> None:
    signer = provider().signer_recipe.with_changes(**changes).build()
    assert only_failure(forge(signing={"x5chain": [signer, provider().ca.der]})) == "vical.signer_profile"


def test_an_expired_signer_is_refused() -> None:
    signer = provider().signer_recipe.with_changes(not_after=AT - dt.timedelta(hours=1)).build()
    assert only_failure(forge(signing={"x5chain": [signer, provider().ca.der]})) == "vical.signer_validity"


def test_a_signer_that_is_not_valid_yet_is_refused() -> None:
    signer = provider().signer_recipe.with_changes(not_before=AT + DAY).build()
    report = examine(forge(signing={"x5chain": [signer, provider().ca.der]}))
    assert report.failed == ("vical.signer_validity", "vical.signed_within_certificate")


def test_a_revoked_signer_is_refused() -> None:
    crls = (provider().crl(revoked=[provider().signer.serial]), provider().crl(of_root=True))
    assert only_failure(forge(), crls=crls) == "vical.signer_revocation"


def test_a_revoked_ca_is_refused() -> None:
    crls = (provider().crl(), provider().crl(of_root=True, revoked=[provider().ca.serial]))
    assert only_failure(forge(), crls=crls) == "vical.signer_revocation"


def test_a_stale_revocation_list_is_not_evidence() -> None:
    crls = (provider().crl(until=AT - dt.timedelta(hours=1)), provider().crl(of_root=True))
    assert examine(forge(), crls=crls).indeterminate == ("vical.signer_revocation",)
    assert only_refusal(crls) == ("vical.signer_revocation",)


def only_refusal(crls: tuple[bytes, ...]) -> tuple[str, ...]:
    """What refuses where evidence is demanded."""
    with pytest.raises(VerificationError) as caught:
        take(forge(), revocation=Revocation.REQUIRED, crls=crls)
    return caught.value.failed


def test_every_certificate_of_the_path_must_be_cleared() -> None:
    both = (provider().crl(), provider().crl(of_root=True))
    assert examine(forge(), crls=both).indeterminate == ()
    assert examine(forge(), crls=both[:1]).indeterminate == ("vical.signer_revocation",)
    assert examine(forge(), crls=both[1:]).indeterminate == ("vical.signer_revocation",)


def test_a_list_by_the_ca_s_own_key_under_another_name_revokes_its_signer_too() -> None:
    honest = Crl(provider().crl(revoked=[provider().signer.serial]))
    renamed = forge_crl(honest, rename(lambda pairs: pairs[::-1], field="issuer"), signer=provider().ca_key).der
    assert only_failure(forge(), crls=(renamed, provider().crl(of_root=True))) == "vical.signer_revocation"


def test_a_list_in_the_ca_s_name_that_no_trusted_key_has_signed_is_not_evidence() -> None:
    forged = forge_crl(Crl(provider().crl()), set_field("version", "v2"), signer=deterministic_key("stranger")).der
    assert only_refusal((forged, provider().crl(of_root=True))) == ("vical.signer_revocation",)
    assert examine(forge(), crls=(forged, provider().crl(), provider().crl(of_root=True))).indeterminate == ()


def test_absent_evidence_refuses_where_it_was_demanded() -> None:
    with pytest.raises(VerificationError) as caught:
        take(forge(), revocation=Revocation.REQUIRED)
    assert caught.value.failed == ("vical.signer_revocation",)
    both = (provider().crl(), provider().crl(of_root=True))
    assert take(forge(), revocation=Revocation.REQUIRED, crls=both).anchors


# --- (5) version and date ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "version", ["", "1", "2.0", "0.9", "10.0", "1.0.0", "1.x", " 1.0", "-1.0", "1.", "\u0661.0", "1" * 99]
)
def test_another_version_is_refused(version: str) -> None:
    assert only_failure(forge(version=version)) == "vical.version"


@pytest.mark.parametrize(("version", "warnings"), [("1.0", ()), ("01.00", ()), ("1.1", ("version.minor",))])
def test_versions_are_compared_as_numbers_and_any_minor_one_is_read(version: str, warnings: tuple[str, ...]) -> None:
    (found,) = [check for check in take(forge(version=version)).report if check.id == "vical.version"]
    assert found.warnings == warnings


def test_a_list_from_the_future_is_refused_but_for_three_minutes() -> None:
    assert only_failure(forge(date=TDate.of(AT + dt.timedelta(seconds=181)))) == "vical.date"
    assert take(forge(date=TDate.of(AT + dt.timedelta(seconds=180)))).anchors


def test_a_list_issued_before_its_signer_was_certified_is_refused() -> None:
    before = provider().signer.not_before - dt.timedelta(seconds=1)
    assert only_failure(forge(date=TDate.of(before))) == "vical.signed_within_certificate"


# --- (6) rollback -----------------------------------------------------------------------------------------------------

ROLLBACKS: dict[str, tuple[dict[str, Any], AcceptedVical, bool]] = {
    "lower number": ({}, AcceptedVical(issue_id=8, date=DATE - DAY), False),
    "same number": ({}, AcceptedVical(issue_id=7, date=DATE), True),
    "same number, older": ({}, AcceptedVical(issue_id=7, date=DATE + dt.timedelta(seconds=1)), False),
    "higher number": ({}, AcceptedVical(issue_id=6, date=DATE), True),
    "no number any more": ({"vicalIssueID": None}, AcceptedVical(issue_id=1, date=DATE - DAY), False),
    "never a number": ({"vicalIssueID": None}, AcceptedVical(issue_id=None, date=DATE), True),
    "never a number, older": ({"vicalIssueID": None}, AcceptedVical(issue_id=None, date=DATE + DAY), False),
    "first number": ({}, AcceptedVical(issue_id=None, date=DATE - DAY), True),
    "first number, older": ({}, AcceptedVical(issue_id=None, date=DATE + DAY), False),
}


@pytest.mark.parametrize(("changes", "accepted", "fine"), ROLLBACKS.values(), ids=ROLLBACKS.keys())
def test_an_older_list_does_not_take_the_place_of_a_newer(
    changes: dict[str, Any], accepted: AcceptedVical, fine: bool
) -> None:
    data = forge(**changes)
    if fine:
        assert take(data, accepted=accepted).anchors
    else:
        assert only_failure(data, accepted=accepted) == "vical.issue_id"


# --- (7) age ----------------------------------------------------------------------------------------------------------

DUE = AT + DAY
SECOND = dt.timedelta(seconds=1)


def freshness(at: dt.datetime, data: bytes | None = None, **changes: Any) -> Freshness:
    try:
        return take(data or forge(), at=at, **changes).freshness
    except VerificationError as exc:
        assert exc.failed == ("vical.freshness",)  # noqa: PT017
        return Freshness.EXPIRED


def test_a_list_is_fresh_then_stale_then_expired() -> None:
    assert freshness(DUE) is Freshness.FRESH
    assert freshness(DUE + SECOND) is Freshness.STALE
    assert freshness(DUE + 120 * DAY) is Freshness.STALE
    assert freshness(DUE + 120 * DAY + SECOND) is Freshness.EXPIRED


def test_a_stale_list_is_told() -> None:
    checks = {check.id: check for check in take(forge(), at=DUE + SECOND).report}
    assert checks["vical.freshness"].outcome is Outcome.PASSED
    assert checks["vical.freshness"].warnings == ("stale",)


def test_how_long_a_stale_list_is_used_is_the_readers_choice() -> None:
    assert freshness(DUE + SECOND, max_stale=dt.timedelta(0)) is Freshness.EXPIRED
    assert freshness(DUE + 100 * DAY, max_stale=100 * DAY) is Freshness.STALE


def test_not_after_is_a_hard_end() -> None:
    data = forge(notAfter=TDate.of(DUE + 2 * DAY))
    assert freshness(DUE + 2 * DAY, data) is Freshness.STALE
    assert freshness(DUE + 2 * DAY + SECOND, data) is Freshness.EXPIRED
    assert take(data).anchors[0].until == DUE + 2 * DAY


def test_a_list_that_does_not_say_when_the_next_one_comes_ages_too() -> None:
    data = forge(nextUpdate=None)
    assert freshness(DATE + 90 * DAY, data) is Freshness.FRESH
    assert freshness(DATE + 90 * DAY + SECOND, data) is Freshness.STALE
    assert freshness(DATE + 210 * DAY + SECOND, data) is Freshness.EXPIRED


def test_dates_at_the_end_of_the_calendar_are_no_crash() -> None:
    data = forge(nextUpdate=TDate("9999-12-31T23:59:59Z"))
    assert take(data).freshness is Freshness.FRESH


# --- (8) entries ------------------------------------------------------------------------------------------------------

OTHER = authority("Other").iaca_certificate

CONTRADICTIONS: dict[str, dict[str, Any]] = {
    "serial.mismatch": {"serialNumber": Tag(2, b"\x05")},
    "ski.mismatch": {"ski": bytes(20)},
    "issuer.mismatch": {"issuer": OTHER.issuer.der},
    "subject.mismatch": {"subject": OTHER.subject.der},
    "not_before.mismatch": {"notBefore": TDate.of(UTAH.not_before - DAY)},
    "not_after.mismatch": {"notAfter": TDate.of(UTAH.not_after + DAY)},
    "country.mismatch": {"issuingCountry": "CA"},
    "state.mismatch": {"stateOrProvinceName": "US-NV"},
    "vical.entry": {"docType": []},
    "certificate.malformed": {"certificate": b"\x30\x00"},
}


@pytest.mark.parametrize(("code", "changes"), CONTRADICTIONS.items(), ids=CONTRADICTIONS.keys())
def test_an_entry_that_is_not_its_certificate_is_refused_alone(code: str, changes: dict[str, Any]) -> None:
    found = take(forge(info(UTAH, **changes), info(ALASKA)))
    assert [anchor.certificate for anchor in found.anchors] == [ALASKA]
    (refused,) = found.refused
    assert (refused.index, refused.code) == (0, code)
    assert refused.detail
    assert refused.certificate == (None if code in {"vical.entry", "certificate.malformed"} else UTAH)
    assert only_failure(forge(info(UTAH, **changes))) == "vical.entries"


def test_a_negative_number_of_a_list_is_tolerated_and_still_orders_lists() -> None:
    assert take(forge(vicalIssueID=-5)).issue_id == -5
    data = forge(vicalIssueID=-5)
    assert only_failure(data, accepted=AcceptedVical(issue_id=-4, date=DATE)) == "vical.issue_id"
    assert only_failure(data, accepted=AcceptedVical(issue_id=7, date=DATE)) == "vical.issue_id"


@pytest.mark.parametrize("member", ["stateOrProvinceName", "issuingCountry", "issuingAuthority"])
def test_an_entry_with_an_empty_text_is_one_without_it(member: str) -> None:
    found = take(forge(info(UTAH, **{member: ""}), info(ALASKA)))
    assert found.refused == ()
    assert [one.certificate for one in found.anchors] == [UTAH, ALASKA]
    # The root's own country and state limit it all the same.
    assert found.anchors[0].certificate.state == "US-UT"


def test_an_error_of_ours_over_one_entry_refuses_that_entry_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = TrustAnchor.admit

    def admit(certificate: Certificate, **limits: Any) -> TrustAnchor:
        if certificate == UTAH:
            raise ZeroDivisionError("Erika Mustermann")
        return honest(certificate, **limits)

    monkeypatch.setattr(TrustAnchor, "admit", admit)
    found = take(forge(info(UTAH), info(ALASKA)))
    assert [one.certificate for one in found.anchors] == [ALASKA]
    assert [(one.index, one.code) for one in found.refused] == [(0, "vical.entry")]
    assert "ZeroDivisionError" in found.refused[0].detail
    assert "Erika" not in found.refused[0].detail


def test_an_error_of_ours_while_an_entry_is_read_refuses_that_entry_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = CertificateInfo.from_value

    def from_value(value: Any, path: str) -> CertificateInfo:
        if path.endswith("[0]"):
            raise ZeroDivisionError("Erika Mustermann")
        return honest(value, path)

    monkeypatch.setattr(CertificateInfo, "from_value", from_value)
    found = take(forge(info(UTAH), info(ALASKA)))
    assert [one.certificate for one in found.anchors] == [ALASKA]
    assert [(one.index, one.code) for one in found.refused] == [(0, "vical.entry")]
    assert "Erika" not in found.refused[0].detail


def test_an_entry_that_is_no_map_is_refused_alone() -> None:
    found = take(sign(encode(members([info(UTAH)]) | {"certificateInfos": ["no entry", info(ALASKA)]})))
    assert [anchor.certificate for anchor in found.anchors] == [ALASKA]
    assert found.refused[0].code == "vical.entry"


ROOT_DEFECTS: dict[str, dict[str, Any]] = {
    "iaca.bc.not-ca": {"extensions": {"bc": (x509.BasicConstraints(ca=False, path_length=None), True)}},
    "iaca.ku.bits": {"extensions": {"ku": (key_usage("digital_signature"), True)}},
    "iaca.validity.past": {"not_after": AT - DAY},
    "iaca.validity.future": {"not_before": AT + DAY},
    "iaca.signature.invalid": {"signer": deterministic_key("Thief")},
    "iaca.issuer.self": {"issuer": distinguished_name(C="US", ST="US-UT", CN="Somebody else")},
    "iaca.extension.unknown": {
        "extensions": {"odd": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True)}
    },
}


@pytest.mark.parametrize(("code", "changes"), ROOT_DEFECTS.items(), ids=ROOT_DEFECTS.keys())
def test_a_certificate_that_is_no_root_is_refused_alone(code: str, changes: dict[str, Any]) -> None:
    bad = Certificate(authority().iaca_recipe.with_changes(**changes).build())
    found = take(forge(info(bad), info(ALASKA)))
    assert [anchor.certificate for anchor in found.anchors] == [ALASKA]
    assert [(one.index, one.code, one.certificate) for one in found.refused] == [(0, code, bad)]


def test_a_root_that_deviates_harmlessly_is_taken_with_its_findings() -> None:
    plain = Certificate(authority().iaca_recipe.with_changes(extensions={"crldp": None}).build())
    (anchor,) = take(forge(info(plain))).anchors
    assert [finding.rule for finding in anchor.findings] == ["iaca.crldp.missing"]


def test_an_empty_list_gives_nothing() -> None:
    assert only_failure(forge(certificateInfos=[])) == "vical.entries"


# --- (9) scope --------------------------------------------------------------------------------------------------------


def test_a_root_is_good_for_its_document_types_only() -> None:
    (anchor,) = take(forge(info(UTAH, docType=[PHOTO_ID]))).anchors
    signer = authority().ds_certificate
    assert anchor.out_of_scope(PHOTO_ID, signer, at=AT) is None
    assert anchor.out_of_scope(MDL, signer, at=AT) is not None


def test_a_state_that_only_the_entry_names_limits_the_root() -> None:
    federal = ThrowawayAuthority("Federal", state=None)
    (anchor,) = take(forge(info(federal.iaca_certificate, stateOrProvinceName="US-UT"))).anchors
    assert anchor.out_of_scope(MDL, authority().ds_certificate, at=AT) is None
    reason = anchor.out_of_scope(MDL, authority("Alaska", "US-AK").ds_certificate, at=AT)
    assert reason == "the root is not trusted for the document signer's state or province"


def test_a_root_of_a_state_without_its_country_is_taken_from_an_entry_that_has_both() -> None:
    short = authority("Alaska", "AK")
    (anchor,) = take(forge(info(short.iaca_certificate, stateOrProvinceName="US-AK"))).anchors
    assert anchor.out_of_scope(MDL, short.ds_certificate, at=AT) is None
    assert anchor.out_of_scope(MDL, authority().ds_certificate, at=AT) is not None


def test_a_country_with_its_subdivision_is_read_as_both() -> None:
    (anchor,) = take(forge(info(UTAH, issuingCountry="US-UT", stateOrProvinceName=None))).anchors
    assert (anchor.country, anchor.state) == ("US", "US-UT")
    assert only_failure(forge(info(UTAH, issuingCountry="US-NV", stateOrProvinceName=None))) == "vical.entries"


def test_a_provider_brings_no_more_than_it_is_trusted_for() -> None:
    canada = ThrowawayAuthority("Canada", country="CA", state=None).iaca_certificate
    data = forge(info(UTAH, docType=[MDL, PHOTO_ID]), info(ALASKA, docType=[PHOTO_ID]), info(canada))
    limited = take(data, providers=provider().pinned(doctypes=frozenset([MDL]), country="US"))
    assert [(one.certificate, one.doctypes) for one in limited.anchors] == [(UTAH, frozenset({MDL}))]
    assert [(one.index, one.code) for one in limited.refused] == [(1, "scope.doctype"), (2, "scope.country")]
    nevada = provider().pinned(state="US-NV")
    assert only_failure(data, providers=nevada) == "vical.scope"


def test_an_anchor_does_not_outlive_the_pin() -> None:
    end = AT + 3 * DAY
    assert take(forge(), providers=provider().pinned(until=end)).anchors[0].until == end


SECOND = dt.timedelta(seconds=1)
BEGINS, ENDS = AT - DAY, AT + 2 * DAY


@pytest.mark.parametrize("part", ["signer", "CA", "root", "pin", "list"])
@pytest.mark.parametrize("bound", ["begin", "end"])
def test_what_a_list_brings_is_trusted_while_all_of_its_proof_is_valid(part: str, bound: str) -> None:
    own = provider()
    bounds: dict[str, Any] = {"not_before": BEGINS} if bound == "begin" else {"not_after": ENDS}
    signer = own.signer_recipe.with_changes(**(bounds if part == "signer" else {}))
    ca = own.ca_recipe.with_changes(**(bounds if part == "CA" else {}))
    root = own.root_recipe.with_changes(**(bounds if part == "root" else {}))
    pinned = pin(
        Certificate(root.build()),
        since=BEGINS if (part, bound) == ("pin", "begin") else None,
        until=ENDS if (part, bound) == ("pin", "end") else None,
    )
    # The list is issued when its signer is valid, and before it is used; a clock may be three minutes ahead.
    issued = BEGINS if part == "signer" else BEGINS + dt.timedelta(minutes=3) if part == "list" else BEGINS - DAY
    data = forge(
        signing={"x5chain": [signer.build(), ca.build()]},
        date=TDate.of(issued),
        notAfter=TDate.of(ENDS) if (part, bound) == ("list", "end") else None,
    )
    inside, outside = (BEGINS, BEGINS - SECOND) if bound == "begin" else (ENDS, ENDS + SECOND)
    (anchor,) = take(data, providers=pinned).anchors
    assert anchor.out_of_scope(MDL, authority().ds_certificate, at=inside) is None
    assert anchor.out_of_scope(MDL, authority().ds_certificate, at=outside) is not None
    # Whenever the list is imported, it is trusted at the same times.
    assert take(data, providers=pinned, at=inside).anchors == (anchor,)
    assert not examine(data, providers=pinned, at=outside).accepted


def test_where_clearing_is_demanded_what_a_list_brings_ends_with_the_lists_that_clear() -> None:
    own = provider()
    crls = (own.crl(until=AT + 5 * DAY), own.crl(until=AT + 9 * DAY), own.crl(of_root=True, until=AT + 7 * DAY))
    demanded = {"revocation": Revocation.REQUIRED, "crls": crls}
    found = take(forge(), **demanded)
    assert found.until == found.anchors[0].until == AT + 7 * DAY
    assert take(forge(), **demanded, at=AT + 7 * DAY).anchors == found.anchors
    assert (
        examine(forge(), **demanded, at=AT + 7 * DAY + SECOND).indeterminate
        or examine(forge(), **demanded, at=AT + 7 * DAY + SECOND).failed
    )
    # Where it is not demanded, nothing rests on them.
    assert take(forge(), crls=crls).until == AT + DAY + DEFAULT_MAX_STALE
    # A list clears for ninety days at most.
    long = (own.crl(until=AT + 300 * DAY), own.crl(of_root=True, until=AT + 80 * DAY))
    assert take(forge(), revocation=Revocation.REQUIRED, crls=long).until == AT + 80 * DAY


def test_of_several_ways_to_a_root_the_one_that_lasts_longest_counts() -> None:
    own = provider()
    short = own.ca_recipe.with_changes(not_after=ENDS).build()
    renewed = Certificate(own.root_recipe.with_changes(not_after=ENDS).build())
    for chain in ([own.signer.der, short, own.ca.der], [own.signer.der, own.ca.der, short]):
        for roots in ((own.root, renewed), (renewed, own.root)):
            found = take(forge(signing={"x5chain": chain}), providers=pin(*roots))
            assert (found.root, found.until) == (own.root, AT + DAY + DEFAULT_MAX_STALE)


def test_a_root_that_is_pinned_twice_brings_what_either_pin_is_for() -> None:
    twice = TrustStore(
        [*provider().pinned(country="CA"), *provider().pinned(until=ENDS), *provider().pinned(country="US")]
    )
    found = take(forge(), providers=twice)
    assert [one.until for one in found.anchors] == [ENDS, AT + DAY + DEFAULT_MAX_STALE]
    assert found.refused == ()
    assert found.until == AT + DAY + DEFAULT_MAX_STALE


def test_a_list_from_the_first_day_of_the_calendar_is_no_crash() -> None:
    report = examine(forge(date=TDate("0001-01-01T00:00:00Z")))
    assert "vical.signed_within_certificate" in report.failed


# --- all of them ------------------------------------------------------------------------------------------------------


def certified(**changes: Any) -> dict[str, Any]:
    """How to sign with a signer's certificate that departs from the regular one."""
    return {"x5chain": [provider().signer_recipe.with_changes(**changes).build(), provider().ca.der]}


FORGERIES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "vical.algorithm": (forge(signing={"algorithm": -35}), {}),
    "vical.signature": (forge(signing={"key": deterministic_key("Thief")}), {}),
    "vical.path": (forge(signing={"x5chain": provider().signer.der}), {}),
    "vical.signer_profile": (forge(signing=certified(extensions={"eku": None})), {}),
    "vical.signer_validity": (forge(signing=certified(not_after=AT - dt.timedelta(hours=1))), {}),
    "vical.signer_revocation": (forge(), {"crls": (provider().crl(revoked=[provider().signer.serial]),)}),
    "vical.version": (forge(version="2.0"), {}),
    "vical.date": (forge(date=TDate.of(AT + dt.timedelta(hours=1))), {}),
    "vical.signed_within_certificate": (forge(date=TDate.of(AT - 101 * DAY)), {}),
    "vical.issue_id": (forge(), {"accepted": AcceptedVical(issue_id=8, date=DATE)}),
    "vical.freshness": (forge(), {"at": AT + 122 * DAY}),
    "vical.entries": (forge(info(UTAH, ski=bytes(20))), {}),
    "vical.scope": (forge(), {"providers": provider().pinned(doctypes=frozenset([PHOTO_ID]))}),
}


def test_every_check_has_a_forgery_that_it_alone_stops() -> None:
    assert FORGERIES.keys() == VICAL_CHECKS.keys()
    for name, (data, changes) in FORGERIES.items():
        assert only_failure(data, **changes) == name


# --- misuse -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"providers": None}, TypeError),
        ({"accepted": None}, TypeError),
        ({"revocation": None}, TypeError),
        ({"at": AT.replace(tzinfo=None)}, ValueError),
        ({"max_stale": -DAY}, ValueError),
    ],
)
def test_a_wrong_argument_is_refused_at_once(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        examine(forge(), **changes)

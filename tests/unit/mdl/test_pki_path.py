"""From a document signer to its IACA: what leads there, and every way that must not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import keys, x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    IACA_LINK,
    OCSP_SIGNER,
    Certificate,
    PathResult,
    Subject,
    build_certificate,
    validate_path,
)
from mdl.testing import deterministic_key
from tests.x509_forgery import (
    CONTACT,
    CRL_URI,
    KEY,
    ROOT_KEY,
    ROOT_SUBJECT,
    START,
    SUBJECT,
    drop,
    flag,
    forge,
    honest,
    put,
    rename,
    root,
    set_field,
)

AT = START + timedelta(days=30)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
THIEF = deterministic_key("thief")
SKI, AKI, KU, BC = "2.5.29.14", "2.5.29.35", "2.5.29.15", "2.5.29.19"


def signer_and_root() -> tuple[Certificate, Certificate]:
    certificate, issuer = honest(DOCUMENT_SIGNER)
    assert issuer is not None
    return certificate, issuer


def outcomes(result: PathResult) -> tuple[bool | None, bool | None, bool | None]:
    return result.path.holds, result.validity.holds, result.profile.holds


def root_until(end: datetime, *, signer: Any = ROOT_KEY, subject: Subject = ROOT_SUBJECT) -> Certificate:
    return build_certificate(
        IACA,
        subject=subject,
        public_key=signer.public_key,
        issuer=None,
        signer=signer,
        not_before=START,
        not_after=end,
        crl_uri=CRL_URI,
        contact_email=CONTACT,
        serial=2**125 + 9,
    )


# --- What leads to an anchor ------------------------------------------------------------------------------------------


def test_an_honest_document_signer_leads_to_its_iaca() -> None:
    certificate, anchor = signer_and_root()
    result = validate_path(certificate, [anchor], at=AT)
    assert result.anchor == anchor
    assert outcomes(result) == (True, True, True)
    assert [fact.check for fact in result.facts] == [
        "issuer_auth.path",
        "issuer_auth.certificate_validity",
        "issuer_auth.profile",
    ]
    assert [fact.code for fact in result.facts] == [None, None, None]
    assert result.profile.findings == ()
    assert (result.not_before, result.not_after) == (certificate.not_before, certificate.not_after)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"])
@pytest.mark.parametrize("ds_curve", ["P-256", "brainpoolP512r1", "Ed25519", "Ed448"])
def test_every_curve_is_treated_alike(curve: str, ds_curve: str) -> None:
    signer = deterministic_key("path", curve)
    anchor = root(signer)
    certificate, _ = honest(DOCUMENT_SIGNER, issuer=anchor, signer=signer, key=deterministic_key("path ds", ds_curve))
    assert outcomes(validate_path(certificate, [anchor], at=AT)) == (True, True, True)


def test_among_roots_of_one_name_the_one_that_signed_is_found() -> None:
    """Some states list several roots under one name."""
    certificate, anchor = signer_and_root()
    others = [root(deterministic_key(f"twin {n}")) for n in range(4)]
    result = validate_path(certificate, [*others[:2], anchor, *others[2:]], at=AT)
    assert result.anchor == anchor
    assert outcomes(result) == (True, True, True)


def test_without_key_identifiers_every_root_of_that_name_is_tried() -> None:
    certificate, anchor = signer_and_root()
    anonymous = forge(certificate, drop(AKI))
    others = [root(deterministic_key(f"twin {n}")) for n in range(4)]
    result = validate_path(anonymous, [*others, anchor], at=AT)
    assert result.anchor == anchor
    assert [finding.rule for finding in result.profile.findings] == ["ds.aki.missing"]


def test_a_root_without_a_key_identifier_is_tried_as_well() -> None:
    certificate, anchor = signer_and_root()
    bare = forge(anchor, drop(SKI))
    result = validate_path(certificate, [bare], at=AT)
    assert result.anchor == bare
    assert [finding.rule for finding in result.profile.findings] == ["iaca.ski.missing"]


def test_of_a_root_and_its_renewal_the_one_that_is_valid_serves() -> None:
    certificate, _ = honest(DOCUMENT_SIGNER)
    old, new = root_until(START + 10 * DAY), root_until(START + 3650 * DAY)
    for anchors in ([old, new], [new, old]):
        result = validate_path(certificate, anchors, at=AT)
        assert result.anchor == new
        assert result.validity.holds is True


def test_of_two_certificates_of_one_root_the_sound_one_serves() -> None:
    certificate, anchor = signer_and_root()
    crippled = forge(anchor, drop(BC))
    for anchors in ([crippled, anchor], [anchor, crippled]):
        assert validate_path(certificate, anchors, at=AT).anchor == anchor


# --- What does not ----------------------------------------------------------------------------------------------------


def refused(certificate: Certificate, anchors: list[Certificate], code: str) -> PathResult:
    result = validate_path(certificate, anchors, at=AT)
    assert result.path.holds is False
    assert result.path.code == code
    assert result.anchor is None
    return result


def test_a_root_that_nobody_trusts_leads_nowhere() -> None:
    certificate, _ = signer_and_root()
    stranger = root(THIEF, Subject(country="XU", state="XU-1", common_name="Another root"))
    result = refused(certificate, [stranger], "path.no_anchor")
    # The document signer itself is in order: what is wrong is the path alone.
    assert outcomes(result) == (False, None, None)


def test_a_forged_root_of_the_same_name_is_not_the_root() -> None:
    """A thief makes a root of the same name, and a document signer under it."""
    _, anchor = signer_and_root()
    forged_root = root(THIEF)
    forged_ds, _ = honest(DOCUMENT_SIGNER, issuer=forged_root, signer=THIEF)
    refused(forged_ds, [anchor], "path.key_identifier")


def test_a_thief_who_copies_the_key_identifier_still_lacks_the_key() -> None:
    certificate, anchor = signer_and_root()
    forged = forge(certificate, lambda _: None, signer=THIEF)
    assert forged.authority_key_identifier == anchor.subject_key_identifier
    refused(forged, [anchor], "path.signature_invalid")


def test_a_thief_who_leaves_the_key_identifier_out_still_lacks_the_key() -> None:
    certificate, anchor = signer_and_root()
    refused(forge(certificate, drop(AKI), signer=THIEF), [anchor], "path.signature_invalid")


def test_one_changed_bit_in_the_body_is_seen() -> None:
    certificate, anchor = signer_and_root()
    at = certificate.der.index(KEY.public_key.point) + 40
    broken = Certificate(certificate.der[:at] + bytes([certificate.der[at] ^ 1]) + certificate.der[at + 1 :])
    refused(broken, [anchor], "path.signature_invalid")


def test_the_same_name_in_other_bytes_is_another_name() -> None:
    from asn1crypto import core

    certificate, anchor = signer_and_root()
    change = rename(lambda pairs: [(oid, core.UTF8String(value.native)) for oid, value in pairs], field="issuer")
    refused(forge(certificate, change), [anchor], "path.issuer_name")


def test_two_algorithm_identifiers_that_differ_are_refused() -> None:
    from asn1crypto import algos

    certificate, anchor = signer_and_root()
    other = algos.SignedDigestAlgorithm({"algorithm": "1.2.840.10045.4.3.3"})
    forged = forge(certificate, lambda _: None, outer=set_field("signature_algorithm", other))
    refused(forged, [anchor], "path.signature_algorithm_mismatch")


def test_a_signature_under_sha1_is_refused_although_it_is_the_issuers() -> None:
    from asn1crypto import algos

    certificate, anchor = signer_and_root()
    sha1 = algos.SignedDigestAlgorithm({"algorithm": "1.2.840.10045.4.1"})
    forged = forge(certificate, set_field("signature", sha1), digest="sha1")
    refused(forged, [anchor], "path.signature_algorithm")


def test_a_document_signer_among_the_anchors_is_not_its_own_issuer() -> None:
    certificate, anchor = signer_and_root()
    refused(certificate, [certificate], "path.signer_is_anchor")
    refused(certificate, [certificate, root(deterministic_key("another root"))], "path.signer_is_anchor")
    for anchors in ([certificate, anchor], [anchor, certificate]):
        result = validate_path(certificate, anchors, at=AT)
        assert (result.path.holds, result.anchor) == (True, anchor)


def test_the_root_itself_is_no_document_signer() -> None:
    _, anchor = signer_and_root()
    refused(anchor, [anchor], "path.signer_is_anchor")


def test_another_certificate_of_the_root_itself_is_no_document_signer() -> None:
    """The root's key signs a second certificate of its own: the path holds, the profile does not."""
    _, anchor = signer_and_root()
    twin = root_until(START + 300 * DAY)
    result = validate_path(twin, [anchor], at=AT)
    assert result.path.holds is True
    assert result.profile.holds is False
    security = {finding.rule for finding in result.profile.findings if finding.security}
    assert security >= {"ds.bc.ca", "ds.ku.ca-bits", "ds.eku.missing"}


def test_a_document_signer_under_a_document_signer_is_refused() -> None:
    """Whoever steals a document signer's key issues certificates with it; the victim stands among the anchors."""
    victim, _ = signer_and_root()
    change = set_field("issuer", x509.Name.load(victim.subject.der))
    identify = put(AKI, x509.AuthorityKeyIdentifier({"key_identifier": victim.subject_key_identifier}))
    below = forge(forge(victim, change, signer=KEY), identify, signer=KEY)
    below = forge(
        below, set_field("subject", x509.Name.load(Subject(country="XU", common_name="x").name.der)), signer=KEY
    )
    result = validate_path(below, [victim], at=AT)
    assert result.profile.holds is False
    security = {finding.rule for finding in result.profile.findings if finding.security}
    assert security >= {"iaca.bc.missing", "iaca.ku.bits"}


def test_an_intermediate_ca_does_not_lengthen_the_path() -> None:
    """A sub-CA that the root did sign cannot issue document signers: only anchors can, and it is none."""
    _, anchor = signer_and_root()
    sub_key = deterministic_key("sub")
    sub = build_certificate(
        IACA_LINK,
        subject=Subject(country="XU", state="XU-1", common_name="Sub"),
        public_key=sub_key.public_key,
        issuer=anchor,
        signer=ROOT_KEY,
        not_before=START,
        not_after=START + 300 * DAY,
        crl_uri=CRL_URI,
        contact_email=CONTACT,
    )
    certificate, _ = honest(DOCUMENT_SIGNER)
    change = set_field("issuer", x509.Name.load(sub.subject.der))
    refused(forge(certificate, change, signer=sub_key), [anchor], "path.issuer_name")
    result = validate_path(sub, [anchor], at=AT)
    assert {f.rule for f in result.profile.findings if f.security} >= {"ds.bc.ca", "ds.eku.purpose"}


def test_an_anchor_whose_key_is_not_usable_verifies_nothing() -> None:
    certificate, anchor = signer_and_root()
    rsa_key = rsa.generate_private_key(65537, 2048).public_key()
    spki = rsa_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    crippled = forge(anchor, set_field("subject_public_key_info", keys.PublicKeyInfo.load(spki)))
    refused(certificate, [crippled], "path.anchor_key")
    # Beside a usable one it does no harm.
    assert validate_path(certificate, [crippled, anchor], at=AT).anchor == anchor


def test_a_signer_for_another_role_under_the_same_root_is_no_document_signer() -> None:
    certificate, anchor = honest(OCSP_SIGNER)
    assert anchor is not None
    result = validate_path(certificate, [anchor], at=AT)
    assert outcomes(result) == (True, True, False)
    assert "ds.eku.purpose" in {finding.rule for finding in result.profile.findings if finding.security}


def test_the_findings_of_both_are_told() -> None:
    certificate, anchor = signer_and_root()
    result = validate_path(
        forge(certificate, flag(KU, critical=False)), [forge(anchor, flag(KU, critical=False))], at=AT
    )
    assert [finding.rule for finding in result.profile.findings] == ["ds.ku.critical", "iaca.ku.critical"]
    assert result.profile.code == "ds.ku.critical"
    assert result.profile.clause == "18013-5 B.1.4"


def test_warnings_alone_do_not_break_the_profile() -> None:
    certificate, anchor = signer_and_root()
    result = validate_path(certificate, [forge(anchor, drop("2.5.29.31"))], at=AT)
    assert [finding.rule for finding in result.profile.findings] == ["iaca.crldp.missing"]
    assert result.profile.holds is True


def test_a_document_signer_that_breaks_its_profile_is_named_without_an_anchor_too() -> None:
    certificate, _ = signer_and_root()
    stranger = root(THIEF, Subject(country="XU", common_name="Another root"))
    result = validate_path(forge(certificate, drop("2.5.29.37")), [stranger], at=AT)
    assert outcomes(result) == (False, None, False)


def test_no_key_identifier_is_not_the_key_identifier_of_an_anchor_that_has_none() -> None:
    certificate, anchor = signer_and_root()
    stranger = forge(root(THIEF, Subject(country="XU", common_name="Another root")), drop(SKI), signer=THIEF)
    refused(forge(certificate, drop(AKI)), [stranger], "path.no_anchor")
    refused(certificate, [stranger], "path.no_anchor")
    assert anchor.subject != stranger.subject


# --- Time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "holds", "code"),
    [
        (START + DAY - SECOND, False, "validity.signer_not_yet_valid"),
        (START + DAY, True, None),
        (START + 301 * DAY, True, None),
        (START + 301 * DAY + SECOND, False, "validity.signer_expired"),
    ],
)
def test_the_document_signer_is_valid_from_bound_to_bound(at: datetime, holds: bool, code: str | None) -> None:
    certificate, anchor = signer_and_root()
    result = validate_path(certificate, [anchor], at=at)
    assert (result.validity.holds, result.validity.code) == (holds, code)
    assert result.path.holds is True
    assert result.profile.holds is True


@pytest.mark.parametrize(
    ("at", "holds", "code"),
    [
        (START + 100 * DAY, True, None),
        (START + 100 * DAY + SECOND, False, "validity.anchor_expired"),
    ],
)
def test_the_anchor_must_be_valid_as_well(at: datetime, holds: bool, code: str | None) -> None:
    certificate, _ = signer_and_root()
    result = validate_path(certificate, [root_until(START + 100 * DAY)], at=at)
    assert (result.validity.holds, result.validity.code) == (holds, code)
    assert result.not_after == START + 100 * DAY


def test_an_anchor_of_tomorrow_is_not_yet_valid() -> None:
    certificate, anchor = signer_and_root()

    def later(body: Any) -> None:
        body["validity"]["not_before"] = x509.Time("utc_time", x509.UTCTime(AT + DAY))

    result = validate_path(certificate, [forge(anchor, later)], at=AT)
    assert result.validity.code == "validity.anchor_not_yet_valid"
    assert result.not_before == AT + DAY


def test_an_expired_document_signer_without_an_anchor_is_expired() -> None:
    certificate, _ = signer_and_root()
    stranger = root(THIEF, Subject(country="XU", common_name="Another root"))
    assert validate_path(certificate, [stranger], at=START + 400 * DAY).validity.holds is False


def test_a_clock_may_be_off_by_the_skew_and_no_more() -> None:
    certificate, anchor = signer_and_root()
    for at, skew, holds in (
        (certificate.not_before - 60 * SECOND, 60 * SECOND, True),
        (certificate.not_before - 61 * SECOND, 60 * SECOND, False),
        (certificate.not_after + 60 * SECOND, 60 * SECOND, True),
        (certificate.not_after + 61 * SECOND, 60 * SECOND, False),
    ):
        assert validate_path(certificate, [anchor], at=at, skew=skew).validity.holds is holds


# --- Mistakes of the caller, and cost ---------------------------------------------------------------------------------


def test_an_empty_set_of_anchors_is_a_mistake() -> None:
    certificate, _ = signer_and_root()
    with pytest.raises(ValueError, match="anchors"):
        validate_path(certificate, [], at=AT)


def test_a_naive_time_is_a_mistake() -> None:
    certificate, anchor = signer_and_root()
    with pytest.raises(ValueError, match="aware"):
        validate_path(certificate, [anchor], at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_time_in_another_zone_is_the_same_time() -> None:
    from datetime import timezone

    certificate, anchor = signer_and_root()
    there = timezone(timedelta(hours=9))
    assert validate_path(certificate, [anchor], at=AT.astimezone(there)).validity.holds is True
    assert AT.tzinfo is UTC


def test_details_tell_no_names() -> None:
    secret = "Jane Q Public"
    subject = Subject(country="XU", state="XU-1", common_name=secret)
    anchor = root(subject=subject)
    certificate, _ = honest(DOCUMENT_SIGNER, issuer=anchor)
    for anchors in ([anchor], [root(THIEF)], [root(THIEF, subject)]):
        result = validate_path(certificate, anchors, at=AT)
        assert all(secret not in fact.detail for fact in result.facts)


def test_sixty_roots_cost_one_signature() -> None:
    """Found by key identifier: the others of that name are not tried."""
    certificate, anchor = signer_and_root()
    crowd = [root(deterministic_key(f"crowd {n}")) for n in range(60)]

    def best(anchors: list[Certificate]) -> float:
        taken = []
        for _ in range(15):
            start = time.perf_counter()
            validate_path(certificate, anchors, at=AT)
            taken.append(time.perf_counter() - start)
        return min(taken)

    # Sixty signatures would cost some twenty times as much.
    assert best([*crowd, anchor]) < 8 * best([anchor])
    assert SUBJECT.country == anchor.country


def test_a_root_that_signs_a_security_object_itself_is_told_so() -> None:
    """There must be a document signer between the two; that its issuer is no anchor would be false."""
    anchor = root()
    path = validate_path(anchor, [anchor], at=START + timedelta(days=10)).path
    assert (path.holds, path.code) == (False, "path.signer_is_anchor")
    assert "there must be a document signer" in path.detail
    signer = honest(DOCUMENT_SIGNER, issuer=anchor)[0]
    path = validate_path(signer, [signer], at=START + timedelta(days=10)).path
    assert (path.code, path.detail) == (
        "path.signer_is_anchor",
        "the document signer is an anchor, but its issuer is none",
    )

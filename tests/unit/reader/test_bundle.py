"""Evidence bundles: the same verdict later, byte for byte; nothing in them can be changed; redaction keeps the rest."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import decode, encode
from mdl.cli import main
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import DecodeError, LocalProtocolError, MdlError, UnsupportedError, VerificationError
from mdl.keys import EphemeralKey, PublicKey, UnsafePostQuantum
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    DeviceAuth,
    Presentation,
    Recipe,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    present,
    request_for,
    sample_licence,
    sample_transcript,
    throwaway_authority,
)
from reader import bundle as module
from reader.bundle import EvidenceBundle, Part, UnsafeBundleAnchors, Voucher, examine_and_keep, keep
from reader.evidence import EvidenceStore, Need
from reader.fetching import EvidenceKind
from reader.report import Outcome, Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from tests.status_forgery import URI, Token, status_list

HOUSE = throwaway_authority()
OTHERS = [ThrowawayAuthority(f"Other {number}") for number in range(3)]
TRUST = TrustStore.from_certificates(
    [OTHERS[0].iaca_certificate, *HOUSE.anchors, *(one.iaca_certificate for one in OTHERS[1:])], doctypes=ANY_DOCTYPE
)
OWN = UnsafeBundleAnchors()
KEY = deterministic_key("archive")
STATUS = {"status_list": {"idx": 7, "uri": URI}}
CRL, TOKEN = HOUSE.crl(), Token().build()
EVIDENCE = Evidence(
    crls=(OTHERS[0].crl(), CRL, OTHERS[1].crl()),
    status_tokens=(Token(uri="https://lists.throwaway.example/other").build(), TOKEN),
)
SHOWN = ("family_name", "birth_date", "portrait", "issuing_country", "age_over_18")
HONEST = present(disclose=SHOWN, mso_status=STATUS)


def kept(given: Presentation = HONEST, **others: Any) -> EvidenceBundle:
    verifier = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    case: dict[str, Any] = {
        "context": SessionContext(transcript=given.transcript, reader_key=given.reader_key),
        "request": given.request,
        "at": given.at,
        "evidence": EVIDENCE,
    }
    return examine_and_keep(verifier, given.response, **case | others)


def opened(bundle: EvidenceBundle) -> EvidenceBundle:
    return EvidenceBundle.decode(bundle.encode())


# --- the same verdict later -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown",
    [
        HONEST,
        present(disclose=SHOWN, device_auth=DeviceAuth.MAC),
        present(disclose=SHOWN, mso_version="2.0"),
        present(disclose=SHOWN, x5chain=OTHERS[2].ds_certificate.der),
        present(disclose=SHOWN, authority=ThrowawayAuthority("Stranger")),
        present(disclose=SHOWN, mso_status={"status_list": {"idx": 3, "uri": URI}}),
        Recipe(disclose=SHOWN, seed="one").present(Recipe(disclose=SHOWN, seed="two")),
    ],
    ids=["signature", "mac", "refused", "foreign signer", "unknown root", "revoked", "two documents"],
)
def test_a_bundle_gives_the_same_verdict_byte_for_byte(shown: Presentation) -> None:
    verifier = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    report = verifier.examine(shown.response, context=context, request=shown.request, at=shown.at, evidence=EVIDENCE)
    bundle = opened(kept(shown))
    assert bundle.verdict == report.as_json()
    assert bundle.replay(trust=OWN).report == report
    if report.accepted:
        there = verifier.verify(shown.response, context=context, request=shown.request, at=shown.at, evidence=EVIDENCE)
        again = bundle.verify(trust=OWN)
        assert [one.elements for one in again.documents] == [one.elements for one in there.documents]
    else:
        with pytest.raises(VerificationError):
            bundle.verify(trust=OWN)


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("revocation", Revocation)
def test_policy_demand_clock_and_skew_are_those_of_then(policy: Policy, revocation: Revocation) -> None:
    skew = timedelta(seconds=30)
    verifier = Verifier(TRUST, policy=policy, revocation=revocation, clock_skew=skew)
    at = TEST_TIME - timedelta(days=1, seconds=29)  # only the skew makes it valid
    context = SessionContext(transcript=HONEST.transcript, reader_key=None)
    bundle = examine_and_keep(verifier, HONEST.response, context=context, request=UnsafeNoRequest(), at=at)
    bundle = opened(bundle)
    assert (bundle.policy, bundle.revocation, bundle.clock_skew, bundle.at) == (policy, revocation, skew, at)
    assert bundle.request is None
    report = bundle.replay(trust=OWN).report
    assert "mso.validity" not in report.failed
    assert report.accepted is (revocation is Revocation.IF_GIVEN)


def test_keep_verifies_and_refuses_as_the_verifier_does() -> None:
    verifier = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.REQUIRED)
    context = SessionContext(transcript=HONEST.transcript, reader_key=HONEST.reader_key)
    case: dict[str, Any] = {"context": context, "request": HONEST.request, "at": HONEST.at}
    verified, bundle = keep(verifier, HONEST.response, **case, evidence=EVIDENCE)
    assert set(verified.documents[0].elements[MDL_NAMESPACE]) == set(SHOWN)
    assert bundle.replay(trust=OWN).report == verified.report
    with pytest.raises(VerificationError) as refused:
        keep(verifier, HONEST.response, **case)
    assert refused.value.failed == ("issuer_auth.certificate_revocation", "mso.status")


@pytest.mark.parametrize(
    "shown", [HONEST, present(disclose=SHOWN, device_auth=DeviceAuth.MAC)], ids=["signature", "mac"]
)
def test_a_session_with_another_readers_key_is_refused_and_not_kept(shown: Presentation) -> None:
    verifier = Verifier(TRUST, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=EphemeralKey.generate())
    case: dict[str, Any] = {"context": context, "request": shown.request, "at": shown.at, "evidence": EVIDENCE}
    refused = verifier.examine(shown.response, **case).failed
    assert refused in (("device_auth.signature",), ("device_auth.mac",))
    with pytest.raises(VerificationError) as caught:
        keep(verifier, shown.response, **case)
    assert caught.value.failed == refused
    with pytest.raises(UnsupportedError) as unkept:
        examine_and_keep(verifier, shown.response, **case)
    assert unkept.value.code == "bundle.session"


def test_the_checks_run_no_more_often_than_there_are_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """On each set of roots once, and once on what is kept: a run costs signatures, and an agreement costs the token."""
    runs = 0
    run = Verifier._run

    def counted(*arguments: Any) -> Any:
        nonlocal runs
        runs += 1
        return run(*arguments)

    monkeypatch.setattr(Verifier, "_run", counted)
    shown = present(disclose=SHOWN, device_auth=DeviceAuth.MAC)
    agreed: list[PublicKey] = []

    class _Token:
        def agree(self, peer: PublicKey) -> bytes:
            agreed.append(peer)
            return shown.reader_key.agree(peer)

    verifier = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=_Token())
    case: dict[str, Any] = {"context": context, "request": shown.request, "at": shown.at, "evidence": EVIDENCE}
    _, bundle = keep(verifier, shown.response, **case)
    assert (runs, len(agreed)) == (2, 1)
    assert examine_and_keep(verifier, shown.response, **case) == bundle
    assert (runs, len(agreed)) == (4, 2)
    bundle = EvidenceBundle.decode(bundle.encode(KEY))
    for act, terms, expected in (
        (bundle.replay, {"trust": OWN}, 1),
        (bundle.replay, {"trust": TRUST}, 2),
        (bundle.verify, {"trust": OWN}, 1),
        (bundle.verify, {"trust": TRUST, "signed_by": KEY.public_key}, 2),
    ):
        runs = 0
        act(**terms)
        assert runs == expected


def test_where_what_was_left_out_had_a_say_after_all_everything_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_evidence_with_a_say", lambda *_: Evidence())
    bundle = kept()
    assert (bundle.evidence, bundle.anchors) == (EVIDENCE, tuple(TRUST))
    assert opened(bundle).replay(trust=OWN).report.as_json() == bundle.verdict


def test_a_verdict_that_what_is_kept_does_not_lead_to_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = kept(present(disclose=SHOWN, mso_version="2.0"))
    monkeypatch.setattr(module, "_take_apart", lambda _response: refused.pieces)
    with pytest.raises(VerificationError) as told:
        kept()
    assert told.value.code == "bundle.verdict"


def test_a_response_in_a_form_that_is_not_implemented_is_told_as_the_verifier_tells_it() -> None:
    response = encode({"version": "1.0", "zkDocuments": [{}], "status": 0})
    bundle = opened(kept(replace(HONEST, response=response)))
    assert bundle.replay(trust=TRUST).report.is_unsupported
    for trust in (OWN, TRUST):
        with pytest.raises(UnsupportedError) as told:
            bundle.verify(trust=trust)
        assert told.value.code == "response.unsupported"


def test_only_what_had_a_say_is_kept() -> None:
    bundle = kept()
    assert [anchor.certificate for anchor in bundle.anchors] == [HOUSE.iaca_certificate]
    assert bundle.evidence == Evidence(crls=(CRL,), status_tokens=(TOKEN,))
    assert HONEST.reader_key.to_pkcs8() not in bundle.encode()


def test_evidence_that_cannot_be_told_whom_it_concerns_had_a_say() -> None:
    bundle = kept(evidence=Evidence(crls=(b"garbage",), status_tokens=(b"rubbish",)))
    assert bundle.evidence == Evidence(crls=(b"garbage",), status_tokens=(b"rubbish",))
    open_checks = ("issuer_auth.certificate_revocation", "mso.status")
    assert opened(bundle).replay(trust=OWN).report.indeterminate == open_checks


def test_of_a_mac_the_agreed_secret_is_kept_and_not_the_key() -> None:
    bundle = opened(kept(present(disclose=SHOWN, device_auth=DeviceAuth.MAC)))
    assert bundle.agreed is not None
    assert len(bundle.agreed) == 1
    assert opened(kept()).agreed == ()
    forgotten = replace(bundle, agreed=())
    with pytest.raises(VerificationError) as refused:
        forgotten.replay(trust=OWN)
    assert refused.value.code == "bundle.verdict"


def test_a_key_that_cannot_agree_is_remembered_too() -> None:
    shown = present(disclose=SHOWN, device_auth=DeviceAuth.MAC)
    other_curve = deterministic_key("other", "P-384")

    class _Other:
        def agree(self, peer: PublicKey) -> bytes:
            return shown.reader_key.agree(other_curve.public_key)

    context = SessionContext(transcript=shown.transcript, reader_key=_Other())
    bundle = opened(kept(shown, context=context))
    assert bundle.replay(trust=OWN).report.failed == ("device_auth.mac",)


def test_what_does_not_decode_leaves_nothing_to_keep() -> None:
    verifier = Verifier(TRUST, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=HONEST.transcript, reader_key=None)
    with pytest.raises(DecodeError):
        examine_and_keep(verifier, b"\xa0", context=context, request=UnsafeNoRequest(), at=TEST_TIME)


def test_a_verifier_in_the_rehearsal_keeps_no_bundles() -> None:
    verifier = Verifier(TRUST, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN, post_quantum=UnsafePostQuantum())
    context = SessionContext(transcript=HONEST.transcript, reader_key=HONEST.reader_key)
    for act in (keep, examine_and_keep):
        for response in (HONEST.response, b""):  # before anything is looked at
            with pytest.raises(UnsupportedError) as refused:
                act(verifier, response, context=context, request=HONEST.request, at=HONEST.at)
            assert refused.value.code == "bundle.rehearsal"


def test_a_bundle_is_no_yes() -> None:
    with pytest.raises(TypeError):
        bool(kept())


# --- whose roots ------------------------------------------------------------------------------------------------------

STRANGER = ThrowawayAuthority("Stranger")


def of_a_stranger() -> EvidenceBundle:
    """What a stranger makes of a licence that he signed himself, and of a reader that trusts him."""
    shown = present(disclose=SHOWN, authority=STRANGER)
    verifier = Verifier(
        TrustStore.from_certificates(STRANGER.anchors, doctypes=ANY_DOCTYPE),
        policy=Policy.ISO_STRICT,
        revocation=Revocation.IF_GIVEN,
    )
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    return opened(
        examine_and_keep(verifier, shown.response, context=context, request=shown.request, at=shown.at, evidence=CRLS)
    )


CRLS = Evidence(crls=(STRANGER.crl(),))


def test_a_stranger_bundle_is_not_accepted_on_the_root_that_he_brings() -> None:
    bundle = of_a_stranger()
    assert bundle.replay(trust=OWN).accepted
    assert bundle.replay(trust=TRUST).report.failed == ("issuer_auth.path",)
    with pytest.raises(VerificationError) as refused:
        bundle.verify(trust=TRUST)
    assert refused.value.code == "bundle.trust"
    assert refused.value.failed == ("issuer_auth.path",)


def test_whom_to_trust_has_no_default_and_cannot_be_nobody() -> None:
    bundle: Any = kept()
    for judge in (bundle.replay, bundle.verify):
        with pytest.raises(TypeError):
            judge()
        for nobody in (None, bundle.anchors, UnsafeBundleAnchors):
            with pytest.raises(TypeError):
                judge(trust=nobody)


def test_the_limits_of_the_callers_own_anchors_hold() -> None:
    narrow = TrustStore.from_certificates(HOUSE.anchors, doctypes=frozenset(("org.example",)))
    with pytest.raises(VerificationError) as refused:
        kept().verify(trust=narrow)
    assert refused.value.failed == ("issuer_auth.trust_scope",)
    (document,) = kept().verify(trust=TrustStore.from_certificates(HOUSE.anchors, doctypes=ANY_DOCTYPE)).documents
    assert document.anchor.certificate == HOUSE.iaca_certificate


def test_a_refusal_needs_nobody_to_vouch_for_it() -> None:
    refused = kept(present(disclose=SHOWN, mso_version="2.0"))
    elsewhere = TrustStore.from_certificates(STRANGER.anchors, doctypes=ANY_DOCTYPE)
    assert refused.replay(trust=elsewhere).report.failed == ("mso.version",)


# --- what a bundle proves to others -----------------------------------------------------------------------------------

LATER = TEST_TIME + timedelta(days=5)
REVOKING_CRL = HOUSE.crl(revoked=(HOUSE.ds_certificate.serial,), number=9, this_update=LATER)
REVOKING_TOKEN = Token(content=status_list({7: 1}), issued=LATER, expires=LATER + timedelta(days=1)).build()
CLEARING = Evidence(crls=(CRL,), status_tokens=(TOKEN,))
PROVEN = (Part.ISSUER, Part.DEVICE, Part.SESSION, Part.POLICY)
DEVICE_KEY = deterministic_key("device")


class _ForgedAgreement:
    """In the place of the device: the secret that it would agree, from the reader's side, who knows it too."""

    public_key = DEVICE_KEY.public_key

    def __init__(self, reader: EphemeralKey) -> None:
        self._reader = reader

    def agree(self, _peer: PublicKey) -> bytes:
        return self._reader.agree(self.public_key)


def fabricated(**others: Any) -> EvidenceBundle:
    """What a dishonest reader makes of an IssuerSigned that he once received: nobody presented it in that session."""
    reader = deterministic_ephemeral_key("dishonest reader")
    forged: Any = _ForgedAgreement(reader)
    shown = present(disclose=SHOWN, device_auth=DeviceAuth.MAC, device_signer=forged, reader_key=reader)
    lenient = Verifier(TRUST, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=reader)
    case: dict[str, Any] = {"context": context, "request": UnsafeNoRequest(), "at": TEST_TIME - timedelta(hours=5)}
    return opened(examine_and_keep(lenient, shown.response, **case | others))


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize(
    "make",
    [
        fabricated,
        lambda: EvidenceBundle.decode(fabricated().encode(deterministic_key("dishonest"))),
        lambda: fabricated(at=TEST_TIME, request=HONEST.request, evidence=CLEARING),
        lambda: fabricated().redact([(MDL_NAMESPACE, "portrait")]),
        lambda: kept(present(disclose=SHOWN, device_auth=DeviceAuth.MAC)),
        lambda: kept(
            Recipe(disclose=SHOWN, seed="one").present(
                Recipe(disclose=SHOWN, seed="two", device_auth=DeviceAuth.MAC, reader_key=HONEST.reader_key)
            )
        ),
    ],
    ids=["fabricated", "signed by himself", "with all that goes with it", "redacted", "honest", "one of two"],
)
def test_a_mac_proves_nothing_to_others(make: Callable[[], EvidenceBundle], policy: Policy) -> None:
    bundle = make()
    assert bundle.replay(trust=OWN).accepted
    replay = bundle.replay(trust=TRUST, policy=policy, evidence=CLEARING, at=TEST_TIME)
    assert not replay.accepted
    assert replay.recorded.accepted
    assert replay.documents == ()
    assert (replay.report.failed, replay.report.indeterminate) == ((), ("device_auth.mac",))
    assert not {Part.DEVICE, Part.SESSION, Part.REQUEST} & {*replay.vouched_for}
    assert Part.ISSUER in replay.vouched_for
    with pytest.raises(VerificationError) as refused:
        bundle.verify(trust=TRUST, policy=policy)
    assert (refused.value.code, refused.value.failed) == ("bundle.unprovable", ("device_auth.mac",))
    assert "not provable to others" in refused.value.message


def test_a_mac_counts_in_a_bundle_that_the_reader_itself_has_signed() -> None:
    shown = present(disclose=SHOWN, device_auth=DeviceAuth.MAC)
    bundle = EvidenceBundle.decode(kept(shown).encode(KEY))
    for trust in (TRUST, OWN):
        replay = bundle.replay(trust=trust, signed_by=KEY.public_key)
        assert replay.vouched_for == tuple(Part)
        assert [one.doctype for one in replay.documents] == [MDL_DOCTYPE]
        bundle.verify(trust=trust, signed_by=KEY.public_key)
    vouchers = {one.part: one.by for one in bundle.replay(trust=TRUST, signed_by=KEY.public_key).parts}
    assert vouchers == {
        Part.ISSUER: Voucher.PROOF,
        Part.DEVICE: Voucher.SEALER,
        Part.SESSION: Voucher.SEALER,
        Part.TIME: Voucher.SEALER,
        Part.REQUEST: Voucher.SEALER,
        Part.POLICY: Voucher.CALLER,
        Part.REVOCATION: Voucher.SEALER,
    }
    for other in (deterministic_key("stranger").public_key, DEVICE_KEY.public_key):
        for judge in (bundle.replay, bundle.verify):
            with pytest.raises(VerificationError) as refused:
                judge(trust=TRUST, signed_by=other)
            assert refused.value.code == "bundle.seal"
    with pytest.raises(VerificationError) as refused:
        kept(shown).replay(trust=OWN, signed_by=KEY.public_key)
    assert refused.value.code == "bundle.seal", "a hash is nobody's signature"


def test_a_device_signature_proves_issuer_device_and_session_and_nothing_else() -> None:
    bundle = kept(evidence=CLEARING)
    replay = bundle.replay(trust=TRUST)
    assert replay.accepted
    assert replay.vouched_for == PROVEN
    assert [one.part for one in replay.parts] == list(Part)
    words = {one.part: one.detail for one in replay.parts if one.by is Voucher.NOBODY}
    assert set(words) == {Part.TIME, Part.REQUEST, Part.REVOCATION}
    assert all("word of whoever made the bundle" in detail for detail in words.values())
    assert replay.report.indeterminate == ("issuer_auth.certificate_revocation", "mso.status")


@pytest.mark.parametrize(
    ("terms", "more"),
    [
        ({}, ()),
        ({"at": TEST_TIME}, (Part.TIME,)),
        ({"evidence": CLEARING}, (Part.REVOCATION,)),
        ({"evidence": CLEARING, "at": TEST_TIME}, (Part.TIME, Part.REVOCATION)),
        ({"evidence": CLEARING, "revocation": Revocation.REQUIRED}, (Part.REVOCATION,)),
        ({"evidence": Evidence(crls=(CRL,))}, ()),
        ({"evidence": Evidence(status_tokens=(TOKEN,))}, ()),
    ],
)
def test_what_the_caller_brings_himself_is_vouched_for(terms: dict[str, Any], more: tuple[Part, ...]) -> None:
    bundle = kept(evidence=CLEARING)
    replay = bundle.replay(trust=TRUST, **terms)
    assert replay.accepted
    assert set(replay.vouched_for) == {*PROVEN, *more}
    assert bundle.verify(trust=TRUST, **terms).report == replay.report
    unsealed = bundle.replay(trust=OWN, **terms)
    assert unsealed.accepted
    assert set(unsealed.vouched_for) == {*more} - {Part.REVOCATION}, "the roots are not the caller's"


def test_the_revocation_lists_in_the_bundle_do_not_meet_the_callers_demand() -> None:
    """Whoever makes a bundle of a revoked licence names a time before the revocation, and brings the list of then."""
    bundle = kept(evidence=CLEARING)
    refused = bundle.replay(trust=TRUST, revocation=Revocation.REQUIRED)
    assert not refused.accepted
    assert refused.report.indeterminate == ("issuer_auth.certificate_revocation", "mso.status")
    signed = EvidenceBundle.decode(bundle.encode(KEY))
    assert signed.replay(trust=TRUST, revocation=Revocation.REQUIRED, signed_by=KEY.public_key).accepted
    with pytest.raises(VerificationError) as told:
        bundle.verify(trust=TRUST, revocation=Revocation.REQUIRED)
    assert told.value.code == "bundle.trust"
    assert "no revocation list of the root at hand" in told.value.message


@pytest.mark.parametrize("terms", [{"trust": TRUST}, {"trust": OWN}, {"trust": TRUST, "signed_by": KEY.public_key}])
@pytest.mark.parametrize("at", [None, TEST_TIME, LATER])
@pytest.mark.parametrize(
    ("evidence", "check"),
    [
        (Evidence(crls=(REVOKING_CRL,)), "issuer_auth.certificate_revocation"),
        (Evidence(crls=(CRL, REVOKING_CRL)), "issuer_auth.certificate_revocation"),
        (Evidence(crls=(REVOKING_CRL, CRL), status_tokens=(TOKEN,)), "issuer_auth.certificate_revocation"),
        (Evidence(status_tokens=(REVOKING_TOKEN,)), "mso.status"),
        (Evidence(crls=(CRL,), status_tokens=(TOKEN, REVOKING_TOKEN)), "mso.status"),
    ],
)
@pytest.mark.parametrize("policy", [None, Policy.LENIENT])
def test_what_the_callers_evidence_revokes_is_refused_whatever_time_the_bundle_names(
    evidence: Evidence, check: str, at: Any, terms: dict[str, Any], policy: Policy | None
) -> None:
    bundle = _SIGNED
    replay = bundle.replay(**terms, evidence=evidence, at=at, policy=policy)
    assert not replay.accepted
    assert check in replay.report.failed
    assert Part.REVOCATION not in replay.vouched_for
    with pytest.raises(VerificationError) as refused:
        bundle.verify(**terms, evidence=evidence, at=at, policy=policy)
    assert refused.value.code == "bundle.trust"
    assert "revoked" in refused.value.message


_SIGNED = EvidenceBundle.decode(kept(evidence=CLEARING).encode(KEY))


def test_the_callers_time_counts_in_place_of_the_bundles() -> None:
    assert kept().replay(trust=TRUST).accepted
    late = kept().replay(trust=TRUST, at=TEST_TIME + timedelta(days=30))
    assert not late.accepted
    assert "mso.validity" in late.report.failed
    skewed = timedelta(days=-1, seconds=-29)  # before the licence is valid, but for a clock that is off
    verifier = Verifier(
        TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN, clock_skew=timedelta(minutes=1)
    )
    context = SessionContext(transcript=HONEST.transcript, reader_key=None)
    bundle = examine_and_keep(verifier, HONEST.response, context=context, request=HONEST.request, at=TEST_TIME + skewed)
    assert bundle.replay(trust=TRUST).accepted
    assert bundle.replay(trust=TRUST, at=TEST_TIME + skewed).report.failed == ("mso.validity",)


def test_the_callers_policy_counts_in_place_of_the_bundles() -> None:
    """Also where what was tolerated then was found by a check that redaction has left nothing to judge again."""
    gap = request_for((MDL_DOCTYPE, {MDL_NAMESPACE: (*SHOWN, "sex")}))
    verifier = Verifier(TRUST, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=HONEST.transcript, reader_key=None)
    whole = examine_and_keep(verifier, HONEST.response, context=context, request=gap, at=TEST_TIME)
    for bundle in (whole, opened(whole.redact([(MDL_NAMESPACE, "portrait")]))):
        assert bundle.replay(trust=OWN).accepted
        assert bundle.replay(trust=TRUST, policy=Policy.LENIENT).accepted
        for terms in ({"trust": TRUST}, {"trust": OWN, "policy": Policy.ISO_STRICT}):
            replay = bundle.replay(**terms)
            assert replay.report.policy is Policy.ISO_STRICT
            assert (replay.accepted, replay.report.failed, replay.documents) == (False, ("request.elements",), ())
            assert {one.part: one.by for one in replay.parts}[Part.POLICY] is Voucher.CALLER
            with pytest.raises(VerificationError) as refused:
                bundle.verify(**terms)
            assert refused.value.code == "bundle.trust"


def test_a_refusal_of_then_stays_one_on_every_terms() -> None:
    """Under a milder policy of the caller too; and no part is called proven under roots that are not the caller's."""
    gap = request_for((MDL_DOCTYPE, {MDL_NAMESPACE: (*SHOWN, "sex")}))
    bundle = kept(request=gap)
    elsewhere = TrustStore.from_certificates(STRANGER.anchors, doctypes=ANY_DOCTYPE)
    for trust, issuer in ((TRUST, Voucher.PROOF), (elsewhere, Voucher.NOBODY)):
        replay = bundle.replay(trust=trust, policy=Policy.LENIENT)
        assert (replay.accepted, replay.refusal, replay.report) == (False, None, replay.recorded)
        assert replay.parts[0].by is issuer
        with pytest.raises(VerificationError) as refused:
            bundle.verify(trust=trust, policy=Policy.LENIENT)
        assert refused.value.code == "request.elements"


def test_a_part_that_does_not_hold_is_vouched_for_by_nobody() -> None:
    """By whatever stands in the bundle: a signature of another session, a list that revokes, or no list at all."""
    elsewhere = sample_transcript(HONEST.reader_key.public_key, seed="elsewhere")
    bundle = kept(present(disclose=SHOWN, device_transcript=elsewhere))
    parts = {one.part: one for one in bundle.replay(trust=TRUST).parts}
    assert parts[Part.ISSUER].by is Voucher.PROOF
    for part in (Part.DEVICE, Part.SESSION):
        assert (parts[part].by, parts[part].detail) == (Voucher.NOBODY, "no device signature holds")
    revoked = _SIGNED.replay(trust=TRUST, evidence=Evidence(crls=(REVOKING_CRL,)))
    assert {one.part: one.detail for one in revoked.parts}[Part.REVOCATION] == "a revocation check refuses"
    nothing = kept(replace(HONEST, response=encode({"version": "1.0", "status": 10}))).replay(trust=TRUST)
    assert nothing.vouched_for == (Part.POLICY,), "of a response without documents"
    unknown = EvidenceBundle.decode(kept(evidence=Evidence()).encode(KEY)).replay(trust=TRUST, signed_by=KEY.public_key)
    assert unknown.accepted
    (revocation,) = (one for one in unknown.parts if one.part is Part.REVOCATION)
    assert revocation.by is Voucher.NOBODY
    assert revocation.detail == "neither your evidence nor the bundle's determines it"


def test_a_bundle_without_a_request_says_that_there_is_none() -> None:
    bundle = EvidenceBundle.decode(kept(request=UnsafeNoRequest()).encode(KEY))
    replay = bundle.replay(trust=TRUST, signed_by=KEY.public_key)
    assert Part.REQUEST not in replay.vouched_for
    assert "no request" in {one.part: one.detail for one in replay.parts}[Part.REQUEST]


def test_wrong_terms_are_mistakes_of_the_program() -> None:
    bundle: Any = kept()
    for wrong in ({"policy": "lenient"}, {"revocation": "required"}, {"at": "2026"}, {"evidence": None}):
        for trust in (TRUST, OWN):
            with pytest.raises(TypeError):
                bundle.replay(trust=trust, **wrong)
    with pytest.raises(TypeError):
        bundle.replay(trust=TRUST, signed_by=KEY.public_key.pem)
    with pytest.raises(ValueError, match="aware"):
        bundle.replay(trust=TRUST, at=TEST_TIME.replace(tzinfo=None))
    with pytest.raises(TypeError, match="outcomes"):
        bool(bundle.replay(trust=TRUST))


# --- the seal ---------------------------------------------------------------------------------------------------------


def test_a_signed_bundle_tells_who_signed_it() -> None:
    assert opened(kept()).sealed_by is None
    signed = EvidenceBundle.decode(kept().encode(KEY))
    assert signed.sealed_by == KEY.public_key
    assert opened(signed).sealed_by == KEY.public_key  # reading and writing it again changes nothing
    assert signed.encode() == opened(signed).encode()


def _parts(data: bytes) -> list[Any]:
    parts = decode(data[len(module._MAGIC) :])
    assert isinstance(parts, list)
    return parts


def _changed(data: bytes, change: Callable[[list[Any], dict[str, Any]], None]) -> bytes:
    parts = _parts(data)
    rest = decode(parts[1])
    change(parts, rest)
    parts[1] = encode(rest)
    return module._MAGIC + encode(parts)


def _strip_item(parts: list[Any], _rest: dict[str, Any]) -> None:
    parts[0] = [piece for piece in parts[0] if isinstance(piece, bytes)]


def _swap_item(parts: list[Any], _rest: dict[str, Any]) -> None:
    item = next(piece for piece in parts[0] if isinstance(piece, list))
    other = next(one for one in present(disclose=SHOWN, seed="x").response.split(b"\xd8\x18"))
    item[2] = other


def _rename_item(parts: list[Any], _rest: dict[str, Any]) -> None:
    next(piece for piece in parts[0] if isinstance(piece, list))[1] = "given_name"


@pytest.mark.parametrize("signer", [None, KEY], ids=["hash", "signature"])
@pytest.mark.parametrize(
    "change",
    [
        _strip_item,
        _swap_item,
        _rename_item,
        lambda parts, _rest: parts[0].append(b"more"),
        lambda _parts, rest: rest.update(at="2026-06-02T12:00:00+00:00"),
        lambda _parts, rest: rest.update(policy="lenient"),
        lambda _parts, rest: rest.update(revocation="required"),
        lambda _parts, rest: rest.update(clock_skew=1),
        lambda _parts, rest: rest.update(crls=[]),
        lambda _parts, rest: rest.update(status_tokens=[]),
        lambda _parts, rest: rest.update(request=None),
        lambda _parts, rest: rest.update(agreed=None),
        lambda _parts, rest: rest["anchors"][0].update(doctypes=["org.example"]),
        lambda _parts, rest: rest["anchors"][0].update(certificate=OTHERS[0].iaca_certificate.der),
        lambda _parts, rest: rest.update(verdict=rest["verdict"].replace(b"accept", b"reject")),
        lambda _parts, rest: rest.update(transcript=rest["transcript"][:-1] + b"\x01"),
    ],
)
def test_nothing_in_a_bundle_can_be_changed_without_breaking_the_seal(
    change: Callable[[list[Any], dict[str, Any]], None], signer: Any
) -> None:
    data = kept().encode(signer)
    assert EvidenceBundle.decode(data).replay(trust=OWN).accepted
    with pytest.raises(MdlError) as refused:
        EvidenceBundle.decode(_changed(data, change)).replay(trust=OWN)
    assert refused.value.code in {"bundle.seal", "bundle.damaged"}


def test_another_key_cannot_take_over_a_signature() -> None:
    parts = _parts(kept().encode(KEY))
    stranger = deterministic_key("stranger")
    parts[2][0] = stranger.public_key.spki
    with pytest.raises(VerificationError) as refused:
        EvidenceBundle.decode(module._MAGIC + encode(parts))
    assert refused.value.code == "bundle.seal"


def test_a_verdict_that_does_not_follow_from_the_evidence_is_told() -> None:
    """Whoever makes a bundle of his own can seal it; the verdict is found out anew all the same."""
    refused = kept(present(disclose=SHOWN, mso_version="2.0"))
    forged = replace(refused, verdict=kept().verdict)
    with pytest.raises(VerificationError) as told:
        opened(forged).verify(trust=OWN)
    assert told.value.code == "bundle.verdict"


def test_what_the_verdict_says_of_the_request_is_found_out_anew_where_nothing_is_redacted() -> None:
    refused = kept(request=request_for((MDL_DOCTYPE, {MDL_NAMESPACE: (*SHOWN, "sex")})))
    assert refused.replay(trust=OWN).report.failed == ("request.elements",)
    with pytest.raises(VerificationError) as told:
        opened(replace(refused, verdict=kept().verdict)).replay(trust=OWN)
    assert told.value.code == "bundle.verdict"


@pytest.mark.parametrize("raw", [b"", b"\x01", b"\xd8\x18\x41", b"\xf6", b"\xff"])
def test_an_item_that_is_none_is_damage_even_under_a_seal_that_fits(raw: bytes) -> None:
    item = module._Item(MDL_NAMESPACE, "family_name", raw, hashlib.sha256(raw).digest())
    bundle = kept()
    for signer in (None, KEY):
        data = replace(bundle, pieces=(*bundle.pieces[:-1], item, bundle.pieces[-1])).encode(signer)
        with pytest.raises(DecodeError) as refused:
            EvidenceBundle.decode(data)
        assert refused.value.code == "bundle.damaged"


@pytest.mark.parametrize("response", [b"\xa0", b"\xa1\x67version\xf6", b"\xf6", b"\x80"])
def test_a_sealed_response_that_is_none_is_damage(response: bytes) -> None:
    data = replace(kept(), pieces=(response,)).encode(KEY)
    with pytest.raises(DecodeError) as refused:
        EvidenceBundle.decode(data)
    assert refused.value.code == "bundle.damaged"


def test_a_security_object_that_is_none_is_told_by_every_verb_that_needs_it() -> None:
    """The bundle can be read: there is a response in it. No verdict on it can be reached, and none was."""
    shown = present(disclose=SHOWN, wrap_mso=lambda _: encode("no security object"))
    bundle = opened(replace(kept(), pieces=module._take_apart(shown.response)))
    for judge in (bundle.replay, bundle.verify):
        for trust in (OWN, TRUST):
            with pytest.raises(DecodeError):
                judge(trust=trust)
    with pytest.raises(DecodeError):
        bundle.redact([(MDL_NAMESPACE, "portrait")])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_bundle_or_an_error(data: bytes) -> None:
    for content in (data, module._MAGIC + data, module._MAGIC + encode([[], data, data])):
        with pytest.raises(MdlError):
            EvidenceBundle.decode(content)


@given(st.data())
def test_a_damaged_bundle_is_an_error(data: st.DataObject) -> None:
    content = bytearray(_BUNDLE)
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(MdlError):
        EvidenceBundle.decode(bytes(content))


_BUNDLE = kept(present(disclose=("family_name",))).encode()


# --- redaction --------------------------------------------------------------------------------------------------------


def test_what_is_redacted_is_gone_and_the_rest_is_verified_under_the_same_seal() -> None:
    whole = EvidenceBundle.decode(kept().encode(KEY))
    smaller = opened(whole.redact([(MDL_NAMESPACE, "portrait"), (MDL_NAMESPACE, "family_name")]))
    assert smaller.sealed_by == KEY.public_key
    assert smaller.commitment == whole.commitment
    portrait = sample_licence()[MDL_NAMESPACE]["portrait"]
    assert portrait in whole.encode()
    assert portrait not in smaller.encode()
    assert len(smaller.encode()) < len(whole.encode()) - len(portrait)
    report = smaller.replay(trust=OWN)
    assert report.accepted
    (document,) = smaller.verify(trust=OWN).documents
    assert set(document.elements[MDL_NAMESPACE]) == {"birth_date", "issuing_country", "age_over_18"}
    there = {identifier: present for _, identifier, present in smaller.elements}
    assert there == {name: name not in ("portrait", "family_name") for name in SHOWN}
    twice = opened(smaller.redact([(MDL_NAMESPACE, "birth_date")]))
    assert set(twice.verify(trust=OWN).documents[0].elements[MDL_NAMESPACE]) == {"issuing_country", "age_over_18"}


def test_everything_that_the_issuer_signed_can_be_redacted() -> None:
    bundle = kept(Recipe(disclose=SHOWN, seed="one").present(Recipe(disclose=SHOWN, seed="two")))
    empty = opened(bundle.redact((namespace, name) for namespace, name, _ in bundle.elements))
    assert empty.replay(trust=OWN).accepted
    assert [document.elements for document in empty.verify(trust=OWN).documents] == [{}, {}]


def test_checks_that_needed_what_is_redacted_say_so() -> None:
    before = {check.id: check.outcome for check in kept().replay(trust=OWN).report}
    smaller = kept().redact([(MDL_NAMESPACE, "issuing_country")])
    after = {check.id: check.outcome for check in smaller.replay(trust=OWN).report}
    assert before.pop("subject.country") is Outcome.PASSED
    assert after.pop("subject.country") is Outcome.NOT_APPLICABLE
    assert after == before


def test_the_request_checks_keep_the_outcome_that_they_had() -> None:
    bundle = kept(request=request_for((MDL_DOCTYPE, {MDL_NAMESPACE: ("family_name", "sex")})))
    assert bundle.replay(trust=OWN).report.failed == ("request.elements", "request.unrequested")
    assert bundle.redact([(MDL_NAMESPACE, "portrait")]).replay(trust=OWN).report.failed == (
        "request.elements",
        "request.unrequested",
    )


def test_what_is_to_blame_for_a_refusal_cannot_be_redacted() -> None:
    forged = Recipe(disclose=SHOWN, items={"birth_date": {"presented": {"random": bytes(32)}}}).present()
    bundle = kept(forged)
    assert bundle.replay(trust=OWN).report.failed == ("issuer_data.digest",)
    assert bundle.redact([(MDL_NAMESPACE, "portrait")]).replay(trust=OWN).report.failed == ("issuer_data.digest",)
    with pytest.raises(LocalProtocolError) as refused:
        bundle.redact([(MDL_NAMESPACE, "birth_date")])
    assert refused.value.code == "bundle.verdict"


@pytest.mark.parametrize(
    ("element", "value", "check"),
    [
        ("issuing_country", "CA", "subject.country"),
        ("issuing_jurisdiction", "XU-OTHER", "subject.jurisdiction"),
    ],
)
def test_a_redaction_never_turns_a_refusal_into_an_acceptance(element: str, value: str, check: str) -> None:
    """Neither by `redact`, nor by whoever blanks the item in the file."""
    licence = sample_licence()
    licence[MDL_NAMESPACE][element] = value
    bundle = kept(present(namespaces=licence, disclose=("family_name", "portrait", element)))
    assert bundle.replay(trust=OWN).report.failed == (check,)
    assert bundle.redact([(MDL_NAMESPACE, "portrait")]).replay(trust=OWN).report.failed == (check,)
    with pytest.raises(LocalProtocolError) as refused:
        bundle.redact([(MDL_NAMESPACE, element)])
    assert refused.value.code == "bundle.verdict"
    blanked = EvidenceBundle.decode(_changed(bundle.encode(KEY), lambda parts, _rest: _blank(parts, element)))
    assert blanked.sealed_by == KEY.public_key
    for judge in (blanked.replay, blanked.verify):
        with pytest.raises(VerificationError) as told:
            judge(trust=OWN)
        assert told.value.code == "bundle.verdict"


def _blank(parts: list[Any], element: str) -> None:
    for piece in parts[0]:
        if isinstance(piece, list) and piece[1] == element:
            piece[2] = None


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "reject"},
        {"verdict": "unsupported"},
        {"policy": "lenient"},
        {"revocation": "required"},
        {"failed": ["subject.country"]},
        {"unsupported": ["zkDocuments"]},
    ],
)
def test_of_a_redacted_bundle_too_the_whole_verdict_is_the_recorded_one(change: dict[str, Any]) -> None:
    smaller = kept().redact([(MDL_NAMESPACE, "portrait")])
    verdict = json.dumps(json.loads(smaller.verdict) | change, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(VerificationError) as told:
        opened(replace(smaller, verdict=verdict)).replay(trust=OWN)
    assert told.value.code == "bundle.verdict"


def test_the_report_of_a_verified_response_is_that_of_the_replay() -> None:
    """Also where something is redacted: what was asked for was held against the answer, and the report says so."""
    smaller = kept().redact([(MDL_NAMESPACE, "portrait")])
    for bundle in (kept(), smaller):
        for trust in (OWN, TRUST):
            assert bundle.verify(trust=trust).report == bundle.replay(trust=trust).report
    outcomes = {check.id: check.outcome for check in smaller.verify(trust=TRUST).report}
    assert outcomes["request.elements"] is Outcome.PASSED


@pytest.mark.parametrize(
    ("randoms", "kept_back"),
    [
        ({"age_over_18": bytes(15)}, "age_over_18"),
        ({"age_over_18": b""}, "age_over_18"),
        ({"age_over_18": b"R" * 32, "portrait": b"R" * 32}, "age_over_18"),
    ],
    ids=["short", "empty", "shared"],
)
def test_what_could_be_guessed_from_its_commitment_is_not_redacted(randoms: dict[str, bytes], kept_back: str) -> None:
    """An age statement has two values: without a secret random its digest tells which."""
    shown = Recipe(disclose=SHOWN, items={name: {"random": random} for name, random in randoms.items()}).present()
    verifier = Verifier(TRUST, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    bundle = examine_and_keep(verifier, shown.response, context=context, request=shown.request, at=shown.at)
    with pytest.raises(LocalProtocolError) as refused:
        bundle.redact([(MDL_NAMESPACE, "family_name"), (MDL_NAMESPACE, kept_back)])
    assert refused.value.code == "bundle.guessable"
    assert bundle.redact([(MDL_NAMESPACE, "family_name")]).replay(trust=OWN).accepted


def test_a_random_of_16_bytes_keeps_a_secret_as_does_one_that_goes_with_its_twin() -> None:
    shared = {name: {"random": b"R" * 16} for name in ("age_over_18", "portrait")}
    bundle = kept(Recipe(disclose=SHOWN, items=shared).present())
    smaller = bundle.redact([(MDL_NAMESPACE, "age_over_18"), (MDL_NAMESPACE, "portrait")])
    assert smaller.redact([(MDL_NAMESPACE, "age_over_18"), (MDL_NAMESPACE, "birth_date")]).replay(trust=OWN).accepted


def test_only_what_is_there_can_be_redacted() -> None:
    for name in ("sex", ""):
        with pytest.raises(LocalProtocolError) as refused:
            kept().redact([(MDL_NAMESPACE, name)])
        assert refused.value.code == "bundle.no_element"


def test_an_element_whose_bytes_stand_elsewhere_too_is_not_redacted_by_halves() -> None:
    item = next(piece.raw for piece in kept().pieces if not isinstance(piece, bytes))
    assert item is not None
    response = bytes((HONEST.response[0] + 1,)) + HONEST.response[1:] + encode("x-copy") + encode(item)
    bundle = kept(replace(HONEST, response=response))
    with pytest.raises(LocalProtocolError) as refused:
        bundle.redact([(MDL_NAMESPACE, name) for _, name, _ in bundle.elements])
    assert refused.value.code == "bundle.copy"


# --- on the command line ----------------------------------------------------------------------------------------------

Output = pytest.CaptureFixture[str]


@pytest.fixture
def bundle_file(tmp_path: Path, capsys: Output) -> Path:
    (tmp_path / "response").write_bytes(HONEST.response)
    (tmp_path / "root").write_text(HOUSE.iaca_certificate.pem, "utf-8")
    (tmp_path / "transcript").write_bytes(HONEST.transcript.encoded)
    (tmp_path / "request").write_bytes(HONEST.request.encode())
    (tmp_path / "key").write_bytes(KEY.to_pkcs8(password=None))
    (tmp_path / "key.pub").write_bytes(KEY.public_key.pem)
    words = ["reader", "verify", str(tmp_path / "response"), "--trust", str(tmp_path / "root")]
    words += ["--transcript", str(tmp_path / "transcript"), "--request", str(tmp_path / "request")]
    words += ["--at", "2026-06-01T12:00:00Z", "--keep", str(tmp_path / "b"), "--keep-key", str(tmp_path / "key")]
    assert main(words) == 0
    capsys.readouterr()
    return tmp_path / "b"


def test_without_a_word_on_whom_to_trust_nothing_is_accepted(bundle_file: Path, capsys: Output) -> None:
    assert main(["reader", "replay", str(bundle_file)]) == 1
    out = capsys.readouterr().out
    assert "ACCEPTED" not in out
    assert "NOT VOUCHED FOR: every check passes, on roots that the bundle itself brings" in out
    assert f"{HOUSE.iaca_certificate.fingerprint.hex()} {HOUSE.iaca_certificate.subject}" in " ".join(out.split())
    assert "family_name" not in out
    assert main(["reader", "replay", str(bundle_file), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["vouched_for"], told["documents"]) == ("unvouched", [], [])
    assert [one["sha256"] for one in told["roots"]] == [HOUSE.iaca_certificate.fingerprint.hex()]


def test_the_callers_root_or_trust_store_vouches(bundle_file: Path, capsys: Output) -> None:
    root, store = bundle_file.with_name("root"), bundle_file.with_name("trust.json")
    words = ["reader", "trust", "import", str(root), "--doctype", MDL_DOCTYPE, "--store", str(store)]
    assert main([*words, "--at", "2026-06-01T12:00:00Z"]) == 0
    capsys.readouterr()
    for trusted in (root, store):
        assert main(["reader", "replay", str(bundle_file), "--trust", str(trusted)]) == 0
        assert "ACCEPTED; not determined" in capsys.readouterr().out
        words = ["reader", "replay", str(bundle_file), "--trust", str(trusted), "--trust-doctype", "org.example"]
        assert main(words) == 1
    assert main(["reader", "replay", str(bundle_file), "--trust-doctype", MDL_DOCTYPE]) == 2
    root.write_text(STRANGER.iaca_certificate.pem, "utf-8")
    capsys.readouterr()
    key = str(bundle_file.with_name("key.pub"))
    for more in ([], ["--key", key]):
        assert main(["reader", "replay", str(bundle_file), "--trust", str(root), *more]) == 1
        out = " ".join(capsys.readouterr().out.split())
        assert "REFUSED: accepted by whoever made the bundle, refused on your terms: issuer_auth.path" in out
        assert "[bundle.trust]" in out
        assert "family_name" not in out


def test_replay_tells_the_verdict_and_who_sealed_it(bundle_file: Path, capsys: Output) -> None:
    assert main(["reader", "replay", str(bundle_file), "--key", str(bundle_file.with_name("key.pub"))]) == 0
    out = capsys.readouterr().out
    assert "ACCEPTED; not determined" in out
    assert "The same verdict as then; signed by the key" in " ".join(out.split())
    words = ["reader", "replay", str(bundle_file), "--trust", str(bundle_file.with_name("root")), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["redacted"], len(told["signed_by"])) == ("accept", [], 64)
    assert told["vouched_for"] == ["issuer", "device", "session", "policy"]


Replayed = Callable[[bytes, str], tuple[int, dict[str, Any]]]


@pytest.fixture
def house(tmp_path: Path) -> dict[str, str]:
    """Files that the caller has himself, by name."""
    prefetched = EvidenceStore()
    need = Need(kind=EvidenceKind.CRL, urls=("http://pki.example/crl",), issuers=HOUSE.anchors)
    prefetched.add(need, need.urls[0], REVOKING_CRL, at=LATER)
    contents = {
        "root": HOUSE.iaca_certificate.pem.encode(),
        "pub": KEY.public_key.pem,
        "clearing.crl": CRL,
        "revoking.crl": REVOKING_CRL,
        "clearing.cwt": TOKEN,
        "revoking.cwt": REVOKING_TOKEN,
        "prefetched": prefetched.encode(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in contents}


@pytest.fixture
def replayed(tmp_path: Path, house: dict[str, str], capsys: Output) -> Replayed:
    """``mdl reader replay`` of a bundle, with options that name the caller's files: exit status and JSON."""

    def run(bundle: bytes, options: str) -> tuple[int, dict[str, Any]]:
        (tmp_path / "b").write_bytes(bundle)
        words = [house.get(word, word) for word in options.split()]
        status = main(["reader", "replay", str(tmp_path / "b"), *words, "--json"])
        told = json.loads(capsys.readouterr().out)
        assert isinstance(told, dict)
        return status, told

    return run


def test_a_fabricated_bundle_ends_with_1_and_shows_no_element(
    tmp_path: Path, capsys: Output, house: dict[str, str], replayed: Replayed
) -> None:
    for forged in (fabricated().encode(), fabricated().encode(deterministic_key("dishonest"))):
        for more in ("", "--policy lenient", "--at 2026-06-01T12:00:00Z", "--crl clearing.crl"):
            status, told = replayed(forged, f"--trust root {more}")
            assert (status, told["verdict"], told["documents"]) == (1, "reject", [])
            assert told["refusal"]["code"] == "bundle.unprovable"
            assert not {"device", "session"} & {*told["vouched_for"]}
            assert told["recorded"]["policy"] == "lenient"
        words = ["reader", "replay", str(tmp_path / "b"), "--trust", house["root"]]
        assert main([*words, "--key", house["pub"]]) == 1
        assert "[bundle.seal]" in capsys.readouterr().err
        assert main(words) == 1
        out = " ".join(capsys.readouterr().out.split())
        assert "REFUSED: not provable to others" in out
        assert "family_name" not in out


def test_an_honest_mac_needs_the_key_of_the_reader_that_signed_the_bundle(replayed: Replayed) -> None:
    bundle = kept(present(disclose=SHOWN, device_auth=DeviceAuth.MAC)).encode(KEY)
    assert replayed(bundle, "--trust root")[0] == 1
    for terms in ("--trust root --key pub", "--key pub"):
        status, told = replayed(bundle, terms)
        assert (status, told["verdict"]) == (0, "accept")
        assert told["vouched_for"] == [part.value for part in Part]


@pytest.mark.parametrize(
    ("words", "status", "vouched"),
    [
        ("--trust root", 0, "issuer device session policy"),
        ("--trust root --at 2026-06-01T12:00:00Z", 0, "issuer device session time policy"),
        ("--trust root --crl clearing.crl --status-token clearing.cwt", 0, "issuer device session policy revocation"),
        # What the issuer has not vouched for, no device key proves.
        ("--trust root --crl revoking.crl", 1, "policy"),
        ("--trust root --crl clearing.crl revoking.crl --policy lenient", 1, "policy"),
        ("--trust root --evidence prefetched", 1, "policy"),
        ("--trust root --evidence prefetched --at 2026-06-01T12:00:00Z", 1, "time policy"),
        ("--trust root --status-token revoking.cwt", 1, "policy"),
        ("--trust root --revocation required", 1, "policy"),
        ("--trust root --at 2026-08-01T12:00:00Z", 1, "time policy"),
        ("--key pub --crl revoking.crl", 1, "time request policy"),
        ("--key pub --at 2026-08-01T12:00:00Z", 1, "time request policy"),
        ("--key pub", 0, "issuer device session time request policy revocation"),
        ("--crl revoking.crl", 1, ""),
        ("--crl clearing.crl", 1, ""),
    ],
)
def test_replay_judges_on_the_terms_of_the_command_line(
    replayed: Replayed, words: str, status: int, vouched: str
) -> None:
    found, told = replayed(_SIGNED.encode(), words)
    assert found == status
    assert {*told["vouched_for"]} == {*vouched.split()}
    assert told["verdict"] == ("accept" if status == 0 else "unvouched" if words == "--crl clearing.crl" else "reject")
    assert bool(told["documents"]) is (status == 0)


def test_redact_takes_elements_out_and_replay_names_them(bundle_file: Path, capsys: Output) -> None:
    assert main(["reader", "redact", str(bundle_file), "--element", MDL_NAMESPACE, "portrait"]) == 0
    assert main(["reader", "redact", str(bundle_file)]) == 0
    assert "portrait         redacted" in capsys.readouterr().out
    assert main(["reader", "replay", str(bundle_file), "--key", str(bundle_file.with_name("key.pub")), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["redacted"] == [{"namespace": MDL_NAMESPACE, "element": "portrait"}]
    assert "portrait" not in told["documents"][0]["elements"][MDL_NAMESPACE]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("", 2, "cli.usage"), ("a\0b", 2, "cli.usage"), ("/", 4, "bundle.unwritable"), (".", 4, "bundle.unwritable")],
)
def test_what_can_be_no_output_is_told_in_one_line(
    bundle_file: Path, capsys: Output, name: str, status: int, code: str
) -> None:
    before = bundle_file.read_bytes()
    folder = bundle_file.parent
    words = ["reader", "verify", str(folder / "response"), "--trust", str(folder / "root"), "--unsafe-no-request"]
    words += ["--transcript", str(folder / "transcript"), "--at", "2026-06-01T12:00:00Z", "--keep", name]
    redact = ["reader", "redact", str(bundle_file), "--element", MDL_NAMESPACE, "portrait", "--output", name]
    for line in (words, redact):
        assert main(line) == status
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert f"[{code}]" in said.err
    assert bundle_file.read_bytes() == before, "in particular, no name is not the name of the bundle"


def test_only_its_owner_may_read_a_bundle(bundle_file: Path) -> None:
    assert bundle_file.stat().st_mode & 0o777 == 0o600
    bundle_file.chmod(0o644)
    smaller = bundle_file.with_name("smaller")
    words = ["reader", "redact", str(bundle_file), "--element", MDL_NAMESPACE, "portrait"]
    assert main([*words, "--output", str(smaller)]) == 0
    assert smaller.stat().st_mode & 0o777 == 0o600
    assert main(words) == 0
    assert bundle_file.stat().st_mode & 0o777 == 0o600, "also where it is written over one that others could read"


def test_a_key_that_is_none_is_named_once(bundle_file: Path, capsys: Output) -> None:
    folder = bundle_file.parent
    words = ["reader", "verify", str(folder / "response"), "--trust", str(folder / "root"), "--unsafe-no-request"]
    words += ["--transcript", str(folder / "transcript"), "--at", "2026-06-01T12:00:00Z", "--keep", str(folder / "c")]
    replay = ["reader", "replay", str(bundle_file)]
    for line, option, name in ((words, "--keep-key", "no"), (replay, "--key", "no"), (replay, "--key", "root")):
        assert main([*line, option, str(folder / name)]) == 3
        assert capsys.readouterr().err.count(option) == 1


def test_a_bundle_of_another_key_is_refused(bundle_file: Path, capsys: Output) -> None:
    bundle_file.with_name("key.pub").write_bytes(deterministic_key("stranger").public_key.pem)
    assert main(["reader", "replay", str(bundle_file), "--key", str(bundle_file.with_name("key.pub"))]) == 1
    assert "bundle.seal" in capsys.readouterr().err


def test_a_damaged_bundle_is_an_input_error(bundle_file: Path, capsys: Output) -> None:
    bundle_file.write_bytes(b"x" + bundle_file.read_bytes())
    assert main(["reader", "replay", str(bundle_file)]) == 3
    assert "bundle.damaged" in capsys.readouterr().err


def test_replay_refuses_a_bundle_in_which_what_is_to_blame_was_blanked(bundle_file: Path, capsys: Output) -> None:
    licence = sample_licence()
    licence[MDL_NAMESPACE]["issuing_country"] = "CA"
    whole = kept(present(namespaces=licence)).encode(KEY)
    words = ["reader", "replay", str(bundle_file), "--key", str(bundle_file.with_name("key.pub"))]
    bundle_file.write_bytes(whole)
    assert main(words) == 1
    assert "REFUSED: subject.country" in capsys.readouterr().out
    bundle_file.write_bytes(_changed(whole, lambda parts, _rest: _blank(parts, "issuing_country")))
    assert main(words) == 1
    assert "[bundle.verdict]" in capsys.readouterr().err

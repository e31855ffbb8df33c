"""The trust store: who is trusted for what, and that nobody is trusted by accident."""

import datetime as dt
import pickle
from typing import Any

import pytest
from cryptography import x509

from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import ProfileError, VerificationError
from mdl.pki import Certificate
from mdl.testing import (
    TEST_TIME,
    CertificateRecipe,
    Recipe,
    ThrowawayAuthority,
    deterministic_key,
    distinguished_name,
    present,
    sample_licence,
    throwaway_authority,
)
from reader.report import Policy, Revocation
from reader.trust import (
    ANY_DOCTYPE,
    ANY_PURPOSE,
    AnyDoctype,
    FollowLinks,
    Purpose,
    TrustAnchor,
    TrustStore,
    follow_link,
)
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from tests.vical_forgery import key_usage, provider

ROOT = throwaway_authority().iaca_certificate
SIGNER = throwaway_authority().ds_certificate
MDL = "org.iso.18013.5.1.mDL"
PID = "eu.europa.ec.eudi.pid.1"


def test_a_store_of_nobody_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="trusts nobody"):
        TrustStore([])
    with pytest.raises(ValueError, match="trusts nobody"):
        TrustStore.from_certificates([], doctypes=ANY_DOCTYPE)
    with pytest.raises(ValueError, match="trusts nobody"):
        TrustStore(iter(()))


def test_an_anchor_for_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one"):
        TrustAnchor(certificate=ROOT, doctypes=frozenset())


@pytest.mark.parametrize("doctypes", [None, MDL, "", {MDL}, [MDL], (MDL,), frozenset([1]), frozenset([None]), True])
def test_a_scope_is_a_frozenset_of_text_or_said_to_be_any(doctypes: Any) -> None:
    # A plain text would contain every part of itself: "org" in "org.iso.18013.5.1.mDL".
    with pytest.raises(TypeError, match="document types"):
        TrustAnchor(certificate=ROOT, doctypes=doctypes)


@pytest.mark.parametrize("certificate", [None, ROOT.der, ROOT.pem, ROOT.fingerprint])
def test_an_anchor_is_a_certificate(certificate: Any) -> None:
    with pytest.raises(TypeError, match="Certificate"):
        TrustAnchor(certificate=certificate, doctypes=ANY_DOCTYPE)


@pytest.mark.parametrize("anchors", [[ROOT], [None], [ROOT.der], ["pem"]])
def test_a_store_holds_anchors(anchors: Any) -> None:
    with pytest.raises(TypeError, match="TrustAnchors"):
        TrustStore(anchors)


def test_there_is_no_default_scope() -> None:
    with pytest.raises(TypeError):
        TrustAnchor(certificate=ROOT)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        TrustStore.from_certificates([ROOT])  # type: ignore[call-arg]


def test_any_doctype_contains_all_of_them() -> None:
    assert MDL in ANY_DOCTYPE
    assert "" in ANY_DOCTYPE
    assert repr(ANY_DOCTYPE) == "ANY_DOCTYPE"
    assert isinstance(ANY_DOCTYPE, AnyDoctype)


def test_the_document_types_that_are_named_are_told() -> None:
    other = ThrowawayAuthority("Other").iaca_certificate
    store = TrustStore(
        [
            TrustAnchor(certificate=ROOT, doctypes=frozenset([MDL, PID])),
            TrustAnchor(certificate=other, doctypes=frozenset([MDL])),
            TrustAnchor(certificate=other, doctypes=ANY_DOCTYPE),
        ]
    )
    assert store.doctypes == {MDL, PID}
    assert TrustStore.from_certificates([ROOT], doctypes=ANY_DOCTYPE).doctypes == frozenset()


def test_a_store_tells_its_anchors_in_order() -> None:
    roots = [ThrowawayAuthority("Many", generation=number).iaca_certificate for number in range(3)]
    store = TrustStore.from_certificates(roots, doctypes=frozenset([MDL]))
    assert [anchor.certificate for anchor in store] == roots
    assert len(store) == 3
    assert repr(store) == "TrustStore(3 anchors)"


def test_a_store_does_not_follow_the_list_that_it_was_made_from() -> None:
    anchors = [TrustAnchor(certificate=ROOT, doctypes=ANY_DOCTYPE)]
    store = TrustStore(anchors)
    anchors.append(TrustAnchor(certificate=ThrowawayAuthority("Late").iaca_certificate, doctypes=ANY_DOCTYPE))
    assert len(store) == 1


# --- candidates -------------------------------------------------------------------------------------------------------


def store_of(*certificates: Certificate) -> TrustStore:
    return TrustStore.from_certificates(certificates, doctypes=ANY_DOCTYPE)


def found(store: TrustStore, certificate: Certificate) -> list[Certificate]:
    return [anchor.certificate for anchor in store.candidates(certificate)]


def test_a_root_is_found_by_key_identifier_and_name_once() -> None:
    other = ThrowawayAuthority("Other").iaca_certificate
    assert found(store_of(other, ROOT), SIGNER) == [ROOT]


def test_several_roots_of_one_name_are_all_found_the_one_with_the_key_identifier_first() -> None:
    roots = [ThrowawayAuthority("Many", generation=number).iaca_certificate for number in range(1, 4)]
    signer = ThrowawayAuthority("Many", generation=2).ds_certificate
    assert found(store_of(*roots), signer) == [roots[1], roots[0], roots[2]]


def test_a_root_without_a_key_identifier_is_found_by_name() -> None:
    bare = Certificate(throwaway_authority().iaca_recipe.with_changes(extensions={"ski": None}).build())
    assert found(store_of(bare), SIGNER) == [bare]


def test_a_signer_that_names_no_key_is_found_by_name() -> None:
    signer = Certificate(throwaway_authority().deviant_ds(extensions={"aki": None}))
    assert found(store_of(ROOT), signer) == [ROOT]


def test_a_renewed_root_is_found_beside_the_old_one() -> None:
    renewed = Certificate(throwaway_authority().iaca_recipe.with_changes(serial=7).build())
    assert found(store_of(ROOT, renewed), SIGNER) == [ROOT, renewed]


def test_a_stranger_finds_nobody() -> None:
    assert found(store_of(ROOT), ThrowawayAuthority("Stranger").ds_certificate) == []


def test_a_root_is_found_by_its_key_with_its_renewals() -> None:
    renewed = Certificate(throwaway_authority().iaca_recipe.with_changes(serial=7).build())
    store = store_of(ROOT, renewed, ThrowawayAuthority("Other").iaca_certificate)
    assert [anchor.certificate for anchor in store.with_key(ROOT.spki)] == [ROOT, renewed]
    assert store.with_key(SIGNER.spki) == ()


# --- admission --------------------------------------------------------------------------------------------------------

DAY = dt.timedelta(days=1)


def admit(certificate: Certificate = ROOT, **changes: Any) -> TrustAnchor:
    expectations: dict[str, Any] = {"doctypes": frozenset([MDL]), "at": TEST_TIME} | changes
    return TrustAnchor.admit(certificate, **expectations)


def deviant(**changes: Any) -> Certificate:
    return Certificate(throwaway_authority().iaca_recipe.with_changes(**changes).build())


def test_a_root_of_the_regular_profile_is_admitted_without_findings() -> None:
    anchor = admit(country="US", state="US-UT")
    assert anchor.findings == ()
    assert (anchor.purpose, anchor.country, anchor.state, anchor.until) == (
        Purpose.DOCUMENT_SIGNING,
        "US",
        "US-UT",
        None,
    )


def test_harmless_deviations_stay_with_the_anchor() -> None:
    anchor = admit(deviant(extensions={"ian": None, "crldp": None}))
    assert [finding.rule for finding in anchor.findings] == ["iaca.ian.missing", "iaca.crldp.missing"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"extensions": {"bc": (x509.BasicConstraints(ca=False, path_length=None), True)}}, "iaca.bc.not-ca"),
        ({"extensions": {"ku": (key_usage("digital_signature"), True)}}, "iaca.ku.bits"),
        ({"signer": deterministic_key("Thief")}, "iaca.signature.invalid"),
        ({"issuer": distinguished_name(C="US", ST="US-UT", CN="Somebody else")}, "iaca.issuer.self"),
        ({"not_after": TEST_TIME - DAY}, "iaca.validity.past"),
        ({"not_before": TEST_TIME + DAY}, "iaca.validity.future"),
    ],
)
def test_a_breach_of_security_refuses_the_root(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ProfileError) as caught:
        admit(deviant(**changes))
    assert caught.value.code == "trust.profile"
    assert rule in [finding.rule for finding in caught.value.findings]


def test_a_document_signer_is_not_admitted_as_a_root() -> None:
    with pytest.raises(ProfileError):
        admit(SIGNER)


@pytest.mark.parametrize("limit", [{"country": "CA"}, {"country": "us"}, {"state": "US-NV"}])
def test_a_root_is_not_admitted_for_another_place_than_its_own(limit: dict[str, Any]) -> None:
    with pytest.raises(ProfileError) as caught:
        admit(**limit)
    assert caught.value.code == "trust.place"


def test_a_root_that_names_no_state_may_be_limited_to_one() -> None:
    assert admit(ThrowawayAuthority(state=None).iaca_certificate, state="US-UT").state == "US-UT"


def test_a_providers_root_is_held_against_what_a_ca_is_and_has_no_place() -> None:
    anchor = admit(provider().root, purpose=Purpose.VICAL_PROVIDER, country="US")
    assert anchor.findings == ()
    with pytest.raises(ProfileError):
        admit(provider().signer, purpose=Purpose.VICAL_PROVIDER)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"purpose": "document-signing"}, TypeError),
        ({"country": 1}, TypeError),
        ({"state": b"US-UT"}, TypeError),
        ({"country": ""}, ValueError),
        ({"state": ""}, ValueError),
        ({"until": TEST_TIME.replace(tzinfo=None)}, ValueError),
        ({"since": TEST_TIME.replace(tzinfo=None)}, ValueError),
    ],
)
def test_a_limit_of_the_wrong_kind_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        TrustAnchor(certificate=ROOT, doctypes=ANY_DOCTYPE, **changes)


# --- scope ------------------------------------------------------------------------------------------------------------


def verdict(*anchors: TrustAnchor, at: dt.datetime = TEST_TIME, verifier: Verifier | None = None) -> tuple[str, ...]:
    """The checks that an honest response fails for a reader with these anchors."""
    honest = present()
    verifier = verifier or Verifier(TrustStore(anchors), policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    context = SessionContext(transcript=honest.transcript, reader_key=honest.reader_key)
    return verifier.examine(honest.response, context=context, request=UnsafeNoRequest(), at=at).failed


def anchor(**changes: Any) -> TrustAnchor:
    fields: dict[str, Any] = {"certificate": ROOT, "doctypes": ANY_DOCTYPE} | changes
    return TrustAnchor(**fields)


def test_an_honest_response_passes_within_scope() -> None:
    assert verdict(anchor(country="US", state="US-UT", doctypes=frozenset([MDL]), until=TEST_TIME)) == ()


@pytest.mark.parametrize(
    "limit",
    [
        {"country": "CA"},
        {"state": "US-NV"},
        {"purpose": Purpose.VICAL_PROVIDER},
        {"doctypes": frozenset([PID])},
        {"until": TEST_TIME - DAY},
        {"since": TEST_TIME + DAY},
    ],
    ids=["country", "state", "purpose", "doctype", "ended", "not-begun"],
)
def test_a_response_out_of_the_roots_scope_fails_exactly_that_check(limit: dict[str, Any]) -> None:
    assert verdict(anchor(**limit)) == ("issuer_auth.trust_scope",)
    # Another anchor for the same root that has the scope is found, in whatever order.
    assert verdict(anchor(**limit), anchor()) == ()
    assert verdict(anchor(), anchor(**limit)) == ()


def test_a_signer_that_names_no_state_is_left_to_the_policy() -> None:
    bare = Certificate(
        throwaway_authority().deviant_ds(subject=distinguished_name(C="US", CN="Throwaway document signer"))
    )
    assert anchor(state="US-UT").out_of_scope(MDL, bare, at=TEST_TIME) is None
    assert anchor(country="US").out_of_scope(MDL, bare, at=TEST_TIME) is None


def test_a_remembered_signer_does_not_outlive_the_trust_in_its_root() -> None:
    store = TrustStore([anchor(until=TEST_TIME + DAY)])
    verifier = Verifier(store, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    assert verdict(verifier=verifier) == ()
    assert "issuer_auth.trust_scope" in verdict(verifier=verifier, at=TEST_TIME + DAY + dt.timedelta(seconds=1))


def test_a_remembered_signer_finds_the_other_anchor_when_the_trust_in_one_ends() -> None:
    store = TrustStore([anchor(until=TEST_TIME + DAY), anchor()])
    verifier = Verifier(store, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    later = TEST_TIME + DAY + dt.timedelta(seconds=1)
    assert verdict(verifier=verifier) == ()
    assert "issuer_auth.trust_scope" not in verdict(verifier=verifier, at=later)


# --- link certificates ------------------------------------------------------------------------------------------------

NEW = ThrowawayAuthority(generation=2)
NEW_ROOT = NEW.iaca_certificate
LINK_PURPOSE = x509.ObjectIdentifier("1.0.18013.5.1.4")


def link_recipe() -> CertificateRecipe:
    """The old root's signature over the new root's key."""
    old = throwaway_authority()
    return NEW.iaca_recipe.with_changes(
        signer=old.iaca_key,
        issuer=old.iaca_recipe.subject,
        not_before=TEST_TIME - DAY,
        not_after=TEST_TIME + 100 * DAY,
        extensions={
            "aki": old.ds_recipe.extensions["aki"],
            "eku": (x509.ExtendedKeyUsage([LINK_PURPOSE]), False),
        },
    )


LINK = Certificate(link_recipe().build())


def follow(
    link: Certificate = LINK, root: Certificate = NEW_ROOT, old: TrustAnchor | None = None, at: dt.datetime = TEST_TIME
) -> TrustAnchor:
    return follow_link(old or anchor(doctypes=frozenset([MDL]), country="US", state="US-UT"), link, root, at=at)


def test_a_link_makes_the_new_root_an_anchor_of_the_old_ones_scope_while_the_link_lasts() -> None:
    new = follow()
    assert new == TrustAnchor(
        certificate=NEW_ROOT,
        doctypes=frozenset([MDL]),
        country="US",
        state="US-UT",
        since=TEST_TIME - DAY,
        until=TEST_TIME + 100 * DAY,
        proof=((LINK, ROOT),),
    )
    assert follow(old=anchor(until=TEST_TIME + DAY)).until == TEST_TIME + DAY
    assert follow(old=anchor(since=TEST_TIME)).since == TEST_TIME


def test_links_are_followed_only_where_that_was_decided() -> None:
    without = TrustStore([anchor()])
    assert found(without, NEW.ds_certificate) == [ROOT]  # by name; its key has not signed
    store = TrustStore([anchor()], links=FollowLinks(links=(LINK,), roots=(NEW_ROOT,), at=TEST_TIME))
    assert [one.certificate for one in store] == [ROOT, NEW_ROOT]
    assert found(store, NEW.ds_certificate) == [NEW_ROOT, ROOT]


@pytest.mark.parametrize(
    "changes",
    [
        {"signer": deterministic_key("Thief")},
        {"issuer": distinguished_name(C="US", ST="US-UT", CN="Somebody else")},
        {"extensions": {"aki": (x509.AuthorityKeyIdentifier(b"another", None, None), False)}},
        {"extensions": {"aki": None}},
        {"extensions": {"eku": None}},
        {"extensions": {"eku": (x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.0.18013.5.1.2")]), True)}},
        {"extensions": {"bc": (x509.BasicConstraints(ca=True, path_length=1), True)}},
        {"extensions": {"ku": (key_usage("digital_signature"), True)}},
        {"not_after": TEST_TIME - dt.timedelta(hours=1)},
        {"not_before": TEST_TIME + DAY},
        {"subject": distinguished_name(C="CA", CN="Throwaway IACA")},
        {"subject": distinguished_name(C="US", ST="US-NV", CN="Throwaway IACA")},
    ],
    ids=[
        *("signature", "issuer", "key-identifier", "no-key-identifier", "no-purpose", "other-purpose", "path-length"),
        *("key-usage", "expired", "not-yet-valid", "country", "state"),
    ],
)
def test_a_link_that_is_none_is_not_followed(changes: dict[str, Any]) -> None:
    with pytest.raises(ProfileError) as caught:
        follow(Certificate(link_recipe().with_changes(**changes).build()))
    assert caught.value.code == "link.profile"


def test_a_link_leads_to_the_root_of_its_name_and_key_only() -> None:
    renamed = Certificate(
        NEW.iaca_recipe.with_changes(
            subject=distinguished_name(C="US", ST="US-UT", CN="Renamed"),
            issuer=distinguished_name(C="US", ST="US-UT", CN="Renamed"),
        ).build()
    )
    for root in (ThrowawayAuthority(generation=3).iaca_certificate, renamed):
        with pytest.raises(VerificationError) as caught:
            follow(root=root)
        assert caught.value.code == "link.root"


def test_a_new_root_must_be_one_that_may_be_admitted() -> None:
    bad = NEW.iaca_recipe.with_changes(extensions={"bc": (x509.BasicConstraints(ca=False, path_length=None), True)})
    with pytest.raises(ProfileError) as caught:
        follow(root=Certificate(bad.build()))
    assert caught.value.code == "trust.profile"


@pytest.mark.parametrize(
    "old",
    [
        anchor(purpose=Purpose.VICAL_PROVIDER),
        anchor(until=TEST_TIME - DAY),
        anchor(certificate=deviant(not_after=TEST_TIME - DAY)),
    ],
    ids=["no-iaca", "trust-ended", "expired"],
)
def test_an_old_root_that_is_not_trusted_leads_nowhere(old: TrustAnchor) -> None:
    with pytest.raises(VerificationError) as caught:
        follow(old=old)
    assert caught.value.code == "link.anchor"


def test_a_link_from_nobody_or_to_nobody_is_a_refusal_and_not_ignored() -> None:
    stranger = [anchor(certificate=ThrowawayAuthority("Stranger").iaca_certificate)]
    with pytest.raises(VerificationError) as caught:
        TrustStore(stranger, links=FollowLinks(links=(LINK,), roots=(NEW_ROOT,), at=TEST_TIME))
    assert caught.value.code == "link.anchor"
    with pytest.raises(VerificationError) as caught:
        TrustStore([anchor()], links=FollowLinks(links=(LINK,), roots=(), at=TEST_TIME))
    assert caught.value.code == "link.root"


def test_of_several_roots_of_one_name_the_one_that_signed_the_link_leads_on() -> None:
    namesake = anchor(certificate=ThrowawayAuthority(generation=3).iaca_certificate, doctypes=frozenset([PID]))
    policy = FollowLinks(links=(LINK,), roots=(NEW_ROOT,), at=TEST_TIME)
    store = TrustStore([namesake, anchor()], links=policy)
    assert [one.doctypes for one in store.with_key(NEW_ROOT.spki)] == [ANY_DOCTYPE]


def test_a_link_certificate_is_no_root() -> None:
    with pytest.raises(ProfileError):
        admit(Certificate(link_recipe().with_changes(subject=distinguished_name(C="US", CN="New name")).build()))


# --- what a link proves, and when -------------------------------------------------------------------------------------


def linked(
    old_root: Certificate = ROOT,
    link: Certificate = LINK,
    root: Certificate = NEW_ROOT,
    at: dt.datetime = TEST_TIME,
    **more: Any,
) -> TrustStore:
    return TrustStore([anchor(certificate=old_root)], links=FollowLinks(links=(link,), roots=(root,), at=at, **more))


def failed_under(store: TrustStore, authority: ThrowawayAuthority, at: dt.datetime, **recipe: Any) -> tuple[str, ...]:
    shown = Recipe(authority=authority, **recipe).present()
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    verifier = Verifier(store, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    return verifier.examine(shown.response, context=context, request=UnsafeNoRequest(), at=at).failed


ENDS, BEGINS = TEST_TIME + 2 * DAY, TEST_TIME - 2 * DAY
OLD = throwaway_authority()


@pytest.mark.parametrize("at", [BEGINS - DAY, BEGINS, TEST_TIME, ENDS, ENDS + dt.timedelta(seconds=1)])
@pytest.mark.parametrize("bounded", ["old root", "link"])
def test_what_a_link_brings_is_trusted_while_all_of_its_proof_is_valid(bounded: str, at: dt.datetime) -> None:
    bounds: dict[str, Any] = {"not_before": BEGINS, "not_after": ENDS}
    wide: dict[str, Any] = {"not_before": TEST_TIME - 300 * DAY, "not_after": TEST_TIME + 300 * DAY}
    old_root = Certificate(OLD.iaca_recipe.with_changes(**(bounds if bounded == "old root" else wide)).build())
    link = Certificate(link_recipe().with_changes(**(bounds if bounded == "link" else wide)).build())
    held = BEGINS <= at <= ENDS
    store = linked(old_root, link)
    failed = failed_under(store, NEW, at)
    assert ("issuer_auth.trust_scope" in failed) is not held
    # Whether the store was made then or now makes no difference to who is trusted.
    if held:
        assert failed_under(linked(old_root, link, at=at), NEW, at) == failed
    else:
        with pytest.raises((ProfileError, VerificationError)):
            linked(old_root, link, at=at)


def test_a_link_from_a_root_of_one_state_opens_no_other() -> None:
    stateless = ThrowawayAuthority("No state", state=None)
    link = Certificate(
        link_recipe()
        .with_changes(subject=stateless.iaca_recipe.subject, public_key=stateless.iaca_key.public_key)
        .with_changes(extensions={"ski": stateless.iaca_recipe.extensions["ski"]})
        .build()
    )
    store = linked(link=link, root=stateless.iaca_certificate)
    new = store.with_key(stateless.iaca_certificate.spki)[0]
    assert (new.country, new.state) == ("US", "US-UT")

    def signer(state: str) -> bytes:
        return stateless.deviant_ds(subject=distinguished_name(C="US", ST=state, CN="Signer"))

    assert failed_under(store, stateless, TEST_TIME, x5chain=signer("US-NV")) == (
        "issuer_auth.trust_scope",
        "subject.jurisdiction",
    )
    assert failed_under(store, stateless, TEST_TIME, x5chain=signer("US-UT")) == ()
    # A signer that names no state signs for the state of the old root.
    other = {MDL_NAMESPACE: sample_licence()[MDL_NAMESPACE] | {"issuing_jurisdiction": "US-NV"}}
    bare = stateless.deviant_ds(subject=distinguished_name(C="US", CN="Signer"))
    assert failed_under(store, stateless, TEST_TIME, x5chain=bare) == ()
    assert failed_under(store, stateless, TEST_TIME, x5chain=bare, namespaces=other) == ("subject.jurisdiction",)


def test_a_link_from_a_limited_root_is_limited_as_it_is() -> None:
    unlimited = ThrowawayAuthority("No state", state=None)
    link = Certificate(
        link_recipe()
        .with_changes(issuer=unlimited.iaca_recipe.subject, signer=unlimited.iaca_key)
        .with_changes(extensions={"aki": unlimited.ds_recipe.extensions["aki"]})
        .build()
    )
    # The old root names no state, so the new one may; and it is limited where the trust in the old one is.
    assert follow(link, old=anchor(certificate=unlimited.iaca_certificate)).state is None
    with pytest.raises(ProfileError) as caught:
        follow(link, old=anchor(certificate=unlimited.iaca_certificate, state="US-NV"))
    assert caught.value.code == "trust.place"


@pytest.mark.parametrize("until", [TEST_TIME + 30 * DAY, TEST_TIME - dt.timedelta(hours=1)], ids=["fresh", "stale"])
def test_a_revoked_link_is_not_followed(until: dt.datetime) -> None:
    revoking = OLD.crl(revoked=[LINK.serial], next_update=until)
    for crls in ((revoking,), (OLD.crl(), revoking), (revoking, OLD.crl())):
        with pytest.raises(VerificationError) as caught:
            linked(crls=crls)
        assert caught.value.code == "link.revocation"
    assert len(linked(crls=(OLD.crl(revoked=[LINK.serial + 1]),))) == 2


def test_absent_lists_refuse_a_link_only_where_they_are_demanded() -> None:
    foreign = ThrowawayAuthority("Somebody").crl(revoked=[LINK.serial])
    assert len(linked(crls=(foreign,))) == 2
    assert len(linked(crls=(OLD.crl(),), revocation=Revocation.REQUIRED)) == 2
    for crls in ((), (foreign,)):
        with pytest.raises(VerificationError) as caught:
            linked(crls=crls, revocation=Revocation.REQUIRED)
        assert caught.value.code == "link.revocation"


def test_where_clearing_is_demanded_what_a_link_brings_ends_with_the_list_that_clears() -> None:
    crls = (OLD.crl(next_update=TEST_TIME + 5 * DAY), OLD.crl(next_update=TEST_TIME + 3 * DAY), b"no list")
    (new,) = linked(crls=crls, revocation=Revocation.REQUIRED).with_key(NEW_ROOT.spki)
    assert new.until == TEST_TIME + 5 * DAY
    (new,) = linked(crls=crls).with_key(NEW_ROOT.spki)
    assert new.until == LINK.not_after


@pytest.mark.parametrize("changes", [{"crls": [b""]}, {"crls": b""}, {"crls": (1,)}, {"revocation": "required"}])
def test_lists_about_links_are_a_tuple_of_bytes(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        linked(**changes)


# --- the purposes of signers ------------------------------------------------------------------------------------------

EUROPEAN = "1.3.130.2.0.0.1.2"
NEEDS = "a signer of this document type needs"


@pytest.mark.parametrize(
    ("chosen", "error"),
    [
        (None, TypeError),
        ([PID], TypeError),
        ({PID: EUROPEAN}, TypeError),
        ({PID: {EUROPEAN}}, TypeError),
        ({PID: None}, TypeError),
        ({1: ANY_PURPOSE}, TypeError),
        ({PID: frozenset()}, ValueError),
        ({PID: frozenset({""})}, ValueError),
        ({PID: frozenset({1})}, ValueError),
        ({PID: frozenset({"1.3.x"})}, ValueError),
        ({PID: frozenset({"3.1"})}, ValueError),
        ({PID: frozenset({f"{EUROPEAN}\n"})}, ValueError),
        ({PID: frozenset({"1.\u0663"})}, ValueError),
        ({MDL: ANY_PURPOSE}, ValueError),
        ({MDL: frozenset({"1.0.18013.5.1.2"})}, ValueError),
    ],
)
def test_a_choice_of_purposes_that_would_be_read_as_another_is_refused(chosen: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        anchor(signer_purposes=chosen)


def test_a_choice_of_purposes_cannot_be_changed_afterwards() -> None:
    chosen = {PID: frozenset({EUROPEAN})}
    made = anchor(signer_purposes=chosen)
    chosen[PID] = frozenset({"1.2.3"})
    assert made.signer_purposes == {PID: frozenset({EUROPEAN})}
    with pytest.raises(TypeError):
        made.signer_purposes[PID] = ANY_PURPOSE  # type: ignore[index]
    assert pickle.loads(pickle.dumps(made)) == made
    assert made != anchor(signer_purposes={})
    assert hash(made) == hash(anchor(signer_purposes=chosen))
    assert repr(ANY_PURPOSE) == "ANY_PURPOSE"


def pid(*oids: str) -> bytes:
    usage = (x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in oids]), True) if oids else None
    return throwaway_authority().deviant_ds(extensions={"eku": usage})


def profile_of(*anchors: TrustAnchor, signer: bytes, doctype: str = PID) -> tuple[str, str]:
    """Outcome and detail of the profile, for a document of that type under a signer."""
    shown = Recipe(doctype=doctype, namespaces={doctype: {"family_name": "Doe"}}, x5chain=signer).present()
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    verifier = Verifier(TrustStore(anchors), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    report = verifier.examine(shown.response, context=context, request=UnsafeNoRequest(), at=TEST_TIME)
    (found,) = [check for check in report if check.id == "issuer_auth.profile"]
    return found.outcome.value, found.detail


@pytest.mark.parametrize(
    ("accepted", "own", "said"),
    [
        (None, (EUROPEAN,), f"extendedKeyUsage has {EUROPEAN}, and {NEEDS} one of 1.0.18013.5.1.2, 1.0.23220.4.1.2 ["),
        (None, (), f"extendedKeyUsage is absent, and {NEEDS} one of 1.0.18013.5.1.2, 1.0.23220.4.1.2 ["),
        (frozenset({EUROPEAN}), ("1.2.3",), f"extendedKeyUsage has 1.2.3, and {NEEDS} {EUROPEAN} ["),
        (ANY_PURPOSE, (EUROPEAN, "1.3.6.1.5.5.7.3.9"), "extendedKeyUsage names another role: 1.3.6.1.5.5.7.3.9"),
    ],
)
def test_a_refusal_names_the_extension_what_it_has_and_what_was_looked_for(
    accepted: Any, own: tuple[str, ...], said: str
) -> None:
    chosen = {} if accepted is None else {PID: accepted}
    outcome, detail = profile_of(anchor(signer_purposes=chosen), signer=pid(*own))
    assert outcome == "failed"
    assert said in detail
    assert detail.endswith(("[ds.eku.purpose, 18013-5 B.1.4]", "[ds.eku.missing, 18013-5 B.1.4]"))


def test_an_mdl_s_refusal_names_the_one_purpose_there_is() -> None:
    _, detail = profile_of(anchor(), signer=pid(EUROPEAN), doctype=MDL)
    assert f"extendedKeyUsage has {EUROPEAN}, and a signer of this document type needs 1.0.18013.5.1.2" in detail


def test_of_two_anchors_of_one_root_the_one_that_accepts_the_purpose_counts() -> None:
    chosen = anchor(signer_purposes={PID: frozenset({EUROPEAN})})
    for anchors in ((chosen, anchor()), (anchor(), chosen)):
        assert profile_of(*anchors, signer=pid(EUROPEAN))[0] == "passed"
        assert profile_of(*anchors, signer=pid("1.0.23220.4.1.2"))[0] == "passed"
        assert profile_of(*anchors, signer=pid("1.2.3"))[0] == "failed"


def test_a_link_hands_the_choice_of_purposes_on() -> None:
    chosen = {PID: frozenset({EUROPEAN})}
    assert follow(old=anchor(signer_purposes=chosen)).signer_purposes == chosen


def test_a_remembered_signer_is_not_taken_for_a_document_type_with_other_purposes() -> None:
    store = TrustStore([anchor(signer_purposes={PID: frozenset({EUROPEAN})})])
    verifier = Verifier(store, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    for doctype, failed in ((PID, ()), ("org.example", ("issuer_auth.profile",)), (PID, ())):
        shown = Recipe(doctype=doctype, namespaces={doctype: {"a": 1}}, x5chain=pid(EUROPEAN)).present()
        context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
        report = verifier.examine(shown.response, context=context, request=UnsafeNoRequest(), at=TEST_TIME)
        assert report.failed == failed


# --- many roots -------------------------------------------------------------------------------------------------------


def test_only_the_anchors_that_have_a_say_are_looked_at() -> None:
    other = ThrowawayAuthority("Other")
    renewed = Certificate(OLD.iaca_recipe.with_changes(not_after=TEST_TIME + 9 * DAY).build())
    store = store_of(other.iaca_certificate, ROOT, renewed, SIGNER)
    assert [one.certificate for one in store.with_a_say(SIGNER)] == [ROOT, renewed, SIGNER]
    stranger = ThrowawayAuthority("Stranger").ds_certificate
    assert [one.certificate for one in store.with_a_say(stranger)] == [other.iaca_certificate]

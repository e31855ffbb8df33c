"""The trust store: who is trusted for what, and that nobody is trusted by accident."""

from typing import Any

import pytest

from mdl.pki import Certificate
from mdl.testing import ThrowawayAuthority, throwaway_authority
from reader.trust import ANY_DOCTYPE, AnyDoctype, TrustAnchor, TrustStore

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

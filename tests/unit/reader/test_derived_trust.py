"""Trust that rests on a link or on a list ends where the evidence of a verification revokes a part of its proof."""

import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mdl.cbor import decode, encode
from mdl.cli import main
from mdl.errors import DecodeError, MdlError
from mdl.pki import Certificate
from mdl.testing import TEST_TIME, Presentation, Recipe, ThrowawayAuthority, throwaway_authority
from reader.bundle import EvidenceBundle, UnsafeBundleAnchors, examine_and_keep
from reader.evidence import EvidenceStore, Need, gaps_of_anchors, needs_of, needs_of_anchors
from reader.fetching import EvidenceKind
from reader.report import Check, Outcome, Policy, Report, Revocation
from reader.revocation import NO_EVIDENCE, CrlJudge, Evidence
from reader.subject import ReaderSubject
from reader.trust import ANY_DOCTYPE, FollowLinks, TrustAnchor, TrustStore, follow_link
from reader.trust_file import TrustFile
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from reader.vical import NOTHING_ACCEPTED, import_vical
from test_vectors.source.generate import _anchor as written_anchor
from test_vectors.source.stage import link
from tests.unit.reader.test_subject import b64u, task_of
from tests.vical_forgery import DAY, forge, info, provider

FIRST = throwaway_authority()
SECOND, THIRD = ThrowawayAuthority(generation=2), ThrowawayAuthority(generation=3)
LINK, LINK_ON = link(FIRST, SECOND), link(SECOND, THIRD)
NAME = "issuer_auth.certificate_revocation"


def chosen(authority: ThrowawayAuthority, **limits: Any) -> TrustAnchor:
    return TrustAnchor(certificate=authority.iaca_certificate, doctypes=ANY_DOCTYPE, **limits)


def linked(*more: TrustAnchor, at: Any = TEST_TIME) -> TrustStore:
    return TrustStore([chosen(FIRST), *more], links=FollowLinks(links=(LINK,), roots=(SECOND.iaca_certificate,), at=at))


@cache
def linked_twice() -> TrustStore:
    """The third root, on the word of the second, on the word of the first."""
    second = follow_link(chosen(FIRST), LINK, SECOND.iaca_certificate, at=TEST_TIME)
    return TrustStore([follow_link(second, LINK_ON, THIRD.iaca_certificate, at=TEST_TIME)])


@cache
def listed() -> TrustStore:
    """The second root, on the word of a list's signer, its CA, and the provider."""
    data = forge(info(SECOND.iaca_certificate))
    found = import_vical(data, providers=provider().pinned(), accepted=NOTHING_ACCEPTED, at=TEST_TIME)
    return TrustStore(found.anchors)


@cache
def shown_by(authority: ThrowawayAuthority) -> tuple[Presentation, SessionContext]:
    shown = Recipe(authority=authority).present()
    return shown, SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)


def examine(
    trust: TrustStore,
    authority: ThrowawayAuthority,
    *crls: bytes,
    policy: Policy = Policy.LENIENT,
    revocation: Revocation = Revocation.IF_GIVEN,
    verifier: Verifier | None = None,
    evidence: Evidence | None = None,
) -> Report:
    shown, context = shown_by(authority)
    verifier = verifier or Verifier(trust, policy=policy, revocation=revocation)
    evidence = Evidence(crls=crls) if evidence is None else evidence
    return verifier.examine(shown.response, context=context, request=UnsafeNoRequest(), at=TEST_TIME, evidence=evidence)


def said(report: Report) -> Check:
    (found,) = [check for check in report if check.id == NAME]
    return found


# Each proof: the store, whose licence it opens, and what revokes each part of it; then what clears all of it.
PROOFS: dict[str, tuple[Callable[[], TrustStore], ThrowawayAuthority, list[bytes], list[bytes]]] = {
    "link": (linked, SECOND, [FIRST.crl(revoked=[LINK.serial])], [FIRST.crl(), SECOND.crl()]),
    "two links": (
        linked_twice,
        THIRD,
        [FIRST.crl(revoked=[LINK.serial]), SECOND.crl(revoked=[LINK_ON.serial])],
        [FIRST.crl(), SECOND.crl(), THIRD.crl()],
    ),
    "list": (
        listed,
        SECOND,
        [
            provider().crl(revoked=[provider().signer.serial]),
            provider().crl(of_root=True, revoked=[provider().ca.serial]),
        ],
        [SECOND.crl(), provider().crl(), provider().crl(of_root=True)],
    ),
}
REVOKED = [(name, index) for name, (_, _, revoking, _) in PROOFS.items() for index in range(len(revoking))]


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("revocation", Revocation)
@pytest.mark.parametrize(("name", "index"), REVOKED)
def test_a_list_that_revokes_a_part_of_the_proof_refuses_under_every_policy(
    name: str, index: int, revocation: Revocation, policy: Policy
) -> None:
    store, authority, revoking, clearing = PROOFS[name]
    for crls in ((authority.crl(), revoking[index]), (revoking[index], *clearing), (*clearing, revoking[index])):
        report = examine(store(), authority, *crls, policy=policy, revocation=revocation)
        assert report.failed == (NAME,)
        assert said(report).detail == "a link or list that the root rests on: the certificate is revoked"


@pytest.mark.parametrize("name", PROOFS)
def test_what_clears_all_of_the_proof_passes_and_what_lacks_a_part_of_it_is_for_the_demand_to_judge(name: str) -> None:
    store, authority, _, clearing = PROOFS[name]
    report = examine(store(), authority, *clearing, revocation=Revocation.REQUIRED)
    assert (report.accepted, said(report).outcome) == (True, Outcome.PASSED)
    for left in clearing:
        crls = [one for one in clearing if one is not left]
        for revocation in Revocation:
            report = examine(store(), authority, *crls, revocation=revocation)
            assert said(report).outcome is Outcome.INDETERMINATE
            assert report.accepted is (revocation is Revocation.IF_GIVEN)


def test_the_reason_says_whether_it_is_the_signer_or_its_proof() -> None:
    own = "the certificate is revoked"
    revoking = SECOND.crl(revoked=[SECOND.ds_certificate.serial])
    assert said(examine(linked(), SECOND, revoking)).detail == own
    assert not said(examine(linked(), SECOND, FIRST.crl())).detail.startswith("a link or list")
    proof = "a link or list that the root rests on: the signature of the revocation list in the root's name does not"
    assert said(examine(linked(), SECOND, SECOND.crl())).detail.startswith(proof)
    both = (revoking, FIRST.crl(revoked=[LINK.serial]))
    assert said(examine(linked(), SECOND, *both)).detail == own


def test_deviations_of_the_lists_about_the_proof_are_told() -> None:
    odd = FIRST.crl(extensions={"number": None})
    report = examine(linked(), SECOND, SECOND.crl(), odd)
    assert (said(report).outcome, said(report).warnings) == (Outcome.PASSED, ("crl.profile",))


def test_the_verdict_follows_the_evidence_and_not_what_is_remembered_of_the_signer() -> None:
    verifier = Verifier(linked(), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    for revoking, failed in ((False, ()), (True, (NAME,)), (False, ())):
        crl = FIRST.crl(revoked=[LINK.serial] if revoking else ())
        assert examine(linked(), SECOND, SECOND.crl(), crl, verifier=verifier).failed == failed


def test_documents_of_the_old_root_do_not_rest_on_the_link() -> None:
    crl = FIRST.crl(revoked=[LINK.serial])
    assert examine(linked(), FIRST, crl, revocation=Revocation.REQUIRED).accepted


# --- a root that there is more than one reason to trust ---------------------------------------------------------------


def test_a_root_of_the_callers_own_choice_needs_no_proof() -> None:
    crl = FIRST.crl(revoked=[LINK.serial])
    renewed = Certificate(SECOND.iaca_recipe.with_changes(serial=7).build())
    for own in (chosen(SECOND), replace(chosen(SECOND), certificate=renewed)):
        for trust in (linked(own), TrustStore([*reversed([*linked(own)])])):
            assert examine(trust, SECOND, crl, SECOND.crl(), revocation=Revocation.REQUIRED).accepted
    # But only where it is trusted for the document.
    assert examine(linked(chosen(SECOND, country="CA")), SECOND, crl).failed == (NAME,)


@pytest.mark.parametrize("revocation", Revocation)
def test_of_two_proofs_one_that_holds_is_enough(revocation: Revocation) -> None:
    by_link = FIRST.crl(revoked=[LINK.serial])
    by_list = provider().crl(revoked=[provider().signer.serial])
    rest = (SECOND.crl(), provider().crl(of_root=True))
    stores = [TrustStore([*linked(), *listed()]), TrustStore([*listed(), *linked()])]
    for store in stores:
        for crls in ((by_link, provider().crl()), (FIRST.crl(), by_list)):
            report = examine(store, SECOND, *crls, *rest, revocation=revocation)
            assert (report.accepted, said(report).outcome) == (True, Outcome.PASSED)
        assert examine(store, SECOND, by_link, by_list, *rest, revocation=revocation).failed == (NAME,)


def test_another_proof_is_taken_with_the_scope_that_it_gives() -> None:
    """The anchor that a document is verified under is the one whose proof holds."""
    crl = FIRST.crl(revoked=[LINK.serial])
    store = TrustStore([*linked(), *listed()])
    shown, context = shown_by(SECOND)
    verifier = Verifier(store, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    for crls, proof in (((), linked()), ((crl,), listed())):
        verified = verifier.verify(
            shown.response, context=context, request=UnsafeNoRequest(), at=TEST_TIME, evidence=Evidence(crls=crls)
        )
        assert verified.documents[0].anchor == next(one for one in proof if one.proof)


def test_another_proof_that_has_ended_by_then_does_not_count() -> None:
    crl = FIRST.crl(revoked=[LINK.serial])
    ends = TEST_TIME + DAY
    store = TrustStore([*linked(), *(one.before(ends) for one in listed())])
    verifier = Verifier(store, policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
    shown, context = shown_by(SECOND)
    for at, failed in ((ends, ()), (ends + DAY, (NAME,)), (ends, ())):
        report = verifier.examine(
            shown.response, context=context, request=UnsafeNoRequest(), at=at, evidence=Evidence(crls=(crl,))
        )
        assert report.failed == failed


# --- the proof goes where the anchor goes -----------------------------------------------------------------------------


def test_a_proof_survives_pickling_and_narrowing() -> None:
    (anchor,) = linked_twice()
    assert anchor.proof == (
        (LINK, FIRST.iaca_certificate),
        (LINK_ON, SECOND.iaca_certificate),
    )
    for same in (pickle.loads(pickle.dumps(anchor)), anchor.before(TEST_TIME), replace(anchor, country="US")):
        assert same.proof == anchor.proof
    assert anchor.keys == {one.spki for one in (FIRST.iaca_certificate, SECOND.iaca_certificate, LINK_ON)}


@pytest.mark.parametrize(
    "proof",
    [None, [], [(LINK, LINK)], (LINK,), (LINK, LINK), ((LINK,),), ((LINK, None),), ([LINK, LINK],), ((LINK,) * 3,)],
)
def test_a_proof_is_pairs_of_certificates(proof: Any) -> None:
    with pytest.raises(TypeError, match="proof"):
        chosen(SECOND, proof=proof)


def test_a_trust_file_takes_no_root_whose_proof_it_would_lose() -> None:
    for store in (linked(), listed()):
        derived = next(one for one in store if one.proof)
        with pytest.raises(ValueError, match="lose its proof"):
            TrustFile(roots=(derived,)).encode()


def kept(name: str, *crls: bytes) -> EvidenceBundle:
    store, authority, _, clearing = PROOFS[name]
    verifier = Verifier(store(), policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    shown, context = shown_by(authority)
    bundle = examine_and_keep(
        verifier,
        shown.response,
        context=context,
        request=shown.request,
        at=shown.at,
        evidence=Evidence(crls=(ThrowawayAuthority("Somebody").crl(), *clearing, *crls)),
    )
    return EvidenceBundle.decode(bundle.encode())


@pytest.mark.parametrize("name", PROOFS)
def test_a_bundle_keeps_the_proof_and_the_lists_about_it(name: str) -> None:
    store, _, revoking, clearing = PROOFS[name]
    bundle = kept(name)
    assert bundle.replay(trust=UnsafeBundleAnchors()).accepted
    assert bundle.evidence.crls == tuple(clearing)
    assert [one.proof for one in bundle.anchors if one.proof] == [one.proof for one in store() if one.proof]
    for crl in revoking:
        # A refusal of then is one still; and what the caller's evidence revokes is refused on his terms.
        assert not kept(name, crl).replay(trust=UnsafeBundleAnchors()).accepted
        for trust in (store(), UnsafeBundleAnchors()):
            replay = bundle.replay(trust=trust, evidence=Evidence(crls=(crl,)))
            assert (replay.accepted, replay.report.failed) == (False, (NAME,))


@pytest.mark.parametrize(
    "proof", [None, {}, [[]], [[b"", b""]], [[LINK.der]], [[LINK.der] * 3], [[LINK.der, LINK.der]] * 65, [None], ["ab"]]
)
def test_a_proof_in_a_bundle_that_is_none_is_damage(proof: Any) -> None:
    data = kept("link").encode()
    start = data.index(b"\n") + 1
    pieces, rest, _ = decode(data[start:])
    fields = decode(rest)
    next(one for one in fields["anchors"] if "proof" in one)["proof"] = proof
    with pytest.raises(DecodeError) as caught:
        EvidenceBundle.decode(data[:start] + encode([pieces, encode(fields), b""]))
    assert caught.value.code == "bundle.damaged"


def test_what_is_fetched_for_a_document_includes_the_lists_about_its_proof() -> None:
    for name, (store, authority, _, _) in PROOFS.items():
        trust = store()
        response = shown_by(authority)[0].response
        pairs = [pair for anchor in trust for pair in anchor.proof]
        for needs in (needs_of(response, trust), needs_of_anchors(trust)):
            for certificate, issuer in pairs:
                if certificate.crl_uris:
                    assert Need(kind=EvidenceKind.CRL, urls=certificate.crl_uris, issuers=(issuer,)) in needs, name
    # The CA of the provider names no address.
    told = [one.message for one in gaps_of_anchors(listed())]
    assert [one for one in told if "CN=Provider CA" in one and "which a root rests on" in one] == told
    # But its list may be what another need brings.
    had = Need(kind=EvidenceKind.CRL, urls=("https://throwaway.example/",), issuers=(provider().root,))
    assert gaps_of_anchors(listed(), [had]) == ()


@pytest.mark.parametrize(("name", "index"), REVOKED)
def test_the_store_and_its_file_keep_the_lists_about_a_proof(name: str, index: int) -> None:
    store, authority, revoking, _ = PROOFS[name]
    trust = store()
    issuers = [issuer for anchor in trust for _, issuer in anchor.proof]
    kept_evidence = EvidenceStore()
    for issuer in issuers:
        need = Need(kind=EvidenceKind.CRL, urls=("https://throwaway.example/crl",), issuers=(issuer,))
        with suppress(MdlError):  # of another issuer of the proof it says nothing
            kept_evidence.add(need, need.urls[0], revoking[index], at=TEST_TIME)
    reread = EvidenceStore.decode(kept_evidence.encode(), trust)
    for one in (kept_evidence, reread):
        report = examine(trust, authority, evidence=one.evidence(at=TEST_TIME))
        assert report.failed == (NAME,)


def ask(trust: TrustStore, authority: ThrowawayAuthority, *crls: bytes, **members: Any) -> dict[str, Any]:
    shown, _ = shown_by(authority)
    task = task_of(shown, trust_anchors=[written_anchor(one) for one in trust], crls=[*map(b64u, crls)])
    return ReaderSubject().answer(json.dumps(task | members).encode())


@pytest.mark.parametrize(("name", "index"), REVOKED)
def test_the_harness_takes_a_proof(name: str, index: int) -> None:
    store, authority, revoking, clearing = PROOFS[name]
    assert ask(store(), authority, *clearing, revocation="required")["verdict"] == "accept"
    assert ask(store(), authority, *clearing, revoking[index])["failed"] == [NAME]
    # The proof's own time binds, as it does in the library.
    late = (TEST_TIME + 101 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    if "link" in name:
        assert "issuer_auth.trust_scope" in ask(store(), authority, at=late)["failed"]


@pytest.mark.parametrize("proof", [{}, "x", [["a"]], [["a", 1]], ["ab"], [[LINK.pem] * 3], [[LINK.pem] * 2] * 65])
def test_a_proof_for_the_harness_that_is_none_is_an_error(proof: Any) -> None:
    anchor = {"certificate": SECOND.iaca_certificate.pem, "proof": proof}
    answer = ask(linked(), SECOND, trust_anchors=[anchor])
    assert (answer["verdict"], answer["failed"]) == ("error", [])
    assert ask(linked(), SECOND, trust_anchors=[anchor | {"proof": [["-----BEGIN", "x"]]}])["verdict"] == "error"
    for absent in (None, list[Any]()):
        assert ask(linked(), SECOND, trust_anchors=[anchor | {"proof": absent}])["verdict"] == "accept"


def test_the_harness_tells_anchors_with_and_without_a_proof_apart() -> None:
    subject = ReaderSubject()
    shown, _ = shown_by(SECOND)
    proven = [written_anchor(one) for one in linked() if one.proof]
    for anchors, verdict in ((proven, "reject"), ([SECOND.iaca_certificate.pem], "accept"), (proven, "reject")):
        task = task_of(shown, trust_anchors=anchors, crls=[b64u(FIRST.crl(revoked=[LINK.serial]))])
        assert subject.answer(json.dumps(task).encode())["verdict"] == verdict


# --- the command, with the list of a provider -------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shown, _ = shown_by(SECOND)
    (anchor,) = provider().pinned()
    file, _ = TrustFile().with_vical(forge(info(SECOND.iaca_certificate)), provider=anchor, at=TEST_TIME)
    file.save(tmp_path / "trust")
    (tmp_path / "response").write_bytes(shown.response)
    (tmp_path / "transcript").write_bytes(shown.transcript.encoded)
    return tmp_path


def verify(folder: Path, *words: str) -> int:
    at = TEST_TIME.strftime("%Y-%m-%dT%H:%M:%SZ")
    given = [
        "--trust",
        folder / "trust",
        "--transcript",
        folder / "transcript",
        "--at",
        at,
        "--unsafe-no-request",
        folder / "response",
    ]
    return main(["reader", "verify", *map(str, given), *words])


@pytest.mark.parametrize("index", range(2))
def test_the_command_refuses_what_a_list_brought_whose_signer_is_revoked(
    folder: Path, index: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "crl").write_bytes(PROOFS["list"][2][index])
    assert verify(folder) == 0
    assert verify(folder, "--crl", str(folder / "crl")) == 1
    assert "a link or list that the root rests on: the certificate is revoked" in " ".join(
        capsys.readouterr().out.split()
    )


def test_what_rests_on_a_distrusted_key_is_not_trusted_either(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    TrustFile().with_distrust(provider().root).save(folder / "distrust")
    assert verify(folder, "--trust", str(folder / "distrust")) == 1
    capsys.readouterr()


def test_a_judgement_of_nothing_finds_nothing_revoked() -> None:
    found = CrlJudge().judge_all((), NO_EVIDENCE, TEST_TIME)
    assert (found.outcome, found.until, found.deviations) == (Outcome.PASSED, None, ())


@pytest.mark.parametrize("option", ["--crl", "--status-token"])
def test_a_file_that_says_nothing_counts_as_absent_evidence(
    folder: Path, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a list does that can neither revoke nor clear; only what cannot be read as a file ends the command."""
    for content in (b"", b"\xef\xbb\xbf", "list".encode("utf-16"), b"\xff", b"<html>404</html>"):
        (folder / "nothing").write_bytes(content)
        assert verify(folder, option, str(folder / "nothing")) == 0
        assert verify(folder, option, str(folder / "nothing"), "--revocation", "required") == 1
        revoking = folder / "revoking"
        revoking.write_bytes(PROOFS["list"][2][0])
        assert verify(folder, option, str(folder / "nothing"), "--crl", str(revoking)) == 1
    capsys.readouterr()
    assert verify(folder, option, str(folder / "absent")) == 3
    assert f"{option}[0]" in capsys.readouterr().err

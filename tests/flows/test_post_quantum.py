"""The post-quantum rehearsal from root to verdict: only who asks takes part, and then only what is honest passes."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from issuer.certificates import Iaca
from issuer.issuance import CredentialIssuer, Order
from mdl.cose import encode_key
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import DecodeError, IssuanceError, MdlError, SigningError, UnsupportedError, VerificationError
from mdl.holder import Holder
from mdl.keys import EXPERIMENTAL_CURVES, PublicKey, Signer, SoftwareSigner, UnsafePostQuantum
from mdl.mdoc import ValidityInfo
from mdl.pki import RevokedCertificate, Subject
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    Presentation,
    Recipe,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    request_for,
    sample_licence,
    sample_transcript,
)
from reader.report import DEVIATIONS, Outcome, Policy, Report, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from reader.verification import SessionContext, Verifier

ASKED = UnsafePostQuantum()
DAY = timedelta(days=1)
READER_KEY = deterministic_ephemeral_key("reader")
VALIDITY = ValidityInfo(signed=TEST_TIME - DAY, valid_from=TEST_TIME - DAY, valid_until=TEST_TIME + 10 * DAY)
STRANGER = SoftwareSigner.generate("ML-DSA-65", post_quantum=ASKED)


def key(name: str) -> SoftwareSigner:
    return SoftwareSigner.generate(name, post_quantum=ASKED)


class House:
    """An issuing authority with root and document signer of the kinds asked for."""

    def __init__(self, root: str, signer: str) -> None:
        self.iaca = Iaca.create(
            key(root),
            subject=Subject(country="US", state="US-UT", common_name="Utopia IACA"),
            not_before=TEST_TIME - 10 * DAY,
            crl_uri="https://mdl.example/iaca.crl",
            contact_uri="https://mdl.example",
            post_quantum=ASKED,
        )
        self.ds_key = key(signer)
        self.certificate = self.iaca.issue_document_signer(
            self.ds_key.public_key, common_name="Utopia DS", not_before=TEST_TIME - 10 * DAY
        )
        self.crl = self.iaca.publish_crl(number=1, this_update=TEST_TIME - DAY, next_update=TEST_TIME + 20 * DAY)

    def issuer(self, asked: UnsafePostQuantum | None = ASKED) -> CredentialIssuer:
        return CredentialIssuer(self.ds_key, self.certificate, doctype=MDL_DOCTYPE, post_quantum=asked)

    def issue(self, device_key: PublicKey) -> bytes:
        return self.issuer().issue(order(device_key)).encode()

    @property
    def trust(self) -> TrustStore:
        return TrustStore([TrustAnchor(certificate=self.iaca.certificate, doctypes=ANY_DOCTYPE)])

    def recipe(self, **fields: Any) -> Recipe:
        """A presentation in which everything can be forged."""
        authority = SimpleNamespace(
            ds_key=plain(self.ds_key), ds_certificate=self.certificate, anchors=(self.iaca.certificate,)
        )
        return Recipe(authority=cast("ThrowawayAuthority", authority), **fields)


def order(device_key: PublicKey) -> Order:
    return Order(namespaces=sample_licence(), device_key=device_key, validity=VALIDITY)


def plain(signer: SoftwareSigner) -> SoftwareSigner:
    """A signer as the recipes take it, which have never heard of the rehearsal."""
    public = SimpleNamespace(algorithm=signer.public_key.algorithm_for(ASKED))
    return cast("SoftwareSigner", SimpleNamespace(public_key=public, sign=signer.sign))


def verifier(
    trust: TrustStore, asked: UnsafePostQuantum | None = ASKED, policy: Policy = Policy.LENIENT, **fields: Any
) -> Verifier:
    return Verifier(trust, policy=policy, **{"revocation": Revocation.IF_GIVEN, "post_quantum": asked, **fields})


def examine(who: Verifier, given: Presentation, evidence: tuple[bytes, ...] = ()) -> Report:
    context = SessionContext(transcript=given.transcript, reader_key=given.reader_key)
    return who.examine(
        given.response, context=context, request=given.request, at=given.at, evidence=Evidence(crls=evidence)
    )


HOUSES = {(root, signer): House(root, signer) for root, signer in (
    ("ML-DSA-65", "ML-DSA-44"),
    ("ML-DSA-87", "ML-DSA-65"),
    ("P-256", "ML-DSA-65"),
    ("ML-DSA-65", "P-256"),
)}  # fmt: skip
HOUSE = HOUSES["ML-DSA-87", "ML-DSA-65"]
P256_HOUSE = House("P-256", "P-256")


# --- honest, and asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kinds", "house"), HOUSES.items(), ids=[f"{root}, {signer}" for root, signer in HOUSES])
def test_a_licence_is_issued_held_shown_and_verified_and_the_report_says_what_it_rests_on(
    kinds: tuple[str, str], house: House
) -> None:
    device_key = key("P-256")
    holder = Holder()
    holder.add(house.issue(device_key.public_key), device_key)
    transcript = sample_transcript(READER_KEY.public_key)
    request = request_for((MDL_DOCTYPE, {MDL_NAMESPACE: ["age_over_18"]}))
    result = verifier(house.trust, revocation=Revocation.REQUIRED).verify(
        holder.respond(request, transcript).encode(),
        context=SessionContext(transcript=transcript, reader_key=READER_KEY),
        request=request,
        at=TEST_TIME,
        evidence=Evidence(crls=(house.crl.der,)),
    )
    assert result.documents[0].elements == {MDL_NAMESPACE: {"age_over_18": True}}
    warned = {("issuer_auth.profile", "post_quantum.certificate")}
    warned |= {("issuer_auth.algorithm", "post_quantum.issuer")} if kinds[1] != "P-256" else set()
    if kinds[0] != "P-256":
        warned |= {("issuer_auth.certificate_revocation", "crl.profile.minor")}
    assert set(result.report.warnings) == warned


@pytest.mark.parametrize("name", EXPERIMENTAL_CURVES)
def test_a_device_key_may_be_one_of_ml_dsa(name: str) -> None:
    device_key = key(name)
    report = examine(verifier(HOUSE.trust), shown_with(device_key).present())
    assert report.accepted
    assert ("device_auth.algorithm", "post_quantum.device") in report.warnings
    assert examine(verifier(P256_HOUSE.trust), shown_with(device_key, P256_HOUSE).present()).accepted


def shown_with(device_key: SoftwareSigner, house: House = HOUSE, **fields: Any) -> Recipe:
    members = {"mso_device_key": encode_key(device_key.public_key), "device_signer": plain(device_key)}
    return house.recipe(**(members | fields))


def test_the_issuer_writes_the_device_key_that_the_reader_reads() -> None:
    device_key = key("ML-DSA-44")
    licence = HOUSE.issuer().issue(order(device_key.public_key))
    assert encode_key(device_key.public_key)[-1] in (licence.issuer_auth.payload or b"")


def test_an_authority_of_the_standard_is_verified_as_ever_by_who_takes_part() -> None:
    report = examine(verifier(P256_HOUSE.trust), P256_HOUSE.recipe().present())
    assert report.accepted
    assert report.warnings == ()


# --- not asked for ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("house", HOUSES.values(), ids=[f"{root}, {signer}" for root, signer in HOUSES])
def test_who_has_not_asked_refuses_root_and_signer_under_every_policy(house: House, policy: Policy) -> None:
    report = examine(verifier(house.trust, None, policy), house.recipe().present())
    assert not report.accepted
    assert "issuer_auth.profile" in report.failed
    if house.ds_key.public_key.curve.experimental:
        assert "issuer_auth.algorithm" in report.failed
    if house.iaca.signer.public_key.curve.experimental:
        assert "issuer_auth.path" in report.failed


@pytest.mark.parametrize("policy", Policy)
def test_who_has_not_asked_refuses_the_device_key_under_every_policy(policy: Policy) -> None:
    report = examine(verifier(P256_HOUSE.trust, None, policy), shown_with(key("ML-DSA-44"), P256_HOUSE).present())
    assert report.failed == ("device_auth.algorithm",)


@pytest.mark.parametrize("policy", [Policy.ISO_STRICT, Policy.AAMVA])
def test_the_rehearsal_never_goes_with_a_policy_that_claims_conformance(policy: Policy) -> None:
    with pytest.raises(ValueError, match="lenient"):
        verifier(P256_HOUSE.trust, ASKED, policy)
    for code, row in DEVIATIONS.items():
        assert not code.startswith("post_quantum.") or policy.value in row.refused_by


@pytest.mark.parametrize("asked", [True, "yes", UnsafePostQuantum])
def test_the_rehearsal_is_asked_for_in_so_many_words(asked: Any) -> None:
    with pytest.raises(TypeError):
        verifier(P256_HOUSE.trust, asked)


def test_a_root_of_ml_dsa_is_not_admitted_to_a_trust_store_by_its_profile() -> None:
    with pytest.raises(MdlError) as caught:
        TrustAnchor.admit(HOUSE.iaca.certificate, doctypes=ANY_DOCTYPE, at=TEST_TIME)
    assert caught.value.code == "trust.profile"


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (lambda: Iaca(HOUSE.iaca.certificate, HOUSE.iaca.signer), UnsupportedError),
        (lambda: HOUSE.issuer(None), UnsupportedError),
        (
            lambda: Iaca(P256_HOUSE.iaca.certificate, P256_HOUSE.iaca.signer).issue_document_signer(
                HOUSE.ds_key.public_key, common_name="DS", not_before=TEST_TIME
            ),
            MdlError,
        ),
        (
            lambda: CredentialIssuer(P256_HOUSE.ds_key, P256_HOUSE.certificate, doctype=MDL_DOCTYPE).prepare(
                order(HOUSE.ds_key.public_key)
            ),
            IssuanceError,
        ),
    ],
    ids=["root", "document signer", "certificate", "device key"],
)
def test_an_issuer_that_has_not_asked_issues_nothing_of_it(work: Callable[[], object], error: type[MdlError]) -> None:
    with pytest.raises(error):
        work()


def test_the_holder_s_simulator_takes_no_device_key_of_ml_dsa() -> None:
    device_key = key("ML-DSA-44")
    licence = HOUSE.issue(device_key.public_key)
    with pytest.raises(DecodeError) as caught:
        Holder().add(licence, device_key)
    assert caught.value.code == "key.malformed"


# --- forged -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({"issuer_key": plain(STRANGER)}, "issuer_auth.signature"),
        ({"issuer_signature": bytes(3309)}, "issuer_auth.signature"),
        ({"issuer_signature": b""}, "issuer_auth.signature"),
        ({"issuer_protected": {1: -48}}, "issuer_auth.algorithm"),
        ({"issuer_protected": {1: -50}}, "issuer_auth.algorithm"),
        ({"issuer_protected": {1: -7}}, "issuer_auth.algorithm"),
        ({"issuer_protected": {}}, "issuer_auth.algorithm"),
        ({"items": {"family_name": {"presented": {"elementValue": "Other"}}}}, "issuer_data.digest"),
        ({"device_protected": {1: -49}}, "device_auth.algorithm"),
    ],
)
def test_a_forgery_under_an_authority_of_ml_dsa_fails_its_check_and_no_other(
    fields: Mapping[str, Any], failed: str
) -> None:
    report = examine(verifier(HOUSE.trust), HOUSE.recipe(**fields).present())
    assert report.failed == (failed,)


@pytest.mark.parametrize(
    ("fields", "failed"),
    [
        ({"device_signer": plain(STRANGER)}, "device_auth.signature"),
        ({"device_protected": {1: -48}}, "device_auth.algorithm"),
        ({"device_protected": {1: -7}}, "device_auth.algorithm"),
        ({"device_transcript": sample_transcript(READER_KEY.public_key, seed="another")}, "device_auth.signature"),
    ],
)
def test_a_forgery_with_a_device_key_of_ml_dsa_fails_its_check_and_no_other(
    fields: Mapping[str, Any], failed: str
) -> None:
    report = examine(verifier(HOUSE.trust), shown_with(key("ML-DSA-65"), **fields).present())
    assert report.failed == (failed,)


@pytest.mark.parametrize(
    "change",
    [{3: None}, {3: -48}, {3: -7}, {-1: b"short"}, {1: 2}],
    ids=["no algorithm", "another level", "an algorithm of the standard", "truncated", "another key type"],
)
def test_a_device_key_that_is_not_what_it_says_refuses(change: dict[int, Any]) -> None:
    device_key = key("ML-DSA-65")
    members = encode_key(device_key.public_key) | change
    forged = {label: value for label, value in members.items() if value is not None}
    report = examine(verifier(HOUSE.trust), shown_with(device_key, mso_device_key=forged).present())
    assert report.failed == ("device_auth.algorithm",)


def test_ml_dsa_claimed_with_a_p256_document_signer_is_refused() -> None:
    for number in (-48, -49, -50):
        report = examine(verifier(P256_HOUSE.trust), P256_HOUSE.recipe(issuer_protected={1: number}).present())
        assert report.failed == ("issuer_auth.algorithm",)


def test_a_document_signer_of_another_authority_of_ml_dsa_is_refused() -> None:
    report = examine(verifier(HOUSES["ML-DSA-65", "ML-DSA-44"].trust), HOUSE.recipe().present())
    assert "issuer_auth.path" in report.failed


def test_a_root_s_crl_of_ml_dsa_revokes_and_a_forged_one_clears_nobody() -> None:
    revoked = HOUSE.iaca.publish_crl(
        [RevokedCertificate(serial=HOUSE.certificate.serial, revoked_at=TEST_TIME - DAY)],
        number=2,
        this_update=TEST_TIME - DAY,
        next_update=TEST_TIME + DAY,
    )
    forged = HOUSE.crl.der[:-1] + bytes((HOUSE.crl.der[-1] ^ 1,))
    given = HOUSE.recipe().present()
    for crl, outcome in (
        (HOUSE.crl.der, Outcome.PASSED),
        (revoked.der, Outcome.FAILED),
        (forged, Outcome.INDETERMINATE),
    ):
        report = examine(verifier(HOUSE.trust), given, (crl,))
        (check,) = [one for one in report if one.id == "issuer_auth.certificate_revocation"]
        assert check.outcome is outcome


def test_a_custodian_that_signs_wrongly_issues_nothing() -> None:
    class Broken:
        public_key = HOUSE.ds_key.public_key

        def sign(self, data: bytes) -> bytes:
            return bytes(3309)

    signer: Signer = Broken()
    issuer = CredentialIssuer(signer, HOUSE.certificate, doctype=MDL_DOCTYPE, post_quantum=ASKED)
    with pytest.raises(SigningError) as caught:
        issuer.issue(order(key("P-256").public_key))
    assert caught.value.code == "signing.wrong_signature"


def test_verify_raises_where_examine_reports() -> None:
    given = HOUSE.recipe().present()
    context = SessionContext(transcript=given.transcript, reader_key=given.reader_key)
    with pytest.raises(VerificationError) as caught:
        verifier(HOUSE.trust, None).verify(given.response, context=context, request=given.request, at=given.at)
    assert "issuer_auth.path" in caught.value.failed

"""Ten years of an issuing authority, week by week, with a reader that looks each time.

The clock is injected. Each week the authority does what its calendar says (new document signers, two new roots), signs
the lists that are due and publishes; every other week it issues a licence. The reader trusts the roots, has what is
published and nothing else, and demands revocation evidence. Each licence that is good is shown to it right after the
publication and right before the next, and must be accepted; each that is revoked, by itself or with its document
signer, must be refused from the publication on, by exactly the check that stops it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from issuer.audit import Actor
from issuer.authority import Authority
from issuer.issuance import Order
from issuer.lifecycle import Rules, rotate
from issuer.publishing import ItemKind, collect
from issuer.records import parse_record, read_below
from issuer.revocation import revoke_certificate, revoke_credential, sign_due
from issuer.status import ListTerms
from issuer.store import Role, StatusPlan
from mdl.holder import Holder
from mdl.mdoc import DeviceRequest, SessionTranscript, ValidityInfo
from mdl.pki import DOCUMENT_SIGNER, IACA, Certificate, Crl, lint_certificate, lint_crl
from mdl.testing import MDL_DOCTYPE, deterministic_ephemeral_key, request_for, sample_transcript
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, Verifier
from tests.authorities import device_key, licence
from tests.flows.test_lifecycle import open_clone

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
YEARS = 10
WEEK = 7 * DAY
RULES = Rules()
PLAN = StatusPlan(uri="https://mdl.example/lists/{list}", size=256, decoys=0.1)
TERMS = ListTerms(life=9 * DAY, ttl=DAY)
REQUEST: DeviceRequest = request_for((MDL_DOCTYPE, {"org.iso.18013.5.1": ("family_name", "age_over_21")}))
TRANSCRIPT: SessionTranscript = sample_transcript(deterministic_ephemeral_key("reader").public_key)
CONTEXT = SessionContext(transcript=TRANSCRIPT, reader_key=None)


@dataclass
class Issued:
    """A licence in somebody's wallet, and why it is no longer good."""

    response: bytes
    reference: bytes
    signer: Certificate
    until: datetime
    refused_by: tuple[str, ...] = ()


def shown(credential: bytes) -> bytes:
    holder = Holder()
    holder.add(credential, device_key())
    return holder.respond(REQUEST, TRANSCRIPT).encode()


def published(authority: Authority, at: datetime) -> Evidence:
    """What lies on the authority's web server."""
    with authority.open_store() as store, store.reading() as reader:
        collected = collect(reader, at=at)
        items, unsigned = collected.items, collected.unsigned
    assert unsigned == []
    return Evidence(
        crls=tuple(one.content for one in items if one.kind is ItemKind.CRL),
        status_tokens=tuple(one.content for one in items if one.kind is ItemKind.STATUS_LIST),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_years_without_a_gap(pristine: Path, tmp_path: Path) -> None:
    own = open_clone(pristine, tmp_path)
    record = licence(tmp_path, expiry_date="2060-01-01")
    namespaces = parse_record(record.read_text(), read_file=read_below(tmp_path)).namespaces
    start = datetime.now(UTC).replace(microsecond=0)
    clock = [start]

    def now() -> datetime:
        return clock[0]

    own.certify(Role.STATUS_SIGNER, at=now)
    wallets: list[Issued] = []
    verdicts = {"good": 0, "mso.status": 0, "issuer_auth.certificate_revocation": 0}
    signers: set[Certificate] = set()
    verifiers: dict[tuple[Certificate, ...], Verifier] = {}

    def judge(at: datetime, evidence: Evidence) -> None:
        roots = own.roots
        if roots not in verifiers:
            trust = TrustStore.from_certificates(roots, doctypes=ANY_DOCTYPE)
            verifiers[roots] = Verifier(trust, policy=Policy.ISO_STRICT, revocation=Revocation.REQUIRED)
        for one in wallets:
            report = verifiers[roots].examine(one.response, context=CONTEXT, request=REQUEST, at=at, evidence=evidence)
            assert report.failed == one.refused_by, (at, one)
            assert report.accepted is not bool(one.refused_by), (at, one, report.indeterminate)
            for name in one.refused_by or ("good",):
                verdicts[name] += 1

    with own.open_issuer(at=now, plan=PLAN) as issuer:
        for week in range(YEARS * 52):
            at = clock[0] = start + week * WEEK
            rotate(own, at=at, rekey=True)
            wallets = [one for one in wallets if at + WEEK <= one.until]
            if week % 2 == 0:
                validity = ValidityInfo(signed=at, valid_from=at, valid_until=at + RULES.credential_days * DAY)
                order = Order(namespaces=namespaces, device_key=device_key().public_key, validity=validity)
                (issued,) = issuer.issue_batch([order])
                assert issued.credential is not None
                signer = Certificate.decode(issued.credential.issuer_auth.x5chain[0])
                signers.add(signer)
                wallets.append(
                    Issued(shown(issued.credential.encode()), issued.record.reference, signer, validity.valid_until)
                )
            with own.open_store() as store:
                if week % 10 == 5:
                    victim = wallets[-1]
                    revoke_credential(store, victim.reference, at=now, actor=Actor.ISSUING_SERVICE)
                    victim.refused_by = ("mso.status",)
                if week % 130 == 65:
                    # A signer's key is lost: its successor is there first, then it is revoked with all that it signed.
                    lost = wallets[-1].signer
                    own.certify(Role.DOCUMENT_SIGNER, at=now)
                    revoke_certificate(store, lost.serial, at=now, actor=Actor.CEREMONY_OFFICER)
                    for one in wallets:
                        if one.signer == lost:
                            one.refused_by = ("issuer_auth.certificate_revocation", *one.refused_by)
            done = sign_due(own, at=now, terms=TERMS, plan=PLAN)
            assert (done.failures, done.waiting) == ((), ())
            evidence = published(own, at)
            judge(at, evidence)
            judge(at + WEEK - SECOND, evidence)

    assert len(signers) >= 10
    assert verdicts["good"] > 1000
    assert verdicts["mso.status"] > 100
    assert verdicts["issuer_auth.certificate_revocation"] > 10
    assert own.verify_audit() == []
    with own.open_store() as store, store.reading() as reader:
        assert len(reader.certificates(Role.IACA)) == 3
        for kept in reader.certificates():
            if kept.role is Role.DOCUMENT_SIGNER:
                assert lint_certificate(kept.certificate, DOCUMENT_SIGNER) == ()
            elif kept.role is Role.IACA:
                assert lint_certificate(kept.certificate, IACA) == ()
                lists = reader.crls(kept.certificate.fingerprint)
                numbers = [crl.number for crl in lists]
                assert numbers == sorted(set(numbers))
                assert all(lint_crl(Crl.decode(crl.der), issuer=kept.certificate) == () for crl in lists)

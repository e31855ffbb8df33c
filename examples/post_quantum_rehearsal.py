"""A rehearsal: root and document signer with post-quantum keys (ML-DSA), beside the same with P-256.

No edition of ISO/IEC 18013-5 permits these keys. Both sides ask for them in so many words, and a reader that has not
asked refuses. docs/explanation/post-quantum-rehearsal.md says what it costs.

python examples/post_quantum_rehearsal.py
"""

from datetime import UTC, datetime, timedelta

from issuer.certificates import Iaca
from issuer.issuance import CredentialIssuer, Order
from mdl.doctypes import MDL_NAMESPACE
from mdl.holder import Holder
from mdl.keys import EphemeralKey, SoftwareSigner, UnsafePostQuantum
from mdl.mdoc import DeviceRequest, DocRequest, ItemsRequest, ValidityInfo
from mdl.pki import Subject
from mdl.testing import sample_licence, sample_transcript
from reader import ANY_DOCTYPE, Evidence, Policy, Revocation, SessionContext, TrustAnchor, TrustStore, Verifier

DOCTYPE = "org.iso.18013.5.1.mDL"
now = datetime.now(UTC).replace(microsecond=0)
rehearsal = UnsafePostQuantum()


def rehearse(root_kind: str, signer_kind: str) -> None:
    """Issue, present and verify one licence, and print what it weighs and what readers say."""
    iaca = Iaca.create(
        SoftwareSigner.generate(root_kind, post_quantum=rehearsal),
        subject=Subject(country="US", state="US-UT", common_name="Rehearsal IACA"),
        not_before=now,
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
        post_quantum=rehearsal,
    )
    signer = SoftwareSigner.generate(signer_kind, post_quantum=rehearsal)
    certificate = iaca.issue_document_signer(signer.public_key, common_name="Rehearsal DS", not_before=now)
    crl = iaca.publish_crl(number=1, this_update=now, next_update=now + timedelta(days=30))

    # The device's key stays one of the standard.
    device_key = SoftwareSigner.generate("P-256")
    licence = CredentialIssuer(signer, certificate, doctype=DOCTYPE, post_quantum=rehearsal).issue(
        Order(
            namespaces=sample_licence(),
            device_key=device_key.public_key,
            validity=ValidityInfo(signed=now, valid_from=now, valid_until=now + timedelta(days=14)),
        )
    )
    holder = Holder()
    holder.add(licence.encode(), device_key)
    reader_key = EphemeralKey.generate()
    transcript = sample_transcript(reader_key.public_key)
    request = DeviceRequest((DocRequest.of(ItemsRequest(DOCTYPE, {MDL_NAMESPACE: {"age_over_18": False}})),))
    response = holder.respond(request, transcript).encode()
    print(f"{root_kind} root, {signer_kind} document signer:")
    print(f"  certificate {len(certificate.der)}, signature {len(licence.issuer_auth.signature)},", end=" ")
    print(f"licence {len(licence.encode())}, response {len(response)} bytes")

    # A root of this kind is named outright: `TrustAnchor.admit` holds it against its profile, which it breaks.
    trust = TrustStore([TrustAnchor(certificate=iaca.certificate, doctypes=ANY_DOCTYPE)])
    for who, policy, asked in (
        ("a reader of the standard", Policy.ISO_STRICT, None),
        ("a lenient reader", Policy.LENIENT, None),
        ("a lenient reader in the rehearsal", Policy.LENIENT, rehearsal),
    ):
        report = Verifier(trust, policy=policy, revocation=Revocation.REQUIRED, post_quantum=asked).examine(
            response,
            context=SessionContext(transcript=transcript, reader_key=reader_key),
            request=request,
            at=now,
            evidence=Evidence(crls=(crl.der,)),
        )
        print(f"  {who}: {'accepted' if report.accepted else 'refused'}", *report.failed)


rehearse("P-256", "P-256")
rehearse("ML-DSA-65", "ML-DSA-44")
rehearse("ML-DSA-65", "ML-DSA-65")

"""All roles in one process, with keys in software: issue a licence, hold it, present part of it, verify it.

python examples/issue_and_verify.py
"""

from datetime import UTC, datetime, timedelta

from issuer.certificates import Iaca
from issuer.issuance import CredentialIssuer, Order
from mdl.cbor import FullDate
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import MdlError, VerificationError
from mdl.holder import Holder
from mdl.keys import EphemeralKey, SoftwareSigner
from mdl.mdoc import DeviceRequest, DocRequest, ItemsRequest, SessionTranscript, ValidityInfo
from mdl.pki import Subject
from mdl.testing import sample_image, sample_transcript
from reader import Evidence, Policy, Revocation, SessionContext, TrustStore, Verifier

DOCTYPE = "org.iso.18013.5.1.mDL"
now = datetime.now(UTC).replace(microsecond=0)

# The issuing authority: a root, a document signer under it, and a revocation list that is empty.
iaca = Iaca.create(
    SoftwareSigner.generate("P-384"),
    subject=Subject(country="XU", state="XU-EX", common_name="Utopia IACA"),
    not_before=now,
    crl_uri="https://mdl.example/iaca.crl",
    contact_uri="https://mdl.example",
)
signer = SoftwareSigner.generate("P-256")
certificate = iaca.issue_document_signer(signer.public_key, common_name="Utopia DS 1", not_before=now)
crl = iaca.publish_crl(number=1, this_update=now, next_update=now + timedelta(days=30))
issuer = CredentialIssuer(signer, certificate, doctype=DOCTYPE)

# The holder's device makes a key; the authority issues the licence to it.
device_key = SoftwareSigner.generate("P-256")
licence = issuer.issue(
    Order(
        namespaces={
            MDL_NAMESPACE: {
                "family_name": "Sample",
                "given_name": "Ada",
                "birth_date": FullDate("1990-12-10"),
                "issue_date": FullDate.of(now.date()),
                "expiry_date": FullDate.of(now.date() + timedelta(days=1500)),
                "issuing_country": "XU",
                "issuing_authority": "Utopia Motor Vehicles",
                "document_number": "EX-000001",
                "portrait": sample_image(),
                "driving_privileges": [{"vehicle_category_code": "B"}],
                "un_distinguishing_sign": "XU",
                "age_over_21": True,
            }
        },
        device_key=device_key.public_key,
        validity=ValidityInfo(signed=now, valid_from=now, valid_until=now + timedelta(days=14)),
    )
)
holder = Holder()
holder.add(licence.encode(), device_key)

# The reader asks whether the holder is over 21, and nothing else. In a real session the transcript is made of the
# messages that were exchanged; both sides make it for themselves.
reader_key = EphemeralKey.generate()
transcript = sample_transcript(reader_key.public_key)
request = DeviceRequest((DocRequest.of(ItemsRequest(DOCTYPE, {MDL_NAMESPACE: {"age_over_21": False}})),))
response = holder.respond(request, transcript).encode()

verifier = Verifier(
    TrustStore.from_certificates([iaca.certificate], doctypes=frozenset({DOCTYPE})),
    policy=Policy.ISO_STRICT,
    revocation=Revocation.REQUIRED,
)


def decide(answer: bytes, session: SessionTranscript) -> str:
    """What a kiosk says of an answer, whatever bytes a stranger has sent."""
    try:
        verified = verifier.verify(
            answer,
            context=SessionContext(transcript=session, reader_key=reader_key),
            request=request,
            at=now,
            evidence=Evidence(crls=(crl.der,)),
        )
    except VerificationError as refusal:
        return f"refused: {' '.join(refusal.failed)}"
    except MdlError as fault:  # it does not decode, or is in a form that is not implemented
        return f"refused: {fault}"
    return "accepted: " + "; ".join(
        f"{dict(document.elements.get(MDL_NAMESPACE, {}))} over 18? {document.age_over(18).name}"
        for document in verified.documents
    )


print(decide(response, transcript))

# The same answer does not pass in another session, and what is no answer at all does not stop the kiosk.
print(decide(response, sample_transcript(reader_key.public_key, seed="another session")))
print(decide(b"not even CBOR", transcript))

"""A licence from a signer and its certificate, before a reader and before an independent implementation."""

from datetime import UTC, datetime, timedelta

from pycose.keys.cosekey import CoseKey
from pycose.messages.sign1message import Sign1Message

from issuer.issuance import CredentialIssuer, Order
from mdl.cbor import FullDate, decode
from mdl.cose import encode_key
from mdl.doctypes import MDL_NAMESPACE
from mdl.holder import Holder
from mdl.keys import EphemeralKey, Signer, SoftwareSigner
from mdl.mdoc import IssuerSigned, ValidityInfo
from mdl.pki import Certificate
from mdl.testing import MDL_DOCTYPE, request_for, sample_image, sample_transcript
from reader import Policy, Revocation, SessionContext, TrustStore, Verifier

ASKED = {MDL_NAMESPACE: ("family_name", "age_over_21")}


def order(device_key: SoftwareSigner, at: datetime) -> Order:
    elements = {
        "family_name": "Sample",
        "given_name": "Ada",
        "birth_date": FullDate("1990-12-10"),
        "issue_date": FullDate.of(at.date()),
        "expiry_date": FullDate.of(at.date() + timedelta(days=1500)),
        "issuing_country": "XU",
        "issuing_authority": "Utopia Motor Vehicles",
        "issuing_jurisdiction": "XU-EX",
        "document_number": "EX-000001",
        "portrait": sample_image(600),
        "driving_privileges": [{"vehicle_category_code": "B"}],
        "un_distinguishing_sign": "XU",
        "age_over_21": True,
    }
    return Order(
        namespaces={MDL_NAMESPACE: elements},
        device_key=device_key.public_key,
        validity=ValidityInfo(signed=at, valid_from=at, valid_until=at + timedelta(days=14)),
    )


def assert_accepted(signer: Signer, certificate: Certificate, root: Certificate) -> None:
    """Issue with that signer, present, and have a strict reader and pycose accept it."""
    device_key = SoftwareSigner.generate()
    wanted = order(device_key, datetime.now(UTC).replace(microsecond=0))
    issued = CredentialIssuer(signer, certificate, doctype=MDL_DOCTYPE).issue(wanted)
    assert_convincing(issued, device_key, certificate=certificate, root=root)


def assert_convincing(
    issued: IssuerSigned, device_key: SoftwareSigner, *, certificate: Certificate, root: Certificate
) -> None:
    """Present what was issued, and have a strict reader and pycose accept it."""
    at, reader_key = datetime.now(UTC).replace(microsecond=0), EphemeralKey.generate()
    holder = Holder()
    holder.add(issued.encode(), device_key)
    transcript, request = sample_transcript(reader_key.public_key), request_for((MDL_DOCTYPE, ASKED))
    trust = TrustStore.from_certificates([root], doctypes=frozenset({MDL_DOCTYPE}))
    verified = Verifier(trust, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN).verify(
        holder.respond(request, transcript).encode(),
        context=SessionContext(transcript=transcript, reader_key=reader_key),
        request=request,
        at=at,
    )
    assert verified.documents[0].elements[MDL_NAMESPACE]["age_over_21"] is True
    assert oracle_accepts(issued, certificate)


def oracle_accepts(issued: IssuerSigned, certificate: Certificate) -> bool:
    theirs = Sign1Message.from_cose_obj(list(decode(issued.issuer_auth.encode())), allow_unknown_attributes=True)
    theirs.key = CoseKey.from_dict(encode_key(certificate.public_key))
    return bool(theirs.verify_signature())

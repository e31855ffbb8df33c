"""What an issuer may issue at most, a reader takes, whole."""

from datetime import timedelta

import pytest

from issuer.issuance import CredentialIssuer, Order
from mdl.doctypes import MDL_NAMESPACE
from mdl.holder import Holder
from mdl.mdoc import ValidityInfo
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    deterministic_ephemeral_key,
    deterministic_key,
    request_for,
    sample_licence,
    sample_transcript,
    throwaway_authority,
)
from reader.report import Policy, Revocation
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, Verifier

DOMESTIC = "org.iso.18013.5.1.US"
HOUSE = throwaway_authority()
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "own",
    [{f"x{number}": 1 for number in range(8000)}, {"x": bytes(2 * 1024 * 1024 - 64 * 1024)}],
    ids=["many elements", "one large element"],
)
def test_the_largest_credential_is_accepted_whole(own: dict[str, object]) -> None:
    licence = sample_licence(portrait_size=64)[MDL_NAMESPACE] | {"age_in_years": None}
    namespaces = {MDL_NAMESPACE: {name: value for name, value in licence.items() if value is not None}, DOMESTIC: own}
    device = deterministic_key("device")
    validity = ValidityInfo(signed=TEST_TIME, valid_from=TEST_TIME, valid_until=TEST_TIME + 10 * DAY)
    issued = CredentialIssuer(HOUSE.ds_key, HOUSE.ds_certificate, doctype=MDL_DOCTYPE).issue(
        Order(namespaces=namespaces, device_key=device.public_key, validity=validity)
    )
    request = request_for((MDL_DOCTYPE, namespaces))
    transcript = sample_transcript(deterministic_ephemeral_key("reader").public_key)
    holder = Holder()
    holder.add(issued.encode(), device)
    response = holder.respond(request, transcript)
    verifier = Verifier(
        TrustStore.from_certificates([HOUSE.iaca_certificate], doctypes=ANY_DOCTYPE),
        policy=Policy.ISO_STRICT,
        revocation=Revocation.IF_GIVEN,
    )
    context = SessionContext(transcript=transcript, reader_key=None)
    verified = verifier.verify(response.encode(), context=context, request=request, at=TEST_TIME)
    assert verified.documents[0].elements[DOMESTIC] == own

"""Responses of other people's wallets whose session is published: the doctor names the handover of each."""

import json
from dataclasses import replace
from typing import Any

import pytest

from mdl.cbor import decode_view
from mdl.keys import EphemeralKey
from mdl.mdoc import SessionTranscript
from mdl.pki import Certificate
from mdl.testing import TEST_TIME
from reader.diagnosis import Candidate, Deviation, DocumentDiagnosis, Form, Known, diagnose
from reader.report import Policy, Revocation
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from tests.external import folder, octets

INTEROP = "mdoc-ts-interop"
ELSEWHERE = SessionTranscript(b"\x83\xf6\xf6\x81\x69elsewhere")


def examine(file: str, known: Known) -> DocumentDiagnosis:
    (document,) = diagnose(octets(f"{file}.hex"), known).documents
    return document


def params(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder(INTEROP) / f"{name}.params.json").read_text("utf-8"))
    return found


def online(name: str) -> Known:
    given = params(name)
    names = ("client_id", "response_uri", "nonce", "mdoc_generated_nonce")
    known = Known(**{one: given[one] for one in names if one in given})
    thumbprint = given.get("jwk_thumbprint_hex")
    return replace(known, jwk_thumbprint=bytes.fromhex(thumbprint)) if thumbprint else known


def annex_d() -> Known:
    """What the reader of 18013-5 Annex D knows, as it came over NFC."""
    select = octets("iso18013-5-annex-d/nfc-handover-select.hex")
    start = select.index(b"iso.org:18013:deviceengagementmdoc") + 34
    secret = int.from_bytes(octets("iso18013-5-annex-d/ephemeral-reader-key-d.hex"))
    established = decode_view(octets("iso18013-5-annex-d/session-establishment.hex"))
    return Known(
        engagement=select[start : start + 88],
        e_reader_key=established["eReaderKey"].raw,
        reader_key=EphemeralKey.from_secret("P-256", secret),
        handover_select=select,
        handover_request=octets("iso18013-5-annex-d/nfc-handover-request.hex"),
    )


def candidate(form: Form, *deviations: tuple[str, str]) -> Candidate:
    return Candidate(form, tuple(Deviation(*one) for one in deviations))


def test_annex_d_went_over_nfc_with_a_negotiated_handover() -> None:
    assert examine("iso18013-5-annex-d/device-response", annex_d()).match == Candidate(Form.NFC_NEGOTIATED)


def test_a_reader_that_took_annex_d_for_a_static_handover_is_told() -> None:
    known = annex_d()
    static = replace(known, handover_request=None)
    assert examine("iso18013-5-annex-d/device-response", static).match is None
    (engagement, key) = (known.engagement or b"", known.e_reader_key or b"")
    qr = SessionTranscript(b"\x83\xd8\x18\x58" + bytes([len(engagement)]) + engagement + key + b"\xf6")
    diagnosis = diagnose(octets("iso18013-5-annex-d/device-response.hex"), replace(known, transcript=qr))
    assert diagnosis.readers_transcript == Candidate(Form.QR)
    assert diagnosis.documents[0].match == Candidate(Form.NFC_NEGOTIATED)
    assert diagnosis.documents[0].differs == ("Handover",)


def test_a_damaged_mac_is_explained_by_no_session() -> None:
    found = examine("multipaz-negative/annexd-bad-device-mac.device-response", annex_d())
    assert (found.proof, found.match) == ("deviceMac", None)
    assert found.tried > 50


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("animo-paradym-openid4vp-1.0", Form.OPENID4VP),
        ("france-playground", Form.ANNEX_B),
        ("ubique", Form.ANNEX_B),
    ],
)
def test_wallets_of_interop_events(name: str, form: Form) -> None:
    known = replace(online(name), transcript=ELSEWHERE)
    found = examine(f"{INTEROP}/{name}.device-response", known)
    assert found.match == Candidate(form)
    assert found.differs == ("Handover",)
    session = SessionTranscript(octets(f"{INTEROP}/{name}.session-transcript.hex"))
    assert examine(f"{INTEROP}/{name}.device-response", Known(transcript=session)).is_readers_own


def test_one_wrong_input_of_a_real_session_is_named() -> None:
    file = f"{INTEROP}/animo-paradym-openid4vp-1.0.device-response"
    known = online("animo-paradym-openid4vp-1.0")
    bare = replace(known, client_id="playground.animo.id")
    expected = candidate(Form.OPENID4VP, ("client_id", "with the prefix x509_san_dns:"))
    assert examine(file, bare).match == expected
    slashed = replace(known, response_uri=f"{known.response_uri}/")
    expected = candidate(Form.OPENID4VP, ("response_uri", "without the slash at its end"))
    assert examine(file, slashed).match == expected
    assert examine(file, replace(known, jwk_thumbprint=None)).match is None


def test_an_unknown_nonce_of_the_wallet_that_was_empty_is_named() -> None:
    known = replace(online("france-playground"), mdoc_generated_nonce=None)
    expected = candidate(Form.ANNEX_B, ("mdoc_generated_nonce", "empty"))
    assert examine(f"{INTEROP}/france-playground.device-response", known).match == expected


@pytest.mark.parametrize("name", ["example1-full", "example2-partial", "example3-tampered", "example4"])
def test_the_handover_of_old_which_hashed_nothing_is_named(name: str) -> None:
    expected = candidate(Form.ANNEX_B, ("handover", "the four values themselves, not hashed"))
    # The inputs are those of another response of the same origin.
    assert examine(f"auth0-mdl/{name}.device-response", online("ubique")).match == expected


@pytest.mark.parametrize("number", ["00", "01", "02", "03", "05", "06", "07", "09", "11", "12", "15", "18", "20"])
def test_over_the_published_transcript_the_cause_is_another_one(number: str) -> None:
    file = f"longfellow-zk-mdocs/mdoc-{number}"
    session = SessionTranscript(octets(f"{file}.session-transcript.hex"))
    assert examine(f"{file}.device-response", Known(transcript=session)).is_readers_own


def test_a_session_that_is_explained_is_refused_all_the_same() -> None:
    name = f"{INTEROP}/animo-paradym-openid4vp-1.0"
    response = octets(f"{name}.device-response.hex")
    root = Certificate.decode_any((folder(INTEROP) / "animo.issuer-1.pem").read_bytes())
    verifier = Verifier(
        TrustStore.from_certificates([root], doctypes=ANY_DOCTYPE),
        policy=Policy.LENIENT,
        revocation=Revocation.IF_GIVEN,
    )
    context = SessionContext(transcript=ELSEWHERE, reader_key=None)
    report = verifier.examine(response, context=context, request=UnsafeNoRequest(), at=TEST_TIME)
    known = replace(online("animo-paradym-openid4vp-1.0"), transcript=ELSEWHERE)
    diagnosis = diagnose(response, known, report=report)
    assert diagnosis.documents[0].match == Candidate(Form.OPENID4VP)
    assert "device_auth.signature" in diagnosis.refused_by
    again = verifier.examine(response, context=context, request=UnsafeNoRequest(), at=TEST_TIME)
    assert "device_auth.signature" in again.failed
    assert not again.accepted

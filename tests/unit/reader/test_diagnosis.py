"""The doctor: each mistake that a holder can make is named, and nothing that is named is ever accepted."""

import base64
import hashlib
import hmac
import itertools
import json
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdl.cbor import Tag, bstr, encode, wrap24
from mdl.cose import ALG, encode_key, sig_structure
from mdl.errors import DecodeError, MdlError, UnsupportedError
from mdl.holder import Holder
from mdl.keys import hkdf_sha256, raw_to_der
from mdl.mdoc import SessionTranscript
from mdl.session import (
    AnnexBHandover,
    AnnexCHandover,
    NfcHandover,
    OpenId4VciHandover,
    OpenId4VpDcApiHandover,
    OpenId4VpDraft24Handover,
    OpenId4VpHandover,
    QrHandover,
    ReaderEngagementHandover,
    jwk_thumbprint,
)
from mdl.testing import (
    DeviceAuth,
    Recipe,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    present,
    raw,
)
from reader.candidates import Session, sessions
from reader.diagnosis import (
    MAX_CANDIDATES,
    MAX_DOCUMENTS,
    MAX_SIGNED_SIZE,
    Candidate,
    Deviation,
    Diagnosis,
    DocumentDiagnosis,
    Form,
    Known,
    diagnose,
)
from reader.report import Policy, Report, Revocation
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, Verifier

E_DEVICE = deterministic_ephemeral_key("session of the doctor")
E_READER = deterministic_ephemeral_key("reader")
COSE_KEY = encode_key(E_READER.public_key)
ENGAGEMENT_MAP: dict[int, Any] = {
    2: [[2, 1, {0: False, 1: True}]],
    0: "1.0",
    1: [1, raw(wrap24(encode(encode_key(E_DEVICE.public_key))))],
}
ENGAGEMENT = encode(ENGAGEMENT_MAP)
SELECT, REQUEST = b"\x91\x02 a handover select message", b"\x91\x02 a handover request message"
READER_ENGAGEMENT = encode({0: "1.1", 1: [1, raw(wrap24(encode(COSE_KEY)))]})

CLIENT_ID = "x509_san_dns:verifier.example"
RESPONSE_URI = "https://verifier.example/response?transaction=1"
ORIGIN = "https://verifier.example"
NONCE = "c29tZS1mcmVzaC1ub25jZS0xMjM0"
MDOC_NONCE = "bWRvYy1ub25jZS01Njc4OTAxMjM0"
JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "DxiH5Q4Yx3UrukE2lWCErq8N8bqC9CHLLrAwLz5BmE0",
    "y": "XtLM4-3h5o3HUH0MHVJV0kyq0iBlrBwlh8qEDMZ4-Pc",
    "use": "enc",
    "alg": "ECDH-ES",
}
THUMBPRINT = jwk_thumbprint(JWK)
INFO_BYTES = encode(["dcapi", {"nonce": bytes(16), "recipientPublicKey": COSE_KEY}])
INFO = base64.urlsafe_b64encode(INFO_BYTES).decode().rstrip("=")

KNOWN = Known(
    engagement=ENGAGEMENT,
    e_reader_key=encode(COSE_KEY),
    handover_select=SELECT,
    handover_request=REQUEST,
    reader_engagement=READER_ENGAGEMENT,
    client_id=CLIENT_ID,
    response_uri=RESPONSE_URI,
    origin=ORIGIN,
    nonce=NONCE,
    mdoc_generated_nonce=MDOC_NONCE,
    jwk=JWK,
    encryption_info=INFO,
    endpoint="https://issuer.example/iae",
)
SLICES = {"device_engagement_bytes": wrap24(ENGAGEMENT), "e_reader_key_bytes": wrap24(encode(COSE_KEY))}


def sha256(value: Any) -> bytes:
    return hashlib.sha256(encode(value)).digest()


def in_person(engagement: bytes | None = None, key: bytes | None = None, handover: Any = None) -> SessionTranscript:
    engagement = wrap24(ENGAGEMENT) if engagement is None else engagement
    return SessionTranscript(b"\x83" + engagement + (key or SLICES["e_reader_key_bytes"]) + encode(handover))


def online(*handover: Any) -> SessionTranscript:
    return SessionTranscript(encode([None, None, list(handover)]))


def redirect(
    client_id: Any = CLIENT_ID, nonce: Any = NONCE, thumbprint: Any = THUMBPRINT, uri: Any = RESPONSE_URI
) -> SessionTranscript:
    return online("OpenID4VPHandover", sha256([client_id, nonce, thumbprint, uri]))


def dc_api(origin: Any = ORIGIN, nonce: Any = NONCE, thumbprint: Any = THUMBPRINT) -> SessionTranscript:
    return online("OpenID4VPDCAPIHandover", sha256([origin, nonce, thumbprint]))


def annex_b(
    client_id: Any = CLIENT_ID, uri: Any = RESPONSE_URI, nonce: Any = NONCE, mdoc: Any = MDOC_NONCE
) -> SessionTranscript:
    return online(sha256([client_id, mdoc]), sha256([uri, mdoc]), nonce)


def annex_c(info: Any = INFO, origin: Any = ORIGIN) -> SessionTranscript:
    return online("dcapi", sha256([info, origin]))


def unlike(encoded: bytes) -> SessionTranscript:
    """What a holder takes for a transcript, and no class would let pass."""
    made = object.__new__(SessionTranscript)
    object.__setattr__(made, "encoded", encoded)
    return made


def examine(response: bytes, known: Known = KNOWN) -> DocumentDiagnosis:
    (document,) = diagnose(response, known).documents
    return document


def named(transcript: SessionTranscript, known: Known = KNOWN, **recipe: Any) -> Candidate | None:
    """What the doctor says of a holder that signed over this transcript."""
    return examine(present(disclose={"age_over_18"}, device_transcript=transcript, **recipe).response, known).match


def candidate(form: Form, *deviations: tuple[str, str]) -> Candidate:
    return Candidate(form, tuple(Deviation(*one) for one in deviations))


# --- the handovers ----------------------------------------------------------------------------------------------------

PLAIN: dict[Form, SessionTranscript] = {
    Form.QR: QrHandover(**SLICES).transcript(),
    Form.NFC_STATIC: NfcHandover(**SLICES, handover_select=SELECT, handover_request=None).transcript(),
    Form.NFC_NEGOTIATED: NfcHandover(**SLICES, handover_select=SELECT, handover_request=REQUEST).transcript(),
    Form.ANNEX_A: ReaderEngagementHandover(**SLICES, reader_engagement=READER_ENGAGEMENT).transcript(),
    Form.OPENID4VP: OpenId4VpHandover(
        client_id=CLIENT_ID, nonce=NONCE, jwk_thumbprint=THUMBPRINT, response_uri=RESPONSE_URI
    ).transcript(),
    Form.OPENID4VP_DC_API: OpenId4VpDcApiHandover(origin=ORIGIN, nonce=NONCE, jwk_thumbprint=THUMBPRINT).transcript(),
    Form.OPENID4VP_DRAFT_24: OpenId4VpDraft24Handover(origin=ORIGIN, client_id=CLIENT_ID, nonce=NONCE).transcript(),
    Form.ANNEX_B: AnnexBHandover(
        client_id=CLIENT_ID, response_uri=RESPONSE_URI, nonce=NONCE, mdoc_generated_nonce=MDOC_NONCE
    ).transcript(),
    Form.ANNEX_C: AnnexCHandover(encryption_info=INFO, origin=ORIGIN).transcript(),
    Form.OPENID4VCI: OpenId4VciHandover(
        endpoint="https://issuer.example/iae", nonce=NONCE, jwk_thumbprint=THUMBPRINT
    ).transcript(),
}


def test_every_handover_is_tried() -> None:
    assert PLAIN.keys() | {Form.GIVEN} == set(Form)
    assert diagnose(present(disclose={"sex"}).response, KNOWN).untried == ()


@pytest.mark.parametrize("form", PLAIN)
def test_the_handover_that_the_holder_used_is_named(form: Form) -> None:
    assert named(PLAIN[form]) == Candidate(form)


@pytest.mark.parametrize("form", PLAIN)
def test_with_another_transcript_of_the_readers_the_parts_that_differ_are_named(form: Form) -> None:
    mine = in_person(engagement=wrap24(b"\xa1\x00\x63\x31\x2e\x31"), handover=[b"another", None])
    response = present(disclose={"sex"}, device_transcript=PLAIN[form]).response
    found = examine(response, replace(KNOWN, transcript=mine))
    assert found.match == Candidate(form)
    same_key = form in {Form.QR, Form.NFC_STATIC, Form.NFC_NEGOTIATED, Form.ANNEX_A}
    expected = ("DeviceEngagementBytes", "Handover") if same_key else ("DeviceEngagementBytes", "EReaderKeyBytes")
    assert found.differs[:2] == expected
    assert "Handover" in found.differs


def test_where_the_reader_is_wrong_its_mistake_is_named_too() -> None:
    mine = redirect(client_id="verifier.example")
    response = present(disclose={"sex"}, device_transcript=redirect()).response
    diagnosis = diagnose(response, replace(KNOWN, transcript=mine))
    assert diagnosis.readers_transcript == candidate(Form.OPENID4VP, ("client_id", "without its prefix"))
    assert diagnosis.documents[0].match == candidate(Form.OPENID4VP)
    assert diagnosis.documents[0].differs == ("Handover",)
    assert "the reader's transcript is: OpenID4VP 1.0, redirect; client_id: without its prefix" in str(diagnosis)


def test_a_readers_transcript_that_is_no_candidate_is_not_named() -> None:
    response = present(disclose={"sex"}, device_transcript=redirect()).response
    assert diagnose(response, replace(KNOWN, transcript=online("of our own"))).readers_transcript is None
    assert diagnose(response, KNOWN).readers_transcript is None


def test_what_is_wrong_with_the_readers_transcript_alone_can_be_found_from_itself() -> None:
    session = NfcHandover(**SLICES, handover_select=SELECT, handover_request=REQUEST).transcript()
    only = Known(transcript=session)
    static = in_person(handover=[SELECT, None])
    assert named(static, only) == candidate(Form.NFC_STATIC)
    assert named(in_person(), only) == candidate(Form.QR)
    assert named(in_person(engagement=b"\xf6"), only) == candidate(Form.QR, ("engagement", "null"))


# --- one input is otherwise -------------------------------------------------------------------------------------------

SORTED = {key: ENGAGEMENT_MAP[key] for key in sorted(ENGAGEMENT_MAP)}
BARE = {key: ENGAGEMENT_MAP[key] for key in (0, 1)}
COMPRESSED = COSE_KEY | {-3: bool(COSE_KEY[-3][-1] & 1)}
FULL_JWK = json.dumps(dict(sorted(JWK.items())), separators=(",", ":")).encode()

MISTAKES: list[tuple[SessionTranscript, Candidate]] = [
    # the engagement
    (in_person(ENGAGEMENT), candidate(Form.QR, ("engagement", "not in tag 24"))),
    (in_person(bstr(ENGAGEMENT)), candidate(Form.QR, ("engagement", "a byte string without tag 24"))),
    (in_person(wrap24(wrap24(ENGAGEMENT))), candidate(Form.QR, ("engagement", "in tag 24 twice"))),
    (in_person(b"\xf6"), candidate(Form.QR, ("engagement", "null"))),
    (in_person(wrap24(encode(SORTED))), candidate(Form.QR, ("engagement", "encoded again with its keys sorted"))),
    (in_person(wrap24(encode(BARE))), candidate(Form.QR, ("engagement", "without the retrieval methods"))),
    # the reader's key
    (in_person(key=encode(COSE_KEY)), candidate(Form.QR, ("e_reader_key", "not in tag 24"))),
    (in_person(key=wrap24(wrap24(encode(COSE_KEY)))), candidate(Form.QR, ("e_reader_key", "in tag 24 twice"))),
    (in_person(key=b"\xf6"), candidate(Form.QR, ("e_reader_key", "null"))),
    (
        in_person(key=wrap24(encode(COMPRESSED))),
        candidate(Form.QR, ("e_reader_key", "made anew from the key, compressed")),
    ),
    (
        in_person(key=wrap24(encode(encode_key(E_DEVICE.public_key)))),
        candidate(Form.QR, ("e_reader_key", "the device's ephemeral key in its place")),
    ),
    # NFC
    (
        in_person(handover=[REQUEST, SELECT]),
        candidate(Form.NFC_NEGOTIATED, ("handover", "the Handover Request message first")),
    ),
    (in_person(handover=[SELECT]), candidate(Form.NFC_STATIC, ("handover", "the Handover Select message alone"))),
    (
        in_person(handover=SELECT),
        candidate(Form.NFC_STATIC, ("handover", "the Handover Select message, not in an array")),
    ),
    (
        in_person(handover=[len(SELECT).to_bytes(2) + SELECT, None]),
        candidate(Form.NFC_STATIC, ("handover_select", "with the length that stands before it in the NFC file")),
    ),
    # Annex A
    (
        in_person(handover=raw(wrap24(READER_ENGAGEMENT))),
        candidate(Form.ANNEX_A, ("handover", "ReaderEngagementBytes themselves, not their hash")),
    ),
    (
        in_person(handover=hashlib.sha256(READER_ENGAGEMENT).digest()),
        candidate(Form.ANNEX_A, ("handover", "the hash of the ReaderEngagement without tag 24")),
    ),
    (
        in_person(handover=hashlib.sha256(wrap24(wrap24(READER_ENGAGEMENT))).digest()),
        candidate(Form.ANNEX_A, ("reader_engagement", "in tag 24 twice")),
    ),
    # OpenID4VP 1.0
    (redirect(client_id="verifier.example"), candidate(Form.OPENID4VP, ("client_id", "without its prefix"))),
    (
        redirect(client_id="x509_hash:verifier.example"),
        candidate(Form.OPENID4VP, ("client_id", "with the prefix x509_hash:")),
    ),
    (redirect(client_id=RESPONSE_URI), candidate(Form.OPENID4VP, ("client_id", "the response_uri in its place"))),
    (
        redirect(client_id=f"redirect_uri:{RESPONSE_URI}"),
        candidate(Form.OPENID4VP, ("client_id", "the prefix redirect_uri: with the response_uri")),
    ),
    (redirect(nonce=NONCE.encode()), candidate(Form.OPENID4VP, ("nonce", "a byte string of the text"))),
    (
        redirect(nonce=base64.urlsafe_b64decode(NONCE)),
        candidate(Form.OPENID4VP, ("nonce", "a byte string, base64url decoded")),
    ),
    (
        redirect(nonce=base64.urlsafe_b64decode(NONCE).decode()),
        candidate(Form.OPENID4VP, ("nonce", "base64url decoded")),
    ),
    (redirect(nonce=MDOC_NONCE), candidate(Form.OPENID4VP, ("nonce", "the mdoc_generated_nonce in its place"))),
    (
        redirect(thumbprint=None),
        candidate(Form.OPENID4VP, ("jwk_thumbprint", "null, as for a response that is not encrypted")),
    ),
    (redirect(thumbprint=THUMBPRINT.hex()), candidate(Form.OPENID4VP, ("jwk_thumbprint", "hex text"))),
    (
        redirect(thumbprint=base64.urlsafe_b64encode(THUMBPRINT).decode().rstrip("=")),
        candidate(Form.OPENID4VP, ("jwk_thumbprint", "base64url text")),
    ),
    (
        redirect(thumbprint=hashlib.sha256(FULL_JWK).digest()),
        candidate(Form.OPENID4VP, ("jwk_thumbprint", "a hash of the JWK with all members")),
    ),
    (redirect(uri=ORIGIN), candidate(Form.OPENID4VP, ("response_uri", "its origin alone"))),
    (
        redirect(uri="https://verifier.example/response"),
        candidate(Form.OPENID4VP, ("response_uri", "without its query")),
    ),
    (redirect(uri=RESPONSE_URI + "/"), candidate(Form.OPENID4VP, ("response_uri", "with a slash at its end"))),
    (
        online("OpenID4VPHandover", sha256([CLIENT_ID, RESPONSE_URI, NONCE, THUMBPRINT])),
        candidate(Form.OPENID4VP, ("handover", "hashed in the order client_id, response_uri, nonce, jwk_thumbprint")),
    ),
    (
        online("OpenID4VPDCAPIHandover", sha256([CLIENT_ID, NONCE, THUMBPRINT, RESPONSE_URI])),
        candidate(Form.OPENID4VP, ("handover", "with the label OpenID4VPDCAPIHandover")),
    ),
    (
        online("OpenID4VPHandover", [CLIENT_ID, NONCE, THUMBPRINT, RESPONSE_URI]),
        candidate(Form.OPENID4VP, ("handover", "not hashed: the array of the values")),
    ),
    (
        online(sha256([CLIENT_ID, NONCE, THUMBPRINT, RESPONSE_URI])),
        candidate(Form.OPENID4VP, ("handover", "the hash without a label")),
    ),
    # the DC API
    (dc_api(origin=ORIGIN + "/"), candidate(Form.OPENID4VP_DC_API, ("origin", "with a slash at its end"))),
    (dc_api(origin=f"origin:{ORIGIN}"), candidate(Form.OPENID4VP_DC_API, ("origin", "with the prefix origin:"))),
    (dc_api(origin="verifier.example"), candidate(Form.OPENID4VP_DC_API, ("origin", "the host alone"))),
    (dc_api(origin=ORIGIN + ":443"), candidate(Form.OPENID4VP_DC_API, ("origin", "with its port"))),
    (dc_api(origin=RESPONSE_URI), candidate(Form.OPENID4VP_DC_API, ("origin", "the response_uri in its place"))),
    (dc_api(origin=CLIENT_ID), candidate(Form.OPENID4VP_DC_API, ("origin", "the client_id in its place"))),
    (
        online("OpenID4VPDCAPIHandover", sha256([ORIGIN, f"origin:{ORIGIN}", NONCE])),
        candidate(Form.OPENID4VP_DRAFT_24, ("client_id", "the prefix origin: with the origin")),
    ),
    # Annex B
    (annex_b(client_id="verifier.example"), candidate(Form.ANNEX_B, ("client_id", "without its prefix"))),
    (annex_b(mdoc=""), candidate(Form.ANNEX_B, ("mdoc_generated_nonce", "empty"))),
    (annex_b(mdoc=NONCE), candidate(Form.ANNEX_B, ("mdoc_generated_nonce", "the nonce in its place"))),
    (
        annex_b(mdoc=base64.urlsafe_b64encode(MDOC_NONCE.encode()).decode().rstrip("=")),
        candidate(Form.ANNEX_B, ("mdoc_generated_nonce", "base64url encoded once more")),
    ),
    (
        online(MDOC_NONCE, CLIENT_ID, RESPONSE_URI, NONCE),
        candidate(Form.ANNEX_B, ("handover", "the four values themselves, not hashed")),
    ),
    (
        online(sha256([MDOC_NONCE, CLIENT_ID]), sha256([MDOC_NONCE, RESPONSE_URI]), NONCE),
        candidate(Form.ANNEX_B, ("handover", "the mdoc_generated_nonce first in what is hashed")),
    ),
    (
        online(sha256([CLIENT_ID, NONCE]), sha256([RESPONSE_URI, NONCE]), MDOC_NONCE),
        candidate(Form.ANNEX_B, ("handover", "nonce and mdoc_generated_nonce exchanged")),
    ),
    # Annex C
    (
        annex_c(info=INFO_BYTES),
        candidate(Form.ANNEX_C, ("encryption_info", "a byte string of what the text decodes to")),
    ),
    (
        annex_c(info=raw(INFO_BYTES)),
        candidate(Form.ANNEX_C, ("encryption_info", "the array that the text decodes to")),
    ),
    (
        annex_c(info=base64.urlsafe_b64encode(INFO_BYTES).decode()),
        candidate(Form.ANNEX_C, ("encryption_info", "with padding")),
    ),
    (annex_c(origin=ORIGIN + "/"), candidate(Form.ANNEX_C, ("origin", "with a slash at its end"))),
    (
        online("dcapi", sha256([ORIGIN, INFO])),
        candidate(Form.ANNEX_C, ("handover", "hashed in the order origin, encryption_info")),
    ),
    # the whole transcript
    (unlike(wrap24(redirect().encoded)), candidate(Form.OPENID4VP, ("session_transcript", "in tag 24"))),
    (unlike(bstr(in_person().encoded)), candidate(Form.QR, ("session_transcript", "a byte string"))),
]


def test_the_examples_can_tell_their_variants_apart() -> None:
    assert len(INFO) % 4
    assert len({made.encoded for made, _ in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize(("transcript", "expected"), MISTAKES, ids=[str(expected) for _, expected in MISTAKES])
def test_a_holder_that_signed_over_a_mistake_is_told_which(transcript: SessionTranscript, expected: Candidate) -> None:
    assert named(transcript) == expected


def test_the_same_mistakes_are_named_when_the_reader_has_a_transcript_of_its_own() -> None:
    known = replace(KNOWN, transcript=redirect())
    for transcript, expected in MISTAKES[:-2:7]:
        assert named(transcript, known) == expected
    wrapped = unlike(wrap24(redirect().encoded))
    assert named(wrapped, known) == candidate(Form.GIVEN, ("session_transcript", "in tag 24"))


# The same session, in which everything is encoded oddly and every input differs from every other.
ODD_KEY = {3: -25, -3: COSE_KEY[-3], -2: COSE_KEY[-2], -1: 1, 1: 2}
ODD = replace(
    KNOWN,
    engagement=b"\xb8" + bytes((ENGAGEMENT[0] & 31,)) + ENGAGEMENT[1:],
    e_reader_key=b"\xb8\x05" + encode(ODD_KEY)[1:],
    reader_engagement=b"\xb8\x02" + READER_ENGAGEMENT[1:],
    reader_key=deterministic_ephemeral_key("another reader"),
    encryption_info=base64.urlsafe_b64encode(INFO_BYTES).decode(),
    client_id="other.example",
    origin="https://third.example",
)
OWN_KEY = encode_key(deterministic_ephemeral_key("another reader").public_key)
DEVICE_KEY = encode_key(E_DEVICE.public_key)


def odd(engagement: bytes | None = None, key: bytes | None = None, handover: Any = None) -> SessionTranscript:
    engagement = engagement or wrap24(ODD.engagement or b"")
    return in_person(engagement, key or wrap24(ODD.e_reader_key or b""), handover)


def compressed(key: dict[int, Any]) -> bytes:
    return wrap24(encode(key | {-3: bool(key[-3][-1] & 1)}))


INFO_1_0 = [CLIENT_ID, NONCE, THUMBPRINT, RESPONSE_URI]

ODDITIES: list[tuple[Known, SessionTranscript, Candidate]] = [
    (ODD, odd(wrap24(ENGAGEMENT)), candidate(Form.QR, ("engagement", "encoded again"))),
    (ODD, odd(key=bstr(ODD.e_reader_key or b"")), candidate(Form.QR, ("e_reader_key", "a byte string without tag 24"))),
    (ODD, odd(key=wrap24(encode(ODD_KEY))), candidate(Form.QR, ("e_reader_key", "encoded again"))),
    (
        ODD,
        odd(key=wrap24(encode({key: ODD_KEY[key] for key in (1, 3, -1, -2, -3)}))),
        candidate(Form.QR, ("e_reader_key", "encoded again with its keys sorted")),
    ),
    (ODD, odd(key=wrap24(encode(COSE_KEY))), candidate(Form.QR, ("e_reader_key", "made anew from the key"))),
    (ODD, odd(key=wrap24(encode(OWN_KEY))), candidate(Form.QR, ("e_reader_key", "made from the private key"))),
    (ODD, odd(key=compressed(OWN_KEY)), candidate(Form.QR, ("e_reader_key", "made from the private key, compressed"))),
    (
        ODD,
        odd(key=compressed(DEVICE_KEY)),
        candidate(Form.QR, ("e_reader_key", "the device's ephemeral key in its place, compressed")),
    ),
    (
        ODD,
        odd(handover=[SELECT, len(REQUEST).to_bytes(2) + REQUEST]),
        candidate(Form.NFC_NEGOTIATED, ("handover_request", "with the length that stands before it in the NFC file")),
    ),
    (
        replace(ODD, handover_select=len(SELECT).to_bytes(2) + SELECT),
        odd(handover=[SELECT, None]),
        candidate(Form.NFC_STATIC, ("handover_select", "without the length that stands before it")),
    ),
    (
        ODD,
        odd(handover=hashlib.sha256(wrap24(READER_ENGAGEMENT)).digest()),
        candidate(Form.ANNEX_A, ("reader_engagement", "encoded again")),
    ),
    (
        KNOWN,
        in_person(handover=[hashlib.sha256(wrap24(READER_ENGAGEMENT)).digest()]),
        candidate(Form.ANNEX_A, ("handover", "the hash in an array")),
    ),
    *(
        (
            KNOWN,
            redirect(f"{prefix}verifier.example"),
            candidate(Form.OPENID4VP, ("client_id", f"with the prefix {prefix}")),
        )
        for prefix in (
            "redirect_uri:",
            "decentralized_identifier:",
            "verifier_attestation:",
            "openid_federation:",
            "origin:",
        )
    ),
    (ODD, redirect("verifier.example"), candidate(Form.OPENID4VP, ("client_id", "the host of the response_uri"))),
    (
        ODD,
        redirect("x509_san_dns:verifier.example"),
        candidate(Form.OPENID4VP, ("client_id", "the prefix x509_san_dns: with the host of the response_uri")),
    ),
    (ODD, redirect("https://third.example"), candidate(Form.OPENID4VP, ("client_id", "the origin in its place"))),
    (
        KNOWN,
        redirect(nonce=base64.urlsafe_b64encode(NONCE.encode()).decode().rstrip("=")),
        candidate(Form.OPENID4VP, ("nonce", "base64url encoded once more")),
    ),
    (KNOWN, redirect(nonce=""), candidate(Form.OPENID4VP, ("nonce", "empty"))),
    (
        KNOWN,
        redirect(thumbprint=hashlib.sha256(json.dumps(JWK, separators=(",", ":")).encode()).digest()),
        candidate(Form.OPENID4VP, ("jwk_thumbprint", "a hash of the JWK with all members as they stand")),
    ),
    (
        ODD,
        redirect("other.example", uri="https://third.example"),
        candidate(Form.OPENID4VP, ("response_uri", "the origin in its place")),
    ),
    (
        ODD,
        redirect("other.example", uri="other.example"),
        candidate(Form.OPENID4VP, ("response_uri", "the client_id in its place")),
    ),
    *(
        (KNOWN, online(label, sha256(INFO_1_0)), candidate(Form.OPENID4VP, ("handover", f"with the label {label}")))
        for label in ("dcapi", "OpenID4VCIIAEHandover")
    ),
    (
        KNOWN,
        online("OpenID4VPHandover", sha256([ORIGIN, NONCE, THUMBPRINT])),
        candidate(Form.OPENID4VP_DC_API, ("handover", "with the label OpenID4VPHandover")),
    ),
    (
        KNOWN,
        SessionTranscript(b"\x83\xf6\xf6" + bstr(sha256(INFO_1_0))),
        candidate(Form.OPENID4VP, ("handover", "the hash alone, not in an array")),
    ),
    (
        KNOWN,
        online("OpenID4VPHandover", sha256(raw(wrap24(encode(INFO_1_0))))),
        candidate(Form.OPENID4VP, ("handover", "the hash of the tag-24 form")),
    ),
    (
        KNOWN,
        online("OpenID4VPHandover", sha256(INFO_1_0).hex()),
        candidate(Form.OPENID4VP, ("handover", "the hash as hex text")),
    ),
    (
        KNOWN,
        online("OpenID4VPHandover", encode(INFO_1_0)),
        candidate(Form.OPENID4VP, ("handover", "not hashed: a byte string of the values")),
    ),
    (
        KNOWN,
        online("OpenID4VPHandover", *INFO_1_0),
        candidate(Form.OPENID4VP, ("handover", "not hashed: the values behind the label")),
    ),
    (
        ODD,
        dc_api(origin=ORIGIN),
        candidate(Form.OPENID4VP_DC_API, ("origin", "the origin of the response_uri")),
    ),
    (
        KNOWN,
        annex_b(mdoc=MDOC_NONCE.encode()),
        candidate(Form.ANNEX_B, ("mdoc_generated_nonce", "a byte string of the text")),
    ),
    (
        KNOWN,
        annex_b(mdoc=base64.urlsafe_b64decode(MDOC_NONCE)),
        candidate(Form.ANNEX_B, ("mdoc_generated_nonce", "a byte string, base64url decoded")),
    ),
    (
        KNOWN,
        annex_b(mdoc=base64.urlsafe_b64decode(MDOC_NONCE).decode()),
        candidate(Form.ANNEX_B, ("mdoc_generated_nonce", "base64url decoded")),
    ),
    (
        KNOWN,
        online(sha256([RESPONSE_URI, MDOC_NONCE]), sha256([CLIENT_ID, MDOC_NONCE]), NONCE),
        candidate(Form.ANNEX_B, ("handover", "the hash of the response_uri first")),
    ),
    (
        KNOWN,
        online("OpenID4VPHandover", sha256([CLIENT_ID, MDOC_NONCE]), sha256([RESPONSE_URI, MDOC_NONCE]), NONCE),
        candidate(Form.ANNEX_B, ("handover", "with a label")),
    ),
    (
        ODD,
        annex_c(origin="https://third.example"),
        candidate(Form.ANNEX_C, ("encryption_info", "without padding")),
    ),
    (
        KNOWN,
        annex_c(info=INFO.encode()),
        candidate(Form.ANNEX_C, ("encryption_info", "a byte string of the text")),
    ),
    (
        KNOWN,
        annex_c(info=raw(wrap24(INFO_BYTES))),
        candidate(Form.ANNEX_C, ("encryption_info", "what the text decodes to, in tag 24")),
    ),
]


@pytest.mark.parametrize(
    ("known", "transcript", "expected"), ODDITIES, ids=[str(expected) for _, _, expected in ODDITIES]
)
def test_rarer_mistakes_are_named_too(known: Known, transcript: SessionTranscript, expected: Candidate) -> None:
    assert named(transcript, known) == expected


HASHED: dict[Form, tuple[str, dict[str, Any]]] = {
    Form.OPENID4VP: (
        "OpenID4VPHandover",
        {"client_id": CLIENT_ID, "nonce": NONCE, "jwk_thumbprint": THUMBPRINT, "response_uri": RESPONSE_URI},
    ),
    Form.OPENID4VP_DC_API: (
        "OpenID4VPDCAPIHandover",
        {"origin": ORIGIN, "nonce": NONCE, "jwk_thumbprint": THUMBPRINT},
    ),
    Form.OPENID4VP_DRAFT_24: (
        "OpenID4VPDCAPIHandover",
        {"origin": ORIGIN, "client_id": CLIENT_ID, "nonce": NONCE},
    ),
    Form.OPENID4VCI: (
        "OpenID4VCIIAEHandover",
        {"endpoint": "https://issuer.example/iae", "nonce": NONCE, "jwk_thumbprint": THUMBPRINT},
    ),
    Form.ANNEX_C: ("dcapi", {"encryption_info": INFO, "origin": ORIGIN}),
}


@pytest.mark.parametrize("form", HASHED)
def test_values_that_were_hashed_in_another_order_are_named(form: Form) -> None:
    label, values = HASHED[form]
    usual, *others = itertools.permutations(values)
    assert named(online(label, sha256([values[name] for name in usual]))) == Candidate(form)
    for order in others:
        expected = candidate(form, ("handover", f"hashed in the order {', '.join(order)}"))
        assert named(online(label, sha256([values[name] for name in order]))) == expected


def by(name: str, value: Any) -> bytes:
    return hashlib.new(name, encode(value)).digest()


def issuing(
    endpoint: Any = "https://issuer.example/iae", nonce: Any = NONCE, thumbprint: Any = THUMBPRINT
) -> SessionTranscript:
    return online("OpenID4VCIIAEHandover", sha256([endpoint, nonce, thumbprint]))


def draft_24(client_id: Any = CLIENT_ID, origin: Any = ORIGIN, nonce: Any = NONCE) -> SessionTranscript:
    return online("OpenID4VPDCAPIHandover", sha256([origin, client_id, nonce]))


# Addresses, each with what becomes of it.
def _host_in_upper_case(uri: str) -> str:
    for host in ("verifier.example", "issuer.example"):
        uri = uri.replace(host, host.upper())
    return uri


REWRITTEN: dict[str, Callable[[str], str]] = {
    "with http:// for https://": lambda uri: uri.replace("https://", "http://"),
    "in upper case": str.upper,
    "with its host in upper case": _host_in_upper_case,
    "percent-encoded": lambda uri: quote(uri, safe=""),
    "with its slashes escaped, as in JSON": lambda uri: uri.replace("/", "\\/"),
}
ADDRESSES: dict[str, tuple[Form, Callable[[Any], SessionTranscript], str]] = {
    "origin": (Form.OPENID4VP_DC_API, dc_api, ORIGIN),
    "response_uri": (Form.OPENID4VP, lambda uri: redirect(uri=uri), RESPONSE_URI),
    "endpoint": (Form.OPENID4VCI, issuing, "https://issuer.example/iae"),
}
PADDED = base64.urlsafe_b64encode(b"a nonce with one pad").decode()
SHOUTED = replace(
    KNOWN, origin=ORIGIN.upper(), response_uri=RESPONSE_URI.upper(), endpoint="HTTPS://ISSUER.EXAMPLE/IAE"
)
QUOTED = replace(KNOWN, origin=quote(ORIGIN, safe=""), response_uri=quote(RESPONSE_URI, safe=""))
PLAIN_HTTP = replace(KNOWN, origin="http://verifier.example")
HASHES = {"sha384": "SHA-384", "sha512": "SHA-512", "sha1": "SHA-1"}
CANONICAL = json.dumps({name: JWK[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":")).encode()

FURTHER: list[tuple[Known, SessionTranscript, Candidate]] = [
    *(
        (KNOWN, made(change(address)), candidate(form, (name, how)))
        for name, (form, made, address) in ADDRESSES.items()
        for how, change in REWRITTEN.items()
    ),
    *((KNOWN, made(None), candidate(form, (name, "null"))) for name, (form, made, _) in ADDRESSES.items()),
    (KNOWN, redirect(client_id=None), candidate(Form.OPENID4VP, ("client_id", "null"))),
    (KNOWN, redirect(nonce=None), candidate(Form.OPENID4VP, ("nonce", "null"))),
    (KNOWN, annex_b(uri=None), candidate(Form.ANNEX_B, ("response_uri", "null"))),
    (
        KNOWN,
        issuing("https://issuer.example/iae/"),
        candidate(Form.OPENID4VCI, ("endpoint", "with a slash at its end")),
    ),
    (KNOWN, issuing("https://issuer.example"), candidate(Form.OPENID4VCI, ("endpoint", "its origin alone"))),
    (SHOUTED, redirect(uri=RESPONSE_URI), candidate(Form.OPENID4VP, ("response_uri", "in lower case"))),
    (SHOUTED, issuing(), candidate(Form.OPENID4VCI, ("endpoint", "in lower case"))),
    (QUOTED, dc_api(), candidate(Form.OPENID4VP_DC_API, ("origin", "percent-decoded"))),
    (
        replace(KNOWN, client_id="x509_san_dns%3Aother.example"),
        redirect("x509_san_dns:other.example"),
        candidate(Form.OPENID4VP, ("client_id", "percent-decoded")),
    ),
    (PLAIN_HTTP, dc_api(), candidate(Form.OPENID4VP_DC_API, ("origin", "with https:// for http://"))),
    (
        KNOWN,
        redirect(client_id=quote(CLIENT_ID, safe="")),
        candidate(Form.OPENID4VP, ("client_id", "percent-encoded")),
    ),
    (
        replace(KNOWN, client_id=ORIGIN),
        redirect(client_id=ORIGIN.replace("/", "\\/")),
        candidate(Form.OPENID4VP, ("client_id", "with its slashes escaped, as in JSON")),
    ),
    # the nonce
    (
        replace(KNOWN, nonce=PADDED.rstrip("=")),
        dc_api(nonce=PADDED),
        candidate(Form.OPENID4VP_DC_API, ("nonce", "with padding")),
    ),
    (
        replace(KNOWN, nonce=PADDED),
        dc_api(nonce=PADDED.rstrip("=")),
        candidate(Form.OPENID4VP_DC_API, ("nonce", "without padding")),
    ),
    # what draft 24 has for a request without a client identifier
    (
        KNOWN,
        draft_24(f"web-origin:{ORIGIN}"),
        candidate(Form.OPENID4VP_DRAFT_24, ("client_id", "the prefix web-origin: with the origin")),
    ),
    (
        replace(KNOWN, client_id=None, response_uri=None),
        draft_24(f"web-origin:{ORIGIN}"),
        candidate(Form.OPENID4VP_DRAFT_24, ("client_id", "the prefix web-origin: with the origin")),
    ),
    (
        KNOWN,
        redirect("web-origin:verifier.example"),
        candidate(Form.OPENID4VP, ("client_id", "with the prefix web-origin:")),
    ),
    (
        Known(origin=ORIGIN, nonce=NONCE),
        redirect(f"web-origin:{ORIGIN}", thumbprint=None, uri=ORIGIN),
        candidate(
            Form.OPENID4VP,
            ("client_id", "the prefix web-origin: with the origin"),
            ("response_uri", "the origin in its place"),
        ),
    ),
    # labels
    *(
        (KNOWN, online(label, sha256([INFO, ORIGIN])), candidate(Form.ANNEX_C, ("handover", f"with the label {label}")))
        for label in ("DCAPI", "dc_api", "DCAPIHandover")
    ),
    *(
        (
            KNOWN,
            online(label, sha256([ORIGIN, NONCE, THUMBPRINT])),
            candidate(Form.OPENID4VP_DC_API, ("handover", f"with its label in {case} case")),
        )
        for label, case in (("OPENID4VPDCAPIHANDOVER", "upper"), ("openid4vpdcapihandover", "lower"))
    ),
    # digests
    *(
        (
            KNOWN,
            online("OpenID4VPHandover", by(name, INFO_1_0)),
            candidate(Form.OPENID4VP, ("handover", f"hashed by {title}")),
        )
        for name, title in HASHES.items()
    ),
    *(
        (
            KNOWN,
            online(by(name, [CLIENT_ID, MDOC_NONCE]), by(name, [RESPONSE_URI, MDOC_NONCE]), NONCE),
            candidate(Form.ANNEX_B, ("handover", f"hashed by {title}")),
        )
        for name, title in HASHES.items()
    ),
    *(
        (
            KNOWN,
            in_person(handover=by(name, raw(wrap24(READER_ENGAGEMENT)))),
            candidate(Form.ANNEX_A, ("handover", f"hashed by {title}")),
        )
        for name, title in HASHES.items()
    ),
    *(
        (
            KNOWN,
            redirect(thumbprint=hashlib.new(name, CANONICAL).digest()),
            candidate(Form.OPENID4VP, ("jwk_thumbprint", f"by {title}")),
        )
        for name, title in HASHES.items()
    ),
    # left out
    *(
        (
            KNOWN,
            online(label, sha256([one for other, one in values.items() if other != name])),
            candidate(form, ("handover", f"hashed without {name}")),
        )
        for form, (label, values) in HASHED.items()
        for name in values
        if (form, name) != (Form.OPENID4VP_DRAFT_24, "client_id")  # the same as 1.0 without its thumbprint
    ),
]


@pytest.mark.parametrize(("known", "transcript", "expected"), FURTHER, ids=[str(expected) for *_, expected in FURTHER])
def test_a_session_with_one_thing_otherwise_is_among_those_that_are_tried(
    known: Known, transcript: SessionTranscript, expected: Candidate
) -> None:
    found = [one.candidate for one in sessions(known) if one.written == transcript.encoded]
    assert found[0] == expected


@pytest.mark.parametrize(
    ("transcript", "expected"),
    [
        (
            online("OpenID4VPHandover", sha256([CLIENT_ID, NONCE, RESPONSE_URI])),
            ("handover", "hashed without jwk_thumbprint"),
        ),
        (redirect(uri=None), ("response_uri", "null")),
        (online("OpenID4VPHandover", by("sha384", INFO_1_0)), ("handover", "hashed by SHA-384")),
    ],
)
def test_the_doctor_names_them(transcript: SessionTranscript, expected: tuple[str, str]) -> None:
    assert named(transcript) == candidate(Form.OPENID4VP, expected)


def test_every_mistake_that_is_tried_has_its_example() -> None:
    elsewhere = {
        ("origin", "the origin alone, without a path, in lower case and without the usual port"),
        ("origin", "without the slash at its end"),
        ("origin", "without its prefix"),
        ("client_id", "with the prefix x509_san_dns:"),
    }
    shown = {Deviation(*one) for one in elsewhere}
    for made in (*(one for _, one in MISTAKES), *(one for *_, one in (*ODDITIES, *FURTHER))):
        shown |= set(made.deviations)
    tried = {found for known in (KNOWN, ODD) for one in sessions(known) for found in one.candidate.deviations}
    assert {one for one in tried - shown if not one.how.startswith("hashed in the order ")} == set()


def every_session() -> list[Session]:
    return list(sessions(KNOWN))


def test_no_two_names_stand_for_one_thing_and_no_name_for_two() -> None:
    seen: dict[Candidate, bytes] = {}
    for one in every_session():
        assert seen.setdefault(one.candidate, one.written) == one.written, str(one.candidate)
    assert len(seen) > 200


def test_an_origin_with_a_path_is_cut_where_the_holder_cut_it() -> None:
    known = replace(KNOWN, origin="https://Verifier.example:443/start", response_uri=None)
    assert named(dc_api(), known) == candidate(
        Form.OPENID4VP_DC_API,
        ("origin", "the origin alone, without a path, in lower case and without the usual port"),
    )
    known = replace(KNOWN, origin="https://verifier.example/", response_uri=None)
    assert named(dc_api(), known) == candidate(Form.OPENID4VP_DC_API, ("origin", "without the slash at its end"))
    known = replace(KNOWN, origin=f"origin:{ORIGIN}", response_uri=None, client_id=None)
    assert named(dc_api(), known) == candidate(Form.OPENID4VP_DC_API, ("origin", "without its prefix"))


def test_what_is_not_known_is_taken_from_what_is() -> None:
    known = Known(nonce=NONCE, response_uri=RESPONSE_URI)
    origin = ("origin", "the origin of the response_uri")
    assert named(dc_api(thumbprint=None), known) == candidate(Form.OPENID4VP_DC_API, origin)
    # What stands for an input is not a mistake beside the one that takes its place.
    known = replace(known, client_id=CLIENT_ID)
    expected = candidate(Form.OPENID4VP_DC_API, ("origin", "the client_id in its place"))
    assert named(dc_api(origin=CLIENT_ID, thumbprint=None), known) == expected
    known = replace(known, client_id=None)
    host = ("client_id", "the host of the response_uri")
    expected = candidate(Form.ANNEX_B, host, ("mdoc_generated_nonce", "empty"))
    assert named(annex_b(client_id="verifier.example", mdoc=""), known) == expected


def test_a_client_id_without_a_prefix_is_tried_with_each() -> None:
    known = replace(KNOWN, client_id="verifier.example")
    expected = candidate(Form.OPENID4VP, ("client_id", "with the prefix x509_san_dns:"))
    assert named(redirect(), known) == expected


def test_the_readers_key_may_be_known_by_its_private_half_only() -> None:
    known = Known(engagement=wrap24(ENGAGEMENT), reader_key=E_READER)
    assert named(in_person(), known) == candidate(Form.QR)


def test_a_reader_that_sent_another_key_than_it_keeps_is_told() -> None:
    other = deterministic_ephemeral_key("another reader")
    known = replace(KNOWN, e_reader_key=encode(encode_key(other.public_key)), reader_key=E_READER)
    assert named(in_person(), known) == candidate(Form.QR, ("e_reader_key", "made from the private key"))
    mac = present(disclose={"sex"}, device_auth=DeviceAuth.MAC, device_transcript=in_person()).response
    found = examine(mac, known)
    assert found.match == candidate(Form.QR, ("e_reader_key", "made from the private key"))
    assert "reader_key.other" in {seen.code for seen in found.observations}


# --- what is around the transcript ------------------------------------------------------------------------------------


def sent_with(spaces: bytes) -> Callable[[dict[str, Any]], object]:
    def change(response: dict[str, Any]) -> None:
        response["documents"][0]["deviceSigned"]["nameSpaces"] = raw(spaces)

    return change


def test_another_document_type_in_what_was_signed_is_named() -> None:
    response = present(
        disclose={"sex"}, device_transcript=redirect(), mso_doctype="org.example", device_doctype="org.example"
    ).response
    found = examine(response)
    assert found.match == candidate(Form.OPENID4VP, ("docType", "that of the security object"))
    assert "mso.doctype" in {seen.code for seen in found.observations}


@pytest.mark.parametrize(
    ("signed", "sent", "how"),
    [
        (b"\xa1\x61a\xa1\x61b\x01", wrap24(b"\xa1\x61a\xa1\x61b\x18\x01"), "encoded again"),
        (b"\xa0", wrap24(b"\xa1\x61a\xa1\x61b\x01"), "an empty map"),
    ],
)
def test_device_signed_elements_that_were_encoded_again_are_named(signed: bytes, sent: bytes, how: str) -> None:
    recipe = Recipe(
        disclose={"sex"},
        device_transcript=annex_c(),
        device_name_spaces=signed,
        mutate_response=sent_with(sent),
    )
    found = examine(recipe.present().response)
    assert found.match == candidate(Form.ANNEX_C, ("DeviceNameSpacesBytes", how))


@pytest.mark.parametrize(
    ("slice_", "how"),
    [
        (b"\xa0", "not in tag 24"),
        (b"\x41\xa0", "a byte string without tag 24"),
        (wrap24(wrap24(b"\xa0")), "in tag 24 twice"),
    ],
)
def test_device_name_spaces_that_were_not_wrapped_once_are_named(slice_: bytes, how: str) -> None:
    payload = wrap24(b"\x84" + encode("DeviceAuthentication") + redirect().encoded + encode(MDL) + slice_)
    expected = candidate(Form.OPENID4VP, ("DeviceNameSpacesBytes", how))
    assert examine(signing(payload)).match == expected


def test_device_authentication_that_was_not_wrapped_is_named() -> None:
    payload = b"\x84" + encode("DeviceAuthentication") + redirect().encoded + encode(MDL) + wrap24(b"\xa0")
    expected = candidate(Form.OPENID4VP, ("DeviceAuthenticationBytes", "not in tag 24"))
    assert examine(signing(payload)).match == expected


MDL = "org.iso.18013.5.1.mDL"


def signing(payload: bytes, *, as_der: bool = False, header: Mapping[Any, Any] | None = None) -> bytes:
    """A response whose device signed just that."""
    key = deterministic_key("device")
    protected = encode(dict(header or {ALG: -7}))
    signature = key.sign(encode(["Signature1", protected, b"", payload]))
    if as_der:
        signature = raw_to_der(signature)

    def change(response: dict[str, Any]) -> None:
        auth = response["documents"][0]["deviceSigned"]["deviceAuth"]
        auth["deviceSignature"] = [protected, {}, None, signature]

    return present(disclose={"sex"}, mutate_response=change).response


def authentication(transcript: SessionTranscript) -> bytes:
    return wrap24(encode(["DeviceAuthentication", raw(transcript.encoded), MDL, raw(wrap24(b"\xa0"))]))


def test_a_signature_in_der_is_seen_and_looked_past() -> None:
    found = examine(signing(authentication(dc_api()), as_der=True))
    assert found.match == candidate(Form.OPENID4VP_DC_API)
    assert [seen.code for seen in found.observations] == ["device_auth.signature_form"] * 2
    assert "DER" in found.observations[1].detail


def test_an_algorithm_that_does_not_go_with_the_key_is_seen_and_looked_past() -> None:
    found = examine(signing(authentication(dc_api()), header={ALG: -35}))
    assert found.match == candidate(Form.OPENID4VP_DC_API)
    assert [seen.code for seen in found.observations] == ["device_auth.algorithm"]
    assert "P-256" in found.observations[0].detail


def test_an_attached_payload_is_seen_and_looked_past() -> None:
    def attach(response: dict[str, Any]) -> None:
        response["documents"][0]["deviceSigned"]["deviceAuth"]["deviceSignature"][2] = b"payload"

    response = present(disclose={"sex"}, device_transcript=redirect(), mutate_response=attach).response
    found = examine(response)
    assert found.match == candidate(Form.OPENID4VP)
    assert [seen.code for seen in found.observations] == ["device_auth.payload"]


def test_an_attached_payload_of_a_mac_is_looked_past_as_well() -> None:
    def attach(response: dict[str, Any]) -> None:
        response["documents"][0]["deviceSigned"]["deviceAuth"]["deviceMac"][2] = b"payload"

    found = examine(present(disclose={"sex"}, mutate_response=attach, transcript=in_person(), **MAC).response, WITH_KEY)
    assert found.match == candidate(Form.QR)
    assert [seen.code for seen in found.observations] == ["device_auth.payload"]


def test_an_algorithm_that_nobody_knows_is_seen_and_looked_past() -> None:
    found = examine(signing(authentication(dc_api()), header={ALG: -999}))
    assert found.match == candidate(Form.OPENID4VP_DC_API)
    assert [seen.code for seen in found.observations] == ["device_auth.algorithm"]


def test_a_readers_key_that_cannot_be_read_is_tried_as_it_was_sent() -> None:
    broken = encode({1: 2, -1: 1, -2: b"short", -3: b"short"})
    known = replace(WITH_KEY, e_reader_key=broken)
    found = examine(present(disclose={"sex"}, device_transcript=in_person(key=wrap24(broken)), **MAC).response, known)
    assert found.match == candidate(Form.QR)
    engagement = encode({0: "1.0", 1: [1, raw(wrap24(broken))]})
    known = Known(engagement=engagement, e_reader_key=encode(COSE_KEY))
    assert named(in_person(wrap24(engagement)), known) == candidate(Form.QR)


# --- the keys ---------------------------------------------------------------------------------------------------------


def test_the_ephemeral_key_that_signed_in_place_of_the_device_key_is_named() -> None:
    signer = deterministic_key("an ephemeral key")
    engagement = encode({0: "1.0", 1: [1, raw(wrap24(encode(encode_key(signer.public_key))))]})
    known = Known(engagement=engagement, reader_key=E_READER)
    found = named(in_person(engagement=wrap24(engagement)), known, device_signer=signer)
    assert found == candidate(Form.QR, ("device key", "the ephemeral key of the engagement"))


def test_the_key_of_the_other_document_is_named() -> None:
    second = deterministic_key("second device")
    one = Recipe(disclose={"sex"}, device_transcript=redirect(), device_signer=second)
    two = Recipe(disclose={"sex"}, device_transcript=redirect(), device_key=second, seed="two", doctype="org.example")
    first, other = diagnose(one.present(two).response, KNOWN).documents
    assert first.match == candidate(Form.OPENID4VP, ("device key", "that of document 1"))
    assert other.match == candidate(Form.OPENID4VP)


def test_what_belongs_to_the_other_document_is_named() -> None:
    other = Recipe(disclose={"sex"}, device_transcript=redirect(), doctype="org.example", device_name_spaces=b"\xa0")
    doctype = Recipe(disclose={"sex"}, device_transcript=redirect(), device_doctype="org.example")
    first, _ = diagnose(doctype.present(other).response, KNOWN).documents
    assert first.match == candidate(Form.OPENID4VP, ("docType", "that of document 1"))
    spaces = Recipe(
        disclose={"sex"},
        device_transcript=redirect(),
        device_name_spaces=b"\xa1\x61a\xa1\x61b\x01",
        mutate_response=sent_with(wrap24(b"\xa0")),
    )
    other.device_name_spaces = b"\xa1\x61a\xa1\x61b\x01"
    first, _ = diagnose(spaces.present(other).response, KNOWN).documents
    assert first.match == candidate(Form.OPENID4VP, ("DeviceNameSpacesBytes", "those of document 1"))


MAC = {"device_auth": DeviceAuth.MAC}
WITH_KEY = replace(KNOWN, reader_key=E_READER)


@pytest.mark.parametrize("form", PLAIN)
def test_a_mac_is_tried_as_a_signature_is(form: Form) -> None:
    assert named(PLAIN[form], WITH_KEY, **MAC) == Candidate(form)


def test_a_mac_over_a_mistake_is_named() -> None:
    expected = candidate(Form.QR, ("e_reader_key", "in tag 24 twice"))
    assert named(in_person(key=wrap24(SLICES["e_reader_key_bytes"])), WITH_KEY, **MAC) == expected


def test_a_mac_agreed_with_the_wrong_key_of_the_device_is_named() -> None:
    expected = candidate(Form.QR, ("EMacKey", "agreed with the device's ephemeral key"))
    assert named(in_person(), WITH_KEY, device_signer=E_DEVICE, **MAC) == expected


def test_a_mac_key_with_the_wrong_salt_is_named() -> None:
    def untagged(response: dict[str, Any]) -> None:
        device = deterministic_key("device")
        salt = hashlib.sha256(in_person().encoded).digest()
        secret = hkdf_sha256(device.agree(E_READER.public_key), salt=salt, info=b"EMacKey", length=32)
        structure = encode(["MAC0", b"\xa1\x01\x05", b"", authentication(in_person())])
        tag = hmac.digest(secret, structure, "sha256")
        response["documents"][0]["deviceSigned"]["deviceAuth"] = {"deviceMac": [b"\xa1\x01\x05", {}, None, tag]}

    response = present(disclose={"sex"}, mutate_response=untagged).response
    expected = candidate(Form.QR, ("EMacKey", "salted with the transcript not in tag 24"))
    assert examine(response, WITH_KEY).match == expected


@pytest.mark.parametrize(
    ("known", "recipe", "code"),
    [
        (KNOWN, MAC, "reader_key.missing"),
        (replace(KNOWN, reader_key=deterministic_ephemeral_key("reader", "P-384")), MAC, "device_auth.curves"),
        (WITH_KEY, MAC | {"device_protected": {ALG: 4}}, "device_auth.algorithm"),
        (WITH_KEY, {"device_auth": DeviceAuth.BOTH}, "device_auth.present"),
        (WITH_KEY, {"device_auth": DeviceAuth.NONE}, "device_auth.present"),
        (WITH_KEY, {"mso_device_key": {1: 2, -1: 99, -2: b""}}, "device_key.unusable"),
        (WITH_KEY, {"wrap_mso": bytes}, "mso.unreadable"),
    ],
)
def test_where_nothing_can_be_tried_the_reason_is_told(known: Known, recipe: dict[str, Any], code: str) -> None:
    found = examine(present(disclose={"sex"}, **recipe).response, known)
    assert (found.tried, found.match) == (0, None)
    assert code in {seen.code for seen in found.observations}
    assert "no candidate could be tried" in found.lines()


def test_a_device_key_that_only_agrees_has_not_signed() -> None:
    key = deterministic_ephemeral_key("device", "X25519")
    found = examine(
        present(
            disclose={"sex"}, device_key=key, device_signer=deterministic_key("device"), device_transcript=redirect()
        ).response
    )
    assert found.tried == 0
    assert [seen.code for seen in found.observations] == ["device_auth.algorithm"]


def test_a_response_for_a_session_that_nobody_knows_of_matches_nothing() -> None:
    found = examine(present(disclose={"sex"}, device_transcript=online("another")).response, WITH_KEY)
    assert found.match is None
    assert found.tried > 250
    assert found.lines()[1] == f"device authentication verifies over none of {found.tried} candidates"
    mac = examine(present(disclose={"sex"}, device_transcript=online("another"), **MAC).response, WITH_KEY)
    assert mac.match is None
    assert mac.tried > 250


def test_a_key_that_signed_for_somebody_else_matches_nothing() -> None:
    assert named(redirect(), device_signer=deterministic_key("a thief")) is None


def test_what_a_holder_answers_is_told_apart() -> None:
    recipe = Recipe(disclose={"sex"})
    holder = Holder()
    holder.add(recipe.issue(), deterministic_key("device"))
    request = recipe.present().request
    for form in (Form.QR, Form.ANNEX_C):
        assert examine(holder.respond(request, PLAIN[form]).encode()).match == Candidate(form)


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_the_number_of_candidates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    response = present(disclose={"sex"}, device_transcript=online("another")).response
    assert examine(response, WITH_KEY).tried < MAX_CANDIDATES
    monkeypatch.setattr("reader.diagnosis.MAX_CANDIDATES", 40)
    assert examine(response, WITH_KEY).tried == 40


def test_what_differs_in_name_only_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []

    def note(protected: bytes, payload: bytes) -> bytes:
        tried.append(payload)
        return sig_structure(protected, payload)

    monkeypatch.setattr("reader.diagnosis.sig_structure", note)
    # In this session the origin, the client identifier and the address are one and the same.
    known = Known(client_id=ORIGIN, response_uri=ORIGIN, origin=ORIGIN, nonce="n", mdoc_generated_nonce="n")
    found = examine(present(disclose={"sex"}, device_transcript=online("another")).response, known)
    assert len(tried) == len(set(tried)) == found.tried


def test_only_the_first_documents_are_looked_at() -> None:
    recipes = [Recipe(disclose={"sex"}, device_transcript=redirect(), seed=str(number)) for number in range(6)]
    diagnosis = diagnose(recipes[0].present(*recipes[1:]).response, KNOWN)
    assert (len(diagnosis.documents), diagnosis.omitted) == (MAX_DOCUMENTS, 2)
    assert "2 more documents were not looked at" in str(diagnosis)


def test_a_response_without_documents_is_told() -> None:
    diagnosis = diagnose(encode({"version": "1.0", "status": 10}), KNOWN)
    assert "the response holds no document" in str(diagnosis)


def test_what_is_not_known_is_told_as_long_as_nothing_matches() -> None:
    known = Known(nonce=NONCE)
    response = present(disclose={"sex"}).response
    diagnosis = diagnose(response, known)
    missing = {one.form: one.missing for one in diagnosis.untried}
    assert missing[Form.QR] == ("engagement", "e_reader_key")
    assert missing[Form.NFC_NEGOTIATED] == ("engagement", "e_reader_key", "handover_select", "handover_request")
    assert missing[Form.OPENID4VP] == ("client_id", "jwk_thumbprint", "response_uri")
    assert missing[Form.ANNEX_C] == ("encryption_info", "origin")
    assert set(missing) == set(PLAIN)
    assert "not tried: QR code (18013-5); not known: engagement, e_reader_key" in str(diagnosis)
    assert "not tried" not in str(diagnose(signing(authentication(redirect())), KNOWN))


# --- it is no verdict -------------------------------------------------------------------------------------------------


def verdict(recipe: Recipe) -> tuple[bytes, Report, SessionTranscript]:
    shown = recipe.present()
    verifier = Verifier(
        TrustStore.from_certificates(shown.anchors, doctypes=ANY_DOCTYPE),
        policy=Policy.ISO_STRICT,
        revocation=Revocation.IF_GIVEN,
    )
    context = SessionContext(transcript=shown.transcript, reader_key=shown.reader_key)
    report = verifier.examine(shown.response, context=context, request=shown.request, at=shown.at)
    return shown.response, report, shown.transcript


@pytest.mark.parametrize("form", PLAIN)
def test_a_response_that_is_explained_is_refused_as_before(form: Form) -> None:
    recipe = Recipe(disclose={"sex"}, transcript=online("the reader's"), device_transcript=PLAIN[form])
    response, report, transcript = verdict(recipe)
    assert not report.accepted
    diagnosis = diagnose(response, replace(KNOWN, transcript=transcript), report=report)
    assert diagnosis.documents[0].match == Candidate(form)
    assert diagnosis.refused_by == ("device_auth.signature",)
    again = verdict(recipe)[1]
    assert again.failed == report.failed == ("device_auth.signature",)
    assert not again.accepted


def test_where_the_readers_own_transcript_verifies_the_cause_is_another_one() -> None:
    recipe = Recipe(disclose={"sex"}, authority=ThrowawayAuthority("Somebody else"), mso_version="2.0")
    response, report, transcript = verdict(recipe)
    diagnosis = diagnose(response, Known(transcript=transcript), report=report)
    assert diagnosis.documents[0].is_readers_own
    assert diagnosis.documents[0].match == Candidate(Form.GIVEN)
    assert diagnosis.documents[0].differs == ()
    assert diagnosis.refused_by == ("mso.version",)
    text = str(diagnosis)
    assert "a refusal has another cause" in text
    assert "device authentication is not what the verifier refuses" in text
    assert text.splitlines()[-1].startswith("The refusal stands")


def test_a_report_that_accepts_leaves_nothing_to_explain() -> None:
    response, report, transcript = verdict(Recipe(disclose={"sex"}))
    assert report.accepted
    with pytest.raises(ValueError, match="no refusal"):
        diagnose(response, Known(transcript=transcript), report=report)


def test_nothing_in_a_diagnosis_can_be_taken_for_a_verdict() -> None:
    diagnosis = diagnose(present(disclose={"sex"}, device_transcript=redirect()).response, KNOWN)
    document = diagnosis.documents[0]
    assert document.match is not None
    for thing in (diagnosis, document, document.match):
        with pytest.raises(TypeError):
            bool(thing)
    with pytest.raises(FrozenInstanceError):
        diagnosis.omitted = 1  # type: ignore[misc]
    held: list[Any] = [diagnosis]
    while held:
        thing = held.pop()
        assert not isinstance(thing, SessionTranscript | Session | bytes)
        names = getattr(type(thing), "__slots__", ()) if isinstance(thing, Diagnosis | DocumentDiagnosis) else ()
        held += [getattr(thing, name) for name in names]
        held += list(thing) if isinstance(thing, tuple) else []


@pytest.mark.parametrize("transcript", [redirect(), online("another"), PLAIN[Form.QR]])
def test_the_last_word_is_always_that_the_refusal_stands(transcript: SessionTranscript) -> None:
    diagnosis = diagnose(present(disclose={"sex"}, device_transcript=transcript).response, KNOWN)
    assert str(diagnosis).splitlines()[-1] == diagnosis.conclusion
    assert diagnosis.conclusion.startswith("The refusal stands: a diagnosis accepts nothing.")
    assert "accepted" not in str(diagnosis)


def test_neither_elements_nor_inputs_are_repeated() -> None:
    diagnosis = diagnose(present(device_transcript=online("another")).response, WITH_KEY)
    for text in (repr(diagnosis), str(diagnosis)):
        for secret in ("Mustermann", "Erika", CLIENT_ID, "verifier.example", NONCE, MDOC_NONCE, INFO):
            assert secret not in text
    assert "EphemeralKey" not in repr(WITH_KEY)


# --- input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("response", [b"", b"\xa0", b"hello", b"\x83\xf6\xf6\xf6"])
def test_what_is_no_response_is_no_case_for_the_doctor(response: bytes) -> None:
    with pytest.raises(DecodeError):
        diagnose(response, KNOWN)


NAMED_BY_NUMBER: dict[Any, Any] = {**JWK, 1: 2}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"nonce": b"bytes"}, TypeError),
        ({"engagement": "text"}, TypeError),
        ({"transcript": b"\x83\xf6\xf6\xf6"}, TypeError),
        ({"reader_key": deterministic_key("device").public_key}, TypeError),
        ({"jwk": []}, TypeError),
        ({"jwk": NAMED_BY_NUMBER}, TypeError),
        ({"jwk": {**JWK, "more": b""}}, TypeError),
        ({"jwk": {**JWK, "more": "x" * 65536}}, ValueError),
        ({"jwk": {"kty": "RSA"}}, UnsupportedError),
        ({"jwk_thumbprint": bytes(31)}, ValueError),
        ({"nonce": "x" * 65537}, ValueError),
        ({"nonce": "\ud800"}, ValueError),
        ({"handover_select": bytes(65537)}, ValueError),
        ({"transcript": SessionTranscript(encode([None, None, bytes(65536)]))}, ValueError),
        ({"engagement": b"\x80"}, DecodeError),
        ({"engagement": b""}, DecodeError),
        ({"e_reader_key": wrap24(b"\x01")}, DecodeError),
        ({"reader_engagement": b"\xa1\x00"}, DecodeError),
    ],
)
def test_what_cannot_be_known_is_refused(fields: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        Known(**fields)
    if isinstance(caught.value, DecodeError):
        assert caught.value.path == next(iter(fields))


@pytest.mark.parametrize(
    "uri", ["", ":", "http://[", "https://host:99999999/", "mailto:a@b", "//host", "https://[::1]:8443/a"]
)
def test_an_address_that_is_none_is_an_input_like_any_other(uri: str) -> None:
    known = replace(KNOWN, response_uri=uri, origin=uri)
    assert named(dc_api(origin=uri), known) == candidate(Form.OPENID4VP_DC_API)
    assert named(online("another"), known) is None


def test_an_address_by_number_keeps_its_brackets_and_its_port() -> None:
    known = Known(nonce=NONCE, response_uri="https://[::1]:8443/a")
    expected = candidate(Form.OPENID4VP_DC_API, ("origin", "the origin of the response_uri"))
    assert named(dc_api(origin="https://[::1]:8443", thumbprint=None), known) == expected


CBOR = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.binary(max_size=6) | st.text(max_size=4) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-4, 4) | st.text(max_size=2), inner, max_size=4)
        | inner.map(lambda value: Tag(24, encode(value)))
        | inner.map(lambda value: Tag(99, value))
    ),
    max_leaves=12,
)
MAPS = st.dictionaries(st.integers(0, 3) | st.text(max_size=2), CBOR, max_size=4).map(encode)
TEXT = st.text(max_size=12) | st.sampled_from([ORIGIN, RESPONSE_URI, NONCE, CLIENT_ID])


SESSIONS = st.lists(CBOR, min_size=3, max_size=3).map(lambda value: SessionTranscript(encode(value)))
ANYTHING: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("engagement", "e_reader_key", "reader_engagement"), MAPS | st.binary(max_size=12)),
    **dict.fromkeys(("handover_select", "handover_request"), st.binary(max_size=8)),
    **dict.fromkeys(("client_id", "response_uri", "origin", "nonce", "mdoc_generated_nonce", "encryption_info"), TEXT),
    "transcript": SESSIONS,
}


@settings(max_examples=60, deadline=None)
@given(fields=st.fixed_dictionaries({}, optional=ANYTHING))
def test_whatever_is_known_the_doctor_has_an_answer(fields: dict[str, Any]) -> None:
    try:
        known = Known(**fields)
    except (MdlError, ValueError):
        return
    diagnosis = diagnose(UNKNOWN_SESSION, known)
    assert diagnosis.documents[0].match is None
    assert diagnosis.documents[0].tried <= MAX_CANDIDATES
    assert str(diagnosis).endswith(diagnosis.conclusion)


UNKNOWN_SESSION = present(disclose={"sex"}, device_transcript=online("unknown")).response


# --- what could not be done -------------------------------------------------------------------------------------------


def codes(diagnosis: Diagnosis) -> list[str]:
    return [one.code for one in diagnosis.not_done]


def test_the_origin_of_an_app_is_said_to_be_missing_where_nothing_explains_the_response() -> None:
    response = present(disclose={"sex"}, device_transcript=dc_api(origin="android:apk-key-hash:AAAA")).response
    diagnosis = diagnose(response, KNOWN)
    assert "origin.app" in codes(diagnosis)
    assert "not done: the origin of an app cannot be made from that of a page" in str(diagnosis)
    told = replace(KNOWN, origin="android:apk-key-hash:AAAA")
    assert "origin.app" not in codes(diagnose(response, told))
    assert diagnose(response, told).documents[0].match == candidate(Form.OPENID4VP_DC_API)
    explained = present(disclose={"sex"}, device_transcript=dc_api()).response
    assert codes(diagnose(explained, KNOWN)) == ["transcript.unknown"]
    assert codes(diagnose(explained, replace(KNOWN, transcript=redirect()))) == []


def test_documents_in_another_form_are_said_not_to_have_been_looked_at() -> None:
    made = present(disclose={"sex"}, device_transcript=dc_api(), response_extra={"zkDocuments": [b"proof"]})
    diagnosis = diagnose(made.response, KNOWN)
    assert codes(diagnosis) == ["response.unsupported", "transcript.unknown"]
    assert "zkDocuments" in diagnosis.not_done[0].detail


def test_a_search_that_was_cut_short_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    response = present(disclose={"sex"}, device_transcript=online("unknown")).response
    assert "search.stopped" not in [one.code for one in examine(response).observations]
    monkeypatch.setattr("reader.diagnosis.MAX_CANDIDATES", 10)
    found = examine(response)
    assert found.tried == 10
    assert "search.stopped" in [one.code for one in found.observations]


def test_a_device_key_that_is_given_away_and_a_fully_specified_name_are_seen() -> None:
    key = encode_key(deterministic_key("device").public_key) | {-4: bytes(32)}
    made = present(disclose={"sex"}, device_transcript=dc_api(), mso_device_key=key, device_protected={1: -9})
    found = examine(made.response)
    assert found.match == candidate(Form.OPENID4VP_DC_API)
    assert {one.code for one in found.observations} == {"device_key.private", "device_auth.fully_specified"}


@pytest.mark.parametrize("auth", [DeviceAuth.SIGNATURE, DeviceAuth.MAC])
def test_what_is_too_large_to_be_tried_so_often_is_said_not_to_be_tried(auth: DeviceAuth) -> None:
    known = Known(client_id="x509_san_dns:rp.example", response_uri="https://rp.example/cb", nonce="n" * 20)
    shown = Recipe(document_doctype="x" * MAX_SIGNED_SIZE, device_auth=auth).present()
    tracemalloc.start()
    (document,) = diagnose(shown.response, known).documents
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
    assert (document.tried, document.match, document.proof != "") == (0, None, True)
    assert "diagnosis.too_large" in {one.code for one in document.observations}
    smaller = Recipe(document_doctype="x" * 10_000).present()
    assert diagnose(smaller.response, known).documents[0].tried > 5

"""Responses of other people's wallets: what is good is accepted, what is not is refused by the check that it breaks.

Most issuers of these have published no root. Then everything else is judged, and the path is what refuses: the tables
say for each file exactly which checks do, and why.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from mdl.cbor import Tag, decode_view, diagnose, encode
from mdl.errors import DecodeError, VerificationError
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest, DeviceResponse, SessionTranscript
from mdl.pki import Certificate
from reader.report import Outcome, Policy, Report, Revocation
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from tests.external import folder, octets

ANNEX_D = "iso18013-5-annex-d/iaca-cert.hex"
GOOGLE = "interop-certs-google/google_mdl_iaca_cert_2.pem"
ANIMO = "mdoc-ts-interop/animo.issuer-1.pem"
UTOPIA = "eudi-verifier/trusted-issuer-12.pem"
AUTH0 = "auth0-mdl/issuer.pem"
ISOMDL = "isomdl/certs/isomdl_iaca_root_cert.pem"
ZETES = "interop-certs-google/iaca_zetes.der"
# Where no root is known, some other root is trusted.
SOMEBODY_ELSE = ANNEX_D

NO_ROOT = ("issuer_auth.certificate_validity", "issuer_auth.trust_scope")
NO_ROOT_AND_CLEAN = ("issuer_auth.profile", *NO_ROOT)
NO_PROOF = ("device_auth.algorithm", "device_auth.signature", "device_auth.mac")
NO_SIGNER = (
    *("issuer_auth.path", "issuer_auth.profile", *NO_ROOT, "issuer_auth.algorithm", "issuer_auth.signature"),
    *("mso.signed_within_certificate", "subject.country", "subject.jurisdiction"),
)
UNTRUSTED = ("issuer_auth.path",)
UNTRUSTED_AND_ODD = ("issuer_auth.path", "issuer_auth.profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A published response.

    Attributes:
        file: Its file, without the ending.
        at: When it is judged.
        root: The root that is trusted.
        session: The file of the transcript, without the ending; None where none is published.
        failed: The checks that fail under iso-strict.
        left_open: The checks that cannot be judged.
        why: Why.
        lenient: Whether the lenient policy accepts it.
    """

    file: str
    at: str
    root: str = SOMEBODY_ELSE
    session: str | None = None
    failed: tuple[str, ...] = ()
    left_open: tuple[str, ...] = ()
    why: str = ""
    lenient: bool = False

    def __post_init__(self) -> None:
        assert bool(self.failed or self.left_open) == bool(self.why), self.file


def moment(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def certificate(name: str) -> Certificate:
    where, _, file = name.rpartition("/")
    return (
        Certificate(octets(name))
        if file.endswith(".hex")
        else Certificate.decode_any((folder(where) / file).read_bytes())
    )


def trust(*names: str) -> TrustStore:
    return TrustStore.from_certificates([certificate(name) for name in names], doctypes=ANY_DOCTYPE)


def bytes_of(name: str) -> bytes:
    """A response by the name of its file."""
    where, _, file = name.rpartition("/")
    path = folder(where) / f"{file}.device-response.hex"
    return bytes.fromhex((path if path.exists() else folder(where) / f"{file}.hex").read_text("ascii"))


NOWHERE = SessionTranscript(encode([None, None, "a session that nobody has told of"]))


def annex_d_session() -> SessionContext:
    tagged = decode_view(octets("iso18013-5-annex-d/session-transcript-bytes.hex"))
    secret = int.from_bytes(octets("iso18013-5-annex-d/ephemeral-reader-key-d.hex"))
    return SessionContext(
        transcript=SessionTranscript(tagged.content), reader_key=EphemeralKey.from_secret("P-256", secret)
    )


def session_of(case: Response) -> SessionContext:
    if case.session == "annex-d":
        return annex_d_session()
    transcript = SessionTranscript(octets(f"{case.session}.session-transcript.hex")) if case.session else NOWHERE
    return SessionContext(transcript=transcript, reader_key=None)


def examine(case: Response, policy: Policy, response: bytes | None = None) -> Report:
    verifier = Verifier(trust(case.root), policy=policy, revocation=Revocation.IF_GIVEN)
    return verifier.examine(
        bytes_of(case.file) if response is None else response,
        context=session_of(case),
        request=UnsafeNoRequest(),
        at=moment(case.at),
    )


def outcome_of(report: Report) -> tuple[set[str], set[str]]:
    refusing = [check for check in report if report.refuses(check)]
    return (
        {check.id for check in refusing if check.outcome is Outcome.FAILED},
        {check.id for check in refusing if check.outcome is not Outcome.FAILED},
    )


def _own(file: str, **fields: Any) -> Response:
    return Response(file=file, session=file, **fields)


def _longfellow(number: int, at: str, **fields: Any) -> Response:
    return _own(f"longfellow-zk-mdocs/mdoc-{number:02}", at=at, **fields)


# --- with a root that is known ----------------------------------------------------------------------------------------

GOOD = [
    Response(file="iso18013-5-annex-d/device-response", at="2021-01-01", root=ANNEX_D, session="annex-d", lenient=True),
    _own("mdoc-ts-interop/france-playground", at="2021-09-25", root=ANNEX_D, lenient=True),
    _own(
        "mdoc-ts-interop/animo-paradym-openid4vp-1.0",
        at="2026-01-12",
        root=ANIMO,
        failed=("issuer_auth.profile",),
        why="the document signer names no distribution point",
        lenient=True,
    ),
    _longfellow(
        0,
        "2024-01-30T09:00:00Z",
        root=GOOGLE,
        failed=("issuer_auth.profile",),
        why="the document signer names no distribution point; the root's basicConstraints is BER",
        lenient=True,
    ),
    _longfellow(
        1,
        "2024-01-31T09:00:00Z",
        root=GOOGLE,
        failed=("issuer_auth.profile",),
        why="the document signer names no distribution point; the root's basicConstraints is BER",
        lenient=True,
    ),
]

# --- good as far as can be told, but the issuer's root or the session is not published --------------------------------

_SELF_ISSUED = {
    "failed": (*UNTRUSTED_AND_ODD, "mso.signed_within_certificate"),
    "left_open": NO_ROOT,
    "why": "its signer signed its own certificate, of no profile, and signed the security object before that",
}
UNKNOWN = [
    _longfellow(2, "2024-05-05T09:00:00Z", failed=UNTRUSTED, left_open=NO_ROOT_AND_CLEAN, why="no root"),
    _longfellow(
        3,
        "2024-10-01T09:00:00Z",
        failed=UNTRUSTED_AND_ODD,
        left_open=NO_ROOT,
        why="no root; two extensions of mere information are not what RFC 5280 says",
    ),
    _longfellow(5, "2025-04-30T00:00:00Z", **_SELF_ISSUED),
    _longfellow(6, "2025-06-10T23:59:59Z", failed=UNTRUSTED, left_open=NO_ROOT_AND_CLEAN, why="no root"),
    _longfellow(
        7,
        "2025-08-01T23:59:59Z",
        failed=UNTRUSTED_AND_ODD,
        left_open=NO_ROOT,
        why="no root; the document signer is valid for five years",
    ),
    _longfellow(9, "2025-08-25T23:59:59Z", **_SELF_ISSUED),
    _longfellow(
        11,
        "2025-11-06T23:59:59Z",
        failed=(*UNTRUSTED_AND_ODD, "issuer_auth.certificate_validity", "mso.signed_within_certificate"),
        left_open=("issuer_auth.trust_scope",),
        why="no root; two extensions are malformed; the document signer expired before it signed",
    ),
    _longfellow(
        12,
        "2026-01-09T23:59:59Z",
        failed=UNTRUSTED_AND_ODD,
        left_open=NO_ROOT,
        why="no root; the document signer names no distribution point",
    ),
    *(_longfellow(number, "2026-01-15T09:00:00Z", **_SELF_ISSUED) for number in range(15, 21)),
    _own(
        "mdoc-ts-interop/ubique",
        at="2025-02-01",
        failed=UNTRUSTED_AND_ODD,
        left_open=NO_ROOT,
        why="no root; the document signer has neither keyUsage nor extendedKeyUsage",
    ),
    _own(
        "oidf-conformance/utopia-no-elements",
        at="2025-02-09",
        failed=UNTRUSTED_AND_ODD,
        left_open=NO_ROOT,
        why="its signer signed its own certificate, of no profile",
    ),
    *(
        _own(
            f"auth0-mdl/{name}",
            at="2024-01-01",
            root=AUTH0,
            failed=(*UNTRUSTED_AND_ODD, "device_auth.signature", *more),
            left_open=NO_ROOT,
            why="the signer is the anchor itself; the proof carries its payload; the portrait is text",
        )
        for name, more in (
            ("example1-full", ("elements.types",)),
            ("example2-partial", ()),
            ("example4", ("device_data.authorized", "elements.types")),
        )
    ),
    Response(
        file="auth0-mdl/issuer-signed-custom-ns",
        at="2024-01-01",
        root=AUTH0,
        failed=(*UNTRUSTED_AND_ODD, "device_auth.present", "elements.types"),
        left_open=(*NO_ROOT, *NO_PROOF),
        why="the signer is the anchor itself; nothing is signed by the device; the portrait is text",
    ),
    Response(
        file="eudi-verifier/pid-plus-mdl",
        at="2025-02-08",
        root=UTOPIA,
        failed=("issuer_auth.profile", "device_auth.signature"),
        why="the document signer's certificate is one for readers; no transcript",
    ),
    *(
        Response(
            file=f"eudi-ios/{name}",
            at="2024-06-20",
            failed=(
                *UNTRUSTED,
                *("issuer_auth.certificate_validity", "mso.signed_within_certificate", "device_auth.signature"),
                *more,
            ),
            left_open=("issuer_auth.profile", "issuer_auth.trust_scope"),
            why="no root, no transcript; the document signer expired before it signed",
        )
        for name, more in (("eudi-sample-data", ("subject.country", "subject.jurisdiction")), ("pid", ()))
    ),
]

# --- not good ---------------------------------------------------------------------------------------------------------

BAD = [
    *(
        Response(
            file=f"multipaz-negative/annexd-{name}",
            at="2021-01-01",
            root=ANNEX_D,
            session="annex-d",
            failed=(check,),
            why="one byte was changed",
        )
        for name, check in (
            ("family-name-foe", "issuer_data.digest"),
            ("bad-issuer-signature", "issuer_auth.signature"),
            ("bad-device-mac", "device_auth.mac"),
        )
    ),
    _own(
        "multipaz-negative/no-issuer-chain",
        at="2025-08-01",
        failed=("issuer_auth.x5chain",),
        left_open=NO_SIGNER,
        why="an empty x5chain; without a signer nothing can be held against it",
    ),
    _own(
        "auth0-mdl/example3-tampered",
        at="2024-01-01",
        root=AUTH0,
        failed=(*UNTRUSTED_AND_ODD, "issuer_data.digest", "device_auth.signature"),
        left_open=NO_ROOT,
        why="as example1, and a name was changed",
    ),
    Response(
        file="eudi-verifier/mdl-untrusted-chain",
        at="2024-09-05",
        root=UTOPIA,
        failed=(
            *UNTRUSTED,
            *("issuer_auth.certificate_validity", "mso.signed_within_certificate", "device_auth.signature"),
        ),
        left_open=("issuer_auth.profile", "issuer_auth.trust_scope"),
        why="the root is not trusted; the document signer expired before it signed; no transcript",
    ),
    Response(
        file="eudi-verifier/openapi-example-digest-mismatch",
        at="2024-07-27",
        root=UTOPIA,
        failed=(*UNTRUSTED_AND_ODD, "issuer_data.digest", "device_auth.signature", "elements.types"),
        left_open=NO_ROOT,
        why="no digest fits; its signer signed its own certificate; no transcript; privileges are no array",
    ),
    Response(
        file="eudi-verifier/three-documents",
        at="2024-11-01T00:00:00+02:00",
        root=UTOPIA,
        failed=("issuer_auth.profile", "mso.validity", "device_auth.algorithm", "device_auth.signature"),
        left_open=("device_auth.signature",),
        why="the third has expired and its device key is malformed; the root's purpose is critical; no transcript",
    ),
    Response(
        file="italia-docs/pid-example-inconsistent",
        at="2023-06-01",
        root=ZETES,
        failed=(
            *("issuer_auth.profile", "issuer_auth.certificate_validity", "issuer_auth.signature"),
            *("mso.signed_within_certificate", "issuer_data.digest", "device_auth.present"),
        ),
        left_open=NO_PROOF,
        why="an example with the certificate of another issuer, which expired before; the device has signed nothing",
    ),
    Response(
        file="oidf-conformance/animo-both-signature-and-mac",
        at="2024-11-01",
        failed=(*UNTRUSTED_AND_ODD, "device_auth.present"),
        left_open=(*NO_ROOT, *NO_PROOF),
        why="signature and MAC at once; no root; no issuerAltName",
    ),
    Response(
        file="sphereon/funke-device-response-reencoded",
        at="2024-07-01",
        failed=(*UNTRUSTED_AND_ODD, "mso.validity", "issuer_data.digest", "device_auth.present", "elements.types"),
        left_open=(*NO_ROOT, "mso.signed_within_certificate", *NO_PROOF),
        why="items encoded again; no deviceSigned; no root; moments are text",
    ),
    Response(
        file="iso18013-7-annex-c/ANNEXC-DETERMINISTIC-001",
        at="2025-01-01",
        session="iso18013-7-annex-c/ANNEXC-DETERMINISTIC-001",
        failed=("response.documents",),
        why="it holds no document",
    ),
]

UNDECODABLE = {
    "auth0-mdl/parser1": ("cose.duplicate_header", "documents[0].issuerSigned.issuerAuth"),
    "auth0-mdl/parser2": ("cbor.tag24", "documents[0].issuerSigned.issuerAuth.payload"),
    "isomdl/device-response-document-errors": ("cbor.truncated", "documents[0].issuerSigned.issuerAuth.payload"),
}


def _named(cases: list[Response]) -> list[object]:
    return [pytest.param(case, id=case.file) for case in cases]


@pytest.mark.parametrize("case", _named([*GOOD, *UNKNOWN, *BAD]))
def test_a_published_response_is_refused_by_exactly_what_is_wrong_with_it(case: Response) -> None:
    report = examine(case, Policy.ISO_STRICT)
    assert outcome_of(report) == (set(case.failed), set(case.left_open))
    assert report.accepted is not bool(case.failed or case.left_open)
    assert examine(case, Policy.LENIENT).accepted is case.lenient


@pytest.mark.parametrize("case", _named(GOOD))
def test_what_a_good_response_discloses_can_be_printed(case: Response) -> None:
    policy = Policy.LENIENT if case.failed else Policy.ISO_STRICT
    verifier = Verifier(trust(case.root), policy=policy, revocation=Revocation.IF_GIVEN)
    result = verifier.verify(
        bytes_of(case.file), context=session_of(case), request=UnsafeNoRequest(), at=moment(case.at)
    )
    assert {check for check, _ in result.report.warnings} <= {
        "response.decoded",
        "issuer_auth.profile",
        "mso.validity",
        "subject.jurisdiction",
    }
    for document in result.documents:
        printed = [diagnose(value) for elements in document.elements.values() for value in elements.values()]
        assert printed
        assert all(printed)


def test_the_standards_own_example_discloses_what_the_standard_says() -> None:
    verifier = Verifier(trust(ANNEX_D), policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)
    result = verifier.verify(
        bytes_of("iso18013-5-annex-d/device-response"),
        context=annex_d_session(),
        request=DeviceRequest.decode(octets("iso18013-5-annex-d/device-request.hex")),
        at=moment("2021-01-01"),
    )
    assert result.report.warnings == (
        ("issuer_auth.profile", "profile.minor"),
        ("mso.validity", "validity.outlives_certificate"),
        ("subject.jurisdiction", "state.missing"),
    )
    (document,) = result.documents
    printed = {name: diagnose(value) for name, value in document.elements["org.iso.18013.5.1"].items()}
    portrait = octets("iso18013-5-annex-d/device-response-portrait-data.hex")
    assert printed == {
        "family_name": '"Doe"',
        "issue_date": '1004("2019-10-20")',
        "expiry_date": '1004("2024-10-20")',
        "document_number": '"123456789"',
        "portrait": f"h'{portrait.hex()}'",
        "driving_privileges": (
            '[{"vehicle_category_code": "A", "issue_date": 1004("2018-08-09"), "expiry_date": 1004("2024-10-20")}, '
            '{"vehicle_category_code": "B", "issue_date": 1004("2017-02-23"), "expiry_date": 1004("2024-10-20")}]'
        ),
    }
    assert document.anchor.certificate == certificate(ANNEX_D)


@pytest.mark.parametrize("file", [case.file for case in (*GOOD, *UNKNOWN, *BAD)])
def test_every_published_element_can_be_printed(file: str) -> None:
    for document in DeviceResponse.decode(bytes_of(file)).documents:
        for namespace, identifier, value in document.issuer_signed.elements():
            assert diagnose(value), (namespace, identifier)


def test_a_session_other_than_the_published_one_is_a_replay() -> None:
    for case in GOOD:
        verifier = Verifier(trust(case.root), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
        here = session_of(case)
        elsewhere = SessionContext(transcript=NOWHERE, reader_key=here.reader_key)
        report = verifier.examine(bytes_of(case.file), context=elsewhere, request=UnsafeNoRequest(), at=moment(case.at))
        (failed,) = report.failed
        assert failed == ("device_auth.mac" if case.session == "annex-d" else "device_auth.signature")


def test_at_today_s_date_the_published_ones_have_expired() -> None:
    for case in GOOD:
        verifier = Verifier(trust(case.root), policy=Policy.LENIENT, revocation=Revocation.IF_GIVEN)
        with pytest.raises(VerificationError) as refused:
            verifier.verify(
                bytes_of(case.file), context=session_of(case), request=UnsafeNoRequest(), at=moment("2040-01-01")
            )
        assert refused.value.failed == ("issuer_auth.certificate_validity", "mso.validity")


def test_only_the_third_of_three_documents_has_expired() -> None:
    (case,) = (one for one in BAD if one.file == "eudi-verifier/three-documents")
    report = examine(case, Policy.LENIENT)
    failed = {(check.document, check.id) for check in report if check.outcome is Outcome.FAILED}
    # The root's certificate and the session are the same for all.
    assert {(index, name) for index, name in failed if name.startswith("mso.")} == {(2, "mso.validity")}


@pytest.mark.parametrize("file", UNDECODABLE)
def test_what_is_no_response_is_refused_with_a_code_and_a_place(file: str) -> None:
    code, path = UNDECODABLE[file]
    case = Response(file=file, at="2024-01-01")
    with pytest.raises(DecodeError) as refused:
        examine(case, Policy.LENIENT)
    assert (refused.value.code, refused.value.path) == (code, path)


def test_the_response_inside_an_encrypted_one() -> None:
    """An answer over the web, to a session of which only the nonces are known."""
    text = (folder("iso18013-7-annex-b") / "jarm-jwe-encrypted-response.json").read_text("utf-8")
    token = json.loads(text)["decodedPayload"]["vp_token"]
    response = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    case = Response(
        file="",
        at="2024-02-09T17:48:28Z",
        root=ISOMDL,
        failed=("mso.validity", "device_auth.signature"),
        why="a validity of no time at all; no transcript",
    )
    assert outcome_of(examine(case, Policy.ISO_STRICT, response)) == (set(case.failed), set())
    assert outcome_of(examine(case, Policy.LENIENT, response)) == ({"device_auth.signature"}, set())


# --- transcripts from their parameters --------------------------------------------------------------------------------


def _sha256(value: Any) -> bytes:
    return hashlib.sha256(encode(value)).digest()


def test_the_published_transcripts_follow_from_their_parameters() -> None:
    where = folder("mdoc-ts-interop")

    def told(name: str) -> dict[str, str]:
        found: dict[str, str] = json.loads((where / f"{name}.params.json").read_text("utf-8"))
        return found

    one = told("animo-paradym-openid4vp-1.0")
    thumbprint = bytes.fromhex(one["jwk_thumbprint_hex"])
    handover = ["OpenID4VPHandover", _sha256([one["client_id"], one["nonce"], thumbprint, one["response_uri"]])]
    built = {"animo-paradym-openid4vp-1.0": encode([None, None, handover])}
    for name in ("france-playground", "ubique"):
        one = told(name)
        nonce = one["mdoc_generated_nonce"]
        draft = [_sha256([one["client_id"], nonce]), _sha256([one["response_uri"], nonce]), one["nonce"]]
        built[name] = encode([None, None, draft])
    for name, transcript in built.items():
        assert transcript == octets(f"mdoc-ts-interop/{name}.session-transcript.hex")
        assert SessionTranscript(transcript).tagged == encode(Tag(24, transcript))


def test_every_published_response_has_its_place_in_the_tables() -> None:
    told = {case.file for case in (*GOOD, *UNKNOWN, *BAD)} | UNDECODABLE.keys()
    vectors = folder("iso18013-5-annex-d").parent
    suffix = ".device-response.hex"
    found = {
        f"{path.parent.name}/{path.name.removesuffix(suffix)}"
        for path in vectors.rglob("*.hex")
        if path.name.endswith(suffix)
    }
    assert found - told == set()

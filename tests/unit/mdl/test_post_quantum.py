"""The post-quantum rehearsal inside mdl: ML-DSA is refused unless it was asked for, and then held to the letter."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mdl.cbor import decode, encode
from mdl.cose import CoseSign1, decode_key, decode_sign1, encode_key, protected_header, sig_structure
from mdl.errors import DecodeError, MdlError, ProfileError, SigningError, UnsupportedError, VerificationError
from mdl.keys import (
    ALGORITHMS,
    CURVES,
    EXPERIMENTAL_CURVES,
    EphemeralKey,
    PublicKey,
    Signer,
    SoftwareSigner,
    UnsafePostQuantum,
    x509_signing_key,
)
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    Certificate,
    Crl,
    Severity,
    Subject,
    build_certificate,
    build_crl,
    build_csr,
    lint_certificate,
    lint_crl,
    validate_path,
)

ASKED = UnsafePostQuantum()
NAMES = list(EXPERIMENTAL_CURVES)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLACE = {"country": "XU", "state": "XU-EX"}
URIS: dict[str, Any] = {"crl_uri": "https://mdl.example/iaca.crl", "contact_uri": "https://mdl.example"}
# Sizes, algorithm numbers and identifiers as pki.md §8.3 has them.
FACTS: dict[str, tuple[int, str, int, int, Any]] = {
    "ML-DSA-44": (-48, "2.16.840.1.101.3.4.3.17", 1312, 2420, mldsa.MLDSA44PrivateKey),
    "ML-DSA-65": (-49, "2.16.840.1.101.3.4.3.18", 1952, 3309, mldsa.MLDSA65PrivateKey),
    "ML-DSA-87": (-50, "2.16.840.1.101.3.4.3.19", 2592, 4627, mldsa.MLDSA87PrivateKey),
}
OIDS = {name: bytes.fromhex("0609608648016503040300")[:-1] + bytes((17 + step,)) for step, name in enumerate(NAMES)}
SIGNERS = {name: SoftwareSigner.generate(name, post_quantum=ASKED) for name in NAMES}
P256 = SoftwareSigner.generate()


def refused(work: Callable[[], object], *codes: str) -> MdlError:
    with pytest.raises(MdlError) as caught:
        work()
    assert caught.value.code in codes
    return caught.value


def signed(key: Signer, payload: bytes = b"payload", *, algorithm: Any = None) -> CoseSign1:
    number = key.public_key.algorithm_for(ASKED).cose_id if algorithm is None else algorithm
    protected = protected_header(number)
    return decode_sign1([protected, {}, payload, key.sign(sig_structure(protected, payload))])


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_table_says_what_the_facts_sheet_says(name: str) -> None:
    curve, signer = EXPERIMENTAL_CURVES[name], SIGNERS[name]
    number, oid, key_size, signature_size, _ = FACTS[name]
    assert (curve.name, curve.kind, curve.cose_id, curve.oid) == (name, "AKP", number, oid)
    assert (curve.coordinate_size, curve.signature_size) == (key_size, signature_size)
    assert (len(signer.public_key.point), len(signer.sign(b"data"))) == (key_size, signature_size)
    algorithm = signer.public_key.algorithm_for(ASKED)
    assert (algorithm.name, algorithm.cose_id, algorithm.hash_name) == (name, number, None)
    assert OIDS[name] in signer.public_key.spki


def test_the_standard_s_tables_do_not_know_it() -> None:
    assert not {curve.name for curve in CURVES.values()} & set(NAMES)
    assert not {curve.experimental for curve in CURVES.values()} - {None}
    assert not ALGORITHMS.keys() & {-48, -49, -50}


def test_to_code_that_does_not_know_of_the_rehearsal_the_key_cannot_sign_or_agree() -> None:
    for name, signer in SIGNERS.items():
        curve = EXPERIMENTAL_CURVES[name]
        assert (curve.algorithm, curve.can_agree) == (None, False)
        refused(lambda signer=signer: signer.public_key.algorithm, "key.cannot_sign")  # type: ignore[misc]
        refused(lambda signer=signer: signer.public_key.algorithm_for(None), "key.cannot_sign")  # type: ignore[misc]
        refused(lambda signer=signer: signer.agree(P256.public_key), "key.curves_differ")  # type: ignore[misc]
        refused(lambda signer=signer: EphemeralKey(signer._key), "key.cannot_agree")  # type: ignore[misc]
    assert {name: curve.can_agree for name, curve in CURVES.items() if curve.kind == "OKP"} == {
        "X25519": True,
        "X448": True,
        "Ed25519": False,
        "Ed448": False,
    }


# --- keys: nobody gets one without asking -----------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, True, UnsafePostQuantum], ids=["nothing", "true", "the class"])
@pytest.mark.parametrize("name", NAMES)
def test_without_asking_in_so_many_words_no_such_key_is_made_or_loaded(name: str, asked: Any) -> None:
    key = FACTS[name][4].generate()
    public = SIGNERS[name].public_key
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for work in (
        lambda: SoftwareSigner.generate(name, post_quantum=asked),
        lambda: SoftwareSigner(key, post_quantum=asked),
        lambda: SoftwareSigner.from_pkcs8(pkcs8, post_quantum=asked),
        lambda: PublicKey.from_cryptography(public.key, post_quantum=asked),
        lambda: PublicKey.from_spki(public.spki, post_quantum=asked),
        lambda: PublicKey.from_pem(public.pem),
        lambda: PublicKey.from_point(EXPERIMENTAL_CURVES[name], public.point, post_quantum=asked),
        lambda: x509_signing_key(SIGNERS[name], post_quantum=asked),
        lambda: public.algorithm_for(asked),
    ):
        assert isinstance(refused(work, "key.unsupported", "key.cannot_sign"), UnsupportedError)
    refused(lambda: decode_key(encode_key(public), post_quantum=asked), "key.malformed")


def test_whoever_may_ask_is_asked_by_name_and_the_answer_is_no_by_default() -> None:
    for function in (
        SoftwareSigner.generate,
        SoftwareSigner.from_pkcs8,
        PublicKey.from_spki,
        PublicKey.from_point,
        PublicKey.from_cryptography,
        decode_key,
        lint_certificate,
        lint_crl,
        validate_path,
        build_certificate,
        build_crl,
        x509_signing_key,
    ):
        asked = inspect.signature(function).parameters["post_quantum"]
        assert (asked.kind, asked.default) == (inspect.Parameter.KEYWORD_ONLY, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_survives_its_encodings(name: str) -> None:
    signer = SIGNERS[name]
    public = signer.public_key
    assert PublicKey.from_spki(public.spki, post_quantum=ASKED) == public
    assert decode_key(decode(encode(encode_key(public))), post_quantum=ASKED) == public
    assert encode_key(public) == {1: 7, 3: FACTS[name][0], -1: public.point}
    for password in (None, b"secret"):
        pem = signer.to_pkcs8(password=password)
        again = SoftwareSigner.from_pkcs8(pem, password=password, post_quantum=ASKED)
        public.verify(again.sign(b"data"), b"data")
    assert repr(signer) == f"SoftwareSigner({name})"


@pytest.mark.parametrize("name", NAMES)
def test_a_signature_is_over_these_bytes_by_this_key_with_an_empty_context(name: str) -> None:
    signer, stranger = SIGNERS[name], SoftwareSigner.generate(name, post_quantum=ASKED)
    signature = signer.sign(b"data")
    signer.public_key.verify(signature, b"data")
    private: Any = signer._key
    in_context = private.sign(b"data", b"context")
    for key, forged, data in (
        (signer, signature, b"date"),
        (signer, signature[:-1], b"data"),
        (signer, signature + b"\0", b"data"),
        (signer, b"", b"data"),
        (signer, bytes((signature[0] ^ 1,)) + signature[1:], b"data"),
        (signer, bytes(len(signature)), b"data"),
        (signer, in_context, b"data"),
        (stranger, signature, b"data"),
        (P256, signature, b"data"),
        *((SIGNERS[other], signature, b"data") for other in NAMES if other != name),
    ):
        with pytest.raises(VerificationError):
            key.public_key.verify(forged, data)


def test_a_key_of_the_wrong_size_or_level_is_refused() -> None:
    public = SIGNERS["ML-DSA-65"].public_key
    for point in (public.point[:-1], public.point + b"\0", b"", SIGNERS["ML-DSA-44"].public_key.point):
        refused(
            lambda point=point: PublicKey.from_point(public.curve, point, post_quantum=ASKED),  # type: ignore[misc]
            "key.malformed",
        )
    for spki in (public.spki[:-1], public.spki.replace(OIDS["ML-DSA-65"], OIDS["ML-DSA-44"])):
        refused(lambda spki=spki: PublicKey.from_spki(spki, post_quantum=ASKED), "key.malformed")  # type: ignore[misc]


HONEST_KEY = encode_key(SIGNERS["ML-DSA-65"].public_key)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({3: None}, "key.malformed"),
        ({3: "ML-DSA-65"}, "key.malformed"),
        ({3: True}, "key.malformed"),
        ({3: -48}, "key.malformed"),
        ({3: -50}, "key.malformed"),
        ({3: -7}, "key.unsupported"),
        ({3: -51}, "key.unsupported"),
        ({-1: None}, "key.malformed"),
        ({-1: 1}, "key.malformed"),
        ({-1: HONEST_KEY[-1][:-1]}, "key.malformed"),
        ({-1: HONEST_KEY[-1] + b"\0"}, "key.malformed"),
        ({1: 1}, "key.malformed"),
        ({1: 2}, "key.malformed"),
        ({1: 8}, "key.malformed"),
        ({1: True}, "key.malformed"),
    ],
)
def test_a_cose_key_that_is_not_what_it_says_is_refused(change: dict[int, Any], code: str) -> None:
    changed = {label: value for label, value in (HONEST_KEY | change).items() if value is not None}
    refused(lambda: decode_key(changed, post_quantum=ASKED), code)


# --- COSE -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_message_is_verified_with_the_key_that_names_its_algorithm(name: str) -> None:
    message = signed(SIGNERS[name])
    message.verify(SIGNERS[name].public_key)
    assert message.algorithm_under(SIGNERS[name].public_key).name == name
    # What asks for an algorithm of the standard is given none.
    refused(lambda: message.algorithm, "cose.algorithm")
    refused(lambda: message.verify(P256.public_key), "cose.algorithm")


@pytest.mark.parametrize("algorithm", [-7, -8, -35])
def test_an_algorithm_of_the_standard_does_not_go_with_the_key(algorithm: int) -> None:
    message = signed(SIGNERS["ML-DSA-65"], algorithm=algorithm)
    refused(lambda: message.verify(SIGNERS["ML-DSA-65"].public_key), "cose.algorithm_mismatch")


@pytest.mark.parametrize("algorithm", [-48, -50, -51, 5, True, "ML-DSA-65", -49.0])
def test_another_algorithm_than_the_key_s_is_refused_though_the_signature_verifies(algorithm: Any) -> None:
    message = signed(SIGNERS["ML-DSA-65"], algorithm=algorithm)
    refused(lambda: message.verify(SIGNERS["ML-DSA-65"].public_key), "cose.algorithm")


def test_ml_dsa_claimed_over_an_ecdsa_signature_is_refused() -> None:
    for number in (-48, -49, -50):
        message = signed(P256, algorithm=number)
        refused(lambda message=message: message.verify(P256.public_key), "cose.algorithm")  # type: ignore[misc]


def test_a_message_of_another_payload_or_another_signature_is_refused() -> None:
    message = signed(SIGNERS["ML-DSA-44"])
    other = signed(SIGNERS["ML-DSA-44"], b"another")
    for payload, signature in ((other.payload, message.signature), (message.payload, other.signature)):
        forged = CoseSign1(message.protected, message.protected_map, {}, payload, signature)
        refused(lambda forged=forged: forged.verify(SIGNERS["ML-DSA-44"].public_key), "signature.invalid")  # type: ignore[misc]


# --- certificates and CRLs --------------------------------------------------------------------------------------------


def root(signer: Signer, *, asked: UnsafePostQuantum | None = ASKED, **changes: Any) -> Certificate:
    return build_certificate(
        IACA,
        **{
            "subject": Subject(**PLACE, common_name="Utopia IACA"),
            "public_key": signer.public_key,
            "issuer": None,
            "signer": signer,
            "not_before": NOW - DAY,
            "not_after": NOW + 1000 * DAY,
            **URIS,
            "post_quantum": asked,
            **changes,
        },
    )


def document_signer(
    issuer: Certificate, signer: Signer, key: PublicKey, *, asked: UnsafePostQuantum | None = ASKED
) -> Certificate:
    return build_certificate(
        DOCUMENT_SIGNER,
        subject=Subject(**PLACE, common_name="Utopia DS"),
        public_key=key,
        issuer=issuer,
        signer=signer,
        not_before=NOW - DAY,
        not_after=NOW + 100 * DAY,
        **URIS,
        post_quantum=asked,
    )


def crl(issuer: Certificate, signer: Signer, *, asked: UnsafePostQuantum | None = ASKED) -> Crl:
    return build_crl(issuer, signer, number=1, this_update=NOW, next_update=NOW + DAY, post_quantum=asked)


ROOT_KEY, DS_KEY = SIGNERS["ML-DSA-65"], SIGNERS["ML-DSA-44"]
ROOT = root(ROOT_KEY)
DS = document_signer(ROOT, ROOT_KEY, DS_KEY.public_key)
P256_ROOT = root(P256)


def der(tag: int, content: bytes) -> bytes:
    return bytes((tag, 0x82)) + len(content).to_bytes(2) + content


def signed_again(certificate: Certificate, key: Signer, change: Callable[[bytes], bytes]) -> Certificate:
    """The certificate with a changed body and algorithm, truly signed by its issuer's key."""
    body = change(certificate.tbs)
    algorithm = change(certificate.der[certificate.der.index(certificate.tbs) + len(certificate.tbs) :][:13])
    return Certificate(der(0x30, body + algorithm + der(0x03, b"\0" + key.sign(body))))


def test_certificates_and_crls_are_built_with_the_identifiers_of_the_table_and_verify() -> None:
    assert ROOT.algorithm.oid == ROOT.inner_algorithm.oid == FACTS["ML-DSA-65"][1]
    assert DS.algorithm.oid == FACTS["ML-DSA-65"][1]
    assert ROOT.algorithm.parameters is None
    assert len(DS.signature) == FACTS["ML-DSA-65"][3]
    assert DS.key_for(ASKED) == DS_KEY.public_key
    DS.verify_signature(ROOT.key_for(ASKED))
    crl(ROOT, ROOT_KEY).verify_signature(ROOT.key_for(ASKED))


@pytest.mark.parametrize("name", NAMES)
def test_a_custodian_of_any_level_signs_certificates(name: str) -> None:
    root(SIGNERS[name]).verify_signature(SIGNERS[name].public_key)
    dressed: Any = x509_signing_key(SIGNERS[name], post_quantum=ASKED)
    for secret in (dressed.private_bytes_raw, lambda: dressed.sign_mu(bytes(64))):
        refused(secret, "signing.not_extractable")
    refused(lambda: dressed.sign(b"data", b"context"), "signing.context")


def test_a_custodian_that_signs_wrongly_is_found_out() -> None:
    class Broken:
        public_key = ROOT_KEY.public_key

        def __init__(self, signature: bytes) -> None:
            self.signature = signature

        def sign(self, data: bytes) -> bytes:
            return self.signature

    for size, code in ((3309, "signing.wrong_signature"), (3308, "signing.malformed_signature")):
        with pytest.raises(SigningError) as caught:
            root(Broken(bytes(size)))
        assert caught.value.code == code


def test_without_asking_nothing_of_it_is_built() -> None:
    refused(lambda: root(ROOT_KEY, asked=None), "build.key")
    refused(lambda: document_signer(P256_ROOT, P256, DS_KEY.public_key, asked=None), "build.key")
    refused(lambda: document_signer(ROOT, ROOT_KEY, P256.public_key, asked=None), "key.unsupported")
    refused(lambda: crl(ROOT, ROOT_KEY, asked=None), "key.unsupported")
    refused(lambda: build_csr(Subject(**PLACE, common_name="DS"), DS_KEY), "key.cannot_sign")


def test_what_else_breaks_a_profile_is_refused_as_ever() -> None:
    with pytest.raises(ProfileError) as caught:
        root(ROOT_KEY, contact_uri=None)
    assert [finding.rule for finding in caught.value.findings] == ["iaca.ian.missing"]


def test_without_asking_key_and_signature_are_findings_of_security_and_the_path_ends() -> None:
    found = {finding.rule: finding.security for finding in lint_certificate(DS, DOCUMENT_SIGNER, issuer=ROOT)}
    assert found == dict.fromkeys(("ds.signature.algorithm", "ds.signature.invalid", "ds.key.type"), True)
    assert all(finding.security for finding in lint_crl(crl(ROOT, ROOT_KEY), issuer=ROOT))
    refused(lambda: DS.public_key, "key.unsupported")
    result = validate_path(DS, [ROOT], at=NOW)
    assert (result.path.holds, result.path.code) == (False, "path.anchor_key")
    assert result.profile.holds is False


@pytest.mark.parametrize(
    ("anchor", "anchor_key", "key"),
    [(ROOT, ROOT_KEY, DS_KEY), (P256_ROOT, P256, DS_KEY), (ROOT, ROOT_KEY, P256)],
    ids=["ML-DSA only", "P-256 root", "P-256 document signer"],
)
def test_for_who_asked_the_same_are_notes_and_the_path_is_walked(
    anchor: Certificate, anchor_key: Signer, key: Signer
) -> None:
    certificate = document_signer(anchor, anchor_key, key.public_key)
    result = validate_path(certificate, [anchor], at=NOW, post_quantum=ASKED)
    assert all(fact.holds for fact in result.facts)
    rules = {finding.rule: finding.severity for finding in result.profile.findings}
    expected = {"ds.key.type": key is DS_KEY, "ds.signature.algorithm": anchor is ROOT}
    expected |= {"iaca.key.type": anchor is ROOT, "iaca.signature.algorithm": anchor is ROOT}
    assert rules == {rule: Severity.NOTE for rule, there in expected.items() if there}
    assert validate_path(certificate, [anchor], at=NOW).profile.holds is False


def test_what_was_asked_for_once_is_not_remembered_for_who_did_not_ask() -> None:
    for asked, holds in ((ASKED, True), (None, False), (ASKED, True)):
        result = validate_path(DS, [ROOT], at=NOW, post_quantum=asked)
        assert (result.path.holds, result.profile.holds) == (holds, holds)


@pytest.mark.parametrize(
    ("what", "change", "code"),
    [
        ("another level", lambda data: data.replace(OIDS["ML-DSA-65"], OIDS["ML-DSA-44"]), "path.signature_algorithm"),
        (
            "ECDSA",
            lambda data: data.replace(OIDS["ML-DSA-65"], bytes.fromhex("06092a864886f70d01010b")),
            "path.signature_algorithm",
        ),
    ],
)
def test_an_algorithm_identifier_that_is_not_the_issuer_key_s_refuses_a_true_signature(
    what: str, change: Callable[[bytes], bytes], code: str
) -> None:
    assert validate_path(signed_again(DS, ROOT_KEY, bytes), [ROOT], at=NOW, post_quantum=ASKED).path.holds
    forged = signed_again(DS, ROOT_KEY, change)
    assert validate_path(forged, [ROOT], at=NOW, post_quantum=ASKED).path.code == code, what


def test_a_forged_certificate_is_refused() -> None:
    thief = SoftwareSigner.generate("ML-DSA-65", post_quantum=ASKED)
    for forged, code in (
        (signed_again(DS, thief, bytes), "path.signature_invalid"),
        (Certificate(DS.der[:-1] + bytes((DS.der[-1] ^ 1,))), "path.signature_invalid"),
        (Certificate(DS.der.replace(b"Utopia DS", b"Utopia DZ")), "path.signature_invalid"),
    ):
        assert validate_path(forged, [ROOT], at=NOW, post_quantum=ASKED).path.code == code
    with pytest.raises(DecodeError):
        Certificate(DS.der[:-1])


def test_only_a_key_of_ml_dsa_is_excused_and_not_any_key_that_the_standard_lacks() -> None:
    unknown = signed_again(DS, ROOT_KEY, lambda data: data.replace(OIDS["ML-DSA-44"], OIDS["ML-DSA-44"][:-1] + b"\x1f"))
    found = {one.rule: one.security for one in lint_certificate(unknown, DOCUMENT_SIGNER, post_quantum=ASKED)}
    assert found["ds.key.type"] is True
    result = validate_path(unknown, [ROOT], at=NOW, post_quantum=ASKED)
    assert (result.path.holds, result.profile.holds) == (True, False)
    assert result.profile.code == "ds.key.type"


def test_a_root_that_claims_ml_dsa_over_its_key_of_the_standard_is_refused_by_everybody() -> None:
    ecdsa = bytes.fromhex("300a06082a8648ce3d040302")
    assert P256_ROOT.der.count(ecdsa) == 2
    claimed = b"\x30\x0b" + OIDS["ML-DSA-65"]
    body = P256_ROOT.tbs.replace(ecdsa, claimed)
    body = der(0x30, body[4:])
    liar = Certificate(der(0x30, body + claimed + der(0x03, b"\0" + ROOT_KEY.sign(body))))
    signer = document_signer(P256_ROOT, P256, SoftwareSigner.from_secret("P-256", 4711).public_key)
    for asked in (None, ASKED):
        result = validate_path(signer, [liar], at=NOW, post_quantum=asked)
        assert (result.path.holds, result.profile.code) == (True, "iaca.signature.algorithm")


def test_a_crl_is_held_to_its_issuer_s_key() -> None:
    honest = crl(ROOT, ROOT_KEY)
    assert {one.rule: one.severity for one in lint_crl(honest, issuer=ROOT, post_quantum=ASKED)} == {
        "crl.signature.algorithm": Severity.NOTE
    }
    forged = Crl(honest.der[:-1] + bytes((honest.der[-1] ^ 1,)))
    found = {one.rule: one.security for one in lint_crl(forged, issuer=ROOT, post_quantum=ASKED)}
    assert found == {"crl.signature.algorithm": False, "crl.signature.invalid": True}

"""The forge kit: reproducible, honest by default and checked by hand, and every knob turns something."""

import dataclasses
import hashlib
import hmac
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import cbor2
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mdl.cbor import Tag, decode_view, encode, wrap24
from mdl.doctypes import AAMVA_NAMESPACE, MDL_NAMESPACE, violations
from mdl.errors import DecodeError, UnsupportedError
from mdl.mdoc import DeviceResponse, device_authentication_bytes, device_mac_key
from mdl.pki import CRL, DOCUMENT_SIGNER, IACA, Certificate, Crl, lint_certificate, lint_crl
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    CertificateRecipe,
    DeviceAuth,
    Item,
    Presentation,
    Recipe,
    SeededEntropy,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    distinguished_name,
    pairs,
    present,
    raw,
    request_for,
    sample_image,
    sample_licence,
    sample_transcript,
    throwaway_authority,
    widen,
)

SIGNING_CURVES = (
    *("P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"),
    *("Ed25519", "Ed448"),
)
DOMESTIC = "org.iso.18013.5.1.US-UT"

# --- entropy and keys -------------------------------------------------------------------------------------------------


def test_entropy_is_the_same_for_the_same_seed_and_never_repeats() -> None:
    first, again, other = SeededEntropy("a"), SeededEntropy("a"), SeededEntropy("b")
    drawn = [first(32) for _ in range(50)]
    assert drawn == [again(32) for _ in range(50)]
    assert len({*drawn, *(other(32) for _ in range(50))}) == 100


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 1000])
def test_entropy_gives_as_many_bytes_as_asked_for(size: int) -> None:
    assert len(SeededEntropy("a")(size)) == size


@pytest.mark.parametrize("curve", SIGNING_CURVES)
def test_a_key_follows_from_its_name_and_curve(curve: str) -> None:
    key = deterministic_key("somebody", curve)
    assert key.public_key.curve.name == curve
    assert key is deterministic_key("somebody", curve)
    assert key.public_key != deterministic_key("somebody else", curve).public_key
    signature = key.sign(b"message")
    assert signature == key.sign(b"message")
    key.public_key.verify(signature, b"message")


def test_keys_of_one_name_on_two_curves_have_nothing_in_common() -> None:
    p256 = deterministic_key("a", "P-256").public_key.point[1:33]
    assert deterministic_key("a", "brainpoolP256r1").public_key.point[1:33] != p256


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "brainpoolP512r1", "X25519", "X448"])
def test_two_ephemeral_keys_agree(curve: str) -> None:
    one, two = deterministic_ephemeral_key("one", curve), deterministic_ephemeral_key("two", curve)
    assert one.agree(two.public_key) == two.agree(one.public_key)


def test_a_key_that_cannot_be_made_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        deterministic_key("a", "X25519")
    with pytest.raises(UnsupportedError):
        deterministic_ephemeral_key("a", "Ed25519")
    with pytest.raises(UnsupportedError):
        deterministic_key("a", "P-224")


# --- certificates -----------------------------------------------------------------------------------------------------


def as_x509(certificate: Certificate | bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(certificate if isinstance(certificate, bytes) else certificate.der)


@pytest.mark.parametrize("state", ["US-UT", None])
@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"])
def test_root_signer_and_crl_are_of_the_regular_profile(curve: str, state: str | None) -> None:
    authority = ThrowawayAuthority(curve=curve, ds_curve=curve, state=state)
    root, signer = authority.iaca_certificate, authority.ds_certificate
    assert lint_certificate(root, IACA, at=TEST_TIME) == ()
    assert lint_certificate(signer, DOCUMENT_SIGNER, issuer=root, at=TEST_TIME) == ()
    crl = Crl(authority.crl(revoked=[signer.serial]))
    assert lint_crl(crl, issuer=root, at=TEST_TIME, profile=CRL) == ()
    assert lint_crl(Crl(authority.crl()), issuer=root, at=TEST_TIME) == ()
    as_x509(signer).verify_directly_issued_by(as_x509(root))
    as_x509(root).verify_directly_issued_by(as_x509(root))
    assert authority.anchors == (root,)


@pytest.mark.parametrize("curve", ["Ed25519", "Ed448"])
def test_a_document_signer_may_have_an_edwards_key(curve: str) -> None:
    authority = ThrowawayAuthority(ds_curve=curve)
    findings = lint_certificate(authority.ds_certificate, DOCUMENT_SIGNER, issuer=authority.iaca_certificate)
    assert findings == ()


def test_another_name_or_generation_gives_other_keys() -> None:
    first, second, other = ThrowawayAuthority(), ThrowawayAuthority(generation=2), ThrowawayAuthority("Other")
    assert first.iaca_certificate.subject == second.iaca_certificate.subject
    assert first.ds_certificate.subject == second.ds_certificate.subject
    assert first.iaca_certificate.subject != other.iaca_certificate.subject
    keys = {key.public_key for one in (first, second, other) for key in (one.iaca_key, one.ds_key)}
    assert len(keys) == 6


# Changes, and what the linter finds then.
DEVIANT: dict[str, tuple[dict[str, Any], set[str]]] = {
    "purpose": (
        {"extensions": {"eku": (x509.ExtendedKeyUsage([x509.OID_SERVER_AUTH]), True)}},
        {"ds.eku.purpose", "ds.eku.extra"},
    ),
    "ca": ({"extensions": {"bc": (x509.BasicConstraints(ca=True, path_length=None), True)}}, {"ds.bc.ca"}),
    "aki": ({"extensions": {"aki": None}}, {"ds.aki.missing"}),
    "expired": ({"not_after": TEST_TIME - timedelta(days=1)}, {"ds.validity.past"}),
    "country": ({"subject": distinguished_name(C="DE", ST="US-UT", CN="x")}, {"ds.issuer.country"}),
    "stranger": ({"signer": deterministic_key("stranger")}, {"ds.signature.invalid"}),
}


@pytest.mark.parametrize("name", DEVIANT)
def test_a_deviant_document_signer_deviates_as_it_is_told_to(name: str) -> None:
    changes, found = DEVIANT[name]
    authority = throwaway_authority()
    deviant = Certificate(authority.deviant_ds(**changes))
    findings = lint_certificate(deviant, DOCUMENT_SIGNER, issuer=authority.iaca_certificate, at=TEST_TIME)
    assert {finding.rule for finding in findings} == found


def test_the_body_can_be_changed_before_it_is_signed() -> None:
    authority = throwaway_authority()

    def older(body: bytes) -> bytes:
        assert body.count(b"\xa0\x03\x02\x01\x02") == 1
        return body.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01")

    deviant = Certificate(authority.deviant_ds(change_body=older))
    assert deviant.version == 2
    root_key = as_x509(authority.iaca_certificate).public_key()
    assert isinstance(root_key, ec.EllipticCurvePublicKey)
    root_key.verify(deviant.signature, deviant.tbs, ec.ECDSA(hashes.SHA256()))
    unchanged = authority.deviant_ds(change_body=lambda body: body)
    assert unchanged == authority.ds_certificate.der


def test_an_edwards_root_signs_bodies_too() -> None:
    key = deterministic_key("edwards root", "Ed25519")
    recipe = throwaway_authority().iaca_recipe.with_changes(public_key=key.public_key, signer=key)
    assert recipe.with_changes(change_body=lambda body: body).build() == recipe.build()
    as_x509(recipe.build()).verify_directly_issued_by(as_x509(recipe.build()))


def test_a_long_body_keeps_a_right_length() -> None:
    nonsense = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(70_000))
    authority = throwaway_authority()
    der = authority.deviant_ds(extensions={"nonsense": (nonsense, False)}, change_body=lambda body: body)
    assert der == authority.deviant_ds(extensions={"nonsense": (nonsense, False)})


def test_another_digest_can_be_signed() -> None:
    der = throwaway_authority().deviant_ds(digest=hashes.SHA512())
    assert isinstance(as_x509(der).signature_hash_algorithm, hashes.SHA512)
    as_x509(der).verify_directly_issued_by(as_x509(throwaway_authority().iaca_certificate))


def test_the_serial_number_follows_from_subject_and_key_or_is_given() -> None:
    authority = throwaway_authority()
    assert Certificate(authority.deviant_ds(serial=5)).serial == 5
    other_key = Certificate(authority.deviant_ds(public_key=deterministic_key("x").public_key))
    assert other_key.serial != authority.ds_certificate.serial
    assert 120 < authority.ds_certificate.serial.bit_length() < 128


def test_a_crl_can_be_bent() -> None:
    authority = throwaway_authority()
    regular = x509.load_der_x509_crl(authority.crl(revoked=[7, 9], number=3))
    assert [entry.serial_number for entry in regular] == [7, 9]
    assert regular.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    root_key = as_x509(authority.iaca_certificate).public_key()
    assert isinstance(root_key, ec.EllipticCurvePublicKey)
    assert regular.is_signature_valid(root_key)
    assert regular.next_update_utc is not None
    assert regular.last_update_utc < TEST_TIME < regular.next_update_utc

    stranger = deterministic_key("stranger", "Ed25519")
    name = distinguished_name(C="US", CN="Somebody else")
    bent = x509.load_der_x509_crl(
        authority.crl(
            signer=stranger,
            issuer=name,
            this_update=TEST_TIME - timedelta(days=9),
            next_update=TEST_TIME - timedelta(days=2),
            extensions={"number": None},
        )
    )
    assert bent.issuer == name
    assert len(bent.extensions) == 1
    assert bent.next_update_utc == TEST_TIME - timedelta(days=2)
    assert bent.is_signature_valid(stranger.public_key.key)  # type: ignore[arg-type]


# --- the licence ------------------------------------------------------------------------------------------------------


def test_the_sample_licence_may_be_issued() -> None:
    licence = sample_licence(aamva=True)
    assert violations(MDL_DOCTYPE, licence, valid_from=TEST_TIME) == ()
    assert violations(MDL_DOCTYPE, sample_licence(), valid_from=TEST_TIME) == ()
    assert len(licence[MDL_NAMESPACE]) == 31
    assert AAMVA_NAMESPACE not in sample_licence()


def test_the_sample_licence_is_of_the_place_of_the_throwaway_authority() -> None:
    elements = sample_licence()[MDL_NAMESPACE]
    subject = throwaway_authority().ds_certificate.subject
    assert (elements["issuing_country"], elements["issuing_jurisdiction"]) == (subject.country, subject.state)


def test_the_portrait_looks_like_a_jpeg_of_the_size_asked_for() -> None:
    portrait = sample_licence()[MDL_NAMESPACE]["portrait"]
    assert len(portrait) == 20_000
    assert portrait.startswith(b"\xff\xd8\xff")
    assert portrait.endswith(b"\xff\xd9")
    assert len(sample_image(300)) == 300


def test_each_caller_gets_a_licence_of_his_own() -> None:
    sample_licence()[MDL_NAMESPACE]["family_name"] = "Changed"
    assert sample_licence()[MDL_NAMESPACE]["family_name"] == "Mustermann"


# --- an honest presentation, checked by hand --------------------------------------------------------------------------


def load(data: bytes) -> Any:
    """The message by the library alone, with tags 0 and 1004 as the library understands them."""
    return cbor2.loads(data)


def verify_raw(key: object, signature: bytes, data: bytes) -> None:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))


def device_authentication(presentation: Presentation, document: Mapping[str, Any]) -> bytes:
    """DeviceAuthenticationBytes, by the library alone; the transcript is spliced in as it is."""
    spaces = cbor2.dumps(cbor2.CBORTag(24, document["deviceSigned"]["nameSpaces"].value))
    content = b"\x84" + cbor2.dumps("DeviceAuthentication") + presentation.transcript.encoded
    content += cbor2.dumps(document["docType"]) + spaces
    return cbor2.dumps(cbor2.CBORTag(24, content))


@pytest.mark.parametrize("form", [DeviceAuth.SIGNATURE, DeviceAuth.MAC])
def test_an_honest_presentation_verifies_by_hand(form: DeviceAuth) -> None:
    presentation = present(device_auth=form, namespaces=sample_licence(aamva=True), decoys=3)
    response = load(presentation.response)
    assert (response["version"], response["status"], list(response)) == ("1.0", 0, ["version", "documents", "status"])
    (document,) = response["documents"]

    protected, unprotected, payload, signature = document["issuerSigned"]["issuerAuth"]
    signer = x509.load_der_x509_certificate(unprotected[33])
    signer.verify_directly_issued_by(as_x509(presentation.anchors[0]))
    assert protected == bytes.fromhex("a10126")
    verify_raw(signer.public_key(), signature, cbor2.dumps(["Signature1", protected, b"", payload]))

    assert payload[:2] == bytes.fromhex("d818")
    mso = load(load(payload).value)
    assert mso["version"] == "1.0"
    assert mso["digestAlgorithm"] == "SHA-256"
    assert mso["docType"] == document["docType"] == MDL_DOCTYPE
    validity = mso["validityInfo"]
    assert signer.not_valid_before_utc < validity["signed"] <= validity["validFrom"] < presentation.at
    assert presentation.at < validity["validUntil"] < signer.not_valid_after_utc
    assert "keyAuthorizations" not in mso["deviceKeyInfo"]
    seen = {}
    for namespace, items in document["issuerSigned"]["nameSpaces"].items():
        digests = dict(mso["valueDigests"][namespace])
        for tagged in items:
            item = load(tagged.value)
            assert digests.pop(item["digestID"]) == hashlib.sha256(cbor2.dumps(tagged)).digest()
            assert list(item) == ["digestID", "random", "elementIdentifier", "elementValue"]
            assert len(item["random"]) == 32
            seen[namespace, item["elementIdentifier"]] = item["random"]
        assert len(digests) == 3  # the decoys
    assert len(set(seen.values())) == len(seen) == 38

    cose_key = mso["deviceKeyInfo"]["deviceKey"]
    device_key = ec.EllipticCurvePublicNumbers(
        int.from_bytes(cose_key[-2]), int.from_bytes(cose_key[-3]), ec.SECP256R1()
    ).public_key()
    authenticated = device_authentication(presentation, document)
    device_auth = document["deviceSigned"]["deviceAuth"]
    if form is DeviceAuth.SIGNATURE:
        protected, unprotected, payload, signature = device_auth.pop("deviceSignature")
        verify_raw(device_key, signature, cbor2.dumps(["Signature1", protected, b"", authenticated]))
    else:
        protected, unprotected, payload, tag = device_auth.pop("deviceMac")
        reader_key = presentation.reader_key._key
        assert isinstance(reader_key, ec.EllipticCurvePrivateKey)
        salt = hashlib.sha256(cbor2.dumps(cbor2.CBORTag(24, presentation.transcript.encoded))).digest()
        shared = reader_key.exchange(ec.ECDH(), device_key)
        mac_key = HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=b"EMacKey").derive(shared)
        assert protected == bytes.fromhex("a10105")
        assert tag == hmac.digest(mac_key, cbor2.dumps(["MAC0", protected, b"", authenticated]), "sha256")
    assert (unprotected, payload, device_auth) == ({}, None, {})


@pytest.mark.parametrize("curve", SIGNING_CURVES)
def test_every_curve_serves_issuer_and_device(curve: str) -> None:
    authority = ThrowawayAuthority(ds_curve=curve)
    presentation = present(authority=authority, device_key=deterministic_key("device", curve), disclose={"sex"})
    (document,) = DeviceResponse.decode(presentation.response).documents
    document.issuer_signed.issuer_auth.verify(authority.ds_key.public_key)
    assert document.device_signed is not None
    assert document.device_signed.signature is not None
    payload = device_authentication_bytes(
        presentation.transcript, document.doctype, document.device_signed.name_spaces_bytes.raw
    )
    device_key = document.issuer_signed.security_object().device_public_key
    document.device_signed.signature.verify(device_key, detached=payload)


def test_a_device_key_that_only_agrees_secrets_serves_a_mac() -> None:
    reader_key = deterministic_ephemeral_key("reader", "X25519")
    device_key = deterministic_ephemeral_key("device", "X25519")
    presentation = present(device_auth=DeviceAuth.MAC, device_key=device_key, reader_key=reader_key, disclose={"sex"})
    (document,) = DeviceResponse.decode(presentation.response).documents
    assert document.device_signed is not None
    assert document.device_signed.mac is not None
    payload = device_authentication_bytes(
        presentation.transcript, document.doctype, document.device_signed.name_spaces_bytes.raw
    )
    key = device_mac_key(presentation.reader_key, device_key.public_key, presentation.transcript)
    document.device_signed.mac.verify(key, detached=payload)


def requested(presentation: Presentation) -> list[tuple[str, dict[str, list[str]]]]:
    items = [one.items_request for one in presentation.request.doc_requests]
    return [(one.doctype, {space: list(names) for space, names in one.name_spaces.items()}) for one in items]


def test_the_request_is_for_just_what_is_sent() -> None:
    presentation = present(
        disclose={"family_name", "sex"},
        namespaces=sample_licence(aamva=True),
        device_elements={DOMESTIC: {"pin": 1}, AAMVA_NAMESPACE: {"mood": 1}},
        key_authorizations={"nameSpaces": [DOMESTIC, AAMVA_NAMESPACE]},
    )
    wanted = {MDL_NAMESPACE: ["family_name", "sex"], AAMVA_NAMESPACE: ["sex", "mood"], DOMESTIC: ["pin"]}
    assert requested(presentation) == [(MDL_DOCTYPE, wanted)]


def test_one_asks_for_all_where_nothing_is_sent() -> None:
    presentation = present(disclose=())
    assert requested(presentation) == [(MDL_DOCTYPE, {MDL_NAMESPACE: list(sample_licence()[MDL_NAMESPACE])})]
    assert "nameSpaces" not in load(presentation.response)["documents"][0]["issuerSigned"]


def test_several_documents_share_response_and_session() -> None:
    other = Recipe(
        doctype="org.example.library",
        namespaces={"org.example": {"card": 7}},
        authority=ThrowawayAuthority("Library"),
        transcript=sample_transcript(deterministic_ephemeral_key("nobody").public_key),
    )
    presentation = Recipe(disclose={"sex"}).present(other, other)
    documents = DeviceResponse.decode(presentation.response).documents
    assert [one.doctype for one in documents] == [MDL_DOCTYPE, "org.example.library", "org.example.library"]
    assert [doctype for doctype, _ in requested(presentation)] == [one.doctype for one in documents]
    assert presentation.anchors == (*throwaway_authority().anchors, *other.authority.anchors)
    for document in documents:
        assert document.device_signed is not None
        assert document.device_signed.signature is not None
        payload = device_authentication_bytes(
            presentation.transcript, document.doctype, document.device_signed.name_spaces_bytes.raw
        )
        document.device_signed.signature.verify(deterministic_key("device").public_key, detached=payload)


def test_what_is_issued_is_everything() -> None:
    issued = load(Recipe(disclose={"sex"}).issue())
    presented = load(present(disclose={"sex"}).response)["documents"][0]["issuerSigned"]
    assert len(issued["nameSpaces"][MDL_NAMESPACE]) == 31
    assert len(presented["nameSpaces"][MDL_NAMESPACE]) == 1
    assert issued["issuerAuth"] == presented["issuerAuth"]


# --- reproducible -----------------------------------------------------------------------------------------------------

RICH = """
from mdl.mdoc import DeviceResponse
from mdl.testing import *
rich = Recipe(
    namespaces=sample_licence(aamva=True), disclose={"sex", "portrait", "family_name", "veteran"} - {"veteran"},
    decoys=4, device_elements={name: {"a": 1, "b": 2} for name in ("org.x", "org.y", "org.z")},
    key_authorizations={"nameSpaces": ["org.x", "org.y", "org.z"]},
    authority=ThrowawayAuthority(curve="P-384", ds_curve="brainpoolP512r1"),
)
presentation = rich.present(Recipe(device_auth=DeviceAuth.MAC), Recipe(device_key=deterministic_key("d", "Ed448")))
parts = [presentation.response, presentation.transcript.encoded, presentation.request.encode(), rich.issue(),
    presentation.reader_key.to_pkcs8(), rich.authority.crl(revoked=[5]), *(one.der for one in presentation.anchors)]
"""


def test_the_same_recipe_gives_the_same_bytes_twice() -> None:
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    exec(RICH, first)
    exec(RICH, second)
    assert first["parts"] == second["parts"]


def test_the_same_recipe_gives_the_same_bytes_in_every_process() -> None:
    script = RICH + "import hashlib\nprint([hashlib.sha256(part).hexdigest() for part in parts])"
    printed = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1
    here: dict[str, Any] = {}
    exec(RICH, here)
    assert printed == {f"{[hashlib.sha256(part).hexdigest() for part in here['parts']]}\n"}


def test_a_recipe_can_be_used_again() -> None:
    recipe = Recipe(items={"sex": {"value": 1}}, mutate_mso=lambda mso: mso.update(extra=1))
    assert recipe.present() == recipe.present()
    assert recipe.issue() == recipe.issue()


# --- every knob -------------------------------------------------------------------------------------------------------


def tamper(signed: dict[str, Any]) -> None:
    signed["nameSpaces"][MDL_NAMESPACE].pop()


OTHER_KEY = deterministic_key("somebody else")
OTHER_READER = deterministic_ephemeral_key("other reader")
OTHER_SESSION = sample_transcript(OTHER_READER.public_key)
KNOBS: dict[str, Any] = {
    "seed": "other",
    "at": TEST_TIME + timedelta(hours=1),
    "authority": ThrowawayAuthority("Other"),
    "doctype": "org.example",
    "namespaces": {MDL_NAMESPACE: {"sex": 2}},
    "disclose": {"sex"},
    "items": {"sex": {"value": 1}},
    "mutate_items": lambda items: items.reverse(),
    "random_size": 16,
    "decoys": 1,
    "mso_version": "1.1",
    "digest_algorithm": "SHA-512",
    "digest_hash": "sha384",
    "mso_doctype": "",
    "signed": TEST_TIME - timedelta(days=2),
    "valid_from": TEST_TIME,
    "valid_until": TEST_TIME,
    "expected_update": TEST_TIME,
    "device_key": OTHER_KEY,
    "mso_device_key": {},
    "key_authorizations": {},
    "mso_status": {},
    "mso_extra": {"x": 1},
    "mutate_mso": lambda mso: mso.pop("docType"),
    "encode_mso": lambda mso: encode(mso) + b"\x00",
    "wrap_mso": lambda encoded: b"\xd8\x18" + widen(encode(encoded), 8),
    "issuer_key": OTHER_KEY,
    "issuer_protected": b"",
    "x5chain": (),
    "issuer_unprotected": {},
    "issuer_signature": b"",
    "mutate_issuer_signed": tamper,
    "document_doctype": "",
    "device_elements": {DOMESTIC: {"pin": 1}},
    "device_name_spaces": b"",
    "device_auth": DeviceAuth.BOTH,
    "device_signer": OTHER_KEY,
    "device_protected": {},
    "device_transcript": OTHER_SESSION,
    "device_doctype": "",
    "reader_key": OTHER_READER,
    "transcript": OTHER_SESSION,
    "request": request_for((MDL_DOCTYPE, {MDL_NAMESPACE: ["sex"]})),
    "cose_tags": True,
    "response_version": "1.1",
    "response_status": 10,
    "response_extra": {"x": 1},
    "mutate_response": lambda response: response.pop("documents"),
    "encode_response": lambda response: encode(response) + b"\x00",
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Recipe)])
def test_every_knob_of_a_recipe_turns_something(name: str) -> None:
    turned = present(**{name: KNOBS[name]})
    assert turned != present()
    if name != "request":
        assert turned.response != present().response


ITEM_KNOBS: dict[str, Any] = {
    "namespace": DOMESTIC,
    "identifier": "gender",
    "value": 9,
    "digest_id": 900,
    "random": b"",
    "order": ("random", "digestID", "elementIdentifier", "elementValue"),
    "extra": {"x": 1},
    "length_size": 2,
    "encoded": wrap24(b"\xa0"),
    "listed": False,
    "digest": b"",
    "disclosed": False,
    "presented": {"elementValue": 9},
    "sent": b"\x00",
    "copies": 2,
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Item)])
def test_every_knob_of_an_item_turns_something(name: str) -> None:
    assert present(items={"sex": {name: ITEM_KNOBS[name]}}).response != present().response


CERTIFICATE_KNOBS: dict[str, Any] = {
    "subject": distinguished_name(CN="x"),
    "issuer": distinguished_name(CN="x", OU="y", O="z", L="w"),
    "public_key": OTHER_KEY.public_key,
    "signer": OTHER_KEY,
    "not_before": TEST_TIME,
    "not_after": TEST_TIME,
    "extensions": {"ski": None},
    "serial": 1,
    "digest": hashes.SHA384(),
    "change_body": lambda body: body[:-1] + b"x",
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(CertificateRecipe)])
def test_every_knob_of_a_certificate_turns_something(name: str) -> None:
    authority = throwaway_authority()
    assert authority.deviant_ds(**{name: CERTIFICATE_KNOBS[name]}) != authority.ds_certificate.der


# --- what is signed and what is not -----------------------------------------------------------------------------------


def issuer_signature_holds(presentation: Presentation) -> bool:
    issuer_auth = load(presentation.response)["documents"][0]["issuerSigned"]["issuerAuth"]
    protected, _, payload, signature = issuer_auth
    try:
        verify_raw(
            throwaway_authority().ds_key.public_key.key,
            signature,
            cbor2.dumps(["Signature1", protected, b"", payload]),
        )
    except InvalidSignature:
        return False
    return True


def digest_holds(presentation: Presentation) -> bool:
    """Whether every item that is sent has its digest."""
    signed = load(presentation.response)["documents"][0]["issuerSigned"]
    mso = load(load(signed["issuerAuth"][2]).value)
    return all(
        mso["valueDigests"][space].get(load(item.value).get("digestID")) == hashlib.sha256(cbor2.dumps(item)).digest()
        for space, items in signed["nameSpaces"].items()
        for item in items
    )


@pytest.mark.parametrize(
    ("changes", "digests_hold"),
    [
        ({"items": {"sex": {"value": 1}}}, True),
        ({"items": {"sex": {"extra": {"x": 1}}}}, True),
        ({"items": {"sex": {"presented": {"elementValue": 1}}}}, False),
        ({"items": {"sex": {"sent": wrap24(encode({"digestID": 16}))}}}, False),
        ({"items": {"sex": {"digest": bytes(32)}}}, False),
        ({"items": {"sex": {"listed": False}}}, False),
        ({"mutate_mso": lambda mso: mso.update(extra=1)}, True),
        ({"mutate_mso": lambda mso: mso["valueDigests"][MDL_NAMESPACE].clear()}, False),
    ],
)
def test_what_the_issuer_does_is_signed_and_what_is_sent_otherwise_is_not_in_the_digests(
    changes: dict[str, Any], digests_hold: bool
) -> None:
    presentation = present(disclose={"sex"}, **changes)
    assert issuer_signature_holds(presentation)
    assert digest_holds(presentation) is digests_hold


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer_key": OTHER_KEY},
        {"issuer_signature": bytes(64)},
        {"mutate_issuer_signed": lambda signed: signed["issuerAuth"].__setitem__(2, wrap24(encode({})))},
    ],
)
def test_a_forged_issuer_signature_does_not_hold(changes: dict[str, Any]) -> None:
    assert issuer_signature_holds(present())
    assert not issuer_signature_holds(present(**changes))


def test_an_item_with_a_long_head_has_the_digest_of_its_long_form() -> None:
    presentation = present(items={"sex": {"length_size": 8}}, disclose={"sex"})
    (document,) = DeviceResponse.decode(presentation.response).documents
    (item,) = document.issuer_signed.name_spaces[MDL_NAMESPACE]
    assert item.raw[:3] == b"\xd8\x18\x5b"
    digests = document.issuer_signed.security_object().value_digests[MDL_NAMESPACE]
    assert hashlib.sha256(item.raw).digest() in digests.values()
    assert hashlib.sha256(wrap24(item.content)).digest() not in digests.values()


@pytest.mark.parametrize(
    ("form", "members"),
    [
        (DeviceAuth.SIGNATURE, ["deviceSignature"]),
        (DeviceAuth.MAC, ["deviceMac"]),
        (DeviceAuth.BOTH, ["deviceSignature", "deviceMac"]),
        (DeviceAuth.NONE, []),
    ],
)
def test_each_form_of_device_authentication(form: DeviceAuth, members: list[str]) -> None:
    document = load(present(device_auth=form).response)["documents"][0]
    assert list(document["deviceSigned"]["deviceAuth"]) == members


def test_cose_messages_can_be_tagged() -> None:
    document = decode_view(present(cose_tags=True, device_auth=DeviceAuth.BOTH).response)["documents"][0]
    device_auth = document["deviceSigned"]["deviceAuth"]
    messages = (document["issuerSigned"]["issuerAuth"], device_auth["deviceSignature"], device_auth["deviceMac"])
    assert [type(message) for message in messages] == [Tag, Tag, Tag]
    assert [message.number for message in messages] == [18, 18, 17]


def test_a_replay_is_authenticated_in_one_session_and_shown_in_another() -> None:
    replay = present(device_transcript=OTHER_SESSION)
    assert replay.transcript == present().transcript != OTHER_SESSION
    (document,) = DeviceResponse.decode(replay.response).documents
    assert document.device_signed is not None
    assert document.device_signed.signature is not None
    spaces = document.device_signed.name_spaces_bytes.raw
    document.device_signed.signature.verify(
        deterministic_key("device").public_key,
        detached=device_authentication_bytes(OTHER_SESSION, MDL_DOCTYPE, spaces),
    )


@pytest.mark.parametrize("changes", [{"disclose": {"sexx"}}, {"items": {"sexx": {"value": 1}}}])
def test_a_misspelt_identifier_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="sexx"):
        present(**changes)


@pytest.mark.parametrize("changes", [{"items": {"sex": {"valeu": 1}}}, {"dislcose": {"sex"}}])
def test_a_misspelt_knob_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        present(**changes)


# --- CBOR out of the ordinary -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 23, 24, 1000, -1, b"x" * 30, "text", [1, 2], {"a": 1}])
@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_widened_item_reads_as_the_same_value(value: Any, size: int) -> None:
    widened = widen(encode(value), size)
    assert widened[0] & 31 == {2: 25, 4: 26, 8: 27}[size]
    assert decode_view(widened) == value
    assert widen(widened, 8) == widen(encode(value), 8)


def test_a_small_item_can_be_widened_to_one_byte() -> None:
    assert widen(b"\x05", 1) == b"\x18\x05"
    assert widen(b"\x42xy", 1) == b"\x58\x02xy"


def test_pairs_can_repeat_a_key_and_the_decoder_sees_it() -> None:
    assert encode(pairs([("a", 1), ("b", 2)])) == encode({"a": 1, "b": 2})
    with pytest.raises(DecodeError):
        decode_view(encode(pairs([("a", 1), ("a", 1)])))


def test_raw_bytes_are_written_as_they_are() -> None:
    assert encode([raw(b"\x9f\xff"), 1]) == b"\x82\x9f\xff\x01"


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "a duplicate key in the response": lambda response: response.update(
        documents=[pairs([*response["documents"][0].items(), ("docType", MDL_DOCTYPE)])]
    ),
    "an indefinite array": lambda response: response.update(documents=raw(b"\x9f\xff")),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_hook_can_write_what_no_encoder_would(name: str) -> None:
    with pytest.raises(DecodeError):
        DeviceResponse.decode(present(mutate_response=BROKEN[name]).response)

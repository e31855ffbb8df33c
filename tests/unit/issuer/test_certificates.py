"""The authority's life cycle, and the second reading that stands before everything it hands out."""

import contextlib
import hashlib
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import core, crl, csr, keys, parser, x509
from asn1crypto.algos import SignedDigestAlgorithm
from cryptography import x509 as builder
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from issuer import certificates, second_reading
from issuer.certificates import Iaca, request_document_signer
from mdl.errors import (
    DecodeError,
    IssuanceError,
    MdlError,
    ProfileError,
    SigningError,
    UnsupportedError,
    VerificationError,
)
from mdl.keys import CURVES, PublicKey, Signer, SoftwareSigner
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    CertificateRequest,
    Crl,
    NameForm,
    RevokedCertificate,
    Subject,
    build_csr,
    lint_certificate,
    lint_crl,
    validate_path,
)
from mdl.testing import deterministic_key
from tests import x509_forgery as forgery

NOW = datetime(2026, 3, 4, 5, 6, 7, 891_011, tzinfo=UTC)
SECOND = NOW.replace(microsecond=0)
SUBJECT = Subject(country="US", state="US-UT", organization="Ütah DMV", common_name="Utah IACA")
WISH = Subject(country="US", state="US-UT", common_name="what the requester would like")
CRL_URI = "https://pki.utah.example/caf%C3%A9.crl"
SERIAL = 2**150 + 4711
EMAIL, CONTACT_URI = "pki@utah.example", "https://utah.example/%41"
ROOT_KEY = deterministic_key("authority root")
DS_KEY = deterministic_key("authority ds")
EC_CURVES = [name for name, curve in CURVES.items() if curve.ec is not None]
SIGNING = [name for name, curve in CURVES.items() if curve.algorithm is not None]


def create(signer: Signer = ROOT_KEY, **changes: Any) -> Iaca:
    arguments: dict[str, Any] = {
        "subject": SUBJECT,
        "not_before": NOW,
        "crl_uri": CRL_URI,
        "contact_email": EMAIL,
        "contact_uri": CONTACT_URI,
    }
    return Iaca.create(signer, **(arguments | changes))


@pytest.fixture(scope="module")
def iaca() -> Iaca:
    return create()


@pytest.fixture(scope="module")
def request_() -> CertificateRequest:
    return request_document_signer(DS_KEY, WISH)


# --- The root --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", EC_CURVES)
def test_root_has_its_profile(curve: str) -> None:
    signer = SoftwareSigner.generate(curve)
    root = create(signer).certificate
    assert lint_certificate(root, IACA) == ()
    assert root.subject == root.issuer
    assert root.public_key == signer.public_key
    assert (root.not_before, root.not_after) == (SECOND, SECOND + timedelta(days=3285))
    assert root.crl_uris == (CRL_URI,)
    names = root.issuer_alternative_name
    assert names is not None
    assert [(name.form, name.value) for name in names] == [(NameForm.EMAIL, EMAIL), (NameForm.URI, CONTACT_URI)]


def test_root_of_an_edwards_key_is_refused() -> None:
    with pytest.raises(ProfileError):
        create(SoftwareSigner.generate("Ed25519"))


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": NOW + timedelta(days=7300)},
        {"not_after": NOW - timedelta(days=1)},
        {"crl_uri": "ldap://x"},
        {"contact_email": None, "contact_uri": None},
    ],
)
def test_root_outside_its_profile_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        create(**changes)


def test_time_without_a_zone_is_a_mistake() -> None:
    with pytest.raises(ValueError):
        create(not_before=NOW.replace(tzinfo=None))


def test_serial_numbers_are_drawn_or_given() -> None:
    drawn = {create().certificate.serial for _ in range(8)}
    assert len(drawn) == 8
    assert all(2**100 < serial < 2**159 for serial in drawn)
    assert create(serial=SERIAL).certificate.serial == SERIAL


def test_root_is_loaded_with_its_custodian(iaca: Iaca) -> None:
    for form in (iaca.certificate, iaca.certificate.der, iaca.certificate.pem.encode()):
        assert Iaca.load(form, ROOT_KEY).certificate == iaca.certificate


def test_root_is_not_loaded_with_another_custodian(iaca: Iaca) -> None:
    with pytest.raises(ProfileError) as caught:
        Iaca.load(iaca.certificate, DS_KEY)
    assert caught.value.code == "iaca.key"


def test_document_signer_is_not_loaded_as_a_root(iaca: Iaca, request_: CertificateRequest) -> None:
    ds = iaca.issue_document_signer(request_, common_name="DS 1", not_before=NOW)
    with pytest.raises(ProfileError) as caught:
        Iaca.load(ds, DS_KEY)
    assert caught.value.code == "iaca.profile"
    assert caught.value.findings


def test_garbage_is_not_loaded_as_a_root() -> None:
    with pytest.raises(DecodeError):
        Iaca.load(b"\x30\x03\x02\x01", ROOT_KEY)


# --- Document signers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root_curve", ["P-256", "brainpoolP384r1"])
@pytest.mark.parametrize("curve", SIGNING)
def test_document_signer_has_its_profile(root_curve: str, curve: str) -> None:
    authority = create(SoftwareSigner.generate(root_curve))
    holder = SoftwareSigner.generate(curve)
    ds = authority.issue_document_signer(request_document_signer(holder, WISH), common_name="DS 1", not_before=NOW)
    assert lint_certificate(ds, DOCUMENT_SIGNER, issuer=authority.certificate) == ()
    assert ds.public_key == holder.public_key
    assert ds.issuer.der == authority.certificate.subject.der
    assert (ds.not_before, ds.not_after) == (SECOND, SECOND + timedelta(days=455))
    result = validate_path(ds, [authority.certificate], at=NOW + timedelta(days=1))
    assert result.anchor == authority.certificate


def test_request_decides_nothing_but_the_key(iaca: Iaca) -> None:
    """A request that asks for a CA with other names and a long life gets a document signer."""
    from cryptography import x509 as builder_x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = serialization.load_pem_private_key(DS_KEY.to_pkcs8(password=None), None)
    wish = (
        builder_x509.CertificateSigningRequestBuilder()
        .subject_name(builder_x509.Name([builder_x509.NameAttribute(builder_x509.NameOID.COMMON_NAME, "Evil")]))
        .add_extension(builder_x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(builder_x509.SubjectAlternativeName([builder_x509.DNSName("evil.example")]), critical=False)
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
        .public_bytes(serialization.Encoding.DER)
    )
    ds = iaca.issue_document_signer(wish, common_name="DS 1", not_before=NOW, serial=SERIAL)
    asked_plainly = iaca.issue_document_signer(DS_KEY.public_key, common_name="DS 1", not_before=NOW, serial=SERIAL)
    assert ds.tbs == asked_plainly.tbs
    assert ds.subject.common_name == "DS 1"


def test_request_in_every_form(iaca: Iaca, request_: CertificateRequest) -> None:
    for form in (request_, request_.der, request_.pem.encode(), DS_KEY.public_key):
        ds = iaca.issue_document_signer(form, common_name="DS 1", not_before=NOW)
        assert ds.public_key == DS_KEY.public_key


@pytest.mark.parametrize(("country", "state"), [("us", None), ("Us", "us-ut"), ("US", "US-ut")])
def test_a_request_in_other_letters_is_from_no_other_place(iaca: Iaca, country: str, state: str | None) -> None:
    """Of a request the key is taken, and nothing else."""
    names = [builder.NameAttribute(builder.NameOID.COUNTRY_NAME, country)]
    names += [] if state is None else [builder.NameAttribute(builder.NameOID.STATE_OR_PROVINCE_NAME, state)]
    private = ec.generate_private_key(ec.SECP256R1())
    wish = builder.CertificateSigningRequestBuilder().subject_name(builder.Name(names))
    der = wish.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    made = iaca.issue_document_signer(der, common_name="DS 1", not_before=NOW)
    assert made.subject.country == "US"


def test_request_without_possession_is_refused(iaca: Iaca, request_: CertificateRequest) -> None:
    swapped = request_.der.replace(DS_KEY.public_key.point, SoftwareSigner.generate().public_key.point)
    with pytest.raises(VerificationError) as caught:
        iaca.issue_document_signer(swapped, common_name="DS 1", not_before=NOW)
    assert caught.value.code == "request.possession"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (Subject(country="CA", state="US-UT", common_name="x"), "request.country"),
        (Subject(country="US", state="US-NV", common_name="x"), "request.state"),
    ],
)
def test_request_from_elsewhere_is_refused(iaca: Iaca, wish: Subject, code: str) -> None:
    with pytest.raises(IssuanceError) as caught:
        iaca.issue_document_signer(request_document_signer(DS_KEY, wish), common_name="DS 1", not_before=NOW)
    assert caught.value.code == code


def test_root_key_is_not_certified_as_a_document_signer(iaca: Iaca) -> None:
    for form in (ROOT_KEY.public_key, request_document_signer(ROOT_KEY, WISH)):
        with pytest.raises(IssuanceError) as caught:
            iaca.issue_document_signer(form, common_name="DS 1", not_before=NOW)
        assert caught.value.code == "request.key"


def test_garbage_request(iaca: Iaca, request_: CertificateRequest) -> None:
    for data in (b"", b"\x30\x00", request_.der + b"\0", request_.der[:-1]):
        with pytest.raises(DecodeError):
            iaca.issue_document_signer(data, common_name="DS 1", not_before=NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"not_after": NOW + timedelta(days=457)},
        {"not_before": NOW - timedelta(days=1)},
        {"not_before": NOW + timedelta(days=3300), "not_after": NOW + timedelta(days=3310)},
        {"common_name": ""},
        {"serial": 0},
    ],
)
def test_document_signer_outside_its_profile_is_refused(
    iaca: Iaca, request_: CertificateRequest, changes: dict[str, Any]
) -> None:
    with pytest.raises(ProfileError):
        arguments: dict[str, Any] = {"common_name": "DS 1", "not_before": NOW}
        iaca.issue_document_signer(request_, **(arguments | changes))


def test_document_signer_ends_with_its_root(iaca: Iaca, request_: CertificateRequest) -> None:
    late = iaca.certificate.not_after - timedelta(days=100)
    ds = iaca.issue_document_signer(request_, common_name="DS 1", not_before=late)
    assert ds.not_after == iaca.certificate.not_after


def test_details_that_may_be_chosen(iaca: Iaca, request_: CertificateRequest) -> None:
    ds = iaca.issue_document_signer(
        request_,
        common_name="DS é",
        organization="Driver License Division",
        locality="Salt Lake City",
        not_before=NOW,
        not_after=NOW + timedelta(days=30),
        crl_uri="http://other.example/crl",
        serial=SERIAL,
    )
    assert ds.serial == SERIAL
    assert ds.crl_uris == ("http://other.example/crl",)
    assert str(ds.subject) == "C=US, ST=US-UT, L=Salt Lake City, O=Driver License Division, CN=DS é"


# --- CRLs ------------------------------------------------------------------------------------------------------------


def test_first_crl_is_empty(iaca: Iaca) -> None:
    crl = iaca.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30))
    assert lint_crl(crl, issuer=iaca.certificate) == ()
    assert not crl.revoked
    assert not crl.has_empty_list
    assert crl.number == 1


def test_revoked_certificates_are_listed(iaca: Iaca) -> None:
    revoked = [RevokedCertificate(serial=2**150 + n, revoked_at=NOW - timedelta(days=n)) for n in range(50)]
    crl = iaca.publish_crl(iter(revoked), number=2, this_update=NOW, next_update=NOW + timedelta(days=90))
    assert lint_crl(crl, issuer=iaca.certificate) == ()
    assert crl.revoked == {entry.serial: entry.revoked_at.replace(microsecond=0) for entry in revoked}


def test_crl_outside_its_profile_is_refused(iaca: Iaca) -> None:
    twice = [RevokedCertificate(serial=5, revoked_at=NOW)] * 2
    for revoked, number, days in (((), 1, 91), ((), -1, 30), (twice, 1, 30), ((), 1, -1)):
        with pytest.raises(ProfileError):
            iaca.publish_crl(revoked, number=number, this_update=NOW, next_update=NOW + timedelta(days=days))


# --- Custodians that are not to be believed --------------------------------------------------------------------------


class Custodian:
    """Says that it holds one key, and answers with whatever `answer` makes of a message."""

    def __init__(self, key: SoftwareSigner, answer: Callable[[bytes], bytes]) -> None:
        self._key = key
        self._answer = answer

    @property
    def public_key(self) -> PublicKey:
        return self._key.public_key

    def sign(self, data: bytes) -> bytes:
        return self._answer(data)


def flipped(key: SoftwareSigner) -> Callable[[bytes], bytes]:
    def answer(data: bytes) -> bytes:
        signature = bytearray(key.sign(data))
        signature[11] ^= 4
        return bytes(signature)

    return answer


LIES: dict[str, Callable[[SoftwareSigner], Callable[[bytes], bytes]]] = {
    "another key": lambda _: SoftwareSigner.generate().sign,
    "a flipped bit": flipped,
    "one byte less": lambda key: lambda data: key.sign(data)[:-1],
    "one byte more": lambda key: lambda data: key.sign(data) + b"\0",
    "nothing": lambda _: lambda _: b"",
    "zeroes": lambda _: lambda _: bytes(64),
    "another message": lambda key: lambda data: key.sign(data + b"!"),
}


@pytest.mark.parametrize("lie", LIES)
def test_wrong_signature_of_a_custodian_is_never_handed_out(iaca: Iaca, lie: str) -> None:
    root = Custodian(ROOT_KEY, LIES[lie](ROOT_KEY))
    signer = Custodian(DS_KEY, LIES[lie](DS_KEY))
    authority = Iaca(iaca.certificate, root)
    for issue in (
        lambda: create(root),
        lambda: authority.issue_document_signer(DS_KEY.public_key, common_name="DS 1", not_before=NOW),
        lambda: authority.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30)),
        lambda: request_document_signer(signer, WISH),
    ):
        with pytest.raises(SigningError) as caught:
            issue()
        assert caught.value.code in ("signing.wrong_signature", "signing.malformed_signature")


def test_custodian_that_refuses_is_heard(iaca: Iaca) -> None:
    def refuse(_: bytes) -> bytes:
        raise SigningError("the token is gone", code="signing.token_lost", retryable=True)

    authority = Iaca(iaca.certificate, Custodian(ROOT_KEY, refuse))
    with pytest.raises(SigningError) as caught:
        authority.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30))
    assert caught.value.code == "signing.token_lost"
    assert caught.value.retryable


# --- The second reading ----------------------------------------------------------------------------------------------


def test_nothing_is_signed_without_the_second_reader(iaca: Iaca, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: bytes) -> bytes:
        raise AssertionError("something was signed")

    root = Custodian(ROOT_KEY, never)
    authority = Iaca(iaca.certificate, root)
    monkeypatch.setitem(sys.modules, "asn1crypto", None)
    for issue in (
        lambda: create(root),
        lambda: authority.issue_document_signer(DS_KEY.public_key, common_name="DS 1", not_before=NOW),
        lambda: authority.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30)),
        lambda: request_document_signer(root, WISH),
    ):
        with pytest.raises(UnsupportedError, match=r"mdl-sdk\[issuer\]") as caught:
            issue()
        assert caught.value.code == "issuer.extra_missing"


class Encoded:
    """What a builder that went wrong hands over: nobody has looked at it yet."""

    def __init__(self, der: bytes) -> None:
        self.der = der


@pytest.fixture
def builder_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the builder encode something else than it was asked for, under the right signature."""

    def arrange(
        change: Callable[[Any], None] | None = None,
        *,
        outer: Callable[[Any], None] | None = None,
        octets: Callable[[bytes], bytes] = lambda der: der,
        **arguments: Any,
    ) -> None:
        for name in ("build_certificate", "build_crl", "build_csr"):
            build = getattr(certificates, name)

            def wrong(*positional: Any, build: Any = build, **keywords: Any) -> Any:
                known = {key: value for key, value in arguments.items() if key in keywords}
                built = build(*positional, **(keywords | known))
                if change is not None or outer is not None:
                    unchanged = change or (lambda _: None)
                    make: Any = forgery.forge_crl if isinstance(built, Crl) else forgery.forge
                    built = make(built, unchanged, signer=ROOT_KEY, outer=outer)
                return Encoded(octets(built.der))

            monkeypatch.setattr(certificates, name, wrong)

    return arrange


def disagreement(issue: Callable[[], object]) -> str:
    with pytest.raises(MdlError) as caught:
        issue()
    assert caught.value.code in ("issuer.second_reading", "signing.wrong_signature"), caught.value
    return caught.value.message


OTHER_KEY = deterministic_key("somebody else")
ROOT_MISTAKES: dict[str, dict[str, Any]] = {
    "serial number": {"serial": SERIAL},
    "subject": {"subject": Subject(country="US", state="US-UT", organization="Ütah DMV", common_name="Utah IACA 2")},
    "state": {"subject": Subject(country="US", state="US-NV", organization="Ütah DMV", common_name="Utah IACA")},
    "locality": {
        "subject": Subject(country="US", state="US-UT", organization="Ütah DMV", common_name="Utah IACA", locality="X")
    },
    "not_before": {"not_before": NOW + timedelta(seconds=1)},
    "not_after": {"not_after": NOW + timedelta(days=3286)},
    "CRL address": {"crl_uri": CRL_URI.replace("%C3", "%C4")},
    "email": {"contact_email": "x" + EMAIL},
    "contact": {"contact_uri": None},
    "key": {"public_key": OTHER_KEY.public_key, "signer": OTHER_KEY},
}


@pytest.mark.parametrize("mistake", ROOT_MISTAKES)
def test_root_that_is_not_what_was_asked_for(mistake: str, builder_goes_wrong: Callable[..., None]) -> None:
    builder_goes_wrong(**ROOT_MISTAKES[mistake])
    disagreement(create)


def key_identifier(signer: SoftwareSigner) -> bytes:
    return hashlib.sha1(signer.public_key.point, usedforsecurity=False).digest()


def key_usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(set(names))


def twice(oid: str) -> Callable[[Any], None]:
    def change(body: Any) -> None:
        entries = forgery._entries(body)
        forgery._put_entries(body, [*entries, next(entry for entry in entries if entry[0] == oid)])

    return change


def set_version(body: Any) -> None:
    body["version"] = "v2"


def compress_key(body: Any) -> None:
    """The same key in another encoding."""
    spki = body["subject_public_key_info"]
    octets = spki["public_key"].contents[1:]
    spki["public_key"] = keys.ECPointBitString(bytes([2 + (octets[-1] & 1)]) + octets[1:33])


def compress_requested_key(body: Any) -> None:
    octets = body["subject_pk_info"]["public_key"].contents[1:]
    body["subject_pk_info"]["public_key"] = keys.ECPointBitString(bytes([2 + (octets[-1] & 1)]) + octets[1:33])


def names(*values: str) -> x509.GeneralNames:
    return x509.GeneralNames([x509.GeneralName("uniform_resource_identifier", value) for value in values])


def point(**fields: Any) -> bytes:
    # The address as it was asked for: asn1crypto's own encoder would undo its escapes.
    full = x509.DistributionPointName("full_name", names(CRL_URI.replace("%C3%A9", "xxxxxx")))
    points = x509.CRLDistributionPoints([x509.DistributionPoint({"distribution_point": full, **fields})])
    return bytes(points.dump()).replace(b"xxxxxx", b"%C3%A9")


def rename(edit: Callable[[bytes], bytes]) -> Callable[[Any], None]:
    """Change the encoding of the root's name, which is its issuer too."""

    def change(body: Any) -> None:
        name = edit(body["subject"].dump())
        assert name != body["subject"].dump()
        for which in ("subject", "issuer"):
            body[which] = x509.Name.load(name)

    return change


def in_one_set(name: bytes) -> bytes:
    """The same attributes, all in one RDN."""
    body = b"".join(rdn[0].dump() for rdn in x509.Name.load(name).chosen)
    return forgery._tlv(0x30, forgery._tlv(0x31, body))


def in_teletex(name: bytes) -> bytes:
    """Another type of string; asn1crypto reads the same letters in it."""
    return name.replace(b"\x13\x09Utah IACA", b"\x14\x09Utah IACA")


def algorithm(name: str, **fields: Any) -> Callable[[Any], None]:
    """Another algorithm identifier in the field of that name."""
    return forgery.set_field(name, SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"} | fields))


EXTENSION_MISTAKES: dict[str, Callable[[Any], None]] = {
    "key usage with one more": forgery.put("2.5.29.15", key_usage("key_cert_sign", "crl_sign", "digital_signature")),
    "key usage with one less": forgery.put("2.5.29.15", key_usage("key_cert_sign")),
    "key usage not critical": forgery.put("2.5.29.15", key_usage("key_cert_sign", "crl_sign"), critical=False),
    "no key usage": forgery.drop("2.5.29.15"),
    "no CA": forgery.put("2.5.29.19", x509.BasicConstraints({"ca": False})),
    "longer path": forgery.put("2.5.29.19", x509.BasicConstraints({"ca": True, "path_len_constraint": 1})),
    "endless path": forgery.put("2.5.29.19", x509.BasicConstraints({"ca": True})),
    "basic constraints not critical": forgery.put(
        "2.5.29.19", x509.BasicConstraints({"ca": True, "path_len_constraint": 0}), critical=False
    ),
    "no basic constraints": forgery.drop("2.5.29.19"),
    "another key identifier": forgery.put("2.5.29.14", core.OctetString(bytes(20))),
    "no key identifier": forgery.drop("2.5.29.14"),
    "no contact": forgery.drop("2.5.29.18"),
    "no CRL address": forgery.drop("2.5.29.31"),
    "two CRL addresses": forgery.put(
        "2.5.29.31",
        x509.CRLDistributionPoints(
            [
                x509.DistributionPoint({"distribution_point": x509.DistributionPointName("full_name", names(uri))})
                for uri in (CRL_URI, CRL_URI)
            ]
        ),
    ),
    "CRL for some reasons": forgery.put("2.5.29.31", point(reasons={"key_compromise"})),
    "CRL by somebody else": forgery.put("2.5.29.31", point(crl_issuer=names("https://x.example"))),
    "one more extension": forgery.put("2.5.29.37", x509.ExtKeyUsageSyntax(["1.0.18013.5.1.2"])),
    "an extension of one's own": forgery.put("1.2.3.4", core.Null()),
    "an extension twice": twice("2.5.29.31"),
    "version 2": set_version,
    "compressed key": compress_key,
    "an extension that is not DER": forgery.put("2.5.29.14", b"\x04\x81\x14" + key_identifier(ROOT_KEY)),
    "an issuer's number": forgery.set_field("issuer_unique_id", core.OctetBitString(b"1")),
    "a subject's number": forgery.set_field("subject_unique_id", core.OctetBitString(b"1")),
    "another algorithm": forgery.both(algorithm("signature", algorithm="sha384_ecdsa")),
    "algorithm with parameters": algorithm("signature", parameters=core.Null()),
    "name in one set": rename(in_one_set),
    "name in another string type": rename(in_teletex),
}


@pytest.mark.parametrize("mistake", EXTENSION_MISTAKES)
def test_root_with_other_extensions_than_asked_for(
    mistake: str, builder_goes_wrong: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first reader would refuse some of these too; here it is the second one's turn.
    monkeypatch.setattr(forgery, "Certificate", Encoded)
    builder_goes_wrong(EXTENSION_MISTAKES[mistake])
    disagreement(create)


DS_MISTAKES: dict[str, tuple[dict[str, Any], Callable[[Any], None] | None]] = {
    "key": ({"public_key": OTHER_KEY.public_key}, None),
    "serial number": ({"serial": SERIAL}, None),
    "life": ({"not_after": NOW + timedelta(days=456)}, None),
    "CRL address": ({"crl_uri": "https://other.example/crl"}, None),
    "another purpose": ({}, forgery.put("2.5.29.37", x509.ExtKeyUsageSyntax(["1.0.18013.5.1.3"]))),
    "two purposes": ({}, forgery.put("2.5.29.37", x509.ExtKeyUsageSyntax(["1.0.18013.5.1.2", "1.0.18013.5.1.3"]))),
    "purpose not critical": (
        {},
        forgery.put("2.5.29.37", x509.ExtKeyUsageSyntax(["1.0.18013.5.1.2"]), critical=False),
    ),
    "another authority key": (
        {},
        forgery.put("2.5.29.35", x509.AuthorityKeyIdentifier({"key_identifier": bytes(20)})),
    ),
    "no authority key": ({}, forgery.drop("2.5.29.35")),
    "a CA": ({}, forgery.put("2.5.29.19", x509.BasicConstraints({"ca": True}), critical=True)),
    "key usage of a root": ({}, forgery.put("2.5.29.15", key_usage("key_cert_sign", "crl_sign"))),
    "issuer name": ({}, forgery.set_field("issuer", x509.Name.build({"country_name": "US"}))),
}


@pytest.mark.parametrize("mistake", DS_MISTAKES)
def test_document_signer_that_is_not_what_was_asked_for(
    iaca: Iaca, mistake: str, builder_goes_wrong: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgery, "Certificate", Encoded)
    arguments, change = DS_MISTAKES[mistake]
    builder_goes_wrong(change, **arguments)
    disagreement(lambda: iaca.issue_document_signer(DS_KEY.public_key, common_name="DS 1", not_before=NOW))


def test_issuer_name_in_another_encoding_is_not_the_same_name(
    iaca: Iaca, builder_goes_wrong: Callable[..., None]
) -> None:
    """UTF8String instead of PrintableString: equal to a person, not to a reader."""

    def change(body: Any) -> None:
        name = body["issuer"].dump()
        assert name.count(b"\x13\x09Utah IACA") == 1
        body["issuer"] = x509.Name.load(name.replace(b"\x13\x09Utah IACA", b"\x0c\x09Utah IACA"))

    builder_goes_wrong(change)
    message = disagreement(lambda: iaca.issue_document_signer(DS_KEY.public_key, common_name="DS 1", not_before=NOW))
    assert "issuer name" in message


def list_twice(body: Any) -> None:
    body["revoked_certificates"].append(body["revoked_certificates"][0].copy())


def give_reason(body: Any) -> None:
    reason = {"extn_id": "crl_reason", "critical": False, "extn_value": crl.CRLReason("key_compromise")}
    body["revoked_certificates"][0]["crl_entry_extensions"] = [reason]


def add_crl_extension(body: Any) -> None:
    extension = {"extn_id": "issuer_alt_name", "critical": False, "extn_value": names("https://x.example")}
    body["crl_extensions"].append(crl.TBSCertListExtension(extension))


def make_critical(body: Any) -> None:
    body["crl_extensions"][1]["critical"] = True


def change_authority(body: Any) -> None:
    body["crl_extensions"][0]["extn_value"] = x509.AuthorityKeyIdentifier({"key_identifier": bytes(20)})


CRL_MISTAKES: dict[str, tuple[dict[str, Any], Callable[[Any], None] | None]] = {
    "number": ({"number": 8}, None),
    "this_update": ({"this_update": NOW + timedelta(seconds=1)}, None),
    "next_update": ({"next_update": NOW + timedelta(days=31)}, None),
    "nothing revoked": ({"revoked": ()}, None),
    "another revoked": ({"revoked": (RevokedCertificate(serial=6, revoked_at=NOW),)}, None),
    "one more revoked": (
        {"revoked": tuple(RevokedCertificate(serial=serial, revoked_at=NOW) for serial in (5, 6))},
        None,
    ),
    "revoked at another time": (
        {"revoked": (RevokedCertificate(serial=5, revoked_at=NOW - timedelta(days=1)),)},
        None,
    ),
    "issuer name": ({}, forgery.set_field("issuer", x509.Name.build({"country_name": "US"}))),
    "version 1": ({}, forgery.set_field("version", "v1")),
    "an entry twice": ({}, list_twice),
    "a reason": ({}, give_reason),
    "one more extension": ({}, add_crl_extension),
    "a critical extension": ({}, make_critical),
    "another authority key": ({}, change_authority),
}


@pytest.mark.parametrize("mistake", CRL_MISTAKES)
def test_crl_that_is_not_what_was_asked_for(
    iaca: Iaca, mistake: str, builder_goes_wrong: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgery, "Crl", Encoded)
    arguments, change = CRL_MISTAKES[mistake]
    builder_goes_wrong(change, **arguments)
    disagreement(
        lambda: iaca.publish_crl(
            [RevokedCertificate(serial=5, revoked_at=NOW)],
            number=7,
            this_update=NOW,
            next_update=NOW + timedelta(days=30),
        )
    )


def test_crl_with_a_list_where_nothing_is_revoked(iaca: Iaca, builder_goes_wrong: Callable[..., None]) -> None:
    builder_goes_wrong(revoked=(RevokedCertificate(serial=5, revoked_at=NOW),))
    disagreement(lambda: iaca.publish_crl(number=7, this_update=NOW, next_update=NOW + timedelta(days=30)))


def test_algorithm_beside_the_signature_is_the_one_inside(iaca: Iaca, builder_goes_wrong: Callable[..., None]) -> None:
    builder_goes_wrong(outer=algorithm("signature_algorithm", algorithm="sha384_ecdsa"))
    assert "twice" in disagreement(create)
    assert "twice" in disagreement(
        lambda: iaca.publish_crl(number=7, this_update=NOW, next_update=NOW + timedelta(days=30))
    )


def attributes(body: Any) -> None:
    extensions = csr.CRIAttribute({"type": "extension_request", "values": [x509.Extensions([])]})
    body["attributes"] = csr.CRIAttributes([extensions])


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("version", forgery.set_field("version", 1)),
        ("public key", compress_requested_key),
        ("attributes", attributes),
    ],
)
def test_request_with_another_content(
    part: str, change: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    body = csr.CertificationRequest.load(build_csr(WISH, DS_KEY).der)["certification_request_info"].copy()
    change(body)
    monkeypatch.setattr(certificates, "build_csr", lambda *_: Encoded(sealed_request(body)))
    assert part in disagreement(lambda: request_document_signer(DS_KEY, WISH))


def sealed_request(body: Any, name: str = "sha256_ecdsa") -> bytes:
    envelope = csr.CertificationRequest(
        {
            "certification_request_info": body,
            "signature_algorithm": SignedDigestAlgorithm({"algorithm": name}),
            "signature": forgery.sign(DS_KEY, body.dump()),
        }
    )
    return bytes(envelope.dump())


def test_request_that_names_another_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    body = csr.CertificationRequest.load(build_csr(WISH, DS_KEY).der)["certification_request_info"]
    monkeypatch.setattr(certificates, "build_csr", lambda *_: Encoded(sealed_request(body, "sha512_ecdsa")))
    assert "signature algorithm" in disagreement(lambda: request_document_signer(DS_KEY, WISH))


def test_request_that_is_not_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for subject, signer in ((SUBJECT, DS_KEY), (WISH, OTHER_KEY)):
        wrong = build_csr(subject, signer)
        monkeypatch.setattr(certificates, "build_csr", lambda _subject, _signer, wrong=wrong: wrong)
        disagreement(lambda: request_document_signer(DS_KEY, WISH))


def flip_last_bit(der: bytes) -> bytes:
    return der[:-1] + bytes([der[-1] ^ 1])


def test_signature_is_verified_a_second_time(iaca: Iaca, builder_goes_wrong: Callable[..., None]) -> None:
    builder_goes_wrong(octets=flip_last_bit)
    for issue in (
        create,
        lambda: iaca.issue_document_signer(DS_KEY.public_key, common_name="DS 1", not_before=NOW),
        lambda: iaca.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30)),
        lambda: request_document_signer(DS_KEY, WISH),
    ):
        with pytest.raises(SigningError) as caught:
            issue()
        assert caught.value.code == "signing.wrong_signature"


# --- DER and nothing else --------------------------------------------------------------------------------------------


def with_long_length(der: bytes) -> bytes:
    """The same signature under a longer length octet than it needs; lenient readers take no notice."""
    _, _, _, _, content, _ = parser.parse(der)
    body = parser.peek(content)
    signature = body + parser.peek(content[body:])
    return forgery._tlv(0x30, content[:signature] + b"\x03\x81" + content[signature + 1 :])


def test_long_lengths_are_refused(iaca: Iaca, builder_goes_wrong: Callable[..., None]) -> None:
    builder_goes_wrong(octets=with_long_length)
    for issue in (
        create,
        lambda: iaca.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30)),
        lambda: request_document_signer(DS_KEY, WISH),
    ):
        assert "encoding" in disagreement(issue)


def test_bytes_left_over_are_refused(iaca: Iaca, builder_goes_wrong: Callable[..., None]) -> None:
    builder_goes_wrong(octets=lambda der: der + b"\0\0")
    for issue in (
        create,
        lambda: iaca.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30)),
        lambda: request_document_signer(DS_KEY, WISH),
    ):
        disagreement(issue)


@pytest.mark.parametrize(
    "encoded",
    [
        "30820003020105",  # a long length that a short one would do for
        "3081030201",
        "308002010500 00",  # no length at all
        "3003020105 00",  # bytes left over
        "3004020105",  # bytes missing
        "30040202 0005",  # a number with a needless zero
        "30040202 ff85",  # and one with needless ones
        "30020200",  # a number without digits
        "3003010101",  # a truth that is not 255
        "300401020000",
        "30020300",  # a bit string without its first byte
        "3003030101",  # unused bits of nothing
        "300403020101",  # unused bits that are set
        "300403020800",  # more unused bits than a byte has
        "3003020405040100",  # an element that is longer than what it is in
        "1f0100",  # a long tag
    ],
)
def test_what_is_not_der_is_refused(encoded: str) -> None:
    with pytest.raises(ProfileError) as caught, second_reading._careful():
        second_reading._refuse_other_than_der(bytes.fromhex(encoded))
    assert caught.value.code == "issuer.second_reading"


@pytest.mark.parametrize(
    "encoded",
    ["", "3003020105", "300402020085", "30030201ff", "30040202ff7f", "3003010100", "30030101ff", "300403020180"],
)
def test_what_is_der_passes(encoded: str) -> None:
    second_reading._refuse_other_than_der(bytes.fromhex(encoded))


def test_everything_that_we_issue_is_der(iaca: Iaca, request_: CertificateRequest) -> None:
    crl = iaca.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30))
    for der in (iaca.certificate.der, request_.der, crl.der):
        second_reading._refuse_other_than_der(der)
    long = bytes.fromhex("3082012c") + b"\x04\x82\x01\x28" + bytes(0x128)
    second_reading._refuse_other_than_der(long)


@given(st.binary(max_size=60))
def test_any_bytes_pass_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(ProfileError), second_reading._careful():
        second_reading._refuse_other_than_der(data)

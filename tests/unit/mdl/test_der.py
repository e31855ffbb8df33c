"""The second reading: what is not DER, and what readers differ about, is found, whoever let it pass first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asn1crypto import core, crl, csr, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mdl.cli.der import DER_RULES, Document, read_again
from mdl.errors import DecodeError, VerificationError
from mdl.pki import (
    DOCUMENT_SIGNER,
    PROFILES,
    READER_AUTHENTICATION,
    Certificate,
    Crl,
    Profile,
    Severity,
    build_csr,
    decode_csr,
)
from mdl.pki.lint import examine
from mdl.testing import deterministic_key
from tests.x509_forgery import CONTACT, KEY, START, SUBJECT, forge, forge_crl, honest, put, rename, root, set_field
from tests.x509_opinions import A_CRL

DS = honest(DOCUMENT_SIGNER)[0]
REQUEST = build_csr(SUBJECT, KEY)
KU, BC, IAN, CRLDP, UNKNOWN = "2.5.29.15", "2.5.29.19", "2.5.29.18", "2.5.29.31", "1.3.6.1.4.1.58017.1"


def rules_found(document: Document) -> dict[str, str]:
    return {finding.rule: finding.message for finding in examine(read_again(document), DER_RULES)}


def taken_for(document: Document, der: bytes) -> Document:
    """A document whose bytes were changed behind the back of our own decoder, which would have refused them."""
    changed = type(document)(document.der)
    object.__setattr__(changed, "der", der)
    return changed


def with_fact(document: Document, name: str, value: object) -> Document:
    """A document of which our own decoder has read something else."""
    changed = type(document)(document.der)
    object.__setattr__(changed, name, value)
    return changed


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.id)
def test_what_is_honest_is_read_alike_by_all(profile: Profile) -> None:
    assert rules_found(honest(profile)[0]) == {}


@pytest.mark.parametrize("document", [A_CRL, REQUEST], ids=["crl", "request"])
def test_honest_crls_and_requests_too(document: Document) -> None:
    assert rules_found(document) == {}


@pytest.mark.parametrize("curve", ["P-384", "P-521", "brainpoolP256r1", "Ed25519", "Ed448"])
def test_keys_of_every_curve_are_read_alike(curve: str) -> None:
    assert rules_found(honest(DOCUMENT_SIGNER, key=deterministic_key("der", curve))[0]) == {}


@pytest.mark.parametrize(
    "name",
    [
        ("uniform_resource_identifier", core.IA5String("HTTPS://Utopia.example:443/caf%c3%a9?a=%zz b#")),
        ("rfc822_name", "PKI@Utopia.EXAMPLE"),
        ("dns_name", "Utopia.EXAMPLE"),
        ("ip_address", "192.0.2.1"),
        ("directory_name", x509.Name.build({"common_name": "Utopia"})),
    ],
    ids=lambda name: name[0],
)
def test_an_address_in_unusual_letters_is_still_der(name: tuple[str, Any]) -> None:
    kind, value = name
    written = x509.GeneralName(kind, "http://x" if isinstance(value, core.IA5String) else value).dump()
    if isinstance(value, core.IA5String):  # asn1crypto would write it in its own way
        written = written[:1] + bytes((len(value.contents),)) + value.contents
    other = x509.GeneralName("rfc822_name", CONTACT).dump()
    names = bytes((0x30, len(written + other))) + written + other
    assert rules_found(forge(DS, put(IAN, names))) == {}


def test_a_mail_address_in_a_name_is_read_alike() -> None:
    address = ("1.2.840.113549.1.9.1", core.IA5String("PKI@Utopia.EXAMPLE"))
    assert rules_found(forge(DS, rename(lambda pairs: [*pairs, address]))) == {}


# --- encoding ---------------------------------------------------------------------------------------------------------


def test_bits_that_der_leaves_out_are_found() -> None:
    padded = forge(DS, put(KU, bytes.fromhex("0303078000")))
    assert rules_found(padded) == {"der.encoding": "encoded otherwise than DER asks: extension 2.5.29.15"}


def test_a_boolean_of_ber_is_found_and_refused() -> None:
    found = rules_found(forge(root(), put(BC, bytes.fromhex("3006010101020100"))))
    assert found.keys() == {"der.encoding", "der.library"}
    assert found["der.encoding"] == "encoded otherwise than DER asks: extension 2.5.29.19"


def test_a_signature_with_padded_numbers_is_found() -> None:
    numbers = core.SequenceOf.load(DS.signature, spec=core.Integer)
    contents = b"".join(bytes((2, len(each.contents) + 1, 0)) + each.contents for each in numbers)
    padded = with_fact(DS, "signature", bytes((0x30, len(contents))) + contents)
    assert rules_found(padded)["der.encoding"] == "encoded otherwise than DER asks: the signature"


def test_a_signature_as_cose_writes_it_is_found() -> None:
    found = rules_found(with_fact(DS, "signature", bytes(64)))
    assert found["der.encoding"] == "encoded otherwise than DER asks: the signature"


@pytest.mark.parametrize("document", [DS, A_CRL, REQUEST], ids=["certificate", "crl", "request"])
def test_a_long_form_of_a_length_is_found_in_everything(document: Document) -> None:
    der = document.der[:1] + (b"\x83\0" if document.der[1] == 0x82 else b"\x82\0") + document.der[2:]
    der = der if document.der[1] & 0x80 else document.der[:1] + b"\x81" + document.der[1:]
    with pytest.raises(DecodeError):
        type(document)(der)
    assert rules_found(taken_for(document, der)).keys() == {"der.encoding", "der.library"}


# What asn1crypto reads without a word, though it is not DER, inside the signed body of a certificate. Each pair is a
# whole element, so that no length around it is wrong but the body's, which is written anew.
BER = {
    "a serial number with a zero in front": ("0210", "021100"),
    "a version with a zero in front": ("a003020102", "a00402020002"),
    "a version of indefinite length": ("a003020102", "a0800201020000"),
    "a length in the long form": ("a003020102", "a08103020102"),
    "criticality that is neither 00 nor FF": ("0603551d0f0101ff", "0603551d0f010101"),
    "a version that is written out though it is the default": ("a003020102", "a003020100"),
}


@pytest.mark.parametrize("name", BER)
def test_ber_in_the_body_is_found(name: str) -> None:
    old, new = (bytes.fromhex(each) for each in BER[name])
    body = x509.Certificate.load(DS.der)["tbs_certificate"].contents
    assert body.count(old) == 1
    der = sequence(sequence(body.replace(old, new)) + DS.der[DS.der.index(DS.tbs) + len(DS.tbs) :])
    x509.Certificate.load(der, strict=True)
    with pytest.raises(DecodeError):
        Certificate(der)
    assert "der.encoding" in rules_found(taken_for(DS, der))


def test_a_flag_that_is_written_out_though_it_is_the_default_is_found() -> None:
    def change(body: Any) -> None:
        parts = [each.dump() for each in body["extensions"]]
        place = next(index for index, part in enumerate(parts) if b"\x06\x03\x55\x1d\x0e" in part)
        parts[place] = bytes((0x30, parts[place][1] + 3)) + parts[place][2:7] + b"\x01\x01\x00" + parts[place][7:]
        body["extensions"] = x509.Extensions(contents=b"".join(parts))

    with pytest.raises(DecodeError):
        forge(DS, change)
    body = x509.Certificate.load(DS.der)["tbs_certificate"]
    change(body)
    der = sequence(body.dump() + DS.der[DS.der.index(DS.tbs) + len(DS.tbs) :])
    found = rules_found(taken_for(DS, der))
    assert found["der.encoding"] == "encoded otherwise than DER asks: outside the values of extensions"


def sequence(contents: bytes) -> bytes:
    return bytes((0x30, 0x82)) + len(contents).to_bytes(2) + contents


def test_a_set_out_of_order_is_found() -> None:
    """Both attributes in one relative name, the greater one first."""
    small, great = (bytes.fromhex(each) for each in ("3009060355040613025554", "300a06035504080c03555431"))
    ordered, turned = (b"\x31" + bytes((len(small + great),)) + pair for pair in (small + great, great + small))
    document = forge(DS, set_field("subject", x509.Name.load(bytes((0x30, len(ordered))) + ordered)))
    assert rules_found(document) == {}
    found = rules_found(taken_for(document, document.der.replace(ordered, turned)))
    assert "der.encoding" in found


@pytest.mark.parametrize("document", [DS, A_CRL, REQUEST], ids=["certificate", "crl", "request"])
@pytest.mark.parametrize(
    "spoil",
    [lambda der: der + b"\0", lambda der: der[:-1], lambda _: b"\x30\0", lambda _: b"", lambda _: b"\xff" * 40],
    ids=["longer", "shorter", "empty sequence", "nothing", "noise"],
)
def test_what_is_no_whole_document_is_unreadable(document: Document, spoil: Callable[[bytes], bytes]) -> None:
    assert rules_found(taken_for(document, spoil(document.der))).keys() == {"der.unreadable", "der.library"}


# --- extensions -------------------------------------------------------------------------------------------------------


def test_text_where_der_should_stand_is_found() -> None:
    """A private extension of the kind that roots in use carry."""
    found = rules_found(forge(DS, put(UNKNOWN, b"5P")))
    assert found == {"der.extension": f"no such value: {UNKNOWN}"}


def test_an_extension_that_nobody_knows_is_no_finding() -> None:
    assert rules_found(forge(DS, put(UNKNOWN, bytes.fromhex("0c025554")))) == {}


@pytest.mark.parametrize(
    "value",
    [
        "0481015a",  # a length in two octets that fits one
        "048200015a",
        "1f040000",
        "bf1e00",  # a tag number in two octets that fits one
        "bf801f00",
        "3080020105" + "0000",  # of indefinite length
        "24030401" + "5a",  # an octet string in pieces
        "300401810101",
        "3003010101",  # TRUE that is not 0xff
        "300402020005",  # an integer with a needless octet
        "30040202ff85",
        "30020200",
        "300403020780" + "00",  # an element more than there is room for
        "3004030203ff",  # a bit string whose unused bits are set
        "3003030101",
        "30020300",
        "3003050100",
        "1000",
        "a003048101",
        "30050481015a",
        "0500" + "0500",  # two elements
        "",
        "30",
        "3005",
        "04",
        "1f",
        "bfffffffff7f020500",  # a tag number of more octets than anybody needs
    ],
)
def test_ber_that_is_not_der_is_found_in_an_extension_that_nobody_knows(value: str) -> None:
    found = rules_found(forge(DS, put(UNKNOWN, bytes.fromhex(value))))
    assert found == {"der.extension": f"no such value: {UNKNOWN}"}


@pytest.mark.parametrize(
    "value",
    [
        "0500",
        "3000",
        "0400",
        "04015a",
        "0481" + "80" + 128 * "5a",
        "04820100" + 256 * "5a",
        "bf1f03020105",
        "bf8100020500",
        "bfffffff7f020500",
        "30090101000101ff02010a",
        "300402020085",
        "30040202ff05",
        "0a0105",
        "03020780",
        "0303000080",
        "030100",
        "a003850100",
        "3106020101020102",
        "300430023000",
        "0c025554",
    ],
)
def test_der_of_any_kind_in_an_extension_that_nobody_knows_is_no_finding(value: str) -> None:
    assert rules_found(forge(DS, put(UNKNOWN, bytes.fromhex(value)))) == {}


def test_a_deep_extension_that_nobody_knows_is_looked_at_to_the_bottom() -> None:
    value, broken = b"\x05\x00", b"\x05\x01\x00"
    for _ in range(2000):
        value, broken = (
            b"\x30\x82" + len(one).to_bytes(2) + one
            if len(one) > 255
            else b"\x30\x81" + bytes((len(one),)) + one
            if len(one) > 127
            else bytes((0x30, len(one))) + one
            for one in (value, broken)
        )
    assert rules_found(forge(DS, put(UNKNOWN, value))) == {}
    assert rules_found(forge(DS, put(UNKNOWN, broken))).keys() == {"der.extension"}


def test_an_extension_that_is_not_what_its_identifier_says_spoils_only_itself() -> None:
    found = rules_found(forge(DS, put(CRLDP, b"https://crl.utopia.example")))
    assert found == {
        "der.extension": f"no such value: {CRLDP}",
        "der.library": "refused, as a whole or in one of its extensions",
    }


def test_names_in_a_message_are_cut() -> None:
    change = rename(lambda pairs: pairs)
    document = forge(DS, change)
    for number in range(12):
        document = forge(document, put(f"1.2.3.{number}", b"5P"))
    assert rules_found(document)["der.extension"].endswith("1.2.3.11, 1.2.3.2 and 7 more")


# --- facts ------------------------------------------------------------------------------------------------------------

OTHER = root()
FACTS: list[tuple[Document, str, object, str]] = [
    (DS, "version", 2, "the version"),
    (DS, "serial", 4711, "the serial number"),
    (DS, "tbs", DS.tbs[:-1], "the signed body"),
    (DS, "issuer", DS.subject, "the issuer"),
    (DS, "subject", DS.issuer, "the subject"),
    (DS, "not_before", DS.not_after, "notBefore"),
    (DS, "not_after", DS.not_before, "notAfter"),
    (DS, "spki", OTHER.spki, "the public key"),
    (DS, "extensions", OTHER.extensions, "criticality, the extensions"),
    (DS, "extensions", {}, "criticality, the extensions"),
    (DS, "signature", OTHER.signature, "the signature"),
    (A_CRL, "version", 1, "the version"),
    (A_CRL, "tbs", A_CRL.tbs[:-1], "the signed body"),
    (A_CRL, "issuer", DS.subject, "the issuer"),
    (A_CRL, "this_update", A_CRL.next_update, "thisUpdate"),
    (A_CRL, "next_update", None, "nextUpdate"),
    (A_CRL, "revoked", {}, "the list"),
    (A_CRL, "entry_extensions", {"2.5.29.21": True}, "the entries' extensions"),
    (A_CRL, "extensions", {}, "criticality, the extensions"),
    (A_CRL, "signature", OTHER.signature, "the signature"),
    (REQUEST, "subject", DS.subject, ""),
    (REQUEST, "subject", DS.issuer, "the subject"),
    (REQUEST, "public_key", OTHER.public_key, "the public key"),
]


@pytest.mark.parametrize(("document", "name", "value", "told"), FACTS, ids=[f"{f[1]}-{f[3]}" for f in FACTS])
def test_readers_that_differ_about_a_fact_are_found(document: Document, name: str, value: object, told: str) -> None:
    found = rules_found(with_fact(document, name, value))
    assert found == ({"der.facts": f"readers differ about {told}"} if told else {})


def test_the_two_algorithms_are_compared_each() -> None:
    other = type(DS.algorithm)(oid="1.2.840.10045.4.3.4", parameters=None)
    for name in ("algorithm", "inner_algorithm"):
        assert rules_found(with_fact(DS, name, other)) == {"der.facts": "readers differ about the signature algorithms"}


def test_a_serial_number_that_is_listed_twice_was_revoked_at_the_earlier_time() -> None:
    def twice(body: Any) -> None:
        first, second = body["revoked_certificates"]
        second["user_certificate"] = first["user_certificate"].native
        second["revocation_date"] = x509.Time("utc_time", x509.UTCTime(START - timedelta(days=9)))
        body["revoked_certificates"] = [first, second]

    assert rules_found(forge_crl(A_CRL, twice)) == {}


def test_extensions_of_entries_are_read_too() -> None:
    def entry(value: bytes) -> Crl:
        def change(body: Any) -> None:
            reason = {"extn_id": "2.5.29.21", "extn_value": core.ParsableOctetString(value)}
            body["revoked_certificates"] = [
                {
                    "user_certificate": each["user_certificate"].native,
                    "revocation_date": each["revocation_date"],
                    "crl_entry_extensions": [crl.CRLEntryExtension(reason)],
                }
                for each in body["revoked_certificates"]
            ]

        return forge_crl(A_CRL, change)

    assert rules_found(entry(bytes.fromhex("0a0101"))) == {}
    assert rules_found(entry(bytes.fromhex("0a020001")))["der.encoding"].endswith("extension 2.5.29.21")


def test_every_rule_says_all_that_a_rule_says() -> None:
    for rule in DER_RULES:
        assert rule.id.startswith("der.")
        assert rule.clause
        assert rule.requirement.endswith(".")
        assert rule.remedy.endswith(".")
    # A verifier reads with one library: what only others refuse, it cannot, and so none is one that nobody tolerates.
    assert not any(rule.security for rule in DER_RULES)
    errors = {rule.id for rule in DER_RULES if rule.severity is Severity.ERROR}
    assert errors == {"der.unreadable", "der.facts", "der.library", "der.encoding"}


# --- any bytes --------------------------------------------------------------------------------------------------------


@given(st.data(), st.sampled_from([DS, A_CRL, REQUEST, honest(READER_AUTHENTICATION)[0]]))
def test_whatever_the_bytes_are_the_other_readers_give_findings_and_no_failure(
    data: st.DataObject, document: Document
) -> None:
    changed = bytearray(document.der)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    for message in rules_found(taken_for(document, bytes(changed))).values():
        assert message.isprintable()


# --- attributes of requests -------------------------------------------------------------------------------------------


def request_with(attributes: bytes, *, digest: hashes.HashAlgorithm | None = None) -> bytes:
    """A request with attributes put in, signed again by its own key."""
    outer = csr.CertificationRequest.load(REQUEST.der)
    body = outer["certification_request_info"]
    parts = [body[name].dump() for name in ("version", "subject", "subject_pk_info")]
    content = b"".join(parts) + bytes((0xA0, len(attributes))) + attributes
    tbs = core.Sequence(contents=content).dump()
    key = serialization.load_pem_private_key(KEY.to_pkcs8(password=None), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(tbs, ec.ECDSA(digest or hashes.SHA256()))
    algorithm = outer["signature_algorithm"].dump()
    if digest is not None:
        algorithm = bytes.fromhex("300906072a8648ce3d0401")
    bits = b"\x03" + bytes((len(signature) + 1, 0)) + signature
    return bytes(core.Sequence(contents=tbs + algorithm + bits).dump())


UNSTRUCTURED_NAME = bytes.fromhex("06092a864886f70d010902")
CHALLENGE = bytes.fromhex("06092a864886f70d010907")
TEXT = bytes.fromhex("0c0161")


def attribute(oid: bytes, *values: bytes) -> bytes:
    body = b"".join(values)
    inner = oid + bytes((0x31, len(body))) + body
    return bytes((0x30, len(inner))) + inner


@pytest.mark.parametrize(
    ("attributes", "rules"),
    [
        (b"", {}),
        (attribute(UNSTRUCTURED_NAME, TEXT), {}),
        (attribute(UNSTRUCTURED_NAME, TEXT) + attribute(CHALLENGE, TEXT), {}),
        # What is known and not what it is called; what is unknown and no DER.
        (attribute(CHALLENGE, bytes.fromhex("0101ff")), {"der.extension"}),
        (attribute(UNSTRUCTURED_NAME, bytes.fromhex("010101")), {"der.extension"}),
    ],
)
def test_an_attribute_that_another_reader_does_not_know_is_no_fault_of_the_request(
    attributes: bytes, rules: set[str]
) -> None:
    assert rules_found(decode_csr(request_with(attributes))).keys() == set(rules)


def test_a_request_signed_over_sha_1_is_not_said_to_be_of_another_key() -> None:
    with pytest.raises(VerificationError) as caught:
        decode_csr(request_with(b"", digest=hashes.SHA1()))
    assert caught.value.code == "request.algorithm"
    assert "ECDSA with SHA-1" in caught.value.message
    spoilt = bytearray(request_with(b""))
    spoilt[-1] ^= 1
    with pytest.raises(VerificationError) as caught:
        decode_csr(bytes(spoilt))
    assert caught.value.code == "request.possession"

"""Attacks on the document signer, its certificate, its revocation, and the issuer's signature."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from asn1crypto import core, keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID, ObjectIdentifier

from mdl.cbor import encode
from mdl.keys import SoftwareSigner, raw_to_der
from mdl.pki import Certificate, Crl
from mdl.testing import TEST_TIME, ThrowawayAuthority, deterministic_key, distinguished_name
from mdl.testing.authority import _key_usage
from reader.report import Outcome, Policy
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from tests.attacks.stage import (
    AUTHORITY,
    DAY,
    LENIENT,
    PID,
    SECOND,
    Fields,
    Table,
    asking,
    evidence,
    issuer_auth,
    moment,
    root,
    signer,
    trust_in,
)
from tests.x509_forgery import forge, forge_crl, put, set_field

attack = Table()

# What hangs on the document signer's certificate, and on its root.
NO_SIGNER = (
    *("issuer_auth.path", "issuer_auth.profile", "issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    *("issuer_auth.algorithm", "issuer_auth.signature", "mso.signed_within_certificate"),
    *("subject.country", "subject.jurisdiction"),
)
NO_SIGNER_WHY = "without a document signer's certificate there is nothing to hold anything against"
NO_ROOT = ("issuer_auth.profile", "issuer_auth.certificate_validity", "issuer_auth.trust_scope")
NO_ROOT_WHY = "without a root there is nothing to compare the certificate with"
NO_ALGORITHM = ("issuer_auth.signature",)
NO_ALGORITHM_WHY = "a signature is not tried with an algorithm that is not its key's"

# --- the certificate in the message -----------------------------------------------------------------------------------

X5CHAIN = "issuer_auth.x5chain"
DS = AUTHORITY.ds_certificate.der
ROOT = AUTHORITY.iaca_certificate.der


def header(value: Any) -> Fields:
    return {"issuer_unprotected": {33: value}}


for _name, _fields in {
    "missing": {"issuer_unprotected": {}},
    "null": header(None),
    "an empty array": header([]),
    "an array with text": header(["certificate"]),
    "an array with an array": header([[DS]]),
    "nine certificates": header([DS] * 9),
    "text": header(AUTHORITY.ds_certificate.pem),
    "an integer": header(1),
    "empty": header(b""),
    "garbage": header(bytes(range(256))),
    "cut short": header(DS[:-1]),
    "with a byte behind it": header(DS + b"\0"),
    "two certificates in one byte string": header(DS + ROOT),
    "in PEM": header(AUTHORITY.ds_certificate.pem.encode()),
    "a bare public key": header(AUTHORITY.ds_key.public_key.spki),
    "a CRL": header(AUTHORITY.crl()),
    "in a header of another number": {"issuer_unprotected": {34: DS}},
    "a text label": {"issuer_unprotected": {"x5chain": DS}},
    "an indefinite length in it": header(b"\x30\x80" + DS[4:] + b"\0\0"),
    "longer than any certificate": header(DS[:-40] + bytes(70_000)),
}.items():
    attack(X5CHAIN, _name, _fields, left_open=NO_SIGNER, why=NO_SIGNER_WHY)


def _doubled_extension() -> Fields:
    """A certificate with one extension twice, properly signed."""
    honest = AUTHORITY.ds_certificate

    def twice(body: Any) -> None:
        first = body["extensions"][0].dump()
        body["extensions"] = type(body["extensions"])(contents=body["extensions"].contents + first)

    return header(_forged_der(honest, twice))


def _forged_der(certificate: Certificate, change: Any) -> bytes:
    """A changed certificate that `Certificate` itself would refuse to hold."""
    fields = asn1_x509.Certificate.load(certificate.der)
    body = fields["tbs_certificate"].copy()
    change(body)
    signature = raw_to_der(AUTHORITY.iaca_key.sign(body.dump()))
    return bytes(
        asn1_x509.Certificate(
            {
                "tbs_certificate": asn1_x509.TbsCertificate.load(body.dump()),
                "signature_algorithm": fields["signature_algorithm"].copy(),
                "signature_value": signature,
            }
        ).dump()
    )


attack(X5CHAIN, "an extension twice", _doubled_extension, left_open=NO_SIGNER, why=NO_SIGNER_WHY)

for _oid, _name in {
    "2.5.29.15": "keyUsage",
    "2.5.29.37": "extendedKeyUsage",
    "2.5.29.19": "basicConstraints",
    "2.5.29.35": "authorityKeyIdentifier",
    "2.5.29.14": "subjectKeyIdentifier",
}.items():
    attack(
        X5CHAIN,
        f"{_name} that cannot be read",
        lambda oid=_oid: header(_forged_der(AUTHORITY.ds_certificate, put(oid, b"\x04\x05gar"))),
        left_open=NO_SIGNER,
        why=NO_SIGNER_WHY,
    )

for _oid, _name in {"2.5.29.31": "cRLDistributionPoints", "2.5.29.18": "issuerAltName"}.items():
    attack(
        X5CHAIN,
        f"{_name} that is critical and cannot be read",
        lambda oid=_oid: header(_forged_der(AUTHORITY.ds_certificate, put(oid, b"\x04\x05gar", critical=True))),
        left_open=NO_SIGNER,
        why=NO_SIGNER_WHY,
    )

# --- the path ---------------------------------------------------------------------------------------------------------

PATH = "issuer_auth.path"


@cache
def stranger() -> ThrowawayAuthority:
    """An authority of the same name with other keys: the attacker's."""
    return ThrowawayAuthority(generation=2)


@cache
def other_authority() -> ThrowawayAuthority:
    return ThrowawayAuthority("Other")


def _path(name: str, fields: Any, **expected: Any) -> None:
    attack(PATH, name, fields, **({"left_open": NO_ROOT, "why": NO_ROOT_WHY} | expected))


def by_stranger(authority: ThrowawayAuthority, **fields: Any) -> Fields:
    """A credential of somebody else before a reader that trusts the honest root."""
    return {"authority": authority, "trust": trust_in(*AUTHORITY.anchors)} | fields


_path("a stranger of the same name", lambda: by_stranger(stranger()))
_path("a stranger of another name", lambda: by_stranger(other_authority()))
_path(
    "a stranger who sends the own root along",
    lambda: by_stranger(stranger(), x5chain=[stranger().ds_certificate.der, stranger().iaca_certificate.der]),
)
_path(
    "a stranger who sends the trusted root along",
    lambda: by_stranger(stranger(), x5chain=[stranger().ds_certificate.der, ROOT]),
)


_path(
    "a stranger of the same name who names no key",
    lambda: by_stranger(stranger(), x5chain=stranger().deviant_ds(extensions={"aki": None})),
    policies=(Policy.LENIENT,),
)


def _with_honest_identifier() -> Fields:
    """The stranger's certificate claims the key identifier of the honest root."""
    aki = AUTHORITY.ds_recipe.extensions["aki"]
    return by_stranger(stranger(), x5chain=stranger().deviant_ds(extensions={"aki": aki}))


_path("a stranger who claims the root's key identifier", _with_honest_identifier)


def _body_changed(old: bytes, new: bytes) -> Fields:
    assert len(old) == len(new)
    assert DS.count(old) == 1
    return header(DS.replace(old, new))


_path("one bit of its signature changed", lambda: header(DS[:-1] + bytes((DS[-1] ^ 1,))))
_path("its serial number changed after signing", lambda: header(_serial_changed()))
_path("its name changed after signing", lambda: _body_changed(b"Throwaway document", b"Thr0waway document"))


def _serial_changed() -> bytes:
    serial = AUTHORITY.ds_certificate.serial.to_bytes(16)
    return DS.replace(serial, serial[:-1] + bytes((serial[-1] ^ 1,)), 1)


def _key_changed() -> Fields:
    """The attacker's key in place of the document signer's, under the old signature."""
    mine = deterministic_key("attacker")
    return {"issuer_key": mine} | header(DS.replace(AUTHORITY.ds_key.public_key.point, mine.public_key.point))


_path("another key put into it", _key_changed)


def _named(**attributes: str) -> Any:
    return distinguished_name(**{"C": "US", "ST": "US-UT", "CN": "Throwaway IACA"} | attributes)


_path("issuer of another name, signed by the root's key", lambda: signer(issuer=_named(CN="Throwaway IACA 2")))
_path("issuer's name in other case", lambda: signer(issuer=_named(CN="throwaway iaca")))
_path("issuer's name with a blank more", lambda: signer(issuer=_named(CN="Throwaway  IACA")))


def _reencoded_issuer() -> Fields:
    """The issuer's name with the same text in another string type; the honest one is UTF8String."""
    name = x509.Name(
        [
            x509.NameAttribute(each.oid, str(each.value), _PRINTABLE if each.oid == NameOID.COMMON_NAME else None)
            for each in AUTHORITY.iaca_recipe.subject
        ]
    )
    assert name.public_bytes() != AUTHORITY.iaca_recipe.subject.public_bytes()
    return signer(issuer=name)


_PRINTABLE = x509.name._ASN1Type.PrintableString
_path("issuer's name encoded in another way", _reencoded_issuer)


def _identifier(identifier: bytes) -> Any:
    return (x509.AuthorityKeyIdentifier(identifier, None, None), False)


_path("the key identifier of nobody", lambda: signer(extensions={"aki": _identifier(bytes(20))}))
_path("a key identifier cut short", lambda: signer(extensions={"aki": _identifier(_root_identifier()[:-1])}))


def _root_identifier() -> bytes:
    found = AUTHORITY.iaca_certificate.subject_key_identifier
    assert found
    return found


def _intermediate(*, chain: bool) -> Fields:
    """Root, CA below it, document signer below that: 18013-5 knows no such path."""
    key = deterministic_key("intermediate")
    name = _named(CN="Throwaway intermediate")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key.key)
    middle = AUTHORITY.ds_recipe.with_changes(
        subject=name,
        public_key=key.public_key,
        extensions={
            "ski": (identifier, False),
            "ku": AUTHORITY.iaca_recipe.extensions["ku"],
            "bc": (x509.BasicConstraints(ca=True, path_length=0), True),
            "eku": None,
        },
    ).build()
    aki = (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False)
    leaf = AUTHORITY.deviant_ds(issuer=name, signer=key, extensions={"aki": aki})
    return {"x5chain": [leaf, middle] if chain else leaf}


_path("a CA in between, sent along", lambda: _intermediate(chain=True))
_path("a CA in between, not sent", lambda: _intermediate(chain=False))


def _signer_as_issuer() -> Fields:
    """An honest document signer issues a certificate for the attacker."""
    mine = deterministic_key("attacker")
    honest = AUTHORITY.ds_recipe
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        x509.SubjectKeyIdentifier.from_public_key(AUTHORITY.ds_key.public_key.key)
    )
    leaf = honest.with_changes(
        subject=_named(CN="Throwaway document signer 2"),
        issuer=honest.subject,
        public_key=mine.public_key,
        signer=AUTHORITY.ds_key,
        extensions={"aki": (aki, False)},
    ).build()
    return {"issuer_key": mine, "x5chain": [leaf, DS]}


_path("issued by another document signer", _signer_as_issuer)


def _self_signed() -> Fields:
    mine = deterministic_key("attacker")
    name = AUTHORITY.ds_recipe.subject
    der = AUTHORITY.deviant_ds(issuer=name, public_key=mine.public_key, signer=mine, extensions={"aki": None})
    return {"issuer_key": mine, "x5chain": der}


_path(
    "self-signed",
    _self_signed,
    also=("issuer_auth.profile",),
    left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    why="a certificate that names itself as issuer breaks the profile in that very name; and there is no root",
    policies=(Policy.ISO_STRICT, Policy.AAMVA),
)
_path(
    "the root's certificate and key",
    lambda: {"issuer_key": AUTHORITY.iaca_key, "x5chain": ROOT},
    also=("issuer_auth.profile",),
    left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    why="a root has the key usage of a root",
)
_path("itself among the anchors", lambda: {"trust": trust_in(AUTHORITY.iaca_certificate, AUTHORITY.ds_certificate)})
_path("itself the only anchor", lambda: {"trust": trust_in(AUTHORITY.ds_certificate)})


def _sha1_signed() -> Fields:
    algorithm = {"algorithm": "sha1_ecdsa"}
    forged = forge(
        AUTHORITY.ds_certificate, set_field("signature", algorithm), signer=AUTHORITY.iaca_key, digest="sha1"
    )
    return {"x5chain": forged.der}


_path(
    "signed by the root over SHA-1",
    _sha1_signed,
    also=("issuer_auth.profile",),
    left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    why="the algorithm breaks the profile, and no path is built on it",
)


_path(
    "the algorithm outside is not the one inside",
    lambda: {"x5chain": _outer_algorithm()},
    also=("issuer_auth.profile",),
    left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    why="two algorithms break the profile, and no path is built on them",
)


def _outer_algorithm() -> bytes:
    return forge(
        AUTHORITY.ds_certificate,
        lambda _: None,
        signer=AUTHORITY.iaca_key,
        outer=set_field("signature_algorithm", {"algorithm": "sha384_ecdsa"}),
    ).der


@cache
def edwards_authority() -> ThrowawayAuthority:
    """A root on Ed25519, which signs no certificates in this standard."""
    return ThrowawayAuthority("Edwards", curve="Ed25519")


_path(
    "a root on Ed25519",
    lambda: {"authority": edwards_authority()},
    also=("issuer_auth.profile",),
    left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    why="EdDSA breaks the profile, and no path is built on it",
)

# --- the profile ------------------------------------------------------------------------------------------------------

PROFILE = "issuer_auth.profile"


def _purpose(*oids: str, critical: bool = True) -> Fields:
    return signer(extensions={"eku": (x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in oids]), critical)})


for _name, _oid in {
    "JWS signer": "1.0.18013.5.1.3",
    "reader": "1.0.18013.5.1.6",
    "VICAL signer": "1.0.18013.5.1.8",
    "TLS server": "1.3.6.1.5.5.7.3.1",
    "OCSP signer": "1.3.6.1.5.5.7.3.9",
    "any purpose": "2.5.29.37.0",
    "its purpose with an arc more": "1.0.18013.5.1.2.1",
}.items():
    attack(PROFILE, f"a certificate for another role: {_name}", lambda oid=_oid: _purpose(oid))
attack(PROFILE, "no extendedKeyUsage", lambda: signer(extensions={"eku": None}))


def _usage(**bits: bool) -> Any:
    return (_key_usage(**bits), True)


attack(PROFILE, "no keyUsage", lambda: signer(extensions={"ku": None}))
attack(PROFILE, "keyUsage without digitalSignature", lambda: signer(extensions={"ku": _usage(key_agreement=True)}))
attack(
    PROFILE,
    "keyUsage with keyCertSign",
    lambda: signer(extensions={"ku": _usage(digital_signature=True, key_cert_sign=True)}),
)
attack(
    PROFILE, "keyUsage with cRLSign", lambda: signer(extensions={"ku": _usage(digital_signature=True, crl_sign=True)})
)
attack(
    PROFILE,
    "keyUsage with more than it needs",
    lambda: signer(extensions={"ku": _usage(digital_signature=True, content_commitment=True)}),
    tolerated=LENIENT,
)
attack(
    PROFILE,
    "keyUsage not critical",
    lambda: signer(extensions={"ku": (AUTHORITY.ds_recipe.extensions["ku"][0], False)}),
    tolerated=LENIENT,
)
attack(PROFILE, "a CA", lambda: signer(extensions={"bc": (x509.BasicConstraints(ca=True, path_length=None), True)}))
attack(
    PROFILE,
    "a CA that says so without emphasis",
    lambda: signer(extensions={"bc": (x509.BasicConstraints(ca=True, path_length=0), False)}),
)


def _unknown(oid: str = "1.2.3.4.5", *, critical: bool = True) -> Any:
    return (x509.UnrecognizedExtension(ObjectIdentifier(oid), b"\x05\x00"), critical)


attack(PROFILE, "an unknown critical extension", lambda: signer(extensions={"other": _unknown()}))
attack(
    PROFILE,
    "critical certificate policies",
    lambda: signer(
        extensions={
            "policies": (
                x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("1.2.3.4"), None)]),
                True,
            )
        }
    ),
)
for _critical in (True, False):
    attack(
        PROFILE,
        f"name constraints, {'' if _critical else 'not '}critical",
        lambda critical=_critical: signer(
            extensions={"nc": (x509.NameConstraints([x509.DNSName("example.com")], None), critical)}
        ),
    )
attack(
    PROFILE,
    "inhibitAnyPolicy",
    lambda: signer(extensions={"iap": (x509.InhibitAnyPolicy(0), True)}),
)


def _subject(**attributes: str) -> Fields:
    return signer(subject=distinguished_name(**attributes))


_CN = "Throwaway document signer"


def _of_country(country: str) -> Fields:
    """The licence says the same, so that nothing but the root contradicts it."""
    changes = {"issuing_country": {"value": country}, "issuing_jurisdiction": {"disclosed": False}}
    return _subject(C=country, ST="US-UT", CN=_CN) | {"items": changes} | _without("issuing_jurisdiction")


def _without(*names: str) -> Fields:
    return {"request": asking(but=names)}


attack(PROFILE, "of another country than its root", lambda: _of_country("CA"))
attack(
    PROFILE,
    "of another state than its root",
    lambda: (
        _subject(C="US", ST="US-NV", CN=_CN)
        | {"items": {"issuing_jurisdiction": {"value": "US-NV"}, "resident_state": {"value": "Nevada"}}}
    ),
)
attack(
    PROFILE,
    "without a country",
    lambda: (
        _subject(ST="US-UT", CN=_CN)
        | {"items": {"issuing_country": {"disclosed": False}}}
        | _without("issuing_country")
    ),
)


def _two_countries() -> Fields:
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CA"), *AUTHORITY.ds_recipe.subject])
    return signer(subject=name) | {"items": {"issuing_country": {"disclosed": False}}} | _without("issuing_country")


attack(PROFILE, "of two countries", _two_countries)
attack(PROFILE, "without a name", lambda: _subject(C="US", ST="US-UT"), tolerated=LENIENT)
for _extension in ("ski", "aki", "ian", "crldp"):
    attack(PROFILE, f"without {_extension}", lambda name=_extension: signer(extensions={name: None}), tolerated=LENIENT)
attack(
    PROFILE,
    "issuerAltName critical",
    lambda: signer(extensions={"ian": (AUTHORITY.ds_recipe.extensions["ian"][0], True)}),
    tolerated=LENIENT,
)
attack(
    PROFILE,
    "valid for a second more than 457 days",
    lambda: signer(not_after=AUTHORITY.ds_recipe.not_before + 457 * DAY + SECOND),
    tolerated=LENIENT,
)


def _forged(change: Any) -> Fields:
    return {"x5chain": forge(AUTHORITY.ds_certificate, change, signer=AUTHORITY.iaca_key).der}


attack(PROFILE, "serial number zero", lambda: _forged(set_field("serial_number", 0)), tolerated=LENIENT)
attack(PROFILE, "serial number negative", lambda: _forged(set_field("serial_number", -(2**100))), tolerated=LENIENT)
attack(PROFILE, "serial number of 21 octets", lambda: _forged(set_field("serial_number", 2**160)), tolerated=LENIENT)
for _oid, _name in {
    "2.5.29.31": "cRLDistributionPoints",
    "2.5.29.18": "issuerAltName",
    "2.5.29.17": "subjectAltName",
}.items():
    attack(
        PROFILE,
        f"{_name} that cannot be read",
        lambda oid=_oid: _forged(put(oid, b"\x04\x05gar", critical=False)),
        tolerated=LENIENT,
    )
attack(
    PROFILE,
    "basicConstraints with its FALSE written out",
    lambda: _forged(put("2.5.29.19", bytes.fromhex("3003010100"), critical=True)),
    tolerated=LENIENT,
)
attack(
    PROFILE,
    "basicConstraints with a TRUE of BER",
    lambda: _forged(put("2.5.29.19", bytes.fromhex("3003010101"), critical=True)),
)
attack(
    PROFILE,
    "a distribution point limited to some reasons",
    lambda: signer(
        extensions={
            "crldp": (
                x509.CRLDistributionPoints(
                    [
                        x509.DistributionPoint(
                            [x509.UniformResourceIdentifier("https://throwaway.example/iaca.crl")],
                            relative_name=None,
                            reasons=frozenset([x509.ReasonFlags.superseded]),
                            crl_issuer=None,
                        )
                    ]
                ),
                False,
            )
        }
    ),
    tolerated=LENIENT,
)

attack(PROFILE, "the root is no CA", lambda: root(extensions={"bc": (x509.BasicConstraints(False, None), True)}))
attack(PROFILE, "the root has no basicConstraints", lambda: root(extensions={"bc": None}))
attack(PROFILE, "the root must not sign certificates", lambda: root(extensions={"ku": _usage(crl_sign=True)}))
attack(PROFILE, "the root has an unknown critical extension", lambda: root(extensions={"other": _unknown()}))
attack(PROFILE, "the root has no keyUsage", lambda: root(extensions={"ku": None}), tolerated=LENIENT)
attack(
    PROFILE,
    "the root's basicConstraints with a TRUE of BER",
    lambda: {
        "trust": trust_in(
            forge(
                AUTHORITY.iaca_certificate,
                put("2.5.29.19", bytes.fromhex("3006010101020100")),
                signer=AUTHORITY.iaca_key,
            )
        )
    },
    tolerated=LENIENT,
)
attack(
    PROFILE,
    "the root may have CAs below it",
    lambda: root(extensions={"bc": (x509.BasicConstraints(ca=True, path_length=1), True)}),
    tolerated=LENIENT,
)
attack(PROFILE, "the root has no subjectKeyIdentifier", lambda: root(extensions={"ski": None}), tolerated=LENIENT)
attack(
    PROFILE,
    "the root is valid for longer than 20 years",
    lambda: root(not_after=AUTHORITY.iaca_recipe.not_before + 7306 * DAY),
    tolerated=LENIENT,
)

# --- its validity -----------------------------------------------------------------------------------------------------

VALIDITY = "issuer_auth.certificate_validity"


def _until(not_after: datetime) -> Fields:
    return signer(not_after=not_after)


attack(VALIDITY, "expired a second ago", lambda: _until(TEST_TIME - SECOND))
attack(VALIDITY, "expired long ago", lambda: _until(TEST_TIME - DAY + SECOND))
attack(
    VALIDITY,
    "not valid before the next second",
    lambda: signer(not_before=moment(SECOND)),
    also=("mso.signed_within_certificate",),
    why="what is signed within a validity that has not begun is signed in the future",
)
attack(VALIDITY, "the root expired a second ago", lambda: root(not_after=TEST_TIME - SECOND))
attack(VALIDITY, "the root is valid from the next second", lambda: root(not_before=moment(SECOND)))
attack(
    VALIDITY,
    "the root expired, and so did its renewal",
    lambda: {
        "trust": trust_in(
            *(
                Certificate(AUTHORITY.iaca_recipe.with_changes(not_after=TEST_TIME - age).build())
                for age in (SECOND, DAY)
            )
        )
    },
)

# --- the scope of trust -----------------------------------------------------------------------------------------------

SCOPE = "issuer_auth.trust_scope"


def _scoped(*anchors: tuple[Certificate, Sequence[str]]) -> Fields:
    return {
        "trust": TrustStore(
            TrustAnchor(certificate=certificate, doctypes=frozenset(doctypes)) for certificate, doctypes in anchors
        )
    }


attack(SCOPE, "the root is trusted for another document type", lambda: _scoped((AUTHORITY.iaca_certificate, [PID])))
attack(
    SCOPE,
    "the root is trusted for a longer name",
    lambda: _scoped((AUTHORITY.iaca_certificate, ["org.iso.18013.5.1.mDL.1", "org.iso.18013.5.1.mdl"])),
)
attack(
    SCOPE,
    "another root of the same name is trusted for the document type",
    lambda: _scoped((AUTHORITY.iaca_certificate, [PID]), (stranger().iaca_certificate, ["org.iso.18013.5.1.mDL"])),
)
attack(
    SCOPE,
    "another root is trusted for every document type",
    lambda: {
        "trust": TrustStore(
            [
                TrustAnchor(certificate=other_authority().iaca_certificate, doctypes=ANY_DOCTYPE),
                TrustAnchor(certificate=AUTHORITY.iaca_certificate, doctypes=frozenset([PID])),
            ]
        )
    },
)

# --- its revocation ---------------------------------------------------------------------------------------------------

REVOCATION = "issuer_auth.certificate_revocation"
_SERIAL = AUTHORITY.ds_certificate.serial


def _pem(der: bytes) -> bytes:
    return Crl(der).pem.encode()


def _forged_crl(change: Any, *, revoked: Sequence[int] = ()) -> bytes:
    return forge_crl(Crl(AUTHORITY.crl(revoked=revoked)), change, signer=AUTHORITY.iaca_key).der


def _entry(oid: str, *, critical: bool) -> Any:
    """A CRL entry extension on the first entry."""

    def change(body: Any) -> None:
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": oid, "critical": critical, "extn_value": core.ParsableOctetString(b"\x05\x00")}
        ]

    return change


for _name, _crls in {
    "revoked": lambda: [AUTHORITY.crl(revoked=[_SERIAL])],
    "revoked, among others": lambda: [AUTHORITY.crl(revoked=[1, 2**100, _SERIAL, _SERIAL + 1])],
    "revoked by a list that is stale": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL], this_update=moment(-60 * DAY), next_update=moment(-30 * DAY))
    ],
    "revoked by the older of two lists": lambda: [AUTHORITY.crl(number=2), AUTHORITY.crl(revoked=[_SERIAL])],
    "revoked by the newer of two lists": lambda: [AUTHORITY.crl(), AUTHORITY.crl(revoked=[_SERIAL], number=2)],
    "revoked by a list in PEM": lambda: [_pem(AUTHORITY.crl(revoked=[_SERIAL]))],
    "revoked by a list with an issuer it does not know before it": lambda: [
        other_authority().crl(),
        AUTHORITY.crl(revoked=[_SERIAL]),
    ],
    "revoked by a list from the future": lambda: [AUTHORITY.crl(revoked=[_SERIAL], this_update=moment(SECOND))],
    "stale by a second": lambda: [AUTHORITY.crl(this_update=moment(-30 * DAY), next_update=TEST_TIME - SECOND)],
    "from the future by a second": lambda: [AUTHORITY.crl(this_update=moment(SECOND))],
    "a list signed by a stranger": lambda: [AUTHORITY.crl(signer=stranger().iaca_key)],
    "a list signed by the document signer": lambda: [AUTHORITY.crl(signer=AUTHORITY.ds_key)],
    "a list changed after signing": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL]).replace(_SERIAL.to_bytes(16), (_SERIAL ^ 1).to_bytes(16), 1)
    ],
    "no list at all": lambda: [b"no list"],
    "an empty file": lambda: [b""],
    "a certificate in place of a list": lambda: [ROOT],
    "a PEM text with two lists": lambda: [_pem(AUTHORITY.crl()) * 2],
    "a list cut short": lambda: [AUTHORITY.crl()[:-1]],
    "a list with bytes behind it": lambda: [AUTHORITY.crl() + b"\0"],
    "an unknown critical extension": lambda: [AUTHORITY.crl(extensions={"other": _unknown()})],
    "a partial list, by distribution point": lambda: [
        AUTHORITY.crl(
            extensions={
                "idp": (
                    x509.IssuingDistributionPoint(
                        full_name=None,
                        relative_name=None,
                        only_contains_user_certs=False,
                        only_contains_ca_certs=True,
                        only_some_reasons=None,
                        indirect_crl=False,
                        only_contains_attribute_certs=False,
                    ),
                    True,
                )
            }
        )
    ],
    "a delta list": lambda: [AUTHORITY.crl(extensions={"delta": (x509.DeltaCRLIndicator(1), True)})],
    "a list that never ages": lambda: [_forged_crl(set_field("next_update", None))],
    "a list with a critical entry extension": lambda: [
        _forged_crl(_entry("1.2.3.4.5", critical=True), revoked=[12345])
    ],
}.items():
    attack(REVOCATION, _name, lambda crls=_crls: evidence(*crls()))

attack(REVOCATION, "evidence demanded and absent", lambda: evidence(required=True), outcome=Outcome.INDETERMINATE)
attack(
    REVOCATION,
    "evidence demanded, and only other roots' at hand",
    lambda: evidence(other_authority().crl(), stranger().crl(revoked=[_SERIAL]), required=True),
    outcome=Outcome.INDETERMINATE,
)
attack(
    REVOCATION,
    "evidence demanded, and the root's list under another name",
    lambda: evidence(AUTHORITY.crl(issuer=_named(CN="Throwaway IACA 2")), required=True),
    outcome=Outcome.INDETERMINATE,
)
attack(
    REVOCATION,
    "a list by a root that must not sign lists",
    lambda: root(extensions={"ku": _usage(key_cert_sign=True)}) | evidence(AUTHORITY.crl()),
    also=(PROFILE,),
    why="a root without cRLSign breaks its own profile",
)

# --- the issuer's signature -------------------------------------------------------------------------------------------

ALGORITHM = "issuer_auth.algorithm"


def _algorithm(name: str, fields: Any, **expected: Any) -> None:
    attack(ALGORITHM, name, fields, **({"left_open": NO_ALGORITHM, "why": NO_ALGORITHM_WHY} | expected))


for _name, _header in {
    "none": {},
    "an empty header": b"",
    "reserved 0": {1: 0},
    "null": {1: None},
    "ES384 with P-256": {1: -35},
    "ES512 with P-256": {1: -36},
    "EdDSA with P-256": {1: -8},
    "RS256": {1: -257},
    "PS256": {1: -37},
    "ES256K": {1: -47},
    "HMAC 256/256": {1: 5},
    "a fully specified name of the same": {1: -9},
    "as text": {1: "ES256"},
    "true": {1: True},
    "a float": {1: -7.0},
    "under a text label": {"1": -7},
}.items():
    _algorithm(f"names {_name}", {"issuer_protected": _header})


@cache
def authority_on(curve: str) -> ThrowawayAuthority:
    return ThrowawayAuthority(f"On {curve}", ds_curve=curve)


for _curve, _named_algorithm in (("P-384", -7), ("P-521", -35), ("Ed25519", -7), ("Ed448", -36), ("P-256", -8)):
    _algorithm(
        f"a {_curve} signer under algorithm {_named_algorithm}",
        lambda curve=_curve, named=_named_algorithm: {
            "authority": authority_on(curve),
            "issuer_protected": {1: named},
        },
    )
_algorithm(
    "the digest of another curve's algorithm, signed and named",
    lambda: {"issuer_protected": {1: -35}} | issuer_auth(_sign_with_sha384),
)


def _private(key: SoftwareSigner) -> ec.EllipticCurvePrivateKey:
    loaded = serialization.load_pem_private_key(key.to_pkcs8(password=None), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return loaded


def _sign_with_sha384(message: list[Any]) -> None:
    der = _private(AUTHORITY.ds_key).sign(_to_be_signed(message), ec.ECDSA(hashes.SHA384()))
    r, s = decode_dss_signature(der)
    message[3] = r.to_bytes(32) + s.to_bytes(32)


def _to_be_signed(message: list[Any], *, context: str = "Signature1", aad: bytes = b"") -> bytes:
    return encode([context, message[0], aad, message[2]])


def _of_foreign_kind(kind: str) -> Fields:
    """A certificate for a key that this standard does not know, issued by the honest root."""
    key: Any
    if kind == "RSA":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        key = ec.generate_private_key({"secp256k1": ec.SECP256K1(), "P-224": ec.SECP224R1()}[kind])
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def change(body: Any) -> None:
        body["subject_public_key_info"] = keys.PublicKeyInfo.load(spki)

    return {"x5chain": _forged_der(AUTHORITY.ds_certificate, change)}


for _kind in ("RSA", "secp256k1", "P-224"):
    _algorithm(
        f"a document signer's key of kind {_kind}",
        lambda kind=_kind: _of_foreign_kind(kind),
        also=(PROFILE,),
        why="a key of another cipher suite breaks the profile, and there is no algorithm for it",
    )

SIGNATURE = "issuer_auth.signature"
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def _signature(change: Any) -> Fields:
    """Change the signature itself."""
    return issuer_auth(lambda message: message.__setitem__(3, change(message[3])))


for _name, _change in {
    "one bit changed": lambda given: given[:-1] + bytes((given[-1] ^ 1,)),
    "cut short": lambda given: given[:-1],
    "a byte longer": lambda given: given + b"\0",
    "a zero in front": lambda given: b"\0" + given,
    "DER": raw_to_der,
    "empty": lambda _: b"",
    "all zeros": lambda _: bytes(64),
    "r and s exchanged": lambda given: given[32:] + given[:32],
    "r zero": lambda given: bytes(32) + given[32:],
    "s plus the order": lambda given: (
        given[:32] + ((int.from_bytes(given[32:]) + _P256_ORDER) % (1 << 256)).to_bytes(32)
    ),
}.items():
    attack(SIGNATURE, _name, lambda change=_change: _signature(change))
attack(SIGNATURE, "by another key", lambda: {"issuer_key": deterministic_key("attacker")})
attack(SIGNATURE, "by the root's key", lambda: {"issuer_key": AUTHORITY.iaca_key})
attack(SIGNATURE, "by the device's own key", lambda: {"issuer_key": deterministic_key("device")})


def _signed_otherwise(to_be_signed: Any) -> Fields:
    return issuer_auth(lambda message: message.__setitem__(3, AUTHORITY.ds_key.sign(to_be_signed(message))))


for _name, _form in {
    "over the bare payload": lambda message: message[2],
    "in the context of a countersignature": lambda message: _to_be_signed(message, context="CounterSignature1"),
    "in the context of several signers": lambda message: _to_be_signed(message, context="Signature"),
    "with external data": lambda message: _to_be_signed(message, aad=b"\0"),
    "over an empty protected header": lambda message: encode(["Signature1", b"", b"", message[2]]),
    "over the decoded protected header": lambda message: encode(["Signature1", {1: -7}, b"", message[2]]),
}.items():
    attack(SIGNATURE, _name, lambda form=_form: _signed_otherwise(form))

attack(
    SIGNATURE,
    "a header added to the protected ones",
    issuer_auth(lambda message: message.__setitem__(0, encode({1: -7, 16: "application/mdoc"}))),
)
attack(
    SIGNATURE,
    "the protected header encoded again",
    issuer_auth(lambda message: message.__setitem__(0, bytes.fromhex("a1180126"))),
)


def _payload_changed(message: list[Any]) -> None:
    """The licence is prolonged by a year."""
    assert message[2].count(b"2026-06-30") == 1
    message[2] = message[2].replace(b"2026-06-30", b"2027-06-30")


attack(SIGNATURE, "the security object changed after signing", issuer_auth(_payload_changed))
attack(
    SIGNATURE,
    "the payload detached",
    issuer_auth(lambda message: message.__setitem__(2, None)),
    left_open=(
        *("mso.version", "mso.doctype", "mso.digest_algorithm", "mso.validity", "mso.signed_within_certificate"),
        *("issuer_data.digest", "device_auth.algorithm", "device_auth.signature"),
    ),
    why="without a payload there is no security object",
)

ATTACKS = attack.rows

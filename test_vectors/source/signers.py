"""Attacks on the document signer: its certificate, the path to a root, the profile, the scope of trust."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from mdl.keys import raw_to_der
from mdl.pki import Certificate
from mdl.testing import TEST_TIME, ThrowawayAuthority, deterministic_key, distinguished_name
from reader.report import Policy
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from test_vectors.source.case import LENIENT, Attacks, Kind, refused
from test_vectors.source.stage import (
    AUTHORITY,
    DAY,
    EUROPEAN_PURPOSE,
    PID,
    PRINTABLE,
    SECOND,
    Fields,
    asking,
    moment,
    pid_signed_for,
    root,
    signer,
    trust_in,
    usage,
)
from tests.x509_forgery import forge, put, set_field

attack = Attacks()

# What hangs on the document signer's certificate, and on its root.
NO_SIGNER = (
    *("issuer_auth.path", "issuer_auth.profile", "issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    *("issuer_auth.algorithm", "issuer_auth.signature", "mso.signed_within_certificate"),
    *("subject.country", "subject.jurisdiction"),
)
NO_SIGNER_WHY = "without a document signer's certificate there is nothing to hold anything against"
NO_ROOT = ("issuer_auth.profile", "issuer_auth.certificate_validity", "issuer_auth.trust_scope")
NO_ROOT_WHY = "without a root there is nothing to compare the certificate with"

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
}.items():
    attack(X5CHAIN, _name, _fields, left_open=NO_SIGNER, why=NO_SIGNER_WHY)


def _doubled_extension() -> Fields:
    """A certificate with one extension twice, properly signed."""
    honest = AUTHORITY.ds_certificate

    def twice(body: Any) -> None:
        first = body["extensions"][0].dump()
        body["extensions"] = type(body["extensions"])(contents=body["extensions"].contents + first)

    return header(forged_der(honest, twice))


def forged_der(certificate: Certificate, change: Any) -> bytes:
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


for _name, _thumbprint in {
    "no certificate": [-16, bytes(32)],
    "the root": [-16, AUTHORITY.iaca_certificate.fingerprint],
    "no certificate, by the first half of SHA-256": [-15, bytes(8)],
    "no certificate, by SHA-384": [-43, bytes(48)],
    "no certificate, by SHA-512": [-44, bytes(64)],
    "the certificate, but cut short": [-16, AUTHORITY.ds_certificate.fingerprint[:31]],
    "text": [-16, "sha256"],
}.items():
    attack(
        X5CHAIN,
        f"the issuer signed for another certificate, by a thumbprint of {_name}",
        {"issuer_protected": {1: -7, 34: _thumbprint}},
        clause="18013-5 second edition (draft) 12.3.4",
        left_open=NO_SIGNER,
        why=NO_SIGNER_WHY,
        kind=Kind.MAY_REJECT,
    )
attack(X5CHAIN, "nine certificates", header([DS] * 9), left_open=NO_SIGNER, why=NO_SIGNER_WHY,
       kind=Kind.MAY_REJECT)  # fmt: skip
attack(X5CHAIN, "longer than any certificate", header(DS[:-40] + bytes(70_000)), left_open=NO_SIGNER,
       why=NO_SIGNER_WHY, bulky=True)  # fmt: skip
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
        lambda oid=_oid: header(forged_der(AUTHORITY.ds_certificate, put(oid, b"\x04\x05gar"))),
        left_open=NO_SIGNER,
        why=NO_SIGNER_WHY,
    )

for _oid, _name in {"2.5.29.31": "cRLDistributionPoints", "2.5.29.18": "issuerAltName"}.items():
    attack(
        X5CHAIN,
        f"{_name} that is critical and cannot be read",
        lambda oid=_oid: header(forged_der(AUTHORITY.ds_certificate, put(oid, b"\x04\x05gar", critical=True))),
        left_open=NO_SIGNER,
        why=NO_SIGNER_WHY,
    )

# --- the path ---------------------------------------------------------------------------------------------------------

PATH = "issuer_auth.path"
PROFILE = "issuer_auth.profile"


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
    policy=Policy.LENIENT,
    under=dict.fromkeys(
        (Policy.ISO_STRICT, Policy.AAMVA),
        refused(PATH, PROFILE, left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope")),
    ),
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


def named(**attributes: str) -> Any:
    return distinguished_name(**{"C": "US", "ST": "US-UT", "CN": "Throwaway IACA"} | attributes)


_path("issuer of another name, signed by the root's key", lambda: signer(issuer=named(CN="Throwaway IACA 2")))
_path("issuer's name in other case", lambda: signer(issuer=named(CN="throwaway iaca")))
_path("issuer's name with a blank more", lambda: signer(issuer=named(CN="Throwaway  IACA")))


def _reencoded_issuer() -> Fields:
    """The issuer's name with the same text in another string type; the honest one is UTF8String."""
    name = x509.Name(
        [
            x509.NameAttribute(each.oid, str(each.value), PRINTABLE if each.oid == NameOID.COMMON_NAME else None)
            for each in AUTHORITY.iaca_recipe.subject
        ]
    )
    assert name.public_bytes() != AUTHORITY.iaca_recipe.subject.public_bytes()
    return signer(issuer=name)


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
    name = named(CN="Throwaway intermediate")
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
        subject=named(CN="Throwaway document signer 2"),
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
    under={Policy.LENIENT: refused(PATH, left_open=NO_ROOT)},
)
_path(
    "the root's certificate and key",
    lambda: {"issuer_key": AUTHORITY.iaca_key, "x5chain": ROOT},
    also=("issuer_auth.profile",),
    left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    why="a root has the key usage of a root",
)
_path(
    "itself among the anchors, and a stranger's root",
    lambda: {"trust": trust_in(stranger().iaca_certificate, AUTHORITY.ds_certificate)},
)
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

_path(
    "the root first, and the document signer behind it",
    header([ROOT, DS]),
    also=("issuer_auth.profile", "issuer_auth.signature", "issuer_auth.x5chain"),
    left_open=("issuer_auth.certificate_validity", "issuer_auth.trust_scope"),
    why="the first certificate counts, and the root has neither the profile nor the key of the document signer",
)


def _linked() -> Fields:
    """The authority has taken a new key and a new name; the reader trusts the old root, and the link is sent along."""
    successor = other_authority()
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        x509.SubjectKeyIdentifier.from_public_key(AUTHORITY.iaca_key.public_key.key)
    )
    link = successor.iaca_recipe.with_changes(
        issuer=AUTHORITY.iaca_recipe.subject, signer=AUTHORITY.iaca_key, extensions={"aki": (aki, False)}
    ).build()
    return by_stranger(successor, x5chain=[successor.ds_certificate.der, link])


# A reader may follow a link, which was given to it beforehand; it is no part of a document signer's path.
_path("a new root, and the link from the trusted one sent along", _linked, kind=Kind.MAY_REJECT)

# --- the profile ------------------------------------------------------------------------------------------------------


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


attack(PROFILE, "no keyUsage", lambda: signer(extensions={"ku": None}))
attack(PROFILE, "keyUsage without digitalSignature", lambda: signer(extensions={"ku": usage(key_agreement=True)}))
attack(
    PROFILE,
    "keyUsage with keyCertSign",
    lambda: signer(extensions={"ku": usage(digital_signature=True, key_cert_sign=True)}),
)
attack(
    PROFILE, "keyUsage with cRLSign", lambda: signer(extensions={"ku": usage(digital_signature=True, crl_sign=True)})
)
attack(
    PROFILE,
    "keyUsage with more than it needs",
    lambda: signer(extensions={"ku": usage(digital_signature=True, content_commitment=True)}),
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


def unknown_extension(oid: str = "1.2.3.4.5", *, critical: bool = True) -> Any:
    return (x509.UnrecognizedExtension(ObjectIdentifier(oid), b"\x05\x00"), critical)


attack(PROFILE, "an unknown critical extension", lambda: signer(extensions={"other": unknown_extension()}))
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
    lambda: _subject(C="US", ST="US-NV", CN=_CN) | {"items": {"issuing_jurisdiction": {"value": "US-NV"}}},
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


def _with_the_roots_key() -> Fields:
    key = AUTHORITY.iaca_key
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key.key)
    return signer(public_key=key.public_key, extensions={"ski": (identifier, False)}) | {"issuer_key": key}


attack(PROFILE, "with the root's own key", _with_the_roots_key, tolerated=LENIENT)
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

_STATELESS_ROOT = distinguished_name(C="US", CN="Throwaway IACA")
attack(
    PROFILE,
    "of a state, under a root that names none, where AAMVA's rules are asked for",
    lambda: signer(issuer=_STATELESS_ROOT) | root(subject=_STATELESS_ROOT, issuer=_STATELESS_ROOT),
    kind=Kind.MAY_REJECT,
    policy=Policy.AAMVA,
    tolerated=(Policy.ISO_STRICT, Policy.LENIENT),
)

attack(
    PROFILE,
    "of a country in small letters",
    lambda: (
        _subject(C="us", ST="US-UT", CN=_CN)
        | {"items": {"issuing_country": {"disclosed": False}}}
        | _without("issuing_country")
    ),
)
attack(
    PROFILE,
    "of two states",
    lambda: (
        signer(subject=x509.Name([x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "US-NV"), *_subject_of_ds()]))
        | {"items": {"issuing_jurisdiction": {"disclosed": False}}}
        | _without("issuing_jurisdiction")
    ),
    under={Policy.AAMVA: refused(PROFILE, "subject.jurisdiction")},
)


def _subject_of_ds() -> x509.Name:
    return AUTHORITY.ds_recipe.subject


# The first edition forbids these five extensions, critical or not.
for _oid, _name in {
    "2.5.29.33": "policyMappings",
    "2.5.29.36": "policyConstraints",
    "2.5.29.46": "freshestCRL",
}.items():
    for _critical in (True, False):
        attack(
            PROFILE,
            f"{_name}, {'' if _critical else 'not '}critical",
            lambda oid=_oid, critical=_critical: _forged(put(oid, b"\x30\x00", critical=critical)),
        )
attack(
    PROFILE,
    "a distribution point of another issuer's list",
    lambda: signer(
        extensions={
            "crldp": (
                x509.CRLDistributionPoints(
                    [
                        x509.DistributionPoint(
                            [x509.UniformResourceIdentifier("https://throwaway.example/iaca.crl")],
                            None,
                            None,
                            [x509.DirectoryName(named(CN="Somebody"))],
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
attack(PROFILE, "the root must not sign certificates", lambda: root(extensions={"ku": usage(crl_sign=True)}))
attack(PROFILE, "the root has an unknown critical extension", lambda: root(extensions={"other": unknown_extension()}))
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

for _name, _purposes in {
    "the root is one of mdoc readers": ["1.0.18013.5.1.6"],
    "the root is one of mdoc readers, by the generic purpose": ["1.0.23220.4.1.6"],
    "the root says that it is for documents and for readers": ["1.0.18013.5.1.7", "1.0.18013.5.1.6"],
    "the root is for signing lists of roots": ["1.0.18013.5.1.8"],
}.items():
    attack(
        PROFILE,
        _name,
        lambda purposes=_purposes: root(
            extensions={"eku": (x509.ExtendedKeyUsage([ObjectIdentifier(one) for one in purposes]), False)}
        ),
    )
attack(
    PROFILE,
    "the root has a later end than its authority signed",
    lambda: {"trust": trust_in(Certificate(_edited(AUTHORITY.iaca_certificate)))},
    kind=Kind.MAY_REJECT,
)
attack(
    PROFILE,
    "the root's own signature is broken",
    lambda: {"trust": trust_in(Certificate(_flipped(AUTHORITY.iaca_certificate.der)))},
    kind=Kind.MAY_REJECT,
)


def _edited(certificate: Certificate) -> bytes:
    """The certificate with a notAfter a year later, under its old signature."""
    old = f"{certificate.not_after:%y%m%d%H%M%SZ}".encode()
    assert certificate.der.count(old) == 1
    return certificate.der.replace(old, f"{certificate.not_after.year % 100 + 1:02}".encode() + old[2:])


def _flipped(der: bytes) -> bytes:
    return der[:-1] + bytes((der[-1] ^ 1,))


# --- the purpose of signers of other document types -------------------------------------------------------------------

_OF_OTHER_TYPES = {
    "a PID by a signer of a European purpose, which nobody has chosen": lambda: _plain_trust(
        pid_signed_for(EUROPEAN_PURPOSE)
    ),
    "a PID by a signer without a purpose, and nobody has chosen to do without": lambda: _plain_trust(pid_signed_for()),
    "a PID by a signer of an mDL's purpose, where the reader has chosen another": lambda: pid_signed_for(
        "1.0.18013.5.1.2", accepted=[EUROPEAN_PURPOSE]
    ),
    "a PID by a signer of a purpose that begins as the chosen one": lambda: pid_signed_for(
        f"{EUROPEAN_PURPOSE}.1", accepted=[EUROPEAN_PURPOSE]
    ),
    "a PID by a signer of any extended key usage, where the reader has chosen one": lambda: pid_signed_for(
        "2.5.29.37.0", accepted=[EUROPEAN_PURPOSE]
    ),
    "a PID by a signer without a purpose, where the reader has chosen one": lambda: pid_signed_for(
        accepted=[EUROPEAN_PURPOSE]
    ),
    "a PID by a certificate for readers, where the reader asks for no purpose": lambda: pid_signed_for(
        "1.0.18013.5.1.6"
    ),
    "a PID by a certificate for status answers, where the reader asks for no purpose": lambda: pid_signed_for(
        EUROPEAN_PURPOSE, "1.3.6.1.5.5.7.3.9"
    ),
    "another document type by a signer of the purpose that is chosen for PIDs": lambda: (
        pid_signed_for(EUROPEAN_PURPOSE, accepted=[EUROPEAN_PURPOSE]) | {"doctype": "org.example"}
    ),
    "an mDL by a signer of the purpose that is chosen for PIDs": lambda: {
        name: value
        for name, value in pid_signed_for(EUROPEAN_PURPOSE, accepted=[EUROPEAN_PURPOSE]).items()
        if name in ("x5chain", "trust")
    },
}


def _plain_trust(fields: Fields) -> Fields:
    return fields | {"trust": trust_in(AUTHORITY.iaca_certificate)}


for _name, _build in _OF_OTHER_TYPES.items():
    attack(PROFILE, _name, _build)

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

CASES = attack.rows

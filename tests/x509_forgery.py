"""Certificates and CRLs bent out of shape: decoded by asn1crypto, changed in one place, signed again.

asn1crypto shares no code with the library under test, and it encodes whatever it is told to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import core, crl, keys, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mdl.keys import SoftwareSigner, raw_to_der
from mdl.pki import (
    IACA,
    PROFILES,
    READER_CA,
    Certificate,
    Crl,
    Profile,
    Subject,
    build_certificate,
)
from mdl.testing import deterministic_key

START = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECT = Subject(country="XU", state="XU-1", organization="Utopia", common_name="Utopia signer")
ROOT_SUBJECT = Subject(country="XU", state="XU-1", organization="Utopia", common_name="Utopia root")
ROOT_KEY = deterministic_key("forgery root")
KEY = deterministic_key("forgery signer")
CRL_URI = "https://crl.utopia.example/iaca.crl"
CONTACT = "pki@utopia.example"

Change = Callable[[Any], None]
_DIGESTS: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def root(signer: SoftwareSigner = ROOT_KEY, subject: Subject = ROOT_SUBJECT, profile: Profile = IACA) -> Certificate:
    """An honest root."""
    return build_certificate(
        profile,
        subject=subject,
        public_key=signer.public_key,
        issuer=None,
        signer=signer,
        not_before=START,
        not_after=START + timedelta(days=3650),
        crl_uri=CRL_URI,
        contact_email=CONTACT,
        serial=2**125 + 1,
    )


def honest(
    profile: Profile, *, issuer: Certificate | None = None, signer: SoftwareSigner = ROOT_KEY, key: Any = None
) -> tuple[Certificate, Certificate | None]:
    """An honest certificate of a profile, and its issuer (None where self-issued)."""
    public_key = (key or KEY).public_key
    if profile.self_issued:
        return root(), None
    issuer = issuer or root(profile=IACA if profile.scoped else READER_CA)
    copies = profile.copies_issuer_alternative_name and issuer.issuer_alternative_name is not None
    certificate = build_certificate(
        profile,
        subject=SUBJECT,
        public_key=public_key,
        issuer=issuer,
        signer=signer,
        not_before=START + timedelta(days=1),
        not_after=START + timedelta(days=301),
        crl_uri=CRL_URI,
        contact_email=None if copies else CONTACT,
        serial=2**125 + 2,
    )
    return certificate, issuer


def sign(signer: SoftwareSigner, body: bytes, digest: str = "sha256") -> bytes:
    """A DER ECDSA signature by any digest, or an EdDSA signature."""
    algorithm = signer.public_key.algorithm
    if algorithm.hash_name is None:
        return signer.sign(body)
    if algorithm.hash_name == digest:
        return raw_to_der(signer.sign(body))
    key = serialization.load_pem_private_key(signer.to_pkcs8(password=None), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(body, ec.ECDSA(_DIGESTS[digest], deterministic_signing=True))


def forge(
    certificate: Certificate,
    change: Change,
    *,
    signer: SoftwareSigner = ROOT_KEY,
    digest: str = "sha256",
    outer: Change | None = None,
) -> Certificate:
    """The certificate with its body changed, signed again; ``outer`` changes the envelope afterwards."""
    fields = x509.Certificate.load(certificate.der)
    body = fields["tbs_certificate"].copy()
    change(body)
    return Certificate(_sealed(x509.Certificate, "tbs_certificate", body, signer=signer, digest=digest, outer=outer))


def forge_crl(
    original: Crl,
    change: Change,
    *,
    signer: SoftwareSigner = ROOT_KEY,
    digest: str = "sha256",
    outer: Change | None = None,
) -> Crl:
    """As `forge`, for a CRL."""
    body = crl.CertificateList.load(original.der)["tbs_cert_list"].copy()
    change(body)
    return Crl(_sealed(crl.CertificateList, "tbs_cert_list", body, signer=signer, digest=digest, outer=outer))


def _sealed(kind: Any, name: str, body: Any, *, signer: SoftwareSigner, digest: str, outer: Change | None) -> bytes:
    der = body.dump()
    envelope = kind(
        {
            name: type(body).load(der),
            "signature_algorithm": body["signature"].copy(),
            ("signature_value" if name == "tbs_certificate" else "signature"): sign(signer, der, digest),
        }
    )
    if outer is not None:
        outer(envelope)
    return bytes(envelope.dump())


# --- Changes ----------------------------------------------------------------------------------------------------------


def set_field(name: str, value: Any) -> Change:
    """Set a field of the body."""

    def change(body: Any) -> None:
        body[name] = value

    return change


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(body: Any) -> None:
        for each in changes:
            each(body)

    return change


def _entries(body: Any) -> list[tuple[str, bool, bytes]]:
    return [
        (each["extn_id"].dotted, each["critical"].native, each["extn_value"].contents) for each in body["extensions"]
    ]


def _put_entries(body: Any, entries: list[tuple[str, bool, bytes]]) -> None:
    # By hand: asn1crypto would insist on the type that it knows for an extension's value.
    parts = []
    for oid, critical, der in entries:
        flag = b"\x01\x01\xff" if critical else b""
        parts.append(_tlv(0x30, core.ObjectIdentifier(oid).dump() + flag + _tlv(0x04, der)))
    body["extensions"] = type(body["extensions"])(contents=b"".join(parts))


def drop(oid: str) -> Change:
    """Remove an extension."""

    def change(body: Any) -> None:
        kept = [each for each in _entries(body) if each[0] != oid]
        assert len(kept) < len(_entries(body))
        _put_entries(body, kept)

    return change


def put(oid: str, value: Any, *, critical: bool | None = None) -> Change:
    """Replace or add an extension; ``value`` is DER or an asn1crypto value. A new one is not critical by itself."""

    def change(body: Any) -> None:
        der = value if isinstance(value, bytes) else value.dump()
        entries = _entries(body)
        if oid not in {each[0] for each in entries}:
            entries.append((oid, False, b""))
        _put_entries(
            body,
            [
                (each, old if critical is None else critical, der) if each == oid else (each, old, content)
                for each, old, content in entries
            ],
        )

    return change


def flag(oid: str, *, critical: bool) -> Change:
    """Change the criticality of an extension."""

    def change(body: Any) -> None:
        entries = _entries(body)
        assert oid in {each[0] for each in entries}
        _put_entries(body, [(each, critical if each == oid else old, content) for each, old, content in entries])

    return change


def rename(edit: Callable[[list[Any]], list[Any]], *, field: str = "subject") -> Change:
    """Edit a name as a list of (attribute type, asn1crypto string)."""

    def change(body: Any) -> None:
        values = [(each["type"].dotted, each["value"]) for rdn in body[field].chosen for each in rdn]
        # A DirectoryString is a choice; other attributes are strings themselves.
        pairs = [(oid, value.chosen if isinstance(value, core.Choice) else value) for oid, value in values]
        body[field] = name_of(edit(pairs))

    return change


def name_of(pairs: list[tuple[str, Any]]) -> Any:
    """A Name of one-attribute RDNs, from (attribute type, asn1crypto string) pairs."""
    rdns = []
    for oid, value in pairs:
        body = core.ObjectIdentifier(oid).dump() + value.dump()
        rdns.append(_tlv(0x31, _tlv(0x30, body)))
    return x509.Name.load(_tlv(0x30, b"".join(rdns)))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, size) if size < 0x80 else (tag, 0x80 | len(octets), *octets)) + content


def rekey(spki: bytes) -> Change:
    """Change the subject's key, and the subjectKeyIdentifier with it."""

    def change(body: Any) -> None:
        info = keys.PublicKeyInfo.load(spki)
        body["subject_public_key_info"] = info
        bits = info["public_key"].contents[1:]
        put("2.5.29.14", core.OctetString(hashlib.sha1(bits, usedforsecurity=False).digest()))(body)

    return change


def all_profiles() -> list[Profile]:
    """Every certificate profile."""
    return list(PROFILES.values())

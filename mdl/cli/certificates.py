"""Certificates, CRLs, requests and keys, for people: the facts, and the findings against the likely profile."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from mdl.cli.tree import Node
from mdl.errors import MdlError, SigningError, integer_text
from mdl.keys import EphemeralKey, PublicKey, SoftwareSigner
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    IACA_LINK,
    JWS_SIGNER,
    OCSP_SIGNER,
    READER_AUTHENTICATION,
    READER_CA,
    VICAL_SIGNER,
    AlgorithmIdentifier,
    Certificate,
    CertificateRequest,
    Crl,
    Extension,
    ExtensionId,
    Finding,
    GeneralName,
    KeyPurpose,
    KeyUsage,
    Profile,
    lint_certificate,
    lint_crl,
)
from mdl.pki import structures as der_types

__all__ = [
    "certificate_nodes",
    "crl_nodes",
    "describe_key",
    "is_encrypted_key",
    "likely_profile",
    "private_key_nodes",
    "public_key_nodes",
    "request_nodes",
]

_MOST_ENTRIES: Final = 20
_ACRONYMS: Final = frozenset(("crl", "iaca", "jws", "ocsp", "tls", "vical"))
_SIGNATURES: Final = {
    "1.2.840.10045.4.3.1": "ECDSA with SHA-224",
    "1.2.840.10045.4.3.2": "ECDSA with SHA-256",
    "1.2.840.10045.4.3.3": "ECDSA with SHA-384",
    "1.2.840.10045.4.3.4": "ECDSA with SHA-512",
    "1.2.840.113549.1.1.11": "RSA with SHA-256",
    "1.3.101.112": "Ed25519",
    "1.3.101.113": "Ed448",
}
_PROFILE_BY_PURPOSE: Final = {
    KeyPurpose.MDL_DOCUMENT_SIGNER: DOCUMENT_SIGNER,
    KeyPurpose.MDOC_SIGNER: DOCUMENT_SIGNER,
    KeyPurpose.MDL_JWS_SIGNER: JWS_SIGNER,
    KeyPurpose.MDOC_READER_AUTHENTICATION: READER_AUTHENTICATION,
    KeyPurpose.MDOC_READER: READER_AUTHENTICATION,
    KeyPurpose.VICAL_SIGNER: VICAL_SIGNER,
    KeyPurpose.OCSP_SIGNING: OCSP_SIGNER,
    KeyPurpose.IACA_LINK: IACA_LINK,
}


def describe_key(key: PublicKey) -> str:
    """The curve, and the algorithm that goes with it."""
    if key.curve.algorithm is None:
        return f"{key.curve.name}, key agreement only"
    return f"{key.curve.name}, goes with {key.curve.algorithm.name}"


def likely_profile(certificate: Certificate) -> Profile | None:
    """The profile that a certificate seems to be made for, by its extended key usage; None where nothing tells.

    A self-issued one that issues others is taken for an IACA root where it says no more, a CA for readers for a reader
    CA. A revocation-list signer cannot be told: its purpose has no number yet (pki.md §2.8), and one that is
    guessed from what is absent would make the worst certificate the cleanest.
    """
    constraints = certificate.basic_constraints
    is_ca = constraints is not None and constraints.ca
    for purpose in certificate.extended_key_usage or ():
        if purpose in _PROFILE_BY_PURPOSE:
            profile = _PROFILE_BY_PURPOSE[KeyPurpose(purpose)]
            return READER_CA if is_ca and profile is READER_AUTHENTICATION else profile
    signs_others = is_ca or KeyUsage.KEY_CERT_SIGN in (certificate.key_usage or ())
    if signs_others and certificate.issuer == certificate.subject:
        return IACA
    return None


def certificate_nodes(certificate: Certificate, profile: Profile | None, *, full: bool) -> tuple[Node, ...]:
    """What a certificate says.

    Args:
        certificate: The certificate.
        profile: What it is held against; None for none.
        full: Whether to show remedies and the extensions that are not understood.
    """
    days = (certificate.not_after - certificate.not_before).total_seconds() / 86400
    try:
        key = describe_key(certificate.public_key)
    except MdlError as exc:
        key = f"not usable here: {exc}"
    self_issued = certificate.issuer == certificate.subject
    return (
        Node("subject", str(certificate.subject)),
        Node("issuer", str(certificate.issuer), "self-issued" if self_issued else ""),
        Node("valid", f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ} to {certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
             f"{days:.4g} days"),
        Node("public key", key),
        Node("serial", integer_text(certificate.serial, "x")),
        Node("signed with", _signature(certificate.algorithm)),
        *_extensions(certificate.extensions.values(), certificate, full=full),
        Node("SHA-256", certificate.fingerprint.hex()),
        *_findings(profile, None if profile is None else lint_certificate(certificate, profile), full=full),
    )  # fmt: skip


def _signature(algorithm: AlgorithmIdentifier) -> str:
    return _SIGNATURES.get(algorithm.oid, algorithm.oid)


def _words(member: ExtensionId | KeyPurpose) -> str:
    words = member.name.lower().split("_")
    return " ".join({"mdl": "mDL"}.get(word, word.upper() if word in _ACRONYMS else word) for word in words)


def _extension_name(oid: str) -> str:
    try:
        return _words(ExtensionId(oid))
    except ValueError:
        return f"extension {oid}"


def _extensions(extensions: Iterable[Extension], certificate: Certificate, *, full: bool) -> list[Node]:
    nodes = []
    for extension in extensions:
        value = _extension_value(extension, certificate)
        if not value:
            shown = extension.value if full else extension.value[:32]
            value = f"{shown.hex()}{'…' if len(shown) < len(extension.value) else ''}"
        nodes.append(Node(_extension_name(extension.oid), value, "critical" if extension.critical else ""))
    return nodes


def _extension_value(extension: Extension, certificate: Certificate) -> str:
    match extension.oid:
        case ExtensionId.KEY_USAGE:
            set_bits = certificate.key_usage or frozenset()
            return ", ".join(usage.value for usage in KeyUsage if usage in set_bits) or "none"
        case ExtensionId.EXTENDED_KEY_USAGE:
            return ", ".join(_purpose(oid) for oid in certificate.extended_key_usage or ())
        case ExtensionId.BASIC_CONSTRAINTS:
            constraints = certificate.basic_constraints
            if constraints is None or not constraints.ca:
                return "no CA"
            length = constraints.path_length
            return "CA" if length is None else f"CA, path length {integer_text(length)}"
        case ExtensionId.SUBJECT_KEY_IDENTIFIER:
            return (certificate.subject_key_identifier or b"").hex()
        case ExtensionId.AUTHORITY_KEY_IDENTIFIER:
            return (certificate.authority_key_identifier or b"").hex()
        case ExtensionId.CRL_DISTRIBUTION_POINTS:
            return ", ".join(_general_names(n for point in certificate.crl_distribution_points for n in point.names))
        case ExtensionId.ISSUER_ALTERNATIVE_NAME:
            return ", ".join(_general_names(certificate.issuer_alternative_name or ()))
        case ExtensionId.SUBJECT_ALTERNATIVE_NAME:
            return ", ".join(_general_names(certificate.subject_alternative_name or ()))
        case _:
            return ""


def _purpose(oid: str) -> str:
    try:
        return f"{_words(KeyPurpose(oid))} ({oid})"
    except ValueError:
        return oid


def _general_names(names: Iterable[GeneralName]) -> list[str]:
    return [f"{name.form.value} {name.value}".rstrip() for name in names]


def _findings(profile: Profile | None, findings: tuple[Finding, ...] | None, *, full: bool) -> list[Node]:
    if profile is None or findings is None:
        return [Node("profile", "none that suggests itself, so nothing was held against one")]
    title = f"{profile.id}: {profile.title}, {profile.clause}"
    return [Node("profile", title, "" if findings else "no findings", _finding_nodes(findings, full=full))]


def _finding_nodes(findings: Iterable[Finding], *, full: bool) -> tuple[Node, ...]:
    return tuple(
        Node(
            finding.severity.value,
            f"{finding.message} [{finding.rule}]",
            finding.clause,
            (Node("remedy", finding.remedy),) if full else (),
        )
        for finding in findings
    )


def crl_nodes(crl: Crl, *, full: bool) -> tuple[Node, ...]:
    """What a CRL says."""
    entries = crl.revoked.items() if full else itertools.islice(crl.revoked.items(), _MOST_ENTRIES)
    revoked = [Node(integer_text(serial, "x"), f"{moment:%Y-%m-%dT%H:%M:%SZ}") for serial, moment in entries]
    if len(revoked) < len(crl.revoked):
        revoked.append(Node("…", f"and {len(crl.revoked) - len(revoked)} more, which --full shows"))
    findings = lint_crl(crl)
    return (
        Node("issuer", str(crl.issuer)),
        Node("this update", f"{crl.this_update:%Y-%m-%dT%H:%M:%SZ}"),
        Node("next update", "none" if crl.next_update is None else f"{crl.next_update:%Y-%m-%dT%H:%M:%SZ}"),
        Node("CRL number", "none" if crl.number is None else integer_text(crl.number)),
        Node("issuer's key", crl.authority_key_identifier.hex() if crl.authority_key_identifier else "not told"),
        Node("signed with", _signature(crl.algorithm)),
        Node("revoked", str(len(crl.revoked)), "", tuple(revoked)),
        Node("SHA-256", crl.fingerprint.hex()),
        Node(
            "profile",
            "crl: certificate revocation list of an IACA, 18013-5 B.3",
            "" if findings else "no findings",
            _finding_nodes(findings, full=full),
        ),
    )


def request_nodes(request: CertificateRequest) -> tuple[Node, ...]:
    """What a certification request asks for."""
    return (
        Node("subject", str(request.subject)),
        *public_key_nodes(request.public_key),
        Node("possession", "the request is signed by the key that it asks a certificate for"),
    )


def public_key_nodes(key: PublicKey) -> tuple[Node, ...]:
    """What a public key is."""
    return (Node("public key", describe_key(key)), Node("point", key.point.hex()))


@asn1.sequence
class _EncryptedKey:
    """EncryptedPrivateKeyInfo (RFC 5958 §3)."""

    algorithm: asn1.TLV
    data: bytes


@asn1.sequence
class _Encryption:
    """Its algorithm: always one with parameters, the salt at least."""

    oid: ObjectIdentifier
    parameters: asn1.TLV


# PKCS #5 and PKCS #12: the algorithms that encrypt by a password.
_PASSWORD_BASED: Final = ("1.2.840.113549.1.5.", "1.2.840.113549.1.12.1.")


def is_encrypted_key(der: bytes) -> bool:
    """Whether the DER is an encrypted PKCS#8 key; it is not opened."""
    try:
        algorithm = asn1.decode_der(_EncryptedKey, der).algorithm
        found = asn1.decode_der(_Encryption, der_types.encoded(algorithm))
    except (ValueError, TypeError, OverflowError):
        return False
    return found.oid.dotted_string.startswith(_PASSWORD_BASED)


def private_key_nodes(data: bytes) -> tuple[Node, ...] | None:
    """What an unencrypted private key is, without its secret; None where the bytes are none."""
    public = None
    for load in (SoftwareSigner.from_pkcs8, EphemeralKey.from_pkcs8):
        try:
            public = load(data).public_key
            break
        except SigningError as exc:
            if exc.code == "signing.secret_incorrect":
                return None
        except MdlError:
            continue
    if public is None:
        return None
    warning = "NOT ENCRYPTED: whoever reads the file can use it"
    return (*public_key_nodes(public), Node("private key", "not shown", warning))

"""Second opinions on certificates: what asn1crypto and `cryptography.x509` read, and that ours never just fails."""

from __future__ import annotations

import warnings
from contextlib import suppress
from datetime import timedelta

from asn1crypto import x509 as asn1_x509
from cryptography import x509

from mdl.errors import DecodeError, UnsupportedError, VerificationError
from mdl.pki import (
    DOCUMENT_SIGNER,
    PROFILES,
    AttributeId,
    Certificate,
    KeyUsage,
    NameForm,
    RevokedCertificate,
    build_crl,
    lint_certificate,
    lint_crl,
    validate_path,
)
from tests.x509_forgery import ROOT_KEY, START, honest, root

ROOT = root()
DS = honest(DOCUMENT_SIGNER, issuer=ROOT)[0]
A_CRL = build_crl(
    ROOT,
    ROOT_KEY,
    number=300,
    this_update=START,
    next_update=START + timedelta(days=59),
    revoked=[RevokedCertificate(serial=DS.serial, revoked_at=START), RevokedCertificate(serial=77, revoked_at=START)],
)


def assert_same_facts(certificate: Certificate) -> None:
    """Our reading against that of asn1crypto."""
    second = asn1_x509.Certificate.load(certificate.der, strict=True)
    body = second["tbs_certificate"]
    assert certificate.tbs == body.dump()
    assert certificate.serial == second.serial_number
    assert certificate.issuer.der == second.issuer.dump()
    assert certificate.subject.der == second.subject.dump()
    assert certificate.spki == second.public_key.dump()
    assert certificate.not_before == body["validity"]["not_before"].native
    assert certificate.not_after == body["validity"]["not_after"].native
    assert certificate.subject_key_identifier == (second.key_identifier or None)
    assert certificate.authority_key_identifier == (second.authority_key_identifier or None)
    assert certificate.signature == second.signature
    assert certificate.algorithm.oid == second["signature_algorithm"]["algorithm"].dotted
    assert set(certificate.critical_extensions) == {
        each["extn_id"].dotted for each in body["extensions"] if each["critical"].native
    }
    countries = [
        each["value"].native
        for rdn in second.subject.chosen
        for each in rdn
        if each["type"].dotted == AttributeId.COUNTRY
    ]
    assert list(certificate.subject.values(AttributeId.COUNTRY)) == countries
    usage = second.key_usage_value
    if usage is not None:
        assert len(certificate.key_usage or ()) == len(usage.native)
    purposes = second.extended_key_usage_value
    assert certificate.extended_key_usage == (None if purposes is None else tuple(each.dotted for each in purposes))
    constraints = second.basic_constraints_value
    if constraints is not None and certificate.basic_constraints is not None:
        assert certificate.basic_constraints.ca == constraints["ca"].native
        assert certificate.basic_constraints.path_length == constraints["path_len_constraint"].native


def _is_uri(name: x509.GeneralName) -> bool:
    return isinstance(name, x509.UniformResourceIdentifier)


def _bits(usage: x509.KeyUsage) -> frozenset[KeyUsage]:
    bits = {
        KeyUsage.DIGITAL_SIGNATURE: usage.digital_signature,
        KeyUsage.CONTENT_COMMITMENT: usage.content_commitment,
        KeyUsage.KEY_ENCIPHERMENT: usage.key_encipherment,
        KeyUsage.DATA_ENCIPHERMENT: usage.data_encipherment,
        KeyUsage.KEY_AGREEMENT: usage.key_agreement,
        KeyUsage.KEY_CERT_SIGN: usage.key_cert_sign,
        KeyUsage.CRL_SIGN: usage.crl_sign,
        KeyUsage.ENCIPHER_ONLY: usage.key_agreement and usage.encipher_only,
        KeyUsage.DECIPHER_ONLY: usage.key_agreement and usage.decipher_only,
    }
    return frozenset(bit for bit, is_set in bits.items() if is_set)


def assert_as_strict_as_the_library(certificate: Certificate) -> None:
    """What we accept, `cryptography.x509` accepts and sees as we do, but for what it decodes and we keep as bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial numbers and country codes: our findings
        try:
            other = x509.load_der_x509_certificate(certificate.der)
            extensions = other.extensions
            _ = other.subject, other.issuer
        except (ValueError, TypeError, x509.UnsupportedGeneralNameType):
            assert holds_what_is_kept_as_bytes(certificate)
            return
        assert other.tbs_certificate_bytes == certificate.tbs
        assert other.serial_number == certificate.serial
        assert other.not_valid_before_utc == certificate.not_before
        assert other.not_valid_after_utc == certificate.not_after
        assert {each.oid.dotted_string: each.critical for each in extensions} == {
            oid: each.critical for oid, each in certificate.extensions.items()
        }
        for each in extensions:
            if isinstance(each.value, x509.CRLDistributionPoints):
                uris = [name.value for point in each.value for name in point.full_name or () if _is_uri(name)]
                assert list(certificate.crl_uris) == uris
            if isinstance(each.value, x509.KeyUsage):
                assert _bits(each.value) == certificate.key_usage
            if isinstance(each.value, x509.BasicConstraints):
                assert certificate.basic_constraints is not None
                assert certificate.basic_constraints.ca == each.value.ca
                assert certificate.basic_constraints.path_length == each.value.path_length
            if isinstance(each.value, x509.ExtendedKeyUsage):
                assert certificate.extended_key_usage == tuple(oid.dotted_string for oid in each.value)
            if isinstance(each.value, x509.SubjectKeyIdentifier):
                assert certificate.subject_key_identifier == each.value.digest
            if isinstance(each.value, x509.AuthorityKeyIdentifier):
                assert certificate.authority_key_identifier == each.value.key_identifier


OURS = {"2.5.29.14", "2.5.29.15", "2.5.29.17", "2.5.29.18", "2.5.29.19", "2.5.29.31", "2.5.29.35", "2.5.29.37"}


def holds_what_is_kept_as_bytes(certificate: Certificate) -> bool:
    attributes = (*certificate.subject.attributes, *certificate.issuer.attributes)
    names = [name for point in certificate.crl_distribution_points for name in point.names]
    names += [*(certificate.issuer_alternative_name or ()), *(certificate.subject_alternative_name or ())]
    constraints = certificate.basic_constraints
    authority = certificate.extensions.get("2.5.29.35")
    return (
        # The rules on strings name these: attributes that are no strings or not in their alphabet.
        any(each.string_type == "other" or not (each.value or "").isalnum() for each in attributes)
        # The rules on keys and algorithms name these.
        or _unusable(certificate)
        or None is not certificate.algorithm.parameters
        or None is not certificate.inner_algorithm.parameters
        # Names of other forms mean nothing here, and neither do the other members of distribution points.
        or any(name.form is NameForm.OTHER for name in names)
        or any(
            not point.names or point.has_reasons or point.has_crl_issuer
            for point in certificate.crl_distribution_points
        )
        or _only_with_key_agreement(certificate)
        or (authority is not None and len(authority.value) != 24)
        or (constraints is not None and not constraints.ca and constraints.path_length is not None)
        # The rules on encodings name these.
        or (constraints is not None and not constraints.is_der)
        or bool(certificate.unreadable)
        # Extensions that no rule speaks about.
        or bool(certificate.extensions.keys() - OURS)
    )


def _only_with_key_agreement(certificate: Certificate) -> bool:
    """These two bits mean something beside keyAgreement only."""
    usage = certificate.key_usage or frozenset()
    return KeyUsage.KEY_AGREEMENT not in usage and bool(usage & {KeyUsage.ENCIPHER_ONLY, KeyUsage.DECIPHER_ONLY})


def _unusable(certificate: Certificate) -> bool:
    try:
        return certificate.public_key is None
    except (DecodeError, UnsupportedError):
        return True


def certificate_or_refusal(data: bytes) -> Certificate | None:
    """A certificate that answers whatever is asked, or None where the bytes are refused as they should be."""
    try:
        certificate = Certificate(data)
    except DecodeError:
        return None
    assert certificate.der == data
    assert certificate.tbs in data
    use(certificate)
    return certificate


def use(certificate: Certificate) -> None:
    """Everything that may be asked of a certificate gives an answer or an error of ours."""
    with suppress(DecodeError, UnsupportedError):
        _ = certificate.public_key
    with suppress(VerificationError):
        certificate.verify_signature(ROOT.public_key)
    _ = str(certificate.subject), str(certificate.issuer), certificate.fingerprint, certificate.crl_uris
    for profile in PROFILES.values():
        for finding in lint_certificate(certificate, profile, issuer=ROOT, at=START):
            assert str(finding).isprintable()
        lint_certificate(certificate, profile, issuer=certificate)
    validate_path(certificate, [ROOT], at=START)
    validate_path(DS, [certificate], at=START)
    lint_crl(A_CRL, issuer=certificate)

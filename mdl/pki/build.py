"""Build certificates, requests and CRLs from the profiles' table.

`cryptography` encodes; a `Signer` signs, wherever its key lives. Whatever comes out is decoded again by
`mdl.pki.certificate`, held against its profile and verified under the issuer's key before anybody gets it: neither an
encoder nor a custodian is believed.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import serialization

from mdl.errors import DecodeError, MdlError, ProfileError, SigningError, UnsupportedError, VerificationError
from mdl.keys import PublicKey, Signer, UnsafePostQuantum, signing_key_of, x509_signing_key
from mdl.pki import structures as der_types
from mdl.pki.certificate import (
    ECDSA_SIGNATURES,
    MAX_CERTIFICATE_SIZE,
    AttributeId,
    Certificate,
    Extension,
    ExtensionId,
    KeyPurpose,
    KeyUsage,
    Name,
    algorithm_of,
    is_pem,
    key_identifier,
    pem_blocks,
    public_key_of,
    to_pem,
    verify_x509_signature,
)
from mdl.pki.crl import Crl
from mdl.pki.encoding import REQUEST, explain
from mdl.pki.lint import Finding, lint_certificate, lint_crl
from mdl.pki.model import Profile, Severity
from mdl.pki.profiles import CRL, PROFILES

Randomness = Callable[[int], bytes]
"""Gives that many random bytes."""

SERIAL_SIZE: Final = 20
"""Octets of a serial number that is drawn here; the top bit is cleared, so 159 bits are random."""

_COUNTRY: Final = re.compile(r"[A-Z]{2}\Z")
_PRINTABLE: Final = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]+\Z")
_URI: Final = re.compile(r"https?://[!-~]+\Z", re.IGNORECASE)
_URI_OR_MAIL: Final = re.compile(r"(https?|mailto):[!-~]+\Z", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[!-?A-~]+@[!-?A-~]+\Z")
_ENCODER_LENGTHS: Final[Mapping[str, tuple[int, int]]] = {
    AttributeId.COUNTRY: (2, 2),
    AttributeId.COMMON_NAME: (1, 64),
    "1.3.6.1.4.1.311.60.2.1.3": (2, 2),  # jurisdictionCountryName
}
# RFC 2985 5.4.2, and the number that Windows has for the same.
_EXTENSION_REQUESTS: Final = frozenset({"1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14"})
_WEAK_SIGNATURES: Final = {"1.2.840.10045.4.1": "ECDSA with SHA-1", "1.2.840.10045.4.3.1": "ECDSA with SHA-224"}
_LENGTHS: Final[Mapping[AttributeId, int]] = {
    AttributeId.STATE: 128,
    AttributeId.LOCALITY: 128,
    AttributeId.ORGANIZATION: 64,
    AttributeId.COMMON_NAME: 64,
    AttributeId.SERIAL_NUMBER: 64,
}


@asn1.sequence
class _TextAttribute:
    oid: x509.ObjectIdentifier
    value: asn1.PrintableString | str


@asn1.sequence
class _TextAttributes:
    rdns: list[asn1.SetOf[_TextAttribute]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The subject of a certificate that is to be built.

    Attributes:
        country: ISO 3166-1 alpha-2, capital letters.
        common_name: Distinct for each CA and signer; at most 64 characters.
        state: As ISO 3166-2 (``US-UT``), since ``issuing_jurisdiction`` of the mDL is compared with it.
        organization: At most 64 characters.
        locality: At most 128 characters.
        serial_number: Of the subject, not of the certificate; letters, digits and simple punctuation only.

    Raises:
        ProfileError: A value is empty, too long, or not in its alphabet (``build.subject``).

    Spec:
        18013-5 first edition B.1.
    """

    country: str
    common_name: str
    state: str | None = None
    organization: str | None = None
    locality: str | None = None
    serial_number: str | None = None

    def __post_init__(self) -> None:
        if not _COUNTRY.match(self.country):
            raise _refused("countryName is two capital letters", "build.subject")
        for attribute, value in self._texts():
            limit = _LENGTHS.get(attribute)
            if limit is not None and not 1 <= len(value) <= limit:
                raise _refused(f"attribute {attribute.name.lower()} has 1 to {limit} characters", "build.subject")
            if not value.isprintable():
                raise _refused(f"attribute {attribute.name.lower()} has control characters", "build.subject")
        if self.serial_number is not None and not _PRINTABLE.match(self.serial_number):
            raise _refused("the subject's serial number is a PrintableString", "build.subject")

    def _texts(self) -> list[tuple[AttributeId, str]]:
        attributes = (
            (AttributeId.COUNTRY, self.country),
            (AttributeId.STATE, self.state),
            (AttributeId.LOCALITY, self.locality),
            (AttributeId.ORGANIZATION, self.organization),
            (AttributeId.COMMON_NAME, self.common_name),
            (AttributeId.SERIAL_NUMBER, self.serial_number),
        )
        return [(attribute, value) for attribute, value in attributes if value is not None]

    @property
    def name(self) -> Name:
        """The distinguished name: one attribute in each RDN, PrintableString where possible, else UTF8String."""
        rdns = [
            asn1.SetOf(
                [
                    _TextAttribute(
                        oid=x509.ObjectIdentifier(attribute),
                        value=asn1.PrintableString(text) if _PRINTABLE.match(text) else text,
                    )
                ]
            )
            for attribute, text in self._texts()
        ]
        outer = asn1.decode_der(asn1.TLV, asn1.encode_der(_TextAttributes(rdns=rdns)))
        return Name(bytes(outer.data))


@dataclass(frozen=True, slots=True, repr=False)
class CertificateRequest:
    """A PKCS#10 request whose signature has been verified: the requester holds the key.

    Attributes:
        der: The request as received.
        subject: The subject that is asked for.
        public_key: The key that is asked for.
        purposes: The extended key usages that the request asks for, in its order; empty where it asks for none.

    Raises:
        DecodeError: Not one whole request in strict DER (``request.malformed``, ``request.size``), or its key is
            malformed.
        UnsupportedError: A key that certificates here cannot carry.
        VerificationError: The request is not signed by its own key (``request.possession``), or with an algorithm that
            proves nothing, as SHA-1 (``request.algorithm``).
    """

    der: bytes
    subject: Name = field(init=False, compare=False)
    public_key: PublicKey = field(init=False, compare=False)
    purposes: tuple[str, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.der) > MAX_CERTIFICATE_SIZE:
            raise DecodeError(f"a request of more than {MAX_CERTIFICATE_SIZE} bytes", code="request.size")
        try:
            self._decode()
        except DecodeError as exc:
            raise explain(exc, self.der, REQUEST) from exc.__cause__

    def _decode(self) -> None:
        malformed = "request.malformed"
        outer = der_types.decode(der_types.Signed, self.der, code=malformed, path="")
        if outer.signature.padding_bits():
            raise DecodeError("a signature is whole bytes", code=malformed, path="signature")
        body = der_types.decode_inside(
            der_types.CertificationRequestInfo, outer.body, code=malformed, path="certificationRequestInfo"
        )
        if body.version != 0:
            raise DecodeError("no such version", code=malformed, path="certificationRequestInfo.version")
        algorithm = algorithm_of(outer.algorithm, code=malformed, path="signatureAlgorithm")
        key = public_key_of(der_types.encoded(body.spki))
        signed, signature = der_types.encoded(outer.body), outer.signature.as_bytes()
        if key.curve.kind == "EC" and algorithm.oid not in ECDSA_SIGNATURES:
            weak = _WEAK_SIGNATURES.get(algorithm.oid, "an algorithm that is not ECDSA with SHA-2")
            raise VerificationError(
                f"the request is signed with {weak}, which proves nothing: sign it with SHA-256, SHA-384 or SHA-512",
                code="request.algorithm",
                clause="18013-5 Annex B",
            )
        try:
            if key.curve.kind == "EC":
                verify_x509_signature(key, algorithm, signed, signature)
            elif algorithm.oid == key.curve.oid:
                key.verify(signature, signed)
            else:
                raise VerificationError("another algorithm than the key's", code="signature.algorithm")
        except VerificationError as exc:
            raise VerificationError(
                "the request is not signed by the key that it asks a certificate for", code="request.possession"
            ) from exc
        object.__setattr__(self, "subject", Name(der_types.encoded(body.subject)))
        object.__setattr__(self, "public_key", key)
        object.__setattr__(self, "purposes", _requested_purposes(body))

    @property
    def pem(self) -> str:
        """The request as PEM text, ending in a newline."""
        return to_pem(self.der, "CERTIFICATE REQUEST")

    def __repr__(self) -> str:
        return f"CertificateRequest({self.public_key.curve.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return CertificateRequest, (self.der,)


def _requested_purposes(body: der_types.CertificationRequestInfo) -> tuple[str, ...]:
    """The extended key usages in the attributes extensionRequest, of which no other extension is read."""
    where = {"code": "request.malformed", "path": "certificationRequestInfo.attributes"}
    found: list[str] = []
    for element in body.attributes.as_list():
        attribute = der_types.decode_inside(der_types.RequestAttribute, element, **where)
        if attribute.oid.dotted_string not in _EXTENSION_REQUESTS:
            continue
        for value in attribute.values.as_list():
            der = der_types.enclosed(der_types.encoded(value))
            for one in der_types.decode(der_types.RequestedExtensions, der, **where).items:
                if one.oid.dotted_string == ExtensionId.EXTENDED_KEY_USAGE:
                    der = der_types.enclosed(one.value)
                    purposes = der_types.decode(der_types.ObjectIdentifiers, der, **where).items
                    found += [purpose.dotted_string for purpose in purposes]
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedCertificate:
    """An entry of a CRL that is to be built: serial number and time of revocation (aware UTC)."""

    serial: int
    revoked_at: datetime


def draw_serial(random: Randomness = os.urandom) -> int:
    """Draw a certificate serial number: positive, 159 random bits, 20 octets at most.

    Raises:
        SigningError: The source of randomness gave too few bytes, or hardly any that are not zero
            (``signing.randomness``).
    """
    octets = random(SERIAL_SIZE)
    serial = int.from_bytes(octets) & ((1 << (8 * SERIAL_SIZE - 1)) - 1)
    # 120 bits are left with a probability of 1 - 2^-39: anything smaller is a broken source.
    if len(octets) != SERIAL_SIZE or serial.bit_length() <= 120:
        raise SigningError("the source of randomness is broken", code="signing.randomness")
    return serial


def build_certificate(
    profile: Profile,
    *,
    subject: Subject | Name,
    public_key: PublicKey,
    issuer: Certificate | None,
    signer: Signer,
    not_before: datetime,
    not_after: datetime,
    crl_uri: str | None = None,
    contact_email: str | None = None,
    contact_uri: str | None = None,
    serial: int | None = None,
    random: Randomness = os.urandom,
    post_quantum: UnsafePostQuantum | None = None,
) -> Certificate:
    """Build a certificate of one profile, and prove it before handing it out.

    Args:
        profile: What to build.
        subject: Who it is for; a `Name` is taken over byte for byte (a request's, or a new root's for a link
            certificate).
        public_key: The subject's key.
        issuer: The issuing certificate, or None for a self-signed one. Its subject becomes the issuer field, byte for
            byte.
        signer: Holds the issuer's key.
        not_before: Start of validity, aware UTC; fractions of a second are cut.
        not_after: End of validity, inclusive; at most the profile's planned validity later.
        crl_uri: Where the issuer's CRL is found, http or https.
        contact_email: E-mail address of the issuing authority, for issuerAltName.
        contact_uri: URI of the issuing authority, for issuerAltName.
        serial: The serial number; None draws one of 20 octets.
        random: The source of randomness for the serial number.
        post_quantum: Asks for the rehearsal: either key may be one of ML-DSA.

    Raises:
        ProfileError: The arguments do not make a certificate of this profile (``build.*``), or the result has
            findings (``build.findings``; see ``findings``).
        SigningError: The custodian failed, or its signature does not verify (``signing.wrong_signature``).
        UnsupportedError: The signer's key cannot sign certificates.
    """
    _check_signer(profile, issuer, signer, public_key, post_quantum)
    subject_name = subject.name if isinstance(subject, Subject) else subject
    issuer_name = subject_name if issuer is None else issuer.subject
    not_before, not_after = _utc(not_before), _utc(not_after)
    if not_after < not_before:
        raise _refused("notAfter is before notBefore", "build.validity")
    if profile.planned_validity is not None and not_after - not_before > profile.planned_validity:
        raise _refused(
            f"a {profile.title} is issued for at most {profile.planned_validity.days} days",
            "build.validity",
            profile.clause,
        )
    if serial is None:
        serial = draw_serial(random)
    elif not 0 < serial < 1 << (8 * SERIAL_SIZE - 1):
        raise _refused("a serial number is positive and has at most 20 octets", "build.serial")
    builder = (
        x509.CertificateBuilder()
        .subject_name(_x509_name(subject_name))
        .issuer_name(_x509_name(issuer_name))
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .public_key(_x509_public_key(public_key, post_quantum))
    )
    for extension, critical in _extensions(
        profile,
        public_key=public_key,
        issuer=issuer,
        crl_uri=crl_uri,
        contact=_contact(profile, issuer, contact_email, contact_uri),
    ):
        builder = builder.add_extension(extension, critical=critical)
    der = _signed(builder, signer, post_quantum)
    certificate = Certificate(der)
    if certificate.issuer != issuer_name or certificate.subject != subject_name:
        raise _refused("a name would not be copied byte for byte", "build.name", "18013-5 Annex B")
    try:
        # Not with the key that the signer names now: readers have the certificate's.
        certificate.verify_signature(public_key if issuer is None else issuer.key_for(post_quantum))
    except VerificationError as exc:
        raise _wrong_signature() from exc
    findings = lint_certificate(certificate, profile, issuer=issuer, with_signature=False, post_quantum=post_quantum)
    _refuse_findings(findings, profile.title)
    return certificate


def encode_extensions(
    profile: Profile,
    *,
    public_key: PublicKey,
    issuer: Certificate | None,
    crl_uri: str | None = None,
    contact_email: str | None = None,
    contact_uri: str | None = None,
) -> tuple[Extension, ...]:
    """Encode the extensions of a certificate that another CA's software is to build.

    They are the ones that `build_certificate` would put into it; so are the arguments.

    Raises:
        ProfileError: The arguments make no such extensions (``build.*``).
    """
    contact = _contact(profile, issuer, contact_email, contact_uri)
    return tuple(
        Extension(oid=extension.oid.dotted_string, critical=critical, value=extension.public_bytes())
        for extension, critical in _extensions(
            profile, public_key=public_key, issuer=issuer, crl_uri=crl_uri, contact=contact
        )
    )


def build_csr(subject: Subject, signer: Signer) -> CertificateRequest:
    """Build a PKCS#10 request for the signer's own key.

    Raises:
        SigningError: The custodian failed, or its signature does not verify (``signing.wrong_signature``).
        UnsupportedError: The signer's key cannot sign X.509.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(_x509_name(subject.name))
    key = signing_key_of(signer)
    der = _signed(builder, signer)
    try:
        request = CertificateRequest(der)
    except VerificationError as exc:
        raise _wrong_signature() from exc
    if request.public_key != key:
        raise _wrong_signature()
    return request


def decode_csr(data: bytes) -> CertificateRequest:
    """Decode a PKCS#10 request, PEM or DER, and verify that its own key signed it.

    Raises:
        DecodeError: Not exactly one request.
        UnsupportedError: A key that certificates here cannot carry.
        VerificationError: The request is not signed by its own key (``request.possession``).
    """
    if not is_pem(data):
        return CertificateRequest(data)
    label = "NEW CERTIFICATE REQUEST" if b"NEW CERTIFICATE REQUEST" in data else "CERTIFICATE REQUEST"
    found = pem_blocks(data, label, code="request.pem")
    if len(found) != 1:
        raise DecodeError(f"{len(found)} requests where one is expected", code="request.pem")
    return CertificateRequest(found[0])


def build_crl(
    issuer: Certificate,
    signer: Signer,
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revoked: Iterable[RevokedCertificate] = (),
    post_quantum: UnsafePostQuantum | None = None,
) -> Crl:
    """Build a full, direct CRL of an IACA, and prove it before handing it out.

    Args:
        issuer: The IACA's certificate.
        signer: Holds its key.
        number: The cRLNumber: greater than that of every CRL before. The caller keeps count.
        this_update: When it is issued, aware UTC; fractions of a second are cut.
        next_update: When the next one comes: later, by at most 90 days.
        revoked: Every certificate of this IACA that is revoked and not yet expired, each once.
        post_quantum: Asks for the rehearsal: the IACA's key may be one of ML-DSA.

    Raises:
        ProfileError: The arguments do not make a CRL of the profile (``build.*``), or the result has findings.
        SigningError: The custodian failed, or its signature does not verify.

    Spec:
        18013-5 first edition B.3.
    """
    issuer_key = issuer.key_for(post_quantum)
    if signing_key_of(signer) != issuer_key:
        raise _refused("the signer does not hold the issuer's key", "build.signer")
    this_update, next_update = _utc(this_update), _utc(next_update)
    if number < 0:
        raise _refused("a CRL number is not negative", "build.number")
    entries = sorted(revoked, key=lambda entry: (_utc(entry.revoked_at), entry.serial))
    if len({entry.serial for entry in entries}) != len(entries):
        raise _refused("a serial number is listed twice", "build.revoked")
    try:
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=_x509_name(issuer.subject),
            last_update=this_update,
            next_update=next_update,
            extensions=[
                x509.Extension(
                    x509.AuthorityKeyIdentifier.oid, critical=False, value=_authority_key_identifier(issuer)
                ),
                x509.Extension(x509.CRLNumber.oid, critical=False, value=x509.CRLNumber(number)),
            ],
            revoked_certificates=[
                x509.RevokedCertificateBuilder()
                .serial_number(entry.serial)
                .revocation_date(_utc(entry.revoked_at))
                .build()
                for entry in entries
            ],
        )
    except ValueError as exc:
        raise _refused("a serial number or a time that no CRL can carry", "build.revoked") from exc
    crl = Crl(_signed(builder, signer, post_quantum))
    if crl.issuer != issuer.subject:
        raise _refused("a name would not be copied byte for byte", "build.name", CRL.clause)
    try:
        crl.verify_signature(issuer_key)
    except VerificationError as exc:
        raise _wrong_signature() from exc
    findings = lint_crl(crl, issuer=issuer, with_signature=False, post_quantum=post_quantum)
    _refuse_findings(findings, CRL.title)
    return crl


# --- Inside -----------------------------------------------------------------------------------------------------------


def _refused(message: str, code: str, clause: str | None = None) -> ProfileError:
    return ProfileError(message, code=code, clause=clause)


def _wrong_signature() -> SigningError:
    return SigningError("the custodian's signature does not verify", code="signing.wrong_signature")


def _refuse_findings(findings: tuple[Finding, ...], title: str) -> None:
    grave = tuple(finding for finding in findings if finding.severity is not Severity.NOTE)
    if grave:
        raise ProfileError(
            f"this would not be a {title} of its profile: {grave[0]}",
            code="build.findings",
            clause=grave[0].clause,
            findings=grave,
        )


def _check_signer(
    profile: Profile,
    issuer: Certificate | None,
    signer: Signer,
    public_key: PublicKey,
    post_quantum: UnsafePostQuantum | None,
) -> None:
    """The signer holds the issuer's key, and the issuer may issue."""
    if issuer is None:
        if not profile.ca:
            raise _refused(f"a {profile.title} is issued by a CA", "build.issuer", profile.clause)
        if signing_key_of(signer) != public_key:
            raise _refused("a self-signed certificate is signed with its own key", "build.signer")
        return
    if profile.self_issued:
        raise _refused(f"a {profile.title} is self-signed", "build.issuer", profile.clause)
    if signing_key_of(signer) != issuer.key_for(post_quantum):
        raise _refused("the signer does not hold the issuer's key", "build.signer")
    issuing = PROFILES["iaca"] if profile.scoped else PROFILES["reader-ca"]
    findings = lint_certificate(issuer, issuing, post_quantum=post_quantum)
    grave = tuple(finding for finding in findings if finding.security)
    if grave:
        raise ProfileError(
            f"the issuer may not issue: {grave[0]}", code="build.issuer", clause=grave[0].clause, findings=grave
        )


def _utc(time: datetime) -> datetime:
    if time.utcoffset() is None:
        msg = "times are aware datetimes"
        raise ValueError(msg)
    return time.astimezone(UTC).replace(microsecond=0)


def _x509_name(name: Name) -> x509.Name:
    # The encoder warns of these lengths, in bytes, and lets them pass.
    for attribute in name.attributes:
        shortest, longest = _ENCODER_LENGTHS.get(attribute.oid, (0, MAX_CERTIFICATE_SIZE))
        if not shortest <= len(attribute.value or "") <= longest:
            raise _refused(f"a name whose attribute {attribute.oid} has a wrong length", "build.name")
    try:
        with warnings.catch_warnings():
            # It counts bytes; the limits, checked above and by `Subject`, are in characters (RFC 5280 Appendix A).
            warnings.simplefilter("ignore", UserWarning)
            return asn1.decode_der(x509.Name, name.der)
    except (ValueError, TypeError) as exc:
        raise _refused("a name that cannot be copied", "build.name") from exc


def _x509_public_key(key: PublicKey, post_quantum: UnsafePostQuantum | None) -> Any:
    try:
        key.algorithm_for(post_quantum)
    except UnsupportedError as exc:
        raise _refused(f"a key on {key.curve.name} cannot sign", "build.key", "18013-5 Annex B") from exc
    return key.key


def _authority_key_identifier(issuer: Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.subject_key_identifier or key_identifier(issuer.key_bits)
    return x509.AuthorityKeyIdentifier(identifier, authority_cert_issuer=None, authority_cert_serial_number=None)


def _contact(
    profile: Profile, issuer: Certificate | None, email: str | None, uri: str | None
) -> x509.ExtensionType | None:
    if profile.copies_issuer_alternative_name and issuer is not None:
        copied = issuer.extensions.get(ExtensionId.ISSUER_ALTERNATIVE_NAME)
        if copied is not None:
            if email is not None or uri is not None:
                raise _refused("issuerAltName is copied from the CA's certificate", "build.contact", profile.clause)
            return x509.UnrecognizedExtension(x509.ObjectIdentifier(copied.oid), copied.value)
    names: list[x509.GeneralName] = []
    if email is not None:
        if not _EMAIL.match(email):
            raise _refused("the contact's e-mail address is not one in ASCII", "build.contact")
        names.append(x509.RFC822Name(email))
    if uri is not None:
        if not _URI_OR_MAIL.match(uri):
            raise _refused("the contact's URI is an http, https or mailto URI in ASCII", "build.contact")
        names.append(x509.UniformResourceIdentifier(uri))
    return x509.IssuerAlternativeName(names) if names else None


def _extensions(
    profile: Profile,
    *,
    public_key: PublicKey,
    issuer: Certificate | None,
    crl_uri: str | None,
    contact: x509.ExtensionType | None,
) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if issuer is not None:
        extensions.append((_authority_key_identifier(issuer), False))
    extensions.append((x509.SubjectKeyIdentifier(key_identifier(public_key.point)), False))
    extensions.append((_key_usage(profile), True))
    if profile.purpose is not None:
        purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier(profile.purpose)])
        extensions.append((purpose, profile.purpose_critical is True))
    if profile.ca:
        extensions.append((x509.BasicConstraints(ca=True, path_length=profile.path_length), True))
    if contact is not None:
        extensions.append((contact, False))
    if crl_uri is not None:
        if not _URI.match(crl_uri):
            raise _refused("the CRL's address is an http or https URI in ASCII", "build.crl_uri", "18013-5 Annex B")
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_uri)], None, None, None)
        extensions.append((x509.CRLDistributionPoints([point]), False))
    elif profile.purpose is KeyPurpose.OCSP_SIGNING:
        extensions.append((x509.OCSPNoCheck(), False))
    return extensions


def _key_usage(profile: Profile) -> x509.KeyUsage:
    bits = profile.key_usage
    return x509.KeyUsage(
        digital_signature=KeyUsage.DIGITAL_SIGNATURE in bits,
        content_commitment=KeyUsage.CONTENT_COMMITMENT in bits,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=KeyUsage.KEY_CERT_SIGN in bits,
        crl_sign=KeyUsage.CRL_SIGN in bits,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    builder: x509.CertificateBuilder | x509.CertificateSigningRequestBuilder | x509.CertificateRevocationListBuilder,
    signer: Signer,
    post_quantum: UnsafePostQuantum | None = None,
) -> bytes:
    """Sign what a builder holds; the digest is the one that goes with the signer's curve."""
    digest = signing_key_of(signer).algorithm_for(post_quantum).hash
    rehearsed = signing_key_of(signer).curve.experimental is not None
    if digest is None and not rehearsed and not isinstance(builder, x509.CertificateSigningRequestBuilder):
        raise _refused("certificates and CRLs are signed with an EC key", "build.signer", "18013-5 Annex B")
    try:
        built = builder.sign(x509_signing_key(signer, post_quantum=post_quantum), digest)  # type: ignore[arg-type]
        return built.public_bytes(serialization.Encoding.DER)
    except MdlError:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise _refused("the encoder refuses these values", "build.encoding") from exc

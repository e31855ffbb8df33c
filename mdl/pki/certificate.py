"""Certificates as immutable views over the DER that was received.

`Certificate(der)` decodes everything once. Whatever the profiles ask about is an attribute; whether a value is
permitted is the linter's business, so an odd serial number or a wrong country code still gives a certificate, and a
finding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ObjectIdentifier

from mdl.errors import DecodeError, VerificationError
from mdl.keys import CURVES, EXPERIMENTAL_CURVES, PublicKey, UnsafePostQuantum, unsupported_spki
from mdl.pki import structures as der_types
from mdl.pki.encoding import CERTIFICATE, explain

ValueT = TypeVar("ValueT")

MAX_CERTIFICATE_SIZE: Final = 65_536
"""Largest certificate that is decoded, in bytes, inclusive."""

MAX_PEM_CERTIFICATES: Final = 1_000
"""Most certificates that one PEM text may hold, inclusive."""


class ExtensionId(StrEnum):
    """The extensions that the profiles speak about, by object identifier."""

    SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
    KEY_USAGE = "2.5.29.15"
    SUBJECT_ALTERNATIVE_NAME = "2.5.29.17"
    ISSUER_ALTERNATIVE_NAME = "2.5.29.18"
    BASIC_CONSTRAINTS = "2.5.29.19"
    CRL_NUMBER = "2.5.29.20"
    DELTA_CRL_INDICATOR = "2.5.29.27"
    ISSUING_DISTRIBUTION_POINT = "2.5.29.28"
    NAME_CONSTRAINTS = "2.5.29.30"
    CRL_DISTRIBUTION_POINTS = "2.5.29.31"
    POLICY_MAPPINGS = "2.5.29.33"
    AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
    POLICY_CONSTRAINTS = "2.5.29.36"
    EXTENDED_KEY_USAGE = "2.5.29.37"
    FRESHEST_CRL = "2.5.29.46"
    INHIBIT_ANY_POLICY = "2.5.29.54"
    OCSP_NO_CHECK = "1.3.6.1.5.5.7.48.1.5"


class KeyPurpose(StrEnum):
    """Extended key usages of this PKI and its neighbours, by object identifier."""

    MDL_DOCUMENT_SIGNER = "1.0.18013.5.1.2"
    MDL_JWS_SIGNER = "1.0.18013.5.1.3"
    IACA_LINK = "1.0.18013.5.1.4"
    MDOC_READER_AUTHENTICATION = "1.0.18013.5.1.6"
    IACA = "1.0.18013.5.1.7"
    VICAL_SIGNER = "1.0.18013.5.1.8"
    READER_TLS_CLIENT = "1.0.18013.5.1.9"
    MDOC_SIGNER = "1.0.23220.4.1.2"
    MDOC_READER = "1.0.23220.4.1.6"
    TLS_SERVER = "1.3.6.1.5.5.7.3.1"
    TLS_CLIENT = "1.3.6.1.5.5.7.3.2"
    OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"


class KeyUsage(StrEnum):
    """The bits of keyUsage, in the order of their positions."""

    DIGITAL_SIGNATURE = "digitalSignature"
    CONTENT_COMMITMENT = "contentCommitment"
    KEY_ENCIPHERMENT = "keyEncipherment"
    DATA_ENCIPHERMENT = "dataEncipherment"
    KEY_AGREEMENT = "keyAgreement"
    KEY_CERT_SIGN = "keyCertSign"
    CRL_SIGN = "cRLSign"
    ENCIPHER_ONLY = "encipherOnly"
    DECIPHER_ONLY = "decipherOnly"


class AttributeId(StrEnum):
    """The attributes of a distinguished name that the profiles speak about, by object identifier."""

    COMMON_NAME = "2.5.4.3"
    SERIAL_NUMBER = "2.5.4.5"
    COUNTRY = "2.5.4.6"
    LOCALITY = "2.5.4.7"
    STATE = "2.5.4.8"
    ORGANIZATION = "2.5.4.10"
    ORGANIZATIONAL_UNIT = "2.5.4.11"


class NameForm(StrEnum):
    """Forms of GeneralName that are told apart here."""

    EMAIL = "rfc822Name"
    DNS = "dNSName"
    URI = "uniformResourceIdentifier"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralName:
    """A GeneralName.

    Attributes:
        form: Which alternative of the choice.
        value: The text; empty for `NameForm.OTHER`.
        der: The element as received.
    """

    form: NameForm
    value: str
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute of a distinguished name.

    Attributes:
        oid: The attribute type, dotted.
        string_type: The ASN.1 name of the string type, or ``other``.
        value: The text, or None where the type is no string.
    """

    oid: str
    string_type: str
    value: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Name:
    """A distinguished name: the bytes are the name, the attributes are a view.

    Two names are equal when their DER is equal, byte for byte.

    Attributes:
        der: The Name as received.
        attributes: The attributes in order; attributes of one multi-valued RDN follow each other.

    Spec:
        18013-5 first edition B.1: an issuer field equals the issuing certificate's subject byte for byte.
    """

    der: bytes
    attributes: tuple[Attribute, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", _attributes(self.der))

    def values(self, attribute: AttributeId) -> tuple[str, ...]:
        """All values of one attribute type, in order."""
        return tuple(found.value for found in self.attributes if found.oid == attribute and found.value is not None)

    def only(self, attribute: AttributeId) -> str | None:
        """The value of an attribute type that occurs exactly once, else None: two countries are no country."""
        values = self.values(attribute)
        return values[0] if len(values) == 1 else None

    @property
    def country(self) -> str | None:
        """The only countryName, or None."""
        return self.only(AttributeId.COUNTRY)

    @property
    def state(self) -> str | None:
        """The only stateOrProvinceName, or None."""
        return self.only(AttributeId.STATE)

    @property
    def common_name(self) -> str | None:
        """The only commonName, or None."""
        return self.only(AttributeId.COMMON_NAME)

    @property
    def folded(self) -> tuple[tuple[str, str | None], ...]:
        """The attributes by type and text, for telling whether two names mean the same: see `resembles`."""
        return _folded(self.attributes)

    def resembles(self, other: Name) -> bool:
        """Whether two names say the same in string types, letter case, blanks or order that may differ.

        For what errs on the safe side by finding too many; a certificate's path takes names byte for byte.

        Spec:
            RFC 5280 7.1.
        """
        return self.der == other.der or self.folded == other.folded

    def __eq__(self, other: object) -> bool:
        return self.der == other.der if isinstance(other, Name) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.der)

    def __str__(self) -> str:
        short = {AttributeId.COMMON_NAME: "CN", AttributeId.COUNTRY: "C", AttributeId.STATE: "ST"}
        short |= {AttributeId.ORGANIZATION: "O", AttributeId.LOCALITY: "L"}
        short |= {AttributeId.ORGANIZATIONAL_UNIT: "OU", AttributeId.SERIAL_NUMBER: "serialNumber"}
        labels: Mapping[str, str] = {oid.value: label for oid, label in short.items()}
        return ", ".join(f"{labels.get(a.oid, a.oid)}={_printable(a.value)}" for a in self.attributes)

    def __reduce__(self) -> tuple[Any, ...]:
        return Name, (self.der,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlgorithmIdentifier:
    """A signature AlgorithmIdentifier.

    Attributes:
        oid: Dotted object identifier.
        parameters: The DER of the parameters, or None where they are absent.
    """

    oid: str
    parameters: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One extension: object identifier, criticality, and the DER in its OCTET STRING."""

    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicConstraints:
    """basicConstraints: whether the subject is a CA, and how many CAs may follow (None: any number).

    Attributes:
        ca: Whether a CA.
        path_length: How many.
        is_der: Whether the boolean is written as DER asks. Some roots in use write TRUE as 01, which BER allows and
            which reads the same to everybody.
    """

    ca: bool
    path_length: int | None
    is_der: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityCertificate:
    """authorityCertIssuer and authorityCertSerialNumber: which certificate of the issuer's is meant.

    Attributes:
        issuers: The directory names of authorityCertIssuer, each the DER of a Name; empty where there is none.
        serial: authorityCertSerialNumber, or None where it is absent.
    """

    issuers: tuple[bytes, ...]
    serial: int | None


class AuthorityKey(NamedTuple):
    """authorityKeyIdentifier: the key of the issuer, and the certificate of the issuer; each None where absent."""

    key_identifier: bytes | None
    certificate: AuthorityCertificate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionPoint:
    """One DistributionPoint of cRLDistributionPoints.

    Attributes:
        names: The fullName; empty where there is none.
        has_reasons: Whether it is limited to some reasons.
        has_crl_issuer: Whether it names another CRL issuer.
    """

    names: tuple[GeneralName, ...]
    has_reasons: bool
    has_crl_issuer: bool


_STRING_TYPES: Final[Mapping[int, tuple[str, str]]] = {
    0x0C: ("UTF8String", "utf-8"),
    0x12: ("NumericString", "ascii"),
    0x13: ("PrintableString", "ascii"),
    0x14: ("TeletexString", "latin-1"),
    0x16: ("IA5String", "ascii"),
    0x1C: ("UniversalString", "utf-32-be"),
    0x1E: ("BMPString", "utf-16-be"),
}
_GENERAL_NAME_TAGS: Final = frozenset(bytes((tag,)) for tag in b"\xa0\x81\x82\xa3\xa4\xa5\x86\x87\x88")
_NAME_FORMS: Final[Mapping[bytes, NameForm]] = {
    b"\x81": NameForm.EMAIL,
    b"\x82": NameForm.DNS,
    b"\x86": NameForm.URI,
}
_DIRECTORY_NAME: Final = b"\xa4"
_KEY_USAGE_BITS: Final = tuple(KeyUsage)
_EC_PUBLIC_KEY: Final = ObjectIdentifier("1.2.840.10045.2.1")
_KEY_ALGORITHMS: Final = frozenset(
    asn1.encode_der(
        der_types.NamedCurve(oid=_EC_PUBLIC_KEY, curve=ObjectIdentifier(curve.oid))
        if curve.kind == "EC"
        else der_types.BareAlgorithm(oid=ObjectIdentifier(curve.oid))
    )
    for curve in CURVES.values()
    if curve.algorithm is not None
)
"""The DER of every key algorithm that a certificate here may carry."""

ML_DSA_SIGNATURES: Final = frozenset(curve.oid for curve in EXPERIMENTAL_CURVES.values())
"""The signature algorithms of the rehearsal; key and signature have one identifier (RFC 9881)."""

_REHEARSED_KEY_ALGORITHMS: Final = _KEY_ALGORITHMS | frozenset(
    asn1.encode_der(der_types.BareAlgorithm(oid=ObjectIdentifier(oid))) for oid in ML_DSA_SIGNATURES
)

_CACHEABLE_NAME_SIZE: Final = 1_024

ECDSA_SIGNATURES: Final[Mapping[str, hashes.HashAlgorithm]] = MappingProxyType(
    {
        "1.2.840.10045.4.3.2": hashes.SHA256(),
        "1.2.840.10045.4.3.3": hashes.SHA384(),
        "1.2.840.10045.4.3.4": hashes.SHA512(),
    }
)
"""The signature algorithms that certificates and CRLs may carry: ECDSA with SHA-2 (18013-5 Annex B)."""

_SIGNATURE_ALGORITHMS: Final[Mapping[bytes, AlgorithmIdentifier]] = {
    asn1.encode_der(der_types.BareAlgorithm(oid=ObjectIdentifier(oid))): AlgorithmIdentifier(oid=oid, parameters=None)
    for oid in ECDSA_SIGNATURES
}


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """An X.509 certificate, a view over its DER.

    Attributes:
        der: The certificate as received.
        tbs: The signed body, as received.
        version: 1, 2 or 3.
        serial: The serial number, whatever its sign or size.
        inner_algorithm: The signature algorithm inside the signed body.
        algorithm: The signature algorithm beside the signature.
        signature: The signature; DER for ECDSA.
        issuer: The issuer name.
        subject: The subject name.
        not_before: Start of validity, inclusive, aware UTC.
        not_after: End of validity, inclusive, aware UTC.
        deviating_times: Names of the times that are not in the form that RFC 5280 4.1.2.5 asks for in their year.
        unique_ids: Names of the unique identifiers that are present: ``issuerUniqueID``, ``subjectUniqueID``.
        spki: The SubjectPublicKeyInfo, as received.
        key_bits: The contents of its BIT STRING: an encoded point, or an Edwards key.
        extensions: All extensions by object identifier, in order; no identifier occurs twice.
        subject_key_identifier: Or None where absent, as for all that follow.
        authority_key_identifier: The keyIdentifier member of the extension.
        authority_certificate: The other members of the extension: which certificate the issuer has.
        key_usage: The bits that are set.
        extended_key_usage: Object identifiers, in order.
        basic_constraints: Whether a CA.
        crl_distribution_points: In order; empty where absent.
        issuer_alternative_name: In order.
        subject_alternative_name: In order.
        unreadable: Object identifiers of extensions that are not what their definition says, and no harm: the last
            three, where they are not critical. They read as absent, and the linter names them.

    Raises:
        DecodeError: Not one whole certificate in strict DER, or a known extension inside is malformed
            (``certificate.malformed``, ``certificate.size``, ``certificate.extension.*``).
    """

    der: bytes
    tbs: bytes = field(init=False, compare=False)
    version: int = field(init=False, compare=False)
    serial: int = field(init=False, compare=False)
    inner_algorithm: AlgorithmIdentifier = field(init=False, compare=False)
    algorithm: AlgorithmIdentifier = field(init=False, compare=False)
    signature: bytes = field(init=False, compare=False)
    issuer: Name = field(init=False, compare=False)
    subject: Name = field(init=False, compare=False)
    not_before: datetime = field(init=False, compare=False)
    not_after: datetime = field(init=False, compare=False)
    deviating_times: tuple[str, ...] = field(init=False, compare=False)
    unique_ids: tuple[str, ...] = field(init=False, compare=False)
    spki: bytes = field(init=False, compare=False)
    key_bits: bytes = field(init=False, compare=False)
    extensions: Mapping[str, Extension] = field(init=False, compare=False)
    subject_key_identifier: bytes | None = field(init=False, compare=False)
    authority_key_identifier: bytes | None = field(init=False, compare=False)
    authority_certificate: AuthorityCertificate | None = field(init=False, compare=False)
    key_usage: frozenset[KeyUsage] | None = field(init=False, compare=False)
    extended_key_usage: tuple[str, ...] | None = field(init=False, compare=False)
    basic_constraints: BasicConstraints | None = field(init=False, compare=False)
    crl_distribution_points: tuple[DistributionPoint, ...] = field(init=False, compare=False)
    issuer_alternative_name: tuple[GeneralName, ...] | None = field(init=False, compare=False)
    subject_alternative_name: tuple[GeneralName, ...] | None = field(init=False, compare=False)
    unreadable: frozenset[str] = field(init=False, compare=False)
    _public_key: PublicKey | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.der) > MAX_CERTIFICATE_SIZE:
            raise DecodeError(f"a certificate of more than {MAX_CERTIFICATE_SIZE} bytes", code="certificate.size")
        try:
            self._decode()
        except DecodeError as exc:
            raise explain(exc, self.der, CERTIFICATE) from exc.__cause__

    def _decode(self) -> None:
        malformed = "certificate.malformed"
        outer = der_types.decode(der_types.Signed, self.der, code=malformed, path="")
        if outer.signature.padding_bits():
            raise DecodeError("a signature is whole bytes", code=malformed, path="signature")
        body = der_types.decode_inside(der_types.TbsCertificate, outer.body, code=malformed, path="tbsCertificate")
        if not 0 <= body.version <= 2:
            raise DecodeError("no such version", code=malformed, path="tbsCertificate.version")
        not_before, before_in_order = time_of(body.validity.not_before, code=malformed, path="notBefore")
        not_after, after_in_order = time_of(body.validity.not_after, code=malformed, path="notAfter")
        extensions = extensions_of(body.extensions, code="certificate.extension", path="extensions")
        known = _KnownExtensions(extensions)
        authority = authority_key_of(extensions)
        key_info = der_types.decode_inside(
            der_types.SubjectPublicKeyInfo, body.spki, code=malformed, path="subjectPublicKeyInfo"
        )
        for name, value in (
            ("tbs", der_types.encoded(outer.body)),
            ("version", body.version + 1),
            ("serial", body.serial),
            ("inner_algorithm", algorithm_of(body.signature, code=malformed, path="tbsCertificate.signature")),
            ("algorithm", algorithm_of(outer.algorithm, code=malformed, path="signatureAlgorithm")),
            ("signature", outer.signature.as_bytes()),
            ("issuer", Name(der_types.encoded(body.issuer))),
            ("subject", Name(der_types.encoded(body.subject))),
            ("not_before", not_before),
            ("not_after", not_after),
            (
                "deviating_times",
                (() if before_in_order else ("notBefore",)) + (() if after_in_order else ("notAfter",)),
            ),
            (
                "unique_ids",
                (() if body.issuer_unique_id is None else ("issuerUniqueID",))
                + (() if body.subject_unique_id is None else ("subjectUniqueID",)),
            ),
            ("spki", der_types.encoded(body.spki)),
            ("key_bits", key_info.key.as_bytes()),
            ("extensions", MappingProxyType(extensions)),
            ("subject_key_identifier", known.subject_key_identifier()),
            ("authority_key_identifier", authority.key_identifier),
            ("authority_certificate", authority.certificate),
            ("key_usage", known.key_usage()),
            ("extended_key_usage", known.extended_key_usage()),
            ("basic_constraints", known.basic_constraints()),
            ("crl_distribution_points", known.crl_distribution_points()),
            ("issuer_alternative_name", known.general_names(ExtensionId.ISSUER_ALTERNATIVE_NAME)),
            ("subject_alternative_name", known.general_names(ExtensionId.SUBJECT_ALTERNATIVE_NAME)),
            ("unreadable", frozenset(known.unreadable)),
            ("_public_key", None),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def decode(cls, der: bytes) -> Certificate:
        """Decode a DER certificate.

        Raises:
            DecodeError: See the class.
        """
        return cls(der)

    @classmethod
    def parse_pem(cls, text: str | bytes) -> Certificate:
        """Decode a PEM text that holds exactly one certificate.

        Raises:
            DecodeError: None, several, or a malformed one (``certificate.pem`` or as for the class).
        """
        found = cls.parse_pem_bundle(text)
        if len(found) != 1:
            raise DecodeError(f"{len(found)} certificates where one is expected", code="certificate.pem")
        return found[0]

    @classmethod
    def parse_pem_bundle(cls, text: str | bytes) -> tuple[Certificate, ...]:
        """Decode every certificate of a PEM text, in order; text around them is ignored.

        Raises:
            DecodeError: None, too many, or a malformed one.
        """
        return tuple(cls(der) for der in pem_blocks(text, "CERTIFICATE", code="certificate.pem"))

    @classmethod
    def decode_any(cls, data: bytes) -> Certificate:
        """Decode one certificate, PEM or DER.

        Raises:
            DecodeError: See `decode` and `parse_pem`.
        """
        return cls.parse_pem(data) if is_pem(data) else cls(data)

    @property
    def pem(self) -> str:
        """The certificate as PEM text, ending in a newline."""
        return to_pem(self.der, "CERTIFICATE")

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER, 32 bytes."""
        return hashlib.sha256(self.der).digest()

    @property
    def country(self) -> str | None:
        """The subject's only countryName, or None."""
        return self.subject.country

    @property
    def state(self) -> str | None:
        """The subject's only stateOrProvinceName, or None."""
        return self.subject.state

    @property
    def critical_extensions(self) -> tuple[str, ...]:
        """Object identifiers of the critical extensions, in order."""
        return tuple(oid for oid, extension in self.extensions.items() if extension.critical)

    @property
    def crl_uris(self) -> tuple[str, ...]:
        """Every URI in cRLDistributionPoints, in order."""
        return tuple(
            name.value for point in self.crl_distribution_points for name in point.names if name.form is NameForm.URI
        )

    @property
    def public_key(self) -> PublicKey:
        """The subject's public key.

        Raises:
            UnsupportedError: No key of this standard, or a curve that is not implemented (``key.unsupported``).
            DecodeError: No such point on its curve (``key.malformed``).
        """
        if self._public_key is None:
            object.__setattr__(self, "_public_key", public_key_of(self.spki))
        return cast("PublicKey", self._public_key)

    def key_for(self, post_quantum: UnsafePostQuantum | None) -> PublicKey:
        """The subject's public key, and for the rehearsal an ML-DSA key too.

        Raises:
            UnsupportedError: See `public_key`.
            DecodeError: See `public_key`.
        """
        return self.public_key if post_quantum is None else public_key_of(self.spki, post_quantum=post_quantum)

    def verify_signature(self, issuer_key: PublicKey) -> None:
        """Check the signature under the issuer's key.

        Raises:
            VerificationError: It does not verify (``signature.invalid``), its algorithm is not ECDSA with SHA-2 on a
                key to match (``signature.algorithm``), or its two algorithm identifiers differ
                (``signature.algorithm_mismatch``).
        """
        if self.algorithm != self.inner_algorithm:
            raise VerificationError(
                "the two signature algorithm identifiers differ", code="signature.algorithm_mismatch"
            )
        verify_x509_signature(issuer_key, self.algorithm, self.tbs, self.signature)

    def __repr__(self) -> str:
        return f"Certificate({self.fingerprint.hex()[:16]}…)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Certificate, (self.der,)


class _KnownExtensions:
    """Decodes the extensions that the profiles speak about."""

    def __init__(self, extensions: Mapping[str, Extension]) -> None:
        self._extensions = extensions
        self.unreadable: set[str] = set()

    def _informative(self, oid: ExtensionId, read: Callable[[bytes], ValueT]) -> ValueT | None:
        """Read an extension on which no trust rests: one that cannot be read is noted, unless it is critical."""
        found = self._extensions.get(oid)
        if found is None:
            return None
        try:
            return read(found.value)
        except DecodeError:
            if found.critical:
                raise
            self.unreadable.add(oid)
            return None

    def _value(self, oid: ExtensionId) -> bytes | None:
        found = self._extensions.get(oid)
        return None if found is None else found.value

    def subject_key_identifier(self) -> bytes | None:
        value = self._value(ExtensionId.SUBJECT_KEY_IDENTIFIER)
        return None if value is None else _extension(bytes, value, ExtensionId.SUBJECT_KEY_IDENTIFIER)

    def key_usage(self) -> frozenset[KeyUsage] | None:
        value = self._value(ExtensionId.KEY_USAGE)
        if value is None:
            return None
        octets = _extension(asn1.BitString, value, ExtensionId.KEY_USAGE).as_bytes()
        bits = [position for position in range(8 * len(octets)) if octets[position // 8] << position % 8 & 0x80]
        if len(octets) > 2 or (bits and bits[-1] >= len(_KEY_USAGE_BITS)):
            raise _malformed(ExtensionId.KEY_USAGE)
        return frozenset(_KEY_USAGE_BITS[position] for position in bits)

    def extended_key_usage(self) -> tuple[str, ...] | None:
        value = self._value(ExtensionId.EXTENDED_KEY_USAGE)
        if value is None:
            return None
        found = _list_extension(der_types.ObjectIdentifiers, value, ExtensionId.EXTENDED_KEY_USAGE)
        return tuple(oid.dotted_string for oid in found.items)

    def basic_constraints(self) -> BasicConstraints | None:
        value = self._value(ExtensionId.BASIC_CONSTRAINTS)
        if value is None:
            return None
        der = _with_der_boolean(value)
        found = _extension(der_types.BasicConstraintsFields, der, ExtensionId.BASIC_CONSTRAINTS)
        if found.path_length is not None and found.path_length < 0:
            raise _malformed(ExtensionId.BASIC_CONSTRAINTS)
        return BasicConstraints(ca=found.ca, path_length=found.path_length, is_der=der == value)

    def crl_distribution_points(self) -> tuple[DistributionPoint, ...]:
        return self._informative(ExtensionId.CRL_DISTRIBUTION_POINTS, self._distribution_points) or ()

    def _distribution_points(self, value: bytes) -> tuple[DistributionPoint, ...]:
        oid = ExtensionId.CRL_DISTRIBUTION_POINTS
        points = []
        for point in _list_extension(der_types.DistributionPoints, value, oid).items:
            names: tuple[GeneralName, ...] = ()
            if point.name is not None:
                # Exactly one of the two, and a fullName has a name.
                if (point.name.full_name is None) == (point.name.relative is None) or point.name.full_name == []:
                    raise _malformed(oid)
                names = tuple(general_name_of(name, oid) for name in point.name.full_name or ())
            points.append(
                DistributionPoint(
                    names=names,
                    has_reasons=point.reasons is not None,
                    has_crl_issuer=point.crl_issuer is not None,
                )
            )
        return tuple(points)

    def general_names(self, oid: ExtensionId) -> tuple[GeneralName, ...] | None:
        def read(value: bytes) -> tuple[GeneralName, ...]:
            found = _list_extension(der_types.GeneralNames, value, oid)
            return tuple(general_name_of(name, oid) for name in found.items)

        return self._informative(oid, read)


def _with_der_boolean(value: bytes) -> bytes:
    """A short basicConstraints with its boolean as DER writes it: TRUE is FF, FALSE is left out."""
    if len(value) < 5 or value[0] != 0x30 or value[1] != len(value) - 2 or value[2:4] != b"\x01\x01":
        return value
    if value[4]:
        return value[:4] + b"\xff" + value[5:]
    return bytes((0x30, len(value) - 5)) + value[5:]


def _malformed(oid: str) -> DecodeError:
    return DecodeError(
        "a known extension is not what its definition says",
        code="certificate.extension.malformed",
        path=f"extensions[{oid}]",
    )


def _extension(kind: type[der_types.T], value: bytes, oid: ExtensionId) -> der_types.T:
    return der_types.decode(kind, value, code="certificate.extension.malformed", path=f"extensions[{oid.value}]")


def _list_extension(kind: type[der_types.T], value: bytes, oid: ExtensionId) -> der_types.T:
    return _extension(kind, der_types.enclosed(value), oid)


def general_name_of(element: asn1.TLV, oid: ExtensionId) -> GeneralName:
    """Read one GeneralName of that extension.

    Raises:
        DecodeError: It is none.
    """
    if element.tag_bytes not in _GENERAL_NAME_TAGS:
        raise _malformed(oid)
    form = _NAME_FORMS.get(element.tag_bytes, NameForm.OTHER)
    der = der_types.encoded(element)
    if form is NameForm.OTHER:
        return GeneralName(form=form, value="", der=der)
    try:
        return GeneralName(form=form, value=bytes(element.data).decode("ascii"), der=der)
    except UnicodeDecodeError as exc:
        raise _malformed(oid) from exc


def _attributes(name: bytes) -> tuple[Attribute, ...]:
    """The attributes of a name; issuers' names come again and again."""
    return _known_attributes(name) if len(name) <= _CACHEABLE_NAME_SIZE else _decoded_attributes(name)


@lru_cache(maxsize=256)
def _known_attributes(name: bytes) -> tuple[Attribute, ...]:
    return _decoded_attributes(name)


@lru_cache(maxsize=1024)
def _folded(attributes: tuple[Attribute, ...]) -> tuple[tuple[str, str | None], ...]:
    texts = [(one.oid, None if one.value is None else _folded_text(one.value)) for one in attributes]
    return tuple(sorted(texts, key=lambda one: (one[0], one[1] or "")))


def _folded_text(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _decoded_attributes(name: bytes) -> tuple[Attribute, ...]:
    malformed = "certificate.malformed"
    rdns = der_types.decode(der_types.RelativeNames, der_types.enclosed(name), code=malformed, path="name").rdns
    found = []
    for rdn in rdns:
        members = rdn.as_list()
        if not members:
            raise DecodeError("an empty relative distinguished name", code=malformed, path="name")
        for member in members:
            tag = member.value.tag_bytes
            string_type, codec = _STRING_TYPES.get(tag[0] if len(tag) == 1 else -1, ("other", ""))
            try:
                value = bytes(member.value.data).decode(codec) if codec else None
            except UnicodeDecodeError as exc:
                raise DecodeError("a name is not in its own alphabet", code=malformed, path="name") from exc
            found.append(Attribute(oid=member.oid.dotted_string, string_type=string_type, value=value))
    return tuple(found)


def _printable(value: str | None) -> str:
    """The text with control characters escaped, and cut: names come from strangers and go to terminals."""
    if value is None:
        return "?"
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in value[:128])
    return text if len(value) <= 128 else text + "…"


# --- Pieces that CRLs and requests share ------------------------------------------------------------------------------


def time_of(value: asn1.UTCTime | asn1.GeneralizedTime, *, code: str, path: str) -> tuple[datetime, bool]:
    """The time, and whether its form is the one that RFC 5280 4.1.2.5 asks for in that year.

    Raises:
        DecodeError: The time has a fraction of a second.
    """
    time = value.as_datetime()
    if time.microsecond:
        raise DecodeError("a time with a fraction of a second", code=code, path=path)
    return time, isinstance(value, asn1.UTCTime) or time.year >= 2050


def algorithm_of(element: asn1.TLV, *, code: str, path: str) -> AlgorithmIdentifier:
    """Decode an AlgorithmIdentifier.

    Raises:
        DecodeError: It is none.
    """
    known = _SIGNATURE_ALGORITHMS.get(der_types.encoded(element))
    if known is not None:  # mutants: same
        return known
    try:
        bare = der_types.decode_inside(der_types.BareAlgorithm, element, code=code, path=path)
    except DecodeError:
        full = der_types.decode_inside(der_types.AlgorithmWithParameters, element, code=code, path=path)
        return AlgorithmIdentifier(oid=full.oid.dotted_string, parameters=der_types.encoded(full.parameters))
    return AlgorithmIdentifier(oid=bare.oid.dotted_string, parameters=None)


def extensions_of(items: list[der_types.ExtensionFields] | None, *, code: str, path: str) -> dict[str, Extension]:
    """Index extensions by object identifier.

    Raises:
        DecodeError: An identifier occurs twice, or the list is there and empty.
    """
    if items is not None and not items:
        raise DecodeError("an empty list of extensions", code=f"{code}.malformed", path=path)
    found: dict[str, Extension] = {}
    for item in items or ():
        oid = item.oid.dotted_string
        if oid in found:
            raise DecodeError("an extension occurs twice", code=f"{code}.duplicate", path=f"{path}[{oid}]")
        found[oid] = Extension(oid=oid, critical=item.critical, value=item.value)
    return found


def authority_key_of(extensions: Mapping[str, Extension]) -> AuthorityKey:
    """What the authorityKeyIdentifier among some extensions says; nothing where there is none.

    Raises:
        DecodeError: The extension is malformed.
    """
    oid = ExtensionId.AUTHORITY_KEY_IDENTIFIER
    extension = extensions.get(oid)
    if extension is None:
        return AuthorityKey(None, None)
    found = _extension(der_types.AuthorityKeyIdentifierFields, extension.value, oid)
    if found.issuer is None and found.serial is None:
        return AuthorityKey(found.key_identifier, None)
    issuers = tuple(bytes(name.data) for name in found.issuer or () if name.tag_bytes == _DIRECTORY_NAME)
    return AuthorityKey(found.key_identifier, AuthorityCertificate(issuers=issuers, serial=found.serial))


def public_key_of(spki: bytes, *, post_quantum: UnsafePostQuantum | None = None) -> PublicKey:
    """Load a SubjectPublicKeyInfo of the kinds that a certificate of this PKI may carry.

    The algorithm is looked at first, so that keys of other kinds never reach their loaders, and so that a curve given
    by explicit parameters is refused, not recognised. An ML-DSA key is loaded for the rehearsal only.

    Raises:
        UnsupportedError: Neither an EC key on a named curve of `mdl.keys` nor an Ed25519 or Ed448 key
            (``key.unsupported``).
        DecodeError: No such point on its curve (``key.malformed``).
    """
    code = "key.malformed"
    info = der_types.decode(der_types.SubjectPublicKeyInfo, spki, code=code, path="subjectPublicKeyInfo")
    algorithm = der_types.encoded(info.algorithm)
    if algorithm not in (_KEY_ALGORITHMS if post_quantum is None else _REHEARSED_KEY_ALGORITHMS):
        raise unsupported_spki(spki)
    return PublicKey.from_spki(spki, post_quantum=post_quantum)


def verify_x509_signature(key: PublicKey, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> None:
    """Check a certificate's or CRL's signature: the digest is the one that the algorithm identifier names.

    Raises:
        VerificationError: It does not verify (``signature.invalid``), or it is not ECDSA with SHA-2 by an EC key
            (``signature.algorithm``); under an ML-DSA key, which only the rehearsal gives: not of that very key's kind.
    """
    if key.curve.experimental is not None:
        if algorithm != AlgorithmIdentifier(oid=key.curve.oid, parameters=None):
            raise VerificationError(
                f"the algorithm identifier is not the one of {key.curve.name}",
                code="signature.algorithm",
                clause="RFC 9881",
            )
        key.verify(signature, data)
        return
    digest = ECDSA_SIGNATURES.get(algorithm.oid)
    if digest is None or not isinstance(key.key, ec.EllipticCurvePublicKey):
        raise VerificationError(
            "certificates and CRLs are signed by ECDSA with SHA-2", code="signature.algorithm", clause="18013-5 Annex B"
        )
    try:
        key.key.verify(signature, data, ec.ECDSA(digest))
    except InvalidSignature as exc:
        raise VerificationError("the signature does not verify", code="signature.invalid") from exc


_PEM: Final = "-----BEGIN {0}-----([^-]*)-----END {0}-----"


def is_pem(data: bytes) -> bool:
    """Whether to read `data` as PEM: DER of this size starts with bytes that are no text."""
    looks_like_der = data[:1] == b"\x30" and data[1:2] >= b"\x80"
    return not looks_like_der and b"-----BEGIN" in data


def pem_blocks(text: str | bytes, label: str, *, code: str) -> tuple[bytes, ...]:
    """The contents of every PEM block with that label, in order.

    Raises:
        DecodeError: There is none, there are too many, or one is not base64.
    """
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    blocks = re.findall(_PEM.format(re.escape(label)), text)
    if not blocks:
        raise DecodeError(f"no {label} block in the PEM text", code=code)
    if len(blocks) > MAX_PEM_CERTIFICATES:
        raise DecodeError(f"more than {MAX_PEM_CERTIFICATES} blocks in the PEM text", code=code)
    try:
        return tuple(base64.b64decode("".join(block.split()), validate=True) for block in blocks)
    except (binascii.Error, ValueError) as exc:
        raise DecodeError(f"a {label} block is not base64", code=code) from exc


def to_pem(der: bytes, label: str) -> str:
    """The PEM text of `der`, ending in a newline."""
    body = base64.b64encode(der).decode("ascii")
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def key_identifier(key_bits: bytes) -> bytes:
    """The 20-octet subjectKeyIdentifier: SHA-1 of the key's BIT STRING contents (RFC 5280 4.2.1.2, method 1)."""
    return hashlib.sha1(key_bits, usedforsecurity=False).digest()

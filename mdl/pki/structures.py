"""X.509 as declared ASN.1 types, decoded as strict DER.

The decoder is the `asn1` module of `cryptography`: it refuses indefinite and padded lengths, padded integers,
encoded defaults, booleans other than 00 and FF, stray padding bits and trailing bytes. Unlike the certificate
classes of that package it decodes everything at once, warns about nothing, and hands out the bytes it has read, so
a name or a signed body is compared and verified as it was received.

Raw elements (`asn1.TLV`) stand where the definition says ANY or where the original bytes matter. DER has one length
for each content, so `encoded` gives back exactly what was read.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from cryptography.hazmat import asn1
from cryptography.x509 import ObjectIdentifier

from mdl.errors import DecodeError

T = TypeVar("T")
_ONE_OR_MORE: Final = asn1.Size(1, None)


def decode(kind: type[T], data: bytes, *, code: str, path: str) -> T:
    """Decode `data` as one whole DER element.

    Raises:
        DecodeError: The bytes are not strict DER of that kind, or bytes follow it (code as given).
    """
    try:
        return asn1.decode_der(kind, data)
    except (ValueError, TypeError, OverflowError) as exc:
        raise DecodeError("the bytes are not the DER that is defined here", code=code, path=path) from exc


def decode_inside(kind: type[T], element: asn1.TLV, *, code: str, path: str) -> T:
    """Decode a raw element as `kind`; as `decode`."""
    return decode(kind, encoded(element), code=code, path=path)


def encoded(element: asn1.TLV) -> bytes:
    """The DER of a raw element: tag, length and content as received."""
    content = element.data
    return element.tag_bytes + _length(len(content)) + content


def enclosed(content: bytes) -> bytes:
    """The DER of a SEQUENCE with that content; it gives a bare SEQUENCE OF a declared type around it."""
    return b"\x30" + _length(len(content)) + content


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes((size,))
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((0x80 | len(octets),)) + octets


# --- Signed envelopes (RFC 5280 4.1.1, 5.1.1; RFC 2986 4.2) -------------------------------------------------


@asn1.sequence
class Signed:
    """What certificates, CRLs and requests share: a body, an algorithm, a signature."""

    body: asn1.TLV
    algorithm: asn1.TLV
    signature: asn1.BitString


@asn1.sequence
class BareAlgorithm:
    """AlgorithmIdentifier without parameters."""

    oid: ObjectIdentifier


@asn1.sequence
class AlgorithmWithParameters:
    """AlgorithmIdentifier with parameters."""

    oid: ObjectIdentifier
    parameters: asn1.TLV


@asn1.sequence
class NamedCurve:
    """AlgorithmIdentifier of an EC key on a named curve (RFC 5480 2.1.1)."""

    oid: ObjectIdentifier
    curve: ObjectIdentifier


@asn1.sequence
class SubjectPublicKeyInfo:
    """RFC 5280 4.1.2.7."""

    algorithm: asn1.TLV
    key: asn1.BitString


# --- Names (RFC 5280 4.1.2.4, 4.2.1.6) ----------------------------------------------------------------------


@asn1.sequence
class AttributeTypeAndValue:
    """One attribute of a distinguished name."""

    oid: ObjectIdentifier
    value: asn1.TLV


@asn1.sequence
class RelativeNames:
    """`enclosed` Name."""

    rdns: list[asn1.SetOf[AttributeTypeAndValue]]


@asn1.sequence
class GeneralNames:
    """`enclosed` GeneralNames."""

    items: Annotated[list[asn1.TLV], _ONE_OR_MORE]


@asn1.sequence
class ObjectIdentifiers:
    """`enclosed` SEQUENCE OF OBJECT IDENTIFIER."""

    items: Annotated[list[ObjectIdentifier], _ONE_OR_MORE]


# --- Certificate (RFC 5280 4.1) -----------------------------------------------------------------------------


@asn1.sequence
class Validity:
    """The period of a certificate."""

    not_before: asn1.UTCTime | asn1.GeneralizedTime
    not_after: asn1.UTCTime | asn1.GeneralizedTime


@asn1.sequence
class ExtensionFields:
    """One extension."""

    oid: ObjectIdentifier
    critical: Annotated[bool, asn1.Default(False)]
    value: bytes


@asn1.sequence
class TbsCertificate:
    """The signed body of a certificate."""

    version: Annotated[int, asn1.Explicit(0), asn1.Default(0)]
    serial: int
    signature: asn1.TLV
    issuer: asn1.TLV
    validity: Validity
    subject: asn1.TLV
    spki: asn1.TLV
    issuer_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    subject_unique_id: Annotated[asn1.BitString | None, asn1.Implicit(2)]
    extensions: Annotated[list[ExtensionFields] | None, asn1.Explicit(3)]


@asn1.sequence
class AuthorityKeyIdentifierFields:
    """RFC 5280 4.2.1.1."""

    key_identifier: Annotated[bytes | None, asn1.Implicit(0)]
    issuer: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]
    serial: Annotated[int | None, asn1.Implicit(2)]


@asn1.sequence
class BasicConstraintsFields:
    """RFC 5280 4.2.1.9."""

    ca: Annotated[bool, asn1.Default(False)]
    path_length: int | None


@asn1.sequence
class DistributionPointNameFields:
    """RFC 5280 4.2.1.13: a CHOICE, written as two optional members: one of them stands in its explicit tag."""

    full_name: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    relative: Annotated[asn1.SetOf[AttributeTypeAndValue] | None, asn1.Implicit(1)]


@asn1.sequence
class DistributionPointFields:
    """RFC 5280 4.2.1.13."""

    name: Annotated[DistributionPointNameFields | None, asn1.Implicit(0)]
    reasons: Annotated[asn1.BitString | None, asn1.Implicit(1)]
    crl_issuer: Annotated[list[asn1.TLV] | None, asn1.Implicit(2)]


@asn1.sequence
class DistributionPoints:
    """`enclosed` CRLDistributionPoints."""

    items: Annotated[list[DistributionPointFields], _ONE_OR_MORE]


# --- CRL (RFC 5280 5.1) and certification request (RFC 2986 4.1) --------------------------------------------


@asn1.sequence
class RevokedFields:
    """One entry of a CRL."""

    serial: int
    revoked_at: asn1.UTCTime | asn1.GeneralizedTime
    extensions: list[ExtensionFields] | None


@asn1.sequence
class RevokedEntries:
    """`enclosed` revokedCertificates."""

    items: list[RevokedFields]


@asn1.sequence
class IssuingDistributionPointFields:
    """RFC 5280 5.2.5."""

    name: Annotated[DistributionPointNameFields | None, asn1.Implicit(0)]
    of_end_entities: Annotated[bool, asn1.Implicit(1), asn1.Default(False)]
    of_cas: Annotated[bool, asn1.Implicit(2), asn1.Default(False)]
    some_reasons: Annotated[asn1.BitString | None, asn1.Implicit(3)]
    indirect: Annotated[bool, asn1.Implicit(4), asn1.Default(False)]
    of_attributes: Annotated[bool, asn1.Implicit(5), asn1.Default(False)]


@asn1.sequence
class TbsCertList:
    """The signed body of a CRL, without its entries: `mdl.pki.crl` takes them apart."""

    version: int | None
    signature: asn1.TLV
    issuer: asn1.TLV
    this_update: asn1.UTCTime | asn1.GeneralizedTime
    next_update: asn1.UTCTime | asn1.GeneralizedTime | None
    extensions: Annotated[list[ExtensionFields] | None, asn1.Explicit(0)]


@asn1.sequence
class CertificationRequestInfo:
    """The signed body of a certification request."""

    version: int
    subject: asn1.TLV
    spki: asn1.TLV
    attributes: Annotated[asn1.SetOf[asn1.TLV], asn1.Implicit(0)]


@asn1.sequence
class RequestAttribute:
    """One attribute of a certification request (RFC 2986 4.1)."""

    oid: ObjectIdentifier
    values: asn1.SetOf[asn1.TLV]


@asn1.sequence
class RequestedExtensions:
    """`enclosed` value of the attribute extensionRequest (RFC 2985 5.4.2)."""

    items: list[ExtensionFields]

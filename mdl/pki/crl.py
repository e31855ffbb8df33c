"""Certificate revocation lists as immutable views over the DER that was received."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from mdl.errors import DecodeError, VerificationError
from mdl.keys import PublicKey
from mdl.pki import structures as der_types
from mdl.pki.certificate import (
    AlgorithmIdentifier,
    AuthorityCertificate,
    Extension,
    ExtensionId,
    Name,
    algorithm_of,
    authority_key_of,
    extensions_of,
    is_pem,
    pem_blocks,
    time_of,
    to_pem,
    verify_x509_signature,
)
from mdl.pki.encoding import CRL, explain

MAX_CRL_SIZE: Final = 8_388_608
"""Largest CRL that is decoded, in bytes, inclusive: some two hundred thousand entries."""


@dataclass(frozen=True, slots=True, repr=False)
class Crl:
    """A CRL, a view over its DER.

    Attributes:
        der: The CRL as received.
        tbs: The signed body, as received.
        version: 1 or 2.
        inner_algorithm: The signature algorithm inside the signed body.
        algorithm: The signature algorithm beside the signature.
        signature: The signature, DER for ECDSA.
        issuer: The issuer name.
        this_update: When it was issued, aware UTC.
        next_update: When the next one comes, aware UTC, or None.
        deviating_times: Names of the times that are not in the form that RFC 5280 5.1.2.4 asks for in their year.
        revoked: The time of revocation by serial number; the earliest where a number is listed twice.
        has_empty_list: Whether there is a list of revoked certificates without an entry.
        entry_extensions: Whether critical, by object identifier, over all entries.
        extensions: All extensions by object identifier; no identifier occurs twice.
        authority_key_identifier: The keyIdentifier member of the extension, or None.
        authority_certificate: The other members of the extension, or None.
        number: The cRLNumber, or None.

    Raises:
        DecodeError: Not one whole CRL in strict DER, or a known extension inside is malformed
            (``crl.malformed``, ``crl.size``, ``crl.extension.*``).
    """

    der: bytes
    tbs: bytes = field(init=False, compare=False)
    version: int = field(init=False, compare=False)
    inner_algorithm: AlgorithmIdentifier = field(init=False, compare=False)
    algorithm: AlgorithmIdentifier = field(init=False, compare=False)
    signature: bytes = field(init=False, compare=False)
    issuer: Name = field(init=False, compare=False)
    this_update: datetime = field(init=False, compare=False)
    next_update: datetime | None = field(init=False, compare=False)
    deviating_times: tuple[str, ...] = field(init=False, compare=False)
    revoked: Mapping[int, datetime] = field(init=False, compare=False)
    has_empty_list: bool = field(init=False, compare=False)
    entry_extensions: Mapping[str, bool] = field(init=False, compare=False)
    extensions: Mapping[str, Extension] = field(init=False, compare=False)
    authority_key_identifier: bytes | None = field(init=False, compare=False)
    authority_certificate: AuthorityCertificate | None = field(init=False, compare=False)
    number: int | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.der) > MAX_CRL_SIZE:
            raise DecodeError(f"a CRL of more than {MAX_CRL_SIZE} bytes", code="crl.size")
        try:
            self._decode()
        except DecodeError as exc:
            raise explain(exc, self.der, CRL) from exc.__cause__

    def _decode(self) -> None:
        malformed = "crl.malformed"
        outer = der_types.decode(der_types.Signed, self.der, code=malformed, path="")
        if outer.signature.padding_bits():
            raise DecodeError("a signature is whole bytes", code=malformed, path="signature")
        body = der_types.decode_inside(der_types.TbsCertList, outer.body, code=malformed, path="tbsCertList")
        if body.version not in (None, 1):
            raise DecodeError("no such version", code=malformed, path="tbsCertList.version")
        deviating: dict[str, None] = {}
        this_update, in_order = time_of(body.this_update, code=malformed, path="thisUpdate")
        if not in_order:
            deviating["thisUpdate"] = None
        next_update = None
        if body.next_update is not None:
            next_update, in_order = time_of(body.next_update, code=malformed, path="nextUpdate")
            if not in_order:
                deviating["nextUpdate"] = None
        revoked: dict[int, datetime] = {}
        entry_extensions: dict[str, bool] = {}
        for entry in body.revoked or ():
            revoked_at, in_order = time_of(entry.revoked_at, code=malformed, path="revocationDate")
            if not in_order:
                deviating["revocationDate"] = None
            revoked[entry.serial] = min(revoked_at, revoked.get(entry.serial, revoked_at))
            for oid, extension in extensions_of(
                entry.extensions, code="crl.extension", path="crlEntryExtensions"
            ).items():
                entry_extensions[oid] = entry_extensions.get(oid, False) or extension.critical
        extensions = extensions_of(body.extensions, code="crl.extension", path="crlExtensions")
        authority = authority_key_of(extensions)
        number = extensions.get(ExtensionId.CRL_NUMBER)
        for name, value in (
            ("tbs", der_types.encoded(outer.body)),
            ("version", 1 if body.version is None else 2),
            ("inner_algorithm", algorithm_of(body.signature, code=malformed, path="tbsCertList.signature")),
            ("algorithm", algorithm_of(outer.algorithm, code=malformed, path="signatureAlgorithm")),
            ("signature", outer.signature.as_bytes()),
            ("issuer", Name(der_types.encoded(body.issuer))),
            ("this_update", this_update),
            ("next_update", next_update),
            ("deviating_times", tuple(deviating)),
            ("revoked", MappingProxyType(revoked)),
            ("has_empty_list", body.revoked is not None and not body.revoked),
            ("entry_extensions", MappingProxyType(entry_extensions)),
            ("extensions", MappingProxyType(extensions)),
            ("authority_key_identifier", authority.key_identifier),
            ("authority_certificate", authority.certificate),
            ("number", None if number is None else _number(number.value)),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def decode(cls, der: bytes) -> Crl:
        """Decode a DER CRL.

        Raises:
            DecodeError: See the class.
        """
        return cls(der)

    @classmethod
    def decode_any(cls, data: bytes) -> Crl:
        """Decode one CRL, DER or PEM; distribution points owe DER, and some serve PEM.

        Raises:
            DecodeError: None, several, or a malformed one (``crl.pem`` or as for the class).
        """
        if not is_pem(data):
            return cls(data)
        found = pem_blocks(data, "X509 CRL", code="crl.pem")
        if len(found) != 1:
            raise DecodeError(f"{len(found)} CRLs where one is expected", code="crl.pem")
        return cls(found[0])

    @property
    def pem(self) -> str:
        """The CRL as PEM text, ending in a newline."""
        return to_pem(self.der, "X509 CRL")

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER, 32 bytes."""
        return hashlib.sha256(self.der).digest()

    def is_revoked(self, serial: int) -> datetime | None:
        """When the certificate with that serial number was revoked, or None where it is not listed.

        This reads the list and nothing else: verify the signature and lint the CRL first.
        """
        return self.revoked.get(serial)

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
        return f"Crl({self.fingerprint.hex()[:16]}…)"

    def __reduce__(self) -> tuple[Any, ...]:
        return Crl, (self.der,)


def _number(value: bytes) -> int:
    return der_types.decode(int, value, code="crl.extension.malformed", path=f"extensions[{ExtensionId.CRL_NUMBER}]")

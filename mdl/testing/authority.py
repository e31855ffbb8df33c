"""Seeded entropy, keys that follow from names, certificates of any make, and an issuing authority made of them.

Certificates are built here with `cryptography` directly and not with the builders of `mdl.pki`: those refuse to build
what breaks a profile, and an honest certificate from another hand holds their linter to account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, TypeAlias, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x448, x25519
from cryptography.x509.oid import NameOID, ObjectIdentifier

from mdl.errors import UnsupportedError
from mdl.keys import CURVES, EphemeralKey, PublicKey, SoftwareSigner
from mdl.pki import Certificate

TEST_TIME: Final = datetime(2026, 6, 1, 12, tzinfo=UTC)
"""The clock of everything that is made here: certificates and licences are valid then."""

# --- entropy and keys -------------------------------------------------------------------------------------------------


class SeededEntropy:
    """A source of bytes that are the same on every run: SHA-256 over seed and counter. Unfit for anything but tests."""

    __slots__ = ("_counter", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = hashlib.sha256(b"mdl.testing " + seed.encode()).digest()
        self._counter = 0

    def __call__(self, size: int) -> bytes:
        """The next `size` bytes."""
        blocks = []
        for _ in range(-(-size // 32)):
            blocks.append(hashlib.sha256(self._seed + self._counter.to_bytes(8)).digest())
            self._counter += 1
        return b"".join(blocks)[:size]


def _private_key(name: str, curve: str) -> object:
    found = CURVES.get(curve)
    if found is None:
        msg = "no such curve"
        raise UnsupportedError(msg, code="key.unsupported")
    material = SeededEntropy(f"key {curve} {name}")(found.coordinate_size)
    if found.ec is not None:
        # One bit less than the order of every curve of the table has.
        secret = int.from_bytes(material) >> (8 * len(material) - found.ec.key_size + 1)
        return ec.derive_private_key(secret, found.ec)
    loaders: dict[str, Callable[[bytes], object]] = {
        "Ed25519": ed25519.Ed25519PrivateKey.from_private_bytes,
        "Ed448": ed448.Ed448PrivateKey.from_private_bytes,
        "X25519": x25519.X25519PrivateKey.from_private_bytes,
        "X448": x448.X448PrivateKey.from_private_bytes,
    }
    return loaders[curve](material)


@cache
def deterministic_key(name: str, curve: str = "P-256") -> SoftwareSigner:
    """The signing key of that name: always the same one, with signatures that are always the same.

    Raises:
        UnsupportedError: No such curve, or it cannot sign.
    """
    return SoftwareSigner(_private_key(name, curve), deterministic=True)


@cache
def deterministic_ephemeral_key(name: str, curve: str = "P-256") -> EphemeralKey:
    """The key-agreement key of that name: always the same one.

    Raises:
        UnsupportedError: No such curve, or it cannot agree secrets.
    """
    return EphemeralKey(_private_key(name, curve))


# --- certificates -----------------------------------------------------------------------------------------------------

Extension: TypeAlias = tuple[x509.ExtensionType, bool]
"""An extension and whether it is critical."""

_DS_PURPOSE: Final = ObjectIdentifier("1.0.18013.5.1.2")
_NAME_ATTRIBUTES: Final = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}


def distinguished_name(**attributes: str) -> x509.Name:
    """A distinguished name from ``C``, ``ST``, ``L``, ``O``, ``OU`` and ``CN``, in the order given."""
    return x509.Name([x509.NameAttribute(_NAME_ATTRIBUTES[short], text) for short, text in attributes.items()])


def _key_usage(**bits: bool) -> x509.KeyUsage:
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**(dict.fromkeys(names, False) | bits))


def _x509_key(signer: SoftwareSigner) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    """The key as `cryptography` holds it, so that it signs any digest."""
    key = serialization.load_pem_private_key(signer.to_pkcs8(password=None), None)
    return cast("ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey", key)


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, size) if size < 0x80 else (tag, 0x80 | len(octets), *octets)) + content


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRecipe:
    """Everything that goes into a certificate. Nothing is checked: what breaks the profile is what it is for.

    Attributes:
        subject: The subject name.
        issuer: The issuer name.
        public_key: The certified key.
        signer: Who signs.
        not_before: Start of validity.
        not_after: End of validity.
        extensions: By short name (``ski aki ku eku ian crldp bc`` or any other), in the order of writing.
        serial: The serial number; None derives one from subject and key.
        digest: Sign over this digest and not the one that goes with the signer's curve.
        change_body: Changes the signed body (DER of TBSCertificate) before it is signed.
    """

    subject: x509.Name
    issuer: x509.Name
    public_key: PublicKey
    signer: SoftwareSigner
    not_before: datetime
    not_after: datetime
    extensions: Mapping[str, Extension]
    serial: int | None = None
    digest: hashes.HashAlgorithm | None = None
    change_body: Callable[[bytes], bytes] | None = None

    def with_changes(
        self, *, extensions: Mapping[str, Extension | None] | None = None, **changes: Any
    ) -> CertificateRecipe:
        """The same recipe with other attributes; an extension that is given as None is left out."""
        merged = {**self.extensions, **(extensions or {})}
        kept = {name: extension for name, extension in merged.items() if extension is not None}
        return replace(self, extensions=kept, **changes)

    def build(self) -> bytes:
        """The signed certificate, DER."""
        serial = self.serial
        if serial is None:
            material = hashlib.sha256(self.subject.public_bytes() + self.public_key.spki).digest()
            serial = int.from_bytes(material[:16]) >> 1 | 1 << 126
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.issuer)
            .public_key(self.public_key.key)
            .serial_number(serial)
            .not_valid_before(self.not_before)
            .not_valid_after(self.not_after)
        )
        for extension, critical in self.extensions.values():
            builder = builder.add_extension(extension, critical)
        key = _x509_key(self.signer)
        digest = self.digest or self.signer.public_key.algorithm.hash
        certificate = builder.sign(key, cast("Any", digest), ecdsa_deterministic=True if digest else None)
        der = certificate.public_bytes(serialization.Encoding.DER)
        if self.change_body is None:
            return der
        body = certificate.tbs_certificate_bytes
        rest = der[der.index(body) + len(body) :]
        algorithm = rest[: 2 + rest[1]]
        body = self.change_body(body)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            signature = key.sign(body, ec.ECDSA(cast("Any", digest), deterministic_signing=True))
        else:
            signature = key.sign(body)
        return _der(0x30, body + algorithm + _der(0x03, b"\0" + signature))


class ThrowawayAuthority:
    """An issuing authority for tests: IACA root, document signer and CRL, all of the regular profile.

    Attributes:
        iaca_key: The root's key.
        iaca_recipe: What the root was made from.
        iaca_certificate: The root.
        ds_key: The document signer's key.
        ds_recipe: What the document signer's certificate was made from.
        ds_certificate: The document signer's certificate.
    """

    def __init__(
        self,
        name: str = "Throwaway",
        *,
        curve: str = "P-256",
        ds_curve: str = "P-256",
        country: str = "US",
        state: str | None = "US-UT",
        generation: int = 1,
        at: datetime = TEST_TIME,
    ) -> None:
        """Make root and document signer.

        Args:
            name: Goes into the names; the keys follow from it.
            curve: The root's curve.
            ds_curve: The document signer's curve.
            country: countryName.
            state: stateOrProvinceName, or None.
            generation: Another number gives other keys under the same names.
            at: When they are to be in use: the root is a year old then, the document signer a month.
        """
        self._at = at
        place = {"C": country} | ({} if state is None else {"ST": state})
        self.iaca_key = deterministic_key(f"{name} IACA {generation}", curve)
        self.ds_key = deterministic_key(f"{name} DS {generation}", ds_curve)
        root = distinguished_name(**place, CN=f"{name} IACA")
        contact = x509.UniformResourceIdentifier("https://throwaway.example/contact")
        crl = x509.UniformResourceIdentifier("https://throwaway.example/iaca.crl")
        point = x509.DistributionPoint([crl], relative_name=None, reasons=None, crl_issuer=None)
        shared: dict[str, Extension] = {
            "ian": (x509.IssuerAlternativeName([contact]), False),
            "crldp": (x509.CRLDistributionPoints([point]), False),
        }
        root_identifier = x509.SubjectKeyIdentifier.from_public_key(self.iaca_key.public_key.key)
        self.iaca_recipe = CertificateRecipe(
            subject=root,
            issuer=root,
            public_key=self.iaca_key.public_key,
            signer=self.iaca_key,
            not_before=at - timedelta(days=365),
            not_after=at + timedelta(days=8 * 365),
            extensions={
                "ski": (root_identifier, False),
                "ku": (_key_usage(key_cert_sign=True, crl_sign=True), True),
                "bc": (x509.BasicConstraints(ca=True, path_length=0), True),
                **shared,
            },
        )
        self.ds_recipe = CertificateRecipe(
            subject=distinguished_name(**place, CN=f"{name} document signer"),
            issuer=root,
            public_key=self.ds_key.public_key,
            signer=self.iaca_key,
            not_before=at - timedelta(days=30),
            not_after=at + timedelta(days=365),
            extensions={
                "aki": (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_identifier), False),
                "ski": (x509.SubjectKeyIdentifier.from_public_key(self.ds_key.public_key.key), False),
                "ku": (_key_usage(digital_signature=True), True),
                "eku": (x509.ExtendedKeyUsage([_DS_PURPOSE]), True),
                **shared,
            },
        )
        self.iaca_certificate = Certificate(self.iaca_recipe.build())
        self.ds_certificate = Certificate(self.ds_recipe.build())

    @property
    def anchors(self) -> tuple[Certificate, ...]:
        """What a reader that trusts this authority has in its trust store."""
        return (self.iaca_certificate,)

    def deviant_ds(self, *, extensions: Mapping[str, Extension | None] | None = None, **changes: Any) -> bytes:
        """A document signer's certificate that departs from the regular one, DER; see `CertificateRecipe`."""
        return self.ds_recipe.with_changes(extensions=extensions, **changes).build()

    def crl(
        self,
        *,
        revoked: Iterable[int] = (),
        number: int = 1,
        this_update: datetime | None = None,
        next_update: datetime | None = None,
        issuer: x509.Name | None = None,
        signer: SoftwareSigner | None = None,
        extensions: Mapping[str, Extension | None] | None = None,
    ) -> bytes:
        """A certificate revocation list, DER.

        Args:
            revoked: Serial numbers.
            number: cRLNumber.
            this_update: None: a day before the authority's time.
            next_update: None: 30 days after `this_update`.
            issuer: None: the root's name.
            signer: None: the root's key.
            extensions: Changes to ``aki`` and ``number``, and others; None leaves one out.
        """
        issued = this_update or self._at - timedelta(days=1)
        regular: dict[str, Extension | None] = {
            "aki": self.ds_recipe.extensions["aki"],
            "number": (x509.CRLNumber(number), False),
        }
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer or self.iaca_recipe.subject)
            .last_update(issued)
            .next_update(next_update or issued + timedelta(days=30))
        )
        for extension in (regular | dict(extensions or {})).values():
            if extension is not None:
                builder = builder.add_extension(*extension)
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(issued)
            builder = builder.add_revoked_certificate(entry.build())
        signer = signer or self.iaca_key
        digest = signer.public_key.algorithm.hash
        crl = builder.sign(_x509_key(signer), cast("Any", digest), ecdsa_deterministic=True if digest else None)
        return crl.public_bytes(serialization.Encoding.DER)


@cache
def throwaway_authority() -> ThrowawayAuthority:
    """The authority that is used where none is named."""
    return ThrowawayAuthority()

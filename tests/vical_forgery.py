"""A VICAL provider for tests, and lists of its making, honest or forged.

The list is built member by member, on purpose apart from `mdl.vical`, so that each can be held against the other.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ObjectIdentifier

from mdl.cbor import Tag, TDate, encode
from mdl.cose import sig_structure
from mdl.keys import SoftwareSigner
from mdl.pki import Certificate
from mdl.testing import TEST_TIME, CertificateRecipe, ThrowawayAuthority, deterministic_key, distinguished_name
from reader.trust import ANY_DOCTYPE, Purpose, TrustAnchor, TrustStore

MDL = "org.iso.18013.5.1.mDL"
PHOTO_ID = "org.iso.23220.photoid.1"
AT = TEST_TIME
DAY = dt.timedelta(days=1)
DATE = AT - DAY
"""When the regular list was issued; it is fresh at `AT`."""

_SIGNER_PURPOSE = ObjectIdentifier("1.0.18013.5.1.8")
_KEY_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def key_usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**(dict.fromkeys(_KEY_USAGES, False) | dict.fromkeys(names, True)))


class Provider:
    """A provider: a root, a CA below it, and the signer of its lists; the recipes of all three."""

    def __init__(self, name: str = "Provider", curve: str = "P-256") -> None:
        self.root_key = deterministic_key(f"{name} VICAL root")
        self.ca_key = deterministic_key(f"{name} VICAL CA")
        self.signer_key = deterministic_key(f"{name} VICAL signer", curve)
        self.root_recipe = self._ca_recipe(f"{name} root", f"{name} root", self.root_key, self.root_key, None)
        self.ca_recipe = self._ca_recipe(f"{name} CA", f"{name} root", self.ca_key, self.root_key, 0)
        self.signer_recipe = self._signer_recipe(f"{name} CA", self.ca_key)
        # The same signer, certified by the root itself.
        self.direct_recipe = self._signer_recipe(f"{name} root", self.root_key)

    @staticmethod
    def _identifiers(key: SoftwareSigner, issuer: SoftwareSigner) -> dict[str, tuple[x509.ExtensionType, bool]]:
        above = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key.key)
        return {
            "ski": (x509.SubjectKeyIdentifier.from_public_key(key.public_key.key), False),
            "aki": (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), False),
        }

    def _ca_recipe(
        self, subject: str, issuer: str, key: SoftwareSigner, signer: SoftwareSigner, path_length: int | None
    ) -> CertificateRecipe:
        return CertificateRecipe(
            subject=distinguished_name(C="NL", O="Provider", CN=subject),
            issuer=distinguished_name(C="NL", O="Provider", CN=issuer),
            public_key=key.public_key,
            signer=signer,
            not_before=AT - 400 * DAY,
            not_after=AT + 4000 * DAY,
            extensions={
                **self._identifiers(key, signer),
                "ku": (key_usage("key_cert_sign", "crl_sign"), True),
                "bc": (x509.BasicConstraints(ca=True, path_length=path_length), True),
            },
        )

    def _signer_recipe(self, issuer: str, issuer_key: SoftwareSigner) -> CertificateRecipe:
        address = x509.UniformResourceIdentifier("http://provider.example/vical.crl")
        point = x509.DistributionPoint([address], relative_name=None, reasons=None, crl_issuer=None)
        return CertificateRecipe(
            subject=distinguished_name(C="NL", O="Provider", CN="VICAL signer"),
            issuer=distinguished_name(C="NL", O="Provider", CN=issuer),
            public_key=self.signer_key.public_key,
            signer=issuer_key,
            not_before=AT - 100 * DAY,
            not_after=AT + 1000 * DAY,
            extensions={
                **self._identifiers(self.signer_key, issuer_key),
                "ku": (key_usage("content_commitment"), True),
                "eku": (x509.ExtendedKeyUsage([_SIGNER_PURPOSE]), True),
                "crldp": (x509.CRLDistributionPoints([point]), False),
            },
        )

    @property
    def root(self) -> Certificate:
        return Certificate(self.root_recipe.build())

    @property
    def ca(self) -> Certificate:
        return Certificate(self.ca_recipe.build())

    @property
    def signer(self) -> Certificate:
        return Certificate(self.signer_recipe.build())

    @property
    def chain(self) -> tuple[bytes, ...]:
        return self.signer.der, self.ca.der

    def pinned(self, **limits: Any) -> TrustStore:
        """A store that pins the root, with limits to what its lists may bring."""
        return pin(self.root, **limits)

    def crl(self, *, of_root: bool = False, revoked: Iterable[int] = (), until: dt.datetime = AT + 30 * DAY) -> bytes:
        """The CRL of the CA that has issued the signer, or of the root."""
        recipe, key = (self.root_recipe, self.root_key) if of_root else (self.ca_recipe, self.ca_key)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key.key)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(recipe.subject)
            .last_update(AT - DAY)
            .next_update(until)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for serial in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(AT - DAY)
            builder = builder.add_revoked_certificate(entry.build())
        private = serialization.load_pem_private_key(key.to_pkcs8(password=None), None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        digest = cast("Any", key.public_key.algorithm.hash)
        return builder.sign(private, digest, ecdsa_deterministic=True).public_bytes(serialization.Encoding.DER)


def pin(*roots: Certificate, **limits: Any) -> TrustStore:
    scope: dict[str, Any] = {"doctypes": ANY_DOCTYPE, "purpose": Purpose.VICAL_PROVIDER} | limits
    return TrustStore(TrustAnchor(certificate=root, **scope) for root in roots)


@cache
def provider() -> Provider:
    """The provider that is used where none is named."""
    return Provider()


@cache
def authority(name: str = "Utah", state: str | None = "US-UT", country: str = "US") -> ThrowawayAuthority:
    return ThrowawayAuthority(name, state=state, country=country)


def info(root: Certificate, **changes: Any) -> dict[str, Any]:
    """The honest entry of a root as a map, with members changed, added, or left out where a change is None."""
    members: dict[str, Any] = {
        "certificate": root.der,
        "serialNumber": Tag(2, root.serial.to_bytes((root.serial.bit_length() + 7) // 8)),
        "ski": root.subject_key_identifier,
        "docType": [MDL],
        "issuingAuthority": "An authority",
        "issuingCountry": root.country,
        "stateOrProvinceName": root.state,
        "issuer": root.issuer.der,
        "subject": root.subject.der,
        "notBefore": TDate.of(root.not_before),
        "notAfter": TDate.of(root.not_after),
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def members(entries: Iterable[Mapping[str, Any]], **changes: Any) -> dict[str, Any]:
    """The honest list as a map, with members changed, added, or left out where a change is None."""
    found: dict[str, Any] = {
        "version": "1.0",
        "vicalProvider": "Provider",
        "date": TDate.of(DATE),
        "vicalIssueID": 7,
        "nextUpdate": TDate.of(AT + DAY),
        "certificateInfos": list(entries),
    }
    return {name: value for name, value in (found | changes).items() if value is not None}


def sign(
    payload: bytes,
    *,
    key: SoftwareSigner | None = None,
    x5chain: Any = None,
    algorithm: int | None = None,
    protected: Mapping[Any, Any] | None = None,
    unprotected: Mapping[Any, Any] | None = None,
    tagged: bool = False,
) -> bytes:
    """A COSE_Sign1 over a payload; by the provider's signer, with its chain, where nothing else is said."""
    key = key or provider().signer_key
    if algorithm is None:
        algorithm = key.public_key.algorithm.cose_id
    header = encode({1: algorithm} if protected is None else dict(protected))
    chain = list(provider().chain) if x5chain is None else x5chain
    outside = {33: chain} if unprotected is None else dict(unprotected)
    signature = key.sign(sig_structure(header, payload))
    message = encode([header, outside, payload, signature])
    return (b"\xd2" if tagged else b"") + message


def forge(*entries: Mapping[str, Any], signing: Mapping[str, Any] | None = None, **changes: Any) -> bytes:
    """A signed list; with nothing said the honest one, of one root. `changes` are those of `members`."""
    listed = entries or (info(authority().iaca_certificate),)
    return sign(encode(members(listed, **changes)), **(signing or {}))

"""The issuing authority's certificates: roots, link certificates, every kind of signer, CRLs.

`mdl.pki` builds and checks against the profile. What stands here is the authority: a `CertificateAuthority` is a CA's
certificate with the custodian of its key, and it issues; an `Iaca` is the one that mdocs are verified with. A requester
proves possession of a key and decides nothing else: names, validity and extensions are the authority's.

    an IACA certifies                    document, JWS, OCSP and revocation list signers, and the next IACA (link)
    a reader CA certifies                mdoc reader authentication
    a VICAL provider's CA certifies      VICAL signers

Before anything is handed out, it is read a second time (`issuer.second_reading`) and compared with what was asked for;
that needs the extra ``mdl-sdk[issuer]``, and without it nothing is issued.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import ClassVar, Final, Self

from issuer.second_reading import SecondReading
from mdl.errors import IssuanceError, ProfileError
from mdl.keys import PublicKey, Signer, UnsafePostQuantum, signing_key_of
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    IACA_LINK,
    JWS_SIGNER,
    OCSP_SIGNER,
    READER_AUTHENTICATION,
    READER_CA,
    REVOCATION_LIST_SIGNER,
    VICAL_SIGNER,
    AttributeId,
    Certificate,
    CertificateRequest,
    Crl,
    ExtensionId,
    Name,
    NameForm,
    Profile,
    RevokedCertificate,
    Severity,
    Subject,
    build_certificate,
    build_crl,
    build_csr,
    decode_csr,
    draw_serial,
    lint_certificate,
)

__all__ = [
    "DOCUMENT_SIGNER_LIFE",
    "IACA_LIFE",
    "CertificateAuthority",
    "Iaca",
    "contacts_of",
    "longest_life",
    "request_document_signer",
    "requested_key",
    "require_root",
    "whole_seconds",
]

IACA_LIFE: Final = timedelta(days=3285)
"""Validity of a root where nothing else is asked for: nine years."""

DOCUMENT_SIGNER_LIFE: Final = timedelta(days=455)
"""Longest validity of a document signer where nothing else is asked for."""

_CERTIFIED_BY: Final[Mapping[Profile, Profile]] = MappingProxyType({
    IACA_LINK: IACA,
    DOCUMENT_SIGNER: IACA,
    JWS_SIGNER: IACA,
    OCSP_SIGNER: IACA,
    REVOCATION_LIST_SIGNER: IACA,
    READER_AUTHENTICATION: READER_CA,
    VICAL_SIGNER: READER_CA,
})  # fmt: skip


def longest_life(profile: Profile) -> timedelta:
    """Longest validity of a certificate of that profile where nothing else is asked for."""
    if profile is DOCUMENT_SIGNER:
        return DOCUMENT_SIGNER_LIFE
    if profile.ca or profile.planned_validity is None:
        return IACA_LIFE
    return profile.planned_validity


class CertificateAuthority:
    """A CA's certificate and the custodian of its key.

    This one certifies mdoc readers, or VICAL signers: the standard has no profile for it.

    Attributes:
        certificate: The CA's certificate, self-signed.
        signer: Holds its key.
    """

    __slots__ = ("_post_quantum", "certificate", "signer")

    profile: ClassVar[Profile] = READER_CA
    """What its own certificate must be."""

    def __init__(
        self, certificate: Certificate, signer: Signer, *, post_quantum: UnsafePostQuantum | None = None
    ) -> None:
        """Take up a CA and the custodian of its key.

        Args:
            certificate: The CA's certificate.
            signer: Holds its key.
            post_quantum: Asks for the rehearsal: keys may be those of ML-DSA.

        Raises:
            ProfileError: The custodian holds another key (for an IACA code ``iaca.key``), or the certificate breaks the
                profile (``iaca.profile``).
        """
        if certificate.key_for(post_quantum) != signing_key_of(signer):
            message = f"the signer does not hold the key of this {self.profile.title} certificate"
            raise ProfileError(message, code=f"{self.profile.id}.key")
        _require(certificate, self.profile, post_quantum)
        self.certificate = certificate
        self.signer = signer
        self._post_quantum = post_quantum

    @classmethod
    def create(
        cls,
        signer: Signer,
        *,
        subject: Subject | Name,
        not_before: datetime,
        crl_uri: str,
        not_after: datetime | None = None,
        contact_email: str | None = None,
        contact_uri: str | None = None,
        serial: int | None = None,
        post_quantum: UnsafePostQuantum | None = None,
    ) -> Self:
        """Make a self-signed root for a custodian's key.

        Args:
            signer: Holds the key, which is on an EC curve.
            subject: The authority; country and common name at least. A `Name`, an earlier root's, is taken over byte
                for byte.
            not_before: Start of validity, aware UTC; fractions of a second are cut.
            crl_uri: Where the CRLs of this root will be found, http or https.
            not_after: End of validity, inclusive; None for nine years.
            contact_email: E-mail address of the authority; an IACA needs it or `contact_uri`.
            contact_uri: URI of the authority.
            serial: The serial number; None draws one.
            post_quantum: Asks for the rehearsal: the key may be one of ML-DSA.

        Raises:
            ProfileError: The arguments make no such root (codes ``build.*``).
            SigningError: The custodian failed or signed wrongly.
            UnsupportedError: asn1crypto is not installed (code ``issuer.extra_missing``).

        Spec:
            18013-5 first edition B.1.2.
        """
        not_after = whole_seconds(not_before) + IACA_LIFE if not_after is None else not_after
        certificate = _issue(
            cls.profile,
            subject=subject,
            public_key=signing_key_of(signer),
            issuer=None,
            signer=signer,
            validity=(not_before, not_after),
            crl_uri=crl_uri,
            contacts=(contact_email, contact_uri),
            serial=serial,
            post_quantum=post_quantum,
        )
        return cls(certificate, signer, post_quantum=post_quantum)

    @classmethod
    def load(
        cls, certificate: Certificate | bytes, signer: Signer, *, post_quantum: UnsafePostQuantum | None = None
    ) -> Self:
        """Take up an existing root, given as a certificate, DER or PEM.

        Raises:
            ProfileError: See the class.
            DecodeError: The bytes are not exactly one certificate.
        """
        if not isinstance(certificate, Certificate):
            certificate = Certificate.decode_any(certificate)
        return cls(certificate, signer, post_quantum=post_quantum)

    def issue(
        self,
        profile: Profile,
        request: CertificateRequest | PublicKey | bytes,
        *,
        common_name: str,
        not_before: datetime,
        not_after: datetime | None = None,
        organization: str | None = None,
        locality: str | None = None,
        crl_uri: str | None = None,
        serial: int | None = None,
    ) -> Certificate:
        """Issue a certificate of one of the profiles that this CA certifies.

        Country and state are the CA's own, and so is the contact where the profile has one. Of a request only the key
        is taken; the names and extensions that it asks for decide nothing.

        Args:
            profile: What it shall be; a link certificate is made by `link`.
            request: A PKCS#10 request (DER or PEM as bytes), whose own signature proves possession of the key; or a
                bare key, for a caller who holds it and has seen it sign.
            common_name: What the signer is called; distinct for each.
            not_before: Start of validity, aware UTC; fractions of a second are cut.
            not_after: End of validity, inclusive; None for `longest_life`, or until the CA ends.
            organization: For the subject, if wanted; a VICAL signer has one, by default the CA's.
            locality: For the subject, if wanted.
            crl_uri: Where the CRL is found; None takes the CA's.
            serial: The serial number; None draws one.

        Raises:
            DecodeError: The request is malformed.
            VerificationError: The request is not signed by its own key (code ``request.possession``).
            IssuanceError: The request is from another country (``request.country``) or state (``request.state``), or
                its key is the CA's own (``request.key``).
            ProfileError: Another kind of CA certifies this (``issue.profile``), the profile does not allow the key
                (``request.key_kind``), or the arguments make no certificate of it under this CA (``build.*``).
            SigningError: The custodian failed or signed wrongly.
            UnsupportedError: A key that certificates here cannot carry; or asn1crypto is not installed (code
                ``issuer.extra_missing``).
        """
        if profile is IACA_LINK or _CERTIFIED_BY.get(profile) is not self.profile:
            message = f"a certificate of an {self.profile.title} is no {profile.title}"
            raise ProfileError(message, code="issue.profile", clause=profile.clause)
        ca = self.certificate
        request = decode_csr(request) if isinstance(request, bytes) else request
        key = requested_key(request, ca, profile=profile, post_quantum=self._post_quantum)
        if organization is None and AttributeId.ORGANIZATION in profile.subject:
            organization = ca.subject.only(AttributeId.ORGANIZATION)
        if not_after is None:
            not_after = min(whole_seconds(not_before) + longest_life(profile), ca.not_after)
        return _issue(
            profile,
            subject=Subject(
                country=ca.country or "",
                state=ca.state,
                common_name=common_name,
                organization=organization,
                locality=locality,
            ),
            public_key=key,
            issuer=ca,
            signer=self.signer,
            validity=(not_before, not_after),
            crl_uri=next(iter(ca.crl_uris), None) if crl_uri is None else crl_uri,
            contacts=contacts_of(ca) if profile.requires(ExtensionId.ISSUER_ALTERNATIVE_NAME) else (None, None),
            serial=serial,
            post_quantum=self._post_quantum,
        )

    def publish_crl(
        self,
        revoked: Iterable[RevokedCertificate] = (),
        *,
        number: int,
        this_update: datetime,
        next_update: datetime,
    ) -> Crl:
        """Sign a CRL: full, direct, and empty of a list where nothing is revoked.

        Args:
            revoked: Every certificate of this root that is revoked and not yet expired, each once.
            number: Greater than that of every CRL before. The caller keeps count.
            this_update: When it is issued, aware UTC; fractions of a second are cut.
            next_update: When the next one comes, at most 90 days later.

        Raises:
            ProfileError: The arguments make no CRL of the profile (``build.*``).
            SigningError: The custodian failed or signed wrongly.
            UnsupportedError: asn1crypto is not installed (code ``issuer.extra_missing``).

        Spec:
            18013-5 first edition B.3.
        """
        read = SecondReading()
        entries = tuple(revoked)
        crl = build_crl(
            self.certificate,
            self.signer,
            number=number,
            this_update=this_update,
            next_update=next_update,
            revoked=entries,
            post_quantum=self._post_quantum,
        )
        read.crl(
            crl.der,
            issuer=self.certificate,
            issuer_key=self.certificate.key_for(self._post_quantum),
            number=number,
            times=(this_update, next_update),
            revoked=entries,
        )
        return crl

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.certificate!r})"


class Iaca(CertificateAuthority):
    """An issuing authority's root certificate and the custodian of its key."""

    __slots__ = ()

    profile: ClassVar[Profile] = IACA

    def issue_document_signer(
        self,
        request: CertificateRequest | PublicKey | bytes,
        *,
        common_name: str,
        not_before: datetime,
        not_after: datetime | None = None,
        organization: str | None = None,
        locality: str | None = None,
        crl_uri: str | None = None,
        serial: int | None = None,
    ) -> Certificate:
        """Issue the certificate of a document signer; the arguments and errors are those of `issue`.

        Spec:
            18013-5 first edition B.1.4.
        """
        return self.issue(
            DOCUMENT_SIGNER,
            request,
            common_name=common_name,
            not_before=not_before,
            not_after=not_after,
            organization=organization,
            locality=locality,
            crl_uri=crl_uri,
            serial=serial,
        )

    def link(self, successor: Certificate, *, not_before: datetime, serial: int | None = None) -> Certificate:
        """Certify the key of the next root, so that who trusts this one only can follow.

        It is valid as long as both roots are. A path through it is good where the new root has this one's name: a
        certificate whose issuer and subject have one name does not count against the path length.

        Args:
            successor: The next root, self-signed.
            not_before: Start of validity, aware UTC; fractions of a second are cut.
            serial: The serial number; None draws one.

        Raises:
            ProfileError: One of the two is no root of the profile (``iaca.profile``), or they make no link certificate
                (``build.*``), as two of different countries.
            IssuanceError: It is this root itself (``request.key``).
            SigningError: The custodian failed or signed wrongly.
            UnsupportedError: asn1crypto is not installed (code ``issuer.extra_missing``).

        Spec:
            18013-5 first edition Annex B; pki.md §2.2, where expiry and purpose are disputed.
        """
        _require(successor, IACA, self._post_quantum)
        return _issue(
            IACA_LINK,
            subject=successor.subject,
            public_key=requested_key(
                successor.key_for(self._post_quantum),
                self.certificate,
                profile=IACA_LINK,
                post_quantum=self._post_quantum,
            ),
            issuer=self.certificate,
            signer=self.signer,
            validity=(not_before, min(self.certificate.not_after, successor.not_after)),
            crl_uri=next(iter(self.certificate.crl_uris), None),
            contacts=contacts_of(self.certificate),
            serial=serial,
            post_quantum=self._post_quantum,
        )


def _issue(
    profile: Profile,
    *,
    subject: Subject | Name,
    public_key: PublicKey,
    issuer: Certificate | None,
    signer: Signer,
    validity: tuple[datetime, datetime],
    crl_uri: str | None,
    contacts: tuple[str | None, str | None],
    serial: int | None,
    post_quantum: UnsafePostQuantum | None,
) -> Certificate:
    """Build a certificate and read it a second time."""
    read = SecondReading()
    serial = draw_serial() if serial is None else serial
    certificate = build_certificate(
        profile,
        subject=subject,
        public_key=public_key,
        issuer=issuer,
        signer=signer,
        not_before=validity[0],
        not_after=validity[1],
        crl_uri=crl_uri,
        contact_email=contacts[0],
        contact_uri=contacts[1],
        serial=serial,
        post_quantum=post_quantum,
    )
    copied = issuer is not None and profile.copies_issuer_alternative_name
    read.certificate(
        certificate.der,
        profile=profile,
        serial=serial,
        subject=subject,
        issuer=issuer,
        public_key=public_key,
        issuer_key=public_key if issuer is None else issuer.key_for(post_quantum),
        validity=validity,
        crl_uri=crl_uri,
        contacts=contacts_of(issuer) if copied and issuer is not None else contacts,
    )
    return certificate


def request_document_signer(signer: Signer, subject: Subject) -> CertificateRequest:
    """Make a PKCS#10 request for a document signer's key, signed inside its custodian.

    The request names a subject because PKCS#10 has one; the authority decides what the certificate says.

    Raises:
        ProfileError: The subject cannot be encoded.
        SigningError: The custodian failed or signed wrongly.
        UnsupportedError: asn1crypto is not installed (code ``issuer.extra_missing``).
    """
    read = SecondReading()
    key = signing_key_of(signer)
    request = build_csr(subject, signer)
    read.request(request.der, subject=subject, public_key=key)
    return request


def require_root(certificate: Certificate) -> None:
    """Refuse what is no IACA root to issue with.

    Raises:
        ProfileError: It breaks the profile (code ``iaca.profile``; see ``findings``).
    """
    _require(certificate, IACA, None)


def _require(certificate: Certificate, profile: Profile, post_quantum: UnsafePostQuantum | None) -> None:
    findings = lint_certificate(certificate, profile, post_quantum=post_quantum)
    grave = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    if grave:
        raise ProfileError(
            f"this is no {profile.title} to issue with: {grave[0]}",
            code=f"{profile.id}.profile",
            clause=grave[0].clause,
            findings=grave,
        )


def contacts_of(root: Certificate) -> tuple[str | None, str | None]:
    """The first e-mail address and the first URI in a root's issuerAltName."""
    names = root.issuer_alternative_name or ()
    email, uri = (
        next((name.value for name in names if name.form is form), None) for form in (NameForm.EMAIL, NameForm.URI)
    )
    return email, uri


def requested_key(
    request: CertificateRequest | PublicKey,
    root: Certificate,
    *,
    profile: Profile = DOCUMENT_SIGNER,
    post_quantum: UnsafePostQuantum | None = None,
) -> PublicKey:
    """The key that a certificate is asked for, if the authority of that root may serve the request.

    Raises:
        IssuanceError: The request is from another country (``request.country``) or state (``request.state``), or its
            key is the root's own (``request.key``).
        ProfileError: The profile does not allow the key (``request.key_kind``).
    """
    key = request if isinstance(request, PublicKey) else request.public_key
    if key == root.key_for(post_quantum):
        raise IssuanceError(f"the key of a {profile.title} is not the root's own", code="request.key")
    rehearsed = post_quantum is not None and key.curve.experimental is not None
    if not rehearsed and (key.curve.kind not in profile.key_kinds or key.curve.algorithm is None):
        message = f"the key of a {profile.title} is not on {key.curve.name}"
        raise ProfileError(message, code="request.key_kind", clause=profile.clause)
    if isinstance(request, CertificateRequest):
        for asked, ours, what in (
            (request.subject.country, root.country, "country"),
            (request.subject.state, root.state, "state"),
        ):
            # Only the key is taken of a request; that its names are in other letters is no other place.
            if asked is not None and asked.upper() != (ours or "").upper():
                raise IssuanceError(f"the request is from another {what} than this authority", code=f"request.{what}")
    return key


def whole_seconds(time: datetime) -> datetime:
    """A time as certificates carry it: UTC, without fractions."""
    return time.astimezone(UTC).replace(microsecond=0)

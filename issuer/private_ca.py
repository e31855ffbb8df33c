"""AWS Private CA as an issuing authority's root: another house for the key of an IACA.

    root = fetch_root("awspca:///arn:aws:acm-pca:…")  # once; compare its fingerprint with the ceremony's minutes
    with open_private_ca("awspca:///arn:aws:acm-pca:…", root=root) as ca:
        certificate = ca.issue_document_signer(request, common_name="DS 1", not_before=now)

The service builds certificates itself. It is told every extension of the profile, encoded, through the template for
passing values (``BlankEndEntityCertificate_APIPassthrough``), the CRL's address among them. What comes back is read
here, compared with what was asked for, held against the profile, and refused where anything differs: a reader would
refuse the licences later.

The root is made with the service's own means, from ``BlankRootCACertificate_PathLen0_APIPassthrough``, with
issuerAltName and cRLDistributionPoints passed as extensions; the service adds neither by itself. Its path length of 0
means that it can sign no link certificate. CRLs are the service's own, published from its bucket; hold them against the
profile (``mdl lint``) before pointing ``crl_uri`` at them.

boto3 is an extra (``mdl-sdk[aws]``); importing this module does not need it.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from issuer.aws import AwsUri, call, connect, malformed_answer, member
from issuer.certificates import DOCUMENT_SIGNER_LIFE, contacts_of, requested_key, require_root, whole_seconds
from mdl.errors import DecodeError, ProfileError, SigningError, VerificationError
from mdl.keys import PublicKey
from mdl.pki import (
    DOCUMENT_SIGNER,
    Certificate,
    CertificateRequest,
    Extension,
    ExtensionId,
    Severity,
    Subject,
    decode_csr,
    encode_extensions,
    lint_certificate,
)

__all__ = ["PrivateCa", "fetch_root", "open_private_ca"]

_SCHEME: Final = "awspca"
_TEMPLATE: Final = "arn:{partition}:acm-pca:::template/BlankEndEntityCertificate_APIPassthrough/V1"
_ALGORITHMS: Final[Mapping[str, str]] = {
    "sha256": "SHA256WITHECDSA",
    "sha384": "SHA384WITHECDSA",
    "sha512": "SHA512WITHECDSA",
}
_FROM_THE_SERVICE: Final = frozenset({ExtensionId.AUTHORITY_KEY_IDENTIFIER, ExtensionId.SUBJECT_KEY_IDENTIFIER})
"""Extensions that the template itself provides; their values are checked like the others."""

_NOT_A_CA: Final = Extension(oid=ExtensionId.BASIC_CONSTRAINTS, critical=False, value=bytes.fromhex("3000"))
"""What the template adds: cA FALSE. The profile does without it, and readers tolerate it."""

_PENDING: Final = "signing.certificate_pending"
_PATIENCE: Final = 60.0
"""Seconds to wait for a certificate after it was asked for."""

_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 4.0
"""Seconds between two questions whether it is there: doubled each time, from the first to the longest."""


class PrivateCa:
    """An issuing authority's root certificate, whose key is in AWS Private CA. `open_private_ca` makes it.

    Attributes:
        certificate: The root.
    """

    __slots__ = ("_algorithm", "_arn", "_client", "_template", "certificate")

    def __init__(self, client: Any, uri: AwsUri, root: Certificate) -> None:
        require_root(root)
        served = _root_of(client, uri)
        if served.der != root.der:
            raise ProfileError("AWS Private CA issues under another root than the one given", code="private_ca.root")
        self.certificate = root
        self._client = client
        self._arn = uri.resource
        self._template = _TEMPLATE.format(partition=uri.resource.split(":")[1])
        self._algorithm = _ALGORITHMS[root.public_key.algorithm.hash_name or ""]

    def issue_document_signer(
        self,
        request: CertificateRequest | bytes,
        *,
        common_name: str,
        not_before: datetime,
        not_after: datetime | None = None,
        organization: str | None = None,
        locality: str | None = None,
        crl_uri: str | None = None,
    ) -> Certificate:
        """Issue the certificate of a document signer, as `issuer.certificates.Iaca.issue_document_signer` does.

        Country, state and contact are the root's own. Of the request only the key is taken. The service draws the
        serial number. A certificate that is refused here exists at the service all the same; the message names its
        serial number, so that it can be revoked there.

        Args:
            request: A PKCS#10 request (DER or PEM as bytes), whose own signature proves possession of the key.
            common_name: What the signer is called; distinct for each.
            not_before: Start of validity, aware UTC; fractions of a second are cut.
            not_after: End of validity, inclusive; None for 455 days, or until the root ends.
            organization: For the subject, if wanted.
            locality: For the subject, if wanted.
            crl_uri: Where the CRL is found; None takes the root's.

        Raises:
            DecodeError: The request is malformed.
            VerificationError: The request is not signed by its own key (code ``request.possession``).
            IssuanceError: The request is from another country (``request.country``) or state (``request.state``), or
                its key is the root's own (``request.key``).
            ProfileError: The profile does not allow the key (``request.key_kind``), the arguments make no document
                signer certificate under this root (``build.*``), or what the service returned is not what it was asked
                for (``private_ca.*``, which names what differs).
            SigningError: The service refused or failed, or did not deliver in time (``signing.certificate_pending``).

        Spec:
            18013-5 first edition B.1.4.
        """
        root = self.certificate
        request = decode_csr(request) if isinstance(request, bytes) else request
        key = requested_key(request, root, profile=DOCUMENT_SIGNER)
        subject = Subject(
            country=root.country or "",
            state=root.state,
            common_name=common_name,
            organization=organization,
            locality=locality,
        )
        validity = self._validity(not_before, not_after)
        contact_email, contact_uri = contacts_of(root)
        extensions = encode_extensions(
            DOCUMENT_SIGNER,
            public_key=key,
            issuer=root,
            contact_email=contact_email,
            contact_uri=contact_uri,
            crl_uri=next(iter(root.crl_uris), None) if crl_uri is None else crl_uri,
        )
        if not any(extension.oid == ExtensionId.CRL_DISTRIBUTION_POINTS for extension in extensions):
            raise ProfileError(
                "the root names no CRL: give crl_uri", code="build.crl_uri", clause=DOCUMENT_SIGNER.clause
            )
        answer = call(
            self._client.issue_certificate,
            CertificateAuthorityArn=self._arn,
            Csr=request.pem.encode(),
            SigningAlgorithm=self._algorithm,
            TemplateArn=self._template,
            ValidityNotBefore={"Type": "ABSOLUTE", "Value": int(validity[0].timestamp())},
            Validity={"Type": "ABSOLUTE", "Value": int(validity[1].timestamp())},
            ApiPassthrough={
                "Subject": _passed_subject(subject),
                "Extensions": {
                    "CustomExtensions": [_passed(each) for each in extensions if each.oid not in _FROM_THE_SERVICE]
                },
            },
            # boto3 asks again where an answer is lost; with the same token it is the same certificate.
            IdempotencyToken=secrets.token_hex(16),
        )
        certificate = self._collect(member(answer, "CertificateArn", str))
        _check(certificate, root=root, key=key, subject=subject, validity=validity, extensions=extensions)
        return certificate

    def _validity(self, not_before: datetime, not_after: datetime | None) -> tuple[datetime, datetime]:
        """Start and end, if they suit the profile and the root: the service would issue what does not."""
        if any(bound is not None and bound.utcoffset() is None for bound in (not_before, not_after)):
            msg = "times are aware datetimes"
            raise ValueError(msg)
        start, root = whole_seconds(not_before), self.certificate
        end = min(start + DOCUMENT_SIGNER_LIFE, root.not_after) if not_after is None else whole_seconds(not_after)
        longest = DOCUMENT_SIGNER.planned_validity
        if end < start or (longest is not None and end - start > longest):
            raise ProfileError(
                "the validity ends before it begins, or is longer than a document signer's may be",
                code="build.validity",
                clause=DOCUMENT_SIGNER.clause,
            )
        if start < root.not_before or end > root.not_after:
            raise ProfileError(
                "the validity is not within the root's", code="build.validity", clause=DOCUMENT_SIGNER.clause
            )
        return start, end

    def _collect(self, arn: str) -> Certificate:
        """Fetch the certificate of that ARN as soon as it is there."""
        if not arn.startswith(f"{self._arn}/certificate/") or not re.fullmatch(r"[!-~]{1,400}", arn):
            raise malformed_answer("no ARN of a certificate")
        deadline = time.monotonic() + _PATIENCE
        pause = _FIRST_PAUSE
        while True:
            try:
                answer = call(self._client.get_certificate, CertificateAuthorityArn=self._arn, CertificateArn=arn)
            except SigningError as exc:
                if exc.code != _PENDING:
                    raise
                if time.monotonic() + pause > deadline:
                    raise SigningError(
                        f"AWS Private CA has not issued {arn} in {_PATIENCE:.0f} seconds", code=_PENDING, retryable=True
                    ) from exc
            else:
                return _decoded(answer)
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def __repr__(self) -> str:
        return f"PrivateCa({self.certificate!r})"


# --- Opening ---------------------------------------------------------------------------------------------------------


def fetch_root(uri: str) -> Certificate:
    """Fetch the certificate of a CA in AWS Private CA, and see that it is an IACA root.

    Nothing says yet that it is the right one: compare its fingerprint with what was written down when it was made.

    Args:
        uri: ``awspca:///`` with the CA's ARN; ``endpoint`` as for ``awskms:``.

    Raises:
        ProfileError: It is no IACA root (code ``iaca.profile``), or no certificate (``private_ca.malformed``).
        SigningError: The URI is not usable, boto3 or its credentials are missing, or the service refused or failed.
    """
    parsed = AwsUri.parse(uri, scheme=_SCHEME)
    with connect("acm-pca", parsed) as client:
        root = _root_of(client, parsed)
    require_root(root)
    return root


@contextmanager
def open_private_ca(uri: str, *, root: Certificate) -> Iterator[PrivateCa]:
    """Open a CA in AWS Private CA as the root of an issuing authority.

    Args:
        uri: ``awspca:///`` with the CA's ARN; ``endpoint`` as for ``awskms:``.
        root: Its certificate, as the authority has published it.

    Raises:
        ProfileError: The given root is none (code ``iaca.profile``), or the service has another (``private_ca.root``).
        SigningError: The URI is not usable, boto3 or its credentials are missing, or the service refused or failed.
    """
    parsed = AwsUri.parse(uri, scheme=_SCHEME)
    with connect("acm-pca", parsed) as client:
        yield PrivateCa(client, parsed, root)


def _root_of(client: Any, uri: AwsUri) -> Certificate:
    return _decoded(call(client.get_certificate_authority_certificate, CertificateAuthorityArn=uri.resource))


def _decoded(answer: Mapping[str, Any]) -> Certificate:
    try:
        return Certificate.parse_pem(member(answer, "Certificate", str))
    except DecodeError as exc:
        raise ProfileError("AWS Private CA returned no certificate", code="private_ca.malformed") from exc


# --- Asking and checking ---------------------------------------------------------------------------------------------


def _passed(extension: Extension) -> dict[str, Any]:
    value = base64.b64encode(extension.value).decode("ascii")
    return {"ObjectIdentifier": str(extension.oid), "Value": value, "Critical": extension.critical}


def _passed_subject(subject: Subject) -> dict[str, str]:
    attributes = {
        "Country": subject.country,
        "State": subject.state,
        "Locality": subject.locality,
        "Organization": subject.organization,
        "CommonName": subject.common_name,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _check(
    certificate: Certificate,
    *,
    root: Certificate,
    key: PublicKey,
    subject: Subject,
    validity: tuple[datetime, datetime],
    extensions: tuple[Extension, ...],
) -> None:
    """Compare a certificate with what was asked for; raise where anything differs."""

    def refusal(what: str, code: str, **more: Any) -> ProfileError:
        return ProfileError(
            f"AWS Private CA returned a certificate with {what}: it is not handed out; "
            f"revoke serial number {certificate.serial:x} there",
            code=f"private_ca.{code}",
            clause=DOCUMENT_SIGNER.clause,
            **more,
        )

    if certificate.issuer != root.subject:
        raise refusal("another issuer", "issuer")
    try:
        certificate.verify_signature(root.public_key)
    except VerificationError as exc:
        raise refusal("a signature that is not the root's", "signature") from exc
    if certificate.spki != key.spki:
        raise refusal("another key", "key")
    if certificate.serial == root.serial:
        # A CRL that revokes the one would name the other.
        raise ProfileError(
            "AWS Private CA returned a certificate with the serial number of the root itself: it is not handed out; "
            "tell the service's operator, and use another root",
            code="private_ca.serial",
            clause=DOCUMENT_SIGNER.clause,
        )
    # In which order the names stand, and in which kind of string, is left to the service; the profile judges the
    # latter.
    found, asked = (
        sorted((attribute.oid, attribute.value or "") for attribute in name.attributes)
        for name in (certificate.subject, subject.name)
    )
    if found != asked:
        raise refusal("another subject", "subject")
    if (certificate.not_before, certificate.not_after) != validity:
        raise refusal("another validity", "validity")
    wanted = {extension.oid: extension for extension in extensions}
    given = {oid: each for oid, each in certificate.extensions.items() if each != _NOT_A_CA}
    for oid in sorted(wanted.keys() | given.keys()):
        if given.get(oid) != wanted.get(oid):
            kind = "no" if oid not in given else "another" if oid in wanted else "an unasked"
            raise refusal(f"{kind} extension {oid}", "extension")
    findings = lint_certificate(certificate, DOCUMENT_SIGNER, issuer=root, with_signature=False)
    grave = tuple(finding for finding in findings if finding.severity is not Severity.NOTE)
    if grave:
        raise refusal(f"a deviation from the profile ({grave[0]})", "findings", findings=grave)

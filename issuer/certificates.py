"""The issuing authority's certificates: IACA root, document signers, CRLs.

`mdl.pki` builds and checks against the profile. What stands here is the authority: an `Iaca` is a root certificate with
the custodian of its key, and it issues. A requester proves possession of a key and decides nothing else: names,
validity and extensions are the authority's.

Before anything is handed out, it is read a second time from its DER by code that shares nothing with what encoded it
(asn1crypto, the extra ``mdl-sdk[issuer]``) and compared with what was asked for. Without that reader nothing is issued.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mdl.errors import IssuanceError, MdlError, ProfileError, SigningError, UnsupportedError
from mdl.keys import PublicKey, Signer, der_to_raw
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    Certificate,
    CertificateRequest,
    Crl,
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
    "Iaca",
    "contacts_of",
    "request_document_signer",
    "requested_key",
    "require_root",
    "whole_seconds",
]

IACA_LIFE: Final = timedelta(days=3285)
"""Validity of a root where nothing else is asked for: nine years."""

DOCUMENT_SIGNER_LIFE: Final = timedelta(days=455)
"""Longest validity of a document signer where nothing else is asked for."""


class Iaca:
    """An issuing authority's root certificate and the custodian of its key.

    Attributes:
        certificate: The root.
        signer: Holds its key.
    """

    __slots__ = ("certificate", "signer")

    def __init__(self, certificate: Certificate, signer: Signer) -> None:
        """Take up a root and the custodian of its key.

        Raises:
            ProfileError: The custodian holds another key (code ``iaca.key``), or this is no IACA root
                (``iaca.profile``).
        """
        if certificate.public_key != signer.public_key:
            raise ProfileError("the signer does not hold the key of this IACA certificate", code="iaca.key")
        require_root(certificate)
        self.certificate = certificate
        self.signer = signer

    @classmethod
    def create(
        cls,
        signer: Signer,
        *,
        subject: Subject,
        not_before: datetime,
        crl_uri: str,
        not_after: datetime | None = None,
        contact_email: str | None = None,
        contact_uri: str | None = None,
        serial: int | None = None,
    ) -> Iaca:
        """Make a self-signed root for a custodian's key.

        Args:
            signer: Holds the key, which is on an EC curve.
            subject: The authority; country and common name at least.
            not_before: Start of validity, aware UTC; fractions of a second are cut.
            crl_uri: Where the CRLs of this root will be found, http or https.
            not_after: End of validity, inclusive; None for nine years.
            contact_email: E-mail address of the authority; it or `contact_uri` must be given.
            contact_uri: URI of the authority.
            serial: The serial number; None draws one.

        Raises:
            ProfileError: The arguments make no IACA root (codes ``build.*``).
            SigningError: The custodian failed or signed wrongly.
            UnsupportedError: asn1crypto is not installed (code ``issuer.extra_missing``).

        Spec:
            18013-5 first edition, B.1.2.
        """
        read = _SecondReading()
        serial = draw_serial() if serial is None else serial
        not_after = whole_seconds(not_before) + IACA_LIFE if not_after is None else not_after
        certificate = build_certificate(
            IACA,
            subject=subject,
            public_key=signer.public_key,
            issuer=None,
            signer=signer,
            not_before=not_before,
            not_after=not_after,
            crl_uri=crl_uri,
            contact_email=contact_email,
            contact_uri=contact_uri,
            serial=serial,
        )
        read.certificate(
            certificate.der,
            profile=IACA,
            serial=serial,
            subject=subject,
            issuer=None,
            public_key=signer.public_key,
            issuer_key=signer.public_key,
            validity=(not_before, not_after),
            crl_uri=crl_uri,
            contacts=(contact_email, contact_uri),
        )
        return cls(certificate, signer)

    @classmethod
    def load(cls, certificate: Certificate | bytes, signer: Signer) -> Iaca:
        """Take up an existing root, given as a certificate, DER or PEM.

        Raises:
            ProfileError: See the class.
            DecodeError: The bytes are not exactly one certificate.
        """
        return cls(certificate if isinstance(certificate, Certificate) else Certificate.decode_any(certificate), signer)

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
        """Issue the certificate of a document signer.

        Country and state are the root's own, and so is the contact. Of a request only the key is taken.

        Args:
            request: A PKCS#10 request (DER or PEM as bytes), whose own signature proves possession of the key; or a
                bare key, for a caller who holds it and has seen it sign.
            common_name: What the signer is called; distinct for each.
            not_before: Start of validity, aware UTC; fractions of a second are cut.
            not_after: End of validity, inclusive; None for 455 days, or until the root ends.
            organization: For the subject, if wanted.
            locality: For the subject, if wanted.
            crl_uri: Where the CRL is found; None takes the root's.
            serial: The serial number; None draws one.

        Raises:
            DecodeError: The request is malformed.
            VerificationError: The request is not signed by its own key (code ``request.possession``).
            IssuanceError: The request is from another country (``request.country``) or state (``request.state``), or
                its key is the root's own (``request.key``).
            ProfileError: The arguments make no document signer certificate under this root (``build.*``).
            SigningError: The custodian failed or signed wrongly.
            UnsupportedError: asn1crypto is not installed (code ``issuer.extra_missing``).

        Spec:
            18013-5 first edition, B.1.4.
        """
        read = _SecondReading()
        root = self.certificate
        key = requested_key(decode_csr(request) if isinstance(request, bytes) else request, root)
        subject = Subject(
            country=root.country or "",
            state=root.state,
            common_name=common_name,
            organization=organization,
            locality=locality,
        )
        if not_after is None:
            not_after = min(whole_seconds(not_before) + DOCUMENT_SIGNER_LIFE, root.not_after)
        if crl_uri is None:
            crl_uri = next(iter(root.crl_uris), None)
        serial = draw_serial() if serial is None else serial
        contacts = contacts_of(root)
        certificate = build_certificate(
            DOCUMENT_SIGNER,
            subject=subject,
            public_key=key,
            issuer=root,
            signer=self.signer,
            not_before=not_before,
            not_after=not_after,
            crl_uri=crl_uri,
            contact_email=contacts[0],
            contact_uri=contacts[1],
            serial=serial,
        )
        read.certificate(
            certificate.der,
            profile=DOCUMENT_SIGNER,
            serial=serial,
            subject=subject,
            issuer=root,
            public_key=key,
            issuer_key=self.signer.public_key,
            validity=(not_before, not_after),
            crl_uri=crl_uri,
            contacts=contacts,
        )
        return certificate

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
            18013-5 first edition, B.3.
        """
        read = _SecondReading()
        entries = tuple(revoked)
        crl = build_crl(
            self.certificate,
            self.signer,
            number=number,
            this_update=this_update,
            next_update=next_update,
            revoked=entries,
        )
        read.crl(
            crl.der,
            issuer=self.certificate,
            issuer_key=self.signer.public_key,
            number=number,
            times=(this_update, next_update),
            revoked=entries,
        )
        return crl

    def __repr__(self) -> str:
        return f"Iaca({self.certificate!r})"


def request_document_signer(signer: Signer, subject: Subject) -> CertificateRequest:
    """Make a PKCS#10 request for a document signer's key, signed inside its custodian.

    The request names a subject because PKCS#10 has one; the authority decides what the certificate says.

    Raises:
        ProfileError: The subject cannot be encoded.
        SigningError: The custodian failed or signed wrongly.
        UnsupportedError: asn1crypto is not installed (code ``issuer.extra_missing``).
    """
    read = _SecondReading()
    request = build_csr(subject, signer)
    read.request(request.der, subject=subject, public_key=signer.public_key)
    return request


def require_root(certificate: Certificate) -> None:
    """Refuse what is no IACA root to issue with.

    Raises:
        ProfileError: It breaks the profile (code ``iaca.profile``; see ``findings``).
    """
    grave = tuple(finding for finding in lint_certificate(certificate, IACA) if finding.severity is Severity.ERROR)
    if grave:
        raise ProfileError(
            f"this is no IACA root to issue with: {grave[0]}",
            code="iaca.profile",
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


def requested_key(request: CertificateRequest | PublicKey, root: Certificate) -> PublicKey:
    """The key that a certificate is asked for, if the authority of that root may serve the request.

    Raises:
        IssuanceError: The request is from another country (``request.country``) or state (``request.state``), or its
            key is the root's own (``request.key``).
    """
    key = request if isinstance(request, PublicKey) else request.public_key
    if key == root.public_key:
        raise IssuanceError("the key of a document signer is not the root's own", code="request.key")
    if isinstance(request, CertificateRequest):
        for asked, ours, what in (
            (request.subject.country, root.country, "country"),
            (request.subject.state, root.state, "state"),
        ):
            if asked is not None and asked != ours:
                raise IssuanceError(f"the request is from another {what} than this authority", code=f"request.{what}")
    return key


# --- The second reading ----------------------------------------------------------------------------------------------

_ECDSA_BY_HASH: Final = {"sha256": "sha256_ecdsa", "sha384": "sha384_ecdsa", "sha512": "sha512_ecdsa"}
_EDWARDS: Final = {"Ed25519": "ed25519", "Ed448": "ed448"}
_SUBJECT_FIELDS: Final = {
    "country": "country_name",
    "state": "state_or_province_name",
    "locality": "locality_name",
    "organization": "organization_name",
    "common_name": "common_name",
    "serial_number": "serial_number",
}
_KEY_USAGES: Final = {
    IACA.id: {"key_cert_sign", "crl_sign"},
    DOCUMENT_SIGNER.id: {"digital_signature"},
}
_SKI, _KU, _IAN, _BC, _CRL_NUMBER = "2.5.29.14", "2.5.29.15", "2.5.29.18", "2.5.29.19", "2.5.29.20"
_CRLDP, _AKI, _EKU = "2.5.29.31", "2.5.29.35", "2.5.29.37"
_BOOLEAN, _INTEGER, _BIT_STRING = 1, 2, 3


def whole_seconds(time: datetime) -> datetime:
    """A time as certificates carry it: UTC, without fractions."""
    return time.astimezone(UTC).replace(microsecond=0)


def _same(what: str, found: object, asked: object) -> None:
    if found != asked or type(found) is not type(asked):
        raise _disagreement(what)


def _disagreement(what: str) -> ProfileError:
    return ProfileError(
        f"a second reading of what was encoded does not find the {what} that was asked for: nothing is handed out",
        code="issuer.second_reading",
    )


@contextmanager
def _careful() -> Iterator[None]:
    """Turn whatever the second reader stumbles over into a refusal."""
    try:
        yield
    except MdlError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as exc:
        raise _disagreement("structure") from exc


class _SecondReading:
    """Reads DER with asn1crypto and compares it with what was asked for, field by field.

    It is made before anything is signed, so that a missing reader stops the work at its beginning.
    """

    def __init__(self) -> None:
        try:
            from asn1crypto import crl, csr, x509
        except ImportError as exc:
            raise UnsupportedError(
                "certificates are issued only after a second reading, which needs the asn1crypto package: "
                "pip install 'mdl-sdk[issuer]'",
                code="issuer.extra_missing",
            ) from exc
        self._crl, self._csr, self._x509 = crl, csr, x509

    def certificate(
        self,
        der: bytes,
        *,
        profile: Profile,
        serial: int,
        subject: Subject,
        issuer: Certificate | None,
        public_key: PublicKey,
        issuer_key: PublicKey,
        validity: tuple[datetime, datetime],
        crl_uri: str | None,
        contacts: tuple[str | None, str | None],
    ) -> None:
        """Read a certificate; raise where anything is not as asked for."""
        with _careful():
            _refuse_other_than_der(der)
            outer = self._x509.Certificate.load(der, strict=True)
            body = outer["tbs_certificate"]
            _same("version", body["version"].native, "v3")
            _same("serial number", body["serial_number"].native, serial)
            self._subject(body["subject"], subject)
            issuer_name = body["subject"].dump() if issuer is None else self._subject_of(issuer)
            _same("issuer name", body["issuer"].dump(), issuer_name)
            for bound, asked in zip(("not_before", "not_after"), validity, strict=True):
                _same(bound, body["validity"][bound].native, whole_seconds(asked))
            _same("public key", body["subject_public_key_info"].dump(), public_key.spki)
            self._signature(outer, body, outer["signature_value"].native, issuer_key)
            _same("issuer unique id", body["issuer_unique_id"].native, None)
            _same("subject unique id", body["subject_unique_id"].native, None)
            self._extensions(
                body["extensions"],
                profile=profile,
                own_identifier=_key_identifier(body["subject_public_key_info"]),
                issuer_identifier=None if issuer is None else self._key_identifier_of(issuer),
                crl_uri=crl_uri,
                contacts=contacts,
            )

    def crl(
        self,
        der: bytes,
        *,
        issuer: Certificate,
        issuer_key: PublicKey,
        number: int,
        times: tuple[datetime, datetime],
        revoked: tuple[RevokedCertificate, ...],
    ) -> None:
        """Read a CRL; raise where anything is not as asked for."""
        with _careful():
            _refuse_other_than_der(der)
            outer = self._crl.CertificateList.load(der, strict=True)
            body = outer["tbs_cert_list"]
            _same("version", body["version"].native, "v2")
            _same("issuer name", body["issuer"].dump(), self._subject_of(issuer))
            for bound, asked in zip(("this_update", "next_update"), times, strict=True):
                _same(bound, body[bound].native, whole_seconds(asked))
            listed = body["revoked_certificates"].native
            if not revoked:
                _same("list", listed, None)
            else:
                found = {entry["user_certificate"]: entry["revocation_date"] for entry in listed}
                _same("list", found, {entry.serial: whole_seconds(entry.revoked_at) for entry in revoked})
                _same("number of entries", len(listed), len(revoked))
                _same("entry extensions", [entry["crl_entry_extensions"] for entry in listed], [None] * len(listed))
            self._signature(outer, body, outer["signature"].native, issuer_key)
            found_extensions = self._by_identifier(body["crl_extensions"])
            _same("set of extensions", set(found_extensions), {_AKI, _CRL_NUMBER})
            for critical, _ in found_extensions.values():
                _same("criticality", critical, False)
            _same("CRL number", found_extensions[_CRL_NUMBER][1].native, number)
            self._authority(found_extensions[_AKI][1], self._key_identifier_of(issuer))

    def request(self, der: bytes, *, subject: Subject, public_key: PublicKey) -> None:
        """Read a request; raise where anything is not as asked for."""
        with _careful():
            _refuse_other_than_der(der)
            outer = self._csr.CertificationRequest.load(der, strict=True)
            body = outer["certification_request_info"]
            _same("version", body["version"].native, "v1")
            self._subject(body["subject"], subject)
            _same("public key", body["subject_pk_info"].dump(), public_key.spki)
            _same("attributes", list(body["attributes"].native), [])
            _same("signature algorithm", outer["signature_algorithm"]["algorithm"].native, _algorithm(public_key))
            self._verify(body.dump(), outer["signature"].native, public_key)

    def _extensions(
        self,
        extensions: Any,
        *,
        profile: Profile,
        own_identifier: bytes,
        issuer_identifier: bytes | None,
        crl_uri: str | None,
        contacts: tuple[str | None, str | None],
    ) -> None:
        found = self._by_identifier(extensions)
        wanted = {_SKI: False, _KU: True, _IAN: False, _CRLDP: False}
        if issuer_identifier is not None:
            wanted[_AKI] = False
            self._authority(found[_AKI][1], issuer_identifier)
        if profile.ca:
            wanted[_BC] = True
            _same("basic constraints", dict(found[_BC][1].native), {"ca": True, "path_len_constraint": 0})
        if profile.purpose is not None:
            wanted[_EKU] = True
            _same("extended key usage", [each.dotted for each in found[_EKU][1]], [str(profile.purpose)])
        _same("set of extensions", {oid: critical for oid, (critical, _) in found.items()}, wanted)
        _same("subject key identifier", found[_SKI][1].native, own_identifier)
        _same("key usage", found[_KU][1].native, _KEY_USAGES[profile.id])
        _same("contact", _general_names(found[_IAN][1]), [each for each in contacts if each is not None])
        points = found[_CRLDP][1]
        _same("number of distribution points", len(points), 1)
        _same("reasons", points[0]["reasons"].native, None)
        _same("CRL issuer", points[0]["crl_issuer"].native, None)
        _same("CRL address", _general_names(points[0]["distribution_point"].chosen), [crl_uri])

    def _by_identifier(self, extensions: Any) -> dict[str, tuple[bool, Any]]:
        found: dict[str, tuple[bool, Any]] = {}
        for extension in extensions:
            oid = extension["extn_id"].dotted
            if oid in found:
                raise _disagreement("single extension")
            _refuse_other_than_der(extension["extn_value"].contents)
            found[oid] = (extension["critical"].native, extension["extn_value"].parsed)
        return found

    def _subject_of(self, issuer: Certificate) -> bytes:
        outer = self._x509.Certificate.load(issuer.der, strict=True)
        return bytes(outer["tbs_certificate"]["subject"].dump())

    def _key_identifier_of(self, issuer: Certificate) -> bytes:
        """The identifier that certificates under `issuer` repeat: its own, or made from its key."""
        outer = self._x509.Certificate.load(issuer.der, strict=True)
        return outer.key_identifier or _key_identifier(outer["tbs_certificate"]["subject_public_key_info"])

    def _signature(self, outer: Any, body: Any, signature: bytes, issuer_key: PublicKey) -> None:
        inner = body["signature"]
        _same("signature algorithm", inner["algorithm"].native, _algorithm(issuer_key))
        _same("signature algorithm without parameters", inner.contents, inner["algorithm"].dump())
        _same("signature algorithm twice", outer["signature_algorithm"].dump(), inner.dump())
        self._verify(body.dump(), signature, issuer_key)

    def _verify(self, signed: bytes, signature: bytes, key: PublicKey) -> None:
        if key.curve.kind == "EC":
            signature = der_to_raw(signature, key.curve)
        try:
            key.verify(signature, signed)
        except MdlError as exc:
            raise SigningError(
                "a second reading finds that the custodian's signature does not verify", code="signing.wrong_signature"
            ) from exc

    def _authority(self, found: Any, identifier: bytes) -> None:
        _same(
            "authority key identifier",
            dict(found.native),
            {"key_identifier": identifier, "authority_cert_issuer": None, "authority_cert_serial_number": None},
        )

    def _subject(self, found: Any, asked: Subject) -> None:
        wanted = {
            theirs: value for ours, theirs in _SUBJECT_FIELDS.items() if (value := getattr(asked, ours)) is not None
        }
        _same("subject", dict(found.native), wanted)
        for rdn in found.chosen:
            _same("form of the subject", len(rdn), 1)
            if type(rdn[0]["value"].chosen).__name__ not in ("PrintableString", "UTF8String"):
                raise _disagreement("string type")


def _refuse_other_than_der(data: bytes) -> None:
    """Refuse what would be encoded in another way by the one distinguished way: BER, and bytes left over."""
    todo = [(0, len(data))]
    while todo:
        start, end = todo.pop()
        while start < end:
            tag, length, contents = data[start], data[start + 1], start + 2
            if length & 0x80:
                contents += length & 0x7F
                octets = data[start + 2 : contents]
                length = int.from_bytes(octets)
                if length < 0x80 or not octets[0]:  # indefinite, or longer than it need be
                    raise _disagreement("encoding")
            following = contents + length
            if following > end or tag & 0x1F == 0x1F:
                raise _disagreement("encoding")
            if tag & 0x20:
                todo.append((contents, following))
            elif not _is_der_primitive(tag, data[contents:following]):
                raise _disagreement("encoding")
            start = following


def _is_der_primitive(tag: int, contents: bytes) -> bool:
    if tag == _BOOLEAN:
        return contents in (b"\x00", b"\xff")
    if tag == _INTEGER:
        return len(contents) == 1 or (len(contents) > 1 and (contents[0], contents[1] >> 7) not in ((0, 0), (0xFF, 1)))
    if tag == _BIT_STRING:
        unused = contents[0] if contents else 8
        return unused < 8 and (not unused or (len(contents) > 1 and not contents[-1] & ((1 << unused) - 1)))
    return True


def _algorithm(key: PublicKey) -> str:
    name = key.algorithm.hash_name
    return _EDWARDS[key.curve.name] if name is None else _ECDSA_BY_HASH[name]


def _key_identifier(spki: Any) -> bytes:
    """RFC 5280 4.2.1.2, method 1: SHA-1 over the bits of the key."""
    return hashlib.sha1(spki["public_key"].contents[1:], usedforsecurity=False).digest()


def _general_names(names: Any) -> list[str]:
    """The text of each name as it is encoded; asn1crypto's own would undo escapes."""
    return [
        name.chosen.contents.decode("ascii")
        for name in names
        if name.name in ("rfc822_name", "uniform_resource_identifier")
    ]

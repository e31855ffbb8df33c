"""The second reading: what was encoded is read from its DER by another's code and compared with what was asked for.

`mdl.pki` encodes with `cryptography` and decodes what it encoded. The reader here shares nothing with either:
asn1crypto (the extra ``mdl-sdk[issuer]``), a strictness check of the DER by hand, and tables of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from mdl.errors import MdlError, ProfileError, SigningError, UnsupportedError
from mdl.keys import PublicKey, der_to_raw
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
    Certificate,
    Name,
    Profile,
    RevokedCertificate,
    Subject,
)

__all__ = ["SecondReading"]

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
_CERT_SIGN: Final = {"key_cert_sign", "crl_sign"}
_SIGN: Final = {"digital_signature"}
_KEY_USAGES: Final = {
    IACA.id: _CERT_SIGN,
    IACA_LINK.id: _CERT_SIGN,
    READER_CA.id: _CERT_SIGN,
    DOCUMENT_SIGNER.id: _SIGN,
    JWS_SIGNER.id: _SIGN,
    OCSP_SIGNER.id: _SIGN,
    READER_AUTHENTICATION.id: _SIGN,
    REVOCATION_LIST_SIGNER.id: _SIGN,
    VICAL_SIGNER.id: {"non_repudiation"},
}
_PATH_LENGTHS: Final = {IACA.id: 0, IACA_LINK.id: 0, READER_CA.id: None}
_PURPOSES: Final = {
    IACA_LINK.id: (False, "1.0.18013.5.1.4"),
    DOCUMENT_SIGNER.id: (True, "1.0.18013.5.1.2"),
    JWS_SIGNER.id: (True, "1.0.18013.5.1.3"),
    READER_AUTHENTICATION.id: (True, "1.0.18013.5.1.6"),
    VICAL_SIGNER.id: (True, "1.0.18013.5.1.8"),
    OCSP_SIGNER.id: (False, "1.3.6.1.5.5.7.3.9"),
}
_SKI, _KU, _IAN, _BC, _CRL_NUMBER = "2.5.29.14", "2.5.29.15", "2.5.29.18", "2.5.29.19", "2.5.29.20"
_CRLDP, _AKI, _EKU = "2.5.29.31", "2.5.29.35", "2.5.29.37"
_BOOLEAN, _INTEGER, _BIT_STRING = 1, 2, 3


def _second(time: datetime) -> datetime:
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


class SecondReading:
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
        subject: Subject | Name,
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
                _same(bound, body["validity"][bound].native, _second(asked))
            _same("public key", body["subject_public_key_info"].dump(), public_key.spki)
            self._signature(der, outer, body, outer["signature_value"].native, issuer_key)
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
                _same(bound, body[bound].native, _second(asked))
            listed = body["revoked_certificates"].native
            if not revoked:
                _same("list", listed, None)
            else:
                found = {entry["user_certificate"]: entry["revocation_date"] for entry in listed}
                _same("list", found, {entry.serial: _second(entry.revoked_at) for entry in revoked})
                _same("number of entries", len(listed), len(revoked))
                _same("entry extensions", [entry["crl_entry_extensions"] for entry in listed], [None] * len(listed))
            self._signature(der, outer, body, outer["signature"].native, issuer_key)
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
        wanted = {_SKI: False, _KU: True}
        if issuer_identifier is not None:
            wanted[_AKI] = False
            self._authority(found[_AKI][1], issuer_identifier)
        if profile.id in _PATH_LENGTHS:
            wanted[_BC] = True
            limits = {"ca": True, "path_len_constraint": _PATH_LENGTHS[profile.id]}
            _same("basic constraints", dict(found[_BC][1].native), limits)
        if profile.id in _PURPOSES:
            wanted[_EKU], purpose = _PURPOSES[profile.id]
            _same("extended key usage", [each.dotted for each in found[_EKU][1]], [purpose])
        names = [each for each in contacts if each is not None]
        if names:
            wanted[_IAN] = False
            _same("contact", _general_names(found[_IAN][1]), names)
        if crl_uri is not None:
            wanted[_CRLDP] = False
            self._distribution_point(found[_CRLDP][1], crl_uri)
        _same("set of extensions", {oid: critical for oid, (critical, _) in found.items()}, wanted)
        _same("subject key identifier", found[_SKI][1].native, own_identifier)
        _same("key usage", found[_KU][1].native, _KEY_USAGES[profile.id])

    def _distribution_point(self, points: Any, crl_uri: str) -> None:
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

    def _signature(self, der: bytes, outer: Any, body: Any, signature: bytes, issuer_key: PublicKey) -> None:
        inner = body["signature"]
        _same("signature algorithm", inner["algorithm"].native, _algorithm(issuer_key))
        _same("signature algorithm without parameters", inner.contents, inner["algorithm"].dump())
        _same("signature algorithm twice", outer["signature_algorithm"].dump(), inner.dump())
        self._verify(_member(der, 0).dump(), signature, issuer_key)

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

    def _subject(self, found: Any, asked: Subject | Name) -> None:
        if isinstance(asked, Name):
            _same("subject", found.dump(), asked.der)
            return
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
    if key.curve.experimental is not None:
        return key.curve.oid  # asn1crypto has no name for it
    name = key.algorithm.hash_name
    return _EDWARDS[key.curve.name] if name is None else _ECDSA_BY_HASH[name]


def _key_identifier(spki: Any) -> bytes:
    """RFC 5280 4.2.1.2, method 1: SHA-1 over the bits of the key."""
    return hashlib.sha1(_member(spki.dump(), 1).contents[1:], usedforsecurity=False).digest()


def _member(der: bytes, place: int) -> Any:
    """A member of a SEQUENCE as received: asn1crypto encodes some anew, and cannot where it does not know the key."""
    from asn1crypto.core import Sequence

    return Sequence.load(der, strict=True)[place]


def _general_names(names: Any) -> list[str]:
    """The text of each name as it is encoded; asn1crypto's own would undo escapes."""
    return [
        name.chosen.contents.decode("ascii")
        for name in names
        if name.name in ("rfc822_name", "uniform_resource_identifier")
    ]

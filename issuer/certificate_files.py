"""The certificates and CRLs of an authority as files beside its store, from which they are written.

iaca.pem, iaca.crl            the first root and its current CRL (DER), to be served at the address in certificates
iaca-2.pem, iaca-2.crl        the next root and its own CRL; iaca-2-link.pem, if one was made
ds-1.pem, ds-1.csr            a document signer with its request; other signers likewise, by their role
jws-5f3a….pem                 a certificate whose key is somewhere else, by its serial number
crl/000001.crl                every CRL ever signed; of later roots crl/iaca-2-000001.crl
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from issuer.folder import make_folders, read_file, unwritable, write_file
from issuer.signers import Roots
from issuer.store import CertificateRecord, CrlRecord, Reader
from mdl.errors import DecodeError, LocalProtocolError, MdlError
from mdl.pki import Certificate, Crl, Finding, lint_crl

__all__ = [
    "CRL_FOLDER",
    "CertificateFiles",
    "PublishedCrl",
    "crl_record",
    "grave_findings",
    "last_crl",
    "make_folder",
]

CRL_FOLDER: Final = "crl"
_FIRST_ROOT: Final = "iaca"
_TIME_RULES: Final = frozenset(("crl.future", "crl.stale"))
# What the store can count to.
_NUMBERS: Final = 1 << 63


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCrl:
    """A CRL that was signed.

    Attributes:
        crl: The CRL.
        file: Where it lies for good, DER.
        current_file: Where the current one always lies, DER: this is to be served.
        others: The CRLs of the authority's other roots, signed at the same time.
        failures: The roots that could not sign theirs, and why.
    """

    crl: Crl
    file: Path
    current_file: Path
    others: tuple[PublishedCrl, ...] = ()
    failures: tuple[tuple[Certificate, MdlError], ...] = ()


class CertificateFiles:
    """The files of an authority's folder that are written from its store."""

    def __init__(self, folder: Path, *, repair: bool = True) -> None:
        """Take the folder as it is.

        Args:
            folder: The folder.
            repair: Whether `hold` writes what is missing.
        """
        self._folder = folder
        self._repair = repair

    def certificate(self, stem: str) -> Path:
        """Where a certificate lies, PEM."""
        return self._folder / f"{stem}.pem"

    def request(self, stem: str) -> Path:
        """Where the request of a certificate lies, PEM."""
        return self._folder / f"{stem}.csr"

    def current_crl(self, stem: str) -> Path:
        """Where the current CRL of a root lies, DER."""
        return self._folder / f"{stem}.crl"

    def kept_crl(self, stem: str, number: int) -> Path:
        """Where a CRL of a root lies for good, DER."""
        name = f"{number:06}" if stem == _FIRST_ROOT else f"{stem}-{number:06}"
        return self._folder / CRL_FOLDER / f"{name}.crl"

    def write_certificate(self, stem: str, certificate: Certificate) -> Path:
        """Put a certificate in its place.

        Raises:
            SigningError: It cannot be written.
        """
        file = self.certificate(stem)
        write_file(file, certificate.pem.encode())
        return file

    def write_crl(self, stem: str, crl: Crl, current: CrlRecord) -> PublishedCrl:
        """Put a CRL in its place, and the current one of its root in its own.

        Raises:
            LocalProtocolError: Another CRL of that number lies there for good (code ``store.behind``).
            SigningError: They cannot be written.
        """
        place, served = self.kept_crl(stem, _number(crl)), self.current_crl(stem)
        make_folder(place.parent)
        if place.exists() and read_file(place) != crl.der:
            message = f"{place} is another CRL of this number, and is kept: run mdl issuer restore"
            raise LocalProtocolError(message, code="store.behind", clause="RFC 5280 5.2.3")
        write_file(place, crl.der)
        write_file(served, current.der)
        return PublishedCrl(crl=crl, file=place, current_file=served)

    def hold(self, reader: Reader, roots: Roots) -> None:
        """Hold the files to what the store has; one that a crash, or somebody, took away is written again.

        Raises:
            DecodeError: A file is not what was signed (code ``authority.file_changed``), or no certificate or CRL.
            SigningError: One cannot be written.
        """
        for record in roots.certificates:
            file = self.certificate(roots.stem(record))
            self._hold_file(file, record.certificate.pem.encode(), Certificate.decode_any)
            crls = reader.crls(record.certificate.fingerprint)
            if crls:
                self._hold_crls(roots.stem(record), crls, reader)

    def _hold_crls(self, stem: str, crls: tuple[CrlRecord, ...], reader: Reader) -> None:
        for crl in crls:
            place = self.kept_crl(stem, crl.number)
            if (crl is crls[-1] or not place.exists()) and not _is_settled(place, reader):
                self._hold_file(place, crl.der, Crl.decode_any)
        served = self.current_crl(stem)
        if served.exists() and read_file(served) in [crl.der for crl in crls[:-1]]:
            if not self._repair:
                return
            write_file(served, crls[-1].der)  # a crash came between the two places
        if not _is_settled(served, reader):
            self._hold_file(served, crls[-1].der, Crl.decode_any)

    def _hold_file(self, file: Path, content: bytes, decode: Callable[[bytes], object]) -> None:
        if not file.exists():
            if self._repair:
                make_folder(file.parent)
                write_file(file, content)
            return
        found = read_file(file)
        if found == content:
            return
        try:
            decode(found)
        except MdlError as exc:
            message = f"{file}: {exc.message}; take it away, and it is written again"
            raise DecodeError(message, code=exc.code, path=getattr(exc, "path", "")) from exc
        message = f"{file} is not what the store has: take it away, and it is written again"
        raise DecodeError(message, code="authority.file_changed")


def _is_settled(file: Path, reader: Reader) -> bool:
    """Whether a CRL was ahead of the store before a restore: it stays until the next one is signed."""
    return file.exists() and reader.is_settled(hashlib.sha256(read_file(file)).digest())


def make_folder(folder: Path) -> None:
    """Make a folder if it is not there.

    Raises:
        SigningError: It cannot be made.
    """
    try:
        make_folders(folder)
    except OSError as exc:
        raise unwritable(folder, exc) from exc


def grave_findings(crl: Crl, root: Certificate, *, at: datetime | None = None) -> tuple[Finding, ...]:
    """Why a CRL cannot serve as the root's: what leaves its meaning open, and at that time what makes it unusable.

    What a service or another authority does otherwise than the profile and that leaves the meaning clear is none of
    these: reason codes, a long interval, no number, a partition that names the root's own address.
    """
    scope = crl.scope
    serves = not (crl.is_delta or scope.is_open or scope.of_cas) and (
        scope.uris is None or not scope.uris.isdisjoint(root.crl_uris)
    )
    return tuple(
        one
        for one in lint_crl(crl, issuer=root, at=at)
        if (one.security and not (serves and one.rule == "crl.extension.partial")) or one.rule in _TIME_RULES
    )


def crl_record(crl: Crl, issuer: bytes) -> CrlRecord:
    """A CRL as the store keeps it; where it has no number, its time in seconds since 1970 counts instead."""
    return CrlRecord(
        issuer=issuer,
        number=_number(crl),
        der=crl.der,
        this_update=crl.this_update,
        next_update=crl.next_update or crl.this_update,
    )


def last_crl(reader: Reader, root: CertificateRecord) -> CrlRecord:
    """The current CRL of a root.

    Raises:
        DecodeError: The store has none.
    """
    last = reader.last_crl(root.certificate.fingerprint)
    if last is None:
        raise DecodeError("the store has no CRL of the root: restore it from a backup", code="store.damaged")
    return last


def _number(crl: Crl) -> int:
    if crl.number is None or not 0 <= crl.number < _NUMBERS:
        return int(crl.this_update.timestamp())
    return crl.number

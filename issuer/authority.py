"""An issuing authority in a folder: what it has decided, its certificates and its CRLs. The keys stay in their token.

    authority.json     names, addresses, the token's URI and where its PIN comes from; no secret
    iaca.pem           the root
    iaca.crl           the current CRL (DER), to be served at the address in the certificates
    crl/000001.crl …   every CRL ever signed
    ds-1.pem, .csr …   document signers with their requests
    token/             a SoftHSM token with its PIN files, where no other token was named

Whatever happens at whatever moment, the folder is either before a step or after it: a file is written beside its place,
made durable and moved there in one go; what counts is committed last; and two processes take turns. A CRL's number is
taken by the file that carries it, so no number is ever on two lists.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from issuer.certificates import Iaca, request_document_signer
from issuer.custody import PIN_FILE, Custody, make_softhsm, new_softhsm_uri, open_softhsm
from issuer.folder import PinSource, SignerEntry, State, lock, read_file, unwritable, write_file
from issuer.issuance import CredentialIssuer
from issuer.keystore import Pkcs11Uri, SecretHandler
from mdl.doctypes import find_doctype
from mdl.errors import (
    DecodeError,
    IssuanceError,
    LocalProtocolError,
    MdlError,
    ProfileError,
    SigningError,
    VerificationError,
)
from mdl.keys import Signer, SoftwareSigner
from mdl.pki import AttributeId, Certificate, Crl, RevokedCertificate, Subject

__all__ = ["MAX_CRL_DAYS", "MAX_SIGNER_DAYS", "Authority", "Founding", "IssuedSigner", "PinSource", "PublishedCrl"]

T = TypeVar("T", Certificate, Crl)

MAX_CRL_DAYS: Final = 90
"""Longest time until a CRL's successor, in days, inclusive (18013-5 B.3)."""
MAX_SIGNER_DAYS: Final = 455
"""Longest life of a document signer that is made here, in days, inclusive: two days inside the profile's maximum."""

_STATE_FILE: Final = "authority.json"
_ROOT_FILE: Final = "iaca.pem"
_CRL_FILE: Final = "iaca.crl"
_CRL_FOLDER: Final = "crl"
_SOFTHSM_FOLDER: Final = "token"
_PIN_FILE: Final = f"{_SOFTHSM_FOLDER}/{PIN_FILE}"


# --- Founding --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What is decided when an authority is founded.

    Attributes:
        subject: The root's name.
        crl_uri: Where its CRLs will be found, http or https.
        contact_email: How to reach the authority; this or `contact_uri` must be given.
        contact_uri: The same as a URI.
        doctype: The document type that it issues.
        curve: The root key's curve.
        days: The root's life in days.
        crl_days: Days until the first CRL's successor.
        token: URI of a PKCS#11 token that exists; None makes a SoftHSM token in the folder.
        iaca_key: Label of the root key in the token.
        pin: Where the PIN comes from. None: a SoftHSM token that is made gets a random PIN in a file beside it, and
            any other token's PIN is asked for each time.
    """

    subject: Subject
    crl_uri: str
    contact_email: str | None = None
    contact_uri: str | None = None
    doctype: str = "org.iso.18013.5.1.mDL"
    curve: str = "P-256"
    days: int = 3285
    crl_days: int = 30
    token: str | None = None
    iaca_key: str = "iaca"
    pin: PinSource | None = None

    def _rehearse(self, at: datetime) -> None:
        """Make root and CRL with a throwaway key, so that whatever is wrong with them is told before a key is made."""
        if find_doctype(self.doctype) is None:
            raise IssuanceError("this document type is not known here", code="authority.doctype")
        if self.contact_email is None and self.contact_uri is None:
            message = "name a way to contact the authority: an e-mail address or a URI"
            raise ProfileError(message, code="authority.contact", clause="18013-5 B.1.2")
        if self.token is not None:
            named = Pkcs11Uri.parse(self.token)
            if named.label is not None or named.id is not None:
                message = "name the token only, without object= or id=: the root key is made in it"
                raise SigningError(message, code="signing.uri_invalid")
        self._first_crl(self._root(SoftwareSigner.generate(self.curve), at), at)

    def _root(self, signer: Signer, at: datetime) -> Iaca:
        return Iaca.create(
            signer,
            subject=self.subject,
            not_before=at,
            not_after=at + timedelta(days=self.days),
            crl_uri=self.crl_uri,
            contact_email=self.contact_email,
            contact_uri=self.contact_uri,
        )

    def _first_crl(self, root: Iaca, at: datetime) -> Crl:
        _check_crl_days(self.crl_days)
        return root.publish_crl(number=1, this_update=at, next_update=at + timedelta(days=self.crl_days))


def _check_crl_days(days: int) -> None:
    if not 1 <= days <= MAX_CRL_DAYS:
        message = f"a CRL's successor is due within 1 to {MAX_CRL_DAYS} days"
        raise LocalProtocolError(message, code="authority.crl_days", clause="18013-5 B.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedSigner:
    """A document signer that was certified.

    Attributes:
        key: Its key's label in the token.
        certificate: Its certificate.
        certificate_file: Where that lies, PEM.
        request_file: Where its request lies, PEM.
    """

    key: str
    certificate: Certificate
    certificate_file: Path
    request_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCrl:
    """A CRL that was signed.

    Attributes:
        crl: The CRL.
        file: Where it lies for good, DER.
        current_file: Where the current one always lies, DER: this is to be served.
    """

    crl: Crl
    file: Path
    current_file: Path


# --- The authority ---------------------------------------------------------------------------------------------------


class Authority:
    """An issuing authority whose folder is `directory`.

    Each call reads the folder anew and opens the token only for as long as it takes. While a SoftHSM token of the
    folder's own is open, an environment variable of this process tells SoftHSM where it is.
    """

    def __init__(self, directory: str | os.PathLike[str], *, secret: SecretHandler | None = None) -> None:
        """Open an authority that was founded before.

        Args:
            directory: Its folder.
            secret: Asked for the token's PIN; None takes it from where the founding said.

        Raises:
            DecodeError: There is no authority in the folder, its founding was not finished, or a file is damaged.
        """
        self._folder = Path(directory).absolute()
        self._secret = secret
        with lock(self._folder, exclusive=False):
            state = self._load()
            self._certificate(_ROOT_FILE)
        self._doctype = state.doctype

    @classmethod
    def found(
        cls,
        directory: str | os.PathLike[str],
        founding: Founding,
        *,
        at: datetime,
        secret: SecretHandler | None = None,
    ) -> Authority:
        """Found an authority: make the root key in its token, the root, and the first CRL, which is empty.

        Where this fails the folder is as it was before, but for one thing: a key that was made in a token which was
        there before stays there, and the folder remembers it. The next call then goes on with that key.

        Args:
            directory: An empty folder, or one that does not exist, or one where a founding was broken off.
            founding: What was decided.
            at: The time, aware UTC: the root is valid from then on.
            secret: Asked for the token's PIN; None takes it from where `founding` says.

        Raises:
            LocalProtocolError: The folder holds something else (codes ``authority.exists``, ``authority.occupied``).
            ProfileError: The names, addresses or periods do not make a root.
            SigningError: The token is not to be had, or refused; or the folder cannot be written.
            UnsupportedError: No such curve.
        """
        founding._rehearse(at)  # noqa: SLF001 - its own module
        folder = Path(directory).absolute()
        existed = folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise unwritable(folder, exc) from exc
        authority = object.__new__(cls)
        authority._folder = folder
        authority._secret = secret
        authority._doctype = founding.doctype
        with lock(folder, exclusive=True):
            before = authority._unfinished()
            kept: list[str] = []
            try:
                authority._found(founding, before, at, kept)
            except BaseException:
                if not kept:
                    authority._clear()
                    if not existed:
                        with suppress(OSError):
                            folder.rmdir()
                raise
        return authority

    @property
    def folder(self) -> Path:
        """The folder, absolute."""
        return self._folder

    @property
    def doctype(self) -> str:
        """The document type that it issues."""
        return self._doctype

    @property
    def root(self) -> Certificate:
        """The root certificate."""
        return self._certificate(_ROOT_FILE)

    @property
    def root_file(self) -> Path:
        """Where the root certificate lies, PEM."""
        return self._folder / _ROOT_FILE

    @property
    def crl_file(self) -> Path:
        """Where the current CRL lies, DER."""
        return self._folder / _CRL_FILE

    @property
    def current_crl(self) -> Crl:
        """The current CRL."""
        return _decoded(self.crl_file, Crl.decode_any)

    @property
    def token(self) -> str:
        """The URI of the token that holds the keys."""
        return self._load().token

    @property
    def pin_file(self) -> Path | None:
        """The file with the token's PIN, or None where it comes from elsewhere."""
        source = self._load().pin
        return None if source is None or source.file is None else self._folder / source.file

    def certify_signer(
        self, *, at: datetime, common_name: str | None = None, curve: str = "P-256", days: int = MAX_SIGNER_DAYS
    ) -> IssuedSigner:
        """Make a document signer: its key and request in the token, its certificate under the root.

        From then on credentials are issued under it.

        Args:
            at: The time, aware UTC: the certificate is valid from then on.
            common_name: Its name, distinct from every other; None makes one of the root's and a number.
            curve: Its key's curve.
            days: Its life in days, 1 to `MAX_SIGNER_DAYS`.

        Raises:
            LocalProtocolError: The life is too long (code ``authority.signer_days``).
            ProfileError: It would not fit its profile, for example outlive the root.
            SigningError: The token is not to be had, or refused; or the folder cannot be written.
        """
        if not 1 <= days <= MAX_SIGNER_DAYS:
            message = f"a document signer lives 1 to {MAX_SIGNER_DAYS} days"
            raise LocalProtocolError(message, code="authority.signer_days", clause="18013-5 B.1.4")
        with lock(self._folder, exclusive=True):
            state, root = self._load(), self.root
            not_after = at + timedelta(days=days)
            if at < root.not_before or not_after > root.not_after:
                message = "the document signer would be valid when the root is not: choose fewer days or renew the root"
                raise LocalProtocolError(message, code="authority.signer_outlives_root", clause="18013-5 B.1.4")
            with self._custody(state) as custody, self._open_root(state, custody, root) as iaca:
                number = self._free_number(state, custody.labels())
                label = f"ds-{number}"
                subject = _signer_subject(root, common_name, number)
                if subject.common_name in {one.subject.common_name for one in (root, *self._certified())}:
                    message = "the root or a document signer has this name already: choose another"
                    raise LocalProtocolError(message, code="authority.name_taken", clause="18013-5 Annex B")
                custody.generate(label, curve)
                with custody.open(label) as signer:
                    request = request_document_signer(signer, subject)
                certificate = iaca.issue_document_signer(
                    request,
                    common_name=subject.common_name,
                    organization=subject.organization,
                    not_before=at,
                    not_after=not_after,
                )
            issued = IssuedSigner(
                key=label,
                certificate=certificate,
                certificate_file=self._folder / f"{label}.pem",
                request_file=self._folder / f"{label}.csr",
            )
            write_file(issued.request_file, request.pem.encode())
            write_file(issued.certificate_file, certificate.pem.encode())
            entry = SignerEntry(key=label, certificate=issued.certificate_file.name, request=issued.request_file.name)
            self._save(replace(state, signers=(*state.signers, entry)))
            return issued

    def publish_crl(
        self, *, at: datetime | Callable[[], datetime], revoke: Iterable[int] = (), days: int = 30
    ) -> PublishedCrl:
        """Sign the next CRL: what the last one lists, and what is revoked now.

        Args:
            at: The time, aware UTC, or a clock: that is read when it is this call's turn, so that of several processes
                none comes with a time from before the CRL of the one that went first.
            revoke: Serial numbers of document signers of this authority; what is revoked already stays as it is.
            days: Days until the successor is due, 1 to `MAX_CRL_DAYS`.

        Raises:
            LocalProtocolError: A serial number is not one of this authority's (code ``authority.serial_unknown``), the
                time lies before the last CRL (code ``authority.clock``), or the successor comes too late.
            DecodeError: The last CRL is missing or damaged: without it revocations would be forgotten.
            SigningError: The token is not to be had, or refused; or the folder cannot be written.
        """
        _check_crl_days(days)
        with lock(self._folder, exclusive=True):
            state, root = self._load(), self.root
            last = self._last_crl(state, root)
            now = at() if callable(at) else at
            if now < last.this_update:
                message = "the time lies before that of the last CRL: look at the clock"
                raise LocalProtocolError(message, code="authority.clock")
            listed = dict(last.revoked)
            known = {one.serial for one in self._certified()}
            for serial in revoke:
                if serial not in known:
                    message = f"no document signer of this authority has the serial number {serial:x}"
                    raise LocalProtocolError(message, code="authority.serial_unknown")
                listed.setdefault(serial, now)
            with self._custody(state) as custody, self._open_root(state, custody, root) as iaca:
                crl = iaca.publish_crl(
                    [RevokedCertificate(serial=one, revoked_at=moment) for one, moment in listed.items()],
                    number=_number(last) + 1,
                    this_update=now,
                    next_update=now + timedelta(days=days),
                )
            return self._publish(state, crl)

    @contextmanager
    def open_issuer(self) -> Iterator[CredentialIssuer]:
        """Open the newest document signer for issuing.

        Raises:
            LocalProtocolError: There is no document signer yet (code ``authority.no_signer``).
            IssuanceError: It is revoked (code ``authority.signer_revoked``).
            VerificationError: Its certificate is not of this root (code ``authority.certificate_mismatch``).
            SigningError: The token is not to be had, or refused.
        """
        with lock(self._folder, exclusive=False):
            state, root = self._load(), self.root
            if not state.signers:
                message = "there is no document signer yet: make one with mdl issuer ds"
                raise LocalProtocolError(message, code="authority.no_signer")
            entry = state.signers[-1]
            certificate = self._certificate(entry.certificate)
            try:
                certificate.verify_signature(root.public_key)
            except VerificationError as exc:
                message = f"{self._folder / entry.certificate} is not signed by {self.root_file}: restore the files"
                raise VerificationError(message, code="authority.certificate_mismatch") from exc
            if self._last_crl(state, root).is_revoked(certificate.serial) is not None:
                message = "not issued: the document signer is revoked; make another with mdl issuer ds"
                raise IssuanceError(message, code="authority.signer_revoked")
            with self._custody(state) as custody, custody.open(entry.key) as signer:
                yield CredentialIssuer(signer, certificate, doctype=state.doctype)

    # --- inside ---

    def _found(self, founding: Founding, before: State | None, at: datetime, kept: list[str]) -> None:
        pin, token = founding.pin, founding.token
        if token is None:
            token = new_softhsm_uri()
            pin = pin or PinSource(file=_PIN_FILE)
        state = State(
            ready=False,
            doctype=founding.doctype,
            token=token,
            softhsm=founding.token is None,
            pin=pin,
            iaca_key=founding.iaca_key,
            crl_number=0,
            signers=(),
        )
        # A key of an earlier attempt in this folder, in the same token, is ours to go on with.
        ours = before is not None and not before.softhsm and (before.token, before.iaca_key) == (token, state.iaca_key)
        if ours:
            kept.append(state.iaca_key)
        else:
            self._clear()
        if state.softhsm:
            # Not before it is said that this is unfinished, and not after: there is no token to be opened yet.
            self._save(state)
            drawn = pin == PinSource(file=_PIN_FILE)
            make_softhsm(self._folder / _SOFTHSM_FOLDER, token, secret=self._pin(state), draw_pin=drawn)
        with self._custody(state) as custody:
            present = state.iaca_key in custody.labels()
            if present and not ours:
                message = f"the token has a key '{state.iaca_key}' already: choose another label for the root key"
                raise SigningError(message, code="signing.key_exists")
            self._save(state)
            if not present:
                custody.generate(state.iaca_key, founding.curve)
            if not state.softhsm:
                kept.append(state.iaca_key)
            with custody.open(state.iaca_key) as signer:
                if signer.public_key.curve.name != founding.curve:
                    message = f"the key '{state.iaca_key}' of the founding that was broken off is on another curve"
                    raise SigningError(message, code="signing.key_exists")
                root = founding._root(signer, at)  # noqa: SLF001 - its own module
                crl = founding._first_crl(root, at)  # noqa: SLF001
        write_file(self.root_file, root.certificate.pem.encode())
        self._publish(replace(state, ready=True), crl)

    def _unfinished(self) -> State | None:
        """What an earlier founding left; refuses a folder that holds anything else."""
        if (self._folder / _STATE_FILE).exists():
            state = self._load(ready=False)
            if state.ready:
                message = f"{self._folder} holds an authority already: choose another folder"
                raise LocalProtocolError(message, code="authority.exists")
            return state
        if any(not re.fullmatch(rf"\.{re.escape(_STATE_FILE)}\..*\.tmp", one.name) for one in self._folder.iterdir()):
            message = f"{self._folder} is not empty: choose another folder"
            raise LocalProtocolError(message, code="authority.occupied")
        return None

    def _clear(self) -> None:
        """Take away what a founding that was broken off has made."""
        for name in (_SOFTHSM_FOLDER, _CRL_FOLDER):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        files = [self._folder / name for name in (_ROOT_FILE, _CRL_FILE, _STATE_FILE)]
        for file in (*files, *self._folder.glob(".*.tmp")):
            with suppress(OSError):  # then the next founding finds it, and says so
                file.unlink()

    def _load(self, *, ready: bool = True) -> State:
        file = self._folder / _STATE_FILE
        if not file.exists():
            message = f"there is no authority in {self._folder}: make one with mdl issuer init"
            raise DecodeError(message, code="authority.missing")
        state = State.decode(read_file(file), file)
        if ready and not state.ready:
            message = f"the authority in {self._folder} was never finished: run mdl issuer init again"
            raise DecodeError(message, code="authority.unfinished")
        return state

    def _save(self, state: State) -> None:
        write_file(self._folder / _STATE_FILE, state.encode())

    def _pin(self, state: State) -> SecretHandler:
        if self._secret is not None:
            return self._secret
        if state.pin is not None:
            return state.pin.handler(self._folder)

        def missing(prompt: str) -> str:
            message = f"{prompt}: say where it comes from, with --pin-env or --pin-file"
            raise SigningError(message, code="signing.secret_missing")

        return missing

    @contextmanager
    def _custody(self, state: State) -> Iterator[Custody]:
        """The token, ready for use."""
        custody = Custody(Pkcs11Uri.parse(state.token), self._pin(state))
        with open_softhsm(self._folder / _SOFTHSM_FOLDER) if state.softhsm else nullcontext():
            yield custody

    @contextmanager
    def _open_root(self, state: State, custody: Custody, root: Certificate) -> Iterator[Iaca]:
        with custody.open(state.iaca_key) as signer:
            if signer.public_key != root.public_key:
                message = f"the key in the token is not that of {self.root_file}: it is another token, or another root"
                raise SigningError(message, code="signing.wrong_key")
            yield Iaca(root, signer)

    def _free_number(self, state: State, taken: set[str]) -> int:
        """A number for a new document signer: what an attempt that was broken off has left keeps its own."""
        taken = taken | {one.key for one in state.signers} | {file.stem for file in self._signer_files()}
        number = len(state.signers) + 1
        while f"ds-{number}" in taken:
            number += 1
        return number

    def _signer_files(self) -> list[Path]:
        return sorted(self._folder.glob("ds-*.pem"))

    def _certified(self) -> list[Certificate]:
        """Every document signer's certificate that was ever written, also one that a crash kept from being recorded."""
        return [self._certificate(file.name) for file in self._signer_files()]

    def _certificate(self, name: str) -> Certificate:
        return _decoded(self._folder / name, Certificate.decode_any)

    def _last_crl(self, state: State, root: Certificate) -> Crl:
        """The CRL with the highest number, proven to be this root's."""
        numbers = [int(one.stem) for one in (self._folder / _CRL_FOLDER).glob("*.crl") if one.stem.isdecimal()]
        number = max(numbers, default=0)
        # One that is newer than the state knows was signed just before a crash: it counts.
        file = self._crl_place(max(number, state.crl_number))
        crl = _decoded(file, Crl.decode_any)
        try:
            crl.verify_signature(root.public_key)
        except VerificationError as exc:
            message = f"{file} is not signed by {self.root_file}: restore the files"
            raise DecodeError(message, code="authority.crl_mismatch") from exc
        if _number(crl) != int(file.stem):
            message = f"{file} holds a CRL of another number: restore the file"
            raise DecodeError(message, code="authority.crl_mismatch")
        return crl

    def _crl_place(self, number: int) -> Path:
        return self._folder / _CRL_FOLDER / f"{number:06}.crl"

    def _publish(self, state: State, crl: Crl) -> PublishedCrl:
        """Put a CRL in its places: the one for good first, which takes the number."""
        number = _number(crl)
        place = self._crl_place(number)
        try:
            place.parent.mkdir(exist_ok=True)
        except OSError as exc:
            raise unwritable(place, exc) from exc
        write_file(place, crl.der)
        write_file(self.crl_file, crl.der)
        self._save(replace(state, crl_number=number))
        return PublishedCrl(crl=crl, file=place, current_file=self.crl_file)


def _decoded(file: Path, decode: Callable[[bytes], T]) -> T:
    """Decode a file of the folder; an error names the file."""
    content = read_file(file)
    try:
        return decode(content)
    except MdlError as exc:
        raise DecodeError(f"{file}: {exc.message}", code=exc.code, path=getattr(exc, "path", "")) from exc


def _number(crl: Crl) -> int:
    if crl.number is None:  # the profile that it was built by makes it mandatory
        raise DecodeError("a CRL without a number", code="authority.crl_mismatch")
    return crl.number


def _signer_subject(root: Certificate, common_name: str | None, number: int) -> Subject:
    """A document signer's name: country, state and organization are the root's."""
    name = root.subject
    owner = (name.common_name or "").removesuffix(" IACA")
    return Subject(
        country=name.country or "",
        state=name.state,
        organization=name.only(AttributeId.ORGANIZATION),
        common_name=f"{owner} DS {number}"[:64] if common_name is None else common_name,
    )

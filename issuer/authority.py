"""An issuing authority in a folder: what it has decided, its certificates and its CRLs. The keys stay in their token.

    authority.json     what belongs to this host: the token's URI, where its PIN comes from, the store; no secret
    authority.db       the store: settings, keys, certificates, CRLs, numbers, credentials, the audit log
    iaca.pem           the root
    iaca.crl           the current CRL (DER), to be served at the address in the certificates
    crl/000001.crl …   every CRL ever signed
    ds-1.pem, .csr …   document signers with their requests
    audit-1.pem        the public key of the audit log's checkpoints
    checkpoints/…      the checkpoints; copies of both belong where the store is not
    token/             a SoftHSM token with its PIN files, where no other token was named

The store is what counts (`issuer.store`): the other files are written from it, whole or not at all, after it was
committed, and written again where one is missing. One that is not what was signed is told and left alone. With a store
in PostgreSQL several hosts have a folder each.

Whatever happens at whatever moment, the authority is either before a step or after it. What is unique for ever is taken
before the signing, so a crash leaves a gap in the numbers, and never one number on two things.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from issuer.audit import Actor, Checkpoint, Event, Finding, KeptRecord, compare_log, sign_checkpoint, verify_log
from issuer.batches import BatchIssuer, SignMany
from issuer.certificates import Iaca, request_document_signer
from issuer.custody import PIN_FILE, Custody, make_softhsm, new_softhsm_uri, open_softhsm
from issuer.folder import PinSource, State, StorePlace, lock, read_file, unwritable, write_file
from issuer.issuance import CredentialIssuer
from issuer.keystore import Pkcs11Uri, SecretHandler
from issuer.store import (
    CertificateRecord,
    Clock,
    CrlRecord,
    PostgresStore,
    Reader,
    Role,
    SignerState,
    SqliteStore,
    StatusPlan,
    Store,
)
from issuer.store.postgres import check_dsn
from mdl.doctypes import find_doctype
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError, ProfileError, SigningError
from mdl.keys import PublicKey, Signer, SoftwareSigner
from mdl.pki import AttributeId, Certificate, Crl, RevokedCertificate, Subject

__all__ = [
    "MAX_CRL_DAYS",
    "MAX_SIGNER_DAYS",
    "Authority",
    "Founding",
    "IssuedSigner",
    "PinSource",
    "PublishedCheckpoint",
    "PublishedCrl",
    "StorePlace",
]

MAX_CRL_DAYS: Final = 90
"""Longest time until a CRL's successor, in days, inclusive (18013-5 B.3)."""
MAX_SIGNER_DAYS: Final = 455
"""Longest life of a document signer that is made here, in days, inclusive: two days inside the profile's maximum."""

_STATE_FILE: Final = "authority.json"
_STORE_FILE: Final = "authority.db"
_ROOT_FILE: Final = "iaca.pem"
_CRL_FILE: Final = "iaca.crl"
_CRL_FOLDER: Final = "crl"
_CHECKPOINT_FOLDER: Final = "checkpoints"
_AUDIT_KEY: Final = "audit-1"
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
        store: A store in PostgreSQL, empty yet; None makes one in a file of the folder.
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
    store: StorePlace | None = None

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
        if self.store is not None:
            check_dsn(self.store.dsn)
        self._first_crl(self._root(SoftwareSigner.generate(self.curve), at), at)

    def _root(self, signer: Signer, at: datetime, serial: int | None = None) -> Iaca:
        return Iaca.create(
            signer,
            subject=self.subject,
            not_before=at,
            not_after=at + timedelta(days=self.days),
            crl_uri=self.crl_uri,
            contact_email=self.contact_email,
            contact_uri=self.contact_uri,
            serial=serial,
        )

    def _first_crl(self, root: Iaca, at: datetime, number: int = 1) -> Crl:
        _check_crl_days(self.crl_days)
        return root.publish_crl(number=number, this_update=at, next_update=at + timedelta(days=self.crl_days))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCheckpoint:
    """A checkpoint of the audit log that was signed.

    Attributes:
        checkpoint: The checkpoint.
        file: Where it lies, COSE_Sign1.
        key_file: Where the public key lies, PEM.
    """

    checkpoint: Checkpoint
    file: Path
    key_file: Path


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
            DecodeError: There is no authority in the folder, its founding was not finished, or its store is damaged.
            SigningError: The store cannot be reached.
        """
        self._folder = Path(directory).absolute()
        self._secret = secret
        self._told: datetime | None = None
        with lock(self._folder, exclusive=False), self._opened() as (_, store), store.reading() as reader:
            self._doctype = _doctype(reader)

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
        authority._told = at
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
        with self._opened() as (_, store), store.reading() as reader:
            return _root(reader).certificate

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
        with self._opened() as (_, store), store.reading() as reader:
            return Crl.decode(_last_crl(reader, _root(reader)).der)

    @property
    def token(self) -> str:
        """The URI of the token that holds the keys."""
        return self._load().token

    @property
    def pin_file(self) -> Path | None:
        """The file with the token's PIN, or None where it comes from elsewhere."""
        source = self._load().pin
        return None if source is None or source.file is None else self._folder / source.file

    @contextmanager
    def open_store(self) -> Iterator[Store]:
        """Open the authority's store, for what has no verb here.

        Raises:
            DecodeError: It is missing or damaged.
            SigningError: It cannot be reached.
        """
        with self._opened() as (_, store):
            yield store

    def certify_signer(
        self, *, at: datetime | Clock, common_name: str | None = None, curve: str = "P-256", days: int = MAX_SIGNER_DAYS
    ) -> IssuedSigner:
        """Make a document signer: its key and request in the token, its certificate under the root.

        From then on credentials are issued under it.

        Args:
            at: The time, aware UTC, or a clock, which is read when it is this call's turn: the certificate is valid
                from then on.
            common_name: Its name, distinct from every other; None makes one of the root's and a number.
            curve: Its key's curve.
            days: Its life in days, 1 to `MAX_SIGNER_DAYS`.

        Raises:
            LocalProtocolError: The life is too long (code ``authority.signer_days``), the name is taken, or the clock
                went back (code ``authority.clock``).
            ProfileError: It would not fit its profile, for example outlive the root.
            DecodeError: A file of the folder is not what was signed.
            SigningError: The token is not to be had, or refused; or the folder or the store cannot be written.
        """
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            _refusals(store, "ds", at, Actor.SIGNER_OPERATOR),
        ):
            if not 1 <= days <= MAX_SIGNER_DAYS:
                message = f"a document signer lives 1 to {MAX_SIGNER_DAYS} days"
                raise LocalProtocolError(message, code="authority.signer_days", clause="18013-5 B.1.4")
            with store.reading() as reader:
                self._hold_files(reader)
                certified, known = reader.certificates(), {one.key for one in reader.signers()}
                root = _root(reader)
            now = self._told = at() if callable(at) else at
            not_after = now + timedelta(days=days)
            if now < root.certificate.not_before or not_after > root.certificate.not_after:
                message = "the document signer would be valid when the root is not: choose fewer days or renew the root"
                raise LocalProtocolError(message, code="authority.signer_outlives_root", clause="18013-5 B.1.4")
            with self._custody(state) as custody, self._open_root(custody, root) as iaca:
                number = self._free_number(known | custody.labels())
                label = f"ds-{number}"
                subject = _signer_subject(root.certificate, common_name, number)
                if subject.common_name in {one.certificate.subject.common_name for one in certified}:
                    message = "the root or a document signer has this name already: choose another"
                    raise LocalProtocolError(message, code="authority.name_taken", clause="18013-5 Annex B")
                custody.generate(label, curve)
                with custody.open(label) as signer:
                    with store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx:
                        tx.add_signer(label, Role.DOCUMENT_SIGNER, signer.public_key.spki)
                        tx.use_key(label, "request")
                        serial = tx.take_serial(root.key or "")
                    request = request_document_signer(signer, subject)
                certificate = iaca.issue_document_signer(
                    request,
                    common_name=subject.common_name,
                    organization=subject.organization,
                    not_before=now,
                    not_after=not_after,
                    serial=serial,
                )
            issued = IssuedSigner(
                key=label,
                certificate=certificate,
                certificate_file=self._folder / f"{label}.pem",
                request_file=self._folder / f"{label}.csr",
            )
            write_file(issued.request_file, request.pem.encode())
            with store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx:
                issuer = root.certificate.fingerprint
                tx.add_certificate(certificate, Role.DOCUMENT_SIGNER, issuer=issuer, key=label)
            write_file(issued.certificate_file, certificate.pem.encode())
            return issued

    def publish_crl(self, *, at: datetime | Clock, revoke: Iterable[int] = (), days: int = 30) -> PublishedCrl:
        """Sign the next CRL: of everything that is revoked, and of what is revoked now.

        A revocation is recorded before the signing: where that fails, the next CRL tells of it.

        Args:
            at: The time, aware UTC, or a clock: that is read when it is this call's turn, so that of several processes
                none comes with a time from before the CRL of the one that went first.
            revoke: Serial numbers of document signers of this authority; what is revoked already stays as it is.
            days: Days until the successor is due, 1 to `MAX_CRL_DAYS`.

        Raises:
            LocalProtocolError: A serial number is not one of this authority's (code ``authority.serial_unknown``), the
                time lies before the last recorded event (code ``authority.clock``), or the successor comes too late.
            DecodeError: A file of the folder is not what was signed.
            SigningError: The token is not to be had, or refused; or the folder or the store cannot be written.
        """
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            _refusals(store, "crl", at, Actor.SIGNER_OPERATOR),
        ):
            _check_crl_days(days)
            with store.reading() as reader:
                self._hold_files(reader)
                root = _root(reader)
                to_revoke = [_of_serial(reader, serial, root) for serial in revoke]
            issuer = root.certificate.fingerprint
            with self._custody(state) as custody, self._open_root(custody, root) as iaca:
                with store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx:
                    for one in to_revoke:
                        tx.revoke_certificate(one.certificate.fingerprint)
                    number = tx.take_crl_number(issuer, root.key or "")
                    now = self._told = tx.at
                    revoked = [one for one in tx.certificates() if one.issuer == issuer and one.revoked_at]
                crl = iaca.publish_crl(
                    [
                        RevokedCertificate(serial=one.certificate.serial, revoked_at=one.revoked_at or now)
                        for one in revoked
                    ],
                    number=number,
                    this_update=now,
                    next_update=now + timedelta(days=days),
                )
            with store.transaction(at=at, actor=Actor.SIGNER_OPERATOR) as tx:
                tx.add_crl(_crl_record(crl, issuer))
                current = _last_crl(tx, root)
            return self._write_crl(crl, current)

    @contextmanager
    def open_issuer(
        self,
        *,
        at: Clock | None = None,
        plan: StatusPlan | None = None,
        sign_many: SignMany | None = None,
    ) -> Iterator[BatchIssuer]:
        """Open the newest document signer for issuing.

        Args:
            at: The clock; None for the system's, or the time that this object was last told if that is later.
            plan: Where the status of the credentials will be told; None takes the `status` of each order as it is.
            sign_many: Signs with the document signer's key, `issuer.keystore.SigningProcesses` for one; None lets the
                token do it one by one.

        Raises:
            LocalProtocolError: There is no document signer yet (code ``authority.no_signer``).
            IssuanceError: It is revoked (code ``authority.signer_revoked``).
            DecodeError: A file of the folder is not what was signed.
            SigningError: The token is not to be had, or refused.
        """
        clock = self._now if at is None else at
        with lock(self._folder, exclusive=False), self._opened() as (state, store), ExitStack() as stack:
            with _refusals(store, "issue", clock, Actor.ISSUING_SERVICE):
                with store.reading() as reader:
                    self._hold_files(reader)
                    certificate, key = _signer_for_issuing(reader)
                    doctype = _doctype(reader)
                signer = stack.enter_context(stack.enter_context(self._custody(state)).open(key))
                issuer = CredentialIssuer(signer, certificate, doctype=doctype)
            yield BatchIssuer(
                store,
                issuer,
                key=key,
                sign_many=sign_many or (lambda messages: [signer.sign(one) for one in messages]),
                at=clock,
                plan=plan,
            )

    # --- the audit log ---

    def refuse(self, verb: str, code: str, *, at: datetime | Clock) -> None:
        """Record that something was refused before it came to this authority's own checks.

        Args:
            verb: What was asked for.
            code: Code of the error.
            at: The time, aware UTC, or a clock.
        """
        with self._opened() as (_, store), store.transaction(at=at, actor=Actor.ISSUING_SERVICE) as tx:
            tx.refuse(verb, code)

    def sign_checkpoint(self, *, at: datetime | Clock) -> PublishedCheckpoint:
        """Sign a statement about the head of the audit log, with a key that does nothing else; it is made if need be.

        Args:
            at: The time, aware UTC, or a clock.

        Raises:
            LocalProtocolError: The time lies before the last recorded event (code ``authority.clock``).
            SigningError: The token is not to be had, or refused; or the folder or the store cannot be written.
        """
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            _refusals(store, "checkpoint", at, Actor.AUDITOR),
            self._custody(state) as custody,
        ):
            with store.reading() as reader:
                keys = reader.signers(Role.AUDIT, state=SignerState.ACTIVE)
            label = keys[-1].key if keys else _AUDIT_KEY
            if not keys and label not in custody.labels():
                custody.generate(label, "P-256")
            with custody.open(label) as signer:
                with store.transaction(at=at, actor=Actor.AUDITOR) as tx:
                    if not keys:
                        tx.add_signer(label, Role.AUDIT, signer.public_key.spki, state=SignerState.ACTIVE)
                    elif keys[-1].public_key != signer.public_key.spki:
                        message = "the key of the checkpoints in the token is another than before: it is another token"
                        raise SigningError(message, code="signing.wrong_key")
                    tx.use_key(label, "checkpoint")
                    tx.record(Event.CHECKPOINT, label=label)
                    head, log_id, now = tx.audit_head(), tx.log_id, tx.at
                checkpoint = sign_checkpoint(signer, log_id=log_id, head=head, at=now)
            file = self._folder / _CHECKPOINT_FOLDER / f"{head.sequence:09}.cbor"
            key_file = self._folder / f"{label}.pem"
            _make_folder(file.parent)
            write_file(key_file, signer.public_key.pem)
            write_file(file, checkpoint.encode())
            return PublishedCheckpoint(checkpoint=checkpoint, file=file, key_file=key_file)

    def verify_audit(
        self, *, checkpoints: Iterable[bytes] | None = None, keys: Iterable[PublicKey] | None = None
    ) -> list[Finding]:
        """Find whatever was done to the audit log, and what the store has otherwise than it tells.

        Args:
            checkpoints: Checkpoints that were kept elsewhere; None takes those of the folder, which tells less.
            keys: The keys that are trusted to sign them; None takes those that the store knows, which tells less.

        Raises:
            DecodeError: The store or a checkpoint's file cannot be read.
        """
        if checkpoints is None:
            checkpoints = [read_file(file) for file in sorted((self._folder / _CHECKPOINT_FOLDER).glob("*.cbor"))]
        with self._opened() as (_, store), store.reading() as reader:
            if keys is None:
                keys = [PublicKey.from_spki(one.public_key) for one in reader.signers(Role.AUDIT)]
            findings = verify_log(
                reader.audit_records(),
                log_id=reader.log_id,
                checkpoints=checkpoints,
                keys=[*keys],
                head=reader.audit_head(),
            )
            # A log that is not whole is not told apart from a store that is not.
            return findings or compare_log(reader.audit_records(), reader.holdings())

    @contextmanager
    def audit_records(self) -> Iterator[Iterator[KeptRecord]]:
        """The audit log as it is now, record by record."""
        with self._opened() as (_, store), store.reading() as reader:
            yield reader.audit_records()

    # --- inside ---

    def _now(self) -> datetime:
        now = datetime.now(UTC)
        return now if self._told is None else max(now, self._told)

    def _found(self, founding: Founding, before: State | None, at: datetime, kept: list[str]) -> None:
        pin, token = founding.pin, founding.token
        if token is None:
            token = new_softhsm_uri()
            pin = pin or PinSource(file=_PIN_FILE)
        state = State(
            ready=False,
            token=token,
            softhsm=founding.token is None,
            pin=pin,
            iaca_key=founding.iaca_key,
            store=founding.store,
        )
        # A key of an earlier attempt in this folder, in the same token, is ours to go on with.
        ours = before is not None and not before.softhsm and (before.token, before.iaca_key) == (token, state.iaca_key)
        if ours:
            kept.append(state.iaca_key)
        else:
            # The log of an attempt whose key stays where it is stays too.
            self._clear(store=before is None or before.softhsm)
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
            with self._open_store(state, create=True) as store:
                with store.reading() as reader:
                    if reader.settings() is not None:
                        message = "the store holds an authority already: name an empty one"
                        raise LocalProtocolError(message, code="authority.exists")
                if not present:
                    custody.generate(state.iaca_key, founding.curve)
                if not state.softhsm:
                    kept.append(state.iaca_key)
                with custody.open(state.iaca_key) as signer:
                    if signer.public_key.curve.name != founding.curve:
                        message = f"the key '{state.iaca_key}' of the founding that was broken off is on another curve"
                        raise SigningError(message, code="signing.key_exists")
                    self._found_root(store, founding, signer, at)
        self._save(replace(state, ready=True))

    def _found_root(self, store: Store, founding: Founding, signer: Signer, at: datetime) -> None:
        """Make root and first CRL; the authority is founded when the store says so, and not before."""
        key = founding.iaca_key
        with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
            known = {one.key: one.public_key for one in tx.signers()}
            if known.get(key, signer.public_key.spki) != signer.public_key.spki:
                message = "the store remembers a founding with another key of this label: name an empty one"
                raise LocalProtocolError(message, code="authority.exists")
            if key not in known:
                tx.add_signer(key, Role.IACA, signer.public_key.spki)
            serial = tx.take_serial(key)
        root = founding._root(signer, at, serial)  # noqa: SLF001 - its own module
        issuer = root.certificate.fingerprint
        with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
            number = tx.take_crl_number(issuer, key)
        crl = founding._first_crl(root, at, number)  # noqa: SLF001
        record = _crl_record(crl, issuer)
        write_file(self.root_file, root.certificate.pem.encode())
        self._write_crl(crl, record)
        with store.transaction(at=at, actor=Actor.CEREMONY_OFFICER) as tx:
            tx.add_certificate(root.certificate, Role.IACA, issuer=issuer, key=key)
            tx.add_crl(record)
            tx.put_settings({"doctype": founding.doctype})

    def _unfinished(self) -> State | None:
        """What an earlier founding left; refuses a folder that holds anything else."""
        if (self._folder / _STATE_FILE).exists():
            state = self._load()
            if not state.ready and self._is_founded(state):
                # A crash came before the last word of the founding.
                self._clear_unmoved()
                self._save(replace(state, ready=True))
            if state.ready or self._is_founded(state):
                message = f"{self._folder} holds an authority already: choose another folder"
                raise LocalProtocolError(message, code="authority.exists")
            return state
        if any(not re.fullmatch(rf"\.{re.escape(_STATE_FILE)}\..*\.tmp", one.name) for one in self._folder.iterdir()):
            message = f"{self._folder} is not empty: choose another folder"
            raise LocalProtocolError(message, code="authority.occupied")
        return None

    def _is_founded(self, state: State) -> bool:
        """Whether the store of an authority that was never said to be ready is that of one that is."""
        if state.store is None and not (self._folder / _STORE_FILE).exists():
            return False
        with self._open_store(state, create=True) as store, store.reading() as reader:
            return reader.settings() is not None

    def _clear(self, *, store: bool = True) -> None:
        """Take away what a founding that was broken off has made."""
        for name in (_SOFTHSM_FOLDER, _CRL_FOLDER):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        files = [self._folder / name for name in (_ROOT_FILE, _CRL_FILE, _STATE_FILE)]
        if store:
            files += [self._folder / f"{_STORE_FILE}{end}" for end in ("", "-wal", "-shm")]
        for file in files:
            with suppress(OSError):  # then the next founding finds it, and says so
                file.unlink()
        self._clear_unmoved()

    def _clear_unmoved(self) -> None:
        """Take away files that were written and never moved to their place."""
        for file in self._folder.glob(".*.tmp"):
            with suppress(OSError):
                file.unlink()

    def _load(self) -> State:
        file = self._folder / _STATE_FILE
        if not file.exists():
            message = f"there is no authority in {self._folder}: make one with mdl issuer init"
            raise DecodeError(message, code="authority.missing")
        return State.decode(read_file(file), file)

    @contextmanager
    def _opened(self) -> Iterator[tuple[State, Store]]:
        """What belongs to this host, and the store of an authority that was founded."""
        state = self._load()
        if not state.ready and not self._is_founded(state):
            message = f"the authority in {self._folder} was never finished: run mdl issuer init again"
            raise DecodeError(message, code="authority.unfinished")
        with self._open_store(state) as store:
            yield state, store

    def _open_store(self, state: State, *, create: bool = False) -> Store:
        if state.store is None:
            return SqliteStore(self._folder / _STORE_FILE, create=create)
        source = state.store.password
        password = None if source is None else source.handler(self._folder)
        return PostgresStore(state.store.dsn, password=password, create=create)

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
    def _open_root(self, custody: Custody, root: CertificateRecord) -> Iterator[Iaca]:
        with custody.open(root.key or "") as signer:
            if signer.public_key != root.certificate.public_key:
                message = f"the key in the token is not that of {self.root_file}: it is another token, or another root"
                raise SigningError(message, code="signing.wrong_key")
            yield Iaca(root.certificate, signer)

    def _free_number(self, taken: set[str]) -> int:
        """A number for a new document signer: what an attempt that was broken off has left keeps its own."""
        number = 1
        while f"ds-{number}" in taken:
            number += 1
        return number

    # --- the files beside the store ---

    def _hold_files(self, reader: Reader) -> None:
        """Hold the files to what the store has; one that a crash, or somebody, took away is written again."""
        root = _root(reader)
        self._hold_file(self.root_file, root.certificate.pem.encode(), Certificate.decode_any)
        for one in reader.certificates():
            if one.key is not None and one.role is not Role.IACA:
                file = self._folder / f"{one.key}.pem"
                self._hold_file(file, one.certificate.pem.encode(), Certificate.decode_any)
        crls = reader.crls(root.certificate.fingerprint)
        for crl in crls:
            if crl is crls[-1] or not self._crl_place(crl.number).exists():
                self._hold_file(self._crl_place(crl.number), crl.der, Crl.decode_any)
        if self.crl_file.exists() and read_file(self.crl_file) in [crl.der for crl in crls[:-1]]:
            write_file(self.crl_file, crls[-1].der)  # a crash came between the two places
        self._hold_file(self.crl_file, crls[-1].der, Crl.decode_any)

    def _hold_file(self, file: Path, content: bytes, decode: Callable[[bytes], object]) -> None:
        if not file.exists():
            _make_folder(file.parent)
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

    def _crl_place(self, number: int) -> Path:
        return self._folder / _CRL_FOLDER / f"{number:06}.crl"

    def _write_crl(self, crl: Crl, current: CrlRecord) -> PublishedCrl:
        """Put a CRL in its place, and the current one in its own."""
        place = self._crl_place(_number(crl))
        _make_folder(place.parent)
        write_file(place, crl.der)
        write_file(self.crl_file, current.der)
        return PublishedCrl(crl=crl, file=place, current_file=self.crl_file)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise unwritable(folder, exc) from exc


@contextmanager
def _refusals(store: Store, verb: str, at: datetime | Clock, actor: Actor) -> Iterator[None]:
    """Record what is refused in the block."""
    try:
        yield
    except MdlError as exc:
        with store.reading() as reader:
            last = reader.audit_head().time
        now = at() if callable(at) else at
        # A clock that went back is refused too, and put on record when the last event was.
        now = now if last is None else max(now, last)
        with suppress(MdlError), store.transaction(at=now, actor=actor) as tx:
            tx.refuse(verb, exc.code)
        raise


def _doctype(reader: Reader) -> str:
    settings = reader.settings()
    doctype = None if settings is None else settings.document.get("doctype")
    if not isinstance(doctype, str) or find_doctype(doctype) is None:
        message = "the store names no document type that is known here: restore it, or use the version that wrote it"
        raise DecodeError(message, code="authority.state", path="doctype")
    return doctype


def _root(reader: Reader) -> CertificateRecord:
    """The newest root that signs."""
    keys = reader.signers(Role.IACA, state=SignerState.ACTIVE)
    if not keys or keys[-1].certificate is None:
        raise DecodeError("the store has no root: restore it from a backup", code="store.damaged")
    return reader.certificate(keys[-1].certificate)


def _last_crl(reader: Reader, root: CertificateRecord) -> CrlRecord:
    last = reader.last_crl(root.certificate.fingerprint)
    if last is None:
        raise DecodeError("the store has no CRL of the root: restore it from a backup", code="store.damaged")
    return last


def _of_serial(reader: Reader, serial: int, root: CertificateRecord) -> CertificateRecord:
    found = reader.certificate_of_serial(serial)
    if found is None or found.issuer != root.certificate.fingerprint or found.role is Role.IACA:
        message = f"no document signer of this authority has the serial number {serial:x}"
        raise LocalProtocolError(message, code="authority.serial_unknown")
    return found


def _signer_for_issuing(reader: Reader) -> tuple[Certificate, str]:
    """The newest document signer, and its key's label."""
    signers = [one for one in reader.signers(Role.DOCUMENT_SIGNER) if one.certificate is not None]
    if not signers:
        message = "there is no document signer yet: make one with mdl issuer ds"
        raise LocalProtocolError(message, code="authority.no_signer")
    newest = signers[-1]
    if newest.state is not SignerState.ACTIVE:
        message = f"not issued: the document signer is {newest.state.value}; make another with mdl issuer ds"
        raise IssuanceError(message, code="authority.signer_revoked")
    return reader.certificate(newest.certificate or b"").certificate, newest.key


def _crl_record(crl: Crl, issuer: bytes) -> CrlRecord:
    return CrlRecord(
        issuer=issuer,
        number=_number(crl),
        der=crl.der,
        this_update=crl.this_update,
        next_update=crl.next_update or crl.this_update,
    )


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

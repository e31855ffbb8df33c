"""The online side of an authority whose root is offline: requests go out, certificates and CRLs come in, as files.

    join      take up the root's certificate and its CRL, with a token of this side's own for the document signers' keys
    request   make a key in that token, and a request for it, to be carried to the ceremony
    accept    take a certificate or a CRL that was carried back

Nothing that comes in is believed: a certificate is taken if a root that is known here has signed it, for a key that was
made here and has none yet, by its profile and the policy; a CRL if its root has signed it and its number is higher than
the last one's. A new root is taken by its fingerprint, which comes another way: from the record of its ceremony.

From then on it is an authority like any other (`issuer.authority`), but that the root's key is not in its token.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from issuer.audit import Acting, Actor
from issuer.certificate_files import crl_record, grave_findings
from issuer.certificates import request_document_signer, require_root
from issuer.custody import PIN_FILE, check_token, make_softhsm, new_softhsm_uri
from issuer.folder import (
    LOCK_FILE,
    PinSource,
    State,
    StorePlace,
    close_to_others,
    lock,
    make_folders,
    remove_lock,
    unplaced_files,
    unwritable,
    write_file,
)
from issuer.keystore import SecretHandler
from issuer.operations import refusals
from issuer.policy import IssuancePolicy
from issuer.signers import CERTIFIED, Roots, signer_subject, with_start
from issuer.store import CertificateRecord, Clock, Role, SignerRecord, SignerState, Transaction
from issuer.store.postgres import check_dsn
from issuer.workplace import SOFTHSM_FOLDER, STATE_FILE, STORE_FILE, Workplace
from mdl.doctypes import find_doctype
from mdl.errors import (
    DecodeError,
    IssuanceError,
    LocalProtocolError,
    MdlError,
    ProfileError,
    VerificationError,
)
from mdl.pki import Certificate, CertificateRequest, Crl, Finding, Severity, lint_certificate

__all__ = ["HANDED_ROLES", "HandedRequest", "Joining", "OnlineSide"]

HANDED_ROLES: Final = tuple(role for role, one in CERTIFIED.items() if one.issuer is Role.IACA and not one.profile.ca)
"""The roles whose keys are made here and certified at the ceremony."""

_ACTOR: Final = Actor.SIGNER_OPERATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What is decided when an online side is made.

    Attributes:
        root: The root's certificate; whoever decides has compared its fingerprint.
        crl: Its current CRL.
        doctype: The document type that is issued.
        token: URI of a token, as in `issuer.founding.Founding`; None makes a SoftHSM token in the folder.
        pin: Where the PIN comes from. None: as in `issuer.founding.Founding`.
        store: A store in PostgreSQL, empty yet; None makes one in a file of the folder.
        policy: What this side shall allow; None for all that the program does.
    """

    root: Certificate
    crl: Crl
    doctype: str = "org.iso.18013.5.1.mDL"
    token: str | None = None
    pin: PinSource | None = None
    store: StorePlace | None = None
    policy: IssuancePolicy | None = None

    def check(self, at: datetime) -> None:
        """Refuse what makes no online side.

        Raises:
            MdlError: The root or the CRL break their profiles or do not belong together, the policy does not allow
                them, or a name is wrong.
        """
        if find_doctype(self.doctype) is None:
            raise IssuanceError("this document type is not known here", code="authority.doctype")
        require_root(self.root)
        self.root.verify_signature(self.root.public_key)
        _refuse(grave_findings(self.crl, self.root, at=at), "the CRL")
        self.crl.verify_signature(self.root.public_key)
        policy = self.policy or IssuancePolicy()
        policy.check_key(Role.IACA, self.root.public_key)
        policy.check_doctype(self.doctype)
        if self.token is not None:
            check_token(self.token, self.pin)
        if self.store is not None:
            check_dsn(self.store.dsn)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedRequest:
    """A request that is ready to be carried to the ceremony.

    Attributes:
        key: Label of its key in the token.
        role: What the key is for.
        request: The request.
        file: Where it lies, PEM.
    """

    key: str
    role: Role
    request: CertificateRequest
    file: Path

    @property
    def sha256(self) -> str:
        """SHA-256 of the request's DER, hex: what the ceremony's script names it by."""
        return hashlib.sha256(self.request.der).hexdigest()


class OnlineSide(Workplace):
    """The online side of an authority."""

    @classmethod
    def join(
        cls,
        directory: str | os.PathLike[str],
        joining: Joining,
        *,
        at: datetime,
        secret: SecretHandler | None = None,
        actor: Actor | Acting | None = None,
    ) -> Self:
        """Make an online side. Where this fails the folder is as it was before.

        Args:
            directory: An empty folder, or one that does not exist, or one where this was broken off.
            joining: What was decided.
            at: The time, aware UTC.
            secret: Asked for the token's PIN; None takes it from where `joining` says.
            actor: In which role somebody does this, and who; the policy of `joining` judges that.

        Raises:
            IssuanceError: The policy does not let the actor (codes ``policy.role`` and ``policy.role_required``).
            LocalProtocolError: The folder holds something else (codes ``authority.exists``, ``authority.occupied``).
            MdlError: As `Joining.check`; or the token is not to be had, or the folder cannot be written.
        """
        joining.check(at)
        (joining.policy or IssuancePolicy()).check_actor(actor.role if isinstance(actor, Acting) else actor, "join")
        side = cls(directory, secret=secret, actor=actor)
        existed = side.folder.exists()
        try:
            make_folders(side.folder)
            close_to_others(side.folder)
        except OSError as exc:
            raise unwritable(side.folder, exc) from exc
        with lock(side.folder, exclusive=True):
            side._refuse_occupied()
            try:
                side._make(joining, at)
            except BaseException:
                side._clear()
                remove_lock(side.folder)
                if not existed:
                    with suppress(OSError):
                        side.folder.rmdir()
                raise
        return side

    def request(
        self, *, at: datetime | Clock, role: Role = Role.DOCUMENT_SIGNER, curve: str = "P-256"
    ) -> HandedRequest:
        """Make a key in the token, and a request for its certificate.

        Args:
            at: The time, aware UTC, or a clock.
            role: What the key is for.
            curve: Its curve.

        Raises:
            ProfileError: The policy allows no such key (code ``policy.curve``).
            SigningError: The token is not to be had, or refused; or the folder or the store cannot be written.
        """
        if role not in HANDED_ROLES:
            msg = "a role whose keys an IACA certifies is named"
            raise ValueError(msg)
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            refusals(store, "csr", at, _ACTOR),
        ):
            store.check_clock(at)  # a key is made before anything is recorded
            with store.reading() as reader:
                root = Roots(reader).of(Role.IACA)[-1].certificate
                known = {one.key for one in reader.signers()}
                IssuancePolicy.of_store(reader).check_key(role, curve)
            with self._custody(state) as custody:
                label = self._new_label(store, custody, CERTIFIED[role].name, known, at=at, actor=_ACTOR)
                number = int(label.rpartition("-")[2])
                custody.generate(label, curve)
                with custody.open(label) as signer:
                    with store.transaction(at=at, actor=_ACTOR) as tx:
                        tx.add_signer(label, role, signer.public_key.spki)
                        tx.use_key(label, "request")
                    request = request_document_signer(signer, signer_subject(root, role, None, number))
            file = self._files.request(label)
            write_file(file, request.pem.encode())
            return HandedRequest(key=label, role=role, request=request, file=file)

    def accept(self, data: bytes, *, at: datetime | Clock, fingerprint: bytes | None = None) -> CertificateRecord | Crl:
        """Take a certificate or a CRL that was carried here.

        Args:
            data: The content of the file, PEM or DER.
            at: The time, aware UTC, or a clock.
            fingerprint: SHA-256 of a new root, from the record of its ceremony; a root is taken by it only.

        Returns:
            What was taken.

        Raises:
            DecodeError: It is neither a certificate nor a CRL (code ``handover.form``).
            VerificationError: No root that is known here has signed it (``handover.issuer``), its key was not made
                here or has a certificate (``handover.key``), it is a root and the fingerprint is another
                (``handover.fingerprint``), or it is revoked or over (``handover.over``).
            ProfileError: It breaks its profile (``handover.profile``) or the policy (``policy.…``).
            LocalProtocolError: The CRL is not newer than the last one (``handover.crl_number``) or revokes less
                (``handover.crl_revokes_less``), or the clock went back.
            SigningError: The folder or the store cannot be written.
        """
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (_, store),
            refusals(store, "accept", at, _ACTOR),
        ):
            found = _decode(data)
            with store.transaction(at=at, actor=_ACTOR) as tx:
                if isinstance(found, Crl):
                    taken = self._take_crl(tx, found)
                else:
                    taken = self._take_certificate(tx, found, fingerprint)
                stem = Roots(tx).stem(taken)
            if isinstance(found, Crl):
                self._files.write_crl(stem, found, crl_record(found, taken.certificate.fingerprint))
                return found
            self._files.write_certificate(stem, found)
            return taken

    # --- inside ---

    def _take_certificate(
        self, tx: Transaction, certificate: Certificate, fingerprint: bytes | None
    ) -> CertificateRecord:
        roots, policy = Roots(tx), IssuancePolicy.of_store(tx)
        if certificate.subject == certificate.issuer and certificate.subject_key_identifier != (
            certificate.authority_key_identifier or certificate.subject_key_identifier
        ):
            role, key = Role.LINK, None  # the same name, and another key: the old root certifies the new one
        elif certificate.subject == certificate.issuer:
            return self._take_root(tx, certificate, fingerprint, policy)
        else:
            signer = _prepared(tx.signers(), certificate)
            role, key = (Role.LINK, None) if signer is None else (signer.role, signer.key)
        issuer = _issuer_of(certificate, roots.of(Role.IACA))
        new_keys = [one.certificate.public_key for one in roots.of(Role.IACA) if one != issuer]
        if role is Role.LINK and certificate.public_key not in new_keys:
            message = "the certificate is of no key that was made here and waits for one"
            raise VerificationError(message, code="handover.key")
        findings = lint_certificate(certificate, CERTIFIED[role].profile, issuer=issuer.certificate, at=tx.at)
        _refuse_profile(findings, "the certificate")
        policy.check_key(role, certificate.public_key)
        policy.check_certificate(role, certificate.not_after - certificate.not_before)
        crl = tx.last_crl(issuer.certificate.fingerprint)
        if certificate.not_after < tx.at or (crl is not None and certificate.serial in Crl.decode(crl.der).revoked):
            raise VerificationError("the certificate is revoked, or over", code="handover.over")
        tx.adopt_serial(certificate.serial)
        tx.add_certificate(certificate, role, issuer=issuer.certificate.fingerprint, key=key)
        return tx.certificate(certificate.fingerprint)

    def _take_root(
        self, tx: Transaction, root: Certificate, fingerprint: bytes | None, policy: IssuancePolicy
    ) -> CertificateRecord:
        if fingerprint != root.fingerprint:
            message = "a root is taken by its fingerprint, from the record of its ceremony: this one has another"
            raise VerificationError(message, code="handover.fingerprint")
        require_root(root)
        root.verify_signature(root.public_key)
        policy.check_key(Role.IACA, root.public_key)
        policy.check_certificate(Role.IACA, root.not_after - root.not_before)
        tx.adopt_serial(root.serial)
        tx.add_certificate(root, Role.IACA, issuer=root.fingerprint, key=None)
        settings = tx.settings()
        tx.put_settings(with_start({} if settings is None else settings.document, root, max(tx.at, root.not_before)))
        return tx.certificate(root.fingerprint)

    def _take_crl(self, tx: Transaction, crl: Crl) -> CertificateRecord:
        root = _issuer_of(crl, Roots(tx).of(Role.IACA))
        issuer = root.certificate.fingerprint
        _refuse(grave_findings(crl, root.certificate, at=tx.at), "the CRL")
        last = tx.last_crl(issuer)
        record = crl_record(crl, issuer)
        if last is not None and record.number <= last.number:
            message = f"the CRL has number {record.number}, and the last one had {last.number}"
            raise LocalProtocolError(message, code="handover.crl_number", clause="18013-5 B.3")
        if last is not None:
            ended = {one.certificate.serial for one in tx.certificates() if one.certificate.not_after < tx.at}
            if Crl.decode(last.der).revoked.keys() - crl.revoked.keys() - ended:
                message = "the CRL does not revoke all that the last one did: nothing that was revoked is taken back"
                raise LocalProtocolError(message, code="handover.crl_revokes_less", clause="18013-5 B.3")
        tx.adopt_crl_number(issuer, record.number)
        tx.add_crl(record)
        for serial in crl.revoked:
            if crl.listing(serial) is None:  # a certificate of another issuer
                continue
            known = tx.certificate_of_serial(serial)
            if known is not None and known.issuer == issuer:
                tx.revoke_certificate(known.certificate.fingerprint)
        return root

    def _make(self, joining: Joining, at: datetime) -> None:
        pin, token, softhsm = joining.pin, joining.token, joining.token is None
        if token is None:
            token, pin = new_softhsm_uri(), pin or PinSource(file=f"{SOFTHSM_FOLDER}/{PIN_FILE}")
        # The label of a root key is for those who have one.
        state = State(ready=False, token=token, softhsm=softhsm, pin=pin, iaca_key="iaca", store=joining.store)
        self._save(state)
        if softhsm:
            drawn = pin == PinSource(file=f"{SOFTHSM_FOLDER}/{PIN_FILE}")
            make_softhsm(self._folder / SOFTHSM_FOLDER, token, secret=self._pin(state), draw_pin=drawn)
        with self._custody(state) as custody:
            custody.labels()  # the token is there, and its PIN is right
        root, record = joining.root, crl_record(joining.crl, joining.root.fingerprint)
        policy = {} if joining.policy is None else {"policy": joining.policy.to_settings()}
        with (
            self._open_store(state, create=True) as store,
            store.judged(),
            store.transaction(at=at, actor=_ACTOR) as tx,
        ):
            if tx.settings() is not None:
                message = "the store holds an authority already: name an empty one"
                raise LocalProtocolError(message, code="authority.exists")
            tx.put_settings({"doctype": joining.doctype, **policy})
            tx.adopt_serial(root.serial)
            tx.add_certificate(root, Role.IACA, issuer=root.fingerprint, key=None)
            tx.adopt_crl_number(root.fingerprint, record.number)
            tx.add_crl(record)
        self._files.write_certificate("iaca", root)
        self._files.write_crl("iaca", joining.crl, record)
        self._save(replace(state, ready=True))

    def _refuse_occupied(self) -> None:
        """Refuse a folder that holds something else than what was broken off here."""
        if (self._folder / STATE_FILE).exists():
            state = self._load()
            if state.ready or self._is_founded(state):
                message = f"{self._folder} holds an authority already: choose another folder"
                raise LocalProtocolError(message, code="authority.exists")
            self._clear()
        if any(one.name != LOCK_FILE for one in self._folder.iterdir()):
            remove_lock(self._folder)  # which is the only thing here that is ours
            message = f"{self._folder} is not empty: choose another folder"
            raise LocalProtocolError(message, code="authority.occupied")

    def _clear(self) -> None:
        """Take away what was made before it was broken off."""
        for name in (SOFTHSM_FOLDER, "crl"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        names = (STATE_FILE, STORE_FILE, f"{STORE_FILE}-wal", f"{STORE_FILE}-shm", "iaca.pem", "iaca.crl")
        for file in (*(self._folder / name for name in names), *unplaced_files(self._folder)):
            with suppress(OSError):  # then the next try finds it, and says so
                file.unlink()


def _decode(data: bytes) -> Certificate | Crl:
    for kind in (Certificate, Crl):
        with suppress(DecodeError):
            found: Certificate | Crl = kind.decode_any(data)
            return found
    raise DecodeError("neither a certificate nor a CRL, in PEM or DER", code="handover.form")


def _prepared(signers: Iterable[SignerRecord], certificate: Certificate) -> SignerRecord | None:
    """The key that a certificate is of, if it was made here and waits for one."""
    for one in signers:
        if one.public_key == certificate.public_key.spki:
            if one.state is SignerState.PREPARED and one.certificate is None:
                return one
            raise VerificationError("the key of this certificate has one already", code="handover.key")
    return None


def _issuer_of(signed: Certificate | Crl, roots: Iterable[CertificateRecord]) -> CertificateRecord:
    """The root that signed it."""
    for one in roots:
        if one.certificate.subject == signed.issuer and one.revoked_at is None:
            with suppress(MdlError):
                signed.verify_signature(one.certificate.public_key)
                return one
    raise VerificationError("no root that is known here has signed this", code="handover.issuer")


def _refuse_profile(findings: tuple[Finding, ...], what: str) -> None:
    _refuse(tuple(one for one in findings if one.severity is Severity.ERROR), what)


def _refuse(grave: tuple[Finding, ...], what: str) -> None:
    if grave:
        message = f"{what} breaks its profile: {grave[0]}"
        raise ProfileError(message, code="handover.profile", clause=grave[0].clause, findings=grave)

"""Certifying: signers of every kind under the authority's roots, the next root, and the CRLs of all roots.

What is unique for ever is taken in the store before the signing, and what was signed is recorded after it; the files
beside the store are written last, and written again where they are missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from issuer.addresses import check_address
from issuer.audit import Acting, Actor, Event
from issuer.certificate_files import PublishedCrl, crl_record, last_crl
from issuer.certificates import (
    DOCUMENT_SIGNER_LIFE,
    CertificateAuthority,
    Iaca,
    contacts_of,
    longest_life,
    request_document_signer,
    requested_key,
)
from issuer.custody import Custody
from issuer.folder import lock, write_file
from issuer.founding import check_crl_days
from issuer.operations import permitted, refusals
from issuer.policy import IssuancePolicy
from issuer.signers import (
    CA_ROLES,
    CERTIFIED,
    Certified,
    Roots,
    active_signer,
    check_asked_role,
    signer_subject,
    with_start,
)
from issuer.store import CertificateRecord, Clock, Reader, Role, SignerState, Store
from issuer.workplace import Workplace
from mdl.errors import IssuanceError, LocalProtocolError, MdlError, SigningError
from mdl.keys import Signer
from mdl.pki import Certificate, CertificateRequest, Name, RevokedCertificate, Subject, decode_csr

__all__ = ["MAX_SIGNER_DAYS", "OF_ONE_KEY", "Certifying", "IssuedRoot", "IssuedSigner"]

# What the keys of a role do here; all others sign what other programs make.
_OPENED: Final = {
    Role.DOCUMENT_SIGNER: "issue",
    Role.STATUS_SIGNER: "sign-lists",
    Role.VICAL_SIGNER: "vical",
    Role.AUDIT: "checkpoint",
}
OF_ONE_KEY: Final = frozenset({"signing.key_missing", "signing.wrong_key"})
"""What keeps one key from signing, and no other."""

MAX_SIGNER_DAYS: Final = DOCUMENT_SIGNER_LIFE.days
"""Longest life of a document signer that is made here, in days, inclusive: two days inside the profile's maximum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedSigner:
    """A certificate under one of the authority's roots.

    Attributes:
        key: Its key's label in the token; empty where the key is somewhere else.
        certificate: The certificate.
        certificate_file: Where that lies, PEM.
        request_file: Where its request lies, PEM.
    """

    key: str
    certificate: Certificate
    certificate_file: Path
    request_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedRoot:
    """A root that was made: the next IACA, or one for readers or VICAL signers.

    Attributes:
        key: Its key's label in the token.
        certificate: The root.
        certificate_file: Where that lies, PEM.
        certifies_from: From when on certificates are issued under it.
        crl: Its first CRL, which revokes nothing.
        link: The link certificate by the root before, or None.
        link_file: Where that lies, PEM.
    """

    key: str
    certificate: Certificate
    certificate_file: Path
    certifies_from: datetime
    crl: PublishedCrl
    link: Certificate | None = None
    link_file: Path | None = None


class Certifying(Workplace):
    """What an authority does with its roots."""

    def certify_signer(
        self,
        *,
        at: datetime | Clock,
        common_name: str | None = None,
        curve: str = "P-256",
        days: int = MAX_SIGNER_DAYS,
        key: str | None = None,
    ) -> IssuedSigner:
        """Make a document signer: its key and request in the token, its certificate under the root.

        From then on credentials are issued under it. The arguments and errors are those of `certify`.
        """
        return self.certify(Role.DOCUMENT_SIGNER, at=at, common_name=common_name, curve=curve, days=days, key=key)

    def certify(
        self,
        role: Role,
        *,
        at: datetime | Clock,
        request: bytes | None = None,
        common_name: str | None = None,
        organization: str | None = None,
        curve: str = "P-256",
        days: int | None = None,
        issuer: bytes | None = None,
        expected: int | None = None,
        key: str | None = None,
    ) -> IssuedSigner:
        """Certify a key: one that is made in the token, or the one that a request asks for.

        Args:
            role: What the key is for: any of `issuer.signers.CERTIFIED` but a root or a link.
            at: The time, aware UTC, or a clock, which is read when it is this call's turn: the certificate is valid
                from then on.
            request: A PKCS#10 request, PEM or DER, for a key that is somewhere else; None makes one in the token. Only
                its key is taken.
            common_name: Its name, distinct from every other; None makes one of the root's, the role and a number.
            organization: For the subject; None takes the root's.
            curve: The curve of a key that is made.
            days: Its life in days, at most `issuer.certificates.longest_life`; None for that, or until the root ends.
            issuer: SHA-256 of the root that shall certify it; None for the one whose turn it is.
            expected: How many keys of that role the caller knows of; None makes another one however many there are.
            key: Label of a key that is in the token already, made with its own tool: it is taken, whatever its curve.
                None makes one.

        Raises:
            LocalProtocolError: The life is too long (code ``authority.signer_days``), the name is taken, there is no
                root for that role (``authority.no_ca``), the clock went back (``authority.clock``), or somebody else
                made a key meanwhile (``authority.overtaken``).
            DecodeError: The request is malformed, or a file of the folder is not what was signed.
            VerificationError: The request is not signed by its own key (code ``request.possession``).
            IssuanceError: It is from another country or state, was made for another role, or the key has a certificate
                already (codes ``request.…``).
            ProfileError: It would not fit its profile, for example by its key (code ``request.key_kind``).
            UnsupportedError: No certificate here can carry such a key.
            SigningError: The token is not to be had, or refused; or the folder or the store cannot be written.

        The policy judges the actor: `issuer.capabilities` says by what.
        """
        kind = CERTIFIED.get(role)
        if kind is None or kind.issuer is None or role is Role.LINK:
            msg = "a role whose keys a root certifies is named"
            raise ValueError(msg)
        operation = "certify" if request is None else "certify --csr"
        if role is Role.DOCUMENT_SIGNER and request is None:
            operation = "ds"
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            refusals(store, operation, at, self._acting(Actor.SIGNER_OPERATOR)),
        ):
            longest = longest_life(kind.profile)
            if days is not None and not 1 <= days <= longest.days:
                message = f"a {kind.profile.title} lives 1 to {longest.days} days"
                raise LocalProtocolError(message, code="authority.signer_days", clause=kind.profile.clause)
            with self._current(store, at) as (reader, roots):
                known = {one.key for one in reader.signers()}
                policy = IssuancePolicy.of_store(reader)
                _check_count(reader, role, expected)
            now = self._told = at() if callable(at) else at
            root = roots.certifying(kind.issuer, now) if issuer is None else _root_of(roots, issuer)
            not_after = _end_of(kind, root.certificate, now, days)
            if days is None:
                not_after = min(not_after, now + policy.longest(role, longest))
            asked = None if request is None else decode_csr(request)
            if key is None:
                policy.check_key(role, curve if asked is None else asked.public_key)
            elif asked is not None:
                raise LocalProtocolError("name a request or a key of the token, not both", code="authority.key_label")
            policy.check_certificate(role, not_after - now)
            if asked is not None:
                with store.reading() as reader:
                    _check_requested(reader, asked, kind, root.certificate, roots)
            with self._custody(state) as custody, self._open_root(custody, root) as ca:
                number, label = 1 + sum(one.role is role for one in roots.certificates), ""
                if key is not None:
                    with store.reading() as reader:
                        policy.check_key(role, self._take_key(reader, custody, key, role, state.iaca_key))
                    label = key
                elif asked is None:
                    actor = self._acting(Actor.SIGNER_OPERATOR)
                    label = self._new_label(store, custody, kind.name, known, at=at, actor=actor)
                    number = int(label.rpartition("-")[2])
                subject = signer_subject(root.certificate, role, common_name, number)
                while common_name is None and subject.common_name in _names(roots):
                    number += 1
                    subject = signer_subject(root.certificate, role, None, number)
                if organization is not None:
                    subject = replace(subject, organization=organization)
                _check_name(subject, roots)
                if asked is None:
                    if key is None:
                        custody.generate(label, curve)
                    with custody.open(label) as signer:
                        with store.transaction(at=at, actor=self._acting(Actor.SIGNER_OPERATOR)) as tx:
                            _check_count(tx, role, expected)
                            tx.add_signer(label, role, signer.public_key.spki)
                            tx.use_key(label, "request")
                            serial = tx.take_serial(root.key or "")
                        asked = request_document_signer(signer, subject)
                    key = label
                else:
                    with store.transaction(at=at, actor=self._acting(Actor.SIGNER_OPERATOR)) as tx:
                        serial = tx.take_serial(root.key or "")
                    key, label = None, f"{kind.name}-{serial:040x}"
                certificate = ca.issue(
                    kind.profile,
                    asked,
                    common_name=subject.common_name,
                    organization=subject.organization,
                    not_before=now,
                    not_after=not_after,
                    serial=serial,
                )
            write_file(self._files.request(label), asked.pem.encode())
            with store.transaction(at=at, actor=self._acting(Actor.SIGNER_OPERATOR)) as tx:
                tx.add_certificate(certificate, role, issuer=root.certificate.fingerprint, key=key)
            return IssuedSigner(
                key=key or "",
                certificate=certificate,
                certificate_file=self._files.write_certificate(label, certificate),
                request_file=self._files.request(label),
            )

    @contextmanager
    def open_signer(
        self, role: Role, *, at: datetime | Clock | None = None, issuer: bytes | None = None
    ) -> Iterator[tuple[Signer, Certificate]]:
        """Open the newest key of a role that may sign now.

        Args:
            role: What the key is for.
            at: The time, aware UTC, or a clock; None for the system's.
            issuer: SHA-256 of the root that shall have certified it; None for any.

        Yields:
            The signer and its certificate. What it is used for is for the caller to record.

        Raises:
            LocalProtocolError: There is none (code ``authority.no_signer``).
            DecodeError: A file of the folder is not what was signed.
            SigningError: The token is not to be had, or refused, or it is another one (code ``signing.wrong_key``).
        """
        operation = _OPENED.get(role, "signer")
        clock = self._clock if at is None else at
        with self._opened() as (state, store):
            with (
                permitted(store, operation, clock, Actor.SIGNER_OPERATOR),
                lock(self._folder, exclusive=False),
                self._current(store, at) as (reader, _),
            ):
                now = self._now() if at is None else at() if callable(at) else at
                chosen = active_signer(reader, role, at=now, issuer=issuer)
            with self._custody(state) as custody, custody.open(chosen.key) as signer:
                certificate = chosen.record.certificate
                if signer.public_key != certificate.public_key:
                    message = f"the key '{chosen.key}' in the token is not that of its certificate: it is another token"
                    raise SigningError(message, code="signing.wrong_key")
                yield signer, certificate

    # --- roots and CRLs ---

    def rekey(
        self,
        *,
        at: datetime | Clock,
        certifies_from: datetime | None = None,
        common_name: str | None = None,
        curve: str = "P-256",
        days: int = 3285,
        crl_uri: str | None = None,
        crl_days: int = 30,
        link: bool = False,
        expected: int | None = None,
        key: str | None = None,
    ) -> IssuedRoot:
        """Make the next IACA root: a new key in the token, its certificate, and its first CRL.

        The root before stays trusted: its document signers go on, and its CRLs until the last of them expires.

        Args:
            at: The time, aware UTC, or a clock: the root is valid from then on, so that it can be made known.
            certifies_from: From when on document signers are certified under it; None for at once. Readers have to know
                it by then: a VICAL provider may need weeks.
            common_name: The root's name; None keeps the whole name of the root before, byte for byte, so that a path
                over a link certificate stays within the path length.
            curve: The curve of the key.
            days: The root's life in days.
            crl_uri: Where its CRLs will be found; None makes an address beside that of the root before.
            crl_days: Days until the first CRL's successor.
            link: Whether the root before certifies the new key too. The standard's link certificate is in little use.
            expected: How many root keys the caller knows of; None makes another one however many there are.
            key: Label of a key that is in the token already, made with its own tool: it is taken, whatever its curve.
                None makes one.

        Raises:
            LocalProtocolError: The address is another root's (code ``authority.crl_uri``), the name is taken, the clock
                went back, or somebody else made a root meanwhile (``authority.overtaken``).
            ProfileError: The arguments make no root.
            DecodeError: A file of the folder is not what was signed.
            SigningError: The token is not to be had, or refused; or the folder or the store cannot be written.

        Spec:
            pki.md §2.2, §4, §11 no. 5.
        """
        return self._make_root(
            Role.IACA,
            at=at,
            certifies_from=certifies_from,
            common_name=common_name,
            curve=curve,
            days=days,
            crl_uri=crl_uri,
            crl_days=crl_days,
            link=link,
            expected=expected,
            key=key,
        )

    def found_ca(
        self,
        role: Role,
        *,
        at: datetime | Clock,
        crl_uri: str,
        common_name: str | None = None,
        curve: str = "P-256",
        days: int = 3285,
        crl_days: int = 30,
        key: str | None = None,
    ) -> IssuedRoot:
        """Make a root for mdoc readers or for VICAL signers: an IACA, whose path length is 0, certifies neither.

        Args:
            role: `Role.READER_CA` or `Role.VICAL_CA`.
            at: The time, aware UTC, or a clock: the root is valid, and certifies, from then on.
            crl_uri: Where its CRLs will be found.
            common_name: Its name; None makes one of the IACA's.
            curve: The curve of its key.
            days: Its life in days.
            crl_days: Days until the first CRL's successor.
            key: Label of a key that is in the token already; None makes one.

        Raises:
            MdlError: As `rekey`.
        """
        if role not in (Role.READER_CA, Role.VICAL_CA):
            msg = "a reader CA or a VICAL provider's CA is founded"
            raise ValueError(msg)
        return self._make_root(
            role,
            at=at,
            certifies_from=None,
            common_name=common_name,
            curve=curve,
            days=days,
            crl_uri=crl_uri,
            crl_days=crl_days,
            link=False,
            expected=None,
            key=key,
        )

    def _make_root(
        self,
        role: Role,
        *,
        at: datetime | Clock,
        certifies_from: datetime | None,
        common_name: str | None,
        curve: str,
        days: int,
        crl_uri: str | None,
        crl_days: int,
        link: bool,
        expected: int | None,
        key: str | None,
    ) -> IssuedRoot:
        actor = Actor.CEREMONY_OFFICER
        operation = "certify --root"
        if role is Role.IACA:
            operation = "rekey --link" if link else "rekey"
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            refusals(store, operation, at, actor),
        ):
            check_crl_days(crl_days)
            with self._current(store, at) as (reader, roots):
                known = {one.key for one in reader.signers()}
                policy = IssuancePolicy.of_store(reader)
                taken = reader.addresses()
                _check_count(reader, role, expected)
            if key is None:
                policy.check_key(role, curve)
            policy.check_certificate(role, timedelta(days=days))
            now = self._told = at() if callable(at) else at
            before = roots.of(Role.IACA)[-1]
            generation = 1 + len(roots.of(role))
            address = _beside(before.certificate.crl_uris, generation) if crl_uri is None else crl_uri
            if any(address in one.certificate.crl_uris for one in roots.certificates if one.issuer == _own(one)):
                message = "another root has its CRLs at this address: each needs one of its own"
                raise LocalProtocolError(message, code="authority.crl_uri", clause="18013-5 B.3")
            policy.check_address(address)
            check_address(address, taken)
            subject: Subject | Name = before.certificate.subject
            if role is not Role.IACA or common_name is not None:
                subject = signer_subject(before.certificate, role, common_name, generation)
                _check_name(subject, roots)
            with self._custody(state) as custody, ExitStack() as stack:
                old = stack.enter_context(self._open_root(custody, before)) if link else None
                base = state.iaca_key if role is Role.IACA else CERTIFIED[role].name
                first = 2 if role is Role.IACA else 1  # the first root's label has no number
                if key is None:
                    label = self._new_label(store, custody, base, known, at=at, actor=actor, first=first)
                    custody.generate(label, curve)
                else:
                    with store.reading() as reader:
                        policy.check_key(role, self._take_key(reader, custody, key, role, state.iaca_key))
                    label = key
                signer = stack.enter_context(custody.open(label))
                with store.transaction(at=at, actor=actor) as tx:
                    _check_count(tx, role, expected)
                    tx.add_signer(label, role, signer.public_key.spki)
                    serial = tx.take_serial(label)
                    link_serial = tx.take_serial(before.key or "") if link else None
                kind = Iaca if role is Role.IACA else CertificateAuthority
                email, uri = contacts_of(before.certificate)
                ca = kind.create(
                    signer,
                    subject=subject,
                    not_before=now,
                    not_after=now + timedelta(days=days),
                    crl_uri=address,
                    contact_email=email,
                    contact_uri=uri,
                    serial=serial,
                )
                root = ca.certificate
                linked = None
                if isinstance(old, Iaca):
                    linked = old.link(root, not_before=now, serial=link_serial)
                with store.transaction(at=at, actor=actor) as tx:
                    number = tx.take_crl_number(root.fingerprint, label)
                crl = ca.publish_crl(number=number, this_update=now, next_update=now + timedelta(days=crl_days))
            start = now if certifies_from is None else max(certifies_from, now)
            record = crl_record(crl, root.fingerprint)
            with store.transaction(at=at, actor=actor) as tx:
                tx.add_certificate(root, role, issuer=root.fingerprint, key=label)
                tx.add_crl(record)
                if linked is not None:
                    tx.add_certificate(linked, Role.LINK, issuer=before.certificate.fingerprint, key=None)
                settings = tx.settings()
                tx.put_settings(with_start({} if settings is None else settings.document, root, start))
                roots = Roots(tx)
                stem = roots.stem(tx.certificate(root.fingerprint))
            return IssuedRoot(
                key=label,
                certificate=root,
                certificate_file=self._files.write_certificate(stem, root),
                certifies_from=start,
                crl=self._files.write_crl(stem, crl, record),
                link=linked,
                link_file=None if linked is None else self._files.write_certificate(f"{stem}-link", linked),
            )

    def publish_crl(
        self,
        *,
        at: datetime | Clock,
        revoke: Iterable[int] = (),
        days: int = 30,
        issuers: Iterable[bytes] | None = None,
    ) -> PublishedCrl:
        """Sign the next CRL of every root in service: of everything that is revoked, and of what is revoked now.

        A revocation is recorded before the signing: where that fails, the next CRL tells of it.

        Args:
            at: The time, aware UTC, or a clock: that is read when it is this call's turn, so that of several processes
                none comes with a time from before the CRL of the one that went first.
            revoke: Serial numbers of certificates of this authority; what is revoked already stays as it is.
            days: Days until the successor is due, 1 to `MAX_CRL_DAYS`.
            issuers: SHA-256 of the roots whose CRLs are signed; None for all in service whose keys are in the token.

        Returns:
            The CRL of the IACA root that certifies now, if it is among them, with the others.

        Raises:
            LocalProtocolError: A serial number is not one of this authority's (code ``authority.serial_unknown``), the
                time lies before the last recorded event (code ``authority.clock``), or the successor comes too late.
            DecodeError: A file of the folder is not what was signed.
            SigningError: No root could sign; where some could, `failures` says which could not, and why.
        """
        serials = [*revoke]
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (state, store),
            refusals(store, "crl --revoke" if serials else "crl", at, self._acting(Actor.SIGNER_OPERATOR)),
        ):
            check_crl_days(days)
            now = self._told = at() if callable(at) else at
            with self._current(store, at) as (reader, roots):
                to_revoke = [_of_serial(reader, serial) for serial in serials]
            current = roots.certifying(Role.IACA, now)
            wanted = None if issuers is None else {*issuers}
            signing = [one for one in roots.in_service(now) if wanted is None or _own(one) in wanted]
            # The one that certifies now comes first, and is looked for in the token even if its key is not there.
            signing = [one for one in signing if one.key is not None or one == current]
            signing.sort(key=lambda one: one != current)
            published: list[PublishedCrl] = []
            failures: list[tuple[Certificate, MdlError]] = []
            actor = self._acting(Actor.SIGNER_OPERATOR)
            with self._custody(state) as custody:
                if to_revoke:  # first: it counts from here on, whichever key is there to sign it
                    with store.transaction(at=at, actor=actor) as tx:
                        for one in to_revoke:
                            tx.revoke_certificate(one.certificate.fingerprint)
                for root in signing:
                    try:
                        published.append(
                            self._next_crl(store, custody, root, stem=roots.stem(root), at=at, days=days, actor=actor)
                        )
                    except SigningError as exc:
                        failures.append((root.certificate, exc))
                        if exc.code not in OF_ONE_KEY:  # a PIN that is wrong is not tried again and again
                            break
            if not published:
                if failures:
                    raise failures[0][1]
                message = "no root is in service whose CRL could be signed here"
                raise LocalProtocolError(message, code="authority.no_ca")
            return replace(published[0], others=tuple(published[1:]), failures=tuple(failures))

    def _next_crl(
        self,
        store: Store,
        custody: Custody,
        root: CertificateRecord,
        *,
        stem: str,
        at: datetime | Clock,
        days: int,
        actor: Actor | Acting,
    ) -> PublishedCrl:
        with self._open_root(custody, root) as ca:
            with store.transaction(at=at, actor=actor) as tx:
                number = tx.take_crl_number(_own(root), root.key or "")
                now = self._told = tx.at
                revoked = tx.revoked_serials(_own(root))
            crl = ca.publish_crl(
                [RevokedCertificate(serial=one, revoked_at=since) for one, since in revoked.items()],
                number=number,
                this_update=now,
                next_update=now + timedelta(days=days),
            )
        with store.transaction(at=at, actor=actor) as tx:
            tx.add_crl(crl_record(crl, _own(root)))
            latest = last_crl(tx, root)
        return self._files.write_crl(stem, crl, latest)

    def give_up_root(
        self, serial: int, *, at: datetime | Clock, is_compromised: bool, actor: Actor | Acting | None = None
    ) -> CertificateRecord:
        """Put on record that a root is given up: its key is lost, or somebody else has it.

        From then on nothing is certified under it, its document signers sign no more, and its next CRL is waited for
        no more; the last one stays published. Its status lists go on. What it has certified is valid for readers until
        they drop the root: they and the providers of lists have to be told.

        Args:
            serial: The root's serial number.
            at: The time, aware UTC, or a clock.
            is_compromised: Whether somebody else has the key; otherwise it is only lost.
            actor: Who decides, where this object names nobody.

        Returns:
            The root.

        Raises:
            LocalProtocolError: There is no such root (code ``authority.serial_unknown``), it was given up before
                (``store.final``), or none of its kind would be left (``authority.last_root``): make the next one first.
            SigningError: The store cannot be written.
        """
        who = self._acting(Actor.CEREMONY_OFFICER, actor)
        with (
            lock(self._folder, exclusive=True),
            self._opened() as (_, store),
            refusals(store, "give-up-root", at, who),
            store.transaction(at=at, actor=who) as tx,
        ):
            root = tx.certificate_of_serial(serial)
            if root is None or root.role not in CA_ROLES:
                message = f"no root of this authority has the serial number {serial:x}"
                raise LocalProtocolError(message, code="authority.serial_unknown")
            if root.revoked_at is not None:
                raise LocalProtocolError("this root was given up before", code="store.final")
            left = [one for one in tx.certificates(root.role) if one.revoked_at is None and one != root]
            if root.role is Role.IACA and not any(one.certificate.not_after >= tx.at for one in left):
                message = "no root would be left: make the next one first, with mdl issuer rekey"
                raise LocalProtocolError(message, code="authority.last_root")
            tx.revoke_certificate(_own(root), reason=2 if is_compromised else 5)
            under = {one.certificate.fingerprint for one in tx.certificates() if one.issuer == _own(root)}
            for one in tx.signers(Role.DOCUMENT_SIGNER, state=SignerState.ACTIVE):
                if one.certificate in under:
                    tx.set_signer_state(one.key, SignerState.RETIRED)
            tx.record(Event.ROOT_GIVEN_UP, certificate=_own(root), kind="compromised" if is_compromised else "lost")
            return tx.certificate(_own(root))

    @contextmanager
    def _open_root(self, custody: Custody, root: CertificateRecord) -> Iterator[CertificateAuthority]:
        if root.key is None:
            message = "the key of this root is not in the token of this authority: its ceremony has to sign"
            raise SigningError(message, code="signing.key_missing")
        with custody.open(root.key) as signer:
            if signer.public_key != root.certificate.public_key:
                message = (
                    f"the key '{root.key}' in the token is not that of the root: it is another token, or another root"
                )
                raise SigningError(message, code="signing.wrong_key")
            kind = Iaca if root.role is Role.IACA else CertificateAuthority
            yield kind(root.certificate, signer)


def _of_serial(reader: Reader, serial: int) -> CertificateRecord:
    found = reader.certificate_of_serial(serial)
    if found is None or found.issuer == _own(found):
        message = f"no certificate of this authority but a root's has the serial number {serial:x}"
        if found is None:
            message = f"no document signer of this authority has the serial number {serial:x}"
        raise LocalProtocolError(message, code="authority.serial_unknown")
    return found


def _check_count(reader: Reader, role: Role, expected: int | None) -> None:
    """Refuse to make a key that somebody else has made meanwhile."""
    if expected not in (None, len(reader.signers(role))):
        message = "somebody else made a key for that role meanwhile"
        raise LocalProtocolError(message, code="authority.overtaken")


def _own(record: CertificateRecord) -> bytes:
    return record.certificate.fingerprint


def _root_of(roots: Roots, fingerprint: bytes) -> CertificateRecord:
    for one in roots.certificates:
        if _own(one) == fingerprint and one.issuer == fingerprint:
            return one
    raise LocalProtocolError("the authority has no such root", code="authority.no_ca")


def _end_of(kind: Certified, root: Certificate, start: datetime, days: int | None) -> datetime:
    """When a certificate that starts now ends; it does not outlive the root."""
    longest = longest_life(kind.profile)
    end = min(start + longest, root.not_after) if days is None else start + timedelta(days=days)
    if start < root.not_before or end > root.not_after or end <= start:
        message = f"the {kind.profile.title} would be valid when the root is not: choose fewer days or renew the root"
        raise LocalProtocolError(message, code="authority.signer_outlives_root", clause=kind.profile.clause)
    return end


def _check_requested(
    reader: Reader, asked: CertificateRequest, kind: Certified, root: Certificate, roots: Roots
) -> None:
    key = requested_key(asked, root, profile=kind.profile)
    check_asked_role(asked, kind.role)
    if any(one.public_key == key.spki and one.role is not kind.role for one in reader.signers()):
        message = "the key that the request asks for was made here for another role: a key does one thing"
        raise IssuanceError(message, code="request.role")
    if any(one.certificate.spki == key.spki for one in roots.certificates):
        message = "the key that the request asks for has a certificate of this authority already: a key does one thing"
        raise IssuanceError(message, code="request.key_certified")


def _names(roots: Roots) -> set[str | None]:
    return {one.certificate.subject.common_name for one in roots.certificates}


def _check_name(subject: Subject, roots: Roots) -> None:
    if subject.common_name in _names(roots):
        message = "the root or a document signer has this name already: choose another"
        raise LocalProtocolError(message, code="authority.name_taken", clause="18013-5 Annex B")


def _beside(addresses: Sequence[str], generation: int) -> str:
    """An address for the CRLs of the next root, beside that of the root before."""
    parts = urlsplit(addresses[0]) if addresses else urlsplit("")
    stem, dot, ending = parts.path.rpartition(".")
    if parts.query or parts.fragment or not dot or "/" in ending or stem.endswith("/"):
        message = "name the address at which the CRLs of the next root will be found"
        raise LocalProtocolError(message, code="authority.crl_uri")
    stem = re.sub(rf"-{generation - 1}\Z", "", stem) if generation > 2 else stem
    return urlunsplit(parts._replace(path=f"{stem}-{generation}.{ending}"))

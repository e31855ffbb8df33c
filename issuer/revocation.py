"""Revocation, from the record to the signed evidence.

    record   a certificate or credentials are revoked in the store: from here on it counts, and there is no way back
    sign     the CRL of the root, and the lists in which the credentials have their places
    publish  `issuer.publishing`

The steps fail one by one: what was recorded and could not be signed is signed by the next `sign_due`, whoever calls it.

Who watches a list sees which of its bits change together, and when: with all copies of one licence revoked at once, and
published at once, they can be told to be one person's. Recording now and signing at fixed times mixes many people.

Spec:
    18013-5 first edition B.3 (CRL within 48 hours); 18013-5 second edition (draft) 12.3.6; pki.md §4, §7; online.md
    §4.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from issuer.audit import Acting, Actor
from issuer.authority import Authority
from issuer.operations import is_allowed, permitted, refusals
from issuer.policy import IssuancePolicy
from issuer.signers import Roots, active_signer
from issuer.status import ListSigner, ListTerms, SignedList, due_lists, is_ended
from issuer.store import (
    CertificateRecord,
    Clock,
    CredentialState,
    CrlRecord,
    Reader,
    Role,
    SignerState,
    StatusPlan,
    Store,
    Transaction,
)
from mdl.errors import LocalProtocolError, MdlError
from mdl.pki import Certificate, Crl

__all__ = [
    "MAX_REFERENCES",
    "REASONS",
    "Evidence",
    "Revoked",
    "SignedCrl",
    "due_crls",
    "revoke_all_of",
    "revoke_certificate",
    "revoke_credential",
    "revoke_credentials",
    "sign_due",
]

REASONS: Final[Mapping[str, int]] = MappingProxyType({
    "unspecified": 0, "key-compromise": 1, "ca-compromise": 2, "affiliation-changed": 3, "superseded": 4,
    "cessation-of-operation": 5, "privilege-withdrawn": 9,
})  # fmt: skip
"""Why something is revoked, by the names and numbers of RFC 5280 5.3.1: kept in the store and the log, and not in CRLs,
whose entries have no extensions. Nothing is put on hold: revocation is final."""

MAX_REFERENCES: Final = 100_000
"""How many references may be named at once: others wait for the store as long as they are recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """What was recorded as revoked.

    Attributes:
        at: When.
        certificate: The certificate that was revoked, or whose credentials were; None where credentials were named.
        is_certificate_revoked: Whether the certificate itself was revoked now.
        references: How many credentials were named, each counted once; 0 where a certificate was.
        credentials: How many credentials were revoked now; what was revoked before is not counted.
        without_place: How many of the credentials that were meant have no place in any list: no reader can see that
            they are revoked.
        valid_until: Until when the certificate is valid, or the last of the credentials: of those without a place where
            there are any. Nobody needs the revocation after.
    """

    at: datetime
    certificate: Certificate | None = None
    is_certificate_revoked: bool = False
    references: int = 0
    credentials: int = 0
    without_place: int = 0
    valid_until: datetime


def revoke_credential(
    store: Store, reference: bytes, *, at: Clock, actor: Actor | Acting | None = None, reason: int = 0
) -> Revoked:
    """Record that a credential is revoked.

    Args:
        store: The store.
        reference: The credential's reference, 16 bytes.
        at: The clock.
        actor: Who does it, where the store was opened for nobody who is named; None for the signers' operator, assumed.
        reason: Why, one of `REASONS`.

    Raises:
        LocalProtocolError: No such credential was issued (code ``store.unknown``), or the clock went back.
        SigningError: The store cannot be written.
    """
    return revoke_credentials(store, [reference], at=at, actor=actor, reason=reason)


def revoke_credentials(
    store: Store, references: Sequence[bytes], *, at: Clock, actor: Actor | Acting | None = None, reason: int = 0
) -> Revoked:
    """Record that several credentials are revoked: all of them or none, each with a record of its own in the log.

    They are recorded at one moment, so that `sign_due` signs each list in which they have their places once. Whoever is
    stopped between the two calls again, or lets the timer do the rest: what was revoked before is no error.

    Args:
        store: The store.
        references: The credentials' references, 16 bytes each, `MAX_REFERENCES` at most; one named twice counts once.
        at: The clock.
        actor: Who does it, where the store was opened for nobody who is named; None for the signers' operator, assumed.
        reason: Why, one of `REASONS`.

    Raises:
        LocalProtocolError: One of them was not issued: nothing is revoked (code ``store.unknown``; `places` has the
            indices of all such references). They are none or too many (code ``revocation.references``), or the clock
            went back.
        SigningError: The store cannot be written.
    """
    if not 1 <= len(references) <= MAX_REFERENCES:
        message = f"1 to {MAX_REFERENCES} references are revoked at once, and not {len(references)}"
        raise LocalProtocolError(message, code="revocation.references")

    def record(tx: Transaction) -> Revoked:
        found = tx.revoke_each(references, reason=reason)
        signed = {one.list_id for one in tx.status_lists() if one.retired_at is None}
        unseen = [one for one in found if one.place is None or one.place.list_id not in signed]
        return Revoked(
            at=tx.at,
            references=len(found),
            credentials=sum(one.state is CredentialState.ISSUED for one in found),
            without_place=len(unseen),
            valid_until=max(one.valid_until for one in unseen or found),
        )

    return _recorded(store, "revoke", record, at=at, actor=actor, reason=reason)


def revoke_certificate(
    store: Store, serial: int, *, at: Clock, actor: Actor | Acting | None = None, reason: int = 0
) -> Revoked:
    """Record that a certificate under one of the authority's roots is revoked.

    Args:
        store: The store.
        serial: Its serial number.
        at: The clock.
        actor: Who does it, where the store was opened for nobody who is named; None for the signers' operator, assumed.
        reason: Why, one of `REASONS`.

    Raises:
        LocalProtocolError: There is no such certificate, or it is a root's (code ``authority.serial_unknown``).
        SigningError: The store cannot be written.
    """

    def record(tx: Transaction) -> Revoked:
        found = _of_serial(tx, serial)
        certificate = found.certificate
        is_new = tx.revoke_certificate(certificate.fingerprint, reason=reason)
        return Revoked(
            at=tx.at, certificate=certificate, is_certificate_revoked=is_new, valid_until=certificate.not_after
        )

    return _recorded(store, "revoke --certificate", record, at=at, actor=actor, reason=reason)


def revoke_all_of(
    store: Store, serial: int, *, at: Clock, actor: Actor | Acting | None = None, reason: int = 0
) -> Revoked:
    """Record that every credential of a document signer is revoked; its certificate stays as it is.

    Args:
        store: The store.
        serial: The serial number of the document signer's certificate.
        at: The clock.
        actor: Who does it, where the store was opened for nobody who is named; None for the signers' operator, assumed.
        reason: Why, one of `REASONS`.

    Raises:
        LocalProtocolError: There is no such document signer (code ``authority.serial_unknown``).
        SigningError: The store cannot be written.
    """

    def record(tx: Transaction) -> Revoked:
        found = _of_serial(tx, serial)
        if found.role is not Role.DOCUMENT_SIGNER:
            message = "this certificate is no document signer's: it has issued no credentials"
            raise LocalProtocolError(message, code="authority.serial_unknown")
        signer = found.certificate.fingerprint
        return Revoked(
            at=tx.at,
            certificate=found.certificate,
            credentials=tx.revoke_credentials(signer=signer, reason=reason),
            without_place=tx.count_without_place(signer),
            valid_until=found.certificate.not_after,
        )

    return _recorded(store, "revoke", record, at=at, actor=actor, reason=reason)


def _recorded(
    store: Store,
    operation: str,
    record: Callable[[Transaction], Revoked],
    *,
    at: Clock,
    actor: Actor | Acting | None,
    reason: int,
) -> Revoked:
    if reason not in REASONS.values():
        msg = "no reason for which something is revoked for good"
        raise ValueError(msg)
    who = Acting(actor) if isinstance(actor, Actor) else actor or Actor.SIGNER_OPERATOR
    with refusals(store, operation, at, who), store.transaction(at=at, actor=who) as tx:
        return record(tx)


def _of_serial(reader: Reader, serial: int) -> CertificateRecord:
    found = reader.certificate_of_serial(serial)
    if found is None or found.issuer == found.certificate.fingerprint:
        message = f"no certificate of this authority but a root's has the serial number {serial:x}"
        if found is None:
            message = f"no certificate of this authority has the serial number {serial:x}"
        raise LocalProtocolError(message, code="authority.serial_unknown")
    return found


# --- signing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCrl:
    """A CRL that was signed and recorded.

    Attributes:
        record: The CRL.
        root: The root that signed it.
        before: Until when a reader may go by the CRL before, if it has it; None if there was none.
    """

    record: CrlRecord
    root: Certificate
    before: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was signed, and what could not be.

    Attributes:
        crls: The CRLs.
        lists: The lists.
        waiting: Roots whose next CRL is due, and whose keys are not in this authority's token, or not for this role.
        failures: Why something that is due was not signed.
    """

    crls: tuple[SignedCrl, ...] = ()
    lists: tuple[SignedList, ...] = ()
    waiting: tuple[Certificate, ...] = ()
    failures: tuple[MdlError, ...] = ()


def due_crls(reader: Reader, *, at: datetime) -> tuple[CertificateRecord, ...]:
    """The roots whose next CRL is to be signed.

    Something was revoked since the last, half of its time has passed, or a number was taken and nothing signed with it.

    Args:
        reader: The store.
        at: The time, aware UTC.
    """
    roots = Roots(reader)
    found = []
    for root in roots.in_service(at):
        fingerprint = root.certificate.fingerprint
        last = reader.last_crl(fingerprint)
        ended = {one.certificate.serial for one in roots.certificates if one.certificate.not_after < at}
        revoked = reader.revoked_serials(fingerprint).keys() - ended
        if (
            last is None
            or (root.key is not None and reader.taken_crl_number(fingerprint) > last.number)
            or at < last.this_update  # signed with a clock that was ahead
            or at >= last.this_update + (last.next_update - last.this_update) / 2
            or not revoked <= Crl.decode(last.der).revoked.keys()
        ):
            found.append(root)
    return tuple(found)


def sign_due(
    authority: Authority,
    *,
    at: Clock,
    terms: ListTerms | None = None,
    crl_days: int = 30,
    all_lists: bool = False,
    plan: StatusPlan | None = None,
) -> Evidence:
    """Sign the CRLs and lists that are due; lists are opened ahead, so that they are signed before they are needed.

    A list is opened for each root that has document signers, by each plan that is in use: the first one, and the next
    one where the last is nearly given out.

    Args:
        authority: The authority.
        at: The clock.
        terms: How long a signed list is good; None for the usual.
        crl_days: Days until a CRL's successor is due.
        all_lists: Sign every list that is needed, due or not.
        plan: A plan that will be in use; None for those that are.

    Returns:
        What was signed. What failed is told there and not raised: one key that cannot be had keeps no other from
        signing.

    Raises:
        DecodeError: The store is damaged.
        SigningError: The store cannot be reached.
        LocalProtocolError: No list can be published at the plan's addresses (codes ``publish.…``).
        IssuanceError: The policy does not allow them (code ``policy.address``).
    """
    failures: list[MdlError] = []
    crls: list[SignedCrl] = []
    lists: list[SignedList] = []
    with authority.open_store() as store:
        now = at()
        may_sign = is_allowed(store, "crl", at, Actor.ISSUING_SERVICE)
        with store.reading() as reader:
            if plan is not None:
                IssuancePolicy.of_store(reader).check_status_plan(plan.uri)
            due = due_crls(reader, at=now)
            before = {one.certificate.fingerprint: reader.last_crl(one.certificate.fingerprint) for one in due}
        for root in due:
            if root.key is None or not may_sign:
                continue
            issuer = root.certificate.fingerprint
            try:
                authority.publish_crl(at=at, days=crl_days, issuers=[issuer])
            except MdlError as exc:
                failures.append(exc)
                continue
            with store.reading() as reader:
                record, last = reader.last_crl(issuer), before[issuer]
            if record is not None:
                valid = None if last is None else last.next_update
                crls.append(SignedCrl(record=record, root=root.certificate, before=valid))
        for ca in _roots_with_lists(store, at, plan, failures):
            try:
                for signed in _sign_lists(authority, store, ca, at=at, terms=terms or ListTerms(), all_lists=all_lists):
                    lists.append(signed)  # noqa: PERF402 - what was signed before a failure is told too
            except MdlError as exc:
                failures.append(exc)
    return Evidence(
        crls=tuple(crls),
        lists=tuple(lists),
        waiting=tuple(one.certificate for one in due if one.key is None or not may_sign),
        failures=tuple(failures),
    )


def _roots_with_lists(store: Store, at: Clock, plan: StatusPlan | None, failures: list[MdlError]) -> list[Certificate]:
    """The roots that have lists, once each root under which somebody issues has one with places left, by each plan."""
    now = at()
    with store.reading() as reader:
        plans = dict.fromkeys(known for known, _ in reader.status_plans())
        certificates = {one.certificate.fingerprint: one for one in reader.certificates()}
        active = [one.certificate for one in reader.signers(Role.DOCUMENT_SIGNER, state=SignerState.ACTIVE)]
    if not is_allowed(store, "sign-lists", at, Actor.ISSUING_SERVICE):
        active = []  # what is due is told where it would be signed
    signers = [certificates[one] for one in active if one is not None]
    issuing = dict.fromkeys(one.issuer for one in signers if one.certificate.not_after >= now)
    for wanted in plans if plan is None else plans | {plan: None}:
        for issuer in issuing:
            try:
                with (
                    permitted(store, "sign-lists", at, Actor.ISSUING_SERVICE),
                    store.transaction(at=at, actor=Actor.ISSUING_SERVICE) as tx,
                ):
                    tx.prepare_list(wanted, issuer=issuer)
            except LocalProtocolError as exc:
                if wanted == plan:
                    raise
                failures.append(exc)
    with store.reading() as reader:
        issuers = dict.fromkeys(issuer for _, issuer in reader.status_plans())
    return [certificates[issuer].certificate for issuer in issuers if issuer in certificates]


def _sign_lists(
    authority: Authority, store: Store, root: Certificate, *, at: Clock, terms: ListTerms, all_lists: bool
) -> Iterator[SignedList]:
    now, issuer = at(), root.fingerprint
    with store.reading() as reader:
        if not any(one.issuer == issuer and not is_ended(reader, one, now) for one in reader.status_lists()):
            return
        chosen = active_signer(reader, Role.STATUS_SIGNER, at=now, issuer=issuer)
        if not all_lists and not due_lists(
            reader, certificate=chosen.record.certificate, root=root, at=now, terms=terms
        ):
            return
    with authority.open_signer(Role.STATUS_SIGNER, at=at, issuer=root.fingerprint) as (signer, certificate):
        with store.reading() as reader:
            known = reader.certificate(certificate.fingerprint)
        ours = ListSigner(store, signer, certificate, key=known.key or "", root=root, at=at, terms=terms)
        for record, why in ours.due(all_lists=all_lists).items():
            yield ours.sign(record, why)

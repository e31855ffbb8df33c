"""The status lists of the store, signed: what a reader asks for when a security object names a place in one.

A list is signed when its content changed, when readers are about to look for a newer copy, or when another key signs
from now on. Its revision is taken, and its content read, in one transaction; it is signed outside of any; it is held
against all that a reader will ask of it; and only then is it recorded. So of two processes the one with the higher
revision has the newer content, and a crash leaves a gap in the revisions.

Readers see a list as a whole, never a credential: a list has places of many people in no order, and where it was opened
with decoys some of them are shown with every revocation, so that the number of revoked credentials does not tell.

Spec:
    18013-5 second edition (draft) 12.3.6 and Table B.9; Token Status List (draft); pki.md §7.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from issuer.audit import Actor
from issuer.operations import permitted
from issuer.store import Clock, Reader, Role, SignerState, StatusListRecord, Store, Transaction
from mdl.errors import LocalProtocolError, MdlError, ProfileError, SigningError, VerificationError
from mdl.keys import Signer
from mdl.pki import REVOCATION_LIST_SIGNER, Certificate, Severity, lint_certificate
from mdl.status import IdentifierList, ListKind, StatusList, StatusToken, build_status_token

__all__ = [
    "Due",
    "ListSigner",
    "ListTerms",
    "SignedList",
    "check_status_token",
    "due_lists",
    "is_ended",
    "lacks_revocation",
    "require_list_signer",
    "shown_places",
]

_CLAUSE: Final = "18013-5 second edition (draft) 12.3.6"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTerms:
    """How long a signed list is good.

    Attributes:
        life: From ``iat`` to ``exp``. A reader refuses to use the list from then on.
        ttl: How long a reader keeps a copy before it looks for a newer one: a revocation is seen at the latest so long
            after it is published. Lists are signed anew when half of it has passed.
    """

    life: timedelta = timedelta(days=3)
    ttl: timedelta = timedelta(hours=12)

    def __post_init__(self) -> None:
        if not timedelta(minutes=1) <= self.ttl <= self.life or self.life > timedelta(days=90):
            msg = "a copy of a list is kept for a minute at least, and no longer than the list lives: 90 days at most"
            raise ValueError(msg)


class Due(StrEnum):
    """Why a list is signed."""

    NEW = "new"
    """It never was."""
    CHANGED = "changed"
    """Something was revoked since."""
    AGE = "age"
    """Half of the time has passed for which readers keep a copy."""
    SIGNER = "signer"
    """The last one was signed with another key."""
    SKIPPED = "skipped"
    """Revisions were taken since and nothing was signed with them: a signing failed, or the store was restored."""
    ASKED = "asked"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedList:
    """A list that was signed and recorded.

    Attributes:
        list_id: Its id in the store.
        uri: Where readers look for it.
        kind: Which kind.
        revision: Which of its tokens; it only grows.
        due: Why it was signed.
        token: The token.
        issued_at: ``iat``.
        expires_at: ``exp``.
        ttl: How long a reader keeps a copy.
        before: Until when a reader may go by the token before, if it has it; None if there was none.
    """

    list_id: str
    uri: str
    kind: ListKind
    revision: int
    due: Due
    token: bytes = field(repr=False)
    issued_at: datetime
    expires_at: datetime
    ttl: timedelta
    before: datetime | None


class ListSigner:
    """Signs the lists of one root with the key of its revocation-list signer."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        certificate: Certificate,
        *,
        key: str,
        root: Certificate,
        at: Clock,
        terms: ListTerms | None = None,
    ) -> None:
        """Bind a revocation-list signer to the store.

        Args:
            store: The store, which knows the key.
            signer: Holds the key.
            certificate: Its certificate.
            key: Its label.
            root: The root that issued the certificate, and the document signers whose credentials the lists are for.
            at: The clock.
            terms: How long a signed list is good; None for three days, to be looked at twice a day.

        Raises:
            SigningError: The custodian holds another key (code ``signing.wrong_key``).
            ProfileError: The certificate is no revocation-list signer's under this root (code ``status.signer``).
        """
        if signer.public_key != certificate.public_key:
            message = "the signer does not hold the key of the revocation-list signer's certificate"
            raise SigningError(message, code="signing.wrong_key")
        require_list_signer(certificate, root)
        self._store = store
        self._signer = signer
        self._certificate = certificate
        self._key = key
        self._root = root
        self._clock = at
        self._terms = terms or ListTerms()

    def due(self, *, all_lists: bool = False) -> dict[StatusListRecord, Due]:
        """What is to be signed now, and why.

        Args:
            all_lists: Every list that is still needed, whether it is due or not.
        """
        now = self._clock()
        with self._store.reading() as reader:
            due = due_lists(reader, certificate=self._certificate, root=self._root, at=now, terms=self._terms)
            if all_lists:
                ours = [one for one in reader.status_lists() if one.issuer == self._root.fingerprint]
                due |= {one: Due.ASKED for one in ours if one not in due and not is_ended(reader, one, now)}
        return due

    def sign_due(self, *, all_lists: bool = False) -> tuple[SignedList, ...]:
        """Sign what is to be signed now.

        Args:
            all_lists: Sign every list that is still needed, whether it is due or not.

        Raises:
            LocalProtocolError, ProfileError, SigningError: See `sign`; what was signed before stays signed.
        """
        return tuple(self.sign(record, why) for record, why in self.due(all_lists=all_lists).items())

    def sign(self, record: StatusListRecord, due: Due = Due.ASKED) -> SignedList:
        """Sign a list as it is now.

        Args:
            record: The list.
            due: Why.

        Raises:
            ProfileError: The revocation-list signer's certificate is not valid now (code ``status.signer``).
            LocalProtocolError: Its key may not be used (code ``store.signer_state``), the list is another root's
                (``status.root``), or the clock went back (``authority.clock``).
            SigningError: The custodian or the store failed, or what was signed is not what a reader accepts (code
                ``status.unusable``); nothing was recorded but that the key was used.
        """
        with permitted(self._store, "sign-lists", self._clock, Actor.ISSUING_SERVICE):
            return self._sign(record, due)

    def _sign(self, record: StatusListRecord, due: Due) -> SignedList:
        if record.issuer != self._root.fingerprint:
            message = "the list is for credentials under another root: its revocation-list signer has to sign it"
            raise LocalProtocolError(message, code="status.root", clause=_CLAUSE)
        with self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            state = tx.signer(self._key).state
            if state is not SignerState.ACTIVE:
                message = f"not signed: the revocation-list signer's key is {state.value}"
                raise LocalProtocolError(message, code="store.signer_state")
            now = tx.at
            if not self._certificate.not_before <= now < self._certificate.not_after:
                message = "not signed: the revocation-list signer's certificate is not valid now"
                raise ProfileError(message, code="status.signer", clause=_CLAUSE)
            _show_decoys(tx, record)
            told = _told(tx, record)
            last = tx.signed_list(record.list_id)
            revision = tx.take_revision(record.list_id, self._key)
        content = _content(record, told)
        expires = min(now + self._terms.life, self._certificate.not_after)
        ttl = min(self._terms.ttl, expires - now)
        token = build_status_token(
            content,
            self._signer,
            uri=record.uri,
            issued_at=now,
            expires=expires,
            ttl=ttl,
            x5chain=[self._certificate.der],
        )
        self._check(token, record, content)
        with self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            tx.add_signed_list(record.list_id, revision, token, issued_at=now, expires_at=expires)
        return SignedList(
            list_id=record.list_id,
            uri=record.uri,
            kind=record.kind,
            revision=revision,
            due=due,
            token=token,
            issued_at=now,
            expires_at=expires,
            ttl=ttl,
            before=None if last is None else last[3],
        )

    def _check(self, token: bytes, record: StatusListRecord, content: StatusList | IdentifierList) -> None:
        try:
            read = check_status_token(token, uri=record.uri, kind=record.kind, root=self._root)
            same = read.decode_list() == content
        except MdlError as exc:
            message = "the list that was signed is not one that a reader accepts: it is not published"
            raise SigningError(message, code="status.unusable") from exc
        if not same:
            raise SigningError("the list that was signed does not read as it was meant", code="status.unusable")


def due_lists(
    reader: Reader, *, certificate: Certificate, root: Certificate, at: datetime, terms: ListTerms
) -> dict[StatusListRecord, Due]:
    """The lists of a root that are to be signed, and why.

    Args:
        reader: The store.
        certificate: The certificate of the revocation-list signer that would sign them.
        root: The root.
        at: The time, aware UTC.
        terms: How long a signed list is good.
    """
    found = {}
    for record in reader.status_lists():
        if record.issuer == root.fingerprint:
            why = _why(reader, record, certificate, at, terms)
            if why is not None:
                found[record] = why
    return found


def _why(
    reader: Reader, record: StatusListRecord, certificate: Certificate, at: datetime, terms: ListTerms
) -> Due | None:
    last = reader.signed_list(record.list_id)
    if record.retired_at is not None:
        return None
    if last is None:
        return Due.NEW
    if is_ended(reader, record, at):
        return None
    revision, data, issued_at, expires_at = last
    if record.revision > revision:
        return Due.SKIPPED
    token = StatusToken.decode(data)
    if token.decode_list() != _content(record, _told(reader, record)):
        return Due.CHANGED
    if token.x5chain != (certificate.der,):
        return Due.SIGNER
    # One that was signed with a clock that was ahead is older than it says.
    return Due.AGE if at < issued_at or at >= issued_at + min(terms.ttl, expires_at - issued_at) / 2 else None


def is_ended(reader: Reader, record: StatusListRecord, now: datetime) -> bool:
    """Whether a list gives out no more places, and every credential that has one has expired.

    It gives out none when it is full, or when every document signer of its root has expired. One that was retired has
    ended, whoever still needs it.
    """
    if record.retired_at is not None:
        return True
    if record.used < record.limit and any(
        one.issuer == record.issuer and one.certificate.not_after >= now
        for one in reader.certificates(Role.DOCUMENT_SIGNER)
    ):
        return False
    end = reader.list_needed_until(record.list_id)
    return end is None or end < now


def _told(reader: Reader, record: StatusListRecord) -> list[int] | list[bytes]:
    """What a list tells of: indices or identifiers."""
    if record.kind is ListKind.STATUS_LIST:
        return reader.revoked_indices(record.list_id)
    return reader.revoked_identifiers(record.list_id)


def _content(record: StatusListRecord, told: list[int] | list[bytes]) -> StatusList | IdentifierList:
    if record.kind is ListKind.IDENTIFIER_LIST:
        return IdentifierList(identifiers=frozenset(one for one in told if isinstance(one, bytes)))
    statuses = dict.fromkeys((one for one in told if isinstance(one, int)), 1)
    return StatusList.of(record.size, statuses, bits=record.bits)


def _show_decoys(tx: Transaction, record: StatusListRecord) -> None:
    """With so many revocations, show about as many decoys."""
    last = tx.signed_list(record.list_id)
    if record.kind is not ListKind.STATUS_LIST:
        return
    content = None if last is None else StatusToken.decode(last[1]).decode_list()
    shown = int.from_bytes(content.packed).bit_count() if isinstance(content, StatusList) else 0
    fresh = len(tx.revoked_indices(record.list_id)) - shown
    if fresh > 0:
        tx.show_decoys(record.list_id, secrets.randbelow(2 * fresh + 1))


def lacks_revocation(reader: Reader, record: StatusListRecord, token: bytes) -> bool:
    """Whether a list's token does not show something that is revoked."""
    told = _told(reader, record)
    if not told:
        return False
    try:
        content = StatusToken.decode(token).decode_list()
    except MdlError:
        return True
    if isinstance(content, IdentifierList):
        return not content.identifiers.issuperset(one for one in told if isinstance(one, bytes))
    return any(index >= len(content) or not content.status(index) for index in told if isinstance(index, int))


def shown_places(content: StatusList | IdentifierList) -> Iterator[int | bytes]:
    """The places that a list shows as not valid: indices or identifiers."""
    if isinstance(content, IdentifierList):
        yield from content.identifiers
        return
    for position, byte in enumerate(content.packed):
        if byte:
            first = position * 8 // content.bits
            yield from (index for index in range(first, first + 8 // content.bits) if content.status(index))


# --- what a list must be ----------------------------------------------------------------------------------------------


def require_list_signer(certificate: Certificate, root: Certificate) -> None:
    """Refuse what is no certificate of a revocation-list signer under this root.

    Raises:
        ProfileError: It breaks the profile, or another root issued it (code ``status.signer``; see ``findings``).

    Spec:
        18013-5 second edition (draft) Table B.9; pki.md §2.8, §7.2. The root's own key signs it.
    """
    findings = lint_certificate(certificate, REVOCATION_LIST_SIGNER, issuer=root)
    grave = tuple(one for one in findings if one.security or one.severity is Severity.ERROR)
    if grave:
        raise ProfileError(
            f"this is no revocation-list signer of this root: {grave[0]}",
            code="status.signer",
            clause=grave[0].clause,
            findings=grave,
        )
    if certificate.issuer != root.subject:
        raise ProfileError("another root issued the revocation-list signer", code="status.signer", clause=_CLAUSE)


def check_status_token(data: bytes, *, uri: str, kind: ListKind, root: Certificate) -> StatusToken:
    """Hold a list against what a reader asks of it, but for the time.

    Args:
        data: The token.
        uri: Where it is found.
        kind: Which kind of list.
        root: The root that issued the document signers.

    Raises:
        DecodeError: It is no token, or its list is none.
        VerificationError: It is for another address or of another kind, deviates from the draft, does not expire, or
            is not signed by a revocation-list signer of the root (codes ``status.…``, ``signature.…``).
        ProfileError: Its signer's certificate breaks its profile (code ``status.signer``).
    """
    token = StatusToken.decode(data)
    for wrong, what, code in (
        (token.subject != uri, "the list is for another address", "status.sub"),
        (token.kind is not kind, "the list is of another kind", "status.typ"),
        (bool(token.deviations), "the list deviates from the draft", "status.typ"),
        (token.expires is None, "the list does not say when it expires", "status.exp"),
        (len(token.x5chain) != 1, "the list does not carry its signer's certificate, and that alone", "status.x5chain"),
    ):
        if wrong:
            raise VerificationError(what, code=code, clause=_CLAUSE)
    certificate = Certificate.decode(token.x5chain[0])
    token.message.verify(certificate.public_key)
    require_list_signer(certificate, root)
    token.decode_list()
    return token

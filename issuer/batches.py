"""Credentials that are remembered: reserved in the store, signed, and recorded before anybody gets them.

    reserve   references and places in status lists are taken, and the log says that the key is about to be used
    sign      outside of any transaction, so that hosts and processes sign side by side
    record    the batch counts as issued; only then is it handed out

A crash before the last step leaves reservations that nobody has; a repeated order takes them over. One behind it loses
nothing: the store knows every credential that may be out there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Final, TypeAlias

from issuer.audit import Actor
from issuer.issuance import CredentialIssuer, Order, order_violation, refuse_order
from issuer.policy import IssuancePolicy
from issuer.store import Batch, Clock, CredentialRecord, Reader, Reservation, StatusPlan, Store
from mdl.errors import IssuanceError, MdlError, SigningError, VerificationError
from mdl.keys import signatures_of
from mdl.mdoc import IssuerSigned
from mdl.pki import Certificate

__all__ = ["BatchIssuer", "BatchResult", "BoundSigner", "IssuedCredential", "RefusedOrder", "SignMany", "check_orders"]

_PROBE: Final = b"mdl-sdk: does this key sign?\0"
_PROVED_SECONDS: Final = 60.0
"""So long after a signature the key is taken to be still there."""

SignMany: TypeAlias = Callable[[list[bytes]], list[bytes]]
"""Signs a list of messages with the document signer's key, in order; see `issuer.keystore`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCredential:
    """What came of an order.

    Attributes:
        record: What the store remembers, first of all the reference.
        credential: The credential; None if the order had been carried out before. It is kept nowhere.
    """

    record: CredentialRecord
    credential: IssuerSigned | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedOrder:
    """An order that may not be carried out.

    Attributes:
        index: Its index among the orders, from 0 on.
        order_key: Its order key, or None.
        error: Why; ``error.violations`` has everything that is wrong with it.
    """

    index: int
    order_key: str | None = field(repr=False)
    error: IssuanceError


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """What came of orders of which some may not be carried out.

    Attributes:
        issued: What came of the others, by the index of the order.
        refused: Those that were refused.
    """

    issued: dict[int, IssuedCredential]
    refused: tuple[RefusedOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundSigner:
    """A document signer that is ready for use.

    Attributes:
        issuer: Builds credentials under it.
        key: Label of its key.
        sign_many: Signs with that key.
    """

    issuer: CredentialIssuer
    key: str
    sign_many: SignMany


class BatchIssuer:
    """Issues credentials, each batch under one document signer, and records them."""

    def __init__(
        self,
        store: Store,
        issuer: CredentialIssuer,
        *,
        key: str,
        sign_many: SignMany,
        at: Clock,
        plan: StatusPlan | None = None,
        status_certificate: bytes | None = None,
        following: Callable[[Sequence[Order]], BoundSigner | None] | None = None,
        policy: Callable[[], IssuancePolicy] = IssuancePolicy,
        time_zone: tzinfo | None = None,
    ) -> None:
        """Bind an issuer to the store.

        Args:
            store: The store, which knows the document signer.
            issuer: Builds the credentials.
            key: Label of the document signer's key.
            sign_many: Signs with that key.
            at: The clock.
            plan: Where the status of the credentials will be told, but for orders that have a `status` of their own;
                None for nowhere else.
            status_certificate: DER of the certificate by whose key the lists' chain is signed, or None for the root.
            following: Asked before each batch which document signer is to sign it; None as its answer keeps the one
                before, and None here keeps `issuer` for good.
            policy: Asked before each batch what the authority allows.
            time_zone: Where the authority's days begin, if the policy names none.
        """
        self._store = store
        self._signer = BoundSigner(issuer=issuer, key=key, sign_many=sign_many)
        self._following = following
        self._policy = policy
        self._time_zone = time_zone
        self._clock = at
        self._plan = plan
        self._status_certificate = status_certificate
        self._proved: float | None = time.monotonic()
        # When the key signed last, by the monotonic clock; None after it failed to.

    @property
    def certificate(self) -> Certificate:
        """The certificate of the document signer that signed the last batch, or will sign the first."""
        return self._signer.issuer.certificate

    def issue(self, order: Order, *, order_key: str | None = None) -> IssuerSigned:
        """Issue one credential.

        Args:
            order: The order.
            order_key: What tells a repeated order from a new one; see `issuer.store.Reservation`.

        Raises:
            IssuanceError: The order may not be issued, or was carried out before (code ``issuance.repeated``).
            SigningError: The custodian or the store failed; nothing was issued.
        """
        (issued,) = self.issue_batch([order], order_keys=[order_key])
        if issued.credential is None:
            message = "not issued: this order was carried out before"
            raise IssuanceError(message, code="issuance.repeated")
        return issued.credential

    def issue_batch(
        self, orders: Sequence[Order], *, order_keys: Sequence[str | None] | None = None
    ) -> list[IssuedCredential]:
        """Issue credentials: all of them, or none.

        Args:
            orders: The orders; some hundred at once are quickest.
            order_keys: What tells repeated orders from new ones, one for each order; None for no such thing. A key
                stands for one order: device key, document type, elements and validity as it was asked for.

        Returns:
            What came of each order.

        Raises:
            IssuanceError: An order may not be issued (``places`` has the index of each that may not), an order key was
                given for another order (code ``store.order_conflict``), another process took one over, or the document
                signer was revoked meanwhile; nothing was issued.
            SigningError: The custodian or the store failed; nothing was issued.
            LocalProtocolError: The clock went back (code ``authority.clock``), or an order is there twice.
        """
        with self._permitted():
            return self._issue_all(orders, _keys_of(orders, order_keys))

    def _issue_all(self, orders: Sequence[Order], keys: Sequence[str | None]) -> list[IssuedCredential]:
        signer = self._choose(orders)
        refused = self._refused(orders, keys, signer)
        if refused:
            error = refused[0].error
            if len(orders) > 1:
                error = refuse_order(error.violations, places=tuple(one.index for one in refused))
            raise error
        return self._issue(orders, keys, signer)

    def issue_good(self, orders: Sequence[Order], *, order_keys: Sequence[str | None] | None = None) -> BatchResult:
        """Issue credentials for those orders that may be carried out; the others are refused one by one.

        Args:
            orders: The orders.
            order_keys: As for `issue_batch`.

        Raises:
            IssuanceError: As from `issue_batch`, but for an order that may not be issued.
            SigningError: As there.
            LocalProtocolError: As there.
        """
        with self._permitted():
            return self._issue_some(orders, _keys_of(orders, order_keys))

    def _issue_some(self, orders: Sequence[Order], keys: Sequence[str | None]) -> BatchResult:
        signer = self._choose(orders)
        refused = self._refused(orders, keys, signer)
        while True:
            bad = {one.index for one in refused}
            good = [index for index in range(len(orders)) if index not in bad]
            if not good:
                return BatchResult(issued={}, refused=refused)
            try:
                issued = self._issue([orders[index] for index in good], [keys[index] for index in good], signer)
            except IssuanceError as exc:
                if not exc.places:
                    raise
                places = [good[place] for place in exc.places]
                more = [RefusedOrder(index=one, order_key=keys[one], error=exc) for one in places]
                refused = tuple(sorted((*refused, *more), key=lambda one: one.index))
            else:
                return BatchResult(issued=dict(zip(good, issued, strict=True)), refused=refused)

    def check(
        self, orders: Sequence[Order], *, order_keys: Sequence[str | None] | None = None
    ) -> tuple[RefusedOrder, ...]:
        """Tell which orders would be refused, and why, as things are now. Nothing is issued and nothing is recorded."""
        return self._find_bad(orders, _keys_of(orders, order_keys), self._choose(orders))

    def _find_bad(
        self, orders: Sequence[Order], keys: Sequence[str | None], signer: BoundSigner
    ) -> tuple[RefusedOrder, ...]:
        policy = self._policy()
        with self._store.reading() as reader:
            return check_orders(
                reader,
                signer.issuer,
                orders,
                keys,
                policy=policy,
                clock=self._clock,
                time_zone=self._time_zone,
                has_plan=self._plan is not None,
            )

    def _refused(
        self, orders: Sequence[Order], keys: Sequence[str | None], signer: BoundSigner
    ) -> tuple[RefusedOrder, ...]:
        """The bad orders, put on record."""
        refused = self._find_bad(orders, keys, signer)
        for one in refused:
            self._refuse(one.error, signer)
        return refused

    def _issue(
        self, orders: Sequence[Order], keys: Sequence[str | None], signer: BoundSigner
    ) -> list[IssuedCredential]:
        """Reserve, sign and record orders that have been checked."""
        self._prove(signer)
        doctype = signer.issuer.doctype
        wanted = [
            Reservation(
                valid_from=order.validity.valid_from,
                valid_until=order.validity.valid_until,
                order_key=key,
                content=None if key is None else order.digest(doctype),
                has_status=order.status is not None,
            )
            for order, key in zip(orders, keys, strict=True)
        ]
        try:
            with self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
                batch = tx.reserve_batch(
                    wanted,
                    signer=signer.issuer.certificate.fingerprint,
                    key=signer.key,
                    doctype=doctype,
                    plan=self._plan,
                )
        except IssuanceError as exc:
            self._refuse(exc, signer)
            raise
        try:
            issued = self._sign(batch, orders, signer)
            with self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
                tx.complete_batch(batch)
        except BaseException as exc:
            self._abandon(batch, exc)
            raise
        return issued

    def _prove(self, signer: BoundSigner) -> None:
        """See that the key signs before places are taken for what it shall sign: a place is never given twice.

        Raises:
            SigningError: It does not; nothing was taken.
        """
        if self._plan is None or (self._proved is not None and time.monotonic() - self._proved < _PROVED_SECONDS):
            return
        probe = _PROBE + os.urandom(32)
        (signature,) = signatures_of(signer.sign_many, [probe])
        try:
            signer.issuer.certificate.public_key.verify(signature, probe)
        except VerificationError as exc:
            message = "the document signer's key does not sign for its certificate: nothing was issued"
            raise SigningError(message, code="signing.wrong_key") from exc
        self._proved = time.monotonic()

    @contextmanager
    def _permitted(self) -> Iterator[None]:
        """Ask the policy as it is now whether who opened this may still issue."""
        acting = self._store.acting
        if acting is not None:
            try:
                self._policy().check_actor(acting.role, "issue")
            except IssuanceError as exc:
                self._refuse(exc, self._signer)
                raise
        with self._store.judged():
            yield

    def _choose(self, orders: Sequence[Order]) -> BoundSigner:
        if self._following is not None:
            self._signer = self._following(orders) or self._signer
        return self._signer

    def withdraw(self, record: CredentialRecord) -> None:
        """Revoke a credential that was recorded and could not be handed out after all.

        Args:
            record: What `issue_batch` gave.

        Raises:
            SigningError: The store failed; the credential stays on record as issued.
        """
        with (
            self._store.judged(),  # it was issued here, and nobody has it
            self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx,
        ):
            tx.revoke_credentials(reference=record.reference)

    def _sign(self, batch: Batch, orders: Sequence[Order], signer: BoundSigner) -> list[IssuedCredential]:
        prepared = {
            index: signer.issuer.build(self._with_status(order, record))
            for index, (order, record) in enumerate(zip(orders, batch.credentials, strict=True))
            if not batch.is_repeated(record)
        }
        messages = [one.to_be_signed for one in prepared.values()]
        self._proved = None if prepared else self._proved
        signatures = signatures_of(signer.sign_many, messages) if prepared else []
        credentials = {
            index: one.complete(signature) for (index, one), signature in zip(prepared.items(), signatures, strict=True)
        }
        if prepared:
            self._proved = time.monotonic()
        return [
            IssuedCredential(record=record, credential=credentials.get(index))
            for index, record in enumerate(batch.credentials)
        ]

    def _with_status(self, order: Order, record: CredentialRecord) -> Order:
        if record.place is None:
            return order
        return replace(order, status=record.place.reference(self._status_certificate).to_cbor())

    def _refuse(self, exc: MdlError, signer: BoundSigner) -> None:
        with suppress(MdlError), self._store.refusing(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            tx.refuse("issue", exc.code, label=signer.key)

    def _abandon(self, batch: Batch, exc: BaseException) -> None:
        """Let the orders be placed again; where this fails too, a repeated order takes over the reservation."""
        code = exc.code if isinstance(exc, MdlError) else "issuance.interrupted"
        with suppress(MdlError), self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            tx.abandon_batch(batch, code=code)


def check_orders(
    reader: Reader,
    issuer: CredentialIssuer,
    orders: Sequence[Order],
    order_keys: Sequence[str | None],
    *,
    policy: IssuancePolicy,
    clock: Clock,
    time_zone: tzinfo | None = None,
    has_plan: bool = False,
) -> tuple[RefusedOrder, ...]:
    """Tell which orders may not be carried out, and everything that is wrong with each.

    Args:
        reader: The store.
        issuer: Would build the credentials.
        orders: The orders.
        order_keys: One for each, or None.
        policy: What the authority allows.
        clock: The clock.
        time_zone: Where the authority's days begin, if the policy names none.
        has_plan: Whether their status will be told somewhere, if they have none of their own.
    """
    own = {one.public_key for one in reader.signers()} | {one.certificate.spki for one in reader.certificates()}
    zone, now = policy.zone or time_zone, clock()
    refused = []
    for index, (order, key) in enumerate(zip(orders, order_keys, strict=True)):
        found = issuer.violations(order, time_zone=zone) + policy.violations(order, issuer.doctype, at=now)
        if policy.status_required and not has_plan and order.status is None:
            what = "the policy of this authority demands a status: name a list with --status-url"
            found += (order_violation("policy.status", "status", what),)
        if order.device_key.spki in own and not any(one.where == "device_key" for one in found):
            what = "the device key is a key of this authority"
            found += (order_violation("issuance.device_key", "device_key", what),)
        if found:
            places = (index,) if len(orders) > 1 else ()
            refused.append(RefusedOrder(index=index, order_key=key, error=refuse_order(found, places=places)))
    return tuple(refused)


def _keys_of(orders: Sequence[Order], order_keys: Sequence[str | None] | None) -> Sequence[str | None]:
    keys: Sequence[str | None] = [None] * len(orders) if order_keys is None else order_keys
    if len(keys) != len(orders):
        msg = "one order key for each order"
        raise ValueError(msg)
    return keys

"""Credentials that are remembered: reserved in the store, signed, and recorded before anybody gets them.

    reserve   references and places in status lists are taken, and the log says that the key is about to be used
    sign      outside of any transaction, so that hosts and processes sign side by side
    record    the batch counts as issued; only then is it handed out

A crash before the last step leaves reservations that nobody has; a repeated order takes them over. One behind it loses
nothing: the store knows every credential that may be out there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from issuer.audit import Actor
from issuer.issuance import CredentialIssuer, Order
from issuer.policy import IssuancePolicy
from issuer.store import Batch, Clock, CredentialRecord, Reservation, StatusPlan, Store
from mdl.errors import IssuanceError, MdlError, SigningError
from mdl.mdoc import IssuerSigned
from mdl.pki import Certificate

__all__ = ["BatchIssuer", "BoundSigner", "IssuedCredential", "SignMany"]

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
    ) -> None:
        """Bind an issuer to the store.

        Args:
            store: The store, which knows the document signer.
            issuer: Builds the credentials.
            key: Label of the document signer's key.
            sign_many: Signs with that key.
            at: The clock.
            plan: Where the status of the credentials will be told; None takes the `status` of each order as it is.
            status_certificate: DER of the certificate by whose key the lists' chain is signed, or None for the root.
            following: Asked before each batch which document signer is to sign it; None as its answer keeps the one
                before, and None here keeps `issuer` for good.
            policy: Asked before each batch what the authority allows.
        """
        self._store = store
        self._signer = BoundSigner(issuer=issuer, key=key, sign_many=sign_many)
        self._following = following
        self._policy = policy
        self._clock = at
        self._plan = plan
        self._status_certificate = status_certificate

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
            order_keys: What tells repeated orders from new ones, one for each order; None for no such thing.

        Returns:
            What came of each order.

        Raises:
            IssuanceError: An order may not be issued, another process took one over, or the document signer was
                revoked meanwhile; nothing was issued.
            SigningError: The custodian or the store failed; nothing was issued.
            LocalProtocolError: The clock went back (code ``authority.clock``), or an order is there twice.
        """
        keys = [None] * len(orders) if order_keys is None else order_keys
        signer = self._choose(orders)
        try:
            policy = self._policy()
            for order in orders:
                signer.issuer.check(order)
                policy.check_order(order, signer.issuer.doctype)
        except IssuanceError as exc:
            self._refuse(exc, signer)
            raise
        wanted = [
            Reservation(valid_from=order.validity.valid_from, valid_until=order.validity.valid_until, order_key=key)
            for order, key in zip(orders, keys, strict=True)
        ]
        with self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            batch = tx.reserve_batch(
                wanted,
                signer=signer.issuer.certificate.fingerprint,
                key=signer.key,
                doctype=signer.issuer.doctype,
                plan=self._plan,
            )
        try:
            issued = self._sign(batch, orders, signer)
            with self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
                tx.complete_batch(batch)
        except BaseException as exc:
            self._abandon(batch, exc)
            raise
        return issued

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
        with self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            tx.revoke_credentials(reference=record.reference)

    def _sign(self, batch: Batch, orders: Sequence[Order], signer: BoundSigner) -> list[IssuedCredential]:
        prepared = {
            index: signer.issuer.prepare(self._with_status(order, record))
            for index, (order, record) in enumerate(zip(orders, batch.credentials, strict=True))
            if not batch.is_repeated(record)
        }
        signatures = signer.sign_many([one.to_be_signed for one in prepared.values()]) if prepared else []
        if len(signatures) != len(prepared):
            message = "the custodian gave a wrong number of signatures; nothing of this batch was issued"
            raise SigningError(message, code="signing.wrong_count")
        credentials = {
            index: one.complete(signature) for (index, one), signature in zip(prepared.items(), signatures, strict=True)
        }
        return [
            IssuedCredential(record=record, credential=credentials.get(index))
            for index, record in enumerate(batch.credentials)
        ]

    def _with_status(self, order: Order, record: CredentialRecord) -> Order:
        if record.place is None:
            return order
        return replace(order, status=record.place.reference(self._status_certificate).to_cbor())

    def _refuse(self, exc: MdlError, signer: BoundSigner) -> None:
        with suppress(MdlError), self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            tx.refuse("issue", exc.code, label=signer.key)

    def _abandon(self, batch: Batch, exc: BaseException) -> None:
        """Let the orders be placed again; where this fails too, a repeated order takes over the reservation."""
        code = exc.code if isinstance(exc, MdlError) else "issuance.interrupted"
        with suppress(MdlError), self._store.transaction(at=self._clock, actor=Actor.ISSUING_SERVICE) as tx:
            tx.abandon_batch(batch, code=code)

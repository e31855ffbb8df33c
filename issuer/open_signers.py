"""The document signers of a token in use: each batch is signed by the newest that it does not outlive."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import datetime

from issuer.batches import BoundSigner, SignMany
from issuer.custody import Custody, Turn
from issuer.issuance import CredentialIssuer, Order
from issuer.signers import DocumentSigner, choose_document_signer, document_signers
from issuer.store import Clock, Reader, SignerState, Store
from mdl.errors import IssuanceError, LocalProtocolError, SigningError
from mdl.keys import PublicKey, signature_of
from mdl.pki import Certificate

__all__ = ["OpenSigners", "issuer_without_key", "take_back"]


class OpenSigners:
    """The document signers of the token, each opened when it is first needed."""

    def __init__(
        self,
        store: Store,
        custody: Custody,
        stack: ExitStack,
        *,
        doctype: str,
        clock: Clock,
        sign_many: SignMany | None,
    ) -> None:
        self._store = store
        self._custody = custody
        self._stack = stack
        self._doctype = doctype
        self._clock = clock
        self._sign_many = sign_many
        self._mutex = threading.Lock()
        self._opened: dict[str, BoundSigner] = {}

    def newest(self) -> BoundSigner:
        """The newest that may sign anything now."""
        with self._store.reading() as reader:
            signers = document_signers(reader)
        chosen = _newest(signers, self._clock())
        return self._open(chosen.key, chosen.certificate)

    def following(self, orders: Sequence[Order]) -> BoundSigner | None:
        """The newest that these orders do not outlive, or None: then the one that was used last says what is wrong."""
        with self._store.reading() as reader:
            chosen = _for_orders(document_signers(reader, state=SignerState.ACTIVE), orders)
        return None if chosen is None else self._open(chosen.key, chosen.certificate)

    def _open(self, key: str, certificate: Certificate) -> BoundSigner:
        with self._mutex:
            if key not in self._opened:
                turn = self._custody.turn
                with turn.taken():
                    signer = self._stack.enter_context(self._custody.open(key))
                issuer = CredentialIssuer(signer, certificate, doctype=self._doctype)

                def sign(messages: list[bytes]) -> list[bytes]:
                    with turn.taken():
                        return [signature_of(signer, one) for one in messages]

                self._opened[key] = BoundSigner(issuer=issuer, key=key, sign_many=self._sign_many or sign)
            return self._opened[key]


class _NoKey:
    """Stands for a document signer's key where nothing is signed."""

    def __init__(self, public_key: PublicKey) -> None:
        self.public_key = public_key

    def sign(self, data: bytes) -> bytes:
        del data
        raise SigningError("no key is open: orders are only checked here", code="signing.closed")


def issuer_without_key(reader: Reader, orders: Sequence[Order], *, doctype: str, at: datetime) -> CredentialIssuer:
    """What would issue these orders, without its key: to check them where the token is not at hand.

    Raises:
        LocalProtocolError: There is no document signer yet (code ``authority.no_signer``).
        IssuanceError: None may be used (code ``authority.signer_revoked``).
    """
    signers = document_signers(reader)
    chosen = _for_orders(signers, orders) or _newest(signers, at)
    return CredentialIssuer(_NoKey(chosen.certificate.public_key), chosen.certificate, doctype=doctype)


def _newest(signers: Sequence[DocumentSigner], at: datetime) -> DocumentSigner:
    if not signers:
        message = "there is no document signer yet: make one with mdl issuer ds"
        raise LocalProtocolError(message, code="authority.no_signer")
    chosen = choose_document_signer(signers, signed=at, valid_until=at)
    if chosen is None:
        last = signers[-1]
        what = last.state.value if last.state is not SignerState.ACTIVE else "not valid now"
        message = f"not issued: the document signer is {what}; make another with mdl issuer ds"
        raise IssuanceError(message, code="authority.signer_revoked")
    return chosen


def _for_orders(signers: Sequence[DocumentSigner], orders: Sequence[Order]) -> DocumentSigner | None:
    """The newest that these orders do not outlive."""
    moments = [moment for one in orders for moment in (one.validity.signed, one.validity.valid_until)]
    if not moments or any(moment.utcoffset() is None for moment in moments):
        return None
    signed = min(order.validity.signed for order in orders)
    valid_until = max(order.validity.valid_until for order in orders)
    return choose_document_signer(signers, signed=signed, valid_until=valid_until)


def take_back(turn: Turn) -> None:
    """Have the turn again when the keys are closed; where others keep it, they are closed all the same."""
    with suppress(SigningError):
        turn.take()

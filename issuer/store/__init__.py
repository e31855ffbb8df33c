"""The store: what an issuing authority must not forget, and must never do twice.

    with store.transaction(at=clock, actor=Actor.SIGNER_OPERATOR) as tx:
        serial = tx.take_serial("iaca")
    certificate = …                                   # signed outside of any transaction
    with store.transaction(at=clock, actor=Actor.SIGNER_OPERATOR) as tx:
        tx.add_certificate(certificate, Role.DOCUMENT_SIGNER, issuer=…, key="ds-1")

Whatever is unique for ever is taken in a transaction before the signing; what was signed is recorded in one after it.
"""

from issuer.store.base import Clock, Store
from issuer.store.postgres import PostgresStore
from issuer.store.records import (
    Batch,
    CertificateRecord,
    CredentialRecord,
    CredentialState,
    CrlRecord,
    Reservation,
    Role,
    Settings,
    SignerRecord,
    SignerState,
    StatusListRecord,
    StatusPlace,
    StatusPlan,
)
from issuer.store.sqlite import SqliteStore
from issuer.store.transaction import Reader, Transaction

__all__ = [
    "Batch",
    "CertificateRecord",
    "Clock",
    "CredentialRecord",
    "CredentialState",
    "CrlRecord",
    "PostgresStore",
    "Reader",
    "Reservation",
    "Role",
    "Settings",
    "SignerRecord",
    "SignerState",
    "SqliteStore",
    "StatusListRecord",
    "StatusPlace",
    "StatusPlan",
    "Store",
    "Transaction",
]

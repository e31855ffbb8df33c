"""A store with a revocation-list signer: what the tests of lists, of publishing and of watching begin with."""

from datetime import datetime, timedelta

from issuer.status import ListSigner
from issuer.store import CredentialRecord, CrlRecord, Reservation, Role, StatusPlan, Store
from mdl.pki import Certificate
from mdl.status import ListKind
from mdl.testing import ThrowawayAuthority
from tests.status_forgery import LIST_KEY, signer_recipe
from tests.stores import NOW, ROLE, found

PLAN = StatusPlan(uri="https://mdl.example/status/{list}", size=256)
NAMES = StatusPlan(uri="https://mdl.example/names/{list}", kind=ListKind.IDENTIFIER_LIST, size=256)
AUTHORITY = ThrowawayAuthority()
ROOT = AUTHORITY.iaca_certificate
LIST_SIGNER = Certificate(signer_recipe(AUTHORITY).build())
MDL = "org.iso.18013.5.1.mDL"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **time: float) -> None:
        self.now += timedelta(**time)


def add_list_signer(store: Store, certificate: Certificate = LIST_SIGNER, key: str = "revocation-list-1") -> None:
    with store.transaction(at=NOW, actor=ROLE) as tx:
        tx.add_signer(key, Role.STATUS_SIGNER, certificate.public_key.spki)
        tx.adopt_serial(certificate.serial)
        tx.add_certificate(certificate, Role.STATUS_SIGNER, issuer=ROOT.fingerprint, key=key)


def issue(
    store: Store, count: int, clock: Clock, plan: StatusPlan | None = PLAN, days: int = 30
) -> list[CredentialRecord]:
    until = clock.now + timedelta(days=days)
    with store.transaction(at=clock, actor=ROLE) as tx:
        batch = tx.reserve_batch(
            [Reservation(valid_from=clock.now, valid_until=until)] * count,
            signer=AUTHORITY.ds_certificate.fingerprint,
            key="ds-1",
            doctype=MDL,
            plan=plan,
        )
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.complete_batch(batch)
    return list(batch.credentials)


def revoke(store: Store, one: CredentialRecord, clock: Clock) -> None:
    with store.transaction(at=clock, actor=ROLE) as tx:
        tx.revoke_credentials(reference=one.reference, reason=1)


def sign(store: Store, clock: Clock) -> None:
    """Sign what is due."""
    ListSigner(store, LIST_KEY, LIST_SIGNER, key="revocation-list-1", root=ROOT, at=clock).sign_due()


def add_crl(store: Store, number: int, *, at: datetime = NOW, authority: ThrowawayAuthority = AUTHORITY) -> bytes:
    """Record a CRL of that number; good for 30 days."""
    until = at + timedelta(days=30)
    der = authority.crl(number=number, this_update=at, next_update=until)
    with store.transaction(at=at, actor=ROLE) as tx:
        while tx.take_crl_number(ROOT.fingerprint, "iaca") < number:
            pass
        tx.add_crl(CrlRecord(issuer=ROOT.fingerprint, number=number, der=der, this_update=at, next_update=until))
    return der


def fill(store: Store) -> None:
    """Give a store a root, a document signer, a revocation-list signer and the first CRL."""
    found(store, AUTHORITY)
    add_list_signer(store)
    add_crl(store, 1)

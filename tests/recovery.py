"""An authority whose keys are the tests' own, with a store of any kind, a folder and a published tree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from issuer.audit import Actor, sign_checkpoint
from issuer.certificate_files import CertificateFiles, crl_record
from issuer.certificates import Iaca
from issuer.folder import State, StorePlace
from issuer.publishing import Publication, Publisher, remember_folder
from issuer.restoring import CHECKPOINT_FOLDER
from issuer.revocation import due_crls
from issuer.signers import CERTIFIED
from issuer.status import ListSigner, shown_places
from issuer.store import CredentialRecord, Role, StatusPlan, Store
from issuer.workplace import STATE_FILE, STORE_FILE, Workplace
from mdl.pki import Certificate, Crl, RevokedCertificate, Subject
from mdl.status import StatusToken
from mdl.testing import deterministic_key
from tests.listed import AUTHORITY, LIST_SIGNER, PLAN, ROOT, Clock, add_crl, fill, issue
from tests.status_forgery import LIST_KEY
from tests.stores import ROLE, open_store

SIGNER = AUTHORITY.ds_certificate
AUDIT_KEY = deterministic_key("audit")


class World:
    """An authority that issues, revokes and publishes; its store can be lost and put back."""

    def __init__(self, place: str, folder: Path) -> None:
        self.folder = folder / "authority"
        self.tree = folder / "www"
        self.clock = Clock()
        self.later: dict[bytes, Iaca] = {}
        self.is_file = not place.startswith("postgresql:")
        self.place = str(self.folder / STORE_FILE) if self.is_file else place
        self.folder.mkdir()
        state = State(
            ready=True,
            token="pkcs11:token=none?module-path=/none.so",
            softhsm=False,
            pin=None,
            iaca_key="iaca",
            store=None if self.is_file else StorePlace(dsn=place),
        )
        (self.folder / STATE_FILE).write_bytes(state.encode())
        with open_store(self.place, create=True) as store:
            fill(store)
            with store.transaction(at=self.clock, actor=ROLE) as tx:
                tx.add_signer("audit-1", Role.AUDIT, AUDIT_KEY.public_key.spki)
        (self.folder / "audit-1.pem").write_bytes(AUDIT_KEY.public_key.pem)

    @property
    def workplace(self) -> Workplace:
        return Workplace(self.folder)

    @contextmanager
    def store(self) -> Iterator[Store]:
        with open_store(self.place) as store:
            yield store

    def issue(self, count: int, plan: StatusPlan | None = PLAN) -> list[CredentialRecord]:
        with self.store() as store:
            return issue(store, count, self.clock, plan)

    def revoke(self, *credentials: CredentialRecord) -> None:
        with self.store() as store, store.transaction(at=self.clock, actor=ROLE) as tx:
            for one in credentials:
                tx.revoke_credentials(reference=one.reference, reason=1)

    def revoke_signer(self) -> None:
        with self.store() as store, store.transaction(at=self.clock, actor=ROLE) as tx:
            tx.revoke_certificate(SIGNER.fingerprint)

    def publish(self, *, all_lists: bool = False) -> Publication:
        """Sign what is due, if the store is not behind, and publish it."""
        self.clock.advance(minutes=1)
        with self.store() as store:
            with self.workplace._current(store, self.clock) as (reader, roots):
                due = due_crls(reader, at=self.clock())
            for root in due:
                issuer = root.certificate.fingerprint
                with store.transaction(at=self.clock, actor=ROLE) as tx:
                    number, revoked = tx.take_crl_number(issuer, "iaca"), tx.revoked_serials(issuer)
                if issuer in self.later:
                    entries = [RevokedCertificate(serial=one, revoked_at=since) for one, since in revoked.items()]
                    until = self.clock() + timedelta(days=30)
                    by = self.later[issuer]
                    crl = by.publish_crl(entries, number=number, this_update=self.clock(), next_update=until)
                else:
                    crl = Crl.decode(AUTHORITY.crl(revoked=revoked, number=number, this_update=self.clock()))
                with store.transaction(at=self.clock, actor=ROLE) as tx:
                    tx.add_crl(crl_record(crl, issuer))
                CertificateFiles(self.folder).write_crl(roots.stem(root), crl, crl_record(crl, issuer))
            signer = ListSigner(store, LIST_KEY, LIST_SIGNER, key="revocation-list-1", root=ROOT, at=self.clock)
            signer.sign_due(all_lists=all_lists)
            published = Publisher(store, self.tree).publish(at=self.clock)
        remember_folder(self.folder, self.tree)
        return published

    def rekey(self) -> tuple[Certificate, Certificate]:
        """The next root and a document signer under it, with their files."""
        now = self.clock()
        other = Iaca.create(
            deterministic_key("the next root"),
            subject=Subject(country="US", state="US-UT", common_name="Throwaway IACA"),
            not_before=now,
            not_after=now + timedelta(days=3000),
            crl_uri="https://throwaway.example/iaca-2.crl",
            contact_uri="https://throwaway.example",
        )
        root = other.certificate
        key = deterministic_key("the next document signer").public_key
        signer = other.issue(CERTIFIED[Role.DOCUMENT_SIGNER].profile, key, common_name="DS 2", not_before=now)
        self.later[root.fingerprint] = other
        with self.store() as store, store.transaction(at=self.clock, actor=ROLE) as tx:
            for label, role, one in (("iaca-2", Role.IACA, root), ("ds-2", Role.DOCUMENT_SIGNER, signer)):
                tx.add_signer(label, role, one.public_key.spki)
                tx.adopt_serial(one.serial)
                tx.add_certificate(one, role, issuer=root.fingerprint, key=label)
                CertificateFiles(self.folder).write_certificate(label, one)
        return root, signer

    def checkpoint(self) -> None:
        with self.store() as store, store.reading() as reader:
            head = reader.audit_head()
            made = sign_checkpoint(AUDIT_KEY, log_id=reader.log_id, head=head, at=self.clock())
        (self.folder / CHECKPOINT_FOLDER).mkdir(exist_ok=True)
        (self.folder / CHECKPOINT_FOLDER / f"{head.sequence:09}.cbor").write_bytes(made.encode())

    def keep(self, name: str = "copy.db") -> Path:
        """A backup as it is now."""
        return self.workplace.backup(self.folder.parent / name).file

    def lose(self, copy: Path) -> None:
        """What an operator does who knows nothing: the copy is put in the place of the store, by hand."""
        if self.is_file:
            for end in ("", "-wal", "-shm"):
                Path(self.place + end).unlink(missing_ok=True)
            shutil.copyfile(copy, self.place)
            return
        from issuer.store.copies import _copy_rows
        from issuer.store.sqlite import SqliteStore

        with self.store() as into, SqliteStore(copy) as source, into.replacing() as sql, source.snapshot() as rows:
            _copy_rows(rows, sql)

    def shown(self) -> dict[str, set[int | bytes]]:
        """What the published tree shows as revoked: by each CRL and each list."""
        found: dict[str, set[int | bytes]] = {}
        for file in (self.tree / "current").rglob("*"):
            name = str(file.relative_to(self.tree / "current"))
            if name.endswith(".crl"):
                found[name] = {*Crl.decode(file.read_bytes()).revoked}
            elif file.is_file() and not file.suffix:
                found[name] = {*shown_places(StatusToken.decode(file.read_bytes()).decode_list())}
        return found

    def restore(self, copy: Path | None = None) -> None:
        self.workplace.restore(at=self.clock, copy=copy)


__all__ = ["AUDIT_KEY", "SIGNER", "Actor", "World", "add_crl"]

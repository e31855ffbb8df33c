"""What a store has against what its audit log tells of, thing by thing.

The chain of the log shows what was done to the log. What was done to the tables beside it shows here: each thing that
the log tells of must be there as it was told, and nothing that it must tell of may be there untold. Each kind of
difference has a code of its own (`issuer.audit.Defect`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from issuer.audit import AuditRecord, Defect, Event, Finding, KeptRecord
from issuer.store.holdings import BatchRows, CredentialRow, Holdings, digests_of
from issuer.store.records import CredentialState, Role, SignerState
from mdl.errors import DecodeError

__all__ = ["compare_log"]


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())


@dataclass(slots=True)
class _Told:
    """What the log tells of, with the record that does."""

    last: int = 0
    settings: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    salt: tuple[int, bytes] | None = None
    keys: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    states: dict[str, tuple[int, str]] = field(default_factory=dict)
    certificates: dict[bytes, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    revoked: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    serials: dict[str, int] = field(default_factory=dict)
    numbers: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    crls: dict[tuple[bytes, int], tuple[int, bytes]] = field(default_factory=dict)
    lists: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    retired: dict[str, int] = field(default_factory=dict)
    placed: dict[str, tuple[int, str]] = field(default_factory=dict)
    revisions: dict[str, tuple[int, int]] = field(default_factory=dict)
    tokens: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    batches: dict[bytes, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    # Which revocation was the first for a credential, a batch, a document signer: record, time, reason.
    credentials: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    of_batches: dict[bytes, list[tuple[int, int, int]]] = field(default_factory=dict)
    of_signers: dict[bytes, list[tuple[int, int, int]]] = field(default_factory=dict)
    carried_serials: dict[tuple[bytes, str], int] = field(default_factory=dict)
    carried_places: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    settled: dict[bytes, int] = field(default_factory=dict)
    time: int | None = None

    def take(self, record: AuditRecord) -> None:
        """Take what a record tells."""
        at, told, event = record.sequence, record.subjects, record.event
        now = int(record.time.timestamp())
        self.last, self.time = at, now
        match event:
            case Event.AUTHORITY_FOUNDED | Event.SETTINGS_CHANGED:
                self.settings[told["version"]] = at, told["digest"]
                if "salt" in told:
                    self.salt = at, told["salt"]
            case Event.KEY_MADE:
                self.keys[told["label"]] = at, told
                usual = SignerState.ACTIVE if told["role"] == Role.AUDIT.value else SignerState.PREPARED
                self.states[told["label"]] = at, told.get("state", usual.value)
            case Event.SIGNER_CHANGED:
                self.states[told["label"]] = at, told["state"]
            case Event.KEY_USED:
                self._use(at, told)
            case Event.CERTIFICATE_ISSUED:
                self.certificates[told["certificate"]] = at, told
            case Event.CERTIFICATE_REVOKED:
                self.revoked[told["certificate"]] = at, now, told["reason"]
            case Event.CRL_SIGNED:
                self.crls[told["issuer"], told["number"]] = at, told["digest"]
            case Event.LIST_OPENED:
                self.lists[told["list"]] = at, told
            case Event.LIST_RETIRED:
                self.retired[told["list"]] = at
            case Event.LIST_PLACED:
                self.placed[told["list"]] = at, told["label"]
            case Event.LIST_SIGNED:
                self.tokens[told["list"], told["revision"]] = at, told["digest"]
            case Event.BATCH_ISSUED:
                self.batches[told["batch"]] = at, told
            case Event.CREDENTIAL_REVOKED:
                what = at, now, told["reason"]
                if "credential" in told:
                    self.credentials.setdefault(told["credential"], what)
                elif "batch" in told:
                    self.of_batches.setdefault(told["batch"], []).append(what)
                else:
                    self.of_signers.setdefault(told["signer"], []).append(what)
            case Event.REVOCATION_CARRIED:
                if "serial" in told:
                    self.carried_serials[told["issuer"], told["serial"]] = at
                else:
                    self.carried_places[told["list"], now] = at, told["digest"]
            case Event.CHECKPOINT_SUPERSEDED:
                self.settled[told["digest"]] = at

    def _use(self, at: int, told: Mapping[str, Any]) -> None:
        purpose = told["purpose"]
        if purpose == "certificate":
            self.serials[told["serial"]] = at
        elif purpose == "crl":
            self.numbers[told["issuer"]] = at, max(told["number"], self.numbers.get(told["issuer"], (0, 0))[1])
        elif purpose == "list":
            self.revisions[told["list"]] = at, max(told["revision"], self.revisions.get(told["list"], (0, 0))[1])

    def revocation_of(self, one: CredentialRow) -> tuple[int, int, int] | None:
        """The record by which a credential was revoked first, with its time and reason."""
        issued = self.batches.get(one.batch, (0, {}))[0]
        found = [self.credentials[one.reference]] if one.reference in self.credentials else []
        found += [what for what in self.of_batches.get(one.batch, ()) if what[0] > issued]
        found += [what for what in self.of_signers.get(one.signer, ()) if what[0] > issued]
        return min(found, default=None)


def compare_log(records: Iterable[KeptRecord], holdings: Holdings) -> list[Finding]:
    """Find what the store has and the log does not tell of, or the other way round, or otherwise.

    Args:
        records: The log; what does not decode is passed over, as it is for `issuer.audit.verify_log`.
        holdings: What the store has.
    """
    told = _Told()
    for kept in records:
        try:
            told.take(AuditRecord.decode(kept.record))
        except (DecodeError, KeyError, TypeError):
            continue
    comparing = _Comparing(told, holdings)
    for compare in (
        comparing.head,
        comparing.settings,
        comparing.keys,
        comparing.certificates,
        comparing.crls,
        comparing.lists,
        comparing.batches,
        comparing.carried,
    ):
        compare()
    return comparing.findings


class _Comparing:
    """Compares one kind of thing after the other."""

    def __init__(self, told: _Told, has: Holdings) -> None:
        self._told = told
        self._has = has
        self.findings: list[Finding] = []

    def _find(self, defect: Defect, message: str, sequence: int | None = None) -> None:
        at = self._told.last if sequence is None else sequence
        self.findings.append(Finding(defect=defect, sequence=at, message=message))

    def _both(
        self,
        what: str,
        told: Mapping[Any, tuple[int, Any]],
        has: Mapping[Any, Any],
        same: Callable[[Any, Any], bool],
        changed: Defect,
    ) -> None:
        """What was told is there, and as it was told; nothing else is there."""
        for key, (at, value) in told.items():
            if key not in has:
                self._find(Defect.LOST, f"the store lacks the {what} that is told of here", at)
            elif not same(value, has[key]):
                self._find(changed, f"the {what} in the store is not as it is told here", at)
        if unrecorded := len(has.keys() - told.keys()):
            self._find(Defect.UNRECORDED, f"no record tells of {unrecorded} of the store's {len(has)}: {what}")

    def head(self) -> None:
        """The time that is kept beside the head is that of the last record."""
        kept = self._has.head.time
        if (None if kept is None else int(kept.timestamp())) != self._told.time:
            self._find(Defect.HEAD_TIME, "the time that the store keeps for its head is not that of the last record")

    def settings(self) -> None:
        """Each version of the settings, the policy in them, and the salt of order keys."""
        self._both("settings", self._told.settings, self._has.settings, lambda told, has: told == has, Defect.SETTINGS)
        if self._told.salt is not None and self._told.salt[1] != self._has.salt:
            self._find(Defect.SALT, "the salt of order keys is another than at the founding", self._told.salt[0])

    def keys(self) -> None:
        """The keys: which they are, what for, and what they may be used for."""

        def same(told: Mapping[str, Any], has: Any) -> bool:
            return bool(told["public_key"] == hashlib.sha256(has.public_key).digest())

        self._both("key", self._told.keys, self._has.signers, same, Defect.SIGNER_KEY)
        for label, (at, told) in self._told.keys.items():
            has = self._has.signers.get(label)
            if has is not None and has.role.value != told["role"]:
                self._find(Defect.SIGNER_ROLE, f"the key {label} is for something else than it is told here", at)
        for label, (at, state) in self._told.states.items():
            has = self._has.signers.get(label)
            if has is not None and has.state.value != state:
                self._find(Defect.SIGNER_STATE, f"the key {label} is {has.state.value} and was {state}", at)

    def certificates(self) -> None:
        """The certificates, whether they are revoked, and the serial numbers."""

        def same(told: Mapping[str, Any], has: Any) -> bool:
            return bool(
                told["role"] == has.role.value
                and told["issuer"] == has.issuer
                and told["serial"] == f"{has.certificate.serial:x}"
            )

        has = self._has.certificates
        self._both("certificate", self._told.certificates, has, same, Defect.CERTIFICATE)
        for fingerprint, one in has.items():
            known = None if one.key is None else self._has.signers.get(one.key)
            if one.key is not None and (known is None or known.public_key != one.certificate.spki):
                self._find(Defect.CERTIFICATE_KEY, f"the certificate of {one.key} is for another key than that")
            told = self._told.revoked.get(fingerprint)
            if told is None and one.revoked_at is not None:
                self._find(Defect.CERTIFICATE_REVOKED, "a certificate is revoked of which no record tells that")
            elif told is not None and one.revoked_at is None:
                self._find(
                    Defect.CERTIFICATE_UNREVOKED, "the certificate that was revoked here is not any more", told[0]
                )
            elif told is not None and (int(one.revoked_at.timestamp()), one.reason) != told[1:]:  # type: ignore[union-attr]
                self._find(
                    Defect.CERTIFICATE_REASON,
                    "the certificate was revoked at another time or for another reason",
                    told[0],
                )
        for serial, at in self._told.serials.items():
            if serial not in self._has.serials:
                self._find(Defect.SERIAL, "the serial number that was taken here is free again", at)

    def crls(self) -> None:
        """The CRLs, and the highest numbers that were taken."""
        self._both("CRL", self._told.crls, self._has.crls, lambda told, has: told == has, Defect.CRL)
        for issuer, (at, number) in self._told.numbers.items():
            if self._has.crl_numbers.get(issuer, 0) < number:
                self._find(Defect.CRL_NUMBER, f"the CRL number {number} that was taken here is free again", at)

    def lists(self) -> None:
        """The status lists, their tokens and their places."""

        def same(told: Mapping[str, Any], has: Any) -> bool:
            return bool(told["kind"] == has.kind.value and told["count"] == has.size)

        has = self._has.lists
        self._both("status list", self._told.lists, has, same, Defect.LIST)
        for list_id, (at, told) in self._told.lists.items():
            if list_id in has and told.get("address", has[list_id].uri) != has[list_id].uri:
                self._find(Defect.LIST_ADDRESS, "the status list has another address than it is told here", at)
        for list_id, one in has.items():
            place = self._told.placed.get(list_id)
            if (one.retired_at is not None) != (list_id in self._told.retired) or one.place != (place and place[1]):
                self._find(Defect.LIST_PLACE, f"the list {list_id} is retired or lies elsewhere than the log tells")
            at, revision = self._told.revisions.get(list_id, (0, 0))
            if one.revision < revision:
                self._find(Defect.LIST_REVISION, f"the revision {revision} that was taken here is free again", at)
            if list_id in self._has.unshown:
                self._find(Defect.LIST_SHOWN, f"the last token of {list_id} shows a place that the next one would not")
            if list_id in self._has.unmarked:
                self._find(Defect.LIST_PLACES, f"a place of {list_id} that is taken could be given out again")
        self._both("token", self._told.tokens, self._has.signed_lists, lambda told, has: told == has, Defect.LIST_TOKEN)
        for key, digest in self._has.tokens.items():
            if self._has.signed_lists.get(key) != digest:
                self._find(Defect.LIST_TOKEN, f"the token of {key[0]} is not the one whose digest is kept")

    def batches(self) -> None:
        """The credentials: which there are, as they were issued, and which of them are revoked."""
        seen = set()
        unrecorded = 0
        for batch in self._has.batches:
            seen.add(batch.batch)
            at, told = self._told.batches.get(batch.batch, (0, {}))
            if not at:
                unrecorded += 1
                continue
            self._batch(at, told, batch)
            self._revocations(batch)
        for name, (at, _) in self._told.batches.items():
            if name not in seen:
                self._find(Defect.LOST, "the store lacks the batch that is told of here", at)
        if unrecorded:
            self._find(Defect.UNRECORDED, f"no record tells of {unrecorded} of the store's batches")

    def _batch(self, at: int, told: Mapping[str, Any], batch: BatchRows) -> None:
        if len(batch.rows) != told["count"]:
            defect = Defect.LOST if len(batch.rows) < told["count"] else Defect.UNRECORDED
            self._find(defect, f"the batch had {told['count']} credentials and has {len(batch.rows)}", at)
            return
        has = digests_of(batch.rows)
        for wrong, code, what in (
            (has.references != told["digest"], Defect.CREDENTIAL, "other names"),
            (any(one.signer != told["signer"] for one in batch.rows), Defect.CREDENTIAL_SIGNER, "another signer"),
            (any(one.doctype != told["doctype"] for one in batch.rows), Defect.CREDENTIAL_TYPE, "another type"),
            (has.places != told.get("places", has.places), Defect.CREDENTIAL_PLACE, "other places in lists"),
            (has.validity != told.get("validity", has.validity), Defect.CREDENTIAL_VALIDITY, "another validity"),
            (has.orders != told.get("orders", has.orders), Defect.CREDENTIAL_ORDER, "other orders"),
        ):
            if wrong:
                self._find(code, f"the credentials of the batch have {what} than it is told here", at)

    def _revocations(self, batch: BatchRows) -> None:
        for one in batch.rows:
            told = self._told.revocation_of(one)
            is_revoked = one.state == CredentialState.REVOKED.value
            name = one.reference.hex()
            if told is None and is_revoked:
                self._find(Defect.CREDENTIAL_REVOKED, f"the credential {name} is revoked, of which no record tells")
            elif told is not None and not is_revoked:
                self._find(Defect.CREDENTIAL_UNREVOKED, f"the credential {name} was revoked here, and is not", told[0])
            elif told is not None and (one.state_at, one.reason) != told[1:]:
                message = f"the credential {name} was revoked at another time or for another reason"
                self._find(Defect.CREDENTIAL_REASON, message, told[0])

    def carried(self) -> None:
        """What a restore carried over."""
        for key, at in self._told.carried_serials.items():
            if key not in self._has.carried_serials:
                self._find(Defect.CARRIED, "the revocation that a restore carried over is lost", at)
        for place, (at, digest) in self._told.carried_places.items():
            if self._has.carried_places.get(place) != digest:
                self._find(Defect.CARRIED, "the revocations that a restore carried over are other ones", at)
        if self._has.carried_serials - self._told.carried_serials.keys() or (
            self._has.carried_places.keys() - self._told.carried_places.keys()
        ):
            self._find(Defect.CARRIED, "a revocation is carried over of which no record tells")
        for digest, at in self._told.settled.items():
            if digest not in self._has.settled:
                self._find(Defect.SETTLED, "what a restore has settled is forgotten", at)

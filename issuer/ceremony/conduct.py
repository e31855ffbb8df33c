"""Hold a ceremony: rehearse the script, then announce, have confirmed, carry out and write down each of its steps.

    rehearse   the whole script with throwaway keys in memory; nothing is made, no token is opened
    hold       step by step; the record is on the disk before a step is begun and after it is done

A ceremony that is broken off, by an error, by an operator or by the power, leaves the record of what was done, not
signed. Held again with the same script and the same folder of results it goes on after the last step that was done. A
certificate that was signed right before the power went is found, and not signed twice; a key is not taken for one that
was made here, unless the record says so. Each step's digest goes into the audit log of the authority, so the transcript
cannot be rewritten unseen between two sittings.

The root's authority is a folder like any other (`issuer.authority`), whose token has the root key and no other; it has
no connection to the online side but the files that are carried there and back (`issuer.handover`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

from issuer.audit import Actor, AuditRecord, Event
from issuer.authority import Authority
from issuer.ceremony.record import CeremonyRecord, Confirmation, Entry, Outcome, Witness
from issuer.ceremony.script import (
    CheckToken,
    LinkRoot,
    MakeRoot,
    Operator,
    ProvideKey,
    PublishCrl,
    Script,
    SignRequest,
    Step,
)
from issuer.certificate_files import make_folder
from issuer.certificates import Iaca, contacts_of
from issuer.custody import Custody
from issuer.folder import State, lock, read_file, write_file
from issuer.founding import Founding, check_crl_days
from issuer.keystore import Pkcs11Uri, SecretHandler, list_keys
from issuer.policy import IssuancePolicy
from issuer.signers import CERTIFIED
from issuer.store import Clock, Role
from mdl.errors import DecodeError, LocalProtocolError, MdlError, SigningError, VerificationError
from mdl.keys import PublicKey, Signer, SoftwareSigner
from mdl.pki import AttributeId, Certificate, CertificateRequest, Crl, Subject, decode_csr

__all__ = ["Announcement", "Ceremony", "Confirm", "Phrase", "rehearse"]

RECORD_FILE: Final = "record.json"
DOCUMENT_FILE: Final = "record.md"
_ROOT_FILE: Final = "iaca.pem"
_CRL_FILE: Final = "iaca.crl"
_STATE_FILE: Final = "authority.json"
_TRIES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What the operators are told before they confirm a step.

    Attributes:
        number: The step's place, counted from 1.
        count: How many steps there are.
        do: Which kind of step.
        says: What will be done, in one line.
        asked: The parameters.
    """

    number: int
    count: int
    do: str
    says: str
    asked: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """What an operator said.

    Attributes:
        text: The phrase.
        means: How it came: ``typed``, from a ``file``, or from a ``program``.
    """

    text: str = field(repr=False)
    means: str


Confirm: TypeAlias = Callable[[Operator, Announcement], Phrase | None]
"""Asks an operator to confirm a step; None: the operator does not, or is not there."""


# --- the rehearsal ---------------------------------------------------------------------------------------------------


def rehearse(script: Script, authority: Path, *, at: datetime, after: int = 0) -> None:
    """Try out a script with throwaway keys in memory; nothing is made, and no token is opened.

    Args:
        script: The script.
        authority: The folder of the root's authority: empty or absent where the script makes the root.
        at: The time, aware UTC.
        after: How many steps were done before; these are not tried again.

    Raises:
        MdlError: Something is wrong with it: what a step would make breaks its profile or the policy, a file is not
            the one that the script names, or the folder does not fit.
    """
    making = script.root_step is not None and after < 1 + script.steps.index(script.root_step)
    key = next(one for one in script.steps if isinstance(one, ProvideKey))
    throwaway = SoftwareSigner.generate(key.curve)
    if making and script.root_step is not None:
        if (authority / _STATE_FILE).exists() and State.decode(read_file(authority / _STATE_FILE), authority).ready:
            message = f"{authority} holds an authority already: a root is made in a folder of its own"
            raise LocalProtocolError(message, code="authority.exists")
        policy = script.policy or IssuancePolicy()
        policy.check_key(Role.IACA, key.curve)
        policy.check_certificate(Role.IACA, timedelta(days=script.root_step.days))
        policy.check_doctype(script.root_step.doctype)
        founding = _founding(script, script.root_step)
        founding.rehearse(at)
        iaca, taken = founding.root(throwaway, at), {script.root_step.common_name}
        serials: set[int] = set()
    else:
        known = Authority(authority)
        with known.open_store() as store, store.reading() as reader:
            certificates = [one.certificate for one in reader.certificates()]
            policy = known.policy
        if known.root.public_key.curve.name != key.curve:
            message = f"the root is on {known.root.public_key.curve.name}, and not on the curve that the script names"
            raise LocalProtocolError(message, code="ceremony.root")
        if script.policy is not None and script.root_step is None and script.policy != policy:
            message = "the authority has another policy than the script names: change it with mdl issuer policy set"
            raise LocalProtocolError(message, code="ceremony.policy")
        iaca = _stand_in(throwaway, known.root)
        taken = {one.subject.common_name or "" for one in certificates}
        serials = {one.serial for one in certificates}
    for step in script.steps[after:]:
        if isinstance(step, SignRequest):
            if step.common_name in taken:
                message = f"the name '{step.common_name}' is taken: each certificate has a name of its own"
                raise LocalProtocolError(message, code="authority.name_taken", clause="18013-5 Annex B")
            taken.add(step.common_name)
            _certify(iaca, step, _request(script, step), policy, at=at)
        elif isinstance(step, LinkRoot):
            iaca.link(_successor(script, step, policy), not_before=at)
        elif isinstance(step, PublishCrl):
            check_crl_days(step.days)
            iaca.publish_crl(number=1, this_update=at, next_update=at + timedelta(days=step.days))
            if not serials.issuperset(int(one, 16) for one in step.revoke):
                message = "the script revokes a certificate that this authority has not issued"
                raise LocalProtocolError(message, code="authority.serial_unknown")


def _stand_in(signer: Signer, root: Certificate) -> Iaca:
    """A root like the authority's, of a throwaway key."""
    email, uri = contacts_of(root)
    name = root.subject
    return Iaca.create(
        signer,
        subject=Subject(
            country=root.country or "",
            state=root.state,
            organization=name.only(AttributeId.ORGANIZATION),
            common_name=name.common_name or "",
        ),
        not_before=root.not_before,
        not_after=root.not_after,
        crl_uri=next(iter(root.crl_uris), ""),
        contact_email=email,
        contact_uri=uri,
    )


def _founding(script: Script, step: MakeRoot) -> Founding:
    key = next(one for one in script.steps if isinstance(one, ProvideKey))
    return Founding(
        subject=step.subject,
        crl_uri=step.crl_url,
        contact_email=step.contact_email,
        contact_uri=step.contact_uri,
        doctype=step.doctype,
        curve=key.curve,
        days=step.days,
        crl_days=step.crl_days,
        token=script.token,
        iaca_key=script.key,
        policy=script.policy,
    )


def _request(script: Script, step: SignRequest) -> CertificateRequest:
    """The request of a step: the one that the script means, signed by its own key."""
    request = decode_csr(read_file(script.folder / step.request))
    _pinned(request.der, step.sha256, step.request)
    return request


def _successor(script: Script, step: LinkRoot, policy: IssuancePolicy) -> Certificate:
    successor = Certificate.decode_any(read_file(script.folder / step.successor))
    _pinned(successor.der, step.sha256, step.successor)
    policy.check_key(Role.LINK, successor.public_key)
    policy.check_certificate(Role.LINK, successor.not_after - successor.not_before)
    return successor


def _pinned(der: bytes, sha256: str, name: str) -> None:
    if hashlib.sha256(der).hexdigest() != sha256:
        message = f"{name} is not the file that the script names: its SHA-256 is another"
        raise VerificationError(message, code="ceremony.file")


def _certify(
    iaca: Iaca,
    step: SignRequest,
    request: CertificateRequest,
    policy: IssuancePolicy,
    *,
    at: datetime,
) -> None:
    role, life = Role(step.role), timedelta(days=step.days)
    policy.check_key(role, request.public_key)
    policy.check_certificate(role, life)
    iaca.issue(
        CERTIFIED[role].profile,
        request,
        common_name=step.common_name,
        organization=iaca.certificate.subject.only(AttributeId.ORGANIZATION),
        not_before=at,
        not_after=at + life,
    )


# --- the ceremony ----------------------------------------------------------------------------------------------------


class Ceremony:
    """A ceremony by a script, with its folders and the people who confirm."""

    def __init__(
        self,
        script: Script,
        *,
        authority: Path,
        out: Path,
        confirm: Confirm,
        secret: SecretHandler,
        at: Clock,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take up a ceremony, or go on with one that was broken off.

        Args:
            script: The script.
            authority: The folder of the root's authority.
            out: The folder of the results: record, document, certificates, CRLs.
            confirm: Asks an operator to confirm a step.
            secret: Asked for the token's PIN.
            at: The clock.
            tell: Gets a line for each thing that happens.
        """
        self._script = script
        self._authority = Path(authority).absolute()
        self._out = Path(out).absolute()
        self._confirm = confirm
        self._secret = secret
        self._clock = at
        self._tell = tell
        self._custody = Custody(Pkcs11Uri.parse(script.token), secret)
        self._last: datetime | None = None
        self._founded = False
        self._record: CeremonyRecord

    def hold(self) -> CeremonyRecord:
        """Hold the ceremony, or what is left of it, to its end.

        Returns:
            The signed record.

        Raises:
            VerificationError: A step was not confirmed (code ``ceremony.not_confirmed``), one phrase is that of two
                operators (``ceremony.same_phrase``), or what lies in the folder is not what was done before
                (``ceremony.changed``).
            LocalProtocolError: The ceremony is over already (``ceremony.finished``), or was begun with another script
                (``ceremony.other_script``); or the clock went back.
            MdlError: The rehearsal refuses the script, or a step failed. What was done is on record.
        """
        make_folder(self._out)
        with lock(self._out, exclusive=True):
            now = self._now()
            self._record = self._begun(now)
            done = self._record.done
            if self._script.root_step is None:
                self._opened()
            self._founded = self._stopped_after_founding()
            rehearse(self._script, self._authority, at=now, after=len(done) + self._founded)
            self._hold_to_log()
            for number, step in enumerate(self._script.steps, 1):
                if number not in done:
                    self._perform(number, step)
            return self._record

    def _begun(self, now: datetime) -> CeremonyRecord:
        """The record so far: of a ceremony that was broken off, or of one that begins."""
        file, script = self._out / RECORD_FILE, self._script
        if not file.exists():
            return CeremonyRecord(
                title=script.title,
                place=script.place,
                script=script.digest,
                operators=tuple(Witness(name=one.name, duty=one.duty) for one in script.operators),
                confirmations=script.confirmations,
                token=script.token,
                key=script.key,
                began=now,
            )
        record = CeremonyRecord.decode(read_file(file))
        if record.signature is not None:
            message = f"{file} is the record of a ceremony that is over: name another folder for the results"
            raise LocalProtocolError(message, code="ceremony.finished")
        if record.script != script.digest:
            message = f"the ceremony in {self._out} was begun with another script: go on with that one"
            raise LocalProtocolError(message, code="ceremony.other_script")
        times = [one.ended or one.began for one in record.transcript]
        if any(one > now for one in (record.began, *times)):
            message = "the time lies before that of the last step: look at the clock"
            raise LocalProtocolError(message, code="authority.clock")
        self._tell(f"going on with the ceremony that began at {record.began:%Y-%m-%d %H:%M:%S}Z")
        return record

    def _stopped_after_founding(self) -> bool:
        """Whether the machine stopped after the authority was founded, and before the record said so."""
        last = self._record.transcript[-1:]
        if not any(one.do == "root" and one.outcome is Outcome.BEGUN for one in last):
            return False
        try:
            Authority(self._authority)
        except DecodeError:
            return False
        return True

    def _perform(self, number: int, step: Step) -> None:
        asked = {name: [*value] if type(value) is tuple else value for name, value in asdict(step).items()}
        announced = Announcement(number=number, count=len(self._script.steps), do=step.do, says=step.says, asked=asked)
        entry = Entry(
            step=number,
            do=step.do,
            says=step.says,
            asked=asked,
            confirmed=(),
            began=self._now(),
            ended=None,
            outcome=Outcome.BEGUN,
        )
        try:
            entry = replace(entry, confirmed=self._confirmed(announced))
        except MdlError as exc:
            self._write(replace(entry, ended=self._now(), outcome=Outcome.NOT_CONFIRMED, code=exc.code))
            self._refuse(exc)
            raise
        self._write(entry)
        try:
            came = self._carry_out(step)
        except MdlError as exc:
            self._write(replace(entry, ended=self._now(), outcome=Outcome.FAILED, code=exc.code), instead=True)
            self._refuse(exc)
            raise
        entry = replace(entry, ended=self._now(), outcome=Outcome.DONE, came=came)
        if step.do == "record":
            self._sign(entry)
        else:
            self._write(entry, instead=True)
            self._log()
        self._tell(f"step {number} of {len(self._script.steps)} is done: {step.do}")

    def _confirmed(self, announced: Announcement) -> tuple[Confirmation, ...]:
        """Ask one operator after the other, until enough have confirmed."""
        given: list[Confirmation] = []
        operators = self._script.operators
        for operator in operators:
            for _ in range(_TRIES):
                phrase = self._confirm(operator, announced)
                if phrase is None:
                    break
                theirs = [one for one in operators if one.accepts(phrase.text)]
                if len(theirs) > 1:
                    message = "two operators have one phrase, so nobody can tell that there are two of them"
                    raise VerificationError(message, code="ceremony.same_phrase")
                if theirs == [operator]:
                    given.append(Confirmation(operator=operator.name, time=self._now(), means=phrase.means))
                    break
                self._tell(f"this is not the phrase of {operator.name}")
            if len(given) == self._script.confirmations:
                return tuple(given)
        message = f"step {announced.number} was confirmed by {len(given)} of {self._script.confirmations} operators"
        raise VerificationError(f"{message}: the ceremony is broken off", code="ceremony.not_confirmed")

    # --- the steps ---

    def _carry_out(self, step: Step) -> dict[str, Any]:
        match step:
            case CheckToken():
                return self._check_token()
            case ProvideKey():
                return self._provide_key(step)
            case MakeRoot():
                return self._make_root(step)
            case SignRequest():
                return self._sign_request(step)
            case LinkRoot():
                return self._link(step)
            case PublishCrl():
                return self._publish(step)
            case _:
                return self._about_root()

    def _check_token(self) -> dict[str, Any]:
        keys = list_keys(str(self._custody.uri), secret=self._secret)
        return {"token": self._custody.uri.describe(), "keys": sorted(one.label for one in keys)}

    def _provide_key(self, step: ProvideKey) -> dict[str, Any]:
        label = self._script.key
        present = label in self._custody.labels()
        if step.expect == "new" and present:
            # Also where the machine stopped right after the key was made: nobody could say whose key it is.
            message = f"the token has a key '{label}' already: a new root has a new key, under another label"
            raise SigningError(message, code="signing.key_exists")
        if step.expect == "present" and not present:
            raise SigningError(f"the token has no key '{label}'", code="signing.key_missing")
        if self._script.root_step is not None:
            # What a founding that was broken off leaves: it goes on with the key that is there by then.
            make_folder(self._authority)
            state = State(ready=False, token=self._script.token, softhsm=False, pin=None, iaca_key=label, store=None)
            write_file(self._authority / _STATE_FILE, state.encode())
        if not present:
            self._custody.generate(label, step.curve)
        with self._custody.open(label) as signer:
            key = signer.public_key
        if key.curve.name != step.curve:
            message = f"the key '{label}' is on {key.curve.name}, and not on the curve that the script names"
            raise SigningError(message, code="signing.wrong_key")
        (stored,) = [one for one in list_keys(str(self._custody.uri), secret=self._secret) if one.label == label]
        if stored.extractable:
            message = f"the token would give the key '{label}' away: it is none for a root"
            raise SigningError(message, code="ceremony.extractable")
        how = "was there" if present else "made"
        return {"key": label, "how": how, "curve": key.curve.name, "extractable": False, **_digest_of(key)}

    def _make_root(self, step: MakeRoot) -> dict[str, Any]:
        if self._founded:
            authority = Authority(self._authority, secret=self._secret)
        else:
            founding = _founding(self._script, step)
            authority = Authority.found(self._authority, founding, at=self._now(), secret=self._secret)
        root, crl = authority.root, authority.current_crl
        (key,) = [one.came["public_key_sha256"] for one in self._record.done.values() if one.do == "key"]
        if _digest_of(root.public_key)["public_key_sha256"] != key or root.subject != step.subject.name:
            message = "the authority in the folder has another root than this ceremony makes"
            raise VerificationError(message, code="ceremony.root")
        self._record = replace(self._record, root=root)
        write_file(self._out / _ROOT_FILE, root.pem.encode())
        write_file(self._out / _CRL_FILE, crl.der)
        return {**_about(root), **_digest_of(root.public_key), **_about_crl(crl)}

    def _sign_request(self, step: SignRequest) -> dict[str, Any]:
        request = _request(self._script, step)
        authority = self._opened()
        with authority.open_store() as store, store.reading() as reader:
            known = [one.certificate for one in reader.certificates(Role(step.role)) if one.revoked_at is None]
        # Where the machine stopped after the signing, the certificate is there.
        found = [one for one in known if one.public_key == request.public_key]
        if found and found[-1].subject.common_name == step.common_name:
            certificate = found[-1]
        else:
            certificate = authority.certify(
                Role(step.role), at=self._now, request=request.der, common_name=step.common_name, days=step.days
            ).certificate
        write_file(self._out / step.certificate, certificate.pem.encode())
        return {"request_sha256": step.sha256, **_about(certificate), **_digest_of(certificate.public_key)}

    def _link(self, step: LinkRoot) -> dict[str, Any]:
        authority = self._opened()
        successor = _successor(self._script, step, authority.policy)
        with authority.open_store() as store, self._custody.open(self._script.key) as signer:
            iaca = Iaca(authority.root, signer)
            with store.transaction(at=self._now(), actor=Actor.CEREMONY_OFFICER) as tx:
                serial, now = tx.take_serial(self._script.key), tx.at
            certificate = iaca.link(successor, not_before=now, serial=serial)
            with store.transaction(at=self._now(), actor=Actor.CEREMONY_OFFICER) as tx:
                tx.add_certificate(certificate, Role.LINK, issuer=authority.root.fingerprint, key=None)
        write_file(self._out / step.certificate, certificate.pem.encode())
        return {"successor_sha256": step.sha256, **_about(certificate), **_digest_of(certificate.public_key)}

    def _publish(self, step: PublishCrl) -> dict[str, Any]:
        revoke = [int(one, 16) for one in step.revoke]
        published = self._opened().publish_crl(at=self._now, revoke=revoke, days=step.days)
        write_file(self._out / step.file, published.crl.der)
        return _about_crl(published.crl)

    def _about_root(self) -> dict[str, Any]:
        return {"root_sha256": self._opened().root.fingerprint.hex()}

    def _opened(self) -> Authority:
        """The root's authority; the record names its root from then on."""
        authority = Authority(self._authority, secret=self._secret, actor=Actor.CEREMONY_OFFICER)
        self._record = replace(self._record, root=authority.root)
        return authority

    # --- the record ---

    def _write(self, entry: Entry, *, instead: bool = False) -> None:
        """Put an entry into the record, behind the last one or in its place, and the record onto the disk."""
        before = self._record.transcript[:-1] if instead else self._record.transcript
        self._record = replace(self._record, transcript=(*before, entry))
        self._save()

    def _save(self) -> None:
        write_file(self._out / RECORD_FILE, self._record.encode())
        write_file(self._out / DOCUMENT_FILE, self._record.document().encode())

    def _sign(self, entry: Entry) -> None:
        record = replace(self._record, transcript=(*self._record.transcript[:-1], entry))
        self._record = record
        self._log()
        with self._opened().open_store() as store, self._custody.open(self._script.key) as signer:
            digest = hashlib.sha256(self._record.encode()).digest()
            with store.transaction(at=self._now(), actor=Actor.CEREMONY_OFFICER) as tx:
                tx.use_key(self._script.key, "ceremony-record", digest=digest)
            self._record = self._record.sign(signer)
        self._record.verify()
        self._save()

    # --- the audit log ---

    def _log(self) -> None:
        """Tell the audit log of every step that is done and not yet in it, once there is an authority."""
        if self._record.root is None:
            return
        with self._opened().open_store() as store:
            with store.reading() as reader:
                told = _told(reader.audit_records())
            with store.transaction(at=self._now(), actor=Actor.CEREMONY_OFFICER) as tx:
                for one in self._record.done.values():
                    if one.digest not in told:
                        tx.record(Event.CEREMONY_STEP, step=f"{one.step} {one.do}", digest=one.digest)

    def _hold_to_log(self) -> None:
        """Refuse a transcript of an earlier sitting that is not the one that the audit log tells of."""
        if self._record.root is None:
            return
        with self._opened().open_store() as store, store.reading() as reader:
            told = _told(reader.audit_records())
        missing = [one.step for one in self._record.done.values() if one.digest not in told]
        # The machine may have stopped between the record and the log, which begins with the root.
        last, first = max(self._record.done, default=0), 1
        if self._script.root_step is not None:
            first += self._script.steps.index(self._script.root_step)
        if missing and last > first and missing != [last]:
            message = "the record of what was done before is not what the audit log tells of: it was changed"
            raise VerificationError(message, code="ceremony.changed")

    def _refuse(self, error: MdlError) -> None:
        """Put on record that a step was refused, as far as there is a log."""
        with suppress(MdlError):
            if self._record.root is not None:
                self._opened().refuse("ceremony", error.code, at=self._now(), actor=Actor.CEREMONY_OFFICER)

    def _now(self) -> datetime:
        now = self._clock().replace(microsecond=0)
        self._last = now if self._last is None else max(now, self._last)
        return self._last


def _told(records: Any) -> set[bytes]:
    """The digests of the steps that an audit log tells of."""
    found = (AuditRecord.decode(one.record) for one in records)
    return {one.subjects["digest"] for one in found if one.event is Event.CEREMONY_STEP}


def _about(certificate: Certificate) -> dict[str, Any]:
    return {
        "subject": str(certificate.subject),
        "serial": f"{certificate.serial:x}",
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "certificate_sha256": certificate.fingerprint.hex(),
        "certificate": certificate.pem,
    }


def _about_crl(crl: Crl) -> dict[str, Any]:
    return {
        "crl_number": crl.number,
        "crl_next_update": None if crl.next_update is None else crl.next_update.isoformat(),
        "crl_revokes": [f"{serial:x}" for serial in crl.revoked],
        "crl_sha256": hashlib.sha256(crl.der).hexdigest(),
        "crl": crl.der.hex(),
    }


def _digest_of(key: PublicKey) -> dict[str, Any]:
    return {"public_key_sha256": hashlib.sha256(key.spki).hexdigest()}

"""Hold a ceremony: rehearse the script, then announce, have confirmed, carry out and write down each of its steps.

    rehearse   the whole script with throwaway keys in memory; nothing is made, no token is opened
    hold       step by step; the record is on the disk before a step is begun and after it is done

A ceremony that is broken off, by an error, by an operator or by the power, leaves the record of what was done, not
signed. Held again with the same script and the same folder of results it goes on after the last step that was done.

What is believed of a record between two sittings. Every entry of the transcript goes into the audit log of the root's
authority by its digest, with the ceremony that it is of; a transcript goes on only if it is the one that the log tells
of, entry by entry. All else but the time when the ceremony began is taken from the script again. The log begins when
the root key is provided: until then nothing is kept between sittings, and the ceremony begins anew. One entry only may
be unknown to the log, the last, where the machine stopped before the log was told: it does not count as done. It stays
as begun, with the script's own words, if enough operators are said to have confirmed it; that they did, and when, is
all that nothing but the file bears out. The log is as safe as the authority's folder: whoever can write that can write
a log anew, which shows against a checkpoint that is kept elsewhere.

What is signed again. A certificate, a link or a CRL that came into the store before the machine stopped is found, and
not signed twice. Where it stopped between the signing and the store, what was signed is lost: the step signs again,
under another number, and the log tells of both uses of the key. So it is with the record, whose bytes are the same.
A key is not taken for one that was made here, unless the log says so.

The root's authority is a folder like any other (`issuer.authority`), whose token has the root key and no other; it has
no connection to the online side but the files that are carried there and back (`issuer.handover`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

from issuer.audit import Acting, Actor, AuditRecord, Event
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
    asked_of,
)
from issuer.certificate_files import make_folder
from issuer.certificates import Iaca, contacts_of
from issuer.custody import Custody
from issuer.folder import State, lock, read_file, write_file
from issuer.founding import Founding, check_crl_days
from issuer.keystore import Pkcs11Uri, SecretHandler, list_keys
from issuer.policy import IssuancePolicy
from issuer.signers import CERTIFIED, check_asked_role
from issuer.store import CertificateRecord, Clock, Role, SqliteStore, Store
from issuer.workplace import STATE_FILE, STORE_FILE
from mdl.cbor import TDate
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError, SigningError, VerificationError
from mdl.keys import PublicKey, Signer, SoftwareSigner
from mdl.pki import AttributeId, Certificate, CertificateRequest, Crl, ExtensionId, Subject, decode_csr

__all__ = ["Announcement", "Ceremony", "Confirm", "Phrase", "rehearse"]

RECORD_FILE: Final = "record.json"
DOCUMENT_FILE: Final = "record.md"
_ROOT_FILE: Final = "iaca.pem"
_CRL_FILE: Final = "iaca.crl"
_TRIES: Final = 3
_BROKEN_OFF: Final = "ceremony.broken_off"
# What may be done again because it signs nothing, and is refused where it would make a second key.
_REPEATABLE: Final = ("token", "key")
_TRIED: Final = (Outcome.BEGUN, Outcome.FAILED)
_NOT_FOUNDED: Final = ("authority.missing", "authority.unfinished")
# What a root has by its key, and not by what was asked for.
_OF_THE_KEY: Final = (ExtensionId.SUBJECT_KEY_IDENTIFIER, ExtensionId.AUTHORITY_KEY_IDENTIFIER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What the operators are told before they confirm a step.

    Attributes:
        number: The step's place, counted from 1.
        count: How many steps there are.
        do: Which kind of step.
        says: What will be done, in one line.
        asked: The parameters.
        time: What the clock of this machine shows: it is in what is signed, and whoever confirms the step confirms it.
    """

    number: int
    count: int
    do: str
    says: str
    asked: Mapping[str, Any]
    time: datetime


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


def rehearse(script: Script, authority: Path, *, at: datetime, after: int = 0, signed: Collection[bytes] = ()) -> None:
    """Try out a script with throwaway keys in memory; nothing is made, and no token is opened.

    Args:
        script: The script.
        authority: The folder of the root's authority: empty or absent where the script makes the root.
        at: The time, aware UTC.
        after: How many steps were done before; these are not tried again.
        signed: SHA-256 of the certificates that the next step has signed already, where it was broken off behind that.

    Raises:
        MdlError: Something is wrong with it: what a step would make breaks its profile or the policy, a file is not
            the one that the script names, or the folder does not fit.
    """
    making = script.root_step is not None and after < 1 + script.steps.index(script.root_step)
    key = next(one for one in script.steps if isinstance(one, ProvideKey))
    throwaway = SoftwareSigner.generate(key.curve)
    if making and script.root_step is not None:
        if (authority / STATE_FILE).exists() and State.decode(read_file(authority / STATE_FILE), authority).ready:
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
        keys: set[bytes] = set()
    else:
        known = Authority(authority)
        with known.open_store() as store, store.reading() as reader:
            records = [one for one in reader.certificates() if one.certificate.fingerprint not in signed]
            certificates = [one.certificate for one in records]
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
        keys = {one.spki for one in certificates}
    for step in script.steps[after:]:
        if isinstance(step, SignRequest):
            if step.common_name in taken:
                message = f"the name '{step.common_name}' is taken: each certificate has a name of its own"
                raise LocalProtocolError(message, code="authority.name_taken", clause="18013-5 Annex B")
            taken.add(step.common_name)
            request = _request(script, step)
            if request.public_key.spki in keys:
                message = f"the key of the request {step.request} has a certificate already: a key does one thing"
                raise IssuanceError(message, code="request.key_certified")
            keys.add(request.public_key.spki)
            _certify(iaca, step, request, policy, at=at)
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
    """The request of a step: the one that the script means, signed by its own key, for the role of the step."""
    request = decode_csr(read_file(script.folder / step.request))
    _pinned(request.der, step.sha256, step.request)
    check_asked_role(request, Role(step.role), file=step.request)
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
        actor: Acting | None = None,
        modules: Collection[str | os.PathLike[str]] = (),
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
            actor: In which role it is held; None for the ceremony officer's.
            modules: PKCS#11 modules that the script may name beside those of the system's own libraries.

        Raises:
            DecodeError: The script names another module (code ``ceremony.module``).
        """
        script.check_module(modules)
        self._actor = actor or Acting(Actor.CEREMONY_OFFICER)
        self._script = script
        self._authority = Path(authority).absolute()
        self._out = Path(out).absolute()
        self._confirm = confirm
        self._secret = secret
        self._clock = at
        self._tell = tell
        self._custody = Custody(Pkcs11Uri.parse(script.token), secret)
        self._last: datetime | None = None
        self._identity = _identity_of(script)
        self._founded = False
        self._tried: frozenset[int] = frozenset()
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
                or policy (``ceremony.other_script``); or the clock went back.
            IssuanceError: The policy lets nobody of this role hold it (code ``policy.role``).
            MdlError: The rehearsal refuses the script, or a step failed. What was done is on record.
        """
        if self._is_founded():
            self._officer().require("ceremony", at=self._clock)
        else:
            (self._script.policy or IssuancePolicy()).check_actor(self._actor.role, "ceremony")
        make_folder(self._out)
        with lock(self._out, exclusive=True):
            now = self._now()
            self._record = self._begun(now)
            done = self._record.done
            tried = {one.step for one in self._record.transcript if one.outcome in _TRIED}
            self._tried = frozenset(tried - done.keys())
            if self._root_number is None or self._root_number in done:
                self._opened()
            # The machine, or something else, stopped after the authority was founded, and before the log was told so.
            self._founded = self._root_number in self._tried and self._is_founded()
            after = len(done) + self._founded
            rehearse(self._script, self._authority, at=now, after=after, signed=self._signed_before(after + 1))
            if self._record.transcript:
                self._save()
                self._log()
            for number, step in enumerate(self._script.steps, 1):
                if number not in done:
                    self._perform(number, step)
            if self._record.signature is None:
                self._sign()
            return self._record

    @property
    def _root_number(self) -> int | None:
        """The place of the step that makes the root, if this ceremony does."""
        step = self._script.root_step
        return None if step is None else 1 + self._script.steps.index(step)

    def _is_founded(self) -> bool:
        """Whether there is an authority in the folder by now."""
        try:
            Authority(self._authority)
        except DecodeError as exc:
            if exc.code not in _NOT_FOUNDED:
                raise
            return False
        return True

    # --- what is believed of an earlier sitting ---

    def _begun(self, now: datetime) -> CeremonyRecord:
        """The record so far: of a ceremony that was broken off, as far as it is believed, or of one that begins."""
        file, script = self._out / RECORD_FILE, self._script
        fresh = CeremonyRecord(
            title=script.title,
            place=script.place,
            script=script.digest,
            policy=script.policy_digest,
            operators=tuple(Witness(name=one.name, duty=one.duty) for one in script.operators),
            confirmations=script.confirmations,
            token=script.token,
            key=script.key,
            began=now,
        )
        if not os.path.lexists(file):
            self._refuse_foreign()
            return fresh
        record = CeremonyRecord.decode(read_file(file))
        if record.signature is not None:
            message = f"{file} is the record of a ceremony that is over: name another folder for the results"
            raise LocalProtocolError(message, code="ceremony.finished")
        if (record.script, record.policy) != (script.digest, script.policy_digest):
            message = f"the ceremony in {self._out} was begun with another script or policy: go on with that one"
            raise LocalProtocolError(message, code="ceremony.other_script")
        transcript = self._believed(record)
        if transcript is None:
            self._tell("there is no log yet that bears out what was done before: the ceremony begins anew")
            return fresh
        times = [one.ended or one.began for one in transcript]
        if any(one > now for one in (record.began, *times)):
            message = "the time lies before that of the last step: look at the clock"
            raise LocalProtocolError(message, code="authority.clock")
        self._tell(f"going on with the ceremony that began at {record.began:%Y-%m-%d %H:%M:%S}Z")
        return replace(fresh, began=record.began, transcript=transcript)

    def _refuse_foreign(self) -> None:
        """Refuse a folder that has files by the names of results, and no record that says what they came from."""
        names = [DOCUMENT_FILE, *self._script.results]
        taken = [name for name in names if os.path.lexists(self._out / name)]
        if taken:
            message = f"{self._out / taken[0]} is there already and of no ceremony: name another folder for the results"
            raise LocalProtocolError(message, code="ceremony.occupied")

    def _believed(self, record: CeremonyRecord) -> tuple[Entry, ...] | None:
        """The transcript as far as the log bears it out; None where there is no log yet that could."""
        with self._store() as store:
            sittings = {} if store is None else self._told(store)
        entries, began = record.transcript, TDate.of(record.began).text
        if self._root_number is not None and began not in sittings:
            # The key is not provided: only what signs nothing can have been done, and what nobody confirmed.
            signed = any(one.do not in _REPEATABLE and one.outcome is not Outcome.NOT_CONFIRMED for one in entries)
            if signed or (sittings and len(entries) > 1):
                _changed()
            return None
        told = [one.subjects["digest"] for one in sittings.get(began, [])]
        if [one.digest for one in entries[: len(told)]] != told or len(entries) > len(told) + 1:
            _changed()
        known, unknown = entries[: len(told)], entries[len(told) :]
        return known + tuple(self._held_again(one, record, known) for one in unknown if self._is_confirmed(one))

    def _is_confirmed(self, entry: Entry) -> bool:
        """Whether enough different operators are said to have confirmed a step."""
        named = [one.operator for one in entry.confirmed]
        return (
            len(named) == len({*named})
            and {*named} <= {one.name for one in self._script.operators}
            and len(named) >= self._script.confirmations
        )

    def _held_again(self, entry: Entry, record: CeremonyRecord, known: tuple[Entry, ...]) -> Entry:
        """What stays of a last entry that the log does not know: that a step was begun, in the script's own words."""
        number = 1 + sum(one.outcome is Outcome.DONE for one in known)
        if entry.step != number or number > len(self._script.steps) or entry.digest in {one.digest for one in known}:
            _changed()
        moments = [record.began, *(one.ended or one.began for one in known), entry.began]
        moments += [one.time for one in entry.confirmed]
        if moments != sorted(moments):
            _changed()
        step = self._script.steps[number - 1]
        return Entry(
            step=number,
            do=step.do,
            says=step.says,
            asked=asked_of(step),
            confirmed=entry.confirmed,
            began=entry.began,
            ended=None,
            outcome=Outcome.BEGUN,
            code=_BROKEN_OFF,
        )

    # --- a step ---

    def _perform(self, number: int, step: Step) -> None:
        asked = asked_of(step)
        began = self._now()
        announced = Announcement(
            number=number, count=len(self._script.steps), do=step.do, says=step.says, asked=asked, time=began
        )
        entry = Entry(
            step=number,
            do=step.do,
            says=step.says,
            asked=asked,
            confirmed=(),
            began=began,
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
            came = self._carry_out(number, step)
        except MdlError as exc:
            self._write(replace(entry, ended=self._now(), outcome=Outcome.FAILED, code=exc.code), instead=True)
            self._refuse(exc)
            raise
        self._write(replace(entry, ended=self._now(), outcome=Outcome.DONE, came=came), instead=True)
        self._log()
        if step.do == "record":
            self._sign()
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

    def _carry_out(self, number: int, step: Step) -> dict[str, Any]:
        match step:
            case CheckToken():
                return self._check_token()
            case ProvideKey():
                return self._provide_key(step)
            case MakeRoot():
                return self._make_root(step)
            case SignRequest():
                return self._sign_request(number, step)
            case LinkRoot():
                return self._link(number, step)
            case PublishCrl():
                return self._publish(number, step)
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
            write_file(self._authority / STATE_FILE, state.encode())
            # The log begins here; the founding finds the store, and goes on in it.
            SqliteStore(self._authority / STORE_FILE, create=True).close()
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
        founding = _founding(self._script, step)
        if self._founded:
            authority = self._officer()
        else:
            authority = Authority.found(
                self._authority, founding, at=self._now(), secret=self._secret, actor=self._actor
            )
        root, crl = authority.root, authority.current_crl
        (key,) = [one.came["public_key_sha256"] for one in self._record.done.values() if one.do == "key"]
        if _digest_of(root.public_key)["public_key_sha256"] != key or not _is_as_meant(authority, founding):
            message = "the authority in the folder has another root than this ceremony makes"
            raise VerificationError(message, code="ceremony.root")
        self._record = replace(self._record, root=root)
        write_file(self._out / _ROOT_FILE, root.pem.encode(), own=False)
        write_file(self._out / _CRL_FILE, crl.der, own=False)
        return {**_about(root), **_digest_of(root.public_key), **_about_crl(crl)}

    def _sign_request(self, number: int, step: SignRequest) -> dict[str, Any]:
        request = _request(self._script, step)
        authority = self._opened()
        certificate = self._certified_before(number, step, request)
        if certificate is None:
            certificate = authority.certify(
                Role(step.role), at=self._now, request=request.der, common_name=step.common_name, days=step.days
            ).certificate
        write_file(self._out / step.certificate, certificate.pem.encode(), own=False)
        return {"request_sha256": step.sha256, **_about(certificate), **_digest_of(certificate.public_key)}

    def _link(self, number: int, step: LinkRoot) -> dict[str, Any]:
        authority = self._opened()
        successor = _successor(self._script, step, authority.policy)

        def is_this(one: CertificateRecord) -> bool:
            link = one.certificate
            return (link.public_key, link.subject) == (successor.public_key, successor.subject)

        certificate = self._issued_before(number, Role.LINK, is_this)
        if certificate is None:
            certificate = self._sign_link(authority, successor)
        write_file(self._out / step.certificate, certificate.pem.encode(), own=False)
        return {"successor_sha256": step.sha256, **_about(certificate), **_digest_of(certificate.public_key)}

    def _sign_link(self, authority: Authority, successor: Certificate) -> Certificate:
        with authority.open_store() as store, store.judged(), self._custody.open(self._script.key) as signer:
            iaca = Iaca(authority.root, signer)
            with store.transaction(at=self._now(), actor=self._actor) as tx:
                serial, now = tx.take_serial(self._script.key), tx.at
            certificate = iaca.link(successor, not_before=now, serial=serial)
            with store.transaction(at=self._now(), actor=self._actor) as tx:
                tx.add_certificate(certificate, Role.LINK, issuer=authority.root.fingerprint, key=None)
        return certificate

    def _publish(self, number: int, step: PublishCrl) -> dict[str, Any]:
        revoke = [int(one, 16) for one in step.revoke]
        authority = self._opened()
        crl = self._crl_before(number, step)
        if crl is None:
            crl = authority.publish_crl(at=self._now, revoke=revoke, days=step.days).crl
        write_file(self._out / step.file, crl.der, own=False)
        return _about_crl(crl)

    def _about_root(self) -> dict[str, Any]:
        return {"root_sha256": self._opened().root.fingerprint.hex()}

    def _officer(self) -> Authority:
        return Authority(self._authority, secret=self._secret, actor=self._actor)

    def _opened(self) -> Authority:
        """The root's authority; the record names its root from then on."""
        authority = self._officer()
        self._record = replace(self._record, root=authority.root)
        return authority

    # --- what a step that was broken off has signed already ---

    def _since(self, store: Store, number: int) -> list[AuditRecord]:
        """What the log tells of since the last step that was done, if this one was begun in an earlier sitting."""
        if number not in self._tried:
            return []
        done = {one.digest for one in self._record.done.values()}
        steps = self._told(store).get(TDate.of(self._record.began).text, [])
        last = max((one.sequence for one in steps if one.subjects["digest"] in done), default=0)
        with store.reading() as reader:
            records = [AuditRecord.decode(one.record) for one in reader.audit_records(start=last + 1)]
        return [one for one in records if one.actor is self._actor.role]

    def _issued_before(
        self, number: int, role: Role, is_this: Callable[[CertificateRecord], bool]
    ) -> Certificate | None:
        with self._opened().open_store() as store:
            issued = [one for one in self._since(store, number) if one.event is Event.CERTIFICATE_ISSUED]
            fingerprints = {one.subjects["certificate"] for one in issued}
            with store.reading() as reader:
                found = [
                    one.certificate
                    for one in reader.certificates(role)
                    if one.certificate.fingerprint in fingerprints and one.revoked_at is None and is_this(one)
                ]
        return found[-1] if found else None

    def _certified_before(self, number: int, step: SignRequest, request: CertificateRequest) -> Certificate | None:
        def is_this(one: CertificateRecord) -> bool:
            own = one.certificate
            life = timedelta(days=step.days)
            return (own.public_key, own.subject.common_name, own.not_after - own.not_before) == (
                request.public_key,
                step.common_name,
                life,
            )

        return self._issued_before(number, Role(step.role), is_this)

    def _signed_before(self, number: int) -> frozenset[bytes]:
        """SHA-256 of what the next step has certified already, for the rehearsal."""
        step = self._script.steps[number - 1] if number in self._tried else None
        if not isinstance(step, SignRequest):
            return frozenset()
        found = self._certified_before(number, step, _request(self._script, step))
        return frozenset() if found is None else frozenset({found.fingerprint})

    def _crl_before(self, number: int, step: PublishCrl) -> Crl | None:
        authority = self._opened()
        with authority.open_store() as store:
            signed = [one for one in self._since(store, number) if one.event is Event.CRL_SIGNED]
        crl = authority.current_crl
        if hashlib.sha256(crl.der).digest() not in {one.subjects["digest"] for one in signed}:
            return None
        fits = crl.next_update == crl.this_update + timedelta(days=step.days)
        return crl if fits and {int(one, 16) for one in step.revoke} <= {*crl.revoked} else None

    # --- the record ---

    def _write(self, entry: Entry, *, instead: bool = False) -> None:
        """Put an entry into the record, behind the last one or in its place, and the record onto the disk."""
        before = self._record.transcript[:-1] if instead else self._record.transcript
        self._record = replace(self._record, transcript=(*before, entry))
        self._save()

    def _save(self) -> None:
        write_file(self._out / RECORD_FILE, self._record.encode(), own=False)
        write_file(self._out / DOCUMENT_FILE, self._record.document().encode(), own=False)

    def _sign(self) -> None:
        """Sign the record, in which every step is done by now."""
        with self._opened().open_store() as store, store.judged(), self._custody.open(self._script.key) as signer:
            digest = hashlib.sha256(self._record.encode()).digest()
            with store.transaction(at=self._now(), actor=self._actor) as tx:
                tx.use_key(self._script.key, "ceremony-record", digest=digest)
            signed = self._record.sign(signer)
        signed.verify()
        self._record = signed
        self._save()

    # --- the audit log ---

    @contextmanager
    def _store(self) -> Iterator[Store | None]:
        """The store of the root's authority, or of the one that is being made; None where there is none yet."""
        file = self._authority / STORE_FILE
        if self._is_founded():
            with Authority(self._authority).open_store() as store:
                yield store
        elif self._root_number is not None and file.exists():
            with SqliteStore(file, create=True) as store:
                yield store
        else:
            yield None

    def _told(self, store: Store) -> dict[str, list[AuditRecord]]:
        """What the log tells of ceremonies by this script and policy: their entries, by when each of them began."""
        found: dict[str, list[AuditRecord]] = {}
        with store.reading() as reader:
            for kept in reader.audit_records():
                one = AuditRecord.decode(kept.record)
                if one.event is Event.CEREMONY_STEP and one.subjects.get("ceremony") == self._identity:
                    found.setdefault(one.subjects["began"], []).append(one)
        return found

    def _log(self) -> None:
        """Tell the audit log of every entry that is not yet in it, once there is one."""
        began = TDate.of(self._record.began).text
        with self._store() as store:
            if store is None:
                return
            known = len(self._told(store).get(began, []))
            with store.transaction(at=self._now(), actor=self._actor) as tx:
                for one in self._record.transcript[known:]:
                    tx.record(
                        Event.CEREMONY_STEP,
                        ceremony=self._identity,
                        began=began,
                        step=f"{one.step} {one.do}",
                        state=one.outcome.value,
                        digest=one.digest,
                    )

    def _refuse(self, error: MdlError) -> None:
        """Tell the log of a step that was refused, and why, as far as there is a log."""
        with suppress(MdlError):
            self._log()
            with self._store() as store:
                if store is not None:
                    with store.transaction(at=self._now(), actor=self._actor) as tx:
                        tx.refuse("ceremony", error.code)

    def _now(self) -> datetime:
        now = self._clock().replace(microsecond=0)
        self._last = now if self._last is None else max(now, self._last)
        return self._last


def _changed() -> NoReturn:
    message = "the record of what was done before is not what the audit log tells of: it was changed"
    raise VerificationError(message, code="ceremony.changed")


def _identity_of(script: Script) -> bytes:
    """By what the log knows a ceremony: its script and policy."""
    return hashlib.sha256(b"mdl-sdk ceremony 1\x00" + script.digest + (script.policy_digest or b"")).digest()


def _is_as_meant(authority: Authority, founding: Founding) -> bool:
    """Whether an authority that was found is the one that would have been made, but for its key."""
    root, crl = authority.root, authority.current_crl
    meant = founding.root(SoftwareSigner.generate(founding.curve), root.not_before).certificate

    def terms(one: Certificate) -> tuple[object, ...]:
        extensions = {oid: value for oid, value in one.extensions.items() if oid not in _OF_THE_KEY}
        return one.subject, one.issuer, one.not_after, one.public_key.curve, extensions

    return (
        terms(root) == terms(meant)
        and crl.next_update == crl.this_update + timedelta(days=founding.crl_days)
        and not crl.revoked
        and authority.doctype == founding.doctype
        and authority.policy == (founding.policy or IssuancePolicy())
    )


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

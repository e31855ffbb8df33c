"""The record of a ceremony: what was asked, who confirmed it, what came of it; JSON that the root key has signed.

The record is the file: one form of JSON (indented by two, ASCII, members in their fixed order), so that what is read is
what was signed, and a file in any other form is refused. Its last member is the signature, a COSE_Sign1 with a detached
payload: the same file with ``null`` in its place. COSE, and not bare bytes, for two reasons: the algorithm is part of
what is signed, and a COSE Sig_structure is CBOR that begins with 84 6A, so that no signature over it can be taken for
one over a certificate or a CRL, which are DER. The root's keyUsage names certificates and CRLs only; nothing that
validates paths reads a record, and no other key is as sure to have been in the room.

The readable document is made from the record, and from nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NoReturn

from issuer.ceremony.names import are_distinct, shown_name
from issuer.ceremony.script import Script, asked_of
from mdl.cbor import TDate, decode
from mdl.cose import CoseSign1, decode_sign1, protected_header, sig_structure
from mdl.errors import DecodeError, MdlError, SigningError, VerificationError
from mdl.keys import Signer, signature_of, signing_key_of
from mdl.pki import Certificate, Crl, Severity, lint_certificate
from mdl.pki.profiles import IACA

__all__ = ["CeremonyRecord", "Confirmation", "Entry", "Outcome", "Witness"]

_KIND: Final = "mdl-sdk ceremony record 1"
_KEY_ID: Final = 4  # the COSE header "kid"
_MAX_RECORD: Final = 16 * 1024 * 1024
_MEMBERS: Final = (
    *("kind", "title", "place", "script", "policy", "operators", "confirmations", "token", "key", "began", "root"),
)


class Outcome(StrEnum):
    """What became of a step."""

    BEGUN = "begun"
    """Confirmed and begun; where a record ends with it, the machine stopped in the middle."""
    DONE = "done"
    FAILED = "failed"
    NOT_CONFIRMED = "not confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """An operator as the record names one."""

    name: str
    duty: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """That an operator confirmed a step.

    Attributes:
        operator: The name.
        time: When.
        means: How the phrase came: ``typed`` at a prompt, from a ``file``, or from a ``program``.
    """

    operator: str
    time: datetime
    means: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A step in the transcript.

    Attributes:
        step: Its place in the script, counted from 1.
        do: Which kind of step.
        says: What was announced.
        asked: The step's parameters.
        confirmed: Who confirmed it.
        began: When it was announced.
        ended: When it was over; None where it is not.
        outcome: What became of it.
        came: What came of it: fingerprints, certificates, numbers.
        code: Code of the error that ended it, or None.
    """

    step: int
    do: str
    says: str
    asked: Mapping[str, Any]
    confirmed: tuple[Confirmation, ...]
    began: datetime
    ended: datetime | None
    outcome: Outcome
    came: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None

    def members(self) -> dict[str, Any]:
        """The entry as plain values."""
        return {
            "step": self.step,
            "do": self.do,
            "says": self.says,
            "asked": dict(self.asked),
            "confirmed": [{"operator": c.operator, "time": _text(c.time), "means": c.means} for c in self.confirmed],
            "began": _text(self.began),
            "ended": None if self.ended is None else _text(self.ended),
            "outcome": self.outcome.value,
            "came": dict(self.came),
            "code": self.code,
        }

    @property
    def digest(self) -> bytes:
        """SHA-256 of the entry; the audit log tells it."""
        return hashlib.sha256(_json(self.members())).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CeremonyRecord:
    """A record, finished or not.

    Attributes:
        title: What the ceremony was.
        place: Where.
        script: SHA-256 of the script.
        policy: SHA-256 of the policy that the script names, or None where it names none.
        operators: Who was there to confirm.
        confirmations: How many of them confirm each step.
        token: URI of the token.
        key: Label of the root key.
        began: When it began.
        root: The root certificate, or None as long as there is none.
        transcript: What was done, in its order.
        signature: The COSE_Sign1 message with a detached payload, or None where the ceremony is not finished.
    """

    title: str
    place: str
    script: bytes
    operators: tuple[Witness, ...]
    confirmations: int
    token: str
    key: str
    began: datetime
    policy: bytes | None = None
    root: Certificate | None = None
    transcript: tuple[Entry, ...] = ()
    signature: bytes | None = None

    @property
    def done(self) -> Mapping[int, Entry]:
        """The steps that were done, by their place in the script."""
        return {one.step: one for one in self.transcript if one.outcome is Outcome.DONE}

    def encode(self) -> bytes:
        """The file."""
        return _json({
            "kind": _KIND,
            "title": self.title,
            "place": self.place,
            "script": self.script.hex(),
            "policy": None if self.policy is None else self.policy.hex(),
            "operators": [{"name": one.name, "duty": one.duty} for one in self.operators],
            "confirmations": self.confirmations,
            "token": self.token,
            "key": self.key,
            "began": _text(self.began),
            "root": None if self.root is None else self.root.pem,
            "transcript": [one.members() for one in self.transcript],
            "signature": None if self.signature is None else self.signature.hex(),
        })  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> CeremonyRecord:
        """Read a record; whether it is true is for `verify`.

        Raises:
            DecodeError: It is none, or not in the one form that a record has (code ``ceremony.record``).
        """
        if len(data) > _MAX_RECORD:
            _malformed("it is too long", "")
        value: Any = None
        try:
            value = json.loads(data.decode("ascii"))
        except (ValueError, RecursionError):
            _malformed("it is not JSON in ASCII", "")
        record = _read_record(value)
        if record.encode() != data:
            _malformed("it is not in the one form that a record has", "")
        return record

    def sign(self, signer: Signer) -> CeremonyRecord:
        """Sign the record.

        Args:
            signer: The root key.

        Raises:
            SigningError: The custodian refused, failed or signed wrongly, or holds another key than the root's.
        """
        key = signing_key_of(signer)
        if self.root is None or self.root.public_key != key:
            raise SigningError("a record is signed by the key of its root", code="signing.wrong_key")
        protected = protected_header(key.algorithm.cose_id)
        payload = replace(self, signature=None).encode()
        unprotected = {_KEY_ID: hashlib.sha256(key.spki).digest()}
        message = CoseSign1(
            protected,
            {1: key.algorithm.cose_id},
            unprotected,
            None,
            signature_of(signer, sig_structure(protected, payload)),
        )
        try:
            message.verify(key, detached=payload)
        except VerificationError as exc:
            text = "the custodian's signature does not verify with the root's key; the record is not signed"
            raise SigningError(text, code="signing.wrong_signature") from exc
        return replace(self, signature=message.encode())

    def verify(self, root: Certificate | None = None, *, script: Script | None = None) -> tuple[str, ...]:
        """Check the record: signature, confirmations, order, and every certificate and CRL in it.

        Args:
            root: The root as the verifier knows it. None takes the record's own: then it proves nothing until the
                fingerprint is compared with one that came another way.
            script: The script that the ceremony was held by: the record must be of it, step by step. None leaves open
                what was meant to be done.

        Returns:
            What was checked, a line each.

        Raises:
            VerificationError: Something is not as it must be (codes ``ceremony.unfinished``, ``ceremony.root``,
                ``ceremony.signature``, ``ceremony.confirmations``, ``ceremony.sequence``, ``ceremony.result``,
                ``ceremony.other_script``).
        """
        if self.signature is None or self.root is None:
            _untrue("it is not finished, and nobody has signed it", "unfinished")
        if root is not None and root != self.root:
            _untrue("it is of another root", "root")
        grave = [one for one in lint_certificate(self.root, IACA) if one.severity is Severity.ERROR]
        if grave:
            _untrue("its root breaks the profile of roots", "root")
        try:
            self.root.verify_signature(self.root.public_key)
            message = decode_sign1(decode(self.signature))
            if dict(message.unprotected) != {_KEY_ID: hashlib.sha256(self.root.public_key.spki).digest()}:
                raise VerificationError("the signature names another key", code="ceremony.signature")
            message.verify(self.root.public_key, detached=replace(self, signature=None).encode())
        except MdlError as exc:
            text = "this is no true record of a ceremony: the root key has not signed it as it is"
            raise VerificationError(text, code="ceremony.signature") from exc
        self._verify_sequence()
        self._verify_confirmations()
        results = sum(_verify_results(one, self.root) for one in self.transcript if one.outcome is Outcome.DONE)
        facts = [
            f"signed by the key of the root {self.root.fingerprint.hex()}",
            f"{len(self.done)} steps, all confirmed by {self.confirmations} of {len(self.operators)} operators",
            f"{results} certificates and CRLs in it, all signed by that root",
        ]
        if script is not None:
            self._verify_script(script)
            facts.append(
                f"every step is one of the script {script.digest.hex()}, as it stands there, and none is missing"
            )
        broken = [one.step for one in self.transcript if one.outcome is Outcome.BEGUN]
        if broken:
            steps = ", ".join(map(str, broken))
            facts.append(f"step {steps} was broken off and begun again; that it was confirmed, the record alone says")
        return tuple(facts)

    def _verify_script(self, script: Script) -> None:
        own = (self.title, self.place, self.script, self.policy, self.confirmations, self.token, self.key)
        meant = (
            script.title, script.place, script.digest, script.policy_digest, script.confirmations, script.token,
            script.key,
        )  # fmt: skip
        people = [(one.name, one.duty) for one in script.operators]
        if own != meant or [(one.name, one.duty) for one in self.operators] != people:
            _untrue("it is of another script or policy, or names what that does not", "other_script")
        if len(self.done) != len(script.steps):
            _untrue("it does not have the steps of its script", "other_script")
        for one in self.transcript:
            step = script.steps[one.step - 1] if 1 <= one.step <= len(script.steps) else None
            if step is None or (one.do, one.says, dict(one.asked)) != (step.do, step.says, asked_of(step)):
                _untrue(f"step {one.step} is not the one of its script", "other_script")

    def _verify_sequence(self) -> None:
        steps = [one.step for one in self.transcript if one.outcome is Outcome.DONE]
        if steps != [*range(1, len(steps) + 1)] or not self.transcript or self.transcript[-1].do != "record":
            _untrue("its steps are not those of a ceremony from beginning to end", "sequence")
        last = self.began
        for one in self.transcript:
            ended = () if one.ended is None else (one.ended,)  # a step that was broken off has no end
            for moment in (one.began, *(c.time for c in one.confirmed), *ended):
                if moment < last:
                    _untrue(f"the times of step {one.step} are out of order", "sequence")
                last = moment

    def _verify_confirmations(self) -> None:
        names = {one.name for one in self.operators}
        if not are_distinct(one.name for one in self.operators) or not 2 <= self.confirmations <= len(names):
            _untrue("it does not name two operators", "confirmations")
        for one in self.transcript:
            theirs = [given.operator for given in one.confirmed]
            short = one.outcome is not Outcome.NOT_CONFIRMED and len(theirs) < self.confirmations
            if short or len({*theirs}) != len(theirs) or not names.issuperset(theirs):
                _untrue(
                    f"step {one.step} was not confirmed by {self.confirmations} different operators", "confirmations"
                )

    def document(self) -> str:
        """The readable document, Markdown."""
        lines = [f"# {_plain(self.title)}", ""]
        status = "finished and signed" if self.signature is not None else "NOT FINISHED: nobody has signed this record"
        rows = [
            ("Status", status),
            ("Place", self.place or "not stated"),
            ("Began", _text(self.began)),
            ("Token", self.token),
            ("Root key", self.key),
            ("Script, SHA-256", self.script.hex()),
            ("Policy, SHA-256", "none" if self.policy is None else self.policy.hex()),
        ]
        if self.root is not None:
            rows += [
                ("Root", str(self.root.subject)),
                ("Root valid", f"{_text(self.root.not_before)} to {_text(self.root.not_after)}"),
                ("Root, SHA-256 of the certificate", self.root.fingerprint.hex()),
                ("Root, SHA-256 of the public key", hashlib.sha256(self.root.public_key.spki).hexdigest()),
            ]
        lines += _table(("", ""), rows)
        lines += [
            "",
            "## Operators",
            "",
            f"Each step that was done was confirmed by {self.confirmations} of them, or more.",
            "",
        ]
        lines += _table(
            ("Name", "Duty", "Signature by hand"), [(shown_name(one.name), one.duty, "") for one in self.operators]
        )
        lines += ["", "## Transcript"]
        for one in self.transcript:
            lines += ["", f"### Step {one.step}: {one.do} ({one.outcome.value})", "", _plain(one.says), ""]
            told = [(f"asked: {name}", _shown(value)) for name, value in one.asked.items()]
            told += [("confirmed", f"{shown_name(c.operator)}, {_text(c.time)}, {c.means}") for c in one.confirmed]
            told += [("began", _text(one.began)), ("ended", "never" if one.ended is None else _text(one.ended))]
            told += [(name, _shown(value)) for name, value in one.came.items() if name not in ("certificate", "crl")]
            told += [] if one.code is None else [("ended by", one.code)]
            lines += _table(("", ""), told)
        for one in self.transcript:
            if "certificate" in one.came:
                lines += ["", f"## Certificate of step {one.step}", "", "```", one.came["certificate"].strip(), "```"]
        if any(c.means != "typed" for one in self.transcript for c in one.confirmed):
            lines += ["", "Some confirmations were not typed at a prompt: this was a rehearsal or a test."]
        lines += [
            "",
            "The signed record is the JSON file beside this document: `mdl issuer ceremony verify record.json`.",
        ]
        return "\n".join(lines) + "\n"


def _verify_results(entry: Entry, root: Certificate) -> int:
    """Check what came of a step against its fingerprints and the root; how many things that were."""
    found = 0
    came = entry.came
    try:
        if entry.do in ("root", "record"):
            told = came["certificate_sha256"] if entry.do == "root" else came["root_sha256"]
            _same(told == root.fingerprint.hex())
        if "certificate" in came:
            certificate = Certificate.decode_any(came["certificate"].encode())
            certificate.verify_signature(root.public_key)
            _same(certificate.fingerprint.hex() == came["certificate_sha256"])
            found += 1
        if "crl" in came:
            crl = Crl.decode(bytes.fromhex(came["crl"]))
            crl.verify_signature(root.public_key)
            _same(hashlib.sha256(crl.der).hexdigest() == came["crl_sha256"] and crl.number == came["crl_number"])
            found += 1
    except (MdlError, LookupError, AttributeError, TypeError, ValueError) as exc:
        text = f"this is no true record of a ceremony: what came of step {entry.step} is not what it says"
        raise VerificationError(text, code="ceremony.result") from exc
    return found


def _same(is_same: bool) -> None:  # noqa: FBT001 - a comparison
    if not is_same:
        raise VerificationError("a fingerprint is another", code="ceremony.result")


# --- one form --------------------------------------------------------------------------------------------------------


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def _text(moment: datetime) -> str:
    return TDate.of(moment).text


def _read_record(value: Any) -> CeremonyRecord:
    members = _object(value, (*_MEMBERS, "transcript", "signature"), "")
    if members["kind"] != _KIND:
        _malformed("it is of another kind", "kind")
    try:
        pem = _optional(members, "root")
        root = None if pem is None else Certificate.decode_any(pem.encode())
    except (MdlError, ValueError) as exc:
        raise DecodeError("no record of a ceremony: its root does not decode", code="ceremony.record") from exc
    signature, policy = _optional(members, "signature"), _optional(members, "policy")
    operators = [_object(one, ("name", "duty"), "operators") for one in _list(members, "operators")]
    return CeremonyRecord(
        title=_string(members, "title"),
        place=_string(members, "place"),
        script=_bytes(_string(members, "script"), "script"),
        policy=None if policy is None else _bytes(policy, "policy"),
        operators=tuple(Witness(name=_string(one, "name"), duty=_string(one, "duty")) for one in operators),
        confirmations=_number(members, "confirmations"),
        token=_string(members, "token"),
        key=_string(members, "key"),
        began=_moment(members, "began"),
        root=root,
        transcript=tuple(_entry(one, f"transcript[{i}]") for i, one in enumerate(_list(members, "transcript"))),
        signature=None if signature is None else _bytes(signature, "signature"),
    )


def _entry(value: Any, path: str) -> Entry:
    names = ("step", "do", "says", "asked", "confirmed", "began", "ended", "outcome", "came", "code")
    members = _object(value, names, path)
    given = [_object(one, ("operator", "time", "means"), path) for one in _list(members, "confirmed")]
    outcome = _string(members, "outcome")
    if outcome not in {*Outcome}:
        _malformed("there is no such outcome", path)
    return Entry(
        step=_number(members, "step"),
        do=_string(members, "do"),
        says=_string(members, "says"),
        asked=_plain_values(members["asked"], f"{path}.asked"),
        confirmed=tuple(
            Confirmation(operator=_string(one, "operator"), time=_moment(one, "time"), means=_string(one, "means"))
            for one in given
        ),
        began=_moment(members, "began"),
        ended=None if members["ended"] is None else _moment(members, "ended"),
        outcome=Outcome(outcome),
        came=_plain_values(members["came"], f"{path}.came"),
        code=_optional(members, "code"),
    )


def _object(value: Any, names: Iterable[str], path: str) -> dict[str, Any]:
    if type(value) is not dict or [*value] != [*names]:
        _malformed("its members are not those of a record", path)
    return value


def _plain_values(value: Any, path: str) -> dict[str, Any]:
    """Texts, numbers, truth values, nothing, and arrays of texts, by name."""
    if type(value) is not dict:
        _malformed("must be an object", path)
    for one in value.values():
        if type(one) is list:
            if not all(type(inner) is str for inner in one):
                _malformed("holds something else than texts", path)
        elif one is not None and type(one) not in (str, int, bool):
            _malformed("holds something else than texts and numbers", path)
    return value


def _string(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if type(value) is not str:
        _malformed("must be a text", name)
    return value


def _optional(members: Mapping[str, Any], name: str) -> str | None:
    return None if members[name] is None else _string(members, name)


def _number(members: Mapping[str, Any], name: str) -> int:
    value = members[name]
    if type(value) is not int or not 0 < value < 1000:
        _malformed("must be a small number", name)
    return value


def _list(members: Mapping[str, Any], name: str) -> list[Any]:
    value = members[name]
    if type(value) is not list:
        _malformed("must be an array", name)
    return value


def _bytes(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        _malformed("must be hex", name)


def _moment(members: Mapping[str, Any], name: str) -> datetime:
    moment = TDate(_string(members, name))
    try:
        return moment.datetime
    except DecodeError:
        _malformed("must be a time", name)


def _malformed(what: str, path: str) -> NoReturn:
    raise DecodeError(f"no record of a ceremony: {what}", code="ceremony.record", path=path)


def _untrue(what: str, kind: str) -> NoReturn:
    raise VerificationError(f"this is no true record of a ceremony: {what}", code=f"ceremony.{kind}")


# --- the document ----------------------------------------------------------------------------------------------------


def _plain(text: str) -> str:
    """A text that Markdown takes for nothing but text."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>#|~" else char for char in text)


def _shown(value: Any) -> str:
    if type(value) is list:
        return ", ".join(value) or "nothing"
    if type(value) is bool:
        return "yes" if value else "no"
    return "not stated" if value is None else str(value)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join('---' for _ in heads)} |"]
    return lines + [f"| {' | '.join(map(_plain, row))} |" for row in rows]

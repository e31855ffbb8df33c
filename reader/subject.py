"""The harness protocol, by which a test harness in any language tests this reader.

One JSON object a line comes in, one a line goes out, with the same ``id`` and in the same order. The loop ends
only with the input: a line that is no task is answered with ``error``, a task that this reader does not know with
``unsupported``, and a response, however malformed, with ``accept`` or ``reject``.

    → {"id": "1", "task": "verify", "response": B64U, "trust_anchors": [PEM…], "session_transcript": B64U,
       "reader_key": PEM | null, "request": B64U | null, "at": "2026-01-31T00:00:00Z", "crls": [B64U…],
       "status_tokens": [B64U…], "policy": "iso-strict" | "aamva" | "lenient", "revocation": "if-given" | "required"}
    ← {"id": "1", "verdict": "accept" | "reject" | "unsupported" | "error", "failed": [check id…],
       "indeterminate": [check id…], "documents": [{"doctype": "…", "elements": {ns: {identifier: "diagnostic"}}}]}

A trust anchor is a PEM text, with or without explanatory text around the block (RFC 7468), or

    {"certificate": PEM, "doctypes": [text…] | null, "signer_purposes": {doctype: [oid…] | "any"} | null,
     "proof": [[PEM, PEM]…] | null}

``doctypes`` are the document types that the root is trusted for; null or absent: any. ``signer_purposes`` are the
extendedKeyUsages of which document signers need one, by document type other than the mDL; null or absent: the usual
ones (`reader.trust.TrustAnchor`). ``proof`` is what the trust rests on where nobody has chosen the root itself:
certificates such as a link, each with the one that issued it. The root is trusted while all of these are valid, and a
list that revokes one of them refuses; null or absent: there is none. Another member may be a limit that is not known
here: the answer is ``unsupported``.

``error`` comes with a ``message``, which repeats nothing of what was sent. A line that is no task has no id, so its
answer is ``{"id": null, "verdict": "error"}``.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import logging
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final, NoReturn, TypeVar

from mdl.cbor import TDate, diagnose
from mdl.errors import DecodeError, MdlError, UnsupportedError, VerificationError
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest, DeviceResponse, SessionTranscript
from mdl.pki import Certificate
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, ANY_PURPOSE, AnyDoctype, SignerPurposes, TrustAnchor, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, VerifiedDocument, Verifier

__all__ = ["MAX_LINE", "ReaderSubject", "serve"]

MAX_LINE: Final = 16 * 1024 * 1024
"""Longest line that is read, in bytes, inclusive, its end not counted."""

_CHUNK: Final = 64 * 1024
_MAX_ANCHORS: Final = 1000
_MAX_VERIFIERS: Final = 16
_ANCHOR_MEMBERS: Final = frozenset(("certificate", "doctypes", "signer_purposes", "proof"))
_MAX_PROOF: Final = 64
_ANY: Final = "any"

_LOG: Final = logging.getLogger(__name__)
_KindT = TypeVar("_KindT", Policy, Revocation)


class _TaskError(Exception):
    """The task is malformed; the text is the message of the answer."""


class _UnsupportedTaskError(Exception):
    """This reader does not support the task; the text is the message of the answer."""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer tasks until the input ends.

    Args:
        source: The stream of tasks; it is read line by line.
        sink: The stream for answers; each answer is flushed.

    Raises:
        OSError: A stream fails, for example because the harness has ended.
    """
    subject = ReaderSubject()
    while True:
        line = source.readline(MAX_LINE + 2)
        if not line:
            return
        if len(line) > MAX_LINE and not _ends_in_time(line):
            while not line.endswith(b"\n") and line:
                line = source.readline(_CHUNK)
            line = b""  # no task
        answer = subject.answer(line)
        sink.write(json.dumps(answer, separators=(",", ":")).encode("ascii") + b"\n")
        sink.flush()


def _ends_in_time(line: bytes) -> bool:
    return len(line.removesuffix(b"\n").removesuffix(b"\r")) <= MAX_LINE and line.endswith(b"\n")


class ReaderSubject:
    """Answers tasks, one answer for each. It remembers verifiers, not tasks."""

    def __init__(self) -> None:
        self._verifiers: OrderedDict[bytes, Verifier] = OrderedDict()

    def answer(self, line: bytes) -> dict[str, Any]:
        """Answer one line.

        Args:
            line: The line, with or without its end.

        Returns:
            The answer. No line makes this method raise.
        """
        try:
            task = _parse(line)
        except (ValueError, RecursionError, MemoryError):
            return {"id": None, "verdict": "error"}
        number = task["id"]
        try:
            if task.get("task") != "verify":
                return _answer(number, "unsupported")
            return self._verify(number, task)
        except _TaskError as exc:
            return _answer(number, "error") | {"message": str(exc)}
        except _UnsupportedTaskError as exc:
            return _answer(number, "unsupported") | {"message": str(exc)}
        except Exception as exc:  # noqa: BLE001 - the loop goes on
            _LOG.error("a task could not be carried out (%s)", type(exc).__name__)
            return _answer(number, "error") | {"message": "the task could not be carried out"}

    def _verify(self, number: str, task: Mapping[str, Any]) -> dict[str, Any]:
        policy = _choice(task, "policy", Policy, Policy.ISO_STRICT)
        revocation = _choice(task, "revocation", Revocation, Revocation.IF_GIVEN)
        at = _time(task)
        context = SessionContext(transcript=_transcript(task), reader_key=_reader_key(task))
        request = _request(task)
        crls, tokens = _blobs(task, "crls"), _blobs(task, "status_tokens")
        evidence = Evidence(crls=crls, status_tokens=tokens)
        verifier = self._verifier(task, policy, revocation)
        text = _text(task, "response")
        if text is None:
            _fail("response", "missing")
        # From here on it is about the response, and the answer is a verdict.
        try:
            response = _base64url(text)
            if verifier is None:
                # Nobody is trusted, so no path leads anywhere.
                DeviceResponse.decode(response)
                return _answer(number, "reject", failed=["issuer_auth.path"])
            verified = verifier.verify(response, context=context, request=request, at=at, evidence=evidence)
            documents = [_document(document) for document in verified.documents]
        except UnsupportedError as exc:
            if exc.code != "response.unsupported":
                return _answer(number, "reject", failed=["response.decoded"])
            return _answer(number, "unsupported", indeterminate=["response.documents"])
        except VerificationError as exc:
            if exc.report is None:
                return _answer(number, "reject", failed=[exc.code])
            return _answer(
                number, "reject", failed=list(exc.report.failed), indeterminate=list(exc.report.indeterminate)
            )
        except Exception as exc:  # noqa: BLE001 - whatever a response does to us, it is not accepted
            if not isinstance(exc, MdlError | _Base64Error):
                _LOG.error("a response was refused since the verifier failed (%s)", type(exc).__name__)
            return _answer(number, "reject", failed=["response.decoded"])
        return _answer(number, "accept", indeterminate=list(verified.report.indeterminate), documents=documents)

    def _verifier(self, task: Mapping[str, Any], policy: Policy, revocation: Revocation) -> Verifier | None:
        """A verifier for the anchors, new or remembered; None if there is no anchor."""
        given = _anchors(task)
        if not given:
            return None
        identity = hashlib.sha256(f"{policy.value} {revocation.value}".encode())
        for one in given:
            identity.update(hashlib.sha256(json.dumps(one.key()).encode("ascii")).digest())
        key = identity.digest()
        verifier = self._verifiers.get(key)
        if verifier is not None:
            self._verifiers.move_to_end(key)
            return verifier
        anchors: list[TrustAnchor] = []
        for index, one in enumerate(given):
            try:
                roots = Certificate.parse_pem_bundle(one.pem)
                proof = [tuple(map(Certificate.parse_pem, pair)) for pair in one.proof]
                for root in roots:
                    anchor = TrustAnchor(certificate=root, doctypes=one.doctypes, signer_purposes=one.purposes)
                    anchors.append(functools.reduce(TrustAnchor.within, proof, anchor))
            except (MdlError, ValueError) as exc:
                _fail(f"trust_anchors[{index}]", str(exc))
        verifier = Verifier(TrustStore(anchors), policy=policy, revocation=revocation)
        self._verifiers[key] = verifier
        if len(self._verifiers) > _MAX_VERIFIERS:
            self._verifiers.popitem(last=False)
        return verifier


def _answer(
    number: str,
    verdict: str,
    *,
    failed: list[str] | None = None,
    indeterminate: list[str] | None = None,
    documents: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "id": number,
        "verdict": verdict,
        "failed": failed or [],
        "indeterminate": indeterminate or [],
        "documents": documents or [],
    }


def _document(document: VerifiedDocument) -> dict[str, Any]:
    """A verified document with its elements, issuer-signed and device-signed, in diagnostic notation."""
    elements: dict[str, dict[str, str]] = {}
    for signed in (document.elements, document.device_elements):
        for namespace, values in signed.items():
            shown = elements.setdefault(namespace, {})
            shown.update({identifier: diagnose(value) for identifier, value in values.items()})
    return {"doctype": document.doctype, "elements": elements}


# --- the task ---------------------------------------------------------------------------------------------------------


def _parse(line: bytes) -> dict[str, Any]:
    """Decode a line as a JSON object with an id.

    Raises:
        ValueError: The line is not UTF-8 or not JSON, or has a member twice or a number such as NaN.
    """
    task = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    if isinstance(task, dict) and isinstance(task.get("id"), str):
        return task
    msg = "a task is an object with an id"
    raise ValueError(msg)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        msg = "a member stands twice"
        raise ValueError(msg)
    return members


def _refuse_constant(_text: str) -> NoReturn:
    msg = "no JSON number"
    raise ValueError(msg)


def _fail(member: str, what: str) -> NoReturn:
    msg = f"{member}: {what}"
    raise _TaskError(msg)


def _text(task: Mapping[str, Any], member: str) -> str | None:
    value = task.get(member)
    if value is not None and not isinstance(value, str):
        _fail(member, "not text")
    return value


def _list(task: Mapping[str, Any], member: str) -> list[str] | None:
    value = task.get(member)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        _fail(member, "not a list of texts")
    return value


class _Base64Error(ValueError):
    """The text is not base64url."""


_BASE64URL: Final = re.compile(r"([A-Za-z0-9_-]*)(={0,2})")


def _base64url(text: str) -> bytes:
    """Base64url, with its padding or without.

    Raises:
        _Base64Error: Another alphabet, a length that cannot be, wrong padding, or bits left over.
    """
    found = _BASE64URL.fullmatch(text)
    if found is None or len(found[1]) % 4 == 1:
        raise _Base64Error
    bare = found[1]
    padding = "=" * (-len(bare) % 4)
    data = base64.urlsafe_b64decode(bare + padding)
    if found[2] not in ("", padding) or base64.urlsafe_b64encode(data).decode() != bare + padding:
        raise _Base64Error
    return data


@dataclass(frozen=True, slots=True)
class _Anchor:
    """An anchor of a task: PEM, and the scope of the trust in its roots."""

    pem: str
    doctypes: frozenset[str] | AnyDoctype
    purposes: SignerPurposes
    proof: tuple[tuple[str, str], ...]

    def key(self) -> list[Any]:
        """A value for JSON that is different for different anchors."""
        doctypes = None if isinstance(self.doctypes, AnyDoctype) else sorted(self.doctypes)
        purposes = {name: sorted(one) if isinstance(one, frozenset) else None for name, one in self.purposes.items()}
        return [self.pem, doctypes, sorted(purposes.items()), self.proof]


def _anchors(task: Mapping[str, Any]) -> list[_Anchor]:
    """The anchors of a task."""
    value = task.get("trust_anchors")
    if value is None:
        _fail("trust_anchors", "missing")
    if not isinstance(value, list):
        _fail("trust_anchors", "not a list")
    if len(value) > _MAX_ANCHORS:
        _fail("trust_anchors", f"more than {_MAX_ANCHORS}")
    return [_anchor(one, f"trust_anchors[{index}]") for index, one in enumerate(value)]


def _anchor(value: object, path: str) -> _Anchor:
    members: dict[str, Any] = value if isinstance(value, dict) else {"certificate": value}
    if not members.keys() <= _ANCHOR_MEMBERS:
        msg = f"{path}: a member that is not known here, and may be a limit of what the root is trusted for"
        raise _UnsupportedTaskError(msg)
    pem, doctypes = members.get("certificate"), members.get("doctypes")
    if not isinstance(pem, str):
        _fail(path, "not PEM")
    if doctypes is not None and not _is_list_of_texts(doctypes):
        _fail(f"{path}.doctypes", "not a list of texts")
    purposes = members.get("signer_purposes")
    if purposes is None:
        purposes = {}
    if not isinstance(purposes, dict) or not all(one == _ANY or _is_list_of_texts(one) for one in purposes.values()):
        _fail(f"{path}.signer_purposes", f"not an object of lists of texts, or '{_ANY}', by document type")
    proof = members.get("proof")
    if proof is None:
        proof = []
    if not isinstance(proof, list) or len(proof) > _MAX_PROOF or not all(map(_is_pair_of_texts, proof)):
        _fail(f"{path}.proof", f"not a list of at most {_MAX_PROOF} pairs of texts")
    return _Anchor(
        pem=pem,
        doctypes=ANY_DOCTYPE if doctypes is None else frozenset(doctypes),
        purposes={name: ANY_PURPOSE if one == _ANY else frozenset(one) for name, one in purposes.items()},
        proof=tuple((one, issuer) for one, issuer in proof),
    )


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value)


def _is_pair_of_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_list_of_texts(value)


def _blob(member: str, text: str) -> bytes:
    try:
        return _base64url(text)
    except _Base64Error:
        _fail(member, "not base64url")


def _blobs(task: Mapping[str, Any], member: str) -> tuple[bytes, ...]:
    return tuple(_blob(f"{member}[{index}]", text) for index, text in enumerate(_list(task, member) or ()))


def _choice(task: Mapping[str, Any], member: str, kind: type[_KindT], default: _KindT) -> _KindT:
    text = _text(task, member)
    if text is None:
        return default
    try:
        return kind(text)
    except ValueError:
        _fail(member, f"none of {', '.join(one.value for one in kind)}")


def _time(task: Mapping[str, Any]) -> datetime:
    text = _text(task, "at")
    if text is None:
        _fail("at", "missing")
    try:
        return TDate(text).datetime
    except DecodeError as exc:
        _fail("at", str(exc))


def _transcript(task: Mapping[str, Any]) -> SessionTranscript:
    text = _text(task, "session_transcript")
    if text is None:
        _fail("session_transcript", "missing")
    try:
        return SessionTranscript(_blob("session_transcript", text))
    except MdlError as exc:
        _fail("session_transcript", str(exc))


def _reader_key(task: Mapping[str, Any]) -> EphemeralKey | None:
    text = _text(task, "reader_key")
    if text is None:
        return None
    try:
        return EphemeralKey.from_pkcs8(text.encode())
    except (MdlError, UnicodeEncodeError) as exc:
        _fail("reader_key", str(exc) if isinstance(exc, MdlError) else "not PEM")


def _request(task: Mapping[str, Any]) -> DeviceRequest | UnsafeNoRequest:
    text = _text(task, "request")
    if text is None:
        return UnsafeNoRequest()
    try:
        return DeviceRequest.decode(_blob("request", text))
    except MdlError as exc:
        _fail("request", str(exc))

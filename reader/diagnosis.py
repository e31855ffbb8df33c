"""Diagnosis of a refused response: which session transcript did the device authenticate instead of the reader's?

A verifier has one session, fixed before the response arrived, and refuses a response for another session. This module
is for the person who must find the cause. It tries the handovers of `mdl.session`, in the standard's form and with
mistakes that occur in practice (`reader.candidates`), and names the one that the device authenticated, if it is among
them.

A diagnosis decides nothing: issuer, validity and revocation are not checked. A `Diagnosis` has no element values, no
usable transcript and no truth value, and the refusal stands whatever its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NoReturn

from mdl.cbor import bstr, decode, decode_view, encode, unwrap24, wrap24
from mdl.cose import ALG, HMAC_256_256, CoseMac0, CoseSign1, carries_private_part, decode_key, sig_structure
from mdl.errors import DecodeError, MdlError, SigningError, UnsupportedError
from mdl.keys import EphemeralKey, PublicKey, der_to_raw, hkdf_sha256
from mdl.mdoc import (
    DeviceResponse,
    DeviceSigned,
    Document,
    MobileSecurityObject,
    SessionTranscript,
    device_authentication_bytes,
    device_mac_key,
)
from reader.candidates import Candidate, Deviation, Form, Known, Session, device_ephemeral_key, sessions, untried
from reader.report import Report

__all__ = [
    "MAX_CANDIDATES",
    "MAX_DOCUMENTS",
    "MAX_SIGNED_SIZE",
    "Candidate",
    "Deviation",
    "Diagnosis",
    "DocumentDiagnosis",
    "Form",
    "Known",
    "Observation",
    "Untried",
    "diagnose",
]

MAX_CANDIDATES: Final = 1024
"""Largest number of candidates that are tried for one document, inclusive."""
MAX_DOCUMENTS: Final = 4
"""Largest number of documents of a response that are diagnosed, inclusive."""
MAX_SIGNED_SIZE: Final = 262_144
"""Largest sum of the sizes of document type and device-signed elements that is tried, in bytes, inclusive."""

_STANDS: Final = (
    "The refusal stands: a diagnosis accepts nothing. Mend the side that is wrong, and ask for a new response."
)


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation that needs no candidate.

    Attributes:
        code: A stable dotted identifier.
        detail: One line for a person, without personal data.
    """

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Untried:
    """A handover that could not be tried, or if only ``jwk_thumbprint`` is missing, only for an unencrypted answer.

    Attributes:
        form: The handover.
        missing: The missing inputs.
    """

    form: Form
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDiagnosis:
    """The diagnosis of one document.

    Attributes:
        index: Its index in the response.
        doctype: The document type that it claims.
        proof: ``deviceSignature`` or ``deviceMac``; empty if the document does not have exactly one of them.
        tried: The number of different candidates that were tried.
        match: The candidate over which the proof verifies, or None.
        differs: The parts of the reader's transcript that differ from the match: ``DeviceEngagementBytes``,
            ``EReaderKeyBytes``, ``Handover``; empty if the match is the reader's own transcript, or that is not known.
        observations: Further observations.
    """

    index: int
    doctype: str
    proof: str
    tried: int
    match: Candidate | None
    differs: tuple[str, ...]
    observations: tuple[Observation, ...]

    def __bool__(self) -> NoReturn:
        msg = "a diagnosis is no verdict"
        raise TypeError(msg)

    @property
    def is_readers_own(self) -> bool:
        """Whether the proof verifies over the reader's own transcript, so that the refusal has another cause."""
        return self.match is not None and self.match == Candidate(Form.GIVEN)

    def lines(self) -> tuple[str, ...]:
        """The results, one line each."""
        lines = [f"document {self.index} ({self.doctype}), {self.proof or 'not exactly one device authentication'}"]
        if self.is_readers_own:
            lines.append("device authentication verifies over the reader's own transcript: a refusal has another cause")
        elif self.match is not None:
            lines.append(f"device authentication verifies over: {self.match}")
        elif self.tried:
            lines.append(f"device authentication verifies over none of {self.tried} candidates")
        else:
            lines.append("no candidate could be tried")
        if self.differs:
            lines.append(f"the reader's transcript differs from it in: {', '.join(self.differs)}")
        return (*lines, *(f"{one.detail} [{one.code}]" for one in self.observations))


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The diagnosis of a refused response. It is no verdict, and the refusal stands.

    Attributes:
        documents: Document by document, at most `MAX_DOCUMENTS`.
        omitted: The number of further documents in the response.
        readers_transcript: The candidate that is the reader's transcript; None if there is none, or the transcript is
            not known.
        untried: The handovers that could not be tried.
        refused_by: The checks that refuse, by the verifier's report; empty if no report was given.
        not_done: Further parts of the response or of its session that could not be diagnosed.
    """

    documents: tuple[DocumentDiagnosis, ...]
    omitted: int
    readers_transcript: Candidate | None
    untried: tuple[Untried, ...]
    refused_by: tuple[str, ...]
    not_done: tuple[Observation, ...] = ()

    def __bool__(self) -> NoReturn:
        msg = "a diagnosis is no verdict, and the refusal stands: look at .documents"
        raise TypeError(msg)

    @property
    def conclusion(self) -> str:
        """The conclusion, which is always the same."""
        return _STANDS

    def __str__(self) -> str:
        lines = []
        for document in self.documents:
            first, *rest = document.lines()
            lines += [first, *(f"  {line}" for line in rest)]
        lines += self.remarks()
        lines += [f"not tried: {one.form.title}; not known: {', '.join(one.missing)}" for one in self.worth_knowing()]
        return "\n".join((*lines, self.conclusion))

    def remarks(self) -> tuple[str, ...]:
        """Remarks about the response as a whole, one line each."""
        lines = []
        if not self.documents:
            lines.append("the response holds no document")
        if self.omitted:
            lines.append(f"{self.omitted} more documents were not looked at")
        if self.readers_transcript is not None:
            lines.append(f"the reader's transcript is: {self.readers_transcript}")
        if self.refused_by:
            lines.append(f"refused by: {', '.join(self.refused_by)}")
            if not any(name.startswith("device_auth.") for name in self.refused_by):
                lines.append("device authentication is not what the verifier refuses: no other session would help")
        return (*lines, *(f"not done: {one.detail} [{one.code}]" for one in self.not_done))

    def worth_knowing(self) -> tuple[Untried, ...]:
        """The handovers that could not be tried, if a document is still without an explanation."""
        return self.untried if any(one.match is None for one in self.documents) else ()


def diagnose(response: bytes, known: Known, *, report: Report | None = None) -> Diagnosis:
    """Find the session that a refused response was made for.

    At most `MAX_CANDIDATES` candidates are tried for each of the first `MAX_DOCUMENTS` documents, the likeliest first,
    and none after the one that verifies.

    Args:
        response: The encoded DeviceResponse that was refused.
        known: The known inputs of the session.
        report: The verifier's report on the response, or None.

    Raises:
        DecodeError: The response is not what the CDDL says; ``.path`` tells where.
        ValueError: The report accepts the response, so there is no refusal to explain.
    """
    if report is not None and report.accepted:
        msg = "the report accepts: there is no refusal to be explained"
        raise ValueError(msg)
    decoded = DeviceResponse.decode(response)
    documents = decoded.documents
    tried = tuple(sessions(known))
    patients = [_Patient.of(document) for document in documents[:MAX_DOCUMENTS]]
    refusing = [] if report is None else [check.id for check in report if report.refuses(check)]
    examined = tuple(_examine(index, patients, known, tried) for index in range(len(patients)))
    unexplained = any(one.match is None and one.tried for one in examined)
    return Diagnosis(
        documents=examined,
        omitted=max(0, len(documents) - MAX_DOCUMENTS),
        readers_transcript=_identify(known.transcript, tried),
        untried=tuple(Untried(form, missing) for form, missing in untried(known).items()),
        refused_by=tuple(dict.fromkeys(refusing)),
        not_done=tuple(_not_done(decoded.unsupported, known, unexplained=unexplained)),
    )


def _not_done(unsupported: tuple[str, ...], known: Known, *, unexplained: bool) -> Iterator[Observation]:
    for name in unsupported:
        text = f"documents in {name} were not looked at, since that form is not implemented here"
        yield Observation("response.unsupported", text)
    if unexplained and known.origin is not None and known.origin.lower().startswith(("https://", "http://")):
        # online.md §8.4: it looks like android:apk-key-hash:…, and follows from no address.
        text = "the origin of an app cannot be made from that of a page: give it as the origin where an app asked"
        yield Observation("origin.app", text)
    if known.transcript is None:
        yield Observation("transcript.unknown", "without the reader's transcript nothing can be compared with it")


def _identify(given: SessionTranscript | None, tried: tuple[Session, ...]) -> Candidate | None:
    """The candidate that is the reader's own transcript."""
    if given is None:
        return None
    same = (one.candidate for one in tried if one.written == given.encoded and one.candidate.form is not Form.GIVEN)
    return next(same, None)


# --- one document -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Patient:
    """A document, and the parts of its security object that decode. Nothing of it is verified."""

    document: Document
    mso: MobileSecurityObject | None
    key: PublicKey | None
    observations: tuple[Observation, ...]

    @classmethod
    def of(cls, document: Document) -> _Patient:
        mso = key = None
        seen = []
        try:
            mso = document.issuer_signed.security_object()
        except DecodeError as exc:
            seen.append(Observation("mso.unreadable", f"the security object cannot be read: {exc.message}"))
        else:
            if mso.doctype != document.doctype:
                seen.append(Observation("mso.doctype", "the security object is for another document type"))
            try:
                key = mso.device_public_key
            except MdlError as exc:
                seen.append(Observation("device_key.unusable", f"the device key cannot be used: {exc.message}"))
            else:
                if carries_private_part(mso.device_key):
                    text = "the security object gives the private part of the device key away"
                    seen.append(Observation("device_key.private", text))
        return cls(document, mso, key, tuple(seen))


# Whether the proof verifies over a payload, in a session.
_Check = Callable[[bytes, SessionTranscript], bool]


def _examine(index: int, patients: list[_Patient], known: Known, tried: tuple[Session, ...]) -> DocumentDiagnosis:
    patient = patients[index]
    signed = patient.document.device_signed
    seen = list(patient.observations)
    proof, checks = "", []
    if signed is None or (signed.signature is None) == (signed.mac is None):
        seen.append(Observation("device_auth.present", "not exactly one of deviceSignature and deviceMac"))
    elif len(patient.document.doctype) + len(signed.name_spaces_bytes.raw) > MAX_SIGNED_SIZE:
        proof = "deviceMac" if signed.signature is None else "deviceSignature"
        text = f"document type and device-signed elements of more than {MAX_SIGNED_SIZE} bytes: no candidate is tried"
        seen.append(Observation("diagnosis.too_large", text))
    elif signed.signature is not None:
        proof = "deviceSignature"
        if patient.key is not None:
            checks = _signature_checks(seen, signed.signature, patient.key, patients, known)
    elif signed.mac is not None:
        proof = "deviceMac"
        if patient.key is not None:
            checks = _mac_checks(seen, signed.mac, patient.key, known)
    count, match, session = 0, None, None
    if signed is not None and checks:
        count, match, session = _search(checks, _attempts(signed, patients, index, tried))
        if match is None and count == MAX_CANDIDATES:
            text = f"the search ended with candidate {MAX_CANDIDATES}: what may have come next was not tried"
            seen.append(Observation("search.stopped", text))
    return DocumentDiagnosis(
        index=index,
        doctype=patient.document.doctype,
        proof=proof,
        tried=count,
        match=match,
        differs=_differences(known.transcript, session),
        observations=tuple(seen),
    )


@dataclass(frozen=True)
class _Attempt:
    session: Session
    candidate: Candidate
    payload: bytes

    @cached_property
    def mark(self) -> bytes:
        """A digest of the bytes that are tried, which may be large and many."""
        digest = hashlib.sha256(hashlib.sha256(self.payload).digest())
        digest.update(self.session.transcript.encoded)
        return digest.digest()


def _search(
    checks: list[tuple[Deviation | None, _Check]], attempts: Iterator[_Attempt]
) -> tuple[int, Candidate | None, Session | None]:
    """Try one attempt after the other with the right key, and the plain ones with the wrong keys too."""
    done: set[tuple[int, bytes]] = set()
    for attempt in attempts:
        plain = attempt.session.plain and attempt.candidate is attempt.session.candidate
        for number, (deviation, check) in enumerate(checks if plain else checks[:1]):
            # What differs in name only is tried once, under the name that came first.
            mark = (number, attempt.mark)
            if mark in done:
                continue
            if len(done) == MAX_CANDIDATES:
                return len(done), None, None
            done.add(mark)
            if check(attempt.payload, attempt.session.transcript):
                found = attempt.candidate if deviation is None else attempt.candidate.with_(deviation)
                return len(done), found, attempt.session
    return len(done), None, None


def _attempts(
    signed: DeviceSigned, patients: list[_Patient], index: int, tried: tuple[Session, ...]
) -> Iterator[_Attempt]:
    """The bytes that the device may have authenticated: each session, then plain ones with a mistake around them."""
    document = patients[index].document
    spaces = signed.name_spaces_bytes.raw
    for session in tried:
        if session.written == session.transcript.encoded:
            payload = device_authentication_bytes(session.transcript, document.doctype, spaces)
        else:
            payload = _authentication(session.written, document.doctype, spaces)
        yield _Attempt(session, session.candidate, payload)
    for session in tried:
        if session.plain:
            for deviation, payload in _mistaken(session, signed, patients, index):
                yield _Attempt(session, session.candidate.with_(deviation), payload)


def _authentication(written: bytes, doctype: str, spaces: bytes) -> bytes:
    """DeviceAuthenticationBytes with any bytes in the place of the transcript."""
    return wrap24(b"\x84" + encode("DeviceAuthentication") + written + encode(doctype) + spaces)


def _mistaken(
    session: Session, signed: DeviceSigned, patients: list[_Patient], index: int
) -> Iterator[tuple[Deviation, bytes]]:
    transcript, document = session.transcript, patients[index].document
    raw, content = signed.name_spaces_bytes.raw, signed.name_spaces_bytes.content
    mso = patients[index].mso
    doctypes = [("that of the security object", mso.doctype)] if mso is not None else []
    slices = [
        ("not in tag 24", content),
        ("a byte string without tag 24", bstr(content)),
        ("in tag 24 twice", wrap24(raw)),
        ("encoded again", wrap24(encode({name: dict(one) for name, one in signed.name_spaces.items()}))),
        ("an empty map", wrap24(b"\xa0")),
    ]
    for number, other in enumerate(patients):
        if number != index:
            doctypes.append((f"that of document {number}", other.document.doctype))
            if other.document.device_signed is not None:
                slices.append((f"those of document {number}", other.document.device_signed.name_spaces_bytes.raw))
    # Another document's may be too large to be tried here as well.
    doctypes = [one for one in doctypes if len(one[1]) <= MAX_SIGNED_SIZE]
    slices = [one for one in slices if len(one[1]) <= MAX_SIGNED_SIZE + 16]
    for how, doctype in doctypes:
        yield Deviation("docType", how), device_authentication_bytes(transcript, doctype, raw)
    for how, spaces in slices:
        payload = device_authentication_bytes(transcript, document.doctype, spaces)
        yield Deviation("DeviceNameSpacesBytes", how), payload
    whole = device_authentication_bytes(transcript, document.doctype, raw)
    yield Deviation("DeviceAuthenticationBytes", "not in tag 24"), unwrap24(whole)


# --- the proof --------------------------------------------------------------------------------------------------------


def _signature_checks(
    seen: list[Observation], signature: CoseSign1, key: PublicKey, patients: list[_Patient], known: Known
) -> list[tuple[Deviation | None, _Check]]:
    """Verification with the device key, then with keys that are often mistaken for it; oddities are only noted."""
    if signature.payload is not None:
        seen.append(_ATTACHED)
    if key.curve.algorithm is None:
        seen.append(Observation("device_auth.algorithm", f"a device key on {key.curve.name} cannot sign"))
        return []
    try:
        fits = signature.algorithm is key.curve.algorithm
    except UnsupportedError:
        fits = False
    if signature.is_fully_specified_for(key):
        text = "the algorithm is named by the number that names the curve as well (RFC 9864), not by the standard's"
        seen.append(Observation("device_auth.fully_specified", text))
    elif not fits:
        text = f"the algorithm that is named does not go with a device key on {key.curve.name}"
        seen.append(Observation("device_auth.algorithm", text))
    size = 2 * key.curve.coordinate_size
    if len(signature.signature) != size:
        seen.append(
            Observation("device_auth.signature_form", f"the signature is not {size} bytes long, as r and s are")
        )
    checks: list[tuple[Deviation | None, _Check]] = [(None, _signed_by(key, signature))]
    if key.curve.kind == "EC":
        try:
            raw = der_to_raw(signature.signature, key.curve)
        except SigningError:
            pass
        else:
            seen.append(Observation("device_auth.signature_form", "the signature is in DER, which COSE does not know"))
            checks[0] = (None, _signed_by(key, replace(signature, signature=raw)))
    others = [("the ephemeral key of the engagement", device_ephemeral_key(known))]
    others += [(f"that of document {number}", other.key) for number, other in enumerate(patients)]
    for how, other in others:
        if other is not None and other != key and other.curve.algorithm is not None:
            checks.append((Deviation("device key", how), _signed_by(other, signature)))
    return checks


_ATTACHED: Final = Observation("device_auth.payload", "the payload is attached where it must be detached")


def _signed_by(key: PublicKey, signature: CoseSign1) -> _Check:
    def check(payload: bytes, _: SessionTranscript) -> bool:
        # By the key's own algorithm: one that is misnamed is seen, and need not hide the rest.
        try:
            key.verify(signature.signature, sig_structure(signature.protected, payload))
        except MdlError:
            return False
        return True

    return check


def _mac_checks(
    seen: list[Observation], mac: CoseMac0, key: PublicKey, known: Known
) -> list[tuple[Deviation | None, _Check]]:
    if mac.payload is not None:
        seen.append(_ATTACHED)
        mac = replace(mac, payload=None)
    algorithm = mac.protected_map.get(ALG)
    if type(algorithm) is not int or algorithm != HMAC_256_256:
        seen.append(Observation("device_auth.algorithm", "the algorithm that is named is not HMAC 256/256"))
        return []
    reader_key = known.reader_key
    if reader_key is None:
        seen.append(
            Observation("reader_key.missing", "a MAC cannot be tried without the reader's ephemeral private key")
        )
        return []
    if _is_other_key(reader_key, known):
        seen.append(Observation("reader_key.other", "the reader's private key is not that of EReaderKeyBytes"))
    if reader_key.public_key.curve != key.curve:
        text = f"the device key is on {key.curve.name}, the reader's on {reader_key.public_key.curve.name}"
        seen.append(Observation("device_auth.curves", text))
    checks: list[tuple[Deviation | None, _Check]] = []
    for deviation, salt, peer in (
        (None, _usual_key, key),
        (Deviation("EMacKey", "salted with the transcript not in tag 24"), _untagged_key, key),
        (Deviation("EMacKey", "agreed with the device's ephemeral key"), _usual_key, device_ephemeral_key(known)),
    ):
        if peer is not None and peer.curve == reader_key.public_key.curve and peer.curve.can_agree:
            checks.append((deviation, _maced_by(mac, reader_key, peer, salt)))
    return checks


def _is_other_key(reader_key: EphemeralKey, known: Known) -> bool:
    """Whether the transcript, or an input beside it, has another ephemeral key of the reader."""
    raw = known.e_reader_key
    if raw is None and known.transcript is not None:
        slice_ = decode_view(known.transcript.encoded)[1]
        raw = getattr(slice_, "raw", None)
    if raw is None:
        return False
    try:
        return decode_key(decode(unwrap24(raw) if raw[:2] == b"\xd8\x18" else raw)) != reader_key.public_key
    except MdlError:
        return False


_KeyMaker = Callable[[EphemeralKey, PublicKey, SessionTranscript], bytes]


def _usual_key(reader_key: EphemeralKey, peer: PublicKey, transcript: SessionTranscript) -> bytes:
    return device_mac_key(reader_key, peer, transcript)


def _untagged_key(reader_key: EphemeralKey, peer: PublicKey, transcript: SessionTranscript) -> bytes:
    salt = hashlib.sha256(transcript.encoded).digest()
    return hkdf_sha256(reader_key.agree(peer), salt=salt, info=b"EMacKey", length=32)


def _maced_by(mac: CoseMac0, reader_key: EphemeralKey, peer: PublicKey, make: _KeyMaker) -> _Check:
    def check(payload: bytes, transcript: SessionTranscript) -> bool:
        try:
            mac.verify(make(reader_key, peer, transcript), detached=payload)
        except MdlError:
            return False
        return True

    return check


# --- what differs -----------------------------------------------------------------------------------------------------

_PARTS: Final = ("DeviceEngagementBytes", "EReaderKeyBytes", "Handover")


def _differences(given: SessionTranscript | None, session: Session | None) -> tuple[str, ...]:
    """The parts in which the authenticated transcript differs from the reader's."""
    if given is None or session is None or session.transcript == given:
        return ()
    ours, theirs = decode_view(given.encoded), decode_view(session.transcript.encoded)
    return tuple(
        name
        for name, one, other in zip(_PARTS, ours, theirs, strict=True)
        if type(one) is not type(other) or one != other
    )

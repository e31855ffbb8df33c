"""The numbered checks (3) to (10) of `reader.verification`, each of which looks at one document.

A check uses the results of the checks before it, writes its own result into `Findings`, and decides nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import chain, compress, repeat
from operator import is_, itemgetter
from typing import Any, Final, NoReturn, TypeAlias

from mdl.cbor import Reading, TDate, decode, decode_each
from mdl.cose import ALG, HMAC_256_256, CoseSign1, carries_private_part, decode_key, encode_key, key_deviation
from mdl.doctypes import (
    Answer,
    Code,
    age_over,
    age_over_threshold,
    age_statements,
    check_elements,
    faulty_part,
    find_doctype,
    plain_name,
    unknown_elements,
)
from mdl.errors import DecodeError, MdlError, UnsupportedError, VerificationError
from mdl.keys import KeyAgreement, PublicKey, UnsafePostQuantum
from mdl.mdoc import (
    DIGEST_ALGORITHMS,
    DIGEST_ID,
    EMPTY_NAME,
    MAX_DIGEST_ID,
    DeviceRequest,
    DeviceSigned,
    Document,
    ItemsRequest,
    MobileSecurityObject,
    SessionTranscript,
    ValidityInfo,
    Version,
    device_authentication_bytes,
    device_mac_key,
)
from mdl.pki import Certificate
from reader.report import CHECKS, RESPONSE_CHECKS, Check, Outcome, Policy

# Shortest random of an item, in bytes, inclusive (mdoc.md §1.3).
_MIN_RANDOM: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContext:
    """The reader's own knowledge of the session. Nothing in it is taken from the response.

    Attributes:
        transcript: The session transcript, built from the messages as the reader sent and received them.
        reader_key: The reader's ephemeral key, which a deviceMac needs. None if the session has none; then a deviceMac
            is refused. A key with a `public_key` is compared with the transcript.
        fault: The reason why no answer can belong to this session, or None. Either the reader chose nothing in the
            transcript, so that an answer to another reader would pass, or its key is not the one in the transcript.
            Every document then fails ``device_auth.signature`` or ``device_auth.mac``.
    """

    transcript: SessionTranscript
    reader_key: KeyAgreement | None = None
    fault: str | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Reject arguments of the wrong type, and set `fault`.

        Raises:
            TypeError: The transcript is not a `SessionTranscript`, or the reader's key cannot do key agreement.
        """
        if not isinstance(self.transcript, SessionTranscript):
            msg = f"transcript: expected a SessionTranscript, not {type(self.transcript).__name__}"
            raise TypeError(msg)
        if self.reader_key is not None and not callable(getattr(self.reader_key, "agree", None)):
            msg = "reader_key: expected a private key that agrees secrets, or None"
            raise TypeError(msg)
        object.__setattr__(self, "fault", self._find_fault())

    def _find_fault(self) -> str | None:
        if not self.transcript.is_of_the_reader:
            return "the session transcript holds neither a reader's key nor a handover that a reader began"
        own = getattr(self.reader_key, "public_key", None)
        sent = self.transcript.reader_key_bytes
        if isinstance(own, PublicKey) and sent is not None and not _is_key(sent, own):
            return "the reader's key is not the one in the session transcript"
        return None

    def __reduce__(self) -> NoReturn:
        msg = "a SessionContext holds a private key of one session: it cannot be copied or pickled"
        raise TypeError(msg)


def _is_key(encoded: bytes, key: PublicKey) -> bool:
    """Whether an encoded COSE_Key is that public key."""
    try:
        value = decode(encoded)
        if type(value) is dict and all(value.get(label) == part for label, part in encode_key(key).items()):
            return True  # the usual case, without loading it
        return decode_key(value).spki == key.spki
    except MdlError:
        return False


# --- results ----------------------------------------------------------------------------------------------------------

_DOCUMENT_CHECKS: Final = tuple(name for name in CHECKS if name not in RESPONSE_CHECKS)


@lru_cache(maxsize=64)
def _prepared(document: int | None) -> tuple[dict[str, Check], dict[str, Check], dict[str, Check]]:
    """Checks of one document without detail, prepared because most pass: indeterminate, passed, not applicable."""
    names = RESPONSE_CHECKS if document is None else _DOCUMENT_CHECKS
    indeterminate, passed, not_applicable = (
        {name: Check(name, outcome, "", document) for name in names}
        for outcome in (Outcome.INDETERMINATE, Outcome.PASSED, Outcome.NOT_APPLICABLE)
    )
    return indeterminate, passed, not_applicable


class Findings:
    """The results of the checks of one document so far."""

    __slots__ = ("current", "document", "not_applicable", "passed", "policy", "results")

    def __init__(self, document: int | None, policy: Policy) -> None:
        self.document = document
        self.policy = policy
        indeterminate, self.passed, self.not_applicable = _prepared(document)
        self.results = indeterminate.copy()
        # The check that is being carried out, or the first of some that are carried out together.
        self.current = next(iter(self.results))

    def pass_(self, name: str) -> None:
        """Pass a check."""
        self.results[name] = self.passed[name]

    def skip(self, name: str) -> None:
        """Mark a check as not applicable."""
        self.results[name] = self.not_applicable[name]

    def fail(self, name: str, detail: str) -> None:
        """Fail a check; the first reason stands."""
        before = self.results[name]
        if before.outcome is not Outcome.FAILED:
            self.results[name] = Check(name, Outcome.FAILED, detail, self.document, before.warnings)

    def leave(self, name: str, detail: str) -> None:
        """Leave a check indeterminate, with a reason."""
        self.results[name] = Check(name, Outcome.INDETERMINATE, detail, self.document)

    def judge(self, name: str, deviations: Mapping[str, str]) -> None:
        """Pass or fail a check by the policy's grades of the deviations found (code to detail)."""
        if not deviations:  # mutants: same
            self.pass_(name)
            return
        refusing = [detail for code, detail in deviations.items() if self.policy.refuses(code)]
        tolerated = tuple(code for code in deviations if not self.policy.refuses(code))
        outcome = Outcome.FAILED if refusing else Outcome.PASSED
        detail = refusing[0] if refusing else "; ".join(deviations.values())
        self.results[name] = Check(name, outcome, detail, self.document, tolerated)


def judge_version(findings: Findings, name: str, version: str) -> None:
    """Check a version: any minor version of major version 1 is understood."""
    supported = version == "1.0"  # the usual one, which need not be taken apart
    if not supported:
        try:
            supported = Version.parse(version).major == 1
        except DecodeError:
            supported = False
    if supported:
        findings.pass_(name)
    else:
        findings.fail(name, "not a version 1")


# (1) what decodes, and is not quite as it should be

_DECODED: Final[Mapping[str, str]] = {
    "cbor.long_head": "a head is not in its shortest form",
    "cbor.long_float": "a floating-point number is not in its shortest form",
    "cose.tagged": "a COSE message is under its tag",
    "structure.empty": "an array or a map has no entry",
    "structure.empty_name": "a name is an empty text",
    "mso.digest_id": "a digest id is 2**31 or more",
    "mso.key_authorizations": "the device key is authorised for nothing, or twice for one namespace",
}


def examine_reading(findings: Findings, reading: Reading) -> None:
    """Check the encoding of the response, after all of it was decoded."""
    findings.judge(
        "response.decoded",
        {
            code: f"{_DECODED.get(code, code)}, at {path}" if path else _DECODED.get(code, code)
            for code, path in reading.deviations.items()
        },
    )


# (3) the issuer's signature

_FULLY_SPECIFIED: Final = "{} names its algorithm by the number that names the curve as well (RFC 9864)"


def examine_signature(findings: Findings, issuer_auth: CoseSign1, key: PublicKey | str) -> None:
    """Check the issuer's signature with the document signer's key, or give the reason why there is no key."""
    if isinstance(key, str):
        findings.fail("issuer_auth.algorithm", f"the document signer's key cannot be used: {key}")
        return
    try:
        issuer_auth.algorithm_under(key, fully_specified=True)
    except (UnsupportedError, VerificationError) as exc:
        findings.fail("issuer_auth.algorithm", exc.message)
        return
    deviations = {}
    if key.curve.experimental is not None:
        deviations["post_quantum.issuer"] = "the issuer signed with ML-DSA"
    if issuer_auth.is_fully_specified_for(key):
        deviations["fully_specified.issuer"] = _FULLY_SPECIFIED.format("the issuer")
    findings.judge("issuer_auth.algorithm", deviations)
    try:
        issuer_auth.verify(key, fully_specified=True)
    except VerificationError as exc:
        findings.fail("issuer_auth.signature", exc.message)
    else:
        findings.pass_("issuer_auth.signature")


# (4) the security object


def examine_security_object(
    findings: Findings,
    mso: MobileSecurityObject,
    doctype: str,
    certificate: Certificate | None,
    at: datetime,
    *,
    skew: timedelta = timedelta(0),
) -> ValidityInfo | None:
    """Check the security object against document and document signer's certificate; return its validity."""
    judge_version(findings, "mso.version", mso.version)
    if mso.doctype == doctype:
        findings.pass_("mso.doctype")
    else:
        findings.fail("mso.doctype", "the security object is for another document type")
    if mso.digest_algorithm in DIGEST_ALGORITHMS:
        findings.pass_("mso.digest_algorithm")
    else:
        findings.fail("mso.digest_algorithm", "the digest algorithm is not one of the standard's")
    try:
        validity = mso.validity
    except DecodeError as exc:
        findings.fail("mso.validity", str(exc))
        return None
    if validity.valid_from - at > skew:
        findings.fail("mso.validity", "the security object is not valid yet")
    elif at - validity.valid_until > skew:
        findings.fail("mso.validity", "the security object has expired")
    else:
        deviations: dict[str, str] = {}
        if validity.valid_from < validity.signed or validity.valid_until <= validity.valid_from:
            deviations["validity.order"] = "signed, validFrom and validUntil are not in order"
        if not validity.strict:
            deviations["validity.date_form"] = "a date is not in the one form that the standard allows"
        if certificate is not None and validity.valid_until > certificate.not_after:
            deviations["validity.outlives_certificate"] = "the security object outlives its document signer"
        findings.judge("mso.validity", deviations)
    if certificate is not None:
        if certificate.not_before <= validity.signed <= certificate.not_after:
            findings.pass_("mso.signed_within_certificate")
        else:
            findings.fail("mso.signed_within_certificate", "signed outside the document signer's validity")
    return validity


# (5) the issuer-signed items


def examine_items(
    findings: Findings, document: Document, mso: MobileSecurityObject | None, reading: Reading
) -> dict[str, dict[str, Any]]:
    """Check every item over its received bytes; return the values by namespace and identifier.

    The items are decoded within the `reading` of the response, where their deviations are noted.
    """
    path = f"documents[{findings.document}].issuerSigned.nameSpaces"
    fault = ""
    elements: dict[str, dict[str, Any]] = {}
    computed: list[bytes] = []
    expected: list[bytes] = []
    hash_name = DIGEST_ALGORITHMS.get(mso.digest_algorithm) if mso else None
    digest = getattr(hashlib, hash_name) if hash_name else None
    unique = well_formed = signed = True
    shortest = _MIN_RANDOM
    for namespace, received in document.issuer_signed.name_spaces.items():
        items = received
        digests = mso.value_digests.get(namespace, {}) if mso else {}
        decoded = decode_each([content for content, _ in items], reading=reading, path=path)
        columns = _columns(decoded)
        if columns is None and items:
            # Something is no IssuerSignedItem: the others are still looked at. It names no digest, so it is held
            # against all of its namespace: the issuer has signed what is malformed, or somebody has broken it since.
            well_formed = False
            fault = fault or next((f": {one}" for one in decoded if isinstance(one, DecodeError)), "")
            good = [_is_item(fields) for fields in decoded]
            items = [*compress(items, good)]
            columns = _columns([*compress(decoded, good)])
            if digest is not None:
                signed = signed and {digest(raw).digest() for _, raw in received} <= {*digests.values()}
        if columns is None:  # nothing is left
            elements[namespace] = {}
            continue
        digest_ids, randoms, identifiers, values = columns
        if max(digest_ids) >= MAX_DIGEST_ID:
            reading.note(DIGEST_ID, path)
        if "" in identifiers:
            reading.note(EMPTY_NAME, path)
        elements[namespace] = dict(zip(identifiers, values, strict=True))
        unique = unique and len(elements[namespace]) == len({*digest_ids}) == len(items)
        shortest = min(shortest, *map(len, randoms))
        if digest is not None:
            computed += [digest(raw).digest() for _, raw in items]
            expected += map(digests.get, digest_ids, repeat(b""))
    if document.device_signed is not None:
        for namespace, device_elements in document.device_signed.name_spaces.items():
            if not elements.get(namespace, {}).keys().isdisjoint(device_elements):
                unique = False
    if well_formed:
        findings.pass_("issuer_data.encoding")
    else:
        findings.fail("issuer_data.encoding", f"an item is not an IssuerSignedItem{fault}")
    if digest is not None:
        if signed and all(map(hmac.compare_digest, computed, expected)):
            findings.pass_("issuer_data.digest")
        else:
            findings.fail("issuer_data.digest", "an item's digest is not the one that the issuer signed")
    if unique:
        findings.pass_("issuer_data.unique")
    else:
        findings.fail("issuer_data.unique", "an element or a digest id occurs twice")
    findings.judge(
        "issuer_data.random",
        {} if shortest >= _MIN_RANDOM else {"random.short": f"an item's random has fewer than {_MIN_RANDOM} bytes"},
    )
    return elements


_Columns: TypeAlias = tuple[tuple[int, ...], tuple[bytes, ...], tuple[str, ...], tuple[Any, ...]]
_FIELDS: Final = itemgetter("digestID", "random", "elementIdentifier", "elementValue")


def _columns(items: list[Any]) -> _Columns | None:
    """The fields of decoded items, column by column in the order of `_FIELDS`; None if one is no IssuerSignedItem.

    A look at each column costs a fraction of a look at each field.
    """
    try:
        digest_ids, randoms, identifiers, values = zip(*map(_FIELDS, items), strict=True)
    except (KeyError, TypeError, ValueError):  # a member is missing, an item is no map, or there is none
        return None
    if (
        {*map(type, digest_ids)} == {int}
        and min(digest_ids) >= 0
        and {*map(type, randoms)} == {bytes}
        and {*map(type, identifiers)} == {str}
        and _names_are_text(items)
    ):
        return digest_ids, randoms, identifiers, values
    return None


def _names_are_text(items: list[dict[Any, Any]]) -> bool:
    """Whether the names of all members are text, of items that have the four of `_FIELDS`."""
    if sum(map(len, items)) == 4 * len(items):  # mutants: same
        return True
    return {*map(type, chain.from_iterable(items))} == {str}


def _is_item(fields: Any) -> bool:
    """Whether one decoded item is an IssuerSignedItem."""
    return _columns([fields]) is not None


# (6) the device's signature or MAC, and (7) what it signed


def examine_device_auth(
    findings: Findings,
    document: Document,
    mso: MobileSecurityObject | None,
    context: SessionContext,
    *,
    post_quantum: UnsafePostQuantum | None = None,
) -> None:
    """Check that the device key authenticated the document in this session, and may sign its elements."""
    signed = document.device_signed
    if signed is None or (signed.signature is None) == (signed.mac is None):
        findings.fail("device_auth.present", _no_proof(signed))
    else:
        findings.pass_("device_auth.present")
        findings.skip("device_auth.mac" if signed.mac is None else "device_auth.signature")
        if mso is not None:
            try:
                key = decode_key(mso.device_key, path="deviceKeyInfo.deviceKey", post_quantum=post_quantum)
            except MdlError as exc:
                findings.fail("device_auth.algorithm", f"the device key cannot be used: {exc}")
            else:
                _examine_device_proof(findings, document.doctype, signed, key, context, cose_key=mso.device_key)
    if signed is None or not signed.name_spaces:
        findings.skip("device_data.authorized")
    elif mso is not None:
        permitted = mso.key_authorizations
        if permitted is not None and all(
            permitted.permits(namespace, identifier)
            for namespace, elements in signed.name_spaces.items()
            for identifier in elements
        ):
            findings.pass_("device_data.authorized")
        else:
            findings.fail("device_data.authorized", "the issuer did not authorise a device-signed element")


def _no_proof(signed: DeviceSigned | None) -> str:
    """The reason why the document does not have exactly one of deviceSignature and deviceMac."""
    if signed is None:
        return "deviceSigned is absent: the device did not authenticate this document"
    if signed.signature is None:
        return "deviceAuth has neither deviceSignature nor deviceMac"
    return "deviceAuth has both deviceSignature and deviceMac"


def _examine_device_proof(
    findings: Findings,
    doctype: str,
    signed: DeviceSigned,
    key: PublicKey,
    context: SessionContext,
    *,
    cose_key: Mapping[Any, Any],
) -> None:
    if carries_private_part(cose_key):
        # Every reader that has seen the credential could present it to others.
        findings.fail("device_auth.algorithm", "the security object gives the private part of the device key away")
        return
    if not _device_algorithm_fits(signed, key):
        findings.fail("device_auth.algorithm", f"the algorithm does not go with a device key on {key.curve.name}")
        return
    deviations = {}
    if key.curve.experimental is not None:
        deviations["post_quantum.device"] = "the device key is one of ML-DSA"
    if signed.signature is not None and signed.signature.is_fully_specified_for(key):
        deviations["fully_specified.device"] = _FULLY_SPECIFIED.format("the device")
    deviation = key_deviation(cose_key, key, signs=signed.signature is not None)
    if deviation is not None:
        deviations["device_key.members"] = deviation
    findings.judge("device_auth.algorithm", deviations)
    payload = device_authentication_bytes(context.transcript, doctype, signed.name_spaces_bytes.raw)
    name = "device_auth.mac" if signed.signature is None else "device_auth.signature"
    if context.fault is not None:
        findings.fail(name, context.fault)
        return
    try:
        if signed.signature is not None:
            signed.signature.verify(key, detached=payload, fully_specified=True)
        elif signed.mac is not None:
            if context.reader_key is None:
                findings.fail(name, "the session has no reader key, which a MAC needs")
                return
            signed.mac.verify(device_mac_key(context.reader_key, key, context.transcript), detached=payload)
    except MdlError as exc:
        findings.fail(name, exc.message)
    else:
        findings.pass_(name)


def _device_algorithm_fits(signed: DeviceSigned, key: PublicKey) -> bool:
    if signed.signature is None:
        algorithm = signed.mac.protected_map.get(ALG) if signed.mac else None
        return type(algorithm) is int and algorithm == HMAC_256_256
    try:
        signed.signature.algorithm_under(key, fully_specified=True)
    except (UnsupportedError, VerificationError):
        return False
    return True


# (8) the subject


def examine_subject(
    findings: Findings, elements: Mapping[str, Any], certificate: Certificate, *, state: str | None
) -> None:
    """Check that country and jurisdiction of an mDL, if returned, are those that the document signer is certified for.

    `state` is the certified state, from the signer's own certificate or from that of its root.
    """
    if "issuing_country" not in elements:
        findings.skip("subject.country")
    elif _is_text(elements["issuing_country"], certificate.country):
        findings.pass_("subject.country")
    else:
        findings.fail("subject.country", "issuing_country is not the document signer's country")
    _examine_jurisdiction(findings, elements, certificate, state)
    found = findings.results["subject.jurisdiction"]
    if certificate.state is None and found.outcome is not Outcome.FAILED:
        reason = "the document signer names no state"
        if findings.policy.refuses("state.missing"):
            findings.fail("subject.jurisdiction", reason)
        else:
            warned = replace(found, detail=found.detail or reason, warnings=(*found.warnings, "state.missing"))
            findings.results["subject.jurisdiction"] = warned


def _examine_jurisdiction(
    findings: Findings, elements: Mapping[str, Any], certificate: Certificate, state: str | None
) -> None:
    if "issuing_jurisdiction" not in elements:
        findings.skip("subject.jurisdiction")
    elif state is None:
        # Nobody is certified for a state; but a subdivision of another country is none of this one.
        told = elements["issuing_jurisdiction"]
        if type(told) is str and _SUBDIVISION.match(told) and told[:2] != certificate.country:
            findings.fail("subject.jurisdiction", "issuing_jurisdiction is not of the document signer's country")
        else:
            findings.skip("subject.jurisdiction")
    elif _is_text(elements["issuing_jurisdiction"], state):
        findings.pass_("subject.jurisdiction")
    elif _is_text(elements["issuing_jurisdiction"], f"{certificate.country}-{state}"):
        deviation = {"state.short_form": "the state is certified without its country, issuing_jurisdiction has both"}
        findings.judge("subject.jurisdiction", deviation)
    else:
        findings.fail("subject.jurisdiction", "issuing_jurisdiction is not the document signer's state")


_SUBDIVISION: Final = re.compile("[A-Z]{2}-")


def _is_text(value: object, expected: str | None) -> bool:
    return type(value) is str and value == expected


# (9) the request


def examine_request(
    findings: Findings,
    document: Document,
    elements: Mapping[str, Mapping[str, Any]],
    request: DeviceRequest | None,
    *,
    certificate: Certificate | None = None,
    of_its_type: int = 1,
) -> None:
    """Compare the returned elements with the request.

    Args:
        findings: The results of the checks so far.
        document: The document.
        elements: Its issuer-signed values.
        request: The request, or None if there is none to compare with.
        certificate: The document signer's certificate, or None if there is none.
        of_its_type: The number of documents of this type in the response, this one included.
    """
    if request is None:
        for name in ("request.doctype", "request.elements", "request.unrequested"):
            findings.skip(name)
        return
    asked = [one.items_request for one in request.doc_requests if _is_type(document.doctype, one.items_request.doctype)]
    if not asked:
        findings.fail("request.doctype", "a document of this type was not asked for")
        return
    findings.judge("request.doctype", _other_document(document.doctype, asked, certificate, of_its_type))
    returned: dict[str, Mapping[str, Any]] = dict(elements)
    if document.device_signed is not None:
        for namespace, values in document.device_signed.name_spaces.items():
            returned[namespace] = {**returned.get(namespace, {}), **values}
    # Several documents of one type may be asked for: this one has to answer one of the requests, and may answer more.
    gaps = [_gaps(one, returned) for one in asked]
    if not all(missing for missing, _ in gaps):
        findings.pass_("request.elements")
    elif findings.results["issuer_data.encoding"].outcome is Outcome.FAILED:
        findings.leave("request.elements", "an item cannot be read: it may be the one that is missing")
    elif not any(returned.values()):
        findings.judge("request.elements", {"request.nothing_returned": "not one element was returned"})
    else:
        findings.judge("request.elements", {"request.element_missing": "a requested element was not returned"})
    findings.judge(
        "request.unrequested",
        {"request.element_unrequested": "an element was returned that was not asked for"}
        if set.intersection(*(unrequested for _, unrequested in gaps))
        else {},
    )


def _other_document(
    doctype: str, asked: list[ItemsRequest], certificate: Certificate | None, of_its_type: int
) -> dict[str, str]:
    """The ways in which a document of the right type does not fit the request: code to detail."""
    deviations: dict[str, str] = {}
    if all(one.doctype != doctype for one in asked):
        deviations["request.doctype_alias"] = "the document type is another spelling of the one that was asked for"
    if any(one.request_info for one in asked):
        # The document signer's own word is held against its root's key identifier by the path; what other
        # certificates in header 33 name proves nothing.
        identifier = certificate.authority_key_identifier if certificate else None
        named = [one.issuer_identifiers for one in asked]
        if all(some is not None and identifier not in some for some in named):
            deviations["request.issuer"] = "the document is not of an issuer that was asked for"
        if of_its_type > len(asked) and all(one.wants_one_document for one in asked):
            deviations["request.several_documents"] = "there are more documents of this type than were asked for"
    return deviations


def _is_type(doctype: str, asked: str) -> bool:
    """Whether a document type is the requested one, in any of its spellings."""
    if doctype == asked:
        return True
    known = find_doctype(doctype)
    return known is not None and known is find_doctype(asked)


_Place: TypeAlias = tuple[str, str]


def _gaps(request: ItemsRequest, returned: Mapping[str, Mapping[str, Any]]) -> tuple[set[_Place], set[_Place]]:
    """The missing elements and the elements that were not requested, each as namespace and identifier."""
    missing: set[_Place] = set()
    unrequested: set[_Place] = set()
    asked = request.name_spaces
    for namespace in asked.keys() | returned.keys():
        wanted, got = asked.get(namespace, {}).keys(), returned.get(namespace, {})
        if wanted == got.keys():  # mutants: same
            continue
        # One age statement may be answered by another: mdoc.md §4.5.
        statements = age_statements(got)
        open_ages = {one: age for one in wanted - got.keys() if (age := age_over_threshold(one)) is not None}
        missing |= {
            (namespace, one)
            for one in wanted - got.keys()
            if one not in open_ages or age_over(statements, open_ages[one]) is Answer.UNKNOWN
        }
        unrequested |= {
            (namespace, one)
            for one in got.keys() - wanted
            if not _answers_one(statements, age_over_threshold(one), open_ages.values())
        }
    for element, alternatives in request.alternatives.items() if missing else ():
        if element in missing:
            for alternative in alternatives:
                if all(identifier in returned.get(namespace, {}) for namespace, identifier in alternative):
                    missing.discard(element)
                    unrequested -= alternative
                    break
    return missing, unrequested


def _answers_one(statements: Mapping[int, bool], threshold: int | None, ages: Iterable[int]) -> bool:
    """Whether the age statement at `threshold` answers one of the requested ages by itself."""
    statement = {age: value for age, value in statements.items() if age == threshold}
    return any(age_over(statement, age) is not Answer.UNKNOWN for age in ages)


# (10) plausible element types

# What is not of its CBOR type was not meant so by anybody. What is, but has a value that the table does not know, is
# the issuing authority's affair: mdoc.md §4.1 no. 10 warns only.
_KINDS: Final[Mapping[str, str]] = {
    Code.DATE_FORM: "elements.date_form",
    Code.TYPE: "elements.type",
    Code.DATE: "elements.type",
    Code.MEMBER_MISSING: "elements.type",
    Code.MEMBER_UNKNOWN: "elements.unknown_member",
}


def examine_types(findings: Findings, document: Document, elements: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that the values are of the types that the document type gives them."""
    spaces: list[tuple[str, Mapping[str, Any]]] = list(elements.items())
    if document.device_signed is not None:
        spaces += document.device_signed.name_spaces.items()
    deviations: dict[str, str] = {}
    for namespace, values in spaces:
        for identifier, code in check_elements(document.doctype, namespace, values.items()):
            kind = _KINDS.get(code, "elements.value")
            part = faulty_part(document.doctype, namespace, identifier, values[identifier])
            deviations.setdefault(kind, f"{namespace}/{identifier}{part}: {code}")
        for identifier, value in compress(values.items(), map(is_, map(type, values.values()), repeat(TDate))):
            if not value.is_strict:
                deviations.setdefault("elements.date_form", f"{namespace}/{plain_name(identifier)}: {Code.DATE_FORM}")
        for identifier in unknown_elements(document.doctype, namespace, values):
            # Anybody may have made the name up: it may be long, or not fit for a terminal.
            deviations.setdefault("elements.unknown", f"{namespace}/{plain_name(identifier)}: {Code.UNKNOWN}")
    findings.judge("elements.types", deviations)

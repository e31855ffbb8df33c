"""The verdict on a DeviceResponse: `Verifier.verify` raises or gives a `VerifiedResponse`; `Verifier.examine` explains.

Both run the same numbered checks, every one of them, whatever the ones before have found. A check starts as
INDETERMINATE and only its own code can make it anything else, so a check that is not reached refuses. Where the input
of a check is spoilt by an earlier failure, it stays INDETERMINATE: the earlier check names the cause.

     (1) the response: decodes, version, status, documents
     (2) the document signer: x5chain, path to an anchor, profile, validity, scope, revocation
     (3) the issuer's signature
     (4) the security object: version, docType, digest algorithm, validity, signed in time, status
     (5) the issuer-signed items: encoding, digest of the received bytes, uniqueness, randomness
     (6) the device's signature or MAC over our own session transcript
     (7) the device-signed elements: authorised by the issuer
     (8) the subject: country and jurisdiction as in the document signer's name
     (9) the request: what was asked for, all of it, nothing else
    (10) plausible element types

Spec:
    18013-5 first edition 9.3.1 to 9.3.3; mdoc.md §4.1 and pki.md §3.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import compress
from operator import not_
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn, TypeVar, final

from mdl.cbor import FullDate, Limits, Reading, Tag, TDate, decode_view
from mdl.cose import X5CHAIN, CoseSign1
from mdl.doctypes import MDL_NAMESPACE, Answer, age_over, age_statements
from mdl.errors import DecodeError, MdlError, UnsupportedError
from mdl.keys import PublicKey, UnsafePostQuantum
from mdl.mdoc import (
    DeviceRequest,
    DeviceResponse,
    Document,
    IssuerSigned,
    MobileSecurityObject,
    ValidityInfo,
)
from mdl.pki import Certificate, PathResult, validate_path
from reader.checks import (
    Findings,
    SessionContext,
    examine_device_auth,
    examine_items,
    examine_reading,
    examine_request,
    examine_security_object,
    examine_signature,
    examine_subject,
    examine_types,
    judge_version,
)
from reader.report import CHECKS, Check, Outcome, Policy, Report, Revocation
from reader.revocation import MAX_CLOCK_SKEW, NO_EVIDENCE, CrlJudge, Evidence, demand_moment
from reader.status import StatusJudge
from reader.trust import MDL_DOCTYPE, TrustAnchor, TrustStore, deviation_code, wrong_purpose

__all__ = [
    "MAX_CLOCK_SKEW",
    "IssuerSignedResult",
    "SessionContext",
    "UnsafeNoRequest",
    "VerifiedDocument",
    "VerifiedResponse",
    "Verifier",
]

_LOG: Final = logging.getLogger(__name__)

# How many document signers a verifier remembers; a reader meets few, and forgetting one costs a millisecond.
_MAX_SIGNERS: Final = 1024
# How many more anchors are looked at where the first one is derived: its proof may be revoked, and another one's not.
_MAX_OTHERS: Final = 8
# What asks for the mDL's own purpose in extendedKeyUsage, and no other: for the mDL, `ds.eku.extra` is left to say so.
_PURPOSE_RULES: Final = frozenset(("ds.eku.missing", "ds.eku.purpose"))
_EXTRA_PURPOSE_RULE: Final = "ds.eku.extra"
# A state that only one of the two names: the root must, by AAMVA's rules (pki.md §10). Where the document
# signer names none, `subject.jurisdiction` says so.
_STATE_ABSENT_RULE: Final = "ds.issuer.state.absent"
# What the rehearsal grades as a note (see `mdl.pki.lint_certificate`).
_ML_DSA_RULES: Final = frozenset(("ds.key.type", "ds.signature.algorithm", "iaca.key.type", "iaca.signature.algorithm"))
_DOCUMENTS_CLAUSE: Final = CHECKS["response.documents"]
# A response and everything in it is one reading; a large one has some hundred items for each document.
_LIMITS: Final = Limits(max_items=1 << 17)
_MSO_LIMITS: Final = Limits(max_bytes=1024 * 1024)


@final
class UnsafeNoRequest:
    """Given in place of the request when there is no request to compare with. The ``request.*`` checks do not apply.

    Unsafe, because the caller must then check that the response holds the elements that were requested.
    """


class VerifiedDocument:
    """A document that passed every check. No other object hands out element values.

    Attributes:
        doctype: The document type.
        elements: Issuer-signed element values by namespace and identifier. They cannot be changed: an array is a tuple,
            a map is read-only.
        device_elements: Device-signed element values by namespace and identifier, all authorised by the issuer.
        validity: The security object's validity.
        document_signer: The certificate of the document signer.
        anchor: The trust anchor that it chains to.
    """

    __slots__ = ("anchor", "device_elements", "doctype", "document_signer", "elements", "validity")

    doctype: str
    elements: Mapping[str, Mapping[str, Any]]
    device_elements: Mapping[str, Mapping[str, Any]]
    validity: ValidityInfo
    document_signer: Certificate
    anchor: TrustAnchor

    def __init__(self) -> None:
        msg = "a VerifiedDocument comes out of Verifier.verify only"
        raise TypeError(msg)

    def __init_subclass__(cls) -> NoReturn:
        msg = "VerifiedDocument cannot be subclassed"
        raise TypeError(msg)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = "a VerifiedDocument is what the verifier saw and cannot be changed"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        msg = "a VerifiedDocument is what the verifier saw and cannot be changed"
        raise AttributeError(msg)

    def __reduce__(self) -> NoReturn:
        # A copy or a pickle would be a VerifiedDocument that no verifier has made.
        msg = "a VerifiedDocument cannot be copied or pickled"
        raise TypeError(msg)

    def age_over(self, age: int) -> Answer:
        """Whether the holder has reached `age` years, by the nearest of the age statements: yes, no or unknown.

        Spec:
            mdoc.md §4.5. The statements hold as of the security object's validFrom.
        """
        return age_over(age_statements(self.elements.get(MDL_NAMESPACE, {})), age)

    def __repr__(self) -> str:
        return f"VerifiedDocument({self.doctype})"


@dataclass(frozen=True, slots=True)
class VerifiedResponse:
    """A response of which every document passed every check.

    Attributes:
        documents: The documents, in the order of the response.
        report: The outcome of every check.
        unsupported: One error for each part of the response that is not implemented here and was left aside.
    """

    documents: tuple[VerifiedDocument, ...]
    report: Report
    unsupported: tuple[UnsupportedError, ...] = ()


# What can be said of a presentation only.
_PRESENTATION: Final = frozenset(
    name for name in CHECKS if name.startswith(("device_", "request.", "response.")) and name != "response.decoded"
)


@dataclass(frozen=True, slots=True)
class IssuerSignedResult:
    """The result of `Verifier.examine_issuer_signed`. It hands out no element values.

    Attributes:
        report: The outcome of every check. Those of a presentation (``device_…``, ``request.…`` and ``response.…`` but
            ``response.decoded``) are INDETERMINATE, so the report as a whole is never accepted.
        doctype: The document type.
        identifiers: The element identifiers by namespace, as received.
        validity: The security object's validity, or None where it has none.
        document_signer: The certificate of the document signer, or None where there is none.
        anchor: The trust anchor that it chains to, or None.
    """

    report: Report
    doctype: str
    identifiers: Mapping[str, tuple[str, ...]]
    validity: ValidityInfo | None
    document_signer: Certificate | None
    anchor: TrustAnchor | None

    @property
    def refusing(self) -> tuple[str, ...]:
        """Ids of the checks of issuer-signed data that refuse, in the order of the report."""
        return tuple(check.id for check in self.report if check.id not in _PRESENTATION and self.report.refuses(check))

    @property
    def holds(self) -> bool:
        """Whether the issuing authority signed the data, and no check of the signed data refuses.

        The result does not say that the holder presented them: anybody may have a copy.
        """
        return not self.refusing

    def __bool__(self) -> NoReturn:
        msg = "use .holds, .refusing or .report"
        raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class _Known:
    """The inputs that do not depend on the presentation: the time, and the evidence at hand."""

    at: datetime
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class _Case(_Known):
    """The inputs that a response is compared with; see `Verifier.verify`."""

    context: SessionContext
    request: DeviceRequest | UnsafeNoRequest


def _demand(name: str, value: object, *kinds: type[Any]) -> None:
    """Refuse a wrong argument at once: None must never mean that something is not checked."""
    if not isinstance(value, kinds):
        msg = f"{name}: expected {' or '.join(kind.__name__ for kind in kinds)}, not {type(value).__name__}"
        raise TypeError(msg)


_PLAIN: Final = frozenset((str, bytes, int, bool, float, type(None), FullDate, TDate))


def _frozen(value: Any) -> Any:
    """A decoded value that cannot be changed: arrays are tuples, maps are read-only."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is list or kind is tuple:
        return (*map(_frozen, value),)
    if kind is dict or isinstance(value, Mapping):
        # A look at all entries together costs a fraction of a look at each.
        are_plain = map(_PLAIN.__contains__, map(type, value.values()))
        others = {key: _frozen(value[key]) for key in compress(value, map(not_, are_plain))}
        return MappingProxyType({**value, **others})
    return Tag(value.number, _frozen(value.value)) if kind is Tag else value


def _verified(fields: Mapping[str, Any]) -> VerifiedDocument:
    document = object.__new__(VerifiedDocument)
    for name, value in fields.items():
        object.__setattr__(document, name, _frozen(value) if name in _ELEMENTS else value)
    return document


_ELEMENTS: Final = frozenset(("elements", "device_elements"))


# --- the document signer ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _DocumentSigner:
    """A document signer as assessed for one document type; it holds for every time within the path's bounds.

    Attributes:
        certificate: The certificate.
        key: Its public key, or None where that is not of this standard.
        path: Path, validity and profile.
        anchor: The anchor at the end of the path, or None; one that is trusted for this signer and document type,
            where there is one.
        deviations: Where it or its anchor deviates from the profile: policy code or rule to reason.
        others: Where the anchor is derived, the same signer under other anchors, for when the proof does not hold.
    """

    certificate: Certificate
    key: PublicKey | str
    path: PathResult
    anchor: TrustAnchor | None
    deviations: Mapping[str, str]
    others: tuple[_DocumentSigner, ...] = ()

    @property
    def state(self) -> str | None:
        """The state or province that it signs for: its own, else its root's, else the one its root is trusted for."""
        if self.certificate.state is not None or self.anchor is None:
            return self.certificate.state
        return self.anchor.certificate.state or self.anchor.state

    def holds(self, at: datetime) -> bool:
        """Whether the assessment also holds at that time. If that is in doubt, the assessment is made again."""
        if self.anchor is None:  # mutants: same
            return False
        return self.anchor.is_current(at) and self._covers(at)

    def _covers(self, at: datetime) -> bool:
        return self.path.not_before <= at <= self.path.not_after  # mutants: same


class _IssuerPart(NamedTuple):
    """The result of the checks of the issuer-signed part."""

    signer: _DocumentSigner | None
    mso: MobileSecurityObject | None
    validity: ValidityInfo | None
    elements: dict[str, dict[str, Any]]


_FoundT = TypeVar("_FoundT")


class Verifier:
    """Verifies responses.

    Make one verifier and use it for many responses: it assesses a document signer once and remembers the result by the
    bytes of the certificate. Threads may share a verifier.
    """

    def __init__(
        self,
        trust: TrustStore,
        *,
        policy: Policy,
        revocation: Revocation,
        clock_skew: timedelta = timedelta(0),
        post_quantum: UnsafePostQuantum | None = None,
    ) -> None:
        """Create a verifier.

        Args:
            trust: The trusted roots.
            policy: Which deviations are refused; a forger gains by none of them.
            revocation: Whether revocation evidence is required.
            clock_skew: Tolerance for the clock that `at` comes from, 0 to `MAX_CLOCK_SKEW` inclusive. Every period of
                validity begins earlier and ends later by this much. The standard grants no tolerance.
            post_quantum: Takes part in the post-quantum rehearsal, under the lenient policy only: a document may then
                rest on ML-DSA keys and signatures, which is reported as a deviation.

        Raises:
            ValueError: The clock skew is negative or too large, or the rehearsal is asked for under a policy that
                claims conformance.
        """
        _demand("trust", trust, TrustStore)
        _demand("policy", policy, Policy)
        _demand("revocation", revocation, Revocation)
        _demand("clock_skew", clock_skew, timedelta)
        if not timedelta(0) <= clock_skew <= MAX_CLOCK_SKEW:
            msg = f"a clock skew is 0 to {MAX_CLOCK_SKEW.seconds} seconds"
            raise ValueError(msg)
        if post_quantum is not None:
            _demand("post_quantum", post_quantum, UnsafePostQuantum)
            if policy is not Policy.LENIENT:
                msg = "no edition of the standard permits ML-DSA: the rehearsal goes with the lenient policy only"
                raise ValueError(msg)
        self._skew = clock_skew
        self._post_quantum = post_quantum
        self._trust = trust
        self._policy = policy
        self._revocation = revocation
        self._signers: OrderedDict[tuple[bytes, str], _DocumentSigner] = OrderedDict()
        self._crls = CrlJudge(skew=clock_skew, post_quantum=post_quantum)
        self._status = StatusJudge(skew=clock_skew, crls=self._crls)

    def __reduce__(self) -> NoReturn:
        msg = "a Verifier cannot be copied or pickled: make one in each process"
        raise TypeError(msg)

    @property
    def trust(self) -> TrustStore:
        """The trusted roots."""
        return self._trust

    @property
    def policy(self) -> Policy:
        """The policy that grades deviations."""
        return self._policy

    @property
    def revocation(self) -> Revocation:
        """Whether revocation evidence is required."""
        return self._revocation

    @property
    def clock_skew(self) -> timedelta:
        """The tolerance for the clock."""
        return self._skew

    @property
    def post_quantum(self) -> UnsafePostQuantum | None:
        """Whether the verifier takes part in the post-quantum rehearsal."""
        return self._post_quantum

    def verify(
        self,
        response: bytes,
        *,
        context: SessionContext,
        request: DeviceRequest | UnsafeNoRequest,
        at: datetime,
        evidence: Evidence = NO_EVIDENCE,
    ) -> VerifiedResponse:
        """Verify a DeviceResponse, or refuse it.

        Args:
            response: The encoded DeviceResponse, decrypted, as received.
            context: The session that the response must belong to.
            request: The request that was sent.
            at: The time of verification, an aware datetime.
            evidence: Revocation evidence at hand. Missing evidence is reported, and refuses the document if it is
                required.

        Returns:
            The verified documents, which alone hand out element values.

        Raises:
            VerificationError: A check refuses; ``.report`` has every outcome, ``.failed`` the ids of the checks.
            UnsupportedError: Every document is in a form that is not implemented here.
            DecodeError: The response is not what the CDDL says; ``.path`` tells where.
        """
        report, documents = self._run(response, _Case(at, evidence, context, request))
        report.require()
        unsupported = tuple(
            UnsupportedError(f"not implemented: {name}", code="response.unsupported", clause=_DOCUMENTS_CLAUSE)
            for name in report.unsupported
        )
        return VerifiedResponse(tuple(_verified(fields) for fields in documents), report, unsupported)

    def examine(
        self,
        response: bytes,
        *,
        context: SessionContext,
        request: DeviceRequest | UnsafeNoRequest,
        at: datetime,
        evidence: Evidence = NO_EVIDENCE,
    ) -> Report:
        """Run every check and return the report, which holds no element values; the arguments are those of `verify`.

        Raises:
            DecodeError: The response is not what the CDDL says; ``.path`` tells where.
        """
        return self._run(response, _Case(at, evidence, context, request))[0]

    def examine_issuer_signed(
        self, data: bytes, *, at: datetime, evidence: Evidence = NO_EVIDENCE
    ) -> IssuerSignedResult:
        """Examine issuer-signed data that were not presented, as a wallet or a back end holds them.

        Args:
            data: An encoded IssuerSigned, or a Document, whose device-signed part is not looked at.
            at: The time of verification, an aware datetime.
            evidence: Revocation evidence at hand.

        Raises:
            DecodeError: The data are neither; ``.path`` says where.
        """
        _demand("data", data, bytes)
        demand_moment("at", at)
        _demand("evidence", evidence, Evidence)
        reading = Reading(_LIMITS)
        value = decode_view(data, reading=reading)
        if type(value) is dict and "issuerSigned" in value:
            document = Document.from_value(value, "", reading)
        else:
            signed = IssuerSigned.from_value(value, "", reading)
            payload = signed.issuer_auth.payload
            mso = MobileSecurityObject.decode(payload or b"", path="issuerAuth.payload", limits=_MSO_LIMITS)
            document = Document(mso.doctype, signed, None)
        findings = Findings(0, self._policy)
        part = self._guarded(
            findings, lambda: self._examine_issuer_part(findings, document, _Known(at, evidence), reading)
        )
        whole = Findings(None, self._policy)
        examine_reading(whole, reading)
        for found in (whole, findings):
            for name in _PRESENTATION & found.results.keys():
                found.leave(name, "nobody has presented it")
        checks = (*whole.results.values(), *findings.results.values())
        signer = part.signer if part else None
        return IssuerSignedResult(
            Report(checks, self._policy, self._revocation),
            document.doctype,
            MappingProxyType({name: tuple(values) for name, values in part.elements.items()} if part else {}),
            part.validity if part else None,
            signer.certificate if signer else None,
            signer.anchor if signer else None,
        )

    def _run(self, response: bytes, case: _Case) -> tuple[Report, list[dict[str, Any]]]:
        _demand("response", response, bytes)
        demand_moment("at", case.at)
        _demand("context", case.context, SessionContext)
        _demand("request", case.request, DeviceRequest, UnsafeNoRequest)
        _demand("evidence", case.evidence, Evidence)
        reading = Reading(_LIMITS)
        decoded = _decode_response(response, reading)
        examined = [Findings(index, self._policy) for index in range(len(decoded.documents))]
        types: dict[str, int] = {}
        for document in decoded.documents:
            types[document.doctype] = types.get(document.doctype, 0) + 1
        documents = [
            self._guarded(
                findings,
                partial(self._examine_document, findings, document, case, reading, types[document.doctype]),
            )
            or {}
            for findings, document in zip(examined, decoded.documents, strict=True)
        ]
        checks = self._examine_response(decoded, reading)
        for findings in examined:
            checks += findings.results.values()
        return Report(tuple(checks), self._policy, self._revocation, decoded.unsupported), documents

    # (1) the response

    def _examine_response(self, response: DeviceResponse, reading: Reading) -> list[Check]:
        """Check the response as a whole, after all of it was decoded."""
        findings = Findings(None, self._policy)
        examine_reading(findings, reading)
        judge_version(findings, "response.version", response.version)
        if response.status == 0:
            findings.pass_("response.status")
        else:
            findings.fail("response.status", f"the mdoc reports status {response.status}")
        if response.documents:
            # What else there may be, in forms that are not implemented here, is left aside.
            findings.pass_("response.documents")
        elif response.unsupported:
            findings.leave("response.documents", f"not implemented: {', '.join(response.unsupported)}")
        else:
            findings.fail("response.documents", "the response holds no document")
        return list(findings.results.values())

    def _guarded(self, findings: Findings, examine: Callable[[], _FoundT]) -> _FoundT | None:
        """Examine one document. An internal error fails the check that it occurred in, and no other document."""
        try:
            return examine()
        except MdlError:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever a document does to us, it is not accepted
            _LOG.error("check %s of a document could not be carried out (%s)", findings.current, type(exc).__name__)
            findings.fail(findings.current, f"the check could not be carried out: {type(exc).__name__}")
            return None

    def _examine_issuer_part(
        self, findings: Findings, document: Document, known: _Known, reading: Reading
    ) -> _IssuerPart:
        """Check the issuer-signed part: signature, security object, items, subject and values."""
        issuer_auth = document.issuer_signed.issuer_auth
        findings.current = "issuer_auth.x5chain"
        signer = self._examine_signer(findings, issuer_auth, document.doctype, known)
        certificate = signer.certificate if signer else None
        findings.current = "issuer_auth.certificate_revocation"
        self._examine_revocation(findings, signer, known)
        mso = validity = None
        if issuer_auth.payload is not None:  # a detached one: examine_signature has refused it
            findings.current = "mso.doctype"
            path = f"documents[{findings.document}].issuerSigned.issuerAuth.payload"
            mso = MobileSecurityObject.decode(issuer_auth.payload, path=path, limits=_MSO_LIMITS, reading=reading)
            validity = examine_security_object(findings, mso, document.doctype, certificate, known.at, skew=self._skew)
            findings.current = "mso.status"
            self._examine_status(findings, mso, signer, known)
        findings.current = "issuer_data.encoding"
        elements = examine_items(findings, document, mso, reading)
        findings.current = "subject.country"
        if document.doctype != MDL_DOCTYPE:
            findings.skip("subject.country")
            findings.skip("subject.jurisdiction")
        elif certificate is not None:
            # Whoever signed an element, it is about the same subject; one that both have signed fails as not unique.
            told: Mapping[str, Any] = elements.get(MDL_NAMESPACE, {})
            if document.device_signed is not None and document.device_signed.name_spaces:
                told = {**document.device_signed.name_spaces.get(MDL_NAMESPACE, {}), **told}
            examine_subject(findings, told, certificate, state=signer.state if signer else None)
        findings.current = "elements.types"
        examine_types(findings, document, elements)
        findings.current = "issuer_auth.signature"
        if signer is not None:
            examine_signature(findings, issuer_auth, signer.key)
        return _IssuerPart(signer, mso, validity, elements)

    def _examine_document(
        self, findings: Findings, document: Document, case: _Case, reading: Reading, of_its_type: int
    ) -> dict[str, Any]:
        part = self._examine_issuer_part(findings, document, case, reading)
        # The two signatures one right after the other, with the cryptography still in the processor's caches: 2.5 %.
        findings.current = "device_auth.algorithm"
        examine_device_auth(findings, document, part.mso, case.context, post_quantum=self._post_quantum)
        certificate = part.signer.certificate if part.signer else None
        findings.current = "request.elements"
        examine_request(
            findings,
            document,
            part.elements,
            case.request if isinstance(case.request, DeviceRequest) else None,
            certificate=certificate,
            of_its_type=of_its_type,
        )
        return {
            "doctype": document.doctype,
            "elements": part.elements,
            "device_elements": document.device_signed.name_spaces if document.device_signed else {},
            "validity": part.validity,
            "document_signer": certificate,
            "anchor": part.signer.anchor if part.signer else None,
        }

    # (2) the document signer

    def _examine_signer(
        self, findings: Findings, issuer_auth: CoseSign1, doctype: str, known: _Known
    ) -> _DocumentSigner | None:
        try:
            chain = issuer_auth.x5chain
            if not chain:
                findings.fail("issuer_auth.x5chain", "no certificate in header 33")
                return None
            if issuer_auth.contradicts(chain[0]):
                findings.fail("issuer_auth.x5chain", "the issuer signed for another certificate, which x5t names")
                return None
            signer = self._proven(self._signer(chain[0], doctype, known.at), known)
        except MdlError as exc:
            findings.fail("issuer_auth.x5chain", f"the document signer's certificate: {exc}")
            return None
        # The path leads from the first certificate to one of our anchors; what else was sent has no say in it.
        deviations: dict[str, str] = {}
        if len(chain) > 1:
            deviations["x5chain.extra"] = "more certificates than the document signer's; ignored"
            if signer.path.path.holds is False and _is_above(signer.certificate, chain[1:]):
                findings.fail("issuer_auth.x5chain", "header 33 is in the wrong order: the document signer comes first")
        elif type(issuer_auth.unprotected.get(X5CHAIN)) is not bytes:
            deviations["x5chain.form"] = "an array of one certificate, or in the protected header"
        if findings.results["issuer_auth.x5chain"].outcome is not Outcome.FAILED:
            findings.judge("issuer_auth.x5chain", deviations)
        findings.judge("issuer_auth.profile", signer.deviations)
        if signer.anchor is None and findings.results["issuer_auth.profile"].outcome is Outcome.PASSED:
            findings.leave("issuer_auth.profile", "there is no root to compare with")
        for name, fact in (
            ("issuer_auth.path", signer.path.path),
            ("issuer_auth.certificate_validity", signer.path.validity),
        ):
            if fact.holds:
                findings.pass_(name)
            elif fact.holds is not None:
                findings.fail(name, fact.detail)
        if signer.anchor is not None:
            reason = signer.anchor.out_of_scope(doctype, signer.certificate, at=known.at)
            if reason is None:
                findings.pass_("issuer_auth.trust_scope")
            else:
                findings.fail("issuer_auth.trust_scope", reason)
        return signer

    def _signer(self, der: bytes, doctype: str, at: datetime) -> _DocumentSigner:
        """The assessment of a document signer: a new one, or a remembered one that covers `at`."""
        # The document type is the sender's word. What no anchor names is one and the same scope, or strangers could
        # fill the memory with made-up names under an honest signer's certificate.
        scope = doctype if doctype in self._trust.doctypes or doctype == MDL_DOCTYPE else ""
        signer = self._signers.get((der, scope))
        if signer is None or not signer.holds(at):
            signer = self._assess(Certificate.decode(der), doctype, at)
            # What fails is not remembered: strangers must not push out those who are trusted.
            if signer.path.validity.holds:
                self._signers[der, scope] = signer
                while len(self._signers) > _MAX_SIGNERS:
                    self._signers.popitem(last=False)
        return signer

    def _proven(self, signer: _DocumentSigner, known: _Known) -> _DocumentSigner:
        """The signer under an anchor whose proof the evidence does not revoke, if there is such an anchor."""
        if not signer.others:
            return signer
        options = (signer, *(one for one in signer.others if one.holds(known.at)))
        return next((one for one in options if not self._refuses_proof(one.anchor, known)), signer)

    def _refuses_proof(self, anchor: TrustAnchor | None, known: _Known) -> bool:
        outcome = self._crls.judge_all(anchor.proof if anchor else (), known.evidence, known.at).outcome
        undetermined = outcome is Outcome.INDETERMINATE and self._revocation is Revocation.IF_GIVEN
        return outcome is not Outcome.PASSED and not undetermined

    def _assess(self, certificate: Certificate, doctype: str, at: datetime) -> _DocumentSigner:
        """Assess the signer under its anchor. An anchor that the caller chose goes before a derived one."""
        left = sorted(self._trust.with_a_say(certificate), key=_is_derived)
        found = [self._assess_under(left, certificate, doctype, at)]
        # What does not depend on the evidence is assessed once: the anchors that may take a derived one's place.
        while (last := found[-1].anchor) is not None and last.proof and len(found) <= _MAX_OTHERS:
            left = [one for one in left if one is not last]
            other = self._assess_under(left, certificate, doctype, at) if left else None
            if other is None or other.anchor is None or other.anchor.out_of_scope(doctype, certificate, at=at):
                break
            found.append(other)
        return replace(found[0], others=tuple(found[1:]))

    def _assess_under(
        self, anchors: Sequence[TrustAnchor], certificate: Certificate, doctype: str, at: datetime
    ) -> _DocumentSigner:
        scoped = [anchor for anchor in anchors if anchor.out_of_scope(doctype, certificate, at=at) is None]
        path = self._path(certificate, scoped or anchors, at)
        if path.anchor is None and len(scoped) < len(anchors):  # mutants: same
            scoped = []
            path = self._path(certificate, anchors, at)
        deviations: dict[str, str] = {}
        # Two anchors may be of one root: the one that accepts the signer's purpose counts.
        given = [anchor for anchor in scoped or anchors if anchor.certificate == path.anchor]
        reasons = [wrong_purpose(doctype, certificate, anchor) for anchor in given]
        anchor = given[reasons.index(None) if None in reasons else 0] if given else None
        reason = wrong_purpose(doctype, certificate, anchor)
        if reason is not None:
            rule = "ds.eku.missing" if certificate.extended_key_usage is None else "ds.eku.purpose"
            deviations[rule] = f"error: {reason} [{rule}, 18013-5 B.1.4]"
        left = _PURPOSE_RULES if doctype == MDL_DOCTYPE else _PURPOSE_RULES | {_EXTRA_PURPOSE_RULE}
        found = [one for one in path.profile.findings if one.rule not in left]
        # The gravest first: the first one that refuses is the reason that is told.
        for finding in sorted(found, key=lambda one: not one.security):
            code = deviation_code(finding)
            if finding.rule in _ML_DSA_RULES:  # outside the rehearsal it is one of security, and goes by its rule
                code = finding.rule if finding.security else "post_quantum.certificate"
            elif finding.rule == _STATE_ABSENT_RULE and certificate.state is not None:
                code = "state.one_sided"
            deviations.setdefault(code, str(finding))
        return _DocumentSigner(certificate, _usable_key(certificate, self._post_quantum), path, anchor, deviations)

    def _path(self, certificate: Certificate, anchors: Iterable[TrustAnchor], at: datetime) -> PathResult:
        roots = [anchor.certificate for anchor in anchors]
        return validate_path(certificate, roots, at=at, skew=self._skew, post_quantum=self._post_quantum)

    def _examine_revocation(self, findings: Findings, signer: _DocumentSigner | None, case: _Known) -> None:
        if signer is None or signer.anchor is None:
            return
        name = "issuer_auth.certificate_revocation"
        anchor = signer.anchor
        judgement = self._crls.judge(signer.certificate, anchor.certificate, case.evidence, case.at)
        if anchor.proof and judgement.outcome is not Outcome.FAILED:
            proof = self._crls.judge_all(anchor.proof, case.evidence, case.at)
            if proof.outcome is not Outcome.PASSED:
                if proof.outcome is Outcome.FAILED or judgement.outcome is Outcome.PASSED:
                    judgement = replace(proof, detail=f"a link or list that the root rests on: {proof.detail}")
            elif judgement.outcome is Outcome.PASSED:
                judgement = replace(judgement, deviations=judgement.deviations + proof.deviations)
        if judgement.outcome is Outcome.PASSED:
            findings.judge(name, dict(judgement.deviations))
        else:
            findings.results[name] = Check(name, judgement.outcome, judgement.detail, findings.document)

    def _examine_status(
        self, findings: Findings, mso: MobileSecurityObject, signer: _DocumentSigner | None, case: _Known
    ) -> None:
        name = "mso.status"
        if mso.has_null_status:
            findings.judge(name, {"status.null": "the status member is null; it counts as absent"})
        elif mso.status is None:
            findings.skip(name)
        elif signer is not None and signer.anchor is not None:
            judgement = self._status.judge(mso.status, signer.anchor.certificate, case.evidence, case.at)
            if judgement.outcome is Outcome.PASSED:
                findings.judge(name, dict(judgement.deviations))
            else:
                findings.results[name] = Check(name, judgement.outcome, judgement.detail, findings.document)


def _decode_response(response: bytes, reading: Reading) -> DeviceResponse:
    try:
        return DeviceResponse.decode(response, reading=reading)
    except MdlError:
        raise
    except Exception as exc:  # a fault of ours; whatever a response does to us, it is not accepted
        _LOG.error("a response could not be decoded (%s)", type(exc).__name__)
        msg = "the response could not be decoded"
        raise DecodeError(msg, code="response.undecodable") from exc


def _is_derived(anchor: TrustAnchor) -> bool:
    return bool(anchor.proof)


def _is_above(certificate: Certificate, others: Iterable[bytes]) -> bool:
    """Whether the certificate's subject is the issuer name of one of the others (DER)."""
    for der in others:
        with suppress(MdlError):
            if Certificate.decode(der).issuer == certificate.subject and der != certificate.der:
                return True
    return False


def _usable_key(certificate: Certificate, post_quantum: UnsafePostQuantum | None) -> PublicKey | str:
    """The document signer's key, or the reason why it cannot be used."""
    try:
        return certificate.key_for(post_quantum)
    except MdlError as exc:
        return exc.message

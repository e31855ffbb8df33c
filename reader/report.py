"""The checks of the reader, their outcomes, and the grades that each policy gives to deviations.

`CHECKS` is the one list of check ids with their clauses, `REQUIREMENTS` says what each requires. An outcome is one of
four; only PASSED and NOT_APPLICABLE earn trust by themselves. `DEVIATIONS` is the one table of what a named policy
tolerates: nothing that protects against forgery, replay or use out of scope stands in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import compress, repeat
from operator import attrgetter, is_not
from types import MappingProxyType
from typing import Any, Final, NoReturn

from mdl.errors import UnsupportedError, VerificationError

__all__ = [
    "CHECKS",
    "DEVIATIONS",
    "REQUIREMENTS",
    "Check",
    "Deviation",
    "Outcome",
    "Policy",
    "Report",
    "Revocation",
]


class Outcome(Enum):
    """The outcome of one check."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"
    NOT_APPLICABLE = "not applicable"

    def __bool__(self) -> NoReturn:
        msg = "there are four outcomes: compare with Outcome.PASSED"
        raise TypeError(msg)


# Check id, the clause it serves, and what it requires; in the order in which a report lists them.
_TABLE: Final = (
    (
        "response.decoded",
        "18013-5 8.3.2.1.2",
        "every structure is what its CDDL says, within the limits of size and depth",
    ),
    ("response.version", "18013-5 8.3.2.1.2", "the response's version is 1.x, compared as numbers"),
    ("response.status", "18013-5 8.3.2.1.2", "the mdoc reports status 0"),
    ("response.documents", "18013-5 8.3.2.1.2", "there is a document, in a form that is implemented here"),
    ("issuer_auth.x5chain", "18013-5 9.1.2.4", "header 33 holds the document signer's certificate, first"),
    (
        "issuer_auth.path",
        "18013-5 9.3.3",
        "a trusted root has signed that certificate: name, key identifier and signature",
    ),
    ("issuer_auth.profile", "18013-5 B.1.4", "certificate and root follow their profiles"),
    ("issuer_auth.certificate_validity", "18013-5 9.3.3", "both are valid at the time of verification"),
    ("issuer_auth.trust_scope", "18013-5 C.1.7.1", "the root is trusted for this document type and place"),
    (
        "issuer_auth.certificate_revocation",
        "18013-5 B.3",
        "no revocation list names that certificate, or a link or list signer that the trust in the root rests on",
    ),
    ("issuer_auth.algorithm", "18013-5 9.1.2.4", "the signature algorithm is the one that goes with the key's curve"),
    ("issuer_auth.signature", "18013-5 9.3.1", "the document signer signed the security object"),
    ("mso.version", "18013-5 9.1.2.4", "the security object's version is 1.x, compared as numbers"),
    ("mso.doctype", "18013-5 9.3.1", "it is for the document type that is presented"),
    ("mso.digest_algorithm", "18013-5 9.1.2.5", "SHA-256, SHA-384 or SHA-512"),
    ("mso.validity", "18013-5 9.3.1", "the time of verification lies between validFrom and validUntil"),
    (
        "mso.signed_within_certificate",
        "18013-5 9.3.1",
        "it was signed while the document signer's certificate was valid",
    ),
    ("mso.status", "18013-5 second edition (draft) 12.3.6", "the lists that it refers to call it valid"),
    ("issuer_data.encoding", "18013-5 9.1.2.5", "every item is an IssuerSignedItem"),
    ("issuer_data.digest", "18013-5 9.3.1", "the digest of every item, as received, is the one that the issuer signed"),
    ("issuer_data.unique", "18013-5 9.1.2.5", "no element and no digest id occurs twice"),
    ("issuer_data.random", "18013-5 9.1.2.5", "every item has at least 16 bytes of random"),
    ("device_auth.present", "18013-5 9.1.3", "exactly one of deviceSignature and deviceMac"),
    ("device_auth.algorithm", "18013-5 9.1.3", "its algorithm goes with the device key"),
    ("device_auth.signature", "18013-5 9.1.3.6", "the device key signed our own session transcript"),
    (
        "device_auth.mac",
        "18013-5 9.1.3.5",
        "the MAC is over our own session transcript, keyed with device and reader key",
    ),
    (
        "device_data.authorized",
        "18013-5 9.1.2.4",
        "the issuer authorised the device key for every device-signed element",
    ),
    ("subject.country", "18013-5 9.3.1", "issuing_country of an mDL is the document signer's country"),
    (
        "subject.jurisdiction",
        "18013-5 9.3.1",
        "issuing_jurisdiction of an mDL is the state of the document signer, or its root's",
    ),
    ("request.doctype", "18013-5 8.3.2.1.2", "a document of this type was asked for"),
    ("request.elements", "18013-5 8.3.2.1.2", "every element that was asked for is there"),
    ("request.unrequested", "18013-5 8.3.2.1.2", "no element is there that was not asked for"),
    ("elements.types", "18013-5 7.2", "the values have the types that the document type gives them"),
)
CHECKS: Final[Mapping[str, str]] = MappingProxyType({name: clause for name, clause, _ in _TABLE})
"""Check id to the clause that it serves."""
REQUIREMENTS: Final[Mapping[str, str]] = MappingProxyType({name: requirement for name, _, requirement in _TABLE})
"""Check id to what the check requires, in one line."""
RESPONSE_CHECKS: Final = ("response.decoded", "response.version", "response.status", "response.documents")
# The only checks whose INDETERMINATE can be tolerated: the evidence is optional unless the caller demands it.
EVIDENCE_CHECKS: Final = frozenset(("issuer_auth.certificate_revocation", "mso.status"))


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its outcome.

    Attributes:
        id: The check's id, a key of `CHECKS`.
        outcome: The outcome.
        detail: The reason, in one line without personal data; empty for a check that passed without remark.
        document: Index of the document in the response, or None for a check of the whole response.
        warnings: Codes of deviations that the policy tolerates.
    """

    id: str
    outcome: Outcome
    detail: str = ""
    document: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def clause(self) -> str:
        """The clause of the standard that states the rule."""
        return CHECKS[self.id]


class Revocation(Enum):
    """Whether the caller requires revocation evidence."""

    IF_GIVEN = "if-given"
    """Evidence at hand is used, and refuses a revoked document. Unusable evidence counts as absent and is reported."""
    REQUIRED = "required"
    """A document whose revocation cannot be determined is refused."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One kind of deviation, and the policies that refuse it.

    Attributes:
        code: The stable code, which `Check.warnings` holds.
        check: The check that finds the deviation.
        meaning: The deviation in words.
        refused_by: Values of the policies under which it refuses; under the others it is a warning.
    """

    code: str
    check: str
    meaning: str
    refused_by: frozenset[str]


_ALL: Final = frozenset(("iso-strict", "aamva"))
_AAMVA: Final = frozenset(("aamva",))
_NONE: Final = frozenset[str]()
_REVOCATION: Final = "issuer_auth.certificate_revocation"
_OUTCOME: Final = attrgetter("outcome")
# Whatever is not listed here refuses under every policy.
DEVIATIONS: Final[Mapping[str, Deviation]] = MappingProxyType(
    {
        row[0]: Deviation(*row)
        for row in (
            (
                "cbor.long_head",
                "response.decoded",
                "the head of an integer, a length, a count or a tag is not in its shortest form",
                _NONE,
            ),
            ("cbor.long_float", "response.decoded", "a floating-point number is not in its shortest form", _NONE),
            ("cose.tagged", "response.decoded", "a COSE message is under its tag", _NONE),
            (
                "structure.empty",
                "response.decoded",
                "an array or a map has no entry, where the standard wants one",
                _NONE,
            ),
            (
                "structure.empty_name",
                "response.decoded",
                "a docType, a namespace or an element identifier is an empty text",
                _ALL,
            ),
            ("mso.digest_id", "response.decoded", "a digest id is 2**31 or more", _NONE),
            (
                "mso.key_authorizations",
                "response.decoded",
                "the device key is authorised for nothing, or for one namespace both whole and in part",
                _ALL,
            ),
            (
                "x5chain.form",
                "issuer_auth.x5chain",
                "header 33 is an array of one certificate, or stands in the protected header",
                _NONE,
            ),
            (
                "x5chain.extra",
                "issuer_auth.x5chain",
                "more certificates than the document signer's, which are ignored",
                _NONE,
            ),
            (
                "profile",
                "issuer_auth.profile",
                "a finding of the certificate linter, an error without security relevance",
                _ALL,
            ),
            ("profile.minor", "issuer_auth.profile", "a finding of the certificate linter, a warning or a hint", _NONE),
            (
                "state.one_sided",
                "issuer_auth.profile",
                "the document signer names a state, and its root names none",
                _AAMVA,
            ),
            (
                "crl.profile",
                _REVOCATION,
                "a finding of the CRL linter, an error that leaves the meaning of the list clear",
                _NONE,
            ),
            ("crl.profile.minor", _REVOCATION, "a finding of the CRL linter, a warning or a hint", _NONE),
            ("validity.order", "mso.validity", "signed, validFrom and validUntil are not in order", _ALL),
            ("validity.date_form", "mso.validity", "a date is not in the one form that the standard allows", _NONE),
            (
                "validity.outlives_certificate",
                "mso.validity",
                "the security object outlives its document signer",
                _NONE,
            ),
            (
                "status.profile",
                "mso.status",
                "a finding about the status list's signer without security relevance",
                _NONE,
            ),
            ("status.path_length", "mso.status", "a CA below a trust point whose own certificate permits none", _NONE),
            ("status.typ.short", "mso.status", "the token's typ is in its short form", _NONE),
            ("status.typ.claim", "mso.status", "the token's typ is a claim instead of a header", _NONE),
            (
                "status.unknown",
                "mso.status",
                "beside the lists that were looked up, a kind that is not known here",
                _NONE,
            ),
            ("status.ttl", "mso.status", "the token's ttl is no positive number of seconds, and is not used", _NONE),
            ("status.null", "mso.status", "the status member is null instead of absent", _NONE),
            ("random.short", "issuer_data.random", "an item's random has fewer than 16 bytes", _ALL),
            ("state.missing", "subject.jurisdiction", "the document signer names no state", _AAMVA),
            (
                "state.short_form",
                "subject.jurisdiction",
                "the certified state is issuing_jurisdiction without its country, AK for US-AK",
                _ALL,
            ),
            (
                "request.doctype_alias",
                "request.doctype",
                "the document type is another spelling of the one that was asked for",
                _NONE,
            ),
            (
                "request.issuer",
                "request.doctype",
                "the document is not of an issuer that issuerIdentifiers names",
                _ALL,
            ),
            (
                "request.several_documents",
                "request.doctype",
                "several documents answer a request that wants one (uniqueDocSetRequired)",
                _ALL,
            ),
            ("request.nothing_returned", "request.elements", "the document holds no element at all", _ALL),
            ("request.element_missing", "request.elements", "an element that was asked for is not there", _ALL),
            ("request.element_unrequested", "request.unrequested", "an element that was not asked for is there", _ALL),
            (
                "elements.date_form",
                "elements.types",
                "a date as text without its tag, a day for a moment, or a moment that is not in the one form allowed",
                _NONE,
            ),
            (
                "post_quantum.certificate",
                "issuer_auth.profile",
                "an ML-DSA key or signature in a certificate, where the verifier takes part in the rehearsal",
                _ALL,
            ),
            (
                "post_quantum.issuer",
                "issuer_auth.algorithm",
                "the issuer's signature is one of ML-DSA, where the verifier takes part in the rehearsal",
                _ALL,
            ),
            (
                "post_quantum.device",
                "device_auth.algorithm",
                "the device key is one of ML-DSA, where the verifier takes part in the rehearsal",
                _ALL,
            ),
            (
                "fully_specified.issuer",
                "issuer_auth.algorithm",
                "the issuer's algorithm has the number that names its curve as well (RFC 9864), ES256 with P-256 as -9",
                _ALL,
            ),
            (
                "fully_specified.device",
                "device_auth.algorithm",
                "the device's algorithm has the number that names its curve as well (RFC 9864)",
                _ALL,
            ),
            (
                "device_key.members",
                "device_auth.algorithm",
                "a member of the device key that its key type does not have, or that contradicts how it is used",
                _NONE,
            ),
            (
                "elements.unknown",
                "elements.types",
                "an element that its namespace does not have, in a namespace that may have no others",
                _NONE,
            ),
            (
                "elements.unknown_member",
                "elements.types",
                "a map inside a value has a member that its type does not have; it is handed out as received",
                _NONE,
            ),
            ("elements.type", "elements.types", "a value is not of the type that the document type gives it", _ALL),
            (
                "elements.value",
                "elements.types",
                "a value of the right type, whose length, form or content the type does not know, as a portrait's",
                _NONE,
            ),
        )
    }
)


class Policy(Enum):
    """A named policy: which deviations the reader refuses. A forger gains by none of them."""

    ISO_STRICT = "iso-strict"
    AAMVA = "aamva"
    LENIENT = "lenient"

    def refuses(self, deviation: str) -> bool:
        """Whether the policy refuses a deviation. A code that is not in the table is always refused."""
        row = DEVIATIONS.get(deviation)
        return row is None or self.value in row.refused_by


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of every check. It holds no element values.

    Attributes:
        checks: In the order of `CHECKS`, the response first, then document by document.
        revocation: Whether revocation evidence was required.
        policy: The policy that the outcomes were reached under.
        unsupported: Members of the response that hold documents in a form that is not implemented here, for example
            ``zkDocuments``. Nothing in them was looked at, and nothing of them is handed out.
    """

    checks: tuple[Check, ...]
    policy: Policy
    revocation: Revocation
    unsupported: tuple[str, ...] = ()

    def __bool__(self) -> NoReturn:
        msg = "a report has more than two outcomes: use .accepted, .failed or .require()"
        raise TypeError(msg)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def refuses(self, check: Check) -> bool:
        """Whether the outcome of this check refuses the response."""
        if check.outcome is Outcome.PASSED or check.outcome is Outcome.NOT_APPLICABLE:
            return False
        return not (
            check.outcome is Outcome.INDETERMINATE
            and check.id in EVIDENCE_CHECKS
            and self.revocation is Revocation.IF_GIVEN
        )

    def _refusing(self) -> list[Check]:
        # Nearly every check has passed, and to leave those out first saves a call for each of them.
        has_not_passed = map(is_not, map(_OUTCOME, self.checks), repeat(Outcome.PASSED))
        return [check for check in compress(self.checks, has_not_passed) if self.refuses(check)]

    @property
    def accepted(self) -> bool:
        """Whether the response is accepted: no check refuses."""
        return bool(self.checks) and not self._refusing()

    def _ids(self, outcome: Outcome) -> tuple[str, ...]:
        found = {check.id for check in self.checks if check.outcome is outcome}
        return tuple(name for name in CHECKS if name in found)

    @property
    def failed(self) -> tuple[str, ...]:
        """Ids of the checks that failed for some document, each once."""
        return self._ids(Outcome.FAILED)

    @property
    def indeterminate(self) -> tuple[str, ...]:
        """Ids of the checks that could not be judged for some document, each once."""
        return self._ids(Outcome.INDETERMINATE)

    @property
    def warnings(self) -> tuple[tuple[str, str], ...]:
        """Check id and code of every tolerated deviation."""
        return tuple((check.id, code) for check in self.checks for code in check.warnings)

    def as_dict(self) -> dict[str, Any]:
        """The report as a value for JSON, without element values."""
        return {
            "verdict": "accept" if self.accepted else "unsupported" if self.is_unsupported else "reject",
            "policy": self.policy.value,
            "revocation": self.revocation.value,
            "failed": list(self.failed),
            "indeterminate": list(self.indeterminate),
            "unsupported": list(self.unsupported),
            "checks": [
                {
                    "id": check.id,
                    "document": check.document,
                    "outcome": check.outcome.value,
                    "detail": check.detail,
                    "warnings": list(check.warnings),
                    "clause": check.clause,
                }
                for check in self.checks
            ],
        }

    def as_json(self) -> bytes:
        """The report as canonical JSON: equal reports give equal bytes."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def is_unsupported(self) -> bool:
        """Whether the only reason to refuse is that every document is in a form that is not implemented here."""
        refusing = {check.id: check.outcome for check in self._refusing()}
        return bool(self.unsupported) and refusing == {"response.documents": Outcome.INDETERMINATE}

    def require(self) -> None:
        """Return if the response is accepted, else raise.

        Raises:
            VerificationError: A check refuses. The report and the ids of the failed checks are attached; if no check
                failed, the ids of the indeterminate checks.
            UnsupportedError: The only reason to refuse is that every document is in a form that is not implemented here
                (code ``response.unsupported``).
        """
        refusing = self._refusing()
        if self.checks and not refusing:
            return
        if self.is_unsupported:
            message = f"not implemented: {', '.join(self.unsupported)}"
            raise UnsupportedError(message, code="response.unsupported", clause=CHECKS["response.documents"])
        names = self.failed or tuple(dict.fromkeys(check.id for check in refusing))
        first = next((check for check in refusing if check.id in names), None)
        code = first.id if first else "response.documents"
        msg = f"refused: {first.detail or first.outcome.value}" if first else "refused: nothing was checked"
        raise VerificationError(msg, code=code, clause=CHECKS[code], report=self, failed=names)

"""What the reader checks, what came of it, and what each policy makes of a deviation.

`CHECKS` is the one list of check ids with their clauses. An outcome is one of four; only PASSED and NOT_APPLICABLE earn
trust by themselves. `DEVIATIONS` is the one table of what a named policy tolerates: nothing that protects against
forgery, replay or use out of scope stands in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final, NoReturn

from mdl.errors import VerificationError

__all__ = ["CHECKS", "DEVIATIONS", "Check", "Outcome", "Policy", "Report", "Revocation"]


class Outcome(Enum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    INDETERMINATE = "indeterminate"
    NOT_APPLICABLE = "not applicable"


# Check id -> the clause it serves, in the order in which a report lists them. "DP" is the draft of the second edition.
CHECKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "response.decoded": "18013-5 8.3.2.1.2",
        "response.version": "18013-5 8.3.2.1.2",
        "response.status": "18013-5 8.3.2.1.2",
        "response.documents": "18013-5 8.3.2.1.2",
        "issuer_auth.x5chain": "18013-5 9.1.2.4",
        "issuer_auth.path": "18013-5 9.3.3",
        "issuer_auth.profile": "18013-5 B.1.4",
        "issuer_auth.certificate_validity": "18013-5 9.3.3",
        "issuer_auth.trust_scope": "18013-5 C.1.7.1",
        "issuer_auth.certificate_revocation": "18013-5 B.3",
        "issuer_auth.algorithm": "18013-5 9.1.2.4",
        "issuer_auth.signature": "18013-5 9.3.1",
        "mso.version": "18013-5 9.1.2.4",
        "mso.doctype": "18013-5 9.3.1",
        "mso.digest_algorithm": "18013-5 9.1.2.5",
        "mso.validity": "18013-5 9.3.1",
        "mso.signed_within_certificate": "18013-5 9.3.1",
        "mso.status": "18013-5 second edition (draft) 12.3.6",
        "issuer_data.encoding": "18013-5 9.1.2.5",
        "issuer_data.digest": "18013-5 9.3.1",
        "issuer_data.unique": "18013-5 9.1.2.5",
        "issuer_data.random": "18013-5 9.1.2.5",
        "device_auth.present": "18013-5 9.1.3",
        "device_auth.algorithm": "18013-5 9.1.3",
        "device_auth.signature": "18013-5 9.1.3.6",
        "device_auth.mac": "18013-5 9.1.3.5",
        "device_data.authorized": "18013-5 9.1.2.4",
        "subject.country": "18013-5 9.3.1",
        "subject.jurisdiction": "18013-5 9.3.1",
        "request.doctype": "18013-5 8.3.2.1.2",
        "request.elements": "18013-5 8.3.2.1.2",
        "request.unrequested": "18013-5 8.3.2.1.2",
        "elements.types": "18013-5 7.2",
    }
)
RESPONSE_CHECKS: Final = ("response.decoded", "response.version", "response.status", "response.documents")
# The only checks whose INDETERMINATE can be tolerated: the evidence is optional unless the caller demands it.
EVIDENCE_CHECKS: Final = frozenset(("issuer_auth.certificate_revocation", "mso.status"))


@dataclass(frozen=True, slots=True)
class Check:
    """One check and what came of it.

    Attributes:
        id: The check's id, a key of `CHECKS`.
        outcome: What came of it.
        detail: Why, in one line without personal data; empty where it simply passed.
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
        """Where the rule stands."""
        return CHECKS[self.id]


class Revocation(Enum):
    """What the caller demands of revocation evidence."""

    IF_GIVEN = "if-given"
    """Evidence at hand is used, and refuses where it says so or cannot be used; absent evidence is reported only."""
    REQUIRED = "required"
    """A document whose revocation cannot be determined is refused."""


# Deviation -> does it refuse? One column for each policy. Whatever is not listed here refuses under every policy.
#
# ``profile`` stands for every finding of the certificate linter that its table does not mark as security relevant.
DEVIATIONS: Final[Mapping[str, Mapping[str, bool]]] = MappingProxyType(
    {
        code: MappingProxyType({"iso-strict": strict, "aamva": aamva, "lenient": lenient})
        for code, strict, aamva, lenient in (
            ("profile", True, True, False),
            ("profile.minor", False, False, False),
            ("x5chain.extra", False, False, False),
            ("crl.profile", False, False, False),
            ("status.profile", False, False, False),
            ("status.path_length", False, False, False),
            ("status.typ.short", False, False, False),
            ("status.typ.claim", False, False, False),
            ("status.unknown", False, False, False),
            ("state.missing", False, True, False),
            ("random.short", True, True, False),
            ("validity.date_form", False, False, False),
            ("validity.order", True, True, False),
            ("validity.outlives_certificate", False, False, False),
            ("elements.type", True, True, False),
            ("request.element_missing", True, True, False),
            ("request.element_unrequested", True, True, False),
        )
    }
)


class Policy(Enum):
    """How strict the reader is about deviations that no forger gains by."""

    ISO_STRICT = "iso-strict"
    AAMVA = "aamva"
    LENIENT = "lenient"

    def refuses(self, deviation: str) -> bool:
        """Whether a deviation of that code refuses the document; a code that the table lacks always does."""
        row = DEVIATIONS.get(deviation)
        return row is None or row[self.value]


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of every check. It holds no element values.

    Attributes:
        checks: In the order of `CHECKS`, the response first, then document by document.
        revocation: What was demanded of revocation evidence.
        policy: Under which policy the outcomes were reached.
    """

    checks: tuple[Check, ...]
    policy: Policy
    revocation: Revocation

    def __bool__(self) -> NoReturn:
        msg = "a report has more than two outcomes: use .accepted, .failed or .require()"
        raise TypeError(msg)

    def __iter__(self) -> Iterator[Check]:
        return iter(self.checks)

    def refuses(self, check: Check) -> bool:
        """Whether this outcome keeps the response from being accepted."""
        if check.outcome is Outcome.PASSED or check.outcome is Outcome.NOT_APPLICABLE:
            return False
        return not (
            check.outcome is Outcome.INDETERMINATE
            and check.id in EVIDENCE_CHECKS
            and self.revocation is Revocation.IF_GIVEN
        )

    @property
    def accepted(self) -> bool:
        """Whether nothing refuses."""
        return bool(self.checks) and not any(map(self.refuses, self.checks))

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

    def require(self) -> None:
        """Refuse unless nothing refuses.

        Raises:
            VerificationError: Something refuses; the report and the ids of the failed checks are attached. Where
                nothing failed but something could not be judged, its ids are attached instead.
        """
        refusing = [check for check in self.checks if self.refuses(check)]
        if self.checks and not refusing:
            return
        names = self.failed or tuple(dict.fromkeys(check.id for check in refusing))
        first = next((check for check in refusing if check.id in names), None)
        code = first.id if first else "response.documents"
        msg = f"refused: {first.detail or first.outcome.value}" if first else "refused: nothing was checked"
        raise VerificationError(msg, code=code, clause=CHECKS[code], report=self, failed=names)

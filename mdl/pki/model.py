"""What a profile is: rules that a certificate or a CRL is judged by, and the profile's own demands.

The grades:

- error, warning or note: how far what was found is from the profile;
- security: refusing it is what stops a forged, stolen or mis-scoped certificate. No policy may tolerate it. A finding
  without that mark is a deviation which honest certificates show; a lenient policy may live with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Final, Generic, TypeVar

from mdl.keys import PublicKey, UnsafePostQuantum
from mdl.pki.certificate import AttributeId, Certificate, ExtensionId, KeyPurpose, KeyUsage
from mdl.pki.crl import Crl


class Severity(StrEnum):
    """How far a finding is from the profile."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class RuleInput(StrEnum):
    """What a rule cannot be judged without, beside the certificate or CRL itself."""

    ISSUER = "issuer"
    TIME = "time"


class Presence(StrEnum):
    """Whether a profile asks for an extension."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    UNEXPECTED = "unexpected"


Grade = tuple[Severity, bool]
"""Severity, and whether it is a matter of security."""

SECURITY: Final[Grade] = (Severity.ERROR, True)
ERROR: Final[Grade] = (Severity.ERROR, False)
WARNING: Final[Grade] = (Severity.WARNING, False)
NOTE: Final[Grade] = (Severity.NOTE, False)

ContextT = TypeVar("ContextT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[ContextT]):
    """One rule of one profile.

    Attributes:
        id: Stable identifier, ``<profile>.<subject>.<defect>``.
        clause: Where it stands, as `docs/standards` names it.
        severity: How far a breach is from the profile.
        security: Whether no policy may tolerate a breach.
        requirement: What is asked, in one sentence.
        remedy: What the issuer of the certificate or CRL does about it.
        needs: What it is judged by; None where the certificate or CRL tells all. Without it the rule is left unjudged.
        check: None where the rule holds or is left unjudged, else what was found.
    """

    id: str
    clause: str
    severity: Severity
    security: bool
    requirement: str
    remedy: str
    needs: RuleInput | None
    check: Callable[[ContextT], str | None] = field(repr=False)


def _always(_profile: Profile) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTemplate(Generic[ContextT]):
    """A rule before it belongs to a profile.

    Attributes:
        key: The rule's identifier without the profile's name.
        check: See `Rule`.
        grade: How a breach is graded, where the profile says nothing else.
        asks: The requirement; names in braces are the profile's own words.
        remedy: See `Rule`; with the profile's own words too.
        clause: Where it stands, or None for the clause of the profile.
        needs: See `Rule`.
        when: To which profiles it applies.
    """

    key: str
    check: Callable[[ContextT], str | None]
    grade: Grade
    asks: str
    remedy: str
    clause: str | None
    needs: RuleInput | None
    when: Callable[[Profile], bool]

    def rule(self, *, profile: str, clause: str, grade: Grade | None, words: Mapping[str, str]) -> Rule[ContextT]:
        """The template as a rule of one profile."""
        severity, security = grade or self.grade
        return Rule(
            id=f"{profile}.{self.key}",
            clause=self.clause or clause,
            severity=severity,
            security=security,
            requirement=self.asks.format_map(words),
            remedy=self.remedy.format_map(words),
            needs=self.needs,
            check=self.check,
        )


class RuleTable(Generic[ContextT]):
    """Rules in the order in which they are written, which is the order of checking."""

    def __init__(self) -> None:
        self._templates: list[RuleTemplate[ContextT]] = []

    def __iter__(self) -> Iterator[RuleTemplate[ContextT]]:
        return iter(self._templates)

    def rule(
        self,
        key: str,
        grade: Grade,
        *,
        asks: str,
        remedy: str,
        clause: str | None = None,
        needs: RuleInput | None = None,
        when: Callable[[Profile], bool] = _always,
    ) -> Callable[[Callable[[ContextT], str | None]], Callable[[ContextT], str | None]]:
        """Add a rule: the result takes the check that decides it. The arguments are those of `RuleTemplate`."""

        def add(check: Callable[[ContextT], str | None]) -> Callable[[ContextT], str | None]:
            self._templates.append(
                RuleTemplate(
                    key=key, check=check, grade=grade, asks=asks, remedy=remedy, clause=clause, needs=needs, when=when
                )
            )
            return check

        return add


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateContext:
    """A certificate under examination.

    Attributes:
        certificate: What is examined.
        profile: What it is held against.
        issuer: The issuing certificate; the certificate itself where the profile is self-issued; None if not known.
        key: The subject's key, or None where it is not usable here.
        at: The time to judge validity at, or None to leave it unjudged.
        with_signature: Whether to verify the issuer's signature.
        post_quantum: Asks for the rehearsal: ML-DSA keys are usable, and findings nevertheless.
    """

    certificate: Certificate
    profile: Profile
    issuer: Certificate | None
    key: PublicKey | None
    at: datetime | None
    with_signature: bool
    post_quantum: UnsafePostQuantum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrlContext:
    """A CRL under examination; the attributes are those of `CertificateContext`."""

    crl: Crl
    profile: CrlProfile
    issuer: Certificate | None
    at: datetime | None
    with_signature: bool
    post_quantum: UnsafePostQuantum | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """What one kind of certificate looks like.

    Attributes:
        id: Stable name; the first part of its rules' identifiers.
        title: What the certificate is.
        clause: Where the profile stands, as docs/standards/clauses.md lists it.
        edition: Which edition of the standard.
        ca: Whether the subject is a CA.
        self_issued: Whether issuer and subject are one.
        scoped: Whether country and state must be the issuer's.
        subject: Attributes that the subject must have.
        key_kinds: ``EC``, ``OKP`` or both.
        key_usage: The bits of keyUsage; exactly these, and critical.
        purpose: The extendedKeyUsage, or None where the profile names none.
        purpose_critical: Whether extendedKeyUsage must (True) or must not (False) be critical; None if free.
        path_length: The pathLenConstraint, or None if free.
        longest_validity: notAfter minus notBefore, inclusive; None if unlimited. This is what a reader accepts.
        planned_validity: The same when issuing: shorter, since a checker may count the last second as a day; or None.
        extensions: Which extensions must be there, and which do not belong there; any other is optional.
        copies_issuer_alternative_name: Whether issuerAltName repeats the CA's own.
        grades: Grades of rules that differ from the row's.
        templates: The rules of all profiles, in order of checking; `rules` has those that apply to this one.
    """

    id: str
    title: str
    clause: str
    edition: str
    ca: bool = False
    self_issued: bool = False
    scoped: bool = False
    subject: tuple[AttributeId, ...]
    key_kinds: frozenset[str]
    key_usage: frozenset[KeyUsage]
    purpose: KeyPurpose | None = None
    purpose_critical: bool | None = None
    path_length: int | None = None
    longest_validity: timedelta | None
    planned_validity: timedelta | None = None
    extensions: Mapping[ExtensionId, Presence]
    copies_issuer_alternative_name: bool = False
    grades: Mapping[str, Grade] = field(default_factory=dict)
    templates: tuple[RuleTemplate[CertificateContext], ...] = field(repr=False)

    def __post_init__(self) -> None:
        unknown = self.grades.keys() - {template.key for template in self.templates if template.when(self)}
        if unknown:
            msg = f"grades for rules that {self.id} does not have: {sorted(unknown)}"
            raise ValueError(msg)

    @cached_property
    def rules(self) -> tuple[Rule[CertificateContext], ...]:
        """The rules that apply to this profile, in order of checking."""
        words = {
            "days": str(self.longest_validity.days) if self.longest_validity else "",
            "planned": str(self.planned_validity.days) if self.planned_validity else "",
            "keys": "an EC key" if self.key_kinds == {"EC"} else "an EC, Ed25519 or Ed448 key",
            "key_usage": " and ".join(usage.value for usage in KeyUsage if usage in self.key_usage),
            "purpose": self.purpose.value if self.purpose else "",
            "path_length": str(self.path_length),
        }
        return tuple(
            template.rule(profile=self.id, clause=self.clause, grade=self.grades.get(template.key), words=words)
            for template in self.templates
            if template.when(self)
        )

    def requires(self, extension: ExtensionId) -> bool:
        """Whether the profile requires an extension."""
        return self.extensions.get(extension) is Presence.REQUIRED


@dataclass(frozen=True, kw_only=True, eq=False)
class CrlProfile:
    """What a CRL looks like.

    Attributes:
        id: Stable name; the first part of its rules' identifiers.
        title: What it is.
        clause: Where the profile stands.
        edition: Which edition of the standard.
        longest_interval: nextUpdate minus thisUpdate, inclusive.
        templates: The rules of all such profiles, in order of checking.
    """

    id: str
    title: str
    clause: str
    edition: str
    longest_interval: timedelta
    templates: tuple[RuleTemplate[CrlContext], ...] = field(repr=False)

    @cached_property
    def rules(self) -> tuple[Rule[CrlContext], ...]:
        """The rules of this profile, in order of checking."""
        return tuple(
            template.rule(profile=self.id, clause=self.clause, grade=None, words={}) for template in self.templates
        )

"""What a case is: a scene, and the verdict that each policy reaches on it; and the tables that collect cases."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from reader.report import CHECKS, Outcome, Policy
from test_vectors.source.stage import Fields, Scene, scene

LENIENT = (Policy.LENIENT,)
CERTIFICATE_REVOCATION = "issuer_auth.certificate_revocation"
DECODED = "response.decoded"


class Kind(StrEnum):
    """What any reader makes of a case, whatever its policy."""

    VALID = "valid"
    """It conforms to the standard: a reader that refuses it is wrong."""
    MUST_REJECT = "must-reject"
    """Nobody may be believed on this evidence: a reader that accepts it is wrong."""
    MAY_REJECT = "may-reject"
    """It departs from the standard where no forger gains by it, or the standard leaves it to the reader."""


# The file that a case goes into, by the check that it breaks; the longest beginning counts.
GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "response.": "response",
        "response.decoded": "malformed",
        "issuer_auth.": "signer",
        "issuer_auth.certificate_revocation": "revocation",
        "issuer_auth.algorithm": "signature",
        "issuer_auth.signature": "signature",
        "mso.": "security-object",
        "mso.status": "status",
        "issuer_data.": "items",
        "device_": "device",
        "subject.": "request",
        "request.": "request",
        "elements.": "request",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The verdict on a case under one policy.

    Attributes:
        verdict: What the reader answers: ``accept``, ``reject`` or ``unsupported``.
        failed: The checks that fail.
        indeterminate: The checks that cannot be judged.
    """

    verdict: str
    failed: frozenset[str] = frozenset()
    indeterminate: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse a check that there is none of."""
        assert self.failed | self.indeterminate <= CHECKS.keys(), self


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case of the corpus.

    Attributes:
        id: Its name for ever.
        title: What is wrong with it, or unusual about it.
        kind: What any reader makes of it.
        clause: Where the rule stands.
        group: The file that it goes into.
        breaks: The check that it breaks, or None.
        fields: What departs from the honest scene.
        policy: The policy that the task names.
        expected: The verdict by policy.
        why: Why more than one check fails, where more than one does.
        warnings: Codes of the deviations that our reader tolerates, under the policies that accept.
        code: How the code of our decoder's error begins.
        path: How that error's path begins, where the decoder can tell.
        bulky: Whether it is too big for the corpus: the tests run it, and no file holds it.
    """

    id: str
    title: str
    kind: Kind
    clause: str
    group: str
    breaks: str | None
    fields: Callable[..., Fields]
    policy: Policy = Policy.ISO_STRICT
    expected: Mapping[Policy, Expected]
    why: str = ""
    warnings: frozenset[str] = frozenset()
    code: str = ""
    path: str = ""
    bulky: bool = False

    def scene(self) -> Scene:
        """The presentation and the reader before whom it happens."""
        return scene(**self.fields())


def slug(text: str) -> str:
    """An id from a title: small letters and digits, with hyphens between words."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "")).strip("-")


def _builder(fields: Callable[..., Fields] | Fields | None) -> Callable[..., Fields]:
    return fields if callable(fields) else lambda: fields or {}


@dataclass(slots=True)
class Attacks:
    """Presentations that are refused; a row is added by a call."""

    rows: list[Case] = field(default_factory=list)

    def __call__(
        self,
        check: str,
        name: str,
        fields: Callable[..., Fields] | Fields,
        *,
        id: str | None = None,  # noqa: A002 - the id of a case is called id
        kind: Kind | None = None,
        clause: str | None = None,
        also: Collection[str] = (),
        strictly: Collection[str] = (),
        left_open: Collection[str] = (),
        why: str = "",
        tolerated: Collection[Policy] = (),
        warnings: Collection[str] = (),
        outcome: Outcome = Outcome.FAILED,
        judged: bool = False,
        policy: Policy = Policy.ISO_STRICT,
        under: Mapping[Policy, Expected] | None = None,
        bulky: bool = False,
    ) -> None:
        """Add an attack.

        Args:
            check: The check that must refuse.
            name: What is wrong.
            fields: What departs from the honest scene.
            id: Its id, where that does not follow from check and name.
            kind: What any reader makes of it; None follows from `tolerated`.
            clause: Where the rule stands; None is the check's clause.
            also: Checks that fail as well, where nothing can break the one without the others.
            strictly: Of these the ones that the lenient policy tolerates.
            left_open: Checks that cannot be judged then.
            why: Why there are such checks.
            tolerated: The policies that accept it.
            warnings: Codes of the deviations that these tolerate.
            outcome: What comes of the check: it fails, or cannot be judged where it has to be.
            judged: Whether evidence has decided about the document signer's revocation.
            policy: The policy that the task names.
            under: What other policies make of it, where that does not follow from the rest.
            bulky: Whether it is too big for the corpus.
        """
        assert bool(also or strictly or left_open) == bool(why), f"{name}: say why, or do not"
        no_evidence = frozenset() if judged else frozenset((CERTIFICATE_REVOCATION,))
        expected = {}
        for each in Policy:
            failed = {check, *also, *(() if each is Policy.LENIENT else strictly)}
            if under and each in under:
                expected[each] = under[each]
            elif each in tolerated:
                expected[each] = Expected(verdict="accept", indeterminate=no_evidence)
            elif outcome is Outcome.INDETERMINATE:
                expected[each] = Expected(verdict="reject", indeterminate=no_evidence | {check, *left_open})
            else:
                indeterminate = (no_evidence | {*left_open}) - failed
                expected[each] = Expected(verdict="reject", failed=frozenset(failed), indeterminate=indeterminate)
        self.rows.append(
            Case(
                id=id or slug(f"{check} {name}"),
                title=name,
                kind=kind or (Kind.MAY_REJECT if tolerated else Kind.MUST_REJECT),
                clause=clause or CHECKS[check],
                group=GROUPS[max((one for one in GROUPS if check.startswith(one)), key=len)],
                breaks=check,
                fields=_builder(fields),
                policy=policy,
                expected=expected,
                why=why,
                warnings=frozenset(warnings),
                bulky=bulky,
            )
        )


@dataclass(slots=True)
class Malformed:
    """Responses that are not what the CDDL says; a row is added by a call.

    Attributes:
        base: Fields of every one.
    """

    base: Fields
    rows: list[Case] = field(default_factory=list)

    def __call__(
        self,
        name: str,
        code: str,
        fields: Callable[..., Fields] | Fields,
        path: str = "",
        *,
        kind: Kind = Kind.MUST_REJECT,
        clause: str | None = None,
        bulky: bool = False,
    ) -> None:
        """Add a response that must not decode.

        Args:
            name: What is wrong with it.
            code: How the error's code begins.
            fields: What departs from the honest scene.
            path: How the error's path begins.
            kind: What any reader makes of it.
            clause: Where the rule stands; None is the clause of decoding.
            bulky: Whether it is too big for the corpus.
        """
        build = _builder(fields)
        refused = Expected(verdict="reject", failed=frozenset((DECODED,)))
        self.rows.append(
            Case(
                id=slug(f"malformed {name}"),
                title=name,
                kind=kind,
                clause=clause or CHECKS[DECODED],
                group=GROUPS[DECODED],
                breaks=DECODED,
                fields=lambda: self.base | build(),
                expected=dict.fromkeys(Policy, refused),
                code=code,
                path=path,
                bulky=bulky,
            )
        )


@dataclass(slots=True)
class Honest:
    """Presentations that are accepted, however unusual; a row is added by a call.

    Attributes:
        group: The file of the rows that follow.
        clause: Where the rule of the rows that follow stands.
    """

    group: str = "response"
    clause: str = "18013-5 8.3.2.1.2"
    rows: list[Case] = field(default_factory=list)

    def section(self, group: str, clause: str) -> None:
        """Begin a section: group and clause of the rows that follow."""
        assert group in GROUPS.values()
        self.group, self.clause = group, clause

    def __call__(
        self,
        name: str,
        fields: Callable[..., Fields] | Fields | None = None,
        *,
        kind: Kind | None = None,
        warnings: Collection[str] = (),
        judged: bool = False,
        left_open: Collection[str] = (),
        under: Mapping[Policy, Expected] | None = None,
        bulky: bool = False,
        **row: Any,
    ) -> None:
        """Add a presentation that our reader accepts.

        Args:
            name: What is unusual about it.
            fields: What departs from the honest scene.
            kind: What any reader makes of it; None is valid, or may-reject where there are warnings.
            warnings: Codes of the deviations that are tolerated.
            judged: Whether evidence has decided about the document signer's revocation.
            left_open: Checks that cannot be judged.
            under: The policies that make something else of it.
            bulky: Whether it is too big for the corpus.
            row: Group or clause of this row alone.
        """
        no_evidence: set[str] = set() if judged else {CERTIFICATE_REVOCATION}
        accepted = Expected(verdict="accept", indeterminate=frozenset({*left_open, *no_evidence}))
        self.rows.append(
            Case(
                id=slug(f"accepted {name}"),
                title=name,
                kind=kind or (Kind.MAY_REJECT if warnings else Kind.VALID),
                clause=row.get("clause", self.clause),
                group=row.get("group", self.group),
                breaks=None,
                fields=_builder(fields),
                expected={policy: (under or {}).get(policy, accepted) for policy in Policy},
                warnings=frozenset(warnings),
                bulky=bulky,
            )
        )


def refused(*failed: str, left_open: Collection[str] = (), judged: bool = False) -> Expected:
    """A refusal by these checks, without evidence of the document signer's revocation."""
    no_evidence: set[str] = set() if judged else {CERTIFICATE_REVOCATION}
    return Expected(verdict="reject", failed=frozenset(failed), indeterminate=frozenset({*left_open, *no_evidence}))


def accepted(*left_open: str, judged: bool = False) -> Expected:
    """An acceptance, without evidence of the document signer's revocation."""
    no_evidence: set[str] = set() if judged else {CERTIFICATE_REVOCATION}
    return Expected(verdict="accept", indeterminate=frozenset({*left_open, *no_evidence}))

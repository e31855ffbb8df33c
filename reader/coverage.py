"""The tables of the documentation: the checks of the reader by clause, and what the reader does not check.

The rows about checks come from `reader.report`; this module has only the rows about what is not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from reader.report import CHECKS, DEVIATIONS, REQUIREMENTS, Policy

__all__ = ["UNCHECKED", "Unchecked", "checks_as_markdown", "policies_as_markdown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """A requirement that `reader.verification` does not check.

    Attributes:
        clause: The clause that states it.
        what: The requirement.
        why: The reason, and the party that has to check it.
    """

    clause: str
    what: str
    why: str


UNCHECKED: Final = tuple(
    Unchecked(clause=clause, what=what, why=why)
    for clause, what, why in (
        (
            "18013-5 7.2",
            "That the portrait shows the person who presents",
            "Ask for the portrait and compare; without that the licence is genuine and the presenter is anybody.",
        ),
        (
            "18013-5 7.2",
            "What the values mean: whether the licence itself has expired (expiry_date), which vehicles may be driven",
            "Values are handed out as the issuer signed them; the relying party decides on them.",
        ),
        (
            "18013-5 8.2",
            "That engagement and transport were those of the device in front of the reader",
            "The session transcript binds the response to them; whoever makes the SessionContext vouches for it.",
        ),
        (
            "18013-5 8.3.2.1.2",
            "Error codes of elements and documents that were not returned",
            "They are the holder's word. What is missing is derived from the request instead (request.elements).",
        ),
        (
            "18013-5 second edition (draft) 10.3",
            "zkDocuments and encryptedDocuments",
            "Not implemented: they are left aside and named in Report.unsupported; documents beside them are judged.",
        ),
        (
            "18013-5 8.3.2.1.2",
            "That every document that was asked for was returned",
            "A holder may not have it: look which documents came. Within a document every element has to be there.",
        ),
        (
            "18013-5 9.1.1",
            "Session encryption",
            "The verifier takes the response as it is after decryption.",
        ),
        (
            "18013-5 9.1.2.4",
            "validityInfo.expectedUpdate",
            "It says when the issuer means to refresh the security object; nothing expires by it.",
        ),
        (
            "18013-5 9.1.3",
            "That the device key lives in secure hardware, and is used for either signatures or MACs only",
            "A reader sees one presentation and cannot tell. The issuer decides which keys it signs for.",
        ),
        (
            "18013-5 9.1.5.2",
            "Keys on brainpoolP320r1, which the standard asks of readers",
            "Not implemented: the document is refused, and the reason names the curve. All other curves are there.",
        ),
        (
            "18013-5 9.1.4",
            "Reader authentication",
            "It is the wallet that verifies it.",
        ),
        (
            "18013-5 B.1.2",
            "Revocation of a root",
            "No root revokes itself: a root that is no longer to be trusted is taken out of the trust store.",
        ),
        (
            "18013-5 Annex B",
            "OCSP",
            "Document signers are judged by the revocation list of their root.",
        ),
        (
            "18013-5 C.1.7",
            "Where the trust store came from",
            "The trust store is what the caller gives; reader.vical verifies a list against a pinned provider.",
        ),
        (
            "RFC 5280 6.1",
            "Name constraints, policies and chains of more than two certificates",
            "The profile allows none of them: an unknown critical extension refuses, and a CA between is no root.",
        ),
    )
)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


def checks_as_markdown() -> str:
    """The page about checks and about what is not checked, by clause."""
    checked = [(clause, REQUIREMENTS[name], f"`{name}`") for name, clause in CHECKS.items()]
    unchecked = [(one.clause, one.what, one.why) for one in UNCHECKED]
    return "\n".join(
        [
            "# What the reader checks, and what it does not",
            "",
            "Written by `mdl reader checks --format markdown`; a test compares the two. All checks run on every",
            "response and every document, whatever the ones before have found. A check that cannot be judged refuses,",
            "except for revocation evidence that is missing, or can neither revoke nor clear, where the caller has not",
            "demanded any (`issuer_auth.certificate_revocation`, `mso.status`).",
            "",
            "## Checked",
            "",
            *_table(("Clause", "Requirement", "Check"), checked),
            "",
            "## Not checked",
            "",
            *_table(("Clause", "What", "Why, and who looks"), unchecked),
            "",
        ]
    )


def policies_as_markdown() -> str:
    """The page about the grade that each policy gives to each deviation."""
    policies = [policy.value for policy in Policy]
    rows = [
        (
            f"`{one.check}`",
            f"`{one.code}`",
            one.meaning,
            *("refuses" if policy in one.refused_by else "warns" for policy in policies),
        )
        for one in DEVIATIONS.values()
    ]
    return "\n".join(
        [
            "# What each policy makes of a deviation",
            "",
            "Written by `mdl reader policy --format markdown`; a test compares the two. Whatever is not in this table",
            "refuses under every policy: nothing that protects against forgery, expiry, revocation, replay or use out",
            "of scope can be tolerated.",
            "",
            *_table(("Check", "Deviation", "Meaning", *policies), rows),
            "",
            "Clocks: the standard grants no allowance, and neither does a verifier unless it is made with a",
            "`clock_skew`, at most 60 seconds, by which every period of validity then begins earlier and ends later.",
            "",
        ]
    )

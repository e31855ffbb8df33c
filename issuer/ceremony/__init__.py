"""Key ceremonies: an offline root whose key at least two people use together, by a script, on record.

`Script` says what shall be done and who is there, `rehearse` tries it out, `Ceremony` holds it, and `CeremonyRecord` is
what remains: signed by the root key, readable, and checked by whoever doubts it.

Spec:
    pki.md §5.4, §10.2: scripted, two or more people, in the HSM, signed minutes, the fingerprint recorded.
"""

from issuer.ceremony.conduct import Announcement, Ceremony, Confirm, Phrase, rehearse
from issuer.ceremony.record import CeremonyRecord, Confirmation, Entry, Outcome, Witness
from issuer.ceremony.script import Operator, Script, enrol

__all__ = [
    "Announcement",
    "Ceremony",
    "CeremonyRecord",
    "Confirm",
    "Confirmation",
    "Entry",
    "Operator",
    "Outcome",
    "Phrase",
    "Script",
    "Witness",
    "enrol",
    "rehearse",
]

"""For tests: throwaway PKI, fixed clock, seeded entropy, sample licences, and presentations, honest or forged.

Nothing here is secret and nothing is random: a key follows from its name, so whoever reads this can sign with it. Never
trust these roots outside a test.

`present()` gives an honest presentation in one call. `Recipe` describes one down to the byte; whatever an attack may
want to change is a field or a hook, and the same recipe always gives the same bytes. It is built in the plainest way,
on purpose apart from the code that issues, holds and verifies, so that each can be held against the other:

    honest = present(disclose={"family_name", "age_over_18"})
    forged = present(items={"birth_date": {"presented": {"elementValue": FullDate("2001-01-01")}}})
"""

from mdl.testing.authority import (
    TEST_TIME,
    CertificateRecipe,
    Extension,
    SeededEntropy,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    distinguished_name,
    throwaway_authority,
)
from mdl.testing.presentation import (
    MDL_DOCTYPE,
    DeviceAuth,
    Hook,
    Item,
    Presentation,
    Recipe,
    pairs,
    present,
    raw,
    request_for,
    sample_image,
    sample_licence,
    sample_transcript,
    widen,
)

__all__ = [
    "MDL_DOCTYPE",
    "TEST_TIME",
    "CertificateRecipe",
    "DeviceAuth",
    "Extension",
    "Hook",
    "Item",
    "Presentation",
    "Recipe",
    "SeededEntropy",
    "ThrowawayAuthority",
    "deterministic_ephemeral_key",
    "deterministic_key",
    "distinguished_name",
    "pairs",
    "present",
    "raw",
    "request_for",
    "sample_image",
    "sample_licence",
    "sample_transcript",
    "throwaway_authority",
    "widen",
]

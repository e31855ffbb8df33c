"""Every door that takes a time refuses what is no moment, and names the argument."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from mdl.testing import TEST_TIME, throwaway_authority
from reader.evidence import EvidenceStore, Need
from reader.fetching import EvidenceKind
from reader.trust import ANY_DOCTYPE, FollowLinks, TrustAnchor, follow_link
from reader.trust_file import TrustFile

HOUSE = throwaway_authority()
ROOT = HOUSE.iaca_certificate
ANCHOR = TrustAnchor(certificate=ROOT, doctypes=ANY_DOCTYPE)
NEED = Need(kind=EvidenceKind.CRL, urls=("https://throwaway.example/iaca.crl",), issuers=(ROOT,))
FILLED = EvidenceStore()
FILLED.add(NEED, NEED.urls[0], HOUSE.crl(), at=TEST_TIME)
DOORS: dict[str, Callable[[Any], object]] = {
    "add": lambda at: EvidenceStore().add(NEED, NEED.urls[0], HOUSE.crl(), at=at),
    "evidence": lambda at: FILLED.evidence(at=at),
    "evidence of an empty store": lambda at: EvidenceStore().evidence([NEED], at=at),
    "is_fresh": lambda at: FILLED.is_fresh(NEED, at=at, max_age=timedelta(days=1)),
    "is_fresh of an empty store": lambda at: EvidenceStore().is_fresh(NEED, at=at, max_age=timedelta(days=1)),
    "assemble": lambda at: TrustFile(roots=(ANCHOR,)).assemble(at=at),
    "assemble of an empty file": lambda at: TrustFile().assemble(at=at),
    "admit": lambda at: TrustAnchor.admit(ROOT, doctypes=ANY_DOCTYPE, at=at),
    "FollowLinks": lambda at: FollowLinks(links=(), roots=(), at=at),
    "follow_link": lambda at: follow_link(ANCHOR, ROOT, ROOT, at=at),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_time_that_is_no_moment_is_refused_at_the_door(door: Callable[[Any], object]) -> None:
    with pytest.raises(ValueError, match=r"^at: the time of verification is an aware datetime"):
        door(TEST_TIME.replace(tzinfo=None))
    with pytest.raises(TypeError, match=r"^at: expected datetime, not str"):
        door(TEST_TIME.isoformat())

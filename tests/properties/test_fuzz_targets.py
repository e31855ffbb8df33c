"""What the fuzzer runs for hours holds here for a moment, without the fuzzer: on the seeds, and on damaged seeds."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import targets
from fuzz.targets import TARGETS, FindingError, seeds
from mdl.testing import throwaway_authority
from tests import wire


@cache
def all_seeds() -> dict[str, list[bytes]]:
    return {name: sorted(filter(None, inputs)) for name, inputs in seeds().items()}


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_holds_on_its_seeds(name: str) -> None:
    good = all_seeds()[name]
    assert good
    for data in good[:: max(1, len(good) // 50)]:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@given(st.data())
def test_every_target_holds_on_any_bytes_and_on_damaged_seeds(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(st.binary(max_size=100)))
    seed = all_seeds()[name][data.draw(st.integers(0, len(all_seeds()[name]) - 1))]
    TARGETS[name](data.draw(wire.mutations([seed])))


def test_a_target_that_finds_something_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracles can fail: what they call issued and signed is what makes the honest pass."""
    good = all_seeds()
    monkeypatch.setattr(targets, "_issued", frozenset)
    with pytest.raises(FindingError, match="not issued"):
        TARGETS["examine"](targets._HONEST.response)
    with pytest.raises(FindingError, match="proves something that was not issued"):
        TARGETS["bundle"](max(good["bundle"], key=len))
    monkeypatch.setattr(targets, "_signed_evidence", frozenset)
    with pytest.raises(FindingError, match="nobody has signed"):
        TARGETS["crl"](throwaway_authority().crl())
    with pytest.raises(FindingError, match="nobody signed is kept"):
        TARGETS["evidence-file"](good["evidence-file"][0])
    monkeypatch.setattr(targets, "_SIGNED_LISTS", frozenset())
    with pytest.raises(FindingError, match="provider did not sign"):
        TARGETS["vical"](targets._LISTS[0])
    with pytest.raises(FindingError, match="provider did not sign"):
        TARGETS["trust-file"](max(good["trust-file"], key=len))
    monkeypatch.setattr(targets, "decode", lambda _data: 1)
    with pytest.raises(FindingError, match="two values"):
        TARGETS["cbor"](b"\x02")

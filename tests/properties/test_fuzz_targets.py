"""What the fuzzer runs for hours holds here for a moment, without the fuzzer: on the seeds, and on damaged seeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz import targets
from fuzz.targets import TARGETS, FindingError, seeds
from mdl.testing import throwaway_authority
from tests import wire

SEEDS = {name: sorted(filter(None, inputs)) for name, inputs in seeds().items()}


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_holds_on_its_seeds(name: str) -> None:
    assert SEEDS[name]
    for data in SEEDS[name][:: max(1, len(SEEDS[name]) // 50)]:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@given(st.data())
def test_every_target_holds_on_any_bytes_and_on_damaged_seeds(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(st.binary(max_size=100)))
    seed = SEEDS[name][data.draw(st.integers(0, len(SEEDS[name]) - 1))]
    TARGETS[name](data.draw(wire.mutations([seed])))


def test_a_target_that_finds_something_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracles can fail: what they call issued and signed is what makes the honest pass."""
    monkeypatch.setattr(targets, "_issued", frozenset)
    with pytest.raises(FindingError, match="not issued"):
        TARGETS["examine"](targets._HONEST.response)
    with pytest.raises(FindingError, match="proves something that was not issued"):
        TARGETS["bundle"](max(SEEDS["bundle"], key=len))
    monkeypatch.setattr(targets, "_signed_evidence", frozenset)
    with pytest.raises(FindingError, match="nobody has signed"):
        TARGETS["crl"](throwaway_authority().crl())
    with pytest.raises(FindingError, match="nobody signed is kept"):
        TARGETS["evidence-file"](SEEDS["evidence-file"][0])
    monkeypatch.setattr(targets, "_SIGNED_LISTS", frozenset())
    with pytest.raises(FindingError, match="provider did not sign"):
        TARGETS["vical"](targets._LISTS[0])
    with pytest.raises(FindingError, match="provider did not sign"):
        TARGETS["trust-file"](max(SEEDS["trust-file"], key=len))
    monkeypatch.setattr(targets, "decode", lambda _data: 1)
    with pytest.raises(FindingError, match="two values"):
        TARGETS["cbor"](b"\x02")

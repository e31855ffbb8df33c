"""However a message is made, reading it takes bounded time and memory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 5.0  # of the processor for 4 MiB; the slowest takes a tenth of it on a quiet machine
MEGABYTES = 128  # of resident memory beyond the message itself, for all bombs of a process


@pytest.fixture(scope="module")
def results() -> list[dict[str, Any]]:
    """What became of each bomb, in a process that may not take much memory."""
    command = [sys.executable, "-m", "tests.bombs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    assert len(outcomes) > 60
    return outcomes


def test_no_bomb_takes_long(results: list[dict[str, Any]]) -> None:
    assert [one for one in results if one["seconds"] > SECONDS] == []


def test_keys_that_collide_cost_no_more_than_others(results: list[dict[str, Any]]) -> None:
    """200 kB of them; the square of their number would be seconds."""
    seconds = {one["bomb"]: one["seconds"] for one in results if one["reader"] == "decode_sequence"}
    assert seconds["blobs of colliding arrays for keys"] < 1.0


def test_no_bomb_takes_much_memory(results: list[dict[str, Any]]) -> None:
    unit = 1 if sys.platform == "darwin" else 1024
    assert [one for one in results if one["rise"] * unit > MEGABYTES << 20] == []


def test_every_bomb_ends_with_a_value_or_a_refusal(results: list[dict[str, Any]]) -> None:
    assert [one for one in results if one["outcome"].endswith("!")] == []


def test_bombs_are_refused_for_what_they_are(results: list[dict[str, Any]]) -> None:
    outcomes = {(one["reader"], one["bomb"]): one["outcome"] for one in results}
    assert outcomes["decode_view", "integers"] == "cbor.too_many"
    assert outcomes["decode_view", "nested tags"] == "cbor.too_many"
    assert outcomes["decode_view", "deeper than allowed"] == "cbor.too_deep"
    assert outcomes["decode_view", "colliding keys of the entries one map may have"] == "cbor.key"
    assert outcomes["decode_view", "colliding keys"] == "cbor.too_many"
    assert outcomes["decode_view", "one long text"] == "read"
    assert outcomes["decode_sequence", "many blobs of arrays"] == "cbor.too_many"
    assert outcomes["decode_sequence", "many small blobs"] == "read"
    assert outcomes["decode_sequence", "blobs of colliding arrays for keys"] == "cbor.key"
    assert outcomes["DeviceResponse", "a response of many small items"] == "read"
    lies = {outcome for (_, bomb), outcome in outcomes.items() if "claims" in bomb}
    assert lies == {"cbor.truncated", "cbor.too_many"}

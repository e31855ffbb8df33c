"""TOML from people: what it may cost to read it, and what it may not."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.toml import load_toml
from mdl.errors import DecodeError


def read(data: str | bytes, most: int = 64 * 1024) -> object:
    return load_toml(data, source="the file", code="x.toml", most=most)


def test_toml_is_read_with_and_without_a_byte_order_mark() -> None:
    for data in ("a.b = 1", "\ufeffa.b = 1", b"a.b = 1", b"\xef\xbb\xbfa.b = 1"):
        assert read(data) == {"a": {"b": 1}}


def chain(parts: int) -> str:
    return ".".join(["a"] * parts)


@pytest.mark.parametrize(
    "text",
    [
        f"{chain(33)} = 1",
        f"[{chain(33)}]",
        f"[[{chain(33)}]]",
        f"x = {{ {chain(33)} = 1 }}",
        " . ".join(['"a"'] * 33) + " = 1",
        "\t.\t".join(["'a'"] * 33) + " = 1",
        f"{chain(20_000)} = 1",
        f"a = {'9' * 5000}",
        f"a = -{'1_0' * 3000}",
        f"a = {'[' * 5000}",
        f"a = {'{a=' * 5000}",
        "a = ",
        b"\xff",
        b"x" * 65_537,
    ],
)
def test_what_costs_much_or_is_none_is_refused_quickly(text: str | bytes) -> None:
    started = time.process_time()
    with pytest.raises(DecodeError) as caught:
        read(text)
    assert caught.value.code == "x.toml"
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "text",
    [
        f"{chain(32)} = 1",
        "oid = '1.3.6.1.4.1.311.60.2.1.3'",
        "text = 'a. b. c'",
        "long = '" + "x" * 60_000 + "'",
        "a = " + "9" * 4000,
        "\n".join(f"k{number} = {number}" for number in range(3000)),
        "\n".join(f"[t{number}]" for number in range(3000)),
    ],
)
def test_what_people_write_is_read(text: str) -> None:
    started = time.process_time()
    assert read(text)
    assert time.process_time() - started < 2


@given(st.text(alphabet="a.[]{}='\"\\n 19#,", max_size=60))
def test_any_text_is_toml_or_an_error(text: str) -> None:
    with suppress(DecodeError):
        assert isinstance(read(text), dict)

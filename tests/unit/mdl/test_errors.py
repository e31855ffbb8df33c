"""The exception tree: who must act, what exactly happened, and the way between processes."""

import copy
import inspect
import pickle
from typing import Any

import pytest

from mdl import errors
from mdl.errors import (
    DecodeError,
    FetchError,
    IssuanceError,
    LocalProtocolError,
    MdlError,
    ProfileError,
    ProtocolError,
    RemoteProtocolError,
    SigningError,
    UnsupportedError,
    VerificationError,
)

# One of each, with every attribute away from its default.
SPECIMENS = [
    MdlError("m", code="a.b", clause="c 1"),
    DecodeError("m", code="a.b", clause="c 1", path="documents[0]", offset=7),
    UnsupportedError("m", code="a.b", clause="c 1"),
    LocalProtocolError("m", code="a.b", clause="c 1"),
    RemoteProtocolError("m", code="a.b", clause="c 1", status_hint=20),
    VerificationError("m", code="a.b", clause="c 1", report={"any": "report"}, failed=("mso.validity",)),
    ProfileError("m", code="a.b", clause="c 1", findings=("one", "two")),
    IssuanceError("m", code="a.b", clause="c 1", violations=("one",)),
    SigningError("m", code="a.b", clause="c 1", retryable=True),
    FetchError("m", code="a.b", clause="c 1", url="https://example.org/crl", retryable=True),
]


def kind(error: MdlError) -> str:
    return type(error).__name__


def test_every_class_of_the_tree_has_a_specimen() -> None:
    classes = {one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__}
    assert classes == {type(one) for one in SPECIMENS} | {ProtocolError}
    assert {one.__name__ for one in classes} == set(errors.__all__) - {"integer_text"}


@pytest.mark.parametrize("error", SPECIMENS, ids=kind)
def test_every_error_is_an_mdl_error(error: MdlError) -> None:
    assert isinstance(error, MdlError)
    assert not isinstance(error, ValueError | TypeError)  # those are programming mistakes


@pytest.mark.parametrize("error", SPECIMENS, ids=kind)
@pytest.mark.parametrize("travel", [lambda one: pickle.loads(pickle.dumps(one)), copy.copy, copy.deepcopy])
def test_every_error_travels_between_processes_whole(error: MdlError, travel: Any) -> None:
    back = travel(error)
    assert type(back) is type(error)
    assert back.__dict__ == error.__dict__
    assert str(back) == str(error)


def test_notes_travel_too() -> None:
    error = DecodeError("m", code="a.b", path="x")
    error.add_note("while reading the second file")
    back = pickle.loads(pickle.dumps(error))
    assert back.__notes__ == ["while reading the second file"]
    assert back.path == "x"
    assert error.__notes__ == ["while reading the second file"]  # and the sender keeps its own


def test_a_changed_path_travels_as_changed() -> None:
    error = DecodeError("m", code="a.b")
    error.path = "documents[1]"
    assert pickle.loads(pickle.dumps(error)).path == "documents[1]"


@pytest.mark.parametrize("error", SPECIMENS, ids=kind)
def test_code_and_clause_cannot_be_given_by_position(error: MdlError) -> None:
    cls: Any = type(error)
    with pytest.raises(TypeError):
        cls("m", "a.b")
    with pytest.raises(TypeError):
        cls("m")


def test_the_abstract_class_cannot_be_raised() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ProtocolError("m", code="a.b")
    assert issubclass(LocalProtocolError, ProtocolError)
    assert issubclass(RemoteProtocolError, ProtocolError)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MdlError("it broke", code="a.b"), "it broke [a.b]"),
        (DecodeError("it broke", code="a.b"), "it broke [a.b]"),
        (DecodeError("it broke", code="a.b", path="mso"), "it broke at mso [a.b]"),
        (DecodeError("it broke", code="a.b", path="mso", offset=0), "it broke at mso (byte 0) [a.b]"),
        (DecodeError("it broke", code="a.b", offset=12), "it broke (byte 12) [a.b]"),
    ],
)
def test_the_text_is_one_line_with_the_code(error: MdlError, text: str) -> None:
    assert str(error) == text


def test_defaults_say_nothing() -> None:
    assert MdlError("m", code="a.b").clause is None
    decode = DecodeError("m", code="a.b")
    assert (decode.path, decode.offset) == ("", None)
    assert RemoteProtocolError("m", code="a.b").status_hint is None
    verification = VerificationError("m", code="a.b")
    assert (verification.report, verification.failed) == (None, ())
    assert ProfileError("m", code="a.b").findings == ()
    assert IssuanceError("m", code="a.b").violations == ()
    assert SigningError("m", code="a.b").retryable is False
    assert FetchError("m", code="a.b", url="u").retryable is False

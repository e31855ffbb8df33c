"""The exceptions of this project.

    MdlError                     .code (stable dotted id)   .clause
    ├─ DecodeError               bytes are not what the CDDL says            .path  .offset
    ├─ UnsupportedError          well formed, but not implemented or not permitted here
    ├─ ProtocolError             abstract
    │  ├─ LocalProtocolError     the caller asked for an illegal transition
    │  └─ RemoteProtocolError    the peer broke the protocol                 .status_hint
    ├─ VerificationError         the evidence did not earn trust             .report  .failed
    ├─ ProfileError              a certificate or CRL breaks its profile     .findings
    ├─ IssuanceError             this order may not be issued                .violations
    ├─ SigningError              the key custodian refused or failed         .retryable
    └─ FetchError                evidence could not be obtained              .url  .retryable

The class says which party must act; ``code`` says exactly what happened. A message names codes, paths and sizes, never
the value of a data element. Programming mistakes stay ``TypeError`` and ``ValueError``.
"""

from __future__ import annotations

from typing import Any, Final, Literal

__all__ = [
    "DecodeError",
    "FetchError",
    "IssuanceError",
    "LocalProtocolError",
    "MdlError",
    "ProfileError",
    "ProtocolError",
    "RemoteProtocolError",
    "SigningError",
    "UnsupportedError",
    "VerificationError",
    "integer_text",
]

_LONGEST_INTEGER: Final = 512


def integer_text(value: int, form: Literal["d", "x"] = "d") -> str:
    """An integer as text for a message, however large it is.

    Integers in DER and CBOR have no bound, and Python refuses to write an integer of more than 4300 digits. This
    function writes every integer that comes from foreign bytes.

    Args:
        value: The integer.
        form: Digits to write: decimal (``d``), or hexadecimal behind ``0x`` (``x``).

    Returns:
        The digits of an integer of at most 512 bits; otherwise the number of its bits.
    """
    bits = value.bit_length()
    if bits > _LONGEST_INTEGER:
        return f"{'a negative' if value < 0 else 'a'} number of {bits} bits"
    return f"{value:#x}" if form == "x" else str(value)


def _rebuild(cls: type[MdlError], state: dict[str, Any]) -> MdlError:
    """Rebuild an error that was pickled."""
    notes = state.pop("__notes__", ())
    error = cls(**state)
    for note in notes:
        error.add_note(note)
    return error


class MdlError(Exception):
    """Base of every error that this project raises on purpose.

    Attributes:
        message: One line for a person, without personal data.
        code: A stable dotted identifier for programs.
        clause: Where the broken rule stands, as docs/standards/clauses.md lists it, or None.
    """

    def __init__(self, message: str, *, code: str, clause: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.clause = clause

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self.__dict__))


class DecodeError(MdlError):
    """The bytes are not what the CDDL says.

    Attributes:
        path: The place in the structure, for example ``documents[0].issuerSigned``; empty for the whole input.
        offset: The place in the bytes, counted from 0, or None if it is unknown.
    """

    def __init__(
        self, message: str, *, code: str, clause: str | None = None, path: str = "", offset: int | None = None
    ) -> None:
        super().__init__(message, code=code, clause=clause)
        self.path = path
        self.offset = offset

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        if self.offset is not None:
            where += f" (byte {self.offset})"
        return f"{self.message}{where} [{self.code}]"


class UnsupportedError(MdlError):
    """The input is well formed, but not implemented or not permitted here."""


class ProtocolError(MdlError):
    """Abstract: the caller or the peer broke a protocol."""

    def __init__(self, message: str, *, code: str, clause: str | None = None) -> None:
        if type(self) is ProtocolError:
            msg = "ProtocolError is abstract: raise LocalProtocolError or RemoteProtocolError"
            raise TypeError(msg)
        super().__init__(message, code=code, clause=clause)


class LocalProtocolError(ProtocolError):
    """The caller asked for an illegal transition.

    Attributes:
        places: The indices of what is meant among several things that were handed in, from 0 on; empty for a single
            one.
    """

    def __init__(self, message: str, *, code: str, clause: str | None = None, places: tuple[int, ...] = ()) -> None:
        super().__init__(message, code=code, clause=clause)
        self.places = places


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol.

    Attributes:
        status_hint: The session status code to send before closing (10, 11 or 20), or None.
    """

    def __init__(self, message: str, *, code: str, clause: str | None = None, status_hint: int | None = None) -> None:
        super().__init__(message, code=code, clause=clause)
        self.status_hint = status_hint


class VerificationError(MdlError):
    """The evidence did not earn trust.

    Attributes:
        report: The report of every check, or None if no report was made.
        failed: The ids of the checks that refuse, in the order of the report.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        clause: str | None = None,
        report: Any = None,
        failed: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, code=code, clause=clause)
        self.report = report
        self.failed = failed


class ProfileError(MdlError):
    """A certificate or CRL breaks its profile.

    Attributes:
        findings: What the linter found (``mdl.pki.Finding``).
    """

    def __init__(self, message: str, *, code: str, clause: str | None = None, findings: tuple[Any, ...] = ()) -> None:
        super().__init__(message, code=code, clause=clause)
        self.findings = findings


class IssuanceError(MdlError):
    """This order may not be issued.

    Attributes:
        violations: Every rule that the order breaks (``mdl.doctypes.Violation``).
        places: The indices of the orders of a batch that are meant, from 0 on; empty for a single order.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        clause: str | None = None,
        violations: tuple[Any, ...] = (),
        places: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message, code=code, clause=clause)
        self.violations = violations
        self.places = places


class SigningError(MdlError):
    """The key store refused to sign, or failed. Nothing was issued.

    Attributes:
        retryable: Whether the same call may succeed later without any change.
    """

    def __init__(self, message: str, *, code: str, clause: str | None = None, retryable: bool = False) -> None:
        super().__init__(message, code=code, clause=clause)
        self.retryable = retryable


class FetchError(MdlError):
    """Evidence could not be obtained.

    Attributes:
        url: The address of the evidence.
        retryable: Whether the same call may succeed later.
    """

    def __init__(
        self, message: str, *, code: str, url: str, clause: str | None = None, retryable: bool = False
    ) -> None:
        super().__init__(message, code=code, clause=clause)
        self.url = url
        self.retryable = retryable

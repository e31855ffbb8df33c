"""Where bytes are not DER, and in what way: for the words of an error, after the decoder has refused them.

The decoder says that something is wrong. Old PKI software writes what only BER allows, so whoever has to mend a file
needs the field and the form: ``tbsCertificate.validity.notBefore: a UTCTime without seconds``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple, NoReturn, TypeAlias

from mdl.errors import DecodeError

__all__ = ["CERTIFICATE", "CRL", "NOT_DER", "REQUEST", "EncodingFault", "Fields", "encoding_fault", "explain"]

NOT_DER: Final = "not DER: "
"""How the message of an error begins that names what is not DER."""
MOST_ELEMENTS: Final = 50_000
"""How many elements are looked at, inclusive: what is wrong beyond is not looked for."""
_DEEPEST: Final = 32

Fields: TypeAlias = "Mapping[str, Fields | None]"
"""The members of a SEQUENCE in order, by name, with the members of each; ``*`` for every member of a list.

A member with a tag of its own, which may be absent, has its number before its name: ``0 version``.
"""

_VALIDITY: Final[Fields] = {"notBefore": None, "notAfter": None}
_EXTENSIONS: Final[Fields] = {"": {"*": {"extnID": None, "critical": None, "extnValue": None}}}
CERTIFICATE: Final[Fields] = {
    "tbsCertificate": {
        "0 version": None,
        "serialNumber": None,
        "signature": None,
        "issuer": None,
        "validity": _VALIDITY,
        "subject": None,
        "subjectPublicKeyInfo": None,
        "1 issuerUniqueID": None,
        "2 subjectUniqueID": None,
        "3 extensions": _EXTENSIONS,
    },
    "signatureAlgorithm": None,
    "signatureValue": None,
}
"""RFC 5280 4.1."""
CRL: Final[Fields] = {
    "tbsCertList": {
        "version": None,
        "signature": None,
        "issuer": None,
        "thisUpdate": None,
        "nextUpdate": None,
        "revokedCertificates": {"*": {"userCertificate": None, "revocationDate": None, "crlEntryExtensions": None}},
        "0 crlExtensions": _EXTENSIONS,
    },
    "signatureAlgorithm": None,
    "signatureValue": None,
}
"""RFC 5280 5.1."""
REQUEST: Final[Fields] = {
    "certificationRequestInfo": {"version": None, "subject": None, "subjectPKInfo": None, "0 attributes": None},
    "signatureAlgorithm": None,
    "signature": None,
}
"""RFC 2986 4."""

_OPTIONAL: Final[Mapping[str, frozenset[int]]] = {
    # By the tags that they may have: what has another tag is the next member.
    "version": frozenset({0x02}),
    "nextUpdate": frozenset({0x17, 0x18}),
    "revokedCertificates": frozenset({0x30}),
    "critical": frozenset({0x01}),
}
_CONSTRUCTED: Final = 0x20
_COMPOSITE: Final = frozenset({0x08, 0x0B, 0x10, 0x11})


class EncodingFault(NamedTuple):
    """The first place where bytes are not DER.

    Attributes:
        path: The field, as far as it has a name; empty for the whole.
        message: In what form it is written.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def explain(error: DecodeError, data: bytes, fields: Fields) -> DecodeError:
    """Put the field and the form into the error of a decoder that has refused the bytes.

    Args:
        error: The decoder's error; it keeps its code.
        data: What was refused.
        fields: What its members are called.
    """
    fault = encoding_fault(data, fields) if error.code.endswith(".malformed") else None
    if fault is not None:
        error.message, error.path = f"{NOT_DER}{fault.message}", fault.path
    return error


class _FoundError(Exception):
    """A fault on the way out of the walk."""


class _Element(NamedTuple):
    tag: int
    start: int
    end: int


def encoding_fault(data: bytes, fields: Fields) -> EncodingFault | None:
    """The first place where one whole element is not DER; None where it is, or where none is found.

    Args:
        data: The bytes.
        fields: What the element's members are called.
    """
    if data[:1] != b"\x30":
        return None  # something else altogether
    walk = _Walk(data)
    try:
        element, end = walk.element(0, len(data), "")
        if end != len(data):
            walk.fail("", f"{len(data) - end} bytes follow the end")
        walk.inside(element, "", fields, 0)
    except _FoundError:
        return walk.fault
    return None


class _Walk:
    """Walks through elements until one of them is not DER."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MOST_ELEMENTS
        self.fault: EncodingFault | None = None

    def fail(self, path: str, message: str) -> NoReturn:
        """Stop here."""
        self.fault = EncodingFault(path, message)
        raise _FoundError

    def element(self, start: int, limit: int, path: str) -> tuple[_Element, int]:
        """Read the head of the element at `start`."""
        self._left -= 1
        if self._left < 0:
            raise _FoundError
        data = self._data
        try:
            tag, at = data[start], start + 1
            if tag & 0x1F == 0x1F:
                self.fail(path, "a tag in the form of high numbers, which nothing here has")
            size = data[at]
            at += 1
            if size == 0x80:
                self.fail(path, "an indefinite length")
            if size > 0x80:
                octets = data[at : at + size - 0x80]
                at, size = at + len(octets), int.from_bytes(octets)
                if octets[0] == 0 or size < 0x80:
                    self.fail(path, "a length that is not in its shortest form")
        except IndexError:
            self.fail(path, "cut off")
        if at + size > limit:
            self.fail(path, "longer than what it is part of" if path else "cut off")
        return _Element(tag, at, at + size), at + size

    def inside(self, element: _Element, path: str, fields: Fields | None, depth: int) -> None:
        """Look at the content of an element, and of what is inside."""
        universal = element.tag < 0x40
        number = element.tag & 0x1F
        if not element.tag & _CONSTRUCTED:
            if universal:
                if number in _COMPOSITE:
                    self.fail(path, "a SEQUENCE or SET that is not marked as one")
                self._primitive(number, self._data[element.start : element.end], path)
            return
        if universal and number not in _COMPOSITE:
            self.fail(path, "a string in pieces")
        if depth >= _DEEPEST:
            raise _FoundError
        members = list(self._members(element, path, fields))
        before = b""
        for name, below, member, whole in members:
            self.inside(member, name, below, depth + 1)
            if universal and number == 0x11:
                content = self._data[whole : member.end]
                if content < before:
                    self.fail(path, "a SET that is not in order")
                before = content

    def _members(
        self, element: _Element, path: str, fields: Fields | None
    ) -> Iterator[tuple[str, Fields | None, _Element, int]]:
        """The members of an element: the path of each, what its own are called, the member, where its head begins."""
        names = list((fields or {}).items())
        at, index = element.start, 0
        while at < element.end:
            tag = self._data[at]
            name, below = _named(names, tag, index)
            inner = f"{path}{'.' * (path != '' and name[:1] not in ('', '['))}{name}"
            member, end = self.element(at, element.end, inner)
            yield inner, below, member, at
            at, index = end, index + 1

    def _primitive(self, number: int, value: bytes, path: str) -> None:
        message = None
        if number == 0x01 and value not in (b"\x00", b"\xff"):
            message = "a BOOLEAN that is neither 00 nor FF"
        elif number == 0x01 and value == b"\x00" and path.endswith(".critical"):
            message = "a FALSE that is written out, though it is the default"
        elif number == 0x02 and value == b"\x00" and path == "tbsCertificate.version":
            message = "a version 1 that is written out, though it is the default"
        elif number in (0x02, 0x0A) and not value:
            message = "an INTEGER without octets"
        elif number in (0x02, 0x0A) and len(value) > 1 and (value[0], value[1] >> 7) in ((0, 0), (0xFF, 1)):
            message = "an INTEGER with octets that say nothing"
        elif number == 0x03 and not _is_bit_string(value):
            message = "a BIT STRING whose unused bits are not zero"
        elif number == 0x05 and value:
            message = "a NULL with octets"
        elif number in (0x17, 0x18):
            message = _time_fault(number, value)
        if message is not None:
            self.fail(path, message)


def _named(names: list[tuple[str, Fields | None]], tag: int, index: int) -> tuple[str, Fields | None]:
    """The name of a member with that tag, and what its own members are called; what has no name is taken off."""
    if names and names[0][0] == "*":
        return f"[{index}]", names[0][1]
    while names:
        name, below = names.pop(0)
        number, _, bare = name.rpartition(" ")
        if number:
            if tag & 0xC0 == 0x80 and tag & 0x1F == int(number):
                return bare, below
        elif name not in _OPTIONAL or tag in _OPTIONAL[name]:
            return name, below
    return "", None


def _is_bit_string(value: bytes) -> bool:
    unused = value[0] if value else 8
    return unused < 8 and (len(value) > 1 or unused == 0) and not value[-1] & ((1 << unused) - 1)


def _time_fault(number: int, value: bytes) -> str | None:
    """In what form a time is written that is not the one of DER; None where it is."""
    kind, digits = ("UTCTime", 12) if number == 0x17 else ("GeneralizedTime", 14)
    if re.fullmatch(rb"\d{%d}Z" % digits, value):
        try:
            datetime.strptime(value.decode()[-13:-1], "%y%m%d%H%M%S")  # noqa: DTZ007 - only whether there is such a time
        except ValueError:
            return f"a {kind} with a time that does not exist"
        return None
    if re.fullmatch(rb"\d{%d}Z" % (digits - 2), value):
        return f"a {kind} without seconds"
    if re.fullmatch(rb"\d{%d,%d}[+-]\d{4}" % (digits - 2, digits), value):
        return f"a {kind} with an offset, where DER asks for Z"
    if re.fullmatch(rb"\d{%d}[.,]\d*Z?" % digits, value):
        return f"a {kind} with a fraction of a second"
    if re.fullmatch(rb"\d{%d,%d}" % (digits - 2, digits), value):
        return f"a {kind} of local time, without Z"
    return f"a {kind} in another form than DER has"

"""Licence records: what an issuing authority's back end hands in, as JSON.

    {"doctype": "org.iso.18013.5.1.mDL", "family_name": "…", "birth_date": "2000-01-31", "portrait": "portrait.jpg", …}
    {"org.iso.18013.5.1": {"family_name": "…", …}, "org.iso.18013.5.1.aamva": {"sex": 1, …}}

``doctype`` may be left out: then it is the mDL. Element identifiers at the top level mean the document type's own
namespace; otherwise every member is a namespace. A date is ``YYYY-MM-DD``, a date-time RFC 3339 with ``Z``; whatever
is a byte string in the document is here the path of a file. Which is which is told by the document type, never by
the look of the value. Elements of an open namespace have no stated type, so they are text, integers, booleans, arrays
and maps; a date or a file is said to be one, anywhere in their values:

    {"medical_until": {"$full-date": "2028-01-31"}, "checked": {"$tdate": "2026-01-31T00:00:00Z"},
     "scan": {"$file": "scan.jpg"}}

The form is checked here. Whether the licence may be issued is said by `mdl.doctypes.violations`; where the form is at
fault, what that finds in the rest is told at once.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, Final

from mdl.cbor import FullDate, TDate
from mdl.doctypes import (
    DOCTYPES,
    Anything,
    Array,
    Bool,
    Bytes,
    Date,
    DocumentType,
    Either,
    Map,
    Shape,
    Text,
    Uint,
    Violation,
    find_doctype,
    plain_name,
    violations,
)
from mdl.errors import DecodeError, IssuanceError, MdlError

__all__ = ["MAX_FILE_BYTES", "MAX_RECORD_CHARACTERS", "LicenceRecord", "RecordCode", "parse_record", "read_below"]

MAX_RECORD_CHARACTERS: Final = 256 * 1024
"""Longest record, in characters, inclusive."""
MAX_FILE_BYTES: Final = 1024 * 1024
"""Largest file that a record may name, in bytes, inclusive."""
_MAX_DEPTH: Final = 12
_DEFAULT_DOCTYPE: Final = "org.iso.18013.5.1.mDL"


class RecordCode(StrEnum):
    """What can be wrong with the form of a record: stable ids, a closed set."""

    JSON = "record.json"
    SIZE = "record.size"
    DEPTH = "record.depth"
    DUPLICATE = "record.duplicate"
    FORM = "record.form"
    DOCTYPE = "record.doctype"
    NAMESPACE = "record.namespace"
    ELEMENT = "record.element"
    MEMBER = "record.member"
    TYPE = "record.type"
    NUMBER = "record.number"
    DATE = "record.date"
    FILE = "record.file"
    FILE_SIZE = "record.file_size"
    FILE_PATH = "record.file_path"


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceRecord:
    """A record with every value in the form that is issued.

    Attributes:
        doctype: The document type, in the spelling that is issued.
        namespaces: Values by namespace and element identifier, as decoded CBOR. Not shown by ``repr``.
    """

    doctype: str
    namespaces: dict[str, dict[str, Any]] = field(repr=False)


def parse_record(text: str, *, read_file: Callable[[str], bytes]) -> LicenceRecord:
    """Parse a licence record.

    Args:
        text: The JSON text, at most `MAX_RECORD_CHARACTERS` long.
        read_file: Gives the content of a file that the record names, see `read_below`.

    Returns:
        The record.

    Raises:
        IssuanceError: The text is no record (codes ``record.…``). Where single elements are at fault, `violations`
            has all of them and what else is wrong with the record, and the code is that of the first.
    """
    content = _load(text.removeprefix("\ufeff"))
    name = content.pop("doctype", _DEFAULT_DOCTYPE)
    document_type = find_doctype(name) if isinstance(name, str) else None
    if document_type is None:
        raise IssuanceError(f"the record's doctype is none of {', '.join(DOCTYPES)}", code=RecordCode.DOCTYPE)
    dotted = {"." in member for member in content}
    if dotted == {True, False}:
        raise IssuanceError(
            "the record mixes element identifiers and namespaces at the top level", code=RecordCode.FORM
        )
    grouped = content if dotted == {True} else {document_type.default_namespace: content}
    conversion = _Conversion(document_type, read_file)
    namespaces = {namespace: conversion.namespace(namespace, elements) for namespace, elements in grouped.items()}
    found = tuple(conversion.violations)
    if found:
        found += _beside(found, violations(document_type.doctype, namespaces))
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise IssuanceError(f"{found[0].path}: {found[0].message}{more}", code=found[0].code, violations=found)
    return LicenceRecord(doctype=document_type.doctype, namespaces=namespaces)


def _beside(found: Iterable[Violation], others: Iterable[Violation]) -> tuple[Violation, ...]:
    """What is wrong beside the form: not what is missing since its form is wrong."""
    told = {(one.namespace, one.identifier) for one in found}
    return tuple(
        one for one in others if (one.namespace, one.identifier) not in told and (one.namespace, "") not in told
    )


def read_below(folder: Path) -> Callable[[str], bytes]:
    """Make a reader of the files that a record may name: regular files in its own folder or below.

    No path leads out: absolute paths and ``..`` are refused, and symbolic links are not followed, so that nothing can
    be exchanged between a look and a read.

    Args:
        folder: The folder of the record.

    Returns:
        A function from a path relative to the folder, with ``/``, to the content of the file. It raises
        `IssuanceError` with the codes ``record.file``, ``record.file_size`` and ``record.file_path``; the path is not
        repeated in the error.
    """

    def read(name: str) -> bytes:
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if not parts or ".." in parts or name.startswith("/") or "\0" in name:
            raise IssuanceError("a file is named by its path below the record's folder", code=RecordCode.FILE_PATH)
        try:
            return _read_regular_file(folder, parts)
        except (OSError, ValueError) as exc:
            reason = (exc.strerror if isinstance(exc, OSError) else None) or "not a name for a file"
        # Raised out here since the system's error knows the file's name, and that is often a person's.
        raise IssuanceError(f"the file cannot be read ({reason})", code=RecordCode.FILE)

    return read


def _read_regular_file(folder: Path, parts: list[str]) -> bytes:
    """Walk down one name at a time, each opened relative to the one before and none of them a link."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
        # A named pipe would keep us waiting for a writer, were it not for O_NONBLOCK.
        last = os.open(parts[-1], flags | os.O_NONBLOCK, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    try:
        if not stat.S_ISREG(os.fstat(last).st_mode):
            raise IssuanceError("not a regular file", code=RecordCode.FILE)
        with os.fdopen(last, "rb", closefd=False) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(last)
    _bound(content)
    return content


def _bound(content: bytes) -> None:
    if len(content) > MAX_FILE_BYTES:
        raise IssuanceError(f"the file is larger than {MAX_FILE_BYTES} bytes", code=RecordCode.FILE_SIZE)


# --- JSON ------------------------------------------------------------------------------------------------------------


class _Number(Enum):
    """What stands for a number that no element can have, until its path is known."""

    UNFIT = "fraction, exponent, or too long"


def _unfit(_text: str) -> _Number:
    return _Number.UNFIT


def _integer(text: str) -> int | _Number:
    return int(text) if len(text) <= 20 else _Number.UNFIT


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            raise IssuanceError(f"a member is there twice: {plain_name(name)}", code=RecordCode.DUPLICATE)
        content[name] = value
    return content


def _load(text: str) -> dict[str, Any]:
    if len(text) > MAX_RECORD_CHARACTERS:
        raise IssuanceError(f"the record is longer than {MAX_RECORD_CHARACTERS} characters", code=RecordCode.SIZE)
    fault = None
    content: Any = None
    try:
        content = json.loads(
            text, object_pairs_hook=_object, parse_float=_unfit, parse_constant=_unfit, parse_int=_integer
        )
    except json.JSONDecodeError as exc:
        fault = f"the record is not JSON: line {exc.lineno}, column {exc.colno}"
    except RecursionError:
        raise IssuanceError("the record is nested too deeply", code=RecordCode.DEPTH) from None
    if fault is not None:
        # Raised out here since the library's error carries the whole record.
        raise IssuanceError(fault, code=RecordCode.JSON)
    if not isinstance(content, dict):
        raise IssuanceError("a record is one JSON object", code=RecordCode.FORM)
    _bound_depth(content)
    return content


def _bound_depth(content: Any) -> None:
    level = [content]
    for _ in range(_MAX_DEPTH):
        level = [below for each in level for below in _children(each)]
        if not level:
            return
    raise IssuanceError(f"the record is nested deeper than {_MAX_DEPTH}", code=RecordCode.DEPTH)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


# --- conversion ------------------------------------------------------------------------------------------------------


class _Misfit(Exception):  # noqa: N818 - never leaves this module
    """A value that is not of the form that its element asks for."""

    def __init__(self, code: str, message: str, where: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where


class _Conversion:
    """Turns JSON values into what is issued, driven by the document type, and collects what does not fit."""

    def __init__(self, document_type: DocumentType, read_file: Callable[[str], bytes]) -> None:
        self.violations: list[Violation] = []
        self._document_type = document_type
        self._read_file = read_file

    def namespace(self, namespace: str, elements: Any) -> dict[str, Any]:
        """Convert the elements of one namespace, as far as they can be."""
        document_type = self._document_type
        known = any(each.name == namespace for each in document_type.namespaces)
        if not known and not document_type.is_open_namespace(namespace):
            self._report(namespace, "", RecordCode.NAMESPACE, "is no namespace of this document type")
            return {}
        if not isinstance(elements, dict):
            self._report(namespace, "", RecordCode.FORM, "must be an object of elements")
            return {}
        converted: dict[str, Any] = {}
        for identifier, value in elements.items():
            rule = document_type.rule(namespace, identifier)
            if rule is None:
                self._report(namespace, identifier, RecordCode.ELEMENT, "is not defined in this namespace")
                continue
            try:
                converted[identifier] = self._value(rule.shape, value, "")
            except _Misfit as exc:
                self._report(namespace, identifier, exc.code, exc.message, exc.where)
        return converted

    def _report(self, namespace: str, identifier: str, code: str, message: str, where: str = "") -> None:
        self.violations.append(
            Violation(
                namespace=plain_name(namespace),
                identifier=plain_name(identifier) if identifier or code == RecordCode.ELEMENT else "",
                code=code,
                message=message,
                where=where,
            )
        )

    def _value(self, shape: Shape, value: Any, where: str) -> Any:
        if value is _Number.UNFIT:
            raise _Misfit(RecordCode.NUMBER, "must be a whole number of at most 20 digits", where)
        match shape:
            case Text():
                fits = type(value) is str
            case Uint():
                fits = type(value) is int
            case Bool():
                fits = type(value) is bool
            case Date() if type(value) is str:
                return _date(shape, value, where)
            case Bytes() if type(value) is str:
                return self._file(shape, value, where)
            case Array() if type(value) is list:
                return [self._value(shape.items, each, f"{where}[{i}]") for i, each in enumerate(value)]
            case Map() if type(value) is dict:
                return {key: self._member(shape, key, each, where) for key, each in value.items()}
            case Either():
                return self._value(_alternative(shape, value), value, where)
            case Anything():
                return self._free(value, where)
            case _:
                fits = False
        if not fits:
            says = "a path to a file" if isinstance(shape, Bytes) else shape.says
            raise _Misfit(RecordCode.TYPE, f"must be {says}", where)
        return value

    def _member(self, shape: Map, key: str, value: Any, where: str) -> Any:
        member = shape.members.get(key)
        if member is None:
            raise _Misfit(RecordCode.MEMBER, "has a member that is not defined here", where)
        return self._value(member.shape, value, f"{where}.{key}")

    def _free(self, value: Any, where: str) -> Any:
        """Take a value without a stated type as it stands."""
        if value is None or value is _Number.UNFIT:
            code = RecordCode.TYPE if value is None else RecordCode.NUMBER
            raise _Misfit(code, "must be text, a whole number, true, false, an array or an object", where)
        if type(value) is list:
            return [self._free(each, f"{where}[{i}]") for i, each in enumerate(value)]
        if type(value) is dict:
            kinds = [key for key in value if key.startswith("$")]
            if kinds:
                return self._said(value, kinds[0], where)
            return {key: self._free(each, f"{where}.{plain_name(key)}") for key, each in value.items()}
        return value

    def _said(self, value: dict[str, Any], kind: str, where: str) -> Any:
        """Take a value that is said to be a date or a file."""
        shape = _SAID.get(kind)
        if shape is None or len(value) != 1:
            names = ", ".join(_SAID)
            raise _Misfit(RecordCode.MEMBER, f"a member with $ stands alone and is one of {names}", where)
        return self._value(shape, value[kind], where)

    def _file(self, shape: Bytes, path: str, where: str) -> bytes:
        if not path and shape.may_be_empty:
            return b""
        try:
            content = self._read_file(path)
            _bound(content)
        except IssuanceError as exc:
            code, message = exc.code, exc.message
        except (MdlError, OSError, ValueError):
            code, message = RecordCode.FILE, "the file cannot be read"
        else:
            return content
        raise _Misfit(code, message, where)


# How a record says what a value of an open namespace is.
_SAID: Final = {"$full-date": Date(full_date=True), "$tdate": Date(tdate=True), "$file": Bytes()}


def _alternative(shape: Either, value: Any) -> Shape:
    """Choose the alternative that the JSON type leads to: an object to the map, all else to the first that is none."""
    is_map = type(value) is dict
    return next((each for each in shape.shapes if isinstance(each, Map) is is_map), shape.shapes[0])


def _date(shape: Date, text: str, where: str) -> FullDate | TDate:
    """Make the date that the element asks for; where it takes both, a ``T`` tells them apart."""
    if not shape.full_date or (shape.tdate and "T" in text):
        moment = TDate(text)
        if moment.is_strict and _reads(lambda: moment.datetime):
            return moment
    else:
        day = FullDate(text)
        if _reads(lambda: day.date):
            return day
    form = {"full-date": "YYYY-MM-DD", "tdate": "YYYY-MM-DDThh:mm:ssZ"}
    raise _Misfit(RecordCode.DATE, f"must be a date, {form.get(shape.cddl, ' or '.join(form.values()))}", where)


def _reads(read: Callable[[], object]) -> bool:
    try:
        read()
    except DecodeError:
        return False
    return True

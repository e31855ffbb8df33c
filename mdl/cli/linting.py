"""What `mdl lint` examines, and how: files in, certificates, CRLs and requests with their findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from mdl.cli import terminal
from mdl.cli.certificates import likely_profile
from mdl.cli.der import DER_RULES, Document, read_again
from mdl.cli.inspection import pem_blocks
from mdl.errors import DecodeError, MdlError
from mdl.pki import (
    CRL,
    IACA,
    PROFILES,
    READER_AUTHENTICATION,
    READER_CA,
    VICAL_PROVIDER_CA,
    VICAL_SIGNER,
    Certificate,
    CertificateRequest,
    Crl,
    CrlProfile,
    Evidence,
    Finding,
    Name,
    Profile,
    Rule,
    Severity,
    decode_csr,
    lint_certificate,
    lint_crl,
)
from mdl.pki.certificate import is_pem
from mdl.pki.lint import examine

__all__ = ["AUTO", "NO_PROFILE", "Examined", "Lint", "Unreadable", "read_certificates", "run_lint"]

AUTO: Final = "auto"
"""The profile that suggests itself."""

_LABEL: Final = "FILE"
_SUFFIXES: Final = frozenset({".pem", ".cer", ".crt", ".der", ".crl", ".csr"})
_MOST_FILES: Final = 10_000
_CERTIFICATE, _CRL = "CERTIFICATE", "X509 CRL"
_REQUESTS: Final = frozenset({"CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"})

AnyRule: TypeAlias = Rule[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A certificate, CRL or request, and what was found.

    Attributes:
        file: The file, as it was named.
        index: Its place among those that the file holds, from 1.
        line: The line on which it begins, from 1; None where the file is no text.
        document: What was examined.
        profile: What it was held against; None for a request, or where no profile suggests itself.
        issuer: The file of the issuing certificate; None where that is not at hand.
        rules: Every rule that it was held against.
        findings: What was found, in the order of the rules.
        unjudged: Of the rules, those that lacked their evidence.
    """

    file: str
    index: int
    line: int | None
    document: Document
    profile: Profile | CrlProfile | None
    issuer: str | None
    rules: tuple[AnyRule, ...]
    findings: tuple[Finding, ...]
    unjudged: tuple[AnyRule, ...]

    @property
    def kind(self) -> str:
        """What it is: ``certificate``, ``crl`` or ``request``."""
        return {Certificate: "certificate", Crl: "crl", CertificateRequest: "request"}[type(self.document)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A file, or a block of one, that could not be read.

    Attributes:
        file: The file, as it was named.
        line: The line on which the block begins, from 1; None for the file as a whole.
        code: The error's stable code.
        message: What is wrong.
    """

    file: str
    line: int | None
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint:
    """What came of linting.

    Attributes:
        examined: In the order of the files and of what they hold.
        unreadable: In the same order.
        passed_over: How many files of folders hold nothing that a profile speaks of.
        at: The time that validity was judged at; None where it was not.
    """

    examined: tuple[Examined, ...]
    unreadable: tuple[Unreadable, ...]
    passed_over: int
    at: datetime | None

    def findings(self, severity: Severity) -> int:
        """How many findings there are of that severity."""
        return sum(finding.severity is severity for one in self.examined for finding in one.findings)


def run_lint(
    names: Sequence[str], *, profile: str = AUTO, issuers: Iterable[Certificate] = (), at: datetime | None = None
) -> Lint:
    """Examine files and folders.

    Args:
        names: Files, folders, or ``-`` for the standard input.
        profile: What to hold certificates against: the id of a profile, or `AUTO`. A CRL has one profile only.
        issuers: Issuing certificates; without them, the issuer is looked for among what is examined.
        at: Judge validity at that time, aware UTC; None leaves it unjudged.

    Raises:
        ModuleNotFoundError: There is no asn1crypto for the second reading.
    """
    found: list[_Found] = []
    unreadable: list[Unreadable] = []
    passed_over = 0
    for name in names:
        for file, in_folder in _files(name, unreadable):
            here = _read(file, unreadable)
            if not here and in_folder and not any(one.file == file for one in unreadable):
                passed_over += 1
            elif not here and not any(one.file == file for one in unreadable):
                unreadable.append(_unreadable(file, _holds_nothing("the file")))
            found += here
    issuing = _Issuing(tuple(issuers), [one for one in found if isinstance(one.document, Certificate)])
    examined = []
    for one in found:
        try:
            examined.append(_examine(one, profile, issuing, at))
        except ModuleNotFoundError:
            raise
        except Exception as exc:  # noqa: BLE001 - a mistake of ours on one document is the result of that document
            unreadable.append(_unreadable(one.file, terminal.internal_error(exc), one.line))
    return Lint(
        examined=tuple(examined),
        unreadable=tuple(unreadable),
        passed_over=passed_over,
        at=at,
    )


# --- files ------------------------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """A document and where it was found."""

    file: str
    place: int
    line: int | None
    document: Document


def _files(name: str, unreadable: list[Unreadable]) -> Iterator[tuple[str, bool]]:
    """The files that a name stands for, and whether they come from a folder."""
    folder = Path(name)
    if name in ("", "-") or not folder.is_dir():
        yield name, False
        return
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not files:
        unreadable.append(_unreadable(name, _holds_nothing("the folder")))
    if len(files) > _MOST_FILES:
        msg = f"a folder with more than {_MOST_FILES} files"
        unreadable.append(_unreadable(name, DecodeError(msg, code="input.too_large")))
        return
    for file in files:
        yield str(file), True


def _holds_nothing(what: str) -> DecodeError:
    msg = f"{what} holds no certificate, no CRL and no certification request"
    return DecodeError(msg, code="input.kind")


def _unreadable(file: str, exc: MdlError, line: int | None = None) -> Unreadable:
    path = exc.path if isinstance(exc, DecodeError) else ""
    # The file is named beside it; what inside it is at fault, an extension for example, is not.
    message = f"{exc.message} at {path}" if path not in ("", _LABEL) else exc.message
    return Unreadable(file=file, line=line, code=exc.code, message=message)


def _read(file: str, unreadable: list[Unreadable]) -> list[_Found]:
    """What a file holds; blocks of other kinds, keys for example, are not looked at."""
    try:
        data = terminal.read_input(file, label=_LABEL)
        if not is_pem(data):
            return [_Found(file, 1, None, _decode(terminal.open_armour(data).data))]
        blocks = [block for block in pem_blocks(data) if block.label in {_CERTIFICATE, _CRL} | _REQUESTS]
    except MdlError as exc:
        unreadable.append(_unreadable(file, exc))
        return []
    except Exception as exc:  # noqa: BLE001 - as in `run_lint`
        unreadable.append(_unreadable(file, terminal.internal_error(exc)))
        return []
    found = []
    for index, block in enumerate(blocks, start=1):
        line = data.count(b"\n", 0, block.offset) + 1
        try:
            found.append(_Found(file, index, line, _decode_block(block.label, block.text)))
        except MdlError as exc:
            unreadable.append(_unreadable(file, exc, line))
        except Exception as exc:  # noqa: BLE001 - as in `run_lint`
            unreadable.append(_unreadable(file, terminal.internal_error(exc), line))
    return found


def _decode_block(label: str, text: bytes) -> Document:
    if label == _CERTIFICATE:
        return Certificate.parse_pem(text)
    return Crl.decode_any(text) if label == _CRL else decode_csr(text)


def _decode(der: bytes) -> Document:
    """DER carries no label, so each kind is tried; what is none of them is refused as a certificate."""
    try:
        return Certificate.decode(der)
    except DecodeError as exc:
        refusal = exc
    try:
        return Crl.decode(der)
    except DecodeError:
        pass
    try:
        return decode_csr(der)
    except DecodeError as exc:
        if exc.code.startswith("key."):
            raise  # a request, but for a key that is none
        raise refusal from exc


def read_certificates(name: str, *, label: str) -> tuple[Certificate, ...]:
    """The certificates of a file, in any armour.

    Args:
        name: The file's name.
        label: The argument that named it, for errors.

    Raises:
        DecodeError: It cannot be read, or holds no certificate.
    """
    data = terminal.read_input(name, label=label)
    with terminal.labelled(label):
        if is_pem(data):
            return Certificate.parse_pem_bundle(data)
        return (Certificate.decode(terminal.open_armour(data).data),)


# --- profiles and issuers ---------------------------------------------------------------------------------------------

_GIVEN: Final = "the certificate given"


class _Issuing:
    """Who issued what, as far as it is at hand."""

    def __init__(self, given: tuple[Certificate, ...], found: Iterable[_Found]) -> None:
        self._given = [(_GIVEN, certificate) for certificate in given]
        self._by_subject: dict[Name, list[tuple[str, Certificate]]] = {}
        self._by_key: dict[bytes, list[tuple[str, Certificate]]] = {}
        self._issued: dict[Name, list[Certificate]] = {}
        for one in found:
            if isinstance(one.document, Certificate):
                place = (one.file, one.document)
                self._by_subject.setdefault(one.document.subject, []).append(place)
                if one.document.subject_key_identifier is not None:
                    self._by_key.setdefault(one.document.subject_key_identifier, []).append(place)
                self._issued.setdefault(one.document.issuer, []).append(one.document)

    def of(self, document: Certificate | Crl) -> tuple[str, Certificate] | None:
        """The certificate of whoever issued `document`, and its file.

        By name and key identifier, else by one of them: a name that was encoded again is a finding, not a stranger's.
        """
        identifier = document.authority_key_identifier
        if identifier is None and isinstance(document, Certificate):
            identifier = document.subject_key_identifier  # one that names no issuer's key is likely its own issuer
        if self._given:
            # What was given as the issuer is held to be it, whatever the names say; a root is its own.
            named = [one for one in self._given if one[1].subject == document.issuer]
            named += [one for one in self._by_subject.get(document.issuer, ()) if one[1] == document][:1]
            candidates = named or self._given
        else:
            # Its own certificate comes last.
            named = self._by_subject.get(document.issuer, [])
            candidates = sorted(named or self._by_key.get(identifier or b"", []), key=lambda one: one[1] == document)
        # The one with the right key identifier first: of many with one name, most are then never asked.
        for file, certificate in sorted(candidates, key=lambda one: one[1].subject_key_identifier != identifier):
            if _signed(document, certificate):
                return file, certificate
        return candidates[0] if candidates else None

    def other_authority(self, authority: Certificate) -> Profile | None:
        """What a CA is that issued nothing, as far as it is at hand, but what no IACA issues; None where it may be one.

        A CA of readers, or of a VICAL provider.
        """
        profiles = {likely_profile(one) for one in self._issued.get(authority.subject, ()) if one != authority}
        if profiles == {VICAL_SIGNER}:
            return VICAL_PROVIDER_CA
        return READER_CA if profiles and profiles <= {READER_AUTHENTICATION, VICAL_SIGNER} else None


def _signed(document: Certificate | Crl, issuer: Certificate) -> bool:
    try:
        document.verify_signature(issuer.public_key)
    except MdlError:
        return False
    return True


def _profile(document: Document, asked: str, issuing: _Issuing) -> Profile | CrlProfile | None:
    if isinstance(document, Crl):
        return CRL
    if isinstance(document, CertificateRequest) or asked == CRL.id:
        return None
    if asked != AUTO:
        return PROFILES[asked]
    suggested = likely_profile(document)
    return (issuing.other_authority(document) if suggested in (IACA, None) else None) or suggested


NO_PROFILE: Final[AnyRule] = Rule(
    id="lint.profile",
    clause="18013-5 Annex B",
    severity=Severity.ERROR,
    security=False,
    requirement="Every certificate is held against a profile.",
    remedy="Name its profile with --profile; extendedKeyUsage is what tells one from the other.",
    needs=None,
    check=lambda profile: "no profile suggests itself, so none was applied" if profile is None else None,
)


def _examine(one: _Found, asked: str, issuing: _Issuing, at: datetime | None) -> Examined:
    document = one.document
    profile = _profile(document, asked, issuing)
    rules: tuple[AnyRule, ...] = DER_RULES
    findings = examine(read_again(document), DER_RULES)
    issuer: tuple[str, Certificate] | None = None
    if isinstance(document, Certificate):
        rules = (NO_PROFILE, *rules)
        findings = examine(profile, (NO_PROFILE,)) + findings
        if isinstance(profile, Profile):
            if not profile.self_issued:
                issuer = issuing.of(document)
            elif document.issuer == document.subject:
                issuer = (one.file, document)
            findings += lint_certificate(document, profile, issuer=issuer and issuer[1], at=at)
    elif isinstance(document, Crl):
        issuer = issuing.of(document)
        findings += lint_crl(document, issuer=issuer and issuer[1], at=at)
    if profile is not None:
        rules += profile.rules
    lacking = {Evidence.ISSUER: issuer is None, Evidence.TIME: at is None}
    return Examined(
        file=one.file,
        index=one.place,
        line=one.line,
        document=document,
        profile=profile,
        issuer=issuer and issuer[0],
        rules=rules,
        findings=findings,
        unjudged=tuple(rule for rule in rules if rule.needs is not None and lacking[rule.needs]),
    )

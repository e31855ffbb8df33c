"""What `mdl lint` examines, and how: files in, certificates, CRLs and requests with their findings out."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from mdl.cli import terminal
from mdl.cli.certificates import likely_profile
from mdl.cli.der import DER_RULES, Document, read_again
from mdl.cli.inspection import pem_blocks, title_of
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
    Finding,
    Name,
    Profile,
    Rule,
    RuleInput,
    Severity,
    decode_csr,
    lint_certificate,
    lint_crl,
)
from mdl.pki.certificate import is_pem
from mdl.pki.encoding import NOT_DER
from mdl.pki.lint import examine

__all__ = [
    "AUTO",
    "MANY_ISSUERS",
    "MOST_ISSUERS",
    "NO_PROFILE",
    "Examined",
    "Lint",
    "Unreadable",
    "read_certificates",
    "run_lint",
]

AUTO: Final = "auto"
"""The profile that suggests itself."""

_LABEL: Final = "FILE"
_ENCODING: Final = "der.encoding"
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


def _holds_nothing(what: str, title: str | None = None) -> DecodeError:
    msg = f"{what} holds no certificate, no CRL and no certification request"
    msg += "" if title is None else f"; it is: {title}"
    return DecodeError(msg, code="input.kind")


def _unreadable(file: str, exc: MdlError, line: int | None = None) -> Unreadable:
    path = exc.path if isinstance(exc, DecodeError) else ""
    # The file is named beside it; what inside it is at fault, an extension for example, is not.
    message = f"{exc.message} at {path}" if path not in ("", _LABEL) else exc.message
    # Nobody can hold against a profile what cannot be read; but what is only BER has its place, and a rule.
    code = _ENCODING if exc.message.startswith(NOT_DER) else exc.code
    return Unreadable(file=file, line=line, code=code, message=message)


def _read(file: str, unreadable: list[Unreadable]) -> list[_Found]:
    """What a file holds; blocks of other kinds, keys for example, are not looked at."""
    try:
        data = terminal.read_input(file, label=_LABEL)
        if not is_pem(data):
            try:
                return [_Found(file, 1, None, _decode(terminal.open_armour(data).data))]
            except DecodeError:
                title = title_of(data)
                if title is None:
                    raise
                unreadable.append(_unreadable(file, _holds_nothing("the file", title)))
                return []
        blocks = [block for block in pem_blocks(data) if block.label in {_CERTIFICATE, _CRL} | _REQUESTS]
    except MdlError as exc:
        unreadable.append(_unreadable(file, exc))
        return []
    except Exception as exc:  # noqa: BLE001 - as in `run_lint`
        unreadable.append(_unreadable(file, terminal.internal_error(exc)))
        return []
    found = []
    line, counted = 1, 0
    for index, block in enumerate(blocks, start=1):
        line += data.count(b"\n", counted, block.offset)
        counted = block.offset
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
    except DecodeError as exc:
        if refusal.code == "certificate.size":
            refusal = exc  # nothing else is that large
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
MOST_ISSUERS: Final = 32
"""How many keys are tried for one document where many certificates could be its issuer's, inclusive."""


class _Place(NamedTuple):
    """A certificate that may have issued others, and its file."""

    file: str
    certificate: Certificate


class _ByKey:
    """Certificates by name and key identifier: of those with one key the first, so that no key is tried twice."""

    def __init__(self, places: Iterable[_Place]) -> None:
        self.all: dict[bytes, _Place] = {}
        self._named: dict[tuple[Name | None, bytes | None], dict[bytes, _Place]] = {}
        for place in places:
            name, identifier = place.certificate.subject, place.certificate.subject_key_identifier
            self.all.setdefault(place.certificate.spki, place)
            for key in ((name, identifier), (name, None), (None, identifier)):
                self._named.setdefault(key, {}).setdefault(place.certificate.spki, place)

    def with_(self, name: Name | None, identifier: bytes | None) -> Mapping[bytes, _Place]:
        """Those with the name and the key identifier; None stands for any."""
        return self._named.get((name, identifier), {})


class _Issuing:
    """Who issued what, as far as it is at hand."""

    def __init__(self, given: tuple[Certificate, ...], found: Iterable[_Found]) -> None:
        places = [_Place(one.file, one.document) for one in found if isinstance(one.document, Certificate)]
        self._given = _ByKey(_Place(_GIVEN, certificate) for certificate in given)
        self._found = _ByKey(places)
        self._own: dict[bytes, _Place] = {}
        self._issued: dict[Name, Counter[Profile | None]] = {}
        for place in places:
            certificate = place.certificate
            if certificate.der not in self._own:
                self._own[certificate.der] = place
                self._issued.setdefault(certificate.issuer, Counter())[likely_profile(certificate)] += 1

    def of(self, document: Certificate | Crl) -> tuple[_Place | None, bool]:
        """The certificate of whoever issued `document`, and whether there were more candidates than are tried.

        By name and key identifier, else by one of them: a name that was encoded again is a finding, not a stranger's.
        """
        own = None
        if isinstance(document, Certificate) and document.issuer == document.subject:
            own = self._own[document.der]
        if own is not None and _signed(document, own.certificate):
            return own, False
        others = self._others(document, own)
        tried = list(itertools.islice(others, MOST_ISSUERS))
        for place in tried:
            if _signed(document, place.certificate):
                return place, False
        if next(others, None) is not None:
            return None, True
        return (tried[0] if tried else own), False

    def _others(self, document: Certificate | Crl, own: _Place | None) -> Iterator[_Place]:
        """The certificates that may be the issuer's, one for each key, the likeliest first."""
        identifier = document.authority_key_identifier
        given = self._given
        index = given if given.all else self._found
        named = index.with_(document.issuer, None)
        groups = [index.with_(document.issuer, identifier), named]
        if given.all and not named and own is None:
            groups.append(given.all)  # what was given as the issuer is held to be it, whatever the names say
        elif not given.all and not named and identifier is not None:
            groups.append(index.with_(None, identifier))
        seen = set() if own is None else {own.certificate.spki}
        for key, place in itertools.chain.from_iterable(group.items() for group in groups):
            if key not in seen:
                seen.add(key)
                yield place

    def other_authority(self, authority: Certificate) -> Profile | None:
        """What a CA is that issued nothing, as far as it is at hand, but what no IACA issues; None where it may be one.

        A CA of readers, or of a VICAL provider.
        """
        issued = Counter(self._issued.get(authority.subject, Counter()))
        if authority.issuer == authority.subject:
            issued[likely_profile(authority)] -= 1
        profiles = {profile for profile, count in issued.items() if count > 0}
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


MANY_ISSUERS: Final[AnyRule] = Rule(
    id="lint.issuer",
    clause="18013-5 Annex B",
    severity=Severity.WARNING,
    security=False,
    requirement="Few certificates at hand have the name and the key identifier of the issuer.",
    remedy="Give the issuing certificate with --issuer.",
    needs=None,
    check=lambda too_many: (
        f"more than {MOST_ISSUERS} keys may be the issuer's, and none of the first {MOST_ISSUERS} signed it; no other "
        "was tried"
        if too_many
        else None
    ),
)


def _examine(one: _Found, asked: str, issuing: _Issuing, at: datetime | None) -> Examined:
    document = one.document
    profile = _profile(document, asked, issuing)
    rules: tuple[AnyRule, ...] = DER_RULES
    findings = examine(read_again(document), DER_RULES)
    issuer: _Place | None = None
    too_many = False
    if isinstance(document, Certificate):
        rules = (NO_PROFILE, *rules)
        findings = examine(profile, (NO_PROFILE,)) + findings
        if isinstance(profile, Profile):
            if not profile.self_issued:
                issuer, too_many = issuing.of(document)
            elif document.issuer == document.subject:
                issuer = _Place(one.file, document)
            findings += lint_certificate(document, profile, issuer=issuer and issuer.certificate, at=at)
    elif isinstance(document, Crl):
        issuer, too_many = issuing.of(document)
        findings += lint_crl(document, issuer=issuer and issuer.certificate, at=at)
    if too_many:
        rules = (MANY_ISSUERS, *rules)
        findings = examine(too_many, (MANY_ISSUERS,)) + findings
    if profile is not None:
        rules += profile.rules
    lacking = {RuleInput.ISSUER: issuer is None, RuleInput.TIME: at is None}
    return Examined(
        file=one.file,
        index=one.place,
        line=one.line,
        document=document,
        profile=profile,
        issuer=issuer and issuer.file,
        rules=rules,
        findings=findings,
        unjudged=tuple(rule for rule in rules if rule.needs is not None and lacking[rule.needs]),
    )

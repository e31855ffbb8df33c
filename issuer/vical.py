"""A VICAL provider's desk: roots in, a signed list out, which is read back before it leaves.

The entries come from certificates, and all that an entry says is taken from its certificate; what only the provider
knows, document types and the authority's name, comes from a file:

    [[entry]]
    certificate = "ut.pem"                          # PEM or DER, beside this file
    doctypes = ["org.iso.18013.5.1.mDL"]
    issuing_authority = "Utah Driver License Division"   # if wanted

The number of a list grows with each: it is one more than that of the list before, which is given, so that the
provider's memory is what it has published itself.

A list that is to be published, whoever made it, is held against what a reader will ask of it, and more strictly: what
readers tolerate in the lists of others is not sent out from here.

Spec:
    18013-5 first edition C.1.7. pki.md §2.7 (signer), §5.1 (structure), §5.4 (at least every 90 days).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from issuer.toml import load_toml
from mdl.errors import DecodeError, LocalProtocolError, MdlError, ProfileError, SigningError, VerificationError
from mdl.keys import Signer, signature_of
from mdl.pki import IACA, VICAL_PROVIDER_CA, VICAL_SIGNER, Certificate, Severity, lint_certificate
from mdl.vical import VICAL_ALGORITHMS, VICAL_VERSION, CertificateInfo, Vical, prepare_vical

__all__ = ["MAX_ENTRIES", "MAX_INTERVAL", "SignedVical", "VicalEntry", "parse_entries", "sign_vical", "verify_vical"]

MAX_ENTRIES: Final = 1000
"""Most roots in a list that is made here, inclusive."""

MAX_INTERVAL: Final = timedelta(days=90)
"""Longest time until the next list, inclusive."""

_CLAUSE: Final = "18013-5 C.1.7.1"
_SIGNER_CLAUSE: Final = "18013-5 C.1.7.2"
_CLOCK_TOLERANCE: Final = timedelta(minutes=3)
# No matter of security where somebody has chosen the root, but what is not self-signed is not a root.
_NO_ROOT: Final = "iaca.issuer.self"
_MEMBERS: Final = frozenset(("certificate", "doctypes", "issuing_authority", "profiles"))
_TEXTS: Final = frozenset(("doctypes", "profiles"))
_LONGEST: Final = 256
_MAX_TOML: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VicalEntry:
    """A root that is to be listed, and what only the provider knows of it.

    Attributes:
        certificate: The root.
        doctypes: The document types whose signers it may issue.
        issuing_authority: The authority's name, or None.
        profiles: URNs or object identifiers of certificate profiles.
    """

    certificate: Certificate
    doctypes: tuple[str, ...]
    issuing_authority: str | None = None
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedVical:
    """A list that was signed and read back.

    Attributes:
        encoded: The list's bytes.
        vical: The same as a reader decodes it.
    """

    encoded: bytes
    vical: Vical


def parse_entries(text: str, *, read_file: Callable[[str], bytes]) -> tuple[VicalEntry, ...]:
    """Read the file with the entries, TOML or JSON (``{"entry": […]}``); strictly, nothing unknown.

    Args:
        text: Its content.
        read_file: Reads a certificate's file by the name that stands there.

    Raises:
        DecodeError: It is not such a file (code ``vical.entries``), or a certificate is none.
    """
    document: Any = None
    try:
        is_json = text.removeprefix("\ufeff").lstrip().startswith("{")
        document = (
            json.loads(text.removeprefix("\ufeff"))
            if is_json
            else load_toml(text, source="the file", code="vical.entries", most=_MAX_TOML)
        )
    except (ValueError, RecursionError, DecodeError) as exc:
        raise _malformed("", "neither TOML nor JSON") from exc
    if type(document) is not dict or document.keys() != {"entry"} or type(document["entry"]) is not list:
        raise _malformed("", "it has entries under 'entry', and nothing else")
    entries = document["entry"]
    if not 1 <= len(entries) <= MAX_ENTRIES:
        raise _malformed("entry", f"1 to {MAX_ENTRIES} of them")
    return tuple(_entry(value, f"entry[{index}]", read_file) for index, value in enumerate(entries))


def _entry(value: Any, path: str, read_file: Callable[[str], bytes]) -> VicalEntry:
    if type(value) is not dict or not {"certificate", "doctypes"} <= value.keys() <= _MEMBERS:
        raise _malformed(path, "a certificate and document types, and nothing unknown")
    for name, member in value.items():
        texts = member if name in _TEXTS else [member]
        if type(texts) is not list or not texts or not all(type(one) is str and _is_text(one) for one in texts):
            raise _malformed(f"{path}.{name}", "missing, empty or of a wrong type")
    data = read_file(value["certificate"])
    try:
        certificate = Certificate.decode_any(data)
    except DecodeError as exc:
        exc.path = f"{path}.certificate" + (f".{exc.path}" if exc.path else "")
        raise
    return VicalEntry(
        certificate=certificate,
        doctypes=tuple(value["doctypes"]),
        issuing_authority=value.get("issuing_authority"),
        profiles=tuple(value.get("profiles", ())),
    )


def _is_text(text: str) -> bool:
    return 0 < len(text) <= _LONGEST and text.isprintable()


def _malformed(path: str, what: str) -> DecodeError:
    return DecodeError(f"the entries are not as they must be: {what}", code="vical.entries", path=path)


def sign_vical(
    entries: Iterable[VicalEntry],
    signer: Signer,
    *,
    chain: Sequence[Certificate],
    provider: str,
    at: datetime,
    next_update: datetime,
    issue_id: int | None = None,
    previous: bytes | None = None,
    url: str | None = None,
) -> SignedVical:
    """Make a list of roots, sign it, and read it back.

    Args:
        entries: The roots.
        signer: Holds the key of the VICAL signer.
        chain: The signer's certificate, then those between it and the provider's root; not the root.
        provider: The provider's name.
        at: When it is issued, aware UTC.
        next_update: When the next one comes at the latest.
        issue_id: Its number; None for one more than that of the list before, or 1.
        previous: The list before, or None if there was none.
        url: Where the newest list is found, or None.

    Raises:
        ProfileError: A root, or the signer's certificate, breaks its profile or is not valid then (codes
            ``vical.root``, ``vical.signer``).
        LocalProtocolError: The list is not newer than the one before, or that is another provider's (code
            ``vical.order``); a root is there twice (``vical.twice``); the next list comes too late
            (``vical.next_update``); or the chain is not one (``vical.chain``).
        DecodeError: The list before is none.
        SigningError: The custodian failed, or what was signed is not what was meant (code ``vical.unusable``).
    """
    at, next_update = at.replace(microsecond=0), next_update.replace(microsecond=0)
    if signer.public_key != chain[0].public_key:
        raise SigningError("the signer does not hold the key of the VICAL signer's certificate", code="vical.key")
    if not at < next_update <= at + MAX_INTERVAL:
        message = f"the next list comes after this one, and {MAX_INTERVAL.days} days later at the latest"
        raise LocalProtocolError(message, code="vical.next_update", clause=_CLAUSE)
    number = _number(issue_id, previous, provider=provider, at=at)
    infos = []
    seen: set[bytes] = set()
    for index, one in enumerate(entries):
        where = f"entry {index}"
        if one.certificate.der in seen:
            message = f"{where}: this root is there twice: give it one entry with all its document types"
            raise LocalProtocolError(message, code="vical.twice", clause=_CLAUSE)
        seen.add(one.certificate.der)
        if not one.certificate.not_before <= at <= one.certificate.not_after:
            raise ProfileError(f"{where}: the root is not valid when the list is issued", code="vical.root")
        infos.append(_info(one, where))
    try:
        prepared = prepare_vical(
            infos, provider=provider, date=at, issue_id=number, next_update=next_update, url=url, x5chain=chain
        )
    except ValueError as exc:
        raise LocalProtocolError(f"no list: {exc}", code="vical.chain", clause=_CLAUSE) from exc
    encoded = prepared.complete(signature_of(signer, prepared.to_be_signed))
    return SignedVical(encoded=encoded, vical=_read_back(encoded, infos, chain, number))


def _info(one: VicalEntry, where: str) -> CertificateInfo:
    try:
        return CertificateInfo.of(
            one.certificate,
            doctypes=one.doctypes,
            issuing_authority=one.issuing_authority,
            profiles=one.profiles,
        )
    except ProfileError as exc:
        message = f"{where}: {exc.message}"
        raise ProfileError(message, code=exc.code, clause=exc.clause, findings=exc.findings) from exc


def _number(issue_id: int | None, previous: bytes | None, *, provider: str, at: datetime) -> int:
    before = None if previous is None else Vical.decode(previous)
    if before is None:
        return 1 if issue_id is None else issue_id
    last = before.issue_id or 0
    number = last + 1 if issue_id is None else issue_id
    if before.provider != provider or number <= last or at <= before.date:
        message = f"the list before is another provider's, or not older: its number is {last}"
        raise LocalProtocolError(message, code="vical.order", clause=_CLAUSE)
    return number


def _read_back(encoded: bytes, infos: Sequence[CertificateInfo], chain: Sequence[Certificate], number: int) -> Vical:
    """Hold a list against what was meant, as a reader of it would."""
    try:
        vical = Vical.decode(encoded)
        vical.message.verify(chain[0].public_key)
    except MdlError as exc:
        raise SigningError("the list that was signed does not verify", code="vical.unusable") from exc
    listed = [one for one in vical.entries if isinstance(one, CertificateInfo)]
    if (
        vical.deviations
        or vical.issue_id != number
        or vical.x5chain != tuple(one.der for one in chain)
        or [(one.certificate, one.doctypes) for one in listed] != [(one.certificate, one.doctypes) for one in infos]
        or any(one.contradictions for one in listed)
    ):
        raise SigningError("the list that was signed does not read as it was meant", code="vical.unusable")
    return vical


# --- before a list is published ---------------------------------------------------------------------------------------


def verify_vical(
    data: bytes, *, roots: Iterable[Certificate], at: datetime, revoked: Collection[bytes] = frozenset()
) -> Vical:
    """Verify a list that is to be published.

    Args:
        data: The list.
        roots: The roots of providers whose lists may be published here: the authority's own, and what somebody pinned.
            None is taken from the list itself, and none that is revoked counts.
        at: The time, aware UTC.
        revoked: SHA-256 of certificates that are known to be revoked, the provider's and listed ones.

    Raises:
        DecodeError: It is no VICAL.
        VerificationError: It is not as the standard has it, or as the certificates in it, or names what is no root of
            an issuing authority, one that is revoked, or one twice, or its successor comes more than `MAX_INTERVAL`
            after it (code ``publish.vical_form``); its signature is not its signer's (``publish.vical_signature``);
            the signer leads to none of the roots (``publish.vical_path``), breaks its profile, or is revoked or not
            valid, now or when the list was issued (``publish.vical_signer``); the list is from the future
            (``publish.vical_date``), or its successor is due (``publish.vical_stale``).

    Spec:
        18013-5 first edition C.1.7; pki.md §5.3.
    """
    vical = Vical.decode(data)
    chain = _certificates(vical)
    signer = chain[0]
    _verify_signature(vical, signer)
    path = _path(chain, [one for one in roots if one.fingerprint not in revoked], at)
    findings = lint_certificate(signer, VICAL_SIGNER, issuer=path[1])
    grave = [one for one in findings if one.security or one.severity is Severity.ERROR]
    if grave:
        _refuse("vical_signer", f"its signer's certificate breaks its profile: {grave[0]}", _SIGNER_CLAUSE)
    if any(one.fingerprint in revoked for one in path):
        _refuse("vical_signer", "its signer is revoked", _SIGNER_CLAUSE)
    if not all(signer.not_before <= time <= signer.not_after for time in (at, vical.date)):
        message = "its signer's certificate is not valid, or was not when the list was issued"
        _refuse("vical_signer", message, _SIGNER_CLAUSE)
    _require_form(vical, revoked)
    if vical.date - at > _CLOCK_TOLERANCE:
        _refuse("vical_date", "it is from the future")
    if any(end is not None and end <= at for end in (vical.next_update, vical.not_after)):
        _refuse("vical_stale", "its successor is due, or its time is over: publish that")
    return vical


def _refuse(code: str, why: str, clause: str = _CLAUSE) -> NoReturn:
    raise VerificationError(f"the VICAL is not published: {why}", code=f"publish.{code}", clause=clause)


def _certificates(vical: Vical) -> list[Certificate]:
    try:
        chain = [Certificate.decode(der) for der in vical.x5chain]
    except DecodeError as exc:
        message = "the VICAL is not published: what it carries as its signer's certificates is none"
        raise VerificationError(message, code="publish.vical_form", clause=_CLAUSE) from exc
    if not chain:
        _refuse("vical_form", "it does not carry its signer's certificate")
    return chain


def _verify_signature(vical: Vical, signer: Certificate) -> None:
    try:
        fits = vical.message.algorithm.name in VICAL_ALGORITHMS
        vical.message.verify(signer.public_key)
    except MdlError as exc:
        message = "the VICAL is not published: its signature is not its signer's"
        raise VerificationError(message, code="publish.vical_signature", clause=_CLAUSE) from exc
    if not fits:
        _refuse("vical_signature", "the algorithm of its signature is none for lists")


def _path(chain: Sequence[Certificate], roots: Sequence[Certificate], at: datetime) -> list[Certificate]:
    """From the signer to a root that somebody chose, over what travels with the list."""
    path, others = [chain[0]], list(chain[1:])
    while True:
        for root in roots:
            if _has_issued(root, path, at):
                return [*path, root]
        upper = next((one for one in others if _has_issued(one, path, at)), None)
        if upper is None:
            message = (
                "its signer leads to no root that is valid now and not revoked: to no VICAL CA of this authority, and "
                "to none that was named with --provider-root"
            )
            _refuse("vical_path", message, _SIGNER_CLAUSE)
        others.remove(upper)
        path.append(upper)


def _has_issued(upper: Certificate, path: Sequence[Certificate], at: datetime) -> bool:
    """Whether a CA has issued the last certificate of a path that begins with the signer, and was allowed to."""
    lower, below = path[-1], len(path) - 1
    constraints = upper.basic_constraints
    named, own = lower.authority_key_identifier, upper.subject_key_identifier
    if (
        upper.subject != lower.issuer
        or (named is not None and own is not None and named != own)
        or constraints is None
        or (constraints.path_length is not None and constraints.path_length < below)
    ):
        return False
    if any(one.security for one in lint_certificate(upper, VICAL_PROVIDER_CA, at=at, with_signature=False)):
        return False
    try:
        lower.verify_signature(upper.public_key)
    except MdlError:
        return False
    return True


def _require_form(vical: Vical, revoked: Collection[bytes]) -> None:
    if vical.version != VICAL_VERSION:
        _refuse("vical_form", "its version is not known")
    if vical.next_update is not None and vical.next_update - vical.date > MAX_INTERVAL:
        _refuse("vical_form", f"its successor comes more than {MAX_INTERVAL.days} days after it")
    seen: set[bytes] = set()
    for index, one in enumerate(vical.entries):
        if not isinstance(one, CertificateInfo):
            _refuse("vical_form", f"entry {index} is none ({one.code})")
        if one.certificate.der in seen:
            _refuse("vical_form", f"entry {index} is a root that is there already")
        seen.add(one.certificate.der)
        if one.certificate.fingerprint in revoked:
            _refuse("vical_form", f"entry {index} is a root that is revoked")
        for wrong in one.contradictions:
            _refuse("vical_form", f"entry {index} is not as its certificate: {wrong.meaning} ({wrong.code})")
        for finding in lint_certificate(one.certificate, IACA):
            if finding.security or finding.rule == _NO_ROOT:
                _refuse("vical_form", f"entry {index} is no root of an issuing authority: {finding}")
    for deviation in vical.deviations:
        _refuse("vical_form", f"{deviation.path}: {deviation.meaning} ({deviation.code})")

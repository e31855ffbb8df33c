"""What the rules on certificates and on CRLs share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from mdl.errors import DecodeError, UnsupportedError, VerificationError
from mdl.keys import PublicKey, UnsafePostQuantum
from mdl.pki.certificate import ECDSA_SIGNATURES, AuthorityCertificate, Certificate, Name
from mdl.pki.crl import Crl
from mdl.pki.model import CertificateContext, CrlContext

COMMON: Final = "18013-5 Annex B"
"""The clause of a rule that every profile of the annex has."""

_LIST_LIMIT: Final = 5


def listed(values: Iterable[str]) -> str:
    """A short list for a message: sorted, and cut, since it may be a stranger's."""
    ordered = sorted(values)
    shown = ", ".join(value if len(value) <= 64 else value[:64] + "…" for value in ordered[:_LIST_LIMIT])
    return shown if len(ordered) <= _LIST_LIMIT else f"{shown} and {len(ordered) - _LIST_LIMIT} more"


def days(period: timedelta) -> str:
    """A period for a message, in days and seconds."""
    whole, rest = divmod(period, timedelta(days=1))
    return f"{whole} days" + (f" and {rest // timedelta(seconds=1)} s" if rest else "")


def hash_problem(signed: Certificate | Crl, issuer: PublicKey | None) -> str | None:
    """Say which digest was used where the curve of the issuer's key goes with another one."""
    digest = ECDSA_SIGNATURES.get(signed.algorithm.oid)
    if issuer is None or digest is None or issuer.curve.algorithm is None:
        return None
    expected = issuer.curve.algorithm.hash_name
    if expected is None or digest.name == expected:
        return None
    return f"{digest.name} under a key on {issuer.curve.name}, with which goes {expected}"


def signature_problem(
    signed: Certificate | Crl, issuer: Certificate, post_quantum: UnsafePostQuantum | None
) -> str | None:
    """Say why the signature does not verify with the issuer's key; None where it does."""
    try:
        key = issuer.key_for(post_quantum)
    except (DecodeError, UnsupportedError) as exc:
        return f"the signature cannot be verified with the issuer's key: {exc.message}"
    try:
        signed.verify_signature(key)
    except VerificationError as exc:
        return exc.message
    return None


def issuer_key(context: CertificateContext | CrlContext) -> PublicKey | None:
    """The issuer's key, or None where there is no issuer to ask or its key is not usable."""
    return None if context.issuer is None else usable_key(context.issuer, context.post_quantum)


def usable_key(certificate: Certificate, post_quantum: UnsafePostQuantum | None = None) -> PublicKey | None:
    """The subject's key, or None where it is malformed or of a kind that is not implemented."""
    try:
        return certificate.key_for(post_quantum)
    except (DecodeError, UnsupportedError):
        return None


def why_unusable(certificate: Certificate, post_quantum: UnsafePostQuantum | None) -> str | None:
    """Why there is no key; None where there is one."""
    try:
        certificate.key_for(post_quantum)
    except (DecodeError, UnsupportedError) as exc:
        return exc.message
    return None


def time_problem(names: tuple[str, ...]) -> str | None:
    """Say which times are a GeneralizedTime where UTCTime is asked for."""
    return f"a GeneralizedTime before 2050: {', '.join(names)}" if names else None


def authority_problem(named: AuthorityCertificate | None, issuer: Certificate | None) -> str | None:
    """What authorityCertIssuer and authorityCertSerialNumber say otherwise than the issuer's certificate."""
    if named is None or issuer is None:
        return None
    if named.serial is not None and named.serial != issuer.serial:
        return "authorityCertSerialNumber is not the serial number of the issuer's certificate"
    if named.issuers and not any(_is_name(der, issuer.issuer) for der in named.issuers):
        return "authorityCertIssuer is not the issuer field of the issuer's certificate"
    if named.serial is None or not named.issuers:
        return "authorityCertIssuer and authorityCertSerialNumber: one without the other"
    return None


def _is_name(der: bytes, expected: Name) -> bool:
    """Whether a name says what another one says, in whatever string types."""
    if der == expected.der:
        return True
    try:
        found = Name(der)
    except DecodeError:
        return False
    return [(one.oid, one.value) for one in found.attributes] == [(one.oid, one.value) for one in expected.attributes]

"""What a status list or identifier list says about a security object, and whether that list is to be believed.

Nothing is fetched here. A list is believed when its signer chains to the root that issued the document signer, or to
the certificate which the security object itself names. Believing costs some signatures and is remembered by the bytes
of the token; looking up one security object afterwards costs next to nothing.

     (1) decode the token; its ``sub`` is the address in the security object, its kind the kind asked for
     (2) the signature, by the first certificate of the protected x5chain; the algorithm goes with the key's curve
     (3) each certificate is issued by the next: signature, name, key identifier, and the next one is a CA
     (4) the top one is issued by the trust point: the pinned certificate, else the root that issued the signer
     (5) the first one is a revocation-list signer by its profile, of the root's country
     (6) exp is there; the list decodes
     (7) at the time of verification: certificates valid, iat not later, exp not reached, signer not revoked
     (8) the status at the index, or the identifier

Steps (1) to (6) do not depend on the time. A list that passes them and says "revoked" refuses whatever (7) finds:
revocation is final, so an old list is as good for that as a new one.

Spec:
    18013-5 second edition (draft) 12.3.6; facts sheet pki §2.8 and §7.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from mdl.errors import DecodeError, MdlError, UnsupportedError, VerificationError
from mdl.pki import REVOCATION_LIST_SIGNER, Certificate, KeyUsage, Profile, lint_certificate
from mdl.status import (
    IdentifierList,
    IdentifierListInfo,
    ListKind,
    StatusInfo,
    StatusList,
    StatusReference,
    StatusToken,
)
from reader.report import Outcome
from reader.revocation import CrlJudge, Judgement

__all__ = ["StatusJudge", "VerifiedList", "verify_status_token"]

_CLAUSE: Final = "18013-5 second edition (draft) 12.3.6"

# What is remembered: tokens with the lists inside, by the bytes that they take.
_MAX_REMEMBERED_BYTES: Final = 128 * 1024 * 1024
_MAX_REMEMBERED: Final = 4096
# A token is for one root or a few pinned certificates; strangers can make up certificates without end.
_MAX_VERDICTS: Final = 8
_IDENTIFIER_COST: Final = 128
_TOKEN_COST: Final = 2048

_INTERMEDIATE: Final = Profile(
    id="revocation-list-ca",
    title="CA between the trust point and a revocation-list signer",
    clause="RFC 5280 6.1.4",
    edition="no profile in 18013-5; RFC 5280",
    ca=True,
    subject=(),
    key_kinds=frozenset({"EC"}),
    key_usage=frozenset({KeyUsage.KEY_CERT_SIGN}),
    longest_validity=None,
    extensions={},
)
# The table of the signer's profile wants an EC key (one source), the rules for the list allow EdDSA (several).
_KEY_TYPE_RULE: Final = "revocation-list.key.type"
_PLACE_RULES: Final = frozenset(("revocation-list.issuer.country", "revocation-list.issuer.state"))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedList:
    """A list whose signer is authorised; what depends on the time is for the caller to compare.

    Attributes:
        token: The token.
        content: The list.
        expires: ``exp``: not to be used from then on.
        not_before: From when certificates and token are valid, inclusive.
        not_after: Until when the certificates are, inclusive.
        chain: Certificate and issuer, from the list signer to the trust point.
        deviations: Harmless deviations, codes ``status.…`` with their details.
    """

    token: StatusToken
    content: StatusList | IdentifierList
    expires: datetime
    not_before: datetime
    not_after: datetime
    chain: tuple[tuple[Certificate, Certificate], ...]
    deviations: tuple[tuple[str, str], ...]

    def refusal(self, at: datetime) -> str | None:
        """Why the list must not be used at that time, or None."""
        if at >= self.expires:
            return "the status list has expired"
        if at < self.token.issued_at or (self.token.not_before is not None and at < self.token.not_before):
            return "the status list is from the future"
        if not self.not_before <= at <= self.not_after:
            return "a certificate of the status list is not valid"
        return None


def verify_status_token(token: StatusToken, *, issuer: Certificate, certificate: bytes | None = None) -> VerifiedList:
    """Verify who signed a list, and decode it: steps (2) to (6).

    Args:
        token: The token.
        issuer: The root that issued the document signer.
        certificate: The certificate that the security object names (DER), or None where it names none.

    Raises:
        VerificationError: Its signer is not authorised, or it has no ``exp`` (codes ``status.…``, ``signature.…``).
        UnsupportedError: An algorithm or key that is not of the standard.
        DecodeError: A certificate or the list is malformed.
    """
    if not token.x5chain:
        raise _refused("the status list's protected header has no certificate", "status.x5chain")
    chain = [Certificate.decode(der) for der in token.x5chain]
    leaf = chain[0]
    token.message.verify(leaf.public_key)
    trust_point = issuer if certificate is None else Certificate.decode(certificate)
    issuers = [*chain[1:], trust_point]
    deviations = {f"status.{name}": "typ is not in its regular form or place" for name in token.deviations}
    for index, (subject, above) in enumerate(zip(chain, issuers, strict=True)):
        try:
            subject.verify_signature(above.public_key)
        except MdlError as exc:
            raise _refused("the status list's chain does not lead to its trust point", "status.chain") from exc
        _check_profile(subject, above, is_leaf=index == 0, deviations=deviations)
        if index and not _permits(subject, index - 1):
            raise _refused("the status list's chain is longer than one of its CAs permits", "status.chain")
    between = sum(1 for one in chain[1:] if one.der != trust_point.der)
    if not _permits(trust_point, between):
        # A trust point is a name and a key (RFC 5280 6.1.1): what it has signed is its own word.
        deviations["status.path_length"] = "the trust point permits no CA below it, and there is one"
    if certificate is None and len(chain) > 1:
        for finding in lint_certificate(leaf, REVOCATION_LIST_SIGNER, issuer=issuer, with_signature=False):
            if finding.rule in _PLACE_RULES:
                raise _refused(f"the status list's signer: {finding.rule}", "status.profile")
    if token.expires is None:
        raise _refused("the status list does not say when it expires", "status.exp")
    everyone = [*chain, trust_point]
    return VerifiedList(
        token=token,
        content=token.decode_list(),
        expires=token.expires,
        not_before=max(one.not_before for one in everyone),
        not_after=min(one.not_after for one in everyone),
        chain=tuple(zip(chain, issuers, strict=True)),
        deviations=tuple(deviations.items()),
    )


def _refused(message: str, code: str) -> VerificationError:
    return VerificationError(message, code=code, clause=_CLAUSE)


def _check_profile(subject: Certificate, above: Certificate, *, is_leaf: bool, deviations: dict[str, str]) -> None:
    profile = REVOCATION_LIST_SIGNER if is_leaf else _INTERMEDIATE
    for finding in lint_certificate(subject, profile, issuer=above, with_signature=False):
        tolerated = finding.rule == _KEY_TYPE_RULE and subject.public_key.curve.kind == "OKP"
        if finding.security and not tolerated:
            raise _refused(f"the status list's signer or its CA breaks its profile: {finding.rule}", "status.profile")
        if is_leaf:
            deviations.setdefault("status.profile", f"the status list's signer deviates: {finding.rule}")


def _permits(certificate: Certificate, below: int) -> bool:
    constraints = certificate.basic_constraints
    return constraints is None or constraints.path_length is None or below <= constraints.path_length


# --- the judge --------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Known:
    """A token that has been seen: what it is for, or that it is none, and what verifying it came to.

    Attributes:
        place: Kind and address, or None where the bytes are no token.
        size: The bytes that remembering it takes.
        verified: The verified list by trust point: root and pinned certificate.
    """

    place: tuple[ListKind, str] | None
    size: int
    verified: OrderedDict[tuple[bytes, bytes | None], VerifiedList] = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True)
class _AtHand:
    """The tokens of one call, by what they are for; a reader that works offline passes the same tuple every time.

    Attributes:
        tokens: The tuple itself, so that it can be told by identity.
        places: The tokens for each kind and address.
        addresses: The addresses of all of them.
        has_garbage: Whether one does not decode; whom it concerns cannot be told.
    """

    tokens: tuple[bytes, ...]
    places: dict[tuple[ListKind, str], tuple[bytes, ...]]
    addresses: frozenset[str]
    has_garbage: bool


class StatusJudge:
    """Says whether a security object is revoked; remembers which tokens it has verified. Threads may share one."""

    def __init__(self, *, max_bytes: int = _MAX_REMEMBERED_BYTES) -> None:
        """Start with nothing remembered.

        Args:
            max_bytes: About how many bytes of tokens and lists to remember.
        """
        self._max_bytes = max_bytes
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        self._at_hand = _AtHand((), {}, frozenset(), has_garbage=False)
        self._crls = CrlJudge()

    def judge(
        self, status: Any, issuer: Certificate, tokens: tuple[bytes, ...], at: datetime, crls: tuple[bytes, ...] = ()
    ) -> Judgement:
        """Judge a security object by the tokens at hand.

        Args:
            status: Its ``status`` member as decoded; not None.
            issuer: The root that issued the document signer.
            tokens: The tokens at hand; those for other addresses are ignored.
            at: The time of verification.
            crls: The CRLs at hand: a list signer that one of them revokes is not believed.

        Returns:
            FAILED if an authentic list says anything but valid (an expired one too: revocation is final), if the
            status member is malformed, or if there is a token and none can be used. INDETERMINATE if there is none, or
            the status member names no list that is known. PASSED if every list that it names has a usable token, and
            none says otherwise.
        """
        try:
            reference = StatusReference.decode(status)
        except DecodeError:
            return Judgement(Outcome.FAILED, "the status member is malformed")
        at_hand = self._at_hand
        if at_hand.tokens is not tokens:
            at_hand = self._at_hand = self._sort(tokens)
        results = [self._look_up(info, issuer, at_hand, at, crls) for info in reference.lists]
        if len(results) == 1:
            result = results[0]
        else:
            for outcome in (Outcome.FAILED, Outcome.INDETERMINATE):
                for one in results:
                    if one.outcome is outcome:
                        return one
            if not results:
                return Judgement(Outcome.INDETERMINATE, "the status member names no kind of list that is known here")
            details = "; ".join(dict.fromkeys(one.detail for one in results if one.detail))
            warnings = dict.fromkeys(code for one in results for code in one.warnings)
            result = Judgement(Outcome.PASSED, details, tuple(warnings))
        if reference.unknown and result.outcome is Outcome.PASSED:
            detail = "the status member also names a kind of list that is not known here"
            return Judgement(Outcome.PASSED, detail, (*result.warnings, "status.unknown"))
        return result

    def _look_up(
        self, info: StatusInfo, issuer: Certificate, at_hand: _AtHand, at: datetime, crls: tuple[bytes, ...]
    ) -> Judgement:
        """Steps (7) and (8) over every token for that address."""
        usable: VerifiedList | None = None
        refusal: str | None = None
        for data in at_hand.places.get((info.kind, info.uri), ()):
            try:
                found = self._verified(data, issuer, info.certificate)
                status = _status(info, found.content)
            except MdlError as exc:
                refusal = refusal or exc.message
                continue
            if status is not None:
                if self._is_revoked(found, crls, at):
                    # Then its word counts for nothing, and the security object is refused all the same.
                    status = "the status list's signer is revoked"
                return Judgement(Outcome.FAILED, status)
            problem = found.refusal(at)
            if problem is None and self._is_revoked(found, crls, at):
                problem = "the status list's signer is revoked"
            if problem is None:
                usable = found
            else:
                refusal = refusal or problem
        if usable is not None:
            if not usable.deviations:
                return _VALID
            codes, details = zip(*usable.deviations, strict=True)
            return Judgement(Outcome.PASSED, "; ".join(dict.fromkeys(details)), codes)
        if refusal is not None:
            return Judgement(Outcome.FAILED, refusal)
        if info.uri in at_hand.addresses:
            return Judgement(Outcome.FAILED, "the token for that address holds another kind of list")
        if at_hand.has_garbage:
            return Judgement(Outcome.FAILED, "a status token does not decode")
        return _NO_TOKEN

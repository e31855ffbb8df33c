"""The roots that a reader trusts, and the scope of that trust.

An anchor counts only for its purpose, for the document types it is given for, and for its own country and state. There
is no default document type and no empty store: the caller names both. `TrustAnchor.admit` holds a root against
its profile before the root is trusted; `reader.vical` does so with the roots of a VICAL.

An issuing authority that takes a new key may sign it with the old one, in a link certificate. A store follows links
only where `FollowLinks` says so, and then the new root becomes an anchor beside the old one: the path of a document
signer never gets longer.

An anchor that is derived, from a link or from a list, is good for no more and at no other time than each part of its
proof, and carries the proof: each verification asks whether the evidence that it is given revokes a part of it. So the
verdict at one time is the same, whenever the store was made.

Spec:
    18013-5 first edition Annex B and C.1.7.1, 9.3.3; pki.md §2.1, §2.2, §3.2 and §5.3.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias, final

from mdl.errors import MdlError, ProfileError, VerificationError
from mdl.pki import (
    IACA,
    IACA_LINK,
    VICAL_PROVIDER_CA,
    Certificate,
    Finding,
    KeyPurpose,
    Name,
    Severity,
    lint_certificate,
)
from reader.report import Outcome, Policy, Revocation
from reader.revocation import CrlJudge, Evidence, demand_moment

__all__ = [
    "ANY_DOCTYPE",
    "ANY_PURPOSE",
    "MDL_DOCTYPE",
    "VICAL_PROVIDER_CA",
    "AnyDoctype",
    "AnyPurpose",
    "FollowLinks",
    "Purpose",
    "SignerPurposes",
    "TrustAnchor",
    "TrustStore",
    "check_signer_purposes",
    "deviation_code",
    "follow_link",
    "wrong_purpose",
]


class Purpose(StrEnum):
    """The kind of certificate that a root is trusted to issue."""

    DOCUMENT_SIGNING = "document-signing"
    """It is an IACA: it issues document signers."""
    VICAL_PROVIDER = "vical-provider"
    """It issues the signers of a list of IACA roots, or the CAs that issue them."""


MDL_DOCTYPE: Final = "org.iso.18013.5.1.mDL"
"""The document type whose signers' purpose the standard fixes; no caller can choose another."""

# The purposes of an mDL's signer, and of any other document's where nobody has chosen: there the generic purpose of
# ISO/IEC 23220-4 (pki.md §9) is as good.
_MDL_PURPOSES: Final = frozenset({KeyPurpose.MDL_DOCUMENT_SIGNER.value})
_USUAL_PURPOSES: Final = _MDL_PURPOSES | {KeyPurpose.MDOC_SIGNER.value}
# The roles that this PKI and its neighbours have beside the signing of documents: accepting any purpose, or none,
# accepts none of these.
_OTHER_ROLES: Final = frozenset(purpose.value for purpose in KeyPurpose) - _USUAL_PURPOSES
_NO_CHOICE: Final[SignerPurposes] = MappingProxyType({})
_MOST_NAMED: Final = 8
_OID: Final = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,38})){1,31}")
_PROFILES: Final = {Purpose.DOCUMENT_SIGNING: IACA, Purpose.VICAL_PROVIDER: VICAL_PROVIDER_CA}
# No matter of security where somebody has chosen the root, but what is not self-signed is not a root.
_NO_ROOT: Final = "iaca.issuer.self"


@lru_cache(maxsize=4096)
def _findings(certificate: Certificate, purpose: Purpose) -> tuple[Finding, ...]:
    return lint_certificate(certificate, _PROFILES[purpose])


@final
class AnyDoctype:
    """The scope of a root that is trusted for every document type; there is one instance, `ANY_DOCTYPE`."""

    def __contains__(self, doctype: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "ANY_DOCTYPE"

    def __reduce__(self) -> str:
        return "ANY_DOCTYPE"


ANY_DOCTYPE: Final = AnyDoctype()


@final
class AnyPurpose:
    """Accepts document signers of any extendedKeyUsage, or of none; there is one instance, `ANY_PURPOSE`.

    A certificate for another role of this PKI and its neighbours, as that of a reader or of an OCSP responder, is not
    accepted all the same.
    """

    def __repr__(self) -> str:
        return "ANY_PURPOSE"

    def __reduce__(self) -> str:
        return "ANY_PURPOSE"


ANY_PURPOSE: Final = AnyPurpose()
SignerPurposes: TypeAlias = Mapping[str, frozenset[str] | AnyPurpose]
"""Document type to the extendedKeyUsages (object identifiers) that its signers may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """A root and the scope of the trust in it.

    Attributes:
        certificate: The root.
        doctypes: Document types whose document signers it may issue, or for a VICAL provider: for which it may name
            roots; a set, or `ANY_DOCTYPE`.
        purpose: The kind of certificate that it is trusted to issue.
        country: The country that document signers must name; None: the one that the root itself names, which the
            profile of document signers asks for in any case. For a VICAL provider: the only country whose roots it may
            name; None: of any.
        state: The same for the state or province. A document signer that names none is left to the policy
            (``state.missing``), and signs for its root's, or for this one where the root names none either.
        since: When the trust begins, inclusive, if after the certificate; None: with the certificate.
        until: When the trust ends, inclusive, if before the certificate; None: with the certificate.
        signer_purposes: Which extendedKeyUsages document signers may have, by document type other than the mDL: of each
            one suffices; or `ANY_PURPOSE`. A document type that is not named has the usual ones: that of mDL signers,
            and the generic one of ISO/IEC 23220-4. The mDL has its own, always.
        proof: For a root that the caller did not choose, the certificates that lead to it (links, or the signer of a
            list and the CAs above it), each with its issuer's certificate. A verification
            whose evidence revokes one of them refuses.
    """

    certificate: Certificate
    doctypes: frozenset[str] | AnyDoctype
    purpose: Purpose = Purpose.DOCUMENT_SIGNING
    country: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    signer_purposes: SignerPurposes = field(default_factory=lambda: _NO_CHOICE, hash=False)
    proof: tuple[tuple[Certificate, Certificate], ...] = ()

    def __post_init__(self) -> None:
        """Reject an anchor with an empty scope, and a scope of the wrong type.

        Raises:
            TypeError: The certificate is none, or the document types are neither a frozenset of text nor `ANY_DOCTYPE`;
                a plain text would be in scope for every part of itself. Or another limit, or the proof, is of the wrong
                type.
            ValueError: The set of document types, the country or the state is empty, begin or end of trust is naive, or
                purposes are chosen for the mDL, are an empty set, or hold what is no object identifier.
        """
        if not isinstance(self.certificate, Certificate):
            msg = f"a trust anchor is a Certificate, not {type(self.certificate).__name__}"
            raise TypeError(msg)
        if not isinstance(self.purpose, Purpose):
            msg = f"the purpose of a trust anchor is a Purpose, not {type(self.purpose).__name__}"
            raise TypeError(msg)
        for place in (self.country, self.state):
            if place is not None and not isinstance(place, str):
                msg = f"the country and the state of a trust anchor are text or None, not {type(place).__name__}"
                raise TypeError(msg)
        if self.country == "" or self.state == "":
            msg = "a trust anchor's country and state are not empty"
            raise ValueError(msg)
        if any(end is not None and end.utcoffset() is None for end in (self.since, self.until)):
            msg = "a trust anchor's begin and end are aware datetimes"
            raise ValueError(msg)
        check_signer_purposes(self.signer_purposes)
        object.__setattr__(self, "signer_purposes", MappingProxyType(dict(self.signer_purposes)))
        if not _is_proof(self.proof):
            msg = "a trust anchor's proof is a tuple of pairs of Certificates"
            raise TypeError(msg)
        doctypes: object = self.doctypes
        if isinstance(doctypes, AnyDoctype):
            return
        if not isinstance(doctypes, frozenset) or not all(isinstance(one, str) for one in doctypes):
            msg = "a trust anchor's document types are a frozenset of text, or ANY_DOCTYPE"
            raise TypeError(msg)
        if not doctypes:
            msg = "a trust anchor is trusted for at least one document type"
            raise ValueError(msg)

    @classmethod
    def admit(
        cls,
        certificate: Certificate,
        *,
        doctypes: frozenset[str] | AnyDoctype,
        purpose: Purpose = Purpose.DOCUMENT_SIGNING,
        country: str | None = None,
        state: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        signer_purposes: SignerPurposes | None = None,
        at: datetime,
    ) -> TrustAnchor:
        """Check a root against its profile, and make an anchor of it.

        Deviations that no forger gains by are kept in `findings` of the anchor; the verifier's policy grades them.

        Args:
            certificate: The root.
            doctypes: See the class, as for all that follow.
            purpose: What it is trusted to sign for.
            country: Must be the root's own country, where the root is an IACA.
            state: Must be the root's own state or province, where the root is an IACA and names one.
            since: When the trust begins.
            until: When the trust ends.
            signer_purposes: None keeps the usual purposes.
            at: The time of admission, aware; the root must be valid at this time.

        Raises:
            ProfileError: The root breaks a rule of security, is not self-signed, or is not valid at that time (code
                ``trust.profile``); or its country or state is not the given one (``trust.place``).
            ValueError: `at` is naive.

        Spec:
            pki.md §3.2: an anchor's own profile is checked at import.
        """
        demand_moment("at", at)
        findings = _findings(certificate, purpose)
        if not certificate.not_before <= at <= certificate.not_after:
            findings = lint_certificate(certificate, _PROFILES[purpose], at=at)
        grave = tuple(one for one in findings if one.security or one.rule == _NO_ROOT)
        if grave:
            more = f" (and {', '.join(one.rule for one in grave[1:])})" if grave[1:] else ""
            first = grave[0]
            msg = f"not to be trusted as a root: {first.message} [{first.rule}]{more}. The rule: {first.requirement}"
            raise ProfileError(msg, code="trust.profile", clause=grave[0].clause, findings=grave)
        if purpose is Purpose.DOCUMENT_SIGNING:
            for limit, own, what in (
                (country, certificate.country, "country"),
                (state, certificate.state or state, "state or province"),
            ):
                if limit is not None and limit != own:
                    msg = f"the root is of another {what} than it is to be trusted for"
                    raise ProfileError(msg, code="trust.place", clause="18013-5 C.1.7.1")
        return cls(
            certificate=certificate,
            doctypes=doctypes,
            purpose=purpose,
            country=country,
            state=state,
            since=since,
            until=until,
            signer_purposes=signer_purposes or _NO_CHOICE,
        )

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Findings of the linter about the root under the profile of its purpose, whatever the time."""
        return _findings(self.certificate, self.purpose)

    @property
    def keys(self) -> frozenset[bytes]:
        """The public keys of the root and of its proof (DER of SubjectPublicKeyInfo)."""
        return frozenset(one.spki for pair in self.proof for one in pair) | {self.certificate.spki}

    def __reduce__(self) -> tuple[Any, ...]:
        state = {one.name: getattr(self, one.name) for one in fields(self)}
        return _anchor, (state | {"signer_purposes": dict(self.signer_purposes)},)

    def within(self, chain: Sequence[Certificate]) -> TrustAnchor:
        """This anchor, limited to the time when all certificates of a chain are valid, with the chain in its proof.

        Args:
            chain: Certificates, each issued by the next one.
        """
        since, until = self.since, self.until
        for one in chain:
            since = one.not_before if since is None else max(since, one.not_before)
            until = one.not_after if until is None else min(until, one.not_after)
        return replace(self, since=since, until=until, proof=(*self.proof, *itertools.pairwise(chain)))

    @property
    def refused_by(self) -> Mapping[Policy, tuple[str, ...]]:
        """The policies that refuse every document under this root, each with the lint rules that it refuses for."""
        found = {
            policy: tuple(one.rule for one in self.findings if policy.refuses(deviation_code(one))) for policy in Policy
        }
        return {policy: rules for policy, rules in found.items() if rules}

    def before(self, end: datetime | None) -> TrustAnchor:
        """This anchor with an end of the trust that is not later than the given time; None sets no end."""
        if end is None or (self.until is not None and self.until <= end):
            return self
        return replace(self, until=end)

    def is_current(self, at: datetime) -> bool:
        """Whether the time lies within the trust, both ends inclusive."""
        return (self.since is None or self.since <= at) and (self.until is None or at <= self.until)

    def out_of_scope(self, doctype: str, document_signer: Certificate, *, at: datetime) -> str | None:
        """The reason why the root is not trusted to have issued this document signer, or None if it is trusted.

        Args:
            doctype: The document type that the signer signed.
            document_signer: Its certificate.
            at: The time of verification.

        Spec:
            18013-5 C.1.7.1; pki.md §3.2 and §5.3 no. 9.
        """
        if self.purpose is not Purpose.DOCUMENT_SIGNING:
            return "the root is not trusted to issue document signers"
        if doctype not in self.doctypes:
            return "the root is not trusted for this document type"
        if self.country is not None and document_signer.country != self.country:
            return "the root is not trusted for the document signer's country"
        if self.state is not None and document_signer.state not in (self.state, None):
            return "the root is not trusted for the document signer's state or province"
        if not self.is_current(at):
            return "the trust in the root has ended, or not begun: the list or link that it rests on is not valid then"
        return None


def deviation_code(finding: Finding) -> str:
    """The deviation code that the policies have for a finding about a document signer or its root."""
    if finding.security:
        return finding.rule
    return "profile" if finding.severity is Severity.ERROR else "profile.minor"


def check_signer_purposes(chosen: object) -> None:
    """Reject a choice of signers' purposes that is not possible.

    Raises:
        TypeError: The choice is not a mapping from text to frozensets or `ANY_PURPOSE`.
        ValueError: The choice names the mDL, has an empty set, or a text that is no object identifier.
    """
    if not isinstance(chosen, Mapping):
        msg = "signer purposes are a mapping from document types"
        raise TypeError(msg)
    for doctype, purposes in chosen.items():
        if not isinstance(doctype, str) or not isinstance(purposes, frozenset | AnyPurpose):
            msg = "signer purposes are a frozenset of object identifiers by document type, or ANY_PURPOSE"
            raise TypeError(msg)
        if doctype == MDL_DOCTYPE:
            msg = "the purpose of an mDL's signers is the standard's and cannot be chosen"
            raise ValueError(msg)
        if isinstance(purposes, frozenset) and not (purposes and all(map(_is_oid, purposes))):
            msg = "signer purposes are object identifiers in dotted form, at least one, or ANY_PURPOSE"
            raise ValueError(msg)


def _is_proof(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(pair, tuple) and len(pair) == 2 and all(isinstance(one, Certificate) for one in pair)
        for pair in value
    )


def _anchor(state: dict[str, Any]) -> TrustAnchor:
    """Rebuild an anchor that was pickled."""
    return TrustAnchor(**state)


def wrong_purpose(doctype: str, document_signer: Certificate, anchor: TrustAnchor | None) -> str | None:
    """The reason why a certificate's extendedKeyUsage does not fit a signer of a document type, or None if it fits.

    Args:
        doctype: The document type.
        document_signer: The certificate.
        anchor: The anchor whose choice of purposes counts; None if there is no choice.

    Spec:
        18013-5 B.1.4 for the mDL; pki.md §6 and §9 for others.
    """
    accepted: frozenset[str] | AnyPurpose = _MDL_PURPOSES
    if doctype != MDL_DOCTYPE:
        accepted = _USUAL_PURPOSES if anchor is None else anchor.signer_purposes.get(doctype, _USUAL_PURPOSES)
    own = document_signer.extended_key_usage
    if isinstance(accepted, AnyPurpose):
        foreign = _OTHER_ROLES.intersection(own or ())
        return f"extendedKeyUsage names another role: {_listed(foreign)}" if foreign else None
    if own is not None and accepted.intersection(own):
        return None
    word = "" if len(accepted) == 1 else "one of "
    found = "is absent" if own is None else f"has {_listed(own)}"
    return f"extendedKeyUsage {found}, and a signer of this document type needs {word}{_listed(accepted)}"


def _is_oid(text: object) -> bool:
    return isinstance(text, str) and _OID.fullmatch(text) is not None


def _listed(purposes: Iterable[str]) -> str:
    found = sorted(purposes)
    return ", ".join(found[:_MOST_NAMED]) + (f" and {len(found) - _MOST_NAMED} more" if found[_MOST_NAMED:] else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowLinks:
    """The decision to follow IACA link certificates. Without it a store follows no link.

    Attributes:
        links: Link certificates, in which an old root signs the key of a new root.
        roots: The new roots, from any source: a link proves each of them.
        at: The time at which the links are judged, aware.
        crls: Certificate revocation lists of the old roots, DER or PEM, which may revoke a link. A link that they
            revoke, or do not clear where `revocation` requires it, is an error at once. Newer lists are given to the
            verification.
        revocation: Whether `crls` must show that each link is not revoked.
    """

    links: tuple[Certificate, ...]
    roots: tuple[Certificate, ...]
    at: datetime
    crls: tuple[bytes, ...] = ()
    revocation: Revocation = Revocation.IF_GIVEN

    def __post_init__(self) -> None:
        """Reject arguments of the wrong type.

        Raises:
            TypeError: The lists are not a tuple of bytes, or `revocation` is not a `Revocation`.
            ValueError: `at` is naive.
        """
        demand_moment("at", self.at)
        crls: object = self.crls
        if not isinstance(crls, tuple) or not all(isinstance(one, bytes) for one in crls):
            msg = "the revocation lists are a tuple of bytes"
            raise TypeError(msg)
        if not isinstance(self.revocation, Revocation):
            msg = f"what is demanded of revocation lists is a Revocation, not {type(self.revocation).__name__}"
            raise TypeError(msg)


def follow_link(old: TrustAnchor, link: Certificate, root: Certificate, *, at: datetime) -> TrustAnchor:
    """Follow a link certificate: return the anchor of the new root.

    1. The old anchor is an IACA's, and it and its trust are valid.
    2. The link is issued by it: name, key identifier, signature; and it follows the profile of links, is for this
       purpose, valid, and of the same country and state.
    3. The link's subject and key are the new root's.
    4. The new root is one that may be admitted.

    The new anchor is good for what the old one is, in the old root's own country and state, while the old root, the
    trust in it and the link all last. Whether the link is revoked is judged by its `proof`, at each verification.

    Args:
        old: The anchor of the old root.
        link: The link certificate.
        root: The new root.
        at: The time at which the link is judged, aware.

    Raises:
        ProfileError: The link or the new root breaks its profile (codes ``link.profile``, ``trust.…``).
        VerificationError: The old anchor cannot lead anywhere (``link.anchor``), or the link does not lead to this
            root (``link.root``).
        ValueError: `at` is naive.

    Spec:
        pki.md §2.2; one source only has the extended key usage, and the safe reading asks for it.
    """
    demand_moment("at", at)
    clause = "18013-5 Annex B"
    # (1)
    issuer = old.certificate
    if (
        old.purpose is not Purpose.DOCUMENT_SIGNING
        or not old.is_current(at)
        or not issuer.not_before <= at <= issuer.not_after
    ):
        raise VerificationError(
            "the old root is not trusted to lead to a new one now", code="link.anchor", clause=clause
        )
    # (2)
    findings = lint_certificate(link, IACA_LINK, issuer=issuer, at=at)
    grave = tuple(one for one in findings if one.security or one.severity is Severity.ERROR)
    if grave:
        msg = f"the link certificate breaks its profile: {grave[0].message}"
        raise ProfileError(msg, code="link.profile", clause=clause, findings=grave)
    if KeyPurpose.IACA_LINK not in (link.extended_key_usage or ()):
        raise ProfileError("the certificate is for no link", code="link.profile", clause=clause, findings=findings)
    # (3)
    if link.subject != root.subject or link.spki != root.spki:
        raise VerificationError("the link's name or key is not the new root's", code="link.root", clause=clause)
    # (4)
    new = TrustAnchor.admit(
        root,
        doctypes=old.doctypes,
        purpose=old.purpose,
        country=old.country or issuer.country,
        state=old.state or issuer.state,
        since=old.since,
        until=old.until,
        signer_purposes=old.signer_purposes,
        at=at,
    )
    return replace(new, proof=old.proof).within((link, issuer))


def _unrevoked_until(new: TrustAnchor, policy: FollowLinks) -> datetime | None:
    """The time until which the lists show that a root's links are not revoked, if that is required."""
    judgement = CrlJudge().judge_all(new.proof, Evidence(crls=policy.crls), policy.at)
    undetermined = judgement.outcome is Outcome.INDETERMINATE and policy.revocation is Revocation.IF_GIVEN
    if judgement.outcome is not Outcome.PASSED and not undetermined:
        msg = f"the link certificate is not followed: {judgement.detail}"
        raise VerificationError(msg, code="link.revocation", clause="18013-5 B.3")
    return None if policy.revocation is Revocation.IF_GIVEN else judgement.until


class TrustStore:
    """An immutable set of trust anchors, found by key identifier, by name and by key.

    Attributes:
        doctypes: The document types that an anchor names, in its scope or for its signers' purposes. All anchors treat
            every other document type alike.
    """

    __slots__ = ("_anchors", "_by_key", "_by_key_identifier", "_by_subject", "doctypes")

    doctypes: frozenset[str]

    def __init__(self, anchors: Iterable[TrustAnchor], *, links: FollowLinks | None = None) -> None:
        """Create a store.

        Args:
            anchors: The anchors.
            links: The decision to follow link certificates, each from one of these anchors. With None no link is
                followed.

        Raises:
            TypeError: An argument is not a `TrustAnchor`.
            ValueError: There is no anchor.
            ProfileError: A link or the root that it leads to breaks its profile; see `follow_link`.
            VerificationError: A link leads from none of the anchors, or to none of the new roots, is revoked, or not
                shown to be unrevoked where that is demanded (code ``link.revocation``).
        """
        self._anchors = tuple(anchors)
        if not self._anchors:
            msg = "an empty trust store trusts nobody; that is a mistake, not a policy"
            raise ValueError(msg)
        for anchor in self._anchors:
            if not isinstance(anchor, TrustAnchor):
                msg = f"a trust store holds TrustAnchors, not {type(anchor).__name__}"
                raise TypeError(msg)
        self._by_key_identifier: dict[bytes, list[TrustAnchor]] = {}
        self._by_subject: dict[bytes, list[TrustAnchor]] = {}
        self._by_key: dict[bytes, list[TrustAnchor]] = {}
        for anchor in self._anchors:
            self._index(anchor)
        if links is not None:
            # A link leads from an anchor that was given, not from one that another link has brought.
            followed = [anchor for link in links.links for anchor in self._follow(link, links)]
            self._anchors += tuple(followed)
            for anchor in followed:
                self._index(anchor)
        self.doctypes = frozenset[str]().union(
            *(anchor.doctypes for anchor in self._anchors if isinstance(anchor.doctypes, frozenset)),
            *(anchor.signer_purposes for anchor in self._anchors),
        )

    def _index(self, anchor: TrustAnchor) -> None:
        certificate = anchor.certificate
        if certificate.subject_key_identifier is not None:
            self._by_key_identifier.setdefault(certificate.subject_key_identifier, []).append(anchor)
        self._by_subject.setdefault(certificate.subject.der, []).append(anchor)
        self._by_key.setdefault(certificate.spki, []).append(anchor)

    def _follow(self, link: Certificate, policy: FollowLinks) -> list[TrustAnchor]:
        """The new anchors of one link: one for each old anchor, since their scopes may differ."""
        roots = [root for root in policy.roots if root.spki == link.spki]
        if not roots:
            raise VerificationError("a link certificate leads to none of the new roots", code="link.root")
        found: list[TrustAnchor] = []
        failure: MdlError = VerificationError("a link certificate leads from none of the anchors", code="link.anchor")
        for old in self._by_subject.get(link.issuer.der, ()):
            for root in roots:
                try:
                    new = follow_link(old, link, root, at=policy.at)
                except (ProfileError, VerificationError) as exc:
                    failure = exc
                else:
                    found.append(new.before(_unrevoked_until(new, policy)))
        if not found:
            raise failure
        return found

    @classmethod
    def from_certificates(
        cls,
        certificates: Iterable[Certificate],
        *,
        doctypes: frozenset[str] | AnyDoctype,
        signer_purposes: SignerPurposes | None = None,
    ) -> TrustStore:
        """A store of IACA roots that are all trusted for the same document types, with signers of the same purposes.

        The roots are not checked here: the verifier's policy grades their profile. `TrustAnchor.admit` checks at once.

        Raises:
            ValueError: There is no certificate.
        """
        chosen = signer_purposes or _NO_CHOICE
        return cls(TrustAnchor(certificate=one, doctypes=doctypes, signer_purposes=chosen) for one in certificates)

    def candidates(self, certificate: Certificate) -> tuple[TrustAnchor, ...]:
        """The anchors that may have issued `certificate`: by key identifier, then by name; several may share either."""
        found: dict[int, TrustAnchor] = {}
        if certificate.authority_key_identifier is not None:
            for anchor in self._by_key_identifier.get(certificate.authority_key_identifier, ()):
                found[id(anchor)] = anchor
        for anchor in self._by_subject.get(certificate.issuer.der, ()):
            found[id(anchor)] = anchor
        return tuple(found.values())

    def with_a_say(self, certificate: Certificate) -> tuple[TrustAnchor, ...]:
        """The anchors that matter for a document signer: the candidates, and those with its own key.

        If there are none, one anchor is returned, never an empty tuple. Path validation has the same result with these
        as with all anchors, of which there may be thousands.
        """
        found = {id(one): one for one in (*self.candidates(certificate), *self.with_key(certificate.spki))}
        return tuple(found.values()) or self._anchors[:1]

    def with_key(self, spki: bytes) -> tuple[TrustAnchor, ...]:
        """The anchors with that public key (DER of SubjectPublicKeyInfo): a root and its renewals."""
        return tuple(self._by_key.get(spki, ()))

    def with_subject(self, name: Name) -> tuple[TrustAnchor, ...]:
        """The anchors with that subject, byte for byte; several roots may share a name."""
        return tuple(self._by_subject.get(name.der, ()))

    def __iter__(self) -> Iterator[TrustAnchor]:
        return iter(self._anchors)

    def __len__(self) -> int:
        return len(self._anchors)

    def __repr__(self) -> str:
        return f"TrustStore({len(self._anchors)} anchors)"

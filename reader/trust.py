"""The roots that a reader trusts, and for what.

An anchor counts only for the document types it is given for. There is no default for that and no empty store: whoever
trusts a root says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, final

from mdl.pki import Certificate

__all__ = ["ANY_DOCTYPE", "AnyDoctype", "TrustAnchor", "TrustStore"]


@final
class AnyDoctype:
    """The scope of a root that is trusted for every document type; there is one instance, `ANY_DOCTYPE`."""

    def __contains__(self, doctype: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "ANY_DOCTYPE"


ANY_DOCTYPE: Final = AnyDoctype()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchor:
    """An IACA root and what it is trusted for.

    Attributes:
        certificate: The root.
        doctypes: Document types whose document signers it may issue: a set, or `ANY_DOCTYPE`.
    """

    certificate: Certificate
    doctypes: frozenset[str] | AnyDoctype

    def __post_init__(self) -> None:
        """Refuse an anchor that would be good for nothing, and a scope that would answer like one but is none.

        Raises:
            TypeError: The certificate is none, or the document types are neither a frozenset of text nor `ANY_DOCTYPE`;
                a plain text would be in scope for every part of itself.
            ValueError: The set of document types is empty.
        """
        if not isinstance(self.certificate, Certificate):
            msg = f"a trust anchor is a Certificate, not {type(self.certificate).__name__}"
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


class TrustStore:
    """An immutable set of trust anchors, found by key identifier and by name.

    Attributes:
        doctypes: The document types that some anchor names; every other one is in the scope of the same anchors.
    """

    __slots__ = ("_anchors", "_by_key_identifier", "_by_subject", "doctypes")

    doctypes: frozenset[str]

    def __init__(self, anchors: Iterable[TrustAnchor]) -> None:
        """Collect the anchors.

        Raises:
            TypeError: One is no `TrustAnchor`.
            ValueError: There is none.
        """
        self._anchors = tuple(anchors)
        if not self._anchors:
            msg = "an empty trust store trusts nobody; that is a mistake, not a policy"
            raise ValueError(msg)
        for anchor in self._anchors:
            if not isinstance(anchor, TrustAnchor):
                msg = f"a trust store holds TrustAnchors, not {type(anchor).__name__}"
                raise TypeError(msg)
        self.doctypes = frozenset[str]().union(
            *(anchor.doctypes for anchor in self._anchors if isinstance(anchor.doctypes, frozenset))
        )
        self._by_key_identifier: dict[bytes, list[TrustAnchor]] = {}
        self._by_subject: dict[bytes, list[TrustAnchor]] = {}
        for anchor in self._anchors:
            certificate = anchor.certificate
            if certificate.subject_key_identifier is not None:
                self._by_key_identifier.setdefault(certificate.subject_key_identifier, []).append(anchor)
            self._by_subject.setdefault(certificate.subject.der, []).append(anchor)

    @classmethod
    def from_certificates(
        cls, certificates: Iterable[Certificate], *, doctypes: frozenset[str] | AnyDoctype
    ) -> TrustStore:
        """A store of roots that are all trusted for the same document types.

        Raises:
            ValueError: There is no certificate.
        """
        return cls(TrustAnchor(certificate=certificate, doctypes=doctypes) for certificate in certificates)

    def candidates(self, certificate: Certificate) -> tuple[TrustAnchor, ...]:
        """The anchors that may have issued `certificate`: by key identifier, then by name; several may share either."""
        found: dict[int, TrustAnchor] = {}
        if certificate.authority_key_identifier is not None:
            for anchor in self._by_key_identifier.get(certificate.authority_key_identifier, ()):
                found[id(anchor)] = anchor
        for anchor in self._by_subject.get(certificate.issuer.der, ()):
            found[id(anchor)] = anchor
        return tuple(found.values())

    def __iter__(self) -> Iterator[TrustAnchor]:
        return iter(self._anchors)

    def __len__(self) -> int:
        return len(self._anchors)

    def __repr__(self) -> str:
        return f"TrustStore({len(self._anchors)} anchors)"

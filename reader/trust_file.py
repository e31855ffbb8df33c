"""The trust file of a reader: roots that its user chose, and VICALs of providers that its user chose.

An anchor comes either from a root that the user added to the file, or from a list that is verified again (signature,
chain, age and every entry) each time the file is used. An attacker who cannot sign as the provider can therefore not
add a root to a list, extend its scope, or make an old list new. The file itself is not signed: everybody who may write
it can add a root, pin another provider, or restore an older file with the memory that it had. Keep it where only its
user may write; `mdl reader trust list` and ``diff`` show its content.

For each provider the file stores the last list that was accepted, so that no older list replaces it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from mdl.cbor import TDate
from mdl.errors import DecodeError, LocalProtocolError, MdlError, VerificationError
from mdl.pki import Certificate
from reader.files import write_whole
from reader.report import Revocation
from reader.revocation import demand_moment
from reader.trust import (
    ANY_DOCTYPE,
    ANY_PURPOSE,
    AnyDoctype,
    AnyPurpose,
    Purpose,
    SignerPurposes,
    TrustAnchor,
    TrustStore,
)
from reader.vical import DEFAULT_MAX_STALE, NOTHING_ACCEPTED, AcceptedVical, VicalImport, import_vical

__all__ = ["AssembledTrust", "HeldVical", "TrustFile", "TrustRefusal"]

_FORMAT: Final = "mdl_trust_store"
_VERSION: Final = 1
_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_STALE_DAYS: Final = 3660
_ANY: Final = "any"
_DISTRUSTED: Final = "the root's key is distrusted in this trust store; lift that first"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldVical:
    """A list in the file.

    Attributes:
        provider: The pinned root of its provider, with the limits that the user set.
        data: The list as received.
        accepted: The last list that was accepted from this provider: this list, or a newer one that is no longer held.
        max_stale: Longest time after its nextUpdate that it may be used.
    """

    provider: TrustAnchor
    data: bytes
    accepted: AcceptedVical
    max_stale: timedelta


@dataclass(frozen=True, slots=True)
class TrustRefusal:
    """A root or list in the file that is not trusted at that time.

    Attributes:
        what: The root or the list.
        error: The reason.
    """

    what: TrustAnchor | HeldVical
    error: MdlError


@dataclass(frozen=True, slots=True, kw_only=True)
class AssembledTrust:
    """The trust that follows from a file at one time.

    Attributes:
        given: The roots of the user's choice that are trusted at that time.
        imports: The lists that verify at that time.
        refusals: Roots and lists that are not trusted, for example an expired root or a list that is too old.
        distrusted: The keys (DER of SubjectPublicKeyInfo) that the file excludes, even if a list has them.
    """

    given: tuple[TrustAnchor, ...]
    imports: tuple[VicalImport, ...]
    refusals: tuple[TrustRefusal, ...]
    distrusted: frozenset[bytes] = frozenset()

    @property
    def anchors(self) -> tuple[TrustAnchor, ...]:
        """All anchors: first those of the user's roots, then those of the lists."""
        return self.given + tuple(anchor for one in self.imports for anchor in one.anchors)

    def store(self) -> TrustStore:
        """The anchors as a trust store.

        Raises:
            VerificationError: There is no anchor (code ``trust.nothing``, or that of the first refusal).
        """
        if not self.anchors:
            first = self.refusals[0].error if self.refusals else None
            msg = f"the trust store trusts nobody at this time: {first.message if first else 'it is empty'}"
            raise VerificationError(msg, code=first.code if first else "trust.nothing")
        return TrustStore(self.anchors)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustFile:
    """The content of the file. It is immutable: a change returns a new object.

    Attributes:
        roots: IACA roots of the user's choice, each certificate once.
        vicals: Lists, at most one for each pinned root.
        distrusted: Roots whose keys are not trusted, even if a list still has them.
    """

    roots: tuple[TrustAnchor, ...] = ()
    vicals: tuple[HeldVical, ...] = ()
    distrusted: tuple[Certificate, ...] = ()

    # changes

    def with_root(
        self,
        certificate: Certificate,
        *,
        doctypes: frozenset[str] | AnyDoctype,
        country: str | None = None,
        state: str | None = None,
        signer_purposes: SignerPurposes | None = None,
        at: datetime,
    ) -> TrustFile:
        """Add a root, or replace its scope.

        Raises:
            ProfileError: The root breaks its profile; see `TrustAnchor.admit`.
            LocalProtocolError: The root's key is distrusted (code ``trust.distrusted``).
        """
        if certificate.spki in self._distrusted_keys:
            raise LocalProtocolError(_DISTRUSTED, code="trust.distrusted")
        anchor = TrustAnchor.admit(
            certificate, doctypes=doctypes, country=country, state=state, signer_purposes=signer_purposes, at=at
        )
        others = tuple(one for one in self.roots if one.certificate != certificate)
        return replace(self, roots=(*others, anchor))

    def with_vical(
        self,
        data: bytes,
        *,
        provider: TrustAnchor,
        at: datetime,
        max_stale: timedelta = DEFAULT_MAX_STALE,
        revocation: Revocation = Revocation.IF_GIVEN,
        crls: tuple[bytes, ...] = (),
    ) -> tuple[TrustFile, VicalImport]:
        """Import a list, which replaces the last one from the same pinned root.

        Args:
            data: The list as received.
            provider: The pinned root, with the limits for the list.
            at: The time of the import, aware.
            max_stale: Longest time after its nextUpdate that the list may be used; whole days are stored.
            revocation: See `reader.vical.import_vical`, as for `crls`; the evidence is not kept.
            crls: Certificate revocation lists, as for `assemble`.

        Raises:
            VerificationError: The list is refused; nothing changes.
            DecodeError: The bytes are no VICAL.
            ValueError: `max_stale` is longer than the file can store.
        """
        if max_stale > timedelta(days=_MAX_STALE_DAYS):
            msg = f"a list that may be used for more than {_MAX_STALE_DAYS} days after it was due never ages"
            raise ValueError(msg)
        held = self.held_from(provider.certificate)
        found = import_vical(
            data,
            providers=TrustStore([provider]),
            accepted=NOTHING_ACCEPTED if held is None else held.accepted,
            at=at,
            max_stale=max_stale,
            revocation=revocation,
            crls=crls,
        )
        new = HeldVical(provider=provider, data=data, accepted=found.accepted, max_stale=max_stale)
        return replace(self, vicals=(*(one for one in self.vicals if one is not held), new)), found

    def without(self, certificate: Certificate) -> TrustFile:
        """Remove a root of the user's choice, or a provider's root with its list and the memory of it.

        Raises:
            LocalProtocolError: The file has no such root (code ``trust.unknown``). A root that only a list names can be
                distrusted.
        """
        roots = tuple(one for one in self.roots if one.certificate != certificate)
        vicals = tuple(one for one in self.vicals if one.provider.certificate != certificate)
        if len(roots) + len(vicals) == len(self.roots) + len(self.vicals):
            raise LocalProtocolError(
                "the trust store holds no such root of your own choice, and no list under it", code="trust.unknown"
            )
        return replace(self, roots=roots, vicals=vicals)

    def with_distrust(self, certificate: Certificate) -> TrustFile:
        """Distrust every root with the key of this one, even if a list has it, and remove it from the roots."""
        others = tuple(one for one in self.distrusted if one != certificate)
        roots = tuple(one for one in self.roots if one.certificate.spki != certificate.spki)
        return replace(self, roots=roots, distrusted=(*others, certificate))

    def without_distrust(self, certificate: Certificate) -> TrustFile:
        """End the distrust of a root, so that lists count again. A root of the user's choice must be added again.

        Raises:
            LocalProtocolError: The root is not distrusted (code ``trust.unknown``).
        """
        if certificate not in self.distrusted:
            raise LocalProtocolError("the trust store does not distrust that root", code="trust.unknown")
        return replace(self, distrusted=tuple(one for one in self.distrusted if one != certificate))

    @property
    def _distrusted_keys(self) -> frozenset[bytes]:
        return frozenset(one.spki for one in self.distrusted)

    def held_from(self, root: Certificate) -> HeldVical | None:
        """The list of the provider with that pinned root, or None."""
        return next((one for one in self.vicals if one.provider.certificate == root), None)

    # use

    def assemble(self, *, at: datetime, crls: tuple[bytes, ...] = ()) -> AssembledTrust:
        """Verify the whole content again, and return the trust at that time.

        Args:
            at: The time, aware.
            crls: The providers' revocation lists at hand, DER or PEM. Lists of others are ignored; a list that does not
                decode counts as absent.

        Raises:
            ValueError: `at` is naive.
        """
        demand_moment("at", at)
        given: list[TrustAnchor] = []
        imports: list[VicalImport] = []
        refusals: list[TrustRefusal] = []
        distrusted = self._distrusted_keys
        for root in self.roots:
            try:
                given.append(
                    TrustAnchor.admit(
                        root.certificate,
                        doctypes=root.doctypes,
                        country=root.country,
                        state=root.state,
                        signer_purposes=root.signer_purposes,
                        at=at,
                    )
                )
            except Exception as exc:  # noqa: BLE001 - of one root nothing may take the others away
                refusals.append(TrustRefusal(root, _as_error(exc)))
        for held in self.vicals:
            try:
                if held.provider.certificate.spki in distrusted:
                    raise LocalProtocolError(_DISTRUSTED, code="trust.distrusted")
                found = import_vical(
                    held.data,
                    providers=TrustStore([held.provider]),
                    accepted=held.accepted,
                    at=at,
                    max_stale=held.max_stale,
                    crls=crls,
                )
            except Exception as exc:  # noqa: BLE001 - of one list nothing may take the others away
                refusals.append(TrustRefusal(held, _as_error(exc)))
            else:
                anchors = tuple(one for one in found.anchors if distrusted.isdisjoint(one.keys))
                imports.append(replace(found, anchors=anchors))
        return AssembledTrust(
            given=tuple(given), imports=tuple(imports), refusals=tuple(refusals), distrusted=distrusted
        )

    # the file

    def encode(self) -> bytes:
        """The file's content: one JSON document, the same for the same content.

        Raises:
            ValueError: A root rests on a link or a list: the file keeps no proof.
        """
        document = {
            _FORMAT: _VERSION,
            "roots": [_anchor_fields(one) for one in self.roots],
            "vicals": [
                {
                    "provider": _anchor_fields(one.provider),
                    "max_stale_days": one.max_stale.days,
                    "accepted": {
                        "issue_id": one.accepted.issue_id,
                        "date": None if one.accepted.date is None else TDate.of(one.accepted.date).text,
                    },
                    "vical": base64.b64encode(one.data).decode("ascii"),
                }
                for one in self.vicals
            ],
            **({"distrusted": [_base64(one.der) for one in self.distrusted]} if self.distrusted else {}),
        }
        return (json.dumps(document, indent=1) + "\n").encode("ascii")

    @classmethod
    def decode(cls, content: bytes) -> TrustFile:
        """Decode a file's content. Nothing in it is trusted before `assemble`.

        Raises:
            DecodeError: The content is of another kind or version, or damaged (codes ``trust.…``).
        """
        if len(content) > _MAX_BYTES:
            raise _damaged("too large")
        try:
            document = json.loads(content, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as exc:
            raise _damaged("not JSON") from exc
        if not isinstance(document, dict) or _FORMAT not in document:
            raise _damaged("not a trust store")
        if type(document[_FORMAT]) is not int or document[_FORMAT] != _VERSION:
            raise DecodeError("a trust store of another version", code="trust.version")
        members = _Fields(document, "", {_FORMAT, "roots", "vicals"}, frozenset({"distrusted"}))
        roots = [
            _anchor(fields, f"roots[{index}]", Purpose.DOCUMENT_SIGNING)
            for index, fields in enumerate(members.get("roots", list))
        ]
        vicals = [_held(fields, f"vicals[{index}]") for index, fields in enumerate(members.get("vicals", list))]
        distrusted = _distrusted(members)
        if _has_twice(one.certificate.der for one in roots) or _has_twice(
            one.provider.certificate.der for one in vicals
        ):
            raise _damaged("a root stands there twice")
        return cls(roots=tuple(roots), vicals=tuple(vicals), distrusted=distrusted)

    @staticmethod
    def is_one(content: bytes) -> bool:
        """Whether a file's content looks like a trust store, and not like certificates or a list."""
        return content.lstrip()[:1] == b"{"

    @classmethod
    def load(cls, path: Path) -> TrustFile:
        """Read the file; see `decode`.

        Raises:
            DecodeError: The file cannot be read (code ``trust.unreadable``), or see `decode`.
        """
        try:
            with path.open("rb") as stream:
                content = stream.read(_MAX_BYTES + 1)
        except (OSError, ValueError) as exc:  # a name that no file can have is a ValueError
            reason = exc.strerror if isinstance(exc, OSError) else "no name for a file"
            message = f"cannot read the trust store: {reason or type(exc).__name__}"
            raise DecodeError(message, code="trust.unreadable") from exc
        return cls.decode(content)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            FetchError: The file cannot be written (code ``trust.unwritable``); the old file is unchanged.
        """
        write_whole(path, self.encode(), code="trust.unwritable", what="the trust store")


# --- JSON -------------------------------------------------------------------------------------------------------------


def _anchor_fields(anchor: TrustAnchor) -> dict[str, Any]:
    if anchor.proof:
        msg = "the file holds roots of the user's own choice: one that rests on a link or a list would lose its proof"
        raise ValueError(msg)
    doctypes = anchor.doctypes
    purposes = {
        name: _ANY if isinstance(one, AnyPurpose) else sorted(one)
        for name, one in sorted(anchor.signer_purposes.items())
    }
    return {
        "certificate": base64.b64encode(anchor.certificate.der).decode("ascii"),
        "doctypes": _ANY if isinstance(doctypes, AnyDoctype) else sorted(doctypes),
        "country": anchor.country,
        "state": anchor.state,
        **({"signer_purposes": purposes} if purposes else {}),
    }


class _Fields:
    """One JSON object that must have exactly the expected members."""

    def __init__(self, value: object, path: str, names: set[str], optional: frozenset[str] = frozenset()) -> None:
        if not isinstance(value, dict) or value.keys() - optional != names:
            raise _damaged("not an object with the members that it is to have", path)
        self._value = value
        self._path = path

    def has(self, name: str) -> bool:
        return name in self._value

    def path(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def get(self, name: str, *kinds: type) -> Any:
        value = self._value[name]
        if type(value) not in kinds:
            raise _damaged("of the wrong type", self.path(name))
        return value

    def octets(self, name: str) -> bytes:
        try:
            return base64.b64decode(self.get(name, str), validate=True)
        except (binascii.Error, ValueError) as exc:
            raise _damaged("not base64", self.path(name)) from exc

    def made(self, name: str, make: Callable[[], T]) -> T:
        """The value made of a member. An error about its value becomes a DecodeError."""
        try:
            return make()
        except (MdlError, TypeError, ValueError) as exc:
            raise _damaged(exc.message if isinstance(exc, MdlError) else str(exc), self.path(name)) from exc


def _anchor(value: object, path: str, purpose: Purpose) -> TrustAnchor:
    optional = frozenset({"signer_purposes"})
    fields = _Fields(value, path, {"certificate", "doctypes", "country", "state"}, optional)
    certificate = fields.made("certificate", lambda: Certificate.decode(fields.octets("certificate")))
    doctypes = fields.get("doctypes", list, str)
    if isinstance(doctypes, str) and doctypes != _ANY:
        raise _damaged("neither a list nor the word any", fields.path("doctypes"))
    country, state = fields.get("country", str, type(None)), fields.get("state", str, type(None))
    purposes = _signer_purposes(fields)
    return fields.made(
        "doctypes",
        lambda: TrustAnchor(
            certificate=certificate,
            doctypes=ANY_DOCTYPE if doctypes == _ANY else frozenset(doctypes),
            purpose=purpose,
            country=country,
            state=state,
            signer_purposes=purposes,
        ),
    )


def _distrusted(members: _Fields) -> tuple[Certificate, ...]:
    if not members.has("distrusted"):
        return ()
    found = members.get("distrusted", list)
    if not found or not all(isinstance(one, str) for one in found):
        raise _damaged("not a list of base64", "distrusted")
    certificates = members.made(
        "distrusted", lambda: tuple(Certificate.decode(base64.b64decode(one, validate=True)) for one in found)
    )
    if _has_twice(one.der for one in certificates):
        raise _damaged("a root stands there twice", "distrusted")
    return certificates


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _as_error(exc: Exception) -> MdlError:
    """The reason why a part of the file is not used. Of an unexpected error only its type is kept, not its text."""
    if isinstance(exc, MdlError):
        return exc
    return VerificationError(f"it could not be examined ({type(exc).__name__})", code="trust.unexamined")


def _signer_purposes(fields: _Fields) -> SignerPurposes:
    found: dict[str, frozenset[str] | AnyPurpose] = {}
    if fields.has("signer_purposes"):
        for name, one in fields.get("signer_purposes", dict).items():
            if one != _ANY and not (isinstance(one, list) and all(isinstance(oid, str) for oid in one)):
                raise _damaged("neither lists of text nor the word any", fields.path("signer_purposes"))
            found[name] = ANY_PURPOSE if one == _ANY else frozenset(one)
    return found


def _held(value: object, path: str) -> HeldVical:
    fields = _Fields(value, path, {"provider", "max_stale_days", "accepted", "vical"})
    accepted = _Fields(fields.get("accepted", dict), fields.path("accepted"), {"issue_id", "date"})
    date = accepted.get("date", str, type(None))
    days = fields.get("max_stale_days", int)
    if not 0 <= days <= _MAX_STALE_DAYS:
        raise _damaged("out of range", fields.path("max_stale_days"))
    return HeldVical(
        provider=_anchor(fields.get("provider", dict), fields.path("provider"), Purpose.VICAL_PROVIDER),
        data=fields.octets("vical"),
        accepted=AcceptedVical(
            issue_id=accepted.get("issue_id", int, type(None)),
            date=None if date is None else accepted.made("date", lambda: TDate(date).datetime),
        ),
        max_stale=timedelta(days=days),
    )


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "a member stands there twice"
        raise ValueError(msg)
    return found


def _has_twice(values: Iterable[bytes]) -> bool:
    found = list(values)
    return len({*found}) != len(found)


def _damaged(what: str, path: str = "") -> DecodeError:
    return DecodeError(f"the trust store is damaged, or none: {what}", code="trust.damaged", path=path)

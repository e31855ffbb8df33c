"""The issuance policy: what this authority allows, of all that the standard and this program would.

    version = 1

    [keys]                                        # curves, by what the key is for
    iaca = ["P-384"]
    document-signer = ["P-256"]

    [days]                                        # longest life of a certificate, in days
    document-signer = 90

    [credentials]
    doctypes = ["org.iso.18013.5.1.mDL"]
    namespaces = ["org.iso.18013.5.1", "org.iso.18013.5.1.aamva"]
    days = 14                                     # longest life of a security object, from signed to validUntil
    signed_back_hours = 24                        # how long ago, at most, signed may be said to be
    valid_from_ahead_days = 7                     # how long after the time of issuing, at most, validFrom may be
    status_required = true                        # nothing is issued that cannot be revoked by a list
    time_zone = "America/Denver"                  # where the days of the calendar begin and end
    mandatory."org.iso.18013.5.1" = ["age_over_21"]

    [addresses]                                   # where CRLs and status lists may be looked for
    hosts = ["mdl.example"]
    status-lists = ["https://mdl.example/status/{list}"]

    [roles]                                       # who may do what, by capability
    required = true                               # nothing without --as ROLE
    issuing-service = ["credential.issue"]        # a command's name stands for what the command needs

Whatever a policy leaves out is as in `IssuancePolicy()`, which allows what the program does. A policy takes away and
never adds: what the profiles forbid stays forbidden. It is kept in the store's settings, so every change of it is in
the audit log, by digest.

What the roles enforce, and what not. A role is a set of capabilities (`issuer.capabilities`), and a word that the
caller says: it keeps people and services that mean well to their own work, by the command and by the library alike,
and puts on record who was refused what. What keeps others from a key is its token's PIN, and nothing here:
a PKCS#11 token has one user PIN, so roles that must be apart have tokens of their own. The root's is the ceremony
officer's and lies in a folder, best on a machine, of its own (`issuer.ceremony`); that of the document signers is
shared by the DS operator and the issuing service; the auditor's key of the checkpoints may lie in a third (``audit
checkpoint --token-uri``). A user of the operating system who can write the folder or the store can change the policy;
that somebody did shows in the log against a checkpoint.

Spec:
    pki.md §1, §2 (the maxima), §4 (rotation), §10.2 (duties).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from issuer.addresses import check_template
from issuer.audit import Actor
from issuer.capabilities import COMMANDS, ROLES, Capability, capabilities_of
from issuer.issuance import Order, order_violation, refuse_order
from issuer.signers import CERTIFIED
from issuer.store import Reader, Role, Store
from issuer.toml import load_toml
from mdl.doctypes import DOCTYPES, Violation, find_doctype, plain_name
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, ProfileError
from mdl.keys import CURVES, PublicKey

__all__ = ["MAX_POLICY_BYTES", "SIGNED_AHEAD", "IssuancePolicy", "PolicyInForce", "find_time_zone"]

MAX_POLICY_BYTES: Final = 64 * 1024
"""Largest policy file, in bytes, inclusive."""
SIGNED_AHEAD: Final = timedelta(minutes=5)
"""How far ``signed`` may lie ahead of the authority's clock: as far as the clocks of its hosts differ."""

_SIGNING: Final = tuple(one.name for one in CURVES.values() if one.algorithm is not None)
_ON_CURVES: Final = tuple(one.name for one in CURVES.values() if one.algorithm is not None and one.kind == "EC")
# pki.md §1: no Edwards key signs certificates or lists.
_EDWARDS: Final = frozenset({Role.DOCUMENT_SIGNER, Role.JWS_SIGNER, Role.READER, Role.AUDIT})


def _default_curves() -> Mapping[Role, frozenset[str]]:
    return MappingProxyType({role: frozenset(_SIGNING if role in _EDWARDS else _ON_CURVES) for role in Role})


def _default_days() -> Mapping[Role, int]:
    planned = {role: one.profile.planned_validity for role, one in CERTIFIED.items()}
    return MappingProxyType({role: life.days for role, life in planned.items() if life is not None})


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuancePolicy:
    """What an authority allows. Without arguments: all that the program does, whoever asks.

    Attributes:
        curves: Which curves a key may be on, by what it is for.
        days: How long a certificate may live, in days, inclusive, by what it is for. No entry: no limit of this kind.
        doctypes: Which document types may be issued.
        namespaces: Which namespaces a credential may have, or None for all that the document type allows.
        credential_days: How long a security object may live, from ``signed`` to ``validUntil``, in days, inclusive;
            None for no limit but the document signer's.
        signed_back_hours: How long ago ``signed`` may be said to be, in hours, inclusive: so that many credentials can
            have one moment, and nobody is known by it.
        valid_from_ahead_days: How long after the time of issuing ``validFrom`` may be, in days, inclusive. It is never
            before ``signed``.
        status_required: Whether every credential has a status, by which it can be revoked alone.
        time_zone: Where the authority's days begin and end, an IANA name, or None for what the authority was founded
            with.
        mandatory: Elements that every credential has here, by namespace, beside those of the standard.
        capabilities: Who can do what.
        role_required: Whether nothing is done for somebody who names no role.
        hosts: At which hosts CRLs and status lists may be looked for, or None for any.
        status_urls: By which templates the addresses of status lists may be made, or None for any.
    """

    curves: Mapping[Role, frozenset[str]] = field(default_factory=_default_curves)
    days: Mapping[Role, int] = field(default_factory=_default_days)
    doctypes: frozenset[str] = frozenset(DOCTYPES)
    namespaces: frozenset[str] | None = None
    credential_days: int | None = None
    signed_back_hours: int = 24
    valid_from_ahead_days: int = 31
    status_required: bool = False
    time_zone: str | None = None
    mandatory: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    capabilities: Mapping[Actor, frozenset[Capability]] = field(default_factory=lambda: ROLES)
    role_required: bool = False
    hosts: frozenset[str] | None = None
    status_urls: frozenset[str] | None = None

    # --- checks ---

    def check_address(self, url: str) -> None:
        """Refuse an address at a host that is not allowed here.

        Raises:
            IssuanceError: It is at another host (code ``policy.address``).
        """
        if self.hosts is not None and (urlsplit(url).hostname or "") not in self.hosts:
            allowed = ", ".join(sorted(self.hosts))
            message = f"the policy of this authority allows addresses at these hosts only: {allowed}"
            raise IssuanceError(message, code="policy.address")

    def check_status_plan(self, template: str) -> None:
        """Refuse a template of status lists' addresses that is not allowed here.

        Raises:
            IssuanceError: It is not, or is at another host (code ``policy.address``).
        """
        self.check_address(template)
        if self.status_urls is not None and template not in self.status_urls:
            allowed = ", ".join(sorted(self.status_urls))
            message = f"the policy of this authority allows status lists at these addresses only: {allowed}"
            raise IssuanceError(message, code="policy.address")

    def check_key(self, role: Role, key: PublicKey | str) -> None:
        """Refuse a key that may not serve here.

        Args:
            role: What the key is for.
            key: The key, or the name of the curve that it shall be on.

        Raises:
            ProfileError: Its curve is not allowed for that (code ``policy.curve``).
        """
        curve = key.curve.name if isinstance(key, PublicKey) else key
        if curve not in self.curves.get(role, frozenset()):
            message = f"the policy of this authority allows no key on {plain_name(curve)} for: {role.value}"
            raise ProfileError(message, code="policy.curve")

    def check_certificate(self, role: Role, life: timedelta) -> None:
        """Refuse a certificate that would live too long here.

        Args:
            role: What it is for.
            life: From notBefore to notAfter.

        Raises:
            ProfileError: That is longer than allowed (code ``policy.certificate_days``).
        """
        most = self.days.get(role)
        if most is not None and life > timedelta(days=most):
            message = f"the policy of this authority lets a certificate live {most} days at most, for: {role.value}"
            raise ProfileError(message, code="policy.certificate_days")

    def longest(self, role: Role, otherwise: timedelta) -> timedelta:
        """How long a certificate may live where nothing else is asked for.

        Args:
            role: What it is for.
            otherwise: How long it would without a policy.
        """
        most = self.days.get(role)
        return otherwise if most is None else min(otherwise, timedelta(days=most))

    def check_doctype(self, doctype: str) -> None:
        """Refuse a document type that is not issued here.

        Raises:
            IssuanceError: It is not (code ``policy.doctype``).
        """
        if doctype not in self.doctypes:
            raise IssuanceError(_NOT_ISSUED, code="policy.doctype")

    @property
    def zone(self) -> tzinfo | None:
        """The time zone, or None where the policy names none."""
        return None if self.time_zone is None else find_time_zone(self.time_zone)

    def check_order(self, order: Order, doctype: str, *, at: datetime | None = None) -> None:
        """Refuse an order that is not carried out here; the arguments are those of `violations`.

        Raises:
            IssuanceError: It is not; ``.violations`` has all that is wrong with it.
        """
        found = self.violations(order, doctype, at=at)
        if found:
            raise refuse_order(found)

    def violations(self, order: Order, doctype: str, *, at: datetime | None = None) -> tuple[Violation, ...]:
        """Tell everything for which an order is not carried out here.

        Args:
            order: The order, which may be issued by all that is general.
            doctype: The document type that it will be.
            at: The time, aware UTC; None tells nothing of when it is signed.

        Returns:
            That it is of another document type (code ``policy.doctype``), is signed at another time
            (``policy.signed``), will be valid too late (``policy.valid_from``), lives too long
            (``policy.credential_days``), has a namespace that is not allowed (``policy.namespace``), or lacks an
            element (``policy.mandatory``).
        """
        found = []
        if doctype not in self.doctypes:
            found.append(order_violation("policy.doctype", "", _NOT_ISSUED))
        moments = (order.validity.signed, order.validity.valid_from, order.validity.valid_until)
        if all(moment.utcoffset() is not None for moment in moments):  # else a violation of its own
            found += self._untimely(order, at)
        found += [
            Violation(
                namespace=plain_name(namespace),
                identifier="",
                code="policy.namespace",
                message="is a namespace that the policy of this authority does not allow",
            )
            for namespace in order.namespaces
            if self.namespaces is not None and namespace not in self.namespaces
        ]
        found += [
            Violation(
                namespace=namespace,
                identifier=identifier,
                code="policy.mandatory",
                message="is missing, and mandatory by the policy of this authority",
            )
            for namespace, identifiers in sorted(self.mandatory.items())
            for identifier in sorted(identifiers - order.namespaces.get(namespace, {}).keys())
            if _defines(doctype, namespace)
        ]
        return tuple(found)

    def _untimely(self, order: Order, at: datetime | None) -> list[Violation]:
        found = []
        validity, days = order.validity, self.credential_days
        if at is not None:
            if not at - timedelta(hours=self.signed_back_hours) <= validity.signed <= at + SIGNED_AHEAD:
                what = (
                    f"must be the time of issuing, or at most {self.signed_back_hours} hours before it"
                    " (credentials.signed_back_hours in the policy)"
                )
                found.append(order_violation("policy.signed", "validity.signed", what))
            if validity.valid_from > at + timedelta(days=self.valid_from_ahead_days) + SIGNED_AHEAD:
                what = (
                    f"must be at most {self.valid_from_ahead_days} days after the time of issuing"
                    " (credentials.valid_from_ahead_days in the policy)"
                )
                found.append(order_violation("policy.valid_from", "validity.valid_from", what))
        if days is not None and validity.valid_until - validity.signed > timedelta(days=days):
            what = f"must be at most {days} days after signed, by the policy"
            found.append(order_violation("policy.credential_days", "validity.valid_until", what))
        return found

    def check_actor(self, actor: Actor | None, operation: str) -> None:
        """Refuse an operation to a role that lacks a capability for it.

        Args:
            actor: In which role somebody asks, or None where none was named.
            operation: What is asked for, as `issuer.capabilities` names it, or a command as it follows ``mdl issuer``.

        Raises:
            IssuanceError: The role may not (code ``policy.role``), or a role has to be named
                (``policy.role_required``).
        """
        if actor is None:
            if self.role_required:
                message = "the policy of this authority asks for a role: name yours with --as or in MDL_ROLE"
                raise IssuanceError(message, code="policy.role_required")
            return
        needs = capabilities_of(operation)
        if needs is None:
            raise IssuanceError(f"no role can do '{operation}': it is not known here", code="policy.role")
        lacks = sorted(needs - self.capabilities.get(actor, frozenset()))
        if lacks:
            whose = [one.value for one, theirs in self.capabilities.items() if needs <= theirs]
            message = (
                f"'{operation}' needs {' and '.join(lacks)}, which the role {actor.value} does not have here; "
                f"who can do it: {', '.join(whose) or 'nobody'}"
            )
            raise IssuanceError(message, code="policy.role")

    # --- reading and writing ---

    @classmethod
    def parse(cls, text: str | bytes, *, source: str = "the policy") -> IssuancePolicy:
        """Read a policy from TOML.

        Args:
            text: The content of the file.
            source: The file's name, for messages.

        Raises:
            DecodeError: It is not TOML (code ``policy.toml``), has a member that is unknown or of a wrong type
                (``policy.form``), names what does not exist (``policy.unknown``), or contradicts itself or the
                profiles (``policy.contradiction``). `path` says where.
        """
        document = load_toml(text, source=source, code="policy.toml", most=MAX_POLICY_BYTES)
        return _Reading(source).policy(document)

    @classmethod
    def of_settings(cls, document: Mapping[str, Any]) -> IssuancePolicy:
        """The policy that a store's settings hold; the one that allows all if they hold none.

        Raises:
            DecodeError: They hold one that this program does not understand.
        """
        kept = document.get("policy")
        return cls() if kept is None else _Reading("the policy in the store").policy(kept)

    @classmethod
    def of_store(cls, reader: Reader) -> IssuancePolicy:
        """The policy of a store; see `of_settings`."""
        settings = reader.settings()
        return cls() if settings is None else cls.of_settings(settings.document)

    def to_settings(self) -> dict[str, Any]:
        """The policy as plain values, complete, as `of_settings` reads it."""
        credentials: dict[str, Any] = {"doctypes": sorted(self.doctypes)}
        if self.namespaces is not None:
            credentials["namespaces"] = sorted(self.namespaces)
        if self.credential_days is not None:
            credentials["days"] = self.credential_days
        credentials["signed_back_hours"] = self.signed_back_hours
        credentials["valid_from_ahead_days"] = self.valid_from_ahead_days
        if self.status_required:
            credentials["status_required"] = True
        if self.time_zone is not None:
            credentials["time_zone"] = self.time_zone
        if self.mandatory:
            credentials["mandatory"] = {name: sorted(elements) for name, elements in sorted(self.mandatory.items())}
        addresses = {
            name: sorted(allowed)
            for name, allowed in (("hosts", self.hosts), ("status-lists", self.status_urls))
            if allowed is not None
        }
        return {
            "version": 1,
            **({"addresses": addresses} if addresses else {}),
            "keys": {role.value: sorted(curves) for role, curves in self.curves.items()},
            "days": {role.value: days for role, days in self.days.items()},
            "credentials": credentials,
            "roles": {"required": self.role_required}
            | {actor.value: sorted(one.value for one in can) for actor, can in self.capabilities.items()},
        }

    def to_toml(self) -> str:
        """The policy as TOML, complete, as `parse` reads it."""
        settings = self.to_settings()
        lines = [f"version = {settings.pop('version')}"]
        for name, table in settings.items():
            inner = {key: value for key, value in table.items() if isinstance(value, dict)}
            lines += ["", f"[{name}]", *(_line(key, value) for key, value in table.items() if key not in inner)]
            for key, value in inner.items():
                lines += ["", f"[{name}.{key}]", *(_line(*one) for one in value.items())]
        return "\n".join(lines) + "\n"


_NOT_ISSUED: Final = "the policy of this authority does not allow this document type"


@lru_cache(maxsize=64)
def find_time_zone(name: str) -> tzinfo:
    """The time zone of an IANA name, as this machine knows it.

    Raises:
        DecodeError: It knows none of that name (code ``authority.time_zone``).
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        pass
    message = (
        "there is no such time zone on this machine: give an IANA name, as America/Denver (on a machine without the"
        " time zones install the package tzdata)"
    )
    raise DecodeError(message, code="authority.time_zone")


class PolicyInForce:
    """Gives the policy of a store as it is each time, for services that run while it changes."""

    def __init__(self, store: Store) -> None:
        """Take the store."""
        self._store = store
        self._known: tuple[int, IssuancePolicy] | None = None

    def __call__(self) -> IssuancePolicy:
        """The policy now.

        Raises:
            DecodeError: The store holds one that this program does not understand, or is damaged.
            SigningError: It cannot be reached.
        """
        with self._store.reading() as reader:
            settings = reader.settings()
        version = 0 if settings is None else settings.version
        if self._known is None or self._known[0] != version:
            self._known = version, IssuancePolicy.of_settings({} if settings is None else settings.document)
        return self._known[1]


def _meant(name: str) -> frozenset[Capability]:
    """What a name in a policy stands for: a capability, or all that a command needs."""
    needs = capabilities_of(name)
    return frozenset({Capability(name)}) if needs is None else needs


def _line(key: str, value: object) -> str:
    # A JSON string without escapes of surrogates is a TOML basic string; so are its numbers, booleans and arrays.
    name = key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else json.dumps(key)
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"


def _defines(doctype: str, namespace: str) -> bool:
    document_type = find_doctype(doctype)
    return document_type is not None and (
        any(one.name == namespace for one in document_type.namespaces) or document_type.is_open_namespace(namespace)
    )


class _Reading:
    """Reads a policy strictly: nothing unknown, everything of its type, nothing that could not be meant."""

    def __init__(self, source: str) -> None:
        self._source = source

    def policy(self, document: Any) -> IssuancePolicy:
        parts = self._table(document, "", ("version", "addresses", "keys", "days", "credentials", "roles"))
        if type(parts.get("version")) is not int or parts["version"] != 1:
            self._refuse("form", "version", "must be 1")
        curves = {**_default_curves(), **self._curves(parts.get("keys", {}))}
        days = {**_default_days(), **self._days(parts.get("days", {}))}
        credentials = self._table(
            parts.get("credentials", {}),
            "credentials",
            (
                *("doctypes", "namespaces", "days", "signed_back_hours", "valid_from_ahead_days", "status_required"),
                *("time_zone", "mandatory"),
            ),
        )
        doctypes = frozenset(DOCTYPES)
        if "doctypes" in credentials:
            doctypes = self._names(credentials["doctypes"], "credentials.doctypes", DOCTYPES, "document type")
        namespaces = None
        if "namespaces" in credentials:
            namespaces = self._names(credentials["namespaces"], "credentials.namespaces")
        status_required = credentials.get("status_required", False)
        if type(status_required) is not bool:
            self._refuse("form", "credentials.status_required", "must be true or false")
        life = None
        if "days" in credentials:
            life = self._number(credentials["days"], "credentials.days")
        policy = IssuancePolicy(
            curves=MappingProxyType(curves),
            days=MappingProxyType(days),
            doctypes=doctypes,
            namespaces=namespaces,
            credential_days=life,
            status_required=status_required,
            **self._times(credentials),
            mandatory=self._mandatory(credentials.get("mandatory", {})),
            **self._addresses(parts.get("addresses", {})),
            **self._roles(parts.get("roles", {})),
        )
        self._consistent(policy)
        return policy

    def _curves(self, table: Any) -> dict[Role, frozenset[str]]:
        found = {}
        for name, value in self._table(table, "keys", tuple(Role)).items():
            role = Role(name)
            path = f"keys.{name}"
            found[role] = self._names(value, path, _SIGNING, "curve of a signature key")
            edwards = sorted(found[role] - {*_ON_CURVES})
            if edwards and role not in _EDWARDS:
                self._refuse("contradiction", path, f"{edwards[0]} is not for such a key, by the certificate profiles")
        return found

    def _days(self, table: Any) -> dict[Role, int]:
        found = {}
        for name, value in self._table(table, "days", tuple(CERTIFIED)).items():
            role = Role(name)
            found[role] = self._number(value, f"days.{name}")
            most = _default_days().get(role)
            if most is not None and found[role] > most:
                self._refuse("contradiction", f"days.{name}", f"more than the profile's {most} days")
        return found

    def _times(self, credentials: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, what in (("signed_back_hours", "hours"), ("valid_from_ahead_days", "days")):
            if name in credentials:
                found[name] = self._number(credentials[name], f"credentials.{name}", least=0, what=what)
        if "time_zone" in credentials:
            path, zone = "credentials.time_zone", credentials["time_zone"]
            if type(zone) is not str:
                self._refuse("form", path, "must be a text")
            try:
                find_time_zone(zone)
            except DecodeError as exc:
                self._refuse("unknown", path, exc.message)
            found["time_zone"] = zone
        return found

    def _mandatory(self, table: Any) -> Mapping[str, frozenset[str]]:
        path = "credentials.mandatory"
        if type(table) is not dict:
            self._refuse("form", path, "must be a table of namespaces")
        return MappingProxyType({name: self._names(value, f"{path}.{name}") for name, value in table.items()})

    def _addresses(self, table: Any) -> dict[str, Any]:
        parts = self._table(table, "addresses", ("hosts", "status-lists"))
        found: dict[str, frozenset[str]] = {}
        if "hosts" in parts:
            found["hosts"] = self._names(parts["hosts"], "addresses.hosts")
            if any(one != one.lower() or set(one) & set("/:@ ") for one in found["hosts"]):
                self._refuse("form", "addresses.hosts", "must be names of hosts, in lower case, without scheme or port")
        if "status-lists" in parts:
            found["status_urls"] = self._names(parts["status-lists"], "addresses.status-lists")
            for one in sorted(found["status_urls"]):
                try:
                    check_template(one)
                except LocalProtocolError as exc:
                    self._refuse("contradiction", "addresses.status-lists", exc.message)
                if "hosts" in found and (urlsplit(one).hostname or "") not in found["hosts"]:
                    self._refuse(
                        "contradiction", "addresses.status-lists", "at a host that is not among addresses.hosts"
                    )
        return found

    def _roles(self, table: Any) -> dict[str, Any]:
        parts = self._table(table, "roles", ("required", *Actor))
        required = parts.pop("required", False)
        if type(required) is not bool:
            self._refuse("form", "roles.required", "must be true or false")
        known = {*map(str, Capability), *COMMANDS}
        found = {
            Actor(name): frozenset().union(
                *map(_meant, self._names(value, f"roles.{name}", known, "capability or command", may_be_empty=True))
            )
            for name, value in parts.items()
        }
        return {"role_required": required, "capabilities": MappingProxyType({**ROLES, **found})}

    def _consistent(self, policy: IssuancePolicy) -> None:
        """Refuse what could never be fulfilled."""
        for index, name in enumerate(sorted(policy.namespaces or ())):
            if not any(_defines(doctype, name) for doctype in policy.doctypes):
                path = f"credentials.namespaces[{index}]"
                self._refuse("contradiction", path, "no document type that is allowed has this namespace")
        for name, identifiers in policy.mandatory.items():
            path = f"credentials.mandatory.{name}"
            defined = [one for one in policy.doctypes if _defines(one, name)]
            if not defined:
                self._refuse("contradiction", path, "no document type that is allowed has this namespace")
            if policy.namespaces is not None and name not in policy.namespaces:
                self._refuse("contradiction", path, "elements of a namespace that is not allowed")
            for identifier in sorted(identifiers):
                if not any(DOCTYPES[one].rule(name, identifier) for one in defined):
                    self._refuse("contradiction", path, f"{plain_name(identifier)} is not defined in this namespace")
        signer = policy.days[Role.DOCUMENT_SIGNER]
        if policy.credential_days is not None and policy.credential_days > signer:
            self._refuse("contradiction", "credentials.days", f"longer than a document signer lives, {signer} days")
        if signer > policy.days[Role.IACA]:
            self._refuse("contradiction", "days.document-signer", "longer than the root lives")
        if policy.role_required and not any(
            Capability.SETTINGS_CHANGE in theirs for theirs in policy.capabilities.values()
        ):
            self._refuse("contradiction", "roles", "nobody could change this policy: give 'settings.change' to a role")

    def _table(self, value: Any, path: str, known: Iterable[str]) -> dict[str, Any]:
        if type(value) is not dict:
            self._refuse("form", path, "must be a table")
        for name in value:
            if name not in known:
                where = f"{path}.{plain_name(name)}" if path else plain_name(name)
                self._refuse("form", where, "is not known here")
        return dict(value)

    def _names(
        self, value: Any, path: str, known: Iterable[str] | None = None, what: str = "", *, may_be_empty: bool = False
    ) -> frozenset[str]:
        if type(value) is not list or not all(type(one) is str and one for one in value):
            self._refuse("form", path, "must be an array of texts")
        if not value and not may_be_empty:
            self._refuse("contradiction", path, "allows nothing at all")
        if len({*value}) != len(value):
            self._refuse("form", path, "has a text twice")
        for index, one in enumerate(value):
            if known is not None and one not in known:
                self._refuse("unknown", f"{path}[{index}]", f"there is no such {what}")
        return frozenset(value)

    def _number(self, value: Any, path: str, *, least: int = 1, what: str = "days") -> int:
        if type(value) is not int or not least <= value <= 100_000:
            self._refuse("form", path, f"must be a whole number of {what}, at least {least}")
        return value

    def _refuse(self, kind: str, path: str, reason: str) -> NoReturn:
        raise DecodeError(f"{self._source} cannot be used: {reason}", code=f"policy.{kind}", path=path)

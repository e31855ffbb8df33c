"""What an actor may do: the capabilities, and the one table of which operation needs which.

An operation is what the audit log names as the verb of a refusal. The table names the methods and the commands that
carry it out; a test holds every public method and every command against it. A role is a set of capabilities, which the
policy may change (`issuer.policy`). `issuer.operations` judges, whoever calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from issuer.audit import Actor

__all__ = ["COMMANDS", "OPERATIONS", "ROLES", "Capability", "Operation", "capabilities_of"]


class Capability(StrEnum):
    """One thing that an actor may do."""

    AUTHORITY_READ = "authority.read"
    AUTHORITY_FOUND = "authority.found"
    AUDIT_READ = "audit.read"
    AUDIT_CHECKPOINT = "audit.checkpoint"
    SETTINGS_CHANGE = "settings.change"
    """Change the policy."""
    RULES_CHANGE = "rules.change"
    """Change the rules of rotation."""
    ROOT_MAKE = "root.make"
    ROOT_USE = "root.use"
    """Have a root's key sign: a certificate, a CRL."""
    ROOT_GIVE_UP = "root.give-up"
    CEREMONY_HOLD = "ceremony.hold"
    SIGNER_MAKE = "signer.make"
    """Make a signer's key, or retire one."""
    SIGNER_USE = "signer.use"
    """Open a signer's key for something that this program does not do: JSON Web Signatures, OCSP, readers."""
    CERTIFICATE_ACCEPT = "certificate.accept"
    """Take a certificate, a CRL or a root from an offline root."""
    CERTIFICATE_REVOKE = "certificate.revoke"
    CREDENTIAL_ISSUE = "credential.issue"
    CREDENTIAL_REVOKE = "credential.revoke"
    LIST_SIGN = "list.sign"
    LIST_RETIRE = "list.retire"
    LIST_MOVE = "list.move"
    PUBLICATION_PUBLISH = "publication.publish"
    VICAL_SIGN = "vical.sign"
    STORE_BACKUP = "store.backup"
    STORE_RESTORE = "store.restore"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation.

    Attributes:
        name: Its name; behind ``--`` an option by which it needs more, or less, than without.
        needs: What an actor must be able to do: all of it.
        methods: The methods and functions that carry it out.
        commands: The commands that do, as they follow ``mdl issuer``; without any, the name is one.
    """

    name: str
    needs: frozenset[Capability]
    methods: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


_READ: Final = frozenset({Capability.AUTHORITY_READ})

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "read",
        _READ,
        (),
        ("ceremony enrol", "ceremony verify", "credentials", "health", "lists", "plan", "policy check", "policy show",
         "rules --show", "status", "watch"),
    ),
    Operation(
        "audit read",
        frozenset({Capability.AUDIT_READ}),
        ("Authority.verify_audit", "Authority.examine_audit", "Authority.audit_records"),
        ("audit verify", "audit report", "audit export"),
    ),
    Operation(
        "checkpoint", frozenset({Capability.AUDIT_CHECKPOINT}), ("Authority.sign_checkpoint",), ("audit checkpoint",)
    ),
    Operation("init", frozenset({Capability.AUTHORITY_FOUND}), ("Authority.found",)),
    Operation("join", frozenset({Capability.AUTHORITY_FOUND}), ("OnlineSide.join",)),
    Operation("policy set", frozenset({Capability.SETTINGS_CHANGE}), ("Authority.set_policy",)),
    Operation("rules", frozenset({Capability.RULES_CHANGE}), ("lifecycle.set_rules",)),
    Operation(
        "ds",
        frozenset({Capability.ROOT_USE, Capability.SIGNER_MAKE}),
        ("Authority.certify_signer", "Authority.certify"),
    ),
    Operation("certify", frozenset({Capability.ROOT_USE, Capability.SIGNER_MAKE}), ("Authority.certify",)),
    Operation("certify --csr", frozenset({Capability.ROOT_USE}), ("Authority.certify",)),
    Operation("rekey", frozenset({Capability.ROOT_MAKE}), ("Authority.rekey",)),
    Operation("rekey --link", frozenset({Capability.ROOT_MAKE, Capability.ROOT_USE}), ("Authority.rekey",)),
    Operation("certify --root", frozenset({Capability.ROOT_MAKE}), ("Authority.found_ca",)),
    Operation("crl", frozenset({Capability.ROOT_USE}), ("Authority.publish_crl",)),
    Operation(
        "crl --revoke", frozenset({Capability.ROOT_USE, Capability.CERTIFICATE_REVOKE}), ("Authority.publish_crl",)
    ),
    Operation("give-up-root", frozenset({Capability.ROOT_GIVE_UP}), ("Authority.give_up_root",)),
    Operation("rotate", frozenset({Capability.ROOT_USE}), ("lifecycle.rotate",)),
    Operation("rotate --retire", frozenset({Capability.SIGNER_MAKE}), ("lifecycle.rotate",)),
    Operation("ceremony", frozenset({Capability.CEREMONY_HOLD}), ("Ceremony.hold",)),
    Operation("csr", frozenset({Capability.SIGNER_MAKE}), ("OnlineSide.request",)),
    Operation("accept", frozenset({Capability.CERTIFICATE_ACCEPT}), ("OnlineSide.accept",)),
    Operation("private-ca", frozenset({Capability.ROOT_USE})),
    Operation("issue", frozenset({Capability.CREDENTIAL_ISSUE}), ("Authority.open_issuer",)),
    Operation(
        "revoke",
        frozenset({Capability.CREDENTIAL_REVOKE}),
        ("revocation.revoke_credential", "revocation.revoke_credentials", "revocation.revoke_all_of"),
    ),
    Operation(
        "revoke --certificate", frozenset({Capability.CERTIFICATE_REVOKE}), ("revocation.revoke_certificate",)
    ),
    Operation(
        "sign-lists",
        frozenset({Capability.LIST_SIGN}),
        ("Authority.open_signer", "revocation.sign_due", "ListSigner.sign"),
    ),
    Operation("retire-list", frozenset({Capability.LIST_RETIRE})),
    Operation("move-list", frozenset({Capability.LIST_MOVE})),
    Operation("publish", frozenset({Capability.PUBLICATION_PUBLISH}), ("Publisher.publish",)),
    Operation("vical", frozenset({Capability.VICAL_SIGN}), ("Authority.open_signer",)),
    Operation("signer", frozenset({Capability.SIGNER_USE}), ("Authority.open_signer",)),
    Operation("backup", frozenset({Capability.STORE_BACKUP}), ("Authority.backup",)),
    Operation("restore", frozenset({Capability.STORE_RESTORE}), ("Authority.restore",)),
)  # fmt: skip
"""Every operation, and what it needs."""

_NEEDS: Final = MappingProxyType(
    {command: one.needs for one in OPERATIONS for command in one.commands} | {one.name: one.needs for one in OPERATIONS}
)

COMMANDS: Final = frozenset(
    command.partition(" --")[0]
    for one in OPERATIONS
    if one.name not in ("signer", "sign-lists")
    for command in one.commands or (one.name,)
)
"""The commands, as they follow ``mdl issuer``."""

_ALWAYS: Final = frozenset({Capability.AUTHORITY_READ, Capability.AUDIT_READ})

ROLES: Final[Mapping[Actor, frozenset[Capability]]] = MappingProxyType({
    Actor.CEREMONY_OFFICER: _ALWAYS
    | {Capability.AUTHORITY_FOUND, Capability.SETTINGS_CHANGE, Capability.RULES_CHANGE, Capability.ROOT_MAKE,
       Capability.ROOT_USE, Capability.ROOT_GIVE_UP, Capability.CEREMONY_HOLD, Capability.CERTIFICATE_REVOKE,
       Capability.CREDENTIAL_REVOKE, Capability.STORE_BACKUP, Capability.STORE_RESTORE},
    Actor.SIGNER_OPERATOR: _ALWAYS
    | {Capability.AUTHORITY_FOUND, Capability.RULES_CHANGE, Capability.ROOT_USE, Capability.SIGNER_MAKE,
       Capability.SIGNER_USE, Capability.CERTIFICATE_ACCEPT, Capability.CERTIFICATE_REVOKE,
       Capability.CREDENTIAL_REVOKE, Capability.LIST_SIGN, Capability.LIST_RETIRE, Capability.LIST_MOVE,
       Capability.PUBLICATION_PUBLISH, Capability.VICAL_SIGN, Capability.STORE_BACKUP, Capability.STORE_RESTORE},
    Actor.ISSUING_SERVICE: frozenset({
        Capability.AUTHORITY_READ, Capability.CREDENTIAL_ISSUE, Capability.CREDENTIAL_REVOKE, Capability.LIST_SIGN,
        Capability.PUBLICATION_PUBLISH,
    }),
    Actor.AUDITOR: _ALWAYS | {Capability.AUDIT_CHECKPOINT},
})  # fmt: skip
"""What each role can do where the policy says nothing else."""


def capabilities_of(operation: str) -> frozenset[Capability] | None:
    """What an operation or a command needs; None where there is none of that name."""
    return _NEEDS.get(operation)

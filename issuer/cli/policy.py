"""``mdl issuer policy``: show, check and change what an authority allows; and ``--as ROLE`` for every verb."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from issuer.audit import Acting, Actor
from issuer.authority import Authority
from issuer.cli.clock import add_clock, now, trust_clock
from issuer.policy import IssuancePolicy
from mdl.cli import terminal
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, SigningError

__all__ = ["acting_as", "add_policy", "add_roles", "read_policy"]

_VARIABLE: Final = "MDL_ROLE"
_PERSON: Final = "MDL_PERSON"
_HOST: Final = "MDL_HOST"
_ROLES: Final = tuple(one.value for one in Actor)
# There is no authority yet whose policy could say anything.
_NOT_YET: Final = frozenset({"authority.missing", "authority.unfinished"})


def add_policy(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``policy`` and its verbs."""
    text = "what this authority allows: show it, check a file, change it"
    policy = commands.add_parser("policy", help=text, description=text, allow_abbrev=False)
    verbs = policy.add_subparsers(metavar="VERB", required=True, title="verbs")
    for name, what, run in (
        ("show", "print the policy in force, complete, as TOML", _show),
        ("check", "read a policy file and tell what is wrong with it; nothing is changed", _check),
        ("set", "put a policy in force; the audit log tells that it was, by digest", _set),
    ):
        verb = verbs.add_parser(name, help=what, description=what, allow_abbrev=False)
        verb.set_defaults(run=run)
        if name != "show":
            verb.add_argument("file", metavar="POLICY.toml", help="the policy; what it leaves out is as it always is")
        if name != "check":
            verb.add_argument(
                "--dir", default="authority", metavar="DIR", help="the authority's folder (default: ./authority)"
            )
        verb.add_argument("--json", action="store_true", help="print the result as JSON")


def read_policy(name: str) -> IssuancePolicy:
    """Read a policy from a file.

    Raises:
        DecodeError: It cannot be read, or is none.
    """
    return IssuancePolicy.parse(terminal.read_input(name, label="policy"), source=Path(name).name)


# --- verbs -----------------------------------------------------------------------------------------------------------


def _show(arguments: argparse.Namespace) -> int:
    return _tell(Authority(arguments.dir, actor=acting_as(arguments)).policy, as_json=arguments.json)


def _check(arguments: argparse.Namespace) -> int:
    policy = read_policy(arguments.file)
    if arguments.json:
        return _tell(policy, as_json=True)
    terminal.write([terminal.paint("The policy is sound.", "bold"), "next: mdl issuer policy set " + arguments.file])
    return 0


def _set(arguments: argparse.Namespace) -> int:
    policy = read_policy(arguments.file)
    Authority(arguments.dir, actor=acting_as(arguments)).set_policy(policy, at=now)
    if arguments.json:
        return _tell(policy, as_json=True)
    terminal.write([terminal.paint("The policy is in force.", "bold"), "next: mdl issuer audit checkpoint"])
    return 0


def _tell(policy: IssuancePolicy, *, as_json: bool) -> int:
    if as_json:
        terminal.write_json(policy.to_settings())
    else:
        terminal.write(policy.to_toml().splitlines())
    return 0


# --- roles -----------------------------------------------------------------------------------------------------------


def acting_as(arguments: argparse.Namespace) -> Acting | None:
    """The role that was named, by ``--as`` or in the environment, and the person and the host with it; or None.

    Raises:
        IssuanceError: There is no such role (code ``policy.role``).
        LocalProtocolError: A person or a host is named without a role, or by what is no name (code ``policy.person``).
    """
    name: str | None = getattr(arguments, "role_named", None) or os.environ.get(_VARIABLE) or None
    person = getattr(arguments, "person", None) or os.environ.get(_PERSON) or None
    host = getattr(arguments, "host", None) or os.environ.get(_HOST) or None
    if name is None:
        if person is not None or host is not None:
            message = f"a person and a host are named with a role: name yours with --as or in {_VARIABLE}"
            raise LocalProtocolError(message, code="policy.person")
        return None
    if name not in _ROLES:
        raise IssuanceError(f"{_VARIABLE} names no role: {', '.join(_ROLES)}", code="policy.role")
    return Acting(Actor(name), person, host)


def add_roles(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Give every verb ``--as ROLE``, and have none of them run for a role that lacks a capability for it.

    The authority asks its policy again when the work is done; here it is asked before a file is read or a PIN typed.
    """
    for name, parser in commands.choices.items():
        _add_role(name, parser)


def _add_role(command: str, parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to the verbs of a verb
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            for name, inner in action.choices.items():
                _add_role(f"{command} {name}", inner)
            return
    parser.add_argument(
        "--as",
        dest="role_named",
        choices=_ROLES,
        metavar="ROLE",
        help=f"act in this role: {', '.join(_ROLES)} (default: the variable {_VARIABLE}, or none)",
    )
    parser.add_argument(
        "--person", metavar="NAME", help=f"with --as: who you are, for the audit log (default: {_PERSON}, or nobody)"
    )
    parser.add_argument(
        "--host", metavar="NAME", help=f"with --as: at which machine, for the audit log (default: {_HOST}, or none)"
    )
    add_clock(parser)
    parser.set_defaults(run=_guarded(command, parser.get_default("run")))


def _guarded(command: str, run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def run_as(arguments: argparse.Namespace) -> int:
        trust_clock(arguments)
        asked = command if (named := getattr(arguments, "command", None)) is None else named(arguments)
        actor = acting_as(arguments)
        authority = _authority(arguments, actor)
        if authority is not None:
            authority.require(asked, at=now)
        elif getattr(arguments, "copy", None) is None:  # a store that is put back: that asks its policy
            given = getattr(arguments, "policy", None)
            policy = IssuancePolicy() if given is None else read_policy(given)
            policy.check_actor(None if actor is None else actor.role, asked)
        return run(arguments)

    return run_as


def _authority(arguments: argparse.Namespace, actor: Acting | None) -> Authority | None:
    """The authority that is meant, if there is one yet."""
    folder: Any = getattr(arguments, "dir", None)
    if folder is None or hasattr(arguments, "policy"):
        return None  # those who make one bring the policy with them, and refuse a folder that has one
    if getattr(arguments, "copy", None) is not None:
        return None  # the store may be missing
    try:
        return Authority(folder, actor=actor)
    except DecodeError as exc:
        if exc.code not in _NOT_YET and not hasattr(arguments, "examines"):
            raise
        return None
    except SigningError:
        if not hasattr(arguments, "examines"):
            raise
        return None

"""The command ``mdl``: the composition root, and the only place of `mdl` that imports issuer and reader.

Each role brings its verbs by ``add_commands``; a verb is a function of the parsed arguments that gives the exit status.
Only the role that is asked for is imported, so that a reader needs nothing of what an issuer needs.

Exit status: 0 done or accepted, 1 rejected or findings, 2 usage, 3 unreadable or undecodable input, 4 key custodian,
database or network failure, 5 the state forbids it, 6 done in part; 70 a mistake of ours, 130 interrupted, 141 the
reader of our output has gone. What goes wrong is told in one line on the standard error and, with ``--json``, as an
object on the standard output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Final, NoReturn

from mdl.cli import terminal
from mdl.cli.outputs import check_outputs
from mdl.errors import (
    DecodeError,
    FetchError,
    IssuanceError,
    LocalProtocolError,
    MdlError,
    ProfileError,
    SigningError,
    VerificationError,
)

__all__ = ["main"]

_DONE: Final = 0
_REJECTED: Final = 1
_USAGE: Final = 2
_UNDECODABLE: Final = 3
_CUSTODIAN: Final = 4
_FORBIDDEN: Final = 5
_INTERNAL: Final = 70
_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141

# Everything else of the tree, that is what does not decode or is not supported, is 3.
_STATUS: Final[tuple[tuple[type[MdlError], int], ...]] = (
    (VerificationError, _REJECTED),
    (ProfileError, _REJECTED),
    (IssuanceError, _REJECTED),
    (LocalProtocolError, _USAGE),
    (SigningError, _CUSTODIAN),
    (FetchError, _CUSTODIAN),
)
# What is asked for is well said, and the state of things forbids it.
_STATES: Final = frozenset({
    "authority.clock", "authority.clock_doubted", "authority.last_root", "authority.open",
    "authority.overtaken",
    "authority.serial_unknown", "handover.crl_number", "handover.crl_revokes_less", "publish.conflict",
    "publish.foreign", "publish.rollback", "status.needed", "store.behind", "store.conflict", "store.final",
    "store.signer_state", "store.unknown", "trust.distrusted", "trust.unknown", "vical.order",
})  # fmt: skip
# Which extra brings a module that is missing.
_EXTRAS: Final = {"pkcs11": "hsm", "asn1crypto": "issuer", "boto3": "aws", "rich": "cli"}

_COMMANDS: Final = {
    "demo": "the whole story on this machine, in seconds",
    "inspect": "explain any mdoc structure, certificate, CRL or key file",
    "lint": "hold certificates and CRLs against their profiles",
    "issuer": "run an issuing authority: keys, certificates, licences, revocation",
    "reader": "verify what a holder presents, and say exactly why not",
}


class _UsageError(Exception):
    """The command line itself is wrong."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line, told where all others are."""

    def error(self, message: str) -> NoReturn:
        msg = f"{message} (see '{self.prog} --help')"
        raise _UsageError(msg)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments after the command's name; None for those of the process.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    failure = _Failure(as_json="--json" in words)
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        # A terminal that cannot show a letter gets its number instead.
        sys.stdout.reconfigure(errors="backslashreplace")
    terminal.forget_inputs()
    try:
        status = _run(words)
        terminal.flush()
    except BrokenPipeError:
        terminal.abandon_stdout()
        return _BROKEN_PIPE
    except Exception as exc:
        if sys.flags.dev_mode and not isinstance(exc, MdlError | _UsageError | OSError):
            raise
        return failure.tell(exc)
    except KeyboardInterrupt:
        terminal.write_error("interrupted [cli.interrupted]")
        return _INTERRUPTED
    return status


def _run(words: list[str]) -> int:
    try:
        arguments = _parser(words).parse_args(words)
    except SystemExit as exc:  # --help and --version
        return exc.code if isinstance(exc.code, int) else _DONE
    check_outputs(arguments)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="mdl",
        description="Issue, hold, request and verify ISO/IEC 18013-5 mobile driver's licences.",
        epilog="exit status: 0 done or accepted, 1 rejected or findings, 2 usage, 3 unreadable or undecodable input, "
        "4 key custodian, database or network failure, 5 the state forbids it, 6 done in part",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version() if "--version" in words else "")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, text in _COMMANDS.items():
        if name != asked:
            commands.add_parser(name, help=text)
        elif name == "demo":
            from mdl.cli import demo

            demo.add_commands(commands)
        elif name == "inspect":
            from mdl.cli import inspection

            inspection.add_commands(commands)
        elif name == "lint":
            from mdl.cli import lint

            lint.add_commands(commands)
        else:
            role = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
            verbs = role.add_subparsers(metavar="VERB", required=True, title="verbs")
            if name == "issuer":
                from issuer import cli as issuer_cli

                issuer_cli.add_commands(verbs)
            else:
                from reader import cli as reader_cli

                reader_cli.add_commands(verbs)
    return parser


def _version() -> str:
    try:
        version = metadata.version("mdl-sdk")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    parts = [f"{name} {metadata.version(name)}" for name in ("cbor2", "cryptography")]
    return f"mdl {version} ({', '.join(parts)}, Python {sys.version.split()[0]})"


class _Failure:
    """Tells what went wrong, once, in the form that was asked for."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json

    def tell(self, exc: Exception) -> int:
        """Tell it, and give the exit status."""
        _name_the_input(exc)
        status, code, message, path = _explain(exc)
        if self._as_json:
            try:
                terminal.write_json({"error": {"code": code, "message": terminal.safe(message), "path": path}})
                terminal.flush()
            except OSError:
                terminal.abandon_stdout()
        else:
            try:
                terminal.flush()
            except OSError:
                terminal.abandon_stdout()
        terminal.write_error(str(exc) if isinstance(exc, MdlError) else f"{message} [{code}]")
        return status


def _name_the_input(exc: Exception) -> None:
    """Where a file is something else than what was asked for, say what it is, in the words of the inspector."""
    data = terminal.input_of(exc.path) if isinstance(exc, DecodeError) else None
    if data is None or not isinstance(exc, DecodeError) or exc.code == "input.kind":  # which says so already
        return
    from mdl.cli.inspection import title_of

    title = title_of(data)
    if title is not None:
        exc.message = f"found: {title}, which is not what belongs here: {exc.message}"


def _explain(exc: Exception) -> tuple[int, str, str, str]:
    """Exit status, code, message and path of an exception."""
    if isinstance(exc, MdlError):
        return _status_of(exc), exc.code, exc.message, getattr(exc, "path", "")
    if isinstance(exc, _UsageError):
        return _USAGE, "cli.usage", str(exc), ""
    if isinstance(exc, OSError):
        return _UNDECODABLE, "cli.io", f"input or output failed ({exc.strerror or type(exc).__name__})", ""
    if isinstance(exc, ModuleNotFoundError):
        extra = _EXTRAS.get((exc.name or "").partition(".")[0])
        if extra is not None:
            return _USAGE, "cli.extra_missing", f"this needs the extra '{extra}': pip install 'mdl-sdk[{extra}]'", ""
    internal = terminal.internal_error(exc)
    status = _UNDECODABLE if isinstance(internal, DecodeError) else _INTERNAL
    return status, internal.code, internal.message, ""


def _status_of(exc: MdlError) -> int:
    if isinstance(exc, IssuanceError) and exc.code.startswith("record.") and not exc.violations:
        return _UNDECODABLE  # no record at all
    if isinstance(exc, LocalProtocolError) and exc.code in _STATES:
        return _FORBIDDEN
    return next((status for kind, status in _STATUS if isinstance(exc, kind)), _UNDECODABLE)

"""``mdl issuer``: found an authority, make document signers, issue licences, publish CRLs, audit.

The work is done by `issuer.authority` and `issuer.issuance`; here arguments become calls, and results text or JSON. No
PIN is ever an argument, and nothing of a licence but its size and its dates is ever printed.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from issuer.authority import MAX_CRL_DAYS, Authority, Founding, StorePlace
from issuer.cli.audit import add_audit, secret_source
from issuer.cli.ceremony import add_ceremony
from issuer.cli.certificates import (
    ROOT_CURVES,
    add_certificates,
    add_crl,
    certificate_json,
    certificate_rows,
    crl_json,
    crl_rows,
    moment,
    write_result,
)
from issuer.cli.clock import now
from issuer.cli.handover import add_handover
from issuer.cli.health import add_health
from issuer.cli.lifecycle import add_lifecycle
from issuer.cli.policy import acting_as, add_policy, add_roles, read_policy
from issuer.cli.private_ca import add_private_ca
from issuer.cli.publishing import add_publishing
from issuer.cli.restoring import add_restoring
from issuer.cli.revocation import add_revocation, add_status_plan, status_plan
from issuer.folder import PinSource, output_file
from issuer.holder_keys import parse_holder_key
from issuer.issuance import Order
from issuer.keystore import SecretHandler
from issuer.records import LicenceRecord, parse_record, read_below
from issuer.signers import common_name_of
from issuer.store import Role, StatusPlan
from mdl.cli import terminal
from mdl.cli.outputs import OutputFile
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError, SigningError
from mdl.keys import PublicKey
from mdl.mdoc import ValidityInfo
from mdl.pki import Subject

__all__ = ["add_commands", "parse_device_key"]

_REJECTED: Final = 1


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verbs of the issuer."""
    _add_init(commands)
    add_certificates(commands)
    _add_issue(commands)
    add_crl(commands)
    add_health(commands)
    add_lifecycle(commands)
    add_revocation(commands)
    add_publishing(commands)
    add_audit(commands)
    add_restoring(commands)
    add_policy(commands)
    add_ceremony(commands)
    add_handover(commands)
    add_private_ca(commands)
    add_roles(commands)  # last: every verb is there


def _add_verb(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: Any
) -> argparse.ArgumentParser:
    verb = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    verb.set_defaults(run=run)
    verb.add_argument("--dir", default="authority", metavar="DIR", help="the authority's folder (default: ./authority)")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    pin = verb.add_mutually_exclusive_group()
    pin.add_argument("--pin-env", metavar="NAME", help="take the token's PIN from this environment variable")
    pin.add_argument("--pin-file", metavar="FILE", help="take the token's PIN from this file")
    return verb


def _add_init(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _add_verb(commands, "init", "found an authority: root key in a token, root certificate, first CRL", _init)
    name = verb.add_argument_group("the root's name")
    name.add_argument("--country", required=True, metavar="CC", help="two letters, as in the licence's issuing_country")
    name.add_argument("--state", metavar="CC-XX", help="ISO 3166-2, as in the licence's issuing_jurisdiction")
    name.add_argument("--organization", metavar="NAME", help="the authority's name")
    name.add_argument("--common-name", metavar="NAME", help="the root's name (default: the organization's and IACA)")
    addresses = verb.add_argument_group("addresses (one way to contact the authority is needed)")
    addresses.add_argument("--crl-url", required=True, metavar="URL", help="where the CRL will be served")
    addresses.add_argument("--contact-email", metavar="ADDRESS", help="e-mail address of the authority")
    addresses.add_argument("--contact-uri", metavar="URI", help="web address of the authority")
    keys = verb.add_argument_group("keys and terms")
    keys.add_argument(
        "--token-uri",
        metavar="URI",
        help="a token of any PKCS#11 module, as pkcs11:token=LABEL?module-path=/path/to/module.so, or a prefix of "
        "aliases in AWS KMS, as awskms:///alias/PREFIX?region=REGION (default: a SoftHSM token is made in the folder, "
        "with a PIN in a file that only you can read, unless one is given)",
    )
    keys.add_argument("--key-label", default="iaca", metavar="LABEL", help="label of the root key (default: iaca)")
    keys.add_argument(
        "--take-key",
        action="store_true",
        help="take the key of that label, which the token's own tool made, on the curve that --curve names",
    )
    keys.add_argument("--curve", default="P-256", choices=ROOT_CURVES, help="curve of the root key (default: P-256)")
    keys.add_argument(
        "--days", type=_count, default=3285, metavar="N", help="life of the root (default: 3285, 9 years)"
    )
    keys.add_argument(
        "--crl-days",
        type=_count,
        default=30,
        metavar="N",
        help=f"until the next CRL, at most {MAX_CRL_DAYS} (default: 30)",
    )
    keys.add_argument(
        "--doctype", default="org.iso.18013.5.1.mDL", metavar="TYPE", help="what is issued (default: the mDL)"
    )
    keys.add_argument("--policy", metavar="FILE", help="the issuance policy, TOML (default: all that can be done)")
    keys.add_argument(
        "--time-zone",
        metavar="NAME",
        help="where days of issue, expiry and birth begin and end, an IANA name as America/Denver (default: not said; "
        "then nobody comes of age before it is so in every time zone)",
    )
    store = verb.add_argument_group("the store (default: a file in the folder)")
    store.add_argument(
        "--store",
        metavar="DSN",
        help="keep it in PostgreSQL, for several hosts: postgresql://USER@HOST/DATABASE, empty yet, without a password",
    )
    password = store.add_mutually_exclusive_group()
    password.add_argument(
        "--store-password-env", metavar="NAME", help="take its password from this environment variable, each time"
    )
    password.add_argument("--store-password-file", metavar="FILE", help="take its password from this file, each time")


def _add_issue(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _add_verb(commands, "issue", "issue a licence, signed in the token by the newest document signer", _issue)
    verb.add_argument("record", metavar="RECORD.json", help="the licence's elements; files in it lie in its folder")
    verb.add_argument(
        "--device-key",
        required=True,
        metavar="FILE",
        help="the holder's public key: PEM or DER (SubjectPublicKeyInfo, certificate), JWK, or COSE_Key (CBOR, hex)",
    )
    verb.add_argument(
        "--out",
        type=OutputFile,
        metavar="FILE",
        help="where to write the IssuerSigned structure, CBOR; - for the standard output",
    )
    verb.add_argument("--replace", action="store_true", help="replace the file if it is there")
    verb.add_argument(
        "--check", action="store_true", help="only tell whether the order would be carried out; nothing is issued"
    )
    verb.add_argument(
        "--valid-days", type=_count, default=30, metavar="N", help="days until it must be issued again (default: 30)"
    )
    verb.add_argument(
        "--at",
        type=terminal.argument_time,
        metavar="TIME",
        help="signed and valid from then on, as 2026-01-31T00:00:00Z (default: now); the policy says how far back",
    )
    verb.add_argument(
        "--valid-from",
        type=terminal.argument_time,
        metavar="TIME",
        help="valid from then on (default: from when it is signed); the policy says how far ahead",
    )
    verb.add_argument(
        "--time-zone",
        metavar="NAME",
        help="where the authority's days begin and end, an IANA name (default: as the policy or the founding says)",
    )
    status = add_status_plan(verb, "revocation of single credentials (default: by the lists that were used last)")
    status.add_argument(
        "--no-status",
        action="store_true",
        help="issue without a status although there are lists: only its document signer can then be revoked",
    )


# --- arguments -------------------------------------------------------------------------------------------------------


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= len(text) <= 6 or int(text) < 1:
        msg = "not a whole number of days, at least 1"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def _pin_source(arguments: argparse.Namespace) -> PinSource | None:
    return secret_source(arguments.pin_env, arguments.pin_file)


def _store_place(arguments: argparse.Namespace) -> StorePlace | None:
    if arguments.store is None:
        if arguments.store_password_env is not None or arguments.store_password_file is not None:
            message = "a password is for a store in PostgreSQL: name it with --store"
            raise LocalProtocolError(message, code="store.dsn")
        return None
    source = secret_source(arguments.store_password_env, arguments.store_password_file)
    return StorePlace(dsn=arguments.store, password=source)


def _authority(arguments: argparse.Namespace) -> Authority:
    source = _pin_source(arguments)
    secret: SecretHandler | None = None if source is None else source.handler(Path())
    return Authority(arguments.dir, secret=secret, actor=acting_as(arguments))


def parse_device_key(data: bytes) -> PublicKey:
    """Read a holder's public key; see `issuer.holder_keys.parse_holder_key`. Bytes may come as hex or base64 text."""
    return parse_holder_key(data, open_armour=lambda text: terminal.open_armour(text).data)


# --- verbs -----------------------------------------------------------------------------------------------------------


def _init(arguments: argparse.Namespace) -> int:
    owner = arguments.organization or arguments.state or arguments.country
    founding = Founding(
        subject=Subject(
            country=arguments.country,
            state=arguments.state,
            organization=arguments.organization,
            common_name=common_name_of(owner, Role.IACA) if arguments.common_name is None else arguments.common_name,
        ),
        crl_uri=arguments.crl_url,
        contact_email=arguments.contact_email,
        contact_uri=arguments.contact_uri,
        doctype=arguments.doctype,
        curve=arguments.curve,
        days=arguments.days,
        crl_days=arguments.crl_days,
        token=arguments.token_uri,
        iaca_key=arguments.key_label,
        take_key=arguments.take_key,
        pin=_pin_source(arguments),
        store=_store_place(arguments),
        policy=None if arguments.policy is None else read_policy(arguments.policy),
        time_zone=arguments.time_zone,
    )
    authority = Authority.found(arguments.dir, founding, at=now(), actor=acting_as(arguments))
    root, crl = authority.root, authority.current_crl
    token = authority.token
    if arguments.json:
        result: dict[str, Any] = {"directory": str(authority.folder), "token": token, "doctype": authority.doctype}
        result |= {"iaca": certificate_json(root, authority.root_file), "crl": crl_json(crl, authority.crl_file)}
        terminal.write_json(result)
        return 0
    rows = [("root", str(authority.root_file)), *certificate_rows(root)]
    rows += [("CRL", str(authority.crl_file)), *crl_rows(crl), ("serve it at", root.crl_uris[0]), ("token", token)]
    if authority.pin_file is not None:
        rows.append(("PIN", f"{authority.pin_file} (keep it, and keep it to yourself)"))
    write_result("The authority is founded.", rows, f"next: mdl issuer ds --dir {arguments.dir}")
    return 0


def _issue(arguments: argparse.Namespace) -> int:
    try:
        return _issue_or_check(arguments)
    except IssuanceError as exc:
        if not exc.violations:
            raise
        return _refuse(exc, as_json=arguments.json)


def _issue_or_check(arguments: argparse.Namespace) -> int:
    _check_output(arguments)
    plan = status_plan(arguments)
    record = _read_record(arguments.record)
    data = terminal.read_input(arguments.device_key, label="device-key")
    with terminal.labelled("device-key"):
        device_key = parse_device_key(data)
    authority = _authority(arguments)
    if record.doctype != authority.doctype:
        message = "not issued: the record is of another document type than this authority issues"
        if not arguments.check:
            authority.refuse("issue", "authority.doctype", at=now)
        raise IssuanceError(message, code="authority.doctype")
    at = (arguments.at or now()).replace(microsecond=0)
    start = at if arguments.valid_from is None else arguments.valid_from
    validity = ValidityInfo(signed=at, valid_from=start, valid_until=start + timedelta(days=arguments.valid_days))
    order = Order(namespaces=record.namespaces, device_key=device_key, validity=validity)
    if arguments.check:
        return _tell_check(authority, order, plan, arguments)
    with (
        _output(arguments.out, replace=arguments.replace) as commit,
        authority.open_issuer(
            at=now, plan=plan, revocable=not arguments.no_status, time_zone=arguments.time_zone
        ) as issuer,
    ):
        # An order that is refused is told for what it is, and is put on record.
        if _is_taken(arguments) and not issuer.check([order]):
            message = "the file for the licence is there already: name another one, or give --replace"
            raise LocalProtocolError(message, code="output.exists")
        (issued,) = issuer.issue_batch([order])
        encoded = issued.credential.encode() if issued.credential is not None else b""
        try:
            commit(encoded)
        except SigningError:
            with suppress(MdlError):
                issuer.withdraw(issued.record)
            raise
        signer = issuer.certificate
    elements = sum(map(len, record.namespaces.values()))
    file = arguments.out if arguments.out == _STDOUT else str(Path(arguments.out).absolute())
    if arguments.json:
        terminal.write_json(
            {
                "file": file,
                "doctype": record.doctype,
                "bytes": len(encoded),
                "elements": elements,
                "signed": moment(validity.signed),
                "valid_from": moment(validity.valid_from),
                "valid_until": moment(validity.valid_until),
                "document_signer": f"{signer.serial:x}",
                "reference": issued.record.reference.hex(),
                "status": None if issued.record.place is None else issued.record.place.uri,
            }
        )
        return 0
    rows = [
        ("file", file),
        ("content", f"{record.doctype}, {elements} elements, {len(encoded)} bytes"),
        ("valid", f"{moment(validity.valid_from)} to {moment(validity.valid_until)}"),
        ("signed by", f"{signer.subject}, serial number {signer.serial:x}"),
        ("reference", f"{issued.record.reference.hex()} (keep it: by it alone the licence can be revoked)"),
    ]
    if issued.record.place is not None:
        rows.append(("status", f"told at {issued.record.place.uri} (run mdl issuer publish before it is used)"))
    else:
        rows.append(("status", "none: it can be revoked with its document signer only (--status-url names a list)"))
    if arguments.out == _STDOUT:
        # The licence itself is there.
        for line in terminal.columns(rows):
            terminal.write_error(line)
        return 0
    write_result("The licence is issued.", rows, "next: give the file to the holder")
    return 0


def _tell_check(authority: Authority, order: Order, plan: StatusPlan | None, arguments: argparse.Namespace) -> int:
    """Tell whether an order would be carried out, without the token."""
    revocable = not arguments.no_status
    for refused in authority.check_orders(
        [order], at=now, plan=plan, revocable=revocable, time_zone=arguments.time_zone
    ):
        raise refused.error
    if arguments.json:
        terminal.write_json({"accepted": True, "doctype": authority.doctype})
    else:
        terminal.write([terminal.paint("The licence may be issued.", "bold")])
    return 0


_STDOUT: Final = "-"


def _check_output(arguments: argparse.Namespace) -> None:
    """Refuse an output that cannot be meant.

    Raises:
        LocalProtocolError: There is none (code ``output.missing``), or two things would go to the standard output
            (``output.twice``).
    """
    if arguments.check:
        return
    if not arguments.out or "\0" in arguments.out:
        raise LocalProtocolError("name where to write the licence: --out FILE", code="output.missing")
    if arguments.out == _STDOUT and arguments.json:
        message = "the licence and the JSON would both go to the standard output: give --out FILE"
        raise LocalProtocolError(message, code="output.twice")


def _is_taken(arguments: argparse.Namespace) -> bool:
    """Whether there is a file that nobody has said to replace."""
    return arguments.out != _STDOUT and not arguments.replace and os.path.lexists(arguments.out)


@contextmanager
def _output(name: str, *, replace: bool) -> Iterator[Callable[[bytes], None]]:
    """Where the licence goes: a file, whole or not at all, or the standard output."""
    if name != _STDOUT:
        with output_file(Path(name), private=True, replace=replace) as commit:
            yield commit
        return

    def write(content: bytes) -> None:
        try:
            if sys.stdout is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        except OSError as exc:
            message = f"cannot write to the standard output: {exc.strerror or type(exc).__name__}; nothing was issued"
            raise SigningError(message, code="authority.unwritable") from exc

    yield write


def _read_record(name: str) -> LicenceRecord:
    try:
        text = terminal.read_input(name, label="record").decode("utf-8")
    except UnicodeDecodeError:
        text = None
    if text is None:
        # Raised out here since the codec's error carries the whole record.
        raise DecodeError("the record is not UTF-8", code="record.encoding", path="record")
    return parse_record(text, read_file=read_below(Path() if name == "-" else Path(name).parent))


def _refuse(error: IssuanceError, *, as_json: bool) -> int:
    """Tell everything that is wrong with a record, a line each."""
    if as_json:
        violations = [{"path": one.path, "code": one.code, "message": one.message} for one in error.violations]
        inner = {"code": error.code, "message": error.message, "path": "", "violations": violations}
        terminal.write_json({"error": inner})
    if len(error.violations) == 1:
        terminal.write_error(str(error))
        return _REJECTED
    for one in error.violations:
        terminal.write_error(str(one))
    terminal.write_error(f"nothing was issued: {len(error.violations)} things are wrong with the order [{error.code}]")
    return _REJECTED

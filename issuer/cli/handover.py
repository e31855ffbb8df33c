"""``mdl issuer join``, ``csr`` and ``accept``: the online side of an authority whose root is offline."""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from issuer.authority import StorePlace
from issuer.cli.audit import secret_source
from issuer.cli.clock import now
from issuer.cli.policy import acting_as, read_policy
from issuer.handover import HANDED_ROLES, Joining, OnlineSide
from issuer.keystore import SecretHandler
from issuer.store import Role
from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.errors import VerificationError
from mdl.keys import CURVES
from mdl.pki import Certificate, Crl

__all__ = ["add_handover"]

_SIGNER_CURVES: Final = [curve.name for curve in CURVES.values() if curve.algorithm is not None]


def add_handover(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``join``, ``csr`` and ``accept``."""
    verb = _add_verb(
        commands,
        "join",
        "make the online side of an authority whose root is offline, from its root and CRL",
        _join,
    )
    verb.add_argument("root", metavar="ROOT.pem", help="the root, from its ceremony")
    verb.add_argument("crl", metavar="CRL", help="the root's current CRL")
    verb.add_argument(
        "--sha256",
        required=True,
        type=_fingerprint,
        metavar="HEX",
        help="the root's SHA-256, from the ceremony's record",
    )
    verb.add_argument(
        "--token-uri",
        metavar="URI",
        help="a token of any PKCS#11 module, or a prefix of aliases in AWS KMS, for this side's keys: see mdl issuer "
        "init --help (default: a SoftHSM token is made in the folder)",
    )
    verb.add_argument("--doctype", default="org.iso.18013.5.1.mDL", metavar="TYPE", help="what is issued")
    verb.add_argument("--policy", metavar="FILE", help="the issuance policy, TOML (default: all that can be done)")
    verb.add_argument("--store", metavar="DSN", help="keep the store in PostgreSQL: see mdl issuer init --help")
    password = verb.add_mutually_exclusive_group()
    password.add_argument("--store-password-env", metavar="NAME", help="take its password from this variable")
    password.add_argument("--store-password-file", metavar="FILE", help="take its password from this file")
    _add_pin(verb)

    verb = _add_verb(commands, "csr", "make a key in the token, and a request to carry to the ceremony", _csr)
    roles = [role.value for role in HANDED_ROLES]
    verb.add_argument("--role", default=Role.DOCUMENT_SIGNER.value, choices=roles, help="what the key is for")
    verb.add_argument("--curve", default="P-256", choices=_SIGNER_CURVES, help="curve of the key (default: P-256)")
    _add_pin(verb)

    verb = _add_verb(commands, "accept", "take a certificate or a CRL that was carried back", _accept)
    verb.add_argument("file", metavar="FILE", help="the certificate or the CRL, PEM or DER")
    verb.add_argument(
        "--sha256", type=_fingerprint, metavar="HEX", help="for a new root: its SHA-256, from its ceremony's record"
    )


def _add_verb(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, run: Any
) -> argparse.ArgumentParser:
    verb = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    verb.set_defaults(run=run)
    verb.add_argument("--dir", default="authority", metavar="DIR", help="the authority's folder (default: ./authority)")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    return verb


def _add_pin(verb: argparse.ArgumentParser) -> None:
    pin = verb.add_mutually_exclusive_group()
    pin.add_argument("--pin-env", metavar="NAME", help="take the token's PIN from this environment variable")
    pin.add_argument("--pin-file", metavar="FILE", help="take the token's PIN from this file")


def _fingerprint(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        found = b""
    if len(found) != 32:
        msg = "not a SHA-256 in hex, 64 digits"
        raise argparse.ArgumentTypeError(msg)
    return found


def _side(arguments: argparse.Namespace) -> OnlineSide:
    source = secret_source(getattr(arguments, "pin_env", None), getattr(arguments, "pin_file", None))
    secret: SecretHandler | None = None if source is None else source.handler(Path())
    return OnlineSide(arguments.dir, secret=secret, actor=acting_as(arguments))


# --- verbs -----------------------------------------------------------------------------------------------------------


def _join(arguments: argparse.Namespace) -> int:
    with terminal.labelled("root"):
        root = Certificate.decode_any(terminal.read_input(arguments.root, label="root"))
    with terminal.labelled("crl"):
        crl = Crl.decode_any(terminal.read_input(arguments.crl, label="crl"))
    if root.fingerprint != arguments.sha256:
        message = "the root has another SHA-256 than was named: it is another root"
        raise VerificationError(message, code="handover.fingerprint")
    place = None
    if arguments.store is not None:
        password = secret_source(arguments.store_password_env, arguments.store_password_file)
        place = StorePlace(dsn=arguments.store, password=password)
    joining = Joining(
        root=root,
        crl=crl,
        doctype=arguments.doctype,
        token=arguments.token_uri,
        pin=secret_source(arguments.pin_env, arguments.pin_file),
        store=place,
        policy=None if arguments.policy is None else read_policy(arguments.policy),
    )
    side = OnlineSide.join(arguments.dir, joining, at=now(), actor=acting_as(arguments))
    if arguments.json:
        members = {"directory": str(side.folder), "token": side.token, "root_sha256": root.fingerprint.hex()}
        terminal.write_json(members)
        return 0
    rows = [("folder", str(side.folder)), ("root", str(root.subject)), ("SHA-256", root.fingerprint.hex())]
    rows.append(("token", side.token))
    if side.pin_file is not None:
        rows.append(("PIN", f"{side.pin_file} (keep it, and keep it to yourself)"))
    _write("The online side is ready.", rows, f"next: mdl issuer csr --dir {arguments.dir}")
    return 0


def _csr(arguments: argparse.Namespace) -> int:
    handed = _side(arguments).request(at=now, role=Role(arguments.role), curve=arguments.curve)
    if arguments.json:
        members = {"file": str(handed.file), "sha256": handed.sha256, "key": handed.key, "role": handed.role.value}
        terminal.write_json(members)
        return 0
    rows = [("request", str(handed.file)), ("SHA-256", handed.sha256), ("key", f"{handed.key}, in the token")]
    _write("The request is ready.", rows, "next: carry it to the ceremony, whose script names it by its SHA-256")
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    data = terminal.read_input(arguments.file, label="file")
    taken = _side(arguments).accept(data, at=now, fingerprint=arguments.sha256)
    if isinstance(taken, Crl):
        members = {"kind": "crl", "number": taken.number, "next_update": _moment(taken.next_update)}
        rows = [("number", str(taken.number)), ("next due", _moment(taken.next_update) or "not stated")]
        then = "next: serve it at the address in the certificates"
    else:
        certificate = taken.certificate
        members = {
            "kind": "certificate",
            "role": taken.role.value,
            "key": taken.key,
            "serial": f"{certificate.serial:x}",
            "sha256": certificate.fingerprint.hex(),
            "not_before": _moment(certificate.not_before),
            "not_after": _moment(certificate.not_after),
        }
        rows = [
            ("name", str(certificate.subject)),
            ("role", taken.role.value),
            ("valid", f"{_moment(certificate.not_before)} to {_moment(certificate.not_after)}"),
            ("serial", f"{certificate.serial:x}"),
            ("SHA-256", certificate.fingerprint.hex()),
        ]
        then = "next: mdl issuer issue RECORD.json --device-key … --out …"
    if arguments.json:
        terminal.write_json(members)
        return 0
    _write("The CRL is taken." if isinstance(taken, Crl) else "The certificate is taken.", rows, then)
    return 0


def _moment(time: datetime | None) -> str | None:
    return None if time is None else TDate.of(time).text


def _write(headline: str, rows: list[tuple[str, str]], then: str) -> None:
    terminal.write([terminal.paint(headline, "bold"), *terminal.columns(rows, indent="  "), then])

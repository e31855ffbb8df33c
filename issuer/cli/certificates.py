"""``mdl issuer ds``, ``certify``, ``rekey`` and ``crl``: certificates under the authority's roots, roots, CRLs."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from issuer.authority import MAX_CRL_DAYS, MAX_SIGNER_DAYS, IssuedRoot, IssuedSigner, PublishedCrl
from issuer.cli.arguments import add_verb, count, now, open_authority, serial
from issuer.signers import CERTIFIED
from issuer.store import Role
from mdl.cbor import TDate
from mdl.cli import terminal
from mdl.errors import LocalProtocolError
from mdl.keys import CURVES
from mdl.pki import Certificate, Crl

__all__ = [
    "ROOT_CURVES",
    "add_certificates",
    "add_crl",
    "certificate_json",
    "certificate_rows",
    "crl_json",
    "crl_rows",
    "moment",
    "write_result",
]

_IN_PART: Final = 6
ROOT_CURVES: Final = [curve.name for curve in CURVES.values() if curve.algorithm is not None and curve.kind == "EC"]
_SIGNER_CURVES: Final = [curve.name for curve in CURVES.values() if curve.algorithm is not None]
_ROLES: Final = {one.name: one.role for one in CERTIFIED.values() if one.role not in (Role.IACA, Role.LINK)}
_ROOTS: Final = (Role.READER_CA, Role.VICAL_CA)


def add_certificates(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``ds``, ``certify`` and ``rekey``."""
    text = "make a document signer: key and CSR in the token, certificate by the root"
    verb = add_verb(commands, "ds", text, text, _ds)
    verb.add_argument("--common-name", metavar="NAME", help="its name (default: the root's, DS and a number)")
    verb.add_argument("--curve", default="P-256", choices=_SIGNER_CURVES, help="curve of its key (default: P-256)")
    _add_key(verb)
    verb.add_argument(
        "--days",
        type=count,
        default=MAX_SIGNER_DAYS,
        metavar="N",
        help=f"its life, at most {MAX_SIGNER_DAYS} (default: {MAX_SIGNER_DAYS})",
    )

    verb = add_verb(
        commands,
        "certify",
        "certify a signer of any kind, with its key in the token or from a request",
        "Certify a signer: with a key that is made in the token, or for the key that a PKCS#10 request asks for. Of a "
        "request only the key is taken, once its own signature has proven that the requester holds it. 'reader-ca' and "
        "'vical-ca' are roots of their own, since an IACA certifies no other CA.",
        _certify,
    )
    verb.set_defaults(command=_certify_command)
    verb.add_argument("--role", required=True, choices=list(_ROLES), help="what the key is for")
    verb.add_argument("--csr", metavar="FILE", help="the request, PEM or DER (default: a key is made in the token)")
    verb.add_argument("--common-name", metavar="NAME", help="its name (default: the root's, the role and a number)")
    verb.add_argument("--organization", metavar="NAME", help="for its name (default: the root's)")
    verb.add_argument("--curve", choices=_SIGNER_CURVES, help="curve of a key that is made (default: P-256)")
    _add_key(verb)
    verb.add_argument("--days", type=count, metavar="N", help="its life (default: as long as its profile allows)")
    verb.add_argument("--crl-url", metavar="URL", help="for a root: where its CRLs will be served")

    verb = add_verb(
        commands,
        "rekey",
        "make the next root: a new key, its certificate, its first CRL",
        "Make the next IACA root: a new key in the token, its certificate with the old root's name, its first CRL. The "
        "old root stays trusted: its document signers go on until their signing windows close, and its CRLs until the "
        "last of them expires. Announce the new root to readers and VICAL providers before it certifies.",
        _rekey,
    )
    verb.add_argument(
        "--from",
        dest="certifies_from",
        type=terminal.argument_time,
        metavar="TIME",
        help="document signers are certified under it from then on, as 2026-01-31T00:00:00Z (default: at once)",
    )
    verb.add_argument("--common-name", metavar="NAME", help="another name (default: the old root's, byte for byte)")
    verb.add_argument("--curve", default="P-256", choices=ROOT_CURVES, help="curve of its key (default: P-256)")
    _add_key(verb)
    verb.add_argument("--days", type=count, default=3285, metavar="N", help="its life (default: 3285, 9 years)")
    verb.add_argument(
        "--crl-url", metavar="URL", help="where its CRLs will be served (default: beside the old root's, with a number)"
    )
    verb.add_argument(
        "--crl-days",
        type=count,
        default=30,
        metavar="N",
        help=f"until its second CRL, at most {MAX_CRL_DAYS} (default: 30)",
    )
    verb.set_defaults(command=lambda arguments: "rekey --link" if arguments.link else "rekey")
    verb.add_argument(
        "--link", action="store_true", help="have the old root certify the new key too, for who trusts only the old one"
    )


def _add_key(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--key", metavar="LABEL", help="take a key that the token's own tool made, by its label (default: one is made)"
    )


def add_crl(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``crl``."""
    text = "publish the next CRL of every root in service"
    verb = add_verb(commands, "crl", text, text, _crl)
    verb.set_defaults(command=lambda arguments: "crl --revoke" if arguments.revoke else "crl")
    verb.add_argument(
        "--revoke",
        type=serial,
        nargs="+",
        action="extend",
        default=[],
        metavar="SERIAL",
        help="revoke document signers by their serial numbers, in hex as 'mdl issuer ds' prints them",
    )
    verb.add_argument(
        "--days", type=count, default=30, metavar="N", help=f"until the next CRL, at most {MAX_CRL_DAYS} (default: 30)"
    )
    verb = add_verb(
        commands,
        "give-up-root",
        "put on record that a root is given up, and say who is to be told",
        "Put on record that a root's key is lost, or that somebody else has it: nothing is certified under it any "
        "more, its document signers sign no more, its next CRL is waited for no more. The last one stays published, "
        "and its status lists go on. Another root has to be there: make it first, with 'mdl issuer rekey'.",
        _give_up_root,
    )
    verb.add_argument("root", type=serial, metavar="SERIAL", help="the root's serial number, in hex")
    verb.add_argument("--reason", required=True, choices=("lost", "compromised"), help="what became of its key")


def _certify_command(arguments: argparse.Namespace) -> str:
    """What is asked for, as the policy names it."""
    if _ROLES[arguments.role] in _ROOTS:
        return "certify --root"
    return "certify" if arguments.csr is None else "certify --csr"


# --- verbs -----------------------------------------------------------------------------------------------------------


def _ds(arguments: argparse.Namespace) -> int:
    issued = open_authority(arguments).certify_signer(
        at=now, common_name=arguments.common_name, curve=arguments.curve, days=arguments.days, key=arguments.key
    )
    then = "next: mdl issuer issue RECORD.json --device-key … --out …"
    return _tell_signer(arguments, issued, "The document signer is ready.", then)


def _certify(arguments: argparse.Namespace) -> int:
    role = _ROLES[arguments.role]
    if role in _ROOTS:
        return _found_ca(arguments, role)
    if arguments.crl_url is not None:
        message = "only a root has an address for its CRLs: the others name their root's"
        raise LocalProtocolError(message, code="certify.crl_url")
    if arguments.csr is not None and arguments.curve is not None:
        message = "a request brings its key: no curve is chosen for it"
        raise LocalProtocolError(message, code="certify.curve")
    request = None
    if arguments.csr is not None:
        # What the standard calls PEM, some tools write without its two lines.
        request = terminal.open_armour(terminal.read_input(arguments.csr, label="csr")).data
    with terminal.labelled("csr"):
        issued = open_authority(arguments).certify(
            role,
            at=now,
            request=request,
            common_name=arguments.common_name,
            organization=arguments.organization,
            curve=arguments.curve or "P-256",
            days=arguments.days,
            key=arguments.key,
        )
    title = CERTIFIED[role].profile.title
    return _tell_signer(arguments, issued, f"The certificate is issued: {title}.", "next: hand it to whoever signs")


def _found_ca(arguments: argparse.Namespace, role: Role) -> int:
    if arguments.csr is not None or arguments.organization is not None:
        message = "a root is made in the token, with the organization of the IACA: without --csr and --organization"
        raise LocalProtocolError(message, code="certify.root")
    if arguments.crl_url is None:
        message = "name the address at which the CRLs of the root will be found: --crl-url"
        raise LocalProtocolError(message, code="authority.crl_uri")
    issued = open_authority(arguments).found_ca(
        role,
        at=now,
        crl_uri=arguments.crl_url,
        common_name=arguments.common_name,
        curve=arguments.curve or "P-256",
        days=arguments.days or 3285,
        key=arguments.key,
    )
    return _tell_root(
        arguments, issued, "The root is made.", "next: give it to whoever shall trust it, and serve its CRL"
    )


def _rekey(arguments: argparse.Namespace) -> int:
    issued = open_authority(arguments).rekey(
        at=now,
        certifies_from=arguments.certifies_from,
        common_name=arguments.common_name,
        curve=arguments.curve,
        days=arguments.days,
        crl_uri=arguments.crl_url,
        crl_days=arguments.crl_days,
        link=arguments.link,
        key=arguments.key,
    )
    then = "next: serve its CRL, announce the root, and make document signers when it certifies"
    return _tell_root(arguments, issued, "The next root is made.", then)


def _crl(arguments: argparse.Namespace) -> int:
    published = open_authority(arguments).publish_crl(at=now, revoke=arguments.revoke, days=arguments.days)
    if arguments.json:
        others = [_published_json(one) for one in published.others]
        failures = [
            {"root": str(root.subject), "serial": f"{root.serial:x}", "code": exc.code, "message": exc.message}
            for root, exc in published.failures
        ]
        terminal.write_json(_published_json(published) | {"others": others, "failures": failures})
        return _IN_PART if published.failures else 0
    rows: list[tuple[str, str]] = []
    for one in (published, *published.others):
        rows += [("CRL", str(one.current_file)), *crl_rows(one.crl), ("kept as", str(one.file))]
    what = "CRL is" if not published.others else "CRLs are"
    names = ", ".join(one.current_file.name for one in (published, *published.others))
    for root, exc in published.failures:
        rows += [("NOT SIGNED", f"{root.subject}, serial number {root.serial:x}: {exc}")]
        rows += [("", f"if that key is lost: mdl issuer give-up-root {root.serial:x} --reason lost")]
    write_result(f"The {what} signed.", rows, f"next: serve {names} at the address in the root")
    return _IN_PART if published.failures else 0


def _give_up_root(arguments: argparse.Namespace) -> int:
    root = open_authority(arguments).give_up_root(
        arguments.root,
        at=now,
        is_compromised=arguments.reason == "compromised",
    )
    certificate = root.certificate
    tell = [
        f"readers: take the root with SHA-256 {certificate.fingerprint.hex()} out of their trust, wherever it is",
        "providers of VICALs that list it: leave it out of the next list, and say why",
        "holders: what was issued under it is issued again, under the next root",
    ]
    if arguments.reason == "compromised":
        tell.insert(0, "everybody at once: whatever that root signs from now on may be somebody else's")
    if arguments.json:
        terminal.write_json(
            {
                "serial": f"{certificate.serial:x}",
                "sha256": certificate.fingerprint.hex(),
                "subject": str(certificate.subject),
                "reason": arguments.reason,
                "tell": tell,
            }
        )
        return 0
    rows = [*certificate_rows(certificate), *(("tell", one) for one in tell)]
    then = "next: mdl issuer ds, if the next root has no document signer yet, then mdl issuer publish"
    write_result(f"The root is given up: its key is {arguments.reason}.", rows, then)
    return 0


# --- results ---------------------------------------------------------------------------------------------------------


def moment(time: datetime) -> str:
    """A time as it is shown."""
    return TDate.of(time).text


def write_result(headline: str, rows: Iterable[Sequence[str]], then: str) -> None:
    """Tell what was done, and what comes next."""
    terminal.write([terminal.paint(headline, "bold"), *terminal.columns(rows, indent="  "), then])


def certificate_rows(certificate: Certificate) -> list[tuple[str, str]]:
    """What is told about a certificate."""
    return [
        ("name", str(certificate.subject)),
        ("valid", f"{moment(certificate.not_before)} to {moment(certificate.not_after)}"),
        ("serial", f"{certificate.serial:x}"),
        ("SHA-256", certificate.fingerprint.hex()),
    ]


def certificate_json(certificate: Certificate, file: Path) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "certificate": str(file),
        "subject": str(certificate.subject),
        "serial": f"{certificate.serial:x}",
        "sha256": certificate.fingerprint.hex(),
        "not_before": moment(certificate.not_before),
        "not_after": moment(certificate.not_after),
    }


def crl_rows(crl: Crl) -> list[tuple[str, str]]:
    """What is told about a CRL."""
    revoked = ", ".join(f"{number:x}" for number in crl.revoked) or "nothing"
    return [
        ("number", str(crl.number)),
        ("revokes", revoked),
        ("next due", moment(crl.next_update or crl.this_update)),
    ]


def crl_json(crl: Crl, file: Path) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "file": str(file),
        "number": crl.number,
        "this_update": moment(crl.this_update),
        "next_update": None if crl.next_update is None else moment(crl.next_update),
        "revoked": [f"{number:x}" for number in crl.revoked],
    }


def _published_json(published: PublishedCrl) -> dict[str, Any]:
    return crl_json(published.crl, published.current_file) | {"kept_as": str(published.file)}


def _tell_signer(arguments: argparse.Namespace, issued: IssuedSigner, headline: str, then: str) -> int:
    if arguments.json:
        result = certificate_json(issued.certificate, issued.certificate_file)
        terminal.write_json(result | {"key": issued.key or None, "request": str(issued.request_file)})
        return 0
    rows = [("certificate", str(issued.certificate_file)), *certificate_rows(issued.certificate)]
    rows.append(("request", str(issued.request_file)))
    rows.append(("key", f"{issued.key}, in the token" if issued.key else "where the request was made"))
    write_result(headline, rows, then)
    return 0


def _tell_root(arguments: argparse.Namespace, issued: IssuedRoot, headline: str, then: str) -> int:
    if arguments.json:
        result = certificate_json(issued.certificate, issued.certificate_file)
        result |= {
            "key": issued.key,
            "certifies_from": moment(issued.certifies_from),
            "crl": _published_json(issued.crl),
        }
        result["link"] = None
        if issued.link is not None and issued.link_file is not None:
            result["link"] = certificate_json(issued.link, issued.link_file)
        terminal.write_json(result)
        return 0
    rows = [("root", str(issued.certificate_file)), *certificate_rows(issued.certificate)]
    rows += [("certifies", f"from {moment(issued.certifies_from)}"), ("key", f"{issued.key}, in the token")]
    rows += [("CRL", str(issued.crl.current_file)), ("serve it at", issued.certificate.crl_uris[0])]
    if issued.link_file is not None:
        rows.append(("link", str(issued.link_file)))
    write_result(headline, rows, then)
    return 0

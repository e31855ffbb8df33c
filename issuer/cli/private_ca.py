"""``mdl issuer private-ca``: the root of an online side is a CA in AWS Private CA, instead of a ceremony's.

The service signs what the online side requests; the online side takes it as it takes whatever comes from a root
(`issuer.cli.handover`), and that root by its fingerprint. So the service is believed nothing that is not checked twice:
here against what was asked for, and at the acceptance against the profile and the policy.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from issuer.addresses import check_address
from issuer.audit import Actor
from issuer.authority import Authority
from issuer.certificates import DOCUMENT_SIGNER_LIFE
from issuer.cli.arguments import count, now
from issuer.cli.certificates import certificate_json, certificate_rows, write_result
from issuer.cli.policy import acting_as
from issuer.folder import output_file
from issuer.operations import refusals
from issuer.private_ca import fetch_root, open_private_ca
from issuer.store import Reader, Role, SignerState
from mdl.cli import terminal
from mdl.cli.outputs import file_argument
from mdl.errors import LocalProtocolError, VerificationError
from mdl.pki import AttributeId, CertificateRequest, decode_csr

__all__ = ["add_private_ca"]


def add_private_ca(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``private-ca``."""
    verb = commands.add_parser(
        "private-ca",
        help="have a CA in AWS Private CA certify a document signer of the online side, or fetch its root",
        description="Have a CA in AWS Private CA, as the root of this online side, certify the document signer that a "
        "request asks for. What comes back is compared with what was asked for, and then a file for mdl issuer accept. "
        "Or fetch the CA's root, for mdl issuer join, which takes it by its SHA-256.",
        allow_abbrev=False,
    )
    verb.set_defaults(run=_private_ca)
    verb.add_argument("--dir", default="authority", metavar="DIR", help="the authority's folder (default: ./authority)")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    verb.add_argument(
        "--ca",
        required=True,
        metavar="URI",
        help="the CA, as awspca:///arn:aws:acm-pca:REGION:ACCOUNT:certificate-authority/ID, perhaps with ?endpoint=URL",
    )
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--request", metavar="FILE", help="the request, from mdl issuer csr")
    what.add_argument(
        "--root-out", type=file_argument, metavar="FILE", help="fetch the CA's root and write it there, PEM"
    )
    verb.add_argument("--out", type=file_argument, metavar="FILE", help="where to write the certificate, PEM")
    verb.add_argument("--common-name", metavar="NAME", help="the signer's name (default: the one in the request)")
    verb.add_argument("--days", type=count, metavar="N", help="its life (default: as long as its profile allows)")
    verb.add_argument("--crl-url", metavar="URL", help="where its CRL is found (default: where the root's is)")


# --- verbs -----------------------------------------------------------------------------------------------------------


def _private_ca(arguments: argparse.Namespace) -> int:
    if arguments.root_out is not None:
        return _fetch(arguments)
    if arguments.out is None:
        message = "name the file for the certificate: --out"
        raise LocalProtocolError(message, code="private_ca.out")
    return _certify(arguments)


def _fetch(arguments: argparse.Namespace) -> int:
    if any(one is not None for one in (arguments.out, arguments.common_name, arguments.days, arguments.crl_url)):
        message = "a root is fetched as it is: --root-out goes alone"
        raise LocalProtocolError(message, code="private_ca.root_out")
    file = Path(arguments.root_out).absolute()
    with output_file(file) as commit:
        root = fetch_root(arguments.ca)
        commit(root.pem.encode())
    if arguments.json:
        terminal.write_json(certificate_json(root, file))
        return 0
    rows = [("root", str(file)), *certificate_rows(root)]
    then = "next: compare the SHA-256 with what was written down when the CA was made, then mdl issuer join --sha256 …"
    write_result("The root is fetched; nothing says yet that it is the right one.", rows, then)
    return 0


def _certify(arguments: argparse.Namespace) -> int:
    data = terminal.open_armour(terminal.read_input(arguments.request, label="request")).data
    with terminal.labelled("request"):
        request = decode_csr(data)
    authority = Authority(arguments.dir, actor=acting_as(arguments))
    root, policy, start, file = authority.root, authority.policy, now(), Path(arguments.out).absolute()
    if arguments.days is None:
        end = min(start + policy.longest(Role.DOCUMENT_SIGNER, DOCUMENT_SIGNER_LIFE), root.not_after)
    else:
        end = start + timedelta(days=arguments.days)
    with authority.open_store() as store, refusals(store, "private-ca", now, Actor.SIGNER_OPERATOR):
        # What would not be accepted is not asked for: the service would have issued it.
        with store.reading() as reader:
            _check_waiting(reader, request)
        policy.check_key(Role.DOCUMENT_SIGNER, request.public_key)
        policy.check_certificate(Role.DOCUMENT_SIGNER, end - start)
        if arguments.crl_url is not None:
            policy.check_address(arguments.crl_url)
            check_address(arguments.crl_url)
        with output_file(file) as commit, open_private_ca(arguments.ca, root=root) as ca:
            certificate = ca.issue_document_signer(
                request,
                common_name=arguments.common_name or request.subject.common_name or "",
                organization=root.subject.only(AttributeId.ORGANIZATION),
                not_before=start,
                not_after=end,
                crl_uri=arguments.crl_url,
            )
            commit(certificate.pem.encode())
    if arguments.json:
        terminal.write_json(certificate_json(certificate, file))
        return 0
    rows = [("certificate", str(file)), *certificate_rows(certificate)]
    write_result("The certificate is issued.", rows, f"next: mdl issuer accept {arguments.out} --dir {arguments.dir}")
    return 0


def _check_waiting(reader: Reader, request: CertificateRequest) -> None:
    """Refuse a request for another key than one of a document signer that was made here and has no certificate."""
    waiting = reader.signers(Role.DOCUMENT_SIGNER, state=SignerState.PREPARED)
    if not any(one.public_key == request.public_key.spki and one.certificate is None for one in waiting):
        message = "the request is for no document signer's key that was made here and waits for a certificate"
        raise VerificationError(message, code="handover.key")

"""A stand-in for AWS KMS and AWS Private CA on the loopback interface: what their documented JSON APIs say, or worse.

It knows the operations that `issuer` uses. KMS signs digests as they are, and Private CA puts in what a passing
template lets through. A test that wants a liar sets `spoil` for an operation, or `forge` for certificates.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from mdl.keys import PublicKey, SoftwareSigner
from mdl.pki import Certificate
from mdl.testing import CertificateRecipe, distinguished_name
from tests.parts import lacks

REGION = "eu-central-1"
ACCOUNT = "111122223333"
CA = f"arn:aws:acm-pca:{REGION}:{ACCOUNT}:certificate-authority/6ea2f2ff-0b3c-4f39-8d7b-0d6a8d0f6a11"
TEMPLATE = "arn:aws:acm-pca:::template/BlankEndEntityCertificate_APIPassthrough/V1"

_CURVES: dict[str, tuple[ec.EllipticCurve, str, hashes.HashAlgorithm]] = {
    "ECC_NIST_P256": (ec.SECP256R1(), "ECDSA_SHA_256", hashes.SHA256()),
    "ECC_NIST_P384": (ec.SECP384R1(), "ECDSA_SHA_384", hashes.SHA384()),
    "ECC_NIST_P521": (ec.SECP521R1(), "ECDSA_SHA_512", hashes.SHA512()),
}
_SHORT_NAMES = {"Country": "C", "State": "ST", "Locality": "L", "Organization": "O", "CommonName": "CN"}

Body = dict[str, Any]


def require_boto3() -> None:
    """Skip loudly where boto3 is missing; in CI that is a failure."""
    try:
        import boto3  # noqa: F401
    except ImportError:
        lacks("cloud custodian", "boto3 is not installed (pip install 'mdl-sdk[aws]')")


def require_moto() -> None:
    """Skip loudly where moto is missing; in CI that is a failure."""
    require_boto3()
    try:
        import flask_cors  # noqa: F401
        import moto  # noqa: F401
    except ImportError:
        lacks("cloud custodian", "moto with its server is not installed (pip install moto flask flask-cors)")


class RefusedError(Exception):
    """What the service answers instead."""

    def __init__(self, name: str, status: int = 400, message: str = "no") -> None:
        super().__init__(name)
        self.name = name
        self.status = status
        self.message = message


@dataclass
class Key:
    """A key in the stand-in's KMS."""

    spec: str
    private: ec.EllipticCurvePrivateKey
    usage: str = "SIGN_VERIFY"
    enabled: bool = True
    id: str = field(default_factory=lambda: "12345678-1234-4321-8765-" + secrets.token_hex(6))

    @property
    def arn(self) -> str:
        return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{self.id}"

    def public(self) -> Body:
        return {
            "KeyId": self.arn,
            "PublicKey": b64(PublicKey.from_cryptography(self.private.public_key()).spki),
            "KeySpec": self.spec,
            "CustomerMasterKeySpec": self.spec,
            "KeyUsage": self.usage,
            "SigningAlgorithms": [_CURVES[self.spec][1]],
        }


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class StandIn:
    """Keys, aliases and one CA.

    Attributes:
        root_key: The CA's key.
        root: The CA's certificate.
        asked: Every request: operation and body.
        spoil: By operation: gets the request and the honest answer, gives another answer (bytes are sent as they are)
            or raises `RefusedError`.
        forge: Changes what a certificate is made from.
        pending: How often a certificate is not there yet.
        page: How many aliases it lists at most in one answer.
    """

    def __init__(self, root_key: SoftwareSigner, root: Certificate) -> None:
        self.root_key = root_key
        self.root = root
        self.keys: dict[str, Key] = {}
        self.aliases: dict[str, Key] = {}
        self.asked: list[tuple[str, Body]] = []
        self.spoil: dict[str, Callable[[Body, Body], Body | bytes]] = {}
        self.forge: Callable[[CertificateRecipe], CertificateRecipe] = lambda recipe: recipe
        self.pending = 0
        self.page = 100
        self._issued: dict[str, str] = {}
        self._lock = threading.Lock()
        self._operations: dict[str, Callable[[Body], Body]] = {
            "CreateKey": self._create_key,
            "CreateAlias": self._create_alias,
            "ListAliases": self._list_aliases,
            "DescribeKey": self._describe_key,
            "GetPublicKey": self._get_public_key,
            "Sign": self._sign,
            "GetCertificateAuthorityCertificate": self._get_certificate_authority_certificate,
            "IssueCertificate": self._issue_certificate,
            "GetCertificate": self._get_certificate,
        }
        stand_in = self

        class Handler(_Handler):
            service = stand_in

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def key_uri(self, name: str) -> str:
        return f"awskms:///{name}?region={REGION}&endpoint={self.endpoint}"

    @property
    def ca_uri(self) -> str:
        return f"awspca:///{CA}?endpoint={self.endpoint}"

    def new_key(self, spec: str = "ECC_NIST_P256", alias: str | None = None, **attributes: Any) -> Key:
        key = Key(spec, ec.generate_private_key(_CURVES[spec][0]), **attributes)
        self.keys[key.id] = key
        if alias is not None:
            self.aliases[alias] = key
        return key

    def count(self, operation: str) -> int:
        return sum(1 for name, _ in self.asked if name == operation)

    def operation(self, operation: str, body: Body) -> Body:
        """The honest answer."""
        return self._operations[operation](body)

    def answer(self, operation: str, body: Body) -> Body | bytes:
        spoiled = self.spoil.get(operation)
        with self._lock:
            self.asked.append((operation, body))
            try:
                honest = self.operation(operation, body)
            except RefusedError:
                if spoiled is None:
                    raise
                honest = {}
        return honest if spoiled is None else spoiled(body, honest)

    # --- KMS

    def _key(self, name: str) -> Key:
        last = name.rpartition("/")[2]
        _, alias, named = name.rpartition("alias/")
        found = self.aliases.get(f"alias/{named}") if alias else self.keys.get(last)
        if found is None:
            raise RefusedError("NotFoundException", message="Invalid keyId")
        return found

    def _create_key(self, body: Body) -> Body:
        assert body["KeyUsage"] == "SIGN_VERIFY"
        key = self.new_key(body["KeySpec"])
        return {"KeyMetadata": {"KeyId": key.id, "Arn": key.arn, "KeySpec": key.spec, "KeyUsage": key.usage}}

    def _create_alias(self, body: Body) -> Body:
        if body["AliasName"] in self.aliases:
            raise RefusedError("AlreadyExistsException")
        self.aliases[body["AliasName"]] = self._key(body["TargetKeyId"])
        return {}

    def _list_aliases(self, body: Body) -> Body:
        names = sorted(self.aliases)
        start = int(body.get("Marker", "0"))
        end = start + min(body["Limit"], self.page)
        listed = [{"AliasName": name, "TargetKeyId": self.aliases[name].id} for name in names[start:end]]
        more = end < len(names)
        return {"Aliases": listed, "Truncated": more, **({"NextMarker": str(end)} if more else {})}

    def _describe_key(self, body: Body) -> Body:
        key = self._key(body["KeyId"])
        return {"KeyMetadata": {"KeyId": key.id, "Arn": key.arn, "Enabled": key.enabled}}

    def _get_public_key(self, body: Body) -> Body:
        return self._key(body["KeyId"]).public()

    def _sign(self, body: Body) -> Body:
        key = self._key(body["KeyId"])
        _, algorithm, digest = _CURVES[key.spec]
        message = base64.b64decode(body["Message"], validate=True)
        if not key.enabled:
            raise RefusedError("DisabledException")
        if body["SigningAlgorithm"] != algorithm:
            raise RefusedError("InvalidKeyUsageException")
        if body.get("MessageType", "RAW") == "DIGEST":
            if len(message) != digest.digest_size:
                raise RefusedError("ValidationException", message="Digest is invalid length")
            signature = key.private.sign(message, ec.ECDSA(utils.Prehashed(digest)))
        else:
            if not 1 <= len(message) <= 4096:
                raise RefusedError("ValidationException")
            signature = key.private.sign(message, ec.ECDSA(digest))
        return {"KeyId": key.arn, "Signature": b64(signature), "SigningAlgorithm": algorithm}

    # --- Private CA

    def _get_certificate_authority_certificate(self, body: Body) -> Body:
        if body["CertificateAuthorityArn"] != CA:
            raise RefusedError("ResourceNotFoundException")
        return {"Certificate": self.root.pem}

    def _issue_certificate(self, body: Body) -> Body:
        if body["CertificateAuthorityArn"] != CA:
            raise RefusedError("ResourceNotFoundException")
        if body["TemplateArn"] != TEMPLATE or not body["SigningAlgorithm"].endswith("WITHECDSA"):
            raise RefusedError("InvalidArgsException")
        request = x509.load_pem_x509_csr(base64.b64decode(body["Csr"]))
        if not request.is_signature_valid:
            raise RefusedError("MalformedCSRException")
        certificate = f"{CA}/certificate/{secrets.token_hex(16)}"
        self._issued[certificate] = Certificate(self.forge(self._recipe(body, request)).build()).pem
        return {"CertificateArn": certificate}

    def _recipe(self, body: Body, request: x509.CertificateSigningRequest) -> CertificateRecipe:
        passed = body["ApiPassthrough"]
        key = PublicKey.from_cryptography(request.public_key())
        root = x509.load_der_x509_certificate(self.root.der)
        identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
        subject = {_SHORT_NAMES[name]: value for name, value in passed["Subject"].items()}
        extensions: dict[str, tuple[x509.ExtensionType, bool]] = {
            "bc": (x509.BasicConstraints(ca=False, path_length=None), False),
            "aki": (aki, False),
            "ski": (x509.SubjectKeyIdentifier.from_public_key(key.key), False),
        }
        for each in passed["Extensions"]["CustomExtensions"]:
            oid = x509.ObjectIdentifier(each["ObjectIdentifier"])
            value = x509.UnrecognizedExtension(oid, base64.b64decode(each["Value"], validate=True))
            extensions[each["ObjectIdentifier"]] = (value, each["Critical"])
        not_before, not_after = (
            datetime.fromtimestamp(body[name]["Value"], UTC) for name in ("ValidityNotBefore", "Validity")
        )
        assert {body[name]["Type"] for name in ("ValidityNotBefore", "Validity")} == {"ABSOLUTE"}
        return CertificateRecipe(
            subject=distinguished_name(**subject),
            issuer=root.subject,
            public_key=key,
            signer=self.root_key,
            not_before=not_before,
            not_after=not_after,
            extensions=extensions,
            serial=secrets.randbits(158) | 1 << 158,
        )

    def _get_certificate(self, body: Body) -> Body:
        if body["CertificateArn"] not in self._issued:
            raise RefusedError("ResourceNotFoundException")
        if self.pending:
            self.pending -= 1
            raise RefusedError("RequestInProgressException")
        return {"Certificate": self._issued[body["CertificateArn"]], "CertificateChain": self.root.pem}


class _Handler(BaseHTTPRequestHandler):
    service: ClassVar[StandIn]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        assert self.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
        status = 200
        try:
            answer = self.service.answer(operation, body)
        except RefusedError as exc:
            status, answer = exc.status, {"__type": exc.name, "message": exc.message}
        octets = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        with suppress(OSError):  # a client that has lost its patience
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(root_key: SoftwareSigner, root: Certificate) -> Iterator[StandIn]:
    """The stand-in, for as long as the block lasts."""
    stand_in = StandIn(root_key, root)
    try:
        yield stand_in
    finally:
        stand_in.close()


def set_credentials(patch: pytest.MonkeyPatch) -> None:
    """Credentials that boto3 finds and that are worth nothing; nothing of this machine is looked at."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "worth-nothing")
    patch.setenv("AWS_CONFIG_FILE", os.devnull)
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def stall(seconds: float) -> Callable[[Body, Body], Body]:
    """A spoiler that answers honestly, but late."""

    def late(_: Body, honest: Body) -> Body:
        time.sleep(seconds)
        return honest

    return late


def refuse(name: str, status: int = 400, *, times: int | None = None) -> Callable[[Body, Body], Body]:
    """A spoiler that refuses: always, or that many times."""
    left = times

    def refused(_: Body, honest: Body) -> Body:
        nonlocal left
        if left == 0:
            return honest
        if left is not None:
            left -= 1
        raise RefusedError(name, status, "words of the service")

    return refused

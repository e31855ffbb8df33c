"""Keys in AWS KMS: sign with them, make them.

The digest is taken in this process and KMS signs it bare (``MessageType`` DIGEST): a message of any length, and only 32
to 64 bytes of it on the way. KMS gives DER; what leaves here is r and s side by side.

KMS is not believed. The public key is fetched once, when the signer is opened, and every signature is verified with it
before it is handed out. An alias may be pointed at another key at any time, so a signer keeps to the key that it found.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from issuer.aws import AwsUri, call, connect, malformed_answer, member
from issuer.key_uri import invalid_uri
from mdl.errors import DecodeError, SigningError, UnsupportedError, VerificationError
from mdl.keys import CURVES, PublicKey, der_to_raw

__all__ = ["KmsSigner", "generate_kms_key", "open_kms_signer"]

_log = logging.getLogger(__name__)

_SCHEME: Final = "awskms"
_KEY_SPECS: Final[Mapping[str, str]] = {
    "P-256": "ECC_NIST_P256",
    "P-384": "ECC_NIST_P384",
    "P-521": "ECC_NIST_P521",
}
"""The curves that KMS and the standard's cipher suite share, and what KMS calls their keys."""

_CURVES: Final[Mapping[str, str]] = {spec: curve for curve, spec in _KEY_SPECS.items()}
_ALGORITHMS: Final[Mapping[str, str]] = {
    "sha256": "ECDSA_SHA_256",
    "sha384": "ECDSA_SHA_384",
    "sha512": "ECDSA_SHA_512",
}
_PROBE: Final = b"mdl-sdk: is this the key?"
_DESCRIPTION: Final = "signing key made by mdl-sdk"


class KmsSigner:
    """A key in AWS KMS, behind `mdl.keys.Signer`. `issuer.keystore.open_signer` makes it.

    Safe in several threads, which is how to sign many: a signature is mostly waiting for the network.
    """

    __slots__ = ("_algorithm", "_client", "_closed", "_hash_name", "_key_id", "_public_key")

    def __init__(self, client: Any, uri: AwsUri) -> None:
        self._client = client
        self._closed = False
        answer = call(client.get_public_key, KeyId=uri.resource)
        self._key_id = member(answer, "KeyId", str)
        if "alias/" not in uri.resource and self._key_id.rpartition("/")[2] != uri.resource.rpartition("/")[2]:
            raise malformed_answer("another key")
        self._public_key = _public_key(answer)
        self._hash_name = self._public_key.algorithm.hash_name or ""
        self._algorithm = _ALGORITHMS[self._hash_name]
        if self._algorithm not in member(answer, "SigningAlgorithms", list):
            raise SigningError(f"AWS KMS does not offer {self._algorithm} for the key", code="signing.key_unusable")
        self.sign(_PROBE)

    @property
    def public_key(self) -> PublicKey:
        """The public half, as fetched from KMS and proved by a signature."""
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        """Sign `data` inside KMS; see `mdl.keys.Signer.sign`."""
        if self._closed:
            raise SigningError("the signer is closed", code="signing.closed")
        answer = call(
            self._client.sign,
            KeyId=self._key_id,
            Message=hashlib.new(self._hash_name, data).digest(),
            MessageType="DIGEST",
            SigningAlgorithm=self._algorithm,
        )
        signature = der_to_raw(member(answer, "Signature", bytes), self._public_key.curve)
        try:
            self._public_key.verify(signature, data)
        except VerificationError as exc:
            raise SigningError(
                "the signature from AWS KMS is not the key's over what was to be signed", code="signing.wrong_signature"
            ) from exc
        return signature

    def close(self) -> None:
        """Refuse further use. The context of `open_signer` calls it, then closes the connections."""
        self._closed = True

    def __repr__(self) -> str:
        return f"KmsSigner({self._key_id!r})"


@contextmanager
def open_kms_signer(uri: str) -> Iterator[KmsSigner]:
    """Open the key that an ``awskms:`` URI names.

    Raises:
        SigningError: The URI is not usable, boto3 or its credentials are missing, KMS refused or failed, or the key is
            not one that signs here.
    """
    parsed = AwsUri.parse(uri, scheme=_SCHEME)
    with connect("kms", parsed) as client:
        signer = KmsSigner(client, parsed)
        try:
            yield signer
        finally:
            signer.close()


def generate_kms_key(uri: str, curve: str) -> PublicKey:
    """Make a new signing key in KMS and give it the alias that an ``awskms:`` URI names.

    KMS takes some seconds until an alias is known everywhere; a signer opened before that may not find it.

    Raises:
        SigningError: The URI names no alias, KMS has no keys on that curve (code ``signing.curve_unsupported``), the
            alias is taken (``signing.key_exists``), or KMS refused or failed. Where a key was made and could not be
            named, the message names it: nothing is deleted here.
    """
    parsed = AwsUri.parse(uri, scheme=_SCHEME)
    if not parsed.resource.startswith("alias/"):
        raise invalid_uri("KMS draws the key id: name the new key by an alias, as in awskms:///alias/NAME?region=…")
    if curve not in _KEY_SPECS:
        raise SigningError(
            f"AWS KMS has no keys on the curve asked for: it has {', '.join(_KEY_SPECS)}",
            code="signing.curve_unsupported",
        )
    # Made a second time, because the first answer was lost, it would be two keys.
    with connect("kms", parsed, once=True) as client:
        if _is_taken(client, parsed.resource):
            raise SigningError(
                "there is a key of that alias: a key is never overwritten, and its alias not moved",
                code="signing.key_exists",
            )
        answer = call(client.create_key, KeySpec=_KEY_SPECS[curve], KeyUsage="SIGN_VERIFY", Description=_DESCRIPTION)
        key_id = member(member(answer, "KeyMetadata", dict), "Arn", str)
        _log.info("made a key in AWS KMS: %s", key_id)
        try:
            call(client.create_alias, AliasName=parsed.resource, TargetKeyId=key_id)
            public_key = _public_key(call(client.get_public_key, KeyId=key_id))
            if public_key.curve.name != curve:
                raise malformed_answer("another curve")
        except SigningError as exc:
            raise SigningError(
                f"{exc.message}; the new key {key_id} exists: give it an alias, or schedule its deletion", code=exc.code
            ) from exc
    return public_key


def _is_taken(client: Any, alias: str) -> bool:
    try:
        call(client.describe_key, KeyId=alias)
    except SigningError as exc:
        if exc.code == "signing.key_missing":
            return False
        raise
    return True


def _public_key(answer: Mapping[str, Any]) -> PublicKey:
    """The key in an answer of GetPublicKey, which must be fit for signing."""
    if answer.get("KeyUsage") != "SIGN_VERIFY":
        raise SigningError("the key in AWS KMS is not for signing (SIGN_VERIFY)", code="signing.key_unusable")
    # The second name is the older one, for the same value.
    curve = _CURVES.get(member(answer, "KeySpec" if "KeySpec" in answer else "CustomerMasterKeySpec", str))
    if curve is None:
        raise SigningError(
            f"the key in AWS KMS is not on a curve that we support: {', '.join(_KEY_SPECS)}",
            code="signing.curve_unsupported",
        )
    try:
        key = PublicKey.from_spki(member(answer, "PublicKey", bytes))
    except (DecodeError, UnsupportedError) as exc:
        raise SigningError("AWS KMS gave no public key of the curve", code="signing.public_key_malformed") from exc
    if key.curve != CURVES[curve]:
        raise SigningError(
            "the public key from AWS KMS is not on the curve that it names", code="signing.public_key_malformed"
        )
    return key

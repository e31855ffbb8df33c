"""A key custodian of your own: a device that signs digests, behind `Signer`, opened by a URI scheme of its own.

python examples/write_a_custodian.py
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from issuer.certificates import Iaca
from issuer.keystore import SecretHandler, open_signer, register_signer
from mdl.errors import SigningError, VerificationError
from mdl.keys import PublicKey, Signer, der_to_raw
from mdl.pki import Subject


class Device:
    """What you have: it takes a PIN and a digest, and gives DER. Here it is a few lines of software."""

    def __init__(self, pin: str) -> None:
        if pin != "1234":
            raise PermissionError
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.public_key = self._key.public_key()

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a digest; DER."""
        return self._key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))


class DeviceSigner:
    """What you write: a public key, and raw signatures over whole messages."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.public_key = PublicKey.from_cryptography(device.public_key)

    def sign(self, data: bytes) -> bytes:
        """Sign `data`, whole."""
        digest = hashlib.new(self.public_key.algorithm.hash_name or "", data).digest()
        try:
            der = self._device.sign_digest(digest)
        except OSError as exc:  # whatever your device raises when it is away for a while
            raise SigningError("the device does not answer", code="signing.token_lost", retryable=True) from exc
        signature = der_to_raw(der, self.public_key.curve)
        try:
            self.public_key.verify(signature, data)
        except VerificationError as exc:
            raise SigningError("the device signed something else", code="signing.wrong_signature") from exc
        return signature


@contextmanager
def open_device(uri: str, secret: SecretHandler) -> Iterator[Signer]:
    """What `open_signer` calls for ``device:`` URIs. Leaving the context is where a connection would be closed."""
    try:
        device = Device(secret(f"PIN of {uri}"))
    except PermissionError as exc:
        raise SigningError("the PIN is wrong; it was tried once", code="signing.pin_incorrect") from exc
    signer = DeviceSigner(device)
    signer.sign(b"is this the key?")  # a device that cannot sign is found out before it is needed
    yield signer


register_signer("device", open_device)

with open_signer("device:iaca", secret=lambda _: "1234") as signer:
    iaca = Iaca.create(
        signer,
        subject=Subject(country="XU", common_name="Utopia IACA"),
        not_before=datetime.now(UTC),
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
    )
    print("a root from a custodian of one's own:", iaca.certificate.subject)

try:
    with open_signer("device:iaca", secret=lambda _: "0000") as signer:
        raise AssertionError("this does not open")
except SigningError as refusal:
    print("refused:", refusal.code)

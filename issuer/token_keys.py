"""Keys on a PKCS#11 token: sign with them, make them, list them.

The digest is taken in this process and the token signs it bare (``CKM_ECDSA``), which every token can do. The price is
that a token cannot know whether it was given a digest, and signs whatever length it is given. So lengths are checked
here, and a signer proves its key with a signature when it is opened and after each loss of the token.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509 import load_der_x509_certificate

from issuer.hsm import LostError, Mechanism, Session, SessionPool, import_pkcs11, look_at, open_pool
from issuer.key_uri import Pkcs11Uri, SecretHandler, invalid_uri
from mdl.errors import DecodeError, SigningError, UnsupportedError, VerificationError
from mdl.keys import CURVES, Curve, PublicKey

_log = logging.getLogger(__name__)

__all__ = [
    "Held",
    "Pkcs11Signer",
    "StoredKey",
    "clear_half_pair",
    "generate_token_key",
    "held_labels",
    "list_token_keys",
    "public_labels",
]


def _oid(dotted: str) -> bytes:
    """A DER object identifier."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    body = b""
    for arc in (40 * first + second, *rest):
        groups = [arc & 0x7F]
        left = arc >> 7
        while left:
            groups.append(0x80 | (left & 0x7F))
            left >>= 7
        body += bytes(reversed(groups))
    return bytes((0x06, len(body))) + body


SIGNING_CURVES: Final[Mapping[str, Curve]] = {
    curve.name: curve for curve in CURVES.values() if curve.algorithm is not None
}
_CURVES_BY_PARAMETERS: Final[Mapping[bytes, Curve]] = {
    **{_oid(curve.oid): curve for curve in SIGNING_CURVES.values()},
    # PKCS#11 3.0 also lets a token name the Edwards curves by a PrintableString.
    b"\x13\x0cedwards25519": CURVES["Ed25519"],
    b"\x13\x0aedwards448": CURVES["Ed448"],
}


class Held(StrEnum):
    """What holds a label on a token, so that no new key can have it."""

    PAIR = "pair"
    PUBLIC_HALF = "public half"
    """A public key without its private key: nothing can sign with it."""
    PRIVATE_HALF = "private half"
    """A private key that nothing on the token tells the public key of: it cannot be opened."""


_ID_SIZE: Final = 16
"""Bytes of the random id that a key gets which is made here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A private key that lies on a token.

    Attributes:
        label: Its label; empty where it has none.
        id: Its identifier; empty where it has none.
        public_key: Its public half, or None where the token shows none that we support.
        extractable: Whether the token would give the key away.
        uri: The URI that opens it.
    """

    label: str
    id: bytes
    public_key: PublicKey | None
    extractable: bool
    uri: str


class Pkcs11Signer:
    """A key on a PKCS#11 token, behind `mdl.keys.Signer`. `issuer.keystore.open_signer` makes it.

    Safe in several threads: each call borrows a session of its own.
    """

    __slots__ = (
        "_closed",
        "_digest",
        "_mechanism",
        "_name",
        "_pool",
        "_proved_generation",
        "_public_key",
        "_size",
        "_uri",
    )

    def __init__(self, pool: SessionPool, uri: Pkcs11Uri) -> None:
        self._pool = pool
        self._uri = uri
        self._name = (uri.label, uri.id)
        self._closed = False
        self._proved_generation = 0
        self._public_key = pool.run(_read_public_key, uri)
        self._digest = _digest(self._public_key)
        self._mechanism = Mechanism(_mechanism(self._public_key))
        self._size = self._public_key.curve.signature_size
        pool.run(self._find_and_prove, None)

    @property
    def public_key(self) -> PublicKey:
        """The public half, as read from the token and proved by a signature."""
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        """Sign `data` inside the token; see `mdl.keys.Signer.sign`."""
        if self._closed:
            raise _closed()
        digest = self._digest
        return self._pool.run(self._sign, bytes(data) if digest is None else digest(data).digest())

    def sign_digest(self, digest: bytes) -> bytes:
        """Sign a digest that was taken elsewhere.

        Args:
            digest: Exactly as long as the digest of the key's algorithm.

        Returns:
            The raw signature.

        Raises:
            SigningError: The length is wrong, or the key signs messages and no digests (code
                ``signing.digest_length``); or the token refused or failed.
        """
        wanted = self._public_key.algorithm.digest_size
        if wanted is None or len(digest) != wanted:
            raise SigningError(
                f"{self._public_key.algorithm.name} signs "
                + ("the message, no digest of it" if wanted is None else f"{wanted} bytes, not {len(digest)}"),
                code="signing.digest_length",
            )
        if self._closed:
            raise _closed()
        return self._pool.run(self._sign, bytes(digest))

    def close(self) -> None:
        """Refuse further use. The context of `open_signer` calls it, then leaves the token."""
        self._closed = True

    def __repr__(self) -> str:
        return f"Pkcs11Signer(token {self._pool.label!r}, object {self._uri.label!r})"

    def _sign(self, session: Session, payload: bytes) -> bytes:
        key = session.keys.get(self._name)
        if key is None:
            key = self._find_and_prove(session, None)
        signature = session.sign(self._mechanism, key, payload)
        if len(signature) != self._size:
            raise SigningError(
                f"the token returned {len(signature)} bytes instead of a signature of {self._size}",
                code="signing.malformed_signature",
            )
        return signature

    def _find_and_prove(self, session: Session, _: None) -> tuple[Any, int]:
        """Find the private key through this session; once per generation, prove that it still is the same key."""
        try:
            found = _private_key(session, self._uri)
        except SigningError as exc:
            if self._proved_generation != session.generation:
                raise
            # It was there in this generation. A token removed under an open session looks like this.
            raise LostError(exc) from exc
        key = session.keys[self._name] = (found, found.handle)
        if self._proved_generation != session.generation:
            _prove(self._public_key, lambda payload: self._sign(session, payload))
            self._proved_generation = session.generation
        return key


def _closed() -> SigningError:
    return SigningError("the signer is closed", code="signing.closed")


def _digest(public_key: PublicKey) -> Callable[[bytes], Any] | None:
    """The hashlib constructor that goes with a key, or None where the token signs the message itself."""
    name = public_key.algorithm.hash_name
    return None if name is None else getattr(hashlib, name)


def _mechanism(public_key: PublicKey) -> Any:
    mechanisms = import_pkcs11().Mechanism
    return mechanisms.EDDSA if public_key.curve.kind == "OKP" else mechanisms.ECDSA


def _prove(public_key: PublicKey, sign: Callable[[bytes], bytes]) -> None:
    """Have the private key sign something and check it with the public key."""
    probe = b"mdl-sdk: is this the key?\0" + secrets.token_bytes(32)
    digest = _digest(public_key)
    signature = sign(probe if digest is None else digest(probe).digest())
    try:
        public_key.verify(signature, probe)
    except VerificationError as exc:
        raise SigningError(
            "the private key on the token does not belong to the public key: one of the two objects is another's",
            code="signing.key_mismatch",
        ) from exc


# --- Finding ---------------------------------------------------------------------------------------------------------


def _find(session: Session, uri: Pkcs11Uri, kind: str) -> list[Any]:
    """The private or public keys that a URI names."""
    pkcs11 = import_pkcs11()
    template: dict[Any, Any] = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass[kind]}
    if uri.label is not None:
        template[pkcs11.Attribute.LABEL] = uri.label
    if uri.id is not None:
        template[pkcs11.Attribute.ID] = uri.id
    # A list and not the iterator: a search left open blocks the session.
    return list(session.session.get_objects(template))


def _private_key(session: Session, uri: Pkcs11Uri) -> Any:
    found = _find(session, uri, "PRIVATE_KEY")
    named = "this id" if uri.label is None else f"the label '{uri.label}'"
    if not found:
        raise SigningError(
            f"the token has no private key with {named}: generate it, or correct object= or id= in the URI",
            code="signing.key_missing",
        )
    if len(found) > 1:
        raise SigningError(
            f"the token has {len(found)} private keys with {named}: give both object= and id= in the URI",
            code="signing.key_ambiguous",
        )
    return found[0]


def _read_public_key(session: Session, uri: Pkcs11Uri) -> PublicKey:
    """The public half of the one private key that a URI names, which must be fit for signing."""
    key = _private_key(session, uri)
    if not isinstance(key, import_pkcs11().SignMixin):
        raise SigningError("the key on the token may not sign (CKA_SIGN is false)", code="signing.key_unusable")
    if _flag(key, "ALWAYS_AUTHENTICATE"):
        raise SigningError(
            "the key on the token asks for its PIN at every signature, which is not supported here",
            code="signing.key_unusable",
        )
    return _public_half(session, uri, key)


def _public_half(session: Session, uri: Pkcs11Uri, private_key: Any) -> PublicKey:
    """The public key that goes with a private one: of its public key object or, without one, of its certificate.

    It is believed when the private key has made a signature that it verifies, and not before.
    """
    name = _name_of(private_key)
    # Tools agree on the id more often than on the label; a key without an id has only its label.
    named = replace(uri, id=name[1] or None, label=None if name[1] else name[0])
    found = _find(session, named, "PUBLIC_KEY")
    if len(found) > 1:
        found = [one for one in found if _name_of(one)[0] == name[0]] or found
    keys: list[PublicKey] = []
    failure: SigningError | None = None
    for one in found:
        try:
            keys.append(_key_of_object(one))
        except SigningError as exc:
            failure = exc
    if not keys:
        keys = [key for one in _find(session, named, "CERTIFICATE") if (key := _key_of_certificate(one)) is not None]
    distinct = {key.spki: key for key in keys}
    if len(distinct) == 1:
        return keys[0]
    if failure is not None and not keys:
        raise failure
    raise SigningError(
        f"the token has {len(distinct) or 'no'} public keys that go with the private key: import exactly one, or its "
        "certificate, with the same id",
        code="signing.public_key_missing",
    )


def _key_of_object(stored: Any) -> PublicKey:
    """The key of a public key object."""
    attribute = import_pkcs11().Attribute
    # An RSA key, for example, has no such parameters.
    curve = _CURVES_BY_PARAMETERS.get(_attribute(stored, attribute.EC_PARAMS) or b"")
    if curve is None:
        raise SigningError("the key is not on a curve that we support", code="signing.curve_unsupported")
    try:
        return PublicKey.from_point(curve, _point(_attribute(stored, attribute.EC_POINT) or b"", curve))
    except DecodeError as exc:
        raise SigningError(
            f"the public key object on the token is no point on {curve.name}", code="signing.public_key_malformed"
        ) from exc


def _key_of_certificate(stored: Any) -> PublicKey | None:
    """The key that a certificate on the token is of; None where we could not sign with it."""
    try:
        certificate = load_der_x509_certificate(_attribute(stored, import_pkcs11().Attribute.VALUE) or b"")
        key = PublicKey.from_cryptography(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm, DecodeError, UnsupportedError):
        return None
    return key if key.curve.name in SIGNING_CURVES else None


def _point(value: bytes, curve: Curve) -> bytes:
    """EC_POINT without its wrapping: an OCTET STRING by the specification; a BIT STRING, or bare, on some tokens.

    No form of one is as long as a bare point.
    """
    size = curve.coordinate_size
    sizes = (1 + 2 * size, 1 + size) if curve.kind == "EC" else (size,)
    if len(value) in sizes:
        return value
    for header in (b"\x04", b"\x03"):
        unused = b"\x00" if header == b"\x03" else b""
        for inner in sizes:
            length = inner + len(unused)
            wrapping = header + (bytes((length,)) if length < 0x80 else bytes((0x81, length))) + unused
            if len(value) == len(wrapping) + inner and value.startswith(wrapping):
                return value[len(wrapping) :]
    return value


def _flag(key: Any, name: str) -> bool:
    """A boolean attribute; False where the token does not know it."""
    pkcs11 = import_pkcs11()
    try:
        return bool(key[pkcs11.Attribute[name]])
    except (pkcs11.AttributeTypeInvalid, pkcs11.FunctionFailed):
        return False


# --- Making and listing ----------------------------------------------------------------------------------------------


def generate_token_key(uri: Pkcs11Uri, curve: str, *, secret: SecretHandler) -> PublicKey:
    """Make a key pair inside a token: sensitive, never extractable, for signing only.

    Args:
        uri: The token, the new key's label and, if wanted, its id; without one it gets a random one.
        curve: A name of `mdl.keys.CURVES`.
        secret: Asked for the user PIN.

    Returns:
        The public half, proved by a signature.

    Raises:
        SigningError: A key with that label or id exists (code ``signing.key_exists``); the token cannot make such a key
            (``signing.curve_unsupported``), protect it (``signing.key_unprotected``) or keep it
            (``signing.key_not_kept``); or it refused or failed. No key is left behind.
    """
    wanted = SIGNING_CURVES.get(curve)
    if wanted is None:
        raise SigningError("no signing key can be made on the curve asked for", code="signing.curve_unsupported")
    if uri.label is None:
        raise invalid_uri("name the new key: object=LABEL")
    if uri.id is None:
        uri = replace(uri, id=secrets.token_bytes(_ID_SIZE))
    with open_pool(uri, secret) as pool:
        public_key = pool.run(lambda session, to: _generate(session, pool, to, wanted), uri, again=False)
        # A token may say yes and lose the key with its memory, on a full disk for example. So look after a fresh start.
        pool.module.restart(pool.module.generation, pool.configuration)
        try:
            if Pkcs11Signer(pool, uri).public_key == public_key:
                return public_key
        except SigningError as exc:
            _log.warning("the token did not keep a new key: %s", exc.code)
        pool.run(lambda session, to: _destroy(session, pool, to), uri, again=False)
        raise SigningError(
            "the token did not keep the new key: see whether it is full or cannot be written",
            code="signing.key_not_kept",
        )


_HALVES: Final = ("PRIVATE_KEY", "PUBLIC_KEY")
"""The objects that hold a label or an id: where there is either of them, it is taken."""


def _destroy(session: Session, pool: SessionPool, uri: Pkcs11Uri) -> None:
    """Delete what is left of a key pair that was made here: nobody else's has both its label and its id."""
    writable = pool.open_writable(session)
    try:
        _delete(writable, uri)
    finally:
        writable.session.close()


def _delete(writable: Session, uri: Pkcs11Uri) -> None:
    for kind in _HALVES:
        for key in _find(writable, uri, kind):
            key.destroy()


def _count(session: Session, uri: Pkcs11Uri) -> int:
    """How many key pairs, or halves of one, share the label or the id of `uri`."""
    same_label, same_id = replace(uri, id=None), replace(uri, label=None)
    return max(len(_find(session, named, kind)) for named in (same_label, same_id) for kind in _HALVES)


def held_labels(uri: Pkcs11Uri, *, secret: SecretHandler) -> dict[str, Held]:
    """The labels on a token that no new key can have, and what holds each: a key pair, or half of one.

    Halves are left where a token makes the two one after the other and something ends it between them.

    Args:
        uri: The token.
        secret: Asked for the user PIN.

    Raises:
        SigningError: The token cannot be opened or read.
    """
    with open_pool(uri, secret) as pool:
        return pool.run(_held, replace(uri, label=None, id=None))


def _held(session: Session, uri: Pkcs11Uri) -> dict[str, Held]:
    def names(kind: str) -> list[tuple[str, bytes]]:
        return [_name_of(one) for one in _find(session, uri, kind)]

    private, public, certificates = names("PRIVATE_KEY"), names("PUBLIC_KEY"), names("CERTIFICATE")
    held: dict[str, Held] = {}
    for name in public:
        whole = any(_go_together(one, name) for one in private)
        held[name[0]] = Held.PAIR if whole else held.get(name[0], Held.PUBLIC_HALF)
    for name in private:
        whole = any(_go_together(name, one) for one in (*public, *certificates))
        held[name[0]] = Held.PAIR if whole or held.get(name[0]) is Held.PAIR else Held.PRIVATE_HALF
    held.pop("", None)
    return held


def _name_of(stored: Any) -> tuple[str, bytes]:
    """The label and the id of an object; empty where it has none."""
    attribute = import_pkcs11().Attribute
    return _attribute(stored, attribute.LABEL) or "", _attribute(stored, attribute.ID) or b""


def _go_together(private: tuple[str, bytes], other: tuple[str, bytes]) -> bool:
    """Whether another object is of this private key: tools agree on the id more often than on the label."""
    return other[1] == private[1] if private[1] else other[0] == private[0]


def _attribute(stored: Any, attribute: Any) -> Any:
    """An attribute of an object; None where the token does not tell it."""
    pkcs11 = import_pkcs11()
    try:
        return stored[attribute]
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive, pkcs11.FunctionFailed):
        return None


def clear_half_pair(uri: Pkcs11Uri, *, secret: SecretHandler) -> Held | None:
    """Delete half of a key pair that was left when the pair was made; a pair, and what nobody made here, stays.

    Args:
        uri: The token and the label. The caller knows that the half can only be its own.
        secret: Asked for the user PIN.

    Returns:
        What was there and is deleted, or None.

    Raises:
        SigningError: The token cannot be opened, read or written.
    """
    with open_pool(uri, secret) as pool:
        return pool.run(lambda session, to: _clear(session, pool, to), uri, again=False)


def _clear(session: Session, pool: SessionPool, uri: Pkcs11Uri) -> Held | None:
    held = _held(session, replace(uri, label=None, id=None)).get(uri.label or "")
    if held is None or held is Held.PAIR:
        return None
    writable = pool.open_writable(session)
    try:
        found = [one for kind in _HALVES for one in _find(writable, uri, kind)]
        if any(len(_name_of(one)[1]) != _ID_SIZE for one in found):
            return None  # an id as no key has that is made here
        for one in found:
            one.destroy()
    finally:
        writable.session.close()
    return held


def public_labels(uri: Pkcs11Uri) -> set[str]:
    """The labels of the public keys on a token: what it shows to somebody who has not logged in.

    Args:
        uri: The token.

    Raises:
        SigningError: The token is not there or cannot be read.
    """

    def look(session: Session) -> set[str]:
        return {_name_of(one)[0] for one in _find(session, replace(uri, label=None, id=None), "PUBLIC_KEY")} - {""}

    return look_at(uri, look)


def _generate(session: Session, pool: SessionPool, uri: Pkcs11Uri, curve: Curve) -> PublicKey:
    pkcs11 = import_pkcs11()
    exists = SigningError(
        "the token already has a key with this label or id: choose another, a key is never overwritten",
        code="signing.key_exists",
    )
    if _count(session, uri):
        raise exists
    edwards = curve.kind == "OKP"
    unfit = (
        pkcs11.AttributeValueInvalid,
        pkcs11.DomainParamsInvalid,
        pkcs11.KeySizeRange,
        pkcs11.MechanismInvalid,
        pkcs11.TemplateInconsistent,
    )
    writable = pool.open_writable(session)
    try:
        parameters = writable.session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS if edwards else pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: _oid(curve.oid)},
            local=True,
        )
        pair = _make_pair(
            parameters,
            id=uri.id,
            label=uri.label,
            store=True,
            capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
            mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN if edwards else pkcs11.Mechanism.EC_KEY_PAIR_GEN,
            private_template={pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False},
        )
        try:
            private_key = pair[1]
            if not (_flag(private_key, "SENSITIVE") and _flag(private_key, "NEVER_EXTRACTABLE")) or any(
                _flag(private_key, use) for use in ("DECRYPT", "DERIVE", "UNWRAP")
            ):
                raise SigningError(
                    "the token made a key that could leave it or do more than sign; it was deleted again",
                    code="signing.key_unprotected",
                )
            public_key = _read_public_key(writable, uri)
            mechanism, key = Mechanism(_mechanism(public_key)), (private_key, private_key.handle)
            _prove(public_key, lambda payload: writable.sign(mechanism, key, payload))
            if _count(writable, uri) != 1:  # somebody made another at the same moment
                raise exists
            if public_key.curve != curve:
                raise SigningError("the token made a key on another curve", code="signing.curve_unsupported")
        except BaseException:
            # By their handles, not by a search: only what was made here is deleted.
            for made in pair:
                made.destroy()
            raise
        return public_key
    except pkcs11.PKCS11Error as exc:
        # A token that makes one half after the other may have made one. Before, nothing had this label or this id.
        _clean_up(writable, uri)
        if not isinstance(exc, unfit):
            raise
        raise SigningError(
            f"the token makes no {curve.name} keys ({type(exc).__name__})", code="signing.curve_unsupported"
        ) from exc
    finally:
        writable.session.close()


def _make_pair(parameters: Any, **template: Any) -> tuple[Any, Any]:
    """Have the token make a pair; some tokens make the public half first, some the private, some both at once."""
    public, private = parameters.generate_keypair(**template)
    return public, private


def _clean_up(writable: Session, uri: Pkcs11Uri) -> None:
    """Delete what there is of a pair that could not be made; where that fails too, its label is passed over later."""
    pkcs11 = import_pkcs11()
    try:
        _delete(writable, uri)
    except pkcs11.PKCS11Error as exc:
        _log.warning("what the token made of a key could not be deleted (%s)", type(exc).__name__)


def list_token_keys(uri: Pkcs11Uri, *, secret: SecretHandler) -> list[StoredKey]:
    """The private keys on a token, sorted by label and id.

    Args:
        uri: The token; ``object`` and ``id`` narrow the list.
        secret: Asked for the user PIN.

    Raises:
        SigningError: The token cannot be opened or read.
    """
    with open_pool(uri, secret) as pool:
        return pool.run(_list, uri)


def _list(session: Session, uri: Pkcs11Uri) -> list[StoredKey]:
    keys = []
    for key in _find(session, uri, "PRIVATE_KEY"):
        label, identifier = _name_of(key)
        try:
            public_key = _public_half(session, uri, key)
        except SigningError:
            public_key = None
        keys.append(
            StoredKey(
                label=label,
                id=identifier,
                public_key=public_key,
                extractable=_flag(key, "EXTRACTABLE"),
                uri=uri.for_key(label or None, id=identifier or None),
            )
        )
    return sorted(keys, key=lambda key: (key.label, key.id))

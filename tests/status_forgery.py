"""Status tokens, honest or forged in one place, built in the plainest way and apart from the code that issues them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from mdl.cbor import encode
from mdl.cose import CoseSign1, sig_structure
from mdl.keys import SoftwareSigner
from mdl.testing import (
    TEST_TIME,
    CertificateRecipe,
    ThrowawayAuthority,
    deterministic_key,
    distinguished_name,
    throwaway_authority,
)

URI = "https://lists.throwaway.example/1"
LIST_KEY = deterministic_key("list signer")
CA_KEY = deterministic_key("list CA")
SUB, EXP, NBF, IAT, TTL, STATUS_LIST, IDENTIFIER_LIST = 2, 4, 5, 6, 65534, 65533, 65530
ALG, TYP, X5CHAIN = 1, 16, 33
REVOKED_INDEX, VALID_INDEX = 3, 7
REVOKED_ID, VALID_ID = b"\xcc" * 16, b"\x11" * 16


def deflated(data: bytes) -> bytes:
    """The data in zlib's format, by hand: what a library makes of it differs from one version to the next.

    One block with the fixed codes of RFC 1951: a literal for each byte, and matches of 258 where so many repeat it.
    """
    bits, at = ["110"], 0  # the last block, of fixed codes
    while at < len(data):
        byte = data[at]
        bits.append(f"{0x30 + byte:08b}" if byte < 144 else f"{0x190 + byte - 144:09b}")
        at += 1
        while data[at : at + 258] == bytes((byte,)) * 258:
            bits.append("1100010100000")  # length 258, distance 1
            at += 258
    stream = "".join(bits) + "0000000"
    packed = int(stream[::-1], 2).to_bytes(-(-len(stream) // 8), "little")
    return b"\x78\x01" + packed + zlib.adler32(data).to_bytes(4)


def status_list(statuses: Mapping[int, int] | None = None, *, bits: int = 1, size: int = 64) -> dict[str, Any]:
    """A StatusList map, packed bit by bit."""
    number = sum(status << index * bits for index, status in (statuses or {REVOKED_INDEX: 1}).items())
    return {"bits": bits, "lst": deflated(number.to_bytes(size * bits // 8, "little"))}


def identifier_list(*identifiers: bytes) -> dict[str, Any]:
    """An IdentifierList map."""
    return {"identifiers": {identifier: {} for identifier in identifiers or (REVOKED_ID,)}}


def signer_recipe(authority: ThrowawayAuthority, key: SoftwareSigner = LIST_KEY) -> CertificateRecipe:
    """The certificate of a regular list signer."""
    name = distinguished_name(C="US", ST="US-UT", CN="Throwaway list signer")
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key.key)
    return authority.ds_recipe.with_changes(
        subject=name,
        public_key=key.public_key,
        extensions={"ski": (identifier, False), "eku": None, "ian": None, "crldp": None},
    )


def ca_recipe(authority: ThrowawayAuthority, key: SoftwareSigner = CA_KEY) -> CertificateRecipe:
    """The certificate of a CA between the authority's root and a list signer."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key.key)
    return authority.iaca_recipe.with_changes(
        subject=distinguished_name(C="US", ST="US-UT", CN="Throwaway list CA"),
        public_key=key.public_key,
        not_before=authority.ds_recipe.not_before,
        not_after=authority.ds_recipe.not_after,
        extensions={
            "ski": (identifier, False),
            "aki": authority.ds_recipe.extensions["aki"],
            "ian": None,
            "crldp": None,
        },
    )


def below(recipe: CertificateRecipe, issuer: CertificateRecipe, signer: SoftwareSigner) -> CertificateRecipe:
    """The same certificate, issued by another CA."""
    identifier, _ = issuer.extensions["ski"]
    assert isinstance(identifier, x509.SubjectKeyIdentifier)
    aki = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return recipe.with_changes(issuer=issuer.subject, signer=signer, extensions={"aki": (aki, False)})


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token in the making. Members of `claims`, `protected` and `unprotected` replace the honest ones; None removes.

    Attributes:
        content: The list's map.
        claim: The claim that holds it.
        uri: ``sub``.
        issued: ``iat``.
        expires: ``exp``.
        claims: Changes to the claims.
        protected: Changes to the protected header.
        unprotected: The unprotected header.
        signer: Whose key signs.
        chain: x5chain, DER.
        payload: The payload as it is.
        tamper: Replaces the payload after signing.
        tag: What stands before the array.
    """

    content: Any = field(default_factory=status_list)
    claim: int = STATUS_LIST
    uri: str = URI
    issued: datetime = TEST_TIME - timedelta(hours=1)
    expires: datetime = TEST_TIME + timedelta(days=1)
    claims: Mapping[Any, Any] = field(default_factory=dict)
    protected: Mapping[Any, Any] = field(default_factory=dict)
    unprotected: Mapping[Any, Any] = field(default_factory=dict)
    signer: SoftwareSigner = LIST_KEY
    chain: tuple[bytes, ...] = field(default_factory=lambda: (signer_recipe(throwaway_authority()).build(),))
    payload: bytes | None = None
    tamper: bytes | None = None
    tag: bytes = b"\xd2"

    @classmethod
    def of_identifiers(cls, *identifiers: bytes, **changes: Any) -> Token:
        """A token with an identifier list."""
        return cls(content=identifier_list(*identifiers), claim=IDENTIFIER_LIST, **changes)

    def but(self, **changes: Any) -> Token:
        """The same with changes."""
        return replace(self, **changes)

    def encoded_claims(self) -> bytes:
        """The payload before anybody tampers with it."""
        claims = {
            SUB: self.uri,
            IAT: int(self.issued.timestamp()),
            EXP: int(self.expires.timestamp()),
            self.claim: self.content,
        }
        return encode(_merged(claims, self.claims)) if self.payload is None else self.payload

    def build(self) -> bytes:
        """The encoded token."""
        typ = "application/statuslist+cwt" if self.claim == STATUS_LIST else "application/identifierlist+cwt"
        chain = self.chain[0] if len(self.chain) == 1 else list(self.chain)
        honest = {ALG: self.signer.public_key.algorithm.cose_id, TYP: typ, X5CHAIN: chain}
        protected = encode(_merged(honest, self.protected))
        payload = self.encoded_claims()
        signature = self.signer.sign(sig_structure(protected, payload))
        sent = payload if self.tamper is None else self.tamper
        return self.tag + CoseSign1(protected, {}, self.unprotected, sent, signature).encode()


def _merged(honest: Mapping[Any, Any], changes: Mapping[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in {**honest, **changes}.items() if value is not None}

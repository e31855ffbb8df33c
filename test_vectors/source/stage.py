"""The stage for cases: one presentation before one reader.

`scene` takes the fields of `mdl.testing.Recipe` together with those of the reader's side; without any it is honest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from mdl.cbor import TDate, encode, wrap24
from mdl.keys import EphemeralKey, SoftwareSigner
from mdl.mdoc import DeviceRequest, SessionTranscript
from mdl.pki import Certificate
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    Presentation,
    Recipe,
    ThrowawayAuthority,
    deterministic_ephemeral_key,
    deterministic_key,
    raw,
    request_for,
    sample_licence,
    sample_transcript,
    throwaway_authority,
)
from reader.report import Policy, Report, Revocation
from reader.revocation import NO_EVIDENCE, Evidence
from reader.trust import ANY_DOCTYPE, ANY_PURPOSE, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, VerifiedResponse, Verifier
from test_vectors.source.brainpool import Brainpool320Key

Fields = dict[str, Any]

AUTHORITY: ThrowawayAuthority = throwaway_authority()
NAMESPACE = "org.iso.18013.5.1"
DOMESTIC = "org.iso.18013.5.1.US-UT"
PID = "eu.europa.ec.eudi.pid.1"
EUROPEAN_PURPOSE = "1.3.130.2.0.0.1.2"
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
PRINTABLE = x509.name._ASN1Type.PrintableString  # noqa: SLF001 - there is no other way to ask for a string type


# What is left out of the sample licence: it makes every case longer and none better.
_LEFT_OUT = frozenset(
    (
        *("height", "weight", "eye_colour", "hair_colour", "birth_place", "resident_address", "portrait_capture_date"),
        *("age_in_years", "age_birth_year", "nationality", "resident_city", "resident_state", "resident_postal_code"),
        *("resident_country", "family_name_national_character"),
    )
)


def licence(*extra: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The sample licence with a small portrait and little beyond what is mandatory, and further elements."""
    whole = sample_licence(portrait_size=64)
    elements = {
        namespace: {name: value for name, value in each.items() if name not in _LEFT_OUT}
        for namespace, each in whole.items()
    }
    for given in extra:
        for namespace, more in given.items():
            elements.setdefault(namespace, {}).update(more)
    return elements


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """The reader's side, where it is not the presentation's own; None means the honest choice.

    Attributes:
        trust: The trust store; None trusts the presentation's roots for every document type.
        now: The time of verification.
        session: The transcript as the reader knows it.
        ephemeral_key: The reader's ephemeral key.
        without_key: Whether the session has no ephemeral key.
        without_request: Whether there is no request to compare with.
        evidence: Revocation evidence.
        revocation: What is demanded of it.
        tamper: Changes the encoded response on its way.
    """

    trust: TrustStore | None = None
    now: datetime | None = None
    session: SessionTranscript | None = None
    ephemeral_key: EphemeralKey | None = None
    without_key: bool = False
    without_request: bool = False
    evidence: Evidence = NO_EVIDENCE
    revocation: Revocation = Revocation.IF_GIVEN
    tamper: Callable[..., bytes] | None = None


_READER_FIELDS = frozenset(one.name for one in fields(Reader))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A presentation and the reader before whom it happens."""

    presentation: Presentation
    reader: Reader

    @property
    def response(self) -> bytes:
        response = self.presentation.response
        return self.reader.tamper(response) if self.reader.tamper else response

    @property
    def context(self) -> SessionContext:
        key = self.reader.ephemeral_key or self.presentation.reader_key
        return SessionContext(
            transcript=self.reader.session or self.presentation.transcript,
            reader_key=None if self.reader.without_key else key,
        )

    @property
    def request(self) -> DeviceRequest | UnsafeNoRequest:
        return UnsafeNoRequest() if self.reader.without_request else self.presentation.request

    @property
    def at(self) -> datetime:
        return self.reader.now or self.presentation.at

    def verifier(self, policy: Policy = Policy.ISO_STRICT) -> Verifier:
        trust = self.reader.trust or trust_in(*self.presentation.anchors)
        return Verifier(trust, policy=policy, revocation=self.reader.revocation)

    def examine(self, policy: Policy = Policy.ISO_STRICT) -> Report:
        return self.verifier(policy).examine(self.response, **self.expectations)

    def verify(self, policy: Policy = Policy.ISO_STRICT) -> VerifiedResponse:
        return self.verifier(policy).verify(self.response, **self.expectations)

    @property
    def expectations(self) -> dict[str, Any]:
        """What `Verifier.verify` is told besides the response."""
        return {"context": self.context, "request": self.request, "at": self.at, "evidence": self.reader.evidence}


def scene(*, others: Collection[Recipe] = (), **given: Any) -> Scene:
    """A scene: fields of `Recipe` and of `Reader`, and recipes of further documents."""
    theirs = {name: value for name, value in given.items() if name not in _READER_FIELDS}
    theirs.setdefault("namespaces", licence())
    ours = {name: value for name, value in given.items() if name in _READER_FIELDS}
    return Scene(presentation=Recipe(**theirs).present(*others), reader=Reader(**ours))


def trust_in(*roots: Certificate, doctypes: Collection[str] | None = None) -> TrustStore:
    """A trust store of these roots, for some document types or for all."""
    return TrustStore.from_certificates(roots, doctypes=ANY_DOCTYPE if doctypes is None else frozenset(doctypes))


# The other forms of a document that the second edition's draft has; nobody made these.
ZK_DOCUMENTS = [
    {
        "documentData": raw(
            wrap24(encode({"docType": MDL_DOCTYPE, "zkSystemId": "x", "timestamp": TDate("2026-06-01T12:00:00Z")}))
        ),
        "proof": bytes(64),
    }
]
ENCRYPTED_DOCUMENTS = [{"enc": bytes(65), "cipherText": bytes(64), "docRequestID": 0}]

# --- pieces of which attacks are made ---------------------------------------------------------------------------------


def asking(*, for_: Collection[str] = (), but: Collection[str] = (), doctype: str = MDL_DOCTYPE) -> DeviceRequest:
    """A request for these elements of the licence, or for all but some."""
    names = list(for_) or [name for name in licence()[NAMESPACE] if name not in but]
    return request_for((doctype, {NAMESPACE: names}))


def valued(**values: Any) -> Fields:
    """A licence with these elements, in place of its own or besides."""
    return {"namespaces": licence({NAMESPACE: values})}


def document(change: Callable[..., object], index: int = 0) -> Fields:
    """Change a finished document, which nobody signs again."""
    return {"mutate_response": lambda response: change(response["documents"][index])}


def device_auth(change: Callable[..., object]) -> Fields:
    """Change the finished deviceAuth."""
    return document(lambda one: change(one["deviceSigned"]["deviceAuth"]))


def device_authentication(spaces: bytes = b"\xa0", *, seed: str = "session", doctype: str = MDL_DOCTYPE) -> bytes:
    """The encoded DeviceAuthentication array of the plain scene."""
    session = sample_transcript(deterministic_ephemeral_key("reader").public_key, seed=seed).encoded
    return encode(["DeviceAuthentication", raw(session), doctype, raw(wrap24(spaces))])


def device_signature(
    authenticated: bytes,
    *,
    context: str = "Signature1",
    aad: bytes = b"",
    key: SoftwareSigner | Brainpool320Key | None = None,
    protected: bytes = bytes.fromhex("a10126"),
) -> Fields:
    """A deviceSignature over these bytes, in place of the honest one."""
    signature = (key or deterministic_key("device")).sign(encode([context, protected, aad, authenticated]))
    return device_auth(lambda auth: auth["deviceSignature"].__setitem__(slice(None), [protected, {}, None, signature]))


def issuer_auth(change: Callable[..., object]) -> Fields:
    """Change the finished issuerAuth: protected header, unprotected header, payload, signature."""
    return {"mutate_issuer_signed": lambda signed: change(signed["issuerAuth"])}


def signer(**changes: Any) -> Fields:
    """A document signer's certificate that departs from the regular one, issued by the honest root."""
    return {"x5chain": AUTHORITY.deviant_ds(**changes)}


def usage(**bits: bool) -> tuple[x509.ExtensionType, bool]:
    """A critical keyUsage with these bits."""
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**(dict.fromkeys(names, False) | bits)), True


def root(**changes: Any) -> Fields:
    """The honest root in another certificate, with the same key and name; the reader trusts that one."""
    return {"trust": trust_in(Certificate(AUTHORITY.iaca_recipe.with_changes(**changes).build()))}


def link(old: ThrowawayAuthority, new: ThrowawayAuthority, **changes: Any) -> Certificate:
    """A link certificate: an old root's signature over a new root's name and key."""
    regular: dict[str, Any] = {
        "signer": old.iaca_key,
        "issuer": old.iaca_recipe.subject,
        "not_before": moment(-DAY),
        "not_after": moment(100 * DAY),
        "extensions": {
            "aki": old.ds_recipe.extensions["aki"],
            "eku": (x509.ExtendedKeyUsage([ObjectIdentifier("1.0.18013.5.1.4")]), False),
        },
    }
    return Certificate(new.iaca_recipe.with_changes(**regular | changes).build())


def evidence(*crls: bytes, required: bool = False, tokens: tuple[bytes, ...] = ()) -> Fields:
    """Revocation evidence at hand."""
    return {
        "evidence": Evidence(crls=crls, status_tokens=tokens),
        "revocation": Revocation.REQUIRED if required else Revocation.IF_GIVEN,
    }


def moment(offset: timedelta) -> datetime:
    """A time, told from the time of the scene."""
    return TEST_TIME + offset


def pid_signed_for(*purposes: str, accepted: Collection[str] | None = None) -> Fields:
    """A PID by a signer of these purposes, or without any, before a reader that accepts some, or any where None."""
    usage = x509.ExtendedKeyUsage([ObjectIdentifier(one) for one in purposes]) if purposes else None
    chosen = {PID: ANY_PURPOSE if accepted is None else frozenset(accepted)}
    trust = TrustStore.from_certificates([AUTHORITY.iaca_certificate], doctypes=ANY_DOCTYPE, signer_purposes=chosen)
    return {
        "doctype": PID,
        "namespaces": {PID: {"family_name": "Doe"}},
        "x5chain": AUTHORITY.deviant_ds(extensions={"eku": (usage, True) if usage else None}),
        "trust": trust,
    }

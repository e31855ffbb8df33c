"""A software holder: keeps credentials with their device keys and answers requests.

A simulator for tests, demonstrations and conformance work, not a wallet: it has no screen, no storage and no clock. It
keeps the rules that a wallet must keep:

* Only what was requested, is held and is permitted leaves it, and every disclosed item leaves as it was issued.
* No response carries more than two age statements, however the request is divided. Responses are not remembered: a
  reader who asks several times gets two each time, and to stop that is for whoever grants the requests.
* What is not held and what is not permitted look the same to the reader.
* A device key authenticates by signature or by MAC, and by that form for the rest of its life.
* The device key signs no element that the security object does not authorise it for.

Members of a request that the second edition's draft adds (alternatives, use cases, issuer identifiers, encryption) are
not acted upon; an answer without them is a permitted answer.

Spec:
    18013-5 first edition 8.3.2.1.2 (response), 9.1.3 (mdoc authentication); mdoc.md §2.4, §2.5, §4.5.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, cast, runtime_checkable

from mdl.cbor import Tagged24, decode_sequence, encode, wrap24
from mdl.cose import ALG, HMAC_256_256, CoseMac0, CoseSign1, mac_structure, protected_header, sig_structure
from mdl.doctypes import Namespaces, age_over_threshold, age_statements, answer_age_request
from mdl.errors import DecodeError, LocalProtocolError, RemoteProtocolError, UnsupportedError, VerificationError
from mdl.keys import KeyAgreement, PublicKey, Signer, hmac_sha256
from mdl.mdoc import (
    DIGEST_ALGORITHMS,
    DeviceRequest,
    DeviceResponse,
    DeviceSigned,
    DocRequest,
    Document,
    IssuerSigned,
    MobileSecurityObject,
    SessionTranscript,
    device_authentication_bytes,
    device_mac_key,
)

__all__ = [
    "MAX_DOC_REQUESTS",
    "AgreementDeviceKey",
    "Credential",
    "DeviceKey",
    "Holder",
    "KeyUse",
    "Permit",
    "permit_everything",
]

_VERSION: Final = "1.0"
# The error code for data that is not returned, for whatever reason.
_NOT_RETURNED: Final = 0
# A response does not carry more age statements than this: together they would narrow down the birth date.
_MAX_AGE_STATEMENTS: Final = 2
MAX_DOC_REQUESTS: Final = 64
"""How many documents one request may ask for, inclusive: the device key may have to sign for each of them."""


@runtime_checkable
class AgreementDeviceKey(KeyAgreement, Protocol):
    """A device key that agrees secrets, and so serves deviceMac."""

    @property
    def public_key(self) -> PublicKey:
        """The public half."""


DeviceKey: TypeAlias = Signer | AgreementDeviceKey
"""A device key offers `Signer.sign`, `KeyAgreement.agree` or both, in software or in hardware."""

Permit: TypeAlias = Callable[[DocRequest, str, str], bool]
"""Whether an element may leave: the request, the namespace and the identifier of what would be returned.

For a requested age_over_NN the identifier is that of the statement which would answer it.
"""


def permit_everything(_request: DocRequest, _namespace: str, _identifier: str) -> bool:
    """Permit whatever is requested: a holder who always consents."""
    return True


class KeyUse(enum.Enum):
    """How a device key authenticates. One key never does both."""

    SIGNATURE = "deviceSignature"
    MAC = "deviceMac"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Credential:
    """What an issuing authority issued, with the device key that it is bound to.

    Attributes:
        issuer_signed: The credential as issued.
        device_key: The private key.
        security_object: The MSO.
        items: Each item as issued, by namespace and element identifier.
        ages: The age statements, by namespace and threshold.
    """

    issuer_signed: IssuerSigned
    device_key: DeviceKey = field(repr=False)
    security_object: MobileSecurityObject = field(init=False, repr=False)
    items: Mapping[str, Mapping[str, Tagged24]] = field(init=False, repr=False)
    ages: Mapping[str, Mapping[int, bool]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Reject a credential that cannot be presented.

        Raises:
            DecodeError: The security object or an item is malformed.
            UnsupportedError: The digest algorithm or the device key's curve is not known here.
            VerificationError: The credential is bound to another key (code ``credential.device_key``), the digest of an
                item is not the signed one (code ``credential.digest``), or an element occurs twice (code
                ``credential.duplicate_element``).
        """
        mso = self.issuer_signed.security_object()
        if mso.device_public_key != self.device_key.public_key:
            msg = "the credential is bound to another device key"
            raise VerificationError(msg, code="credential.device_key", clause="18013-5 9.1.2.4")
        items: dict[str, Mapping[str, Tagged24]] = {}
        ages: dict[str, Mapping[int, bool]] = {}
        for namespace, received in self.issuer_signed.name_spaces.items():
            values = _read_items(mso, namespace, received)
            items[namespace] = {identifier: item for identifier, (item, _) in values.items()}
            ages[namespace] = age_statements({identifier: value for identifier, (_, value) in values.items()})
        object.__setattr__(self, "security_object", mso)
        object.__setattr__(self, "items", items)
        object.__setattr__(self, "ages", ages)

    @property
    def doctype(self) -> str:
        """The document type."""
        return self.security_object.doctype

    def key_use(self, mac_with: PublicKey | None) -> KeyUse | None:
        """The form of authentication that the device key can give.

        Args:
            mac_with: The reader's ephemeral public key if a MAC is preferred, else None.

        Returns:
            MAC if it is preferred and both keys are on one curve; else SIGNATURE; None if the key cannot sign either.

        Spec:
            18013-5 first edition 9.1.3.5; mdoc.md §2.4.
        """
        curve = self.device_key.public_key.curve
        if (
            mac_with is not None
            and isinstance(self.device_key, AgreementDeviceKey)
            and curve.can_agree
            and mac_with.curve == curve
        ):
            return KeyUse.MAC
        if isinstance(self.device_key, Signer) and curve.algorithm is not None:
            return KeyUse.SIGNATURE
        return None


def _read_items(
    mso: MobileSecurityObject, namespace: str, received: Sequence[Tagged24]
) -> dict[str, tuple[Tagged24, Any]]:
    """Read the items of one namespace, item and value by identifier, and compare each with its digest."""
    hash_name = DIGEST_ALGORITHMS.get(mso.digest_algorithm)
    if hash_name is None:
        msg = "the security object names no digest algorithm of the standard"
        raise UnsupportedError(msg, code="credential.digest_algorithm", clause="18013-5 9.1.2.5")
    digests = mso.value_digests.get(namespace, {})
    result: dict[str, tuple[Tagged24, Any]] = {}
    decoded = decode_sequence([item.content for item in received])
    for index, (item, fields) in enumerate(zip(received, decoded, strict=True)):
        path = f"nameSpaces.{namespace}[{index}]"
        if (
            type(fields) is not dict
            or type(fields.get("digestID")) is not int
            or type(fields.get("elementIdentifier")) is not str
            or "elementValue" not in fields
        ):
            msg = "not an IssuerSignedItem"
            raise DecodeError(msg, code="mdoc.structure", path=path)
        if digests.get(fields["digestID"]) != hashlib.new(hash_name, item.raw).digest():
            msg = f"{path} is not what the issuing authority signed"
            raise VerificationError(msg, code="credential.digest", clause="18013-5 9.3.1")
        identifier = fields["elementIdentifier"]
        if identifier in result:
            msg = f"{path} repeats an element of its namespace"
            raise VerificationError(msg, code="credential.duplicate_element")
        result[identifier] = (item, fields["elementValue"])
    return result


@dataclass(frozen=True, slots=True)
class _Answer:
    """The content of one document of the response, before the device key is used."""

    credential: Credential
    use: KeyUse
    items: dict[str, list[Tagged24]]
    device_elements: dict[str, dict[str, object]]


class Holder:
    """Keeps credentials and answers requests for them."""

    def __init__(self) -> None:
        self._credentials: list[Credential] = []
        self._uses: dict[PublicKey, KeyUse] = {}

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """The credentials, in the order in which they were added."""
        return tuple(self._credentials)

    def add(self, issuer_signed: bytes, device_key: DeviceKey) -> Credential:
        """Keep a credential.

        Args:
            issuer_signed: The encoded IssuerSigned, as the issuing authority handed it out.
            device_key: The private key that it is bound to.

        Returns:
            The credential. Its digests are checked; the issuing authority's signature is not, since trust is a matter
            of the reader.

        Raises:
            DecodeError: The bytes are no IssuerSigned, or what is inside is malformed.
            UnsupportedError: The digest algorithm or the device key's curve is not known here.
            VerificationError: The credential is bound to another key or contradicts itself (codes ``credential.…``).
        """
        credential = Credential(issuer_signed=IssuerSigned.decode(issuer_signed), device_key=device_key)
        self._credentials.append(credential)
        return credential

    def respond(
        self,
        request: DeviceRequest,
        transcript: SessionTranscript,
        *,
        permit: Permit = permit_everything,
        mac_with: PublicKey | None = None,
        device_elements: Mapping[str, Namespaces] | None = None,
    ) -> DeviceResponse:
        """Answer a request.

        A document without any element to disclose is not returned, and is reported like a document that the holder does
        not have. A document type of which a document is returned is not reported. Of several credentials of one
        document type, the first whose device key may authenticate in the required form is used.

        Args:
            request: The reader's request. Its signatures are not verified here; `permit` may verify them.
            transcript: The session.
            permit: Decides whether an element may be disclosed.
            mac_with: The reader's ephemeral public key. If it is given, a device key on the same curve authenticates by
                MAC; any other by signature.
            device_elements: Elements for the device key to sign, by document type, namespace and identifier. They too
                are disclosed only if requested and permitted.

        Returns:
            The response, with status 0 even if no document is returned.

        Raises:
            RemoteProtocolError: The request asks for more than `MAX_DOC_REQUESTS` documents (code
                ``holder.doc_requests``). Nothing was signed.
            LocalProtocolError: The only device keys that could authenticate have been used in the other form (code
                ``holder.key_use``), or cannot authenticate at all (code ``holder.key_unfit``); an element to be signed
                by the device is not authorised (code ``holder.element_unauthorized``) or is in the credential already
                (code ``holder.element_twice``). Nothing has been signed then.
            SigningError: The device key's key store refused or failed.
            DecodeError: Key agreement with the reader's ephemeral key fails.
        """
        if len(request.doc_requests) > MAX_DOC_REQUESTS:
            msg = f"a request for {len(request.doc_requests)} documents, and at most {MAX_DOC_REQUESTS} are answered"
            raise RemoteProtocolError(msg, code="holder.doc_requests")
        answers: list[_Answer] = []
        ages: set[tuple[str, str]] = set()
        asked = dict.fromkeys(one.items_request.doctype for one in request.doc_requests)
        for doc_request in request.doc_requests:
            elements = (device_elements or {}).get(doc_request.items_request.doctype, {})
            answer = self._prepare(doc_request, permit, mac_with, elements, ages)
            if answer is not None:
                answers.append(answer)
        returned = {answer.credential.doctype for answer in answers}
        return DeviceResponse(
            version=_VERSION,
            documents=tuple(self._authenticate(answer, transcript, mac_with) for answer in answers),
            document_errors=tuple({doctype: _NOT_RETURNED} for doctype in asked if doctype not in returned),
            status=0,
        )

    def _prepare(
        self,
        doc_request: DocRequest,
        permit: Permit,
        mac_with: PublicKey | None,
        device_elements: Namespaces,
        ages: set[tuple[str, str]],
    ) -> _Answer | None:
        """Decide what one document will hold and which key will authenticate it; None where nothing is returned.

        `ages` are the age statements of the response so far, by namespace and identifier; those chosen here are added.
        """
        doctype = doc_request.items_request.doctype
        candidates = [one for one in self._credentials if one.doctype == doctype]
        if not candidates:
            return None
        able = [(one, use) for one in candidates if (use := one.key_use(mac_with)) is not None]
        free = [(one, use) for one, use in able if self._uses.get(one.device_key.public_key, use) is use]
        credential = free[0][0] if free else candidates[0]
        items = _disclosed_items(credential, doc_request, permit, ages)
        elements = _device_elements(credential, doc_request, permit, device_elements, ages)
        if not items and not elements:
            return None
        if not free:
            if able:
                msg = "the device key has authenticated in the other form before: one key, one form"
                raise LocalProtocolError(msg, code="holder.key_use", clause="18013-5 9.1.3")
            msg = "the device key can neither sign nor agree a secret with this reader's key"
            raise LocalProtocolError(msg, code="holder.key_unfit", clause="18013-5 9.1.3")
        return _Answer(credential, free[0][1], items, elements)

    def _authenticate(self, answer: _Answer, transcript: SessionTranscript, mac_with: PublicKey | None) -> Document:
        """Let the device key sign or authenticate one document."""
        credential = answer.credential
        key = credential.device_key
        # From here on the key belongs to its form, even if its custodian fails below.
        self._uses[key.public_key] = answer.use
        content = encode(answer.device_elements)
        name_spaces = Tagged24(content, wrap24(content))
        payload = device_authentication_bytes(transcript, credential.doctype, name_spaces.raw)
        signature, mac = None, None
        if answer.use is KeyUse.MAC:
            protected = protected_header(HMAC_256_256)
            secret = device_mac_key(cast("KeyAgreement", key), cast("PublicKey", mac_with), transcript)
            tag = hmac_sha256(secret, mac_structure(protected, payload))
            mac = CoseMac0(protected, {ALG: HMAC_256_256}, {}, None, tag)
        else:
            algorithm = key.public_key.algorithm.cose_id
            protected = protected_header(algorithm)
            raw = cast("Signer", key).sign(sig_structure(protected, payload))
            signature = CoseSign1(protected, {ALG: algorithm}, {}, None, raw)
        return Document(
            credential.doctype,
            IssuerSigned(answer.items, credential.issuer_signed.issuer_auth),
            DeviceSigned(name_spaces, answer.device_elements, signature, mac),
        )


def _disclosed_items(
    credential: Credential, doc_request: DocRequest, permit: Permit, ages: set[tuple[str, str]]
) -> dict[str, list[Tagged24]]:
    """The items to disclose, in the order of the credential; `ages` are the age statements of the response so far."""
    result: dict[str, list[Tagged24]] = {}
    wanted = doc_request.items_request.name_spaces
    for namespace, held in credential.items.items():
        chosen: set[str] = set()
        for requested in wanted.get(namespace, ()):
            identifier: str | None = requested
            threshold = age_over_threshold(requested)
            if threshold is not None:
                identifier = _age_answer(credential.ages[namespace], threshold)
            if identifier is None or identifier not in held or identifier in chosen:
                continue
            if _fits(ages, namespace, identifier) and permit(doc_request, namespace, identifier):
                _count(ages, namespace, identifier)
                chosen.add(identifier)
        if chosen:
            result[namespace] = [item for identifier, item in held.items() if identifier in chosen]
    return result


def _fits(ages: set[tuple[str, str]], namespace: str, identifier: str) -> bool:
    """Whether the response may hold an element beside the age statements that it holds already."""
    statement = (namespace, identifier)
    return age_over_threshold(identifier) is None or statement in ages or len(ages) < _MAX_AGE_STATEMENTS


def _count(ages: set[tuple[str, str]], namespace: str, identifier: str) -> None:
    if age_over_threshold(identifier) is not None:
        ages.add((namespace, identifier))


def _age_answer(statements: Mapping[int, bool], threshold: int) -> str | None:
    """The identifier of the statement that answers a requested age_over_NN, by the nearest-statement rule."""
    nearest = answer_age_request(statements, threshold)
    return None if nearest is None else f"age_over_{nearest:02d}"


def _device_elements(
    credential: Credential, doc_request: DocRequest, permit: Permit, given: Namespaces, ages: set[tuple[str, str]]
) -> dict[str, dict[str, object]]:
    """The elements for the device key to sign. All given ones must be authorised; the requested ones are disclosed."""
    authorizations = credential.security_object.key_authorizations
    result: dict[str, dict[str, object]] = {}
    for namespace, elements in given.items():
        requested = doc_request.items_request.name_spaces.get(namespace, {})
        for identifier, value in elements.items():
            if authorizations is None or not authorizations.permits(namespace, identifier):
                msg = "the security object does not authorise the device key for an element that it is to sign"
                raise LocalProtocolError(msg, code="holder.element_unauthorized", clause="18013-5 9.1.2.4")
            if identifier in credential.items.get(namespace, {}):
                msg = "an element that the device key is to sign is in the credential already"
                raise LocalProtocolError(msg, code="holder.element_twice")
            fits = identifier in requested and _fits(ages, namespace, identifier)
            if fits and permit(doc_request, namespace, identifier):
                _count(ages, namespace, identifier)
                result.setdefault(namespace, {})[identifier] = value
    return result

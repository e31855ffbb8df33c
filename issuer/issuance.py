"""Issue credentials: check the order, salt and digest its elements, have the security object signed.

Signing is prepare → to_be_signed → complete, so a software key, an HSM and a remote service differ only in who turns
`PreparedMdoc.to_be_signed` into a signature. Nothing leaves here whose signature has not been verified with the key in
the document signer's certificate, whatever key the signer names meanwhile.

Spec:
    18013-5 first edition 9.1.2.3 to 9.1.2.5; mdoc.md §1.3, §1.4, §2.1, §2.2.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from struct import unpack
from types import MappingProxyType
from typing import Any, Final

from mdl.cbor import FullDate, Reading, Tagged24, TDate, bstr, encode, head, wrap24
from mdl.cose import X5CHAIN, CoseSign1, encode_key, protected_header, sig_structure
from mdl.doctypes import DOCTYPES, MDL_NAMESPACE, Violation, civil_day, violations
from mdl.errors import DecodeError, IssuanceError, ProfileError, SigningError, UnsupportedError, VerificationError
from mdl.keys import PublicKey, Signer, UnsafePostQuantum, signature_of, signatures_of, signing_key_of
from mdl.mdoc import DIGEST_ALGORITHMS, IssuerSigned, KeyAuthorizations, ValidityInfo
from mdl.pki import DOCUMENT_SIGNER, Certificate, Severity, lint_certificate
from mdl.status import StatusReference

__all__ = ["CredentialIssuer", "Order", "PreparedMdoc", "order_violation", "refuse_order"]

_RANDOM_SIZE: Final = 32
# Digest counts are filled up to a multiple of this with random digests, so that a count tells little about the holder.
_DIGEST_BUCKET: Final = 16
# What the reader's own limits leave room for, with the rest of a response (mdl.cbor.Limits): bytes of the security
# object and of all items, elements of one namespace; inclusive.
_MAX_MSO: Final = 1000 * 1024
_MAX_ITEMS: Final = 2 * 1024 * 1024
_MAX_ELEMENTS: Final = 8000
_NO_OFFSET: Final = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One credential to be issued.

    Attributes:
        namespaces: Element values by namespace and identifier; see `mdl.doctypes`.
        device_key: The holder's device key.
        validity: When the security object is signed and valid; whole seconds, in UTC.
        key_authorizations: What the device key may sign by itself; None for nothing.
        status: The security object's ``status`` member, or None.
        has_fixed_end: Whether validUntil was asked for as a moment, and not as a length of time from validFrom on. An
            order that is repeated later under its order key has the same end then, otherwise the same length.
    """

    namespaces: Mapping[str, Mapping[str, Any]] = field(repr=False)  # a log line is no place for it
    device_key: PublicKey
    validity: ValidityInfo
    key_authorizations: KeyAuthorizations | None = None
    status: Mapping[str, Any] | None = None
    has_fixed_end: bool = False

    def digest(self, doctype: str) -> bytes:
        """SHA-256 of what is ordered, whenever that is: by which an order is told from another with its order key.

        Args:
            doctype: The document type.
        """
        start, end = self.validity.valid_from, self.validity.valid_until
        asked = TDate.of(end) if self.has_fixed_end else int((end - start).total_seconds())
        rights = None if self.key_authorizations is None else _sorted(self.key_authorizations.to_cbor())
        content = [doctype, self.device_key.spki, asked, _sorted(self.namespaces), rights]
        return hashlib.sha256(encode(content)).digest()


def _sorted(value: Any) -> Any:
    """A value in which the order of members tells nothing."""
    if isinstance(value, Mapping):
        return ["map", *(part for key in sorted(value, key=_rank) for part in (key, _sorted(value[key])))]
    return ["array", *map(_sorted, value)] if isinstance(value, list | tuple) else value


def _rank(key: object) -> tuple[str, Any]:
    return type(key).__name__, key


def order_violation(code: str, where: str, message: str) -> Violation:
    """What is wrong with an order and with no element of it.

    Args:
        code: The code.
        where: The member of the order, as ``validity.signed``.
        message: What should have been.
    """
    return Violation(namespace="", identifier="", code=code, message=message, where=where)


def refuse_order(found: tuple[Violation, ...], *, places: tuple[int, ...] = ()) -> IssuanceError:
    """Make the error about an order; its code is that of the first violation.

    Args:
        found: What is wrong, at least one thing.
        places: The order's index in its batch, or nothing.
    """
    first = found[0]
    code = first.code if first.code.startswith(("issuance.", "policy.")) else f"issuance.{first.code}"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    which = f"order {places[0]}: " if places else ""
    message = f"not issued: {which}{first.path} {first.message}".rstrip() + more
    return IssuanceError(message, code=code, clause=_CLAUSES.get(code), violations=found, places=places)


_CLAUSES: Final = {
    "issuance.device_key": "18013-5 9.1.5.2",
    "issuance.key_authorizations": "18013-5 9.1.2.4",
}


@dataclass(frozen=True, slots=True)
class PreparedMdoc:
    """A credential that lacks nothing but its signature.

    Attributes:
        to_be_signed: The encoded Sig_structure: what the document signer's key has to sign, whole.
    """

    to_be_signed: bytes
    _items: Mapping[str, tuple[list[bytes], list[bytes]]] = field(repr=False)
    _protected: bytes
    _unprotected: Mapping[int, Any]
    _payload: bytes
    _key: PublicKey
    _algorithm: int

    def complete(self, signature: bytes) -> IssuerSigned:
        """Put the signature in, once it is proven right.

        Args:
            signature: The raw signature over `to_be_signed`: r and s side by side, or the EdDSA or ML-DSA signature.

        Raises:
            SigningError: It is not the document signer's signature over these bytes (code ``signing.wrong_signature``).
        """
        # Custodians are anybody's code: what is no byte string is no signature.
        answer: object = signature
        signature = bytes(answer) if isinstance(answer, bytes | bytearray) else b""
        try:
            self._key.verify(signature, self.to_be_signed)
        except VerificationError as exc:
            msg = "the custodian's signature does not verify with the document signer's key; nothing was issued"
            raise SigningError(msg, code="signing.wrong_signature") from exc
        issuer_auth = CoseSign1(self._protected, {1: self._algorithm}, self._unprotected, self._payload, signature)
        return IssuerSigned(
            {namespace: [*map(Tagged24, contents, raws)] for namespace, (contents, raws) in self._items.items()},
            issuer_auth,
        )


class CredentialIssuer:
    """Issues credentials of one document type under one document signer."""

    def __init__(
        self,
        signer: Signer,
        certificate: Certificate,
        *,
        doctype: str,
        digest_algorithm: str = "SHA-256",
        random: Callable[[int], bytes] = os.urandom,
        post_quantum: UnsafePostQuantum | None = None,
    ) -> None:
        """Bind a document signer's key to its certificate.

        Args:
            signer: The document signer's key.
            certificate: Its certificate.
            doctype: The document type to issue.
            digest_algorithm: ``SHA-256``, ``SHA-384`` or ``SHA-512``.
            random: A cryptographic source: takes a count, gives as many bytes.
            post_quantum: Asks for the rehearsal: the document signer's key and device keys may be ones of ML-DSA.

        Raises:
            SigningError: The certificate is not this key's (code ``signing.wrong_key``).
            ProfileError: The certificate breaks the document signer profile.
        """
        if digest_algorithm not in DIGEST_ALGORITHMS:
            msg = "the digest algorithm is one of SHA-256, SHA-384 and SHA-512"
            raise ValueError(msg)
        key = certificate.key_for(post_quantum)
        if key != signing_key_of(signer):
            msg = "the certificate is not of the signer's key"
            raise SigningError(msg, code="signing.wrong_key")
        findings = tuple(
            finding
            for finding in lint_certificate(certificate, DOCUMENT_SIGNER, post_quantum=post_quantum)
            if finding.severity is Severity.ERROR
        )
        if findings:
            msg = f"the document signer's certificate breaks its profile: {findings[0].message}"
            raise ProfileError(msg, code="issuance.certificate_profile", clause="18013-5 B.1.4", findings=findings)
        self._signer = signer
        self._key = key
        self._certificate = certificate
        self._doctype = doctype
        self._digest = getattr(hashlib, DIGEST_ALGORITHMS[digest_algorithm])
        self._digest_size: int = self._digest().digest_size
        self._random = random
        self._post_quantum = post_quantum
        self._algorithm = key.algorithm_for(post_quantum).cose_id
        self._protected = protected_header(self._algorithm)
        self._unprotected = MappingProxyType({X5CHAIN: certificate.der})
        # The parts of the security object that all credentials of this issuer share.
        self._mso_start = encode("version") + encode("1.0") + encode("digestAlgorithm") + encode(digest_algorithm)
        self._mso_doctype = encode("docType") + encode(doctype)

    @property
    def certificate(self) -> Certificate:
        """The document signer's certificate."""
        return self._certificate

    @property
    def doctype(self) -> str:
        """The document type that it issues."""
        return self._doctype

    def check(self, order: Order, *, time_zone: tzinfo | None = None) -> None:
        """Refuse an order that may not be issued.

        Args:
            order: The order.
            time_zone: Where the authority's days begin; None where that is not known (`mdl.doctypes.civil_day`).

        Raises:
            IssuanceError: It may not; ``.violations`` has everything that is wrong with it.
        """
        found = self.violations(order, time_zone=time_zone)
        if found:
            raise refuse_order(found)

    def violations(self, order: Order, *, time_zone: tzinfo | None = None) -> tuple[Violation, ...]:
        """Tell everything for which an order may not be issued; the arguments are those of `check`."""
        if not isinstance(order, Order):
            msg = "an Order is issued"
            raise TypeError(msg)
        malformed = _form_problem(order.validity)
        elements = violations(
            self._doctype,
            order.namespaces,
            valid_from=None if malformed is not None else order.validity.valid_from,
            time_zone=time_zone,
        )
        found = [malformed] if malformed is not None else self._validity_problems(order, time_zone)
        found += self._subject_problems(order.namespaces)
        if not (order.namespaces and all(order.namespaces.values())):
            # A namespace of decoys alone would be issued as an empty array, which no reader takes.
            found.append(order_violation("issuance.empty", "", "the order or a namespace of it has no elements"))
        return (*found, *elements, *self._key_problems(order), *_status_problems(order.status))

    def prepare(self, order: Order, *, time_zone: tzinfo | None = None) -> PreparedMdoc:
        """Check an order and build everything but the signature; the arguments are those of `check`.

        Raises:
            IssuanceError: The order may not be issued; ``.violations`` has everything that is wrong with it.
        """
        self.check(order, time_zone=time_zone)
        return self.build(order)

    def build(self, checked: Order) -> PreparedMdoc:
        """Build everything but the signature for an order that `check` has let pass, and that is not checked again.

        Raises:
            IssuanceError: The credential would be too large, or its status is none.
        """
        order = checked
        found = _status_problems(order.status)  # the one member that may be put in after the check
        if found:
            raise refuse_order(found)
        items: dict[str, tuple[list[bytes], list[bytes]]] = {}
        digests: list[bytes] = []
        for namespace, elements in order.namespaces.items():
            contents, raws, encoded_digests = self._digest_items(elements)
            items[namespace] = contents, raws
            digests += (encode(namespace), encoded_digests)
        mso = b"".join(
            (
                b"\xa6" if order.status is None else b"\xa7",
                self._mso_start,
                b"\x6cvalueDigests",
                head(5, len(order.namespaces)),
                *digests,
                b"\x6ddeviceKeyInfo",
                _device_key_info(order),
                self._mso_doctype,
                b"\x6cvalidityInfo",
                _encoded_validity(order.validity),
                b"" if order.status is None else encode("status") + encode(dict(order.status)),
            )
        )
        payload = wrap24(mso)
        if (
            len(payload) > _MAX_MSO
            or sum(len(raw) for _, raws in items.values() for raw in raws) > _MAX_ITEMS
            or any(len(elements) > _MAX_ELEMENTS for elements in order.namespaces.values())
        ):
            what = "the credential would be larger than readers take"
            raise refuse_order((order_violation("issuance.too_large", "namespaces", what),))
        return PreparedMdoc(
            sig_structure(self._protected, payload),
            items,
            self._protected,
            self._unprotected,
            payload,
            self._key,
            self._algorithm,
        )

    def issue(self, order: Order, *, time_zone: tzinfo | None = None) -> IssuerSigned:
        """Check, build and sign one credential; the arguments are those of `check`.

        Raises:
            IssuanceError: The order may not be issued.
            SigningError: The custodian refused, failed or gave a wrong signature; nothing was issued.
        """
        prepared = self.prepare(order, time_zone=time_zone)
        return prepared.complete(signature_of(self._signer, prepared.to_be_signed))

    def issue_many(
        self, orders: Iterable[Order], sign_many: Callable[[list[bytes]], list[bytes]], *, batch: int = 256
    ) -> Iterator[IssuerSigned]:
        """Issue many credentials, signing them batch by batch.

        Args:
            orders: The orders; each batch is checked whole before any of it is signed.
            sign_many: Signs a list of messages with this issuer's key, in order (see `issuer.keystore`).
            batch: How many credentials to sign in one go, at least 1.

        Raises:
            IssuanceError: An order may not be issued; earlier batches have been handed out.
            SigningError: The custodian refused, failed or gave a wrong signature.
        """
        if batch < 1:
            msg = "a batch is at least one credential"
            raise ValueError(msg)
        pending: list[PreparedMdoc] = []
        for order in orders:
            pending.append(self.prepare(order))
            if len(pending) == batch:
                yield from _complete_all(pending, sign_many)
                pending = []
        if pending:
            yield from _complete_all(pending, sign_many)

    def _digest_items(self, elements: Mapping[str, Any]) -> tuple[list[bytes], list[bytes], bytes]:
        """Salt and digest the elements of one namespace.

        Returns:
            The items' contents, the items with their tag 24, and the encoded map of digests by digest id.
        """
        count = len(elements)
        total = (count // _DIGEST_BUCKET + 1) * _DIGEST_BUCKET  # at least one of them is a decoy
        # One draw: a salt for each element, a digest for each decoy, and sort keys that shuffle the digest ids. Keys
        # are 64 bits wide, so an order is as good as uniform and a tie practically never happens (and does no harm).
        salts_end = _RANDOM_SIZE * count
        decoys_end = salts_end + self._digest_size * (total - count)
        entropy = self._random(decoys_end + 8 * total)
        if len(entropy) != decoys_end + 8 * total:
            msg = "the random source gave a wrong number of bytes"
            raise ValueError(msg)
        sort_keys = unpack(f">{total}Q", entropy[decoys_end:])
        digest_ids = sorted(range(total), key=sort_keys.__getitem__)
        item_starts, digest_starts = _starts(total, self._digest_size)
        digest = self._digest
        contents: list[bytes] = []
        raws: list[bytes] = []
        by_id: list[bytes] = [b""] * (2 * total)
        by_id[::2] = digest_starts
        position = 0
        for digest_id, (identifier, value) in zip(digest_ids, elements.items(), strict=False):
            salt_end = position + _RANDOM_SIZE
            content = (
                item_starts[digest_id] + entropy[position:salt_end] + _item_middle(identifier) + _encode_value(value)
            )
            position = salt_end
            size = len(content)
            raw = (_SHORT_HEADS[size] if size < 256 else b"\xd8\x18" + head(2, size)) + content
            contents.append(content)
            raws.append(raw)
            by_id[2 * digest_id + 1] = digest(raw).digest()
        for digest_id in digest_ids[count:]:
            by_id[2 * digest_id + 1] = entropy[position : position + self._digest_size]
            position += self._digest_size
        return contents, raws, head(5, total) + b"".join(by_id)

    def _validity_problems(self, order: Order, time_zone: tzinfo | None) -> list[Violation]:
        validity, certificate = order.validity, self._certificate
        found = []
        if not validity.signed <= validity.valid_from < validity.valid_until:
            what = "signed, validFrom and validUntil are not in order"
            found.append(order_violation("issuance.validity_order", "validity", what))
        if not certificate.not_before <= validity.signed <= certificate.not_after:
            what = "signed lies outside the document signer's validity"
            found.append(order_violation("issuance.signed_outside_certificate", "validity.signed", what))
        if validity.valid_until > certificate.not_after:
            what = "validUntil lies behind the document signer's notAfter"
            found.append(order_violation("issuance.outlives_certificate", "validity.valid_until", what))
        # A licence is issued and expires on days of the authority's own calendar.
        first, last = civil_day(validity.valid_from, time_zone).last, civil_day(validity.valid_until, time_zone).certain
        for namespace in DOCTYPES[self._doctype].namespaces if self._doctype in DOCTYPES else ():
            elements = order.namespaces.get(namespace.name, {})
            issued, expires = (
                elements.get(name) for name in (_ISSUED.get(namespace.name, "issue_date"), "expiry_date")
            )
            if _is_before(validity.valid_from, first, issued):
                what = "validFrom lies before the licence's issue_date"
                found.append(order_violation("issuance.before_issue_date", "validity.valid_from", what))
            if _is_behind(validity.valid_until, last, expires):
                what = "validUntil lies behind the licence's expiry_date"
                found.append(order_violation("issuance.after_expiry_date", "validity.valid_until", what))
        return found

    def _subject_problems(self, namespaces: Mapping[str, Mapping[str, Any]]) -> list[Violation]:
        found = []
        country, state = self._certificate.country, self._certificate.state
        elements = namespaces.get(MDL_NAMESPACE, {})
        if elements.get("issuing_country", country) != country:
            what = "is not the document signer's country"
            found.append(_element_violation("issuance.country", "issuing_country", what))
        if state is not None and elements.get("issuing_jurisdiction", state) != state:
            what = "is not the document signer's state"
            found.append(_element_violation("issuance.jurisdiction", "issuing_jurisdiction", what))
        if state is not None and "issuing_jurisdiction" not in elements:
            # Without it nothing but the certificate says whose namespace may be used.
            foreign = [
                name
                for name in namespaces
                if type(name) is str
                and name.startswith(f"{MDL_NAMESPACE}.")
                and "-" in name
                and not name.endswith(state)
            ]
            found += [
                Violation(
                    namespace=name,
                    identifier="",
                    code="namespace.foreign",
                    message="is the namespace of another state than the document signer's",
                )
                for name in foreign
            ]
        return found

    def _key_problems(self, order: Order) -> list[Violation]:
        found = []
        try:
            order.device_key.algorithm_for(self._post_quantum)
        except UnsupportedError:
            what = f"a device key on {order.device_key.curve.name} cannot sign"
            found.append(order_violation("issuance.device_key", "device_key", what))
        if order.device_key == self._key:
            what = "the device key is the document signer's own key"
            found.append(order_violation("issuance.device_key", "device_key", what))
        if order.key_authorizations is not None:
            reading = Reading()
            try:
                KeyAuthorizations.decode(order.key_authorizations.to_cbor(), "keyAuthorizations", reading)
                is_sound = not reading.deviations  # a reader tolerates them
            except DecodeError:
                is_sound = False
            if not is_sound:
                what = "the key authorizations are empty, or give a namespace both whole and in part"
                found.append(order_violation("issuance.key_authorizations", "key_authorizations", what))
        return found


# Where the day of issue has another name.
_ISSUED: Final = {"eu.europa.ec.eudi.pid.1": "issuance_date"}


def _element_violation(code: str, identifier: str, message: str) -> Violation:
    return Violation(namespace=MDL_NAMESPACE, identifier=identifier, code=code, message=message)


def _status_problems(status: Mapping[str, Any] | None) -> tuple[Violation, ...]:
    if status is None:
        return ()
    try:
        StatusReference.decode(status)
    except DecodeError:
        return (order_violation("issuance.status", "status", "the status is none that a reader could look up"),)
    return ()


def _complete_all(
    pending: list[PreparedMdoc], sign_many: Callable[[list[bytes]], list[bytes]]
) -> Iterator[IssuerSigned]:
    signatures = signatures_of(sign_many, [prepared.to_be_signed for prepared in pending])
    # All of a batch or nothing of it: a custodian that errs once is not trusted with the rest.
    yield from [prepared.complete(signature) for prepared, signature in zip(pending, signatures, strict=True)]


def _form_problem(validity: ValidityInfo) -> Violation | None:
    """Whole seconds in UTC: in other zones two different moments may compare equal, when the clocks go back."""
    for moment in (validity.signed, validity.valid_from, validity.valid_until, validity.expected_update):
        if moment is not None and (moment.utcoffset() != _NO_OFFSET or moment.microsecond):
            what = "the validity's moments are whole seconds in UTC"
            return order_violation("issuance.validity_form", "validity", what)
    return None


def _is_before(moment: datetime, day: date, value: object) -> bool:
    """Whether a moment, of that day at the latest, lies before a licence's date."""
    try:
        if isinstance(value, FullDate):
            return day < value.date
        return isinstance(value, TDate) and moment < value.datetime
    except DecodeError:
        return False  # a violation of its own


def _is_behind(moment: datetime, day: date, value: object) -> bool:
    """Whether a moment, of that day at the earliest, lies behind a licence's date."""
    try:
        if isinstance(value, FullDate):
            return day > value.date
        return isinstance(value, TDate) and moment > value.datetime
    except DecodeError:
        return False


# Tag 24 with the head of a byte string, by its length.
_SHORT_HEADS: Final = tuple(b"\xd8\x18" + head(2, size) for size in range(256))


# --- encoding what an order has in common with others, once ---------------------------------------------------------


@lru_cache(maxsize=4096)
def _item_middle(identifier: str) -> bytes:
    return b"\x71elementIdentifier" + encode(identifier) + b"\x6celementValue"


@lru_cache(maxsize=64)
def _starts(total: int, digest_size: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """What goes before an item's salt, and before a digest, by digest id."""
    salt = b"\x66random" + head(2, _RANDOM_SIZE)
    return (
        tuple(b"\xa4\x68digestID" + head(0, digest_id) + salt for digest_id in range(total)),
        tuple(head(0, digest_id) + head(2, digest_size) for digest_id in range(total)),
    )


@lru_cache(maxsize=64)
def _encoded_validity(validity: ValidityInfo) -> bytes:
    return encode(validity.to_cbor())


def _device_key_info(order: Order) -> bytes:
    key = encode(encode_key(order.device_key))
    if order.key_authorizations is None:
        return b"\xa1\x69deviceKey" + key
    return b"\xa2\x69deviceKey" + key + encode("keyAuthorizations") + encode(order.key_authorizations.to_cbor())


def _encode_value(value: Any) -> bytes:
    """`encode`, with a short way for what most elements are."""
    kind = type(value)
    if kind is str:
        text: bytes = value.encode()
        return head(3, len(text)) + text
    if kind is FullDate:
        return b"\xd9\x03\xec\x6a" + value.text.encode() if len(value.text) == 10 else encode(value)
    if kind is bytes:
        return bstr(value)
    if kind is bool:
        return b"\xf5" if value else b"\xf4"
    return encode(value)

"""A second reading of certificates, CRLs and requests, which shares no code with the first.

`mdl.pki` decodes with the DER decoder of `cryptography`. Here asn1crypto reads the same bytes and encodes every value
again, and `cryptography.x509` is asked as well. Readers that differ about one certificate can be played off against
each other, so whatever they differ in is a finding.

asn1crypto by itself takes BER for DER and looks at a value only when it is asked for it: everything is asked for here,
and only what it writes again octet for octet counts as DER.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from mdl.pki import Certificate, CertificateRequest, Crl, Extension, Rule, Severity
from mdl.pki.certificate import ECDSA_SIGNATURES

__all__ = ["DER_RULES", "Document", "SecondReading", "read_again"]

Document: TypeAlias = Certificate | Crl | CertificateRequest
Facts: TypeAlias = Mapping[str, object]

_REFUSALS: Final = (
    *(ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError),
    *(UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType),
)
"""What the two libraries raise on what they do not read; asn1crypto has no exceptions of its own."""

_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondReading:
    """What the other readers make of a document.

    Attributes:
        ours: The facts as `mdl.pki` reads them, by name.
        theirs: The same as asn1crypto reads them; None where it cannot.
        library: Those of them that `cryptography.x509` tells; None where it refuses.
        reencoded: What is written in another way when it is encoded again.
        foreign: Object identifiers of extensions whose value is not DER, or not what the identifier stands for.
    """

    ours: Facts
    theirs: Facts | None
    library: Facts | None
    reencoded: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def read_again(document: Document) -> SecondReading:
    """Read a document with asn1crypto and with `cryptography.x509`.

    Raises:
        ModuleNotFoundError: There is no asn1crypto; the extra ``issuer`` brings it.
    """
    theirs, reencoded, foreign = _read_by_asn1crypto(document)
    return SecondReading(
        ours=_our_facts(document),
        theirs=theirs,
        library=_read_by_library(document),
        reencoded=reencoded,
        foreign=foreign,
    )


# --- our own reading --------------------------------------------------------------------------------------------------


def _our_facts(document: Document) -> Facts:
    if isinstance(document, CertificateRequest):
        return {"the subject": document.subject.der, "the public key": document.public_key.spki}
    facts: dict[str, object] = {
        "the version": document.version,
        "the signed body": document.tbs,
        "the signature": document.signature,
        "the signature algorithms": (document.inner_algorithm.oid, document.algorithm.oid),
        "the issuer": document.issuer.der,
        "the extensions": _extension_facts(document.extensions.values()),
    }
    if isinstance(document, Crl):
        return facts | {
            "thisUpdate": document.this_update,
            "nextUpdate": document.next_update,
            "the list": dict(document.revoked),
            "the entries' extensions": frozenset(document.entry_extensions.items()),
        }
    return facts | {
        "the serial number": document.serial,
        "the subject": document.subject.der,
        "notBefore": document.not_before,
        "notAfter": document.not_after,
        "the public key": document.spki,
    }


def _extension_facts(extensions: Iterable[Extension]) -> frozenset[tuple[str, bool, bytes]]:
    return frozenset((extension.oid, extension.critical, extension.value) for extension in extensions)


# --- asn1crypto -------------------------------------------------------------------------------------------------------


@cache
def _opaque(extension: Any) -> Any:
    """The type of an extension whose value stays octets."""
    return type("Extension", (extension,), {"_oid_specs": {}})


@cache
def _schemas() -> Mapping[type[Document], tuple[Any, Callable[[Any], Facts]]]:
    """asn1crypto's types, but for extensions: their values stay octets, so that one of them spoils itself only."""
    from asn1crypto import core, crl, csr
    from asn1crypto import x509 as certificates

    def with_fields(kind: Any, replaced: Mapping[str, Any]) -> Any:
        fields = [(name, replaced.get(name, spec), *options) for name, spec, *options in kind._fields]
        return type(kind.__name__, (kind,), {"_fields": fields})

    def opaque(extension: Any) -> Any:
        return type("Extensions", (core.SequenceOf,), {"_child_spec": _opaque(extension)})

    entry = with_fields(crl.RevokedCertificate, {"crl_entry_extensions": opaque(crl.CRLEntryExtension)})
    entries = type("RevokedCertificates", (core.SequenceOf,), {"_child_spec": entry})
    crl_body = with_fields(
        crl.TbsCertList, {"crl_extensions": opaque(crl.TBSCertListExtension), "revoked_certificates": entries}
    )
    # What the certificates of one issuer have in common stays octets too, and is looked at once: see `_parts`.
    parts = dict.fromkeys(("signature", "issuer", "subject", "subject_public_key_info"), core.Any)
    extensions = type("Extensions", (core.SequenceOf,), {"_child_spec": core.Any})
    body = with_fields(certificates.TbsCertificate, {"extensions": extensions, **parts})
    outer = with_fields(certificates.Certificate, {"tbs_certificate": body, "signature_algorithm": core.Any})
    return {
        Certificate: (outer, _certificate_facts),
        Crl: (with_fields(crl.CertificateList, {"tbs_cert_list": crl_body}), _crl_facts),
        # Attributes stay octets: one that asn1crypto does not know is no fault of the request.
        CertificateRequest: (
            with_fields(
                csr.CertificationRequest,
                {
                    "certification_request_info": with_fields(
                        csr.CertificationRequestInfo,
                        {"attributes": type("Attributes", (core.SetOf,), {"_child_spec": core.Any})},
                    )
                },
            ),
            _request_facts,
        ),
    }


def _read_by_asn1crypto(document: Document) -> tuple[Facts | None, tuple[str, ...], tuple[str, ...]]:
    """Facts, what is encoded otherwise, and extensions that are not what they should be."""
    kind, facts_of = _schemas()[type(document)]
    try:
        outer = kind.load(document.der, strict=True)
        facts = facts_of(outer)
        own = _certificate_extensions(outer) if isinstance(document, Certificate) else []
        extensions = [
            *_extension_values(document, outer),
            *((one.oid, one.kind, one.value) for one in dict.fromkeys(own)),
        ]
        _ask_for_everything(outer)
        parts = [_OUTSIDE for one in own if one.is_reencoded]
        if isinstance(document, Certificate):
            parts += [where for where, kind, part in _parts(outer) if _is_reencoded(kind, part.dump())]
        if outer.dump(force=True) != document.der:
            parts.append(_OUTSIDE)
        reencoded = sorted(set(parts), key=(_OUTSIDE, "the issuer", "the subject").index)
        if not isinstance(document, CertificateRequest) and document.algorithm.oid in ECDSA_SIGNATURES:
            reencoded += _reencoded_signature(document.signature)
    except _REFUSALS:
        return None, (), ()
    foreign = [] if not isinstance(document, CertificateRequest) else _foreign_attributes(outer, reencoded)
    for oid, kind_of_value, contents in extensions:
        try:
            if _is_reencoded(kind_of_value, contents):
                reencoded.append(f"extension {oid}")
        except _REFUSALS:
            foreign.append(oid)
    return facts, tuple(reencoded), tuple(foreign)


def _certificate_facts(outer: Any) -> Facts:
    body = outer["tbs_certificate"]
    return {
        "the version": int(body["version"]) + 1,
        "the signed body": body.dump(),
        "the signature": outer["signature_value"].native,
        "the signature algorithms": (
            _algorithm(body["signature"].dump()),
            _algorithm(outer["signature_algorithm"].dump()),
        ),
        "the issuer": body["issuer"].dump(),
        "the extensions": frozenset(one[:3] for one in _certificate_extensions(outer)),
        "the serial number": body["serial_number"].native,
        "the subject": body["subject"].dump(),
        "notBefore": body["validity"]["not_before"].native,
        "notAfter": body["validity"]["not_after"].native,
        "the public key": body["subject_public_key_info"].dump(),
    }


_OUTSIDE: Final = "outside the values of extensions"


def _parts(outer: Any) -> tuple[tuple[str, Any, Any], ...]:
    """What is looked at by itself in a certificate beside its extensions: where it stands, its type, the part."""
    from asn1crypto import algos, keys
    from asn1crypto import x509 as certificates

    body = outer["tbs_certificate"]
    return (
        ("the issuer", certificates.Name, body["issuer"]),
        ("the subject", certificates.Name, body["subject"]),
        (_OUTSIDE, algos.SignedDigestAlgorithm, body["signature"]),
        (_OUTSIDE, algos.SignedDigestAlgorithm, outer["signature_algorithm"]),
        (_OUTSIDE, keys.PublicKeyInfo, body["subject_public_key_info"]),
    )


@lru_cache(maxsize=64)
def _algorithm(contents: bytes) -> str:
    from asn1crypto import algos

    return str(algos.SignedDigestAlgorithm.load(contents, strict=True)["algorithm"].dotted)


class _TheirExtension(NamedTuple):
    """An extension of a certificate as asn1crypto reads it.

    Attributes:
        oid: Its identifier.
        critical: Whether it is critical.
        value: The octets of its value.
        kind: The type of its value.
        is_reencoded: Whether what is around the value comes out otherwise when it is encoded again.
    """

    oid: str
    critical: bool
    value: bytes
    kind: Any
    is_reencoded: bool


def _certificate_extensions(outer: Any) -> list[_TheirExtension]:
    return [_certificate_extension(one.dump()) for one in _members(outer["tbs_certificate"]["extensions"])]


@lru_cache(maxsize=512)
def _certificate_extension(contents: bytes) -> _TheirExtension:
    from asn1crypto import x509 as certificates

    shell = _opaque(certificates.Extension).load(contents, strict=True)
    _ask_for_everything(shell)
    typed = certificates.Extension.load(contents)
    oid = typed["extn_id"].dotted  # the type of the value is told after the identifier has been read
    is_reencoded = shell.dump(force=True) != contents
    value = shell["extn_value"].contents
    return _TheirExtension(oid, shell["critical"].native, value, typed.spec("extn_value"), is_reencoded)


def _crl_facts(outer: Any) -> Facts:
    body = outer["tbs_cert_list"]
    revoked: dict[int, datetime] = {}
    on_entries: dict[str, bool] = {}
    for entry in _members(body["revoked_certificates"]):
        serial, moment = entry["user_certificate"].native, entry["revocation_date"].native
        revoked[serial] = min(moment, revoked.get(serial, moment))
        for oid, critical, _ in _their_extension_facts(entry["crl_entry_extensions"]):
            on_entries[oid] = on_entries.get(oid, False) or critical
    return {
        "the version": int(body["version"]) + 1 if _is_there(body["version"]) else 1,
        "the signed body": body.dump(),
        "the signature": outer["signature"].native,
        "the signature algorithms": _algorithm_facts(body, outer),
        "the issuer": body["issuer"].dump(),
        "the extensions": _their_extension_facts(body["crl_extensions"]),
        "thisUpdate": body["this_update"].native,
        "nextUpdate": body["next_update"].native,
        "the list": revoked,
        "the entries' extensions": frozenset(on_entries.items()),
    }


def _foreign_attributes(outer: Any, reencoded: list[str]) -> list[str]:
    """Attributes of a request that are not what they are called; those that are only BER are added to `reencoded`.

    Spec:
        RFC 2986 4.1: an attribute may be of any type.
    """
    from asn1crypto import csr

    foreign = []
    for one in _members(outer["certification_request_info"]["attributes"]):
        contents = one.dump()
        identifier = "?"
        try:
            kind = csr.CRIAttribute.load(contents)["type"]
            identifier = kind.dotted
            if kind.native == identifier:  # not known to asn1crypto, so what can be looked at is the form
                _require_der(contents)
            elif _is_reencoded(csr.CRIAttribute, contents):
                reencoded.append(f"attribute {identifier}")
        except _REFUSALS:
            foreign.append(identifier)
    return foreign


def _request_facts(outer: Any) -> Facts:
    body = outer["certification_request_info"]
    return {"the subject": body["subject"].dump(), "the public key": body["subject_pk_info"].dump()}


def _algorithm_facts(body: Any, outer: Any) -> tuple[str, str]:
    return body["signature"]["algorithm"].dotted, outer["signature_algorithm"]["algorithm"].dotted


def _their_extension_facts(extensions: Any) -> frozenset[tuple[str, bool, bytes]]:
    return frozenset(
        (each["extn_id"].dotted, each["critical"].native, each["extn_value"].contents) for each in _members(extensions)
    )


def _is_there(value: Any) -> bool:
    from asn1crypto import core

    return not isinstance(value, core.Void)


def _members(values: Any) -> Iterator[Any]:
    """The members of an optional list."""
    return iter(values if _is_there(values) else ())


def _extension_values(document: Document, outer: Any) -> Iterator[tuple[str, Any, bytes]]:
    """Identifier, type and value of every extension of a CRL; what its entries repeat comes once."""
    from asn1crypto import crl

    found: list[tuple[Any, Any]] = []
    if isinstance(document, Crl):
        body = outer["tbs_cert_list"]
        found = [(crl.TBSCertListExtension, each) for each in _members(body["crl_extensions"])]
        if document.entry_extensions:
            for entry in _members(body["revoked_certificates"]):
                found += [(crl.CRLEntryExtension, each) for each in _members(entry["crl_entry_extensions"])]
    seen = set()
    for kind, extension in found:
        der = extension.dump()
        if der not in seen:
            seen.add(der)
            typed = kind.load(der)
            # The type is told after the identifier has been read.
            yield typed["extn_id"].dotted, typed.spec("extn_value"), extension["extn_value"].contents


# The certificates of one issuer have most of their extensions in common.
@lru_cache(maxsize=512)
def _is_reencoded(kind: Any, contents: bytes) -> bool:
    """Whether a value comes out otherwise when it is encoded again; raises where it cannot be read."""
    from asn1crypto import core

    if kind is core.ParsableOctetString:  # not known to asn1crypto, so what can be looked at is the form
        _require_der(contents)
        return False
    value = kind.load(contents, strict=True)
    _ask_for_everything(value)
    return bool(value.dump(force=True) != contents)


_CONSTRUCTED: Final = 0x20
# The most octets of a tag number, inclusive.
_LONGEST_TAG: Final = 4
# Universal types that consist of others; of strings DER knows the primitive form only.
_COMPOSITE: Final = frozenset((8, 11, 16, 17))
_BOOLEAN, _INTEGER, _BIT_STRING, _NULL, _ENUMERATED = 1, 2, 3, 5, 10


def _require_der(contents: bytes) -> None:
    """Refuse what is not one element of DER, as far as can be told without its definition.

    Raises:
        ValueError: A tag or a length is not in its shortest form, an element does not end where the one around it
            does, or a value of a universal type is written in a way that only BER allows.
        IndexError: It ends too early.
    """
    inner: list[tuple[int, int]] = []
    if _require_element(contents, 0, len(contents), inner) != len(contents):
        raise ValueError
    while inner:
        start, limit = inner.pop()
        while start < limit:
            start = _require_element(contents, start, limit, inner)


def _require_element(data: bytes, start: int, limit: int, inner: list[tuple[int, int]]) -> int:
    """Look at the element that begins at `start`; give where it ends, and leave what is inside for later."""
    first, at = data[start], start + 1
    number = first & 0x1F
    if number == 0x1F:
        number, at = _long_tag(data, at)
    size = data[at]
    at += 1
    if size >= 0x80:
        octets = data[at : at + size - 0x80]
        at, size = at + len(octets), int.from_bytes(octets)
        if octets[0] == 0 or size < 0x80:  # an indefinite length has none, which is an IndexError
            raise ValueError
    end = at + size
    if end > limit:
        raise ValueError
    is_universal = first < 0x40
    if first & _CONSTRUCTED:
        if is_universal and number not in _COMPOSITE:
            raise ValueError
        inner.append((at, end))
    elif is_universal and (number in _COMPOSITE or not _is_plain(number, data[at:end])):
        raise ValueError
    return end


def _long_tag(data: bytes, at: int) -> tuple[int, int]:
    number, start = 0, at
    while True:
        octet = data[at]
        number, at = number << 7 | octet & 0x7F, at + 1
        if octet < 0x80:
            break
        if at - start == _LONGEST_TAG:  # nobody needs more, and more would take more time for each
            raise ValueError
    if data[start] == 0x80 or number < 0x1F:
        raise ValueError
    return number, at


def _is_plain(number: int, value: bytes) -> bool:
    """Whether a primitive value of a universal type is written as DER asks; of other types there is one way only."""
    if number == _BOOLEAN:
        return value in (b"\x00", b"\xff")
    if number in (_INTEGER, _ENUMERATED):
        return len(value) > 0 and not (len(value) > 1 and (value[0], value[1] >> 7) in ((0, 0), (0xFF, 1)))
    if number == _BIT_STRING:
        unused = value[0] if value else 8
        return unused < 8 and (len(value) > 1 or unused == 0) and not value[-1] & ((1 << unused) - 1)
    return number != _NULL or not value


def _reencoded_signature(signature: bytes) -> list[str]:
    from asn1crypto import algos

    try:
        value = algos.DSASignature.load(signature, strict=True)
        _ask_for_everything(value)
        same = value.dump(force=True) == signature
    except _REFUSALS:  # some write the two numbers side by side, as COSE does
        same = False
    return [] if same else ["the signature"]


def _ask_for_everything(value: Any) -> None:
    """Have asn1crypto decode every value; it puts that off until then."""
    opaque, choice, composite, addresses, text = _kinds()
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, opaque):  # it is looked at by itself
            continue
        if isinstance(one, choice):
            left.append(one.chosen)
        elif isinstance(one, composite):
            left += [one[index] for index in range(len(one))]
        else:
            if isinstance(one, addresses):
                # These write addresses in a normal form of their own, which has nothing to do with DER.
                contents = one.contents
                one.__class__ = text
                one.contents = contents
            _ = one.native


@cache
def _kinds() -> tuple[Any, ...]:
    """asn1crypto's types for what is anything, a choice, composite, an address, and the text of an address."""
    from asn1crypto import core
    from asn1crypto import x509 as certificates

    composite = core.Sequence, core.Set, core.SequenceOf, core.SetOf
    return (
        core.Any,
        core.Choice,
        composite,
        (certificates.URI, certificates.EmailAddress, certificates.DNSName),
        core.IA5String,
    )


# --- cryptography -----------------------------------------------------------------------------------------------------


def _read_by_library(document: Document) -> Facts | None:
    read: Callable[[bytes], Facts] = {
        Certificate: _library_certificate,
        Crl: _library_crl,
        CertificateRequest: _library_request,
    }[type(document)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serial numbers and country codes: rules of the profiles
        try:
            return read(document.der)
        except _REFUSALS:
            return None


def _library_certificate(der: bytes) -> Facts:
    certificate = x509.load_der_x509_certificate(der)
    _ = certificate.subject, certificate.issuer
    return {
        "the version": certificate.version.value + 1,
        "the signed body": certificate.tbs_certificate_bytes,
        "the signature": certificate.signature,
        "the serial number": certificate.serial_number,
        "notBefore": certificate.not_valid_before_utc,
        "notAfter": certificate.not_valid_after_utc,
        "criticality": _library_extensions(certificate.extensions),
    }


def _library_crl(der: bytes) -> Facts:
    crl = x509.load_der_x509_crl(der)
    _ = crl.issuer
    revoked: dict[int, datetime] = {}
    for entry in crl:
        _ = list(entry.extensions)
        moment = entry.revocation_date_utc
        revoked[entry.serial_number] = min(moment, revoked.get(entry.serial_number, moment))
    return {
        "the signed body": crl.tbs_certlist_bytes,
        "the signature": crl.signature,
        "thisUpdate": crl.last_update_utc,
        "nextUpdate": crl.next_update_utc,
        "the list": revoked,
        "criticality": _library_extensions(crl.extensions),
    }


def _library_request(der: bytes) -> Facts:
    request = x509.load_der_x509_csr(der)
    _ = request.subject, list(request.extensions), list(request.attributes)
    return {}


def _library_extensions(extensions: x509.Extensions) -> frozenset[tuple[str, bool]]:
    return frozenset((extension.oid.dotted_string, extension.critical) for extension in extensions)


# --- rules ------------------------------------------------------------------------------------------------------------


def _unreadable(reading: SecondReading) -> str | None:
    return "a reader of another make cannot read it" if reading.theirs is None else None


def _differing(reading: SecondReading) -> str | None:
    ours = dict(reading.ours)
    differing = [name for name, fact in (reading.theirs or {}).items() if ours[name] != fact]
    if "the extensions" in ours:
        ours["criticality"] = frozenset(fact[:2] for fact in ours["the extensions"])  # type: ignore[attr-defined]
    differing += [name for name, fact in (reading.library or {}).items() if ours[name] != fact]
    return f"readers differ about {_named(differing)}" if differing else None


def _refused(reading: SecondReading) -> str | None:
    return "refused, as a whole or in one of its extensions" if reading.library is None else None


def _encoding(reading: SecondReading) -> str | None:
    return f"encoded otherwise than DER asks: {_named(reading.reencoded)}" if reading.reencoded else None


def _foreign(reading: SecondReading) -> str | None:
    return f"no such value: {_named(reading.foreign)}" if reading.foreign else None


def _named(names: Iterable[str]) -> str:
    ordered = sorted({name if len(name) <= 64 else name[:64] + "…" for name in names})
    shown = ", ".join(ordered[:_MOST_NAMED])
    return shown if len(ordered) <= _MOST_NAMED else f"{shown} and {len(ordered) - _MOST_NAMED} more"


def _rule(
    key: str,
    check: Callable[[SecondReading], str | None],
    severity: Severity,
    *,
    asks: str,
    remedy: str,
) -> Rule[SecondReading]:
    return Rule(
        id=f"der.{key}",
        clause="18013-5 Annex B",
        severity=severity,
        # What tells readers apart is for the lab: a verifier reads with one of them, and refuses what that one cannot.
        security=False,
        requirement=asks,
        remedy=remedy,
        needs=None,
        check=check,
    )


_DISTRUST: Final = "Do not use it; find out what made it, and issue it again."

# fmt: off
DER_RULES: Final[tuple[Rule[SecondReading], ...]] = (
    _rule("unreadable", _unreadable, Severity.ERROR,
          asks="Readers that share no code can read it.", remedy=_DISTRUST),
    _rule("facts", _differing, Severity.ERROR,
          asks="Readers that share no code find the same facts in it.", remedy=_DISTRUST),
    _rule("library", _refused, Severity.ERROR,
          asks="The X.509 library that most readers in Python use reads it, with every extension.",
          remedy="Mend what the other findings name, and issue it again."),
    # Whoever reads what is only BER reads the same, or one of the rules above says that it is not so.
    _rule("encoding", _encoding, Severity.ERROR,
          asks="Every value is DER and not only BER: encoded again, it gives the same octets.",
          remedy="Issue it again with an encoder that writes DER."),
    _rule("extension", _foreign, Severity.WARNING,
          asks="The value of each extension, and of each attribute of a request, is one element of DER, of the type "
          "that its identifier stands for.",
          remedy="Encode the value as its definition says, or leave the extension or the attribute out."),
)
# fmt: on

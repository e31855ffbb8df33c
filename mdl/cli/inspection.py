"""`mdl inspect`: says what a file is and what is in it. Nothing is verified.

The input may be bytes, hex, base64 or base64url text, PEM, a QR code's text, or a licence record in JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mdl.cbor import Tagged24, decode_view, diagnose
from mdl.cli import terminal
from mdl.cli.anatomy import Anatomy, faults, recognise, transcript_salt
from mdl.cli.certificates import (
    certificate_nodes,
    crl_nodes,
    is_encrypted_key,
    likely_profile,
    private_key_nodes,
    public_key_nodes,
    request_nodes,
)
from mdl.cli.tree import Node, as_json, as_lines
from mdl.cli.web import embedded, jwk_nodes, jwt_nodes, ndef_nodes
from mdl.doctypes import DOCTYPES, violations
from mdl.errors import DecodeError, MdlError
from mdl.keys import PublicKey
from mdl.pki import PROFILES, Certificate, Crl, decode_csr
from mdl.pki.certificate import pem_blocks as pem_contents

if TYPE_CHECKING:
    from issuer.records import LicenceRecord

__all__ = ["Inspection", "PemBlock", "add_commands", "inspect", "pem_blocks", "title_of"]

_LABEL: Final = "FILE"
_NOTHING_VERIFIED: Final = "Nothing was verified: not signatures, digests or dates, and nothing here is trusted."
_PEM_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----")
_PEM_BLOCK: Final = rb"-----BEGIN %b-----[^-]*-----END %b-----"
_MOST_BLOCKS: Final = 1000
_IMAGES: Final = {
    b"\xff\xd8\xff": "JPEG image",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG 2000 image",
    b"\xff\x4f\xff\x51": "JPEG 2000 codestream",
}
# A member by which a file of ours is known.
# A value of JSON is cut here unless it is asked for in full, in characters.
_LONGEST_JSON: Final = 200
_OWN_FILES: Final = {
    "iaca_key": "state of an issuing authority's folder",
    "made_by": "what mdl demo did, and what came of it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found in a file, or in one of its PEM blocks.

    Attributes:
        kind: What it is, a stable name.
        title: What it is, in the standard's words.
        clause: Where the standard speaks of it; empty for what it does not speak of.
        size: Its size out of the armour, in bytes.
        form: The armour.
        nodes: What is in it.
        note: What it is in short, where the title leaves something to say.
        faults: What keeps it from being what it looks like, one line each, with its code.
    """

    kind: str
    title: str
    clause: str
    size: int
    form: str
    nodes: tuple[Node, ...]
    note: str = ""
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PemBlock:
    """One block of a PEM text: its label, the block with its first and last line, and where in the text it begins."""

    label: str
    text: bytes
    offset: int


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the verb."""
    parser = commands.add_parser(
        "inspect",
        help="explain any mdoc structure, certificate, CRL or key file",
        description="Say what a file is and what is in it: any mdoc structure, MSO, request, engagement, session "
        "message, VICAL, COSE message or key, certificate, CSR, CRL, key file or licence record; as bytes, hex, "
        "base64, PEM or QR text. Nothing is verified. Exit status 1 if the file is not what it looks like.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="the file, or - for the standard input")
    parser.add_argument("--full", action="store_true", help="show every byte, every entry and every remedy")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="hold a certificate against this profile")
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.set_defaults(run=_run)


def title_of(data: bytes) -> str | None:
    """What a file is, in the words of the inspector; None where it is nothing that is known, or is faulty itself."""
    try:
        found = list(itertools.islice(inspect(data), 2))
    except Exception:  # noqa: BLE001 - it is asked for the words of another error
        return None
    if len(found) != 1 or found[0].faults or found[0].kind in ("cbor", "unreadable", "licence-record"):
        return None
    return f"{found[0].title} ({found[0].clause})" if found[0].clause else found[0].title


def _run(arguments: argparse.Namespace) -> int:
    data = terminal.read_input(arguments.file, label=_LABEL)
    folder = None if arguments.file == "-" else Path(arguments.file).parent
    with terminal.labelled(_LABEL):
        found = list(inspect(data, full=arguments.full, profile=arguments.profile, folder=folder))
    if arguments.json:
        terminal.write_json({"verified": False, "found": [_as_json(one) for one in found]})
    else:
        for index, one in enumerate(found):
            terminal.write([""] * (index > 0) + _as_lines(one))
    return 1 if any(one.faults for one in found) else 0


def _as_json(found: Inspection) -> dict[str, object]:
    return {
        "kind": found.kind,
        "title": found.title,
        "clause": found.clause,
        "bytes": found.size,
        "form": found.form,
        "note": found.note,
        "faults": list(found.faults),
        "content": as_json(found.nodes),
    }


def _as_lines(found: Inspection) -> list[str]:
    clause = f" ({found.clause})" if found.clause else ""
    lines = [terminal.paint(f"{found.title}{clause}, {found.size} bytes, read from {found.form}", "bold")]
    if found.note:
        lines += terminal.wrap(terminal.safe(found.note))
    lines += terminal.wrap(_NOTHING_VERIFIED)
    for fault in found.faults:
        lines += terminal.wrap(terminal.safe(fault), first=terminal.paint("fault: ", "red"), rest="       ")
    return [*lines, "", *as_lines(found.nodes)]


def inspect(
    data: bytes, *, full: bool = False, profile: str | None = None, folder: Path | None = None
) -> Iterator[Inspection]:
    """Say what some bytes are.

    Args:
        data: The content of a file.
        full: Whether to show every byte and entry.
        profile: The profile to hold certificates against; None for the one that suggests itself.
        folder: Where a licence record's files are; None where it may name none.

    Yields:
        What was found: one, or one for each PEM block.

    Raises:
        MdlError: The bytes are none of the kinds known, and no CBOR either.
    """
    is_json = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"
    if _PEM_LABEL.search(data) and not data.startswith(b"\x30") and not is_json:
        yield from _inspect_pem(data, full=full, profile=profile)
        return
    token = jwt_nodes(data)
    if token is not None:
        yield _web("jwt", "JSON Web Token", "RFC 7519", len(data), "text", token, _NO_JWT)
        return
    plain, form = terminal.open_armour(data)
    message = ndef_nodes(plain) if form != "QR text" else None
    if message is not None:
        yield _web("ndef", "NDEF message", "18013-5 8.2.2.1", len(plain), form, message)
        return
    image = next((name for magic, name in _IMAGES.items() if plain.startswith(magic)), None)
    if form == "bytes" and image is not None:
        yield _image(plain, image)
    elif form == "bytes" and is_json:
        yield from _inspect_json(plain, folder, full=full)
    elif plain[:1] == b"\x30" and len(plain) > 2:
        yield _inspect_der(plain, form, full=full, profile=profile)
    else:
        yield _inspect_cbor(plain, form, full=full)


# --- CBOR -------------------------------------------------------------------------------------------------------------


def _inspect_cbor(data: bytes, form: str, *, full: bool) -> Inspection:
    try:
        value = decode_view(data)
    except DecodeError as exc:
        exc.message = f"none of the kinds that are known, and no CBOR: {exc.message}"
        raise
    size, wrapping = len(data), ""
    if type(value) is Tagged24:
        try:
            inner = decode_view(value.content)
        except DecodeError:
            pass  # shown as it stands
        else:
            data, value, wrapping = value.content, inner, ", in tag 24"
    kind = recognise(value)
    note, nodes = Anatomy(full=full).explain(kind, value)
    if kind.id == "session-transcript":
        nodes += (Node("salt", transcript_salt(data), "SHA-256 of SessionTranscriptBytes"),)
    return Inspection(
        kind=kind.id,
        title=kind.title + wrapping,
        clause=kind.clause,
        size=size,
        form=form,
        nodes=nodes,
        note="" if note == kind.title else note,
        faults=tuple(str(fault) for fault in faults(kind, data, value)),
    )


# --- DER and PEM ------------------------------------------------------------------------------------------------------


def _inspect_pem(data: bytes, *, full: bool, profile: str | None) -> Iterator[Inspection]:
    blocks = list(pem_blocks(data))
    for block in blocks:
        try:
            found = _inspect_block(block.label, block.text, full=full, profile=profile)
        except Exception as exc:  # a mistake of ours on one block of several is the result of that block too
            if len(blocks) == 1:
                raise
            found = _unreadable(block, exc if isinstance(exc, MdlError) else terminal.internal_error(exc))
        yield found


def _unreadable(block: PemBlock, exc: MdlError) -> Inspection:
    """One block of several that could not be read."""
    return Inspection(
        kind="unreadable",
        title=f"{block.label} that cannot be read",
        clause="",
        size=len(block.text),
        form="PEM",
        nodes=(),
        faults=(str(exc),),
    )


def pem_blocks(data: bytes) -> Iterator[PemBlock]:
    """The blocks of a PEM text in order; text around them is ignored.

    Raises:
        DecodeError: There are too many, or one does not end.
    """
    blocks = list(_PEM_LABEL.finditer(data))
    if len(blocks) > _MOST_BLOCKS:
        msg = f"more than {_MOST_BLOCKS} PEM blocks"
        raise DecodeError(msg, code="input.too_large")
    for begin in blocks:
        label = begin[1]
        found = re.compile(_PEM_BLOCK % (label, label)).match(data, begin.start())
        if found is None:
            msg = "a PEM block without its end"
            raise DecodeError(msg, code="input.pem", offset=begin.start())
        yield PemBlock(label=label.decode(), text=found[0], offset=begin.start())


def _inspect_block(label: str, block: bytes, *, full: bool, profile: str | None) -> Inspection:
    match label:
        case "CERTIFICATE":
            return _certificate(Certificate.parse_pem(block), "PEM", full=full, profile=profile)
        case "TRUSTED CERTIFICATE" | "X509 CERTIFICATE":
            (der,) = pem_contents(block, label, code="input.pem")
            # OpenSSL writes what it trusts the certificate for behind it.
            return _certificate(Certificate.decode(_first_element(der)), f"PEM, {label}", full=full, profile=profile)
        case "X509 CRL":
            return _crl(Crl.decode_any(block), "PEM", full=full)
        case "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST":
            return _request(block, "PEM")
        case "PUBLIC KEY":
            key = PublicKey.from_pem(block)
            return _public_key(key, len(key.spki), "PEM")
        case "ENCRYPTED PRIVATE KEY" | "PRIVATE KEY" | "EC PRIVATE KEY":
            return _labelled_private_key(label, block)
        case _:
            msg = "a PEM block of a kind that is not known here"
            raise DecodeError(msg, code="input.pem")


def _inspect_der(der: bytes, form: str, *, full: bool, profile: str | None) -> Inspection:
    """DER carries no label, so each kind is tried; what looks most like a certificate is refused as one."""
    try:
        return _certificate(Certificate.decode(der), form, full=full, profile=profile)
    except DecodeError as exc:
        refusal = exc
    try:
        return _crl(Crl.decode(der), form, full=full)
    except DecodeError:
        pass
    if is_encrypted_key(der):
        return _encrypted_key(len(der), form)
    try:
        key = PublicKey.from_spki(der)
    except MdlError as exc:
        if exc.clause is not None:
            raise  # a public key indeed, but none that can be used
    else:
        return _public_key(key, len(der), form)
    if private_key_nodes(der) is not None:
        return _private_key(der, form)
    try:
        return _request(der, form)
    except DecodeError:
        pass
    refusal.message = f"DER of no known kind; as a certificate: {refusal.message}"
    raise refusal


def _certificate(certificate: Certificate, form: str, *, full: bool, profile: str | None) -> Inspection:
    chosen = PROFILES[profile] if profile else likely_profile(certificate)
    return Inspection(
        kind="certificate",
        title="X.509 certificate",
        clause="18013-5 Annex B",
        size=len(certificate.der),
        form=form,
        nodes=certificate_nodes(certificate, chosen, full=full),
    )


def _crl(crl: Crl, form: str, *, full: bool) -> Inspection:
    return Inspection(
        kind="crl",
        title="certificate revocation list",
        clause="18013-5 B.3",
        size=len(crl.der),
        form=form,
        nodes=crl_nodes(crl, full=full),
    )


def _request(data: bytes, form: str) -> Inspection:
    request = decode_csr(data)
    return Inspection(
        kind="certificate-request",
        title="PKCS#10 certification request",
        clause="RFC 2986",
        size=len(request.der),
        form=form,
        nodes=request_nodes(request),
    )


def _public_key(key: PublicKey, size: int, form: str) -> Inspection:
    return Inspection(
        kind="public-key",
        title="SubjectPublicKeyInfo",
        clause="RFC 5280 4.1.2.7",
        size=size,
        form=form,
        nodes=public_key_nodes(key),
    )


def _encrypted_key(size: int, form: str) -> Inspection:
    return Inspection(
        kind="encrypted-private-key",
        title="encrypted PKCS#8 private key",
        clause="RFC 5958",
        size=size,
        form=form,
        nodes=(Node("private key", "encrypted", "not opened"),),
    )


def _labelled_private_key(label: str, block: bytes) -> Inspection:
    """What stands in the block decides what it is; a label that says otherwise is a fault."""
    if b"Proc-Type:" in block:  # the older form, whose content cannot be told from noise
        return _private_key(block, "PEM")
    (der,) = pem_contents(block, label, code="input.pem")
    encrypted = is_encrypted_key(der)
    found = _encrypted_key(len(block), "PEM") if encrypted else _private_key(der, "PEM")
    if encrypted == (label == "ENCRYPTED PRIVATE KEY"):
        return replace(found, size=len(block))
    is_not = "encrypted" if encrypted else "not encrypted"
    return replace(found, size=len(block), faults=(f"the label is {label}, and the key is {is_not} [input.label]",))


def _private_key(data: bytes, form: str) -> Inspection:
    nodes = private_key_nodes(data)
    if nodes is None:
        msg = "the bytes are no private key that is supported here"
        raise DecodeError(msg, code="key.malformed")
    return Inspection(
        kind="private-key",
        title="unencrypted private key",
        clause="RFC 5958",
        size=len(data),
        form=form,
        nodes=nodes,
    )


def _image(data: bytes, title: str) -> Inspection:
    return Inspection(
        kind="image",
        title=title,
        clause="18013-5 7.2",
        size=len(data),
        form="bytes",
        nodes=(Node("use", "portrait or signature_usual_mark", "a licence record names it by its path"),),
    )


# --- our own files ----------------------------------------------------------------------------------------------------


def _first_element(der: bytes) -> bytes:
    """The first element of DER, without what follows it."""
    size = der[1] if len(der) > 1 else 0
    if size < 0x80:
        return der[: 2 + size]
    octets = size & 0x7F
    return der[: 2 + octets + int.from_bytes(der[2 : 2 + octets])]


_NO_JWT: Final = "Nothing of an mdoc comes as a JSON Web Token: its status lists are CWTs."


def _web(  # noqa: PLR0917
    kind: str, title: str, clause: str, size: int, form: str, nodes: tuple[Node, ...], note: str = ""
) -> Inspection:
    return Inspection(kind=kind, title=title, clause=clause, size=size, form=form, nodes=nodes, note=note)


def _inspect_json(data: bytes, folder: Path | None, *, full: bool) -> Iterator[Inspection]:
    """A licence record, one of the files in which our own commands keep what they did, a JWK, or mdocs in JSON."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None  # the parser of records says what is wrong
    if isinstance(content, dict):
        for member, title in _OWN_FILES.items():
            if member in content:
                nodes = tuple(Node(str(name), _json_value(value, full=full)) for name, value in content.items())
                yield Inspection(kind="own-file", title=title, clause="", size=len(data), form="JSON", nodes=nodes)
                return
        key = jwk_nodes(content)
        if key is not None:
            yield _web("jwk", "JSON Web Key", "RFC 7517", len(data), "JSON", key)
            return
        if not _looks_like_record(content):
            found = False
            for one in embedded(content):
                try:
                    inside = _inspect_cbor(one.data, f"base64url in JSON, at {one.path}", full=full)
                except DecodeError:
                    continue
                found = True
                yield inside
            if found:
                return
    yield _inspect_record(data, folder, full=full)


def _json_value(value: object, *, full: bool) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = json.dumps(value, ensure_ascii=False)
    return text if full or len(text) <= _LONGEST_JSON else f"{text[:_LONGEST_JSON]}…"


# --- licence records --------------------------------------------------------------------------------------------------


def _inspect_record(data: bytes, folder: Path | None, *, full: bool) -> Inspection:
    from issuer.records import parse_record, read_below

    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        msg = "JSON text that is not UTF-8"
        raise DecodeError(msg, code="input.utf8", offset=exc.start) from exc
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None  # for the parser of records to say
    if content is not None and not _looks_like_record(content):
        msg = "JSON, but no licence record: it has neither a doctype nor an element or namespace of one"
        raise DecodeError(msg, code="input.json")
    record = parse_record(text, read_file=read_below(folder) if folder is not None else _no_files)
    found = violations(record.doctype, record.namespaces)
    return Inspection(
        kind="licence-record",
        title="licence record",
        clause="18013-5 7.2",
        size=len(data),
        form="JSON",
        nodes=_record_nodes(record, full=full),
        faults=tuple(f"{one.path}: {one.message} [{one.code}]" for one in found),
    )


def _looks_like_record(content: object) -> bool:
    """Whether any member is one of a licence record."""
    if not isinstance(content, dict):
        return False
    known = {"doctype"}
    for document_type in DOCTYPES.values():
        for namespace in document_type.namespaces:
            known.add(namespace.name)
            known.update(identifier for rule in namespace.rules for identifier in rule.identifiers)
    return not known.isdisjoint(content)


def _no_files(_name: str) -> bytes:
    msg = "a record on the standard input names files of no folder"
    raise DecodeError(msg, code="input.no_folder")


def _record_nodes(record: LicenceRecord, *, full: bool) -> tuple[Node, ...]:
    longest = None if full else 32
    return (
        Node("doctype", record.doctype),
        *(
            Node(
                namespace,
                "",
                f"{len(elements)} element{'s' * (len(elements) != 1)}",
                tuple(Node(name, diagnose(value, longest=longest)) for name, value in elements.items()),
            )
            for namespace, elements in record.namespaces.items()
        ),
    )

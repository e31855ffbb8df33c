"""What comes from the web into an inspector: JSON with mdocs in it, keys as JWK, JSON Web Tokens, NFC messages."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from mdl.cli.tree import Node

__all__ = ["Embedded", "embedded", "jwk_nodes", "jwt_nodes", "ndef_nodes"]

_MOST_EMBEDDED: Final = 64
_SHORTEST: Final = 16
_LONGEST_VALUE: Final = 200
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_JWT: Final = re.compile(rb"\s*([A-Za-z0-9_-]{4,})\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]*)\s*")
# Members that are a private or a shared key: never shown.
_SECRET: Final = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"))


class Embedded(NamedTuple):
    """Bytes that stand in JSON as base64url, and where."""

    path: str
    data: bytes


def embedded(content: Any) -> Iterator[Embedded]:
    """What stands in JSON as base64url text and begins as an mdoc structure does: a map, an array or a tag of CBOR.

    OpenID4VCI answers with ``credentials``, OpenID4VP with ``vp_token``, the Digital Credentials API with ``data``.
    """
    found, left = 0, [("", content)]
    while left and found < _MOST_EMBEDDED:
        path, value = left.pop()
        if isinstance(value, str) and len(value) >= _SHORTEST and _BASE64URL.fullmatch(value):
            data = _decoded(value)
            if data is not None and data[:1] and 0x80 <= data[0] <= 0xDB:
                found += 1
                yield Embedded(path, data)
        elif isinstance(value, Mapping):
            left += [(f"{path}.{name}" if path else str(name), one) for name, one in reversed(list(value.items()))]
        elif isinstance(value, list):
            left += [(f"{path}[{index}]", one) for index, one in reversed(list(enumerate(value)))]


def _decoded(text: str) -> bytes | None:
    bare = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return None


def jwk_nodes(content: Mapping[str, Any]) -> tuple[Node, ...] | None:
    """What a JWK says, its private part not shown; None where it is none."""
    if not isinstance(content.get("kty"), str):
        return None
    nodes = []
    for name, value in content.items():
        if name in _SECRET:
            nodes.append(Node(str(name), "not shown", "PRIVATE KEY"))
        else:
            nodes.append(Node(str(name), _shown(value)))
    return tuple(nodes)


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def jwt_nodes(data: bytes) -> tuple[Node, ...] | None:
    """What header and claims of a JSON Web Token say; None where it is none."""
    found = _JWT.fullmatch(data)
    if found is None:
        return None
    parts = []
    for text in (found[1], found[2]):
        try:
            value = json.loads(_decoded(text.decode()) or b"")
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict):
            return None
        parts.append(tuple(Node(str(name), _shown(one)) for name, one in value.items()))
    return Node("header", "", "", parts[0]), Node("claims", "", "", parts[1])


# What a message of a handover begins with: Handover Select or Request, service parameter or select, address, carrier.
_HANDOVER_TYPES: Final = frozenset(("Hs", "Hr", "Tp", "Ts", "U", "ac", "cr"))
_FORMATS: Final = ("empty", "well known", "media type", "URI", "external", "unknown", "unchanged", "reserved")


def ndef_nodes(data: bytes) -> tuple[Node, ...] | None:
    """The records of an NDEF message, as in an NFC handover; None where the bytes are none.

    Spec:
        18013-5 8.2.2.1; NFC Forum NDEF 1.0.
    """
    nodes: list[Node] = []
    at = 0
    while True:
        if at >= len(data) or len(nodes) == _MOST_EMBEDDED:
            return None
        flags = data[at]
        first, last, short, with_id = flags & 0x80, flags & 0x40, flags & 0x10, flags & 0x08
        size = 3 if short else 6
        if bool(first) is bool(nodes) or flags & 0x20 or at + size + bool(with_id) > len(data):
            return None
        type_length = data[at + 1]
        payload_length = int.from_bytes(data[at + 2 : at + size])
        id_length = data[at + size] if with_id else 0
        at += size + bool(with_id)
        end = at + type_length + id_length + payload_length
        kind = data[at : at + type_length]
        if end > len(data) or not kind.isascii() or flags & 7 == 7:
            return None
        payload = data[at + type_length + id_length : end]
        note = f"{_FORMATS[flags & 7]}, {len(payload)} bytes"
        shown = payload.hex() if len(payload) <= 32 else f"{payload[:32].hex()}…"
        inner = ndef_nodes(payload[1:]) if kind in (b"Hs", b"Hr") else None
        nodes.append(Node(kind.decode(), shown, note, inner or ()))
        at = end
        if last or at == len(data):
            return tuple(nodes) if at == len(data) and nodes[0].name in _HANDOVER_TYPES else None

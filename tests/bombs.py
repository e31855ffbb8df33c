"""Messages made to cost much more than they weigh, and the program that feeds them to the readers.

It runs in a process of its own (`python -m tests.bombs`), whose memory is limited, and prints one JSON object: for each
reader and bomb the outcome, the seconds of the processor, and how far the peak of memory rose.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mdl import mdoc
from mdl.cbor import decode, decode_sequence, decode_view
from mdl.errors import MdlError
from tests.wire import array, bstr, cmap, head, tag24, tstr

SIZE = 4 * 1024 * 1024  # the most that the readers take
ROOM = 512 * 1024 * 1024  # the most address space that decoding may add
PER_ROW = 8192
# Python hashes integers modulo this number, so its multiples collide.
MODULUS = (1 << 61) - 1


def grid(unit: bytes) -> bytes:
    """Rows of as many equal items as one array may have, until the message is full."""
    row = head(4, PER_ROW) + unit * PER_ROW
    return head(4, (SIZE - 5) // len(row)) + row * ((SIZE - 5) // len(row))


def maps(key: Callable[[int], bytes]) -> bytes:
    row = head(5, PER_ROW) + b"".join(key(number) + b"\x00" for number in range(PER_ROW))
    return head(4, (SIZE - 5) // len(row)) + row * ((SIZE - 5) // len(row))


def colliding(count: int) -> bytes:
    return head(5, count) + b"".join(head(0, number * MODULUS % (1 << 64), 8) + b"\x00" for number in range(count))


def colliding_arrays(count: int, start: int) -> bytes:
    """A map whose keys are arrays of two numbers, chosen so that Python's hash of a tuple is the same for all.

    That hash has no secret: lane by lane it multiplies and rotates, so the second number can be solved for.
    """
    one, two, five, bits = 11400714785074694791, 14029467366897019727, 2870177450012600261, 1 << 64
    keys: list[bytes] = []
    number = start
    while len(keys) < count:
        number += 1
        lane = (five + number * two) % bits
        lane = ((lane << 31) | (lane >> 33)) % bits * one % bits
        last = (0x123456789ABCDEF0 - (2 ^ five ^ 3527539)) * pow(one, -1, bits) % bits
        last = ((last << 33) | (last >> 31)) % bits
        solved = (last - lane) * pow(two, -1, bits) % bits
        if 0 <= solved < 1 << 60:
            keys.append(array(head(0, number), head(0, solved)))
    return head(5, count) + b"".join(key + b"\x00" for key in keys)


def response(item: bytes) -> bytes:
    """A response whose one document carries as many items as fit."""
    count = min(PER_ROW, (SIZE - 300) // len(item))
    auth = array(bstr(b"\xa1\x01\x26"), b"\xa0", bstr(tag24(b"\xa0")), bstr(bytes(64)))
    spaces = cmap(tstr("org.iso.18013.5.1"), head(4, count) + item * count)
    signed = cmap(tstr("nameSpaces"), spaces, tstr("issuerAuth"), auth)
    document = cmap(tstr("docType"), tstr("org.iso.18013.5.1.mDL"), tstr("issuerSigned"), signed)
    return cmap(tstr("version"), tstr("1.0"), tstr("documents"), array(document), tstr("status"), b"\x00")


def messages() -> Iterator[tuple[str, bytes]]:
    for name, unit in {
        "integers": b"\x00",
        "empty arrays": b"\x80",
        "empty maps": b"\xa0",
        "small arrays": b"\x81\x80",
        "small maps": b"\xa1\x00\x00",
        "empty texts": b"\x60",
        "texts": b"\x62\xc3\xa9",
        "empty byte strings": b"\x40",
        "moments": b"\xc0\x60",
        "tags": b"\xc6\x00",
        "nested tags": b"\xc6" * 20 + b"\x00",
        "nested arrays": b"\x81" * 20 + b"\x00",
        "nested maps": b"\xa1\x00" * 20 + b"\x00",
        "tag-24 items": b"\xd8\x18\x40",
        "tag-24 items with wide heads": b"\xd8\x18\x58\x00",
        "simple values": b"\xe0",
        "floats": b"\xf9\x00\x00",
        "great integers": b"\x1b" + b"\xff" * 8,
    }.items():
        yield name, grid(unit)
    yield "integer keys", maps(lambda number: head(0, number))
    yield "wide integer keys", maps(lambda number: head(0, number << 30, 8))
    yield "text keys", maps(lambda number: tstr(format(number, "x")))
    yield "colliding keys", colliding(400_000)
    yield "colliding keys of the entries one map may have", colliding(PER_ROW)
    yield "one long text", tstr("é" * (SIZE // 2 - 5))
    yield "one long byte string", bstr(bytes(SIZE - 5))
    yield "deeper than allowed", b"\x81" * (SIZE - 1) + b"\x00"
    yield "tags deeper than allowed", b"\xc6" * (SIZE - 1) + b"\x00"
    yield "zeros", bytes(SIZE)
    yield "breaks", b"\xff" * SIZE
    for major in (2, 3, 4, 5):
        for claimed in (1 << 31, (1 << 63) - 1, (1 << 64) - 1):
            yield f"type {major} that claims {claimed:#x}", head(major, claimed) + bytes(100)
    yield "arrays that claim much, nested", (head(4, PER_ROW) * 23) + bytes(100)
    yield "a response of many empty items", response(tag24(b""))
    yield "a response of many small items", response(tag24(cmap(tstr("elementIdentifier"), tstr("a"))))


def blobs() -> Iterator[tuple[str, list[bytes]]]:
    yield "many empty blobs", [b""] * 200_000
    yield "many small blobs", [b"\x00"] * 200_000
    yield "many blobs of arrays", [array(*[b"\x80"] * 8000)] * 500
    yield "many blobs of colliding keys", [colliding(800)] * 500
    yield "blobs of colliding arrays for keys", [colliding_arrays(400, 4000 * number) for number in range(35)]
    yield "many blobs, the last one wrong", [array(*[b"\x80"] * 8000)] * 50 + [b"\x00\x00"]


def examine(response: bytes) -> None:
    for document in mdoc.DeviceResponse.decode(response).documents:
        sum(1 for _ in document.issuer_signed.elements())


def run(reader: str, bomb: str, act: Callable[[], object]) -> dict[str, object]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        act()
        outcome = "read"
    except MdlError as error:
        outcome = error.code
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        outcome = f"{type(error).__name__}!"
    seconds = time.process_time() - start
    rise = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"reader": reader, "bomb": bomb, "outcome": outcome, "seconds": seconds, "rise": rise}


def main() -> None:
    if sys.platform == "linux":
        now = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))
    results = []
    for bomb, data in messages():
        results.append(run("decode_view", bomb, lambda data=data: decode_view(data)))  # type: ignore[misc]
        if "claim" in bomb or "collid" in bomb:  # most long messages take the same way through both
            results.append(run("decode", bomb, lambda data=data: decode(data)))  # type: ignore[misc]
        if "response" in bomb:
            results.append(run("DeviceResponse", bomb, lambda data=data: examine(data)))  # type: ignore[misc]
    for bomb, parts in blobs():
        results.append(run("decode_sequence", bomb, lambda parts=parts: decode_sequence(parts)))  # type: ignore[misc]
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()

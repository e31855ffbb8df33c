"""The smallest images that have a start, a frame and an end; they show nothing."""


def segment(marker: int, content: bytes) -> bytes:
    """A segment of a JPEG or of a JPEG 2000 codestream."""
    return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2) + content


def box(kind: bytes, content: bytes) -> bytes:
    """A box of a JP2 file."""
    return (len(content) + 8).to_bytes(4) + kind + content


APP0 = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
START = b"\xff\xd8" + APP0
FRAME = segment(0xC0, b"\x08\0\x10\0\x10\1\1\x11\0")
SCAN = segment(0xDA, b"\1\1\0\0\x3f\0") + bytes(8)
JPEG = b"\xff\xd8" + APP0 + FRAME + SCAN + b"\xff\xd9"

SIZE = segment(0x51, bytes(2) + (16).to_bytes(4) * 2 + bytes(8) + (16).to_bytes(4) * 2 + bytes(8) + b"\0\1\7\1\1")
CODESTREAM = b"\xff\x4f" + SIZE + bytes(12) + b"\xff\xd9"
SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
JP2 = SIGNATURE + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", bytes(22)) + box(b"jp2c", CODESTREAM)

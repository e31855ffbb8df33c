"""Whether the bytes of an image are a whole image: its start, its frame and its end. Nothing is decoded."""

from __future__ import annotations

from typing import Final

__all__ = ["image_defect"]

_JPEG_END: Final = b"\xff\xd9"
_JP2_SIGNATURE: Final = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_J2K_START: Final = b"\xff\x4f\xff\x51"  # SOC and the marker of SIZ, which comes first
_JFIF: Final = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
_JFIF_BYTES: Final = 20  # SOI and the JFIF header
_SCAN: Final = 0xDA
_SCAN_MARKER: Final = b"\xff\xda"
_END: Final = 0xD9
# SOF0 to SOF15; C4, C8 and CC are no frame headers.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SMALLEST_FRAME: Final = 11  # a frame header with one component
_SMALLEST_SIZE: Final = 41  # a SIZ segment with one component


def image_defect(data: bytes) -> str | None:
    """Tell what a JPEG or JPEG 2000 image lacks.

    Args:
        data: The image, whole.

    Returns:
        What should have been, to follow the name of the element, or None for an image that has a start, a frame, a
        scan and an end; and for a JFIF header with no marker between it and the end, which stands for an image in
        trials and shows nothing.
    """
    if data.startswith(_JP2_SIGNATURE):
        codestream = _codestream(data)
        return "must be a JPEG 2000 file with a whole codestream" if codestream is None else _j2k_defect(codestream)
    if data.startswith(_J2K_START):
        return _j2k_defect(data)
    return _jpeg_defect(data)


def _jpeg_defect(data: bytes) -> str | None:
    """Walk the segments up to the scan; whether decoders get over bytes that are no segment is left to them."""
    if not data.rstrip(b"\0").endswith(_JPEG_END):
        return "must be a whole image: the end marker is missing, the file is cut off"
    position, framed = 2, False
    while data[position : position + 1] == b"\xff":
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker in (_SCAN, _END):
            return None if framed and marker == _SCAN else "must be a whole image: it has no frame and no scan"
        size = int.from_bytes(data[position + 2 : position + 4])
        if size < 2 or position + 2 + size > len(data) - 2:
            return "must be a whole image: a segment is longer than the file"
        if marker in _FRAMES:
            header = data[position + 4 : position + 2 + size]
            # The height may come later, in a DNL segment; the width may not.
            if size < _SMALLEST_FRAME or header[3:5] == b"\0\0":
                return "must be a whole image: its frame has no size"
            framed = True
        position += 2 + size
    if position == 2:
        return "must be a whole image: it has no segments"
    rest = data[position:].rstrip(b"\0")[: -len(_JPEG_END)]
    if framed:
        return None if _SCAN_MARKER in rest else "must be a whole image: it has no scan"
    # What stands for an image in trials and tests: a header, and no other marker that could have been misread.
    is_stand_in = data.startswith(_JFIF) and position == _JFIF_BYTES and b"\xff" not in rest
    return None if is_stand_in else "must be a whole image: it has no frame and no scan"


def _j2k_defect(codestream: bytes) -> str | None:
    size = int.from_bytes(codestream[4:6])
    if size < _SMALLEST_SIZE or len(codestream) < 4 + size + 2 or b"\0\0\0\0" in (codestream[8:12], codestream[12:16]):
        return "must be a whole image: its frame has no size"
    if not codestream.rstrip(b"\0").endswith(_JPEG_END):
        return "must be a whole image: the end marker is missing, the file is cut off"
    return None


def _codestream(data: bytes) -> bytes | None:
    """The contiguous codestream of a JP2 file, or None where there is none."""
    position = 0
    while position + 8 <= len(data):
        length, start = int.from_bytes(data[position : position + 4]), position + 8
        if length == 1:
            length, start = int.from_bytes(data[position + 8 : position + 16]), position + 16
        end = len(data) if length == 0 else position + length
        if end < start or end > len(data):
            return None
        if data[position + 4 : position + 8] == b"jp2c":
            codestream = data[start:end]
            return codestream if codestream.startswith(_J2K_START) else None
        position = end
    return None

"""Where bytes are only BER: the field and the form are told, whatever reads the file."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.cli import main
from mdl.errors import DecodeError
from mdl.pki import Certificate, Crl, decode_csr
from mdl.pki.build import Subject, build_csr
from mdl.pki.certificate import to_pem
from mdl.pki.encoding import CERTIFICATE, CRL, REQUEST, EncodingFault, encoding_fault
from mdl.testing import ThrowawayAuthority

AUTHORITY = ThrowawayAuthority()
ROOT = AUTHORITY.iaca_certificate.der
LIST = AUTHORITY.crl(revoked=[5, 7])
ASKED = build_csr(Subject(country="US", common_name="Signer"), AUTHORITY.ds_key).der


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, size) if size < 0x80 else (tag, 0x80 | len(octets), *octets)) + content


def _spoilt(data: bytes, old: bytes, new: bytes, nth: int = 0) -> bytes:
    """The nth place where `old` stands has `new`, and every length around it is right."""
    at = [found.start() for found in re.finditer(re.escape(old), data)][nth]

    def rebuilt(start: int, end: int) -> bytes:
        parts = []
        while start < end:
            tag, size, head = data[start], data[start + 1], start + 2
            if size & 0x80:
                head += size & 0x7F
                size = int.from_bytes(data[start + 2 : head])
            if start == at:
                parts.append(new)
            elif tag & 0x20 and head <= at < head + size:
                parts.append(_tlv(tag, rebuilt(head, head + size)))
            else:
                parts.append(data[start : head + size])
            start = head + size
        return b"".join(parts)

    return rebuilt(0, len(data))


def _time(text: str, tag: int = 0x17) -> bytes:
    return bytes((tag, len(text))) + text.encode()


NOT_BEFORE = _time("250601120000Z")
SERIAL = b"\x02\x10" + AUTHORITY.iaca_certificate.serial.to_bytes(16)
TIMES = {
    "2506011200Z": "a UTCTime without seconds",
    "250601120000+0000": "a UTCTime with an offset, where DER asks for Z",
    "2506011200-0130": "a UTCTime with an offset, where DER asks for Z",
    "250601120000": "a UTCTime of local time, without Z",
    "251301120000Z": "a UTCTime with a time that does not exist",
    "250601240000Z": "a UTCTime with a time that does not exist",
    "25-06-01": "a UTCTime in another form than DER has",
}


@pytest.mark.parametrize("text", TIMES)
@pytest.mark.parametrize("field", ["notBefore", "notAfter"])
def test_a_time_in_a_form_of_ber_is_named_with_its_field(field: str, text: str) -> None:
    nth = 0 if field == "notBefore" else 1
    old = re.findall(rb"\x17\x0d\d{12}Z", ROOT)[nth]
    with pytest.raises(DecodeError) as caught:
        Certificate(_spoilt(ROOT, old, _time(text)))
    assert (caught.value.code, caught.value.path) == ("certificate.malformed", f"tbsCertificate.validity.{field}")
    assert caught.value.message == f"not DER: {TIMES[text]}"


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("thisUpdate", "2605311200Z"),
        ("nextUpdate", "20260630120000.5Z"),
        ("revokedCertificates[1].revocationDate", "x"),
    ],
)
def test_a_time_of_a_revocation_list_is_named_with_its_field(field: str, text: str) -> None:
    times = [found.group() for found in re.finditer(rb"\x17\x0d\d{12}Z", LIST)]
    place = {"thisUpdate": 0, "nextUpdate": 1}.get(field, 3)
    nth = times[:place].count(times[place])
    with pytest.raises(DecodeError) as caught:
        Crl(_spoilt(LIST, times[place], _time(text, 0x18 if "." in text else 0x17), nth))
    assert (caught.value.code, caught.value.path) == ("crl.malformed", f"tbsCertList.{field}")
    assert caught.value.message.startswith("not DER: a ")


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        (SERIAL, b"\x02\x11\0" + SERIAL[2:], "serialNumber", "an INTEGER with octets that say nothing"),
        (SERIAL, b"\x02\x00", "serialNumber", "an INTEGER without octets"),
        (SERIAL, b"\x02\x81\x10" + SERIAL[2:], "serialNumber", "a length that is not in its shortest form"),
        (NOT_BEFORE, b"\x37\x80" + NOT_BEFORE + b"\0\0", "validity.notBefore", "an indefinite length"),
        (NOT_BEFORE, b"\x37\x0f" + NOT_BEFORE, "validity.notBefore", "a string in pieces"),
        (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x00", "version", "a version 1 that is written out, though it is"),
        (b"\x01\x01\xff\x04", b"\x01\x01\x01\x04", "extensions[1].critical", "a BOOLEAN that is neither 00 nor FF"),
        (b"\x01\x01\xff\x04", b"\x01\x01\x00\x04", "extensions[1].critical", "a FALSE that is written out"),
    ],
)
def test_whatever_is_only_ber_in_the_body_is_named_with_its_place(
    old: bytes, new: bytes, path: str, message: str
) -> None:
    if old.endswith(b"\x04"):  # a BOOLEAN, and the tag behind it
        old, new = old[:-1], new[:-1]
    spoilt = _spoilt(ROOT, old, new)
    fault = encoding_fault(spoilt, CERTIFICATE)
    assert fault is not None
    assert fault.path == f"tbsCertificate.{path}"
    assert fault.message.startswith(message)
    with pytest.raises(DecodeError) as caught:
        Certificate(spoilt)
    assert (caught.value.path, caught.value.message) == (fault.path, f"not DER: {fault.message}")


def test_what_is_der_has_no_fault_and_what_is_something_else_keeps_its_error() -> None:
    for data, fields in (
        (ROOT, CERTIFICATE),
        (AUTHORITY.ds_certificate.der, CERTIFICATE),
        (LIST, CRL),
        (ASKED, REQUEST),
    ):
        assert encoding_fault(data, fields) is None
    assert encoding_fault(ROOT + b"\0", CERTIFICATE) == EncodingFault("", "1 bytes follow the end")
    assert encoding_fault(ROOT[:-1], CERTIFICATE) == EncodingFault("", "cut off")
    assert str(EncodingFault("a.b", "cut off")) == "a.b: cut off"
    with pytest.raises(DecodeError, match="the bytes are not the DER that is defined here"):
        Certificate(b"no certificate")
    with pytest.raises(DecodeError, match="the bytes are not the DER that is defined here"):
        Certificate(b"\x30\x00")
    with pytest.raises(DecodeError) as caught:
        decode_csr(_spoilt(ASKED, b"\x02\x01\x00", b"\x02\x02\x00\x00"))
    assert caught.value.path == "certificationRequestInfo.version"


@given(st.data())
def test_a_damaged_file_is_refused_as_before_and_quickly(data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from([ROOT, LIST, ASKED])))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    for fields in (CERTIFICATE, CRL, REQUEST, {}):
        fault = encoding_fault(bytes(changed), fields)
        assert fault is None or fault.message.isprintable()


def test_not_more_than_so_many_elements_are_looked_at() -> None:
    huge = _tlv(0x30, b"\x02\x01\x01" * 1_000_000 + b"\x02\x00")
    began = time.process_time()
    assert encoding_fault(huge, {}) is None
    assert encoding_fault(b"\x30\x80" * 100_000, {}) == EncodingFault("", "an indefinite length")
    deep = b""
    for _ in range(300):
        deep = _tlv(0x30, deep)
    assert encoding_fault(deep, {}) is None
    assert time.process_time() - began < 1


def test_lint_inspect_and_trust_import_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("root.pem").write_text(to_pem(_spoilt(ROOT, NOT_BEFORE, _time("2506011200Z")), "CERTIFICATE"))
    Path("good.pem").write_text(to_pem(ROOT, "CERTIFICATE"))
    place = "tbsCertificate.validity.notBefore"
    assert main(["lint", "root.pem", "good.pem", "--json"]) == 3
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    (broken,) = told["unreadable"]
    assert (broken["file"], broken["code"]) == ("root.pem", "der.encoding")
    assert broken["message"] == f"not DER: a UTCTime without seconds at {place}"
    assert [one["file"] for one in told["examined"]] == ["good.pem"]
    assert main(["inspect", "root.pem"]) == 3
    assert f"a UTCTime without seconds at FILE.{place}" in capsys.readouterr().err
    words = ["reader", "trust", "import", "root.pem", "--store", "t.json", "--doctype", "any"]
    assert main(words) == 3
    assert f"a UTCTime without seconds at FILE[0].{place}" in capsys.readouterr().err

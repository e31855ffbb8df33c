"""Integers of foreign DER have no bound, and Python writes none of more than 4300 digits: nobody stumbles over one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from mdl.cli import main
from mdl.errors import DecodeError, MdlError, integer_text
from mdl.pki import PROFILES, VICAL_PROVIDER_CA, Certificate, Crl, decode_csr, lint_certificate, lint_crl
from mdl.pki.build import Subject, build_csr
from mdl.testing import TEST_TIME, Recipe, ThrowawayAuthority
from reader import Evidence, Policy, Revocation, SessionContext, TrustAnchor, TrustStore, Verifier
from reader.trust import ANY_DOCTYPE, Purpose
from reader.vical import NOTHING_ACCEPTED, import_vical
from tests import vical_forgery

AUTHORITY = ThrowawayAuthority()
_AKI = AUTHORITY.ds_recipe.extensions["aki"][0]
assert isinstance(_AKI, x509.AuthorityKeyIdentifier)
# Every INTEGER that a certificate of this PKI can have: version, serial number, pathLenConstraint, that of the issuer.
_NAMED = x509.AuthorityKeyIdentifier(_AKI.key_identifier, [x509.DirectoryName(AUTHORITY.iaca_recipe.subject)], 12345)
ROOT = AUTHORITY.iaca_recipe.with_changes(extensions={"aki": (_NAMED, False)}).build()
CRL = AUTHORITY.crl(revoked=[7], number=5)
REQUEST = build_csr(Subject(country="US", common_name="Signer"), AUTHORITY.ds_key).der
HUGE = (1 << 40_000, -(1 << 40_000))


def test_a_short_integer_is_written_in_digits_and_a_long_one_by_its_size() -> None:
    assert [integer_text(value) for value in (0, -5, 300, 1 << 159)] == ["0", "-5", "300", str(1 << 159)]
    assert [integer_text(value, "x") for value in (0, -5, 300)] == ["0x0", "-0x5", "0x12c"]
    assert [integer_text(value) for value in HUGE] == ["a number of 40001 bits", "a negative number of 40001 bits"]
    assert integer_text((1 << 512) - 1).isdigit()
    assert integer_text(1 << 512) == "a number of 513 bits"


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, size) if size < 0x80 else (tag, 0x80 | len(octets), *octets)) + content


def _elements(content: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(content):
        tag, size = content[at], content[at + 1]
        at += 2
        if size & 0x80:
            octets = size & 0x7F
            size, at = int.from_bytes(content[at : at + octets]), at + octets
        if at + size > len(content):
            raise IndexError
        found.append((tag, content[at : at + size]))
        at += size
    return found


def _replaced(content: bytes, value: int) -> Iterator[bytes]:
    """The content with each of its INTEGERs in turn replaced, those inside OCTET STRINGs too."""
    elements = _elements(content)
    for place, (tag, inner) in enumerate(elements):
        changed: list[bytes] = []
        if tag in {0x02, 0x82}:  # INTEGER, and authorityCertSerialNumber
            changed = [value.to_bytes(value.bit_length() // 8 + 1, signed=True)]
        elif tag & 0x20 or tag == 0x04:
            with contextlib.suppress(IndexError):
                changed = list(_replaced(inner, value))
        for one in changed:
            rest = [*elements[:place], (tag, one), *elements[place + 1 :]]
            yield b"".join(_tlv(tag, inner) for tag, inner in rest)


CERTIFICATES = [der for value in HUGE for der in _replaced(ROOT, value)]
CRLS = [der for value in HUGE for der in _replaced(CRL, value)]
REQUESTS = [der for value in HUGE for der in _replaced(REQUEST, value)]


def _readable(ders: list[bytes], kind: type[Certificate | Crl]) -> list[Certificate] | list[Crl]:
    found = []
    for der in ders:
        with contextlib.suppress(DecodeError):
            found.append(kind(der))
    return found  # type: ignore[return-value]


def test_some_of_them_are_read() -> None:
    """Else the tests below would show nothing: serial number, path length, serial number of the issuer; and so on."""
    assert len(CERTIFICATES) >= 8
    assert len(_readable(CERTIFICATES, Certificate)) >= 5
    assert len(_readable(CRLS, Crl)) >= 3


@pytest.mark.parametrize("certificate", _readable(CERTIFICATES, Certificate), ids=lambda one: one.fingerprint.hex()[:8])
def test_a_root_with_a_huge_integer_is_linted_admitted_or_refused_and_verified_with(certificate: Certificate) -> None:
    for profile in (*PROFILES.values(), VICAL_PROVIDER_CA):
        for finding in lint_certificate(certificate, profile, issuer=certificate, at=TEST_TIME):
            assert len(str(finding)) < 1000
    for purpose in Purpose:
        with contextlib.suppress(MdlError):
            TrustAnchor.admit(certificate, doctypes=ANY_DOCTYPE, purpose=purpose, at=TEST_TIME)
    shown = Recipe(disclose=["family_name"]).present()
    for policy in Policy:
        report = Verifier(
            TrustStore.from_certificates([certificate], doctypes=ANY_DOCTYPE),
            policy=policy,
            revocation=Revocation.IF_GIVEN,
        ).examine(
            shown.response,
            context=SessionContext(transcript=shown.transcript, reader_key=shown.reader_key),
            request=shown.request,
            at=shown.at,
            evidence=Evidence(),
        )
        assert report.checks


@pytest.mark.parametrize("crl", _readable(CRLS, Crl), ids=lambda one: one.fingerprint.hex()[:8])
def test_a_revocation_list_with_a_huge_integer_is_linted(crl: Crl) -> None:
    assert lint_crl(crl, issuer=AUTHORITY.iaca_certificate, at=TEST_TIME)


def test_a_request_with_a_huge_integer_is_refused() -> None:
    for der in REQUESTS:
        with pytest.raises(MdlError):
            decode_csr(der)


def test_one_root_with_a_huge_integer_does_not_cost_the_rest_of_a_list() -> None:
    good = vical_forgery.authority().iaca_certificate
    for bad in _readable(CERTIFICATES, Certificate):
        entry = vical_forgery.info(good) | {"certificate": bad.der}
        data = vical_forgery.forge(vical_forgery.info(good), entry)
        imported = import_vical(
            data,
            providers=vical_forgery.pin(vical_forgery.provider().root),
            accepted=NOTHING_ACCEPTED,
            at=vical_forgery.AT,
        )
        assert len(imported.anchors) == 1


def test_the_command_says_of_each_file_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = []
    for number, der in enumerate([*CERTIFICATES, *CRLS, *REQUESTS]):
        names.append(f"{number}.der")
        Path(names[-1]).write_bytes(der)
        assert main(["inspect", names[-1], "--full", "--json"]) in (0, 3)
        capsys.readouterr()
    Path("good.pem").write_text(AUTHORITY.iaca_certificate.pem)
    assert main(["lint", *names, "good.pem", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert {one["file"] for one in (*told["examined"], *told["unreadable"])} == {*names, "good.pem"}
    assert "cli.internal" not in {one["code"] for one in told["unreadable"]}
    assert [one["findings"] for one in told["examined"] if one["file"] == "good.pem"] == [[]]

"""Certificates and CRLs of real issuers, vendors and test events, and those of the standard's own examples.

Each is read or refused by name, every deviation is a named finding, and what we read is what other readers read. The
table of deviations is printed by ``pytest -s -k summary``.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.errors import DecodeError
from mdl.pki import (
    DOCUMENT_SIGNER,
    IACA,
    PROFILES,
    READER_AUTHENTICATION,
    READER_CA,
    VICAL_SIGNER,
    Certificate,
    Crl,
    KeyPurpose,
    Profile,
    Severity,
    lint_certificate,
    lint_crl,
    validate_path,
)
from tests.external import cases, folder, octets
from tests.x509_opinions import assert_as_strict_as_the_library, assert_same_facts, certificate_or_refusal

FOLDERS = [
    "iaca-us-roots",
    "interop-certs-google",
    "eudi-pid-roots",
    "interop-2023-spruce-aamva",
    "isomdl/certs",
    "eudi-verifier",
    "iso18013-5-annex-d",
    "vical-aamva-2025-11",
    "vical-rdw-2025-02/reader-ca",
    "auth0-mdl",
    "mdoc-ts-interop",
]
# Their basicConstraints says TRUE with an octet other than FF: that is BER, and a finding.
NO_DER = {"google_mdl_iaca_cert_2.pem", "rdw_mekb_testset.cer"}


def is_certificate(path: Path) -> bool:
    if path.name.endswith("cert.hex"):
        return True
    return path.suffix in {".pem", ".cer", ".crt", ".der"} and "-key" not in path.name


def bytes_of(path: Path) -> bytes:
    data = path.read_bytes()
    return bytes.fromhex(data.decode("ascii")) if path.suffix == ".hex" else data


def all_files() -> list[Path]:
    """Every certificate; skips the test where one of the folders is missing."""
    places = [folder(name) for name in FOLDERS]
    return [path for place in places for path in sorted(place.iterdir()) if path.is_file() and is_certificate(path)]


def every_certificate() -> list[object]:
    parameters: list[object] = []
    for name in FOLDERS:
        found = [parameter for parameter in cases(name, "*") if _wanted(parameter)]
        parameters += found
    return parameters


def _wanted(parameter: object) -> bool:
    (path,) = parameter.values  # type: ignore[attr-defined]
    return not path.is_file() or is_certificate(path)


def role_of(certificate: Certificate) -> Profile:
    """What a certificate claims to be."""
    purposes = set(certificate.extended_key_usage or ())
    if KeyPurpose.VICAL_SIGNER in purposes:
        return VICAL_SIGNER
    if KeyPurpose.MDOC_READER_AUTHENTICATION in purposes:
        return READER_AUTHENTICATION
    constraints = certificate.basic_constraints
    if constraints is not None and constraints.ca:
        return READER_CA if "reader" in str(certificate.subject).lower() else IACA
    return DOCUMENT_SIGNER


@pytest.mark.parametrize("path", every_certificate())
def test_a_real_certificate_is_read_or_refused_by_name(path: Path) -> None:
    certificate = Certificate.decode_any(bytes_of(path))
    in_ber = [finding for finding in lint_certificate(certificate, IACA) if finding.rule == "iaca.bc.encoding"]
    assert bool(in_ber) is (path.name in NO_DER)
    assert not any(finding.security for finding in in_ber)
    for profile in PROFILES.values():
        for finding in lint_certificate(certificate, profile, at=certificate.not_before):
            assert finding.rule.startswith(f"{profile.id}.")
    if certificate.version == 3:  # asn1crypto has no list of extensions where there is none
        assert_same_facts(certificate)
    if path.name not in NO_DER:
        assert_as_strict_as_the_library(certificate)


@pytest.mark.parametrize("path", cases("iaca-us-roots", "*.[pc]e[mr]"))
def test_a_root_of_a_united_states_authority_breaks_no_rule_of_security(path: Path) -> None:
    certificate = Certificate.decode_any(path.read_bytes())
    findings = lint_certificate(certificate, IACA, at=certificate.not_after)
    assert [finding for finding in findings if finding.security] == []
    certificate.verify_signature(certificate.public_key)


@pytest.mark.parametrize(
    ("file", "profile", "issuer"),
    [
        ("iaca-cert", IACA, None),
        ("ds-cert", DOCUMENT_SIGNER, "iaca-cert"),
        ("reader-root-cert", READER_CA, "reader-root-cert"),
        ("reader-cert", READER_AUTHENTICATION, "reader-root-cert"),
    ],
)
def test_the_standards_own_examples_deviate_in_one_known_way_and_by_warnings_only(
    file: str, profile: Profile, issuer: str | None
) -> None:
    """Annex D: the distribution point is a dNSName."""
    certificate = Certificate(octets(f"iso18013-5-annex-d/{file}.hex"))
    above = None if issuer is None else Certificate(octets(f"iso18013-5-annex-d/{issuer}.hex"))
    findings = lint_certificate(certificate, profile, issuer=above, at=datetime(2021, 1, 1, tzinfo=UTC))
    assert [finding.rule for finding in findings] == [f"{profile.id}.crldp.uri"]
    assert findings[0].severity is Severity.WARNING


def test_the_standards_own_document_signer_leads_to_its_iaca() -> None:
    certificate = Certificate(octets("iso18013-5-annex-d/ds-cert.hex"))
    anchor = Certificate(octets("iso18013-5-annex-d/iaca-cert.hex"))
    result = validate_path(certificate, [anchor], at=datetime(2021, 1, 1, tzinfo=UTC))
    assert [fact.holds for fact in result.facts] == [True, True, True]
    reader_root = Certificate(octets("iso18013-5-annex-d/reader-root-cert.hex"))
    assert validate_path(certificate, [reader_root], at=result.at).path.code == "path.no_anchor"


@pytest.mark.parametrize(
    ("signer", "anchor", "security"),
    [
        ("isomdl_iaca_signer", "isomdl_iaca_root_cert", set()),
        ("owf_multipaz_ds_p384", "owf_multipaz_iaca_p384", set()),
        # A CA under the root, with the purpose of a document signer.
        ("isomdl_incorrect_iaca_signer", "isomdl_iaca_root_cert", {"ds.bc.ca"}),
        ("isomdl_iaca_intermediate", "isomdl_iaca_root_cert", {"ds.bc.ca"}),
    ],
)
def test_paths_of_another_projects_test_pki(signer: str, anchor: str, security: set[str]) -> None:
    where = folder("isomdl/certs")
    certificate = Certificate.parse_pem((where / f"{signer}.pem").read_text("ascii"))
    above = Certificate.parse_pem((where / f"{anchor}.pem").read_text("ascii"))
    result = validate_path(certificate, [above], at=certificate.not_before)
    assert result.path.holds is True
    assert {finding.rule for finding in result.profile.findings if finding.security} == security


def test_a_signer_under_an_intermediate_does_not_lead_to_the_root() -> None:
    where = folder("isomdl/certs")
    leaf = Certificate.parse_pem((where / "isomdl_iaca_leaf_signer.pem").read_text("ascii"))
    above = Certificate.parse_pem((where / "isomdl_iaca_root_cert.pem").read_text("ascii"))
    assert validate_path(leaf, [above], at=leaf.not_before).path.code == "path.no_anchor"


def test_the_four_certificates_of_one_interoperability_event() -> None:
    where = folder("interop-2023-spruce-aamva")
    read = {name: Certificate.decode_any((where / f"{name}.pem").read_bytes()) for name in ("root-ca", "mdl-issuer")}
    result = validate_path(read["mdl-issuer"], [read["root-ca"]], at=read["mdl-issuer"].not_before)
    assert result.path.holds is True
    assert not [finding for finding in result.profile.findings if finding.security]


@pytest.mark.parametrize("path", cases("eudi-ios", "crl-*.pem"))
def test_a_real_crl_is_read_and_its_deviations_are_named(path: Path) -> None:
    crl = Crl.decode_any(path.read_bytes())
    found = {finding.rule: finding for finding in lint_crl(crl, at=crl.this_update)}
    assert not [finding for finding in found.values() if finding.security and finding.rule != "crl.signature.algorithm"]
    assert (crl.is_revoked(2) is not None) == ("Empty" not in path.name)


def test_a_negative_serial_number_of_a_test_vendor_is_a_finding() -> None:
    where = folder("isomdl/certs")
    certificate = Certificate.parse_pem((where / "owf_multipaz_ds_p384.pem").read_text("ascii"))
    assert certificate.serial < 0
    assert "ds.serial.positive" in {finding.rule for finding in lint_certificate(certificate, DOCUMENT_SIGNER)}


# What real certificates, mostly of tests and test events, break that no policy tolerates: rule to how many do.
GRAVE = {
    "ds.eku.missing": 6,
    "ds.ku.bits": 1,
    "ds.ku.ca-bits": 2,
    "ds.ku.missing": 3,
    "ds.subject.country.missing": 2,
    "iaca.key.type": 2,
    "iaca.ku.bits": 3,
    "iaca.signature.algorithm": 2,
    "iaca.signature.invalid": 2,
    "iaca.subject.country.missing": 3,
    "reader.bc.ca": 1,
}


def test_what_honest_issuers_do_is_no_matter_of_security_but_for_what_is_known() -> None:
    found: Counter[str] = Counter()
    for path in all_files():
        certificate = Certificate.decode_any(bytes_of(path))
        found.update(one.rule for one in lint_certificate(certificate, role_of(certificate)) if one.security)
    assert found == GRAVE


def _mutated(data: st.DataObject, der: bytes) -> bytes:
    changed = bytearray(der)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    return bytes(changed)


@given(st.data())
def test_a_mutated_real_certificate_gives_a_certificate_or_a_refusal(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(all_files()))
    try:
        der = Certificate.decode_any(bytes_of(path)).der
    except DecodeError:
        return
    certificate_or_refusal(_mutated(data, der))

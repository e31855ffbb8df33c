"""``mdl lint`` names the oddities of real certificates, file by file: all of them, and nothing else.

What our own authorities issue has none: tests/unit/mdl/test_lint_cli.py.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mdl.cli import main
from tests.external import folder

ANNEX_D = "iso18013-5-annex-d"
THEN = "2021-01-01T00:00:00Z"
"""A time at which the examples of Annex D are valid."""

# Pinned from what was found, and read through one by one; the encodings were looked up in the octets.
ODDITIES: dict[str, dict[str, set[str]]] = {
    "iaca-us-roots": {
        "Miscellaneous-ONEPROOF-Oneproof-IACA-Test.pem": {"iaca.ku.critical"},
        "US-AZ-AZ_MID_PROD_ROOT_CA.pem": set(),
        "US-AZ-MDL_CA.pem": {"iaca.bc.path-length"},
        "US-CA-ca-dmv-iaca-root-ca-crt.cer": set(),
        # A private extension of one product holds bare letters where DER should stand.
        "US-CO-CO_Root_Certificate_New.cer": {"der.extension", "iaca.bc.path-length"},
        # The state is a word here, not the code that a licence carries as issuing_jurisdiction.
        "US-CO-Prod_Root_Certificate.cer": {
            *("der.extension", "iaca.bc.path-length", "iaca.crldp.missing", "iaca.ian.missing"),
            "iaca.subject.state.format",
        },
        "US-GA-GA_mDL_Root.cer": {"der.extension"},
        "US-MD-Root_Certificate.cer": {"iaca.bc.path-length", "iaca.crldp.missing"},
        "US-NY-New_York-iaca-cert.pem": set(),
        # keyUsage is written with the empty bits after the last one, which DER leaves out.
        "US-OH-ohio_mdl_iaca_root_2024.pem": {"der.encoding"},
    },
    # Several are of a country that nobody has assigned.
    "interop-certs-google": {
        "apple_iaca.cer": {"iaca.crldp.uri"},
        "bdr_iaca.pem": {"iaca.crldp.uri"},
        "cbn_iaca.crt": {
            *("iaca.bc.path-length", "iaca.crldp.missing", "iaca.ian.missing", "iaca.ku.missing"),
            *("iaca.signature.hash", "iaca.subject.state.format"),
        },
        # An RSA key, for which there is no place in this PKI.
        "cbn_iaca_ky.cer": {
            *("iaca.bc.path-length", "iaca.crldp.missing", "iaca.ian.missing", "iaca.ku.missing"),
            *("iaca.key.type", "iaca.signature.algorithm", "iaca.signature.invalid", "iaca.signature.parameters"),
            "iaca.subject.state.format",
        },
        # A root of the web.
        "cbn_interop_aus_2.pem": {
            *("iaca.bc.path-length", "iaca.crldp.missing", "iaca.ian.missing"),
            *("iaca.key.type", "iaca.signature.algorithm", "iaca.signature.invalid", "iaca.signature.parameters"),
        },
        "clear_iaca_root_cert.pem": {"iaca.bc.path-length", "iaca.crldp.missing", "iaca.ian.missing", "iaca.ku.extra"},
        "fast_google_root_certificate.cer": {"iaca.bc.path-length", "iaca.crldp.missing"},
        "google_mdl_iaca_cert.pem": {
            "iaca.crldp.missing",
            "iaca.eku.unexpected",
            "iaca.extension.critical",
            "iaca.subject.country.assigned",
        },
        # A boolean of BER in basicConstraints: some readers refuse it, some do not.
        "google_mdl_iaca_cert_2.pem": {"der.encoding", "der.library", "iaca.bc.encoding", "iaca.crldp.missing"},
        "google_mekb_iaca_cert.pem": {"iaca.crldp.missing", "iaca.subject.country.assigned"},
        "google_micov_csca_cert.pem": {"iaca.crldp.missing", "iaca.subject.country.assigned"},
        "hidtestcscamicov_cert.pem": set(),
        "hidtestiacamdl_cert.pem": {"iaca.eku.unexpected"},
        "iaca_nec_mdl_iaca_cert.pem": {"iaca.crldp.missing", "iaca.eku.unexpected", "iaca.extension.critical"},
        "iaca_utms.der": {"iaca.crldp.missing", "iaca.ian.missing"},
        "iaca_zetes.der": {"iaca.crldp.missing", "iaca.ian.missing", "iaca.subject.country.assigned"},
        "iso_iaca_tmr_cer.pem": set(),
        "louisiana_department_of_motor_vehicles_cert.cer": {"iaca.subject.state.format"},
        # A reader CA without basicConstraints; that it is for readers only its name tells.
        "owf_identity_credential_reader_cert.pem": {
            *("iaca.bc.missing", "iaca.crldp.missing", "iaca.ian.missing"),
        },
        "owf_wallet_iaca_root.pem": set(),
        "rdw_mekb_testset.cer": {
            "der.encoding",
            "der.library",
            "iaca.bc.encoding",
            "iaca.crldp.missing",
            "iaca.subject.country.assigned",
        },
        "samsung_iaca_test_cert_cer.pem": {"iaca.bc.critical", "iaca.ian.missing", "iaca.ku.critical"},
        "scytales_root_ca.pem": {"iaca.ku.critical"},
        "thalesinterop2022iaca.pem": set(),
        "ul_cert_iaca_01.crt": set(),
        "ul_micov_testset.cer": {"iaca.crldp.missing", "iaca.subject.country.assigned"},
    },
    "interop-2023-spruce-aamva": {
        # They end some days after their root.
        "mdl-app.pem": {"ds.validity.nesting"},
        "mdl-issuer.pem": {"ds.validity.nesting"},
        "mdl-reader.pem": {"reader.validity.nesting"},
        "root-ca.pem": {"iaca.subject.state.format"},
    },
    "eudi-ios": {
        "crl-expiredCRLPEM.pem": {"crl.aki.missing"},
        "crl-validEmptyCRLPEM.pem": {"crl.aki.missing", "crl.interval"},
        "crl-validRevokedCRLPEM.pem": {"crl.aki.missing", "crl.interval"},
    },
}


def lint(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, Any]:
    status = main(["lint", *map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def rules_by_file(report: Any) -> dict[str, set[str]]:
    return {Path(one["file"]).name: {finding["rule"] for finding in one["findings"]} for one in report["examined"]}


@pytest.mark.parametrize("name", ODDITIES)
def test_the_oddities_of_real_certificates_are_named_and_nothing_else_is(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = lint(capsys, folder(name))
    assert (status, report["unreadable"]) == (1, [])
    assert rules_by_file(report) == ODDITIES[name]


def test_a_root_in_use_breaks_no_rule_of_security(capsys: pytest.CaptureFixture[str]) -> None:
    _, report = lint(capsys, folder("iaca-us-roots"))
    assert not [f["rule"] for one in report["examined"] for f in one["findings"] if f["security"]]


def test_the_standards_own_examples_have_one_oddity_each_and_it_is_a_warning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The distribution points are dNSNames."""
    files = [folder(ANNEX_D) / f"{name}-cert.hex" for name in ("iaca", "ds", "reader-root", "reader")]
    status, report = lint(capsys, *files, "--at", THEN, "--severity", "error")
    assert status == 0
    assert rules_by_file(report) == {
        "iaca-cert.hex": {"iaca.crldp.uri"},
        "ds-cert.hex": {"ds.crldp.uri"},
        "reader-root-cert.hex": {"reader-ca.crldp.uri"},
        "reader-cert.hex": {"reader.crldp.uri"},
    }
    assert not any(one["unjudged"] for one in report["examined"]), "each issuer is among the files"
    assert lint(capsys, *files, "--at", THEN)[0] == 1


def test_the_examples_are_out_of_date_today_and_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    _, report = lint(capsys, folder(ANNEX_D) / "ds-cert.hex", "--at", "2026-01-01T00:00:00Z")
    (one,) = report["examined"]
    assert {finding["rule"] for finding in one["findings"]} == {"ds.crldp.uri", "ds.validity.past"}


def test_the_jws_signer_of_the_standards_own_example(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = folder(ANNEX_D)
    header = (where / "server-retrieval-jws.txt").read_text("ascii").strip().split(".")[0]
    chain = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["x5c"]
    (tmp_path / "jws.der").write_bytes(base64.b64decode(chain[0]))
    _, report = lint(capsys, tmp_path / "jws.der", "--issuer", where / "iaca-cert.hex", "--at", THEN)
    (one,) = report["examined"]
    assert (one["profile"], one["unjudged"]) == ("jws", [])
    assert {finding["rule"] for finding in one["findings"]} == {"jws.crldp.uri"}

"""``mdl lint``: every deviation is told in every form, nothing is passed over in silence, the exit status is true."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest
from asn1crypto import core, x509
from cryptography.x509 import ObjectIdentifier, UnrecognizedExtension

from issuer.certificates import Iaca, request_document_signer
from mdl.cli import der, lint_reports, linting, main, terminal
from mdl.cli.der import DER_RULES
from mdl.pki import (
    CRL,
    DOCUMENT_SIGNER,
    IACA_LINK,
    PROFILES,
    READER_AUTHENTICATION,
    READER_CA,
    REVOCATION_LIST_SIGNER,
    VICAL_PROVIDER_CA,
    VICAL_SIGNER,
    Certificate,
    Crl,
    CrlProfile,
    Profile,
    RevokedCertificate,
    Subject,
    build_csr,
)
from mdl.testing import TEST_TIME, ThrowawayAuthority, deterministic_key
from tests.x509_forgery import (
    CONTACT,
    CRL_URI,
    KEY,
    START,
    SUBJECT,
    drop,
    flag,
    forge,
    honest,
    put,
    rename,
    root,
    set_field,
)
from tests.x509_opinions import A_CRL

ROOT_FOLDER = Path(__file__).resolve().parents[3]
ROOT = root()
DS = honest(DOCUMENT_SIGNER, issuer=ROOT)[0]
# A matter of security; a warning; a note.
SPOILED = forge(DS, drop("2.5.29.37"))
WARNED = forge(DS, flag("2.5.29.37", critical=False))
NOTED = forge(DS, put("2.5.29.19", bytes.fromhex("3000"), critical=True))

APPLIED = {"lint.profile"} | {rule.id for rule in DER_RULES} | {rule.id for rule in DOCUMENT_SIGNER.rules}
"""The rules that a document signer is held against."""


class Outcome(SimpleNamespace):
    """What a run of the command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def rules(self) -> set[str]:
        return {finding["rule"] for one in self.json["examined"] for finding in one["findings"]}


@pytest.fixture
def lint(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str | Path) -> Outcome:
        status = main(["lint", *map(str, words)])
        captured = capsys.readouterr()
        return Outcome(status=status, out=captured.out, err=captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, so that files have short names."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name: str, *documents: Certificate | Crl | Any, text: str = "") -> str:
    Path(name).write_text(text + "".join(document.pem for document in documents))
    return name


# --- what is found, and the exit status -------------------------------------------------------------------------------


def test_an_honest_chain_has_no_findings_and_every_rule_is_judged(folder: Path, lint: Any) -> None:
    chain = [save("root.pem", ROOT), save("ds.pem", DS), save("list.crl", A_CRL)]
    outcome = lint(*chain, "--at", "2026-01-10T00:00:00Z", "--json")
    assert (outcome.status, outcome.err) == (0, "")
    assert [(one["profile"], one["issuer"], one["unjudged"]) for one in outcome.json["examined"]] == [
        ("iaca", "root.pem", []),
        ("ds", "root.pem", []),
        ("crl", "root.pem", []),
    ]


def test_the_text_reads_well(folder: Path, lint: Any) -> None:
    save("root.pem", ROOT)
    save("ds.pem", SPOILED)
    outcome = lint("ds.pem", "root.pem", "--profile", "ds")
    assert outcome.status == 1
    assert outcome.out.startswith(
        """\
ds.pem
  mDL document signer (ds, 18013-5 B.1.4)
  subject C=XU, ST=XU-1, O=Utopia, CN=Utopia signer
  issued by root.pem
  error      ds.eku.missing, 18013-5 B.1.4, no policy may tolerate it
             found   the extension is absent
             asked   extendedKeyUsage is present.
             remedy  Add extendedKeyUsage 1.0.18013.5.1.2.
"""
    )
    held = len(DOCUMENT_SIGNER.rules) + len(DER_RULES) + 1 - 1 - 2
    assert f"  {held} rules hold, 2 not judged: no time given (--at)\n\nroot.pem\n" in outcome.out
    assert re.fullmatch(r"2 certificates: \d+ errors, .* that no policy may tolerate", outcome.out.splitlines()[-1])
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_the_gravest_findings_come_first(folder: Path, lint: Any) -> None:
    bad = forge(forge(WARNED, put("2.5.29.19", bytes.fromhex("3000"), critical=True)), drop("2.5.29.18"))
    outcome = lint(save("ds.pem", bad))
    found = re.findall(r"^  (error|warning|note) ", outcome.out, re.MULTILINE)
    assert found == ["error", "warning", "note"]


@pytest.mark.parametrize(
    ("document", "severity", "status"),
    [
        (SPOILED, "error", 1),
        (WARNED, "error", 0),
        (WARNED, "warning", 1),
        (NOTED, "warning", 0),
        (NOTED, "note", 1),
        (NOTED, None, 1),
        (DS, None, 0),
    ],
)
def test_the_exit_status_counts_findings_from_a_severity_on(
    document: Certificate, severity: str | None, status: int, folder: Path, lint: Any
) -> None:
    name = save("ds.pem", document)
    options = [] if severity is None else ["--severity", severity]
    outcome = lint(name, "--profile", "ds", "--json", *options)
    assert outcome.status == status
    assert bool(outcome.rules) is (document is not DS), "what is below the threshold is shown all the same"


def test_an_expired_certificate_is_found_where_a_time_is_given(folder: Path, lint: Any) -> None:
    name = save("ds.pem", DS)
    assert lint(name).status == 0
    assert lint(name, "--at", "2031-01-01T00:00:00Z", "--json").rules == {"ds.validity.past"}
    assert lint(name, "--at", "now", "--json").json["at"] is not None


# --- issuers ----------------------------------------------------------------------------------------------------------


def test_a_signature_is_verified_under_an_issuer_among_the_files(folder: Path, lint: Any) -> None:
    forged = forge(DS, lambda _: None, signer=deterministic_key("somebody else"))
    name = save("both.pem", forged, ROOT)
    assert lint(name, "--json").rules == {"ds.signature.invalid"}
    alone = lint(save("ds.pem", forged), "--json")
    assert (alone.status, "ds.signature.invalid" in alone.json["examined"][0]["unjudged"]) == (0, True)


def test_the_issuer_may_be_given(folder: Path, lint: Any) -> None:
    other = root(signer=deterministic_key("somebody else"))
    name, right, wrong = save("ds.pem", DS), save("root.pem", ROOT), save("other.pem", other)
    assert lint(name, "--issuer", right).status == 0
    assert lint(name, "--issuer", wrong, "--json").rules == {"ds.signature.invalid", "ds.aki.mismatch"}
    assert lint(name, "--issuer", wrong, "--issuer", right).status == 0, "of several, the one that signed it"
    assert lint(name, right, "--issuer", wrong, "--json").rules == {"ds.signature.invalid", "ds.aki.mismatch"}


def test_what_is_given_as_the_issuer_is_held_to_be_it(folder: Path, lint: Any) -> None:
    stranger = ThrowawayAuthority().iaca_certificate
    outcome = lint(save("ds.pem", DS), "--issuer", save("stranger.pem", stranger), "--json")
    assert {"ds.issuer.name", "ds.signature.invalid", "ds.issuer.country"} <= outcome.rules


def test_an_issuer_is_known_by_its_key_where_its_name_was_encoded_again(folder: Path, lint: Any) -> None:
    name = rename(lambda pairs: [(oid, core.UTF8String(value.native)) for oid, value in pairs], field="issuer")
    outcome = lint(save("both.pem", forge(DS, name), ROOT), "--json")
    assert outcome.rules == {"ds.issuer.name"}


def test_of_two_roots_with_one_name_the_one_that_signed_is_the_issuer(folder: Path, lint: Any) -> None:
    twin = root(signer=deterministic_key("somebody else"))
    outcome = lint(save("all.pem", twin, ROOT, DS, A_CRL), "--json")
    assert (outcome.status, outcome.rules) == (0, set())


def test_a_twin_is_told_apart_by_the_signature_where_no_key_identifier_does(folder: Path, lint: Any) -> None:
    twin = root(signer=deterministic_key("somebody else"))
    outcome = lint(save("all.pem", twin, ROOT, forge(DS, drop("2.5.29.35"))), "--json")
    assert outcome.rules == {"ds.aki.missing"}


def test_an_issuer_that_cannot_be_read_is_an_error_and_no_finding(folder: Path, lint: Any) -> None:
    Path("noise").write_bytes(b"\x30\x03abc")
    outcome = lint(save("ds.pem", DS), "--issuer", "noise")
    assert outcome.status == 3
    place = "longer than what it is part of at --issuer.tbsCertificate"
    assert outcome.err == f"mdl: not DER: {place} [certificate.malformed]\n"


# --- profiles ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.id)
def test_the_profile_suggests_itself_or_its_absence_is_a_finding(profile: Profile, folder: Path, lint: Any) -> None:
    outcome = lint(save("one.pem", honest(profile)[0]), "--json")
    (found,) = outcome.json["examined"]
    if profile in (READER_CA, VICAL_PROVIDER_CA):  # a CA which is not a root and says nothing of its use
        assert (found["profile"], outcome.rules) == (None, {"lint.profile"})
    elif profile is REVOCATION_LIST_SIGNER:  # the draft has no extendedKeyUsage for it
        assert (outcome.status, found["profile"], outcome.rules) == (1, None, {"lint.profile"})
    else:
        assert (outcome.status, found["profile"]) == (0, profile.id)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.id)
def test_every_profile_can_be_named(profile: Profile, folder: Path, lint: Any) -> None:
    certificate, issuer = honest(profile)
    options = [] if issuer is None else ["--issuer", save("issuer.pem", issuer)]
    outcome = lint(
        save("one.pem", certificate), "--profile", profile.id, *options, "--at", "2026-01-10T00:00:00Z", "--json"
    )
    (found,) = outcome.json["examined"]
    assert (outcome.status, found["profile"], found["findings"], found["unjudged"]) == (0, profile.id, [], [])
    assert found["rules"] == len(profile.rules) + len(DER_RULES) + 1


def test_a_ca_that_issues_to_readers_only_is_a_reader_ca(folder: Path, lint: Any) -> None:
    authority = root(profile=READER_CA)
    reader = honest(READER_AUTHENTICATION, issuer=authority)[0]
    outcome = lint(save("both.pem", authority, reader), "--json")
    assert (outcome.status, [one["profile"] for one in outcome.json["examined"]]) == (0, ["reader-ca", "reader"])


def test_a_ca_that_issues_to_vical_signers_only_is_no_iaca(folder: Path, lint: Any) -> None:
    authority = root(profile=READER_CA)
    signer = honest(VICAL_SIGNER, issuer=authority)[0]
    outcome = lint(save("both.pem", authority, signer), "--json")
    assert (outcome.status, [one["profile"] for one in outcome.json["examined"]]) == (0, ["vical-ca", "vical"])


@pytest.mark.parametrize("profile", [DOCUMENT_SIGNER, READER_AUTHENTICATION], ids=lambda one: one.id)
def test_what_says_neither_for_what_nor_whom_to_ask_is_never_clean(profile: Profile, folder: Path, lint: Any) -> None:
    bare = forge(forge(honest(profile)[0], drop("2.5.29.18")), drop("2.5.29.37"))
    outcome = lint(save("one.pem", bare), "--json")
    assert (outcome.status, outcome.rules) == (1, {"lint.profile"})


def test_a_ca_for_readers_by_its_purpose_is_a_reader_ca(folder: Path, lint: Any) -> None:
    purposes = x509.ExtKeyUsageSyntax(["1.0.18013.5.1.6"])
    outcome = lint(save("ca.pem", forge(root(profile=READER_CA), put("2.5.29.37", purposes))), "--json")
    assert outcome.json["examined"][0]["profile"] == "reader-ca"


def test_a_certificate_that_is_held_against_the_profile_of_crls_is_a_finding(folder: Path, lint: Any) -> None:
    outcome = lint(save("both.pem", DS, A_CRL), "--profile", "crl", "--json")
    assert [(one["kind"], one["profile"]) for one in outcome.json["examined"]] == [
        ("certificate", None),
        ("crl", "crl"),
    ]
    assert (outcome.status, outcome.rules) == (1, {"lint.profile"})


def test_a_request_has_no_profile_and_its_encoding_is_judged(folder: Path, lint: Any) -> None:
    request = build_csr(SUBJECT, KEY)
    outcome = lint(save("ds.csr", request), "--json")
    (found,) = outcome.json["examined"]
    assert (outcome.status, found["kind"], found["profile"], found["rules"]) == (0, "request", None, len(DER_RULES))
    Path("request.der").write_bytes(request.der)
    assert "certification request (no profile: only its encoding is judged)" in lint("request.der").out


# --- files ------------------------------------------------------------------------------------------------------------


def test_every_armour_is_opened(folder: Path, lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ds.der").write_bytes(DS.der)
    Path("ds.hex").write_text(DS.der.hex())
    Path("ds.b64").write_text(base64.b64encode(DS.der).decode())
    Path("list.der").write_bytes(A_CRL.der)
    outcome = lint("ds.der", "ds.hex", "ds.b64", "list.der", "--json")
    assert [one["kind"] for one in outcome.json["examined"]] == ["certificate"] * 3 + ["crl"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(DS.pem.encode())))
    assert lint("-", "--json").json["examined"][0]["file"] == "-"


def test_a_bundle_is_told_block_by_block(folder: Path, lint: Any) -> None:
    outcome = lint(save("all.pem", ROOT, SPOILED, A_CRL, text="some words\n"), "--profile", "ds", "--json")
    assert [(one["index"], one["line"]) for one in outcome.json["examined"]] == [
        (1, 2),
        (2, 2 + ROOT.pem.count("\n")),
        (3, 2 + (ROOT.pem + SPOILED.pem).count("\n")),
    ]
    assert "\n  2. mDL document signer (ds" in lint("all.pem", "--profile", "ds").out


def test_keys_in_a_bundle_are_not_looked_at(folder: Path, lint: Any) -> None:
    key = KEY.to_pkcs8(password=None).decode()
    assert lint(save("both.pem", DS, text=key)).status == 0


def test_a_folder_stands_for_all_in_it(folder: Path, lint: Any) -> None:
    Path("pki/below").mkdir(parents=True)
    save("pki/root.PEM", ROOT)
    save("pki/below/ds.pem", DS)
    Path("pki/key.pem").write_bytes(KEY.to_pkcs8(password=None))
    Path("pki/notes.txt").write_text("no certificate")
    outcome = lint("pki", "--json")
    assert [one["file"] for one in outcome.json["examined"]] == ["pki/below/ds.pem", "pki/root.PEM"]
    assert (outcome.status, outcome.json["passed_over"]) == (0, 1)
    assert lint("pki").out.endswith("2 certificates: no findings, 1 other file passed over\n")


def test_an_empty_folder_is_no_success(folder: Path, lint: Any) -> None:
    Path("pki").mkdir()
    outcome = lint("pki", "--json")
    assert (outcome.status, outcome.json["unreadable"][0]["code"]) == (3, "input.kind")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "input.empty"),
        (b"no certificate!", "certificate.malformed"),
        (b"\x30\x03abc", "der.encoding"),
        (DS.der + b"\0", "der.encoding"),
        (DS.der.hex().encode()[:-1], "input.hex"),
        (DS.pem.encode()[:-30], "input.pem"),
        (KEY.to_pkcs8(password=None), "input.kind"),
        (DS.pem.replace("M", "%").encode(), "certificate.pem"),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_examined(data: bytes, code: str, folder: Path, lint: Any) -> None:
    Path("bad").write_bytes(data)
    outcome = lint("bad", save("ds.pem", DS), "absent.pem", "--json")
    assert outcome.status == 3
    assert [one["code"] for one in outcome.json["unreadable"]] == [code, "input.unreadable"]
    assert len(outcome.json["examined"]) == 1
    text = lint("bad", "ds.pem").out
    assert text.startswith("bad")
    assert f"[{code}]" in text
    assert text.endswith("1 certificate: no findings, 1 unreadable\n")


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit"])
def test_a_known_extension_that_cannot_be_read_is_named(form: str, folder: Path, lint: Any) -> None:
    value = UnrecognizedExtension(ObjectIdentifier("2.5.29.14"), b"\x04\x81\x00")
    Path("bad.der").write_bytes(ThrowawayAuthority().deviant_ds(extensions={"ski": (value, False)}))
    outcome = lint("bad.der", "--format", form)
    assert outcome.status == 3
    assert "at extensions[2.5.29.14]" in outcome.out
    assert "at FILE" not in lint("absent.der", "--format", form).out


def test_one_bad_block_does_not_hide_the_others(folder: Path, lint: Any) -> None:
    broken = DS.pem.replace("MII", "MIX", 1)
    outcome = lint(save("all.pem", SPOILED, text=broken), "--profile", "ds", "--json")
    assert (outcome.status, outcome.rules) == (3, {"ds.eku.missing"})
    assert outcome.json["unreadable"][0]["line"] == 1


def test_names_of_strangers_do_no_harm_on_a_terminal(folder: Path, lint: Any) -> None:
    evil = rename(lambda pairs: [*pairs, ("2.5.4.11", core.UTF8String("\x1b[2J\u202e"))])
    outcome = lint(save("a\x1b[31mb.pem", forge(DS, evil)))
    assert "\x1b" not in outcome.out
    assert "a\\u001b[31mb.pem" in outcome.out


def test_a_colour_tells_the_severity_on_a_terminal(folder: Path, lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdl.cli.terminal.paint", lambda text, colour: f"<{colour}>{text}</>")
    out = lint(save("all.pem", forge(SPOILED, drop("2.5.29.14"))), "--profile", "ds").out
    assert "<red>error</>" in out
    assert "<bold>all.pem</>" in out


def test_without_the_second_reader_nothing_is_linted(folder: Path, lint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asn1crypto", None)
    der._schemas.cache_clear()
    outcome = lint(save("ds.pem", DS))
    assert (outcome.status, outcome.out) == (2, "")
    assert "[cli.extra_missing]" in outcome.err
    assert lint("--list-rules").status == 0


# --- SARIF ------------------------------------------------------------------------------------------------------------

# What each object of a SARIF 2.1.0 log must have, and all that we use of what it may have: the standard closes its
# objects, so that a member of another name would be an error.
SARIF = {
    "sarifLog": ({"version", "runs"}, {"$schema"}),
    "run": ({"tool"}, {"invocations", "results", "columnKind"}),
    "tool": ({"driver"}, set()),
    "toolComponent": ({"name"}, {"version", "rules"}),
    "reportingDescriptor": ({"id"}, {"shortDescription", "help", "defaultConfiguration", "properties"}),
    "multiformatMessageString": ({"text"}, set()),
    "reportingConfiguration": (set(), {"level"}),
    "invocation": ({"executionSuccessful"}, {"toolExecutionNotifications"}),
    "notification": ({"message"}, {"descriptor", "level", "locations"}),
    "reportingDescriptorReference": ({"id"}, set()),
    "result": ({"message"}, {"ruleId", "ruleIndex", "level", "locations", "properties"}),
    "message": ({"text"}, set()),
    "location": ({"physicalLocation"}, set()),
    "physicalLocation": ({"artifactLocation"}, {"region"}),
    "artifactLocation": ({"uri"}, set()),
    "region": ({"startLine"}, set()),
}
LEVELS = {"none", "note", "warning", "error"}


def sarif(kind: str, value: Any) -> Any:
    required, optional = SARIF[kind]
    assert type(value) is dict
    assert required <= value.keys() <= required | optional, kind
    return value


def check_text(kind: str, value: Any) -> None:
    assert type(sarif(kind, value)["text"]) is str
    assert value["text"]


def check_location(value: Any) -> str:
    place = sarif("physicalLocation", sarif("location", value)["physicalLocation"])
    if "region" in place:
        assert sarif("region", place["region"])["startLine"] >= 1
    uri = sarif("artifactLocation", place["artifactLocation"])["uri"]
    assert re.fullmatch(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", uri)
    return unquote(urlsplit(uri).path)


def check_sarif(log: Any) -> list[tuple[str, str, int | None]]:
    """Hold a log against SARIF 2.1.0; its results as rule, file and line."""
    assert sarif("sarifLog", log)["version"] == "2.1.0"
    (run,) = log["runs"]
    assert sarif("run", run)["columnKind"] in {"utf16CodeUnits", "unicodeCodePoints"}
    driver = sarif("toolComponent", sarif("tool", run["tool"])["driver"])
    identifiers = []
    for rule in driver["rules"]:
        identifiers.append(sarif("reportingDescriptor", rule)["id"])
        check_text("multiformatMessageString", rule["shortDescription"])
        check_text("multiformatMessageString", rule["help"])
        assert sarif("reportingConfiguration", rule["defaultConfiguration"])["level"] in LEVELS
        assert len(set(rule["properties"]["tags"])) == len(rule["properties"]["tags"])
    assert len(set(identifiers)) == len(identifiers)
    for invocation in run["invocations"]:
        assert type(sarif("invocation", invocation)["executionSuccessful"]) is bool
        for notification in invocation["toolExecutionNotifications"]:
            check_text("message", sarif("notification", notification)["message"])
            sarif("reportingDescriptorReference", notification["descriptor"])
            assert notification["level"] in LEVELS
            for location in notification["locations"]:
                check_location(location)
    results = []
    for result in run["results"]:
        check_text("message", sarif("result", result)["message"])
        assert result["level"] in LEVELS
        assert identifiers[result["ruleIndex"]] == result["ruleId"]
        (location,) = result["locations"]
        line = location["physicalLocation"].get("region", {}).get("startLine")
        results.append((result["ruleId"], check_location(location), line))
    return results


def test_a_sarif_log_has_every_member_that_the_standard_asks_for(folder: Path, lint: Any) -> None:
    save("all of it.pem", ROOT, SPOILED, A_CRL)
    Path("ds.der").write_bytes(SPOILED.der)
    outcome = lint("all of it.pem", "ds.der", "absent", "--profile", "ds", "--format", "sarif")
    assert outcome.status == 3
    results = check_sarif(outcome.json)
    assert ("ds.eku.missing", "all of it.pem", 1 + ROOT.pem.count("\n")) in results
    assert ("ds.eku.missing", "ds.der", None) in results
    assert outcome.json["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_a_sarif_log_without_results_is_whole_too(folder: Path, lint: Any) -> None:
    outcome = lint(save("ds.pem", DS), "--format", "sarif")
    assert (outcome.status, check_sarif(outcome.json)) == (0, [])
    rules = {rule["id"] for rule in outcome.json["runs"][0]["tool"]["driver"]["rules"]}
    assert rules == APPLIED


@pytest.mark.parametrize("name", ["/absolute/ds.pem", "weiß #1?.pem", "\udcff.pem", "a:b.pem", "-"])
def test_the_address_of_a_file_is_one(name: str) -> None:
    check_location(lint_reports._sarif_location(name, 1))


# --- JUnit ------------------------------------------------------------------------------------------------------------


def suites(outcome: Outcome) -> dict[str, ET.Element]:
    top = ET.fromstring(outcome.out)
    assert top.tag == "testsuites"
    found = {}
    for suite in top:
        cases = list(suite)
        assert (suite.tag, {case.tag for case in cases}) == ("testsuite", {"testcase"})
        counted = Counter(child.tag for case in cases for child in case)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[attribute]) == counted[tag]
        assert int(suite.attrib["tests"]) == len(cases)
        names = [(case.attrib["classname"], case.attrib["name"]) for case in cases]
        assert len(set(names)) == len(names)
        found[suite.attrib["name"]] = suite
    for attribute in ("tests", "failures", "errors", "skipped"):
        assert int(top.attrib[attribute]) == sum(int(suite.attrib[attribute]) for suite in top)
    return found


def test_a_junit_report_has_a_case_for_every_rule(folder: Path, lint: Any) -> None:
    save("all.pem", ROOT, SPOILED)
    Path("bad & worse").write_bytes(b"noise")
    found = suites(lint("all.pem", "bad & worse", "--profile", "ds", "--format", "junit"))
    assert found.keys() == {"all.pem", "bad & worse"}
    cases = {case.attrib["name"]: case for case in found["all.pem"] if case.attrib["classname"] == "2 ds"}
    assert cases.keys() == APPLIED
    (failure,) = cases["ds.eku.missing"]
    assert (failure.tag, failure.attrib["type"]) == ("failure", "error")
    assert "Add extendedKeyUsage" in failure.attrib["message"]
    assert list(cases["ds.eku.critical"]) == []
    assert [child.tag for child in cases["ds.validity.past"]] == ["skipped"]
    assert [child.tag for case in found["bad & worse"] for child in case] == ["error"]


def test_what_was_not_judged_has_not_passed(folder: Path, lint: Any) -> None:
    (suite,) = suites(lint(save("ds.pem", DS), "--format", "junit")).values()
    skipped = {case.attrib["name"] for case in suite if [child.tag for child in case] == ["skipped"]}
    assert skipped == {rule.id for rule in DOCUMENT_SIGNER.rules if rule.needs is not None}
    assert "ds.signature.invalid" in skipped


def test_a_finding_below_the_threshold_fails_no_case(folder: Path, lint: Any) -> None:
    outcome = lint(save("ds.pem", WARNED), "--format", "junit", "--severity", "error")
    (suite,) = suites(outcome).values()
    assert (outcome.status, suite.attrib["failures"]) == (0, "0")
    (case,) = [case for case in suite if case.attrib["name"] == "ds.eku.critical"]
    assert "not critical" in ET.tostring(case, "unicode")


def test_names_of_files_do_no_harm_in_xml(folder: Path, lint: Any) -> None:
    found = suites(lint(save('<&">\x07.pem', DS), "--format", "junit"))
    assert found.keys() == {'<&">\\u0007.pem'}


# --- rules, output, usage ---------------------------------------------------------------------------------------------


def test_the_rules_are_listed(folder: Path, lint: Any) -> None:
    everything = lint("--list-rules", "--json").json["rules"]
    listed = [rule["rule"] for rule in everything]
    tables: list[Profile | CrlProfile] = [*PROFILES.values(), CRL]
    assert listed == [
        *("lint.profile", "lint.issuer", *(rule.id for rule in DER_RULES)),
        *(rule.id for table in tables for rule in table.rules),
    ]
    assert all(rule["clause"] and rule["requirement"] and rule["remedy"] for rule in everything)
    of_crls = lint("--list-rules", "--profile", "crl", "--format", "json").json["rules"]
    assert [rule["rule"] for rule in of_crls] == [rule.id for rule in CRL.rules]
    text = lint("--list-rules", "--profile", "vical").out
    assert text.startswith("vical: VICAL signer (18013-5 C.1.7.2)\n  error      vical.version, 18013-5 Annex B\n")
    assert "\n             remedy  Set exactly contentCommitment.\n" in text


def test_the_reference_is_the_one_that_the_command_writes(lint: Any) -> None:
    written = lint("--list-rules", "--format", "markdown").out
    assert (ROOT_FOLDER / "docs/reference/lint-rules.md").read_text("utf-8") == written, (
        "mdl lint --list-rules --format markdown --output docs/reference/lint-rules.md"
    )


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit"])
def test_the_report_goes_into_a_file(form: str, folder: Path, lint: Any) -> None:
    name = save("ds.pem", SPOILED)
    words = (name, "--profile", "ds", "--format", form)
    direct = lint(*words)
    outcome = lint(*words, "--output", "report")
    assert Path("report").read_text() == direct.out
    assert (outcome.status, outcome.out) == (1, "1 certificate: 1 error, 1 of them that no policy may tolerate\n")


@pytest.mark.parametrize("output", ["", "absent/report", "."])
def test_a_report_that_cannot_be_written_is_an_error(output: str, folder: Path, lint: Any) -> None:
    outcome = lint(save("ds.pem", DS), "--output", output)
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err.count("\n") == 1
    assert "[output.unwritable]" in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("ds.pem", "--profile", "unheard-of"),
        ("ds.pem", "--at", "yesterday"),
        ("ds.pem", "--severity", "grave"),
        ("ds.pem", "--format", "markdown"),
        ("ds.pem", "--list-rules"),
        ("--list-rules", "--format", "sarif"),
        ("--list-rules", "--format", "junit"),
        ("-", "-"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_in_one_line(words: tuple[str, ...], folder: Path, lint: Any) -> None:
    save("ds.pem", DS)
    outcome = lint(*words)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("mdl: ")
    assert outcome.err.endswith("[cli.usage]\n")
    assert outcome.err.count("\n") == 1


# --- what we issue ----------------------------------------------------------------------------------------------------


def issued(tmp_path: Path, *documents: Certificate | Crl) -> Path:
    for number, document in enumerate(documents):
        suffix = "crl" if isinstance(document, Crl) else "pem"
        (tmp_path / f"{number}.{suffix}").write_text(document.pem)
    return tmp_path


def assert_spotless(outcome: Outcome, number: int) -> None:
    assert (outcome.status, outcome.err, outcome.rules) == (0, "", set()), outcome.out
    assert len(outcome.json["examined"]) == number
    assert not any(one["unjudged"] for one in outcome.json["examined"])


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"])
@pytest.mark.parametrize("state", ["US-UT", None])
def test_nothing_is_found_in_what_an_issuing_authority_issues(
    curve: str, state: str | None, tmp_path: Path, lint: Any
) -> None:
    place = Subject(country="US", state=state, common_name="Ütah IACA", organization="Utah")
    key, ds_key = deterministic_key("lint root", curve), deterministic_key("lint ds", curve)
    iaca = Iaca.create(key, subject=place, not_before=START, crl_uri=CRL_URI, contact_email=CONTACT)
    wish = Subject(country="US", state=state, common_name="Utah signer")
    ds = iaca.issue_document_signer(request_document_signer(ds_key, wish), common_name="Utah signer", not_before=START)
    first = iaca.publish_crl(number=1, this_update=START, next_update=START + timedelta(days=30))
    revoked = [RevokedCertificate(serial=ds.serial, revoked_at=START)]
    second = iaca.publish_crl(number=2, this_update=START, next_update=START + timedelta(days=89), revoked=revoked)
    where = issued(tmp_path, iaca.certificate, ds, first, second)
    assert_spotless(lint(where, "--at", "2026-01-10T00:00:00Z", "--json"), 4)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
@pytest.mark.parametrize("ds_curve", ["P-256", "P-384", "Ed25519", "Ed448"])
def test_nothing_is_found_in_what_the_throwaway_authority_makes(
    curve: str, ds_curve: str, tmp_path: Path, lint: Any
) -> None:
    authority = ThrowawayAuthority(curve=curve, ds_curve=ds_curve)
    crls = [Crl(authority.crl()), Crl(authority.crl(revoked=[1, authority.ds_certificate.serial], number=2))]
    where = issued(tmp_path, authority.iaca_certificate, authority.ds_certificate, *crls)
    assert_spotless(lint(where, "--at", f"{TEST_TIME:%Y-%m-%dT%H:%M:%SZ}", "--json"), 4)


def test_a_link_certificate_leads_from_the_old_root_to_the_new_one(tmp_path: Path, lint: Any) -> None:
    link = honest(IACA_LINK, issuer=ROOT)[0]
    where = issued(tmp_path, ROOT, link, DS, A_CRL)
    outcome = lint(where, "--at", "2026-01-10T00:00:00Z", "--json")
    assert_spotless(outcome, 4)
    assert Counter(one["profile"] for one in outcome.json["examined"]) == {"iaca": 1, "iaca-link": 1, "ds": 1, "crl": 1}


def test_a_mistake_of_ours_on_one_file_is_the_result_of_that_file(
    folder: Path, lint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody foresaw it: the file is named with the kind of exception, not with its text, and the rest goes on."""
    names = [save("first.pem", SPOILED), save("bad.pem", ROOT), save("last.pem", DS)]
    honest_check = der.read_again

    def stumble(document: Any) -> Any:
        if document == ROOT:
            raise ZeroDivisionError("Utopia root")
        return honest_check(document)

    monkeypatch.setattr(linting, "read_again", stumble)
    outcome = lint(*names, "--json")
    assert (outcome.status, outcome.err) == (3, "")
    assert [one["file"] for one in outcome.json["examined"]] == ["first.pem", "last.pem"]
    (broken,) = outcome.json["unreadable"]
    assert (broken["file"], broken["line"], broken["code"]) == ("bad.pem", 1, "cli.internal")
    assert "ZeroDivisionError" in broken["message"]
    assert "Utopia" not in outcome.out


@pytest.mark.parametrize("where", ["_decode_block", "_decode"])
def test_a_mistake_of_ours_in_reading_one_file_is_the_result_of_that_file(
    where: str, folder: Path, lint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("bad.der").write_bytes(ROOT.der)
    names = ["bad.der", save("other.pem", DS), save("list.crl", A_CRL)]
    monkeypatch.setattr(linting, where, lambda *_: 1 // 0)
    outcome = lint(*names, "--json")
    assert outcome.status == 3
    broken = {one["file"] for one in outcome.json["unreadable"] if one["code"] == "cli.internal"}
    assert broken == ({"bad.der"} if where == "_decode" else {"other.pem", "list.crl"})
    assert {one["file"] for one in outcome.json["examined"]} == set(names) - broken


def test_many_roots_of_one_name_are_not_all_tried_for_each_signer(folder: Path, lint: Any) -> None:
    """Where more keys may be the issuer's than are tried, the linter says so, and judges nothing by an issuer."""
    roots = [root(deterministic_key(f"stranger {number}")) for number in range(linting.MOST_ISSUERS + 1)]
    roots = [forge(one, put("2.5.29.14", core.OctetString(ROOT.subject_key_identifier))) for one in roots]
    outcome = lint(save("signer.pem", DS), save("roots.pem", *roots[:-1]), "--json")
    (found,) = (one for one in outcome.json["examined"] if one["file"] == "signer.pem")
    assert {one["rule"] for one in found["findings"]} >= {"ds.signature.invalid"}
    outcome = lint("signer.pem", save("roots.pem", *roots), "--json")
    (found,) = (one for one in outcome.json["examined"] if one["file"] == "signer.pem")
    assert [one["rule"] for one in found["findings"]] == ["lint.issuer"]
    assert (found["issuer"], "ds.signature.invalid" in found["unjudged"]) == (None, True)
    # The right one is found whatever else is there, where it alone has the key identifier.
    others = [forge(one, put("2.5.29.14", core.OctetString(b"other"))) for one in roots]
    outcome = lint("signer.pem", save("roots.pem", *others), save("root.pem", ROOT), "--json")
    (found,) = (one for one in outcome.json["examined"] if one["file"] == "signer.pem")
    assert (found["issuer"], found["findings"]) == ("root.pem", [])


@pytest.mark.parametrize("many", [False, True])
def test_the_issuers_own_copies_do_not_hide_it(many: bool, folder: Path, lint: Any) -> None:
    """Of many certificates with one key, one is tried."""
    copies = [forge(ROOT, set_field("serial_number", 2**125 + number)) for number in range(40 if many else 1)]
    outcome = lint(save("signer.pem", DS), save("roots.pem", *copies), "--json")
    (found,) = (one for one in outcome.json["examined"] if one["file"] == "signer.pem")
    assert (found["issuer"], found["findings"]) == ("roots.pem", [])


def test_long_texts_are_laid_out_in_time_that_grows_as_they_do() -> None:
    """No word of it is lost, no line too long, and none takes more than a look."""
    for text in ("\\u0001" * 200_000, "ab " * 400_000, "x" * 1_000_000 + " y", " " * 300_000):
        began = time.process_time()
        lines = terminal.wrap(text, first="name  ", rest="      ", limit=100)
        assert time.process_time() - began < 1
        assert max(map(len, lines)) <= 100
        assert "".join(lines).replace(" ", "") == "name" + text.replace(" ", "")
    words = "a fingerprint " + "0" * 70 + " and much more"
    assert terminal.wrap(words, first="", rest="  ", limit=80) == [
        "a fingerprint",
        "  " + "0" * 70 + " and",
        "  much more",
    ]

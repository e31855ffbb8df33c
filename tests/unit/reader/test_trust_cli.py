"""`mdl reader trust`: what its user types, sees and gets."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mdl.cbor import TDate
from mdl.cli import main
from mdl.pki import Certificate
from mdl.testing import TEST_TIME, ThrowawayAuthority, distinguished_name, present, throwaway_authority
from reader.trust_file import TrustFile
from tests.vical_forgery import AT, DAY, MDL, PHOTO_ID, Provider, authority, forge, info, provider

Output = pytest.CaptureFixture[str]
Trust = Callable[..., int]

UTAH = authority().iaca_certificate
ALASKA = authority("Alaska", "US-AK").iaca_certificate


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    """Runs a verb in a folder with roots and lists; words that name a file there become its path."""
    files = {
        "vical": forge(),
        "newer": forge(info(ALASKA, docType=[MDL, PHOTO_ID]), vicalIssueID=8),
        "newest": forge(info(ALASKA), info(UTAH), vicalIssueID=9),
        "mixed": forge(info(UTAH, serialNumber=5), info(ALASKA)),
        "root": provider().root.der,
        "roots": (UTAH.pem + ALASKA.pem).encode(),
        "alaska": ALASKA.der,
        "signer": authority().ds_certificate.der,
        "crl": provider().crl(revoked=[provider().signer.serial]),
        "other-root": Provider("Other").root.pem.encode(),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    def run(*words: str, at: dt.datetime | None = AT) -> int:
        named = [str(tmp_path / word) if word in files or word.startswith("store") else word for word in words]
        time = [] if at is None else ["--at", TDate.of(at).text]
        return main(["reader", "trust", *named, *time])

    return run


NAMELESS = distinguished_name(CN="A root without a country")
READERS = {"eku": (x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.0.18013.5.1.6")]), True)}
IMPORT = ("import", "vical", "--store", "store", "--provider-root", "root")


def output(capsys: Output) -> Any:
    return json.loads(capsys.readouterr().out)


# --- import -----------------------------------------------------------------------------------------------------------


def test_a_list_is_imported_and_told(trust: Trust, capsys: Output) -> None:
    assert trust(*IMPORT) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "VICAL of Provider, number 7 of 2026-05-31T12:00:00Z" in out
    assert "anchors 1" in out
    assert "not determined vical.signer_revocation" in out


def test_an_import_in_json_has_every_check(trust: Trust, capsys: Output) -> None:
    assert trust("import", "mixed", "--store", "store", "--provider-root", "root", "--json") == 0
    (vical,) = output(capsys)["vicals"]
    assert (vical["provider"], vical["issue_id"], vical["freshness"], vical["anchors"]) == ("Provider", 7, "fresh", 1)
    assert [(one["entry"], one["code"]) for one in vical["refused"]] == [(0, "serial.mismatch")]
    assert vical["checks"][0]["id"] == "vical.algorithm"
    assert vical["deviations"] == {"serial.integer": 1}


def test_without_a_pinned_root_no_list_is_imported(trust: Trust, tmp_path: Path, capsys: Output) -> None:
    assert trust("import", "vical", "--store", "store") == 2
    assert "--provider-root" in capsys.readouterr().err
    assert trust("import", "vical", "--store", "store", "--provider-root", "other-root") == 1
    assert "vical.path" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_the_pinned_root_is_remembered(trust: Trust, capsys: Output) -> None:
    assert trust(*IMPORT) == 0
    assert trust("import", "newer", "--store", "store") == 0
    assert trust("import", "vical", "--store", "store") == 1
    assert "vical.issue_id" in capsys.readouterr().err


def test_a_list_that_expired_is_refused(trust: Trust, capsys: Output) -> None:
    assert trust(*IMPORT, at=AT + 122 * DAY) == 1
    assert "the list has expired" in capsys.readouterr().err
    assert trust(*IMPORT, "--max-stale", "130", at=AT + 122 * DAY) == 0


def test_a_revoked_signer_is_refused(trust: Trust, capsys: Output) -> None:
    assert trust(*IMPORT, "--crl", "crl") == 1
    assert "vical.signer_revocation" in capsys.readouterr().err
    assert trust(*IMPORT, "--revocation", "required") == 1


def test_a_root_needs_a_word_on_what_it_is_for(trust: Trust, capsys: Output) -> None:
    assert trust("import", "roots", "--store", "store") == 2
    assert "--doctype" in capsys.readouterr().err
    assert trust("import", "roots", "--store", "store", "--doctype", MDL, "--country", "US") == 0
    assert capsys.readouterr().out.count("trusted now: ") == 2
    assert trust("import", "roots", "--store", "store", "--doctype", MDL, "--country", "CA") == 1
    assert "trust.place" in capsys.readouterr().err


def test_the_purposes_of_signers_are_chosen_and_shown(trust: Trust, capsys: Output) -> None:
    chosen = ("--signer-purpose", "org.example=any", "org.other=1.2.3,1.2.4")
    assert trust("import", "roots", "--store", "store", "--doctype", "any", *chosen) == 0
    assert trust(*IMPORT, *chosen) == 0
    capsys.readouterr()
    assert trust("list", "--store", "store", "--json") == 0
    expected = {"org.example": "any", "org.other": ["1.2.3", "1.2.4"]}
    assert [one["signer_purposes"] for one in output(capsys)["anchors"]] == [expected] * 3
    assert trust("list", "--store", "store") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "org.other: with purpose 1.2.3 or 1.2.4" in shown
    assert "org.example: of any purpose" in shown


@pytest.mark.parametrize("word", ["org.example", "org.example=", "=any", f"{MDL}=any", "org.example=1.2,", "a=b"])
def test_a_choice_of_purposes_that_is_none_is_a_matter_of_usage(trust: Trust, word: str) -> None:
    assert trust("import", "roots", "--store", "store", "--doctype", "any", "--signer-purpose", word) == 2


def test_all_files_are_taken_or_none(trust: Trust, tmp_path: Path, capsys: Output) -> None:
    assert trust("import", "roots", "signer", "--store", "store", "--doctype", MDL) == 1
    said = capsys.readouterr()
    assert "FILE" not in said.out
    assert said.err.startswith(
        "mdl: FILE[1]: certificates[0], C=US, ST=US-UT, CN=Utah document signer: "
        "a certificate for another role (mDL document signer); not to be trusted as a root: "
    )
    assert not (tmp_path / "store").exists()


def test_a_refused_root_among_several_is_named_by_its_place(trust: Trust, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "store-mixed.pem").write_text(UTAH.pem + authority().ds_certificate.pem, "ascii")
    assert trust("import", "roots", "store-mixed.pem", "--store", "store", "--doctype", MDL) == 1
    assert "FILE[1]: certificates[1], C=US, ST=US-UT, CN=Utah document signer: " in capsys.readouterr().err
    assert trust("import", "newer", "--store", "store", "--provider-root", "other-root") == 1
    assert capsys.readouterr().err.startswith("mdl: FILE[0]: ")


def test_a_provider_may_be_limited(trust: Trust, capsys: Output) -> None:
    assert trust(*IMPORT, "--country", "CA") == 1
    assert "vical.scope" in capsys.readouterr().err
    limited = ("import", "newer", "--store", "store", "--provider-root", "root", "--doctype", MDL)
    assert trust(*limited) == 0
    capsys.readouterr()
    assert trust("list", "--store", "store", "--json") == 0
    assert [anchor["doctypes"] for anchor in output(capsys)["anchors"]] == [[MDL]]


def test_what_is_no_file_of_these_is_unreadable(trust: Trust, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "store-noise").write_bytes(b"\xff\xff")
    assert trust("import", "store-noise", "--store", "store", "--provider-root", "root") == 3
    assert "FILE[0]" in capsys.readouterr().err
    assert trust("list", "--store", "store-noise") == 3
    assert trust("list", "--store", "store-missing") == 3


# --- import: what it says ---------------------------------------------------------------------------------------------


def deviant(**changes: Any) -> bytes:
    return authority().iaca_recipe.with_changes(**changes).build()


def test_an_import_says_how_a_root_deviates_and_which_policies_will_refuse_it(
    trust: Trust, tmp_path: Path, capsys: Output
) -> None:
    no_length = {"bc": (x509.BasicConstraints(ca=True, path_length=None), True)}
    (tmp_path / "store-odd").write_bytes(deviant(extensions=no_length | {"crldp": None}))
    add = ("import", "store-odd", "--store", "store", "--doctype", "any")
    assert trust(*add) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "trusted now: C=US, ST=US-UT, CN=Utah IACA" in said
    assert "no pathLenConstraint [iaca.bc.path-length]" in said
    assert "[iaca.crldp.missing]" in said
    assert "iso-strict and aamva will refuse every document under this root: iaca.bc.path-length" in said
    assert trust(*add, "--json") == 0
    (root,) = output(capsys)["roots"]
    assert [one["rule"] for one in root["findings"]] == ["iaca.bc.path-length", "iaca.crldp.missing"]
    assert root["refused_by"] == {"iso-strict": ["iaca.bc.path-length"], "aamva": ["iaca.bc.path-length"]}
    for verb in ("list", "check"):
        trust(verb, "--store", "store")
        assert "iso-strict and aamva" in " ".join(capsys.readouterr().out.split())


def test_an_import_of_a_list_says_how_many_of_its_roots_a_policy_will_refuse(
    trust: Trust, tmp_path: Path, capsys: Output
) -> None:
    no_length = {"bc": (x509.BasicConstraints(ca=True, path_length=None), True)}
    odd = Certificate(deviant(extensions=no_length))
    (tmp_path / "store-list").write_bytes(forge(info(odd), info(ALASKA)))
    words = ("import", "store-list", "--store", "store", "--provider-root", "root")
    assert trust(*words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "aamva and iso-strict will refuse every document under 1 of the roots" in said
    assert trust(*words, "--json") == 0
    assert output(capsys)["vicals"][0]["refused_by"] == {"iso-strict": 1, "aamva": 1}


def test_an_import_of_a_root_in_order_says_nothing_more(trust: Trust, capsys: Output) -> None:
    assert trust("import", "alaska", "--store", "store", "--doctype", "any") == 0
    assert capsys.readouterr().out == "trusted now: C=US, ST=US-AK, CN=Alaska IACA\n"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"subject": NAMELESS, "issuer": NAMELESS},
            ("CN=A root without a country", "[iaca.subject.country.missing]", "The subject has a countryName."),
        ),
        ({"extensions": READERS}, ("(mdoc reader CA)", "[iaca.eku.foreign]", "CN=Utah IACA")),
    ],
    ids=["country", "reader-ca"],
)
def test_a_refused_root_is_told_with_its_subject_and_the_rule(
    trust: Trust, tmp_path: Path, capsys: Output, changes: dict[str, Any], says: tuple[str, ...]
) -> None:
    (tmp_path / "store-odd").write_bytes(deviant(**changes))
    assert trust("import", "store-odd", "--store", "store", "--doctype", "any") == 1
    said = capsys.readouterr().err
    assert said.startswith("mdl: FILE[0]: certificates[0], ")
    assert all(one in said for one in says), said


HONEST = present()
KINDS: dict[str, tuple[bytes, str]] = {
    "a response": (HONEST.response, "DeviceResponse"),
    "a request": (HONEST.request.encode(), "DeviceRequest"),
    "a transcript": (HONEST.transcript.encoded, "SessionTranscript"),
    "a CRL": (authority().crl(), "certificate revocation list"),
    "a key": (authority().ds_key.public_key.spki, "SubjectPublicKeyInfo"),
    "a private key": (authority().ds_key.to_pkcs8(password=None), "unencrypted private key"),
    "a certificate": (UTAH.der, "X.509 certificate"),
    "a list": (forge(), "VICAL"),
}
# Where each of these stands on the command line, and what of them belongs there.
DOORS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "trust import": (("trust", "import", "FILE", "--store", "S", "--doctype", "any"), {"a certificate", "a list"}),
    "trust distrust": (("trust", "distrust", "FILE", "--store", "T"), {"a certificate"}),
    "--trust": (("verify", "R", "--trust", "FILE", "--transcript", "X", "--unsafe-no-request"), {"a certificate"}),
    "RESPONSE": (("verify", "FILE", "--trust", "A", "--transcript", "X", "--unsafe-no-request"), {"a response"}),
    "--transcript": (("verify", "R", "--trust", "A", "--transcript", "FILE", "--unsafe-no-request"), {"a transcript"}),
    "--request": (("verify", "R", "--trust", "A", "--transcript", "X", "--request", "FILE"), {"a request"}),
    "diagnose": (("diagnose", "FILE", "--transcript", "X"), {"a response"}),
}


@pytest.mark.parametrize(("door", "kind"), [(door, kind) for door in DOORS for kind in KINDS])
def test_a_file_of_another_kind_is_named_as_the_inspector_names_it(
    tmp_path: Path, capsys: Output, door: str, kind: str
) -> None:
    words, own = DOORS[door]
    data, title = KINDS[kind]
    files = {"FILE": data, "R": HONEST.response, "A": HONEST.anchors[0].der, "X": HONEST.transcript.encoded, "T": EMPTY}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    status = main(["reader", *(str(tmp_path / word) if word in files or word == "S" else word for word in words)])
    said = capsys.readouterr().err
    assert ("[input.kind]" in said) is (kind not in own), said
    if kind not in own:
        assert status == 3
        assert f"found: {title}" in said


# --- remove and distrust ----------------------------------------------------------------------------------------------

EMPTY = TrustFile().encode()


def roots_of(trust: Trust, capsys: Output, store: str = "store") -> set[str]:
    capsys.readouterr()
    assert trust("list", "--store", store, "--json") == 0
    return {one["fingerprint"] for one in output(capsys)["anchors"]}


def test_a_root_is_taken_out(trust: Trust, capsys: Output) -> None:
    utah, alaska = UTAH.fingerprint.hex(), ALASKA.fingerprint.hex()
    assert trust("import", "roots", "--store", "store", "--doctype", "any") == 0
    assert roots_of(trust, capsys) == {utah, alaska}
    assert trust("remove", utah[:16].upper(), "--store", "store") == 0
    assert "removed: C=US, ST=US-UT" in capsys.readouterr().out
    assert roots_of(trust, capsys) == {alaska}
    assert trust("remove", "alaska", "--store", "store", "--json") == 0
    assert [one["fingerprint"] for one in output(capsys)["roots"]] == [alaska]
    assert roots_of(trust, capsys) == set()


def test_a_provider_goes_with_its_list(trust: Trust, capsys: Output) -> None:
    assert trust(*IMPORT) == 0
    assert trust("remove", "root", "--store", "store") == 0
    assert roots_of(trust, capsys) == set()
    assert trust("import", "newer", "--store", "store") == 2  # no provider is remembered


def test_one_root_of_a_list_is_distrusted_today_and_in_every_newer_list(trust: Trust, capsys: Output) -> None:
    alaska = ALASKA.fingerprint.hex()
    assert trust(*IMPORT) == 0
    assert trust("import", "newer", "--store", "store") == 0
    assert roots_of(trust, capsys) == {alaska}
    assert trust("remove", "alaska", "--store", "store") == 5
    assert "trust.unknown" in capsys.readouterr().err
    assert trust("distrust", alaska[:20], "--store", "store") == 0
    assert roots_of(trust, capsys) == set()
    assert trust("list", "--store", "store") == 0
    assert f"distrusted: C=US, ST=US-AK, CN=Alaska IACA (SHA-256 {alaska})" in capsys.readouterr().out
    assert trust("import", "mixed", "--store", "store") == 1  # an older list, so that it is refused
    assert trust("import", "newest", "--store", "store") == 0
    assert roots_of(trust, capsys) == {UTAH.fingerprint.hex()}
    # It is not added by hand either, before that is lifted.
    assert trust("import", "alaska", "--store", "store", "--doctype", "any") == 5
    assert "trust.distrusted" in capsys.readouterr().err
    assert trust("distrust", alaska, "--undo", "--store", "store") == 0
    assert roots_of(trust, capsys) == {UTAH.fingerprint.hex(), alaska}
    assert trust("distrust", alaska, "--undo", "--store", "store") == 5


def test_a_distrusted_root_of_the_user_s_own_choice_goes_too(trust: Trust, capsys: Output) -> None:
    assert trust("import", "roots", "--store", "store", "--doctype", "any") == 0
    assert trust("distrust", "alaska", "--store", "store") == 0
    assert roots_of(trust, capsys) == {UTAH.fingerprint.hex()}


def test_who_distrusts_a_provider_s_root_trusts_none_of_its_list(trust: Trust, capsys: Output) -> None:
    assert trust(*IMPORT) == 0
    assert trust("distrust", "root", "--store", "store") == 0
    capsys.readouterr()
    assert trust("list", "--store", "store", "--json") == 0
    shown = output(capsys)
    assert (shown["anchors"], [one["code"] for one in shown["not_trusted"]]) == ([], ["trust.distrusted"])


@pytest.mark.parametrize("word", ["0" * 16, UTAH.fingerprint.hex()[:16] + "0" * 48])
def test_a_root_that_the_store_does_not_have_is_not_guessed(trust: Trust, capsys: Output, word: str) -> None:
    assert trust("import", "roots", "--store", "store", "--doctype", "any") == 0
    for verb in ("remove", "distrust"):
        assert trust(verb, word, "--store", "store") == 5
        assert "trust.unknown" in capsys.readouterr().err


# --- list, check, diff: what they show -------------------------------------------------------------------------------


def test_the_list_shows_where_an_anchor_comes_from(trust: Trust, capsys: Output) -> None:
    trust(*IMPORT)
    trust("import", "alaska", "--store", "store", "--doctype", "any")
    capsys.readouterr()
    assert trust("list", "--store", "store") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "2 anchors" in out
    assert "for every document type place US, US-AK" in out
    assert "source VICAL of Provider, number 7" in out
    assert trust("list", "--store", "store", "--json") == 0
    found = output(capsys)
    assert [(one["source"], one["state"]) for one in found["anchors"]] == [("given", "US-AK"), ("vical", "US-UT")]
    assert found["not_trusted"] == []


def test_the_list_tells_what_is_not_trusted_any_more(trust: Trust, capsys: Output) -> None:
    trust(*IMPORT)
    capsys.readouterr()
    assert trust("list", "--store", "store", "--json", at=AT + 122 * DAY) == 0
    found = output(capsys)
    assert found["anchors"] == []
    assert [(one["what"], one["failed"]) for one in found["not_trusted"]] == [("vical", ["vical.freshness"])]
    assert trust("list", "--store", "store", at=AT + 122 * DAY) == 0
    assert "not trusted: " in capsys.readouterr().out


def check(trust: Trust, capsys: Output, *words: str, at: dt.datetime = AT) -> list[str]:
    capsys.readouterr()
    status = trust("check", "--store", "store", "--json", *words, at=at)
    codes = [one["code"] for one in output(capsys)["findings"]]
    assert status == (1 if codes else 0)
    return codes


def test_a_check_tells_what_needs_care(trust: Trust, capsys: Output) -> None:
    trust(*IMPORT)
    assert check(trust, capsys) == []
    assert check(trust, capsys, "--soon", "121") == ["vical.ends"]
    assert check(trust, capsys, "--crl", "crl") == ["vical.signer_revocation"]
    assert check(trust, capsys, at=AT + 2 * DAY) == ["vical.stale"]
    assert check(trust, capsys, at=AT + 122 * DAY) == ["vical.freshness"]
    assert check(trust, capsys, "--soon", "3650", at=AT) == ["vical.ends", "vical.signer_ends", "root.ends"]


def test_a_check_tells_of_refused_entries_and_of_profiles(trust: Trust, tmp_path: Path, capsys: Output) -> None:
    trust("import", "mixed", "--store", "store", "--provider-root", "root")
    assert check(trust, capsys) == ["serial.mismatch"]
    deviant = authority().iaca_recipe.with_changes(extensions={"crldp": None}).build()
    (tmp_path / "store-deviant").write_bytes(deviant)
    trust("import", "store-deviant", "--store", "store", "--doctype", MDL)
    assert check(trust, capsys) == ["serial.mismatch", "iaca.crldp.missing"]
    capsys.readouterr()
    assert trust("check", "--store", "store") == 1
    out = capsys.readouterr().out
    assert "[iaca.crldp.missing]" in out
    assert out.splitlines()[-1].endswith("2 anchors: 2 findings")


def test_a_difference_is_one_of_content(trust: Trust, capsys: Output) -> None:
    trust(*IMPORT)
    trust("import", "newer", "--store", "store-new", "--provider-root", "root")
    trust("import", "roots", "--store", "store-both", "--doctype", MDL)
    capsys.readouterr()
    assert trust("diff", "store", "store") == 0
    assert capsys.readouterr().out == "0 added, 0 removed, 0 changed in scope\n"
    assert trust("diff", "store", "store-new") == 1
    out = capsys.readouterr().out
    assert [line[0] for line in out.splitlines()] == ["+", " ", "-", " ", "1"]
    assert trust("diff", "store-new", "store-both", "--json") == 1
    found = output(capsys)
    assert [one["subject"] for one in found["added"]] == [str(UTAH.subject)]
    assert found["removed"] == []
    (changed,) = found["changed"]
    assert (changed["old"][0]["doctypes"], changed["new"][0]["doctypes"]) == ([MDL, PHOTO_ID], [MDL])


def test_a_difference_tells_what_it_could_not_compare(trust: Trust, capsys: Output) -> None:
    trust(*IMPORT)
    trust("import", "roots", "--store", "store-both", "--doctype", MDL)
    capsys.readouterr()
    assert trust("diff", "store", "store-both", at=AT + 122 * DAY) == 1
    assert "OLD: not trusted, so not compared" in capsys.readouterr().err


def test_stores_of_which_nothing_could_be_compared_are_not_the_same(trust: Trust, capsys: Output) -> None:
    trust(*IMPORT)
    capsys.readouterr()
    assert trust("diff", "store", "store", at=AT + 122 * DAY) == 1
    assert capsys.readouterr().out == "0 added, 0 removed, 0 changed in scope\n"
    assert trust("diff", "store", "store", "--json", at=AT + 122 * DAY) == 1
    assert [len(one) for one in output(capsys)["not_compared"]] == [1, 1]


@pytest.mark.parametrize("words", [("list",), ("check",), ("diff", "store"), ("import", "vical"), ()])
def test_what_is_missing_is_a_matter_of_usage(trust: Trust, words: tuple[str, ...]) -> None:
    assert trust(*words) == 2


@pytest.mark.parametrize(("name", "status"), [("", 2), ("a\0b", 2), ("/", 3)])
def test_what_can_be_no_store_is_told_in_one_line(trust: Trust, capsys: Output, name: str, status: int) -> None:
    trust("import", "roots", "--store", "store", "--doctype", MDL)
    capsys.readouterr()
    lines = [["list", "--store", name], ["check", "--store", name], ["diff", name, "store"], ["diff", "store", name]]
    for words in [*lines, ["import", "roots", "--doctype", MDL, "--store", name]]:
        assert trust(*words) == status
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)


@pytest.mark.parametrize("days", ["-1", "3661", "x", "1.5", "٣"])
def test_days_are_a_whole_number(trust: Trust, days: str) -> None:
    assert trust(*IMPORT, "--max-stale", days) == 2


# --- verify takes a trust store ---------------------------------------------------------------------------------------


@pytest.fixture
def verify(tmp_path: Path) -> Callable[..., int]:
    """Runs `mdl reader verify` on an honest response with a trust store that has its root in a list."""
    honest = present()
    root = throwaway_authority().iaca_certificate
    files = {
        "response": honest.response,
        "transcript": honest.transcript.encoded,
        "good": forge(info(root)),
        "photo": forge(info(root, docType=[PHOTO_ID])),
        "root": provider().root.der,
        "stranger": ThrowawayAuthority("Stranger").iaca_certificate.der,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)

    def run(vical: str, *words: str, at: dt.datetime = TEST_TIME) -> int:
        path = {name: str(tmp_path / name) for name in (*files, "store")}
        pinned = ("--store", path["store"], "--provider-root", path["root"], "--at", TDate.of(TEST_TIME).text)
        assert main(["reader", "trust", "import", path[vical], *pinned]) == 0
        session = ("--transcript", path["transcript"], "--unsafe-no-request", "--at", TDate.of(at).text)
        trusted = ("--trust", path["store"], *(path.get(word, word) for word in words))
        return main(["reader", "verify", path["response"], *session, *trusted])

    return run


def test_a_response_is_verified_against_a_trust_store(verify: Callable[..., int], capsys: Output) -> None:
    assert verify("good") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("ACCEPTED")


def test_the_scope_of_the_list_holds(verify: Callable[..., int], capsys: Output) -> None:
    assert verify("photo") == 1
    assert capsys.readouterr().out.splitlines()[-1] == "REFUSED: issuer_auth.trust_scope"
    assert verify("good", "--trust-doctype", PHOTO_ID) == 1
    assert "trust.nothing" in capsys.readouterr().err
    assert verify("good", "--trust-doctype", MDL) == 0


def test_a_list_that_expired_is_told_and_trusts_nobody(verify: Callable[..., int], capsys: Output) -> None:
    later = TEST_TIME + 122 * DAY
    assert verify("good", at=later) == 1
    assert "--trust[0]: not used: the VICAL is refused: the list has expired" in capsys.readouterr().err
    assert verify("good", "stranger", at=later) == 1
    assert "issuer_auth.path" in capsys.readouterr().out.splitlines()[-1]

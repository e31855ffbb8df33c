"""`mdl reader trust`: what its user types, sees and gets."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mdl.cbor import TDate
from mdl.cli import main
from mdl.testing import TEST_TIME, ThrowawayAuthority, present, throwaway_authority
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
    assert "mdl: FILE[1]: certificates[0]: not to be trusted as a root" in said.err
    assert not (tmp_path / "store").exists()


def test_a_refused_root_among_several_is_named_by_its_place(trust: Trust, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "store-mixed.pem").write_text(UTAH.pem + authority().ds_certificate.pem, "ascii")
    assert trust("import", "roots", "store-mixed.pem", "--store", "store", "--doctype", MDL) == 1
    assert "FILE[1]: certificates[1]: not to be trusted as a root" in capsys.readouterr().err
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


# --- list, check, diff ------------------------------------------------------------------------------------------------


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

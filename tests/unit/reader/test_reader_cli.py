"""``mdl reader verify``: what it prints, and with which status it ends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mdl.cbor import FullDate, encode
from mdl.cli import main
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceResponse
from mdl.testing import DeviceAuth, Presentation, Recipe, ThrowawayAuthority, present, throwaway_authority
from reader.report import CHECKS
from tests import external
from tests.status_forgery import Token

HONEST = present(disclose={"family_name", "birth_date", "portrait"})
AT = ["--at", "2026-06-01T12:00:00Z"]

Files = Callable[..., list[str]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Writes a presentation into a folder, and gives the arguments that verify it."""

    def write(presentation: Presentation = HONEST, **others: bytes) -> list[str]:
        contents = {
            "response": presentation.response,
            "root": "".join(anchor.pem for anchor in presentation.anchors).encode(),
            "transcript": presentation.transcript.encoded,
            "key": presentation.reader_key.to_pkcs8(),
            "request": presentation.request.encode(),
        } | others
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        words = ["reader", "verify", str(tmp_path / "response"), "--trust", str(tmp_path / "root")]
        words += ["--transcript", str(tmp_path / "transcript"), "--reader-key", str(tmp_path / "key")]
        return [*words, "--request", str(tmp_path / "request"), *AT]

    return write


Output = pytest.CaptureFixture[str]


def test_an_honest_response_is_accepted_with_every_check_and_its_elements(files: Files, capsys: Output) -> None:
    assert main(files()) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert [name for name in CHECKS if not any(line.startswith(f"  {name} ") for line in lines)] == []
    assert any(line.split() == ["issuer_data.digest", "passed"] for line in lines)
    assert "    birth_date" in out
    assert 'family_name  "' in out
    assert "…' / 20000 bytes /" in " ".join(out.split())
    assert lines[-1] == "ACCEPTED; not determined: issuer_auth.certificate_revocation"
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in out


def test_what_is_refused_names_the_check_and_shows_no_element(files: Files, capsys: Output) -> None:
    forged = Recipe(
        disclose={"birth_date"}, items={"birth_date": {"presented": {"elementValue": FullDate("2001-01-01")}}}
    ).present()
    assert main(files(forged)) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "REFUSED: issuer_data.digest"
    assert "FAILED" in out
    assert "2001-01-01" not in out
    assert "birth_date" not in out


def test_json_holds_the_same(files: Files, capsys: Output) -> None:
    assert main([*files(), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["at"], told["policy"]) == ("accept", "2026-06-01T12:00:00Z", "iso-strict")
    assert told["revocation"] == "if-given"
    assert {check["id"] for check in told["checks"]} == set(CHECKS)
    assert all(
        check.keys() == {"id", "document", "outcome", "detail", "warnings", "clause"} for check in told["checks"]
    )
    (document,) = told["documents"]
    assert document["doctype"] == "org.iso.18013.5.1.mDL"
    assert document["elements"]["org.iso.18013.5.1"].keys() == {"family_name", "birth_date", "portrait"}
    assert len(document["elements"]["org.iso.18013.5.1"]["portrait"]) == 40_003  # whole


def test_json_of_a_refusal_holds_no_document(files: Files, capsys: Output) -> None:
    expired = Recipe(disclose={"birth_date"}, valid_until=datetime(2026, 5, 31, tzinfo=UTC)).present()
    assert main([*files(expired), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["failed"], told["documents"]) == ("reject", ["mso.validity"], [])


def test_a_byte_string_is_shown_whole_on_demand(files: Files, capsys: Output) -> None:
    assert main([*files(), "--full"]) == 0
    assert "…" not in capsys.readouterr().out


def test_without_a_time_it_is_now(files: Files, capsys: Output) -> None:
    words = files()
    del words[words.index("--at") :]
    before = datetime.now(UTC).replace(microsecond=0)
    main([*words, "--json"])
    told = datetime.fromisoformat(json.loads(capsys.readouterr().out)["at"])
    assert before <= told <= datetime.now(UTC)


def test_without_a_request_only_the_unsafe_word_will_do(files: Files, capsys: Output) -> None:
    words = files()
    place = words.index("--request")
    assert main(words[:place] + words[place + 2 :]) == 2
    assert main([*words[:place], "--unsafe-no-request", *words[place + 2 :]]) == 0
    assert "request.unrequested                 not applicable" in capsys.readouterr().out


def test_the_request_is_compared(files: Files, capsys: Output) -> None:
    asked = present(disclose={"family_name"}).request
    assert main(files(request=asked.encode())) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "REFUSED: request.unrequested"


def test_a_mac_needs_the_reader_key(files: Files, capsys: Output) -> None:
    words = files(present(disclose={"family_name"}, device_auth=DeviceAuth.MAC))
    assert main(words) == 0
    place = words.index("--reader-key")
    assert main(words[:place] + words[place + 2 :]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "REFUSED: device_auth.mac"


def test_another_root_is_no_root_of_this_one(files: Files, tmp_path: Path, capsys: Output) -> None:
    other = ThrowawayAuthority("Somebody else").iaca_certificate
    words = files(root=other.pem.encode())
    assert main(words) == 1
    assert "issuer_auth.path" in capsys.readouterr().out.splitlines()[-1]
    # Both in one file, one in DER beside it, and one given twice: all the same.
    right = HONEST.anchors[0]
    (tmp_path / "right.der").write_bytes(right.der)
    assert main([*words, "--trust", str(tmp_path / "right.der"), str(tmp_path / "root")]) == 0
    assert main(files(root=(other.pem + right.pem).encode())) == 0


def test_a_root_may_be_trusted_for_some_document_types_only(files: Files, capsys: Output) -> None:
    assert main([*files(), "--trust-doctype", "org.iso.18013.5.1.mDL"]) == 0
    assert main([*files(), "--trust-doctype", "org.iso.7367.1.mVRC", "org.example"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "REFUSED: issuer_auth.trust_scope"


def test_the_policy_is_the_one_that_was_asked_for(files: Files, capsys: Output) -> None:
    words = files(present(disclose={"family_name"}, random_size=15))
    assert main(words) == 1
    assert main([*words, "--policy", "lenient"]) == 0
    assert "tolerated: random.short" in " ".join(capsys.readouterr().out.split())


def test_revocation_is_judged_by_what_is_given(files: Files, tmp_path: Path, capsys: Output) -> None:
    authority = throwaway_authority()
    (tmp_path / "clean.crl").write_bytes(authority.crl())
    (tmp_path / "revoking.crl").write_bytes(authority.crl(revoked=[authority.ds_certificate.serial]))
    words = files()
    assert main([*words, "--revocation", "required"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == ("REFUSED: issuer_auth.certificate_revocation (not determined)")
    assert main([*words, "--revocation", "required", "--crl", str(tmp_path / "clean.crl")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ACCEPTED"
    assert main([*words, "--crl", str(tmp_path / "clean.crl"), str(tmp_path / "revoking.crl")]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "REFUSED: issuer_auth.certificate_revocation"


def test_a_status_token_is_read(files: Files, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "token").write_bytes(b"\xd2\x84\x40\xa0\x40\x40")
    assert main([*files(), "--status-token", str(tmp_path / "token")]) == 0  # the licence names no list
    assert "--status-token[0]: no status list token, so it speaks for nothing" in capsys.readouterr().err
    (tmp_path / "good").write_bytes(Token().build())
    assert main([*files(), "--status-token", str(tmp_path / "good")]) == 0
    assert capsys.readouterr().err == ""
    assert main([*files(), "--status-token", str(tmp_path / "missing")]) == 3
    assert "--status-token[0]" in capsys.readouterr().err


def test_inputs_may_be_text_and_the_transcript_in_tag_24(files: Files) -> None:
    texts = {
        "response": HONEST.response.hex().encode(),
        "root": HONEST.anchors[0].der.hex().encode(),
        "transcript": HONEST.transcript.tagged.hex().encode(),
        "request": HONEST.request.encode().hex().encode(),
    }
    assert main(files(**texts)) == 0


def test_two_documents_are_two_groups(files: Files, capsys: Output) -> None:
    first, second = Recipe(disclose={"family_name"}), Recipe(disclose={"birth_date"}, seed="second")
    main(files(first.present(second)))
    out = capsys.readouterr().out
    assert "\ndocument 0\n" in out
    assert "\ndocument 1\n" in out


def test_element_values_cannot_command_the_terminal(files: Files, capsys: Output) -> None:
    evil = "\x1b[2J\u202e\x9b31m"
    recipe = Recipe(
        doctype=f"d{evil}",
        namespaces={"org.iso.18013.5.1": {"family_name": evil}, f"n{evil}": {f"i{evil}": True}},
    )
    main([*files(recipe.present()), "--policy", "lenient"])
    out = capsys.readouterr().out
    assert "ACCEPTED" in out
    assert not [char for char in out if not char.isprintable() and char != "\n"]


# --- what does not decode ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("response", "RESPONSE"),
        ("root", "--trust[0]"),
        ("transcript", "--transcript"),
        ("key", "--reader-key"),
        ("request", "--request"),
    ],
)
@pytest.mark.parametrize(
    "content", [b"", b"\xa0", b"\x00", b"hello, world", b"-----BEGIN CERTIFICATE-----\n", b"\x81" * 99]
)
def test_an_input_that_does_not_decode_is_named_and_status_3(
    files: Files, capsys: Output, name: str, label: str, content: bytes
) -> None:
    words = files(**{name: content})
    assert main(words) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mdl: ")
    assert err.count("\n") == 1
    assert label in err
    assert main([*words, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["path"].startswith(label)


@pytest.mark.parametrize("option", ["--trust", "--transcript", "--reader-key", "--request"])
def test_a_missing_file_is_named_by_its_argument(files: Files, capsys: Output, option: str) -> None:
    words = files()
    words[words.index(option) + 1] = "erika-mustermann"
    assert main(words) == 3
    err = capsys.readouterr().err
    assert option in err
    assert "mustermann" not in err


def test_a_path_inside_the_response_is_told(files: Files, capsys: Output) -> None:
    broken = Recipe(disclose={"family_name"}, mutate_response=lambda response: response.update(documents=[1]))
    assert main(files(broken.present())) == 3
    assert capsys.readouterr().err == "mdl: not a map at RESPONSE.documents[0] [mdoc.structure]\n"


# --- other people's responses -----------------------------------------------------------------------------------------


@pytest.fixture
def annex_d(tmp_path: Path) -> list[str]:
    where = external.folder("iso18013-5-annex-d")
    secret = int.from_bytes(external.octets("iso18013-5-annex-d/ephemeral-reader-key-d.hex"))
    (tmp_path / "reader.pem").write_bytes(EphemeralKey.from_secret("P-256", secret).to_pkcs8())
    words = ["--trust", where / "iaca-cert.hex", "--transcript", where / "session-transcript-bytes.hex"]
    words += ["--reader-key", tmp_path / "reader.pem", "--request", where / "device-request.hex"]
    return [*map(str, words), "--at", "2021-01-01T00:00:00Z", "--json"]


@pytest.mark.parametrize(
    ("file", "failed"),
    [
        ("iso18013-5-annex-d/device-response.hex", []),
        ("multipaz-negative/annexd-family-name-foe.device-response.hex", ["issuer_data.digest"]),
        ("multipaz-negative/annexd-bad-issuer-signature.device-response.hex", ["issuer_auth.signature"]),
        ("multipaz-negative/annexd-bad-device-mac.device-response.hex", ["device_auth.mac"]),
    ],
)
def test_annex_d_and_what_was_done_to_it(annex_d: list[str], capsys: Output, file: str, failed: list[str]) -> None:
    folder, _, name = file.rpartition("/")
    status = main(["reader", "verify", str(external.folder(folder) / name), *annex_d])
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (status, told["failed"]) == (1 if failed else 0, failed)


def _without_a_session(words: list[str]) -> list[str]:
    """The arguments without what is known of a session."""
    start = words.index("--transcript")
    return [*words[:start], "--issuer-signed", *AT]


def test_issuer_signed_data_is_judged_without_a_session_and_shows_no_value(files: Files, capsys: Output) -> None:
    document = DeviceResponse.decode(HONEST.response).documents[0]
    for data in (document.issuer_signed.encode(), document.encode()):
        words = _without_a_session(files(response=data))
        assert main(words) == 0
        out = capsys.readouterr().out
        assert out.splitlines()[-1].startswith("ISSUER-SIGNED DATA HOLDS")
        assert "3 elements" in out
        assert "Mustermann" not in out
        assert main([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["holds"], found["refusing"], found["doctype"]) == (True, [], document.doctype)
        assert "Mustermann" not in json.dumps(found)


def test_issuer_signed_data_that_does_not_hold_is_refused(files: Files, capsys: Output) -> None:
    forged = Recipe(items={"family_name": {"presented": {"elementValue": "Musterfrau"}}}).present()
    data = DeviceResponse.decode(forged.response).documents[0].issuer_signed.encode()
    assert main(_without_a_session(files(response=data))) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "REFUSED: issuer_data.digest"


def test_a_session_is_asked_for_where_it_is_needed_and_only_there(files: Files, capsys: Output) -> None:
    words = files()
    assert main([*words, "--issuer-signed"]) == 2
    assert "it goes without transcript" in capsys.readouterr().err
    bare = [word for word in _without_a_session(words) if word != "--issuer-signed"]
    assert main(bare) == 2
    assert "--transcript, --request or --unsafe-no-request" in capsys.readouterr().err


def test_a_response_in_a_form_that_is_not_implemented_is_reported(files: Files, capsys: Output) -> None:
    assert main(files(response=encode({"version": "1.0", "zkDocuments": [{}], "status": 0}))) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "NOT SUPPORTED: zkDocuments"


def test_a_document_without_an_element_says_so(files: Files, capsys: Output) -> None:
    nothing = Recipe(disclose=()).present()
    words = [word for word in files(nothing) if word != "--request"]
    words.remove(next(word for word in words if word.endswith("/request")))
    assert main([*words, "--unsafe-no-request"]) == 0
    assert "no element was returned" in capsys.readouterr().out

"""``mdl reader diagnose``: what it prints, and that its exit status is never that of an acceptance."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mdl.cbor import decode_view, encode
from mdl.cli import main
from mdl.mdoc import SessionTranscript
from mdl.session import AnnexCHandover, NfcHandover, OpenId4VpHandover, ReaderEngagementHandover, jwk_thumbprint
from mdl.testing import DeviceAuth, deterministic_ephemeral_key, present, sample_transcript

Output = pytest.CaptureFixture[str]

READER = deterministic_ephemeral_key("reader")
SAMPLE = sample_transcript(READER.public_key)
ENGAGEMENT, READER_KEY, _ = decode_view(SAMPLE.encoded)
JWK = {
    "kty": "EC",
    "crv": "P-256",
    "x": "DxiH5Q4Yx3UrukE2lWCErq8N8bqC9CHLLrAwLz5BmE0",
    "y": "XtLM4-3h5o3HUH0MHVJV0kyq0iBlrBwlh8qEDMZ4-Pc",
}
REDIRECT = OpenId4VpHandover(
    client_id="x509_san_dns:verifier.example",
    nonce="n-0S6_WzA2Mj",
    jwk_thumbprint=jwk_thumbprint(JWK),
    response_uri="https://verifier.example/response",
)
WORDS = ["--nonce", "n-0S6_WzA2Mj", "--response-uri", "https://verifier.example/response"]
STANDS = "The refusal stands: a diagnosis accepts nothing."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jwk").write_text(json.dumps(JWK | {"kid": "1"}))
    (tmp_path / "transcript").write_bytes(SAMPLE.encoded)
    (tmp_path / "reader-key").write_bytes(READER.to_pkcs8())
    return tmp_path


def made_for(folder: Path, session: SessionTranscript, **recipe: Any) -> list[str]:
    """The words that diagnose a response whose device authenticated another session than the reader's."""
    shown = present(disclose={"family_name"}, device_transcript=session, **recipe)
    (folder / "response").write_bytes(shown.response)
    return ["reader", "diagnose", str(folder / "response")]


def files(folder: Path, *names: str, **contents: bytes) -> list[str]:
    """Options named after the files that are their arguments."""
    for name, content in contents.items():
        (folder / name.replace("_", "-")).write_bytes(content)
    wanted = [*names, *(name.replace("_", "-") for name in contents)]
    return [word for name in wanted for word in (f"--{name}", str(folder / name))]


def test_the_input_that_differs_is_named(folder: Path, capsys: Output) -> None:
    words = [*made_for(folder, REDIRECT.transcript()), *files(folder, "transcript", "jwk"), *WORDS]
    assert main([*words, "--client-id", "verifier.example"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        "document 0 (org.iso.18013.5.1.mDL), deviceSignature",
        "  device authentication verifies over: OpenID4VP 1.0, redirect; client_id: with the prefix",
        "    x509_san_dns:",
        "  the reader's transcript differs from it in: DeviceEngagementBytes, EReaderKeyBytes, Handover",
        "",
        "the reader's transcript is: QR code (18013-5)",
        "",
        f"{STANDS} Mend the side that is wrong, and ask for a new",
        "response.",
    ]


def test_json_holds_the_same(folder: Path, capsys: Output) -> None:
    words = [*made_for(folder, REDIRECT.transcript()), *files(folder, "transcript", "jwk"), *WORDS, "--json"]
    assert main([*words, "--client-id", "verifier.example"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["refusal"] == "stands"
    assert told["conclusion"].startswith(STANDS)
    assert told["readers_transcript"] == {"handover": "qr", "title": "QR code (18013-5)", "deviations": []}
    assert told["documents_omitted"] == 0
    (document,) = told["documents"]
    assert document.pop("tried") > 1
    assert document == {
        "document": 0,
        "doctype": "org.iso.18013.5.1.mDL",
        "proof": "deviceSignature",
        "verifies_over": {
            "handover": "openid4vp-1.0",
            "title": "OpenID4VP 1.0, redirect",
            "deviations": [{"input": "client_id", "how": "with the prefix x509_san_dns:"}],
        },
        "differs_in": ["DeviceEngagementBytes", "EReaderKeyBytes", "Handover"],
        "observations": [],
    }
    assert {"handover": "18013-7-annex-c", "missing": ["encryption_info"]} in told["untried"]


def test_a_response_for_the_readers_own_session_is_not_accepted_either(folder: Path, capsys: Output) -> None:
    words = [*made_for(folder, SAMPLE), *files(folder, "transcript")]
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "device authentication verifies over the reader's own transcript: a refusal has another cause" in out
    assert STANDS in out
    assert main([*words, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["documents"][0]["verifies_over"]["handover"] == "given"
    assert "accept" not in told.values()


def test_what_matches_nothing_asks_for_what_is_not_known(folder: Path, capsys: Output) -> None:
    assert main([*made_for(folder, SAMPLE), *WORDS]) == 1
    out = capsys.readouterr().out
    assert "verifies over none of" in out
    assert "\nNot tried, for want of:\n" in out
    assert "  QR code (18013-5)                           --engagement --reader-key-bytes\n" in out
    assert "--encryption-info" in out
    assert STANDS in out
    assert max(map(len, out.splitlines())) <= 100


def test_without_the_key_an_encrypted_answer_is_told_as_not_tried(folder: Path, capsys: Output) -> None:
    words = [*made_for(folder, REDIRECT.transcript()), *WORDS, "--client-id", REDIRECT.client_id]
    assert main(words) == 1
    told = " ".join(capsys.readouterr().out.split())
    assert "verifies over none of" in told
    assert "OpenID4VP 1.0, redirect --jwk (or --jwk-thumbprint)" in told
    assert main([*words, *files(folder, "jwk")]) == 1
    told = capsys.readouterr().out
    assert "verifies over: OpenID4VP 1.0" in told
    assert "--jwk" not in told


def test_the_messages_of_a_session_in_person(folder: Path, capsys: Output) -> None:
    slices = {"device_engagement_bytes": ENGAGEMENT.raw, "e_reader_key_bytes": READER_KEY.raw}
    known = files(folder, engagement=ENGAGEMENT.content, reader_key_bytes=READER_KEY.raw)
    nfc = NfcHandover(**slices, handover_select=b"select", handover_request=b"\x00\xffrequest").transcript()
    more = files(folder, nfc_select=b"select".hex().encode(), nfc_request=b"\x00\xffrequest")
    assert main([*made_for(folder, nfc), *known, *more]) == 1
    assert "verifies over: NFC, negotiated handover (18013-5)\n" in capsys.readouterr().out
    annex_a = ReaderEngagementHandover(**slices, reader_engagement=b"\xa1\x00\x631.1").transcript()
    more = files(folder, reader_engagement=b"\xa1\x00\x631.1")
    assert main([*made_for(folder, annex_a), *known, *more]) == 1
    assert "verifies over: website with a REST API (18013-7 Annex A)\n" in capsys.readouterr().out


def test_the_engagement_may_be_the_text_of_the_qr_code(folder: Path, capsys: Output) -> None:
    text = b"mdoc:" + base64.urlsafe_b64encode(ENGAGEMENT.content).rstrip(b"=")
    words = [*made_for(folder, SAMPLE), *files(folder, "reader-key", engagement=text)]
    assert main(words) == 1
    assert "verifies over: QR code (18013-5)\n" in capsys.readouterr().out


def test_a_mac_needs_the_reader_key(folder: Path, capsys: Output) -> None:
    words = [*made_for(folder, SAMPLE, device_auth=DeviceAuth.MAC), *files(folder, engagement=ENGAGEMENT.raw)]
    assert main(words) == 1
    assert "reader_key.missing" in capsys.readouterr().out
    assert main([*words, *files(folder, "reader-key")]) == 1
    assert "verifies over: QR code (18013-5)\n" in capsys.readouterr().out


def test_the_encryption_info_is_the_text_as_sent(folder: Path, capsys: Output) -> None:
    handover = AnnexCHandover(encryption_info="gmVkY2FwaaA", origin="https://verifier.example")
    words = [*made_for(folder, handover.transcript()), "--origin", "https://verifier.example"]
    assert main([*words, *files(folder, encryption_info=b"gmVkY2FwaaA\n")]) == 1
    assert "verifies over: ISO mdoc over the DC API (18013-7 Annex C)\n" in capsys.readouterr().out
    assert main([*words, *files(folder, encryption_info=b"\x82edcapi\xa0\xff")]) == 3
    assert "--encryption-info" in capsys.readouterr().err


def test_the_thumbprint_may_stand_for_the_key(folder: Path, capsys: Output) -> None:
    words = [*made_for(folder, REDIRECT.transcript()), *WORDS, "--client-id", REDIRECT.client_id]
    assert main([*words, *files(folder, jwk_thumbprint=jwk_thumbprint(JWK).hex().encode())]) == 1
    assert "verifies over: OpenID4VP 1.0, redirect\n" in capsys.readouterr().out


def test_every_option_reaches_the_doctor(folder: Path, capsys: Output) -> None:
    known = files(folder, "jwk", engagement=ENGAGEMENT.raw, reader_key_bytes=READER_KEY.raw, encryption_info=b"gmVk")
    known += files(folder, nfc_select=b"\x91s", nfc_request=b"\x91r", reader_engagement=b"\xa1\x00\x631.1")
    known += [*WORDS, "--client-id", "c", "--origin", "o", "--mdoc-nonce", "m", "--endpoint", "e"]
    unknown = SessionTranscript(encode([None, None, "unknown"]))
    assert main([*made_for(folder, unknown), *known, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["untried"] == []
    assert told["documents"][0]["verifies_over"] is None


# --- what does not decode ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    ["transcript", "engagement", "reader-key", "reader-key-bytes", "reader-engagement", "jwk", "jwk-thumbprint"],
)
@pytest.mark.parametrize("content", [b"", b"\x80", b"\xff", b"hello, world", b"[1]", b'{"a":' * 5000])
def test_an_input_that_does_not_decode_is_named_and_status_3(
    folder: Path, capsys: Output, option: str, content: bytes
) -> None:
    words = made_for(folder, SAMPLE)
    (folder / "input").write_bytes(content)
    assert main([*words, f"--{option}", str(folder / "input")]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("mdl: ")
    assert err.count("\n") == 1
    assert f"--{option}" in err


def test_a_jwk_that_is_no_public_key_is_refused(folder: Path, capsys: Output) -> None:
    assert main([*made_for(folder, SAMPLE), *files(folder, jwk=b'{"kty": "RSA"}')]) == 3
    assert "--jwk: the JWK is no public key" in capsys.readouterr().err


def test_an_endless_text_is_refused(folder: Path, capsys: Output) -> None:
    assert main([*made_for(folder, SAMPLE), "--nonce", "n" * 70_000]) == 3
    assert "--nonce" in capsys.readouterr().err
    endless = encode([None, None, bytes(70_000)])
    assert main([*made_for(folder, SAMPLE), *files(folder, transcript=endless)]) == 3
    assert "--transcript" in capsys.readouterr().err


def test_a_response_that_does_not_decode_is_named(folder: Path, capsys: Output) -> None:
    words = made_for(folder, SAMPLE)
    (folder / "response").write_bytes(b"\xa0")
    assert main(words) == 3
    assert "RESPONSE" in capsys.readouterr().err
    assert main(["reader", "diagnose", "--nonce", "n"]) == 2


def test_a_document_type_cannot_command_the_terminal(folder: Path, capsys: Output) -> None:
    evil = "\x1b[2J\u202e"
    assert main(made_for(folder, SAMPLE, document_doctype=f"d{evil}")) == 1
    out = capsys.readouterr().out
    assert "document 0" in out
    assert not [char for char in out if not char.isprintable() and char != "\n"]

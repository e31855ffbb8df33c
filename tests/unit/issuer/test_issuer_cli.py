"""``mdl issuer``: what it makes, what it refuses, and that a refusal leaves everything as it was."""

import contextlib
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from issuer import folder as folders
from issuer import keystore
from issuer.authority import Authority
from issuer.cli import parse_device_key
from issuer.custody import open_softhsm
from issuer.folder import LOCK_FILE, State, lock, output_file, write_file
from mdl.cbor import encode
from mdl.cli import main
from mdl.cose import encode_key
from mdl.errors import DecodeError, SigningError, UnsupportedError
from mdl.keys import EphemeralKey
from mdl.mdoc import IssuerSigned
from mdl.pki import Certificate, Crl, decode_csr
from tests.authorities import INIT, URL, Outcome, content, device_key, licence, public_key_file, require_softhsm
from tests.parts import look_again

Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        look_again()
        status = main([*map(str, words)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


@pytest.fixture
def issue(run: Run, tmp_path: Path) -> Callable[..., Outcome]:
    """Issues a licence into ``licence.cbor``, replacing an earlier one, with whatever is wrong."""

    def issue(authority: Path, *words: str | Path, record: Path | None = None, key: Path | None = None) -> Outcome:
        out = () if "--out" in words else ("--out", tmp_path / "licence.cbor", "--replace")
        return run(
            *("issuer", "issue", record or licence(tmp_path), "--dir", authority),
            *("--device-key", key or public_key_file(tmp_path), *out, *words),
        )

    return issue


def root_of(folder: Path) -> Certificate:
    return Certificate.decode_any((folder / "iaca.pem").read_bytes())


# --- init ------------------------------------------------------------------------------------------------------------


@pytest.mark.hsm
def test_an_authority_is_founded(run: Run, tmp_path: Path) -> None:
    require_softhsm()
    folder = tmp_path / "authority"
    outcome = run("issuer", "init", "--dir", folder, *INIT, "--json")
    assert (outcome.status, outcome.err) == (0, "")
    root = root_of(folder)
    assert outcome.json["iaca"]["serial"] == f"{root.serial:x}"
    assert outcome.json["iaca"]["certificate"] == str(folder / "iaca.pem")
    assert str(root.subject) == "C=XU, ST=XU-EX, O=Utopia Motor Vehicles, CN=Utopia Motor Vehicles IACA"
    assert root.crl_uris == (URL,)
    assert root.not_after - root.not_before == timedelta(days=3285)
    crl = Crl.decode((folder / "iaca.crl").read_bytes())
    crl.verify_signature(root.public_key)
    assert (crl.number, dict(crl.revoked)) == (1, {})
    assert outcome.json["crl"]["number"] == 1
    assert (folder / "crl" / "000001.crl").read_bytes() == crl.der


@pytest.mark.hsm
def test_the_secrets_of_a_founding_are_for_the_owner_only(template: Path) -> None:
    pins = [(template / "token" / name).read_text().strip() for name in ("pin", "so-pin")]
    assert all(len(pin) == 32 for pin in pins)
    for path in (template, *template.rglob("*")):
        if path.is_file():
            text = path.read_bytes()
            if any(pin.encode() in text for pin in pins):
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
                assert path.name in ("pin", "so-pin")
            if "token" in path.parts:
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert b"PRIVATE KEY" not in text
    assert stat.S_IMODE((template / "token").stat().st_mode) == 0o700


@pytest.mark.hsm
def test_the_pin_may_come_from_the_environment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_softhsm()
    folder = tmp_path / "authority"
    monkeypatch.setenv("THE_PIN", "only-in-the-environment")
    assert run("issuer", "init", "--dir", folder, *INIT, "--pin-env", "THE_PIN").status == 0
    assert not (folder / "token" / "pin").exists()
    assert run("issuer", "ds", "--dir", folder).status == 0  # where it comes from is remembered
    assert not any(b"only-in-the" in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    monkeypatch.delenv("THE_PIN")
    assert "THE_PIN" in run("issuer", "ds", "--dir", folder).error(4, "signing.secret_missing")


@pytest.mark.hsm
def test_a_second_founding_in_the_same_folder_is_refused(run: Run, authority: Path) -> None:
    before = content(authority)
    run("issuer", "init", "--dir", authority, *INIT).error(2, "authority.exists")
    assert content(authority) == before


def test_a_folder_with_other_things_in_it_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("four years of work")
    run("issuer", "init", "--dir", tmp_path, *INIT).error(2, "authority.occupied")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--country", "xu"), 1, "build.subject"),
        (("--country", "Utopia"), 1, "build.subject"),
        (("--common-name", "n" * 65), 1, "build.subject"),
        (("--crl-url", "ftp://mdl.example/iaca.crl"), 2, "publish.address"),
        (("--contact-uri", "not a URI"), 1, "build.contact"),
        (("--days", "9000"), 1, "build.validity"),
        (("--crl-days", "91"), 2, "authority.crl_days"),
        (("--doctype", "org.example.badge"), 1, "authority.doctype"),
        (("--curve", "Ed25519"), 2, "cli.usage"),
        (("--days", "0"), 2, "cli.usage"),
        (("--days", "-1"), 2, "cli.usage"),
        (("--pin-env", "A", "--pin-file", "b"), 2, "cli.usage"),
        (("--token-uri", "pkcs11:token=t?module-path=/no/such/module.so"), 4, "signing.module_missing"),
        (("--token-uri", f"pkcs11:token=t?module-path={__file__}"), 4, "signing.module_invalid"),
        (("--token-uri", "pkcs11:token=t;object=k?module-path=/m.so"), 4, "signing.uri_invalid"),
        (("--token-uri", "pkcs11:token=t?module-path=/m.so&pin-value=1234"), 4, "signing.uri_invalid"),
        (("--token-uri", "file:/key.pem"), 4, "signing.uri_invalid"),
    ],
)
def test_what_makes_no_authority_leaves_no_folder(
    run: Run, tmp_path: Path, words: tuple[str, ...], status: int, code: str
) -> None:
    line = run("issuer", "init", "--dir", tmp_path / "authority", *INIT, *words).error(status, code)
    assert "1234" not in line
    assert list(tmp_path.iterdir()) == []


def test_somebody_must_be_reachable(run: Run, tmp_path: Path) -> None:
    words = ("--country", "XU", "--crl-url", URL)
    run("issuer", "init", "--dir", tmp_path / "authority", *words).error(1, "authority.contact")
    assert list(tmp_path.iterdir()) == []


def test_without_softhsm_nothing_is_made(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystore, "_SOFTHSM_PLACES", ())
    line = run("issuer", "init", "--dir", tmp_path / "authority", *INIT).error(4, "signing.module_missing")
    assert "install softhsm2" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.hsm
@pytest.mark.parametrize("pin", ["abc", ""])
def test_a_token_that_refuses_its_pin_leaves_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pin: str
) -> None:
    require_softhsm()
    monkeypatch.setenv("THE_PIN", pin)
    outcome = run("issuer", "init", "--dir", tmp_path / "authority", *INIT, "--pin-env", "THE_PIN")
    assert outcome.status == 4
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# --- a token of one's own --------------------------------------------------------------------------------------------


@pytest.fixture
def own_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token that was there before; its URI. The PIN is in the environment."""
    require_softhsm()
    uri = keystore.init_softhsm_token(
        tmp_path / "hsm", f"own-{tmp_path.name}"[-32:], so_pin="so-pin", user_pin="the-pin"
    )
    for name, value in keystore.softhsm_environment(tmp_path / "hsm").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("THE_PIN", "the-pin")
    monkeypatch.setenv("WRONG_PIN", "wrong-pin")
    return uri


def labels(uri: str) -> list[str]:
    return [key.label for key in keystore.list_keys(uri, secret=lambda _prompt: "the-pin")]


@pytest.mark.hsm
def test_the_keys_may_lie_in_any_token(run: Run, tmp_path: Path, own_token: str) -> None:
    words = ("--dir", tmp_path / "authority", "--pin-env", "THE_PIN")
    assert run("issuer", "init", *words, *INIT, "--token-uri", own_token, "--key-label", "root 2026").status == 0
    assert run("issuer", "ds", *words, "--curve", "P-384").status == 0
    assert sorted(labels(own_token)) == ["ds-1", "root 2026"]
    assert not (tmp_path / "authority" / "token").exists()


@pytest.mark.hsm
def test_a_root_key_of_somebody_else_is_never_taken(run: Run, tmp_path: Path, own_token: str) -> None:
    words = (*INIT, "--token-uri", own_token, "--pin-env", "THE_PIN")
    assert run("issuer", "init", "--dir", tmp_path / "first", *words).status == 0
    run("issuer", "init", "--dir", tmp_path / "second", *words).error(4, "signing.key_exists")
    assert not (tmp_path / "second").exists()


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--pin-env", "WRONG_PIN"), "signing.pin_incorrect"),
        (("--pin-file", "/no/such/file"), "signing.secret_missing"),
        ((), "signing.secret_missing"),
    ],
)
def test_a_token_that_does_not_open_leaves_nothing(
    run: Run, tmp_path: Path, own_token: str, words: tuple[str, ...], code: str
) -> None:
    run("issuer", "init", "--dir", tmp_path / "authority", *INIT, "--token-uri", own_token, *words).error(4, code)
    assert not (tmp_path / "authority").exists()


@pytest.mark.hsm
def test_a_founding_that_was_broken_off_goes_on_with_its_key(
    run: Run, tmp_path: Path, own_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--dir", tmp_path / "authority", "--pin-env", "THE_PIN")
    founding = (*words, *INIT, "--token-uri", own_token)
    with monkeypatch.context() as patch:
        patch.setattr("issuer.certificate_files.write_file", _fail_at("iaca.pem"))
        run("issuer", "init", *founding).error(4, "authority.unwritable")
    assert labels(own_token) == ["iaca"]
    run("issuer", "ds", *words).error(3, "authority.unfinished")
    assert run("issuer", "init", *founding).status == 0
    assert labels(own_token) == ["iaca"]
    assert run("issuer", "ds", *words).status == 0


@pytest.mark.hsm
def test_a_founding_goes_on_only_as_it_began(
    run: Run, tmp_path: Path, own_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    founding = ("--dir", tmp_path / "authority", "--pin-env", "THE_PIN", *INIT, "--token-uri", own_token)
    with monkeypatch.context() as patch:
        patch.setattr("issuer.certificate_files.write_file", _fail_at("iaca.pem"))
        run("issuer", "init", *founding).error(4, "authority.unwritable")
    run("issuer", "init", *founding, "--curve", "P-384").error(4, "signing.key_exists")
    assert run("issuer", "init", *founding, "--key-label", "another").status == 0
    assert labels(own_token) == ["another", "iaca"]


@pytest.mark.hsm
def test_a_token_whose_file_was_emptied_is_mended(run: Run, authority: Path) -> None:
    """A crash or a full disk at the wrong moment leaves SoftHSM's own file empty."""
    (file,) = (authority / "token" / "tokens").glob("*/token.object")
    for left in (b"", file.read_bytes()[:100]):
        file.write_bytes(left)
        assert run("issuer", "crl", "--dir", authority).status == 0
    file.unlink()
    assert run("issuer", "ds", "--dir", authority).status == 0


def _fail_at(name: str) -> Callable[..., None]:
    """The disk is full just before a file of that name."""

    def write(path: Path, content: bytes, *, private: bool = False) -> None:
        if path.name == name:
            raise SigningError(f"cannot write {path}: No space left on device", code="authority.unwritable")
        write_file(path, content, private=private)

    return write


@pytest.mark.hsm
@pytest.mark.parametrize("name", ["authority.json", "so-pin", "pin", "iaca.pem", "000001.crl", "iaca.crl"])
def test_a_disk_that_is_full_leaves_nothing_of_a_founding(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    require_softhsm()
    for module in ("workplace", "certificate_files", "custody"):
        monkeypatch.setattr(f"issuer.{module}.write_file", _fail_at(name))
    run("issuer", "init", "--dir", tmp_path / "authority", *INIT).error(4, "authority.unwritable")
    assert list(tmp_path.iterdir()) == []


# --- ds --------------------------------------------------------------------------------------------------------------


@pytest.mark.hsm
def test_a_document_signer_is_certified_by_the_root(run: Run, authority: Path) -> None:
    outcome = run("issuer", "ds", "--dir", authority, "--json")
    assert (outcome.status, outcome.json["key"]) == (0, "ds-2")
    certificate = Certificate.decode_any((authority / "ds-2.pem").read_bytes())
    assert outcome.json["serial"] == f"{certificate.serial:x}"
    root = root_of(authority)
    certificate.verify_signature(root.public_key)
    assert certificate.issuer == root.subject
    assert certificate.not_after - certificate.not_before == timedelta(days=455)
    assert decode_csr((authority / "ds-2.csr").read_bytes()).public_key == certificate.public_key
    first = Certificate.decode_any((authority / "ds-1.pem").read_bytes())
    assert certificate.subject.common_name == "Utopia Motor Vehicles DS 2"
    assert first.public_key != certificate.public_key


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--days", "456"), 2, "authority.signer_days"),
        (("--common-name", "Utopia Motor Vehicles DS 1"), 2, "authority.name_taken"),
        (("--common-name", "Utopia Motor Vehicles IACA"), 2, "authority.name_taken"),
        (("--common-name", "n" * 65), 1, "build.subject"),
        (("--common-name", ""), 1, "build.subject"),
        (("--curve", "X25519"), 2, "cli.usage"),
    ],
)
def test_what_makes_no_document_signer_changes_nothing(
    run: Run, authority: Path, words: tuple[str, ...], status: int, code: str
) -> None:
    before = content(authority)
    run("issuer", "ds", "--dir", authority, *words).error(status, code)
    assert content(authority) == before


@pytest.mark.hsm
def test_a_document_signer_does_not_outlive_its_root(run: Run, tmp_path: Path) -> None:
    require_softhsm()
    folder = tmp_path / "authority"
    assert run("issuer", "init", "--dir", folder, *INIT, "--days", "400").status == 0
    run("issuer", "ds", "--dir", folder).error(2, "authority.signer_outlives_root")
    assert run("issuer", "ds", "--dir", folder, "--days", "399").status == 0


@pytest.mark.hsm
def test_what_a_broken_off_attempt_left_is_not_used_again(
    run: Run, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("issuer.certificate_files.write_file", _fail_at("ds-2.pem"))
        run("issuer", "ds", "--dir", authority).error(4, "authority.unwritable")
    assert not (authority / "ds-2.pem").exists()
    outcome = run("issuer", "ds", "--dir", authority, "--json")
    assert outcome.json["key"] == "ds-3"
    assert "DS 3" in outcome.json["subject"]
    left = Certificate.decode_any((authority / "ds-2.pem").read_bytes())  # the store had it
    # It was signed, so it can be revoked.
    assert run("issuer", "crl", "--dir", authority, "--revoke", f"{left.serial:x}").status == 0


# --- issue -----------------------------------------------------------------------------------------------------------


@pytest.mark.hsm
def test_a_licence_is_issued(issue: Callable[..., Outcome], authority: Path, tmp_path: Path) -> None:
    outcome = issue(authority, "--json", "--valid-days", "7", "--at", _soon(authority))
    assert (outcome.status, outcome.err) == (0, "")
    file = tmp_path / "licence.cbor"
    issued = IssuerSigned.decode(file.read_bytes())
    mso = issued.security_object()
    assert mso.device_public_key == device_key().public_key
    assert mso.validity.valid_until - mso.validity.valid_from == timedelta(days=7)
    assert {identifier for _, identifier, _ in issued.elements()} == set(json.loads(licence(tmp_path).read_text()))
    assert outcome.json["elements"] == len([*issued.elements()])
    assert outcome.json["bytes"] == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob(".*")] == []


def _soon(authority: Path) -> str:
    moment = Certificate.decode_any((authority / "ds-1.pem").read_bytes()).not_before
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.mark.hsm
def test_what_is_printed_holds_nothing_of_the_licence(issue: Callable[..., Outcome], authority: Path) -> None:
    for words in ((), ("--json",)):
        outcome = issue(authority, *words)
        assert outcome.status == 0
        assert not any(value in outcome.out for value in ("Sample", "Ada", "1990", "EX-000001"))


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"birth_date": "10.12.1990"}, "record.date"),
        ({"portrait": "/etc/hostname"}, "record.file_path"),
        ({"portrait": "no-such.jpg"}, "record.file"),
        ({"shoe_size": 44}, "record.element"),
        ({"portrait": None}, "issuance.element.missing"),
        ({"issuing_country": "XV"}, "issuance."),
        ({"issuing_jurisdiction": "XU-YY"}, "issuance."),
        ({"age_over_21": False}, "issuance."),
    ],
)
def test_a_record_that_may_not_be_issued_is_refused(
    issue: Callable[..., Outcome], authority: Path, tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    outcome = issue(authority, record=licence(tmp_path, **changes))
    assert (outcome.status, outcome.out) == (1, "")
    assert f"[{code}" in outcome.err
    assert not any(value in outcome.err for value in ("10.12.1990", "/etc/hostname", "no-such", "XV", "XU-YY"))
    assert not (tmp_path / "licence.cbor").exists()


@pytest.mark.hsm
def test_another_document_type_is_not_this_authoritys(
    issue: Callable[..., Outcome], authority: Path, tmp_path: Path
) -> None:
    record = tmp_path / "proof.json"
    record.write_text(json.dumps({"doctype": "eu.europa.ec.av.1", "age_over_18": True}))
    issue(authority, record=record).error(1, "authority.doctype")


@pytest.mark.hsm
def test_everything_that_is_wrong_with_a_record_is_told(
    issue: Callable[..., Outcome], authority: Path, tmp_path: Path
) -> None:
    record = licence(tmp_path, family_name=None, given_name=None, document_number=None)
    outcome = issue(authority, record=record)
    assert outcome.status == 1
    lines = outcome.err.splitlines()
    assert [line.split(":")[1].strip() for line in lines[:-1]] == [
        f"org.iso.18013.5.1/{name}" for name in ("family_name", "given_name", "document_number")
    ]
    assert "nothing was issued: 3 things" in lines[-1]
    outcome = issue(authority, "--json", record=record)
    assert outcome.status == 1
    assert [one["path"] for one in outcome.json["error"]["violations"]] == [
        f"org.iso.18013.5.1/{name}" for name in ("family_name", "given_name", "document_number")
    ]


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("text", "code"),
    [(b"{", "record.json"), (b"\xff{", "record.encoding"), (b"", "input.empty"), (b"[" * 9999, "record.depth")],
    ids=["not JSON", "not UTF-8", "empty", "too deep"],
)
def test_what_is_no_record_at_all_does_not_decode(
    issue: Callable[..., Outcome], authority: Path, tmp_path: Path, text: bytes, code: str
) -> None:
    (tmp_path / "bad.json").write_bytes(text)
    issue(authority, record=tmp_path / "bad.json").error(3, code)
    issue(authority, record=tmp_path / "missing.json").error(3, "input.unreadable")


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--at", "2020-01-01T00:00:00Z"), "issuance.signed_outside_certificate"),
        (("--valid-days", "456"), "issuance.outlives_certificate"),
    ],
)
def test_a_validity_outside_the_document_signers_is_refused(
    issue: Callable[..., Outcome], authority: Path, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    outcome = issue(authority, *words, "--json")
    assert (outcome.status, outcome.json["error"]["code"]) == (1, code)
    assert outcome.json["error"]["violations"][0]["code"] == code
    assert not (tmp_path / "licence.cbor").exists()


@pytest.mark.hsm
def test_an_older_file_survives_a_refusal(issue: Callable[..., Outcome], authority: Path, tmp_path: Path) -> None:
    (tmp_path / "licence.cbor").write_bytes(b"yesterday's")
    assert issue(authority, "--valid-days", "456").status == 1
    assert (tmp_path / "licence.cbor").read_bytes() == b"yesterday's"
    assert issue(authority).status == 0
    assert (tmp_path / "licence.cbor").read_bytes() != b"yesterday's"


@pytest.mark.hsm
@pytest.mark.parametrize("out", ["no/such/folder/x.cbor", ".", "/dev/null", "/proc/x.cbor"])
def test_an_output_that_cannot_be_written_is_found_before_anything_is_signed(
    issue: Callable[..., Outcome], authority: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, out: str
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("the token was opened")

    monkeypatch.setattr("issuer.custody.open_signer", never)
    monkeypatch.chdir(tmp_path)
    issue(authority, "--out", out).error(4, "authority.unwritable")
    assert Path("/dev/null").is_char_device()


def test_a_device_key_comes_in_many_forms() -> None:
    for curve in ("P-256", "P-384", "P-521", "brainpoolP256r1", "Ed25519", "Ed448"):
        key = device_key(curve=curve).public_key
        cose = encode(encode_key(key))
        for form in (key.pem, b"\n" + key.pem, key.spki, key.spki.hex().encode(), cose, cose.hex().encode() + b"\n"):
            assert parse_device_key(form) == key


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (device_key().to_pkcs8(password=None), "device_key.private"),
        (device_key().to_pkcs8(password=b"secret"), "device_key.private"),
        (encode(encode_key(device_key().public_key) | {-4: bytes(32)}), "device_key.private"),
        (b"root:x:0:0", "device_key.form"),
        (b"\xff\xd8\xff\xe0", "device_key.form"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "certificate.malformed"),
        (encode([1, 2]), "device_key.several"),
        (encode({1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}), "key.malformed"),
        (device_key().public_key.spki[:-1], "key.malformed"),
    ],
)
def test_what_is_no_device_key_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_device_key(data)
    assert caught.value.code == code


def _pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


def test_a_device_key_of_another_kind_is_not_supported() -> None:
    for pem in (_pem(ec.generate_private_key(ec.SECP256K1())), _pem(rsa.generate_private_key(65537, 2048))):
        with pytest.raises(UnsupportedError):
            parse_device_key(pem)


@pytest.mark.hsm
def test_a_device_key_that_cannot_sign_gets_no_licence(
    issue: Callable[..., Outcome], authority: Path, tmp_path: Path
) -> None:
    key = public_key_file(tmp_path, EphemeralKey.generate("X25519").public_key)
    issue(authority, key=key).error(1, "issuance.device_key")
    signer = Certificate.decode_any((authority / "ds-1.pem").read_bytes())
    issue(authority, key=public_key_file(tmp_path, signer.public_key)).error(1, "issuance.device_key")


@pytest.mark.hsm
def test_without_a_document_signer_nothing_is_issued(run: Run, issue: Callable[..., Outcome], tmp_path: Path) -> None:
    require_softhsm()
    folder = tmp_path / "authority"
    assert run("issuer", "init", "--dir", folder, *INIT).status == 0
    assert "mdl issuer ds" in issue(folder).error(2, "authority.no_signer")


# --- crl -------------------------------------------------------------------------------------------------------------


def serial_of(authority: Path, name: str = "ds-1.pem") -> str:
    return f"{Certificate.decode_any((authority / name).read_bytes()).serial:x}"


@pytest.mark.hsm
def test_each_crl_has_the_next_number(run: Run, authority: Path) -> None:
    for number in (2, 3):
        outcome = run("issuer", "crl", "--dir", authority, "--json", "--days", "90")
        assert (outcome.status, outcome.json["number"]) == (0, number)
        crl = Crl.decode((authority / "iaca.crl").read_bytes())
        assert crl.number == number
        assert crl.next_update is not None
        assert crl.next_update - crl.this_update == timedelta(days=90)
        assert (authority / "crl" / f"{number:06}.crl").read_bytes() == crl.der
    assert len(list((authority / "crl").iterdir())) == 3


@pytest.mark.hsm
def test_what_is_revoked_stays_revoked(run: Run, issue: Callable[..., Outcome], authority: Path) -> None:
    serial = serial_of(authority)
    with_colons = ":".join(f"{int(serial, 16):040x}"[start : start + 2] for start in range(0, 40, 2)).upper()
    outcome = run("issuer", "crl", "--dir", authority, "--revoke", with_colons, "--json")
    assert outcome.json["revoked"] == [serial]
    revoked = Crl.decode((authority / "iaca.crl").read_bytes()).revoked
    assert run("issuer", "ds", "--dir", authority).status == 0
    other = serial_of(authority, "ds-2.pem")
    outcome = run("issuer", "crl", "--dir", authority, "--revoke", serial, f"0x{other}", "--json")
    assert sorted(outcome.json["revoked"]) == sorted([serial, other])
    assert Crl.decode((authority / "iaca.crl").read_bytes()).revoked[int(serial, 16)] == revoked[int(serial, 16)]
    issue(authority).error(1, "authority.signer_revoked")


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("--revoke", "123456"), 5, "authority.serial_unknown"),
        (("--revoke", "xyz"), 2, "cli.usage"),
        (("--revoke", ""), 2, "cli.usage"),
        (("--revoke", "1" * 41), 2, "cli.usage"),
        (("--days", "91"), 2, "authority.crl_days"),
    ],
)
def test_a_crl_that_is_not_made_takes_no_number(
    run: Run, authority: Path, words: tuple[str, ...], status: int, code: str
) -> None:
    before = content(authority)
    run("issuer", "crl", "--dir", authority, *words).error(status, code)
    assert content(authority) == before


@pytest.mark.hsm
def test_a_clock_that_went_back_is_noticed(run: Run, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = content(authority)
    early = root_of(authority).not_before - timedelta(minutes=5)
    monkeypatch.setattr("issuer.cli.certificates.now", lambda: early)
    run("issuer", "crl", "--dir", authority).error(5, "authority.clock")
    assert content(authority) == before


@pytest.mark.hsm
def test_who_waited_for_another_process_looks_at_the_clock_again(
    run: Run, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the time would lie before the CRL that the other one has published meanwhile."""
    held: list[bool] = []

    def clock() -> datetime:
        descriptor = os.open(authority / LOCK_FILE, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.append(True)
        else:
            held.append(False)
        finally:
            os.close(descriptor)
        return datetime.now(UTC).replace(microsecond=0)

    monkeypatch.setattr("issuer.cli.certificates.now", clock)
    assert run("issuer", "crl", "--dir", authority).status == 0
    assert held
    assert all(held)


@pytest.mark.hsm
def test_a_crl_that_is_missing_is_written_again(run: Run, authority: Path) -> None:
    serial = serial_of(authority)
    assert run("issuer", "crl", "--dir", authority, "--revoke", serial).status == 0
    last = authority / "crl" / "000002.crl"
    was = last.read_bytes()
    last.unlink()
    (authority / "iaca.crl").unlink()
    assert run("issuer", "crl", "--dir", authority, "--json").json["revoked"] == [serial]
    assert last.read_bytes() == was


@pytest.mark.hsm
@pytest.mark.parametrize("damage", ["malformed", "another number", "another root's"])
def test_revocations_are_never_forgotten(run: Run, authority: Path, tmp_path: Path, damage: str) -> None:
    assert run("issuer", "crl", "--dir", authority, "--revoke", serial_of(authority)).status == 0
    last = authority / "crl" / "000002.crl"
    if damage == "malformed":
        last.write_bytes(last.read_bytes()[:-1])
    elif damage == "another number":
        shutil.copy(authority / "crl" / "000001.crl", last)
    else:
        assert run("issuer", "init", "--dir", tmp_path / "other", *INIT).status == 0
        assert run("issuer", "crl", "--dir", tmp_path / "other").status == 0
        shutil.copy(tmp_path / "other" / "iaca.crl", last)
    before = content(authority)
    outcome = run("issuer", "crl", "--dir", authority)
    assert (outcome.status, outcome.err.count("\n")) == (3, 1)
    assert "000002.crl" in outcome.err
    assert content(authority) == before


@pytest.mark.hsm
def test_a_crl_that_a_crash_left_behind_counts(run: Run, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serial = serial_of(authority)
    with monkeypatch.context() as patch:
        patch.setattr("issuer.certificate_files.write_file", _fail_at("iaca.crl"))
        run("issuer", "crl", "--dir", authority, "--revoke", serial).error(4, "authority.unwritable")
    kept = (authority / "crl" / "000002.crl").read_bytes()
    outcome = run("issuer", "crl", "--dir", authority, "--json")
    assert (outcome.json["number"], outcome.json["revoked"]) == (3, [serial])
    assert (authority / "crl" / "000002.crl").read_bytes() == kept


# --- a custodian that fails ------------------------------------------------------------------------------------------


def wrong_pin(authority: Path) -> None:
    (authority / "token" / "pin").write_text("00000000\n")


def no_pin(authority: Path) -> None:
    (authority / "token" / "pin").unlink()


def no_token(authority: Path) -> None:
    shutil.rmtree(authority / "token")


def empty_token(authority: Path) -> None:
    shutil.rmtree(authority / "token" / "tokens")
    (authority / "token" / "tokens").mkdir()


def no_module(authority: Path) -> None:
    state = authority / "authority.json"
    state.write_text(state.read_text().replace("libsofthsm2", "libnosuch"))


def moved(authority: Path) -> None:
    file = authority / "token" / "softhsm2.conf"
    file.write_text(file.read_text().replace(str(authority), "/somewhere/else"))


CUSTODIAN_FAILURES: list[tuple[Callable[[Path], None], str, str]] = [
    (wrong_pin, "signing.pin_incorrect", "check it"),
    (no_pin, "signing.secret_missing", "token/pin"),
    (no_token, "signing.token_missing", "restore it"),
    (empty_token, "signing.token_missing", "connect or create it"),
    (no_module, "signing.module_missing", "install it"),
    (moved, "authority.moved", "softhsm2.conf"),
]


@pytest.mark.hsm
@pytest.mark.parametrize(("damage", "code", "advice"), CUSTODIAN_FAILURES)
@pytest.mark.parametrize("verb", ["ds", "crl", "issue"])
def test_a_custodian_that_fails_says_what_to_do_and_nothing_is_issued(  # noqa: PLR0917
    run: Run,
    issue: Callable[..., Outcome],
    authority: Path,
    tmp_path: Path,
    verb: str,
    damage: Callable[[Path], None],
    code: str,
    advice: str,
) -> None:
    damage(authority)
    before = content(authority)
    outcome = issue(authority) if verb == "issue" else run("issuer", verb, "--dir", authority)
    line = outcome.error(4, code)
    assert advice in line
    assert "00000000" not in line
    assert content(authority) == before
    assert not (tmp_path / "licence.cbor").exists()


@pytest.mark.hsm
def test_the_token_of_another_authority_is_noticed(
    run: Run, issue: Callable[..., Outcome], template: Path, authority: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    assert run("issuer", "init", "--dir", other, *INIT).status == 0
    assert run("issuer", "ds", "--dir", other).status == 0
    for name in ("iaca.pem", "ds-1.pem", "crl", "iaca.crl", "authority.db"):
        shutil.rmtree(other / name) if (other / name).is_dir() else (other / name).unlink()
        (shutil.copytree if (authority / name).is_dir() else shutil.copy)(authority / name, other / name)
    before = content(other)
    run("issuer", "crl", "--dir", other).error(4, "signing.wrong_key")
    run("issuer", "ds", "--dir", other).error(4, "signing.wrong_key")
    issue(other).error(4, "signing.wrong_key")
    assert content(other) == before


@pytest.mark.hsm
def test_a_document_signer_of_another_root_is_noticed(
    run: Run, issue: Callable[..., Outcome], authority: Path, tmp_path: Path
) -> None:
    assert run("issuer", "init", "--dir", tmp_path / "other", *INIT).status == 0
    assert run("issuer", "ds", "--dir", tmp_path / "other").status == 0
    shutil.copy(tmp_path / "other" / "ds-1.pem", authority / "ds-1.pem")
    issue(authority).error(3, "authority.file_changed")


# --- the folder ------------------------------------------------------------------------------------------------------


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("damage", "path"),
    [
        (lambda _: b"", ""),
        (lambda _: b"{", ""),
        (lambda _: b"[]", ""),
        (lambda _: b"\xff", ""),
        (lambda _: b"[" * 100_000, ""),
        (lambda text: text[: len(text) // 2], ""),
        (lambda text: text.replace(b'"version": 2', b'"version": 1'), "version"),
        (lambda text: text.replace(b'"version": 2', b'"version": 3'), "version"),
        (lambda text: text.replace(b'"ready": true,', b""), "ready"),
        (lambda text: text.replace(b'"ready": true', b'"ready": 1'), "ready"),
        (lambda text: text.replace(b'"ready": true', b'"ready": true, "ready": true'), ""),
        (lambda text: text.replace(b'"ready": true', b'"ready": true, "new": 1'), ""),
        (lambda text: text.replace(b'"file"', b'"value"'), "pin.file"),
        (lambda text: text.replace(b'"store": null', b'"store": {}'), "store.dsn"),
        (lambda text: text.replace(b'"store": null', b'"store": "postgresql:"'), "store"),
        (lambda text: text.replace(b'"store": null', b'"store": {"dsn": "", "password": "x"}'), "store.password"),
    ],
)
def test_a_damaged_state_is_told_with_its_place(
    run: Run, authority: Path, damage: Callable[[bytes], bytes], path: str
) -> None:
    file = authority / "authority.json"
    file.write_bytes(damage(file.read_bytes()))
    before = content(authority)
    outcome = run("issuer", "crl", "--dir", authority)
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err.count("\n") == 1
    assert "authority.json" in outcome.err
    assert (
        outcome.err.rstrip().endswith(f"at {path} [authority.{'version' if path == 'version' else 'state'}]")
        or not path
    )
    assert content(authority) == before


@given(st.one_of(st.binary(), st.text().map(str.encode), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["version", "pin", "store", "token"]), inner),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_any_state_decodes_or_is_refused(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        State.decode(data, Path("authority.json"))


@pytest.mark.hsm
def test_the_state_survives_a_round_trip(authority: Path) -> None:
    file = authority / "authority.json"
    assert State.decode(file.read_bytes(), file).encode() == file.read_bytes()


def test_where_there_is_no_authority_the_way_to_one_is_told(run: Run, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        assert "mdl issuer init" in run("issuer", "crl", "--dir", folder).error(3, "authority.missing")
    (tmp_path / "file").touch()
    run("issuer", "crl", "--dir", tmp_path / "file").error(3, "authority.missing")


@pytest.mark.hsm
@pytest.mark.parametrize("name", ["iaca.pem", "ds-1.pem", "iaca.crl"])
def test_a_file_that_is_missing_is_written_again(issue: Callable[..., Outcome], authority: Path, name: str) -> None:
    was = (authority / name).read_bytes()
    (authority / name).unlink()
    assert issue(authority).status == 0
    assert (authority / name).read_bytes() == was


@pytest.mark.hsm
@pytest.mark.parametrize(
    ("damage", "status", "code"),
    [
        (lambda file: file.unlink(), 3, "store.missing"),
        (lambda file: file.write_bytes(b""), 3, "store.not_a_store"),
        (lambda file: file.write_bytes(b"something else " * 999), 3, "store.not_a_store"),
        (lambda file: file.write_bytes(file.read_bytes()[:8192]), 3, "store.damaged"),
        (lambda file: file.write_bytes(file.read_bytes()[:-4096]), 3, "store.damaged"),
    ],
)
@pytest.mark.parametrize("verb", ["init", "crl", "issue", "audit"])
def test_a_store_that_is_lost_or_damaged_is_told_and_never_made_anew(  # noqa: PLR0917
    run: Run,
    issue: Callable[..., Outcome],
    authority: Path,
    verb: str,
    damage: Callable[[Path], None],
    status: int,
    code: str,
) -> None:
    file = authority / "authority.db"
    damage(file)
    before = file.read_bytes() if file.exists() else None
    if verb == "issue":
        issue(authority).error(status, code)
    elif verb == "init":
        run("issuer", "init", "--dir", authority, *INIT).error(2, "authority.exists")
    else:
        words = ("crl",) if verb == "crl" else ("audit", "verify")
        run("issuer", *words, "--dir", authority).error(status, code)
    assert (file.read_bytes() if file.exists() else None) == before
    assert (authority / "token" / "tokens").exists()


@pytest.mark.hsm
@pytest.mark.parametrize("name", ["iaca.pem", "ds-1.pem"])
def test_a_damaged_certificate_is_told_by_name(issue: Callable[..., Outcome], authority: Path, name: str) -> None:
    (authority / name).write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    outcome = issue(authority)
    assert (outcome.status, outcome.err.count("\n")) == (3, 1)
    assert name in outcome.err


@pytest.mark.hsm
def test_a_folder_in_use_is_waited_for_and_then_given_up(
    run: Run, issue: Callable[..., Outcome], authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_PATIENCE", 0.1)
    with lock(authority, exclusive=True):
        issue(authority).error(4, "authority.busy")
        run("issuer", "crl", "--dir", authority).error(4, "authority.busy")
    with lock(authority, exclusive=False):
        assert issue(authority).status == 0  # many may issue at once
        run("issuer", "crl", "--dir", authority).error(4, "authority.busy")
    with open_softhsm(authority / "token"):
        issue(authority).error(4, "authority.busy")  # SoftHSM's files are for one process at a time
    assert run("issuer", "crl", "--dir", authority).status == 0


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(KeyboardInterrupt), output_file(file):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with output_file(file):
        pass
    assert list(tmp_path.iterdir()) == []
    write_file(file, b"one")
    with pytest.raises(SigningError), output_file(file, private=True) as commit:
        tmp_path.joinpath("unrelated").touch()
        file.unlink()
        file.mkdir()
        commit(b"two")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "unrelated"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(SigningError, match="symbolic link"):
        write_file(tmp_path / "link", b"new", private=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"old"


@pytest.mark.hsm
def test_the_environment_is_left_as_it_was(template: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOFTHSM2_CONF", "/of/somebody/else")
    with Authority(template).open_issuer():
        assert os.environ["SOFTHSM2_CONF"] == "/of/somebody/else"
    assert os.environ["SOFTHSM2_CONF"] == "/of/somebody/else"


@pytest.mark.hsm
def test_the_root_says_what_an_independent_reader_reads(template: Path) -> None:
    root = x509.load_pem_x509_certificate((template / "iaca.pem").read_bytes())
    signer = x509.load_pem_x509_certificate((template / "ds-1.pem").read_bytes())
    signer.verify_directly_issued_by(root)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0

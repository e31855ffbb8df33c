"""Tokens of several configurations of SoftHSM in one process: side by side, in threads, in plain scripts."""

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from issuer import hsm, keystore
from issuer.authority import Authority, Founding
from issuer.issuance import Order
from issuer.keystore import Pkcs11Uri, SigningProcesses, generate_key, list_keys, open_signer, secret_from_file
from issuer.records import parse_record, read_below
from mdl.errors import SigningError
from mdl.mdoc import ValidityInfo
from mdl.pki import Subject
from tests.authorities import clone, device_key, licence
from tests.hsm.tokens import make_token

NOW = datetime.now(UTC).replace(microsecond=0)
FOUNDING = Founding(
    subject=Subject(country="XU", common_name="Utopia IACA"),
    crl_uri="https://mdl.example/iaca.crl",
    contact_uri="https://mdl.example",
)


def pin(_: str) -> str:
    return "user-pin"


def place(folder: Path) -> Pkcs11Uri:
    """A token in a folder of its own; its URI says where that is. All of these have one label and one PIN."""
    uri = keystore.init_softhsm_token(folder, "same", so_pin="officer-pin", user_pin="user-pin")
    return replace(Pkcs11Uri.parse(uri), configuration=keystore.softhsm_environment(folder)["SOFTHSM2_CONF"])


@pytest.fixture(params=["/of/somebody/else.conf", None])
def _environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of another SoftHSM is neither used nor changed."""
    if request.param is None:
        monkeypatch.delenv("SOFTHSM2_CONF", raising=False)
    else:
        monkeypatch.setenv("SOFTHSM2_CONF", request.param)


@pytest.mark.usefixtures("_environment")
def test_tokens_of_two_folders_sign_in_turn(tmp_path: Path) -> None:
    before = os.environ.get("SOFTHSM2_CONF")
    places = [place(tmp_path / name) for name in ("one", "two")]
    keys = [generate_key(uri.for_key("ds"), "P-256", secret=pin) for uri in places]
    assert keys[0] != keys[1]
    with (
        open_signer(places[0].for_key("ds"), secret=pin) as one,
        open_signer(places[1].for_key("ds"), secret=pin) as two,
    ):
        for _ in range(2):
            for signer, key in zip((one, two), keys, strict=True):
                assert signer.public_key == key
                key.verify(signer.sign(b"data"), b"data")
        assert os.environ.get("SOFTHSM2_CONF") == before
    assert [len(list_keys(str(uri), secret=pin)) for uri in places] == [1, 1]


@pytest.mark.usefixtures("_environment")
def test_threads_on_tokens_of_two_folders_do_not_disturb_each_other(tmp_path: Path) -> None:
    places = [place(tmp_path / name) for name in ("one", "two")]
    keys = [generate_key(uri.for_key("ds"), "P-256", secret=pin) for uri in places]
    failures: list[BaseException] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            with open_signer(places[number].for_key("ds"), secret=pin) as signer:
                start.wait(20)
                for count in range(12):
                    keys[number].verify(signer.sign(b"%d" % count), b"%d" % count)
        except BaseException as exc:  # noqa: BLE001 - the main thread looks at it
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(count % 2,)) for count in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


def test_a_copy_of_a_folder_in_its_place_is_seen(tmp_path: Path) -> None:
    """As when a backup is put back: the library remembers what lay there before."""
    uri = place(tmp_path / "token")
    generate_key(uri.for_key("first"), "P-256", secret=pin)
    shutil.copytree(tmp_path / "token", tmp_path / "kept")
    generate_key(uri.for_key("second"), "P-256", secret=pin)
    shutil.rmtree(tmp_path / "token")
    shutil.copytree(tmp_path / "kept", tmp_path / "token")
    assert [one.label for one in list_keys(str(uri), secret=pin)] == ["first"]
    generate_key(uri.for_key("third"), "P-256", secret=pin)
    assert [one.label for one in list_keys(str(uri), secret=pin)] == ["first", "third"]


def test_the_environment_counts_when_a_token_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, by the variable alone, without a word to the library between them."""
    tokens = {name: make_token(tmp_path / name, "of-the-environment") for name in ("one", "two")}
    for name in ("one", "two"):
        monkeypatch.setenv("SOFTHSM2_CONF", keystore.softhsm_environment(tmp_path / name)["SOFTHSM2_CONF"])
        tokens[name].generate(label=name)
    for name in ("one", "two"):
        monkeypatch.setenv("SOFTHSM2_CONF", keystore.softhsm_environment(tmp_path / name)["SOFTHSM2_CONF"])
        assert [one.label for one in list_keys(tokens[name].uri, secret=tokens[name].secret)] == [name]


def test_a_library_has_one_module_whatever_its_path(tmp_path: Path) -> None:
    uri = place(tmp_path / "token")
    key = generate_key(uri.for_key("ds"), "P-256", secret=pin)
    (tmp_path / "link.so").symlink_to(uri.module_path)
    with (
        open_signer(uri.for_key("ds"), secret=pin),
        open_signer(replace(uri, module_path=str(tmp_path / "link.so")).for_key("ds"), secret=pin) as signer,
    ):
        assert signer.public_key == key


def test_signing_processes_find_a_token_by_its_uri(tmp_path: Path) -> None:
    uri = place(tmp_path / "token")
    key = generate_key(uri.for_key("ds"), "P-256", secret=pin)
    with SigningProcesses(uri.for_key("ds"), secret=pin, processes=1) as signer:
        key.verify(signer.sign(b"data"), b"data")


def test_a_configuration_that_is_not_there_stops_no_other_token(tmp_path: Path) -> None:
    uri = place(tmp_path / "token")
    generate_key(uri.for_key("ds"), "P-256", secret=pin)
    with open_signer(uri.for_key("ds"), secret=pin) as signer:
        lost = replace(uri, configuration=str(tmp_path / "absent.conf"))
        with pytest.raises(SigningError) as caught:
            list_keys(str(lost), secret=pin)
        assert caught.value.code == "signing.module_failed"
        signer.public_key.verify(signer.sign(b"data"), b"data")


# --- Authorities -----------------------------------------------------------------------------------------------------


def test_two_authorities_in_one_process(tmp_path: Path) -> None:
    """Founded, with a copy of one beside it; all issue, and make keys, while the others' signers are open."""
    one = Authority.found(tmp_path / "one", FOUNDING, at=NOW)
    one.certify_signer(at=NOW)
    two = Authority(clone(tmp_path / "one", tmp_path / "two"))  # its token has the same label and serial number
    three = Authority.found(tmp_path / "three", FOUNDING, at=NOW)
    three.certify_signer(at=NOW)
    record = parse_record(licence(tmp_path).read_text(), read_file=read_below(tmp_path))
    order = Order(
        namespaces=record.namespaces,
        device_key=device_key().public_key,
        validity=ValidityInfo(signed=NOW, valid_from=NOW, valid_until=NOW + timedelta(days=9)),
    )
    with one.open_issuer() as first, two.open_issuer() as second, three.open_issuer() as third:
        for _ in range(2):
            for issuer in (first, second, third):
                issuer.issue(order)
        assert [each.certify_signer(at=datetime.now(UTC)).key for each in (two, one)] == ["ds-2"] * 2
        for issuer in (first, second, third):
            issuer.issue(order)
    kept = [list_keys(each.token, secret=secret_from_file(each.pin_file or "")) for each in (one, two, three)]
    assert [[key.label for key in keys] for keys in kept] == [["ds-1", "ds-2", "iaca"]] * 2 + [["ds-1", "iaca"]]
    assert len({key.id for key in kept[0]} & {key.id for key in kept[1]}) == 2, "what was made since is each one's own"


def test_authorities_are_founded_in_threads(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            authority = Authority.found(tmp_path / name, FOUNDING, at=NOW)
            assert authority.certify_signer(at=NOW).key == "ds-1"
        except BaseException as exc:  # noqa: BLE001 - the main thread looks at it
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)


PLAIN = """
import sys, threading
from datetime import UTC, datetime
from issuer.authority import Authority, Founding
from mdl.pki import Subject

print("once")
founding = Founding(
    subject=Subject(country="XU", common_name="Utopia IACA"),
    crl_uri="https://mdl.example/iaca.crl",
    contact_uri="https://mdl.example",
)
now = datetime.now(UTC).replace(microsecond=0)
Authority.found(sys.argv[1] + "/one", founding, at=now).certify_signer(at=now)
thread = threading.Thread(target=Authority.found, args=(sys.argv[1] + "/two", founding), kwargs={"at": now})
thread.start()
thread.join()
print(Authority(sys.argv[1] + "/two").root.subject)
"""


def test_a_plain_script_founds_authorities(tmp_path: Path) -> None:
    """Without the guard that a script needs which starts processes."""
    script = tmp_path / "plain.py"
    script.write_text(PLAIN)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], check=False, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "once"
    assert len(done.stdout.splitlines()) == 2


def test_a_token_that_was_made_is_for_its_owner_only_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        place(tmp_path / "token")
    finally:
        os.umask(before)
    assert not [path for path in (tmp_path / "token").rglob("*") if path.stat().st_mode & 0o077]


def test_a_switch_that_hangs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [place(tmp_path / name) for name in ("one", "two")]
    generate_key(places[0].for_key("ds"), "P-256", secret=pin)
    with open_signer(places[0].for_key("ds"), secret=pin) as signer:
        module = next(iter(hsm._modules.values()))
        module.enter(places[0].configuration)  # somebody is inside, and stays
        monkeypatch.setattr(hsm, "_PATIENCE", 0.1)
        try:
            with pytest.raises(SigningError) as caught:
                list_keys(str(places[1]), secret=pin)
        finally:
            module.leave()
        assert (caught.value.code, caught.value.retryable) == ("signing.token_busy", True)
        signer.public_key.verify(signer.sign(b"data"), b"data")

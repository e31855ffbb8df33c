"""From an offline root, made by two people, to a licence of the online side: only files go between the two."""

import hashlib
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import Actor, AuditRecord, Event
from issuer.authority import Authority
from issuer.ceremony import (
    Announcement,
    Ceremony,
    CeremonyRecord,
    Confirm,
    Operator,
    Outcome,
    Phrase,
    Script,
    conduct,
    enrol,
)
from issuer.folder import write_file
from issuer.founding import Founding
from issuer.handover import Joining, OnlineSide
from issuer.keystore import SecretHandler, generate_key, list_keys
from issuer.policy import IssuancePolicy
from issuer.store import CertificateRecord, Role
from issuer.token_keys import StoredKey
from mdl.errors import (
    DecodeError,
    IssuanceError,
    LocalProtocolError,
    MdlError,
    ProfileError,
    SigningError,
    VerificationError,
)
from mdl.pki import Certificate, Crl
from tests.authorities import COMMAND, licence, mdl, public_key_file, require_softhsm
from tests.ceremonies import PHRASES, RECORD, ROOT, both, first_script, head, only, opening, token_folder, write
from tests.hsm.tokens import Token

pytestmark = pytest.mark.hsm


ROOT_FOLDER = Path(__file__).resolve().parents[2]
PAGE = (ROOT_FOLDER / "docs" / "how-to" / "hold-a-ceremony.md").read_text("utf-8")
EXAMPLES = ROOT_FOLDER / "examples" / "ceremony"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Place:
    """A folder with an offline root's and an online token, and what was held there."""

    folder: Path
    root_token: Token
    online_token: Token

    def ceremony(self, script: str, *, out: str, confirm: Confirm = both, authority: str = "root") -> Ceremony:
        file = write(self.folder / f"{out}.toml", script)
        return Ceremony(
            Script.read(file),
            authority=self.folder / authority,
            out=self.folder / out,
            confirm=confirm,
            secret=self.root_token.secret,
            at=now,
        )

    def later_script(self, *steps: str, **changes: str) -> str:
        return head(self.root_token.uri, **changes) + opening("present") + "".join(steps) + RECORD

    @property
    def root(self) -> Authority:
        return Authority(self.folder / "root", secret=self.root_token.secret)

    @property
    def side(self) -> OnlineSide:
        return OnlineSide(self.folder / "online", secret=self.online_token.secret)

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def keys(self) -> set[str]:
        return {one.label for one in list_keys(self.root_token.uri, secret=self.root_token.secret)}


@pytest.fixture(scope="module")
def new_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Token]]:
    require_softhsm()
    with token_folder(tmp_path_factory.mktemp("softhsm")) as make:
        yield make


@pytest.fixture
def place(tmp_path: Path, new_token: Callable[[str], Token]) -> Place:
    """Two tokens, and nothing in them."""
    return Place(tmp_path, new_token("root"), new_token("online"))


@pytest.fixture
def founded(place: Place) -> Place:
    """The first ceremony was held, and the online side has joined."""
    place.ceremony(first_script(place.root_token.uri), out="first").hold()
    root, crl = Certificate.decode_any(place.file("first/iaca.pem")), Crl.decode_any(place.file("first/iaca.crl"))
    joining = Joining(root=root, crl=crl, token=place.online_token.uri)
    OnlineSide.join(place.folder / "online", joining, at=now(), secret=place.online_token.secret)
    return place


def sign_csr(sha256: str, *, days: int = 90, **changes: str) -> str:
    given = {"certificate": "ds-1.pem", "request": "ds-1.csr", "common_name": "Utopia DS 1"} | changes
    lines = [f'{member} = "{value}"' for member, value in (given | {"sha256": sha256}).items()]
    return "\n".join(["", "[[steps]]", 'do = "sign-csr"', f"days = {days}", *lines, ""])


def request(place: Place) -> str:
    """Make a request on the online side and carry it over; its SHA-256."""
    handed = place.side.request(at=now)
    (place.folder / "ds-1.csr").write_bytes(handed.file.read_bytes())
    return handed.sha256


def events(folder: Path) -> list[tuple[Event, str | None]]:
    with Authority(folder).audit_records() as records:
        found = [AuditRecord.decode(one.record) for one in records]
    return [(one.event, one.subjects.get("code") or one.subjects.get("step")) for one in found]


def refused(code: str, kind: type[MdlError], run: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        run()
    assert caught.value.code == code, caught.value


def test_from_the_ceremony_to_a_licence_by_files_only(founded: Place, tmp_path: Path) -> None:
    sha256 = request(founded)
    script = founded.later_script(sign_csr(sha256), '\n[[steps]]\ndo = "crl"\n')
    record = founded.ceremony(script, out="second").hold()

    assert record.verify(founded.root.root)
    taken = founded.side.accept(founded.file("second/ds-1.pem"), at=now)
    assert not isinstance(taken, Crl)
    assert (taken.role, taken.key) == (Role.DOCUMENT_SIGNER, "ds-1")
    crl = founded.side.accept(founded.file("second/iaca.crl"), at=now)
    assert isinstance(crl, Crl)
    assert crl.number == 2

    pin = write(tmp_path / "pin", founded.online_token.pin)
    words = ("--device-key", public_key_file(tmp_path), "--out", tmp_path / "licence.cbor", "--pin-file", pin)
    issued = mdl("issuer", "issue", licence(tmp_path), *words, "--dir", tmp_path / "online")
    assert issued.status == 0, issued.err
    for side in ("root", "online"):
        assert mdl("issuer", "audit", "verify", "--dir", tmp_path / side).status == 0
    # The online side has no root key, and its token none but the document signer's.
    assert {one.label for one in list_keys(founded.online_token.uri, secret=founded.online_token.secret)} == {"ds-1"}
    refused(
        "signing.key_missing",
        SigningError,
        lambda: Authority(tmp_path / "online", secret=founded.online_token.secret).publish_crl(at=now),
    )
    openssl = ("openssl", "verify", "-x509_strict", "-CAfile", "first/iaca.pem", "second/ds-1.pem")
    assert subprocess.run(openssl, cwd=tmp_path, check=False, capture_output=True).returncode == 0


def test_every_step_is_in_the_audit_log_by_its_digest(founded: Place) -> None:
    steps = [what for event, what in events(founded.folder / "root") if event is Event.CEREMONY_STEP]
    assert steps == ["1 token", "2 key", "3 root", "4 record"]
    record = CeremonyRecord.decode(founded.file("first/record.json"))
    with founded.root.audit_records() as records:
        told = [AuditRecord.decode(one.record).subjects.get("digest") for one in records]
    assert {one.digest for one in record.done.values()} <= {*told}


def test_what_the_root_signs_at_a_ceremony_is_the_officers_work(founded: Place) -> None:
    script = founded.later_script(sign_csr(request(founded)), '\n[[steps]]\ndo = "crl"\n')
    founded.ceremony(script, out="second").hold()
    with founded.root.audit_records() as records:
        actors = {AuditRecord.decode(one.record).actor for one in records}
    assert actors == {Actor.CEREMONY_OFFICER}


def test_one_operator_alone_makes_no_key(place: Place) -> None:
    ceremony = place.ceremony(first_script(place.root_token.uri), out="first", confirm=only("Ada Sample"))
    refused("ceremony.not_confirmed", VerificationError, ceremony.hold)
    assert place.keys() == set()
    assert not (place.folder / "root").exists()
    record = CeremonyRecord.decode(place.file("first/record.json"))
    assert [(one.do, one.outcome, one.code) for one in record.transcript] == [
        ("token", Outcome.NOT_CONFIRMED, "ceremony.not_confirmed")
    ]
    refused("ceremony.unfinished", VerificationError, record.verify)


@pytest.mark.parametrize("name", ["iaca.pem", "iaca.crl", "record.md"])
def test_no_result_takes_the_place_of_another_file(place: Place, name: str) -> None:
    """A folder without a record has nothing that a ceremony has made."""
    (place.folder / "first").mkdir()
    (place.folder / "first" / name).symlink_to("nowhere")
    ceremony = place.ceremony(first_script(place.root_token.uri), out="first")
    refused("ceremony.occupied", LocalProtocolError, ceremony.hold)
    assert place.keys() == set()
    assert (place.folder / "first" / name).is_symlink()
    assert not (place.folder / "root").exists()


def test_one_operator_does_not_confirm_for_two(place: Place) -> None:
    def ada_twice(_operator: Operator, _step: Announcement) -> Phrase:
        return Phrase(text=PHRASES["Ada Sample"], means="program")

    ceremony = place.ceremony(first_script(place.root_token.uri), out="first", confirm=ada_twice)
    refused("ceremony.not_confirmed", VerificationError, ceremony.hold)
    assert place.keys() == set()


def test_a_ceremony_that_was_broken_off_goes_on_where_it_stopped(place: Place) -> None:
    def bo_leaves(operator: Operator, step: Announcement) -> Phrase | None:
        return None if step.do == "record" and operator.name == "Bo Sample" else both(operator, step)

    script = first_script(place.root_token.uri)
    refused("ceremony.not_confirmed", VerificationError, place.ceremony(script, out="first", confirm=bo_leaves).hold)
    fingerprint = place.root.root.fingerprint
    assert (Event.REFUSAL, "ceremony.not_confirmed") in events(place.folder / "root")

    record = place.ceremony(script, out="first").hold()
    assert record.root is not None
    assert record.root.fingerprint == fingerprint  # one root, not two
    assert record.verify(record.root)
    assert [one.outcome for one in record.transcript][-2:] == [Outcome.NOT_CONFIRMED, Outcome.DONE]
    assert place.root.verify_audit() == []


def test_a_ceremony_goes_on_after_the_power_went_right_behind_the_founding(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    found = Authority.found.__func__  # type: ignore[attr-defined]

    def found_and_stop(*arguments: object, **named: object) -> Authority:
        found(Authority, *arguments, **named)
        raise PowerCut

    def slowly(operator: Operator, step: Announcement) -> Phrase | None:
        if step.do == "root":
            time.sleep(1.1)  # the confirmation is a second later than the beginning of the step
        return both(operator, step)

    script = first_script(place.root_token.uri)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(Authority, "found", found_and_stop)
        place.ceremony(script, out="first", confirm=slowly).hold()
    record = place.ceremony(script, out="first").hold()
    assert [(one.do, one.outcome) for one in record.transcript][2:] == [
        ("root", Outcome.BEGUN),
        ("root", Outcome.DONE),
        ("record", Outcome.DONE),
    ]
    assert record.verify(place.root.root)
    assert len(place.root.roots) == 1


def test_another_authority_is_not_taken_for_the_one_that_was_being_made(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PowerCut(BaseException):
        pass

    found = Authority.found.__func__  # type: ignore[attr-defined]

    def found_another(folder: Path, founding: Founding, **named: object) -> Authority:
        found(Authority, folder, replace(founding, iaca_key="foreign"), **named)
        raise PowerCut

    script = first_script(place.root_token.uri)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(Authority, "found", found_another)
        place.ceremony(script, out="first").hold()
    refused("ceremony.root", VerificationError, place.ceremony(script, out="first").hold)


def test_a_ceremony_that_is_over_is_not_held_again(founded: Place) -> None:
    again = founded.ceremony(first_script(founded.root_token.uri), out="first")
    refused("ceremony.finished", LocalProtocolError, again.hold)


def test_another_script_does_not_go_on_with_a_ceremony(place: Place) -> None:
    script = first_script(place.root_token.uri)
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=only()).hold()
    other = place.ceremony(script.replace("P-256", "P-384"), out="first")
    refused("ceremony.other_script", LocalProtocolError, other.hold)


def test_what_was_done_is_not_rewritten_between_two_sittings(place: Place) -> None:
    def nobody_signs(operator: Operator, step: Announcement) -> Phrase | None:
        return None if step.do == "record" else both(operator, step)

    script = first_script(place.root_token.uri).replace(RECORD, '\n[[steps]]\ndo = "crl"\nfile = "b.crl"\n' + RECORD)
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=nobody_signs).hold()
    file = place.folder / "first" / "record.json"
    content = json.loads(file.read_text())
    content["transcript"][1]["confirmed"][1]["operator"] = "Cy Sample"
    file.write_text(json.dumps(content, indent=2) + "\n")
    refused("ceremony.changed", VerificationError, place.ceremony(script, out="first").hold)


def nobody_signs(operator: Operator, step: Announcement) -> Phrase | None:
    """Everything is confirmed but the last step."""
    return None if step.do == "record" else both(operator, step)


def rewrite(place: Place, change: Callable[[dict[str, Any]], object], out: str = "first") -> None:
    file = place.folder / out / "record.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content, indent=2) + "\n")


def says(index: int) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        content["transcript"][index]["says"] = "something else"

    return change


def first_without_root(content: dict[str, Any]) -> None:
    says(1)(content)
    content["root"] = None


def forged_end(content: dict[str, Any]) -> None:
    last = content["transcript"][2]
    content["transcript"] += [last | {"step": 4, "do": "record", "asked": {}}, last | {"step": 4}]


REWRITINGS = {
    "the first step": says(0),
    "the second step": says(1),
    "the third step": says(2),
    "the refusal at the end": says(3),
    "a step, in a record without its root": first_without_root,
    "a step is left out": lambda content: content["transcript"].pop(1),
    "the last done step is left out": lambda content: content["transcript"].pop(2),
    "the refusal is left out": lambda content: content["transcript"].pop(),
    "all is left out": lambda content: content["transcript"].clear(),
    "the order": lambda content: content["transcript"].reverse(),
    "two steps that nobody did": forged_end,
    "the beginning": lambda content: content.update(began="2026-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("what", REWRITINGS)
def test_no_part_of_a_first_ceremony_is_rewritten_between_two_sittings(place: Place, what: str) -> None:
    script = first_script(place.root_token.uri)
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=nobody_signs).hold()
    rewrite(place, REWRITINGS[what])
    refused("ceremony.changed", VerificationError, place.ceremony(script, out="first").hold)


def test_a_step_that_nobody_did_is_not_taken_for_done(founded: Place) -> None:
    """One entry more than the log tells of: the machine may have stopped there, so the step is held again."""
    script = founded.later_script(sign_csr(request(founded)), '\n[[steps]]\ndo = "crl"\n')

    def not_the_crl(operator: Operator, step: Announcement) -> Phrase | None:
        return None if step.do == "crl" else both(operator, step)

    with pytest.raises(VerificationError):
        founded.ceremony(script, out="second", confirm=not_the_crl).hold()

    def forge(content: dict[str, Any]) -> None:
        done, refusal = content["transcript"][2:]
        came = {"crl_number": 1, "crl": founded.file("first/iaca.crl").hex()}
        ended = refusal["ended"]
        confirmed = [one | {"time": ended} for one in done["confirmed"]]
        forged = done | {name: refusal[name] for name in ("step", "do", "says", "asked")}
        content["transcript"].append(forged | {"came": came, "confirmed": confirmed, "began": ended, "ended": ended})

    rewrite(founded, forge, "second")
    record = founded.ceremony(script, out="second").hold()
    assert record.done[4].came["crl_number"] == 2
    assert [one.outcome for one in record.transcript if one.step == 4] == [
        Outcome.NOT_CONFIRMED,
        Outcome.BEGUN,
        Outcome.DONE,
    ]
    assert any("broken off" in fact for fact in record.verify(founded.root.root))

    rewrite(founded, lambda content: content.update(signature=None), "second")
    rewrite(founded, lambda content: content["transcript"].append(content["transcript"][-1]), "second")
    refused("ceremony.changed", VerificationError, founded.ceremony(script, out="second").hold)


def test_a_last_entry_that_nobody_is_said_to_have_confirmed_does_not_stay(
    founded: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = founded.later_script('\n[[steps]]\ndo = "crl"\n')
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, Authority, "publish_crl", when=lambda *_, **__: True)
        founded.ceremony(script, out="second").hold()

    def one_twice(content: dict[str, Any]) -> None:
        confirmed = content["transcript"][-1]["confirmed"]
        confirmed[1]["operator"] = confirmed[0]["operator"]

    rewrite(founded, one_twice, "second")
    record = founded.ceremony(script, out="second").hold()
    assert [(one.step, one.outcome) for one in record.transcript][2:] == [(3, Outcome.DONE), (4, Outcome.DONE)]
    assert record.verify(founded.root.root)


def test_a_last_entry_from_another_time_or_place_is_a_change(founded: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    script = founded.later_script('\n[[steps]]\ndo = "crl"\n')
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, Authority, "publish_crl", when=lambda *_, **__: True)
        founded.ceremony(script, out="second").hold()
    file = founded.folder / "second" / "record.json"
    before = file.read_bytes()
    for change in ({"step": 4}, {"step": 2}, {"began": "2026-01-01T00:00:00Z"}):
        file.write_bytes(before)
        rewrite(founded, lambda content: content["transcript"][-1].update(change), "second")  # noqa: B023 - used at once
        refused("ceremony.changed", VerificationError, founded.ceremony(script, out="second").hold)


def test_what_was_signed_is_not_forgotten_in_another_folder(place: Place) -> None:
    """The key is there, so a ceremony that began anew would make a second root."""
    generate_key(place.root_token.key("iaca"), "P-256", secret=place.root_token.secret)
    script = first_script(place.root_token.uri).replace('"new"', '"present"')
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=nobody_signs).hold()
    refused("ceremony.changed", VerificationError, place.ceremony(script, out="first", authority="elsewhere").hold)
    assert not (place.folder / "elsewhere").exists()


def test_who_was_there_is_what_the_script_says_and_not_what_the_folder_says(place: Place) -> None:
    script = first_script(place.root_token.uri)
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=nobody_signs).hold()

    def change(content: dict[str, Any]) -> None:
        content |= {"title": "Another ceremony", "place": "elsewhere", "confirmations": 1, "key": "other"}
        content["token"] = "pkcs11:token=elsewhere?module-path=/x.so"
        content["operators"][0]["duty"] = "janitor"

    rewrite(place, change)
    record = place.ceremony(script, out="first").hold()
    assert (record.title, record.place, record.confirmations) == ("Root key of Utopia Motor Vehicles", "", 2)
    assert (record.token, record.key) == (place.root_token.uri, "iaca")
    assert [one.duty for one in record.operators] == ["operator", "operator"]


def test_before_there_is_a_log_a_ceremony_begins_anew(place: Place) -> None:
    """Nothing was made yet, and nothing would show that the file was changed: nothing of it is kept."""

    def not_the_key(operator: Operator, step: Announcement) -> Phrase | None:
        return None if step.do == "key" else both(operator, step)

    script = first_script(place.root_token.uri)
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=not_the_key).hold()
    rewrite(place, says(0))
    record = place.ceremony(script, out="first").hold()
    assert [(one.do, one.outcome) for one in record.transcript] == [
        (one, Outcome.DONE) for one in ("token", "key", "root", "record")
    ]
    assert b"something else" not in record.encode()


def test_a_key_is_not_said_to_be_made_here_by_a_file_that_no_log_bears_out(place: Place) -> None:
    """Somebody alone makes the key, and writes that all were there."""

    def not_the_key(operator: Operator, step: Announcement) -> Phrase | None:
        return None if step.do == "key" else both(operator, step)

    script = first_script(place.root_token.uri)
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=not_the_key).hold()
    generate_key(place.root_token.key("iaca"), "P-256", secret=place.root_token.secret)
    rewrite(place, lambda content: content["transcript"].append(
        content["transcript"].pop() | {"outcome": "done", "confirmed": content["transcript"][0]["confirmed"]}
    ))  # fmt: skip
    refused("signing.key_exists", SigningError, place.ceremony(script, out="first").hold)


def test_a_policy_is_not_exchanged_between_two_sittings(place: Place) -> None:
    def not_the_root(operator: Operator, step: Announcement) -> Phrase | None:
        return None if step.do == "root" else both(operator, step)

    policy = place.folder / "policy.toml"
    write(policy, "version = 1\n[days]\ndocument-signer = 30\n")
    script = first_script(place.root_token.uri, policy='"policy.toml"')
    with pytest.raises(VerificationError):
        place.ceremony(script, out="first", confirm=not_the_root).hold()
    write(policy, "version = 1\n")
    refused("ceremony.other_script", LocalProtocolError, place.ceremony(script, out="first").hold)
    # Nor with a record that was changed to fit: the log knows no ceremony with that policy, and the key is there.
    rewrite(place, lambda content: content.update(policy=hashlib.sha256(policy.read_bytes()).hexdigest()))
    refused("signing.key_exists", SigningError, place.ceremony(script, out="first").hold)


def test_the_record_names_the_policy_by_its_digest(place: Place) -> None:
    policy = write(place.folder / "policy.toml", "version = 1\n[days]\ndocument-signer = 30\n")
    record = place.ceremony(first_script(place.root_token.uri, policy='"policy.toml"'), out="first").hold()
    assert record.policy == hashlib.sha256(policy.read_bytes()).digest()
    assert record.policy.hex() in (place.folder / "first" / "record.md").read_text()


class PowerCut(BaseException):
    """The power goes: nothing is written any more."""


def cut(monkeypatch: pytest.MonkeyPatch, where: object, name: str, *, when: Callable[..., bool] | None = None) -> None:
    """Have the power go right behind a call, or instead of one where `when` says so."""
    real = getattr(where, name)

    def and_stop(*arguments: object, **named: object) -> object:
        if when is not None:
            if when(*arguments, **named):
                raise PowerCut
            return real(*arguments, **named)
        real(*arguments, **named)
        raise PowerCut

    monkeypatch.setattr(where, name, and_stop)


def certificates(place: Place, role: Role) -> list[Certificate]:
    with place.root.open_store() as store, store.reading() as reader:
        return [one.certificate for one in reader.certificates(role)]


def test_a_request_is_certified_once_though_the_power_goes_right_behind_it(
    founded: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = founded.later_script(sign_csr(request(founded)))
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, Authority, "certify")
        founded.ceremony(script, out="second").hold()
    # A sitting that nobody comes to changes nothing about it.
    with pytest.raises(VerificationError):
        founded.ceremony(script, out="second", confirm=only()).hold()
    record = founded.ceremony(script, out="second").hold()
    (certificate,) = certificates(founded, Role.DOCUMENT_SIGNER)
    assert record.done[3].came["certificate_sha256"] == certificate.fingerprint.hex()
    assert Certificate.decode_any(founded.file("second/ds-1.pem")) == certificate
    assert record.verify(founded.root.root)
    assert founded.root.verify_audit() == []


def test_a_request_is_certified_once_though_its_file_cannot_be_written(
    founded: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = founded.later_script(sign_csr(request(founded)))

    def full(file: Path, data: bytes, **how: bool) -> None:
        if file.name == "ds-1.pem":
            raise SigningError("no room", code="authority.unwritable")
        write_file(file, data, **how)

    with monkeypatch.context() as patch:
        patch.setattr(conduct, "write_file", full)
        refused("authority.unwritable", SigningError, founded.ceremony(script, out="second").hold)
    assert founded.ceremony(script, out="second").hold().verify(founded.root.root)
    assert len(certificates(founded, Role.DOCUMENT_SIGNER)) == 1


def test_a_certificate_from_before_the_ceremony_is_not_taken_for_its_own(founded: Place) -> None:
    sha256 = request(founded)
    founded.root.certify(
        Role.DOCUMENT_SIGNER, at=now, request=founded.file("ds-1.csr"), common_name="Utopia DS 1", days=90
    )
    ceremony = founded.ceremony(founded.later_script(sign_csr(sha256)), out="second")
    refused("authority.name_taken", LocalProtocolError, ceremony.hold)


def test_a_crl_is_signed_once_though_the_power_goes_right_behind_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first CRL, which came with the root a moment before, is not taken for it."""
    step = '\n[[steps]]\ndo = "crl"\nfile = "b.crl"\n'
    script = first_script(place.root_token.uri).replace(RECORD, step + step.replace("b.crl", "c.crl") + RECORD)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, Authority, "publish_crl", when=lambda *_, **__: True)
        place.ceremony(script, out="first").hold()
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, Authority, "publish_crl")
        place.ceremony(script, out="first").hold()
    record = place.ceremony(script, out="first").hold()
    assert [record.done[number].came["crl_number"] for number in (3, 4, 5)] == [1, 2, 3]
    assert place.root.current_crl.number == 3
    assert Crl.decode_any(place.file("first/b.crl")).number == 2
    assert record.verify(place.root.root)


def test_a_crl_that_was_signed_beside_the_ceremony_is_not_taken_for_its_own(founded: Place) -> None:
    def not_the_crl(operator: Operator, step: Announcement) -> Phrase | None:
        return None if step.do == "crl" else both(operator, step)

    script = founded.later_script('\n[[steps]]\ndo = "crl"\n')
    with pytest.raises(VerificationError):
        founded.ceremony(script, out="second", confirm=not_the_crl).hold()
    beside = Authority(founded.folder / "root", secret=founded.root_token.secret, actor=Actor.CEREMONY_OFFICER)
    assert beside.publish_crl(at=now).crl.number == 2
    assert founded.ceremony(script, out="second").hold().done[3].came["crl_number"] == 3


def test_a_link_is_signed_once_though_the_power_goes_right_behind_it(
    founded: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = first_script(founded.root_token.uri).replace("[[operators]]", 'key = "iaca-2"\n\n[[operators]]', 1)
    founded.ceremony(second.replace("iaca.crl", "iaca-2.crl"), out="next", authority="root-2").hold()
    successor = Certificate.decode_any(founded.file("next/iaca.pem"))
    script = founded.later_script(
        '\n[[steps]]\ndo = "link"\nsuccessor = "next/iaca.pem"\ncertificate = "link.pem"\n'
        f'sha256 = "{successor.fingerprint.hex()}"\n'
    )
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, conduct, "write_file", when=lambda file, *_, **_how: file.name == "link.pem")
        founded.ceremony(script, out="linking").hold()
    record = founded.ceremony(script, out="linking").hold()
    (link,) = certificates(founded, Role.LINK)
    assert Certificate.decode_any(founded.file("linking/link.pem")) == link
    assert record.verify(founded.root.root)


def test_a_step_that_the_log_was_not_told_of_is_held_again(founded: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record says done, and the power went before the log did: the step is confirmed anew, and signs nothing."""
    script = founded.later_script(sign_csr(request(founded)))
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, Ceremony, "_log", when=lambda ceremony: 3 in ceremony._record.done)
        founded.ceremony(script, out="second").hold()
    assert 3 in CeremonyRecord.decode(founded.file("second/record.json")).done
    record = founded.ceremony(script, out="second").hold()
    assert [(one.step, one.outcome) for one in record.transcript][2:4] == [(3, Outcome.BEGUN), (3, Outcome.DONE)]
    assert len(certificates(founded, Role.DOCUMENT_SIGNER)) == 1
    assert record.verify(founded.root.root)
    assert founded.root.verify_audit() == []


def test_a_record_is_signed_though_the_power_goes_right_before_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = first_script(place.root_token.uri)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        cut(patch, CeremonyRecord, "sign")
        place.ceremony(script, out="first").hold()
    refused("ceremony.unfinished", VerificationError, CeremonyRecord.decode(place.file("first/record.json")).verify)
    record = place.ceremony(script, out="first").hold()
    assert record.verify(place.root.root)
    assert CeremonyRecord.decode(place.file("first/record.json")) == record


@pytest.mark.parametrize(
    "terms",
    [
        {"days": 100},
        {"crl_days": 7},
        {"contact_uri": "https://another.example"},
        {"policy": IssuancePolicy(days={Role.DOCUMENT_SIGNER: 30})},
    ],
)
def test_a_root_on_other_terms_is_not_taken_for_the_one_that_was_being_made(
    place: Place, monkeypatch: pytest.MonkeyPatch, terms: dict[str, Any]
) -> None:
    found = Authority.found.__func__  # type: ignore[attr-defined]

    def found_another(folder: Path, founding: Founding, **named: object) -> Authority:
        found(Authority, folder, replace(founding, **terms), **named)
        raise PowerCut

    script = first_script(place.root_token.uri)
    with monkeypatch.context() as patch, pytest.raises(PowerCut):
        patch.setattr(Authority, "found", found_another)
        place.ceremony(script, out="first").hold()
    for _ in range(2):
        refused("ceremony.root", VerificationError, place.ceremony(script, out="first").hold)


def test_a_key_that_is_there_already_is_no_new_key(place: Place) -> None:
    generate_key(place.root_token.key("iaca"), "P-256", secret=place.root_token.secret)
    script = first_script(place.root_token.uri)
    for _ in range(2):  # also when it is tried again
        refused("signing.key_exists", SigningError, place.ceremony(script, out="first").hold)
    assert not (place.folder / "root").exists()


def test_a_key_that_is_there_already_is_shown_and_used(place: Place) -> None:
    generate_key(place.root_token.key("iaca"), "P-256", secret=place.root_token.secret)
    script = first_script(place.root_token.uri).replace('"new"', '"present"')
    record = place.ceremony(script, out="first").hold()
    assert record.done[2].came["how"] == "was there"
    assert record.verify(place.root.root)


def test_a_key_that_should_be_there_and_is_not_ends_the_ceremony(place: Place) -> None:
    script = first_script(place.root_token.uri).replace('"new"', '"present"')
    refused("signing.key_missing", SigningError, place.ceremony(script, out="first").hold)
    refused("signing.pin_incorrect", SigningError, lambda: _with_pin(place, place.online_token.pin).hold())


def _with_pin(place: Place, pin: str) -> Ceremony:
    file = write(place.folder / "script.toml", first_script(place.root_token.uri))
    return Ceremony(
        Script.read(file),
        authority=place.folder / "root",
        out=place.folder / "other",
        confirm=both,
        secret=lambda _: pin,
        at=now,
    )


@pytest.mark.parametrize(
    ("script", "code", "kind"),
    [
        (ROOT.replace("[[steps]]", "[[steps]]\ndays = 9000"), "policy.certificate_days", ProfileError),
        (ROOT.replace('"XU"', '"Utopia"'), "build.subject", ProfileError),
        (ROOT.replace("https://mdl.example/iaca.crl", "ftp://mdl.example"), "publish.address", LocalProtocolError),
        (ROOT.replace("[[steps]]", "[[steps]]\ncrl_days = 91"), "authority.crl_days", LocalProtocolError),
        (ROOT.replace("[[steps]]", '[[steps]]\ndoctype = "org.example"'), "policy.doctype", IssuanceError),
    ],
)
def test_what_would_break_the_profile_is_told_before_anything_is_made(
    place: Place, script: str, code: str, kind: type[MdlError]
) -> None:
    ceremony = place.ceremony(head(place.root_token.uri) + opening() + script + RECORD, out="first")
    with pytest.raises(kind) as caught:
        ceremony.hold()
    assert caught.value.code == code, caught.value
    assert place.keys() == set()
    assert not (place.folder / "root").exists()
    assert not (place.folder / "first" / "record.json").exists()


def test_a_policy_binds_the_ceremony_and_comes_into_the_authority(place: Place) -> None:
    write(place.folder / "policy.toml", 'version = 1\n[keys]\niaca = ["P-384"]\n[days]\ndocument-signer = 30\n')
    script = first_script(place.root_token.uri, policy='"policy.toml"')
    refused("policy.curve", ProfileError, place.ceremony(script, out="first").hold)
    assert place.keys() == set()
    place.ceremony(script.replace("P-256", "P-384"), out="first").hold()
    assert place.root.policy.days[Role.DOCUMENT_SIGNER] == 30

    joining = Joining(root=place.root.root, crl=place.root.current_crl, token=place.online_token.uri)
    OnlineSide.join(place.folder / "online", joining, at=now(), secret=place.online_token.secret)
    sha256 = request(place)
    script = place.later_script(sign_csr(sha256)).replace('"P-256"', '"P-384"')
    refused("policy.certificate_days", ProfileError, place.ceremony(script, out="second").hold)


def test_a_request_that_was_exchanged_is_not_signed(founded: Place) -> None:
    sha256 = request(founded)
    (founded.folder / "ds-1.csr").write_bytes(founded.side.request(at=now).file.read_bytes())
    ceremony = founded.ceremony(founded.later_script(sign_csr(sha256)), out="second")
    refused("ceremony.file", VerificationError, ceremony.hold)
    assert len(founded.root.roots) == 1


def test_a_request_is_not_certified_for_another_role_than_the_online_side_made_it_for(founded: Place) -> None:
    handed = founded.side.request(at=now, role=Role.STATUS_SIGNER)
    (founded.folder / "carried.csr").write_bytes(handed.file.read_bytes())

    def script(role: Role) -> str:
        names = {"request": "carried.csr", "certificate": "signer.pem", "common_name": "Utopia lists"}
        return founded.later_script(sign_csr(handed.sha256, days=90, role=role.value, **names))

    wrong = founded.ceremony(script(Role.DOCUMENT_SIGNER), out="second")
    refused("request.role", IssuanceError, wrong.hold)
    # Nor by whoever holds the root without a script.
    data = founded.file("carried.csr")
    refused("request.role", IssuanceError, lambda: founded.root.certify(Role.DOCUMENT_SIGNER, at=now, request=data))
    assert len(founded.root.roots) == 1
    founded.ceremony(script(handed.role), out="third").hold()
    taken = founded.side.accept(founded.file("third/signer.pem"), at=now)
    assert isinstance(taken, CertificateRecord)
    assert (taken.role, taken.key) == (Role.STATUS_SIGNER, handed.key)


def test_a_request_that_nobody_signed_is_not_signed(founded: Place) -> None:
    request(founded)
    file = founded.folder / "ds-1.csr"
    der = bytearray(_der(file))
    der[-1] ^= 1
    file.write_bytes(der)
    script = founded.later_script(sign_csr(hashlib.sha256(der).hexdigest()))
    with pytest.raises(VerificationError, match=r"request\.possession"):
        founded.ceremony(script, out="second").hold()


def _der(file: Path) -> bytes:
    done = subprocess.run(["openssl", "req", "-in", file, "-outform", "DER"], check=True, capture_output=True)
    return done.stdout


def test_the_root_signs_the_link_to_its_successor(founded: Place) -> None:
    second = first_script(founded.root_token.uri).replace("[[operators]]", 'key = "iaca-2"\n\n[[operators]]', 1)
    founded.ceremony(second.replace("iaca.crl", "iaca-2.crl"), out="next", authority="root-2").hold()
    successor = Certificate.decode_any(founded.file("next/iaca.pem"))
    step = (
        '\n[[steps]]\ndo = "link"\nsuccessor = "next/iaca.pem"\ncertificate = "link.pem"\n'
        f'sha256 = "{successor.fingerprint.hex()}"\n'
    )
    record = founded.ceremony(founded.later_script(step), out="linking").hold()
    assert record.verify(founded.root.root)
    link = Certificate.decode_any(founded.file("linking/link.pem"))
    assert link.public_key == successor.public_key

    # The online side takes the new root by its fingerprint, and the link because it knows both ends.
    refused("handover.key", VerificationError, lambda: founded.side.accept(link.der, at=now))
    refused("handover.fingerprint", VerificationError, lambda: founded.side.accept(successor.der, at=now))
    founded.side.accept(successor.der, at=now, fingerprint=successor.fingerprint)
    founded.side.accept(founded.file("next/iaca.crl"), at=now)
    founded.side.accept(link.der, at=now)
    online = Authority(founded.folder / "online")
    assert {one.fingerprint for one in online.roots} == {founded.root.root.fingerprint, successor.fingerprint}
    assert online.verify_audit() == []


def test_the_online_side_believes_no_certificate(founded: Place) -> None:
    sha256 = request(founded)
    founded.ceremony(founded.later_script(sign_csr(sha256)), out="second").hold()
    signed = founded.file("second/ds-1.pem")
    der = bytearray(Certificate.decode_any(signed).der)
    der[-1] ^= 1
    refused("handover.issuer", VerificationError, lambda: founded.side.accept(bytes(der), at=now))
    refused("handover.form", DecodeError, lambda: founded.side.accept(b"nothing", at=now))
    refused(
        "handover.crl_number", LocalProtocolError, lambda: founded.side.accept(founded.file("first/iaca.crl"), at=now)
    )
    founded.side.accept(signed, at=now)
    refused("handover.key", VerificationError, lambda: founded.side.accept(signed, at=now))
    codes = [code for event, code in events(founded.folder / "online") if event is Event.REFUSAL]
    assert codes == ["handover.issuer", "handover.form", "handover.crl_number", "handover.key"]
    assert Authority(founded.folder / "online").verify_audit() == []


def test_a_certificate_for_a_key_of_somebody_else_is_not_taken(founded: Place) -> None:
    elsewhere = founded.root.certify(Role.DOCUMENT_SIGNER, at=now)
    refused("handover.key", VerificationError, lambda: founded.side.accept(elsewhere.certificate.der, at=now))


def test_a_signer_that_a_crl_revokes_issues_no_more(founded: Place) -> None:
    sha256 = request(founded)
    founded.ceremony(founded.later_script(sign_csr(sha256)), out="second").hold()
    certificate = Certificate.decode_any(founded.file("second/ds-1.pem"))
    founded.side.accept(certificate.der, at=now)
    step = f'\n[[steps]]\ndo = "crl"\nrevoke = ["{certificate.serial:x}"]\n'
    founded.ceremony(founded.later_script(step), out="third").hold()
    founded.side.accept(founded.file("third/iaca.crl"), at=now)
    authority = Authority(founded.folder / "online", secret=founded.online_token.secret)

    def issue() -> None:
        with authority.open_issuer(at=now):
            pytest.fail("a revoked signer was opened")

    refused("authority.signer_revoked", IssuanceError, issue)


def test_a_signer_that_is_revoked_before_it_is_carried_back_is_not_taken(founded: Place) -> None:
    sha256 = request(founded)
    founded.ceremony(founded.later_script(sign_csr(sha256)), out="second").hold()
    certificate = Certificate.decode_any(founded.file("second/ds-1.pem"))
    founded.side.accept(founded.root.publish_crl(at=now, revoke=[certificate.serial]).crl.der, at=now)
    refused("handover.over", VerificationError, lambda: founded.side.accept(certificate.der, at=now))


def test_a_key_that_the_token_would_give_away_is_none_for_a_root(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def given_away(uri: str, *, secret: SecretHandler) -> list[StoredKey]:
        return [replace(one, extractable=True) for one in list_keys(uri, secret=secret)]

    monkeypatch.setattr(conduct, "list_keys", given_away)
    ceremony = place.ceremony(first_script(place.root_token.uri), out="first")
    refused("ceremony.extractable", SigningError, ceremony.hold)
    assert not (place.folder / "root" / "iaca.pem").exists()


def test_one_phrase_is_not_that_of_two(place: Place) -> None:
    script = first_script(place.root_token.uri)
    lines = [line for line in script.splitlines() if line.startswith("phrase")]
    shared = script.replace(lines[1], f'phrase = "{enrol(PHRASES["Ada Sample"])}"')

    def ada(_operator: Operator, _step: Announcement) -> Phrase:
        return Phrase(text=PHRASES["Ada Sample"], means="program")

    refused("ceremony.same_phrase", VerificationError, place.ceremony(shared, out="first", confirm=ada).hold)
    assert place.keys() == set()


def test_the_auditor_has_a_token_of_their_own(founded: Place, tmp_path: Path) -> None:
    """Here the online side's token plays the auditor's: what counts is that the root's token has no such key."""
    auditor = Authority(tmp_path / "root", secret=founded.online_token.secret)
    auditor.sign_checkpoint(at=now, token=founded.online_token.uri)
    assert founded.keys() == {"iaca"}
    refused("signing.pin_incorrect", SigningError, lambda: auditor.sign_checkpoint(at=now))
    assert founded.root.verify_audit() == []


def test_the_page_can_be_followed(place: Place) -> None:
    """Every command of the page in its order, with the files of the example."""
    folder = place.folder
    example = "pkcs11:token=root?module-path=/usr/lib/softhsm/libsofthsm2.so"
    script = (EXAMPLES / "first-root.toml").read_text()
    assert example in script
    script = script.replace(example, place.root_token.uri)
    write(folder / "first-root.toml", script)
    write(folder / "policy.toml", (EXAMPLES / "policy.toml").read_text())
    for name, content in (
        ("root.pin", place.root_token.pin),
        ("online.pin", place.online_token.pin),
        ("ada.phrase", PHRASES["Ada Sample"]),
        ("bo.phrase", PHRASES["Bo Sample"]),
    ):
        write(folder / name, content)
        (folder / name).chmod(0o600)
    (steps,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    shell = os.environ | {
        "PATH": f"{Path(COMMAND).parent}{os.pathsep}{os.environ['PATH']}",
        "ONLINE_TOKEN": place.online_token.uri,
    }
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    for block in blocks:
        if (folder / "first").exists():
            shell["FINGERPRINT"] = Certificate.decode_any(place.file("first/iaca.pem")).fingerprint.hex()
        if (folder / "online").exists() and not (folder / "second.toml").exists():
            (folder / "ds-1.csr").write_bytes(place.file("online/ds-1.csr"))
            sha256 = hashlib.sha256(_der(folder / "ds-1.csr")).hexdigest()
            head_of_script = script[: script.index("[[steps]]")]
            write(folder / "second.toml", head_of_script + steps.replace("what csr printed", sha256))
        done = subprocess.run(
            ["sh", "-ec", block], cwd=folder, env=shell, check=False, capture_output=True, text=True, timeout=100
        )
        assert (done.returncode, done.stderr) == (0, ""), (block, done.stderr)
    online = Authority(folder / "online", secret=place.online_token.secret, actor=Actor.ISSUING_SERVICE)
    with online.open_issuer(at=now) as issuer:
        assert issuer.certificate.fingerprint == Certificate.decode_any(place.file("second/ds-1.pem")).fingerprint

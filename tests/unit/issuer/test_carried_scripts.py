"""What is carried to a ceremony: names of people, the module, the script beside the record; and a file with entries."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from issuer.ceremony import Ceremony, CeremonyRecord, Confirmation, Entry, Outcome, Script
from issuer.ceremony.names import are_distinct, shown_name
from issuer.ceremony.record import Witness
from issuer.ceremony.script import MODULE_FOLDERS, asked_of
from mdl.cli import main
from mdl.errors import DecodeError, VerificationError
from mdl.testing import TEST_TIME, ThrowawayAuthority
from tests.ceremonies import both, first_script, write

AUTHORITY = ThrowawayAuthority()
ALIKE = [
    ("Ada Sample", "\u0410da Sample"),  # a Cyrillic A
    ("Ada Sample", "Ad\u0430 S\u0430mple"),
    ("Ada Sample", "\u0391da Sample"),  # a Greek Alpha
    ("Ada Sample", "\uff21da Sample"),  # full width
    ("Ada Sample", "ADA  SAMPLE"),
    ("Ada Sample", "\U0001d400da Sample"),  # mathematical
    ("Zo\u00eb Bone", "Zo\u0435\u0308 Bone"),  # a Cyrillic e and a combining mark
    ("Zo\u00eb Bone", "Zo\u0451 B\u043ene"),
    ("Bo Sample", "\u13f4\u043e Sample"),  # a Cherokee letter
    ("Rita Poe", "R\u0131ta \u0420oe"),
    ("\u0412\u0435\u0440\u0430", "Bepa"),
    ("Otto", "\u0555\u057f\u057f\u0585".replace("\u057f", "t")),  # Armenian
    ("TOM HAY", "\u03a4\u039f\u039c \u0397\u0391\u03a5"),  # all of it Greek
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_that_differ_by_script_only_are_one_person(one: str, other: str, tmp_path: Path) -> None:
    assert not are_distinct([one, "Cy Example", other])
    text = first_script().replace("Ada Sample", one).replace("Bo Sample", other)
    with pytest.raises(DecodeError) as caught:
        Script.read(write(tmp_path / "script.toml", text))
    assert (caught.value.code, caught.value.path) == ("ceremony.operators", "operators.name")
    with pytest.raises(VerificationError, match=r"ceremony\.confirmations"):
        a_record(script_of(tmp_path), people=[one, other]).verify()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada Sample", "Bo Sample"),
        ("Jo Hill", "Jo Hall"),
        ("\u0418\u0432\u0430\u043d", "\u041f\u0435\u0442\u0440"),
        ("Zo\u00eb", "Zoe"),
        ("\u5c71\u7530", "\u5c71\u7530\u82b1"),
    ],
)
def test_other_names_are_two_people(one: str, other: str) -> None:
    assert are_distinct([one, other])


def test_a_name_that_is_not_latin_is_shown_with_its_code_points(tmp_path: Path) -> None:
    assert shown_name("Zo\u00eb O'Hara-\u0141uk 2nd") == "Zo\u00eb O'Hara-\u0141uk 2nd"
    assert shown_name("Ad\u0430") == "Ad\u0430 (U+0430)"
    assert shown_name("\u5c71\u7530") == "\u5c71\u7530 (U+5C71 U+7530)"
    document = a_record(script_of(tmp_path), people=["Ada Sample", "B\u043eris"]).document()
    assert document.count("B\u043eris (U+043E)") == 1 + 4  # among the operators, and at each step


# --- the module -------------------------------------------------------------------------------------------------------


def script_of(folder: Path, module: str = "/usr/lib/a-module.so") -> Script:
    text = first_script(f"pkcs11:token=root?module-path={module}")
    return Script.read(write(folder / "script.toml", text))


@pytest.mark.parametrize("folder", MODULE_FOLDERS)
def test_a_module_of_the_system_is_taken(folder: str, tmp_path: Path) -> None:
    script_of(tmp_path, f"{folder}/vendor/module.so").check_module()


@pytest.mark.parametrize(
    "module",
    [
        "/media/stick/module.so", "/tmp/m.so", "/usr/lib/../../tmp/m.so", "/usr/library/m.so", "/home/ada/m.so",
        "/usr/lib/x/../../../media/m.so", "/", "/usr", "/var/lib/m.so", "/dev/fd/3",
    ],
)  # fmt: skip
def test_a_module_from_elsewhere_is_refused_unless_it_is_named(module: str, tmp_path: Path) -> None:
    script = script_of(tmp_path, module)
    for named in ([], ["/media/stick/other.so"], [module + "2"]):
        with pytest.raises(DecodeError) as caught:
            script.check_module(named)
        assert (caught.value.code, caught.value.path) == ("ceremony.module", "token.uri")
        with pytest.raises(DecodeError, match=r"ceremony\.module"):
            Ceremony(
                script,
                authority=tmp_path / "root",
                out=tmp_path / "out",
                confirm=both,
                secret=lambda _: "1234",
                at=lambda: TEST_TIME,
                modules=named,
            )
    if ".." not in module:
        script.check_module([module])


def test_a_link_out_of_the_systems_folders_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, outside = tmp_path / "lib", tmp_path / "stick"
    inside.mkdir()
    outside.mkdir()
    (outside / "evil.so").write_bytes(b"")
    (inside / "module.so").symlink_to(outside / "evil.so")
    (inside / "good.so").write_bytes(b"")
    monkeypatch.setattr("issuer.ceremony.script.MODULE_FOLDERS", (str(inside),))
    script_of(tmp_path, f"{inside}/good.so").check_module()
    with pytest.raises(DecodeError, match=r"ceremony\.module"):
        script_of(tmp_path, f"{inside}/module.so").check_module()


def test_the_command_takes_a_module_that_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script_of(tmp_path, "/media/stick/module.so")
    words = ["issuer", "ceremony", str(tmp_path / "script.toml"), "--dir", str(tmp_path / "root")]
    for how in (["--check"], ["--out", str(tmp_path / "out")]):
        assert main([*words, *how]) == 3
        assert "[ceremony.module]" in capsys.readouterr().err
    assert main([*words, "--check", "--module", "/media/stick/module.so"]) == 0
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "root").exists()


# --- the record and its script ----------------------------------------------------------------------------------------


def a_record(of: Script, *, people: list[str] | None = None, **changes: Any) -> CeremonyRecord:
    root = AUTHORITY.iaca_certificate
    names = people or [one.name for one in of.operators]
    came: dict[str, dict[str, Any]] = {
        "root": {"certificate": root.pem, "certificate_sha256": root.fingerprint.hex()},
        "record": {"root_sha256": root.fingerprint.hex()},
    }
    transcript = tuple(
        Entry(
            step=number,
            do=step.do,
            says=step.says,
            asked=asked_of(step),
            confirmed=tuple(Confirmation(operator=name, time=TEST_TIME, means="typed") for name in names),
            began=TEST_TIME,
            ended=TEST_TIME,
            outcome=Outcome.DONE,
            came=came.get(step.do, {}),
        )
        for number, step in enumerate(of.steps, 1)
    )
    given: dict[str, Any] = {
        "title": of.title,
        "place": of.place,
        "script": of.digest,
        "policy": of.policy_digest,
        "operators": tuple(Witness(name=name, duty="operator") for name in names),
        "confirmations": 2,
        "token": of.token,
        "key": of.key,
        "began": TEST_TIME,
        "root": root,
        "transcript": transcript,
    }
    return CeremonyRecord(**(given | changes)).sign(AUTHORITY.iaca_key)


def test_a_record_is_verified_with_its_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = script_of(tmp_path)
    record = a_record(script)
    assert any(script.digest.hex() in fact for fact in record.verify(script=script))
    assert not any(script.digest.hex() in fact for fact in record.verify())
    file = tmp_path / "record.json"
    file.write_bytes(record.encode())
    words = ["issuer", "ceremony", "verify", str(file)]
    assert main(words) == 0
    assert "NOT COMPARED" in capsys.readouterr().out
    assert main([*words, "--script", str(tmp_path / "script.toml")]) == 0
    assert "NOT COMPARED" not in capsys.readouterr().out
    write(tmp_path / "script.toml", first_script() + "# a line more\n")
    assert main([*words, "--script", str(tmp_path / "script.toml")]) == 1
    assert "[ceremony.other_script]" in capsys.readouterr().err


def test_a_record_that_tells_another_story_than_its_script_is_refused(tmp_path: Path) -> None:
    """The root key has signed each of them; its script is named rightly, and was not followed."""
    script = script_of(tmp_path)
    steps = a_record(script).transcript
    key, last = steps[1], steps[-1]
    stories: list[dict[str, Any]] = [
        {"title": "Another"},
        {"place": "elsewhere"},
        {"script": bytes(32)},
        {"policy": bytes(32)},
        {"token": "pkcs11:token=other?module-path=/usr/lib/m.so"},
        {"key": "other"},
        {"operators": (Witness(name="Ada Sample", duty="king"), Witness(name="Bo Sample", duty="operator"))},
        {"transcript": (steps[0], replace(key, asked={**key.asked, "curve": "P-521"}), *steps[2:])},
        {"transcript": (steps[0], replace(key, says="Make no key."), *steps[2:])},
        {"transcript": (steps[0], replace(key, do="token"), *steps[2:])},
        {"transcript": (*steps[:2], replace(last, step=3))},
        {"transcript": (*steps[:-1], replace(last, do="crl", came={}), replace(last, step=len(steps) + 1))},
        {"transcript": (steps[0], replace(key, asked={}, outcome=Outcome.FAILED, code="x.y"), *steps[1:])},
    ]
    for story in stories:
        record = a_record(script, **story)
        assert record.verify()
        with pytest.raises(VerificationError) as caught:
            record.verify(script=script)
        assert caught.value.code == "ceremony.other_script", story
    failed = replace(key, outcome=Outcome.FAILED, code="x.y")
    assert a_record(script, transcript=(steps[0], failed, *steps[1:])).verify(script=script)


# --- the file with the entries of a VICAL -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../r.pem", "{outside}/r.pem", "link.pem", "linked/r.pem", "a/../../r.pem", "pipe"])
def test_entries_are_read_below_their_own_folder(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside, outside = tmp_path / "in", tmp_path
    (inside / "a").mkdir(parents=True)
    for place in (outside / "r.pem", inside / "a" / "good.pem"):
        place.write_bytes(AUTHORITY.iaca_certificate.pem.encode())
    (inside / "link.pem").symlink_to(outside / "r.pem")
    (inside / "linked").symlink_to(outside)
    os.mkfifo(inside / "pipe")
    entries, out = inside / "entries.toml", tmp_path / "v.cbor"
    words = ["issuer", "vical", "--dir", str(tmp_path / "none"), "--entries", str(entries), "--provider", "P"]

    def run(certificate: str) -> str:
        entries.write_text(f'[[entry]]\ncertificate = "{certificate}"\ndoctypes = ["org.iso.18013.5.1.mDL"]\n')
        assert main([*words, "--out", str(out)]) != 0
        assert not out.exists()
        return capsys.readouterr().err

    said = run(name.format(outside=outside))
    assert "[vical.entries]" in said
    assert "r.pem" not in said
    assert "[authority.missing]" in run("a/good.pem")  # it is read, and the next thing is missing

"""Ceremonies without a token: scripts that are refused, records that are forged, rehearsals that make nothing."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.ceremony import CeremonyRecord, Confirmation, Entry, Operator, Outcome, Script, Witness, enrol, rehearse
from mdl.errors import DecodeError, IssuanceError, MdlError, SigningError, VerificationError
from mdl.testing import ThrowawayAuthority, deterministic_key
from tests.ceremonies import PHRASES, RECORD, ROOT, first_script, head, opening, write

AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "ceremony"
SHA = "0" * 64


def read(folder: Path, text: str) -> Script:
    return Script.read(write(folder / "script.toml", text))


# --- operators --------------------------------------------------------------------------------------------------------


def test_an_operator_is_known_by_the_phrase_and_by_nothing_else() -> None:
    operator = Operator(name="Ada", duty="officer", phrase=enrol("a heron in the reeds é"))
    assert operator.accepts("a heron in the reeds é")
    assert operator.accepts(" a heron in the reeds e\u0301\n")  # as another keyboard writes it
    assert not operator.accepts("a heron in the reeds e")
    assert not operator.accepts("")
    assert "heron" not in operator.phrase
    assert operator.phrase not in repr(operator)
    assert enrol("a heron in the reeds é") != operator.phrase


def test_a_short_phrase_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"ceremony\.phrase"):
        enrol("  short one  ")


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_a_script_is_read(tmp_path: Path) -> None:
    script = read(tmp_path, first_script())
    assert [one.name for one in script.operators] == [*PHRASES]
    assert [one.do for one in script.steps] == ["token", "key", "root", "record"]
    assert (script.confirmations, script.key) == (2, "iaca")
    assert script.root_step is not None
    assert script.root_step.days == 3285


def two(text: str) -> str:
    return first_script().replace("[token]", f"{text}\n\n[token]", 1)


STEP = "\n[[steps]]\n"


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("version", "ceremony.toml", ""),
        (first_script().replace("version = 1", "version = 2"), "ceremony.form", "version"),
        (two('speed = "fast"'), "ceremony.form", "speed"),
        (two("confirmations = 1"), "ceremony.operators", "confirmations"),
        (two("confirmations = 3"), "ceremony.operators", "confirmations"),
        (first_script().replace("Bo Sample", "ada  SAMPLE"), "ceremony.operators", "operators.name"),
        (first_script("https://token"), "ceremony.form", "token.uri"),
        (first_script("pkcs11:token=a;object=iaca?module-path=/m.so"), "ceremony.form", "token.uri"),
        (first_script().replace("scrypt1:", "plain:"), "ceremony.form", "operators[0].phrase"),
        (head() + opening() + ROOT + '\n[[steps]]\ndo = "dance"\n' + RECORD, "ceremony.step", "steps[3].do"),
        (head() + opening(curve="P-257") + ROOT + RECORD, "ceremony.form", "steps[1].curve"),
        (head() + opening(curve="Ed25519") + ROOT + RECORD, "ceremony.form", "steps[1].curve"),
        (head() + opening(expect="maybe") + ROOT + RECORD, "ceremony.form", "steps[1].expect"),
        (head() + opening() + ROOT, "ceremony.order", "steps"),
        (head() + opening() + RECORD + ROOT, "ceremony.order", "steps"),
        (head() + opening() + RECORD, "ceremony.order", "steps[1].expect"),
        (head() + ROOT + opening() + RECORD, "ceremony.order", "steps"),
        (head() + opening() + ROOT + ROOT + RECORD, "ceremony.order", "steps"),
        (
            head() + opening() + ROOT.replace("contact_uri", "contact_url") + RECORD,
            "ceremony.form",
            "steps[2].contact_url",
        ),
        (head() + opening() + ROOT.replace('country = "XU"\n', "") + RECORD, "ceremony.form", "steps[2].country"),
        (head() + opening() + ROOT + "days = 0" + RECORD, "ceremony.form", "steps[2].days"),
        (
            head() + opening() + ROOT.replace('contact_uri = "https://mdl.example"', "") + RECORD,
            "ceremony.form",
            "steps[2]",
        ),
        (
            head() + opening() + ROOT + f'{STEP}do = "crl"\nfile = "../iaca.crl"' + RECORD,
            "ceremony.form",
            "steps[3].file",
        ),
        (head() + opening() + ROOT + f'{STEP}do = "crl"' + RECORD, "ceremony.order", "steps"),
        (head() + opening() + ROOT + f'{STEP}do = "crl"\nfile = "record.json"' + RECORD, "ceremony.order", "steps"),
        (head() + opening() + ROOT + f'{STEP}do = "crl"\nrevoke = ["XY"]' + RECORD, "ceremony.form", "steps[3].revoke"),
        (
            head()
            + opening()
            + ROOT
            + f'{STEP}do = "link"\nsuccessor = "n"\nsha256 = "12"\ncertificate = "l"'
            + RECORD,
            "ceremony.form",
            "steps[3].sha256",
        ),
        (
            head()
            + opening()
            + ROOT
            + f'{STEP}do = "sign-csr"\nrequest = "r"\nsha256 = "{SHA}"\ncertificate = "c"\ncommon_name = "n"\n'
            + 'role = "iaca"'
            + RECORD,
            "ceremony.form",
            "steps[3].role",
        ),
    ],
)
def test_a_script_that_is_none_is_refused_with_its_place(tmp_path: Path, text: str, code: str, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        read(tmp_path, text)
    assert (caught.value.code, caught.value.path) == (code, path)


def test_a_script_names_two_operators_at_least(tmp_path: Path) -> None:
    text = first_script()
    alone = text[: text.index("[[operators]]", text.index("[[operators]]") + 1)] + text[text.index("[[steps]]") :]
    with pytest.raises(DecodeError) as caught:
        read(tmp_path, alone)
    assert caught.value.code == "ceremony.operators"


def test_two_operators_do_not_share_what_was_enrolled(tmp_path: Path) -> None:
    lines = first_script().splitlines()
    phrases = [line for line in lines if line.startswith("phrase")]
    text = first_script().replace(phrases[1], phrases[0])
    with pytest.raises(DecodeError) as caught:
        read(tmp_path, text)
    assert (caught.value.code, caught.value.path) == ("ceremony.operators", "operators.phrase")


# --- rehearsals -------------------------------------------------------------------------------------------------------


def test_a_rehearsal_makes_nothing_and_opens_no_token(tmp_path: Path) -> None:
    """The script's module does not even exist."""
    script = read(tmp_path / "script", first_script())
    rehearse(script, tmp_path / "root", at=AT)
    assert not (tmp_path / "root").exists()


def test_a_rehearsal_finds_a_life_that_is_too_long(tmp_path: Path) -> None:
    script = read(tmp_path, head() + opening() + ROOT + "days = 7300" + RECORD)
    with pytest.raises(MdlError, match=r"policy\.certificate_days"):
        rehearse(script, tmp_path / "root", at=AT)


def test_a_rehearsal_finds_a_request_that_is_missing(tmp_path: Path) -> None:
    step = f'{STEP}do = "sign-csr"\nrequest = "r"\nsha256 = "{SHA}"\ncertificate = "c"\ncommon_name = "n"\n'
    script = read(tmp_path, head() + opening() + ROOT + step + RECORD)
    with pytest.raises(DecodeError, match=r"authority\.unreadable"):
        rehearse(script, tmp_path / "root", at=AT)


def test_a_rehearsal_finds_a_document_type_that_the_policy_does_not_allow(tmp_path: Path) -> None:
    write(tmp_path / "p.toml", 'version = 1\n[credentials]\ndoctypes = ["org.iso.23220.photoid.1"]\n')
    script = read(tmp_path, first_script(policy='"p.toml"'))
    with pytest.raises(IssuanceError, match=r"policy\.doctype"):
        rehearse(script, tmp_path / "root", at=AT)


def test_the_example_is_a_script_that_can_be_held(tmp_path: Path) -> None:
    script = Script.read(EXAMPLES / "first-root.toml")
    assert script.policy is not None
    rehearse(script, tmp_path / "root", at=AT)


# --- records ----------------------------------------------------------------------------------------------------------


def an_entry(step: int, do: str, **came: Any) -> Entry:
    time = AT + timedelta(minutes=step)
    return Entry(
        step=step,
        do=do,
        says="what was announced",
        asked={"curve": "P-256", "revoke": ["1", "2"], "state": None},
        confirmed=tuple(Confirmation(operator=name, time=time, means="typed") for name in PHRASES),
        began=time,
        ended=time,
        outcome=Outcome.DONE,
        came=came,
    )


AUTHORITY = ThrowawayAuthority()


def a_record(**changes: Any) -> CeremonyRecord:
    root = AUTHORITY.iaca_certificate
    fingerprint = root.fingerprint.hex()
    given: dict[str, Any] = {
        "title": "A root | with <a> title",
        "place": "",
        "script": bytes(32),
        "operators": tuple(Witness(name=name, duty="operator") for name in PHRASES),
        "confirmations": 2,
        "token": "pkcs11:token=root?module-path=/m.so",
        "key": "iaca",
        "began": AT,
        "root": root,
        "transcript": (
            an_entry(1, "token", keys=[]),
            an_entry(2, "root", certificate=root.pem, certificate_sha256=fingerprint),
            an_entry(3, "record", root_sha256=fingerprint),
        ),
    }
    return CeremonyRecord(**(given | changes)).sign(AUTHORITY.iaca_key)


def test_a_record_is_verified_from_its_bytes() -> None:
    record = a_record()
    again = CeremonyRecord.decode(record.encode())
    assert again == record
    facts = again.verify(AUTHORITY.iaca_certificate)
    assert AUTHORITY.iaca_certificate.fingerprint.hex() in facts[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("what was announced", "what was not announced"),
        ("Bo Sample", "Cy Sample"),
        ('"typed"', '"file"'),
        ('"P-256"', '"P-384"'),
        ("12:01:00", "12:01:01"),
        ('"iaca"', '"iaca-2"'),
        ("A root", "No root"),
    ],
)
def test_a_record_that_was_changed_is_not_true(before: str, after: str) -> None:
    text = a_record().encode().decode()
    assert before in text
    with pytest.raises(VerificationError) as caught:
        CeremonyRecord.decode(text.replace(before, after).encode()).verify()
    assert caught.value.code == "ceremony.signature"


def test_a_record_without_a_step_is_not_true() -> None:
    record = a_record()
    with pytest.raises(VerificationError, match=r"ceremony\.signature"):
        replace(record, transcript=record.transcript[:1] + record.transcript[2:]).verify()


def test_a_record_of_somebody_elses_root_is_told_by_the_root() -> None:
    forger = ThrowawayAuthority("Forger")
    fingerprint = forger.iaca_certificate.fingerprint.hex()
    record = replace(
        a_record(),
        root=forger.iaca_certificate,
        transcript=(an_entry(1, "token"), an_entry(2, "record", root_sha256=fingerprint)),
    ).sign(forger.iaca_key)
    assert record.verify()
    with pytest.raises(VerificationError) as caught:
        record.verify(AUTHORITY.iaca_certificate)
    assert caught.value.code == "ceremony.root"


def test_a_record_that_another_key_signed_is_not_true() -> None:
    record = a_record()
    with pytest.raises(SigningError, match=r"signing\.wrong_key"):
        record.sign(deterministic_key("another"))
    other = a_record(title="another")
    with pytest.raises(VerificationError, match=r"ceremony\.signature"):
        replace(record, signature=other.signature).verify()
    with pytest.raises(VerificationError, match=r"ceremony\.unfinished"):
        replace(record, signature=None).verify()


def test_a_signature_that_names_another_key_is_refused() -> None:
    record = a_record()
    assert record.signature is not None
    key = hashlib.sha256(AUTHORITY.iaca_key.public_key.spki).digest()
    assert key in record.signature
    with pytest.raises(VerificationError, match=r"ceremony\.signature"):
        replace(record, signature=record.signature.replace(key, bytes(32))).verify()


def confirmed_by(*names: str, **changes: Any) -> Entry:
    entry = an_entry(1, "token", **changes)
    return replace(entry, confirmed=tuple(Confirmation(operator=n, time=entry.began, means="typed") for n in names))


@pytest.mark.parametrize(
    "names", [("Ada Sample",), ("Ada Sample", "Ada Sample"), ("Ada Sample", "Cy Sample"), ()], ids=str
)
def test_a_step_that_two_operators_did_not_confirm_spoils_the_record(names: tuple[str, ...]) -> None:
    """Signed all the same, by whoever has the key: the signature is not what makes it two."""
    good = a_record()
    record = a_record(transcript=(confirmed_by(*names), *good.transcript[1:]))
    with pytest.raises(VerificationError) as caught:
        record.verify()
    assert caught.value.code == "ceremony.confirmations"


@pytest.mark.parametrize(
    "changes",
    [
        {"confirmations": 1},
        {"operators": (Witness(name="Ada Sample", duty="a"), Witness(name="Ada Sample", duty="b"))},
    ],
)
def test_a_record_by_less_than_two_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(VerificationError) as caught:
        a_record(**changes).verify()
    assert caught.value.code == "ceremony.confirmations"


def test_steps_that_are_missing_or_out_of_order_spoil_the_record() -> None:
    first, second, last = a_record().transcript
    for transcript in (
        (first, second),
        (second, first, last),
        (first, last),
        (first, replace(second, began=AT), last),
        (),
    ):
        with pytest.raises(VerificationError) as caught:
            a_record(transcript=transcript).verify()
        assert caught.value.code == "ceremony.sequence"


def test_a_certificate_that_is_not_the_one_it_says_spoils_the_record() -> None:
    first, second, last = a_record().transcript
    stranger = ThrowawayAuthority("Stranger")
    root, ds = AUTHORITY.iaca_certificate, AUTHORITY.ds_certificate
    for came in (
        {"certificate": root.pem, "certificate_sha256": SHA},
        {"certificate": ds.pem, "certificate_sha256": ds.fingerprint.hex()},  # not the root
        {"certificate": stranger.iaca_certificate.pem, "certificate_sha256": root.fingerprint.hex()},
        {"certificate": "no certificate", "certificate_sha256": root.fingerprint.hex()},
        {"certificate_sha256": root.fingerprint.hex(), "crl": "00"},
        {},
    ):
        with pytest.raises(VerificationError) as caught:
            a_record(transcript=(first, replace(second, came=came), last)).verify()
        assert caught.value.code == "ceremony.result"


def test_a_record_has_one_form() -> None:
    data = a_record().encode()
    content = json.loads(data)
    for other in (
        data + b"\n",
        data.replace(b"  ", b"   "),
        json.dumps(content).encode(),
        json.dumps({**content, "note": "x"}, indent=2).encode() + b"\n",
        data.replace(b'"confirmations": 2', b'"confirmations": true'),
        data.replace(b'"outcome": "done"', b'"outcome": "well"'),
        b"[]",
        b"",
        "é".encode(),
    ):
        with pytest.raises(DecodeError) as caught:
            CeremonyRecord.decode(other)
        assert caught.value.code == "ceremony.record"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_any_bytes_are_a_record_or_an_error(data: st.DataObject) -> None:
    content = json.loads(a_record().encode())
    spot: Any = content
    while True:
        names = [*spot] if isinstance(spot, dict) else [*range(len(spot))]
        name = data.draw(st.sampled_from(names))
        if not isinstance(spot[name], dict | list) or not spot[name] or data.draw(st.booleans()):
            break
        spot = spot[name]
    spot[name] = data.draw(_JSON)
    refused = None
    try:
        record = CeremonyRecord.decode(json.dumps(content, indent=2).encode() + b"\n")
        record.document()
        record.verify()
    except MdlError as exc:
        refused = exc.code
    assert refused is None or refused.startswith("ceremony.")


def test_the_document_tells_all_and_takes_no_commands() -> None:
    text = a_record().document()
    assert "A root \\| with \\<a\\> title" in text
    assert AUTHORITY.iaca_certificate.fingerprint.hex() in text
    for name in PHRASES:
        assert text.count(name) >= 4
    assert "finished and signed" in text
    assert "rehearsal" not in text
    assert "NOT FINISHED" in replace(a_record(), signature=None).document()
    by_file = replace(an_entry(1, "token"), confirmed=(Confirmation(operator="Ada Sample", time=AT, means="file"),))
    assert "rehearsal" in replace(a_record(), transcript=(by_file,)).document()

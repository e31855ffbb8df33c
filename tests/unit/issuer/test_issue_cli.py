"""``mdl issuer issue``: what it writes where, what it says of an order that is refused, and what may be asked of it."""

import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from issuer.audit import AuditRecord, Event
from issuer.authority import Authority
from issuer.issuance import Order
from issuer.records import parse_record, read_below
from mdl.cli import main
from mdl.mdoc import IssuerSigned, ValidityInfo
from tests.authorities import INIT, Outcome, device_key, licence, public_key_file, require_softhsm

Run = Callable[..., Outcome]
pytestmark = pytest.mark.hsm


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, authority: Path) -> Run:
    """Issues a licence with changes of its record."""

    def run(*words: str | Path, out: str | Path | None = "licence.cbor", **changes: Any) -> Outcome:
        record, key = licence(tmp_path, **changes), public_key_file(tmp_path)
        given = () if out is None else ("--out", tmp_path / out if out != "-" else "-")
        capsys.readouterr()
        status = main(["issuer", "issue", *map(str, (record, "--dir", authority, "--device-key", key, *given, *words))])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


def events(authority: Path) -> list[tuple[Event, Any]]:
    with Authority(authority).audit_records() as records:
        found = [AuditRecord.decode(one.record) for one in records]
    return [(one.event, one.subjects.get("code")) for one in found]


def test_a_licence_is_not_replaced_unasked(run: Run, tmp_path: Path, authority: Path) -> None:
    file = tmp_path / "licence.cbor"
    file.write_bytes(b"yesterday's")
    before = events(authority)
    run().error(2, "output.exists")
    # An order that is refused is told for what it is, and is put on record.
    assert "[issuance.element.empty]" in run(family_name="").err
    assert events(authority) == [*before, (Event.REFUSAL, "issuance.element.empty")]
    assert file.read_bytes() == b"yesterday's"
    assert run("--replace").status == 0
    assert IssuerSigned.decode(file.read_bytes()).security_object().device_public_key == device_key().public_key
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    run().error(2, "output.protected")
    run("--replace").error(2, "output.protected")
    assert not (tmp_path / "elsewhere").exists()


def test_a_licence_goes_to_the_standard_output(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outcome = run("--json", out="-")
    assert (outcome.status, outcome.json["error"]["code"]) == (2, "output.twice")
    run(out=None).error(2, "output.missing")
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stream)
    outcome = run(out="-")
    assert outcome.status == 0
    assert IssuerSigned.decode(stream.buffer.getvalue()).security_object().version == "1.0"
    assert "reference" in outcome.err
    assert not (tmp_path / "-").exists()


def test_a_licence_that_cannot_be_handed_out_is_revoked(
    run: Run, monkeypatch: pytest.MonkeyPatch, authority: Path
) -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(Full()))
    assert run(out="-").status == 4
    assert [event for event, _ in events(authority)][-2:] == [Event.BATCH_ISSUED, Event.CREDENTIAL_REVOKED]


def test_an_order_is_checked_without_the_token(
    run: Run, monkeypatch: pytest.MonkeyPatch, authority: Path, tmp_path: Path
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("the token was opened")

    monkeypatch.setattr("issuer.custody.open_signer", never)
    before = events(authority)
    assert run("--check", out=None).status == 0
    assert run("--check", "--json", out=None).json == {"accepted": True, "doctype": "org.iso.18013.5.1.mDL"}
    outcome = run("--check", "--json", out=None, height=0)
    assert (outcome.status, outcome.json["error"]["code"]) == (1, "issuance.element.range")
    assert events(authority) == before
    assert not (tmp_path / "licence.cbor").exists()


@pytest.mark.parametrize(
    ("words", "changes", "expected"),
    [
        ((), {"family_name": " "}, [("element.empty", "org.iso.18013.5.1/family_name")]),
        ((), {"height": 0}, [("element.range", "org.iso.18013.5.1/height")]),
        (("--valid-days", "456"), {}, [("issuance.outlives_certificate", "validity.valid_until")]),
        (
            ("--valid-days", "456"),
            {"height": 0, "sex": "f", "document_number": None},
            [
                ("record.type", "org.iso.18013.5.1/sex"),
                ("element.missing", "org.iso.18013.5.1/document_number"),
                ("element.range", "org.iso.18013.5.1/height"),
            ],
        ),
        (
            ("--valid-days", "456"),
            {"height": 0, "document_number": ""},
            [
                ("issuance.outlives_certificate", "validity.valid_until"),
                ("element.empty", "org.iso.18013.5.1/document_number"),
                ("element.range", "org.iso.18013.5.1/height"),
            ],
        ),
    ],
)
def test_the_violations_are_in_the_json_from_one_on(
    run: Run, words: tuple[str, ...], changes: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    error = run("--check", "--json", *words, out=None, **changes).json["error"]
    assert [(one["code"], one["path"]) for one in error["violations"]] == expected
    assert all(one["message"] for one in error["violations"])


def test_a_licence_is_not_dated_ahead(run: Run) -> None:
    ahead = (datetime.now(UTC) + timedelta(days=14)).strftime("%Y-%m-%dT%H:%M:%SZ")
    back = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for when in (ahead, back):
        codes = [one["code"] for one in run("--check", "--json", "--at", when, out=None).json["error"]["violations"]]
        assert "policy.signed" in codes
    outcome = run("--valid-from", ahead, "--json")
    assert outcome.json["valid_from"] == ahead
    assert outcome.json["signed"] < ahead


def test_days_are_those_of_the_time_zone(run: Run) -> None:
    # Where it is the latest day on Earth, that day has not begun everywhere.
    day = (datetime.now(UTC) + timedelta(hours=14)).date()
    born = f"{day.year - 20}-{day.month:02}-{day.day:02}".replace("-02-29", "-03-01")
    changes = {"birth_date": born, "age_over_20": True, "age_over_21": False}
    early = run("--check", "--json", out=None, **changes).json["error"]
    assert early["code"] == "issuance.age.over"
    assert "time_zone" in early["violations"][0]["message"]
    if not born.endswith("-03-01"):
        assert run("--check", "--time-zone", "Etc/GMT-14", out=None, **changes).status == 0
    run("--check", "--time-zone", "Mars/Olympus", out=None).error(3, "authority.time_zone")


def test_the_time_zone_of_the_policy_is_the_only_one(
    run: Run, authority: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "policy.toml").write_text('version = 1\n[credentials]\ntime_zone = "America/Denver"\n')
    assert main(["issuer", "policy", "set", str(tmp_path / "policy.toml"), "--dir", str(authority)]) == 0
    assert run("--check", "--time-zone", "America/Denver", out=None).status == 0
    run("--check", "--time-zone", "Pacific/Auckland", out=None).error(1, "policy.time_zone")
    run("--time-zone", "Pacific/Auckland").error(1, "policy.time_zone")


def test_an_authority_is_founded_with_its_time_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_softhsm()
    words = ["issuer", "init", "--dir", str(tmp_path / "a"), *INIT]
    assert main([*words, "--time-zone", "Mars/Olympus"]) == 3
    assert "[authority.time_zone]" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert main([*words, "--time-zone", "America/Denver"]) == 0
    with Authority(tmp_path / "a").open_store() as store, store.reading() as reader:
        settings = reader.settings()
    assert settings is not None
    assert settings.document["time_zone"] == "America/Denver"


def test_a_long_name_of_an_authority_is_cut_for_its_root(tmp_path: Path) -> None:
    require_softhsm()
    name = "Ministry of Transport and Water Management of all Utopia (MTW)"
    greek = "Υπουργείο Υποδομών και Μεταφορών Ελλάδος"
    for number, organization in enumerate((name, greek)):
        folder = tmp_path / str(number)
        words = [organization if word == "Utopia Motor Vehicles" else word for word in INIT]
        assert main(["issuer", "init", "--dir", str(folder), *words]) == 0
        common = Authority(folder).root.subject.common_name or ""
        assert len(common) <= 64
        assert common.endswith(" IACA")
        assert common.startswith(organization[:59].rstrip())
        assert main(["issuer", "ds", "--dir", str(folder)]) == 0


BOM = b"\xef\xbb\xbf"


def test_a_mark_of_byte_order_is_read_by_every_verb_alike(
    run: Run, authority: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record, key = licence(tmp_path), public_key_file(tmp_path)
    policy = tmp_path / "policy.toml"
    policy.write_text("version = 1\n")
    for file in (record, key, policy):
        file.write_bytes(BOM + file.read_bytes())
    words = ("issuer", "issue", record, "--dir", authority, "--device-key", key, "--out", tmp_path / "x.cbor")
    assert main([*map(str, words)]) == 0
    assert main(["inspect", str(record)]) == 0
    assert main(["issuer", "policy", "check", str(policy)]) == 0
    root = tmp_path / "root.pem"
    root.write_bytes(BOM + (authority / "iaca.pem").read_bytes())
    assert main(["lint", str(root)]) in (0, 1)
    assert main(["inspect", str(root)]) == 0
    for file in (record, policy, key):
        file.write_text(file.read_text("utf-8-sig"), "utf-16")
    capsys.readouterr()
    for command in (["inspect", str(record)], ["issuer", "policy", "check", str(policy)], ["inspect", str(key)]):
        assert main(command) == 3
        assert "[input.utf_16]" in capsys.readouterr().err


def test_orders_are_checked_by_the_library_alike(authority: Path, tmp_path: Path) -> None:
    record = parse_record(licence(tmp_path).read_text(), read_file=read_below(tmp_path))
    now = datetime.now(UTC).replace(microsecond=0)

    def order(start: datetime) -> Order:
        times = ValidityInfo(signed=start, valid_from=start, valid_until=start + timedelta(days=9))
        return Order(namespaces=record.namespaces, device_key=device_key().public_key, validity=times)

    own = Authority(authority)
    refused = own.check_orders([order(now), order(now + timedelta(days=14))], order_keys=["a", "b"])
    assert [(one.index, one.order_key, one.error.code) for one in refused] == [(1, "b", "policy.signed")]
    (early,) = own.check_orders([order(now)], at=lambda: now - timedelta(days=14))
    assert early.error.code == "policy.signed"

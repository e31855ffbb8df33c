"""The trust store's file: what it keeps, and that it is believed no more than it deserves."""

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from mdl.errors import DecodeError, FetchError, ProfileError, VerificationError
from mdl.testing import ThrowawayAuthority, deterministic_key
from reader.trust import ANY_DOCTYPE, ANY_PURPOSE, Purpose, SignerPurposes, TrustAnchor
from reader.trust_file import TrustFile
from reader.vical import AcceptedVical
from tests.vical_forgery import AT, DATE, DAY, MDL, PHOTO_ID, authority, forge, info, provider

PID = "eu.europa.ec.eudi.pid.1"
UTAH = authority().iaca_certificate
ALASKA = authority("Alaska", "US-AK").iaca_certificate
PIN = TrustAnchor(certificate=provider().root, doctypes=ANY_DOCTYPE, purpose=Purpose.VICAL_PROVIDER)


def with_list(data: bytes | None = None, file: TrustFile | None = None, at: dt.datetime = AT) -> TrustFile:
    return (file or TrustFile()).with_vical(data or forge(), provider=PIN, at=at)[0]


def full() -> TrustFile:
    given = TrustFile().with_root(ALASKA, doctypes=frozenset([MDL, PHOTO_ID]), country="US", state="US-AK", at=AT)
    return with_list(file=given)


def document(file: TrustFile) -> Any:
    return json.loads(file.encode())


def recoded(value: Any) -> TrustFile:
    return TrustFile.decode(json.dumps(value).encode())


# --- keeping ----------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "trust.json"
    full().save(path)
    assert TrustFile.load(path) == full()
    assert TrustFile.is_one(path.read_bytes())
    assert [one.name for one in tmp_path.iterdir()] == ["trust.json"]


def test_the_anchors_are_those_given_and_those_of_the_lists() -> None:
    found = full().assemble(at=AT)
    assert [anchor.certificate for anchor in found.anchors] == [ALASKA, UTAH]
    assert found.anchors[0].until is None
    assert found.anchors[1].until == AT + 121 * DAY
    assert found.refusals == ()
    assert len(found.store()) == 2


def test_a_root_given_again_is_trusted_for_what_was_said_last() -> None:
    file = TrustFile().with_root(UTAH, doctypes=frozenset([MDL]), at=AT).with_root(UTAH, doctypes=ANY_DOCTYPE, at=AT)
    assert [anchor.doctypes for anchor in file.roots] == [ANY_DOCTYPE]


def test_signer_purposes_are_kept_and_hold_for_the_roots_of_a_list_too() -> None:
    chosen: SignerPurposes = {PID: frozenset({"1.2.3", "1.2.4"}), "org.example": ANY_PURPOSE}
    file = TrustFile().with_root(UTAH, doctypes=ANY_DOCTYPE, signer_purposes=chosen, at=AT)
    pin = TrustAnchor(
        certificate=provider().root, doctypes=ANY_DOCTYPE, purpose=Purpose.VICAL_PROVIDER, signer_purposes=chosen
    )
    file, _ = file.with_vical(forge(), provider=pin, at=AT)
    again = TrustFile.decode(file.encode())
    assert again == file
    assert [one.signer_purposes for one in again.assemble(at=AT).anchors] == [chosen, chosen]
    assert document(full())["roots"][0].keys() == {"certificate", "doctypes", "country", "state"}


def test_a_root_that_may_not_be_admitted_is_not_kept() -> None:
    with pytest.raises(ProfileError):
        TrustFile().with_root(authority().ds_certificate, doctypes=ANY_DOCTYPE, at=AT)


def test_a_newer_list_takes_the_place_of_the_older_and_is_remembered() -> None:
    newer = with_list(forge(info(ALASKA), vicalIssueID=8), with_list())
    assert [anchor.certificate for anchor in newer.assemble(at=AT).anchors] == [ALASKA]
    assert newer.vicals[0].accepted == AcceptedVical(issue_id=8, date=DATE)
    with pytest.raises(VerificationError) as caught:
        with_list(forge(), recoded(document(newer)))
    assert caught.value.failed == ("vical.issue_id",)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        full().save(tmp_path / "no such folder" / "trust.json")
    assert caught.value.code == "trust.unwritable"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as caught:
        TrustFile.load(tmp_path / "trust.json")
    assert caught.value.code == "trust.unreadable"


def test_a_list_that_never_ages_cannot_be_kept() -> None:
    with pytest.raises(ValueError, match="never ages"):
        TrustFile().with_vical(forge(), provider=PIN, at=AT, max_stale=dt.timedelta(days=3661))


# --- time -------------------------------------------------------------------------------------------------------------


def test_what_has_expired_is_not_trusted_any_more_and_told() -> None:
    later = AT + 122 * DAY
    found = full().assemble(at=later)
    assert [anchor.certificate for anchor in found.anchors] == [ALASKA]
    assert [refusal.error.code for refusal in found.refusals] == ["vical.freshness"]
    much_later = AT + 9 * 365 * DAY
    nothing = full().assemble(at=much_later)
    assert [refusal.error.code for refusal in nothing.refusals] == ["trust.profile", "vical.signer_validity"]
    with pytest.raises(VerificationError) as caught:
        nothing.store()
    assert caught.value.code == "trust.profile"


def test_a_revocation_list_that_does_not_decode_counts_as_absent_and_one_beside_it_that_revokes_refuses() -> None:
    crls = (provider().crl(), provider().crl(of_root=True))
    for harmless in ((b"garbage", crls[0]), (b"garbage", *crls), (authority().crl(),)):
        assert with_list().assemble(at=AT, crls=harmless).refusals == ()
    revoking = provider().crl(revoked=[provider().signer.serial])
    for harmful in ((revoking,), (b"garbage", revoking), (*crls, revoking)):
        (told,) = with_list().assemble(at=AT, crls=harmful).refusals
        assert isinstance(told.error, VerificationError)
        assert told.error.failed == ("vical.signer_revocation",)


def test_an_empty_store_trusts_nobody() -> None:
    with pytest.raises(VerificationError) as caught:
        TrustFile().assemble(at=AT).store()
    assert caught.value.code == "trust.nothing"


def test_how_long_a_stale_list_may_be_used_is_remembered() -> None:
    file, _ = TrustFile().with_vical(forge(), provider=PIN, at=AT, max_stale=2 * DAY)
    again = recoded(document(file))
    assert again.assemble(at=AT + 3 * DAY).refusals == ()
    assert len(again.assemble(at=AT + 3 * DAY + dt.timedelta(seconds=1)).refusals) == 1


# --- tampering --------------------------------------------------------------------------------------------------------


def swapped(data: bytes) -> TrustFile:
    """The file with another list put in the place of the honest one."""
    value = document(full())
    value["vicals"][0]["vical"] = base64.b64encode(data).decode()
    return recoded(value)


MALLORY = info(ThrowawayAuthority("Mallory").iaca_certificate)


@pytest.mark.parametrize(
    ("data", "failed"),
    [
        (forge(MALLORY, signing={"key": deterministic_key("Thief")}), "vical.signature"),
        (forge().replace(b"5.1.mDL", b"5.1.mDX"), "vical.signature"),
        (forge(vicalIssueID=6), "vical.issue_id"),
    ],
    ids=["a root of his own", "another scope", "an older list"],
)
def test_a_list_changed_in_the_file_brings_nothing(data: bytes, failed: str) -> None:
    found = swapped(data).assemble(at=AT)
    assert [anchor.certificate for anchor in found.anchors] == [ALASKA]
    (refusal,) = found.refusals
    assert isinstance(refusal.error, VerificationError)
    assert refusal.error.failed == (failed,)


def test_a_root_put_into_the_file_must_still_be_one() -> None:
    value = document(full())
    value["roots"][0]["certificate"] = base64.b64encode(authority().ds_certificate.der).decode()
    found = recoded(value).assemble(at=AT)
    assert [anchor.certificate for anchor in found.anchors] == [UTAH]
    assert found.refusals[0].error.code == "trust.profile"


def changed(path: str, value: Any) -> Any:
    """The document with one place changed; a value of `...` takes the place away."""
    whole = document(full())
    *way, last = path.split(".")
    place = whole
    for step in way:
        place = place[int(step) if step.isdecimal() else step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return whole


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("roots", {}),
        ("roots", ...),
        ("vicals", None),
        ("unknown", 1),
        ("roots.0.certificate", "!"),
        ("roots.0.certificate", "MAA="),
        ("roots.0.doctypes", []),
        ("roots.0.doctypes", [1]),
        ("roots.0.doctypes", "org"),
        ("roots.0.country", 1),
        ("roots.0.country", ""),
        ("roots.0.purpose", "vical-provider"),
        ("roots.0.signer_purposes", None),
        ("roots.0.signer_purposes", []),
        ("roots.0.signer_purposes", {PID: []}),
        ("roots.0.signer_purposes", {PID: "1.2.3"}),
        ("roots.0.signer_purposes", {PID: [1]}),
        ("roots.0.signer_purposes", {PID: ["x"]}),
        ("roots.0.signer_purposes", {MDL: "any"}),
        ("roots.0.state", ...),
        ("vicals.0.max_stale_days", -1),
        ("vicals.0.max_stale_days", 99999),
        ("vicals.0.max_stale_days", True),
        ("vicals.0.accepted", None),
        ("vicals.0.accepted.issue_id", "7"),
        ("vicals.0.accepted.date", "yesterday"),
        ("vicals.0.vical", "!"),
        ("vicals.0.provider", []),
    ],
)
def test_a_damaged_file_is_refused(path: str, value: Any) -> None:
    with pytest.raises(DecodeError) as caught:
        recoded(changed(path, value))
    assert caught.value.code == "trust.damaged"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"mdl_trust_store": 1, "roots": [], "roots": []}']
)
def test_what_is_no_store_is_refused(content: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        TrustFile.decode(content)
    assert caught.value.code == "trust.damaged"


def test_a_store_of_another_version_is_refused() -> None:
    for version in (2, "1", True):
        with pytest.raises(DecodeError) as caught:
            recoded(changed("mdl_trust_store", version))
        assert caught.value.code == "trust.version"


def test_a_root_that_stands_there_twice_is_damage() -> None:
    whole = document(full())
    for member in ("roots", "vicals"):
        with pytest.raises(DecodeError):
            recoded(whole | {member: whole[member] * 2})

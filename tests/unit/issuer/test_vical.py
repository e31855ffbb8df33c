"""A provider's list: what is listed is what the certificates say, and what is signed is read back."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from issuer.vical import SignedVical, VicalEntry, parse_entries, sign_vical
from mdl.errors import DecodeError, LocalProtocolError, MdlError, ProfileError, SigningError
from mdl.keys import Signer, SoftwareSigner
from mdl.pki import Certificate
from mdl.testing import ThrowawayAuthority, deterministic_key
from mdl.vical import CertificateInfo, Vical, build_vical
from reader.vical import NOTHING_ACCEPTED, import_vical
from tests.vical_forgery import AT, DAY, MDL, PHOTO_ID, provider

UTAH = ThrowawayAuthority()
OREGON = ThrowawayAuthority("Oregon", state="US-OR")
CHAIN = [Certificate(der) for der in provider().chain]


def entry(authority: ThrowawayAuthority = UTAH, *doctypes: str, **more: Any) -> VicalEntry:
    return VicalEntry(certificate=authority.iaca_certificate, doctypes=doctypes or (MDL,), **more)


def sign(*entries: VicalEntry, signer: Signer | None = None, at: datetime = AT, **options: Any) -> SignedVical:
    how: dict[str, Any] = {"chain": CHAIN, "provider": "Provider", "next_update": at + 30 * DAY} | options
    return sign_vical(entries or (entry(),), signer or provider().signer_key, at=at, **how)


def refused(code: str, kind: type[MdlError], *entries: VicalEntry, **options: Any) -> MdlError:
    with pytest.raises(kind) as caught:
        sign(*entries, **options)
    assert caught.value.code == code
    return caught.value


def test_a_reader_imports_what_is_signed_here() -> None:
    made = sign(entry(UTAH, MDL, PHOTO_ID, issuing_authority="Utah"), entry(OREGON), url="https://vical.example/v")
    imported = import_vical(made.encoded, providers=provider().pinned(), accepted=NOTHING_ACCEPTED, at=AT)
    assert {anchor.certificate for anchor in imported.anchors} == {UTAH.iaca_certificate, OREGON.iaca_certificate}
    assert (imported.refused, imported.deviations) == ((), ())
    vical = Vical.decode(made.encoded)
    assert (vical.provider, vical.issue_id, vical.date, vical.next_update) == ("Provider", 1, AT, AT + 30 * DAY)
    assert vical.url == "https://vical.example/v"
    utah = vical.entries[0]
    assert isinstance(utah, CertificateInfo)
    assert (utah.doctypes, utah.issuing_authority, utah.state) == ((MDL, PHOTO_ID), "Utah", "US-UT")


def test_the_number_grows_with_each_list() -> None:
    first = sign(issue_id=7)
    second = sign(previous=first.encoded, at=AT + DAY)
    assert (first.vical.issue_id, second.vical.issue_id) == (7, 8)
    assert sign(previous=second.encoded, at=AT + 2 * DAY, issue_id=20).vical.issue_id == 20


@pytest.mark.parametrize(
    "options",
    [
        {"issue_id": 7, "at": AT + DAY},
        {"issue_id": 6, "at": AT + DAY},
        {"at": AT},
        {"at": AT - DAY},
        {"provider": "Another", "at": AT + DAY},
    ],
)
def test_a_list_that_is_not_newer_than_the_last_is_refused(options: dict[str, Any]) -> None:
    previous = sign(issue_id=7).encoded
    refused("vical.order", LocalProtocolError, previous=previous, **options)


@pytest.mark.parametrize("days", [-1, 0, 91])
def test_the_next_list_comes_within_ninety_days(days: int) -> None:
    refused("vical.next_update", LocalProtocolError, next_update=AT + days * DAY)
    assert sign(next_update=AT + 90 * DAY).vical.next_update == AT + 90 * DAY


def test_a_root_is_listed_once() -> None:
    refused("vical.twice", LocalProtocolError, entry(UTAH, MDL), entry(UTAH, PHOTO_ID))


def test_what_is_no_root_is_not_listed() -> None:
    no_root = VicalEntry(certificate=UTAH.ds_certificate, doctypes=(MDL,))
    error = refused("vical.root", ProfileError, entry(OREGON), no_root)
    assert error.message.startswith("entry 1: ")


@pytest.mark.parametrize("at", [AT - timedelta(days=370), AT + timedelta(days=8 * 365 + 1)])
def test_a_root_that_is_not_valid_now_is_not_listed(at: datetime) -> None:
    refused("vical.root", ProfileError, at=at)


def test_the_key_is_that_of_the_certificate() -> None:
    refused("vical.key", SigningError, signer=deterministic_key("another"))


def test_the_signer_is_a_vical_signer() -> None:
    with pytest.raises(ProfileError) as caught:
        sign(signer=UTAH.ds_key, chain=[UTAH.ds_certificate])
    assert caught.value.code == "vical.signer"


def test_the_chain_is_one_and_ends_below_the_root() -> None:
    root = Certificate(provider().root_recipe.build())
    refused("vical.chain", LocalProtocolError, chain=[*CHAIN, root])
    refused("vical.chain", LocalProtocolError, chain=[CHAIN[0], UTAH.ds_certificate])


class Wrong:
    """A custodian that signs other bytes."""

    def __init__(self, honest: SoftwareSigner) -> None:
        self.public_key = honest.public_key
        self._honest = honest

    def sign(self, data: bytes) -> bytes:
        return self._honest.sign(data + b"!")


def test_a_wrong_signature_gives_no_list() -> None:
    refused("signing.wrong_signature", SigningError, signer=Wrong(provider().signer_key))


def test_a_list_that_does_not_read_as_it_was_meant_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    other = build_vical(
        [CertificateInfo.of(OREGON.iaca_certificate, doctypes=[MDL])],
        provider().signer_key,
        provider="Provider",
        date=AT,
        issue_id=1,
        next_update=AT + 30 * DAY,
        x5chain=CHAIN,
    )
    monkeypatch.setattr("mdl.vical.PreparedVical.complete", lambda *_: other)
    refused("vical.unusable", SigningError)
    monkeypatch.setattr("mdl.vical.PreparedVical.complete", lambda *_: other[:-1] + bytes((other[-1] ^ 1,)))
    refused("vical.unusable", SigningError)


# --- the file with the entries ----------------------------------------------------------------------------------------


FILES = {"ut.pem": UTAH.iaca_certificate.pem.encode(), "or.der": OREGON.iaca_certificate.der}
TOML = f"""
[[entry]]
certificate = "ut.pem"
doctypes = ["{MDL}", "{PHOTO_ID}"]
issuing_authority = "Utah Driver License Division"

[[entry]]
certificate = "or.der"
doctypes = ["{MDL}"]
profiles = ["urn:example:profile"]
"""


def parsed(text: str) -> tuple[VicalEntry, ...]:
    return parse_entries(text, read_file=FILES.__getitem__)


def test_entries_are_read_from_toml_and_from_json() -> None:
    utah, oregon = parsed(TOML)
    assert utah.certificate == UTAH.iaca_certificate
    assert (utah.doctypes, utah.issuing_authority) == ((MDL, PHOTO_ID), "Utah Driver License Division")
    assert (oregon.certificate, oregon.profiles) == (OREGON.iaca_certificate, ("urn:example:profile",))
    assert parsed(json.dumps({"entry": [{"certificate": "or.der", "doctypes": [MDL]}]})) == (entry(OREGON),)


GOOD: dict[str, Any] = {"certificate": "ut.pem", "doctypes": [MDL]}


@pytest.mark.parametrize(
    "document",
    [
        "",
        "entry = 3",
        "{",
        "[[entry]",
        json.dumps({"entry": []}),
        json.dumps({"entry": [GOOD], "more": 1}),
        json.dumps({"entries": [GOOD]}),
        json.dumps({"entry": ["ut.pem"]}),
        json.dumps({"entry": [{"certificate": "ut.pem"}]}),
        json.dumps({"entry": [{"doctypes": [MDL]}]}),
        json.dumps({"entry": [GOOD | {"doctypes": []}]}),
        json.dumps({"entry": [GOOD | {"doctypes": MDL}]}),
        json.dumps({"entry": [GOOD | {"doctypes": [1]}]}),
        json.dumps({"entry": [GOOD | {"doctypes": [""]}]}),
        json.dumps({"entry": [GOOD | {"issuing_authority": ""}]}),
        json.dumps({"entry": [GOOD | {"issuing_authority": "a\nb"}]}),
        json.dumps({"entry": [GOOD | {"country": "US"}]}),
        json.dumps({"entry": [GOOD] * 1001}),
        '{"entry":' + "[" * 100_000,
    ],
)
def test_a_file_that_is_not_exactly_that_is_refused(document: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parsed(document)
    assert caught.value.code == "vical.entries"


def test_a_certificate_that_is_none_is_told_with_its_entry() -> None:
    with pytest.raises(DecodeError) as caught:
        parse_entries(TOML, read_file=lambda name: FILES[name] if name == "ut.pem" else b"\x30\x00")
    assert caught.value.path.startswith("entry[1].certificate")

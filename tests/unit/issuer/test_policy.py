"""The issuance policy: read strictly, takes away and never adds, and what it refuses is on record."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuer.audit import Actor, AuditRecord, Event
from issuer.batches import BatchIssuer
from issuer.capabilities import COMMANDS, Capability
from issuer.issuance import CredentialIssuer, Order
from issuer.policy import MAX_POLICY_BYTES, IssuancePolicy, PolicyInForce, find_time_zone
from issuer.signers import CERTIFIED
from issuer.store import Role, SqliteStore, Store
from mdl.cbor import FullDate
from mdl.doctypes import DOCTYPES
from mdl.errors import DecodeError, IssuanceError, ProfileError
from mdl.mdoc import ValidityInfo
from mdl.testing import ThrowawayAuthority, deterministic_key, sample_licence
from tests.stores import NOW, found, later

DOCTYPE = "org.iso.18013.5.1.mDL"
NAMESPACE = "org.iso.18013.5.1"
FULL = """
version = 1

[keys]
iaca = ["P-384"]
document-signer = ["P-256", "Ed25519"]

[days]
iaca = 3285
document-signer = 90

[credentials]
doctypes = ["org.iso.18013.5.1.mDL"]
namespaces = ["org.iso.18013.5.1", "org.iso.18013.5.1.aamva"]
days = 14
mandatory."org.iso.18013.5.1" = ["age_over_21", "sex"]

[roles]
required = true
issuing-service = ["issue"]
auditor = []
"""


def an_order(days: int = 7, **elements: Any) -> Order:
    namespaces = sample_licence()
    given: dict[str, Any] = {**namespaces[NAMESPACE], **elements}
    kept = {name: value for name, value in given.items() if value is not None}
    validity = ValidityInfo(signed=NOW, valid_from=NOW, valid_until=NOW + timedelta(days=days))
    return Order(
        namespaces={**namespaces, NAMESPACE: kept}, device_key=deterministic_key("d").public_key, validity=validity
    )


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_policy_is_read_whole() -> None:
    policy = IssuancePolicy.parse(FULL)
    assert policy.curves[Role.IACA] == {"P-384"}
    assert policy.curves[Role.DOCUMENT_SIGNER] == {"P-256", "Ed25519"}
    assert (policy.days[Role.IACA], policy.days[Role.DOCUMENT_SIGNER]) == (3285, 90)
    assert policy.doctypes == {DOCTYPE}
    assert policy.namespaces is not None
    assert {*policy.namespaces} == {NAMESPACE, "org.iso.18013.5.1.aamva"}
    assert policy.credential_days == 14
    assert policy.mandatory == {NAMESPACE: {"age_over_21", "sex"}}
    assert policy.role_required
    assert policy.capabilities[Actor.ISSUING_SERVICE] == {Capability.CREDENTIAL_ISSUE}
    assert policy.capabilities[Actor.AUDITOR] == frozenset()


def test_what_a_policy_leaves_out_is_as_it_always_is() -> None:
    assert IssuancePolicy.parse("version = 1") == IssuancePolicy()
    default, policy = IssuancePolicy(), IssuancePolicy.parse(FULL)
    assert policy.curves[Role.LINK] == default.curves[Role.LINK]
    assert policy.days[Role.JWS_SIGNER] == default.days[Role.JWS_SIGNER]
    assert policy.capabilities[Actor.SIGNER_OPERATOR] == default.capabilities[Actor.SIGNER_OPERATOR]


def test_the_default_allows_what_the_profiles_do() -> None:
    policy = IssuancePolicy()
    for role, one in CERTIFIED.items():
        if one.profile.planned_validity is not None:
            policy.check_certificate(role, one.profile.planned_validity)
    for curve in ("P-256", "P-521", "brainpoolP512r1", "Ed448"):
        policy.check_key(Role.DOCUMENT_SIGNER, curve)
    policy.check_key(Role.IACA, "brainpoolP384r1")
    for doctype in DOCTYPES:
        policy.check_doctype(doctype)
    policy.check_order(an_order(days=400), DOCTYPE)
    for command in (*COMMANDS, "whatever"):
        policy.check_actor(None, command)


TIMES = """version = 1
[credentials]
signed_back_hours = 0
valid_from_ahead_days = 3
time_zone = "America/Denver"
"""


@pytest.mark.parametrize("text", [FULL, "version = 1", "\ufeff" + FULL, TIMES])
def test_a_policy_is_written_as_it_is_read(text: str) -> None:
    policy = IssuancePolicy.parse(text)
    assert IssuancePolicy.parse(policy.to_toml()) == policy
    assert IssuancePolicy.of_settings({"policy": policy.to_settings()}) == policy
    assert IssuancePolicy.of_settings({}) == IssuancePolicy()


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("version = ", "policy.toml", ""),
        (f"version = {'9' * 5000}", "policy.toml", ""),
        ("version = 1\n" + ".".join(["a"] * 33) + " = 1", "policy.toml", ""),
        ("version = 1\n[credentials]\nsigned_back_hours = -1", "policy.form", "credentials.signed_back_hours"),
        ("version = 1\n[credentials]\nvalid_from_ahead_days = 1.5", "policy.form", "credentials.valid_from_ahead_days"),
        ("version = 1\n[credentials]\ntime_zone = 1", "policy.form", "credentials.time_zone"),
        ("version = 1\n[credentials]\ntime_zone = 'Mars/Olympus'", "policy.unknown", "credentials.time_zone"),
        ("[version]\n[version]", "policy.toml", ""),
        ("", "policy.form", "version"),
        ("version = 2", "policy.form", "version"),
        ("version = true", "policy.form", "version"),
        ("version = 1\nkey = 1", "policy.form", "key"),
        ("version = 1\nkeys = 1", "policy.form", "keys"),
        ("version = 1\n[keys]\nroot = ['P-256']", "policy.form", "keys.root"),
        ("version = 1\n[keys]\niaca = 'P-256'", "policy.form", "keys.iaca"),
        ("version = 1\n[keys]\niaca = ['P-256', 'P-256']", "policy.form", "keys.iaca"),
        ("version = 1\n[keys]\niaca = ['P-256', 'P-257']", "policy.unknown", "keys.iaca[1]"),
        ("version = 1\n[keys]\ndocument-signer = ['X25519']", "policy.unknown", "keys.document-signer[0]"),
        ("version = 1\n[keys]\niaca = []", "policy.contradiction", "keys.iaca"),
        ("version = 1\n[keys]\niaca = ['Ed25519']", "policy.contradiction", "keys.iaca"),
        ("version = 1\n[keys]\nstatus-signer = ['Ed448']", "policy.contradiction", "keys.status-signer"),
        ("version = 1\n[days]\nds = 90", "policy.form", "days.ds"),
        ("version = 1\n[days]\ndocument-signer = 0", "policy.form", "days.document-signer"),
        ("version = 1\n[days]\ndocument-signer = 90.0", "policy.form", "days.document-signer"),
        ("version = 1\n[days]\ndocument-signer = true", "policy.form", "days.document-signer"),
        ("version = 1\n[days]\ndocument-signer = 457", "policy.contradiction", "days.document-signer"),
        ("version = 1\n[days]\niaca = 300", "policy.contradiction", "days.document-signer"),
        ("version = 1\n[credentials]\nlife = 1", "policy.form", "credentials.life"),
        ("version = 1\n[credentials]\ndoctypes = []", "policy.contradiction", "credentials.doctypes"),
        ("version = 1\n[credentials]\ndoctypes = ['org.example']", "policy.unknown", "credentials.doctypes[0]"),
        (
            "version = 1\n[credentials]\nnamespaces = ['org.example']",
            "policy.contradiction",
            "credentials.namespaces[0]",
        ),
        ("version = 1\n[credentials]\ndays = 457", "policy.contradiction", "credentials.days"),
        ("version = 1\n[credentials]\nmandatory = []", "policy.form", "credentials.mandatory"),
        (
            "version = 1\n[credentials.mandatory]\n'org.iso.18013.5.1' = ['shoe_size']",
            "policy.contradiction",
            "credentials.mandatory.org.iso.18013.5.1",
        ),
        (
            "version = 1\n[credentials]\nnamespaces=['org.iso.18013.5.1']\nmandatory.'org.iso.18013.5.1.aamva'=['x']",
            "policy.contradiction",
            "credentials.mandatory.org.iso.18013.5.1.aamva",
        ),
        ("version = 1\n[roles]\nrequired = 1", "policy.form", "roles.required"),
        ("version = 1\n[roles]\njanitor = []", "policy.form", "roles.janitor"),
        ("version = 1\n[roles]\nauditor = ['audit']", "policy.unknown", "roles.auditor[0]"),
        ("version = 1\n[roles]\nrequired = true\nceremony-officer = []", "policy.contradiction", "roles"),
    ],
)
def test_a_policy_that_could_be_misread_is_refused_with_its_place(text: str, code: str, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        IssuancePolicy.parse(text, source="policy.toml")
    assert (caught.value.code, caught.value.path) == (code, path)
    assert caught.value.message.startswith("policy.toml ")


def test_a_policy_file_is_bounded_and_utf_8() -> None:
    for data in (b"#" * (MAX_POLICY_BYTES + 1), b"\xff"):
        with pytest.raises(DecodeError, match=r"policy\.toml"):
            IssuancePolicy.parse(data)


@given(
    st.text(max_size=200) | st.sampled_from(["keys", "days", "credentials", "roles"]).map(lambda n: f"version=1\n[{n}]")
)
def test_any_text_is_a_policy_or_an_error(text: str) -> None:
    refused = None
    try:
        IssuancePolicy.parse(text)
    except DecodeError as exc:
        refused = exc.code
    assert refused is None or refused.startswith("policy.")


# --- checks -----------------------------------------------------------------------------------------------------------


def test_a_key_on_another_curve_is_refused() -> None:
    policy = IssuancePolicy.parse(FULL)
    policy.check_key(Role.IACA, deterministic_key("k", "P-384").public_key)
    for role, curve in ((Role.IACA, "P-256"), (Role.DOCUMENT_SIGNER, "P-384")):
        with pytest.raises(ProfileError) as caught:
            policy.check_key(role, deterministic_key("k", curve).public_key)
        assert caught.value.code == "policy.curve"


def test_a_certificate_that_lives_longer_is_refused_by_the_second() -> None:
    policy = IssuancePolicy.parse(FULL)
    policy.check_certificate(Role.DOCUMENT_SIGNER, timedelta(days=90))
    with pytest.raises(ProfileError) as caught:
        policy.check_certificate(Role.DOCUMENT_SIGNER, timedelta(days=90, seconds=1))
    assert caught.value.code == "policy.certificate_days"
    assert policy.longest(Role.DOCUMENT_SIGNER, timedelta(days=455)) == timedelta(days=90)
    assert policy.longest(Role.DOCUMENT_SIGNER, timedelta(days=30)) == timedelta(days=30)


@pytest.mark.parametrize(
    ("order", "doctype", "codes"),
    [
        (an_order(), "org.iso.23220.photoid.1", ["policy.doctype"]),
        (an_order(days=15), DOCTYPE, ["policy.credential_days"]),
        (an_order(sex=None), DOCTYPE, ["policy.mandatory"]),
        (an_order(sex=None, age_over_21=None), DOCTYPE, ["policy.mandatory", "policy.mandatory"]),
        (
            replace(an_order(), namespaces={"org.iso.18013.5.1.XX": {}}),
            DOCTYPE,
            ["policy.namespace"] + 2 * ["policy.mandatory"],
        ),
    ],
)
def test_an_order_outside_the_policy_is_refused(order: Order, doctype: str, codes: list[str]) -> None:
    policy = IssuancePolicy.parse(FULL)
    policy.check_order(an_order(days=14), DOCTYPE)
    with pytest.raises(IssuanceError) as caught:
        policy.check_order(order, doctype)
    assert ([one.code for one in caught.value.violations] or [caught.value.code]) == codes
    assert caught.value.code == codes[0]


SECOND = timedelta(seconds=1)
SKEW = timedelta(minutes=5)


def at(signed: timedelta, start: timedelta | None = None) -> Order:
    """An order that is signed so long after the time of issuing, and valid from so long after it."""
    begin = signed if start is None else start
    times = ValidityInfo(signed=NOW + signed, valid_from=NOW + begin, valid_until=NOW + begin + timedelta(days=7))
    return replace(an_order(), validity=times)


@pytest.mark.parametrize(
    ("text", "order", "codes"),
    [
        ("", at(timedelta()), []),
        ("", at(SKEW), []),
        ("", at(SKEW + SECOND), ["policy.signed"]),
        ("", at(timedelta(hours=-24)), []),
        ("", at(timedelta(hours=-24) - SECOND), ["policy.signed"]),
        ("", at(timedelta(days=14)), ["policy.signed"]),
        ("", at(timedelta(days=400)), ["policy.signed", "policy.valid_from"]),
        ("", at(timedelta(), timedelta(days=31) + SKEW), []),
        ("", at(timedelta(), timedelta(days=31) + SKEW + SECOND), ["policy.valid_from"]),
        ("signed_back_hours = 0", at(timedelta()), []),
        ("signed_back_hours = 0", at(-SECOND), ["policy.signed"]),
        ("signed_back_hours = 48", at(timedelta(hours=-48)), []),
        ("valid_from_ahead_days = 0", at(timedelta(), SKEW + SECOND), ["policy.valid_from"]),
        ("valid_from_ahead_days = 90", at(timedelta(), timedelta(days=90)), []),
        ("days = 14", at(timedelta(), timedelta(days=8)), ["policy.credential_days"]),
    ],
)
def test_the_policy_bounds_when_and_not_only_how_long(text: str, order: Order, codes: list[str]) -> None:
    policy = IssuancePolicy.parse(f"version = 1\n[credentials]\n{text}")
    assert [one.code for one in policy.violations(order, DOCTYPE, at=NOW)] == codes


def test_a_batch_issuer_bounds_when_by_its_own_clock(store: Store) -> None:
    issuer = batch_issuer(store)
    for order, code in ((at(timedelta(days=14)), "policy.signed"), (at(timedelta(days=-2)), "policy.signed")):
        with pytest.raises(IssuanceError) as caught:
            issuer.issue(order)
        assert code in [one.code for one in caught.value.violations]
    issuer.issue(at(timedelta(hours=-23)))


def test_the_policy_says_where_a_day_begins(store: Store) -> None:
    """At NOW, noon in UTC, the next day has begun in Auckland and not in Denver."""
    licence = sample_licence()
    licence[NAMESPACE] |= {"birth_date": FullDate("2008-06-02"), "age_birth_year": 2008, "driving_privileges": []}
    licence[NAMESPACE] |= {"age_in_years": 18, "age_over_21": False}
    order = replace(an_order(), namespaces=licence)
    for text, right in (
        ("", False),
        ("time_zone = 'America/Denver'", False),
        ("time_zone = 'UTC'", False),
        ("time_zone = 'Pacific/Auckland'", True),
    ):
        policy = IssuancePolicy.parse(f"version = 1\n[credentials]\n{text}")
        refused = batch_issuer(store, policy=lambda kept=policy: kept).check([order])
        assert (refused == ()) is right
        # What the authority was founded with counts where the policy names none.
        other = find_time_zone("Pacific/Auckland")
        refused = batch_issuer(store, policy=lambda kept=policy: kept, time_zone=other).check([order])
        assert (refused == ()) is (right or text == "")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 9999])
def test_a_time_zone_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DecodeError) as caught:
        find_time_zone(name)
    assert caught.value.code == "authority.time_zone"
    assert name == "" or name not in caught.value.message


def batch_issuer(store: Store, **more: Any) -> BatchIssuer:
    authority = ThrowawayAuthority()
    given: dict[str, Any] = {
        "key": "ds-1",
        "sign_many": lambda messages: [authority.ds_key.sign(one) for one in messages],
        "at": lambda: NOW,
    }
    issuer = CredentialIssuer(authority.ds_key, authority.ds_certificate, doctype=DOCTYPE)
    return BatchIssuer(store, issuer, **(given | more))


def test_a_role_has_its_own_commands() -> None:
    policy = IssuancePolicy()
    policy.check_actor(Actor.ISSUING_SERVICE, "issue")
    for actor, command in (
        (Actor.AUDITOR, "issue"),
        (Actor.ISSUING_SERVICE, "ds"),
        (Actor.SIGNER_OPERATOR, "ceremony"),
        (Actor.SIGNER_OPERATOR, "policy set"),
        (Actor.CEREMONY_OFFICER, "issue"),
        (Actor.CEREMONY_OFFICER, "audit checkpoint"),
        (Actor.AUDITOR, "a verb of tomorrow"),
    ):
        with pytest.raises(IssuanceError) as caught:
            policy.check_actor(actor, command)
        assert caught.value.code == "policy.role"


def test_where_roles_are_required_nobody_acts_without_one() -> None:
    with pytest.raises(IssuanceError) as caught:
        IssuancePolicy.parse(FULL).check_actor(None, "issue")
    assert caught.value.code == "policy.role_required"


# --- in the authority -------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with SqliteStore(tmp_path / "store.db", create=True) as store:
        found(store, ThrowawayAuthority())
        yield store


def test_a_batch_issuer_refuses_and_records_what_the_policy_does_not_allow(store: Store) -> None:
    authority = ThrowawayAuthority()
    issuer = BatchIssuer(
        store,
        CredentialIssuer(authority.ds_key, authority.ds_certificate, doctype=DOCTYPE),
        key="ds-1",
        sign_many=lambda messages: [authority.ds_key.sign(one) for one in messages],
        at=later,
        policy=PolicyInForce(store),
    )
    issuer.issue(an_order(days=15))
    with store.transaction(at=later(), actor=Actor.CEREMONY_OFFICER) as tx:
        settings = tx.settings()
        assert settings is not None
        tx.put_settings({**settings.document, "policy": IssuancePolicy.parse(FULL).to_settings()})
    # The same service goes on, under the policy that is in force now.
    with pytest.raises(IssuanceError) as caught:
        issuer.issue(an_order(days=15))
    assert caught.value.code == "policy.credential_days"
    issuer.issue(an_order(days=14))
    with store.reading() as reader:
        records = [AuditRecord.decode(one.record) for one in reader.audit_records()]
    refusals = [one.subjects["code"] for one in records if one.event is Event.REFUSAL]
    assert refusals == ["policy.credential_days"]
    assert sum(one.event is Event.SETTINGS_CHANGED for one in records) == 1
    assert sum(one.event is Event.BATCH_ISSUED for one in records) == 2

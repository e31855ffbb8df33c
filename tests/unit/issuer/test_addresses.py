"""Addresses: what could not be published later is refused when it is taken, by whatever door it comes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from issuer.addresses import check_address, check_template
from issuer.authority import Authority, Founding
from issuer.policy import IssuancePolicy
from issuer.revocation import sign_due
from issuer.store import SqliteStore, StatusPlan
from mdl.errors import DecodeError, IssuanceError, LocalProtocolError, MdlError
from mdl.pki import Subject
from tests.listed import ROOT, fill
from tests.stores import NOW, ROLE

ODD = {
    "ftp": "ftp://mdl.example/iaca.crl",
    "scheme in capitals": "HTTPS://mdl.example/iaca.crl",
    "no host": "https:///iaca.crl",
    "no path": "https://mdl.example",
    "a folder": "https://mdl.example/crl/",
    "a query": "https://mdl.example/iaca.crl?a=1",
    "an empty query": "https://mdl.example/iaca.crl?",
    "a fragment": "https://mdl.example/iaca.crl#a",
    "a user": "https://user@mdl.example/iaca.crl",
    "a password": "https://user:hunter2@mdl.example/iaca.crl",
    "a port that is none": "https://mdl.example:99999/iaca.crl",
    "a port of letters": "https://mdl.example:http/iaca.crl",
    "no port": "https://mdl.example:/iaca.crl",
    "a broken host": "https://mdl..example/iaca.crl",
    "a broken address": "https://[::1/iaca.crl",
    "a space": "https://mdl.example/iaca crl",
    "a line break": "https://mdl.example/ia\nca.crl",
    "a tab in the host": "https://mdl.ex\tample/iaca.crl",
    "beyond ASCII": "https://mdl.example/\u00efaca.crl",
    "a folder above": "https://mdl.example/../iaca.crl",
    "a folder above, encoded": "https://mdl.example/%2e%2e/iaca.crl",
    "a hidden file": "https://mdl.example/.crl",
    "an encoded slash": "https://mdl.example/a%2Fb.crl",
    "an empty part": "https://mdl.example//iaca.crl",
    "the index": "https://mdl.example/index.json",
    "below the roots": "https://mdl.example/roots/iaca.crl",
    "too long": "https://mdl.example/" + "a/" * 500 + "iaca.crl",
}


def founding(**changes: Any) -> Founding:
    given: dict[str, Any] = {
        "subject": Subject(country="US", state="US-UT", organization="U", common_name="U IACA"),
        "crl_uri": "https://mdl.example/iaca.crl",
        "contact_uri": "https://mdl.example",
    } | changes
    return Founding(**given)


TEMPLATES = {name: url.replace("iaca", "{list}") for name, url in ODD.items() if "iaca" in url}


@pytest.mark.parametrize("url", ODD.values(), ids=ODD.keys())
def test_an_odd_address_is_refused_at_each_door(url: str) -> None:
    doors: list[Callable[[], object]] = [lambda: check_address(url), lambda: founding(crl_uri=url).rehearse(NOW)]
    for door in doors:
        with pytest.raises(LocalProtocolError) as caught:
            door()
        assert caught.value.code == "publish.address"
        assert "hunter2" not in caught.value.message


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_an_odd_template_is_refused_at_each_door(tmp_path: Path, template: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        check_template(template)
    assert caught.value.code == "publish.address"
    plan = StatusPlan(uri=template, size=64)
    with SqliteStore(tmp_path / "authority.db", create=True) as store:
        fill(store)
        with store.transaction(at=NOW, actor=ROLE) as tx:
            opening: list[Callable[[], object]] = [
                lambda: tx.prepare_list(plan, issuer=ROOT.fingerprint),
                lambda: tx.take_places(plan, 1, issuer=ROOT.fingerprint),
            ]
            for door in opening:
                with pytest.raises(LocalProtocolError) as caught:
                    door()
                assert caught.value.code == "publish.address"
            assert tx.status_lists() == ()


@pytest.mark.parametrize(
    "template",
    [
        "https://{list}.mdl.example/status",  # each list would be the same file
        "https://throwaway.example/iaca.crl/{list}",
        "https://other.example/iaca.crl/{list}",
        "https://mdl.example/lists/{list}/roots/../a",
    ],
)
def test_a_template_whose_lists_would_lie_in_each_other_or_in_a_crl_is_refused(tmp_path: Path, template: str) -> None:
    with SqliteStore(tmp_path / "authority.db", create=True) as store:
        fill(store)
        with pytest.raises(LocalProtocolError) as caught, store.transaction(at=NOW, actor=ROLE) as tx:
            tx.take_places(StatusPlan(uri=template, size=64), 1, issuer=ROOT.fingerprint)
        assert caught.value.code.startswith("publish.")


@pytest.mark.parametrize(
    ("url", "taken", "code"),
    [
        ("https://a.example/x", ["https://b.example/x"], "publish.conflict"),
        ("https://a.example/x/y", ["https://b.example/x"], "publish.conflict"),
        ("https://a.example/x", ["https://b.example/x/y"], "publish.conflict"),
        ("https://a.example/x", ["https://b.example/x/{list}"], "publish.conflict"),
        ("https://a.example/x/y", ["https://b.example/x/{list}"], None),
        ("https://a.example/xy", ["https://b.example/x"], None),
        ("https://a.example/x", ["ldap://b.example/x", "nonsense"], None),
    ],
)
def test_no_file_has_the_place_of_another(url: str, taken: list[str], code: str | None) -> None:
    if code is None:
        assert check_address(url, taken) == url.removeprefix("https://a.example/")
        return
    with pytest.raises(LocalProtocolError) as caught:
        check_address(url, taken)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/iaca.crl",
        "https://[2001:db8::1]/iaca.crl",
        "https://mdl.example./a/b~c/1@x,y=z+w.crl",
        "https://mdl.example/status%2D1/x",
        "https://xn--mnchen-3ya.example/iaca.crl",
    ],
)
def test_a_plain_address_is_taken(url: str) -> None:
    check_address(url)


# --- the policy -------------------------------------------------------------------------------------------------------


POLICY = """
version = 1
[addresses]
hosts = ["mdl.example"]
status-lists = ["https://mdl.example/status/{list}"]
"""


def test_the_policy_names_hosts_and_templates() -> None:
    policy = IssuancePolicy.parse(POLICY)
    assert IssuancePolicy.parse(policy.to_toml()) == policy
    policy.check_address("https://mdl.example:8443/iaca.crl")
    policy.check_status_plan("https://mdl.example/status/{list}")
    doors: list[Callable[[], object]] = [
        lambda: policy.check_address("https://mdl.example.evil/iaca.crl"),
        lambda: policy.check_status_plan("https://mdl.example/other/{list}"),
        lambda: policy.check_status_plan("https://evil.example/status/{list}"),
        lambda: founding(crl_uri="https://evil.example/iaca.crl", policy=policy).rehearse(NOW),
    ]
    for door in doors:
        with pytest.raises(IssuanceError) as caught:
            door()
        assert caught.value.code == "policy.address"
    founding(policy=policy).rehearse(NOW)


@pytest.mark.parametrize(
    "line",
    [
        'hosts = ["https://mdl.example"]',
        'hosts = ["MDL.example"]',
        "hosts = []",
        'status-lists = ["https://mdl.example/status"]',
        'status-lists = ["https://mdl.example/{list}?"]',
        'hosts = ["a.example"]\nstatus-lists = ["https://b.example/{list}"]',
        "anything = 1",
    ],
)
def test_a_policy_whose_addresses_could_not_be_meant_is_refused(line: str) -> None:
    with pytest.raises(DecodeError):
        IssuancePolicy.parse(f"version = 1\n[addresses]\n{line}\n")


@pytest.mark.hsm
def test_issuing_and_signing_ask_the_policy(authority: Path) -> None:
    own = Authority(authority)
    own.set_policy(IssuancePolicy.parse(POLICY), at=own._now)
    plan = StatusPlan(uri="https://evil.example/status/{list}", size=64)
    doors: list[Callable[[], object]] = [
        lambda: own.open_issuer(plan=plan).__enter__(),
        lambda: sign_due(own, at=own._now, plan=plan),
        lambda: own.rekey(at=own._now, crl_uri="https://evil.example/next.crl"),
    ]
    for door in doors:
        with pytest.raises(MdlError) as caught:
            door()
        assert caught.value.code == "policy.address"
    with pytest.raises(LocalProtocolError) as conflict:
        own.rekey(at=own._now, crl_uri="https://mdl.example/iaca.crl/next")
    assert conflict.value.code == "publish.conflict"

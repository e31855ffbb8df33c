"""kill -9 while the token makes a key: no half of a pair blocks a verb, and what is passed over is on record."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pkcs11
import pytest

from issuer import token_keys
from issuer.audit import AuditRecord, Event, verify_log
from issuer.authority import Authority, Founding
from issuer.clock import SystemClock
from issuer.comparing import compare_log
from issuer.custody import configuration_of
from issuer.health import examine_health
from issuer.hsm import Session, open_pool
from issuer.keystore import Held, Pkcs11Uri, generate_key, init_softhsm_token
from issuer.store import Role
from mdl.cli import main
from mdl.errors import SigningError
from mdl.pki import Subject
from tests.authorities import INIT, clone
from tests.flows.crashing import CRASHED
from tests.flows.key_making import MOMENTS
from tests.stores import KINDS, addresses

pytestmark = pytest.mark.slow
SYSTEM = SystemClock()
MAKING = Path(__file__).with_name("key_making.py")
ALL = "MDL_ALL_KILLS" in os.environ
"""All kills, a hundred for each kind of store, instead of those that are made each time."""

VERBS: dict[str, tuple[str, ...]] = {
    "ds": ("ds",),
    "revocation-list": ("certify", "--role", "revocation-list"),
    "vical-ca": ("certify", "--role", "vical-ca", "--crl-url", "https://mdl.example/vical-{}.crl"),
    "vical": ("certify", "--role", "vical"),
    "rekey": ("rekey",),
}
SOME = {
    "sqlite": [
        ("ds", "public half"),
        ("ds", "private half"),
        ("ds", "first commit"),
        ("revocation-list", "public half"),
        ("vical-ca", "private half"),
        ("vical", "public half"),
        ("rekey", "public half"),
        ("rekey", "second commit"),
    ],
    "postgres": [("ds", "public half"), ("vical-ca", "public half"), ("rekey", "private half")],
}


@pytest.fixture(scope="module")
def address() -> Iterator[Callable[[str, Path], str]]:
    with addresses() as address:
        yield address


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Runs commands one after the other, each with the moment of its death or None; what became of them."""

    def play(*plan: tuple[tuple[str | Path, ...], str | None]) -> list[dict[str, Any]]:
        file = tmp_path / "plan.json"
        file.write_text(json.dumps([(["issuer", *map(str, words)], moment) for words, moment in plan]))
        done = subprocess.run(
            [sys.executable, str(MAKING), str(file)], check=False, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        ended = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(ended) == len(plan)
        for one in ended:
            assert one["status"] == (0 if one["moment"] is None else CRASHED), one
        return ended

    return play


def passed_over(authority: Authority) -> dict[str, str]:
    """What the log tells of labels that were passed over; it is whole, and so is the store."""
    with authority.open_store() as store, store.reading() as reader:
        records = [*reader.audit_records()]
        assert verify_log(records, log_id=reader.log_id, head=reader.audit_head()) == []
        assert compare_log(records, reader.holdings()) == []
    told = [AuditRecord.decode(one.record) for one in records]
    found = [
        (str(one.subjects["label"]), str(one.subjects["kind"])) for one in told if one.event is Event.KEY_PASSED_OVER
    ]
    return dict(found)


def left_by(moments: Iterable[str]) -> list[str]:
    """What kills leave in the token that the store does not know."""
    found = {"public half": "public half", "private half": "private half", "pair": "pair", "first commit": "pair"}
    return [found[moment] for moment in moments if moment in found]


def store_of(kind: str, address: Callable[[str, Path], str], folder: Path) -> tuple[str, ...]:
    return () if kind == "sqlite" else ("--store", address(kind, folder))


@pytest.mark.parametrize("kind", KINDS)
def test_every_verb_goes_on_after_a_kill_while_it_made_a_key(
    kind: str, address: Callable[[str, Path], str], tmp_path: Path, play: Callable[..., list[dict[str, Any]]]
) -> None:
    folder = tmp_path / "authority"
    kills = [*itertools.product(VERBS, MOMENTS)] if ALL else SOME[kind]
    numbers = itertools.count(1)

    def words(verb: str) -> tuple[str | Path, ...]:
        return (*(word.format(next(numbers)) for word in VERBS[verb]), "--dir", folder)

    plan: list[tuple[tuple[str | Path, ...], str | None]] = [
        (("init", "--dir", folder, *INIT, *store_of(kind, address, tmp_path)), None),
        (words("vical-ca"), None),
    ]
    for verb, moment in kills:
        plan += [(words(verb), moment), (words(verb), None)]
    plan.append((("status", "--dir", folder, "--json"), None))
    ended = play(*plan)
    authority = Authority(folder)
    passed = passed_over(authority)
    assert sorted(passed.values()) == sorted(left_by(moment for _, moment in kills))
    half_pairs = authority.half_pairs()
    assert {label: how.value for label, how in half_pairs.items()} == {
        label: how for label, how in passed.items() if how != "pair"
    }
    told = json.loads(ended[-1]["said"])["left_over_keys"]
    assert told == sorted(label for label, how in passed.items() if how != "private half")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("named", [False, True])
def test_a_founding_and_a_rotation_go_on_after_kills_while_they_made_a_key(
    kind: str,
    named: bool,
    address: Callable[[str, Path], str],
    tmp_path: Path,
    play: Callable[..., list[dict[str, Any]]],
) -> None:
    """Killed several times in a row. In a token that was there before, the same key or its half is gone on with."""
    folder = tmp_path / "authority"
    token: tuple[str | Path, ...] = ()
    if named:
        (tmp_path / "pin").write_text("user-pin\n")
        uri = init_softhsm_token(tmp_path / "hsm", "hsm", so_pin="officer-pin", user_pin="user-pin")
        uri = str(replace(Pkcs11Uri.parse(uri), configuration=configuration_of(tmp_path / "hsm")))
        token = ("--token-uri", uri, "--pin-file", tmp_path / "pin")
    init = ("init", "--dir", folder, *INIT, *token, *store_of(kind, address, tmp_path))
    rotate = ("rotate", "--dir", folder)
    kills = MOMENTS if ALL else MOMENTS[1:3] if kind == "sqlite" else MOMENTS[1:2]
    founding = [moment for moment in kills if not (named and "commit" in moment)]
    if not named and kind == "postgres":
        founding = [moment for moment in founding if "commit" not in moment]  # the store names that key: another store
    play(
        *((init, moment) for moment in founding),
        (init, None),
        (("ds", "--days", "20", "--dir", folder), None),
        *((rotate, moment) for moment in kills),
        (rotate, None),
    )
    authority = Authority(folder)
    passed = passed_over(authority)
    assert [*passed.values()] == [
        one.replace("first commit", "pair") for one in kills if one not in ("before", "second commit")
    ]
    with authority.open_store() as store, store.reading() as reader:
        cleared = [AuditRecord.decode(one.record).event for one in reader.audit_records()].count(Event.KEY_CLEARED)
    assert cleared == (sum("half" in one for one in founding) if named else 0)


HALVES = pytest.mark.parametrize("kind", ["PRIVATE_KEY", "PUBLIC_KEY"])


def pin_of(authority: Authority) -> str:
    assert authority.pin_file is not None
    return authority.pin_file.read_text().strip()


def leave_half(authority: Authority, label: str, kind: str) -> None:
    """Make a key and delete the half of that kind, as an operator may with the token's own tool."""
    uri = Pkcs11Uri.parse(authority.token)
    pin = pin_of(authority)
    generate_key(uri.for_key(label), "P-256", secret=lambda _: pin)
    with open_pool(uri, lambda _: pin) as pool:

        def delete(session: Session, _: None) -> None:
            writable = pool.open_writable(session)
            for one in token_keys._find(writable, replace(uri, label=label), kind):
                one.destroy()
            writable.session.close()

        pool.run(delete, None)


def objects(authority: Authority) -> set[tuple[str, str]]:
    """What keys the token has, in halves."""
    uri = Pkcs11Uri.parse(authority.token)
    with open_pool(uri, lambda _: pin_of(authority)) as pool:
        return pool.run(
            lambda session, _: {
                (kind, token_keys._name_of(one)[0])
                for kind in ("PRIVATE_KEY", "PUBLIC_KEY")
                for one in token_keys._find(session, uri, kind)
            },
            None,
        )


@HALVES
def test_a_half_that_is_there_is_left_alone_told_and_passed_over(
    pristine: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = clone(pristine, tmp_path / "authority")
    authority = Authority(folder)
    labels = ("ds-2", "iaca-2", "revocation-list-1", "audit-1", "somebody-elses")
    for label in labels:
        leave_half(authority, label, kind)
    before = objects(authority)
    how = Held.PUBLIC_HALF if kind == "PRIVATE_KEY" else Held.PRIVATE_HALF
    assert authority.half_pairs() == dict.fromkeys(sorted(labels[:4]), how)
    assert authority.left_over() == ({*labels[:4]} if how is Held.PUBLIC_HALF else set())
    capsys.readouterr()
    assert main(["issuer", "status", "--dir", str(folder)]) == 0
    assert ("audit-1, ds-2, iaca-2, revocation-list-1" in capsys.readouterr().out) == (how is Held.PUBLIC_HALF)
    health = examine_health(folder)
    assert sorted(one.name for one in health.findings if one.code == "health.half_pair") == sorted(labels[:4])
    made = [
        authority.certify_signer(at=SYSTEM).key,
        authority.certify(Role.STATUS_SIGNER, at=SYSTEM).key,
        authority.rekey(at=SYSTEM).key,
        authority.sign_checkpoint(at=SYSTEM).key_file.stem,
    ]
    assert made == ["ds-3", "revocation-list-2", "iaca-3", "audit-2"]
    assert passed_over(authority) == dict.fromkeys(labels[:4], how.value)
    assert before < objects(authority), "nothing was deleted"
    assert authority.sign_checkpoint(at=SYSTEM).key_file.stem == "audit-2"


@HALVES
def test_half_of_a_foreign_key_in_the_place_of_the_root_key_is_refused_and_left_alone(
    pristine: Path, tmp_path: Path, kind: str
) -> None:
    """Before a founding nothing in a token is ours: another label is to be chosen."""
    foreign = Authority(clone(pristine, tmp_path / "foreign"))
    leave_half(foreign, "mine", kind)
    before = objects(foreign)
    founding = Founding(
        subject=Subject(country="XU", common_name="Utopia IACA"),
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
        token=foreign.token,
        iaca_key="mine",
    )
    for _ in range(2):
        with pytest.raises(SigningError) as caught:
            Authority.found(tmp_path / "new", founding, at=SYSTEM(), secret=lambda _: pin_of(foreign))
        assert caught.value.code == "signing.key_exists"
        assert objects(foreign) == before
        assert not (tmp_path / "new").exists()


def test_a_key_that_the_token_half_made_is_deleted_again(
    pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is full after the first half, or fails in the proof: whatever was made goes."""
    authority = Authority(clone(pristine, tmp_path / "authority"))
    make, before = token_keys._make_pair, objects(authority)

    def half(parameters: Any, **template: Any) -> tuple[Any, Any]:
        _, private = make(parameters, **template)
        private.destroy()
        raise pkcs11.DeviceMemory

    monkeypatch.setattr(token_keys, "_make_pair", half)
    with pytest.raises(SigningError) as caught:
        authority.certify_signer(at=SYSTEM)
    assert caught.value.code == "signing.token_full"
    assert objects(authority) == before
    monkeypatch.undo()
    assert authority.certify_signer(at=SYSTEM).key == "ds-2"

"""Signers and roots follow each other while licences are issued, and nothing that was issued stops being good."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from issuer.audit import Actor
from issuer.authority import Authority
from issuer.batches import BatchIssuer
from issuer.issuance import Order
from issuer.lifecycle import Rules, Task, plan, rotate
from issuer.records import parse_record, read_below
from issuer.store import Role, SignerState, SqliteStore
from mdl.errors import LocalProtocolError
from mdl.mdoc import IssuerSigned, ValidityInfo
from mdl.pki import (
    IACA,
    IACA_LINK,
    PROFILES,
    Certificate,
    Crl,
    lint_certificate,
    lint_crl,
    validate_path,
)
from tests.authorities import clone, device_key, licence, mdl
from tests.flows.crashing import crash_at
from tests.parts import look_again, openssl

DAY = timedelta(days=1)
ISSUING = Path(__file__).with_name("issuing.py")


def open_clone(pristine: Path, folder: Path) -> Authority:
    look_again()
    return Authority(clone(pristine, folder / "authority"))


@pytest.fixture
def own(pristine: Path, tmp_path: Path) -> Authority:
    return open_clone(pristine, tmp_path)


@pytest.fixture
def order(tmp_path: Path) -> Callable[[datetime, int], Order]:
    record = licence(tmp_path, expiry_date="2060-01-01")
    namespaces = parse_record(record.read_text(), read_file=read_below(tmp_path)).namespaces

    def order(at: datetime, days: int) -> Order:
        validity = ValidityInfo(signed=at, valid_from=at, valid_until=at + days * DAY)
        return Order(namespaces=namespaces, device_key=device_key().public_key, validity=validity)

    return order


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def signer_of(credential: IssuerSigned | bytes) -> Certificate:
    if isinstance(credential, bytes):
        credential = IssuerSigned.decode(credential)
    return Certificate.decode(credential.issuer_auth.x5chain[0])


# --- while licences are issued ---------------------------------------------------------------------------------------


@contextmanager
def issuing_thread(issuer: BatchIssuer, order: Callable[[datetime, int], Order]) -> Iterator[list[bytes]]:
    """Issue without end in another thread; what went wrong there goes wrong here."""
    issued: list[bytes] = []
    wrong: list[BaseException] = []
    over = threading.Event()

    def work() -> None:
        try:
            while not over.is_set():
                issued.append(issuer.issue(order(now(), 7)).encode())
        except Exception as exc:  # noqa: BLE001 - it is told where the thread is waited for
            wrong.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield issued
    finally:
        over.set()
        thread.join(60)
    assert not wrong, wrong


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_a_new_document_signer_and_a_new_root_are_taken_up_by_a_thread_that_issues(
    own: Authority, order: Callable[[datetime, int], Order]
) -> None:
    first = Certificate.decode_any((own.folder / "ds-1.pem").read_bytes())
    with own.open_issuer() as issuer, issuing_thread(issuer, order) as issued:
        wait_for(lambda: len(issued) > 2)
        other = Authority(own.folder)  # another command, in the same process
        second = other.certify_signer(at=now).certificate
        wait_for(lambda: signer_of(issued[-1]) == second)
        old_root = other.root
        root = other.rekey(at=now).certificate
        third = other.certify_signer(at=now).certificate
        wait_for(lambda: signer_of(issued[-1]) == third)
        other.publish_crl(at=now)
    signers = [signer_of(one) for one in issued]
    assert {one.fingerprint for one in signers} == {first.fingerprint, second.fingerprint, third.fingerprint}
    assert other.roots == (old_root, root)
    assert other.root == root
    for one, anchor in ((first, old_root), (second, old_root), (third, root)):
        # Each leads to its own root, whichever of the two of one name a reader tries first.
        for anchors in ((old_root, root), (root, old_root)):
            path = validate_path(one, anchors, at=now())
            assert path.anchor == anchor
    assert own.verify_audit() == []


def test_a_new_document_signer_is_taken_up_by_a_process_that_issues(own: Authority, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    record = licence(tmp_path)
    words = [sys.executable, str(ISSUING), str(own.folder), str(out), str(record)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            wait_for(lambda: any(out.glob("*.cbor")))
            assert mdl("issuer", "ds", "--dir", own.folder).status == 0
            second = Certificate.decode_any((own.folder / "ds-2.pem").read_bytes())
            before = {*out.glob("*.cbor")}

            def is_taken_up() -> bool:
                return any(signer_of(one.read_bytes()) == second for one in {*out.glob("*.cbor")} - before)

            wait_for(is_taken_up)
            assert process.poll() is None
        finally:
            process.kill()
    assert own.verify_audit() == []


def test_a_credential_gets_the_newest_signer_that_it_does_not_outlive(
    own: Authority, order: Callable[[datetime, int], Order]
) -> None:
    long = Certificate.decode_any((own.folder / "ds-1.pem").read_bytes())
    short = own.certify_signer(at=now, days=20).certificate
    with own.open_issuer() as issuer:
        assert signer_of(issuer.issue(order(now(), 10))) == short
        assert signer_of(issuer.issue(order(now(), 30))) == long
        assert signer_of(issuer.issue(order(now(), 19))) == short


def test_a_retired_signer_signs_nothing_though_it_is_the_last(
    own: Authority, order: Callable[[datetime, int], Order]
) -> None:
    short = own.certify_signer(at=now, days=20)
    with own.open_issuer() as issuer, own.open_store() as store:
        with store.transaction(at=now, actor=Actor.SIGNER_OPERATOR) as tx:
            tx.set_signer_state(short.key, SignerState.RETIRED)
        assert signer_of(issuer.issue(order(now(), 10))) != short.certificate


# --- years in minutes ------------------------------------------------------------------------------------------------


def test_five_years_of_rotation_leave_no_gap(own: Authority, order: Callable[[datetime, int], Order]) -> None:
    """Every month a credential of the longest life is issued; its signer outlives it, and its root has a fresh CRL."""
    start, rules = now(), Rules()
    own.certify(Role.STATUS_SIGNER, at=start)
    clock = [start]
    signers, roots = set(), set()
    with own.open_issuer(at=lambda: clock[0]) as issuer:
        for week in range(1, 5 * 52):
            at = clock[0] = start + week * 7 * DAY
            rotate(own, at=at, rekey=True)
            if week % 4 == 0:
                signer = signer_of(issuer.issue(order(at, rules.credential_days)))
                signers.add(signer)
                assert signer.not_before <= at
                assert at + rules.credential_days * DAY <= signer.not_after
                with own.open_store() as store, store.reading() as reader:
                    record = reader.certificate(signer.fingerprint)
                    crl = reader.last_crl(record.issuer)
                    assert crl is not None
                    assert crl.this_update <= at < crl.next_update
                    assert [one for one in plan(reader, rules, at) if one.deadline < at] == []
                    roots.add(record.issuer)
                with own.open_signer(Role.STATUS_SIGNER, at=at, issuer=record.issuer) as (_, certificate):
                    assert certificate.not_after > at
    assert (len(signers), len(roots)) == (5, 2)
    assert own.verify_audit() == []


def test_what_is_done_is_not_due_any_more(own: Authority) -> None:
    at = now() + 25 * DAY
    assert [one.entry.task for one in rotate(own, at=at)] == [Task.CRL]
    assert rotate(own, at=at) == ()
    assert Crl.decode((own.folder / "iaca.crl").read_bytes()).next_update == at + 30 * DAY


def test_two_rotations_at_once_make_one_successor(own: Authority) -> None:
    at = now() + 420 * DAY
    found: list[str] = []

    def work() -> None:
        found.extend(one.result or "" for one in rotate(Authority(own.folder), at=at) if one.entry.task is Task.SIGNER)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert found == ["ds-2"]


def test_who_comes_second_makes_no_second_key(own: Authority) -> None:
    """As of two hosts with one store, whose folders know nothing of each other."""
    for make in (
        lambda: own.certify(Role.DOCUMENT_SIGNER, at=now, expected=0),
        lambda: own.rekey(at=now, expected=0),
    ):
        with pytest.raises(LocalProtocolError) as caught:
            make()
        assert caught.value.code == "authority.overtaken"
    assert own.certify(Role.DOCUMENT_SIGNER, at=now, expected=1).key == "ds-2"


def test_a_signer_is_opened_by_role_time_and_root(own: Authority) -> None:
    with pytest.raises(LocalProtocolError) as caught, own.open_signer(Role.STATUS_SIGNER):
        pytest.fail("there is none")
    assert caught.value.code == "authority.no_signer"
    old = own.root
    first = own.certify(Role.STATUS_SIGNER, at=now, days=100).certificate
    new = own.rekey(at=now).certificate
    second = own.certify(Role.STATUS_SIGNER, at=now).certificate
    for at, issuer, expected in (
        (None, None, second),
        (None, old.fingerprint, first),
        (now() + 101 * DAY, new.fingerprint, second),
    ):
        with own.open_signer(Role.STATUS_SIGNER, at=at, issuer=issuer) as (signer, certificate):
            assert certificate == expected
            certificate.public_key.verify(signer.sign(b"list"), b"list")
    with (
        pytest.raises(LocalProtocolError),
        own.open_signer(Role.STATUS_SIGNER, at=now() + 101 * DAY, issuer=old.fingerprint),
    ):
        pytest.fail("it has expired")


@pytest.mark.slow
@pytest.mark.timeout(400)  # a rekey has some dozens of steps, and each dies once
def test_a_crash_in_the_midst_of_a_rekey_leaves_an_authority_that_goes_on(pristine: Path, tmp_path: Path) -> None:
    for step in count(1):
        folder = clone(pristine, tmp_path / str(step))
        words = (*("issuer", "rekey", "--link"), "--dir", folder)
        died = crash_at(step, *words)
        assert mdl("issuer", "crl", "--dir", folder).status == 0
        assert mdl("issuer", "rekey", "--dir", folder).status == 0
        assert mdl("issuer", "ds", "--dir", folder).status == 0
        assert mdl("issuer", "audit", "verify", "--dir", folder).status == 0
        with SqliteStore(folder / "authority.db") as store, store.reading() as reader:
            roots = [one.certificate for one in reader.certificates(Role.IACA)]
            assert len({one.crl_uris for one in roots}) == len(roots) in (2, 3)
            for root in roots:
                numbers = [one.number for one in reader.crls(root.fingerprint)]
                assert numbers == sorted({*numbers}) != []
        if not died:
            assert step > 3, "where are the steps?"
            break


def test_a_dry_run_changes_nothing(own: Authority) -> None:
    at = now() + 420 * DAY
    before = sorted(path.name for path in own.folder.iterdir())
    assert {one.entry.task for one in rotate(own, at=at, dry_run=True)} == {Task.CRL, Task.SIGNER}
    assert sorted(path.name for path in own.folder.iterdir()) == before


# --- what others say -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority with one certificate of every kind, and two generations of roots."""
    own = open_clone(pristine, tmp_path_factory.mktemp("full"))
    for role in (Role.STATUS_SIGNER, Role.JWS_SIGNER, Role.OCSP_SIGNER):
        own.certify(role, at=now)
    own.found_ca(Role.READER_CA, at=now, crl_uri="https://mdl.example/reader.crl")
    own.certify(Role.READER, at=now)
    own.found_ca(Role.VICAL_CA, at=now, crl_uri="https://mdl.example/vical.crl")
    own.certify(Role.VICAL_SIGNER, at=now)
    own.rekey(at=now, link=True)
    own.certify_signer(at=now)
    own.publish_crl(at=now)
    return own


def test_everything_that_is_issued_is_as_its_profile_wants(full: Authority) -> None:
    with full.open_store() as store, store.reading() as reader:
        records = reader.certificates()
        by_fingerprint = {one.certificate.fingerprint: one.certificate for one in records}
        seen = set()
        for one in records:
            issuer = by_fingerprint[one.issuer]
            profile = next(
                profile
                for profile in PROFILES.values()
                if lint_certificate(one.certificate, profile, issuer=None if issuer == one.certificate else issuer)
                == ()
            )
            seen.add(profile.id)
            for crl in reader.crls(one.certificate.fingerprint):
                assert lint_crl(Crl.decode(crl.der), issuer=one.certificate) == ()
    assert seen == {*PROFILES} - {"vical-ca"}  # which is another organisation's


def test_openssl_accepts_all_chains_and_crls(full: Authority) -> None:
    leaves = {
        "iaca": ["ds-1", "revocation-list-1", "jws-1", "ocsp-1"],
        "iaca-2": ["ds-2"],
        "reader-ca-1": ["reader-1"],
        "vical-ca-1": ["vical-1"],
    }
    for root, names in leaves.items():
        pem = full.folder / f"{root}.pem"
        crl = full.folder / f"{root}.crl.pem"
        openssl("crl", "-in", full.folder / f"{root}.crl", "-inform", "DER", "-CAfile", pem, "-out", crl)
        for name in names:
            leaf = full.folder / f"{name}.pem"
            openssl("verify", "-x509_strict", "-crl_check", "-CRLfile", crl, "-CAfile", pem, leaf)
        crl.unlink()
    # Who trusts the old root only follows the link: the name is the same, so the path length allows it.
    link = full.folder / "iaca-2-link.pem"
    openssl("verify", "-x509_strict", "-CAfile", full.folder / "iaca.pem", "-untrusted", link, full.folder / "ds-2.pem")


def test_the_link_certificate_says_what_both_roots_say(full: Authority) -> None:
    old, new, link = (
        Certificate.decode_any((full.folder / f"{name}.pem").read_bytes()) for name in ("iaca", "iaca-2", "iaca-2-link")
    )
    assert old.subject.der == new.subject.der == link.subject.der == link.issuer.der
    assert (link.public_key, old.public_key == new.public_key) == (new.public_key, False)
    assert link.not_after == min(old.not_after, new.not_after)
    assert lint_certificate(link, IACA_LINK, issuer=old) == ()
    assert lint_certificate(new, IACA) == ()
    assert new.crl_uris == ("https://mdl.example/iaca-2.crl",)

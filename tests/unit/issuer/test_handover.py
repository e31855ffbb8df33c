"""The online side of an offline root: what it is made from, and what it does not take."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from issuer.audit import AuditRecord, Event
from issuer.authority import Authority
from issuer.handover import HandedRequest, Joining, OnlineSide
from issuer.policy import IssuancePolicy
from issuer.store import Role, SignerState
from mdl.errors import IssuanceError, LocalProtocolError, MdlError, ProfileError, SigningError, VerificationError
from mdl.pki import Certificate, Crl
from mdl.testing import TEST_TIME, ThrowawayAuthority
from tests.authorities import require_softhsm
from tests.parts import look_again

pytestmark = pytest.mark.hsm
AUTHORITY = ThrowawayAuthority()


@pytest.fixture(autouse=True)
def _a_token_of_this_test_alone() -> None:
    require_softhsm()
    look_again()


def joining(**changes: Any) -> Joining:
    given: dict[str, Any] = {"root": AUTHORITY.iaca_certificate, "crl": a_crl()}
    return Joining(**(given | changes))


def a_crl(number: int = 1, **changes: Any) -> Crl:
    return Crl.decode(AUTHORITY.crl(number=number, **changes))


def later(minutes: int = 1) -> datetime:
    return TEST_TIME + timedelta(minutes=minutes)


@pytest.fixture
def side(tmp_path: Path) -> OnlineSide:
    return OnlineSide.join(tmp_path / "online", joining(), at=TEST_TIME)


def certificate_for(handed: HandedRequest, **changes: Any) -> Certificate:
    """What the offline root would sign for a request, with whatever is wrong."""
    key = handed.request.public_key
    extensions = {"ski": (x509.SubjectKeyIdentifier.from_public_key(key.key), False), **changes.pop("extensions", {})}
    return Certificate.decode(
        AUTHORITY.ds_recipe.with_changes(public_key=key, extensions=extensions, **changes).build()
    )


def refused(code: str, kind: type[MdlError], run: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        run()
    assert caught.value.code == code, caught.value


def test_an_online_side_has_a_token_of_its_own_and_no_root_key(side: OnlineSide) -> None:
    authority = Authority(side.folder)
    assert authority.root == AUTHORITY.iaca_certificate
    with side.open_store() as store, store.reading() as reader:
        assert reader.signers() == ()
        (root,) = reader.certificates()
    assert (root.role, root.key) == (Role.IACA, None)
    assert (side.folder / "iaca.crl").read_bytes() == a_crl().der
    refused("signing.key_missing", SigningError, lambda: authority.certify_signer(at=later()))
    assert authority.verify_audit() == []


def test_a_certificate_for_a_request_makes_a_signer(side: OnlineSide) -> None:
    handed = side.request(at=later())
    assert handed.file.read_text() == handed.request.pem
    with side.open_store() as store, store.reading() as reader:
        assert reader.signer("ds-1").state is SignerState.PREPARED
    certificate = certificate_for(handed)
    taken = side.accept(certificate.pem.encode(), at=later(2))
    assert not isinstance(taken, Crl)
    assert (taken.key, taken.role) == ("ds-1", Role.DOCUMENT_SIGNER)
    assert (side.folder / "ds-1.pem").read_text() == certificate.pem
    with Authority(side.folder).open_issuer(at=lambda: later(3)) as issuer:
        assert issuer.certificate == certificate
    assert Authority(side.folder).verify_audit() == []


def test_what_breaks_the_profile_is_not_taken_although_the_root_signed_it(side: OnlineSide) -> None:
    handed = side.request(at=later())
    for changes in (
        {"extensions": {"eku": None}},
        {"extensions": {"crldp": None}},
        {"extensions": {"bc": (x509.BasicConstraints(ca=True, path_length=0), True)}},
        {"not_after": TEST_TIME + timedelta(days=500)},
    ):
        der = certificate_for(handed, **changes).der
        refused("handover.profile", ProfileError, lambda der=der: side.accept(der, at=later()))  # type: ignore[misc]
    with side.open_store() as store, store.reading() as reader:
        assert reader.signer("ds-1").state is SignerState.PREPARED
        assert len(reader.certificates()) == 1


def test_what_is_over_is_not_taken(side: OnlineSide) -> None:
    handed = side.request(at=later())
    certificate = certificate_for(handed)
    at = certificate.not_after + timedelta(seconds=1)
    with pytest.raises(MdlError) as caught:
        side.accept(certificate.der, at=at)
    assert caught.value.code in ("handover.over", "handover.profile")


def test_another_authority_of_the_same_name_is_not_believed(side: OnlineSide) -> None:
    other = ThrowawayAuthority(generation=2)
    assert other.iaca_certificate.subject == AUTHORITY.iaca_certificate.subject
    handed = side.request(at=later())
    forged = certificate_for(handed, signer=other.iaca_key)
    refused("handover.issuer", VerificationError, lambda: side.accept(forged.der, at=later()))
    refused("handover.issuer", VerificationError, lambda: side.accept(other.crl(number=2), at=later()))
    refused("handover.fingerprint", VerificationError, lambda: side.accept(other.iaca_certificate.der, at=later()))
    with Authority(side.folder).audit_records() as records:
        events = [AuditRecord.decode(one.record) for one in records]
    codes = [one.subjects["code"] for one in events if one.event is Event.REFUSAL]
    assert codes == ["handover.issuer", "handover.issuer", "handover.fingerprint"]


def test_a_certificate_outside_the_policy_is_not_taken(tmp_path: Path) -> None:
    policy = IssuancePolicy.parse('version = 1\n[keys]\ndocument-signer = ["P-256"]\n[days]\ndocument-signer = 30\n')
    side = OnlineSide.join(tmp_path / "online", joining(policy=policy), at=TEST_TIME)
    refused("policy.curve", ProfileError, lambda: side.request(at=later(), curve="P-384"))
    handed = side.request(at=later())
    refused("policy.certificate_days", ProfileError, lambda: side.accept(certificate_for(handed).der, at=later()))


@pytest.mark.parametrize(
    ("changes", "code", "kind"),
    [
        ({"doctype": "org.example"}, "authority.doctype", IssuanceError),
        ({"root": AUTHORITY.ds_certificate}, "iaca.profile", ProfileError),
        ({"crl": Crl.decode(ThrowawayAuthority(generation=2).crl(number=1))}, "handover.profile", ProfileError),
        ({"token": "pkcs11:token=a;object=b?module-path=/m.so"}, "signing.uri_invalid", SigningError),
        ({"token": "pkcs11:token=a?module-path=/no/module.so"}, "signing.module_missing", SigningError),
        (
            {"policy": IssuancePolicy.parse('version = 1\n[keys]\niaca = ["P-521"]\n')},
            "policy.curve",
            ProfileError,
        ),
    ],
)
def test_what_makes_no_online_side_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], code: str, kind: type[MdlError]
) -> None:
    with pytest.raises(kind) as caught:
        OnlineSide.join(tmp_path / "online", joining(**changes), at=TEST_TIME)
    assert caught.value.code.split(".")[0] == code.split(".", maxsplit=1)[0], caught.value
    assert not (tmp_path / "online").exists()


def test_an_online_side_is_made_once_and_in_an_empty_folder(side: OnlineSide, tmp_path: Path) -> None:
    refused("authority.exists", LocalProtocolError, lambda: OnlineSide.join(side.folder, joining(), at=later()))
    assert Authority(side.folder).root == AUTHORITY.iaca_certificate
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    refused("authority.occupied", LocalProtocolError, lambda: OnlineSide.join(tmp_path / "full", joining(), at=later()))
    assert (tmp_path / "full" / "note").read_text() == "mine"

"""A signing back end that goes wrong in each of many ways, under everything that an issuer signs.

Nothing but a right signature under the key that readers know comes out; anything else is a `SigningError`, which says
nothing of what the back end said.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from issuer.audit import Head, sign_checkpoint
from issuer.authority import Authority
from issuer.certificates import Iaca, request_document_signer
from issuer.issuance import CredentialIssuer, Order
from issuer.keystore import open_signer
from mdl.errors import ProfileError, SigningError
from mdl.keys import PublicKey, Signer, SoftwareSigner
from mdl.mdoc import ValidityInfo
from mdl.pki import Subject
from mdl.status import StatusList, StatusToken, build_status_token
from mdl.testing import MDL_DOCTYPE, TEST_TIME, deterministic_key, sample_licence, throwaway_authority
from tests.parts import look_again

AUTHORITY = throwaway_authority()
OTHER = deterministic_key("elsewhere")
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ROOT = Iaca(AUTHORITY.iaca_certificate, AUTHORITY.iaca_key)
SUBJECT = Subject(country="US", state="US-UT", common_name="a")
ORDER = Order(
    namespaces=sample_licence(portrait_size=600),
    device_key=deterministic_key("device").public_key,
    validity=ValidityInfo(signed=TEST_TIME, valid_from=TEST_TIME, valid_until=TEST_TIME + timedelta(days=14)),
)
SECRET = "PIN=1234"


def boom() -> Any:
    raise RuntimeError(SECRET)


def stop() -> Any:
    raise StopIteration(SECRET)


class Evil:
    """A signer that is right until it is armed, and then wrong in one way."""

    def __init__(self, real: SoftwareSigner, way: str) -> None:
        self.real, self.way, self.armed, self.asked = real, way, False, 0

    @property
    def public_key(self) -> PublicKey:
        self.asked += self.armed
        if self.armed and self.way == "its key raises":
            boom()
        if self.armed and self.way == "its key is none":
            return None  # type: ignore[return-value]
        moved = self.way == "its key moves" or (self.way == "its key moves to and fro" and self.asked % 2 == 0)
        return (OTHER if self.armed and moved else self.real).public_key

    def sign(self, data: bytes) -> bytes:
        good = self.real.sign(data)
        return WAYS[self.way](self, data, good[:32], good[32:]) if self.armed else good


Way = Callable[[Evil, bytes, bytes, bytes], Any]
WAYS: dict[str, Way] = {
    "right, as a bytearray": lambda e, m, r, s: bytearray(r + s),
    "another key": lambda e, m, r, s: OTHER.sign(m),
    "another message": lambda e, m, r, s: e.real.sign(m + b"x"),
    "an old signature": lambda e, m, r, s: e.real.sign(b"old"),
    "nothing": lambda e, m, r, s: b"",
    "one byte less": lambda e, m, r, s: (r + s)[:-1],
    "one byte more": lambda e, m, r, s: r + s + b"\0",
    "a leading zero": lambda e, m, r, s: b"\0" + r + s,
    "zeros": lambda e, m, r, s: bytes(64),
    "s is 0": lambda e, m, r, s: r + bytes(32),
    "s is n": lambda e, m, r, s: r + N.to_bytes(32),
    "swapped": lambda e, m, r, s: s + r,
    "DER": lambda e, m, r, s: encode_dss_signature(int.from_bytes(r), int.from_bytes(s)),
    "None": lambda e, m, r, s: None,
    "text": lambda e, m, r, s: (r + s).hex(),
    "a number": lambda e, m, r, s: 64,
    "a list": lambda e, m, r, s: [*(r + s)],
    "it raises": lambda e, m, r, s: boom(),
    "it stops": lambda e, m, r, s: stop(),
    "its key raises": lambda e, m, r, s: r + s,
    "its key is none": lambda e, m, r, s: r + s,
    "its key moves": lambda e, m, r, s: OTHER.sign(m),
    "its key moves to and fro": lambda e, m, r, s: OTHER.sign(m),
}


def root_of(signer: Evil) -> Any:
    signer.armed = True
    return Iaca.create(
        signer,
        subject=SUBJECT,
        not_before=TEST_TIME,
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
    ).certificate


def under_root(make: Callable[[Iaca], Any]) -> Callable[[Evil], Any]:
    def sign(signer: Evil) -> Any:
        root = Iaca(AUTHORITY.iaca_certificate, signer)
        signer.armed = True
        return make(root)

    return sign


def credential(signer: Evil) -> Any:
    issuer = CredentialIssuer(signer, AUTHORITY.ds_certificate, doctype=MDL_DOCTYPE)
    signer.armed = True
    return issuer.issue(ORDER)


def credentials(signer: Evil) -> Any:
    issuer = CredentialIssuer(signer, AUTHORITY.ds_certificate, doctype=MDL_DOCTYPE)
    signer.armed = True
    return [*issuer.issue_many([ORDER] * 2, lambda messages: [signer.sign(one) for one in messages])]


def request(signer: Evil) -> Any:
    signer.armed = True
    return request_document_signer(signer, SUBJECT)


def checkpoint(signer: Evil) -> Any:
    signer.armed = True
    return sign_checkpoint(signer, log_id=bytes(16), head=Head(1, bytes(32), TEST_TIME), at=TEST_TIME)


def token(signer: Evil) -> Any:
    signer.armed = True
    return build_status_token(
        StatusList.of(8, {}),
        signer,
        uri="https://mdl.example/1",
        issued_at=TEST_TIME,
        expires=TEST_TIME + timedelta(days=1),
        x5chain=[AUTHORITY.ds_certificate.der],
    )


Signed = tuple[SoftwareSigner, Callable[[Evil], Any], Callable[[Any], object]]
ROOT_KEY, DS_KEY = AUTHORITY.iaca_key, AUTHORITY.ds_key
SIGNED: dict[str, Signed] = {
    "a root": (ROOT_KEY, root_of, lambda it: it.verify_signature(it.public_key)),
    "a document signer": (
        ROOT_KEY,
        under_root(lambda root: root.issue_document_signer(OTHER.public_key, common_name="x", not_before=TEST_TIME)),
        lambda it: it.verify_signature(ROOT_KEY.public_key),
    ),
    "a CRL": (
        ROOT_KEY,
        under_root(
            lambda root: root.publish_crl(number=1, this_update=TEST_TIME, next_update=TEST_TIME + timedelta(days=9))
        ),
        lambda it: it.verify_signature(ROOT_KEY.public_key),
    ),
    "a request": (DS_KEY, request, lambda it: it.public_key),
    "a checkpoint": (DS_KEY, checkpoint, lambda it: it.verify([DS_KEY.public_key, OTHER.public_key])),
    "a status list": (DS_KEY, token, StatusToken.decode),
    "a credential": (DS_KEY, credential, lambda it: it.issuer_auth.verify(DS_KEY.public_key)),
    "credentials": (DS_KEY, credentials, lambda them: [it.issuer_auth.verify(DS_KEY.public_key) for it in them]),
}
# Nobody knows another key yet than the one that they are made with.
NEW = {"a root", "a request", "a checkpoint", "a status list"}


@pytest.mark.parametrize("what", SIGNED)
@pytest.mark.parametrize("way", [*WAYS][1:])
def test_nothing_but_a_right_signature_comes_out(what: str, way: str) -> None:
    key, make, check = SIGNED[what]
    signer = Evil(key, way)
    try:
        made = make(signer)
    except SigningError as error:
        said = "".join(traceback.format_exception(error))
        assert SECRET not in said
        return
    except ProfileError:
        made = None  # the back end's key is another one from the outset: an argument that does not fit
    assert way.startswith("its key")
    if made is not None:
        # Who is not asked for its key again may sign as before; or nobody knows another key yet.
        assert what in NEW or way in ("its key raises", "its key is none")
        check(made)


@pytest.mark.parametrize("what", SIGNED)
def test_a_back_end_that_is_right_is_believed(what: str) -> None:
    key, make, check = SIGNED[what]
    check(make(Evil(key, "right, as a bytearray")))


@pytest.mark.hsm
def test_a_checkpoint_is_held_against_the_key_that_is_recorded(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias in the token that points to another key while the checkpoint is made."""
    asked = 0

    class Moving:
        def __init__(self, key: Signer) -> None:
            self.key = key

        @property
        def public_key(self) -> PublicKey:
            nonlocal asked
            asked += 1
            return (self.key if asked < 2 else OTHER).public_key

        def sign(self, data: bytes) -> bytes:
            return OTHER.sign(data)

    @contextmanager
    def moving(uri: str, *, secret: Any) -> Iterator[Signer]:
        with open_signer(uri, secret=secret) as key:
            yield Moving(key)

    own = Authority(authority)
    monkeypatch.setattr("issuer.custody.open_signer", moving)
    look_again()  # copies of an authority have copies of one token
    with pytest.raises(SigningError) as error:
        own.sign_checkpoint(at=lambda: datetime.now(UTC))
    assert error.value.code == "signing.wrong_key"
    assert [*(authority / "checkpoints").glob("*")] == []

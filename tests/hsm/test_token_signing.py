"""Signing with keys in a real SoftHSM token."""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pkcs11
import pytest
from pycose.keys.cosekey import CoseKey
from pycose.messages.sign1message import Sign1Message

from issuer import hsm
from issuer.key_uri import Secret
from issuer.keystore import Pkcs11Signer, Pkcs11Uri, SigningProcesses, generate_key, list_keys, open_signer
from issuer.token_keys import SIGNING_CURVES
from mdl.cose import encode_key, protected_header, sig_structure
from mdl.errors import SigningError
from mdl.keys import PublicKey, Signer
from tests.hsm.tokens import Token, hides, make_token

THREADS, EACH = 4, 500


@pytest.fixture(scope="module")
def ds(token: Token) -> str:
    return token.generate()


@pytest.mark.parametrize("curve", SIGNING_CURVES)
def test_every_curve_signs_what_its_public_key_verifies(token: Token, curve: str) -> None:
    uri = token.generate(curve)
    with open_signer(uri, secret=token.secret) as signer:
        assert isinstance(signer, Signer)
        assert signer.public_key.curve.name == curve
        for data in (b"", b"a message", bytes(100_000)):
            signature = signer.sign(data)
            assert len(signature) == signer.public_key.curve.signature_size
            signer.public_key.verify(signature, data)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "Ed25519", "Ed448"])
def test_an_independent_implementation_verifies_it(token: Token, curve: str) -> None:
    with open_signer(token.generate(curve), secret=token.secret) as signer:
        protected = protected_header(signer.public_key.algorithm.cose_id)
        signature = signer.sign(sig_structure(protected, b"payload"))
        key: Any = CoseKey.from_dict(encode_key(signer.public_key))
    for payload, verifies in ((b"payload", True), (b"another", False)):
        theirs = Sign1Message.from_cose_obj([protected, {}, payload, signature], allow_unknown_attributes=True)
        theirs.key = key
        assert theirs.verify_signature() is verifies


def test_generated_key_is_the_one_that_signs(token: Token) -> None:
    uri = token.key("returned")
    public_key = generate_key(uri, "P-256", secret=token.secret)
    with open_signer(uri, secret=token.secret) as signer:
        assert signer.public_key == public_key


def test_key_opens_by_its_id_alone(token: Token, ds: str) -> None:
    (key,) = list_keys(ds, secret=token.secret)
    assert len(key.id) == 16
    by_id = key.uri.replace(f";object={key.label}", "")
    assert by_id != key.uri
    with open_signer(by_id, secret=token.secret) as signer:
        assert signer.public_key == key.public_key


def test_key_does_not_leave_the_token(token: Token, ds: str) -> None:
    def look(session: hsm.Session, _: None) -> dict[str, Any]:
        (key,) = session.session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, **label})
        with pytest.raises(pkcs11.AttributeSensitive):
            key[pkcs11.Attribute.VALUE]
        names = ("SENSITIVE", "ALWAYS_SENSITIVE", "EXTRACTABLE", "NEVER_EXTRACTABLE", "PRIVATE", "TOKEN", "LOCAL")
        uses = ("SIGN", "DECRYPT", "DERIVE", "UNWRAP")
        return {name: key[pkcs11.Attribute[name]] for name in names + uses}

    with open_signer(ds, secret=token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        label = {pkcs11.Attribute.LABEL: signer._uri.label}
        found = signer._pool.run(look, None)
    assert {name for name, value in found.items() if value} == {
        *("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "PRIVATE", "TOKEN", "LOCAL", "SIGN")
    }


@pytest.mark.parametrize("length", [0, 20, 31, 33, 64, 3000])
def test_digest_of_another_length_is_refused(token: Token, ds: str, length: int) -> None:
    with open_signer(ds, secret=token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        with pytest.raises(SigningError, match=f"32 bytes, not {length}") as caught:
            signer.sign_digest(bytes(length))
    assert caught.value.code == "signing.digest_length"
    assert not caught.value.retryable


def test_digest_taken_elsewhere_is_signed(token: Token, ds: str) -> None:
    import hashlib

    with open_signer(ds, secret=token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        signer.public_key.verify(signer.sign_digest(hashlib.sha256(b"data").digest()), b"data")


@pytest.mark.parametrize("length", [0, 63, 65, 70])
def test_signature_of_another_length_is_not_handed_out(
    token: Token, ds: str, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_signer(ds, secret=token.secret) as signer:
        with monkeypatch.context() as patch:
            patch.setattr(hsm.Session, "sign", lambda *_: bytes(length))
            with pytest.raises(SigningError, match=f"{length} bytes instead of a signature of 64") as caught:
                signer.sign(b"data")
        assert caught.value.code == "signing.malformed_signature"
        signer.public_key.verify(signer.sign(b"data"), b"data")


def test_edwards_key_signs_no_digest(token: Token) -> None:
    with open_signer(token.generate("Ed25519"), secret=token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        with pytest.raises(SigningError) as caught:
            signer.sign_digest(bytes(32))
    assert caught.value.code == "signing.digest_length"


def test_closed_signer_refuses_also_while_others_use_the_token(token: Token, ds: str) -> None:
    with open_signer(ds, secret=token.secret) as other:
        with open_signer(ds, secret=token.secret) as signer:
            assert isinstance(signer, Pkcs11Signer)
        for sign in (signer.sign, signer.sign_digest):
            with pytest.raises(SigningError) as caught:
                sign(bytes(32))
            assert caught.value.code == "signing.closed"
        other.sign(b"data")
    with pytest.raises(SigningError) as caught:
        other.sign(b"data")
    assert caught.value.code == "signing.closed"


def test_last_signer_to_close_logs_out_and_leaves_no_session(token: Token, ds: str) -> None:
    with open_signer(ds, secret=token.secret) as first:
        with open_signer(token.generate(), secret=token.secret):
            assert isinstance(first, Pkcs11Signer)
            pool = first._pool
        first.sign(b"the token is still open for the other")
    module = pool.module
    assert not [name for name in hsm._pools if name[2] == token.label]
    generation = module.enter(module.configuration)
    try:
        (found,) = (each for each in module.tokens() if each.label == token.label)
        with found.open() as session:
            private = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
            assert not list(session.get_objects(private))
    finally:
        module.leave()
    assert generation == module.generation


# --- Threads ---------------------------------------------------------------------------------------------------------


def sign_in_threads(uri: str, pin: str, without_locks: bool) -> tuple[int, int]:
    """Sign and verify in several threads; how many threads the library admits and how many signatures verified."""
    if without_locks:
        plain = hsm.Cryptoki.initialize

        def initialize(self: hsm.Cryptoki, *, locking: bool) -> int:
            return hsm._CKR_CANT_LOCK if locking else plain(self, locking=False)

        hsm.Cryptoki.initialize = initialize  # type: ignore[method-assign]
    good: list[int] = []
    with open_signer(uri, secret=lambda _: pin) as signer:
        public_key = signer.public_key

        def work(name: int) -> None:
            for count in range(EACH):
                data = b"%d/%d" % (name, count)
                public_key.verify(signer.sign(data), data)
                good.append(1)

        threads = [threading.Thread(target=work, args=(name,)) for name in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert isinstance(signer, Pkcs11Signer)
        return signer._pool.module.limit, len(good)


def test_threads_share_a_signer(token: Token, ds: str, child: Callable[..., Any]) -> None:
    limit, good = child(sign_in_threads, ds, token.pin, False)
    assert good == THREADS * EACH
    assert limit >= THREADS


def test_threads_take_turns_where_the_module_cannot_lock(token: Token, ds: str, child: Callable[..., Any]) -> None:
    limit, good = child(sign_in_threads, ds, token.pin, True)
    assert good == THREADS * EACH
    assert limit == 1


def test_threads_that_wait_for_a_stuck_call_are_told(token: Token, ds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hsm, "_PATIENCE", 0.2)
    with open_signer(ds, secret=token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        module = signer._pool.module
        for _ in range(module.limit):
            module.enter(module.configuration)
        try:
            with pytest.raises(SigningError) as caught:
                signer.sign(b"data")
        finally:
            for _ in range(module.limit):
                module.leave()
        assert caught.value.code == "signing.token_busy"
        assert caught.value.retryable
        signer.public_key.verify(signer.sign(b"data"), b"data")


# --- Several tokens, several users -----------------------------------------------------------------------------------


def test_two_tokens_of_one_module_serve_side_by_side(token: Token, fresh_token: Token, ds: str) -> None:
    with open_signer(ds, secret=token.secret) as one:
        other_uri = fresh_token.generate()  # seen only after a fresh start of the module, which `one` survives
        with open_signer(other_uri, secret=fresh_token.secret) as other:
            for count in range(20):
                for signer in (one, other):
                    data = b"%d" % count
                    signer.public_key.verify(signer.sign(data), data)
            assert one.public_key != other.public_key
        one.public_key.verify(one.sign(b"alone again"), b"alone again")


def test_second_user_must_know_the_pin_too(token: Token, ds: str, logins: list[str]) -> None:
    with open_signer(ds, secret=token.secret):
        assert logins == [token.label]
        with pytest.raises(SigningError, match="was not tried") as caught, open_signer(ds, secret=lambda _: "guess"):
            pass
        assert caught.value.code == "signing.pin_incorrect"
        assert logins == [token.label]
        assert hides(caught.value, token.pin, "guess")


# --- PINs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def logins(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The label of the token for each login that is attempted from now on."""
    attempts: list[str] = []
    tokens = hsm._Module.tokens

    class Watched:
        def __init__(self, token: Any) -> None:
            self._token = token

        def __getattr__(self, name: str) -> Any:
            return getattr(self._token, name)

        def open(self, **options: Any) -> Any:
            if "user_pin" in options:
                attempts.append(self._token.label)
            return self._token.open(**options)

    monkeypatch.setattr(hsm._Module, "tokens", lambda self: map(Watched, tokens(self)))
    return attempts


def flags(token: Token) -> Any:
    """What the token says about itself, its PIN counter for example."""
    module = hsm._module(Pkcs11Uri.parse(token.uri).module_path, os.environ["SOFTHSM2_CONF"])
    module.enter(module.configuration)
    try:
        return next(each.flags for each in module.tokens() if each.label == token.label)
    finally:
        module.leave()


def test_wrong_pin_is_tried_once(fresh_token: Token, logins: list[str]) -> None:
    uri = fresh_token.generate()
    logins.clear()
    wrong = "no-" + fresh_token.pin
    with pytest.raises(SigningError) as caught, open_signer(uri, secret=lambda _: wrong):
        pass
    assert caught.value.code == "signing.pin_incorrect"
    assert not caught.value.retryable
    assert logins == [fresh_token.label]
    assert flags(fresh_token) & pkcs11.TokenFlag.USER_PIN_COUNT_LOW
    assert not flags(fresh_token) & (pkcs11.TokenFlag.USER_PIN_LOCKED | pkcs11.TokenFlag.USER_PIN_FINAL_TRY)
    assert hides(caught.value, fresh_token.pin, wrong)
    with open_signer(uri, secret=fresh_token.secret) as signer:
        signer.sign(b"the right PIN still opens it")
    assert not flags(fresh_token) & pkcs11.TokenFlag.USER_PIN_COUNT_LOW


def test_wrong_pin_is_tried_once_however_many_processes_are_asked_for(fresh_token: Token) -> None:
    uri = fresh_token.generate()
    asked: list[str] = []

    def secret(prompt: str) -> str:
        asked.append(prompt)
        return "no-" + fresh_token.pin

    with pytest.raises(SigningError) as caught:
        SigningProcesses(uri, secret=secret, processes=4)
    assert caught.value.code == "signing.pin_incorrect"
    assert asked == [f"PIN of token '{fresh_token.label}'"]
    assert hides(caught.value, fresh_token.pin)


def test_pin_that_stops_working_is_not_tried_again(fresh_token: Token, logins: list[str]) -> None:
    uri = fresh_token.generate()
    with open_signer(uri, secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        pool = signer._pool

        def change_pin(session: hsm.Session, _: None) -> None:
            writable = pool.open_writable(session)
            writable.session.set_pin(fresh_token.pin, "another-" + fresh_token.pin)
            writable.session.close()

        pool.run(change_pin, None)
        pool.module.cryptoki.finalize()  # everything is lost, and the PIN does not bring it back
        logins.clear()
        for _ in range(3):
            with pytest.raises(SigningError) as caught:
                signer.sign(b"data")
            assert caught.value.code == "signing.pin_incorrect"
        assert logins == [fresh_token.label]
        # Who knows the new PIN is not held up by the old one.
        with open_signer(uri, secret=lambda _: "another-" + fresh_token.pin) as other:
            other.public_key.verify(other.sign(b"data"), b"data")


def test_threads_that_wait_for_a_login_do_not_try_a_refused_pin_again(
    fresh_token: Token, logins: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse = hsm._refusal

    def slowly(exc: Exception) -> SigningError:
        time.sleep(0.3)  # the others arrive
        return refuse(exc)

    with open_signer(fresh_token.generate(), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        signer._pool._pin = Secret("no-" + fresh_token.pin)
        signer._pool.module.cryptoki.finalize()
        signer._pool.module.restart(signer._pool.module.generation, signer._pool.configuration)
        monkeypatch.setattr(hsm, "_refusal", slowly)
        logins.clear()
        codes: list[str] = []

        def work() -> None:
            with pytest.raises(SigningError) as caught:
                signer.sign(b"data")
            codes.append(caught.value.code)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert codes == ["signing.pin_incorrect"] * 4
    assert logins == [fresh_token.label]


@pytest.mark.parametrize("pin", ["", "123", "x" * 300])
def test_pin_of_impossible_length_is_refused(token: Token, ds: str, pin: str) -> None:
    with pytest.raises(SigningError) as caught, open_signer(ds, secret=lambda _: pin):
        pass
    assert caught.value.code in ("signing.secret_missing", "signing.pin_incorrect", "signing.pin_invalid")


def test_pin_source_in_the_uri_goes_first(token: Token, ds: str, tmp_path: Any) -> None:
    file = tmp_path / "pin"
    file.write_text(token.pin + "\n", "utf-8")

    def never(_: str) -> str:
        raise AssertionError("the handler was asked")

    with open_signer(f"{ds}&pin-source=file:{file}", secret=never) as signer:
        signer.public_key.verify(signer.sign(b"data"), b"data")


def test_reprs_hide_the_pin(token: Token, ds: str) -> None:
    with open_signer(ds, secret=token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        pool = signer._pool
        assert token.pin not in repr(signer) + repr(pool) + repr(pool._pin)
        assert token.label in repr(signer)


# --- What is not there -----------------------------------------------------------------------------------------------


def refused(uri: str, secret: Callable[[str], str]) -> SigningError:
    with pytest.raises(SigningError) as caught, open_signer(uri, secret=secret):
        pass
    return caught.value


def test_missing_token(token: Token) -> None:
    def never(_: str) -> str:
        raise AssertionError("a PIN was asked for a token that is not there")

    error = refused(token.uri.replace("token=tests", "token=absent;object=x"), never)
    assert error.code == "signing.token_missing"
    assert not error.retryable
    assert "SOFTHSM2_CONF" in error.message


def test_missing_key(token: Token) -> None:
    error = refused(token.key("absent"), token.secret)
    assert error.code == "signing.key_missing"
    assert hides(error, token.pin)


def test_two_tokens_with_one_label(softhsm: Any, token: Token) -> None:
    make_token(softhsm, "twin")
    module = hsm._module(Pkcs11Uri.parse(token.uri).module_path, os.environ["SOFTHSM2_CONF"])
    module.restart(module.generation, module.configuration)
    module.enter(module.configuration)
    try:
        taken = {each.slot.slot_id for each in module.tokens()}
        free = next(slot for slot in module.library.get_slots() if slot.slot_id not in taken)
        assert module.cryptoki.init_token(free.slot_id, Secret("so-pin-of-twin"), "twin") == 0
    finally:
        module.leave()
    error = refused(token.uri.replace("token=tests", "token=twin;object=x"), token.secret)
    assert error.code == "signing.token_ambiguous"


def test_key_without_public_half(fresh_token: Token) -> None:
    uri = fresh_token.generate()
    with open_signer(uri, secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        destroy(signer, "PUBLIC_KEY")
    assert refused(uri, fresh_token.secret).code == "signing.public_key_missing"


def test_public_half_of_another_key(fresh_token: Token) -> None:
    """Somebody put another public key beside the private one: the first signature shows it."""
    uri, other_uri = fresh_token.generate(label="one"), fresh_token.generate(label="other")
    with (
        open_signer(uri, secret=fresh_token.secret) as signer,
        open_signer(other_uri, secret=fresh_token.secret) as other,
    ):
        assert isinstance(signer, Pkcs11Signer)
        assert isinstance(other, Pkcs11Signer)
        pool = signer._pool

        def swap(session: hsm.Session, _: None) -> None:
            writable = pool.open_writable(session)
            kind = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY}
            mine, theirs = (
                next(iter(list(writable.session.get_objects({**kind, pkcs11.Attribute.LABEL: label}))))
                for label in ("one", "other")
            )
            identifier = mine[pkcs11.Attribute.ID]
            mine.destroy()
            theirs[pkcs11.Attribute.ID] = identifier
            writable.session.close()

        pool.run(swap, None)
    assert refused(uri, fresh_token.secret).code == "signing.key_mismatch"


def destroy(signer: Pkcs11Signer, *kinds: str) -> None:
    pool, label = signer._pool, signer._uri.label

    def work(session: hsm.Session, _: None) -> None:
        writable = pool.open_writable(session)
        for kind in kinds:
            template = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass[kind], pkcs11.Attribute.LABEL: label}
            for found in list(writable.session.get_objects(template)):
                found.destroy()
        writable.session.close()

    pool.run(work, None)


def test_rsa_key_is_listed_but_does_not_sign(fresh_token: Token) -> None:
    fresh_token.generate(label="ec")
    with open_signer(fresh_token.key("ec"), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        pool = signer._pool

        def make(session: hsm.Session, _: None) -> None:
            writable = pool.open_writable(session)
            writable.session.generate_keypair(pkcs11.KeyType.RSA, 2048, store=True, label="rsa", id=b"rsa")
            writable.session.close()

        pool.run(make, None)
    keys = {key.label: key for key in list_keys(fresh_token.uri, secret=fresh_token.secret)}
    assert set(keys) == {"ec", "rsa"}
    assert keys["rsa"].public_key is None
    assert isinstance(keys["ec"].public_key, PublicKey)
    assert not keys["ec"].extractable
    assert refused(keys["rsa"].uri, fresh_token.secret).code == "signing.curve_unsupported"


def test_key_that_may_not_sign(fresh_token: Token) -> None:
    fresh_token.generate(label="ec")
    with open_signer(fresh_token.key("ec"), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        pool = signer._pool

        def forbid(session: hsm.Session, _: None) -> None:
            writable = pool.open_writable(session)
            (key,) = list(writable.session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}))
            key[pkcs11.Attribute.SIGN] = False
            writable.session.close()

        pool.run(forbid, None)
    assert refused(fresh_token.key("ec"), fresh_token.secret).code == "signing.key_unusable"


# --- Making keys -----------------------------------------------------------------------------------------------------


def test_key_is_never_overwritten(token: Token, ds: str) -> None:
    (key,) = list_keys(ds, secret=token.secret)
    same_id = Pkcs11Uri.parse(token.uri).for_key("another label", id=key.id)
    for uri in (ds, same_id):
        with pytest.raises(SigningError) as caught:
            generate_key(uri, "P-256", secret=token.secret)
        assert caught.value.code == "signing.key_exists"
    assert list_keys(ds, secret=token.secret) == [key]


@pytest.mark.parametrize("curve", ["P-224", "X25519", "secp256k1", ""])
def test_no_key_on_a_curve_that_does_not_sign_here(token: Token, curve: str) -> None:
    with pytest.raises(SigningError) as caught:
        generate_key(token.key("impossible"), curve, secret=token.secret)
    assert caught.value.code == "signing.curve_unsupported"


def test_key_made_with_too_many_rights_is_deleted_again(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    from issuer import token_keys

    flag = token_keys._flag
    monkeypatch.setattr(token_keys, "_flag", lambda key, name: name == "DERIVE" or flag(key, name))
    uri = token.key("over-privileged")
    with pytest.raises(SigningError) as caught:
        generate_key(uri, "P-256", secret=token.secret)
    assert caught.value.code == "signing.key_unprotected"
    assert list_keys(uri, secret=token.secret) == []


def fill_up(uri: str, pin: str) -> tuple[str, list[str]]:
    """Make a key where nothing can be written any more; the code of the refusal, and the keys that are there then."""
    import resource
    import signal

    key_uri = Pkcs11Uri.parse(uri).for_key("too-much")
    list_keys(uri, secret=lambda _: pin)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.RLIM_INFINITY))  # a token fits, a key does not
    with pytest.raises(SigningError) as caught:
        generate_key(key_uri, "P-256", secret=lambda _: pin)
    assert hides(caught.value, pin)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return caught.value.code, [key.label for key in list_keys(uri, secret=lambda _: pin)]


def test_full_token(fresh_token: Token, child: Callable[..., Any]) -> None:
    fresh_token.generate(label="there")
    code, labels = child(fill_up, fresh_token.uri, fresh_token.pin)
    assert code == "signing.key_not_kept"
    assert labels == ["there"]

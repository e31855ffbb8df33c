"""Keys that other tools put into a token: every form of a public half, the attributes of a URI, keys that are taken."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pkcs11 import ObjectClass

from issuer import hsm, token_keys
from issuer.authority import Authority, Founding
from issuer.clock import SystemClock
from issuer.custody import configuration_of
from issuer.hsm import Session, open_pool
from issuer.keystore import Pkcs11Uri, generate_key, init_softhsm_token, list_keys, open_signer
from issuer.store import Role
from mdl.cli import main
from mdl.errors import MdlError, SigningError
from mdl.keys import CURVES
from mdl.pki import Subject
from tests.hsm.tokens import Token

SYSTEM = SystemClock()
NOW = dt.datetime.now(dt.UTC)
A: Any = pkcs11.Attribute
NAMES: dict[str, Any] = {
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
    "brainpoolP512r1": ec.BrainpoolP512R1,
}


def der(tag: int, content: bytes) -> bytes:
    size = bytes((len(content),)) if len(content) < 0x80 else bytes((0x81, len(content)))
    return bytes((tag,)) + size + content


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "octet string": lambda point: der(4, point),
    "bare": lambda point: point,
    "bit string": lambda point: der(3, b"\0" + point),
}


def certificate(key: Any, signer: Any = None) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + dt.timedelta(days=99))
    return builder.sign(signer or key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def put(uri: Pkcs11Uri, secret: Callable[[str], str], *templates: dict[Any, Any]) -> None:
    with open_pool(uri, secret) as pool:

        def work(session: Session, _: None) -> None:
            writable = pool.open_writable(session)
            for template in templates:
                writable.session.create_object({A.TOKEN: True, **template})
            writable.session.close()

        pool.run(work, None)


def private(key: Any, curve: str, label: str, **more: Any) -> dict[Any, Any]:
    size = CURVES[curve].coordinate_size
    return {
        A.CLASS: ObjectClass.PRIVATE_KEY,
        A.KEY_TYPE: pkcs11.KeyType.EC,
        A.PRIVATE: True,
        A.SENSITIVE: True,
        A.EXTRACTABLE: False,
        A.SIGN: True,
        A.LABEL: label,
        A.ID: label.encode(),
        A.EC_PARAMS: token_keys._oid(CURVES[curve].oid),
        A.VALUE: key.private_numbers().private_value.to_bytes(size, "big"),
        **{A[name]: value for name, value in more.items()},
    }


def public(point: bytes, curve: str, label: str) -> dict[Any, Any]:
    return {
        A.CLASS: ObjectClass.PUBLIC_KEY,
        A.KEY_TYPE: pkcs11.KeyType.EC,
        A.VERIFY: True,
        A.LABEL: label,
        A.ID: label.encode(),
        A.EC_PARAMS: token_keys._oid(CURVES[curve].oid),
        A.EC_POINT: point,
    }


def beside(content: bytes, label: str) -> dict[Any, Any]:
    return {
        A.CLASS: ObjectClass.CERTIFICATE,
        A.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509,
        A.LABEL: label,
        A.ID: label.encode(),
        A.SUBJECT: b"\x30\x00",
        A.VALUE: content,
    }


def point_of(key: Any) -> bytes:
    encoding = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return bytes(key.public_key().public_bytes(*encoding))


@pytest.mark.parametrize("curve", NAMES)
def test_every_form_of_a_public_half_opens(fresh_token: Token, curve: str) -> None:
    uri, objects, keys = Pkcs11Uri.parse(fresh_token.uri), [], {}
    for name, form in FORMS.items():
        keys[name] = ec.generate_private_key(NAMES[curve]())
        objects += [private(keys[name], curve, name), public(form(point_of(keys[name])), curve, name)]
    for name, count in (("certificate", 1), ("two certificates of one key", 2)):
        keys[name] = ec.generate_private_key(NAMES[curve]())
        objects += [private(keys[name], curve, name), *(beside(certificate(keys[name]), name) for _ in range(count))]
    keys["twice the same"] = ec.generate_private_key(NAMES[curve]())
    objects.append(private(keys["twice the same"], curve, "twice the same"))
    objects += [public(form(point_of(keys["twice the same"])), curve, "twice the same") for form in FORMS.values()]
    put(uri, fresh_token.secret, *objects)
    for name, key in keys.items():
        with open_signer(uri.for_key(name), secret=fresh_token.secret) as signer:
            signer.public_key.verify(signer.sign(b"data"), b"data")
            assert signer.public_key.point == point_of(key)
    assert all(one.public_key is not None for one in list_keys(fresh_token.uri, secret=fresh_token.secret))


def test_what_is_not_the_public_half_is_not_believed(fresh_token: Token) -> None:
    """Beside each form that is taken: another key in it is refused, and so is what is no key."""
    uri = Pkcs11Uri.parse(fresh_token.uri)
    one, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    point, foreign = point_of(one), point_of(other)
    big = rsa.generate_private_key(65537, 2048)
    cases: dict[str, tuple[str, list[dict[Any, Any]]]] = {
        **{
            f"another in {name}": ("signing.key_mismatch", [public(form(foreign), "P-256", f"another in {name}")])
            for name, form in FORMS.items()
        },
        "another's certificate": ("signing.key_mismatch", [beside(certificate(other), "another's certificate")]),
        "two": ("signing.public_key_missing", [beside(certificate(key), "two") for key in (one, other)]),
        "rsa": ("signing.public_key_missing", [beside(certificate(big, big), "rsa")]),
        "no certificate": ("signing.public_key_missing", [beside(b"\x30\x00", "no certificate")]),
        "none": ("signing.public_key_missing", []),
        "odd bits": ("signing.public_key_malformed", [public(der(3, b"\1" + point), "P-256", "odd bits")]),
        "cut": ("signing.public_key_malformed", [public(der(4, point)[:-1], "P-256", "cut")]),
        "off": ("signing.public_key_malformed", [public(der(4, point[:-1] + b"\0"), "P-256", "off")]),
    }
    for label, (_, objects) in cases.items():
        put(uri, fresh_token.secret, private(one, "P-256", label), *objects)
    for label, (code, _) in cases.items():
        with pytest.raises(SigningError) as caught, open_signer(uri.for_key(label), secret=fresh_token.secret):
            pass
        assert caught.value.code == code, label


def test_of_two_public_keys_with_one_id_the_one_of_the_same_label_counts(fresh_token: Token) -> None:
    uri = Pkcs11Uri.parse(fresh_token.uri)
    one, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    foreign = {**public(point_of(other), "P-256", "another"), A.ID: b"mine"}
    put(uri, fresh_token.secret, private(one, "P-256", "mine"), foreign, public(point_of(one), "P-256", "mine"))
    with open_signer(uri.for_key("mine"), secret=fresh_token.secret) as signer:
        assert signer.public_key.point == point_of(one)


def test_edwards_points_in_every_form() -> None:
    for name, size in (("Ed25519", 32), ("Ed448", 57)):
        point = bytes(range(size))
        for form in FORMS.values():
            assert token_keys._point(form(point), CURVES[name]) == point


# --- the URI ---------------------------------------------------------------------------------------------------------


def test_every_attribute_of_rfc_7512_finds_the_token(token: Token) -> None:
    uri = Pkcs11Uri.parse(token.generate(label=None))
    module = hsm._modules[uri.module_path]
    module.enter(module.configuration)
    try:
        (found,) = (one for one in module.tokens() if one.label == token.label)
        slot, library = found.slot, module.library
        version = "{}.{}".format(*library.library_version)
        right: dict[str, Any] = {
            "manufacturer": found.manufacturer_id,
            "model": found.model,
            "serial": found.serial.decode(),
            "slot_id": slot.slot_id,
            "slot_description": slot.slot_description,
            "slot_manufacturer": slot.manufacturer_id,
            "library_manufacturer": library.manufacturer_id,
            "library_description": library.library_description,
            "library_version": version,
        }
    finally:
        module.leave()
    for name, value in right.items():
        named = replace(uri, **{name: value})
        assert Pkcs11Uri.parse(str(named)) == named
        with open_signer(str(named), secret=token.secret):
            pass
        other: Any = "9.9" if "version" in name else 7 if name == "slot_id" else f"no {value}"
        wrong = replace(uri, **{name: other})
        with pytest.raises(SigningError) as caught, open_signer(str(wrong), secret=token.secret):
            pass
        assert caught.value.code == "signing.token_missing", name


def test_a_library_is_found_by_its_name(tmp_path: Path) -> None:
    path = Pkcs11Uri.parse("pkcs11:token=t?module-name=softhsm2").module_path
    assert Path(path).name == "libsofthsm2.so"
    assert Pkcs11Uri.parse(f"pkcs11:token=t?module-path={path}&module-name=softhsm2").module_path == path
    assert Pkcs11Uri.parse(f"pkcs11:token=t?module-path={Path(path).parent}&module-name=softhsm2").module_path == path
    for query, code in (
        ("module-name=absent", "signing.module_missing"),
        (f"module-path={tmp_path}&module-name=softhsm2", "signing.module_missing"),
        ("module-name=../softhsm2", "signing.uri_invalid"),
        ("module-name=%2Fetc%2Fpasswd", "signing.uri_invalid"),
        (f"module-path={path}&module-name=another", "signing.uri_invalid"),
        (f"module-path={path}&library-version=2", None),
    ):
        if code is None:
            assert Pkcs11Uri.parse(f"pkcs11:token=t;library-version=2?module-path={path}").library_version == "2"
            continue
        with pytest.raises(SigningError) as caught:
            Pkcs11Uri.parse(f"pkcs11:token=t?{query}")
        assert caught.value.code == code, query
    with pytest.raises(SigningError):
        Pkcs11Uri.parse(f"pkcs11:token=t;library-version=new?module-path={path}")


# --- the last try ----------------------------------------------------------------------------------------------------


def test_the_last_try_of_a_pin_is_not_spent(fresh_token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = fresh_token.generate()
    tried: list[str] = []

    def final_try(token: Any) -> hsm.PinState:
        tried.append(token.label)
        return hsm.PinState.FINAL_TRY

    monkeypatch.setattr(hsm, "_pin_state", final_try)
    with pytest.raises(SigningError) as caught, open_signer(uri, secret=lambda _: "a wrong PIN"):
        pass
    assert (caught.value.code, tried) == ("signing.pin_final_try", [fresh_token.label])
    monkeypatch.undo()
    assert hsm.pin_state(Pkcs11Uri.parse(uri)) is hsm.PinState.USUAL, "no PIN was tried"
    with open_signer(uri, secret=fresh_token.secret):
        pass


# --- keys that are taken ---------------------------------------------------------------------------------------------


def test_keys_of_the_tokens_own_tool_are_taken_as_roots_and_signers(tmp_path: Path) -> None:
    """As an HSM's tool makes them: labels and ids of its own, uses beyond signing, a certificate in the key's place."""
    plain = init_softhsm_token(tmp_path / "hsm", "hsm", so_pin="officer-pin", user_pin="user-pin")
    uri = replace(Pkcs11Uri.parse(plain), configuration=configuration_of(tmp_path / "hsm"))

    def pin(_: str) -> str:
        return "user-pin"

    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("Root_A", "signer-b", "open", "Root_C", "lists")}
    for name, key in keys.items():
        half = beside(certificate(key), name) if name == "signer-b" else public(der(4, point_of(key)), "P-256", name)
        more = {"EXTRACTABLE": True} if name == "open" else {"DERIVE": True}
        put(uri, pin, private(key, "P-256", name, **more), half)
    put(uri, pin, private(keys["signer-b"], "P-256", "again"), public(point_of(keys["signer-b"]), "P-256", "again"))
    generate_key(uri.for_key("ds-1"), "P-384", secret=pin)
    founding = Founding(
        subject=Subject(country="XU", common_name="Utopia IACA"),
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
        token=str(uri),
        iaca_key="Root_A",
        take_key=True,
    )
    for change, code in (
        ({"iaca_key": "open"}, "signing.key_unprotected"),
        ({"iaca_key": "absent"}, "signing.key_missing"),
        ({"curve": "P-384"}, "signing.wrong_key"),
        ({"take_key": False}, "signing.key_exists"),
        ({"token": None}, "authority.key_label"),
    ):
        with pytest.raises(MdlError) as caught:
            Authority.found(tmp_path / "authority", replace(founding, **change), at=SYSTEM(), secret=pin)
        assert caught.value.code == code
        assert not (tmp_path / "authority").exists()
    authority = Authority.found(tmp_path / "authority", founding, at=SYSTEM(), secret=pin)
    assert authority.root.public_key.point == point_of(keys["Root_A"])
    assert authority.certify_signer(at=SYSTEM, key="signer-b").certificate.public_key.point == point_of(
        keys["signer-b"]
    )
    for label, code in (
        ("signer-b", "authority.key_taken"),
        ("again", "authority.key_taken"),
        ("Root_A", "authority.key_label"),
        ("open", "signing.key_unprotected"),
        ("absent", "signing.key_missing"),
        ("iaca-2", "authority.key_label"),
        ("audit-1", "authority.key_label"),
        ("../x", "authority.key_label"),
    ):
        with pytest.raises(MdlError) as caught:
            authority.certify_signer(at=SYSTEM, key=label)
        assert caught.value.code == code, label
    assert authority.certify(Role.STATUS_SIGNER, at=SYSTEM, key="lists").key == "lists"
    (tmp_path / "pin").write_text("user-pin\n")
    words = ["issuer", "ds", "--dir", str(tmp_path / "authority"), "--key", "ds-1", "--pin-file", str(tmp_path / "pin")]
    assert main(words) == 0  # its curve is its own
    made = [authority.certify_signer(at=SYSTEM) for _ in range(2)]
    assert [one.key for one in made] == ["ds-2", "ds-3"]
    assert authority.rekey(at=SYSTEM, key="Root_C").certificate.public_key.point == point_of(keys["Root_C"])
    assert authority.rekey(at=SYSTEM).key == "Root_A-2"
    assert authority.publish_crl(at=SYSTEM).failures == ()
    with authority.open_issuer(at=SYSTEM):
        pass

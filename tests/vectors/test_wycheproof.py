"""Project Wycheproof's vectors for the primitives: every valid one is taken, every invalid one is refused."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mdl.errors import DecodeError, MdlError, VerificationError
from mdl.keys import CURVES, EphemeralKey, PublicKey, hkdf_sha256, hmac_sha256
from tests import external

FOLDER = "wycheproof"


def cases_in(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each test with its group; the file's own count makes sure that none is left out."""
    content = json.loads(path.read_text("utf-8"))
    found = [(group, test) for group in content["testGroups"] for test in group["tests"]]
    assert len(found) == content["numberOfTests"]
    return iter(found)


def disagreements(path: Path, accepts: Callable[[dict[str, Any], dict[str, Any]], bool]) -> list[tuple[int, str, str]]:
    return [
        (test["tcId"], test["result"], test["comment"])
        for group, test in cases_in(path)
        if test["result"] != "acceptable" and accepts(group, test) is not (test["result"] == "valid")
    ]


def verifies(group: dict[str, Any], test: dict[str, Any]) -> bool:
    key = PublicKey.from_spki(bytes.fromhex(group["publicKeyDer"]))
    assert PublicKey.from_pem(group["publicKeyPem"].encode()) == key
    try:
        key.verify(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))
    except VerificationError as error:
        assert error.code == "signature.invalid"  # noqa: PT017 - the refusal is the answer here
        return False
    return True


@pytest.mark.parametrize("path", external.cases(FOLDER, "ecdsa_*_p1363_test.json"))
def test_ecdsa_signatures(path: Path) -> None:
    assert disagreements(path, verifies) == []


@pytest.mark.parametrize("path", external.cases(FOLDER, "ed25519_test.json"))
def test_ed25519_signatures(path: Path) -> None:
    assert disagreements(path, verifies) == []


@pytest.mark.parametrize("path", external.cases(FOLDER, "ecdh_secp256r1_ecpoint_test.json"))
def test_ecdh(path: Path) -> None:
    def agrees(_group: dict[str, Any], test: dict[str, Any]) -> bool:
        own = EphemeralKey.from_secret("P-256", int(test["private"], 16))
        try:
            secret = own.agree(PublicKey.from_point(CURVES["P-256"], bytes.fromhex(test["public"])))
        except MdlError as error:
            assert isinstance(error, DecodeError)  # noqa: PT017
            return False
        return secret == bytes.fromhex(test["shared"])

    assert disagreements(path, agrees) == []
    # Those that may be refused or taken are never taken wrongly.
    for group, test in cases_in(path):
        if test["result"] == "acceptable":
            try:
                point = PublicKey.from_point(CURVES["P-256"], bytes.fromhex(test["public"]))
            except DecodeError:
                continue
            assert point.curve.name == "P-256"
            assert agrees(group, test)


@pytest.mark.parametrize("path", external.cases(FOLDER, "hkdf_sha256_test.json"))
def test_hkdf(path: Path) -> None:
    def derives(_group: dict[str, Any], test: dict[str, Any]) -> bool:
        ikm, salt, info = (bytes.fromhex(test[name]) for name in ("ikm", "salt", "info"))
        try:
            return hkdf_sha256(ikm, salt=salt, info=info, length=test["size"]) == bytes.fromhex(test["okm"])
        except ValueError:  # more than HKDF can give
            return False

    assert disagreements(path, derives) == []


@pytest.mark.parametrize("path", external.cases(FOLDER, "hmac_sha256_test.json"))
def test_hmac(path: Path) -> None:
    def authenticates(group: dict[str, Any], test: dict[str, Any]) -> bool:
        tag = hmac_sha256(bytes.fromhex(test["key"]), bytes.fromhex(test["msg"]))
        return tag[: int(group["tagSize"]) // 8] == bytes.fromhex(test["tag"])

    assert disagreements(path, authenticates) == []

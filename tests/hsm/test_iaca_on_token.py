"""The authority with its keys in a token: root, request, document signer and CRL, judged by openssl."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from issuer.certificates import Iaca, request_document_signer
from issuer.keystore import Pkcs11Signer, open_signer
from mdl.errors import SigningError
from mdl.keys import Signer
from mdl.pki import (
    DOCUMENT_SIGNER,
    Certificate,
    RevokedCertificate,
    Subject,
    lint_certificate,
    lint_crl,
    validate_path,
)
from tests.hsm.tokens import Token
from tests.parts import openssl

NOW = datetime.now(UTC)
SUBJECT = Subject(country="US", state="US-UT", organization="Utah DMV", common_name="Utah IACA")
DS_SUBJECT = Subject(country="US", state="US-UT", common_name="DS 1")
CURVES = ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1"]


def authority(signer: Signer) -> Iaca:
    return Iaca.create(
        signer,
        subject=SUBJECT,
        not_before=NOW,
        crl_uri="https://pki.utah.example/iaca.crl",
        contact_email="pki@utah.example",
    )


@pytest.fixture(scope="module", params=CURVES)
def iaca(request: pytest.FixtureRequest, token: Token) -> Iterator[Iaca]:
    with open_signer(token.generate(request.param), secret=token.secret) as signer:
        yield authority(signer)


@pytest.fixture(scope="module")
def ds_signer(token: Token) -> Iterator[Signer]:
    with open_signer(token.generate(), secret=token.secret) as signer:
        yield signer


def issue(iaca: Iaca, ds_signer: Signer) -> Certificate:
    return iaca.issue_document_signer(
        request_document_signer(ds_signer, DS_SUBJECT).der, common_name="DS 1", not_before=NOW
    )


def write(folder: Path, **files: str) -> dict[str, Path]:
    paths = {name: folder / f"{name}.pem" for name in files}
    for name, content in files.items():
        paths[name].write_text(content, "ascii")
    return paths


def test_openssl_accepts_request_chain_and_crl(iaca: Iaca, ds_signer: Signer, tmp_path: Path) -> None:
    request = request_document_signer(ds_signer, DS_SUBJECT)
    ds = iaca.issue_document_signer(request, common_name="DS 1", not_before=NOW)
    crl = iaca.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30))
    files = write(tmp_path, root=iaca.certificate.pem, request=request.pem, ds=ds.pem, crl=crl.pem)
    (tmp_path / "crl.der").write_bytes(crl.der)

    assert "verify OK" in openssl("req", "-in", files["request"], "-noout", "-verify")
    assert "verify OK" in openssl(
        "crl", "-inform", "DER", "-in", tmp_path / "crl.der", "-noout", "-CAfile", files["root"]
    )
    strict = ("verify", "-x509_strict", "-check_ss_sig", "-crl_check", "-CRLfile", files["crl"])
    openssl(*strict, "-CAfile", files["root"], files["ds"])
    openssl("verify", "-x509_strict", "-check_ss_sig", "-CAfile", files["root"], files["root"])


def test_openssl_refuses_what_the_crl_lists(iaca: Iaca, ds_signer: Signer, tmp_path: Path) -> None:
    ds = issue(iaca, ds_signer)
    crl = iaca.publish_crl(
        [RevokedCertificate(serial=ds.serial, revoked_at=NOW)],
        number=2,
        this_update=NOW,
        next_update=NOW + timedelta(days=30),
    )
    files = write(tmp_path, root=iaca.certificate.pem, ds=ds.pem, crl=crl.pem)
    check = ("verify", "-crl_check", "-CRLfile", files["crl"], "-CAfile", files["root"], files["ds"])
    assert "certificate revoked" in openssl(*check, refuses=True)


def test_our_own_readers_accept_it(iaca: Iaca, ds_signer: Signer) -> None:
    ds = issue(iaca, ds_signer)
    crl = iaca.publish_crl(number=1, this_update=NOW, next_update=NOW + timedelta(days=30))
    assert lint_certificate(ds, DOCUMENT_SIGNER, issuer=iaca.certificate, at=NOW + timedelta(days=1)) == ()
    assert lint_crl(crl, issuer=iaca.certificate, at=NOW + timedelta(days=1)) == ()
    assert validate_path(ds, [iaca.certificate], at=NOW + timedelta(days=1)).anchor == iaca.certificate


def test_authority_is_taken_up_again(iaca: Iaca, ds_signer: Signer) -> None:
    """The certificate from its file, the key from the token, as on any other day."""
    again = Iaca.load(iaca.certificate.pem.encode(), iaca.signer)
    assert issue(again, ds_signer).issuer == iaca.certificate.subject


def test_edwards_document_signer_in_the_token(iaca: Iaca, token: Token, tmp_path: Path) -> None:
    with open_signer(token.generate("Ed25519"), secret=token.secret) as signer:
        ds = issue(iaca, signer)
    files = write(tmp_path, root=iaca.certificate.pem, ds=ds.pem)
    openssl("verify", "-x509_strict", "-CAfile", files["root"], files["ds"])


def test_token_that_goes_away_leaves_nothing_issued(fresh_token: Token, ds_signer: Signer) -> None:
    with open_signer(fresh_token.generate(), secret=fresh_token.secret) as signer:
        assert isinstance(signer, Pkcs11Signer)
        root = authority(signer)
        (folder,) = [
            path for path in fresh_token.files() if fresh_token.label.encode() in (path / "token.object").read_bytes()
        ]
        folder.rename(fresh_token.folder / "away")
        with pytest.raises(SigningError) as caught:
            issue(root, ds_signer)
        assert caught.value.retryable
        (fresh_token.folder / "away").rename(folder)
        issue(root, ds_signer)

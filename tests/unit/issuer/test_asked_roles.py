"""A request is certified for the role that it was made for, and for no other, by whatever door it comes in."""

import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from issuer.ceremony import Script, rehearse
from issuer.signers import CERTIFIED, check_asked_role, signer_subject
from issuer.store import Role
from mdl.errors import DecodeError, IssuanceError
from mdl.pki import CertificateRequest, KeyPurpose, Subject, build_csr
from mdl.testing import TEST_TIME, ThrowawayAuthority, deterministic_key
from tests.ceremonies import RECORD, ROOT, head, opening

IACA = ThrowawayAuthority().iaca_certificate
SIGNERS = [role for role, one in CERTIFIED.items() if one.issuer is not None and role is not Role.LINK]
HANDED = [role for role in SIGNERS if CERTIFIED[role].issuer is Role.IACA]
PURPOSES = {role: one.profile.purpose for role, one in CERTIFIED.items() if one.profile.purpose is not None}


def plain(name: str = "A signer", key: str = "asked") -> CertificateRequest:
    return build_csr(Subject(country="XU", state="XU-EX", common_name=name), deterministic_key(key))


def asking_for(*purposes: str, content: bytes | None = None) -> bytes:
    """A request of another program, with extendedKeyUsage among the extensions that it asks for."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "XU")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if content is not None:
        builder = builder.add_attribute(x509.ObjectIdentifier("1.2.840.113549.1.9.14"), content)
    elif purposes:
        usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(one) for one in purposes])
        builder = builder.add_extension(x509.KeyUsage(*[True] + [False] * 8), critical=True)
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(generate_private_key(SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def is_taken(request: CertificateRequest, role: Role, file: str | None = None) -> bool:
    try:
        check_asked_role(request, role, file=file)
    except IssuanceError as exc:
        return (exc.code, role.value in exc.message) != ("request.role", True)
    return True


@pytest.mark.parametrize("made", SIGNERS)
def test_each_sign_of_a_role_is_refused_for_every_other(made: Role) -> None:
    named = build_csr(signer_subject(IACA, made, None, 3), deterministic_key("asked"))
    assert [role for role in SIGNERS if is_taken(named, role)] == [made]
    for file in (f"{CERTIFIED[made].name}-1.csr", f"carried/{CERTIFIED[made].name}-12.PEM", f"{made.value}.csr"):
        assert [role for role in SIGNERS if is_taken(plain(), role, file)] == [made], file
    if made in PURPOSES:
        asking = CertificateRequest(asking_for(PURPOSES[made]))
        assert asking.purposes == (PURPOSES[made],)
        # A list signer's purpose has no number yet, so what asks for another's is not made for it either.
        assert [role for role in SIGNERS if is_taken(asking, role)] == [made]


def test_a_request_without_a_sign_is_taken_for_the_role_that_is_named() -> None:
    for request in (
        plain(),
        plain("Utopia"),
        plain("Utopia DS 1 of 2"),
        plain("WORDS"),
        CertificateRequest(asking_for()),
    ):
        assert [role for role in SIGNERS if is_taken(request, role, "request.csr")] == SIGNERS


def test_signs_that_contradict_each_other_are_taken_for_nothing() -> None:
    named = build_csr(signer_subject(IACA, Role.DOCUMENT_SIGNER, None, 1), deterministic_key("asked"))
    assert not any(is_taken(named, role, "revocation-list-1.csr") for role in SIGNERS)
    both = CertificateRequest(asking_for(KeyPurpose.MDL_DOCUMENT_SIGNER, KeyPurpose.MDL_JWS_SIGNER))
    assert not any(is_taken(both, role) for role in SIGNERS)


def test_other_purposes_are_no_sign_of_a_role_beside_its_own_and_a_refusal_without_it() -> None:
    beside = CertificateRequest(asking_for(KeyPurpose.MDL_DOCUMENT_SIGNER, "1.2.3.4"))
    assert is_taken(beside, Role.DOCUMENT_SIGNER)
    alone = CertificateRequest(asking_for(KeyPurpose.TLS_CLIENT))
    assert [role for role in HANDED if is_taken(alone, role)] == [Role.STATUS_SIGNER]


def test_a_request_whose_extensions_cannot_be_read_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        CertificateRequest(asking_for(content=b"\x30\x03\x02\x01\x01"))
    assert caught.value.code == "request.malformed"


# --- in the dry run of a ceremony ------------------------------------------------------------------------------------


def rehearsed(folder: Path, *steps: tuple[CertificateRequest, str, str]) -> None:
    text = head() + opening() + ROOT
    for number, (request, file, role) in enumerate(steps):
        (folder / file).write_bytes(request.der)
        text += (
            f'\n[[steps]]\ndo = "sign-csr"\nrequest = "{file}"\nsha256 = "{hashlib.sha256(request.der).hexdigest()}"\n'
            f'certificate = "{number}.pem"\ncommon_name = "Utopia {number}"\nrole = "{role}"\n'
        )
    (folder / "script.toml").write_text(text + RECORD)
    rehearse(Script.read(folder / "script.toml"), folder / "root", at=TEST_TIME)


@pytest.mark.parametrize("asked", HANDED)
def test_the_dry_run_certifies_a_request_for_its_own_role_only(tmp_path: Path, asked: Role) -> None:
    for made in HANDED:
        request = build_csr(
            Subject(country="XU", common_name=f"Utopia {CERTIFIED[made].suffix} 1"), deterministic_key("asked")
        )
        if made is asked:
            rehearsed(tmp_path, (request, "carried.csr", asked.value))
            continue
        with pytest.raises(IssuanceError) as caught:
            rehearsed(tmp_path, (request, "carried.csr", asked.value))
        assert caught.value.code == "request.role"


def test_the_dry_run_goes_by_the_name_of_the_file_too(tmp_path: Path) -> None:
    rehearsed(tmp_path, (plain(), "ds-1.csr", "document-signer"))
    with pytest.raises(IssuanceError, match=r"request\.role"):
        rehearsed(tmp_path, (plain(), "revocation-list-1.csr", "document-signer"))


def test_the_dry_run_certifies_a_key_once(tmp_path: Path) -> None:
    first, second = plain(key="one"), plain(key="two")
    rehearsed(tmp_path, (first, "a.csr", "document-signer"), (second, "b.csr", "jws-signer"))
    with pytest.raises(IssuanceError, match=r"request\.key_certified"):
        rehearsed(tmp_path, (first, "a.csr", "document-signer"), (first, "b.csr", "jws-signer"))

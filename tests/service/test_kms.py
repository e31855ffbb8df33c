"""Keys in AWS KMS: a stand-in on the loopback interface signs, honestly or not."""

import base64
import hashlib
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from issuer import aws
from issuer.aws import AwsUri
from issuer.certificates import Iaca, request_document_signer
from issuer.keystore import KmsSigner, SigningProcesses, generate_key, open_signer
from mdl.errors import SigningError
from mdl.keys import Signer
from mdl.pki import Subject
from tests.aws_stand_in import ACCOUNT, REGION, Body, StandIn, b64, refuse, set_credentials, stall
from tests.service.verdicts import assert_accepted

pytestmark = pytest.mark.service

SPECS = {"P-256": "ECC_NIST_P256", "P-384": "ECC_NIST_P384", "P-521": "ECC_NIST_P521"}
ID = "1234abcd-12ab-34cd-56ef-1234567890ab"
ARN = f"arn:aws:kms:{REGION}:{ACCOUNT}"
# The order of the group of P-256.
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def never(_prompt: str) -> str:
    raise AssertionError("a secret was asked for")


def refused(uri: str) -> SigningError:
    """The error with which a key does not open."""
    with pytest.raises(SigningError) as caught, open_signer(uri, secret=never):
        pass
    assert "words of the service" not in str(caught.value)  # what the service said beside its code
    return caught.value


def refusal_to_sign(stand_in: StandIn, spoil: Callable[[Body, Body], Body | bytes], data: bytes = b"m") -> SigningError:
    """The error with which an open signer does not sign once the service behaves otherwise."""
    key = stand_in.new_key()
    with open_signer(stand_in.key_uri(key.id), secret=never) as signer:
        stand_in.spoil["Sign"] = spoil
        with pytest.raises(SigningError) as caught:
            signer.sign(data)
    assert hashlib.sha256(data).hexdigest() not in str(caught.value)
    assert "words of the service" not in str(caught.value)
    return caught.value


# --- Signing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", SPECS)
def test_every_curve_that_kms_has_signs(stand_in: StandIn, curve: str) -> None:
    key = stand_in.new_key(SPECS[curve], alias="alias/ds")
    with open_signer(stand_in.key_uri("alias/ds"), secret=never) as signer:
        assert isinstance(signer, Signer)
        assert signer.public_key.curve.name == curve
        for data in (b"", b"a message", bytes(100_000)):
            signature = signer.sign(data)
            assert len(signature) == signer.public_key.curve.signature_size
            signer.public_key.verify(signature, data)
    # Digests only, and to the key that was found, whatever its alias names meanwhile.
    signed = [body for name, body in stand_in.asked if name == "Sign"]
    assert {(body["MessageType"], body["KeyId"]) for body in signed} == {("DIGEST", key.arn)}
    assert {len(base64.b64decode(body["Message"])) for body in signed} == {signer.public_key.algorithm.digest_size}
    assert stand_in.count("GetPublicKey") == 1


@pytest.mark.parametrize("curve", SPECS)
def test_a_signer_in_kms_under_our_own_root_convinces_reader_and_oracle(
    stand_in: StandIn, iaca: Iaca, curve: str
) -> None:
    generate_key(stand_in.key_uri("alias/ds-1"), curve, secret=never)
    with open_signer(stand_in.key_uri("alias/ds-1"), secret=never) as signer:
        request = request_document_signer(signer, Subject(country="XU", state="XU-EX", common_name="DS 1"))
        certificate = iaca.issue_document_signer(request.der, common_name="DS 1", not_before=datetime.now(UTC))
        assert_accepted(signer, certificate, iaca.certificate)


def test_a_root_in_kms_issues(stand_in: StandIn) -> None:
    stand_in.new_key("ECC_NIST_P384", alias="alias/iaca")
    stand_in.new_key(alias="alias/ds")
    now = datetime.now(UTC)
    with (
        open_signer(stand_in.key_uri("alias/iaca"), secret=never) as root_signer,
        open_signer(stand_in.key_uri("alias/ds"), secret=never) as signer,
    ):
        ours = Iaca.create(
            root_signer,
            subject=Subject(country="XU", state="XU-EX", common_name="Root in KMS"),
            not_before=now,
            crl_uri="https://mdl.example/iaca.crl",
            contact_uri="https://mdl.example",
        )
        certificate = ours.issue_document_signer(signer.public_key, common_name="DS", not_before=now)
        assert_accepted(signer, certificate, ours.certificate)


def test_a_signature_with_a_high_s_is_as_good(stand_in: StandIn) -> None:
    def high(_: Body, honest: Body) -> Body:
        r, s = decode_dss_signature(base64.b64decode(honest["Signature"]))
        return honest | {"Signature": b64(encode_dss_signature(r, max(s, ORDER - s)))}

    stand_in.spoil["Sign"] = high
    with open_signer(stand_in.key_uri(stand_in.new_key().id), secret=never) as signer:
        signature = signer.sign(b"message")
        assert int.from_bytes(signature[32:]) > ORDER // 2
        signer.public_key.verify(signature, b"message")


def test_threads_share_a_signer(stand_in: StandIn) -> None:
    key = stand_in.new_key()
    with open_signer(stand_in.key_uri(key.id), secret=never) as signer, ThreadPoolExecutor(8) as pool:
        messages = [str(number).encode() for number in range(64)]
        for message, signature in zip(messages, pool.map(signer.sign, messages), strict=True):
            signer.public_key.verify(signature, message)


def test_processes_share_a_key(stand_in: StandIn) -> None:
    uri = stand_in.key_uri(stand_in.new_key().id)
    with SigningProcesses(uri, secret=never, processes=1) as signers:
        signers.public_key.verify(signers.sign_many([b"message"])[0], b"message")


def test_a_closed_signer_does_not_sign(stand_in: StandIn) -> None:
    with open_signer(stand_in.key_uri(stand_in.new_key().id), secret=never) as signer:
        pass
    with pytest.raises(SigningError, match=r"signing\.closed"):
        signer.sign(b"message")


def test_a_signer_shows_which_key_it_is(stand_in: StandIn) -> None:
    key = stand_in.new_key()
    with open_signer(stand_in.key_uri(key.id), secret=never) as signer:
        assert isinstance(signer, KmsSigner)
        assert key.arn in repr(signer)


# --- A custodian that lies -------------------------------------------------------------------------------------------


def other_message(stand_in: StandIn) -> Callable[[Body, Body], Body]:
    def sign(body: Body, _: Body) -> Body:
        return stand_in.operation("Sign", body | {"Message": b64(bytes(32))})

    return sign


def other_key(stand_in: StandIn) -> Callable[[Body, Body], Body]:
    def sign(body: Body, _: Body) -> Body:
        return stand_in.operation("Sign", body | {"KeyId": stand_in.new_key().arn})

    return sign


@pytest.mark.parametrize("lie", [other_message, other_key])
def test_a_signature_over_something_else_is_not_handed_out(
    stand_in: StandIn, lie: Callable[[StandIn], Callable[[Body, Body], Body]]
) -> None:
    error = refusal_to_sign(stand_in, lie(stand_in))
    assert (error.code, error.retryable) == ("signing.wrong_signature", False)


@pytest.mark.parametrize(
    "octets",
    [
        bytes(64),
        bytes.fromhex("3006020100020100"),
        encode_dss_signature(1, 1),
        encode_dss_signature(1, 1) + b"\0",
        encode_dss_signature(2**256, 1),
        bytes.fromhex("300602010102017f")[:-1],
        bytes.fromhex("3080020101020101") + b"\0\0",
        b"\xff",
        b"",
    ],
    ids=["raw", "zero", "any r and s", "bytes left over", "r too wide", "cut", "BER", "noise", "nothing"],
)
def test_what_is_no_signature_in_der_is_not_handed_out(stand_in: StandIn, octets: bytes) -> None:
    error = refusal_to_sign(stand_in, lambda _, honest: honest | {"Signature": b64(octets)})
    assert error.code in ("signing.malformed_signature", "signing.wrong_signature")
    assert not error.retryable


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Signature": None},
        {"Signature": 7},
        {"Signature": ["x"]},
        b"[]",
        b"{",
        b"",
        b"\xff",
        b"7",
    ],
    ids=str,
)
def test_an_answer_that_makes_no_sense_is_refused(stand_in: StandIn, answer: Body | bytes) -> None:
    error = refusal_to_sign(stand_in, lambda *_: answer)
    assert (error.code, error.retryable) == ("signing.malformed_answer", False)


def test_a_private_key_that_is_not_the_public_one_is_found_out_at_the_door(stand_in: StandIn) -> None:
    key, another = stand_in.new_key(), stand_in.new_key()
    stand_in.spoil["GetPublicKey"] = lambda _, honest: honest | {"PublicKey": another.public()["PublicKey"]}
    assert refused(stand_in.key_uri(key.id)).code == "signing.wrong_signature"


RSA = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK7ttYaE/1ldsb0OJQDQhhDWqwuFWIyt9xgYIJH1HYA5UpA/Nm24fERIA1xi2Pomep6VTnQ/ThFP5hn2NyIT"
    "wx8CAwEAAQ=="
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"KeyUsage": "ENCRYPT_DECRYPT"}, "signing.key_unusable"),
        ({"KeyUsage": "KEY_AGREEMENT", "SigningAlgorithms": None}, "signing.key_unusable"),
        ({"KeyUsage": None}, "signing.key_unusable"),
        ({"SigningAlgorithms": ["ECDSA_SHA_384"]}, "signing.key_unusable"),
        ({"SigningAlgorithms": None}, "signing.malformed_answer"),
        ({"KeySpec": "ECC_SECG_P256K1"}, "signing.curve_unsupported"),
        ({"KeySpec": "RSA_2048"}, "signing.curve_unsupported"),
        ({"KeySpec": "ECC_NIST_EDWARDS25519"}, "signing.curve_unsupported"),
        ({"KeySpec": "ECC_NIST_P384"}, "signing.public_key_malformed"),
        ({"KeySpec": None, "CustomerMasterKeySpec": None}, "signing.malformed_answer"),
        ({"PublicKey": b64(b"no key")}, "signing.public_key_malformed"),
        ({"PublicKey": RSA}, "signing.public_key_malformed"),
        ({"PublicKey": None}, "signing.malformed_answer"),
        (
            {"KeyId": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/12345678-1234-4321-8765-000000000000"},
            "signing.malformed_answer",
        ),
        ({"KeyId": None}, "signing.malformed_answer"),
    ],
    ids=str,
)
def test_a_key_that_does_not_sign_here_does_not_open(stand_in: StandIn, changes: Body, code: str) -> None:
    stand_in.spoil["GetPublicKey"] = lambda _, honest: honest | changes
    assert refused(stand_in.key_uri(stand_in.new_key().id)).code == code
    assert stand_in.count("Sign") == 0


def test_the_older_name_of_the_kind_of_key_is_understood(stand_in: StandIn) -> None:
    stand_in.spoil["GetPublicKey"] = lambda _, honest: {k: v for k, v in honest.items() if k != "KeySpec"}
    with open_signer(stand_in.key_uri(stand_in.new_key().id), secret=never) as signer:
        assert signer.public_key.curve.name == "P-256"


# --- A custodian that refuses or fails -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "code", "retryable"),
    [
        ("ThrottlingException", 400, "signing.throttled", True),
        ("Unheard", 429, "signing.throttled", True),
        ("KeyUnavailableException", 500, "signing.service_failed", True),
        ("DependencyTimeoutException", 503, "signing.service_failed", True),
        ("KMSInternalException", 500, "signing.service_failed", True),
        ("Unheard", 502, "signing.service_failed", True),
        ("AccessDeniedException", 400, "signing.access_denied", False),
        ("UnrecognizedClientException", 400, "signing.access_denied", False),
        ("ExpiredTokenException", 400, "signing.access_denied", False),
        ("DisabledException", 400, "signing.key_disabled", False),
        ("KMSInvalidStateException", 400, "signing.key_unusable", False),
        ("InvalidKeyUsageException", 400, "signing.key_unusable", False),
        ("NotFoundException", 400, "signing.key_missing", False),
        ("ValidationException", 400, "signing.service_refused", False),
        ("<script>", 400, "signing.service_refused", False),
    ],
)
def test_a_refusal_says_who_must_act(stand_in: StandIn, name: str, status: int, code: str, retryable: bool) -> None:
    error = refusal_to_sign(stand_in, refuse(name, status))
    assert (error.code, error.retryable) == (code, retryable)
    assert "<" not in error.message


def test_a_passing_failure_is_tried_again_and_a_lasting_one_not_for_ever(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws, "_ATTEMPTS", 3)
    key = stand_in.new_key()
    with open_signer(stand_in.key_uri(key.id), secret=never) as signer:
        before = stand_in.count("Sign")
        stand_in.spoil["Sign"] = refuse("ThrottlingException", times=2)
        signer.public_key.verify(signer.sign(b"message"), b"message")
        assert stand_in.count("Sign") - before == 3
        stand_in.spoil["Sign"] = refuse("AccessDeniedException")
        with pytest.raises(SigningError):
            signer.sign(b"message")
        assert stand_in.count("Sign") - before == 4
        stand_in.spoil["Sign"] = refuse("KMSInternalException", 500)
        with pytest.raises(SigningError) as caught:
            signer.sign(b"message")
        assert caught.value.retryable
        assert stand_in.count("Sign") - before == 7


def test_a_service_that_does_not_answer_is_not_waited_for(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "_READ_PATIENCE", 0.2)
    stand_in.spoil["GetPublicKey"] = stall(1.5)
    start = time.monotonic()
    error = refused(stand_in.key_uri(stand_in.new_key().id))
    assert (error.code, error.retryable) == ("signing.service_unreachable", True)
    assert time.monotonic() - start < 1.4


def test_a_service_that_is_not_there_is_told(stand_in: StandIn) -> None:
    uri = stand_in.key_uri(stand_in.new_key().id)
    stand_in.close()
    error = refused(uri)
    assert (error.code, error.retryable) == ("signing.service_unreachable", True)


def test_an_endpoint_without_trustworthy_tls_is_not_asked(stand_in: StandIn) -> None:
    uri = stand_in.key_uri(stand_in.new_key().id).replace("http:", "https:")
    error = refused(uri)
    assert (error.code, error.retryable) == ("signing.endpoint_untrusted", False)
    assert stand_in.asked == []


def test_credentials_that_are_missing_are_told(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert refused(stand_in.key_uri(stand_in.new_key().id)).code == "signing.credentials_missing"
    monkeypatch.setenv("AWS_PROFILE", "there-is-none")
    assert refused(stand_in.key_uri(stand_in.new_key().id)).code == "signing.credentials_missing"


def test_the_environment_does_not_lead_elsewhere(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The URI names the endpoint, or leaves it to AWS; a variable that names one is not looked at."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with aws.connect("kms", AwsUri.parse(f"awskms:///alias/ds?region={REGION}", scheme="awskms")) as client:
        assert client.meta.endpoint_url.startswith(f"https://kms.{REGION}.")
    with open_signer(stand_in.key_uri(stand_in.new_key().id), secret=never) as signer:
        signer.sign(b"message")


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    error = refused(f"awskms:///alias/ds?region={REGION}")
    assert error.code == "signing.extra_missing"
    assert "pip install 'mdl-sdk[aws]'" in error.message


# --- Names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "resource"),
    [
        (f"awskms:///{ID}?region={REGION}", ID),
        (f"awskms:{ID}?region={REGION}", ID),
        (f"AWSKMS:///key/{ID}?region={REGION}", ID),
        (f"awskms:///alias/mdl/ds-1_a?region={REGION}", "alias/mdl/ds-1_a"),
        (f"awskms:///mrk-{'0a' * 16}?region={REGION}", f"mrk-{'0a' * 16}"),
        (f"awskms:///{ARN}:key/{ID}", f"{ARN}:key/{ID}"),
        (f"awskms:///{ARN}:alias/ds", f"{ARN}:alias/ds"),
        (f"awskms:///{ARN}:key/{ID}?region={REGION}", f"{ARN}:key/{ID}"),
    ],
)
def test_a_key_is_named_by_id_alias_or_arn(uri: str, resource: str) -> None:
    parsed = AwsUri.parse(uri, scheme="awskms")
    assert parsed == AwsUri(scheme="awskms", resource=resource, region=REGION)
    assert AwsUri.parse(str(parsed), scheme="awskms") == parsed


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://vpce-1.kms.example",
        "https://kms.example:8443",
        "http://127.0.0.1:5000",
        "http://localhost",
        "http://[::1]:80",
    ],
)
def test_an_endpoint_is_https_or_on_this_machine(endpoint: str) -> None:
    parsed = AwsUri.parse(f"awskms:///alias/ds?region={REGION}&endpoint={endpoint}", scheme="awskms")
    assert parsed.endpoint == endpoint
    assert AwsUri.parse(str(parsed), scheme="awskms") == parsed


@pytest.mark.parametrize(
    "uri",
    [
        "awskms:",
        "awskms:///",
        f"awskms://host/{ID}?region={REGION}",
        f"awskms:///{ID}",
        f"awskms:///{ID}?region=",
        f"awskms:///{ID}?region=EU",
        f"awskms:///{ID}?region=eu-central-1.evil.example/",
        f"awskms:///{ID}?region={REGION}&region={REGION}",
        f"awskms:///{ID}?region={REGION}&color=red",
        f"awskms:///{ID}?region={REGION}&secret",
        f"awskms:///{ID.upper()}?region={REGION}",
        f"awskms:///{ID}%00?region={REGION}",
        f"awskms:///alias/?region={REGION}",
        f"awskms:///alias/d s?region={REGION}",
        f"awskms:///alias/d%73?region={REGION}",
        f"awskms:///arn:aws:s3:{REGION}:{ACCOUNT}:key/{ID}",
        f"awskms:///{ARN}:{ID}",
        f"awskms:///{ARN}:key/{ID}?region=us-east-1",
        f"awskms:///{ID}?region={REGION}&endpoint=http://kms.example",
        f"awskms:///{ID}?region={REGION}&endpoint=http://127.0.0.1.example",
        f"awskms:///{ID}?region={REGION}&endpoint=https://user:secret@kms.example",
        f"awskms:///{ID}?region={REGION}&endpoint=https://kms.example/path",
        f"awskms:///{ID}?region={REGION}&endpoint=https://kms.example?x",
        f"awskms:///{ID}?region={REGION}&endpoint=https://kms.example:0",
        f"awskms:///{ID}?region={REGION}&endpoint=https://kms.example:99999",
        f"awskms:///{ID}?region={REGION}&endpoint=https://",
        f"awskms:///{ID}?region={REGION}&endpoint=ftp://127.0.0.1",
        f"awskms:///{ID}?region={REGION}&endpoint=https://[",
        f"awskms:///{ID}?region={REGION}&endpoint=https://kms.example%zz",
        f"awskms:///{ID}?region={REGION}&endpoint=https://k%C3%A9ms",
        f"awspca:///{ID}?region={REGION}",
    ],
)
def test_a_uri_that_names_no_key_of_kms_is_refused(uri: str) -> None:
    with pytest.raises(SigningError) as caught:
        AwsUri.parse(uri, scheme="awskms")
    assert caught.value.code == "signing.uri_invalid"
    assert "secret" not in str(caught.value)


# --- Making keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", SPECS)
def test_a_key_is_made_under_an_alias_and_signs(stand_in: StandIn, curve: str) -> None:
    public_key = generate_key(stand_in.key_uri("alias/new"), curve, secret=never)
    assert public_key.curve.name == curve
    with open_signer(stand_in.key_uri("alias/new"), secret=never) as signer:
        assert signer.public_key == public_key


def test_a_key_is_never_overwritten(stand_in: StandIn) -> None:
    key = stand_in.new_key(alias="alias/ds")
    with pytest.raises(SigningError) as caught:
        generate_key(stand_in.key_uri("alias/ds"), "P-256", secret=never)
    assert caught.value.code == "signing.key_exists"
    assert (stand_in.count("CreateKey"), stand_in.aliases["alias/ds"]) == (0, key)


@pytest.mark.parametrize("curve", ["brainpoolP256r1", "Ed25519", "Ed448", "X25519", "P-255"])
def test_a_curve_that_kms_does_not_have_is_refused_before_it_is_asked(stand_in: StandIn, curve: str) -> None:
    with pytest.raises(SigningError) as caught:
        generate_key(stand_in.key_uri("alias/new"), curve, secret=never)
    assert caught.value.code == "signing.curve_unsupported"
    assert stand_in.asked == []


def test_a_new_key_is_named_by_an_alias(stand_in: StandIn) -> None:
    with pytest.raises(SigningError) as caught:
        generate_key(stand_in.key_uri(ID), "P-256", secret=never)
    assert caught.value.code == "signing.uri_invalid"
    assert stand_in.asked == []


@pytest.mark.parametrize("operation", ["CreateAlias", "GetPublicKey"])
def test_a_key_that_was_made_and_not_named_is_told(stand_in: StandIn, operation: str) -> None:
    stand_in.spoil[operation] = refuse("AccessDeniedException")
    with pytest.raises(SigningError) as caught:
        generate_key(stand_in.key_uri("alias/new"), "P-256", secret=never)
    (key,) = stand_in.keys.values()
    assert caught.value.code == "signing.access_denied"
    assert key.arn in caught.value.message


def test_a_key_on_another_curve_than_asked_for_is_not_taken(stand_in: StandIn) -> None:
    another = stand_in.new_key("ECC_NIST_P384")
    stand_in.spoil["GetPublicKey"] = lambda *_: another.public()
    with pytest.raises(SigningError) as caught:
        generate_key(stand_in.key_uri("alias/new"), "P-256", secret=never)
    assert caught.value.code == "signing.malformed_answer"


def test_making_a_key_is_not_repeated(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "_ATTEMPTS", 3)
    stand_in.spoil["CreateKey"] = refuse("KMSInternalException", 500)
    with pytest.raises(SigningError):
        generate_key(stand_in.key_uri("alias/new"), "P-256", secret=never)
    assert stand_in.count("CreateKey") == 1


def test_an_alias_that_cannot_be_looked_up_is_not_taken_for_free(stand_in: StandIn) -> None:
    stand_in.spoil["DescribeKey"] = refuse("AccessDeniedException")
    with pytest.raises(SigningError) as caught:
        generate_key(stand_in.key_uri("alias/new"), "P-256", secret=never)
    assert (caught.value.code, stand_in.count("CreateKey")) == ("signing.access_denied", 0)


# --- An emulator of others -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", SPECS)
def test_keys_are_made_in_the_emulator_of_others(emulator: str, monkeypatch: pytest.MonkeyPatch, curve: str) -> None:
    set_credentials(monkeypatch)
    uri = f"awskms:///alias/made-{curve}?region={REGION}&endpoint={emulator}"
    assert generate_key(uri, curve, secret=never).curve.name == curve
    with pytest.raises(SigningError) as caught:
        generate_key(uri, curve, secret=never)
    assert caught.value.code == "signing.key_exists"


def test_a_missing_key_is_told_by_the_emulator_of_others(emulator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_credentials(monkeypatch)
    error = refused(f"awskms:///alias/there-is-none?region={REGION}&endpoint={emulator}")
    assert (error.code, error.retryable) == ("signing.key_missing", False)

"""An authority whose token is a prefix of aliases in AWS KMS, through the command: a stand-in on the loopback signs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from issuer import custody
from issuer.authority import Authority
from issuer.custody import KmsToken, check_token, parse_token
from issuer.folder import PinSource
from mdl.cli import main
from mdl.errors import SigningError
from mdl.mdoc import IssuerSigned
from mdl.pki import Certificate, Crl
from tests.authorities import INIT, Outcome, content, device_key, licence, mdl, public_key_file
from tests.aws_stand_in import REGION, Body, RefusedError, StandIn, refuse
from tests.service.verdicts import assert_convincing

pytestmark = pytest.mark.service

Run = Callable[..., Outcome]

REFUSALS = {"AccessDeniedException": "signing.access_denied", "ThrottlingException": "signing.throttled"}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str | Path) -> Outcome:
        capsys.readouterr()
        status = main([*map(str, words)])
        said = capsys.readouterr()
        return Outcome(status, said.out, said.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "authority"


@pytest.fixture
def found(run: Run, folder: Path, stand_in: StandIn) -> Callable[..., Outcome]:
    """Founds the authority."""

    def found(*words: str) -> Outcome:
        return run("issuer", "init", "--dir", folder, *INIT, "--token-uri", stand_in.key_uri("alias/dmv"), *words)

    return found


def issue(folder: Path) -> tuple[str | Path, ...]:
    beside = folder.parent
    key, out = public_key_file(beside), beside / "licence.cbor"
    return "issuer", "issue", licence(beside), "--dir", folder, "--device-key", key, "--out", out


def assert_licence_convinces(folder: Path, signer: str = "ds-1") -> None:
    issued = IssuerSigned.decode((folder.parent / "licence.cbor").read_bytes())
    certificate, root = (Certificate.decode_any((folder / f"{name}.pem").read_bytes()) for name in (signer, "iaca"))
    assert_convincing(issued, device_key(), certificate=certificate, root=root)


# --- What is right ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_an_authority_in_kms_issues_what_convinces_reader_and_oracle(
    run: Run, found: Callable[..., Outcome], folder: Path, stand_in: StandIn, curve: str
) -> None:
    outcome = found("--curve", curve)
    assert (outcome.status, outcome.err) == (0, "")
    assert "PIN" not in outcome.out
    assert run("issuer", "ds", "--dir", folder, "--curve", curve).status == 0
    assert sorted(stand_in.aliases) == ["alias/dmv/ds-1", "alias/dmv/iaca"]
    assert run(*issue(folder)).status == 0
    assert_licence_convinces(folder)
    assert run("issuer", "crl", "--dir", folder).status == 0
    crl = Crl.decode((folder / "iaca.crl").read_bytes())
    crl.verify_signature(Certificate.decode_any((folder / "iaca.pem").read_bytes()).public_key)
    assert crl.number == 2


def test_the_other_verbs_go_on_as_with_any_token(run: Run, found: Callable[..., Outcome], folder: Path) -> None:
    assert found().status == 0
    for words in (
        ("ds",),
        ("certify", "--role", "jws"),
        ("rekey", "--link", "--crl-url", "https://mdl.example/second.crl"),
        ("ds",),
        ("crl",),
        ("audit", "checkpoint"),
        ("audit", "verify"),
    ):
        outcome = run("issuer", *words, "--dir", folder)
        assert (outcome.status, outcome.err) == (0, ""), words


def test_another_process_goes_on(found: Callable[..., Outcome], folder: Path) -> None:
    assert found().status == 0
    for words in (("issuer", "ds", "--dir", folder), issue(folder)):
        outcome = mdl(*words)
        assert (outcome.status, outcome.err) == (0, "")
    assert_licence_convinces(folder)


def test_an_alias_that_takes_its_time_is_waited_for(
    run: Run, found: Callable[..., Outcome], folder: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custody, "_PAUSE", 0.01)
    assert found().status == 0
    late = 3

    def hidden(body: Body, honest: Body) -> Body:
        nonlocal late
        if body["KeyId"] == "alias/dmv/ds-1" and late:
            late -= 1
            raise RefusedError("NotFoundException")
        return honest

    stand_in.spoil["GetPublicKey"] = hidden
    assert run("issuer", "ds", "--dir", folder).status == 0
    assert late == 0


def test_all_pages_of_aliases_are_read(stand_in: StandIn) -> None:
    stand_in.page = 2
    for name in ("a", "dmv", "dmv-2/iaca", "dmv/ds-1", "dmv/iaca", "dmv/x/ds-2", "dmva/ds-3", "z"):
        stand_in.new_key(alias=f"alias/{name}")
    token = KmsToken.parse(stand_in.key_uri("alias/dmv"))
    assert token.labels() == {"ds-1", "iaca", "x/ds-2"}
    assert stand_in.count("ListAliases") == 4


# --- Founding --------------------------------------------------------------------------------------------------------


def test_a_key_that_is_there_is_not_taken_for_the_root(
    found: Callable[..., Outcome], folder: Path, stand_in: StandIn
) -> None:
    theirs = stand_in.new_key(alias="alias/dmv/iaca")
    assert "'iaca' already" in found().error(4, "signing.key_exists")
    assert not folder.exists()
    assert stand_in.aliases == {"alias/dmv/iaca": theirs}
    assert stand_in.count("CreateKey") == 0


def test_a_founding_that_was_broken_off_goes_on_with_its_key(
    run: Run, found: Callable[..., Outcome], folder: Path, stand_in: StandIn
) -> None:
    stand_in.spoil["Sign"] = refuse("ThrottlingException")
    found().error(4, "signing.throttled")
    run("issuer", "ds", "--dir", folder).error(3, "authority.unfinished")
    made = stand_in.aliases["alias/dmv/iaca"]
    del stand_in.spoil["Sign"]
    assert found().status == 0
    assert (stand_in.count("CreateKey"), stand_in.aliases["alias/dmv/iaca"]) == (1, made)
    assert Authority(folder).verify_audit() == []


@pytest.mark.parametrize("operation", ["ListAliases", "DescribeKey", "CreateKey"])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_service_that_refuses_leaves_no_authority_behind(
    found: Callable[..., Outcome], folder: Path, stand_in: StandIn, operation: str, name: str
) -> None:
    stand_in.spoil[operation] = refuse(name)
    assert "words of the service" not in found().error(4, REFUSALS[name])
    assert not folder.exists()
    assert stand_in.aliases == {}


def test_a_key_that_could_not_be_named_is_told(found: Callable[..., Outcome], folder: Path, stand_in: StandIn) -> None:
    def unnamed(_: Body, __: Body) -> Body:
        stand_in.aliases.clear()
        raise RefusedError("AccessDeniedException")

    stand_in.spoil["CreateAlias"] = unnamed
    line = found().error(4, "signing.access_denied")
    (key,) = stand_in.keys.values()
    assert key.arn in line
    assert not folder.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--pin-env", "THE_PIN"), "signing.uri_invalid"),
        (("--key-label", "the root"), "signing.uri_invalid"),
        (("--key-label", "root/key"), "signing.uri_invalid"),
        (("--key-label", "root?region=eu-west-1"), "signing.uri_invalid"),
        (("--key-label", "r" * 247), "signing.uri_invalid"),
        (("--curve", "brainpoolP256r1"), "signing.curve_unsupported"),
    ],
)
def test_what_kms_does_not_have_is_refused_before_a_key_is_made(
    found: Callable[..., Outcome], folder: Path, stand_in: StandIn, words: tuple[str, ...], code: str
) -> None:
    found(*words).error(4, code)
    assert not folder.exists()
    assert stand_in.count("CreateKey") == 0


@pytest.mark.parametrize(
    "name",
    [
        "alias/dmv/",
        "alias//dmv",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        f"arn:aws:kms:{REGION}:111122223333:alias/dmv",
        f"arn:aws:kms:{REGION}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    ],
)
def test_only_a_prefix_of_aliases_is_a_token(name: str) -> None:
    with pytest.raises(SigningError) as caught:
        parse_token(f"awskms:///{name}?region={REGION}")
    assert caught.value.code == "signing.uri_invalid"


def test_a_token_without_a_pin_is_checked_like_others() -> None:
    uri = f"awskms:///alias/dmv?region={REGION}"
    check_token(uri, None)
    with pytest.raises(SigningError, match="no PIN"):
        check_token(uri, PinSource(environment="THE_PIN"))


# --- At work ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSALS)
def test_nothing_is_half_made_when_the_service_refuses(
    run: Run, found: Callable[..., Outcome], folder: Path, stand_in: StandIn, name: str
) -> None:
    assert found().status == 0
    assert run("issuer", "ds", "--dir", folder).status == 0
    before = content(folder)
    for operation in ("GetPublicKey", "Sign"):
        stand_in.spoil = {operation: refuse(name)}
        for words in (issue(folder), ("issuer", "ds", "--dir", folder), ("issuer", "crl", "--dir", folder)):
            assert "words of the service" not in run(*words).error(4, REFUSALS[name])
            assert content(folder) == before, words
            assert not (folder.parent / "licence.cbor").exists()
    stand_in.spoil = {}
    assert run(*issue(folder)).status == 0
    assert_licence_convinces(folder)


def test_an_alias_that_was_pointed_at_another_key_signs_nothing(
    run: Run, found: Callable[..., Outcome], folder: Path, stand_in: StandIn
) -> None:
    assert found().status == 0
    assert run("issuer", "ds", "--dir", folder).status == 0
    before = content(folder)
    for alias in ("alias/dmv/iaca", "alias/dmv/ds-1"):
        stand_in.aliases[alias] = stand_in.new_key()
    run("issuer", "crl", "--dir", folder).error(4, "signing.wrong_key")
    assert run(*issue(folder)).status in (1, 4)
    assert content(folder) == before


def test_a_listing_without_an_end_is_refused(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody, "_MAX_PAGES", 3)
    stand_in.spoil["ListAliases"] = lambda _, __: {"Aliases": [], "Truncated": True, "NextMarker": "0"}
    with pytest.raises(SigningError) as caught:
        KmsToken.parse(stand_in.key_uri("alias/dmv")).labels()
    assert (caught.value.code, stand_in.count("ListAliases")) == ("signing.malformed_answer", 3)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"Aliases": [{}], "Truncated": False},
        {"Aliases": [], "Truncated": True},
    ],
)
def test_a_listing_that_cannot_be_read_is_refused(stand_in: StandIn, answer: Body) -> None:
    stand_in.spoil["ListAliases"] = lambda _, __: answer
    with pytest.raises(SigningError) as caught:
        KmsToken.parse(stand_in.key_uri("alias/dmv")).labels()
    assert caught.value.code == "signing.malformed_answer"

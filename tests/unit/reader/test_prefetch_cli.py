"""``mdl reader prefetch``: evidence into a file, and a verdict offline with it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from mdl.cli import main
from mdl.testing import Presentation, present, throwaway_authority
from tests.status_forgery import Token
from tests.web import Server, ok, serving, status

HOUSE = throwaway_authority()
AT = ["--at", "2026-06-01T12:00:00Z"]
Output = pytest.CaptureFixture[str]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as one:
        yield one


@pytest.fixture
def shown(server: Server) -> Presentation:
    """A licence whose signer and security object name the server, which has what they call for."""
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(server.url("/crl"))], None, None, None)
    signer = HOUSE.deviant_ds(extensions={"crldp": (x509.CRLDistributionPoints([point]), False)})
    server.answers |= {"/crl": ok(HOUSE.crl()), "/list": ok(Token(uri=server.url("/list")).build())}
    return present(x5chain=signer, mso_status={"status_list": {"idx": 7, "uri": server.url("/list")}})


@pytest.fixture
def folder(tmp_path: Path, shown: Presentation) -> Path:
    (tmp_path / "response").write_bytes(shown.response)
    (tmp_path / "transcript").write_bytes(shown.transcript.encoded)
    (tmp_path / "root").write_bytes(HOUSE.iaca_certificate.pem.encode())
    return tmp_path


def prefetch(folder: Path, server: Server, *words: str) -> int:
    trust = ["--trust", str(folder / "root"), "--evidence", str(folder / "evidence")]
    return main(["reader", "prefetch", *trust, "--host", server.host, "--allow-private", *AT, *words])


def verify(folder: Path) -> int:
    words = ["reader", "verify", str(folder / "response"), "--trust", str(folder / "root"), *AT, "--unsafe-no-request"]
    words += ["--transcript", str(folder / "transcript"), "--revocation", "required", "--json"]
    return main([*words, "--evidence", str(folder / "evidence")])


def test_what_was_fetched_serves_offline(folder: Path, server: Server, capsys: Output) -> None:
    # The roots of this house name another host than the server, which is not asked.
    assert prefetch(folder, server, "--response", str(folder / "response"), "--json") == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["revocation_lists"], told["status_tokens"]) == (1, 1)
    assert [(error["code"], server.host in error["url"]) for error in told["errors"]] == [("fetch.host", False)]
    server.close()
    assert verify(folder) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "accept"


def test_without_the_status_list_the_demand_is_not_met(folder: Path, server: Server, capsys: Output) -> None:
    server.answers["/list"] = status(404)
    assert prefetch(folder, server, "--response", str(folder / "response")) == 4
    out = capsys.readouterr().out
    assert "revocation lists 1, status tokens 0" in out
    assert "[fetch.status]" in out
    assert verify(folder) == 1
    assert json.loads(capsys.readouterr().out)["indeterminate"] == ["mso.status"]


def test_a_status_list_can_be_named_by_its_address(folder: Path, server: Server, capsys: Output) -> None:
    assert prefetch(folder, server, "--status-list", server.url("/list"), "--json") == 4
    assert json.loads(capsys.readouterr().out)["status_tokens"] == 1


def test_what_the_file_holds_is_kept_when_the_server_has_nothing_better(
    folder: Path, server: Server, capsys: Output
) -> None:
    prefetch(folder, server, "--response", str(folder / "response"))
    server.answers["/crl"] = ok(HOUSE.crl(number=0, revoked=[1]))  # a number from before
    prefetch(folder, server, "--response", str(folder / "response"), "--json")
    out = capsys.readouterr().out
    assert "evidence.rollback" in out
    assert verify(folder) == 0


def test_a_file_that_is_none_is_an_input_error(folder: Path, server: Server, capsys: Output) -> None:
    (folder / "evidence").write_bytes(b"something else")
    assert prefetch(folder, server) == 3
    assert verify(folder) == 3
    assert capsys.readouterr().err.count("evidence.damaged") == 2


@pytest.mark.parametrize(("name", "status"), [("", 2), ("a\0b", 2), ("/", 3)])
def test_what_can_be_no_file_of_evidence_is_told_in_one_line(
    folder: Path, server: Server, capsys: Output, name: str, status: int
) -> None:
    words = ["--trust", str(folder / "root"), *AT, "--evidence", name]
    verify = [str(folder / "response"), "--transcript", str(folder / "transcript"), "--unsafe-no-request"]
    for line in (["prefetch", "--host", server.host], ["verify", *verify]):
        assert main(["reader", *line, *words]) == status
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)


def test_what_is_no_host_is_a_matter_of_usage(folder: Path, server: Server, capsys: Output) -> None:
    assert prefetch(folder, server, "--host", "https://lists.example/") == 2
    assert "argument --host: a host is a name" in capsys.readouterr().err

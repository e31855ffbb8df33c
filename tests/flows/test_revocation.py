"""Revocation from the record to the reader's refusal: issued, published, fetched over HTTP, revoked, refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from issuer.authority import Authority
from issuer.keystore import generate_key, open_signer, secret_from_file
from issuer.store import Role
from mdl.holder import Holder
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest
from mdl.pki import Crl, Subject, build_csr
from mdl.testing import MDL_DOCTYPE, request_for, sample_transcript
from tests.authorities import COMMAND, INIT, Outcome, device_key, licence, mdl, public_key_file
from tests.published import serving_tree
from tests.web import Server, ok

ASKED = {"org.iso.18013.5.1": ("family_name", "age_over_21")}
REVOKED_SIGNER = ["issuer_auth.certificate_revocation"]
REVOKED_CREDENTIAL = ["mso.status"]


def words_of_init(url: str) -> list[str]:
    words = [*INIT]
    words[words.index("--crl-url") + 1] = url
    return words


@dataclass
class Desk:
    """An authority, its published tree behind a server, and a reader that knows nothing but the root."""

    folder: Path
    server: Server

    @property
    def authority(self) -> Path:
        return self.folder / "authority"

    @property
    def tree(self) -> Path:
        return self.folder / "www"

    def issuer(self, verb: str, *words: str | Path) -> Outcome:
        return mdl("issuer", verb, *words, "--dir", self.authority)

    def certify(self, role: str, *words: str | Path) -> str:
        """Certify a key for a role; gives the serial number."""
        outcome = self.issuer("certify", "--role", role, "--json", *words)
        assert outcome.status == 0, outcome.err
        return str(outcome.json["serial"])

    def issue(self, name: str, *words: str, kind: str = "status_list") -> tuple[Path, str]:
        """A licence with a status, and its reference."""
        out = self.folder / f"{name}.cbor"
        url = self.server.url(f"/{kind}/{{list}}")
        told = words or ("--status-url", url, "--status-kind", kind)
        key = public_key_file(self.folder)
        outcome = self.issuer("issue", licence(self.folder), "--device-key", key, "--out", out, *told, "--json")
        assert outcome.status == 0, outcome.err
        return out, outcome.json["reference"]

    def publish(self, *words: str | Path) -> Outcome:
        return self.issuer("publish", self.tree, "--json", *words)

    def verdict(
        self, issued: Path, *, at: datetime | None = None, trusted: Path | None = None
    ) -> tuple[int, list[str]]:
        """What a reader says that fetches all that the response calls for, and demands it."""
        reader_key = EphemeralKey.generate()
        transcript, request = sample_transcript(reader_key.public_key), request_of()
        holder = Holder()
        holder.add(issued.read_bytes(), device_key())
        for name, data in (
            ("response", holder.respond(request, transcript).encode()),
            ("transcript", transcript.encoded),
            ("request", request.encode()),
        ):
            (self.folder / name).write_bytes(data)
        roots = [trusted] if trusted else sorted(self.authority.glob("iaca*.pem"))
        trust: tuple[str | Path, ...] = ("--trust", *roots)
        evidence = ("--evidence", self.folder / "evidence")
        where = ("--host", self.server.host, "--allow-private")
        mdl("reader", "prefetch", "--response", self.folder / "response", *trust, *evidence, *where)
        outcome = mdl(
            *("reader", "verify", self.folder / "response", *trust, *evidence, "--revocation", "required", "--json"),
            *("--transcript", self.folder / "transcript", "--request", self.folder / "request"),
            *(() if at is None else ("--at", at.strftime("%Y-%m-%dT%H:%M:%SZ"))),
        )
        return outcome.status, outcome.json["failed"] + outcome.json["indeterminate"]


def request_of() -> DeviceRequest:
    return request_for((MDL_DOCTYPE, ASKED))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serving_tree(tmp_path / "www") as server:
        desk = Desk(folder=tmp_path, server=server)
        assert mdl("issuer", "init", "--dir", desk.authority, *words_of_init(server.url("/iaca.crl"))).status == 0
        assert desk.issuer("ds").status == 0
        desk.certify("revocation-list")
        yield desk


@pytest.mark.parametrize("kind", ["status_list", "identifier_list"])
def test_a_credential_is_good_until_it_is_revoked_and_no_other_with_it(desk: Desk, kind: str) -> None:
    lost, reference = desk.issue("lost", kind=kind)
    other, _ = desk.issue("other", kind=kind)
    assert desk.publish().status == 0
    assert desk.verdict(lost) == (0, [])
    assert desk.verdict(other) == (0, [])
    asked = {request.split(b" ")[1].split(b"/")[1] for request in desk.server.requests}
    assert asked == {b"iaca.crl", kind.encode()}

    outcome = desk.issuer("revoke", "--credential", reference, "--reason", "key-compromise", "--json")
    assert outcome.status == 0, outcome.err
    assert outcome.json["credentials"] == 1
    assert len(outcome.json["published"]["changed"]) == 1
    (desk.folder / "evidence").unlink()  # a reader that has no copy
    assert desk.verdict(lost) == (1, REVOKED_CREDENTIAL)
    assert desk.verdict(other) == (0, [])


def test_a_revoked_document_signer_takes_all_its_credentials_with_it(desk: Desk) -> None:
    of_first, _ = desk.issue("first")
    serial = json.loads(desk.issuer("ds", "--json").out)["serial"]
    of_second, _ = desk.issue("second")
    assert desk.publish().status == 0
    assert (desk.verdict(of_first), desk.verdict(of_second)) == ((0, []), (0, []))
    outcome = desk.issuer("revoke", "--certificate", serial, "--json")
    assert outcome.status == 0, outcome.err
    assert [one["revoked"] for one in outcome.json["signed"]["crls"]] == [[serial]]
    (desk.folder / "evidence").unlink()
    assert desk.verdict(of_second) == (1, REVOKED_SIGNER)
    assert desk.verdict(of_first) == (0, [])


def test_all_credentials_of_a_document_signer_can_be_revoked_and_it_goes_on(desk: Desk) -> None:
    first, _ = desk.issue("first")
    second, _ = desk.issue("second")
    without, _ = desk.issue("without", "--valid-days", "14", "--no-status")
    serial = serial_of(desk)
    assert desk.publish().status == 0
    outcome = desk.issuer("revoke", "--all-of", serial, "--json")
    assert outcome.status == 6, outcome.err  # one of them no reader can see
    assert (outcome.json["credentials"], outcome.json["without_status"]) == (3, 1)
    after, _ = desk.issue("after")
    assert desk.publish().status == 0
    assert desk.verdict(first) == desk.verdict(second) == (1, REVOKED_CREDENTIAL)
    assert desk.verdict(after) == (0, [])
    assert desk.verdict(without) == (0, []), "nobody can see it: the command has said so"


def serial_of(desk: Desk) -> str:
    with Authority(desk.authority).open_store() as store, store.reading() as reader:
        return f"{reader.certificates(Role.DOCUMENT_SIGNER)[0].certificate.serial:x}"


def test_a_revocation_that_cannot_be_signed_counts_and_is_signed_by_the_next_publication(desk: Desk) -> None:
    lost, reference = desk.issue("lost")
    assert desk.publish().status == 0
    token = desk.authority / "token"
    token.rename(desk.folder / "elsewhere")
    outcome = desk.issuer("revoke", "--credential", reference)
    assert outcome.status == 4
    assert "recorded as revoked, but not told to readers" in outcome.err
    assert "readers are not told yet" in outcome.out
    (desk.folder / "elsewhere").rename(token)
    assert desk.verdict(lost) == (0, [])
    outcome = desk.publish()
    assert [one["due"] for one in outcome.json["signed"]["lists"]] == ["changed"]
    (desk.folder / "evidence").unlink()
    assert desk.verdict(lost) == (1, REVOKED_CREDENTIAL)


def test_revocations_can_be_kept_for_the_next_fixed_time(desk: Desk) -> None:
    lost, reference = desk.issue("lost")
    assert desk.publish().status == 0
    outcome = desk.issuer("revoke", "--credential", reference, "--later", "--json")
    assert (outcome.status, outcome.json["signed"]["lists"], outcome.json["published"]) == (0, [], None)
    assert desk.verdict(lost) == (0, [])
    assert desk.publish().status == 0
    (desk.folder / "evidence").unlink()
    assert desk.verdict(lost) == (1, REVOKED_CREDENTIAL)


def test_a_stale_list_is_no_evidence(desk: Desk) -> None:
    issued, _ = desk.issue("licence")
    assert desk.publish("--list-hours", "24").status == 0
    assert desk.verdict(issued) == (0, [])
    assert desk.verdict(issued, at=datetime.now(UTC) + timedelta(hours=23)) == (0, [])
    status, failed = desk.verdict(issued, at=datetime.now(UTC) + timedelta(hours=25))
    assert (status, failed) == (1, ["mso.status"])


def test_what_a_list_signer_of_another_authority_says_is_not_believed(desk: Desk, tmp_path: Path) -> None:
    issued, _ = desk.issue("licence")
    assert desk.publish().status == 0
    other = tmp_path / "other"
    other.mkdir()
    impostor = Desk(folder=other, server=desk.server)
    assert mdl("issuer", "init", "--dir", impostor.authority, *words_of_init("http://other.example/c.crl")).status == 0
    assert impostor.issuer("ds").status == 0
    impostor.certify("revocation-list")
    impostor.issue("licence")
    assert impostor.publish().status == 0
    (theirs,) = (other / "www/current/status_list").iterdir()
    (ours,) = (tmp_path / "www/current/status_list").iterdir()
    desk.server.answers[f"/status_list/{ours.name}"] = ok(theirs.read_bytes())
    ours.unlink()
    assert desk.verdict(issued) == (1, ["mso.status"])


def test_after_a_rekey_each_root_has_its_crl_its_lists_and_its_list_signer(desk: Desk) -> None:
    old, reference = desk.issue("old")
    kept, _ = desk.issue("kept")
    assert desk.issuer("rekey").status == 0
    assert desk.issuer("ds").status == 0
    outcome = desk.publish()
    assert outcome.status == 6, "the new root has a list, and no revocation-list signer yet"
    assert [one["code"] for one in outcome.json["signed"]["failures"]] == ["authority.no_signer"]
    assert len(outcome.json["published"]["unsigned"]) == 1
    desk.certify("revocation-list")
    outcome = desk.publish()
    assert outcome.status == 0, outcome.err
    new, _ = desk.issue("new")
    paths = {row["path"].split("/")[0] for row in outcome.json["published"]["files"]}
    assert paths == {"iaca.crl", "iaca-2.crl", "status_list", "roots"}
    assert desk.verdict(old) == desk.verdict(kept) == desk.verdict(new) == (0, [])
    assert desk.issuer("revoke", "--credential", reference).status == 0
    (desk.folder / "evidence").unlink()
    assert desk.verdict(old) == (1, REVOKED_CREDENTIAL)
    assert desk.verdict(kept) == desk.verdict(new) == (0, [])
    assert desk.issuer("watch").status == 0


# --- looked at from outside -------------------------------------------------------------------------------------------


def faults(outcome: Outcome) -> dict[str, list[str]]:
    return {one["url"].rpartition("/")[2]: [fault["fault"] for fault in one["faults"]] for one in outcome.json["seen"]}


def test_the_watch_sees_what_a_reader_would_stumble_over(desk: Desk) -> None:
    _, reference = desk.issue("licence")
    assert desk.publish().status == 0
    clean = desk.issuer("watch", "--json")
    assert (clean.status, clean.json["findings"]) == (0, 0), clean.out
    names = [*faults(clean)]
    assert [*faults(clean).values()] == [[], []]

    old = (desk.tree / "current/status_list" / names[1]).read_bytes()
    assert desk.issuer("revoke", "--credential", reference).status == 0
    (desk.tree / "current/status_list" / names[1]).unlink()
    outcome = desk.issuer("watch", "--json")
    assert (outcome.status, faults(outcome)) == (1, {names[0]: [], names[1]: ["missing"]})

    desk.server.answers[f"/status_list/{names[1]}"] = ok(old, "Content-Type: application/statuslist+cwt")
    assert desk.issuer("watch", "--json").status == 0, "a cache may lag for a quarter of an hour"
    assert desk.publish().json["published"]["changed"] == [f"status_list/{names[1]}"]
    assert faults(desk.issuer("watch", "--json"))[names[1]] == []
    assert desk.issuer("watch", "--folder").status == 0
    assert desk.issuer("watch", desk.server.url("/elsewhere")).error(2, "watch.address")


def test_a_watch_without_a_network_says_so(desk: Desk) -> None:
    desk.issue("licence")
    assert desk.publish().status == 0
    desk.server.close()
    outcome = desk.issuer("watch", "--json")
    assert (outcome.status, outcome.json["unreachable"]) == (4, 2)


# --- whatever happens -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_between_signing_and_publishing_nothing_is_lost_or_half_published(desk: Desk) -> None:
    """kill -9 at moments spread over the whole command: the tree is whole, and the next publication has it all."""
    _, first = desk.issue("first")
    assert desk.publish().status == 0
    killed = 0
    for step in range(12):
        _, reference = desk.issue(f"licence-{step}")
        words = [COMMAND, "issuer", "revoke", "--credential", reference, "--dir", str(desk.authority)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(0.25 + 0.05 * step)
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        root = desk.tree / "current"
        index = json.loads((root / "index.json").read_bytes())
        for row in index["files"]:
            assert len((root / row["path"]).read_bytes()) == row["size"]
        Crl.decode((root / "iaca.crl").read_bytes())
        assert desk.issuer("watch", "--folder", "--json").json["findings"] == 0
    assert killed > 3
    assert desk.issuer("revoke", "--credential", first).status == 0
    outcome = desk.publish()
    assert outcome.status == 0
    assert desk.issuer("audit", "verify").status == 0
    with Authority(desk.authority).open_store() as store, store.reading() as reader:
        (record,) = reader.status_lists()
        told = len(reader.revoked_indices(record.list_id))
        assert told >= 12 - killed + 1
    (row,) = json.loads(desk.issuer("lists", "--json").out)
    assert (row["revoked"], row["due"]) == (told, None)
    assert not [*desk.tree.rglob("*.tmp")]


# --- a list of roots --------------------------------------------------------------------------------------------------


def test_a_vical_is_made_published_and_imported_by_a_reader(desk: Desk, tmp_path: Path) -> None:
    issued, _ = desk.issue("licence")
    desk.certify("vical-ca", "--crl-url", desk.server.url("/vical-ca.crl"))
    desk.certify("vical")
    out, url = tmp_path / "vical.cbor", desk.server.url("/vical/current.cbor")
    words = ("--root", desk.authority / "iaca.pem", "--doctype", MDL_DOCTYPE, "--provider", "Utopia", "--out", out)
    first = desk.issuer("vical", *words, "--url", url, "--publish", desk.tree, "--json")
    assert first.status == 0, first.err
    assert (first.json["issue_id"], first.json["roots"]) == (1, 1)
    assert (desk.tree / "current/vical/current.cbor").read_bytes() == out.read_bytes()

    time.sleep(1.1)  # the next list is newer, in whole seconds
    second = desk.issuer("vical", *words, "--url", url, "--publish", desk.tree, "--json")
    assert second.json["issue_id"] == 2
    assert desk.publish().status == 0
    published = desk.tree / "current/vical/current.cbor"
    assert published.read_bytes() == out.read_bytes(), "the next publication keeps it"

    provider = next((desk.tree / "current/roots").glob("vical-ca*.pem"))
    store = ("--store", tmp_path / "trust.json")
    imported = mdl("reader", "trust", "import", published, *store, "--provider-root", provider, "--json")
    assert imported.status == 0, imported.err + imported.out
    assert desk.verdict(issued, trusted=tmp_path / "trust.json") == (0, [])
    events = [json.loads(line) for line in desk.issuer("audit", "export").out.splitlines()]
    assert [one["subjects"]["purpose"] for one in events if one["event"] == "key.used"].count("vical") == 2


def test_a_vical_signed_by_a_key_in_a_file(desk: Desk, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("correct horse battery staple")
    uri = f"file:{tmp_path / 'vical-key.pem'}"
    generate_key(uri, "P-256", secret=secret_from_file(secret))
    with open_signer(uri, secret=secret_from_file(secret)) as signer:
        subject = Subject(country="XU", state="XU-EX", common_name="Utopia VICAL", organization="Utopia")
        (tmp_path / "vical.csr").write_bytes(build_csr(subject, signer).pem.encode())
    desk.certify("vical-ca", "--crl-url", desk.server.url("/vical-ca.crl"))
    made = desk.issuer("certify", "--role", "vical", "--csr", tmp_path / "vical.csr", "--json").json
    (tmp_path / "entries.toml").write_text(
        f'[[entry]]\ncertificate = "authority/iaca.pem"\ndoctypes = ["{MDL_DOCTYPE}"]\nissuing_authority = "Utopia"\n'
    )
    key = ("--key", uri, "--certificate", made["certificate"], "--pin-file", secret)
    words = ("--entries", tmp_path / "entries.toml", "--provider", "Utopia", "--out", tmp_path / "vical.cbor", *key)
    outcome = desk.issuer("vical", *words, "--issue-id", "41")
    assert outcome.status == 0, outcome.err
    (provider,) = desk.authority.glob("vical-ca*.pem")
    imported = mdl(
        *("reader", "trust", "import", tmp_path / "vical.cbor", "--store", tmp_path / "trust.json"),
        *("--provider-root", provider, "--json"),
    )
    assert imported.status == 0, imported.err + imported.out
    desk.issuer("vical", *words, "--issue-id", "41").error(5, "vical.order")
    no_root = made["certificate"]
    time.sleep(1)  # a list is dated to the second, and its successor is younger
    desk.issuer("vical", "--root", no_root, "--doctype", MDL_DOCTYPE, *words[2:]).error(1, "vical.root")
    # A list that may not be published has no place in the provider's memory, and takes no number.
    before = (tmp_path / "vical.cbor").read_bytes()
    assert desk.issuer("revoke", "--certificate", made["serial"], "--later").status == 0
    desk.issuer("vical", *words, "--publish", desk.tree).error(1, "publish.vical_signer")
    assert (tmp_path / "vical.cbor").read_bytes() == before


def test_a_web_server_of_pythons_own_serves_the_tree(desk: Desk) -> None:
    """The document root is a plain folder of plain files: nothing of this project is needed to serve it."""
    desk.issue("licence")
    assert desk.publish().status == 0
    script = "import http.server,sys; http.server.test(http.server.SimpleHTTPRequestHandler, port=0, bind='127.0.0.1')"
    with subprocess.Popen(
        [sys.executable, "-u", "-c", script],
        cwd=desk.tree / "current",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    ) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().split(b" port ")[1].split()[0].decode()
            fetched = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    f"import urllib.request as r; print(len(r.urlopen('http://127.0.0.1:{port}/iaca.crl').read()))",
                ],
                check=True,
                capture_output=True,
                text=True,
            )
        finally:
            process.kill()
    assert int(fetched.stdout) == (desk.tree / "current/iaca.crl").stat().st_size

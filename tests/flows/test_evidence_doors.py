"""The doors agree: each kind of revocation evidence, alone and beside one that revokes, gives one verdict by each door.

The doors are ``mdl reader verify --crl`` and ``--status-token``, ``--evidence`` with a file of the store, the store
itself, and ``mdl reader prefetch`` before ``--evidence``. The command is called in this process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import core
from cryptography import x509

from mdl import cli as command
from mdl.errors import FetchError, MdlError
from mdl.pki import Certificate, Crl
from mdl.testing import TEST_TIME, ThrowawayAuthority, deterministic_key, present, throwaway_authority
from reader import evidence as evidence_module
from reader.cli import prefetch as prefetch_module
from reader.evidence import EvidenceCache, EvidenceStore, Need
from reader.fetching import EvidenceKind
from reader.report import Policy, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustStore
from reader.verification import SessionContext, UnsafeNoRequest, Verifier
from test_vectors.source.encodings import SMALL
from test_vectors.source.stage import DAY, SECOND
from tests.status_forgery import (
    EXP,
    REVOKED_ID,
    TTL,
    TYP,
    VALID_ID,
    VALID_INDEX,
    Token,
    deflated,
    identifier_list,
    signer_recipe,
    status_list,
)
from tests.status_forgery import URI as LIST_URL
from tests.x509_forgery import forge_crl, set_field

HOUSE = throwaway_authority()
OTHER, NAMESAKE = ThrowawayAuthority("Other"), ThrowawayAuthority(generation=2)
SERIAL = HOUSE.ds_certificate.serial
LIST_SIGNER = Certificate(signer_recipe(HOUSE).build()).serial
CRL_URL = "https://throwaway.example/iaca.crl"
IDS_URL = "https://lists.throwaway.example/ids"
STRANGER = deterministic_key("stranger")

SHOWN = present(
    namespaces=SMALL,
    mso_status={
        "status_list": {"idx": VALID_INDEX, "uri": LIST_URL},
        "identifier_list": {"id": VALID_ID, "uri": IDS_URL},
    },
)
TRUST = TrustStore.from_certificates([HOUSE.iaca_certificate], doctypes=ANY_DOCTYPE)
VERIFIER = Verifier(TRUST, policy=Policy.ISO_STRICT, revocation=Revocation.IF_GIVEN)

AT = TEST_TIME
OLD: dict[str, Any] = {"this_update": AT - 60 * DAY, "next_update": AT - 30 * DAY}
DELTA = {"delta": (x509.DeltaCRLIndicator(1), True)}
UNKNOWN = {"odd": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)}
HARMLESS = {"odd": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False)}
MISNAMED = {"aki": (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)}


def points_to(*uris: str, reasons: frozenset[x509.ReasonFlags] | None = None, **flags: bool) -> dict[str, Any]:
    parts = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")
    names = [x509.UniformResourceIdentifier(uri) for uri in uris] or None
    point = x509.IssuingDistributionPoint(
        names, relative_name=None, only_some_reasons=reasons, **(dict.fromkeys(parts, False) | flags)
    )
    return {"idp": (point, True)}


def entry(oid: str, value: bytes, *, critical: bool = False) -> Callable[[Any], None]:
    """An extension of the first entry."""

    def change(body: Any) -> None:
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": oid, "critical": critical, "extn_value": core.ParsableOctetString(value)}
        ]

    return change


def reason(code: int) -> Callable[[Any], None]:
    return entry("2.5.29.21", bytes((10, 1, code)))


def bent(change: Callable[[Any], None], *revoked: int, **changes: Any) -> bytes:
    return forge_crl(Crl(HOUSE.crl(revoked=revoked, **changes)), change, signer=HOUSE.iaca_key).der


def pem(der: bytes) -> bytes:
    return Crl(der).pem.encode()


# What revokes, by itself or with the root's word on the list's signer behind it.
REVOKING_CRLS: dict[str, bytes] = {
    "revoking": HOUSE.crl(number=5, revoked=[SERIAL]),
    "revoking, stale": HOUSE.crl(number=3, revoked=[SERIAL], **OLD),
    "revoking, from the future": HOUSE.crl(number=7, revoked=[SERIAL], this_update=AT + DAY),
    "revoking, without an end": bent(set_field("next_update", None), SERIAL, number=5),
    "revoking, a delta": HOUSE.crl(number=6, revoked=[SERIAL], extensions=DELTA),
    "revoking, with an unknown critical extension": HOUSE.crl(number=4, revoked=[SERIAL], extensions=UNKNOWN),
    "revoking, under the key identifier of nobody": HOUSE.crl(number=4, revoked=[SERIAL], extensions=MISNAMED),
    "revoking, of another partition": HOUSE.crl(number=4, revoked=[SERIAL], extensions=points_to(CRL_URL + "2")),
    "on hold": bent(reason(6), SERIAL, number=5),
}
REVOKING_LISTS: dict[str, bytes] = {
    "revoking": Token(content=status_list({VALID_INDEX: 1})).build(),
    "revoking, expired": Token(
        content=status_list({VALID_INDEX: 1}), issued=AT - 9 * DAY, expires=AT - 8 * DAY
    ).build(),
    "revoking, without an end": Token(content=status_list({VALID_INDEX: 1}), claims={EXP: None}).build(),
    "suspended": Token(content=status_list({VALID_INDEX: 2}, bits=2)).build(),
}
REVOKING_IDS: dict[str, bytes] = {"revoking": Token.of_identifiers(VALID_ID, uri=IDS_URL).build()}

OTHER_CRLS: dict[str, bytes] = {
    "clear": HOUSE.crl(number=5),
    "clear, older": HOUSE.crl(number=4),
    "clear, newer": HOUSE.crl(number=8),
    "clear, later": HOUSE.crl(number=2, this_update=AT - SECOND),
    "clear, in PEM": pem(HOUSE.crl(number=5)),
    "clear, stale": HOUSE.crl(number=3, **OLD),
    "clear, newer and stale": HOUSE.crl(number=9, next_update=AT - SECOND),
    "clear, from the future": HOUSE.crl(number=9, this_update=AT + DAY),
    "clear, a second ahead": HOUSE.crl(number=9, this_update=AT + SECOND),
    "clear, for ten years": HOUSE.crl(number=5, next_update=AT + 3650 * DAY),
    "clear, for ten years and old": HOUSE.crl(number=5, this_update=AT - 100 * DAY, next_update=AT + 3650 * DAY),
    "clear, without a number": HOUSE.crl(extensions={"number": None}),
    "clear, without a key identifier": HOUSE.crl(number=5, extensions={"aki": None}),
    "clear, without an end": bent(set_field("next_update", None), 12345, number=5),
    "clear, with a reason for another": bent(reason(4), 12345, number=5),
    "clear, with a critical entry extension": bent(entry("1.2.3.4", b"\x05\x00", critical=True), 12345, number=5),
    "clear, with an unknown extension": HOUSE.crl(number=5, extensions=HARMLESS),
    "clear, with an unknown critical extension": HOUSE.crl(number=6, extensions=UNKNOWN),
    "clear, a delta": HOUSE.crl(number=6, extensions=DELTA),
    "off hold, by a delta": bent(reason(8), SERIAL, number=9, extensions=DELTA),
    "off hold, by an old delta": bent(reason(8), SERIAL, number=2, extensions=DELTA),
    "another on hold": bent(reason(6), 12345, number=6),
    "clear, of its partition": HOUSE.crl(number=6, extensions=points_to(CRL_URL)),
    "clear, of two partitions": HOUSE.crl(number=6, extensions=points_to(CRL_URL + "2", CRL_URL)),
    "clear, of another partition": HOUSE.crl(number=6, extensions=points_to(CRL_URL + "2")),
    "clear, of CAs": HOUSE.crl(number=6, extensions=points_to(only_contains_ca_certs=True)),
    "clear, of users": HOUSE.crl(number=6, extensions=points_to(only_contains_user_certs=True)),
    "clear, indirect": HOUSE.crl(number=6, extensions=points_to(indirect_crl=True)),
    "clear, for some reasons": HOUSE.crl(
        number=6, extensions=points_to(CRL_URL, reasons=frozenset([x509.ReasonFlags.key_compromise]))
    ),
    "clear, under the key identifier of nobody": HOUSE.crl(number=6, extensions=MISNAMED),
    "clear, under another name": HOUSE.crl(number=6, issuer=OTHER.iaca_recipe.subject),
    "revoking others": HOUSE.crl(number=5, revoked=[1, 2, 3]),
    "revoking the list signer": HOUSE.crl(number=6, revoked=[LIST_SIGNER]),
    "revoking the list signer, stale": HOUSE.crl(number=3, revoked=[LIST_SIGNER], **OLD),
    "by a stranger": HOUSE.crl(number=9, revoked=[SERIAL], signer=STRANGER),
    "by the document signer": HOUSE.crl(number=9, signer=HOUSE.ds_key),
    "of another root": OTHER.crl(revoked=[SERIAL]),
    "of a namesake": NAMESAKE.crl(revoked=[SERIAL]),
    "cut short": HOUSE.crl(revoked=[SERIAL])[:-1],
    "an error page": b"<html>404</html>",
    "no list": b"no list",
    "a certificate": HOUSE.iaca_certificate.der,
}
SILENT = status_list({0: 0})
OTHER_LISTS: dict[str, bytes] = {
    "clear": Token().build(),
    "clear, of the same age": Token(content=SILENT).build(),
    "clear, newer": Token(issued=AT - SECOND).build(),
    "clear, older": Token(issued=AT - DAY).build(),
    "clear, expired": Token(issued=AT - 2 * DAY, expires=AT - DAY).build(),
    "clear, newer and expired": Token(issued=AT - 2 * SECOND, expires=AT - SECOND).build(),
    "clear, from the future": Token(issued=AT + DAY, expires=AT + 2 * DAY).build(),
    "clear, without an end": Token(claims={EXP: None}).build(),
    "clear, with a ttl of nothing": Token(claims={TTL: 0}).build(),
    "clear, in the short form": Token(protected={TYP: "statuslist+cwt"}).build(),
    "two bits": Token(content=status_list(bits=2)).build(),
    "too short": Token(content={"bits": 8, "lst": deflated(bytes(7))}).build(),
    "by a stranger": Token(signer=STRANGER, content=status_list({VALID_INDEX: 1})).build(),
    "by the document signer": Token(signer=HOUSE.ds_key, chain=(HOUSE.ds_certificate.der,)).build(),
    "by another root's signer": Token(chain=(signer_recipe(OTHER).build(),)).build(),
    "of another address": Token(uri=LIST_URL + "2", content=status_list({VALID_INDEX: 1})).build(),
    "of the other kind": Token.of_identifiers(VALID_ID).build(),
    "without its tag": Token(tag=b"").build(),
    "a JWT": b"eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.AAAA",
    "an error page": b"<html>404</html>",
}
OTHER_IDS: dict[str, bytes] = {
    "clear": Token.of_identifiers(REVOKED_ID, uri=IDS_URL).build(),
    "clear, older": Token.of_identifiers(uri=IDS_URL, issued=AT - DAY).build(),
    "clear, expired": Token.of_identifiers(uri=IDS_URL, expires=AT).build(),
    "identifiers in an array": Token(content={"identifiers": [VALID_ID]}, claim=65530, uri=IDS_URL).build(),
    "by a stranger": Token(content=identifier_list(VALID_ID), claim=65530, uri=IDS_URL, signer=STRANGER).build(),
}
_NEEDS = {
    kind: Need(kind=kind, urls=(url,), issuers=(HOUSE.iaca_certificate,))
    for kind, url in (
        (EvidenceKind.CRL, CRL_URL),
        (EvidenceKind.STATUS_LIST, LIST_URL),
        (EvidenceKind.IDENTIFIER_LIST, IDS_URL),
    )
}


@dataclass(frozen=True)
class Piece:
    """One piece of evidence."""

    kind: EvidenceKind
    name: str
    data: bytes


def pieces(kind: EvidenceKind, table: dict[str, bytes]) -> list[Piece]:
    return [Piece(kind, f"{kind}: {name}", data) for name, data in table.items()]


REVOKING = [
    *pieces(EvidenceKind.CRL, REVOKING_CRLS),
    *pieces(EvidenceKind.STATUS_LIST, REVOKING_LISTS),
    *pieces(EvidenceKind.IDENTIFIER_LIST, REVOKING_IDS),
]
OTHERS = [
    *pieces(EvidenceKind.CRL, OTHER_CRLS),
    *pieces(EvidenceKind.STATUS_LIST, OTHER_LISTS),
    *pieces(EvidenceKind.IDENTIFIER_LIST, OTHER_IDS),
]
ALL = [*REVOKING, *OTHERS]

# One of each mechanism: for these the command itself is asked in pairs.
PLAIN = (
    "crl: revoking",
    "crl: on hold",
    "status_list: revoking",
    "status_list: suspended",
    "identifier_list: revoking",
)

Verdict = tuple[bool, tuple[str, ...], tuple[str, ...]]


class Doors:
    """The four doors, before one licence."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.served: dict[str, bytes] = {}
        self._capsys = capsys
        self._known: dict[bytes, Verdict] = {}
        self._prefetched: dict[str, bytes] = {}
        for name, data in (
            ("response", SHOWN.response),
            ("transcript", SHOWN.transcript.encoded),
            ("root", HOUSE.iaca_certificate.pem.encode()),
        ):
            (folder / name).write_bytes(data)
        for number, piece in enumerate(ALL):
            (folder / str(number)).write_bytes(piece.data)
        monkeypatch.setattr(prefetch_module, "HttpFetcher", lambda **_: self)
        # Waiting for the disk and making the parser take longer than all the rest.
        monkeypatch.setattr(evidence_module, "write_whole", lambda path, content, **_: path.write_bytes(content))
        parser = command._parser(["reader"])
        monkeypatch.setattr(command, "_parser", lambda _: parser)

    def fetch(self, url: str, *, kind: EvidenceKind) -> bytes:
        assert isinstance(kind, EvidenceKind)
        if url not in self.served:
            raise FetchError("not served", code="fetch.status", url=url)
        return self.served[url]

    def _command(self, *words: str) -> dict[str, Any]:
        assert command.main(
            ["reader", *words, "--trust", str(self.folder / "root"), "--at", "2026-06-01T12:00:00Z", "--json"]
        ) in (
            0,
            1,
            4,
        )
        found: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return found

    def _verify(self, *words: str) -> Verdict:
        files = [str(self.folder / "response"), "--transcript", str(self.folder / "transcript"), "--unsafe-no-request"]
        found = self._command("verify", *files, *words)
        report = found.get("report", found)
        return report["verdict"] == "accept", tuple(report["failed"]), tuple(report["indeterminate"])

    def direct(self, given: tuple[Piece, ...], *, by_command: bool) -> Verdict:
        if not by_command:
            crls = tuple(piece.data for piece in given if piece.kind is EvidenceKind.CRL)
            tokens = tuple(piece.data for piece in given if piece.kind is not EvidenceKind.CRL)
            return judged(Evidence(crls=crls, status_tokens=tokens))
        words: list[str] = []
        for piece in given:
            option = "--crl" if piece.kind is EvidenceKind.CRL else "--status-token"
            words += [option, str(self.folder / str(ALL.index(piece)))]
        return self._verify(*words)

    def by_file(self, content: bytes, *, by_command: bool) -> Verdict:
        """The verdict by a file; for one content it is asked for once."""
        if content not in self._known:
            self._known[content] = judged(EvidenceStore.decode(content, TRUST).evidence(at=AT))
            if by_command:
                file = self.folder / "evidence"
                file.write_bytes(content)
                assert self._verify("--evidence", str(file)) == self._known[content]
        return self._known[content]

    def store(self, given: tuple[Piece, ...]) -> tuple[Verdict, bytes]:
        """By the store; and what it writes into its file."""
        store = EvidenceStore()
        for piece in given:
            need = _NEEDS[piece.kind]
            with suppress(MdlError):  # then it counts as absent, which is what is to be shown
                store.add(need, need.urls[0], piece.data, at=AT)
        return judged(store.evidence(at=AT)), store.encode()

    def prefetch(self, given: tuple[Piece, ...], *, by_command: bool) -> bytes:
        """The file of one prefetch after the other, each of what is served then."""
        if not by_command:
            cache = EvidenceCache(self)
            for piece in given:
                need = _NEEDS[piece.kind]
                self.served = {need.urls[0]: piece.data}
                cache.prefetch([need], at=AT)
            return cache.store.encode()
        file = self.folder / "prefetched"
        file.unlink(missing_ok=True)
        for index, piece in enumerate(given):
            if index == 0 and piece.name in self._prefetched:
                file.write_bytes(self._prefetched[piece.name])
                continue
            self.served = {_NEEDS[piece.kind].urls[0]: piece.data}
            self._command("prefetch", "--response", str(self.folder / "response"), "--evidence", str(file))
            if index == 0:
                self._prefetched[piece.name] = file.read_bytes()
        return file.read_bytes()


def judged(evidence: Evidence) -> Verdict:
    return _judged(evidence.crls, evidence.status_tokens)


@cache
def _judged(crls: tuple[bytes, ...], tokens: tuple[bytes, ...]) -> Verdict:
    evidence = Evidence(crls=crls, status_tokens=tokens)
    context = SessionContext(transcript=SHOWN.transcript, reader_key=None)
    told: dict[str, Any] = {"context": context, "request": UnsafeNoRequest(), "at": AT, "evidence": evidence}
    report = VERIFIER.examine(SHOWN.response, **told)
    return report.accepted, report.failed, report.indeterminate


@pytest.fixture
def doors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doors:
    return Doors(tmp_path, monkeypatch, capsys)


def disagreements(doors: Doors, given: tuple[Piece, ...], *, by_command: bool) -> Iterator[str]:
    direct = doors.direct(given, by_command=by_command)
    by_store, stored = doors.store(given)
    found = {
        "store": by_store,
        "evidence file": doors.by_file(stored, by_command=by_command),
        "prefetch": doors.by_file(doors.prefetch(given, by_command=by_command), by_command=by_command),
    }
    for door, verdict in found.items():
        if verdict != direct:
            yield f"{' + '.join(piece.name for piece in given)}: directly {direct}, by the {door} {verdict}"


def test_there_are_enough_kinds() -> None:
    assert len({piece.name for piece in ALL}) == len(ALL) >= 60
    assert len({(piece.kind, piece.data) for piece in ALL}) == len(ALL)


def test_each_kind_alone_gives_one_verdict(doors: Doors) -> None:
    wrong = [line for piece in ALL for line in disagreements(doors, (piece,), by_command=True)]
    assert wrong == []
    verdicts = {piece.name: doors.direct((piece,), by_command=False)[0] for piece in ALL}
    assert [name for name, accepted in verdicts.items() if not accepted] == [piece.name for piece in REVOKING]


def test_each_pair_gives_one_verdict_in_both_orders(doors: Doors) -> None:
    """By the library, and by the command those pairs of one kind of which the first revokes plainly."""
    wrong: list[str] = []
    for revoking in REVOKING:
        for other in ALL:
            if other is not revoking:
                plain = revoking.kind is other.kind and revoking.name in PLAIN
                wrong += disagreements(doors, (revoking, other), by_command=plain)
                wrong += disagreements(doors, (other, revoking), by_command=False)
    assert wrong == []

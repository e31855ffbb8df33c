"""``mdl demo``: the whole story on this machine, from an empty folder to three attacks that are refused.

The authority's keys are made in a real PKCS#11 token; the holder is `mdl.holder`, the reader `reader.verification`.
Every message that passes between them is left in the folder, to be looked at with ``mdl inspect``.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from issuer.authority import Authority, Founding
from issuer.folder import LOCK_FILE, lock, remove_lock, unwritable, write_file
from issuer.issuance import Order
from issuer.records import parse_record, read_below
from mdl.cbor import FullDate, Tagged24, TDate, decode, encode, wrap24
from mdl.cli import terminal
from mdl.cli.outputs import folder_argument
from mdl.cose import encode_key
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import LocalProtocolError
from mdl.holder import Holder
from mdl.keys import EphemeralKey, PublicKey, SoftwareSigner
from mdl.mdoc import (
    DeviceRequest,
    DeviceResponse,
    DocRequest,
    IssuerSigned,
    ItemsRequest,
    SessionTranscript,
    ValidityInfo,
)
from mdl.pki import Subject
from reader import (
    CHECKS,
    Evidence,
    Outcome,
    Policy,
    Report,
    Revocation,
    SessionContext,
    TrustStore,
    VerifiedResponse,
    Verifier,
)

__all__ = ["add_commands", "portrait", "run_story"]

_DOCTYPE: Final = "org.iso.18013.5.1.mDL"
_ASKED: Final = (
    *("family_name", "given_name", "birth_date", "portrait", "driving_privileges"),
    *("issuing_country", "issuing_jurisdiction", "age_over_21"),
)
_VALID_DAYS: Final = 14
_MARKER: Final = "demo.json"
_MADE_BY: Final = "mdl demo"
_FOLDERS: Final = ("authority", "holder", "session", "attacks")
_STEPS: Final = 9


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the demonstration."""
    text = "the whole story on this machine, in seconds"
    verb = commands.add_parser("demo", help=text, description=text, allow_abbrev=False)
    verb.set_defaults(run=_run)
    verb.add_argument(
        "--dir",
        default="mdl-demo",
        type=folder_argument,
        metavar="DIR",
        help="where to leave the files; replaced if an earlier demo made it",
    )
    verb.add_argument("--json", action="store_true", help="print the result as JSON, and no progress")


# --- what came of it -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """An attempt that must be refused.

    Attributes:
        name: What was attempted.
        expected: The one check that must refuse it.
        report: What the reader says.
        command: The arguments of ``mdl`` that show it again.
    """

    name: str
    expected: str
    report: Report
    command: tuple[str, ...]

    @property
    def refused_as_expected(self) -> bool:
        """Whether exactly the expected check refused it."""
        refusing = {check.id for check in self.report if self.report.refuses(check)}
        return not self.report.accepted and refusing == {self.expected}


@dataclass(slots=True, kw_only=True)
class Story:
    """What the demonstration did.

    Attributes:
        directory: Its folder, as it was named.
        files: What lies there: path and what it is.
        report: The reader's report on the honest presentation.
        verified: What the reader accepted; None if it refused.
        attacks: What was attempted then.
        command: The arguments of ``mdl`` that verify the honest presentation again.
    """

    directory: Path
    files: list[tuple[Path, str]] = field(default_factory=list)
    report: Report | None = None
    verified: VerifiedResponse | None = None
    attacks: list[Attack] = field(default_factory=list)
    command: tuple[str, ...] = ()

    @property
    def went_well(self) -> bool:
        """Whether the honest presentation was accepted, and each attack refused by the check that is meant to."""
        return (
            self.verified is not None
            and len(self.attacks) == 3
            and all(attack.refused_as_expected for attack in self.attacks)
        )

    def keep(self, name: str, content: bytes, what: str, *, private: bool = False) -> Path:
        """Leave a file in the folder."""
        path = self.directory / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise unwritable(path, exc) from exc
        write_file(path, content, private=private, own=False)
        self.files.append((path, what))
        return path


# --- the story -------------------------------------------------------------------------------------------------------


def run_story(directory: Path, *, at: datetime, tell: Callable[[str], None]) -> Story:
    """Run the demonstration.

    Args:
        directory: Where to leave the files: a folder that is empty, does not exist, or is of an earlier demonstration.
        at: The time of the story, aware UTC.
        tell: Told what has just been done, `_STEPS` times.

    Raises:
        LocalProtocolError: The folder holds something else (code ``demo.folder``).
        SigningError: SoftHSM is missing or refuses, or the folder cannot be written.
    """
    at = at.replace(microsecond=0)
    story = Story(directory=directory)
    with _cleared(directory):
        authority = _found(story, at)
        tell(f"an authority with its keys in a PKCS#11 token: {authority.root.subject}")
        signer = authority.certify_signer(at=at)
        story.files += [
            (signer.request_file, "document signer: its request, signed in the token (PKCS#10)"),
            (signer.certificate_file, "document signer: its certificate, signed by the root"),
        ]
        tell(f"a document signer, certified inside the token: {signer.certificate.subject}")
        tell(f"a first revocation list: number {authority.current_crl.number}, empty")

        device_key = SoftwareSigner.generate("P-256")
        _keep_device_key(story, device_key)
        licence = _issue(story, authority, device_key.public_key, at)
        items = sum(map(len, licence.name_spaces.values()))
        tell(f"a licence: {items} elements, salted and signed, bound to the holder's device key")

        holder = Holder()
        holder.add(licence.encode(), device_key)
        tell("the holder keeps it, having checked that it is bound to the device key and consistent")

        reader_key = EphemeralKey.generate("P-256")
        transcript = _transcript(reader_key.public_key)
        wanted = {MDL_NAMESPACE: dict.fromkeys(_ASKED, False)}
        request = DeviceRequest((DocRequest.of(ItemsRequest(_DOCTYPE, wanted)),))
        story.keep("session/reader-key.pem", reader_key.to_pkcs8(), "reader's ephemeral key (PKCS#8)", private=True)
        story.keep("session/transcript.cbor", transcript.encoded, "session transcript: ties an answer to this session")
        story.keep("session/request.cbor", request.encode(), f"DeviceRequest: asks for {len(_ASKED)} elements")
        tell(f"a reader asks for {len(_ASKED)} of them, in a fresh session")

        response = holder.respond(request, transcript).encode()
        story.keep("session/response.cbor", response, "DeviceResponse: these elements, signed by the device")
        tell(
            f"the holder presents these {len(_ASKED)} and keeps {items - len(_ASKED)} to itself ({len(response)} bytes)"
        )

        verifier = Verifier(
            TrustStore.from_certificates([authority.root], doctypes=frozenset({_DOCTYPE})),
            policy=Policy.ISO_STRICT,
            revocation=Revocation.REQUIRED,
        )
        evidence = Evidence(crls=(authority.current_crl.der,))
        context = SessionContext(transcript=transcript, reader_key=reader_key)

        def examine(presented: bytes, session: SessionContext = context, later: timedelta = timedelta()) -> Report:
            return verifier.examine(presented, context=session, request=request, at=at + later, evidence=evidence)

        story.report = examine(response)
        story.command = _verify_command(story)
        if story.report.accepted:
            story.verified = verifier.verify(response, context=context, request=request, at=at, evidence=evidence)
        tell(f"the reader {'accepts' if story.verified else 'REFUSES'} it: {_tally(story.report)}")
        _attack(story, response, examine, at)
        good = sum(attack.refused_as_expected for attack in story.attacks)
        tell(f"three attacks: {good} refused, each by the check that is there for it")
        write_file(directory / _MARKER, (json.dumps(_as_json(story), indent=2) + "\n").encode(), own=False)
    return story


@contextmanager
def _cleared(directory: Path) -> Iterator[None]:
    """Take the folder for ourselves: make it, or clear away what an earlier demonstration left, and nothing else."""
    marker = directory / _MARKER
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with lock(directory, exclusive=True):
            if any(one.name != LOCK_FILE for one in directory.iterdir()) and not _is_ours(marker):
                remove_lock(directory)
                message = f"{directory} is not empty and not of an earlier demo: name another folder with --dir"
                raise LocalProtocolError(message, code="demo.folder")
            write_file(marker, json.dumps({"made_by": _MADE_BY, "finished": False}).encode(), own=False)
            for name in _FOLDERS:
                if (directory / name).exists():
                    shutil.rmtree(directory / name)
            yield
    except OSError as exc:
        raise unwritable(directory, exc) from exc


def _is_ours(marker: Path) -> bool:
    try:
        content = json.loads(marker.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("made_by") == _MADE_BY


def _found(story: Story, at: datetime) -> Authority:
    founding = Founding(
        subject=Subject(
            country="XU", state="XU-EX", organization="Utopia Motor Vehicles", common_name="Utopia Motor Vehicles IACA"
        ),
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
    )
    authority = Authority.found(story.directory / "authority", founding, at=at)
    # The folder as it was named: what is printed should be what can be typed.
    below = story.directory / "authority"
    story.files += [
        (below / "token", "the PKCS#11 token (SoftHSM) with the authority's private keys"),
        (below / authority.root_file.name, "IACA root certificate, self-signed in the token"),
        (below / authority.crl_file.name, "certificate revocation list, signed in the token"),
    ]
    return authority


def _keep_device_key(story: Story, device_key: SoftwareSigner) -> None:
    private = device_key.to_pkcs8(password=None)
    story.keep(
        "holder/device-key.pem", private, "holder's device key (on a phone it never leaves its chip)", private=True
    )
    story.keep("holder/device-public.pem", device_key.public_key.pem, "the public half, which the licence is bound to")


def _issue(story: Story, authority: Authority, device_key: PublicKey, at: datetime) -> IssuerSigned:
    story.keep("holder/portrait.jpg", portrait(), "the portrait, a small JPEG")
    text = json.dumps(_record(at.date()), indent=2)
    file = story.keep("holder/record.json", text.encode(), "licence record: what 'mdl issuer issue' takes")
    record = parse_record(text, read_file=read_below(file.parent))
    validity = ValidityInfo(signed=at, valid_from=at, valid_until=at + timedelta(days=_VALID_DAYS))
    with authority.open_issuer() as issuer:
        licence = issuer.issue(Order(namespaces=record.namespaces, device_key=device_key, validity=validity))
    story.keep("holder/licence.cbor", licence.encode(), "IssuerSigned: the licence as issued", private=True)
    return licence


def _record(today: date) -> dict[str, Any]:
    issued, expires = today - timedelta(days=100), today + timedelta(days=1500)
    return {
        "family_name": "Sample",
        "given_name": "Ada",
        "birth_date": "1990-12-10",
        "issue_date": issued.isoformat(),
        "expiry_date": expires.isoformat(),
        "issuing_country": "XU",
        "issuing_authority": "Utopia Motor Vehicles",
        "issuing_jurisdiction": "XU-EX",
        "document_number": "EX-000001",
        "portrait": "portrait.jpg",
        "driving_privileges": [
            {
                "vehicle_category_code": "B",
                "issue_date": issued.isoformat(),
                "expiry_date": expires.isoformat(),
            }
        ],
        "un_distinguishing_sign": "XU",
        "sex": 2,
        "height": 171,
        "eye_colour": "green",
        "resident_city": "Exampleville",
        "resident_country": "XU",
        "age_over_18": True,
        "age_over_21": True,
        "age_over_65": False,
    }


def _transcript(reader_key: PublicKey) -> SessionTranscript:
    """A fresh session that began with a QR code: engagement, reader's key, and no handover."""
    device = EphemeralKey.generate(reader_key.curve.name).public_key
    security = [1, _tagged24(encode_key(device))]
    engagement = _tagged24({0: "1.0", 1: security})
    return SessionTranscript(encode([engagement, _tagged24(encode_key(reader_key)), None]))


def _tagged24(value: Any) -> Tagged24:
    content = encode(value)
    return Tagged24(content, wrap24(content))


# --- attacks ---------------------------------------------------------------------------------------------------------


def _attack(story: Story, response: bytes, examine: Callable[..., Report], at: datetime) -> None:
    younger = _with_birth_date(response, FullDate("2000-12-10"))
    tampered = "attacks/changed-birth-date.cbor"
    story.keep(tampered, younger, "the response with another birth date")
    story.attacks.append(
        Attack(
            name="a changed birth date",
            expected="issuer_data.digest",
            report=examine(younger),
            command=_verify_command(story, response=tampered),
        )
    )
    late = timedelta(days=_VALID_DAYS + 1)
    story.attacks.append(
        Attack(
            name="an expired security object",
            expected="mso.validity",
            report=examine(response, later=late),
            command=_verify_command(story, at=at + late),
        )
    )
    other_key = EphemeralKey.generate("P-256")
    other = _transcript(other_key.public_key)
    session = "attacks/another-session.cbor"
    story.keep(session, other.encoded, "the transcript of another session, in which the response is replayed")
    story.attacks.append(
        Attack(
            name="a replay in another session",
            expected="device_auth.signature",
            report=examine(response, SessionContext(transcript=other, reader_key=other_key)),
            command=_verify_command(story, transcript=session),
        )
    )


def _with_birth_date(response: bytes, birth_date: FullDate) -> bytes:
    """What a forger would make of a response: one value is another, all else stays as it was signed."""
    presented = DeviceResponse.decode(response)
    document = presented.documents[0]
    items = []
    for item in document.issuer_signed.name_spaces[MDL_NAMESPACE]:
        fields = decode(item.content)
        if fields["elementIdentifier"] == "birth_date":
            fields["elementValue"] = birth_date
        items.append(_tagged24(fields))
    forged = IssuerSigned({MDL_NAMESPACE: items}, document.issuer_signed.issuer_auth)
    documents = (type(document)(document.doctype, forged, document.device_signed, document.errors),)
    return DeviceResponse(presented.version, documents, presented.document_errors, presented.status).encode()


def _verify_command(
    story: Story,
    *,
    response: str = "session/response.cbor",
    transcript: str = "session/transcript.cbor",
    at: datetime | None = None,
) -> tuple[str, ...]:
    words = ["reader", "verify", str(story.directory / response)]
    words += ["--trust", str(story.directory / "authority/iaca.pem")]
    words += ["--transcript", str(story.directory / transcript)]
    words += ["--request", str(story.directory / "session/request.cbor")]
    words += ["--crl", str(story.directory / "authority/iaca.crl")]
    return (*words, "--at", TDate.of(at).text) if at is not None else tuple(words)


# --- the portrait ----------------------------------------------------------------------------------------------------

# Rows of blocks of 8 × 8 pixels; 0 is black, 9 is white.
_PICTURE: Final = (
    "777777777777",
    "777722227777",
    "777222222777",
    "772222222277",
    "772888888277",
    "772888888277",
    "778188881877",
    "778888888877",
    "778887788877",
    "778888888877",
    "777844448777",
    "777788887777",
    "777733337777",
    "773333333377",
    "733333333337",
    "733333333337",
)
# The DC code lengths of ITU-T T.81 table K.3: how many codes of 1, 2, 3 … bits there are, and what they stand for.
_DC_LENGTHS: Final = (0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0)


def portrait() -> bytes:
    """Draw a face: a baseline JPEG in grey whose blocks are each of one shade, so that it needs no transform."""
    codes = []
    code = 0
    for length, count in enumerate(_DC_LENGTHS, 1):
        codes += [f"{code + index:0{length}b}" for index in range(count)]
        code = (code + count) * 2
    bits, before = "", 0
    for row in _PICTURE:
        for shade in row:
            level = int(shade) * 28 - 128
            difference, before = level - before, level
            size = abs(difference).bit_length()
            low = difference if difference > 0 else difference + (1 << size) - 1
            bits += codes[size] + (f"{low:0{size}b}" if size else "") + "0"  # the last bit ends the block
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\x00")
    height, width = 8 * len(_PICTURE), 8 * len(_PICTURE[0])
    segments = (
        (0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
        (0xDB, b"\x00" + b"\x08" * 64),
        (0xC0, b"\x08" + height.to_bytes(2) + width.to_bytes(2) + b"\x01\x01\x11\x00"),
        (0xC4, b"\x00" + bytes(_DC_LENGTHS) + bytes(range(12))),
        (0xC4, b"\x10\x01" + bytes(15) + b"\x00"),
        (0xDA, b"\x01\x01\x00\x00\x3f\x00"),
    )
    headers = (b"\xff" + bytes((kind,)) + (len(content) + 2).to_bytes(2) + content for kind, content in segments)
    return b"\xff\xd8" + b"".join(headers) + scan + b"\xff\xd9"


# --- telling it ------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    directory = Path(arguments.dir)
    started = time.monotonic()
    with _progress(silent=arguments.json) as tell:
        story = run_story(directory, at=datetime.now(UTC), tell=tell)
    if arguments.json:
        terminal.write_json(_as_json(story) | {"seconds": round(time.monotonic() - started, 3)})
    else:
        _print(story, time.monotonic() - started)
    return 0 if story.went_well else 1


@contextmanager
def _progress(*, silent: bool) -> Iterator[Callable[[str], None]]:
    """Tell each step as a line; on a terminal with rich, with a bar below them while it goes on."""
    if silent:
        yield lambda _text: None
        return
    if sys.stdout is None or not sys.stdout.isatty() or find_spec("rich") is None:
        yield _numbered(terminal.write)
        return
    from rich import progress as bars

    columns = bars.SpinnerColumn(), bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeElapsedColumn()
    with bars.Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=_STEPS)

        def write(lines: list[str]) -> None:
            # Rich takes what is written here, and keeps the bar below it.
            terminal.write(lines)
            bar.advance(task)

        yield _numbered(write)


def _numbered(write: Callable[[list[str]], None]) -> Callable[[str], None]:
    done = 0

    def tell(text: str) -> None:
        nonlocal done
        lines = [] if done else [terminal.paint("From an empty folder to a verified licence:", "bold")]
        done += 1
        write(lines + terminal.wrap(terminal.safe(text), first=f"  {done}. ", rest="     "))

    return tell


_COLOURS: Final = {
    Outcome.PASSED: "green",
    Outcome.FAILED: "red",
    Outcome.INDETERMINATE: "yellow",
    Outcome.NOT_APPLICABLE: "dim",
}


def _print(story: Story, seconds: float) -> None:
    lines = ["", terminal.paint("Every check of the reader, and its outcome:", "bold")]
    if story.report is not None:
        size = max(map(len, CHECKS))
        for check in story.report:
            outcome = terminal.paint(f"{check.outcome.value:<14}", _COLOURS[check.outcome])
            lines.append(f"  {check.id:<{size}}  {outcome}  {check.clause}".rstrip())
    lines += ["", terminal.paint("What the reader now knows, and may rely on:", "bold"), *_known(story)]
    lines += ["", terminal.paint("Three attacks:", "bold")]
    for attack in story.attacks:
        refusing = [check for check in attack.report if attack.report.refuses(check)]
        verdict = terminal.paint("refused", "green") if refusing else terminal.paint("ACCEPTED", "red")
        lines.append(f"  {attack.name}: {verdict}")
        rows = [(check.id, check.outcome.value, check.detail) for check in refusing]
        lines += terminal.columns(rows, indent="    ")
        if not attack.refused_as_expected:
            lines.append(terminal.paint(f"    this should have been refused by {attack.expected} alone", "red"))
    lines += ["", terminal.paint(f"The files, in {story.directory}:", "bold")]
    rows_of_files = [(os.path.relpath(path, story.directory), what) for path, what in story.files]
    lines += terminal.columns(rows_of_files, indent="  ")
    mdl = _own_name()
    lines += ["", terminal.paint("What to do next:", "bold")]
    lines += [f"  {mdl} inspect {_quoted(story.directory / 'session/response.cbor')}"]
    root, signer = (_quoted(story.directory / "authority" / name) for name in ("iaca.pem", "ds-1.pem"))
    lines += [f"  openssl verify -CAfile {root} {signer}"]
    for command in (story.command, *(attack.command for attack in story.attacks)):
        lines += _laid_out(mdl, command)
    lines += ["", _ending(story, seconds)]
    terminal.write(lines)


def _ending(story: Story, seconds: float) -> str:
    if story.went_well:
        return terminal.paint(f"All as it should be, in {seconds:.1f} seconds.", "green")
    return terminal.paint("This is NOT as it should be: see above.", "red")


def _known(story: Story) -> list[str]:
    if story.verified is None:
        return ["  nothing: the presentation was refused"]
    rows = []
    for document in story.verified.documents:
        for elements in document.elements.values():
            for identifier, value in elements.items():
                rows.append((identifier, _shown(value)))
    return terminal.columns(rows, indent="  ")


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, FullDate):
        return value.text
    if isinstance(value, list):
        return ", ".join(str(one.get("vehicle_category_code", "?")) for one in value)
    return str(value)


def _own_name() -> str:
    """How this command can be called again from the shell."""
    own = Path(sys.argv[0])
    found = shutil.which("mdl")
    if own.name != "mdl" or (found is not None and own.exists() and Path(found).samefile(own)):
        return "mdl"
    return _quoted(Path(os.path.relpath(own)))


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _laid_out(mdl: str, command: tuple[str, ...]) -> list[str]:
    """A command in lines that can be pasted together into a shell."""
    options = command.index("--trust")
    first = f"  {mdl} {shlex.join(command[:options])}"
    rest = [shlex.join(command[index : index + 2]) for index in range(options, len(command), 2)]
    return [f"{first} \\", *(f"      {pair} \\" for pair in rest[:-1]), f"      {rest[-1]}"]


def _as_json(story: Story) -> dict[str, Any]:
    checks = () if story.report is None else story.report.checks
    return {
        "made_by": _MADE_BY,
        "finished": True,
        "as_expected": story.went_well,
        "directory": str(story.directory),
        "accepted": story.verified is not None,
        "checks": [{"id": one.id, "outcome": one.outcome.value, "detail": one.detail} for one in checks],
        "attacks": [
            {
                "name": attack.name,
                "expected": attack.expected,
                "refused_as_expected": attack.refused_as_expected,
                "failed": list(attack.report.failed),
                "indeterminate": list(attack.report.indeterminate),
                "command": ["mdl", *attack.command],
            }
            for attack in story.attacks
        ],
        "files": {str(path): what for path, what in story.files},
        "command": ["mdl", *story.command],
    }


def _tally(report: Report) -> str:
    counts = {outcome: sum(check.outcome is outcome for check in report) for outcome in Outcome}
    return ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)

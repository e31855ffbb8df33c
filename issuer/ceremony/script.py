"""The script of a ceremony: who is there, which token, and the steps, from a closed set, in their order.

    version = 1
    title = "Root key of Utopia Motor Vehicles"
    policy = "policy.toml"                       # the issuance policy that the authority gets; may be left out

    [token]
    uri = "pkcs11:token=root?module-path=/path/to/module.so"
    key = "iaca"                                 # the root key's label

    [[operators]]
    name = "Ada Sample"
    duty = "ceremony officer"
    phrase = "scrypt1:…"                         # from mdl issuer ceremony enrol

    [[steps]]
    do = "token"

    [[steps]]
    do = "key"
    expect = "new"
    curve = "P-384"

Files are named by their path from the script's folder. What comes in from outside is pinned by its SHA-256, so that the
operators confirm that request, and not one that was put in its place. The module is code that runs with the PIN: one in
a folder of the system's own libraries is taken, and any other only if it is named beside the script (`check_module`).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn, TypeAlias

from issuer.ceremony.names import are_distinct
from issuer.folder import read_file
from issuer.keystore import Pkcs11Uri
from issuer.policy import IssuancePolicy
from issuer.signers import CERTIFIED
from issuer.store import Role
from issuer.toml import load_toml
from mdl.doctypes import plain_name
from mdl.errors import DecodeError, MdlError
from mdl.keys import CURVES
from mdl.pki import Subject

__all__ = [
    "MODULE_FOLDERS",
    "STEPS",
    "CheckToken",
    "LinkRoot",
    "MakeRoot",
    "Operator",
    "ProvideKey",
    "PublishCrl",
    "Script",
    "SignRequest",
    "Step",
    "WriteRecord",
    "asked_of",
    "enrol",
]

MODULE_FOLDERS: Final = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/lib", "/lib64", "/opt")
"""Where a PKCS#11 module lies that a script may name: only an administrator writes there."""
_MAX_SCRIPT_BYTES: Final = 256 * 1024
_MAX_STEPS: Final = 100
_MAX_OPERATORS: Final = 20
_MIN_OPERATORS: Final = 2
_MIN_PHRASE: Final = 12
_MAX_TEXT: Final = 200
_ROOT_CURVES: Final = tuple(one.name for one in CURVES.values() if one.algorithm is not None and one.kind == "EC")
# What an IACA certifies of itself; mdoc readers and VICAL signers have other roots.
_CERTIFIED: Final = tuple(role for role, one in CERTIFIED.items() if one.issuer is Role.IACA and not one.profile.ca)


# --- operators -------------------------------------------------------------------------------------------------------


def _stretch(phrase: str, salt: bytes) -> bytes:
    text = unicodedata.normalize("NFC", phrase).strip().encode()
    return hashlib.scrypt(text, salt=salt, n=1 << 14, r=8, p=1, dklen=32)


def enrol(phrase: str) -> str:
    """What a script holds of an operator's phrase: enough to know it again, too little to say it.

    Args:
        phrase: The operator's own, at least 12 characters; several words that nobody else would put together.

    Raises:
        DecodeError: It is too short (code ``ceremony.phrase``).
    """
    if len(unicodedata.normalize("NFC", phrase).strip()) < _MIN_PHRASE:
        raise DecodeError(f"a phrase has at least {_MIN_PHRASE} characters", code="ceremony.phrase")
    salt = secrets.token_bytes(16)
    return f"scrypt1:{salt.hex()}:{_stretch(phrase, salt).hex()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Somebody who confirms steps.

    Attributes:
        name: The full name, as in the record.
        duty: In what capacity.
        phrase: What `enrol` gave.
    """

    name: str
    duty: str
    phrase: str = field(repr=False)

    def accepts(self, phrase: str) -> bool:
        """Whether this is the operator's phrase."""
        _, salt, digest = self.phrase.split(":")
        return hmac.compare_digest(_stretch(phrase, bytes.fromhex(salt)), bytes.fromhex(digest))


# --- steps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckToken:
    """Open the token, and tell which keys are in it."""

    do: ClassVar[str] = "token"

    @property
    def says(self) -> str:
        """The step in one line, for those who confirm it."""
        return "Open the token with its PIN and list the keys in it; nothing is changed."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvideKey:
    """Make the root key in the token, or show that it is there.

    Attributes:
        expect: ``new``: it is not there yet, and is made; ``present``: it is there.
        curve: Its curve.
    """

    do: ClassVar[str] = "key"
    expect: str
    curve: str

    @property
    def says(self) -> str:
        """The step in one line."""
        if self.expect == "new":
            return f"Make the root key in the token, on {self.curve}; the token must have no key of that label."
        return f"Show that the root key, on {self.curve}, is in the token; nothing is changed."


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeRoot:
    """Make the root certificate, and with it its first CRL, which is empty: no root goes out without one.

    Attributes:
        country: Two letters.
        crl_url: Where the CRLs will be found.
        state: ISO 3166-2, if wanted.
        organization: If wanted.
        common_name: The root's name.
        contact_email: This or `contact_uri` is given.
        contact_uri: See there.
        days: The root's life.
        crl_days: Days until the first CRL's successor.
        doctype: What is issued.
    """

    do: ClassVar[str] = "root"
    country: str
    common_name: str
    crl_url: str
    state: str | None = None
    organization: str | None = None
    contact_email: str | None = None
    contact_uri: str | None = None
    days: int = 3285
    crl_days: int = 30
    doctype: str = "org.iso.18013.5.1.mDL"

    @property
    def subject(self) -> Subject:
        """The root's name."""
        return Subject(
            country=self.country, state=self.state, organization=self.organization, common_name=self.common_name
        )

    @property
    def says(self) -> str:
        """The step in one line."""
        return (
            f"Sign two things with the root key: the root certificate '{self.common_name}' for {self.days} days, "
            f"and its first CRL, empty, for {self.crl_days} days."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SignRequest:
    """Sign the certificate that a request from the online side asks for.

    Attributes:
        request: The file with the request.
        sha256: SHA-256 of the request's DER, hex.
        certificate: Name of the file that the certificate goes to.
        common_name: What the certificate says; the request does not decide that.
        role: What the certificate is for.
        days: Its life.
    """

    do: ClassVar[str] = "sign-csr"
    request: str
    sha256: str
    certificate: str
    common_name: str
    role: str = Role.DOCUMENT_SIGNER.value
    days: int = 90

    @property
    def says(self) -> str:
        """The step in one line."""
        return (
            f"Certify the key of the request {self.request} (SHA-256 {self.sha256[:16]}…) as '{self.common_name}', "
            f"{self.role}, for {self.days} days."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRoot:
    """Sign the link certificate by which whoever trusts this root finds its successor.

    Attributes:
        successor: The file with the new root's certificate.
        sha256: SHA-256 of that certificate, hex.
        certificate: Name of the file that the link certificate goes to.
    """

    do: ClassVar[str] = "link"
    successor: str
    sha256: str
    certificate: str

    @property
    def says(self) -> str:
        """The step in one line."""
        return f"Sign the link from this root to the new root {self.successor} (SHA-256 {self.sha256[:16]}…)."


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishCrl:
    """Sign the next CRL.

    Attributes:
        days: Days until its successor.
        revoke: Serial numbers, hex, that are revoked now.
        file: Name of the file that the CRL goes to.
    """

    do: ClassVar[str] = "crl"
    days: int = 30
    revoke: tuple[str, ...] = ()
    file: str = "iaca.crl"

    @property
    def says(self) -> str:
        """The step in one line."""
        listed = f"revoking now: {', '.join(self.revoke)}" if self.revoke else "revoking nothing new"
        return f"Sign the next CRL, for {self.days} days, {listed}."


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord:
    """Sign the record of the ceremony with the root key; always the last step."""

    do: ClassVar[str] = "record"

    @property
    def says(self) -> str:
        """The step in one line."""
        return "Sign the record of this ceremony with the root key, and end the ceremony."


Step: TypeAlias = CheckToken | ProvideKey | MakeRoot | SignRequest | LinkRoot | PublishCrl | WriteRecord

STEPS: Final[Mapping[str, type[Step]]] = {
    one.do: one for one in (CheckToken, ProvideKey, MakeRoot, SignRequest, LinkRoot, PublishCrl, WriteRecord)
}
"""The steps that there are, by the word that a script has for each."""


# --- the script ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script that was read, and is consistent in itself.

    Attributes:
        title: What the ceremony is.
        place: Where it is held; empty where the script does not say.
        token: URI of the token.
        key: Label of the root key in it.
        operators: Who may confirm, two at least.
        confirmations: How many of them confirm each step, two at least.
        steps: What is done.
        policy: The policy that the authority gets, or None for the one that it has.
        folder: Where the files lie that it names.
        digest: SHA-256 of the script's bytes.
        policy_digest: SHA-256 of the policy's bytes, or None where the script names none.
    """

    title: str
    place: str
    token: str
    key: str
    operators: tuple[Operator, ...]
    confirmations: int
    steps: tuple[Step, ...]
    policy: IssuancePolicy | None
    folder: Path
    digest: bytes
    policy_digest: bytes | None

    @property
    def results(self) -> tuple[str, ...]:
        """The names of the files that come of the steps, beside the record and its document."""
        names = [one.certificate for one in self.steps if isinstance(one, SignRequest | LinkRoot)]
        names += [one.file for one in self.steps if isinstance(one, PublishCrl)]
        return (*names, "iaca.pem", "iaca.crl") if self.root_step is not None else (*names,)

    @property
    def root_step(self) -> MakeRoot | None:
        """The step that makes the root, if this ceremony does."""
        return next((one for one in self.steps if isinstance(one, MakeRoot)), None)

    def check_module(self, named: Collection[str | os.PathLike[str]] = ()) -> None:
        """Refuse a PKCS#11 module that is neither in a folder of the system's libraries nor named beside the script.

        Args:
            named: Paths of modules that whoever holds the ceremony has named.

        Raises:
            DecodeError: It is none of these (code ``ceremony.module``).
        """
        path = Path(Pkcs11Uri.parse(self.token).module_path)
        if str(path) in map(os.path.abspath, named):
            return
        for place in {path, Path(os.path.realpath(path))}:
            if ".." in place.parts or not any(place.is_relative_to(one) for one in MODULE_FOLDERS):
                message = (
                    "the script names a PKCS#11 module outside the folders of the system's libraries: if it is the one "
                    "that is meant, name it with --module"
                )
                raise DecodeError(message, code="ceremony.module", path="token.uri")

    @classmethod
    def read(cls, file: Path) -> Script:
        """Read a script and the policy that it names.

        Raises:
            DecodeError: It is no script (codes ``ceremony.toml``, ``ceremony.form``, ``ceremony.step``,
                ``ceremony.operators``, ``ceremony.order``, ``policy.…``); `path` says where.
        """
        data = read_file(file)
        document = load_toml(data, source=str(file), code="ceremony.toml", most=_MAX_SCRIPT_BYTES)
        return _Reading(file).script(document, hashlib.sha256(data).digest())


def asked_of(step: Step) -> dict[str, Any]:
    """A step's parameters, as a record has them."""
    return {name: [*value] if type(value) is tuple else value for name, value in asdict(step).items()}


_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PHRASE: Final = re.compile(r"scrypt1:[0-9a-f]{32}:[0-9a-f]{64}")
_SERIAL: Final = re.compile(r"[0-9a-f]{1,40}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
# Written by the ceremony itself into the folder of its results.
_TAKEN: Final = frozenset({"record.json", "record.md", "iaca.pem"})


class _Reading:
    """Reads a script strictly: nothing missing, nothing unknown, everything of its form."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def script(self, document: dict[str, Any], digest: bytes) -> Script:
        known = {"version", "title", "place", "policy", "confirmations", "token", "operators", "steps"}
        self._known(document, known, "")
        if type(document.get("version")) is not int or document["version"] != 1:
            self._refuse("form", "version", "must be 1")
        token = document.get("token")
        if type(token) is not dict:
            self._refuse("form", "token", "must be a table with the URI of the token")
        self._known(token, {"uri", "key"}, "token")
        uri = self.text(token.get("uri"), "token.uri", most=1000)
        try:
            named = Pkcs11Uri.parse(uri)
        except MdlError as exc:
            self._refuse("form", "token.uri", exc.message)
        if named.label is not None or named.id is not None:
            self._refuse("form", "token.uri", "name the token only, and the key in token.key")
        operators = self._operators(document.get("operators"))
        confirmations = document.get("confirmations", _MIN_OPERATORS)
        if type(confirmations) is not int or not _MIN_OPERATORS <= confirmations <= len(operators):
            reason = f"must be a number from {_MIN_OPERATORS} to that of the operators"
            self._refuse("operators", "confirmations", reason)
        policy, policy_digest = None, None
        if "policy" in document:
            name = self.text(document["policy"], "policy")
            data = read_file(self._file.parent / name)
            policy, policy_digest = IssuancePolicy.parse(data, source=name), hashlib.sha256(data).digest()
        return Script(
            title=self.text(document.get("title"), "title"),
            place=self.text(document["place"], "place") if "place" in document else "",
            token=uri,
            key=self.text(token.get("key", "iaca"), "token.key"),
            operators=operators,
            confirmations=confirmations,
            steps=self._steps(document.get("steps")),
            policy=policy,
            folder=self._file.parent,
            digest=digest,
            policy_digest=policy_digest,
        )

    def _operators(self, value: Any) -> tuple[Operator, ...]:
        if type(value) is not list or not all(type(one) is dict for one in value):
            self._refuse("form", "operators", "must be tables [[operators]]")
        if not _MIN_OPERATORS <= len(value) <= _MAX_OPERATORS:
            reason = f"a ceremony has {_MIN_OPERATORS} to {_MAX_OPERATORS} named operators"
            self._refuse("operators", "operators", reason)
        found = []
        for index, one in enumerate(value):
            path = f"operators[{index}]"
            self._known(one, {"name", "duty", "phrase"}, path)
            phrase = self.text(one.get("phrase"), f"{path}.phrase")
            if not _PHRASE.fullmatch(phrase):
                self._refuse("form", f"{path}.phrase", "must be what 'mdl issuer ceremony enrol' printed")
            name = self.text(one.get("name"), f"{path}.name")
            duty = self.text(one.get("duty", "operator"), f"{path}.duty")
            found.append(Operator(name=name, duty=duty, phrase=phrase))
        if not are_distinct(one.name for one in found):
            reason = "the same operator is named twice, or in letters of another script that look the same"
            self._refuse("operators", "operators.name", reason)
        if len({one.phrase for one in found}) != len(found):
            self._refuse("operators", "operators.phrase", "the same operator is named twice")
        return tuple(found)

    def _steps(self, value: Any) -> tuple[Step, ...]:
        if type(value) is not list or not 1 <= len(value) <= _MAX_STEPS or not all(type(one) is dict for one in value):
            self._refuse("form", "steps", f"must be 1 to {_MAX_STEPS} tables [[steps]]")
        steps = tuple(self._step(one, f"steps[{index}]") for index, one in enumerate(value))
        self._in_order(steps)
        return steps

    def _step(self, table: dict[str, Any], path: str) -> Step:
        kind = STEPS.get(table["do"]) if type(table.get("do")) is str else None
        if kind is None:
            self._refuse("step", f"{path}.do", f"must be one of {', '.join(STEPS)}")
        members = fields(kind)
        self._known(table, {"do", *(one.name for one in members)}, path)
        given = {}
        for one in members:
            if one.name in table:
                read: Callable[[_Reading, Any, str], Any] = _MEMBERS.get(one.name, _Reading.text)
                given[one.name] = read(self, table[one.name], f"{path}.{one.name}")
            elif one.default is MISSING:
                self._refuse("form", f"{path}.{one.name}", "is missing")
        build: Callable[..., Step] = kind
        return build(**given)

    def _in_order(self, steps: tuple[Step, ...]) -> None:
        kinds = [one.do for one in steps]
        if kinds[-1] != "record" or kinds.count("record") != 1:
            self._refuse("order", "steps", "the last step, and only the last, is 'record'")
        if kinds[:2] != ["token", "key"] or kinds.count("key") != 1:
            self._refuse("order", "steps", "the first steps are 'token' and 'key', and there is one key")
        if "root" in kinds and (kinds.count("root") != 1 or kinds.index("root") != 2):
            self._refuse("order", "steps", "'root' comes after 'key', and once")
        key = next(one for one in steps if isinstance(one, ProvideKey))
        if "root" not in kinds and key.expect == "new":
            self._refuse("order", "steps[1].expect", "a new key is for a root that is made in the same ceremony")
        root = next((one for one in steps if isinstance(one, MakeRoot)), None)
        if root is not None and root.contact_email is None and root.contact_uri is None:
            self._refuse("form", "steps[2]", "name a way to contact the authority: contact_email or contact_uri")
        names = [one.certificate for one in steps if isinstance(one, SignRequest | LinkRoot)]
        names += [one.file for one in steps if isinstance(one, PublishCrl)]
        names += ["iaca.crl"] if root is not None else []
        twice = sorted({one for one in names if names.count(one) > 1 or one in _TAKEN})
        if twice:
            self._refuse("order", "steps", f"two results would go to one file: {twice[0]}")

    # --- forms of members ---

    def text(self, value: Any, path: str, *, most: int = _MAX_TEXT) -> str:
        if type(value) is not str or not value.strip() or len(value) > most or not value.isprintable():
            self._refuse("form", path, f"must be a printable text of 1 to {most} characters")
        return value

    def days(self, value: Any, path: str) -> int:
        if type(value) is not int or not 1 <= value <= 100_000:
            self._refuse("form", path, "must be a whole number of days, at least 1")
        return value

    def curve(self, value: Any, path: str) -> str:
        if value not in _ROOT_CURVES:
            self._refuse("form", path, f"must be one of {', '.join(_ROOT_CURVES)}")
        return str(value)

    def expect(self, value: Any, path: str) -> str:
        if value not in ("new", "present"):
            self._refuse("form", path, "must be 'new' or 'present'")
        return str(value)

    def role(self, value: Any, path: str) -> str:
        if value not in _CERTIFIED:
            self._refuse("form", path, f"must be one of {', '.join(_CERTIFIED)}")
        return str(value)

    def sha256(self, value: Any, path: str) -> str:
        if type(value) is not str or not _SHA256.fullmatch(value):
            self._refuse("form", path, "must be a SHA-256 in 64 hex digits, lower case")
        return value

    def file_name(self, value: Any, path: str) -> str:
        if type(value) is not str or not _NAME.fullmatch(value):
            self._refuse("form", path, "must be the name of a file, without a folder")
        return value

    def revoke(self, value: Any, path: str) -> tuple[str, ...]:
        if type(value) is not list or not all(type(one) is str and _SERIAL.fullmatch(one) for one in value):
            self._refuse("form", path, "must be an array of serial numbers in hex, lower case")
        return tuple(value)

    def _known(self, table: dict[str, Any], known: set[str], path: str) -> None:
        for name in table:
            if name not in known:
                where = f"{path}.{plain_name(name)}" if path else plain_name(name)
                self._refuse("form", where, "is not known here")

    def _refuse(self, kind: str, path: str, reason: str) -> NoReturn:
        raise DecodeError(f"{self._file.name} is no script of a ceremony: {reason}", code=f"ceremony.{kind}", path=path)


_MEMBERS: Final[Mapping[str, Callable[[_Reading, Any, str], Any]]] = {
    "days": _Reading.days,
    "crl_days": _Reading.days,
    "curve": _Reading.curve,
    "expect": _Reading.expect,
    "role": _Reading.role,
    "sha256": _Reading.sha256,
    "certificate": _Reading.file_name,
    "file": _Reading.file_name,
    "revoke": _Reading.revoke,
}

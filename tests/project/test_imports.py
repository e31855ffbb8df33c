"""Who may import what, what an import needs, and who may read the clock."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("mdl", "issuer", "reader")

# What the extras and the development tools bring; none of it may be needed to import the three packages.
EXTRAS = (
    *("pkcs11", "asn1crypto", "psycopg", "psycopg_binary", "rich", "boto3", "botocore"),
    *("pycose", "certvalidator", "oscrypto", "ecdsa", "moto", "flask"),
)

IMPORT_ALL = """
import importlib, importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{fullname!r}} (kept out by the test)", name=fullname)
        return None

sys.meta_path.insert(0, Absent())
for name in {modules!r}:
    importlib.import_module(name)
"""


def modules(package: str) -> Iterator[tuple[str, Path]]:
    """Every module of a package by its dotted name."""
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def is_command_line(name: str) -> bool:
    return not {"cli", "__main__"}.isdisjoint(name.split("."))


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=directory, check=False, capture_output=True, text=True)


def test_importing_needs_no_extra() -> None:
    names = [name for package in PACKAGES for name, _ in modules(package) if not is_command_line(name)]
    assert set(PACKAGES) <= set(names)
    script = IMPORT_ALL.format(blocked=set(EXTRAS), modules=names)
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == ""


def test_the_import_rules_hold() -> None:
    outcome = lint_imports(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


# Module, an import planted in it, and the rule that must break.
PLANTED = [
    ("issuer/planted.py", "import reader", "issuer and reader never meet"),
    ("reader/planted.py", "import issuer.keystore", "issuer and reader never meet"),
    ("mdl/holder.py", "import issuer", "mdl imports neither issuer nor reader"),
    ("mdl/testing.py", "from reader import verification", "mdl imports neither issuer nor reader"),
    ("mdl/conformance/runner.py", "import reader", "mdl imports neither issuer nor reader"),
    ("mdl/errors.py", "import mdl.keys", "inside mdl"),
    ("mdl/cose.py", "from mdl import mdoc", "inside mdl"),
    ("mdl/holder.py", "import mdl.cli", "inside mdl"),
    ("mdl/session.py", "import socket", "mdl is pure"),
    ("mdl/transport.py", "import asyncio.streams", "mdl is pure"),
    ("mdl/keys.py", "import pkcs11", "mdl is pure"),
    ("mdl/mdoc.py", "import cbor2", "CBOR is decoded and encoded in mdl.cbor only"),
    ("reader/verification.py", "from cbor2 import loads", "CBOR is decoded and encoded in mdl.cbor only"),
    ("reader/verification.py", "from asn1crypto import x509", "the trust path"),
    ("mdl/pki/__init__.py", "import asn1crypto", "the trust path"),
    ("mdl/pki/model.py", "import mdl.pki.rules", "inside mdl.pki"),
    ("issuer/issuance.py", "from pycose.messages import Sign1Message", "pycose is a test oracle"),
]


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """The house with our rules and every import in it that they permit."""
    rooms = {
        "mdl/__init__.py": "",
        "mdl/errors.py": "",
        "mdl/cbor.py": "import cbor2\nimport mdl.errors",
        "mdl/keys.py": "import cryptography\nimport mdl.errors",
        "mdl/cose.py": "import mdl.cbor\nimport mdl.keys",
        "mdl/mdoc.py": "import mdl.cose",
        "mdl/pki/__init__.py": "import mdl.mdoc",
        "mdl/pki/model.py": "import mdl.mdoc",
        "mdl/pki/rules/__init__.py": "import mdl.pki.model",
        "mdl/session.py": "import mdl.pki",
        "mdl/transport.py": "import mdl.session",
        "mdl/holder.py": "import mdl.transport",
        "mdl/testing.py": "import mdl.pki",
        "mdl/conformance/__init__.py": "",
        "mdl/conformance/runner.py": "import subprocess\nimport threading\nimport mdl.holder",
        "mdl/cli.py": "import socket\nimport issuer.keystore\nimport reader\nimport mdl.conformance",
        "issuer/__init__.py": "",
        "issuer/keystore.py": "import pkcs11\nimport asn1crypto\nimport threading\nimport mdl.keys",
        "issuer/issuance.py": "import mdl.mdoc\nimport issuer.keystore",
        "reader/__init__.py": "",
        "reader/verification.py": "import mdl.mdoc\nimport http.client",
    }
    for name, source in rooms.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source + "\n", "utf-8")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    return tmp_path


def test_the_import_rules_permit_what_the_design_permits(small_house: Path) -> None:
    outcome = lint_imports(small_house)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.parametrize(("module", "planted", "rule"), PLANTED)
def test_a_planted_import_breaks_its_rule(small_house: Path, module: str, planted: str, rule: str) -> None:
    path = small_house / module
    before = path.read_text("utf-8") if path.exists() else ""
    path.write_text(f"{before}{planted}\n", "utf-8")
    outcome = lint_imports(small_house)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    _, _, broken = outcome.stdout.partition("Broken contracts")
    assert re.search(rf"^{re.escape(rule)}", broken, re.MULTILINE)


def test_every_import_rule_has_a_planted_import_that_breaks_it() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    names = [contract["name"] for contract in config["tool"]["importlinter"]["contracts"]]
    assert [name for name in names if not any(name.startswith(rule) for _, _, rule in PLANTED)] == []


CLOCK_METHODS = {"now", "utcnow", "today"}
CLOCK_FUNCTIONS = {"time", "time_ns", "localtime", "gmtime", "ctime"}


def clock_readings(source: str) -> list[int]:
    """The lines which read the wall clock, whatever the module calls `datetime`, `date` or `time`."""
    tree = ast.parse(source)
    time_modules, time_functions = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            time_modules |= {alias.asname or alias.name for alias in node.names if alias.name == "time"}
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            time_functions |= {a.asname or a.name for a in node.names if a.name in CLOCK_FUNCTIONS}
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_time = isinstance(node.value, ast.Name) and node.value.id in time_modules
            if node.attr in CLOCK_METHODS or (of_time and node.attr in CLOCK_FUNCTIONS):
                lines.append(node.lineno)
        elif isinstance(node, ast.Name) and node.id in time_functions:
            lines.append(node.lineno)
    return sorted(lines)


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\ndatetime.datetime.now(datetime.UTC)",
        "from datetime import datetime as dt\ndt.utcnow()",
        "from datetime import date\ndate.today()",
        "from datetime import datetime\nclock = datetime.now",
        "import time as t\nt.time()",
        "from time import time_ns as ns\nns()",
    ],
)
def test_a_clock_reading_is_recognised(source: str) -> None:
    assert clock_readings(source) == [2]


def test_telling_a_time_is_not_reading_the_clock() -> None:
    assert clock_readings("def check(at, time):\n    return time.time < at.replace(microsecond=0)") == []


def test_mdl_never_reads_the_clock() -> None:
    found = {
        name: lines
        for name, path in modules("mdl")
        if not is_command_line(name)
        and not name.startswith("mdl.conformance")
        and (lines := clock_readings(path.read_text("utf-8")))
    }
    assert found == {}

"""The lock file, the package's metadata, and what a wheel carries."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements" / "dev.lock").read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = {"mdl", "issuer", "reader"}


def locked() -> dict[str, tuple[str, list[str]]]:
    """Each pinned requirement of the lock file, by name: its version and its hashes."""
    statements = LOCK.replace("\\\n", " ").splitlines()
    entries: dict[str, tuple[str, list[str]]] = {}
    for statement in statements:
        if not statement.strip() or statement.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([^\s;]+)( ; [^#]*?)?((?:\s+--hash=\S+)*)\s*", statement)
        assert match, f"not a pinned requirement: {statement[:80]}"
        entries[canonicalize_name(match[1])] = (match[2], re.findall(r"--hash=(\S+)", match[4]))
    return entries


def declared() -> list[Requirement]:
    project = PYPROJECT["project"]
    groups = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *PYPROJECT["dependency-groups"].values(),
        PYPROJECT["build-system"]["requires"],
    ]
    return [Requirement(text) for group in groups for text in group]


def test_the_lock_file_has_no_address() -> None:
    assert "://" not in LOCK
    assert not re.search(r"--(extra-)?index-url|--find-links|--trusted-host|^-[eirf]\b|file:", LOCK, re.MULTILINE)


def test_every_locked_package_has_a_hash() -> None:
    entries = locked()
    assert entries
    for name, (_, hashes) in entries.items():
        assert hashes, f"{name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), name


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_file_answers_every_declared_dependency(requirement: Requirement) -> None:
    entries = locked()
    name = canonicalize_name(requirement.name)
    assert name in entries, "run `make lock`"
    assert requirement.specifier.contains(entries[name][0]), "run `make lock`"


def test_at_run_time_two_libraries_are_enough() -> None:
    requirements = [Requirement(text) for text in distribution("mdl-sdk").requires or []]
    needed = {r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert needed == {"cbor2", "cryptography"}


def test_the_extras_are_the_documented_ones() -> None:
    extras = distribution("mdl-sdk").metadata.get_all("Provides-Extra") or []
    assert sorted(extras) == ["aws", "cli", "hsm", "issuer", "postgres"]


def test_the_command_is_mdl() -> None:
    scripts = distribution("mdl-sdk").entry_points.select(group="console_scripts")
    assert [(script.name, script.value) for script in scripts] == [("mdl", "mdl.cli:main")]


def test_a_wheel_carries_three_typed_packages_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    metadata = f"mdl_sdk-{PYPROJECT['project']['version']}.dist-info"
    assert {name.split("/")[0] for name in names} == {*PACKAGES, metadata}
    for package in PACKAGES:
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)

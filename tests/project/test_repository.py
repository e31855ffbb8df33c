"""Rules for the files of the repository: what a fresh clone must have, and what no file may carry."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Assembled, so that this file does not carry what it forbids.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("deb", "debian", "org"),
    )
]


def repository_files() -> list[Path]:
    """Every file that is or could be committed: tracked, or new and not ignored."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the repository is unknown")
    # A checkout may belong to another user than the one who tests (containers do that).
    git = [
        "git",
        "-c",
        f"safe.directory={ROOT}",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listed = subprocess.run(git, cwd=ROOT, check=True, capture_output=True).stdout
    return [path for name in listed.split(b"\0") if name and (path := ROOT / os.fsdecode(name)).is_file()]


def carriers(pattern: str) -> list[str]:
    expression = re.compile(pattern.encode())
    return [str(path.relative_to(ROOT)) for path in repository_files() if expression.search(path.read_bytes())]


def shell_block_after(heading: str, text: str) -> list[str]:
    match = re.search(rf"^## {heading}\n.*?^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert match, f"no code block under '## {heading}'"
    return match.group(1).strip().splitlines()


def test_the_quick_start_is_two_commands_that_exist() -> None:
    commands = shell_block_after("Quick start", (ROOT / "README.md").read_text("utf-8"))
    assert [line.split("#")[0].strip() for line in commands] == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in ("demo", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_every_relative_link_in_the_documents_leads_somewhere() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {target}"
        for document in repository_files()
        if document.suffix == ".md"
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", document.read_text("utf-8"))
        if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("script", [".ci/run", "scripts/setup.sh"])
def test_scripts_can_be_run_and_parse(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    shell = path.read_text("utf-8").splitlines()[0].split("/")[-1].split()[-1]
    subprocess.run([shell, "-n", path], check=True)


def test_the_continuous_integration_runs_what_a_developer_runs() -> None:
    script = (ROOT / ".ci/run").read_text("utf-8")
    assert "set -euo pipefail" in script
    assert "make test" in script


def test_no_file_carries_a_path_of_this_machine() -> None:
    workspace = ROOT.parent
    assert carriers(re.escape(str(ROOT))) == []
    if workspace not in (Path("/"), Path(tempfile.gettempdir()), Path.home()):
        assert carriers(rf"(?<![\w.-]){re.escape(str(workspace))}/") == []


def test_no_file_names_a_package_registry() -> None:
    assert carriers("|".join(rf"\b{re.escape(host)}\b" for host in REGISTRY_HOSTS)) == []


def test_private_keys_in_clear_are_in_tests_and_vectors_only() -> None:
    found = carriers("-----BEGIN " + r"(EC |RSA )?PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{40}")
    assert [name for name in found if not name.startswith(("test_vectors/", "tests/"))] == []

"""The examples do what they say: every program in examples/, every Python block and every command of the README."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.authorities import require_softhsm

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.hsm


def examples_of_the_readme(language: str) -> list[str]:
    block = re.search(r"<!-- EXAMPLES BEGIN.*?-->\n(.*?)<!-- EXAMPLES END -->", README, re.DOTALL)
    assert block, "the README has no examples"
    return re.findall(rf"^```{language}\n(.*?)^```$", block[1], re.DOTALL | re.MULTILINE)


def run(*words: str | Path, folder: Path, **variables: str) -> str:
    """Run a program as a user does who has installed the project; its output."""
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [*map(str, words)],
        cwd=folder,
        env=os.environ | path | variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stderr) == (0, ""), (words, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the README's commands were run, in their order."""
    require_softhsm()
    folder = tmp_path_factory.mktemp("readme")
    commands = [line for block in examples_of_the_readme("sh") for line in block.replace("\\\n", " ").splitlines()]
    assert len(commands) >= 8
    for command in commands:
        run("sh", "-c", command, folder=folder)
    return folder


def test_the_commands_of_the_readme_run(demo: Path) -> None:
    assert (demo / "licence.cbor").stat().st_size > 1000
    assert (demo / "authority" / "ds-1.pem").exists()


@pytest.mark.parametrize(
    ("block", "said"), [(0, ""), (1, "over 21: YES - signed by C=XU, ST=XU-EX")], ids=["issuer", "reader"]
)
def test_the_programs_of_the_readme_run(demo: Path, tmp_path: Path, block: int, said: str) -> None:
    shutil.copytree(demo / "demo", tmp_path / "demo")
    program = tmp_path / "program.py"
    program.write_text(examples_of_the_readme("python")[block])
    output = run(sys.executable, program, folder=tmp_path, KEY_PASSWORD="correct horse")
    assert output.startswith(said)
    assert bool(output) == bool(said)
    assert (tmp_path / "licence.cbor").exists() == (block == 0)


# What strangers may send in place of a response.
GARBAGE = {
    "nothing": b"",
    "text": b"not even CBOR",
    "an empty map": b"\xa0",
    "no document": b"\xa2\x67version\x631.0\x66status\x00",
    "an odd document": b"\xa3\x67version\x631.0\x69documents\x81\xa0\x66status\x00",
    "another form": b"\xa3\x67version\x631.0\x6bzkDocuments\x81\xa0\x66status\x00",
    "much nesting": b"\x81" * 100_000,
}


@pytest.mark.parametrize("kind", ["nothing", "an empty map", "no document"])
def test_the_reader_of_the_readme_refuses_garbage_with_a_reason(demo: Path, tmp_path: Path, kind: str) -> None:
    shutil.copytree(demo / "demo", tmp_path / "demo")
    (tmp_path / "demo" / "session" / "response.cbor").write_bytes(GARBAGE[kind])
    program = tmp_path / "program.py"
    program.write_text(examples_of_the_readme("python")[1])
    assert run(sys.executable, program, folder=tmp_path).startswith("refused: ")


def test_the_reader_of_the_examples_refuses_garbage_with_a_reason(demo: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(demo / "demo", tmp_path / "demo")
    for number, content in enumerate(GARBAGE.values()):
        (folder / f"{number}.cbor").write_bytes(content)
    names = [f"{number}.cbor" for number in range(len(GARBAGE))]
    output = run(sys.executable, ROOT / "examples" / "verify_files.py", folder, *names, folder=tmp_path)
    for name in names:
        assert f"{name}: refused\n  " in output


def test_no_program_of_the_readme_is_left_out() -> None:
    assert len(examples_of_the_readme("python")) == 2
    assert len(re.findall(r"^```(?!\n)", README, re.MULTILINE)) == len(
        examples_of_the_readme("python") + examples_of_the_readme("sh")
    )


SAYS = {
    "issue_and_verify.py": [
        "accepted: {'age_over_21': True} over 18? YES",
        "refused: device_auth.signature",
        "refused: the input ends",
    ],
    "issue_with_hsm.py": ["1000 licences issued"],
    "post_quantum_rehearsal.py": [
        "a lenient reader: refused issuer_auth.path issuer_auth.profile issuer_auth.algorithm",
        "ML-DSA-65 root, ML-DSA-65 document signer:\n  certificate 56",
        "a lenient reader in the rehearsal: accepted",
    ],
    "write_a_custodian.py": ["a root from a custodian of one's own: C=XU", "refused: signing.pin_incorrect"],
    "verify_files.py": ["session/response.cbor: accepted", "birth-date.cbor: refused", "issuer_data.digest: "],
}


def test_every_example_is_run() -> None:
    assert [file.name for file in EXAMPLES] == sorted(SAYS)
    assert all(f"(examples/{name})" in README for name in SAYS)


def test_the_custodian_of_the_how_to_is_the_one_that_runs() -> None:
    page = (ROOT / "docs" / "how-to" / "write-a-key-custodian.md").read_text("utf-8")
    program = (ROOT / "examples" / "write_a_custodian.py").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    assert all(block in program for block in blocks)


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(demo: Path, tmp_path: Path, name: str) -> None:
    words = [demo / "demo"] if name == "verify_files.py" else []
    output = run(sys.executable, ROOT / "examples" / name, *words, folder=tmp_path)
    for text in SAYS[name]:
        assert text in output
    assert list(tmp_path.iterdir()) == []

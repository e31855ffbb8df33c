"""Test vectors of other people, which this repository does not carry.

They stand in ``../shared/vectors`` beside the checkout, or in the folder that MDL_EXTERNAL_VECTORS names. A test whose
folder is missing is skipped, and its reason names the folder; a file missing in a folder that is there is an error.
"""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("MDL_EXTERNAL_VECTORS") or Path(__file__).resolve().parents[2] / "shared" / "vectors")


def _why(name: str) -> str:
    return f"no external vectors: the folder {name} is not in {ROOT.name}/ (set MDL_EXTERNAL_VECTORS)"


def folder(name: str) -> Path:
    """The folder of that name; skips the test where it is missing."""
    path = ROOT / name
    if not path.is_dir():
        pytest.skip(_why(name))
    return path


def everything() -> Path:
    """The folder of all of them; skips the test where it is missing."""
    if not ROOT.is_dir():
        pytest.skip(
            f"no external vectors: the folder {ROOT.name} is not beside the checkout (set MDL_EXTERNAL_VECTORS)"
        )
    return ROOT


def octets(name: str) -> bytes:
    """The bytes of a ``.hex`` file, named relative to the vectors, for example ``isomdl/issuer-signed.hex``."""
    where, _, file = name.rpartition("/")
    return bytes.fromhex((folder(where) / file).read_text("ascii"))


def cases(name: str, pattern: str) -> list[object]:
    """The files of a folder as parameters for a test; one skipped parameter where the folder is missing."""
    path = ROOT / name
    if not path.is_dir():
        return [pytest.param(path, id=f"{name}-missing", marks=pytest.mark.skip(reason=_why(name)))]
    found = sorted(path.glob(pattern))
    if not found:
        msg = f"{name} is there but holds no {pattern}"
        raise FileNotFoundError(msg)
    return [pytest.param(file, id=file.name.removesuffix(file.suffix)) for file in found]

"""Files are written whole or not at all, and private where they must be."""

import errno
import os
import stat
from pathlib import Path

import pytest

from mdl.files import output_file


def write(path: Path, content: bytes, *, private: bool = False) -> None:
    with output_file(path, private=private) as commit:
        commit(content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_there_stays_until_the_new_content_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write(file, b"one")
    with output_file(file) as commit:
        assert file.read_bytes() == b"one"
        commit(b"two")
        assert file.read_bytes() == b"two"
    assert [*tmp_path.iterdir()] == [file]


def test_nothing_changes_and_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with output_file(file):
        pass
    assert [*tmp_path.iterdir()] == []
    write(file, b"one")
    with pytest.raises(KeyboardInterrupt), output_file(file):
        raise KeyboardInterrupt
    assert file.read_bytes() == b"one"
    assert [*tmp_path.iterdir()] == [file]


def test_a_write_that_takes_only_a_part_goes_on_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:2]))
    write(tmp_path / "file", b"seven..")
    assert (tmp_path / "file").read_bytes() == b"seven.."


def test_a_private_file_is_its_owner_s_whoever_might_read_it_before(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write(file, b"open")
    file.chmod(0o666)
    with output_file(file, private=True) as commit:
        (beside,) = [one for one in tmp_path.iterdir() if one != file]
        assert mode(beside) == 0o600, "it is private before there is anything in it"
        commit(b"private")
    assert (file.read_bytes(), mode(file)) == (b"private", 0o600)


def test_what_was_private_stays_private(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write(file, b"mine")
    file.chmod(0o600)
    write(file, b"mine again")
    assert (file.read_bytes(), mode(file)) == (b"mine again", 0o600)


def test_a_file_is_put_in_place_once(tmp_path: Path) -> None:
    with output_file(tmp_path / "file") as commit:
        commit(b"one")
        with pytest.raises(ValueError, match="in place already"):
            commit(b"two")
    assert (tmp_path / "file").read_bytes() == b"one"


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    link = tmp_path / "link"
    link.symlink_to("inner/target")
    for content in (b"made", b"replaced"):
        write(link, content)
        assert link.is_symlink()
        assert (tmp_path / "inner" / "target").read_bytes() == content


def test_links_in_a_circle_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "file"):
        with pytest.raises(OSError, match="symbolic links") as caught, output_file(path):
            pass
        assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("name", [".", "pipe", "missing/file"])
def test_that_a_file_cannot_be_written_is_found_out_before_anything_is_done(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = []
    with pytest.raises(OSError), output_file(tmp_path / name):
        done.append(name)
    assert done == []
    assert [*tmp_path.iterdir()] == [tmp_path / "pipe"]

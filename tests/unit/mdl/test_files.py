"""Files are written whole or not at all, and private where they must be."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from mdl.files import check_output, index_owner, output_file


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


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_a_link_is_not_followed(tmp_path: Path, *, there: bool, own: bool) -> None:
    (tmp_path / "inner").mkdir()
    target = tmp_path / "inner" / "target"
    if there:
        target.write_bytes(b"somebody's")
    link = tmp_path / "link"
    link.symlink_to("inner/target")
    with pytest.raises(OSError, match="symbolic link") as caught, output_file(link, own=own):
        pass
    assert caught.value.errno == errno.ELOOP
    assert link.is_symlink()
    assert [one.read_bytes() for one in target.parent.iterdir()] == ([b"somebody's"] if there else [])


def test_a_link_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with pytest.raises(OSError, match="symbolic link"), output_file(file) as commit:
        file.symlink_to("elsewhere")
        commit(b"content")
    assert file.is_symlink()


def test_a_folder_that_is_changed_for_a_link_meanwhile_is_still_the_one_that_was_named(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "other").mkdir()
    with output_file(tmp_path / "folder" / "file") as commit:
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").symlink_to("other")
        commit(b"content")
    assert (tmp_path / "moved" / "file").read_bytes() == b"content"
    assert [*(tmp_path / "other").iterdir()] == []


def test_the_other_name_of_a_file_keeps_what_it_had(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "file").hardlink_to(tmp_path / "precious")
    write(tmp_path / "file", b"new")
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("late", [False, True])
def test_a_file_that_is_not_to_be_replaced_stays(tmp_path: Path, *, late: bool) -> None:
    file = tmp_path / "file"
    if not late:
        file.write_bytes(b"there")
    with pytest.raises(FileExistsError), output_file(file, replace=False) as commit:
        file.write_bytes(b"there")
        commit(b"new")
    assert [(one, one.read_bytes()) for one in tmp_path.iterdir()] == [(file, b"there")]


def test_between_the_last_look_and_the_name_nothing_is_replaced_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system without hard links has to do with the look."""
    file = tmp_path / "file"
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        monkeypatch.setattr("mdl.files._require_file", lambda *_args, **_options: None)
        file.write_bytes(b"there")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(FileExistsError), output_file(file, replace=False) as commit:
        commit(b"new")
    assert [(one, one.read_bytes()) for one in tmp_path.iterdir()] == [(file, b"there")]


def test_a_file_system_without_hard_links_takes_a_new_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_names: str, **_folders: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    with output_file(tmp_path / "file", replace=False) as commit:
        commit(b"new")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"new"]


def test_there_too_a_file_that_is_not_to_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_names: str, **_folders: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
    (tmp_path / "file").write_bytes(b"there")
    with pytest.raises(FileExistsError), output_file(tmp_path / "file", replace=False) as commit:
        commit(b"new")
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"there"]


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_folder_is_no_output_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    reached = []
    with pytest.raises(OSError), output_file(Path(name)):
        reached.append(name)
    assert reached == []


def test_a_link_is_no_place_whatever_is_written_there(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="symbolic link"):
        check_output(tmp_path / "link")
    assert check_output(tmp_path / "link" / "file") == tmp_path.resolve() / "folder"


@pytest.mark.parametrize(
    ("mark", "content"),
    [("authority.json", "anything"), ("index.json", json.dumps({"authority": "00ff", "files": []}))],
)
@pytest.mark.parametrize("name", ["file", "below/file", "../link/file", "../link/below/file", "below/../file"])
def test_what_an_authority_keeps_is_no_place_for_others(tmp_path: Path, mark: str, content: str, name: str) -> None:
    """Whatever its folder is called, and by whatever way it is reached."""
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / mark).write_text(content)
    (tmp_path / "link").symlink_to("folder")
    with pytest.raises(PermissionError, match="write it elsewhere"), output_file(folder / name):
        pass
    with output_file(folder / name, own=True) as commit:
        commit(b"its own")
    write(tmp_path / "file", b"beside it")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"authority": 1, "files": []}', '{"authority": "00ff"}', "[" * 9000]
)
def test_an_index_of_others_is_no_published_tree(tmp_path: Path, content: str) -> None:
    (tmp_path / "index.json").write_text(content)
    assert index_owner(tmp_path) is None
    write(tmp_path / "file", b"one")


def test_an_index_behind_a_link_or_a_pipe_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text(json.dumps({"authority": "00ff", "files": []}))
    (tmp_path / "index.json").symlink_to("real.json")
    assert index_owner(tmp_path) is None
    (tmp_path / "index.json").unlink()
    os.mkfifo(tmp_path / "index.json")
    assert index_owner(tmp_path) is None


def test_links_in_a_circle_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    for path in (tmp_path / "a", tmp_path / "a" / "file"):
        with pytest.raises(OSError, match="symbolic link") as caught, output_file(path):
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

"""Writing that survives a crash, and what is said of a disk."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys

import pytest

from simulations.disk import disk_error, lock_file, replace_file, write_private


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_its_owners_only_whatever_was_there_before(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), mode_of(path)) == ("new", 0o600)
    write_private(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


def test_text_that_utf_8_cannot_hold_is_read_as_the_same_json_again(tmp_path):
    path = tmp_path / "said.json"
    said = {"of a model": "half of a pair: \ud83d, and a whole one: \U0001f600"}
    write_private(path, json.dumps(said, ensure_ascii=False))
    assert json.loads(path.read_text(encoding="utf-8")) == said


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_the_old_content_stays_and_no_part_is_left_if_it_cannot_be_written(tmp_path, error):
    path = tmp_path / "state.json"
    path.write_text("old")

    def parts():
        yield b"half"
        raise error

    with pytest.raises(type(error)):
        replace_file(path, parts(), tmp_path / ".state.partial")
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"state.json": "old"}


def test_a_folder_that_is_not_there_is_an_error_of_that_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        write_private(tmp_path / "nowhere" / "state.json", "new")


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (errno.ENOSPC, "DiskFull", "is full"),
        (errno.EDQUOT, "DiskFull", "quota"),
        (errno.EROFS, "DiskFailed", "read-only"),
    ],
)
def test_an_error_of_the_disk_says_which_file_and_how_much_is_free(tmp_path, number, kind, words):
    found = disk_error(OSError(number, os.strerror(number), str(tmp_path / "frames.dcd")), tmp_path)
    assert found is not None
    assert found.kind == kind
    assert words in str(found)
    assert str(tmp_path / "frames.dcd") in str(found)
    assert found.details["free_mb"] > 0
    assert not found.transient


def test_another_error_is_none_of_the_disks(tmp_path):
    assert disk_error(FileNotFoundError(errno.ENOENT, "No such file or directory"), tmp_path) is None


def test_a_lock_is_had_by_one_until_its_descriptor_is_closed(tmp_path):
    path = tmp_path / "lock"
    descriptor = lock_file(path)
    with pytest.raises(BlockingIOError):
        lock_file(path)
    asked = f"import simulations.disk, pathlib; simulations.disk.lock_file(pathlib.Path({str(path)!r}))"
    assert "BlockingIOError" in subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True).stderr
    os.close(descriptor)
    os.close(lock_file(path))
    assert subprocess.run([sys.executable, "-c", asked]).returncode == 0
    os.close(lock_file(path))

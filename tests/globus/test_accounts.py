"""Ordinary users see what they have to, wherever clone and environment lie, and nothing else of what is closed."""

import subprocess
from pathlib import Path

import pytest

from tests.globus.accounts import Account, Cover, covers, script, write_lists

OPEN, PASSABLE, CLOSED = 0o755, 0o711, 0o700


def laid(paths, closed, children=()):
    """Covers for paths in a machine where some folders have other permissions than usual."""
    modes = {Path(name): mode for name, mode in closed.items()}
    found = covers(
        map(Path, paths), lambda path: modes.get(path, OPEN), lambda path: [path / name for name in children]
    )
    return [(str(cover.folder), sorted(map(str, cover.shown))) for cover in found]


def test_nothing_lies_over_folders_that_are_open():
    assert laid(["/srv/clone", "/usr"], {"/root": CLOSED}) == []


def test_a_closed_folder_on_the_way_shows_nothing_but_the_path():
    assert laid(["/root/work/clone"], {"/root": CLOSED, "/root/work": CLOSED}) == [("/root", ["/root/work/clone"])]


def test_paths_below_the_same_closed_folder_share_a_cover():
    found = laid(["/root/clone", "/root/python", "/srv/env"], {"/root": CLOSED})
    assert found == [("/root", ["/root/clone", "/root/python"])]


def test_a_path_that_is_closed_itself_shows_what_is_in_it():
    assert laid(["/tmp/x"], {"/tmp/x": CLOSED}, ["a", "b"]) == [("/tmp/x", ["/tmp/x/a", "/tmp/x/b"])]


def test_a_closed_path_in_a_closed_folder_shows_what_is_in_it():
    assert laid(["/root/x"], {"/root": CLOSED, "/root/x": CLOSED}, ["a"]) == [("/root", ["/root/x/a"])]


def test_a_folder_that_may_be_passed_but_not_listed_is_enough_on_the_way_only():
    assert laid(["/srv/clone"], {"/srv": PASSABLE}) == []
    assert laid(["/srv"], {"/srv": PASSABLE}, ["a"]) == [("/srv", ["/srv/a"])]


def test_an_environment_in_a_closed_clone_is_seen_with_it():
    assert laid(["/root/clone", "/root/clone/.venv"], {"/root": CLOSED}) == [("/root", ["/root/clone"])]


def test_a_closed_folder_inside_of_a_path_is_covered_after_it():
    found = laid(["/root/clone", "/root/clone/.venv"], {"/root": CLOSED, "/root/clone/.venv": CLOSED}, ["bin"])
    assert found == [("/root", ["/root/clone"]), ("/root/clone/.venv", ["/root/clone/.venv/bin"])]


@pytest.fixture
def machine(tmp_path):
    """A folder that is closed, with a clone, a file and a link in it, and a secret."""
    closed = tmp_path / "closed"
    (closed / "clone" / "deep").mkdir(parents=True)
    (closed / "clone" / "deep" / "file").write_text("seen")
    (closed / "file").write_text("a file")
    (closed / "link").symlink_to("clone")
    (closed / "secret").write_text("not seen")
    closed.chmod(0o700)
    return closed


def as_user(tmp_path, covers_, command):
    """Runs a command as an account in a mount namespace with covers."""
    account = Account("somebody", 20_003, tmp_path)
    lists = tmp_path / "lists"
    lists.mkdir(exist_ok=True)
    write_lists([account], lists)
    lines = script(covers_, lists) + '"$@"\n'
    program = ["unshare", "--mount", "bash", "-euc", lines, "bash", *account.become(), *command]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=20)


def test_the_account_reads_what_is_shown_and_nothing_beside_it(tmp_path, machine):
    way = [Cover(parent, (tmp_path,)) for parent in reversed(tmp_path.parents) if parent.stat().st_mode & 1 == 0][:1]
    cover = [*way, Cover(machine, (machine / "clone", machine / "file", machine / "link"))]
    tmp_path.chmod(0o755)
    program = f"id -un; cat {machine}/clone/deep/file {machine}/file {machine}/link/deep/file; ls {machine}"
    done = as_user(tmp_path, cover, ["sh", "-c", program])
    assert (done.returncode, done.stdout) == (0, "somebody\nseena fileseenclone\nfile\nlink\n"), done.stderr
    refused = as_user(tmp_path, cover[:-1], ["cat", f"{machine}/clone/deep/file"])
    assert refused.returncode != 0
    assert "Permission denied" in refused.stderr
    assert (machine / "secret").read_text() == "not seen"

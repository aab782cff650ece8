import errno
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from simulations.errors import Cancelled, Superseded, ToolError
from simulations.records import Course
from simulations.workspace import Stop, read_course
from tests.helpers import NOON, workspace


def test_a_workspace_that_is_not_written_to_is_not_made(tmp_path):
    space = workspace(tmp_path)
    space.raise_if_cancelled()
    space.progress(lambda: {"step": 1})
    assert not space.folder.exists()


def test_artifacts_are_named_relative_to_the_run_folder(tmp_path):
    space = workspace(tmp_path)
    space.artifact("trajectory", "trajectory.dcd").write_bytes(b"x")
    assert space.artifacts == {"trajectory": "director-0/work/r1/trajectory.dcd"}
    assert (tmp_path / space.artifacts["trajectory"]).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x"])
def test_no_path_leads_out(tmp_path, name):
    with pytest.raises(ValueError, match="leads out"):
        workspace(tmp_path).path(name)


def test_a_link_that_leads_out_is_refused(tmp_path):
    space = workspace(tmp_path)
    space.path("here").write_text("")
    (space.folder / "out").symlink_to("/tmp")
    with pytest.raises(ValueError, match="leads out"):
        space.path("out/x")


def test_a_file_is_replaced_as_a_whole(tmp_path):
    space = workspace(tmp_path)
    space.write("state.chk", b"one")
    space.write("state.chk", b"two")
    assert space.path("state.chk").read_bytes() == b"two"
    assert sorted(path.name for path in space.folder.iterdir()) == ["state.chk"]


def test_progress_is_written_once_a_second_at_most(tmp_path):
    now = [0.0]
    space = replace(workspace(tmp_path), clock=lambda: now[0])
    asked = []

    def report(step):
        return lambda: asked.append(step) or {"step": step}

    for step in range(50):
        now[0] = step * 0.1
        space.progress(report(step))
    assert asked == [10, 20, 30, 40]
    assert json.loads((space.folder / "progress.json").read_text())["step"] == 40


@pytest.mark.parametrize(("asks", "timed_out"), [("cancel", False), ("timeout\n", True)])
def test_a_stop_flag_ends_the_simulation_and_says_why(tmp_path, asks, timed_out):
    space = workspace(tmp_path)
    space.path("stop.1").write_text(asks)
    with pytest.raises(Cancelled) as caught:
        space.raise_if_cancelled()
    assert caught.value.timed_out is timed_out


@pytest.mark.parametrize("content", ["", "pau", "nonsense", "x" * 100])
def test_a_stop_flag_that_is_just_being_written_is_none_yet(tmp_path, content):
    space = workspace(tmp_path)
    space.path("stop.1").write_text(content)
    assert space.asked() is None
    space.raise_if_cancelled()


def test_the_stop_flag_of_another_attempt_is_not_meant(tmp_path):
    space = replace(workspace(tmp_path), epoch=2)
    space.path("stop.1").write_text("cancel")
    space.raise_if_cancelled()
    space.path("stop.2").write_text("pause")
    assert space.asked() is Stop.PAUSE


def test_being_asked_to_pause_does_not_end_a_tool_that_only_looks_whether_it_is_cancelled(tmp_path):
    space = workspace(tmp_path)
    space.path("stop.1").write_text("pause")
    space.raise_if_cancelled()
    assert space.pause_asked()


def test_past_its_time_it_is_to_pause_whoever_is_there_to_say_so(tmp_path):
    now = [NOON]
    space = replace(workspace(tmp_path), pause_at=NOON + timedelta(seconds=1), utc=lambda: now[0])
    assert space.asked() is None
    now[0] += timedelta(seconds=1)
    assert space.asked() is Stop.PAUSE
    space.path("stop.1").write_text("cancel")
    assert space.asked() is Stop.CANCEL


def later(space, epoch=2):
    """The workspace of a later attempt, which is at its first look."""
    return replace(space, epoch=epoch, artifacts={}, notes=[])


def test_an_attempt_whose_folder_a_later_one_took_ends_and_writes_no_more(tmp_path):
    now = [0.0]
    space = replace(workspace(tmp_path), clock=lambda: now[0])
    space.write("a", b"one")
    later(space).write("a", b"two")
    now[0] += 1.0
    with pytest.raises(Superseded, match="attempt 2"):
        space.raise_if_cancelled()
    with pytest.raises(Superseded):
        space.save(1.0, b"state")
    for step in (lambda: later(space, 1).path("b"), lambda: later(space, 1).write("a", b"x")):
        with pytest.raises(Superseded):
            step()
    assert (space.folder / "a").read_bytes() == b"two"
    assert (space.folder / "owner").read_text() == "2"


def test_an_attempt_that_was_frozen_and_wakes_up_overwrites_no_file_of_a_later_one(tmp_path):
    space = workspace(tmp_path)
    space.write("final.pdb", b"one")
    later(space).write("final.pdb", b"two")
    for late in (
        lambda: space.write("final.pdb", b"one"),
        lambda: space.artifact("trajectory", "trajectory.dcd"),
    ):
        with pytest.raises(Superseded):
            late()
    assert (space.folder / "final.pdb").read_bytes() == b"two"


@pytest.mark.parametrize("said", [b"", b"\0\0", b"\xff", b"2 or so"])
def test_what_a_power_cut_left_of_the_owner_keeps_nobody_from_going_on(tmp_path, said):
    space = replace(workspace(tmp_path), epoch=2)
    space.folder.mkdir(parents=True)
    (space.folder / "owner").write_bytes(said)
    space.write("a", b"x")
    assert (space.folder / "owner").read_text() == "2"


def test_a_later_attempt_takes_its_folder_back_from_one_that_just_began(tmp_path):
    now = [0.0]
    space = replace(workspace(tmp_path), epoch=2, clock=lambda: now[0])
    space.write("a", b"")
    (space.folder / "owner").write_text("1")
    now[0] += 1.0
    space.raise_if_cancelled()
    assert (space.folder / "owner").read_text() == "2"


def test_a_first_attempt_that_is_done_at_once_looks_for_its_flag_alone(tmp_path, monkeypatch):
    space = workspace(tmp_path)
    opened = []
    opener = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *rest, **more: opened.append(path.name) or opener(path, *rest, **more)
    )
    space.raise_if_cancelled()
    assert list(space.load()) == []
    assert opened == ["stop.1"]


def test_what_was_saved_is_found_by_the_next_attempt_and_is_then_its_own(tmp_path):
    space = workspace(tmp_path)
    space.save(1.0, b"one")
    space.save(2.0, b"two")
    second = later(space)
    found = next(second.load())
    assert (found.amount, found.content) == (2.0, b"two")
    second.adopt(found)
    space.folder.joinpath("saved.1.9").write_bytes(space.folder.joinpath("saved.2.1").read_bytes())
    third = later(space, 3)
    again = next(third.load())
    assert (again.epoch, again.amount, again.saved_at) == (2, 2.0, found.saved_at)


def test_the_course_follows_and_can_be_read_while_it_runs_and_after_a_kill(tmp_path):
    now = [0.0]
    space = replace(workspace(tmp_path), clock=lambda: now[0], utc=lambda: NOON)
    space.begin()
    assert space.course == Course(began_at=NOON, amount=0.0)
    now[0] = 1.0
    space.progress(lambda: {"step": 5}, amount=0.5)
    assert read_course(space.folder, 1) == space.course == Course(began_at=NOON, amount=0.5)
    space.save(0.7, b"x")
    expected = Course(began_at=NOON, amount=0.7, saved_amount=0.7, saved_at=NOON)
    assert read_course(space.folder, 1) == space.course == expected
    assert json.loads((space.folder / "progress.json").read_text())["step"] == 5
    assert read_course(space.folder, 2) is None
    second = replace(later(space), course=Course())
    second.begin(next(second.load()), exact=False)
    assert second.course == Course(
        began_at=NOON, from_amount=0.7, from_saved_at=NOON, exact=False, amount=0.7, saved_amount=0.7, saved_at=NOON
    )


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", "\0\0\0", '{"epoch": 1, "amount": "a lot"}', '{"epoch": 1, "began_at": 7e99}', '{"epoch": 2}'],
)
def test_a_progress_file_that_is_torn_or_foreign_tells_nothing(tmp_path, said):
    space = workspace(tmp_path)
    space.path("progress.json").write_text(said)
    assert read_course(space.folder, 1) is None


def test_what_a_killed_attempt_was_writing_is_removed_by_the_next(tmp_path):
    space = workspace(tmp_path)
    for name in ("trajectory.dcd", "saved.1.1"):
        space.beside(space.path(name)).write_bytes(b"half")
    second = later(space)
    second.path("x")
    assert [path.name for path in second.folder.iterdir()] == ["owner"]


def test_an_attempt_that_begins_anew_writes_to_files_of_its_own(tmp_path):
    space = workspace(tmp_path)
    stale = space.artifact("table", "table.csv").open("w")
    space.path("sub/more").write_text("")
    space.path("stop.1").write_text("pause")
    second = later(space)
    second.clear()
    assert sorted(path.name for path in space.folder.iterdir()) == ["owner", "stop.1"]
    second.artifact("table", "table.csv").write_text("new")
    with stale:
        stale.write("old")
    assert (space.folder / "table.csv").read_text() == "new"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, "DiskFull"), (errno.EDQUOT, "DiskFull"), (errno.EROFS, "DiskFailed")]
)
@pytest.mark.parametrize("write", [lambda space: space.write("a", b"x"), lambda space: space.save(1.0, b"x")])
def test_a_disk_that_takes_no_more_is_an_error_that_says_so_and_leaves_what_was_there(
    tmp_path, monkeypatch, number, kind, write
):
    space = workspace(tmp_path)
    space.write("a", b"old")
    space.save(0.5, b"old")

    def fail(handle):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("simulations.disk.os.fsync", fail)
    with pytest.raises(ToolError) as caught:
        write(space)
    error = caught.value
    assert (error.kind, error.transient) == (kind, False)
    assert str(space.folder) in error.message
    assert "MB are free" in error.message
    assert "submit it again" in error.hint
    assert error.details["free_mb"] > 0
    assert (space.folder / "a").read_bytes() == b"old"
    assert next(later(space).load()).content == b"old"
    assert not list(space.folder.glob("*.partial"))

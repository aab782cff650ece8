"""The Tool that sleeps: however it is interrupted, it sleeps as long as it should, and loses little."""

import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations import mock_md
from simulations.checkpoints import CheckpointStore
from simulations.errors import Cancelled, Paused, ToolError
from simulations.mock_md import SLICE_S, TOOL, MockRequest
from simulations.workspace import Resources, Workspace


class Killed(BaseException):
    """Ends an attempt as a kill does: nothing that comes after is done."""


class Time:
    """A clock that goes on while the Tool sleeps, and a killer that strikes at the n-th step of its life."""

    def __init__(self):
        self.now = 0.0
        self.left = 10**9

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += max(seconds, 1e-6)  # a sleep always takes some time
        self.tick()

    def tick(self):
        self.left -= 1
        if self.left == 0:
            raise Killed


def passing_time(monkeypatch):
    """Time that passes only while the Tool sleeps; kills also strike between the writes of a checkpoint."""
    passing = Time()
    monkeypatch.setattr(mock_md.time, "sleep", passing.sleep)
    fsync, replace = os.fsync, Path.replace

    def sync(handle):
        passing.tick()
        fsync(handle)
        passing.tick()

    def rename(path, target):
        passing.tick()
        replace(path, target)
        passing.tick()

    monkeypatch.setattr("simulations.disk.os.fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    return passing


def attempt(folder, epoch=1, **more):
    return Workspace(folder / "work", folder, Resources("host", "host/0"), epoch=epoch, **more)


def stored(workspace):
    found = next(CheckpointStore(workspace.folder, workspace.epoch).load(pytest.fail), None)
    return found.amount if found else 0.0


@settings(max_examples=40)
@given(ends=st.lists(st.tuples(st.sampled_from(["kill", "pause"]), st.integers(1, 60)), max_size=8))
def test_however_it_ends_it_goes_on_and_loses_at_most_an_interval(ends):
    request = MockRequest(duration_s=4.0, checkpoint_interval_s=0.5)
    done = 0.0
    with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as name:
        passing = passing_time(monkeypatch)
        for epoch, (how, after) in enumerate([*ends, ("end", 0)], 1):
            workspace = attempt(Path(name), epoch, clock=passing)
            begin = passing.now
            passing.left = after if how == "kill" else 10**9
            if how == "pause":
                workspace.pause_asked = lambda begin=begin, after=after: passing.now - begin >= after * SLICE_S
            try:
                result = TOOL.run(request, workspace)
            except Killed:
                bound = 0.5 + SLICE_S
            except Paused:
                bound = 0.0
            else:
                assert result.slept_s == pytest.approx(4.0, abs=1e-5)
                assert passing.now - begin == pytest.approx(4.0 - done, abs=1e-5)
                break
            worked = done + passing.now - begin
            done = stored(workspace)
            assert worked - done <= bound + 1e-5


def test_a_request_that_ends_at_once_leaves_no_folder(tmp_path):
    for epoch in (1, 2):
        TOOL.run(MockRequest(duration_s=0.0), attempt(tmp_path, epoch))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("stop", ["cancel", "timeout"])
def test_it_stops_when_asked_and_knows_why(tmp_path, stop):
    workspace = attempt(tmp_path)
    workspace.path("stop.1").write_text(stop)
    with pytest.raises(Cancelled) as caught:
        TOOL.run(MockRequest(duration_s=60.0), workspace)
    assert caught.value.timed_out is (stop == "timeout")


def test_another_requests_checkpoint_is_not_its_own(tmp_path):
    workspace = attempt(tmp_path)
    workspace.path("stop.1").write_text("pause")
    with pytest.raises(Paused):
        TOOL.run(MockRequest(duration_s=60.0), workspace)
    later = attempt(tmp_path, 2)
    TOOL.run(MockRequest(duration_s=0.0), later)
    assert later.course.from_saved_at is None


def test_it_fails_when_told_to_and_only_so_often(tmp_path):
    for crash, transient in (("error", False), ("transient", True)):
        request = MockRequest(duration_s=0.0, crash=crash, crash_attempts=2)
        for epoch in (1, 2):
            with pytest.raises(ToolError) as caught:
                TOOL.run(request, attempt(tmp_path, epoch))
            assert caught.value.transient is transient
        TOOL.run(request, attempt(tmp_path, 3))


def test_it_kills_its_own_process_when_told_to(tmp_path):
    request = MockRequest(duration_s=5.0, crash="worker", crash_after_s=0.2)
    child = multiprocessing.get_context("fork").Process(target=TOOL.run, args=(request, attempt(tmp_path)))
    begin = time.monotonic()
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert time.monotonic() - begin >= 0.2

"""What a Request kept to go on from is taken away once it has ended well, and not before."""

import logging
from datetime import timedelta

import pytest

from director import Fleet, Request
from director.tidying import tidy
from simulations.records import AttemptRecord, Course, Ending, Outcome, Status
from tests.helpers import NOON


def outcome(status: Status = Status.OK, saved: bool = True) -> Outcome:
    course = Course(saved_amount=1.0, saved_at=NOON) if saved else Course()
    attempt = AttemptRecord(
        epoch=1, started_at=NOON, ended_at=NOON + timedelta(seconds=9), ended=Ending(status), course=course
    )
    return Outcome(
        id="r1", key="k", tool="md", tool_version="3", status=status, inputs={}, director=0, partition=["local-0"],
        submitted_at=NOON, finished_at=NOON, history=[attempt],
    )  # fmt: skip


@pytest.fixture
def left(tmp_path):
    folder = tmp_path / "r1"
    folder.mkdir()
    for name in ("saved.1.7", "saved.start.abc", "trajectory.dcd.1.partial", "trajectory.dcd"):
        (folder / name).touch()
    return lambda: sorted(path.name for path in folder.iterdir())


def test_artifacts_stay_and_checkpoints_go(tmp_path, left):
    tidy(tmp_path, [outcome()])
    assert left() == ["trajectory.dcd"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMEOUT, Status.CANCELLED])
def test_what_did_not_end_well_keeps_its_checkpoints(tmp_path, left, status):
    tidy(tmp_path, [outcome(status)])
    assert "saved.1.7" in left()


def test_nothing_is_looked_for_where_nothing_was_saved(tmp_path, left):
    tidy(tmp_path, [outcome(saved=False)])
    assert len(left()) == 4


def test_what_cannot_be_removed_is_said_and_stops_nothing(tmp_path, left, caplog):
    (tmp_path / "r1" / "saved.2.1").mkdir()
    with caplog.at_level(logging.WARNING):
        tidy(tmp_path, [outcome(), outcome()])
    assert len(caplog.records) == 2
    assert "checkpoints of r1 stay" in caplog.text


async def test_a_run_leaves_no_checkpoint_of_what_is_done(tmp_path):
    inputs = {"duration_s": 1.0, "checkpoint_interval_s": 0.1}
    async with Fleet.launch(nodes=1, run_dir=tmp_path / "run") as fleet:
        done = [outcome async for outcome in fleet.map([Request(tool="mock_md", inputs=inputs)])]
    assert [one.status for one in done] == [Status.OK]
    assert any(attempt.course.saved_at for one in done for attempt in one.history)
    assert not list((tmp_path / "run").rglob("saved.*"))

"""What a soak looks for is found: each of its checks sees what it is there for, in records made wrong on purpose."""

import dataclasses
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from director.ledger import Event
from simulations.cache import BuildCache
from simulations.md import TOOL as MD
from simulations.records import AttemptRecord, Course, Ending, Outcome
from simulations.workspace import Resources, Workspace
from tests.faults import soak_bars
from tests.faults.soak import Glimpse, Injected, Loss, Tally
from tests.faults.soak_audit import Book, answered, fenced, placed
from tests.faults.soak_frames import BrokenError, check
from tests.faults.soak_losses import at_work, cause, losses
from tests.faults.soak_processes import Processes
from tests.helpers import wait_until

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def outcome(*history, **other):
    known = {"id": "a", "key": "k", "tool": "md", "tool_version": "1", "status": "ok", "inputs": {}, "director": 0,
             "partition": ["n1", "n2"], "host": "n1", "submitted_at": NOON, "finished_at": at(100),
             "result": {"ns_per_day": 86.4}, "attempts": len(history), "history": list(history)}  # fmt: skip
    return Outcome.model_validate(known | other)


def attempt(epoch, began, ended, how, *, host="n1", **course):
    said = Course(began_at=at(began), **course)
    return AttemptRecord(epoch=epoch, started_at=at(began), ended_at=at(ended), ended=how, host=host, course=said)


def book(*events, outcomes=()):
    made = [
        Event(seq=seq, at=at(seq), life=1, kind=kind, id="a", epoch=epoch, data={})
        for seq, (kind, epoch) in enumerate(events, 1)
    ]
    return Book(0, made, [item.model_dump_json() for item in outcomes])


class TestOfALedger:
    def test_what_is_as_it_should_be_is_not_complained_of(self):
        whole = book(("accepted", None), ("started", 1), ("interrupted", 1), ("started", 2), ("finished", 2))
        assert fenced(whole) == []

    @pytest.mark.parametrize(
        "events",
        [
            [("accepted", None), ("started", 1), ("started", 1), ("finished", 1)],
            [("accepted", None), ("accepted", None), ("started", 1), ("finished", 1)],
            [("accepted", None), ("started", 1), ("started", 2), ("finished", 1)],
            [("accepted", None), ("started", 2), ("interrupted", 1), ("finished", 2)],
            [("accepted", None), ("started", 1), ("finished", 1), ("finished", 1)],
            [("accepted", None), ("started", 1), ("finished", 1), ("started", 2)],
        ],
        ids=["same epoch", "accepted twice", "stale end", "stale interruption", "two ends", "start after the end"],
    )
    def test_whatever_breaks_the_order_of_attempts_is_seen(self, events):
        assert fenced(book(*events))

    def test_a_node_of_another_director_is_seen(self):
        fine, stranger = outcome(), outcome(attempt(1, 0, 5, Ending.OK, host="n3"))
        partitions = [["n1", "n2"], ["n3"]]
        assert placed(book(outcomes=[fine]), partitions) == []
        assert placed(book(outcomes=[stranger]), partitions)
        assert placed(book(outcomes=[fine]), [["n1", "n2"], ["n2"]])

    def test_a_history_that_does_not_add_up_is_seen(self):
        one, other = attempt(1, 0, 5, Ending.WORKER_LOST), attempt(2, 6, 9, Ending.OK)
        assert answered(outcome(one, other)) == []
        assert answered(outcome(other, one))
        assert answered(outcome(one, other, attempts=3))
        assert answered(outcome(one))
        short = {"tool": "mock_md", "inputs": {"duration_s": 2.0}, "result": {"slept_s": 1.0}}
        assert answered(outcome(other, **short))


class TestOfWhatWasLost:
    FAULT = Injected("worker", at(10).timestamp(), director=0, host="n1")

    def lost(self, course, went_on, fault=FAULT):
        first = AttemptRecord(epoch=1, started_at=at(0), ended_at=at(11), ended=Ending.WORKER_LOST, host="n1")
        glimpses = {fault: {"a": Glimpse(1, course)}}
        return losses(outcome(first, went_on), [fault], glimpses)

    def test_it_is_what_was_done_after_the_checkpoint_that_was_gone_on_from(self):
        course = Course(began_at=at(0), amount=0.010, saved_amount=0.007, saved_at=at(7))
        went_on = attempt(2, 12, 30, Ending.OK, from_amount=0.007, from_saved_at=at(7))
        ((loss,), wrong) = self.lost(course, went_on)
        assert wrong == []
        assert loss.lost_s == pytest.approx(3.0)
        assert loss.lost_ps == pytest.approx(3.0)
        assert loss.back_s == pytest.approx(2.0)

    def test_a_checkpoint_that_was_not_used_is_seen(self):
        course = Course(began_at=at(0), amount=0.010, saved_amount=0.007, saved_at=at(7))
        ((loss,), wrong) = self.lost(course, attempt(2, 12, 30, Ending.OK))
        assert wrong
        assert loss.lost_s == pytest.approx(10.0)

    def test_work_without_a_checkpoint_is_seen(self):
        ((loss,), _) = self.lost(Course(began_at=at(0), amount=0.010), attempt(2, 12, 30, Ending.OK))
        assert loss.lost_s == pytest.approx(10.0)

    def test_a_process_that_stood_still_has_lost_no_more_than_what_it_had_done(self):
        ((loss,), _) = self.lost(Course(began_at=at(0), amount=0.001), attempt(2, 12, 30, Ending.OK))
        assert loss.lost_s == pytest.approx(1.0)

    def test_a_fault_is_the_cause_only_of_what_ran_where_and_when_it_struck(self):
        lost = attempt(1, 0, 11, Ending.WORKER_LOST)
        assert cause(lost, 0, [self.FAULT]) == self.FAULT
        for other in ({"director": 1}, {"host": "n2"}, {"at": at(20).timestamp()}, {"at": at(-1).timestamp()}):
            assert cause(lost, 0, [dataclasses.replace(self.FAULT, **other)]) is None

    def test_a_fault_that_struck_where_nothing_ran_is_told_from_one_that_struck_at_work(self):
        ran = outcome(attempt(1, 0, 20, Ending.OK))
        assert at_work(ran, self.FAULT, [])
        assert not at_work(ran, dataclasses.replace(self.FAULT, host="n2"), [])
        assert not at_work(ran, dataclasses.replace(self.FAULT, at=at(21).timestamp()), [])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    inputs = {"structure": "alanine-dipeptide", "solvent": "implicit", "platform": "Reference", "steps": 50,
              "report_interval_steps": 10, "minimize": False}  # fmt: skip
    run_folder = tmp_path_factory.mktemp("run")
    space = Workspace(run_folder / "a", run_folder, Resources("here", "here/0"), cache=BuildCache())
    request = MD.request.model_validate(inputs)
    result = MD.run(request, space).model_dump(mode="json")
    return run_folder, {
        "id": "a", "inputs": request.model_dump(mode="json"), "result": result, "artifacts": space.artifacts,
    }  # fmt: skip


class TestOfATrajectory:
    @pytest.fixture
    def files(self, made):
        run_folder, said = made
        paths = [run_folder / said["artifacts"][name] for name in ("trajectory", "state_table")]
        before = [path.read_bytes() for path in paths]
        yield *paths, lambda: check(said, run_folder)
        for path, content in zip(paths, before, strict=True):
            path.write_bytes(content)

    def test_one_that_is_whole_passes(self, files):
        assert files[2]() == 5

    def test_a_missing_frame_a_torn_one_and_a_repeated_one_are_seen(self, files):
        trajectory, _, look = files
        data = trajectory.read_bytes()
        frame = 3 * (8 + 4 * 22)
        for wrong in (data[:-frame], data[:-5], data + data[-frame:], data[: -2 * frame] + 2 * data[-frame:]):
            trajectory.write_bytes(wrong)
            with pytest.raises(BrokenError):
                look()

    def test_frames_that_have_changed_places_are_seen(self, files):
        trajectory, _, look = files
        data = trajectory.read_bytes()
        frame = 3 * (8 + 4 * 22)
        trajectory.write_bytes(data[: -2 * frame] + data[-frame:] + data[-2 * frame : -frame])
        with pytest.raises(BrokenError, match="rows in the table"):
            look()

    def test_a_row_too_few_or_too_many_is_seen(self, files):
        _, table, look = files
        rows = table.read_text().splitlines(keepends=True)
        for wrong in (rows[:-1], [*rows, rows[-1]], [*rows[:2], rows[1], *rows[3:]]):
            table.write_text("".join(wrong))
            with pytest.raises(BrokenError):
                look()


class TestOfTheBars:
    FAULT = Injected("worker", 100.0, director=0, host="n1")

    @pytest.fixture(autouse=True)
    def of_full_length(self, monkeypatch):
        monkeypatch.setattr(soak_bars, "DURATION_S", soak_bars.WHOLE_S)

    def judge(self, folder, **wrong):
        fine = {"resumed": 1, "equal": 1, "faults": [self.FAULT], "at_work": {self.FAULT}}
        tally = Tally(**fine | wrong)
        soak_bars.assert_nothing_lost("x", tally, soak_bars.WHOLE_S, folder, lambda *_: None, kinds=["worker"])

    def test_a_soak_in_which_all_is_well_passes(self, tmp_path):
        self.judge(tmp_path, losses=[Loss("a", self.FAULT, 3.5, 10.0, 2.0), Loss("b", None, None, None, None)])

    @pytest.mark.parametrize(
        "wrong",
        [
            {"lost": ["a"]},
            {"doubled": ["a"]},
            {"violations": ["an Outcome has changed"]},
            {"resumed": 0},
            {"equal": 0},
            {"losses": [Loss("a", FAULT, 8.0, 10.0, 2.0)]},
            {"missed": Counter(launcher=1)},
            {"at_work": set()},
        ],
        ids=lambda wrong: next(iter(wrong)),
    )
    def test_one_in_which_anything_is_not_fails(self, tmp_path, wrong):
        with pytest.raises(AssertionError):
            self.judge(tmp_path, **wrong)


def test_a_process_that_is_left_of_a_run_is_found(tmp_path):
    run_folder = tmp_path / "run"
    (run_folder / "director-1").mkdir(parents=True)
    assert Processes(run_folder).find() == []
    mark = {**os.environ, "DIRECTOR_MARK": "0123456789abcdef"}
    names_it = subprocess.Popen([sys.executable, "-c", "input()", f"{run_folder}/director-1/x"],
                                stdin=subprocess.PIPE, env=mark)  # fmt: skip
    marked = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=mark)
    processes = Processes(run_folder)
    try:
        wait_until(lambda: len(processes.find()) == 2, 20, "both processes")
        assert {(one.pid, one.director) for one in processes.find()} == {(names_it.pid, 1), (marked.pid, 1)}
    finally:
        for process in (names_it, marked):
            process.communicate()
    assert processes.find() == []

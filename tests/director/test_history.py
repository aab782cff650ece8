from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from director.history import read_history, read_passages
from director.ledger import Accepted, Finished, Interrupted, Noted, SqliteLedger, Started
from director.report import report_run
from director.runfolder import RunFolder, RunRecord
from director.spec import AllocationSpec, PoolSpec, SharesSpec
from director.status_view import status_view
from director.totals import add_up
from director.usage import usage_of
from simulations.records import AttemptRecord, Ending, Outcome, Request, Status
from tests.director.test_accounting import check_sums
from tests.director.test_timing import SIZED
from tests.director.test_usage import attempt
from tests.helpers import NOON
from tests.helpers import tools_of as tools_by_name


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def numbered(record: AttemptRecord, epoch: int) -> AttemptRecord:
    return record.model_copy(update={"epoch": epoch, "worker": "local-0/0"})


class Director:
    """Writes what a Director would."""

    def __init__(self, folder: RunFolder, index: int) -> None:
        self.index = index
        self.ledger = SqliteLedger(folder.ledger(index))
        self.accepted: dict[str, Accepted] = {}

    def begin(self, seconds: float, life: int) -> None:
        self.ledger.claim(life, at(seconds))
        for item in self.ledger.take_up(at(seconds)):
            self.accepted[item.request.id] = item
        self.ledger.turn(noted=[Noted("began", at(seconds), {"nodes": 1, "workers": 2})])

    def note(self, seconds: float, kind: str, **data: Any) -> None:
        self.ledger.turn(noted=[Noted(kind, at(seconds), data)])

    def accept(self, *names: str) -> None:
        for name in names:
            request = Request(id=name, tool="sized", inputs={"structure": "small", "steps": 9})
            self.accepted[name] = Accepted(request, f"key of {name}", "1", NOON)
        self.ledger.turn(accepted=[self.accepted[name] for name in names])

    def start(self, name: str, seconds: float, epoch: int) -> None:
        self.ledger.turn(started=[Started(name, epoch, at(seconds))])

    def interrupt(self, name: str, record: AttemptRecord) -> None:
        self.ledger.turn(interrupted=[Interrupted(name, record)])

    def finish(self, name: str, *history: AttemptRecord) -> None:
        item, last = self.accepted[name], history[-1]
        outcome = Outcome(
            id=name,
            key=item.key,
            tool="sized",
            tool_version="1",
            status=Status.OK,
            inputs=item.request.inputs,
            result={"simulated_ns": 5.0},
            director=self.index,
            partition=[f"local-{self.index}"],
            host=last.host,
            worker=last.worker,
            attempts=len(history),
            history=list(history),
            usage=usage_of(history, item.submitted_at, last.ended_at, 2, "ns"),
            submitted_at=item.submitted_at,
            started_at=history[0].started_at,
            finished_at=last.ended_at,
        )
        self.ledger.turn(finished=[Finished(outcome, last.epoch)])


@pytest.fixture
def two_jobs(tmp_path: Path) -> RunFolder:
    """A run of two jobs, an hour apart: the first Director was killed, then paused for a while; the second idled."""
    folder = RunFolder(tmp_path / "run")
    folder.create(
        RunRecord(
            run_id="example1",
            created_at=NOON,
            allocation=AllocationSpec(kind="local", nodes=2),
            shares=SharesSpec(values=(1, 1)),
            pool=PoolSpec(),
            partitions=[["local-0"], ["local-1"]],
            workers=[2, 2],
            agent_ids=["5d4ff3b8-4e0c-5d2e-9d3c-8f1f0f6f3f51"] * 2,
            versions={},
        )
    )
    first = Director(folder, 0)
    first.begin(0, life=1)
    first.accept("a", "b", "c")
    first.start("a", 10, 1)
    first.start("b", 10, 1)
    paused = numbered(attempt(10, 110, Ending.PAUSED, began=20, saved=110, amount=3.0, saved_amount=3.0), 1)
    first.interrupt("b", paused)
    first.ledger.close()
    first = Director(folder, 0)
    first.begin(3700, life=2)
    first.note(3710, "paused")
    first.note(3750, "unpaused")
    first.start("a", 3750, 3)
    again = numbered(attempt(3750, 3850, began=3755, on_from=60, begin=1.0, amount=5.0), 3)
    lost = AttemptRecord(epoch=1, started_at=at(10), ended_at=at(110), ended=Ending.DIRECTOR_LOST)
    first.finish("a", lost, again)
    first.note(3900, "ended", reason="walltime", done=1, paused=1, queued=1)
    first.ledger.close()
    second = Director(folder, 1)
    second.begin(0, life=1)
    second.note(100, "ended", reason="nothing to do", done=0, paused=0, queued=0)
    second.ledger.close()
    return folder


class TestPassages:
    def test_tell_where_the_time_of_all_lives_went(self, two_jobs: RunFolder) -> None:
        first, second = read_passages(read_history(two_jobs), tools_by_name(SIZED))
        for passage in (first, second):
            check_sums(passage.totals)
        assert first.held == ((at(0), at(110)), (at(3700), at(3900)))
        assert first.totals.worker_s == 2 * (110 + 200)
        # Of "a" the first attempt is known to have run, since the second went on from its checkpoint.
        assert (first.totals.startup_s, first.totals.run_s, first.totals.lost_s) == (10 + 5, 100 + 90 + 95, 50)
        assert first.totals.simulated_ns == 5.0 + 3.0
        assert first.totals.endings == {"director_lost": 1, "ok": 1, "paused": 1}
        assert second.totals.idle_node_hours == second.totals.node_hours == pytest.approx(100 / 3600)

    def test_tell_pauses_ends_and_what_is_still_open(self, two_jobs: RunFolder) -> None:
        first, second = read_passages(read_history(two_jobs), tools_by_name(SIZED))
        assert first.paused == ((at(3710), at(3750)),)
        assert first.ended is not None
        assert (first.ended["reason"], first.ended["at"]) == ("walltime", at(3900).isoformat())
        assert [[record.ended for record in history] for history in first.still_open] == [[Ending.PAUSED]]
        assert second.still_open == second.paused == ()

    def test_a_unit_that_is_not_known_here_leaves_open_requests_uncounted(self, two_jobs: RunFolder) -> None:
        assert read_passages(read_history(two_jobs), {})[0].totals.simulated_ns == 5.0

    def test_a_run_whose_directors_never_began_has_held_nothing(self, two_jobs: RunFolder) -> None:
        two_jobs.ledger(0).unlink()
        first, _ = read_passages(read_history(two_jobs), {})
        assert (first.totals.node_hours, first.held, first.ended) == (0, (), None)


class TestWhatPeopleSee:
    def test_status_of_a_lost_run_says_where_the_time_went(self, two_jobs: RunFolder) -> None:
        history = read_history(two_jobs)
        directors = history.states(read_passages(history, tools_by_name(SIZED)))
        document = {"run_id": "example1", "open": False, "closed_at": None, "directors": directors}
        json.dumps(document, allow_nan=False)
        totals = add_up(director["accounting"] for director in directors)
        assert totals is not None
        console = Console(width=80, record=True, file=io.StringIO())
        console.print(status_view(document, elapsed_s=3900))
        text = console.export_text()
        assert "…" not in text
        assert "Director 0 ended at 2026-01-01 13:05:00 UTC (walltime): 1 done, 1 paused, 1 queued" in " ".join(
            text.split()
        )
        assert "1 attempts director lost; 1 attempts paused" in text
        (whole,) = [line.split() for line in text.splitlines() if line.startswith("all ")]
        assert whole[1] == f"{totals.node_hours:.3f}"
        assert whole[-1] == f"{100 * totals.run_s / totals.worker_s:.0f}%"

    def test_the_report_shows_attempts_losses_pauses_and_cuts_the_gap(self, two_jobs: RunFolder) -> None:
        html = report_run(two_jobs.path).read_text()
        assert "Where the time went" in html
        assert "A gap in which no Director was there is cut out" in html
        assert "4 bars on 2 workers" in html
        assert "1 ok, 2 interrupted, 1 lost" in html
        assert "Directors were paused 1 times" in html
        assert "2 attempts, 50.0 s lost" in html
        assert "over the 5 min 10 s that nodes were held" in html

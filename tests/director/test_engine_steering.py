"""What an Engine does by the clock, and what it is asked for."""

import asyncio
import contextlib
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from director.engine import Engine
from director.failures import Bounds
from director.ledger import MemoryLedger
from director.news import Policy
from director.pool import How
from director.reuse import OwnOutcomes, Reuse
from director.stopping import Patience
from director.walltime import Walltime
from simulations.mock_md import TOOL
from simulations.records import Course, Ending, ErrorInfo, Outcome, Request
from simulations.tool import Tool
from simulations.workspace import Stop
from tests.helpers import NOON, HandPool, attempt_result, partition, tools_of

PATIENCE = Patience(ask_s=10, interrupt_s=5, kill_s=10)
UNSAVING = Tool(
    name="unsaving", version="1", summary="Saves nothing.", request=TOOL.request, result=TOOL.result, run=TOOL.run
)


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += timedelta(seconds=seconds)


def request(name, tool="mock_md", seed=None, **more):
    return Request(id=name, tool=tool, inputs={"duration_s": 60, "seed": seed or abs(hash(name)) % 10_000}, **more)


@contextlib.asynccontextmanager
async def running(ledger=None, workers=1, **more):
    pool = HandPool(workers=workers)
    clock = Clock()
    engine = Engine(
        index=0,
        partition=partition(),
        tools=tools_of(TOOL, UNSAVING),
        ledger=ledger or MemoryLedger(),
        pool=pool,
        policy=more.pop("policy", Policy(Bounds(), PATIENCE)),
        clock=clock,
        ticking=False,
        **more,
    )
    await engine.start()
    try:
        yield engine, pool, clock
    finally:
        await engine.close()


async def come_true(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def rest(engine):
    """Lets all that is under way be journaled."""
    await come_true(lambda: not engine._docket.news and not engine._journal.in_turn)
    await asyncio.sleep(0.005)
    await come_true(lambda: not engine._docket.news and not engine._journal.in_turn)


async def outcomes(engine, count=1):
    await come_true(lambda: engine.last_seq >= count)
    return {entry.id: Outcome.model_validate_json(entry.body) for entry in await engine.outcomes(0, 100, 0)}


def handed(pool):
    return [f"{attempt.id}.{attempt.epoch}" for attempts, _ in pool.submitted for attempt in attempts]


def come_back(pool, index, ending, **more):
    """Ends a task in some way."""
    attempts, future = pool.submitted[index]
    took = {"started_at": NOON - timedelta(seconds=60), "finished_at": NOON} | more
    future.set_result([dataclasses.replace(attempt_result(attempt, ending), **took) for attempt in attempts])


async def test_the_higher_priority_starts_first_also_when_it_is_given_later():
    async with running() as (engine, pool, _):
        await engine.submit([request("a"), request("b"), request("c"), request("d"), request("e", priority=5)])
        await rest(engine)
        assert handed(pool) == ["e.1", "a.1"]
        assert await engine.prioritize(["d", "ghost"], 7) == {"d": "changed", "ghost": "unknown"}
        come_back(pool, 0, Ending.OK)
        await come_true(lambda: len(pool.submitted) == 3)
        assert handed(pool)[-1] == "d.1"
        await outcomes(engine)
        assert await engine.prioritize(["e"], 1) == {"e": "finished"}


async def test_a_running_request_that_does_not_stop_is_asked_interrupted_killed_and_given_up():
    async with running() as (engine, pool, clock):
        await engine.submit([request("a")])
        await rest(engine)
        await engine.tick()
        assert await engine.cancel(["a"]) == {"a": "stopping"}
        for seconds, how in ((9.9, None), (0.2, How.INTERRUPT), (4.9, None), (0.2, How.KILL)):
            count = len(pool.stopped)
            clock.forward(seconds)
            await engine.tick()
            assert [item[3] for item in pool.stopped[count:]] == ([how] if how else [])
        clock.forward(10)
        await engine.tick()
        outcome = (await outcomes(engine))["a"]
        assert (outcome.status, outcome.attempts) == ("cancelled", 1)
        pool.finish(0)  # much too late
        await rest(engine)
        assert len(await engine.outcomes(0, 10, 0)) == 1


async def test_a_worker_that_is_killed_for_one_request_is_not_held_against_the_others_of_its_pack():
    async with running() as (engine, pool, clock):
        engine._experience.durations["mock_md"] = _short()
        await engine.submit([request(name) for name in "abcdefgh"])
        await rest(engine)
        together = [attempt.id for attempt in pool.submitted[0][0]]
        assert len(together) > 1
        await engine.tick()
        await engine.cancel([together[0]])
        for seconds in (11, 6):
            clock.forward(seconds)
            await engine.tick()
        pool.lose(0)
        assert (await outcomes(engine))[together[0]].status == "cancelled"
        come_back(pool, 1, Ending.OK)
        await come_true(lambda: f"{together[1]}.2" in handed(pool))
        come_back(pool, handed_index(pool, f"{together[1]}.2"), Ending.OK)
        await come_true(lambda: together[1] not in engine.open_ids())
        await rest(engine)
        other = (await outcomes(engine))[together[1]]
        assert (other.status, [record.ended for record in other.history]) == ("ok", ["paused", "ok"])


def _short():
    from director.packing import Durations

    durations = Durations()
    durations.add(0.001)
    return durations


def handed_index(pool, name):
    return next(
        index
        for index, (attempts, _) in enumerate(pool.submitted)
        if name in [f"{attempt.id}.{attempt.epoch}" for attempt in attempts]
    )


async def test_a_request_that_runs_longer_than_its_timeout_ends_as_timeout():
    async with running() as (engine, pool, clock):
        await engine.submit([request("a", timeout_s=30)])
        await rest(engine)
        await engine.tick()
        clock.forward(29)
        await engine.tick()
        assert pool.stopped == []
        clock.forward(1)
        await engine.tick()
        assert pool.stopped == [("a", 1, Stop.TIMEOUT, How.ASK)]
        come_back(pool, 0, Ending.TIMEOUT, error=ErrorInfo(type="Timeout", message="m", hint="h"))
        assert (await outcomes(engine))["a"].status == "timeout"


async def test_a_timeout_counts_all_attempts():
    async with running() as (engine, pool, clock):
        await engine.submit([request("a", timeout_s=30)])
        await rest(engine)
        await engine.tick()
        clock.forward(20)
        pool.lose(0, with_node=True)
        await come_true(lambda: len(pool.submitted) == 2)
        await engine.tick()
        clock.forward(11)
        await engine.tick()
        assert pool.stopped == [("a", 2, Stop.TIMEOUT, How.ASK)]


async def test_a_request_whose_deadline_passes_while_it_waits_is_never_started():
    async with running() as (engine, pool, clock):
        await engine.submit([request("a"), request("b"), request("late", deadline=NOON + timedelta(seconds=10))])
        await rest(engine)
        clock.forward(11)
        await engine.tick()
        outcome = (await outcomes(engine))["late"]
        assert (outcome.status, outcome.attempts, outcome.error.type) == ("timeout", 0, "Timeout")
        assert not any(name.startswith("late") for name in handed(pool))


async def test_a_request_that_comes_too_late_is_never_started():
    async with running() as (engine, pool, _):
        assert not (await engine.submit([request("late", deadline=NOON - timedelta(seconds=1))]))[0].problems
        outcome = (await outcomes(engine))["late"]
        assert (outcome.status, outcome.attempts) == ("timeout", 0)
        assert not handed(pool)


async def test_pausing_asks_what_runs_to_stop_and_starts_nothing_until_it_goes_on():
    async with running() as (engine, pool, _):
        await engine.submit([request("a"), request("b"), request("c")])
        await rest(engine)
        await engine.pause()
        assert sorted(pool.stopped) == [("a", 1, Stop.PAUSE, How.ASK), ("b", 1, Stop.PAUSE, How.ASK)]
        come_back(pool, 0, Ending.PAUSED, course=Course(amount=30.0, saved_amount=30.0))
        come_back(pool, 1, Ending.PAUSED)
        await rest(engine)
        assert len(pool.submitted) == 2
        assert engine.begun_before() == 1
        await engine.unpause()
        await come_true(lambda: len(pool.submitted) == 4)
        assert handed(pool)[2:] == ["a.2", "b.2"]


async def test_an_attempt_that_was_asked_to_pause_before_it_had_begun_is_in_no_outcome():
    ledger = MemoryLedger()
    async with running(ledger) as (engine, pool, _):
        await engine.submit([request("a")])
        await rest(engine)
        await engine.pause()
        come_back(pool, 0, Ending.PAUSED, began=False)
        await rest(engine)
        assert engine.totals().attempts == 0
    async with running(ledger) as (engine, pool, _):  # nor is it one for the next life
        await rest(engine)
        come_back(pool, 0, Ending.OK)
        outcome = (await outcomes(engine))["a"]
        assert (outcome.attempts, [record.ended for record in outcome.history]) == (1, ["ok"])
        kinds = [(event.kind, event.epoch) for event in ledger.events(0, 100) if event.id == "a"]
        assert ("interrupted", 1) in kinds


async def test_a_lost_attempt_says_where_and_since_when_it_ran():
    async with running() as (engine, pool, clock):
        await engine.submit([request("a")])
        await rest(engine)
        clock.forward(5)  # it waits beside another one
        await engine.tick()
        clock.forward(7)
        pool.lose(0)
        await come_true(lambda: "a.2" in handed(pool))
        come_back(pool, 1, Ending.OK)
        lost = (await outcomes(engine))["a"].history[0]
        assert (lost.ended, lost.host) == ("worker_lost", "local-0")
        assert (lost.started_at, lost.ended_at) == (NOON + timedelta(seconds=5), NOON + timedelta(seconds=12))


async def test_what_is_left_is_estimated_from_what_was_saved_and_not_from_how_short_the_attempts_were():
    async with running() as (engine, pool, clock):
        assert engine.eta_s() is None
        await engine.submit([request("a"), request("b"), request("c")])
        await rest(engine)
        assert engine.eta_s() is None
        course = Course(began_at=NOON - timedelta(seconds=60), amount=30.0, saved_amount=30.0)
        come_back(pool, 0, Ending.PAUSED, course=course)  # half of it in 60 s
        await rest(engine)
        assert engine.eta_s() == pytest.approx(60 + 120 + 120)
        await engine.tick()
        clock.forward(20)
        assert engine.eta_s() == pytest.approx(300 - 20 - 20)


async def test_a_tool_that_saves_nothing_runs_on_while_the_director_is_paused():
    async with running() as (engine, pool, clock):
        await engine.submit([request("a", tool="unsaving")])
        await rest(engine)
        await engine.tick()
        await engine.pause()
        clock.forward(100_000)
        await engine.tick()
        assert {how for *_, how in pool.stopped} <= {How.ASK}


async def test_winding_down_stops_everything_in_time_and_accepts_nothing_more():
    async with running(workers=2) as (engine, pool, clock):
        await engine.submit([request("a"), request("b", tool="unsaving"), request("c")])
        await rest(engine)
        await engine.tick()
        await engine.pause()  # has no patience limit for the one that saves nothing
        await engine.wind_down("walltime", 20)
        assert "walltime" in (await engine.submit([request("d")]))[0].problems[0].message
        come_back(pool, 0, Ending.PAUSED)
        come_back(pool, 2, Ending.PAUSED)
        assert not engine.at_rest
        for _ in range(20):
            clock.forward(1)
            await engine.tick()
        assert ("b", 1, Stop.PAUSE, How.KILL) in pool.stopped
        pool.lose(1)
        await come_true(lambda: engine.at_rest)
        assert sorted(engine.open_ids()) == ["a", "b", "c"]
        assert len(pool.submitted) == 3


async def test_a_request_is_tried_again_after_a_transient_error_but_not_for_ever():
    error = ErrorInfo(type="NoLicence", message="no licence is free", hint="Wait.")
    async with running(policy=Policy(Bounds(transient=2), PATIENCE)) as (engine, pool, clock):
        await engine.submit([request("a")])
        for tried in range(3):
            await come_true(lambda tried=tried: len(pool.submitted) == tried + 1)
            come_back(pool, tried, Ending.AGAIN, error=error)
            await rest(engine)
            await engine.tick()
            assert len(pool.submitted) == tried + 1  # not at once
            clock.forward(60)
            await engine.tick()
        outcome = (await outcomes(engine))["a"]
        assert (outcome.status, outcome.attempts, outcome.error.type) == ("failed", 3, "NoLicence")
        assert "tried 3 times" in outcome.error.message


async def test_nothing_is_started_that_cannot_reach_a_checkpoint_before_the_walltime():
    walltime = Walltime(NOON + timedelta(seconds=100), 20)
    async with running(walltime=walltime) as (engine, pool, clock):
        await engine.submit([request("a"), request("b", tool="unsaving"), request("c", tool="unsaving")])
        await rest(engine)
        assert pool.submitted[0][0][0].pause_at == walltime.stop_at
        clock.forward(50)
        for index in (1, 0):  # learned: 60 s each
            come_back(pool, index, Ending.OK)
            await outcomes(engine, 2 - index)
        await outcomes(engine, 2)
        await engine.tick()
        assert len(pool.submitted) == 2  # 30 s are left, and "c" saves nothing
        assert engine.waiting() == {"no time left before the walltime": 1}
        assert engine.stuck
        await engine.submit([request("d")])
        await come_true(lambda: len(pool.submitted) == 3)  # but this one can save


async def test_a_cancelled_request_stays_cancelled_when_the_director_dies_before_it_stopped():
    ledger = MemoryLedger()
    async with running(ledger) as (engine, _, _):
        await engine.submit([request("a"), request("b")])
        await rest(engine)
        assert await engine.cancel(["a"]) == {"a": "stopping"}
    async with running(ledger) as (engine, pool, _):
        assert (await outcomes(engine))["a"].status == "cancelled"
        await come_true(lambda: handed(pool) == ["b.3"])


@pytest.fixture
def reusing(tmp_path):
    ledger = MemoryLedger()
    return {"ledger": ledger, "reuse": Reuse(tmp_path, (OwnOutcomes(ledger, tmp_path),))}


async def test_equal_requests_in_flight_run_once(reusing):
    async with running(**reusing) as (engine, pool, _):
        await engine.submit([request("a", seed=1), request("b", seed=1)])
        await engine.submit([request("c", seed=1), request("other", seed=2), request("anew", seed=1, reuse=False)])
        await rest(engine)
        assert engine.waiting()["same inputs as one that is open"] == 2
        pool.finish(0)
        found = await outcomes(engine, 3)
        assert {name: item.reused_from for name, item in found.items()} == {"a": None, "b": "a", "c": "a"}
        assert found["b"].result == found["a"].result
        await come_true(lambda: len(pool.submitted) == 3)
        assert sorted(name[0] for name in handed(pool)) == ["a", "a", "o"]


async def test_what_is_done_already_is_not_run_again(reusing):
    async with running(**reusing) as (engine, pool, _):
        await engine.submit([request("a", seed=1)])
        await rest(engine)
        pool.finish(0)
        await outcomes(engine)
        await engine.submit([request("b", seed=1)])
        assert (await outcomes(engine, 2))["b"].reused_from == "a"
        assert len(pool.submitted) == 1


async def test_when_the_one_that_runs_does_not_end_well_the_next_equal_one_runs(reusing):
    async with running(**reusing) as (engine, pool, _):
        await engine.submit([request(name, seed=1) for name in "abc"])
        await rest(engine)
        come_back(pool, 0, Ending.FAILED, error=ErrorInfo(type="Bad", message="m", hint="h"))
        await come_true(lambda: len(pool.submitted) == 2)
        pool.finish(1)
        found = await outcomes(engine, 3)
        assert [found[name].status for name in "abc"] == ["failed", "ok", "ok"]
        assert found["c"].reused_from == "b"


async def test_cancelling_the_one_that_runs_does_not_cancel_those_that_wait_for_it(reusing):
    async with running(**reusing) as (engine, pool, _):
        await engine.submit([request(name, seed=1) for name in "abc"])
        await rest(engine)
        assert await engine.cancel(["b", "a"]) == {"b": "cancelled", "a": "stopping"}
        come_back(pool, 0, Ending.CANCELLED, error=ErrorInfo(type="Cancelled", message="m", hint="h"))
        await come_true(lambda: len(pool.submitted) == 2)
        assert handed(pool)[-1] == "c.1"


async def test_what_waited_for_an_equal_one_gets_its_outcome_in_the_next_life(reusing):
    async with running(**reusing) as (engine, pool, _):
        await engine.submit([request("a", seed=1)])
        await rest(engine)
        pool.finish(0)
        await outcomes(engine)
        reusing["ledger"].turn(accepted=[_accepted(engine, request("b", seed=1))])
    async with running(**reusing) as (engine, pool, _):
        assert (await outcomes(engine, 2))["b"].reused_from == "a"
        assert pool.submitted == []


def _accepted(engine, item):
    from director.door import check
    from director.engine import _accepted as accepted

    return accepted(check(item, engine.tools), datetime(2026, 1, 1, tzinfo=UTC))

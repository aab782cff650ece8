import asyncio
import contextlib
import threading

import pytest

from director.engine import Engine
from director.failures import Bounds
from director.ledger import LedgerError, MemoryLedger, SqliteLedger
from director.news import Policy
from director.pool import How
from simulations.mock_md import TOOL
from simulations.records import Outcome, Request
from simulations.workspace import Stop
from tests.helpers import NOON, HandPool, mock_request, partition, tools_of


@contextlib.asynccontextmanager
async def running(pool=None, ledger=None, **more):
    pool = pool or HandPool()
    engine = Engine(
        index=0,
        partition=partition(),
        tools=tools_of(TOOL),
        ledger=ledger or MemoryLedger(),
        pool=pool,
        clock=lambda: NOON,
        **more,
    )
    await engine.start()
    try:
        yield engine, pool
    finally:
        await engine.close()


async def tasks(pool, count):
    """Waits until so many tasks have been handed to the pool."""
    async with asyncio.timeout(5):
        while len(pool.submitted) < count:
            await asyncio.sleep(0.001)


async def outcomes(engine, after=0, count=1):
    async with asyncio.timeout(5):
        found = []
        while len(found) < count:
            found += await engine.outcomes(found[-1].seq if found else after, 100, 1.0)
    return [Outcome.model_validate_json(entry.body) for entry in found]


async def test_a_request_is_accepted_run_journaled_and_published():
    async with running() as (engine, pool):
        assert (await engine.submit([mock_request("a")]))[0].problems == ()
        await tasks(pool, 1)
        assert engine.counts().running == 1
        pool.finish()
        (outcome,) = await outcomes(engine)
        assert (outcome.id, outcome.status, outcome.attempts, outcome.host) == ("a", "ok", 1, "local-0")
        assert outcome.partition == ["local-0", "local-1"]
        assert engine.counts().finished == {"ok": 1}


async def test_an_acknowledged_request_is_in_the_ledger_before_it_is_started():
    ledger = MemoryLedger()
    async with running(ledger=ledger) as (engine, _):
        await engine.submit([mock_request("a")])
        assert ledger.known(["a"]) == {"a"}


async def test_the_same_id_twice_runs_once_also_when_the_calls_overlap():
    async with running() as (engine, pool):
        verdicts = await asyncio.gather(*(engine.submit([mock_request("a"), mock_request("a")]) for _ in range(5)))
        assert all(not verdict.problems for answer in verdicts for verdict in answer)
        await tasks(pool, 1)
        pool.finish()
        await outcomes(engine)
        await engine.submit([mock_request("a")])
        await engine.submit([mock_request("b")])
        await tasks(pool, 2)
        assert [[attempt.id for attempt in attempts] for attempts, _ in pool.submitted] == [["a"], ["b"]]


async def test_a_caller_that_leaves_while_its_requests_are_journaled_does_no_harm():
    async with running() as (engine, pool):
        leaving = asyncio.create_task(engine.submit([mock_request("a")]))
        await asyncio.sleep(0)
        leaving.cancel()
        assert (await engine.submit([mock_request("b")]))[0].problems == ()
        await tasks(pool, 2)
        assert engine.failure is None


async def test_a_slow_disk_delays_answers_and_not_workers():
    class SlowDisk(MemoryLedger):
        def __init__(self):
            super().__init__()
            self.stalled, self.go_on = threading.Event(), threading.Event()
            self.go_on.set()

        def turn(self, *news):
            if not self.go_on.is_set():
                self.stalled.set()
                self.go_on.wait(10)
            return super().turn(*news)

    ledger = SlowDisk()
    async with running(HandPool(workers=1), ledger) as (engine, pool):
        await engine.submit([mock_request(f"r{index}") for index in range(5)])
        await tasks(pool, 2)
        ledger.go_on.clear()
        pool.finish(0)
        await asyncio.to_thread(ledger.stalled.wait, 10)
        await tasks(pool, 3)
        pool.finish(1)
        await tasks(pool, 4)
        assert await engine.outcomes(0, 10, 0) == []
        ledger.go_on.set()
        assert len(await outcomes(engine, count=2)) == 2


async def test_a_lost_request_is_not_started_again_before_its_first_start_is_journaled():
    ledger = MemoryLedger()
    async with running(ledger=ledger) as (engine, pool):
        await engine.submit([mock_request("a")])
        await tasks(pool, 1)
        pool.lose()
        await tasks(pool, 2)
        assert ("started", "a") in [(event.kind, event.id) for event in ledger.events(0, 100)]


async def test_an_attempt_is_journaled_soon_also_when_nothing_else_happens():
    ledger = MemoryLedger()
    async with running(ledger=ledger) as (engine, pool):
        await engine.submit([mock_request("a")])
        await tasks(pool, 1)
        async with asyncio.timeout(5):
            while "started" not in [event.kind for event in ledger.events(0, 100)]:
                await asyncio.sleep(0.01)


async def test_one_bad_request_does_not_harm_its_neighbours():
    bad = Request(id="bad", tool="mock_md", inputs={"duration_s": -1})
    async with running() as (engine, pool):
        verdicts = await engine.submit([mock_request("a"), bad, mock_request("c")])
        assert [bool(verdict.problems) for verdict in verdicts] == [False, True, False]
        assert verdicts[1].problems[0].where == "inputs.duration_s"
        await tasks(pool, 2)


async def test_a_lost_worker_costs_an_attempt_and_not_the_request():
    async with running() as (engine, pool):
        await engine.submit([mock_request("a")])
        await tasks(pool, 1)
        pool.lose()
        await tasks(pool, 2)
        pool.finish()
        (outcome,) = await outcomes(engine)
        assert (outcome.status, outcome.attempts) == ("ok", 2)


async def test_losses_are_bounded_and_the_reason_is_given():
    async with running() as (engine, pool):
        await engine.submit([mock_request("a")])
        for attempt in range(1, 4):
            await tasks(pool, attempt)
            pool.lose()
        (outcome,) = await outcomes(engine)
        assert (outcome.status, outcome.attempts) == ("failed", 3)
        assert outcome.error.type == "Quarantined"
        assert "died under it 3 times" in outcome.error.message
        assert [record.ended for record in outcome.history] == ["worker_lost"] * 3


async def test_the_loss_of_a_node_is_not_held_against_a_request_but_bounded():
    async with running(policy=Policy(Bounds(worker_losses=1, node_losses=3))) as (engine, pool):
        await engine.submit([mock_request("a")])
        for count in (1, 2, 3):
            await tasks(pool, count)
            pool.lose(with_node=True)
        (outcome,) = await outcomes(engine)
    assert (outcome.status, outcome.attempts, outcome.error.type) == ("failed", 3, "Lost")


async def test_an_error_of_the_pool_is_a_failed_outcome_not_a_silence():
    async with running() as (engine, pool):
        await engine.submit([mock_request("a")])
        await tasks(pool, 1)
        pool.submitted[0][1].set_exception(ValueError("cannot be sent"))
        (outcome,) = await outcomes(engine)
        assert (outcome.status, outcome.error.message) == ("failed", "cannot be sent")


async def test_no_more_is_handed_over_than_the_workers_can_use():
    async with running() as (engine, pool):
        await engine.submit([mock_request(f"r{index}") for index in range(100)])
        await tasks(pool, 4)
        await asyncio.sleep(0.05)
        assert len(pool.submitted) == 4


async def test_short_requests_travel_together_once_they_are_known_to_be_short():
    async with running() as (engine, pool):
        await engine.submit([mock_request(f"r{index}") for index in range(100)])
        done = 0
        while done < 100:
            await tasks(pool, (done and len(pool.submitted)) or 1)
            for attempts, future in pool.submitted:
                if not future.done():
                    pool.finish([entry[1] for entry in pool.submitted].index(future))
                    done += len(attempts)
            await asyncio.sleep(0.002)
        assert len(await outcomes(engine, count=100)) == 100
        assert max(len(attempts) for attempts, _ in pool.submitted) > 1
        assert sum(len(attempts) for attempts, _ in pool.submitted) == 100


async def test_what_was_lost_with_its_worker_travels_alone():
    async with running() as (engine, pool):
        await engine.submit([mock_request(f"r{index}") for index in range(4)])
        await tasks(pool, 4)
        for index in range(4):
            pool.finish(index)
        await engine.submit([mock_request(f"s{index}") for index in range(40)])
        await tasks(pool, 8)
        lost = pool.submitted[4][0]
        assert len(lost) > 1
        pool.lose(4)
        async with asyncio.timeout(5):
            while engine.counts().finished["ok"] < 44:
                for index, (_, future) in enumerate(list(pool.submitted)):
                    if not future.done():
                        pool.finish(index)
                await asyncio.sleep(0.001)
        again = [attempts for attempts, _ in pool.submitted if attempts[0].epoch > 1]
        assert [[attempt.id for attempt in attempts] for attempts in again] == [[attempt.id] for attempt in lost]


async def test_a_queued_request_is_cancelled_at_once_and_a_running_one_is_told_to_stop():
    async with running(HandPool(workers=1)) as (engine, pool):
        await engine.submit([mock_request(name) for name in "abc"])
        await tasks(pool, 2)
        answers = await engine.cancel(["a", "c", "ghost"])
        assert answers == {"a": "stopping", "c": "cancelled", "ghost": "unknown"}
        assert pool.stopped == [("a", 1, Stop.CANCEL, How.ASK)]
        (outcome,) = await outcomes(engine)
        assert (outcome.id, outcome.status, outcome.started_at) == ("c", "cancelled", None)
        pool.finish(0)
        await outcomes(engine, after=1)
        assert await engine.cancel(["a"]) == {"a": "finished"}


async def test_a_draining_director_accepts_nothing_and_finishes_what_it_has():
    async with running() as (engine, pool):
        await engine.submit([mock_request("a")])
        await engine.drain()
        (verdict,) = await engine.submit([mock_request("b")])
        assert "draining" in verdict.problems[0].message
        await tasks(pool, 1)
        pool.finish()
        assert [outcome.id for outcome in await outcomes(engine)] == ["a"]


async def test_what_was_open_is_taken_up_again(tmp_path):
    path = tmp_path / "ledger.sqlite"
    async with running(ledger=SqliteLedger(path)) as (engine, pool):
        await engine.submit([mock_request("a"), mock_request("b")])
        await tasks(pool, 2)
        pool.finish(0)
        await outcomes(engine)
    async with running(ledger=SqliteLedger(path)) as (engine, pool):
        await tasks(pool, 1)
        assert [(attempt.id, attempt.epoch) for attempt in pool.submitted[0][0]] == [("b", 3)]
        assert [outcome.id for outcome in await outcomes(engine)] == ["a"]


async def test_when_the_ledger_cannot_be_written_nothing_is_acknowledged_or_published(tmp_path):
    class FullDisk(MemoryLedger):
        def turn(self, accepted=(), started=(), interrupted=(), changed=(), finished=(), noted=()):
            if finished:
                raise LedgerError("the disk is full")
            return super().turn(accepted, started, interrupted, changed, finished, noted)

    async with running(ledger=FullDisk()) as (engine, pool):
        await engine.submit([mock_request("a")])
        await tasks(pool, 1)
        pool.finish()
        async with asyncio.timeout(5):
            while not engine.failure:
                await asyncio.sleep(0.001)
        assert "the disk is full" in engine.failure
        assert await engine.outcomes(0, 10, 0.01) == []
        (verdict,) = await engine.submit([mock_request("b")])
        assert "the disk is full" in verdict.problems[0].message


async def test_waiting_for_outcomes_ends_when_one_comes():
    async with running() as (engine, pool):
        waiting = asyncio.create_task(engine.outcomes(0, 10, 60))
        await engine.submit([mock_request("a")])
        await tasks(pool, 1)
        assert not waiting.done()
        pool.finish()
        assert [entry.id for entry in await asyncio.wait_for(waiting, 5)] == ["a"]


async def test_pages_older_than_memory_come_from_the_ledger(monkeypatch):
    monkeypatch.setattr("director.published.TAIL", 4)
    async with running() as (engine, pool):
        await engine.submit([mock_request(f"r{index}") for index in range(10)])
        for _ in range(200):
            for index, (_, future) in enumerate(list(pool.submitted)):
                if not future.done():
                    pool.finish(index)
            await asyncio.sleep(0.001)
        assert len(await engine.outcomes(0, 100, 0)) == 10
        assert len(await engine.outcomes(0, 3, 0)) == 3
        assert len(await engine.outcomes(8, 100, 0)) == 2


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_page_is_no_longer_than_asked(limit):
    async with running() as (engine, pool):
        await engine.submit([mock_request("a"), mock_request("b"), mock_request("c")])
        await tasks(pool, 3)
        for index in range(3):
            pool.finish(index)
        await outcomes(engine, count=3)
        assert len(await engine.outcomes(0, limit, 0)) == limit

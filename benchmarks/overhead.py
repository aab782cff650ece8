"""What a Director costs beside the Parsl and Academy that it stands on."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from pathlib import Path

from academy.agent import Agent, action
from academy.exchange.cloud.client import HttpAgentRegistration
from academy.handle import Handle
from academy.identifier import AgentId
from academy.runtime import Runtime, RuntimeConfig
from academy.serialize import SerializationStrategy
from parsl import python_app

from benchmarks.bare import bare_htex
from benchmarks.table import Row, at_least, at_most, spread
from benchmarks.tasks import nap
from director import Fleet, Request, sweep
from director.exchange import LoopbackExchange, factory_of

ROUNDS = 3
NO_OPS = 5_000
CALLS = 2_000
IN_FLIGHT = 100
SLEEPS = 300
MEAN_SLEEP_S = 0.1


def no_ops(count: int) -> list[Request]:
    """Requests that do nothing."""
    return sweep("mock_md", duration_s=0.0, seed=range(count))


async def _drain(fleet: Fleet, requests: list[Request]) -> float:
    begin = time.perf_counter()
    seen = 0
    async for outcome in fleet.map(requests):
        assert outcome.status == "ok", outcome.error
        seen += 1
    assert seen == len(requests)
    return time.perf_counter() - begin


def throughput(folder: Path) -> list[Row]:
    """5,000 no-ops through one Director, journaled, against the same through a bare DataFlowKernel."""

    async def ours(place: Path) -> float:
        async with Fleet.launch(nodes=2, run_dir=place, workers_per_node=1) as fleet:
            await _drain(fleet, no_ops(50))
            return NO_OPS / await _drain(fleet, no_ops(NO_OPS))

    def bare(place: Path) -> float:
        with bare_htex(place) as kernel:
            app = python_app(nap, data_flow_kernel=kernel)
            for future in [app(0) for _ in range(50)]:
                future.result()
            begin = time.perf_counter()
            for future in [app(0) for _ in range(NO_OPS)]:
                future.result()
            return NO_OPS / (time.perf_counter() - begin)

    pairs = [(asyncio.run(ours(folder / f"t{i}")), bare(folder / f"b{i}")) for i in range(ROUNDS)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    mine, theirs = zip(*pairs, strict=True)
    return [
        at_least(
            "5,000 no-op Requests, one Director, journaled; bare DataFlowKernel (per s)",
            spread(mine, 0), spread(theirs, 0), ratio, 0.9,
        ),
        Row("  the aim for the same", "", "", ratio, "≥ 1.5", ratio >= 1.5),
    ]  # fmt: skip


class Empty(Agent):
    """An agent with an action that does nothing."""

    @action
    async def nothing(self) -> None:
        """Does nothing."""


def single_calls(folder: Path) -> list[Row]:
    """Single calls with 100 in flight, each a journaled Request, against empty Academy actions on the same exchange."""

    async def ours(place: Path) -> float:
        async with Fleet.launch(nodes=2, run_dir=place, workers_per_node=1) as fleet:
            await _drain(fleet, no_ops(50))
            return await _rate(lambda index: fleet.run("mock_md", duration_s=0.0, seed=index))

    async def academy() -> float:
        # As Director and client, agent and caller are two processes; here two event loops in two threads.
        exchange = LoopbackExchange().start()
        factory = factory_of(exchange.spec)
        client = await factory.create_user_client()
        registration = await client.register_agent(Empty)
        done = asyncio.Event()
        serving = asyncio.create_task(asyncio.to_thread(asyncio.run, _serve(exchange, registration)))
        handle: Handle[Empty] = Handle(
            registration.agent_id, exchange=client, ignore_context=True, request_serializer=SerializationStrategy.JSON
        )
        await handle.nothing()
        rate = await _rate(lambda _: handle.nothing())
        await handle.shutdown()
        await serving
        done.set()
        await client.close()
        exchange.close()
        return rate

    pairs = [(asyncio.run(ours(folder / f"s{i}")), asyncio.run(academy())) for i in range(ROUNDS)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    mine, theirs = zip(*pairs, strict=True)
    what = "fleet.run, 100 in flight; empty Academy action, 100 in flight (per s)"
    return [at_least(what, spread(mine, 0), spread(theirs, 0), ratio, 2)]


async def _serve(exchange: LoopbackExchange, registration: HttpAgentRegistration[Empty]) -> None:
    runtime: Runtime[Empty] = Runtime(
        Empty(),
        exchange_factory=factory_of(exchange.spec),
        registration=HttpAgentRegistration(agent_id=AgentId(uid=registration.agent_id.uid)),
        config=RuntimeConfig(allowed_deserializers={SerializationStrategy.JSON}),
    )
    await runtime.run_until_complete()


async def _rate(call) -> float:  # type: ignore[no-untyped-def]
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def one(index: int) -> None:
        async with gate:
            await call(index)

    begin = time.perf_counter()
    await asyncio.gather(*(one(index) for index in range(CALLS)))
    return CALLS / (time.perf_counter() - begin)


def first_outcome(folder: Path) -> list[Row]:
    """From `Fleet.launch` to the first Outcome, against a bare HTEX from nothing to its first result."""

    async def ours(place: Path) -> float:
        begin = time.perf_counter()
        async with Fleet.launch(nodes=2, run_dir=place, workers_per_node=1) as fleet:
            await fleet.run("mock_md", duration_s=0.0)
            return time.perf_counter() - begin

    def bare(place: Path) -> float:
        begin = time.perf_counter()
        with bare_htex(place) as kernel:
            python_app(nap, data_flow_kernel=kernel)(0).result()
            return time.perf_counter() - begin

    pairs = [(asyncio.run(ours(folder / f"f{i}")), bare(folder / f"g{i}")) for i in range(ROUNDS + 2)]
    mine, theirs = zip(*pairs, strict=True)
    ratio = statistics.median(mine) / statistics.median(theirs)
    return [at_most("from launch to the first Outcome; bare HTEX (s)", spread(mine), spread(theirs), ratio, 1.5)]


def utilization(folder: Path) -> list[Row]:
    """300 log-normal sleeps over two Directors with one worker each, beside one bare HTEX with two workers."""
    chance = random.Random(2026)
    lengths = [chance.lognormvariate(0, 1) for _ in range(SLEEPS)]
    lengths = [length * MEAN_SLEEP_S * SLEEPS / sum(lengths) for length in lengths]
    ideal_s = sum(lengths) / 2

    async def ours(place: Path) -> float:
        async with Fleet.launch(directors=2, nodes=2, run_dir=place, workers_per_node=1) as fleet:
            await _drain(fleet, no_ops(50))
            requests = [Request(tool="mock_md", inputs={"duration_s": length}) for length in lengths]
            return ideal_s / await _drain(fleet, requests)

    def bare(place: Path) -> float:
        with bare_htex(place) as kernel:
            app = python_app(nap, data_flow_kernel=kernel)
            for future in [app(0) for _ in range(50)]:
                future.result()
            begin = time.perf_counter()
            for future in [app(length) for length in lengths]:
                future.result()
            return ideal_s / (time.perf_counter() - begin)

    mine, theirs = asyncio.run(ours(folder / "u")), bare(folder / "v")
    what = "utilization, 300 log-normal sleeps, two Directors × one worker; one bare HTEX × two"
    return [Row(what, f"{mine:.3f}", f"{theirs:.3f}", mine / theirs)]

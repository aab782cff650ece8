"""Simulations in processes of this machine: real Tools, and nothing is run twice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from campaigns import NotAcceptable
from campaigns.local import LocalEvaluate
from simulations.records import Outcome, Request, Status

WAIT_S = 120


def sleep(name: str, duration_s: float = 0.0, **more: Any) -> Request:
    given = {name: more.pop(name) for name in ("reuse", "timeout_s") if name in more}
    return Request(id=name, tool="mock_md", inputs={"duration_s": duration_s, **more}, **given)


def evaluated(folder: Path, work: Callable[[LocalEvaluate], Awaitable[Any]], workers: int = 2) -> Any:
    async def through() -> Any:
        local = LocalEvaluate(folder / "local", folder, workers)
        try:
            async with asyncio.timeout(WAIT_S):
                return await work(local)
        finally:
            await local.close()

    return asyncio.run(through())


async def all_of(local: LocalEvaluate, requests: list[Request]) -> dict[str, Outcome]:
    await local.submit(requests)
    found = [await local.next() for _ in requests]
    return {outcome.id: outcome for outcome in found}


def test_real_tools_run_and_say_what_they_cost(tmp_path: Path) -> None:
    (tmp_path / "cu.xyz").write_text('2\nLattice="3.6 0 0 0 3.6 0 0 0 3.6" pbc="T T T"\nCu 0 0 0\nCu 1.8 1.8 0\n')
    request = Request(id="a", tool="single_point", inputs={"structure": "cu.xyz", "calculator": "emt"})

    async def work(local: LocalEvaluate) -> Outcome:
        return (await all_of(local, [request]))["a"]

    outcome = evaluated(tmp_path, work)
    assert outcome.status is Status.OK
    assert outcome.result is not None
    assert outcome.usage is not None
    assert outcome.usage.node_hours > 0
    assert len(outcome.key) == 64
    assert outcome.versions["md-director"]


def test_what_is_done_is_kept_and_given_again(tmp_path: Path) -> None:
    async def work(local: LocalEvaluate) -> Outcome:
        return (await all_of(local, [sleep("a")]))["a"]

    first, second = evaluated(tmp_path, work), evaluated(tmp_path, work)
    assert first == second


def test_equal_requests_are_run_once(tmp_path: Path) -> None:
    async def work(local: LocalEvaluate) -> dict[str, Outcome]:
        return await all_of(local, [sleep("a", 0.2), sleep("b", 0.2), sleep("c", 0.2, reuse=False), sleep("d", 0.3)])

    found = evaluated(tmp_path, work)
    reused = {name: outcome.reused_from for name, outcome in found.items()}
    assert reused == {"a": None, "b": "a", "c": None, "d": None}
    assert found["b"].result == found["a"].result
    assert found["b"].usage is None

    async def later(local: LocalEvaluate) -> Outcome:
        return (await all_of(local, [sleep("e", 0.2)]))["e"]

    assert evaluated(tmp_path, later).reused_from in ("a", "c")


def test_a_tools_error_is_an_outcome(tmp_path: Path) -> None:
    async def work(local: LocalEvaluate) -> Outcome:
        return (await all_of(local, [sleep("a", crash="error")]))["a"]

    outcome = evaluated(tmp_path, work)
    assert outcome.status is Status.FAILED
    assert outcome.error is not None
    assert outcome.attempts == 1


def test_a_process_that_dies_is_begun_again_and_then_given_up(tmp_path: Path) -> None:
    async def work(local: LocalEvaluate) -> dict[str, Outcome]:
        return await all_of(local, [sleep("once", crash="worker", crash_attempts=1), sleep("always", crash="worker")])

    found = evaluated(tmp_path, work, workers=1)
    assert found["once"].status is Status.OK
    assert found["once"].attempts == 2
    assert found["always"].status is Status.FAILED
    assert found["always"].error is not None
    assert found["always"].error.type == "WorkerLost"
    assert found["always"].attempts == 3


def test_what_takes_too_long_ends_as_timeout(tmp_path: Path) -> None:
    async def work(local: LocalEvaluate) -> dict[str, Outcome]:
        return await all_of(local, [sleep("a", 600.0, timeout_s=0.5), sleep("b")])

    found = evaluated(tmp_path, work, workers=1)
    assert (found["a"].status, found["b"].status) == (Status.TIMEOUT, Status.OK)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (Request(id="a", tool="relaxe", inputs={}), "tool: 'relaxe' is not known. Did you mean 'relax'"),
        (sleep("a", -1.0), "inputs.duration_s: Input should be greater than or equal to 0, got -1.0"),
        (Request(id="a", tool="single_point", inputs={"structure": "../x.xyz"}), "lies outside"),
        (Request(id="a", tool="single_point", inputs={"structure": "none.xyz"}), "cannot be read"),
    ],
)
def test_bad_requests_are_refused_and_none_of_them_is_run(tmp_path: Path, request_: Request, said: str) -> None:
    async def work(local: LocalEvaluate) -> None:
        with pytest.raises(NotAcceptable) as caught:
            await local.submit([request_, sleep("good")])
        assert said in str(caught.value)

    evaluated(tmp_path, work)
    assert not (tmp_path / "local" / "outcomes").exists()


def test_its_processes_end_with_it_and_what_ran_is_run_again(tmp_path: Path) -> None:
    pids: list[int] = []

    async def work(local: LocalEvaluate) -> None:
        await local.submit([sleep("a", 1.0)])
        while not (tmp_path / "local" / "work" / "a.attempts").exists():
            await asyncio.sleep(0.05)
        pids.extend(process.pid for process in local._processes)

    evaluated(tmp_path, work, workers=1)
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIG_DFL)

    async def again(local: LocalEvaluate) -> Outcome:
        return (await all_of(local, [sleep("a", 1.0)]))["a"]

    assert evaluated(tmp_path, again, workers=1).status is Status.OK

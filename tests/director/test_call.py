"""Calling an agent over a real exchange: again until it answers, in bounded time, and what the error says."""

import asyncio
import contextlib
import uuid
from datetime import UTC, datetime

import pytest
from academy.agent import Agent, action
from academy.identifier import AgentId

from director.call import Caller, DirectorEnded, DirectorLost
from director.exchange import register
from director.serving import Serving
from director.spec import AllocationSpec, DirectorSpec, SharesSpec


class Answering(Agent):
    """Answers in the ways in which Directors do, and in those in which they should not."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    @action
    async def echo(self, *values: object) -> list[object]:
        self.seen.append("echo")
        return list(values)

    @action
    async def fail(self) -> None:
        raise RuntimeError("its disk is full")

    @action
    async def once_slow(self) -> int:
        self.seen.append("once_slow")
        if self.seen.count("once_slow") == 1:
            await asyncio.sleep(3600)
        return self.seen.count("once_slow")

    @action
    async def never(self) -> None:
        await asyncio.sleep(3600)


def spec_of(exchange, agent_id):
    return DirectorSpec(
        run_id="abcd12345678",
        created_at=datetime.now(UTC),
        index=3,
        agent_id=agent_id,
        allocation=AllocationSpec(),
        shares=SharesSpec(values=(1,)),
        exchange=exchange,
    )


@contextlib.asynccontextmanager
async def answering(client, exchange):
    """An agent that answers; gives a caller of it, what it was asked, and the task in which it does so."""
    agent_id, seen = uuid.uuid4(), []
    await register(client, Answering, AgentId(uid=agent_id))
    serving = Serving(spec_of(exchange, agent_id), Answering, lambda: Answering(seen))
    task = asyncio.create_task(serving.forever())
    try:
        yield Caller(3, AgentId(uid=agent_id), client), seen, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_call_carries_json_there_and_back(client, exchange):
    async with answering(client, exchange) as (caller, _, _):
        values = [1, 2.5, "é\u2028", None, True, {"a": [{}]}]
        assert await caller.call("echo", *values) == values
        assert await asyncio.gather(*(caller.call("echo", number) for number in range(30))) == [[n] for n in range(30)]


async def test_a_call_waits_for_one_that_is_about_to_answer(client, exchange):
    agent_id, seen = uuid.uuid4(), []
    await register(client, Answering, AgentId(uid=agent_id))
    calling = asyncio.create_task(Caller(3, AgentId(uid=agent_id), client).call("echo", "early", timeout_s=30))
    await asyncio.sleep(0)
    task = asyncio.create_task(Serving(spec_of(exchange, agent_id), Answering, lambda: Answering(seen)).forever())
    assert await calling == ["early"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_answer_that_does_not_come_is_asked_for_again(client, exchange, monkeypatch):
    monkeypatch.setattr("director.call.LONGEST_TRY_S", 0.5)
    async with answering(client, exchange) as (caller, seen, _):
        assert await caller.call("once_slow", timeout_s=30) == 2
        assert seen.count("once_slow") == 2


async def test_a_director_that_does_not_answer_is_lost_in_the_time_that_was_given(client, exchange):
    async with answering(client, exchange) as (caller, _, _):
        async with asyncio.timeout(20):
            with pytest.raises(DirectorLost, match=r"Director 3 did not answer within 0\.5 s"):
                await caller.call("never", timeout_s=0.5)
        assert await caller.call("echo", "still there") == ["still there"]


async def test_a_director_that_the_exchange_does_not_know_is_lost(client):
    async with asyncio.timeout(30):
        with pytest.raises(DirectorLost, match="Director 3") as lost:
            await Caller(3, AgentId(uid=uuid.uuid4()), client).call("echo", timeout_s=1)
    assert not isinstance(lost.value, DirectorEnded)


async def test_a_directors_own_error_is_told_and_the_call_is_not_made_again(client, exchange):
    async with answering(client, exchange) as (caller, seen, _):
        with pytest.raises(DirectorLost, match=r"(?s)Director 3 failed in fail: .*its disk is full"):
            await caller.call("fail", timeout_s=30)
        assert seen == []


async def test_a_director_that_has_ended_is_known_to_have(client, exchange):
    async with answering(client, exchange) as (caller, _, task):
        assert await caller.call("echo") == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with asyncio.timeout(30):
            with pytest.raises(DirectorEnded, match="Director 3 has ended"):
                await caller.call("echo", timeout_s=20)


async def test_a_call_that_is_cancelled_ends_at_once(client, exchange):
    async with answering(client, exchange) as (caller, _, _):
        calling = asyncio.create_task(caller.call("never", timeout_s=3600))
        await caller.call("echo")
        calling.cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(calling, return_exceptions=True)
        assert calling.cancelled()

"""A Director's answering while its exchange comes and goes: real exchanges on loopback ports."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from academy.agent import Agent, action
from academy.identifier import AgentId

from director.call import Caller
from director.exchange import connect, register, run_token
from director.exchange.tokens import RunTokens, new_secret
from director.serving import Serving, UnreachableError
from director.spec import AllocationSpec, DirectorSpec, ExchangeSpec, SharesSpec, agent_id_of
from tests.director.exchanging import HttpServer, free_port

RUN_ID = "abcd12345678"
SECRET = new_secret()


class Answering(Agent):
    """Answers."""

    @action
    async def echo(self, value: str) -> str:
        return value


@pytest.fixture
def server():
    made = HttpServer(RunTokens(SECRET))
    yield made
    made.close()


def spec_of(url: str, *, attended: bool, token=None) -> DirectorSpec:
    return DirectorSpec(
        run_id=RUN_ID,
        created_at=datetime.now(UTC),
        index=0,
        agent_id=agent_id_of(RUN_ID, 0),
        allocation=AllocationSpec(),
        shares=SharesSpec(values=(1,)),
        exchange=ExchangeSpec(url=url, token=token or run_token(SECRET, RUN_ID), host="here" if attended else None),
        linger_s=None if attended else 60,
    )


@contextlib.asynccontextmanager
async def begun(spec):
    """A Director that answers; gives its task, and the agents that were made for it, one for each try."""
    agents: list[Answering] = []

    def agent() -> Answering:
        agents.append(Answering())
        return agents[-1]

    task = asyncio.create_task(Serving(spec, Answering, agent).forever())
    try:
        yield task, agents
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def echoed(spec, value: str) -> str:
    """What a client that comes anew hears."""
    client = await connect(spec.exchange)
    try:
        return await Caller(0, AgentId(uid=spec.agent_id), client).call("echo", value, timeout_s=60)
    finally:
        await client.close()


async def test_a_director_by_itself_registers_answers_and_survives_an_exchange_that_forgets_everything(server):
    spec = spec_of(server.url, attended=False)
    async with begun(spec) as (task, _):
        assert await echoed(spec, "before") == "before"
        server.end()
        server.start()
        assert await echoed(spec, "after") == "after"
        assert not task.done()


async def test_a_director_whose_client_holds_the_exchange_ends_with_it(server, monkeypatch):
    monkeypatch.setattr("director.serving.FIRST_CONTACT_ATTENDED_S", 0.0)
    spec = spec_of(server.url, attended=True)
    client = await connect(spec.exchange)
    await register(client, Answering, AgentId(uid=spec.agent_id))
    async with begun(spec) as (task, _):
        assert await echoed(spec, "there") == "there"
        await client.close()
        server.end()
        async with asyncio.timeout(60):
            with pytest.raises(UnreachableError, match=f"the exchange at {server.url}"):
                await task


async def test_an_exchange_that_is_not_there_is_asked_for_a_while_and_then_named(monkeypatch):
    monkeypatch.setattr("director.serving.FIRST_CONTACT_S", 0.5)
    url = f"http://127.0.0.1:{free_port()}"
    async with asyncio.timeout(60), begun(spec_of(url, attended=False)) as (task, _):
        with pytest.raises(UnreachableError, match=f"cannot reach the exchange at {url}: "):
            await task


async def test_an_exchange_that_comes_up_late_is_found(server):
    server.end()
    spec = spec_of(server.url, attended=False)
    async with begun(spec) as (task, agents):
        while len(agents) < 2:
            await asyncio.sleep(0.01)
        server.start()
        assert await echoed(spec, "at last") == "at last"
        assert not task.done()


async def test_an_exchange_that_refuses_the_token_is_not_asked_again(server):
    wrong = run_token(new_secret(), RUN_ID)
    # Longer than this test may take: it must not wait for its patience to end.
    async with asyncio.timeout(15), begun(spec_of(server.url, attended=False, token=wrong)) as (task, _):
        with pytest.raises(UnreachableError, match=f"cannot reach the exchange at {server.url}: ") as error:
            await task
    assert wrong.get_secret_value() not in str(error.value)

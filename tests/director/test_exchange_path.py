"""What a client does with a Director, over each kind of exchange that stands by itself."""

import asyncio
import json
import uuid

import pytest
from academy.exception import AgentTerminatedError
from academy.identifier import AgentId
from academy.serialize import SerializationStrategy

from director.agent import DirectorAgent
from director.call import DirectorLost
from director.exchange import ExchangeChoice, MailboxClosedError, connect, register, run_token, settle
from director.exchange.server import redis_backend
from director.exchange.tokens import RunTokens, new_secret
from director.spec import ExchangeSpec
from tests.director.exchanging import HttpServer, RedisServer, closing, director, handle_of, link
from tests.helpers import mock_request

RUN_ID = "run12345"
MANY = 2_000


@pytest.fixture(params=["http", "redis", "http over redis"])
def spec(request, tmp_path):
    secret = new_secret()
    if request.param == "http":
        with closing(HttpServer(RunTokens(secret))) as server:
            yield settle(ExchangeChoice("http", server.url, secret), RUN_ID)
        return
    with closing(RedisServer(tmp_path / "redis")) as redis:
        if request.param == "redis":
            yield settle(ExchangeChoice("redis", redis.url, redis.password), RUN_ID)
            return
        with closing(HttpServer(RunTokens(secret), redis_backend(redis.url, redis.password))) as server:
            yield settle(ExchangeChoice("http", server.url, secret), RUN_ID)


async def test_a_batch_of_thousands_goes_out_and_its_outcomes_come_back_in_pages(spec, tmp_path):
    outcomes = []
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime, link(client, runtime.agent_id, outcomes.append) as to:
        acknowledged = [to.post(mock_request(f"r{index}")) for index in range(MANY)]
        async with asyncio.timeout(60):
            await asyncio.gather(*acknowledged)
            while len(outcomes) < MANY:
                await asyncio.sleep(0.01)
        assert sorted(outcome.id for outcome in outcomes) == sorted(f"r{index}" for index in range(MANY))
        assert (await to.call("status"))["finished"] == {"ok": MANY}
    await client.close()


async def test_actions_of_any_kind_are_answered_while_another_waits(spec, tmp_path):
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime, link(client, runtime.agent_id) as to:
        # The link itself holds a call for Outcomes open all the time.
        async with asyncio.timeout(30):
            tools, status, refused = await asyncio.gather(
                to.call("tools"), to.call("status"), to.call("run", "mock_md", {"duration_s": -1})
            )
        assert [tool["name"] for tool in tools] == ["mock_md"]
        assert status["director"] == 0
        assert refused["refused"][0]["where"].endswith("duration_s")
    await client.close()


async def test_who_asks_a_director_that_has_ended_is_told_so(spec, tmp_path):
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime:
        agent_id = runtime.agent_id
    async with link(client, agent_id) as to, asyncio.timeout(20):
        with pytest.raises(DirectorLost, match="has ended"):
            await to.call("status")
    await client.close()


async def test_calls_that_wait_are_told_when_the_director_ends(spec, tmp_path):
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime:
        handle = handle_of(client, runtime.agent_id)
        waiting = asyncio.create_task(handle.action("outcomes", 0, 10, 60.0))
        await handle.action("status")
    with pytest.raises(Exception, match=r"cancelled|terminated"):
        await asyncio.wait_for(waiting, 20)
    with pytest.raises(AgentTerminatedError):
        await handle.action("status")
    await client.close()


async def test_registering_twice_is_as_good_as_once_and_a_closed_mailbox_is_not_opened_again(spec):
    client = await connect(spec)
    agent_id = AgentId(uid=uuid.uuid4())
    await register(client, DirectorAgent, agent_id)
    await register(client, DirectorAgent, agent_id)
    assert await client.discover(DirectorAgent) == (agent_id,)
    await client.terminate(agent_id)
    with pytest.raises(MailboxClosedError, match="launch the run again"):
        await register(client, DirectorAgent, agent_id)
    with pytest.raises(AgentTerminatedError):
        await client.heartbeat_status(agent_id)
    await client.close()


async def test_a_director_comes_to_a_mailbox_that_nobody_has_made(spec, tmp_path):
    agent_id = AgentId(uid=uuid.uuid4())
    client = await connect(spec)
    async with director(spec, tmp_path, agent_id), link(client, agent_id) as to:
        assert (await to.call("status"))["director"] == 0
        assert await client.discover(DirectorAgent) == (agent_id,)
    await client.close()


async def test_a_director_does_not_come_to_a_mailbox_that_was_closed(spec, tmp_path):
    client = await connect(spec)
    agent_id = AgentId(uid=uuid.uuid4())
    await register(client, DirectorAgent, agent_id)
    await client.terminate(agent_id)
    with pytest.raises(MailboxClosedError):
        async with director(spec, tmp_path, agent_id):
            pass
    await client.close()


async def test_a_pickle_is_not_opened_by_a_director(spec, tmp_path):
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime:
        handle = handle_of(
            client,
            runtime.agent_id,
            request_serializer=SerializationStrategy.PICKLE,
            result_serializer=SerializationStrategy.JSON,
        )
        with pytest.raises(Exception, match="DeserializationMethodProhibited"):
            await asyncio.wait_for(handle.action("cancel", ["a"]), 20)
    await client.close()


async def test_what_lies_in_redis_is_json(tmp_path):
    with closing(RedisServer(tmp_path / "redis")) as redis:
        client = await connect(redis.spec())
        agent_id = AgentId(uid=uuid.uuid4())
        await register(client, DirectorAgent, agent_id)
        handle = handle_of(client, agent_id)
        waiting = asyncio.create_task(handle.action("submit", [{"tool": "mock_md", "inputs": {"duration_s": 1}}]))
        async with asyncio.timeout(20):
            while not (kept := redis.ask("lrange", f"queue:{agent_id.uid}", "0", "-1").strip()):
                await asyncio.sleep(0.02)
        body = json.loads(kept)["body"]
        assert body["serialization"] == "json"
        assert json.loads(body["pargs"]) == [[{"tool": "mock_md", "inputs": {"duration_s": 1}}]]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await client.close()


async def test_runs_on_one_exchange_are_kept_apart(tmp_path):
    secret = new_secret()
    with closing(HttpServer(RunTokens(secret))) as server:
        mine, theirs = (
            ExchangeSpec(url=server.url, token=run_token(secret, run_id)) for run_id in ("mine1234", "theirs12")
        )
        client = await connect(theirs)
        async with director(mine, tmp_path) as runtime:
            assert await client.discover(DirectorAgent) == ()
            handle = handle_of(client, runtime.agent_id)
            for forbidden in (
                handle.action("status"),
                client.terminate(runtime.agent_id),
                client.heartbeat_status(runtime.agent_id),
                register(client, DirectorAgent, runtime.agent_id),
            ):
                with pytest.raises(ConnectionError, match="belongs to another run"):
                    await asyncio.wait_for(forbidden, 20)
            with pytest.raises(ConnectionError, match="belongs to another run"):
                async with director(theirs, tmp_path, runtime.agent_id):
                    pass
            own = await connect(mine)
            async with link(own, runtime.agent_id) as to:
                assert (await to.call("status"))["director"] == 0
            await own.close()
        await client.close()

"""Client and Director when the exchange goes away and comes back, with or without its memory."""

import asyncio
import time
import uuid

import pytest
from academy.identifier import AgentId

from director.agent import DirectorAgent
from director.exchange import (
    ExchangeChoice,
    ExchangeError,
    LoopbackExchange,
    MailboxClosedError,
    connect,
    factory_of,
    register,
    run_token,
    settle,
    steady,
    trouble_of,
)
from director.exchange import http as http_kind
from director.exchange import redis as redis_kind
from director.exchange.server import redis_backend
from director.exchange.tokens import RunTokens, new_secret
from director.spec import ExchangeSpec
from tests.director.exchanging import HttpServer, RedisServer, Relay, closing, director, handle_of, link, often
from tests.helpers import HandPool, mock_request

RUN_ID = "run12345"


async def until(condition, timeout_s=30.0):
    """Waits until something is true."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def finish_all(pool):
    """Ends all tasks that a pool has been handed."""
    for index, (_, future) in enumerate(pool.submitted):
        if not future.done():
            pool.finish(index)
    return True


async def until_shut_down(spec, folder, reason):
    """Lives as a Director until the exchange gives a reason not to."""
    async with director(spec, folder) as runtime:
        await reason(runtime)
        await asyncio.wait_for(runtime.wait_shutdown(), 20)


@pytest.fixture
def secret():
    return new_secret()


@pytest.fixture
def server(secret):
    with closing(HttpServer(RunTokens(secret))) as made:
        yield made


@pytest.fixture
def spec(server, secret):
    return settle(ExchangeChoice("http", server.url, secret), RUN_ID)


@pytest.fixture
def redis(tmp_path):
    with closing(RedisServer(tmp_path / "redis")) as made:
        yield made


async def test_an_exchange_that_forgets_everything_in_the_middle_of_a_batch_loses_no_request(spec, server, tmp_path):
    pool, outcomes = HandPool(workers=4), []
    client = await connect(spec)
    async with (
        director(spec, tmp_path, pool=pool) as runtime,
        link(client, runtime.agent_id, outcomes.append) as to,
    ):
        acknowledged = [to.post(mock_request(f"r{index}")) for index in range(4)]
        await asyncio.gather(*acknowledged)
        await until(lambda: sum(len(attempts) for attempts, _ in pool.submitted) == 4)
        await asyncio.to_thread(server.end)
        acknowledged = [to.post(mock_request(f"s{index}")) for index in range(4)]
        pool.finish(0)  # while nobody can be told
        await until(lambda: trouble_of(client) is not None)
        await asyncio.to_thread(server.start)
        await asyncio.wait_for(asyncio.gather(*acknowledged), 30)
        await until(lambda: finish_all(pool) and len(outcomes) == 8)
        assert sorted(outcome.id for outcome in outcomes) == [f"{kind}{n}" for kind in "rs" for n in range(4)]
        assert trouble_of(client) is None
        assert runtime._exchange_client is not None
        assert await client.discover(DirectorAgent) == (runtime.agent_id,)
    await client.close()


async def test_a_call_whose_answer_is_lost_with_the_exchange_fails_at_once(spec, server, tmp_path):
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime:
        waiting = asyncio.create_task(handle_of(client, runtime.agent_id).action("outcomes", 0, 10, 60.0))
        await handle_of(client, runtime.agent_id).action("status")
        await asyncio.to_thread(server.end)
        await asyncio.to_thread(server.start)
        with pytest.raises(ExchangeError, match="Make the call again") as caught:
            await asyncio.wait_for(waiting, 20)
        assert caught.value.passing
        assert (await asyncio.wait_for(handle_of(client, runtime.agent_id).action("status"), 20))["director"] == 0
    await client.close()


async def test_calls_made_while_the_exchange_is_away_are_answered_when_it_is_back(spec, server, tmp_path):
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime, link(client, runtime.agent_id) as to:
        await asyncio.to_thread(server.end)
        asked = [asyncio.create_task(to.call("status")) for _ in range(20)]
        await until(lambda: "nobody listens" in str(trouble_of(client)))
        await asyncio.to_thread(server.start)
        answers = await asyncio.wait_for(asyncio.gather(*asked), 30)
        assert [answer["director"] for answer in answers] == [0] * 20
    await client.close()


async def test_both_ends_leave_without_ado_while_the_exchange_is_away(spec, server, tmp_path):
    begin = time.monotonic()
    client = await often(factory_of(spec)).create_user_client()
    async with director(spec, tmp_path):
        await asyncio.to_thread(server.end)
        await until(lambda: trouble_of(client) is not None)
    await client.close()
    await client.close()
    assert time.monotonic() - begin < 20


async def test_an_exchange_over_redis_remembers_letters_across_its_restart(redis, secret, tmp_path):
    with closing(HttpServer(RunTokens(secret), redis_backend(redis.url, redis.password))) as server:
        spec = settle(ExchangeChoice("http", server.url, secret), RUN_ID)
        client = await connect(spec)
        agent_id = AgentId(uid=uuid.uuid4())
        await register(client, DirectorAgent, agent_id)
        waiting = asyncio.create_task(handle_of(client, agent_id).action("status"))
        await until(lambda: redis.ask("llen", f"queue:{agent_id.uid}").strip() == "1")
        await asyncio.to_thread(server.end)
        await asyncio.to_thread(server.start)
        async with director(spec, tmp_path, agent_id):
            assert (await asyncio.wait_for(waiting, 20))["director"] == 0
        await client.close()


async def test_redis_killed_and_started_again_keeps_mailboxes_and_letters(redis, tmp_path):
    spec = redis.spec()
    client = await connect(spec)
    agent_id = AgentId(uid=uuid.uuid4())
    await register(client, DirectorAgent, agent_id)
    waiting = asyncio.create_task(handle_of(client, agent_id).action("status"))
    await until(lambda: redis.ask("llen", f"queue:{agent_id.uid}").strip() == "1")
    redis.end()
    await until(lambda: trouble_of(client) is not None)
    await asyncio.to_thread(redis.start)
    async with director(spec, tmp_path, agent_id), link(client, agent_id) as to:
        assert (await asyncio.wait_for(waiting, 20))["director"] == 0
        redis.end()
        asked = asyncio.create_task(to.call("status"))
        await until(lambda: trouble_of(client) is not None)
        await asyncio.to_thread(redis.start)
        assert (await asyncio.wait_for(asked, 30))["director"] == 0
    await client.close()


async def test_redis_that_has_lost_everything_gets_its_mailboxes_again(redis, tmp_path, monkeypatch):
    monkeypatch.setattr(redis_kind, "WAIT_S", 0.3)
    spec = redis.spec()
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime, link(client, runtime.agent_id) as to:
        await to.call("status")
        redis.ask("flushall")
        assert (await asyncio.wait_for(to.call("status"), 30))["director"] == 0
        await until(lambda: redis.ask("get", f"active:{runtime.agent_id.uid}").strip() == "ACTIVE")
        assert await client.discover(DirectorAgent) == (runtime.agent_id,)
    await client.close()


async def test_redis_that_falls_silent_with_its_connections_open_is_noticed(redis, tmp_path, monkeypatch):
    monkeypatch.setattr(redis_kind, "SILENCE_S", 1.0)
    monkeypatch.setattr(redis_kind, "WAIT_S", 0.3)
    monkeypatch.setattr(steady, "ANSWER_S", 1.0)
    client = await connect(redis.spec())
    async with director_on(redis, tmp_path) as runtime, link(client, runtime.agent_id) as to:
        redis.pause()
        try:
            await until(lambda: trouble_of(client) is not None)
            assert "does not answer in time" in str(trouble_of(client))
        finally:
            redis.go_on()
        assert (await asyncio.wait_for(to.call("status"), 30))["director"] == 0
    await client.close()


def director_on(redis, folder):
    return director(redis.spec(), folder)


@pytest.mark.parametrize("turns", range(12))
async def test_a_director_on_redis_ends_wherever_its_listening_stands(redis, tmp_path, turns):
    # redis-py with a socket timeout loses a cancellation that comes in certain turns of the event loop. The Director
    # calls itself, so that its listening stands at a known turn.
    async with asyncio.timeout(10) as limit, director_on(redis, tmp_path) as runtime:
        await handle_of(runtime._exchange_client, runtime.agent_id).action("status")
        for _ in range(turns):
            await asyncio.sleep(0)
    assert not limit.expired()


async def test_what_is_no_message_is_dropped_and_the_director_goes_on(redis, tmp_path):
    client = await connect(redis.spec())
    async with director_on(redis, tmp_path) as runtime:
        queue = f"queue:{runtime.agent_id.uid}"
        header = f'{{"src": {client.client_id.model_dump_json()}, "dest": {runtime.agent_id.model_dump_json()}, '
        header += f'"tag": "{uuid.uuid4()}", "kind": "request"}}'
        for junk in ("junk", "{}", "\xff", f'{{"header": {header}, "body": {{"kind": "nothing"}}}}'):
            redis.ask("rpush", queue, junk)
        assert (await asyncio.wait_for(handle_of(client, runtime.agent_id).action("status"), 20))["director"] == 0
    await client.close()


async def test_a_way_that_falls_silent_is_left_and_no_message_is_lost_on_it(server, secret, tmp_path, monkeypatch):
    monkeypatch.setattr(http_kind, "SILENCE_S", 4.0)
    async with Relay(server.port) as relay:
        spec = ExchangeSpec(url=relay.url, token=run_token(secret, RUN_ID))
        near = ExchangeSpec(url=server.url, token=run_token(secret, RUN_ID))
        client = await connect(near)
        async with director(spec, tmp_path) as runtime:
            handle = handle_of(client, runtime.agent_id)
            await handle.action("status")
            before = relay.connections
            relay.silence()
            await until(lambda: relay.connections > before)
            for _ in range(3):  # the first would go to the older connection, if the exchange still served it
                assert (await asyncio.wait_for(handle.action("status"), 60))["director"] == 0
        await client.close()


async def test_a_token_that_is_refused_later_is_said_and_tried_again(server, secret, tmp_path, monkeypatch):
    monkeypatch.setattr(steady, "REFUSED_PAUSE_S", 0.2)
    spec = settle(ExchangeChoice("http", server.url, secret), RUN_ID)
    client = await connect(spec)
    async with director(spec, tmp_path) as runtime, link(client, runtime.agent_id) as to:
        await asyncio.to_thread(server.end)
        server._authenticator = RunTokens(new_secret())
        await asyncio.to_thread(server.start)
        await until(lambda: "refused the token" in str(trouble_of(client)))
        await asyncio.to_thread(server.end)
        server._authenticator = RunTokens(secret)
        await asyncio.to_thread(server.start)
        assert (await asyncio.wait_for(to.call("status"), 30))["director"] == 0
    await client.close()


@pytest.mark.parametrize("turns", range(0, 20, 4))
async def test_a_director_ends_when_the_exchange_in_its_clients_process_is_gone(tmp_path, monkeypatch, turns):
    monkeypatch.setattr(steady, "OWN_EXCHANGE_PATIENCE_S", 0.1)
    exchange = LoopbackExchange().start()

    async def close_it(_):
        for _ in range(turns):  # also while the Director is about to listen
            await asyncio.sleep(0)
        exchange.close()

    with pytest.raises(ExchangeError, match="nobody listens"):
        await until_shut_down(exchange.spec, tmp_path, close_it)
    exchange.close()


async def test_a_director_whose_mailbox_somebody_closed_is_told_so(spec, tmp_path):
    client = await connect(spec)
    with pytest.raises(MailboxClosedError, match="was closed"):
        await until_shut_down(spec, tmp_path, lambda runtime: client.terminate(runtime.agent_id))
    await client.close()

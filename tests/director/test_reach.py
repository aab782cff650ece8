"""Finding the Directors of a run by its name alone, on a real exchange."""

import asyncio

import pytest
from academy.identifier import AgentId

from director.agent import DirectorAgent
from director.call import DirectorLost
from director.exchange import register
from director.plan import new_run_id
from director.reach import LAUNCHES_AT_ONCE, About, Contact, contact, contacts, latest_launch
from director.remote import fleet_of, reach
from director.runfolder import RunRecord
from director.spec import AllocationSpec, PoolSpec, SharesSpec, agent_id_of
from tests.helpers import NOON


@pytest.fixture
def run_id():
    return new_run_id()


async def registered(client, run_id, index, *launches):
    """Makes the mailboxes of Directors; nobody answers there."""
    for launch in launches:
        await register(client, DirectorAgent, AgentId(uid=agent_id_of(run_id, index, launch)))


def about(run_id, directors=2):
    record = RunRecord(
        run_id=run_id,
        created_at=NOON,
        allocation=AllocationSpec(),
        shares=SharesSpec(values=(1,) * directors),
        pool=PoolSpec(),
        partitions=[[f"node{index}"] for index in range(directors)],
        workers=[1] * directors,
        agent_ids=["x"] * directors,
        versions={},
    )
    return About(record, "/scratch/run", "node0", {"md": "1"})


@pytest.mark.parametrize("launches", [0, 1, LAUNCHES_AT_ONCE - 1, LAUNCHES_AT_ONCE, LAUNCHES_AT_ONCE + 1, 9])
async def test_the_latest_launching_is_found_however_many_there_were(client, run_id, launches):
    await registered(client, run_id, 0, *range(1, launches + 1))
    assert await latest_launch(client, run_id, 0) == launches
    assert await latest_launch(client, run_id, 1) == 0


async def test_a_launching_that_has_ended_counts_too_since_its_address_is_used_up(client, run_id):
    await registered(client, run_id, 0, 1, 2)
    for launch in (1, 2):
        await client.terminate(AgentId(uid=agent_id_of(run_id, 0, launch)))
    assert await latest_launch(client, run_id, 0) == 2
    found = await contact(client, run_id, 0, timeout_s=10)
    assert (found.launch, found.about, found.ended) == (2, None, True)
    assert "has ended" in found.reason


async def test_launchings_that_were_never_made_known_are_passed_over(client, run_id):
    await registered(client, run_id, 0, 2)
    assert await latest_launch(client, run_id, 0) == 2


async def test_a_director_that_does_not_answer_is_told_from_one_that_was_never_there(client, run_id):
    await registered(client, run_id, 0, 1)
    async with asyncio.timeout(30):
        silent, unknown = await contacts(client, run_id, directors=2, timeout_s=0.5)
    assert (silent.launch, silent.about, silent.ended) == (1, None, False)
    assert silent.reason == "Director 0 did not answer within 0.5 s"
    assert (unknown.launch, unknown.about) == (0, None)
    assert unknown.reason == f"the exchange knows no Director 1 of run {run_id}"


async def test_a_run_that_the_exchange_has_never_heard_of_is_an_error(client, exchange, run_id):
    for directors in (None, 2):
        with pytest.raises(DirectorLost, match=f"the exchange knows no run {run_id}"):
            await contacts(client, run_id, directors=directors)
    with pytest.raises(DirectorLost, match="knows no run"):
        await reach(run_id, exchange)


async def test_without_being_told_how_many_those_count_that_are_known(client, run_id):
    await registered(client, run_id, 0, 1)
    await registered(client, run_id, 1, 1)
    assert [one.index for one in await contacts(client, run_id, timeout_s=0.5)] == [0, 1]


async def test_a_run_of_which_no_director_answers_gives_no_fleet_and_says_why(client, exchange, run_id, monkeypatch):
    monkeypatch.setattr("director.remote.contacts", lambda *args, **more: contacts(*args, **{**more, "timeout_s": 0.5}))
    await registered(client, run_id, 0, 1)
    with pytest.raises(DirectorLost, match=rf"no Director of run {run_id} answers \(Director 0 did not answer within"):
        await reach(run_id, exchange, directors=1)


async def test_a_fleet_knows_from_the_first_which_of_its_directors_are_gone(client, run_id):
    found = [Contact(1, 3, about(run_id, 3)), Contact(0, 2, reason="Director 0 has ended", ended=True)]
    fleet = fleet_of(client, run_id, found, None)
    assert [link.lost.done() for link in fleet.links] == [True, False, True]
    assert fleet.links[0].lost.result() == "Director 0 has ended"
    assert fleet.links[2].lost.result() == f"the exchange knows no Director 2 of run {run_id}"
    assert fleet.record.partitions == [["node0"], ["node1"], ["node2"]]


def test_nobody_gives_no_fleet():
    with pytest.raises(DirectorLost, match="no Director of run r answers"):
        fleet_of(None, "r", [], None)

"""Runs whose Directors are somewhere else: they find their nodes themselves, and outlive their client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import simulations
from director.door import Refused
from director.elsewhere import RunPlan, plan_elsewhere
from director.exchange import LoopbackExchange, connect
from director.launch import DirectorProcess, LocalSite, run_director
from director.launching import LaunchError
from director.ledger import read_ledger
from director.reach import contacts, latest_launch
from director.remote import await_directors, reach
from director.runfolder import RunFolder
from director.runs import deal
from director.spec import ExchangeSpec
from simulations.records import Request
from tests.helpers import mock_request


class Facility(LocalSite):
    """This machine, as one of which the client knows nothing."""

    elsewhere = True

    def __init__(self) -> None:
        self.launched: list[DirectorProcess] = []
        self.ended_at: dict[DirectorProcess, datetime] = {}

    def launch(self, spec):
        director = super().launch(spec)
        self.launched.append(director)
        director.ended.add_done_callback(lambda _: self.ended_at.setdefault(director, datetime.now(UTC)))
        return director


@pytest.fixture
def exchange() -> Iterator[ExchangeSpec]:
    """An exchange that belongs to no run."""
    made = LoopbackExchange().start()
    yield made.spec.model_copy(update={"host": None})
    made.close()


@pytest.fixture
def facility() -> Iterator[Facility]:
    """Where Directors run; they end with the test."""
    made = Facility()
    yield made
    for director in made.launched:
        director.let_go()
    for director in made.launched:
        director.ended.result(timeout=10)


def planned(tmp_path: Path, directors: int = 2, **more) -> RunPlan:
    pool = {"workers_per_node": 1}
    options = {"nodes": directors, "linger_s": 60, "run_folder": str(tmp_path / "there"), "pool": pool}
    return plan_elsewhere(directors=directors, **{**options, **more})


async def sent(plan: RunPlan, exchange: ExchangeSpec, facility: Facility, requests=(), launch: int = 1, only=None):
    """Launches Directors and waits for their answers."""
    launches = dict.fromkeys(range(plan.directors) if only is None else only, launch)
    specs = plan.specs(exchange, launches, requests)
    client = await connect(exchange)
    directors = {spec.index: (launch, facility.launch(spec)) for spec in specs}
    try:
        return await await_directors(client, plan.run_id, directors, wait_s=60)
    finally:
        await client.close()


async def ids(fleet, **how) -> list[str]:
    return sorted([outcome.id async for outcome in fleet.outcomes(**how)])


async def test_a_run_goes_on_without_its_client_and_is_found_again_by_its_name(tmp_path, exchange, facility):
    plan = planned(tmp_path)
    names = [f"r{index}" for index in range(20)]
    requests = deal([mock_request(name, 0.2) for name in names], plan.weights)
    found = await sent(plan, exchange, facility, requests)
    assert [one.about.run_folder for one in found] == [str(tmp_path / "there")] * 2

    fleet = await reach(plan.run_id, exchange)
    async with fleet:
        assert await ids(fleet, follow=True) == sorted(names)
    async with await reach(plan.run_id, exchange, directors=2) as fleet:
        assert await ids(fleet) == sorted(names)
        status = await fleet.status()
    assert [item["finished"] for item in status] == [{"ok": 10}, {"ok": 10}]
    record = RunFolder(tmp_path / "there").read()
    assert (record.run_id, record.partitions) == (plan.run_id, [["local-0"], ["local-1"]])
    token = exchange.token.get_secret_value()
    assert all(token.encode() not in file.read_bytes() for file in (tmp_path / "there").rglob("*") if file.is_file())


async def test_a_director_ends_when_it_has_had_nothing_to_do_for_long_enough(tmp_path, exchange, facility):
    plan = planned(tmp_path, 1, linger_s=0.5)
    await sent(plan, exchange, facility, [(0, mock_request("a"))])
    summary = await asyncio.wrap_future(facility.launched[0].ended)
    assert summary["ok"]
    assert summary["reason"] == "nothing left to run for 0.5 s"
    assert len(read_ledger(tmp_path / "there" / "director-0" / "ledger.sqlite").outcomes) == 1


async def test_a_director_that_is_done_stays_while_another_works(tmp_path, exchange, facility):
    plan = planned(tmp_path, linger_s=3)
    requests = [(0, mock_request("short")), (1, mock_request("long", 8))]
    await sent(plan, exchange, facility, requests)
    async with await reach(plan.run_id, exchange) as fleet:
        finished = {outcome.id: outcome.finished_at async for outcome in fleet.outcomes(follow=True)}
    assert sorted(finished) == ["long", "short"]
    for director in facility.launched:
        assert (await asyncio.wrap_future(director.ended))["reason"] == "nothing left to run for 3 s"
        assert facility.ended_at[director] > finished["long"]


async def test_a_drained_director_ends_when_all_is_done_and_fetched(tmp_path, exchange, facility):
    plan = planned(tmp_path, 1)
    await sent(plan, exchange, facility, [(0, mock_request("a", 0.5)), (0, mock_request("b", 0.5))])
    async with await reach(plan.run_id, exchange) as fleet:
        assert await fleet.drain() == 2
        assert await ids(fleet, follow=True) == ["a", "b"]
        async with asyncio.timeout(20):
            summary = await asyncio.wrap_future(facility.launched[0].ended)
    assert summary["reason"] == "drained: all is done, and fetched"


async def test_a_task_that_is_run_twice_makes_one_director(tmp_path, exchange, facility):
    plan = planned(tmp_path, 1)
    await sent(plan, exchange, facility, [(0, mock_request("a", 3))])
    (spec,) = plan.specs(exchange, {0: 1}, [(0, mock_request("a", 3))])
    twin = facility.launch(spec)
    summary = await asyncio.wrap_future(twin.ended)
    assert (summary["ok"], summary["held"]) == (False, True)
    client = await connect(exchange)
    (one,) = await await_directors(client, plan.run_id, {0: (1, twin)}, wait_s=30)
    await client.close()
    assert one.about.record.run_id == plan.run_id  # of the one that lives
    assert f"process {facility.launched[0].pid} on" in summary["error"]
    async with await reach(plan.run_id, exchange) as fleet:
        assert await ids(fleet, follow=True) == ["a"]
    assert not facility.launched[0].ended.done()


async def test_directors_that_were_killed_are_launched_again_and_every_request_has_one_outcome(
    tmp_path, exchange, facility
):
    plan = planned(tmp_path)
    names = [f"r{index}" for index in range(16)]
    requests = deal([mock_request(name, 0.3) for name in names], plan.weights)
    await sent(plan, exchange, facility, requests)
    async with await reach(plan.run_id, exchange) as fleet:
        async for _ in fleet.outcomes(follow=True):
            break
    os.kill(facility.launched[1].pid, signal.SIGKILL)
    await asyncio.wrap_future(facility.launched[1].ended)

    client = await connect(exchange)
    found = await contacts(client, plan.run_id, directors=2, timeout_s=3)
    assert [one.about is not None for one in found] == [True, False]
    assert await latest_launch(client, plan.run_id, 1) == 1
    await client.close()
    await sent(plan, exchange, facility, requests, launch=2, only=[1])
    async with await reach(plan.run_id, exchange) as fleet:
        assert await ids(fleet, follow=True) == sorted(names)
    ledgers = [read_ledger(tmp_path / "there" / f"director-{index}" / "ledger.sqlite") for index in range(2)]
    assert sorted(json.loads(body)["id"] for reading in ledgers for body in reading.outcomes) == sorted(names)


async def test_users_files_travel_there_and_artifacts_back(tmp_path, exchange, facility):
    (tmp_path / "home").mkdir()
    staging = RunFolder(tmp_path / "laptop")
    staging.inputs.mkdir(parents=True)
    source = tmp_path / "home" / "mine.pdb"
    source.write_bytes((Path(simulations.__file__).parent / "structures" / "alanine-dipeptide.pdb").read_bytes())
    plan = planned(tmp_path, 1)
    await sent(plan, exchange, facility)
    async with await reach(plan.run_id, exchange, staging=staging) as fleet:
        outcome = await fleet.run("md", structure=str(source), steps=10, platform="CPU")
        assert outcome.status == "ok"
        artifact = outcome.artifacts["final_structure"]
        size = await fleet.fetch(artifact, tmp_path / "back" / "final.pdb")
        assert (tmp_path / "back" / "final.pdb").read_bytes() == (tmp_path / "there" / artifact).read_bytes()
        assert size == (tmp_path / "there" / artifact).stat().st_size
        for path in ("run.json", "director-0/ledger.sqlite", "director-0/work/../ledger.sqlite", "/etc/passwd", "../x"):
            with pytest.raises(Refused, match="no artifact"):
                await fleet.fetch(path, tmp_path / "stolen")
    assert not (tmp_path / "stolen").exists()


async def test_a_director_that_cannot_start_says_why_in_its_tasks_result(tmp_path, exchange, facility):
    plan = planned(tmp_path, 1, pool={"launcher": "srun"})
    with pytest.raises(LaunchError, match="srun"):
        await sent(plan, exchange, facility)


async def test_an_exchange_that_is_not_there_is_said_in_the_tasks_result(tmp_path, exchange, facility):
    closed = ExchangeSpec(url="http://127.0.0.1:9", token=exchange.token)
    plan = planned(tmp_path, 1)
    (spec,) = plan.specs(closed, {0: 1})
    summary = await asyncio.wrap_future(facility.launch(spec).ended)
    assert summary["ok"] is False
    assert "http://127.0.0.1:9" in summary["error"]


async def test_a_run_folder_that_cannot_be_made_is_said(tmp_path, exchange, facility):
    (tmp_path / "file").write_text("no folder")
    plan = planned(tmp_path, 1, run_folder=str(tmp_path / "file" / "run"))
    (spec,) = plan.specs(exchange, {0: 1})
    summary = await asyncio.to_thread(run_director, spec)
    assert summary["ok"] is False
    assert "run folder cannot be used" in summary["error"]


@pytest.mark.parametrize(
    ("more", "where"),
    [({"shares": [1, 2, 3]}, "shares"), ({"sizes": [1, 5]}, "shares"), ({"directors": 5, "nodes": 2}, "shares")],
)
def test_what_cannot_be_shared_out_is_refused_before_anything_is_sent(more, where):
    with pytest.raises(Refused):
        plan_elsewhere(**{"directors": 2, "nodes": 4, **more})


def test_requests_are_dealt_in_proportion():
    dealt = deal([Request(tool="mock_md") for _ in range(12)], [1, 2])
    assert [index for index, _ in dealt].count(1) == 8
    assert dealt[0][0] == 1

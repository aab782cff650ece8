"""The real thing: Directors as processes, Parsl, Academy, SQLite."""

import asyncio
import json
import math
import socket

import pytest
from academy.exception import DeserializationMethodProhibitedError
from academy.handle import Handle
from academy.identifier import AgentId
from academy.serialize import SerializationStrategy

from director import DirectorLost, Fleet, LaunchError, Refused, Request, sweep
from director.call import WoundDown
from director.exchange import factory_of
from director.history import read_history
from director.launch import DirectorProcess, LocalSite
from director.runfolder import RunFolder


async def collect(stream):
    return [outcome async for outcome in stream]


async def test_two_directors_run_on_their_own_partitions_at_the_same_time(tmp_path):
    async with Fleet.launch(directors=2, nodes=4, run_dir=tmp_path / "run", workers_per_node=1) as fleet:
        requests = sweep("mock_md", duration_s=0.2, seed=range(24))
        outcomes = await collect(fleet.map(requests))
        statuses = await fleet.status()
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert {outcome.host for outcome in outcomes} == {"local-0", "local-1", "local-2", "local-3"}
    for outcome in outcomes:
        assert outcome.partition == [["local-0", "local-1"], ["local-2", "local-3"]][outcome.director]
        assert outcome.host in outcome.partition
        assert outcome.result["host"] == outcome.host
    spans = {index: [(o.started_at, o.finished_at) for o in outcomes if o.director == index] for index in (0, 1)}
    assert min(begin for begin, _ in spans[0]) < max(end for _, end in spans[1])
    assert min(begin for begin, _ in spans[1]) < max(end for _, end in spans[0])
    assert [status["workers_up"] for status in statuses] == [2, 2]
    assert sum(status["finished"]["ok"] for status in statuses) == 24


async def test_outcomes_belong_to_their_requests_and_are_in_the_ledgers_once(tmp_path):
    async with Fleet.launch(directors=2, nodes=2, run_dir=tmp_path / "run") as fleet:
        requests = sweep("mock_md", duration_s=0.0, seed=range(3000))
        outcomes = await collect(fleet.map(requests))
    seeds = {request.id: request.inputs["seed"] for request in requests}
    assert {outcome.id: outcome.inputs["seed"] for outcome in outcomes} == seeds
    assert len(outcomes) == 3000
    history = read_history(RunFolder(tmp_path / "run"))
    assert sorted(outcome.id for outcome in history.outcomes) == sorted(seeds)
    assert history.record.closed_at is not None


async def test_outcomes_come_in_the_order_of_completion(tmp_path):
    async with Fleet.launch(directors=2, nodes=2, run_dir=tmp_path / "run") as fleet:
        requests = [Request(tool="mock_md", inputs={"duration_s": seconds}) for seconds in (2.0, 0.1)]
        outcomes = await collect(fleet.map(requests))
    assert [outcome.inputs["duration_s"] for outcome in outcomes] == [0.1, 2.0]


async def test_single_calls_made_together_all_get_their_own_answer(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        outcomes = await asyncio.gather(*(fleet.run("mock_md", duration_s=0, seed=seed) for seed in range(200)))
    assert [outcome.inputs["seed"] for outcome in outcomes] == list(range(200))


async def test_nothing_is_started_when_any_request_of_a_map_is_refused(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        bad = [Request(tool="mock_md", inputs={"duration_s": 0}), Request(tool="nmr")]
        with pytest.raises(Refused, match=r"requests\[1\].tool"):
            await collect(fleet.map(bad))
        with pytest.raises(Refused, match="duration_s"):
            await fleet.run("mock_md", duration_s=-1)
        assert (await fleet.run("mock_md", duration_s=0)).status == "ok"
        (status,) = await fleet.status()
    assert status["finished"] == {"ok": 1}


async def test_a_running_and_a_queued_request_are_cancelled(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run", workers_per_node=1) as fleet:
        requests = [Request(id=f"r{index}", tool="mock_md", inputs={"duration_s": 600}) for index in range(5)]
        stream = asyncio.create_task(collect(fleet.map(requests)))
        async with asyncio.timeout(60):
            while not (await fleet.status())[0]["running"]:
                await asyncio.sleep(0.05)
            await asyncio.sleep(1.5)
            answers = await fleet.cancel([request.id for request in requests])
            outcomes = await stream
    assert set(answers.values()) == {"stopping", "cancelled"}
    assert {outcome.status for outcome in outcomes} == {"cancelled"}
    assert len(outcomes) == 5


async def test_attaching_to_a_run_from_elsewhere(tmp_path):
    folder = tmp_path / "run"
    async with Fleet.launch(run_dir=folder) as fleet:
        async with await Fleet.attach(folder) as other:
            outcome = await other.run("mock_md", duration_s=0)
            assert (await other.status())[0]["finished"] == {"ok": 1}
        # Whoever attached has left; the run goes on.
        assert (await fleet.run("mock_md", duration_s=0)).id != outcome.id
    with pytest.raises(Refused, match="is not open"):
        await Fleet.attach(folder)


async def test_a_run_whose_exchange_is_another_machines_is_not_asked_here(tmp_path):
    """Whoever listens at that port here is somebody else, and must not get the run's token."""
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        file = fleet.folder.exchange_file
        file.write_text(file.read_text().replace(socket.gethostname(), "node1"))
        with pytest.raises(DirectorLost, match="can be reached on node1 only"):
            await Fleet.attach(tmp_path / "run")


async def test_a_director_without_workers_is_sent_nothing_while_others_have_some(tmp_path):
    async with Fleet.launch(2, run_dir=tmp_path / "run", workers_per_node=1) as fleet:
        fleet.links[1].hopeless = "all its nodes are lost"  # until its next page, which says otherwise
        outcomes = await asyncio.gather(*(fleet.run("mock_md", duration_s=0.1) for _ in range(4)))
    assert {outcome.director for outcome in outcomes} == {0}


async def test_a_draining_fleet_accepts_nothing_more(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        assert await fleet.drain() == 0
        with pytest.raises(WoundDown, match="Director 0 is draining"):
            await fleet.run("mock_md", duration_s=0)


async def test_actions_of_the_director_take_and_return_plain_data(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        client = await factory_of(fleet.folder.read_exchange()).create_user_client()
        agent_id = AgentId(uid=fleet.record.agent_ids[0])
        handle = Handle(agent_id, exchange=client, ignore_context=True, request_serializer=SerializationStrategy.JSON)
        tools = {tool["name"] for tool in await handle.tools()}
        ran = await handle.action("run", "mock_md", {"duration_s": 0})
        refused = await handle.action("run", "mock_md", {"duration_s": -1})
        md_refused = await handle.md_sim({"structure": "nowhere.pdb", "steps": 10})
        batch = await handle.md_sim_batch([{"structure": "alanine-dipeptide", "steps": 5, "seed": s} for s in (1, 2)])
        half = await handle.submit([{"tool": "mock_md", "inputs": {"duration_s": 0}}, {"tool": "nmr"}, {"toool": 1}])
        page = await handle.outcomes(0, 2, 1.0)
        await client.close()
    assert {"md", "mock_md"} <= tools
    assert ran["status"] == "ok"
    assert refused["refused"][0]["where"] == "requests[0].inputs.duration_s"
    assert "neither shipped nor staged" in md_refused["refused"][0]["message"]
    assert [(outcome["status"], outcome["inputs"]["seed"]) for outcome in batch] == [("ok", 1), ("ok", 2)]
    assert half["ids"][0] is not None
    assert half["ids"][1:] == [None, None]
    assert [item["index"] for item in half["refused"]] == [1, 2]
    assert len(page["outcomes"]) == 2
    json.dumps([ran, refused, batch, half, page])


async def test_pickled_arguments_are_not_taken(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        client = await factory_of(fleet.folder.read_exchange()).create_user_client()
        agent_id = AgentId(uid=fleet.record.agent_ids[0])
        handle = Handle(agent_id, exchange=client, ignore_context=True, request_serializer=SerializationStrategy.PICKLE)
        with pytest.raises(DeserializationMethodProhibitedError):
            async with asyncio.timeout(20):
                await handle.cancel(["x"])
        await client.close()
        # The attempt did no harm.
        assert (await fleet.run("mock_md", duration_s=0)).status == "ok"


async def test_the_same_request_sent_twice_runs_once(tmp_path):
    request = Request(id="once", tool="mock_md", inputs={"duration_s": 0.1})
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        (link,) = fleet.links
        await asyncio.gather(link.post(request), link.post(request))
        await fleet.run("mock_md", duration_s=0.3)
        await link.post(request)
        await fleet.run("mock_md", duration_s=0.3)
    assert [outcome.id for outcome in read_history(RunFolder(tmp_path / "run")).outcomes].count("once") == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"directors": 5, "nodes": 4}, "5 Directors cannot share 4 nodes"),
        ({"directors": 0, "nodes": 4}, "at least 1"),
        ({"directors": 2, "nodes": 4, "shares": [1]}, "1 entries for 2 Directors"),
        ({"directors": 2, "nodes": 4, "shares": [1, -1]}, "entry 1 is -1"),
        ({"directors": 2, "nodes": 4, "sizes": [1, 2]}, "add up to 3"),
        ({"directors": 2, "nodes": 4, "sizes": [1, 3], "shares": [1, 1]}, "both"),
        ({"directors": 1, "nodes": 5000}, "5000 logical nodes"),
        ({"directors": 1, "nodes": 2.5}, "whole number"),
        ({"directors": 1, "nodes": 1, "workers_per_node": 0}, "workers_per_node"),
    ],
)
async def test_what_cannot_be_launched_is_refused_before_anything_starts(tmp_path, more, message):
    with pytest.raises(Refused, match=message):
        await Fleet.launch(run_dir=tmp_path / "run", **more)
    assert not (tmp_path / "run").exists()


async def test_a_run_folder_in_use_is_refused_and_unharmed(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run") as fleet:
        with pytest.raises(Refused, match="already holds a run"):
            await Fleet.launch(run_dir=tmp_path / "run")
        assert (await fleet.run("mock_md", duration_s=0)).status == "ok"


async def test_a_director_that_cannot_start_says_why(tmp_path):
    class BrokenSite(LocalSite):
        def launch(self, spec):
            return DirectorProcess(spec.model_copy(update={"run_folder": "/proc/nowhere"}))

    with pytest.raises((LaunchError, OSError)):
        await Fleet.launch(run_dir=tmp_path / "run", site=BrokenSite())


async def test_a_director_whose_process_fails_at_start_ends_the_launch_with_its_log(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "academy.py").write_text("raise ImportError('academy is broken here')\n")
    with pytest.raises(LaunchError, match="academy is broken here"):
        await Fleet.launch(run_dir=tmp_path / "run")


async def test_shares_by_weight(tmp_path):
    async with Fleet.launch(directors=3, nodes=4, shares=[1, 1, 2], run_dir=tmp_path / "run") as fleet:
        assert [len(hosts) for hosts in fleet.record.partitions] == [1, 1, 2]
        outcomes = await collect(fleet.map(sweep("mock_md", duration_s=0.1, seed=range(12))))
    assert {outcome.director for outcome in outcomes} == {0, 1, 2}


async def test_losing_a_director_is_said_and_what_it_had_accepted_is_in_its_ledger(tmp_path):
    async with Fleet.launch(run_dir=tmp_path / "run", relaunches=0) as fleet:
        stream = asyncio.create_task(collect(fleet.map(sweep("mock_md", duration_s=30, seed=range(4)))))
        async with asyncio.timeout(60):
            while not (await fleet.status())[0]["running"]:
                await asyncio.sleep(0.05)
            fleet._owned.directors[0].kill()
            with pytest.raises(DirectorLost, match="SIGKILL"):
                await stream
            with pytest.raises(DirectorLost, match="SIGKILL"):
                await fleet.run("mock_md", duration_s=0)
        assert (await fleet.status())[0]["state"] == "lost"
    (reading,) = read_history(RunFolder(tmp_path / "run")).readings
    assert (reading.accepted, len(reading.outcomes)) == (4, 0)


async def test_real_molecular_dynamics_through_two_directors(tmp_path):
    requests = sweep(
        "md", structure="ala10", steps=200, report_interval_steps=50, temperature_k=[290, 310], seed=range(1, 5)
    )
    async with Fleet.launch(directors=2, nodes=4, run_dir=tmp_path / "run") as fleet:
        outcomes = await collect(fleet.map(requests))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    assert {outcome.director for outcome in outcomes} == {0, 1}
    for outcome in outcomes:
        assert outcome.result["steps"] == 200
        assert outcome.result["n_frames"] == 4
        assert math.isfinite(outcome.result["potential_energy_kj_mol"]["mean"])
        assert set(outcome.artifacts) >= {"trajectory", "topology", "state_table", "checkpoint", "final_structure"}
        for name in outcome.artifacts.values():
            assert (tmp_path / "run" / name).stat().st_size > 0
        assert outcome.versions["openmm"]


async def test_a_simulation_that_blows_up_is_one_failed_outcome(tmp_path):
    hot = Request(
        tool="md",
        inputs={
            "structure": "ala10",
            "steps": 2000,
            "minimize": False,
            "timestep_fs": 5,
            "constraints": "none",
            "temperature_k": 2000,
            "friction_per_ps": 0.001,
        },
    )
    fine = Request(tool="md", inputs={"structure": "alanine-dipeptide", "steps": 100})
    async with Fleet.launch(directors=2, nodes=2, run_dir=tmp_path / "run") as fleet:
        outcomes = {outcome.id: outcome async for outcome in fleet.map([hot, fine])}
    assert outcomes[fine.id].status == "ok"
    assert outcomes[hot.id].status == "failed"
    assert 0 < outcomes[hot.id].error.details["step"] <= 2000
    assert "timestep_fs" in outcomes[hot.id].error.hint


async def test_workers_own_accelerators_and_nodes_say_so(tmp_path):
    async with Fleet.launch(
        nodes=2, run_dir=tmp_path / "run", accelerators=["0.0", "0.1"], pool={"workers_per_accelerator": 1}
    ) as fleet:
        outcomes = [outcome async for outcome in fleet.map(sweep("mock_md", duration_s=0.3, seed=range(12)))]
        (status,) = await fleet.status()
    assert {(outcome.worker, outcome.accelerator) for outcome in outcomes} == {
        ("local-0/0", "0.0"), ("local-0/1", "0.1"), ("local-1/0", "0.0"), ("local-1/1", "0.1")
    }  # fmt: skip
    assert [(node["state"], node["workers"], node["accelerators"]) for node in status["nodes"]] == [
        ("up", 2, ["0.0", "0.1"])
    ] * 2
    assert all(node["since"] for node in status["nodes"])


async def test_a_fleet_in_a_job_takes_the_jobs_nodes_or_none(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "node[1-2]")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "3")
    with pytest.raises(Refused, match="SLURM_JOB_NUM_NODES"):
        await Fleet.launch(run_dir=tmp_path / "run")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    monkeypatch.setenv("SLURM_JOB_CPUS_PER_NODE", "4(x2)")
    with pytest.raises(Refused, match="3 Directors cannot share 2 nodes"):
        await Fleet.launch(3, run_dir=tmp_path / "run", pool={"launcher": "openmpi"})
    assert not (tmp_path / "run").exists()

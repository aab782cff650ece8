"""Launching one Director by its spec alone, as every Site does."""

import asyncio
import json
import re
import stat
import subprocess
import sys
import uuid

import pytest
from academy.handle import Handle
from academy.identifier import AgentId
from academy.serialize import SerializationStrategy

from director import DirectorSpec, run_director
from director.agent import DirectorAgent
from director.exchange import LoopbackExchange
from director.plan import allocation_spec, director_specs, plan, pool_spec
from director.runfolder import RunFolder
from director.starting import connect
from director.terms import Terms


def recorded(directors, **options):
    pool = pool_spec({"workers_per_node": 1, **options})
    return plan(directors=directors, allocation=allocation_spec("local", directors), pool=pool).record()


@pytest.fixture
def exchange():
    made = LoopbackExchange().start()
    yield made
    made.close()


async def test_a_director_runs_from_json_until_it_is_closed(tmp_path, exchange):
    record = recorded(2, threads_per_worker=2)
    folder = RunFolder(tmp_path / "run")
    folder.create(record)
    spec = director_specs(record, str(folder.path), exchange.spec)[1]
    text = spec.model_dump_json()
    assert DirectorSpec.model_validate_json(text) == spec

    client = await connect(exchange.spec)
    agent_id = AgentId(uid=uuid.UUID(record.agent_ids[1]))
    await client._transport.register_as(DirectorAgent, agent_id)
    running = asyncio.create_task(asyncio.to_thread(run_director, text))
    handle = Handle(agent_id, exchange=client, ignore_context=True, request_serializer=SerializationStrategy.JSON)
    outcome = await handle.action("run", "md", {"structure": "alanine-dipeptide", "steps": 10, "platform": "CPU"})
    await handle.action("close")
    async with asyncio.timeout(10):
        summary = await running
    await client.close()

    assert (summary["director"], summary["ok"], summary["reason"]) == (1, True, "closed by its client")
    assert (summary["done"], summary["open"]) == (1, 0)
    assert (outcome["status"], outcome["partition"], outcome["host"]) == ("ok", ["local-1"], "local-1")
    assert outcome["result"]["threads"] == 2
    # Parsl's traffic is encrypted, and the keys are the owner's alone.
    keys = list(folder.director(1).rglob("*.key_secret"))
    assert keys
    assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)
    assert exchange.spec.token.get_secret_value() not in (folder.director(1) / "director.log").read_text()


@pytest.mark.parametrize("text", ["{}", '{"run_id": 1}', "no json"])
def test_a_spec_that_is_not_one_is_refused(text):
    with pytest.raises(ValueError, match="validation error"):
        run_director(text)


def test_a_director_whose_spec_cannot_be_met_says_why(tmp_path, exchange):
    record = recorded(1)
    (spec,) = director_specs(record, str(tmp_path / "run"), exchange.spec, Terms(memory_ledger=True))
    broken = json.loads(spec.model_dump_json()) | {"shares": {"kind": "size", "values": [7]}}
    summary = run_director(broken)
    assert summary["ok"] is False
    assert "add up to 7" in summary["error"]


def test_the_log_says_what_each_worker_owns(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ONE_RUN, str(tmp_path / "run")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "run" / "director-0" / "director.log").read_text()
    assert re.search(r"workers have begun: local-0/0 on \S+ with cores [0-9,]+ and accelerator 0\.0", log), log


ONE_RUN = """
import asyncio, sys
from director import Fleet
async def main():
    async with Fleet.launch(run_dir=sys.argv[1], accelerators=["0.0"]) as fleet:
        await fleet.run("mock_md", duration_s=1.5)
asyncio.run(main())
"""

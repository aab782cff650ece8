"""Reasoners as Academy agents: in one process, launched by the client, and launched by the Directors."""

import asyncio
import json
import os
import signal
import uuid

import pytest
from academy.identifier import AgentId

from director.call import Caller
from director.fleet import Fleet
from tests.agent_runs.test_reasoner import Client, evaluated
from tests.helpers import processes_naming, wait_until
from tests.llm.minds_reasoner import reasoner

pytestmark = pytest.mark.timeout(900)  # many processes that start, on a machine that may be busy

SEEDS = ("--seed-molecule", "CNC(N)=O", "--seed-molecule", "CC1=C(O)N=C(O)N1")


def run(folder, server, agents, *words):
    place = folder / agents
    client = Client(folder, server, *SEEDS, "--agents", agents, "--directors", 2, "--rounds", 2, "--calls", 3,
                    "--run-dir", place, *words)  # fmt: skip
    return place, client


def test_wherever_reasoners_are_launched_their_outcomes_are_the_same(llm, tmp_path):
    server = llm(reasoner)
    found = {}
    for agents in ("here", "client", "directors"):
        place, client = run(tmp_path, server, agents)
        summary = client.ends(0)
        assert [len([o for o in summary["outcomes"] if o["reasoner"] == f"reasoner-{n}"]) for n in (0, 1)] == [6, 6]
        found[agents] = {
            name: (outcome.inputs["smiles"], outcome.result["ionization_energy_ev"])
            for name, outcome in evaluated(place).items()
        }
        wait_until(lambda place=place: not processes_naming(str(place)), 60, "all processes to end")
    assert len(found["here"]) == 12
    assert found["here"] == found["client"] == found["directors"]


async def asked_about(place):
    """What the Directors say of their reasoners, and what these say of themselves, by the reasoners' names."""
    async with await Fleet.attach(place) as fleet:
        said = {}
        for link in fleet.links:
            for name, one in (await link.call("reasoners")).items():
                caller = Caller(0, AgentId(uid=uuid.UUID(one["address"])), fleet._client)
                said[name] = (link.index, one["pid"], await caller.call("about"))
        return said


def test_reasoners_of_directors_go_on_when_all_were_killed(llm, tmp_path):
    server = llm(reasoner, delay_s=0.3)
    place, client = run(tmp_path, server, "directors")
    wait_until(lambda: "critique" in client.err.read_text() or client.process.poll() is not None, 300, "a round")
    assert client.process.poll() is None, client.err.read_text()
    for name, (director, pid, about) in asyncio.run(asked_about(place)).items():
        assert (about["reasoner"], about["launched_by"], about["pid"]) == (name, f"director-{director}", pid)
        assert about["counts"]["questions"] >= 1
    logs = sorted((place / "reasoners").glob("*.log"))
    assert [log.stem for log in logs] == ["reasoner-0", "reasoner-1"]
    os.kill(client.process.pid, signal.SIGKILL)
    client.process.communicate()
    wait_until(lambda: not processes_naming(str(place)), 100, "the Directors and their reasoners to end")
    before, asked = evaluated(place), len(server.log)
    summary = Client(tmp_path, server, "--resume", place).ends(0)
    after = evaluated(place)
    assert before
    assert before.items() <= after.items()
    assert len(after) == summary["simulations"] == 12
    questions = sum(one["questions"] for one in summary["reasoners"])
    assert questions <= len(server.log) <= questions + 2
    assert len(server.log) > asked
    assert json.loads((place / "reasoning.json").read_text())["agents"] == "directors"

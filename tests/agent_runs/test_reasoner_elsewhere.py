"""Reasoners on Directors that somebody else holds open: of a laptop, say, at a facility. They go on without them."""

import asyncio

import pytest

from director import Fleet
from director.reasoning.elsewhere import OUTCOMES_FILE
from tests.agent_runs.test_reasoner import SEEDS, Client, asked, evaluated
from tests.helpers import wait_until
from tests.llm.minds_reasoner import reasoner
from tests.llm.server import LLMServer, Settings

pytestmark = pytest.mark.timeout(900)

MOLECULES = 8


async def test_reasoners_use_the_directors_of_an_open_run_and_go_on_after_a_kill(tmp_path):
    run, own = tmp_path / "run", tmp_path / "own"
    seeds = [word for smiles in SEEDS for word in ("--seed-molecule", smiles)]
    with LLMServer(Settings(reasoner)) as server:
        async with Fleet.launch(2, 2, run_dir=run, workers_per_node=1) as fleet:
            first = Client(tmp_path, server, *seeds, "--molecules", MOLECULES, "--run", run, "--run-dir", own)
            over = first.process.poll
            await asyncio.to_thread(
                wait_until, lambda: asked(server, "conclude") or over() is not None, 200, "a first round"
            )
            assert over() is None, first.err.read_text()
            first.kill()
            before = evaluated(run)
            (own / OUTCOMES_FILE).open("ab").write(b'\n{"id": "cut off')
            summary = await asyncio.to_thread(Client(tmp_path, server, "--resume", own).ends, 0)
            assert (await fleet.run("mock_md", duration_s=0.0)).status == "ok"  # they are still there
    after = evaluated(run)
    assert before.items() <= after.items()
    ours = {one["id"]: one for one in summary["outcomes"]}
    assert len(ours) == summary["simulations"] == MOLECULES
    assert ours.keys() <= after.keys()
    assert not any(after[name].reused_from for name in ours)
    assert {after[name].director for name in ours} == {0, 1}
    for row in summary["best"]:
        assert row["ionization_energy_ev"] == after[row["id"]].result["ionization_energy_ev"]
    assert not (own / "run.json").exists()


def test_agents_in_processes_of_their_own_need_a_run_of_their_own(tmp_path):
    with LLMServer(Settings(reasoner)) as server:
        client = Client(tmp_path, server, "--seed-molecule", SEEDS[0], "--run", tmp_path, "--agents", "client")
        client.process.communicate(timeout=100)
        assert client.process.returncode == 2
        assert "belong to a run of their own" in client.err.read_text()
        assert not server.log

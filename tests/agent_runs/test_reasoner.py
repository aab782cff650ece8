"""``director reason`` for real: two reasoners, two Directors, GFN2-xTB, and a client that is killed.

The model is the loopback server, whose replies are computed from what it is asked. So this shows that the right numbers
reach the model, and that nothing is run or asked twice. It shows nothing of a model's judgement.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from director.history import read_history
from director.reasoning.running import kept_by, prepared
from director.reasoning.spec import read_spec
from director.runfolder import RunFolder
from tests.agent_runs.energies import ionization_energies_ev
from tests.helpers import processes_naming, wait_until
from tests.llm.minds_reasoner import data, name_of, reasoner, step_of

pytestmark = pytest.mark.timeout(900)  # many processes that start, on a machine that may be busy

MOLECULES = 21
SEEDS = ("CNC(N)=O", "CC1=C(O)N=C(O)N1")
CLOSE_EV = 1e-3
"""A relaxation that ends at forces of 0.005 eV/Å leaves an energy difference open by about this much."""


class Client:
    """``director reason`` in a process of its own."""

    def __init__(self, folder, server, *words):
        self.err = folder / f"err-{len(list(folder.iterdir()))}"
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "DIRECTOR_LLM_BASE_URL": server.base_url,
            "DIRECTOR_LLM_MODEL": "any",
        }
        command = [sys.executable, "-m", "director", "reason", *map(str, words), "--json"]
        with self.err.open("wb") as err:
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=err)

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def ends(self, code):
        out, _ = self.process.communicate(timeout=600)
        assert self.process.returncode == code, self.err.read_text()
        assert "Traceback" not in self.err.read_text()
        return json.loads(out)


def asked(server, step):
    return [one for one in server.log if one.status == 200 and step_of(one.chat) == step]


def evaluated(run):
    """What the ledgers hold, by id; fails if a Request has two Outcomes."""
    found = read_history(RunFolder(run)).outcomes
    assert len({outcome.id for outcome in found}) == len(found)
    return {outcome.id: outcome for outcome in found}


def states(run):
    return [one.state for one in asyncio.run(kept_by(run, prepared(run, read_spec(run))[1]))]


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory):
    from tests.llm.server import LLMServer, Settings

    folder = tmp_path_factory.mktemp("reason")
    run = folder / "run"
    seeds = [word for smiles in SEEDS for word in ("--seed-molecule", smiles)]
    with LLMServer(Settings(reasoner)) as server:
        first = Client(folder, server, *seeds, "--reasoners", 2, "--molecules", MOLECULES, "--directors", 2,
                       "--workers-per-node", 1, "--run-dir", run)  # fmt: skip
        wait_until(lambda: len(asked(server, "critique")) >= 2 or first.process.poll() is not None, 200, "two rounds")
        assert first.process.poll() is None, first.err.read_text()
        first.kill()
        wait_until(lambda: not processes_naming(str(run)), 100, "the Directors to end with their client")
        before, kept, log = evaluated(run), states(run), len(server.log)
        summary = Client(folder, server, "--resume", run).ends(0)
        yield run, server, before, kept, log, summary


def test_two_reasoners_have_their_molecules_run_by_two_directors(killed_and_resumed):
    run, _, _, _, _, summary = killed_and_resumed
    assert summary["simulations"] == MOLECULES
    assert {one["reasoner"] for one in summary["outcomes"]} == {"reasoner-0", "reasoner-1"}
    outcomes = evaluated(run)
    assert {outcome.director for outcome in outcomes.values()} == {0, 1}
    assert {outcome.inputs["smiles"] for outcome in outcomes.values()} >= {"CNC(N)=O", "Cc1[nH]c(O)nc1O"}
    assert len({outcome.key for outcome in outcomes.values()}) == MOLECULES


def test_nothing_is_evaluated_twice_when_the_client_is_killed(killed_and_resumed):
    run, _, before, _, _, summary = killed_and_resumed
    after = evaluated(run)
    assert before
    assert before.items() <= after.items()
    assert set(after) == {one["id"] for one in summary["outcomes"]}
    assert not any(outcome.reused_from for outcome in after.values())


def test_no_finished_step_is_asked_again_when_the_client_is_killed(killed_and_resumed):
    run, server, _, kept, log, _ = killed_and_resumed
    # Of each reasoner, at most the one question is repeated that was being answered, or whose answer was being kept.
    assert 0 <= log - sum(state["counts"]["questions"] for state in kept) <= len(kept)
    assert 0 <= len(server.log) - sum(state["counts"]["questions"] for state in states(run)) <= len(kept)


def test_every_energy_that_models_were_sent_is_that_of_an_independent_calculation(killed_and_resumed):
    run, server, _, _, _, _ = killed_and_resumed
    outcomes = evaluated(run)
    sent = {}
    for one in server.log:
        told = [json.loads(text) for _, _, text in one.chat.tool_results()]
        shown = [*data(one.chat, "Your results (data)"), *data(one.chat, "Best results of other reasoners (data)")]
        for result in (item for item in (*told, *shown) if "result" in item):
            sent.setdefault((result["id"], result["smiles"]), set()).add(result["result"]["ionization_energy_ev"])
    assert len(sent) >= 20
    computed_ev = ionization_energies_ev(sorted({smiles for _, smiles in sent}))
    for (name, smiles), values in sent.items():
        assert outcomes[name].inputs["smiles"] == smiles
        assert values == {outcomes[name].result["ionization_energy_ev"]}
        assert values.pop() == pytest.approx(computed_ev[smiles], abs=CLOSE_EV), smiles


def test_reasoners_see_what_the_others_found_and_concluded(killed_and_resumed):
    _, server, _, _, _, _ = killed_and_resumed
    last = {name_of(one.chat): one.chat for one in server.log}
    for name, chat in last.items():
        other = "reasoner-1" if name == "reasoner-0" else "reasoner-0"
        assert data(chat, "Latest conclusions of other reasoners (data)")[other].startswith(f"[{other}] conclude")
        assert data(chat, "Best results of other reasoners (data)")


def test_the_report_shows_the_best_five_by_their_ids(killed_and_resumed):
    run, _, _, _, _, summary = killed_and_resumed
    outcomes = evaluated(run)
    ranked = sorted(outcomes.values(), key=lambda outcome: -outcome.result["ionization_energy_ev"])[:5]
    assert [row["id"] for row in summary["best"]] == [outcome.id for outcome in ranked]
    page, text = (run / "reasoning.html").read_text(), (run / "reasoning.md").read_text()
    for outcome in ranked:
        assert outcome.id in page
        assert f"| {outcome.result['ionization_energy_ev']!r} | `{outcome.id}` |" in text


def test_resuming_what_has_ended_runs_and_asks_nothing(killed_and_resumed, tmp_path):
    run, server, _, _, _, summary = killed_and_resumed
    log = len(server.log)
    assert Client(tmp_path, server, "--resume", run).ends(0) == summary
    assert len(server.log) == log


def test_ctrl_c_ends_in_order_and_leaves_no_process(llm, tmp_path):
    server = llm(reasoner, delay_s=0.2)
    run = tmp_path / "run"
    client = Client(tmp_path, server, "--seed-molecule", "CO", "--molecules", 40, "--rounds", 30, "--run-dir", run)
    wait_until(lambda: asked(server, "conclude") or client.process.poll() is not None, 200, "a round")
    client.process.send_signal(signal.SIGINT)
    document = client.ends(130)
    assert document["simulations"] >= 1
    assert f"director reason --resume {run}" in client.err.read_text()
    wait_until(lambda: not processes_naming(str(run)), 60, "all processes to end")

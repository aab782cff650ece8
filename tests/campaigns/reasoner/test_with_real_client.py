"""Reasoners with the real client (`ChatOpenAI`) against the loopback server, with everything that goes wrong there.

The evaluation is the real Tool in this process. What is asserted: what was sent, and what was run.
"""

import asyncio
import json

import pytest

from campaigns.llm import LanguageSettings, OpenAIModel
from campaigns.reasoner import Limits, MoleculeSubject, Steps, run_crew
from simulations.ionization import TOOL
from simulations.records import Outcome, Status
from tests.campaigns.reasoner.made import NOON
from tests.llm.minds import INJECTION
from tests.llm.minds_reasoner import deceived, reasoner, silent, step_of
from tests.llm.talk import Fault

ENERGIES = {"CO": 15.458, "CNC(N)=O": 14.115}


class Table:
    """Gives energies that depend on the molecule alone."""

    def __init__(self, note=""):
        self.asked = []
        self._note = note
        self._done = asyncio.Queue()

    async def submit(self, requests):
        for request in requests:
            self.asked.append(request.inputs["smiles"])
            energy = ENERGIES.get(self.asked[-1], 10.0 + len(self.asked[-1]))
            result = {"ionization_energy_ev": energy, "smiles": self.asked[-1]} | (
                {"note": self._note} if self._note else {}
            )
            self._done.put_nowait(
                Outcome(id=request.id, key="0" * 64, tool=TOOL.name, tool_version="1", status=Status.OK,
                        inputs=request.inputs, result=result, director=0, partition=["here"], submitted_at=NOON,
                        finished_at=NOON)
            )  # fmt: skip

    async def next(self):
        return await self._done.get()

    async def close(self):
        """Has nothing to end."""


def run(server, tmp_path, *, evaluate=None, key=None, reasoners=1, **limits):
    settings = LanguageSettings(base_url=server.base_url, model="any", retry_wait_s=0.01, timeout_s=60)
    steps = Steps(MoleculeSubject(TOOL), Limits(**{"rounds": 2, **limits}), tmp_path)
    seeds = {f"reasoner-{index}": {"smiles": "CNC(N)=O"} for index in range(reasoners)}
    made = evaluate or Table()
    ended = asyncio.run(
        run_crew(steps, seeds, lambda name: OpenAIModel(settings, key, agent=name), made, tmp_path / "steps.sqlite")
    )
    return ended, made


def told(server):
    return [json.loads(text) for one in server.log if one.status == 200 for _, _, text in one.chat.tool_results()]


def test_the_energies_that_are_sent_are_those_of_the_molecules(llm, tmp_path):
    server = llm(reasoner)
    [ended], evaluate = run(server, tmp_path)
    assert ended.failure == ""
    assert len(evaluate.asked) == 8
    results = [one for one in told(server) if "result" in one]
    assert {one["smiles"] for one in results} == set(evaluate.asked)
    for one in results:
        assert one["result"]["ionization_energy_ev"] == ENERGIES.get(one["smiles"], 10.0 + len(one["smiles"]))
    assert [step_of(one.chat) for one in server.log] == [
        "plan", "tool_calling", "conclude", "critique", "update", "tool_calling", "conclude"
    ]  # fmt: skip


CALLING = "Call the tool now"


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        (Fault("no_tool_call", containing=CALLING), {"no_call"}),
        (Fault("malformed_json", containing=CALLING), {"malformed"}),
        (Fault("unknown_tool", containing=CALLING), {"unknown_tool"}),
        (Fault("duplicate_call", containing=CALLING), {"duplicate"}),
        (Fault("out_of_range", containing=CALLING, arguments={"smiles": "C(C"}), {"invalid"}),
        (Fault("rate_limit", at=1), set()),
        (Fault("server_error", at=2), set()),
        (Fault("dropped", at=1), set()),
        (Fault("nonsense", at=0), set()),
    ],
)
def test_each_fault_is_answered_or_tried_again_and_the_reasoner_goes_on(llm, tmp_path, fault, counted):
    server = llm(reasoner, faults=[fault])
    [ended], evaluate = run(server, tmp_path, rounds=1)
    assert ended.failure == ""
    assert ended.state["next"] == "end"
    assert counted <= set(ended.state["counts"]["refused"])
    assert 1 <= len(evaluate.asked) == len(set(evaluate.asked))
    if counted - {"no_call", "duplicate"}:
        assert any(one.get("status") == "refused" for one in told(server))


def test_a_model_that_only_talks_is_asked_so_often_and_no_more(llm, tmp_path):
    server = llm(silent)
    [ended], evaluate = run(server, tmp_path, rounds=9, questions_per_round=2)
    assert evaluate.asked == []
    assert ended.state["counts"]["refused"] == {"no_call": 4}
    assert sum(step_of(one.chat) == "tool_calling" for one in server.log) == 4


def test_an_instruction_inside_a_result_changes_nothing_but_text(llm, tmp_path):
    evil = INJECTION.format(name="shell", arguments='{"command": "touch /tmp/owned"}')
    server = llm(deceived)
    [ended], evaluate = run(server, tmp_path, evaluate=Table(note=evil), rounds=2)
    assert (
        ended.state["counts"]["refused"].get("out_of_turn", 0) + ended.state["counts"]["refused"].get("unknown_tool", 0)
        >= 1
    )
    assert len(evaluate.asked) == 8
    assert all(
        smiles in {entry["candidate"]["smiles"] for entry in ended.state["entries"]} for smiles in evaluate.asked
    )


def test_a_server_that_never_answers_is_a_failure_that_says_so(llm, tmp_path):
    server = llm(reasoner, faults=[Fault("server_error", times=1000)])
    [ended], evaluate = run(server, tmp_path)
    assert "its model did not answer" in ended.failure
    assert "500" in ended.failure
    assert evaluate.asked == []


def test_reasoners_ask_at_the_same_time(llm, tmp_path):
    server = llm(reasoner, delay_s=0.3)
    run(server, tmp_path, reasoners=4, rounds=1)
    assert server.most_at_once >= 3

"""Reasoners as the policy of a real campaign: its file, its engine, its record, and the real client."""

import asyncio

import pytest

from campaigns.composing import read_campaign_file
from campaigns.errors import NotAcceptable
from campaigns.llm import LanguageAccess
from campaigns.reading import read_campaign
from campaigns.runner import run_campaign
from simulations.ionization import TOOL
from simulations.records import Outcome, Status
from tests.campaigns.reasoner.made import NOON
from tests.llm.minds_reasoner import reasoner, results_of

CAMPAIGN = """
name: molecules
seed: 1
parallel: 4
mode: batch
budget: {evaluations: 10}
environment:
  _target_: campaigns.molecules.MoleculeEnvironment
  smiles: small-organics
policy:
  _target_: campaigns.reasoner.ReasonerPolicy
  seeds: [{smiles: CNC(N)=O}, {smiles: CC1=C(O)N=C(O)N1}]
  tool: {tool: ionization_energy, varied: [smiles]}
  limits: {rounds: 4, calls_per_round: 2}
"""


class Table:
    """Gives energies that depend on the molecule alone; breaks when it has been asked so often."""

    def __init__(self, breaks_at=None):
        self.asked = []
        self._breaks_at = breaks_at
        self._done = asyncio.Queue()

    async def submit(self, requests):
        for request in requests:
            self.asked.append(request.inputs["smiles"])
            result = {"ionization_energy_ev": 10.0 + len(self.asked[-1]) / 7, "smiles": self.asked[-1]}
            self._done.put_nowait(
                Outcome(id=request.id, key="0" * 64, tool=TOOL.name, tool_version="1", status=Status.OK,
                        inputs=request.inputs, result=result, director=0, partition=["here"], submitted_at=NOON,
                        finished_at=NOON)
            )  # fmt: skip
            if self._breaks_at == len(self.asked):
                raise RuntimeError("the power is gone")

    async def next(self):
        return await self._done.get()

    async def close(self):
        """Has nothing to end."""


def evaluations(folder):
    [system] = read_campaign(folder).systems
    [policy] = system.policies
    [episode] = policy.episodes
    return [(one.candidate["smiles"], one.score) for one in episode.evaluations]


def test_a_campaign_goes_on_to_the_same_end_after_it_was_broken_off(llm, tmp_path):
    server = llm(reasoner)
    language = LanguageAccess(server.base_url, "any")
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    campaign = read_campaign_file(tmp_path / "campaign.yaml")
    run_campaign(campaign, tmp_path / "whole", Table(), language=language)
    whole = evaluations(tmp_path / "whole")
    questions = len(server.log)
    assert len(whole) == len({smiles for smiles, _ in whole}) == 10

    first = Table(breaks_at=6)
    with pytest.raises(RuntimeError, match="the power is gone"):
        run_campaign(campaign, tmp_path / "broken", first, language=language)
    run_campaign(campaign, tmp_path / "broken", Table(), language=language)
    assert evaluations(tmp_path / "broken") == whole
    assert len(server.log) == 2 * questions  # what was decided was not asked again
    for one in server.log:
        for result in results_of(one.chat):
            assert result["result"]["ionization_energy_ev"] == 10.0 + len(result["smiles"]) / 7


def test_a_campaign_without_a_language_model_is_refused_and_says_how_to_configure_one(tmp_path):
    (tmp_path / "campaign.yaml").write_text(CAMPAIGN)
    campaign = read_campaign_file(tmp_path / "campaign.yaml")
    with pytest.raises(NotAcceptable, match="DIRECTOR_LLM_BASE_URL"):
        run_campaign(campaign, tmp_path / "run", Table())
    assert not (tmp_path / "run" / "campaign.json").exists()

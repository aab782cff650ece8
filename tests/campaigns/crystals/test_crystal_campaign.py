"""Whole campaigns on crystals: real Tools, the same trajectory after any interruption, refusals that say where."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from campaigns import NotAcceptable
from campaigns.campaign_file import CampaignFile
from campaigns.crystals import Crystal
from campaigns.folder import CampaignFolder
from campaigns.local import LocalEvaluate
from campaigns.reading import Evaluation, read_campaign
from campaigns.runner import check_components, run_campaign
from simulations.records import Outcome, Request
from tests.campaigns.crystals.making import run

CRYSTALS = "campaigns.crystals"

ENVIRONMENT: dict[str, Any] = {
    "_target_": f"{CRYSTALS}.CrystalEnvironment",
    "elements": ["Cu", "Au"],
    "max_stoichiometry": 4,
    "inputs": {"max_steps": 300},
}

STAGES: dict[str, Any] = {
    "_target_": "campaigns.Workflow",
    "planner": {"_target_": f"{CRYSTALS}.GridSearchPlanner", "num_compositions": 3, "num_candidates": 2},
    "generator": {"_target_": f"{CRYSTALS}.RandomGenerator", "lattice_length_range": [3.0, 8.0]},
    "filter": [
        {"_target_": f"{CRYSTALS}.MinDistanceFilter", "min_distance_threshold": 1.5},
        {"_target_": f"{CRYSTALS}.SMACTValidityFilter"},
        {"_target_": f"{CRYSTALS}.UniquenessFilter"},
    ],
    "scorer": {"_target_": f"{CRYSTALS}.CompositionDiversity"},
}

CHAINED: dict[str, Any] = {
    **STAGES,
    "planner": {
        "_target_": f"{CRYSTALS}.GridSearchPlanner",
        "selection_strategy": {"_target_": f"{CRYSTALS}.UcbStrategy", "ucb_reward": "best_score"},
        "num_compositions": 2,
    },
    "generator": {
        "_target_": f"{CRYSTALS}.CachedGenerator",
        "base_generator": {"_target_": f"{CRYSTALS}.RandomGenerator"},
        "num_initial_candidates": 4,
    },
    "scorer": {
        "_target_": "campaigns.stages.ScorerChain",
        "scorers": [
            {"_target_": f"{CRYSTALS}.OracleScorer", "oracle": {"_target_": f"{CRYSTALS}.ToolOracle"}},
            {"_target_": f"{CRYSTALS}.CompositionDiversity"},
        ],
        "weights": [0.7, 0.3],
    },
}


def campaign(**given: Any) -> CampaignFile:
    what = {"name": "cu-au", "seed": 3, "budget": {"evaluations": 4}, "environment": ENVIRONMENT, **given}
    if "policies" not in what:
        what.setdefault("policy", STAGES)
    return CampaignFile.model_validate(what)


class StoppedError(Exception):
    """What ends a process in the middle."""


class Here:
    """Runs Tools in this process, each id once, and stops after a number of Outcomes."""

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self._folder = folder
        self._left = most
        self._ready: deque[Outcome] = deque()
        self.ran: list[str] = []
        self.kept: dict[str, Outcome] = {}

    async def submit(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if request.id not in self.kept:
                self.ran.append(request.id)
                self.kept[request.id] = run(request, self._folder)
            self._ready.append(self.kept[request.id])

    async def next(self) -> Outcome:
        if self._left == 0:
            raise StoppedError
        if not self._ready:
            await asyncio.Event().wait()
        if self._left is not None:
            self._left -= 1
        return self._ready.popleft()

    async def close(self) -> None:
        self._ready.clear()


def evaluations(folder: Path) -> list[Evaluation]:
    return [one for episode in read_campaign(folder).episodes for one in episode.evaluations]


def trajectory(folder: Path) -> list[Any]:
    return [(one.id, one.candidate, one.score, one.success, dict(one.details)) for one in evaluations(folder)]


def test_copper_and_gold_by_real_processes(tmp_path: Path) -> None:
    place = CampaignFolder(tmp_path / "run")
    quick = {**ENVIRONMENT, "max_stoichiometry": 3, "inputs": {"fmax_ev_per_angstrom": 0.05}}
    run_campaign(campaign(parallel=2, environment=quick), place.path, LocalEvaluate(place.local, place.inputs, 1))
    found = evaluations(place.path)
    assert len(found) == 4
    for one in found:
        assert one.status == "ok"
        assert one.details["converged"] is True
        assert one.result["energy_per_atom_ev"] == one.details["energy_per_atom_ev"]
        proposed, final = Crystal.from_json(one.candidate), Crystal.from_json(one.details["structure"])
        assert proposed.formula == final.formula
        assert proposed.key != final.key  # the energy is that of the relaxed structure, which is kept
        assert one.score == -one.details["e_above_hull_ev_per_atom"] + 0.0
        assert one.success == (one.score >= -0.001 and one.details["new"])
    assert len({one.candidate["formula"] for one in found}) > 1


@pytest.mark.parametrize("policy", [STAGES, CHAINED], ids=["stages", "chained"])
def test_stopped_after_any_outcome_it_goes_on_as_if_it_had_not_been(tmp_path: Path, policy: dict[str, Any]) -> None:
    environment = {**ENVIRONMENT, "tool": "single_point", "inputs": {}}
    what = campaign(policy=policy, environment=environment, parallel=2)
    whole = Here(tmp_path / "whole" / "inputs")
    run_campaign(what, tmp_path / "whole", whole)
    assert len(set(whole.ran)) == 4
    for stop in (0, 2, 3):
        folder = tmp_path / f"stopped-{stop}"
        first = Here(folder / "inputs", stop)
        with pytest.raises(StoppedError):
            run_campaign(what, folder, first)
        second = Here(folder / "inputs")
        second.kept = first.kept
        run_campaign(what, folder, second)
        assert trajectory(folder) == trajectory(tmp_path / "whole")
        assert sorted(first.ran + second.ran) == sorted(whole.ran)


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"environment": {**ENVIRONMENT, "elements": ["Cu", "Fe"]}}, "environment", "no parameters for Fe"),
        ({"environment": {**ENVIRONMENT, "max_stoichiometry": 1}}, "environment", "no composition"),
        ({"environment": {**ENVIRONMENT, "max_stochiometry": 4}}, "max_stochiometry", "no such parameter"),
        (
            {"policy": {**STAGES, "planner": {**STAGES["planner"], "selection_strategy": "best"}}},
            "policy.planner",
            "selection_strategy: 'best'",
        ),
        (
            {"policy": {**STAGES, "planner": {"_target_": f"{CRYSTALS}.GridPlanner"}}},
            "policy.planner",
            "GridSearchPlanner",
        ),
        (
            {"policy": {**STAGES, "generator": {"_target_": f"{CRYSTALS}.RandomGenerator", "lattice_length_range": 4}}},
            "lattice_length_range",
            "valid array",
        ),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(change: dict[str, Any], where: str, said: str) -> None:
    with pytest.raises(NotAcceptable) as caught:
        check_components(campaign(**change))
    assert where in str(caught.value)
    assert said in str(caught.value)


def test_if_everything_is_filtered_out_nothing_is_evaluated_and_it_is_said_why(tmp_path: Path) -> None:
    strict = {**STAGES, "filter": [{"_target_": f"{CRYSTALS}.MinDistanceFilter", "min_distance_threshold": 5.0}]}
    evaluate = Here(tmp_path / "run" / "inputs")
    run_campaign(campaign(policy=strict, attempts=2), tmp_path / "run", evaluate)
    assert evaluate.ran == []
    (episode,) = read_campaign(tmp_path / "run").episodes
    assert episode.ended == "no_candidates"
    assert "MinDistanceFilter" in episode.reason
    assert "less than 5 Å" in episode.reason


def test_evaluations_that_all_fail_end_the_episode_without_a_score(tmp_path: Path) -> None:
    what = campaign(environment={**ENVIRONMENT, "inputs": {"max_steps": 1}}, stop={"failures_in_a_row": 3})
    run_campaign(what, tmp_path / "run", Here(tmp_path / "run" / "inputs"))
    (episode,) = read_campaign(tmp_path / "run").episodes
    assert episode.ended == "failures"
    assert [(one.status, one.score, one.success) for one in episode.evaluations] == [("failed", None, False)] * 3


def test_equal_seeds_give_equal_campaigns_and_others_do_not(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "tool": "single_point", "inputs": {}}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        run_campaign(campaign(seed=seed, environment=environment), tmp_path / name, Here(tmp_path / name / "inputs"))
    candidates = {name: [one.candidate for one in evaluations(tmp_path / name)] for name in "abc"}
    assert candidates["a"] == candidates["b"]
    assert candidates["a"] != candidates["c"]

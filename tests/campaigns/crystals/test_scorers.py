"""Scorers rank as they say, by an oracle's own energies, each computed once."""

from __future__ import annotations

import json

import numpy as np
import pytest

from campaigns.components import Plan, best_first
from campaigns.crystals import CompositionDiversity, CrystalEnvironment, OracleScorer, RandomGenerator, ToolOracle
from campaigns.crystals.oracle import Verdict
from campaigns.crystals.oracle_scorer import OracleFailedError
from campaigns.stateful import Stateless
from tests.campaigns.crystals.making import AU3CU, AUCU3, cube, failed, given, view


@pytest.fixture
def copper_gold():
    return CrystalEnvironment(["Cu", "Au"], max_stoichiometry=8)


class Oracle(Stateless):
    """Says what it was told, and keeps what it was asked."""

    def __init__(self, energies, formation=0.0):
        self.energies = energies
        self.formation = formation
        self.asked = []

    def evaluate(self, crystals):
        self.asked += [one.formula for one in crystals]
        found = [self.energies.get(one.formula) for one in crystals]
        return [Verdict(one) if one is not None else Verdict(None, "CalculationFailed: no") for one in found]

    def formation_energy(self, crystal, energy_ev_per_atom, elements):
        return energy_ev_per_atom + self.formation


def scores(scorer, candidates, seen):
    return [result.score for result in scorer.score(candidates, seen)]


def test_the_farthest_composition_is_first_and_a_batch_is_spread(copper_gold):
    candidates = [cube(["Cu", "Au"]), cube(["Au", "Cu"], 5.0), AUCU3, AU3CU]
    seen = view(copper_gold)
    order = best_first(CompositionDiversity(seed=1).score(candidates, seen))
    assert order[0] in (0, 1)
    assert set(order[1:3]) == {2, 3}  # the other one of the same composition comes last
    found = CompositionDiversity(seed=1).score(candidates, seen)
    assert max(one.score for one in found) == pytest.approx(np.sqrt(0.5))
    assert min(one.score for one in found) == pytest.approx(0.0, abs=1e-6)
    assert found[2].details["distance_from_observed"] == pytest.approx(np.sqrt(2) / 4)


def test_what_was_observed_failed_or_is_running_is_near(copper_gold):
    candidates = [cube(["Cu", "Au"]), AUCU3]
    for seen in (
        view(copper_gold, [given(copper_gold, cube(["Au", "Cu"]), 0.1, "a")]),
        view(copper_gold, [failed(copper_gold, cube(["Au", "Cu"]), "b")]),
        view(copper_gold, pending=[cube(["Au", "Cu"])]),
    ):
        assert best_first(CompositionDiversity(seed=1).score(candidates, seen)) == [1, 0]


@pytest.mark.parametrize(("metric", "distance"), [("manhattan", 1.0), ("cosine", 1 - 1 / np.sqrt(2))])
def test_the_metric_is_the_one_that_was_asked_for(copper_gold, metric, distance):
    found = scores(CompositionDiversity(metric), [cube(["Cu", "Au"])], view(copper_gold))
    assert found == [pytest.approx(distance, abs=1e-6)]
    with pytest.raises(ValueError, match="distance_metric: 'taxi'"):
        CompositionDiversity("taxi")


def test_equally_far_ones_are_drawn_by_the_seed_and_its_state(copper_gold):
    candidates = [cube(["Cu", "Au"], 4 + i / 10) for i in range(6)]
    firsts = {best_first(CompositionDiversity(seed=s).score(candidates, view(copper_gold)))[0] for s in range(12)}
    assert len(firsts) > 2
    one = CompositionDiversity(seed=1)
    one.score(candidates, view(copper_gold))
    state = json.loads(json.dumps(one.get_state()))
    again = CompositionDiversity(seed=5)
    again.load_state(state)
    assert scores(again, candidates, view(copper_gold)) == scores(one, candidates, view(copper_gold))
    assert CompositionDiversity().score([], view(copper_gold)) == []


def test_an_oracle_ranks_by_energy_and_those_without_any_come_last(copper_gold):
    oracle = Oracle({"AuCu3": -0.2, "AuCu": 0.3})
    results = OracleScorer(oracle, "energy_per_atom").score([AUCU3, AU3CU, cube(["Cu", "Au"])], view(copper_gold))
    assert [one.score for one in results] == [0.2, pytest.approx(-1.3), -0.3]
    assert results[1].details["failed"] == "CalculationFailed: no"
    assert "energy_per_atom_ev" not in results[1].details
    assert [one.cost for one in results] == [{"oracle_evaluations": 1.0}] * 3


def test_an_oracle_that_fails_for_all_is_an_error_and_leaves_a_state_that_works(copper_gold):
    scorer = OracleScorer(Oracle({}))
    with pytest.raises(OracleFailedError, match="none of 2 candidates: 2 × CalculationFailed: no"):
        scorer.score([AUCU3, AU3CU], view(copper_gold))
    again = OracleScorer(Oracle({"AuCu": -0.1}))
    again.load_state(json.loads(json.dumps(scorer.get_state())))
    assert scores(again, [cube(["Cu", "Au"])], view(copper_gold)) == [pytest.approx(0.1)]


def test_formation_energies_are_the_oracles_own_and_the_hull_the_environments(copper_gold):
    given(copper_gold, AUCU3, -0.1, "a")
    oracle = Oracle({"Au3Cu": -0.5}, formation=0.49)
    assert scores(OracleScorer(oracle, "formation_energy_per_atom"), [AU3CU], view(copper_gold)) == [
        pytest.approx(0.01)
    ]
    above = 0.1 / 3 - 0.01
    assert scores(OracleScorer(oracle, "e_above_hull"), [AU3CU], view(copper_gold)) == [pytest.approx(-above)]


@pytest.mark.parametrize(("enable_cache", "asked"), [(True, ["AuCu3"]), (False, ["AuCu3", "AuCu3"])])
def test_with_the_cache_each_geometry_is_computed_once(copper_gold, enable_cache, asked):
    oracle = Oracle({"AuCu3": -0.2})
    scorer = OracleScorer(oracle, enable_cache=enable_cache)
    first = scorer.score([AUCU3, AUCU3], view(copper_gold))
    second = scorer.score([AUCU3], view(copper_gold))
    assert oracle.asked == asked
    assert [one.score for one in [*first, *second]] == [pytest.approx(0.2)] * 3
    assert [one.cost.get("oracle_evaluations", 0) for one in first] == [1.0, 0]
    assert second[0].details["from_cache"] == enable_cache


@pytest.mark.parametrize(("rerank", "score"), [(False, 0.05), (True, -0.05)])
def test_scores_follow_the_hull_only_if_asked_to(copper_gold, rerank, score):
    oracle = Oracle({"AuCu3": -0.05})
    scorer = OracleScorer(oracle, rerank_on_state_change=rerank)
    assert scores(scorer, [AUCU3], view(copper_gold)) == [pytest.approx(0.05)]
    given(copper_gold, cube(["Au", "Cu", "Cu", "Cu"], 3.8), -0.1, "a")
    again = OracleScorer(oracle, rerank_on_state_change=rerank)
    again.load_state(json.loads(json.dumps(scorer.get_state())))
    for one in (scorer, again):
        assert scores(one, [AUCU3], view(copper_gold)) == [pytest.approx(score)]
    assert oracle.asked == ["AuCu3"]


def test_a_tool_as_an_oracle_says_what_the_tool_says(copper_gold):
    oracle = ToolOracle("single_point", "emt")
    candidates = [AUCU3, AU3CU, AUCU3]
    results = OracleScorer(oracle, "formation_energy_per_atom").score(candidates, view(copper_gold))
    assert results[0].score == results[2].score
    assert results[0].details["geometry"] == "as proposed"
    from ase.calculators.emt import EMT

    atoms = AUCU3.to_ase()
    atoms.calc = EMT()
    assert results[0].details["energy_per_atom_ev"] == pytest.approx(atoms.get_potential_energy() / 4)
    references = [one.energy_ev_per_atom for one in copper_gold.references]
    formation = atoms.get_potential_energy() / 4 - (3 * references[0] + references[1]) / 4
    assert results[0].score == pytest.approx(-formation)


def test_relaxed_candidates_are_said_to_be(copper_gold):
    strained = cube(["Au", "Cu", "Cu", "Cu"], 3.8)
    (result,) = OracleScorer(ToolOracle("relax", "emt")).score([strained], view(copper_gold))
    assert result.details["geometry"] == "relaxed"
    assert result.score == pytest.approx(0.0094, abs=2e-4)


def test_several_processes_say_what_one_says():
    environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4)
    candidates = RandomGenerator(seed=1).generate(Plan(("AuCu",), 3), view(environment))
    assert ToolOracle(processes=2).evaluate(candidates) == ToolOracle().evaluate(candidates)


def test_what_a_tool_cannot_do_is_a_verdict(copper_gold):
    iron = cube(["Fe"])
    (verdict,) = ToolOracle().evaluate([iron])
    assert verdict.energy_ev_per_atom is None
    assert "UnsupportedElement" in verdict.reason
    (verdict,) = ToolOracle("relax", inputs={"max_steps": 1}).evaluate([cube(["Cu", "Au"], 4.5)])
    assert "NotConverged" in verdict.reason


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: OracleScorer(Oracle({}), "beauty"), "score_function"),
        (lambda: ToolOracle("md"), "'md'"),
        (lambda: ToolOracle(processes=0), "processes"),
        (lambda: ToolOracle(calculator="lj"), "lj needs"),
    ],
)
def test_wrong_parameters_are_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()

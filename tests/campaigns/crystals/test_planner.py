"""Strategies choose what they say, end when nothing is left, and go on from their state as if never interrupted."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from campaigns.components import Exhausted, Plan
from campaigns.crystals import (
    CompositionDiversity,
    CrystalEnvironment,
    DiversityStrategy,
    GridSearchPlanner,
    MinDistanceFilter,
    RandomGenerator,
    UniquenessFilter,
)
from campaigns.crystals.distances import METRICS, distances
from campaigns.crystals.statistics import Statistics
from campaigns.crystals.strategies import STRATEGIES, make_strategy
from campaigns.workflow import Workflow
from tests.campaigns.crystals.making import AU3CU, AUCU3, cube, failed, given, view


@pytest.fixture
def copper_gold():
    return CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4)


def known(attempts, successes=None, best=None, reduced=None, points=None):
    n = len(attempts)
    share = np.linspace(0.1, 0.9, n) if points is None else np.array(points)
    return Statistics(
        formulas=[f"c{i}" for i in range(n)],
        fractions=np.column_stack([share, 1 - share]),
        reduced=np.arange(n) if reduced is None else np.array(reduced),
        attempts=np.array(attempts),
        finished=np.array(attempts),
        successes=np.array(successes or [0] * n),
        best=np.array([np.nan] * n if best is None else best, dtype=float),
        references=np.eye(2),
    )


def choose(name, what, number=1, seed=0, **kwargs):
    return make_strategy(name, kwargs).select(what, number, np.random.default_rng(seed))


@examples(
    st.sampled_from(sorted(STRATEGIES)),
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=12),
    st.integers(1, 15),
    st.integers(0, 99),
)
@settings(max_examples=150)
def test_each_is_chosen_once_and_the_same_for_the_same_seed(name, counts, number, seed):
    attempts = [a for a, _ in counts]
    what = known(attempts, [min(a, s) for a, s in counts], [-0.1 * a if a else np.nan for a in attempts])
    try:
        chosen = choose(name, what, number, seed)
    except Exhausted:
        assert name in ("random", "iterative")
        return
    assert 1 <= len(chosen) <= min(number, len(attempts))
    assert len(set(chosen)) == len(chosen)
    assert choose(name, what, number, seed) == chosen


@pytest.mark.parametrize("name", ["random", "iterative"])
def test_compositions_with_enough_attempts_or_a_success_are_left_alone(name):
    what = known([5, 1, 0, 1], [0, 1, 0, 0])
    assert sorted(choose(name, what, 9)) == [2, 3]
    assert sorted(choose(name, what, 9, move_on_success=False)) == [1, 2, 3]
    assert sorted(choose(name, what, 9, max_attempts_per_composition=1)) == [2]
    with pytest.raises(Exhausted, match=r"all 2 compositions are done: 1 after a success, 1 after 5 attempts"):
        choose(name, known([5, 1], [0, 1]), 1)


def test_iterative_stays_until_one_is_done_and_moves_on_then():
    assert choose("iterative", known([4, 0, 0]), 2) == [0, 1]
    assert choose("iterative", known([5, 0, 0]), 2) == [1, 2]


def test_random_ones_differ_from_seed_to_seed():
    assert len({tuple(choose("random", known([0] * 8), 3, seed)) for seed in range(8)}) > 4


def test_unexplored_takes_what_was_never_tried_and_then_what_was_tried_least():
    assert sorted(choose("unexplored", known([3, 0, 1, 0]), 2)) == [1, 3]
    assert choose("unexplored", known([3, 0, 1, 2]), 3) == [1, 2, 3]
    assert len({choose("unexplored", known([0] * 6), 1, seed)[0] for seed in range(12)}) > 3


def test_ucb_tries_each_once_and_then_weighs_reward_and_ignorance():
    assert choose("ucb", known([1, 0, 4])) == [1]
    what = known([4, 4, 4], [0, 2, 1])
    assert choose("ucb", what, 3) == [1, 2, 0]
    assert choose("ucb", what, 3, ucb_reward="failure_rate") == [0, 2, 1]
    much_tried = known([100, 2], [60, 1])
    assert choose("ucb", much_tried, exploration_factor=0.0) == [0]
    assert choose("ucb", much_tried, exploration_factor=2.0) == [1]


def test_ucb_by_best_score_puts_those_without_any_at_the_end():
    what = known([2, 2, 2], best=[-0.3, np.nan, -0.1])
    assert choose("ucb", what, 3, ucb_reward="best_score", exploration_factor=0.0)[0] == 2
    assert choose("ucb", known([2, 2]), 2, ucb_reward="best_score")  # all failed: no warning, no NaN


def test_diversity_takes_the_farthest_and_then_the_farthest_from_that():
    points = [0.05, 0.5, 0.52, 0.75, 0.95]
    assert choose("diversity", known([0] * 5, points=points), 1) == [1]
    assert choose("diversity", known([0] * 5, points=points), 3)[:2] == [1, 3]
    assert choose("diversity", known([0, 1, 0, 0, 0], points=points), 1) == [3]


def test_diversity_weighs_failures_and_attempts():
    points = [0.3, 0.7]
    assert choose("diversity", known([1, 0], points=points)) == [1]
    assert choose("diversity", known([1, 0], points=points), unattempted_weight=0.0) == [0]
    assert choose("diversity", known([2, 2], [2, 0], points=points)) == [1]


def test_diversity_masks_cells_of_one_reduced_formula():
    what = known([0, 0, 0], reduced=[0, 0, 1], points=[0.5, 0.5, 0.8])
    assert sorted(set(choose("diversity", what, 3)) - {2}) in ([0], [1])
    assert len(choose("diversity", what, 3)) == 2
    assert len(choose("diversity", what, 3, mask_same_reduced_formula=False)) == 3
    tried = known([1, 0, 0], reduced=[0, 0, 1], points=[0.5, 0.5, 0.9])
    fresh_only = {"attempt_weight_factor": 0.0, "failure_weight_factor": 0.0}
    assert choose("diversity", tried, mask_same_reduced_formula=False, **fresh_only) == [2]  # the other is at 0
    assert choose("diversity", tried, **fresh_only) == [1]  # not compared with the one of its formula


def test_diversity_of_a_single_element_goes_by_weights():
    share = np.ones((3, 1))
    what = Statistics(["Cu", "Cu2", "Cu3"], share, np.zeros(3, int), np.array([2, 0, 1]), np.array([2, 0, 1]),
                      np.zeros(3, int), np.full(3, np.nan), np.eye(1))  # fmt: skip
    assert DiversityStrategy().select(what, 1, np.random.default_rng(0)) == [1]


@examples(st.sampled_from(METRICS), st.integers(1, 4), st.integers(0, 999))
def test_distances_are_those_of_scipy(metric, n, seed):
    from scipy.spatial.distance import cdist

    random = np.random.default_rng(seed)
    one, other = random.dirichlet(np.ones(n), size=5), random.dirichlet(np.ones(n), size=3)
    names = {"euclidean": "euclidean", "manhattan": "cityblock", "cosine": "cosine"}
    assert np.allclose(distances(one, other, metric), cdist(one, other, names[metric]), atol=1e-12)
    assert distances(one, one, metric).min() >= 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"selection_strategy": "rndom"}, "Did you mean 'random'"),
        ({"selection_strategy_kwargs": {"move_on_sucess": True}}, "Did you mean 'move_on_success'"),
        ({"selection_strategy": "ucb", "selection_strategy_kwargs": {"ucb_reward": "luck"}}, "ucb_reward"),
        ({"selection_strategy": "ucb", "selection_strategy_kwargs": {"exploration_factor": -1}}, "exploration_factor"),
        ({"selection_strategy": "diversity", "selection_strategy_kwargs": {"distance_metric": "x"}}, "distance_metric"),
        ({"selection_strategy": "diversity", "selection_strategy_kwargs": {"unattempted_weight": -1}}, "unattempted"),
        ({"selection_strategy_kwargs": {"max_attempts_per_composition": 0}}, "max_attempts_per_composition"),
        ({"selection_strategy": DiversityStrategy(), "selection_strategy_kwargs": {"a": 1}}, "was made already"),
        ({"num_compositions": 0}, "num_compositions"),
        ({"num_candidates": 0}, "num_candidates"),
        ({"score_function": "beauty"}, "score_function"),
    ],
)
def test_wrong_parameters_are_refused_with_the_right_ones(arguments, said):
    with pytest.raises(ValueError, match=said):
        GridSearchPlanner(**arguments)


def test_a_space_larger_than_the_environments_is_refused(copper_gold):
    with pytest.raises(ValueError, match="max_stoichiometry 9 is more than the environment's 4"):
        GridSearchPlanner(max_stoichiometry=9).propose(view(copper_gold))
    assert GridSearchPlanner(max_stoichiometry=2, num_compositions=9).propose(view(copper_gold)).regions == ("AuCu",)
    with pytest.raises(ValueError, match="no compositions"):
        GridSearchPlanner(max_stoichiometry=1).propose(view(copper_gold))


def test_all_compositions_are_returned_if_asked_for(copper_gold):
    plan = GridSearchPlanner(return_all_compositions=True, num_candidates=3, num_compositions=1).propose(
        view(copper_gold)
    )
    assert plan.regions == copper_gold.compositions == ("AuCu", "Au2Cu", "AuCu2", "Au2Cu2", "Au3Cu", "AuCu3")
    assert plan.num_candidates == 3


def test_what_is_being_evaluated_counts_as_an_attempt(copper_gold):
    planner = GridSearchPlanner(selection_strategy="unexplored", num_compositions=5, seed=1)
    assert "AuCu3" not in planner.propose(view(copper_gold, pending=[AUCU3])).regions
    limited = {"max_attempts_per_composition": 1}
    planner = GridSearchPlanner(num_compositions=9, selection_strategy_kwargs=limited, seed=1)
    seen = [given(copper_gold, AU3CU, 0.1, "a"), failed(copper_gold, cube(["Cu", "Au"]), "b")]
    assert set(planner.propose(view(copper_gold, seen, [AUCU3])).regions) == {"Au2Cu", "AuCu2", "Au2Cu2"}


def test_best_scores_are_above_the_hull_of_today():
    def told(score_function):
        environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=4)
        seen = [given(environment, AUCU3, -0.01, "a"), given(environment, cube(["Cu", "Au"]), -0.2, "b")]
        planner = GridSearchPlanner(
            score_function=score_function,
            selection_strategy="ucb",
            selection_strategy_kwargs={"ucb_reward": "best_score"},
        )
        planner.propose(view(environment, seen))
        grid = planner._grid
        return dict(
            zip(grid.formulas, grid.count(view(environment, seen), environment, score_function).best, strict=True)
        )

    assert told("e_above_hull")["AuCu3"] == pytest.approx(-(0.1 - 0.01))  # it was 0 when it was observed
    assert told("e_above_hull")["AuCu"] == pytest.approx(0.0)
    assert told("formation_energy_per_atom")["AuCu3"] == pytest.approx(0.01)
    assert np.isnan(told("energy_per_atom")["Au3Cu"])


def test_smact_restricts_what_is_enumerated():
    environment = CrystalEnvironment(
        ["Li", "O"], calculator="chgnet", inputs={"model": "0.3.0", "device": "cpu"},
        references={"Li": -1.9, "O": -4.9}, max_stoichiometry=6,
    )  # fmt: skip
    plan = GridSearchPlanner(filter_by_smact_validity=True, return_all_compositions=True).propose(view(environment))
    assert "Li2O" in plan.regions
    assert "Li5O" not in plan.regions


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_interrupted_anywhere_it_goes_on_as_if_it_had_not_been(name):
    def trajectory(interrupted_at):
        environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=6)
        make = lambda: GridSearchPlanner(selection_strategy=name, num_compositions=2, seed=7)  # noqa: E731
        generate = lambda: RandomGenerator(seed=8)  # noqa: E731
        planner, generator, seen, plans = make(), generate(), [], []
        for step in range(6):
            if step == interrupted_at:
                states = json.loads(json.dumps([planner.get_state(), generator.get_state()]))
                planner, generator = make(), generate()
                planner.load_state(states[0])
                generator.load_state(states[1])
            plan = planner.propose(view(environment, seen))
            candidates = generator.generate(plan, view(environment, seen))
            plans.append((plan.regions, [one.key for one in candidates]))
            for number, one in enumerate(candidates):
                energy = 0.02 * ((step + number) % 4 - 2)
                seen.append(given(environment, one, energy, f"{step}-{number}"))
        return plans

    whole = trajectory(None)
    for step in (1, 3, 5):
        assert trajectory(step) == whole


@pytest.fixture(scope="module")
def much_known():
    """A thousand compositions, and 200 observations."""
    environment = CrystalEnvironment(["Cu", "Au", "Ni"], max_stoichiometry=17)
    assert len(environment.compositions) >= 1000
    random = np.random.default_rng(0)
    chosen = [environment.compositions[place] for place in random.integers(len(environment.compositions), size=200)]
    crystals = RandomGenerator(seed=1).generate(Plan(tuple(chosen), 1), view(environment))
    seen = [given(environment, one, 0.1 * random.random() - 0.05, f"o{i}") for i, one in enumerate(crystals)]
    return view(environment, seen)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_decision_over_a_thousand_compositions_and_200_observations_takes_milliseconds(name, much_known):
    policy = Workflow(
        GridSearchPlanner(selection_strategy=name, num_compositions=4, seed=1),
        RandomGenerator(seed=2),
        CompositionDiversity(seed=3),
        [MinDistanceFilter(1.0), UniquenessFilter()],
    )
    spent = []
    for _ in range(9):
        begin = time.process_time()
        proposal = policy.propose(much_known, 1)
        spent.append(time.process_time() - begin)
        assert len(proposal.choices) == 1
    assert min(spent[1:]) < 0.02  # of processor time; not the first, which enumerates the compositions

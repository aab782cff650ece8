"""The pipeline and the stages that know nothing of what a candidate is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from campaigns import FilterResult, Observation, Plan, ScoreResult, Stateless, View, Workflow
from campaigns.stages import FilterChain, NoOpFilter, RandomSelector, ScorerChain, UniqueFilter
from campaigns.stages.chain import fronts, normalized
from tests.campaigns.toys import Everywhere, Line, Near, Numbers


def view(observed: Sequence[int] = (), pending: Sequence[int] = ()) -> View[int]:
    known = [Observation(one, str(one), "ok", -float(one), False) for one in observed]
    return View(Line(), known, pending, 10)


class Above(Stateless):
    """Rejects what is not above a number."""

    def __init__(self, least: int) -> None:
        self.least = least
        self.asked: list[int] = []

    def filter(self, candidates: Sequence[int], _: View[int]) -> list[FilterResult]:
        self.asked += candidates
        return [FilterResult(one > self.least, f"Above{self.least}", f"{one} is too small") for one in candidates]


class Given(Stateless):
    """Scores that are given by a table."""

    def __init__(self, scores: dict[int, float], cost: float = 0.0) -> None:
        self.scores, self.cost = scores, cost

    def score(self, candidates: Sequence[int], _: View[int]) -> list[ScoreResult]:
        return [ScoreResult(self.scores[one], "Given", cost={"tokens": self.cost}) for one in candidates]


class Fixed(Stateless):
    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = list(numbers)

    def generate(self, plan: Plan, _: View[int]) -> list[int]:
        return list(self.numbers)


def test_a_chain_asks_each_filter_of_what_passed_before_and_says_who_rejected() -> None:
    second = Above(5)
    results = FilterChain([Above(2), second, NoOpFilter()]).filter([1, 3, 7], view())
    assert [one.passed for one in results] == [False, False, True]
    assert [one.filter_name for one in results[:2]] == ["Above2", "Above5"]
    assert second.asked == [3, 7]


def test_what_is_known_pending_or_twice_is_not_unique() -> None:
    results = UniqueFilter().filter([1, 2, 3, 3], view(observed=[1], pending=[2]))
    assert [one.passed for one in results] == [False, False, True, False]
    assert [one.rejection_reason for one in results] == [
        "was evaluated before",
        "is being evaluated",
        None,
        "stands twice in the list",
    ]


def test_a_workflow_takes_the_best_of_what_passed_and_counts_what_did_not() -> None:
    scorer = Given({3: 1.0, 7: 2.0, 9: 2.0}, cost=1.5)
    flow = Workflow(Everywhere(), Fixed([1, 3, 9, 7]), scorer, [Above(2)])
    proposal = flow.propose(view(), 2)
    assert [one.candidate for one in proposal.choices] == [9, 7]
    assert proposal.reason == ""
    assert proposal.cost == {"plans": 1, "tokens": 4.5}
    more = flow.propose(view(), 4)
    assert len(more.choices) == 3
    assert more.reason == "3 of 4: 1 of 4 candidates were rejected (1 × Above2: 1 is too small)"
    assert [choice.details["passed"] for choice in more.choices] == [3, 3, 3]


def test_nothing_made_and_nothing_passed_are_told_apart() -> None:
    none = Workflow(Everywhere(), Fixed([]), Near()).propose(view(), 1)
    assert (list(none.choices), none.reason) == ([], "0 of 1: the generator made no candidate")
    rejected = Workflow(Everywhere(), Fixed([1, 1]), Near(), Above(2)).propose(view(), 1)
    assert list(rejected.choices) == []
    assert rejected.reason == "0 of 1: 2 of 2 candidates were rejected (2 × Above2: 1 is too small)"


def test_an_exhausted_planner_ends_it() -> None:
    proposal = Workflow(Everywhere(), Numbers(1), Near()).propose(view(observed=range(20)), 1)
    assert proposal.exhausted
    assert proposal.reason == "every number was tried"


def test_a_stage_that_leaves_a_candidate_out_is_an_error() -> None:
    class Short(Stateless):
        def score(self, candidates: Sequence[int], _: View[int]) -> list[ScoreResult]:
            return [ScoreResult(0.0, "Short")]

    with pytest.raises(ValueError, match="Short gave 1 results for 2 candidates"):
        Workflow(Everywhere(), Fixed([1, 2]), Short()).propose(view(), 1)


@given(seed=st.integers(0, 2**32 - 1), before=st.integers(0, 4), after=st.integers(1, 4))
def test_a_workflow_made_anew_goes_on_as_the_one_before(seed: int, before: int, after: int) -> None:
    def made() -> Workflow[int]:
        scorer = ScorerChain([RandomSelector(seed), Near()], weights=[1, 0.5])
        return Workflow(Everywhere(), Numbers(seed), scorer, [UniqueFilter(), Above(1)])

    first = made()
    for _ in range(before):
        first.propose(view([4]), 2)
    second = made()
    second.load_state(first.get_state())
    for _ in range(after):
        ours, theirs = first.propose(view([4]), 2), second.propose(view([4]), 2)
        assert ours == theirs


TABLES = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(1, 8)),
    elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 3)),
)


@given(table=TABLES)
def test_normalized_scores_are_from_0_to_1_and_keep_their_order(table: Any) -> None:
    found = normalized(table)
    assert found.min() >= 0
    assert found.max() <= 1
    for row, out in zip(table, found, strict=True):
        if row.max() > row.min():
            assert (out.min(), out.max()) == (0, 1)
        assert all((out[a] <= out[b]) for a in range(len(row)) for b in range(len(row)) if row[a] <= row[b])


@given(table=TABLES)
def test_fronts_are_those_of_their_definition(table: Any) -> None:
    found = fronts(table)
    columns = [tuple(column) for column in table.T]

    def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return all(a >= b for a, b in zip(one, other, strict=True)) and one != other

    left = set(range(len(columns)))
    number = 0
    while left:
        front = {one for one in left if not any(dominates(columns[other], columns[one]) for other in left)}
        assert {one for one in left if found[one] == number} == front
        left -= front
        number += 1


def test_a_weighted_sum_is_one_and_its_details_say_of_what() -> None:
    one, two = Given({1: 0.0, 2: 10.0, 3: 5.0}, 1), Given({1: 3.0, 2: 1.0, 3: 1.0}, 2)
    plain = ScorerChain([one, two], weights=[0.1, 1], normalize_scores=False).score([1, 2, 3], view())
    assert [result.score for result in plain] == [3.0, 2.0, 1.5]
    assert [entry["score"] for entry in plain[1].details["scores"]] == [10.0, 1.0]
    assert plain[0].cost == {"tokens": 3}
    scaled = ScorerChain([one, two]).score([1, 2, 3], view())
    assert [result.score for result in scaled] == [0.5, 0.5, 0.25]
    pareto = ScorerChain([one, two], combination_method="pareto").score([1, 2, 3], view())
    assert [result.score for result in pareto] == [0, 0, -1]


@pytest.mark.parametrize("weights", [[1], [-1, 1], [0, 0], [float("nan"), 1]])
def test_weights_that_make_no_sense_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        ScorerChain([Near(), Near()], weights=weights)


def test_a_score_that_is_not_finite_is_an_error() -> None:
    with pytest.raises(ValueError, match="Given gave a score that is not finite"):
        ScorerChain([Near(), Given({1: float("nan")})]).score([1], view())

"""When an episode ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from campaigns import Observation
from campaigns.campaign_file import Budget, Stop
from campaigns.ending import Used, end_of, remaining, since_improvement

SCORES = st.lists(st.none() | st.integers(-5, 5).map(float), max_size=20)


def observed(scores: list[float | None], status: str = "ok") -> list[Observation[int]]:
    return [Observation(0, str(n), status if one is None else "ok", one, False) for n, one in enumerate(scores)]


@given(scores=SCORES)
def test_the_time_since_the_best_score_counts_from_its_first_time(scores: list[float | None]) -> None:
    known = [one for one in scores if one is not None]
    expected = len(scores) - 1 - scores.index(max(known)) if known else 0
    assert since_improvement(scores) == expected


@given(scores=SCORES, budget=st.integers(1, 25), wanted=st.integers(-5, 5))
def test_what_is_looked_for_comes_before_the_budget(scores: list[float | None], budget: int, wanted: int) -> None:
    stop = Stop(score_at_least=float(wanted), failures_in_a_row=None)
    end = end_of(Budget(evaluations=budget), stop, Used(len(scores)), observed(scores))
    if any(one is not None and one >= wanted for one in scores):
        assert end is not None
        assert end.ended == "score"
    elif len(scores) >= budget:
        assert end is not None
        assert end.ended == "budget"
    else:
        assert end is None


def test_other_budgets_end_it_too_and_leave_evaluations_open() -> None:
    budget = Budget(node_hours=1.0, wall_time_s=60.0)
    assert remaining(budget, Used(100)) is None
    assert end_of(budget, Stop(), Used(100, 0.9, 59.0), []) is None
    for used, said in ((Used(1, 1.2, 0.0), "1.2 of its 1 node-hours"), (Used(1, 0.0, 60.0), "its 60 s are over")):
        end = end_of(budget, Stop(), used, [])
        assert end is not None
        assert said in end.reason


def test_failures_end_it_only_in_a_row() -> None:
    stop = Stop(failures_in_a_row=2)
    budget = Budget(evaluations=100)
    assert end_of(budget, stop, Used(), observed([None, 1.0, None], "failed")) is None
    end = end_of(budget, stop, Used(), observed([1.0, None, None], "timeout"))
    assert end is not None
    assert end.ended == "failures"
    assert "timeout" in end.reason

"""Figures about a team are computed from what was recorded, and from nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from director.team.records import AgentAnswer, Answered, ToolUse
from director.team.stats import cost_of, covered_s, percentile, stats_of

TIMES = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(TIMES, min_size=1, max_size=50), st.floats(0, 1))
def test_a_percentile_is_that_of_numpy(values: list[float], share: float) -> None:
    assert percentile(values, share) == pytest.approx(float(np.percentile(values, 100 * share)), rel=1e-9, abs=1e-9)


def test_nothing_has_no_percentile_and_a_share_is_one() -> None:
    assert percentile([], 0.5) is None
    with pytest.raises(ValueError, match="share"):
        percentile([1.0], 50)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12))
def test_time_is_counted_once_however_many_share_it(spans: list[tuple[int, int]]) -> None:
    covered = {second for begin, length in spans for second in range(begin, begin + length)}
    assert covered_s((begin, begin + length) for begin, length in spans) == len(covered)


def answer(agent: str, began_at: float, took_s: float, **more: object) -> AgentAnswer:
    whole = {"status": "ok", "text": "x", "busy_s": took_s, "calls": 1, **more}
    return AgentAnswer(agent=agent, began_at=began_at, ended_at=began_at + took_s, **whole)  # type: ignore[arg-type]


def test_overlap_utilization_success_and_reuse() -> None:
    first = Answered(
        1,
        "a",
        "partial",
        asked_at=0.0,
        took_s=2.0,
        answers=(
            answer("ada", 0, 2, input_tokens=3, output_tokens=4, cost_usd=0.5, tool_uses=(ToolUse("t", {}, "ok"),)),
            answer("bob", 0, 1, status="failed", error="no"),
        ),
    )
    second = Answered(
        2,
        "b",
        "ok",
        asked_at=2.0,
        took_s=2.0,
        answers=(
            answer("ada", 0, 0, reused=True, calls=0),
            answer("bob", 2, 1, input_tokens=1, cost_usd=0.25),
        ),
        extra=(answer("aggregator", 3, 1, input_tokens=1, cost_usd=0.25),),
    )
    unseen = [Answered(3, "c", "open", asked_at=4.0), Answered(4, "d", "interrupted", asked_at=5.0)]
    stats = stats_of([first, second, *unseen], {"ada": 1, "bob": 2})
    assert (stats.messages, dict(stats.by_status)) == (2, {"partial": 1, "ok": 1})
    assert (stats.wall_s, stats.messages_per_s, stats.overlap) == (4.0, 0.5, 5 / 4)
    assert (stats.success_rate, stats.reuse_rate, stats.cost_usd) == (0.75, 1 / 3, 1.0)
    ada, bob, aggregator = stats.agents
    assert (ada.asked, ada.ok, ada.failed, ada.reused, ada.p50_s) == (2, 2, 0, 1, 2.0)
    assert (ada.utilization, ada.share, ada.tool_calls, ada.input_tokens, ada.output_tokens) == (0.5, 0.4, 1, 3, 4)
    assert (bob.asked, bob.ok, bob.failed, bob.utilization) == (2, 1, 1, 0.25)
    assert (aggregator.agent, aggregator.asked) == ("aggregator", 1)


def test_a_paused_agent_was_not_asked() -> None:
    done = Answered(1, "a", "ok", took_s=1.0, answers=(AgentAnswer("ada", "paused"), answer("bob", 0, 1)))
    stats = stats_of([done], {})
    assert stats.success_rate == 1.0
    assert [one.asked for one in stats.agents] == [0, 1]


def test_a_cost_that_is_not_known_of_one_is_not_known_of_all() -> None:
    known, unknown = answer("a", 0, 1, input_tokens=1, cost_usd=0.1), answer("b", 0, 1, input_tokens=1)
    assert cost_of([known]) == 0.1
    assert cost_of([known, unknown]) is None
    assert cost_of([known, answer("c", 0, 0)]) == 0.1


def test_nothing_was_said() -> None:
    stats = stats_of([], {"ada": 1})
    assert (stats.messages, stats.p50_s, stats.overlap, stats.success_rate) == (0, None, 0.0, None)

"""Metrics of campaigns: bounds, invariances, and cases whose answer is known in closed form."""

import csv
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.metrics import Episode, Evaluation, Known, Undefined, curves, factors, spread, summarise, write_summary
from campaigns.metrics.summary import METRICS
from campaigns.metrics.written import CURVES, EPISODES, SUMMARY

BOUNDED = (
    "efficiency",
    "audc",
    "audc_known",
    "recall_structure",
    "precision_structure",
    "recall_formula",
    "precision_formula",
    "novelty",
)
NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f"])
EVALUATIONS = st.builds(
    Evaluation,
    structure=NAMES,
    status=st.just("ok"),
    score=st.none() | st.floats(-100, 100),
    success=st.booleans(),
    formula=st.none() | st.sampled_from(["Cu", "CuAu", "Cu3Au"]),
)


def an_episode(evaluations, budget=None, policy="random", index=0, system="all"):
    return Episode(system, policy, index, budget or max(1, len(evaluations)), tuple(evaluations))


def found(*names, score=None):
    """Evaluations, successes but for None."""
    return [Evaluation(name or f"miss-{i}", "ok", score, name is not None) for i, name in enumerate(names)]


@given(st.lists(st.lists(EVALUATIONS, max_size=8), min_size=1, max_size=4), st.sets(NAMES), st.integers(8, 12))
@settings(max_examples=150)
def test_shares_and_areas_lie_between_0_and_1_and_curves_never_fall(lists, known, budget):
    episodes = [an_episode(found, budget, index=index) for index, found in enumerate(lists)]
    summary = summarise(episodes, baseline="random", known={"all": Known(frozenset(known), frozenset({"CuAu"}))})
    for row in summary.rows:
        assert set(row.numbers) == set(METRICS)
        for name in BOUNDED:
            value = row.numbers[name]
            assert isinstance(value, Undefined) or 0 <= value <= 1
        both = row.numbers["precision_structure"], row.numbers["novelty"]
        assert isinstance(both[0], Undefined) == isinstance(both[1], Undefined)
        assert isinstance(both[0], Undefined) or sum(both) == pytest.approx(1)
        curve = curves.discoveries(row.episode)
        assert (np.diff(curve) >= 0).all()
        assert curve.shape == (budget,)
        best = curves.best_found(row.episode)
        assert (np.diff(best[~np.isnan(best)]) >= 0).all()
    json.dumps(summary.to_json(), allow_nan=False)


@given(st.lists(EVALUATIONS, min_size=1, max_size=8), st.permutations(["a", "b", "c", "d", "e", "f"]))
@settings(max_examples=60)
def test_names_of_candidates_do_not_matter(evaluations, other):
    renamed = dict(zip("abcdef", other, strict=True))
    moved = [Evaluation(renamed[e.structure], e.status, e.score, e.success, e.formula) for e in evaluations]
    one, two = (summarise([an_episode(each)], baseline="random").rows[0].numbers for each in (evaluations, moved))
    assert one == two


@given(st.lists(EVALUATIONS, min_size=1, max_size=8), st.floats(-5, 5))
@settings(max_examples=60)
def test_a_baseline_beside_itself_has_factors_of_1_wherever_they_are_defined(evaluations, shift):
    episodes = [an_episode(evaluations), an_episode(evaluations, policy="other")]
    for policy in summarise(episodes, baseline="random").policies:
        for name, equal in (("ef", 1), ("af", 1), ("af_best", 1), ("best_gain", 0)):
            value = policy.of_means[name]
            assert isinstance(value, Undefined) or value == equal
    moved = [
        Evaluation(e.structure, e.status, None if e.score is None else e.score + shift, e.success) for e in evaluations
    ]
    summary = summarise([*episodes[:1], an_episode(moved, policy="other")], baseline="random")
    gain = summary.policies[1].of_means["best_gain"]
    assert isinstance(gain, Undefined) or gain == pytest.approx(shift, abs=1e-9)


@given(st.integers(1, 40), st.integers(1, 40))
def test_finding_something_new_each_time_until_all_is_found_has_an_area_of_1(n, most):
    curve = np.minimum(np.arange(1.0, n + 1), most)
    assert factors.area_under_discovery_curve(curve, most) == pytest.approx(1)
    assert factors.area_under_discovery_curve(np.zeros(n), most) == 0
    late = np.zeros(n)
    late[-1] = 1
    assert factors.area_under_discovery_curve(late) == pytest.approx(2 / (n * (n + 1)))


def test_the_same_thing_found_twice_is_one_discovery():
    curve = curves.discoveries(an_episode(found("a", "a", None, "b"), budget=6))
    assert curve.tolist() == [1, 1, 1, 2, 2, 2]
    assert curves.discoveries(an_episode(found("a", "b")), among={"b"}).tolist() == [0, 1]


def test_best_found_waits_for_the_first_score():
    scores = [None, -2.0, -3.0, 1.0]
    curve = curves.best_found(an_episode([Evaluation("x", "ok", score, False) for score in scores], budget=5))
    assert math.isnan(curve[0])
    assert curve[1:].tolist() == [-2, -2, 1, 1]


def test_factors_of_a_policy_that_finds_twice_as_much_in_half_the_time():
    slow = an_episode(found(None, "a", None, "b"))
    fast = an_episode(found("a", "b", "c", "d"), policy="fast")
    summary = summarise([slow, fast], baseline="random")
    assert summary.policies[1].of_means["ef"] == 2
    assert summary.policies[1].of_means["af"] == 2  # 4 evaluations to 2 discoveries, beside 2
    assert summary.policies[0].of_means["ef"] == 1


def test_enhancement_over_episodes_has_the_mean_of_that_of_the_mean_curves():
    base = [an_episode(found("a", None, None), index=0), an_episode(found("a", "b", None), index=1)]
    other = [
        an_episode(found(*names), policy="p", index=i) for i, names in enumerate([("a", "b", "c"), (None, None, "a")])
    ]
    policy = summarise([*base, *other], baseline="random").policies[1]
    assert policy.of_means["ef"] == pytest.approx(2 / 1.5)
    assert policy.over_episodes["ef"].mean == pytest.approx(2 / 1.5)
    assert policy.over_episodes["ef"].std == pytest.approx(np.std([3 / 1.5, 1 / 1.5], ddof=1))


def test_what_is_undefined_is_null_with_a_reason_and_never_a_number():
    nothing = an_episode(found(None, None))
    something = an_episode(found("a", None), policy="other")
    document = summarise([nothing, something], baseline="random").to_json()
    other = document["systems"]["all"]["other"]["of_mean_curves"]
    assert other["ef"]["value"] is None
    assert "discovered nothing" in other["ef"]["reason"]
    assert other["af"]["value"] is None
    back = summarise([nothing, something], baseline="other").policies[0].of_means["af"]
    assert back == Undefined("what the baseline reached in the end was not reached", at_most=0.5)
    assert document["systems"]["all"]["random"]["over_episodes"]["recall_formula"]["mean"] is None


def test_the_spread_is_that_of_a_sample():
    values = [1.0, 2.0, 4.0, Undefined("lost")]
    said = spread(values)
    assert (said.mean, said.n, said.undefined) == (pytest.approx(7 / 3), 3, (("lost", 1),))
    assert said.std == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert said.sem == pytest.approx(np.std([1, 2, 4], ddof=1) / math.sqrt(3))
    assert isinstance(spread([5.0]).std, Undefined)
    assert isinstance(spread([]).mean, Undefined)


@given(st.floats(-1e6, 1e6), st.integers(2, 20))
def test_equal_numbers_have_no_spread(value, n):
    said = spread([value] * n)
    assert (said.mean, said.std, said.sem) == (value, 0, 0)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="there are: random"):
        summarise([an_episode(found("a"))], baseline="ucb")
    with pytest.raises(ValueError, match="budgets"):
        summarise([an_episode(found("a"), 3), an_episode(found("a"), 4, policy="other")], baseline="random")
    with pytest.raises(ValueError, match="no episode"):
        summarise([], baseline="random")


def test_files_say_what_the_summary_says(tmp_path):
    episodes = [
        an_episode(found("a", None, score=1.5), 3, index=0),
        an_episode(found(None, None, score=None), 3, index=1),
    ]
    summary = summarise(episodes, baseline="random")
    write_summary(tmp_path, summary, {"name": "test"})
    document = json.loads((tmp_path / SUMMARY).read_text())
    assert document["name"] == "test"
    assert set(document["definitions"]) == set(METRICS)
    rows = list(csv.DictReader(io.StringIO((tmp_path / EPISODES).read_text())))
    assert [row["discoveries"] for row in rows] == ["1", "0"]
    assert [row["best_score"] for row in rows] == ["1.5", ""]
    points = list(csv.DictReader(io.StringIO((tmp_path / CURVES).read_text())))
    assert [point["discoveries_mean"] for point in points] == ["0.5", "0.5", "0.5"]
    assert [point["best_mean"] for point in points] == ["", "", ""]

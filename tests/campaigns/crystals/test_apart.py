"""Distances that are brought up to date are those that are found anew, whatever happened in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.crystals import CrystalEnvironment, DiversityStrategy
from campaigns.crystals.apart import AT_ONCE, Apart, same_ones
from campaigns.crystals.distances import METRICS, distances
from campaigns.crystals.formulas import reduced_formula
from campaigns.crystals.statistics import Statistics

ENVIRONMENT = CrystalEnvironment(["Cu", "Au", "Ni"], max_stoichiometry=7, include_elements=True)
FORMULAS = ENVIRONMENT.compositions
FRACTIONS = np.array([ENVIRONMENT.fractions_of(formula) for formula in FORMULAS])
NUMBERS = {name: number for number, name in enumerate(dict.fromkeys(map(reduced_formula, FORMULAS)))}
REDUCED = np.array([NUMBERS[reduced_formula(formula)] for formula in FORMULAS])


def known(attempts):
    n = len(FORMULAS)
    return Statistics(FORMULAS, FRACTIONS, REDUCED, attempts, attempts, np.zeros(n, int), np.full(n, np.nan), np.eye(3))


def straightforward(what, metric, mask):
    tried = np.flatnonzero(what.attempts > 0)
    apart = distances(what.fractions, np.vstack([what.fractions[tried], what.references]), metric)
    apart[:, : len(tried)][same_ones(what, tried, mask)] = np.inf
    if mask:
        apart[:, len(tried) :][what.fractions @ what.references.T == 1.0] = np.inf
    return apart.min(axis=1)


places = st.lists(st.integers(0, len(FORMULAS) - 1), max_size=12)


@given(st.sampled_from(METRICS), st.booleans(), st.lists(places, min_size=1, max_size=8), st.integers(0, 7))
@settings(max_examples=100)
def test_they_are_equal_to_the_last_bit_as_attempts_come_and_go(metric, mask, steps, shrinks_at):
    apart, attempts = Apart(metric, mask), np.zeros(len(FORMULAS), dtype=np.int64)
    for number, step in enumerate(steps):
        if number == shrinks_at:  # as where other observations are looked at than before
            attempts = np.zeros(len(FORMULAS), dtype=np.int64)
        attempts = attempts.copy()
        attempts[step] += 1
        what = known(attempts)
        assert apart.from_tried(what).tobytes() == straightforward(what, metric, mask).tobytes()


@pytest.mark.parametrize("metric", METRICS)
def test_many_at_once_are_the_same_as_one_after_another(metric):
    assert len(FORMULAS) > AT_ONCE
    what = known(np.ones(len(FORMULAS), dtype=np.int64))
    assert Apart(metric, mask=True).from_tried(what).tobytes() == straightforward(what, metric, mask=True).tobytes()


@given(st.sampled_from(METRICS), st.lists(places, min_size=2, max_size=6), st.integers(0, 99))
@settings(max_examples=60)
def test_a_strategy_that_was_there_before_chooses_as_a_new_one_does(metric, steps, seed):
    old, attempts = DiversityStrategy(metric), np.zeros(len(FORMULAS), dtype=np.int64)
    for step in steps:
        attempts = attempts.copy()
        attempts[step] += 1
        new = DiversityStrategy(metric)
        chosen = [one.select(known(attempts), 5, np.random.default_rng(seed)) for one in (old, new)]
        assert chosen[0] == chosen[1]

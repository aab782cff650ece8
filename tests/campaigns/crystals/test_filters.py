"""Filters reject what they say they reject, with numbers, and nothing else."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from campaigns.components import Plan
from campaigns.crystals import (
    Crystal,
    CrystalEnvironment,
    MinDistanceFilter,
    RandomGenerator,
    SMACTValidityFilter,
    UniquenessFilter,
)
from campaigns.crystals.geometry import closest_pair
from tests.campaigns.crystals.making import AU3CU, AUCU3, cube, failed, given, outcome, relaxed, view

ENVIRONMENT = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=8)


def passed(one, candidates, seen=None):
    results = one.filter(candidates, seen or view(ENVIRONMENT))
    assert [result.rejection_reason is None for result in results] == [result.passed for result in results]
    assert {result.filter_name for result in results} <= {type(one).__name__}
    return [result.passed for result in results]


def test_smact_rejects_what_has_no_charge_balance():
    salt, nonsense = cube(["Na", "Cl"]), cube(["Na", "Na", "Na", "Cl"])
    results = SMACTValidityFilter().filter([salt, nonsense, AUCU3], view(ENVIRONMENT))
    assert [result.passed for result in results] == [True, False, True]
    assert "ClNa3" in results[1].rejection_reason


def test_atoms_that_are_too_close_are_named_with_their_distance():
    close = Crystal(((4, 0, 0), (0, 4, 0), (0, 0, 4)), ("Cu", "Au"), ((0, 0, 0), (0, 0, 0.95)))
    (result,) = MinDistanceFilter(0.5).filter([close], view(ENVIRONMENT))
    assert not result.passed
    assert "Cu and Au are 0.200 Å apart, less than 0.5 Å" in result.rejection_reason
    assert passed(MinDistanceFilter(0.1), [close]) == [True]


def test_an_atom_may_be_too_close_to_its_own_copy():
    thin = Crystal(((4, 0, 0), (0, 4, 0), (0, 0, 0.4)), ("Cu",), ((0, 0, 0),))
    assert passed(MinDistanceFilter(), [thin, AUCU3]) == [False, True]


@examples(st.integers(0, 2**32 - 1), st.floats(0.1, 6))
@settings(max_examples=30)
def test_the_closest_pair_is_the_closest_of_all_copies(seed, within):
    (crystal,) = RandomGenerator(seed=seed, closest=0.2).generate(Plan(("Au2Cu2",), 1), view(ENVIRONMENT))
    cell, places = np.array(crystal.cell), np.array(crystal.positions)
    steps = np.array(np.meshgrid(*[np.arange(-3, 4)] * 3)).reshape(3, -1).T
    apart = (places[:, None, None] - places[None, :, None] + steps[None, None]) @ cell
    lengths = np.linalg.norm(apart, axis=-1)
    shortest = lengths[lengths > 1e-9].min()
    found = closest_pair(crystal, within)
    assert (found is None) == (shortest >= within)
    assert found is None or found[2] == pytest.approx(shortest)


@pytest.mark.parametrize("threshold", [-1.0, float("nan")])
def test_no_distance_is_refused(threshold):
    with pytest.raises(ValueError, match="min_distance_threshold"):
        MinDistanceFilter(threshold)


def test_structures_are_unique_among_attempted_pending_and_accepted_ones():
    environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=8)
    one = UniquenessFilter()
    moved = cube(["Au", "Cu", "Cu", "Cu"], 3.75, shift=0.2)
    larger = Crystal.from_ase(AUCU3.to_ase() * (1, 1, 2))
    assert passed(one, [AUCU3, moved, AU3CU, larger], view(environment)) == [True, False, True, False]
    assert passed(one, [moved, AU3CU], view(environment, pending=[AUCU3])) == [False, True]
    seen = [given(environment, AUCU3, 0.1, "a"), failed(environment, AU3CU, "b")]
    results = one.filter([moved, AU3CU, cube(["Cu", "Au"], 3.9)], view(environment, seen))
    assert [result.passed for result in results] == [False, False, True]
    assert "AuCu3 is the same structure as a, attempted before" in results[0].rejection_reason
    assert passed(UniquenessFilter(primitive_cell=False), [AUCU3, larger]) == [True, True]


def test_what_another_was_relaxed_to_is_no_news_either():
    environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=8)
    proposed = RandomGenerator(seed=1).generate(Plan(("AuCu3",), 1), view(environment))[0]
    seen = [environment.observe(proposed, outcome("a", result=relaxed(AUCU3, -0.01)))]
    results = UniquenessFilter().filter([AUCU3, proposed], view(environment, seen))
    assert [result.passed for result in results] == [False, False]
    assert "that to which a was relaxed" in results[0].rejection_reason


def test_strict_tolerances_tell_more_apart():
    a, b = (
        cube(["Cu", "Au"], 4.0),
        Crystal(((4, 0, 0), (0, 4, 0), (0, 0, 4.4)), ("Cu", "Au"), ((0, 0, 0), (0, 0.5, 0.5))),
    )
    assert passed(UniquenessFilter(), [a, b]) == [True, False]
    assert passed(UniquenessFilter(ltol=0.01, stol=0.01, angle_tol=0.1), [a, b]) == [True, True]
    for name in ("ltol", "stol", "angle_tol"):
        with pytest.raises(ValueError, match=name):
            UniquenessFilter(**{name: 0.0})


@examples(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_what_passes_differs_from_all_else_that_passes_and_the_second_time_nothing_passes(seed):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    candidates = RandomGenerator(seed=seed).generate(Plan(("AuCu", "Au2Cu2"), 4), view(ENVIRONMENT))
    one = UniquenessFilter()
    kept = [each for each, fine in zip(candidates, passed(one, candidates), strict=True) if fine]
    matcher = StructureMatcher()
    for i, first in enumerate(kept):
        assert not any(matcher.fit(first.to_pymatgen(), other.to_pymatgen()) for other in kept[:i])
    assert passed(one, candidates, view(ENVIRONMENT, pending=kept)) == [False] * len(candidates)


@pytest.mark.parametrize(
    ("missing", "make"),
    [("smact.screening", SMACTValidityFilter), ("pymatgen.analysis.structure_matcher", UniquenessFilter)],
)
def test_a_missing_extra_is_named_with_how_to_get_it(monkeypatch, missing, make):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ValueError, match=r'pip install "md-director\[materials\]"'):
        make()

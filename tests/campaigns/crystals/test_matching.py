"""What is quick to say of two crystals is what reducing and comparing both of them says."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.components import Plan
from campaigns.crystals import Crystal, CrystalEnvironment, RandomGenerator
from campaigns.crystals.geometry import closest_pair, heights, lattice_shifts
from campaigns.crystals.matching import TRANSLATION_ANGSTROM, Matcher
from campaigns.crystals.supercells import may_be_supercell
from tests.campaigns.crystals.making import AUCU3, view

ENVIRONMENT = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=12, include_elements=True)
REPEATS = ((1, 1, 1), (2, 1, 1), (1, 1, 3), (2, 2, 1), (1, 5, 1))
SHEARS = (np.eye(3), [[1, 1, 0], [0, 1, 0], [0, 0, 1]], [[1, 0, -2], [1, 1, 0], [0, 0, 1]])


def random_crystal(formula, seed, closest=0.6):
    (crystal,) = RandomGenerator(seed=seed, closest=closest).generate(Plan((formula,), 1), view(ENVIRONMENT))
    return crystal


def supercell(crystal, repeat, shear, rattle_angstrom, seed):
    """The same in another cell, its atoms moved at random."""
    from ase.build import make_supercell

    atoms = make_supercell(crystal.to_ase() * repeat, np.array(shear))
    atoms.positions += np.random.default_rng(seed).uniform(-rattle_angstrom, rattle_angstrom, (len(atoms), 3))
    return Crystal.from_ase(atoms)


def reduced(crystal):
    return crystal.to_pymatgen().get_reduced_structure(reduction_algo="niggli").get_primitive_structure()


def same_by_reduction(one, other):
    from pymatgen.analysis.structure_matcher import StructureMatcher

    if one.reduced_formula != other.reduced_formula:
        return False
    first, second = reduced(one), reduced(other)
    return len(first) == len(second) and StructureMatcher(scale=True).fit(first, second, skip_structure_reduction=True)


crystals = st.builds(
    random_crystal,
    st.sampled_from(["Cu", "AuCu", "Au2Cu", "Au2Cu2", "Cu3", "Au2"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.05, 0.3, 0.6]),
)
cells = st.builds(
    supercell,
    crystals,
    st.sampled_from(REPEATS),
    st.sampled_from(SHEARS),
    st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.4]),
    st.integers(0, 99),
)


@given(cells)
@settings(max_examples=80)
def test_no_crystal_with_a_smaller_cell_is_said_to_have_none(crystal):
    if len(reduced(crystal)) < len(crystal):
        assert may_be_supercell(crystal, TRANSLATION_ANGSTROM)


@given(st.integers(0, 2**32 - 1), st.sampled_from(REPEATS), st.sampled_from(REPEATS), st.sampled_from([0.0, 0.1, 0.5]))
@settings(max_examples=40)
def test_matching_says_what_reducing_both_says(seed, repeat, other_repeat, rattle):
    crystal = random_crystal("AuCu", seed)
    one = supercell(crystal, repeat, SHEARS[1], 0.0, seed)
    other = supercell(crystal, other_repeat, SHEARS[2], rattle, seed)
    assert Matcher().same(one, other) == same_by_reduction(one, other)


def test_one_with_a_smaller_cell_is_the_same_and_a_random_one_of_that_formula_is_not():
    larger = supercell(AUCU3, (1, 2, 1), SHEARS[1], 0.0, 0)
    assert may_be_supercell(larger, TRANSLATION_ANGSTROM)
    assert Matcher().same(AUCU3, larger)
    assert not Matcher(primitive_cell=False).same(AUCU3, larger)
    assert not may_be_supercell(AUCU3, TRANSLATION_ANGSTROM)


@pytest.mark.parametrize(("formula", "least"), [("AuCu3", 1.0), ("Au2Cu2", 0.8), ("Au2Cu6", 0.8), ("Au4Cu4", 0.8)])
def test_of_random_crystals_few_are_looked_at_twice(formula, least):
    ruled_out = [not may_be_supercell(random_crystal(formula, seed), TRANSLATION_ANGSTROM) for seed in range(40)]
    assert np.mean(ruled_out) >= least


def test_a_prime_too_large_to_look_at_is_left_to_the_reduction():
    assert may_be_supercell(supercell(Crystal(AUCU3.cell, ("Cu",), ((0, 0, 0),)), (11, 1, 1), SHEARS[0], 0, 0), 0.1)


@given(crystals, st.floats(0.1, 6.0))
@settings(max_examples=60)
def test_shifts_and_the_closest_pair_are_as_if_all_copies_were_looked_at(crystal, within):
    cell, places = np.array(crystal.cell), np.array(crystal.positions)
    steps = np.indices((9, 9, 9)).reshape(3, -1).T - 4
    apart = places[:, None] - places[None]
    vectors = ((apart - np.round(apart)) @ cell)[:, :, None] + steps @ cell
    every = np.linalg.norm(vectors, axis=-1)
    few = np.linalg.norm(((apart - np.round(apart)) @ cell)[:, :, None] + lattice_shifts(cell, within), axis=-1)
    for far in (every, few):
        far[far < 1e-9] = np.inf
    if within < 3.5 * heights(cell).min():
        assert np.allclose(np.minimum(every.min(axis=2), within), np.minimum(few.min(axis=2, initial=np.inf), within))
        shortest = reduce(min, every.ravel().tolist())
        found = closest_pair(crystal, within)
        assert found is None if shortest >= within else found[2] == pytest.approx(shortest)

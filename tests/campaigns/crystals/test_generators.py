"""Generators make crystals of the planned compositions, and go on from their state."""

from __future__ import annotations

import json

import numpy as np
import pytest
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import primitive_neighbor_list
from hypothesis import given as examples
from hypothesis import settings
from hypothesis import strategies as st

from campaigns.components import Exhausted, Plan
from campaigns.crystals import CachedGenerator, Crystal, CrystalEnvironment, RandomGenerator
from campaigns.crystals.random_generator import ROOM
from tests.campaigns.crystals.making import AUCU3, cube, given, view

ENVIRONMENT = CrystalEnvironment(["Cu", "Au", "Al"], max_stoichiometry=12)
SEEN = view(ENVIRONMENT)


def closest_ratio(crystal: Crystal) -> float:
    """Shortest distance, as a share of the sum of the covalent radii."""
    cell = np.array(crystal.cell)
    radii = np.array([covalent_radii[atomic_numbers[one]] for one in crystal.species])
    first, second, distance = primitive_neighbor_list("ijd", [True] * 3, cell, np.array(crystal.positions) @ cell, 4.0)
    return float((distance / (radii[first] + radii[second])).min(initial=9.0))


@examples(st.sampled_from(ENVIRONMENT.compositions), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_random_crystals_have_the_composition_room_and_distances(formula, seed):
    for crystal in RandomGenerator(seed=seed).generate(Plan((formula,), 2), SEEN):
        assert crystal.formula == formula
        radii = np.array([covalent_radii[atomic_numbers[one]] for one in crystal.species])
        spheres = float((4 / 3 * np.pi * np.maximum(radii, 1.0) ** 3).sum())
        assert ROOM[0] * spheres <= crystal.volume * (1 + 1e-9)
        assert crystal.volume <= ROOM[1] * spheres * (1 + 1e-9)
        cellpar = crystal.to_ase().cell.cellpar()
        assert all(3 - 1e-9 <= length <= 15 + 1e-9 for length in cellpar[:3])
        assert all(60 - 1e-6 <= angle <= 120 + 1e-6 for angle in cellpar[3:])
        assert closest_ratio(crystal) >= 0.6 - 1e-9


def test_each_region_gets_as_many_as_planned_and_every_seed_others():
    plan = Plan(("AuCu", "AuCu3"), 3)
    found = RandomGenerator(seed=1).generate(plan, SEEN)
    assert [one.formula for one in found] == ["AuCu"] * 3 + ["AuCu3"] * 3
    assert len({one.key for one in found}) == 6
    assert RandomGenerator(seed=1).generate(plan, SEEN) == found
    assert RandomGenerator(seed=2).generate(plan, SEEN) != found


def test_a_plan_without_compositions_gives_one_atom_of_each_element():
    found = RandomGenerator(seed=1).generate(Plan((), 2), SEEN)
    assert [one.formula for one in found] == ["AlAuCu"] * 2


def test_ranges_are_kept_and_one_without_room_is_an_error():
    found = RandomGenerator(seed=1, lattice_length_range=[4, 5], lattice_angle_range=[90, 90]).generate(
        Plan(("Al2Au2Cu2",), 3), SEEN
    )
    for crystal in found:
        cellpar = crystal.to_ase().cell.cellpar()
        assert all(4 <= length <= 5 for length in cellpar[:3])
        assert cellpar[3:] == pytest.approx([90, 90, 90])
    with pytest.raises(
        ValueError, match="none of 16384 cells has room for AuCu, which is 20 to 81 Å³: change lattice_l"
    ):
        RandomGenerator(seed=1, lattice_length_range=[10, 12]).generate(Plan(("AuCu",), 1), SEEN)


def test_where_atoms_find_no_place_there_is_one_candidate_less():
    crowded = RandomGenerator(seed=1, closest=1.0, max_tries=2)
    assert len(crowded.generate(Plan(("Al4Au4Cu4",), 10), SEEN)) < 10


@pytest.mark.parametrize(
    "arguments",
    [
        {"lattice_length_range": [5, 4]},
        {"lattice_length_range": [0, 4]},
        {"lattice_angle_range": [60, 180]},
        {"lattice_angle_range": [60]},
        {"closest": 1.5},
        {"max_tries": 0},
    ],
)
def test_wrong_ranges_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        RandomGenerator(**arguments)


class Counting(RandomGenerator):
    """Knows how often it was asked, and for what."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)
        self.plans: list[Plan] = []

    def generate(self, plan, view):
        self.plans.append(plan)
        return super().generate(plan, view)


def test_a_cache_asks_once_for_each_composition():
    base = Counting(seed=1)
    cached = CachedGenerator(base, num_initial_candidates=4)
    first = cached.generate(Plan(("AuCu", "AuCu3"), 1), SEEN)
    assert [one.formula for one in first] == ["AuCu"] * 4 + ["AuCu3"] * 4
    assert cached.generate(Plan(("AuCu3",), 9), SEEN) == first[4:]
    assert [(plan.regions, plan.num_candidates) for plan in base.plans] == [(("AuCu",), 4), (("AuCu3",), 4)]


def test_a_single_cache_is_made_for_the_first_plan():
    base = Counting(seed=1)
    cached = CachedGenerator(base, num_initial_candidates=5, cache_by_composition=False)
    first = cached.generate(Plan(("AuCu", "AuCu3"), 1), SEEN)
    assert len(first) == 5
    assert cached.generate(Plan(("Au3Cu",), 1), SEEN) == first
    assert len(base.plans) == 1


@pytest.mark.parametrize("by_composition", [True, False])
def test_what_was_selected_is_not_handed_out_again_and_the_end_is_said(by_composition):
    environment = CrystalEnvironment(["Cu", "Au"], max_stoichiometry=2)
    cached = CachedGenerator(RandomGenerator(seed=1), num_initial_candidates=3, cache_by_composition=by_composition)
    plan = Plan(("AuCu",), 1)
    one, two, three = cached.generate(plan, view(environment))
    seen = [given(environment, one, 0.1, "a")]
    assert cached.generate(plan, view(environment, seen, [two])) == [three]
    with pytest.raises(Exhausted, match="all 3 candidates that were generated have been selected"):
        cached.generate(plan, view(environment, seen, [two, three]))


def test_an_exhausted_composition_gives_none_while_others_are_left():
    cached = CachedGenerator(RandomGenerator(seed=1), num_initial_candidates=1)
    (only,) = cached.generate(Plan(("AuCu",), 1), SEEN)
    assert cached.generate(Plan(("AuCu",), 1), view(ENVIRONMENT, pending=[only])) == []


@pytest.mark.parametrize("make", [RandomGenerator, lambda seed: CachedGenerator(RandomGenerator(seed=seed), 2)])
def test_interrupted_anywhere_a_generator_goes_on_as_if_it_had_not_been(make):
    plans = [Plan(("AuCu",), 2), Plan(("AuCu3", "AuCu"), 1), Plan((), 1), Plan(("Au3Cu",), 2)]

    def made(interrupted_at):
        generator, found = make(seed=5), []
        for step, plan in enumerate(plans):
            if step == interrupted_at:
                state = json.loads(json.dumps(generator.get_state()))
                generator = make(seed=99)
                generator.load_state(state)
            found.append(generator.generate(plan, SEEN))
        return found

    whole = made(None)
    assert all(made(step) == whole for step in range(len(plans)))


def test_a_cache_of_nothing_is_refused():
    with pytest.raises(ValueError, match="num_initial_candidates"):
        CachedGenerator(RandomGenerator(), 0)


def test_equal_candidates_are_kept_once():
    class Same(RandomGenerator):
        def generate(self, plan, view):
            return [AUCU3, AUCU3, cube(["Cu", "Au"])]

    assert CachedGenerator(Same(), 3).generate(Plan(("AuCu3",), 3), SEEN) == [AUCU3, cube(["Cu", "Au"])]

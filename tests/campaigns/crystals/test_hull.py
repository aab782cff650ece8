"""The hull is pymatgen's, for one to five elements, degenerate ones included."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.crystals import Hull
from campaigns.crystals.hull import formation_energy

ELEMENTS = ["Al", "Cu", "Ni", "Au", "Pd"]

ENERGIES = st.one_of(
    st.floats(-2, 2, allow_nan=False).map(lambda value: round(value, 6)),
    st.sampled_from([0.0, -0.1, -0.2, -0.3, 0.1]),  # many in one plane
)


@st.composite
def phases(draw, most_elements=5):
    n = draw(st.integers(1, most_elements))
    counts = st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(lambda parts: sum(parts) > 0)
    return n, draw(st.lists(st.tuples(counts, ENERGIES), max_size=12))


def hull_of(n, found):
    hull = Hull(n)
    for counts, energy in found:
        hull.add(np.array(counts) / sum(counts), energy)
    return hull


@given(phases())
@settings(max_examples=80)
def test_distances_from_the_hull_are_those_of_pymatgen(case):
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    n, found = case
    hull = hull_of(n, found)
    entries = [PDEntry(Composition(symbol), 0.0) for symbol in ELEMENTS[:n]]
    for counts, energy in found:
        entries.append(PDEntry(Composition(dict(zip(ELEMENTS, counts, strict=False))), energy * sum(counts)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diagram = PhaseDiagram(entries)
    for entry in entries:
        point = [entry.composition.get_atomic_fraction(symbol) for symbol in ELEMENTS[:n]]
        expected = diagram.get_e_above_hull(entry)
        assert hull.above(point, entry.energy_per_atom) == pytest.approx(expected, abs=1e-7)


@given(phases(4), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_the_hull_is_below_all_phases_is_convex_and_does_not_depend_on_the_order(case, seed):
    n, found = case
    hull = hull_of(n, found)
    random = np.random.default_rng(seed)
    for counts, energy in found:
        assert hull.above(np.array(counts) / sum(counts), energy) >= -1e-10
    one, other = random.dirichlet(np.ones(n)), random.dirichlet(np.ones(n))
    assert hull.energy((one + other) / 2) <= (hull.energy(one) + hull.energy(other)) / 2 + 1e-10
    shuffled = hull_of(n, [found[place] for place in random.permutation(len(found))])
    points = random.dirichlet(np.ones(n), size=5)
    assert np.allclose(hull.energies(points), shuffled.energies(points), atol=1e-10)


@given(phases(4))
@settings(max_examples=40)
def test_it_is_made_anew_only_by_a_phase_below_it(case):
    n, found = case
    hull = Hull(n)
    for counts, energy in found:
        point = np.array(counts) / sum(counts)
        before, updates = hull.energy(point), hull.updates
        lowered = hull.add(point, energy)
        assert lowered == (energy < before - 1e-11)
        assert hull.updates == updates + lowered
        assert hull.energy(point) == pytest.approx(min(before, energy), abs=1e-10)


def test_without_compounds_the_hull_is_flat():
    hull = Hull(3)
    hull.add([1 / 3, 1 / 3, 1 / 3], 0.05)
    assert hull.energy([0.2, 0.3, 0.5]) == 0.0
    assert hull.stable() == [0, 1, 2]


def test_an_element_below_its_reference_lowers_the_hull_beside_it():
    hull = Hull(2)
    hull.add([1.0, 0.0], -0.1)
    assert hull.energy([0.5, 0.5]) == pytest.approx(-0.05)
    assert hull.stable() == [1, 2]


def test_of_equal_phases_the_first_is_stable():
    hull = Hull(2)
    for _ in range(3):
        hull.add([0.5, 0.5], -0.1)
    assert hull.stable() == [0, 1, 2]


def test_a_phase_on_a_line_between_two_others_is_stable_too():
    hull = Hull(3)
    hull.add([0.5, 0.5, 0.0], -0.2)
    hull.add([0.75, 0.25, 0.0], -0.1)
    assert hull.above([0.75, 0.25, 0.0], -0.1) == pytest.approx(0.0, abs=1e-12)
    assert hull.stable() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("fractions", "energy"),
    [([0.5, 0.6], 0.0), ([1.5, -0.5], 0.0), ([1.0], 0.0), ([float("nan"), 0.5], 0.0), ([0.5, 0.5], float("nan"))],
)
def test_what_is_no_phase_is_refused(fractions, energy):
    with pytest.raises(ValueError, match=r"composition|finite"):
        Hull(2).add(fractions, energy)


def test_a_hull_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Hull(0)


def test_formation_energies_are_from_the_references():
    assert formation_energy(-8.0, [1, 3], [-1.0, -2.0]) == pytest.approx(-0.25)

"""Crystals are written down exactly, and their formulas are of the cell and of the composition."""

from __future__ import annotations

import io
import json

import ase.io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.crystals import Crystal
from campaigns.crystals.formulas import (
    canonical,
    counts_of,
    enumerate_formulas,
    fractions,
    read_formula,
    reduced_formula,
    write_formula,
)
from tests.campaigns.crystals.making import AUCU3, cube

SYMBOLS = st.sampled_from(["H", "C", "O", "Cu", "Au", "Cs", "Ni"])
NUMBERS = st.floats(-2, 2, allow_nan=False).map(lambda value: value if abs(value) > 1e-300 else 0.0)


@st.composite
def crystals(draw):
    species = draw(st.lists(SYMBOLS, min_size=1, max_size=5))
    positions = draw(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=len(species), max_size=len(species)))
    length = st.floats(2, 12, allow_nan=False)
    tilt = st.floats(-1, 1, allow_nan=False)
    a, b, c, u, v, w = (draw(one) for one in (length, length, length, tilt, tilt, tilt))
    return Crystal(((a, 0.0, 0.0), (u, b, 0.0), (v, w, c)), tuple(species), tuple(positions))


@given(crystals())
@settings(max_examples=60)
def test_a_crystal_is_the_same_after_json_and_extended_xyz_pymatgen_and_ase(crystal):
    again = Crystal.from_json(json.loads(json.dumps(crystal.to_json())))
    assert again == crystal
    assert again.key == crystal.key
    read = ase.io.read(io.StringIO(crystal.to_extxyz()), format="extxyz")
    assert read.get_chemical_symbols() == list(crystal.species)
    assert read.pbc.all()
    assert np.array_equal(read.cell.array, np.array(crystal.cell))
    assert np.allclose(read.positions, np.array(crystal.positions) @ np.array(crystal.cell), atol=1e-12, rtol=0)
    for other in (Crystal.from_ase(crystal.to_ase()), Crystal.from_pymatgen(crystal.to_pymatgen())):
        assert (other.formula, other.reduced_formula) == (crystal.formula, crystal.reduced_formula)
        assert other.volume == pytest.approx(crystal.volume)
        apart = np.array(other.positions) - np.array(crystal.positions)
        assert np.abs(apart - np.round(apart)).max() < 1e-9
    assert all(0 <= value < 1 for row in crystal.positions for value in row)


def test_the_formula_of_a_cell_and_that_of_its_composition_are_kept_apart():
    crystal = cube(["Cu", "Au", "Cu", "Au"])
    assert (crystal.formula, crystal.reduced_formula) == ("Au2Cu2", "AuCu")
    assert len(crystal) == 4


def test_keys_tell_geometries_apart_and_not_how_numbers_are_written():
    assert cube(["Cu"], 4).key == cube(["Cu"], 4.0).key
    assert Crystal(AUCU3.cell, ("Cu",), ((1.0, -0.0, 2.25),)) == Crystal(AUCU3.cell, ("Cu",), ((0.0, 0.0, 0.25),))
    assert len({cube(["Cu"], a).key for a in (4.0, 4.0000001)} | {cube(["Ag"]).key}) == 3


@pytest.mark.parametrize(
    ("cell", "species", "positions", "said"),
    [
        (((1, 0, 0), (2, 0, 0), (0, 0, 1)), ["Cu"], [(0, 0, 0)], "volume is 0"),
        (((1, 0, 0), (0, 1, 0)), ["Cu"], [(0, 0, 0)], "three cell vectors"),
        (((1, 0, 0), (0, 1, 0), (0, 0, 1)), ["Cu"], [], "one position for each atom"),
        (((1, 0, 0), (0, 1, 0), (0, 0, 1)), ["Xy"], [(0, 0, 0)], "'Xy'"),
        (((1, 0, 0), (0, 1, 0), (0, 0, 1)), ["Cu"], [(0, float("nan"), 0)], "finite"),
    ],
)
def test_what_is_no_crystal_is_refused(cell, species, positions, said):
    with pytest.raises(ValueError, match=said):
        Crystal(cell, tuple(species), tuple(positions))


def test_documents_that_contradict_themselves_are_refused():
    document = AUCU3.to_json()
    with pytest.raises(ValueError, match="formula says Cu4"):
        Crystal.from_json({**document, "formula": "Cu4"})
    with pytest.raises(ValueError, match="no crystal"):
        Crystal.from_json({"species": ["Cu"]})


def test_molecules_and_disordered_structures_are_no_crystals():
    from ase.build import molecule
    from pymatgen.core import Lattice, Structure

    with pytest.raises(ValueError, match="not periodic"):
        Crystal.from_ase(molecule("H2O"))
    with pytest.raises(ValueError, match="partly occupied"):
        Crystal.from_pymatgen(Structure(Lattice.cubic(3), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]]))


@given(st.dictionaries(SYMBOLS, st.integers(1, 30), min_size=1))
def test_formulas_are_read_as_they_are_written(counts):
    formula = write_formula(counts)
    assert read_formula(formula) == counts
    assert canonical(formula) == formula
    smallest = read_formula(reduced_formula(formula))
    ratios = {counts[symbol] / smallest[symbol] for symbol in counts}
    assert len(ratios) == 1
    elements = sorted(counts)
    assert sum(fractions(counts, elements)) == pytest.approx(1)
    assert fractions(counts, elements) == pytest.approx(fractions(smallest, elements))


def test_formulas_follow_hills_convention_as_those_of_results_do():
    from ase import Atoms

    for species in (["Cu", "Au", "Cu"], ["O", "H", "C"], ["H", "O", "H"]):
        assert write_formula(counts_of(species)) == Atoms(species).get_chemical_formula()


@pytest.mark.parametrize("text", ["", "cu", "Cu0", "Cu3Au!", "Xy2", "Cu-Au", "2Cu", "Cu03"])
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(ValueError, match="formula"):
        read_formula(text)


@given(st.integers(1, 4), st.integers(1, 7), st.booleans())
def test_all_formulas_are_enumerated_once_and_none_is_too_large(n, most, include_elements):
    from math import comb

    elements = ["Cu", "Au", "Ni", "Ag"][:n]
    found = enumerate_formulas(elements, most, include_elements=include_elements)
    assert len(set(found)) == len(found) == comb(most + n, n) - 1 - (0 if include_elements else n * most)
    sizes = [sum(read_formula(formula).values()) for formula in found]
    assert sizes == sorted(sizes)
    assert max(sizes, default=0) <= most

"""Peptides from their sequence: the right atoms, L amino acids, trans bonds, and nothing through anything."""

from itertools import pairwise

import numpy as np
import openmm as mm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openmm import app

from simulations.cache import BuildCache
from simulations.md import MdRequest
from simulations.md.molecule import find_molecule
from simulations.md.peptide import AMINO_ACIDS, CONFORMATIONS, PROLINE_PHI, SIDE_CHAINS, heavy_atoms, residue_names
from simulations.md.structure import STRUCTURES, source_of
from simulations.md.system import prepare

SEQUENCES = st.text(alphabet=sorted(AMINO_ACIDS), min_size=1, max_size=25)
ENDS = st.tuples(st.sampled_from(["free", "ACE"]), st.sampled_from(["free", "NME"]))
REFERENCE = mm.Platform.getPlatformByName("Reference")


def torsion(a, b, c, d):
    """Torsion a-b-c-d in degrees."""
    before, axis, after = a - b, (c - b) / np.linalg.norm(c - b), d - c
    v, w = before - before @ axis * axis, after - after @ axis * axis
    return np.degrees(np.arctan2(np.cross(axis, v) @ w, v @ w))


def handedness(centre, first, second, third):
    return np.dot(np.cross(first - centre, second - centre), third - centre)


def assert_hands(name, at):
    """Whether a residue is L, also where its side chain has a hand."""
    if "CB" in at:
        assert handedness(at["CA"], at["N"], at["C"], at["CB"]) > 2, f"{name} is not L"
    if name == "THR":
        assert handedness(at["CB"], at["OG1"], at["CA"], at["CG2"]) < -2, "allo-threonine"
    if name == "ILE":
        assert handedness(at["CB"], at["CG1"], at["CA"], at["CG2"]) < -2, "allo-isoleucine"


def assert_sound(names, residues, conformation):
    """Whether residues of `heavy_atoms` have all their atoms, the right hands, and a conformation if one is named."""
    for name, at in zip(names, residues, strict=True):
        if name in AMINO_ACIDS.values():
            ends = {"OXT"} if at is residues[-1] else set()
            assert set(at) == {"N", "CA", "C", "O", *(row[0] for row in SIDE_CHAINS[name])} | ends
        assert_hands(name, at)
        if name == "PRO":
            assert np.linalg.norm(at["CD"] - at["N"]) == pytest.approx(1.5, abs=0.2)
    if conformation is not None:
        assert_conformation(names, residues, conformation)


def assert_conformation(names, residues, conformation):
    phi, psi = CONFORMATIONS[conformation]
    for number, (before, after) in enumerate(pairwise(residues)):
        assert np.linalg.norm(before["C"] - after["N"]) == pytest.approx(1.33)
        outer = [before.get("CA", before.get("CH3")), after.get("CA", after.get("C"))]
        omega = torsion(outer[0], before["C"], after["N"], outer[1])
        assert abs(omega) == pytest.approx(180, abs=1)
        if "N" in before:
            assert torsion(before["N"], before["CA"], before["C"], after["N"]) == pytest.approx(psi, abs=0.1)
        if "CA" in after:
            expected = PROLINE_PHI if names[number + 1] == "PRO" else phi
            assert torsion(before["C"], after["N"], after["CA"], after["C"]) == pytest.approx(expected, abs=0.1)


@settings(max_examples=30)
@given(SEQUENCES, ENDS, st.sampled_from(sorted(CONFORMATIONS)))
def test_any_sequence_has_sound_geometry(sequence, ends, conformation):
    names = residue_names(sequence, *ends)
    residues = heavy_atoms(names, *CONFORMATIONS[conformation])
    assert len(residues) == len(sequence) + sum(end != "free" for end in ends)
    assert_sound(names, residues, conformation)


@settings(max_examples=30)
@given(SEQUENCES, ENDS, st.sampled_from(sorted(CONFORMATIONS)))
def test_side_chains_keep_clear_of_each_other(sequence, ends, conformation):
    """All but proline, whose ring cannot turn away from the residue before it."""
    sequence = sequence.replace("P", "A")
    residues = heavy_atoms(residue_names(sequence, *ends), *CONFORMATIONS[conformation])
    for number, atoms in enumerate(residues):
        beyond = np.array([at for name, at in atoms.items() if name[1:2] in "GDEZH" and len(name) > 1] or [[1e6] * 3])
        others = [at for index, other in enumerate(residues) if abs(index - number) > 0 for at in other.values()]
        if others:
            distances = np.linalg.norm(beyond[:, None] - np.array(others), axis=2)
            assert distances.min() > 2.2


@pytest.fixture(scope="module")
def cache():
    return BuildCache()


def molecule(**inputs):
    request = MdRequest(steps=1, **inputs)
    return find_molecule(request, source_of(request, {}))


def test_all_twenty_amino_acids_have_the_atoms_that_the_force_field_expects(cache):
    request = MdRequest(sequence="ACDEFGHIKLMNPQRSTVWY", steps=1, solvent="vacuum")
    built = prepare(request, source_of(request, {}), cache)
    formula = {}
    for atom in built.topology.atoms():
        formula[atom.element.symbol] = formula.get(atom.element.symbol, 0) + 1
    # The twenty free amino acids less nineteen waters; at pH 7 D and E lack a proton each, K and R have one more.
    assert formula == {"C": 107, "H": 159, "N": 29, "O": 30, "S": 2}
    context = mm.Context(built.system, mm.VerletIntegrator(0.001), REFERENCE)
    context.setPositions(built.positions)
    assert np.isfinite(context.getState(energy=True).getPotentialEnergy()._value)


@settings(max_examples=8)
@given(st.text(alphabet=sorted(AMINO_ACIDS), min_size=2, max_size=8), st.sampled_from(sorted(CONFORMATIONS)))
def test_any_sequence_can_be_simulated(cache, sequence, conformation):
    request = MdRequest(sequence=sequence, conformation=conformation, steps=1, solvent="vacuum")
    built = prepare(request, source_of(request, {}), cache)
    assert [residue.name for residue in built.topology.residues()] == residue_names(sequence, "free", "free")
    context = mm.Context(built.system, mm.VerletIntegrator(0.001), REFERENCE)
    context.setPositions(built.positions)
    assert np.isfinite(context.getState(energy=True).getPotentialEnergy()._value)


def test_a_sequence_has_the_same_hydrogens_every_time_and_those_of_its_ph():
    first, second = molecule(sequence="GHDK"), molecule(sequence="GHDK")
    assert np.array_equal(first.positions, second.positions)
    counts = [molecule(sequence="GHDK", ph=ph).topology.getNumAtoms() for ph in (2.0, 7.0, 13.0)]
    assert counts == [first.topology.getNumAtoms() + 2, first.topology.getNumAtoms(), counts[1] - 1]
    assert first.repairs is None


def test_caps_are_whole():
    capped = molecule(sequence="A", n_terminus="ACE", c_terminus="NME")
    shipped = app.PDBFile(str(STRUCTURES / "alanine-dipeptide.pdb"))
    ours, theirs = (
        sorted((atom.residue.name, atom.name) for atom in one.atoms()) for one in (capped.topology, shipped.topology)
    )
    assert ours == theirs


def test_conformation_decides_how_long_it_is():
    lengths = {}
    for conformation in CONFORMATIONS:
        residues = heavy_atoms(["ALA"] * 21, *CONFORMATIONS[conformation])
        lengths[conformation] = np.linalg.norm(residues[20]["CA"] - residues[0]["CA"]) / 20
    assert lengths["helix"] == pytest.approx(1.5, abs=0.1)  # Å of an alpha helix's axis for each residue
    assert 3.2 < lengths["extended"] < 3.6

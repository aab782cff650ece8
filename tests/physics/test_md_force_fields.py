"""Every force field of md with every water, implicit solvent and ion that it is said to go with."""

import mdtraj
import numpy as np
import openmm as mm
import pytest
from openmm import unit

from simulations.cache import BuildCache
from simulations.md import MdRequest
from simulations.md.forcefields import FORCE_FIELDS
from simulations.md.structure import source_of
from simulations.md.system import prepare
from tests.simulations.test_md_peptide import assert_sound

PAIRS = [
    (name, water)
    for name, fields in FORCE_FIELDS.items()
    for water in fields.waters
    if name != "charmm36_2024" or water == fields.own_water
]
"""Of the two CHARMM36, which OpenMM takes seconds to apply, the second has the same waters as the first."""
IMPLICIT = [(name, model) for name, fields in FORCE_FIELDS.items() if fields.caps for model in fields.implicit]


def built(cache, **inputs):
    request = MdRequest(**{"sequence": "GA", "steps": 1, **inputs})
    return prepare(request, source_of(request, {}), cache)


def energy(prepared):
    context = mm.Context(prepared.system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("CPU"))
    context.setPositions(prepared.positions)
    context.computeVirtualSites()
    return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)


def charge(system):
    charges = next(force for force in system.getForces() if isinstance(force, mm.NonbondedForce))
    return sum(charges.getParticleParameters(i)[0]._value for i in range(system.getNumParticles()))


@pytest.fixture(scope="module")
def cache():
    """Force fields take longer to load than to apply."""
    return BuildCache()


def assert_salted(prepared, residue):
    names = [found.name for found in prepared.topology.residues()]
    assert names.count(residue) == names.count("CL") > 0
    assert charge(prepared.system) == pytest.approx(0, abs=1e-3)
    assert np.isfinite(energy(prepared))


@pytest.mark.parametrize(("force_field", "water"), PAIRS)
def test_every_water_goes_with_its_force_field_and_has_ions(cache, force_field, water):
    box = {"sequence": None, "water_box_nm": 2.5, "solvent": "explicit", "ionic_strength_m": 0.4}
    own = water == FORCE_FIELDS[force_field].own_water
    for cation, residue in (("K+", "K"), ("Na+", "NA")) if own else (("K+", "K"),):
        assert_salted(built(cache, **box, force_field=force_field, water_model=water, cation=cation), residue)


@pytest.mark.parametrize("force_field", [name for name in FORCE_FIELDS if name != "charmm36_2024"])
def test_a_charged_peptide_is_dissolved_with_every_force_field(cache, force_field):
    prepared = built(cache, sequence="GK", force_field=force_field, solvent="explicit", padding_nm=0.8)
    assert [found.name for found in prepared.topology.residues()].count("CL") == 1
    assert charge(prepared.system) == pytest.approx(0, abs=1e-3)
    assert np.isfinite(energy(prepared))


def test_the_charmm36_of_2024_takes_a_peptide(cache):
    """In vacuum only: OpenMM takes 20 s to apply it, and would do so twice for a box."""
    prepared = built(cache, sequence="GK", force_field="charmm36_2024", solvent="vacuum")
    assert charge(prepared.system) == pytest.approx(1, abs=1e-3)
    assert np.isfinite(energy(prepared))


@pytest.mark.parametrize(("force_field", "model"), IMPLICIT)
def test_every_implicit_solvent_lowers_the_energy_of_a_charged_peptide(cache, force_field, model):
    vacuum = energy(built(cache, force_field=force_field, solvent="vacuum"))
    assert energy(built(cache, force_field=force_field, implicit_model=model)) < vacuum - 100


@pytest.mark.parametrize("conformation", ["extended", "helix"])
@pytest.mark.parametrize("sequence", ["ACDEFGHIKLMNPQRSTVWY", "WPWFWIPYW"])
def test_a_peptide_from_its_sequence_is_sound_after_minimisation(cache, sequence, conformation):
    prepared = built(cache, sequence=sequence, conformation=conformation)
    context = mm.Context(prepared.system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("CPU"))
    context.setPositions(prepared.positions)
    mm.LocalEnergyMinimizer.minimize(context, 10, 1000)
    state = context.getState(positions=True, energy=True)
    xyz = state.getPositions(asNumpy=True)._value * 10
    residues = list(prepared.topology.residues())
    at = [{a.name: xyz[a.index] for a in residue.atoms() if a.element.symbol != "H"} for residue in residues]
    assert_sound([residue.name for residue in residues], at, None)
    frame = mdtraj.Trajectory(xyz / 10, mdtraj.Topology.from_openmm(prepared.topology))
    assert np.abs(np.degrees(mdtraj.compute_omega(frame)[1])).min() > 150
    distances = np.linalg.norm(xyz[:, None] - xyz, axis=2)
    apart = np.array([[abs(a.residue.index - b.residue.index) > 1 for a in prepared.topology.atoms()]
                      for b in prepared.topology.atoms()])  # fmt: skip
    assert distances[apart].min() > 1.5  # Å: hydrogen bonds are the closest
    assert state.getPotentialEnergy()._value < 0

"""Energies and forces of what md simulates are those of plain OpenMM scripts, force by force.

The scripts use `openmm.app` alone. The other side is the very context on which production steps are taken.
"""

import gzip
from collections import defaultdict
from pathlib import Path

import numpy as np
import openmm as mm
import pytest
from openmm import app, unit

from simulations.md.platforms import PlatformChoice
from simulations.md.structure import STRUCTURES
from tests.physics.hand_made import Run

WATER = Path(__file__).parent / "data" / "water.pdb.gz"
SOLVATION = {"CustomGBForce", "GBSAOBCForce"}
"""OpenMM's general force for Generalized Born, and its compiled one, which md takes instead."""


def vacuum():
    pdb = app.PDBFile(str(STRUCTURES / "ala10.pdb"))
    field = app.ForceField("amber14-all.xml")
    return pdb, field.createSystem(pdb.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds)


def implicit():
    pdb = app.PDBFile(str(STRUCTURES / "chignolin.pdb"))
    field = app.ForceField("amber14-all.xml", "implicit/obc2.xml")
    return pdb, field.createSystem(pdb.topology, nonbondedMethod=app.NoCutoff, constraints=app.HBonds)


def explicit(water):
    """Charged chignolin would need ions, so this is the dipeptide, put into the box of water."""
    pdb = app.PDBFile(str(water))
    field = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    system = field.createSystem(
        pdb.topology, nonbondedMethod=app.PME, nonbondedCutoff=1.0 * unit.nanometer, constraints=app.HBonds
    )
    return pdb, system


def by_kind(system, positions, box):
    """Energy in kJ/mol and forces in kJ/mol/nm of each kind of force, on the Reference platform."""
    kinds = defaultdict(list)
    copy = mm.XmlSerializer.clone(system)
    for group, force in enumerate(copy.getForces()):
        force.setForceGroup(group)
        name = type(force).__name__
        kinds["solvation" if name in SOLVATION else name].append(group)
    context = mm.Context(copy, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("Reference"))
    if box is not None:
        context.setPeriodicBoxVectors(*box)
    context.setPositions(positions)
    found = {}
    for kind, groups in kinds.items():
        state = context.getState(energy=True, forces=True, groups=set(groups))
        found[kind] = (
            state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole),
            state.getForces(asNumpy=True).value_in_unit(unit.kilojoules_per_mole / unit.nanometer),
        )
    return found


@pytest.fixture
def contexts(monkeypatch):
    """The contexts that md makes, in order."""
    made = []
    make = PlatformChoice.context

    def watched(choice, system, integrator):
        context = make(choice, system, integrator)
        made.append(context)
        return context

    monkeypatch.setattr(PlatformChoice, "context", watched)
    return made


@pytest.fixture
def solvated(tmp_path):
    """Alanine dipeptide among the waters of the box that do not touch it."""
    path = tmp_path / "water.pdb"
    path.write_bytes(gzip.decompress(WATER.read_bytes()))
    water, dipeptide = app.PDBFile(str(path)), app.PDBFile(str(STRUCTURES / "alanine-dipeptide.pdb"))
    vectors = water.topology.getPeriodicBoxVectors()
    centre = np.diag(np.array(vectors.value_in_unit(unit.nanometer))) / 2
    inner = np.array(dipeptide.getPositions(asNumpy=True)._value)
    inner += centre - inner.mean(axis=0)
    outer = np.array(water.getPositions(asNumpy=True)._value)
    near = np.linalg.norm(outer[:, None] - inner, axis=2).min(axis=1) < 0.25
    joined = app.Modeller(dipeptide.topology, inner * unit.nanometer)
    joined.add(water.topology, outer * unit.nanometer)
    molecules = list(joined.topology.residues())[-water.topology.getNumResidues() :]
    touching = [
        molecule
        for molecule, residue in zip(molecules, water.topology.residues(), strict=True)
        if any(near[atom.index] for atom in residue.atoms())
    ]
    joined.delete(touching)
    joined.topology.setPeriodicBoxVectors(vectors)
    solvated = tmp_path / "solvated.pdb"
    with solvated.open("w") as stream:
        app.PDBFile.writeFile(joined.topology, joined.positions, stream)
    return solvated


@pytest.mark.parametrize("solvent", ["vacuum", "implicit", "explicit"])
def test_each_force_of_a_system_is_that_of_a_plain_script(tmp_path, contexts, request, solvent):
    files = {}
    if solvent == "explicit":
        files["structure"] = request.getfixturevalue("solvated")
        pdb, system = explicit(files["structure"])
        structure = "solvated.pdb"
    else:
        pdb, system = {"vacuum": vacuum, "implicit": implicit}[solvent]()
        structure = {"vacuum": "ala10", "implicit": "chignolin"}[solvent]
    run = Run(
        tmp_path, files, structure=structure, solvent=solvent, steps=1, minimize=False, timestep_fs=0.1, platform="CPU"
    )
    assert run.result.n_atoms == system.getNumParticles()
    produced = contexts[-1].getSystem()
    box = system.getDefaultPeriodicBoxVectors() if solvent == "explicit" else None
    ours, theirs = (by_kind(which, pdb.positions, box) for which in (produced, system))
    assert ours.keys() == theirs.keys() >= {"HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce"}
    for kind, (energy, forces) in theirs.items():
        assert ours[kind][0] == pytest.approx(energy, rel=1e-6), kind
        assert np.abs(ours[kind][1] - forces).max() <= 1e-6 * np.abs(forces).max(), kind
    for index in range(system.getNumParticles()):
        assert produced.getParticleMass(index) == system.getParticleMass(index)
    constraints = [
        sorted(
            (*sorted(pair), round(length._value, 9)) for *pair, length in map(which.getConstraintParameters, range(n))
        )
        for which in (produced, system)
        for n in [which.getNumConstraints()]
    ]
    assert constraints[0] == constraints[1]


def test_the_first_frame_has_the_energy_that_the_script_has_there(tmp_path):
    """The whole chain, from file to state table: one step from the same coordinates and velocities."""
    pdb, system = vacuum()
    integrator = mm.LangevinMiddleIntegrator(300 * unit.kelvin, 1 / unit.picosecond, 1.0 * unit.femtosecond)
    integrator.setRandomNumberSeed(11)
    context = mm.Context(system, integrator, mm.Platform.getPlatformByName("Reference"))
    context.setPositions(pdb.positions)
    context.applyConstraints(1e-5)
    context.setVelocitiesToTemperature(300 * unit.kelvin, 11)
    integrator.step(50)
    energy = context.getState(energy=True)
    run = Run(tmp_path, structure="ala10", solvent="vacuum", steps=50, minimize=False, timestep_fs=1.0, seed=11)
    assert run.column("potential_energy_kj_mol") == pytest.approx([energy.getPotentialEnergy()._value], rel=1e-6)
    assert run.column("kinetic_energy_kj_mol") == pytest.approx([energy.getKineticEnergy()._value], rel=1e-6)

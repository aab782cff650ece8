"""The atomistic Tools against what others computed, or what statistical mechanics says."""

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT, beta, parameters
from ase.io import read
from scipy.optimize import minimize_scalar
from tblite.interface import Calculator as TBLite

from tests.simulations.atomistic_runs import run, workspace

METALS = ["Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"]
EXPERIMENT_A_ANGSTROM = {"Al": 4.05, "Ni": 3.52, "Cu": 3.61, "Pd": 3.89, "Ag": 4.09, "Pt": 3.92, "Au": 4.08}
"""C. Kittel, Introduction to Solid State Physics, 8th edition, page 20."""


def relaxed(folder, **inputs):
    return run("relax", workspace(folder), **{"calculator": "emt", "relax_cell": "full", "optimizer": "bfgs",
               "fmax_ev_per_angstrom": 1e-5, **inputs})  # fmt: skip


def minimum(atoms):
    """Cubic lattice constant in Å and energy in eV at the minimum, with plain ASE: no cell relaxation and no stress.

    Args:
        atoms: A cubic crystal, primitive or not, with calculator.
    """
    cell, volume = atoms.cell.array.copy(), atoms.get_volume()

    def energy(strain):
        atoms.set_cell(cell * strain, scale_atoms=True)
        return atoms.get_potential_energy()

    found = minimize_scalar(energy, bounds=(0.95, 1.05), method="bounded", options={"xatol": 1e-8})
    return found.x * (4 * volume / len(atoms)) ** (1 / 3), found.fun


def crystal(metal):
    atoms = bulk(metal)
    atoms.calc = EMT()
    return atoms


@pytest.mark.parametrize("metal", METALS)
def test_the_lattice_constants_of_emt_metals(tmp_path, metal):
    found = relaxed(tmp_path, bulk=metal)
    a = (4 * found.cell.volume_angstrom3) ** (1 / 3)
    expected_a, expected_energy = minimum(crystal(metal))
    assert a == pytest.approx(expected_a, abs=1e-5)
    assert found.energy_ev == pytest.approx(expected_energy, abs=1e-8)
    # The potential was made so that the Wigner-Seitz radius is its s0, which is from experiment.
    assert a == pytest.approx(beta * parameters[metal][1] * units.Bohr * np.sqrt(2), rel=0.02)
    assert a == pytest.approx(EXPERIMENT_A_ANGSTROM[metal], rel=0.02)
    assert max(map(abs, found.stress_gpa)) < 1e-3


def test_the_formation_energy_of_cu3au(tmp_path):
    """Below zero, so that it is on the hull of Cu-Au with ASE's EMT: -0.0102 eV/atom, each phase relaxed.

    Against elements at ASE's reference lattice constants, which are not those of EMT, it is -0.0119 eV/atom.
    """
    alloy = bulk("Cu", a=3.75, cubic=True)
    alloy.symbols[0] = "Au"
    ase.io.write(tmp_path / "l12.cif", alloy)
    place = workspace(tmp_path / "alloy", inputs={"structure": tmp_path / "l12.cif"})
    found = run("relax", place, structure="l12.cif", calculator="emt", relax_cell="full", fmax_ev_per_angstrom=1e-5,
                optimizer="bfgs")  # fmt: skip
    copper, gold = (relaxed(tmp_path / metal, bulk=metal) for metal in ("Cu", "Au"))
    formation = found.energy_per_atom_ev - (3 * copper.energy_per_atom_ev + gold.energy_per_atom_ev) / 4
    alloy.calc = EMT()
    a, energy = minimum(alloy)
    independent = energy / 4 - (3 * minimum(crystal("Cu"))[1] + minimum(crystal("Au"))[1]) / 4
    assert formation == pytest.approx(independent, abs=1e-7)
    assert formation == pytest.approx(-0.0102, abs=1e-4)
    assert found.cell.lengths_angstrom == pytest.approx([a] * 3, abs=1e-5)
    copper, gold = (
        run("single_point", workspace(tmp_path / f"as built {metal}"), bulk=metal, calculator="emt")
        for metal in ("Cu", "Au")
    )
    formation = found.energy_per_atom_ev - (3 * copper.energy_per_atom_ev + gold.energy_per_atom_ev) / 4
    assert formation == pytest.approx(-0.0119, abs=1e-4)


@pytest.mark.parametrize(("metal", "pressure_gpa"), [("Cu", 20.0), ("Al", -2.0)])
def test_under_pressure_the_volume_is_that_of_the_equation_of_state(tmp_path, metal, pressure_gpa):
    found = relaxed(tmp_path, bulk=metal, relax_cell="hydrostatic", pressure_gpa=pressure_gpa)
    atoms = crystal(metal)
    cell, step = atoms.cell.array, 1e-4
    energies = []
    for factor in (1 - step, 1 + step):
        atoms.set_cell(cell * (found.cell.volume_angstrom3 * factor / atoms.cell.volume) ** (1 / 3), scale_atoms=True)
        energies.append(atoms.get_potential_energy())
        atoms.set_cell(cell, scale_atoms=True)
    slope = (energies[1] - energies[0]) / (2 * step * found.cell.volume_angstrom3)
    assert -slope / units.GPa == pytest.approx(pressure_gpa, abs=0.02)


def test_the_stress_of_gfn_is_the_slope_of_its_energy(tmp_path):
    """tblite's virial, against differences of energies: a sign or a unit would be lost here."""
    salt = bulk("NaCl", "rocksalt", a=5.64)
    salt.rattle(0.05, seed=1)
    found = {}
    for strain in (-1e-3, 0.0, 1e-3):
        strained = salt.copy()
        strained.set_cell(salt.cell.array @ np.diag([1 + strain, 1, 1]), scale_atoms=True)
        ase.io.write(tmp_path / "a.extxyz", strained)
        place = workspace(tmp_path / str(strain), inputs={"structure": tmp_path / "a.extxyz"})
        found[strain] = run("single_point", place, structure="a.extxyz", calculator="gfn1")
    slope = (found[1e-3].energy_ev - found[-1e-3].energy_ev) / 2e-3 / found[0.0].cell.volume_angstrom3
    assert found[0.0].stress_gpa[0] == pytest.approx(slope / units.GPa, abs=0.02)


def test_a_water_molecule_relaxed_with_gfn2_is_at_a_minimum_of_tblite_itself(tmp_path):
    place = workspace(tmp_path)
    found = run("relax", place, molecule="H2O", calculator="gfn2", fmax_ev_per_angstrom=0.001)
    water = read(tmp_path / place.artifacts["relaxed_structure"])
    direct = TBLite("GFN2-xTB", water.numbers, water.positions / units.Bohr)
    direct.set("verbosity", 0)
    result = direct.singlepoint()
    assert found.energy_ev == pytest.approx(result["energy"] * units.Hartree, abs=1e-4)
    assert np.abs(result["gradient"]).max() * units.Hartree / units.Bohr < 0.0015
    # GFN2-xTB's own geometry is close to experiment, 0.958 Å and 104.5 degrees.
    assert water.get_distance(0, 1) == pytest.approx(0.958, abs=0.01)
    assert water.get_angle(1, 0, 2) == pytest.approx(104.5, abs=4)


def test_nve_keeps_the_energy_of_copper(tmp_path):
    found = run("ase_md", workspace(tmp_path), bulk="Cu", cubic=True, supercell=[2, 2, 2], calculator="emt",
                ensemble="NVE", steps=600, timestep_fs=4.0, temperature_k=600.0, report_interval_steps=5)  # fmt: skip
    assert abs(found.energy_drift_ev_per_atom_per_ps) < 5e-6
    assert found.total_energy_ev.std < 0.03 * found.potential_energy_ev.std
    # From a relaxed start half of the kinetic energy becomes potential energy: equipartition of a harmonic crystal.
    assert found.temperature_k.mean == pytest.approx(300, rel=0.2)


def test_nve_error_falls_with_the_square_of_the_timestep(tmp_path):
    spread = {}
    for timestep in (2.0, 6.0):
        found = run("ase_md", workspace(tmp_path / str(timestep)), bulk="Cu", cubic=True, supercell=[2, 2, 1],
                    calculator="emt", ensemble="NVE", steps=int(900 / timestep), timestep_fs=timestep,
                    temperature_k=600.0, report_interval_steps=int(18 / timestep))  # fmt: skip
        spread[timestep] = found.total_energy_ev.std
    assert spread[6.0] / spread[2.0] == pytest.approx(9, rel=0.5)


def test_langevin_dynamics_has_the_temperature_and_the_fluctuations_of_the_canonical_ensemble(tmp_path):
    """A crystal of Lennard-Jones argon, nearly harmonic at 20 K.

    The kinetic energy of f degrees of freedom is f/2 kT with the standard deviation √(f/2) kT. With friction γ it is
    forgotten after 1/(2γ), 0.1 ps here, or faster, as it comes and goes with the potential energy; frames are 0.2 ps
    apart, so correlations of frames at least double the error's square.
    """
    target, frames = 20.0, 300
    found = run("ase_md", workspace(tmp_path), bulk="Ar", cubic=True, a_angstrom=5.31, supercell=[2, 2, 2],
                calculator="lj", lj_epsilon_ev=0.0103, lj_sigma_angstrom=3.4, lj_cutoff_angstrom=6.5,
                lj_smooth_from_angstrom=5.5, ensemble="NVT", friction_per_ps=5.0, steps=20 * frames, timestep_fs=10.0,
                temperature_k=target, report_interval_steps=20, seed=3)  # fmt: skip
    dof = 3 * 32 - 3
    spread = target * np.sqrt(2 / dof)
    assert found.degrees_of_freedom == dof
    assert found.temperature_k.mean == pytest.approx(target, abs=4 * spread * np.sqrt(2 / frames))
    assert found.temperature_k.std == pytest.approx(spread, rel=0.2)


def test_langevin_dynamics_of_a_molecule_has_its_temperature_without_its_centre_of_mass(tmp_path):
    """Six degrees of freedom of water, thermalized together; with all nine counted it would be 300 K too low by 1/3."""
    target, frames = 300.0, 800
    found = run("ase_md", workspace(tmp_path), molecule="H2O", calculator="gfn2", ensemble="NVT", friction_per_ps=50.0,
                steps=10 * frames, timestep_fs=0.4, temperature_k=target, report_interval_steps=10, seed=2)  # fmt: skip
    assert found.degrees_of_freedom == 6
    # 1/(2γ) is 10 fs and frames are 4 fs apart: 2.5 frames forget each other, both ways, so 6 frames count for one.
    error = target * np.sqrt(2 / 6) * np.sqrt(6 / frames)
    assert found.temperature_k.mean == pytest.approx(target, abs=4 * error)

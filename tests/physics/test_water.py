"""Water at 300 K and 1 bar, and the solvated protein that comes with OpenMM."""

import gzip
import math
from pathlib import Path

import numpy as np
import openmm as mm
import pytest
from openmm import app, unit

from tests.physics.hand_made import BOLTZMANN_KJ_MOL_K, Run

WATER = Path(__file__).parent / "data" / "water.pdb.gz"
VILLIN = Path(mm.__file__).parent / "app" / "data" / "test.pdb"

TIP3P_G_CM3 = 0.9839
"""Saturated liquid at 300 K, ± 0.0002, with a cutoff of 1 nm, long-range corrections and Ewald summation, as here: NIST
Standard Reference Simulation Website, SAT-TMMC: Liquid-Vapor coexistence properties of TIP3P Water (LRC). At 1 bar
instead of its 0.05 bar it is a 20,000th denser."""
TIP3P_COMPRESSIBILITY_PER_BAR = 5.7e-5
"""Isothermal; about that of Vega & Abascal, Phys. Chem. Chem. Phys. 13 (2011) 19663, table 2. For the bound alone."""


def test_water_has_the_density_of_its_model(tmp_path):
    """Within 2 %, from an equilibrated box (``make_water_box.py``), over 18 ps.

    The density of this box fluctuates by 1.2 %: the bound is 4.5 standard errors if it is forgotten in 2.5 ps.
    """
    (tmp_path / "water.pdb").write_bytes(gzip.decompress(WATER.read_bytes()))
    run = Run(
        tmp_path,
        {"structure": tmp_path / "water.pdb"},
        structure="water.pdb",
        solvent="explicit",
        ensemble="NPT",
        platform="CPU",
        minimize=False,
        friction_per_ps=1.0,
        steps=9000,
        report_interval_steps=50,
    )
    density = run.result.density_g_cm3
    assert run.result.box == "kept"
    assert density.mean == pytest.approx(TIP3P_G_CM3, rel=0.02)
    volume = run.column("volume_nm3").mean()
    per_bar_nm3 = BOLTZMANN_KJ_MOL_K * 300 / 0.0602214076
    fluctuation = math.sqrt(per_bar_nm3 * TIP3P_COMPRESSIBILITY_PER_BAR / volume)
    assert 0.3 * fluctuation < density.std / density.mean < 2 * fluctuation
    temperatures = run.column("temperature_k")
    freedom = 6 * run.result.n_atoms / 3 - 3
    # Frames of 0.1 ps; friction and collisions forget a kinetic energy within a ps at most.
    error = 300 * math.sqrt(2 / freedom) * math.sqrt(20 / len(temperatures))
    assert temperatures.mean() == pytest.approx(300, abs=4.5 * error)


def test_the_solvated_protein_of_the_wheel_runs(tmp_path):
    """8,867 atoms: villin in water; its first energy is that of a plain OpenMM script on the same platform."""
    run = Run(
        tmp_path,
        {"structure": VILLIN},
        structure="test.pdb",
        solvent="explicit",
        platform="CPU",
        minimize_max_iterations=10,
        timestep_fs=1.0,
        steps=20,
        report_interval_steps=10,
    )
    result = run.result
    assert (result.n_atoms, result.box, result.n_frames) == (8867, "kept", 2)
    assert result.density_g_cm3.mean == pytest.approx(1.0, abs=0.06)
    assert result.secondary_structure.n_residues == 35
    assert result.secondary_structure.helix > 0.4
    assert result.rmsd_nm < 0.05

    final = app.PDBFile(str(run.path("final_structure")))
    field = app.ForceField("amber14-all.xml", "amber14/tip3p.xml")
    system = field.createSystem(
        final.topology, nonbondedMethod=app.PME, nonbondedCutoff=1.0 * unit.nanometer, constraints=app.HBonds
    )
    context = mm.Context(system, mm.VerletIntegrator(0.001), mm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
    context.setPositions(run.xyz()[-1] * unit.nanometer)
    script = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
    # Coordinates of the trajectory have single precision, which stiff bonds feel.
    assert run.column("potential_energy_kj_mol")[-1] == pytest.approx(script, rel=1e-4)
    assert np.isfinite(script)

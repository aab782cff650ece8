"""Without a thermostat the total energy is conserved, and better with shorter steps as theory says."""

import numpy as np
import pytest

from tests.physics.hand_made import Run

INPUTS = {"ensemble": "NVE", "constraints": "none", "solvent": "vacuum", "temperature_k": 200.0}


def conserved(tmp_path, timestep_fs, ps=1.0, **more):
    """A run with as many frames whatever the timestep."""
    steps = round(ps * 1000 / timestep_fs)
    return Run(tmp_path, timestep_fs=timestep_fs, steps=steps, report_interval_steps=steps // 500, **{**INPUTS, **more})


def scatter(run):
    return (run.column("potential_energy_kj_mol") + run.column("kinetic_energy_kj_mol")).std()


@pytest.mark.parametrize("solvent", ["vacuum", "implicit"])
def test_errors_of_energy_fall_with_the_square_of_the_timestep(tmp_path, solvent):
    """Leapfrog is of second order: Hairer, Lubich & Wanner, Geometric Numerical Integration, ch. I."""
    coarse = conserved(tmp_path / "coarse", 0.5, solvent=solvent)
    fine = conserved(tmp_path / "fine", 0.25, solvent=solvent)
    assert scatter(coarse) / scatter(fine) == pytest.approx(4, rel=0.15)
    assert coarse.result.energy_drift.scatter_kj_mol == pytest.approx(scatter(coarse), rel=0.02)


def test_energy_does_not_drift(tmp_path):
    """Over 10 ps, with bonds of fixed length. A degree of freedom has 1.2 kJ/mol of kinetic energy."""
    run = conserved(tmp_path, 1.0, ps=10.0, constraints="hbonds", temperature_k=300.0)
    drift = run.result.energy_drift
    assert set(run.result.missing) == {"end_to_end_distance_nm"}  # one amino acid has no two ends
    assert abs(drift.kj_mol_ns_per_dof) < 0.5
    assert drift.kj_mol_ns_per_dof == pytest.approx(drift.kj_mol_ns / 51)
    kinetic = run.column("kinetic_energy_kj_mol")
    assert drift.scatter_kj_mol < 0.05 * kinetic.std()
    total = run.column("potential_energy_kj_mol") + kinetic
    slope, _ = np.polyfit(run.column("time_ps") * 1e-3, total, 1)
    assert drift.kj_mol_ns == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_a_thermostat_does_change_the_energy(tmp_path):
    run = conserved(tmp_path, 1.0, ensemble="NVT")
    assert run.result.energy_drift is None
    assert scatter(run) > 5

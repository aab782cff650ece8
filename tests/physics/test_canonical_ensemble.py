"""What is sampled at constant temperature, and at constant pressure, is what statistical mechanics says.

Bounds are 4.5 standard errors of theory, which correct code exceeds once in 150,000 times; and the runs are seeded.
"""

import math

import numpy as np
import openmm as mm
import pytest
from scipy import stats

from tests.physics.hand_made import BOLTZMANN_KJ_MOL_K, Run, free_particles, use_system

SIGMAS = 4.5
KT = BOLTZMANN_KJ_MOL_K * 300


def inefficiency(decay_per_ps, interval_ps):
    """Statistical inefficiency of frames whose correlation decays exponentially."""
    factor = math.exp(-decay_per_ps * interval_ps)
    return (1 + factor) / (1 - factor)


def oscillators(n, mass_da, frequency_per_ps):
    """Particles that are tied to the origin, each in three equal harmonic oscillators."""
    system = free_particles(n, mass_da)
    tie = mm.CustomExternalForce("0.5 * k * (x^2 + y^2 + z^2)")
    tie.addGlobalParameter("k", mass_da * frequency_per_ps**2)
    for index in range(n):
        tie.addParticle(index)
    system.addForce(tie)
    return system


@pytest.fixture(scope="module")
def bound(tmp_path_factory):
    """300 harmonic modes of a period of 0.16 ps, which is 39 steps."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        use_system(monkeypatch, oscillators(100, 40.0, 40.0), np.zeros((100, 3)))
        return Run(
            tmp_path_factory.mktemp("bound"),
            solvent="vacuum",
            minimize=False,
            timestep_fs=4.0,
            friction_per_ps=10.0,
            steps=60_000,
            report_interval_steps=100,
        )


def settled(bound, name):
    """The frames after the oscillators, which start at rest in the middle, have forgotten it."""
    return bound.column(name)[10:]


def test_a_harmonic_oscillator_has_half_kt_of_potential_energy_in_each_mode(bound):
    """LFMiddle samples positions of a harmonic oscillator without an error of the timestep (Zhang et al. 2019)."""
    energies = settled(bound, "potential_energy_kj_mol")
    error = KT * math.sqrt(300 / 2) * math.sqrt(inefficiency(10.0, 0.4) / len(energies))
    assert energies.mean() == pytest.approx(300 * KT / 2, abs=SIGMAS * error)
    assert SIGMAS * error < 0.02 * 300 * KT / 2  # it is no loose bound


def test_potential_energies_are_distributed_canonically(bound):
    """Over all modes it is a gamma distribution of shape 300/2: its variance is 300/2 (kT)²."""
    energies = settled(bound, "potential_energy_kj_mol")[::2]
    assert stats.kstest(energies / KT, stats.gamma(150).cdf).pvalue > 1e-5


def test_the_mean_temperature_is_the_thermostats(bound):
    temperatures = settled(bound, "temperature_k")
    error = 300 * math.sqrt(2 / 300) * math.sqrt(inefficiency(10.0, 0.4) / len(temperatures))
    assert temperatures.mean() == pytest.approx(300, abs=SIGMAS * error)
    assert SIGMAS * error < 6


def test_kinetic_energies_are_distributed_canonically(bound):
    """Twice the kinetic energy over kT is chi-square of 300 degrees of freedom."""
    energies = settled(bound, "kinetic_energy_kj_mol")[::2]
    assert stats.kstest(2 * energies / KT, stats.chi2(300).cdf).pvalue > 1e-5
    # Variance alone, by the chi-square test of a variance; the sum of so many squares is nearly normal.
    count = len(energies)
    ratio = (count - 1) * energies.var(ddof=1) / (300 / 2 * KT**2)
    tail = stats.norm.sf(SIGMAS)
    assert stats.chi2(count - 1).ppf(tail) < ratio < stats.chi2(count - 1).isf(tail)


def test_the_results_errors_are_those_of_theory(bound):
    """Blocking knows nothing of the system, and finds the error of the mean that the fluctuations must have."""
    said = bound.result.temperature_k
    theory = 300 * math.sqrt(2 / 300) * math.sqrt(inefficiency(20.0, 0.4) / bound.result.n_frames)
    assert said.sem == pytest.approx(theory, rel=0.35)
    assert said.std == pytest.approx(300 * math.sqrt(2 / 300), rel=0.15)


def test_mean_temperature_with_fixed_bonds_counts_degrees_of_freedom_right(tmp_path):
    """Alanine dipeptide: 66 coordinates, less 12 fixed bonds, less 3 of the centre of mass."""
    run = Run(
        tmp_path,
        solvent="vacuum",
        timestep_fs=1.0,
        friction_per_ps=20.0,
        temperature_k=320.0,
        steps=150_000,
        report_interval_steps=100,
    )
    temperatures = run.column("temperature_k")[20:]
    error = 320 * math.sqrt(2 / 51) * math.sqrt(inefficiency(20.0, 0.1) / len(temperatures))
    assert temperatures.mean() == pytest.approx(320, abs=SIGMAS * error)
    assert SIGMAS * error < 0.03 * 320  # the centre of mass counted wrongly is 6 %, the fixed bonds are 19 %


def test_free_particles_diffuse_as_the_friction_says(tmp_path, monkeypatch):
    """Ornstein & Uhlenbeck: <r²> = 6 kT/(m γ) (t - (1 - exp(-γ t))/γ) for any time t."""
    n, mass_da, friction, interval_ps = 400, 40.0, 5.0, 2.0
    use_system(monkeypatch, free_particles(n, mass_da), np.zeros((n, 3)))
    run = Run(
        tmp_path,
        solvent="vacuum",
        minimize=False,
        timestep_fs=4.0,
        friction_per_ps=friction,
        steps=12_000,
        report_interval_steps=int(interval_ps / 0.004),
    )
    moves = np.diff(np.concatenate([np.zeros((1, n, 3)), run.xyz()]), axis=0)
    expected = 6 * KT / (mass_da * friction) * (interval_ps - (1 - math.exp(-friction * interval_ps)) / friction)
    # Successive moves share the velocity at their border: correlation (1 - e^-γt)² / 2 γt', about 0.06.
    samples = moves.shape[0] * n * 3 / 1.2
    error = expected * math.sqrt(2 / samples)
    assert (moves**2).sum(axis=2).mean() == pytest.approx(expected, abs=SIGMAS * error)
    assert SIGMAS * error < 0.05 * expected


def test_an_ideal_gas_at_constant_pressure_has_its_volume(tmp_path, monkeypatch):
    """Without interactions the volume is gamma distributed: mean (N + 1) kT/P, variance (N + 1) (kT/P)²."""
    n, pressure_bar = 60, 100.0
    molar_bar_nm3 = 0.0602214076  # kJ/mol in 1 bar nm3
    per_particle = KT / (pressure_bar * molar_bar_nm3)
    width = (n * per_particle * 1.5) ** (1 / 3)  # it has to shrink first
    system = free_particles(n, 40.0)
    box = np.eye(3) * width
    system.setDefaultPeriodicBoxVectors(*box)
    nothing = mm.HarmonicBondForce()  # without bonds: it only says that there is a box
    nothing.setUsesPeriodicBoundaryConditions(True)
    system.addForce(nothing)
    positions = np.random.default_rng(1).uniform(0, width, (n, 3))
    use_system(monkeypatch, system, positions, box)
    run = Run(
        tmp_path,
        solvent="explicit",
        ensemble="NPT",
        pressure_bar=pressure_bar,
        minimize=False,
        timestep_fs=4.0,
        friction_per_ps=10.0,
        steps=400_000,
        report_interval_steps=100,
    )
    volumes = run.column("volume_nm3")[100:]
    assert run.result.density_g_cm3.mean == pytest.approx(run.column("density_g_cm3").mean())
    lag = [np.corrcoef(volumes[:-step], volumes[step:])[0, 1] for step in range(1, 60)]
    factor = 1 + 2 * sum(lag[: next((index for index, value in enumerate(lag) if value < 0.05), len(lag))])
    deviation = math.sqrt(n + 1) * per_particle
    error = deviation * math.sqrt(factor / len(volumes))
    assert volumes.mean() == pytest.approx((n + 1) * per_particle, abs=SIGMAS * error)
    assert SIGMAS * error < 0.06 * n * per_particle
    independent = len(volumes) / factor
    assert volumes.std() == pytest.approx(deviation, rel=SIGMAS / math.sqrt(2 * independent))

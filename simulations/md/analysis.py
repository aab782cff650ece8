"""Numbers of one frame: RMSD, radius of gyration, density, degrees of freedom."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import openmm as mm
from numpy.typing import NDArray
from openmm import unit

Array = NDArray[np.float64]

GAS_CONSTANT_KJ_MOL_K = 8.31446261815324e-3
"""CODATA 2018, exact."""
G_CM3_PER_DA_NM3 = 1.66053906660e-3
"""CODATA 2018: one dalton in 1e-21 g."""


def kabsch_rmsd(reference: Array, moved: Array) -> float:
    """RMSD after the rotation and translation that minimise it.

    W. Kabsch, Acta Cryst. A32 (1976) 922 and A34 (1978) 827: with the singular values s of the covariance matrix
    of both sets, each about its centre, n RMSD² = Σ|a|² + Σ|b|² − 2 (s₁ + s₂ ± s₃); the sign keeps out reflections.

    Args:
        reference: Coordinates, shape (n, 3), n >= 1.
        moved: Coordinates of the same atoms in the same order.

    Returns:
        The RMSD in the unit of the coordinates.
    """
    a = reference - reference.mean(axis=0)
    b = moved - moved.mean(axis=0)
    covariance = a.T @ b
    singular = np.linalg.svd(covariance, compute_uv=False)
    if np.linalg.det(covariance) < 0:
        singular[2] = -singular[2]
    squares = float((a * a).sum() + (b * b).sum() - 2 * singular.sum())
    return math.sqrt(max(squares, 0.0) / len(a))


def radius_of_gyration(positions: Array, masses: Array) -> float:
    """Mass-weighted radius of gyration: sqrt(Σ m |r − r_cm|² / Σ m), in the unit of the positions."""
    total = masses.sum()
    offset = positions - (masses @ positions) / total
    return math.sqrt(float(masses @ (offset * offset).sum(axis=1)) / float(total))


def density_g_cm3(mass_da: float, volume_nm3: float) -> float:
    """Density in g/cm3 of a mass in daltons in a volume in nm3."""
    return mass_da / volume_nm3 * G_CM3_PER_DA_NM3


def degrees_of_freedom(system: Any) -> int:
    """Counts them as OpenMM's StateDataReporter does.

    Three per massive particle, less one per constraint between particles of which one is massive, less three if
    the motion of the centre of mass is removed.
    """
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())]
    count: int = 3 * sum(mass > 0 for mass in masses)
    for i in range(system.getNumConstraints()):
        first, second, _ = system.getConstraintParameters(i)
        count -= int(masses[first] > 0 or masses[second] > 0)
    if any(isinstance(force, mm.CMMotionRemover) for force in system.getForces()):
        count -= 3
    return count


def temperature_k(kinetic_energy_kj_mol: float, dof: int) -> float:
    """Instantaneous temperature 2 E_kin / (f R), in K; zero if nothing can move."""
    return 2 * kinetic_energy_kj_mol / (dof * GAS_CONSTANT_KJ_MOL_K) if dof > 0 else 0.0

"""Energy, forces and stress of atoms as numbers that were checked, and a plain word where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import CalculatorError, InputError
from numpy.typing import NDArray

from simulations.atomistic.calculators import Engine
from simulations.atomistic.results import Cell, Geometry
from simulations.atomistic.structures import n_fixed
from simulations.errors import ToolError

Array = NDArray[np.float64]

FARTHEST_ANGSTROM = 1e5
"""No simulation lets an atom diffuse so far; one that blows up does at once."""

BLOWN_UP = "lower timestep_fs or temperature_k, relax the structure first, and look for atoms that are too close"


@dataclass(frozen=True)
class Evaluation:
    """What a calculator says of a structure. All numbers are finite.

    Attributes:
        energy_ev: Potential energy in eV.
        forces: Raw forces in eV/Å, shape (atoms, 3): also on atoms that are fixed.
        stress: Stress in eV/Å³, Voigt order xx, yy, zz, yz, xz, xy, tension positive; None if not fully periodic.
    """

    energy_ev: float
    forces: Array
    stress: Array | None


def evaluate(atoms: Atoms, engine: Engine, *, step: int | None = None) -> Evaluation:
    """Computes a structure; what was computed last is not computed again.

    Args:
        atoms: With the engine's calculator attached.
        engine: The calculator.
        step: Shown in errors.

    Raises:
        ToolError: ``NotConverged``, ``CalculationFailed``, ``OutOfMemory`` or ``BadStructure``.
    """
    with calculating(engine, step):
        energy = float(atoms.get_potential_energy())
        forces = np.array(atoms.get_forces(apply_constraint=False), dtype=np.float64)
        stress = np.array(atoms.get_stress(), dtype=np.float64) if is_crystal(atoms) else None
    if not (np.isfinite(energy) and np.isfinite(forces).all() and (stress is None or np.isfinite(stress).all())):
        raise ToolError(
            f"{engine.method} gave an energy or force that is no finite number{_at(step)}",
            hint="look for atoms that are too close",
            kind="CalculationFailed",
            details={} if step is None else {"step": step},
        )
    return Evaluation(energy, forces, stress)


@contextmanager
def calculating(engine: Engine, step: int | None = None) -> Iterator[None]:
    """Says in a user's words what a calculator could not do.

    Raises:
        ToolError: ``NotConverged``, ``CalculationFailed``, ``OutOfMemory`` or ``BadStructure``.
    """
    details: dict[str, Any] = {} if step is None else {"step": step}
    try:
        # Whether all numbers are finite is looked at by those who use them.
        with np.errstate(all="ignore"):
            yield
    except InputError as error:
        raise ToolError(
            f"{engine.method} does not take this structure{_at(step)}: {error}",
            hint="look for atoms that are too close; check cell and units (Å)",
            kind="BadStructure",
            details=details,
        ) from error
    except CalculatorError as error:
        if "not converged" in str(error).lower():
            raise ToolError(
                f"the self-consistent field of {engine.method} has not converged{_at(step)}: {error}",
                hint="raise scf_max_iterations or electronic_temperature_k; check charge, multiplicity and structure",
                kind="NotConverged",
                details=details,
            ) from error
        raise _failed(engine, step, error, details) from error
    except (RuntimeError, ValueError, MemoryError) as error:
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            raise ToolError(
                f"there is not enough memory for {engine.method}{_at(step)}: {error}",
                hint="use a smaller structure, fewer workers per node, or a device with more memory",
                kind="OutOfMemory",
                details=details,
            ) from error
        raise _failed(engine, step, error, details) from error


def _failed(engine: Engine, step: int | None, error: Exception, details: dict[str, Any]) -> ToolError:
    return ToolError(
        f"{engine.method} failed{_at(step)}: {error}",
        hint="look at the structure: atoms too close or too far apart are the most frequent cause",
        kind="CalculationFailed",
        details=details,
    )


def _at(step: int | None) -> str:
    return "" if step is None else f" at step {step}"


def in_bounds(positions: Array) -> bool:
    """Whether all coordinates in Å are numbers, and none is beyond `FARTHEST_ANGSTROM`."""
    return bool(np.abs(positions).max() < FARTHEST_ANGSTROM)  # a comparison with NaN is false


def is_crystal(atoms: Atoms) -> bool:
    """Whether atoms are periodic in all directions, so that stress and volume mean something."""
    return bool(atoms.pbc.all()) and atoms.cell.rank == 3


def max_norm(vectors: Array) -> float:
    """Length of the longest of vectors, shape (n, 3)."""
    return float(np.linalg.norm(vectors, axis=1).max())


def stress_gpa(stress: Array | None) -> list[float] | None:
    """A stress in eV/Å³ in GPa."""
    return None if stress is None else [float(item) for item in stress / units.GPa]


def pressure_gpa(stress: Array | None) -> float | None:
    """The pressure of a stress in eV/Å³, in GPa."""
    return None if stress is None else float(-stress[:3].mean() / units.GPa)


def geometry_of(atoms: Atoms) -> Geometry:
    """Atoms and cell as a result has them."""
    return Geometry(
        symbols=atoms.get_chemical_symbols(),
        positions_angstrom=atoms.positions.tolist(),
        cell_angstrom=atoms.cell.array.tolist() if is_crystal(atoms) else None,
    )


def cell_of(atoms: Atoms) -> Cell | None:
    """The cell; None if the atoms are not periodic in all directions."""
    if not is_crystal(atoms):
        return None
    return Cell(
        lengths_angstrom=[float(item) for item in atoms.cell.lengths()],
        angles_degree=[float(item) for item in atoms.cell.angles()],
        volume_angstrom3=float(atoms.get_volume()),
    )


def common(atoms: Atoms, engine: Engine) -> dict[str, Any]:
    """Fields that all results have."""
    return {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "n_fixed": n_fixed(atoms),
        "method": engine.method,
        "charge": engine.charge,
        "multiplicity": engine.multiplicity,
    }

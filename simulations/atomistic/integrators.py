"""ASE's integrators, first velocities, and degrees of freedom."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet

from simulations.atomistic.models import AseMdRequest
from simulations.atomistic.structures import n_fixed
from simulations.errors import ToolError


def degrees_of_freedom(atoms: Atoms) -> int:
    """Three for each atom that can move; less three for the centre of mass, unless fixed atoms hold the others.

    Args:
        atoms: With atoms fixed as their file says, and nothing else.
    """
    fixed = n_fixed(atoms)
    return 3 * (len(atoms) - fixed) - (0 if fixed else 3)


def set_velocities(atoms: Atoms, request: AseMdRequest, generator: np.random.Generator) -> None:
    """Gives atoms their first velocities.

    Random ones are drawn from the Maxwell-Boltzmann distribution. The motion of the centre of mass is removed, unless
    fixed atoms hold the others, without scaling: what is left is distributed as it should be in the degrees of freedom
    that are left.

    Raises:
        ToolError: ``NothingMoves`` if there are no degrees of freedom; ``BadStructure`` if velocities of the file are
            asked for, and it has none.
    """
    if degrees_of_freedom(atoms) < 1:
        raise ToolError(
            "no atom can move: all are fixed, or there is only one",
            hint="give a structure with at least two atoms that can move",
            kind="NothingMoves",
        )
    if request.velocities == "structure":
        if not atoms.has("momenta"):
            raise ToolError(
                f"structure {request.structure!r} has no momenta, which velocities says to take from it",
                hint="give an extended XYZ file with momenta, such as final_structure of ase_md, or velocities random",
                kind="BadStructure",
            )
    else:
        thermalize_momenta(atoms, request.temperature_k, rng=generator)
    if not n_fixed(atoms):
        Stationary(atoms, preserve_temperature=False)


def make_integrator(atoms: Atoms, request: AseMdRequest, generator: np.random.Generator) -> Any:
    """The integrator of a request.

    The thermostat would push the centre of mass about, so with NVT that is held where it is.

    Args:
        atoms: With calculator and velocities.
        request: The inputs.
        generator: Of the thermostat's random numbers.
    """
    timestep = request.timestep_fs * units.fs
    if request.ensemble == "NVE":
        return VelocityVerlet(atoms, timestep=timestep)
    if not n_fixed(atoms):
        atoms.set_constraint(FixCom())
    return Langevin(
        atoms,
        timestep=timestep,
        temperature_K=request.temperature_k,
        friction=(request.friction_per_ps or 0.0) / (1000 * units.fs),
        fixcm=False,
        rng=generator,
    )


def temperature_k(kinetic_energy_ev: float, dof: int) -> float:
    """Instantaneous temperature 2 E_kin / (f k_B), in K."""
    return float(2 * kinetic_energy_ev / (dof * units.kB))

"""The start of a run: a prepared system, minimised if that was asked for, kept for the next request."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import openmm as mm
from openmm import unit

from simulations.cache import BuildCache
from simulations.md.analysis import Array
from simulations.md.divergence import checked_positions, start_diverged, start_error
from simulations.md.models import MdRequest
from simulations.md.platforms import PlatformChoice
from simulations.md.restart import Restart, check_same_atoms
from simulations.md.structure import Source, fitting_suffix, structure_text
from simulations.md.system import Prepared, check_box, prepare
from simulations.workspace import Workspace

MINIMIZE_TOLERANCE_KJ_MOL_NM = 10.0
CONSTRAINT_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Start:
    """Where a run starts. Shared between requests: nothing here may be changed.

    Attributes:
        prepared: The system.
        positions: Coordinates in nm, shape (atoms, 3).
        reference: The solute's heavy atoms in nm, to the digits of the artifact ``topology``.
        topology_text: Content of the artifact ``topology``.
        suffix: Its suffix: ``.pdb``, or ``.cif`` for what does not fit into a PDB file.
        minimized: Whether the coordinates were minimised.
        velocities: In nm/ps, shape (atoms, 3), if they are another run's; else they are drawn.
    """

    prepared: Prepared
    positions: Array
    reference: Array
    topology_text: bytes
    suffix: str
    minimized: bool
    velocities: Array | None = None


@dataclass(frozen=True)
class StartTimes:
    """What a start cost just now.

    Attributes:
        from_cache: Whether nothing had to be built.
        minimize_s: Wall time of the minimisation, in s.
    """

    from_cache: bool
    minimize_s: float


def find_start(
    request: MdRequest, source: Source, restart: Restart | None, choice: PlatformChoice, workspace: Workspace
) -> tuple[Start, StartTimes]:
    """Takes the start from the worker's cache, or builds and minimises it, or takes it from another run's state.

    Raises:
        ToolError: As of `prepare`, or ``BadRestart``, or ``SimulationDiverged`` if the start has no finite energy.
        Cancelled: If the stop flag was set meanwhile.
    """
    cache, clock = workspace.cache, workspace.clock
    built = False
    minimize_s = 0.0

    def build() -> Start:
        nonlocal built, minimize_s
        built = True
        prepared = _prepared(request, source, cache)
        workspace.raise_if_cancelled()
        if restart is not None:
            return _restarted(prepared, restart, choice)
        begin = clock()
        positions = _relaxed(prepared, request, choice)
        minimize_s = clock() - begin if request.minimize else 0.0
        workspace.raise_if_cancelled()
        return _start(prepared, positions, request.minimize)

    start = cache.get(start_key(request, source, restart, choice), build, lambda value: value.prepared.n_atoms)
    if start.prepared.box is not None:  # the ensemble, which sets the margin, is no part of the key
        check_box(start.prepared.box, start.prepared.cutoff_nm, request)
    return start, StartTimes(from_cache=not built, minimize_s=minimize_s)


def _prepared(request: MdRequest, source: Source, cache: BuildCache) -> Prepared:
    return cache.get(system_key(request, source), lambda: prepare(request, source, cache), lambda value: value.n_atoms)


SYSTEM_INPUTS = {
    "repair",
    "ph",
    "missing_residues",
    "nonstandard",
    "heterogens",
    "force_field",
    "solvent",
    "implicit_model",
    "water_model",
    "padding_nm",
    "ionic_strength_m",
    "cation",
    "constraints",
    "hydrogen_mass_da",
}
"""Inputs that decide how a system is built from its source, whose key tells the content of the others."""


def system_key(request: MdRequest, source: Source) -> str:
    """Names a prepared system in the cache."""
    return _digest("md/system/", [source.key, request.model_dump(include=SYSTEM_INPUTS)])


def start_key(request: MdRequest, source: Source, restart: Restart | None, choice: PlatformChoice) -> str:
    """Names a start in the cache."""
    minimisation = request.minimize_max_iterations if request.minimize else None
    platform = [choice.name, choice.properties]  # rounding differs between platforms and numbers of threads
    restarted = restart.key if restart else None
    return _digest("md/start/", [system_key(request, source), minimisation, restarted, platform])


def _digest(prefix: str, parts: list[Any]) -> str:
    return prefix + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _relaxed(prepared: Prepared, request: MdRequest, choice: PlatformChoice) -> Array:
    """Coordinates that satisfy the constraints, minimised if that was asked for."""
    try:
        context = choice.context(prepared.system, mm.VerletIntegrator(0.001))
        context.setPositions(prepared.positions)
        # Not left to the first step, which would turn the correction into velocity.
        context.applyConstraints(CONSTRAINT_TOLERANCE)
        if request.minimize:
            mm.LocalEnergyMinimizer.minimize(
                context,
                MINIMIZE_TOLERANCE_KJ_MOL_NM * unit.kilojoules_per_mole / unit.nanometer,
                request.minimize_max_iterations,
            )
        positions = checked_positions(context.getState(positions=True))
    except mm.OpenMMException as error:
        raise start_error(error, choice.name, prepared.n_atoms) from error
    if positions is None:
        raise start_diverged("its coordinates left all bounds before the first step")
    return positions


def _restarted(prepared: Prepared, restart: Restart, choice: PlatformChoice) -> Start:
    check_same_atoms(restart, prepared)
    if prepared.box is not None:
        prepared = replace(prepared, box=restart.box)
    try:
        context = choice.context(prepared.system, mm.VerletIntegrator(0.001))
        if prepared.box is not None:
            context.setPeriodicBoxVectors(*(restart.box * unit.nanometer))
        context.setPositions(restart.positions)
        context.setVelocities(restart.velocities)
        # They are satisfied already, unless that run had fewer.
        context.applyConstraints(CONSTRAINT_TOLERANCE)
        context.applyVelocityConstraints(CONSTRAINT_TOLERANCE)
        state = context.getState(positions=True, velocities=True)
    except mm.OpenMMException as error:
        raise start_error(error, choice.name, prepared.n_atoms) from error
    positions = checked_positions(state)
    if positions is None:
        raise start_diverged("its coordinates are no numbers or out of all bounds")
    velocities = state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond)
    return _start(prepared, positions, minimized=False, velocities=np.array(velocities, dtype=np.float64))


def _start(prepared: Prepared, positions: Array, minimized: bool, velocities: Array | None = None) -> Start:
    suffix = fitting_suffix(positions)
    # In nm, PDB has four decimals and mmCIF five: RMSDs can then be repeated from the artifacts alone.
    decimals = 4 if suffix == ".pdb" else 5
    return Start(
        prepared=prepared,
        positions=positions,
        reference=np.round(positions[prepared.heavy], decimals),
        topology_text=structure_text(prepared.topology, positions, prepared.box, suffix),
        suffix=suffix,
        minimized=minimized,
        velocities=velocities,
    )

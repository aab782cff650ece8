"""One ``md`` request from structure to result."""

from __future__ import annotations

import copy
from typing import Any

import openmm as mm
from openmm import unit

from simulations.errors import ToolError
from simulations.md.divergence import start_diverged
from simulations.md.models import MdRequest, MdResult, WallTime
from simulations.md.platforms import PlatformChoice, choose_platform
from simulations.md.production import Produced, Production, ns_per_day
from simulations.md.start import Start, find_start
from simulations.md.structure import find_source, fitting_suffix, structure_text
from simulations.workspace import Workspace

BAROSTAT_INTERVAL_STEPS = 25


def run(request: MdRequest, workspace: Workspace) -> MdResult:
    """Builds or takes from the cache, minimises, integrates, and leaves the artifacts.

    A context is made anew for each request: one that is used again carries the state of its random numbers along,
    and the same seed would not give the same trajectory.

    Args:
        request: Validated inputs.
        workspace: Where it writes; ``inputs["structure"]`` is the user's file, if it was one.

    Returns:
        The result; files are the artifacts ``topology``, ``trajectory``, ``state_table``, ``checkpoint`` and
        ``final_structure``.

    Raises:
        ToolError: Of kind ``BadStructure``, ``UnknownResidue``, ``BoxTooSmall``, ``PlatformUnavailable``,
            ``ContextFailed``, ``IntegrationFailed`` or ``SimulationDiverged``.
        Cancelled: If the stop flag was set.
    """
    workspace.raise_if_cancelled()
    begin = workspace.clock()
    choice = choose_platform(request.platform, workspace.resources.threads, workspace.cache)
    source = find_source(request.structure, workspace.inputs)
    start, times = find_start(request, source, choice, workspace)
    workspace.artifact("topology", "topology" + start.suffix).write_bytes(start.topology_text)
    context = make_context(request, start, choice)
    build_s = workspace.clock() - begin - times.minimize_s
    workspace.raise_if_cancelled()
    produced = Production(context, start, request, workspace).run()
    suffix = fitting_suffix(produced.positions)
    final = structure_text(start.prepared.topology, produced.positions, produced.box, suffix)
    workspace.artifact("final_structure", "final" + suffix).write_bytes(final)
    wall_s = WallTime(build=build_s, minimize=times.minimize_s, integrate=produced.seconds)
    return _result(request, start, choice, produced, wall_s, from_cache=times.from_cache)


def make_context(request: MdRequest, start: Start, choice: PlatformChoice) -> Any:
    """Creates the context of a production run, with coordinates and velocities.

    Raises:
        ToolError: ``ContextFailed``, or ``SimulationDiverged`` if the start has no finite energy.
    """
    system = start.prepared.system
    if request.pressure_bar is not None:
        system = copy.deepcopy(system)  # the cached one is shared, and the barostat carries this request's seed
        barostat = mm.MonteCarloBarostat(
            request.pressure_bar * unit.bar, request.temperature_k * unit.kelvin, BAROSTAT_INTERVAL_STEPS
        )
        barostat.setRandomNumberSeed(request.seed)
        system.addForce(barostat)
    integrator = mm.LangevinMiddleIntegrator(
        request.temperature_k * unit.kelvin,
        request.friction_per_ps / unit.picosecond,
        request.timestep_fs * unit.femtosecond,
    )
    integrator.setRandomNumberSeed(request.seed)
    try:
        context = choice.context(system, integrator)
        context.setPositions(start.positions)
        context.setVelocitiesToTemperature(request.temperature_k * unit.kelvin, request.seed)
        energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
    except mm.OpenMMException as error:
        if "nan" in str(error).lower():
            raise start_diverged(str(error)) from error
        raise ToolError(
            f"platform {choice.name} cannot simulate this system: {error}",
            hint="if it is a GPU, check its memory with nvidia-smi or rocm-smi; else report this with the structure",
            kind="ContextFailed",
        ) from error
    if not abs(energy) < float("inf"):
        raise start_diverged(f"the potential energy of its first coordinates is {energy} kJ/mol")
    return context


def _result(
    request: MdRequest, start: Start, choice: PlatformChoice, produced: Produced, wall_s: WallTime, *, from_cache: bool
) -> MdResult:
    averages = produced.averages
    return MdResult(
        steps=request.steps,
        simulated_ns=request.steps * request.timestep_fs * 1e-6,
        ns_per_day=ns_per_day(request.steps, request.timestep_fs, produced.seconds),
        platform=choice.name,
        threads=int(choice.properties["Threads"]) if choice.name == "CPU" else None,
        potential_energy_kj_mol=averages.potential.result(),
        kinetic_energy_kj_mol=averages.kinetic.result(),
        temperature_k=averages.temperature.result(),
        density_g_cm3=averages.density.result() if averages.density.count else None,
        rmsd_nm=produced.last.rmsd_nm,
        radius_of_gyration_nm=produced.last.radius_of_gyration_nm,
        n_atoms=start.prepared.n_atoms,
        n_frames=averages.potential.count,
        box=start.prepared.box_origin,
        minimized=start.minimized,
        built_from_cache=from_cache,
        wall_s=wall_s,
    )

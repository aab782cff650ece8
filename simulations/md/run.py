"""One ``md`` request from structure to result."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import openmm as mm
from openmm import unit

from simulations.disk import disk_error
from simulations.errors import Paused, ToolError
from simulations.md.divergence import start_diverged
from simulations.md.models import MdRequest, MdResult, WallTime
from simulations.md.platforms import PlatformChoice, choose_platform
from simulations.md.production import Produced, Production, ns_per_day
from simulations.md.resuming import Resumption, find_resumption
from simulations.md.saved import Origin, Saved, derived_seed, identity, load_state, machine
from simulations.md.start import Start, find_start
from simulations.md.structure import Source, find_source, fitting_suffix, structure_text
from simulations.workspace import Workspace

BAROSTAT_INTERVAL_STEPS = 25


def run(request: MdRequest, workspace: Workspace) -> MdResult:
    """Builds or takes from the cache, minimises, integrates, and leaves the artifacts; or goes on from a checkpoint.

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
            ``ContextFailed``, ``IntegrationFailed``, ``SimulationDiverged``, ``DiskFull`` or ``DiskFailed``.
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause.
        Superseded: If a later attempt has the folder.
    """
    try:
        return _run(request, workspace)
    except OSError as error:
        raise disk_error(error, workspace.folder) or error from error


def _run(request: MdRequest, workspace: Workspace) -> MdResult:
    if workspace.pause_asked():
        raise Paused("it was asked to pause before it began")
    choice = choose_platform(request.platform, workspace.resources.threads, workspace.cache)
    source = find_source(request.structure, workspace.inputs)
    name = identity(request, source)
    resumption = find_resumption(name, workspace)
    if resumption is None:
        ready = _begin(request, source, choice, name, workspace)
    else:
        ready = _go_on(request, choice, resumption, workspace)
    start = ready.start
    _leave(workspace, "topology", "topology" + start.suffix, start.topology_text)
    workspace.begin(resumption.checkpoint if resumption else None, exact=ready.exact)
    produced = Production(ready.context, start, request, workspace, ready.origin, ready.saved).run()
    suffix = fitting_suffix(produced.positions)
    final = structure_text(start.prepared.topology, produced.positions, produced.box, suffix)
    _leave(workspace, "final_structure", "final" + suffix, final)
    return _result(request, choice, ready, produced)


@dataclass(frozen=True)
class _Ready:
    """All that production needs.

    Attributes:
        start: Where the run starts, or started.
        context: In the state from which steps are taken.
        origin: What its checkpoints say of this attempt.
        saved: The checkpoint that it goes on from.
        exact: Whether it goes on as if it had not been interrupted.
        from_cache: Whether nothing had to be built.
    """

    start: Start
    context: Any
    origin: Origin
    saved: Saved | None
    exact: bool
    from_cache: bool


def _begin(request: MdRequest, source: Source, choice: PlatformChoice, name: str, workspace: Workspace) -> _Ready:
    begin = workspace.clock()
    start, times = find_start(request, source, choice, workspace)
    context = make_context(request, start, choice, request.seed)
    set_off(context, start, request)
    origin = Origin(
        identity=name,
        machine=machine(context, choice),
        start="",
        resumed=0,
        exact=True,
        build_s=workspace.clock() - begin - times.minimize_s,
        minimize_s=times.minimize_s,
    )
    return _Ready(start, context, origin, saved=None, exact=True, from_cache=times.from_cache)


def _go_on(request: MdRequest, choice: PlatformChoice, resumption: Resumption, workspace: Workspace) -> _Ready:
    begin = workspace.clock()
    start, saved = resumption.start, resumption.saved
    context = make_context(request, start, choice, derived_seed(request.seed, saved.step))
    here = machine(context, choice)
    difference = load_state(context, saved, request, same_machine=here == saved.origin.machine)
    if difference:
        workspace.note(f"it does not go on exactly: {difference}")
    origin = replace(
        saved.origin,
        machine=here,
        resumed=saved.origin.resumed + 1,
        exact=saved.origin.exact and not difference,
        build_s=saved.origin.build_s + workspace.clock() - begin,
    )
    return _Ready(start, context, origin, saved, exact=not difference, from_cache=False)


def _leave(workspace: Workspace, name: str, filename: str, content: bytes) -> None:
    workspace.write(filename, content)
    workspace.artifact(name, filename)


def make_context(request: MdRequest, start: Start, choice: PlatformChoice, seed: int) -> Any:
    """Creates the context of a production run.

    Args:
        request: The inputs.
        start: Its system.
        choice: The platform.
        seed: Of thermostat and barostat.

    Raises:
        ToolError: ``ContextFailed``.
    """
    system = start.prepared.system
    if request.pressure_bar is not None:
        system = copy.deepcopy(system)  # the cached one is shared, and the barostat carries this request's seed
        barostat = mm.MonteCarloBarostat(
            request.pressure_bar * unit.bar, request.temperature_k * unit.kelvin, BAROSTAT_INTERVAL_STEPS
        )
        barostat.setRandomNumberSeed(seed)
        system.addForce(barostat)
    integrator = mm.LangevinMiddleIntegrator(
        request.temperature_k * unit.kelvin,
        request.friction_per_ps / unit.picosecond,
        request.timestep_fs * unit.femtosecond,
    )
    integrator.setRandomNumberSeed(seed)
    try:
        return choice.context(system, integrator)
    except mm.OpenMMException as error:
        raise _context_failed(choice.name, error) from error


def set_off(context: Any, start: Start, request: MdRequest) -> None:
    """Gives a context the coordinates of the start, and velocities.

    Raises:
        ToolError: ``ContextFailed``, or ``SimulationDiverged`` if the start has no finite energy.
    """
    try:
        context.setPositions(start.positions)
        context.setVelocitiesToTemperature(request.temperature_k * unit.kelvin, request.seed)
        energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
    except mm.OpenMMException as error:
        if "nan" in str(error).lower():
            raise start_diverged(str(error)) from error
        raise _context_failed(context.getPlatform().getName(), error) from error
    if not abs(energy) < float("inf"):
        raise start_diverged(f"the potential energy of its first coordinates is {energy} kJ/mol")


def _context_failed(platform: str, error: mm.OpenMMException) -> ToolError:
    return ToolError(
        f"platform {platform} cannot simulate this system: {error}",
        hint="if it is a GPU, check its memory with nvidia-smi or rocm-smi; else report this with the structure",
        kind="ContextFailed",
    )


def _result(request: MdRequest, choice: PlatformChoice, ready: _Ready, produced: Produced) -> MdResult:
    averages, prepared, origin = produced.averages, ready.start.prepared, ready.origin
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
        n_atoms=prepared.n_atoms,
        n_frames=averages.potential.count,
        resumed=origin.resumed,
        exact=origin.exact,
        box=prepared.box_origin,
        minimized=ready.start.minimized,
        built_from_cache=ready.from_cache,
        wall_s=WallTime(build=origin.build_s, minimize=origin.minimize_s, integrate=produced.seconds),
    )

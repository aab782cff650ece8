"""One ``md`` request from structure to result."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulations.disk import disk_error
from simulations.errors import Paused
from simulations.md.memory import out_of_memory
from simulations.md.models import MdRequest
from simulations.md.platforms import PlatformChoice, choose_platform
from simulations.md.produced import Produced
from simulations.md.production import Production, ns_per_day
from simulations.md.restart import FINAL_STATE, Restart, final_state, find_restart
from simulations.md.results import MdResult, StageEnd, WallTime
from simulations.md.resuming import Resumption, find_resumption
from simulations.md.saved import Origin, Saved, derived_seed, identity, load_state, machine
from simulations.md.segments import make_context, segments, set_off
from simulations.md.stages import Begun, through_stages
from simulations.md.start import Start, find_start
from simulations.md.structure import Source, fitting_suffix, source_of, structure_text
from simulations.md.timestep import timestep_advice
from simulations.workspace import Workspace


def run(request: MdRequest, workspace: Workspace) -> MdResult:
    """Builds or takes from the cache, minimises, integrates, and leaves the artifacts; or goes on from a checkpoint.

    A context is made anew for each request: one that is used again carries the state of its random numbers along,
    and the same seed would not give the same trajectory.

    Args:
        request: Validated inputs.
        workspace: Where it writes; ``inputs`` has the paths of ``structure`` and ``restart``, if they are the user's
            files.

    Returns:
        The result; files are the artifacts ``topology``, ``trajectory``, ``state_table``, ``analysis``, ``checkpoint``,
        ``final_structure`` and ``final_state``, and ``repair_report`` if something was to be repaired.

    Raises:
        ToolError: Of kind ``BadStructure``, ``MissingResidues``, ``MissingAtoms``, ``BadRestart``, ``UnknownResidue``,
            ``BoxTooSmall``, ``PlatformUnavailable``, ``ContextFailed``, ``OutOfMemory``, ``IntegrationFailed``,
            ``SimulationDiverged``, ``DiskFull`` or ``DiskFailed``.
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause.
        Superseded: If a later attempt has the folder.
    """
    try:
        return _run(request, workspace)
    except OSError as error:
        raise disk_error(error, workspace.folder) or error from error
    except MemoryError as error:
        raise out_of_memory(error, request.platform, None) or error from error


def _run(request: MdRequest, workspace: Workspace) -> MdResult:
    if workspace.pause_asked():
        raise Paused("it was asked to pause before it began")
    choice = choose_platform(
        request.platform, workspace.resources.threads, workspace.cache, workspace.resources.accelerator
    )
    source = source_of(request, workspace.inputs)
    restart = find_restart(workspace.inputs)
    name = identity(request, source, restart.key if restart else None)
    resumption = find_resumption(name, workspace)
    if resumption is None:
        ready = _begin(request, source, restart, choice, name, workspace)
    else:
        ready = _go_on(request, choice, resumption, workspace)
    start = ready.start
    _leave(workspace, "topology", "topology" + start.suffix, start.topology_text)
    if start.prepared.repairs is not None:
        _leave(workspace, "repair_report", "repair_report.json", start.prepared.repairs.text())
    workspace.begin(resumption.checkpoint if resumption else None, exact=ready.exact)
    context, origin = through_stages(ready.begun, segments(request), request, start, choice, workspace, ready.origin)
    produced = Production(context, start, request, workspace, origin, ready.saved).run()
    suffix = fitting_suffix(produced.positions)
    final = structure_text(start.prepared.topology, produced.positions, produced.box, suffix)
    _leave(workspace, "final_structure", "final" + suffix, final)
    name, filename = FINAL_STATE
    _leave(workspace, name, filename, final_state(context, start.prepared.topology))
    return _result(request, choice, ready, origin, produced, _remarks(request, restart))


def _remarks(request: MdRequest, restart: Restart | None) -> list[str]:
    """What is unusual about the inputs, and no error."""
    remarks = [timestep_advice(request)]
    if restart is not None and restart.residues is None:
        remarks.append("restart does not list its atoms: only their number could be checked")
    return [remark for remark in remarks if remark]


@dataclass(frozen=True)
class _Ready:
    """All that stages and production need.

    Attributes:
        start: Where the run starts, or started.
        begun: The stage or production, and the context in the state from which steps are taken.
        origin: What its checkpoints say of this attempt.
        saved: The checkpoint of production that it goes on from.
        exact: Whether it goes on as if it had not been interrupted.
        from_cache: Whether nothing had to be built.
    """

    start: Start
    begun: Begun
    origin: Origin
    saved: Saved | None
    exact: bool
    from_cache: bool


def _begin(
    request: MdRequest,
    source: Source,
    restart: Restart | None,
    choice: PlatformChoice,
    name: str,
    workspace: Workspace,
) -> _Ready:
    begin = workspace.clock()
    start, times = find_start(request, source, restart, choice, workspace)
    first = segments(request)[0]
    context = make_context(request, first, start, choice, first.seed(request.seed))
    set_off(context, start, first, request.seed)
    origin = Origin(
        identity=name,
        machine=machine(context, choice),
        start="",
        resumed=0,
        exact=True,
        build_s=workspace.clock() - begin - times.minimize_s,
        minimize_s=times.minimize_s,
    )
    return _Ready(start, Begun(0, 0, context), origin, saved=None, exact=True, from_cache=times.from_cache)


def _go_on(request: MdRequest, choice: PlatformChoice, resumption: Resumption, workspace: Workspace) -> _Ready:
    begin = workspace.clock()
    start, saved = resumption.start, resumption.saved
    segment = segments(request)[-1 if saved.stage is None else saved.stage]
    seed = derived_seed(request.seed, saved.step, saved.stage)
    context = make_context(request, segment, start, choice, seed)
    here = machine(context, choice)
    difference = load_state(context, saved, request, segment.ensemble, same_machine=here == saved.origin.machine)
    if difference:
        workspace.note(f"it does not go on exactly: {difference}")
    origin = replace(
        saved.origin,
        machine=here,
        resumed=saved.origin.resumed + 1,
        exact=saved.origin.exact and not difference,
        build_s=saved.origin.build_s + workspace.clock() - begin,
    )
    return _Ready(
        start,
        Begun(segment.number, saved.step, context),
        origin,
        saved=saved if saved.stage is None else None,
        exact=not difference,
        from_cache=False,
    )


def _leave(workspace: Workspace, name: str, filename: str, content: bytes) -> None:
    workspace.write(filename, content)
    workspace.artifact(name, filename)


def _result(
    request: MdRequest,
    choice: PlatformChoice,
    ready: _Ready,
    origin: Origin,
    produced: Produced,
    remarks: list[str],
) -> MdResult:
    prepared = ready.start.prepared
    return MdResult(
        steps=request.steps,
        simulated_ns=request.steps * request.timestep_fs * 1e-6,
        ns_per_day=ns_per_day(request.steps, request.timestep_fs, produced.seconds),
        platform=choice.name,
        threads=int(choice.properties["Threads"]) if choice.name == "CPU" else None,
        n_atoms=prepared.n_atoms,
        resumed=origin.resumed,
        exact=origin.exact,
        box=prepared.box_origin,
        minimized=ready.start.minimized,
        remarks=remarks,
        restarted=ready.start.velocities is not None,
        repairs=prepared.repairs.result() if prepared.repairs else None,
        stages=[StageEnd(**stage) for stage in origin.stages],
        built_from_cache=ready.from_cache,
        wall_s=WallTime(
            build=origin.build_s,
            minimize=origin.minimize_s,
            stages=origin.stages_s,
            integrate=produced.seconds,
            analyse=produced.analyse_s,
        ),
        **produced.fields(prepared.dof, conserves_energy=request.ensemble == "NVE"),
    )

"""The stages before production: heating and equilibration. They leave no frames, and go on from checkpoints."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import openmm as mm
from openmm import unit

from simulations.errors import Paused, ToolError
from simulations.growing import Extent
from simulations.md import analysis
from simulations.md.analysis import Array
from simulations.md.divergence import checked_positions, diverged, step_error
from simulations.md.keeping import keep_start
from simulations.md.models import MdRequest
from simulations.md.platforms import PlatformChoice
from simulations.md.production import HOUSEKEEPING_S, next_stride
from simulations.md.saved import Origin, Saved, portable_state
from simulations.md.segments import Segment, make_context
from simulations.md.start import Start
from simulations.workspace import Workspace

NOTHING = Extent(0, 0, 0)


@dataclass
class Begun:
    """A context in which a segment has been begun.

    Attributes:
        number: Which segment.
        step: Steps of the segment that are done.
        context: In the state from which steps are taken.
    """

    number: int
    step: int
    context: Any

    def take(self) -> Any:
        """Gives the context away, so that its memory is free as soon as its segment is over."""
        context, self.context = self.context, None
        return context


def through_stages(
    begun: Begun,
    segments: list[Segment],
    request: MdRequest,
    start: Start,
    choice: PlatformChoice,
    workspace: Workspace,
    origin: Origin,
) -> tuple[Any, Origin]:
    """Takes what is left of the stages, and hands over to production.

    Each segment has a context of its own; coordinates, velocities and box are handed on in double precision.

    Args:
        begun: Where it is.
        segments: All of them.
        request: The inputs.
        start: Where the run starts, or started.
        choice: The platform.
        workspace: Where it writes.
        origin: What its checkpoints say of this attempt.

    Returns:
        Production's context, and what its checkpoints say.

    Raises:
        ToolError: ``SimulationDiverged``, ``BoxTooSmall``, ``OutOfMemory``, ``IntegrationFailed`` or ``ContextFailed``;
            ``DiskFull`` or ``DiskFailed``.
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause; what was done is saved.
        Superseded: If a later attempt has the folder.
    """
    context = begun.take()
    for segment in segments[begun.number : -1]:
        step = begun.step if segment.number == begun.number else 0
        try:
            origin = _StageRun(segment, context, start, request, choice, workspace, origin).run(step)
        except ToolError as error:
            where = f"stage {segment.number + 1} ({segment.kind})"
            raise ToolError(
                f"{where}: {error.message}",
                hint=error.hint,
                kind=error.kind,
                details={**error.details, "stage": segment.number + 1},
            ) from error
        following = segments[segment.number + 1]
        state = portable_state(context)
        del context  # a GPU may not have the memory for two
        context = make_context(request, following, start, choice, following.seed(request.seed))
        _hand_over(state, context, periodic=start.prepared.box is not None)
    return context, origin


def _hand_over(state: tuple[Array, Array, Array], context: Any, *, periodic: bool) -> None:
    positions, velocities, box = state
    if periodic:
        context.setPeriodicBoxVectors(*(box * unit.nanometer))
    context.setPositions(positions * unit.nanometer)
    context.setVelocities(velocities * unit.nanometer / unit.picosecond)


class _StageRun:
    """One stage, or the rest of one. Neither checks nor checkpoints change what it comes to."""

    def __init__(
        self,
        segment: Segment,
        context: Any,
        start: Start,
        request: MdRequest,
        choice: PlatformChoice,
        workspace: Workspace,
        origin: Origin,
    ) -> None:
        self._segment = segment
        self._context = context
        self._integrator = context.getIntegrator()
        self._start = start
        self._request = request
        self._choice = choice
        self._workspace = workspace
        self._origin = origin
        self._good_step = 0
        self._kept_house = self._saved_at = workspace.clock()
        self._begin = self._saved_at - origin.stages_s

    def run(self, step: int) -> Origin:
        """Takes all steps from this one; returns what checkpoints say from now on."""
        segment, clock, stride = self._segment, self._workspace.clock, 1
        self._good_step = step
        self._stop_if_asked(step)
        while step < segment.steps:
            end = segment.level_end(step)
            self._integrator.setTemperature(segment.temperature_at(step) * unit.kelvin)
            while step < end:
                count = min(stride, end - step)
                begin = clock()
                try:
                    self._integrator.step(count)
                except mm.OpenMMException as error:
                    n_atoms = self._start.prepared.n_atoms
                    raise step_error(error, step + count, self._good_step, self._choice.name, n_atoms) from error
                stepped = clock()
                step += count
                if checked_positions(self._context.getState(positions=True)) is None:
                    raise diverged(step, self._good_step, "coordinates are no numbers or out of all bounds")
                self._good_step = step
                stride = next_stride(count, stepped - begin, clock() - stepped)
                self._keep_house(step)
        stages = [*self._origin.stages, self._measured()]
        return replace(self._origin, stages=stages, stages_s=clock() - self._begin)

    def _measured(self) -> dict[str, Any]:
        """What it came to, as `simulations.md.results.StageEnd` has it."""
        prepared = self._start.prepared
        state = self._context.getState(energy=True)
        potential = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoules_per_mole)
        if not math.isfinite(potential + kinetic):
            raise diverged(self._segment.steps, self._good_step, "energies are no numbers or out of all bounds")
        density = None
        if prepared.box is not None:
            box = np.array(state.getPeriodicBoxVectors().value_in_unit(unit.nanometer), dtype=np.float64)
            density = analysis.density_g_cm3(prepared.mass_da, float(abs(np.linalg.det(box))))
        return {
            "kind": self._segment.kind,
            "steps": self._segment.steps,
            "potential_energy_kj_mol": potential,
            "temperature_k": analysis.temperature_k(kinetic, prepared.dof),
            "density_g_cm3": density,
        }

    def _amount(self, step: int) -> float:
        """What is done after this step, in ns."""
        return (self._segment.before + step) * self._request.timestep_fs * 1e-6

    def _keep_house(self, step: int) -> None:
        now = self._workspace.clock()
        if now - self._kept_house < HOUSEKEEPING_S:
            return
        self._kept_house = now
        self._stop_if_asked(step)
        if now - self._saved_at >= self._request.checkpoint_interval_s:
            self._save(step)
        self._workspace.progress(lambda: self._progress(step), amount=self._amount(step))

    def _stop_if_asked(self, step: int) -> None:
        if self._workspace.pause_asked():
            self._save(step)
            raise Paused

    def _progress(self, step: int) -> dict[str, Any]:
        segment = self._segment
        return {
            "stage": f"{segment.number + 1} of {len(self._request.stages)} ({segment.kind})",
            "step": step,
            "steps": segment.steps,
            "thermostat_k": segment.temperature_at(max(step - 1, 0)),
        }

    def _save(self, step: int) -> None:
        if not self._origin.start:
            self._origin = replace(self._origin, start=keep_start(self._start, self._workspace))
        origin = replace(self._origin, stages_s=self._workspace.clock() - self._begin)
        positions, velocities, box = portable_state(self._context)
        saved = Saved(
            origin=origin,
            stage=self._segment.number,
            step=step,
            last_frame_step=0,
            trajectory=NOTHING,
            table=NOTHING,
            averages=[],
            integrate_s=0.0,
            checkpoint=self._context.createCheckpoint(),
            positions=positions,
            velocities=velocities,
            box=box,
        )
        self._workspace.save(self._amount(step), saved.encode())
        self._saved_at = self._workspace.clock()

"""The stepping loop: short strides between checks, frames at report boundaries, checkpoints by the clock."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import openmm as mm
from openmm import unit

from simulations.errors import Paused, ToolError
from simulations.md import analysis
from simulations.md.analysis import Array
from simulations.md.averages import Averages
from simulations.md.conclusion import Conclusion, conclude
from simulations.md.divergence import checked_positions, diverged, step_error
from simulations.md.keeping import keep_start
from simulations.md.memory import out_of_memory
from simulations.md.models import MdRequest
from simulations.md.output import DcdWriter, Frame, StateTable
from simulations.md.produced import Produced
from simulations.md.saved import Origin, Saved, portable_state
from simulations.md.start import Start
from simulations.md.trajectory import Trajectory
from simulations.workspace import Workspace

HOUSEKEEPING_S = 1.0
CHECK_SHARE = 0.003
"""Part of the time that may be spent on looking whether coordinates are finite."""
STRIDE_LEAST = 10
STRIDE_MOST = 5000
STRIDE_S = 0.5
FINAL_SAVE_S = 10.0
"""A run that ended is saved too, if that much was not: should its result be lost, it is not to be computed again."""
CHECKPOINT = ("checkpoint", "checkpoint.chk")
TRAJECTORY = ("trajectory", "trajectory.dcd")
STATE_TABLE = ("state_table", "state.csv")
ANALYSIS = ("analysis", "analysis.json")


def next_stride(stride_steps: int, stepping_s: float, check_s: float) -> int:
    """How many steps to take before the next check, so that checks cost no more than `CHECK_SHARE`.

    Args:
        stride_steps: Length of the stride just taken.
        stepping_s: Time it took.
        check_s: Time its check took.

    Returns:
        From 1 to `STRIDE_MOST`; strides of slow systems are cut to `STRIDE_S`, so that a run can be cancelled.
    """
    step_s = max(stepping_s, 1e-9) / stride_steps
    cheap = math.ceil(check_s / (CHECK_SHARE * step_s))
    return max(1, min(max(cheap, STRIDE_LEAST), STRIDE_MOST, int(STRIDE_S / step_s)))


class Production:
    """One production run, or the rest of one.

    Strides, checks and checkpoints do not change the trajectory: on the Reference platform it depends on the request
    alone, however often it was interrupted.

    Args:
        context: With coordinates and velocities set, at step zero or where the checkpoint was.
        start: Where the run starts, or started.
        request: The inputs.
        workspace: Where it writes. Trajectory and table are there up to the checkpoint.
        origin: What its checkpoints say of this attempt.
        saved: The checkpoint that it goes on from; None for a new run.
    """

    def __init__(
        self,
        context: Any,
        start: Start,
        request: MdRequest,
        workspace: Workspace,
        origin: Origin,
        saved: Saved | None = None,
    ) -> None:
        self._context = context
        self._integrator = context.getIntegrator()
        self._start = start
        self._request = request
        self._workspace = workspace
        self._origin = origin
        self._first_step = saved.step if saved else 0
        self._last_good_step = self._first_step
        self._last_frame_step = saved.last_frame_step if saved else 0
        self._averages = Averages.restored(saved.averages) if saved else Averages()
        self._stride = 1
        self._seen: tuple[float, float] | None = None
        self._kept_house = self._saved_at = workspace.clock()
        self._begin = self._saved_at - (saved.integrate_s if saved else 0.0)
        prepared = start.prepared
        periodic = prepared.box is not None
        self._dcd = DcdWriter(
            workspace.artifact(*TRAJECTORY),
            prepared.n_atoms,
            self._interval,
            request.timestep_fs / 1000,
            periodic=periodic,
            extent=saved.trajectory if saved else None,
            last_step=self._last_frame_step,
        )
        self._table = StateTable(
            workspace.artifact(*STATE_TABLE), periodic=periodic, extent=saved.table if saved else None
        )

    @property
    def _interval(self) -> int:
        return min(self._request.report_interval_steps, self._request.steps)

    def run(self) -> Produced:
        """Takes all steps that are left.

        Raises:
            ToolError: ``SimulationDiverged``, ``BoxTooSmall``, ``OutOfMemory``, ``IntegrationFailed``, ``DiskFull`` or
                ``DiskFailed``.
            Cancelled: If it was asked to stop for good.
            Paused: If it was asked to pause; what was done is saved.
            Superseded: If a later attempt has the folder.
        """
        try:
            return self._run()
        except MemoryError as error:
            platform = self._context.getPlatform().getName()
            raise out_of_memory(error, platform, self._start.prepared.n_atoms) or error from error

    def _run(self) -> Produced:
        request, workspace, interval = self._request, self._workspace, self._interval
        step = self._first_step
        measured = None
        with self._dcd as dcd, self._table as table:
            self._stop_if_asked(step)
            while step < request.steps:
                target = min((step // interval + 1) * interval, request.steps)
                self._advance(step, target)
                step = target
                positions, box, frame = measured = self._measure(step)
                self._averages.add(frame)
                dcd.write(positions, box, step)
                table.write(frame)
                self._last_frame_step = step
                self._seen = frame.potential_energy_kj_mol, frame.temperature_k
                self._keep_house(step)
            dcd.sync()
            table.sync()
            if workspace.clock() - self._saved_at >= FINAL_SAVE_S:
                self._save(step)
            else:
                self._write_checkpoint()
            workspace.reached(self._amount(step))
            positions, box, frame = measured or self._measure(step)  # it went on from its own end
            seconds = workspace.clock() - self._begin
            begin = workspace.clock()
            conclusion = self._conclude(step)
        return Produced(self._averages, frame, positions, box, seconds, conclusion, workspace.clock() - begin)

    def _conclude(self, step: int) -> Conclusion:
        prepared, workspace = self._start.prepared, self._workspace
        trajectory = Trajectory(self._dcd.handle, prepared.n_atoms, self._dcd.frames, periodic=prepared.box is not None)
        conclusion = conclude(trajectory, self._start, self._averages, lambda: self._stop_if_asked(step))
        name, filename = ANALYSIS
        workspace.write(filename, conclusion.analysis.model_dump_json(indent=1).encode())
        workspace.artifact(name, filename)
        return conclusion

    def _advance(self, step: int, target: int) -> None:
        # The very first stride warms up and is not typical, so it is as short as can be.
        clock = self._workspace.clock
        while step < target:
            count = min(self._stride, target - step)
            begin = clock()
            try:
                self._integrator.step(count)
            except mm.OpenMMException as error:
                raise self._step_error(error, step + count) from error
            stepped = clock()
            step += count
            if step == target:
                return  # the frame is checked with its energies
            if checked_positions(self._context.getState(positions=True)) is None:
                raise diverged(step, self._last_good_step, "coordinates are no numbers or out of all bounds")
            self._last_good_step = step
            checked = clock()
            self._stride = next_stride(count, stepped - begin, checked - stepped)
            self._keep_house(step)

    def _step_error(self, error: mm.OpenMMException, step: int) -> ToolError:
        platform = self._context.getPlatform().getName()
        return step_error(error, step, self._last_good_step, platform, self._start.prepared.n_atoms)

    def _measure(self, step: int) -> tuple[Array, Array | None, Frame]:
        prepared, request = self._start.prepared, self._request
        try:
            state = self._context.getState(positions=True, energy=True)
        except mm.OpenMMException as error:
            raise self._step_error(error, step) from error
        positions = checked_positions(state)
        potential = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoules_per_mole)
        if positions is None or not math.isfinite(potential + kinetic):
            raise diverged(step, self._last_good_step, "coordinates or energies are no numbers or out of all bounds")
        self._last_good_step = step
        box = volume = density = None
        if prepared.box is not None:
            box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
            volume = float(abs(np.linalg.det(box)))
            density = analysis.density_g_cm3(prepared.mass_da, volume)
        frame = Frame(
            step=step,
            time_ps=step * request.timestep_fs / 1000,
            potential_energy_kj_mol=potential,
            kinetic_energy_kj_mol=kinetic,
            temperature_k=analysis.temperature_k(kinetic, prepared.dof),
            volume_nm3=volume,
            density_g_cm3=density,
            rmsd_nm=analysis.kabsch_rmsd(self._start.reference, positions[prepared.heavy])
            if len(prepared.heavy)
            else None,
            radius_of_gyration_nm=analysis.radius_of_gyration(positions[prepared.solute], prepared.solute_masses)
            if len(prepared.solute)
            else None,
            ns_per_day=self._ns_per_day(step),
        )
        return positions, box, frame

    def _amount(self, step: int) -> float:
        """What is done after this step, in ns, the stages before included."""
        return (self._request.stage_steps + step) * self._request.timestep_fs * 1e-6

    def _ns_per_day(self, step: int) -> float:
        return ns_per_day(step, self._request.timestep_fs, self._workspace.clock() - self._begin)

    def _keep_house(self, step: int) -> None:
        """Stopping, checkpoint and progress, about once a second. The state at this step must have been checked."""
        now = self._workspace.clock()
        if now - self._kept_house < HOUSEKEEPING_S:
            return
        self._kept_house = now
        self._dcd.flush()
        self._table.flush()
        self._stop_if_asked(step)
        if now - self._saved_at >= self._request.checkpoint_interval_s:
            self._save(step)
        self._workspace.progress(lambda: self._progress(step), amount=self._amount(step))

    def _stop_if_asked(self, step: int) -> None:
        if self._workspace.pause_asked():
            self._save(step)
            raise Paused

    def _progress(self, step: int) -> dict[str, Any]:
        if self._seen is None:
            # Only once: between frames, a large system would be held up by its own progress, a step for each second.
            state = self._context.getState(energy=True)
            kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoules_per_mole)
            potential = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
            self._seen = potential, analysis.temperature_k(kinetic, self._start.prepared.dof)
        potential, temperature = self._seen
        return {
            "step": step,
            "steps": self._request.steps,
            "ns_per_day": self._ns_per_day(step),
            # JSON has no NaN or infinity; the next check ends a run that has them.
            "potential_energy_kj_mol": potential if math.isfinite(potential) else None,
            "temperature_k": temperature if math.isfinite(temperature) else None,
        }

    def _save(self, step: int) -> None:
        """Writes a checkpoint, after the frames that it counts."""
        self._dcd.sync()
        self._table.sync()
        if not self._origin.start:
            self._origin = replace(self._origin, start=keep_start(self._start, self._workspace))
        positions, velocities, box = portable_state(self._context)
        saved = Saved(
            origin=self._origin,
            stage=None,
            step=step,
            last_frame_step=self._last_frame_step,
            trajectory=self._dcd.extent,
            table=self._table.extent,
            averages=self._averages.state,
            integrate_s=self._workspace.clock() - self._begin,
            checkpoint=self._write_checkpoint(),
            positions=positions,
            velocities=velocities,
            box=box,
        )
        self._workspace.save(self._amount(step), saved.encode())
        self._saved_at = self._workspace.clock()

    def _write_checkpoint(self) -> bytes:
        """Writes OpenMM's own checkpoint, which is left for the user, and returns it."""
        name, filename = CHECKPOINT
        content: bytes = self._context.createCheckpoint()
        self._workspace.write(filename, content)
        self._workspace.artifact(name, filename)
        return content


def ns_per_day(steps: int, timestep_fs: float, seconds: float) -> float:
    """Simulated ns per day of wall time."""
    return steps * timestep_fs * 1e-6 / max(seconds, 1e-9) * 86_400

"""The stepping loop: short strides between checks, frames at report boundaries, checkpoints by the clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import openmm as mm
from openmm import unit

from simulations.md import analysis
from simulations.md.analysis import Array, RunningStatistics
from simulations.md.divergence import checked_positions, diverged, raise_step_error
from simulations.md.models import MdRequest
from simulations.md.output import DcdWriter, Frame, StateTable
from simulations.md.start import Start
from simulations.workspace import Workspace

HOUSEKEEPING_S = 1.0
CHECK_SHARE = 0.003
"""Part of the time that may be spent on looking whether coordinates are finite."""
STRIDE_LEAST = 10
STRIDE_MOST = 1000
STRIDE_S = 0.5
CHECKPOINT = ("checkpoint", "checkpoint.chk")


class Averages(NamedTuple):
    """Running statistics over the frames."""

    potential: RunningStatistics
    kinetic: RunningStatistics
    temperature: RunningStatistics
    density: RunningStatistics


@dataclass(frozen=True)
class Produced:
    """What a production run left.

    Attributes:
        averages: Statistics over the frames.
        last: Numbers of the last frame.
        positions: Coordinates of the last frame in nm.
        box: Box vectors of the last frame in nm, or None.
        seconds: Wall time of the run.
    """

    averages: Averages
    last: Frame
    positions: Array
    box: Array | None
    seconds: float


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
    """One production run.

    Strides and checks do not change the trajectory: on the Reference platform it depends on the request alone.

    Args:
        context: With coordinates and velocities set, at step zero.
        start: Where it starts.
        request: The inputs.
        workspace: Where it writes.
    """

    def __init__(self, context: Any, start: Start, request: MdRequest, workspace: Workspace) -> None:
        self._context = context
        self._integrator = context.getIntegrator()
        self._start = start
        self._request = request
        self._workspace = workspace
        self._averages = Averages(*(RunningStatistics() for _ in Averages._fields))
        self._last_good_step = 0
        self._begin = self._kept_house = self._checkpointed = workspace.clock()

    def run(self) -> Produced:
        """Takes all steps.

        Raises:
            ToolError: ``SimulationDiverged``, ``BoxTooSmall`` or ``IntegrationFailed``.
            Cancelled: If the stop flag was set.
        """
        request, workspace = self._request, self._workspace
        prepared = self._start.prepared
        periodic = prepared.box is not None
        interval = min(request.report_interval_steps, request.steps)
        dcd_path = workspace.artifact("trajectory", "trajectory.dcd")
        table_path = workspace.artifact("state_table", "state.csv")
        step = 0
        with (
            DcdWriter(dcd_path, prepared.n_atoms, interval, request.timestep_fs / 1000, periodic=periodic) as dcd,
            StateTable(table_path, periodic=periodic) as table,
        ):
            while step < request.steps:
                target = min((step // interval + 1) * interval, request.steps)
                self._advance(step, target)
                step = target
                positions, box, frame = self._frame(step)
                dcd.write(positions, box, step)
                table.write(frame)
                if self._keep_house(step, frame):
                    dcd.flush()
                    table.flush()
        self._checkpoint()
        return Produced(self._averages, frame, positions, box, workspace.clock() - self._begin)

    def _advance(self, step: int, target: int) -> None:
        # The first stride warms up and is not typical, so it is as short as can be.
        clock, stride = self._workspace.clock, 1
        while step < target:
            count = min(stride, target - step)
            begin = clock()
            try:
                self._integrator.step(count)
            except mm.OpenMMException as error:
                raise_step_error(error, step + count, self._last_good_step, self._request)
            stepped = clock()
            step += count
            if step == target:
                return  # the frame is checked with its energies
            if checked_positions(self._context.getState(positions=True)) is None:
                raise diverged(step, self._last_good_step, "coordinates are no numbers or out of all bounds")
            self._last_good_step = step
            checked = clock()
            stride = next_stride(count, stepped - begin, checked - stepped)
            self._keep_house(step, None)

    def _frame(self, step: int) -> tuple[Array, Array | None, Frame]:
        prepared, request = self._start.prepared, self._request
        try:
            state = self._context.getState(positions=True, energy=True)
        except mm.OpenMMException as error:
            raise_step_error(error, step, self._last_good_step, request)
        positions = checked_positions(state)
        potential = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoules_per_mole)
        if positions is None or not math.isfinite(potential + kinetic):
            raise diverged(step, self._last_good_step, "coordinates or energies are no numbers or out of all bounds")
        self._last_good_step = step
        box = volume = density = None
        if prepared.box is not None:
            box = np.array(state.getPeriodicBoxVectors().value_in_unit(unit.nanometer), dtype=np.float64)
            volume = float(abs(np.linalg.det(box)))
            density = analysis.density_g_cm3(prepared.mass_da, volume)
            self._averages.density.add(density)
        temperature = analysis.temperature_k(kinetic, prepared.dof)
        self._averages.potential.add(potential)
        self._averages.kinetic.add(kinetic)
        self._averages.temperature.add(temperature)
        frame = Frame(
            step=step,
            time_ps=step * request.timestep_fs / 1000,
            potential_energy_kj_mol=potential,
            kinetic_energy_kj_mol=kinetic,
            temperature_k=temperature,
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

    def _ns_per_day(self, step: int) -> float:
        return ns_per_day(step, self._request.timestep_fs, self._workspace.clock() - self._begin)

    def _keep_house(self, step: int, frame: Frame | None) -> bool:
        """Cancellation, checkpoint and progress, about once a second; says whether it was time."""
        now = self._workspace.clock()
        if now - self._kept_house < HOUSEKEEPING_S:
            return False
        self._kept_house = now
        self._workspace.raise_if_cancelled()
        if now - self._checkpointed >= self._request.checkpoint_interval_s:
            self._checkpoint()
        self._workspace.progress(lambda: self._progress(step, frame))
        return True

    def _progress(self, step: int, frame: Frame | None) -> dict[str, Any]:
        if frame is None:
            state = self._context.getState(energy=True)
            potential = state.getPotentialEnergy().value_in_unit(unit.kilojoules_per_mole)
            kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoules_per_mole)
            temperature = analysis.temperature_k(kinetic, self._start.prepared.dof)
        else:
            potential, temperature = frame.potential_energy_kj_mol, frame.temperature_k
        return {
            "step": step,
            "steps": self._request.steps,
            "ns_per_day": self._ns_per_day(step),
            # JSON has no NaN or infinity; the next check ends a run that has them.
            "potential_energy_kj_mol": potential if math.isfinite(potential) else None,
            "temperature_k": temperature if math.isfinite(temperature) else None,
        }

    def _checkpoint(self) -> None:
        name, filename = CHECKPOINT
        self._workspace.write(filename, self._context.createCheckpoint())
        self._workspace.artifact(name, filename)
        self._checkpointed = self._workspace.clock()


def ns_per_day(steps: int, timestep_fs: float, seconds: float) -> float:
    """Simulated ns per day of wall time."""
    return steps * timestep_fs * 1e-6 / max(seconds, 1e-9) * 86_400

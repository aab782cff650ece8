"""``ase_md``: the stepping loop. Frames at report boundaries, checkpoints by the clock."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np
from ase import Atoms, units

from simulations.atomistic.calculators import Engine, make_engine, memory_of, remember
from simulations.atomistic.evaluation import BLOWN_UP, calculating, cell_of, common, in_bounds, is_crystal, max_norm
from simulations.atomistic.extxyz import frame_bytes
from simulations.atomistic.integrators import degrees_of_freedom, make_integrator, set_velocities, temperature_k
from simulations.atomistic.md_saved import COLUMNS, Averages, Frame, Saved
from simulations.atomistic.models import AseMdRequest
from simulations.atomistic.packing import UnusableError, identity
from simulations.atomistic.results import AseMdResult
from simulations.atomistic.structures import build_atoms
from simulations.checkpoints import Checkpoint
from simulations.errors import Paused, ToolError
from simulations.growing import GrowingFile, NotAsSavedError, put_back
from simulations.workspace import Workspace

HOUSEKEEPING_S = 1.0
FARTHEST_STRIDE_ANGSTROM = 10.0
"""Longer than any bond: forces at both ends of such a step have nothing to do with one another."""
FINAL_SAVE_S = 10.0
"""A run that ended is saved too, if that much was not: should its result be lost, it is not to be computed again."""
TRAJECTORY = ("trajectory", "trajectory.extxyz")
STATE_TABLE = ("state_table", "state.csv")
FINAL = ("final_structure", "final.extxyz")


def run(request: AseMdRequest, workspace: Workspace) -> AseMdResult:
    """Runs one simulation, or what is left of it.

    Args:
        request: Validated inputs.
        workspace: Where it writes.

    Returns:
        The result; files are the artifacts ``trajectory``, ``state_table`` and ``final_structure``.

    Raises:
        ToolError: ``SimulationDiverged``, ``NothingMoves``; what `build_atoms`, `make_engine` and `calculating` raise;
            ``DiskFull`` or ``DiskFailed``.
        OSError: If a growing file cannot be written; a worker explains it as these two.
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause; what was done is saved.
        Superseded: If a later attempt has the folder.
    """
    if workspace.pause_asked():
        raise Paused("it was asked to pause before it began")
    atoms = build_atoms(request, workspace)
    engine = make_engine(request, atoms, workspace)
    name = identity(request, atoms)
    found = _find(name, workspace)
    simulation = Simulation(request, atoms, engine, name, workspace, found[1] if found else None)
    workspace.begin(found[0] if found else None, exact=simulation.exact)
    with simulation:
        simulation.run()
    workspace.reached(simulation.amount)
    last = simulation.final_frame()
    workspace.write(FINAL[1], last)
    workspace.artifact(*FINAL)
    averages = simulation.averages
    drift = averages.drift.result() if request.ensemble == "NVE" else None
    return AseMdResult(
        **common(atoms, engine),
        steps=request.steps,
        simulated_ns=simulation.amount,
        ns_per_day=simulation.amount / max(simulation.wall_s, 1e-9) * 86_400,
        potential_energy_ev=averages.potential.result(),
        kinetic_energy_ev=averages.kinetic.result(),
        total_energy_ev=averages.total.result(),
        temperature_k=averages.temperature.result(),
        degrees_of_freedom=simulation.dof,
        energy_drift_ev_per_atom_per_ps=None if drift is None else drift / len(atoms),
        pressure_gpa=averages.pressure.result() if averages.pressure.count else None,
        cell=cell_of(atoms),
        n_frames=averages.potential.count,
        resumed=simulation.resumed,
        exact=simulation.exact,
        wall_s=simulation.wall_s,
    )


def _find(name: str, workspace: Workspace) -> tuple[Checkpoint, Saved] | None:
    """The newest checkpoint of use, with the files cut back to it."""
    for checkpoint in workspace.load():
        try:
            saved = Saved.decode(checkpoint.content)
            if saved.identity != name:
                raise UnusableError("it is another simulation's")
            put_back(workspace, checkpoint, {TRAJECTORY[1]: saved.trajectory, STATE_TABLE[1]: saved.table})
        except (UnusableError, NotAsSavedError) as error:
            workspace.note(f"checkpoint {checkpoint.number} of attempt {checkpoint.epoch} was passed over: {error}")
        else:
            return checkpoint, saved
    return None


class Simulation:
    """One simulation, or the rest of one. Its steps depend on the request alone, however often it was interrupted.

    Args:
        request: The inputs.
        atoms: The structure as it came; it is moved.
        engine: Its calculator.
        name: Names the simulation.
        workspace: Where it writes. Trajectory and table are there up to the checkpoint.
        saved: The checkpoint that it goes on from; None for a new one.
    """

    def __init__(
        self,
        request: AseMdRequest,
        atoms: Atoms,
        engine: Engine,
        name: str,
        workspace: Workspace,
        saved: Saved | None,
    ) -> None:
        self._request = request
        self._atoms = atoms
        self._engine = engine
        self._name = name
        self._workspace = workspace
        self._step = saved.step if saved else 0
        self.resumed = saved.resumed + 1 if saved else 0
        self.exact = saved is None or (saved.exact and engine.exact)
        self.averages = saved.averages if saved else Averages()
        self.dof = degrees_of_freedom(atoms)
        atoms.calc = engine.calculator
        # Two streams, so that the thermostat's numbers do not depend on how many the velocities took.
        first, second = (np.random.default_rng(item) for item in np.random.SeedSequence(request.seed).spawn(2))
        set_velocities(atoms, request, first)
        if saved:
            remember(engine.calculator, saved.memory, atoms)
            atoms.set_positions(saved.positions, apply_constraint=False)
            atoms.set_momenta(saved.momenta, apply_constraint=False)
            second.bit_generator.state = saved.generator
        self._generator = second
        self._integrator = make_integrator(atoms, request, second)
        self._kept_house = self._saved_at = workspace.clock()
        self._begin = self._saved_at - (saved.wall_s if saved else 0.0)
        self._trajectory = GrowingFile(workspace.artifact(*TRAJECTORY), saved.trajectory if saved else None)
        header = (",".join(COLUMNS) + "\n").encode("ascii")
        self._table = GrowingFile(workspace.artifact(*STATE_TABLE), saved.table if saved else None, header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self._trajectory.__exit__(*error)
        self._table.__exit__(*error)

    @property
    def amount(self) -> float:
        """What is done, in ns."""
        return self._step * self._request.timestep_fs * 1e-6

    @property
    def wall_s(self) -> float:
        """Wall time so far, over all attempts."""
        return self._workspace.clock() - self._begin

    def run(self) -> None:
        """Takes all steps that are left.

        Raises:
            ToolError: ``SimulationDiverged``, or what `calculating` raises; ``DiskFull`` or ``DiskFailed``.
            Cancelled: If it was asked to stop for good.
            Paused: If it was asked to pause; what was done is saved.
        """
        request, interval = self._request, self._request.report_interval_steps
        if self._step == 0:
            self._advance(lambda: self._atoms.get_potential_energy())
        while self._step < request.steps:
            self._step += 1
            self._advance(self._integrator.step)
            if self._step % interval == 0 or self._step == request.steps:
                self._report(self._measure())
            self._keep_house()
        self._trajectory.sync()
        self._table.sync()
        if self._workspace.clock() - self._saved_at >= FINAL_SAVE_S:
            self._save()

    def _advance(self, work: Any) -> None:
        try:
            with calculating(self._engine, self._step):
                work()
                energy = float(self._atoms.get_potential_energy())
        except ToolError as error:
            if not in_bounds(self._atoms.positions):
                raise self._diverged() from error
            raise
        if not (math.isfinite(energy) and in_bounds(self._atoms.positions)):
            raise self._diverged()
        if not self._stride_angstrom() < FARTHEST_STRIDE_ANGSTROM:
            raise self._diverged(f"an atom moves by more than {FARTHEST_STRIDE_ANGSTROM:g} Å in one step")

    def _stride_angstrom(self) -> float:
        """How far the fastest atom moves in one step."""
        velocities = self._atoms.get_momenta() / self._atoms.get_masses()[:, None]
        return max_norm(velocities) * self._request.timestep_fs * float(units.fs)

    def _diverged(self, what: str = "coordinates or energy are no numbers or out of all bounds") -> ToolError:
        return ToolError(
            f"the simulation blew up: {what}, at step {self._step}",
            hint=BLOWN_UP,
            kind="SimulationDiverged",
            details={"step": self._step, "last_good_step": self._step - 1},
        )

    def _measure(self) -> Frame:
        atoms = self._atoms
        with calculating(self._engine, self._step):
            potential = float(atoms.get_potential_energy())
            kinetic = float(atoms.get_kinetic_energy())
            pressure = None
            if is_crystal(atoms):
                stress = atoms.get_stress(include_ideal_gas=True, apply_constraint=False)
                pressure = float(-stress[:3].mean() / units.GPa)
        if not math.isfinite(potential + kinetic + (pressure or 0.0)):
            raise self._diverged()
        return Frame(
            step=self._step,
            time_ps=self._step * self._request.timestep_fs / 1000,
            potential_energy_ev=potential,
            kinetic_energy_ev=kinetic,
            total_energy_ev=potential + kinetic,
            temperature_k=temperature_k(kinetic, self.dof),
            pressure_gpa=pressure,
        )

    def _report(self, frame: Frame) -> None:
        self.averages.add(frame)
        info = {"step": frame.step, "time_ps": frame.time_ps, "temperature_k": frame.temperature_k}
        self._trajectory.append(frame_bytes(self._atoms, info, energy_ev=frame.potential_energy_ev))
        self._table.append(frame.row())

    def final_frame(self) -> bytes:
        """The last structure with energy, forces and momenta, from which another run may go on."""
        frame = self._measure()
        forces = np.array(self._atoms.get_forces(apply_constraint=False), dtype=np.float64)
        info = {"step": frame.step, "time_ps": frame.time_ps, "method": self._engine.method}
        return frame_bytes(self._atoms, info, energy_ev=frame.potential_energy_ev, forces=forces, momenta=True)

    def _keep_house(self) -> None:
        """Stopping, checkpoint and progress, about once a second."""
        workspace, now = self._workspace, self._workspace.clock()
        if now - self._kept_house < HOUSEKEEPING_S:
            return
        self._kept_house = now
        self._trajectory.flush()
        self._table.flush()
        pause = workspace.pause_asked()
        if pause or now - self._saved_at >= self._request.checkpoint_interval_s:
            self._save()
        if pause:
            raise Paused
        workspace.progress(self._progress, amount=self.amount)

    def _progress(self) -> dict[str, Any]:
        kinetic = float(self._atoms.get_kinetic_energy())
        return {
            "step": self._step,
            "steps": self._request.steps,
            "potential_energy_ev": float(self._atoms.get_potential_energy()),
            "temperature_k": temperature_k(kinetic, self.dof),
        }

    def _save(self) -> None:
        self._trajectory.sync()
        self._table.sync()
        saved = Saved(
            identity=self._name,
            step=self._step,
            trajectory=self._trajectory.extent,
            table=self._table.extent,
            resumed=self.resumed,
            exact=self.exact,
            wall_s=self.wall_s,
            generator=dict(self._generator.bit_generator.state),
            averages=self.averages,
            memory=memory_of(self._engine.calculator),
            positions=self._atoms.get_positions(),
            momenta=self._atoms.get_momenta(),
        )
        self._workspace.save(self.amount, saved.encode())
        self._saved_at = self._workspace.clock()

"""``relax``: downhill, step by step, until no force is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Self

import ase
import numpy as np
from ase import Atoms, units

from simulations.atomistic.calculators import Engine, make_engine, memory_of, remember
from simulations.atomistic.evaluation import (
    Evaluation,
    calculating,
    cell_of,
    common,
    evaluate,
    geometry_of,
    in_bounds,
    is_crystal,
    max_norm,
    stress_gpa,
)
from simulations.atomistic.extxyz import frame_bytes
from simulations.atomistic.models import RelaxRequest
from simulations.atomistic.optimizers import make_optimizer, restore, state_of, target_of
from simulations.atomistic.packing import UnusableError, identity
from simulations.atomistic.relax_saved import Saved
from simulations.atomistic.results import MOST_INLINE, RelaxResult
from simulations.atomistic.structures import build_atoms, n_fixed
from simulations.checkpoints import Checkpoint
from simulations.errors import Paused, ToolError
from simulations.growing import GrowingFile, NotAsSavedError, put_back
from simulations.workspace import Workspace

HOUSEKEEPING_S = 1.0
TRAJECTORY = ("trajectory", "trajectory.extxyz")
RELAXED = ("relaxed_structure", "relaxed.extxyz")
LAST = ("last_structure", "last.extxyz")


def run(request: RelaxRequest, workspace: Workspace) -> RelaxResult:
    """Relaxes one structure.

    Args:
        request: Validated inputs.
        workspace: Where it writes.

    Returns:
        The result; files are the artifacts ``trajectory`` and ``relaxed_structure``.

    Raises:
        ToolError: ``NotConverged``, with the artifact ``last_structure``; what `build_atoms`, `make_engine` and
            `evaluate` raise; ``DiskFull`` or ``DiskFailed``.
        OSError: If a growing file cannot be written; a worker explains it as these two.
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause; what was done is saved.
        Superseded: If a later attempt has the folder.
    """
    if workspace.pause_asked():
        raise Paused("it was asked to pause before it began")
    atoms = build_atoms(request, workspace)
    _check_cell(request, atoms)
    engine = make_engine(request, atoms, workspace)
    name = identity(request, atoms)
    before = cell_of(atoms)
    found = _find(name, workspace)
    relaxation = Relaxation(request, atoms, engine, name, workspace, found[1] if found else None)
    workspace.begin(found[0] if found else None, exact=relaxation.exact)
    with relaxation:
        last, converged = relaxation.run()
    _leave(RELAXED if converged or not request.require_convergence else LAST, atoms, engine, last, converged, workspace)
    if not converged and request.require_convergence:
        raise relaxation.not_converged(f"after {relaxation.step} steps")
    workspace.reached(relaxation.step)
    pressure = request.pressure_gpa
    return RelaxResult(
        **common(atoms, engine),
        converged=converged,
        steps=relaxation.step,
        energy_before_ev=relaxation.energy_before_ev,
        energy_ev=last.energy_ev,
        energy_per_atom_ev=last.energy_ev / len(atoms),
        enthalpy_ev=None if pressure is None else last.energy_ev + pressure * units.GPa * float(atoms.get_volume()),
        max_force_ev_per_angstrom=relaxation.max_force(),
        fmax_reached_ev_per_angstrom=relaxation.residual(),
        stress_gpa=stress_gpa(last.stress),
        cell_before=before,
        cell=cell_of(atoms),
        structure=geometry_of(atoms) if len(atoms) <= MOST_INLINE else None,
        n_frames=relaxation.n_frames,
        resumed=relaxation.resumed,
        exact=relaxation.exact,
        wall_s=relaxation.wall_s,
    )


def _check_cell(request: RelaxRequest, atoms: Atoms) -> None:
    if request.relax_cell == "none":
        return
    if not is_crystal(atoms):
        raise ToolError(
            "relax_cell needs a structure that is periodic in all three directions",
            hint="leave relax_cell out, or give a file with a cell",
            kind="BadStructure",
        )
    if n_fixed(atoms):
        raise ToolError(
            "relax_cell cannot be combined with atoms that the file fixes: they would move with the cell",
            hint="leave relax_cell out, or release the atoms in the file",
            kind="BadStructure",
        )


def _find(name: str, workspace: Workspace) -> tuple[Checkpoint, Saved] | None:
    """The newest checkpoint of use, with the trajectory cut back to it."""
    for checkpoint in workspace.load():
        try:
            saved = Saved.decode(checkpoint.content)
            if saved.identity != name:
                raise UnusableError("it is another simulation's")
            put_back(workspace, checkpoint, {TRAJECTORY[1]: saved.trajectory})
        except (UnusableError, NotAsSavedError) as error:
            workspace.note(f"checkpoint {checkpoint.number} of attempt {checkpoint.epoch} was passed over: {error}")
        else:
            return checkpoint, saved
    return None


def _leave(
    artifact: tuple[str, str], atoms: Atoms, engine: Engine, last: Evaluation, converged: bool, workspace: Workspace
) -> None:
    info = {"method": engine.method, "converged": converged}
    content = frame_bytes(atoms, info, energy_ev=last.energy_ev, forces=last.forces, stress=last.stress)
    workspace.write(artifact[1], content)
    workspace.artifact(*artifact)


class Relaxation:
    """One relaxation, or the rest of one. Steps depend on the request alone, however often it was interrupted.

    Args:
        request: The inputs.
        atoms: The structure as it came; it is moved.
        engine: Its calculator.
        name: Names the simulation.
        workspace: Where it writes. The trajectory is there up to the checkpoint.
        saved: The checkpoint that it goes on from; None for a new one.
    """

    def __init__(
        self,
        request: RelaxRequest,
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
        atoms.calc = engine.calculator
        self._target = target_of(request, atoms)  # counts deformations from the cell as it came
        self.step = saved.step if saved else 0
        self.resumed = saved.resumed + 1 if saved else 0
        self.exact = saved is None or (saved.exact and engine.exact and saved.ase == ase.__version__)
        self.energy_before_ev = saved.energy_before_ev if saved else float("nan")
        if saved:
            remember(engine.calculator, saved.memory, atoms)
            atoms.set_cell(saved.cell, scale_atoms=False)
            atoms.set_positions(saved.positions, apply_constraint=False)
        self._optimizer = make_optimizer(request, self._target)
        if saved and saved.ase == ase.__version__:
            restore(request.optimizer, self._optimizer, saved.numbers, saved.optimizer)
        self._kept_house = self._saved_at = workspace.clock()
        self._begin = self._saved_at - (saved.wall_s if saved else 0.0)
        self._frames = GrowingFile(workspace.artifact(*TRAJECTORY), saved.trajectory if saved else None)
        self._framed = saved is not None

    def __enter__(self) -> Self:
        self._frames.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._frames.__exit__(*error)

    @property
    def n_frames(self) -> int:
        """Frames of the trajectory."""
        return self._frames.frames

    @property
    def wall_s(self) -> float:
        """Wall time so far, over all attempts."""
        return self._workspace.clock() - self._begin

    def run(self) -> tuple[Evaluation, bool]:
        """Takes steps until there is no need for more, or they are used up.

        Returns:
            The last structure's numbers, and whether it has converged.
        """
        while True:
            now = self._look()
            converged = self.residual() < self._request.fmax_ev_per_angstrom
            if converged or self.step >= self._request.max_steps:
                self._frames.sync()
                return now, converged
            self._keep_house(now)
            with calculating(self._engine, self.step), self._line_search():
                self._optimizer.step()
            self.step += 1

    def _look(self) -> Evaluation:
        if not in_bounds(self._atoms.positions):
            raise ToolError(
                f"the structure fell apart at step {self.step}: coordinates are no numbers or out of all bounds",
                hint="use optimizer fire or lbfgslinesearch, and look for atoms that are too close",
                kind="CalculationFailed",
                details={"step": self.step},
            )
        now = evaluate(self._atoms, self._engine, step=self.step)
        if self.step == 0:
            self.energy_before_ev = now.energy_ev
        if self._framed:  # it goes on from a checkpoint, whose frame is there
            self._framed = False
        else:
            info = {"step": self.step}
            frame = frame_bytes(self._atoms, info, energy_ev=now.energy_ev, forces=now.forces, stress=now.stress)
            self._frames.append(frame)
        return now

    def residual(self) -> float:
        """What is compared with fmax, in eV/Å: forces on free atoms, and rows of the virial if the cell is relaxed."""
        return max_norm(np.asarray(self._target.get_forces()))

    def max_force(self) -> float:
        """Greatest force on an atom that is free, in eV/Å."""
        return max_norm(self._atoms.get_forces())

    def not_converged(self, when: str) -> ToolError:
        """The error of a relaxation that has not converged."""
        fmax = self.residual()
        return ToolError(
            f"the relaxation has not converged {when}: fmax is {fmax:.4g} eV/Å, not below "
            f"{self._request.fmax_ev_per_angstrom:g}",
            hint="raise max_steps or fmax_ev_per_angstrom, use another optimizer, or set require_convergence to false",
            kind="NotConverged",
            details={"step": self.step, "fmax_ev_per_angstrom": fmax},
        )

    @contextmanager
    def _line_search(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            if "LineSearch" not in str(error):
                raise
            raise self.not_converged(f"at step {self.step}, where no step went downhill") from error

    def _keep_house(self, now: Evaluation) -> None:
        workspace, clock = self._workspace, self._workspace.clock()
        if clock - self._kept_house < HOUSEKEEPING_S:
            return
        self._kept_house = clock
        self._frames.flush()
        pause = workspace.pause_asked()
        if pause or clock - self._saved_at >= self._request.checkpoint_interval_s:
            self._save()
        if pause:
            raise Paused
        workspace.progress(partial(self._report, now), amount=self.step)

    def _report(self, now: Evaluation) -> dict[str, Any]:
        fmax = self.residual()
        return {"step": self.step, "energy_ev": now.energy_ev, "fmax_ev_per_angstrom": fmax}

    def _save(self) -> None:
        self._frames.sync()
        numbers, arrays = state_of(self._request.optimizer, self._optimizer)
        saved = Saved(
            identity=self._name,
            ase=ase.__version__,
            step=self.step,
            energy_before_ev=self.energy_before_ev,
            trajectory=self._frames.extent,
            resumed=self.resumed,
            exact=self.exact,
            wall_s=self.wall_s,
            numbers=numbers,
            optimizer=arrays,
            memory=memory_of(self._engine.calculator),
            positions=self._atoms.get_positions(),
            cell=self._atoms.cell.array.copy(),
        )
        self._workspace.save(self.step, saved.encode())
        self._saved_at = self._workspace.clock()

"""GFN2-xTB with tblite, by way of ASE: relaxation, and energies at its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculatorError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.optimize import LBFGSLineSearch
from numpy.typing import NDArray

from simulations.checkpoints import Checkpoint
from simulations.errors import Paused, ToolError
from simulations.extras import need
from simulations.ionization.models import IonizationRequest
from simulations.threads import use_threads
from simulations.workspace import Workspace

METHOD = "GFN2-xTB"
ACCURACY = 1.0
"""tblite's own: energies of the self-consistent field to 1e-6 hartree, charges to 2e-5 e."""

ELECTRONIC_TEMPERATURE_K = 300.0
MAX_SCF_ITERATIONS = 250
CHECKPOINT_INTERVAL_S = 60.0


@dataclass(frozen=True)
class Progress:
    """How far a relaxation is; what is saved of it.

    Attributes:
        positions: n × 3, in Å.
        steps: Steps so far, over all attempts.
        resumed: How often it went on from a checkpoint.
        conformers: How many first geometries there were to choose from.
        force_field_converged: Whether the force field came to its end before; None without one.
    """

    positions: NDArray[np.float64]
    steps: int
    resumed: int
    conformers: int
    force_field_converged: bool | None

    def encode(self, request: IonizationRequest) -> bytes:
        """As JSON."""
        document = {
            "inputs": request.model_dump(mode="json"),
            "positions": self.positions.tolist(),
            "steps": self.steps,
            "resumed": self.resumed,
            "conformers": self.conformers,
            "force_field_converged": self.force_field_converged,
        }
        return json.dumps(document).encode()


@dataclass(frozen=True)
class Relaxed:
    """A relaxed geometry.

    Attributes:
        progress: The geometry, and what it took.
        max_force_ev_per_angstrom: Greatest force on an atom, in eV/Å.
    """

    progress: Progress
    max_force_ev_per_angstrom: float


def load(threads: int) -> None:
    """Loads tblite, and sets how many threads it uses.

    Raises:
        ToolError: ``MissingExtra``.
    """
    need("tblite.ase", "chem")
    use_threads(threads)


def decode(checkpoint: Checkpoint, request: IonizationRequest, n_atoms: int) -> Progress | None:
    """What a checkpoint holds; None if it is of other inputs, or not what it should be."""
    try:
        said = json.loads(checkpoint.content)
        if said["inputs"] != request.model_dump(mode="json"):
            return None
        positions = np.array(said["positions"], dtype=np.float64)
        if positions.shape != (n_atoms, 3) or not np.isfinite(positions).all():
            return None
        return Progress(
            positions,
            steps=int(said["steps"]),
            resumed=int(said["resumed"]) + 1,
            conformers=int(said["conformers"]),
            force_field_converged=said["force_field_converged"],
        )
    except (KeyError, TypeError, ValueError):
        return None


def relax(numbers: Sequence[int], start: Progress, request: IonizationRequest, workspace: Workspace) -> Relaxed:
    """Relaxes the neutral molecule with L-BFGS and a line search; looks before each evaluation whether it is to stop.

    Args:
        numbers: Atomic numbers, n.
        start: Where it begins, or goes on.
        request: Its ``fmax_ev_per_angstrom`` and ``max_steps`` count.
        workspace: Where checkpoints go, and who asks it to stop.

    Raises:
        ToolError: ``NotConverged`` or ``ScfFailed``.
        Cancelled: If it was asked to stop for good.
        Paused: If it was asked to pause; the geometry is saved.
    """
    atoms = _molecule(numbers, start.positions, charge=0)
    watch = _Watch(request, workspace, start, saved_at=workspace.clock())
    # The history of its steps is not saved: one that goes on begins it anew, so it is not the same to the last digit.
    optimizer: Any = _Optimizer(atoms, watch)
    converged = False
    with _scf("relaxing the neutral molecule"), _line_search(optimizer, atoms, start.steps):
        for converged in optimizer.irun(request.fmax_ev_per_angstrom, request.max_steps - start.steps):
            watch.latest = replace(start, positions=atoms.get_positions(), steps=start.steps + optimizer.nsteps)
            if converged:
                break
            workspace.progress(partial(_report, atoms, watch.latest.steps), amount=watch.latest.steps)
    force = _force(atoms)
    if not converged:
        raise _not_converged(f"after {watch.latest.steps} steps", watch.latest.steps, force)
    workspace.reached(watch.latest.steps)
    return Relaxed(watch.latest, force)


@dataclass
class _Watch:
    """Looks whether a relaxation is to stop, and saves it.

    Attributes:
        request: Goes into checkpoints.
        workspace: Who asks it to stop.
        latest: What the latest step led to.
        saved_at: When it was last saved.
    """

    request: IonizationRequest
    workspace: Workspace
    latest: Progress
    saved_at: float

    def look(self) -> None:
        """To be called before each evaluation: a step with its line search may have twenty of them.

        Raises:
            Cancelled: If it was asked to stop for good.
            Paused: If it was asked to pause; what the latest step led to is saved.
        """
        pause, now = self.workspace.pause_asked(), self.workspace.clock()
        if pause or now - self.saved_at >= CHECKPOINT_INTERVAL_S:
            self.workspace.save(self.latest.steps, self.latest.encode(self.request))
            self.saved_at = now
        if pause:
            raise Paused


class _Optimizer(LBFGSLineSearch):  # type: ignore[misc]  # ase is not typed
    def __init__(self, atoms: Atoms, watch: _Watch) -> None:
        self._watch = watch
        super().__init__(atoms, logfile=None)

    def func(self, x: NDArray[np.float64]) -> float:
        self._watch.look()
        return float(super().func(x))


def energy_ev(numbers: Sequence[int], positions: NDArray[np.float64], *, charge: int) -> float:
    """Total energy from a fresh start of the self-consistent field, in eV.

    Args:
        numbers: Atomic numbers, n.
        positions: n × 3, in Å.
        charge: 0 for the neutral molecule (singlet), 1 for its cation (doublet).

    Raises:
        ToolError: ``ScfFailed``.
    """
    with _scf("the energy of the neutral molecule" if charge == 0 else "the energy of the cation"):
        return float(_molecule(numbers, positions, charge=charge).get_potential_energy())


def extended_xyz(numbers: Sequence[int], positions: NDArray[np.float64], energy_ev: float, **notes: str) -> bytes:
    """A geometry in the extended XYZ format, in Å, with its energy in eV."""
    atoms = Atoms(numbers=list(numbers), positions=positions, info=notes)
    atoms.calc = SinglePointCalculator(atoms, energy=energy_ev)
    text = StringIO()
    write(text, atoms, format="extxyz")
    return text.getvalue().encode()


def _molecule(numbers: Sequence[int], positions: NDArray[np.float64], *, charge: int) -> Any:
    atoms = Atoms(numbers=list(numbers), positions=positions)
    atoms.calc = need("tblite.ase", "chem").TBLite(
        method=METHOD,
        charge=charge,
        multiplicity=1 + charge,
        accuracy=ACCURACY,
        electronic_temperature=ELECTRONIC_TEMPERATURE_K,
        max_iterations=MAX_SCF_ITERATIONS,
        verbosity=0,
    )
    return atoms


def _report(atoms: Any, steps: int) -> dict[str, Any]:
    return {"step": steps, "max_force_ev_per_angstrom": _force(atoms)}


def _force(atoms: Any) -> float:
    return float(np.linalg.norm(atoms.get_forces(), axis=1).max())


@contextmanager
def _scf(doing: str) -> Iterator[None]:
    """Says in a user's words what tblite could not do."""
    try:
        yield
    except CalculatorError as error:
        raise ToolError(
            f"{METHOD} failed at {doing}: {error}",
            hint="look at the first geometry: another seed or force_field may begin with a better one",
            kind="ScfFailed",
        ) from None


@contextmanager
def _line_search(optimizer: Any, atoms: Any, before: int) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if "LineSearch" not in str(error):
            raise
        steps = before + optimizer.nsteps
        raise _not_converged(f"at step {steps}, where no step went downhill,", steps, _force(atoms)) from None


def _not_converged(when: str, steps: int, force: float) -> ToolError:
    return ToolError(
        f"the relaxation had not converged {when}: the greatest force is {force:.4f} eV/Å",
        hint="raise max_steps or fmax_ev_per_angstrom, or begin elsewhere with another seed",
        kind="NotConverged",
        details={"steps": steps, "max_force_ev_per_angstrom": force},
    )

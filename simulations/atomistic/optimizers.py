"""ASE's optimizers, and their memory: what has to be saved for a relaxation to go on as if nothing had happened."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms, units
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, FIRE, LBFGS, LBFGSLineSearch

from simulations.atomistic.models import RelaxRequest
from simulations.atomistic.packing import Arrays

OPTIMIZERS = {"bfgs": BFGS, "lbfgs": LBFGS, "lbfgslinesearch": LBFGSLineSearch, "fire": FIRE}

_ARRAYS = {"bfgs": ("pos0", "forces0"), "lbfgs": ("r0", "f0"), "lbfgslinesearch": ("r0", "f0"), "fire": ("vel",)}
_NUMBERS = {"bfgs": (), "lbfgs": ("e0",), "lbfgslinesearch": ("e0",), "fire": ("dt", "a", "Nsteps")}


def target_of(request: RelaxRequest, atoms: Atoms) -> Any:
    """What is moved: the atoms, or atoms and cell (Tadmor et al., Phys. Rev. B 59 (1999) 235, by way of a logarithm).

    Args:
        request: Says whether, and how, the cell is relaxed.
        atoms: With the cell that deformations are counted from.
    """
    if request.relax_cell == "none":
        return atoms
    return FrechetCellFilter(
        atoms,
        hydrostatic_strain=request.relax_cell == "hydrostatic",
        scalar_pressure=(request.pressure_gpa or 0.0) * units.GPa,
    )


def make_optimizer(request: RelaxRequest, target: Any) -> Any:
    """The optimizer that a request names, silent."""
    return OPTIMIZERS[request.optimizer](target, logfile=None)


def state_of(name: str, optimizer: Any) -> tuple[dict[str, Any], Arrays]:
    """All that an optimizer remembers of its steps: numbers, and arrays. Both are empty of what it does not know yet.

    ASE's own restart files leave out some of it: the counters of FIRE, for one.
    """
    numbers = {key: getattr(optimizer, key) for key in _NUMBERS[name]}
    numbers = {key: value if value is None else float(value) for key, value in numbers.items()}
    arrays = {key: getattr(optimizer, key) for key in _ARRAYS[name]}
    if name == "bfgs":
        arrays["hessian"] = None if optimizer.state is None else optimizer.state.hessian
    elif name != "fire":
        numbers["iteration"] = optimizer.state.iteration
        if optimizer.state.s:
            arrays |= {key: np.array(getattr(optimizer.state, key)) for key in ("s", "y", "rho")}
    return numbers, {key: np.array(value, dtype=np.float64) for key, value in arrays.items() if value is not None}


def restore(name: str, optimizer: Any, numbers: dict[str, Any], arrays: Arrays) -> None:
    """Gives a new optimizer the memory of another one of its kind."""
    for key in _ARRAYS[name]:
        if key in arrays:
            setattr(optimizer, key, arrays[key])
    for key in _NUMBERS[name]:
        setattr(optimizer, key, int(numbers[key]) if key == "Nsteps" else numbers[key])
    if name == "bfgs" and "hessian" in arrays:
        optimizer.update(None, None, None, None)  # makes its state, whose hessian is then replaced
        optimizer.state.hessian = arrays["hessian"]
    elif name in ("lbfgs", "lbfgslinesearch"):
        optimizer.state.iteration = int(numbers["iteration"])
        optimizer.state.s = list(arrays.get("s", ()))
        optimizer.state.y = list(arrays.get("y", ()))
        optimizer.state.rho = [float(value) for value in arrays.get("rho", ())]
